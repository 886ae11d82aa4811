"""Where the film of the shown samples stands: winding, playing, following what is being drawn."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from app.panes.sampling.sample_tree import SampleNode

FRAME_MS = 33
FILM_SECONDS = 4.0  # of a whole film


class SampleFilm(QObject):
    """`moved` when another state is to be seen, `ended` when it has been played up to what is there."""

    moved = Signal()
    ended = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.node: SampleNode | None = None
        self.position = 0  # symbols, or denoising steps, that are to be seen
        self.held = False  # stays where it is while an iterative sampler goes on
        self._player = QTimer(self)
        self._player.setInterval(FRAME_MS)
        self._player.timeout.connect(self.next_frame)

    @property
    def playing(self) -> bool:
        return self._player.isActive()

    @property
    def follows(self) -> bool:
        """Whether what is drawn next is to be seen at once."""
        return not self.held and (self.node is None or self.position >= self.node.reached)

    def load(self, node: SampleNode | None) -> None:
        """The film of a node, at its end."""
        self.stop()
        self.node, self.held = node, False
        self.position = 0 if node is None else node.reached

    def rewind(self) -> None:
        """To the beginning, ready to follow."""
        self.position, self.held = 0, False

    def follow(self) -> None:
        """To the end of what is there."""
        self.position, self.held = 0 if self.node is None else self.node.reached, False

    def wind(self, position: int) -> None:
        """Look at the samples as they were when so many symbols or steps were there."""
        if self.node is None:
            return
        self.position = min(max(position, 0), self.node.reached)
        self.held = self.node.iterative and self.position < self.node.reached
        self.moved.emit()

    def hold(self) -> None:
        self.stop()
        self.held = True

    def play(self) -> None:
        self._player.start()

    def stop(self) -> None:
        self._player.stop()

    def next_frame(self) -> None:
        node = self.node
        if node is None or not node.length:
            self.stop()
            return
        per_frame = max(1, round(node.length / node.depth / (FILM_SECONDS * 1000 / FRAME_MS))) * node.depth
        self.wind(self.position + per_frame)
        if self.position >= node.reached:
            self.stop()
            self.ended.emit()
