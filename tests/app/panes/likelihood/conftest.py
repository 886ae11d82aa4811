"""The Likelihood pane over a paper engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.panes.likelihood.pane import LikelihoodPane
from tests.kit.likelihood_pane import SETS, rest
from tests.kit.panes import (
    OTHER,
    Kit,
    run_info,
)


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    made.state.set_data(SETS)
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> LikelihoodPane:
    made = kit.open(LikelihoodPane)
    assert isinstance(made, LikelihoodPane)
    kit.look_at(run_info(), run_info(OTHER))
    rest(kit, made)
    return made
