"""How far samples are from test images, as an encoder sees both: Fréchet distance (Heusel et al. 2017) and kernel distance
(Bińkowski et al. 2018).

The encoder is a run of this program and not the usual Inception network, whose weights lie on a hub: figures compare within one
encoder only. Both distances of equally many validation images, which nothing was trained on, stand beside them: about what a
perfect model would reach.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.common.pixels import to_float, to_uint8
from engine.data import open_data
from engine.messages import Progress
from engine.protocols import Encoder, Sampler, provides
from engine.queries.pictures import spread
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_data import require_same_data
from engine.storage.run_reader import Run
from engine.training.batches import seeded

AT_ONCE = 100  # samples drawn, images encoded
FEWEST = 2


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of two Gaussians: means [D], covariances [D, D], float64 (Heusel et al. 2017, eq. 6).

    Σ₁Σ₂ has the eigenvalues of the symmetric Σ₁^½ Σ₂ Σ₁^½, whose roots are real.
    """
    values, vectors = torch.linalg.eigh(covariance1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariance2 @ root).clamp(min=0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + covariance1.trace() + covariance2.trace() - 2 * cross)


def fid(ours: Tensor, theirs: Tensor) -> float:
    """Fréchet distance of the Gaussians with the moments of two sets of features [N, D], [M, D]. Too high for small sets."""
    return frechet(ours.mean(0), ours.T.cov(), theirs.mean(0), theirs.T.cov())


def kid(ours: Tensor, theirs: Tensor) -> float:
    """Squared maximum mean discrepancy of features [N, D], [M, D] under the kernel (xᵀy / D + 1)³, unbiased: it may be below 0."""
    n, m = len(ours), len(theirs)
    within = [((a @ a.T / a.shape[1] + 1) ** 3) for a in (ours, theirs)]
    across = ((ours @ theirs.T / ours.shape[1] + 1) ** 3).mean()
    same = [(k.sum() - k.trace()) / (size * (size - 1)) for k, size in zip(within, (n, m), strict=True)]
    return float(same[0] + same[1] - 2 * across)


def fidelity(
    path: Path, encoder: Path, samples: int, step: int | None = None, seed: int = 0, job: str = ""
) -> Generator[Progress, None, dict[str, Any]]:
    """`fid` and `kid` of so many samples against as many test images, the same of validation images, and the encoder's name and step.

    Raises:
        CannotAnswer: nothing to draw from, an encoder without features or of other images, too few images. BadRun, BadData.
    """
    model, extractor = Model(Run.open(path), step), Model(Run.open(encoder), None)
    method = model.method
    if not provides(method, Sampler) or method.accepts != "images":
        raise CannotAnswer(f"{method.title} draws no images; choose a run of a generative method of images.")
    encode = extractor.require(Encoder, "encode").encode
    if extractor.spec.shape != model.spec.shape:
        theirs, ours = ("×".join(map(str, spec.shape)) for spec in (extractor.spec, model.spec))
        raise CannotAnswer(
            f"{extractor.run.path.name} takes images of {theirs}, and {model.run.path.name} draws {ours}; name another encoder."
        )
    data = open_data(model.manifest.data)
    require_same_data(model.manifest, path.name, data.hash, former_hash=data.former_hash)
    test, valid = data.splits["test"].images, data.splits["valid"].images
    count = min(samples, len(test), len(valid))
    if count < FEWEST:
        raise CannotAnswer(f"A distance between sets needs at least {FEWEST} images of each; ask for more with --samples.")

    def features(images: np.ndarray) -> Tensor:
        with torch.inference_mode():
            parts = torch.from_numpy(images).split(AT_ONCE)
            return torch.cat([encode(to_float(part)).double() for part in parts])

    drawn = []
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        with torch.inference_mode():
            *_, frame = method.sample(size, None, 1.0, model.generator(seeded(seed, start)))
        drawn.append(to_uint8(frame.x).numpy())  # what a file of them would hold
        yield Progress(job, str(path), start + size, count, "image", 0.0, None, "Drawing samples")
    real = features(np.asarray(test[spread(len(test), count)]))
    others = {"": features(np.concatenate(drawn)), "_of_validation_images": features(np.asarray(valid[spread(len(valid), count)]))}
    values: dict[str, Any] = {}
    for name, those in others.items():
        values |= {f"fid{name}": fid(those, real), f"kid{name}": kid(those, real)}
    return values | {"samples": count, "encoder": extractor.run.path.name, "encoder_step": extractor.step}
