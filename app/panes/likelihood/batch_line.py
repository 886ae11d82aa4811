"""The dropped images as one batch: whether the mean of their log p is that of held-out images, in one line."""

from __future__ import annotations

import numpy as np

from app.panes.likelihood.scored_images import ScoredImages
from app.shell.formatting import number, things
from app.shell.plain_text import set_tip
from app.widgets.parts import TextLines
from engine.common.batch_typicality import ALPHA, LOG_P_SCORES, BatchTest, batch_test

TIP = (
    "Typicality of a batch (Nalisnick et al. 2019): the distance of the mean of −log p(x) over these images from its mean over held-out "
    "images, against batches drawn from these. Both too unlikely and too likely batches are far."
)


class BatchLine(TextLines):
    def __init__(self) -> None:
        super().__init__(2, "All dropped images as one batch", small=True)
        self.found: BatchTest | None = None
        self._asked: tuple[object, ...] = ()
        self.hide()

    def show_batch(self, images: ScoredImages, run: str) -> None:
        """Of the images that this run has scored; nothing where they are not all scored, or where it has no log p."""
        calibrated = images.calibrated.get(run)
        name = next((name for name in LOG_P_SCORES if calibrated is not None and name in calibrated.known), "")
        nats = images.scored(run, name)[1] if name and not images.waiting() else np.zeros(0)
        asked = (calibrated, name, nats.tobytes())
        if asked != self._asked:  # a bootstrap: once for the same images
            self._asked = asked
            self.found = batch_test(images.known(run, name), nats, images.groups(run)) if len(nats) > 1 else None
        found, info = self.found, images.info(run, name)
        self.setVisible(found is not None)
        if found is None or info is None:
            self.set_text("")
            return
        p = f"p {'≤' if found.p_value <= found.p_floor else '='} {number(found.p_value, 4)}"
        self.set_text(
            f"{'This' if found.images == 1 else 'These'} {things(found.images, 'image')} as one batch, by {info.title}: "
            f"mean −log p {number(found.statistic, 1, 'nat')} from "
            f"held-out images, {p}, {found.verdict}.",
            "" if found.p_value > ALPHA else "bad" if found.p_value <= 0.01 else "warning",
        )
        held_out = things(found.held_out_images, "held-out image")
        if found.held_out_groups < found.held_out_images:
            held_out += f" in {things(found.held_out_groups, 'group')}"
        means = f"{number(found.mean, 1, 'nat')} and {number(found.held_out_mean, 1, 'nat')} of {held_out}"
        set_tip(self, f"{self.text}\nMean −log p: {means}.\n{TIP}")
