"""What goes out of the Views pane: what a page shows as a picture, its numbers as CSV, each with the run, the step and changed settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app.shell.plain_text import set_tip
from app.shell.state import State
from app.shell.theme import colors
from app.widgets.chart import Chart
from app.widgets.export import ask_where, copy_image, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS, Figure, figure_of


@dataclass(frozen=True)
class ViewsExportSource:
    """A page: its name, what has its picture, and its numbers as header and rows."""

    name: str
    widget: QWidget
    table: Callable[[], tuple[Sequence[str], Iterable[Sequence[object]]]]

    def figure(self, background: str) -> Figure:
        return self.widget.figure() if isinstance(self.widget, Chart) else figure_of(self.widget, background)


class ViewExports:
    """`front()` is the page in front, `settings()` the changed ones of its views; `failed` hears a sentence."""

    def __init__(
        self,
        state: State,
        front: Callable[[], ViewsExportSource],
        settings: Callable[[], dict[str, Any]],
        failed: Callable[[str], object],
    ) -> None:
        self._state, self._front, self._settings, self._failed = state, front, settings, failed

    def button(self) -> QPushButton:
        made = QPushButton("Export")
        made.setProperty("kind", "link")
        made.setAccessibleName("Export")
        set_tip(made, "Copy or save what this page shows. Files carry run and step.")
        menu = QMenu(made)
        menu.addAction("Copy picture").triggered.connect(lambda _checked=False: self.copy())
        menu.addAction("Save as PNG, SVG or PDF…").triggered.connect(lambda _checked=False: self.ask("png"))
        menu.addAction("Save numbers as CSV…").triggered.connect(lambda _checked=False: self.ask("csv"))
        made.setMenu(menu)
        return made

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        state, settings = self._state, self._settings()
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama", "run": info.name if info else "", "step": state.step or 0}
        return about | ({"settings": settings} if settings else {})

    def copy(self) -> None:
        copy_image(self._figure().image())

    def _figure(self) -> Figure:
        return self._front().figure(colors(self._state.theme).panel)

    def ask(self, kind: str) -> None:
        """Ask where to save the picture ("png") or the numbers ("csv")."""
        state, source = self._state, self._front()
        name = file_name(state.run_info.name if state.run_info else "", source.name, "step", state.step)
        ask_where(
            source.widget, f"Save as {kind.upper()}", name, kind, lambda path: self.save(kind, path), DRAWINGS if kind == "png" else ()
        )

    def save(self, kind: str, path: str) -> None:
        about = self.about()
        sentence, level = save_file(
            path, self._figure().contents(path, about) if kind == "png" else csv_text(about, *self._front().table())
        )
        if level == "bad":
            self._failed(sentence)
