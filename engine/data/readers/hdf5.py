"""HDF5 files with arrays of images: .h5 and .hdf5 as Python writes them, and MATLAB 7.3 files, whose arrays are stored the other way round.

What a file keeps elsewhere (external storage, links to other files, virtual arrays) is left out, and no filter is loaded for it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.file_endings import HDF5
from engine.data.confinement import at_most
from engine.data.dataset import BadData, Source, Step
from engine.data.extras import how_to_get, library
from engine.data.limits import MAX_GZIP_RATIO, MAX_SET_BYTES, MAX_TENSORS, MIB
from engine.data.path_words import is_litter
from engine.data.readers.matlab import images_last
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows
from engine.data.tables import Table, read_tables

_MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_FILES = 64
_DEEPEST = 4  # groups within groups
_CHUNK_BYTES = 64 * MIB  # of one piece of a stored array
_UNPACK_BYTES = 512 * MIB  # while rows are unpacked: half of what the process has
_WHOLE_BYTES = 256 * MIB  # of an array whose rows do not lie together
_TEXT = np.dtype("U64")  # of a label
_SECONDS, _BYTES_A_SECOND = 1.0, 20 * MIB  # of computing for what a damaged file can send in circles: its tree of names, its heap of texts


def recognizes(path: Path) -> bool:
    """Whether it is an HDF5 file of any program, or a folder with some and no other data."""
    if path.is_file():
        return path.name.lower().endswith(HDF5) or (path.suffix.lower() == ".mat" and _is_hdf5(path))
    return bool(_files(path))


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "MATLAB arrays" if path.suffix.lower() == ".mat" else "HDF5 arrays"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images and labels of one file, or of those of a folder. Raises BadData for a damaged file, or one without images."""
    h5py = library("h5py")
    if h5py is None:
        kind = "a MATLAB 7.3 file" if path.suffix.lower() == ".mat" else "an HDF5 file"
        other = ", or save it with “save -v7”" if path.suffix.lower() == ".mat" else ""
        raise BadData(f"{path.name} is {kind}, which needs the package h5py; {how_to_get('h5py')}{other}.")
    files = [path] if path.is_file() else _files(path)
    notes: list[str] = []
    try:
        with ExitStack() as stack:
            tables: list[Table] = []
            for file in files:
                yield Step(0, None, "file", f"Looking into {file.name}")
                with at_most(_seconds(file)):
                    opened = stack.enter_context(h5py.File(file, "r", rdcc_nbytes=_CHUNK_BYTES))
                    tables += _tables(h5py, opened, file, "" if len(files) == 1 else f"{file.stem} ", notes)
            source = yield from read_tables(path.name, path.stem if path.is_file() else path.resolve().name, tables, recipe)
    except (BadData, MemoryError):
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError, NotImplementedError, SystemError):
        raise BadData(f"{path.name} is damaged or no HDF5 file; save or download it again.") from None
    source.notes += notes
    return source


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError:
        return False
    return _MAGIC in (head[:8], head[512:520])


def _files(path: Path) -> list[Path]:
    """The HDF5 files of a folder that holds nothing else but a few texts."""
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if entry.name.lower().endswith(HDF5) and entry.is_file():
                    found.append(Path(entry.path))
                elif not entry.name.lower().endswith((".txt", ".md", ".csv", ".json", ".pdf", ".gz")) or len(found) > _MOST_FILES:
                    return []
    except OSError:
        return []
    return sorted(found)


def _tables(h5py: Any, opened: Any, file: Path, prefix: str, notes: list[str]) -> list[Table]:
    """All arrays of numbers or texts in a file."""
    found: list[Table] = []
    left_out: list[str] = []
    sets: list[tuple[str, Any]] = []
    _collect(h5py, opened, "", 0, sets, left_out)
    matlab = file.suffix.lower() == ".mat" or any("MATLAB_class" in some.attrs for _, some in sets)
    counts = {math.prod(some.shape) for _, some in sets if matlab and some.shape and len(some.shape) == 2 and 1 in some.shape}
    for name, some in sets:
        table = _table(h5py, some, name, file, counts if matlab else None, notes)
        if table is None:
            left_out.append(name)
        else:
            found.append(Table(prefix + table.name, table.shape, table.dtype, table.rows))
    if left_out:
        words = ", ".join(f"“{_short(name)}”" for name in left_out[:5])
        notes.append(
            f"{words}{', …' if len(left_out) > 5 else ''} of {file.name} {'is' if len(left_out) == 1 else 'are'} no array of numbers."
        )
    return found


def _seconds(file: Path) -> float:
    return _SECONDS + file.stat().st_size / _BYTES_A_SECOND


def _short(name: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in name[:60])


def _collect(h5py: Any, group: Any, trail: str, depth: int, sets: list[tuple[str, Any]], left_out: list[str]) -> None:
    """(name, array) of everything that lies in the file itself."""
    for name in group:
        if len(sets) + len(left_out) > MAX_TENSORS:
            return
        if name.startswith("#"):  # where MATLAB keeps the insides of cells
            continue
        where = f"{trail}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            left_out.append(where)
            continue
        one = group[name]
        if isinstance(one, h5py.Group):
            if one.attrs.get("MATLAB_class") is not None or depth == _DEEPEST:
                left_out.append(where)
            else:
                _collect(h5py, one, f"{where} ", depth + 1, sets, left_out)
        elif isinstance(one, h5py.Dataset):
            sets.append((where, one))


def _table(h5py: Any, stored: Any, name: str, file: Path, counts: set[int] | None, notes: list[str]) -> Table | None:
    """An array with its images first; None where it is none of numbers or texts. `counts`: of a MATLAB file, the lengths of what may be
    labels.
    """
    text = h5py.check_string_dtype(stored.dtype)
    of_cells = stored.attrs.get("MATLAB_class") in (b"char", b"cell", "char", "cell") or stored.attrs.get("MATLAB_empty")
    if stored.shape is None or not stored.shape or of_cells or stored.is_virtual or stored.external:
        return None
    if text is None and stored.dtype.kind not in "uifb":
        return None
    dtype = stored.dtype if text is None else _TEXT
    shape = tuple(int(n) for n in (stored.shape if counts is None else stored.shape[::-1]))
    needed = math.prod(shape) * stored.dtype.itemsize
    if needed > MAX_SET_BYTES or needed > MAX_GZIP_RATIO * int(stored.id.get_storage_size()) + MIB:
        raise BadData(f"{file.name} announces {needed / 2**30:,.1f} GB in “{_short(name)}”, more than a file of its size holds.")
    where = f"“{_short(name)}” of {file.name}"
    if counts is None:
        if all(n == 1 for n in shape[1:]):  # labels, however many axes they have
            shape = shape[:1]
        return Table(name, shape, dtype, _in_rows(stored, shape, where, _seconds(file) if text else None))
    if len(shape) == 2 and 1 in shape:
        shape = (math.prod(shape),)
    last = len(shape) > 2 and images_last(shape, counts)
    if len(shape) == 3:
        notes.append(f"The images of “{_short(name)}” {list(shape)} were taken along its {'last' if last else 'first'} axis.")
    if last:
        axes = (0, *range(len(shape) - 1, 0, -1))
        stored_rows = _in_rows(stored, tuple(stored.shape), where)
        *sizes, number = list(shape)
        return Table(name, (number, *sizes), dtype, lambda piece: (some.transpose(axes) for some in stored_rows(piece)))
    if needed > _WHOLE_BYTES:
        raise BadData(f"“{_short(name)}” of {file.name} is stored column by column; save it with the images along the last axis.")

    def rows(piece: int) -> Iterator[np.ndarray]:
        values = np.asarray(stored[()]).T.reshape(shape)
        for first in range(0, len(values), piece):
            yield values[first : first + piece]

    return Table(name, shape, dtype, rows)


def _in_rows(stored: Any, shape: tuple[int, ...], where: str, seconds: float | None = None) -> Callable[[int], Iterator[np.ndarray]]:
    """The rows of an array along its first axis. What is stored in one piece is unpacked once. `seconds`: of texts, for a piece."""

    def rows(piece: int) -> Iterator[np.ndarray]:
        block = _rows_at_once(stored, shape, piece, where)
        view = stored if seconds is None else stored.asstr(errors="replace")
        for first in range(0, shape[0], block):
            with nullcontext() if seconds is None else at_most(seconds):
                values = np.asarray(view[first : first + block])
            values = (values if seconds is None else values.astype(_TEXT)).reshape(-1, *shape[1:])
            for start in range(0, len(values), piece):
                yield values[start : start + piece]

    return rows


def _rows_at_once(stored: Any, shape: tuple[int, ...], piece: int, where: str) -> int:
    """At least about `piece` rows, such that every chunk is whole within them: one that does not fit into the library's cache is unpacked
    anew for every read.

    Raises: BadData: chunks too large to be unpacked.
    """
    each = max(1, math.prod(shape[1:]) * stored.dtype.itemsize)
    if not stored.chunks or not stored.id.get_create_plist().get_nfilters():
        return max(piece, min(stored.chunks[0] if stored.chunks else 1, _CHUNK_BYTES // each))  # the file is read row by row
    together, chunk = stored.chunks[0], math.prod(stored.chunks) * stored.dtype.itemsize
    if 4 * chunk > _UNPACK_BYTES:
        raise BadData(
            f"{where} is stored in chunks of {chunk / MIB:,.0f} MB and the limit is {_UNPACK_BYTES // (4 * MIB)} MB; save it with smaller "
            "ones, best of one image each."
        )
    if 2 * (together * each + chunk) <= _UNPACK_BYTES:  # these rows and those before them, a chunk and what it is unpacked from
        return -(-piece // together) * together
    return max(1, (_UNPACK_BYTES - 2 * chunk) // (2 * each))  # chunks of many rows and few pixels: some are unpacked a few times
