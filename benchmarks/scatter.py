"""A map of 1,000,000 points: moved, against pyqtgraph's scatter with a fifth of them; and the point nearest to the mouse, against a
look at every point. Both windows are 1200 × 800 and offscreen; a frame counts from the move to the end of its painting."""

from __future__ import annotations

import statistics
import sys

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from app.panes.embedding.scatter import PICK_RADIUS, Scatter
from app.shell.theme import CATEGORIES
from benchmarks import Row, interleave, main, seconds_of

POINTS, PEER_POINTS = 1_000_000, 200_000
CLASSES = 10
SIZE = (1200, 800)
FRAMES = 8  # a round: there and back again
ROUNDS = 9
ZOOM = 1.5  # of the whole map, so that the edges lie where points are
STEPS = ((9, 4), (23, -11), (48, 17), (5, 30))  # pixels of a frame: from slow to quick
PICKS = 200


def mixture(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Places float32 [points, 2] of some overlapping clouds, and which cloud each is from."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, points)
    middles = 4 * rng.standard_normal((CLASSES, 2))
    return (middles[labels] + rng.standard_normal((points, 2))).astype(np.float32), labels


def ours() -> Scatter:
    places, labels = mixture(POINTS)
    table = np.array([(color.red(), color.green(), color.blue()) for color in map(QColor, CATEGORIES)], np.uint8)
    scatter = Scatter()
    scatter.resize(*SIZE)
    scatter.show()
    scatter.set_points(places)
    scatter.set_inks(table[labels % len(table)])
    return scatter


def peers() -> pg.PlotWidget:
    """Small squares in one colour, without outlines: its quickest way."""
    places, _ = mixture(PEER_POINTS)
    window = pg.PlotWidget()
    window.resize(*SIZE)
    window.hideAxis("left")
    window.hideAxis("bottom")
    window.addItem(pg.ScatterPlotItem(places[:, 0], places[:, 1], size=1, symbol="s", pen=None, brush=CATEGORIES[0], antialias=False))
    window.show()
    window.getViewBox().disableAutoRange()
    return window


def frames() -> list[tuple[int, int]]:
    forth = [STEPS[number % len(STEPS)] for number in range(FRAMES // 2)]
    return forth + [(-right, -down) for right, down in forth]


def move(scatter: Scatter) -> float:
    """Milliseconds a frame."""

    def all_frames() -> None:
        for right, down in frames():
            scatter.pan(right, down)
            scatter.repaint()

    return 1000 * seconds_of(all_frames) / FRAMES


def move_peer(window: pg.PlotWidget) -> float:
    box = window.getViewBox()

    def all_frames() -> None:
        for right, down in frames():
            width, height = box.viewPixelSize()
            box.translateBy(x=-right * width, y=down * height)
            window.viewport().repaint()

    return 1000 * seconds_of(all_frames) / FRAMES


def pick(scatter: Scatter) -> tuple[float, float]:
    """Milliseconds of one look for the nearest point, and of one through all points; medians."""
    rng = np.random.default_rng(1)
    assert scatter.view is not None
    places = [scatter.to_screen(place) for place in scatter.places[rng.integers(0, POINTS, PICKS)]]  # where the points are dense
    found, through = [], []
    for number, place in enumerate(places):
        at = place + QPointF(3, -2)
        found.append(1000 * seconds_of(lambda at=at: scatter.pick(at)))
        if number % 20 == 0:
            x, y = scatter.to_map(at)
            radius = PICK_RADIUS / scatter.view.scale
            through.append(1000 * seconds_of(lambda x=x, y=y, radius=radius: look_through(scatter.places, x, y, radius)))
    return statistics.median(found), statistics.median(through)


def look_through(places: np.ndarray, x: float, y: float, radius: float) -> int:
    squares = (places[:, 0] - np.float32(x)) ** 2 + (places[:, 1] - np.float32(y)) ** 2
    best = int(np.argmin(squares))
    return best if squares[best] <= radius**2 else -1


def measure() -> list[Row]:
    application = QApplication.instance() or QApplication(sys.argv[:1])
    scatter, window = ours(), peers()
    application.processEvents()
    scatter.zoom(ZOOM)
    window.getViewBox().scaleBy((1 / ZOOM, 1 / ZOOM))
    for once in (lambda: move(scatter), lambda: move_peer(window)):  # so that neither pays for its first picture
        once()
    frame, peer_frame, share = interleave(lambda: move(scatter), lambda: move_peer(window), ROUNDS)
    scatter.show_whole()
    found, through = pick(scatter)
    scatter.close()
    window.close()
    sooner = 1 / share
    return [
        Row(
            "pan a 1,000,000-point scatter",
            frame,
            "ms",
            "ScatterPlotItem, 200,000 points",
            peer_frame,
            sooner,
            "≤ 12 ms, ≥ 8×",
            frame <= 12 and sooner >= 8,
        ),
        Row("pick among 1,000,000 points", found, "ms", "a look at every point", through, through / found, "≤ 5 ms", found <= 5),
    ]


if __name__ == "__main__":
    main(measure)
