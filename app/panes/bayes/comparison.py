"""Bayes' rule and a classifier on the same validation images, in numbers: accuracy, calibration, and how unusual one picture is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.common.bayes_rule import posterior
from engine.common.calibration import SIMULATIONS, calibration_errors, calibration_limit
from engine.common.intervals import standard_error
from engine.common.significance import Verdict, count_groups, p_values, verdict
from engine.messages import BayesAnswered, ClassifiersCompared


@dataclass(frozen=True)
class ClassifierFigures:
    """Of p(y|x) on validation images, as shares."""

    accuracy: float
    accuracy_se: float
    calibration: float  # expected calibration error
    limit: float  # that a perfectly calibrated classifier stays below in 95 % of samples


@dataclass(frozen=True)
class Unusual:
    """How one picture's score stands among those of validation images."""

    score: float  # log p(x) in nats, or the probability of the likeliest class
    below: float  # share of the validation images whose score is higher
    p: float
    verdict: Verdict


class Comparison:
    """Answers about N validation images, under any prior p(y) [K]."""

    def __init__(self, told: ClassifiersCompared) -> None:
        self.told = told
        self.classifier = None if told.classifier is None else self._figures(told.classifier)

    def bayes(self, prior: np.ndarray) -> ClassifierFigures:
        """Of Bayes' rule."""
        return self._figures(np.exp(posterior(self.told.given, prior).log_posterior))

    def marginal(self, answer: BayesAnswered, prior: np.ndarray) -> Unusual:
        """How low log p(x) of a picture is."""
        known = posterior(self.told.given, prior).log_marginal
        return self._unusual(known, float(posterior(answer.given, prior).log_marginal))

    def confidence(self, answer: BayesAnswered) -> Unusual | None:
        """How unsure the classifier is of a picture; None without one."""
        if self.told.classifier is None or answer.classifier is None:
            return None
        return self._unusual(self.told.classifier.max(1), float(answer.classifier.max()))

    def _unusual(self, known: np.ndarray, score: float) -> Unusual:
        groups = self.told.groups
        p = float(p_values(-known, np.array([-score]), groups)[0])
        words = verdict(p, count_groups(len(known), groups), images=len(known))
        return Unusual(score, float((known > score).mean()), p, words)

    def _figures(self, probabilities: np.ndarray) -> ClassifierFigures:
        """Of p(y|x) [N, K]."""
        sure, right = probabilities.max(1), probabilities.argmax(1) == self.told.labels
        uniform = np.random.default_rng(0).random((SIMULATIONS, len(sure)))
        error = standard_error(right.astype(np.float64), self.told.groups) if len(right) > 1 else math.nan
        return ClassifierFigures(
            float(right.mean()), error, float(calibration_errors(sure, right[None])[0]), calibration_limit(sure, uniform)
        )
