"""The Sampling pane with a run that writes text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.pane import SamplingPane
from app.widgets.heat import viridis
from engine import messages as m
from tests.kit.panes import Kit, run_info
from tests.kit.sampling_pane import hand, settle

TEXT = "To be,\nor not"
TEXT_RUN = "/runs/text"


@pytest.fixture
def writing(kit: Kit) -> Iterator[SamplingPane]:
    """The pane with a run of text whose sample is TEXT."""
    kit.state.methods["text_rnn"] = m.MethodInfo(
        "text_rnn",
        "Text RNN",
        "Explicit density · exact",
        "exact",
        "iterative",
        False,
        ("log_prob", "sample", "symbols"),
        "",
        "",
        "",
        (),
        "text",
    )
    kit.engine.answering = False
    made = kit.open(SamplingPane)
    assert isinstance(made, SamplingPane)
    kit.look_at(run_info(TEXT_RUN, method="text_rnn"))
    yield made


def write(kit: Kit, until: int = len(TEXT), start: int = 0) -> m.DrawSamples:
    work = kit.engine.of(m.DrawSamples)[-1]
    symbols = tuple(sorted(set(TEXT)))
    tokens = np.array([[symbols.index(sign) for sign in TEXT]], np.int32)
    log_p = -np.linspace(0.1, 3, len(TEXT), dtype=np.float32)[None]
    tokens[:, until:], log_p[:, until:] = -1, np.nan
    began = m.SamplingBegan(
        work.job, work.run, 1024, "text", len(TEXT), 1, len(TEXT), 1, len(symbols), symbols, (), (), start
    )  # fmt: skip
    grown = m.SymbolsDrawn(work.job, work.run, 1024, until, tokens, log_p, None, (TEXT[:until],), 250.0, True)
    hand(kit, began, grown, m.Ended(work.job, "ok", ""))
    return work


def test_that_a_text_is_shown_letter_by_letter(kit: Kit, writing: SamplingPane) -> None:
    assert write(kit, 8).samples == (0,)
    assert writing.view.canvases.currentWidget() is writing.view.text
    assert [(first, end) for _, first, end in writing.view.text.lines] == [(0, 7), (7, 8)]  # the line end breaks the line
    assert "250 tokens/s with cache" in writing.status.text
    assert writing.bar.step_button.text() == "+1 character" and not writing.bar.row_button.isVisible()


def test_that_a_character_has_its_distribution_and_its_surprise(kit: Kit, writing: SamplingPane) -> None:
    write(kit)
    rect = writing.view.text.rect_of(0, 9)
    QTest.mouseClick(writing.view.text.viewport(), Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    asked = kit.engine.of(m.SymbolDistribution)[-1]
    assert len(asked.tokens) == 9
    symbols = tuple(sorted(set(TEXT)))
    raw = np.linspace(1, 2, len(symbols)) / np.linspace(1, 2, len(symbols)).sum()
    hand(kit, m.SymbolDistributed(stamp=asked.stamp, channel=asked.channel, run=TEXT_RUN, step=1024, raw=raw, filtered=raw))
    assert writing.symbol_card.rows.ranked[0] == len(symbols) - 1 and writing.symbol_card.rows.there == symbols.index(TEXT[9])
    writing.view.bits_box.click()
    image = writing.view.text.viewport().grab().toImage()
    corner = writing.view.text.rect_of(0, 12)
    share = writing.view.text.texts.bits[0, 12] / writing.view.legend.most  # type: ignore[union-attr,index]
    assert image.pixelColor(int(corner.left()) + 1, int(corner.top()) + 1).getRgb()[:3] == tuple(viridis(np.array(share)))
    writing.symbol_card.rows.taken.emit(2)
    assert writing.node is not None and writing.node.name == f"A · character 9 → “{symbols[2]}”"
    assert kit.engine.of(m.DrawSamples)[-1].start == 10


def test_that_a_prompt_goes_to_the_engine_with_its_line_ends(kit: Kit, writing: SamplingPane) -> None:
    write(kit)
    writing.settings_card.prompt.setText("To be,\\n")
    writing.settings_card.prompt.editingFinished.emit()
    settle(kit, writing)
    assert kit.engine.of(m.DrawSamples)[-1].prompt == "To be,\n"
    write(kit, start=7)
    assert writing.view.text.texts is not None and writing.view.text.texts.given is not None
    assert writing.view.text.texts.given[0].tolist() == [True] * 7 + [False] * 6


def test_that_a_text_is_saved_with_its_recipe(kit: Kit, writing: SamplingPane, tmp_path) -> None:
    write(kit)
    assert writing.exports.entries["txt"].isEnabled() and not writing.exports.entries["png"].isEnabled()
    writing.exports.save_text(str(tmp_path / "out.txt"))
    saved = (tmp_path / "out.txt").read_text()
    assert saved.endswith(TEXT) and "# run: text" in saved and "# sample_seed: 0" in saved
