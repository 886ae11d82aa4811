"""What goes out of the Embedding pane: the map as a picture with its legend, points as CSV, each with its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.panes.embedding.map_points import class_name
from app.widgets.export import PartWriter, ask_where, copy_image, csv_lines, csv_text, file_name, png_bytes, write_file

if TYPE_CHECKING:
    from app.panes.embedding.pane import EmbeddingPane

ROWS = 2000  # written in one piece
COLUMNS = ("index", "name", "label", "x", "y", "value", "survived")


class EmbeddingExports:
    def __init__(self, pane: EmbeddingPane) -> None:
        self.pane = pane
        self._writer: PartWriter | None = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        event = self.pane.mapping.map
        if event is None:
            return {"Software": "Priorama"}
        info = self.pane.context.state.runs.get(event.subset.run)
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
            "value": self.pane.points.value_name,
            "unit": getattr(self.pane.points.colors, "unit", ""),
        }

    def parts(self, points: np.ndarray) -> Iterator[str]:
        """The table of these points, some thousand lines at a time. Taken down now: the map may change meanwhile."""
        event = self.pane.mapping.map
        if event is None:
            return iter(())
        values, about = self.pane.points.values(), self.about()

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
        pane = self.pane
        points = pane.points.selection if selected else None
        if pane.mapping.map is None or (selected and points is None):
            pane.tell("Nothing to save yet: no point is selected." if selected else "Nothing to save yet: there is no map.", "bad")
            return
        self.close()
        every = np.arange(len(pane.mapping.map.places)) if points is None else points
        self._writer = PartWriter(path, self.parts(every), partial(self._written, path), pane)
        self._writer.start()

    def save_png(self, path: str) -> None:
        if self.pane.mapping.map is None:
            self.pane.tell("Nothing to save yet: there is no map.", "bad")
            return
        try:
            write_file(path, png_bytes(self.pane.page.picture(), self.about()))
        except OSError as error:
            self._said(path, error)
        else:
            self._said(path, None)

    def copy(self) -> None:
        copy_image(self.pane.page.picture())
        self.pane.tell("The map is on the clipboard.", "good")

    def _written(self, path: str, error: OSError | None) -> None:
        self._writer = None
        self._said(path, error)

    def _said(self, path: str, error: OSError | None) -> None:
        name = Path(path).name
        if error is not None:
            self.pane.tell(f"“{name}” could not be written: {error.strerror or error}. Choose another folder.", "bad")
        else:
            self.pane.tell(f"Saved as {name}.", "good")

    # -- asking for the place --------------------------------------------------------------------------------------------

    def ask(self, kind: str) -> None:
        """Where to save "png", "csv" or, of the selected points, "selection"."""
        state = self.pane.context.state
        what = "selection" if kind == "selection" else "map"
        name = file_name(state.run_info.name if state.run_info else "embedding", what, f"step-{state.step}")
        saves = {"png": self.save_png, "csv": self.save_csv, "selection": partial(self.save_csv, selected=True)}
        ending = "png" if kind == "png" else "csv"
        ask_where(self.pane, f"Save the {what} as {ending.upper()}", name, ending, saves[kind])
