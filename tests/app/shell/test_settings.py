"""The settings file may be anything; the window starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.shell.settings import RECENT, VERSION, Settings, load, save


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    kept = Settings(theme="light", geometry="AAA", pane="LatentPane", last_run="/runs/ä", left=False, recent=["/a", "/b"])
    assert save(kept, path) == ""
    assert load(path) == (kept, "")
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]


def test_the_first_start_says_nothing(tmp_path: Path) -> None:
    assert load(tmp_path / "settings.json") == (Settings(), "")


BROKEN = {
    "empty": b"",
    "cut": b'{"version": 1, "theme": "li',
    "no json": b"\x00\xff\xfe",
    "a list": b"[1, 2]",
    "older": json.dumps({"version": VERSION - 1, "theme": "light"}).encode(),
    "newer": json.dumps({"version": VERSION + 1}).encode(),
    "wrong kind": json.dumps({"version": VERSION, "recent": "everything"}).encode(),
    "wrong word": json.dumps({"version": VERSION, "theme": "purple"}).encode(),
    "wrong in a list": json.dumps({"version": VERSION, "recent": [1]}).encode(),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_gives_defaults_a_backup_and_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    made, note = load(path)
    assert made == Settings()
    assert note.endswith((".", ")."))
    assert path.with_name("settings.json.bak").read_bytes() == content
    assert load(path) == (Settings(), "")


def test_a_folder_in_its_place_gives_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.mkdir()
    made, note = load(path)
    assert made == Settings()
    assert note
    assert save(made, path) != ""


def test_a_home_that_cannot_be_written_gives_a_sentence_and_no_exception(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert "cannot be kept" in save(Settings(), blocked / "settings.json")


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_stop_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    made, _ = load(path)
    assert isinstance(made, Settings)


def test_recent_files_are_few_and_newest_first() -> None:
    kept = Settings()
    for i in range(15):
        kept.remember(f"/{i}")
    kept.remember("/9")
    assert len(kept.recent) == RECENT
    assert kept.recent[:2] == ["/9", "/14"]
    assert len(set(kept.recent)) == RECENT
