"""Image tensors in .pt and .pth files, as torch.save writes them (the ZIP format, and the older one of torchvision's MNIST/processed).

The pickles inside are read in the decoding process by an unpickler that knows tensors and calls nothing (unpickling.py), which is
narrower than torch's own `weights_only=True` and needs no torch. Sizes are compared with the file before any memory is taken.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from engine.data.archives import open_zip
from engine.data.dataset import BadData, Part, Source, Step, Wish
from engine.data.limits import MAX_PICKLE_BYTES, MAX_SET_BYTES, MAX_TENSORS
from engine.data.pickles import Refused, Tensor, load
from engine.data.tables import Table, read_tables

_SUFFIXES = (".pt", ".pth")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def recognizes(path: Path) -> bool:
    """Whether it is a file of torch tensors, or a folder of torchvision's with some."""
    return (path.is_file() and path.suffix.lower() in _SUFFIXES) or _processed(path) is not None


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "torch tensors"


def read(path: Path, wish: Wish) -> Generator[Step, None, Source]:
    """The images and labels of one file, or of training.pt and test.pt of a folder. Raises BadData for anything but tensors."""
    folder = _processed(path)
    if folder is None:
        return (yield from read_tables(path.name, path.stem, _tables(path)))
    parts: dict[str, Part] = {}
    notes: list[str] = []
    classes: tuple[str, ...] = ()
    for split, file in (("train", folder / "training.pt"), ("test", folder / "test.pt")):
        if file.is_file():
            source = yield from read_tables(file.name, file.stem, _tables(file))
            parts[split] = next(iter(source.parts.values()))
            notes += [note for note in source.notes if note not in notes]
            classes = max(classes, source.classes, key=len)
    name = folder.resolve().parent.name if folder.name == "processed" else folder.resolve().name
    return Source(name, parts, classes, notes=notes)


def _processed(path: Path) -> Path | None:
    """The folder with training.pt, if `path` is one or holds one."""
    return next((folder for folder in (path, path / "processed") if (folder / "training.pt").is_file()), None)


def _tables(path: Path) -> list[Table]:
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        arrays = _from_zip(path) if zipped else _from_legacy(path)
    except Refused as refused:
        raise BadData(f"{path.name} was not opened: it {refused}; save the images as a plain tensor, or as .npz.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError):
        raise BadData(f"{path.name} is damaged; save or download it again.") from None
    return [Table(name, array.shape, array.dtype, _rows_of(array)) for name, array in arrays]


def _rows_of(array: np.ndarray):  # type: ignore[no-untyped-def]
    def rows(piece: int) -> Iterator[np.ndarray]:
        for first in range(0, len(array), piece):
            yield np.ascontiguousarray(array[first : first + piece])

    return rows


def _from_zip(path: Path) -> list[tuple[str, np.ndarray]]:
    with open_zip(path) as archive:
        entries = {PurePosixPath(entry.filename).parts[1:]: entry for entry in archive.infolist()}
        table = entries.get(("data.pkl",))
        if table is None:
            raise BadData(f"{path.name} holds no tensors (it has no data.pkl); save it with torch.save.")
        if table.file_size > MAX_PICKLE_BYTES or any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise Refused("is packed in a way that torch.save never does")
        order = entries.get(("byteorder",))
        if order is not None and archive.read(order).strip() != b"little":
            raise Refused("has numbers in big-endian order")
        (value,), _ = load(archive.read(table))
        tensors = _tensors(value)
        storages: dict[str, bytes] = {}
        for _, tensor in tensors:
            key = tensor.storage.key
            entry = entries.get(("data", key))
            if entry is None or entry.file_size != tensor.storage.count * tensor.storage.dtype.itemsize:
                raise Refused("has a tensor whose size does not fit its numbers")
            if key not in storages:
                storages[key] = archive.read(entry)
        return [(name, tensor.view(storages[tensor.storage.key])) for name, tensor in tensors]


def _from_legacy(path: Path) -> list[tuple[str, np.ndarray]]:
    """Five pickles (magic number, version, system, object, keys), then per key a count and the numbers (torch/serialization.py)."""
    if path.stat().st_size > MAX_SET_BYTES:
        raise BadData(f"{path.name} is larger than {MAX_SET_BYTES >> 30} GB, the limit; use a part of it.")
    (magic, _, _, value, keys), place = load(str(path), 5)
    if magic != _LEGACY_MAGIC:
        raise Refused("holds no tensors")
    tensors = _tensors(value)
    data = memoryview(np.memmap(path, np.uint8, "r"))
    if not isinstance(keys, list) or len(keys) > MAX_TENSORS:
        raise Refused("is damaged")
    sizes = {tensor.storage.key: tensor.storage for _, tensor in tensors}
    storages: dict[str, memoryview] = {}
    for key in keys:
        count = int.from_bytes(data[place : place + 8], "little")
        if key not in sizes or sizes[key].count != count:
            raise Refused("has a tensor whose size does not fit its numbers")
        end = place + 8 + count * sizes[key].dtype.itemsize
        if end > len(data):
            raise Refused("ends too early")
        storages[key], place = data[place + 8 : end], end
    if set(sizes) - set(storages):
        raise Refused("has a tensor without numbers")
    return [(name, tensor.view(storages[tensor.storage.key])) for name, tensor in tensors]


def _tensors(value: Any, name: str = "") -> list[tuple[str, Tensor]]:
    """Tensors of a tuple, list or dict with a name each: arr_0, arr_1 or their keys. Two levels deep at most."""
    match value:
        case Tensor():
            found = [(name or "arr_0", value)]
        case dict() if name.count("/") < 2:
            found = [pair for key, item in value.items() for pair in _tensors(item, f"{name}/{key}" if name else str(key))]
        case list() | tuple() if name.count("/") < 2 and len(value) <= MAX_TENSORS:
            found = [pair for n, item in enumerate(value) for pair in _tensors(item, f"{name}/arr_{n}" if name else f"arr_{n}")]
        case _:
            found = []
    if len(found) > MAX_TENSORS:
        raise Refused(f"has more than {MAX_TENSORS:,} tensors")
    return found
