"""The Sampling pane, fed with what a paper sampler grows: what it asks, what it draws, how branches, film, masks and files come about."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from app.panes.sampling.pane import SamplingPane
from app.panes.sampling.sample_grid import captions
from app.panes.sampling.sample_tree import SampleNode, SamplingSettings
from app.shell import theme
from app.widgets.heat import viridis
from engine import messages as m
from tests.kit.panes import LEVELS, PIXEL_RUN, RUN, Kit, digits, level_value, paper_odds, run_info


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


def test_that_rows_appear_as_they_arrive_and_the_rest_stays_open(kit: Kit, pane: SamplingPane) -> None:
    work, events = by_hand(kit, pane)
    pane.controller.runs[PIXEL_RUN].node.previous = None  # type: ignore[union-attr]
    began, start, first, second, *_ = events
    hand(kit, began, start, first, second)
    assert second.place == 16 and pane.film.position == 16
    pane.controller.drawing.previous = None  # type: ignore[union-attr]
    pane._show_samples()
    open_color = theme.colors("dark").raised
    assert {QColor(*map(int, pixel)).name() for pixel in drawn(pane)[2:].reshape(-1, 3)} == {open_color}
    np.testing.assert_array_equal(drawn(pane)[:2, :, 0], level_value(second.tokens[0, :16]).reshape(2, 8))
    assert pane.bar.play_button.text() == "Pause"
    assert work.seed == 5


def test_that_pause_keeps_what_is_there_and_go_on_continues_from_it(kit: Kit, pane: SamplingPane) -> None:
    work, events = by_hand(kit, pane)
    whole = events[-1].tokens
    hand(kit, *events[:4])
    pane.bar.play_button.click()
    assert kit.engine.of(m.StopJob)[-1].job == work.job
    hand(kit, events[4], m.Ended(work.job, "stopped", "Stopped."))  # what was under way is not drawn any more
    assert pane.film.position == 16 and node_of(pane).reached == 16
    assert pane.bar.play_button.text() == "Go on"
    pane.bar.play_button.click()
    again = kit.engine.of(m.DrawSamples)[-1]
    assert again.start == 16 and again.seed == 5
    np.testing.assert_array_equal(again.tokens[:, :16], whole[:, :16])
    assert (again.tokens[:, 16:] == -1).all()
    kit.engine.answering = True
    kit.pump()
    np.testing.assert_array_equal(tokens_of(pane), whole)


def test_that_steps_go_on_by_one_pixel_and_by_one_row(kit: Kit, pane: SamplingPane) -> None:
    work, events = by_hand(kit, pane)
    hand(kit, *events[:4], m.Ended(work.job, "stopped", ""))
    kit.engine.answering = True
    pane.bar.step_button.click()
    assert kit.engine.of(m.DrawSamples)[-1].until == 17
    kit.pump()
    assert pane.film.position == node_of(pane).reached == 17
    pane.bar.row_button.click()
    kit.pump()
    assert pane.film.position == 24
    pane.controller.wind(3)
    asked = len(kit.engine.of(m.DrawSamples))
    pane.bar.step_button.click()
    pane.bar.row_button.click()
    assert pane.film.position == 8 and len(kit.engine.of(m.DrawSamples)) == asked  # what is there already is only shown


def test_that_the_film_winds_back_without_asking_the_engine(kit: Kit, pane: SamplingPane) -> None:
    kit.engine.sent.clear()
    pane.bar.slider.setValue(20)
    assert kit.engine.sent == [] and pane.film.position == 20 and pane.bar.label.text() == "20 of 64"
    assert pane.view.canvas.grid is not None and pane.view.canvas.grid.hidden is not None
    np.testing.assert_array_equal(pane.view.canvas.grid.hidden[0].ravel(), np.arange(64) >= 20)
    assert pane.bar.play_button.text() == "Play"
    pane.bar.play_button.click()
    assert pane.film.playing
    for _ in range(200):
        pane.film.next_frame()
    assert pane.film.position == 64 and not pane.film.playing


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


def test_that_a_click_shows_the_distribution_of_that_pixel(kit: Kit, pane: SamplingPane) -> None:
    pane.settings_card.top_k.setText("3")
    settle(kit, pane)
    click(pane, 2, 27)
    kit.pump()
    tokens = tokens_of(pane)[2]
    asked = kit.engine.of(m.SymbolDistribution)[-1]
    np.testing.assert_array_equal(asked.tokens, tokens[:27])
    raw, filtered = paper_odds(tokens[:27], 1.0, 3)
    np.testing.assert_allclose(pane.symbol_card.bars.raw, raw)
    np.testing.assert_allclose(pane.symbol_card.bars.filtered, filtered)
    assert pane.symbol_card.bars.there == tokens[27]
    bits = -np.log2(raw[tokens[27]])
    assert pane.symbol_card.where.text() == f"C · pixel 3,3 · {bits:.2f} bits"
    assert pane.view.canvas.mark == (2, 27)
    assert not pane.symbol_card.regrow_button.isEnabled()
    image = pane.symbol_card.bars.grab().toImage()
    likeliest = int(np.argmax(filtered))
    assert image.pixelColor(int(pane.symbol_card.bars.middle(likeliest)), int(pane.symbol_card.bars.area().bottom()) - 3).name() in (
        theme.colors("dark").accent,
        theme.colors("dark").text,
    )


def test_that_arrow_keys_walk_over_pixels_and_values(kit: Kit, pane: SamplingPane) -> None:
    click(pane, 0, 0)
    QTest.keyClick(pane.view.canvas, Qt.Key.Key_Right)
    QTest.keyClick(pane.view.canvas, Qt.Key.Key_Down)
    kit.pump()
    assert pane.symbol.at == (0, 9) and pane.symbol_card.bars.there == tokens_of(pane)[0, 9]
    QTest.keyClick(pane.symbol_card.bars, Qt.Key.Key_Right)
    assert pane.symbol_card.bars.candidate == min(pane.symbol_card.bars.there + 1, LEVELS - 1)


def test_that_another_choice_grows_a_branch_that_keeps_all_before(kit: Kit, pane: SamplingPane) -> None:
    root = node_of(pane)
    before = tokens_of(pane).copy()
    value = branch_at(kit, pane, 1, 20)
    branch = node_of(pane)
    assert branch is root.children[0] and branch.name == f"B · pixel 4,2 → {level_value(np.array(value))}"
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.samples, work.start) == ((1,), 21)
    after = tokens_of(pane)
    np.testing.assert_array_equal(after[1, :20], before[1, :20])
    assert after[1, 20] == value
    assert (after[1, 21:] != before[1, 21:]).any()
    np.testing.assert_array_equal(np.delete(after, 1, 0), np.delete(before, 1, 0))
    np.testing.assert_array_equal(root.tokens, before)
    np.testing.assert_array_equal(drawn(pane, 1)[..., 0], level_value(after[1]).reshape(8, 8))


def test_that_branches_are_a_tree_one_can_go_back_in(kit: Kit, pane: SamplingPane) -> None:
    root = node_of(pane)
    branch_at(kit, pane, 0, 10)
    first = node_of(pane)
    branch_at(kit, pane, 0, 30)
    second = node_of(pane)
    assert second.parent is first and [one.title() for one in second.path()] == [root.title(), first.name, second.name]
    top = pane.branches.tree.topLevelItem(0)
    assert top.text(0) == "seed 0 · ×4" and top.child(0).text(0) == first.name and top.child(0).child(0).text(0) == second.name
    asked = len(kit.engine.of(m.DrawSamples))
    pane.show_page(1)
    pane.branches.tree.itemClicked.emit(top, 0)
    assert node_of(pane) is root
    np.testing.assert_array_equal(drawn(pane)[..., 0], level_value(root.tokens[0]).reshape(8, 8))  # type: ignore[index]
    kit.undo.undo()
    assert node_of(pane) is second
    kit.undo.undo()
    assert node_of(pane) is first
    kit.undo.redo()
    assert node_of(pane) is second and len(kit.engine.of(m.DrawSamples)) == asked  # nothing had to be grown again


def test_that_a_branch_morphs_from_its_choice_on(kit: Kit, pane: SamplingPane) -> None:
    value = branch_at(kit, pane, 1, 20)
    before = tokens_of(pane).copy()
    pane.settings_card.temperature.setValue(150)
    settle(kit, pane)
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.start, work.temperature, work.samples) == (21, 1.5, (1,))
    after = tokens_of(pane)
    np.testing.assert_array_equal(after[1, :21], before[1, :21])
    assert after[1, 20] == value and (after[1] != before[1]).any()


def test_that_bits_are_drawn_in_viridis_with_their_legend(kit: Kit, pane: SamplingPane) -> None:
    assert not pane.view.legend.isVisible()
    pane.view.bits_box.click()
    assert pane.view.legend.isVisible()
    tokens = tokens_of(pane)
    bits = np.array([[-np.log2(paper_odds(row[:place])[0][row[place]]) for place in range(64)] for row in tokens])
    assert pane.view.legend.most == pytest.approx(bits.max(), rel=1e-5)
    np.testing.assert_allclose(drawn(pane, 3), viridis(bits[3] / bits.max()).reshape(8, 8, 3), atol=1)
    assert f"{bits[3, 9]:.2f} bits" in pane.view.canvas.tip(3, 9)


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


def test_that_speed_is_said_with_and_without_the_cache(kit: Kit, pane: SamplingPane) -> None:
    assert "3\u202f000 pixels/s with cache" in pane.status.text
    pane.settings_card.cached.click()
    settle(kit, pane)
    assert kit.engine.of(m.DrawSamples)[-1].cached is False
    assert "100 pixels/s without cache" in pane.status.text and "the cache makes it 30.0× as fast" in pane.status.text


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


def test_that_a_method_without_an_order_draws_too_and_says_so(kit: Kit) -> None:
    pane = kit.open(SamplingPane)
    assert isinstance(pane, SamplingPane)
    kit.look_at()
    kit.pump()
    assert len(pane.view.canvas.drawn) == 4 and "no order" in pane.status.text
    assert not pane.settings_card.top_k.isEnabled() and not pane.settings_card.cached.isEnabled() and not pane.bar.step_button.isVisible()
    kit.engine.sent.clear()
    QTest.mouseClick(pane.view.canvas, Qt.MouseButton.LeftButton, pos=pane.view.canvas.place(0).center().toPoint())
    kit.pump()
    assert not kit.engine.of(m.SymbolDistribution) and "all pixels at once" in pane.symbol_card.bars.empty_text
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


# -- text ----------------------------------------------------------------------------------------------------------------

TEXT = "To be,\nor not"
TEXT_RUN = "/runs/text"


@pytest.fixture
def writing(kit: Kit) -> Iterator[SamplingPane]:
    """The pane with a run of text whose sample is TEXT."""
    kit.state.methods["text_rnn"] = m.MethodInfo(
        "text_rnn", "Text RNN", "Explicit density · exact", "exact", "iterative", False, ("log_prob", "sample"), "", "", "", (), "text"
    )
    kit.engine.answering = False
    made = kit.open(SamplingPane)
    assert isinstance(made, SamplingPane)
    kit.look_at(run_info(TEXT_RUN, method="text_rnn"))
    yield made


def write(kit: Kit, until: int = len(TEXT), start: int = 0) -> m.DrawSamples:
    work = kit.engine.of(m.DrawSamples)[-1]
    symbols = tuple(sorted(set(TEXT)))
    tokens = np.array([[symbols.index(sign) for sign in TEXT]], np.int32)
    log_p = -np.linspace(0.1, 3, len(TEXT), dtype=np.float32)[None]
    tokens[:, until:], log_p[:, until:] = -1, np.nan
    began = m.SamplingBegan(
        work.job, work.run, 1024, "text", len(TEXT), 1, len(TEXT), 1, len(symbols), symbols, (), (), start
    )  # fmt: skip
    grown = m.SymbolsDrawn(work.job, work.run, 1024, until, tokens, log_p, None, (TEXT[:until],), 250.0, True)
    hand(kit, began, grown, m.Ended(work.job, "ok", ""))
    return work


def test_that_a_text_is_shown_letter_by_letter(kit: Kit, writing: SamplingPane) -> None:
    assert write(kit, 8).samples == (0,)
    assert writing.view.canvases.currentWidget() is writing.view.text
    assert [(first, end) for _, first, end in writing.view.text.lines] == [(0, 7), (7, 8)]  # the line end breaks the line
    assert "250 tokens/s with cache" in writing.status.text
    assert writing.bar.step_button.text() == "+1 character" and not writing.bar.row_button.isVisible()


def test_that_a_character_has_its_distribution_and_its_surprise(kit: Kit, writing: SamplingPane) -> None:
    write(kit)
    rect = writing.view.text.rect_of(0, 9)
    QTest.mouseClick(writing.view.text.viewport(), Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    asked = kit.engine.of(m.SymbolDistribution)[-1]
    assert len(asked.tokens) == 9
    symbols = tuple(sorted(set(TEXT)))
    raw = np.linspace(1, 2, len(symbols)) / np.linspace(1, 2, len(symbols)).sum()
    hand(kit, m.SymbolDistributed(stamp=asked.stamp, channel=asked.channel, run=TEXT_RUN, step=1024, raw=raw, filtered=raw))
    assert writing.symbol_card.rows.ranked[0] == len(symbols) - 1 and writing.symbol_card.rows.there == symbols.index(TEXT[9])
    writing.view.bits_box.click()
    image = writing.view.text.viewport().grab().toImage()
    corner = writing.view.text.rect_of(0, 12)
    share = writing.view.text.texts.bits[0, 12] / writing.view.legend.most  # type: ignore[union-attr,index]
    assert image.pixelColor(int(corner.left()) + 1, int(corner.top()) + 1).getRgb()[:3] == tuple(viridis(np.array(share)))
    writing.symbol_card.rows.taken.emit(2)
    assert writing.node is not None and writing.node.name == f"A · character 9 → “{symbols[2]}”"
    assert kit.engine.of(m.DrawSamples)[-1].start == 10


def test_that_a_prompt_goes_to_the_engine_with_its_line_ends(kit: Kit, writing: SamplingPane) -> None:
    write(kit)
    writing.settings_card.prompt.setText("To be,\\n")
    writing.settings_card.prompt.editingFinished.emit()
    settle(kit, writing)
    assert kit.engine.of(m.DrawSamples)[-1].prompt == "To be,\n"
    write(kit, start=7)
    assert writing.view.text.texts is not None and writing.view.text.texts.given is not None
    assert writing.view.text.texts.given[0].tolist() == [True] * 7 + [False] * 6


def test_that_a_text_is_saved_with_its_recipe(kit: Kit, writing: SamplingPane, tmp_path) -> None:
    write(kit)
    assert writing.exports.entries["txt"].isEnabled() and not writing.exports.entries["png"].isEnabled()
    writing.exports.save_text(str(tmp_path / "out.txt"))
    saved = (tmp_path / "out.txt").read_text()
    assert saved.endswith(TEXT) and "# run: text" in saved and "# sample_seed: 0" in saved


# -- out of the window ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 8])
def test_that_a_png_carries_its_recipe(kit: Kit, pane: SamplingPane, tmp_path, factor: int) -> None:
    value = branch_at(kit, pane, 1, 20)
    pane.exports.scale_factor = factor
    pane.exports.save_png(str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as image:
        text, size = image.text, image.size  # type: ignore[attr-defined]
        pixels = np.asarray(image.convert("L"))
    assert size == (17 * factor, 17 * factor)  # two by two, a line between them
    assert (text["run"], text["step"], text["sample_seed"], text["temperature"]) == ("pixel-cnn-digits", "1024", "0", "1.0")
    assert json.loads(text["choices"]) == [[1, 20, value]]
    np.testing.assert_array_equal(pixels[: 8 * factor : factor, 9 * factor :: factor], level_value(tokens_of(pane)[1]).reshape(8, 8))


def test_that_the_gif_is_the_growth(kit: Kit, pane: SamplingPane, tmp_path) -> None:
    pane.exports.save_gif(str(tmp_path / "out.gif"))
    with Image.open(io.BytesIO((tmp_path / "out.gif").read_bytes())) as film:
        frames = getattr(film, "n_frames", 1)
        comment = json.loads(film.info["comment"])
        factor = film.width // 17
        film.seek(frames - 1)
        last = np.asarray(film.convert("RGB"))[::factor, ::factor]
        film.seek(0)
        first = np.asarray(film.convert("RGB"))[::factor, ::factor]
    assert frames > 20 and comment["run"] == "pixel-cnn-digits"
    assert np.abs(last[:8, :8, 0].astype(int) - level_value(tokens_of(pane)[0]).reshape(8, 8)).max() <= 8  # 256 colours
    assert len(np.unique(first[:8, :8].reshape(-1, 3), axis=0)) == 1
    assert pane.film.position == 64 and len(pane.view.canvas.drawn) == 4


def test_that_a_folder_that_cannot_be_written_is_said(pane: SamplingPane, tmp_path) -> None:
    pane.exports.save_png(str(tmp_path / "missing" / "out.png"))
    assert "could not be written" in pane.status.text and pane.status.level == "bad"


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
