"""Gives the image encoder a start: for every 8 x 8 pixel patch regress the mean visible surface position and the covered share.

The linear head is thrown away afterwards (train_denoiser.py keeps it as an auxiliary loss); the features it forces stand in for the
pretrained image features of a full-size system. Resumes from --out.
"""
import argparse
import math
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

import checkpoint
from data import Clips, augment_images
from networks import IMAGE_CONFIG, ImageEncoder, normalise_images


def patch_loss(head, features, xyz, cover):
    """Loss and mean distance error of covered patches. features [n,1+P,W], xyz [n,P,3], cover [n,P]."""
    out = head(features[:, 1:].float()).float()
    weight = (cover > 0.1) * cover.sqrt()
    error = (out[..., :3] - xyz).square().sum(-1)
    place = (error * weight).sum() / weight.sum().clamp_min(1)
    share = F.binary_cross_entropy_with_logits(out[..., 3], cover)
    distance = (error.detach().sqrt() * weight).sum() / weight.sum().clamp_min(1)
    return place + 0.2 * share, distance


def patch_targets(clips, rows, frames):
    """Targets of frames [B] or [B,T], folded to [n,P,3] and [n,P]."""
    xyz, cover = clips.stack("patch_xyz", rows, frames), clips.stack("patch_cover", rows, frames)
    return xyz.reshape(-1, 64, 3), cover.reshape(-1, 64)


@torch.no_grad()
def evaluate(net, head, clips):
    generator = torch.Generator().manual_seed(1)
    rows, frames = torch.arange(len(clips)), torch.randint(0, clips.frames, (len(clips),), generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        features = net(normalise_images(clips.stack("image", rows, frames)))
    return patch_loss(head, features, *patch_targets(clips, rows, frames))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="glob of training shards")
    parser.add_argument("--validation", required=True, help="glob of validation shards")
    parser.add_argument("--out", required=True, help="checkpoint to write and to resume from")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    checkpoint.setup(args.seed)
    log = checkpoint.Log(args.out + ".log")
    clips, held_out = Clips(args.data), Clips(args.validation, limit=256)
    modules = nn.ModuleDict(dict(net=ImageEncoder(IMAGE_CONFIG), head=nn.Linear(IMAGE_CONFIG["hidden_size"], 4)))
    optimiser = torch.optim.AdamW(modules.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
    step, elapsed = 0, 0.0
    old = checkpoint.load(args.out)
    if old:
        modules.load_state_dict(old["live"])
        optimiser.load_state_dict(old["optimiser"])
        step, elapsed = old["step"], old["elapsed"]
        torch.manual_seed(args.seed + step)
    total, begun, saved, smooth = args.minutes * 60, time.time() - elapsed, time.time(), None

    def finish():
        loss, distance = evaluate(modules["net"], modules["head"], held_out)
        log(f"EVAL step {step} loss {float(loss):.4f} patch place error {float(distance):.4f}")
        checkpoint.save(args.out, dict(live=modules.state_dict(), optimiser=optimiser.state_dict(), step=step, elapsed=elapsed,
                                       model=modules["net"].state_dict(), head=modules["head"].state_dict()))

    while elapsed < total:
        rate = args.rate * min(1, (step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * elapsed / total)) * 0.9 + 0.1)
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows, frames = torch.randint(0, len(clips), (args.batch,)), torch.randint(0, clips.frames, (args.batch,))
        images = augment_images(clips.stack("image", rows, frames)[:, None])
        with torch.autocast("cpu", torch.bfloat16):
            features = modules["net"](normalise_images(images))
            loss, distance = patch_loss(modules["head"], features, *patch_targets(clips, rows, frames))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimiser.step()
        step += 1
        elapsed = time.time() - begun
        smooth = float(distance) if smooth is None else 0.98 * smooth + 0.02 * float(distance)
        if step % 100 == 0:
            log(f"step {step} {elapsed:.0f}s loss {float(loss):.4f} place {smooth:.4f}")
        if time.time() - saved > 120:
            finish()
            saved = time.time()
    finish()


if __name__ == "__main__":
    main()
