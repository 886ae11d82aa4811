"""The symbol that is looked at: which place of which sample, what could stand there, and the branch that another choice begins."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.panes.sampling.controller import SamplingController
from app.shell.latest_query import LatestQuery
from engine.messages import QueryFailed, SymbolDistributed, SymbolDistribution


class SymbolController(QObject):
    """Asks for the distribution of one symbol at a time."""

    moved = Signal()  # to another place, or to the same one of a new branch
    changed = Signal()  # another distribution, or none yet
    failed = Signal(str)

    def __init__(self, samples: SamplingController, parent: QObject) -> None:
        super().__init__(parent)
        self.samples = samples
        self.at: tuple[int, int] | None = None  # row of the node, place
        self.answer: SymbolDistributed | None = None
        self._query = LatestQuery(samples.context.bridge, "sampling.symbol", self._on_distribution, self._on_failure)

    def clear(self) -> None:
        """No symbol is looked at."""
        self.at = self.answer = None

    def forget(self) -> None:
        """Nobody waits for an answer any more."""
        self._query.forget()

    def look_at(self, row: int, place: int) -> bool:
        """Ask what could stand at a place of a sample; returns whether there is such a place."""
        node = self.samples.node
        if node is None or not node.has_symbols or not 0 <= place < node.length:
            return False
        self.at, self.answer = (row, place), None
        self.moved.emit()
        self.ask()
        self.changed.emit()
        return True

    def choose_channel(self, channel: int) -> bool:
        """Look at another channel of the same pixel."""
        node = self.samples.node
        if self.at is None or node is None or channel >= node.depth:
            return False
        return self.look_at(self.at[0], self.at[1] // node.depth * node.depth + channel)

    def ask(self) -> None:
        node, run = self.samples.node, self.samples.context.state.run
        if self.at is None or run is None or node is None or node.tokens is None or not self.samples.able():
            return
        row, place = self.at
        if row >= node.count or place > node.places[row]:
            return
        s = node.settings
        self._query.want(
            SymbolDistribution(
                run=run,
                step=node.step,
                tokens=node.tokens[row, :place].copy(),
                temperature=s.temperature,
                top_k=s.top_k,
                top_p=s.top_p,
                label=node.label_of(row),
                caption=s.caption,
            )
        )

    def _on_distribution(self, query: SymbolDistribution, answer: SymbolDistributed) -> None:
        node = self.samples.node
        if node is None or self.at is None or node.tokens is None:
            return
        if query.run != self.samples.context.state.run or query.step != node.step:
            return
        row, place = self.at
        if not np.array_equal(query.tokens, node.tokens[row, :place]):
            return  # another place, or the samples are being drawn anew
        self.answer = answer
        self.changed.emit()

    def _on_failure(self, failure: QueryFailed) -> None:
        self.failed.emit(failure.message)

    def regrow(self, symbol: int) -> None:
        """Put another symbol at the chosen place, and let what follows be drawn as a branch."""
        if self.at is None or self.answer is None or not 0 <= symbol < len(self.answer.raw):
            return
        row, place = self.at
        if self.samples.draw_branch(row, place, symbol) is not None:
            self.at = (row, place)  # asked for again when the branch is there
            self.moved.emit()
