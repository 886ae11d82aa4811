"""What a checkpoint is judged on: the pieces in which held-out images are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.methods.simclr import SimCLR
from engine.training.loop import train
from engine.training.plan import Plan


@pytest.mark.parametrize(("batch", "pieces"), [(50, {50}), (64, {64}), (200, {162})])
def test_that_held_out_images_have_as_many_negatives_as_those_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, pieces: set[int]
) -> None:
    """Of 162 validation images; the last 12 or 34 would make a smaller batch. Only where there is no whole one, the rest is taken."""
    seen: list[int] = []
    loss = SimCLR.loss

    def noted(self, x, y, context):
        if not self.training:
            seen.append(len(x))
        return loss(self, x, y, context)

    monkeypatch.setattr(SimCLR, "loss", noted)
    config = {"batch_size": batch, "width": 4, "blocks": 1, "projection": 8}
    list(train(Plan("simclr", "digits", config, steps=1, name="run", device="cpu"), tmp_path))
    assert seen and set(seen) == pieces
