"""The top line: the program's name and menus, the run chooser, where the training is, the search field, the device, the theme."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QMenuBar, QPushButton, QSizePolicy, QWidget

from app.shell import formatting, theme
from app.shell.formatting import things
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.run_standing import newest_first
from app.shell.state import State
from engine.messages import Ready

SEARCH = "Search runs, panes, actions…"
NARROW = 1180  # px below which the step is only told at the time cursor


class SearchField(QFrame):
    """Looks like a field and opens the palette."""

    pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("search")
        self.setAccessibleName("Search runs, panes, actions")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.IBeamCursor)
        self.setFixedHeight(28)
        self.setMinimumWidth(90)
        self.setMaximumWidth(300)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 8, 0)
        self.text = theme.role(PlainLabel(SEARCH), "muted")
        self.text.setMinimumWidth(0)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self.text, 1)
        self.key = theme.role(PlainLabel(QKeySequence("Ctrl+K").toString(QKeySequence.SequenceFormat.NativeText).replace("+", " ")), "key")
        row.addWidget(self.key)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The whole invitation where there is room for it."""
        super().resizeEvent(event)
        room = self.width() - self.key.sizeHint().width() - 30
        self.text.setText(SEARCH if self.fontMetrics().horizontalAdvance(SEARCH) <= room else "Search…")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit()
        else:
            super().keyPressEvent(event)


class TopBar(QFrame):
    """Draws what the state says of the chosen run and the engine. `run_chosen` names the run that was taken from its menu."""

    run_chosen = Signal(str)

    def __init__(self, state: State, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.setObjectName("top")
        self.setFixedHeight(theme.TOP_HEIGHT)
        self.name = theme.role(PlainLabel("Priorama"), "title")
        self.menus = QMenuBar()
        self.menus.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.menus.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.runs = QPushButton("No run ▾")
        self.runs.setProperty("kind", "quiet")
        self.runs.setAccessibleName("Choose a run")
        set_tip(self.runs, "The run that every pane looks at")
        self.run_menu = QMenu(self)
        self.run_menu.aboutToShow.connect(self._fill_run_menu)
        self.runs.setMenu(self.run_menu)
        self.step = theme.role(PlainLabel(), "muted")
        self.search = SearchField()
        self.device = QPushButton("starting…")
        self.device.setProperty("kind", "quiet")
        self.device.setAccessibleName("Device")
        self.theme_button = QPushButton("◐")
        self.theme_button.setAccessibleName("Light or dark")
        self.theme_button.setProperty("kind", "quiet")
        self.theme_button.setFixedWidth(32)
        self.theme_button.setObjectName("theme_button")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 16, 1)
        row.setSpacing(14)
        row.addWidget(self.name)
        row.addWidget(self.menus, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.runs)
        row.addWidget(self.step)
        row.addStretch(1)
        row.addWidget(self.search, 3)
        row.addWidget(self.device)
        row.addWidget(self.theme_button)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.step.setVisible(self.width() >= NARROW)

    def show_time(self) -> None:
        """The chosen run, and how far it has come."""
        info = self.state.run_info
        if info is None:
            self._show_run("", "")
            return
        done, planned = self.state.steps_done, self.state.steps_planned
        total = f" of {formatting.count(planned)}" if planned else ""
        early = bool(planned and info.total_steps and planned < info.total_steps)  # nothing was left to learn
        step = f"done at step {formatting.count(done)}" if early else f"step {formatting.count(done)}{total}"
        self._show_run(f"{info.title or info.method} · {info.data_name}", step)

    def _show_run(self, title: str, step: str) -> None:
        metrics = self.runs.fontMetrics()
        self.runs.setText(metrics.elidedText(title or "No run", Qt.TextElideMode.ElideMiddle, 190) + " ▾")
        self.runs.setAccessibleName(f"Choose a run, now {title or 'none'}")
        self.step.setText(step)

    def show_engine(self, ready: Ready) -> None:
        """Where new runs train."""
        cores = things(ready.cores, "core")
        self.device.setText(f"{ready.device} · {cores} · {ready.precision}")
        versions = ", ".join(f"{name} {version}" for name, version in ready.versions.items())
        set_tip(self.device, f"New runs train here, in {ready.precision}. {versions}. Ready after {ready.seconds:.1f} s.")
        self.device.setAccessibleName(f"Device: {self.device.text()}")

    def _fill_run_menu(self) -> None:
        self.run_menu.clear()
        for run, info in newest_first(self.state.runs).items():
            action = self.run_menu.addAction(f"{info.title or info.method} · {info.data_name}   {info.name}")
            action.setCheckable(True)
            action.setChecked(run == self.state.run)
            action.triggered.connect(lambda _checked=False, run=run: self.run_chosen.emit(run))
        if not self.state.runs:
            self.run_menu.addAction("No runs yet" if self.state.root else "Loading your runs…").setEnabled(False)
