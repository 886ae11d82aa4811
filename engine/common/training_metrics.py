"""Names of what is measured of a training beside its loss, with their units: a group of curves of their own."""

from __future__ import annotations

LEARNING_RATE = "learning rate"
GRADIENT_NORM = "gradient norm"
MEMORY = "memory"  # resident, of the process
DEVICE_MEMORY = "device memory"  # that tensors take on the accelerator
SPEED = {"images": "images per second", "text": "sequences per second"}  # by the kind of data

UNITS = {MEMORY: "MB", DEVICE_MEMORY: "MB", SPEED["images"]: "1/s", SPEED["text"]: "1/s"}


def of_phase(name: str) -> tuple[str, str] | None:
    """“gradient norm” and “generator” of “gradient norm of generator_loss”; None of what is measured once."""
    head, found, phase = name.partition(" of ")
    return (head, phase.removesuffix("_loss")) if found and is_training_metric(name) else None


def is_training_metric(name: str) -> bool:
    """Whether a metric says how the training goes, not what is learned; of several phases each has its own rate and norm."""
    return name in UNITS or any(name == one or name.startswith(f"{one} of ") for one in (LEARNING_RATE, GRADIENT_NORM))
