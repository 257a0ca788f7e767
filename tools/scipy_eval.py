#!/usr/bin/python3
"""CD-3D (no alignment), CD-M and NC-GT of true meshes against surfaces.npy with numpy and scipy's cKDTree: the other side of tools/bench-eval.

scipy_eval.py FOLDER [normals]: a clip from `chain4d-synth minibench --full`. The same points, queries and sums as `chain4d-eval --align none
--no-baselines`, but for the draws of CD-M, which come from another generator. Prints CD-3D, CD-M, NC-GT (0 if not asked for), and seconds of wall clock
and processor."""
import json
import os
import sys
import time

import numpy as np
from scipy.spatial import cKDTree

SAMPLES, QUERIES, SEED, WORKERS = 100000, 10000, 44, 2


def read_safetensors(path, names):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
        data = f.read()
    dtype = {"F32": "<f4", "I32": "<i4"}
    return [np.frombuffer(data[slice(*header[n]["data_offsets"])], dtype[header[n]["dtype"]]).reshape(header[n]["shape"]) for n in names]


def areas(vert, face):
    a, b, c = (vert[face[:, k]].astype(np.float64) for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def sample(vert, face, seed):
    """trimesh's rules: faces by cumulated area, then two uniforms reflected into the triangle."""
    rng = np.random.default_rng(seed)
    total = np.cumsum(areas(vert, face))
    chosen = face[np.searchsorted(total, rng.random(SAMPLES) * total[-1])]
    uv = rng.random((SAMPLES, 2))
    uv = np.where(uv.sum(axis=1, keepdims=True) > 1, np.abs(uv - 1), uv)
    a, b, c = (vert[chosen[:, k]].astype(np.float64) for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    return (a + uv[:, :1] * (b - a) + uv[:, 1:] * (c - a)).astype(np.float32), normal.astype(np.float32)


def score_frame(pred, pred_normal, truth, truth_normal, normals):
    """CD and NC-GT of one frame. Where all points are queried for the normals, CD takes its queries from among them."""
    p = np.random.RandomState(SEED).permutation(len(pred))[:QUERIES]
    g = np.random.RandomState(SEED + 1).permutation(len(truth))[:QUERIES]
    pred_tree, truth_tree = cKDTree(pred), cKDTree(truth)
    if not normals:
        return pred_tree.query(truth[g], workers=WORKERS)[0].mean() + truth_tree.query(pred[p], workers=WORKERS)[0].mean(), 0
    back, to_pred = pred_tree.query(truth, workers=WORKERS)
    there, to_truth = truth_tree.query(pred, workers=WORKERS)
    consistency = np.abs((pred_normal * truth_normal[to_truth]).sum(axis=1)).mean() + np.abs((truth_normal * pred_normal[to_pred]).sum(axis=1)).mean()
    return there[p].mean() + back[g].mean(), consistency / 2


def chamfer_motion(verts, face, truth):
    rng = np.random.default_rng(SEED)
    area = areas(verts[0], face)
    chosen = face[rng.choice(len(face), SAMPLES, p=area / area.sum())]
    u, v = np.sqrt(rng.random((SAMPLES, 1))), rng.random((SAMPLES, 1))
    pred = (1 - u) * verts[:, chosen[:, 0]] + u * (1 - v) * verts[:, chosen[:, 1]] + u * v * verts[:, chosen[:, 2]]
    to_pred = cKDTree(pred[0]).query(truth[0], workers=WORKERS)[1]
    to_truth = cKDTree(truth[0]).query(pred[0], workers=WORKERS)[1]
    return np.linalg.norm(truth - pred[:, to_pred], axis=2).mean() + np.linalg.norm(pred - truth[:, to_truth], axis=2).mean()


def main():
    wall, cpu = time.time(), time.process_time()
    folder, normals = sys.argv[1], len(sys.argv) > 2
    verts, face = read_safetensors(os.path.join(folder, "gt.safetensors"), ["verts", "faces"])
    truth = np.load(os.path.join(folder, "surfaces.npy")).astype(np.float32)
    frames = [score_frame(*sample(verts[k], face, SEED + k), truth[k, :, :3], truth[k, :, 3:], normals) for k in range(len(truth))]
    cd, consistency = np.mean(frames, axis=0)
    motion = chamfer_motion(verts, face, truth[..., :3])
    print(f"{cd:.6f} {motion:.6f} {consistency:.6f} {time.time() - wall:.2f} {time.process_time() - cpu:.2f}")


main()
