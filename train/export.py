"""Writes a model directory: safetensors in float16, the configurations and model.yaml.

    python3 export.py --vae latents/vae.pt --denoiser denoiser.pt --out models/mini
    python3 export.py --random 1 --out DIR          untrained weights of the same names and shapes, for tests of a loader
"""
import argparse
import hashlib
import json
import os

import numpy as np
import torch

import checkpoint
import tensorfile
from networks import (AUTOENCODER_CONFIG, DENOISER_CONFIG, IMAGE_CONFIG, IMAGE_MEAN, IMAGE_STD, Autoencoder, Denoiser,
                      ImageEncoder)
from sampling import ANCHOR_PULL

MODEL_YAML = """\
name: {name}
networks:
  denoiser: {{path: denoiser}}
  vae: {{path: vae, points: 768, preselect: 0}}
  image_encoder: {{path: image_encoder}}
  image_to_3d: denoiser      # the same weights: one frame, nothing known
noise: matched               # one noise set for all frames of a window, assigned to the anchor's tokens ...
noise_anchor: {pull}            # ... and pulled towards them: p * token + sqrt(1 - p^2) * noise; 0 where no frame is known
steps: 4
shift: 3.0
guidance: 1.0                # 1 = off
anchor:                      # made from the image alone: mean of four draws of four frames each
  draws: 4
  frames: 4
attention:
  layers: {layers}             # paired with heads: entry i is head heads[i] of layer layers[i]
  heads: {heads}
  step: last
  branch: conditional
  direction: frame_to_anchor
  sinkhorn: {sinkhorn}                # row and column passes
  power: {power}
chain:
  unit_norm: true            # candidate rows scaled to unit Euclidean length
  topk: {topk}
  temperature: {temperature}           # relative to the best score
animate:
  smooth_sigma: 0.7          # frames; the creatures' limbs swing in eight
  final_sigma: 0.5
  beta: 3                    # few tokens map the ring of a limb to its middle: wider than a limb, the fit keeps its thickness
field:
  inside: negative
view: {{known: true, azimuth: 35, elevation: 20}} # the creatures' camera, and about that of the forms
supervised_heads:            # heads that saw an alignment loss in training; the others did not
  layers: {supervised_layers}
  heads: {supervised_heads}
familiar: {{path: familiar.safetensors}} # what familiar input looks like (input_statistics.py)
training:
  note: "{note}"
  plans: [quad, biped, bird]
  seeds: {{train: "1..899999", validation: "900000..999999", test: "1000000.."}}
  seed: {seed}
  weights_sha256: {digest}
"""


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def write_network(folder, module, config):
    """config.json and model.safetensors; returns the bytes' digest."""
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "config.json"), config)
    path = os.path.join(folder, "model.safetensors")
    tensorfile.save(path, {k: v.detach().float().numpy().astype(np.float16) for k, v in sorted(module.state_dict().items())})
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).digest()


def load_modules(args):
    """Autoencoder, denoiser and image encoder, trained or random."""
    torch.manual_seed(args.random or 0)
    modules = Autoencoder(AUTOENCODER_CONFIG), Denoiser(DENOISER_CONFIG), ImageEncoder(IMAGE_CONFIG)
    if args.random is None:
        modules[0].load_state_dict(checkpoint.load(args.vae)["model"])
        state = checkpoint.load(args.denoiser)["average"]
        for module, prefix in ((modules[1], "denoiser."), (modules[2], "image_encoder.")):
            module.load_state_dict({k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)})
    return modules


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--vae", help="checkpoint with the standardised autoencoder (encode_latents.py)")
    parser.add_argument("--denoiser", help="checkpoint of train_denoiser.py")
    parser.add_argument("--random", type=int, metavar="SEED", help="export untrained weights instead")
    parser.add_argument("--chain", help="JSON file with the chosen chain settings (evaluate.py --select)")
    parser.add_argument("--name", default="mini", help="name in model.yaml")
    parser.add_argument("--note", default="", help="one line for model.yaml")
    parser.add_argument("--seed", type=int, default=1, help="training seed, for the record")
    parser.add_argument("--out", required=True, help="model directory to write")
    args = parser.parse_args()
    if args.random is None and not (args.vae and args.denoiser):
        parser.error("--vae and --denoiser are needed unless --random is given")
    chain = dict(layers=[3, 4], heads=[0, 0], sinkhorn=6, power=2.0, topk=32, temperature=0.1)
    if args.chain:
        with open(args.chain) as f:
            chain.update(json.load(f))
    vae, denoiser, image = load_modules(args)
    digest = hashlib.sha256()
    digest.update(write_network(os.path.join(args.out, "vae"), vae, AUTOENCODER_CONFIG))
    digest.update(write_network(os.path.join(args.out, "denoiser"), denoiser, DENOISER_CONFIG))
    digest.update(write_network(os.path.join(args.out, "image_encoder"), image, IMAGE_CONFIG))
    write_json(os.path.join(args.out, "image_encoder", "preprocessor_config.json"), dict(
        image_processor_type="BitImageProcessor", do_resize=True, size=dict(shortest_edge=64), resample=3, do_center_crop=True,
        crop_size=dict(height=64, width=64), do_rescale=True, rescale_factor=1 / 255, do_normalize=True,
        image_mean=list(IMAGE_MEAN), image_std=list(IMAGE_STD), do_convert_rgb=True))
    with open(os.path.join(args.out, "model.yaml"), "w") as f:
        f.write(MODEL_YAML.format(name=args.name, note=args.note, seed=args.seed, digest=digest.hexdigest(), pull=ANCHOR_PULL,
                                  supervised_layers=[3, 4], supervised_heads=[0, 0], **chain))
    total = sum(os.path.getsize(os.path.join(d, n)) for d, _, names in os.walk(args.out) for n in names)
    print(f"{args.out}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
