"""How each point of a map looks: its colour, how much of it is seen, and its marker."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QColor

from app.panes.embedding.raster import mixed, packed, shape_of
from app.shell.theme import CATEGORIES, Colors
from app.widgets.colors import shade

DIMMED = 0.22  # of the colour of a point that is not selected
FAINTEST = 0.15  # of the colour of a point without any trust: it can still be found


class PointStyle:
    """What is None is alike for all points."""

    def __init__(self) -> None:
        self.inks: np.ndarray | None = None  # uint8 [N, 3]
        self.opacity: np.ndarray | None = None  # float32 [N]
        self.selected: np.ndarray | None = None  # bool [N]
        self.markers: np.ndarray | None = None  # int [N]

    def ink(self, points: int, c: Colors) -> np.ndarray:
        """The colour of every point as it is drawn, uint32 [N]: what is dimmed or distrusted is mixed with the theme's background."""
        if self.inks is None:
            ink = np.full(points, shade(CATEGORIES[0], c).rgb(), np.uint32)
        else:
            ink = packed(self.inks[:, 0], self.inks[:, 1], self.inks[:, 2])
        share = self._shares(slice(None))
        return ink if share is None else mixed(ink, QColor(c.background).rgb(), share)

    def shapes(self) -> np.ndarray | None:
        """The marker of every point as `raster.SHAPES` counts them; None: dots."""
        return None if self.markers is None else shape_of(self.markers, len(CATEGORIES))

    def share_of(self, index: int) -> float:
        """How much of a point's thumbnail is seen."""
        share = self._shares(index)
        return 1.0 if share is None else max(float(share), DIMMED)

    def _shares(self, take: slice | int) -> np.ndarray | None:
        """How much is seen of the points' colours; None: all."""
        share = None
        if self.opacity is not None:
            share = FAINTEST + (1 - FAINTEST) * np.clip(np.nan_to_num(self.opacity[take], nan=0.0), 0, 1)
        if self.selected is not None:
            dimmed = np.where(self.selected[take], np.float32(1), np.float32(DIMMED))
            share = dimmed if share is None else share * dimmed
        return share
