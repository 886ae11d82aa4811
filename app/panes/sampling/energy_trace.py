"""The trace of chains that walk down an energy: E(x) of every sample over the steps, and where the film stands."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter

from app.panes.sampling.sample_tree import SampleNode
from app.shell.theme import CATEGORIES
from app.widgets.line_chart import LineChart

ROOM = 0.08  # of the height, above and below the lines
MOST_PLACES = 300  # of a line


class EnergyTrace(LineChart):
    """Call `show_node`; hidden for samplers without an energy."""

    def __init__(self) -> None:
        self.steps = np.zeros(0, int)
        self.energies = np.zeros((0, 0))  # [steps, n]
        self.position = 0
        super().__init__("Energy of each sample over the steps")
        self.setMinimumHeight(110)
        self.hide()

    def show_node(self, node: SampleNode | None, position: int) -> None:
        """The samples of the film, which stands at a step."""
        self.position = position
        found = {} if node is None else node.energies
        self.setVisible(bool(found))
        if node is None or not found:
            return
        self.steps = np.array(sorted(found))
        self.energies = np.stack([found[step] for step in self.steps.tolist()]).astype(np.float64)
        self.low, self.high = 0.0, float(max(node.length, 1))
        finite = self.energies[np.isfinite(self.energies)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        room = ROOM * (high - low) or 0.1
        self.bottom, self.top = low - room, high + room
        ends = ", ".join(f"{node.letter(row)} {value:.2f}" for row, value in enumerate(self.energies[-1]))
        self.setAccessibleDescription(f"After step {self.steps[-1]}: {ends}")
        self.update()

    def draw(self, painter: QPainter) -> None:
        self.draw_axes(painter, "step", "E(x), lower is likelier", percent=False)
        self.draw_cursor(painter, self.position)
        places = np.unique(np.linspace(0, len(self.steps) - 1, MOST_PLACES).astype(int))
        for row in range(self.energies.shape[1]):
            values = self.energies[places, row]
            points = [QPointF(self.to_x(x), self.to_y(y)) for x, y in zip(self.steps[places].tolist(), values.tolist(), strict=True)]
            points = [point for point in points if np.isfinite(point.y())]
            color = self.color(row)
            self.draw_line(painter, self.pen(color, 1.2, (3, 2) if self.repeats(row) else None), points)
            if row < len(CATEGORIES):
                self.draw_markers(painter, self.marker(row), color, 6, points[-1:])
