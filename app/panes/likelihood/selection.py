"""What the Likelihood pane has selected (image, score, data set to compare with, thresholds) and the scores that belong to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.panes.likelihood import separation
from app.panes.likelihood.controller import LikelihoodController
from app.panes.likelihood.scored_images import Dropped
from app.shell.state import State
from engine.common import ood_metrics
from engine.messages import DetectorScore


class Selection:
    def __init__(self, controller: LikelihoodController, state: State) -> None:
        self._controller, self._images, self._state = controller, controller.images, state
        self.image: Dropped | None = None
        self.detector: tuple[str, str] = ("", "")  # run, detector
        self.compare = ""  # a data set; empty: the dropped images
        self.thresholds: dict[tuple[str, str], float] = {}

    @property
    def step(self) -> int | None:
        """Of the selected score's run; None where that run does not score now."""
        return dict(self._controller.wanted).get(self.detector[0])

    @property
    def score(self) -> DetectorScore | None:
        """The selected image's, by the selected detector."""
        return None if self.image is None else self.image.score(*self.detector)

    def threshold(self) -> float:
        """Of the selected score: where the user left it, else where a twentieth of the held-out images is lost. NaN without any."""
        if self.detector not in self.thresholds:
            known = self._images.known(*self.detector)
            if not len(known):
                return float("nan")
            self.thresholds[self.detector] = ood_metrics.threshold_at_fpr(known, separation.KNOWN_LOST)
        return self.thresholds[self.detector]

    def set_threshold(self, value: float) -> None:
        """Of the selected score."""
        self.thresholds[self.detector] = value

    def ood_scores(self, run: str, detector: str) -> np.ndarray:
        """Scores by one detector, float [n], of what the held-out images are compared with; empty where none has come."""
        if not self.compare:
            return self._images.scored(run, detector)[1]
        comparison = self._controller.comparisons.get(run)
        if comparison is None:
            return np.zeros(0)
        return np.asarray(comparison.scores.get(detector, np.zeros(0)), np.float64)

    def data_name(self) -> str:
        """Of the data set to compare with."""
        info = self._state.data.get(self.compare)
        return info.name if info else Path(self.compare).name

    def follow_detectors(self) -> None:
        """Select a score that the runs have, where they do not have the selected one; forget thresholds of runs that went."""
        run, name = self.detector
        steps = dict(self._controller.wanted)
        if steps and (run not in steps or self._images.detectors.get(run)):
            run = run if run in steps else next(iter(steps))
            infos = self._images.detectors.get(run, ())
            if infos and not any(info.name == name and not info.missing for info in infos):
                name = next((info.name for info in infos if not info.missing), "")
            self.detector = (run, name)
        self.thresholds = {key: value for key, value in self.thresholds.items() if key[0] in self._images.calibrated}
