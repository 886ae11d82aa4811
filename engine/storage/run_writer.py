"""Writing a run folder: one process at a time; everything it was told is on the disk when its methods return.

The manifest is replaced only when all it lists is on the disk, and what it no longer lists is removed only after that.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.messages import RunFigure
from engine.storage import atomic_io
from engine.storage.manifest import (
    CHECKPOINTS,
    MANIFEST,
    RESUME_FILE,
    STATE,
    CheckpointEntry,
    Facts,
    FileFact,
    Manifest,
    RunMetadata,
    parse_manifest,
)
from engine.storage.metrics_file import METRICS, MetricsFile, metrics_line
from engine.storage.old_names import VOCABULARY
from engine.storage.run_folders import PROBE, SLACK_BYTES, BadRun, make_root, new_folder, remove_folder, safe_name, sweep, take_lock
from engine.storage.run_reader import Run

KEPT_RESUMABLE = 2


class RunWriter:
    """The one writer of a run. Everything it was told is on the disk when its methods return."""

    def __init__(self, path: Path, manifest: Manifest | None) -> None:
        """Take the lock and put the folder in order; use `create` or `resume`."""
        self.path = path
        self.notes: list[str] = []
        self._lock = take_lock(path)
        try:
            with atomic_io.no_space(path, SLACK_BYTES):
                self._manifest = manifest or self._manifest_to_go_on_with()
                self._clear_the_way()
                self._metrics = MetricsFile(path / METRICS)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._write_manifest(self._manifest)
            self._tidy()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, root: Path, metadata: RunMetadata, name: str | None = None, status: str = "training") -> RunWriter:
        """A new run folder; without a name it becomes `<method>-<data>-<n>`.

        Raises:
            BadRun: the name cannot be a folder's or is taken, or `root` cannot be written.
            NoSpace
        """
        root = Path(os.path.abspath(root))
        make_root(root)
        sweep(root)
        path = new_folder(root, name, f"{safe_name(metadata.method)}-{safe_name(metadata.data_name)}")
        fields = {field: getattr(metadata, field) for field in RunMetadata.model_fields}
        manifest = Manifest(**fields, vocabulary=VOCABULARY, name=path.name, created=time.time(), status=status)
        try:
            with atomic_io.no_space(root, SLACK_BYTES):
                atomic_io.layer.make_folder(path / CHECKPOINTS)
                atomic_io.layer.sync_folder(root)
            writer = cls(path, manifest)
        except BaseException:
            atomic_io.remove_tree(path)
            raise
        return writer

    @classmethod
    def resume(cls, path: Path | str) -> RunWriter:
        """Go on writing a run. `notes` says what had to be repaired.

        Raises:
            BadRun: it cannot be used.
            InUse: another process writes it.
        """
        path = Path(os.path.abspath(path))
        Run.open(path)
        return cls(path, None)

    @property
    def manifest(self) -> Manifest:
        """The manifest as it was last written."""
        return self._manifest

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Raises: NoSpace: earlier rows are intact, and the same row can be given again."""
        self._metrics.append(metrics_line(row))

    def save_probe(self, arrays: dict[str, np.ndarray]) -> None:
        """Write the fixed images and noise [N, ...] that every checkpoint is looked at with. Raises: NoSpace."""
        data = atomic_io.arrays_to_npz(arrays)
        atomic_io.require_room(self.path, len(data) + SLACK_BYTES)
        fact = atomic_io.write_file(self.path / PROBE, data)
        self._write_manifest(self._changed(files={**self._manifest.files, PROBE: FileFact(**vars(fact))}))

    def save_checkpoint(
        self,
        step: int,
        files: dict[str, dict[str, np.ndarray]],
        state: dict[str, Any],
        *,
        resumable: bool,
        keep: bool,
        best: bool = False,
        headline: str | None = None,
        figure: RunFigure | None = None,
    ) -> None:
        """Save arrays [...] by file and name, and the state, as one checkpoint; afterwards those no longer needed are removed.

        `files`: arrays by name for each file name. Kept are those with `keep`, the best, the newest, and the newest two resumable
        ones; the resume file stays only with the newest two and the best. In the same stroke the manifest takes `figure` as its newest
        number, and with `best` as its best one and `headline` as the words for it.

        Raises:
            NonFinite: names the tensor; nothing was written.
            NoSpace: earlier checkpoints are intact, nothing of this one stays.
        """
        for arrays in files.values():
            atomic_io.check_finite(arrays)
        encoded = {name: atomic_io.tensors_to_bytes(arrays) for name, arrays in files.items()}
        needed = sum(map(len, encoded.values())) + SLACK_BYTES
        atomic_io.require_room(self.path, needed)
        folder = self._free_folder(step)
        entry = CheckpointEntry(step=step, folder=folder.name, resumable=resumable, keep=keep, best=best, files={})
        try:
            with atomic_io.no_space(self.path, needed):
                atomic_io.layer.make_folder(folder)
            for name, data in encoded.items():
                fact = atomic_io.write_file(folder / name, data, needed=needed, sync_folder=False)
                entry = _with_file(entry, name, fact)
                needed -= len(data)
            text = atomic_io.seal(self._state_json(entry, state))
            fact = atomic_io.write_file(folder / STATE, text, needed=needed)
            with atomic_io.no_space(self.path, needed):
                atomic_io.layer.sync_folder(folder.parent)
            manifest = self._with_checkpoint(_with_file(entry, STATE, fact))
            figures = {"newest": figure, "best": figure if best else None, "headline": headline if best else None}
            self._write_manifest(manifest.model_copy(update={name: value for name, value in figures.items() if value is not None}))
        except BaseException:
            self._undo(folder)
            raise
        self._remove_unlisted()

    def set_status(
        self,
        status: str,
        message: str = "",
        *,
        step: int | None = None,
        headline: str | None = None,
        best: RunFigure | None = None,
        total_steps: int | None = None,
        minutes: float | None = None,
    ) -> None:
        """What is None stays as it was. Raises: NoSpace."""
        given = {"step": step, "headline": headline, "best": best, "total_steps": total_steps, "minutes": minutes}
        self._write_manifest(
            self._changed(status=status, message=message, **{name: value for name, value in given.items() if value is not None})
        )

    def close(self) -> None:
        """Flush the metrics and free the lock."""
        self._metrics.close()
        self._lock.release()

    def discard(self) -> None:
        """Close and remove the folder."""
        self.close()
        remove_folder(self.path)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # How the manifest changes

    def _manifest_to_go_on_with(self) -> Manifest:
        run = Run.open(self.path)
        if run.manifest is None:
            raise BadRun(run.fault)
        if run.fault:
            self.notes.append(run.fault)
        return run.manifest

    def _changed(self, **update: Any) -> Manifest:
        return self._manifest.model_copy(update=update)

    def _with_checkpoint(self, new: CheckpointEntry) -> Manifest:
        others = [entry for entry in self._manifest.checkpoints if entry.step != new.step]
        if new.best:
            others = [entry.model_copy(update={"best": False}) for entry in others]
        entries = sorted([*others, new], key=lambda entry: entry.step)
        return self._changed(checkpoints=tuple(_kept(entries)), step=max(self._manifest.step, new.step))

    def _write_manifest(self, manifest: Manifest) -> None:
        files = {**manifest.files, METRICS: self._metrics.flush()}
        manifest = manifest.model_copy(update={"files": files})
        data = atomic_io.seal(manifest.model_dump())
        atomic_io.write_file(self.path / MANIFEST, data)
        self._manifest = manifest

    def _state_json(self, entry: CheckpointEntry, state: dict[str, Any]) -> dict[str, Any]:
        facts = {name: getattr(self._manifest, name) for name in Facts.model_fields}
        return {"checkpoint": entry.model_dump(), "run": facts, "state": state}

    # Keeping the folder in order

    def _free_folder(self, step: int) -> Path:
        """A step saved again gets a folder of its own, so that the first one stays whole until the manifest names the second."""
        folder = self.path / CHECKPOINTS / f"step-{step:08d}"
        count = 1
        while os.path.lexists(folder):
            count += 1
            folder = folder.with_name(f"step-{step:08d}-{count}")
        return folder

    def _undo(self, folder: Path) -> None:
        """After a failed save: remove its folder, unless the manifest that names it has already reached the disk."""
        on_disk = None
        with contextlib.suppress(atomic_io.Damaged):
            on_disk = parse_manifest(atomic_io.read_file(self.path / MANIFEST, limit=atomic_io.MAX_JSON_BYTES))
        if on_disk is not None and folder.name not in _folders(on_disk):
            atomic_io.remove_tree(folder)
        elif on_disk is not None:
            self._manifest = on_disk

    def _remove_unlisted(self) -> None:
        """Only after the manifest that no longer names them is on the disk. What resists is tried again next time."""
        listed = {entry.folder: entry.files for entry in self._manifest.checkpoints}
        for folder in atomic_io.entries(self.path / CHECKPOINTS):
            if folder.name not in listed:
                _remove(folder)
                continue
            for file in atomic_io.entries(Path(folder.path)):
                if file.name not in listed[folder.name]:
                    _remove(file)

    def _tidy(self) -> None:
        """Whoever holds the lock is the only writer, so every partial file here was left by a dead one."""
        self._remove_unlisted()
        for entry in atomic_io.entries(self.path):
            if atomic_io.PARTIAL in entry.name:
                _remove(entry)

    def _clear_the_way(self) -> None:
        """Move aside what is no file where a file must be written, and make the checkpoints' folder if it is gone."""
        for name in (MANIFEST, METRICS, PROBE):
            path = self.path / name
            if os.path.lexists(path) and not path.is_file():
                atomic_io.layer.replace(path, path.with_name(f"{name}.damaged-{uuid.uuid4().hex[:8]}"))
        if not (self.path / CHECKPOINTS).is_dir():
            atomic_io.layer.make_folder(self.path / CHECKPOINTS)


def _with_file(entry: CheckpointEntry, name: str, fact: atomic_io.Fact) -> CheckpointEntry:
    return entry.model_copy(update={"files": {**entry.files, name: FileFact(sha256=fact.sha256, bytes=fact.bytes, step=entry.step)}})


def _folders(manifest: Manifest) -> set[str]:
    return {entry.folder for entry in manifest.checkpoints}


def _kept(entries: list[CheckpointEntry]) -> Iterator[CheckpointEntry]:
    """Of entries in order of steps, those that stay; what only a resumed training needs stays with the newest and the best."""
    resumable = [entry.step for entry in entries if entry.resumable][-KEPT_RESUMABLE:]
    for entry in entries:
        if entry.best or entry.step in resumable:
            yield entry
        elif entry.keep or entry is entries[-1]:
            files = {name: fact for name, fact in entry.files.items() if name != RESUME_FILE}
            yield entry.model_copy(update={"resumable": False, "files": files})


def _remove(entry: os.DirEntry[str]) -> None:
    with contextlib.suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            atomic_io.remove_tree(Path(entry.path))
        else:
            atomic_io.layer.remove(Path(entry.path))
