"""An image of one's own is completed by the Sampling pane."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.pane import SamplingPane
from engine import messages as m
from tests.kit.panes import Kit, digits, level_value
from tests.kit.sampling_pane import drawn, node_of, tokens_of


def test_that_an_image_is_completed_from_its_upper_half_and_ranked(kit: Kit, pane: SamplingPane) -> None:
    assert pane.accept_image("/home/me/seven.png")
    kit.pump()
    assert pane.pages.currentIndex() == 2 and pane.completion.painter.known[:4].all() and not pane.completion.painter.known[4:].any()
    pane.completion.complete_button.click()
    kit.pump()
    work = kit.engine.of(m.DrawSamples)[-1]
    read = np.round(digits()[0][17].reshape(64) / 15.9375).astype(int)
    assert work.start == 32 and work.samples == tuple(range(8))
    np.testing.assert_array_equal(work.tokens, np.broadcast_to(np.where(np.arange(64) < 32, read, -1), (8, 64)))
    node = node_of(pane)
    assert node.name == "seven.png · upper half"
    np.testing.assert_array_equal(tokens_of(pane)[:, :32], np.broadcast_to(read[:32], (8, 32)))
    nats = [node.log_likelihood(row) for row in node.display_order()]
    assert len(nats) == 8 and nats == sorted(nats, reverse=True)  # type: ignore[type-var]
    best = node.display_order()[0]
    np.testing.assert_array_equal(drawn(pane, 0)[..., 0], level_value(tokens_of(pane)[best]).reshape(8, 8))
    assert pane.view.canvas.grid is not None and pane.view.canvas.grid.captions[0] == f"1. {'ABCDEFGH'[best]} · −{-nats[0]:.1f} nat"  # type: ignore[operator]


def test_that_a_painted_mask_keeps_later_pixels_and_says_so(kit: Kit, pane: SamplingPane) -> None:
    pane.accept_image("/home/me/seven.png")
    kit.pump()
    pane.completion.all_button.click()
    pane.completion.brush.setCurrentIndex(0)
    assert not pane.completion.complete_button.isEnabled()
    QTest.mouseClick(pane.completion.painter, Qt.MouseButton.LeftButton, pos=pane.completion.painter.cell_rect(0, 18).center().toPoint())
    QTest.mouseClick(pane.completion.painter, Qt.MouseButton.LeftButton, pos=pane.completion.painter.cell_rect(0, 19).center().toPoint())
    QTest.mouseClick(pane.completion.painter, Qt.MouseButton.RightButton, pos=pane.completion.painter.cell_rect(0, 19).center().toPoint())
    assert np.flatnonzero(~pane.completion.painter.known.ravel()).tolist() == [18]
    assert "45 given pixels come after" in pane.completion.note.text and pane.completion.note.level == "warning"
    pane.completing.complete()
    kit.pump()
    read = np.round(digits()[0][17].reshape(64) / 15.9375).astype(int)
    tokens = tokens_of(pane)
    np.testing.assert_array_equal(np.delete(tokens, 18, 1), np.broadcast_to(np.delete(read, 18), (8, 63)))
    pane.controller.wind(0)
    assert pane.view.canvas.grid is not None and pane.view.canvas.grid.hidden is not None
    assert np.flatnonzero(pane.view.canvas.grid.hidden[0].ravel()).tolist() == [18]  # what was given is there from the beginning
