"""Disentanglement of a representation on data whose true factors are known: MIG and DCI, of any encoder's features.

MIG (Chen et al. 2018, arXiv 1802.04942, eq. 6): the gap between the two codes that tell most of a factor, in mutual information, divided by
the factor's entropy. Codes are cut into 20 bins of equal width (as in Locatello et al. 2019), continuous factors into 10. DCI (Eastwood and
Williams 2018): from the importances of gradient-boosted trees that tell each factor from the codes; informativeness is R², for a factor of
kinds the accuracy on a scale where guessing the commonest kind is 0. A standard error is a delete-a-fifth jackknife's.

Factors of angle go round: trees are asked for their cosine and sine. The angle of a shape is measured in shares of the turn after which the
shape looks the same, since in degrees its range would tell the shape. `factor_dependence` is the most that one factor tells of another.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from engine.common.pixels import to_float
from engine.data import DataSet
from engine.data.shapes import KINDS, TURNS
from engine.data.splits import spread
from engine.messages import Event, Progress
from engine.protocols import Encoder, provides
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_data import open_run_data
from engine.storage.run_reader import Run

CODE_BINS, FACTOR_BINS = 20, 10
FOLDS = 5
TREES, DEPTH, SHRINKAGE = 50, 3, 0.2
TREES_AT_ONCE = 2  # grown between two yields
ENCODED_AT_ONCE = 32
FEWEST_IMAGES = 100
CIRCULAR = {"hue": 360.0, "angle": 1.0}  # factors that go round, and after how much


@dataclass(frozen=True)
class Factor:
    """A true factor of N images, in the forms that the two measures take."""

    name: str
    bins: np.ndarray  # int64 [N]
    targets: np.ndarray  # float64 [N, T] to be told by regression; empty [N, 0] of kinds, which are classified


@dataclass(frozen=True)
class Disentanglement:
    """What a code says of the factors."""

    values: dict[str, Any]  # as `eval` reports them
    information: np.ndarray  # I(code; factor) in nats [D, F]
    importance: np.ndarray  # of codes for factors [D, F], columns sum to 1


def true_factors(factors: dict[str, np.ndarray]) -> list[Factor]:
    """The factors [N] of some images; whole numbers are kinds, all else is cut into 10 bins of equal width over the values there are."""
    found = []
    for name, values in factors.items():
        if np.issubdtype(values.dtype, np.integer):
            found.append(Factor(name, np.unique(values, return_inverse=True)[1].reshape(-1), np.zeros((len(values), 0))))
            continue
        if name == "angle" and "shape" in factors:
            values = values / np.array([TURNS[kind] for kind in KINDS])[factors["shape"]]
        turn = 2 * math.pi * values / CIRCULAR.get(name, 1.0)
        targets = np.stack([np.cos(turn), np.sin(turn)], 1) if name in CIRCULAR else values[:, None]
        found.append(Factor(name, equal_width_bins(values, FACTOR_BINS), targets))
    return found


def equal_width_bins(values: np.ndarray, count: int) -> np.ndarray:
    """int64 [N] from 0 to count - 1: in which of `count` bins of equal width between the smallest and the largest each of [N] is."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(len(values), np.int64)
    return np.minimum(((values - low) / (high - low) * count).astype(np.int64), count - 1)


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) in nats of the joint distribution of two columns of bins int64 [N], as counted."""
    joint = np.bincount(a * (int(b.max()) + 1) + b).astype(np.float64)
    return _entropy(np.bincount(a)) + _entropy(np.bincount(b)) - _entropy(joint)


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def information_of(bins: np.ndarray, factors: list[Factor], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """I(code; factor) in nats [D, F] and the factors' entropies [F], of codes in bins int64 [N, D], over some rows."""
    information = np.array([[mutual_information(bins[rows, d], factor.bins[rows]) for factor in factors] for d in range(bins.shape[1])])
    return information, np.array([_entropy(np.bincount(factor.bins[rows])) for factor in factors])


def gaps(information: np.ndarray, entropies: np.ndarray) -> np.ndarray:
    """The mutual information gap of each factor [F]: (largest - second largest over the codes) / entropy, of information [D, F]."""
    ordered = np.sort(np.concatenate([np.zeros((1, information.shape[1])), information]), 0)
    return (ordered[-1] - ordered[-2]) / np.maximum(entropies, 1e-12)


def disentanglement_of(importance: np.ndarray) -> float:
    """DCI's D of importances [D, F]: 1 - the entropy, in units of log F, of what each code matters for; codes weighted by importance."""
    total = importance.sum()
    if total <= 0 or importance.shape[1] < 2:
        return 0.0 if total <= 0 else 1.0
    each = 1 - _row_entropies(importance) / math.log(importance.shape[1])
    return float((each * importance.sum(1)).sum() / total)


def completeness_of(importance: np.ndarray) -> np.ndarray:
    """DCI's C of each factor [F], of importances [D, F]: 1 - the entropy, in units of log D, of which codes tell it; 0 where none does."""
    told = importance.sum(0) > 0
    if importance.shape[0] < 2:
        return told.astype(np.float64)
    return np.where(told, 1 - _row_entropies(importance.T) / math.log(importance.shape[0]), 0.0)


def _row_entropies(weights: np.ndarray) -> np.ndarray:
    share = weights / np.maximum(weights.sum(1, keepdims=True), 1e-300)
    return -(share * np.log(np.maximum(share, 1e-300))).sum(1)


def measure(
    codes: np.ndarray, factors: list[Factor], seed: int = 0, groups: np.ndarray | None = None
) -> Generator[tuple[int, int], None, Disentanglement]:
    """MIG and DCI of codes float [N, D]; yields (fits done, fits) between a few trees.

    Images of one of the `groups` int64 [N] (the frames of a clip) are held out together: what tells the clip must not tell its factors.
    """
    codes = np.asarray(codes, np.float64)
    count, names = len(codes), [factor.name for factor in factors]
    bins = np.stack([equal_width_bins(codes[:, d], CODE_BINS) for d in range(codes.shape[1])], 1)
    own = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    fold = (np.random.default_rng(seed).permutation(int(own.max()) + 1) % FOLDS)[own]
    information, entropies = information_of(bins, factors, np.arange(count))
    yield 0, FOLDS * len(factors)
    leave_out = []  # MIG without a fifth of the images
    for part in range(FOLDS):
        leave_out.append(gaps(*information_of(bins, factors, np.flatnonzero(fold != part))))
        yield 0, FOLDS * len(factors)
    importances = np.zeros((FOLDS, codes.shape[1], len(factors)))
    told = np.zeros((FOLDS, len(factors)))
    for part in range(FOLDS):
        fit, held_out = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        for place, factor in enumerate(factors):
            growing = _told(codes, factor, fit, held_out, seed)
            while True:
                try:
                    next(growing)
                except StopIteration as end:
                    importances[part, :, place], told[part, place] = end.value
                    break
                yield part * len(factors) + place, FOLDS * len(factors)
    mig = gaps(information, entropies)
    completeness = np.array([completeness_of(one) for one in importances])  # [folds, F]
    figures = {
        "mig": (float(mig.mean()), [float(one.mean()) for one in leave_out]),
        "dci_disentanglement": _mean_of([disentanglement_of(one) for one in importances]),
        "dci_completeness": _mean_of(completeness.mean(1).tolist()),
        "dci_informativeness": _mean_of(told.mean(1).tolist()),
    }
    values: dict[str, Any] = {name: value for name, (value, _) in figures.items()}
    values |= {f"{name}_se": _jackknife(parts) for name, (_, parts) in figures.items()}
    # every R² is of another fifth of the images: the error of their mean is that of a mean, as if they were independent
    values["dci_informativeness_se"] = float(np.std(told.mean(1), ddof=1) / math.sqrt(FOLDS))
    values |= {"codes": codes.shape[1], "code_bins": CODE_BINS, "factor_bins": FACTOR_BINS, "factor_dependence": dependence(factors)}
    each = zip(names, mig, completeness.mean(0), told.mean(0), information.argmax(0), strict=True)
    keys = ("mig", "completeness", "informativeness")
    values["factors"] = {name: {**dict(zip(keys, map(float, figures), strict=True)), "code": int(code)} for name, *figures, code in each}
    return Disentanglement(values, information, importances.mean(0))


def dependence(factors: list[Factor]) -> float:
    """The most that a factor tells of another one: I(a; b) / min(H(a), H(b)) of bins, less the bias (A - 1)(B - 1) / 2N of counting."""
    most = 0.0
    for place, a in enumerate(factors):
        for b in factors[:place]:
            sizes = [len(np.unique(one.bins)) for one in (a, b)]
            bias = (sizes[0] - 1) * (sizes[1] - 1) / (2 * len(a.bins))
            smallest = min(_entropy(np.bincount(one.bins)) for one in (a, b))
            most = max(most, (mutual_information(a.bins, b.bins) - bias) / max(smallest, 1e-12))
    return most


def _mean_of(parts: list[float]) -> tuple[float, list[float]]:
    return float(np.mean(parts)), parts


def _jackknife(parts: list[float]) -> float:
    """Standard error of a figure from its values without one of G parts of the images: sqrt((G - 1) / G · Σ (θ_g - mean)²)."""
    return float(math.sqrt((len(parts) - 1) * np.var(parts)))


def _told(
    codes: np.ndarray, factor: Factor, fit: np.ndarray, held_out: np.ndarray, seed: int
) -> Generator[None, None, tuple[np.ndarray, float]]:
    """The codes' importances [D], which sum to 1 or are all 0, and how well the factor of held-out images is told."""
    settings: dict[str, Any] = {"max_depth": DEPTH, "learning_rate": SHRINKAGE, "random_state": seed, "warm_start": True}
    if not factor.targets.shape[1]:
        forest = GradientBoostingClassifier(**settings)
        yield from _grow(forest, codes[fit], factor.bins[fit])
        right = float((forest.predict(codes[held_out]) == factor.bins[held_out]).mean())
        guess = float((factor.bins[held_out] == np.bincount(factor.bins[fit]).argmax()).mean())
        return np.asarray(forest.feature_importances_), (right - guess) / max(1 - guess, 1e-12)
    wrong = spread_of = 0.0
    importance = np.zeros(codes.shape[1])
    for target in factor.targets.T:
        trees = GradientBoostingRegressor(**settings)
        yield from _grow(trees, codes[fit], target[fit])
        wrong += float(np.square(trees.predict(codes[held_out]) - target[held_out]).sum())
        spread_of += float(np.square(target[held_out] - target[fit].mean()).sum())
        importance += trees.feature_importances_ / factor.targets.shape[1]
    return importance, 1 - wrong / max(spread_of, 1e-12)


def _grow(forest: Any, x: np.ndarray, y: np.ndarray) -> Generator[None, None, None]:
    for trees in range(TREES_AT_ONCE, TREES + 1, TREES_AT_ONCE):
        forest.set_params(n_estimators=trees).fit(x, y)
        yield


# ---------------------------------------------------------------------------------------------------------------------
# Of a run
# ---------------------------------------------------------------------------------------------------------------------


def disentanglement(
    path: Path, step: int | str | None = None, limit: int | None = None, split: str = "valid", seed: int = 0, job: str = ""
) -> Generator[Event, None, dict[str, Any]]:
    """MIG and DCI of a run's features (`encode`: a posterior's means, an embedding) on images of a split, as `eval` reports them.

    Raises:
        CannotAnswer: the method encodes nothing, or the data come without true factors. BadRun, BadData.
    """
    model = Model(Run.open(path), step)
    require_encoder(model)
    data = yield from open_run_data(model.run)
    measuring = measure_run(model, data, split, limit, seed)
    while True:
        try:
            done, total, unit = next(measuring)
        except StopIteration as end:
            return end.value.values
        yield Progress(job, str(path), done, total, unit, 0.0, None)


def require_encoder(model: Model) -> None:
    """Raises: CannotAnswer: the method has neither latents nor embeddings."""
    if model.spec.kind != "images" or not provides(model.method, Encoder):
        raise CannotAnswer(f"{model.method.title} has no latents and no embeddings, of which MIG and DCI are measured; choose another run.")


def measure_run(
    model: Model, data: DataSet, split: str, limit: int | None, seed: int
) -> Generator[tuple[int, int, str], None, Disentanglement]:
    """Encode images of a split, then `measure`; yields (done, total, unit). Raises: CannotAnswer."""
    method = model.method
    require_encoder(model)
    assert provides(method, Encoder)
    if data.factors is None:
        raise CannotAnswer(
            f"{data.name} comes without true factors, which MIG and DCI compare codes with; choose a run that was trained on “shapes”."
        )
    part = data.splits[split]
    rows = spread(part, limit)
    if len(rows) < FEWEST_IMAGES:
        raise CannotAnswer(f"MIG and DCI need at least {FEWEST_IMAGES} images, and there are {len(rows)}; look at more of them.")
    found = []
    for some in np.split(rows, range(ENCODED_AT_ONCE, len(rows), ENCODED_AT_ONCE)):
        with torch.inference_mode():
            found.append(method.encode(to_float(torch.from_numpy(part.take(some)))).double().numpy())
        yield sum(map(len, found)), len(rows), "image"
    codes = np.concatenate(found)
    if not np.isfinite(codes).all():
        raise CannotAnswer("Some features of this checkpoint are no finite numbers; choose an earlier step.")
    factors = true_factors({name: values[part.index[rows]] for name, values in data.factors.items()})
    measuring = measure(codes, factors, seed, None if part.groups is None else part.groups[rows])
    while True:
        try:
            done, total = next(measuring)
        except StopIteration as end:
            told: Disentanglement = end.value
            break
        yield done, total, "fit"
    values = {"step": model.step, "step_rule": model.step_rule, "split": split, "images": len(rows), **told.values}
    return Disentanglement(values, told.information, told.importance)
