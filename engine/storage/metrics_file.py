"""metrics.jsonl: one row per line, appended with one write; each line carries its own checksum, so damage costs that line only.

A training of weeks writes hundreds of megabytes, and a file from elsewhere may hold anything: it is read line by line, in bounded memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import time
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from engine.storage import atomic_io
from engine.storage.disk import is_removed, said_plainly
from engine.storage.manifest import FileFact

WHOLE_BYTES = 16 << 20  # of a file up to here every row is read: some million numbers, a second
LONGEST_LINE = 8 << 20  # a row holds a quarter of a second of training
_PIECE = 1 << 20
_CRC = re.compile(rb', "crc": "([0-9a-f]{8})"\}')
_CRC_LENGTH = 20
_SPARSE = (b'"valid ', b'"resumed"')  # rows that come once for every checkpoint
_LARGEST = float(np.finfo(np.float32).max)


def metrics_line(row: dict[str, Any]) -> bytes:
    """One row as a line that carries the CRC-32 of its text. NaN and infinity become null."""
    try:
        body = json.dumps(row, default=atomic_io.plain, allow_nan=False)
    except ValueError:
        body = json.dumps(_without_nan(row), default=atomic_io.plain, allow_nan=False)
    text = body.encode()[:-1]
    return b'%s, "crc": "%08x"}\n' % (text, zlib.crc32(text))


def parse_metrics_line(line: bytes) -> dict[str, Any] | None:
    """None when the line is damaged. A null among the values is NaN."""
    if not _is_whole(line):
        return None
    try:
        row = atomic_io.read_json(line)
    except atomic_io.Damaged:
        return None
    row.pop("crc")
    values = row.get("values")
    if isinstance(values, dict):
        for name, numbers in values.items():
            if isinstance(numbers, list):
                values[name] = [math.nan if number is None else number for number in numbers]
    return row


def _is_whole(line: bytes) -> bool:
    """Whether a line is as it was written, by its checksum."""
    found = _CRC.fullmatch(line, max(0, len(line) - _CRC_LENGTH))
    return found is not None and zlib.crc32(line[: found.start()]) == int(found[1], 16)


class MetricsRead(NamedTuple):
    """What was read of a metrics file."""

    rows: list[dict[str, Any]]
    damaged: int  # lines that were left out
    end: int  # where the last whole line ends, in bytes
    every: int = 1  # of the rows of training losses only every so many is there, because the file is very long


def read_metrics(path: Path, offset: int = 0) -> MetricsRead:
    """Rows after `offset`; nothing where there is no file that can be read.

    Of more than `WHOLE_BYTES` the rows of training losses are thinned out evenly; those of validation and of resumption all stay.
    """
    try:
        if atomic_io.fault_of(path, None):
            return MetricsRead([], 0, offset)
        with open(path, "rb", opener=atomic_io.no_follow) as file:
            return _read_from(file, offset)
    except OSError:
        return MetricsRead([], 0, offset)


def _read_from(file: IO[bytes], offset: int) -> MetricsRead:
    size = os.fstat(file.fileno()).st_size
    end = offset if offset <= size else 0
    every = max(1, -(-(size - end) // WHOLE_BYTES))
    file.seek(end)
    rows, damaged, dense = [], 0, 0
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n"):
            if len(line) < LONGEST_LINE:
                break  # the last line is still being written
            damaged += 1
            end += len(line) + _skip_line(file)
            continue
        end += len(line)
        if every > 1 and not any(word in line for word in _SPARSE):
            dense += 1
            if dense % every != 1:
                damaged += not _is_whole(line[:-1])
                continue
        row = parse_metrics_line(line[:-1])
        if row is not None and _is_usable(row):
            rows.append(row)
        else:
            damaged += 1
    return MetricsRead(rows, damaged, end, every)


def _skip_line(file: IO[bytes]) -> int:
    """Read to the end of a line; how many bytes that were."""
    skipped = 0
    while piece := file.readline(LONGEST_LINE):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


def _is_usable(row: dict[str, Any]) -> bool:
    """Whether a row is one of ours: steps and, for each, a number of every curve; or the step from which a training went on."""
    if "resumed" in row:
        return _is_step(row["resumed"])
    steps, values = row.get("steps"), row.get("values")
    if not isinstance(steps, list) or not isinstance(values, dict) or not all(map(_is_step, steps)):
        return False
    return all(isinstance(series, list) and len(series) <= len(steps) and _are_numbers(series) for series in values.values())


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _are_numbers(series: list[Any]) -> bool:
    """Whether all are numbers that a curve of float32 can hold."""
    if not {*map(type, series)} <= {int, float}:
        return False
    return all(-_LARGEST <= value <= _LARGEST or value != value for value in series)


def content_hash(path: Path, length: int) -> str:
    """SHA-256 of the first `length` bytes of a file. Raises: OSError."""
    digest = hashlib.sha256()
    with open(path, "rb", opener=atomic_io.no_follow) as file:
        while length > 0 and (piece := file.read(min(_PIECE, length))):
            digest.update(piece)
            length -= len(piece)
    return digest.hexdigest()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class MetricsFile:
    """Appends whole lines; knows the SHA-256 of what it has flushed."""

    FLUSH_SECONDS = 1.0

    def __init__(self, path: Path, at: int | None = None) -> None:
        """`at` is the handle of the folder that `path` lies in. Raises: NoSpace, Unwritable, Linked."""
        self.path = path
        with said_plainly(path.parent, 0):
            self._handle = atomic_io.layer.open_append(path, at)
            try:
                self._read_back()
            except BaseException:
                os.close(self._handle)
                raise
        self._flushed = time.monotonic()

    @property
    def is_removed(self) -> bool:
        """Whether somebody has deleted the file."""
        return is_removed(self._handle)

    def _read_back(self) -> None:
        """Drop a torn last line, and hash the rest."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        digest, size, self._size = hashlib.sha256(), 0, 0
        self._hash = digest.copy()
        while piece := os.read(self._handle, _PIECE):
            whole = piece.rfind(b"\n") + 1
            if whole:
                digest.update(piece[:whole])
                self._hash, self._size = digest.copy(), size + whole
            digest.update(piece[whole:])
            size += len(piece)
        self._torn = self._size != size
        self._heal()
        self._unflushed = True

    def _heal(self) -> None:
        if self._torn:
            atomic_io.layer.truncate(self._handle, self._size)
            self._torn = False

    def append(self, line: bytes) -> None:
        """Raises: NoSpace, Unwritable: nothing of the line stays."""
        with said_plainly(self.path.parent, len(line)):
            self._heal()
            self._torn = True
            try:
                atomic_io.write_all(self._handle, line)
                self._unflushed = True
                if time.monotonic() - self._flushed >= self.FLUSH_SECONDS:
                    self._sync()
            except OSError:
                with contextlib.suppress(OSError):
                    self._heal()
                raise
        self._torn = False
        self._size += len(line)
        self._hash.update(line)

    def flush(self) -> FileFact:
        """Sync what was appended and return the file's hash and size. Raises: NoSpace, Unwritable."""
        if self._unflushed:
            with said_plainly(self.path.parent, self._size):
                self._sync()
        return FileFact(sha256=self._hash.hexdigest(), bytes=self._size)

    def _sync(self) -> None:
        atomic_io.layer.sync(self._handle)
        self._unflushed = False
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush, as far as the disk allows, and close the file."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                self.flush()
            with contextlib.suppress(OSError):
                atomic_io.layer.close(self._handle)
            self._handle = -1
