"""The run folder: one training on disk, written by one process, read by any.

    manifest.json                               what the run is and how far it came; its files with size and SHA-256
    metrics.jsonl                               one line per row, appended; each line carries its own checksum
    checkpoints/step-00002048/*.safetensors     weights; `state.json` beside them repeats what the manifest knows
    probe.npz                                   the images and noise every checkpoint is looked at with
    writer.lock                                 who is writing

The manifest is the truth: a file it does not list is not there. It is replaced only when all it lists is on the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.messages import CheckpointInfo, RunInfo
from engine.storage import atomic_io
from engine.storage.atomic_io import NonFinite, NoSpace
from engine.storage.file_lock import Held, Holder, Lock, holder
from engine.storage.manifest import (
    CHECKPOINTS,
    MANIFEST,
    RESUME_FILE,
    STATE,
    CheckpointEntry,
    Facts,
    FileFact,
    Manifest,
    parse_manifest,
    read_manifest,
)
from engine.storage.metrics_file import METRICS, MetricsFile, metrics_line, parse_metrics, read_metrics

__all__ = ["BadRun", "InUse", "Manifest", "NoSpace", "NonFinite", "Run", "RunWriter", "default_root", "delete_run", "list_runs"]

PROBE = "probe.npz"
LOCK = "writer.lock"
KEPT_RESUMABLE = 2
SLACK_BYTES = 64 << 10  # what a save needs beside its files: manifest, folder entries, rounding up to blocks
_GONE = ".removed-"
_LONGEST_NAME = 120


class BadRun(Exception):
    """One sentence: which file, what is wrong, what to do next."""


class InUse(BadRun):
    """Another process writes this run now."""


# ---------------------------------------------------------------------------------------------------------------------
# Finding runs
# ---------------------------------------------------------------------------------------------------------------------


def default_root() -> Path:
    """Where runs live: `$PRIORAMA_RUNS`, or the user's data folder."""
    import platformdirs

    named = os.environ.get("PRIORAMA_RUNS")
    return Path(named).absolute() if named else platformdirs.user_data_path("priorama", appauthor=False) / "runs"


def list_runs(root: Path) -> list[Run]:
    """Every run folder in `root`, by name. Never raises: what is wrong with one is in its `fault`."""
    found = []
    for entry in atomic_io.entries(Path(root)):
        with contextlib.suppress(OSError, BadRun):
            if not entry.name.startswith(".") and entry.is_dir():
                found.append(Run.open(Path(entry.path)))
    return found


def is_run(path: Path) -> bool:
    """Whether a folder holds anything of a run. A folder with nothing but a lock never became one."""
    return any(os.path.lexists(os.path.join(path, name)) for name in (MANIFEST, CHECKPOINTS, METRICS, PROBE))


def delete_run(path: Path) -> None:
    """Remove a run's folder.

    Raises:
        BadRun: it is no run folder.
        InUse: a process writes it now.
    """
    path = Path(path).absolute()
    if not path.is_dir() or not is_run(path):
        raise BadRun(f"“{path}” is no run folder, so nothing was removed.")
    for folder in (
        path,
        *(Path(entry.path) for entry in atomic_io.entries(path) if is_run(Path(entry.path))),
    ):  # and what is trained beside it
        _take_lock(folder).release()
    _remove_run(path)


def _take_lock(path: Path) -> Lock:
    try:
        return Lock(path / LOCK)
    except Held as error:
        raise InUse(str(error)) from None
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"“{path}” cannot be written ({error.strerror}): change the folder's permissions or copy the run elsewhere.") from None


def _remove_run(path: Path) -> None:
    """First out of sight in one step, then file by file: a crash in between leaves no half run in the list."""
    hidden = path.with_name(f"{_GONE}{uuid.uuid4().hex}")
    atomic_io.layer.replace(path, hidden)
    atomic_io.layer.sync_folder(path.parent)
    atomic_io.remove_tree(hidden)


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


class Run:
    """A read-only look at a run folder, as it was when opened; `Run.open` again is cheap.

    `manifest` is None when the folder cannot be used. `fault` is a sentence when anything is wrong with it; a run with a fault
    and a manifest is still usable. `notes` collects sentences about what was worked around while reading.
    """

    def __init__(self, path: Path, manifest: Manifest | None, fault: str, writer: Holder | None) -> None:
        self.path = path
        self.manifest = manifest
        self.fault = fault
        self.writer = writer
        self.notes: list[str] = []
        self._checkpoints: list[CheckpointInfo] | None = None

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Raises: BadRun: it is no run folder at all."""
        path = Path(os.path.abspath(path))
        if not path.is_dir():
            raise BadRun(f"There is no folder “{path}”: choose a run's folder.")
        if not is_run(path):
            raise BadRun(f"“{path}” is no run folder (it has no {MANIFEST}): choose a run's folder.")
        manifest, fault = read_manifest(path)
        if manifest is not None and not fault:
            fault = _fault_of_files(path, manifest)
        return cls(path, manifest, fault, holder(path / LOCK))

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def elsewhere(self) -> bool:
        """Another living process is writing it."""
        return self.writer is not None and not self.writer.is_me

    @property
    def status(self) -> str:
        if self.manifest is None:
            return "damaged"
        if self.manifest.status in ("training", "queued") and self.writer is None:
            return "interrupted"
        return self.manifest.status

    def info(self) -> RunInfo:
        """The run's line in the run list."""
        m = self.manifest
        if m is None:
            return RunInfo(
                run=str(self.path), name=self.name, method="", title="", data="", data_name="", status="damaged", step=0, total_steps=None,
                checkpoints=(), config={}, changed={}, headline="", fault=self.fault, elsewhere=self.elsewhere,
            )  # fmt: skip
        checkpoints = tuple(self.checkpoints())
        return RunInfo(
            run=str(self.path),
            name=self.name,
            method=m.method,
            title=m.title,
            data=m.data,
            data_name=m.data_name,
            status=self.status,
            step=max([m.step, *(checkpoint.step for checkpoint in checkpoints)]),
            total_steps=m.total_steps,
            checkpoints=checkpoints,
            config=dict(m.config),
            changed=dict(m.changed),
            headline=m.headline,
            message=m.message,
            fault=self.fault,
            seed=m.seed,
            shape=m.shape,
            created=m.created,
            elsewhere=self.elsewhere,
            capabilities=m.capabilities,
            device=m.device,
            precision=m.precision,
        )

    def checkpoints(self) -> list[CheckpointInfo]:
        """By step. Looks only whether the files are there with the right size; `load` checks their SHA-256."""
        if self._checkpoints is None:
            self._checkpoints = [self._look_at(entry) for entry in self.manifest.checkpoints] if self.manifest else []
        return list(self._checkpoints)

    def _look_at(self, entry: CheckpointEntry) -> CheckpointInfo:
        folder = os.path.join(self.path, CHECKPOINTS, entry.folder)
        for name, fact in entry.files.items():
            fault = atomic_io.fault_of(os.path.join(folder, name), fact.bytes)
            if fault:
                sentence = f"The checkpoint at step {entry.step:,} cannot be used: its {name} {fault}."
                return CheckpointInfo(entry.step, entry.resumable, entry.best, sentence)
        return CheckpointInfo(entry.step, entry.resumable, entry.best)

    def load(self, step: int | None = None, file: str = "model.safetensors") -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
        """Step, arrays and state of one checkpoint; `step=None` is the newest intact one, and `notes` says what was skipped.

        For `state.json` the arrays are empty.

        Raises:
            BadRun: there is no such checkpoint, or it is damaged.
        """
        run = self
        for _ in range(3):
            try:
                return run._load(step, file, self.notes)
            except BadRun:
                # A writer may have replaced this checkpoint meanwhile; then the manifest on disk is a newer one.
                newer = Run.open(self.path)
                if newer.manifest is None or newer.manifest == run.manifest:
                    raise
                run = newer
        return run._load(step, file, self.notes)

    def _load(self, step: int | None, file: str, notes: list[str]) -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
        entries = self._entries()
        if step is not None:
            entries = [entry for entry in entries if entry.step == step]
            if not entries:
                raise BadRun(f"Run “{self.name}” has no checkpoint at step {step:,}: choose one of those marked on the time line.")
        wanted = [entry for entry in entries if file in entry.files]
        if not wanted:
            raise BadRun(f"Run “{self.name}” has no checkpoint with {file} yet: wait for the next one, or choose another run.")
        skipped = []
        for entry in reversed(wanted):
            try:
                arrays, state = self._read_checkpoint(entry, file)
            except BadRun as error:
                if step is not None:
                    raise
                skipped.append(str(error))
                continue
            notes.extend(skipped)
            return entry.step, arrays, state
        raise BadRun(f"{skipped[0]} No earlier one is intact: start the run again.")

    def _read_checkpoint(self, entry: CheckpointEntry, file: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        folder = self.path / CHECKPOINTS / entry.folder
        name = STATE
        try:
            if STATE not in entry.files:
                raise atomic_io.Damaged("is missing")
            content = atomic_io.unseal(atomic_io.read_file(folder / STATE, _fact(entry.files[STATE]), atomic_io.MAX_JSON_BYTES))
            name = file
            arrays = {} if file == STATE else atomic_io.tensors_from_bytes(atomic_io.read_file(folder / file, _fact(entry.files[file])))
        except atomic_io.Damaged as fault:
            raise BadRun(f"The checkpoint of “{self.name}” at step {entry.step:,} cannot be used: its {name} {fault}.") from None
        state = content.get("state")
        return arrays, state if isinstance(state, dict) else {}

    def newest_resumable(self) -> int | None:
        """The newest checkpoint a training can go on from, all its files verified; `notes` says which were skipped."""
        for entry in reversed(self._entries()):
            if not entry.resumable:
                continue
            fault = self._verify_checkpoint(entry)
            if not fault:
                return entry.step
            self.notes.append(fault)
        return None

    def verify(self) -> list[str]:
        """Read every file and compare its SHA-256: one sentence for each fault, none when all is well."""
        faults = [self.fault] if self.fault else []
        if self.manifest is None:
            return faults
        faults += [fault for entry in self.manifest.checkpoints if (fault := self._verify_checkpoint(entry))]
        if not self.fault:
            if PROBE in self.manifest.files:
                try:
                    self.probe()
                except BadRun as error:
                    faults.append(str(error))
            fault = self._verify_metrics(self.manifest.files.get(METRICS))
            if fault:
                faults.append(fault)
        return faults

    def _verify_checkpoint(self, entry: CheckpointEntry) -> str:
        for name, fact in entry.files.items():
            try:
                atomic_io.read_file(self.path / CHECKPOINTS / entry.folder / name, _fact(fact))
            except atomic_io.Damaged as fault:
                return f"The checkpoint of “{self.name}” at step {entry.step:,} cannot be used: its {name} {fault}."
        return ""

    def _verify_metrics(self, fact: FileFact | None) -> str:
        """The part that was there when the manifest was written must be unchanged, and every whole line after it."""
        try:
            data = atomic_io.read_file(self.path / METRICS)
        except atomic_io.Damaged as fault:
            return f"{METRICS} of “{self.name}” {fault}: there are no curves, its checkpoints can be used."
        bad = parse_metrics(data)[1]
        if bad:
            return f"{METRICS} of “{self.name}” has {bad} damaged lines; they are left out of the curves."
        if fact and atomic_io.fact_of(data[: fact.bytes]) != _fact(fact):
            return f"{METRICS} of “{self.name}” was changed since it was written; its curves may lack points."
        return ""

    def _entries(self) -> list[CheckpointEntry]:
        if self.manifest is None:
            raise BadRun(self.fault)
        return list(self.manifest.checkpoints)

    def metrics(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Whole rows after a byte offset, and the offset to go on from.

        An unfinished last line is left for the next call; damaged lines are skipped, and `notes` says how many.
        A file that has become shorter than `offset` is read from its start.
        """
        rows, bad, end = read_metrics(self.path / METRICS, offset)
        if bad:
            self.notes.append(f"{bad} damaged lines of {METRICS} were skipped.")
        return rows, end

    def probe(self) -> dict[str, np.ndarray]:
        """The fixed images and noise; empty when none were saved.

        Raises:
            BadRun: damaged.
        """
        if self.manifest is None:
            raise BadRun(self.fault)
        if PROBE not in self.manifest.files:
            return {}
        try:
            return atomic_io.arrays_from_npz(atomic_io.read_file(self.path / PROBE, _fact(self.manifest.files[PROBE])))
        except atomic_io.Damaged as fault:
            raise BadRun(f"{PROBE} of “{self.name}” {fault}: the fixed images cannot be shown, all else can.") from None


def _fact(fact: FileFact) -> atomic_io.Fact:
    return atomic_io.Fact(fact.sha256, fact.bytes)


def _fault_of_files(path: Path, manifest: Manifest) -> str:
    """A glance at the files beside the checkpoints."""
    for name, fact in manifest.files.items():
        fault = atomic_io.fault_of(os.path.join(path, name), fact.bytes, at_least=name == METRICS)
        if fault:
            lost = "its curves are incomplete" if name == METRICS else "the fixed images cannot be shown"
            return f"{name} of “{path.name}” {fault}: {lost}, its checkpoints can be used."
    return ""


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------


class RunWriter:
    """The one writer of a run. Everything it was told is on the disk when its methods return."""

    def __init__(self, path: Path, manifest: Manifest | None) -> None:
        """Take the lock and put the folder in order; use `create` or `resume`."""
        self.path = path
        self.notes: list[str] = []
        self._lock = _take_lock(path)
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
    def create(
        cls,
        root: Path,
        name: str | None = None,
        *,
        method: str,
        title: str,
        config: dict[str, Any],
        changed: dict[str, Any],
        data: str,
        data_name: str,
        data_hash: str,
        shape: tuple[int, ...],
        classes: tuple[str, ...],
        seed: int,
        total_steps: int | None,
        minutes: float | None,
        device: str,
        precision: str,
        capabilities: tuple[str, ...],
        versions: dict[str, str],
        kind: str = "images",
        symbols: tuple[int, ...] = (),
        units: str = "characters",
        headline: str | None = None,
        status: str = "training",
    ) -> RunWriter:
        """A new run folder; without a name it becomes `<method>-<data>-<n>`.

        Raises:
            BadRun: the name cannot be a folder's or is taken, or `root` cannot be written.
            NoSpace
        """
        root = Path(os.path.abspath(root))
        _make_root(root)
        for entry in atomic_io.entries(root):
            if entry.name.startswith(_GONE):
                atomic_io.remove_tree(Path(entry.path))
        path = _new_folder(root, name, f"{safe_name(method)}-{safe_name(data_name)}")
        manifest = Manifest(
            name=path.name,
            method=method,
            title=title,
            config=_as_json(config),
            changed=_as_json(changed),
            data=str(data),
            data_name=data_name,
            data_hash=data_hash,
            shape=tuple(int(size) for size in shape),
            classes=tuple(classes),
            kind=kind,
            symbols=tuple(symbols),
            units=units,
            seed=seed,
            versions=dict(versions),
            created=time.time(),
            device=device,
            precision=precision,
            capabilities=tuple(capabilities),
            total_steps=total_steps,
            minutes=minutes,
            status=status,
            headline=headline or "",
        )
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
        return self._manifest

    @property
    def name(self) -> str:
        return self.path.name

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Raises: NoSpace: earlier rows are intact, and the same row can be given again."""
        self._metrics.append(metrics_line(row))

    def save_probe(self, arrays: dict[str, np.ndarray]) -> None:
        """Raises: NoSpace."""
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
    ) -> None:
        """Save one checkpoint; afterwards those no longer needed are removed.

        `files`: arrays by name for each file name. Kept are those with `keep`, the best, the newest, and the newest two resumable
        ones; the resume file stays only with the newest two and the best. `headline` is stored in the same stroke.

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
            self._write_manifest(manifest if headline is None else manifest.model_copy(update={"headline": headline}))
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
        total_steps: int | None = None,
        minutes: float | None = None,
    ) -> None:
        """What is None stays as it was. Raises: NoSpace."""
        given = {"step": step, "headline": headline, "total_steps": total_steps, "minutes": minutes}
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
        _remove_run(self.path)

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


# ---------------------------------------------------------------------------------------------------------------------
# Names
# ---------------------------------------------------------------------------------------------------------------------

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def check_name(name: str) -> None:
    """Raises: BadRun: the name cannot be a folder's on every system."""
    if not name.strip():
        raise BadRun("A run needs a name: type one, or leave it out to get one.")
    if len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise BadRun(f"The name “{name[:40]}…” is too long: use at most {_LONGEST_NAME} plain letters.")
    if name.startswith((".", " ", "-")) or name.endswith((".", " ")):
        raise BadRun(f"“{name}” cannot be a run's name: it must not begin with a dot, blank or dash, nor end with a dot or blank.")
    bad = sorted({character for character in name if character in '/\\:*?"<>|' or not character.isprintable()})
    if bad:
        raise BadRun(f"“{name}” cannot be a run's name: leave out {' '.join(repr(character)[1:-1] for character in bad)}.")
    if name.split(".")[0].lower() in _RESERVED:
        raise BadRun(f"“{name}” cannot be a run's name: Windows keeps it for itself.")


def safe_name(text: str) -> str:
    """Any text as a piece of a run's name."""
    return re.sub(r"[^\w.-]+", "-", text.replace("_", "-")).encode()[:40].decode(errors="ignore").strip("-.") or "data"


def _new_folder(root: Path, name: str | None, stem: str) -> Path:
    if name is not None:
        check_name(name)
        if not _make_run_folder(root / name):
            raise BadRun(f"There is already a run “{name}”: choose another name, or go on with that run.")
        return root / name
    count = 1
    while not _make_run_folder(root / f"{stem}-{count}"):
        count += 1
    return root / f"{stem}-{count}"


def _make_root(root: Path) -> None:
    try:
        with atomic_io.no_space(root.parent, SLACK_BYTES):
            root.mkdir(parents=True, exist_ok=True)
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"Runs cannot be kept in “{root}” ({error.strerror}): choose another folder with --runs or PRIORAMA_RUNS.") from None


def _make_run_folder(path: Path) -> bool:
    try:
        with atomic_io.no_space(path.parent, SLACK_BYTES):
            atomic_io.layer.make_folder(path)
    except FileExistsError:
        return False
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"The folder “{path}” cannot be made ({error.strerror}): choose another name or another folder for runs.") from None
    return True


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: atomic_io.plain(value) if isinstance(value, np.generic | np.ndarray) else value for name, value in values.items()}
