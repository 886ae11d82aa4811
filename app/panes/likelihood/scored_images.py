"""The images that are to be scored, and what is known of them so far. Nothing is drawn and nothing is asked here.

Results belong to a run at a step. Looking at another step forgets what the old one had said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.common import significance
from engine.messages import Calibrated, CombinedScore, DetectorInfo, DetectorScore, ImageScored, PictureRef

RunStep = tuple[str, int]  # run, step
MOST_AT_ONCE = 256  # pictures of one job: another one can be looked at in between


@dataclass(eq=False)
class Dropped:
    """One image, and what was said about it."""

    picture: PictureRef
    scores: dict[str, dict[str, DetectorScore]] = field(default_factory=dict)  # run -> detector -> score
    seen: dict[str, np.ndarray] = field(default_factory=dict)  # run -> uint8 [C, H, W]
    original: np.ndarray | None = None  # uint8 [H, W, 3]
    notes: tuple[str, ...] = ()
    png_bytes: int = 0
    error: str = ""
    combined: dict[str, CombinedScore] = field(default_factory=dict)  # run -> all its scores together

    @property
    def label(self) -> str:
        return self.picture.label

    @property
    def key(self) -> str:
        return self.picture.path or self.picture.label

    def score(self, run: str, detector: str) -> DetectorScore | None:
        return self.scores.get(run, {}).get(detector)


class ScoredImages:
    """All dropped images in their order, the runs and steps that score them, and the held-out scores of each."""

    def __init__(self) -> None:
        self.entries: list[Dropped] = []
        self.run_steps: tuple[RunStep, ...] = ()
        self.calibrated: dict[str, Calibrated] = {}  # run -> held-out scores at the step that is looked at
        self.detectors: dict[str, tuple[DetectorInfo, ...]] = {}  # run -> all that it can have, as it said last
        self._by_key: dict[str, Dropped] = {}

    def add(self, pictures: Iterable[PictureRef]) -> list[Dropped]:
        """The entries of these pictures, in order; one that is there already is not taken twice."""
        out = []
        for picture in pictures:
            entry = Dropped(picture)
            known = self._by_key.setdefault(entry.key, entry)
            if known is entry:
                self.entries.append(entry)
            out.append(known)
        return out

    def clear(self) -> None:
        self.entries.clear()
        self._by_key.clear()

    def look_at(self, run_steps: tuple[RunStep, ...]) -> None:
        """Score by these from now on. What others said is void, even of runs that stay: an ensemble asks all that are looked at."""
        if run_steps != self.run_steps:
            self.run_steps = run_steps
            self.forget()

    def forget(self) -> None:
        """All that was said is void; which detectors a run has is kept, so that a table need not go away and come back."""
        self.calibrated.clear()
        for entry in self.entries:
            entry.scores.clear()
            entry.combined.clear()
            entry.seen.clear()

    def forget_run(self, run: str) -> None:
        """The run is listed no longer."""
        self.detectors.pop(run, None)

    # -- what is to be asked -------------------------------------------------------------------------------------------

    def uncalibrated(self) -> tuple[RunStep, ...]:
        """Runs and steps without held-out scores."""
        return tuple(run_step for run_step in self.run_steps if run_step[0] not in self.calibrated)

    def next_batch(self, first: Dropped | None) -> list[Dropped]:
        """The images to be scored next, the one that is looked at before all others; empty when there is nothing to do."""
        if not self.run_steps or self.uncalibrated():
            return []
        order = self.entries if first is None else [first, *(entry for entry in self.entries if entry is not first)]
        return [entry for entry in order if self.lacks(entry)][:MOST_AT_ONCE]

    def lacks(self, entry: Dropped) -> bool:
        return not entry.error and any(run not in entry.scores for run, _ in self.run_steps)

    # -- what has come -------------------------------------------------------------------------------------------------

    def calibrate(self, event: Calibrated) -> None:
        self.calibrated[event.run] = event
        self.detectors[event.run] = event.detectors

    def take(self, event: ImageScored) -> Dropped | None:
        """Write down what was said about an image; None when it is not here any more."""
        entry = self._by_key.get(event.path or event.label)
        if entry is None:
            return None
        entry.error = event.error
        if event.error:
            return entry
        for run, _ in self.run_steps:
            entry.scores[run] = {score.detector: score for score in event.scores if score.run == run}
        entry.combined = {one.run: one for one in event.combined}
        entry.seen |= event.seen
        if event.original is not None:
            entry.original = event.original
        entry.notes, entry.png_bytes = event.notes, event.png_bytes or entry.png_bytes
        return entry

    def info(self, run: str, detector: str) -> DetectorInfo | None:
        return next((info for info in self.detectors.get(run, ()) if info.name == detector), None)

    def known(self, run: str, detector: str) -> np.ndarray:
        """Scores of held-out images, float [n]; empty when there are none."""
        calibrated = self.calibrated.get(run)
        found = None if calibrated is None else calibrated.known.get(detector)
        return np.zeros(0) if found is None else np.asarray(found, np.float64)

    def groups(self, run: str) -> np.ndarray | None:
        """Which held-out images belong together, int64 [n]; None where each is its own."""
        calibrated = self.calibrated.get(run)
        return None if calibrated is None else calibrated.groups

    def scored(self, run: str, detector: str) -> tuple[list[Dropped], np.ndarray]:
        """The dropped images that have this score, with it: float [k]."""
        pairs = [(entry, entry.score(run, detector)) for entry in self.entries]
        have = [(entry, score.score) for entry, score in pairs if score is not None]
        return [entry for entry, _ in have], np.array([score for _, score in have], np.float64)

    def marks(self, run: str) -> tuple[set[int], str]:
        """Of the images that a run has scored, those that Benjamini and Hochberg's procedure marks by their combined p-values, as ids of
        entries; and a sentence, where there are several. A pane and the verb `score` mark the same ones.
        """
        scored = [entry for entry in self.entries if run in entry.combined]
        adjusted = significance.benjamini_hochberg(np.array([entry.combined[run].p_value for entry in scored]))
        marked = {id(entry) for entry, q in zip(scored, adjusted, strict=True) if q <= significance.FALSE_DISCOVERIES}
        floor = scored[0].combined[run].p_floor if scored else 1.0
        return marked, significance.marked_sentence(len(marked), len(scored), floor) if len(scored) > 1 else ""

    def waiting(self) -> int:
        """Images that some run has not scored yet."""
        return sum(map(self.lacks, self.entries))

    # -- out of the window ---------------------------------------------------------------------------------------------

    def table(self, names: dict[str, str]) -> tuple[list[str], list[list[object]]]:
        """Header and rows of the CSV: one row for each image and run, value and p-value of every detector. `names`: run -> its name."""
        detectors: list[DetectorInfo] = []
        for run, _ in self.run_steps:
            for info in self.detectors.get(run, ()):
                if not info.missing and info.name not in {other.name for other in detectors}:
                    detectors.append(info)
        uncertain = {
            score.detector for entry in self.entries for of in entry.scores.values() for score in of.values() if score.error is not None
        }
        columns = ["file", "run", "step", "weights_sha256"]
        for info in detectors:
            unit = f" [{info.unit}]" if info.unit else ""
            columns += [
                f"{info.name}{unit}",
                *([f"{info.name} error{unit}"] if info.name in uncertain else []),
                f"{info.name} p_value",
                f"{info.name} verdict ({info.direction} values are more unusual)",
            ]
        columns += ["combined p_value", "combined verdict", "held_out_images", "held_out_groups", "p_floor", "notes", "error"]
        rows: list[list[object]] = []
        for entry in self.entries:
            for run, step in self.run_steps if not entry.error else self.run_steps[:1]:
                known = self.calibrated.get(run)
                row: list[object] = [entry.key, names.get(run, run), step, known.weights if known else ""]
                for info in detectors:
                    score = entry.score(run, info.name)
                    row.append("" if score is None else repr(float(score.value)))
                    if info.name in uncertain:
                        row.append("" if score is None or score.error is None else repr(float(score.error)))
                    row += ["", ""] if score is None else [repr(float(score.p_value)), score.verdict]
                together, one = entry.combined.get(run), next(iter(entry.scores.get(run, {}).values()), None)
                row += ["", ""] if together is None else [repr(float(together.p_value)), together.verdict]
                row += ["", "", ""] if one is None else [one.calibration_images, one.calibration_groups, repr(float(one.p_floor))]
                rows.append([*row, " ".join(entry.notes), entry.error])
        return columns, rows
