"""Lists and charts of a data set out of the window: bad files and classes as CSV, the class balance as a picture."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtWidgets import QMenu, QWidget

from app.panes.data.browser import DataBrowser
from app.panes.data.class_bars import ClassBars
from app.widgets.export import ask_where, copy_image, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from engine.messages import DataReport


class DataExports(QObject):
    """Of the data set that the browser shows; `reported(text, level)` says what became of a file."""

    reported = Signal(str, str)

    def __init__(self, browser: DataBrowser, bars: ClassBars, window: QWidget) -> None:
        super().__init__(window)
        self.browser, self.bars, self.window = browser, bars, window

    def open_chart_menu(self, at: QPoint) -> None:
        """What can be made of the class balance, at a place on the screen."""
        menu = QMenu(self.window)
        menu.addAction("Copy chart").triggered.connect(self._copy_chart)
        menu.addAction("Save as PNG, SVG or PDF…").triggered.connect(partial(self.ask, "chart"))
        menu.addAction("Save as CSV…").triggered.connect(partial(self.ask, "classes"))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(at)

    def ask(self, what: str, *_: object) -> None:
        """Ask where to save "bad" files, "classes" or the "chart"."""
        report = self.browser.report
        if report is None:
            return
        suffix, save = {"bad": ("csv", self.save_bad), "classes": ("csv", self.save_classes), "chart": ("png", self.save_chart)}[what]
        also = DRAWINGS if suffix == "png" else ()
        ask_where(self.window, f"Save as {suffix.upper()}", file_name(report.name, what), suffix, save, also)

    def _recipe(self) -> dict[str, object]:
        """What an exported file says about itself."""
        report = self.browser.report
        about: dict[str, object] = {"Software": "Priorama"}
        if report is not None:
            about |= {"data": report.name, "content": report.hash, "split": self.browser.split}
        return about

    def _copy_chart(self, *_: object) -> None:
        copy_image(self.bars.figure().image())

    def ask_bad_of(self, report: DataReport) -> None:
        """Ask where to save the bad files of a set that is only tried."""
        ask_where(self.window, "Save as CSV", file_name(report.name, "bad"), "csv", partial(self._save_bad_of, report))

    def save_bad(self, path: str) -> None:
        if self.browser.report is not None:
            self._save_bad_of(self.browser.report, path)

    def _save_bad_of(self, report: DataReport, path: str) -> None:
        about = {"Software": "Priorama", "data": report.name, "content": report.hash}
        self._write(path, csv_text(about, ("file", "reason"), ((bad.path, bad.reason) for bad in report.bad)))

    def save_classes(self, path: str) -> None:
        report = self.browser.report
        if report is not None:
            splits = list(report.class_counts)
            rows = ((name, *(report.class_counts[split][index] for split in splits)) for index, name in enumerate(report.classes))
            self._write(path, csv_text(self._recipe(), ("class", *splits), rows))

    def save_chart(self, path: str) -> None:
        self._write(path, self.bars.figure().contents(path, self._recipe()))

    def _write(self, path: str, data: bytes | str) -> None:
        self.reported.emit(*save_file(path, data))
