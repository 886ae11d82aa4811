"""The Latent pane over a paper engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.panes.latent.pane import LatentPane
from tests.kit.panes import Kit


@pytest.fixture
def pane(kit: Kit) -> Iterator[LatentPane]:
    made = kit.open(LatentPane)
    assert isinstance(made, LatentPane)
    kit.look_at()
    kit.pump()
    yield made
