"""A plane through z along two of its dimensions, decoded as a grid of pictures; a click on one goes to its z."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout

from app.panes.latent.axes import SPAN, LatentAxes
from app.panes.latent.position import PositionHistory
from app.panes.latent.tiles import strip_picture
from app.shell.formatting import decoded_as, number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import Card, muted
from engine.messages import DecodeGrid, GridDecoded

COUNT, LEAST = 9, 24  # pictures along each side, and their least height
NOTE = f"From −{SPAN:.0f} to +{SPAN:.0f} σ each. Click a picture to go there."


class LatentPlaneCard(Card):
    """Shows the two leading dimensions until the user chooses others."""

    axis_chosen = Signal()

    def __init__(self, history: PositionHistory) -> None:
        super().__init__(12, 8)
        self.history = history
        self.axes: LatentAxes | None = None
        self._query: DecodeGrid | None = None  # what is shown
        self._decode = ""  # what the pictures are of p(x|z)
        self._chosen = False  # whether the user has chosen the dimensions
        row = QHBoxLayout()
        row.setSpacing(16)
        self.grid = ImageStrip("A plane through z; choose a picture to go there", columns=COUNT, rows=COUNT, most=44, gap=1)
        self.grid.setMinimumHeight(COUNT * LEAST)  # where there is less room the pane scrolls: no picture and no word is cut off
        self.grid.picked.connect(self.take_cell)
        row.addWidget(self.grid, 1)
        side = QVBoxLayout()
        side.setSpacing(6)
        self.axis_x, self.axis_y = QComboBox(), QComboBox()
        for box, name in ((self.axis_x, "Across"), (self.axis_y, "Upwards")):
            box.setAccessibleName(f"{name}: latent dimension")
            box.setFixedWidth(132)  # whatever the names: a long one is elided, and whole in the open list
            box.view().setMinimumWidth(220)
            side.addWidget(muted(name, wrap=False))
            side.addWidget(box)
            box.activated.connect(self._axis_activated)
        self.note = muted(NOTE)
        self.note.setProperty("role", "small")
        self.note.setFixedWidth(132)
        set_tip(self.note, "All other dimensions of z stay as they are.")
        side.addWidget(self.note)
        side.addStretch(1)
        row.addLayout(side)
        self.inside.addLayout(row)

    def _axis_activated(self, _index: int) -> None:
        self._chosen = True
        self.axis_chosen.emit()

    def dimensions(self) -> tuple[int, int] | None:
        """Across and upwards, as indices in z; None while the run has not said what its dimensions are."""
        if self.axes is None or self.axis_x.currentData() is None:
            return None
        return int(self.axis_x.currentData()), int(self.axis_y.currentData())

    def forget(self) -> None:
        """Another run is looked at."""
        self.axes = self._query = None
        self.grid.set_pixels(None)

    def set_axes(self, axes: LatentAxes) -> None:
        """Name the dimensions to choose from; those that the user chose stay chosen."""
        self.axes = axes
        for rank_of, box in enumerate((self.axis_x, self.axis_y)):
            chosen = box.currentData() if self._chosen else None
            box.clear()
            for rank, dim in enumerate(axes.order):
                box.addItem(f"{axes.label(rank)}  {axes.note(rank)}".strip(), dim)
            box.setCurrentIndex(axes.order.index(chosen) if chosen in axes.order else min(rank_of, len(axes.order) - 1))

    def show_plane(self, query: DecodeGrid, answer: GridDecoded) -> None:
        """The pictures, and which of them is nearest to z."""
        axes = self.axes
        if axes is None:
            return
        self._query, self._decode = query, answer.decode
        kind = decoded_as(answer.decode, many=True)
        self.note.setText(f"{NOTE} Shown: {kind}." if kind else NOTE)
        values = np.linspace(-SPAN, SPAN, answer.count)
        labels = axes.labels()
        x, y = labels.get(query.x, "x"), labels.get(query.y, "y")
        tips = [
            f"{x} {number(values[column], 2, 'σ')} · {y} {number(values[answer.count - 1 - row], 2, 'σ')}"
            for row in range(answer.count)
            for column in range(answer.count)
        ]
        self.grid.set_pixels(answer.images, tips)
        column, row = (int(np.argmin(np.abs(values - axes.sigmas(query.z, dim)))) for dim in (query.x, query.y))
        self.grid.choose((answer.count - 1 - row) * answer.count + column)

    def cell_z(self, index: int) -> np.ndarray | None:
        """The z [D] of a picture of the plane."""
        query, axes = self._query, self.axes
        if query is None or axes is None:
            return None
        values = np.linspace(-SPAN, SPAN, COUNT)
        z = axes.with_sigmas(query.z, query.y, values[COUNT - 1 - index // COUNT])
        return axes.with_sigmas(z, query.x, values[index % COUNT])

    def take_cell(self, index: int) -> None:
        """Go to the z of a picture."""
        z, position = self.cell_z(index), self.history.current
        if z is not None and position is not None:
            self.history.move(position.moved_to(z), "choice on the grid")

    def export_picture(self, scale: int) -> QImage:
        return strip_picture(self.grid, scale)

    def export_details(self) -> dict[str, object]:
        if self._query is None:
            return {}
        return {"grid_dimensions": [self._query.x, self._query.y], "grid_span": SPAN, "decode": self._decode}

    def set_colors(self, c: Colors) -> None:
        self.grid.set_colors(c)
