"""Who answers what is found by declaration, in files that nothing lists."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import engine.queries
from engine import messages as m
from engine.queries.answers import Handler, handlers
from engine.queries.calibrated_detectors import DetectorCache
from engine.queries.embedding import EmbeddingMaps
from engine.queries.feature_cache import FeatureCache
from engine.queries.session import QuerySession


def kinds(base: type) -> set[type]:
    """All messages below a base class that the program itself has."""
    below = {kind for child in base.__subclasses__() for kind in {child} | kinds(child)}
    return {kind for kind in below if kind.__module__.startswith("engine.messages")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A second folder of answers, and nothing that has been found so far."""
    monkeypatch.setattr(engine.queries, "__path__", [*engine.queries.__path__, str(tmp_path)])
    handlers.cache_clear()
    yield tmp_path
    handlers.cache_clear()
    for name in [name for name in sys.modules if name.startswith("engine.queries.") and (tmp_path / f"{name[15:]}.py").exists()]:
        del sys.modules[name]


def test_that_every_query_and_every_work_is_answered():
    assert kinds(m.Query) | kinds(m.Work) == set(handlers())
    assert len(handlers()) > 20


NEW_FILE = """
from dataclasses import dataclass
from engine import messages as m
from engine.queries.answers import answers

@dataclass(frozen=True, eq=False, kw_only=True)
class Double(m.Query):
    number: int

@dataclass(frozen=True, eq=False, kw_only=True)
class Total(m.Query):
    number: int

@dataclass(frozen=True, eq=False, kw_only=True)
class CountTo(m.Work):
    number: int

@answers(Double)
def double(session, query):
    return 2 * query.number

class Sum:
    def __init__(self, session):
        self.session, self.total = session, 0

    @answers(Total)
    def add(self, query):
        self.total += query.number
        return self.total

    @answers(CountTo)
    def count(self, work):
        for number in range(work.number):
            self.total += 1
            yield m.Notice("info", str(number))
        return "It has counted."
"""


def test_that_a_new_file_is_all_that_a_new_question_needs(folder):
    (folder / "sums.py").write_text(NEW_FILE, encoding="utf-8")
    session, other = QuerySession(), QuerySession()
    from engine.queries import sums  # type: ignore[attr-defined]

    assert session.answer(sums.Double(number=4)) == 8
    assert [session.answer(sums.Total(number=n)) for n in (1, 2)] == [1, 3]  # the class is kept
    assert [e.text for e in session.work(sums.CountTo(job="j", number=2)) if isinstance(e, m.Notice)] == ["0", "1"]
    assert session.answer(sums.Total(number=0)) == 5
    assert other.answer(sums.Total(number=0)) == 0  # one for each session


def test_that_two_answers_to_one_question_are_refused(folder):
    imports = "from engine import messages as m\nfrom engine.queries.answers import answers\n"
    (folder / "twice.py").write_text(f"{imports}\n@answers(m.Decode)\ndef mine(session, query): ...\n", encoding="utf-8")
    with pytest.raises(TypeError, match=r"Decode is answered twice, by .*latent\.decode and .*twice\.mine"):
        QuerySession()


def test_that_rooms_are_shared_within_a_session():
    session = QuerySession()
    assert session.room(EmbeddingMaps).feature_cache is session.room(FeatureCache)
    assert session.room(DetectorCache) is session.room(DetectorCache)
    assert QuerySession().room(FeatureCache) is not session.room(FeatureCache)


def test_that_an_answer_added_to_one_session_is_no_other_ones():
    @dataclass(frozen=True, eq=False, kw_only=True)
    class Mine(m.Query):
        pass

    def answer(session: QuerySession, query: Any) -> Any:
        return session

    session = QuerySession()
    session.handlers[Mine] = Handler(answer)
    assert session.answer(Mine()) is session
    assert Mine not in QuerySession().handlers
