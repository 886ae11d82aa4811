"""Bits per pixel as a picture in viridis, with a legend that says what the colours are worth. Bright pixels surprised the model."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QHelpEvent, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell.formatting import number
from app.shell.plain_text import show_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.heat import viridis
from app.widgets.image_view import ImageView, fitted

UNIT = "bit"


def span(bits: np.ndarray) -> tuple[float, float]:
    """From where to where the colours go: from 0 (or the lowest, when it is negative) to the highest finite value."""
    good = bits[np.isfinite(bits)]
    low = min(0.0, float(good.min())) if good.size else 0.0
    high = float(good.max()) if good.size else 1.0
    return low, high if high > low else low + 1.0


def colored(bits: np.ndarray, low: float, high: float) -> np.ndarray:
    """[H, W] -> uint8 [H, W, 3]; what is infinite or no number is drawn as the highest."""
    level = np.nan_to_num((bits - low) / (high - low), nan=1.0, posinf=1.0, neginf=0.0)
    return viridis(level)


class HeatMap(ImageView):
    """The map; a tooltip says each pixel's bits."""

    def __init__(self, hint: str = "") -> None:
        super().__init__("Bits per pixel", hint)
        self.bits: np.ndarray | None = None

    def set_bits(self, bits: np.ndarray | None) -> None:
        """Float [H, W]."""
        self.bits = None if bits is None else np.asarray(bits, np.float64)
        if self.bits is None:
            self.set_image(None)
            self.setAccessibleDescription(self.hint)
            return
        pixels = np.ascontiguousarray(colored(self.bits, *span(self.bits)))
        height, width = pixels.shape[:2]
        self.set_image(QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy())
        good = self.bits[np.isfinite(self.bits)]
        if good.size:
            self.setAccessibleDescription(
                f"{number(float(good.sum()), 1, UNIT)} in all, at most {number(float(good.max()), 2, UNIT)} a pixel"
            )

    def at(self, point: QPoint) -> tuple[int, int] | None:
        """Row and column of the pixel under a point."""
        if self.bits is None or self.image is None:
            return None
        place = fitted(self.image.size(), QRectF(self.rect()))
        column = int((point.x() - place.left()) / place.width() * self.image.width())
        row = int((point.y() - place.top()) / place.height() * self.image.height())
        inside = place.contains(point) and 0 <= row < self.bits.shape[0] and 0 <= column < self.bits.shape[1]
        return (row, column) if inside else None

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self.at(event.pos())
            if found is not None and self.bits is not None:
                row, column = found
                show_tip(event.globalPos(), f"row {row}, column {column}: {number(float(self.bits[row, column]), 2, UNIT)}", self)
                return True
        return super().event(event)


class BitsLegend(QWidget):
    """The colours from least to most, with their bits per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = 0.0, 0.0
        self.setFont(font(11))
        self.setFixedHeight(16)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Legend of the bits per pixel")
        self.set_colors(DARK)

    def set_colors(self, c: Colors) -> None:
        self._muted = QColor(c.muted)
        self.update()

    def set_bits(self, bits: np.ndarray | None) -> None:
        self.low, self.high = (0.0, 0.0) if bits is None else span(np.asarray(bits, np.float64))
        self.setAccessibleDescription("" if bits is None else f"from {number(self.low, 0)} to {number(self.high, 1)} bits per pixel")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.high <= self.low:
            return
        painter = QPainter(self)
        metrics = painter.fontMetrics()
        low, high = number(self.low, 0 if self.low == 0 else 1), f"{number(self.high, 1)} {UNIT}"
        left, right = metrics.horizontalAdvance(low) + 5, metrics.horizontalAdvance(high) + 5
        bar = QRectF(left, self.height() / 2 - 3, max(self.width() - left - right, 8), 6)
        strip = np.ascontiguousarray(viridis(np.linspace(0, 1, 256))[None])
        painter.drawImage(bar, QImage(strip.data, 256, 1, 768, QImage.Format.Format_RGB888))
        painter.setPen(self._muted)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(self.rect(), middle | Qt.AlignmentFlag.AlignLeft, low)
        painter.drawText(self.rect(), middle | Qt.AlignmentFlag.AlignRight, high)
