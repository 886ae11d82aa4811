"""Rate and distortion of latent variable models (Alemi et al. 2018, arXiv 1711.00464): the two parts of the evidence lower bound, and the
points of several runs beside each other, as those of different beta.

Rate R = KL(q(z|x) ∥ p(z)) is what a code costs, distortion D = E[-log p(x|z)] what the image costs given its code; R + D = -ELBO.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.common.intervals import standard_error
from engine.common.pixels import to_float
from engine.data.dataset import Split
from engine.data.splits import spread
from engine.evaluation.evaluate import RATE_SAMPLES
from engine.losses.likelihoods import image_generators
from engine.messages import Event, Progress
from engine.protocols import RateDistortion, provides
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_data import open_run_data
from engine.storage.run_reader import Run

SAMPLES = 16  # codes per image of the bound
IMAGES_AT_ONCE = 8


@dataclass(frozen=True)
class RatePoint:
    """Rate and distortion of one checkpoint, nats per image, with standard errors."""

    rate: float
    rate_se: float
    distortion: float
    distortion_se: float
    distortion_bits_per_dim: float
    elbo: float  # -(rate + distortion)
    elbo_se: float
    images: int


def require_rate(model: Model) -> None:
    """Raises: CannotAnswer: the method has no bound of two parts."""
    if not provides(model.method, RateDistortion):
        raise CannotAnswer(f"{model.method.title} has no rate and no distortion: they are the two parts of a VAE's bound on log p(x).")


def rate_point(model: Model, held_out: Split, limit: int | None, seed: int) -> Generator[tuple[int, int], None, RatePoint]:
    """Rate and distortion over images of a split; yields (images done, images). Raises: CannotAnswer."""
    require_rate(model)
    method: Any = model.method
    rows = spread(held_out, limit)
    rates, bounds = [], []
    for some in np.split(rows, range(IMAGES_AT_ONCE, len(rows), IMAGES_AT_ONCE)):
        with torch.inference_mode():
            x = to_float(torch.from_numpy(held_out.take(some)))
            own = image_generators(x, seed)
            target = method.evaluate_target(x, own)
            bounds.append(method.elbo(target, own, SAMPLES).double().numpy())
            rates.append(method.rate(target, own, RATE_SAMPLES).double().numpy())
        yield sum(map(len, rates)), len(rows)
    rate, elbo = np.concatenate(rates), np.concatenate(bounds)
    groups = None if held_out.groups is None else held_out.groups[rows]
    distortion = -elbo - rate
    each = [(float(values.mean()), standard_error(values, groups)) for values in (rate, distortion, elbo)]
    return RatePoint(*each[0], *each[1], method.bits_per_dim(each[1][0]), *each[2], len(rows))


def likelihood_of(model: Model) -> tuple[str, ...]:
    """What the distortion is of: distortions of different likelihoods are different quantities."""
    return model.manifest.data_hash, str(model.manifest.config.get("likelihood", ""))


def rate_distortion(
    paths: Sequence[Path], step: int | str | None = None, limit: int | None = None, split: str = "valid", seed: int = 0, job: str = ""
) -> Generator[Event, None, list[dict[str, Any]]]:
    """The points of several runs on the same images, in the order of their rate, each with its run, step and beta. Yields progress.

    Args:
        step: of the first run; of the others the same rule, the best checkpoint where it is None.

    Raises:
        CannotAnswer: a run has none, or runs of other data or of another likelihood. BadRun, BadData.
    """
    found = []
    models = [Model(Run.open(path), step if place == 0 or isinstance(step, str) else None) for place, path in enumerate(paths)]
    for model in models:
        require_rate(model)
        if likelihood_of(model)[0] != likelihood_of(models[0])[0]:
            raise CannotAnswer(f"“{model.run.name}” was trained on other data than “{models[0].run.name}”; name runs of the same data.")
        if likelihood_of(model)[1] != likelihood_of(models[0])[1]:
            kinds = [likelihood_of(one)[1] for one in (model, models[0])]
            raise CannotAnswer(
                f"“{model.run.name}” has another likelihood of pixels than “{models[0].run.name}” ({kinds[0]}, not {kinds[1]}), so that "
                "their distortions are different quantities; name runs of one likelihood."
            )
    data = yield from open_run_data(models[0].run, job)
    for model, path in zip(models, paths, strict=True):
        measuring = rate_point(model, data.splits[split], limit, seed)
        while True:
            try:
                done, total = next(measuring)
            except StopIteration as end:
                point: RatePoint = end.value
                break
            yield Progress(job, str(path), done, total, "image", 0.0, None, model.run.name)
        beta = model.manifest.config.get("beta")
        found.append({"run": model.run.name, "step": model.step, "step_rule": model.step_rule, "beta": beta, **asdict(point)})
    return sorted(found, key=lambda one: one["rate"])
