"""Links within a run's folder: whatever stands behind them is never changed, and what was asked ends in a sentence or works without."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.storage import disk
from engine.storage.disk import DiskRefuses, Linked
from engine.storage.run_files import BESIDE
from engine.storage.run_folders import BadRun, delete_run, run_named, what_stays
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from engine.storage.score_cache import ScoreFiles
from engine.training.background_models import FOLDERS
from tests.kit.runs import new_run, row_at, save

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="making links needs a right there")

CHECKPOINT = "checkpoints/step-00000002"
PLACES = [
    ".",
    "manifest.json",
    "metrics.jsonl",
    "probe.npz",
    "final_figures.json",
    "writer.lock",
    "checkpoints",
    CHECKPOINT,
    f"{CHECKPOINT}/model.safetensors",
    f"{CHECKPOINT}/resume.safetensors",
    f"{CHECKPOINT}/state.json",
    "checkpoints/step-00000009",
    "manifest.json.partial-0",
    "scores",
    "background",
    "local",
    "background/manifest.json",
    "background/checkpoints",
    "background/writer.lock",
]


def whole_run(root: Path, name: str) -> Path:
    with new_run(root, name) as writer:
        writer.save_probe({"images": np.zeros((2, 1, 8, 8), np.uint8)})
        for step in (1, 2, 3):
            writer.append_metrics(row_at(step))
            save(writer, step, keep=True)
        writer.set_status("stopped")
    ScoreFiles(writer.path).keep("iwae", {"step": 3}, {"known": np.zeros(3)})
    return writer.path


@pytest.fixture(params=["handles", "paths"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's handles of folders, and as it goes where there are none."""
    if request.param == "paths":
        monkeypatch.setattr(disk, "HAS_HANDLES", False)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@contextlib.contextmanager
def refused_plainly() -> Iterator[None]:
    """Whatever is refused is refused in one sentence of ours."""
    try:
        yield
    except (BadRun, Linked, DiskRefuses) as error:
        assert str(error).endswith(".") and "\n" not in str(error) and "Errno" not in str(error)


def do_everything(root: Path, run: Path) -> None:
    for found in list_runs(root):
        found.info()
        found.verify()
        found.metrics()
    with refused_plainly():
        opened = Run.open(run)
        with refused_plainly():
            opened.load()
        with refused_plainly():
            opened.probe()
    scores = ScoreFiles(run)
    for number in range(3):
        scores.keep("iwae", {"number": number}, {"known": np.zeros(3)})
    scores.load("iwae", {"step": 3})
    for end in ("close", "discard"):
        with refused_plainly(), RunWriter.resume(run) as writer:
            writer.append_metrics(row_at(4))
            for step in (4, 5, 6, 7):
                save(writer, step)
            writer.set_status("done")
            if end == "discard":
                writer.discard()
    for folder in (run / "background", run):
        with refused_plainly():
            delete_run(folder)
    new_run(root).close()


@pytest.mark.parametrize("place", PLACES)
def test_what_a_link_within_a_run_leads_to_stays_as_it_is(tmp_path: Path, place: str, way: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.storage.score_cache.KEPT", 1)
    root, outside = tmp_path / "runs", tmp_path / "outside"
    run = whole_run(root, "mine")
    whole_run(run, "background")
    whole_run(root, "good")
    path = run / place
    outside.mkdir()
    if path.exists():
        path.rename(outside / "real")
    else:
        (outside / "real").mkdir()
    if (outside / "real").is_dir():
        for number in range(3):
            (outside / "real" / f"photo-{number}.jpg").write_bytes(b"a photo")
            (outside / "real" / f"iwae-{number:032x}.npz").write_bytes(b"of somebody else")
    before = contents(outside)
    path.symlink_to(outside / "real")
    do_everything(root, run)
    assert contents(outside) == before
    assert Run.open(root / "good").verify() == []


@pytest.mark.parametrize("place", ["metrics.jsonl", "writer.lock"])
def test_a_file_with_a_second_name_elsewhere_is_not_written(tmp_path: Path, place: str, way: None) -> None:
    run = whole_run(tmp_path / "runs", "mine")
    (tmp_path / "other").write_bytes(b"of somebody else")
    (run / place).unlink()
    os.link(tmp_path / "other", run / place)
    with pytest.raises(BadRun, match="hard link"):
        RunWriter.resume(run)
    assert (tmp_path / "other").read_bytes() == b"of somebody else"


def test_a_link_in_the_folder_of_runs_is_not_emptied_when_a_run_is_made(tmp_path: Path, way: None) -> None:
    root, photos = tmp_path / "runs", tmp_path / "photos"
    whole_run(root, "mine")
    photos.mkdir()
    (photos / "manifest.json").write_bytes(b"of a web page")
    for name in (".removed-x", f".removed-{'0' * 32}"):
        (root / name).symlink_to(photos)
    (root / ".removed-1").mkdir()
    (root / ".removed-1" / "cat.jpg").write_bytes(b"a photo")
    new_run(root).close()
    assert contents(photos) == {"manifest.json": b"of a web page"}
    assert (root / ".removed-1" / "cat.jpg").read_bytes() == b"a photo"


def test_a_deleted_run_takes_nothing_of_others_with_it(tmp_path: Path, way: None) -> None:
    run = whole_run(tmp_path / "runs", "mine")
    for place in ("notes.txt", "checkpoints/notes.txt", f"{CHECKPOINT}/notes.txt", "scores/photo.jpg"):
        (run / place).write_bytes(b"mine")
    (run / "photos").mkdir()
    stayed = delete_run(run)
    assert set(stayed) == {"notes.txt", "checkpoints/notes.txt", f"{CHECKPOINT}/notes.txt", "scores/photo.jpg", "photos/"}
    said = what_stays(run, stayed)
    assert str(run) in said and "and 2 more" in said and said.startswith(" What is not the run's own stays") and said.endswith(".")
    left = {name for name, data in contents(run).items() if data is not None}
    assert left == {"notes.txt", "checkpoints/notes.txt", f"{CHECKPOINT}/notes.txt", "scores/photo.jpg"}


LITTER = [".DS_Store", "._model.safetensors", "Thumbs.db", "desktop.ini", ".directory"]


@pytest.mark.parametrize("name", LITTER)
def test_that_litter_of_file_managers_goes_with_the_run_and_its_name_is_free(tmp_path: Path, name: str, way: None) -> None:
    root = tmp_path / "runs"
    run = whole_run(root, "mine")
    whole_run(run, "background")
    for place in ("", "checkpoints", CHECKPOINT, "scores", "background", f"background/{CHECKPOINT}"):
        (run / place / name).write_bytes(b"of a file manager")
    assert delete_run(run) == () and list(root.iterdir()) == []
    new_run(root, "mine").close()
    (run / "photos").mkdir()
    (run / "photos" / name).write_bytes(b"of somebody's photos")
    assert delete_run(run) == ("photos/",) and (run / "photos" / name).exists()


@pytest.mark.parametrize("place", ["notes.txt", "checkpoints/notes.txt", f"{CHECKPOINT}/notes.txt", "scores/notes.txt"])
def test_that_what_stays_of_a_deleted_run_is_no_run_and_says_why_its_name_is_taken(tmp_path: Path, place: str, way: None) -> None:
    root = tmp_path / "runs"
    run = whole_run(root, "mine")
    (run / place).write_bytes(b"mine")
    assert "no other run can have its name" in what_stays(run, delete_run(run))
    assert list_runs(root) == []
    with pytest.raises(BadRun, match="is no run: choose another name, for example “mine-2”"):
        new_run(root, "mine")
    assert (run / place).read_bytes() == b"mine"
    (run / place).unlink()
    for folder in (run, run / "checkpoints"):
        if folder.exists():
            os.utime(folder, (0, 0))
    new_run(root, "mine").close()


def test_that_a_folder_which_is_being_made_is_not_taken_away_from_its_maker(tmp_path: Path) -> None:
    husk = tmp_path / "runs" / "mine"
    (husk / "checkpoints").mkdir(parents=True)
    with pytest.raises(BadRun, match="is no run"):
        new_run(tmp_path / "runs", "mine")
    os.utime(husk, (0, 0))
    with new_run(tmp_path / "runs", "mine") as writer:
        os.utime(husk, (0, 0))
        with pytest.raises(BadRun, match="already a run"):
            new_run(tmp_path / "runs", "mine")
    assert writer.path == husk


def test_a_run_that_is_a_link_is_said_to_be_one_and_only_the_link_goes(tmp_path: Path, way: None) -> None:
    root, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    run = whole_run(elsewhere, "mine")
    before = contents(elsewhere)
    root.mkdir()
    (root / "mine").symlink_to(run)
    (found,) = list_runs(root)
    assert found.info().status == "damaged" and "is a link" in found.fault and found.metrics() == ([], 0)
    with pytest.raises(BadRun, match="is a link"):
        RunWriter.resume(root / "mine")
    assert what_stays(root / "mine", delete_run(root / "mine")) == ""
    assert list(root.iterdir()) == [] and contents(elsewhere) == before


@pytest.mark.parametrize("name", ["../x", "../../x", "a/b", "/tmp/x", "..", ".", "", "a\\b", "C:x"])
def test_a_name_does_not_lead_out_of_the_folder_of_runs(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRun):
        run_named(tmp_path, name)
    assert run_named(tmp_path, "mine") == tmp_path / "mine"


def test_the_background_models_lie_where_they_are_known_to() -> None:
    assert set(FOLDERS.values()) == set(BESIDE)
