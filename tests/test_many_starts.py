"""Real starts, one after the other: the window is shown, the engine comes, the window closes. PRIORAMA_STARTS says how many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STARTS = int(os.environ.get("PRIORAMA_STARTS", "2"))

START = """
import sys
from PySide6.QtCore import QTimer
from app import __main__ as program
import app.shell.main_window as w
from engine import messages as m

class Window(w.Window):
    def _ready(self, event):
        super()._ready(event)
        print("ready", len(event.methods), flush=True)
        self.waiting = QTimer(self)
        self.waiting.timeout.connect(lambda: self.built and self.close())
        self.waiting.start(10)

    def say(self, kind, text, *more, **rest):
        if kind in ("warning", "bad"):
            print(kind, text, file=sys.stderr, flush=True)
        return super().say(kind, text, *more, **rest)

w.Window = Window
sys.exit(program.main([]))
"""


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_that_no_start_fails(tmp_path: Path) -> None:
    known = {"PRIORAMA_CONFIG": str(tmp_path / "config"), "PRIORAMA_RUNS": str(tmp_path / "runs"), "QT_QPA_PLATFORM": "offscreen"}
    environment = {**os.environ, **known, "PYTHONPATH": str(ROOT)}
    told = set()
    for number in range(STARTS):
        ended = subprocess.run([sys.executable, "-c", START], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
        said = [line for line in ended.stderr.splitlines() if line and "This plugin does not support" not in line]
        assert (ended.returncode, said) == (0, []), f"start {number + 1} of {STARTS}: {ended.stderr}"
        told.add(ended.stdout)
    assert len(told) == 1 and next(iter(told)).startswith("ready "), told  # as many methods every time
