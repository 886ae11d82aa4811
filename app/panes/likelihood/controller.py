"""What the Likelihood pane asks of the engine, in which order, and what becomes of the answers. Nothing is drawn here.

First the held-out images of the runs that are looked at, since every p-value is counted against them; then the dropped images,
the one in front first; then a data set to compare with, and the path of a corrupted image. Answers about what is no longer
looked at are dropped. While a training goes on, what was found about one checkpoint stands as long as it took to find, and then
gives way to the newest one: a slow model would otherwise begin anew with every checkpoint and never come to a score.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.panes.likelihood.scored_images import Dropped, RunStep, ScoredImages
from app.shell.bridge import Bridge
from app.shell.formatting import count, things
from app.shell.job_controller import JobController
from engine.messages import (
    BuildBackground,
    Calibrate,
    Calibrated,
    Corrupt,
    Corrupted,
    DataScored,
    Ended,
    ImageScored,
    Progress,
    ReadTrainingImages,
    ScoreData,
    ScoreImages,
)


@dataclass(frozen=True, eq=False)
class PathWanted:
    """An image that is to be corrupted and scored by one run."""

    run: str
    step: int
    entry: Dropped
    kind: str

    def same(self, other: PathWanted | None) -> bool:
        return other is not None and (self.run, self.step, self.kind) == (other.run, other.step, other.kind) and self.entry is other.entry


class LikelihoodController(JobController):
    name = "likelihood"
    resume = "Drop an image or choose another step to go on."

    calibrated = Signal()  # detectors and held-out scores have come, or went
    scored = Signal(object)  # news about one image
    compared = Signal()
    corrupted = Signal()
    near = Signal()  # the training images can be looked at

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(bridge, parent)
        self.images = ScoredImages()
        self.front: Dropped | None = None  # scored before the others
        self.wanted: tuple[RunStep, ...] = ()
        self.refused: dict[str, str] = {}  # run -> why it cannot score
        self.building: dict[str, tuple[str, str]] = {}  # job that trains a background model -> run, kind
        self.compare: tuple[str, int, str] | None = None  # run, step, data
        self.comparisons: dict[str, DataScored] = {}  # run -> its scores of the data of `compare`
        self._comparing = ""  # the run that scores those data now, or did last
        self.path_wanted: PathWanted | None = None
        self.path: Corrupted | None = None
        self.near_read = False  # whether the runs' training images were opened, or are being
        bridge.on(Calibrated, self._calibrated)
        bridge.on(ImageScored, self._image_scored)
        bridge.on(DataScored, self._data_scored)
        bridge.on(Corrupted, self._corrupted)
        bridge.on(Progress, self._progress)
        bridge.on(Ended, self._ended)

    # -- what is wanted --------------------------------------------------------------------------------------------------

    def look_at(self, run_steps: tuple[RunStep, ...]) -> None:
        """Score by these runs at these steps; what is under way for others ends."""
        if run_steps == self.wanted:
            self.go_on()
            return
        self.wanted = run_steps
        self.refused = {}
        self._anew()

    def _anew(self) -> None:
        self.stop_jobs()
        self.images.look_at(tuple(run_step for run_step in self.wanted if run_step[0] not in self.refused))
        self.comparisons.clear()
        self.path = self.path_wanted = None
        self.near_read = False
        self.renew()
        self.calibrated.emit()
        self.go_on()

    def ask_again(self) -> None:
        """A run has a detector more: everything is asked anew."""
        self.stop_jobs()
        self._given_up.clear()
        self._stopped = False
        self.images.forget()
        self.comparisons.clear()
        self.path = None
        self.calibrated.emit()
        self.go_on()

    def images_came(self) -> None:
        self._given_up.discard("score")
        if self._stopped:
            self._given_up.clear()
        self._stopped = False
        self.go_on()

    def set_compare(self, compare: tuple[str, int, str] | None) -> None:
        """A data set whose test images are scored by all runs, first by the one that is named."""
        if compare == self.compare and (compare is None or self.comparison is not None or "compare" in self.jobs):
            return
        self.end("compare")
        self._stopped = self._stopped and compare is None
        if compare is None or self.compare is None or compare[2] != self.compare[2]:
            self.comparisons.clear()
        self.compare = compare
        self.go_on()

    def set_path(self, wanted: PathWanted | None) -> None:
        if wanted is None or not wanted.same(self.path_wanted):
            self.end("path")
            self._stopped = self._stopped and wanted is None
            self.path_wanted, self.path = wanted, None
            self.corrupted.emit()
        self.go_on()

    def build_background(self, run: str, kind: str) -> None:
        if (run, kind) not in self.building.values():
            job = self.bridge.new_job("train")
            self.building[job] = run, kind
            self.bridge.send(BuildBackground(job, run, kind=kind))
            self.say("The background model is queued for training; its score appears when it is done.")
            self.calibrated.emit()

    def end(self, purpose: str) -> None:
        self._given_up.discard(purpose)
        super().end(purpose)

    # -- asking ----------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Begin whatever is to be done next; nothing while the pane is hidden."""
        if not self.active or not self.images.run_steps:
            return
        run_steps = self.images.run_steps
        if self.images.uncalibrated():
            self.begin("calibrate", lambda job: Calibrate(job=job, channel="likelihood.known", runs=run_steps))
            return
        batch = self.images.next_batch(self.front)
        if batch:
            pictures = tuple(entry.picture for entry in batch)
            self.begin("score", lambda job: ScoreImages(job=job, channel="likelihood", runs=run_steps, pictures=pictures))
        lacking = self._uncompared()
        if self.compare is not None and lacking:
            (run, step), data = lacking[0], self.compare[2]
            self._comparing = run if "compare" not in self.jobs else self._comparing
            self.begin("compare", lambda job: ScoreData(job=job, channel="likelihood.data", run=run, step=step, data=data, runs=run_steps))
        path = self.path_wanted
        if path is not None and self.path is None and (path.run, path.step) in run_steps:
            picture = path.entry.picture
            self.begin(
                "path",
                lambda job: Corrupt(
                    job=job, channel="likelihood.path", run=path.run, step=path.step, picture=picture, kind=path.kind, runs=run_steps
                ),
            )

    @property
    def comparison(self) -> DataScored | None:
        """What was found out for `compare`."""
        return None if self.compare is None else self.comparisons.get(self.compare[0])

    def _uncompared(self) -> list[RunStep]:
        """Runs that have not scored the data of `compare`, its own run first."""
        first = None if self.compare is None else self.compare[:2]
        order = sorted(self.images.run_steps, key=lambda run_step: run_step != first)
        return [run_step for run_step in order if run_step[0] not in self.comparisons] if first in order else []

    def read_near(self) -> None:
        """Open the training images of the runs, so that those next to an image can be named; once for each that are looked at."""
        if self.active and self.images.run_steps and not self.near_read:
            run_steps = self.images.run_steps
            self.near_read = True
            self.begin("near", lambda job: ReadTrainingImages(job=job, channel="likelihood.near", runs=run_steps))

    # -- answers -----------------------------------------------------------------------------------------------------------

    def _calibrated(self, event: Calibrated) -> None:
        if self.purpose_of(event.job) == "calibrate":
            self.images.calibrate(event)
            if event.missing:
                self.say(f"Scores come without p-values. {event.missing}", "warning")
            self.calibrated.emit()

    def _image_scored(self, event: ImageScored) -> None:
        if self.purpose_of(event.job) == "score":
            entry = self.images.take(event)
            if entry is not None:
                left = self.images.waiting()
                self.say(f"Scoring: {things(left, 'image')} to go" if left else "")
                self.scored.emit(entry)

    def _data_scored(self, event: DataScored) -> None:
        if self.purpose_of(event.job) == "compare":
            self.comparisons[event.run] = event
            self.say("")
            self.compared.emit()

    def _corrupted(self, event: Corrupted) -> None:
        if self.purpose_of(event.job) == "path":
            self.path = event
            self.corrupted.emit()

    def _progress(self, event: Progress) -> None:
        if self.purpose_of(event.job) or event.job in self.building:
            total = "" if event.total is None else f" of {count(event.total)}"
            note = event.note or ("Training the background model" if event.job in self.building else "Scoring")
            self.say(f"{note}: {event.unit} {count(event.done)}{total}")

    def _ended(self, event: Ended) -> None:
        if event.job in self.building:
            self.building.pop(event.job)
            if event.outcome == "failed":
                self.say(event.message, "bad")
            self.ask_again()
            return
        purpose = self.purpose_of(event.job)
        if not purpose:
            if os.path.dirname(event.run) in dict(self.wanted):  # a background model that another window, or the last one, had begun
                self.ask_again()
            return
        del self.jobs[purpose]
        if event.outcome == "ok":
            self._ended_well(purpose)
        else:
            self._ended_badly(purpose, event)
        self.settled()

    def _ended_well(self, purpose: str) -> None:
        lacking = {
            "calibrate": bool(self.images.uncalibrated()),
            "compare": self._comparing not in self.comparisons,
            "path": self.path is None,
            "score": False,
            "near": False,
        }
        if lacking[purpose]:
            self._given_up.add(purpose)  # it said nothing: asking again would say nothing again
        if purpose == "near":
            self.near.emit()
        if purpose == "calibrate":
            self.say("")
        elif purpose == "score" and not self.images.waiting():
            bad = sum(bool(entry.error) for entry in self.images.entries)
            done = len(self.images.entries) - bad
            unread = f" · {count(bad)} could not be read" if bad else ""
            self.say(f"{things(done, 'image')} scored{unread}")

    def _ended_badly(self, purpose: str, event: Ended) -> None:
        missing = self.images.uncalibrated()
        if purpose == "calibrate" and event.outcome == "failed" and missing:
            self.refused[missing[0][0]] = event.message
            if len(self.images.run_steps) > 1:  # the others can still score
                self._anew()
            else:
                self._given_up.add(purpose)
                self.calibrated.emit()
        else:
            self._given_up.add(purpose)
        self.say(event.message, "bad" if event.outcome == "failed" else "")
