"""Measures the whole chain on held-out clips: anchor vertex -> anchor tokens -> frame tokens -> frame surface.

The true latent of frame 0 is given, all frames are generated in four steps, candidate surface points come from the generated field
("own") and, for comparison, from the true surface. Printed: generated volume IoU, mean tracked-point error over all points and over
those that truly move by more than 0.15, next to the baselines 'no motion' and 'nearest surface point', and the top-1 token matching
of every attention head at the last step. --select also searches the chain's settings on these clips and writes them as JSON.
"""
import argparse
import itertools
import json
import os

import torch

import checkpoint
from clip_latents import ClipLatents
from data import field_samples
from networks import AUTOENCODER_CONFIG, DENOISER_CONFIG, IMAGE_CONFIG, TOKENS, Autoencoder, Denoiser, ImageEncoder, normalise_images
from sampling import match_noise, sample

MOVING = 0.15
VERTICES, CANDIDATES = 192, 1024
DEFAULT_CHAIN = dict(layers=[3, 4], heads=[0, 0], sinkhorn=6, power=2.0, topk=32, temperature=0.1)


def surface_points(vae, cache, count, generator):
    """Points [F,count,3] on the zero level of each cache [F,N,W]: a jittered grid, then three Newton steps along the gradient."""
    cells = 26
    axis = (torch.arange(cells) + 0.5) / cells * 2.1 - 1.05
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    grid = grid + torch.rand(1, cells ** 3, 3, generator=generator) * 0.05 - 0.025
    out = []
    for c in cache.split(1):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            value = torch.cat([vae.field(c, q) for q in grid.split(4096, 1)], 1).float()
        x = grid[:, value[0].abs() < 0.7]
        x = x[:, torch.randperm(x.shape[1], generator=generator)[:2 * count]]
        for _ in range(3):
            x = x.detach().requires_grad_(True)
            value = vae.field(c, x)
            gradient = torch.autograd.grad(value.sum(), x)[0]
            move = value[..., None] * gradient / gradient.square().sum(-1, keepdim=True).clamp_min(1e-2)
            x = (x - move.clamp(-0.1, 0.1)).detach()
        with torch.no_grad():
            x = x[:, vae.field(c, x)[0].abs() < 0.05]
        if x.shape[1] == 0:
            x = torch.zeros(1, 1, 3)
        pick = torch.arange(count) if x.shape[1] >= count else torch.randint(0, x.shape[1], (count,), generator=generator)
        out.append(x[0, pick])
    return torch.stack(out)


def volume_iou(vae, cache, clips, i, frames, generator, count=4096):
    """Volume IoU of the decoded caches [F,N,W] with clip i in the frames, in the mean; forms bring fewer stored points."""
    rows = torch.full((len(frames),), i)
    points, distance = field_samples(clips, rows, frames, torch.zeros(0), count, generator)
    inside, guess = distance < 0, vae.field(cache, points) < 0
    return (guess & inside).sum() / (guess | inside).sum().clamp_min(1)


def unit_rows(rows):
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def transport(attention, chain):
    """Anchor-to-frame token matrix [F,N,N] from frame-to-anchor attention [F,L,H,N,N] of the chosen heads."""
    block = torch.stack([attention[:, layer, head] for layer, head in zip(chain["layers"], chain["heads"])]).mean(0)
    block = block.transpose(1, 2).clamp_min(1e-9) ** chain["power"]
    for _ in range(chain["sinkhorn"]):
        block = block / block.sum(1, keepdim=True)
        block = block / block.sum(2, keepdim=True)
    return block / block.sum(2, keepdim=True)


def blend(score, candidates, chain):
    """Softmax-weighted mean of the best candidates [F,C,3] by score [F,V,C]; the temperature is relative to the best score."""
    top, index = score.topk(chain["topk"], -1)
    weight = ((top / top[..., :1].clamp_min(1e-12) - 1) / chain["temperature"]).softmax(-1)
    chosen = torch.stack([c[i] for c, i in zip(candidates, index)])
    return (weight[..., None] * chosen).sum(-2)


def locate(clip, chain, surface):
    """Tracked points [F,V,3] in the measured frames."""
    candidates, rows = clip[surface], clip[surface + "_rows"]
    return blend(clip["anchor_rows"] @ transport(clip["attention"], chain) @ rows.transpose(1, 2), candidates, chain)


def errors(found, clip):
    """(mean error of all points, sum over moving points, number of moving points)."""
    e = (found - clip["truth"]).norm(dim=-1)
    moving = clip["moving"]
    return e.mean(), e[moving].sum(), moving.sum()


def summarise(rows):
    """Mean over clips for all points, over moving points of all clips together."""
    alls, sums, counts = zip(*rows)
    return float(torch.stack(alls).mean()), float(torch.stack(sums).sum() / torch.stack(counts).sum())


def nearest(points, surface):
    return torch.stack([s[torch.cdist(points, s).argmin(-1)] for s in surface])


class Evaluator:
    def __init__(self, denoiser, image_encoder, vae, clips, steps=4, shift=3.0, guidance=1.0, frames=(2, 5, 8, 11, 15)):
        self.denoiser, self.image_encoder, self.vae, self.clips = denoiser.eval(), image_encoder.eval(), vae.eval(), clips
        self.steps, self.shift, self.guidance, self.frames = steps, shift, guidance, torch.tensor(frames)

    @torch.no_grad()
    def generate(self, i, generator):
        """Latents [16,N,D] and frame-to-anchor attention [16,L,H,N,N] of the last step."""
        total = self.clips.frames
        z = self.clips.latents([i], torch.arange(total)[None], draw=0)
        mask = torch.zeros(1, total)
        mask[:, 0] = 1
        noise = match_noise(torch.randn(1, TOKENS, z.shape[-1], generator=generator), z[:, 0])
        blocks = self.denoiser.blocks
        taken = []

        def watch(k):
            if k == self.steps - 2:
                for b in blocks:
                    b.s_attn.keep = True
            if k == self.steps - 1:
                for b in blocks:
                    q, k = (x[0].float().view(-1, total, TOKENS + 1, x.shape[-1])[:, :, 1:] for x in b.s_attn.kept)
                    taken.append((q @ k[:, :1].transpose(-1, -2)).float().softmax(-1).transpose(0, 1))
                    b.s_attn.keep, b.s_attn.kept = False, None

        with torch.autocast("cpu", torch.bfloat16):
            context = self.image_encoder(normalise_images(self.clips.get("image", i)))[None]
            out = sample(self.denoiser, context, torch.arange(total).float()[None], z, mask, noise, self.steps, self.shift, watch=watch)
        return z[0], out[0], torch.stack(taken, 1)

    @torch.no_grad()
    def image_alone(self, i, generator):
        """Volume IoU of frame 0 generated from its image with nothing known (one frame, plain noise, guided)."""
        clean = torch.zeros(1, 1, TOKENS, self.vae.config["latent_channels"])
        noise = torch.randn(1, *clean.shape[2:], generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            context = self.image_encoder(normalise_images(self.clips.get("image", i, [0])))[None]
            z = sample(self.denoiser, context, torch.zeros(1, 1), clean, torch.zeros(1, 1), noise, self.steps, self.shift, self.guidance)
        return volume_iou(self.vae, self.vae.expand(z[0]), self.clips, i, torch.tensor([0]), generator)

    def measure(self, i):
        """Everything that the chain of one clip needs, for the measured frames."""
        generator = torch.Generator().manual_seed(1000 + i)
        truth_z, z, attention = self.generate(i, generator)
        points = self.clips.get("points", i).float()
        order = torch.randperm(points.shape[1], generator=generator)
        tracked, rest = points[:, order[:VERTICES]], points[:, order[VERTICES:VERTICES + CANDIDATES]]
        f = self.frames
        with torch.no_grad():
            cache, true_cache = self.vae.expand(z), self.vae.expand(truth_z)
        own = surface_points(self.vae, cache[f], CANDIDATES, generator)
        with torch.no_grad():
            ious = [volume_iou(self.vae, c[f], self.clips, i, f, generator) for c in (cache, true_cache)]
            clip = dict(
                attention=attention[f], truth=tracked[f], start=tracked[0], own=own, true=rest[f],
                anchor_rows=self.vae.token_rows(true_cache[:1], tracked[:1])[0],
                own_rows=unit_rows(self.vae.token_rows(cache[f], own)), true_rows=unit_rows(self.vae.token_rows(cache[f], rest[f])))
        clip["moving"] = (clip["truth"] - clip["start"]).norm(dim=-1) > MOVING
        clip["iou"], clip["vae_iou"] = ious
        clip["latent_error"] = (z - truth_z)[1:].square().mean()
        clip["image_iou"] = self.image_alone(i, generator)
        clip["plan"] = int(self.clips.get("plan", i))
        return clip


def report(measured, chain):
    """Text lines and a dictionary with the numbers."""
    def mean(name):
        return float(torch.stack([c[name] for c in measured]).mean())

    methods = {
        "no motion": lambda c: c["start"].expand_as(c["truth"]),
        "nearest, own surface": lambda c: nearest(c["start"], c["own"]),
        "nearest, true surface": lambda c: nearest(c["start"], c["true"]),
        "best candidate, own": lambda c: torch.stack([s[torch.cdist(t, s).argmin(-1)] for s, t in zip(c["own"], c["truth"])]),
        "chain, own surface": lambda c: locate(c, chain, "own"),
        "chain, true surface": lambda c: locate(c, chain, "true"),
        "identity, own surface": lambda c: locate({**c, "attention": torch.eye(TOKENS).expand_as(c["attention"])}, chain, "own"),
    }
    values = {name: summarise([errors(f(c), c) for c in measured]) for name, f in methods.items()}
    best = min(values["no motion"][1], values["nearest, own surface"][1])
    ratio = values["chain, own surface"][1] / best
    identity = torch.arange(TOKENS)
    top = torch.stack([(c["attention"].argmax(-1) == identity).float().mean((0, 3)) for c in measured]).mean(0)
    lines = [f"clips {len(measured)} iou {mean('iou'):.3f} (autoencoder {mean('vae_iou'):.3f}, image alone {mean('image_iou'):.3f})"
             f" latent error {mean('latent_error'):.4f} chain/baseline on moving points {ratio:.3f}"]
    lines += [f"  {name:24s} all {a:.4f} moving {m:.4f}" for name, (a, m) in values.items()]
    lines.append("  top-1 by layer: " + " | ".join(" ".join(f"{v:.2f}" for v in row) for row in top))
    return lines, dict(ratio=ratio, values=values, top=top)


def select(measured, log):
    """Chain settings with the lowest error of moving points on own surfaces."""
    layers, heads = measured[0]["attention"].shape[1:3]
    top = torch.stack([(c["attention"].argmax(-1) == torch.arange(TOKENS)).float().mean((0, 3)) for c in measured]).mean(0)
    order = top.flatten().argsort(descending=True)[:6].tolist()
    groups = [[(3, 0), (4, 0)], [(4, 0)], [(3, 0)]] + [[divmod(o, heads) for o in order[:n]] for n in (1, 2, 3, 4, 6)]
    best = None
    for group, sinkhorn, power in itertools.product(groups, (0, 6), (1.0, 2.0)):
        for topk, temperature in itertools.product((8, 16, 32, 64), (0.05, 0.1, 0.2)):
            chain = dict(layers=[g[0] for g in group], heads=[g[1] for g in group], sinkhorn=sinkhorn, power=power, topk=topk,
                         temperature=temperature)
            value = summarise([errors(locate(c, chain, "own"), c) for c in measured])
            if best is None or value[1] < best[0][1]:
                best = value, chain
                log(f"select all {value[0]:.4f} moving {value[1]:.4f} {json.dumps(chain)}")
    return best[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--denoiser", required=True, help="checkpoint of train_denoiser.py")
    parser.add_argument("--latents", required=True, help="folder of encode_latents.py (autoencoder and held-out latents)")
    parser.add_argument("--data", required=True, help="glob of held-out shards, or several separated by spaces")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--guidance", type=float, default=1.0, help="guidance where nothing is known (image alone)")
    parser.add_argument("--chain", help="JSON file with chain settings")
    parser.add_argument("--select", metavar="JSON", help="search the chain settings on these clips and write them")
    args = parser.parse_args()
    checkpoint.setup(0)
    vae, denoiser, image = Autoencoder(AUTOENCODER_CONFIG), Denoiser(DENOISER_CONFIG), ImageEncoder(IMAGE_CONFIG)
    vae.load_state_dict(checkpoint.load(os.path.join(args.latents, "vae.pt"))["model"])
    vae.requires_grad_(False)
    state = checkpoint.load(args.denoiser)
    for module, prefix in ((denoiser, "denoiser."), (image, "image_encoder.")):
        module.load_state_dict({k[len(prefix):]: v for k, v in state["average"].items() if k.startswith(prefix)})
    log = checkpoint.Log(args.denoiser + ".eval.log")
    log(f"step {state['step']} trained {state['elapsed']:.0f}s frames {state['seen']}")
    chain = dict(DEFAULT_CHAIN)
    if args.chain:
        with open(args.chain) as f:
            chain.update(json.load(f))
    clips = ClipLatents(args.data, args.latents, limit=args.clips)
    evaluator = Evaluator(denoiser, image, vae, clips, steps=args.steps, guidance=args.guidance)
    measured = [evaluator.measure(i) for i in range(len(clips))]
    if args.select:
        chain = select(measured, log)
        with open(args.select, "w") as f:
            json.dump(chain, f)
    for line in report(measured, chain)[0]:
        log(line)


if __name__ == "__main__":
    main()
