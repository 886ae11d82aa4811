"""One small image, large: square pixels stay square pixels. Also the one conversion from arrays to Qt images."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell.theme import DARK, Colors

HINT_MARGIN = 8  # pixels around a hint


def to_qimage(pixels: np.ndarray) -> QImage:
    """uint8 [C, H, W] (one or three channels) or [H, W] or [H, W, 3] -> a QImage that owns its pixels."""
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3) and pixels.shape[-1] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    height, width = pixels.shape[:2]
    form = QImage.Format.Format_Grayscale8 if pixels.ndim == 2 else QImage.Format.Format_RGB888
    return QImage(pixels.data, width, height, pixels.strides[0], form).copy()


def chw_to_qimage(pixels: np.ndarray) -> QImage:
    """uint8 [C, H, W] -> QImage; never guesses the order of the axes."""
    return to_qimage(pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0))


def enlarged(image: QImage, factor: int) -> QImage:
    """Every pixel becomes factor x factor equal pixels."""
    return image.scaled(
        image.width() * factor, image.height() * factor, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.FastTransformation
    )


class ImageView(QWidget):
    """A picture that fills its place, nearest neighbour, corners rounded a little."""

    clicked = Signal()

    def __init__(self, name: str, hint: str = "") -> None:
        super().__init__()
        self.image: QImage | None = None
        self.hint = hint
        self.set_colors(DARK)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(48, 48)
        self.painted = 0  # how often it has been drawn

    def sizeHint(self) -> QSize:
        return QSize(256, 256)

    def set_colors(self, c: Colors) -> None:
        self._line, self._muted = QColor(c.line), QColor(c.muted)
        self.update()

    def set_pixels(self, pixels: np.ndarray | None) -> None:
        """uint8 [C, H, W]; only the picture is repainted, nothing is laid out."""
        self.image = None if pixels is None else chw_to_qimage(pixels)
        self.update()

    def hint_height(self, width: int) -> int:
        """Pixels that the hint needs to be read whole at this width."""
        around = QRect(0, 0, max(width - 2 * HINT_MARGIN, 1), 10_000)
        return self.fontMetrics().boundingRect(around, Qt.TextFlag.TextWordWrap.value, self.hint).height() + 2 * HINT_MARGIN + 2

    def set_image(self, image: QImage | None) -> None:
        self.image = image
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        self.painted += 1
        painter = QPainter(self)
        place = QRectF(self.rect())
        if self.image is None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self._line, 1, Qt.PenStyle.DashLine))
            painter.drawRoundedRect(place.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
            painter.setPen(self._muted)
            painter.drawText(
                place.adjusted(HINT_MARGIN, HINT_MARGIN, -HINT_MARGIN, -HINT_MARGIN),
                Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap,
                self.hint,
            )
            return
        target = fitted(self.image.size(), place)
        path = QPainterPath()
        path.addRoundedRect(target, 6, 6)
        painter.setClipPath(path)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.image.width() > target.width())
        painter.drawImage(target, self.image)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()


def fitted(size: QSize, place: QRectF) -> QRectF:
    """The largest rectangle of the same shape in the middle of `place`."""
    factor = min(place.width() / max(size.width(), 1), place.height() / max(size.height(), 1))
    width, height = size.width() * factor, size.height() * factor
    return QRectF(place.topLeft() + QPointF((place.width() - width) / 2, (place.height() - height) / 2), QRectF(0, 0, width, height).size())
