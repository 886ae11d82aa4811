"""What goes out of the Views pane: what a page shows as PNG, its numbers as CSV, each with the run, the step and changed settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QMenu, QPushButton

from app.widgets.export import ask_where, copy_image, csv_text, file_name, png_bytes, write_file

if TYPE_CHECKING:
    from app.panes.views.pane import ViewsPane


class ViewExports:
    """Of the page that is in front."""

    def __init__(self, pane: ViewsPane) -> None:
        self.pane = pane

    def button(self) -> QPushButton:
        made = QPushButton("Export")
        made.setProperty("kind", "link")
        made.setAccessibleName("Export")
        made.setToolTip("Copy or save what this page shows. Files carry run and step.")
        menu = QMenu(made)
        menu.addAction("Copy picture").triggered.connect(lambda _checked=False: self.copy())
        menu.addAction("Save picture as PNG…").triggered.connect(lambda _checked=False: self.ask("png"))
        menu.addAction("Save numbers as CSV…").triggered.connect(lambda _checked=False: self.ask("csv"))
        made.setMenu(menu)
        return made

    def _source(self) -> Any:
        """What has the picture and the numbers of the page."""
        pane = self.pane
        return (pane.grid, pane.pairs.map, pane.curves.chart, pane.puzzle, pane.queue.chart)[pane.page]

    def picture(self) -> QImage:
        source = self._source()
        return source.picture() if hasattr(source, "picture") else source.grab().toImage()

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        state, settings = self.pane.context.state, self.pane.room.settings
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama", "run": info.name if info else "", "step": state.step or 0}
        return about | ({"settings": settings} if settings else {})

    def copy(self) -> None:
        copy_image(self.picture())

    def ask(self, kind: str) -> None:
        """Ask where to save the picture ("png") or the numbers ("csv")."""
        state, page = self.pane.context.state, self.pane.tabs.button(self.pane.page).accessibleName()
        name = file_name(state.run_info.name if state.run_info else "", page, "step", state.step)
        ask_where(self.pane, f"Save as {kind.upper()}", name, kind, lambda path: self.save(kind, path))

    def save(self, kind: str, path: str) -> None:
        try:
            about = self.about()
            write_file(path, png_bytes(self.picture(), about) if kind == "png" else csv_text(about, *self._source().table()))
        except OSError as error:
            self.pane.fail(f"{path} could not be written ({error.strerror}); choose another folder.")
