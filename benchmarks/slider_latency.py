"""From the move of a latent slider to the painted picture, with the window idle and while a training runs."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import QEvent, QObject

from app.tour.window_driver import WindowDriver
from benchmarks import Row, main, quantile
from benchmarks._lane import training_window

MOVES = 150


class PaintWatch(QObject):
    """Notes when a pane's picture was first painted with a newer decoded image than the one it knows."""

    def __init__(self, pane: Any) -> None:
        super().__init__()
        self.pane = pane
        self.forget()

    def forget(self) -> None:
        self.known = self.pane.decoded_image.decoded
        self.painted = 0.0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self.painted and self.pane.decoded_image.decoded is not self.known:
            self.painted = time.perf_counter()
        return False


def latencies(stage: WindowDriver) -> list[float]:
    """Milliseconds of `MOVES` single moves."""
    pane = stage.pane("LatentPane")
    watch = PaintWatch(pane)
    pane.decoded_image.picture.installEventFilter(watch)
    found = []
    for move in range(MOVES):
        watch.forget()
        started = time.perf_counter()
        pane.slider_list.sliders[move % 4].setValue((37 * move) % 400 - 200)
        stage.wait(lambda: watch.painted > 0, "the picture followed the slider", 5)
        found.append(1000 * (watch.painted - started))
        stage.run_for(0.004 + 0.001 * (move % 13))
    pane.decoded_image.picture.removeEventFilter(watch)
    return found


def measure() -> list[Row]:
    with training_window() as training:
        stage = training.stage
        stage.show_pane("LatentPane")
        stage.settle()
        busy = quantile(latencies(stage), 0.95)
        with training.held():
            stage.settle()
            idle = quantile(latencies(stage), 0.95)
    return [
        Row("slider to picture, p95, idle", idle, "ms", "one frame", 16.7, idle / 16.7, "≤ 16 ms", idle <= 16),
        Row("slider to picture, p95, while training", busy, "ms", "one frame", 16.7, busy / 16.7, "≤ 25 ms", busy <= 25),
    ]


if __name__ == "__main__":
    main(measure)
