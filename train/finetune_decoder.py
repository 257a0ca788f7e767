"""Fine-tunes the autoencoder's decoder on latents that the denoiser generates in four steps, mixed with true latents.

The encoder and the latent space stay as they are. The decoder learns what generated latents look like and draws the surface that is
most likely behind them; half of every batch are true latents, so that anchors decode as before.
"""
import argparse
import math
import os
import time

import torch

import checkpoint
from clip_latents import ClipLatents
from networks import AUTOENCODER_CONFIG, DENOISER_CONFIG, IMAGE_CONFIG, TOKENS, Autoencoder, Denoiser, ImageEncoder, normalise_images
from sampling import match_noise, sample
from train_vae import field_loss, sample_queries


@torch.no_grad()
def generate(denoiser, image_encoder, clips, size, frames_per_clip):
    """Rows, frames [B,T], true and generated latents [B,T,N,D]; frame 0 of the clip is the known anchor and is left out."""
    rows = torch.randint(0, len(clips), (size,))
    frames = torch.stack([torch.randperm(clips.frames - 1)[:frames_per_clip].sort()[0] + 1 for _ in range(size)])
    frames = torch.cat([torch.zeros(size, 1, dtype=torch.long), frames], 1)
    z = clips.latents(rows, frames)
    mask = torch.zeros(frames.shape)
    mask[:, 0] = 1
    noise = match_noise(torch.randn(size, TOKENS, z.shape[-1]), z[:, 0])
    with torch.autocast("cpu", torch.bfloat16):
        features = image_encoder(normalise_images(clips.stack("image", rows, frames)))
        out = sample(denoiser, features.view(*frames.shape, *features.shape[1:]), frames.float(), z, mask, noise)
    return rows, frames[:, 1:], z[:, 1:], out[:, 1:]


class Pool:
    """A few thousand generated latents, each with its clip and frame."""

    def __init__(self, denoiser, image_encoder, clips, count):
        parts = []
        while sum(p[1].numel() for p in parts) < count:
            parts.append(generate(denoiser, image_encoder, clips, 4, 7))
        self.rows = torch.cat([p[0].repeat_interleave(p[1].shape[1]) for p in parts])
        self.frames, self.true, self.made = (torch.cat([p[k].flatten(0, 1) for p in parts]) for k in (1, 2, 3))

    def draw(self, clips, size, queries):
        pick = torch.randint(0, len(self.rows), (size,))
        points = clips.stack("points", self.rows[pick], self.frames[pick])
        q, distance = sample_queries(points, clips.stack("segments", self.rows[pick], self.frames[pick]), queries)
        return torch.cat([self.true[pick[:size // 2]], self.made[pick[size // 2:]]]), q, distance


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="glob of training shards")
    parser.add_argument("--latents", required=True, help="folder written by encode_latents.py")
    parser.add_argument("--denoiser", required=True, help="checkpoint of train_denoiser.py")
    parser.add_argument("--out", required=True, help="autoencoder checkpoint to write")
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--pool", type=int, default=3000, help="generated latents to train on")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    checkpoint.setup(args.seed)
    log = checkpoint.Log(args.out + ".log")
    clips = ClipLatents(args.data, args.latents)
    denoiser, image = Denoiser(DENOISER_CONFIG).eval(), ImageEncoder(IMAGE_CONFIG).eval()
    state = checkpoint.load(args.denoiser)["average"]
    for module, prefix in ((denoiser, "denoiser."), (image, "image_encoder.")):
        module.load_state_dict({k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)})
    vae = Autoencoder(AUTOENCODER_CONFIG)
    vae.load_state_dict(checkpoint.load(os.path.join(args.latents, "vae.pt"))["model"])
    pool = Pool(denoiser, image, clips, args.pool)
    log(f"pool of {len(pool.rows)} latents, generated minus true {float((pool.made - pool.true).square().mean()):.4f}")
    trained = [p for name, p in vae.named_parameters() if name.startswith(("post_quant", "decoder"))]
    optimiser = torch.optim.AdamW(trained, lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    average = checkpoint.Average(vae, 0.995)
    begun, step, smooth = time.time(), 0, None
    while time.time() - begun < args.minutes * 60:
        share = (time.time() - begun) / (args.minutes * 60)
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * share))
        z, q, distance = pool.draw(clips, args.batch, 480)
        with torch.autocast("cpu", torch.bfloat16):
            value = vae.field(vae.expand(z), q).float()
        half = args.batch // 2
        true, made = field_loss(value[:half], distance[:half]), field_loss(value[half:], distance[half:])
        optimiser.zero_grad()
        (true + made).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        average.update(vae)
        step += 1
        losses = float(true), float(made)
        smooth = losses if smooth is None else tuple(0.97 * a + 0.03 * b for a, b in zip(smooth, losses))
        if step % 50 == 0:
            log(f"step {step} {time.time() - begun:.0f}s true {smooth[0]:.4f} generated {smooth[1]:.4f}")
    checkpoint.save(args.out, dict(model=average.state, step=step))


if __name__ == "__main__":
    main()
