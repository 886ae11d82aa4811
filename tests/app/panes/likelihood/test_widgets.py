"""The small widgets of the Likelihood pane, each by itself: ticks, histogram, table of scores, map of bits, paths."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.panes.likelihood.corruption_plot import CorruptionPlot, ScorePath
from app.panes.likelihood.heat_map import HeatMap, span
from app.panes.likelihood.histogram import Histogram
from app.panes.likelihood.image_detail import DropCard
from app.panes.likelihood.score_table import AUROC, VALUE, ScoreRow, ScoreTable, floor_text, p_text, value_text
from app.panes.likelihood.scored_images import Dropped
from app.shell.theme import CATEGORIES, DARK, LIGHT, contrast
from app.widgets.chart import figures, ticks
from engine.messages import DetectorInfo, DetectorScore, PictureRef
from tests.kit.text_fit import exceeds, listening

NATS = DetectorInfo("elbo", "ELBO", "bound", "nat", "Paper", "Help.")
BITS = DetectorInfo("ll", "log-likelihood", "exact", "bits/dim", "Paper", "Help.")


@pytest.fixture
def shown(qapp) -> Iterator:
    made: list[QWidget] = []

    def show(widget: QWidget, width: int = 460, height: int = 220) -> QWidget:
        widget.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        widget.resize(width, height)
        widget.show()
        made.append(widget)
        return widget

    yield show
    for widget in made:
        widget.close()
        widget.deleteLater()


@pytest.mark.parametrize("width", [240, 460])
def test_that_what_lies_outside_of_the_axis_is_said_above_the_plot_and_not_over_the_bars(shown, width: int) -> None:
    chart = shown(Histogram(), width)
    rng = np.random.default_rng(0)
    chart.set_scores(rng.normal(size=400), np.concatenate([rng.normal(size=60), np.full(5, 1e4)]), "held-out", "dropped", "nat")
    with listening() as heard:
        chart.grab()
    (room,) = [room for _, _, room, text, _ in heard.texts if text == chart.beyond]
    assert chart.beyond and room.top() >= 0 and room.bottom() <= chart.plot().top() + 3 and room.right() <= width
    chart.set_scores(rng.normal(size=400), np.zeros(0), "held-out", "dropped", "nat")
    assert not chart.beyond and chart.plot().top() == 8


@pytest.mark.parametrize("width", [220, 300, 420])
def test_that_the_sentence_why_a_picture_cannot_be_read_is_whole_in_its_box(shown, width: int) -> None:
    card = shown(DropCard(), width, 260)
    card.fit(64)
    entry = Dropped(PictureRef(label="notes.txt", path="/notes.txt"))
    entry.error = (
        "notes.txt is no image that can be read: its first bytes are those of a text. Save it as PNG, JPEG or TIFF, and drop it again."
    )
    card.show_entry(entry)
    card.show_look(None, "No bits to show")
    QCoreApplication.sendPostedEvents()
    with listening() as heard:
        card.original.grab()
    (sizes,) = [(wanted, room) for _, wanted, room, text, _ in heard.texts if text == entry.error]
    assert not exceeds(*sizes) and not card.heat.isVisible() and card.original.width() > card.width() - 30
    entry.error = ""
    card.show_entry(entry)
    assert card.original.height() == 64


@pytest.mark.parametrize(("low", "high", "most"), [(0, 1, 5), (-3.7, 122.2, 6), (1e-7, 3e-7, 4), (999.98, 1000.03, 7), (5, 5e6, 3)])
def test_that_ticks_are_round_few_and_inside(low: float, high: float, most: int) -> None:
    found = ticks(low, high, most)
    assert 1 <= len(found) <= most + 1
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    steps = np.diff(found)
    if len(steps):
        assert np.allclose(steps, steps[0])
        assert round(steps[0] / 10 ** np.floor(np.log10(steps[0] * (1 + 1e-9))), 6) in (1, 2, 5)
    assert len(set(figures(found))) == len(found)


def test_that_a_low_chart_has_more_than_one_tick_and_none_is_rounded_to_another_value() -> None:
    assert len(ticks(1.2, 2.3, 1)) > 1
    assert len(ticks(1.15, 1.65, 2)) > 1
    for low, high in ((1.15, 1.65), (0.273, 0.456), (27.0, 31.0)):
        for most in (1, 2, 3):
            found = ticks(low, high, most)
            assert [float(text.replace("−", "-")) for text in figures(found)] == pytest.approx(found)


def test_that_there_are_no_ticks_where_there_is_no_range() -> None:
    assert ticks(1, 1, 5) == ticks(float("nan"), 1, 5) == ticks(2, 1, 5) == []
    assert figures([]) == []


def test_that_both_sides_of_the_histogram_are_drawn_with_a_second_sign(shown) -> None:
    rng = np.random.default_rng(0)
    chart = shown(Histogram())
    for c in (DARK, LIGHT):
        chart.set_colors(c)
        chart.set_scores(rng.normal(0, 1, 500), rng.normal(4, 1, 300), "known", "strange", "score")
        chart.set_threshold(2.0)
        chart.set_mark(5.0)
        assert chart._known_shares.sum() == pytest.approx(1) and chart._strange_shares.sum() == pytest.approx(1)
        image = chart.figure().image(1)
        tints = {tint.name() for tint in chart.tints()}
        assert tints <= {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
        assert all(contrast(tint, c.background) >= 3 for tint in tints)
        assert image.pixelColor(round(chart.to_x(5.0)), round(chart.plot().bottom())).name() == c.bad
    assert len(CATEGORIES) > 2


def test_that_a_value_beyond_the_plot_is_marked_at_its_edge(shown) -> None:
    chart = shown(Histogram())
    chart.set_scores(np.linspace(0, 1, 200), np.zeros(0), "known", "", "score")
    chart.set_threshold(0.5)
    chart.set_mark(1e6)
    assert chart._inside(1e6) == chart.to_x(chart.high)
    assert not chart.figure().image().isNull()


def test_that_a_press_far_from_the_line_takes_it_there_and_all_is_told_to_a_screen_reader(shown) -> None:
    chart = shown(Histogram())
    chart.set_scores(np.linspace(0, 1, 200), np.linspace(0.5, 2, 200), "known", "strange", "score")
    chart.set_threshold(0.9)
    moved: list[float] = []
    chart.threshold_moved.connect(moved.append)
    QTest.mouseClick(chart, Qt.MouseButton.LeftButton, pos=QPoint(round(chart.to_x(0.5)), 60))
    assert moved[-1] == chart.threshold == pytest.approx(0.5, abs=0.01)
    words = chart.accessibleDescription()
    assert "true positives" in words and "false positives 50" in words


def test_that_values_have_their_unit_and_digits() -> None:
    assert value_text(NATS, -1893.24) == "−1\u202f893.2 nat"
    assert value_text(NATS, -18.4) == "−18.40 nat"
    assert value_text(BITS, 5.0249) == "5.02 b/dim"
    assert value_text(DetectorInfo("knn", "kNN", "features", "", "", ""), 0.0456) == "0.046"
    assert value_text(BITS, 5.0249, 0.00123) == "5.0249 ± 0.0012 b/dim" and value_text(BITS, 5.0249, 0.05) == "5.025 ± 0.050 b/dim"
    assert value_text(NATS, -893.24, 3.2) == "−893.24 ± 3.20 nat" and value_text(NATS, -18.4, math.nan) == "−18.40 nat"
    assert [p_text(p) for p in (0.004, 0.0999, 0.47, 1.0)] == ["0.4\u202f%", "10\u202f%", "47\u202f%", "100\u202f%"]
    least, more = (DetectorScore("/r", "elbo", 0.0, 0.0, p, "bad", "", 1 / 250, 249, 249) for p in (1 / 250, 2 / 250))
    assert floor_text(least).startswith("None of the 249 held-out images") and floor_text(more) == "Against 249 held-out images."
    assert p_text(1 / 250, 1 / 250) == "≤ 0.4\u202f%" and p_text(2 / 250, 1 / 250) == "0.8\u202f%"


def test_that_a_value_with_its_error_has_room_beside_the_others(shown) -> None:
    table = shown(ScoreTable())
    for error, wide in ((None, False), (0.0012, True)):
        table.resize(640, 220)
        score = DetectorScore("/r", "ll", 12.3449, 18.4, 0.004, "bad", "unlike training", error=error)
        table.set_rows([ScoreRow("/r", "log-likelihood", BITS, score)], ("/r", "ll"), False)
        text, _ = table.cell_text(0, VALUE)
        assert ("± 0.0012 b/dim" in text) is wide and not table.narrow
        assert table.fontMetrics().horizontalAdvance(text) < table.columnWidth(VALUE)


def test_that_the_table_hides_the_value_only_where_auroc_needs_its_room(shown) -> None:
    table = shown(ScoreTable())
    table.resize(520, 220)
    score = DetectorScore("/r", "elbo", -18.4, 18.4, 0.004, "bad", "unlike training")
    rows = [ScoreRow("/r", "ELBO", NATS, score, 0.31)]
    table.set_rows(rows, ("/r", "elbo"), False)
    assert table.isColumnHidden(AUROC) and not table.isColumnHidden(VALUE)
    table.set_rows(rows, ("/r", "elbo"), True)
    assert not table.isColumnHidden(AUROC) and table.isColumnHidden(VALUE)
    model = table.model_
    assert model.data(model.index(0, AUROC), Qt.ItemDataRole.ForegroundRole).name() == model.c.warning_text
    assert "−18.40 nat" in model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    table.resize(900, 220)
    assert not table.isColumnHidden(VALUE)


def test_that_a_row_is_chosen_by_keyboard_and_a_heading_is_not(shown) -> None:
    table = shown(ScoreTable())
    table.set_rows([ScoreRow("/r", "VAE · one"), ScoreRow("/r", "ELBO", NATS), ScoreRow("/r", "ll", BITS)], ("/r", "elbo"), False)
    heard: list[tuple[str, str]] = []
    table.chosen.connect(lambda run, name: heard.append((run, name)))
    QTest.keyClick(table, Qt.Key.Key_Down)
    assert heard == [("/r", "ll")]
    assert not table.model_.flags(table.model_.index(0, 0)) & Qt.ItemFlag.ItemIsSelectable


def test_that_the_map_goes_from_nothing_to_its_highest_bit(shown) -> None:
    bits = np.array([[0.0, 2.0], [4.0, np.inf]], np.float32)
    assert span(bits) == (0.0, 4.0)
    assert span(np.array([[-1.0, 1.0]])) == (-1.0, 1.0) and span(np.zeros((2, 2))) == (0.0, 1.0)
    heat = shown(HeatMap())
    heat.set_bits(bits)
    assert heat.image is not None
    assert heat.image.pixelColor(0, 1).name() == heat.image.pixelColor(1, 1).name() == "#fde725"
    assert heat.image.pixelColor(0, 0).name() == "#440154"
    assert "6.0 bit in all" in heat.accessibleDescription()
    heat.set_bits(None)
    assert heat.image is None


def test_that_paths_say_where_they_cross_and_the_arrows_walk_the_strength(shown) -> None:
    chart = shown(CorruptionPlot())
    strengths = np.linspace(0, 1, 11)
    paths = [
        ScorePath("falls", strengths, np.linspace(0.5, 0.0, 11), True),
        ScorePath("stays", strengths, np.full(11, 0.4)),
        ScorePath("low", strengths, np.full(11, 0.01)),
    ]
    chart.set_paths(paths, 0.05, "blur")
    assert [chart.shortly(path) for path in paths] == ["0.90", "never", "at once"]
    assert "falls: below from 0.90" in chart.accessibleDescription()
    looks = {(chart.color(i).name(), chart.marker(i), chart.repeats(i)) for i in range(2 * len(CATEGORIES))}
    assert len(looks) == 2 * len(CATEGORIES)
    moved: list[float] = []
    chart.strength_moved.connect(moved.append)
    QTest.keyClick(chart, Qt.Key.Key_Right)
    assert moved == [pytest.approx(0.1)]
    assert not chart.figure().image().isNull()
