"""What the colours and markers of a map's points stand for: classes with their numbers, or a scale with its unit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.panes.embedding.raster import SHAPES, shape_of
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import CATEGORIES, DARK, Colors, font
from app.widgets.colors import shade
from app.widgets.heat import viridis
from app.widgets.image_view import to_qimage
from app.widgets.parts import short

ROW = 21  # pixels
SIGN = 9  # pixels of a marker


@dataclass(frozen=True, eq=False)
class ColorClasses:
    """Points by category: class numbers, -1 for none."""

    title: str
    values: np.ndarray  # int64 [N]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ColorScale:
    """Points by a quantity. What lies outside `low` and `high` has the colour of the nearer end."""

    title: str
    values: np.ndarray  # float [N]
    unit: str = ""
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        known = self.values[np.isfinite(self.values)]
        low, high = np.percentile(known, (1, 99)) if len(known) else (0.0, 1.0)
        object.__setattr__(self, "low", float(low))
        object.__setattr__(self, "high", float(high) if high > low else float(low) + 1.0)


def class_color(place: int, c: Colors) -> QColor:
    return shade(CATEGORIES[place % len(CATEGORIES)], c)


def class_shape(place: int) -> QPolygonF:
    """The marker of a category, around (0, 0), as the map draws it."""
    corners = list(SHAPES.values())[int(shape_of(np.array([place]), len(CATEGORIES))[0])]
    return QPolygonF([QPointF(x * SIGN, y * SIGN) for x, y in corners.tolist()])


def rgb_of(color: QColor) -> tuple[int, int, int]:
    return color.red(), color.green(), color.blue()


def look_of(colors: ColorClasses | ColorScale, c: Colors) -> tuple[np.ndarray, np.ndarray | None]:
    """uint8 [N, 3] and the categories of the markers, int [N] or None where all are dots. What has no value is grey."""
    grey = rgb_of(QColor(c.muted))
    if isinstance(colors, ColorScale):
        known = np.isfinite(colors.values)
        rgb = viridis((colors.values - colors.low) / (colors.high - colors.low))
        rgb[~known] = grey
        return rgb, None
    table = np.array([rgb_of(class_color(place, c)) for place in range(len(colors.names))] + [grey], np.uint8)
    values = np.where((colors.values >= 0) & (colors.values < len(colors.names)), colors.values, len(colors.names))
    return table[values], np.maximum(colors.values, 0)


class MapLegend(QWidget):
    """`toggled(category, add)`: look at this category only, or at it besides the others."""

    toggled = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__()
        self.colors: ColorClasses | ColorScale | None = None
        self.counts = np.zeros(0, np.int64)
        self.inside: np.ndarray | None = None  # how many of each are selected
        self.chosen: frozenset[int] = frozenset()
        self.current = -1  # row of the keyboard
        self._c = DARK
        self._strip = to_qimage(viridis(np.linspace(0, 1, 128))[None])
        self.setFont(font(12))
        self.setAccessibleName("Legend of the map")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def show_colors(self, colors: ColorClasses | ColorScale | None) -> None:
        self.colors, self.chosen, self.inside, self.current = colors, frozenset(), None, -1
        if isinstance(colors, ColorClasses):
            self.counts = np.bincount(colors.values[colors.values >= 0], minlength=len(colors.names))
            told = [f"{name}: {count(int(n))}" for name, n in zip(colors.names, self.counts, strict=False)]
            self.setAccessibleDescription(", ".join(told))
            set_tip(self, "Click a class to see it alone, with Ctrl or Shift several; again: all.")
        elif colors is not None:
            self.setAccessibleDescription(f"from {short(colors.low)} to {short(colors.high)} {colors.unit}")
            set_tip(self, "From the lowest to the highest hundredth; what lies beyond has the colour of the end.")
        self.setFixedHeight(self.sizeHint().height())
        self.update()

    def show_selected(self, selected: np.ndarray | None, chosen: frozenset[int] = frozenset()) -> None:
        """bool [N]: how many of each category are among them; `chosen` were chosen here."""
        self.chosen, self.inside = chosen, None
        if isinstance(self.colors, ColorClasses) and selected is not None:
            values = self.colors.values[selected]
            self.inside = np.bincount(values[values >= 0], minlength=len(self.colors.names))
        self.update()

    def sizeHint(self) -> QSize:
        rows = len(self.colors.names) if isinstance(self.colors, ColorClasses) else 2
        return QSize(180, max(rows, 1) * ROW)

    # mouse and keyboard

    def rows(self) -> int:
        return len(self.colors.names) if isinstance(self.colors, ColorClasses) else 0

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = int(event.position().y() // ROW)
        if event.button() == Qt.MouseButton.LeftButton and 0 <= row < self.rows():
            self.current = row
            held = event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
            self.toggled.emit(row, bool(held))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if step is not None and self.rows():
            self.current = min(max(self.current + step, 0), self.rows() - 1)
            self.update()
        elif event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and 0 <= self.current < self.rows():
            self.toggled.emit(self.current, bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: object) -> None:
        self.update()

    def focusOutEvent(self, event: object) -> None:
        self.update()

    # drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.draw(painter, self.width())
        if self.hasFocus():
            place = QRectF(0, max(self.current, 0) * ROW, self.width(), ROW) if self.rows() and self.current >= 0 else QRectF(self.rect())
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self._c.accent), 1))
            painter.drawRoundedRect(place.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)

    def draw(self, painter: QPainter, width: int) -> None:
        """From the painter's origin on, `width` pixels wide."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(self.colors, ColorClasses):
            for row in range(self.rows()):
                self._draw_row(painter, row, self.colors.names[row], width)
        elif self.colors is not None:
            self._draw_scale(painter, self.colors, width)

    def _draw_row(self, painter: QPainter, row: int, name: str, width: int) -> None:
        c, top = self._c, row * ROW
        aside = bool(self.chosen) and row not in self.chosen
        if row in self.chosen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.raised))
            painter.drawRoundedRect(QRectF(0, top, width, ROW), 4, 4)
        painter.setOpacity(0.35 if aside else 1.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(class_color(row, c))
        painter.drawPolygon(class_shape(row).translated(10, top + ROW / 2))
        painter.setOpacity(1.0)
        total = count(int(self.counts[row]))
        figure = total if self.inside is None else f"{count(int(self.inside[row]))} of {total}"
        metrics = painter.fontMetrics()
        wide = metrics.horizontalAdvance(figure) + 2
        painter.setPen(QColor(c.muted))
        painter.drawText(QRectF(width - wide - 4, top, wide, ROW), Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure)
        painter.setPen(QColor(c.muted if aside else c.text))
        room = width - wide - 32
        text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(22, top, room, ROW), Qt.AlignmentFlag.AlignVCenter, text)

    def _draw_scale(self, painter: QPainter, scale: ColorScale, width: int) -> None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(1, 5, width - 2, 10), self._strip)
        painter.setPen(QColor(self._c.muted))
        line = QRectF(1, ROW, width - 2, ROW)
        unit = f" {scale.unit}" if scale.unit else ""
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, f"{short(scale.low)}{unit}")
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{short(scale.high)}{unit}")
