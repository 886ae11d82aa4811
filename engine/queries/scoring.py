"""What the Likelihood pane and the verbs `score` and `ood` ask: how likely is an image, by which score, and how sure is that.

Here: which models, images and kept scores the detectors get, and the messages' jobs and answers. Not here: any score
(`detectors/`), any statistic of scores (`ood_metrics.py`).
"""

from __future__ import annotations

import math
import time
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
from engine.data import BadData, DataSet, Picture, adapt, inspect, lasting, picture_from_array, read_image
from engine.detectors.base import FEATURES_AT_ONCE, Detector, Look, Subject, Training, all_detectors, background_kinds
from engine.detectors.features import Knn, nearest, unit_length
from engine.queries.session import CannotAnswer, Model, QuerySession, identity, shown
from engine.storage.run_reader import BadRun, Run
from engine.storage.score_cache import ScoreFiles
from engine.training.background_models import find_background
from engine.transforms.corruptions import corrupt

DETECTORS_KEPT = 4
FIT_IMAGES = 10_000  # training images whose features are compared with
NEAREST_IMAGES = 60_000  # training images whose pixels are compared with
PICTURES_AT_ONCE = 8
ENSEMBLE = 4  # checkpoints in a WAIC, the newest included
ENSEMBLE_SPAN = 8  # none older than an eighth of the newest one's steps: those have hardly learned

Job = Generator[m.Event | None, None, str | None]
Chosen = tuple[tuple[str, int | None], ...]


class NotEncoded(Exception):
    """Nobody has computed the training images' features yet."""


def install(session: QuerySession) -> Scoring:
    """Teach the explorer to answer the Likelihood pane."""
    scoring = Scoring(session)
    session._works |= {
        m.Calibrate: scoring.calibrate,
        m.ScoreImages: scoring.judge,
        m.ScoreData: scoring.judge_data,
        m.Corrupt: scoring.corrupt,
    }
    session._answers |= {m.InspectImage: scoring.look_closer}
    return scoring


def spread(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` places, evenly spread: files are often sorted by class, and their first ones are no fair choice."""
    take = min(count, most)
    return np.arange(take, dtype=np.int64) * count // max(1, take)


# ---------------------------------------------------------------------------------------------------------------------
# A checkpoint with its companions
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weights:
    """A checkpoint that was found but not loaded yet."""

    run: Run
    step: int
    sha256: str

    @classmethod
    def of(cls, run: Run, step: int) -> Weights:
        return cls(run, step, identity(run, step))


@dataclass(frozen=True)
class Companions:
    """The other models that some detectors ask."""

    backgrounds: dict[str, Weights]  # kind -> the finished ones beside the run
    lacking: dict[str, tuple[str, str]]  # kind -> what is missing of the others, and the remedy
    others: tuple[Weights, ...]
    others_are: str

    def subject(self, model: Model, samples: int) -> Subject:
        facts = {kind: weights.sha256 for kind, weights in self.backgrounds.items()}
        facts["others"] = " ".join(o.sha256 for o in self.others)
        return Subject(
            method=model.method,
            samples=samples,
            backgrounds={kind: Model(weights.run, weights.step).method for kind, weights in self.backgrounds.items()},
            lacking=self.lacking,
            others=tuple(Model(other.run, other.step).method for other in self.others),
            others_are=self.others_are,
            facts=facts,
        )


def companions(model: Model, peers: Sequence[Weights]) -> Companions:
    """The finished background models beside the run; and for the ensemble its peers, or else its own earlier checkpoints."""
    if model.method.density == "none":
        return Companions({}, {}, (), "")
    backgrounds, lacking = {}, {}
    for kind in background_kinds(model.method):
        background, missing, buildable = find_background(model.run.path, kind)
        if background is None:
            lacking[kind] = missing, kind if buildable else ""
        else:
            backgrounds[kind] = Weights.of(background, max(c.step for c in background.checkpoints() if not c.fault))
    others = [peer for peer in peers if peer.run.path != model.run.path]
    words = f"{len(others) + 1} runs of different seeds: {', '.join(peer.run.name for peer in others)} and this one"
    if not others:
        now = Run.open(model.run.path)  # a training removes checkpoints that newer ones replace
        steps = [c.step for c in now.checkpoints() if not c.fault and model.step / ENSEMBLE_SPAN <= c.step < model.step]
        others = [Weights.of(now, step) for step in steps[-(ENSEMBLE - 1) :]]
        words = f"{len(others) + 1} checkpoints of this run: steps {', '.join(f'{w.step:,}' for w in others)} and {model.step:,}"
    return Companions(backgrounds, lacking, tuple(others), words)


class CalibratedDetectors:
    """A checkpoint with its detectors, fitted, and their scores of held-out images: ready to judge."""

    def __init__(self, model: Model, subject: Subject, limit: int) -> None:
        self.model, self.subject, self.limit = model, subject, limit
        self.weights = identity(model.run, model.step)
        self.files = ScoreFiles(model.run.path)
        suited = [kind(subject) for kind in all_detectors().values() if kind.suits(subject)]
        if not suited:
            raise CannotAnswer(
                f"{model.method.title} has no density, no classes and no features, so it cannot judge images; choose another run."
            )
        self.infos = tuple(detector.info() for detector in suited)
        self.detectors = {d.name: d for d, info in zip(suited, self.infos, strict=True) if not info.missing}
        self.known: dict[str, np.ndarray] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.model.spec.shape

    def fit_facts(self, detector: Detector) -> dict[str, Any]:
        """What names a fit."""
        count = {"known": self.limit, "training": FIT_IMAGES}[detector.fits_on]
        return {
            "weights": self.weights,
            "data": _manifest(self.model).data_hash,
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

    def looks(self, images: np.ndarray) -> list[Look]:
        """Small batches. Their size follows from the method alone, so that the same images always have the same numbers."""
        size = min(self.model.method.valid_slice, FEATURES_AT_ONCE)
        if self.subject.can("log_weights"):
            size = min(size, PICTURES_AT_ONCE)
        return [Look(self.model.method, images[start : start + size], self.subject.samples) for start in range(0, len(images), size)]

    def scores(
        self, looks: Sequence[Look], names: Sequence[str], tell: ProgressReporter | None = None
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
            yield None if tell is None else tell(len(look.images))
        return {name: torch.cat(parts).numpy() if parts else np.zeros(0) for name, parts in found.items()}

    def scores_of_data(
        self, images: np.ndarray, data_hash: str, split: str, limit: int, tell: ProgressReporter
    ) -> Generator[m.Event | None, None, dict[str, np.ndarray]]:
        """The same, kept in the run's folder."""
        kept, open_ones = self.kept_scores(data_hash, split, limit, len(images))
        fresh = yield from self.scores(self.looks(images) if open_ones else [], open_ones, tell)
        self.keep(fresh, data_hash, split, limit)
        return {name: (kept | fresh)[name] for name in self.detectors}

    def kept_scores(self, data_hash: str, split: str, limit: int, count: int | None = None) -> tuple[dict[str, np.ndarray], list[str]]:
        """Scores that were kept, and the names of the detectors whose scores were not."""
        kept: dict[str, np.ndarray] = {}
        for name, detector in self.detectors.items():
            arrays = self.files.load(name, self.facts(detector, data_hash, split, limit)) if self.weights else None
            scores = None if arrays is None else arrays.get("scores")
            if scores is not None and scores.dtype == np.float64 and scores.ndim == 1 and len(scores) and count in (None, len(scores)):
                kept[name] = scores
        return kept, [name for name in self.detectors if name not in kept]

    def keep(self, scores: dict[str, np.ndarray], data_hash: str, split: str, limit: int) -> None:
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
        told = []
        for name, score in scores.items():
            known = self.known[name]
            p = float(ood_metrics.p_values(known, np.array([score]))[0])
            told.append(
                m.DetectorScore(run, name, self.detectors[name].value(score), score, p, *ood_metrics.verdict(p), floor=1 / (len(known) + 1))
            )
        return tuple(told)


class ProgressReporter:
    """Counts what is done and makes progress of it."""

    def __init__(self, job: str, run: str, total: int, note: str) -> None:
        self.job, self.run, self.total, self.note, self.done, self.started = job, run, total, note, 0, time.perf_counter()

    def __call__(self, more: int) -> m.Progress:
        self.done += more
        rate = self.done / max(1e-9, time.perf_counter() - self.started)
        return m.Progress(self.job, self.run, self.done, self.total, "image", rate, (self.total - self.done) / rate, self.note)


# ---------------------------------------------------------------------------------------------------------------------
# Jobs and answers
# ---------------------------------------------------------------------------------------------------------------------


class Scoring:
    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._juries: OrderedDict[tuple[Any, ...], CalibratedDetectors] = OrderedDict()

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def calibrate(self, work: m.Calibrate) -> Job:
        for run, step in work.runs:
            detectors = yield from self._jury(run, step, work)
            manifest = _manifest(detectors.model)
            yield m.Calibrated(
                work.job, run, detectors.model.step, detectors.weights, detectors.infos, dict(detectors.known), manifest.data_name
            )
        return "The held-out images are scored."

    def judge(self, work: m.ScoreImages) -> Job:
        juries = []
        for run, step in work.runs:
            juries.append((run, (yield from self._jury(run, step, work))))
        bad = 0
        for start in range(0, len(work.pictures), PICTURES_AT_ONCE):
            pictures = work.pictures[start : start + PICTURES_AT_ONCE]
            read: list[Picture | str] = []
            for picture in pictures:
                read.append(self._read_or_why(picture, juries[0][1].model if juries else None))
                yield None
            for event in (yield from self._judge_some(work.job, pictures, read, juries)):
                bad += bool(event.error)
                yield event
        count = len(work.pictures)
        return f"{count - bad:,} of {count:,} images were judged; {bad:,} could not be read." if bad else f"{_images(count)} judged."

    def _judge_some(
        self, job: str, pictures: Sequence[m.PictureRef], read: Sequence[Picture | str], juries: Sequence[tuple[str, CalibratedDetectors]]
    ) -> Generator[m.Event | None, None, list[m.ImageScored]]:
        good = [i for i, picture in enumerate(read) if isinstance(picture, Picture)]
        seen: dict[int, dict[str, np.ndarray]] = {i: {} for i in good}
        notes: dict[int, list[str]] = {i: [] for i in good}
        scores: dict[int, tuple[m.DetectorScore, ...]] = {i: () for i in good}
        for run, detectors in juries:
            for i in good:
                picture = read[i]
                assert isinstance(picture, Picture)
                seen[i][run], how = adapt(picture, detectors.shape)
                notes[i] += [note for note in (*picture.notes, *how) if note not in notes[i]]
            if good:
                found = yield from detectors.scores(detectors.looks(np.stack([seen[i][run] for i in good])), list(detectors.detectors))
                for row, i in enumerate(good):
                    scores[i] += detectors.verdicts(run, {name: float(values[row]) for name, values in found.items()})
        judged = []
        for i, (asked, picture) in enumerate(zip(pictures, read, strict=True)):
            if isinstance(picture, str):
                judged.append(m.ImageScored(job, asked.label, asked.path, (), {}, None, (), error=picture))
                continue
            size = ood_metrics.png_bytes(next(iter(seen[i].values()))) if seen[i] else 0
            judged.append(m.ImageScored(job, asked.label, asked.path, scores[i], seen[i], shown(picture), tuple(notes[i]), size))
        return judged

    def judge_data(self, work: m.ScoreData) -> Job:
        detectors = yield from self._jury(work.run, work.step, work)
        data = yield from self._data(lasting(work.data) if work.data else _manifest(detectors.model).data, work.job)
        if data.kind != "images":
            raise BadData(f"{data.name} is a text; name a data set of images.")
        split = data.splits["test"]
        indices = spread(len(split), work.limit)
        images = yield from adapted(np.asarray(split.images[indices]), detectors.shape)
        tell = ProgressReporter(work.job, work.run, len(images), f"Scoring {data.name}")
        scores = yield from detectors.scores_of_data(images, data.hash, "test", work.limit, tell)
        yield m.DataScored(work.job, work.run, detectors.model.step, work.data, scores, indices, images)
        return f"{_images(len(images))} of {data.name} judged."

    def corrupt(self, work: m.Corrupt) -> Job:
        detectors = yield from self._jury(work.run, work.step, work)
        image, _ = adapt(self._read(work.picture, detectors.model), detectors.shape)
        strengths = np.linspace(0, 1, max(2, work.count))
        images = np.zeros((0, *image.shape), np.uint8)
        scores: dict[str, np.ndarray] = {name: np.zeros(0) for name in detectors.detectors}
        for i, strength in enumerate(strengths):
            images = np.concatenate([images, corrupt(image, work.kind, float(strength), work.seed)[None]])
            found = yield from detectors.scores(detectors.looks(images[-1:]), list(detectors.detectors))
            scores = {name: np.append(scores[name], values) for name, values in found.items()}
            yield m.Corrupted(work.job, work.run, work.kind, strengths[: i + 1].copy(), dict(scores), images.copy())
        return "The path is complete."

    # -- answers -------------------------------------------------------------------------------------------------------

    def look_closer(self, query: m.InspectImage) -> m.ImageInspected:
        model = self.session.model(query.run, query.step)
        _require_images(model)
        picture = self._read(query.picture, model)
        seen, how = adapt(picture, model.spec.shape)
        notes = [*picture.notes, *how]
        method: Any = model.method
        x = torch.from_numpy(np.array(seen[None])).float() / 255
        bits = None
        if hasattr(method, "log_prob_map"):
            bits = (-method.log_prob_map(x, None, model.generator())[0].double() / math.log(2)).float().numpy()
        reconstruction = difference = None
        if hasattr(method, "posterior") and hasattr(method, "decode"):
            reconstruction = (255 * method.decode(method.posterior(x).mean)[0].clamp(0, 1)).round().to(torch.uint8).numpy()
            difference = np.abs(seen.astype(np.int16) - reconstruction).astype(np.uint8)
        by = "features" if hasattr(method, "encode") else "pixels"
        images, labels, distances, missing = np.zeros((0, *seen.shape), np.uint8), (), np.zeros(0), ""
        try:
            data = self.session.data(_manifest(model).data)
            _require_same(model, data)
            images, labels, distances = self._nearest(model, data, seen, query.nearest)
        except (BadRun, BadData) as error:
            missing = f"No nearest training images: {error}"
        except NotEncoded as error:
            missing = str(error)
        return m.ImageInspected(
            stamp=query.stamp,
            channel=query.channel,
            run=query.run,
            step=model.step,
            seen=seen,
            bits=bits,
            nearest=images,
            nearest_labels=labels,
            nearest_distances=distances,
            nearest_by=by,
            reconstruction=reconstruction,
            difference=difference,
            notes=tuple(notes),
            nearest_missing=missing,
        )

    def _nearest(self, model: Model, data: DataSet, seen: np.ndarray, count: int) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
        """Training images next to this one: by features of length one as the detector `knn` sees them, or by pixels in [0, 1]."""
        split = data.splits["train"]
        if hasattr(model.method, "encode"):
            places = spread(len(split), FIT_IMAGES)
            bank = torch.from_numpy(self._bank(model))
            row = unit_length(Look(model.method, seen[None]).features)
            distances, found = nearest(row, bank, min(count, len(bank)))
        else:
            places = spread(len(split), NEAREST_IMAGES)
            distances, found = _nearest_pixels(seen, split.images, places, count)
        chosen = places[found[0].numpy()]
        classes = None if split.labels is None else split.labels[chosen]
        labels = tuple(split.names[int(i)] for i in chosen) if classes is None else tuple(data.classes[int(c)] for c in classes)
        return np.asarray(split.images[chosen]), labels, distances[0].numpy()

    def _bank(self, model: Model) -> np.ndarray:
        """Features of training images: from a jury that has them, or from the run's folder. An answer has no time to compute them.

        Raises:
            NotEncoded: there are none yet.
        """
        for detectors in self._juries.values():
            if detectors.model is model and "knn" in detectors.detectors and "bank" in detectors.detectors["knn"].fitted:
                return detectors.detectors["knn"].fitted["bank"]
        detectors = CalibratedDetectors(model, Subject(model.method), 0)
        detector = detectors.detectors[Knn.name]
        if detector in detectors.restore_fits():
            raise NotEncoded("The nearest training images follow as soon as the held-out images are scored.")
        return detector.fitted["bank"]

    # -- what they need ------------------------------------------------------------------------------------------------

    def _jury(self, run: str, step: int | None, work: Any) -> Generator[m.Event | None, None, CalibratedDetectors]:
        """The jury of a run: kept, from scores on the disk, or calibrated now."""
        model = self.session.model(run, step)
        _require_images(model)
        friends = companions(model, self._peers(model, getattr(work, "runs", ())))
        hashes = (
            *((kind, weights.sha256) for kind, weights in friends.backgrounds.items()),
            *friends.lacking.values(),
            *(o.sha256 for o in friends.others),
        )
        held_out = getattr(work, "held_out", work.limit)
        key = (str(model.run.path), model.step, identity(model.run, model.step), held_out, work.samples, *hashes)
        if key not in self._juries:
            yield None
            detectors = CalibratedDetectors(model, friends.subject(model, work.samples), held_out)
            yield from self._calibrate(detectors, run, work.job)
            self._juries[key] = detectors
            while len(self._juries) > DETECTORS_KEPT:
                self._juries.popitem(last=False)
        self._juries.move_to_end(key)
        return self._juries[key]

    def _calibrate(self, detectors: CalibratedDetectors, run: str, job: str) -> Generator[m.Event | None, None, None]:
        """Fit what must be fitted and score held-out images of the run's own data, none of which was ever trained on."""
        manifest = _manifest(detectors.model)
        unfitted = detectors.restore_fits()
        kept, missing = detectors.kept_scores(manifest.data_hash, "valid", detectors.limit)
        if unfitted or missing:
            data = yield from self._data(manifest.data, job)
            _require_same(detectors.model, data)
            valid, train = data.splits["valid"], data.splits["train"]
            looks = detectors.looks(np.asarray(valid.images[spread(len(valid), detectors.limit)]))
            places = spread(len(train), FIT_IMAGES)
            needed = any(detector.fits_on == "training" for detector in unfitted)
            labels = None if train.labels is None else np.asarray(train.labels[places])
            training = Training(np.asarray(train.images[places if needed else places[:0]]), labels)
            yield m.Progress(job, run, 0, sum(len(look.images) for look in looks), "image", 0.0, None, "Scoring held-out images")
            for detector in unfitted:
                for _ in detector.fit(looks, training):
                    yield None
                if detectors.weights:
                    detectors.files.keep(f"fit-{detector.name}", detectors.fit_facts(detector), detector.fitted)
            tell = ProgressReporter(job, run, sum(len(look.images) for look in looks), "Scoring held-out images")
            fresh = yield from detectors.scores(looks, missing, tell)
            detectors.keep(fresh, manifest.data_hash, "valid", detectors.limit)
            kept |= fresh
        detectors.known = {name: kept[name] for name in detectors.detectors}

    def _peers(self, model: Model, runs: Chosen) -> list[Weights]:
        """Other runs of the same method and data among those that are looked at together."""
        own, found = _manifest(model), []
        for path, step in runs:
            run = Run.open(Path(path))
            theirs = run.manifest
            steps = [c.step for c in run.checkpoints() if not c.fault and (step is None or c.step == step)]
            if theirs and steps and (theirs.method, theirs.data_hash, theirs.shape) == (own.method, own.data_hash, own.shape):
                found.append(Weights.of(run, steps[-1]))
        return found

    def _data(self, name: str, job: str) -> Generator[m.Event | None, None, DataSet]:
        if not self.session.has_data(name):
            for item in inspect(name, job):
                if isinstance(item, DataSet):
                    self.session.keep_data(item)
                else:
                    yield item
        return self.session.data(name)

    def _read(self, picture: m.PictureRef, model: Model | None) -> Picture:
        """Raises: BadData: one sentence."""
        if picture.path is not None:
            return read_image(picture.path)
        if picture.image is not None:
            return picture_from_array(picture.image)
        if picture.data is None and model is None:
            raise BadData("No image was named; give a file, pixels or a place in a data set.")
        data = self.session.data(lasting(picture.data) if picture.data else _manifest(model).data)
        if data.kind != "images":
            raise BadData(f"{data.name} is a text; name a data set of images.")
        images = data.splits["test"].images
        return picture_from_array(np.asarray(images[(picture.index or 0) % len(images)]).transpose(1, 2, 0))

    def _read_or_why(self, picture: m.PictureRef, model: Model | None) -> Picture | str:
        try:
            return self._read(picture, model)
        except BadData as error:
            return str(error)


def adapted(images: np.ndarray, shape: tuple[int, ...]) -> Generator[None, None, np.ndarray]:
    """Images of a data set [N, C, H, W] as a network of `shape` sees them, each exactly as if it had been dropped."""
    if images.shape[1:] == shape:
        return np.ascontiguousarray(images)
    out = np.empty((len(images), *shape), np.uint8)
    for i, image in enumerate(images):
        out[i], _ = adapt(picture_from_array(np.ascontiguousarray(image.transpose(1, 2, 0))), shape)
        if i % 64 == 63:
            yield
    return out


def _nearest_pixels(seen: np.ndarray, images: np.ndarray, places: np.ndarray, count: int, chunk: int = 2048) -> tuple[Tensor, Tensor]:
    """Euclidean distances in [0, 1] and places among `places`: [1, k] each. Integers throughout, so exact."""
    own = torch.from_numpy(np.array(seen.reshape(1, -1))).int()
    squared = []
    for start in range(0, len(places), chunk):
        part = torch.from_numpy(np.asarray(images[places[start : start + chunk]]).reshape(-1, own.shape[1]))
        squared.append((part.int() - own).square().sum(1))
    best = torch.cat(squared).topk(min(count, len(places)), largest=False)
    return best.values[None].double().sqrt() / 255, best.indices[None]


def _manifest(model: Model | None) -> Any:
    assert model is not None and model.run.manifest is not None
    return model.run.manifest


def _require_images(model: Model) -> None:
    if model.spec.kind != "images":
        raise CannotAnswer(
            f"{model.run.path.name} is a model of text; these scores are of images, so choose a run that was trained on images."
        )


def _require_same(model: Model, data: DataSet) -> None:
    manifest = _manifest(model)
    if data.hash != manifest.data_hash:
        raise BadRun(f"{manifest.data} is not what {model.run.path.name} was trained on (its content changed); put the old files back.")


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
