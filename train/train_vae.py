"""Trains the shape autoencoder: surface points to 64 tokens x 16, tokens to a truncated signed distance (negative inside).

Farthest-point indices come from another frame of the same clip, as in the clips' latents, where all frames share one index set.
The latent gets extra noise before decoding, so that the decoder forgives the denoiser's small errors, and a linear read-out of the
token's own place keeps the latent easy to predict from an image. Resumes from --out.

--decoder-only takes an autoencoder whose latents are standardised (encode_latents.py) and teaches its decoder more shapes while the
latents stay what they are.
"""
import argparse
import math
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

import checkpoint
from data import Clips, farthest_points, field_samples, field_target, gather_points
from networks import AUTOENCODER_CONFIG, TOKENS, Autoencoder

INPUT_POINTS = 768


def sample_batch(clips, size, queries, generator=None, shares=None):
    """Random frames of random clips: input points, normals, token indices, queries (a third near the surface, a third around it, a
    third anywhere) and their distances."""
    def random(high, shape):
        return torch.randint(0, high, shape, generator=generator)

    rows, frame, other = clips.draw(size, shares, generator), random(clips.frames, (size,)), random(clips.frames, (size,))
    points = clips.stack("points", rows, frame)
    chosen = torch.randperm(points.shape[1], generator=generator)[:INPUT_POINTS]
    start = random(INPUT_POINTS, (size,))
    index = farthest_points(clips.stack("points", rows, other)[:, chosen], TOKENS, start)
    normals = clips.stack("normals", rows, frame)[:, chosen]
    third = queries // 3
    q, distance = field_samples(clips, rows, frame, torch.tensor([0.02, 0.08]).repeat_interleave(third), queries - 2 * third, generator)
    return points[:, chosen], normals, index, q, distance


def field_loss(value, distance):
    """L1 + L2 on the truncated distance and a little cross-entropy on inside/outside."""
    error = value - field_target(distance)
    inside = F.binary_cross_entropy_with_logits(-8 * value, (distance < 0).float())
    return error.abs().mean() + error.square().mean() + 0.2 * inside


@torch.no_grad()
def evaluate(net, place, clips, batches=6):
    """Held-out sign accuracy and IoU near the surface, volume IoU, place error and locality of the decoder's attention."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for _ in range(batches):
        points, normals, index, q, distance = sample_batch(clips, 32, 1536, generator)
        with torch.autocast("cpu", torch.bfloat16):
            mean, _ = net.encode(points, normals, index)
            cache = net.expand(mean)
            value = net.field(cache, q).float()
            attention = net.token_rows(cache, q[:, :512]).float()
        near, far = slice(0, 1024), slice(1024, None)
        inside, truth = value < 0, distance < 0
        tokens = gather_points(points, index)
        gap = torch.cdist(q[:, :512], tokens)
        rows.append([
            (inside == truth)[:, near].float().mean(),
            (inside & truth)[:, near].sum() / (inside | truth)[:, near].sum(),
            (inside & truth)[:, far].sum() / (inside | truth)[:, far].sum(),
            (place(mean) - tokens).norm(dim=-1).mean(),
            gap.gather(2, attention.argmax(-1, keepdim=True)).mean(), gap.min(-1)[0].mean(),
            (-(attention * (attention + 1e-9).log()).sum(-1)).exp().mean(), attention.amax(-1).mean()])
    names = ("sign", "iou_near", "iou_volume", "place_error", "top_token", "nearest_token", "perplexity", "top_weight")
    return " ".join(f"{n} {float(v):.4f}" for n, v in zip(names, torch.tensor(rows).mean(0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="glob of training shards, or several separated by spaces")
    parser.add_argument("--validation", required=True, help="glob of validation shards")
    parser.add_argument("--out", required=True, help="checkpoint to write and to resume from")
    parser.add_argument("--initial", help="checkpoint to start from (its `model`)")
    parser.add_argument("--decoder-only", action="store_true", help="leave the encoder as it is")
    parser.add_argument("--shares", type=float, nargs="+", help="how often clips of each glob of --data are drawn; default: all clips alike")
    parser.add_argument("--minutes", type=float, default=15, help="training time in all")
    parser.add_argument("--batch", type=int, default=16, help="shapes a step")
    parser.add_argument("--queries", type=int, default=480, help="field samples a shape")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--kl", type=float, default=2e-3, help="weight of the KL term")
    parser.add_argument("--noise", type=float, default=0.3, help="upper bound of the extra latent noise")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    checkpoint.setup(args.seed)
    log = checkpoint.Log(args.out + ".log")
    clips, held_out = Clips(args.data), Clips(args.validation)
    net, place = Autoencoder(AUTOENCODER_CONFIG), nn.Linear(AUTOENCODER_CONFIG["latent_channels"], 3)
    initial = checkpoint.load(args.initial)
    if initial:
        net.load_state_dict(initial["model"])
    if args.decoder_only:
        net.encoder.requires_grad_(False)
        net.quant.requires_grad_(False)
    modules = nn.ModuleDict(dict(net=net, place=place))
    optimiser = torch.optim.AdamW(modules.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    average = checkpoint.Average(modules, 0.998)
    step, elapsed, smooth = 0, 0.0, None
    old = checkpoint.load(args.out)
    if old:
        modules.load_state_dict(old["live"])
        optimiser.load_state_dict(old["optimiser"])
        average.state, average.steps = old["average"], old["step"]
        step, elapsed = old["step"], old["elapsed"]
        torch.manual_seed(args.seed + step)
    total, begun, saved = args.minutes * 60, time.time() - elapsed, time.time()
    log(f"{len(clips)} clips, {sum(p.numel() for p in net.parameters())} parameters, from step {step}")

    def finish():
        held = nn.ModuleDict(dict(net=Autoencoder(AUTOENCODER_CONFIG), place=nn.Linear(place.in_features, 3)))
        held.load_state_dict(average.state)
        log(f"EVAL step {step} {evaluate(held['net'], held['place'], held_out)}")
        checkpoint.save(args.out, dict(live=modules.state_dict(), optimiser=optimiser.state_dict(), average=average.state, step=step,
                                       elapsed=elapsed, model=held["net"].state_dict(), place=held["place"].state_dict()))

    while elapsed < total:
        share = elapsed / total
        rate = args.rate * min(1, (step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * share)) * 0.98 + 0.02)
        for group in optimiser.param_groups:
            group["lr"] = rate
        points, normals, index, q, distance = sample_batch(clips, args.batch, args.queries, shares=args.shares)
        with torch.autocast("cpu", torch.bfloat16):
            mean, logvar = net.encode(points, normals, index)
            extra = args.noise * torch.rand(args.batch, 1, 1)
            z = mean + torch.randn_like(mean) * (logvar.exp() + extra.square()).sqrt()
            value = net.field(net.expand(z), q)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        placed = (place(mean) - gather_points(points, index)).square().mean()
        loss = field_loss(value.float(), distance)
        optimiser.zero_grad()
        (loss + args.kl * kl + placed).backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimiser.step()
        average.update(modules)
        step += 1
        elapsed = time.time() - begun
        smooth = float(loss) if smooth is None else 0.98 * smooth + 0.02 * float(loss)
        if step % 50 == 0:
            log(f"step {step} {elapsed:.0f}s rate {rate:.1e} loss {smooth:.4f} kl {float(kl):.2f} place {float(placed):.4f}")
        if time.time() - saved > 180:
            finish()
            saved = time.time()
    finish()


if __name__ == "__main__":
    main()
