"""The Latent pane, fed with answers of a paper engine: what it draws, what moves it, what can be taken back."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.panes.latent.pane import LatentPane
from engine import messages as m
from tests.kit.latent_pane import drawn, order_of
from tests.kit.panes import KL, LATENT, OTHER, Kit, decoded, encoded, log_prior, run_info


def test_that_the_picture_is_what_the_decoder_made_of_z(kit: Kit, pane: LatentPane) -> None:
    pane.slider_list.set_dimension(0, 1.5)
    kit.pump()
    assert pane.position is not None
    np.testing.assert_array_equal(drawn(pane), decoded(pane.position.z[None])[0, 0])


def test_that_sliders_are_ordered_by_kl_and_named_by_rank(pane: LatentPane) -> None:
    assert [slider.label for slider in pane.slider_list.sliders] == [f"z{rank:02d}" for rank in range(1, LATENT + 1)]
    assert [slider.note for slider in pane.slider_list.sliders][:3] == ["3.90 nat", "3.20 nat", "2.80 nat"]
    assert "dimension 1 of z" in pane.slider_list.sliders[0].toolTip()
    assert "not active" in pane.slider_list.sliders[-1].toolTip()


def test_that_active_dimensions_are_those_that_the_engine_calls_active_and_the_definition_is_told(pane: LatentPane) -> None:
    # By KL ten of them carry 0.01 nat and more; by the variance of their means eight are active, and that is what all places count.
    assert [slider.dead for slider in pane.slider_list.sliders] == [False] * 8 + [True] * 4
    label = pane.slider_list.active_label
    assert label.text().startswith("8 active · ") and "Burda" in label.toolTip() and "0.01" in label.toolTip()
    assert "Burda" in pane.slider_list.sliders[8].toolTip() and "0.30 nat" in pane.slider_list.sliders[8].toolTip()


def test_that_a_slider_moves_the_coordinate_with_that_rank_only(pane: LatentPane) -> None:
    assert pane.position is not None
    before = pane.position.z.copy()
    pane.slider_list.set_dimension(2, -0.7)
    changed = np.flatnonzero(pane.position.z != before)
    assert changed.tolist() == [int(np.argsort(-KL, kind="stable")[2])]
    assert pane.position.z[changed[0]] == pytest.approx(-0.7)


def test_that_one_slider_unit_is_the_deviation_that_the_engine_gives(kit: Kit, pane: LatentPane) -> None:
    scale, centre = np.linspace(1, 2, LATENT).astype(np.float32), np.linspace(-1, 1, LATENT).astype(np.float32)
    kit.engine.answering = False
    kit.state.set_cursor(64)
    query = kit.engine.of(m.Describe)[-1]
    kit.engine.events.append(
        m.Described(
            stamp=query.stamp,
            channel=query.channel,
            run=query.run,
            step=64,
            numbers=(),
            diagnosis=(),
            latent=LATENT,
            kl=None,
            scale=scale,
            centre=centre,
        )
    )
    kit.pump()
    assert [slider.note for slider in pane.slider_list.sliders] == [""] * LATENT
    assert "SPREAD" in pane.slider_list.heading.text()
    pane.slider_list.set_dimension(0, 2.0)  # the widest dimension is the last one
    assert pane.position is not None
    assert pane.position.z[LATENT - 1] == pytest.approx(1 + 2 * 2.0)


def test_that_fifty_moves_leave_one_decode_in_flight_and_end_on_the_newest_z(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.sent.clear()
    kit.engine.open.clear()
    slider = pane.slider_list.sliders[0]
    left = slider._track().left()
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(int(left) + 10, 12))
    for x in range(50):
        QTest.mouseMove(slider, QPoint(int(left) + 12 + 2 * x, 12))
        assert len(kit.engine.open) <= 1
        if x % 10 == 9:
            kit.engine.reply(kit.engine.open.popleft())
            kit.bridge.drain()
            assert len(kit.engine.open) == 1
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(int(left) + 110, 12))
    while kit.engine.open:
        kit.engine.reply(kit.engine.open.popleft())
        kit.bridge.drain()
    asked = kit.engine.of(m.Decode)
    assert len(asked) <= 8
    assert pane.position is not None
    np.testing.assert_array_equal(asked[-1].z[0], pane.position.z)
    np.testing.assert_array_equal(drawn(pane), decoded(pane.position.z[None])[0, 0])


def test_that_a_drag_is_one_step_to_undo_and_undo_brings_z_back(kit: Kit, pane: LatentPane) -> None:
    assert pane.position is not None
    start = pane.position.z.copy()
    slider = pane.slider_list.sliders[1]
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(200, 12))
    for x in range(200, 260, 3):
        QTest.mouseMove(slider, QPoint(x, 12))
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(260, 12))
    moved = pane.position.z.copy()
    assert kit.undo.count() == 1
    assert not np.array_equal(moved, start)
    kit.undo.undo()
    kit.pump()
    np.testing.assert_array_equal(pane.position.z, start)
    np.testing.assert_array_equal(drawn(pane), decoded(start[None])[0, 0])
    assert slider.exact == 0.0
    kit.undo.redo()
    np.testing.assert_array_equal(pane.position.z, moved)


def test_that_two_drags_are_two_steps_to_undo(kit: Kit, pane: LatentPane) -> None:
    for x in (200, 300):
        QTest.mouseClick(pane.slider_list.sliders[1], Qt.MouseButton.LeftButton, pos=QPoint(x, 12))
    assert kit.undo.count() == 2


def test_that_the_keyboard_moves_a_slider(pane: LatentPane) -> None:
    pane.slider_list.sliders[0].setFocus()
    QTest.keyClick(pane.slider_list.sliders[0], Qt.Key.Key_Right)
    assert pane.position is not None
    assert pane.position.z[order_of(pane)[0]] == pytest.approx(0.05)


def test_that_a_late_answer_of_another_run_is_not_drawn(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    kit.engine.answering = False
    kit.engine.open.clear()
    pane.slider_list.set_dimension(0, 2.0)
    late = kit.engine.open.popleft()
    kit.state.set_run(OTHER)
    assert pane.decoded_image.picture.image is None
    kit.engine.reply(late)
    kit.bridge.drain()
    assert pane.decoded_image.picture.image is None


def test_that_a_late_answer_of_another_step_is_not_drawn(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    pane.slider_list.set_dimension(0, 2.0)
    late = kit.engine.open.popleft()
    before = drawn(pane)
    kit.state.set_cursor(8)
    kit.engine.reply(late)
    kit.bridge.drain()
    np.testing.assert_array_equal(drawn(pane), before)


def test_that_the_same_z_is_decoded_at_the_step_of_the_time_cursor(kit: Kit, pane: LatentPane) -> None:
    pane.slider_list.set_dimension(3, 1.1)
    kit.pump()
    assert pane.position is not None
    z = pane.position.z.copy()
    kit.state.set_cursor(70)
    kit.pump()
    asked = kit.engine.of(m.Decode)[-1]
    assert asked.step == 64
    np.testing.assert_array_equal(asked.z[0], z)


def test_that_every_run_keeps_its_own_z(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    pane.slider_list.set_dimension(0, 1.0)
    assert pane.position is not None
    z = pane.position.z.copy()
    kit.state.set_run(OTHER)
    kit.pump()
    assert not pane.position.z.any()
    kit.undo.undo()  # belongs to the first run
    assert not pane.position.z.any()
    kit.undo.redo()
    kit.state.set_run(run_info().run)
    kit.pump()
    np.testing.assert_array_equal(pane.position.z, z)


def test_that_dropped_images_become_a_then_b_then_replace_the_nearer_end(kit: Kit, pane: LatentPane) -> None:
    assert pane.accept_image("/home/me/seven.png")
    assert pane.accept_image("/home/me/two.png")
    kit.pump()
    assert [(query.path, query.label) for query in kit.engine.of(m.Encode)] == [
        ("/home/me/seven.png", "seven.png"),
        ("/home/me/two.png", "two.png"),
    ]
    place = pane.position
    assert place is not None and (place.a_name, place.b_name, place.t) == ("seven.png", "two.png", 1.0)
    assert "seven.png is A · two.png is B" in pane.decoded_image.status.text
    assert pane.encoded_image.notes.text == "resized from 128×128. grey."
    pane.interpolation.set_t(0.2)
    assert pane.accept_image("/home/me/three.png")
    kit.pump()
    assert pane.position is not None and (pane.position.a_name, pane.position.b_name) == ("three.png", "two.png")


def test_that_two_images_at_once_are_a_and_b_whatever_stood_there(kit: Kit, pane: LatentPane) -> None:
    for first, second in (("one.png", "two.png"), ("three.png", "four.png"), ("five.png", "six.png")):
        assert pane.accept_images([f"/home/{first}", f"/home/{second}"]) == [f"/home/{first}", f"/home/{second}"]
        kit.pump()
        assert pane.position is not None and (pane.position.a_name, pane.position.b_name) == (first, second)
    pane.interpolation.set_t(0.1)
    assert pane.accept_image("/home/six.png")  # the file of a drop before is a single one now
    kit.pump()
    assert (pane.position.a_name, pane.position.b_name) == ("six.png", "six.png")


def test_that_images_beyond_two_are_left_out_and_named_no_place_is_taken_twice(kit: Kit, pane: LatentPane) -> None:
    assert pane.accept_images(["/a.png", "/b.png", "/c.png"]) == ["/a.png", "/b.png"]
    kit.pump()
    assert pane.position is not None and (pane.position.a_name, pane.position.b_name) == ("a.png", "b.png")


def test_that_an_unreadable_image_is_said_and_the_next_one_still_comes(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    pane.accept_image("/home/me/broken.png")
    pane.accept_image("/home/me/good.png")
    assert len(kit.engine.of(m.Encode)) == 1
    kit.engine.fail(kit.engine.open.popleft(), "“broken.png” is cut off. Save it again.")
    kit.bridge.drain()
    assert pane.decoded_image.status.text == "“broken.png” is cut off. Save it again."
    kit.engine.answering = True
    kit.pump()
    assert pane.position is not None and pane.position.a_name == "good.png"


def test_that_encoding_shows_original_and_reconstruction_and_goes_to_the_mean(kit: Kit, pane: LatentPane) -> None:
    pane.held_out.choose(2)
    kit.pump()
    query = kit.engine.of(m.Encode)[-1]
    assert pane.position is not None and pane.controller.encoder.answer is not None
    np.testing.assert_array_equal(pane.position.z, encoded(query.image))
    assert pane.encoded_image.card.isVisible()
    assert pane.encoded_image.heading.text() == "held-out image 3 · −ELBO 98.2 nat"
    assert pane.encoded_image.rebuilt.image is not None


def test_that_the_status_says_milliseconds_and_prior_density(kit: Kit, pane: LatentPane) -> None:
    pane.slider_list.set_dimension(0, 2.0)
    kit.pump()
    assert pane.position is not None
    nats = float(log_prior(pane.position.z)[0])
    assert pane.decoded_image.status.text.startswith(f"Decoded in 2.1 ms · log p(z) −{abs(nats):.1f} nat")


def test_that_a_picture_of_an_earlier_step_says_so_until_its_own_has_come(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.state.set_cursor(64)
    kit.pump()
    image = pane.decoded_image
    assert image.status.text.startswith("Still of step 1\u202f024; step 64 is on its way")
    assert image.export_details()["step"] == "1024", "what is saved now is the picture that is seen"
    kit.engine.answering = True
    kit.pump()
    assert image.status.text.startswith("Decoded in") and image.export_details()["step"] == "64"


def test_that_t_walks_from_a_to_b(kit: Kit, pane: LatentPane) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, LATENT)).astype(np.float32)
    for end, z in (("a", a), ("b", b)):
        for rank, dim in enumerate(order_of(pane)):
            pane.slider_list.set_dimension(rank, float(z[dim]))
        pane.interpolation.set_end(end)
    kit.pump()
    assert pane.interpolation.t_slider.isEnabled()
    assert len(pane.interpolation.lerp.images) == len(pane.interpolation.slerp.images) == 9
    pane.interpolation.set_t(0.25)
    assert pane.position is not None
    np.testing.assert_allclose(pane.position.z, 0.75 * a + 0.25 * b, atol=1e-5)
    pane.interpolation.paths.button(1).click()
    length = np.linalg.norm(pane.position.z)
    assert min(np.linalg.norm(a), np.linalg.norm(b)) * 0.8 < length < max(np.linalg.norm(a), np.linalg.norm(b)) * 1.2
    pane.interpolation.take_step("lerp", 4)
    np.testing.assert_allclose(pane.position.z, (a + b) / 2, atol=1e-5)
    assert pane.position.t == 0.5


def test_that_a_prior_sample_becomes_z_and_its_seed_is_said(kit: Kit, pane: LatentPane) -> None:
    pane.decoded_image.prior_button.click()
    kit.pump()
    assert pane.position is not None
    np.testing.assert_array_equal(pane.position.z, np.random.default_rng(1).standard_normal((1, LATENT)).astype(np.float32)[0])
    assert "prior sample, seed 1" in pane.decoded_image.status.text


def test_that_a_click_on_the_prior_samples_goes_there(kit: Kit, pane: LatentPane) -> None:
    pane.show_tab(1)
    kit.pump()
    pane.prior_samples.seed_field.setText("7")
    kit.pump()
    assert len(pane.prior_samples.samples.images) == 32
    QTest.mouseClick(pane.prior_samples.samples, Qt.MouseButton.LeftButton, pos=pane.prior_samples.samples.place(5).center().toPoint())
    assert pane.position is not None
    np.testing.assert_array_equal(pane.position.z, np.random.default_rng(7).standard_normal((32, LATENT)).astype(np.float32)[5])


def test_that_a_missing_prior_is_said(kit: Kit, pane: LatentPane) -> None:
    kit.engine.prior_note = "This autoencoder has no prior: a random z is no sample of images."
    pane.show_tab(1)
    kit.pump()
    assert pane.prior_samples.note.text == kit.engine.prior_note
    assert pane.prior_samples.note.level == "warning"


def test_that_a_click_on_the_grid_goes_to_the_z_of_that_picture(kit: Kit, pane: LatentPane) -> None:
    pane.slider_list.set_dimension(4, 0.8)
    pane.show_tab(2)
    kit.pump()
    index = 9 * 2 + 7
    shown = pane.plane.grid.images[index]
    pixels = np.array([[shown.pixelColor(x, y).red() for x in range(8)] for y in range(8)])
    QTest.mouseClick(pane.plane.grid, Qt.MouseButton.LeftButton, pos=pane.plane.grid.place(index).center().toPoint())
    kit.pump()
    assert pane.position is not None
    x, y = order_of(pane)[0], order_of(pane)[1]
    assert (pane.position.z[x], pane.position.z[y]) == (pytest.approx(2.25), pytest.approx(1.5))
    assert pane.position.z[order_of(pane)[4]] == pytest.approx(0.8)
    np.testing.assert_array_equal(drawn(pane), pixels)


def test_that_reset_puts_every_slider_to_zero(kit: Kit, pane: LatentPane) -> None:
    pane.slider_list.set_dimension(0, 2.0)
    pane.slider_list.reset_button.click()
    assert pane.position is not None and not pane.position.z.any()
    assert all(slider.exact == 0 for slider in pane.slider_list.sliders)
