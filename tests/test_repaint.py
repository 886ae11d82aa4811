"""A live plot is repainted 2,000 times. With PySide6 6.12 on Python 3.11 each repaint lost references to `None`, and
Python aborted after about a hundred; the lock keeps clear of that, and this test would notice its return."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPAINTS = 2000

SCRIPT = """
import sys
import numpy as np
import pyqtgraph as pg

application = pg.mkQApp()
plot = pg.PlotWidget()
plot.resize(400, 300)
plot.addLegend()
curve = plot.plot(pen="#8aa4ff", name="loss", symbol="o")
plot.show()
application.processEvents()
values = np.cumsum(np.random.default_rng(0).standard_normal(300))
before = sys.getrefcount(None)
painted = 0
for i in range({repaints}):
    curve.setData(np.roll(values, i))
    plot.viewport().repaint()
    painted += 1
print(painted, before, sys.getrefcount(None))
plot.close()
"""


def test_that_a_plot_survives_two_thousand_repaints():
    """In a process of its own: the fault does not raise, it ends Python."""
    answer = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SCRIPT.format(repaints=REPAINTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert answer.returncode == 0, answer.stderr
    painted, before, after = map(int, answer.stdout.split())
    assert painted == REPAINTS
    if sys.version_info < (3, 12):  # from then on None is immortal
        assert after - before > -REPAINTS, f"{before - after} references to None were lost in {REPAINTS} repaints"
