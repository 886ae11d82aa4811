"""What sliders stand for: principal directions with their shares, and dimensions that score classes, in the pane and in trained runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.panes.latent.axes import LatentAxes
from app.panes.latent.pane import LatentPane
from engine import messages as m
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.panes import ANSWERS, LATENT, Kit, run_info

CLASSES = ("cat", "dog", "owl")


def described(query: m.Describe, **changes: object) -> m.Described:
    made = m.Described(
        stamp=query.stamp, channel=query.channel, run=query.run, step=1024, numbers=(), diagnosis=(), latent=LATENT,
        kl=np.linspace(2, 0.1, LATENT), scale=np.ones(LATENT, np.float32), centre=np.zeros(LATENT, np.float32),
        active=np.ones(LATENT, bool),
    )  # fmt: skip
    return replace(made, **changes)


def open_pane(kit: Kit, monkeypatch: pytest.MonkeyPatch, **changes: object) -> LatentPane:
    monkeypatch.setitem(ANSWERS, m.Describe, lambda engine, query: described(query, **changes))
    kit.look_at(run_info())
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    kit.pump()
    return pane


def test_that_principal_directions_keep_their_order_and_say_their_share(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    share = np.array([0.4, 0.2, 0.15, *[0.25 / 9] * 9])
    pane = open_pane(kit, monkeypatch, kl=None, active=None, share=share)
    assert [slider.label for slider in pane.slider_list.sliders[:3]] == ["z01", "z02", "z03"]
    assert [slider.note for slider in pane.slider_list.sliders[:3]] == ["40.0\u202f%", "20.0\u202f%", "15.0\u202f%"]
    assert pane.slider_list.axes is not None and pane.slider_list.axes.order == tuple(range(LATENT))
    assert "share of the image’s variance" in pane.slider_list.active_label.text()
    assert pane.plane.axis_x.itemText(0) == "z01  40.0\u202f%"


def test_that_scores_of_classes_are_named_and_a_class_is_chosen_and_undone(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    pane = open_pane(kit, monkeypatch, classes=CLASSES, class_scores=3)
    labels = [slider.label for slider in pane.slider_list.sliders]
    assert labels[:2] == ["z01", "z02"] and labels[-3:] == ["class cat", "class dog", "class owl"]
    assert "9 active" in pane.slider_list.active_label.text() and "scores of the classes" in pane.slider_list.active_label.text()
    box = pane.decoded_image.classes
    assert not pane.decoded_image.class_row.isHidden() and [box.itemText(i) for i in range(3)] == list(CLASSES)
    pane.slider_list.set_dimension(0, 1.5)
    kit.pump()
    box.setCurrentIndex(2)
    box.activated.emit(2)
    kit.pump()
    assert pane.position is not None and pane.position.z[-3:].tolist() == [0, 0, 2] and pane.position.z[0] == 1.5
    assert kit.engine.of(m.Decode)[-1].label is None and kit.engine.of(m.Decode)[-1].z[0, -1] == 2
    pane.slider_list.set_dimension(LATENT - 2, 2.5)
    kit.pump()
    assert box.currentText() == "dog", "the largest score decides, whatever moved it"
    kit.undo.undo()
    kit.undo.undo()
    assert box.currentText() == "cat" and pane.position.z[-3:].tolist() == [0, 0, 0]
    pane.show_tab(1)
    kit.pump()
    z = pane.prior_samples.sampled.z  # type: ignore[union-attr]
    told = [pane.prior_samples._told(place, z[place], 0) for place in range(len(z))]
    assert [words.rsplit(" ", 1)[1] for words in told] == [CLASSES[int(one[-3:].argmax())] for one in z]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    small = {"network": "mlp", "width": 8, "latent": 4}
    list(train(Plan("conditional_vae", "digits", small, steps=20, name="conditional_vae", device="cpu"), root))
    list(train(Plan("gan", "digits", {"latent": 6, "width": 8}, steps=4, name="gan", device="cpu"), root))
    return root


def test_that_a_conditional_vae_decodes_the_class_that_its_axes_name(runs: Path) -> None:
    session, run = QuerySession(), str(runs / "conditional_vae")
    told = session.answer(m.Describe(run=run))
    assert isinstance(told, m.Described) and told.class_scores == 10 and told.classes == tuple("0123456789") and told.latent == 14
    axes, z = LatentAxes.of(told, True), np.zeros(14, np.float32)
    z[:4] = [0.3, -1, 0.5, 1]
    images = []
    for label in range(10):
        chosen = axes.with_class(z, label)
        assert axes.class_of(chosen) == label and axes.label(4 + label) == f"class {label}"
        images.append(session.answer(m.Decode(run=run, z=chosen[None])).images[0])  # type: ignore[union-attr]
    assert len(np.unique(np.stack(images).reshape(10, -1), axis=0)) == 10
    placed = session.answer(m.Encode(run=run, index=0))
    assert isinstance(placed, m.Encoded) and axes.class_of(placed.mean) == int(placed.mean[4:].argmax())


def test_that_a_gan_tells_the_shares_of_its_directions(runs: Path) -> None:
    told = QuerySession().answer(m.Describe(run=str(runs / "gan")))
    assert isinstance(told, m.Described) and told.share is not None
    assert told.share.sum() == pytest.approx(1, abs=1e-5) and (np.diff(told.share) <= 0).all()
    assert LatentAxes.of(told, True).order == tuple(range(6))
