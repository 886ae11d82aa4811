"""metrics.jsonl: one row per line, appended with one write; each line carries its own checksum, so damage costs that line only."""

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
from typing import Any

import numpy as np

from engine.storage import atomic_io
from engine.storage.manifest import FileFact

METRICS = "metrics.jsonl"

_CRC = re.compile(rb', "crc": "([0-9a-f]{8})"\}$')


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
    found = _CRC.search(line)
    if not found or zlib.crc32(line[: found.start()]) != int(found[1], 16):
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


def read_metrics(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int, int]:
    """Rows after `offset`, how many lines were damaged, and where the last whole line ends."""
    try:
        if atomic_io.fault_of(path, None):
            return [], 0, offset
        with open(path, "rb") as file:
            if offset > os.fstat(file.fileno()).st_size:
                offset = 0
            file.seek(offset)
            data = file.read(atomic_io.MAX_FILE_BYTES)
    except OSError:
        return [], 0, offset
    rows, bad, whole = parse_metrics(data)
    return rows, bad, offset + whole


def parse_metrics(data: bytes) -> tuple[list[dict[str, Any]], int, int]:
    """Rows, how many lines were damaged, and where the last whole line ends."""
    whole = data.rfind(b"\n") + 1
    rows = [parse_metrics_line(line) for line in data[:whole].split(b"\n")[:-1]]
    return [row for row in rows if row is not None], rows.count(None), whole


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

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = atomic_io.layer.open_append(path)
        self._read_back()
        self._flushed = time.monotonic()

    def _read_back(self) -> None:
        """Drop a torn last line, and hash the rest."""
        data = self.path.read_bytes()
        self._size = data.rfind(b"\n") + 1
        self._torn = self._size != len(data)
        self._heal()
        self._hash = hashlib.sha256(data[: self._size])
        self._unflushed = True

    def _heal(self) -> None:
        if self._torn:
            atomic_io.layer.truncate(self._handle, self._size)
            self._torn = False

    def append(self, line: bytes) -> None:
        """Raises: NoSpace: nothing of the line stays."""
        self._heal()
        with atomic_io.no_space(self.path.parent, len(line)):
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
        """Sync what was appended and return the file's hash and size. Raises: NoSpace."""
        if self._unflushed:
            with atomic_io.no_space(self.path.parent, self._size):
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
            atomic_io.layer.close(self._handle)
            self._handle = -1
