"""The data sets, each with its name and below it what it holds."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontMetrics, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QMenu, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.list_row import ListRow
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.run_list import Contents, height_of
from app.widgets.parts import breakable
from engine.common.data_names import split_name
from engine.messages import DataInfo

HEIGHT = 42
EDGE = 11  # px at either side
SUMMARY_TOP = 22
WRAPS = Qt.TextFlag.TextWordWrap.value
HELP = "Choose where the data are now. They are taken when their content is the same; their decisions and the runs on them follow."


class DataLine(ListRow):
    """A data set; where its files are gone with “Locate…” below, and what became of that."""

    def __init__(self, owner: DataList, info: DataInfo) -> None:
        super().__init__(owner, HEIGHT)
        self.owner = owner
        self.info = info
        self.note, self.refused = "", False  # what is going on, or why a place was not taken
        self.locate = QPushButton("Locate…", self)
        self.locate.setProperty("kind", "link")
        set_tip(self.locate, HELP)
        self.locate.clicked.connect(self._ask)
        self.show_data(info)

    def show_data(self, info: DataInfo) -> None:
        if info.data != self.info.data or not info.lost:
            self.note, self.refused = "", False
        self.info = info
        self.locate.setAccessibleName(f"Locate {info.name}")
        self._show()

    def show_note(self, note: str, busy: bool, refused: bool = False) -> None:
        """`busy`: a place is being checked; `refused`: the note says why one was not taken."""
        self.note, self.refused = note, refused
        self.locate.setEnabled(not busy)
        self._show()

    @property
    def told(self) -> str:
        """What stands below the name."""
        return self.note or self.info.summary

    def _show(self) -> None:
        info = self.info
        self.setAccessibleName(f"Data {info.name}, {self.told}")
        set_tip(self, f"{info.name}: {self.told}" if info.built_in else f"{info.name}: {self.told}\n{split_name(info.data)[0]}")
        self.locate.setVisible(info.lost)
        self._fit()
        self.update()

    def _ask(self, _checked: bool = False) -> None:
        self.owner.locate_chosen.emit(self.info.data)

    def sizeHint(self) -> QSize:
        return QSize(theme.LEFT_WIDTH - 24, self.minimumHeight() or HEIGHT)

    def _told_height(self) -> int:
        """Of what stands below the name, wrapped at this width."""
        room = QRect(0, 0, max(self.width() - 2 * EDGE, 1), 10_000)
        return QFontMetrics(theme.font(12)).boundingRect(room, WRAPS, breakable(self.told)).height()

    def _fit(self) -> None:
        """As high as its lines need."""
        below = SUMMARY_TOP + self._told_height() + 5
        button = self.locate.sizeHint() if self.info.lost else QSize(0, 0)
        self.locate.setGeometry(EDGE, below - 2, button.width(), button.height())
        height = max(HEIGHT, below + button.height())
        if height != self.height() or height != self.minimumHeight():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def pick(self) -> None:
        self.owner.chosen.emit(self.info.data)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = self.owner.colors
        painter = self.begin_painting()
        font = theme.font(13)
        painter.setFont(font)
        left, room = EDGE, self.width() - 2 * EDGE
        name = QFontMetrics(font).elidedText(self.info.name, Qt.TextElideMode.ElideMiddle, room)
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(left, 3, room, 20), int(Qt.AlignmentFlag.AlignVCenter), name)
        painter.setFont(theme.font(12))
        painter.setPen(QColor(c.warning_text if self.info.lost and (self.refused or not self.note) else c.muted))
        painter.drawText(QRectF(left, SUMMARY_TOP, room, self._told_height()), WRAPS, breakable(self.told))


class DataList(QScrollArea):
    chosen = Signal(str)
    train_chosen = Signal(str)
    forget_chosen = Signal(str)
    copy_path_chosen = Signal(str)
    locate_chosen = Signal(str)

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

    def show_note(self, data: str, note: str, busy: bool = False, refused: bool = False) -> None:
        """What is being done about a set whose files are gone, or why a place was not taken; "" for nothing."""
        line = self.lines.get(data)
        if line is not None:
            line.show_note(note, busy, refused)
            if refused:
                QTimer.singleShot(0, line, lambda: self.ensureWidgetVisible(line, 0, 8))  # once it has its height

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
            if line.info.lost:
                menu.addAction("Locate…", lambda: self.locate_chosen.emit(data))
            menu.addAction("Copy path", lambda: self.copy_path_chosen.emit(data))
            set_tip(menu.addAction("Take off this list", lambda: self.forget_chosen.emit(data)), "The files stay where they are.")
        menu.popup(at)

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        for line in self.lines.values():
            line.update()
