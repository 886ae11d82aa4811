"""The centre: every pane in a dock of its own, as tabs that can be torn off and tiled. Tells panes when they are seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from PySide6.QtCore import QByteArray, QEvent, QObject, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QScrollArea,
    QStackedLayout,
    QTabBar,
    QTabWidget,
    QToolButton,
    QWidget,
)

from app.panes import Context, Pane
from app.shell import theme
from app.shell.pane_availability import AvailabilityPage, Unavailable
from app.shell.plain_text import PlainLabel, set_tip

LAYOUT_VERSION = 1
LEAST = QSize(200, 120)  # px that a pane has at least, whatever stands beside it
GRIP = QSize(120, 40)  # px of a torn-off pane that must lie on a screen, so that it can be moved


class DockTitle(QFrame):
    """A slim title for docks that stand alone or float; tabbed ones have none."""

    def __init__(self, dock: PaneDock) -> None:
        super().__init__()
        self.setObjectName("dock_title")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 2, 4, 2)
        row.addWidget(theme.role(PlainLabel(dock.pane.title), "title"))
        row.addStretch()
        self.tear = QToolButton()
        self.tear.setText("↗")
        self.tear.clicked.connect(dock.toggle_floating)
        row.addWidget(self.tear)
        self.say(False)

    def say(self, floating: bool) -> None:
        self.tear.setText("↙" if floating else "↗")
        set_tip(self.tear, "Put back among the tabs" if floating else "Tear off into a window of its own")
        self.tear.setAccessibleName(self.tear.toolTip())


class PaneDock(QDockWidget):
    """Holds one pane, and over it why it is empty where the pane does not say so itself."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane.title)
        self.pane = pane
        self.setObjectName(f"dock-{type(pane).__name__}")
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetFloatable)
        self.title = DockTitle(self)
        self.no_title = QWidget()
        self.setTitleBarWidget(self.no_title)
        self.why = ""  # it cannot be used at all, and why
        self.contents = holder = QWidget()
        holder.setObjectName("pane_holder")
        self.stack = QStackedLayout(holder)
        self.area = QScrollArea()  # a small window shows a part of the pane, and can show every part
        self.area.setWidgetResizable(True)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(pane)
        self.area.setMinimumSize(LEAST)
        self.stack.addWidget(self.area)
        self.setWidget(holder)
        self.in_front = False  # raised among its tabs, or floating
        self.seen = False  # in front and usable: the pane is active
        self.behind_the_theme = False  # it was changed while nobody saw the pane

    @cached_property
    def availability(self) -> AvailabilityPage:
        """The page that covers the pane, made when it is first shown."""
        made = AvailabilityPage(self.pane, self.pane.context.actions)
        self.stack.addWidget(made)
        return made

    def set_availability(self, why: Unavailable | None) -> None:
        """Say why in the place of the pane, unless its own page does; None shows the pane."""
        self.why = why.sentence if why is not None and why.blocks else ""
        if why is None or self.pane.shows_availability:
            self.stack.setCurrentWidget(self.area)
        else:
            self.availability.explain(why)
            self.stack.setCurrentWidget(self.availability)

    def toggle_floating(self) -> None:
        self.setFloating(not self.isFloating())

    def set_titled(self, titled: bool) -> None:
        wanted = self.title if titled else self.no_title
        if self.titleBarWidget() is not wanted:
            self.setTitleBarWidget(wanted)
            wanted.setVisible(True)
        self.title.say(self.isFloating())


class Docks(QMainWindow):
    """All panes. `front_changed` says that another pane came to the front."""

    front_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Widget)
        self.setObjectName("docks")
        self.setDockOptions(
            QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.GroupedDragging
        )
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self.docks: dict[str, PaneDock] = {}
        self.colors = theme.DARK
        self._bars: set[QTabBar] = set()

        self._wanted = QTimer(self)
        self._wanted.setSingleShot(True)
        self._wanted.setInterval(0)
        self._wanted.timeout.connect(self.keep_in_reach)
        self._wanted.timeout.connect(self.tidy)
        self.front: PaneDock | None = None

    def build(self, panes: Iterable[type[Pane]], context: Context) -> None:
        """Make every pane, tabbed in order, the first one in front."""
        previous: PaneDock | None = None
        for kind in panes:
            dock = PaneDock(kind(context))
            self.docks[kind.__name__] = dock
            self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
            if previous is not None:
                self.tabifyDockWidget(previous, dock)
            dock.visibilityChanged.connect(lambda seen, dock=dock: self._seen_changed(dock, seen))
            dock.topLevelChanged.connect(lambda _floating: self._wanted.start())
            dock.dockLocationChanged.connect(lambda _area: self._wanted.start())
            previous = dock
        if self.docks:
            self.front = next(iter(self.docks.values()))
            self.front.raise_()
        self.tidy()
        self._wanted.start()

    def show_pane(self, name: str) -> None:
        """Bring a pane to the front, by its class name."""
        dock = self.docks.get(name)
        if dock is not None:
            dock.show()
            dock.raise_()

    def data_page(self) -> str:
        """The class name of the pane that shows the chosen data set; empty without one."""
        return next((name for name, dock in self.docks.items() if dock.pane.is_data_page), "")

    def neighbour(self, by: int) -> str:
        """The class name of the pane `by` places after the front one, round and round; empty without panes."""
        order = list(self.docks)
        at = next((i for i, name in enumerate(order) if self.docks[name] is self.front), 0)
        return order[(at + by) % len(order)] if order else ""

    def in_order(self) -> list[PaneDock]:
        """The front pane first, then the other visible ones, then the rest."""
        return sorted(self.docks.values(), key=lambda dock: (dock is not self.front, not dock.seen))

    def together(self) -> None:
        """All panes back into one row of tabs."""
        front = self.front
        first = next(iter(self.docks.values()), None)
        for dock in self.docks.values():
            dock.setFloating(False)
            self.removeDockWidget(dock)
            self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
            if dock is not first and first is not None:
                self.tabifyDockWidget(self._previous(dock), dock)
            dock.show()
        if front is not None:
            front.raise_()
        self._wanted.start()

    def beside(self) -> None:
        """The front pane to the right of the others."""
        if self.front is None or len(self.docks) < 2:
            return
        front = self.front
        other = next((dock for dock in self.docks.values() if dock is not front and not dock.isFloating()), None)
        if other is None:  # every other pane floats: the next one comes back to stand beside
            other = self.docks[self.neighbour(1)]
            other.setFloating(False)
            other.show()
        right = Qt.DockWidgetArea.RightDockWidgetArea
        columns = [
            dock for dock in self.docks.values() if dock is not front and self.dockWidgetArea(dock) == right and not dock.isFloating()
        ]
        if (len(columns) + 2) * (LEAST.width() + 1) > self.width():
            self.together()
        front.setFloating(False)
        self.removeDockWidget(front)
        # In an area of its own: `splitDockWidget` beside a tab makes it a tab, and loses the places of the others.
        self.addDockWidget(right, front, Qt.Orientation.Horizontal)
        front.show()
        self.resizeDocks([other, front], [1, 1], Qt.Orientation.Horizontal)
        self._wanted.start()

    def keep_in_reach(self) -> None:
        """Bring back what nobody could see or move: a torn-off pane outside of every screen, one that is hidden or squeezed to nothing,
        or more beside each other than there is room for."""
        screens = [screen.availableGeometry() for screen in QGuiApplication.screens()]
        for dock in self.docks.values():
            if dock.isHidden():
                dock.show()
            if dock.isFloating() and not any(_holds(screen, dock.frameGeometry()) for screen in screens):
                home = self.screen().availableGeometry()
                dock.resize(dock.size().boundedTo(home.size()))
                dock.move(home.center() - dock.rect().center())
        if self.isVisible() and not all(self._in_reach(dock) for dock in self.docks.values()):
            self.together()

    def _in_reach(self, dock: PaneDock) -> bool:
        """Whether a docked pane, or one of those it shares its tabs with, stands within the window, large enough to be used."""
        if dock.isFloating():
            return True
        places = [other.geometry() for other in (dock, *self.tabifiedDockWidgets(dock))]
        room = self.rect().adjusted(-2, -2, 2, 2)
        return any(room.contains(place) and place.width() >= LEAST.width() and place.height() >= LEAST.height() for place in places)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._wanted.start()

    def _previous(self, dock: PaneDock) -> PaneDock:
        order = list(self.docks.values())
        return order[order.index(dock) - 1]

    def layout_state(self) -> str:
        return bytes(self.saveState(LAYOUT_VERSION).toBase64().data()).decode()

    def restore_layout(self, text: str) -> bool:
        """Put everything where it was. False when the state is of another version or damaged; nothing has moved then."""
        state = QByteArray.fromBase64(text.encode())
        done = bool(text) and self.restoreState(state, LAYOUT_VERSION)
        self._wanted.start()
        return done

    def set_availability(self, why: Mapping[str, Unavailable | None]) -> None:
        """Why panes are empty, by class name; None for those that are not."""
        for name, dock in self.docks.items():
            dock.set_availability(why.get(name))
            self._set_seen(dock, dock.in_front and not dock.why)
        self.tidy()

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        for bar in self._bars:
            bar.update()
        self.tidy()

    def _seen_changed(self, dock: PaneDock, seen: bool) -> None:
        dock.in_front = seen or (dock.isFloating() and dock.isVisible())
        self._set_seen(dock, dock.in_front and not dock.why)
        if dock.in_front and dock is not self.front:
            self.front = dock
            self.front_changed.emit()
        self._wanted.start()

    def _set_seen(self, dock: PaneDock, seen: bool) -> None:
        if dock.in_front:
            self._catch_up(dock)
        if seen == dock.seen:
            return
        dock.seen = seen
        if seen:
            dock.pane.activate()
        else:
            dock.pane.deactivate()

    def behind(self) -> list[QWidget]:
        """The contents of panes that nobody sees, for a change of the theme: each is styled when its pane comes to the front."""
        unseen = [dock for dock in self.docks.values() if not dock.in_front and dock.visibleRegion().isEmpty()]
        for dock in unseen:
            dock.behind_the_theme = True
        return [dock.contents for dock in unseen]

    def _catch_up(self, dock: PaneDock) -> None:
        if dock.behind_the_theme:
            dock.behind_the_theme = False
            theme.catch_up(dock.contents)

    def tidy(self) -> None:
        """Titles only where there is no tab; tabs with their tooltips, greyed where the pane cannot be used."""
        for dock in self.docks.values():
            if dock.isFloating() and dock.isVisible() and not dock.in_front:
                self._seen_changed(dock, True)
            alone = not self.tabifiedDockWidgets(dock)
            if alone and dock.isVisible() and not dock.in_front:  # tiled beside others: Qt does not always tell that it is seen
                dock.in_front = True
                self._set_seen(dock, not dock.why)
            dock.set_titled(dock.isFloating() or alone)
        by_title = {dock.pane.title: dock for dock in self.docks.values()}
        for bar in self.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if bar not in self._bars:
                self._bars.add(bar)
                bar.destroyed.connect(lambda _gone=None, bar=bar: self._bars.discard(bar))
                bar.installEventFilter(self)
                bar.setAccessibleName("Panes")
                bar.setDrawBase(False)
                bar.setExpanding(False)
                bar.setElideMode(Qt.TextElideMode.ElideNone)
                bar.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            for i in range(bar.count()):
                dock = by_title.get(bar.tabText(i))
                if dock is not None:
                    bar.setTabToolTip(i, dock.why or dock.pane.about or dock.pane.title)
                    bar.setTabTextColor(i, QColor(self.colors.muted) if dock.why else QColor())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and isinstance(watched, QTabBar):
            # The line under the tabs reaches across the free room beside them; Qt draws the tabs over it.
            painter = QPainter(watched)
            painter.fillRect(watched.rect(), QColor(self.colors.background))
            painter.fillRect(0, watched.height() - 1, watched.width(), 1, QColor(self.colors.line))
            painter.end()
        return False


def _holds(screen: QRect, window: QRect) -> bool:
    """Whether enough of a window's upper edge lies on a screen for it to be moved with the mouse."""
    edge = QRect(window.topLeft(), QSize(window.width(), GRIP.height())).intersected(screen)
    return edge.width() >= GRIP.width() and edge.height() >= GRIP.height() // 2
