"""Run folders: written, read, listed, followed; damaged ones are named and never hurt the others; a full disk loses nothing."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.storage import atomic_io, disk, metrics_file, run_folders, run_reader
from engine.storage import manifest as manifests
from engine.storage.atomic_io import NonFinite, NoSpace
from engine.storage.file_lock import me
from engine.storage.metrics_file import metrics_line, parse_metrics_line, read_metrics
from engine.storage.run_folders import BadRun, InUse, default_root, delete_run
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from tests.kit.runs import CHANGING, AtCall, FullDisk, assert_holds, files_at, new_run, partials, row_at, save, using

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def steps(run: Run) -> list[int]:
    return [checkpoint.step for checkpoint in run.checkpoints()]


# -- writing and reading back ------------------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was_written(root: Path) -> None:
    probe = {"images": np.arange(128, dtype=np.uint8).reshape(2, 1, 8, 8), "noise": np.linspace(0, 1, 6, dtype=np.float32)}
    with new_run(root, config={"latent": np.int64(8)}) as writer:
        writer.save_probe(probe)
        writer.append_metrics(row_at(1))
        save(writer, 1, keep=True)
        writer.set_status("done", "All 100 steps are done.", step=7, headline="3.41 bits/dim", total_steps=7, minutes=2.5)
    run = Run.open(writer.path)
    info = run.info()
    assert info.run == str(writer.path) and info.name == "vae-digits-1" and info.status == "done"
    assert (info.method, info.title, info.data, info.data_name, info.seed) == ("vae", "VAE", "digits", "digits", 3)
    assert (info.step, info.total_steps, info.headline, info.message) == (7, 7, "3.41 bits/dim", "All 100 steps are done.")
    assert (info.shape, info.device, info.precision, info.capabilities) == ((1, 8, 8), "CPU", "fp32", ("encode", "decode"))
    assert info.config == {"latent": 8} and info.changed == {"latent": 8}
    assert info.fault == "" and not info.elsewhere and abs(info.created - time.time()) < 60
    assert run.manifest is not None and run.manifest.minutes == 2.5 and run.manifest.versions == {"torch": "2.13.0"}
    assert [(c.step, c.resumable, c.best, c.fault) for c in info.checkpoints] == [(1, True, False, "")]
    step, arrays, state = run.load()
    assert step == 1
    assert_holds(step, arrays, state)
    np.testing.assert_array_equal(run.load(1, "resume.safetensors")[1]["optimizer.0"], files_at(1)["resume.safetensors"]["optimizer.0"])
    assert run.load(1, "state.json") == (1, {}, {"step": 1})
    assert run.metrics()[0] == [row_at(1)]
    for name, array in run.probe().items():
        np.testing.assert_array_equal(array, probe[name], strict=True)
    assert run.verify() == []


def test_the_folder_has_the_documented_layout(root: Path) -> None:
    with new_run(root) as writer:
        writer.save_probe({"images": np.zeros((1, 1, 8, 8), np.uint8)})
        writer.append_metrics(row_at(1))
        save(writer, 2048)
    found = sorted(str(path.relative_to(writer.path)) for path in writer.path.rglob("*") if path.is_file())
    folder = os.path.join("checkpoints", "step-00002048")
    files = [os.path.join(folder, name) for name in ("model.safetensors", "resume.safetensors", "state.json")]
    assert found == [*files, "manifest.json", "metrics.jsonl", "probe.npz", "writer.lock"]
    manifest = json.loads((writer.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == 1
    listed = {os.path.join(folder, name): fact for name, fact in manifest["checkpoints"][0]["files"].items()} | manifest["files"]
    assert set(listed) == set(found) - {"manifest.json", "writer.lock"}
    for name, fact in listed.items():
        data = (writer.path / name).read_bytes()
        assert atomic_io.fact_of(data) == atomic_io.Fact(fact["sha256"], fact["bytes"])
    assert all(fact["step"] == 2048 for name, fact in listed.items() if name.startswith("checkpoints"))


def test_the_kept_the_best_and_the_newest_two_resumable_checkpoints_stay(root: Path) -> None:
    with new_run(root) as writer:
        for step in range(1, 10):
            save(writer, step, keep=step in (1, 2, 4, 8), best=step in (2, 5))
    run = Run.open(writer.path)
    assert [(c.step, c.resumable, c.best) for c in run.checkpoints()] == [
        (1, False, False),
        (2, False, False),
        (4, False, False),
        (5, True, True),
        (8, True, False),
        (9, True, False),
    ]
    on_disk = {folder.name: sorted(os.listdir(folder)) for folder in (writer.path / "checkpoints").iterdir()}
    looked_at, all_of_it = ["model.safetensors", "state.json"], ["model.safetensors", "resume.safetensors", "state.json"]
    assert on_disk == {f"step-{step:08d}": looked_at if step in (1, 2, 4) else all_of_it for step in (1, 2, 4, 5, 8, 9)}
    assert run.verify() == []


def test_a_checkpoint_that_is_only_looked_at_does_not_push_out_a_resumable_one(root: Path) -> None:
    with new_run(root) as writer:
        save(writer, 1)
        save(writer, 2)
        save(writer, 3, resumable=False)
    run = Run.open(writer.path)
    assert steps(run) == [1, 2, 3] and run.newest_resumable() == 2
    with RunWriter.resume(writer.path) as writer:
        save(writer, 4)
    assert steps(Run.open(writer.path)) == [2, 4]


def test_a_step_can_be_saved_again_and_the_first_one_stays_until_then(root: Path) -> None:
    with new_run(root) as writer:
        save(writer, 5, size=10)
        with using(FullDisk(0)), pytest.raises(NoSpace):
            save(writer, 5, size=20)
        assert Run.open(writer.path).load()[1]["layer.weight"].shape == (10,)
        save(writer, 5, size=20)
        run = Run.open(writer.path)
        assert steps(run) == [5] and run.load()[1]["layer.weight"].shape == (20,) and run.verify() == []
        assert len(list((writer.path / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("file", ["model.safetensors", "resume.safetensors"])
def test_a_checkpoint_with_nan_is_refused_before_anything_is_written(root: Path, file: str) -> None:
    with new_run(root) as writer:
        save(writer, 1)
        before = sorted((str(path), path.stat().st_mtime_ns) for path in writer.path.rglob("*"))
        files = files_at(2)
        files[file]["poisoned"] = np.array([0, np.nan], np.float32)
        with pytest.raises(NonFinite) as caught:
            writer.save_checkpoint(2, files, {}, resumable=True, keep=True)
        assert caught.value.name == "poisoned"
        assert sorted((str(path), path.stat().st_mtime_ns) for path in writer.path.rglob("*")) == before


def test_the_state_may_hold_what_numpy_and_python_count_with(root: Path) -> None:
    state = {
        "random": {"state": 1 << 127, "inc": 3},
        "best": math.inf,
        "order": np.arange(3),
        "lr": np.float64(0.1),
        "done": np.bool_(True),
    }
    with new_run(root) as writer:
        writer.save_checkpoint(1, files_at(1), state, resumable=True, keep=False)
    back = Run.open(writer.path).load()[2]
    assert back == {"random": {"state": 1 << 127, "inc": 3}, "best": math.inf, "order": [0, 1, 2], "lr": 0.1, "done": True}


def test_a_discarded_run_is_gone(root: Path) -> None:
    writer, other = new_run(root), new_run(root)
    save(writer, 1)
    writer.discard()
    assert os.listdir(root) == [other.name]
    other.close()


def test_a_deleted_run_is_gone_and_only_run_folders_can_be_deleted(root: Path, tmp_path: Path) -> None:
    with new_run(root) as writer:
        save(writer, 1)
        with pytest.raises(InUse):
            delete_run(writer.path)
    delete_run(writer.path)
    assert os.listdir(root) == []
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("x")
    for path in (tmp_path / "photos", tmp_path / "nothing"):
        with pytest.raises(BadRun, match="is no run folder"):
            delete_run(path)
    assert (tmp_path / "photos" / "a.png").exists()


def test_what_was_read_of_a_run_is_forgotten_when_the_list_lacks_it(root: Path) -> None:
    for name in ("gone", "stays"):
        with new_run(root, name) as writer:
            save(writer, 1)
    beside = root.parent / "beside"
    shutil.copytree(root / "stays", beside / "stays")
    background = root / "gone" / "background" / "stays"
    shutil.copytree(root / "stays", background)
    for path in (beside / "stays", background, root / "gone", root / "stays"):
        os.utime(path / manifests.MANIFEST, (1e9, 1e9))  # not so young that it is read anew
        assert Run.open(path).manifest is not None and str(path) in manifests._manifests
    delete_run(root / "gone")
    list_runs(root)
    known = {path for path in manifests._manifests if path.startswith(str(root.parent))}
    assert known == {str(root / "stays"), str(beside / "stays")}


def test_what_a_crash_left_of_a_removal_is_not_listed_and_goes_with_the_next_run(root: Path) -> None:
    new_run(root).close()
    (root / "vae-digits-1").rename(root / ".removed-123")
    assert list_runs(root) == []
    new_run(root).close()
    assert os.listdir(root) == ["vae-digits-1"]


def test_the_default_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRIORAMA_RUNS", str(tmp_path / "mine"))
    assert default_root() == tmp_path / "mine"
    monkeypatch.delenv("PRIORAMA_RUNS")
    assert default_root().is_absolute() and default_root().parts[-2:] == ("priorama", "runs")


def test_runs_are_read_without_torch_or_qt() -> None:
    code = "import sys, engine.storage.run_reader; sys.exit(bool({'torch', 'PySide6', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(run_reader.__file__).parents[2]).returncode == 0


# -- names -------------------------------------------------------------------------------------------------------------


def test_runs_without_a_name_are_numbered(root: Path) -> None:
    names = []
    for _ in range(3):
        with new_run(root) as writer:
            names.append(writer.name)
    with new_run(root, method="pixel_cnn", data_name="My photos / 2024") as writer:
        names.append(writer.name)
    assert names == ["vae-digits-1", "vae-digits-2", "vae-digits-3", "pixel-cnn-My-photos-2024-1"]


@pytest.mark.parametrize(
    "name",
    ["", "  ", "a/b", "a\\b", "..", ".", "../x", ".hidden", "x" * 121, "a\0b", "a\nb", 'a"b', "con", "LPT1.txt", "dot.", "-rf", "é" * 61],
)
def test_a_bad_name_is_refused_with_a_sentence(root: Path, name: str) -> None:
    with pytest.raises(BadRun) as caught:
        new_run(root, name)
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 200
    assert os.listdir(root) == []


@pytest.mark.parametrize("name", ["beta 4", "größer", "run_7-b.2", "x" * 120, "画像"])
def test_a_good_name_becomes_the_folder(root: Path, name: str) -> None:
    with new_run(root, name) as writer:
        assert writer.path == root / name
    assert [run.name for run in list_runs(root)] == [name]


def test_a_taken_name_is_refused(root: Path) -> None:
    new_run(root, "mine").close()
    with pytest.raises(BadRun, match="already a run “mine”"):
        new_run(root, "mine")


@quick
@given(st.text())
def test_any_text_is_a_safe_piece_of_a_name_or_refused_as_a_whole(text: str) -> None:
    run_folders.check_name(f"vae-{run_folders.safe_name(text)}-1")
    try:
        run_folders.check_name(text)
    except BadRun:
        return
    assert Path("/root", text).parent == Path("/root") and Path("/root", text).name == text


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_rows_can_be_followed_while_they_are_written(root: Path) -> None:
    with new_run(root) as writer:
        run, offset, seen = Run.open(writer.path), 0, []
        for step in range(5):
            writer.append_metrics(row_at(step))
            rows, offset = run.metrics(offset)
            seen.append(rows)
        assert seen == [[row_at(step)] for step in range(5)]
        assert run.metrics(offset) == ([], offset)


def test_a_torn_last_line_waits_until_it_is_whole(root: Path) -> None:
    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
    path, line = writer.path / "metrics.jsonl", metrics_line(row_at(2))
    whole = path.stat().st_size
    with open(path, "ab") as file:
        file.write(line[:-7])
    run = Run.open(writer.path)
    assert run.metrics() == ([row_at(1)], whole) and run.notes == [] and run.verify() == []
    with open(path, "ab") as file:
        file.write(line[-7:])
    assert run.metrics(whole) == ([row_at(2)], whole + len(line))


def test_a_torn_last_line_is_healed_before_the_next_row(root: Path) -> None:
    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
    with open(writer.path / "metrics.jsonl", "ab") as file:
        file.write(metrics_line(row_at(2))[:-7])
    with RunWriter.resume(writer.path) as writer:
        writer.append_metrics(row_at(3))
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(1), row_at(3)] and run.notes == []


def test_a_row_on_a_full_disk_raises_and_leaves_the_earlier_rows(root: Path) -> None:
    line = metrics_line(row_at(2))
    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
        for room in (0, 1, len(line) // 2, len(line) - 1):
            with using(FullDisk(room)), pytest.raises(NoSpace) as caught:
                writer.append_metrics(row_at(2))
            assert caught.value.needed == len(line)
            assert (writer.path / "metrics.jsonl").read_bytes() == metrics_line(row_at(1))
        writer.append_metrics(row_at(2))
        writer.set_status("training")
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(1), row_at(2)] and run.verify() == []


def test_a_row_torn_by_a_full_disk_that_cannot_even_be_cut_is_healed_later(root: Path) -> None:
    class Stubborn(FullDisk):
        def truncate(self, handle: int, length: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
        with using(Stubborn(10)), pytest.raises(NoSpace):
            writer.append_metrics(row_at(2))
        writer.append_metrics(row_at(3))
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(1), row_at(3)] and run.verify() == []


def test_every_row_is_one_write(root: Path) -> None:
    with new_run(root) as writer:
        layer = AtCall(-1, lambda *_: None, ("write",))
        with using(layer):
            for step in range(10):
                writer.append_metrics({**row_at(step), "steps": list(range(1000))})
        assert layer.calls == 10


def test_metrics_are_flushed_at_most_once_a_second(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(metrics_file.time, "monotonic", lambda: now[0])
    with new_run(root) as writer:
        layer = AtCall(-1, lambda *_: None, ("sync",))
        with using(layer):
            for tick in range(31):
                now[0] = 100 + tick / 10
                writer.append_metrics(row_at(tick))
        assert layer.calls == 3


def test_nan_is_stored_as_null_and_read_as_nan(root: Path) -> None:
    row = {"t": 0.5, "steps": [1, 2, 3], "values": {"loss": np.array([1, np.nan, np.inf], np.float32)}}
    with new_run(root) as writer:
        writer.append_metrics(row)
    text = (writer.path / "metrics.jsonl").read_text(encoding="utf-8")
    assert json.loads(text)["values"]["loss"] == [1.0, None, None]
    np.testing.assert_array_equal(Run.open(writer.path).metrics()[0][0]["values"]["loss"], [1, np.nan, np.nan])


@quick
@given(
    st.fixed_dictionaries(
        {
            "t": st.floats(0, 1e9),
            "steps": st.lists(st.integers(0, 1 << 50), max_size=5),
            "values": st.dictionaries(
                st.text(max_size=8), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5), max_size=3
            ),
        }
    ),
    st.data(),
)
def test_a_row_comes_back_and_any_flipped_bit_costs_it(row: dict, data: st.DataObject) -> None:
    line = metrics_line(row)
    assert line.count(b"\n") == 1 and parse_metrics_line(line[:-1]) == row
    bit = data.draw(st.integers(0, 8 * len(line) - 9))
    changed = bytearray(line[:-1])
    changed[bit // 8] ^= 1 << bit % 8
    assert parse_metrics_line(bytes(changed)) is None


@quick
@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_metrics_without_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    rows, bad, end, _ = read_metrics(tmp_path / "m")
    assert rows == [] and bad == data.count(b"\n") and end == data.rfind(b"\n") + 1


def test_damaged_lines_are_skipped_and_counted(root: Path) -> None:
    with new_run(root) as writer:
        for step in range(4):
            writer.append_metrics(row_at(step))
    path = writer.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"1.0", b"9.0")
    lines[2] = b"\0" * (len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(0), row_at(3)]
    assert run.notes == ["2 damaged lines of metrics.jsonl were skipped."]
    assert run.verify() == ["metrics.jsonl of “vae-digits-1” has 2 damaged lines; they are left out of the curves."]


# -- one writer --------------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_and_a_closed_one_frees_the_run(root: Path) -> None:
    first = new_run(root)
    with pytest.raises(InUse, match=f"written by process {os.getpid()}"):
        RunWriter.resume(first.path)
    assert not Run.open(first.path).elsewhere and Run.open(first.path).status == "training"
    first.close()
    RunWriter.resume(first.path).close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\0" * 40,
        b"[1, 2]",
        b'{"pid": "x", "host": 1, "start": null}',
        json.dumps({"pid": 2**22 + 5, "host": me().host, "start": "boot 1"}).encode(),
        json.dumps({"pid": os.getpid(), "host": me().host, "start": "an earlier process with this number"}).encode(),
        json.dumps({"pid": 1, "host": "another computer", "start": "1"}).encode(),
    ],
    ids=["empty", "cut off", "zeros", "a list", "other types", "ended", "another process of its number", "another computer"],
)
def test_a_lock_nobody_holds_is_freed_whatever_it_says(root: Path, content: bytes) -> None:
    with new_run(root) as writer:
        save(writer, 1)
    (writer.path / "writer.lock").write_bytes(content)
    run = Run.open(writer.path)
    assert run.status == "interrupted" and not run.elsewhere and run.fault == ""
    with RunWriter.resume(writer.path) as again:
        save(again, 2)
    assert Run.open(writer.path).newest_resumable() == 2


def test_only_an_unfinished_status_becomes_interrupted(root: Path) -> None:
    shown = {}
    for status in ("training", "queued", "paused", "done", "stopped", "failed", "a later word"):
        with new_run(root) as writer:
            writer.set_status(status)
            assert Run.open(writer.path).status == status
        shown[status] = Run.open(writer.path).status
    assert {status for status, now in shown.items() if now != status} == {"training", "queued"}
    assert {now for status, now in shown.items() if now != status} == {"interrupted"}


def test_partial_files_of_a_dead_writer_go_when_the_run_is_written_again(root: Path) -> None:
    with new_run(root) as writer:
        save(writer, 1)
    folder = writer.path / "checkpoints" / "step-00000001"
    for place in (writer.path / "manifest.json.partial-1", folder / "model.safetensors.partial-2"):
        place.write_bytes(b"half")
    (writer.path / "checkpoints" / "step-00000002").mkdir()
    (writer.path / "checkpoints" / "step-00000002" / "model.safetensors.partial-3").write_bytes(b"half")
    assert Run.open(writer.path).verify() == []
    (writer.path / "my notes.txt").write_text("mine")
    RunWriter.resume(writer.path).close()
    assert partials(writer.path) == []
    assert os.listdir(writer.path / "checkpoints") == ["step-00000001"]
    assert (writer.path / "my notes.txt").exists()


# -- full disk ---------------------------------------------------------------------------------------------------------


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


# -- damage ------------------------------------------------------------------------------------------------------------


def full_run(root: Path, name: str) -> Path:
    with new_run(root, name) as writer:
        writer.save_probe({"images": np.zeros((2, 1, 8, 8), np.uint8)})
        for step in (1, 2, 3):
            writer.append_metrics(row_at(step))
            save(writer, step, keep=True)
        writer.set_status("done")
    return writer.path


FILES = [
    "manifest.json",
    "metrics.jsonl",
    "probe.npz",
    *(f"checkpoints/step-00000003/{name}" for name in files_at(0)),
    "checkpoints/step-00000003/state.json",
]


def damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    chance = random.Random(len(data))
    yield "emptied", b""
    for part in range(5):
        yield f"cut to {part}/5", data[: max(1, len(data) * part // 5)]
    for bit in chance.sample(range(8 * len(data)), 50):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(changed)
    place = chance.randrange(len(data))
    yield "zeros", data[:place] + bytes(min(4096, len(data) - place)) + data[place + 4096 :]
    yield "bad JSON", b'{"format": 1, '
    yield "other JSON", b"[[[]]]\n"


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_and_hurts_no_other_run(root: Path, file: str) -> None:
    bad, good = full_run(root, "bad"), full_run(root, "good")
    path, data = bad / file, (bad / file).read_bytes()
    for what, changed in damages(data):
        if changed == data:
            continue
        path.write_bytes(changed)
        _check_damage(root, file, what)
    path.write_bytes(data)
    assert Run.open(bad).verify() == [] and Run.open(good).verify() == []


@pytest.mark.parametrize("file", [*FILES, "checkpoints", "checkpoints/step-00000003"])
def test_a_file_that_is_none_is_named_and_hurts_no_other_run(root: Path, file: str) -> None:
    bad = full_run(root, "bad")
    full_run(root, "good")
    aside = root.parent / "aside"
    (bad / file).rename(aside)
    for what, put in {
        "deleted": lambda path: None,
        "folder": lambda path: path.mkdir() if aside.is_file() else path.write_bytes(b"a file"),
        "dangling link": lambda path: path.symlink_to("nowhere"),
        "link to itself": lambda path: path.symlink_to(path.name),
        "pipe": os.mkfifo if hasattr(os, "mkfifo") else lambda path: None,
    }.items():
        put(bad / file)
        _check_damage(root, file, what)
        if (bad / file).is_dir() and not (bad / file).is_symlink():
            (bad / file).rmdir()
        else:
            (bad / file).unlink(missing_ok=True)
    aside.rename(bad / file)
    assert Run.open(bad).verify() == []


@pytest.mark.parametrize("file", FILES)
def test_a_file_without_the_right_to_read_is_named(root: Path, file: str) -> None:
    bad = full_run(root, "bad")
    full_run(root, "good")
    (bad / file).chmod(0)
    _check_damage(root, file, "unreadable")


@pytest.mark.parametrize("file", FILES)
def test_a_file_the_disk_cannot_read_is_named(root: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = full_run(root, "bad")
    full_run(root, "good")

    def failing(path: Path, *arguments: Any, **more: Any) -> Any:
        if Path(path) == bad / file:
            raise OSError(errno.EIO, "Input/output error")
        return open(path, *arguments, **more)

    for module in (atomic_io, run_reader, metrics_file):
        monkeypatch.setattr(module, "open", failing, raising=False)
    os.utime(bad / "manifest.json", (0, 0))  # nothing of it is remembered
    _check_damage(root, file, "defective")


def _check_damage(root: Path, file: str, what: str) -> None:
    """One run has a fault that names the file; the other is as before; what is intact can be used."""
    bad, good = list_runs(root)
    infos = [bad.info(), good.info()]
    assert [info.name for info in infos] == ["bad", "good"]
    assert good.fault == "" and [c.fault for c in good.checkpoints()] == [""] * 3
    faults = bad.verify()
    name = file.split("/")[-1]
    assert any(name in fault or "step 3" in fault or name == "checkpoints" for fault in faults), (what, faults)
    assert all(fault.endswith(".") and "\n" not in fault for fault in faults)
    glance = [fault for fault in (bad.fault, *(c.fault or c.note for c in bad.checkpoints())) if fault]
    if what.startswith(("emptied", "cut", "deleted", "folder", "dangling", "link", "pipe", "unreadable")):
        assert glance, what  # seen in the list, without reading
    if name == "checkpoints":
        with pytest.raises(BadRun):
            bad.load()
        assert bad.newest_resumable() is None
        return
    step, arrays, state = bad.load()
    assert step == (2 if name in ("model.safetensors", "state.json", "step-00000003") else 3), what
    assert_holds(step, arrays, state)
    if step == 2:
        assert any("step 3" in note for note in bad.notes)
        with pytest.raises(BadRun, match="step 3"):
            bad.load(3)
    assert bad.newest_resumable() == (2 if "step-00000003" in file else 3)
    bad.metrics()
    if name == "probe.npz":
        with pytest.raises(BadRun, match=r"probe\.npz"):
            bad.probe()


def test_that_going_on_after_a_lost_manifest_removes_no_checkpoint_that_it_could_not_read(root: Path) -> None:
    path = full_run(root, "mine")
    first = sorted((path / "checkpoints").iterdir())[0]
    weights = (first / "model.safetensors").read_bytes()
    (path / "manifest.json").write_bytes(b"{")
    (first / "state.json").write_bytes(b"{")
    with RunWriter.resume(path) as writer:
        save(writer, 4)
    assert (first / "model.safetensors").read_bytes() == weights


def test_a_lost_manifest_is_rebuilt_and_written_again_when_the_run_goes_on(root: Path) -> None:
    path = full_run(root, "mine")
    before = Run.open(path)
    (path / "manifest.json").unlink()
    run = Run.open(path)
    assert "manifest.json of “mine” is missing; it was rebuilt" in run.fault and run.status == "interrupted"
    assert before.manifest is not None and run.manifest is not None
    for name in manifests.Facts.model_fields:
        assert getattr(run.manifest, name) == getattr(before.manifest, name), name
    assert run.checkpoints() == before.checkpoints()
    np.testing.assert_array_equal(run.probe()["images"], np.zeros((2, 1, 8, 8), np.uint8))
    with RunWriter.resume(path) as writer:
        assert writer.notes == [run.fault]  # nothing was there to be kept
        save(writer, 4)
    run = Run.open(path)
    assert run.fault == "" and run.verify() == [] and run.newest_resumable() == 4 and len(run.metrics()[0]) == 3


def test_a_run_of_which_nothing_is_left_is_shown_and_can_be_deleted(root: Path) -> None:
    path = full_run(root, "mine")
    (path / "manifest.json").write_bytes(b"x")
    shutil.rmtree(path / "checkpoints")
    (run,) = list_runs(root)
    assert run.manifest is None and run.info().status == "damaged" and run.checkpoints() == []
    assert "manifest.json" in run.info().fault and "delete this run" in run.fault
    for act in (run.load, run.newest_resumable, run.probe, lambda: RunWriter.resume(path)):
        with pytest.raises(BadRun, match=r"manifest\.json"):
            act()
    assert run.metrics()[0] != []
    delete_run(path)
    assert list_runs(root) == []


def test_a_manifest_of_a_newer_format_is_refused_and_left_alone(root: Path) -> None:
    path = full_run(root, "mine")
    content = atomic_io.unseal((path / "manifest.json").read_bytes())
    sealed = atomic_io.seal({**content, "format": 2})
    (path / "manifest.json").write_bytes(sealed)
    run = Run.open(path)
    assert run.manifest is None and "newer Priorama" in run.fault and run.info().status == "damaged"
    with pytest.raises(BadRun, match="newer Priorama"):
        RunWriter.resume(path)
    assert (path / "manifest.json").read_bytes() == sealed


def test_unknown_fields_of_a_manifest_are_ignored(root: Path) -> None:
    path = full_run(root, "mine")
    content = atomic_io.unseal((path / "manifest.json").read_bytes())
    content["mood"] = "good"
    content["checkpoints"][0]["colour"] = "blue"
    content["files"]["probe.npz"]["codec"] = 7
    (path / "manifest.json").write_bytes(atomic_io.seal(content))
    run = Run.open(path)
    assert run.fault == "" and run.verify() == [] and steps(run) == [1, 2, 3]


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(inner, (*path, key))


@quick
@given(
    data=st.data(),
    value=st.sampled_from(
        [None, -1, 1 << 80, "", "../../etc/passwd", "/etc/passwd", [], {}, [[]], {"a": None}, 0.5, True, "x\0y", math.nan]
    ),
)
def test_a_forged_manifest_reads_nothing_outside_and_raises_nothing(root: Path, data: st.DataObject, value: Any) -> None:
    path = root / "mine" if (root / "mine").exists() else full_run(root, "mine")
    original = (path / "manifest.json").read_bytes()
    content = atomic_io.unseal(original)
    *way, last = data.draw(st.sampled_from([way for way in _paths(content) if way]))
    inner: Any = content
    for key in way:
        inner = inner[key]
    inner[last] = value
    (path / "manifest.json").write_bytes(atomic_io.seal(content))
    try:
        (run,) = list_runs(root)
        run.info()
        run.verify()
        if run.manifest is not None:
            assert all(
                entry.folder.startswith("step-") and "/" not in entry.folder for entry in run.manifest.checkpoints if run.fault == ""
            )
        try:
            run.load()
            run.newest_resumable()
        except BadRun:
            pass
    finally:
        (path / "manifest.json").write_bytes(original)


def test_a_folder_that_is_no_run_is_not_listed_and_not_opened(root: Path, tmp_path: Path) -> None:
    full_run(root, "mine")
    (root / "photos").mkdir()
    (root / "photos" / "a.png").write_text("x")
    (root / "a file").write_text("x")
    (root / "loop").symlink_to("loop")
    (root / "husk").mkdir()
    (root / "husk" / "writer.lock").write_text("")
    assert [run.name for run in list_runs(root)] == ["mine"]
    for path in (root / "photos", root / "a file", root / "loop", root / "nothing"):
        with pytest.raises(BadRun) as caught:
            Run.open(path)
        assert str(caught.value).endswith("choose a run's folder.")
    assert list_runs(tmp_path / "nothing") == [] and list_runs(root / "a file") == []


def test_a_root_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadRun, match="Runs cannot be kept in"):
        new_run(tmp_path / "file")
    with pytest.raises(BadRun, match="Runs cannot be kept in"):
        new_run(tmp_path / "file" / "runs")


# -- many run_reader, and runs that change -----------------------------------------------------------------------------------


def test_a_checkpoint_replaced_while_it_is_read_is_read_from_its_new_place(root: Path) -> None:
    with new_run(root) as writer:
        save(writer, 1)
        stale = Run.open(writer.path)
        save(writer, 1)
        save(writer, 2)
        save(writer, 3)
        assert stale.load()[0] == 3
        with pytest.raises(BadRun, match="no checkpoint at step 1"):
            stale.load(1)


def test_every_change_of_the_manifest_is_seen_at_once(root: Path) -> None:
    with new_run(root) as writer:
        for step in range(30):
            writer.set_status("training", f"{step:04d}")
            assert Run.open(writer.path).info().message == f"{step:04d}"


def test_a_list_of_two_hundred_runs_is_quick_when_warm_and_sees_what_changed(root: Path) -> None:
    first = new_run(root, "run-000")
    for step in (1, 2, 4, 8, 16, 32, 64):
        save(first, step, keep=True)
    first.close()
    old = time.time() - 60
    for number in range(1, 200):
        shutil.copytree(root / "run-000", root / f"run-{number:03d}")
    for path in root.glob("*/manifest.json"):
        os.utime(path, (old, old))
    list_runs(root)
    took = []
    for _ in range(5):
        started = time.process_time()
        infos = [run.info() for run in list_runs(root)]
        took.append(time.process_time() - started)
    assert len(infos) == 200 and all(len(info.checkpoints) == 7 and not info.fault for info in infos)
    assert min(took) < 0.15
    (root / "run-007" / "checkpoints" / "step-00000004" / "model.safetensors").unlink()
    with RunWriter.resume(root / "run-008") as writer:
        writer.set_status("done")
    infos = [run.info() for run in list_runs(root)]
    assert [info.name for info in infos if any(c.fault for c in info.checkpoints)] == ["run-007"]
    assert [info.name for info in infos if info.status == "done"] == ["run-008"]


def test_files_are_readable_by_whom_the_user_allows(root: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    with new_run(root) as writer:
        save(writer, 1)
    for path in (writer.path / "manifest.json", writer.path / "checkpoints" / "step-00000001" / "model.safetensors"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
