"""The columns beside the panes: open, or folded into a slim strip with their name. In a small window they are folded unless somebody
unfolds them there; a wide window has its own choice, which comes back with the room.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from app.shell import theme
from app.shell.plain_text import set_tip

FOLDED_BELOW = 1180  # px of the window's width: with both columns open the panes would have less than two thirds of it
STRIP = 26  # px


class SideStrip(QAbstractButton):
    """The name of a column, written upwards; pressing it folds or unfolds the column."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setText(name)
        self.setFixedWidth(STRIP)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFont(theme.font(12))
        self.colors = theme.DARK
        self.open = False

    def show_open(self, open: bool) -> None:
        self.open = open
        verb = "Fold" if open else "Show"
        self.setAccessibleName(f"{verb} “{self.text()}”")
        set_tip(self, f"{verb} “{self.text()}”")
        self.update()

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(STRIP, QFontMetrics(self.font()).horizontalAdvance(self.text()) + 32)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        c, painter = self.colors, QPainter(self)
        marked = self.hasFocus() or self.underMouse()
        painter.fillRect(self.rect(), QColor(c.raised if marked else c.panel))
        painter.setPen(QColor(c.line))
        painter.drawLine(0, 0, 0, self.height())
        painter.drawLine(self.width() - 1, 0, self.width() - 1, self.height())
        painter.setPen(QColor(c.accent if marked else c.muted))
        long = QFontMetrics(self.font()).horizontalAdvance(self.text()) + 4
        painter.rotate(-90)
        painter.drawText(QRectF(-long - 16, 0, long, self.width()), Qt.AlignmentFlag.AlignCenter, self.text())


class SideFold(QObject):
    """One column with its strip: `wide` and `small` are what a person chose for a window of either kind."""

    def __init__(self, side: QWidget, name: str, wide: bool, small: bool) -> None:
        super().__init__(side)
        self.side, self.strip = side, SideStrip(name)
        self.wide, self.small = wide, small
        self.is_small: bool | None = None  # the window, now; not known before it is built
        self.strip.clicked.connect(self.toggle)

    def fit(self, width: int) -> None:
        """The window has this width now."""
        small = width < FOLDED_BELOW
        if small != self.is_small:
            self.is_small = small
            self._apply()

    def toggle(self) -> None:
        """Fold or unfold, for windows of the present kind."""
        if self.is_small:
            self.small = not self.small
        else:
            self.wide = not self.wide
        self._apply()

    def _apply(self) -> None:
        open = self.small if self.is_small else self.wide
        self.side.setVisible(open)
        self.strip.setVisible(bool(self.is_small) or not open)  # in a wide window an open column needs none
        self.strip.show_open(open)
