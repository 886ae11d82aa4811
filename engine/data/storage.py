"""Room for pixels: in memory while they are few, in a mapped file of the cache folder when they are many."""

from __future__ import annotations

import atexit
import math
import os
import tempfile
from pathlib import Path

import numpy as np

from engine.common.user_folders import user_folder
from engine.data.dataset import BadData
from engine.data.limits import IN_MEMORY_BYTES, MAX_SET_BYTES

_AT_ONCE = 64  # images that are copied at once


def cache_folder() -> Path:
    """Where mapped pixels live: $PRIORAMA_CACHE or the system's cache folder."""
    if folder := os.environ.get("PRIORAMA_CACHE"):
        return Path(folder)
    return user_folder("cache") / "images"


def with_frames_before(frames: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(images [N, C, H, W], the frames before each [N, K, C, H, W]), in room of their own, of single frames uint8 [M, C, H, W].

    Args:
        rows: int64 [N, K + 1]: where in `frames` the K before an image are, the oldest first, and then itself.
    """
    images, before = room_for((len(rows), *frames.shape[1:])), room_for((len(rows), rows.shape[1] - 1, *frames.shape[1:]))
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        images[start : start + len(some)] = frames[some[:, -1]]
        before[start : start + len(some)] = frames[some[:, :-1]]
    return images, before


def room_for(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros uint8 [*shape]; beyond 512 MB a mapped file, which goes when nobody holds it any more.

    Raises:
        BadData: more than can be held, or no room on the disk.
    """
    size = math.prod(shape)
    if size > MAX_SET_BYTES:
        raise BadData(f"The images take {size / 2**30:,.0f} GB and the limit is {MAX_SET_BYTES / 2**30:.0f} GB; use a part of them.")
    if size <= IN_MEMORY_BYTES:
        return np.zeros(shape, np.uint8)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".pixels", dir=folder)
    try:
        with os.fdopen(handle, "r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a mapped file that meets a full disk later would end the process
            file.truncate(size)
            pixels = np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        os.unlink(name)
        raise BadData(f"The images need {size / 2**30:.1f} GB in {folder} ({error.strerror}); free some room there.") from error
    if os.name == "posix":
        os.unlink(name)  # the mapping keeps it alive; nothing is left behind even if the process is killed
    else:
        atexit.register(Path(name).unlink, missing_ok=True)
    return pixels
