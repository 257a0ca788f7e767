"""Holds networks.py against recorded outputs of the public implementations (float32, per-tensor tolerances of the records).

    python3 check_golden.py PATH        PATH holds denoiser_forward, triposg_vae_decode, triposg_vae_encode and dinov2
"""
import argparse
import json
import os
import sys

import numpy as np
import torch

import tensorfile
from networks import Autoencoder, Denoiser, ImageEncoder


def read_case(root, name):
    folder = os.path.join(root, name)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in tensorfile.load(os.path.join(folder, "io.safetensors")).items()}
    weights = {k: torch.from_numpy(np.array(v)) for k, v in tensorfile.load(os.path.join(folder, "weights.safetensors")).items()}
    return config, tensors, weights


class Report:
    def __init__(self):
        self.failed = 0

    def compare(self, case, config, tensors, name, value):
        want, tolerance = tensors["out." + name], config["tolerance"][name]
        error = (value - want).abs()
        ok = bool((error <= tolerance["atol"] + tolerance["rtol"] * want.abs()).all())
        self.failed += not ok
        print(f"{case} {name} error {float(error.max()):.2e} tolerance {tolerance['atol']:.0e} {'ok' if ok else 'FAIL'}")


def check_denoiser(root, report):
    config, io, weights = read_case(root, "denoiser_forward")
    for variant, options in config["variants"].items():
        net = Denoiser({**config["model"], "inflated_layers": options["inflated_layers"]})
        net.load_state_dict(weights)
        velocity = net(io["in.hidden_states"], io["in.context"], io["in.framestep"], io["in.diffusion_time"], io["in.mask"])
        report.compare("denoiser_forward", config, io, f"{variant}.velocity", velocity)


def check_autoencoder(root, report):
    config, io, weights = read_case(root, "triposg_vae_decode")
    net = Autoencoder(config["model"])
    net.load_state_dict(weights)
    cache = net.expand(io["in.latents"])
    report.compare("triposg_vae_decode", config, io, "kv_cache", cache)
    report.compare("triposg_vae_decode", config, io, "logits", net.field(cache, io["in.queries"])[..., None])
    report.compare("triposg_vae_decode", config, io, "cross_attn_mean", net.token_rows(cache, io["in.queries"]))
    config, io, weights = read_case(root, "triposg_vae_encode")
    net.load_state_dict(weights)
    mean, logvar = net.encode(io["in.surface"][..., :3], io["in.surface"][..., 3:], io["in.fps_indices"].long()[None])
    report.compare("triposg_vae_encode", config, io, "mean", mean)
    report.compare("triposg_vae_encode", config, io, "logvar", logvar)


def check_image_encoder(root, report):
    config, io, weights = read_case(root, "dinov2")
    net = ImageEncoder(config["model"])
    net.load_state_dict(weights)
    for name, value in io.items():
        size = name.split(".")[-1]
        side = config["model"]["image_size"]
        if name.startswith("in.pixel_values") and size == f"{side}x{side}":
            report.compare("dinov2", config, io, f"last_hidden_state.{size}", net(value))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("path", help="folder with the recorded cases")
    args = parser.parse_args()
    report = Report()
    with torch.no_grad():
        check_denoiser(args.path, report)
        check_autoencoder(args.path, report)
        check_image_encoder(args.path, report)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
