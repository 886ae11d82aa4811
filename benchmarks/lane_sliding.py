"""Training in the app's lane while a latent slider moves 60 times a second, against the same step in a bare loop."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, QTimer

from benchmarks import Row, main
from benchmarks._lane import Training, beside_bare_loop, show_curves_and_latent

FRAME_MS = 16


def slide(training: Training) -> None:
    """Move the first slider to and fro from now on."""
    show_curves_and_latent(training)
    pane = training.stage.pane("LatentPane")
    training.stage.wait(lambda: bool(pane.slider_list.sliders), "the sliders were there")
    timer = QTimer(pane)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    frame = 0

    def move() -> None:
        nonlocal frame
        frame += 1
        pane.slider_list.sliders[0].setValue(round(200 * math.sin(frame / 20)))

    timer.timeout.connect(move)
    timer.start(FRAME_MS)


def measure() -> list[Row]:
    return [beside_bare_loop("training while a latent slider moves at 60 Hz", 0.60, slide, pictures=20)]


if __name__ == "__main__":
    main(measure)
