"""The next frame of a clip given the last four, p(frame | four before it): a gated PixelCNN whose gates a small convolutional network of
the frames before shifts at every place (van den Oord et al. 2016, section 2.3: conditioning on maps), and that can copy a pixel of the last
frame (pointer and generator mixed, See et al. 2017, equation 9): what moves need not be said anew."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.autoregressive import Memory, at_least_float32
from engine.common.conditions import PAST_FRAMES
from engine.common.counting import number_of
from engine.common.intervals import margin
from engine.common.pixels import to_float
from engine.config import setting
from engine.losses import likelihoods
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description
from engine.methods.pixel_cnn import Config as PixelConfig
from engine.methods.pixel_cnn import PixelCNN, PixelMemory, Zero
from engine.nets.frame_encoder import FrameEncoder
from engine.precision import full

MISSING = -1.0  # in place of every value of a frame that is not told
NEVER = -1e4  # log p of what cannot be: finite, so that gradients are
WINDOW = 5  # side of the window of the last frame that a pixel can be copied from: what moves by at most two pixels
SOME = 0.05  # of the code length: a saving below is none
HALF = 0.5  # of the code length: a saving below has just begun


@dataclass(frozen=True)
class Config(PixelConfig):
    condition = "frames"

    conditional: bool = setting(True, "Learn p(frame | frames before).", group="")
    width: int = setting(32, "Channels of either stack, and of the maps of the frames before.", low=4, high=512, unit="channels", log=True)
    layers: int = setting(3, "Gated layers, each of both stacks.", low=1, high=64, unit="layers")
    cell_layers: int = setting(
        0, "Layers that look at the rows above in cells of 4×4 pixels: far sight for little time; 0 leaves them out.", low=0, high=16,
        unit="layers",
    )  # fmt: skip
    encoder_layers: int = setting(3, "Layers of the network that looks at the frames before.", low=1, high=32, unit="layers")
    frame_dropout: float = setting(
        0.1, "Share of the training images that are not told the frames before, from which p(x) is learned.", low=0.01, high=0.9
    )
    batch_size: int = setting(8, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")


class NextFrame(PixelCNN):
    """A PixelCNN of the next frame that is told the four before it."""

    Config = Config
    title = "Next frame"
    family = "Explicit density · exact"
    conditional = False  # on frames, not on classes
    needs = "frames"
    past_frames = PAST_FRAMES
    source = (
        "van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016 (arXiv 1606.05328); of films: Kalchbrenner et al., "
        "Video Pixel Networks, 2017 (arXiv 1610.00527)"
    )
    summary = (
        "A small convolutional network looks at the last four frames of a clip and tells a PixelCNN what they say about every place of "
        "the next frame, which is then drawn pixel by pixel with its exact probability: each pixel is new, or one from nearby in the "
        "last frame. Drawn frames follow each other as a film. Now and then it is not told the frames before, so that it knows p(x) of a "
        "single frame too."
    )
    formula = (
        "log p(x<sub>t</sub> | x<sub>t−4</sub> … x<sub>t−1</sub>) = "
        "Σ<sub>i</sub> log p(x<sub>t,i</sub> | x<sub>t,1</sub> … x<sub>t,i−1</sub>, x<sub>t−4</sub> … x<sub>t−1</sub>)"
    )

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data, maps=config.width)
        self.encoder = FrameEncoder(self.past_frames, self.channels, config.width, config.encoder_layers)
        self.source_logits = Zero(3 * config.width, 1 + WINDOW**2)  # of a new value, and of each neighbour in the last frame

    def dropped(self, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """The frames before [B, 4, C, H, W] in [0, 1], and MISSING throughout for some of the images."""
        gone = likelihoods.uniform(torch.empty(len(y), device=y.device), generator) < self.config.frame_dropout
        return torch.where(gone[:, None, None, None, None], MISSING, _values(y))

    def conditioning(self, y: Tensor | None) -> Tensor | None:
        """Maps [B, H, W, M] of the frames before, uint8 or in [0, 1], [B, 4, C, H, W]."""
        return None if y is None else self.encoder(_values(y).to(self.encoder.first.weight.dtype))

    # -- copied pixels ---------------------------------------------------------------------------------------------------

    def neighbours(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The values in a window of the last frame around each place, int64 [B, H, W, S², C], and whether there is a last frame, [B]."""
        last = _values(y[:, -1]).float()
        values = (last.clamp(min=0) * 255).round().mul(self.symbols).div(256, rounding_mode="floor")  # as in `to_tokens`; 2 are halves
        around = F.unfold(F.pad(values, (WINDOW // 2,) * 4, mode="replicate"), WINDOW)  # [B, C S², H W]
        around = around.unflatten(2, last.shape[2:]).unflatten(1, (-1, WINDOW**2)).permute(0, 3, 4, 2, 1)
        return around.long(), (last >= 0).flatten(1).all(1)

    def source_log_probs(self, features: Tensor, maps: Tensor, there: Tensor) -> Tensor:
        """log p [B, ..., 1 + S²] that a pixel's values are new, and that they are those of each neighbour in the last frame, of features
        [B, ..., F] and maps [B, ..., M]; `there` [B]: whether there is such a frame.
        """
        with full(features.device):
            logits = self.source_logits(at_least_float32(torch.cat([features, maps], -1)))
            copied = torch.where(there.view(-1, *[1] * (logits.ndim - 1)), logits[..., 1:], NEVER)
            return torch.cat([logits[..., :1], copied], -1).log_softmax(-1)

    def symbol_log_probs(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """log p of each token given those before it, nats [B, T]; tokens int64 [B, T], frames y [B, 4, C, H, W] or None."""
        if y is None:
            return super().symbol_log_probs(tokens, y)
        features, pixels, maps = self._seen(tokens, y)
        new = self.head.log_probs(features, pixels)
        log_p, around = self._sources(features, maps, y)
        found = []
        with full(tokens.device):
            for channel in range(self.channels):
                joint = _with_value(log_p, new[..., channel], around[..., channel], pixels[..., channel])
                found.append(joint.logsumexp(-1))
                log_p = joint - found[-1][..., None]  # what a channel turned out to be tells the source of the next (Bayes' rule)
        return torch.stack(found, -1).flatten(1)[:, : tokens.shape[1]]

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T], frames y [B, 4, C, H, W] or None -> logits [B, T, V]; each place sees the symbols before it."""
        if y is None:
            return super().logits(tokens, y)
        features, pixels, maps = self._seen(tokens, y)
        sources = self._sources(features, maps, y)
        every = [self.mixed(features, *sources, pixels[..., :channel]) for channel in range(self.channels)]
        return torch.stack(every, -2).flatten(1, 3)[:, : tokens.shape[1]]

    def mixed(self, features: Tensor, log_p: Tensor, around: Tensor, before: Tensor) -> Tensor:
        """log p of all values of the next channel [..., V]: features [..., F], sources log p [..., 1 + S²] and their values [..., S², C],
        the channels before [..., c].
        """
        for channel in range(before.shape[-1]):
            new = self.head.distribution(features, before[..., :channel]).log_softmax(-1)
            value = before[..., channel]
            joint = _with_value(log_p, new.gather(-1, value[..., None])[..., 0], around[..., channel], value)
            log_p = joint.log_softmax(-1)
        new = self.head.distribution(features, before).log_softmax(-1)
        copied = torch.zeros_like(new).scatter_add_(-1, around[..., before.shape[-1]], log_p[..., 1:].exp().to(new.dtype))
        return torch.logaddexp(log_p[..., :1] + new, copied.log())

    def _seen(self, tokens: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features [B, rows, W, F], values [B, rows, W, C] and maps [B, rows, W, M]."""
        pixels, maps = self._image(tokens), self.conditioning(y)
        assert maps is not None
        return self.net(self.planes(pixels), maps), pixels, maps[:, : pixels.shape[1]]

    def _sources(self, features: Tensor, maps: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        around, there = self.neighbours(y)
        return self.source_log_probs(features, maps, there), around[:, : features.shape[1]]

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n frames after the frames y [n, 4, C, H, W], or after none."""
        return super().memory(y, n, cached) if y is None else FrameMemory(self, y, n, cached)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Code lengths of some held-out frames x [N, C, H, W], with and without the frames before them, y uint8 [N, 4, C, H, W]."""
        if y is None:
            return super().describe(x, generator)
        alone = -self.log_prob(x).double()
        given = -self.log_prob(x, y).double()
        bits, before = (self.bits_per_dim(nats.mean().item()) for nats in (given, alone))
        saved = alone - given
        reach = self.bits_per_dim(margin(saved.std().item() / math.sqrt(len(x)), len(x))) if len(x) > 1 else math.inf
        numbers = (
            Number("−log p(x | four before)", given.mean().item(), "nat", 1, "Exact, per frame: the chain rule over all its pixels."),
            Number("−log p(x | four before), bits/dim", bits, "bits/dim", 3, f"Code length of {number_of(len(x), 'held-out frame')}."),
            Number("−log p(x), bits/dim", before, "bits/dim", 3, "Code length of the same frames where nothing before them is told."),
        )
        return Description(numbers, diagnose(bits, before, reach))


class FrameMemory(PixelMemory):
    """What a writer of next frames knows beside the pixels written so far: the maps and the last frame."""

    def __init__(self, method: NextFrame, y: Tensor, n: int, cached: bool) -> None:
        super().__init__(method, y, n, cached)
        self._predictor, self._maps = method, method.conditioning(y)
        self._around, self._there = method.neighbours(y)

    def distribution(self, features: Tensor, before: Tensor) -> Tensor:
        """Logits [n, V] of the next channel of the pixel that is being written, of its features [n, F] and channels before [n, c]."""
        row, column = divmod(self._pixels, self._predictor.width)
        assert self._maps is not None
        log_p = self._predictor.source_log_probs(features, self._maps[:, row, column], self._there)
        return self._predictor.mixed(features, log_p, self._around[:, row, column], before)


def _with_value(log_p: Tensor, new: Tensor, around: Tensor, value: Tensor) -> Tensor:
    """log p of each source together with a channel's value [..., 1 + S²]: log p of the sources before it [..., 1 + S²], of the value if it
    is new [...], values of the neighbours [..., S²], the value [...].
    """
    copied = torch.where(around == value[..., None], log_p[..., 1:], NEVER)
    return torch.cat([log_p[..., :1] + new[..., None], copied], -1)


def _values(y: Tensor) -> Tensor:
    """Frames uint8 or in [0, 1] -> in [0, 1]."""
    return to_float(y) if y.dtype == torch.uint8 else y


def diagnose(given: float, alone: float, reach: float) -> tuple[Diagnosis, ...]:
    """What the frames before save of the code length, both in bits/dim.

    - shown to save less than SOME of it: nothing of the motion is used; bad. Not told from it on so few: nothing can be said.
    - a saving below HALF: warning. More: good.

    Args:
        reach: half the width of the 95 % interval of the difference.
    """
    saved = alone - given
    if saved - reach <= 0:
        if saved + reach < SOME * alone:
            return (Diagnosis("bad", "The frames before do not shorten the code: the motion is not used yet. Train longer."),)
        return (Diagnosis("muted", "The held-out frames are too few to tell whether the frames before shorten the code."),)
    share = 100 * saved / alone
    if saved < HALF * alone:
        return (
            Diagnosis("warning", f"The frames before shorten the code by only {share:.0f} %: the motion is not known well. Train longer."),
        )
    return (Diagnosis("good", f"Knowing the four frames before, the code of the next is {share:.0f} % shorter than alone."),)
