"""What a detector is. Every file in `engine/detectors/` holds one or several subclasses of `Detector`; nothing lists them by hand.

A detector knows a method and batches of images: no file, no run folder, no thread. Where its models and its training images
come from is the business of `engine.queries.calibrated_detectors`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.common.pixels import to_float, to_uint8
from engine.losses.likelihoods import Estimate, image_generators, iwae
from engine.messages import DetectorInfo
from engine.method import Method
from engine.protocols import Density, ImportanceWeighted, ProbabilityFlow, provides

SEED = 0  # of all noise in scores, unless another is asked for; an image's own noise comes from this and its content
SAMPLES = 64  # importance samples per image, where a density has them
FEATURES_AT_ONCE = 32  # images encoded or classified between two yields
WEIGHED_AT_ONCE = 8  # images of a batch where importance samples make each dear
FIT_IMAGES = 10_000  # training images whose features are compared with
DECODES_AT_ONCE = 128  # codes decoded between two yields
WAIT_SECONDS = 0.005  # for another thread, between two yields

Steps = Generator[None, None, Tensor]
Result = TypeVar("Result")


MUTATED, LOCAL = "mutated", "local"  # kinds of background models (`engine.training.background_models`)
LOCAL_SIDE = 16  # pixels; what a local model sees is six rows and nine columns, and in a smaller image that is nearly all


def background_kinds(method: Any) -> tuple[str, ...]:
    """Which background models a method of images can be compared with."""
    if method.density == "none":
        return ()
    local = method.pixel_levels and min(method.data.shape[1:]) >= LOCAL_SIDE
    return (MUTATED, LOCAL) if local else (MUTATED,)


@dataclass
class ScoredModel:
    """What is asked about images: a checkpoint's method and, where there are any, its companions."""

    method: Any  # eval mode, full precision, weights without gradients
    samples: int = SAMPLES
    seed: int = SEED  # of the noise in scores
    backgrounds: dict[str, Any] = field(default_factory=dict)  # kind of background model -> its method
    lacking: dict[str, tuple[str, str]] = field(default_factory=dict)  # kind -> what is missing, remedy as in `DetectorInfo`
    others: Sequence[Any] = ()  # runs of other seeds, equal in all else
    others_are: str = ""  # in words: “3 runs of different seeds: …”
    others_missing: str = ""  # why there are none, and what to do: one sentence
    facts: dict[str, str] = field(default_factory=dict)  # content hashes of the companions: part of what names a kept score

    def can(self, protocol: type) -> bool:
        """Whether the model's method provides a protocol of `engine.protocols`."""
        return provides(self.method, protocol)

    @property
    def has_density(self) -> bool:
        """Whether the model gives log p(x) or a bound on it."""
        return self.method.density != "none" and self.can(Density)

    @property
    def batch_size(self) -> int:
        """Images of one batch. It follows from the method alone, so that the same images always have the same numbers."""
        size = min(self.method.valid_slice, FEATURES_AT_ONCE)
        return min(size, WEIGHED_AT_ONCE) if self.can(ImportanceWeighted) else size

    def batches(self, images: np.ndarray) -> list[ImageBatch]:
        """Images uint8 [N, C, H, W] in small batches."""
        size = self.batch_size
        return [ImageBatch(self.method, images[start : start + size], self.samples, self.seed) for start in range(0, len(images), size)]


class ImageBatch:
    """A batch of images as all detectors see it. What several of them need is computed once."""

    def __init__(self, method: Any, images: np.ndarray, samples: int = SAMPLES, seed: int = SEED) -> None:
        """images: uint8 [B, C, H, W]."""
        self.method, self.images, self.samples, self.seed = method, images, samples, seed
        self.x = to_float(torch.from_numpy(np.array(images)))

    @cached_property
    def bounds(self) -> DensityBounds:
        """The best estimate of log p(x) and, from the same posterior samples, the ELBO."""
        return finish(density_steps(self.method, self.x, self.samples, self.seed))

    def prepare(self) -> Generator[None, None, None]:
        """Compute `bounds` in pieces, with a yield after each."""
        if "bounds" not in self.__dict__:
            self.__dict__["bounds"] = yield from density_steps(self.method, self.x, self.samples, self.seed)

    @property
    def log_p(self) -> Tensor:
        """log p(x) or the best bound on it, nats [B]."""
        return self.bounds.log_p

    @property
    def log_p_error(self) -> Tensor | None:
        """How far `log_p` may be off, as `DensityBounds.error`."""
        return self.bounds.error

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound on log p(x), nats [B]."""
        return self.bounds.elbo

    @cached_property
    def logits(self) -> Tensor:
        """The classifier's logits, float64 [B, K]."""
        return self.method.classify(self.x).double()  # [B, K]

    @cached_property
    def features(self) -> Tensor:
        """The encoder's features, float64 [B, D]."""
        return self.method.encode(self.x).double()  # [B, D]

    @cached_property
    def coded(self) -> tuple[np.ndarray, int]:
        """The images whose probability log p is, as whole numbers uint8 [B, C, H, W] below the number of levels that is given with them:
        black or white, or of fewer levels, where the model's are; 256 where they are continuous.
        """
        target = self.method.evaluate_target(self.x, image_generators(self.x, self.seed))
        levels = self.method.pixel_levels or 256
        return (to_uint8(target).int() * levels // 256).byte().numpy(), levels


class DensityBounds(NamedTuple):
    """What a model says about log p(x), float64 nats [B] each."""

    log_p: Tensor  # the best estimate or bound
    elbo: Tensor  # the same where there is no other
    error: Tensor | None  # standard error of log_p by a solver's steps and random directions; None where nothing is solved


def density_steps(method: Any, x: Tensor, samples: int = SAMPLES, seed: int = SEED) -> Generator[None, None, DensityBounds]:
    """log p(x) or the best bound on it, in the same way for every model it is compared with. x [B, C, H, W] -> nats [B]."""
    weights = provides(method, ImportanceWeighted)
    size = max(1, DECODES_AT_ONCE // samples if weights else method.valid_slice // 4)
    best, elbo, errors = [], [], []
    for start in range(0, len(x), size):
        piece = x[start : start + size]
        if weights:
            estimate = weighed(method, piece, samples, seed)
            best.append(estimate.log_p)
            elbo.append(estimate.elbo)
        elif provides(method, ProbabilityFlow):
            found = yield from method.log_prob_steps(piece, None, torch.Generator().manual_seed(seed))
            best.append(found.log_p)
            errors.append(found.error)
        else:
            best.append(method.log_prob(piece, None, torch.Generator().manual_seed(seed)).double())
        yield
    return DensityBounds(torch.cat(best), torch.cat(elbo if weights else best), torch.cat(errors) if errors else None)


def weighed(method: Any, x: Tensor, samples: int, seed: int = SEED) -> Estimate:
    """Bounds on log p(x) from `samples` importance weights per image; an image's noise depends on its content, not on its batch mates.
    x [B, C, H, W] -> nats [B].
    """
    own = image_generators(x, seed)
    target = method.evaluate_target(x, own)
    posterior = method.posterior(target)
    *_, last = iwae(lambda n: method.log_weights(target, posterior, n, own), samples, samples)
    return last


class TrainingImages:
    """Training images and, once somebody needed them, their features."""

    def __init__(self, images: np.ndarray, labels: np.ndarray | None) -> None:
        """images: uint8 [N, C, H, W]; labels: int64 [N]."""
        self.images, self.labels = images, labels
        self._features: Tensor | None = None

    def features(self, method: Any) -> Steps:
        """Yields between small batches; returns float64 [N, D]."""
        if self._features is None:
            rows = []
            for start in range(0, len(self.images), FEATURES_AT_ONCE):
                rows.append(ImageBatch(method, self.images[start : start + FEATURES_AT_ONCE]).features)
                yield
            self._features = torch.cat(rows)
        return self._features


class Detector:
    """One score for "does this image come from the training distribution?". High always means: unlike the training data.

    A subclass says what it needs (`suits`, `missing`), may `fit` on held-out or training images, and scores batches with
    `score`, or with `steps` when a batch takes longer than a few milliseconds. `value` is the same number as people read it.
    What was fitted is kept in `fitted`, plain arrays by name, so that it can be stored.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    # "exact" | "bound" | "none" (a difference of two is no density either) | "P(y|x)" | "features" | as the method's: "exact or bound"
    density: ClassVar[str]
    unit: ClassVar[str]
    score_unit: ClassVar[str] = ""  # where it is not the value's
    source: ClassVar[str]
    help: ClassVar[str]
    place: ClassVar[int] = 50  # in the table
    version: ClassVar[int] = 1  # counts up when its numbers change, so that kept scores are not taken for new ones
    direction: ClassVar[str] = "higher"  # which shown values are more unusual: "higher" | "lower"
    fits: ClassVar[bool] = (
        False  # on training images; never on those that p-values are counted against, or these would not be like new ones
    )

    def __init__(self, subject: ScoredModel) -> None:
        self.subject = subject
        self.method = subject.method
        self.fitted: dict[str, np.ndarray] = {}

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the method can have this score at all."""
        raise NotImplementedError

    def missing(self) -> str:
        """What this run lacks for it now, and what to do: one sentence, empty when it is ready."""
        return ""

    def remedy(self) -> str:
        """What one click can do about what is missing, as in `DetectorInfo`."""
        return ""

    def settings(self) -> dict[str, Any]:
        """All that the score depends on besides weights and images. JSON-able."""
        return {}

    def about(self) -> str:
        """The help text, with what is particular to this run."""
        return self.help

    def info(self) -> DetectorInfo:
        """What the panes and `list` say about this detector."""
        kind = self.method.density if self.density == "exact or bound" else self.density
        return DetectorInfo(
            self.name,
            self.title,
            kind,
            self.unit,
            self.source,
            self.about(),
            self.missing(),
            self.remedy(),
            self.score_unit,
            self.direction,
        )

    def fit(self, training: TrainingImages) -> Iterator[None]:
        """Fill `fitted`; yields between small batches."""
        yield from ()

    def score(self, look: ImageBatch) -> Tensor:
        """float64 [B]; high = unlike the training data."""
        raise NotImplementedError

    def steps(self, look: ImageBatch) -> Steps:
        """`score` in pieces, with a yield between them."""
        if self.density in ("P(y|x)", "features"):
            yield
        else:
            yield from look.prepare()
        return self.score(look)

    def error(self, look: ImageBatch) -> Tensor | None:
        """Standard error [B] that the arithmetic leaves in `score` of the same batch; None where there is none, or it is not known."""
        return None

    def value(self, score: float) -> float:
        """The number people know this score by."""
        return score


@cache
def all_detectors() -> dict[str, type[Detector]]:
    """Every detector by name, in the order of the table."""
    import engine.detectors

    found: list[type[Detector]] = []
    for module_info in pkgutil.iter_modules(engine.detectors.__path__):
        module = importlib.import_module(f"engine.detectors.{module_info.name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Detector) and value.__module__ == module.__name__ and "name" in vars(value)
        ]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.place, kind.name))}


def list_info(kind: type[Detector]) -> DetectorInfo:
    """A detector without a run."""
    return DetectorInfo(kind.name, kind.title, kind.density, kind.unit, kind.source, kind.help, "", "", kind.score_unit, kind.direction)


def finish(steps: Generator[Any, None, Result]) -> Result:
    """All the steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def aside(work: Callable[[], Result]) -> Generator[None, None, Result]:
    """One long call, computed by another thread on as many cores as this one has, with yields until it is done.

    Whoever gives up in the middle does not wait: the call ends by itself, and nobody hears of it.
    """
    threads = torch.get_num_threads()

    def run() -> Result:
        torch.set_num_threads(threads)
        return work()

    pool = ThreadPoolExecutor(1)
    try:
        found = pool.submit(run)
        while not found.done():
            wait([found], timeout=WAIT_SECONDS)
            yield
        return found.result()
    finally:
        pool.shutdown(wait=False)


def of(kind: type[Detector], method: Method, **companions: Any) -> Detector:
    """A detector around a method alone."""
    return kind(ScoredModel(method, **companions))
