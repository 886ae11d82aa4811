"""The Sampling pane, fed with what a paper sampler draws: what it asks of the engine, and when."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QRectF, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.panes.sampling.pane import SamplingPane
from app.panes.sampling.sample_canvas import SampleCanvas
from app.panes.sampling.sample_grid import SampleGrid, captions
from app.shell import theme
from engine import messages as m
from tests.kit.panes import PIXEL_RUN, RUN, Kit, level_value, paper_odds, run_info
from tests.kit.sampling_pane import by_hand, drawn, hand, node_of, settle, tokens_of


def test_that_samples_grow_by_themselves_and_are_drawn_pixel_for_pixel(kit: Kit, pane: SamplingPane) -> None:
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.run, work.step, work.seed, work.samples, work.temperature) == (PIXEL_RUN, 1024, 0, (0, 1, 2, 3), 1.0)
    tokens = tokens_of(pane)
    assert (tokens >= 0).all() and len(pane.view.canvas.drawn) == 4
    for sample in range(4):
        np.testing.assert_array_equal(drawn(pane, sample)[..., 0], level_value(tokens[sample]).reshape(8, 8))
    assert pane.view.canvas.grid is not None and not pane.view.canvas.grid.hidden.any()  # type: ignore[union-attr]
    assert pane.bar.play_button.text() == "Replay" and pane.bar.label.text() == "64 of 64"


def test_that_the_caption_is_the_log_likelihood(pane: SamplingPane) -> None:
    tokens = tokens_of(pane)[2]
    nats = sum(np.log(paper_odds(tokens[:place])[0][tokens[place]]) for place in range(64))
    assert captions(node_of(pane))[2] == f"C · −{-nats:.1f} nat"


def test_that_a_failure_is_said_in_the_pane(kit: Kit, pane: SamplingPane) -> None:
    work, _ = by_hand(kit, pane)
    hand(kit, m.Ended(work.job, "failed", "The weights of step 1024 are damaged. Choose another step."))
    assert pane.status.text == "The weights of step 1024 are damaged. Choose another step." and pane.status.level == "bad"
    assert pane.bar.play_button.text() != "Pause"


def test_that_a_chosen_step_is_grown_at_once_with_the_same_noise(kit: Kit, pane: SamplingPane) -> None:
    kit.state.set_cursor(70)
    kit.pump()
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.step, work.seed) == (64, 0) and node_of(pane).step == 64


def test_that_a_live_checkpoint_waits_for_the_end_of_the_present_growth(kit: Kit, pane: SamplingPane) -> None:
    work, events = by_hand(kit, pane)
    hand(kit, *events[:3])
    kit.state.checkpoint_saved(PIXEL_RUN, 2048, False)
    assert kit.engine.of(m.DrawSamples)[-1] is work
    hand(kit, *events[3:], m.Ended(work.job, "ok", ""))
    assert kit.engine.of(m.DrawSamples)[-1].step == 2048


def test_that_a_hidden_pane_asks_nothing_and_goes_on_when_seen(kit: Kit, pane: SamplingPane) -> None:
    work, events = by_hand(kit, pane)
    hand(kit, *events[:3])
    pane.deactivate()
    assert kit.engine.of(m.StopJob)[-1].job == work.job
    kit.engine.sent.clear()
    kit.state.set_cursor(4)
    pane.controller.play()
    pane.controller.draw_anew()
    assert not kit.engine.of(m.DrawSamples) and not kit.engine.of(m.SymbolDistribution)
    kit.state.set_cursor(None)
    kit.engine.answering = True
    pane.activate()
    kit.pump()
    assert kit.engine.of(m.DrawSamples)[-1].start == 8 and node_of(pane).done
    assert not [timer for timer in pane.findChildren(QTimer) if timer.isActive()]


def test_that_late_events_of_another_run_are_not_drawn(kit: Kit, pane: SamplingPane) -> None:
    work, events = by_hand(kit, pane)
    kit.state.set_runs((run_info(PIXEL_RUN, method="pixel_cnn"), run_info(RUN)), "/runs")
    kit.state.set_run(RUN)
    kit.engine.open.clear()
    hand(kit, *events, m.Ended(work.job, "ok", ""))
    assert pane.view.canvas.drawn == [] and pane.node is not None and pane.node.tokens is None


def symbol_parts(pane: SamplingPane) -> list[QWidget]:
    """The controls that mean nothing where all pixels are drawn together."""
    card = pane.settings_card
    return [card.top_k, card.top_p, card.cached, pane.view.bits_box, pane.view.legend, pane.symbol_card.regrow_button, pane.tab_row]


def test_that_nothing_is_offered_that_the_method_has_no_use_for_even_before_its_first_sample(kit: Kit) -> None:
    kit.engine.answering = False
    pane = kit.open(SamplingPane)
    assert isinstance(pane, SamplingPane)
    kit.look_at(run_info(PIXEL_RUN, method="pixel_cnn"), run_info())
    kit.pump()
    pane.view.bits_box.setChecked(True)
    pane.show_page(2)
    assert [part for part in symbol_parts(pane) if not part.isVisible()] == [pane.symbol_card.regrow_button]  # on another page
    kit.state.set_run(RUN)
    kit.pump()
    assert pane.node is not None and pane.node.began is None, "nothing is drawn yet"
    assert not [part for part in symbol_parts(pane) if part.isVisible()]
    assert not pane.symbol_card.isVisible(), "an empty card would say so only"
    kit.state.set_run(PIXEL_RUN)
    kit.pump()
    assert pane.tab_row.isVisible() and pane.view.bits_box.isVisible() and pane.symbol_card.regrow_button.isVisible()


def test_that_a_method_without_an_order_draws_too_and_says_so(kit: Kit) -> None:
    pane = kit.open(SamplingPane)
    assert isinstance(pane, SamplingPane)
    kit.look_at()
    kit.pump()
    assert len(pane.view.canvas.drawn) == 4 and "no order" in pane.status.text
    assert not [part for part in symbol_parts(pane) if part.isVisible()] and not pane.bar.step_button.isVisible()
    assert "symbol" not in pane.settings_card.temperature.toolTip() and pane.settings_card.temperature.isVisible()
    kit.engine.sent.clear()
    QTest.mouseClick(pane.view.canvas, Qt.MouseButton.LeftButton, pos=pane.view.canvas.place(0).center().toPoint())
    kit.pump()
    assert not kit.engine.of(m.SymbolDistribution)
    assert not pane.accept_image("/home/me/seven.png")
    before = drawn(pane)
    pane.settings_card.next_seed.click()
    settle(kit, pane)
    assert (drawn(pane) != before).any()


def test_that_without_sampling_it_says_so_and_asks_nothing(kit: Kit) -> None:
    pane = kit.open(SamplingPane)
    assert isinstance(pane, SamplingPane)
    assert pane.empty.title.text() == "No run chosen"
    kit.look_at(run_info(method="rotation"))
    kit.pump()
    assert "draws no samples" in pane.empty.title.text() and pane.stack.currentIndex() == 0
    assert not kit.engine.sent


@pytest.mark.parametrize("name", ["dark", "light"])
def test_that_it_is_painted_in_both_themes(kit: Kit, pane: SamplingPane, qapp, name: str) -> None:
    theme.apply_theme(qapp, name)
    kit.state.set_theme(name)
    pane.controller.wind(20)
    kit.pump()
    image = pane.grab().toImage()
    colors = {image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)}
    c = theme.colors(name)
    assert {c.background, c.raised, c.line} <= colors
    qapp.setStyleSheet("")


@pytest.mark.parametrize(("width", "height"), [(832, 690), (880, 420)])
def test_that_samples_have_the_whole_height_where_no_pixel_has_a_distribution_of_its_own(kit: Kit, width: int, height: int) -> None:
    pane = kit.open(SamplingPane, width, height)
    assert isinstance(pane, SamplingPane)
    kit.look_at(run_info(PIXEL_RUN, method="pixel_cnn"), run_info())
    kit.pump()

    def bottom(part: QWidget) -> int:
        return part.mapTo(pane, part.rect().bottomLeft()).y()

    assert bottom(pane.bar) > bottom(pane.view)
    kit.state.set_run(RUN)
    kit.pump()
    QCoreApplication.sendPostedEvents()
    pane.grab()  # laid out
    assert not pane.pages.isVisible() and pane.bar.isVisible() and pane.status.isVisible()
    assert bottom(pane.view) >= pane.height() - 17, "nothing stands below the samples"
    assert bottom(pane.status) < bottom(pane.view) and pane.bar.mapTo(pane, pane.bar.rect().topLeft()).x() > width - 330
    kit.state.set_run(PIXEL_RUN)
    kit.pump()
    pane.grab()
    assert bottom(pane.bar) > bottom(pane.view) and pane.pages.isVisible()


def test_that_images_stand_in_as_many_columns_as_make_them_largest(kit: Kit) -> None:
    canvas = SampleCanvas("Samples")
    canvas.show_grid(SampleGrid(np.zeros((16, 1, 8, 8), np.uint8)))
    for width, height, across in ((400, 400, 4), (900, 220, 8), (160, 900, 2)):
        canvas.resize(width, height)
        assert canvas.across() == across
        places = [canvas.place(index) for index in range(16)]
        assert all(QRectF(0, 0, width, height).contains(place) for place in places)
        assert not any(a.intersects(b) for i, a in enumerate(places) for b in places[:i])


def test_that_a_caption_too_long_for_its_image_has_two_lines(kit: Kit) -> None:
    canvas = SampleCanvas("Samples")
    canvas.resize(420, 420)
    for text, lines in (("A", 1), ("A · a small red square at the top left", 2)):
        canvas.show_grid(SampleGrid(np.full((4, 1, 8, 8), 255, np.uint8), captions=(text,) * 4))
        below = canvas.grab(canvas.place(0).toRect().translated(0, round(canvas.place(0).height()))).toImage()
        ground = below.pixelColor(below.width() - 1, 60)
        inked = [y for y in range(40) if any(below.pixelColor(x, y) != ground for x in range(0, below.width()))]
        assert (max(inked) > 18) == (lines == 2)
        assert canvas.tip(0, 0) == text
