"""Colours for the points of a map: what a checkpoint says of each image, or what the features say of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.bases.classical import agreement
from engine.common import ood_metrics
from engine.detectors.base import SAMPLES, ImageBatch, aside
from engine.queries.feature_cache import Chosen, FeatureCache, Job, Part, Stage, small_batches
from engine.queries.scoring import CalibratedDetectors, ProgressReporter, companions
from engine.queries.session import CannotAnswer, Model, lerp
from engine.umap import projection

LOSS_SAMPLES = 16  # importance samples of a bound, per image
ON_THE_WAY = 9  # images decoded from one lasso's mean to the other's
HELD_OUT = 500  # images that a detector is calibrated on, as in the Likelihood pane


class Colouring:
    def __init__(self, feature_cache: FeatureCache) -> None:
        self.feature_cache = feature_cache

    def colour(self, work: m.ColorPoints) -> Job:
        model = self.feature_cache.model(work.subset)
        if work.by == "prediction":
            answer = yield from self._by_prediction(model, work)
        elif work.by == "loss":
            answer = yield from self._by_loss(model, work)
        elif work.by == "clusters":
            answer = yield from self._by_clusters(model, work)
        elif work.by == "direction":
            answer = yield from self._by_direction(model, work)
        else:
            answer = yield from self._by_detector(model, work)
        yield answer
        return "The points are coloured."

    def _by_prediction(self, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
        model.can("classify")
        subset, chosen = yield from self.feature_cache.choose(model, work)
        logits = yield from self._each(model, work, subset, chosen, "predicting", lambda look: look.logits)
        found = logits.argmax(1).numpy()
        classes = model.spec.classes or tuple(str(i) for i in range(logits.shape[1]))
        note = ""
        if chosen.labels is not None and chosen.classes == model.spec.classes:
            note = f"{(found == chosen.labels).mean():.1%} of the predictions are right."
        return m.PointsColored(work.job, subset, work.by, found.astype(np.float32), classes, note=note)

    def _by_loss(self, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
        method: Any = model.method
        subset, chosen = yield from self.feature_cache.choose(model, work)
        if method.density != "none" and hasattr(method, "log_prob"):
            values = yield from self._each(model, work, subset, chosen, "measuring the loss", None)
            kind = "−log p(x)" if method.density == "exact" else f"−ELBO, of {LOSS_SAMPLES} samples per image"
            return m.PointsColored(work.job, subset, work.by, values.float().numpy(), unit="nat", note=f"{kind}.")
        if hasattr(method, "classify"):
            if chosen.labels is None or chosen.classes != model.spec.classes:
                raise CannotAnswer(
                    f"The loss of {method.title} needs the classes it was trained on, which these images do not have; colour by prediction."
                )
            y = torch.from_numpy(chosen.labels)
            logits = yield from self._each(model, work, subset, chosen, "measuring the loss", lambda look: look.logits)
            values = torch.nn.functional.cross_entropy(logits, y, reduction="none")
            return m.PointsColored(work.job, subset, work.by, values.float().numpy(), unit="nat", note="Cross-entropy of the true class.")
        if hasattr(method, "decode"):
            values = yield from self._each(
                model, work, subset, chosen, "measuring the loss", lambda look: _error_of_reconstruction(method, look.x)
            )
            return m.PointsColored(work.job, subset, work.by, values.float().numpy(), note="Mean squared error of the reconstruction.")
        raise CannotAnswer(f"The loss of {method.title} belongs to a batch and not to an image; choose another colour.")

    def _each(self, model: Model, work: m.ColorPoints, subset: m.Subset, chosen: Chosen, note: str, of: Any) -> Part[Tensor]:
        """Something of every image, `of` a small batch after the other; without `of` the negative log-likelihood or ELBO."""
        stage = Stage(work, subset.run, len(chosen.images), "image", note)
        parts = []
        for images in small_batches(model, chosen.images):
            look = ImageBatch(model.method, images, LOSS_SAMPLES)
            if of is None:
                for _ in look.prepare():
                    yield None
            parts.append(-look.elbo if of is None else of(look))
            yield stage(sum(len(part) for part in parts))
        return torch.cat(parts)

    def _by_clusters(self, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
        seen = yield from self.feature_cache.look(model, work)
        features = seen.features.numpy()
        wanted = max(1, min(work.clusters, len(features)))
        found = yield from aside(lambda: projection.clusters(features, wanted, work.seed))
        count = int(found.max()) + 1
        note = "" if count == wanted else f"There are only {count} different points. "
        labels = seen.chosen.judged
        if labels is not None:
            nmi, right = yield from aside(lambda: agreement(found, labels))
            note += f"NMI with the classes {nmi:.3f}; accuracy {right:.1%} when each cluster stands for the class that suits it best."
        classes = tuple(f"cluster {i + 1}" for i in range(count))
        return m.PointsColored(work.job, seen.subset, work.by, found.astype(np.float32), classes, note=note.strip())

    def _by_detector(self, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
        subset, chosen = yield from self.feature_cache.choose(model, work)
        subject = companions(model, []).subject(model, SAMPLES)
        yield None
        detectors = CalibratedDetectors(model, subject, HELD_OUT)
        info = next((info for info in detectors.infos if info.name == work.by), None)
        if info is None:
            names = ", ".join(info.name for info in detectors.infos)
            raise CannotAnswer(f"{model.method.title} has no colour “{work.by}”; choose prediction, loss, clusters, direction or {names}.")
        if info.missing:
            raise CannotAnswer(f"{info.title} is not ready: {info.missing}")
        detectors.detectors = {work.by: detectors.detectors[work.by]}
        yield from self.feature_cache.scoring._calibrate(detectors, subset.run, work.job)
        tell = ProgressReporter(work.job, subset.run, len(chosen.images), "Scoring the images")
        scores = yield from detectors.scores_of_data(chosen.images, chosen.hash, subset.split, subset.limit, tell)
        values = scores[work.by].astype(np.float32)
        above = float((scores[work.by] > np.quantile(detectors.known[work.by], 0.95)).mean())
        note = f"{info.title} ({info.density}); high means unlike the training data. {above:.1%} lie beyond 95 % of held-out images."
        return m.PointsColored(work.job, subset, work.by, values, unit=info.score_unit or info.unit, note=note)

    def _by_direction(self, model: Model, work: m.ColorPoints) -> Part[m.PointsColored]:
        seen = yield from self.feature_cache.look(model, work)
        a, b = (np.unique(np.asarray([] if side is None else side, np.int64)) for side in (work.a, work.b))
        if not len(a) or not len(b):
            raise CannotAnswer("A direction leads from one lasso to another; draw both around some points.")
        count = len(seen.features)
        if min(a[0], b[0]) < 0 or max(a[-1], b[-1]) >= count:
            raise CannotAnswer(f"The lassos name points that this map of {count:,} does not have; draw them again.")
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
        if hasattr(model.method, "decode"):
            z = lerp(start.float(), end.float(), torch.linspace(0, 1, ON_THE_WAY))
            images = (255 * model.can("decode")(z).clamp(0, 1)).round().to(torch.uint8).numpy()
        note = f"The direction tells the lassos apart with AUROC {area:.3f}, {how}. 0 is the first one's mean, 1 the second's."
        return m.PointsColored(work.job, seen.subset, work.by, values, unit="of the way", note=note, images=images)


def _error_of_reconstruction(method: Any, x: Tensor) -> Tensor:
    return (method.decode(method.encode(x)) - x).square().flatten(1).mean(1)
