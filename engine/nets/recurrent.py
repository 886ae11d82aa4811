"""An LSTM over a sequence of symbols, for images in raster order and for text; its state is all that writing needs to keep.

The input of place i is symbol i - 1 (a learned start at the first), for images also the symbol above place i, the place
and the class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.transformer import NormalEmbedding
from engine.precision import full


class Lstm(nn.LSTM):
    """Weights within 1/√hidden; the forget gate begins open, so that gradients reach far back (Jozefowicz et al. 2015)."""

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew: uniform within 1 / √(hidden size); biases zero, those of the forget gate 1."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters():
            if name.startswith("weight"):
                parameter.uniform_(-bound, bound, generator=generator)
            else:
                nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):
                    parameter[self.hidden_size : 2 * self.hidden_size] = 1.0


class Recurrent(nn.Module):
    """Symbols [B, T] -> logits [B, T, V] of each given those before it.

    Args:
        symbols: V.
        places: the grid the sequence runs over, the last axis fastest; empty where a place means nothing (text).
        above: how many symbols before place i the one above it stands; 0 where there is none.
        classes: where y [B] is given too.
    """

    def __init__(self, symbols: int, width: int, layers: int, places: Sequence[int] = (), above: int = 0, classes: int = 0) -> None:
        super().__init__()
        self.symbols, self.above_by = symbols, above
        spread = 0.5  # inputs about as large as the states they meet
        self.start, self.symbol = NormalEmbedding(1, width, spread), NormalEmbedding(symbols, width, spread)
        self.above = NormalEmbedding(symbols + 1, width, spread) if above else None  # the last one: nothing is above
        self.places = nn.ModuleList(NormalEmbedding(size, width, spread) for size in places)
        self.label = NormalEmbedding(classes, width, spread) if classes else None
        self.lstm = Lstm(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, symbols)

    def forward(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        """tokens int64 [B, T], y int64 [B] or None -> logits [B, T, V]; each place sees the symbols before it."""
        return self.head(self.run(self.inputs(tokens, y, 0, tokens.shape[1]), None)[0])

    def run(self, h: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The LSTM over [n, m, W] from a state on, in the weights' own precision: not every processor has one in bf16."""
        with full(h.device):
            return self.lstm(h.to(self.start.weight.dtype), state)

    def inputs(self, tokens: Tensor, y: Tensor | None, first: int, end: int) -> Tensor:
        """Of the places from `first` to `end`, of which `tokens` holds all symbols before them [n, end - 1] -> [n, m, W]."""
        h = self.symbol(tokens[:, max(0, first - 1) : end - 1])
        if first == 0:
            h = torch.cat([self.start.weight.expand(len(tokens), 1, -1), h], 1)
        if self.above is not None:
            above = tokens[:, max(0, first - self.above_by) : max(0, end - self.above_by)]
            h = h + self.above(F.pad(above, (end - first - above.shape[1], 0), value=self.symbols))
        place = torch.arange(first, end, device=tokens.device)
        for table in reversed(self.places):
            assert isinstance(table, NormalEmbedding)
            h = h + table(place % table.num_embeddings)
            place = place.div(table.num_embeddings, rounding_mode="floor")
        return h if self.label is None or y is None else h + self.label(y)[:, None]

    def state(self, n: int, y: Tensor | None = None) -> RecurrentMemory:
        """Incremental state for n sequences; y int64 [n] or None."""
        return RecurrentMemory(self, n, y)


class RecurrentMemory:
    """What the LSTM remembers of n sequences; the symbols themselves are kept as far back as the row above."""

    def __init__(self, net: Recurrent, n: int, y: Tensor | None) -> None:
        self._net, self._y = net, y
        self._state: tuple[Tensor, Tensor] | None = None
        self._place = 0
        self._tokens = torch.empty(n, 0, dtype=torch.int64, device=net.start.weight.device)

    def advance(self, symbols: Tensor) -> Tensor:
        """Take in the next m symbols int64 [n, m] -> logits of the one after them [n, V]."""
        net, first = self._net, self._place
        self._tokens = torch.cat([self._tokens, symbols], 1)
        self._place = self._tokens.shape[1] + 1
        out, self._state = net.run(net.inputs(self._tokens, self._y, first, self._place), self._state)
        return net.head(out[:, -1])
