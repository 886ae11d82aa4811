"""A writer that dies, and a computer that loses its power: what is left must open, and lose at most the work since the last checkpoint."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.storage import atomic_io
from engine.storage.run_folders import InUse, delete_run
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from tests.kit.killer import Killer
from tests.kit.runs import assert_holds, new_run, partials, reading_at, row_at, save, using

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL, which this system lacks")


@pytest.fixture
def killer() -> Iterator[Killer]:
    killer = Killer()
    yield killer
    killer.close()


@pytest.fixture
def started(tmp_path: Path) -> Path:
    with new_run(tmp_path / "runs") as writer:
        writer.append_metrics(row_at(0))
        save(writer, 0, keep=True)
    return writer.path


def assert_survived(run_path: Path, at_least: int) -> int:
    """The list opens, nothing is faulty, the newest checkpoint loads and is not older than what was reported as saved."""
    (run,) = list_runs(run_path.parent)
    assert run.fault == "" and run.verify() == []
    assert run.status in ("interrupted", "done") and not run.elsewhere
    newest = run.newest_resumable()
    assert newest is not None and newest >= at_least
    step, arrays, state = run.load()
    assert step >= newest
    assert_holds(step, arrays, state)
    rows, _ = run.metrics()
    assert run.notes == []
    assert {row["steps"][0] for row in rows} >= set(range(at_least + 1))
    return newest


@needs_fork
def test_forty_kills_at_random_moments_lose_no_saved_checkpoint(started: Path, killer: Killer) -> None:
    chance, last = random.Random(8), 0
    for _ in range(40):
        answer = killer.ask("random", run=str(started), milliseconds=chance.uniform(0, 200))
        assert answer["code"] == -9
        last = assert_survived(started, max(last, answer["saved"] or 0))
    assert last > 10  # they did get to save in between
    RunWriter.resume(started).close()
    assert partials(started) == []


@needs_fork
def test_a_kill_within_each_call_to_the_disk_loses_no_saved_checkpoint(started: Path, killer: Killer) -> None:
    number, last = 0, 0
    while True:
        answer = killer.ask("call", run=str(started), number=number)
        assert answer["code"] in (-9, 0)
        last = assert_survived(started, max(last, answer["saved"] or 0))
        if answer["code"] == 0:
            break
        number += 1
    assert number > 30
    assert partials(started) == []
    manifest = Run.open(started).manifest
    assert manifest is not None
    assert {path.name for path in (started / "checkpoints").iterdir()} == {entry.folder for entry in manifest.checkpoints}


@needs_fork
def test_a_kill_within_each_call_keeps_final_figures_in_both_places_or_in_none(started: Path, killer: Killer) -> None:
    """Of a process that dies between the two files, the copy is believed: the test images were read."""
    with RunWriter.resume(started) as writer:
        writer.add_final_figures(reading_at(1))
    files = [started / name for name in ("manifest.json", "final_figures.json")]
    before = [file.read_bytes() for file in files]
    number, seen = 0, set()
    while True:
        answer = killer.ask("reading", run=str(started), number=number)
        assert answer["code"] in (-9, 0) and Run.open(started).fault == ""
        RunWriter.resume(started).close()
        kept = [figure.step for figure in Run.open(started).info().final_figures]
        (started / "manifest.json").unlink()
        assert [figure.step for figure in Run.open(started).info().final_figures] == kept
        seen.add(tuple(kept))
        for file, data in zip(files, before, strict=True):
            file.write_bytes(data)
        if answer["code"] == 0:
            break
        number += 1
    assert number > 15 and kept == [1, 2] and seen == {(1,), (1, 2)}


@needs_fork
def test_a_run_written_by_another_process_can_be_watched_but_not_written(started: Path, killer: Killer) -> None:
    child = killer.ask("hold", run=str(started))
    run = Run.open(started)
    assert run.elsewhere and run.info().elsewhere and run.status == "training"
    assert_holds(*run.load())
    assert run.load()[0] == child["saved"] == 1
    with pytest.raises(InUse, match=f"process {child['pid']}"):
        RunWriter.resume(started)
    with pytest.raises(InUse):
        delete_run(started)
    assert Run.open(started).load()[0] == 1
    (started / "writer.lock").write_text(json.dumps({"pid": 1, "host": "another computer", "start": "1"}))
    assert Run.open(started).elsewhere  # told by the system's lock where the names cannot be checked
    with pytest.raises(InUse, match="process 1 on “another computer”"):
        RunWriter.resume(started)
    killer.ask("kill")
    run = Run.open(started)
    assert not run.elsewhere and run.status == "interrupted"
    with RunWriter.resume(started) as writer:
        save(writer, 2)
    assert Run.open(started).newest_resumable() == 2


# -- loss of power -----------------------------------------------------------------------------------------------------


class Ledger(atomic_io.Layer):
    """Carries everything out and notes it, in terms of files (by number) and folder entries."""

    def __init__(self) -> None:
        self.done: list[tuple] = []
        self.handles: dict[int, int] = {}
        self.files = 0

    def make_folder(self, path: Path, at: int | None = None) -> None:
        super().make_folder(path, at)
        self.done.append(("make folder", path))

    def create(self, path: Path, at: int | None = None) -> int:
        return self._opened(super().create(path, at), path)

    def open_append(self, path: Path, at: int | None = None) -> int:
        assert not path.exists()
        return self._opened(super().open_append(path, at), path)

    def open_lock(self, path: Path, at: int | None = None) -> int:
        handle = super().open_lock(path, at)
        self.handles.pop(handle, None)
        return handle

    def _opened(self, handle: int, path: Path) -> int:
        self.files += 1
        self.handles[handle] = self.files
        self.done.append(("create", path, self.files))
        return handle

    def write(self, handle: int, data: memoryview) -> int:
        if handle in self.handles:  # the lock's file is none of the record
            self.done.append(("write", self.handles[handle], bytes(data)))
        return super().write(handle, data)

    def sync(self, handle: int) -> None:
        self.done.append(("sync", self.handles[handle]))

    def replace(self, source: Path, target: Path, at: int | None = None) -> None:
        super().replace(source, target, at)
        self.done.append(("replace", source, target))

    def remove(self, path: Path, at: int | None = None) -> None:
        super().remove(path, at)
        self.done.append(("remove", path))

    def remove_folder(self, path: Path, at: int | None = None) -> None:
        super().remove_folder(path, at)
        self.done.append(("remove", path))

    def sync_folder(self, path: Path, at: int | None = None) -> None:
        self.done.append(("sync folder", path))


class Unflushed(atomic_io.Layer):
    """For speed, where no power is lost."""

    def sync(self, handle: int) -> None:
        pass

    def sync_folder(self, path: Path, at: int | None = None) -> None:
        pass


class Disk:
    """What POSIX promises after a loss of power: flushed contents, and folder entries as of the folder's last flush."""

    def __init__(self) -> None:
        self.contents: dict[int, bytes] = {}
        self.flushed: dict[int, bytes] = {}
        self.entries: dict[Path, int] = {}  # 0 for a folder
        self.kept: dict[Path, int] = {}
        self.pending: dict[Path, list[tuple[Path, int | None]]] = {}  # per folder, in order

    def carry_out(self, what: str, *about: Any) -> None:
        if what == "create":
            path, file = about
            self.contents[file] = self.flushed[file] = b""
            self._set(path, file)
        elif what == "make folder":
            self._set(about[0], 0)
        elif what == "write":
            self.contents[about[0]] += about[1]
        elif what == "sync":
            self.flushed[about[0]] = self.contents[about[0]]
        elif what == "replace":
            self._set(about[1], self.entries[about[0]])
            self._set(about[0], None)
        elif what == "remove":
            self._set(about[0], None)
        else:
            for path, file in self.pending.pop(about[0], []):
                _put(self.kept, path, file)

    def _set(self, path: Path, file: int | None) -> None:
        _put(self.entries, path, file)
        self.pending.setdefault(path.parent, []).append((path, file))

    def after_power_loss(self, chance: random.Random, names: float, data: float) -> dict[Path, bytes | None]:
        """Of what was not flushed, a part of the folder changes and a part of each file's bytes may have arrived."""
        entries = dict(self.kept)
        for changes in self.pending.values():
            for path, file in changes[: round(names * len(changes)) if names in (0, 1) else chance.randint(0, len(changes))]:
                _put(entries, path, file)
        left: dict[Path, bytes | None] = {}
        for path, file in sorted(entries.items()):
            if path.parent in left or path.name == "run":
                left[path] = None if file == 0 else self._content(file, chance, data)
        return left

    def _content(self, file: int, chance: random.Random, data: float) -> bytes:
        flushed, all_of_it = self.flushed[file], self.contents[file]
        more = len(all_of_it) - len(flushed)
        return all_of_it[: len(flushed) + (round(data * more) if data in (0, 1) else chance.randint(0, more))]


def _put(entries: dict[Path, int], path: Path, file: int | None) -> None:
    if file is None:
        entries.pop(path, None)
    else:
        entries[path] = file


def test_a_loss_of_power_after_any_call_loses_no_saved_checkpoint(tmp_path: Path) -> None:
    ledger, saved = Ledger(), []
    with using(ledger):
        writer = new_run(tmp_path, "run")
        for step in range(4):
            writer.append_metrics(row_at(step))
            save(writer, step, keep=step == 1, best=step == 2)
            saved.append((len(ledger.done), step))
        writer.set_status("done")
        writer.close()
    chance, disk, seen = random.Random(5), Disk(), set()
    for count, call in enumerate(ledger.done, start=1):
        disk.carry_out(*call)
        at_least = max((step for when, step in saved if when <= count), default=None)
        for names, data in ((0, 0), (1, 0), (1, 1), (0.5, 0.5), (0.5, 0.5)):
            left = disk.after_power_loss(chance, names, data)
            if (what := hash((at_least, *left.items()))) not in seen:
                seen.add(what)
                _check_what_is_left(tmp_path, left, at_least)
    assert len(seen) > 200


def _check_what_is_left(tmp_path: Path, left: dict[Path, bytes | None], at_least: int | None) -> None:
    root = tmp_path / "after"
    root.mkdir()
    for path, content in left.items():
        target = root / path.relative_to(tmp_path)
        if content is None:
            target.mkdir()
        else:
            target.write_bytes(content)
    runs = list_runs(root)
    if at_least is not None:
        (run,) = runs
        assert run.fault == "" and run.verify() == []
        newest = run.newest_resumable()
        assert newest is not None and newest >= at_least
        assert_holds(*run.load())
        assert [row["steps"][0] for row in run.metrics()[0]][: at_least + 1] == list(range(at_least + 1))
        with using(Unflushed()), RunWriter.resume(run.path) as writer:
            save(writer, newest + 1)
        assert Run.open(run.path).verify() == [] and partials(run.path) == []
    shutil.rmtree(root)


def test_a_checkpoint_is_removed_only_after_the_manifest_without_it_is_on_the_disk(tmp_path: Path) -> None:
    ledger = Ledger()
    with using(ledger), new_run(tmp_path, "run") as writer:
        for step in range(4):
            save(writer, step)
    removals = [place for place, call in enumerate(ledger.done) if call[0] == "remove" and "step-00000001" in str(call[1])]
    manifests = [place for place, call in enumerate(ledger.done) if call[0] == "replace" and call[2].name == "manifest.json"]
    flushes = [place for place, call in enumerate(ledger.done) if call == ("sync folder", tmp_path / "run")]
    last_naming_it = manifests[-2]  # written with step 2, before step 3 pushed step 1 out
    assert removals and manifests[-1] > last_naming_it
    assert min(removals) > flushes[-1] > manifests[-1]
