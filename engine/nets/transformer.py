"""A causal transformer over a sequence of symbols (pre-norm, learned positions: GPT-2), with a key/value cache for writing.

The input of place i is symbol i - 1, and a learned start at place 0: this is the one shift there is, so the logits of
place i depend on the symbols before it only, and the first symbol has a distribution too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPREAD = 0.02  # of initial weights (Radford et al. 2019)


class NormalLinear(nn.Linear):
    """A linear layer that begins small: N(0, spread²), no offset."""

    def __init__(self, inputs: int, outputs: int, spread: float = SPREAD) -> None:
        self.spread = spread
        super().__init__(inputs, outputs)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew: normal with deviation `spread`; bias zero."""
        nn.init.normal_(self.weight, 0.0, self.spread, generator=generator)
        nn.init.zeros_(self.bias)


class NormalEmbedding(nn.Embedding):
    """A learned vector for each of some things: N(0, spread²) in the beginning."""

    def __init__(self, size: int, width: int, spread: float = SPREAD) -> None:
        self.spread = spread
        super().__init__(size, width)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the embeddings anew: normal with deviation `spread`."""
        nn.init.normal_(self.weight, 0.0, self.spread, generator=generator)


class PositionEmbedding(nn.Module):
    """A learned vector for each place of a grid: the sum of one per place along each of its axes (row, column, channel)."""

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        self.axes = nn.ModuleList(NormalEmbedding(size, width) for size in shape)

    def forward(self) -> Tensor:  # -> [N, W] in raster order, the last axis fastest
        """The embeddings of all places [N, W] in raster order, the last axis fastest."""
        first, *others = (axis.weight for axis in self.axes)
        for axis in others:
            first = (first[:, None] + axis).flatten(0, 1)  # type: ignore[index, operator]
        return first  # type: ignore[return-value]


class Inputs(nn.Module):
    """What a network is told at each place: the symbol before it (a learned start at the first), the place, the condition."""

    def __init__(self, symbols: int, places: Sequence[int], width: int, classes: int = 0, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.symbol, self.start = NormalEmbedding(symbols, width), NormalEmbedding(1, width)
        self.places = PositionEmbedding(places, width)
        self.label = encoder if encoder is not None else NormalEmbedding(classes, width) if classes else None

    def added(self, y: Tensor | None) -> Tensor | None:
        """What conditions y [B, ...] add, at all places alike or at each: [B, 1 or N, W]."""
        if self.label is None or y is None:
            return None
        told = self.label(y)
        return told[:, None] if told.ndim == 2 else told

    def forward(self, tokens: Tensor, y: Tensor | None) -> Tensor:  # [B, T] -> [B, T, W]
        """tokens int64 [B, T], conditions y [B, ...] or None -> input embeddings [B, T, W]."""
        before = torch.cat([self.start.weight.expand(len(tokens), 1, -1), self.symbol(tokens[:, :-1])], 1)
        h = before + self.places()[: tokens.shape[1]]
        told = self.added(y)
        return h if told is None else h + told[:, : tokens.shape[1]]


class TransformerBlock(nn.Module):
    """x + attention(norm x), then x + mlp(norm x); squared ReLU (So et al. 2021, Primer): as good as GELU, and cheap on a processor."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        towards_residual = SPREAD / math.sqrt(2 * layers)  # so that the sum over all layers keeps its size
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = NormalLinear(width, 3 * width), NormalLinear(width, width, towards_residual)
        self.fc1, self.fc2 = NormalLinear(width, 4 * width), NormalLinear(4 * width, width, towards_residual)

    def forward(self, h: Tensor, generator: torch.Generator | None) -> Tensor:  # [B, T, W] -> the same
        """Pre-norm block with causal self-attention, [B, T, W] -> the same; `generator` draws the dropout."""
        q, k, v = self._heads(self.norm1(h))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self._dropped(self.project(attended.transpose(1, 2).flatten(2)), generator)
        return h + self._dropped(self._mlp(h), generator)

    def _heads(self, h: Tensor) -> tuple[Tensor, ...]:  # [B, T, W] -> q, k, v [B, heads, T, W / heads]
        return self.qkv(h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def _mlp(self, h: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(self.norm2(h))).square())

    def _dropped(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Dropout, of the nearest 256th, whose noise comes from the generator; without one there is none."""
        if not self.dropout or generator is None:
            return h
        lost = round(256 * self.dropout)
        return h * (random_bytes(h.shape, generator) >= lost) * (256 / (256 - lost))

    def extend(self, h: Tensor, keys: Tensor, values: Tensor, place: int) -> Tensor:
        """The same for m places [n, m, W] from `place` on; keys and values [n, heads, N, W / heads] hold those before and are filled."""
        q, k, v = self._heads(self.norm1(h))
        end = place + h.shape[1]
        keys[:, :, place:end], values[:, :, place:end] = k, v
        seen = torch.ones(h.shape[1], end, dtype=torch.bool, device=h.device).tril(place)
        attended = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end], attn_mask=seen)
        h = h + self.project(attended.transpose(1, 2).flatten(2))
        return h + self._mlp(h)


def random_bytes(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Uniform random uint8 [*shape]. Eight come from one draw, which takes a third of the time that a draw for each takes."""
    if generator.device.type == "mps":  # its generators know no whole 64 bits
        return torch.randint(256, shape, generator=generator, device=generator.device, dtype=torch.uint8)
    count = math.prod(shape)
    drawn = torch.empty((count + 7) // 8, dtype=torch.int64, device=generator.device).random_(-(2**63), None, generator=generator)
    return drawn.view(torch.uint8)[:count].view(shape)


class Transformer(nn.Module):
    """Symbols [B, T] -> logits [B, T, V] of each given those before it.

    Args:
        symbols: V.
        places: the grid the sequence runs over, the last axis fastest; (N,) for a line.
        classes: where y [B] is given too.
        encoder: where other conditions y [B, ...] are: makes vectors [B, W] of them, or [B, N, W] for each place.
        dropout: share of each block's outputs that is set to zero, when `forward` is given a generator.
    """

    def __init__(
        self,
        symbols: int,
        places: Sequence[int],
        width: int,
        layers: int,
        heads: int,
        classes: int = 0,
        dropout: float = 0.0,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"A width of {width} cannot be shared by {heads} heads.")
        self.length = math.prod(places)
        self.inputs = Inputs(symbols, places, width, classes, encoder)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, layers, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = NormalLinear(width, symbols)

    def forward(self, tokens: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """tokens int64 [B, T], conditions y [B, ...] or None -> logits [B, T, V]; each place sees the symbols before it."""
        h = self.inputs(tokens, y)
        for block in self.blocks:
            h = block(h, generator)
        return self.head(self.norm(h))

    def cache(self, n: int, y: Tensor | None = None) -> Cache:
        """Key-value cache for n sequences; conditions y [n, ...] or None."""
        return Cache(self, n, y)


class Cache:
    """Keys and values of what n sequences hold so far, so that a new symbol costs one place and not all of them."""

    def __init__(self, net: Transformer, n: int, y: Tensor | None) -> None:
        self._net, self._n = net, n
        inputs, block = net.inputs, net.blocks[0]
        assert isinstance(block, TransformerBlock)
        heads, width = block.heads, net.norm.normalized_shape[0]
        self._place = 0  # places whose keys are known
        self._started = False
        with torch.no_grad():
            added = inputs.places().detach()[:, None]  # what each place is told besides its symbol [N, 1 or n, W]
            told = inputs.added(y)
            self._added = added if told is None else added + told.transpose(0, 1)
            self._at = self._added.unbind(0)
            self._kv = added.new_empty(len(net.blocks), 2, n, heads, net.length, width // heads)
            self._steps = [_Step(layer, self._kv[i]) for i, layer in enumerate(net.blocks) if isinstance(layer, TransformerBlock)]
        self._symbols = inputs.symbol.weight
        self._norm = (net.norm.normalized_shape, net.norm.weight, net.norm.bias, net.norm.eps)
        self._head = (net.head.bias, net.head.weight.t())

    def advance(self, symbols: Tensor) -> Tensor:
        """Take in the next m symbols int64 [n, m] -> logits of the one after them [n, V]."""
        if self._started and symbols.shape[1] == 1:
            h = self._symbols.index_select(0, symbols[:, 0]) + self._at[self._place]  # [n, W]
            for step in self._steps:
                h = step(h, self._place)
            self._place += 1
        else:
            h = self._many(symbols)
        return torch.addmm(self._head[0], torch.native_layer_norm(h, *self._norm)[0], self._head[1])

    def _many(self, symbols: Tensor) -> Tensor:
        """The last place after several symbols, or after the start [n, W]."""
        net = self._net
        h = net.inputs.symbol(symbols)
        if not self._started:
            h = torch.cat([net.inputs.start.weight.expand(self._n, 1, -1), h], 1)
        h = h + self._added[self._place : self._place + h.shape[1]].transpose(0, 1)
        for i, block in enumerate(net.blocks):
            assert isinstance(block, TransformerBlock)
            h = block.extend(h, self._kv[i, 0], self._kv[i, 1], self._place)
        self._place += h.shape[1]
        self._started = True
        return h[:, -1]


class _Step:
    """One block at one new place. The same as `TransformerBlock.extend` with as few calls as can be: at batch 1 the calls are the cost."""

    def __init__(self, block: TransformerBlock, kv: Tensor) -> None:
        _, n, heads, length, size = kv.shape  # [2, n, heads, N, d]
        if n == 1:  # q and k with v lie behind each other
            self.view, self.sizes, self.axis, where = (3 * heads, 1, size), (heads, 2 * heads), 0, kv.view(2 * heads, length, size)
        else:
            self.view, self.sizes, self.axis, where = (n, 3, heads, 1, size), (1, 2), 1, kv.transpose(0, 1)
        self.slots = where.split(1, -2)  # for k and v of each place
        self.queries = (n * heads, 1, size)
        keys, self.values = kv.view(2, n * heads, length, size).unbind(0)
        self.keys = keys.mT  # [n heads, d, N]
        self.norm1, self.norm2 = ((norm.normalized_shape, norm.weight, norm.bias, norm.eps) for norm in (block.norm1, block.norm2))
        layers = (block.qkv, block.project, block.fc1, block.fc2)
        self.b1, self.b2, self.b3, self.b4 = (layer.bias for layer in layers)
        self.w1, self.w2, self.w3, self.w4 = (layer.weight.t() for layer in layers)
        scale = self.b1.new_ones(len(self.b1))
        scale[: heads * size] /= math.sqrt(size)  # of q, once and for all
        self.b1, self.w1 = self.b1 * scale, self.w1 * scale

    def __call__(self, h: Tensor, place: int) -> Tensor:  # [n, W] -> the same
        n, width = h.shape
        size1, scale1, shift1, eps1 = self.norm1
        size2, scale2, shift2, eps2 = self.norm2
        projected = torch.addmm(self.b1, torch.native_layer_norm(h, size1, scale1, shift1, eps1)[0], self.w1)
        q, kv = projected.view(self.view).split_with_sizes(self.sizes, self.axis)
        self.slots[place].copy_(kv)
        scores = torch.bmm(q if n == 1 else q.reshape(self.queries), self.keys.narrow(2, 0, place + 1))  # [n heads, 1, place + 1]
        attended = torch.bmm(scores.softmax(-1), self.values.narrow(1, 0, place + 1)).view(n, width)
        h = torch.addmm(self.b2, attended, self.w2).add_(h)
        wide = torch.addmm(self.b3, torch.native_layer_norm(h, size2, scale2, shift2, eps2)[0], self.w3).relu_()
        return torch.addmm(self.b4, wide.square_(), self.w4).add_(h)
