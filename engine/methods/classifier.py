"""Classifier P(y|x): a small residual network (He et al. 2016) and the cross-entropy of the true class.

Cross-entropy is in nats, averaged over images. Calibration follows Guo et al. 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.common.counting import number_of
from engine.common.intervals import share_interval
from engine.config import WEIGHT_DECAY, Training, setting
from engine.losses.calibration import calibration_error, calibration_limit
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Method, StepContext
from engine.nets.resnet import ResNet
from engine.precision import full

LEAST_ERROR = 0.01  # an ECE not worth a word, however well it is shown
FINE = 0.1  # where chance alone gives more, calibration cannot be judged
KNOWS = 0.2  # share of the way from chance to 1 below which an accuracy is at the level of chance
SHIFT = 1 / 28  # of the longer side: 1 of 28 pixels; 2 cost 3 points of Fashion-MNIST accuracy after the first epoch


@dataclass(frozen=True)
class Config(Training):
    width: int = setting(
        32, "Channels of the first stage; the next two have twice and four times as many.", low=4, high=256, unit="channels"
    )
    blocks: int = setting(1, "Residual blocks in each of the three stages.", low=1, high=8, unit="blocks")
    label_smoothing: float = setting(
        0.0, "Share of the target that is spread evenly over all classes.", low=0.0, high=0.5, group="Objective"
    )
    augmentation: str = setting(
        "shift",
        "What is done to training images: nothing, a small random shift, or a shift and a mirror image in half of the cases.",
        choices=("none", "shift", "shift_and_flip"),
        group="Objective",
    )
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    weight_decay: float = setting(0.02, WEIGHT_DECAY, low=0.0, high=1.0, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class ImageClassifier(Method):
    """A residual network trained with cross-entropy."""

    Config = Config
    title = "Classifier"
    largest_side = 256
    family = "Supervised P(y|x)"
    source = "He, Zhang, Ren and Sun, Identity Mappings in Deep Residual Networks, ECCV 2016 (arXiv 1603.05027)"
    summary = (
        "A network looks at an image and spreads its belief over the classes it was taught. "
        "It learns what tells classes apart, not what images look like: it must answer even for what it has never seen, "
        "and may be sure of it."
    )
    formula = "min −log p(y|x), &nbsp; p(y|x) = softmax(f(x))<sub>y</sub>"
    headline = ("accuracy", "", True)
    units: ClassVar = {"loss": "nat", "cross_entropy": "nat"}
    wants_labels = True
    needs = "classes"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        if len(data.classes) < 2:
            raise CannotLearn("A classifier needs images of at least two named classes; choose a data set with classes.")
        self.network = ResNet(data.shape, config.width, config.blocks)
        self.head = nn.Linear(self.network.features, len(data.classes))

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: cross-entropy with smoothed labels. `cross_entropy`: with the labels as they are. `accuracy`: share of right answers.
        x [B, C, H, W], y int64 [B] -> scalars []. Raises: CannotLearn: no labels.
        """
        if y is None:
            raise CannotLearn("A classifier learns from images with classes, and these have none; choose a data set with classes.")
        if self.training and self.config.augmentation != "none":
            x = augmented(x, context.generator, flip=self.config.augmentation == "shift_and_flip")
        logits = self._logits(x)
        with full(x.device):
            plain = F.cross_entropy(logits, y)
            smooth = F.cross_entropy(logits, y, label_smoothing=self.config.label_smoothing)
            return {"loss": smooth, "cross_entropy": plain, "accuracy": (logits.argmax(1) == y).to(logits.dtype).mean()}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The accuracy as the list of runs shows it."""
        return f"{100 * terms['accuracy']:.1f} % accuracy"

    def _logits(self, x: Tensor) -> Tensor:
        features = self._features(x)
        with full(x.device):
            return self.head(features)

    def _features(self, x: Tensor) -> Tensor:
        features = self.network(x)
        return features.float() if features.dtype in (torch.bfloat16, torch.float16) else features

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def classify(self, x: Tensor) -> Tensor:
        """Unnormalized log p(y|x) [B, K]."""
        with full(x.device):
            return self._logits(x)

    def encode(self, x: Tensor) -> Tensor:
        """What the last layer looks at [B, 4 width]."""
        with full(x.device):
            return self._features(x)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Confidence on held-out images x [N, C, H, W] and, with labels y int64 [N], accuracy and calibration."""
        logits = self.classify(x)
        confidence, answers = logits.softmax(1).max(1)
        sure = Number("mean confidence", 100 * confidence.mean().item(), "%", 1, "The probability it gives its own answer, on average.")
        if y is None:
            return Description((sure,))
        right = answers == y
        accuracy, mean, ece = right.double().mean().item(), confidence.double().mean().item(), calibration_error(confidence, right)
        limit = calibration_limit(confidence, torch.Generator().manual_seed(0))
        constant = max(1 / logits.shape[1], y.bincount().max().item() / len(y))
        nats = F.cross_entropy(logits, y).item()
        numbers = (
            Number(
                "accuracy",
                100 * accuracy,
                "%",
                1,
                f"Of {number_of(len(y), 'held-out image')}; always the commonest class: {100 * constant:.0f} %.",
            ),
            Number("cross-entropy", nats, "nat", 3, f"−log p(true class) per image; {math.log(logits.shape[1]):.2f} knows nothing."),
            sure,
            Number(
                "ECE",
                100 * ece,
                "%",
                1,
                "Expected calibration error over 15 bins of confidence: mean distance of confidence and accuracy. A "
                f"perfectly calibrated classifier stays below {100 * limit:.1f} % in 95 % of samples of so many images.",
            ),
        )
        words = diagnose(Calibration(accuracy, mean, ece, limit), constant, len(y), self.config.label_smoothing > 0)
        return Description(numbers, words)


def augmented(x: Tensor, generator: torch.Generator | None, flip: bool) -> Tensor:
    """Every image moved by up to SHIFT of its longer side in each direction, its edge repeated; mirrored in half of the cases. x [B, C,
    H, W].
    """
    batch, _, height, width = x.shape
    reach = max(1, round(SHIFT * max(height, width)))
    device = x.device if generator is None else generator.device

    def drawn(low: int, high: int) -> Tensor:  # [B, 1]
        return torch.randint(low, high, (batch, 1), generator=generator, device=device).to(x.device)

    rows = (torch.arange(height, device=x.device) + drawn(-reach, reach + 1)).clamp(0, height - 1)  # [B, H]
    columns = (torch.arange(width, device=x.device) + drawn(-reach, reach + 1)).clamp(0, width - 1)  # [B, W]
    if flip:
        columns = torch.where(drawn(0, 2).bool(), width - 1 - columns, columns)
    image, channel = (torch.arange(size, device=x.device) for size in x.shape[:2])
    return x[image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]  # [B, C, H, W]


@dataclass(frozen=True)
class Calibration:
    """Accuracy and confidence on held-out images, as shares."""

    accuracy: float
    confidence: float  # the mean
    ece: float
    limit: float  # that the ECE of a perfectly calibrated classifier exceeds in 5 % of samples


def diagnose(c: Calibration, chance: float, images: int, smoothed: bool) -> tuple[Diagnosis, ...]:
    """What the numbers of a checkpoint mean, in words.

    - accuracy shown to be at the level of chance (`share_interval` below chance and a fifth of the way to 1): bad. Not told from chance
      on so few images: nothing can be said.
    - ECE above the 95 % limit of a calibrated classifier, and above a point: over-confident or under-confident; warning.
    - else calibrated as far as these images can tell: good, unless they could not tell ten points.

    Args:
        chance: accuracy of always answering the commonest class.
        smoothed: whether labels are smoothed in training.
    """
    low, high = share_interval(c.accuracy * images, images)
    if low <= chance:
        if high < chance + KNOWS * (1 - chance):
            return (Diagnosis("bad", f"{100 * c.accuracy:.0f} % accuracy is at the level of chance ({100 * chance:.0f} %): train longer."),)
        few = number_of(images, "held-out image is", "held-out images are")
        told = f"{few} too few to tell its accuracy of {100 * c.accuracy:.0f} % from chance ({100 * chance:.0f} %)."
        return (Diagnosis("muted", told),)
    said = f"Accuracy {100 * c.accuracy:.1f} %, mean confidence {100 * c.confidence:.1f} %"
    if c.ece > max(c.limit, LEAST_ERROR) and c.confidence > c.accuracy:
        more = "More label smoothing" if smoothed else "Label smoothing"
        return (Diagnosis("warning", f"{said}: over-confident. {more}, more augmentation or a shorter training would temper it."),)
    if c.ece > max(c.limit, LEAST_ERROR):
        remedy = "Less label smoothing or a longer training" if smoothed else "A longer training"
        return (Diagnosis("warning", f"{said}: under-confident. {remedy} would raise its confidence."),)
    if c.limit > FINE:
        return (
            Diagnosis(
                "muted", f"{said}. {number_of(images, 'held-out image is', 'held-out images are')} too few to judge the calibration."
            ),
        )
    return (
        Diagnosis("good", f"{said}: calibrated as far as {number_of(images, 'held-out image')} can tell. This says nothing of other data."),
    )
