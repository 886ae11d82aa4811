"""Number formats: bf16 where the hardware has it, full precision where numbers are reported."""

from __future__ import annotations

import contextlib
from functools import cache

import torch


@cache
def best(device: str) -> str:
    """What `precision=auto` means on this device: decided by what the hardware has, never by timing."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
    return "fp32"


def resolve(precision: str, device: str) -> str:
    return best(device.split(":")[0]) if precision == "auto" else precision


def autocast(precision: str, device: str) -> contextlib.AbstractContextManager:
    """Networks inside run in `precision`; losses inside must be wrapped in `full`."""
    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=precision == "bf16")


def full(device: torch.device) -> contextlib.AbstractContextManager:
    """Losses, densities and scores: whatever surrounds this, inside nothing is rounded to bf16."""
    return torch.autocast(device.type, enabled=False)
