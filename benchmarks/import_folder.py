"""Importing 100,000 small PNG files of ten class folders to the end, with its check for copies and its hash, beside a plain loop of PIL on
one core that only decodes; the same files in one tar; and files as CIFAR-10 and MNIST come. `PRIORAMA_BENCH_FILES` sets another number.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks import Row, main
from engine.data import close, open_data

FILES = int(os.environ.get("PRIORAMA_BENCH_FILES", "100000"))
CLASSES, SIDE = 10, 32
FASTER = 1.7  # times the loop on one core, on two
MEGABYTES = 1024
LIMIT_CIFAR, LIMIT_MNIST = 15.0, 10.0  # seconds
LOOK_EVERY = 0.05  # seconds between two looks at the memory


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRIORAMA_CACHE"] = str(Path(folder) / "cache")
        pictures = Path(folder) / "pictures"
        files = _write(pictures, FILES)
        shelf = Path(folder) / "pictures.tar"
        with tarfile.open(shelf, "w") as archive:
            archive.add(pictures, "pictures")
        peer = _seconds(lambda: _loop(files))
        ours, memory = _imported(pictures, FILES)
        packed_peer = _seconds(lambda: _loop_of_tar(shelf))
        packed, packed_memory = _imported(shelf, FILES)
        cifar, mnist = _write_cifar(Path(folder) / "cifar-10-batches-py"), _write_mnist(Path(folder) / "MNIST")
        seconds_cifar, _ = _imported(cifar, 60_000)
        seconds_mnist, _ = _imported(mnist, 70_000)
    close()
    most = max(memory, packed_memory)
    words = f"{FILES:,} PNG, {SIDE}×{SIDE}"
    return [
        Row(f"import of a folder, {words}", ours, "s", "PIL in a loop, one core, s", peer, peer / ours, f"≥ {FASTER}×",
            peer / ours >= FASTER),
        Row(f"import of a tar, {words}", packed, "s", "tarfile and PIL in a loop, s", packed_peer, packed_peer / packed, "≥ 0.8×",
            packed_peer / packed >= 0.8),
        Row(f"memory of importing {words}, all processes", most, "MB", "a fixed limit", MEGABYTES, most / MEGABYTES, f"≤ {MEGABYTES} MB",
            most <= MEGABYTES),
        Row("import of CIFAR-10", seconds_cifar, "s", "a fixed limit", LIMIT_CIFAR, seconds_cifar / LIMIT_CIFAR, f"≤ {LIMIT_CIFAR:g} s",
            seconds_cifar <= LIMIT_CIFAR),
        Row("import of MNIST", seconds_mnist, "s", "a fixed limit", LIMIT_MNIST, seconds_mnist / LIMIT_MNIST, f"≤ {LIMIT_MNIST:g} s",
            seconds_mnist <= LIMIT_MNIST),
    ]  # fmt: skip


def _imported(path: Path, images: int) -> tuple[float, float]:
    """(seconds, most megabytes that were resident in this process and those that read for it)."""
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY):
            seen.append(_resident())

    watching = threading.Thread(target=watch)
    watching.start()
    started = time.perf_counter()
    try:
        data = open_data(str(path))
    finally:
        seconds = time.perf_counter() - started
        done.set()
        watching.join()
    assert sum(data.report.counts.values()) == images and data.report.bad_total == 0
    return seconds, max(seen, default=_resident())


def _resident() -> float:
    total = psutil.Process().memory_info().rss
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _loop(files: list[Path]) -> np.ndarray:
    images = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for place, file in enumerate(files):
        with Image.open(file) as image:
            images[place] = np.asarray(image.convert("RGB"))
    return images


def _loop_of_tar(path: Path) -> list[np.ndarray]:
    found = []
    with tarfile.open(path) as archive:
        for entry in archive:
            if (stream := archive.extractfile(entry)) is not None:
                found.append(np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB")))
    return found


def _write(folder: Path, count: int) -> list[Path]:
    """Coloured slopes with a little noise, no two alike, uint8 PNG of some 2 KB."""
    rng = np.random.default_rng(0)
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    files = []
    for number in range(count):
        colors = rng.integers(0, 200, (3, 2))
        slopes = [first + (across if second % 2 else down) * second // 200 for first, second in colors]
        pixels = np.stack(slopes, 2) + rng.integers(0, 24, (SIDE, SIDE, 3))
        file = folder / f"class {number % CLASSES}" / f"{number:07}.png"
        if number < CLASSES:
            file.parent.mkdir(parents=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file, compress_level=1)
        files.append(file)
    return files


def _write_cifar(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        table = {b"data": rng.integers(0, 256, (10_000, 3072), np.uint8), b"labels": rng.integers(0, 10, 10_000).tolist()}
        (folder / name).write_bytes(pickle.dumps(table, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"class %d" % n for n in range(10)]}, 2))
    return folder


def _write_mnist(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        for kind, values in (("images-idx3", rng.integers(0, 256, (count, 28, 28), np.uint8)), ("labels-idx1", np.arange(count) % 10)):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + values.astype(np.uint8).tobytes())
    return folder


if __name__ == "__main__":
    main(measure)
