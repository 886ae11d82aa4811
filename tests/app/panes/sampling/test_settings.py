"""How samples are drawn: settings, what they change and what they keep, and undo."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.panes.sampling.pane import SamplingPane
from app.panes.sampling.sample_grid import captions
from engine import messages as m
from tests.kit.panes import Kit
from tests.kit.sampling_pane import branch_at, by_hand, click, hand, node_of, settle, tokens_of


def test_that_the_temperature_changes_the_samples_but_not_their_noise(kit: Kit, pane: SamplingPane) -> None:
    before = tokens_of(pane).copy()
    pane.settings_card.temperature.setValue(80)
    settle(kit, pane)
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.temperature, work.seed) == (0.8, 0) and work.tokens is None
    after = tokens_of(pane)
    assert 0 < (before != after).mean() < 0.6
    pane.settings_card.temperature.setValue(100)
    settle(kit, pane)
    np.testing.assert_array_equal(tokens_of(pane), before)
    assert len(pane.controller.samples.roots) == 1


def test_that_a_drag_of_the_temperature_is_one_step_to_undo(kit: Kit, pane: SamplingPane) -> None:
    before = tokens_of(pane).copy()
    slider = pane.settings_card.temperature
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(150, 12))
    for x in range(150, 190, 4):
        QTest.mouseMove(slider, QPoint(x, 12))
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(190, 12))
    settle(kit, pane)
    assert kit.undo.count() == 1 and node_of(pane).settings.temperature != 1
    kit.undo.undo()
    settle(kit, pane)
    assert pane.settings_card.temperature.exact == 1.0 and node_of(pane).settings.temperature == 1
    np.testing.assert_array_equal(tokens_of(pane), before)


def test_that_a_moving_slider_starts_one_growth_at_a_time(kit: Kit, pane: SamplingPane) -> None:
    asked = len(kit.engine.of(m.DrawSamples))
    for value in range(101, 160):
        pane.settings_card.temperature.setValue(value)
    assert len(kit.engine.of(m.DrawSamples)) == asked
    settle(kit, pane)
    assert len(kit.engine.of(m.DrawSamples)) == asked + 1
    assert kit.engine.of(m.DrawSamples)[-1].temperature == 1.59


def test_that_a_new_seed_draws_others_and_keeps_a_draw_with_branches(kit: Kit, pane: SamplingPane) -> None:
    before = tokens_of(pane).copy()
    pane.settings_card.next_seed.click()
    settle(kit, pane)
    assert node_of(pane).settings.seed == 1 and len(pane.controller.samples.roots) == 1
    assert (tokens_of(pane) != before).any()
    branch_at(kit, pane, 1, 20)
    pane.settings_card.next_seed.click()
    settle(kit, pane)
    assert [root.settings.seed for root in pane.controller.samples.roots] == [1, 2]
    assert len(pane.controller.samples.roots[0].children) == 1


def test_that_the_grid_grows_without_changing_the_samples_in_it(kit: Kit, pane: SamplingPane) -> None:
    before = tokens_of(pane).copy()
    pane.settings_card.counts.setCurrentIndex(pane.settings_card.counts.findData(9))
    settle(kit, pane)
    assert len(pane.view.canvas.drawn) == 9
    np.testing.assert_array_equal(tokens_of(pane)[:4], before)


def test_that_speed_is_said_with_and_without_the_cache(kit: Kit, pane: SamplingPane) -> None:
    assert "3\u202f000 pixels/s with cache" in pane.status.text
    pane.settings_card.cached.click()
    settle(kit, pane)
    assert kit.engine.of(m.DrawSamples)[-1].cached is False
    assert "100 pixels/s without cache" in pane.status.text and "the cache makes it 30.0× as fast" in pane.status.text


def test_that_classes_can_be_asked_for(kit: Kit, pane: SamplingPane) -> None:
    assert not pane.settings_card.classes.isVisible()
    work, events = by_hand(kit, pane)
    began = events[0]
    classes = m.SamplingBegan(
        *(getattr(began, name) for name in list(began.__dataclass_fields__)[:10]), ("boot", "bag"), (1, 0, 1, 1), 0, ""
    )
    hand(kit, classes, *events[1:], m.Ended(work.job, "ok", ""))
    assert pane.settings_card.classes.isVisible() and [pane.settings_card.classes.itemText(i) for i in range(3)] == ["any", "boot", "bag"]
    assert captions(node_of(pane))[0].startswith("A · bag · ")
    kit.engine.sent.clear()
    click(pane, 1, 3)
    assert kit.engine.of(m.SymbolDistribution)[-1].label == 0
    pane.settings_card.classes.setCurrentIndex(2)
    pane.settings_card.classes.activated.emit(2)
    settle(kit, pane)
    assert kit.engine.of(m.DrawSamples)[-1].label == 1


def test_that_means_or_draws_of_p_x_given_z_can_be_chosen_where_a_run_has_the_choice(kit: Kit, pane: SamplingPane) -> None:
    card, node = pane.settings_card, node_of(pane)
    assert card.decode_row.isHidden(), "a model that writes pixels has none"
    began = m.SamplingBegan("", "", 0, "whole", 0, 8, 8, 1, 0, (), (), (), 0, decode="mean")
    card.show_settings(node.settings, began, text=False, one_row=False, symbols=False)
    assert not card.decode_row.isHidden() and card.decode.currentData() == "mean"
    card.decode.setCurrentIndex(1)
    card.decode.activated.emit(1)
    settle(kit, pane)
    assert kit.engine.of(m.DrawSamples)[-1].decode == "sample" and "drawn from p(x|z)" in node_of(pane).settings.summary()
