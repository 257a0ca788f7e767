"""Shards written by chain4d-synth, and the geometry that training needs: farthest points, the creatures' exact distance field.

A shard is a safetensors file of C clips: image u8[C,16,64,64,3], points f16[C,16,M,3], normals f16[C,16,M,3] (point j is the same
body point in all frames), segments f32[C,16,18,8] (capsule ends a, b and radii; negative radius = unused), patch_xyz f16[C,16,8,8,3],
patch_cover f16[C,16,8,8], plan u8[C], seed i64[C].
"""
import glob

import numpy as np
import torch

import tensorfile

SMOOTHNESS = 0.025    # k of the log-sum-exp union of the capsules
TRUNCATION = 0.15     # the field is distance / TRUNCATION, clamped to [-1, 1], negative inside


class Clips:
    """All clips of the shards that match a pattern; arrays stay on disk and are read as needed."""

    def __init__(self, pattern, limit=None):
        files = sorted(glob.glob(pattern))
        if not files:
            raise SystemExit(f"no shard matches {pattern}")
        self.shards = [tensorfile.load(f) for f in files]
        self.place = [(s, c) for s, shard in enumerate(self.shards) for c in range(len(shard["plan"]))][:limit]
        self.frames = self.shards[0]["image"].shape[1]

    def __len__(self):
        return len(self.place)

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
