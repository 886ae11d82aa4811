"""The bridge: whatever happens in one listener, the others hear everything of the batch."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject

from app.shell.bridge import Bridge
from engine import messages as m
from tests.kit.fake_engine import FakeEngine, described

Caught = list[BaseException]


@pytest.fixture
def bridge(qapp: object) -> Iterator[Bridge]:
    owner = QObject()
    yield Bridge(FakeEngine(), owner)
    owner.deleteLater()


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Caught:
    """The exceptions that reached `sys.excepthook`."""
    found: Caught = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: found.append(error))
    return found


def fail(_event: object) -> None:
    raise ZeroDivisionError


def test_that_a_fault_in_an_answer_does_not_lose_the_end_of_a_job(bridge: Bridge, caught: Caught) -> None:
    ended: list[m.Ended] = []
    bridge.on(m.Ended, ended.append)
    bridge.ask("pane", m.Describe(run="/runs/a", step=1), fail)  # answered at once, so it stands first in the batch
    end = m.Ended("train-1", "ok", "Done.", "/runs/a")
    assert isinstance(bridge.engine, FakeEngine)
    bridge.engine.say(end)
    bridge.drain()
    assert ended == [end]
    assert [type(error) for error in caught] == [ZeroDivisionError]


def test_that_a_fault_in_a_slot_does_not_lose_the_next_event(bridge: Bridge, caught: Caught) -> None:
    ended: list[m.Ended] = []
    bridge.on(m.Notice, fail)
    bridge.on(m.Ended, ended.append)
    assert isinstance(bridge.engine, FakeEngine)
    bridge.engine.say(m.Notice("info", "One."), m.Ended("train-1", "ok", "Done."))
    bridge.drain()
    assert len(ended) == 1
    assert [type(error) for error in caught] == [ZeroDivisionError]


def test_that_after_a_fault_the_next_question_is_answered(bridge: Bridge, caught: Caught) -> None:
    heard: list[m.Described] = []
    bridge.ask("pane", m.Describe(run="/runs/a", step=1), fail)
    bridge.drain()
    bridge.ask("pane", m.Describe(run="/runs/a", step=2), heard.append)
    bridge.drain()
    assert [answer.step for answer in heard] == [described("/runs/a", 2).step]
    assert bridge.idle
