"""From a fresh Python process to the first paint, to a usable window and to a ready engine, against importing everything first."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import ROOT, Row, main

ROUNDS = 5

SCRIPT = """
import json, os, sys, time
os.environ["QT_QPA_PLATFORM"] = "offscreen"
if {everything_first}:
    import numpy, PIL, pyqtgraph, scipy, sklearn, torch
    import engine.cli, engine.evaluation.evaluate, engine.queries.session, engine.training.loop, engine.worker.engine
    from engine.methods import all_methods
    all_methods()
    from app.panes import find_panes
    find_panes()
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
from app.shell.application import prepare
from app.shell.settings import Settings
from app.shell.main_window import Window
from engine.messages import Ready
from engine.worker.engine import Engine

times = {{}}

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            times.setdefault("paint", time.time())
        return False

application = QApplication(["priorama"])
prepare(application)
window = Window(Engine(sys.argv[1]), Settings(), None)
watch = Watch()
window.installEventFilter(watch)

def look():
    if window.docks.docks:
        times.setdefault("usable", time.time())
        usable.stop()

usable = QTimer()
usable.timeout.connect(look)
usable.start(2)

def ready(_event):
    look()
    times["ready"] = time.time()
    QTimer.singleShot(0, window.close)

window.bridge.on(Ready, ready)
QTimer.singleShot(60_000, application.quit)
window.show()
application.exec()
print(json.dumps(times), flush=True)
os._exit(0)
"""


def start(everything_first: bool) -> dict[str, float]:
    """Seconds from the process to `paint`, to `usable` (all panes are built) and to `ready` (the engine answers)."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SCRIPT.format(everything_first=everything_first), folder]
        started = time.time()
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    times = {name: when - started for name, when in json.loads(answer.stdout.splitlines()[-1]).items()}
    assert times.keys() == {"paint", "usable", "ready"}, f"the window did not become ready: {answer.stderr}"
    return times


def measure() -> list[Row]:
    start(False)  # once, so that neither side pays for cold disk caches
    pairs = [(start(False), start(True)) for _ in range(ROUNDS)]
    rows = []
    for what, context, most, sooner in (
        ("first paint", "paint", 0.6, 3.0),
        ("usable window", "usable", None, 3.0),
        ("ready engine", "ready", None, 1.0),
    ):
        ours = statistics.median(mine[context] for mine, _ in pairs)
        peer = statistics.median(theirs[context] for _, theirs in pairs)
        ratio = statistics.median(theirs[context] / mine[context] for mine, theirs in pairs)
        target = f"≤ {most} s, ≥ {sooner:g}×" if most else f"≥ {sooner:g}×"
        holds = ratio >= sooner and (most is None or ours <= most)
        rows.append(Row(f"start to {what}", ours, "s", "import everything first", peer, ratio, target, holds))
    return rows


if __name__ == "__main__":
    main(measure)
