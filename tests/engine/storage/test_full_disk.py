"""A full disk loses nothing: every save finds it full at each of its calls, and leaves all as it was."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.storage import atomic_io, disk
from engine.storage.atomic_io import NoSpace
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from tests.kit.runs import CHANGING, AtCall, FullDisk, files_at, new_run, partials, row_at, save, steps, using


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_save_that_finds_the_disk_full_at_any_call_leaves_all_as_it_was(root: Path) -> None:
    def full(name: str, arguments: tuple) -> None:
        if name == "write":
            os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
        save(writer, 1)
        save(writer, 2)
        before, number, failed = snapshot(writer.path), 0, 0
        while True:
            layer = AtCall(number, full, ("make_folder", "create", "write", "sync", "replace"))
            with using(layer):
                try:
                    save(writer, 3)
                except NoSpace as error:
                    assert error.needed > 0 and error.free > 0
                    failed += 1
                else:
                    break
            assert snapshot(writer.path) == before
            assert Run.open(writer.path).newest_resumable() == 2
            number += 1
        assert failed >= 1 + 4 * 4  # the folder; and each of four files made, written, flushed, put in place
        assert not layer.reached
    run = Run.open(writer.path)
    assert run.newest_resumable() == 3 and run.verify() == [] and steps(run) == [2, 3]


def test_a_save_with_room_for_k_bytes_leaves_all_as_it_was(root: Path) -> None:
    encoded = atomic_io.tensors_to_bytes(files_at(3)["model.safetensors"])
    header, whole = 8 + int.from_bytes(encoded[:8], "little"), len(encoded)
    with new_run(root) as writer:
        save(writer, 2)
        before, room = snapshot(writer.path), 0
        for room in [0, 8, header, whole // 2, whole - 1, whole, *range(whole + 1, 100_000, 150)]:
            try:
                with using(FullDisk(room)):
                    save(writer, 3)
                break
            except NoSpace:
                assert snapshot(writer.path) == before
        assert 2000 < room < 90_000
    assert Run.open(writer.path).newest_resumable() == 3


def test_a_folder_that_cannot_be_flushed_after_the_manifest_does_not_lose_the_checkpoint(root: Path) -> None:
    def broken(name: str, arguments: tuple) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with new_run(root) as writer:
        save(writer, 1)
        with using(AtCall(2, broken, ("sync_folder",))), pytest.raises(NoSpace):
            save(writer, 2)
        assert Run.open(writer.path).verify() == [] and Run.open(writer.path).newest_resumable() == 2
        save(writer, 2)
        save(writer, 3)
    run = Run.open(writer.path)
    assert steps(run) == [2, 3] and run.verify() == []


@pytest.mark.parametrize("act", [lambda w: w.set_status("paused", "why"), lambda w: w.save_probe({"images": np.zeros(9, np.uint8)})])
def test_status_and_probe_on_a_full_disk_leave_what_was_there(root: Path, act: Callable[[RunWriter], None]) -> None:
    with new_run(root) as writer:
        save(writer, 1)
        before = snapshot(writer.path)
        with using(FullDisk(20)), pytest.raises(NoSpace):
            act(writer)
        assert snapshot(writer.path) == before
        act(writer)
    assert Run.open(writer.path).verify() == []


def test_room_is_asked_for_before_anything_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_run(root) as writer:
        save(writer, 1)
        before = snapshot(writer.path)
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10_000, 5_000, 5_000))
        with pytest.raises(NoSpace) as caught:
            save(writer, 2)
        assert caught.value.free == 5_000 and caught.value.needed > 5_000
        assert snapshot(writer.path) == before


def test_a_run_cannot_be_made_on_a_full_disk_and_leaves_nothing(root: Path) -> None:
    number = 0
    while True:

        def full(name: str, arguments: tuple) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        layer = AtCall(number, full, tuple(name for name in CHANGING if name not in ("remove", "remove_folder", "close", "truncate")))
        with using(layer):
            try:
                new_run(root).close()
                break
            except NoSpace:
                assert os.listdir(root) == []
        number += 1
    assert number >= 7 and [run.fault for run in list_runs(root)] == [""]


LIMITED = """
import resource, signal, sys
from pathlib import Path
from tests.kit.runs import new_run, partials, row_at, save
from engine.storage.atomic_io import NoSpace
from engine.storage.run_reader import Run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
writer = new_run(Path(sys.argv[1]))
writer.append_metrics(row_at(1))
save(writer, 1, size=100)
for limit in (0, 8, 300, 2000, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        save(writer, 2, size=1000)
    except NoSpace as error:
        assert error.needed > 10000, error.needed
    else:
        raise SystemExit("it was saved")
    assert not partials(writer.path) and Run.open(writer.path).verify() == [] and Run.open(writer.path).newest_resumable() == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
save(writer, 2, size=1000)
writer.close()
assert Run.open(writer.path).newest_resumable() == 2
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE, which Windows lacks")
def test_a_limit_of_the_file_size_is_a_full_disk(root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run([sys.executable, "-W", "error", "-c", LIMITED, str(root)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("needs the right to mount a small tmpfs (root on Linux)")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_really_full_disk_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    with new_run(small_disk / "runs") as writer:
        writer.append_metrics(row_at(1))
        save(writer, 1, size=1000)
        ballast = small_disk / "ballast"
        with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(NoSpace) as caught:
            save(writer, 2, size=20_000)
        assert caught.value.needed > 240_000 and caught.value.free < 100_000
        with pytest.raises(NoSpace):
            for step in range(2000):
                writer.append_metrics(row_at(step))
        run = Run.open(writer.path)
        assert run.newest_resumable() == 1 and run.verify() == [] and partials(writer.path) == []
        ballast.unlink()
        writer.append_metrics(row_at(2))
        save(writer, 2, size=20_000)
    run = Run.open(writer.path)
    assert run.newest_resumable() == 2 and run.verify() == [] and run.metrics()[0][-1] == row_at(2)
