"""What is in a data set: counts, classes, bad files, duplicates, the images themselves, and what the network will really see.

The pane only puts its parts together: `inspection` asks what is in a set, `report_column` says it, `browser` shows pages of it,
`import_page` shows how it was read and changes that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.panes.data.browser import DataBrowser
from app.panes.data.decisions import decisions_may_help
from app.panes.data.export import DataExports
from app.panes.data.import_page import ImportPage
from app.panes.data.inspection import InspectionController, InspectionPage
from app.panes.data.report_column import ReportColumn
from app.shell import theme
from app.widgets.parts import EmptyState, offer
from engine.common.data_names import short_name
from engine.messages import DataReport, Ended, ListData

BEFORE = "Of the set as it was before the changed decisions; “Use as data set” shows the new one."


class DataPane(Pane):
    title = "Data"
    order = 10
    wants_run = False
    is_data_page = True
    about = "What is in a data set, and what the network will really see of it."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False
        self.inspection = InspectionController(context, self)
        self.inspection_page = InspectionPage()
        self.report_column = ReportColumn()
        self.browser = DataBrowser(context)
        self.import_page = ImportPage(context)
        self.importing: str | None = None  # the set whose import is looked at, in place of its images
        self._keep = False  # the decisions of the form stand, whatever the name of the set that comes says
        self.exports = DataExports(self.browser, self.report_column.balance.bars, self)
        self._build()
        self._connect()
        self._restyle()
        self._selected()

    def _build(self) -> None:
        self.stack = QStackedWidget()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.stack)
        self.empty = EmptyState("", "", (("Open data…", None),))
        offer(self.empty.buttons[0], (self.context.actions["data.open"], self.context.actions["data.open_file"]))
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.inspection_page)
        page = QWidget()
        self.stack.addWidget(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        columns.addWidget(self.report_column)
        columns.addWidget(self.browser, 1)
        self.stack.addWidget(self.import_page)

    def _connect(self) -> None:
        state, balance = self.context.state, self.report_column.balance
        state.data_opened.connect(self._opened)
        state.selected_data_changed.connect(self._selected)
        state.run_changed.connect(self._run_changed)
        state.runs_changed.connect(self._run_changed)
        state.theme_changed.connect(self._restyle)
        self.inspection.began.connect(self._show_inspection)
        self.inspection.progressed.connect(self.inspection_page.show_progress)
        self.inspection.sampled.connect(self._on_sample)
        self.inspection.reported.connect(self._on_report)
        self.inspection.failed.connect(self._on_failure)
        self.inspection_page.cancel_asked.connect(self._cancel_inspection)
        self.browser.filter_changed.connect(self._show_balance)
        self.browser.curation.changed.connect(self._show_curated)
        balance.bars.picked.connect(self.browser.toggle_class)
        balance.export_asked.connect(self._open_chart_menu)
        self.report_column.bad_files.export_asked.connect(partial(self.exports.ask, "bad"))
        self.exports.reported.connect(self.browser.line.set_text)
        self.report_column.import_asked.connect(self.show_import)
        self.report_column.train_asked.connect(self._train)
        page = self.import_page
        page.images_asked.connect(self.show_images)
        page.used.connect(self._use)
        page.wanted.connect(self._show_undone)
        page.summary.bad_files.export_asked.connect(self._ask_bad)
        self.exports.reported.connect(page.status.set_text)

    # ------------------------------------------------------------------------------------------------ which data set

    @property
    def data(self) -> str | None:
        """What is looked at: the chosen set, otherwise that of the run."""
        state = self.context.state
        return state.selected_data or (state.run_info.data if state.run_info else None)

    @property
    def job(self) -> str:
        """The inspection under way."""
        return self.inspection.job

    @property
    def asked(self) -> str:
        """The data set that is being inspected."""
        return self.inspection.asked

    def activate(self) -> None:
        self.shown = self.browser.active = self.import_page.active = True
        self._selected()

    def deactivate(self) -> None:
        self.shown = False
        self.browser.hide_page()
        self.import_page.hide_page()

    def closeEvent(self, event: Any) -> None:
        self.context.bridge.forget("data")
        self.import_page.leave()
        self.import_page.hide_page()
        super().closeEvent(event)

    def _selected(self) -> None:
        data = self.data
        if data is None:
            self.browser.report = None
            self.import_page.leave()
            self.stack.setCurrentIndex(0)
            self.empty.say(
                "No data set chosen",
                "Choose one at the left, open a folder of images, an .npz or a text, or drop a folder on the window. "
                "Nothing is copied and nothing is trained before you say so.",
            )
            return
        if not self.shown:
            return
        if data in self.inspection.reports:
            self._show_report(self.inspection.reports[data])
        elif self.import_page.keeps(data):
            self.stack.setCurrentIndex(3)  # the form waits for other decisions, or the whole for its end
        elif self.inspection.asked != data:
            self.inspection.inspect(data)
        else:
            self.stack.setCurrentIndex(1)  # it is being looked into

    def _opened(self, data: str) -> None:
        """A set that is opened or dropped is not taken over in silence: its import is looked at first."""
        self.importing = data
        self.import_page.forget()

    def show_import(self) -> None:
        """How the set was read, in place of its images."""
        self.importing = self.data
        self._selected()

    def show_images(self) -> None:
        """The images of the set as the list has it."""
        self.importing = None
        self._selected()

    def _ask_bad(self) -> None:
        if self.import_page.report is not None:
            self.exports.ask_bad_of(self.import_page.report)

    def _use(self, report: DataReport) -> None:
        """A set as it is read by the decisions becomes one of the list, and the one for the next run."""
        self.inspection.reports[report.data] = report
        self.context.bridge.send(ListData(report.data))
        self.importing = None
        self.context.state.data_used.emit(report.data)
        if report.data == self.context.state.selected_data:
            self._selected()
        else:
            self.context.state.select_data(report.data)

    def _train(self) -> None:
        """Describe a new run on the set that is looked at."""
        if self.data is not None:
            self.context.state.data_used.emit(self.data)
            self.context.actions["run.new"].trigger()

    def _show_undone(self, path: str) -> None:
        """What was undone is seen."""
        if self.stack.currentWidget() is self.import_page and self.import_page.path == path:
            return
        self._keep, self.importing = True, path
        if self.context.state.selected_data == path:
            self._selected()
        else:
            self.context.state.select_data(path)

    def _run_changed(self) -> None:
        report = self.browser.report
        if self.context.state.selected_data is None and (report is None or report.data != self.data):
            self.browser.network_view.show_run(self.context.state.run_info)
            self._selected()
        else:
            self.browser.run_changed()

    # ------------------------------------------------------------------------------------------------ what is seen

    def _show_inspection(self, data: str) -> None:
        known = self.context.state.data.get(data)
        self.inspection_page.begin(known.name if known else short_name(data))
        self.stack.setCurrentIndex(1)

    def _cancel_inspection(self) -> None:
        if self.inspection.cancel():
            self.inspection_page.show_stopping()

    def _on_sample(self, report: DataReport) -> None:
        """What is known of a set that was opened is shown before all of it is read."""
        if self.shown and report.data == self.data == self.importing and not self._keep:
            self.import_page.show_sample(report)
            self.stack.setCurrentIndex(3)

    def _on_report(self, report: DataReport) -> None:
        if self.shown and report.data == self.data:
            self._show_report(report)

    def _on_failure(self, data: str, event: Ended) -> None:
        if data != self.data:
            return
        if self.import_page.sample_of == data:  # the page says so itself
            if event.outcome == "stopped" and self.import_page.preview.job != event.job:  # by a decision: the set is not lost from the list
                self.context.bridge.send(ListData(data))
            return
        if event.outcome == "failed" and decisions_may_help(data, event.message):
            self.import_page.show_failure(data, event.message)
            self.stack.setCurrentIndex(3)
            return
        self.stack.setCurrentIndex(0)
        if event.outcome == "stopped":
            self.empty.say("Stopped looking", "Choose the set again to read it, or open another one.")
        else:
            self.empty.say("This data set cannot be used", event.message)

    def _show_report(self, report: DataReport) -> None:
        if self.importing == report.data and report.understood is not None:
            if self.import_page.shown is not report or self._keep:
                self.import_page.show_report(report, keep=self._keep)
            self._keep = False
            self.stack.setCurrentIndex(3)
            return
        self.import_page.leave()
        self.stack.setCurrentIndex(2)
        if self.browser.report is not report:
            self.report_column.show_report(report)
        self.browser.show_report(report)
        self.browser.set_note(BEFORE if self.import_page.decided_otherwise(report) else "")
        self._show_curated()

    def _show_curated(self) -> None:
        curation = self.browser.curation
        self.report_column.say_curated(curation.data, curation.told)

    def _show_balance(self) -> None:
        label = self.browser.label
        self.report_column.balance.show_split(self.browser.report, self.browser.split, -1 if label is None else label)

    def _open_chart_menu(self) -> None:
        button = self.report_column.balance.export_button
        self.exports.open_chart_menu(button.mapToGlobal(button.rect().bottomLeft()))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        bars = self.report_column.balance.bars
        if bars.isVisible() and bars.rect().contains(bars.mapFromGlobal(event.globalPos())):
            self._open_chart_menu()

    def _restyle(self) -> None:
        colors = theme.colors(self.context.state.theme)
        for widget in (self.report_column.balance.bars, self.browser, self.inspection_page.note, self.import_page):
            widget.set_colors(colors)
        self._run_changed()
