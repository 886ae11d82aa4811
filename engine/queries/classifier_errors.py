"""What the Errors pane and the verb `errors` ask: where a classifier is wrong, and which images those are.

Here: which images are asked about, by what, and what is kept, for a while here and for good in the run's folder. Not here: any formula
(`evaluation/classifier_errors.py`).
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common.counting import number_of, was_or_were
from engine.data import DataSet
from engine.data.recipe import parted_name
from engine.data.splits import draw, spread
from engine.detectors.base import FEATURES_AT_ONCE, aside
from engine.evaluation.bayes import bayes, given_in_steps
from engine.evaluation.classifier_errors import KINDS, Answered, Bins, answered, chosen, joined, report
from engine.evaluation.linear_probe import NEIGHBOURS, TEMPERATURE, C, Linear, Neighbours, features_of, fit
from engine.protocols import Classifier, Density, Encoder, ProbabilityFlow, provides
from engine.queries.answers import Job, Part, answers
from engine.queries.arrays import image_tensor
from engine.queries.bayes import FLOW_IMAGES
from engine.queries.feature_cache import BoundedCache
from engine.queries.pictures import adapted, require_images
from engine.queries.probing import MOST_FEATURES
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.score_cache import ScoreFiles

CLASSIFIER, BAYES, PROBE, KNN = "classifier", "bayes", "probe", "knn"
OF_FEATURES = (PROBE, KNN)
FITTED_ON = 5000  # training images that a linear probe is fitted on, or that are the neighbours
KEPT = 64  # sets of answers
PAGE_LIMIT = 240  # images of one page
TELL_SECONDS = 0.1
FILE, VERSION = "errors", 2  # of kept answers in a run's folder; the number changes when they come to mean something else
SEEN = "The run was trained on these images, so the figures are too good for new ones."
SPLITS = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class KeptAnswers:
    """What was said of the images `rows` [N] of a split."""

    rows: np.ndarray
    told: Answered
    event: m.ErrorsFound


class ClassifierErrors:
    """Finds the errors of classifiers, and keeps the answers that were found last."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._kept: BoundedCache[KeptAnswers] = BoundedCache(KEPT, lambda one: [one.rows, *vars(one.told).values()])

    @answers(m.FindErrors)
    def find(self, work: m.FindErrors) -> Job:
        """Answers about images of a split, and all that follows from them.

        Raises:
            CannotAnswer: it tells no classes apart, or has no such images. BadRun, BadData.
        """
        model = self.session.model(work.of.run, work.of.step)
        of = replace(work.of, step=model.step, through=ways(model, work.of.through)[0])
        data = yield from self.session.load_run_data(model, work.job)
        key = self._key(model, data, of)
        if key not in self._kept:
            self._kept.keep(key, (yield from _asked(work.job, model, data, of, _facts(model, data, of))))
        self._kept.move_to_end(key)
        event = self._kept[key].event
        yield replace(event, job=work.job, of=of, data=data.data)  # the same weights and content may be those of another run or place
        return f"{number_of(event.images, SPLITS[of.split] + ' image')} {was_or_were(event.images)} asked about."

    @answers(m.BrowseErrors)
    def browse(self, query: m.BrowseErrors) -> m.ErrorImages:
        """Some of the answers with their images uint8 [n, C, H, W], as they lie in the data set.

        Raises:
            CannotAnswer: they are not kept any more, or no such kind. BadRun, BadData.
        """
        if query.kind not in KINDS:
            raise CannotAnswer(f"There are no answers “{query.kind}”; choose one of {', '.join(KINDS)}.")
        model = self.session.model(query.of.run, query.of.step)
        data = self.session.run_data(model)
        of = replace(query.of, step=model.step, through=ways(model, query.of.through)[0])
        kept = self._kept.get(self._key(model, data, of))
        if kept is None:
            raise CannotAnswer("The answers to these images are not kept any more; find the errors again.")
        places = chosen(kept.told, query.kind, query.true, query.predicted)
        page = places[query.offset :][: min(query.count, PAGE_LIMIT) if query.pixels else query.count]
        split, rows, told = data.splits[of.split], kept.rows[page], kept.told
        return m.ErrorImages(
            stamp=query.stamp,
            channel=query.channel,
            of=query.of,
            kind=query.kind,
            true=query.true,
            predicted=query.predicted,
            offset=query.offset,
            total=len(places),
            images=np.asarray(split.images[rows if query.pixels else rows[:0]]),
            indices=rows,
            labels=told.labels[page],
            answers=told.predicted[page],
            second=told.second[page],
            confidence=told.confidence[page],
            p_second=told.p_second[page],
            p_true=told.p_true[page],
            names=tuple(split.names[int(row)] for row in rows),
        )

    def _key(self, model: Model, data: DataSet, of: m.AnswersOf) -> tuple[Any, ...]:
        """What decides the answers. Where the manifest does not know the weights' content, the folder and the step stand for it."""
        where = () if model.weights else (str(model.run.path), model.step)
        return (*where, json.dumps(_facts(model, data, of), sort_keys=True, default=str))


def _facts(model: Model, data: DataSet, of: m.AnswersOf) -> dict[str, Any]:
    """The same for a file that keeps them. A recipe decides more than the pixels and labels that are hashed: which images are one group."""
    manifest = model.manifest
    return {
        "version": VERSION,
        "weights": model.weights,
        "method": manifest.method,
        "config": manifest.config,
        "density version": model.method.density_version,
        "data": data.hash,
        "recipe": parted_name(data.data)[1].changed(),  # the state of the decisions about single images too
        "split": of.split,
        "limit": of.limit,
        "through": of.through,
        "fitted on": FITTED_ON,
        "neighbours": NEIGHBOURS,
        "temperature": TEMPERATURE,
        "c": C,
        "flow images": FLOW_IMAGES,
    }


def ways(model: Model, wanted: str = "") -> list[str]:
    """By what a checkpoint tells classes apart, the best first; or the one that is wanted.

    Raises:
        CannotAnswer: by nothing, or not by that.
    """
    require_images(model, ", and errors are shown for images; choose a run that was trained on images.")
    method, name = model.method, model.run.path.name
    if len(model.spec.classes) < 2:
        raise CannotAnswer(
            f"{name} was trained on images without classes, so no answer is right or wrong; choose a run of data with classes."
        )
    conditional = method.density != "none" and method.conditional and provides(method, Density)
    able = {CLASSIFIER: provides(method, Classifier), BAYES: conditional, PROBE: provides(method, Encoder), KNN: provides(method, Encoder)}
    found = [way for way, can in able.items() if can]
    if not found:
        raise CannotAnswer(f"{method.title} tells no classes apart; choose a classifier, a density p(x|y) or a run with an encoder.")
    if wanted and wanted not in able:
        raise CannotAnswer(f"Nothing answers through “{wanted}”; choose one of {', '.join(able)}.")
    if wanted and not able[wanted]:
        raise CannotAnswer(f"{method.title} cannot answer through “{wanted}”; choose one of {', '.join(found)}.")
    return [wanted] if wanted else found


def _asked(job: str, model: Model, data: DataSet, of: m.AnswersOf, facts: dict[str, Any]) -> Part[KeptAnswers]:
    """What is answered to every image, and all that follows from it; the answers as they were kept in the run's folder, where they were."""
    split, classes = data.splits[of.split], model.spec.classes
    if not len(split) or split.labels is None:
        raise CannotAnswer(f"{data.name} has no {SPLITS[of.split]} images with a class; choose another split.")
    limit = of.limit
    if of.through == BAYES and provides(model.method, ProbabilityFlow):
        limit = min(limit or FLOW_IMAGES, FLOW_IMAGES)
    rows, words = spread(split, limit), ""
    if of.through in OF_FEATURES and of.split == "train":
        others = np.setdiff1d(np.arange(len(split)), _fitted_on(data))
        itself = "; none has a vote about itself" if of.through == KNN else ""
        words = " Those are left out here." if len(others) else f" Those are these very images{itself}."
        if len(others):
            rows = others[draw(len(others), min(limit or len(others), len(others)), split.labels[others])]
    labels = np.asarray(split.labels[rows], np.int64)
    known = labels >= 0
    rows, labels, total = rows[known], labels[known], int((np.asarray(split.labels) >= 0).sum())
    if not len(rows):
        raise CannotAnswer(f"No {SPLITS[of.split]} image of {data.name} has a class; choose another split.")
    files = ScoreFiles(model.run.path)
    kept = _kept_answers(files.load(FILE, facts), labels, len(classes)) if model.weights else None
    if kept is None:
        kept = yield from _told(job, model, data, of, rows, labels)
        if model.weights:
            files.keep(FILE, facts, vars(kept[0]) | {"note": np.frombuffer(kept[1].encode(), np.uint8)})
    told, note = kept
    note += words
    if of.through == BAYES:
        note = "By Bayes’ rule on p(x|y), all classes equally likely beforehand."
        if limit != of.limit:
            note += f" Its density takes many passes for each image, so {len(rows)} were asked about."
    if of.split == "train":
        note = f"{SEEN} {note}".strip()
    progress = ProgressReporter(job, of.run, len(rows), "image", timed=False)
    progress.done = len(rows)  # all have their answers
    yield progress.say("Finding how sure the figures are")
    found = yield from aside(partial(report, told, len(classes), None if split.groups is None else np.asarray(split.groups[rows])))
    event = m.ErrorsFound(
        job, of, data.data, data.name, classes, len(rows), total, found.matrix, found.recall, found.precision, found.accuracy,
        found.figures, _table(found.equal_width), _table(found.equal_mass), tuple(pair[:3] for pair in found.pairs), note,
    )  # fmt: skip
    return KeptAnswers(rows, told, event)


def _kept_answers(arrays: dict[str, np.ndarray] | None, labels: np.ndarray, classes: int) -> tuple[Answered, str] | None:
    """(the answers, the note) in a file; None where there is none, or one that does not fit images of these classes int64 [N]."""
    if arrays is None or set(arrays) != {*Answered.__dataclass_fields__, "note"}:
        return None
    note = arrays.pop("note").tobytes().decode("utf-8", "replace")
    told = Answered(**arrays)
    for name, values in arrays.items():
        kind = np.int64 if name in ("labels", "predicted", "second") else np.float64
        if values.dtype != kind or values.shape != labels.shape:
            return None
    known = all(0 <= answers.min() <= answers.max() < classes for answers in (told.predicted, told.second))
    fits = known and np.array_equal(told.labels, labels) and np.isfinite(told.confidence).all()
    return (told, note) if fits and (note.isprintable() or not note) else None


def _told(job: str, model: Model, data: DataSet, of: m.AnswersOf, rows: np.ndarray, labels: np.ndarray) -> Part[tuple[Answered, str]]:
    """(what is answered, by what in words): ask about the images `rows` [N] of a split, one small batch after the other."""
    split, shape = data.splits[of.split], model.spec.shape
    probe, note = (None, "") if of.through in (CLASSIFIER, BAYES) else (yield from _probe(job, model, data, of))
    progress = ProgressReporter(job, of.run, len(rows), "image", f"Asking about {SPLITS[of.split]} images", every=TELL_SECONDS)
    own = torch.from_numpy(rows) if of.through == KNN and _of_the_bank(data, of) else None
    size, parts = min(model.method.valid_slice, FEATURES_AT_ONCE), []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        images = yield from adapted(np.asarray(split.images[some]), shape)
        log_p = yield from _log_p(model, images, of.through, probe, None if own is None else own[start : start + size])
        if not bool(torch.isfinite(log_p.exp()).all()):
            raise CannotAnswer(
                f"{model.run.path.name} at step {model.step:,} gives answers that are not finite numbers; choose an earlier step."
            )
        parts.append(answered(log_p.numpy(), labels[start : start + size]))
        yield progress.add(len(some))
    return joined(parts), note


def _table(bins: Bins) -> np.ndarray:
    """float64 [B, 7]."""
    return np.stack([np.asarray(column, np.float64) for column in bins], 1)


def _log_p(
    model: Model, images: np.ndarray, through: str, probe: Linear | Neighbours | None, own: Tensor | None
) -> Generator[None, None, Tensor]:
    """log p(y|x) float64 [n, K] of uint8 images [n, C, H, W]; `own` are the rows [n] of the neighbours that are these images."""
    method = model.method
    if probe is not None:
        features = yield from aside(lambda: _encoded(method, images))
        return probe.log_p(features, own) if isinstance(probe, Neighbours) else probe.logits(features).log_softmax(1)
    x = image_tensor(images)
    if through == BAYES:
        return bayes((yield from given_in_steps(method, x, len(model.spec.classes))).log_p).log_posterior
    assert provides(method, Classifier)
    return (yield from aside(partial(_classified, method, x)))


@torch.no_grad()
def _classified(method: Classifier, x: Tensor) -> Tensor:
    return method.classify(x).double().log_softmax(1)


def _encoded(method: Any, images: np.ndarray) -> Tensor:
    steps = features_of(method, images)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[""]


def _fitted_on(data: DataSet) -> np.ndarray:
    """The places int64 [n] of the training images that a linear probe is fitted on."""
    train = data.splits["train"]
    if train.labels is None:
        raise CannotAnswer(f"{data.name} has no training images with a class that a probe could be fitted on.")
    return spread(train, FITTED_ON)


def _of_the_bank(data: DataSet, of: m.AnswersOf) -> bool:
    """Whether the images that are asked about are among those that answer: all training images then are, row by row."""
    return of.split == "train" and len(_fitted_on(data)) == len(data.splits["train"])


def _probe(job: str, model: Model, data: DataSet, of: m.AnswersOf) -> Part[tuple[Linear | Neighbours, str]]:
    """What answers from the frozen features as in the Probe pane, a linear probe or neighbours, and what it rests on, in words."""
    train, rows = data.splits["train"], _fitted_on(data)
    assert train.labels is not None
    progress = ProgressReporter(job, of.run, len(rows), "image", "Encoding the training images of the probe", every=TELL_SECONDS)
    features = []
    for some in np.split(rows, range(FEATURES_AT_ONCE, len(rows), FEATURES_AT_ONCE)):
        images = yield from adapted(np.asarray(train.images[some]), model.spec.shape)
        features.append((yield from aside(partial(_encoded, model.method, images))))
        yield progress.add(len(some))
    known = torch.cat(features)
    if not bool(torch.isfinite(known).all()):
        raise CannotAnswer(f"{model.run.path.name} at step {model.step:,} gives features that are not finite numbers; choose another step.")
    if of.through == PROBE and known.shape[1] > MOST_FEATURES:
        raise CannotAnswer(f"{known.shape[1]:,} features are more than the {MOST_FEATURES:,} that a linear probe is fitted to.")
    labels = torch.from_numpy(np.asarray(train.labels[rows])).long()
    if of.through == KNN:
        bank = torch.nn.functional.normalize(known.float(), dim=1)
        near = number_of(min(NEIGHBOURS, len(bank) - _of_the_bank(data, of)), "nearest", "nearest")
        words = f"By a vote of the {near} of {number_of(len(rows), 'training image')}; one vote more is spread over all classes."
        return Neighbours(bank, labels, len(model.spec.classes)), words
    yield progress.say("Fitting the linear probe")
    iterations = fit(known, labels, len(model.spec.classes))
    last = None
    while (step := (yield from aside(lambda: next(iterations, None)))) is not None:
        last = step
    assert last is not None
    return last.linear, f"By a linear probe of the frozen features, fitted on {number_of(len(rows), 'training image')}."


# ---------------------------------------------------------------------------------------------------------------------


def errors_of(
    path: Path, step: int | str | None = None, split: str = "valid", limit: int | None = None, through: str = "", job: str = ""
) -> Generator[m.Progress, None, tuple[m.ErrorsFound, m.ErrorImages, str]]:
    """What the verb `errors` tells, by the same way as the window: the figures, every wrong answer without its pixels, and the rule by
    which the step was taken.

    Raises:
        BadRun, BadData, CannotAnswer: one sentence each.
    """
    session = QuerySession()
    model = session.model(str(path), step)
    found = None
    for event in session.work(m.FindErrors(job=job, of=m.AnswersOf(str(path), model.step, split, limit, through))):
        if isinstance(event, m.ErrorsFound):
            found = event
        elif isinstance(event, m.Progress):
            yield event
    assert found is not None
    page = session.answer(m.BrowseErrors(of=found.of, count=found.images, pixels=False))
    assert isinstance(page, m.ErrorImages)
    return found, page, model.step_rule
