"""What goes out of the Embedding pane: the map as a picture with its legend, points as CSV, each with its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from app.panes.embedding.controller import EmbeddingController
from app.panes.embedding.map_points import MapPoints, class_name
from app.panes.embedding.page import EmbeddingPage
from app.shell.state import State
from app.widgets.export import PartWriter, ask_where, copy_image, csv_lines, csv_text, file_name, save_file, told
from app.widgets.figure import DRAWINGS

ROWS = 2000  # written in one piece
COLUMNS = ("index", "name", "label", "x", "y", "value", "survived")


class EmbeddingExports:
    """Of the map that is drawn; how it went is said in the page's status line."""

    def __init__(self, page: EmbeddingPage, controller: EmbeddingController, points: MapPoints, state: State) -> None:
        self._page, self._controller, self._points, self._state = page, controller, points, state
        self._writer: PartWriter | None = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        event = self._controller.map
        if event is None:
            return {"Software": "Priorama"}
        info = self._state.runs.get(event.subset.run)
        settings, subset = event.settings, event.subset
        return {
            "Software": "Priorama",
            "run": info.name if info else subset.run,
            "step": str(subset.step),
            "data": subset.data or (info.data_name if info else ""),
            "split": subset.split,
            "images": str(len(event.places)),
            "map": settings.kind,
            "neighbours": str(settings.neighbours),
            "min_dist": str(settings.min_dist),
            "seed": str(settings.seed),
            "trustworthiness": str(event.trustworthiness),
            "value": self._points.value_name,
            "unit": getattr(self._points.colors, "unit", ""),
        }

    def parts(self, points: np.ndarray) -> Iterator[str]:
        """The table of these points, some thousand lines at a time. Taken down now: the map may change meanwhile."""
        event = self._controller.map
        if event is None:
            return iter(())
        values, about = self._points.values(), self.about()

        def row(i: int) -> tuple[object, ...]:
            label = "" if event.labels is None else class_name(event.labels[i], event.classes)
            x, y = (repr(float(place)) for place in event.places[i])
            value = "" if values is None else values[i]
            return int(event.indices[i]), event.names[i] if event.names else "", label, x, y, value, repr(float(event.survived[i]))

        def written() -> Iterator[str]:
            yield csv_text(about, COLUMNS, ())
            for start in range(0, len(points), ROWS):
                yield csv_lines(row(int(i)) for i in points[start : start + ROWS])

        return written()

    def save_csv(self, path: str, selected: bool = False) -> None:
        """All points, or those that are selected."""
        event, points = self._controller.map, self._points.selection if selected else None
        if event is None or (selected and points is None):
            self._tell("Nothing to save yet: no point is selected." if selected else "Nothing to save yet: there is no map.", "bad")
            return
        self.close()
        every = np.arange(len(event.places)) if points is None else points
        self._writer = PartWriter(path, self.parts(every), partial(self._written, path), self._page)
        self._writer.start()

    def save_png(self, path: str) -> None:
        if self._controller.map is None:
            self._tell("Nothing to save yet: there is no map.", "bad")
            return
        self._tell(*save_file(path, self._page.figure().contents(path, self.about())))

    def copy(self) -> None:
        copy_image(self._page.figure().image())
        self._tell("The map is on the clipboard.", "good")

    def _tell(self, text: str, level: str = "") -> None:
        self._page.status.set_text(text, level)

    def _written(self, path: str, error: OSError | None) -> None:
        self._writer = None
        self._tell(*told(path, error))

    # -- asking for the place --------------------------------------------------------------------------------------------

    def ask(self, kind: str) -> None:
        """Where to save "png", "csv" or, of the selected points, "selection"."""
        state = self._state
        what = "selection" if kind == "selection" else "map"
        name = file_name(state.run_info.name if state.run_info else "embedding", what, f"step-{state.step}")
        saves = {"png": self.save_png, "csv": self.save_csv, "selection": partial(self.save_csv, selected=True)}
        ending = "png" if kind == "png" else "csv"
        ask_where(self._page, f"Save the {what} as {ending.upper()}", name, ending, saves[kind], DRAWINGS if kind == "png" else ())
