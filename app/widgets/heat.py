"""Values as colours: the viridis map (Smith and van der Walt 2015, CC0) and the strip that explains it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell.formatting import number
from app.shell.theme import DARK, Colors, font
from app.widgets.image_view import to_qimage

# Seventeen of its colours, evenly spaced; between them the map is as good as straight.
ANCHORS = (
    "440154", "481769", "472c7a", "423f85", "3b518b", "33628d", "2c718e", "26818e", "21908c",
    "1f9f88", "27ad80", "3dbc73", "5cc862", "81d34c", "aadc31", "d5e219", "fde725",
)  # fmt: skip
TABLE = np.array([[int(color[i : i + 2], 16) for i in (0, 2, 4)] for color in ANCHORS], np.float64)  # [17, 3]


def viridis(share: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] -> uint8 [..., 3]; what lies outside is taken to the nearer end."""
    share = np.clip(np.nan_to_num(np.asarray(share, np.float64)), 0, 1)
    places = np.linspace(0, 1, len(TABLE))
    return np.stack([np.interp(share, places, TABLE[:, channel]) for channel in range(3)], axis=-1).round().astype(np.uint8)


class HeatLegend(QWidget):
    """From 0 to `most`, in a unit."""

    def __init__(self, name: str, unit: str) -> None:
        super().__init__()
        self.most, self.unit = 1.0, unit
        self.setFont(font(11))
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._strip = to_qimage(viridis(np.linspace(0, 1, 64))[None])
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(180, 18)

    def set_colors(self, c: Colors) -> None:
        self._ink = QColor(c.muted)
        self.update()

    def set_most(self, most: float) -> None:
        if most != self.most:
            self.most = most
            self.setAccessibleDescription(f"from 0 to {number(most, 1, self.unit)}")
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self._ink)
        middle = QRectF(14, 5, 84, 8)
        painter.drawText(QRectF(0, 0, 10, self.height()), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, "0")
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(middle, self._strip)
        left = middle.right() + 5
        text = number(self.most, 1, self.unit)
        painter.drawText(QRectF(left, 0, self.width() - left, self.height()), Qt.AlignmentFlag.AlignVCenter, text)
