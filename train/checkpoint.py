"""Checkpoints that survive a kill at any moment, and small run-time settings shared by the trainers."""
import os
import time

import torch


def setup(seed, threads=1):
    """One thread a process: on a shared machine the barriers of more threads cost more than they bring."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)


def save(path, state):
    """Writes beside the target and renames."""
    temporary = f"{path}.tmp{os.getpid()}"
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(path):
    """Returns the checkpoint or None where there is none yet."""
    return torch.load(path, map_location="cpu") if path and os.path.exists(path) else None


class Log:
    """Lines to a file and to the terminal, each with the seconds trained so far."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def __call__(self, text):
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, flush=True)
        self.file.write(line + "\n")


class Average:
    """Exponential moving average of a state dict, with a warm-up so that the start is forgotten."""

    def __init__(self, module, decay, state=None, steps=0):
        self.decay, self.steps = decay, steps
        self.state = state or {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            self.state[name].mul_(decay).add_(value, alpha=1 - decay)
