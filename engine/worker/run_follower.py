"""Run folders as the window sees them: the list of runs, and the curves of those that are followed, from the file or from a training."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import messages as m

LIST_SECONDS = 1.0  # how often the run folders are looked at
FOLLOW_SECONDS = 0.25  # how often the metrics of runs that other processes write are read


class RunFollower:
    """Lists the runs and follows their curves; the query lane turns it, the training lane tells it its own points.

    Without a `root` runs live in the user's data folder (`engine.storage.run_folders.default_root`). `written_here` gives the
    run folder that the training lane is writing, empty without one. `wake` is called when there is something to look at.

    Curves reach the window from two lanes: a history read from the file, and new points from the training. The lock and
    the last step of every curve see to it that no point comes twice and none is lost.
    """

    def __init__(self, publish: Callable[[m.Event], None], root: Path | str | None, written_here: Callable[[], str]) -> None:
        self.publish = publish
        self.written_here = written_here
        self.wake: Callable[[], None] = lambda: None
        self.followed: dict[str, int] = {}  # run -> how many follow it
        self.opened: list[Path] = []  # run folders from elsewhere
        self._root = None if root is None else Path(root).absolute()
        self._listed: tuple[m.RunInfo, ...] | None = None
        self._look_at = 0.0
        self._follow_at = 0.0
        self._offsets: dict[str, int] = {}  # run -> bytes of its metrics read so far
        self._complained: set[str] = set()  # runs whose metrics were said to hold what is no row
        self._lock = threading.Lock()
        self._last_steps: dict[str, dict[str, int]] = {}  # run -> curve -> the last step that was published

    @property
    def root(self) -> Path:
        """The folder of all runs."""
        if self._root is None:
            from engine.storage.run_folders import default_root

            self._root = default_root()
        return self._root

    def turn(self) -> None:
        """Do what is due of listing and following."""
        now = time.perf_counter()
        if now >= self._look_at:
            self._look_at = now + LIST_SECONDS
            self.list_runs()
        if now >= self._follow_at:
            self._follow_at = now + FOLLOW_SECONDS
            self._read_followed()

    def seconds_left(self) -> float:
        """Until something is due; not negative."""
        return max(0.0, min(self._look_at, self._follow_at) - time.perf_counter())

    # -- the list ------------------------------------------------------------------------------------------------------

    def look_now(self) -> None:
        """Runs have changed: list them at the next turn, and let it come soon."""
        self._look_at = 0.0
        self.wake()

    def list_runs(self) -> None:
        """Publish the list where it has changed."""
        from engine.storage.run_folders import BadRun
        from engine.storage.run_reader import Run, list_runs

        runs = list_runs(self.root)
        for path in list(self.opened):
            try:
                runs.append(Run.open(path))
            except BadRun as error:
                self.opened.remove(path)
                self.publish(m.Notice("warning", str(error)))
        listed = tuple(run.info() for run in runs)
        if listed != self._listed:
            self._listed = listed
            self.publish(m.RunsListed(listed, str(self.root)))

    def open(self, path: str) -> None:
        """List a run folder that lies elsewhere. Raises: BadRun."""
        from engine.storage.run_reader import Run

        run = Run.open(Path(path))
        if run.path.parent != self.root and run.path not in self.opened:
            self.opened.append(run.path)
        self.look_now()

    def delete(self, path: Path) -> None:
        """Raises: BadRun, OSError."""
        from engine.storage.run_folders import delete_run, what_stays

        foreign = delete_run(path)
        self.opened = [p for p in self.opened if p != path]
        self._complained.discard(str(path))
        self.forget_curves(str(path))
        self.publish(m.Notice("warning" if foreign else "info", f"{path.name} was deleted.{what_stays(path, foreign)}"))
        self.look_now()

    # -- curves --------------------------------------------------------------------------------------------------------

    def follow(self, run: str) -> None:
        """Publish all points of a run, then every new one. Raises: BadRun."""
        self.followed[run] = self.followed.get(run, 0) + 1
        self.send_history(run)

    def unfollow(self, run: str) -> None:
        """One pane less wants this run's metrics."""
        self.followed[run] = self.followed.get(run, 0) - 1
        if self.followed[run] <= 0:
            self.followed.pop(run)
            self._offsets.pop(run, None)

    def publish_metrics(self, event: m.Metrics) -> None:
        """Publish new points of a run, without those that a history has already brought."""
        with self._lock:
            last = self._last_steps.setdefault(event.run, {})
            points = {}
            for name, (steps, values) in event.points.items():
                new = steps > last.get(name, -1)
                if new.any():
                    points[name] = (steps[new], values[new])
                    last[name] = int(steps[-1])
            if points:
                self.publish(m.Metrics(event.run, points))

    def forget_curves(self, run: str) -> None:
        """A run begins or is gone: what one of its name had told is void."""
        with self._lock:
            self._last_steps.pop(run, None)

    def send_history(self, run: str, only_if_followed: bool = False) -> None:
        """Publish all points of a run that are in its folder.

        Raises:
            BadRun: the folder cannot be read.
        """
        from engine.storage.run_reader import Run

        if only_if_followed and run not in self.followed:
            return
        whole = Run.open(Path(run))
        rows, offset = whole.metrics()  # the bulk, while the training goes on
        with self._lock:
            rest, offset = whole.metrics(offset)
            points = history_points(self._usable(run, [*rows, *rest]))
            self._last_steps[run] = {name: int(steps[-1]) for name, (steps, _) in points.items() if len(steps)}
            self._offsets[run] = offset
            self.publish(m.Metrics(run, points, history=True))
        for note in whole.notes:
            self.publish(m.Notice("info", f"{whole.name}: {note}"))

    def _usable(self, run: str, rows: list[Any]) -> list[dict[str, Any]]:
        """The rows that are points of curves; what else stands there is told once for each run."""
        good = [row for row in rows if is_row(row)]
        if len(good) < len(rows) and run not in self._complained:
            self._complained.add(run)
            name = Path(run).name
            self.publish(m.Notice("warning", f"Some lines of metrics.jsonl of {name} hold no points of curves; its curves lack them."))
        return good

    def _read_followed(self) -> None:
        """New points of followed runs that no lane of ours is writing."""
        from engine.storage.run_folders import BadRun
        from engine.storage.run_reader import Run

        ours = self.written_here()
        for run in list(self.followed):
            if run == ours:
                self._offsets.pop(run, None)
                continue
            try:
                if run not in self._offsets:
                    self.send_history(run)
                    continue
                rows, offset = Run.open(Path(run)).metrics(self._offsets[run])
                rows, read = self._usable(run, rows), bool(rows)
                if any("resumed" in row for row in rows):  # points past the checkpoint it went on from are void
                    self.send_history(run)
                elif read:
                    self._offsets[run] = offset
                    self.publish_metrics(m.Metrics(run, history_points(rows)))
            except (BadRun, KeyError, ValueError, TypeError):
                self.followed.pop(run, None)  # the run list names the fault


def is_row(row: Any) -> bool:
    """Whether a line of metrics.jsonl holds what `history_points` reads: steps and numbers by name, or where a training went on."""
    if not isinstance(row, dict):
        return False
    if "resumed" in row:
        return _is_step(row["resumed"])
    steps, values = row.get("steps", []), row.get("values", {})
    if not isinstance(steps, list) or not isinstance(values, dict) or not all(map(_is_step, steps)):
        return False
    return all(isinstance(series, list) and len(series) <= len(steps) and all(map(_is_number, series)) for series in values.values())


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62)


def history_points(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of metrics.jsonl as curves: name -> (steps int64 [n], values float32 [n]).

    What a killed training had written past the checkpoint that it later went on from is left out.
    """
    import numpy as np

    steps: dict[str, list[int]] = {}
    values: dict[str, list[float]] = {}
    for row in rows:
        if "resumed" in row:
            for name in steps:
                keep = bisect.bisect_right(steps[name], row["resumed"])
                del steps[name][keep:], values[name][keep:]
            continue
        for name, series in row.get("values", {}).items():
            steps.setdefault(name, []).extend(row.get("steps", [])[: len(series)])
            values.setdefault(name, []).extend(series)
    return {name: (np.asarray(steps[name], np.int64), np.asarray(values[name], np.float32)) for name in steps}
