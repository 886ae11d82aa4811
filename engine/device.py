"""Which device a job runs on, said in words when the wished one is missing."""

from __future__ import annotations

import os

import torch

LOST = ("cuda error", "cudnn error", "cuda driver error", "cuda initialization", "hip error", "mps backend", "accelerator", "nccl error")


class NoDevice(ValueError):
    """One sentence: the device that is missing and what there is instead."""


def available() -> tuple[str, ...]:
    """The kinds of device there are, best first."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


def choose(wish: str) -> str:
    """`auto` is the best there is.

    Raises:
        NoDevice: the wished device is not on this machine.
    """
    there = available()
    if wish == "auto":
        return there[0]
    if wish.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise NoDevice(f"There is no device called “{wish}”; choose auto, cpu, cuda or mps.")
    if wish.split(":")[0] not in there:
        name = "CUDA GPU" if wish.startswith("cuda") else "Apple GPU (MPS)"
        raise NoDevice(f"This machine has no {name} that PyTorch can use; choose the device {there[0]}, or auto.")
    kind, _, number = wish.partition(":")
    if wish != kind and not (kind == "cuda" and number.isdigit() and int(number) < torch.cuda.device_count()):
        raise NoDevice(f"There is no device “{wish}” here; choose auto or {there[0]}.")
    return wish


def describe(device: str) -> str:
    """The device's name as the window shows it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device == "mps" else "CPU"


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the device or the machine had no memory left. CUDA, MPS and CPU word it differently."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def device_lost(error: BaseException) -> str:
    """What a GPU or its driver answered when it failed for another reason than memory, in its own words; "" for any other error.

    torch words it as “CUDA error: …” with lines of advice to programmers below, or by the status of a library of the driver's.
    """
    first = str(error).strip().partition("\n")[0].strip().rstrip(".")
    if isinstance(error, RuntimeError) and not out_of_memory(error) and first.lower().startswith(LOST):
        return first
    return ""


def fits(bytes_: int, device: str) -> bool:
    """Whether a data set may live on the device: in at most half of what is free there. On the CPU it is where it is."""
    if device.startswith("cuda"):
        return bytes_ < torch.cuda.mem_get_info(device)[0] // 2
    if device == "mps":
        return bytes_ < (torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()) // 2
    return True


def release(device: str) -> None:
    """Give cached memory back to the device."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
