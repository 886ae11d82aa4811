"""A run's final figures in the window: asked for on purpose, shown with step, count and date, and a second reading said so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from app.shell.final_figures import ACTION, figure_lines, newest_of_each_kind, words_of
from app.shell.main_window import Window
from engine import messages as m
from tests.kit.fake_engine import FakeEngine, run

FIGURE = m.FinalFigure(
    "test", 4096, "best on validation", 10_000, {"nats": 83.094, "nats_se": 0.251, "accuracy": 0.975, "accuracy_se": 0.0016, "k": 128},
    "2026-11-27T07:00:00Z",
)  # fmt: skip


def test_that_a_figure_stands_with_its_standard_error_and_unit_and_a_setting_does_not() -> None:
    assert figure_lines(FIGURE) == [("−log p(x) (IWAE, K = 128)", "83.094 ± 0.251 nat"), ("accuracy", "97.5 ± 0.2 %")]


def test_that_a_second_reading_says_that_it_is_one() -> None:
    once, twice = words_of((FIGURE,)), words_of((FIGURE, replace(FIGURE, date="2026-11-28T07:00:00Z")))
    assert "4\u202f096" in once and "best on validation" in once and "2026-11-27" in once and "Reading" not in once
    assert "2026-11-28" in twice and "Reading 2 of the test images" in twice


def test_that_the_menu_of_a_run_reads_them_and_the_inspector_shows_what_the_run_keeps(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    window.run_list.menu(window.run_list.cards["/runs/c"], QPoint(0, 0))
    menu = window.run_list.findChildren(QMenu)[-1]
    next(action for action in menu.actions() if action.text() == ACTION).trigger()
    menu.hide()
    (asked,) = engine.told(m.FinalFigures)
    assert asked.run == "/runs/c"
    window.choose_run("/runs/c")
    assert window.inspector.final.isHidden()
    done = run("c", status="stopped", final_figures=(FIGURE,))
    engine.say(m.RunsListed((done,), "/runs"), m.Ended(asked.job, "ok", "The final figures are kept in the run."))
    qtbot.waitUntil(lambda: not window.inspector.final.isHidden())
    assert "83.094 ± 0.251 nat" in window.inspector.final.figures.text()
    qtbot.waitUntil(lambda: "kept in the run" in window.centre.log.records[-1].text)


def test_that_a_run_that_trains_offers_none(window: Window, qtbot: QtBot) -> None:
    window.run_list.menu(window.run_list.cards["/runs/a"], QPoint(0, 0))
    menu = window.run_list.findChildren(QMenu)[-1]
    assert ACTION not in [action.text() for action in menu.actions()]
    menu.hide()


def test_that_a_probe_does_not_hide_the_density_read_before_it() -> None:
    probed = m.FinalFigure(
        "test", 4096, "best on validation", 10_000, {"knn": 0.5, "knn_se": 0.005, "n_train": 5000}, "2026-11-28T07:00:00Z"
    )
    assert newest_of_each_kind((FIGURE, probed)) == (FIGURE, probed)
    assert newest_of_each_kind((FIGURE, probed, replace(FIGURE, step=8))) == (probed, replace(FIGURE, step=8))
    words = words_of((FIGURE, probed))
    assert "all 10\u202f000 test images, probes fitted on 5\u202f000 training images" in words
    assert "all" not in words_of((replace(probed, values={"knn": 0.5, "linear": 0.6}),)), "older probes asked a limited number"


@pytest.mark.parametrize("values", [{}, {"nats": 1.0}, {"nats": "x", "nats_se": 0.1}])
def test_that_values_without_a_standard_error_make_no_line(values: dict[str, object]) -> None:
    assert figure_lines(replace(FIGURE, values=values)) == []
