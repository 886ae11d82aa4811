"""Gated PixelCNN (van den Oord et al. 2016): convolutions that see only the pixels before, each value a categorical choice or a
mixture of discretized logistics (Salimans et al. 2017, PixelCNN++)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.autoregressive import Autoregressive, Memory, PixelSettings, at_least_float32, frequencies
from engine.config import setting
from engine.method import DataSpec
from engine.nets.masked import GatedPixelNet, ScaledLinear
from engine.precision import full

SMALLEST_LOG_SCALE = -7.0  # of a logistic on [-1, 1] (PixelCNN++)
LARGEST_LOG_SCALE = 5.0  # black and white have 0.498 each; pixels of only these two drive the scale beyond every number format
MANY_LEVELS, MANY_PIXELS = 64, 256  # from which on `auto` takes logistics
MASSES_AT_ONCE = 2**22  # numbers in hand while all values of all pixels are asked for


@dataclass(frozen=True)
class Config(PixelSettings):
    width: int = setting(48, "Channels of either stack.", low=4, high=512, unit="channels", log=True)
    layers: int = setting(8, "Gated layers, each of both stacks.", low=1, high=64, unit="layers")
    cell_layers: int = setting(
        3,
        "Layers that look at the rows above in cells of 4×4 pixels: far sight for little time; 0 leaves them out.",
        low=0,
        high=16,
        unit="layers",
    )
    output: str = setting(
        "auto",
        "What p(value) is: a mixture of logistics over the grey values, or any distribution of the levels; auto takes logistics "
        "from 64 levels on, but not for images of fewer than 256 pixels: there any distribution costs little, "
        "and it can learn which values never occur.",
        choices=("auto", "logistics", "categorical"),
    )
    mixtures: int = setting(10, "Logistics in a mixture.", low=1, high=64, unit="logistics")
    batch_size: int = setting(8, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class PixelCNN(Autoregressive):
    """Gated PixelCNN with a categorical or discretized-logistic-mixture head (van den Oord et al. 2016; Salimans et al. 2017)."""

    Config = Config
    title = "PixelCNN"
    family = "Explicit density · exact"
    conditional = True
    source = "van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016 (arXiv 1606.05328)"
    summary = (
        "Convolutions say for every pixel at once which values it could have, and each looks only at pixels above and to the left. "
        "One stack follows the rows above, another the pixels of the same row, and gates decide what goes on. "
        "The probability of an image is the product of its pixels' probabilities."
    )
    formula = "log p(x) = Σ<sub>i</sub> log p(x<sub>i</sub> | x<sub>1</sub> … x<sub>i−1</sub>)"

    def __init__(self, config: Config, data: DataSpec, maps: int = 0) -> None:
        """`maps`: of what `conditioning` gives, where that is maps [B, H, W, M]."""
        super().__init__(config, data)
        self.channels, self.height, self.width = data.shape
        self.planes_per_channel = 1 if config.levels == 2 else 2
        inputs = self.planes_per_channel * self.channels + 1
        classes = len(data.classes) if self.conditional else 0
        self.net = GatedPixelNet(inputs, config.width, config.layers, config.cell_layers, classes, maps)
        large = config.levels >= MANY_LEVELS and self.height * self.width >= MANY_PIXELS
        logistics = config.output == "logistics" or (config.output == "auto" and large)
        if logistics:
            self.head: LogisticsHead | CategoricalHead = LogisticsHead(config.width, self.channels, config.levels, config.mixtures)
        else:
            self.head = CategoricalHead(config.width, self.channels, config.levels)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from how often each value occurs. x [N, C, H, W]."""
        self.head.init_from_data(self.to_tokens(x))

    # -- from symbols to numbers -----------------------------------------------------------------------------------------

    def planes(self, pixels: Tensor) -> Tensor:
        """Values int64 [..., C] -> what the network sees [..., I]: on [-1, 1], whether they are the lowest level, and a constant 1."""
        like = self.net.left.weight
        values = on_grid(pixels, self.symbols, like.dtype)
        lowest = [(pixels == 0).to(like.dtype)] if self.planes_per_channel == 2 else []
        return torch.cat([values, *lowest, torch.ones_like(values[..., :1])], -1)

    def _image(self, tokens: Tensor) -> Tensor:
        """Symbols [B, T] -> values [B, rows, W, C]; where they end within a row, the rest is 0 and has no influence."""
        line = self.width * self.channels
        return F.pad(tokens, (0, -tokens.shape[1] % line)).unflatten(1, (-1, self.width, self.channels))

    def features(self, tokens: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """-> features [B, rows, W, F] and values [B, rows, W, C]"""
        pixels = self._image(tokens)
        return self.net(self.planes(pixels), self.conditioning(y)), pixels

    def conditioning(self, y: Tensor | None) -> Tensor | None:
        """The conditions y [B, ...] as the network takes them: classes int64 [B] as they are, other ones as maps [B, H, W, M]."""
        return y

    # -- likelihood ------------------------------------------------------------------------------------------------------

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T], y int64 [B] or None -> logits [B, T, V]; each place sees the symbols before it."""
        features, pixels = self.features(tokens, y)
        per_image = features[0, ..., 0].numel() * self.symbols * self.head.work
        pieces = zip(*(t.split(max(1, MASSES_AT_ONCE // per_image)) for t in (features, pixels)), strict=True)
        return torch.cat([torch.stack(self._all(f, p), -2) for f, p in pieces]).flatten(1, 3)[:, : tokens.shape[1]]

    def _all(self, features: Tensor, pixels: Tensor) -> list[Tensor]:
        return [self.head.distribution(features, pixels[..., :channel]) for channel in range(self.channels)]

    def symbol_log_probs(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """log p of each token given those before it, nats [B, T]; tokens int64 [B, T], y int64 [B] or None."""
        features, pixels = self.features(tokens, y)
        return self.head.log_probs(features, pixels).flatten(1)[:, : tokens.shape[1]]

    # -- writing ---------------------------------------------------------------------------------------------------------

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n images, of the classes y int64 [n] or of none."""
        return PixelMemory(self, y, n, cached)


class PixelMemory:
    """The symbols written so far, and the features of the pixel that is being written."""

    def __init__(self, method: PixelCNN, y: Tensor | None, n: int, cached: bool) -> None:
        self._method, self._y, device = method, y, method.net.left.weight.device
        self._rows = method.net.rows(n, (method.height, method.width), method.conditioning(y)) if cached else None
        self._tokens = torch.empty(n, 0, dtype=torch.int64, device=device)
        self._pixels = -1  # complete ones that the features know of
        self._features = torch.empty(0)

    def advance(self, symbols: Tensor) -> Tensor:
        """Append symbols int64 [n, m] and return the logits [n, V] of the next one."""
        method, channels = self._method, self._method.channels
        self._tokens = torch.cat([self._tokens, symbols], 1)
        pixels, channel = divmod(self._tokens.shape[1], channels)
        written = self._tokens[:, : pixels * channels].reshape(len(symbols), pixels, channels)
        if self._rows is None:
            row, column = divmod(pixels, method.width)
            features, _ = method.features(F.pad(self._tokens, (0, channels - channel)), self._y)
            self._features = features[:, row, column]
        elif pixels != self._pixels:
            self._features = self._rows.take(method.planes(written[:, max(0, self._pixels) :]))
        self._pixels = pixels
        return self.distribution(self._features, self._tokens[:, pixels * channels :])

    def distribution(self, features: Tensor, before: Tensor) -> Tensor:
        """Logits [n, V] of the next channel of the pixel that is being written, of its features [n, F] and channels before [n, c]."""
        return self._method.head.distribution(features, before)


# ---------------------------------------------------------------------------------------------------------------------
# A pixel's values given its features
# ---------------------------------------------------------------------------------------------------------------------


def hidden(width: int) -> int:
    """Numbers in a head's hidden layer."""
    return 4 * width // 3


class CategoricalHead(nn.Module):
    """Any distribution of the levels. The channels of a pixel are told one after the other: G sees R, B sees R and G."""

    work = 1  # numbers held per value

    def __init__(self, width: int, channels: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.hidden = nn.ModuleList(ScaledLinear(width, hidden(width)) for _ in range(channels))
        self.out = nn.ModuleList(Zero(hidden(width) + width, levels) for _ in range(channels))
        self.told = nn.ModuleList(nn.ModuleList(nn.Embedding(levels, hidden(width)) for _ in range(c)) for c in range(channels))

    def init_from_data(self, tokens: Tensor) -> None:
        """Start from how often each value occurs in tokens int64 [...]."""
        for out in self.out:
            out.bias.copy_(frequencies(tokens, self.levels))  # type: ignore[operator, union-attr]

    def logits(self, features: Tensor, before: Tensor) -> Tensor:
        """Of the next channel [..., V], given those `before` in the same pixel [..., c]."""
        channel = before.shape[-1]
        top, h = features.chunk(2, -1)
        z = self.hidden[channel](top)
        for values, embedding in zip(before.unbind(-1), self.told[channel], strict=True):  # type: ignore[arg-type]
            z = z + embedding(values)
        return self.out[channel](torch.cat([F.relu(z), h], -1))

    def distribution(self, features: Tensor, before: Tensor) -> Tensor:
        """Logits [..., V] of the next channel, of features [..., F] and the channels before it [..., c]."""
        return at_least_float32(self.logits(features, before))

    def log_probs(self, features: Tensor, pixels: Tensor) -> Tensor:
        """log p [..., C] of every channel of the pixels [..., C]."""
        log_p = []
        for channel in range(pixels.shape[-1]):
            logits = self.logits(features, pixels[..., :channel])
            with full(pixels.device):
                flat = at_least_float32(logits).flatten(0, -2)
                lost = F.cross_entropy(flat, pixels[..., channel].flatten(), reduction="none")
                log_p.append(-lost.view(pixels.shape[:-1]))
        return torch.stack(log_p, -1)


class LogisticMixture(NamedTuple):
    """K logistics on [-1, 1] for a pixel of C channels; the means are those before the other channels are told."""

    log_weights: Tensor  # [..., K], normalized
    means: Tensor  # [..., C, K]
    log_scales: Tensor  # [..., C, K]
    couplings: Tensor  # [..., C (C-1) / 2, K]


class LogisticsHead(nn.Module):
    """A mixture of discretized logistics; its weights are shared by a pixel's channels, whose means depend on the channels before."""

    def __init__(self, width: int, channels: int, levels: int, mixtures: int) -> None:
        super().__init__()
        self.levels, self.channels, self.mixtures = levels, channels, mixtures
        self.work = 4 * mixtures
        self.hidden = ScaledLinear(width, hidden(width))
        self.out = Zero(hidden(width) + width, mixtures * (1 + 2 * channels + channels * (channels - 1) // 2))
        self.start = Spread(channels, mixtures)

    def init_from_data(self, tokens: Tensor) -> None:
        """Weigh each logistic by how often a value is in its part. The means stay apart: equal ones would never part again. tokens
        int64 [...].
        """
        part = tokens * self.mixtures // self.levels
        self.start.log_weights.copy_(frequencies(part, self.mixtures))

    def mixture(self, features: Tensor) -> LogisticMixture:
        """Parameters of the mixture of K logistics for each pixel, of features [..., F]."""
        top, h = features.chunk(2, -1)
        raw = at_least_float32(self.out(torch.cat([F.relu(self.hidden(top)), h], -1)))
        with full(features.device):
            c, k = self.channels, self.mixtures
            parts = raw.unflatten(-1, (-1, k)).split([1, c, c, c * (c - 1) // 2], -2)
            return LogisticMixture(
                (parts[0].squeeze(-2) + self.start.log_weights).log_softmax(-1),
                parts[1] + self.start.means,
                bounded(parts[2] + self.start.log_scales),
                parts[3].tanh(),
            )

    def distribution(self, features: Tensor, before: Tensor) -> Tensor:
        """log p of all values of the next channel [..., V], given those `before` in the same pixel [..., c]."""
        mixture = self.mixture(features)
        with full(features.device):
            return all_log_probs(mixture, before, self.levels)

    def log_probs(self, features: Tensor, pixels: Tensor) -> Tensor:
        """log p [..., C] of every channel of the pixels [..., C]."""
        mixture = self.mixture(features)
        with full(features.device):
            return mixture_log_probs(mixture, pixels, self.levels)


class Zero(nn.Linear):
    """Says nothing at first but its bias, which is zero too."""

    def reset(self, generator: torch.Generator) -> None:
        """Set weights and bias to zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class Spread(nn.Module):
    """Where the logistics are before the network says more: side by side, each as wide as its part."""

    def __init__(self, channels: int, mixtures: int) -> None:
        super().__init__()
        self.log_weights = nn.Parameter(torch.empty(mixtures))
        self.means = nn.Parameter(torch.empty(channels, mixtures))
        self.log_scales = nn.Parameter(torch.empty(channels, mixtures))

    def reset(self, generator: torch.Generator) -> None:
        """Spread the means evenly over [-1, 1], each logistic as wide as its part, all with one weight."""
        k = self.means.shape[1]
        with torch.no_grad():
            self.means.copy_((2 * torch.arange(k) + 1) / k - 1)
        nn.init.zeros_(self.log_weights)
        nn.init.constant_(self.log_scales, math.log(1 / (k + 1)))


# ---------------------------------------------------------------------------------------------------------------------
# The mixture as plain functions
# ---------------------------------------------------------------------------------------------------------------------


def on_grid(values: Tensor, levels: int, dtype: torch.dtype) -> Tensor:
    """Levels 0 … V-1 on [-1, 1]."""
    return values.to(dtype) * (2 / (levels - 1)) - 1


def bounded(log_scales: Tensor) -> Tensor:
    """Log scales [...], softly bounded from below, so that the gradient never ends there; above, nothing is left to learn."""
    return (SMALLEST_LOG_SCALE + F.softplus(log_scales - SMALLEST_LOG_SCALE)).clamp(max=LARGEST_LOG_SCALE)


def log_masses(values: Tensor, means: Tensor, log_scales: Tensor, levels: int) -> Tensor:
    """log P(value) under logistics on [-1, 1], whose bins are 2 / (V-1) wide and whose outer two are open: they sum to one.

    As in `likelihoods.discretized_logistic`, σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b - a)), which does not cancel.

    Args:
        values: levels int64, to be broadcast against the parameters.
    """
    half = 1 / (levels - 1)
    precision = torch.exp(-log_scales)
    centred = on_grid(values, levels, means.dtype) - means
    below = F.logsigmoid((centred + half) * precision)
    above = F.logsigmoid((half - centred) * precision)
    log_width = torch.log(-torch.expm1(-2 * half * precision))
    first, last = values == 0, values == levels - 1
    return torch.where(last, 0.0, below) + torch.where(first, 0.0, above) + torch.where(first | last, 0.0, log_width)


def coupled_means(mixture: LogisticMixture, before: Tensor, levels: int) -> Tensor:
    """Of the channel after those in `before` [..., c]: μ + Σ coupling · value, as in PixelCNN++ (section 2.2) [..., K]."""
    channel = before.shape[-1]
    mean, first = mixture.means[..., channel, :], channel * (channel - 1) // 2
    grid = on_grid(before, levels, mean.dtype)
    for other in range(channel):
        mean = mean + mixture.couplings[..., first + other, :] * grid[..., other, None]
    return mean


def mixture_log_probs(mixture: LogisticMixture, pixels: Tensor, levels: int) -> Tensor:
    """log p of every channel given those before it [..., C]. What a channel turned out to be moves the weights (Bayes' rule)."""
    log_weights, log_p = mixture.log_weights, []
    for channel in range(pixels.shape[-1]):
        means = coupled_means(mixture, pixels[..., :channel], levels)
        joint = log_weights + log_masses(pixels[..., channel, None], means, mixture.log_scales[..., channel, :], levels)
        log_p.append(joint.logsumexp(-1))
        log_weights = joint - log_p[-1][..., None]
    return torch.stack(log_p, -1)


def all_log_probs(mixture: LogisticMixture, before: Tensor, levels: int) -> Tensor:
    """log p of all V values of the channel after those in `before` [..., c] -> [..., V]"""
    log_weights, channel = mixture.log_weights, before.shape[-1]
    for earlier in range(channel):
        means = coupled_means(mixture, before[..., :earlier], levels)
        log_weights = log_weights + log_masses(before[..., earlier, None], means, mixture.log_scales[..., earlier, :], levels)
    log_weights = log_weights.log_softmax(-1)[..., None, :]
    values = torch.arange(levels, device=before.device)[:, None]
    means, log_scales = coupled_means(mixture, before, levels)[..., None, :], mixture.log_scales[..., channel, None, :]
    return (log_weights + log_masses(values, means, log_scales, levels)).logsumexp(-1)
