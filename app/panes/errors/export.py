"""What leaves the Errors pane: pictures of the matrix and the diagram, the matrix, the bins and every error as CSV."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtWidgets import QWidget

from app.panes.errors.controller import ErrorsController
from app.panes.errors.gallery import COLUMNS, rows_of
from app.panes.errors.matrix import ConfusionMatrix
from app.panes.errors.page import ErrorsPage
from app.panes.errors.reliability import ReliabilityDiagram
from app.shell.bridge import Bridge
from app.shell.state import State
from app.widgets.chart import Chart
from app.widgets.export import ask_where, copy_image, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from engine.messages import BrowseErrors, ErrorImages, QueryFailed

QUERY = "errors.table"


class ErrorsExports:
    def __init__(self, window: QWidget, page: ErrorsPage, controller: ErrorsController, state: State, bridge: Bridge) -> None:
        self.window, self.page, self.controller, self.state, self.bridge = window, page, controller, state, bridge
        for name, chart in (("the matrix", page.matrix), ("the diagram", page.reliability)):
            chart.saved_asked.connect(partial(self.ask_chart, chart))
            menu = page.export_menu.addMenu(f"Picture of {name}")
            menu.addAction("Copy").triggered.connect(partial(self._do, partial(self.copy, chart)))
            menu.addAction("Save as PNG, SVG or PDF…").triggered.connect(partial(self._do, partial(self.ask_chart, chart, "png")))
        for words, run in (
            ("Save the matrix as CSV…", partial(self.ask_chart, page.matrix, "csv")),
            ("Save the diagram as CSV…", partial(self.ask_chart, page.reliability, "csv")),
            ("Save every error as CSV…", self.ask_errors),
        ):
            page.export_menu.addAction(words).triggered.connect(partial(self._do, run))

    @staticmethod
    def _do(run: Any, _checked: bool = False) -> None:
        run()

    def close(self) -> None:
        self.bridge.forget(QUERY)

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        found, info = self.controller.found, self.state.run_info
        told: dict[str, object] = {"Software": "Priorama", "run": info.name if info else ""}
        if found is not None:
            of = found.of
            told |= {"step": of.step, "data": found.data_name, "split": of.split, "answers of": of.through}
            told |= {"images": found.images, "images of the split": found.total, **found.figures}
        return told

    def _suggested(self, what: str) -> str:
        info, found = self.state.run_info, self.controller.found
        return file_name(info.name if info else "errors", what, f"step-{found.of.step}" if found else "")

    def copy(self, chart: Chart) -> None:
        copy_image(chart.figure().image())
        self.page.status.set_text("The picture is on the clipboard.")

    def ask_chart(self, chart: ConfusionMatrix | ReliabilityDiagram, kind: str) -> None:
        if self._something():
            what = "confusion" if chart is self.page.matrix else "reliability"
            also = DRAWINGS if kind == "png" else ()
            ask_where(self.window, f"Save as {kind.upper()}", self._suggested(what), kind, partial(self.save_chart, chart, kind), also)

    def save_chart(self, chart: ConfusionMatrix | ReliabilityDiagram, kind: str, path: str) -> None:
        about = self.about()
        self._write(path, chart.figure().contents(path, about) if kind == "png" else csv_text(about, *chart.table()))

    def ask_errors(self) -> None:
        if self._something():
            ask_where(self.window, "Save every error as CSV", self._suggested("errors"), "csv", self.save_errors)

    def save_errors(self, path: str) -> None:
        """Ask the engine for every wrong answer without its pixels, and write them when they come."""
        found = self.controller.found
        if found is not None:
            query = BrowseErrors(of=found.of, count=found.images, pixels=False)
            self.bridge.ask(QUERY, query, partial(self._on_rows, path, found.classes), self._on_failure)

    def _on_rows(self, path: str, classes: tuple[str, ...], answer: ErrorImages) -> None:
        self._write(path, csv_text(self.about(), COLUMNS, rows_of(answer, classes)))

    def _on_failure(self, failure: QueryFailed) -> None:
        self.page.status.set_text(failure.message, "bad")

    def _something(self) -> bool:
        if self.controller.found is None:
            self.page.status.set_text("Nothing to save yet: the errors are still to be found.", "bad")
        return self.controller.found is not None

    def _write(self, path: str, data: bytes | str) -> None:
        self.page.status.set_text(*save_file(path, data))
