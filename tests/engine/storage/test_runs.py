"""Run folders: written, named, read, listed, followed, by one writer at a time. Damage and full disks have files of their own."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage import atomic_io, run_folders, run_reader
from engine.storage import manifest as manifests
from engine.storage.atomic_io import NonFinite, NoSpace
from engine.storage.file_lock import me
from engine.storage.run_folders import BadRun, InUse, default_root, delete_run
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from tests.kit.quick import quick
from tests.kit.runs import FullDisk, assert_holds, files_at, new_run, partials, row_at, save, steps, using

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
