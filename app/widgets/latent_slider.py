"""One latent dimension as a slider in units of sigma: name, KL, track and value in one painted row.

A `QSlider` underneath, so keyboard and screen readers work; only its looks and its mouse are ours.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QSlider

from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.colors import mixed
from app.widgets.parts import signed

STEPS = 100  # slider positions per unit
LEFT = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
RIGHT = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight


class LatentSlider(QSlider):
    """Values are floats in [-span, span] (or [low, high]); `moved(value)` comes for moves by the user only.

    `released` ends a move: whatever happens between `pressed` and `released` is one change to undo.
    """

    moved = Signal(float)
    reset_asked = Signal()

    def __init__(self, low: float = -3.0, high: float = 3.0, *, label_width: int = 84, value_width: int = 60) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.low, self.high = low, high
        self.setRange(round(low * STEPS), round(high * STEPS))
        self.setSingleStep(STEPS // 20)
        self.setPageStep(STEPS // 2)
        self.label, self.note, self.unit = "", "", "σ"
        self.dead = False
        self.exact = 0.0  # the shown value; may lie outside the range
        self.label_width, self.value_width = label_width, value_width
        self.with_sign = True
        self.digits = 2  # of the value, where it has no sign
        self._ours = False
        self._small = font(11)
        self.set_colors(DARK)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(25)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.valueChanged.connect(self._value_changed)
        self.setFont(font())

    def sizeHint(self) -> QSize:
        return QSize(320, 25)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.label_width + self.value_width + 60, 25)

    def set_colors(self, c: Colors) -> None:
        self._c = {name: QColor(getattr(c, name)) for name in ("text", "muted", "accent", "line")}
        self._card = QColor(c.background)
        self.update()

    def describe(self, label: str, note: str, *, dead: bool = False, tip: str = "") -> None:
        self.label, self.note, self.dead = label, note, dead
        self.setAccessibleName(f"{label} {note}".strip())
        set_tip(self, tip)
        self.update()

    def needed_label_width(self) -> int:
        """Pixels of name and note, with a gap before the track."""
        note = QFontMetrics(self._small).horizontalAdvance(self.note) if self.note else 0
        return self.fontMetrics().horizontalAdvance(self.label) + 4 + note + 8

    def set_label_width(self, width: int) -> None:
        if width != self.label_width:
            self.label_width = width
            self.updateGeometry()
            self.update()

    def set_exact(self, value: float) -> None:
        """Show a value without telling anyone."""
        if value == self.exact and self.value() == self._clipped(value):
            return
        self.exact = value
        self._ours = True
        self.setValue(self._clipped(value))
        self._ours = False
        self.update()

    def _clipped(self, value: float) -> int:
        return round(min(max(value, self.low), self.high) * STEPS)

    def _value_changed(self, position: int) -> None:
        if self._ours:
            return
        self.exact = position / STEPS
        self.update()
        self.moved.emit(self.exact)

    # mouse: anywhere on the row takes the knob there

    def _track(self) -> QRectF:
        return QRectF(self.label_width, self.height() / 2 - 2, max(self.width() - self.label_width - self.value_width, 20), 4)

    def _go(self, x: float) -> None:
        track = self._track()
        share = min(max((x - track.left()) / track.width(), 0.0), 1.0)
        value = self.low + share * (self.high - self.low)
        if self.low < 0 < self.high and abs(share - 0.5) * track.width() < 2.5:
            value = 0.0  # easy to come back to the middle
        position = round(value * STEPS)
        if position == self.value() and self.exact != value:
            self._value_changed(position)
        else:
            self.setValue(position)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and event.position().x() >= self.label_width - 8:
            self.setSliderDown(True)
            self._go(event.position().x())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._go(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self.setSliderDown(False)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.setSliderDown(False)
        self.reset_asked.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # the list of sliders scrolls; a value never changes by accident

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        faint = 0.4 if self.dead or not self.isEnabled() else 1.0

        def ink(name: str, strength: float = 1.0) -> QColor:
            return mixed(self._c[name], self._card, strength * faint)

        height = self.height()
        painter.setPen(ink("muted"))
        painter.drawText(QRectF(0, 0, self.label_width, height), LEFT, self.label)
        if self.note:
            start = painter.fontMetrics().horizontalAdvance(self.label) + 4
            painter.setFont(self._small)
            painter.setPen(ink("muted"))
            painter.drawText(QRectF(start, 1, self.label_width - start, height), LEFT, self.note)
            painter.setFont(self.font())
        track = self._track()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._c["line"])
        painter.drawRoundedRect(track, 2, 2)
        share = (self._clipped(self.exact) / STEPS - self.low) / (self.high - self.low)
        knob = track.left() + share * track.width()
        painter.setBrush(ink("accent"))
        painter.drawRoundedRect(QRectF(track.left(), track.top(), knob - track.left(), track.height()), 2, 2)
        painter.setPen(QPen(self._card, 2))
        radius = 7.0 if self.isSliderDown() else 6.0
        painter.drawEllipse(QRectF(knob - radius, height / 2 - radius, 2 * radius, 2 * radius))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._c["accent"], 1.5))
            painter.drawEllipse(QRectF(knob - 9, height / 2 - 9, 18, 18))
        painter.setPen(ink("muted"))
        text = signed(self.exact) + self.unit if self.with_sign else f"{self.exact:.{self.digits}f}{self.unit}"
        painter.drawText(QRectF(self.width() - self.value_width, 0, self.value_width, height), RIGHT, text)
