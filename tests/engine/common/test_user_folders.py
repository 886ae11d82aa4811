"""A user whom the system does not know has no home folder: nothing is lost, and no folder is called “~”."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.__main__ import options
from app.shell.settings import default_path
from app.widgets import export
from engine.common.user_folders import person_path
from engine.data import BadData, open_data
from engine.data.storage import cache_folder
from engine.storage.run_folders import default_root

pwd = pytest.importorskip("pwd", reason="needs a system with a list of users")


@pytest.fixture
def unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a user without a home stands in."""

    def nobody(_: object) -> None:
        raise KeyError

    for name in list(os.environ):
        if name == "HOME" or name.startswith(("XDG_", "PRIORAMA_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        Path.home()
    return tmp_path


def test_that_the_current_folder_takes_the_place_of_a_home_that_is_not_known(unknown: Path) -> None:
    for folder in (default_root(), cache_folder(), default_path()):
        assert folder.is_absolute() and "~" not in folder.parts and folder.is_relative_to(unknown)


def test_that_a_path_typed_with_a_home_that_is_not_known_ends_in_no_traceback(unknown: Path) -> None:
    assert person_path("~/x") == Path("~/x") and person_path("~nobody/x") == Path("~nobody/x")
    assert options(["--runs", "~nobody/x"]).runs == Path("~nobody/x")
    with pytest.raises(BadData, match="no file or folder “~nobody/x”"):
        open_data("~nobody/x")


def test_that_a_file_dialog_begins_somewhere(unknown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export._LastFolder, "path", "")
    monkeypatch.setattr(export.QStandardPaths, "writableLocation", lambda _: "")
    assert isinstance(export.folder_for(export.QStandardPaths.StandardLocation.PicturesLocation), str)
