"""Looks at a whole window as a reader would: which texts are shortened, cut off, out of reach or too small.

It uses Qt's font metrics and the places that widgets really have, and nothing of the program's own layout.

Painted texts are seen by listening to `QPainter.drawText` and `QFontMetrics.elidedText` while the window is drawn; texts of Qt's own
widgets are measured in the rectangle that the style gives them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QModelIndex, QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontInfo, QFontMetrics, QFontMetricsF, QPainter, QTextDocument
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QCheckBox,
    QComboBox,
    QDockWidget,
    QGraphicsTextItem,
    QGraphicsView,
    QHeaderView,
    QLabel,
    QLayout,
    QLineEdit,
    QListView,
    QMainWindow,
    QMenuBar,
    QPushButton,
    QRadioButton,
    QScrollBar,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionButton,
    QStyleOptionComboBox,
    QTabBar,
    QTableView,
    QToolButton,
    QTreeView,
    QWidget,
)

SLACK = 1.5  # px by which font metrics may differ from what is drawn
LEAST_FONT = 12  # px


@dataclass(frozen=True)
class Misfit:
    """One text that cannot be read as it stands."""

    kind: str  # "elided" | "clipped" | "cut off" | "needs sideways scrolling" | "too small"
    text: str
    where: str

    def __str__(self) -> str:
        return f"{self.kind}: “{self.text}” in {self.where}"


@dataclass
class Painted:
    """What was drawn while somebody listened."""

    texts: list[tuple[Any, QRectF, QRectF, str, float]] = field(default_factory=list)  # device, wanted rect, its room, text, font px
    elided: list[tuple[str, Any]] = field(default_factory=list)  # the whole text, and who shortened it


@contextmanager
def listening() -> Iterator[Painted]:
    """Note every text that Python code draws or shortens."""
    heard = Painted()
    draw, original = QPainter.drawText, {kind: kind.elidedText for kind in (QFontMetrics, QFontMetricsF)}

    def draw_text(painter: QPainter, *arguments: Any) -> Any:
        metrics, first = QFontMetricsF(painter.font()), arguments[0]
        text = next((part for part in arguments if isinstance(part, str)), "")
        if isinstance(first, (QRect, QRectF)):
            room = QRectF(first)
            flags: Any = next((part for part in arguments[1:] if not isinstance(part, str)), 0)
            flags = int(getattr(flags, "value", flags)) if not hasattr(flags, "alignment") else int(flags.alignment().value)
            wanted = metrics.boundingRect(room, flags, text)
        elif isinstance(first, (QPoint, QPointF)):
            wanted = room = metrics.boundingRect(text).translated(QPointF(first))
        else:
            x, y = arguments[:2]
            wanted = room = metrics.boundingRect(text).translated(QPointF(x, y))
        move = painter.worldTransform()
        heard.texts.append((painter.device(), move.mapRect(wanted), move.mapRect(room), text, QFontInfo(painter.font()).pixelSize()))
        return draw(painter, *arguments)

    def shorten(kind: type) -> Any:
        def elided_text(metrics: Any, text: str, *arguments: Any) -> str:
            left = original[kind](metrics, text, *arguments)
            if left != text:
                heard.elided.append((text, sys._getframe(1).f_locals.get("self")))
            return left

        return elided_text

    QPainter.drawText = draw_text  # type: ignore[method-assign, assignment]
    for kind in original:
        kind.elidedText = shorten(kind)  # type: ignore[method-assign, attr-defined]
    try:
        yield heard
    finally:
        QPainter.drawText = draw  # type: ignore[method-assign]
        for kind, was in original.items():
            kind.elidedText = was  # type: ignore[method-assign, attr-defined]


def misfits(window: QWidget, names: Iterable[str] = (), *, sideways: bool = False) -> list[Misfit]:
    """Everything in a visible window that cannot be read. `names`: parts of texts that a user chose, which may be shortened.

    `sideways`: what can be reached by scrolling to the side counts as good, as what can be reached by scrolling down always does.
    """
    allowed = tuple(names)
    with listening() as heard:
        window.grab()
    found: list[Misfit] = []

    def say(kind: str, text: str, widget: Any) -> None:
        mine = kind == "elided" and any(name in text for name in allowed)
        if text.strip() and not mine:
            found.append(Misfit(kind, text, place_of(widget)))

    for text, painter in heard.elided:
        say("elided", text, painter)
    for device, wanted, room, text, size in heard.texts:
        if size < LEAST_FONT:
            say("too small", f"{text} ({size:g} px)", device)
        if not isinstance(device, QWidget):
            continue  # a picture that is kept and drawn later, as axes are
        if exceeds(wanted, room):
            say("clipped", text, device)
        else:
            report_reach(say, text, device, wanted, window, sideways)
    for widget in [window, *window.findChildren(QWidget)]:
        if not widget.isVisible() or widget.window() is not window or behind(widget):
            continue
        for text, wanted, rect, font in texts_of(widget):
            if QFontInfo(font).pixelSize() < LEAST_FONT:
                say("too small", f"{text} ({QFontInfo(font).pixelSize()} px)", widget)
            if wanted.width() > rect.width() + SLACK or wanted.height() > rect.height() + SLACK:
                say("clipped", text, widget)
            else:
                report_reach(say, text, widget, QRectF(rect), window, sideways)
        if is_control(widget):
            name = widget.accessibleName() or str(getattr(widget, "text", str)()) or type(widget).__name__
            report_reach(say, name, widget, QRectF(widget.rect()), window, sideways)
    return list(dict.fromkeys(found))


def overlaps(parent: QWidget) -> list[tuple[QWidget, QWidget]]:
    """Visible widgets of one layout that lie over each other; what no layout holds may lie where it likes."""
    layout = parent.layout()
    if layout is None or isinstance(parent, QMainWindow):
        return []
    laid = [widget for widget in widgets_in(layout) if widget.isVisible() and widget.parentWidget() is parent]
    slack = round(SLACK)
    return [
        (one, other)
        for place, one in enumerate(laid)
        for other in laid[place + 1 :]
        if one.geometry().adjusted(slack, slack, -slack, -slack).intersects(other.geometry())
    ]


def widgets_in(layout: QLayout) -> Iterator[QWidget]:
    """What a layout holds, and the layouts in it."""
    for item in (layout.itemAt(place) for place in range(layout.count())):
        inner, widget = (None, None) if item is None else (item.layout(), item.widget())
        if widget is not None:
            yield widget
        elif inner is not None:
            yield from widgets_in(inner)


def exceeds(wanted: QRectF, room: QRectF) -> bool:
    return wanted.width() > room.width() + SLACK or wanted.height() > room.height() + SLACK


def report_reach(say: Any, text: str, widget: QWidget, rect: QRectF, window: QWidget, sideways: bool) -> None:
    kind = reach(widget, rect, window)
    if kind and not (sideways and kind == "needs sideways scrolling"):
        say(kind, text, widget)


def reach(widget: QWidget, rect: QRectF, window: QWidget) -> str:
    """Whether a rectangle of a widget is seen, or can be scrolled to; else what is wrong."""
    aside = False
    if is_viewport(widget):  # an item view scrolls by itself what it draws: rows that are cut by the edge can be scrolled to
        rect = QRectF(rect.left(), 0, rect.width(), 1)
    while widget is not window:
        parent = widget.parentWidget()
        if parent is None:
            return ""
        area = parent.parentWidget()
        if isinstance(area, QAbstractScrollArea) and area.viewport() is parent:  # the widget is what is scrolled
            if not within(rect, QRectF(widget.rect())):
                return "cut off"
            over = rect.right() > parent.width() - widget.x() + SLACK or widget.x() + rect.left() < -SLACK
            if over and area.horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff:
                return "cut off"
            aside = aside or over
            deep = widget.height() > parent.height() and area.verticalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff
            if deep and not within(rect.translated(QPointF(widget.pos())), QRectF(parent.rect())):
                return "cut off"
            widget, rect = parent, QRectF(0, 0, parent.width(), min(parent.height(), 1))
            continue
        if not within(rect, QRectF(widget.rect())):
            return "cut off"
        rect = rect.translated(QPointF(widget.pos()))
        widget = parent
        if not within(rect, QRectF(widget.rect())):
            return "cut off"
    return "needs sideways scrolling" if aside else ""


def is_viewport(widget: QWidget) -> bool:
    area = widget.parentWidget()
    return isinstance(area, QAbstractScrollArea) and area.viewport() is widget


def within(rect: QRectF, room: QRectF) -> bool:
    return room.adjusted(-SLACK, -SLACK, SLACK, SLACK).contains(rect)


def behind(widget: QWidget) -> bool:
    """Whether it belongs to a dock that lies behind another tab: Qt lets such a dock stand out of the window, and calls it visible."""
    up: QWidget | None = widget
    while up is not None:
        if isinstance(up, QDockWidget) and up.visibleRegion().isEmpty():
            return True
        up = up.parentWidget()
    return False


def is_control(widget: QWidget) -> bool:
    """What a person clicks or types into; not the inner parts of a composed widget."""
    if (
        widget.objectName().startswith("qt_")
        or isinstance(widget, QScrollBar)
        or isinstance(widget.parentWidget(), (QAbstractScrollArea, QTabBar, QMenuBar))
    ):
        return False
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSlider)
    return isinstance(widget, kinds) or (widget.focusPolicy() != Qt.FocusPolicy.NoFocus and not isinstance(widget, QAbstractScrollArea))


def place_of(widget: Any) -> str:
    """Type and name of a widget and of what it stands in."""
    if not isinstance(widget, QWidget):
        return type(widget).__name__
    parts, up = [], widget
    while up is not None and not up.isWindow():
        if type(up).__module__.startswith("app.") or up is widget:
            parts.append(type(up).__name__)
        up = up.parentWidget()
    return " < ".join(parts)


def texts_of(widget: QWidget) -> Iterator[tuple[str, QSize, QRect, QFont]]:
    """The texts that Qt itself draws in a widget: text, the size it needs, the rectangle it has, its font."""
    own_paint = type(widget).__dict__.get("paintEvent") is not None and type(widget).__module__.startswith("app.")
    metrics, font = widget.fontMetrics(), widget.font()
    if own_paint:
        return
    if isinstance(widget, QLabel):
        yield from _label(widget)
    elif isinstance(widget, (QCheckBox, QRadioButton)):
        option = QStyleOptionButton()
        widget.initStyleOption(option)
        check = isinstance(widget, QCheckBox)
        part = QStyle.SubElement.SE_CheckBoxContents if check else QStyle.SubElement.SE_RadioButtonContents
        yield widget.text(), _size(metrics, widget.text()), widget.style().subElementRect(part, option, widget), font
    elif isinstance(widget, QPushButton):
        option = QStyleOptionButton()
        widget.initStyleOption(option)
        rect = widget.style().subElementRect(QStyle.SubElement.SE_PushButtonContents, option, widget)
        yield widget.text(), _size(metrics, widget.text()), rect.adjusted(0, -8, 0, 8).intersected(widget.rect()), font
    elif isinstance(widget, QToolButton):
        yield widget.text(), _size(metrics, widget.text()), widget.rect(), font
    elif isinstance(widget, QComboBox):
        combo = QStyleOptionComboBox()
        widget.initStyleOption(combo)
        parts = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        rect = widget.style().subControlRect(parts[0], combo, parts[1], widget)
        yield widget.currentText(), _size(metrics, widget.currentText()), rect, font
    elif isinstance(widget, QLineEdit):
        text = widget.displayText() or widget.placeholderText()
        yield text, _size(metrics, text), widget.contentsRect().adjusted(2, 0, -2, 0), font
    elif isinstance(widget, QTabBar):
        for i in range(widget.count()):
            if widget.isTabVisible(i):
                rect = widget.tabRect(i)
                inside = widget.rect() if widget.usesScrollButtons() and _scrolls(widget) else rect.intersected(widget.rect())
                yield widget.tabText(i), _size(metrics, widget.tabText(i)), inside, font
    elif isinstance(widget, QMenuBar):
        for action in widget.actions():
            rect = widget.actionGeometry(action).intersected(widget.rect())
            yield action.text(), _size(metrics, action.text().replace("&", "")), rect, font
    elif isinstance(widget, QHeaderView):
        yield from _header(widget)
    elif isinstance(widget, QAbstractItemView):
        yield from _cells(widget)
    elif isinstance(widget, QGraphicsView):
        yield from _scene_texts(widget)


def _scrolls(bar: QTabBar) -> bool:
    return any(button.isVisible() for button in bar.findChildren(QToolButton))


def _size(metrics: QFontMetrics, text: str) -> QSize:
    return QSize(metrics.size(Qt.TextFlag.TextShowMnemonic.value, text).width(), metrics.height()) if text else QSize()


def _label(label: QLabel) -> Iterator[tuple[str, QSize, QRect, QFont]]:
    text, margin = label.text(), label.margin()
    if not text:
        return
    rect = label.contentsRect().adjusted(margin, margin, -margin, -margin)
    rich = label.textFormat() == Qt.TextFormat.RichText or (label.textFormat() == Qt.TextFormat.AutoText and "<" in text)
    if rich:
        page = QTextDocument()
        page.setDefaultFont(label.font())
        page.setDocumentMargin(0)
        page.setHtml(text)
        if label.wordWrap():
            page.setTextWidth(rect.width())
        yield page.toPlainText(), page.size().toSize(), rect, label.font()
        return
    flags = int((label.alignment() | Qt.AlignmentFlag.AlignLeft).value) | (Qt.TextFlag.TextWordWrap.value if label.wordWrap() else 0)
    box = label.fontMetrics().boundingRect(QRect(0, 0, rect.width() if label.wordWrap() else 10_000, 10_000), flags, text)
    yield text, box.size(), rect, label.font()


def _header(header: QHeaderView) -> Iterator[tuple[str, QSize, QRect, QFont]]:
    model = header.model()
    if model is None:
        return
    for section in range(header.count()):
        text = str(model.headerData(section, header.orientation(), Qt.ItemDataRole.DisplayRole) or "")
        if header.isSectionHidden(section) or not text:
            continue
        across = header.orientation() == Qt.Orientation.Horizontal
        start, size = header.sectionViewportPosition(section), header.sectionSize(section)
        rect = QRect(start, 0, size, header.height()) if across else QRect(0, start, header.width(), size)
        if not across and not header.viewport().rect().intersects(rect):
            continue
        need = QSize(header.fontMetrics().horizontalAdvance(text) + (16 if across else 0), header.fontMetrics().height())
        yield text, need, rect.intersected(header.rect()) if across else rect, header.font()


def _cells(view: QAbstractItemView) -> Iterator[tuple[str, QSize, QRect, QFont]]:
    """Cells that Qt's own delegate draws; others are heard while they are painted."""
    model, root = view.model(), QModelIndex()
    if model is None or type(view.itemDelegate()) is not QStyledItemDelegate:
        return
    for row in range(min(model.rowCount(root), 200)):
        for column in range(model.columnCount(root) if isinstance(view, (QTableView, QTreeView)) else 1):
            index = model.index(row, column)
            rect = view.visualRect(index)
            if not rect.intersects(view.viewport().rect()) or view.indexWidget(index) is not None:
                continue
            if isinstance(view, QTableView) and view.isColumnHidden(column):
                continue
            text = str(index.data() or "")
            font = index.data(Qt.ItemDataRole.FontRole) or view.font()
            box = rect.intersected(QRect(0, rect.top(), view.viewport().width(), rect.height()))
            metrics, wraps = QFontMetrics(font), isinstance(view, QListView) and view.wordWrap()
            around = QRect(0, 0, box.width() - 4 if wraps else 10_000, 10_000)
            needed = metrics.boundingRect(around, Qt.TextFlag.TextWordWrap.value if wraps else 0, text)
            yield text, QSize(needed.width() + 4, metrics.height() if not wraps else needed.height()), box, font


def _scene_texts(view: QGraphicsView) -> Iterator[tuple[str, QSize, QRect, QFont]]:
    """Texts within a plot: axis labels, legends and readings; they must lie within the plot as it is seen."""
    scene = view.scene()
    for item in scene.items() if scene is not None else ():
        if not isinstance(item, QGraphicsTextItem) or not item.isVisible() or not item.toPlainText().strip() or item.opacity() == 0:
            continue
        box = view.mapFromScene(item.sceneBoundingRect()).boundingRect().adjusted(4, 4, -4, -4)  # a document's own margin
        font = QFont(item.font())
        cursor = item.document().begin().begin()
        if not cursor.atEnd() and cursor.fragment().charFormat().font().pixelSize() > 0:
            font = cursor.fragment().charFormat().font()
        elif not cursor.atEnd() and cursor.fragment().charFormat().fontPointSize() > 0:
            font.setPointSizeF(cursor.fragment().charFormat().fontPointSize())
        yield item.toPlainText(), box.size(), box.intersected(view.viewport().rect()), font
