"""Whatever is dropped on whichever real pane: something is done or said, and nothing raises."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QUrl
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from tests.kit import fake_engine as fake
from tests.kit.fake_engine import FakeEngine


@pytest.fixture
def dropped(tmp_path: Path) -> dict[str, list[str]]:
    """What somebody may drop, by what it is."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(3):
        Image.fromarray(np.full((8, 8), 80 * i, np.uint8)).save(pictures / f"{i}.png")
    (tmp_path / "empty").mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    text = tmp_path / "novel.txt"
    text.write_text("Call me Ishmael.")
    files = sorted(str(path) for path in pictures.iterdir())
    return {
        "a picture": files[:1],
        "pictures": files,
        "a folder": [str(pictures)],
        "an empty folder": [str(tmp_path / "empty")],
        "a run": [str(run)],
        "a text": [str(text)],
        "everything": [*files, str(pictures), str(run), str(text)],
        "what is gone": [str(tmp_path / "gone.png")],
        "nothing on this machine": [],
    }


def fresh(paths: list[str], times: itertools.count[int]) -> list[str]:
    """The same things in a folder of their own: what a pane holds already may well be ignored."""
    made = []
    for path in paths:
        there = Path(path).parent / f"again-{next(times)}" / Path(path).name
        if Path(path).is_dir():
            shutil.copytree(path, there)
        elif Path(path).exists():
            there.parent.mkdir()
            shutil.copy(path, there)
        made.append(str(there))
    return made


def drop_everywhere(window: Window, dropped: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Drop everything on every pane; returns pane and thing where nothing was sent to the engine and nothing was said."""
    engine = window.bridge.engine
    assert isinstance(engine, FakeEngine)
    silent = []
    times = itertools.count()
    for name, dock in window.docks.docks.items():
        for thing, originals in dropped.items():
            paths = fresh(originals, times)
            window.show_pane(name)
            while window.message_bar.current is not None:
                window.message_bar.dismiss()
            sent, at = len(engine.sent), len(window.log.records)
            if paths:
                assert window.drop_handler.foretell(paths, dock)
            window.drop_handler.take(paths, dock=dock)
            if len(engine.sent) == sent and len(window.log.records) == at:
                silent.append((name, thing))
    return silent


def test_that_every_drop_on_every_pane_is_answered(real_panes: None, window: Window, dropped: dict[str, list[str]], qtbot: QtBot) -> None:
    assert len(window.docks.docks) >= 8
    silent = drop_everywhere(window, dropped)
    assert not silent, silent
    qtbot.wait(1)


def test_that_every_drop_is_answered_without_a_run(
    real_panes: None, open_window: Callable[..., Window], dropped: dict[str, list[str]], qtbot: QtBot
) -> None:
    window = open_window((fake.READY,))
    silent = drop_everywhere(window, dropped)
    assert not silent, silent
    qtbot.wait(1)


def test_that_no_image_of_a_drop_is_left_out_without_a_word(real_panes: None, window: Window, dropped: dict[str, list[str]]) -> None:
    for name, dock in window.docks.docks.items():
        if not dock.pane.takes_images() or dock.why or dock.pane.takes_folders:
            continue
        window.show_pane(name)
        window.drop_handler.take(dropped["pictures"], dock=dock)
        said = window.message_bar.label.text()
        takers = [one.pane for one in window.docks.docks.values() if said.startswith(f"{one.pane.title} took ")]
        most = takers[0].most_images if takers else dock.pane.most_images  # another one, where this pane cannot use images of this run
        if most > 2:
            continue
        named = " and ".join(f"{i}.png" for i in range(most))
        assert takers and said.startswith(f"{takers[0].title} took {named}; "), name


def test_that_a_link_from_the_web_is_pasted_with_a_word(real_panes: None, window: Window) -> None:
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/one.png")])
    QGuiApplication.clipboard().setMimeData(data)
    for name in window.docks.docks:
        window.show_pane(name)
        window.drop_handler.paste()
        assert "on this machine" in window.message_bar.label.text()
