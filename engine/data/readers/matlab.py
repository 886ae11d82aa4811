"""MATLAB files of version 5 to 7 (.mat) with arrays of images, SVHN (Netzer et al. 2011) among them; format: MAT-File Level 5, MathWorks.
Those of version 7.3 are HDF5 (hdf5.py).

Arrays are stored column by column, so the images of SVHN, [H, W, C, N], lie one after the other.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.dataset import BadData, Source, Step
from engine.data.limits import MAX_GZIP_RATIO, MAX_SET_BYTES, MAX_TENSORS, MIB
from engine.data.mat_structs import part
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows
from engine.data.tables import Table, read_tables

_SVHN = re.compile(r"(train|test|extra)_32x32\.mat", re.IGNORECASE)
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # miINT8 …
_ARRAY, _PACKED = 14, 15  # miMATRIX, miCOMPRESSED
_NUMERIC = range(6, 16)  # mxDOUBLE_CLASS … mxUINT64_CLASS
_WHOLE_BYTES = 256 * MIB  # of an array whose rows do not lie together
_CHUNK = 1 << 20


@dataclass
class _Stored:
    """Where an array's numbers are."""

    name: str
    shape: tuple[int, ...]  # as MATLAB counts
    dtype: np.dtype
    start: int  # byte of the element in the file
    length: int
    packed: bool
    skip: int  # bytes of the (unpacked) element before the numbers


def recognizes(path: Path) -> bool:
    """Whether it is a .mat file, or a folder of SVHN's."""
    return (path.is_file() and path.suffix.lower() == ".mat") or bool(_svhn(path))


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "32×32 colour · SVHN" if path.is_dir() else "MATLAB arrays"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images and labels of one file, or of SVHN's training and test files. Raises BadData for a damaged or another kind of file."""
    files = _svhn(path) or {"": path}
    tables: list[Table] = []
    notes: list[str] = []
    if path.is_dir() and "extra" in files:
        files.pop("extra")
        notes.append("extra_32x32.mat was left out; open that file by itself to use it.")
    for split, file in files.items():
        yield Step(0, None, "file", f"Looking into {file.name}")
        arrays = _arrays(file, notes)
        counts = {math.prod(one.shape) for one in arrays if len(one.shape) == 2 and 1 in one.shape}
        for stored in arrays:
            table = _table(file, stored, counts, notes)
            if _SVHN.fullmatch(file.name) and stored.name == "y":
                table.rows = _ten_is_zero(table.rows)
            tables.append(Table(f"{split} {table.name}".strip(), table.shape, table.dtype, table.rows))
    source = yield from read_tables(path.name, "svhn" if path.is_dir() else path.stem, tables, recipe)
    if any(_SVHN.fullmatch(file.name) for file in files.values()):
        notes.append("SVHN calls the digit 0 “10”; here it is 0.")
    source.notes += notes
    return source


def _svhn(path: Path) -> dict[str, Path]:
    try:
        found = {match[1].lower(): file for file in path.iterdir() if (match := _SVHN.fullmatch(file.name))} if path.is_dir() else {}
    except OSError:
        return {}
    return found if "train" in found or "test" in found else {}


def _ten_is_zero(rows: Callable[[int], Iterator[np.ndarray]]) -> Callable[[int], Iterator[np.ndarray]]:
    def changed(piece: int) -> Iterator[np.ndarray]:
        for some in rows(piece):
            yield some % 10

    return changed


def _arrays(file: Path, notes: list[str]) -> list[_Stored]:
    """All numeric arrays of a file. Raises: BadData."""
    damaged = BadData(f"{file.name} is damaged; save or download it again.")
    size = file.stat().st_size
    found: list[_Stored] = []
    with file.open("rb") as stream:
        head = stream.read(128)
        if head[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3" in head[:20]:
            raise BadData(f"{file.name} begins like a MATLAB 7.3 file and is damaged; save or download it again.")
        if len(head) < 128 or head[126:128] != b"IM":
            raise BadData(f"{file.name} is no MATLAB file of version 5 to 7; save it with “save -v7”.")
        place = 128
        while place + 8 <= size and len(found) < MAX_TENSORS:
            stream.seek(place)
            kind, length = struct.unpack("<II", stream.read(8))
            if place + 8 + length > size:
                raise damaged
            if kind in (_ARRAY, _PACKED):
                start, packed = place + 8, kind == _PACKED
                beginning = _beginning(file, start, length, packed)
                try:
                    stored = _header(beginning[8:] if packed else beginning, start, length, packed)
                except (struct.error, IndexError, UnicodeDecodeError):
                    raise damaged from None
                if isinstance(stored, str):
                    notes.append(f"“{stored[:60]}” of {file.name} is no array of numbers and was left out.")
                else:
                    found.append(stored)
            place += 8 + length
    return found


def _beginning(file: Path, start: int, length: int, packed: bool) -> bytes:
    """The first bytes of an element."""
    with file.open("rb") as stream:
        stream.seek(start)
        data = stream.read(min(length, 4096))
    if not packed:
        return data
    try:
        return zlib.decompressobj().decompress(data, 4096)
    except zlib.error:
        raise BadData(f"{file.name} is damaged (it cannot be unpacked); save or download it again.") from None


def _header(data: bytes, start: int, length: int, packed: bool) -> _Stored | str:
    """What the parts of a miMATRIX say, or the name of an array that is none of numbers. Raises: struct.error: cut off."""
    flags = struct.unpack_from("<I", data, 8)[0]
    place = 16
    _, size, at, place = part(data, place)
    shape = struct.unpack_from(f"<{size // 4}i", data, at) if size <= 32 else ()
    _, size, at, place = part(data, place)
    name = data[at : at + min(size, 200)].decode("ascii", "replace")
    if flags & 0xFF not in _NUMERIC or flags & 0x0800 or not shape:  # complex numbers are none
        return name
    kind, size, at, _ = part(data, place)
    if kind not in _NUMBERS or any(n < 0 for n in shape):
        return name
    dtype = np.dtype(f"<{_NUMBERS[kind]}")
    if math.prod(shape) * dtype.itemsize != size:
        raise struct.error
    return _Stored(name, shape, dtype, start, length, packed, at + (8 if packed else 0))


def images_last(shape: tuple[int, ...], counts: set[int]) -> bool:
    """Whether the last axis counts the images, or else the first: the one as long as the labels (of which there are `counts`), the one
    beside two that are alike, the longest. In colour the axis of channels tells: [H, W, C, N], [N, C, H, W].
    """
    first, last = shape[0] in counts, shape[-1] in counts
    if first != last:
        return last
    if len(shape) == 4:
        if shape[3] in (1, 3, 4) or shape[2] in (1, 3, 4):
            return shape[3] not in (1, 3, 4)
        if shape[1] in (1, 3, 4):
            return False
    if len(shape) == 3 and (shape[0] == shape[1]) != (shape[1] == shape[2]):
        return shape[0] == shape[1]
    return shape[-1] >= max(shape[:-1])


def _table(file: Path, stored: _Stored, counts: set[int], notes: list[str]) -> Table:
    """An array with its images first. `counts` are the lengths of what may be labels."""
    shape = (math.prod(stored.shape),) if len(stored.shape) == 2 and 1 in stored.shape else stored.shape
    needed = math.prod(shape) * stored.dtype.itemsize
    if needed > MAX_SET_BYTES or (stored.packed and needed > MAX_GZIP_RATIO * stored.length + MIB):
        raise BadData(f"{file.name} announces {needed / 2**30:,.1f} GB in “{stored.name}”, more than a file of its size holds.")
    last = len(shape) > 2 and images_last(shape, counts)
    if len(stored.shape) == 3:
        along = "last" if last else "first"
        notes.append(f"The images of “{stored.name}” {list(shape)} were taken along its {along} axis.")
    if last:
        *sizes, number = list(shape)
        inner = tuple(sizes)

        def rows(piece: int) -> Iterator[np.ndarray]:
            each = math.prod(inner) * stored.dtype.itemsize
            for data, count in _pieces(file, stored, each, number, piece):
                yield np.frombuffer(data, stored.dtype).reshape(count, *inner[::-1]).transpose(0, *range(len(inner), 0, -1))

        return Table(stored.name, (number, *inner), stored.dtype, rows)
    if needed > _WHOLE_BYTES:
        raise BadData(f"“{stored.name}” of {file.name} is stored column by column; save it with the images along the last axis.")

    def all_rows(piece: int) -> Iterator[np.ndarray]:
        data = b"".join(data for data, _ in _pieces(file, stored, stored.dtype.itemsize, math.prod(shape), _CHUNK))
        values = np.frombuffer(data, stored.dtype).reshape(shape, order="F")
        for first in range(0, len(values), piece):
            yield values[first : first + piece]

    return Table(stored.name, shape, stored.dtype, all_rows)


def _pieces(file: Path, stored: _Stored, each: int, count: int, piece: int) -> Iterator[tuple[bytes, int]]:
    """(bytes of the next items, how many) of an array, unpacked on the way. Raises: BadData: it ends too early."""
    early = BadData(f"{file.name} ends too early; save or download it again.")
    waiting = bytearray()
    source = _unpacked(file, stored)
    left, skip = count, stored.skip
    while left:
        take = min(piece, left)
        while len(waiting) < skip + take * each:
            data = next(source, b"")
            if not data:
                raise early
            waiting += data
        yield bytes(waiting[skip : skip + take * each]), take
        del waiting[: skip + take * each]
        left, skip = left - take, 0


def _unpacked(file: Path, stored: _Stored) -> Iterator[bytes]:
    with file.open("rb") as stream:
        stream.seek(stored.start)
        left = stored.length
        unpack = zlib.decompressobj() if stored.packed else None
        while left:
            data = stream.read(min(_CHUNK, left))
            if not data:
                return
            left -= len(data)
            try:
                while unpack is not None and data:
                    yield unpack.decompress(data, _CHUNK)
                    data = unpack.unconsumed_tail
            except zlib.error:
                raise BadData(f"{file.name} is damaged (it cannot be unpacked); save or download it again.") from None
            if unpack is None:
                yield data
