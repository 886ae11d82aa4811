"""The Sampling pane with an iterative sampler: every frame is shown, wound, played and stepped, and comes out as GIF and PNG."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.frames import FilmMemory
from app.panes.sampling.pane import SamplingPane
from app.panes.sampling.sample_tree import SampleNode, SamplingSettings
from engine import messages as m
from tests.kit import panes as kit_panes
from tests.kit.denoiser import STEPS, denoise, frame
from tests.kit.panes import VAE, Kit, run_info
from tests.kit.sampling_pane import hand

DENOISER_RUN = "/runs/denoiser"
ROWS = (0, 1, 2, 3)


@pytest.fixture
def kit(qapp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    monkeypatch.setitem(kit_panes.WORKS, m.DrawSamples, denoise())
    made = Kit()
    made.state.methods["denoiser"] = replace(VAE, name="denoiser", title="Denoiser", sampling="iterative", capabilities=("sample",))
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> SamplingPane:
    made = kit.open(SamplingPane)
    assert isinstance(made, SamplingPane)
    kit.look_at(run_info(DENOISER_RUN, method="denoiser"))
    kit.pump()
    return made


def drawn(pane: SamplingPane) -> np.ndarray:
    """What the canvas shows of all samples, uint8 [n, 1, 8, 8]."""
    images = pane.view.canvas.drawn
    return np.array([[[[image.pixelColor(x, y).red() for x in range(8)] for y in range(8)]] for image in images], np.uint8)


def by_hand(kit: Kit, pane: SamplingPane, seed: int = 5) -> list:
    """Start a draw whose events the test hands over one by one: what began, then frame 0, 1, …"""
    kit.engine.answering = False
    pane.controller.change(SamplingSettings(seed=seed))
    pane.controller._settle.stop()
    pane.controller.draw_anew()
    kit.engine.open.clear()
    return denoise()(kit.engine, kit.engine.of(m.DrawSamples)[-1])


def test_that_every_frame_is_drawn_as_it_arrives(kit: Kit, pane: SamplingPane) -> None:
    began, *frames = by_hand(kit, pane)
    hand(kit, began)
    for number, event in enumerate(frames):
        hand(kit, event)
        np.testing.assert_array_equal(drawn(pane), frame(5, ROWS, number))
        assert pane.bar.label.text() == f"step {number} of {STEPS}" and pane.bar.slider.value() == number
        assert pane.bar.play_button.text() == "Pause"
    hand(kit, m.Ended(began.job, "ok", ""))
    assert pane.bar.play_button.text() == "Replay"


def test_that_there_is_no_symbol_to_choose_but_a_film_to_step_through(kit: Kit, pane: SamplingPane) -> None:
    assert pane.bar.film_row.isVisible() and pane.bar.step_button.isVisible() and not pane.bar.row_button.isVisible()
    assert pane.bar.step_button.text() == "+1 step"
    assert "better together" in pane.status.text and "40 steps/s" in pane.status.text and "cache" not in pane.status.text
    for widget in (pane.settings_card.top_k, pane.settings_card.top_p, pane.settings_card.cached, pane.view.bits_box):
        assert not widget.isVisible()
    kit.engine.sent.clear()
    QTest.mouseClick(pane.view.canvas, Qt.MouseButton.LeftButton, pos=pane.view.canvas.place(0).center().toPoint())
    kit.pump()
    assert not kit.engine.of(m.SymbolDistribution) and "step by step" in pane.symbol_card.bars.empty_text
    assert not pane.accept_image("/home/me/seven.png")


def test_that_the_film_is_wound_and_stepped_without_asking_the_engine(kit: Kit, pane: SamplingPane) -> None:
    kit.engine.sent.clear()
    pane.bar.slider.setValue(3)
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, 3))
    assert pane.bar.label.text() == f"step 3 of {STEPS}" and pane.bar.play_button.text() == "Play"
    pane.bar.step_button.click()
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, 4))
    pane.bar.slider.setValue(0)
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, 0))
    assert kit.engine.sent == []


def test_that_replay_shows_the_frames_from_the_noise_on(kit: Kit, pane: SamplingPane) -> None:
    pane.bar.play_button.click()
    assert pane.film.playing and pane.film.position == 0 and pane.bar.play_button.text() == "Pause"
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, 0))
    pane.film.next_frame()
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, 1))
    pane.bar.play_button.click()
    assert not pane.film.playing and pane.film.position == 1 and pane.bar.play_button.text() == "Play"
    pane.bar.play_button.click()
    for _ in range(STEPS):
        pane.film.next_frame()
    assert not pane.film.playing and pane.bar.play_button.text() == "Replay"
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, STEPS))


def test_that_pause_holds_the_film_while_the_sampler_goes_on(kit: Kit, pane: SamplingPane) -> None:
    began, *frames = by_hand(kit, pane)
    hand(kit, began, *frames[:3])
    pane.bar.play_button.click()
    assert not kit.engine.of(m.StopJob)
    hand(kit, *frames[3:7])
    np.testing.assert_array_equal(drawn(pane), frame(5, ROWS, 2))
    assert pane.bar.play_button.text() == "Play"
    pane.bar.step_button.click()
    np.testing.assert_array_equal(drawn(pane), frame(5, ROWS, 3))
    hand(kit, frames[7])
    assert pane.film.position == 3
    pane.bar.play_button.click()
    for _ in range(4):
        pane.film.next_frame()
    np.testing.assert_array_equal(drawn(pane), frame(5, ROWS, 7))
    hand(kit, frames[8])  # at the end of what is there it follows again
    np.testing.assert_array_equal(drawn(pane), frame(5, ROWS, 8))
    assert pane.bar.play_button.text() == "Pause"


def test_that_a_film_at_the_newest_frame_stays_there_when_paused(kit: Kit, pane: SamplingPane) -> None:
    began, *frames = by_hand(kit, pane)
    hand(kit, began, *frames[:3])
    pane.bar.step_button.click()
    assert pane.film.position == 2 and pane.bar.play_button.text() == "Go on"
    hand(kit, frames[3])
    assert pane.film.position == 2
    pane.bar.play_button.click()
    pane.film.next_frame()
    hand(kit, frames[4])
    assert pane.film.position == 4


def test_that_a_draw_that_was_broken_off_begins_anew_with_the_same_noise(kit: Kit, pane: SamplingPane) -> None:
    began, *frames = by_hand(kit, pane)
    hand(kit, began, *frames[:4])
    pane.deactivate()
    assert kit.engine.of(m.StopJob)[-1].job == began.job
    kit.engine.answering = True
    pane.activate()
    kit.pump()
    again = kit.engine.of(m.DrawSamples)[-1]
    assert (again.seed, again.start, again.tokens) == (5, 0, None)
    np.testing.assert_array_equal(drawn(pane), frame(5, ROWS, STEPS))


def test_that_a_new_seed_draws_other_samples_and_undo_brings_the_former_back(kit: Kit, pane: SamplingPane) -> None:
    pane.settings_card.next_seed.click()
    pane.controller.draw_anew()
    kit.pump()
    np.testing.assert_array_equal(drawn(pane), frame(1, ROWS, STEPS))
    kit.undo.undo()
    pane.controller.draw_anew()
    kit.pump()
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, STEPS))


def test_that_the_gif_has_every_frame_and_the_png_is_the_shown_one(kit: Kit, pane: SamplingPane, tmp_path) -> None:
    assert pane.exports.entries["gif"].isEnabled() and pane.exports.entries["png"].isEnabled()
    pane.exports.save_gif(str(tmp_path / "out.gif"))
    with Image.open(tmp_path / "out.gif") as film:
        count = getattr(film, "n_frames", 1)
        comment = json.loads(film.info["comment"])
        shown = []
        for number in range(count):
            film.seek(number)
            factor = film.width // 17
            shown.append(np.asarray(film.convert("L"))[: 8 * factor : factor, : 8 * factor : factor].astype(int))
    assert count == STEPS + 1 and (comment["place"], comment["places"]) == (STEPS, STEPS)
    expected = np.stack([frame(0, (0,), number)[0, 0] for number in range(STEPS + 1)]).astype(int)
    assert np.abs(shown[-1] - expected[-1]).max() <= 8  # 256 colours, those of the last frame
    errors = np.abs(np.stack(shown)[:, None] - expected[None]).mean((2, 3))
    assert errors.argmin(1).tolist() == list(range(STEPS + 1))  # each is nearest to the frame it should be
    pane.bar.slider.setValue(4)
    pane.exports.scale_factor = 1
    pane.exports.save_png(str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as image:
        assert image.text["place"] == "4"  # type: ignore[attr-defined]
        np.testing.assert_array_equal(np.asarray(image.convert("L"))[:8, :8], frame(0, (0,), 4)[0, 0])


def test_that_the_films_of_older_draws_are_let_go_where_memory_is_short(kit: Kit, pane: SamplingPane) -> None:
    first = pane.node
    assert first is not None and len(first.frames) == STEPS + 1
    pane.controller._memory = FilmMemory(first.frames.nbytes * 3 // 2)
    pane.controller._memory.touch(first.frames)
    other = SampleNode("draw", SamplingSettings(seed=1), ROWS)
    pane.controller.draw_root(other)
    kit.pump()
    assert len(other.frames) == STEPS + 1 and len(first.frames) == 1
    pane.controller.choose(first)
    np.testing.assert_array_equal(drawn(pane), frame(0, ROWS, STEPS))
    assert pane.bar.play_button.text() == "Draw" and not pane.bar.film_row.isVisible() and not pane.exports.entries["gif"].isEnabled()
    pane.bar.play_button.click()
    kit.pump()
    assert len(first.frames) == STEPS + 1 and pane.bar.film_row.isVisible()
