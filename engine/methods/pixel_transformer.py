"""A transformer over the pixels of an image in raster order (Chen et al. 2020, iGPT; Radford et al. 2019 for the network)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.autoregressive import Autoregressive, Memory, PixelSettings, frequencies
from engine.common.conditions import MOST_WORDS
from engine.config import BadSetting, condition_setting, setting
from engine.method import DataSpec
from engine.nets.text_encoder import TextEncoder, fewer_words
from engine.nets.transformer import Transformer


@dataclass(frozen=True)
class Config(PixelSettings):
    condition: str = condition_setting()
    caption_dropout: float = setting(
        0.1,
        "Share of the images whose caption is not told, from which p(x) is learned; only with captions.",
        low=0.01,
        high=0.9,
        needs="conditional",
    )
    layers: int = setting(4, "Blocks of attention and plain layers.", low=1, high=48, unit="layers")
    heads: int = setting(4, "Parts that attend separately; the width is shared out among them.", low=1, high=32, unit="heads")
    width: int = setting(128, "Numbers that stand for a pixel inside the network.", low=4, high=2048, unit="numbers", log=True)
    batch_size: int = setting(32, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class PixelTransformer(Autoregressive):
    """A causal transformer over pixels in raster order."""

    Config = Config
    title = "Pixel transformer"
    family = "Explicit density · exact"
    conditional = True
    source = "Chen et al., Generative Pretraining from Pixels, 2020 (proceedings.mlr.press/v119/chen20s.html)"
    summary = (
        "An image is read as one long line of pixels, and the network learns to say which value comes next. "
        "Attention lets each pixel look at all pixels before it. The probability of an image is the product of its pixels' probabilities."
    )
    formula = "log p(x) = Σ<sub>i</sub> log p(x<sub>i</sub> | x<sub>1</sub> … x<sub>i−1</sub>)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        if config.width % config.heads:
            raise BadSetting(f"A width of {config.width} cannot be shared by {config.heads} heads; choose a multiple of {config.heads}.")
        c, h, w = data.shape
        classes = len(data.classes) if self.conditional else 0
        captions = TextEncoder(len(data.words), MOST_WORDS, config.width) if self.condition == "caption" else None
        self.net = Transformer(config.levels, (h, w, c), config.width, config.layers, config.heads, classes, encoder=captions)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from how often each value occurs. x [N, C, H, W]."""
        self.net.head.bias.copy_(frequencies(self.to_tokens(x), self.symbols))

    def dropped(self, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """Captions [B, L] with fewer words, or none; classes [B] as they are: p(x) is their mixture."""
        return fewer_words(y, self.config.caption_dropout, generator) if self.condition == "caption" else y

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T], classes int64 [B], captions int64 [B, L] or None -> logits [B, T, V]."""
        return self.net(tokens, y)

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n images, of the classes or captions y [n, ...] or of none."""
        return self.net.cache(n, y) if cached else super().memory(y, n, cached)
