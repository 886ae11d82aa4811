"""A start in which imports are slow: no two threads ever import at once, so none is given another's half-made module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

OPEN_A_WINDOW = """
import json, os, sys, traceback
from tests.kit import slow_importer
slow_importer.install()
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from app.shell.application import prepare
from app.shell.main_window import Window
from app.shell.settings import Settings
from engine import messages as m
from engine.worker.engine import Engine

def fail(*error):  # in whatever Qt calls: without an end, the wait for the run would be the only sign
    traceback.print_exception(*error)
    sys.stderr.flush()
    os._exit(1)

sys.excepthook = fail
application = QApplication(["priorama"])
prepare(application)
window = Window(Engine(sys.argv[1]), Settings(), None)
heard, notices = [], []
for kind in (m.RunsListed, m.DataListed, m.Ready, m.Ended):
    window.bridge.on(kind, lambda event: heard.append(type(event).__name__))
window.bridge.on(m.Notice, lambda event: notices.append(event.text))

def use():  # what a person may do while the engine is still coming
    if window.built and "Ready" not in heard:
        window.show_pane(window.docks.neighbour(1))
        window.themes.toggle()

def end():
    if "Ended" in heard:
        hand.stop()
        window.close()
        application.quit()

def began(event):
    window._start_run(m.StartRun("a", "vae", "digits", {"width": 8, "network": "mlp"}, steps=3, device="cpu"))

window.bridge.on(m.Ready, began)
hand = QTimer()
hand.timeout.connect(use)
hand.timeout.connect(end)
hand.start(100)
QTimer.singleShot(240_000, application.quit)
window.show()
application.exec()
threads = {name: sorted(slow_importer.packages(name)) for name in ("MainThread", "query lane", "training lane")}
print(json.dumps({"met": slow_importer.met(), "notices": notices, "heard": heard, "threads": threads}), flush=True)
os._exit(0)
"""


def told_by(script: str, home: Path) -> dict:
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(home)]
    answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr
    assert "Traceback" not in answer.stderr, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize("attempt", range(2))
def test_that_no_two_threads_import_at_once_while_a_window_opens(tmp_path: Path, attempt: int) -> None:
    told = told_by(OPEN_A_WINDOW, tmp_path)
    assert told["met"] == []
    assert told["notices"] == []
    assert told["heard"][:3] == ["RunsListed", "DataListed", "Ready"] and "Ended" in told["heard"]
    assert "torch" in told["threads"]["query lane"]
    assert {"pyqtgraph", "numpy"} <= set(told["threads"]["MainThread"])
