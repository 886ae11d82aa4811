"""A checkpoint's detectors, fitted, with their scores of held-out images: what the score of a new image is compared with.

Here: which models, images and kept scores the detectors get. Not here: any score (`detectors/`), any statistic of scores
(`common/ood_metrics.py`), any message.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common import significance
from engine.common.counting import number_of
from engine.data.dataset import BadData, Split
from engine.data.splits import DIVISION, spread
from engine.detectors.base import FIT_IMAGES, Detector, ImageBatch, ScoredModel, TrainingImages, all_detectors, background_kinds
from engine.queries.answers import Part
from engine.queries.pictures import require_images
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession, identity
from engine.storage.checkpoint_choice import choose_step
from engine.storage.manifest import Manifest
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run, list_runs
from engine.storage.score_cache import ScoreFiles
from engine.training.background_models import find_background

DETECTORS_KEPT = 4
REFUSALS_SAID = 4  # reasons why a run is no member of an ensemble, one after the other
DONE = "done"
PICTURES_AT_ONCE = 8
CALIBRATED_ON = "valid"  # the split of held-out images; what is scored must not be among them
LOOK = 2  # counts up when other images of a split are looked at, so that kept scores are not taken for those of the new ones

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
    others_missing: str = ""

    def subject(self, model: Model, samples: int, seed: int) -> ScoredModel:
        """The model to score with, its background and other models loaded."""
        facts = {kind: weights.sha256 for kind, weights in self.backgrounds.items()}
        facts["others"] = " ".join(o.sha256 for o in self.others)
        return ScoredModel(
            method=model.method,
            samples=samples,
            seed=seed,
            backgrounds={kind: Model(weights.run, weights.step).method for kind, weights in self.backgrounds.items()},
            lacking=self.lacking,
            others=tuple(Model(other.run, other.step).method for other in self.others),
            others_are=self.others_are,
            others_missing=self.others_missing,
            facts=facts,
        )


def companions(model: Model, runs: RunsAndSteps) -> Companions:
    """The finished background models beside the run, and for the ensemble runs of other seeds that are equal in all else."""
    if model.method.density == "none":
        return Companions({}, {}, (), "")
    backgrounds, lacking = {}, {}
    for kind in background_kinds(model.method):
        background, missing, buildable = find_background(model.run.path, kind)
        if background is None:
            lacking[kind] = missing, kind if buildable else ""
        else:
            backgrounds[kind] = CheckpointRef.of(background, choose_step(background).step)
    others, refused = _ensemble(model, runs)
    words = f"{len(others) + 1} runs of different seeds: {', '.join(other.run.name for other in others)} and this one"
    missing = (
        "It needs runs that are done and differ from this one in nothing but their seed: “repeat ×3” trains them, and so does “train” with "
        f"the same settings and length and another --seed.{f' {refused}' if refused else ''}"
    )
    return Companions(backgrounds, lacking, tuple(others), words, "" if others else missing)


def _ensemble(model: Model, runs: RunsAndSteps) -> tuple[list[CheckpointRef], str]:
    """Runs of other seeds with equal method, settings, data and length, all of them done: those looked at together first, then those beside
    the run; one for each seed. With a sentence about each that was looked at, or lacks no more than its end or its length, and was refused.

    Other steps of the same run are no ensemble: their variance says how much an image has gained in training. So are runs of other lengths.
    """
    own = model.run
    if own.status != DONE:
        return [], f"{own.name} itself is not done ({own.status})."
    looked_at = [(Run.open(Path(path)), step) for path, step in runs if Path(path) != own.path]
    beside = [(run, None) for run in list_runs(own.path.parent) if run.path != own.path]
    found: dict[int, CheckpointRef] = {}
    refused: dict[Path, str] = {}
    for place, (run, step) in enumerate([*looked_at, *beside]):
        if run.manifest is None or run.path in refused or run.path in [one.run.path for one in found.values()]:
            continue
        why, nearly = _no_member(run, own)
        if why:
            if place < len(looked_at) or nearly:
                refused[run.path] = f"{run.name} {why}."
        elif run.manifest.seed not in found:
            with contextlib.suppress(BadRun):
                found[run.manifest.seed] = CheckpointRef.of(run, choose_step(run, step).step)
    said = list(refused.values())
    more = [f"{len(said) - REFUSALS_SAID} more are refused for such reasons."] if len(said) > REFUSALS_SAID else []
    return list(found.values()), " ".join(said[:REFUSALS_SAID] + more)


def _no_member(run: Run, own: Run) -> tuple[str, bool]:
    """Why a run is no member of the ensemble of another one, empty where it is; and whether only its end or its length is in the way."""
    theirs, ours = run.manifest, own.manifest
    assert theirs is not None and ours is not None
    if (theirs.method, theirs.data_hash, theirs.shape) != (ours.method, ours.data_hash, ours.shape):
        return "is of another method or other data", False
    if theirs.config != ours.config:
        differing = sorted(name for name in {*theirs.config, *ours.config} if theirs.config.get(name) != ours.config.get(name))
        return f"differs in {', '.join(differing)}", False
    if theirs.seed == ours.seed:
        return "has the same seed", False
    if run.status != DONE:
        return f"is not done ({run.status})", True
    same_steps = theirs.total_steps is not None and theirs.step == ours.step  # a limit of minutes that was not reached changes nothing
    if theirs.total_steps != ours.total_steps or not (same_steps or theirs.minutes == ours.minutes):
        return f"was trained for {_length(theirs)}, this one for {_length(ours)}", True
    return "", True


def _length(manifest: Manifest) -> str:
    """“2,000 steps”, “10 minutes”, or both where whichever came first ended it."""
    steps = [] if manifest.total_steps is None else [number_of(manifest.total_steps, "step")]
    minutes = [] if manifest.minutes is None else [f"{manifest.minutes:g} minute{'' if manifest.minutes == 1 else 's'}"]
    return " or ".join(steps + minutes) or "no planned length"


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
        self.uncalibrated = ""  # why scores of held-out images lack, so that there are no p-values of those detectors
        self.groups: np.ndarray | None = None  # of the held-out images, int64 [n]; None where each is its own

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the images the model takes."""
        return self.model.spec.shape

    def fit_facts(self, detector: Detector) -> dict[str, Any]:
        """What names a fit."""
        return {
            "weights": self.weights,
            "data": self.model.manifest.data_hash,
            "detector": detector.name,
            "version": detector.version,
            **self._density_facts(),
            "settings": detector.settings(),
            "images": FIT_IMAGES,
            "seed": self.subject.seed,
            "look": LOOK,
        }

    def _density_facts(self) -> dict[str, Any]:
        version = self.model.method.density_version
        return {"density version": version} if version > 1 else {}

    def facts(self, detector: Detector, data_hash: str, split: str, limit: int) -> dict[str, Any]:
        """What names the scores of some images of a data set."""
        return {
            "weights": self.weights,
            "data": data_hash,
            "division": DIVISION,
            "split": split,
            "limit": limit,
            "shape": list(self.shape),
            "detector": detector.name,
            "version": detector.version,
            **self._density_facts(),
            "settings": detector.settings(),
            "fit": self.fit_facts(detector) if detector.fits else None,
            "seed": self.subject.seed,
            "look": LOOK,
        }

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

    def errors(self, looks: Sequence[ImageBatch], scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Standard errors [N] of the detectors' values, by name, where they are known; once `scores` [N] of the same batches are there."""
        found = {}
        for name in scores:
            detector = self.detectors[name]
            parts = [detector.error(look) for look in looks]
            known = [part for part in parts if part is not None]
            if known and len(known) == len(parts):
                pairs = zip(scores[name].tolist(), torch.cat(known).tolist(), strict=True)
                found[name] = np.array([abs(detector.value(score + error) - detector.value(score)) for score, error in pairs])
        return found

    def scores_of_data(
        self, images: np.ndarray, data_hash: str, split: str, limit: int, progress: ProgressReporter
    ) -> Generator[m.Event | None, None, dict[str, np.ndarray]]:
        """The scores float64 [N] of images uint8 [N, C, H, W] by detector, read from and kept in the run's folder."""
        kept, open_ones = self.kept_scores(data_hash, split, limit, len(images))
        fresh = yield from self.scores(self.subject.batches(images) if open_ones else [], open_ones, progress)
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

    def _group_facts(self) -> dict[str, Any]:
        return {"data": self.model.manifest.data_hash, "division": DIVISION, "split": CALIBRATED_ON, "limit": self.limit, "look": LOOK}

    def kept_groups(self) -> np.ndarray | None:
        """The groups of the held-out images int64 [n], as they were kept; None where they were not."""
        arrays = self.files.load("groups", self._group_facts())
        groups = None if arrays is None else arrays.get("groups")
        return groups if groups is not None and groups.dtype == np.int64 and groups.ndim == 1 and len(groups) else None

    def keep_groups(self, groups: np.ndarray) -> None:
        """Write the groups of the held-out images int64 [n]."""
        self.files.keep("groups", self._group_facts(), {"groups": groups})

    def restore_fits(self) -> list[Detector]:
        """Take over what was fitted before; returns the detectors that must be fitted now."""
        unfitted = []
        for detector in self.detectors.values():
            if detector.fits:
                kept = self.files.load(f"fit-{detector.name}", self.fit_facts(detector)) if self.weights else None
                detector.fitted = kept or {}
                if not kept:
                    unfitted.append(detector)
        return unfitted

    def go_without(self, unfitted: list[Detector], why: str) -> None:
        """The run's data cannot be had: what was to be fitted on them is missing, the other scores come without p-values.

        Raises: CannotAnswer: nothing is left.
        """
        names = {detector.name for detector in unfitted}
        self.infos = tuple(replace(info, missing=why, remedy="") if info.name in names else info for info in self.infos)
        self.detectors = {name: detector for name, detector in self.detectors.items() if name not in names}
        self.uncalibrated = why
        if not self.detectors:
            raise CannotAnswer(f"Every score of this run must be fitted on its training images first. {why}")

    @property
    def images(self) -> int:
        """How many held-out images there are to compare with."""
        return min((len(known) for known in self.known.values()), default=0)

    @property
    def group_count(self) -> int:
        """How many independent pieces of evidence they are."""
        return significance.count_groups(self.images, self.groups)

    def verdicts(
        self, run: str, scores: dict[str, float], errors: dict[str, float] | None = None
    ) -> tuple[tuple[m.DetectorScore, ...], m.CombinedScore]:
        """Scores of one image beside those of the held-out ones, and all of them together; with the errors of their values where known."""
        images, groups = self.images, self.group_count
        found = [
            float(significance.p_values(self.known[name], np.array([score]), self.groups)[0]) if name in self.known else math.nan
            for name, score in scores.items()
        ]
        without = significance.Verdict("none", f"no p-value: {self.uncalibrated}")
        answers = []
        for (name, score), p in zip(scores.items(), found, strict=True):
            told = without if math.isnan(p) else significance.verdict(p, groups, images=images)
            answers.append(
                m.DetectorScore(
                    run=run,
                    detector=name,
                    value=self.detectors[name].value(score),
                    score=score,
                    p_value=p,
                    level=told.level,
                    verdict=told.words,
                    p_floor=significance.p_floor(groups),
                    calibration_images=images,
                    calibration_groups=groups,
                    error=(errors or {}).get(name),
                )
            )
        found = [p for p in found if not math.isnan(p)]
        p, count = significance.combined_p(np.array(found)), len(found)
        told = significance.verdict(p, groups, count, images) if found else without
        floor = significance.p_floor(groups, count)
        return tuple(answers), m.CombinedScore(run, p, told.level, told.words, floor, count, images, groups)


class DetectorCache:
    """The calibrated detectors that were asked for last; jobs and answers of one session share them."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._kept: OrderedDict[tuple[Any, ...], CalibratedDetectors] = OrderedDict()

    def calibrated(
        self,
        run: str,
        step: int | str | None,
        job: str,
        held_out: int,
        samples: int,
        runs: RunsAndSteps = (),
        seed: int = 0,
    ) -> Part[CalibratedDetectors]:
        """The detectors of a run: kept, from scores on the disk, or fitted and calibrated now.

        Args:
            held_out: validation images that they are calibrated on; with 0 they are fitted only.
            samples: importance samples per image.
            runs: what is looked at together; runs of other seeds among them are the ensemble.
            seed: of the noise in scores.

        Raises:
            CannotAnswer: a model of text, or one without any detector. BadRun, BadData.
        """
        model = self.session.model(run, step)
        require_images(model, "; these scores are of images, so choose a run that was trained on images.")
        friends = companions(model, runs)
        hashes = (
            *((kind, checkpoint.sha256) for kind, checkpoint in friends.backgrounds.items()),
            *friends.lacking.values(),
            friends.others_missing,
            *(other.sha256 for other in friends.others),
        )
        key = (str(model.run.path), model.step, model.weights, held_out, samples, seed, *hashes)
        if key not in self._kept:
            yield None
            detectors = CalibratedDetectors(model, friends.subject(model, samples, seed), held_out)
            yield from self.calibrate(detectors, run, job)
            if detectors.uncalibrated:
                return detectors  # and looked for again the next time
            self._kept[key] = detectors
            while len(self._kept) > DETECTORS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def kept_of(self, model: Model) -> list[CalibratedDetectors]:
        """Those of this model that are kept."""
        return [detectors for detectors in self._kept.values() if detectors.model is model]

    def calibrate(self, detectors: CalibratedDetectors, run: str, job: str) -> Part[None]:
        """Fit on training images what must be fitted, and score held-out images of the run's own data, which were never trained on.

        Where the data cannot be had, `detectors.uncalibrated` says why, and what needs none of them goes on.
        """
        model, limit = detectors.model, detectors.limit
        manifest = model.manifest
        unfitted = detectors.restore_fits()
        kept, missing = detectors.kept_scores(manifest.data_hash, CALIBRATED_ON, limit) if limit else ({}, [])
        groups = detectors.kept_groups() if limit else np.zeros(0, np.int64)
        if unfitted or missing or groups is None:
            try:
                data = yield from self.session.load_run_data(model, job)
            except (BadData, BadRun) as error:
                detectors.go_without(unfitted, str(error))
                detectors.known = {} if groups is None else {name: kept[name] for name in detectors.detectors if name in kept}
                detectors.groups = groups if detectors.known else None
                return
            yield from self._fit(detectors, unfitted, data.splits["train"], run, job)
            valid = data.splits[CALIBRATED_ON]
            places = spread(valid, limit)
            groups = np.arange(len(places)) if valid.groups is None else np.asarray(valid.groups[places], np.int64)
            if limit:
                detectors.keep_groups(groups)
            if missing:
                progress = ProgressReporter(job, run, len(places), "image", "Scoring held-out images")
                looks = detectors.subject.batches(np.asarray(valid.images[places]))
                fresh = yield from detectors.scores(looks, missing, progress)
                detectors.keep(fresh, manifest.data_hash, CALIBRATED_ON, limit)
                kept |= fresh
        detectors.known = {name: kept[name] for name in detectors.detectors if name in kept}
        detectors.groups = None if groups is None or len(np.unique(groups)) == len(groups) else groups

    @staticmethod
    def _fit(detectors: CalibratedDetectors, unfitted: list[Detector], train: Split, run: str, job: str) -> Part[None]:
        """Fit detectors on training images, spread over all of them."""
        if not unfitted:
            return
        places = spread(train, FIT_IMAGES)
        labels = None if train.labels is None else np.asarray(train.labels[places])
        training = TrainingImages(np.asarray(train.images[places]), labels)
        yield ProgressReporter(job, run, len(places), "image", timed=False).say("Looking at training images")
        for detector in unfitted:
            for _ in detector.fit(training):
                yield None
            if detectors.weights:
                detectors.files.keep(f"fit-{detector.name}", detectors.fit_facts(detector), detector.fitted)
