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

from engine.config import Training, setting
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Method, StepContext
from engine.nets.resnet import ResNet
from engine.precision import full

CALIBRATION_BINS = 15  # Guo et al. 2017, section 5
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
    weight_decay: float = setting(0.02, "Shrinking of the weights (AdamW), never of biases and norms.", low=0.0, high=1.0, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class ImageClassifier(Method):
    """A residual network trained with cross-entropy."""

    Config = Config
    title = "Classifier"
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
        return f"{100 * terms['accuracy']:.1f} % right"

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
        accuracy, gap = right.double().mean().item(), calibration_gap(confidence, right)
        nats = F.cross_entropy(logits, y).item()
        numbers = (
            Number(
                "right answers", 100 * accuracy, "%", 1, f"Of {len(y)} held-out images; guessing would give {100 / logits.shape[1]:.0f} %."
            ),
            Number("cross-entropy", nats, "nat", 3, f"−log p(true class) per image; {math.log(logits.shape[1]):.2f} knows nothing."),
            sure,
            Number(
                "calibration gap", 100 * gap, "%", 1, "How far confidence and share of right answers lie apart, over 15 bins of confidence."
            ),
        )
        return Description(numbers, diagnose(accuracy, confidence.mean().item(), gap, logits.shape[1], len(y)))


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


def calibration_gap(confidence: Tensor, right: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): Σ_b (n_b / n) |accuracy_b - confidence_b| over bins ((b - 1)/B, b/B].

    Args:
        confidence: probability of the answer given [N].
        right: whether it was right [N], bool.
    """
    place = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    surplus = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    surplus.index_add_(0, place, right.double() - confidence.double())
    return surplus.abs().sum().item() / len(confidence)


def diagnose(accuracy: float, confidence: float, gap: float, classes: int, images: int) -> tuple[Diagnosis, ...]:
    """What the numbers of a checkpoint mean, in words.

    - right answers within two standard deviations of guessing: bad.
    - confidence above accuracy by more than 5 points, and a gap as large: over-confident; warning. Below it: too careful; warning.
    - else the confidence can be read as a chance of being right: good.
    """
    chance = 1 / classes
    spread = math.sqrt(chance * (1 - chance) / images)
    if accuracy < chance + 2 * spread:
        return (Diagnosis("bad", f"{100 * accuracy:.0f} % right is no more than guessing among {classes} classes: train longer."),)
    said = f"It is right in {100 * accuracy:.1f} % and claims {100 * confidence:.1f} %"
    if gap > 0.05 and confidence > accuracy:
        return (Diagnosis("warning", f"{said}: over-confident. Label smoothing, more augmentation or a shorter training would temper it."),)
    if gap > 0.05:
        return (
            Diagnosis("warning", f"{said}: it is surer of itself than it says. Less label smoothing or a longer training would free it."),
        )
    return (Diagnosis("good", f"{said}: on data like these its confidence can be read as a chance of being right. On others it cannot."),)
