"""What the tests of the Likelihood pane share: how its timers are waited for, and what its lists say."""

from __future__ import annotations

from app.panes.likelihood.pane import LikelihoodPane
from engine import messages as m
from tests.kit.panes import (
    KNOWN,
    RUN,
    Kit,
    _known,
)

SETS = (
    m.DataInfo("digits", "digits", "images", "1 797", True),
    m.DataInfo("shapes", "shapes", "images", "10 000", True),
    m.DataInfo("pydoc-text", "pydoc-text", "text", "bytes", True),
)


def rest(kit: Kit, pane: LikelihoodPane) -> None:
    """What the timers would do by and by."""
    if pane._settling.isActive():
        pane._settle()
    kit.pump()
    pane.draw()
    kit.pump()


def texts(pane: LikelihoodPane, row: int) -> list[str]:
    model = pane.page.table.model_
    return [model.data(model.index(row, column)) for column in range(model.columnCount())]


def listed(pane: LikelihoodPane) -> list[tuple[str, str]]:
    model = pane.page.list.model_
    return [(model.data(model.index(row, 0)), model.data(model.index(row, 1))) for row in range(model.rowCount())]


def p_of(score: float, detector: str) -> float:
    return (1 + sum(1 for other in _known(RUN)[detector] if other >= score)) / (KNOWN + 1)
