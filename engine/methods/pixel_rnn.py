"""A recurrent network over the pixels of an image in raster order (van den Oord et al. 2016, Pixel Recurrent Neural Networks).

The paper's rows and diagonals are computed side by side; here one LSTM runs along the line of pixels, and each place is
also told the pixel above it, which is a whole row back in that line.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.autoregressive import Autoregressive, Memory, PixelSettings, frequencies
from engine.config import setting
from engine.method import DataSpec
from engine.nets.recurrent import Recurrent


@dataclass(frozen=True)
class Config(PixelSettings):
    layers: int = setting(2, "LSTM layers on top of each other.", low=1, high=16, unit="layers")
    width: int = setting(128, "Numbers each layer remembers.", low=4, high=2048, unit="numbers", log=True)
    batch_size: int = setting(64, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class PixelRNN(Autoregressive):
    """An LSTM over pixels in raster order (van den Oord et al. 2016)."""

    Config = Config
    title = "Pixel RNN"
    family = "Explicit density · exact"
    conditional = True
    source = "van den Oord et al., Pixel Recurrent Neural Networks, 2016 (arXiv 1601.06759)"
    summary = (
        "The image is read pixel by pixel, row after row, by a network with a memory. "
        "After each pixel it says which value comes next; all it knows of the image so far is in its memory and the row above. "
        "The probability of an image is the product of its pixels' probabilities."
    )
    formula = "log p(x) = Σ<sub>i</sub> log p(x<sub>i</sub> | h<sub>i</sub>), h<sub>i</sub> = LSTM(h<sub>i−1</sub>, x<sub>i−1</sub>)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        c, h, w = data.shape
        classes = len(data.classes) if config.conditional else 0
        self.net = Recurrent(config.levels, config.width, config.layers, (h, w, c), above=w * c, classes=classes)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from how often each value occurs. x [N, C, H, W]."""
        self.net.head.bias.copy_(frequencies(self.to_tokens(x), self.symbols))

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T], y int64 [B] or None -> logits [B, T, V]."""
        return self.net(tokens, y)

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n images, of the classes y int64 [n] or of none."""
        return self.net.state(n, y) if cached else super().memory(y, n, cached)
