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
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.common.pixels import to_float, to_uint8
from engine.losses.likelihoods import Estimate, image_generators, iwae
from engine.messages import DetectorInfo
from engine.method import Method
from engine.protocols import Density, ImportanceWeighted, provides

SEED = 0  # of all noise in scores; an image's own noise comes from this and its content
SAMPLES = 64  # importance samples per image, where a density has them
FEATURES_AT_ONCE = 32  # images encoded or classified between two yields
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
    backgrounds: dict[str, Any] = field(default_factory=dict)  # kind of background model -> its method
    lacking: dict[str, tuple[str, str]] = field(default_factory=dict)  # kind -> what is missing, remedy as in `DetectorInfo`
    others: Sequence[Any] = ()  # the same method at other steps or of other seeds
    others_are: str = ""  # in words: “checkpoints 512, 1,024”
    others_missing: str = "It needs a second checkpoint or a second run of the same method and data."
    facts: dict[str, str] = field(default_factory=dict)  # content hashes of the companions: part of what names a kept score

    def can(self, protocol: type) -> bool:
        """Whether the model's method provides a protocol of `engine.protocols`."""
        return provides(self.method, protocol)

    @property
    def has_density(self) -> bool:
        """Whether the model gives log p(x) or a bound on it."""
        return self.method.density != "none" and self.can(Density)


class ImageBatch:
    """A batch of images as all detectors see it. What several of them need is computed once."""

    def __init__(self, method: Any, images: np.ndarray, samples: int = SAMPLES) -> None:
        """images: uint8 [B, C, H, W]."""
        self.method, self.images, self.samples = method, images, samples
        self.x = to_float(torch.from_numpy(np.array(images)))

    @cached_property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The best estimate of log p(x) and, from the same posterior samples, the ELBO; float64 nats, [B] each."""
        return finish(density_steps(self.method, self.x, self.samples))

    def prepare(self) -> Generator[None, None, None]:
        """Compute `bounds` in pieces, with a yield after each."""
        if "bounds" not in self.__dict__:
            self.__dict__["bounds"] = yield from density_steps(self.method, self.x, self.samples)

    @property
    def log_p(self) -> Tensor:
        """log p(x) or the best bound on it, nats [B]."""
        return self.bounds[0]

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound on log p(x), nats [B]."""
        return self.bounds[1]

    @cached_property
    def logits(self) -> Tensor:
        """The classifier's logits, float64 [B, K]."""
        return self.method.classify(self.x).double()  # [B, K]

    @cached_property
    def features(self) -> Tensor:
        """The encoder's features, float64 [B, D]."""
        return self.method.encode(self.x).double()  # [B, D]

    @cached_property
    def coded(self) -> np.ndarray:
        """The images whose probability log p is, uint8 [B, C, H, W]: of fewer levels, or black and white, where the model's are."""
        return to_uint8(self.method.evaluate_target(self.x, image_generators(self.x, SEED))).numpy()


def density_steps(method: Any, x: Tensor, samples: int = SAMPLES) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """log p(x) or the best bound on it, and the ELBO where there is another; in the same way for every model it is compared with. x [B,
    C, H, W] -> two tensors of nats [B].
    """
    weights = provides(method, ImportanceWeighted)
    size = max(1, DECODES_AT_ONCE // samples if weights else method.valid_slice // 4)
    best, elbo = [], []
    for start in range(0, len(x), size):
        piece = x[start : start + size]
        if weights:
            estimate = weighed(method, piece, samples)
            best.append(estimate.log_p)
            elbo.append(estimate.elbo)
        else:
            best.append(method.log_prob(piece, None, torch.Generator().manual_seed(SEED)).double())
        yield
    return torch.cat(best), torch.cat(elbo if weights else best)


def weighed(method: Any, x: Tensor, samples: int) -> Estimate:
    """Bounds on log p(x) from `samples` importance weights per image; an image's noise depends on its content, not on its batch mates.
    x [B, C, H, W] -> nats [B].
    """
    own = image_generators(x, SEED)
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
    density: ClassVar[str]  # "exact" | "bound" | "exact or bound" (the method's) | "P(y|x)" | "features"
    unit: ClassVar[str]
    score_unit: ClassVar[str] = ""  # where it is not the value's
    source: ClassVar[str]
    help: ClassVar[str]
    place: ClassVar[int] = 50  # in the table
    version: ClassVar[int] = 1  # counts up when its numbers change, so that kept scores are not taken for new ones
    fits_on: ClassVar[str] = ""  # "known" (held-out images) | "training"

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
            self.name, self.title, kind, self.unit, self.source, self.about(), self.missing(), self.remedy(), self.score_unit
        )

    def fit(self, known: Sequence[ImageBatch], training: TrainingImages) -> Iterator[None]:
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
    return DetectorInfo(kind.name, kind.title, kind.density, kind.unit, kind.source, kind.help)


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
