"""The Sampling pane with a run of the paper sampler, which writes digits pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.panes.sampling.pane import SamplingPane
from tests.kit.panes import PIXEL_RUN, Kit, run_info


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> Iterator[SamplingPane]:
    made = kit.open(SamplingPane)
    assert isinstance(made, SamplingPane)
    kit.look_at(run_info(PIXEL_RUN, method="pixel_cnn", title="PixelCNN"))
    kit.pump()
    yield made
