"""The query lane: answers panes from read-only models, inspects data, and keeps the list of runs and its curves up to date."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import messages as m
from engine.common.data_names import short_name, split_name
from engine.storage.list_file import ListFile
from engine.worker.lane import Lane
from engine.worker.run_follower import RunFollower
from engine.worker.startup import Startup

if TYPE_CHECKING:
    from engine.data import DataSet
    from engine.queries.session import QuerySession

LOST = "not found"
SAMPLE_SECONDS = 0.6  # of looking at images for a first answer about a data set
SLICE_SECONDS = 0.02  # a job yields to queries at least this often
SHORT_SLICE_SECONDS = 0.004  # while questions wait


START_TRIES = 3
START_PAUSE_SECONDS = 0.3
DEAD = "The engine could not start, so it cannot answer; the log says why. Restart the program."


class EngineDidNotStart(RuntimeError):
    """One sentence for whoever asks an engine that is not there."""


class QueryLane(Lane):
    """Answers queries from read-only models, lists and follows runs, inspects data. Newest query first, then a slice of a job."""

    def __init__(self, publish: Callable[[m.Event], None], startup: Startup, runs: RunFollower) -> None:
        super().__init__("query lane", publish)
        self.startup = startup
        self.runs = runs
        self.runs.wake = self.wake_up
        self.queries: dict[tuple[type, str], m.Query] = {}
        self.jobs: dict[str, Any] = {}  # name -> generator; the first one advances, then goes to the end of the line
        self.channels: dict[str, str] = {}  # channel -> the newest work on it
        self.remembered: list[str] = []  # data sets from files
        self.session: QuerySession | None = None
        self._file = ListFile(lambda: runs.root, "data.json")
        self._owned: set[str] = set()
        self._tried: set[str] = set()  # jobs whose data set does not come onto the list

    def owns(self, job: str) -> bool:
        """Whether a job was given to this lane."""
        return job in self._owned

    def put(self, message: Any) -> None:
        """As `Lane.put`, and note whose job it is."""
        if isinstance(message, (m.OpenData, m.Work)):
            self._owned.add(message.job)
        super().put(message)

    def run(self) -> None:
        """The thread: list runs and data, open the session, then answer until it is closed."""
        for first in (self._remember, self.runs.list_runs, self._list_data, self._open_session):
            self.guarded(first)
        self.startup.over.set()
        while not self.closing:
            self.guarded(self._turn)
        for message in self.messages():
            if isinstance(message, (m.OpenData, m.Work)):
                self.publish(m.Ended(message.job, "stopped", "The window was closed."))
        for job in list(self.jobs):
            self.jobs[job].close()
            self._end(job, "stopped", "The window was closed.")

    def _open_session(self) -> None:
        """What fails once may succeed the next time: an import that another thread had half done, a file that was busy."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                self.session = self.startup.open_session(self.publish)
                return
            except Exception:
                if not tries_left or self.closing:
                    raise
                self.wait(START_PAUSE_SECONDS)

    def _turn(self) -> None:
        """One question, then what is due of listing and following, then a slice of a job; sleep when there is nothing."""
        for message in self.messages():
            self.guarded(partial(self._obey, message))
        if self.queries:
            key = next(iter(self.queries))
            self._answer(self.queries.pop(key))
        self.runs.turn()
        if self.jobs:
            self._advance_job()
        elif not self.queries:
            self.wait(self.runs.seconds_left())

    def _obey(self, message: Any) -> None:
        match message:
            case m.Query():
                key = (type(message), message.channel)
                self.queries.pop(key, None)  # the newest of a kind goes to the end of the line
                self.queries[key] = message
            case m.OpenRun(path=path):
                self.runs.open(path)
            case m.DeleteRun(run=path):
                self.runs.delete(Path(path))
            case m.FollowRun(run=path):
                self.runs.follow(path)
            case m.UnfollowRun(run=path):
                self.runs.unfollow(path)
            case m.OpenData(job=job, data=data):
                if not message.listed:
                    self._tried.add(job)
                self._open_data(job, data, message.sample)
            case m.Work():
                self._begin_work(message)
            case m.ListData(data=data):
                self._put_on_list(data)
            case m.ForgetData(data=data):
                self._change_remembered(lambda rows: [d for d in rows if d != data])
                self._list_data()
            case m.StopJob(job=job) | m.DiscardJob(job=job) if job in self.jobs:
                self.jobs[job].close()
                self._end(job, "stopped", "Stopped.")

    # -- queries -------------------------------------------------------------------------------------------------------

    def _answer(self, query: m.Query) -> None:
        try:
            if self.session is None:
                raise EngineDidNotStart(DEAD)
            answer = self.session.answer(query)
        except Exception as error:
            sentence, details = self.report(error)
            answer = m.QueryFailed(stamp=query.stamp, channel=query.channel, kind=type(query).__name__, message=sentence, details=details)
        self.publish(answer)
        self._publish_notices()

    def _publish_notices(self) -> None:
        while self.session is not None and self.session.notices:
            self.publish(self.session.notices.pop(0))

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def _begin_work(self, work: m.Work) -> None:
        """Work of a pane; the newest on a channel replaces what was going on there."""
        former = self.channels.get(work.channel) if work.channel else None
        if former in self.jobs:
            self.jobs[former].close()
            self._end(former, "stopped", "Something newer was asked for.")
        self.channels[work.channel] = work.job
        if self.session is None:
            self._end(work.job, "failed", DEAD)
            return
        self.jobs[work.job] = self.session.work(work)
        self.publish(m.JobChanged(work.job, "work", "running"))

    def _open_data(self, job: str, data: str, sample: int) -> None:
        from engine.data import SampleWish, inspect, lasting

        self.jobs[job] = inspect(lasting(data), job, wish=SampleWish(sample, SAMPLE_SECONDS) if sample > 0 else None)
        kind = "work" if job in self._tried else "data"  # who only tries it says himself how it ended
        self.publish(m.JobChanged(job, kind, "running", label=short_name(data)))

    def _advance_job(self) -> None:
        from engine.data import FirstAnswer

        job = next(iter(self.jobs))
        self.jobs[job] = self.jobs.pop(job)
        until = time.perf_counter() + (SHORT_SLICE_SECONDS if self.queries else SLICE_SECONDS)
        try:
            while time.perf_counter() < until:
                item = next(self.jobs[job])
                if item is None:
                    continue
                if isinstance(item, m.ListedLocated):
                    self._change_remembered(partial(_renamed, item.data, item.now))
                if isinstance(item, (m.DataLocated, m.ListedLocated)):
                    self.runs.list_runs()  # before the panes ask anew
                    self._list_data()
                if isinstance(item, m.Event):
                    self.publish(item)
                elif isinstance(item, FirstAnswer):
                    self._show_sample(job, item.data)
                else:
                    self._data_is_here(job, item)
                    self._end(job, "ok", f"{item.name} is ready.")
                    return
        except StopIteration as end:
            self._end(job, "ok", end.value or "")
        except Exception as error:
            sentence, details = self.report(error)
            self._end(job, "failed", sentence, details)

    def _show_sample(self, job: str, data: DataSet) -> None:
        assert self.session is not None
        self.session.sample = data
        self.publish(m.DataSampled(job, replace(data.report, job=job)))

    def _data_is_here(self, job: str, data: Any) -> None:
        assert self.session is not None
        self.session.keep_data(data)
        self.publish(replace(data.report, job=job))
        from engine.storage.run_data import remember_place

        remember_place(self.runs.root, data.data, data.hash)
        if job not in self._tried:
            self._put_on_list(data.data)

    def _end(self, job: str, outcome: str, message: str, details: str = "") -> None:
        self.jobs.pop(job, None)
        self._owned.discard(job)
        self._tried.discard(job)
        self.publish(m.Ended(job, outcome, message, details=details))

    # -- data sets -----------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        try:
            self.remembered = [str(data) for data in self._file.read()]
        except OSError:
            self.remembered = []
        except ValueError as error:
            self.remembered = []
            self.publish(m.Notice("warning", f"The list of data sets could not be read: {error}. Open your data again."))

    def _put_on_list(self, data: str) -> None:
        from engine.data import built_in

        if data not in self.remembered and data not in {d.data for d in built_in()}:
            self._change_remembered(partial(_with_set, data))
            self._list_data()

    def _change_remembered(self, edit: Callable[[list[Any]], list[Any]]) -> None:
        """Change the list in its file, where another window may have changed it too."""
        self.remembered = [str(data) for data in self._file.change(edit, self.remembered)]

    def _list_data(self) -> None:
        from engine.data import built_in, describe_data
        from engine.data.listing import decided_in_words, identity
        from engine.storage.manifest import moved_data

        if any(moved_data(data) != data for data in self.remembered):  # a run's data were found elsewhere
            self._change_remembered(lambda rows: list(dict.fromkeys(moved_data(str(data)) for data in rows)))
        if len({*map(identity, self.remembered)}) < len(self.remembered):
            self._change_remembered(lambda rows: list({identity(str(row)): row for row in rows}.values()))
        here = [data for data in self.remembered if os.path.exists(split_name(data)[0])]
        lost = []
        for data in (data for data in self.remembered if data not in here):
            decided = decided_in_words(data)
            summary = " · ".join(filter(None, (LOST, decided)))
            lost.append(m.DataInfo(data, short_name(data), "images", summary, lost=True, decided=decided))
        self.publish(m.DataListed((*built_in(), *map(describe_data, here), *lost)))


def _with_set(data: str, rows: list[Any]) -> list[Any]:
    """The list with one set more, in the place of one that is the same by another name."""
    from engine.data.listing import identity

    same = identity(data)
    places = [place for place, row in enumerate(rows) if row == data or identity(str(row)) == same]
    return [data if place in places[:1] else row for place, row in enumerate(rows) if place not in places[1:]] if places else [*rows, data]


def _renamed(old: str, now: str, rows: list[Any]) -> list[Any]:
    """The list with another name of one set, and no set twice."""
    return list(dict.fromkeys(now if row == old else str(row) for row in rows))
