"""What leaves the Curves pane: the plot as a picture, every point as CSV, each with runs, step and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.panes.curves.followed_runs import FollowedRuns
from app.widgets.export import PartWriter, ask_where, csv_lines, csv_text, file_name, save_file, told
from app.widgets.figure import DRAWINGS, Figure

CSV_ROWS = 2000  # written in one piece


class CurvesExport(QObject):
    """`settings` gives the term on the plot and the smoothing; `report` says what became of an export."""

    def __init__(
        self,
        followed: FollowedRuns,
        settings: Callable[[], tuple[str, float]],
        figure: Callable[[], Figure | None],
        report: Callable[..., None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.window = parent
        self.followed, self.state = followed, followed.state
        self.settings, self.figure, self.report = settings, figure, report
        self._writer: PartWriter | None = None

    def close(self) -> None:
        """Leave no half-written file."""
        if self._writer is not None:
            self._writer.stop()

    def recipe(self) -> dict[str, object]:
        """What exported files say about themselves."""
        state = self.state
        term, smoothing = self.settings()
        about: dict[str, object] = {"Software": "Priorama", "term": term, "smoothing": str(smoothing)}
        if state.step is not None:
            about["step"] = str(state.step)
        for place, run in enumerate(self.followed.runs()):
            info = state.runs[run]
            tail = "" if place == 0 else f"_{place + 1}"
            about |= {f"run{tail}": info.name, f"data{tail}": info.data_name, f"seed{tail}": str(info.seed), f"config{tail}": info.config}
        return about

    def csv_parts(self) -> Iterator[str]:
        """Every point of every term of the shown runs as they are now, raw, some thousand lines at a time."""
        names = [(self.state.runs[run].name, self.followed.data.get(run, {})) for run in self.followed.runs()]
        curves = [(name, term, series.steps.copy(), series.values.copy()) for name, terms in names for term, series in terms.items()]
        yield csv_text(self.recipe(), ("run", "term", "step", "value"), ())
        for name, term, steps, values in curves:
            for start in range(0, len(steps), CSV_ROWS):
                part = zip(steps[start : start + CSV_ROWS].tolist(), values[start : start + CSV_ROWS].tolist(), strict=True)
                yield csv_lines((name, term, step, repr(value)) for step, value in part)

    def save_csv(self, path: str) -> None:
        """A long run takes a while to write; the window goes on meanwhile."""
        self.report(f"Saving {Path(path).name}.")
        self.close()
        self._writer = PartWriter(path, self.csv_parts(), partial(self._csv_written, path), self.window)
        self._writer.start()

    def _csv_written(self, path: str, error: OSError | None) -> None:
        self._writer = None
        self.report(*told(path, error))

    def save_picture(self, path: str) -> None:
        """The plot, by the file's ending as PNG, SVG or PDF."""
        figure = self.figure()
        if figure is None:
            self.report("Nothing to save yet: no curve is drawn.", "bad")
        else:
            self.report(*save_file(path, figure.contents(path, self.recipe())))

    def ask(self, suffix: str) -> None:
        """Ask for the file to save as "png" (or another picture) or "csv"."""
        info = self.state.run_info
        name = file_name(info.name if info else "curves", self.settings()[0] if suffix == "png" else "curves")
        if suffix == "png":
            ask_where(self.window, "Save the plot", name, suffix, self.save_picture, DRAWINGS)
        else:
            ask_where(self.window, "Save as CSV", name, suffix, self.save_csv)
