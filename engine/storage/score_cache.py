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
from engine.storage.disk import entries, folder_held, is_link
from engine.storage.run_files import SCORES, SCORES_FILE

KEPT = 400  # files; the oldest go first
KEPT_BYTES = 256 * 2**20  # of all files; the same


class ScoreFiles:
    """Scores of a run's detectors, one .npz file for each set of facts they depend on."""

    def __init__(self, run: Path) -> None:
        self.folder = run / SCORES

    def path(self, name: str, facts: dict[str, Any]) -> Path:
        """The file of a detector's scores under these facts."""
        text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=atomic_io.plain)
        return self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"

    def load(self, name: str, facts: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """Arrays [...] by name that were kept under exactly these facts; None when there is nothing whole."""
        if is_link(self.folder):
            return None
        try:
            return atomic_io.arrays_from_npz(atomic_io.read_file(self.path(name, facts))) or None
        except atomic_io.Damaged:
            return None

    def keep(self, name: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Write arrays [...] by name; a full disk is no error, neither is a link in the way, and the oldest files make room."""
        data = atomic_io.arrays_to_npz(arrays)
        with contextlib.suppress(OSError), folder_held(self.folder.parent) as run:
            with contextlib.suppress(FileExistsError):
                atomic_io.layer.make_folder(self.folder, run)
            with folder_held(self.folder, run) as handle:
                atomic_io.write_file(self.path(name, facts), data, at=handle, sync_folder=False)
                self._make_room(handle)

    def _make_room(self, handle: int | None) -> None:
        """Remove the oldest of our own files; what others have put there is none of ours and is not counted."""
        files = [(entry.name, *_size_and_age(entry)) for entry in entries(self.folder, handle) if SCORES_FILE.fullmatch(entry.name)]
        total = 0
        for place, (name, size, _) in enumerate(sorted(files, key=lambda file: file[2], reverse=True)):  # the newest first
            total += size
            if place >= KEPT or (total > KEPT_BYTES and place > 0):
                with contextlib.suppress(OSError):
                    atomic_io.layer.remove(self.folder / name, handle)


def _size_and_age(entry: os.DirEntry[str]) -> tuple[int, float]:
    """Bytes and the time of the last change; of a link its own."""
    try:
        found = entry.stat(follow_symlinks=False)
        return found.st_size, found.st_mtime
    except OSError:
        return 0, 0.0
