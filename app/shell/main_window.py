"""The main window: top line, runs and data at the left, panes in the centre, inspector at the right, the time cursor below.

It wires the shared state, the bridge and the widgets together; it knows no pane and no method by name. Importing it loads
neither numpy nor pyqtgraph: panes are imported and built after the first paint, and the engine starts after that, so that
the window need not share Python with the import of torch, and no two threads import at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QPaintEvent,
    QResizeEvent,
    QUndoStack,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from app.panes import Context, find_panes
from app.shell import formatting, theme
from app.shell import settings as stored
from app.shell.actions import MENUS, Actions
from app.shell.bridge import Bridge, EngineLike
from app.shell.commands import add_all
from app.shell.data_list import DataList
from app.shell.drop_handler import DropHandler, kind_of
from app.shell.drop_sign import DropSign
from app.shell.inspector import Inspector, heading
from app.shell.job_verbs import JobVerbs
from app.shell.layout import Docks, PaneDock
from app.shell.log_pane import LogPane
from app.shell.message_bar import MessageBar
from app.shell.new_run_page import NewRunPage
from app.shell.palette import Item, Palette
from app.shell.run_list import WAITING, RunList, waiting_run
from app.shell.session_log import Log, Record
from app.shell.settings import Settings
from app.shell.shortcuts_page import ShortcutsPage
from app.shell.state import State
from app.shell.timeline import Timeline
from app.shell.top_bar import TopBar
from app.widgets.parts import offer
from engine import messages as m

DESCRIBE_MS = 150  # the inspector asks at most this often
PLAY_MS = 500  # one checkpoint


class Window(QMainWindow):
    """`settings_path` None forgets everything at the end. Call `show()`; the rest follows by itself."""

    panes_built = Signal()

    def __init__(
        self,
        engine: EngineLike,
        settings: Settings | None = None,
        settings_path: Path | None = None,
        log: Log | None = None,
        note: str = "",
    ) -> None:
        super().__init__()
        self.setObjectName("window")
        self.setWindowTitle("Priorama")
        self.setAcceptDrops(True)
        self.resize(1280, 800)
        self.setMinimumSize(960, 560)
        self.settings = settings or Settings()
        self.settings_path = settings_path
        self.log = log or Log(parent=self)
        self.state = State(self)
        self.bridge = Bridge(engine, self)
        self.registry = Actions(self)
        self.undo = QUndoStack(self)
        self.undo.setUndoLimit(500)
        self.ended_in_time = True
        self._note = note
        self._painted = False
        self.built = False
        self._closed = False
        self._first_list = True
        self._followed: str | None = None
        self._awaited: dict[str, str] = {}  # job -> run folder once known, for runs that were started here
        self.intake = DropHandler(self)

        self._build()
        self._wire()
        self._add_actions()
        self.state.theme = theme.system_theme() if self.settings.theme == "system" else self.settings.theme
        self._apply_theme()
        self._show_time()
        if self.settings.geometry:
            self.restoreGeometry(QByteArray.fromBase64(self.settings.geometry.encode()))

    # Parts ----------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.top = TopBar()
        self.left = QFrame()
        self.left.setObjectName("left")
        self.left.setFixedWidth(theme.LEFT_WIDTH)
        self.run_list = RunList()
        self.data_list = DataList()
        self.new_button = QPushButton("New run")
        self.new_button.setProperty("kind", "primary")
        self.new_button.setAccessibleName("New run")
        self.open_button = QPushButton("Open…")
        self.open_button.setAccessibleName("Open a run, a data set or an image")
        buttons = QHBoxLayout()
        buttons.setContentsMargins(12, 10, 12, 14)
        buttons.setSpacing(6)
        buttons.addWidget(self.new_button)
        buttons.addWidget(self.open_button)
        buttons.addStretch()
        left = QVBoxLayout(self.left)
        left.setContentsMargins(0, 18, 1, 0)
        left.setSpacing(0)
        runs_heading, data_heading = heading("Runs"), heading("Data")
        runs_heading.setContentsMargins(16, 0, 0, 8)
        data_heading.setContentsMargins(16, 0, 0, 8)
        left.addWidget(runs_heading)
        left.addWidget(self.run_list)
        left.addLayout(buttons)
        left.addWidget(data_heading)
        left.addWidget(self.data_list)
        left.addStretch(1)

        self.docks = Docks()
        self.new_run_page = NewRunPage(self.undo)
        self.shortcuts_page = ShortcutsPage(self.registry)
        self.log_pane = LogPane(self.log)
        self.log_pane.hide()
        self.message_bar = MessageBar()
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.pages = QStackedLayout()
        for page in (self.docks, self.new_run_page, self.shortcuts_page):
            self.pages.addWidget(page)
        column.addWidget(self.message_bar)
        column.addLayout(self.pages, 1)
        column.addWidget(self.log_pane)

        self.right = QFrame()
        self.right.setObjectName("right")
        self.right.setFixedWidth(theme.RIGHT_WIDTH)
        self.inspector = Inspector()
        right = QVBoxLayout(self.right)
        right.setContentsMargins(1, 0, 0, 0)
        right.addWidget(self.inspector)

        self.bottom = QFrame()
        self.bottom.setObjectName("bottom")
        self.bottom.setFixedHeight(theme.BOTTOM_HEIGHT)
        self.play = QPushButton("▶")
        self.play.setFixedWidth(38)
        self.play.setStyleSheet("padding: 0")
        self.step_label = theme.role(QLabel(), "muted")
        self.step_label.setTextFormat(Qt.TextFormat.RichText)
        self.step_label.setMinimumWidth(136)
        self.timeline = Timeline()
        self.verbs = JobVerbs()
        self.verbs.setMinimumWidth(theme.RIGHT_WIDTH)
        bottom = QHBoxLayout(self.bottom)
        bottom.setContentsMargins(16, 1, 0, 0)
        bottom.setSpacing(6)
        bottom.addWidget(self.play)
        bottom.addWidget(self.step_label)
        bottom.addWidget(self.timeline, 1)
        bottom.addSpacing(16)
        bottom.addWidget(self.verbs)

        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self.left)
        middle.addWidget(centre, 1)
        middle.addWidget(self.right)
        body = QWidget()
        whole = QVBoxLayout(body)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.top)
        whole.addLayout(middle, 1)
        whole.addWidget(self.bottom)
        self.setCentralWidget(body)
        body.setFocus()  # no button is chosen at the start, and Space plays
        self.left.setVisible(self.settings.left)
        self.right.setVisible(self.settings.right)

        self.finder = Palette(self)
        self.drop_sign = DropSign(self)

        self._describing = QTimer(self)
        self._describing.setSingleShot(True)
        self._describing.setInterval(DESCRIBE_MS)
        self._describing.timeout.connect(self._describe)
        self._playing = QTimer(self)
        self._playing.setInterval(PLAY_MS)
        self._playing.timeout.connect(self._play_on)

    def _wire(self) -> None:
        bridge, state = self.bridge, self.state
        bridge.on(m.Ready, self._ready)
        bridge.on(m.RunsListed, self._runs_listed)
        bridge.on(m.DataListed, lambda event: state.set_data(event.data))
        bridge.on(m.JobChanged, self._job_changed)
        bridge.on(m.Progress, state.set_progress)
        bridge.on(m.Metrics, self._metrics)
        bridge.on(m.CheckpointSaved, lambda event: state.checkpoint_saved(event.run, event.step, event.resumable))
        bridge.on(m.Stalled, lambda event: self.say("warning", event.message))
        bridge.on(m.Ended, self._ended)
        bridge.on(m.Notice, lambda event: self.say(event.level, event.text, event.details))
        bridge.on(m.QueryFailed, lambda event: self.say("warning", event.message, event.details))

        state.runs_changed.connect(self._show_runs)
        state.jobs_changed.connect(self._show_runs)
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.cursor_changed.connect(self._show_time)
        state.progress_changed.connect(self._show_progress)
        state.methods_changed.connect(self._methods_changed)
        state.data_changed.connect(self._data_changed)
        state.selected_data_changed.connect(self._show_data)
        state.theme_changed.connect(self._apply_theme)
        state.run_proposed.connect(self.new_run)

        self.run_list.chosen.connect(self.choose_run)
        self.run_list.delete_chosen.connect(lambda run: self.do("delete", run))
        self.run_list.continue_chosen.connect(self.ask_continue)
        self.run_list.verb_chosen.connect(lambda run, verb: self.do(verb, run))
        self.run_list.open_folder_chosen.connect(lambda run: QDesktopServices.openUrl(QUrl.fromLocalFile(run)))
        self.run_list.copy_path_chosen.connect(self.copy_text)
        self.data_list.chosen.connect(self.choose_data)
        self.data_list.forget_chosen.connect(lambda data: bridge.send(m.ForgetData(data)))
        self.data_list.copy_path_chosen.connect(self.copy_text)
        self.timeline.moved.connect(state.set_cursor)
        self.timeline.live_chosen.connect(lambda: state.set_cursor(None))
        self.verbs.chosen.connect(lambda verb: self.do(verb, state.run))
        self.verbs.continue_to.connect(self.continue_run)
        self.top.run_menu.aboutToShow.connect(self._fill_run_menu)
        self.data_list.train_chosen.connect(lambda data: self.new_run(data=data))
        self.new_run_page.started.connect(self.start_run)
        self.new_run_page.cancelled.connect(self.show_panes)
        self.new_run_page.wanted.connect(lambda: self.pages.setCurrentWidget(self.new_run_page))
        self.new_run_page.method_changed.connect(lambda _name: self._show_method())
        self.shortcuts_page.closed.connect(self.show_panes)
        self.pages.currentChanged.connect(lambda _page: self._show_method())
        self.log_pane.closed.connect(self.log_pane.hide)
        self.log_pane.copied.connect(lambda text: QGuiApplication.clipboard().setText(text))
        self.log_pane.folder_wanted.connect(self.open_log_folder)
        self.log.faulted.connect(self.show_fault)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._system_theme_changed)

    def _add_actions(self) -> None:
        add_all(self)
        self.menus = {name: self.top.menus.addMenu(name) for name in MENUS}
        self._fill_menus()
        self.registry.changed.connect(self._fill_menus)
        self._bind(self.top.theme_button, "view.theme")
        self._bind(self.play, "go.play")
        self._bind(self.new_button, "run.new")
        self._bind(self.top.device, "help.about")
        self.top.search.pressed.connect(self.find)
        open_menu = QMenu(self)
        for name in ("file.open_run", "data.open", "data.open_file", "file.open_image"):
            open_menu.addAction(self.registry[name])
        self.recent_menu = open_menu.addMenu("Recent")
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        self.open_button.setMenu(open_menu)
        offer(self.new_run_page.other, (self.registry["data.open"], self.registry["data.open_file"]))

    def _fill_menus(self) -> None:
        """Put actions that were added since into their menus."""
        for entry in self.registry.entries.values():
            menu = self.menus[entry.menu]
            if entry.action not in menu.actions():
                menu.addAction(entry.action)
                self.addAction(entry.action)

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        for path in self.settings.recent:
            action = self.recent_menu.addAction(path)
            action.setEnabled(os.path.exists(path))
            action.triggered.connect(lambda _checked=False, path=path: self.intake.take([path]))
        if not self.settings.recent:
            self.recent_menu.addAction("Nothing was opened yet").setEnabled(False)

    def _bind(self, button: QPushButton, name: str) -> None:
        """Let a button do an action and say so."""
        entry = self.registry.entries[name]
        button.clicked.connect(entry.action.trigger)
        button.setToolTip(f"{entry.action.statusTip()} ({entry.keys})" if entry.keys else entry.action.statusTip())
        button.setAccessibleName(entry.action.text())

    # Life -----------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self._after_first_paint)

    def _after_first_paint(self) -> None:
        if self._closed:
            return
        try:
            self.build_panes()
        finally:
            self.bridge.start()  # its lanes import from now on, and two threads must not import at once

    def build_panes(self) -> None:
        """Import and build every pane; put the layout back as it was."""
        if self.built:
            return
        self.built = True
        context = Context(self.state, self.bridge, self.registry, self.undo)
        self.docks.build(find_panes(), context)
        self.docks.set_colors(theme.colors(self.state.theme))
        for name, dock in self.docks.docks.items():
            self._add_pane_action(name, dock.pane.title, dock.pane.about)
        if self.settings.layout and not self.docks.restore_layout(self.settings.layout):
            self.say("info", "The layout of the panes is of another version, so they stand as new.")
        for dock in self.docks.docks.values():
            dock.drag_entered.connect(partial(self._drag_entered, dock=dock))
            dock.drag_left.connect(self.drop_sign.hide)
            dock.dropped.connect(partial(self._dropped, dock=dock))
        if self.settings.pane:
            self.docks.show_pane(self.settings.pane)
        self._show_reasons()
        if self._note:
            self.say("warning", self._note)
        self.panes_built.emit()

    def _add_pane_action(self, name: str, title: str, about: str) -> None:
        number = len([entry for entry in self.registry.entries if entry.startswith("pane.")]) + 1
        self.registry.add(
            f"pane.{name}",
            title,
            partial(self.show_pane, name),
            menu="Go",
            shortcut=f"Ctrl+{number}" if number < 10 else None,
            help=about or f"Show {title}",
        )

    def closeEvent(self, event: QCloseEvent) -> None:
        self.finish()
        super().closeEvent(event)

    def finish(self) -> None:
        """Keep the settings and end the engine; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._playing.stop()
        self._describing.stop()
        self.verbs.rest()
        QGuiApplication.styleHints().colorSchemeChanged.disconnect(self._system_theme_changed)
        self._keep_settings()
        self.undo.clear()
        self.intake.close()
        self.ended_in_time = self.bridge.close()

    def _keep_settings(self) -> None:
        kept = self.settings
        kept.geometry = bytes(self.saveGeometry().toBase64().data()).decode()
        if self.docks.docks:
            kept.layout = self.docks.layout_state()
            kept.pane = type(self.docks.front.pane).__name__ if self.docks.front else ""
        kept.last_run = self.state.run or kept.last_run
        kept.left, kept.right = not self.left.isHidden(), not self.right.isHidden()
        if self.settings_path is not None:
            sentence = stored.save(kept, self.settings_path)
            if sentence:
                self.log.add("warning", sentence)

    # Theme ----------------------------------------------------------------------------------------------------------

    def _system_theme_changed(self) -> None:
        if self.settings.theme == "system":
            self.state.set_theme(theme.system_theme())

    def set_theme(self, name: str) -> None:
        """ "dark", "light" or "system"."""
        self.settings.theme = name
        self.state.set_theme(theme.system_theme() if name == "system" else name)

    def toggle_theme(self) -> None:
        self.set_theme("light" if self.state.theme == "dark" else "dark")

    def _apply_theme(self) -> None:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        theme.apply_theme(app, self.state.theme)
        colors = theme.colors(self.state.theme)
        for part in (self.run_list, self.data_list, self.inspector, self.timeline, self.message_bar, self.docks, self.log_pane):
            part.set_colors(colors)
        self._show_time()  # its label carries a colour of its own

    # Saying ---------------------------------------------------------------------------------------------------------

    def say(self, level: str, text: str, details: str = "") -> None:
        """One sentence in the message bar and in the log; details are one click away."""
        record = self.log.add(level, text, details)
        if details:
            self.message_bar.say(level, text, "Details", partial(self.log_pane.show_record, record))
        else:
            self.message_bar.say(level, text)

    def show_fault(self, record: Record) -> None:
        """An exception that nobody caught; it is in the log already."""
        self.message_bar.say(record.level, record.text, "Details", partial(self.log_pane.show_record, record))

    def copy_text(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.message_bar.say("info", f"Copied {text}")

    # Engine's events ------------------------------------------------------------------------------------------------

    def _ready(self, event: m.Ready) -> None:
        self.state.set_engine(event)
        cores = f"{event.cores} core{'s' if event.cores != 1 else ''}"
        self.top.device.setText(f"{event.device} · {cores} · {event.precision}")
        versions = ", ".join(f"{name} {version}" for name, version in event.versions.items())
        self.top.device.setToolTip(f"New runs train here, in {event.precision}. {versions}. Ready after {event.seconds:.1f} s.")
        self.top.device.setAccessibleName(f"Device: {self.top.device.text()}")

    def _runs_listed(self, event: m.RunsListed) -> None:
        self.state.set_runs(event.runs, event.root)
        if self._first_list:
            self._first_list = False
            if self.state.run is None and self.settings.last_run in self.state.runs:
                self.state.set_run(self.settings.last_run)
            elif self.state.run is None and kind_of(self.settings.last_run) == "run":  # it lies outside the folder of the list
                self.intake.open_run(self.settings.last_run)
            elif self.state.run is None and event.runs:
                self.state.set_run(event.runs[0].run)
        self._choose_awaited()

    def _job_changed(self, event: m.JobChanged) -> None:
        if event.job in self._awaited and event.run:
            self._awaited[event.job] = event.run
        self.state.set_job(event)
        self._choose_awaited()

    def _choose_awaited(self) -> None:
        """Look at the run that was started or opened here, as soon as it is listed."""
        if self.intake.awaited in self.state.runs:
            self.state.set_run(self.intake.awaited)
            self.intake.awaited = ""
        for job, run in list(self._awaited.items()):
            if run and run in self.state.runs:
                del self._awaited[job]
                self.state.set_run(run)

    def _metrics(self, event: m.Metrics) -> None:
        if event.run != self.state.run or "loss" not in event.points:
            return
        if event.history:
            self.timeline.curve.clear()
        steps, values = event.points["loss"]
        self.timeline.curve.add(steps, values)
        self.timeline.update()

    def _ended(self, event: m.Ended) -> None:
        self._awaited.pop(event.job, None)
        job = self.state.jobs.get(event.job)
        self.state.end_job(event.job)
        if job is not None and job.kind == "work":
            return  # the pane that asked for it says how it ended
        if event.outcome == "failed":
            self.say("bad", event.message, event.details)
        elif event.message:
            self.say("good" if event.outcome == "ok" else "info", event.message, event.details)

    # Showing --------------------------------------------------------------------------------------------------------

    def _show_runs(self) -> None:
        """The list: trainings that have no folder yet first, then the runs."""
        trainings = [job for job in self.state.jobs.values() if job.kind == "train"]
        fresh = sorted((job for job in trainings if not job.run), key=lambda job: job.place)
        waiting = {info.run: info for info in map(waiting_run, fresh)}
        by_run = {job.run or WAITING + job.job: job for job in trainings}
        self.run_list.show_runs({**waiting, **self.state.runs}, by_run, self.state.run)
        self._show_time()
        self._show_verbs()

    def _methods_changed(self) -> None:
        self.new_run_page.set_engine(self.state.methods, self.state.engine)
        self._show_method()

    def _data_changed(self) -> None:
        self.new_run_page.set_data(self.state.data)
        self._show_data()

    def _show_data(self) -> None:
        self.data_list.show_data(self.state.data, self.state.selected_data)

    def _run_changed(self) -> None:
        run = self.state.run
        if self._followed is not None:
            self.bridge.send(m.UnfollowRun(self._followed))
        self._followed = run
        self._playing.stop()
        self._show_playing()
        self.timeline.curve.clear()
        self.timeline.update()
        if run is not None:
            self.bridge.send(m.FollowRun(run))
        self.inspector.show_described(None)
        self._show_runs()
        self._show_method()

    @property
    def form_is_open(self) -> bool:
        return self.pages.currentWidget() is self.new_run_page

    def _step_changed(self) -> None:
        self._show_time()
        if self.form_is_open:
            return  # the inspector tells of the method that is being chosen; `_show_method` asks when the form closes
        if self.state.run is None or self.state.step is None:
            self.inspector.show_described(None)
            self._show_waiting()
        elif not self._describing.isActive():
            self._describing.start()

    def _describe(self) -> None:
        info = self.state.run_info
        if info is None or self.state.step is None or self.form_is_open:
            return
        run, step = info.run, self.state.step

        def wanted() -> bool:
            return not self.form_is_open and (self.state.run, self.state.step) == (run, step)

        def answered(described: m.Described) -> None:
            if wanted():
                self.inspector.show_described(described)

        def failed(why: m.QueryFailed) -> None:
            if wanted():
                self.inspector.show_described(None)
                self.inspector.show_waiting(why.message)

        self.bridge.ask("inspector", m.Describe(run=run, step=step), answered, failed)

    def _show_method(self) -> None:
        if self.form_is_open:
            self.inspector.show_method(self.new_run_page.method_info, None)
            self.inspector.show_described(None)
            self.inspector.show_waiting("The numbers come with the first checkpoint.")
            return
        self.inspector.show_method(self.state.method_info, self.state.run_info)
        if self.state.run is not None and self.state.step is not None and not self.inspector.rows:
            self._describing.start()
        self._show_waiting()
        self._show_reasons()

    def _show_waiting(self) -> None:
        info = self.state.run_info
        if info is None:
            self.inspector.show_waiting("No run is chosen.")
        elif info.fault:
            self.inspector.show_waiting(info.fault)
        elif self.state.step is None:
            self.inspector.show_waiting("The first checkpoint comes with the first step.")
        elif not self.inspector.rows:
            self.inspector.show_waiting("Looking at this checkpoint…")

    def _show_reasons(self) -> None:
        self.docks.set_reasons({name: self._reason(dock.pane) for name, dock in self.docks.docks.items()})

    def _reason(self, pane: object) -> str:
        """Why a pane cannot be used with the chosen run; empty when it can."""
        needs: tuple[str, ...] = getattr(pane, "needs", ())
        info = self.state.run_info
        if info is None:
            if getattr(pane, "wants_run", False):
                return "Choose a run at the left, or start one with “New run”. This pane shows what it has learned."
            return ""
        if info.fault and needs:
            return info.fault
        method = self.state.method_info
        able = method.capabilities if method else info.capabilities
        missing = [need for need in needs if need not in able]
        if not missing or not (method or info.capabilities):
            return ""
        title = method.title if method else info.title or info.method
        lacking = " and cannot ".join(CANNOT.get(need, need) for need in missing)
        return f"{title} cannot {lacking}, which this pane needs. Choose a run of another method."

    def _show_time(self) -> None:
        state = self.state
        info = state.run_info
        if info is None:
            self.top.show_run("", "")
            self.step_label.setText("no run")
            self.timeline.show_checkpoints([], 0, 0, None, True)
            self.play.setEnabled(False)
            return
        job = state.job_of(state.run)
        progress = state.progress.get(job.job) if job else None
        now = max(info.step, progress.done if progress and progress.unit == "step" else 0)
        total = info.total_steps
        self.top.show_run(
            f"{info.title or info.method} · {info.data_name}",
            f"step {formatting.count(now)}" + (f" of {formatting.count(total)}" if total else ""),
        )
        steps = [c.step for c in state.checkpoints]
        self.timeline.show_checkpoints(steps, now, total, state.step, state.cursor is None)
        self.play.setEnabled(len(steps) > 1)
        color = theme.colors(state.theme).text
        shown = "–" if state.step is None else formatting.count(state.step)
        self.step_label.setText(f'step <span style="color:{color}; font-weight:600">{shown}</span> of {formatting.count(now)}')

    def _show_progress(self, job: str) -> None:
        mine = self.state.job_of(self.state.run)
        if mine is not None and mine.job == job:
            self.verbs.show_progress(self.state.progress.get(job))
            self._show_time()

    def _show_verbs(self) -> None:
        job = self.state.job_of(self.state.run)
        self.verbs.show_run(self.state.run_info, job, self.state.progress.get(job.job) if job else None)

    def _fill_run_menu(self) -> None:
        menu: QMenu = self.top.run_menu
        menu.clear()
        for run, info in self.state.runs.items():
            action = menu.addAction(f"{info.title or info.method} · {info.data_name}   {info.name}")
            action.setCheckable(True)
            action.setChecked(run == self.state.run)
            action.triggered.connect(lambda _checked=False, run=run: self.choose_run(run))
        if not self.state.runs:
            menu.addAction("No runs yet").setEnabled(False)

    # Doing ----------------------------------------------------------------------------------------------------------

    def choose_run(self, run: str) -> None:
        if run.startswith(WAITING):
            self.message_bar.say(
                "info", "This training has not begun, so there is nothing to look at yet. Right-click it for its place in the queue."
            )
        else:
            self.state.set_run(run)

    def choose_data(self, data: str) -> None:
        """Look at a data set, in the pane for it."""
        self.state.select_data(data)
        self.show_pane(self.docks.named("Data"))

    def do(self, verb: str, run: str | None) -> None:
        """One of the verbs of `JobVerbs` and `RunList` on a run."""
        if run is None:
            return
        job = self.state.jobs.get(run.removeprefix(WAITING)) if run.startswith(WAITING) else self.state.job_of(run)
        if run == self.state.run:
            self.verbs.acknowledge(verb)
        if verb == "delete":
            self.bridge.send(m.DeleteRun(run))
        elif job is None:
            return
        elif verb in ("first", "earlier", "later"):
            place = {"first": 0, "earlier": max(0, job.place - 1), "later": job.place + 1}[verb]
            self.bridge.send(m.MoveJob(job.job, place))
        else:
            command = {"pause": m.PauseJob, "resume": m.ResumeJob, "stop": m.StopJob, "discard": m.DiscardJob}[verb]
            self.bridge.send(command(job.job))

    def ask_continue(self, run: str) -> None:
        """Choose the run and ask how much further."""
        self.state.set_run(run)
        info = self.state.runs.get(run)
        if info is not None and info.total_steps and info.step < info.total_steps:
            self.verbs.more.setValue(info.total_steps - info.step)
        self.verbs.ask_continue()

    def continue_run(self, steps: int) -> None:
        if self.state.run is not None:
            self.bridge.send(m.ContinueRun(self.bridge.new_job("train"), self.state.run, steps=steps))

    def pause_or_resume(self) -> None:
        job = self.state.job_of(self.state.run)
        if job is not None:
            self.do("resume" if job.state == "paused" else "pause", self.state.run)

    def take(self, paths: list[str]) -> None:
        """Open files and folders as if they were dropped."""
        self.intake.take(paths)

    def new_run(self, method: str | None = None, data: str | None = None, settings: Mapping[str, Any] | None = None) -> None:
        """Show the form, for a method, a data set and settings when they are given; else for the data set that is chosen at the left."""
        data = data or self.state.selected_data
        if method:
            self.new_run_page.choose_method(method)
        if method in self.state.methods and settings:
            for field in self.state.methods[method].fields:
                if field.name in settings:
                    self.new_run_page.draft.set(method, field, settings[field.name])
        if data:
            self.new_run_page.choose_data(data)
        self.pages.setCurrentWidget(self.new_run_page)
        self.new_run_page.method.setFocus()

    def start_run(self, request: m.StartRun) -> None:
        job = self.bridge.new_job("train")
        self._awaited[job] = ""
        self.bridge.send(replace(request, job=job))
        self.show_panes()
        self.message_bar.say("info", "The run is queued; it appears at the left with its first step.")

    def show_panes(self) -> None:
        """Back from the form or the shortcuts to the panes."""
        self.pages.setCurrentWidget(self.docks)

    def show_pane(self, name: str) -> None:
        """Bring a pane to the front, by its class name, whatever lies over the panes now."""
        self.show_panes()
        self.docks.show_pane(name)

    def walk(self, by: int) -> None:
        """The next or the previous pane."""
        self.show_pane(self.docks.neighbour(by))

    def show_shortcuts(self) -> None:
        self.shortcuts_page.fill()
        self.pages.setCurrentWidget(self.shortcuts_page)
        self.shortcuts_page.setFocus()

    def toggle_log(self) -> None:
        if self.log_pane.isVisible():
            self.log_pane.hide()
        else:
            self.log_pane.show_newest()

    def open_log_folder(self) -> None:
        if self.log.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.log.path.parent)))

    def about(self) -> None:
        ready = self.state.engine
        versions = ", ".join(f"{name} {version}" for name, version in ready.versions.items()) if ready else "the engine is still starting"
        device = f"New runs train on {ready.device} in {ready.precision}. " if ready else ""
        self.say("info", f"Priorama: priors, likelihoods, latents. {device}{versions}. Runs lie in {self.state.root or '…'}.")

    def tear_off(self) -> None:
        self.show_panes()
        if self.docks.front is not None:
            self.docks.front.toggle_floating()

    def toggle_fullscreen(self) -> None:
        if self.isFullScreen():
            self.showNormal()
        else:
            self.showFullScreen()

    def open_run_folder(self) -> None:
        if self.state.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(self.state.run))

    # Finding --------------------------------------------------------------------------------------------------------

    def find(self) -> None:
        self.finder.open(self.findable())

    def findable(self) -> list[Item]:
        """Everything the palette reaches: actions (panes are among them), runs, data."""
        items = []
        for entry in self.registry.entries.values():
            kind = "pane" if entry.name.startswith("pane.") else "action"
            action = entry.action
            items.append(
                Item(
                    action.text().replace("&&", "&"),
                    kind,
                    action.trigger,
                    f"{kind} · {entry.keys}" if entry.keys else kind,
                    action.isEnabled(),
                )
            )
        for run, info in self.state.runs.items():
            items.append(
                Item(f"{info.title or info.method} · {info.data_name}", "run", partial(self.choose_run, run), f"run · {info.name}")
            )
        for data, one in self.state.data.items():
            items.append(Item(one.name, "data", partial(self.choose_data, data), f"data · {one.summary}"))
        return items

    # Dropping -------------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self._drag_entered(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_sign.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self._dropped(event)

    def _drag_entered(self, event: QDragEnterEvent, dock: PaneDock | None = None) -> None:
        """`dock` is the pane that the mouse is over."""
        paths = self.intake.paths_of(event.mimeData())
        if paths:
            event.acceptProposedAction()
            over = dock if dock is not None and dock.isFloating() else self
            self.drop_sign.show_for(self.intake.foretell(paths, dock), over)

    def _dropped(self, event: QDropEvent, dock: PaneDock | None = None) -> None:
        self.drop_sign.hide()
        paths = self.intake.paths_of(event.mimeData())
        event.acceptProposedAction()
        QTimer.singleShot(0, self, lambda: self.intake.take(paths, dock=dock))  # the other program waits until this returns

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.finder.isVisible():
            self.finder.place()

    # Playing --------------------------------------------------------------------------------------------------------

    def toggle_play(self) -> None:
        """Walk through the checkpoints, from the first one when the newest is shown."""
        if self._playing.isActive():
            self._playing.stop()
        elif len(self.state.checkpoints) > 1:
            if self.state.step == self.state.checkpoints[-1].step:
                self.state.set_cursor(self.state.checkpoints[0].step)
            self._playing.start()
        self._show_playing()

    def _play_on(self) -> None:
        steps = [c.step for c in self.state.checkpoints]
        later = [s for s in steps if self.state.step is not None and s > self.state.step]
        if len(later) <= 1:
            self.state.set_cursor(None)
            self._playing.stop()
            self._show_playing()
        else:
            self.state.set_cursor(later[0])

    def _show_playing(self) -> None:
        self.play.setText("❚❚" if self._playing.isActive() else "▶")
        self.play.setAccessibleName("Stop playing" if self._playing.isActive() else "Play through the checkpoints")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.toggle_play()
        elif event.key() == Qt.Key.Key_Escape and self.pages.currentWidget() is not self.docks:
            self.show_panes()
        else:
            super().keyPressEvent(event)


CANNOT = {
    "encode": "encode images",
    "decode": "decode latents",
    "log_prob": "say how likely an image is",
    "sample": "draw samples",
    "classify": "classify",
    "views": "show its views",
}
