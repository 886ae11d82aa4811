"""What the line beside the verbs says of a training: no time and no speed that nobody has measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from engine import messages as m
from engine.method import info
from engine.methods import method_named
from tests.kit.fake_engine import READY, VAE, run

OpenWindow = Callable[..., Window]


def opened(open_window: OpenWindow, qtbot: QtBot, info: m.RunInfo, *told: m.Event) -> Window:
    """A window with one run, after all that was told."""
    methods = (VAE, replace(VAE, name="gmm", title="Gaussian mixture", ends_by_itself=True))
    window = open_window((replace(READY, methods=methods), m.RunsListed((info,), "/runs"), *told))
    qtbot.waitUntil(lambda: window.state.run is not None and window.built and not window.bridge.engine.events)  # type: ignore[attr-defined]
    return window


def test_that_no_time_is_said_where_a_method_ends_by_itself(open_window: OpenWindow, qtbot: QtBot) -> None:
    fresh = run("mixture", replace(VAE, name="gmm"), steps=(0,), status="training", total_steps=4000)
    job = m.JobChanged("train-1", "train", "running", "/runs/mixture")
    window = opened(open_window, qtbot, fresh, job, m.Progress("train-1", "/runs/mixture", 7, 4000, "step", 250.0, 25920.0))
    assert window.verbs.status.text() == "250 img/s · ends by itself"


def test_that_no_speed_is_said_before_a_step_was_measured(open_window: OpenWindow, qtbot: QtBot) -> None:
    fresh = run("fresh", steps=(), status="training")
    job = m.JobChanged("train-1", "train", "running", "/runs/fresh")
    window = opened(open_window, qtbot, fresh, job, m.Progress("train-1", "/runs/fresh", 0, 1, "step", 7500.0, 0.0))
    assert window.verbs.status.text() == "starting…"
    window.state.set_progress(m.Progress("train-1", "/runs/fresh", 8, 100, "step", 7500.0, 12.0))
    assert window.verbs.status.text() == "7\u202f500 img/s · 12 s left"


@pytest.mark.parametrize(("name", "ends"), [("gmm", True), ("kde", True), ("kmeans", True), ("pca", True), ("vae", False), ("gan", False)])
def test_that_methods_say_whether_they_end_by_themselves(name: str, ends: bool) -> None:
    assert info(method_named(name)).ends_by_itself is ends


def test_that_a_run_that_was_just_stopped_is_not_called_training(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = opened(open_window, qtbot, run("a", steps=(0, 16), status="training"))
    assert window.verbs.status.text() == "at step 16"


def test_that_no_checkpoint_is_promised_of_a_run_that_was_stopped(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = opened(open_window, qtbot, run("a", steps=(), status="stopped"))
    assert window.inspector.waiting.text() == "It ended before its first checkpoint, so there are no numbers of it."


def test_that_a_run_with_checkpoints_is_not_said_to_have_ended_before_its_first_while_the_engine_starts(
    open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = opened(open_window, qtbot, run("a", steps=(0, 16), status="done"))
    window.state.set_run(None)
    window.state.set_run("/runs/a")  # no answer has come yet
    assert window.inspector.waiting.text() == "Looking at this checkpoint…"


def test_that_where_a_diagnosis_says_why_there_are_no_numbers_the_method_is_not_blamed(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = opened(open_window, qtbot, run("a"))
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    few = m.Diagnosis("warning", "5 held-out images are too few to judge.")
    described = m.Described(
        stamp=0, channel="", run="/runs/a", step=16, numbers=(), diagnosis=(few,), latent=0, kl=None, scale=None, centre=None
    )
    window.inspector.show_described(described)
    assert window.inspector.waiting.text() == "There are no numbers of this checkpoint; below is said why."
    window.inspector.show_described(replace(described, diagnosis=()))
    assert window.inspector.waiting.text() == "This method reports no numbers."


def test_that_queued_runs_are_called_by_title_and_seed_and_one_of_them_is_next(open_window: OpenWindow, qtbot: QtBot) -> None:
    jobs = [m.JobChanged(f"t{n}", "train", "queued", label="gmm · shapes", place=n, seed=n) for n in range(2)]
    other = m.JobChanged("t2", "train", "queued", label="vae · digits", place=2, seed=0)
    window = opened(open_window, qtbot, run("a"), *jobs, other)
    cards = window.run_list.cards
    names = ["Gaussian mixture · shapes, seed 0", "Gaussian mixture · shapes, seed 1", "VAE · digits"]
    assert [cards[f"job:t{n}"].name for n in range(3)] == names
    for place, job in enumerate((jobs[1], other)):
        window.state.set_job(replace(job, place=place))  # the first one begins
    assert [cards[f"job:t{n}"].standing.word for n in range(3)] == ["starting…", "queued, next", "queued, 2nd"]


def test_that_a_pending_checkpoint_does_not_widen_the_inspector(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = opened(open_window, qtbot, run("a"))
    window.resize(1280, 800)
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    window.inspector._of_step = " · step 104 700"
    window.inspector.show_following(162_000_000)
    body = window.inspector.widget()
    assert body is not None
    qtbot.waitUntil(lambda: body.width() <= window.inspector.viewport().width())
    assert body.minimumSizeHint().width() <= window.inspector.viewport().width()
