"""Named dimensions of a hierarchical latent space: one level after the other, each by its KL."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtGui import QFontMetrics

from app.panes.latent.axes import LatentAxes
from app.panes.latent.pane import LatentPane
from app.shell.theme import font
from engine import messages as m
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.panes import LATENT, RUN, Kit

VAE = {"network": "mlp", "width": 8, "latent": 3}
NAMES = ("z2.1", "z2.2", "z1.1", "z1.2", "z1.3")


def described(names: tuple[str, ...]) -> m.Described:
    kl = np.array([0.5, 2.0, 9.0, 1.0, 4.0])
    return m.Described(
        stamp=0, run=RUN, step=1, numbers=(), diagnosis=(), latent=5, kl=kl, scale=np.ones(5), centre=np.zeros(5), names=names
    )  # fmt: skip


def test_that_sliders_of_the_top_level_come_first_and_each_level_is_ordered_by_kl():
    axes = LatentAxes.of(described(NAMES), True)
    assert axes.order == (1, 0, 2, 4, 3)
    assert [axes.label(rank) for rank in range(5)] == ["z2.2", "z2.1", "z1.1", "z1.3", "z1.2"]
    assert axes.explanation(0).startswith("z2.2 is dimension 1 of z.")
    plain = LatentAxes.of(described(()), True)
    assert plain.order == (2, 4, 1, 3, 0) and plain.label(0) == "z01"


def test_that_the_pane_shows_names_and_a_slider_moves_its_own_dimension(kit: Kit, monkeypatch):
    from tests.kit import panes as kit_panes

    names = tuple(f"z2.{i + 1}" for i in range(4)) + tuple(f"z1.{i + 1}" for i in range(LATENT - 4))
    plain = kit_panes.ANSWERS[m.Describe]
    monkeypatch.setitem(kit_panes.ANSWERS, m.Describe, lambda engine, query: replace(plain(engine, query), names=names))
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    kit.look_at()
    kit.pump()
    labels = [slider.label for slider in pane.slider_list.sliders]
    assert set(labels[:4]) == set(names[:4]) and "BY LEVEL" in pane.slider_list.heading.text().upper()
    assert pane.position is not None and pane.slider_list.axes is not None
    before = pane.position.z.copy()
    pane.slider_list.set_dimension(0, 1.0)
    (changed,) = np.flatnonzero(pane.position.z != before)
    assert names[changed] == labels[0]
    for slider in pane.slider_list.sliders:
        metrics = slider.fontMetrics()
        assert metrics.horizontalAdvance(f"{slider.label}  {slider.note}") <= slider.label_width


@pytest.mark.parametrize("decode", ["mean", "sample", ""])
def test_that_it_is_said_beside_every_decoded_image_what_it_is_of_p_of_x_given_z(kit: Kit, monkeypatch, decode: str):
    """The picture, both ways from A to B, the samples, the plane, held-out images and one's own; and the files that are saved of them."""
    from tests.kit import panes as kit_panes

    for kind in (m.Decode, m.SamplePrior, m.DecodeGrid, m.Interpolate, m.Encode, m.Reconstruct):
        plain = kit_panes.ANSWERS[kind]
        monkeypatch.setitem(kit_panes.ANSWERS, kind, lambda engine, query, plain=plain: replace(plain(engine, query), decode=decode))
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    kit.look_at()
    kit.pump()
    pane.controller.encode_image(np.zeros((8, 8), np.uint8), "mine")
    kit.pump()
    for end in "ab":
        pane.interpolation.set_end(end)
    kit.pump()
    for tab in range(len(pane.tab_buttons.buttons())):
        pane.show_tab(tab)
        kit.pump()
    interpolation, held_out = pane.interpolation.kind, pane.held_out.kind
    texts = {
        "picture": pane.decoded_image.status.text,
        "interpolation": "" if interpolation.isHidden() else interpolation.text(),
        "samples": pane.prior_samples.note.text,
        "grid": pane.plane.note.text(),
        "held out": "" if held_out.isHidden() else held_out.text(),
        "own image": pane.encoded_image.kind.text(),
    }
    for place, text in texts.items():
        assert ("p(x|z)" in text) is bool(decode) and (not decode or f"{decode}" in text), place
    for name, source in pane.export.sources.items():
        assert source.export_details()["decode"] == decode, name
    kit.close(pane)


@pytest.mark.parametrize(("method", "settings", "decode"), [("vae", VAE, "mean"), ("autoencoder", VAE, ""), ("gan", {"latent": 3}, "")])
def test_that_the_decoders_answers_say_what_they_are(tmp_path, method: str, settings: dict[str, object], decode: str):
    list(train(Plan(method, "digits", settings, steps=1, name="r", device="cpu"), tmp_path))
    session, run = QuerySession(), str(tmp_path / "r")
    z = np.zeros(3, np.float32)
    questions = [
        m.Decode(run=run, z=z[None]), m.Interpolate(run=run, a=z, b=z), m.DecodeGrid(run=run, z=z, x=0, y=1), m.SamplePrior(run=run)
    ]  # fmt: skip
    if method != "gan":
        picture = m.PictureRef("mine", image=np.zeros((8, 8), np.uint8))
        questions += [m.Encode(run=run, index=0), m.Reconstruct(run=run), m.InspectImage(run=run, picture=picture)]
    for question in questions:
        told = session.answer(question)
        assert isinstance(told, m.DecodedAnswer) and told.decode == decode, question


def test_that_a_trained_hierarchy_names_its_levels_and_says_that_it_decodes_means(tmp_path):
    small = {"network": "mlp", "width": 8, "latent": 3, "top_latent": 2}
    list(train(Plan("hierarchical_vae", "digits", small, steps=2, name="h", device="cpu"), tmp_path))
    session, run = QuerySession(), str(tmp_path / "h")
    told = session.answer(m.Describe(run=run))
    assert isinstance(told, m.Described) and told.names == NAMES and told.latent == 5
    sampled, decoded = session.answer(m.SamplePrior(run=run, count=3)), session.answer(m.Decode(run=run, z=np.zeros((1, 5), np.float32)))
    assert isinstance(sampled, m.PriorSampled) and sampled.decode == "mean" and isinstance(decoded, m.Decoded)
    assert decoded.decode == "mean"


def test_that_long_names_and_all_tabs_fit_the_pane_at_1280_by_800_without_scrolling_sideways(kit: Kit, monkeypatch):
    from tests.kit import panes as kit_panes

    names = tuple(f"z2.{i + 101}" for i in range(4)) + tuple(f"z1.{i + 101}" for i in range(LATENT - 4))
    plain, kl = kit_panes.ANSWERS[m.Describe], np.linspace(312.25, 0.01, LATENT)
    monkeypatch.setitem(kit_panes.ANSWERS, m.Describe, lambda engine, query: replace(plain(engine, query), names=names, kl=kl))
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    kit.look_at()
    kit.pump()
    for tab, button in enumerate(pane.tab_buttons.buttons()):
        pane.show_tab(tab)
        kit.pump()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        assert pane.minimumSizeHint().width() <= 832 and pane.width() == 832, button.text()
        assert button.width() >= button.minimumSizeHint().width() and button.accessibleName() in button.toolTip()
    for slider in pane.slider_list.sliders:
        wide = QFontMetrics(slider.font()).horizontalAdvance(slider.label) + 4 + QFontMetrics(font(11)).horizontalAdvance(slider.note)
        assert wide <= slider.label_width, "the note is not cut"
        viewport = pane.slider_list.scroll_area.viewport()
        assert slider.mapTo(viewport, slider.rect().topRight()).x() < viewport.width(), "the value is in view"


@pytest.mark.parametrize("size", [(620, 420), (960, 520), (1040, 700)])
def test_that_no_picture_of_the_plane_and_no_word_beside_it_is_cut_off(kit: Kit, monkeypatch, size: tuple[int, int]):
    from tests.kit import panes as kit_panes

    plain = kit_panes.ANSWERS[m.DecodeGrid]
    monkeypatch.setitem(kit_panes.ANSWERS, m.DecodeGrid, lambda engine, query: replace(plain(engine, query), decode="mean"))
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    kit.look_at()
    pane.resize(*size)
    kit.pump()
    pane.show_tab(2)
    kit.pump()
    for _ in range(3):
        QCoreApplication.processEvents()
    grid, note = pane.plane.grid, pane.plane.note
    assert len(grid.images) == 81 and grid.place(80).bottom() <= grid.height() + 1 and grid.place(80).right() <= grid.width() + 1
    assert note.height() >= note.heightForWidth(note.width()) and "means of p(x|z)" in note.text()
    kit.close(pane)
