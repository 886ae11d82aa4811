"""The selected image looked at more closely by one run at one step: bits per pixel, nearest training images, sizes."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.panes.likelihood.controller import LikelihoodController
from app.panes.likelihood.selection import Selection
from app.shell.bridge import Bridge
from app.shell.latest_query import LatestQuery
from engine.messages import ImageInspected, InspectImage, QueryFailed


class ImageInspection(QObject):
    changed = Signal()  # an answer has come, or the sentence why there is none

    def __init__(self, bridge: Bridge, controller: LikelihoodController, selection: Selection, parent: QObject) -> None:
        super().__init__(parent)
        self.result: ImageInspected | None = None
        self.error = ""
        self._controller, self._selection = controller, selection
        self._query = LatestQuery(bridge, "likelihood.look", self._on_answer, self._on_failure)

    def ask(self, again: bool = False) -> None:
        """Ask about the selected image, unless that is known already; `ask_again` asks in any case. Nothing while the pane is hidden."""
        image, run, step = self._selection.image, self._selection.detector[0], self._selection.step
        if not self._controller.active or image is None or image.error or step is None:
            self._query.forget()
        elif again or self.result is None or (self.result.run, self.result.step) != (run, step):
            self._query.want(InspectImage(run=run, step=step, picture=image.picture))

    def clear(self) -> None:
        """The answer, or why there was none, is void; one that is under way may still be wanted."""
        self.result, self.error = None, ""

    def forget(self) -> None:
        """The answer is void, and one that is under way is not waited for. What went wrong stays said."""
        self.result = None
        self._query.forget()

    def _on_answer(self, query: InspectImage, answer: ImageInspected) -> None:
        image = self._selection.image
        wanted = (query.run, query.step) in self._controller.wanted
        if image is not None and query.picture is image.picture and not image.error and wanted:
            self.result = answer
            self.changed.emit()

    def _on_failure(self, failure: QueryFailed) -> None:
        self.error = failure.message
        self.changed.emit()
