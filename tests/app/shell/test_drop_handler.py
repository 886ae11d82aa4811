"""Many images, and folders of them, on a pane that takes batches: all go to it at once, and what is no image goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QUrl
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.shell.drop_handler import MOST_OF_A_BATCH, files_in, may_be_image
from app.shell.main_window import Window
from engine import messages as m
from tests.kit.fake_engine import Plain


class Batches(Plain):
    title = "Batches"
    order = 2
    takes_folders = True
    takes_data = False
    refuses = False
    data: tuple[str, ...] = ()

    def accept_images(self, paths: list[str]) -> list[str]:
        if self.refuses:
            return []
        self.taken += paths
        return paths

    def accept_data(self, path: str) -> bool:
        if self.takes_data:
            self.data = (*self.data, path)
        return self.takes_data


@pytest.fixture
def window(open_window: Callable[..., Window], real_panes: None, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> Window:
    monkeypatch.setattr("app.shell.main_window.find_panes", lambda: [Plain, Batches])
    made = open_window()
    qtbot.waitUntil(lambda: made.state.run is not None)
    made.show_pane("Batches")
    qtbot.waitUntil(lambda: made.docks.front is made.docks.docks["Batches"])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two levels of images among other files."""
    inside = tmp_path / "pictures" / "more"
    inside.mkdir(parents=True)
    for name in ("b.png", "a.jpg", "strange.sgi", "notes.txt", ".hidden.png"):
        (tmp_path / "pictures" / name).touch()
    (inside / "c.webp").touch()
    (tmp_path / "pictures" / ".cache").mkdir()
    (tmp_path / "pictures" / ".cache" / "d.png").touch()
    return tmp_path / "pictures"


def pane_of(window: Window, name: str) -> Batches:
    pane = window.docks.docks[name].pane
    assert isinstance(pane, Plain)
    return pane  # type: ignore[return-value]


def test_that_a_folder_dropped_on_it_gives_its_files_and_those_below_by_name(window: Window, folder: Path) -> None:
    dock = window.docks.docks["Batches"]
    assert window.drop_handler.foretell([str(folder)], dock) == "Every image in pictures → Batches"
    window.drop_handler.take([str(folder)], dock=dock)
    assert [str(Path(path).relative_to(folder)) for path in pane_of(window, "Batches").taken] == [
        "a.jpg",
        "b.png",
        "notes.txt",
        "strange.sgi",
        str(Path("more") / "c.webp"),
    ]
    assert not window.bridge.engine.told(m.OpenData)  # type: ignore[attr-defined]


def test_that_a_folder_dropped_elsewhere_is_a_data_set_as_before(window: Window, folder: Path) -> None:
    window.drop_handler.take([str(folder)], dock=window.docks.docks["Plain"])
    window.drop_handler.take([str(folder)])
    assert pane_of(window, "Batches").taken == [] and pane_of(window, "Plain").taken == []
    assert window.state.selected_data == str(folder)


def test_that_hundreds_of_images_go_to_it_at_once_and_no_more_than_the_limit(window: Window, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i:04d}.png" for i in range(MOST_OF_A_BATCH + 5)]
    for path in paths:
        path.touch()
    window.drop_handler.take([str(path) for path in paths[:300]])  # images on the window, with this pane in front
    assert len(pane_of(window, "Batches").taken) == 300
    window.drop_handler.take([str(path) for path in paths], dock=window.docks.docks["Batches"])
    assert len(pane_of(window, "Batches").taken) == 300 + MOST_OF_A_BATCH
    assert "2\u202f000 files were taken" in window.message_bar.label.text()


def test_that_data_and_runs_dropped_on_it_still_open(window: Window, tmp_path: Path) -> None:
    (tmp_path / "table.npz").touch()
    (tmp_path / "one.png").touch()
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").touch()
    window.drop_handler.take([str(tmp_path / "table.npz"), str(run), str(tmp_path / "one.png")], dock=window.docks.docks["Batches"])
    assert pane_of(window, "Batches").taken == [str(tmp_path / "one.png")]
    assert window.state.selected_data == str(tmp_path / "table.npz")
    assert [command.path for command in window.bridge.engine.told(m.OpenRun)] == [str(run)]  # type: ignore[attr-defined]


def test_that_what_it_refuses_goes_where_it_went_before(window: Window, tmp_path: Path) -> None:
    (tmp_path / "one.png").touch()
    pane_of(window, "Batches").refuses = True
    window.drop_handler.take([str(tmp_path / "one.png")], dock=window.docks.docks["Batches"])
    assert pane_of(window, "Plain").taken == [str(tmp_path / "one.png")]


@pytest.mark.parametrize(
    "names",
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "README.md"),
        ("a/t10k-images-idx3-ubyte",),
        ("data_batch_1", "test_batch"),
        ("x.npz",),
    ],
)
def test_that_a_folder_of_a_data_set_is_no_batch_of_pictures(window: Window, tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    dock, folder = window.docks.docks["Batches"], str(tmp_path / "set")
    window.drop_handler.take([folder], dock=dock)  # a pane that cannot use it: it opens as ever
    assert pane_of(window, "Batches").taken == [] and window.state.selected_data == folder
    pane_of(window, "Batches").takes_data = True
    assert window.drop_handler.foretell([folder], dock) == "set as a data set → Batches"
    window.drop_handler.take([folder], dock=dock)
    assert pane_of(window, "Batches").data == (folder,) and pane_of(window, "Batches").taken == []


def test_that_pictures_in_the_folder_of_a_known_data_set_are_that_data_set(window: Window, folder: Path) -> None:
    pane, dock = pane_of(window, "Batches"), window.docks.docks["Batches"]
    pane.takes_data = True
    window.drop_handler.take([str(folder)], dock=dock)
    assert len(pane.taken) == 5 and pane.data == ()
    for place, name in enumerate((str(folder), f'{folder}?{{"labels": "none"}}')):
        window.state.set_data((m.DataInfo(name, "pictures", "images", "5", False),))
        window.drop_handler.take([str(folder)], dock=dock)
        assert len(pane.taken) == 5 and pane.data == (str(folder),) * (place + 1)


def test_that_an_empty_folder_is_said(window: Window, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    window.drop_handler.take([str(tmp_path / "empty")], dock=window.docks.docks["Batches"])
    assert "no image in empty" in window.message_bar.label.text()


def test_that_copied_files_are_pasted_into_it_as_a_batch(window: Window, folder: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    QGuiApplication.clipboard().setMimeData(data)
    window.drop_handler.paste()
    assert len(pane_of(window, "Batches").taken) == 5


def test_that_known_data_are_no_images(folder: Path) -> None:
    assert not any(may_be_image(name) for name in ("a.npz", "train-images-idx3-ubyte.gz", "x-ubyte", "novel.TXT"))
    assert all(may_be_image(name) for name in ("a.PNG", "b.sgi", "c"))
    assert len(files_in(str(folder), most=1)) >= 2  # one more than asked for tells that there are more
