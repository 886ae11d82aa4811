"""Images of a classifier's answers: small pictures, each with its true class, the answer and how sure that was."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent

from app.shell.formatting import number
from app.shell.theme import Colors, font
from app.widgets.image_strip import FAINT, ImageStrip
from app.widgets.image_view import fitted
from engine.messages import ErrorImages

LINES = 2  # of text below a picture
LEAST, MOST = 64, 150  # pixels of a tile's width
PICTURE = 58  # pixels of a picture at most
GAP = 8
INSIDE = 4  # pixels between the frame of the chosen tile and its picture and text
ARROW = "→ "


class ErrorGallery(ImageStrip):
    """Call `show_page`. As `ImageStrip`, with two lines below each picture; `page_asked(±1)` by Page Up and Page Down."""

    resized = Signal()
    page_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__("Images of the answers", least=LEAST, most=MOST, gap=GAP)
        self.texts: list[tuple[str, str]] = []  # the true class, and the answer with its probability
        self._true: list[str] = []
        self.has_menu = True
        self.setFont(font(11))
        self._line = QFontMetrics(self.font()).lineSpacing()

    def set_colors(self, c: Colors) -> None:
        super().set_colors(c)
        self._text = QColor(c.text)

    def show_page(self, page: ErrorImages | None, classes: tuple[str, ...]) -> None:
        self.texts = []
        if page is None:
            self._true = []
            self.set_pixels(None)
            return
        for true, answer, sure in zip(page.labels, page.answers, page.confidence, strict=True):
            self.texts.append((classes[true], f"{ARROW}{classes[answer]} {number(100 * float(sure), 0, '%')}"))
        self._true = [true for true, _ in self.texts]
        self.set_pixels(page.images, [f"{a} {b} · {name}" for (a, b), name in zip(self.texts, page.names, strict=True)])
        self.choose(-1)

    def show_given(self, classes: dict[int, str]) -> None:
        """The classes that were given to images, by their place, stand in the place of the true ones."""
        own = self._true
        self.texts = [(f"now {classes[place]}" if place in classes else own[place], told) for place, (_, told) in enumerate(self.texts)]
        self.update()

    def fit_classes(self, classes: tuple[str, ...]) -> None:
        """Tiles as wide as the longest answer, as far as that goes."""
        metrics = QFontMetrics(self.font())
        widest = max((metrics.horizontalAdvance(f"{ARROW}{name} {number(100, 0, '%')}") for name in classes), default=0) + 2 * INSIDE + 2
        self.least = min(max(widest, LEAST), MOST)
        self.update()

    # where things are

    def picture_side(self) -> float:
        return min(self.tile() - 2 * INSIDE, PICTURE)

    def high(self) -> float:
        """Pixels of a tile with its text."""
        return self.picture_side() + 2 + LINES * self._line + 2 * INSIDE

    def place(self, index: int) -> QRectF:
        across, wide = self._across(self.width()), self.tile()
        return QRectF((index % across) * (wide + self.gap), (index // across) * (self.high() + self.gap), wide, self.high())

    def at(self, point: QPoint) -> int:
        across, wide = self._across(self.width()), self.tile() + self.gap
        column, row = int(point.x() // wide), int(point.y() // (self.high() + self.gap))
        index = row * across + column
        return index if 0 <= column < across and 0 <= index < len(self.images) and point.x() >= 0 and point.y() >= 0 else -1

    def capacity(self) -> int:
        return max(1, self._across(self.width())) * max(1, int((self.height() + self.gap) // (self.high() + self.gap)))

    def hasHeightForWidth(self) -> bool:
        return False

    def minimumSizeHint(self) -> QSize:
        return QSize(LEAST, PICTURE + LINES * self._line + 2 * INSIDE + 4)

    # drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.images:
            super().paintEvent(event)
            return
        self.painted += 1
        painter = QPainter(self)
        metrics, side = painter.fontMetrics(), self.picture_side()
        for index, image in enumerate(self.images):
            place = self.place(index)
            picture = fitted(image.size(), QRectF(place.left() + INSIDE, place.top() + INSIDE, side, side))
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > picture.width() * self.devicePixelRatioF())
            painter.setOpacity(FAINT if index in self.faint else 1.0)
            painter.drawImage(picture, image)
            painter.setOpacity(1.0)
            if index in self.marked:
                self._mark(painter, picture, self.marked[index])
            for line, (text, ink) in enumerate(zip(self.texts[index], (self._muted, self._text), strict=True)):
                painter.setPen(ink)
                top = place.top() + INSIDE + side + 2 + line * self._line
                box = QRectF(place.left() + INSIDE, top, place.width() - 2 * INSIDE, self._line)
                told = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, int(box.width()))
                painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, told)
        if 0 <= self.chosen < len(self.images):
            painter.setPen(QPen(self._accent, 2))
            painter.drawRect(self.place(self.chosen).adjusted(1, 1, -1, -1))
        elif self.hasFocus():
            painter.setPen(QPen(self._accent, 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    # events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        turn = {Qt.Key.Key_PageDown: 1, Qt.Key.Key_PageUp: -1}.get(Qt.Key(event.key()))
        if turn is None:
            super().keyPressEvent(event)
        else:
            self.page_asked.emit(turn)


def rows_of(page: ErrorImages, classes: tuple[str, ...]) -> list[list[object]]:
    """Rows of a CSV, columns as COLUMNS."""
    numbers = np.stack([page.confidence, page.p_true, page.p_second], 1)
    return [
        [
            int(page.indices[i]), page.names[i], classes[page.labels[i]], classes[page.answers[i]], float(numbers[i, 0]),
            float(numbers[i, 1]), classes[page.second[i]], float(numbers[i, 2]),
        ]
        for i in range(len(page.indices))
    ]  # fmt: skip


COLUMNS = ("index", "file", "true", "answer", "confidence", "p_true", "second", "p_second")  # as the verb `errors` writes them
