"""Files out of the window: they appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.widgets.export import PartWriter


def test_that_a_part_that_is_no_text_is_told_and_leaves_no_file(tmp_path: Path, qtbot: QtBot) -> None:
    told: list[OSError | None] = []
    parent = QObject()
    PartWriter(tmp_path / "a.csv", iter(["run,step\n", "caf\udce9,1\n", "b,2\n"]), told.append, parent).start()
    qtbot.waitUntil(lambda: bool(told))
    assert isinstance(told[0], OSError) and "no text" in str(told[0])
    assert list(tmp_path.iterdir()) == []


def test_that_parts_make_one_file(tmp_path: Path, qtbot: QtBot) -> None:
    told: list[OSError | None] = []
    parent = QObject()
    PartWriter(tmp_path / "a.csv", iter(["run,step\n", "b,2\n"]), told.append, parent).start()
    qtbot.waitUntil(lambda: bool(told))
    assert told == [None] and (tmp_path / "a.csv").read_text(encoding="utf-8") == "run,step\nb,2\n"
