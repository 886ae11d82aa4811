"""The strip that explains values as colours along viridis."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell.formatting import number
from app.shell.theme import DARK, Colors, font
from app.widgets.image_view import to_qimage
from engine.common.viridis import viridis as viridis


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
