"""Pictures as the Latent pane shows and exports them: a square place for one, tiles of strips under each other."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView


class SquareImageView(ImageView):
    """A picture whose place is a square."""

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return width


def strip_picture(strip: ImageStrip, scale: int) -> QImage:
    """All tiles of a strip, each enlarged by whole factors to about 64 pixels times `scale`; null when it has none."""
    if not strip.images:
        return QImage()
    width = strip.images[0].width()
    return strip.picture(width * max(1, 64 // width) * scale)


def stacked(images: list[QImage], gap: int = 4) -> QImage:
    """Images under each other; null when none has pixels."""
    images = [image for image in images if not image.isNull()]
    if not images:
        return QImage()
    out = QImage(max(image.width() for image in images), sum(image.height() + gap for image in images) - gap, QImage.Format.Format_RGB32)
    out.fill(Qt.GlobalColor.black)
    painter = QPainter(out)
    top = 0
    for image in images:
        painter.drawImage(QRectF(0, top, image.width(), image.height()), image)
        top += image.height() + gap
    painter.end()
    return out
