"""Shards written by chain4d-synth, and the geometry that training needs: farthest points, distances to the surface.

A shard is a safetensors file of C clips: image u8[C,16,64,64,3], points f16[C,16,M,3], normals f16[C,16,M,3] (point j is the same
body point in all frames), patch_xyz f16[C,16,8,8,3], patch_cover f16[C,16,8,8], plan u8[C], seed i64[C]. The field is exact for
creatures: segments f32[C,16,18,8] (capsule ends a, b and radii; negative radius = unused); and sampled for forms: query
f16[C,16,Q,3] (a third within 0.03 of the surface, a third within 0.1, a third anywhere), distance f16[C,16,Q].
"""
import glob

import numpy as np
import torch

import tensorfile

SMOOTHNESS = 0.025    # k of the log-sum-exp union of the capsules
TRUNCATION = 0.15     # the field is distance / TRUNCATION, clamped to [-1, 1], negative inside


def shard_files(patterns):
    """Files that match one pattern or several separated by spaces, in the patterns' order, and the pattern's number of each."""
    files = [(f, i) for i, pattern in enumerate(patterns.split()) for f in sorted(glob.glob(pattern))]
    if not files:
        raise SystemExit(f"no shard matches {patterns}")
    return [f for f, _ in files], [i for _, i in files]


class Clips:
    """All clips of the shards that match the patterns; arrays stay on disk and are read as needed."""

    def __init__(self, patterns, limit=None):
        self.files, self.group = shard_files(patterns)
        self.shards = [tensorfile.load(f) for f in self.files]
        self.place = [(s, c) for s, shard in enumerate(self.shards) for c in range(len(shard["plan"]))][:limit]
        self.frames = self.shards[0]["image"].shape[1]
        self.by_group = None

    def __len__(self):
        return len(self.place)

    def draw(self, size, shares=None, generator=None):
        """Random clips [size]; shares: how often the clips of each pattern are drawn (None: all clips alike)."""
        if not shares:
            return torch.randint(0, len(self), (size,), generator=generator)
        if self.by_group is None:
            self.by_group = [torch.tensor([r for r, (s, _) in enumerate(self.place) if self.group[s] == g]) for g in range(len(shares))]
        groups = torch.multinomial(torch.tensor(shares), size, replacement=True, generator=generator)
        return torch.stack([rows[torch.randint(0, len(rows), (), generator=generator)] for rows in (self.by_group[g] for g in groups)])

    def has(self, name, clip):
        return name in self.shards[self.place[clip][0]]

    def get(self, name, clip, frames=None):
        """One clip's array or number, all frames or those named."""
        shard, row = self.place[clip]
        value = self.shards[shard][name][row]
        return torch.from_numpy(np.array(value if frames is None else value[np.asarray(frames)]))

    def stack(self, name, clips, frames):
        """Row i: array `name` of clip clips[i] at frame (or frames) frames[i]; float arrays come as float32."""
        rows = [self.get(name, int(c), f) for c, f in zip(clips, frames)]
        return torch.stack([r.float() if r.is_floating_point() else r for r in rows])


def farthest_points(points, count, start=None):
    """Farthest-point sampling: points [B,M,3] to indices [B,count]; random start points unless given [B]."""
    b, m, _ = points.shape
    index = torch.zeros(b, count, dtype=torch.long)
    current = torch.randint(0, m, (b,)) if start is None else start
    distance = torch.full((b, m), float("inf"))
    rows = torch.arange(b)
    for i in range(count):
        index[:, i] = current
        step = (points - points[rows, current][:, None]).square().sum(-1)
        distance = torch.minimum(distance, step)
        current = distance.argmax(-1)
    return index


def gather_points(points, index):
    """points [B,M,C], index [B,K] -> [B,K,C]."""
    return points.gather(1, index[..., None].expand(-1, -1, points.shape[-1]))


def creature_distance(points, segments):
    """Signed distance [B,Q] of points [B,Q,3] to smooth unions of tapered capsules [B,P,8]."""
    a, b, r0, r1 = segments[..., :3], segments[..., 3:6], segments[..., 6], segments[..., 7]
    axis = b - a
    length2 = axis.square().sum(-1).clamp_min(1e-8)
    offset = points[:, :, None] - a[:, None]
    h = ((offset * axis[:, None]).sum(-1) / length2[:, None]).clamp(0, 1)
    distance = (offset - h[..., None] * axis[:, None]).norm(dim=-1) - (r0[:, None] + h * (r1 - r0)[:, None])
    return -SMOOTHNESS * torch.logsumexp(-distance / SMOOTHNESS, -1)


def field_samples(clips, rows, frames, spreads, anywhere=0, generator=None):
    """Points [B,Q,3] and their signed distances [B,Q] for clip rows[i] at frame frames[i].

    Creatures: one point for each entry of `spreads`, that far (normally distributed) from a surface point, then `anywhere` points in
    the cube. Forms: as many of the shard's stored queries, in the same two parts."""
    near = len(spreads)
    points = clips.stack("points", rows, frames)
    index = torch.randint(0, points.shape[1], (len(rows), near), generator=generator)
    q = gather_points(points, index) + torch.randn(len(rows), near, 3, generator=generator) * spreads[:, None]
    q = torch.cat([q, torch.rand(len(rows), anywhere, 3, generator=generator) * 2.1 - 1.05], 1)
    distance = torch.empty(q.shape[:2])
    exact = [i for i, r in enumerate(rows.tolist()) if clips.has("segments", r)]
    if exact:
        distance[exact] = creature_distance(q[exact], clips.stack("segments", rows[exact], frames[exact]))
    for i in set(range(len(rows))) - set(exact):
        stored, value = (clips.get(name, int(rows[i]), int(frames[i])).float() for name in ("query", "distance"))
        split = len(value) * 2 // 3
        pick = torch.cat([torch.randint(0, split, (near,), generator=generator),
                          torch.randint(split, len(value), (anywhere,), generator=generator)])
        q[i], distance[i] = stored[pick], value[pick]
    return q, distance


def field_target(distance):
    return (distance / TRUNCATION).clamp(-1, 1)


def augment_images(images):
    """What a video codec and a slightly different renderer do: u8 [B,T,S,S,3] to u8, the same change for all frames of a clip.

    Brightness and contrast change by a few per cent, half of the clips lose chroma resolution or get noise, the picture may shift by
    one pixel (white comes in). Colours stay near their values because they code places on the body.
    """
    x = images.float()
    b = len(x)
    gain = 1 + 0.06 * torch.randn(b, 1, 1, 1, 3) * 0.5 + 0.04 * torch.randn(b, 1, 1, 1, 1)
    background = (images.amin(-1, keepdim=True) >= 250).float()
    x = x * background + (x * gain + 4 * torch.randn(b, 1, 1, 1, 1)) * (1 - background)
    for i in range(b):
        if torch.rand(()) < 0.5:
            x[i] = blur_chroma(x[i])
        if torch.rand(()) < 0.5:
            x[i] += torch.randn_like(x[i]) * 4 * torch.rand(())
        dy, dx = (int(v) for v in torch.randint(-1, 2, (2,)))
        if dy or dx:
            x[i] = shift(x[i], dy, dx)
    return x.round_().clamp_(0, 255).byte()


def blur_chroma(x):
    """Halves the colour resolution as 4:2:0 video does; x [T,S,S,3]."""
    luma = x @ torch.tensor([0.299, 0.587, 0.114])
    chroma = (x - luma[..., None]).permute(0, 3, 1, 2)
    chroma = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(chroma, 2), scale_factor=2, mode="nearest")
    return luma[..., None] + chroma.permute(0, 2, 3, 1)


def shift(x, dy, dx):
    moved = torch.roll(x, (dy, dx), (1, 2))
    if dy:
        moved[:, :dy] = 255 if dy > 0 else moved[:, :dy]
        if dy < 0:
            moved[:, dy:] = 255
    if dx > 0:
        moved[:, :, :dx] = 255
    elif dx < 0:
        moved[:, :, dx:] = 255
    return moved
