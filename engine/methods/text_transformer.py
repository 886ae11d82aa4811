"""A transformer over the characters or bytes of a text (Radford et al. 2019, GPT-2, made small)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.autoregressive import Memory, frequencies
from engine.bases.text import Sliding, TextAutoregressive, TextSettings, in_windows
from engine.config import WEIGHT_DECAY, BadSetting, setting
from engine.method import DataSpec, StepContext
from engine.nets.transformer import Transformer


@dataclass(frozen=True)
class Config(TextSettings):
    context: int = setting(128, "Symbols in a window: how far back it can look.", low=8, high=4096, unit="symbols", log=True)
    layers: int = setting(4, "Blocks of attention and plain layers.", low=1, high=48, unit="layers")
    heads: int = setting(4, "Parts that attend separately; the width is shared out among them.", low=1, high=32, unit="heads")
    width: int = setting(128, "Numbers that stand for a symbol inside the network.", low=4, high=2048, unit="numbers", log=True)
    dropout: float = setting(
        0.0,
        "Share of each block's outputs that is set to zero while training, for a small text that is read many times.",
        low=0.0,
        high=0.9,
    )
    batch_size: int = setting(16, "Windows per optimizer step.", low=1, high=16384, unit="windows", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    weight_decay: float = setting(0.5, WEIGHT_DECAY, low=0.0, high=1.0, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class TextTransformer(TextAutoregressive):
    """A causal transformer language model."""

    Config = Config
    title = "Text transformer"
    family = "Explicit density · exact"
    source = "Radford et al., Language Models are Unsupervised Multitask Learners, 2019 (GPT-2)"
    summary = (
        "The network reads a window of text and learns to say which character comes next, at every place of the window at once. "
        "Attention lets each place look at all places before it. Written out symbol after symbol, its guesses become new text."
    )
    formula = "log p(x) = Σ<sub>i</sub> log p(x<sub>i</sub> | x<sub>1</sub> … x<sub>i−1</sub>)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        if config.width % config.heads:
            raise BadSetting(f"A width of {config.width} cannot be shared by {config.heads} heads; choose a multiple of {config.heads}.")
        self.net = Transformer(self.symbols, (config.context,), config.width, config.layers, config.heads, dropout=config.dropout)
        self._noise: torch.Generator | None = None  # of dropout, during a loss in training mode

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from how often each symbol occurs. x int64 [N, T]."""
        self.net.head.bias.copy_(frequencies(x, self.symbols))

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """As the base's, with dropout while it trains; x int64 [B, T] -> scalars []."""
        self._noise = context.generator if self.training else None
        try:
            return super().loss(x, y, context)
        finally:
            self._noise = None

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T] -> logits [B, T, V]; each place sees the symbols before it, within one context."""
        return in_windows(lambda window: self.net(window, None, self._noise), tokens, self.length)

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n texts; y [n] is not used."""
        return Sliding(lambda: self.net.cache(n), self.length, n, self._device) if cached else super().memory(y, n, cached)
