"""Writes familiar.safetensors into a model directory: what the image features of validation clips look like.

    python3 input_statistics.py --model models/mini --data '/path/to/validation*.safetensors'

mean [W] and whiten [W,W] of a frame's mean patch token x, so that |whiten (x - mean)| / sqrt(W) is about 1 for a familiar frame
(Mahalanobis distance), and the limit beyond which chain4d says that an input is unlike the training data: 1.25 times the 99.9th
percentile over the clips, every second one, that did not enter mean and whiten.
"""
import argparse
import json
import os

import numpy as np
import torch

import tensorfile
from data import shard_files
from networks import ImageEncoder, normalise_images


def load_encoder(folder):
    with open(os.path.join(folder, "config.json")) as f:
        encoder = ImageEncoder(json.load(f))
    weights = tensorfile.load(os.path.join(folder, "model.safetensors"))
    encoder.load_state_dict({k: torch.from_numpy(np.array(v, np.float32)) for k, v in weights.items()})
    return encoder.eval()


def mean_tokens(encoder, images):
    """images u8 [n,S,S,3]; returns [n,W]: the mean of the patch tokens of each."""
    with torch.no_grad():
        return torch.cat([encoder(normalise_images(part))[:, 1:].mean(1) for part in images.split(256)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", required=True, help="model directory that export.py wrote")
    parser.add_argument("--data", required=True, help="glob of validation shards, or several separated by spaces")
    parser.add_argument("--clips", type=int, default=1000, help="clips that are used")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder(os.path.join(args.model, "image_encoder"))
    images = np.concatenate([tensorfile.load(p)["image"] for p in shard_files(args.data)[0]])[:args.clips]
    known, other = (mean_tokens(encoder, torch.from_numpy(part.reshape(-1, *part.shape[2:]))) for part in (images[::2], images[1::2]))
    mean, covariance = known.mean(0), torch.cov(known.T)
    covariance += 1e-4 * covariance.diag().mean() * torch.eye(len(mean))
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))
    distance = ((other - mean) @ whiten.T).square().mean(1).sqrt()
    limit = 1.25 * float(torch.quantile(distance, 0.999))
    tensorfile.save(os.path.join(args.model, "familiar.safetensors"),
                    dict(mean=mean.numpy(), whiten=whiten.numpy(), limit=np.array([limit], np.float32)))
    print(f"{len(known)} + {len(other)} frames: distance median {distance.median():.3f}, 99.9 % {limit / 1.25:.3f}, limit {limit:.3f}")


if __name__ == "__main__":
    main()
