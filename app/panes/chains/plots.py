"""The density with the chains on it, and the traces of both coordinates."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, contrast, font
from app.widgets.chart import LEFT, MIDDLE, figures, ticks
from app.widgets.colors import mixed
from app.widgets.image_view import to_qimage
from app.widgets.line_chart import LineChart
from engine.messages import ChainsBegan

STRONGEST = 0.9  # share of the accent in the innermost band
MASSES = (0.99, 0.9, 0.7, 0.5, 0.3, 0.1)  # of the probability, that the bands hold together, from the outside in
TAIL = 40  # last steps whose way is drawn
MOST_POINTS = 3000  # of all chains, drawn as dots
MOST_TRACE = 500  # places of a trace

KEY_ROW, SWATCH = 18, 18  # pixels: a row of the key, and a colour with the gap behind it


def band_levels(log_p: np.ndarray) -> np.ndarray:
    """log p at the edges of the regions of highest density that hold `MASSES`, of log p on a grid."""
    order = np.sort(log_p, axis=None)[::-1].astype(np.float64)
    mass = np.exp(order - order[0]).cumsum()
    return np.array([order[min(np.searchsorted(mass, share * mass[-1]), len(order) - 1)] for share in MASSES])


def band_inks(c: Colors) -> list[QColor]:
    """From the paper outside to nearly the accent in the innermost band: each as far from the next in contrast (WCAG's ratio)."""
    paper, ink = QColor(c.background), QColor(c.accent)
    mixtures = [mixed(ink, paper, share / 200) for share in range(round(200 * STRONGEST) + 1)]
    reached = np.log([contrast(one.name(), c.background) for one in mixtures])
    wanted = reached[-1] * np.arange(len(MASSES) + 1) / len(MASSES)
    return [mixtures[int(place)] for place in np.abs(reached[None] - wanted[:, None]).argmin(1)]


def band_image(log_p: np.ndarray, c: Colors) -> QImage:
    """The bands in ever stronger accent, uint8 [rows, columns, 3]."""
    bands = (log_p[..., None] >= band_levels(log_p)).sum(-1)  # 0 outside, 6 at the peak
    table = np.array([(one.red(), one.green(), one.blue()) for one in band_inks(c)], np.uint8)
    return to_qimage(table[bands])


class BandKey(QWidget):
    """Which colour holds how much of the probability, from the outside in."""

    def __init__(self) -> None:
        super().__init__()
        self.setFont(font(11))
        self.setFixedHeight(KEY_ROW)
        self.setMinimumWidth(120)
        self.setAccessibleName("The bands hold " + ", ".join(f"{share:.0%}" for share in MASSES) + " of the probability")
        set_tip(self, "Regions of highest density, from the outside in, and how much of the probability each holds.")
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(340, KEY_ROW)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def places(self) -> list[tuple[str, QRectF]]:
        """Every word with its place, its swatch included; what has no room goes on in the next row."""
        metrics = QFontMetrics(self.font())
        words = ["bands hold", *(f"{100 * share:.0f} %" for share in MASSES)]
        widths = [metrics.horizontalAdvance(word) + 1 + (SWATCH if place else 0) for place, word in enumerate(words)]
        gap = min(10.0, max(2.0, (self.width() - sum(widths)) / (len(words) - 1)))
        found: list[tuple[str, QRectF]] = []
        left, top = 0.0, 0
        for word, wide in zip(words, widths, strict=True):
            if found and left + wide > self.width():
                left, top = 0.0, top + KEY_ROW
            found.append((word, QRectF(left, top, wide, KEY_ROW)))
            left += wide + gap
        return found

    def resizeEvent(self, event: QResizeEvent) -> None:
        height = round(self.places()[-1][1].bottom())
        if height != self.height():
            self.setFixedHeight(height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        inks = [None, *band_inks(self._c)[1:]]
        for (word, place), ink in zip(self.places(), inks, strict=True):
            if ink is not None:
                painter.fillRect(QRectF(place.left(), place.top() + 3, SWATCH - 4, 12), ink)
            painter.setPen(QColor(self._c.muted))
            painter.drawText(place.adjusted(SWATCH if ink is not None else 0, 0, 0, 0), MIDDLE | LEFT, word)


class ChainPlane(LineChart):
    """Call `set_density` and `set_chains`. The bands hold 99, 90, 70, 50, 30 and 10 % of the probability."""

    def __init__(self) -> None:
        self.began: ChainsBegan | None = None
        self.walks = np.zeros((0, 1, 2))
        self._bands: QImage | None = None
        super().__init__("Chains on their density")
        self.setMinimumSize(140, 96)

    def set_colors(self, c: Colors) -> None:
        self._bands = None
        super().set_colors(c)

    def set_density(self, began: ChainsBegan | None) -> None:
        if began is not self.began:
            self.began, self._bands = began, None
            if began is not None:
                self.low, self.high, self.bottom, self.top = began.extent
            self.update()

    def set_chains(self, x: np.ndarray) -> None:
        """Where C chains were, [C, 1 + steps, 2]."""
        self.walks = x
        places = "; ".join(f"chain {i + 1} at {own[-1, 0]:.2f}, {own[-1, 1]:.2f}" for i, own in enumerate(x))
        self.setAccessibleDescription(f"After {x.shape[1] - 1} steps: {places}" if len(x) else "")
        self.update()

    def frame(self) -> QSizeF:
        """What axes and margins take of the chart."""
        whole = QRectF(0, 0, 1000, 1000)
        return whole.size() - self.room(whole).size()

    @staticmethod
    def room(whole: QRectF) -> QRectF:
        """Of a chart, within its axes and their figures."""
        return whole.adjusted(44, 8, -10, -22)

    def plot(self) -> QRectF:
        """As large as fits with both axes in one scale, so that a ring is round."""
        room = self.room(QRectF(self.rect()))
        scale = min(room.width() / (self.high - self.low), room.height() / (self.top - self.bottom))
        wide, high = scale * (self.high - self.low), scale * (self.top - self.bottom)
        return QRectF(room.center().x() - wide / 2, room.top(), wide, high)

    def draw(self, painter: QPainter) -> None:
        if self.began is None:
            self.draw_hint(painter, "The chains come in a moment.")
            return
        if self._bands is None:
            self._bands = band_image(self.began.log_p, self._c)
        place = self.plot()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(place, self._bands)
        self._axes(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.save()
        painter.setClipRect(place)
        for number, own in enumerate(self.walks):
            self._dots(painter, number, own)
        for number, own in enumerate(self.walks):
            dashes = (3, 2) if self.repeats(number) else None
            self.draw_line(painter, self.pen(self.color(number), 1.2, dashes), self._points(own[-TAIL:]))
        for number, own in enumerate(self.walks):
            for size, ink in ((14, QColor(self._c.background)), (10, self.color(number))):  # a rim, so that it stands out
                self.draw_markers(painter, self.marker(number), ink, size, self._points(own[-1:]))
        painter.restore()

    def _axes(self, painter: QPainter) -> None:
        place, c = self.plot(), self._c
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QColor(c.line))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(place)
        across = ticks(self.low, self.high, max(2, int(place.width() // 60)))
        for value, text in zip(across, figures(across), strict=True):
            painter.setPen(QColor(c.muted))
            wide = metrics.horizontalAdvance(text)
            painter.drawText(QRectF(self.to_x(value) - wide / 2, place.bottom() + 4, wide + 1, metrics.height()), LEFT, text)
        upwards = ticks(self.bottom, self.top, max(2, int(place.height() // 32)))
        for value, text in zip(upwards, figures(upwards), strict=True):
            line = QRectF(place.left() - 46, self.to_y(value) - 8, 40, 16)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | MIDDLE, text)

    def _points(self, own: np.ndarray) -> list[QPointF]:
        place = self.plot()
        left = place.left() + (own[:, 0] - self.low) / (self.high - self.low) * place.width()
        top = place.bottom() - (own[:, 1] - self.bottom) / (self.top - self.bottom) * place.height()
        return [QPointF(x, y) for x, y in zip(np.clip(left, -1e4, 1e4).tolist(), np.clip(top, -1e4, 1e4).tolist(), strict=True)]

    def _dots(self, painter: QPainter, number: int, own: np.ndarray) -> None:
        stride = max(1, own.shape[0] * len(self.walks) // MOST_POINTS)
        ink = self.color(number)
        ink.setAlpha(150)
        painter.setPen(QPen(ink, 2.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawPoints(self._points(own[::stride]))

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """The steps that are seen, as header and rows of a CSV; step 0 is the start."""
        rows: list[tuple[object, ...]] = [
            (c + 1, t, repr(x), repr(y)) for c, own in enumerate(self.walks) for t, (x, y) in enumerate(own.tolist())
        ]
        return ("chain", "step", "x", "y"), rows


class ChainTraces(LineChart):
    """One coordinate of all chains over the steps, with the exact mean and one deviation each way. Call `set_traces`."""

    def __init__(self, axis: int, name: str) -> None:
        self.axis, self.coordinate = axis, name
        self.walks = np.zeros((0, 1, 2))
        self.began: ChainsBegan | None = None
        super().__init__(f"Trace of {name}")
        self.setMinimumSize(190, 44)

    def set_traces(self, x: np.ndarray, began: ChainsBegan | None) -> None:
        self.walks, self.began = x, began
        if began is not None:
            self.low, self.high = 0.0, float(max(1, began.steps))
            left, right, bottom, top = began.extent
            self.bottom, self.top = (left, right) if self.axis == 0 else (bottom, top)
        self.update()

    def plot(self) -> QRectF:
        left = self.left_room()
        return QRectF(left, 6, max(self.width() - left - 10, 20), max(self.height() - 24, 20))

    def names_below(self, metrics: QFontMetrics) -> list[tuple[str, float]]:
        """What stands below the axis, and where it begins; less where there is no room for all of it."""
        assert self.began is not None
        place, end = self.plot(), f"to {count(self.began.steps)}"
        right = place.right() - metrics.horizontalAdvance(end)
        for begin in (f"{self.coordinate} over steps, from 0", f"{self.coordinate}, step 0", self.coordinate):
            if place.left() + metrics.horizontalAdvance(begin) + 6 <= right:
                break
        return [(begin, place.left()), (end, right)]

    def draw(self, painter: QPainter) -> None:
        if self.began is None:
            return
        place, c = self.plot(), self._c
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        self.draw_upright_axis(painter, 26, False)
        painter.setPen(QColor(c.muted))
        for text, left in self.names_below(metrics):
            painter.drawText(QRectF(left, place.bottom() + 2, metrics.horizontalAdvance(text) + 1, metrics.height()), LEFT, text)
        painter.save()
        painter.setClipRect(place)
        mean, deviation = self.began.mean[self.axis], self.began.deviation[self.axis]
        for level, dashes in ((mean, (6, 3)), (mean - deviation, (2, 3)), (mean + deviation, (2, 3))):
            self.draw_level(painter, self.pen(QColor(c.text), 1.0, dashes), level)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        steps = np.unique(np.linspace(0, self.walks.shape[1] - 1, MOST_TRACE).astype(int))
        for number, own in enumerate(self.walks):
            across = place.left() + steps / self.high * place.width()
            up = place.bottom() - (own[steps, self.axis] - self.bottom) / (self.top - self.bottom) * place.height()
            points = [QPointF(x, y) for x, y in zip(across.tolist(), np.clip(up, -1e4, 1e4).tolist(), strict=True)]
            ink = self.color(number)
            self.draw_line(painter, self.pen(ink, 1.0, (3, 2) if self.repeats(number) else None), points)
            self.draw_markers(painter, self.marker(number), ink, 7, points[-1:])
        painter.restore()


GAP = 6  # px between the charts
TRACE_SHARE = 1 / 6  # of the height, each trace below the density


class ChainCanvas(QWidget):
    """Density and traces: below each other, or beside each other where that shows the density larger."""

    def __init__(self, plane: ChainPlane, traces: tuple[ChainTraces, ...]) -> None:
        super().__init__()
        self.plane, self.traces = plane, traces
        self.beside = False
        for part in (plane, *traces):
            part.setParent(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(340, 150)

    def sizeHint(self) -> QSize:
        return QSize(420, 400)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.arrange()

    def arrange(self) -> None:
        """Again when the widget or the extent of the density has changed."""
        width, height = self.width(), self.height()
        across, upwards = self.plane.high - self.plane.low, self.plane.top - self.plane.bottom
        frame = self.plane.frame()
        low = max(round(TRACE_SHARE * height), self.traces[0].minimumHeight())
        below = height - len(self.traces) * (low + GAP)
        most = width - self.traces[0].minimumWidth() - GAP
        stacked = min((width - frame.width()) / across, (below - frame.height()) / upwards)
        side = min((most - frame.width()) / across, (height - frame.height()) / upwards)
        self.beside = side > stacked
        if not self.beside:
            self.plane.setGeometry(0, 0, width, below)
            for place, trace in enumerate(self.traces):
                trace.setGeometry(0, below + GAP + place * (low + GAP), width, low)
            return
        own = max(math.ceil(side * across + frame.width()), self.plane.minimumWidth())
        self.plane.setGeometry(0, 0, own, height)
        each = (height - (len(self.traces) - 1) * GAP) // len(self.traces)
        for place, trace in enumerate(self.traces):
            trace.setGeometry(own + GAP, place * (each + GAP), width - own - GAP, each)
