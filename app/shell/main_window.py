"""The main window: top line, runs and data at the left, panes in the centre, inspector at the right, the time cursor below.

It wires the shared state, the bridge and the parts of the window together; it knows no pane and no method by name. Importing it
loads neither numpy nor pyqtgraph: panes are imported and built after the first paint, and the engine starts after that, so that
the window need not share Python with the import of torch, and no two threads import at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent, QPaintEvent, QResizeEvent, QUndoStack
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QMainWindow, QPushButton, QVBoxLayout, QWidget

from app.panes import Context, find_panes
from app.shell import commands, theme
from app.shell import settings as stored
from app.shell.actions import MENUS, Actions
from app.shell.bottom_bar import BottomBar
from app.shell.bridge import Bridge, EngineLike
from app.shell.centre import Centre
from app.shell.drop_handler import DropHandler
from app.shell.drop_target import DropTarget
from app.shell.focus_guard import FocusGuard, attention
from app.shell.inspector import Inspector
from app.shell.inspector_controller import InspectorController
from app.shell.latest_query import LatestQuery
from app.shell.left_side import LeftSide
from app.shell.listed_data import ListedDataController
from app.shell.palette import Item, Palette
from app.shell.palette_items import palette_items, pane_items
from app.shell.pane_availability import why_unavailable
from app.shell.plain_text import set_tip
from app.shell.playback import Playback
from app.shell.run_actions import RunActions
from app.shell.session_log import Log
from app.shell.settings import Settings
from app.shell.side_fold import SideFold
from app.shell.state import State
from app.shell.theme_switch import ThemeSwitch
from app.shell.top_bar import TopBar
from app.widgets.parts import offer
from engine import messages as m


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

        self.themes = ThemeSwitch(self.settings, self.state, self)
        self._build()
        self._connect_engine()
        self._connect_parts()
        self._add_actions()
        self._apply_theme()
        self._show_time()
        if self.settings.geometry:
            self.restoreGeometry(QByteArray.fromBase64(self.settings.geometry.encode()))

    # Parts ----------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.top = TopBar(self.state)
        self.left = LeftSide(self.state)
        self.run_list, self.data_list = self.left.run_list, self.left.data_list
        self.centre = Centre(self.state, self.registry, self.undo, self.log)
        self.docks, self.pages = self.centre.docks, self.centre.pages
        self.new_run_page, self.message_bar = self.centre.new_run_page, self.centre.message_bar
        self.right = QFrame()
        self.right.setObjectName("right")
        self.right.setFixedWidth(theme.RIGHT_WIDTH)
        self.inspector = Inspector()
        right = QVBoxLayout(self.right)
        right.setContentsMargins(1, 0, 0, 0)
        right.addWidget(self.inspector)
        self.bottom = BottomBar(self.state)
        self.timeline, self.verbs = self.bottom.timeline, self.bottom.verbs

        middle = QHBoxLayout()
        middle.setSpacing(0)
        self.left_fold = SideFold(self.left, "Runs and data", self.settings.left, self.settings.left_small)
        self.right_fold = SideFold(self.right, "Inspector", self.settings.right, self.settings.right_small)
        for widget, stretch in (
            (self.left_fold.strip, 0), (self.left, 0), (self.centre, 1), (self.right, 0), (self.right_fold.strip, 0),
        ):  # fmt: skip
            middle.addWidget(widget, stretch)
        body = QWidget()
        whole = QVBoxLayout(body)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.top)
        whole.addWidget(self.message_bar)
        whole.addLayout(middle, 1)
        whole.addWidget(self.bottom)
        self.setCentralWidget(body)
        for fold in (self.left_fold, self.right_fold):
            fold.fit(self.width())
        body.setFocus()  # no button is chosen at the start, and Space plays
        self.finder = Palette(self)

        self.playback = Playback(self.state, self)
        self.runs = RunActions(
            self.state, self.bridge, self.verbs, self.message_bar.say, self.settings.last_run, lambda: attention(self, self.centre), self
        )
        self.focus_guard = FocusGuard(self, self.centre)
        self.inspection = InspectorController(
            self.inspector, self.state, self.bridge, self.centre.form_is_open, lambda: self.new_run_page.method_info, self
        )
        self.drop_handler = DropHandler(self.centre, self.state, self.bridge, self.settings, self.runs.open, self.runs.take_in, self)
        self.drop_target = DropTarget(self, self.drop_handler)

    def _connect_engine(self) -> None:
        bridge, state = self.bridge, self.state
        bridge.on(m.Ready, self._ready)
        bridge.on(m.RunsListed, self.runs.listed)
        bridge.on(m.RunImported, self.runs.imported)
        bridge.on(m.DataListed, lambda event: state.set_data(event.data))
        bridge.on(m.DataReport, self.new_run_page.note_report)
        bridge.on(m.JobChanged, self._job_changed)
        bridge.on(m.Progress, state.set_progress)
        bridge.on(m.Metrics, self._metrics)
        bridge.on(m.CheckpointSaved, lambda event: state.checkpoint_saved(event.run, event.step, event.resumable))
        bridge.on(m.Stalled, lambda event: self.say("warning", event.message))
        bridge.on(m.Ended, self._ended)
        bridge.on(m.Notice, lambda event: self.say(event.level, event.text, event.details))
        bridge.on(m.QueryFailed, lambda event: self.say("warning", event.message, event.details))

    def _connect_parts(self) -> None:
        bridge, state, runs = self.bridge, self.state, self.runs
        state.runs_changed.connect(self._show_runs)
        state.runs_changed.connect(self._show_availability)
        state.jobs_changed.connect(self._show_runs)
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.cursor_changed.connect(self._show_time)
        state.cursor_changed.connect(self.inspection.show_choice)
        state.runs_changed.connect(self.inspection.show_choice)
        state.progress_changed.connect(self._show_progress)
        state.methods_changed.connect(self._methods_changed)
        state.data_changed.connect(self._data_changed)
        state.selected_data_changed.connect(self.left.show_data)
        state.theme_changed.connect(self._apply_theme)
        state.run_gone.connect(self.message_bar.settle)
        state.run_proposed.connect(self.new_run)
        state.handed_over.connect(self.centre.hand_over)
        state.data_opened.connect(self.new_run_page.wish_data)
        state.data_used.connect(self.new_run_page.wish_data)
        state.data_page_wanted.connect(lambda: self.centre.show_pane(self.docks.data_page()))

        self.run_list.chosen.connect(runs.choose)
        self.run_list.delete_chosen.connect(lambda run: runs.do("delete", run))
        self.run_list.continue_chosen.connect(runs.ask_continue)
        self.run_list.repeat_chosen.connect(runs.repeat)
        self.run_list.final_chosen.connect(runs.read_final_figures)
        self.run_list.export_chosen.connect(runs.ask_export)
        self.run_list.start_again_chosen.connect(runs.start_again)
        self.run_list.verb_chosen.connect(lambda run, verb: runs.do(verb, run))
        self.run_list.open_folder_chosen.connect(runs.show_folder)
        self.run_list.copy_path_chosen.connect(self.centre.copy)
        self.data_list.chosen.connect(self.centre.show_data)
        self.data_list.forget_chosen.connect(lambda data: bridge.send(m.ForgetData(data)))
        self.data_list.copy_path_chosen.connect(self.centre.copy)
        self.listed_data = ListedDataController(self.data_list, state, bridge, self)
        self.data_list.train_chosen.connect(lambda data: self.new_run(data=data))
        self.verbs.chosen.connect(runs.do_to_chosen)
        self.verbs.continue_to.connect(runs.continue_to)
        self.top.run_chosen.connect(runs.choose)
        self.new_run_page.started.connect(self._start_run)
        folders = LatestQuery(self.bridge, "form.folder", lambda query, answer: self.new_run_page.note_folder(query.path, answer.fault))
        self.new_run_page.folder_named.connect(lambda kind, path: folders.want(m.InspectFolder(kind=kind, path=path)))
        self.new_run_page.method_changed.connect(lambda _name: self.inspection.show_method())
        self.pages.currentChanged.connect(lambda _page: self.inspection.show_method())
        self.playback.changed.connect(self.bottom.show_playing)
        self.log.faulted.connect(self.centre.show_record)

    def _add_actions(self) -> None:
        registry, centre = self.registry, self.centre
        commands.add_file_actions(registry, self.new_run, self.drop_handler, self.close)
        commands.add_edit_actions(registry, self.undo, self.drop_handler.paste)
        commands.add_run_actions(registry, self.runs, lambda: self.state.run and centre.copy(self.state.run))
        commands.add_view_actions(registry, self.find, self.themes, self.left_fold, self.right_fold, centre, self.toggle_fullscreen)
        commands.add_go_actions(registry, self.playback, self.bottom, self.state, centre)
        commands.add_help_actions(registry, centre, self.about)
        self.menus = {name: self.top.menus.addMenu(name) for name in MENUS}
        self._fill_menus()
        registry.changed.connect(self._fill_menus)
        self._bind(self.top.theme_button, "view.theme")
        self._bind(self.bottom.play, "go.play")
        self._bind(self.left.new_button, "run.new")
        self._bind(self.top.device, "help.about")
        self.top.search.pressed.connect(self.find)
        to_open = [registry[name] for name in ("file.open_run", "data.open", "data.open_file", "file.open_image")]
        self.left.offer_to_open(to_open, self.settings, self.take)
        offer(self.new_run_page.other, (registry["data.open"], registry["data.open_file"]))

    def _fill_menus(self) -> None:
        """Put actions that were added since into their menus."""
        for entry in self.registry.entries.values():
            menu = self.menus[entry.menu]
            if entry.action not in menu.actions():
                menu.addAction(entry.action)
                self.addAction(entry.action)

    def _bind(self, button: QPushButton, name: str) -> None:
        """Let a button do an action and say so."""
        entry = self.registry.entries[name]
        button.clicked.connect(entry.action.trigger)
        set_tip(button, f"{entry.action.statusTip()} ({entry.keys})" if entry.keys else entry.action.statusTip())
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
        self.centre.end_loading()
        self.docks.build(find_panes(), context)
        self.docks.set_colors(theme.colors(self.state.theme))
        for name, dock in self.docks.docks.items():
            self.registry.add_pane(name, dock.pane.title, dock.pane.about, partial(self.show_pane, name))
            self.drop_target.watch(dock)
        if self.settings.layout and not self.docks.restore_layout(self.settings.layout):
            self.say("info", "The layout of the panes is of another version, so they stand as new.")
        if self.settings.pane:
            self.docks.show_pane(self.settings.pane)
        self._show_availability()
        if self._note:
            self.say("warning", self._note)
        self.panes_built.emit()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.finish()
        super().closeEvent(event)

    def finish(self) -> None:
        """Keep the settings and end the engine; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.focus_guard.stop()
        self.playback.stop()
        self.inspection.stop()
        self.verbs.rest()
        self.themes.stop()
        self._keep_settings()
        self.undo.clear()
        self.drop_handler.close()
        self.ended_in_time = self.bridge.close()

    def _keep_settings(self) -> None:
        kept = self.settings
        kept.geometry = bytes(self.saveGeometry().toBase64().data()).decode()
        if self.docks.docks:
            kept.layout = self.docks.layout_state()
            kept.pane = type(self.docks.front.pane).__name__ if self.docks.front else ""
        kept.last_run = self.state.run or kept.last_run
        kept.left, kept.left_small = self.left_fold.wide, self.left_fold.small
        kept.right, kept.right_small = self.right_fold.wide, self.right_fold.small
        if self.settings_path is not None:
            sentence = stored.save(kept, self.settings_path)
            if sentence:
                self.log.add("warning", sentence)

    # Engine's events ------------------------------------------------------------------------------------------------

    def _ready(self, event: m.Ready) -> None:
        self.state.set_engine(event)
        self.top.show_engine(event)

    def _job_changed(self, event: m.JobChanged) -> None:
        self.runs.job_changed(event)
        if event.state == "running":
            self.message_bar.settle(event.run)

    def _metrics(self, event: m.Metrics) -> None:
        self.bottom.add_metrics(event)

    def _ended(self, event: m.Ended) -> None:
        job = self.runs.ended(event)
        if job is not None and job.kind == "work":
            return  # the pane that asked for it says how it ended
        kind, label = ("", "") if job is None else (job.kind, job.label)
        about = event.run or f"{kind} {label}".strip()  # the run or the data set alone where one is named: others say nothing about it
        if event.outcome == "failed":
            self.centre.say("bad", event.message, event.details, frozenset((about,)))
            return
        if event.outcome == "ok":
            self.message_bar.settle(about)
        if event.message:
            self.say("good" if event.outcome == "ok" else "info", event.message, event.details)

    # Showing --------------------------------------------------------------------------------------------------------

    def _apply_theme(self) -> None:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        theme.apply_theme(app, self.state.theme, self.docks.behind())
        colors = theme.colors(self.state.theme)
        for part in (self.left, self.inspector, self.centre, self.bottom, self.left_fold.strip, self.right_fold.strip):
            part.set_colors(colors)

    def _show_runs(self) -> None:
        self.left.show_runs()
        self.new_run_page.set_names(frozenset(info.name for info in self.state.runs.values()))
        self._show_time()
        self.bottom.show_verbs()

    def _show_time(self) -> None:
        self.top.show_time()
        self.bottom.show_time()

    def _show_progress(self, job: str) -> None:
        mine = self.state.job_of(self.state.run)
        if mine is not None and mine.job == job:
            self.verbs.show_progress(self.state.progress.get(job))
            self._show_time()

    def _show_availability(self) -> None:
        """Which panes are empty for the chosen run, and why."""
        info, method = self.state.run_info, self.state.method_info
        self.docks.set_availability(
            {name: why_unavailable(dock.pane, info, method, loading=not self.state.root) for name, dock in self.docks.docks.items()}
        )

    def _run_changed(self) -> None:
        self.playback.stop()
        self.new_run_page.wish_data("")
        self.bottom.clear_curve()
        self.runs.follow_chosen()
        self._show_runs()
        self.inspection.run_changed()
        self._show_availability()

    def _step_changed(self) -> None:
        self._show_time()
        self.inspection.step_changed()

    def _methods_changed(self) -> None:
        self.new_run_page.set_engine(self.state.methods, self.state.engine)
        self.inspection.show_method()
        self._show_availability()

    def _data_changed(self) -> None:
        self.new_run_page.set_data(self.state.data)
        self.left.show_data()

    # Doing ----------------------------------------------------------------------------------------------------------

    def say(self, level: str, text: str, details: str = "") -> None:
        """One sentence in the message bar and in the log; details are one click away."""
        self.centre.say(level, text, details)

    def choose_run(self, run: str) -> None:
        """Look at a run, by its folder."""
        self.runs.choose(run)

    def new_run(self, method: str | None = None, data: str | None = None, settings: Mapping[str, Any] | None = None) -> None:
        """Show the form for a new run, filled in with what is given."""
        self.centre.new_run(method, data, settings)

    def _start_run(self, request: m.StartRun) -> None:
        self.centre.show_panes()
        self.runs.start(request)

    def take(self, paths: list[str]) -> None:
        """Open files and folders as if they were dropped."""
        self.drop_handler.take(paths)

    def show_pane(self, name: str) -> None:
        """Bring a pane to the front, by its class name."""
        self.centre.show_pane(name)

    def set_theme(self, name: str) -> None:
        """ "dark", "light" or "system"."""
        self.themes.choose(name)

    def findable(self) -> list[Item]:
        """Everything the palette reaches now."""
        found = palette_items(self.registry, self.state, self.choose_run, self.centre.show_data)
        for name, dock in self.docks.docks.items():
            if not dock.why:
                found += pane_items(dock.pane, dock.pane.title, partial(self.show_pane, name))
        return found

    def find(self) -> None:
        self.finder.open(self.findable())

    def about(self) -> None:
        ready = self.state.engine
        versions = ", ".join(f"{name} {version}" for name, version in ready.versions.items()) if ready else "the engine is still starting"
        device = f"New runs train on {ready.device} in {ready.precision}. " if ready else ""
        self.say("info", f"Priorama: priors, likelihoods, latents. {device}{versions}. Runs lie in {self.state.root or '…'}.")

    def toggle_fullscreen(self) -> None:
        if self.isFullScreen():
            self.showNormal()
        else:
            self.showFullScreen()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for fold in (self.left_fold, self.right_fold):
            fold.fit(self.width())
        if self.finder.isVisible():
            self.finder.place()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            self.playback.toggle()
        elif event.key() == Qt.Key.Key_Escape and not self.centre.panes_are_seen():
            self.centre.show_panes()
        else:
            super().keyPressEvent(event)
