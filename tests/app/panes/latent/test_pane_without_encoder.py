"""The Latent pane for methods without an encoder or a latent space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.panes.latent.pane import LatentPane
from engine import messages as m
from tests.kit import panes as kit_panes
from tests.kit.latent_pane import drawn, order_of
from tests.kit.panes import GAN, GAN_RUN, KMEANS, LATENT, Kit, decoded, digits, run_info


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
