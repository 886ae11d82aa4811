"""What a run is worth on held-out data: densities in nats and bits, texts in nats per symbol, classifiers in accuracy.

A generator of progress.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from engine.bases.text import windows
from engine.common.counting import number_of
from engine.common.intervals import standard_error
from engine.common.pixels import to_float
from engine.data import DataSet
from engine.data.splits import spread
from engine.data.tokens import unknown_in
from engine.detectors.base import finish
from engine.evaluation.bayes import UNIFORM, bayes, calibration, class_prior, given_each_class, marginal_error
from engine.losses.likelihoods import image_generators, iwae
from engine.messages import Event, Progress
from engine.protocols import (
    Classifier,
    Density,
    FramePredictor,
    ImportanceWeighted,
    ProbabilityFlow,
    RateDistortion,
    SymbolSequence,
    provides,
)
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_data import open_run_data
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.batches import text_of, tokens_of

Batch = TypeVar("Batch", np.ndarray, torch.Tensor)

DECODES = 8192  # images decoded at once while streaming: memory stays flat whatever K is
BATCH = 128
SOLVER_ERROR = "solver_error"  # of a probability flow: its name among the figures
RATE_SAMPLES = 64  # codes per image where a rate has no closed form
SYMBOLS = 8192  # of a text looked at between two yields


@dataclass(frozen=True)
class Evaluation:
    """What `eval` reports of one checkpoint."""

    step: int
    step_rule: str  # by which that checkpoint was taken
    images: int  # how many were scored; of a text 0
    values: dict[str, Any]  # as section "verbs" of the README names them
    stopped: str = ""  # one sentence where it ended before all were scored


def evaluate(
    path: Path,
    step: int | str | None = None,
    limit: int | None = None,
    k: int = 128,
    seed: int = 0,
    job: str = "",
    split: str = "test",
    prior: str = UNIFORM,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, Evaluation]:
    """Score the images of a split of the run's own data, or `limit` of them spread over it: eval mode, full precision, fixed seed.

    Densities report `nats` (the best estimate of -log p per image), `bits_per_dim`, `density` and, for latent variable
    models, `k` (importance samples; Burda et al. 2016, eq. 8) and `elbo_nats` (k = 1, same posterior samples), with its two parts
    `rate_nats` = KL(q(z|x) ∥ p(z)) and `distortion_nats` = E[-log p(x|z)]; of a probability flow without classes how far its
    solver may be off, `solver_error` in nats and `bits_per_dim_solver_error`. Class-conditional
    ones report p(x) and `nats_given_class`, and of Bayes' rule with the class prior `prior` (see `class_prior`) how often the class that
    it finds likeliest is the right one (`bayes_accuracy`), `bayes_log_loss` = -log p(y|x) in nats and `bayes_calibration`. Classifiers
    report `accuracy`, `log_loss` and `calibration`; the last, an expected calibration error, with its `calibration_limit`. Texts report
    `nats_per_token`, `bits_per_token`, `tokens` and `density`; `limit` then counts symbols, taken in blocks spread over the split. Of them
    `unknown_tokens` are in neither training nor validation text: each costs what the model gives the one unknown symbol, which of all
    others it is costs nothing, so that with any of them the figure is a little too low.
    Models of the next frame report p(x) of a frame alone, and `next_frame_nats` = -log p(x | four before) with `next_frame_bits_per_dim`.
    Every figure has its standard error beside it, as `nats_se`; images of one group count as one piece of evidence.

    Args:
        stop: asked after every batch whether to end there: what is scored by then, batches in an order drawn once, is what is reported.

    Raises:
        BadRun, BadData: one sentence each. CannotAnswer: the method has nothing to score. BadPrior. KeyboardInterrupt: it was to end
        while the data were read.
    """
    run = Run.open(path)
    if run.manifest is None:
        raise BadRun(run.fault)
    model = Model(run, step)
    data = yield from _until(stop, open_run_data(run, job))
    if data.kind == "text":
        return (yield from _text(model, data, limit, job, split, stop))
    held_out = data.splits[split]
    rows = spread(held_out, limit)
    log_prior = None
    if prior != UNIFORM:
        if not (model.method.conditional and model.method.density != "none"):
            raise CannotAnswer(f"{model.method.title} has no density p(x|y) that a prior over classes goes with; leave out --prior.")
        shares = class_prior(prior, model.spec.classes, data.splits["train"].labels)
        log_prior = torch.from_numpy(shares).log()
    if model.method.density == "none" and not provides(model.method, Classifier):
        raise CannotAnswer(f"{model.method.title} has no density and no classes, so there is nothing to score.")
    found: dict[str, list[np.ndarray]] = {}
    done, batch, scored = 0, max(1, min(BATCH, DECODES // min(k, DECODES))), []
    for some in _in_drawn_order(np.split(rows, range(batch, len(rows), batch))):
        x = to_float(torch.from_numpy(held_out.images[some]))
        y = None if held_out.labels is None else torch.from_numpy(held_out.labels[some])
        with torch.inference_mode():
            for name, value in _scores(model, x, y, k, seed, log_prior).items():
                found.setdefault(name, []).append(value.double().numpy())
            if provides(model.method, FramePredictor) and held_out.before is not None:
                given = model.method.log_prob(x, torch.from_numpy(held_out.before[some]), model.generator(seed))
                found.setdefault("next_frame_nats", []).append(-given.double().numpy())
        scored.append(some)
        done += len(some)
        yield Progress(job, str(path), done, len(rows), "image", 0.0, None)
        if stop():
            break
    stopped = _stopped(done, len(rows), "image")
    rows = np.concatenate(scored)
    order = rows.argsort(kind="stable")
    groups = None if held_out.groups is None else held_out.groups[rows[order]]
    each = {name: np.concatenate(parts)[order] for name, parts in found.items()}
    off = each.pop(SOLVER_ERROR, None)
    sure = {name: each.pop(name) for name in [*each] if name.endswith("confidence")}
    values: dict[str, Any] = {name: float(figures.mean()) for name, figures in each.items()}
    values |= {f"{name}_se": standard_error(figures, groups) for name, figures in each.items()}
    for name, confidence in sure.items():
        of = name.removesuffix("confidence")  # whose: "bayes_" or the classifier's
        values |= {f"{of}{key}": value for key, value in calibration(confidence, each[f"{of}accuracy"], groups, seed).items()}
    if log_prior is not None:
        values["prior"] = [round(float(share), 6) for share in log_prior.exp()]
    if "nats" in values:
        values |= _bits(model, values)
        values["density"] = model.method.density
        if off is not None:  # the same way in every image, so it does not average out
            values |= {SOLVER_ERROR: float(off.mean()), f"bits_per_dim_{SOLVER_ERROR}": float(off.mean()) / model.spec.dims / math.log(2)}
        if provides(model.method, ImportanceWeighted):
            values["k"] = k
    return Evaluation(model.step, model.step_rule, len(rows), values, stopped)


def _until(stop: Callable[[], bool], reading: Generator[Event, None, DataSet]) -> Generator[Event, None, DataSet]:
    """The data, unless it is to end before they are there. Raises: KeyboardInterrupt."""
    with contextlib.closing(reading):
        while True:
            try:
                event = next(reading)
            except StopIteration as end:
                return end.value
            yield event
            if stop():
                raise KeyboardInterrupt("It was stopped before anything was scored.")


def _in_drawn_order(batches: Sequence[Batch]) -> list[Batch]:
    """The batches in an order that is always the same, the last one last: however far one comes, it is no head of a sorted split."""
    return [batches[place] for place in np.random.default_rng(0).permutation(len(batches) - 1)] + [batches[-1]]


def _stopped(done: int, of: int, unit: str) -> str:
    """One sentence where less than all was scored."""
    return f"Stopped after {done:,} of {number_of(of, unit)}; the figures are of those." if done < of else ""


def _text(
    model: Model, data: DataSet, limit: int | None, job: str, split: str, stop: Callable[[], bool]
) -> Generator[Event, None, Evaluation]:
    """Every symbol of a split once, or of blocks spread over it, each with between context/2 and context - 1 symbols before it.

    The first ones are told from the end of the part before it. Text is read in windows that overlap by half, and
    the second half of each counts.
    """
    method = model.method
    if not provides(method, SymbolSequence):
        raise CannotAnswer(f"{method.title} cannot say how likely a text is; choose a run of a method that can.")
    context: int = method.length
    half = context // 2
    told = tokens_of(data, split, model.spec)
    strange = unknown_in(text_of(data, split), model.spec.symbols, model.spec.units)
    former = {"test": "valid", "valid": "train"}.get(split)
    before = (
        tokens_of(data, former, model.spec)[-half:] if former else np.zeros(half, np.int64)
    )  # at least a window, or training had refused
    read = windows(torch.from_numpy(np.concatenate([before, told]))[None], context)[0]  # [W, context]
    stride = context - half  # symbols of a window that count
    count = len(told) if limit is None else min(limit, len(told))
    take = -(-count // stride)
    rows = torch.arange(-(-len(told) // stride))
    if take < len(rows):
        rows = ((torch.arange(take) + 0.5) * len(rows) / take).long()
    blocks: list[torch.Tensor] = []  # nats of the symbols of each block
    unknown = 0
    done, batch = 0, max(1, SYMBOLS // context)
    for part in _in_drawn_order(rows.split(batch)):
        with torch.inference_mode():
            log_p = method.log_probs(read[part])[:, half:].double()
        for row, some in zip(part.tolist(), log_p, strict=True):
            blocks.append(-some[: min(len(told) - row * stride, count - done)])  # what hangs over the end was never there
            unknown += int(strange[row * stride :][: len(blocks[-1])].sum())
            done += len(blocks[-1])
        yield Progress(job, str(model.run.path), done, count, "symbol", 0.0, None)
        if stop():
            break
    each = torch.cat(blocks).numpy()
    nats = float(each.mean())
    error = standard_error(each, np.repeat(np.arange(len(blocks)), [len(block) for block in blocks]))
    values = {"nats_per_token": nats, "bits_per_token": nats / math.log(2), "tokens": done, "unknown_tokens": unknown}
    values["density"] = model.method.density
    values |= {"nats_per_token_se": error, "bits_per_token_se": error / math.log(2)}
    return Evaluation(model.step, model.step_rule, 0, values, _stopped(done, count, "symbol"))


def _scores(
    model: Model, x: torch.Tensor, y: torch.Tensor | None, k: int, seed: int, log_prior: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """The figures of each image [B]."""
    method = model.method
    found = {}
    if provides(method, ImportanceWeighted):
        own = image_generators(x, seed)  # an image's noise depends on its content, not on its batch mates
        target = method.evaluate_target(x, own)
        posterior = method.posterior(target)
        *_, last = iwae(lambda n: method.log_weights(target, posterior, n, own), k, max(1, DECODES // len(x)))
        found["nats"] = -last.log_p
        found["elbo_nats"] = -last.elbo
        if provides(method, RateDistortion):
            found["rate_nats"] = method.rate(target, own, RATE_SAMPLES).double()
            found["distortion_nats"] = found["elbo_nats"] - found["rate_nats"]
    elif method.density != "none" and provides(method, Density) and method.conditional:
        given = given_each_class(method, x, len(model.spec.classes), seed)
        rule = bayes(given.log_p, log_prior)
        found["nats"] = -rule.log_marginal
        if given.solver_error is not None:
            found[SOLVER_ERROR] = marginal_error(given.solver_error, rule.log_posterior)
        if y is not None:
            found["nats_given_class"] = -given.log_p.gather(1, y.long()[:, None])[:, 0]
            found |= _answered(rule.log_posterior, y, "bayes_")
    elif method.density != "none" and provides(method, ProbabilityFlow):
        told = finish(method.log_prob_steps(x, None, model.generator(seed)))
        found |= {"nats": -told.log_p, SOLVER_ERROR: told.solver_error}
    elif method.density != "none" and provides(method, Density):
        found["nats"] = -method.log_prob(x, None, model.generator(seed))
    if provides(method, Classifier) and y is not None:
        found |= _answered(method.classify(x).double().log_softmax(1), y)
    return found


def _answered(log_p: torch.Tensor, y: torch.Tensor, of: str = "") -> dict[str, torch.Tensor]:
    """Whether the likeliest class is the right one, -log p of the right one and the probability of the likeliest [B], of log p [B, K]."""
    sure, answer = log_p.max(1)
    loss = -log_p.gather(1, y.long()[:, None])[:, 0]
    return {f"{of}accuracy": answer == y, f"{of}log_loss": loss, f"{of}confidence": sure.exp()}


def _bits(model: Model, values: dict[str, Any]) -> dict[str, float]:
    """Bits per dimension, as the method counts them (a continuous density is moved to the 8-bit scale)."""
    names = {
        "nats": "bits_per_dim",
        "elbo_nats": "elbo_bits_per_dim",
        "next_frame_nats": "next_frame_bits_per_dim",
        "distortion_nats": "distortion_bits_per_dim",
    }
    bits_per_dim = model.method.bits_per_dim
    found = {bits: bits_per_dim(values[nats]) for nats, bits in names.items() if nats in values}
    for nats, bits in names.items():
        if nats in values:
            found[f"{bits}_se"] = abs(bits_per_dim(values[nats] + values[f"{nats}_se"]) - found[bits])  # bits are linear in nats
    return found
