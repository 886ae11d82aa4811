"""What the exact models of text share: their settings, what happens beyond the context, and scores per symbol.

A text longer than the context is read in windows that overlap by half: the first symbols of a text have all those before
them, every later one has between context/2 and context - 1. Writing follows the same rule: where a window is full, its
second half begins the next one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.autoregressive import SYMBOLS_DESCRIBED, Autoregressive, Memory, diagnose, entropy, saving_error
from engine.common.intervals import margin
from engine.common.spacing import evenly
from engine.config import Training, setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Number
from engine.method import DataSpec, Description, Frame, StepContext
from engine.precision import full

SYMBOLS_PER_PART = 16  # written between two partial results


@dataclass(frozen=True)
class TextSettings(Training):
    """What every model of text has."""

    context: int = setting(64, "Symbols in a window: how far back it can look.", low=8, high=4096, unit="symbols", log=True)
    units: str = setting("characters", "What a symbol is: a character, or a byte of any file.", choices=("characters", "bytes"))


class TextAutoregressive(Autoregressive):
    """A text comes as tokens int64 [B, T], of any length T; `length` is the context."""

    accepts = "text"
    conditional = False
    headline = ("loss", "nat/character", False)
    units: ClassVar = {"loss": "nat/symbol", "bits_per_token": "bits/symbol"}
    valid_slice = 64
    symbol_kind: ClassVar = "text"

    def __init__(self, config: Any, data: DataSpec) -> None:
        super().__init__(config, data)
        self.length = config.context

    @property
    def pixel_levels(self) -> int:
        """0: text has no pixels."""
        return 0

    @property
    def layout(self) -> tuple[int, int, int]:
        """One line."""
        return 1, self.length, 1

    @property
    def unit(self) -> str:
        """One symbol, in words."""
        return self.data.units.removesuffix("s")

    def to_tokens(self, x: Tensor, generator: Randomness | None = None) -> Tensor:
        """The windows int64 [B, T] themselves: text is stored as tokens."""
        return x

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: nats per symbol, and the same in bits. x int64 [B, T] -> scalars []."""
        log_p = self.symbol_log_probs(x, None)
        with full(x.device):
            loss = -log_p.mean()
            return {"loss": loss, "bits_per_token": loss / math.log(2)}

    def bits_per_dim(self, nats: float) -> float:
        """Bits per symbol, of -log p(x) = `nats` per window."""
        return likelihoods.bits_per_dim(nats, self.length)

    def headline_words(self, terms: dict[str, float]) -> str:
        """The validation loss as the list of runs shows it, in nats per symbol."""
        return f"{terms['loss']:.2f} nat/{self.unit}"

    @torch.no_grad()
    def log_prob_map(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p of every symbol given those before it, in nats [B, T]."""
        return self._scored(x, None, generator)

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Texts as they grow: tokens int64 [n, i], at last as long as the context."""
        for part in self.write_out(n, None, temperature, generator, SYMBOLS_PER_PART):
            yield Frame(part, part.shape[1], self.length)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Code lengths of some held-out windows, beside the marginal entropy of their symbols. x int64 [N, T]."""
        x = x[torch.from_numpy(evenly(len(x), max(1, SYMBOLS_DESCRIBED // x.shape[1]))).to(x.device)]
        each = -self.log_probs(x).double()  # [N, T]
        nats = each.mean().item()
        alone = entropy(x, self.symbols)
        windows = f"Mean over {len(x)} held-out windows of {x.shape[1]} {self.data.units}, the first of which have little before them."
        numbers = (
            Number(f"nats per {self.unit}", nats, "nat", 3, windows),
            Number(
                f"bits per {self.unit}",
                nats / math.log(2),
                "bit",
                3,
                f"The same as a code length; {math.log2(self.symbols):.2f} would be all {self.symbols} {self.data.units} alike.",
            ),
            Number(
                "perplexity",
                math.exp(nats),
                f"of {self.symbols}",
                2,
                f"It is as unsure as if so many {self.data.units} were equally likely.",
            ),
            Number("marginal entropy", alone, "nat", 3, f"What each {self.unit} would cost if only its frequency were known."),
        )
        reach = margin(saving_error(each.sum(1), x, self.symbols), len(x)) / x.shape[1]
        return Description(numbers, diagnose(nats, alone, reach, "text"))


def windows(tokens: Tensor, context: int) -> Tensor:
    """A text [B, T] longer than the context in windows that overlap by half: [B, W, context]; what hangs over the end is zero.

    The first window tells of all its places, every later one of those from context // 2 on.
    """
    stride = context - context // 2
    return F.pad(tokens, (0, (context - tokens.shape[1]) % stride)).unfold(1, context, stride)


def in_windows(net: Callable[[Tensor], Tensor], tokens: Tensor, context: int) -> Tensor:
    """Logits [B, T, V] of a text of any length from a net of windows [B, context] -> [B, context, V]."""
    batch, length = tokens.shape
    if length <= context:
        return net(tokens)
    parts = net(windows(tokens, context).flatten(0, 1)).unflatten(0, (batch, -1))  # [B, W, context, V]
    return torch.cat([parts[:, 0], parts[:, 1:, context // 2 :].flatten(1, 2)], 1)[:, :length]


class Sliding:
    """The memory of a net that sees one window: where it is full, the net begins anew with the window's second half."""

    def __init__(self, begin: Callable[[], Memory], context: int, n: int, device: torch.device) -> None:
        self._begin, self._context = begin, context
        self._memory = begin()
        self._recent = torch.empty(n, 0, dtype=torch.int64, device=device)  # the symbols of this window

    def advance(self, symbols: Tensor) -> Tensor:
        """Append symbols int64 [n, m] and return the logits [n, V] of the next one; what no longer fits into the context is forgotten."""
        self._recent = torch.cat([self._recent, symbols], 1)
        over = self._recent.shape[1] + 1 - self._context  # the next symbol needs a place too
        if over <= 0:
            return self._memory.advance(symbols)
        stride = self._context - self._context // 2
        self._recent = self._recent[:, math.ceil(over / stride) * stride :]
        self._memory = self._begin()
        return self._memory.advance(self._recent)
