"""How similar an image is found to itself, the more strongly it is changed: one curve for every transform."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from app.panes.views.formatting import cosine
from app.shell.formatting import number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.chart import LEFT, MIDDLE, RIGHT
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView
from app.widgets.line_chart import LineChart
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import InvarianceMeasured, Transform

LEGEND = 208  # px
STEP = 1 / 8  # of the scale: what an arrow key moves


def strength_words(transform: Transform, share: float) -> str:
    """A strength with its unit, at a share of the most."""
    if transform.switch:
        return "on" if share >= 0.5 else "off"
    return f"{figure(transform, share)} {transform.unit}".rstrip()


def figure(transform: Transform, share: float) -> str:
    """The same without its unit."""
    return number(share * transform.most, 0 if transform.most >= 20 else 1 if transform.most > 1 else 2)


class InvariancePlot(LineChart):
    """`share` is where the line stands, from 0 to the most; a click or the arrow keys move it. The legend's lines can be clicked."""

    share_moved = Signal(float)
    transform_chosen = Signal(str)

    def __init__(self) -> None:
        self.curves: list[InvarianceMeasured] = []
        self.chosen = ""
        self.share = 1.0
        self.hint = ""
        super().__init__("Similarity against the strength of each transform; left and right move the strength, up and down the transform")
        self.setMinimumSize(420, 150)

    def set_curves(self, curves: Sequence[InvarianceMeasured], chosen: str) -> None:
        self.curves, self.chosen = list(curves), chosen
        low = min([0.0, *(float(np.nanmin(curve.cosines)) for curve in curves), *(curve.others for curve in curves)])
        self.bottom = -1.0 if low < -0.5 else -0.5 if low < 0 else 0.0
        self._describe()
        self.update()

    def set_share(self, share: float) -> None:
        self.share = float(np.clip(share, 0, 1))
        self._describe()
        self.update()

    def value(self, curve: InvarianceMeasured) -> float:
        """The cosine where the line stands."""
        return float(np.interp(self.share * curve.transform.most, curve.strengths, curve.cosines))

    def _describe(self) -> None:
        told = [f"{c.transform.name} {strength_words(c.transform, self.share)}: {cosine(self.value(c))}" for c in self.curves]
        self.setAccessibleDescription(", ".join(told))

    # where things are

    def plot(self) -> QRectF:
        return super().plot().adjusted(0, 0, -min(LEGEND, self.width() * 0.45), 0)

    def legend_row(self, place: int) -> QRectF:
        left = self.plot().right() + 14
        high = min(19.0, (self.height() - 12) / (len(self.curves) + 2))
        return QRectF(left, 6 + place * high, self.width() - left - 4, high)

    # drawing

    def draw(self, painter: QPainter) -> None:
        if not self.curves:
            self.draw_hint(painter, self.hint)
            return
        self._axes(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        others = self.curves[0].others
        self.draw_level(painter, self._others_pen(), others)
        self.draw_cursor(painter, self.share)
        for index, curve in enumerate(self.curves):
            if curve.transform.name == self.chosen:
                self._band(painter, curve, self.color(index))
        for index, curve in enumerate(self.curves):
            self._curve(painter, curve, index)
        for index, curve in enumerate(self.curves):
            self._legend(painter, index, curve)
        self._other_images(painter, others)

    def _axes(self, painter: QPainter) -> None:
        place = self.plot()
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        height = metrics.height()
        self.draw_upright_axis(painter, 32, percent=False)
        chosen = next((curve for curve in self.curves if curve.transform.name == self.chosen), None)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = self.to_x(share)
            text = number(share, 2) if chosen is None or chosen.transform.switch else figure(chosen.transform, share)
            wide = metrics.horizontalAdvance(text)
            painter.drawText(QRectF(min(max(x - wide / 2, 0), self.width() - wide), place.bottom() + 5, wide + 1, height), LEFT, text)
        name = "strength, as a share of the most"
        if chosen is not None:
            unit = f", {chosen.transform.unit}" if chosen.transform.unit else ""
            name = f"{chosen.transform.name}: off and on" if chosen.transform.switch else f"{chosen.transform.name}{unit}"
        whole = f"{name} · upwards: cosine with the unchanged image"
        self.draw_name_below(painter, whole if metrics.horizontalAdvance(whole) <= self.width() - 4 else name)

    def _points(self, curve: InvarianceMeasured, shift: np.ndarray | float = 0.0) -> list[QPointF]:
        shares = curve.strengths / curve.transform.most
        values = np.clip(curve.cosines + shift, self.bottom, self.top)
        return [QPointF(self.to_x(float(s)), self.to_y(float(v))) for s, v in zip(shares, values, strict=True)]

    def _band(self, painter: QPainter, curve: InvarianceMeasured, color: QColor) -> None:
        """One deviation over the draws, either way."""
        fill = QColor(color)
        fill.setAlpha(50)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawPolygon(QPolygonF(self._points(curve, curve.deviations) + self._points(curve, -curve.deviations)[::-1]))

    def _pen(self, index: int, dashes: tuple[float, float]) -> QPen:
        width = 2.6 if self.curves[index].transform.name == self.chosen else 1.3
        return self.pen(self.color(index), width, dashes if self.repeats(index) else None)

    def _others_pen(self) -> QPen:
        return self.pen(QColor(self._c.muted), 1, (2, 3))

    def _curve(self, painter: QPainter, curve: InvarianceMeasured, index: int) -> None:
        pen, points = self._pen(index, (4, 3)), self._points(curve)
        if not curve.transform.switch:  # there is nothing between off and on
            self.draw_line(painter, pen, points)
        self.draw_markers(painter, self.marker(index), pen.color(), 6, points)

    def _legend(self, painter: QPainter, index: int, curve: InvarianceMeasured) -> None:
        row, chosen = self.legend_row(index), curve.transform.name == self.chosen
        self.draw_sample(painter, self._pen(index, (3, 2)), QPointF(row.left(), row.center().y()), self.marker(index))
        painter.setFont(self._small)
        value = cosine(self.value(curve))
        wide = painter.fontMetrics().horizontalAdvance("−0.00") + 6
        painter.setPen(QColor(self._c.text))
        painter.drawText(row, RIGHT | MIDDLE, value)
        text = curve.transform.name if curve.transform.switch else f"{curve.transform.name} {self._shortly(curve.transform)}"
        text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(row.width() - 24 - wide))
        painter.setPen(QColor(self._c.text if chosen else self._c.muted))
        painter.drawText(row.adjusted(24, 0, -wide, 0), LEFT | MIDDLE, text)

    def _shortly(self, transform: Transform) -> str:
        sign = {"degrees": "°", "pixels": " px"}.get(transform.unit, "")
        return figure(transform, self.share) + sign

    def _other_images(self, painter: QPainter, others: float) -> None:
        row = self.legend_row(len(self.curves))
        self.draw_sample(painter, self._others_pen(), QPointF(row.left(), row.center().y()))
        painter.drawText(row, RIGHT | MIDDLE, cosine(others))
        painter.drawText(row.adjusted(24, 0, 0, 0), LEFT | MIDDLE, "other images")

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        for index, curve in enumerate(self.curves):
            if self.legend_row(index).contains(event.position()):
                self.transform_chosen.emit(curve.transform.name)
                return
        self._move(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._move(event)

    def _move(self, event: QMouseEvent) -> None:
        if self.curves and event.position().x() <= self.plot().right() + 8:
            self.share_moved.emit(float(np.clip(self.from_x(event.position().x()), 0, 1)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        names = [curve.transform.name for curve in self.curves]
        along = {Qt.Key.Key_Left: -STEP, Qt.Key.Key_Right: STEP}
        between = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        if names and key in along:
            self.share_moved.emit(float(np.clip(self.share + along[key], 0, 1)))
        elif names and key in between:
            place = names.index(self.chosen) if self.chosen in names else 0
            self.transform_chosen.emit(names[(place + between[key]) % len(names)])
        else:
            super().keyPressEvent(event)

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the CSV."""
        rows: list[list[object]] = []
        for curve in self.curves:
            for values in zip(curve.strengths, curve.cosines, curve.deviations, strict=True):
                rows.append([curve.transform.name, curve.transform.unit, *(float(f"{value:.6g}") for value in values)])
        return ["transform", "unit", "strength", "cosine", "deviation"], rows


class StrengthStrip(ImageStrip):
    """One row that gets lower where there is little height."""

    def hasHeightForWidth(self) -> bool:
        return False


class InvariancePage(QWidget):
    open_asked = Signal()
    another_asked = Signal()
    by_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.curves: dict[str, InvarianceMeasured] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(12)
        self.picture = ImageView("The image that is changed", "Drop an image here")
        self.picture.setFixedSize(88, 88)
        row.addWidget(self.picture)
        words = QVBoxLayout()
        words.setSpacing(6)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(button("Open image…", self.open_asked.emit, "Measure an image of your own; dropping one does the same."))
        buttons.addWidget(button("Another validation image", self.another_asked.emit, "Take the next image of the run’s validation split."))
        buttons.addSpacing(8)
        buttons.addWidget(muted("compare", wrap=False))
        self.by = QComboBox()
        self.by.setAccessibleName("What is compared")
        self.by.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.by.setMinimumWidth(120)
        set_tip(self.by, "Projections are what the loss compares; features are what is kept after the training.")
        self.by.activated.connect(lambda _index: self.by_chosen.emit(self.by.currentText()))
        buttons.addWidget(self.by)
        buttons.addStretch(1)
        words.addLayout(buttons)
        self.said = TextLines(3, "The image and the chosen transform", small=True)
        words.addWidget(self.said)
        row.addLayout(words, 1)
        column.addLayout(row)
        card = Card(12, 8)
        self.chart = InvariancePlot()
        self.chart.hint = "The curves appear here, one after the other."
        self.chart.share_moved.connect(self._share_moved)
        self.chart.transform_chosen.connect(self.choose)
        card.inside.addWidget(self.chart, 1)
        self.strip = StrengthStrip("The image at each strength of the chosen transform", columns=9, least=24, most=72, gap=4, rows=1)
        self.strip.setMinimumHeight(32)
        self.strip.setMaximumHeight(72)
        self.strip.picked.connect(self._strength_picked)
        self.strip.looked_at.connect(self._strength_picked)
        card.inside.addWidget(self.strip)
        column.addWidget(card, 1)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.picture, self.chart, self.strip, self.said):
            widget.set_colors(c)

    @property
    def chosen(self) -> InvarianceMeasured | None:
        return self.curves.get(self.chart.chosen) or next(iter(self.curves.values()), None)

    def clear(self) -> None:
        self.curves = {}
        self.picture.set_pixels(None)
        self._show()

    def add(self, curve: InvarianceMeasured, *, first: bool) -> None:
        """The first one of an image or a step takes the place of all that were there."""
        if first:
            self.curves = {}
        self.curves[curve.transform.name] = curve
        self.picture.set_pixels(curve.seen)
        if [self.by.itemText(index) for index in range(self.by.count())] != list(curve.choices):
            self.by.clear()
            self.by.addItems(list(curve.choices))
        self.by.setCurrentText(curve.by)
        self.by.setEnabled(len(curve.choices) > 1)
        self._show()

    def choose(self, transform: str) -> None:
        self.chart.chosen = transform
        self._show()

    def _show(self) -> None:
        chosen = self.chosen
        if chosen is None:
            self.chart.set_curves([], "")
            self.strip.set_pixels(None)
            self.said.set_text("")
            return
        self.chart.set_curves(list(self.curves.values()), chosen.transform.name)
        shares = chosen.strengths / chosen.transform.most
        tips = [
            f"{chosen.transform.name} {strength_words(chosen.transform, float(share))}: {cosine(value)}"
            for share, value in zip(shares, chosen.cosines, strict=True)
        ]
        self.strip.set_pixels(chosen.images, tips)
        self._show_words(chosen)

    def _show_words(self, chosen: InvarianceMeasured) -> None:
        share = self.chart.share
        shares = chosen.strengths / chosen.transform.most
        self.strip.choose(int(np.abs(shares - share).argmin()))
        notes = f" {' '.join(chosen.notes)}" if chosen.notes else ""
        where = f"{chosen.transform.name}, {strength_words(chosen.transform, share)}: similarity {cosine(self.chart.value(chosen))}."
        other = f"Other images have {cosine(chosen.others)} on average." if math.isfinite(chosen.others) else ""
        self.said.set_text(f"{chosen.label}.{notes} {where} {other} {chosen.transform.help}".replace("  ", " "))

    def _share_moved(self, share: float) -> None:
        self.chart.set_share(share)
        if self.chosen is not None:
            self._show_words(self.chosen)

    def _strength_picked(self, index: int) -> None:
        if self.chosen is not None:
            self._share_moved(float(self.chosen.strengths[index] / self.chosen.transform.most))
