"""Jigsaw: in which order are the tiles of a picture (Noroozi and Favaro 2016)?

As in the paper the encoder looks at one tile at a time and the head at all of them: an encoder that saw the shuffled picture whole
would put the order into its features, and little of what the tiles show. Tiles are all that it knows, so the features of a picture are
the mean of those of its tiles, overlapping ones of the enlarged picture that they are cut from in training. The loss is in nats, the
mean over pictures. Who knows nothing has ln P, P being the number of orders that are asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, described, precise
from engine.common.counting import number_of
from engine.config import setting
from engine.messages import Number
from engine.method import DataSpec, Description, StepContext, View
from engine.nets.heads import Head
from engine.precision import full
from engine.transforms import pretext
from engine.transforms.augmentation import Augmented, Draw, Recipe, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    side: int = setting(2, "Tiles along each side of the picture.", low=2, high=3, unit="tiles", group="Objective")
    permutations: int = setting(
        24,
        "Orders of the tiles that occur, as different from each other as can be; four tiles have no more than 24.",
        low=2,
        high=1000,
        unit="orders",
        group="Objective",
    )
    gap: float = setting(
        0.2,
        "Share of the side that is cut away between tiles, more here or there at random, so that edges do not tell who were neighbours.",
        low=0.0,
        high=0.5,
        group="Objective",
    )
    even: float = setting(
        0.5,
        "Probability that all tiles of a picture get the same mean and contrast: light and shade then do not tell their places.",
        low=0.0,
        high=1.0,
        group="Objective",
    )
    crop_least: float = setting(0.5, "Smallest share of the picture's area that a crop keeps.", low=0.01, high=1.0, group="Augmentation")
    jitter: float = setting(
        0.0,
        "Probability that brightness and contrast are changed, of pictures in colour also saturation and hue.",
        low=0.0,
        high=1.0,
        group="Augmentation",
    )
    grey: float = setting(0.3, "Probability that a picture loses its colours.", low=0.0, high=1.0, group="Augmentation", of_colour=True)
    batch_size: int = setting(
        64, "Images per step; the network sees each tile of them by itself.", low=1, high=16384, unit="images", log=True, group="Training"
    )
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class Jigsaw(EncoderMethod):
    """Finds the order of a picture's tiles (Noroozi and Favaro 2016)."""

    Config = Config
    title = "Jigsaw"
    family = "Self-supervision · pretext"
    source = "Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles, ECCV 2016 (arXiv 1603.09246)"
    summary = (
        "A picture is cut into tiles, which are laid in another order, and the network must say in which. It must find out which parts "
        "things have and how they lie to each other. A gap between the tiles hides what their edges would tell."
    )
    formula = "min −log p(π | tiles x<sub>π(1)</sub> … x<sub>π(n)</sub>)"
    headline = ("accuracy", "", True)
    units: ClassVar = {"loss": "nat"}
    puzzle = "jigsaw"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.side: int = config.side
        self.orders = pretext.Permutations(config.permutations, config.side**2)
        self.head = Head(config.side**2 * self.network.features, self.network.features, len(self.permutations))

    @property
    def permutations(self) -> Tensor:
        """int64 [P, n]: at place i of picture p is tile permutations[p, i]; the first order is the picture's own."""
        return self.orders.table

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """Every picture with its tiles in a random order. x [B, C, H, W]."""
        picture, _, drawn = self._posed(x, generator)
        return (View("shuffled", picture, drawn),)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: cross-entropy of the true order. `accuracy`: share of pictures whose order is found. x [B, C, H, W] -> scalars []."""
        picture, order, _ = self._posed(x, context.generator)
        logits = self._logits(picture)
        with full(x.device):
            right = (logits.argmax(1) == order).to(logits.dtype).mean()
            return {"loss": F.cross_entropy(logits, order), "accuracy": right}

    def _posed(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Draw]:
        """Shuffled pictures, the orders of their tiles [B], and what the augmentation did before."""
        seen, drawn = augment(x, self.config.recipe(), generator, self._sizes(x)[1])
        order = self._any(len(x), generator, x.device)
        return self._laid(seen, order, self._sizes(x)[0], generator), order, drawn

    def _sizes(self, x: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of the tiles of such pictures, and of the enlarged pictures that they are cut from."""
        return pretext.sizes((x.shape[2], x.shape[3]), self.side, self.config.gap)

    def _laid(self, large: Tensor, order: Tensor, tile: tuple[int, int], generator: torch.Generator | None) -> Tensor:
        """Tiles cut from random places inside the cells of enlarged pictures, laid edge to edge in the orders `permutations[order]`."""
        tiles = pretext.cut(pretext.cells(large, self.side), tile, generator)  # [B, n, C, h, w]
        where = large.device if generator is None else generator.device
        chosen = (torch.rand(len(tiles), generator=generator, device=where) < self.config.even).to(large.device)
        tiles = torch.where(chosen[:, None, None, None, None], pretext.evened(tiles), tiles)
        return pretext.joined(pretext.shuffled(tiles, self.permutations[order]))

    def _any(self, count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        """Random orders, int64 [B]."""
        where = device if generator is None else generator.device
        return torch.randint(len(self.permutations), (count,), generator=generator, device=where).to(device)

    def _logits(self, picture: Tensor) -> Tensor:  # [B, P]
        tiles = pretext.cells(picture, self.side)  # [B, n, C, h, w]
        h = self.features(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2])  # [B, n, F]
        with full(picture.device):
            return precise(self.head(h.flatten(1)))

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """What the encoder says of a picture's tiles, on average [B, F]."""
        tiles = self._overlapping(x)
        return super().encode(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2]).mean(1)

    def blocks(self, x: Tensor) -> dict[str, Tensor]:
        """What is known of a picture's tiles after each block of the encoder, on average, by the block's name [B, F]."""
        tiles = self._overlapping(x)
        features = super().blocks(tiles.flatten(0, 1))
        return {name: values.unflatten(0, tiles.shape[:2]).mean(1) for name, values in features.items()}

    def _overlapping(self, x: Tensor) -> Tensor:
        """Tiles at 2 side × 2 side places, evenly from corner to corner of the enlarged picture [B, 4 side², C, h, w]."""
        (high, wide), whole = self._sizes(x)
        large = augment(x, Recipe(), torch.Generator(), whole)[0]  # nothing is drawn
        rows, columns = (
            torch.linspace(0, side - tile, 2 * self.side).round().int().tolist() for side, tile in zip(whole, (high, wide), strict=True)
        )
        return torch.stack([large[:, :, top : top + high, left : left + wide] for top in rows for left in columns], 1)

    def shuffled(self, x: Tensor, p: Tensor, generator: torch.Generator | None) -> Tensor:
        """The pictures [B, C, h, w] that the network is given when the tiles of x lie in the orders `permutations[p]`.

        x is enlarged first, so that its tiles, less what lies between them, make a picture as large as x.
        """
        tile, whole = self._sizes(x)
        return self._laid(augment(x, Recipe(), generator, whole)[0], p, tile, generator)

    def answers(self, picture: Tensor) -> Tensor:
        """Probability of each order of a shuffled picture's tiles [B, P]."""
        return self._log_answers(picture).exp().float()

    def _log_answers(self, picture: Tensor) -> Tensor:
        with full(picture.device):
            return self._logits(picture).double().log_softmax(1)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """How the features are spread, and how often the order of held-out images' tiles is found, without augmentation. x [N, C, H,
        W].
        """
        order = self._any(len(x), generator, x.device)
        log_p = self._log_answers(self.shuffled(x, order, generator))  # [B, P]
        choices = log_p.shape[1]
        answer = log_p.argmax(1)
        right = (answer == order).double().mean().item()
        placed = (self.permutations[answer] == self.permutations[order]).double().mean().item()
        spread = described(self.encode(x))
        numbers = (
            Number("accuracy", 100 * right, "%", 1, f"Of {number_of(len(x), 'shuffled picture')}; chance level {100 / choices:.1f} %."),
            Number("tiles in their place", 100 * placed, "%", 1, f"Guessing would give {100 / self.side**2:.0f} %."),
            Number(
                "cross-entropy",
                -log_p.gather(1, order[:, None]).mean().item(),
                "nat", 3, f"−log p(true order) per picture; {math.log(choices):.2f} knows nothing.",
            ),
        )  # fmt: skip
        word = pretext.answered("the order", right, choices, len(x))
        return Description(numbers + spread.numbers, (word, *spread.diagnosis))
