"""Scores that were computed once, kept in a run's folder: `scores/<name>-<key>.npz`.

The key is a hash of all that a score depends on. These files are a convenience: nothing lists them, a missing or damaged one is
computed anew, and where they cannot be written all works without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.storage import atomic_io

FOLDER = "scores"
KEPT = 400  # files; the oldest go first
KEPT_BYTES = 256 * 2**20  # of all files; the same


class ScoreFiles:
    """Scores of a run's detectors, one .npz file for each set of facts they depend on."""

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER

    def path(self, name: str, facts: dict[str, Any]) -> Path:
        """The file of a detector's scores under these facts."""
        text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=atomic_io.plain)
        return self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"

    def load(self, name: str, facts: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """Arrays [...] by name that were kept under exactly these facts; None when there is nothing whole."""
        try:
            return atomic_io.arrays_from_npz(atomic_io.read_file(self.path(name, facts))) or None
        except atomic_io.Damaged:
            return None

    def keep(self, name: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Write arrays [...] by name; a full disk is no error, and the oldest files make room."""
        data = atomic_io.arrays_to_npz(arrays)
        with contextlib.suppress(OSError):
            if not self.folder.is_dir():
                atomic_io.layer.make_folder(self.folder)
            atomic_io.write_file(self.path(name, facts), data, sync_folder=False)
            self._make_room()

    def _make_room(self) -> None:
        files = atomic_io.entries(self.folder)
        total = 0
        for place, entry in enumerate(sorted(files, key=_age, reverse=True)):  # the newest first
            with contextlib.suppress(OSError):
                total += entry.stat().st_size
                if place >= KEPT or (total > KEPT_BYTES and place > 0):
                    atomic_io.layer.remove(Path(entry.path))


def _age(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0
