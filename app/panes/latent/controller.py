"""What the Latent pane asks of the engine, and when: everything that is on screen, at the run and step that the window looks at."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.panes import Context
from app.panes.latent.axes import SPAN, LatentAxes
from app.panes.latent.encode_queue import EncodeQueue
from app.panes.latent.interpolation import STEPS
from app.panes.latent.plane import COUNT as PLANE_COUNT
from app.panes.latent.position import LatentPosition, PositionHistory
from app.panes.latent.prior_samples import COUNT as PRIOR_COUNT
from app.shell.latest_query import LatestQuery
from engine.messages import (
    Decode,
    Decoded,
    DecodeGrid,
    Describe,
    Described,
    Encode,
    GridDecoded,
    Interpolate,
    Interpolated,
    PriorSampled,
    QueryFailed,
    Reconstruct,
    Reconstructed,
    SamplePrior,
)

PLANE_PAUSE_MS = 160  # a plane is decoded when z has rested for so long


class LatentTab(IntEnum):
    INTERPOLATION = 0
    PRIOR = 1
    PLANE = 2
    RATES = 3


class LatentController(QObject):
    """Passes on answers that are still about the run and step that the window looks at; late ones are dropped.

    A hidden pane (`active` is False) asks for nothing but what the user demands: a prior sample, an image's z.
    """

    described = Signal(object)  # LatentAxes
    decoded = Signal(object)  # Decoded
    interpolated = Signal(object)  # Interpolated, between the A and B of now
    reconstructed = Signal(object)  # Reconstructed
    prior_sampled = Signal(object, object)  # SamplePrior, PriorSampled: the card's samples
    sample_drawn = Signal(object, object)  # SamplePrior, PriorSampled: a single one that z goes to
    plane_decoded = Signal(object, object)  # DecodeGrid, GridDecoded
    failed = Signal(str)

    def __init__(
        self,
        context: Context,
        history: PositionHistory,
        able: Callable[[], bool],
        capabilities: Callable[[], tuple[str, ...]],
        parent: QObject,
    ) -> None:
        """`able`: whether the chosen run has a checkpoint to ask about; `capabilities`: what its method can do."""
        super().__init__(parent)
        self.state, self.bridge, self.history = context.state, context.bridge, history
        self.able, self.capabilities = able, capabilities
        self.active = False
        self.tab = LatentTab.INTERPOLATION
        self.seed = 0  # of the card's prior samples
        self.plane_dimensions: tuple[int, int] | None = None  # across and upwards
        self.description: Described | None = None
        self.encoder = EncodeQueue(self.state, self.bridge, self)
        self.encoder.failed.connect(self.failed)
        self._drawn = 0  # single prior samples so far; their seeds count up
        self._asked_at: tuple[str | None, int | None] | None = None  # run and step that everything was asked for
        self._reconstructed_at: tuple[str, int] | None = None
        self._decode_query = LatestQuery(self.bridge, "latent", self._on_decoded, self._on_failure)
        self._path_query = LatestQuery(self.bridge, "latent.way", self._on_interpolated, self._on_failure)
        self._plane_query = LatestQuery(self.bridge, "latent.plane", self._on_plane, self._on_failure)
        self._plane_timer = QTimer(self)
        self._plane_timer.setSingleShot(True)
        self._plane_timer.setInterval(PLANE_PAUSE_MS)
        self._plane_timer.timeout.connect(self.ask_plane)

    # -- what is looked at

    def activate(self) -> None:
        self.active = True
        self.refresh()

    def deactivate(self) -> None:
        self.active = False
        self._plane_timer.stop()

    def close(self) -> None:
        self._plane_timer.stop()
        for channel in ("latent", "latent.way", "latent.plane", "latent.sample", "latent.prior", "latent.image", "latent.again"):
            self.bridge.forget(channel)

    def forget(self) -> None:
        """Another run is looked at: nothing is known about it, and no answer about the last one is wanted."""
        self.description = self.plane_dimensions = self._asked_at = self._reconstructed_at = None
        for query in (self._decode_query, self._path_query, self._plane_query):
            query.forget()
        for channel in ("latent.sample", "latent.prior"):
            self.bridge.forget(channel)
        self.encoder.forget()

    def refresh(self) -> None:
        """Ask for everything that is on screen, at the step of the time cursor. z stays what it was."""
        state = self.state
        if not self.active or not self.able():
            return
        if self.description is None or (self.description.run, self.description.step) != (state.run, state.step):
            query = Describe(run=state.run, step=state.step)  # type: ignore[arg-type]
            self.bridge.ask("latent", query, partial(self._on_described, query), self._on_failure)
        if self.history.current is not None and self.description is not None:
            self._ask_all()

    def _ask_all(self) -> None:
        state = self.state
        self._asked_at = (state.run, state.step)
        self._ask_decode()
        self._ask_interpolation()
        if self.encodes():
            if self._reconstructed_at != (state.run, state.step):
                query = Reconstruct(run=state.run, step=state.step)  # type: ignore[arg-type]
                self.bridge.ask("latent", query, partial(self._on_reconstructed, query), self._on_failure)
            self.encoder.again(state.step)  # type: ignore[arg-type]
        if self.tab is LatentTab.PRIOR:
            self.ask_prior()
        elif self.tab is LatentTab.PLANE:
            self._plane_timer.start()

    def position_changed(self, before: LatentPosition | None, after: LatentPosition) -> None:
        """Ask for what another position changes; everything is asked for when the pane is seen and the checkpoint is described."""
        if not self.active or self.description is None or not self.able():
            return
        self._ask_decode()
        other_class = before is not None and before.label != after.label
        if before is None or before.a is not after.a or before.b is not after.b or other_class:
            self._ask_interpolation()
        if self.tab is LatentTab.PRIOR and other_class:
            self.ask_prior()
        if self.tab is LatentTab.PLANE:
            self._plane_timer.start()

    def show_tab(self, tab: LatentTab) -> None:
        self.tab = tab
        if tab is LatentTab.PRIOR:
            self.ask_prior()
        elif tab is LatentTab.PLANE:
            self.ask_plane()

    def encodes(self) -> bool:
        """Whether the run's method can encode an image."""
        return "posterior" in self.capabilities()

    def label(self) -> int | None:
        """The class to decode as; None where the decoder knows none."""
        position = self.history.current
        if self.description is None or not self.description.classes or self.description.class_scores:
            return None
        return 0 if position is None else min(position.label, len(self.description.classes) - 1)

    def _current(self, query: Any) -> bool:
        """Whether an answer to this query is still about what the window looks at."""
        return (query.run, query.step) == (self.state.run, self.state.step)

    def _on_failure(self, failure: QueryFailed) -> None:
        self.failed.emit(failure.message)

    def _on_described(self, query: Describe, answer: Described) -> None:
        if not self._current(query):
            return
        self.description = answer
        if answer.latent <= 0:
            self.failed.emit("This checkpoint has no latent space.")
            return
        axes = LatentAxes.of(answer, has_prior=answer.kl is not None or "sample" in self.capabilities())
        position = self.history.current
        if position is None or len(position.z) != answer.latent:
            self.history.start_at(answer.run, axes.middle())
            self._asked_at = None
        before = self.plane_dimensions
        self.described.emit(axes)
        if self._asked_at != (query.run, query.step):
            self._ask_all()
        elif self.tab is LatentTab.PLANE and before != self.plane_dimensions:
            self._plane_timer.start()  # another two dimensions lead at this step

    # -- pictures of z and of the way from A to B

    def _ask_decode(self) -> None:
        state, position = self.state, self.history.current
        if self.active and position is not None:
            z = position.z[None].astype(np.float32)  # [1, D]
            self._decode_query.want(Decode(run=state.run, step=state.step, z=z, label=self.label()))  # type: ignore[arg-type]

    def _on_decoded(self, query: Decode, answer: Decoded) -> None:
        if self._current(query):
            self.decoded.emit(answer)

    def _ask_interpolation(self) -> None:
        state, position = self.state, self.history.current
        if self.active and position is not None and position.a is not None and position.b is not None:
            ends = {"a": position.a, "b": position.b}
            query = Interpolate(run=state.run, step=state.step, **ends, count=STEPS, label=self.label())  # type: ignore[arg-type]
            self._path_query.want(query)

    def _on_interpolated(self, query: Interpolate, answer: Interpolated) -> None:
        position = self.history.current
        if not self._current(query) or position is None or self.label() != query.label:
            return
        if position.a is query.a and position.b is query.b:
            self.interpolated.emit(answer)

    def _on_reconstructed(self, query: Reconstruct, answer: Reconstructed) -> None:
        if self._current(query):
            self._reconstructed_at = (answer.run, answer.step)
            self.reconstructed.emit(answer)

    # -- the encoder

    def encode_file(self, path: str) -> bool:
        """Encode an image file and go to its z; False where that cannot be."""
        return self._encode(path=path, label=Path(path).name)

    def encode_image(self, image: np.ndarray, label: str) -> bool:
        """Encode pixels, uint8 [H, W] or [H, W, 3], and go to their z; False where that cannot be."""
        return self._encode(image=image, label=label)

    def _encode(self, **what: Any) -> bool:
        if not self.able() or not self.encodes():
            return False
        self.encoder.add(Encode(run=self.state.run, step=self.state.step, **what))  # type: ignore[arg-type]
        return True

    # -- the prior and the plane

    def draw_sample(self) -> None:
        """Draw a single z from the prior, to go to it."""
        if not self.able():
            return
        self._drawn += 1
        query = SamplePrior(run=self.state.run, step=self.state.step, count=1, seed=self._drawn)  # type: ignore[arg-type]
        self.bridge.ask("latent.sample", query, partial(self._on_drawn, query), self._on_failure)

    def _on_drawn(self, query: SamplePrior, answer: PriorSampled) -> None:
        if query.run == self.state.run:
            self.sample_drawn.emit(query, answer)

    def ask_prior(self) -> None:
        if not self.active or not self.able():
            return
        asked = {"count": PRIOR_COUNT, "seed": self.seed, "label": self.label()}
        query = SamplePrior(run=self.state.run, step=self.state.step, **asked)  # type: ignore[arg-type]
        self.bridge.ask("latent.prior", query, partial(self._on_prior, query), self._on_failure)

    def _on_prior(self, query: SamplePrior, answer: PriorSampled) -> None:
        if self._current(query):
            self.prior_sampled.emit(query, answer)

    def ask_plane(self) -> None:
        state, position = self.state, self.history.current
        if not self.active or position is None or self.plane_dimensions is None or self.tab is not LatentTab.PLANE or not self.able():
            return
        x, y = self.plane_dimensions
        plane = {"z": position.z, "x": x, "y": y, "span": SPAN, "count": PLANE_COUNT, "label": self.label()}
        query = DecodeGrid(run=state.run, step=state.step, **plane)  # type: ignore[arg-type]
        self._plane_query.want(query)

    def _on_plane(self, query: DecodeGrid, answer: GridDecoded) -> None:
        if self._current(query):
            self.plane_decoded.emit(query, answer)
