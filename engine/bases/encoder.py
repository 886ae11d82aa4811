"""What all methods have in common that learn an encoder without labels: its settings, what it can do, and how its features are doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import Training, setting
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Method
from engine.nets.encoders import KINDS, encoder
from engine.nets.vit import ViT
from engine.precision import full

FAINT = 0.1  # spread below this share of what independent features have: all images look nearly alike
FEWEST = 8  # images to judge features by
SHARES = {"top1_retrieval": "top-1 retrieval", "accuracy": "accuracy"}  # headline terms from 0 to 1, in words
FLAT = 0.02  # effective rank below this share of the dimensions


@dataclass(frozen=True)
class EncoderSettings(Training):
    """Settings of the encoder."""

    encoder: str = setting(
        "convnet",
        "Network that looks at the images: plain convolutions, quick, which counts in minutes; residual ones; a transformer over patches.",
        choices=KINDS,
    )
    width: int = setting(
        32, "Channels of the first stage, doubled in each of the next three; a ViT is four times as wide.", low=4, high=256, unit="channels"
    )
    blocks: int = setting(1, "Blocks in each of the four stages; a ViT has as many in all.", low=1, high=8, unit="blocks")
    norm: str = setting(
        "batch",
        "Batch norm uses what is common to a batch, group norm looks at each image by itself. A ViT has layer norm.",
        choices=("batch", "group"),
    )


class EncoderMethod(Method):
    """A method with an encoder, `self.network`; what stands on it is thrown away after the training."""

    family = "Self-supervision"
    density = "none"
    sampling = "none"

    def __init__(self, config: Any, data: DataSpec) -> None:
        super().__init__(config, data)
        self.network: Any = encoder(config.encoder, data.shape, config.width, config.blocks, config.norm)

    def features(self, x: Tensor) -> Tensor:
        """[B, F] in float32 or better, under autocast too."""
        return precise(self.network(x))

    def encode(self, x: Tensor) -> Tensor:
        """What the encoder says of an image, before any head [B, F]."""
        with full(x.device):
            return self.network(x)

    def blocks(self, x: Tensor) -> dict[str, Tensor]:
        """What is known after each block of the encoder, by its name [B, F]."""
        with full(x.device):
            return self.network.each(x)

    def patch_network(self) -> ViT | None:
        """The encoder where it is a vision transformer."""
        return self.network if isinstance(self.network, ViT) else None

    def headline_words(self, terms: dict[str, float]) -> str:
        """A share of right answers in per cent, of the methods that are judged by one."""
        name = self.headline[0]
        return f"{100 * terms[name]:.1f} % {SHARES[name]}" if name in SHARES else super().headline_words(terms)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """How the features of held-out images are spread. x [N, C, H, W]."""
        return described(self.encode(x))


def precise(features: Tensor) -> Tensor:
    """Features [...] out of an autocast network in float32; other types stay."""
    return features.float() if features.dtype in (torch.bfloat16, torch.float16) else features


def feature_spread(features: Tensor) -> float:
    """Deviation of the features' directions, 0 (all the same) to about 1 (as independent as can be). features [N, D].

    The root mean square over dimensions of the standard deviation over images of f / |f|, times √D (Chen and He 2021, section 4.1).
    """
    directions = F.normalize(features.double(), dim=1)
    return (directions.var(0, correction=0).sum()).sqrt().item()


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007; Garrido et al. 2023), of centred features [N, D]."""
    values = torch.linalg.svdvals(features.double() - features.double().mean(0))
    share = values / values.sum().clamp(min=1e-300)
    return torch.special.entr(share).sum().exp().item()


def described(features: Tensor) -> Description:
    """Numbers and a diagnosis of collapse from features [N, D] of held-out images.

    - spread below FAINT: nearly all images get the same features, collapse; bad.
    - effective rank below FLAT of what N and D allow: dimensional collapse; warning.
    - else: good.
    """
    if len(features) < FEWEST or not features.isfinite().all():
        why = f"{len(features)} held-out images are too few to judge" if len(features) < FEWEST else "Some features are no finite numbers"
        return Description((), (Diagnosis("warning", f"{why}: nothing can be said of how the features are spread."),))
    spread, rank, most = feature_spread(features), effective_rank(features), min(len(features) - 1, features.shape[1])
    numbers = (
        Number("feature spread", spread, "", 3, "0: every image gets the same direction; 1: directions cancel each other out."),
        Number("effective rank", rank, f"of {most}", 1, "In how many directions the features differ, counted by their weight."),
    )
    if spread < FAINT:
        word = Diagnosis("bad", f"The features hardly differ between images (spread {spread:.3f}): the encoder has collapsed.")
    elif rank < max(2.0, FLAT * most):
        word = Diagnosis("warning", f"The features differ in about {rank:.0f} of {most} directions only: most dimensions are wasted.")
    else:
        word = Diagnosis("good", f"The features differ between images, in about {rank:.0f} of {most} directions.")
    return Description(numbers, (word,))
