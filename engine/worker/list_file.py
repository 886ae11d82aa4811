"""A small list that survives a restart: the queue, the data sets that were opened."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class ListFile:
    """A JSON list in a file. `folder` is asked for when it is needed, so that making one imports nothing."""

    def __init__(self, folder: Callable[[], Path], name: str) -> None:
        self.name = name
        self._folder = folder
        self._read = False  # what is in the file is known, so it may be replaced

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._folder() / self.name

    def read(self) -> list[Any]:
        """Empty where there is no file. Raises: OSError; ValueError where it holds something else than a list."""
        path = self.path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b"[]"
        self._read = True
        try:
            rows = json.loads(data.decode("utf-8"))
        except RecursionError:
            raise ValueError(f"{path} is nested too deeply.") from None
        if not isinstance(rows, list):
            raise ValueError(f"{path} holds no list.")
        return rows

    def write(self, rows: list[Any]) -> None:
        """Replace the file, or remove it where nothing is left; a disk that refuses is not complained of. Nothing before `read`."""
        if not self._read:
            return
        with contextlib.suppress(OSError):
            from engine.storage.atomic_io import write_file

            path = self.path
            if rows:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, json.dumps(rows).encode("utf-8"))
            else:
                path.unlink(missing_ok=True)
