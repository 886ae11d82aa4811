"""How long the window's event loop is held up while a training runs beside it, Curves and Latent open: a heartbeat every 5 ms."""

from __future__ import annotations

import itertools
import time

from PySide6.QtCore import Qt, QTimer

from benchmarks import Row, main, quantile
from benchmarks._lane import show_curves_and_latent, training_window

SECONDS = 12.0
FRAME_MS = 16.7


def measure() -> list[Row]:
    beats: list[float] = []
    with training_window() as training:
        show_curves_and_latent(training)
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(lambda: beats.append(time.perf_counter()))
        timer.start(5)
        training.stage.run_for(SECONDS)
        timer.stop()
    gaps = [1000 * (b - a) for a, b in itertools.pairwise(beats)]
    p99, longest = quantile(gaps, 0.99), max(gaps)
    return [
        Row("event-loop gap while training, p99", p99, "ms", "one frame", FRAME_MS, p99 / FRAME_MS, "≤ 16.7 ms", p99 <= FRAME_MS),
        Row("event-loop gap while training, longest", longest, "ms", "", None, None, "≤ 50 ms", longest <= 50),
    ]


if __name__ == "__main__":
    main(measure)
