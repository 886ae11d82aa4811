""".npy and .npz files of images, without pickles. The header is compared with the file's size before any memory is taken."""

from __future__ import annotations

import math
import re
import struct
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from engine.data.archives import DAMAGE, open_zip
from engine.data.confinement import allow_bytes
from engine.data.dataset import BadData, Source, Step
from engine.data.limits import MAX_HEADER_BYTES, MAX_ITEM_BYTES
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows
from engine.data.tables import Table, exactly, read_tables, rows_of_file

_MAGIC = b"\x93NUMPY"
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([^'"]{1,16})['"]""")  # spelled out: a general parser of Python can be made to crash
_PLAIN = re.compile(r"[<>|=]?[?a-zA-Z]\d{0,4}")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(((?:\s*\d{1,15}[lL]?\s*,)*\s*(?:\d{1,15}[lL]?\s*)?)\)""")
_FORTRAN_BYTES = 256 << 20  # column order cannot be read in rows; up to this size it is read at once


def recognizes(path: Path) -> bool:
    """Whether it is a .npy or .npz file."""
    return path.suffix.lower() in (".npy", ".npz") and path.is_file()


def summary(path: Path) -> str:
    """Shape and kind, as the list of data sets shows them."""
    if path.suffix.lower() == ".npz":
        return "NumPy arrays"
    with path.open("rb") as file:
        return f"{' × '.join(str(n) for n in _header(file, path.name)[0])} · NumPy array"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images, and labels where there are some. Raises BadData for pickles, forged shapes and archives that blow up."""
    if path.suffix.lower() == ".npy":
        return (yield from read_tables(path.name, path.stem, [_plain_table(path)], recipe))
    return (yield from read_npz(path, recipe))


def read_npz(path: Path, recipe: ImportRecipe, content: bytes | None = None) -> Generator[Step | PixelRows, None, Source]:
    """The images of an .npz file, or of the `content` of one in an archive. Raises: BadData."""
    try:
        with open_zip(path, content=content) as archive:
            return (yield from read_zipped(archive, path, recipe))
    except DAMAGE:
        raise BadData(f"{path.name} is damaged (it cannot be unpacked); save or download it again.") from None


def read_zipped(archive: zipfile.ZipFile, path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images of the .npy files in an archive. Raises: BadData."""
    tables, bad = _zipped_tables(archive, path.name)
    try:
        source = yield from read_tables(path.name, path.stem, tables, recipe)
    except BadData:
        if bad and not any(len(table.shape) in (3, 4) for table in tables):
            raise bad[0] from None  # what could not be read may have been the images
        raise
    source.notes += [f"One array was left out: {why}" for why in bad]
    return source


def _zipped_tables(archive: zipfile.ZipFile, file_name: str) -> tuple[list[Table], list[BadData]]:
    """(the arrays of an archive, why others are none)."""
    tables: list[Table] = []
    bad: list[BadData] = []
    for entry in archive.infolist():
        if entry.filename.endswith(".npy") and entry.file_size:
            try:
                tables.append(_zipped_table(archive, entry, file_name))
            except BadData as why:
                bad.append(why)
    return tables, bad


def _plain_table(path: Path) -> Table:
    with path.open("rb") as file:
        shape, dtype, fortran = _header(file, path.name)
        start = file.tell()
    _check_size(path.name, shape, dtype, path.stat().st_size - start)

    if fortran and len(shape) > 1:
        return Table(path.stem, shape, dtype, lambda piece: _mapped(path, start, shape, dtype, piece))
    return Table(path.stem, shape, dtype, rows_of_file(path, start, shape, dtype))


def _mapped(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype, piece: int) -> Iterator[np.ndarray]:
    """PixelRows of an array that is stored column by column."""
    allow_bytes(math.prod(shape) * dtype.itemsize)
    values = np.memmap(path, dtype, "r", start, shape, "F")
    for first in range(0, shape[0], piece):
        yield np.asarray(values[first : first + piece])


def _zipped_table(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file_name: str) -> Table:
    with archive.open(entry) as file:
        shape, dtype, fortran = _header(file, f"{entry.filename} in {file_name}")
        start = file.tell()
    _check_size(f"{entry.filename} in {file_name}", shape, dtype, entry.file_size - start)

    sizes = list(shape)
    by_columns = fortran and len(sizes) > 1

    def rows(piece: int) -> Iterator[np.ndarray]:
        with archive.open(entry) as file:
            exactly(file, start, file_name)
            if by_columns:
                if entry.file_size > _FORTRAN_BYTES:
                    raise BadData(f"{entry.filename} in {file_name} is stored column by column; save it with np.ascontiguousarray.")
                values = np.frombuffer(exactly(file, entry.file_size - start, file_name), dtype).reshape(shape, order="F")
                for first in range(0, sizes[0], piece):
                    yield values[first : first + piece]
                return
            size = math.prod(sizes[1:]) * dtype.itemsize
            for first in range(0, sizes[0], piece):
                count = min(piece, sizes[0] - first)
                yield np.frombuffer(exactly(file, count * size, file_name), dtype).reshape(count, *sizes[1:])

    return Table(entry.filename.removesuffix(".npy"), shape, dtype, rows)


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """(shape, kind of numbers, stored column by column), from the format of NEP 1; `file` then stands at the numbers."""
    head = file.read(8)
    if head[:6] != _MAGIC or len(head) < 8 or head[6] not in (1, 2, 3):
        raise BadData(f"{name} is no NumPy array (its first bytes are wrong); save it with np.save.")
    wide = head[6] > 1
    raw = file.read(4 if wide else 2)
    length = struct.unpack("<I" if wide else "<H", raw)[0] if len(raw) == (4 if wide else 2) else MAX_HEADER_BYTES + 1
    if length > MAX_HEADER_BYTES:
        raise BadData(f"{name} has a header of {length:,} bytes, far more than images need; save it with np.save.")
    wrong = BadData(f"{name} has a damaged header; save it again with np.save.")
    text = file.read(length).decode("latin1")
    code, fortran, sizes = (_only(pattern, text) for pattern in (_DESCR, _ORDER, _SHAPE))
    if fortran is None or sizes is None or (code is None and "descr" not in text):
        raise wrong
    shape = tuple(int(n) for n in re.findall(r"\d+", sizes))
    if len(shape) > 8 or any(n >= 2**48 for n in shape):
        raise wrong
    if code is None or "O" in code:
        raise BadData(f"{name} holds Python objects, which could run code, instead of numbers; save the images as a plain uint8 array.")
    try:
        if not _PLAIN.fullmatch(code):
            raise wrong
        dtype = np.dtype(code)
    except (TypeError, ValueError):
        raise wrong from None
    if dtype.hasobject or dtype.itemsize == 0 or dtype.itemsize > MAX_ITEM_BYTES:
        raise wrong
    return shape, dtype, fortran == "True"


def _only(pattern: re.Pattern[str], text: str) -> str | None:
    """What stands in the one place that a header has for it."""
    found = pattern.findall(text)
    return found[0] if len(found) == 1 else None


def _check_size(name: str, shape: tuple[int, ...], dtype: np.dtype, available: int) -> None:
    needed = math.prod(shape) * dtype.itemsize
    if needed > available:
        raise BadData(f"{name} announces {needed:,} bytes of numbers but has {available:,}; save or download it again.")
