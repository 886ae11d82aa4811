"""The left side: the list of runs, the buttons that begin or open something, the list of data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from PySide6.QtCore import QSize
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QVBoxLayout

from app.shell import theme
from app.shell.data_list import DataList
from app.shell.inspector import heading
from app.shell.run_list import RunList
from app.shell.run_standing import WAITING, newest_first, waiting_run
from app.shell.settings import Settings
from app.shell.state import State

DATA_SHARE = 0.3  # of the height, that the data sets have at least


class LeftSide(QFrame):
    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state
        self.setObjectName("left")
        self.setFixedWidth(theme.LEFT_WIDTH)
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
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 18, 1, 0)
        column.setSpacing(0)
        runs_heading, data_heading = heading("Runs"), heading("Data")
        runs_heading.setContentsMargins(16, 0, 0, 8)
        data_heading.setContentsMargins(16, 0, 0, 8)
        column.addWidget(runs_heading)
        column.addWidget(self.run_list)
        column.addLayout(buttons)
        column.addWidget(data_heading)
        column.addWidget(self.data_list)
        column.addStretch(1)

    def minimumSizeHint(self) -> QSize:
        """Without what the data sets keep: it depends on the height."""
        least, kept = super().minimumSizeHint(), self.data_list.kept
        with_it = self.data_list.minimumSizeHint().height()
        self.data_list.kept = 0
        without = self.data_list.minimumSizeHint().height()
        self.data_list.kept = kept
        return QSize(least.width(), least.height() - with_it + without)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.data_list.keep(round(DATA_SHARE * self.height()))

    def offer_to_open(self, actions: Iterable[QAction], settings: Settings, take: Callable[[list[str]], object]) -> None:
        """Fill the menu of “Open…”: actions, and what was opened before."""
        menu = QMenu(self)
        menu.addActions(list(actions))
        recent = menu.addMenu("Recent")

        def fill() -> None:
            recent.clear()
            for path in settings.recent:
                action = recent.addAction(path)
                action.setEnabled(os.path.exists(path))
                action.triggered.connect(lambda _checked=False, path=path: take([path]))
            if not settings.recent:
                recent.addAction("Nothing was opened yet").setEnabled(False)

        recent.aboutToShow.connect(fill)
        self.open_button.setMenu(menu)

    def set_colors(self, colors: theme.Colors) -> None:
        self.run_list.set_colors(colors)
        self.data_list.set_colors(colors)

    def show_runs(self) -> None:
        """Trainings that have no folder yet first, then the runs."""
        state = self.state
        trainings = [job for job in state.jobs.values() if job.kind == "train"]
        by_run = {job.run or WAITING + job.job: job for job in trainings}
        fresh = sorted((job for job in trainings if not job.run), key=lambda job: job.place)
        begun = [run for run, info in state.runs.items() if info.status == "training" and not info.elsewhere and run not in by_run]
        for job in [job for job in fresh if job.state == "running"][: len(begun)]:  # its folder is listed before the job has told it
            by_run[begun[0]] = by_run.pop(WAITING + job.job)
            fresh.remove(job)
        labels = [job.label for job in fresh]
        waiting = {info.run: info for info in (waiting_run(job, state.methods, labels.count(job.label) > 1) for job in fresh)}
        self.run_list.set_loaded(bool(state.root))
        self.run_list.show_runs({**waiting, **newest_first(state.runs)}, by_run, state.run)

    def show_data(self) -> None:
        self.data_list.show_data({**self.state.data, **self.state.lost_data}, self.state.selected_data)
