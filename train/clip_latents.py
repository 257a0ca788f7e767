"""Shards together with their encoded latents."""
import os

import numpy as np
import torch

import tensorfile
from data import Clips


class ClipLatents(Clips):
    """Clips whose latents encode_latents.py has written; shards without latents are left out."""

    def __init__(self, patterns, folder, limit=None):
        super().__init__(patterns, limit)
        files = [os.path.join(folder, os.path.basename(f).removesuffix(".safetensors") + ".latents.safetensors") for f in self.files]
        self.encoded = [tensorfile.load(f) if os.path.exists(f) else None for f in files]
        self.place = [(s, c) for s, c in self.place if self.encoded[s] is not None]

    def latents(self, rows, frames, draw=None):
        """Standardised latents [B,T,N,D] of clips rows [B] at frames [B,T], from a random (or the given) token draw."""
        out = []
        for row, frame in zip(rows, frames):
            shard, clip = self.place[int(row)]
            z = self.encoded[shard]["latents"][clip]
            d = int(torch.randint(0, len(z), ())) if draw is None else draw
            out.append(torch.from_numpy(np.array(z[d][frame.numpy()], np.float32)))
        return torch.stack(out)

    def tokens(self, row, draw=0):
        """Indices [N] of the token's query points into the clip's points."""
        shard, clip = self.place[row]
        return torch.from_numpy(np.array(self.encoded[shard]["tokens"][clip][draw])).long()
