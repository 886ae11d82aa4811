"""A recurrent network over the characters or bytes of a text (Graves 2013, Generating Sequences With Recurrent Neural Networks)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.autoregressive import Memory, frequencies
from engine.bases.text import TextAutoregressive, TextSettings
from engine.config import setting
from engine.method import DataSpec
from engine.nets.recurrent import Recurrent


@dataclass(frozen=True)
class Config(TextSettings):
    context: int = setting(
        128, "Symbols in a window of the training; its memory may reach further when it writes.", low=8, high=4096, unit="symbols", log=True
    )
    layers: int = setting(1, "LSTM layers on top of each other.", low=1, high=16, unit="layers")
    width: int = setting(384, "Numbers each layer remembers.", low=4, high=2048, unit="numbers", log=True)
    batch_size: int = setting(32, "Windows per optimizer step.", low=1, high=16384, unit="windows", log=True, group="Training")
    learning_rate: float = setting(4e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class TextRNN(TextAutoregressive):
    """An LSTM language model."""

    Config = Config
    title = "Text RNN"
    family = "Explicit density · exact"
    source = "Graves, Generating Sequences With Recurrent Neural Networks, 2013 (arXiv 1308.0850)"
    summary = (
        "The text is read symbol by symbol by a network with a memory. After each one it says which character comes next; "
        "all it knows of the text so far is in its memory. Fed with its own guesses, it writes."
    )
    formula = "log p(x) = Σ<sub>i</sub> log p(x<sub>i</sub> | h<sub>i</sub>), h<sub>i</sub> = LSTM(h<sub>i−1</sub>, x<sub>i−1</sub>)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.net = Recurrent(self.symbols, config.width, config.layers)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from how often each symbol occurs. x int64 [N, T]."""
        self.net.head.bias.copy_(frequencies(x, self.symbols))

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T] -> logits [B, T, V]; each place sees the symbols before it."""
        return self.net(tokens)

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n texts; y [n] is not used."""
        return self.net.state(n) if cached else super().memory(y, n, cached)
