"""MoCo: a view must find the other view of its image among keys of former batches, encoded by a slowly moving copy (He et al. 2020).

The loss is in nats, averaged over the queries. Version 2 (Chen et al. 2020) has a head of two layers and a higher temperature. Version
3 (Chen, Xie and He 2021) has no queue: the keys of the batch are the negatives, each view asks once, and a predictor stands on the query.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import setting
from engine.losses.contrastive import follow, info_nce
from engine.method import DataSpec, StepContext, View
from engine.nets.encoders import encoder
from engine.nets.heads import Head, NormHead
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    version: str = setting(
        "v2",
        "Head on the encoder: one linear layer (v1) or two (v2); v3 adds a predictor to the query, has no queue, and lets both views ask.",
        choices=("v1", "v2", "v3"),
    )
    projection: int = setting(128, "Numbers in which views are compared.", low=2, high=2048, unit="dimensions")
    queue: int = setting(
        4096,
        "Keys of former batches that every view is told apart from; 0: the other keys of its own batch.",
        low=0,
        high=262_144,
        unit="keys",
        group="Objective",
    )
    momentum: float = setting(
        0.99,
        "Share that the key encoder keeps of itself at each step: 1 is frozen, 0 a copy. Long trainings use 0.999.",
        low=0.0,
        high=1.0,
        group="Objective",
    )
    temperature: float = setting(0.1, "What cosines are divided by; version 1 used 0.07.", low=0.01, high=10.0, log=True, group="Objective")
    symmetric: bool = setting(False, "Let each of the two views once be the query and once the key, for twice the work.", group="Objective")
    norm: str = setting(
        "batch",
        "split: batch norm over eighths of the batch, keys shuffled, so that statistics do not give away who came with whom; for long "
        "trainings. group: each image by itself.",
        choices=("batch", "split", "group"),
    )
    batch_size: int = setting(
        128, "Images per step, and keys that join the queue.", low=2, high=16384, unit="images", log=True, group="Training"
    )
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class MoCo(EncoderMethod):
    """Momentum contrast (He et al. 2020; Chen et al. 2020)."""

    Config = Config
    title = "MoCo"
    family = "Self-supervision · contrastive"
    source = (
        "He, Fan, Wu, Xie and Girshick, Momentum Contrast, CVPR 2020 (arXiv 1911.05722); Chen et al. 2020 (2003.04297), 2021 (2104.02057)"
    )
    summary = (
        "One view of an image asks, and a slowly moving copy of the network has encoded the other view and those of thousands of images "
        "before it. The query must find its own key. A long queue gives many negatives without a large batch."
    )
    formula = "min −log exp(q·k₊/τ) / (exp(q·k₊/τ) + Σ<sub>queue</sub> exp(q·k/τ))"
    headline = ("top1_retrieval", "", True)
    units: ClassVar = {"loss": "nat", "mi_lower_bound": "nat"}
    queue: Tensor
    pointer: Tensor
    images: Tensor

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.valid_slice = config.batch_size  # type: ignore[misc]  # without a queue: as many negatives as in training
        v3 = config.version == "v3"
        self.keys, self.symmetric = 0 if v3 else config.queue, v3 or config.symmetric
        self.batch_splits = self.keys > 0  # type: ignore[misc]  # without a queue the batch is its own negatives
        self.forward_passes = 4.0 if self.symmetric else 2.0
        self.head = self._head()
        self.predictor: nn.Module = NormHead(config.projection, 2 * self.network.features, config.projection) if v3 else nn.Identity()
        self.key_network: Any = encoder(config.encoder, data.shape, config.width, config.blocks, config.norm)
        self.key_head = self._head()
        self.key_network.requires_grad_(False)
        self.key_head.requires_grad_(False)
        self.register_buffer("queue", torch.empty(self.keys, config.projection))  # unit rows
        self.register_buffer("pointer", torch.empty((), dtype=torch.long))  # where the next key goes
        self.register_buffer("images", torch.empty((), dtype=torch.long))  # in the training split; 0: not known yet
        self._keys: list[Tensor] = []  # of the step in hand

    def _head(self) -> nn.Module:
        features, to = self.network.features, self.config.projection
        if self.config.version == "v3":
            return NormHead(features, 2 * features, to)
        return Head(features, features, to) if self.config.version == "v2" else nn.Linear(features, to)

    def reset(self, generator: torch.Generator) -> None:
        """Random unit vectors in the queue: easy negatives, so the loss begins low and rises while the keys of images take their place."""
        if len(self.queue):
            self.queue.copy_(F.normalize(torch.randn(self.queue.shape, generator=generator), dim=1))
        self.pointer.zero_()
        self.images.zero_()

    def on_train_start(self, images: int, generator: torch.Generator) -> None:
        """The key encoder begins as the query encoder is."""
        self.images.fill_(images)
        self.key_network.load_state_dict(self.network.state_dict())
        self.key_head.load_state_dict(self.head.state_dict())

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """Two views of every image, drawn independently. x [B, C, H, W]."""
        recipe = self.config.recipe()
        roles = ("query and key",) * 2 if self.symmetric else ("query", "key")
        drawn = [augment(x, recipe, generator) for _ in range(2)]
        return tuple(View(f"view {i}", *pair, role=role) for i, (pair, role) in enumerate(zip(drawn, roles, strict=True), 1))

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d]; with the role "key" those of the key encoder."""
        with full(x.device):
            if role == "key":
                return F.normalize(self.key_head(self.key_network(x)), dim=1)
            return F.normalize(self.predictor(self.head(self.network(x))), dim=1)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: InfoNCE. `top1_retrieval`: share of queries whose own key is the most similar. `mi_lower_bound`: ln(1 + K) - loss,
        which can show ln(1 + K) at most. x [B, C, H, W] -> scalars [].
        """
        first, second = (view.x for view in self.views(x, context.generator))
        pairs = ((first, second), (second, first)) if self.symmetric else ((first, second),)
        results = [self._one(a, b, context) for a, b in pairs]
        loss, found = (torch.stack(values).mean() for values in zip(*results, strict=True))
        others = len(self.queue) or len(x) - 1
        return {"loss": loss, "top1_retrieval": found, "mi_lower_bound": math.log(1 + others) - loss}

    def _one(self, asking: Tensor, answering: Tensor, context: StepContext) -> tuple[Tensor, Tensor]:
        device = asking.device
        with torch.no_grad():
            key = precise(self._shuffled(answering, context.generator))
        query = self.features(asking)
        with full(device):
            q = F.normalize(precise(self.predictor(self.head(query))), dim=1)
            with torch.no_grad():
                k = F.normalize(precise(self.key_head(key)), dim=1)
            if self.training:
                self._keys.append(context.gather(k))
            if len(self.queue):
                return info_nce(q, k, self.queue.to(q.dtype).clone(), self.config.temperature)
            logits = q @ k.T / self.config.temperature
            target = torch.arange(len(q), device=device)
            return F.cross_entropy(logits, target), (logits.argmax(1) == target).to(q.dtype).mean()

    def _shuffled(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Features [B, D] of keys: in training those that share statistics are not the partners of queries that do (section 3.3)."""
        if not self.training:
            return self.key_network(x)
        order = torch.randperm(len(x), generator=generator, device=generator.device if generator else None).to(x.device)
        return self.key_network(x[order])[order.argsort()]

    def forget_batch(self) -> None:
        """Drop the keys of the last batch."""
        self._keys = []

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """The batch's keys take the place of the oldest ones, and the key encoder follows."""
        if self._keys and len(self.queue):
            keys = torch.cat(self._keys)[-len(self.queue) :].to(self.queue.dtype)
            places = (self.pointer + torch.arange(len(keys), device=keys.device)) % len(self.queue)
            self.queue[places] = keys
            self.pointer.copy_((self.pointer + len(keys)) % len(self.queue))
        self._keys = []
        follow(self.network, self.key_network, self.config.momentum)
        follow(self.head, self.key_head, self.config.momentum)

    def queue_ages(self, step: int) -> Tensor:
        """How many steps ago each key of the queue was encoded, 0 for the newest; -1 where the first random vectors still are [K]."""
        size = len(self.queue)
        behind = (self.pointer - 1 - torch.arange(size)) % max(1, size)
        batch = min(self.config.batch_size, int(self.images) or self.config.batch_size)
        joined = batch * (2 if self.symmetric else 1)
        return torch.where(behind < step * joined, behind // joined, -1)

    @property
    def comparable_from(self) -> int:
        """Steps until the queue was filled twice: among random vectors, and keys of a network that knows nothing, a query easily finds
        its own.
        """
        images = int(self.images) or self.config.batch_size
        each = min(self.config.batch_size, images) * (2 if self.symmetric else 1)
        return 2 * -(-len(self.queue) // each)
