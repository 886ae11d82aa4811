"""The film of samples that are drawn symbol by symbol: following, pausing, stepping, winding."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QColor

from app.panes.sampling.pane import SamplingPane
from app.shell import theme
from engine import messages as m
from tests.kit.panes import PIXEL_RUN, Kit, level_value
from tests.kit.sampling_pane import by_hand, drawn, hand, node_of, tokens_of


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
