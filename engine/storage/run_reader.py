"""The run folder: one training on disk, written by one process, read by any.

    manifest.json                               what the run is and how far it came; its files with size and SHA-256
    metrics.jsonl                               one line per row, appended; each line carries its own checksum
    checkpoints/step-00002048/*.safetensors     weights; `state.json` beside them repeats what the manifest knows
    final_figures.json                          the final figures of the manifest once more, lest they are lost with it
    probe.npz                                   the images and noise every checkpoint is looked at with
    writer.lock                                 who is writing

The manifest is the truth: a file it does not list is not there. It is replaced only when all it lists is on the disk.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.counting import number_of, was_or_were
from engine.messages import CheckpointInfo, FinalFigure, RunInfo
from engine.storage import atomic_io
from engine.storage.disk import IS_A_LINK, entries, is_link
from engine.storage.file_lock import Holder, holder
from engine.storage.final_readings import Readings, readings_of
from engine.storage.manifest import CheckpointEntry, FileFact, Manifest, forget_manifests, place_of, read_manifest
from engine.storage.metrics_file import content_hash, read_metrics
from engine.storage.old_names import VOCABULARY, arrays_today, row_today, state_today
from engine.storage.run_files import BESIDE, CHECKPOINTS, LOCK, MANIFEST, METRICS, MODEL_FILE, PROBE, RESUME_FILE, STATE
from engine.storage.run_folders import BadRun, is_run


def list_runs(root: Path) -> list[Run]:
    """Every run folder in `root`, by name. Never raises: what is wrong with one is in its `fault`."""
    found = []
    for entry in entries(Path(root)):
        with contextlib.suppress(OSError, BadRun):
            if not entry.name.startswith(".") and entry.is_dir():
                found.append(Run.open(Path(entry.path)))
    forget_manifests(root, {run.name for run in found})
    return found


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
        if is_link(path) or (path.name in BESIDE and is_link(path.parent)):
            sentence = f"“{path.name}” is a link to a run's folder elsewhere, so it is not used here: open the folder it leads to."
            return cls(path, None, sentence, None)
        manifest, fault = read_manifest(path)
        if manifest is not None and not fault:
            fault = _fault_of_files(path, manifest)
        return cls(path, manifest, fault, holder(path / LOCK))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def _method(self) -> str:
        return self.manifest.method if self.manifest is not None else ""

    @property
    def elsewhere(self) -> bool:
        """Another living process is writing it."""
        return self.writer is not None and not self.writer.is_me

    @property
    def status(self) -> str:
        """The manifest's status; "interrupted" where nobody writes any more, "damaged" where no manifest can be read."""
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
                final_figures=_told(readings_of(self.path)[0]),
            )  # fmt: skip
        checkpoints = tuple(self.checkpoints())
        return RunInfo(
            run=str(self.path),
            name=self.name,
            method=m.method,
            title=m.title,
            data=place_of(m),
            data_name=m.data_name,
            status=self.status,
            step=max([m.step, *(checkpoint.step for checkpoint in checkpoints)]),
            total_steps=m.total_steps,
            checkpoints=checkpoints,
            config=dict(m.config),
            changed=dict(m.changed),
            headline=m.headline,
            best=m.best,
            newest=m.newest,
            final_figures=_told(m.final_figures),
            message=m.message,
            fault=self.fault,
            seed=m.seed,
            shape=m.shape,
            created=m.created,
            elsewhere=self.elsewhere,
            capabilities=m.capabilities,
            device=m.device,
            precision=m.precision,
            minutes=m.minutes,
            bytes=sum(fact.bytes for files in (m.files, *(c.files for c in m.checkpoints)) for fact in files.values()),
            resume_bytes=sum(c.files[RESUME_FILE].bytes for c in m.checkpoints if RESUME_FILE in c.files),
        )

    def checkpoints(self) -> list[CheckpointInfo]:
        """By step. Looks only whether the files are there with the right size; `load` checks their SHA-256.

        A file that only resuming needs makes a checkpoint no worse to look at: without it, none goes on from here.
        """
        if self._checkpoints is None:
            self._checkpoints = [self._look_at(entry) for entry in self.manifest.checkpoints] if self.manifest else []
        return list(self._checkpoints)

    def _look_at(self, entry: CheckpointEntry) -> CheckpointInfo:
        folder = os.path.join(self.path, CHECKPOINTS, entry.folder)
        linked = self._linked(entry)
        note = ""
        for name, fact in entry.files.items():
            fault = linked or atomic_io.fault_of(os.path.join(folder, name), fact.bytes)
            if fault and name == RESUME_FILE and not linked:
                note = f"No training can go on from step {entry.step:,}: its {name} {fault}. It can be looked at."
            elif fault:
                sentence = f"The checkpoint at step {entry.step:,} cannot be used: its {name} {fault}."
                return CheckpointInfo(entry.step, entry.resumable, entry.best, sentence)
        diverged = self.manifest is not None and self.manifest.diverged
        return CheckpointInfo(entry.step, entry.resumable and not note and not diverged, entry.best, note=note)

    def _linked(self, entry: CheckpointEntry) -> str:
        """How a sentence about a file of a checkpoint ends whose folder is reached through a link."""
        folder = os.path.join(self.path, CHECKPOINTS)
        return f"lies in a folder that {IS_A_LINK}" if is_link(folder) or is_link(os.path.join(folder, entry.folder)) else ""

    def load(self, step: int | None = None, file: str = MODEL_FILE) -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
        """Step, arrays [...] by name and state of one checkpoint; `step=None` is the newest intact one, and `notes` says what was
        skipped.

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
            if linked := self._linked(entry):
                raise atomic_io.Damaged(linked)
            if STATE not in entry.files:
                raise atomic_io.Damaged("is missing")
            content = atomic_io.unseal(atomic_io.read_file(folder / STATE, _fact(entry.files[STATE]), atomic_io.MAX_JSON_BYTES))
            name = file
            arrays = {} if file == STATE else atomic_io.tensors_from_bytes(atomic_io.read_file(folder / file, _fact(entry.files[file])))
        except atomic_io.Damaged as fault:
            raise BadRun(f"The checkpoint of “{self.name}” at step {entry.step:,} cannot be used: its {name} {fault}.") from None
        facts, state = content.get("run"), content.get("state")
        vocabulary = 1 if isinstance(facts, dict) and "vocabulary" not in facts else VOCABULARY
        return arrays_today(arrays, vocabulary), state_today(self._method, state) if isinstance(state, dict) else {}

    def newest_resumable(self) -> int | None:
        """The newest checkpoint a training can go on from, all its files verified; `notes` says which were skipped. None of a run that
        diverged: it would do so again.
        """
        if self.manifest is not None and self.manifest.diverged:
            return None
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
        faults += [fault for fault in [readings_of(self.path)[1]] if fault and fault not in self.fault]
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
                if linked := self._linked(entry):
                    raise atomic_io.Damaged(linked)
                atomic_io.read_file(self.path / CHECKPOINTS / entry.folder / name, _fact(fact))
            except atomic_io.Damaged as fault:
                return f"The checkpoint of “{self.name}” at step {entry.step:,} cannot be used: its {name} {fault}."
        return ""

    def _verify_metrics(self, fact: FileFact | None) -> str:
        """The part that was there when the manifest was written must be unchanged, and every whole line after it."""
        path = self.path / METRICS
        fault = atomic_io.fault_of(path, None)
        found = ""
        if not fault:
            try:
                found = content_hash(path, fact.bytes if fact else 0)
            except OSError as error:
                fault = f"cannot be read ({error.strerror})"
        if fault:
            return f"{METRICS} of “{self.name}” {fault}: there are no curves, its checkpoints can be used."
        damaged = read_metrics(path).damaged
        if damaged:
            they = "it is" if damaged == 1 else "they are"
            return f"{METRICS} of “{self.name}” has {number_of(damaged, 'damaged line')}; {they} left out of the curves."
        if fact and found != fact.sha256:
            return f"{METRICS} of “{self.name}” was changed since it was written; its curves may lack points."
        return ""

    def _entries(self) -> list[CheckpointEntry]:
        if self.manifest is None:
            raise BadRun(self.fault)
        return list(self.manifest.checkpoints)

    def metrics(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Whole rows after a byte offset, and the offset to go on from.

        An unfinished last line is left for the next call; damaged lines are skipped, and `notes` says how many.
        A file that has become shorter than `offset` is read from its start. A very long one is thinned out, and `notes` says so.
        """
        if is_link(self.path):
            return [], offset
        rows, damaged, end, every = read_metrics(self.path / METRICS, offset)
        if damaged:
            self.notes.append(f"{number_of(damaged, 'damaged line')} of {METRICS} {was_or_were(damaged)} skipped.")
        if every > 1:
            self.notes.append(f"{METRICS} is very long: of the training losses every {every}th row is shown, of all else everything.")
        return [row_today(self._method, row) for row in rows], end

    def probe(self) -> dict[str, np.ndarray]:
        """The fixed images [N, C, H, W] and noise [N, ...] by name; empty when none were saved.

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


def _told(readings: Readings) -> tuple[FinalFigure, ...]:
    return tuple(FinalFigure(f.split, f.step, f.step_rule, f.images, dict(f.values), f.date) for f in readings)


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
