"""The settings that a sampler declares: their controls, what they send, undo, recipe, and samples that change in place."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit

from app.panes.sampling.pane import SamplingPane
from app.panes.sampling.sampler_controls import FieldSlider, positions
from engine import messages as m
from tests.kit import panes as kit_panes
from tests.kit.denoiser import denoise, frame
from tests.kit.panes import VAE, Kit, run_info
from tests.kit.sampling_pane import hand, node_of, settle

RUN = "/runs/diffusion"
ROWS = (0, 1, 2, 3)
STEPS = 18
FIELDS = (
    m.FieldInfo("steps", "steps", "int", STEPS, "Noise levels.", 1, 1000, "steps", log=True),
    m.FieldInfo("sampler", "sampler", "choice", "heun", "How a step is made.", choices=("heun", "euler", "ancestral")),
    m.FieldInfo("guidance", "guidance", "float", 1.0, "How far to the class.", 0.0, 20.0),
    m.FieldInfo("brightness", "brightness", "float", 1.0, "How bright.", 0.0, 1.0),
    m.FieldInfo("fresh", "fresh noise", "bool", False, "Noise in every step."),
    m.FieldInfo("start", "start", "float", 80.0, "Where it begins.", 0.1),
)


@pytest.fixture
def kit(qapp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    monkeypatch.setitem(kit_panes.WORKS, m.DrawSamples, denoise(STEPS))
    made = Kit()
    made.state.methods["diffusion"] = replace(
        VAE, name="diffusion", title="Diffusion", sampling="iterative", capabilities=("sample",), sample_fields=FIELDS
    )
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> SamplingPane:
    made = kit.open(SamplingPane)
    assert isinstance(made, SamplingPane)
    kit.look_at(run_info(RUN, method="diffusion", config={"conditional": False}))
    kit.pump()
    return made


def slider(pane: SamplingPane, name: str) -> FieldSlider:
    return pane.settings_card.sampler.sliders[name]


def slide(pane: SamplingPane, name: str, value: float) -> None:
    """As a person moves it: by its position."""
    one = slider(pane, name)
    one.setValue(one.values.index(value))


def drawn(pane: SamplingPane) -> np.ndarray:
    images = pane.view.canvas.drawn
    return np.array([[[[image.pixelColor(x, y).red() for x in range(8)] for y in range(8)]] for image in images], np.uint8)


def last(kit: Kit) -> m.DrawSamples:
    return kit.engine.of(m.DrawSamples)[-1]


def bright(share: float, number: int = STEPS, steps: int = STEPS) -> np.ndarray:
    return (share * frame(0, ROWS, number, steps)).astype(np.uint8)


# -- the controls --------------------------------------------------------------------------------------------------------


def test_that_a_slider_walks_by_factors_where_the_setting_says_so_and_reaches_both_ends_and_the_default() -> None:
    steps = positions(FIELDS[0])
    assert steps[0] == 1 and steps[-1] == 1000 and STEPS in steps and all(value == int(value) for value in steps)
    assert list(steps[:12]) == [float(n) for n in range(1, 13)], "no whole number is left out where they lie far apart"
    ratios = [b / a for a, b in itertools.pairwise(steps[30:])]
    assert max(ratios) < 1.08
    even = np.diff(positions(FIELDS[2]))
    np.testing.assert_allclose(even, even[0], rtol=1e-6)
    assert positions(m.FieldInfo("k", "k", "int", 3, "", 1, 5)) == (1, 2, 3, 4, 5)


def test_that_each_setting_has_the_control_it_asks_for_and_a_temperature_is_not_among_them(kit: Kit, pane: SamplingPane) -> None:
    card = pane.settings_card
    assert not card.temperature.isVisible() and card.sampler.isVisible()
    kinds = {name: type(made) for name, made in card.sampler.controls.items()}
    assert kinds == {"steps": FieldSlider, "sampler": QComboBox, "brightness": FieldSlider, "fresh": QCheckBox, "start": QLineEdit}
    assert all(made.accessibleName() and made.toolTip() for made in card.sampler.controls.values())
    assert last(kit).settings == () and last(kit).temperature == 1
    kit.look_at(run_info("/runs/vae"))
    kit.pump()
    assert card.temperature.isVisible() and not card.sampler.isVisible()


def test_that_guidance_is_offered_where_there_are_classes_and_else_it_is_said_why_not(kit: Kit, pane: SamplingPane) -> None:
    card = pane.settings_card
    assert "guidance" not in card.sampler.controls
    assert card.no_guidance.isVisible() and card.no_guidance.text() == "This run was trained without classes: no guidance."
    kit.look_at(run_info("/runs/classes", method="diffusion", config={"conditional": True}))
    assert "guidance" in card.sampler.controls and not card.no_guidance.isVisible()
    kit.state.methods["plain"] = replace(VAE, name="plain", sampling="direct", sample_fields=FIELDS[:1])
    kit.look_at(run_info("/runs/plain", method="plain"))
    assert not card.no_guidance.isVisible(), "a sampler without guidance need not say so"


def test_that_what_is_chosen_is_sent_and_what_is_at_its_default_is_not(kit: Kit, pane: SamplingPane) -> None:
    controls = pane.settings_card.sampler
    slide(pane, "steps", 9)
    settle(kit, pane)
    assert last(kit).settings == (("steps", 9),) and node_of(pane).length == 9
    box = controls.controls["sampler"]
    assert isinstance(box, QComboBox)
    box.setCurrentIndex(2)
    box.activated.emit(2)
    switch, line = controls.controls["fresh"], controls.controls["start"]
    assert isinstance(switch, QCheckBox) and isinstance(line, QLineEdit)
    switch.click()
    for typed in ("12,5", "nothing"):  # the second cannot be, and is not taken
        line.setText(typed)
        line.editingFinished.emit()
    settle(kit, pane)
    assert last(kit).settings == (("steps", 9), ("sampler", "ancestral"), ("fresh", True), ("start", 12.5))
    assert line.text() == "12.5"
    assert "steps 9 · sampler ancestral · fresh True · start 12.5" in node_of(pane).settings.summary()


def test_that_a_drag_is_one_step_to_undo_and_a_double_click_sets_back(kit: Kit, pane: SamplingPane) -> None:
    one = slider(pane, "brightness")
    QTest.mousePress(one, Qt.MouseButton.LeftButton, pos=QPoint(150, 12))
    for x in range(150, 200, 5):
        QTest.mouseMove(one, QPoint(x, 12))
    QTest.mouseRelease(one, Qt.MouseButton.LeftButton, pos=QPoint(200, 12))
    settle(kit, pane)
    chosen = dict(node_of(pane).settings.sampler)["brightness"]
    assert kit.undo.count() == 1 and isinstance(chosen, float) and 0 < chosen < 1
    kit.undo.undo()
    settle(kit, pane)
    assert one.exact == 1.0 and node_of(pane).settings.sampler == ()
    np.testing.assert_array_equal(drawn(pane), bright(1.0))
    kit.undo.redo()
    settle(kit, pane)
    assert one.exact == chosen
    one.reset_asked.emit()
    settle(kit, pane)
    assert node_of(pane).settings.sampler == ()


def test_that_the_settings_are_kept_for_each_run(kit: Kit, pane: SamplingPane) -> None:
    slide(pane, "steps", 9)
    settle(kit, pane)
    mine, other = (run_info(run, method="diffusion", config={"conditional": False}) for run in (RUN, "/runs/other"))
    kit.look_at(other, mine)
    kit.pump()
    assert slider(pane, "steps").exact == STEPS and last(kit).settings == ()
    kit.state.set_run(RUN)
    kit.pump()
    assert slider(pane, "steps").exact == 9 and node_of(pane).length == 9


# -- samples that change in place ----------------------------------------------------------------------------------------


def redraw(kit: Kit, pane: SamplingPane, share: float) -> list:
    """Move the brightness; the draw's events are handed over by the test."""
    kit.engine.answering = False
    slide(pane, "brightness", share)
    pane.controller._settle.stop()
    pane.controller.draw_anew()
    kit.engine.open.clear()
    return denoise(STEPS)(kit.engine, last(kit))


def test_that_a_moved_slider_shows_the_last_finished_samples_until_the_new_ones_are_there(kit: Kit, pane: SamplingPane) -> None:
    began, *frames = redraw(kit, pane, 0.5)
    hand(kit, began)
    for event in frames[:-1]:
        hand(kit, event)
        np.testing.assert_array_equal(drawn(pane), bright(1.0))
        assert pane.bar.label.text() == f"drawing step {event.frame} of {STEPS}", "that is no step of what is seen"
    assert "shown until these are drawn: seed 0 · ×4" in pane.status.text
    hand(kit, frames[-1])
    np.testing.assert_array_equal(drawn(pane), bright(0.5))
    hand(kit, m.Ended(began.job, "ok", ""))
    pane.bar.slider.setValue(4)  # its film is there all the same
    np.testing.assert_array_equal(drawn(pane), bright(0.5, 4))


def test_that_other_noise_shows_its_film_from_the_noise_on(kit: Kit, pane: SamplingPane) -> None:
    kit.engine.answering = False
    pane.settings_card.next_seed.click()
    pane.controller._settle.stop()
    pane.controller.draw_anew()
    began, *frames = denoise(STEPS)(kit.engine, last(kit))
    hand(kit, began, frames[0])
    np.testing.assert_array_equal(drawn(pane), frame(1, ROWS, 0, STEPS))


def test_that_pause_shows_the_steps_of_the_new_samples(kit: Kit, pane: SamplingPane) -> None:
    began, *frames = redraw(kit, pane, 0.5)
    hand(kit, began, *frames[:6])
    pane.bar.play_button.click()
    np.testing.assert_array_equal(drawn(pane), bright(0.5, 5))
    pane.bar.slider.setValue(2)
    np.testing.assert_array_equal(drawn(pane), bright(0.5, 2))


def test_that_stop_keeps_the_steps_that_were_taken(kit: Kit, pane: SamplingPane) -> None:
    assert not pane.bar.stop_button.isVisible()
    began, *frames = redraw(kit, pane, 0.5)
    hand(kit, began, *frames[:8])
    assert pane.bar.stop_button.isVisible()
    pane.bar.stop_button.click()
    assert kit.engine.of(m.StopJob)[-1].job == began.job and not pane.bar.stop_button.isVisible()
    hand(kit, frames[8], m.Ended(began.job, "stopped", ""))
    np.testing.assert_array_equal(drawn(pane), bright(0.5, 7))
    assert pane.bar.label.text() == f"step 7 of {STEPS}, σ 5.50" and pane.bar.play_button.text() == "Draw"
    for number in (3, 7, 0):
        pane.bar.slider.setValue(number)
        np.testing.assert_array_equal(drawn(pane), bright(0.5, number))
    kit.engine.answering = True
    pane.bar.slider.setValue(7)
    pane.bar.play_button.click()
    kit.pump()
    np.testing.assert_array_equal(drawn(pane), bright(0.5))


def test_that_a_picture_says_what_it_was_drawn_with_also_while_others_are_drawn(kit: Kit, pane: SamplingPane, tmp_path) -> None:
    def saved() -> tuple[np.ndarray, dict]:
        pane.exports.scale_factor = 1
        pane.exports.save_png(str(tmp_path / "out.png"))
        with Image.open(tmp_path / "out.png") as image:
            told = json.loads(image.text["sample_settings"])  # type: ignore[attr-defined]
            assert "temperature" not in image.text  # type: ignore[attr-defined]
            return np.asarray(image.convert("L"))[:8, :8], told

    began, *frames = redraw(kit, pane, 0.5)
    hand(kit, began, *frames[:8])
    pixels, told = saved()
    assert told["brightness"] == 1.0 and told["steps"] == STEPS and told["sampler"] == "heun"
    np.testing.assert_array_equal(pixels, bright(1.0)[0, 0])
    hand(kit, *frames[8:])
    pixels, told = saved()
    assert told["brightness"] == 0.5
    np.testing.assert_array_equal(pixels, bright(0.5)[0, 0])


def test_that_the_gif_has_each_of_the_steps(kit: Kit, pane: SamplingPane, tmp_path) -> None:
    pane.exports.save_gif(str(tmp_path / "out.gif"))
    with Image.open(tmp_path / "out.gif") as film:
        assert getattr(film, "n_frames", 1) == STEPS + 1
        assert json.loads(film.info["comment"])["sample_settings"]["steps"] == STEPS
