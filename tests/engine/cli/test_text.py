"""What reaches a terminal, and what reaches a JSON reader."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest

from engine import messages as m
from engine.cli.console import Console, in_words
from engine.cli.errors import Failed
from engine.cli.signals import StopSignals
from engine.cli.text import all_visible, json_line, visible

ODD = os.fsdecode(b"caf\xe9\x1b[31m\nb.png")  # a byte that is no UTF-8, an escape sequence, a line end


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def progress(done: int, note: str = "Scoring") -> m.Progress:
    return m.Progress("", "", done, 500, "image", 10.0, 5.0, note)


def test_that_a_name_shows_each_odd_character_and_keeps_the_others():
    assert visible(ODD) == "caf\\xe9\\x1b[31m\\nb.png"
    assert visible("Größe 東京 ‘a’.png") == "Größe 東京 ‘a’.png"
    assert visible("a\u202egnp.exe") == "a\\u202egnp.exe"  # would be shown from right to left
    assert all_visible({"file": ODD, "scores": [1.5, None, ("x\r",)]}) == {"file": visible(ODD), "scores": [1.5, None, ["x\\r"]]}


def test_that_json_is_ascii_without_nan_and_gives_every_name_back():
    line = json_line({"file": ODD, "value": float("nan"), "rows": (np.float32(2), np.arange(2), float("inf")), "é": True})
    assert line.isascii() and "\n" not in line and "NaN" not in line and "Infinity" not in line
    told = json.loads(line)
    assert os.fsencode(told["file"]) == os.fsencode(ODD)
    assert told["value"] is None and told["rows"] == [2.0, [0, 1], None] and told["é"] is True


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_that_words_pass_a_strict_stream_of_any_encoding(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    Console(False, False, StopSignals()).say(f"{visible(ODD)} → ≤ 0.05\nsecond line")
    lines = raw.getvalue().decode(encoding).splitlines()
    assert len(lines) == 2 and lines[0].startswith("caf\\xe9\\x1b[31m\\nb.png") and "0.05" in lines[0]


def test_that_a_stdout_that_takes_nothing_is_said(monkeypatch):
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(Failed, match="No space left"):
        Console(False, False, StopSignals()).say("words")


def test_that_a_terminal_has_one_line_of_progress_that_is_taken_away(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sys, "stderr", Terminal())
    console = Console(False, False, StopSignals(), lambda: now[0])
    for done in range(0, 500, 10):
        now[0] += 0.05
        console.show(progress(done))
    console.clear()
    said = sys.stderr.getvalue()
    assert "\n" not in said and 20 <= said.count("\r") <= 30
    assert said.endswith("\r" + " " * len(in_words(progress(480))) + "\r")


def test_that_a_file_has_a_line_now_and_then_and_none_for_what_is_over_at_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    console = Console(False, False, StopSignals(), lambda: now[0])
    console.show(progress(1))
    assert sys.stderr.getvalue() == ""
    for done in range(200):
        now[0] += 0.1
        console.show(progress(done))
    console.clear()
    lines = sys.stderr.getvalue().splitlines()
    assert lines[0].startswith("Scoring · 1") and len(lines) == 4 and "\r" not in sys.stderr.getvalue()


def test_that_quiet_says_nothing_and_a_dead_stderr_hurts_nobody(monkeypatch):
    class Dead(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Terminal())
    Console(False, True, StopSignals()).show(progress(1))
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Dead())
    Console(False, False, StopSignals()).note("a word")
    monkeypatch.setattr(sys, "stderr", None)
    Console(False, False, StopSignals()).note("a word")
