"""Encodes all clips with the trained autoencoder and folds the latents' standardisation into it.

Per shard S this writes OUT/S.latents.safetensors: latents f16[C,draws,16,N,D] (each draw has its own farthest-point tokens, chosen on a
random frame and shared by all frames) and tokens i16[C,draws,N] (indices into the shard's points). OUT/vae.pt is the autoencoder whose
latents have zero mean and unit variance per channel. Shards already encoded are skipped.
"""
import argparse
import os

import torch

import checkpoint
import tensorfile
from data import Clips, farthest_points, shard_files
from networks import AUTOENCODER_CONFIG, TOKENS, Autoencoder
from train_vae import INPUT_POINTS


def encode_clip(net, points, normals):
    """All frames [16,M,3] of one clip with one shared index set. Returns mean [16,N,D] and the tokens' point indices [N]."""
    chosen = torch.randperm(points.shape[1])[:INPUT_POINTS]
    frame = int(torch.randint(0, len(points), ()))
    index = farthest_points(points[frame:frame + 1, chosen], TOKENS)
    with torch.autocast("cpu", torch.bfloat16):
        mean, _ = net.encode(points[:, chosen], normals[:, chosen], index.expand(len(points), -1))
    return mean, chosen[index[0]]


def fold(net, mean, std):
    """Rewrites quant and post_quant so that the latent becomes (z - mean) / std."""
    d = len(mean)
    with torch.no_grad():
        net.quant.weight[:d] /= std[:, None]
        net.quant.bias[:d] = (net.quant.bias[:d] - mean) / std
        net.quant.bias[d:] -= 2 * std.log()
        net.post_quant.bias += net.post_quant.weight @ mean
        net.post_quant.weight *= std


def load_clip(clips, i):
    return clips.get("points", i).float(), clips.get("normals", i).float()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--vae", required=True, help="checkpoint of train_vae.py")
    parser.add_argument("--data", required=True, help="glob of shards, or several separated by spaces")
    parser.add_argument("--out", required=True, help="folder for latents and the standardised autoencoder")
    parser.add_argument("--draws", type=int, default=2, help="token sets a clip")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    checkpoint.setup(args.seed)
    os.makedirs(args.out, exist_ok=True)
    folded = os.path.join(args.out, "vae.pt")
    net = Autoencoder(AUTOENCODER_CONFIG).eval()
    if not os.path.exists(folded):
        net.load_state_dict(checkpoint.load(args.vae)["model"])
        clips = Clips(args.data, limit=256)
        z = torch.stack([encode_clip(net, *load_clip(clips, i))[0] for i in range(len(clips))]).flatten(0, 2)
        fold(net, z.mean(0), z.std(0))
        checkpoint.save(folded, dict(model=net.state_dict(), mean=z.mean(0), std=z.std(0)))
        print("channel std before folding:", " ".join(f"{v:.2f}" for v in z.std(0)))
    net.load_state_dict(checkpoint.load(folded)["model"])
    for path in shard_files(args.data)[0]:
        name = os.path.basename(path).removesuffix(".safetensors")
        target = os.path.join(args.out, name + ".latents.safetensors")
        if os.path.exists(target):
            continue
        clips = Clips(path)
        torch.manual_seed(args.seed + int(clips.get("seed", 0)))
        drawn = [[encode_clip(net, *load_clip(clips, i)) for _ in range(args.draws)] for i in range(len(clips))]
        latents = torch.stack([torch.stack([z for z, _ in row]) for row in drawn])
        tokens = torch.stack([torch.stack([t for _, t in row]) for row in drawn])
        tensorfile.save(target, dict(latents=latents.half().numpy(), tokens=tokens.int().numpy()))
        print(f"{target}: {len(clips)} clips, std {float(latents.std()):.3f}", flush=True)


if __name__ == "__main__":
    main()
