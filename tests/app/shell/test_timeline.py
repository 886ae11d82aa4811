"""The time cursor: what it keeps of the loss, and what hands do to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.shell.bottom_bar import BottomBar
from app.shell.inspector_controller import words_of_choice
from app.shell.state import State
from app.shell.timeline import Sparkline, Timeline
from engine import messages as m
from tests.kit.fake_engine import run

CHECKPOINTS = [0, 1, 2, 4, 1000, 2000, 4000]


@pytest.fixture
def timeline(qtbot: QtBot) -> Timeline:
    made = Timeline()
    qtbot.addWidget(made)
    made.resize(820, 91)
    made.show_checkpoints(CHECKPOINTS, 4000, 8000, 4000, "newest")
    made.show()
    return made


def test_the_curve_stays_bounded_and_keeps_its_extremes() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=300_000).astype(np.float32)
    values[123_457], values[201_001] = 99, -99
    curve = Sparkline(1024)
    for start in range(0, len(values), 777):
        curve.add(np.arange(start, min(start + 777, len(values))), values[start : start + 777])
        assert len(curve.steps) <= 1024
    assert max(curve.values) == 99
    assert min(curve.values) == -99
    assert curve.steps == sorted(curve.steps)


def test_a_long_history_at_once_keeps_its_extremes() -> None:
    values = np.zeros(1_000_001, np.float32)
    values[[5, 500_000, 1_000_000]] = [3, -7, 11]
    curve = Sparkline(1024)
    curve.add(np.arange(len(values)), values)
    assert len(curve.steps) <= 1024
    assert {3.0, -7.0, 11.0} <= set(curve.values)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=400), st.integers(2, 64))
@settings(max_examples=50, deadline=None)
def test_what_is_drawn_has_the_extremes_of_every_column(values: list[float], width: int) -> None:
    curve = Sparkline()
    curve.add(list(range(len(values))), values)
    last = max(1, len(values) - 1)
    drawn = {x: (low, high) for x, low, high in curve.columns(0, last, width)}
    by_hand: dict[int, list[float]] = {}
    for i, value in enumerate(values):
        by_hand.setdefault(min(width - 1, int(i / last * width)), []).append(value)
    assert drawn == {x: (min(group), max(group)) for x, group in by_hand.items()}


def test_values_that_are_no_numbers_are_left_out() -> None:
    curve = Sparkline()
    curve.add([1, 2, 3], [1.0, float("nan"), float("inf")])
    assert curve.values == [1.0]


def test_arrow_keys_walk_the_checkpoints(timeline: Timeline, qtbot: QtBot) -> None:
    moves: list[int] = []
    timeline.moved.connect(moves.append)
    timeline.setFocus()
    QTest.keyClick(timeline, Qt.Key.Key_Left)
    timeline.show_checkpoints(CHECKPOINTS, 4000, 8000, 2000, "")
    QTest.keyClick(timeline, Qt.Key.Key_Left)
    QTest.keyClick(timeline, Qt.Key.Key_Home)
    assert moves == [2000, 1000, 0]
    with qtbot.waitSignal(timeline.live_chosen):
        QTest.keyClick(timeline, Qt.Key.Key_End)


def test_dragging_goes_to_the_nearest_checkpoint_and_the_last_one_is_live(timeline: Timeline, qtbot: QtBot) -> None:
    moves: list[int] = []
    timeline.moved.connect(moves.append)

    def at(step: float) -> QPoint:
        return QPoint(round(timeline.x_of(step)), 58)

    QTest.mousePress(timeline, Qt.MouseButton.LeftButton, pos=at(1100))
    timeline.show_checkpoints(CHECKPOINTS, 4000, 8000, 1000, "")
    QTest.mouseMove(timeline, at(1900))
    timeline.show_checkpoints(CHECKPOINTS, 4000, 8000, 2000, "")
    with qtbot.waitSignal(timeline.live_chosen):
        QTest.mouseMove(timeline, at(7000))
    QTest.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=at(7000))
    assert moves == [1000, 2000]


def test_places_and_steps_are_inverse(timeline: Timeline) -> None:
    for step in (0, 17, 4000, 8000):
        assert timeline.step_at(timeline.x_of(step)) == pytest.approx(step)


def test_the_handle_is_drawn_where_the_cursor_is(timeline: Timeline) -> None:
    timeline.show_checkpoints(CHECKPOINTS, 4000, 8000, 1000, "")
    picture = timeline.grab().toImage()
    here = picture.pixelColor(round(timeline.x_of(1000)), 58).name()
    assert here == timeline.colors.accent
    assert picture.pixelColor(round(timeline.x_of(3000)), 58).name() != timeline.colors.accent


def test_without_a_run_it_says_what_will_be_here(qtbot: QtBot) -> None:
    empty = Timeline()
    qtbot.addWidget(empty)
    empty.show_checkpoints([], 0, None, None)
    assert not empty.isEnabled()
    empty.show()
    empty.grab()


def test_that_a_run_without_a_loss_has_the_curve_of_what_judges_it(qtbot: QtBot) -> None:
    state = State()
    bar = BottomBar(state)
    qtbot.addWidget(bar)
    info = run("a", newest=m.RunFigure("generator_loss", 0.7, "nat", False, 4096))
    state.set_runs((info,), "/runs")
    state.set_run(info.run)

    def told(history: bool = False, **terms: list[float]) -> None:
        points = {name.replace("VALID_", "valid "): (np.arange(len(v)), np.array(v, np.float32)) for name, v in terms.items()}
        bar.add_metrics(m.Metrics(info.run, points, history))

    told(True, discriminator_loss=[9.0, 9.0], generator_loss=[3.0, 2.0], VALID_generator_loss=[5.0])
    told(generator_loss=[1.0])
    told(VALID_generator_loss=[7.0])  # does not lie over the curve of the training
    assert bar.term == "generator_loss"
    assert bar.timeline.curve.values[0] == 3.0 and 7.0 not in bar.timeline.curve.values
    told(loss=[4.0])
    assert bar.term == "loss"
    told(generator_loss=[1.0])
    assert bar.term == "loss"


def judged(status: str = "done", best: int = 1000) -> m.RunInfo:
    """A run with checkpoints of which one did best."""
    points = tuple(m.CheckpointInfo(step, False, step == best) for step in CHECKPOINTS)
    return run("a", status=status, checkpoints=points, step=4000)


def state_of(info: m.RunInfo) -> State:
    state = State()
    state.set_runs((info,), "/runs")
    state.set_run(info.run)
    return state


@pytest.mark.parametrize(("status", "follows", "step"), [("training", "newest", 4000), ("paused", "newest", 4000), ("done", "best", 1000)])
def test_the_newest_is_followed_while_it_trains_and_the_best_when_it_is_done(status: str, follows: str, step: int) -> None:
    state = state_of(judged(status))
    assert (state.follows, state.step, state.step_of("/runs/a")) == (follows, step, step)


def test_that_a_run_which_ends_is_looked_at_where_it_was_best_and_every_listener_is_told() -> None:
    state = state_of(judged("training"))
    told: list[int | None] = []
    state.step_changed.connect(lambda: told.append(state.step))
    state.set_runs((judged("done"),), "/runs")
    assert told == [1000] and state.step_rule == "best on validation"
    state.set_runs((judged("done", best=2000),), "/runs")
    assert told == [1000, 2000]  # another best is followed


def test_that_what_is_followed_is_chosen_for_each_run_and_kept() -> None:
    state = state_of(judged())
    state.set_runs((judged(), replace(judged(), run="/runs/b")), "/runs")
    state.set_follow("newest")
    assert (state.step, state.follows) == (4000, "newest")
    state.set_cursor(2)
    assert (state.step, state.follows, state.step_rule) == (2, "", "chosen by hand")
    state.set_run("/runs/b")
    assert (state.step, state.follows) == (1000, "best")
    state.set_run("/runs/a")
    assert (state.step, state.follows) == (4000, "newest")


def test_a_run_whose_best_checkpoint_cannot_be_read_or_was_never_judged_is_looked_at_newest() -> None:
    lost = tuple(m.CheckpointInfo(step, False, step == 1000, "gone" if step == 1000 else "") for step in CHECKPOINTS)
    state = state_of(run("a", status="done", checkpoints=lost))
    assert (state.step, state.follows, state.best_step) == (4000, "newest", None)
    state.set_follow("best")
    assert (state.step, state.follows) == (4000, "newest")


def test_the_switch_beside_the_time_cursor_says_and_changes_what_is_followed(qtbot: QtBot) -> None:
    state = state_of(judged())
    bar = BottomBar(state)
    qtbot.addWidget(bar)
    state.cursor_changed.connect(bar.show_time)
    bar.show_time()

    def lit() -> list[str]:
        return [name for name, button in bar.follow.buttons.items() if button.isChecked()]

    assert lit() == ["best"] and bar.follow.buttons["best"].isEnabled()
    QTest.mouseClick(bar.follow.buttons["newest"], Qt.MouseButton.LeftButton)
    assert lit() == ["newest"] and state.step == 4000
    QTest.mouseClick(bar.follow.buttons["newest"], Qt.MouseButton.LeftButton)
    assert lit() == ["newest"]  # a second press changes nothing
    state.set_cursor(2)
    assert lit() == []
    QTest.mouseClick(bar.follow.buttons["best"], Qt.MouseButton.LeftButton)
    assert lit() == ["best"] and state.step == 1000


def test_that_a_click_on_the_star_follows_the_best(timeline: Timeline, qtbot: QtBot) -> None:
    timeline.show_checkpoints(CHECKPOINTS, 4000, 8000, 4000, "newest", 1000)
    star = QPoint(round(timeline.x_of(1000)), 8)
    assert timeline.grab().toImage().pixelColor(star).name() == timeline.colors.good
    moves: list[int] = []
    timeline.moved.connect(moves.append)
    with qtbot.waitSignal(timeline.best_chosen):
        QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=star)
    assert moves == []
    QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=QPoint(star.x(), 58))  # below it the tick itself
    assert moves == [1000]


def figures(best: float, newest: float) -> m.RunInfo:
    return replace(judged(), best=m.RunFigure("loss", best, "nat", False, 1000), newest=m.RunFigure("loss", newest, "nat", False, 4000))


def test_that_the_inspector_says_where_the_run_did_better() -> None:
    worse = figures(160.6, 211.8)
    said, warns = words_of_choice(worse, 4000, "newest")
    assert warns and said == "The newest: loss 211.800 nat. Step 1\u202f000 is better on validation: loss 160.600 nat."
    said, warns = words_of_choice(worse, 1000, "best")
    assert not warns and said == "The best on validation: loss 160.600 nat; at step 4\u202f000 it is worse, loss 211.800 nat."
    assert words_of_choice(worse, 4, "")[0].startswith("Step chosen by hand. The best on validation is step 1\u202f000")
    assert not words_of_choice(figures(160.6, 160.9), 4000, "newest")[1]  # within what one checkpoint differs from the next
    assert words_of_choice(judged(), 4000, "newest") == ("The newest.", False)
    assert words_of_choice(None, None, "newest") == ("", False)
    assert "nothing is trained" in words_of_choice(figures(150.0, 160.0), 0, "best")[0] and "nothing is trained" not in said
