"""Nothing is computed for a folder that cannot be written: `demo` and `tour` find that out first, and say it in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.tour import demo, runner

Main = Callable[[list[str]], int]


def run_demo(arguments: list[str]) -> int:
    return demo.main(arguments, lambda words: pytest.fail(f"{words} was run"))


def run_tour(arguments: list[str]) -> int:
    return runner.main(arguments)


@pytest.fixture(params=[run_demo, run_tour], ids=["demo", "tour"])
def verb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Main:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr("app.tour.window_driver.WindowDriver", lambda *_, **__: pytest.fail("the window was opened"))
    return request.param


def one_sentence(said: str, reason: str) -> None:
    assert said.count("\n") == 1 and reason in said and said.endswith("choose another folder with --out.\n")


def test_a_full_disk_is_found_before_the_first_step(
    verb: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    assert verb(["--out", str(tmp_path / "out")]) == 1
    one_sentence(capsys.readouterr().err, os.strerror(errno.ENOSPC))
    assert list((tmp_path / "out").iterdir()) == [], "the trial leaves nothing behind"


def test_a_folder_that_takes_no_file_is_found_before_the_first_step(
    verb: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ordinary = os.open

    def locked(path: str | os.PathLike[str], flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_CREAT and str(tmp_path) in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return ordinary(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", locked)
    assert verb(["--out", str(tmp_path)]) == 1
    one_sentence(capsys.readouterr().err, os.strerror(errno.EACCES))


def test_a_file_in_the_place_of_the_folder_or_on_the_way_to_it(verb: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        assert verb(["--out", str(out)]) == 1
        one_sentence(capsys.readouterr().err, str(out))
