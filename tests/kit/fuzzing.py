"""How many mutated files a fuzz test tries: a few in a usual run, as many as a budget of processor time allows in a slow one.

A budget of processor time and not of seconds: a slow or busy machine tries fewer and takes no longer. `PRIORAMA_FUZZ=10000` tries that
many of every reader, however long it takes: for the night.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil

FEW, MANY = 60, 10_000
ALL = int(os.environ.get("PRIORAMA_FUZZ", "0"))  # files of every reader, without a budget; 0: as many as the budget allows
CPU_SECONDS = 18.0  # of each reader, in this process and in the one that reads
LOOK_EVERY = 20  # files between two looks at the budget


def cpu_seconds() -> float:
    """Processor time of this process and of all that it has started, the living and the ended."""
    spent = os.times()
    total = spent.user + spent.system + spent.children_user + spent.children_system
    for child in psutil.Process().children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def numbers(many: bool) -> Iterator[int]:
    """The numbers of the files to try: `FEW`, or with `many` all that are asked for, at least `FEW`, while the budget lasts."""
    count = (ALL or MANY) if many else FEW
    until = cpu_seconds() + (CPU_SECONDS if many and not ALL else float("inf"))
    for number in range(count):
        if number >= FEW and number % LOOK_EVERY == 0 and cpu_seconds() >= until:
            return
        yield number
