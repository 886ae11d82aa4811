"""Samples of the prior p(z), decoded: a seed, the pictures, a click on one goes to its z."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QImage, QIntValidator
from PySide6.QtWidgets import QHBoxLayout, QLineEdit

from app.panes.latent.axes import LatentAxes
from app.panes.latent.position import PositionHistory
from app.panes.latent.tiles import strip_picture
from app.shell.formatting import decoded_as
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import PriorSampled, SamplePrior

COUNT = 32
SMOOTH = {"mean": ", smoother than what the model draws", "sample": ""}


class PriorSamplesCard(Card):
    seed_changed = Signal()

    def __init__(self, history: PositionHistory) -> None:
        super().__init__(12, 8)
        self.history = history
        self.sampled: PriorSampled | None = None
        self.axes: LatentAxes | None = None  # what the dimensions stand for
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(muted("Seed", wrap=False))
        self.seed_field = QLineEdit("0")
        self.seed_field.setValidator(QIntValidator(0, 999_999, self))
        self.seed_field.setFixedWidth(72)
        self.seed_field.setAccessibleName("Seed of the prior samples")
        self.seed_field.textChanged.connect(self.seed_changed)
        row.addWidget(self.seed_field)
        row.addWidget(button("Next seed", self._next_seed, "Draw other samples."))
        self.note = TextLines(2, "About the samples", centred=True)
        row.addStretch(1)
        self.inside.addLayout(row)
        self.inside.addWidget(self.note)
        self.samples = ImageStrip("Samples of the prior; choose one to go to its z", columns=COUNT // 4, most=88)
        self.samples.picked.connect(self.take_sample)
        self.inside.addWidget(self.samples, 1)

    @property
    def seed(self) -> int:
        return int(self.seed_field.text() or 0)

    def _next_seed(self) -> None:
        self.seed_field.setText(str(self.seed + 1))

    def forget(self) -> None:
        """Another run is looked at."""
        self.sampled = self.axes = None
        self.samples.set_pixels(None)

    def show_sampled(self, query: SamplePrior, answer: PriorSampled) -> None:
        self.sampled = answer
        self.samples.set_pixels(answer.images, [self._told(index, z, query.seed) for index, z in enumerate(answer.z)])
        self.samples.choose(-1)
        kind = decoded_as(answer.decode, many=True)
        shown = f"; shown are {kind}{SMOOTH[answer.decode]}" if kind else ""
        self.note.set_text(answer.note or f"z drawn from p(z){shown}. Click one to go there.", "warning" if answer.note else "")

    def _told(self, index: int, z: np.ndarray, seed: int) -> str:
        label = None if self.axes is None else self.axes.class_of(z)
        of = "" if self.axes is None or label is None else f", class {self.axes.class_names[label]}"
        return f"sample {index + 1} of seed {seed}{of}"

    def take_sample(self, index: int) -> None:
        """Go to the z of one of the samples."""
        position = self.history.current
        if self.sampled is not None and position is not None:
            name = f"prior sample {index + 1}, seed {self.seed}"
            self.history.move(position.moved_to(self.sampled.z[index], name), "prior sample")

    def take_drawn(self, query: SamplePrior, answer: PriorSampled) -> None:
        """Go to the z of a single sample, wherever the pane stood."""
        name = f"prior sample, seed {query.seed}"
        z = np.asarray(answer.z[0], np.float32)
        self.history.move(self.history.standing(z, name).moved_to(z, name), "prior sample")

    def export_picture(self, scale: int) -> QImage:
        return strip_picture(self.samples, scale)

    def export_details(self) -> dict[str, object]:
        details: dict[str, object] = {"prior_seed": str(self.seed)}
        return details if self.sampled is None else details | {"decode": self.sampled.decode}

    def set_colors(self, c: Colors) -> None:
        self.samples.set_colors(c)
        self.note.set_colors(c)
