"""Completing a picture: it is read as the symbols of the run's method, and what is taken out of it is drawn several times."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.panes.sampling.completion_card import COMPLETIONS, CompletionCard
from app.panes.sampling.controller import SamplingController
from app.panes.sampling.sample_tree import SampleNode
from app.widgets.export import IMAGE_FILTER, ask_which
from engine.messages import PictureRef, QueryFailed, ReadSymbols, SymbolsRead


class CompletionController(QObject):
    """Keeps the card's picture read at the step of the time cursor."""

    taken = Signal()  # a picture that is to be completed
    failed = Signal(str)

    def __init__(self, samples: SamplingController, card: CompletionCard, parent: QObject) -> None:
        super().__init__(parent)
        self.samples, self.card = samples, card
        self.picture: PictureRef | None = None
        card.open_asked.connect(self.choose_image)
        card.complete_asked.connect(self.complete)

    def clear(self) -> None:
        self.picture = None
        self.card.show_read(None)

    def forget(self) -> None:
        """Nobody waits for an answer any more."""
        self.samples.context.bridge.forget("sampling.read")

    def take(self, picture: PictureRef) -> None:
        """A picture to be completed."""
        self.picture = picture
        self.card.show_read(None)
        self.taken.emit()
        self._ask()

    def take_file(self, path: str) -> None:
        self.take(PictureRef(Path(path).name, path=path))

    def refresh(self) -> None:
        """Read the picture at the step of the time cursor, if that has not been done."""
        read = self.card.read
        if self.picture is not None and (read is None or read.step != self.samples.context.state.step):
            self._ask()

    def _ask(self) -> None:
        state = self.samples.context.state
        if self.picture is None or state.run is None or not self.samples.able():
            return
        s = self.samples.samples.settings
        asked = ReadSymbols(run=state.run, step=state.step, picture=self.picture, label=s.label, caption=s.caption)
        self.samples.context.bridge.ask("sampling.read", asked, partial(self._on_read, asked), self._on_failure)

    def _on_read(self, query: ReadSymbols, answer: SymbolsRead) -> None:
        if query.run == self.samples.context.state.run and self.picture is query.picture:
            self.card.show_read(answer, keep=self.card.read is not None)

    def _on_failure(self, failure: QueryFailed) -> None:
        self.failed.emit(failure.message)

    def choose_image(self) -> None:
        ask_which(self.card, "Complete an image", IMAGE_FILTER, self._take_first)

    def _take_first(self, paths: list[str]) -> None:
        if paths:
            self.take_file(paths[0])

    def complete(self) -> None:
        """Draw what is missing, several times; finished ones are ranked by log-likelihood."""
        given, read = self.card.given(), self.card.read
        if given is None or read is None or self.samples.context.state.run is None:
            return
        node = SampleNode(
            "completion",
            replace(self.samples.samples.settings, count=COMPLETIONS),
            tuple(range(COMPLETIONS)),
            f"{read.label} · {self.card.part()}",
            given=np.repeat(given[None], COMPLETIONS, axis=0),
            start=int(np.argmin(given >= 0)),
        )
        self.samples.draw_completion(node, read.label)
