"""Colors for the points of a map: what a checkpoint says of each image, or what the features say of each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.bases.classical import agreement
from engine.common import ood_metrics
from engine.common.counting import number_of, was_or_were
from engine.common.interpolation import lerp
from engine.detectors.base import SAMPLES, SEED, ImageBatch, aside
from engine.method import Method
from engine.protocols import Classifier, Decoder, Density, Encoder, ImportanceWeighted, provides
from engine.queries.answers import Job, Part, answers
from engine.queries.arrays import array, image_array
from engine.queries.calibrated_detectors import CalibratedDetectors, DetectorCache, companions
from engine.queries.feature_cache import TELL_SECONDS, FeatureCache, ImageSubset, small_batches
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.umap import projection

LOSS_SAMPLES = 16  # importance samples of a bound, per image
ON_THE_WAY = 9  # images decoded from one lasso's mean to the other's
HELD_OUT = 500  # images that a detector is calibrated on, as in the Likelihood pane


@answers(m.ColorPoints)
def color_points(session: QuerySession, work: m.ColorPoints) -> Job:
    """A value float32 [N] for every point of a map: predicted class, loss, cluster, place along a direction, or a detector's score.

    Raises:
        CannotAnswer: the method or the images lack what it takes. BadRun, BadData.
    """
    model = session.room(FeatureCache).model(work.subset)
    by = {"prediction": _by_prediction, "loss": _by_loss, "clusters": _by_clusters, "direction": _by_direction}.get(work.by, _by_detector)
    yield (yield from by(session, model, work))
    return "The points are coloured."


def _by_prediction(session: QuerySession, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
    model.require(Classifier, "classify")
    subset, images = yield from session.room(FeatureCache).images(model, work.subset, work.job)
    logits = yield from _each(model, work, subset, images, "predicting", lambda look: look.logits)
    found = logits.argmax(1).numpy()
    classes = model.spec.classes or tuple(str(i) for i in range(logits.shape[1]))
    note = ""
    if images.labels is not None and images.classes == model.spec.classes:
        note = f"{(found == images.labels).mean():.1%} of the predictions are right."
    return m.PointsColored(work.job, subset, work.by, found.astype(np.float32), classes, note=note)


def _by_loss(session: QuerySession, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
    """-log p(x) or -ELBO; else the cross-entropy of the true class; else the error of the reconstruction."""
    method = model.method
    subset, images = yield from session.room(FeatureCache).images(model, work.subset, work.job)
    measuring = "measuring the loss"
    if method.density != "none" and provides(method, Density):
        values = yield from _each(model, work, subset, images, measuring, None)
        kind = "−log p(x)" if method.density == "exact" else _bound_words(method)
        return m.PointsColored(work.job, subset, work.by, array(values.float()), unit="nat", note=f"{kind}.")
    if provides(method, Classifier):
        if images.labels is None or images.classes != model.spec.classes:
            raise CannotAnswer(
                f"The loss of {model.method.title} needs the classes it was trained on, which these images do not have; "
                "colour by prediction."
            )
        logits = yield from _each(model, work, subset, images, measuring, lambda look: look.logits)
        values = torch.nn.functional.cross_entropy(logits, torch.from_numpy(images.labels), reduction="none")
        return m.PointsColored(work.job, subset, work.by, array(values.float()), unit="nat", note="Cross-entropy of the true class.")
    if provides(method, Decoder):
        values = yield from _each(model, work, subset, images, measuring, lambda look: _reconstruction_error(model.method, look.x))
        return m.PointsColored(work.job, subset, work.by, array(values.float()), note="Mean squared error of the reconstruction.")
    raise CannotAnswer(f"The loss of {model.method.title} belongs to a batch and not to an image; choose another colour.")


def _reconstruction_error(method: Method, x: Tensor) -> Tensor:
    """Mean squared error [B] of images [B, C, H, W] and their reconstructions."""
    assert provides(method, Encoder) and provides(method, Decoder)
    return (method.decode(method.encode(x)) - x).square().flatten(1).mean(1)


def _each(
    model: Model, work: m.ColorPoints, subset: m.Subset, images: ImageSubset, note: str, of: Callable[[ImageBatch], Tensor] | None
) -> Part[Tensor]:
    """Something of every image, `of` a small batch after the other; without `of` the negative log-likelihood or ELBO."""
    progress = ProgressReporter(work.job, subset.run, len(images.images), "image", note, every=TELL_SECONDS)
    parts = []
    for some in small_batches(model, images.images):
        look = ImageBatch(model.method, some, LOSS_SAMPLES)
        if of is None:
            for _ in look.prepare():
                yield None
        parts.append(-look.elbo if of is None else of(look))
        yield progress.add(len(some))
    return torch.cat(parts)


def _by_clusters(session: QuerySession, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
    seen = yield from session.room(FeatureCache).features(model, work.subset, work.job)
    features = seen.features.numpy()
    wanted = max(1, min(work.clusters, len(features)))
    found = yield from aside(lambda: projection.clusters(features, wanted, work.seed))
    count = int(found.max()) + 1
    note = "" if count == wanted else f"Only {number_of(count, 'different point')} {was_or_were(count)} found. "
    labels = seen.images.vote_labels
    if labels is not None:
        nmi, right = yield from aside(lambda: agreement(found, labels))
        note += f"NMI with the classes {nmi:.3f}; accuracy {right:.1%} when each cluster stands for the class that suits it best."
    classes = tuple(f"cluster {i + 1}" for i in range(count))
    return m.PointsColored(work.job, seen.subset, work.by, found.astype(np.float32), classes, note=note.strip())


def _bound_words(method: Method) -> str:
    """What the bound on −log p(x) is called: only a model with a posterior draws samples for it."""
    return f"−ELBO, of {LOSS_SAMPLES} samples per image" if provides(method, ImportanceWeighted) else "minus a lower bound on log p(x)"


def _by_detector(session: QuerySession, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
    subset, images = yield from session.room(FeatureCache).images(model, work.subset, work.job)
    subject = companions(model, ()).subject(model, SAMPLES, SEED)
    yield None
    detectors = CalibratedDetectors(model, subject, HELD_OUT)
    info = next((info for info in detectors.infos if info.name == work.by), None)
    if info is None:
        names = ", ".join(info.name for info in detectors.infos)
        raise CannotAnswer(f"{model.method.title} has no colour “{work.by}”; choose prediction, loss, clusters, direction or {names}.")
    if info.missing:
        raise CannotAnswer(f"{info.title} is not ready: {info.missing}")
    detectors.detectors = {work.by: detectors.detectors[work.by]}
    yield from session.room(DetectorCache).calibrate(detectors, subset.run, work.job)
    progress = ProgressReporter(work.job, subset.run, len(images.images), "image", "Scoring the images")
    scores = yield from detectors.scores_of_data(images.images, images.hash, subset.split, subset.limit, progress)
    values = scores[work.by].astype(np.float32)
    above = float((scores[work.by] > np.quantile(detectors.known[work.by], 0.95)).mean())
    note = f"{info.title} ({info.density}); high means unlike the training data. {above:.1%} lie beyond 95 % of held-out images."
    return m.PointsColored(work.job, subset, work.by, values, unit=info.score_unit or info.unit, note=note)


def _by_direction(session: QuerySession, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
    """Where each point lies on the line through the means of two lassos: 0 at the first, 1 at the second."""
    seen = yield from session.room(FeatureCache).features(model, work.subset, work.job)
    a, b = _lassos(work, len(seen.features))
    features = seen.features.numpy()
    start, end = (seen.features[torch.from_numpy(side)].double().mean(0) for side in (a, b))
    if torch.equal(start, end):
        raise CannotAnswer("Both lassos have the same mean, so no direction leads from one to the other; draw them apart.")
    values = (yield from aside(lambda: projection.along(features, a, b))).astype(np.float32)
    if min(len(a), len(b)) > 1:
        area = yield from aside(lambda: ood_metrics.auroc(*projection.along_without(features, a, b)))
        how = "each point on the line of all others"
    else:
        area, how = ood_metrics.auroc(values[a], values[b]), "on the lassoed points themselves"
    images = None
    if provides(model.method, Decoder):
        z = lerp(array(start.float()), array(end.float()), torch.linspace(0, 1, ON_THE_WAY).numpy())
        images = image_array(model.method.decode(torch.from_numpy(z)))
    note = f"The direction tells the lassos apart with AUROC {area:.3f}, {how}. 0 is the first one's mean, 1 the second's."
    return m.PointsColored(work.job, seen.subset, work.by, values, unit="of the way", note=note, images=images)


def _lassos(work: m.ColorPoints, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The points within each lasso, int64, each once.

    Raises:
        CannotAnswer: one is empty, or names a point beyond the `count` of the map.
    """
    a, b = (np.unique(np.asarray([] if side is None else side, np.int64)) for side in (work.a, work.b))
    if not len(a) or not len(b):
        raise CannotAnswer("A direction leads from one lasso to another; draw both around some points.")
    if min(a[0], b[0]) < 0 or max(a[-1], b[-1]) >= count:
        raise CannotAnswer(f"The lassos name points that this map of {count:,} does not have; draw them again.")
    return a, b
