"""What is on screen as a picture out of the window: PNG three times as fine, and SVG and PDF with lines and letters instead of pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QPoint, QRect, QSize, QSizeF
from PySide6.QtGui import QColor, QImage, QPageSize, QPainter, QPdfWriter, QRegion
from PySide6.QtWidgets import QWidget

from app.widgets.export import png_bytes

FINE = 3  # pixels of a picture for every pixel on screen, along each side
DRAWINGS = ("svg", "pdf")  # endings of files that a figure can be saved as, beside "png"
INCH = 96  # pixels of the screen
POINT = 72 / INCH  # of paper, for a pixel
METRE = INCH / 0.0254


@dataclass(frozen=True)
class Figure:
    """Draws itself with any painter, in the screen's pixels, from (0, 0) to (width, height)."""

    width: int
    height: int
    background: str
    draw: Callable[[QPainter], object]

    def image(self, fine: int = FINE) -> QImage:
        """The figure as pixels, `fine` times as many along each side."""
        image = QImage(self.width * fine, self.height * fine, QImage.Format.Format_RGB32)
        image.fill(QColor(self.background))
        image.setDevicePixelRatio(fine)
        painter = QPainter(image)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
        self.draw(painter)
        painter.end()
        image.setDevicePixelRatio(1)
        image.setDotsPerMeterX(round(METRE * fine))
        image.setDotsPerMeterY(round(METRE * fine))
        return image

    def svg(self, about: Mapping[str, object]) -> bytes:
        """A drawing that holds `about` as its description, in JSON."""
        from PySide6.QtSvg import QSvgGenerator

        buffer = QBuffer()
        generator = QSvgGenerator()
        generator.setOutputDevice(buffer)
        generator.setResolution(INCH)
        generator.setSize(QSize(self.width, self.height))
        generator.setViewBox(QRect(0, 0, self.width, self.height))
        generator.setTitle("Priorama")
        generator.setDescription(json.dumps(about))
        self._draw_on(QPainter(generator))
        return bytes(buffer.data().data())

    def pdf(self, about: Mapping[str, object]) -> bytes:
        """One page as large as the figure; `about` is attached to it as a JSON file."""
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        writer = QPdfWriter(buffer)
        writer.setCreator("Priorama")
        writer.setResolution(INCH)
        writer.setPageSize(
            QPageSize(QSizeF(self.width, self.height) * POINT, QPageSize.Unit.Point, "", QPageSize.SizeMatchPolicy.ExactMatch)
        )
        writer.setPageMargins(QMarginsF(0, 0, 0, 0))
        writer.addFileAttachment("about.json", json.dumps(about).encode(), "application/json")
        self._draw_on(QPainter(writer))
        return bytes(buffer.data().data())

    def _draw_on(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(0, 0, self.width, self.height, QColor(self.background))
        self.draw(painter)
        painter.end()

    def contents(self, path: str, about: Mapping[str, object]) -> bytes:
        """What a file of this name holds: by its ending SVG, PDF or else PNG; it says about itself what `about` holds."""
        ending = path.rpartition(".")[2].lower()
        if ending == "svg":
            return self.svg(about)
        return self.pdf(about) if ending == "pdf" else png_bytes(self.image(), about)


def figure_of(widget: QWidget, background: str) -> Figure:
    """A widget with all that lies on it."""

    def draw(painter: QPainter) -> None:
        widget.render(painter, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)

    return Figure(widget.width(), widget.height(), background, draw)
