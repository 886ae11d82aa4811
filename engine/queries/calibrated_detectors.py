"""A checkpoint's detectors, fitted, with their scores of held-out images: what the score of a new image is compared with.

Here: which models, images and kept scores the detectors get. Not here: any score (`detectors/`), any statistic of scores
(`common/ood_metrics.py`), any message.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common import ood_metrics
from engine.detectors.base import FEATURES_AT_ONCE, Detector, ImageBatch, ScoredModel, TrainingImages, all_detectors, background_kinds
from engine.protocols import ImportanceWeighted
from engine.queries.answers import Part
from engine.queries.pictures import require_images, spread
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession, identity
from engine.storage.run_data import require_same_data
from engine.storage.run_reader import Run
from engine.storage.score_cache import ScoreFiles
from engine.training.background_models import find_background

DETECTORS_KEPT = 4
FIT_IMAGES = 10_000  # training images whose features are compared with
PICTURES_AT_ONCE = 8
ENSEMBLE = 4  # checkpoints in a WAIC, the newest included
ENSEMBLE_SPAN = 8  # none older than an eighth of the newest one's steps: those have hardly learned

RunsAndSteps = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class CheckpointRef:
    """A checkpoint that was found but not loaded yet."""

    run: Run
    step: int
    sha256: str

    @classmethod
    def of(cls, run: Run, step: int) -> CheckpointRef:
        """The checkpoint of a run at a step, with the identity of its weights."""
        return cls(run, step, identity(run, step))


@dataclass(frozen=True)
class Companions:
    """The other models that some detectors ask."""

    backgrounds: dict[str, CheckpointRef]  # kind -> the finished ones beside the run
    lacking: dict[str, tuple[str, str]]  # kind -> what is missing of the others, and the remedy
    others: tuple[CheckpointRef, ...]
    others_are: str

    def subject(self, model: Model, samples: int) -> ScoredModel:
        """The model to score with, its background and other models loaded."""
        facts = {kind: weights.sha256 for kind, weights in self.backgrounds.items()}
        facts["others"] = " ".join(o.sha256 for o in self.others)
        return ScoredModel(
            method=model.method,
            samples=samples,
            backgrounds={kind: Model(weights.run, weights.step).method for kind, weights in self.backgrounds.items()},
            lacking=self.lacking,
            others=tuple(Model(other.run, other.step).method for other in self.others),
            others_are=self.others_are,
            facts=facts,
        )


def companions(model: Model, peers: Sequence[CheckpointRef]) -> Companions:
    """The finished background models beside the run; and for the ensemble its peers, or else its own earlier checkpoints."""
    if model.method.density == "none":
        return Companions({}, {}, (), "")
    backgrounds, lacking = {}, {}
    for kind in background_kinds(model.method):
        background, missing, buildable = find_background(model.run.path, kind)
        if background is None:
            lacking[kind] = missing, kind if buildable else ""
        else:
            backgrounds[kind] = CheckpointRef.of(background, max(c.step for c in background.checkpoints() if not c.fault))
    others = [peer for peer in peers if peer.run.path != model.run.path]
    words = f"{len(others) + 1} runs of different seeds: {', '.join(peer.run.name for peer in others)} and this one"
    if not others:
        now = Run.open(model.run.path)  # a training removes checkpoints that newer ones replace
        steps = [c.step for c in now.checkpoints() if not c.fault and model.step / ENSEMBLE_SPAN <= c.step < model.step]
        others = [CheckpointRef.of(now, step) for step in steps[-(ENSEMBLE - 1) :]]
        words = f"{len(others) + 1} checkpoints of this run: steps {', '.join(f'{w.step:,}' for w in others)} and {model.step:,}"
    return Companions(backgrounds, lacking, tuple(others), words)


class CalibratedDetectors:
    """A checkpoint with its detectors, fitted, and their scores of held-out images: ready to score images."""

    def __init__(self, model: Model, subject: ScoredModel, limit: int) -> None:
        self.model, self.subject, self.limit = model, subject, limit
        self.weights = model.weights
        self.files = ScoreFiles(model.run.path)
        suited = [kind(subject) for kind in all_detectors().values() if kind.suits(subject)]
        if not suited:
            raise CannotAnswer(
                f"{model.method.title} has no density, no classes and no features, so it cannot score images; choose another run."
            )
        self.infos = tuple(detector.info() for detector in suited)
        self.detectors = {d.name: d for d, info in zip(suited, self.infos, strict=True) if not info.missing}
        self.known: dict[str, np.ndarray] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the images the model takes."""
        return self.model.spec.shape

    def fit_facts(self, detector: Detector) -> dict[str, Any]:
        """What names a fit."""
        count = {"known": self.limit, "training": FIT_IMAGES}[detector.fits_on]
        return {
            "weights": self.weights,
            "data": self.model.manifest.data_hash,
            "detector": detector.name,
            "version": detector.version,
            "settings": detector.settings(),
            "images": count,
        }

    def facts(self, detector: Detector, data_hash: str, split: str, limit: int) -> dict[str, Any]:
        """What names the scores of some images of a data set."""
        return {
            "weights": self.weights,
            "data": data_hash,
            "split": split,
            "limit": limit,
            "shape": list(self.shape),
            "detector": detector.name,
            "version": detector.version,
            "settings": detector.settings(),
            "fit": self.fit_facts(detector) if detector.fits_on else None,
        }

    def batches(self, images: np.ndarray) -> list[ImageBatch]:
        """Small batches. Their size follows from the method alone, so that the same images always have the same numbers. images uint8
        [N, C, H, W].
        """
        size = min(self.model.method.valid_slice, FEATURES_AT_ONCE)
        if self.subject.can(ImportanceWeighted):
            size = min(size, PICTURES_AT_ONCE)
        return [ImageBatch(self.model.method, images[start : start + size], self.subject.samples) for start in range(0, len(images), size)]

    def scores(
        self, looks: Sequence[ImageBatch], names: Sequence[str], progress: ProgressReporter | None = None
    ) -> Generator[m.Event | None, None, dict[str, np.ndarray]]:
        """Scores [N] of every named detector; yields often."""
        found: dict[str, list[Tensor]] = {name: [] for name in names}
        for look in looks:
            for name in names:
                steps = self.detectors[name].steps(look)
                while True:
                    try:
                        next(steps)
                    except StopIteration as end:
                        found[name].append(end.value)
                        break
                    yield None
            yield None if progress is None else progress.add(len(look.images))
        return {name: torch.cat(parts).numpy() if parts else np.zeros(0) for name, parts in found.items()}

    def scores_of_data(
        self, images: np.ndarray, data_hash: str, split: str, limit: int, progress: ProgressReporter
    ) -> Generator[m.Event | None, None, dict[str, np.ndarray]]:
        """The scores float64 [N] of images uint8 [N, C, H, W] by detector, read from and kept in the run's folder."""
        kept, open_ones = self.kept_scores(data_hash, split, limit, len(images))
        fresh = yield from self.scores(self.batches(images) if open_ones else [], open_ones, progress)
        self.keep(fresh, data_hash, split, limit)
        return {name: (kept | fresh)[name] for name in self.detectors}

    def kept_scores(self, data_hash: str, split: str, limit: int, count: int | None = None) -> tuple[dict[str, np.ndarray], list[str]]:
        """Scores float64 [N] that were kept, by detector, and the names of the detectors whose scores were not."""
        kept: dict[str, np.ndarray] = {}
        for name, detector in self.detectors.items():
            arrays = self.files.load(name, self.facts(detector, data_hash, split, limit)) if self.weights else None
            scores = None if arrays is None else arrays.get("scores")
            if scores is not None and scores.dtype == np.float64 and scores.ndim == 1 and len(scores) and count in (None, len(scores)):
                kept[name] = scores
        return kept, [name for name in self.detectors if name not in kept]

    def keep(self, scores: dict[str, np.ndarray], data_hash: str, split: str, limit: int) -> None:
        """Write scores [N], by detector, into the run's folder."""
        for name, values in scores.items():
            if self.weights and len(values):
                self.files.keep(name, self.facts(self.detectors[name], data_hash, split, limit), {"scores": values})

    def restore_fits(self) -> list[Detector]:
        """Take over what was fitted before; returns the detectors that must be fitted now."""
        unfitted = []
        for detector in self.detectors.values():
            if detector.fits_on:
                kept = self.files.load(f"fit-{detector.name}", self.fit_facts(detector)) if self.weights else None
                detector.fitted = kept or {}
                if not kept:
                    unfitted.append(detector)
        return unfitted

    def verdicts(self, run: str, scores: dict[str, float]) -> tuple[m.DetectorScore, ...]:
        """Scores of one image beside those of the held-out ones."""
        answers = []
        for name, score in scores.items():
            known = self.known[name]
            p = float(ood_metrics.p_values(known, np.array([score]))[0])
            answers.append(
                m.DetectorScore(run, name, self.detectors[name].value(score), score, p, *ood_metrics.verdict(p), floor=1 / (len(known) + 1))
            )
        return tuple(answers)


class DetectorCache:
    """The calibrated detectors that were asked for last; jobs and answers of one session share them."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._kept: OrderedDict[tuple[Any, ...], CalibratedDetectors] = OrderedDict()

    def calibrated(
        self, run: str, step: int | None, job: str, held_out: int, samples: int, runs: RunsAndSteps = ()
    ) -> Part[CalibratedDetectors]:
        """The detectors of a run: kept, from scores on the disk, or calibrated now.

        Args:
            held_out: validation images that they are calibrated on.
            samples: importance samples per image.
            runs: what is looked at together; runs of other seeds among them are the ensemble.

        Raises:
            CannotAnswer: a model of text, or one without any detector. BadRun, BadData.
        """
        model = self.session.model(run, step)
        require_images(model, "; these scores are of images, so choose a run that was trained on images.")
        friends = companions(model, self._peers(model, runs))
        hashes = (
            *((kind, checkpoint.sha256) for kind, checkpoint in friends.backgrounds.items()),
            *friends.lacking.values(),
            *(other.sha256 for other in friends.others),
        )
        key = (str(model.run.path), model.step, model.weights, held_out, samples, *hashes)
        if key not in self._kept:
            yield None
            detectors = CalibratedDetectors(model, friends.subject(model, samples), held_out)
            yield from self.calibrate(detectors, run, job)
            self._kept[key] = detectors
            while len(self._kept) > DETECTORS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def kept_of(self, model: Model) -> list[CalibratedDetectors]:
        """Those of this model that are kept."""
        return [detectors for detectors in self._kept.values() if detectors.model is model]

    def calibrate(self, detectors: CalibratedDetectors, run: str, job: str) -> Part[None]:
        """Fit what must be fitted and score held-out images of the run's own data, none of which was ever trained on."""
        model, limit = detectors.model, detectors.limit
        manifest = model.manifest
        unfitted = detectors.restore_fits()
        kept, missing = detectors.kept_scores(manifest.data_hash, "valid", limit)
        if unfitted or missing:
            data = yield from self.session.load_data(manifest.data, job)
            require_same_data(manifest, model.run.path.name, data.hash, former_hash=data.former_hash)
            valid, train = data.splits["valid"], data.splits["train"]
            looks = detectors.batches(np.asarray(valid.images[spread(len(valid), limit)]))
            places = spread(len(train), FIT_IMAGES)
            needed = any(detector.fits_on == "training" for detector in unfitted)
            labels = None if train.labels is None else np.asarray(train.labels[places])
            training = TrainingImages(np.asarray(train.images[places if needed else places[:0]]), labels)
            count = sum(len(look.images) for look in looks)
            yield ProgressReporter(job, run, count, "image", timed=False).say("Scoring held-out images")
            for detector in unfitted:
                for _ in detector.fit(looks, training):
                    yield None
                if detectors.weights:
                    detectors.files.keep(f"fit-{detector.name}", detectors.fit_facts(detector), detector.fitted)
            progress = ProgressReporter(job, run, count, "image", "Scoring held-out images")
            fresh = yield from detectors.scores(looks, missing, progress)
            detectors.keep(fresh, manifest.data_hash, "valid", limit)
            kept |= fresh
        detectors.known = {name: kept[name] for name in detectors.detectors}

    def _peers(self, model: Model, runs: RunsAndSteps) -> list[CheckpointRef]:
        """Other runs of the same method and data among those that are looked at together."""
        own, found = model.manifest, []
        for path, step in runs:
            run = Run.open(Path(path))
            theirs = run.manifest
            steps = [c.step for c in run.checkpoints() if not c.fault and (step is None or c.step == step)]
            if theirs and steps and (theirs.method, theirs.data_hash, theirs.shape) == (own.method, own.data_hash, own.shape):
                found.append(CheckpointRef.of(run, steps[-1]))
        return found
