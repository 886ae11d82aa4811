"""The engine as the window holds it: messages go in to its two lanes, events come out.

The training lane advances one training at a time; the query lane answers panes from checkpoints. They share nothing but the
run folders, so there are no locks around models and no query can change a training.
This module imports quickly: torch comes with the lanes, after the window has been painted.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from pathlib import Path

from engine import messages as m
from engine.worker.query_lane import QueryLane
from engine.worker.run_follower import RunFollower
from engine.worker.startup import Startup, share_the_cores
from engine.worker.training_lane import TrainingLane

OF_THE_TRAINING_LANE = (m.StartRun, m.ContinueRun, m.BuildBackground, m.PauseJob, m.ResumeJob, m.StopJob, m.DiscardJob, m.MoveJob)


class Engine:
    """Commands and queries in (`send`), events out (`drain`). Start and close it once.

    Every job that was started gets exactly one `Ended`; a paused job has not ended.
    Without a `root` runs live in the user's data folder (`engine.storage.run_folders.default_root`).
    """

    def __init__(self, root: Path | str | None = None) -> None:
        self._events: deque[m.Event] = deque()
        self.startup = Startup()
        self.runs = RunFollower(self._hand_on, root, lambda: self.training_lane.writes)
        self.training_lane = TrainingLane(self._hand_on, self.startup, self.runs)
        self.query_lane = QueryLane(self._hand_on, self.startup, self.runs)

    def start(self) -> None:
        """Start both lanes' threads."""
        share_the_cores()
        self.startup.began = time.perf_counter()
        self.query_lane.start()
        self.training_lane.start()

    def send(self, message: m.Command | m.Query) -> None:
        """Hand a command or query to the lane it is for; from any thread."""
        lane = self.training_lane if isinstance(message, OF_THE_TRAINING_LANE) else self.query_lane
        if isinstance(message, (m.StopJob, m.DiscardJob)) and self.query_lane.owns(message.job):
            lane = self.query_lane
        lane.put(message)

    def drain(self, limit: int = 200) -> list[m.Event]:
        """The oldest waiting events, at most `limit`."""
        out: list[m.Event] = []
        with contextlib.suppress(IndexError):
            while len(out) < limit:
                out.append(self._events.popleft())
        return out

    def publish(self, event: m.Event) -> None:
        """Put an event where the window takes it from; from any thread."""
        self._events.append(event)

    def _hand_on(self, event: m.Event) -> None:
        """What the lanes call: `publish` is looked up for each event, so one who measures can listen in."""
        self.publish(event)

    def close(self, timeout: float = 2.5) -> bool:
        """Save what is running and end both lanes. Returns whether they ended in time."""
        deadline = time.perf_counter() + timeout
        for lane in (self.training_lane, self.query_lane):
            lane.finish()
        for lane in (self.training_lane, self.query_lane):
            if lane.ident is not None:
                lane.join(max(0.0, deadline - time.perf_counter()))
        return not (self.training_lane.is_alive() or self.query_lane.is_alive())
