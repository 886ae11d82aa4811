"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the Python batches, read without running what is pickled in them, and the binary ones."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.counting import number_of
from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.limits import MAX_PICKLE_BYTES
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, promised
from engine.data.unpickling import Refused, unpickle

PIXELS = 3 * 32 * 32
_LONGEST_NAMES = 10_000  # bytes of the file that lists the classes
_AT_ONCE = 512  # images handed over at once, 1.5 MB
_NAMES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BATCHES_10 = tuple(f"data_batch_{n}" for n in range(1, 6))
_FULL = {"train": 50_000, "test": 10_000}
_BY_FOLDER = {"cifar-10-batches-py": "cifar-10", "cifar-10-batches-bin": "cifar-10"}
_BY_FOLDER_100 = {"cifar-100-python": "cifar-100", "cifar-100-binary": "cifar-100"}
_NAMES = ("batches.meta.txt", "batches.meta", "meta", "fine_label_names.txt", "coarse_label_names.txt")  # of the classes


def recognizes(path: Path) -> bool:
    """Whether batches of CIFAR lie there."""
    return bool(_batches(path))


def summary(path: Path) -> str:
    """Size and kind, as the list of data sets shows them."""
    return f"32×32 colour · CIFAR, {number_of(len(_batches(path)), 'batch file')}"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """Every batch that is there; what is missing is said in a note. Raises BadData for a damaged or hostile batch."""
    folder = path.parent if path.is_file() else path
    batches = _batches(path)
    hundred = any(file.stem in ("train", "test") for _, file in batches)
    fine = hundred and recipe.labels != "coarse"
    room = {split: sum(_most(file) for other, file in batches if other == split) for split in ("train", "test")}
    found: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for done, (split, file) in enumerate(batches):
        yield Step(done, len(batches), "batch", f"Reading {file.name}")
        read_batch = _binary_batch if file.suffix == ".bin" else _python_batch
        pixels, labels = read_batch(file, hundred, fine)
        found[split].append(labels)
        for first in range(0, len(pixels), _AT_ONCE):
            yield PixelRows(split, (room[split], 3, 32, 32), pixels[first : first + _AT_ONCE].reshape(-1, 3, 32, 32))
        yield Step(done + 1, len(batches), "batch", f"Reading {file.name}")
    parts: dict[str, Part] = {}
    notes: list[str] = []
    for split, some in found.items():
        if not some:
            notes.append(f"There is no {'test' if split == 'test' else 'training'} batch in the folder.")
            continue
        labels = np.concatenate(some)
        images = promised(len(labels), 3, 32, 32)
        parts[split] = Part(images, labels, Numbered(f"{split} image", np.arange(len(images))))
        if len(images) < _FULL[split]:
            kind = "training" if split == "train" else "test"
            notes.append(f"{len(images):,} of {_FULL[split]:,} {kind} images are here; add the missing batch files for the rest.")
    named = {**_BY_FOLDER, **_BY_FOLDER_100}.get(folder.resolve().name.lower(), folder.resolve().name)
    if hundred:
        notes.append(
            f"The classes are the {'100 fine' if fine else '20 coarse'} ones; labels {'coarse' if fine else 'fine'} takes the others."
        )
    understood = {"columns": {"": ["fine", "coarse"]}, "labels": "fine" if fine else "coarse"} if hundred else {}
    return Source(named, parts, _classes(folder, hundred, fine, parts), notes=notes, understood=understood)


def files(path: Path) -> list[Path]:
    """All files of the set that a batch belongs to: the batches, and the names of the classes."""
    names = [path.parent / name for name in _NAMES]
    return [*(file for _, file in _batches(path)), *(file for file in names if file.is_file())]


def _batches(path: Path) -> list[tuple[str, Path]]:
    """(split, file) of every batch of a folder, or of the folder around a batch that is named itself."""
    if path.is_file():
        return _batches(path.parent) if any(file.name == path.name for _, file in _batches(path.parent)) else []
    for ending in ("", ".bin"):
        names = [("train", f"{name}{ending}") for name in _BATCHES_10] + [("test", f"test_batch{ending}")]
        if found := [(split, path / name) for split, name in names if (path / name).is_file()]:
            return found
        found = [(name, path / f"{name}{ending}") for name in ("train", "test") if (path / f"{name}{ending}").is_file()]
        if found and any((path / name).is_file() for name in ("meta", "fine_label_names.txt")):
            return found
    return []


def _most(file: Path) -> int:
    """Images that a batch of that many bytes may hold."""
    return file.stat().st_size // PIXELS + 1


def _python_batch(path: Path, hundred: bool, fine: bool) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [N, 3072], int64 [N])"""
    table = _unpickle(path)
    pixels = table.get("data")
    labels = table.get("fine_labels" if fine else "coarse_labels" if hundred else "labels")
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != PIXELS
        or not isinstance(labels, list)
    ):
        raise BadData(f"{path.name} is no CIFAR batch (it has no table of 32×32 colour images); download it again.")
    return _checked(path, pixels, labels)


def _checked(path: Path, pixels: np.ndarray, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    if len(labels) != len(pixels):
        raise BadData(f"{path.name} has {number_of(len(labels), 'label')} for {number_of(len(pixels), 'image')}; download it again.")
    try:
        numbers = np.array(labels, np.int64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([-1])
    if numbers.ndim != 1 or not len(numbers) or numbers.min() < 0 or numbers.max() > 99:
        raise BadData(f"{path.name} has labels that are no class numbers; download it again.")
    return pixels, numbers


def _binary_batch(path: Path, hundred: bool, fine: bool) -> tuple[np.ndarray, np.ndarray]:
    """Records of one label byte (CIFAR-100: coarse and fine) and 3,072 pixels."""
    head = 2 if hundred else 1
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise BadData(f"{path.name} is far larger than a CIFAR batch; download it again.")
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % (PIXELS + head):
        raise BadData(
            f"{path.name} is cut off or no CIFAR batch (its {len(data):,} bytes are no whole number of images); download it again."
        )
    records = data.reshape(-1, PIXELS + head)
    return _checked(path, records[:, head:], records[:, 1 if fine else 0])


def _unpickle(path: Path) -> dict[str, Any]:
    """The pickled dict with its keys as text."""
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise BadData(f"{path.name} is far larger than a CIFAR batch; download it again.")
    try:
        (table,), _ = unpickle(str(path), 1)
    except Refused as refused:
        raise BadData(f"{path.name} was not opened: it {refused}; download it again from a place you trust.") from None
    if not isinstance(table, dict):
        raise BadData(f"{path.name} is no CIFAR batch; download it again.")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in table.items()}


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_NAMES).decode("latin1")


def _classes(folder: Path, hundred: bool, fine: bool, parts: dict[str, Part]) -> tuple[str, ...]:
    """The names in the meta file; where there is none, the published ten or plain numbers."""
    names: list[str] = []
    for file in ("batches.meta.txt", "fine_label_names.txt" if fine else "coarse_label_names.txt"):
        if (folder / file).is_file():
            names = _text(folder / file).split()
    for file in ("batches.meta", "meta"):
        if not names and (folder / file).is_file():
            found = _unpickle(folder / file).get("fine_label_names" if fine else "coarse_label_names" if hundred else "label_names")
            if isinstance(found, list):
                names = [name.decode("latin1") if isinstance(name, bytes) else str(name) for name in found]
    highest = max((int(part.labels.max()) for part in parts.values() if part.labels is not None), default=0)
    if highest < len(names) <= 100:
        return tuple(names)
    return _NAMES_10 if highest < 10 and not hundred else tuple(str(n) for n in range(highest + 1))
