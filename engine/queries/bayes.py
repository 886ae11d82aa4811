"""What the Bayes pane asks: log p(x|y) of a picture for every class, beside the answer of a classifier."""

from __future__ import annotations

import numpy as np

from engine import messages as m
from engine.data import BadData, Picture, adapt
from engine.evaluation.bayes import given_each_class
from engine.protocols import Classifier, Density, provides
from engine.queries.answers import answers
from engine.queries.arrays import array, image_tensor
from engine.queries.pictures import read_picture, require_images
from engine.queries.session import CannotAnswer, Model, QuerySession, answer_head
from engine.storage.run_folders import BadRun


@answers(m.AskBayes)
def ask_bayes(session: QuerySession, query: m.AskBayes) -> m.BayesAnswered:
    """log p(x|y) in nats [K] of one picture; p(y|x) [K] of a classifier's run where one is named.

    Raises:
        CannotAnswer: no density of x given a class. BadRun, BadData.
    """
    model = session.model(query.run, query.step)
    require_images(model, "; Bayes’ rule is shown for images, so choose a run that was trained on images.")
    method = model.method
    if method.density == "none" or not method.conditional or not provides(method, Density):
        raise CannotAnswer(f"{model.run.name} has no density p(x|y); choose a run that was trained with “conditional”.")
    picture = read_picture(session, query.picture, model)
    seen, how = adapt(picture, model.spec.shape)
    given = given_each_class(method, image_tensor(seen[None]), len(model.spec.classes))[0]
    shares, true = _told_by_data(session, model, query.picture)
    probabilities, fault = _beside(session, query, model, picture)
    zero = method.bits_per_dim(0.0)
    return m.BayesAnswered(
        **answer_head(query, model),
        label=query.picture.label,
        classes=model.spec.classes,
        given=array(given),
        shares=shares,
        seen=seen,
        notes=(*picture.notes, *how),
        bits=(zero, method.bits_per_dim(1.0) - zero),
        density=method.density,
        true_class=true,
        classifier=probabilities,
        beside_fault=fault,
    )


def _told_by_data(session: QuerySession, model: Model, asked: m.PictureRef) -> tuple[np.ndarray | None, str]:
    """The classes' shares of the training images [K], and the class of an image of the run's own data; only of data that are open."""
    if not session.has_data(model.manifest.data):
        return None, ""
    try:
        data = session.run_data(model)
    except (BadRun, BadData):
        return None, ""
    labels = data.splits["train"].labels
    counts = None if labels is None else np.bincount(np.asarray(labels), minlength=len(model.spec.classes)).astype(np.float64)
    own = asked.index is not None and asked.path is None and asked.image is None and asked.data in (None, model.manifest.data)
    true, part = "", data.splits.get(asked.split)
    if own and part is not None and part.labels is not None and len(part):
        true = model.spec.classes[int(part.labels[(asked.index or 0) % len(part)])]
    return None if counts is None else counts / counts.sum(), true


def _beside(session: QuerySession, query: m.AskBayes, model: Model, picture: Picture) -> tuple[np.ndarray | None, str]:
    """p(y|x) [K] of the classifier's run, or why there is none."""
    if not query.beside:
        return None, ""
    try:
        other = session.model(query.beside, query.beside_step)
    except BadRun as error:
        return None, str(error)
    if not provides(other.method, Classifier) or other.spec.classes != model.spec.classes:
        return None, f"{other.run.name} does not tell the same classes apart; choose a classifier of the same data."
    seen, _ = adapt(picture, other.spec.shape)
    return array(other.method.classify(image_tensor(seen[None]))[0].double().softmax(0)), ""
