"""Number formats: bf16 where the hardware has it, full precision where numbers are reported."""

from __future__ import annotations

import contextlib
import platform
from functools import cache

import torch


@cache
def best(device: str) -> str:
    """What `precision=auto` means on this device: decided by what the hardware has, never by timing."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        return "bf16" if _cpu_gains_from_bf16() else "fp32"
    return "fp32"


def _cpu_gains_from_bf16() -> bool:
    """AMX tiles, or AMD's `avx512_bf16`. Intel's `avx512_bf16` without AMX has no more multipliers than fp32 and pays for
    the conversions: convolutions and linear layers measured 0.5 to 0.8 of their fp32 speed."""
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and "AuthenticAMD" in _processor()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next((line for line in lines if line.startswith("vendor_id")), "")
    except OSError:
        return platform.processor()


def resolve(precision: str, device: str) -> str:
    """The precision meant by "auto" on a device; any other name as it is."""
    return best(device.split(":")[0]) if precision == "auto" else precision


def autocast(precision: str, device: str) -> contextlib.AbstractContextManager:
    """Networks inside run in `precision`; losses inside must be wrapped in `full`."""
    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=precision == "bf16")


def full(device: torch.device) -> contextlib.AbstractContextManager:
    """Losses, densities and scores: whatever surrounds this, inside nothing is rounded to bf16."""
    return torch.autocast(device.type, enabled=False)
