"""What the Probe pane and the verb `probe` ask: what the features of a checkpoint are worth beside a random encoder and raw pixels.

Here: which images and features are compared, and the job. Not here: any formula (`evaluation/linear_probe.py`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common.counting import number_of
from engine.common.intervals import standard_error
from engine.common.pixels import to_float
from engine.data import BadData, DataSet, lasting
from engine.data.splits import spread
from engine.detectors.base import aside
from engine.evaluation.linear_probe import NEIGHBOURS, TEMPERATURE, C, Fitted, features_of, fit, knn, untrained
from engine.protocols import BlockEncoder, Encoder, provides
from engine.queries.answers import Job, Part, Result, answers
from engine.queries.pictures import adapted, require_images
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.training.batches import first_look

MOST_FEATURES = 2048  # of a linear probe: the time of a fit grows with their square
FITTING_SECONDS = 0.1  # between two events of a fit
KEPT = 512  # figures that need not be measured again
FULL = 1.0  # the share that stands for all of `limit`

Rows = dict[float, np.ndarray]  # share -> rows of the training images


class ProbeImages(NamedTuple):
    """What everything is measured on."""

    train: np.ndarray  # uint8 [N, C, H, W], as the network sees them
    train_labels: Tensor  # int64 [N]
    rows: Rows
    test: np.ndarray  # uint8 [M, C, H, W]
    test_labels: Tensor  # int64 [M]
    test_groups: np.ndarray | None  # int64 [M]
    classes: int


class ProbeJob:
    """One job: whom it tells, and what it knows so far."""

    def __init__(self, work: m.Probe, model: Model, data: DataSet) -> None:
        self.work, self.model, self.data = work, model, data
        self.own = data.hash == model.manifest.data_hash  # the images are those that the run was trained on
        self.blocks = _block_names(model) if work.blocks else ()  # of the encoder that are asked for, by name
        self.progress = ProgressReporter(work.job, work.run, None, "figure", timed=False)


class FeatureProbes:
    """Measures what features are worth, and keeps the figures that were measured last."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._known: OrderedDict[tuple[Any, ...], m.ProbeMeasured] = OrderedDict()

    @answers(m.Probe)
    def probe(self, work: m.Probe) -> Job:
        """Accuracy of a linear probe and of a vote of neighbours, on features of the checkpoint, of a random encoder and on pixels.

        Raises:
            CannotAnswer: no encoder of images, or data without classes. BadRun, BadData.
        """
        model = self.session.model(work.run, work.step)
        model.require(Encoder, "encode")
        require_images(model, "; features of images are probed, so choose a run of images.")
        job = ProbeJob(work, model, (yield from self._data(model, work)))
        images = yield from _images(job)
        kinds = [of for of, wanted in (("checkpoint", True), ("random", work.random), ("pixels", work.pixels)) if wanted]
        job.progress.total = sum(len(self._subjects(job, of, images)) for of in kinds)
        for of in kinds:
            for event in self._kept(job, of, images) or self._measure(job, of, images):
                job.progress.done += isinstance(event, m.ProbeMeasured)
                yield event
        note = f"Measured on {number_of(len(images.test), f'{work.split} image')} of {job.data.name}."
        return note + left_out(work.shares, images.rows, len(images.rows[FULL]))

    # -- what was measured before ----------------------------------------------------------------------------------------

    def _key(self, job: ProbeJob, of: str) -> tuple[Any, ...]:
        """What decides a figure: of the random encoder and of pixels the step is no part of it."""
        work, manifest = job.work, job.model.manifest
        images = (job.data.hash, job.model.spec.shape, work.limit, work.split, work.whole_split)
        if of == "pixels":
            return (of, *images)
        if of == "random":
            return (of, *images, manifest.method, manifest.seed, manifest.data_hash, repr(sorted(manifest.config.items())))
        weights = job.model.weights or object()
        return (of, *images, weights, manifest.method, repr(sorted(manifest.config.items())))  # settings may say how weights are used

    def _subjects(self, job: ProbeJob, of: str, images: ProbeImages) -> list[m.ProbeSubject]:
        blocks = job.blocks if of != "pixels" else ()
        whole = [m.ProbeSubject(of), *(m.ProbeSubject(of, share=share) for share in images.rows if share != FULL)]
        return whole + [m.ProbeSubject(of, name) for name in blocks]

    def _kept(self, job: ProbeJob, of: str, images: ProbeImages) -> list[m.ProbeMeasured]:
        """All figures of one kind, or none where one is missing."""
        key = self._key(job, of)
        found = [self._known.get((*key, subject)) for subject in self._subjects(job, of, images)]
        here = {"job": job.work.job, "run": job.work.run, "step": job.model.step, "data": job.work.data}
        return [replace(event, **here) for event in found if event] if all(found) else []

    def _keep(self, key: tuple[Any, ...], event: m.ProbeMeasured) -> None:
        self._known[(*key, event.subject)] = event
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    # -- measuring -------------------------------------------------------------------------------------------------------

    def _measure(self, job: ProbeJob, of: str, images: ProbeImages) -> Part[None]:
        features = yield from _features(job, of, images)
        for subject in self._subjects(job, of, images):
            known, asked = features[subject.block]
            rows = torch.from_numpy(images.rows[subject.share])
            event = yield from _worth(job, subject, known[rows], images.train_labels[rows], asked, images)
            self._keep(self._key(job, of), event)
            yield event

    # -- what is needed --------------------------------------------------------------------------------------------------

    def _data(self, model: Model, work: m.Probe) -> Part[DataSet]:
        """Raises: BadData, BadRun, CannotAnswer."""
        name = lasting(work.data) if work.data else self.session.own_data(model)
        own = name in (model.manifest.data, self.session.own_data(model))
        data = yield from self.session.load_run_data(model, work.job) if own else self.session.load_data(name, work.job)
        if data.kind != "images":
            raise BadData(f"{data.name} is a text; name a data set of images.")
        if len(data.classes) < 2 or data.splits["train"].labels is None or data.splits[work.split].labels is None:
            raise CannotAnswer(f"{data.name} has no classes that a probe could tell apart; choose a data set with classes.")
        return data


def _images(job: ProbeJob) -> Part[ProbeImages]:
    """The training images of every share, the same ones that a training with `label_share` takes, and those that are asked about."""
    work, data, shape = job.work, job.data, job.model.spec.shape
    train, test = data.splits["train"], data.splits[work.split]
    assert train.labels is not None and test.labels is not None
    count = len(train.images)
    places = {FULL: spread(train, work.limit)}
    for share in sorted(work.shares):
        take = max(1, len(data.classes), round(share * count))
        if share < FULL and take < len(places[FULL]):
            places[share] = spread(train, take)
    needed = np.unique(np.concatenate(list(places.values())))
    asked = spread(test, None if work.whole_split else work.limit)
    yield job.progress.say("Reading the images")
    return ProbeImages(
        (yield from adapted(np.asarray(train.images[needed]), shape)),
        torch.from_numpy(np.asarray(train.labels[needed])).long(),
        {share: np.searchsorted(needed, rows) for share, rows in places.items()},
        (yield from adapted(np.asarray(test.images[asked]), shape)),
        torch.from_numpy(np.asarray(test.labels[asked])).long(),
        None if test.groups is None else test.groups[asked],
        len(data.classes),
    )


def _features(job: ProbeJob, of: str, images: ProbeImages) -> Part[dict[str, tuple[Tensor, Tensor]]]:
    """Block -> features of the training images and of those asked about."""
    if of == "pixels":
        return {"": (_pixels(images.train), _pixels(images.test))}
    words = {"checkpoint": f"Encoding at step {job.model.step:,}", "random": "Encoding with the random encoder"}[of]
    method = job.model.method
    if of == "random":
        yield job.progress.say(words)
        look = first_look(job.data, method.config.label_share if job.own else 1.0)
        look = yield from adapted(look, job.model.spec.shape)
        method = untrained(type(method), method.config, method.data, job.model.manifest.seed, look)
    sides = []
    for some in (images.train, images.test):
        tell = partial(_encoding, job, words, len(some))
        sides.append((yield from _beside(features_of(method, some, job.work.blocks), tell)))
    known, asked = sides
    for name in known:
        if not all(bool(torch.isfinite(side[name]).all()) for side in sides):
            raise CannotAnswer(f"The features{f' after {name}' if name else ''} are not all finite numbers; choose another step.")
    return {name: (known[name], asked[name]) for name in known}


def _pixels(images: np.ndarray) -> Tensor:
    """uint8 [N, C, H, W] -> float32 in [0, 1], [N, C·H·W]."""
    return to_float(torch.from_numpy(images).flatten(1))


def _worth(
    job: ProbeJob, subject: m.ProbeSubject, known: Tensor, labels: Tensor, asked: Tensor, images: ProbeImages
) -> Part[m.ProbeMeasured]:
    """Both figures of some features: `known` of the training images with labels, `asked` of the others."""
    words = in_words(subject)
    yield job.progress.say(f"Nearest neighbours of {words}")
    votes = yield from _beside(knn(known, labels, asked, images.classes))
    right = (votes == images.test_labels).double().numpy()
    linear, linear_se, last, note = None, None, None, ""
    if known.shape[1] <= MOST_FEATURES or len(known) <= MOST_FEATURES:
        last, found = yield from _fitted(job, subject, known, labels, asked, images)
        linear, linear_se = float(found.mean()), standard_error(found, images.test_groups)
    else:
        note = f"No linear probe: {known.shape[1]:,} features are more than the {MOST_FEATURES:,} that it is fitted to."
    work = job.work
    return m.ProbeMeasured(
        work.job, work.run, job.model.step, work.data, job.data.name, work.limit, work.split, subject, float(right.mean()), linear,
        known.shape[1], len(known), len(asked), images.classes, last.iteration if last else 0, last.gradient if last else 0.0,
        last.converged if last else True, note, len(job.data.splits["train"].images),
        standard_error(right, images.test_groups), linear_se,
    )  # fmt: skip


def _fitted(
    job: ProbeJob, subject: m.ProbeSubject, known: Tensor, labels: Tensor, asked: Tensor, images: ProbeImages
) -> Part[tuple[Fitted, np.ndarray]]:
    """The end of the fit, and where it is right: 0 or 1 for each image asked about, float64 [M]."""
    yield job.progress.say(f"Fitting the linear probe of {in_words(subject)}")
    iterations = fit(known, labels, images.classes)
    losses: list[float] = []
    found: list[float] = []
    last: Fitted | None = None
    right = np.zeros(0)
    sent_at = time.perf_counter()

    def go_on() -> tuple[Fitted, np.ndarray] | None:
        one = next(iterations, None)
        return None if one is None else (one, one.linear.right(asked, images.test_labels))

    def event() -> m.ProbeFitting:
        return m.ProbeFitting(job.work.job, job.work.run, job.model.step, subject, np.array(losses), np.array(found))

    while (step := (yield from aside(go_on))) is not None:
        last, right = step
        losses.append(last.loss)
        found.append(float(right.mean()))
        if time.perf_counter() - sent_at > FITTING_SECONDS:
            sent_at = time.perf_counter()
            yield event()
    assert last is not None
    yield event()
    return last, right


def _encoding(job: ProbeJob, words: str, total: int, done: int) -> m.Progress:
    return job.progress.say(f"{words}: {done:,} of {number_of(total, 'image')}")


def _beside(
    steps: Generator[int, None, Result], tell: Callable[[int], m.Progress] | None = None
) -> Generator[m.Progress | None, None, Result]:
    """A long computation in pieces, each by another thread, with yields meanwhile; `tell` makes progress of how much is done."""

    def go_on() -> tuple[int | None, Any]:
        try:
            return next(steps), None
        except StopIteration as end:
            return None, end.value

    while True:
        done, found = yield from aside(go_on)
        if done is None:
            return found
        yield None if tell is None else tell(done)


def in_words(subject: m.ProbeSubject) -> str:
    """In words: “the checkpoint’s block 2”, “the random encoder with 1 % of the labels”."""
    words = {"checkpoint": "this checkpoint", "random": "the random encoder", "pixels": "the raw pixels"}[subject.of]
    block = f", {subject.block}" if subject.block else ""
    return words + block + (f", with {100 * subject.share:g} % of the labels" if subject.share != FULL else "")


def _block_names(model: Model) -> tuple[str, ...]:
    """Names of the encoder's blocks; none where the method has none."""
    method = model.method
    return tuple(method.blocks(torch.zeros(1, *model.spec.shape))) if provides(method, BlockEncoder) else ()


def left_out(shares: tuple[float, ...], measured: Collection[float], fitted: int) -> str:
    """Which shares of the labels were not measured and why, as a sentence; empty where all were."""
    missing = [share for share in shares if share not in measured and share < FULL]
    if not missing:
        return ""
    words = " and ".join(f"{100 * share:g} %" for share in missing)
    return f" Not with {words} of the labels: those are no fewer than the {fitted:,} images that all else is fitted to."


# ---------------------------------------------------------------------------------------------------------------------


def report(
    path: Path,
    data: str = "",
    step: int | str | None = None,
    limit: int = 10_000,
    split: str = "valid",
    blocks: bool = False,
    shares: tuple[float, ...] = (),
    whole_split: bool = False,
    job: str = "",
) -> Generator[m.Progress, None, dict[str, Any]]:
    """What the verb `probe` answers: shares of right answers with their standard errors, all on the same images.

    `forward_passes`: of an image through an encoder in one training step, so that runs compare at equal work: they have cost so many
    times steps times batch size.

    Raises:
        BadRun, BadData, CannotAnswer: each one sentence.
    """
    session = QuerySession()
    model = session.model(str(path), step)
    work = m.Probe(
        job=job, run=str(path), step=model.step, data=data, limit=limit, split=split, whole_split=whole_split, blocks=blocks, shares=shares
    )
    found: dict[m.ProbeSubject, m.ProbeMeasured] = {}
    for event in session.work(work):
        if isinstance(event, m.ProbeMeasured):
            found[event.subject] = event
        elif isinstance(event, m.Progress):
            yield event
    own, random, pixels = (found[m.ProbeSubject(of)] for of in ("checkpoint", "random", "pixels"))
    values: dict[str, Any] = {
        **_figures(own),
        **_figures(random, "random_init_"),
        **_figures(pixels, "pixels_"),
        "step": own.step,
        "step_rule": model.step_rule,
        "data": own.data_name,
        "split": own.split,
        "features": own.features,
        "forward_passes": model.method.forward_passes,
        "n_train": own.n_train,
        "n_test": own.n_test,
        "k": min(NEIGHBOURS, own.n_train),
        "temperature": TEMPERATURE,
        "C": C,
        "iterations": own.iterations,
        "gradient": own.gradient,
    }
    if blocks:
        values["blocks"] = {s.block: _figures(e) for s, e in found.items() if s.of == "checkpoint" and s.block}
        values["random_init_blocks"] = {s.block: _figures(e) for s, e in found.items() if s.of == "random" and s.block}
    if shares:
        values["labels"] = {
            f"{share:g}": {
                measure: value
                for of, name in (("checkpoint", ""), ("random", "random_init_"), ("pixels", "pixels_"))
                for measure, value in _figures(found[m.ProbeSubject(of, share=share)], name).items()
            }
            | {"n_train": found[m.ProbeSubject("checkpoint", share=share)].n_train}
            for share in shares
            if m.ProbeSubject("checkpoint", share=share) in found
        }
        if note := left_out(shares, {subject.share for subject in found}, own.n_train):
            values["note"] = note.strip()
    return values


def _figures(event: m.ProbeMeasured, prefix: str = "") -> dict[str, float]:
    """Accuracies of one subject with their standard errors."""
    figures = {"knn": event.knn, "knn_se": event.knn_se, "linear": event.linear, "linear_se": event.linear_se}
    return {f"{prefix}{name}": value for name, value in figures.items() if value is not None}
