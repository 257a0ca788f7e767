"""Flow schedule, anchored noise and the sampling loop, as the C side runs them."""
import torch
from scipy.optimize import linear_sum_assignment

ANCHOR_PULL = 0.6


def flow_times(steps, shift, train_steps=1000):
    """sigma_0..sigma_n of the published schedule: starts at 1, ends just above 0; the shift acts twice."""
    least = shift / (train_steps + shift - 1)
    times = []
    for k in range(steps + 1):
        u = 1 - k / steps * (1 - least)
        times.append(shift * u / (1 + (shift - 1) * u))
    return times


def match_noise(noise, tokens, pull=ANCHOR_PULL):
    """Permutes each noise set [B,N,D] so that the summed squared distance to tokens [B,N,D] is least, then pulls it towards them.

    Matching alone does not tell which token a noise vector belongs to: with 64 tokens in 16 dimensions only 0.42 of the tokens can be
    found back. With the pull, pull * token + sqrt(1 - pull^2) * noise, it is 0.97. pull is a number or [B] (0 = matching alone).
    """
    cost = torch.cdist(tokens.float(), noise.float()).square().numpy()
    matched = torch.stack([n[torch.from_numpy(linear_sum_assignment(c)[1])] for n, c in zip(noise, cost)])
    pull = torch.as_tensor(pull, dtype=torch.float32).reshape(-1, 1, 1)
    return pull * tokens + (1 - pull.square()).sqrt() * matched


def sample(denoiser, context, framestep, clean, mask, noise, steps=4, shift=3.0, guidance=1.0, watch=None):
    """Euler steps from noise [B,N,D] (matched, shared by the frames). clean [B,T,N,D], mask [B,T].

    guidance other than 1 moves the velocity away from that of an empty context (classifier-free guidance). watch(k) is called after each network evaluation, for reading attention. Returns latents [B,T,N,D].
    """
    schedule = flow_times(steps, shift)
    known = mask[..., None, None]
    x = known * clean + (1 - known) * noise[:, None].expand_as(clean)
    for k in range(steps):
        time = torch.full((len(x),), 1000 * schedule[k])
        v = denoiser(x, context, framestep, time, mask)
        if guidance != 1:
            empty = denoiser(x, torch.zeros_like(context), framestep, time, mask)
            v = empty + guidance * (v - empty)
        if watch:
            watch(k)
        x = x + (schedule[k] - schedule[k + 1]) * v * (1 - known)
    return x
