"""Data that were not what a run was trained on and are mended while the program runs: asked where they are, it looks at the disk again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine import messages as m
from engine.data import BadData
from engine.queries.run_data import check_data, locate_data
from engine.queries.session import QuerySession
from engine.storage.run_data import remember_place
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.import_cases import class_folders


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The data of `run`."""
    data = class_folders(tmp_path / "old", count=12)
    settings = {"network": "mlp", "width": 4, "latent": 2, "batch_size": 8}
    list(train(Plan("vae", str(data), settings, steps=1, name="run", device="cpu"), tmp_path / "runs"))
    return Path(data)


def spoiled(folder: Path) -> bytes:
    """Take a picture away: (its content)."""
    file = sorted(folder.rglob("*.png"))[0]
    content = file.read_bytes()
    file.unlink()
    return content


def mend(folder: Path, source: Path, content: bytes) -> None:
    (folder / sorted(source.rglob("*.png"))[0].relative_to(source)).write_bytes(content)


def located(session: QuerySession, run: Path, place: str) -> list[m.Event]:
    return [*locate_data(session, m.LocateData(job="j", run=str(run), place=place))]


def fault(session: QuerySession, run: Path) -> str:
    return check_data(session, m.CheckData(stamp=0, channel="", run=str(run))).fault


def test_that_a_place_that_was_refused_is_taken_once_its_files_are_mended(old: Path, tmp_path: Path):
    run, new, session = tmp_path / "runs" / "run", tmp_path / "new", QuerySession()
    shutil.copytree(old, new)
    content = spoiled(new)
    aside = old.rename(tmp_path / "aside")
    with pytest.raises(BadRun, match="its content changed"):
        located(session, run, str(new))
    mend(new, aside, content)
    assert isinstance(located(session, run, str(new))[-1], m.DataLocated)
    manifest = Run.open(run).manifest
    assert manifest is not None and manifest.data == str(new)


def test_that_data_mended_at_their_own_place_are_no_longer_called_changed(old: Path, tmp_path: Path):
    run, session = tmp_path / "runs" / "run", QuerySession()
    aside = Path(shutil.copytree(old, tmp_path / "aside"))
    content = spoiled(old)
    with pytest.raises(BadRun):
        session.run_data(session.model(str(run), None))
    assert "its content changed" in fault(session, run)
    mend(old, aside, content)
    located(session, run, str(old))
    assert fault(session, run) == ""
    assert len(session.run_data(session.model(str(run), None)).splits["train"].images)


def test_that_a_known_place_is_looked_into_again_when_one_asks_again(old: Path, tmp_path: Path):
    run, new, session = tmp_path / "runs" / "run", tmp_path / "new", QuerySession()
    shutil.copytree(old, new)
    content = spoiled(new)
    aside = old.rename(tmp_path / "aside")
    remember_place(run.parent, str(new), Run.open(run).manifest.data_hash)
    with pytest.raises(BadData):
        located(session, run, "")
    mend(new, aside, content)
    assert isinstance(located(session, run, "")[-1], m.DataLocated)
