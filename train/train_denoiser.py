"""Trains the temporal denoiser together with the image encoder on frozen, standardised latents.

One noise set [N,D] per sample serves all frames, assigned to the tokens of one clean frame and pulled towards them (if no frame is
known: assigned to the first frame's tokens, no pull). A part of the steps is plain flow matching at any time; the others use the four times of the four-step schedule, most of them from states that
the network itself produced (no gradient through those), with the target (data - state) / time: what four-step sampling will meet.
Weak alignment loss: head 0 of two layers should send a frame's token to the same token of the clean frame. Resumes from --out.

Two workers: start two processes with --worker 0 and --worker 1, the same --peers 2 and --share; they exchange weights through files
every --exchange steps and never wait for each other.
"""
import argparse
import math
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import checkpoint
from clip_latents import ClipLatents
from data import augment_images, field_samples, field_target
from networks import AUTOENCODER_CONFIG, DENOISER_CONFIG, IMAGE_CONFIG, TOKENS, Autoencoder, Denoiser, ImageEncoder, normalise_images
from sampling import ANCHOR_PULL, flow_times, match_noise
from train_image import patch_loss, patch_targets

ALIGNED_LAYERS, ALIGNED_HEAD = (3, 4), 0


def choose_frames(total, count):
    """Sorted frame numbers: any subset, or an evenly spaced run."""
    if torch.rand(()) < 0.3:
        stride = int(torch.randint(1, (total - 1) // max(count - 1, 1) + 1, ())) if count > 1 else 1
        first = int(torch.randint(0, total - stride * (count - 1), ()))
        return first + stride * torch.arange(count)
    return torch.randperm(total)[:count].sort()[0]


def choose_clean(size, count, unknown):
    """Mask [B,T] of clean frames and the frame [B] that the noise is assigned to: mostly one clean frame, most often the first."""
    mask, anchor = torch.zeros(size, count), torch.zeros(size, dtype=torch.long)
    for b in range(size):
        if count == 1 or torch.rand(()) < unknown:
            continue
        draw = float(torch.rand(()))
        if draw < 0.6:
            chosen = torch.tensor([0])
        else:
            chosen = torch.randperm(count)[:1 if draw < 0.85 else int(torch.randint(2, min(4, count), ()))]
        mask[b, chosen] = 1
        anchor[b] = chosen[0]
    return mask, anchor


class Batch:
    """Tensors of one step: latents z, noise, mask [B,T], anchor slot [B], frame numbers, images' features and targets."""

    def __init__(self, clips, size, count, args):
        rows = clips.draw(size, args.single_shares if count == 1 else args.shares)
        frames = torch.stack([choose_frames(clips.frames, count) for _ in range(size)])
        self.rows, self.frames, self.framestep = rows, frames, frames.float()
        self.z = clips.latents(rows, frames)
        self.mask, self.anchor = choose_clean(size, count, args.unknown)
        target = self.z[torch.arange(size), self.anchor]
        pull = ANCHOR_PULL * self.mask.amax(1)
        self.noise = match_noise(torch.randn(size, TOKENS, self.z.shape[-1]), target, pull)[:, None].expand_as(self.z)
        self.images = augment_images(clips.stack("image", rows, frames))
        self.keep = (torch.rand(size) >= 0.1).float()
        self.open = 1 - self.mask

    def state(self, time, data):
        """x at time [B] for the open frames, with `data` in the place of the truth; the clean frames keep theirs."""
        t = (time[:, None] * self.open)[..., None, None]
        estimate = torch.where(self.open[..., None, None] > 0, data, self.z)
        return (1 - t) * estimate + t * self.noise


def context_of(image_encoder, batch):
    """Features of all frames and the context [B,T,1+P,W] with the dropped samples' images zeroed."""
    features = image_encoder(normalise_images(batch.images))
    context = features.view(*batch.z.shape[:2], *features.shape[1:])
    return features, context * batch.keep.to(context.dtype)[:, None, None, None]


def rollout(denoiser, batch, context, times):
    """State at the last of `times` (first: 1) as sampling reaches it through those times, without gradient."""
    size = len(batch.z)
    x = batch.state(torch.ones(size), batch.z)
    with torch.no_grad():
        for now, after in zip(times, times[1:]):
            v = denoiser(x, context, batch.framestep, torch.full((size,), 1000 * now), batch.mask)
            x = x + (now - after) * v * batch.open[..., None, None]
    return x


def alignment_loss(denoiser, batch):
    """Cross-entropy of frame token i choosing anchor token i, over the open frames other than the anchor."""
    b, t = batch.mask.shape
    weight = batch.open.clone()
    weight[torch.arange(b), batch.anchor] = 0
    total = 0.0
    rows = torch.arange(b)
    for layer in ALIGNED_LAYERS:
        attention = denoiser.blocks[layer].s_attn
        q, k = (x[:, ALIGNED_HEAD].reshape(b, t, TOKENS + 1, -1)[:, :, 1:] for x in attention.kept)
        attention.kept = None
        score = (q.flatten(1, 2) @ k[rows, batch.anchor].transpose(1, 2)).float()
        truth = torch.arange(TOKENS).repeat(b * t)
        loss = F.cross_entropy(score.flatten(0, 1), truth, reduction="none").view(b, t, TOKENS).mean(-1)
        total = total + (loss * weight).sum() / weight.sum().clamp_min(1)
    return total / len(ALIGNED_LAYERS)


def decoded_field_loss(vae, clips, batch, estimate, queries=160):
    """L1 of the decoded field of one open frame a sample, at points near the true surface; the autoencoder is frozen."""
    pick = torch.multinomial(batch.open + 1e-6 * (batch.open.sum(1, keepdim=True) == 0), 1)[:, 0]
    rows = torch.arange(len(pick))
    frames = batch.frames[rows, pick]
    q, distance = field_samples(clips, batch.rows, frames, torch.tensor([0.03, 0.1]).repeat_interleave(queries // 2))
    value = vae.field(vae.expand(estimate[rows, pick]), q).float()
    return (value - field_target(distance)).abs().mean()


class Trainer:
    def __init__(self, args):
        self.args = args
        self.clips = ClipLatents(args.data, args.latents)
        self.modules = nn.ModuleDict(dict(denoiser=Denoiser(DENOISER_CONFIG), image_encoder=ImageEncoder(IMAGE_CONFIG),
                                          patch_head=nn.Linear(IMAGE_CONFIG["hidden_size"], 4)))
        nn.init.zeros_(self.modules["denoiser"].proj_out.weight)
        nn.init.zeros_(self.modules["denoiser"].proj_out.bias)
        self.vae = Autoencoder(AUTOENCODER_CONFIG)
        self.vae.load_state_dict(checkpoint.load(os.path.join(args.latents, "vae.pt"))["model"])
        self.vae.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.modules.parameters(), lr=args.rate, weight_decay=0.01, betas=(0.9, 0.98))
        self.schedule = flow_times(4, 3.0)
        self.step, self.elapsed, self.seen = 0, 0.0, 0
        start = checkpoint.load(args.image)
        if start:
            self.modules["image_encoder"].load_state_dict(start["model"])
            self.modules["patch_head"].load_state_dict(start["head"])
        initial = checkpoint.load(args.initial)
        if initial:
            self.modules.load_state_dict(initial["average"])
        self.average = checkpoint.Average(self.modules, args.average)
        old = checkpoint.load(self.own_path())
        if old:
            self.modules.load_state_dict(old["live"])
            self.optimiser.load_state_dict(old["optimiser"])
            self.step, self.elapsed, self.seen = old["step"], old["elapsed"], old["seen"]
            self.average.state, self.average.steps = old["average"], old["step"]
        torch.manual_seed(args.seed * 1000 + args.worker * 100000 + self.step)
        np.random.seed(args.seed + self.step)

    def own_path(self):
        return self.args.out if self.args.worker == 0 else f"{self.args.out}.worker{self.args.worker}"

    def save(self):
        checkpoint.save(self.own_path(), dict(
            live=self.modules.state_dict(), optimiser=self.optimiser.state_dict(), average=self.average.state, step=self.step,
            elapsed=self.elapsed, seen=self.seen, args=vars(self.args)))

    def exchange(self):
        """Publishes own weights and moves to the mean of all that were published."""
        if self.args.peers < 2:
            return
        base = f"{self.args.out}.weights"
        checkpoint.save(f"{base}{self.args.worker}", {k: v.half() for k, v in self.modules.state_dict().items()})
        paths = [f"{base}{w}" for w in range(self.args.peers) if w != self.args.worker]
        # a stopped worker's old weights must not hold the others back
        others = [checkpoint.load(p) for p in paths if os.path.exists(p) and time.time() - os.path.getmtime(p) < 60]
        with torch.no_grad():
            for name, value in self.modules.state_dict().items():
                for o in others:
                    value.add_((o[name].float() - value) / (1 + len(others)))

    def learning_rate(self, share):
        constant = self.args.constant
        decay = max(0.0, (share - constant) / (1 - constant))
        return self.args.rate * min(1, (self.step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * decay)) * 0.98 + 0.02)

    def shape(self, share):
        """Samples and frames of the next step: mostly 4 frames, some single frames, 8 frames towards the end."""
        if torch.rand(()) < self.args.single:
            return self.args.batch * 4, 1
        if share > 0.85 and torch.rand(()) < 0.8:
            return self.args.batch // 2, 8
        return self.args.batch, 4

    def start_state(self, batch, context, share):
        """State, time and target velocity of the step."""
        size, denoiser = len(batch.z), self.modules["denoiser"]
        draw = float(torch.rand(()))
        if draw < self.args.free:
            shift = 3.0 if share > 0.8 else 1.5
            u = torch.rand(size)
            time_ = shift * u / (1 + (shift - 1) * u)
            return batch.state(time_, batch.z), time_, batch.z - batch.noise
        k = int(torch.multinomial(torch.tensor(self.args.step_weights), 1))
        time_ = torch.full((size,), self.schedule[k])
        if k == 0 or share < self.args.own_from:
            return batch.state(time_, batch.z), time_, batch.z - batch.noise
        # often straight from noise to time k: cheaper, and a little harder than what sampling meets
        path = [self.schedule[0], self.schedule[k]] if torch.rand(()) < self.args.direct else self.schedule[:k + 1]
        x = rollout(denoiser, batch, context.detach(), path)
        return x, time_, (batch.z - x) / time_[:, None, None, None]

    def train_step(self, share):
        args, denoiser = self.args, self.modules["denoiser"]
        batch = Batch(self.clips, *self.shape(share), args)
        several = batch.z.shape[1] > 1
        with torch.autocast("cpu", torch.bfloat16):
            features, context = context_of(self.modules["image_encoder"], batch)
            x, time_, target = self.start_state(batch, context, share)
            for layer in ALIGNED_LAYERS:
                denoiser.blocks[layer].s_attn.keep = several
            v = denoiser(x, context, batch.framestep, 1000 * time_, batch.mask)
            for layer in ALIGNED_LAYERS:
                denoiser.blocks[layer].s_attn.keep = False
            weight = batch.open[..., None, None]
            flow = ((v - target).square() * weight).sum() / (weight.sum() * TOKENS * v.shape[-1])
            dense, place = patch_loss(self.modules["patch_head"], features, *patch_targets(self.clips, batch.rows, batch.frames))
            loss, align, field = flow + args.dense * dense, torch.zeros(()), torch.zeros(())
            if several:
                align = alignment_loss(denoiser, batch)
                loss = loss + args.align * align
            if args.field > 0 and share >= args.field_from:
                estimate = x + time_[:, None, None, None] * v
                field = decoded_field_loss(self.vae, self.clips, batch, estimate)
                loss = loss + args.field * field
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.seen += batch.mask.numel()
        return [float(value) for value in (flow, align, field, place)] if several else None

    def run(self, log):
        total, begun, saved = self.args.minutes * 60, time.time() - self.elapsed, time.time()
        smooth = None
        while self.elapsed < total:
            share = self.elapsed / total
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate(share)
            values = self.train_step(share)
            self.average.update(self.modules)
            if self.step % self.args.exchange == 0:
                self.exchange()
            self.elapsed = time.time() - begun
            if values:
                smooth = values if smooth is None else [0.98 * a + 0.02 * b for a, b in zip(smooth, values)]
            if self.step % 100 == 0 and smooth:
                log("step %d %.0fs frames %d rate %.1e flow %.4f align %.3f field %.4f place %.4f"
                    % (self.step, self.elapsed, self.seen, self.optimiser.param_groups[0]["lr"], *smooth))
            if time.time() - saved > self.args.save_every:
                self.save()
                saved = time.time()
        self.save()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="glob of training shards, or several separated by spaces")
    parser.add_argument("--shares", type=float, nargs="+", help="how often clips of each glob are drawn; default: all clips alike")
    parser.add_argument("--single-shares", type=float, nargs="+", help="the same for steps of single frames")
    parser.add_argument("--latents", required=True, help="folder written by encode_latents.py")
    parser.add_argument("--image", help="checkpoint of train_image.py to start from")
    parser.add_argument("--initial", help="checkpoint of this program to start from (averaged weights, new optimiser)")
    parser.add_argument("--out", required=True, help="checkpoint to write and to resume from")
    parser.add_argument("--minutes", type=float, default=70, help="training time in all")
    parser.add_argument("--batch", type=int, default=12, help="samples of 4 frames a step")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--constant", type=float, default=0.5, help="share of the time before the cosine begins")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the weights' moving average")
    parser.add_argument("--unknown", type=float, default=0.1, help="share of samples with no clean frame")
    parser.add_argument("--single", type=float, default=0.08, help="share of steps with single frames, nothing known")
    parser.add_argument("--free", type=float, default=0.3, help="share of plain flow-matching steps at any time")
    parser.add_argument("--step-weights", type=float, nargs=4, default=[0.4, 0.1, 0.2, 0.3],
                        help="how often each of the four sampling times is trained otherwise")
    parser.add_argument("--direct", type=float, default=0.6, help="share of own states that are reached in one step")
    parser.add_argument("--own-from", type=float, default=0.1, help="share of the time after which own states are used")
    parser.add_argument("--align", type=float, default=0.15, help="weight of the alignment loss")
    parser.add_argument("--dense", type=float, default=4, help="weight of the patch position loss")
    parser.add_argument("--field", type=float, default=0.5, help="weight of the decoded field loss")
    parser.add_argument("--field-from", type=float, default=0.3, help="share of the time after which it is used")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--peers", type=int, default=1, help="number of workers that exchange weights")
    parser.add_argument("--exchange", type=int, default=25, help="steps between exchanges")
    parser.add_argument("--save-every", type=float, default=120, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    checkpoint.setup(args.seed)
    trainer = Trainer(args)
    log = checkpoint.Log(trainer.own_path() + ".log")
    log(f"{len(trainer.clips)} clips, {sum(p.numel() for p in trainer.modules['denoiser'].parameters())} parameters, step {trainer.step}")
    trainer.run(log)


if __name__ == "__main__":
    main()
