"""Memory bank: every training image is a class of its own, and a slot remembers what was last seen of it (Wu et al. 2018).

The loss is in nats: the non-parametric softmax of eq. 2 over slots drawn at random. The paper approximates the one over all slots by
noise-contrastive estimation; with some thousands of images at hand the softmax itself is affordable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import setting
from engine.losses.contrastive import info_nce
from engine.method import DataSpec, StepContext, View
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    projection: int = setting(128, "Numbers that are remembered of each image.", low=2, high=2048, unit="dimensions")
    negatives: int = setting(
        4096, "Slots of other images, drawn anew for every step; 0: all of them.", low=0, high=262_144, unit="slots", group="Objective"
    )
    momentum: float = setting(0.5, "Share that a slot keeps of itself when its image is seen again.", low=0.0, high=1.0, group="Objective")
    temperature: float = setting(0.1, "What cosines are divided by; the paper has 0.07.", low=0.01, high=10.0, log=True, group="Objective")
    batch_size: int = setting(128, "Images per optimizer step.", low=2, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class MemoryBank(EncoderMethod):
    """Instance discrimination with a memory bank (Wu et al. 2018)."""

    Config = Config
    title = "Memory bank"
    family = "Self-supervision · contrastive"
    source = "Wu, Xiong, Yu and Lin, Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018 (arXiv 1805.01978)"
    summary = (
        "Every image is a class of its own. A bank remembers a vector for each; a changed view must find its own slot among thousands. "
        "The slot then moves towards what was just seen, so the bank is always a little out of date."
    )
    formula = "min −log exp(v<sub>i</sub>·f(x)/τ) / Σ<sub>j</sub> exp(v<sub>j</sub>·f(x)/τ)"
    headline = ("top1_retrieval", "", True)
    units: ClassVar = {"loss": "nat", "mi_lower_bound": "nat"}
    training_only_buffers = ("bank",)
    valid_slice = 256

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.head = nn.Linear(self.network.features, config.projection)
        self.register_buffer("bank", torch.zeros(0, config.projection, device="cpu"), persistent=False)  # unit rows, one per image
        self.bank: Tensor
        self._seen: list[tuple[Tensor, Tensor]] = []  # places and unit vectors of the step in hand

    def reset(self, generator: torch.Generator) -> None:
        """The bank is filled when the number of images is known."""

    def on_train_start(self, images: int, generator: torch.Generator) -> None:
        """Random unit vectors: their own slot is no nearer to images than others, so the first loss is about ln K or more."""
        drawn = torch.randn(images, self.config.projection, generator=generator)
        self.bank = F.normalize(drawn, dim=1).to(self.head.weight.device)

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """The view that asks; and a second one, which only held-out images are compared with, as they have no slot. x [B, C, H, W]."""
        recipe = self.config.recipe()
        names = ("view",) if self.training else ("view", "second view")
        return tuple(View(name, *augment(x, recipe, generator)) for name in names)

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d]: what the slots hold."""
        with full(x.device):
            return F.normalize(self.head(self.network(x)), dim=1)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: cross-entropy of the own slot. `top1_retrieval`: share of views whose own slot is the likest. `mi_lower_bound`: ln(1
        + K) - loss, which can show ln(1 + K) at most. x [B, C, H, W] -> scalars [].

        Images that have no slot, held-out ones, must find their second view among as many slots as in training, or, where there is no
        bank, among the second views of their batch.
        """
        views = self.views(x, context.generator)
        h = self.features(views[0].x)
        with full(x.device):
            u = F.normalize(precise(self.head(h)), dim=1)
        if context.indices is None:
            own = u.detach() if len(views) == 1 else self._unit(views[1].x)
            if len(self.bank):
                chosen = self._drawn(context.generator)
                slots = self.bank if chosen is None else self.bank[chosen]
                with full(x.device):
                    loss, found = info_nce(u, own.to(u.dtype), slots.to(u.dtype), self.config.temperature)
                return {"loss": loss, "top1_retrieval": found, "mi_lower_bound": math.log(1 + len(slots)) - loss}
            bank, places, chosen = own, torch.arange(len(u), device=u.device), None
        else:
            bank, places = self.bank, context.indices.to(u.device)
            chosen = self._drawn(context.generator)
            if self.training:
                self._seen.append((places, u.detach()))
        with full(x.device):
            bank = bank.to(u.dtype)
            positive = bank[places]
            numbers = torch.arange(len(bank), device=u.device) if chosen is None else chosen
            logits = u @ bank[numbers].T / self.config.temperature  # [B, K]
            logits = logits.masked_fill(numbers[None] == places[:, None], -math.inf)
            logits = torch.cat([(u * positive).sum(1, keepdim=True) / self.config.temperature, logits], 1)
            loss = F.cross_entropy(logits, torch.zeros(len(u), dtype=torch.long, device=u.device))
            found = (logits.argmax(1) == 0).to(u.dtype).mean()
            candidates = logits.isfinite().sum(1).to(u.dtype)  # a drawn slot may be the image's own
        return {"loss": loss, "top1_retrieval": found, "mi_lower_bound": candidates.log().mean() - loss}

    def _unit(self, x: Tensor) -> Tensor:
        with torch.no_grad(), full(x.device):
            return F.normalize(precise(self.head(self.features(x))), dim=1)

    def _drawn(self, generator: torch.Generator | None) -> Tensor | None:
        """Slots to tell apart from [K]; None: all."""
        wanted = self.config.negatives
        if not wanted or wanted >= len(self.bank):
            return None
        device = self.bank.device if generator is None else generator.device
        return torch.randint(len(self.bank), (wanted,), generator=generator, device=device).to(self.bank.device)

    def forget_batch(self) -> None:
        """Drop what was noted of the last batch."""
        self._seen = []

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """v_i ← the unit vector of m v_i + (1 - m) f(x_i), for the images of the batch."""
        for places, u in self._seen:
            moved = self.config.momentum * self.bank[places] + (1 - self.config.momentum) * u.to(self.bank.dtype)
            self.bank[places] = F.normalize(moved, dim=1)
        self._seen = []
