"""How far the likelihood is from what is usual, upwards or downwards; and how far several models agree about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.detectors.base import Detector, ImageBatch, ScoredModel, Steps, TrainingImages, density_steps, finish

CENTRE_IMAGES = 256  # training images whose mean code length is the centre


class Typicality(Detector):
    """Distance of the code length from its mean over training images (Nalisnick et al. 2019)."""

    name = "typicality"
    version = 2  # since its centre comes from training images
    title = "typicality"
    density = "none"
    unit = "nat"
    source = "Nalisnick et al., Detecting Out-of-Distribution Inputs Using Typicality, 2019 (arXiv 1906.02994), with M = 1"
    help = (
        "|−log p(x) − its mean over training images|: an image that is far more likely than the usual one is as suspicious as one "
        "that is far less likely."
    )
    place = 12
    fits = True

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density."""
        return subject.has_density

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"samples": self.subject.samples, "centre": CENTRE_IMAGES}

    def fit(self, training: TrainingImages) -> Iterator[None]:
        """The entropy of the model's data, estimated by the mean of -log p over training images, as in the paper.

        Not over the held-out images: a score that is fitted on those it is compared with makes them look more usual than new ones.
        """
        count = len(training.images)
        take = min(count, CENTRE_IMAGES)
        nats = []
        for look in self.subject.batches(training.images[np.arange(take) * count // max(1, take)]):
            yield from look.prepare()
            nats.append(-look.log_p)
        self.fitted = {"mean": np.array([float(torch.cat(nats).mean())])}

    def score(self, look: ImageBatch) -> Tensor:
        """|-log p(x) - its mean over training images|, nats [B]."""
        return (-look.log_p - float(self.fitted["mean"][0])).abs()

    def error(self, look: ImageBatch) -> Tensor | None:
        """That of log p, nats [B]."""
        return look.log_p_error


class Waic(Detector):
    """Watanabe-Akaike information criterion over several models (Choi et al. 2018)."""

    name = "waic"
    title = "WAIC"
    density = "none"
    unit = ""
    source = "Choi et al., WAIC, but Why? Generative Ensembles for Robust Anomaly Detection, 2019 (arXiv 1810.01392v4), section 3"
    help = (
        "E[log p(x)] − Var[log p(x)] over runs that differ in their seed alone: where they disagree, none is to be believed. As in the "
        "paper a mean in nats and a variance in nats² are put together as plain numbers, so the difference has no unit and is no density."
    )
    place = 13
    direction = "lower"

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density."""
        return subject.has_density

    def missing(self) -> str:
        """Why there is no score: other models are lacking; "" when there are some."""
        return "" if self.subject.others else self.subject.others_missing

    def remedy(self) -> str:
        """The window can train the runs that are lacking."""
        return "" if self.subject.others else "repeat"

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"others": self.subject.facts.get("others", ""), "samples": self.subject.samples}

    def about(self) -> str:
        """The explanation, with the runs in use."""
        return f"{self.help} Here over {self.subject.others_are}." if self.subject.others else self.help

    def score(self, look: ImageBatch) -> Tensor:
        """Variance minus mean of log p(x) over the models, [B]."""
        return finish(self.steps(look))

    def steps(self, look: ImageBatch) -> Steps:
        """As `score`, a few images between two yields; returns [B]."""
        yield from look.prepare()
        rows = [look.log_p]
        for other in self.subject.others:
            rows.append((yield from density_steps(other, look.x, look.samples, look.seed)).log_p)
        log_p = torch.stack(rows)  # [models, B]
        return log_p.var(0, correction=0) - log_p.mean(0)

    def value(self, score: float) -> float:
        """Mean minus variance of log p(x), from a score."""
        return -score
