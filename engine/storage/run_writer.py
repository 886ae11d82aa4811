"""Writing a run folder: one process at a time; everything it was told is on the disk when its methods return.

The manifest is replaced only when all it lists is on the disk, and what it no longer lists is removed only after that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.messages import RunFigure
from engine.storage import atomic_io
from engine.storage.disk import (
    Linked,
    Unwritable,
    close_folder,
    entries,
    folder_held,
    is_link,
    is_removed,
    is_still_at,
    lexists,
    open_folder,
    require_room,
    said_plainly,
)
from engine.storage.final_readings import FinalReading, Readings, read_copy, sealed_copy, united
from engine.storage.manifest import PLACES_KEPT, CheckpointEntry, Facts, FileFact, Manifest, RunMetadata, parse_manifest
from engine.storage.metrics_file import MetricsFile, metrics_line
from engine.storage.old_names import VOCABULARY
from engine.storage.run_files import (
    CHECKPOINTS,
    DAMAGED,
    FINAL_FIGURES,
    MANIFEST,
    METRICS,
    PROBE,
    RESUME_FILE,
    STATE,
    remove_own,
    remove_own_entry,
)
from engine.storage.run_folders import SLACK_BYTES, BadRun, RunGone, make_root, new_folder, remove_folder, safe_name, sweep, take_lock
from engine.storage.run_reader import Run

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)  # what a folder answers that is not there any more
KEPT_RESUMABLE = 2


class RunWriter:
    """The one writer of a run. Everything it was told is on the disk when its methods return.

    The run's folder is held open: what is written gets into that folder and no other, also when it is renamed or when a link is put in
    its place meanwhile. All its methods raise Linked where a link stands in the way of a file, NoSpace and Unwritable where the disk
    refuses (nothing that was there is lost, and the same can be asked again), and RunGone when the folder was removed.
    """

    def __init__(self, path: Path, manifest: Manifest | None) -> None:
        """Take the lock and put the folder in order; use `create` or `resume`."""
        self.path = path
        self.notes: list[str] = []
        self._spared: frozenset[str] = frozenset()  # checkpoint folders that are not listed and stay
        self._unreadable: list[str] = []  # files that stay beside those that take their place
        self._copied: Readings = ()  # final figures that are on the disk a second time
        self.moved = False  # the folder bears another name than `path` now
        with said_plainly(path, SLACK_BYTES):
            self._folder = open_folder(path)
        try:
            self._lock = take_lock(path, self._folder)
        except BaseException:
            close_folder(self._folder)
            raise
        try:
            with said_plainly(path, SLACK_BYTES):
                self._manifest = manifest or self._manifest_to_go_on_with()
                self._clear_the_way()
                self._metrics = MetricsFile(path / METRICS, self._folder)
        except BaseException:
            self._lock.release()
            close_folder(self._folder)
            raise
        try:
            with said_plainly(path, SLACK_BYTES):
                for unreadable in self._unreadable:
                    self._keep_damaged(unreadable)
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
            NoSpace, Unwritable: nothing of it stays.
        """
        root = Path(os.path.abspath(root))
        make_root(root)
        sweep(root)
        path = new_folder(root, name, f"{safe_name(metadata.method)}-{safe_name(metadata.data_name)}")
        fields = {field: getattr(metadata, field) for field in RunMetadata.model_fields}
        manifest = Manifest(**fields, vocabulary=VOCABULARY, name=path.name, created=time.time(), status=status)
        try:
            with said_plainly(root, SLACK_BYTES):
                with folder_held(path) as handle:
                    atomic_io.layer.make_folder(path / CHECKPOINTS, handle)
                atomic_io.layer.sync_folder(root)
            writer = cls(path, manifest)
        except BaseException:
            remove_own(path)
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
        try:
            return cls(path, None)
        except Linked as error:
            raise BadRun(str(error)) from None

    @property
    def manifest(self) -> Manifest:
        """The manifest as it was last written."""
        return self._manifest

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Raises: NoSpace, Unwritable: earlier rows are intact, and the same row can be given again."""
        with self._writing(0):
            self._metrics.append(metrics_line(row))

    def save_probe(self, arrays: dict[str, np.ndarray]) -> None:
        """Write the fixed images and noise [N, ...] that every checkpoint is looked at with. Raises: NoSpace, Unwritable."""
        data = atomic_io.arrays_to_npz(arrays)
        require_room(self.path, len(data) + SLACK_BYTES)
        with self._writing(len(data)):
            fact = atomic_io.write_file(self.path / PROBE, data, at=self._folder)
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
            NoSpace, Unwritable: earlier checkpoints are intact, nothing of this one stays.
            RunGone: the folder was removed; or it was moved, then this checkpoint is in it.
        """
        for arrays in files.values():
            atomic_io.check_finite(arrays)
        encoded = {name: atomic_io.tensors_to_bytes(arrays) for name, arrays in files.items()}
        needed = sum(map(len, encoded.values())) + SLACK_BYTES
        require_room(self.path, needed)
        with self._writing(needed), self._checkpoints_held() as checkpoints:
            folder = self._free_folder(step, checkpoints)
            entry = CheckpointEntry(step=step, folder=folder.name, resumable=resumable, keep=keep, best=best, files={})
            try:
                atomic_io.layer.make_folder(folder, checkpoints)
                with folder_held(folder, checkpoints) as inside:
                    for name, data in encoded.items():
                        fact = atomic_io.write_file(folder / name, data, at=inside, needed=needed, sync_folder=False)
                        entry = _with_file(entry, name, fact)
                        needed -= len(data)
                    text = atomic_io.seal(self._state_json(entry, state))
                    fact = atomic_io.write_file(folder / STATE, text, at=inside, needed=needed)
                atomic_io.layer.sync_folder(folder.parent, checkpoints)
                manifest = self._with_checkpoint(_with_file(entry, STATE, fact))
                figures = {"newest": figure, "best": figure if best else None, "headline": headline if best else None}
                self._write_manifest(manifest.model_copy(update={name: value for name, value in figures.items() if value is not None}))
            except BaseException:
                self._undo(folder, checkpoints)
                raise
        self._remove_unlisted()
        if self.moved:
            raise RunGone(
                f"The folder “{self.path}” was moved or renamed while its run was trained, so the training ended; "
                f"all it learned until step {step:,} is in the folder: open it where it is now to go on."
            )

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
        diverged: bool | None = None,
    ) -> None:
        """What is None stays as it was. Raises: NoSpace, Unwritable."""
        given = {"step": step, "headline": headline, "best": best, "total_steps": total_steps, "minutes": minutes, "diverged": diverged}
        given = {name: value for name, value in given.items() if value is not None}
        with self._writing(SLACK_BYTES):
            self._write_manifest(self._changed(status=status, message=message, **given))

    def set_data(self, name: str) -> None:
        """Note where the data lie now; the earlier place is kept. Raises: NoSpace, Unwritable."""
        former = tuple(place for place in self._manifest.former_places if place not in (name, self._manifest.data))
        with self._writing(SLACK_BYTES):
            self._write_manifest(self._changed(data=name, former_places=(*former, self._manifest.data)[-PLACES_KEPT:]))

    def add_final_figures(self, reading: FinalReading) -> None:
        """Note figures beside the earlier ones, which stay. Raises: NoSpace, Unwritable."""
        with self._writing(SLACK_BYTES):
            self._write_manifest(self._changed(final_figures=(*self._manifest.final_figures, reading)))

    def close(self) -> None:
        """Flush the metrics and free the lock."""
        self._metrics.close()
        self._lock.release()
        close_folder(self._folder)
        self._folder = None

    def discard(self) -> tuple[str, ...]:
        """Close and remove the folder, but nothing that is not the run's own: that is returned. Raises: RunGone: it is not there."""
        there = is_still_at(self.path, self._folder)
        self.close()
        if not there:
            raise RunGone(f"The folder “{self.path}” was moved or removed while its run was trained: if it is somewhere, delete it there.")
        with said_plainly(self.path, 0):
            return remove_folder(self.path)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Where it is written

    @contextlib.contextmanager
    def _writing(self, needed: int) -> Iterator[None]:
        """Raises: RunGone: the folder, or what it holds, was removed. NoSpace, Unwritable, Linked."""
        self._require_here(self._metrics.is_removed)
        self.moved = not is_still_at(self.path, self._folder)
        try:
            with said_plainly(self.path, needed):
                yield
        except Unwritable as error:
            self._require_here(error.errno in _GONE and not is_still_at(self.path, self._folder))
            raise

    def _require_here(self, gone: bool) -> None:
        if gone or (is_removed(self._folder) if self._folder is not None else not self.path.is_dir()):
            raise RunGone(
                f"The folder “{self.path}” was moved or removed while its run was trained, so the training ended: "
                f"if it is still somewhere, open it there to go on from its newest checkpoint, else start the run again."
            )

    @contextlib.contextmanager
    def _checkpoints_held(self) -> Iterator[int | None]:
        """A handle of the checkpoints' folder, made anew where somebody has removed it."""
        path = self.path / CHECKPOINTS
        if not lexists(path, self._folder):
            atomic_io.layer.make_folder(path, self._folder)
        with folder_held(path, self._folder) as handle:
            yield handle

    # How the manifest changes

    def _manifest_to_go_on_with(self) -> Manifest:
        run = Run.open(self.path)
        if run.manifest is None:
            raise BadRun(run.fault)
        if run.fault:
            self.notes.append(run.fault)
        try:
            parse_manifest(atomic_io.read_file(self.path / MANIFEST, limit=atomic_io.MAX_JSON_BYTES))
        except atomic_io.Damaged:  # made anew from what could be read: a folder that it lacks may be whole all the same
            listed = _folders(run.manifest)
            with contextlib.suppress(OSError):
                self._spared = frozenset(found.name for found in (self.path / CHECKPOINTS).iterdir() if found.name not in listed)
            self._unreadable.append(MANIFEST)
        try:
            self._copied = read_copy(self.path)
        except atomic_io.Damaged:
            self._unreadable.append(FINAL_FIGURES)
        return run.manifest.model_copy(update={"final_figures": united(run.manifest.final_figures, self._copied)})

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
        if len(manifest.final_figures) != len(self._copied):  # readings are only ever added
            atomic_io.write_file(self.path / FINAL_FIGURES, sealed_copy(manifest.final_figures), at=self._folder)
            self._copied = manifest.final_figures
        atomic_io.write_file(self.path / MANIFEST, data, at=self._folder)
        self._manifest = manifest

    def _state_json(self, entry: CheckpointEntry, state: dict[str, Any]) -> dict[str, Any]:
        facts = {name: getattr(self._manifest, name) for name in Facts.model_fields}
        probe = self._manifest.files.get(PROBE)
        return {"checkpoint": entry.model_dump(), "run": facts, "probe": None if probe is None else probe.model_dump(), "state": state}

    # Keeping the folder in order

    def _free_folder(self, step: int, checkpoints: int | None) -> Path:
        """A step saved again gets a folder of its own, so that the first one stays whole until the manifest names the second."""
        folder = self.path / CHECKPOINTS / f"step-{step:08d}"
        count = 1
        while lexists(folder, checkpoints):
            count += 1
            folder = folder.with_name(f"step-{step:08d}-{count}")
        return folder

    def _undo(self, folder: Path, checkpoints: int | None) -> None:
        """After a failed save: remove its folder, unless the manifest that names it has already reached the disk."""
        if not is_still_at(self.path, self._folder):
            return
        on_disk = None
        with contextlib.suppress(atomic_io.Damaged):
            on_disk = parse_manifest(atomic_io.read_file(self.path / MANIFEST, limit=atomic_io.MAX_JSON_BYTES))
        if on_disk is not None and folder.name not in _folders(on_disk):
            remove_own_entry(folder, checkpoints, (CHECKPOINTS, folder.name))
        elif on_disk is not None:
            self._manifest = on_disk

    def _remove_unlisted(self) -> None:
        """Only after the manifest that no longer names them is on the disk. What resists is tried again next time."""
        listed = {entry.folder: entry.files for entry in self._manifest.checkpoints}
        path = self.path / CHECKPOINTS
        with contextlib.suppress(OSError), folder_held(path, self._folder) as checkpoints:
            for found in entries(path, checkpoints):
                folder = path / found.name
                if found.name in self._spared:
                    continue
                if found.name not in listed:
                    remove_own_entry(folder, checkpoints, (CHECKPOINTS, found.name))
                    continue
                with contextlib.suppress(OSError), folder_held(folder, checkpoints) as inside:
                    for file in entries(folder, inside):
                        if file.name not in listed[found.name]:
                            remove_own_entry(folder / file.name, inside, (CHECKPOINTS, found.name, file.name))

    def _tidy(self) -> None:
        """Whoever holds the lock is the only writer, so every partial file here was left by a dead one."""
        self._remove_unlisted()
        for found in entries(self.path, self._folder):
            if atomic_io.PARTIAL in found.name:
                remove_own_entry(self.path / found.name, self._folder, (found.name,))

    def _keep_damaged(self, name: str) -> None:
        """What cannot be read stays beside the one that takes its place, and `notes` says where. Raises: OSError."""
        path = self.path / name
        if lexists(path, self._folder):
            self.notes.append(f"{name} of “{self.name}” could not be read and is kept as {self._put_aside(name)}.")

    def _put_aside(self, name: str) -> str:
        aside = f"{name}{DAMAGED}{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"
        atomic_io.layer.replace(self.path / name, self.path / aside, self._folder)
        return aside

    def _clear_the_way(self) -> None:
        """Move aside what is no file where a file must be written, and make the checkpoints' folder if it is gone. Raises: Linked."""
        for name in (MANIFEST, METRICS, PROBE, FINAL_FIGURES, CHECKPOINTS):
            if is_link(self.path / name, self._folder):
                raise Linked(self.path / name)
        for name in (MANIFEST, METRICS, PROBE, FINAL_FIGURES):
            path = self.path / name
            if lexists(path, self._folder) and not path.is_file():
                self._put_aside(name)
        if not (self.path / CHECKPOINTS).is_dir():
            atomic_io.layer.make_folder(self.path / CHECKPOINTS, self._folder)


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
