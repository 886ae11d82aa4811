"""Damaged and forged run folders are named and never hurt the others."""

from __future__ import annotations

import errno
import math
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage import atomic_io, metrics_file, run_reader
from engine.storage import manifest as manifests
from engine.storage.run_folders import BadRun, delete_run
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from tests.kit.quick import quick
from tests.kit.runs import assert_holds, files_at, new_run, row_at, save, steps


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
