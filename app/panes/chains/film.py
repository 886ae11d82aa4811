"""Chains as they have come from the engine, and how far they are seen: asked for, received, played."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.panes.chains.settings import ChainSettings
from app.shell.bridge import Bridge
from engine.messages import ChainFigures, ChainsBegan, ChainsMoved, Ended, RunChains, StopJob

TICK_MS = 33
ASK_MS = 50  # at most so often while a slider moves
CHANNEL = "chains"


class ChainFilm(QObject):
    """`changed` when something else is to be seen. The position stays when a setting moves: the same steps of the same noise."""

    changed = Signal()
    failed = Signal(str)

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self.bridge = bridge
        self.settings = ChainSettings()
        self.asked: ChainSettings | None = None  # those of the newest job
        self.began: ChainsBegan | None = None
        self.x = np.zeros((0, 1, 2))  # [C, 1 + steps, 2], the first of them the starts
        self.accepted = np.zeros((0, 0), dtype=bool)
        self.received = 0  # steps that have come
        self.figures: list[ChainFigures] = []
        self.wanted = 0  # steps to be seen
        self.playing = True
        self.speed = 2  # steps of a tick
        self.job: str | None = None  # under way
        self._newest = ""  # the job whose events count
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self._advance)
        self._ask = QTimer(self)
        self._ask.setSingleShot(True)
        self._ask.setInterval(ASK_MS)
        self._ask.timeout.connect(self.ask)
        bridge.on(ChainsBegan, self._on_began)
        bridge.on(ChainsMoved, self._on_moved)
        bridge.on(Ended, self._on_ended)

    # -- asking ----------------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Run the chains with the settings as they are."""
        self._ask.stop()
        self.asked = self.settings
        self.job = self._newest = self.bridge.new_job("chains")
        self.bridge.send(RunChains(job=self.job, channel=CHANNEL, **asdict(self.settings)))

    def change(self, settings: ChainSettings, soon: bool = True) -> None:
        """Other settings; another density, seed or number of steps is seen from its beginning."""
        before, self.settings = self.settings, settings
        if any(getattr(before, name) != getattr(settings, name) for name in ("target", "seed", "steps")):
            self.wanted, self.playing = 0, True
            self._go()
        if not soon:
            self.ask()
        elif not self._ask.isActive():
            self._ask.start()

    def show(self) -> None:
        """Begin, or go on."""
        if self.began is None and self.job is None:
            self.ask()
        self._go()

    def hide(self) -> None:
        """Nothing moves while nobody looks."""
        self._tick.stop()
        self._ask.stop()

    def close(self) -> None:
        self.hide()
        if self.job is not None:
            self.bridge.send(StopJob(self.job))
            self.job, self._newest = None, ""

    # -- what came -------------------------------------------------------------------------------------------------------

    def _on_began(self, event: ChainsBegan) -> None:
        if event.job != self._newest:
            return
        self.began, self.received, self.figures = event, 0, []
        self.x = np.empty((len(event.starts), 1 + event.steps, 2))
        self.x[:, 0] = event.starts
        self.accepted = np.zeros((len(event.starts), event.steps), dtype=bool)
        self.wanted = min(self.wanted, event.steps)

    def _on_moved(self, event: ChainsMoved) -> None:
        if event.job != self._newest:
            return
        self.x[:, self.received + 1 : event.done + 1] = event.x
        self.accepted[:, self.received : event.done] = event.accepted
        before = self.position
        self.received = event.done
        self.figures.append(event.figures)
        if self.position != before or event.final or len(self.figures) == 1:
            self.changed.emit()

    def _on_ended(self, event: Ended) -> None:
        if event.job != self._newest:
            return
        self.job = None
        if event.outcome == "failed":
            self.failed.emit(event.message)
        self.changed.emit()

    # -- what is seen ----------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Steps that there will be."""
        return 0 if self.began is None else self.began.steps

    @property
    def position(self) -> int:
        """Steps that are seen."""
        return min(self.wanted, self.received)

    @property
    def seen(self) -> np.ndarray:
        """Where the chains were, [C, 1 + position, 2]."""
        return self.x[:, : self.position + 1]

    def figures_now(self) -> ChainFigures | None:
        """The newest figures of steps that are seen."""
        return next((figures for figures in reversed(self.figures) if figures.steps <= self.position), None)

    def wind(self, position: int) -> None:
        self.playing = False
        self._go()
        self.wanted = max(0, min(position, self.steps))
        self.changed.emit()

    def step(self) -> None:
        """One step further, then stay."""
        self.wind(self.position + 1)

    def play(self) -> None:
        """Go on, pause, or from the end begin again."""
        if self.playing:
            self.playing = False
        else:
            if self.steps and self.position >= self.steps:
                self.wanted = 0
            self.playing = True
        self._go()
        self.changed.emit()

    def _go(self) -> None:
        if self.playing:
            self._tick.start()
        else:
            self._tick.stop()

    def _advance(self) -> None:
        before = self.position
        self.wanted = min(self.position + self.speed, self.steps)
        if self.steps and self.position >= self.steps:
            self.playing = False
            self._tick.stop()
        if self.position != before or not self.playing:
            self.changed.emit()
