"""Image tensors in .pt and .pth files, as torch.save writes them (the ZIP format, and the older one of torchvision's MNIST/processed).

The pickles inside are read in the confined process by an unpickler that knows tensors and calls nothing (unpickling.py), which is
narrower than torch's own `weights_only=True` and needs no torch. Sizes are compared with the file before any memory is taken.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from engine.common.file_endings import TENSORS
from engine.data.archives import DAMAGE, open_zip
from engine.data.confinement import allow_bytes
from engine.data.dataset import BadData, Part, Source, Step
from engine.data.limits import MAX_PICKLE_BYTES, MAX_SET_BYTES, MAX_TENSORS
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows
from engine.data.tables import CHUNK_BYTES, Table, exactly, read_tables, rows_of_file
from engine.data.unpickling import Refused, Tensor, unpickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def recognizes(path: Path) -> bool:
    """Whether it is a file of torch tensors, or a folder of torchvision's with some."""
    return (path.is_file() and path.suffix.lower() in TENSORS) or _processed(path) is not None


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "torch tensors"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images and labels of one file, or of training.pt and test.pt of a folder. Raises BadData for anything but tensors."""
    folder = _processed(path)
    if folder is None:
        tables = yield from _tables(path)
        return (yield from read_tables(path.name, path.stem, tables, recipe))
    parts: dict[str, Part] = {}
    notes = ["The two files are read one by one, so no array of theirs groups images (group)."] if recipe.group else []
    recipe = replace(recipe, group="")
    classes: tuple[str, ...] = ()
    for split, file in (("train", folder / "training.pt"), ("test", folder / "test.pt")):
        if file.is_file():
            tables = yield from _tables(file)
            source = yield from read_tables(file.name, file.stem, tables, recipe, only=split)
            parts.update(source.parts)
            notes += [note for note in source.notes if note not in notes]
            classes = max(classes, source.classes, key=len)
    name = folder.resolve().parent.name if folder.name == "processed" else folder.resolve().name
    return Source(name, parts, classes, notes=notes)


def _processed(path: Path) -> Path | None:
    """The folder with training.pt, if `path` is one or holds one."""
    return next((folder for folder in (path, path / "processed") if (folder / "training.pt").is_file()), None)


def _tables(path: Path) -> Generator[Step, None, list[Table]]:
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        if path.stat().st_size > MAX_SET_BYTES:
            raise BadData(f"{path.name} is larger than {MAX_SET_BYTES >> 30} GB, the limit; use a part of it.")
        tensors, starts = (yield from _from_zip(path)) if zipped else _from_legacy(path)
        for _, tensor in tensors:
            tensor.check()
    except Refused as refused:
        raise BadData(f"{path.name} was not opened: it {refused}; save the images as a plain tensor, or as .npz.") from None
    except DAMAGE:
        raise BadData(f"{path.name} is damaged; save or download it again.") from None
    return [_table(path, name, tensor, starts[tensor.storage.key]) for name, tensor in tensors]


def _table(path: Path, name: str, tensor: Tensor, start: int) -> Table:
    """A tensor whose storage begins at byte `start`."""
    dtype = tensor.storage.dtype
    if tensor.contiguous:
        return Table(name, tensor.size, dtype, rows_of_file(path, start + tensor.offset * dtype.itemsize, tensor.size, dtype))

    def rows(piece: int) -> Iterator[np.ndarray]:
        allow_bytes(tensor.storage.nbytes)
        numbers = np.memmap(path, np.uint8, "r", start, (tensor.storage.nbytes,)).view(dtype)[tensor.offset :]
        strides = tuple(s * dtype.itemsize for s in tensor.stride)
        array = np.lib.stride_tricks.as_strided(numbers, tensor.size, strides, writeable=False)
        for first in range(0, len(array), piece):
            yield np.ascontiguousarray(array[first : first + piece])

    return Table(name, tensor.size, dtype, rows)


_Found = tuple[list[tuple[str, Tensor]], dict[str, int]]  # tensors by name, and where each storage begins in the file


def _from_zip(path: Path) -> Generator[Step, None, _Found]:
    with open_zip(path) as archive:
        entries = {PurePosixPath(entry.filename).parts[1:]: entry for entry in archive.infolist()}
        table = entries.get(("data.pkl",))
        if table is None:
            raise BadData(f"{path.name} holds no tensors (it has no data.pkl); save it with torch.save.")
        if table.file_size > MAX_PICKLE_BYTES or any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise Refused("is packed in a way that torch.save never does")
        order = entries.get(("byteorder",))
        if order is not None and (order.file_size > 16 or archive.read(order).strip() != b"little"):
            raise Refused("has numbers in big-endian order")
        (value,), _ = unpickle(archive.read(table))
        tensors = _tensors(value)
        starts: dict[str, int] = {}
        for _, tensor in tensors:
            entry = entries.get(("data", tensor.storage.key))
            if entry is None or entry.file_size != tensor.storage.nbytes or entry.compress_size != entry.file_size:
                raise Refused("has a tensor whose size does not fit its numbers")
            if tensor.storage.key not in starts:
                starts[tensor.storage.key] = yield from _checked(path, archive, entry)
        return tensors, starts


def _checked(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Generator[Step, None, int]:
    """The byte of the file where an entry's content begins, once its checksum is right. Raises: BadZipFile."""
    with archive.open(entry) as content:
        done = 0
        while piece := content.read(CHUNK_BYTES):
            done += len(piece)
            yield Step(done, entry.file_size, "byte", f"Checking {path.name}")
    with path.open("rb") as file:
        file.seek(entry.header_offset + 26)
        name, extra = struct.unpack("<HH", exactly(file, 4, path.name))
    return entry.header_offset + 30 + name + extra


def _from_legacy(path: Path) -> _Found:
    """Five pickles (magic number, version, system, object, keys), then per key a count and the numbers (torch/serialization.py)."""
    (magic, _, _, value, keys), place = unpickle(str(path), 5)
    if magic != _LEGACY_MAGIC:
        raise Refused("holds no tensors")
    tensors = _tensors(value)
    if not isinstance(keys, list) or len(keys) > MAX_TENSORS:
        raise Refused("is damaged")
    storages = {tensor.storage.key: tensor.storage for _, tensor in tensors}
    starts: dict[str, int] = {}
    size = path.stat().st_size
    with path.open("rb") as file:
        for key in keys:
            file.seek(place)
            count = int.from_bytes(exactly(file, 8, path.name), "little")
            if not isinstance(key, str) or key not in storages or storages[key].count != count:
                raise Refused("has a tensor whose size does not fit its numbers")
            starts[key], place = place + 8, place + 8 + storages[key].nbytes
            if place > size:
                raise Refused("ends too early")
    if set(storages) - set(starts):
        raise Refused("has a tensor without numbers")
    for _, tensor in tensors:  # two that share a key may not differ in how much there is
        if tensor.storage != storages[tensor.storage.key]:
            raise Refused("has a tensor whose size does not fit its numbers")
    return tensors, starts


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
