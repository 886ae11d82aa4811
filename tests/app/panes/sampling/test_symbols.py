"""One symbol of a sample: its distribution, its surprisal, and the branches that grow from another choice."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.sampling.pane import SamplingPane
from app.shell import theme
from app.widgets.heat import viridis
from engine import messages as m
from tests.kit.panes import LEVELS, Kit, level_value, paper_odds
from tests.kit.sampling_pane import branch_at, click, drawn, node_of, settle, tokens_of


def test_that_a_click_shows_the_distribution_of_that_pixel(kit: Kit, pane: SamplingPane) -> None:
    pane.settings_card.top_k.setText("3")
    settle(kit, pane)
    click(pane, 2, 27)
    kit.pump()
    tokens = tokens_of(pane)[2]
    asked = kit.engine.of(m.SymbolDistribution)[-1]
    np.testing.assert_array_equal(asked.tokens, tokens[:27])
    raw, filtered = paper_odds(tokens[:27], 1.0, 3)
    np.testing.assert_allclose(pane.symbol_card.bars.raw, raw)
    np.testing.assert_allclose(pane.symbol_card.bars.filtered, filtered)
    assert pane.symbol_card.bars.there == tokens[27]
    bits = -np.log2(raw[tokens[27]])
    assert pane.symbol_card.where.text() == f"C · pixel 3,3 · {bits:.2f} bits"
    assert pane.view.canvas.mark == (2, 27)
    assert not pane.symbol_card.regrow_button.isEnabled()
    image = pane.symbol_card.bars.grab().toImage()
    likeliest = int(np.argmax(filtered))
    assert image.pixelColor(int(pane.symbol_card.bars.middle(likeliest)), int(pane.symbol_card.bars.area().bottom()) - 3).name() in (
        theme.colors("dark").accent,
        theme.colors("dark").text,
    )


def test_that_arrow_keys_walk_over_pixels_and_values(kit: Kit, pane: SamplingPane) -> None:
    click(pane, 0, 0)
    QTest.keyClick(pane.view.canvas, Qt.Key.Key_Right)
    QTest.keyClick(pane.view.canvas, Qt.Key.Key_Down)
    kit.pump()
    assert pane.symbol.at == (0, 9) and pane.symbol_card.bars.there == tokens_of(pane)[0, 9]
    QTest.keyClick(pane.symbol_card.bars, Qt.Key.Key_Right)
    assert pane.symbol_card.bars.candidate == min(pane.symbol_card.bars.there + 1, LEVELS - 1)


def test_that_another_choice_grows_a_branch_that_keeps_all_before(kit: Kit, pane: SamplingPane) -> None:
    root = node_of(pane)
    before = tokens_of(pane).copy()
    value = branch_at(kit, pane, 1, 20)
    branch = node_of(pane)
    assert branch is root.children[0] and branch.name == f"B · pixel 4,2 → {level_value(np.array(value))}"
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.samples, work.start) == ((1,), 21)
    after = tokens_of(pane)
    np.testing.assert_array_equal(after[1, :20], before[1, :20])
    assert after[1, 20] == value
    assert (after[1, 21:] != before[1, 21:]).any()
    np.testing.assert_array_equal(np.delete(after, 1, 0), np.delete(before, 1, 0))
    np.testing.assert_array_equal(root.tokens, before)
    np.testing.assert_array_equal(drawn(pane, 1)[..., 0], level_value(after[1]).reshape(8, 8))


def test_that_branches_are_a_tree_one_can_go_back_in(kit: Kit, pane: SamplingPane) -> None:
    root = node_of(pane)
    branch_at(kit, pane, 0, 10)
    first = node_of(pane)
    branch_at(kit, pane, 0, 30)
    second = node_of(pane)
    assert second.parent is first and [one.title() for one in second.path()] == [root.title(), first.name, second.name]
    top = pane.branches.tree.topLevelItem(0)
    assert top.text(0) == "seed 0 · ×4" and top.child(0).text(0) == first.name and top.child(0).child(0).text(0) == second.name
    asked = len(kit.engine.of(m.DrawSamples))
    pane.show_page(1)
    pane.branches.tree.itemClicked.emit(top, 0)
    assert node_of(pane) is root
    np.testing.assert_array_equal(drawn(pane)[..., 0], level_value(root.tokens[0]).reshape(8, 8))  # type: ignore[index]
    kit.undo.undo()
    assert node_of(pane) is second
    kit.undo.undo()
    assert node_of(pane) is first
    kit.undo.redo()
    assert node_of(pane) is second and len(kit.engine.of(m.DrawSamples)) == asked  # nothing had to be grown again


def test_that_a_branch_morphs_from_its_choice_on(kit: Kit, pane: SamplingPane) -> None:
    value = branch_at(kit, pane, 1, 20)
    before = tokens_of(pane).copy()
    pane.settings_card.temperature.setValue(150)
    settle(kit, pane)
    work = kit.engine.of(m.DrawSamples)[-1]
    assert (work.start, work.temperature, work.samples) == (21, 1.5, (1,))
    after = tokens_of(pane)
    np.testing.assert_array_equal(after[1, :21], before[1, :21])
    assert after[1, 20] == value and (after[1] != before[1]).any()


def test_that_bits_are_drawn_in_viridis_with_their_legend(kit: Kit, pane: SamplingPane) -> None:
    assert not pane.view.legend.isVisible()
    pane.view.bits_box.click()
    assert pane.view.legend.isVisible()
    tokens = tokens_of(pane)
    bits = np.array([[-np.log2(paper_odds(row[:place])[0][row[place]]) for place in range(64)] for row in tokens])
    assert pane.view.legend.most == pytest.approx(bits.max(), rel=1e-5)
    np.testing.assert_allclose(drawn(pane, 3), viridis(bits[3] / bits.max()).reshape(8, 8, 3), atol=1)
    assert f"{bits[3, 9]:.2f} bits" in pane.view.canvas.tip(3, 9)
