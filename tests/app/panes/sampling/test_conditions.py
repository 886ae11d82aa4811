"""What samples are told: captions that one types, classes, and that what stands below a sample belongs to what is seen of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.frames import FrameFilm
from app.panes.sampling.pane import SamplingPane
from engine import messages as m
from tests.kit import panes as kit_panes
from tests.kit.denoiser import STEPS, denoise, frame
from tests.kit.panes import PIXEL_RUN, VAE, Kit, _grow, run_info
from tests.kit.sampling_pane import by_hand, click, hand, node_of, settle

WORDS = ("a", "blue", "red", "square", "star")
FIELDS = (
    m.FieldInfo("brightness", "brightness", "float", 1.0, "How bright.", 0.0, 1.0),
    m.FieldInfo("guidance", "guidance", "float", 1.0, "How far to the class.", 0.0, 20.0),
)


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    made.state.methods["diffusion"] = replace(
        VAE, name="diffusion", title="Diffusion", sampling="iterative", capabilities=("sample",), sample_fields=FIELDS
    )
    yield made
    made.end()


def opened(kit: Kit, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...] = (), classes: tuple[str, ...] = ()) -> SamplingPane:
    monkeypatch.setitem(kit_panes.WORKS, m.DrawSamples, denoise(words=words, classes=classes))
    pane = kit.open(SamplingPane)
    assert isinstance(pane, SamplingPane)
    kit.look_at(run_info("/runs/told", method="diffusion"))
    kit.pump()
    return pane


def last(kit: Kit) -> m.DrawSamples:
    return kit.engine.of(m.DrawSamples)[-1]


def below(pane: SamplingPane) -> tuple[str, ...]:
    """What the canvas writes under the samples."""
    assert pane.view.canvas.grid is not None
    return pane.view.canvas.grid.captions


def type_in(pane: SamplingPane, text: str) -> None:
    line = pane.settings_card.caption.line
    line.clear()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


def test_that_a_typed_caption_is_drawn_and_stands_below_every_sample(kit: Kit, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    pane = opened(kit, monkeypatch, WORDS)
    assert pane.settings_card.caption_row.isVisible() and last(kit).caption == "" and below(pane) == ("A", "B", "C", "D")
    assert "guidance" in pane.settings_card.sampler.controls, "it leads to a caption as to a class"
    type_in(pane, "A red  star ")
    settle(kit, pane)
    assert last(kit).caption == "A red star" and last(kit).seed == 0
    assert below(pane) == tuple(f"{letter} · A red star" for letter in "ABCD")
    assert "“A red star”" in pane.status.text
    pane.exports.save_png(str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as image:
        assert image.text["caption"] == "A red star"  # type: ignore[attr-defined]
    kit.undo.undo()
    settle(kit, pane)
    assert last(kit).caption == "" and pane.settings_card.caption.line.text() == "" and below(pane)[0] == "A"


def test_that_a_run_without_captions_has_no_field_for_one(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    pane = opened(kit, monkeypatch)
    assert not pane.settings_card.caption_row.isVisible() and pane.settings_card.no_guidance.isVisible()


def test_that_an_unknown_word_is_said_in_one_sentence_and_nothing_is_lost(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    pane = opened(kit, monkeypatch, WORDS)
    field, asked = pane.settings_card.caption, len(kit.engine.of(m.DrawSamples))
    type_in(pane, "a green star")
    settle(kit, pane)
    assert field.fault.isVisible() and len(kit.engine.of(m.DrawSamples)) == asked
    assert field.fault.text() == "“green” is in no caption that this run was trained on; it knows: a, blue, red, square, star."
    pane.settings_card.next_seed.click()
    settle(kit, pane)
    assert last(kit).caption == "" and field.line.text() == "a green star", "what was typed stays to be mended"
    field.line.setText("a blue star")
    field.line.textEdited.emit("a blue star")
    assert not field.fault.isVisible()
    QTest.keyClick(field.line, Qt.Key.Key_Return)
    settle(kit, pane)
    assert last(kit).caption == "a blue star"


def test_that_words_are_suggested_for_the_one_that_is_typed(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    line = opened(kit, monkeypatch, WORDS).settings_card.caption.line
    line.setFocus()
    QTest.keyClicks(line, "a red s")
    completer = line.completer()
    found = [completer.completionModel().index(row, 0).data() for row in range(completer.completionCount())]
    assert found == ["square", "star"]
    assert completer.pathFromIndex(completer.completionModel().index(1, 0)) == "a red star"
    completer.popup().hide()


def test_that_the_class_of_each_sample_stands_below_it(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    pane = opened(kit, monkeypatch, classes=("boot", "bag"))
    assert below(pane) == ("A · boot", "B · bag", "C · boot", "D · bag")
    pane.bar.slider.setValue(3)
    assert below(pane)[1] == "B · bag"


def test_that_what_stands_below_a_sample_belongs_to_what_is_seen_of_it(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others are drawn the old ones keep their captions, their step and their settings."""
    pane = opened(kit, monkeypatch, WORDS)
    type_in(pane, "a star")
    settle(kit, pane)
    kit.engine.answering = False
    type_in(pane, "a square")
    pane.controller._settle.stop()
    pane.controller.draw_anew()
    began, *frames = denoise(words=WORDS)(kit.engine, last(kit))
    hand(kit, began)
    for event in frames[:-1]:
        hand(kit, event)
        assert below(pane)[0] == "A · a star" and pane.bar.label.text().startswith("drawing step ")
    assert "shown until these are drawn: seed 0 · ×4 · “a star”" in pane.status.text
    hand(kit, frames[-1])
    assert below(pane)[0] == "A · a square" and pane.bar.label.text() == f"step {STEPS} of {STEPS}"
    assert "until" not in pane.status.text


def test_that_no_old_picture_stands_under_a_new_step(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    pane = opened(kit, monkeypatch)
    kit.engine.answering = False
    pane.settings_card.next_seed.click()
    pane.controller._settle.stop()
    pane.controller.draw_anew()
    began, first, *_ = denoise()(kit.engine, last(kit))
    assert pane.bar.label.text() == f"step {STEPS} of {STEPS}" and len(pane.view.canvas.drawn) == 4, "the old ones with their own step"
    hand(kit, began)
    assert pane.bar.label.text() == f"step 0 of {STEPS}" and not pane.view.canvas.drawn
    hand(kit, first)
    image = pane.view.canvas.drawn[0]
    assert image.pixelColor(0, 0).red() == frame(1, (0,), 0)[0, 0, 0, 0]


def test_that_the_step_is_that_of_the_frame_which_is_seen_where_not_all_are_kept(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    film = FrameFilm(max_bytes=5)
    for number in range(11):
        film.add(number, np.full((1,), number, np.uint8))
    for number in range(11):
        seen = film.at(number)
        assert seen is not None and film.number_at(number) == seen[0]
    pane = opened(kit, monkeypatch)
    node = node_of(pane)
    node.frames.max_bytes = 3 * node.frames.frames[0].nbytes
    kept = node.frames.frames[0], node.frames.frames[-1]
    node.frames.numbers, node.frames.frames = [0, STEPS], [*kept]
    pane.bar.slider.setValue(7)
    assert pane.bar.label.text() == f"step 0 of {STEPS}"


def test_that_the_step_of_the_samples_is_said_while_another_one_is_looked_at(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    pane = opened(kit, monkeypatch)
    kit.engine.answering = False
    kit.state.set_cursor(512)
    assert last(kit).step == 512 and "drawn at step 1 024" in pane.status.text.replace("\u202f", " ").replace("\u2009", " ")
    began, *frames = denoise()(kit.engine, last(kit))
    hand(kit, began, *frames[:-1])
    assert "drawn at step" in pane.status.text, "the old ones are still seen"
    hand(kit, frames[-1])
    assert "drawn at step" not in pane.status.text


def test_that_the_caption_is_asked_for_with_a_symbols_distribution_too(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kit_panes.WORKS, m.DrawSamples, _grow)
    pane = kit.open(SamplingPane)
    assert isinstance(pane, SamplingPane)
    kit.look_at(run_info(PIXEL_RUN, method="pixel_cnn"))
    kit.pump()
    work, (began, *events) = by_hand(kit, pane)
    hand(kit, replace(began, words=WORDS), *events, m.Ended(work.job, "ok", ""))
    kit.engine.answering = True
    type_in(pane, "a red star")
    settle(kit, pane)
    click(pane, 1, 3)
    assert kit.engine.of(m.SymbolDistribution)[-1].caption == "a red star" == last(kit).caption


def test_that_chains_on_an_energy_have_their_trace_beside_the_film(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = denoise()

    def walked(engine: object, work: m.DrawSamples) -> list[m.Event]:
        began, *frames = plain(engine, work)
        return [
            began,
            *(replace(one, energy=np.arange(4, dtype=np.float32) - one.frame) for one in frames if isinstance(one, m.FrameDrawn)),
        ]

    pane = opened(kit, monkeypatch)
    assert not pane.trace.isVisible(), "a sampler without an energy has none"
    monkeypatch.setitem(kit_panes.WORKS, m.DrawSamples, walked)
    pane.settings_card.next_seed.click()
    settle(kit, pane)
    trace = pane.trace
    assert trace.isVisible() and trace.energies.shape == (STEPS + 1, 4) and (trace.low, trace.high) == (0, STEPS)
    pane.bar.slider.setValue(4)
    assert trace.position == 4
    image = trace.figure().image(1)
    line = trace.color(2).name()  # sample C: from 2 at the beginning to 2 − 10
    for step in (2.5, 6.5):
        x, y = round(trace.to_x(step)), round(trace.to_y(2 - step))
        near = {image.pixelColor(x + a, y + b).name() for a in range(-2, 3) for b in range(-2, 3)}
        assert any(abs(int(name[1:3], 16) - int(line[1:3], 16)) + abs(int(name[3:5], 16) - int(line[3:5], 16)) < 60 for name in near)
    assert f"After step {STEPS}: A −10.00" in trace.accessibleDescription().replace("-", "−")
