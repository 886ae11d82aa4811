"""How far samples are from test images, as an encoder sees both: Fréchet distance (Heusel et al. 2017) and kernel distance
(Bińkowski et al. 2018).

The encoder is a run of this program and not the Inception network of FID and KID, whose weights lie on a hub: so these are the
Fréchet distance (FD) and the kernel distance (KD) in the features of that run, and figures compare within one encoder only. Beside them
stand both distances of equally many real images: what a perfect model would reach. Real images are taken as the model sees them, in its
own levels, since that is what it learned.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.common.pixels import to_float, to_uint8
from engine.data import Split
from engine.evaluation.precision_recall import precision_recall
from engine.evaluation.sample_grid import decoding
from engine.losses.likelihoods import image_generators
from engine.messages import Event, Progress
from engine.method import Method
from engine.protocols import Encoder, Sampler, provides
from engine.queries.sampling import drawn_frames, sampler_settings
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_data import open_run_data
from engine.storage.run_reader import Run
from engine.training.batches import seeded
from engine.training.conditions import told_of

AT_ONCE = 100  # samples drawn, images encoded
FEWEST = 2
CLASSES = 2**40 + 1  # of the seed that draws them; the noise of samples has those of their places


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of two Gaussians: means [D], covariances [D, D], float64 (Heusel et al. 2017, eq. 6).

    Σ₁Σ₂ has the eigenvalues of the symmetric Σ₁^½ Σ₂ Σ₁^½, whose roots are real.
    """
    values, vectors = torch.linalg.eigh(covariance1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariance2 @ root).clamp(min=0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + covariance1.trace() + covariance2.trace() - 2 * cross)


def frechet_distance(ours: Tensor, theirs: Tensor) -> float:
    """Fréchet distance of the Gaussians with the moments of two sets of features [N, D], [M, D]. Too high for small sets."""
    return frechet(ours.mean(0), ours.T.cov(), theirs.mean(0), theirs.T.cov())


def kernel_distance(ours: Tensor, theirs: Tensor) -> float:
    """Squared maximum mean discrepancy of features [N, D], [M, D] under the kernel (xᵀy / D + 1)³, unbiased: it may be below 0."""
    n, m = len(ours), len(theirs)
    within = [((a @ a.T / a.shape[1] + 1) ** 3) for a in (ours, theirs)]
    across = ((ours @ theirs.T / ours.shape[1] + 1) ** 3).mean()
    same = [(k.sum() - k.trace()) / (size * (size - 1)) for k, size in zip(within, (n, m), strict=True)]
    return float(same[0] + same[1] - 2 * across)


def fidelity(
    path: Path,
    encoder: Path,
    samples: int,
    step: int | None = None,
    seed: int = 0,
    job: str = "",
    split: str = "test",
    decode: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Generator[Event, None, dict[str, Any]]:
    """`fd`, `kd`, `precision`, `recall` of so many samples against as many real images of a split; `fd_real`, … of as many others of it.

    The split is divided into two halves at random, by the seed, no group of images in both: one is compared with the samples and with the
    other one. A conditional method is told the classes (or captions) of real images of the first half, so that its samples have each class
    as often: where images of one class are rare, samples of all classes alike would be far from them however good they are.
    `decode` as `decoding` takes it, `settings` as `drawn_frames` does. Also what was compared: `split`, `samples`, `decode`,
    `sample_settings` (of a sampler that has settings), `encoder` and `encoder_step`.

    Raises:
        CannotAnswer: nothing to draw from, an encoder without features or of other images, too few images. BadRun, BadData.
        BadSampleSetting: no such settings.
    """
    model, extractor = Model(Run.open(path), step), Model(Run.open(encoder), None)
    method = model.method
    if not provides(method, Sampler) or method.accepts != "images":
        raise CannotAnswer(f"{method.title} draws no images; choose a run of a generative method of images.")
    chosen = sampler_settings(method, settings or {})
    decode = decoding(method, decode)
    encode = extractor.require(Encoder, "encode").encode
    if extractor.spec.shape != model.spec.shape:
        theirs, ours = ("×".join(map(str, spec.shape)) for spec in (extractor.spec, model.spec))
        raise CannotAnswer(
            f"{extractor.run.path.name} takes images of {theirs}, and {model.run.path.name} draws {ours}; name another encoder."
        )
    data = yield from open_run_data(model.run)
    images = data.splits[split].images
    first, second = halves(len(images), data.splits[split].groups, model.generator(seed))
    count = min(samples, len(first), len(second))
    if count < FEWEST:
        raise CannotAnswer(
            f"A distance between sets needs {FEWEST} samples and two halves of the {split} split with at least {FEWEST} images each; "
            "copies of one image, or patches of one photograph, stand in one half."
        )

    def features(pixels: np.ndarray) -> Tensor:
        with torch.inference_mode():
            return torch.cat([encode(to_float(part)).double() for part in torch.from_numpy(pixels).split(AT_ONCE)])

    def real(chosen: np.ndarray) -> np.ndarray:
        return as_modelled(method, np.asarray(images[np.sort(chosen)]), seed)

    made, how, y = [], "", conditions_like(data.splits[split], first[:count], model, seed)
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        told = None if y is None else y[start : start + size]
        with torch.inference_mode():
            frames, how = drawn_frames(method, size, told, 1.0, model.generator(seeded(seed, start)), decode, settings)
            *_, frame = frames
        made.append(to_uint8(frame.x).numpy())  # what a file of them would hold
        yield Progress(job, str(path), start + size, count, "image", 0.0, None, "Drawing samples")
    reference, other = features(real(first[:count])), features(real(second[:count]))
    ours = features(np.concatenate(made))
    (precision, recall), (precision_real, recall_real) = (precision_recall(reference, one) for one in (ours, other))
    return {
        "fd": frechet_distance(ours, reference),
        "kd": kernel_distance(ours, reference),
        "fd_real": frechet_distance(other, reference),
        "kd_real": kernel_distance(other, reference),
        "precision": precision,
        "recall": recall,
        "precision_real": precision_real,
        "recall_real": recall_real,
        "split": split,
        "samples": count,
        "decode": how,
        **({} if chosen is None else {"sample_settings": asdict(chosen)}),
        "encoder": extractor.run.path.name,
        "encoder_step": extractor.step,
    }


def conditions_like(split: Split, places: np.ndarray, model: Model, seed: int) -> Tensor | None:
    """The classes int64 [n] or captions int64 [n, L] of n images drawn with replacement from those at `places` [n] of a split: what n
    samples to compare with them are told. None of a method that is told nothing, or where nothing is known of the images.
    """
    method = model.method
    if not method.conditional and method.condition != "caption":
        return None
    known = told_of(split, model.spec, method.condition, "cpu")
    if known is None:
        return None
    drawn = torch.randint(len(places), (len(places),), generator=model.generator(seeded(seed, CLASSES)))
    return known[torch.from_numpy(places)[drawn]]


def halves(count: int, groups: np.ndarray | None, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The places 0 … count - 1 in two random halves int64 [about count / 2], in random order; whole groups of `groups` [count] in each."""
    order = torch.randperm(count, generator=generator).numpy()
    if groups is None:
        return order[: count // 2], order[count // 2 :]
    _, first, number, sizes = np.unique(groups[order], return_index=True, return_inverse=True, return_counts=True)
    inside, taken = np.zeros(len(sizes), bool), [0, 0]
    for group in np.argsort(first):  # a random order
        second = taken[1] < taken[0]  # the smaller half has the next one
        inside[group] = not second
        taken[second] += int(sizes[group])
    chosen = inside[number.reshape(-1)]
    return order[chosen], order[~chosen]


def as_modelled(method: Method, pixels: np.ndarray, seed: int) -> np.ndarray:
    """Real images uint8 [N, C, H, W] in the values whose probability the method models: binary ones, or of few levels, as it draws them."""
    x = to_float(torch.from_numpy(pixels))
    with torch.inference_mode():
        return to_uint8(method.evaluate_target(x, image_generators(x, seed))).numpy()
