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
