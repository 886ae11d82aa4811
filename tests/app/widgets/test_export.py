"""Files out of the window: they appear whole or not at all."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.widgets import export
from app.widgets.export import PartWriter, save_file


def test_that_a_name_of_other_letters_keeps_its_bytes_and_costs_no_row(tmp_path: Path, qtbot: QtBot) -> None:
    told: list[OSError | None] = []
    parent = QObject()
    PartWriter(tmp_path / "a.csv", iter(["run,step\n", "caf\udce9,1\n", "b\ud800,2\n"]), told.append, parent).start()
    qtbot.waitUntil(lambda: bool(told))
    assert told == [None]
    assert (tmp_path / "a.csv").read_bytes() == b"run,step\ncaf\xe9,1\nb\\ud800,2\n"
    assert save_file(tmp_path / "b.csv", "caf\udce9\n") == ("Saved as b.csv.", "good")
    assert (tmp_path / "b.csv").read_bytes() == b"caf\xe9\n"


def test_that_a_file_that_cannot_be_written_is_told_in_a_sentence_and_the_old_one_stays(tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a disk that is full after 1,000 bytes
    try:
        sentence, level = save_file(old, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, heard)
    assert level == "bad" and sentence.startswith("“old.csv” could not be written: ")
    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    for place in (tmp_path, tmp_path / "none" / "a.csv", Path("/dev/full")):
        sentence, level = save_file(place, "x")
        assert level == "bad" and sentence.endswith(". Choose another folder.")


def test_that_file_dialogs_begin_where_something_was_chosen_last_and_never_in_the_working_folder(
    tmp_path: Path, qapp: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export._LastFolder, "path", "")
    assert Path(export.folder_for(export.PICTURES)) != Path.cwd()
    assert Path(export.folder_for(export.DOCUMENTS)).is_dir()
    export.remember_folder(str(tmp_path))
    assert export.folder_for(export.DOCUMENTS) == str(tmp_path)
    export.remember_folder(str(tmp_path / "gone"))
    assert Path(export.folder_for(export.DOCUMENTS)).is_dir()


def test_that_parts_make_one_file(tmp_path: Path, qtbot: QtBot) -> None:
    told: list[OSError | None] = []
    parent = QObject()
    PartWriter(tmp_path / "a.csv", iter(["run,step\n", "b,2\n"]), told.append, parent).start()
    qtbot.waitUntil(lambda: bool(told))
    assert told == [None] and (tmp_path / "a.csv").read_text(encoding="utf-8") == "run,step\nb,2\n"
