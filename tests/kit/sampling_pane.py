"""For tests of the Sampling pane: what it shows, clicks on it, and draws whose events are handed over one by one."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.pane import SamplingPane
from app.panes.sampling.sample_tree import SampleNode, SamplingSettings
from engine import messages as m
from tests.kit.panes import Kit


def node_of(pane: SamplingPane) -> SampleNode:
    assert pane.node is not None
    return pane.node


def tokens_of(pane: SamplingPane) -> np.ndarray:
    node = node_of(pane)
    assert node.tokens is not None
    return node.tokens


def drawn(pane: SamplingPane, index: int = 0) -> np.ndarray:
    """What the canvas shows of a sample, uint8 [8, 8, 3]."""
    image = pane.view.canvas.drawn[index]
    return np.array([[image.pixelColor(x, y).getRgb()[:3] for x in range(8)] for y in range(8)])


def click(pane: SamplingPane, sample: int, cell: int) -> None:
    QTest.mouseClick(pane.view.canvas, Qt.MouseButton.LeftButton, pos=pane.view.canvas.cell_rect(sample, cell).center().toPoint())


def settle(kit: Kit, pane: SamplingPane) -> None:
    """Let the short wait after a change of settings be over."""
    if pane.controller._settle.isActive():
        pane.controller._settle.stop()
        pane.controller.draw_anew()
    kit.pump()


def by_hand(kit: Kit, pane: SamplingPane, seed: int = 5) -> tuple[m.DrawSamples, list]:
    """Start a growth whose events the test hands over one by one."""
    from tests.kit.panes import _grow

    kit.engine.answering = False
    kit.engine.open.clear()
    pane.controller.change(SamplingSettings(seed=seed))
    settle(kit, pane)
    work = kit.engine.of(m.DrawSamples)[-1]
    kit.engine.open.clear()
    return work, _grow(kit.engine, work)


def hand(kit: Kit, *events) -> None:
    kit.engine.events.extend(events)
    kit.bridge.drain()


def branch_at(kit: Kit, pane: SamplingPane, sample: int, cell: int) -> int:
    """Click a pixel, choose a value that stands not there, regrow; returns the value."""
    click(pane, sample, cell)
    kit.pump()
    there = int(tokens_of(pane)[sample, cell])
    value = next(symbol for symbol in (6, 9) if symbol != there)
    pane.symbol_card.bars.choose(value)
    pane.symbol_card.bars.picked.emit(value)
    pane.symbol_card.regrow_button.click()
    kit.pump()
    return value
