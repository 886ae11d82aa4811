"""Whether images are shown as the network of the chosen run sees them."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox

from app.panes.data.report_column import shape_words
from app.shell.plain_text import set_tip
from engine.messages import RunInfo


class NetworkViewBox(QCheckBox):
    """Can be checked where the chosen run's network sees images."""

    def __init__(self) -> None:
        super().__init__("What the network will really see")
        self.setAccessibleName("Show the images as the network of the chosen run sees them")
        self._run: str | None = None

    def show_run(self, info: RunInfo | None) -> None:
        info = info if info is not None and len(info.shape) == 3 else None  # a network of texts sees no images
        self._run = info.run if info is not None else None
        self.setEnabled(info is not None)
        set_tip(
            self,
            f"Show every image as “{info.name}” gets it: {shape_words(info.shape)}."
            if info
            else "Choose a run at the left: its network says what it sees.",
        )

    def run(self) -> str | None:
        """The run whose network's view is wanted; None: the images as they are."""
        return self._run if self.isChecked() else None
