"""From the command to the first paint and to a ready engine, in fresh processes, against importing everything first."""

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
    import engine.cli, engine.evaluate, engine.explore, engine.train, engine.worker
    from engine.methods import all_methods
    all_methods()
    from app.panes import find_panes
    find_panes()
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
from app.__main__ import prepare
from app.settings import Settings
from app.window import Window
from engine.worker import Engine

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

def ready(_event):
    times["ready"] = time.time()
    QTimer.singleShot(0, window.close)

window.bridge.ready.connect(ready)
QTimer.singleShot(60_000, application.quit)
window.show()
application.exec()
print(json.dumps(times), flush=True)
os._exit(0)
"""


def start(everything_first: bool) -> dict[str, float]:
    """Seconds from the command to `paint` and to `ready`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SCRIPT.format(everything_first=everything_first), folder]
        started = time.time()
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    times = {name: when - started for name, when in json.loads(answer.stdout.splitlines()[-1]).items()}
    assert times.keys() == {"paint", "ready"}, f"the window did not become ready: {answer.stderr}"
    return times


def measure() -> list[Row]:
    start(False)  # once, so that neither side pays for cold disk caches
    pairs = [(start(False), start(True)) for _ in range(ROUNDS)]
    paint = statistics.median(ours["paint"] for ours, _ in pairs)
    peer_paint = statistics.median(peer["paint"] for _, peer in pairs)
    ready = statistics.median(ours["ready"] for ours, _ in pairs)
    peer_ready = statistics.median(peer["ready"] for _, peer in pairs)
    sooner = statistics.median(peer["paint"] / ours["paint"] for ours, peer in pairs)
    ready_ratio = statistics.median(peer["ready"] / ours["ready"] for ours, peer in pairs)
    return [
        Row(
            "start to first paint", paint, "s", "import everything first", peer_paint, sooner, "≤ 0.6 s, ≥ 3×", paint <= 0.6 and sooner >= 3
        ),
        Row("start to ready engine", ready, "s", "import everything first", peer_ready, ready_ratio, "not later", ready_ratio >= 0.95),
    ]


if __name__ == "__main__":
    main(measure)
