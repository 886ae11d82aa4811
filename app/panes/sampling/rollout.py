"""A film that is rolled out: the true frames of a held-out clip beside the drawn ones, with the likelihood of each.

`RolloutController` asks the engine and keeps what comes; `RolloutCard` shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QHBoxLayout, QSlider, QSpinBox, QVBoxLayout

from app.panes import Context
from app.panes.sampling.rollout_chart import RolloutChart
from app.shell.formatting import number
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.theme import Colors
from app.widgets.image_view import ImageView, chw_to_qimage
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import Ended, FrameRolledOut, RollOut, RolloutBegan, StopJob

FRAME_MS = 250
FRAMES, MOST_FRAMES = 8, 64


@dataclass
class RolledFilm:
    """A clip and what has been drawn of its continuation so far."""

    began: RolloutBegan
    images: list[np.ndarray] = field(default_factory=list)  # uint8 [C, H, W]
    log_p: list[float] = field(default_factory=list)  # nats

    @property
    def given(self) -> int:
        return len(self.began.before)

    @property
    def reached(self) -> int:
        """Places of the film that are there: the given frames and those that have been drawn."""
        return self.given + len(self.images)

    def drawn(self, place: int) -> np.ndarray:
        return self.began.before[place] if place < self.given else self.images[place - self.given]

    def true(self, place: int) -> np.ndarray | None:
        """None behind the end of the clip."""
        if place < self.given:
            return self.began.before[place]
        return self.began.truth[place - self.given] if place - self.given < len(self.began.truth) else None

    def bits(self, nats: float) -> float:
        """−log p in bits/dim."""
        return -nats / (math.log(2) * self.began.before[0].size)


class RolloutController(QObject):
    """One film at a time, of the run and step that are chosen."""

    changed = Signal()
    failed = Signal(str)

    def __init__(self, context: Context, able: Callable[[], bool], parent: QObject) -> None:
        """`able`: whether the card is seen and the chosen run draws next frames."""
        super().__init__(parent)
        self.context, self.able = context, able
        self.film: RolledFilm | None = None
        self.job: str | None = None
        self.wish: tuple[int, int, int] = (0, FRAMES, 0)  # clip, frames, seed
        self._shown: tuple[object, ...] = ()  # what the film is of
        context.bridge.on(RolloutBegan, self._on_began)
        context.bridge.on(FrameRolledOut, self._on_frame)
        context.bridge.on(Ended, self._on_ended)

    def can(self) -> bool:
        """Whether the chosen run's method draws next frames."""
        method = self.context.state.method_info
        return method is not None and "next_frame" in method.capabilities

    def ask(self, clip: int, frames: int, seed: int) -> None:
        """Roll out another film."""
        self.wish = clip, frames, seed
        self.refresh()

    def refresh(self) -> None:
        """Roll the film out at the step of the time cursor, if it is not there yet."""
        state = self.context.state
        wanted = (state.run, state.step, *self.wish)
        if not self.able() or state.run is None or wanted == self._shown:
            return
        self.stop()
        self._shown = wanted
        self.job = self.context.bridge.new_job("rollout")
        clip, frames, seed = self.wish
        work = RollOut(job=self.job, channel="rollout", run=state.run, step=state.step, clip=clip, frames=frames, seed=seed)
        self.context.bridge.send(work)

    def stop(self) -> None:
        """End what is being drawn; it begins anew when it is looked at again."""
        if self.job is not None:
            self.context.bridge.send(StopJob(self.job))
            self.job, self._shown = None, ()

    def clear(self) -> None:
        """Another run is chosen."""
        self.stop()
        self.film, self._shown = None, ()
        self.wish = (0, self.wish[1], self.wish[2])
        self.changed.emit()

    def _on_began(self, event: RolloutBegan) -> None:
        if event.job == self.job:
            self.film = RolledFilm(event)
            self.changed.emit()

    def _on_frame(self, event: FrameRolledOut) -> None:
        if event.job == self.job and self.film is not None:
            self.film.images.append(event.image)
            self.film.log_p.append(event.log_p)
            self.changed.emit()

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job:
            return
        self.job = None
        if event.outcome == "failed":
            self.failed.emit(event.message)
        self.changed.emit()


class RolloutCard(Card):
    """`asked(clip, frames, seed)` for another film; the slider and the buttons walk through the one that is there."""

    asked = Signal(int, int, int)
    frame_ms = FRAME_MS  # of a frame while it is played

    def __init__(self) -> None:
        super().__init__()
        self.film: RolledFilm | None = None
        self.place = 0  # of the film
        self._ours, self._followed = False, True
        self._player = QTimer(self)
        self._player.setInterval(FRAME_MS)
        self._player.timeout.connect(self._play_on)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.clip = self._number(row, "Clip", 1, 1, 100_000, "Which held-out clip: its first four frames are given.")
        self.frames = self._number(row, "Frames", FRAMES, 1, MOST_FRAMES, "How many frames are drawn after the four that are given.")
        self.seed = self._number(row, "Seed", 0, 0, 2**31 - 1, "Of the noise: the same seed draws the same film.")
        self.inside.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.true_view, self.drawn_view = ImageView("The true frame", "no more true frames"), ImageView("The drawn frame", "not drawn yet")
        for text, view in (("True", self.true_view), ("Drawn", self.drawn_view)):
            column = QVBoxLayout()
            column.setSpacing(4)
            column.addWidget(muted(text, wrap=False))
            view.setMinimumSize(64, 64)
            column.addWidget(view, 1)
            row.addLayout(column)
        self.inside.addLayout(row, 3)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.back_button = button("‹", lambda: self.go_to(self.place - 1), "One frame back.")
        self.on_button = button("›", lambda: self.go_to(self.place + 1), "One frame on.")
        self.play_button = button("Play", self.play, "Show the film from here on.")
        self.back_button.setAccessibleName("One frame back")
        self.on_button.setAccessibleName("One frame on")
        for narrow in (self.back_button, self.on_button):
            narrow.setFixedWidth(32)
        self.play_button.setFixedWidth(64)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Which frame of the film")
        set_tip(self.slider, "Step through the film: four given frames, then the drawn ones.")
        self.slider.valueChanged.connect(self._moved)
        for made in (self.back_button, self.on_button, self.play_button):
            row.addWidget(made)
        row.addWidget(self.slider, 1)
        self.inside.addLayout(row)
        self.words = TextLines(3, "The likelihood of this frame", small=True)
        self.inside.addWidget(self.words)
        self.chart = RolloutChart()
        self.inside.addWidget(self.chart, 2)
        self.show_film(None)

    def _number(self, row: QHBoxLayout, name: str, value: int, low: int, high: int, tip: str) -> QSpinBox:
        label = PlainLabel(name)
        label.setProperty("role", "muted")
        box = QSpinBox()
        box.setRange(low, high)
        box.setValue(value)
        box.setKeyboardTracking(False)
        box.setAccessibleName(name)
        box.setMinimumWidth(36)
        set_tip(box, tip)
        box.valueChanged.connect(self._ask)
        row.addWidget(label)
        row.addWidget(box, 1)
        return box

    def set_colors(self, c: Colors) -> None:
        for part in (self.true_view, self.drawn_view, self.words, self.chart):
            part.set_colors(c)

    def _ask(self, _value: int) -> None:
        if not self._ours:
            self.asked.emit(self.clip.value() - 1, self.frames.value(), self.seed.value())

    # the film

    def show_film(self, film: RolledFilm | None, wish: tuple[int, int, int] | None = None) -> None:
        """What is there of a film; `wish` is clip, frames and seed of the one that was asked for. It is followed while it is drawn."""
        fresh = film is not self.film
        follows = fresh or self._followed
        self.film = film
        if wish is not None:
            self._ours = True
            if film is not None:
                self.clip.setMaximum(film.began.clips)
            for box, value in zip((self.clip, self.frames, self.seed), (wish[0] + 1, *wish[1:]), strict=True):
                box.setValue(value)
            self._ours = False
        if film is None:
            self.stop()
        self.go_to(0 if film is None else film.reached - 1 if follows else self.place)

    def go_to(self, place: int) -> None:
        """Look at a frame of the film; the given ones come first."""
        film = self.film
        reached = 0 if film is None else film.reached
        self.place = min(max(place, 0), max(reached - 1, 0))
        self._followed = self.place >= reached - 1
        self._ours = True
        self.slider.setRange(0, max(reached - 1, 1))
        self.slider.setValue(self.place)
        self._ours = False
        for made in (self.slider, self.back_button, self.on_button, self.play_button):
            made.setEnabled(film is not None)
        self.back_button.setEnabled(self.place > 0)
        self.on_button.setEnabled(self.place < reached - 1)
        self.true_view.set_pixels(None if film is None else film.true(self.place))
        self.drawn_view.set_pixels(None if film is None else film.drawn(self.place))
        self.words.set_text(self._said())
        self.chart.show_film(*self._curves(), self.place - (0 if film is None else film.given) + 1)

    def _said(self) -> str:
        """The frame in words."""
        film = self.film
        if film is None:
            return "The film is drawn when this run has a checkpoint."
        if self.place < film.given:
            return f"Frame {self.place + 1} of {film.given} that are given, {film.began.name.partition(',')[0]}."
        frame = self.place - film.given
        lines = [f"Frame {frame + 1} of {film.began.frames}: −log p given the last four"]
        if frame < len(film.began.truth_log_p):
            lines.append(f"true {self._nats(float(film.began.truth_log_p[frame]))}")
        lines.append(f"drawn {self._nats(film.log_p[frame])}")
        return "\n".join(lines)

    def _nats(self, log_p: float) -> str:
        assert self.film is not None
        return f"{number(-log_p, 1, 'nat')} · {number(self.film.bits(log_p), 3, 'bits/dim')}"

    def _curves(self) -> tuple[list[float], list[float]]:
        """−log p in bits/dim of the true and of the drawn frames."""
        film = self.film
        if film is None:
            return [], []
        return [film.bits(float(value)) for value in film.began.truth_log_p], [film.bits(value) for value in film.log_p]

    def _moved(self, place: int) -> None:
        if not self._ours:
            self.stop()
            self.go_to(place)

    # out of the window

    def pictures(self) -> list[QImage]:
        """Each frame that is there, the true one at the left and the drawn one at the right; grey where the clip has ended."""
        film = self.film
        assert film is not None
        made = []
        for place in range(film.reached):
            drawn, true = film.drawn(place), film.true(place)
            grey = np.full_like(drawn, 128)
            made.append(chw_to_qimage(np.concatenate([grey if true is None else true, grey[:, :, :1], drawn], 2)))
        return made

    def recipe(self) -> dict[str, object]:
        """What a file says of the film."""
        film = self.film
        assert film is not None
        return {
            "clip": film.began.name,
            "given": film.given,
            "seed": self.seed.value(),
            "log_p_nat": [round(value, 4) for value in film.log_p],
            "shown": "true frames at the left, drawn ones at the right",
        }

    # playing

    def play(self) -> None:
        """Play from here, or from the beginning where this is the end; again: stay."""
        if self._player.isActive():
            self.stop()
            return
        if self.film is not None:
            if self.place >= self.film.reached - 1:
                self.go_to(0)
            self._player.start()
            self.play_button.setText("Pause")

    def stop(self) -> None:
        """Stay where it is."""
        self._player.stop()
        self.play_button.setText("Play")

    def _play_on(self) -> None:
        if self.film is None or self.place >= self.film.reached - 1:
            self.stop()
        else:
            self.go_to(self.place + 1)
