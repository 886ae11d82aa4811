"""What the Bayes pane asks: log p(x|y) of a picture for every class beside the answer of a classifier, and both of validation images."""

from __future__ import annotations

import numpy as np
import torch

from engine import messages as m
from engine.data import BadData, Picture, adapt
from engine.data.splits import spread
from engine.evaluation.bayes import given_each_class, given_in_steps
from engine.protocols import Classifier, Density, ProbabilityFlow, provides
from engine.queries.answers import Job, answers
from engine.queries.arrays import array, image_tensor
from engine.queries.pictures import adapted, read_picture, require_images
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession, answer_head
from engine.storage.run_folders import BadRun

AT_ONCE = 16  # images
FLOW_IMAGES = 40  # of a probability flow, which needs many passes for each: just enough for a p-value of 0.05


@answers(m.AskBayes)
def ask_bayes(session: QuerySession, query: m.AskBayes) -> m.BayesAnswered:
    """log p(x|y) in nats [K] of one picture; p(y|x) [K] of a classifier's run where one is named.

    Raises:
        CannotAnswer: no density of x given a class. BadRun, BadData.
    """
    model = _conditional_density(session, query.run, query.step)
    method = model.method
    picture = read_picture(session, query.picture, model)
    seen, how = adapt(picture, model.spec.shape)
    given = given_each_class(method, image_tensor(seen[None]), len(model.spec.classes))
    shares, true = _told_by_data(session, model, query.picture)
    probabilities, fault = _beside(session, query, model, picture)
    zero = method.bits_per_dim(0.0)
    return m.BayesAnswered(
        **answer_head(query, model),
        label=query.picture.label,
        classes=model.spec.classes,
        given=array(given.log_p[0]),
        errors=None if given.error is None else array(given.error[0]),
        shares=shares,
        seen=seen,
        notes=(*picture.notes, *how),
        bits=(zero, method.bits_per_dim(1.0) - zero),
        density=method.density,
        true_class=true,
        classifier=probabilities,
        beside_fault=fault,
    )


@answers(m.CompareClassifiers)
def compare_classifiers(session: QuerySession, work: m.CompareClassifiers) -> Job:
    """log p(x|y) in nats [N, K] of validation images, and p(y|x) [N, K] of a classifier's run where one is named.

    Raises:
        CannotAnswer: no density of x given a class, or no validation images with labels. BadRun, BadData.
    """
    model = _conditional_density(session, work.run, work.step)
    data = yield from session.load_run_data(model, work.job)
    held_out = data.splits["valid"]
    if not len(held_out) or held_out.labels is None:
        raise CannotAnswer("These data have no validation images with labels, so accuracy, calibration and p-values are not known.")
    rows = spread(held_out, min(work.limit, FLOW_IMAGES) if provides(model.method, ProbabilityFlow) else work.limit)
    other = _classifier(session, work, model)
    progress = ProgressReporter(work.job, work.run, len(rows), "image", "Scoring validation images")
    given, beside = [], []
    for start in range(0, len(rows), AT_ONCE):
        images = held_out.take(rows[start : start + AT_ONCE])
        x = image_tensor((yield from adapted(images, model.spec.shape)))
        given.append((yield from given_in_steps(model.method, x, len(model.spec.classes))).log_p)
        if other is not None and provides(other.method, Classifier):
            seen = yield from adapted(images, other.spec.shape)
            beside.append(other.method.classify(image_tensor(seen)).double().softmax(1))
        yield progress.add(len(images))
    yield m.ClassifiersCompared(
        work.job,
        work.run,
        model.step,
        array(torch.cat(given)),
        np.asarray(held_out.labels[rows], np.int64),
        None if held_out.groups is None else np.asarray(held_out.groups[rows], np.int64),
        array(torch.cat(beside)) if beside else None,
        len(held_out),
    )
    return "The validation images are scored."


def _conditional_density(session: QuerySession, run: str, step: int | None) -> Model:
    """Raises: CannotAnswer: no density of images given a class. BadRun."""
    model = session.model(run, step)
    require_images(model, "; Bayes’ rule is shown for images, so choose a run that was trained on images.")
    method = model.method
    if not model.spec.classes:
        raise CannotAnswer(f"{model.run.name} was trained on images without classes; choose a run of data with classes.")
    if method.density == "none" or not method.conditional or not provides(method, Density):
        raise CannotAnswer(f"{model.run.name} has no density p(x|y); choose a run that was trained with “conditional”.")
    return model


def _told_by_data(session: QuerySession, model: Model, asked: m.PictureRef) -> tuple[np.ndarray | None, str]:
    """The classes' shares of the training images [K], and the class of an image of the run's own data; only of data that are open."""
    if not session.has_run_data(model):
        return None, ""
    try:
        data = session.run_data(model)
    except (BadRun, BadData):
        return None, ""
    labels = data.splits["train"].labels
    counts = None if labels is None else np.bincount(np.asarray(labels), minlength=len(model.spec.classes)).astype(np.float64)
    names = (None, model.manifest.data, session.own_data(model))
    own = asked.index is not None and asked.path is None and asked.image is None and asked.data in names
    true, part = "", data.splits.get(asked.split)
    if own and part is not None and part.labels is not None and len(part):
        true = model.spec.classes[int(part.labels[(asked.index or 0) % len(part)])]
    return None if counts is None else counts / counts.sum(), true


def _beside(session: QuerySession, query: m.AskBayes, model: Model, picture: Picture) -> tuple[np.ndarray | None, str]:
    """p(y|x) [K] of the classifier's run, or why there is none."""
    try:
        other = _classifier(session, query, model)
    except (BadRun, CannotAnswer) as error:
        return None, str(error)
    if other is None or not provides(other.method, Classifier):
        return None, ""
    seen, _ = adapt(picture, other.spec.shape)
    return array(other.method.classify(image_tensor(seen[None]))[0].double().softmax(0)), ""


def _classifier(session: QuerySession, asked: m.AskBayes | m.CompareClassifiers, model: Model) -> Model | None:
    """The run that is asked for beside; None where none is. Raises: BadRun; CannotAnswer: it tells other classes apart."""
    if not asked.beside:
        return None
    other = session.model(asked.beside, asked.beside_step)
    if not provides(other.method, Classifier) or other.spec.classes != model.spec.classes:
        raise CannotAnswer(f"{other.run.name} does not tell the same classes apart; choose a classifier of the same data.")
    return other
