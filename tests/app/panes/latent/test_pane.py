"""The Latent pane, fed with answers of a paper engine: what it asks, what it draws, what can be taken back, what it writes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.panes.latent.pane import LatentPane
from app.panes.latent.position import LatentPosition
from engine import messages as m
from tests.kit import panes as kit_panes
from tests.kit.panes import GAN, GAN_RUN, KL, KMEANS, LATENT, OTHER, Kit, decoded, digits, encoded, log_prior, run_info


@pytest.fixture
def pane(kit: Kit) -> Iterator[LatentPane]:
    made = kit.open(LatentPane)
    assert isinstance(made, LatentPane)
    kit.look_at()
    kit.pump()
    yield made


def drawn(pane: LatentPane) -> np.ndarray:
    """The pixels of the picture, uint8 [8, 8]."""
    image = pane.decoded_image.picture.image
    assert image is not None
    return np.array([[image.pixelColor(x, y).red() for x in range(8)] for y in range(8)], np.uint8)


def order_of(pane: LatentPane) -> tuple[int, ...]:
    """Rank of a dimension -> its index in z."""
    assert pane.slider_list.axes is not None
    return pane.slider_list.axes.order


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


@pytest.mark.parametrize("what", ["picture", "interpolation", "samples", "grid"])
@pytest.mark.parametrize("factor", [1, 4])
def test_that_a_saved_picture_carries_run_step_and_z(kit: Kit, pane: LatentPane, tmp_path, what: str, factor: int) -> None:
    pane.accept_image("/a.png")
    pane.accept_image("/b.png")
    pane.show_tab(2)
    pane.show_tab(1)
    kit.pump()
    pane.show_tab(2)
    kit.pump()
    pane.slider_list.set_dimension(0, -1.25)
    kit.pump()
    pane.export.scale = factor
    path = tmp_path / "out.png"
    pane.export.save_png(what, str(path))
    with Image.open(path) as image:
        text, size = image.text, image.size  # type: ignore[attr-defined]
    assert (text["run"], text["step"], text["Software"]) == ("vae-digits", "1024", "Priorama")
    assert pane.position is not None
    np.testing.assert_allclose(json.loads(text["z"]), pane.position.z, atol=1e-6)
    assert json.loads(text["config"])["latent"] == LATENT
    assert size[0] % (8 * factor) == 0
    if what == "picture":
        assert size == (256 * factor, 256 * factor)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        np.testing.assert_array_equal(pixels[16 * factor :: 32 * factor, 16 * factor :: 32 * factor], decoded(pane.position.z[None])[0, 0])


@pytest.mark.parametrize("path", ["lerp", "slerp"])
def test_that_the_way_from_a_to_b_and_back_is_saved_as_a_film(kit: Kit, pane: LatentPane, tmp_path, path: str) -> None:
    pane.export.save_film(str(tmp_path / "early.gif"))
    assert "Nothing to save" in pane.decoded_image.status.text and not (tmp_path / "early.gif").exists()
    for end, sigmas in (("a", -2.0), ("b", 2.0)):
        pane.slider_list.set_dimension(0, sigmas)
        pane.interpolation.set_end(end)
    kit.pump()
    pane.interpolation.paths.button(("lerp", "slerp").index(path)).click()
    kit.pump()
    pane.export.save_film(str(tmp_path / "way.webp"))
    answer = pane.interpolation.interpolated
    assert answer is not None
    images = answer.lerp if path == "lerp" else answer.slerp
    wanted = [*images, *images[-2:0:-1]]
    with Image.open(tmp_path / "way.webp") as film:
        told, factor = json.loads(film.getexif()[0x010E]), film.width // 8
        assert told["run"] == "vae-digits" and "a_name" in told and "decode" in told and film.info["loop"] == 0
        shown = []
        for place in range(getattr(film, "n_frames", 1)):
            film.seek(place)
            shown.append(np.asarray(film.convert("L"))[::factor, ::factor])
    different = [one for place, one in enumerate(wanted) if place == 0 or (one != wanted[place - 1]).any()]
    assert len(shown) == len(different), "equal frames that follow each other are one that stays longer"
    assert all(np.array_equal(one, other[0]) for one, other in zip(shown, different, strict=True))


def test_that_the_csv_holds_z_to_the_last_bit(kit: Kit, pane: LatentPane, tmp_path) -> None:
    pane.decoded_image.prior_button.click()
    kit.pump()
    path = tmp_path / "z.csv"
    pane.export.save_csv(str(path))
    lines = path.read_text().splitlines()
    assert "# run: vae-digits" in lines and "# step: 1024" in lines
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert pane.position is not None and len(rows) == LATENT
    for row in rows:
        assert np.float32(row["z"]) == pane.position.z[int(row["dimension"])]
    assert [int(row["rank"]) for row in rows] == list(range(1, LATENT + 1))


def test_that_a_folder_that_cannot_be_written_is_said(pane: LatentPane, tmp_path) -> None:
    pane.export.save_csv(str(tmp_path / "missing" / "z.csv"))
    assert "could not be written" in pane.decoded_image.status.text and pane.decoded_image.status.level == "bad"


def test_that_a_hidden_pane_asks_nothing(kit: Kit, pane: LatentPane) -> None:
    pane.deactivate()
    kit.engine.sent.clear()
    kit.state.set_cursor(4)
    pane.history.go(run_info().run, pane.history.positions[run_info().run])
    assert kit.engine.sent == []
    pane.activate()
    kit.pump()
    assert {query.step for query in kit.engine.of(m.Decode)} == {4}


def test_that_without_a_checkpoint_nothing_is_asked_and_the_page_says_why(qapp, kit: Kit) -> None:
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    assert pane.empty.title.text() == "No run chosen"
    kit.look_at(run_info(checkpoints=(), step=0))
    assert "No checkpoint" in pane.empty.title.text()
    assert not [message for message in kit.engine.sent if isinstance(message, m.Query)]
    kit.state.checkpoint_saved(run_info().run, 0, False)
    kit.pump()
    assert pane.stack.currentIndex() == 1
    assert pane.decoded_image.picture.image is not None


def test_that_a_move_lays_nothing_out_anew(kit: Kit, pane: LatentPane, qtbot) -> None:
    from PySide6.QtCore import QEvent, QObject

    class Ear(QObject):
        heard = 0

        def eventFilter(self, watched, event) -> bool:
            self.heard += event.type() == QEvent.Type.LayoutRequest
            return False

    pane.slider_list.set_dimension(0, 1.0)
    kit.pump()
    for _ in range(20):  # the first layout works its way up, one widget per round
        qtbot.wait(1)
    ear = Ear()
    for widget in (pane, *pane.findChildren(type(pane.encoded_image.card))):
        widget.installEventFilter(ear)
    for step in range(5):
        pane.slider_list.set_dimension(0, step / 10)
        kit.pump()
        qtbot.wait(1)
    assert ear.heard == 0


def test_that_images_dropped_before_the_pane_was_ever_shown_become_a_and_b(qapp, kit: Kit) -> None:
    pane = LatentPane(kit.context)  # a tab that nobody has looked at yet
    kit.look_at()
    assert pane.accept_image("/home/me/seven.png")
    assert pane.accept_image("/home/me/two.png")
    kit.pump()
    place = pane.position
    assert place is not None and (place.a_name, place.b_name) == ("seven.png", "two.png")
    np.testing.assert_array_equal(place.z, encoded(digits()[0][17, 0]))
    pane.close()
    pane.deleteLater()


def test_that_an_image_becomes_a_although_the_checkpoint_is_not_described_yet(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    kit.engine.answering = False
    kit.state.set_run(OTHER)
    pane.accept_image("/home/me/seven.png")
    kit.engine.open.rotate(1)  # the answer about the image comes first
    kit.engine.reply(kit.engine.open.popleft())
    kit.bridge.drain()
    assert pane.position is not None and pane.position.a_name == "seven.png"
    kit.engine.answering = True
    kit.pump()
    np.testing.assert_array_equal(drawn(pane), decoded(pane.position.z[None])[0, 0])


def test_that_an_image_of_a_space_of_another_size_begins_anew(kit: Kit, pane: LatentPane) -> None:
    run = run_info().run
    pane.history.positions[run] = LatentPosition(z=np.zeros(3, np.float32))
    pane.accept_image("/home/me/seven.png")
    kit.pump()
    assert pane.position is not None and len(pane.position.z) == LATENT and pane.position.a_name == "seven.png"


def test_that_sliders_rest_until_the_new_run_has_said_what_they_stand_for(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    kit.state.set_run(OTHER)
    kit.pump()
    kit.state.set_run(run_info().run)
    kit.pump()
    kit.engine.answering = False
    kit.state.set_run(OTHER)
    assert not any(slider.isEnabled() for slider in pane.slider_list.sliders)
    pane.slider_list.sliders[0].setValue(150)
    pane.slider_list.set_dimension(0, 1.0)
    assert pane.position is not None and not pane.position.z.any()
    kit.engine.answering = True
    kit.pump()
    assert all(slider.isEnabled() for slider in pane.slider_list.sliders)
    pane.slider_list.set_dimension(0, 1.0)
    assert pane.position.z[int(np.argmax(KL))] == 1.0


def test_that_everything_is_asked_once_per_step(kit: Kit, pane: LatentPane) -> None:
    pane.accept_image("/a.png")
    pane.accept_image("/b.png")
    pane.show_tab(1)
    kit.pump()
    kit.engine.sent.clear()
    kit.state.set_cursor(64)
    kit.pump()
    counts = {
        kind.__name__: len(kit.engine.of(kind)) for kind in (m.Describe, m.Decode, m.Interpolate, m.Reconstruct, m.SamplePrior, m.Encode)
    }
    assert set(counts.values()) == {1}, counts


def test_that_the_fault_of_a_step_goes_away_with_it(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    kit.state.set_cursor(8)
    for query in list(kit.engine.open):
        kit.engine.fail(query, "Step 8 is damaged. Choose another one.")
    kit.engine.open.clear()
    kit.bridge.drain()
    assert "damaged" in pane.decoded_image.status.text
    kit.state.set_cursor(64)
    assert "damaged" not in pane.decoded_image.status.text


def test_that_a_failure_that_was_overtaken_is_not_said(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    pane.slider_list.set_dimension(0, 1.0)
    late = kit.engine.open.popleft()
    kit.state.set_cursor(8)
    kit.engine.fail(late, "Step 1024 is damaged.")
    kit.bridge.drain()
    assert "damaged" not in pane.decoded_image.status.text


def test_that_undoing_a_move_of_another_run_looks_at_that_run(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    pane.slider_list.set_dimension(0, 1.0)
    kit.state.set_run(OTHER)
    kit.pump()
    kit.undo.undo()
    kit.pump()
    assert kit.state.run == run_info().run
    assert pane.position is not None and not pane.position.z.any()
    np.testing.assert_array_equal(drawn(pane), decoded(pane.position.z[None])[0, 0])


def test_that_a_move_of_a_run_that_is_gone_leaves_the_undo_list(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    pane.slider_list.set_dimension(0, 1.0)
    kit.state.set_run(OTHER)
    kit.state.set_runs((run_info(OTHER),), "/runs")
    kit.undo.undo()
    assert kit.undo.count() == 0
    assert kit.state.run == OTHER


def test_that_keys_in_quick_succession_are_one_step_to_undo_and_later_ones_another(kit: Kit, pane: LatentPane, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("app.panes.latent.position.monotonic", lambda: clock[0])
    for pause in (0.2, 0.9, 0.9, 1.1, 0.3):
        clock[0] += pause
        QTest.keyClick(pane.slider_list.sliders[0], Qt.Key.Key_Right)
    assert kit.undo.count() == 2
    kit.undo.undo()
    assert pane.position is not None
    assert pane.position.z[order_of(pane)[0]] == pytest.approx(0.15)


@pytest.fixture
def gan(kit: Kit) -> LatentPane:
    """The pane at a run of a method that decodes samples of a prior but has no encoder."""
    kit.state.methods["gan"] = GAN
    made = kit.open(LatentPane)
    assert isinstance(made, LatentPane)
    kit.look_at(run_info(GAN_RUN, "gan", capabilities=GAN.capabilities))
    kit.pump()
    return made


def test_that_the_space_of_a_method_without_an_encoder_is_walked_by_sliders_samples_and_plane(kit: Kit, gan: LatentPane) -> None:
    assert gan.stack.currentIndex() == 1
    gan.slider_list.set_dimension(0, 1.5)
    kit.pump()
    assert gan.position is not None
    np.testing.assert_array_equal(drawn(gan), decoded(gan.position.z[None])[0, 0])
    gan.show_tab(2)
    kit.pump()
    assert len(gan.plane.grid.images) == 81
    gan.show_tab(1)
    kit.pump()
    gan.prior_samples.take_sample(3)
    gan.interpolation.set_end("a")
    gan.prior_samples.take_sample(4)
    gan.interpolation.set_end("b")
    kit.pump()
    assert gan.interpolation.ends_label.text == "A is prior sample 4, seed 0 · B is prior sample 5, seed 0"
    assert len(gan.interpolation.lerp.images) == len(gan.interpolation.slerp.images) == 9
    assert gan.decoded_image.status.level == ""


def test_that_a_class_can_be_chosen_where_the_decoder_knows_classes(kit: Kit, gan: LatentPane, monkeypatch: pytest.MonkeyPatch) -> None:
    card = gan.decoded_image
    assert card.class_row.isHidden() and kit.engine.of(m.Decode)[-1].label is None and "class" not in gan.export.recipe()
    plain = kit_panes.ANSWERS[m.Describe]
    monkeypatch.setitem(kit_panes.ANSWERS, m.Describe, lambda *given: replace(plain(*given), classes=("boot", "bag", "coat")))
    kit.look_at(run_info("/runs/class-gan", "gan", capabilities=GAN.capabilities))
    kit.pump()
    assert not card.class_row.isHidden() and [card.classes.itemText(i) for i in range(3)] == ["boot", "bag", "coat"]
    assert kit.engine.of(m.Decode)[-1].label == 0
    gan.interpolation.set_end("a")
    gan.slider_list.set_dimension(0, 1.5)
    gan.interpolation.set_end("b")
    gan.show_tab(1)
    kit.pump()
    undoable, z = kit.undo.count(), gan.position.z.copy()  # type: ignore[union-attr]
    card.classes.setCurrentIndex(2)
    card.classes.activated.emit(2)
    kit.pump()
    assert [kit.engine.of(kind)[-1].label for kind in (m.Decode, m.Interpolate, m.SamplePrior)] == [2, 2, 2]
    assert gan.export.recipe()["class"] == 2 and kit.undo.count() == undoable + 1
    np.testing.assert_array_equal(gan.position.z, z)  # type: ignore[union-attr]
    gan.slider_list.set_dimension(0, -1.0)
    gan.show_tab(2)
    kit.pump()
    gan.controller.ask_plane()
    kit.pump()
    assert kit.engine.of(m.DecodeGrid)[-1].label == kit.engine.of(m.Decode)[-1].label == 2
    for _ in range(2):
        kit.undo.undo()
    kit.pump()
    assert card.classes.currentIndex() == 0 and kit.engine.of(m.Decode)[-1].label == 0


def test_that_a_method_without_an_encoder_is_asked_for_no_encoding_and_says_so(kit: Kit, gan: LatentPane) -> None:
    assert not gan.accept_image("/home/me/seven.png")
    assert not gan.controller.encode_image(digits()[0][0, 0], "a digit")
    kit.state.set_cursor(64)
    kit.pump()
    assert not kit.engine.of(m.Encode) and not kit.engine.of(m.Reconstruct)
    assert gan.no_encoder.isVisible() and gan.no_encoder.text().startswith("GAN has no encoder")
    assert not gan.decoded_image.encode_button.isEnabled()
    assert "no encoder" in gan.decoded_image.encode_button.toolTip()
    assert gan.held_out.isHidden()
    assert "images" not in gan.interpolation.lerp.empty_text


def test_that_images_are_offered_again_for_a_run_with_an_encoder(kit: Kit, gan: LatentPane) -> None:
    kit.look_at()
    kit.pump()
    assert gan.no_encoder.isHidden() and gan.decoded_image.encode_button.isEnabled()
    assert "Drop two images" in gan.interpolation.lerp.empty_text
    assert gan.accept_image("/home/me/seven.png")


def test_that_k_means_has_no_latent_space_to_walk_in(kit: Kit, pane: LatentPane) -> None:
    kit.state.methods["kmeans"] = KMEANS
    kit.engine.sent.clear()
    kit.look_at(run_info("/runs/kmeans-digits", "kmeans", capabilities=KMEANS.capabilities))
    kit.pump()
    assert pane.stack.currentIndex() == 0
    assert pane.empty.title.text() == "k-means has no latent space to walk in"
    assert not pane.accept_image("/home/me/seven.png")
    assert not [message for message in kit.engine.sent if isinstance(message, m.Query)]


def test_that_a_prior_without_a_posterior_has_no_kl_and_is_not_called_missing(kit: Kit, gan: LatentPane) -> None:
    assert "KL" not in gan.slider_list.heading.text()
    assert gan.slider_list.active_label.text() == ""
    assert gan.slider_list.sliders[0].toolTip().endswith("One σ is 1: the deviation of the prior.")
    assert order_of(gan) == tuple(range(LATENT))


def test_that_the_deviation_over_the_data_is_the_unit_where_nothing_can_be_drawn(kit: Kit, gan: LatentPane) -> None:
    kit.state.methods["gan"] = replace(GAN, capabilities=("encode", "decode", "latents", "posterior"))
    kit.state.set_cursor(64)
    kit.pump()
    assert gan.slider_list.active_label.text() == "no prior to draw from"
    assert gan.slider_list.sliders[0].toolTip().endswith("the deviation over the data.")
