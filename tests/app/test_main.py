"""How the program starts and ends, as a user's shell sees it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.__main__ import has_display, main, options
from engine.cli import Usage

ROOT = Path(__file__).resolve().parents[2]

START_AND_CLOSE = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from app import __main__ as program
import app.shell.main_window as w

class Window(w.Window):
    def _ready(self, event):
        super()._ready(event)
        self.new_run("vae", "digits")
        self.new_run_page.start.click()

    def _job_changed(self, event):
        super()._job_changed(event)
        if "{moment}" == "running" and event.kind == "train" and event.state == "running":
            self.tell()

    def _metrics(self, event):
        super()._metrics(event)
        if "{moment}" == "metrics":
            self.tell()

    def tell(self):
        if not getattr(self, "told", False):
            self.told = True
            print("training", flush=True)
            {end}

w.Window = Window
sys.exit(program.main(sys.argv[1:]))
"""


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PRIORAMA_CONFIG": str(home / "config"),
        "PRIORAMA_RUNS": str(home / "runs"),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def close_while_training(home: Path, moment: str, end: str, send: signal.Signals | None = None) -> tuple[int, str, float]:
    """(exit code, stderr, seconds from the order to close until the end)"""
    script = home / "start.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(START_AND_CLOSE.replace("{end}", end).replace("{moment}", moment))
    with subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            assert line == "training\n", child.stderr.read() if child.stderr else line
            ordered = time.monotonic()
            if send is not None:
                child.send_signal(send)
            _, errors = child.communicate(timeout=300)
        finally:
            child.kill()
        return child.returncode, errors, time.monotonic() - ordered


@pytest.mark.parametrize("words", [["fly"], ["--colour"], ["--runs"], ["train-me", "--json"]])
def test_wrong_words_are_answered_in_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and said.err.endswith(".\n")


def test_the_options_of_the_window() -> None:
    def told(*words: str) -> tuple[Path | None, bool]:
        given = options(list(words))
        return given.runs, given.reset

    assert told() == (None, False)
    assert told("--reset", "--runs", "/x") == (Path("/x"), True)
    assert told("--runs=/y") == (Path("/y"), False)
    for wrong in (["--runs"], ["--runs", "--reset"], ["--ru", "/x"], ["--reset=yes"], ["--runs", "/x", "/y"]):
        with pytest.raises(Usage):
            options(wrong)


def test_that_help_is_given_wherever_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-h"], ["--help"], ["--runs", "/x", "--help"]):
        assert main(words) == 0
        said = capsys.readouterr()
        assert said.err == "" and said.out.startswith("usage: priorama") and "tour" in said.out


def test_a_verb_goes_to_the_engine_with_all_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[list[str]] = []
    import engine.cli

    monkeypatch.setattr(engine.cli, "main", lambda argv: heard.append(argv) or 7)
    assert main(["eval", "run", "--json"]) == 7
    assert heard == [["eval", "run", "--json"]]


def test_without_a_display_it_says_so_and_runs_the_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    asked: list[list[str]] = []
    monkeypatch.setattr("app.__main__.demo", lambda words: asked.append(words) or 0)
    assert not has_display()
    assert main([]) == 0
    assert asked == [[]]
    assert "no display" in capsys.readouterr().out


def test_importing_the_window_loads_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pyqtgraph", "PIL", "app.panes.latent.pane"}
    code = f"import sys, app.shell.main_window; print(sorted({heavy!r} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


@pytest.mark.parametrize(("moment", "after_ms"), [("running", 0), ("metrics", 150)])
def test_closing_while_training_ends_clean_and_soon(tmp_path: Path, moment: str, after_ms: int) -> None:
    code, errors, seconds = close_while_training(tmp_path / "home", moment, f"QTimer.singleShot({after_ms}, self.close)")
    assert code == 0, errors
    assert complaints(errors) == []
    assert seconds < 60  # three on an idle machine; a busy one takes long to load and unload torch
    if moment == "metrics":
        (manifest,) = (tmp_path / "home" / "runs").glob("*/manifest.json")
        kept = json.loads(manifest.read_text())
        assert any(checkpoint["resumable"] for checkpoint in kept["checkpoints"])


AT_THE_WORST_MOMENT = """
            import os, signal
            with self.bridge.engine.training_lane._wake._cond:
                os.kill(os.getpid(), signal.SIGTERM)
                [None for _ in range(100_000)]  # the handler runs in here
"""


def test_a_signal_may_come_while_the_window_holds_a_lock_that_closing_needs(tmp_path: Path) -> None:
    code, errors, _ = close_while_training(tmp_path / "home", "metrics", AT_THE_WORST_MOMENT.strip())
    assert code == 0, errors
    assert complaints(errors) == []


def test_a_signal_closes_it_like_a_hand(tmp_path: Path) -> None:
    code, errors, _ = close_while_training(tmp_path / "home", "metrics", "pass", signal.SIGTERM)
    assert code == 0, errors
    assert complaints(errors) == []
    assert (tmp_path / "home" / "config" / "settings.json").is_file()


@pytest.mark.slow
def test_closing_at_many_moments_ends_clean(tmp_path: Path) -> None:
    rng = random.Random(0)
    for i in range(8):
        code, errors, _ = close_while_training(
            tmp_path / str(i), rng.choice(["running", "metrics"]), f"QTimer.singleShot({rng.randint(0, 3000)}, self.close)"
        )
        assert code == 0, errors
        assert complaints(errors) == []


START_WITH = """
import os, pwd, sys
from PySide6.QtCore import QTimer
from app import __main__ as program
import app.shell.main_window as w

def nobody(_):
    raise KeyError

class Window(w.Window):
    def _ready(self, event):
        super()._ready(event)
        print("told:", self.said(), flush=True)
        QTimer.singleShot(0, self.close)

    def say(self, kind, text, *more, **rest):
        self.heard = [*getattr(self, "heard", []), text]
        return super().say(kind, text, *more, **rest)

    def said(self):
        return " | ".join(getattr(self, "heard", []))

if sys.argv[1:] == ["nobody"]:
    pwd.getpwuid = nobody
w.Window = Window
sys.exit(program.main([]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system with a list of users")
@pytest.mark.parametrize("trouble", ["damaged", "newer", "not writable", "nobody"])
def test_the_window_starts_whatever_became_of_its_settings_and_its_home(tmp_path: Path, trouble: str) -> None:
    config = tmp_path / "config"
    known = environment(tmp_path)
    content = {"damaged": b"\x00{", "newer": b'{"version": 99, "theme": "light"}'}.get(trouble)
    if content is not None:
        config.mkdir()
        (config / "settings.json").write_bytes(content)
    elif trouble == "not writable":
        config.write_text("no folder can be made here")
    else:
        known = {name: value for name, value in known.items() if name != "HOME" and not name.startswith(("XDG_", "PRIORAMA_"))}
    script = tmp_path / "start.py"
    script.write_text(START_WITH)
    (tmp_path / "here").mkdir()
    words = ["nobody"] if trouble == "nobody" else []
    ended = subprocess.run(
        [sys.executable, str(script), *words], cwd=tmp_path / "here", env=known, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "told:" in ended.stdout
    if content is not None:
        assert (config / "settings.json.bak").read_bytes() == content and "settings.json.bak" in ended.stdout
        assert json.loads((config / "settings.json").read_text())["version"] == 1
    if trouble == "nobody":
        assert [path.name for path in (tmp_path / "here").rglob("settings.json")] == ["settings.json"]
        assert not (tmp_path / "here" / "~").exists()


def complaints(errors: str) -> list[str]:
    """What was said on stderr, less what Qt's offscreen platform says of itself."""
    return [line for line in errors.splitlines() if line and "This plugin does not support" not in line]
