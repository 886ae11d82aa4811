"""The data sets, each with its name and below it what it holds."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.run_list import Contents, height_of
from engine.messages import DataInfo

HEIGHT = 42
EDGE = 11  # px at either side
SUMMARY_TOP = 22


class DataLine(QWidget):
    def __init__(self, owner: DataList, info: DataInfo) -> None:
        super().__init__()
        self.owner = owner
        self.info = info
        self.selected = False
        self._hovered = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_data(info)

    def show_data(self, info: DataInfo) -> None:
        self.info = info
        self.setAccessibleName(f"Data {info.name}, {info.summary}")
        set_tip(self, f"{info.name}: {info.summary}" if info.built_in else f"{info.name}: {info.summary}\n{info.data}")
        self._fit()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme.LEFT_WIDTH - 24, HEIGHT)

    def _summary_height(self) -> int:
        """Of what the set holds, wrapped at this width."""
        room = QRect(0, 0, max(self.width() - 2 * EDGE, 1), 10_000)
        return QFontMetrics(theme.font(12)).boundingRect(room, Qt.TextFlag.TextWordWrap.value, self.info.summary).height()

    def _fit(self) -> None:
        """As high as the summary needs."""
        height = max(HEIGHT, SUMMARY_TOP + self._summary_height() + 5)
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def set_selected(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.owner.chosen.emit(self.info.data)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.owner.chosen.emit(self.info.data)
            case Qt.Key.Key_Up:
                self.owner.walk(self, -1)
            case Qt.Key.Key_Down:
                self.owner.walk(self, 1)
            case Qt.Key.Key_Menu:
                self.owner.menu(self, self.mapToGlobal(QPoint(16, HEIGHT - 8)))
            case _:
                super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.owner.menu(self, event.globalPos())

    def enterEvent(self, event: object) -> None:
        self._hovered = True
        self.update()

    def leaveEvent(self, event: object) -> None:
        self._hovered = False
        self.update()

    def focusInEvent(self, event: object) -> None:
        self.owner.ensureWidgetVisible(self, 0, 8)
        self.update()

    def focusOutEvent(self, event: object) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        c = self.owner.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.selected or self._hovered or self.hasFocus():
            painter.setBrush(QColor(c.raised if self.selected else c.panel))
            painter.setPen(QPen(QColor(c.accent if self.hasFocus() else c.line), 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        font = theme.font(13)
        painter.setFont(font)
        left, room = EDGE, self.width() - 2 * EDGE
        name = QFontMetrics(font).elidedText(self.info.name, Qt.TextElideMode.ElideMiddle, room)
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(left, 3, room, 20), int(Qt.AlignmentFlag.AlignVCenter), name)
        small = theme.font(12)
        painter.setFont(small)
        painter.setPen(QColor(c.warning_text if self.info.lost else c.muted))
        place = QRectF(left, SUMMARY_TOP, room, self._summary_height())
        painter.drawText(place, int(Qt.TextFlag.TextWordWrap.value), self.info.summary)


class DataList(QScrollArea):
    chosen = Signal(str)
    train_chosen = Signal(str)
    forget_chosen = Signal(str)
    copy_path_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Data sets")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.colors = theme.DARK
        body = Contents(self)
        self.setWidget(body)
        self.column = QVBoxLayout(body)
        self.column.setContentsMargins(12, 0, 12, 8)
        self.column.setSpacing(4)
        self.empty = theme.role(PlainLabel("The data sets appear once the engine is ready."), "muted")
        self.empty.setWordWrap(True)
        self.empty.setContentsMargins(4, 0, 4, 0)
        self.column.addWidget(self.empty)
        self.column.addStretch()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.lines: dict[str, DataLine] = {}
        self.kept = 0  # px

    def show_data(self, data: dict[str, DataInfo], selected: str | None) -> None:
        for gone in [name for name in self.lines if name not in data]:
            line = self.lines.pop(gone)
            self.column.removeWidget(line)
            line.hide()
            line.deleteLater()
        for place, (name, info) in enumerate(data.items()):
            line = self.lines.get(name)
            if line is None:
                line = self.lines[name] = DataLine(self, info)
                self.column.insertWidget(place + 1, line)
            elif line.info is not info:
                line.show_data(info)
            line.set_selected(name == selected)
        self.empty.setVisible(not data)

    def sizeHint(self) -> QSize:
        return QSize(theme.LEFT_WIDTH - 1, height_of(self.column, theme.LEFT_WIDTH - 1) + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, min(self.sizeHint().height(), max(2 * HEIGHT, self.kept)))

    def keep(self, height: int) -> None:
        """Stay so high, where there is something to fill it, however many runs stand above."""
        if height != self.kept:
            self.kept = height
            self.updateGeometry()

    def walk(self, line: DataLine, by: int) -> None:
        order = sorted(self.lines.values(), key=self.column.indexOf)
        place = order.index(line) + by
        if 0 <= place < len(order):
            order[place].setFocus()
            self.chosen.emit(order[place].info.data)

    def menu(self, line: DataLine, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        data = line.info.data
        menu.addAction("Look at it", lambda: self.chosen.emit(data))
        menu.addAction("New run on it…", lambda: self.train_chosen.emit(data)).setEnabled(not line.info.lost)
        if not line.info.built_in:
            menu.addSeparator()
            menu.addAction("Copy path", lambda: self.copy_path_chosen.emit(data))
            set_tip(menu.addAction("Take off this list", lambda: self.forget_chosen.emit(data)), "The files stay where they are.")
        menu.popup(at)

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        for line in self.lines.values():
            line.update()
