"""Panes in the whole window: docked, torn off, greyed out, and what is dropped or pasted on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QTabBar
from pytestqt.qtbot import QtBot

from app.panes.data.pane import DataPane
from app.shell import theme
from app.shell.drop_handler import MOST_DROPPED
from app.shell.main_window import Window
from engine import messages as m
from tests.kit.fake_engine import FakeEngine, NeedsSampling, run
from tests.kit.panes import report


def test_every_dock_has_a_name_of_its_own(real_panes: None, window: Window) -> None:
    names = [dock.objectName() for dock in window.docks.docks.values()]
    assert len(names) == len(set(names)) > 0


def test_a_pane_that_the_method_cannot_serve_says_why(window: Window) -> None:
    dock = window.docks.docks["NeedsSampling"]
    assert dock.why == ""
    window.choose_run("/runs/b")
    assert dock.why.startswith("Autoencoder cannot draw samples")
    assert dock.stack.currentWidget() is dock.availability
    assert f"{dock.availability.title.text()}. {dock.availability.text.text()}" == dock.why
    window.choose_run("/runs/a")
    assert dock.why == ""


def test_panes_are_told_when_they_are_seen(window: Window, qtbot: QtBot) -> None:
    docks = window.docks
    pane = docks.docks["NeedsSampling"].pane
    assert isinstance(pane, NeedsSampling)
    assert pane.calls == []
    docks.show_pane("NeedsSampling")
    qtbot.waitUntil(lambda: pane.calls == ["activate"])
    window.choose_run("/runs/b")
    assert pane.calls == ["activate", "deactivate"]
    window.choose_run("/runs/a")
    docks.show_pane("Plain")
    qtbot.waitUntil(lambda: pane.calls == ["activate", "deactivate"] * 2)


def test_a_pane_can_be_torn_off_tiled_and_put_back(window: Window, qtbot: QtBot) -> None:
    docks = window.docks
    docks.show_pane("NeedsSampling")
    qtbot.waitUntil(lambda: docks.front is docks.docks["NeedsSampling"])
    dock = docks.docks["NeedsSampling"]
    window.centre.tear_off()
    assert dock.isFloating()
    qtbot.waitUntil(lambda: dock.titleBarWidget() is dock.title)
    docks.together()
    qtbot.waitUntil(lambda: not dock.isFloating() and docks.tabifiedDockWidgets(dock) != [])
    docks.beside()
    qtbot.waitUntil(lambda: docks.tabifiedDockWidgets(dock) == [] and dock.in_front and docks.docks["Plain"].in_front)
    assert dock.titleBarWidget() is dock.title


def test_the_front_pane_stands_beside_another_one_when_all_of_them_float(window: Window, qtbot: QtBot) -> None:
    docks = window.docks
    for dock in docks.docks.values():
        dock.setFloating(True)
    docks.beside()
    qtbot.waitUntil(lambda: not any(dock.isFloating() for dock in docks.docks.values()))
    assert all(docks.tabifiedDockWidgets(dock) == [] for dock in docks.docks.values())


def strongest_ink(bar: QTabBar, title: str, ground: str) -> str:
    """The colour on a tab that stands out most from the ground: that of the letters."""
    at = next(i for i in range(bar.count()) if bar.tabText(i) == title)
    image = bar.grab(bar.tabRect(at).adjusted(6, 8, -6, -8)).toImage()
    inks = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    return max(inks, key=lambda ink: theme.contrast(ink, ground))


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_tab_of_a_pane_that_cannot_be_used_is_weaker_and_can_be_read(window: Window, name: str) -> None:
    window.set_theme("dark" if name == "light" else "light")
    ground = theme.colors(name).background
    bar = next(iter(window.docks._bars))
    inks = []
    for run_of in ("/runs/a", "/runs/b"):  # the second one cannot draw samples
        window.choose_run(run_of)
        window.set_theme(name)
        inks.append(theme.contrast(strongest_ink(bar, "Needs sampling", ground), ground))
    assert 4 < inks[1] < inks[0] - 2


# Dropping and pasting


def drop(window: Window, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at = QPoint(600, 400)
    enter = QDragEnterEvent(at, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter.ignore()
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    assert window.drop_target.sign.isVisible() and window.drop_target.sign.label.text()
    let_go = QDropEvent(QPointF(at), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(window, let_go)
    assert not window.drop_target.sign.isVisible()


def test_dropped_images_go_to_the_front_pane_in_order(window: Window, tmp_path: Path, qtbot: QtBot) -> None:
    paths = [tmp_path / "b.png", tmp_path / "a.png"]
    for path in paths:
        path.write_bytes(b"x")
    drop(window, *paths)
    pane = window.docks.docks["Plain"].pane
    qtbot.waitUntil(lambda: getattr(pane, "taken", []) == [str(path) for path in paths])


def test_a_torn_off_pane_takes_what_is_dropped_on_it(window: Window, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    dock = window.docks.docks["Plain"]
    dock.setFloating(True)
    window.docks.show_pane("NeedsSampling")
    qtbot.waitUntil(lambda: window.docks.front is window.docks.docks["NeedsSampling"])
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(20, 40), copy, data, left, none)
    enter.ignore()
    assert dock.acceptDrops()
    QApplication.sendEvent(dock, enter)
    assert enter.isAccepted()
    assert window.drop_target.sign.isVisible() and window.drop_target.sign.window() is dock
    QApplication.sendEvent(dock, QDropEvent(QPointF(20, 40), copy, data, left, none))
    assert not window.drop_target.sign.isVisible()
    qtbot.waitUntil(lambda: getattr(dock.pane, "taken", []) == [str(path)])


def test_more_files_than_are_taken_is_said(window: Window, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(MOST_DROPPED + 6)]
    for path in paths:
        path.write_bytes(b"x")
    window.drop_handler.take([str(path) for path in paths])
    assert len(getattr(window.docks.docks["Plain"].pane, "taken", [])) == MOST_DROPPED
    assert window.message_bar.label.text().startswith(f"The first {MOST_DROPPED} of {MOST_DROPPED + 6} files were taken.")


@pytest.mark.parametrize(
    ("action", "told"),
    [("data.open", m.OpenData), ("data.open_file", m.OpenData), ("file.open_run", m.OpenRun), ("file.open_image", None)],
)
def test_a_file_dialog_lets_the_window_go_on(
    window: Window, engine: FakeEngine, tmp_path: Path, action: str, told: type | None, qtbot: QtBot
) -> None:
    window.registry[action].trigger()  # returns while the dialog is open
    dialog = window.findChildren(QFileDialog)[-1]
    assert dialog.isVisible()
    chosen = tmp_path / "chosen.png"
    chosen.write_bytes(b"x")
    dialog.fileSelected.emit(str(chosen))
    dialog.filesSelected.emit([str(chosen)])
    if told is None:
        assert getattr(window.docks.docks["Plain"].pane, "taken", []) == [str(chosen)]
    else:
        assert len(engine.told(told)) == 1
    dialog.reject()
    qtbot.waitUntil(lambda: not window.findChildren(QFileDialog))


def test_other_data_offers_a_folder_and_a_file(window: Window) -> None:
    entries = window.new_run_page.other.menu().actions()
    assert entries == [window.registry["data.open"], window.registry["data.open_file"]]


def test_a_folder_that_is_opened_again_is_read_again(
    real_panes: None, window: Window, engine: FakeEngine, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = str(tmp_path)
    pane = window.docks.docks["DataPane"].pane
    assert isinstance(pane, DataPane)
    window.drop_handler.take([folder])
    qtbot.waitUntil(lambda: pane.asked == folder)
    engine.say(report(pane.job, data=folder), m.Ended(pane.job, "ok", "Ready."))
    qtbot.waitUntil(lambda: pane.asked == "" and pane.stack.currentIndex() == 2)
    window.drop_handler.take([folder])
    assert len([sent for sent in engine.told(m.OpenData) if sent.data == folder]) == 2


def test_a_dropped_folder_becomes_data_and_a_run_folder_opens(window: Window, engine: FakeEngine, tmp_path: Path, qtbot: QtBot) -> None:
    images, old_run, table = tmp_path / "images", tmp_path / "old", tmp_path / "set.npz"
    images.mkdir()
    old_run.mkdir()
    (old_run / "manifest.json").write_text("{}")
    table.write_bytes(b"x")
    drop(window, images, old_run, table)
    qtbot.waitUntil(lambda: len(engine.told(m.OpenData)) == 2)
    assert [sent.data for sent in engine.told(m.OpenData)] == [str(images), str(table)]
    assert engine.told(m.OpenRun) == [m.OpenRun(str(old_run))]
    assert window.state.selected_data == str(table)
    assert window.settings.recent[0] == str(table)
    engine.say(m.RunsListed((*window.state.runs.values(), replace(run("old"), run=str(old_run))), "/runs"))
    qtbot.waitUntil(lambda: window.state.run == str(old_run))


def test_what_is_gone_or_unwanted_is_said(window: Window, tmp_path: Path) -> None:
    window.drop_handler.take([str(tmp_path / "gone.png")])
    assert "not there any more" in window.message_bar.label.text()


def test_a_pasted_image_reaches_the_front_pane(window: Window) -> None:
    image = QImage(4, 4, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    QApplication.clipboard().setImage(image)
    window.registry["edit.paste"].trigger()
    pane = window.docks.docks["Plain"].pane
    (path,) = getattr(pane, "taken", [])
    assert QImage(path).pixelColor(1, 1).name() == "#ff0000"
    window.close()
    assert not Path(path).exists()
