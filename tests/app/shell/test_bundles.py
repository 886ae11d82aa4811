"""Runs as one file, in the window: asked for in the menu, taken in by a drop, and the engine's own verbs behind both."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QFileDialog, QMenu
from pytestqt.qtbot import QtBot

from app.shell.drop_handler import kind_of
from app.shell.main_window import Window
from app.tour.window_driver import WindowDriver
from engine import messages as m
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.fake_engine import FakeEngine, run


def bundle_at(path: Path) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run/manifest.json", b"{}")
        archive.writestr("bundle.json", b"{}")
    return str(path)


def test_that_a_bundle_is_told_from_other_archives_and_dropping_it_asks_the_engine(
    window: Window, engine: FakeEngine, tmp_path: Path, qtbot: QtBot
) -> None:
    file = bundle_at(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("cats/1.png", b"")
    assert (kind_of(file), kind_of(str(tmp_path / "b.zip"))) == ("bundle", "data")
    assert window.drop_handler.foretell([file]) == "Import the run in a.zip"
    window.take([file])
    (asked,) = engine.told(m.ImportRun)
    assert (asked.file, asked.root) == (file, window.state.root)
    arrived = run("d")
    engine.say(m.RunImported(asked.job, arrived.run), m.RunsListed((*window.state.runs.values(), arrived), "/runs"))
    engine.say(m.Ended(asked.job, "ok", "The run d was unpacked."))
    qtbot.waitUntil(lambda: window.state.run == arrived.run)
    qtbot.waitUntil(lambda: "unpacked" in window.centre.log.records[-1].text)


def test_that_the_menu_offers_the_data_only_where_they_are_the_users_own(window: Window, engine: FakeEngine, tmp_path: Path) -> None:
    def texts() -> list[str]:
        window.run_list.menu(window.run_list.cards["/runs/c"], QPoint(0, 0))
        menu = window.run_list.findChildren(QMenu)[-1]
        menu.hide()
        return [action.text() for action in menu.actions()]

    assert "Export…" in texts() and "Export with its data…" not in texts()
    own = replace(window.state.runs["/runs/c"], data="/home/of/pets")
    window.runs.listed(m.RunsListed((own,), "/runs"))
    assert "Export with its data…" in texts()
    window.run_list.export_chosen.emit("/runs/c", True, False)
    (dialog,) = window.findChildren(QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "c.zip"))
    dialog.close()
    (asked,) = engine.told(m.ExportRun)
    assert (asked.run, asked.out, asked.with_data) == ("/runs/c", str(tmp_path / "c.zip"), True)


def test_that_the_real_engine_packs_a_run_and_takes_it_in_again(tmp_path: Path, qapp) -> None:
    runs, out = tmp_path / "runs", tmp_path / "a run.zip"
    list(train(Plan("vae", "digits", {"network": "mlp", "width": 4, "latent": 2}, steps=2, name="a run", device="cpu"), runs))
    with WindowDriver(Engine(runs)) as stage:
        window = stage.window
        stage.wait(lambda: window.state.engine is not None and str(runs / "a run") in window.state.runs, "the run was listed", 60)
        window.runs.export(str(runs / "a run"), str(out))
        stage.wait(out.exists, "the bundle was written", 60)
        window.take([str(out)])
        stage.wait(lambda: window.state.run == str(runs / "a run-2"), "the run was taken in", 60)
        assert Run.open(runs / "a run-2").verify() == []
        assert not stage.faults
