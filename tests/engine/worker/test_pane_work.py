"""The work that panes ask of the lanes beside a training."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import pytest
import torch

from engine import messages as m
from engine.queries.answers import Handler
from engine.queries.session import CannotAnswer
from engine.training.loop import Plan
from engine.worker.engine import Engine
from engine.worker.run_follower import RunFollower, history_points
from tests.kit.watched_engine import Watched


@dataclass(frozen=True, eq=False, kw_only=True)
class Count(m.Work):
    """Work made for these tests: tells how far it is, at most to `until`."""

    until: int = 3
    fails: bool = False


def count(work: Count) -> Generator[m.Event | None, None, str]:
    for number in range(work.until):
        assert not torch.is_grad_enabled()
        yield m.Notice("info", f"{work.job} {number}")
        yield None
    if work.fails:
        raise CannotAnswer("It cannot count further; begin again.")
    return "It has counted."


def lines(w: Watched) -> list[str]:
    return [event.text for event in w.of(m.Notice)]


def with_counting(watched) -> Watched:
    w = watched()
    w.until(lambda e: isinstance(e, m.Ready))
    w.engine.query_lane.session.handlers[Count] = Handler(lambda _session, work: count(work))
    return w


def test_that_work_ends_once_with_its_own_words_and_an_error_is_a_sentence(watched):
    w = with_counting(watched)
    w.engine.send(Count(job="a"))
    w.engine.send(Count(job="b", fails=True))
    assert (w.ended("a").outcome, w.ended("a").message) == ("ok", "It has counted.")
    assert (w.ended("b").outcome, w.ended("b").message) == ("failed", "It cannot count further; begin again.")
    assert len(w.of(m.Ended)) == 2
    assert sorted(lines(w)) == [f"{job} {number}" for job in "ab" for number in range(3)]


@pytest.mark.slow
def test_that_newer_work_on_a_channel_ends_the_older_and_stop_ends_any(watched):
    w = with_counting(watched)
    w.engine.send(Count(job="old", channel="pane", until=10**9))
    w.engine.send(Count(job="new", channel="pane", until=10**9))
    w.engine.send(Count(job="other", until=10**9))
    assert w.ended("old").outcome == "stopped"
    known = len(lines(w))
    for job in ("new", "other"):  # they take turns
        w.until(lambda e, job=job: any(line.startswith(job) for line in lines(w)[known:]))
    for job in ("new", "other"):
        w.engine.send(m.StopJob(job))
        assert w.ended(job).outcome == "stopped"
    assert len(w.of(m.Ended)) == 3


def test_that_a_queued_run_whose_name_is_taken_meanwhile_gets_the_next_one(tmp_path):
    engine = Engine(tmp_path)
    said: list[m.Event] = []
    engine.training_lane.publish = said.append
    (tmp_path / "Mine").mkdir()
    (tmp_path / "mine-2").mkdir()
    plan = engine.training_lane._with_free_name(Plan(method="vae", data="digits", name="mine"))
    assert plan.name == "mine-3"
    assert [event.text for event in said] == ["There is a “mine” in the folder of runs already, so this one is called “mine-3”."]
    free = Plan(method="vae", data="digits", name="free")
    assert engine.training_lane._with_free_name(free) is free and len(said) == 1


def test_that_lines_which_are_no_rows_are_told_once_and_the_rest_is_drawn(tmp_path):
    said: list[m.Event] = []
    follower = RunFollower(said.append, tmp_path, lambda: "")
    good = {"t": 1.0, "steps": [1, 2], "values": {"loss": [3.0, 2.0]}}
    bad = (5, None, [], "x", {"steps": 3}, {"steps": ["a"], "values": {"loss": [1.0]}}, {"steps": [1], "values": []}, {"resumed": "1"},
           {"steps": [1], "values": {"loss": 7}}, {"steps": [1], "values": {"loss": ["y"]}}, {"steps": [-1], "values": {"loss": [1.0]}},
           {"steps": [1 << 70], "values": {"loss": [1.0]}}, {"resumed": True}, {"steps": [1], "values": {"loss": [1.0, 2.0]}})  # fmt: skip
    for _ in range(3):
        rows = follower._usable("/runs/a", [good, *bad, {"resumed": 1}])
        assert rows == [good, {"resumed": 1}]
    steps, values = history_points(rows)["loss"]
    assert steps.tolist() == [1] and values.tolist() == [3.0]
    assert len(said) == 1 and "metrics.jsonl of a" in said[0].text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), MemoryError(), RecursionError("deep")])
def test_that_no_error_of_whatever_kind_ends_a_lane_in_silence(tmp_path, error):
    engine = Engine(tmp_path)
    said: list[m.Event] = []
    engine.training_lane.publish = said.append

    def fail() -> None:
        raise error

    engine.training_lane.guarded(fail)
    (notice,) = said
    assert isinstance(notice, m.Notice) and notice.level == "bad" and type(error).__name__ in notice.text


def test_that_an_engine_whose_start_failed_once_starts_at_the_next_try(tmp_path, monkeypatch):
    engine = Engine(tmp_path)
    lane, tries = engine.query_lane, []

    def open_session(publish):
        tries.append(publish)
        if len(tries) < 3:
            raise ImportError("partially initialized module")
        return "a session"

    monkeypatch.setattr(engine.startup, "open_session", open_session)
    monkeypatch.setattr("engine.worker.query_lane.START_PAUSE_SECONDS", 0.0)
    lane._open_session()
    assert lane.session == "a session" and len(tries) == 3


def test_that_an_engine_that_did_not_start_says_so_to_every_question(tmp_path):
    engine = Engine(tmp_path)
    said: list[m.Event] = []
    engine.query_lane.publish = said.append
    engine.query_lane._answer(m.Describe(run="/runs/a", stamp=4))
    (failed,) = said
    assert isinstance(failed, m.QueryFailed) and failed.stamp == 4 and failed.message.startswith("The engine could not start")
