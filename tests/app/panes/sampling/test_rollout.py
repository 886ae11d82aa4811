"""The film of next frames in the Sampling pane: the true frames beside the drawn ones, stepped through, each with its likelihood."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.pane import FILM_PAGE, SamplingPane
from app.shell import theme
from engine import messages as m
from tests.kit.panes import PIXEL_RUN, Kit, clips, run_info


@pytest.fixture
def pane(kit: Kit) -> Iterator[SamplingPane]:
    made = kit.open(SamplingPane)
    assert isinstance(made, SamplingPane)
    kit.look_at(run_info(PIXEL_RUN, method="next_frame", title="Next frame"), run_info("/runs/other", method="pixel_cnn", title="PixelCNN"))
    kit.pump()
    yield made


def seen(view) -> np.ndarray:
    """The pixels of a picture, uint8 [16, 16]."""
    return np.array([[view.image.pixelColor(x, y).red() for x in range(16)] for y in range(16)])


def open_film(kit: Kit, pane: SamplingPane) -> None:
    pane.tabs.button(FILM_PAGE).click()
    kit.pump()


def test_that_the_film_is_offered_by_methods_of_next_frames_only_and_drawn_once_it_is_looked_at(kit: Kit, pane: SamplingPane):
    assert pane.tabs.button(FILM_PAGE).isVisible() and not kit.engine.of(m.RollOut)
    open_film(kit, pane)
    (asked,) = kit.engine.of(m.RollOut)
    assert (asked.run, asked.clip, asked.frames, asked.seed) == (PIXEL_RUN, 0, 8, 0)
    kit.state.set_run("/runs/other")
    kit.pump()
    assert not pane.tabs.button(FILM_PAGE).isVisible() and pane.pages.currentIndex() != FILM_PAGE
    assert len(kit.engine.of(m.RollOut)) == 1 and pane.rollout.film is None
    kit.state.set_run(PIXEL_RUN)
    kit.pump()
    open_film(kit, pane)
    assert pane.rollout.film is not None and len(kit.engine.of(m.RollOut)) == 2


def test_that_each_frame_is_shown_beside_the_true_one_with_its_likelihood(kit: Kit, pane: SamplingPane):
    open_film(kit, pane)
    card, clip = pane.rollout_card, clips()[0]
    assert card.slider.maximum() == 11 and card.place == 11
    for place in range(12):
        card.slider.setValue(place)
        assert np.array_equal(seen(card.true_view), clip[place, 0])
        assert np.array_equal(seen(card.drawn_view), clip[place if place < 4 else place - 1, 0])
        words = card.words.text
        if place < 4:
            assert f"{place + 1} of 4 that are given" in words
        else:
            nats = 100.0 + 7.0 * (place - 3)
            assert f"{place - 3} of 8" in words and f"drawn {nats:.1f} nat" in words
            assert f"{nats / 256 / math.log(2):.3f} bits/dim" in words
    true, drawn = card.chart.curves
    assert len(true) == len(drawn) == 8 and drawn[0] == pytest.approx(107 / 256 / math.log(2))


def test_that_buttons_and_play_step_through_the_film_and_stop_at_its_end(kit: Kit, pane: SamplingPane):
    open_film(kit, pane)
    card = pane.rollout_card
    assert card.back_button.isEnabled() and not card.on_button.isEnabled()
    QTest.mouseClick(card.back_button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(card.back_button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(card.on_button, Qt.MouseButton.LeftButton)
    assert card.place == 10
    card.go_to(11)
    card.play()
    assert card.place == 0 and card.play_button.text() == "Pause"
    for _ in range(12):
        card._play_on()
    assert card.place == 11 and card.play_button.text() == "Play" and not card._player.isActive()
    card.play()
    pane.deactivate()
    assert not card._player.isActive()


def test_that_a_frame_that_arrives_is_followed_only_from_the_end(kit: Kit, pane: SamplingPane):
    kit.engine.answering = False
    open_film(kit, pane)
    work = kit.engine.of(m.RollOut)[-1]
    from tests.kit.panes import _roll_out

    began, first, second, third, *_ = _roll_out(kit.engine, work)
    kit.engine.events.extend([began, first])
    kit.bridge.drain()
    assert pane.rollout_card.place == 4
    pane.rollout_card.go_to(1)
    kit.engine.events.append(second)
    kit.bridge.drain()
    assert pane.rollout_card.place == 1 and pane.rollout_card.slider.maximum() == 5
    pane.rollout_card.go_to(5)
    kit.engine.events.append(third)
    kit.bridge.drain()
    assert pane.rollout_card.place == 6
    pane.deactivate()
    assert kit.engine.of(m.StopJob)[-1].job == work.job


def test_that_another_clip_seed_or_length_draws_another_film(kit: Kit, pane: SamplingPane):
    open_film(kit, pane)
    card = pane.rollout_card
    assert card.clip.maximum() == 5
    card.clip.setValue(3)
    kit.pump()
    card.seed.setValue(7)
    kit.pump()
    card.frames.setValue(20)
    kit.pump()
    assert [(asked.clip, asked.frames, asked.seed) for asked in kit.engine.of(m.RollOut)] == [(0, 8, 0), (2, 8, 0), (2, 8, 7), (2, 20, 7)]
    card.go_to(23)  # behind the clip's end there is no true frame
    assert card.true_view.image is None and "true" not in card.words.text and "20 of 20" in card.words.text
    assert len(card.chart.curves[0]) == 16 and len(card.chart.curves[1]) == 20


def test_that_the_film_follows_the_time_cursor_and_says_what_went_wrong(kit: Kit, pane: SamplingPane):
    open_film(kit, pane)
    kit.state.set_cursor(256)
    kit.pump()
    assert [asked.step for asked in kit.engine.of(m.RollOut)][-1] == 256
    kit.engine.answering = False
    pane.rollout_card.clip.setValue(2)
    job = kit.engine.of(m.RollOut)[-1].job
    kit.engine.events.append(m.Ended(job, "failed", "These images are no clips; choose others."))
    kit.bridge.drain()
    assert "no clips" in pane.status.text and pane.rollout.job is None


def test_that_other_runs_need_no_more_room_for_it(kit: Kit, pane: SamplingPane, qapp):
    theme.apply_theme(qapp, "dark")
    pages = pane.pages
    low = pages.minimumSizeHint().height()
    assert low < pane.rollout_card.minimumSizeHint().height()
    open_film(kit, pane)
    assert pages.minimumSizeHint().height() >= pane.rollout_card.minimumSizeHint().height()
    assert pane.tab_row.minimumSizeHint().width() <= 296
    pane.show_page(0)
    assert pages.minimumSizeHint().height() == low
    qapp.setStyleSheet("")


def test_that_the_film_is_saved_with_true_and_drawn_frames_beside_each_other(kit: Kit, pane: SamplingPane, tmp_path):
    pane.exports.save_rollout(str(tmp_path / "none.gif"))
    assert "Nothing to save" in pane.status.text and not (tmp_path / "none.gif").exists()
    open_film(kit, pane)
    kit.pump()
    pane.exports.speed.factor = 2.0
    pane.exports.save_rollout(str(tmp_path / "film.webp"))
    clip = clips()[0]
    with Image.open(tmp_path / "film.webp") as film:
        assert getattr(film, "n_frames", 1) == 12 and film.info["loop"] == 0
        told = json.loads(film.getexif()[0x010E])
        factor = film.width // 33
        for place in range(12):
            film.seek(place)
            film.load()
            assert film.info["duration"] == (125 if place < 11 else 1000)
            shown = np.asarray(film.convert("L"))[::factor, ::factor]
            assert np.array_equal(shown[:, :16], clip[place, 0])
            assert np.array_equal(shown[:, 17:], clip[place if place < 4 else place - 1, 0])
    assert told["seed"] == 0 and len(told["log_p_nat"]) == 8 and told["given"] == 4
