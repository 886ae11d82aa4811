"""Curves of what is measured beside the loss stand in a group of their own; the losses of one kind share a plot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetrics, QWheelEvent
from PySide6.QtWidgets import QLabel, QScrollArea

from app.panes.curves.pane import CurvesPane
from app.panes.curves.term_cards import NARROWEST, narrowed
from app.shell.theme import font
from engine import messages as m
from tests.kit.panes import OTHER, RUN, Kit, run_info

STEPS = np.arange(1, 41)


@pytest.fixture
def pane(kit: Kit) -> Iterator[CurvesPane]:
    made = kit.open(CurvesPane)
    assert isinstance(made, CurvesPane)
    kit.look_at(run_info(), run_info(OTHER))
    yield made


def feed(kit: Kit, pane: CurvesPane, *terms: str, run: str = RUN) -> None:
    points = {term: (STEPS, (place + 1.0 / STEPS).astype(np.float32)) for place, term in enumerate(terms)}
    kit.bridge.tell(m.Metrics(run, points, True))
    pane.redraw_now()


def cards(pane: CurvesPane) -> list[str]:
    return list(pane.term_cards.cards)


def legend(pane: CurvesPane) -> list[str]:
    assert pane.plot is not None
    return [line.name for line in pane.plot.lines]


TRAINING = ("gradient norm", "learning rate", "images per second", "memory")


def test_that_the_training_group_is_one_click_away_and_does_not_crowd_the_losses(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "loss", "kl", *TRAINING, "valid loss")
    assert cards(pane) == ["loss", "kl"] and not pane.group_row.isHidden()
    pane.group_tabs["Training"].click()
    assert cards(pane) == list(TRAINING) and pane.term == "gradient norm" and pane.plot is not None
    pane.term_cards.cards["memory"].click()
    assert pane.term == "memory" and pane.plot.value_name == "memory, MB" and pane.plot.best is None
    pane.group_tabs["Losses"].click()
    assert cards(pane) == ["loss", "kl"] and pane.term == "loss"
    pane.group_tabs["Training"].click()
    assert pane.term == "memory", "what was looked at last is there again"
    assert [name for name, card in pane.term_cards.cards.items() if card.isChecked()] == ["memory"]


def test_that_a_run_without_such_figures_has_no_groups(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "loss", "kl")
    assert cards(pane) == ["loss", "kl"] and pane.group_row.isHidden()


def test_that_what_judges_a_run_is_called_by_its_words(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "generator_loss", "valid energy_distance")
    card = pane.term_cards.cards["valid energy_distance"]
    card.click()
    assert card.text() == "energy distance · validation" and card.accessibleName() == "Show energy distance · validation"
    assert pane.plot is not None and pane.plot.value_name == "energy distance · validation"


def test_that_the_losses_of_two_networks_share_a_plot_with_short_names(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "discriminator_loss", "r1", "generator_loss", "valid generator_loss")
    pane.show_term("generator_loss")
    assert legend(pane) == ["discriminator", "generator", "generator · validation"]
    assert pane.plot is not None and pane.plot.best is None, "the lowest loss of a game is not its best"
    assert len({line.color for line in pane.plot.lines if not line.dashed}) == 2
    np.testing.assert_array_equal(pane.plot.lines[1].series.values, pane.followed.series(RUN, "generator_loss").values)
    pane.show_term("r1")
    assert legend(pane) == [kit.state.runs[RUN].name]


def test_that_a_loss_at_several_noise_levels_is_one_plot(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "loss", "valid loss", "valid loss σ 0.03", "valid loss σ 0.1", "valid loss σ 1")
    pane.show_term("valid loss σ 0.1")
    assert legend(pane) == ["σ 0.03", "σ 0.1", "σ 1"]
    pane.show_term("loss")
    assert len(legend(pane)) == 2


def test_that_what_is_measured_of_two_networks_is_named_by_the_network(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "loss", "gradient norm of discriminator_loss", "gradient norm of generator_loss", "learning rate of generator_loss")
    pane.show_term("gradient norm of generator_loss")
    assert legend(pane) == ["discriminator", "generator"] and pane.plot is not None and pane.plot.value_name == "gradient norm"
    narrow = [pane.term_cards.cards[term].grab().toImage() for term in cards(pane)[:2]]
    assert narrow[0] != narrow[1]


def test_that_several_runs_are_compared_term_by_term(kit: Kit, pane: CurvesPane) -> None:
    pane.choose_run(OTHER, True)
    for run in (RUN, OTHER):
        feed(kit, pane, "discriminator_loss", "generator_loss", run=run)
    pane.show_term("generator_loss")
    assert legend(pane) == [kit.state.runs[run].name for run in (RUN, OTHER)]


def said(pane: CurvesPane) -> str:
    inside = pane.diagnosis_card.inside
    return " ".join(inside.itemAt(place).widget().text() for place in range(inside.count()))  # type: ignore[union-attr]


def test_that_too_few_points_are_counted_and_no_more_said_once_there_are_enough(kit: Kit, pane: CurvesPane) -> None:
    steps = np.arange(1, 101)
    for n, expected in ((12, "12 of 40"), (39, "39 of 40"), (40, "falling"), (100, "falling")):
        kit.bridge.tell(m.Metrics(RUN, {"loss": (steps[:n], (100.0 / steps[:n]).astype(np.float32))}, True))
        pane.redraw_now()
        assert expected in said(pane) and ("Too few" in said(pane)) == (n < 40)


def test_that_a_run_without_a_term_that_has_to_fall_is_not_called_too_short(kit: Kit, pane: CurvesPane) -> None:
    """The losses of two networks against each other need not fall, a score is meant to rise."""
    feed(kit, pane, "discriminator_loss", "generator_loss")
    assert "no rule of losses applies" in said(pane)
    kit.look_at(run_info(newest=m.RunFigure("top1_retrieval", 0.7, "", True, 64)))
    feed(kit, pane, "top1_retrieval")
    assert said(pane) == "“top-1 retrieval” is meant to rise: these rules are for losses, which fall."


def wheel(pane: CurvesPane, over: QPoint, modifiers: Qt.KeyboardModifier) -> bool:
    """Turn the wheel over a place of the plot; returns whether the plot took it."""
    assert pane.plot is not None
    port = pane.plot.view.viewport()
    event = QWheelEvent(
        QPointF(over), QPointF(port.mapToGlobal(over)), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, modifiers,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    event.ignore()
    QCoreApplication.sendEvent(port, event)
    return event.isAccepted()


def test_that_the_wheel_scrolls_the_pane_and_zooms_with_ctrl_only(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, pane, "loss")
    plot = pane.plot
    assert plot is not None
    pane.grab()
    inside = plot.view.mapFromScene(plot.box.sceneBoundingRect().center())
    axis = plot.view.mapFromScene(plot.plot.getAxis("bottom").sceneBoundingRect().center())
    before = plot.box.viewRange()
    for over in (inside, axis):
        assert not wheel(pane, over, Qt.KeyboardModifier.NoModifier)
        assert plot.box.viewRange() == before and plot.follows
    assert wheel(pane, inside, Qt.KeyboardModifier.ControlModifier)
    assert plot.box.viewRange()[0] != before[0] and not plot.follows
    assert "Ctrl and wheel" in plot.view.toolTip()


@pytest.mark.parametrize("log", [False, True])
def test_that_the_step_axis_never_goes_below_zero(kit: Kit, pane: CurvesPane, log: bool) -> None:
    feed(kit, pane, "loss")
    plot = pane.plot
    assert plot is not None
    plot.set_logs(log, False)
    plot.follows = False
    assert plot.box.viewRange()[0][0] >= 0
    for _ in range(20):
        plot.box.scaleBy(x=1.5)
        assert plot.box.viewRange()[0][0] >= 0
    plot.box.translateBy(x=-100)
    assert plot.box.viewRange()[0][0] >= 0
    redraws = plot.redraws
    plot.show_all()
    plot.redraw()
    assert plot.box.viewRange()[0][0] >= 0 and plot.redraws <= redraws + 4


def test_that_a_low_pane_shrinks_before_it_scrolls_and_the_plot_keeps_a_height(kit: Kit, pane: CurvesPane) -> None:
    area = QScrollArea()
    area.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    area.setWidgetResizable(True)
    feed(kit, pane, "loss", "kl", "reconstruction", "beta", "valid loss", *TRAINING)
    area.setWidget(pane)
    area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    area.resize(900, 350)
    area.show()
    for _ in range(4):
        QCoreApplication.sendPostedEvents()
        pane.grab()
    try:
        assert pane.plot is not None and area.verticalScrollBar().maximum() == 0 and pane.height() <= 350
        assert pane.plot.height() >= 112 and all(card.height() < 60 for card in pane.term_cards.cards.values())
        rules = [label for label in pane.diagnosis_card.findChildren(QLabel) if label.property("role") == "small"]
        assert not any(rule.isVisible() for rule in rules)
        for label in pane.diagnosis_card.findChildren(QLabel):
            assert not label.isVisible() or label.height() >= label.heightForWidth(label.width()), "a sentence is cut"
        area.resize(900, 700)
        for _ in range(4):
            QCoreApplication.sendPostedEvents()
            pane.grab()
        assert all(card.height() > 60 for card in pane.term_cards.cards.values())
        assert all(rule.isVisible() for rule in rules)
    finally:
        area.takeWidget()
        area.close()
        area.deleteLater()


def test_that_a_name_a_little_too_long_is_set_narrower_before_it_is_cut(qapp) -> None:
    plain = font(11)
    wide = QFontMetrics(plain).horizontalAdvance("reconstruction")
    for share in (1.0, 0.95, 0.9, 0.86):
        assert QFontMetrics(narrowed(plain, "reconstruction", share * wide)).horizontalAdvance("reconstruction") <= share * wide
    assert narrowed(plain, "reconstruction", 2 * wide).stretch() in (0, 100)
    assert narrowed(plain, "reconstruction", 10).stretch() >= NARROWEST
