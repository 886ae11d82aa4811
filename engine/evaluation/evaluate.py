"""What a run is worth on held-out data: densities in nats and bits, texts in nats per symbol, classifiers in accuracy.

A generator of progress.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.bases.text import windows
from engine.common.pixels import to_float
from engine.data import DataSet, open_data
from engine.evaluation.bayes import bayes, given_each_class
from engine.losses.likelihoods import image_generators, iwae
from engine.messages import Progress
from engine.protocols import Classifier, Density, ImportanceWeighted, SymbolSequence, provides
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_data import require_same_data
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.batches import tokens_of

DECODES = 8192  # images decoded at once while streaming: memory stays flat whatever K is
BATCH = 128
SYMBOLS = 8192  # of a text looked at between two yields


@dataclass(frozen=True)
class Evaluation:
    """What `eval` reports of one checkpoint."""

    step: int
    step_rule: str  # by which that checkpoint was taken
    images: int  # how many were scored; of a text 0
    values: dict[str, Any]  # as section "verbs" of the README names them


def evaluate(
    path: Path, step: int | str | None = None, limit: int | None = None, k: int = 128, seed: int = 0, job: str = "", split: str = "test"
) -> Generator[Progress, None, Evaluation]:
    """Score the images of a split of the run's own data, or the first `limit` of them: eval mode, full precision, fixed seed.

    Densities report `nats` (the best estimate of -log p per image), `bits_per_dim`, `density` and, for latent variable
    models, `k` (importance samples; Burda et al. 2016, eq. 8) and `elbo_nats` (k = 1, same posterior samples). Class-conditional
    ones report p(x) with all classes equally likely, `nats_given_class`, and `bayes_accuracy`: how often the class that Bayes' rule
    finds likeliest is the right one. Texts report
    `nats_per_token`, `bits_per_token`, `tokens` and `density`; `limit` then counts symbols.

    Raises:
        BadRun, BadData: one sentence each. CannotAnswer: the method has nothing to score.
    """
    run = Run.open(path)
    if run.manifest is None:
        raise BadRun(run.fault)
    model = Model(run, step)
    data = open_data(run.manifest.data)
    require_same_data(run.manifest, run.path.name, data.hash, former_hash=data.former_hash)
    if data.kind == "text":
        return (yield from _text(model, data, limit, job, split))
    some = data.splits[split]
    chosen = np.arange(len(some))[:limit]
    if model.method.density == "none" and not provides(model.method, Classifier):
        raise CannotAnswer(f"{model.method.title} has no density and no classes, so there is nothing to score.")
    total: dict[str, float] = {}
    batch = max(1, min(BATCH, DECODES // min(k, DECODES)))
    for start in range(0, len(chosen), batch):
        rows = chosen[start : start + batch]
        x = to_float(torch.from_numpy(np.array(some.images[rows])))
        y = None if some.labels is None else torch.from_numpy(np.array(some.labels[rows]))
        with torch.inference_mode():
            for name, value in _scores(model, x, y, k, seed).items():
                total[name] = total.get(name, 0.0) + value
        yield Progress(job, str(path), min(start + batch, len(chosen)), len(chosen), "image", 0.0, None)
    values: dict[str, Any] = {name: value / len(chosen) for name, value in total.items()}
    if "nats" in values:
        values |= _bits(model, values)
        values["density"] = model.method.density
        if provides(model.method, ImportanceWeighted):
            values["k"] = k
    return Evaluation(model.step, model.step_rule, len(chosen), values)


def _text(model: Model, data: DataSet, limit: int | None, job: str, split: str) -> Generator[Progress, None, Evaluation]:
    """Every symbol of a split once, each with between context/2 and context - 1 symbols before it.

    The first ones are told from the end of the part before it. Text is read in windows that overlap by half, and
    the second half of each counts.
    """
    method = model.method
    if not provides(method, SymbolSequence):
        raise CannotAnswer(f"{method.title} cannot say how likely a text is; choose a run of a method that can.")
    context: int = method.length
    half = context // 2
    test = tokens_of(data, split, model.spec)[:limit]
    before = tokens_of(data, {"test": "valid", "valid": "train"}[split], model.spec)[
        -half:
    ]  # there is at least a whole window, or training had refused the text
    read = windows(torch.from_numpy(np.concatenate([before, test]))[None], context)[0]  # [W, context]
    nats, done, batch = 0.0, 0, max(1, SYMBOLS // context)
    for part in read.split(batch):
        with torch.inference_mode():
            log_p = method.log_probs(part)[:, half:].flatten()[: len(test) - done]  # what hangs over the end was never there
        nats -= float(log_p.double().sum())
        done += len(log_p)
        yield Progress(job, str(model.run.path), done, len(test), "symbol", 0.0, None)
    values = {"nats_per_token": nats / done, "bits_per_token": nats / done / math.log(2), "tokens": done, "density": model.method.density}
    return Evaluation(model.step, model.step_rule, 0, values)


def _scores(model: Model, x: torch.Tensor, y: torch.Tensor | None, k: int, seed: int) -> dict[str, float]:
    method = model.method
    sums = {}
    if provides(method, ImportanceWeighted):
        own = image_generators(x, seed)  # an image's noise depends on its content, not on its batch mates
        target = method.evaluate_target(x, own)
        posterior = method.posterior(target)
        *_, last = iwae(lambda n: method.log_weights(target, posterior, n, own), k, max(1, DECODES // len(x)))
        sums["nats"] = -float(last.log_p.sum())
        sums["elbo_nats"] = -float(last.elbo.sum())
    elif method.density != "none" and provides(method, Density) and method.conditional:
        given = given_each_class(method, x, len(model.spec.classes), seed)
        rule = bayes(given)
        sums["nats"] = -float(rule.log_marginal.sum())
        if y is not None:
            sums["nats_given_class"] = -float(given.gather(1, y.long()[:, None]).sum())
            sums["bayes_accuracy"] = float((rule.log_posterior.argmax(1) == y).sum())
    elif method.density != "none" and provides(method, Density):
        sums["nats"] = -float(method.log_prob(x, None, model.generator(seed)).double().sum())
    if provides(method, Classifier) and y is not None:
        sums["accuracy"] = float((method.classify(x).argmax(1) == y).sum())
    return sums


def _bits(model: Model, values: dict[str, Any]) -> dict[str, float]:
    """Bits per dimension, as the method counts them (a continuous density is moved to the 8-bit scale)."""
    names = {"nats": "bits_per_dim", "elbo_nats": "elbo_bits_per_dim"}
    return {bits: model.method.bits_per_dim(values[nats]) for nats, bits in names.items() if nats in values}
