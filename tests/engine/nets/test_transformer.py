"""The causal transformer against a slow loop, its Jacobian, its initial weights, and its cache."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.nets.init import initialize
from engine.nets.transformer import SPREAD, Transformer, random_bytes


def built(
    symbols: int = 5, places: tuple[int, ...] = (2, 3), width: int = 8, layers: int = 2, heads: int = 2, spread: float = 0.5, **more: float
) -> Transformer:
    net = Transformer(symbols, places, width, layers, heads, **more)  # type: ignore[arg-type]
    initialize(net, torch.Generator().manual_seed(0))
    net = net.double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    return net


def some(count: int, length: int = 6, symbols: int = 5) -> Tensor:
    return torch.randint(symbols, (count, length), generator=torch.Generator().manual_seed(2))


def by_hand(net: Transformer, tokens: list[int], label: int | None = None) -> Tensor:
    """Logits [T, V] of one sequence: every place, head and key in a loop, from the weights alone."""
    weights = dict(net.named_parameters())

    def linear(name: str, h: Tensor) -> Tensor:
        return weights[f"{name}.weight"] @ h + weights[f"{name}.bias"]

    def norm(name: str, h: Tensor) -> Tensor:
        centred = h - h.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    rows, columns = weights["inputs.places.axes.0.weight"], weights["inputs.places.axes.1.weight"]
    hs = []
    for i in range(len(tokens)):
        h = weights["inputs.start.weight"][0] if i == 0 else weights["inputs.symbol.weight"][tokens[i - 1]]
        h = h + rows[i // len(columns)] + columns[i % len(columns)]
        hs.append(h if label is None else h + weights["inputs.label.weight"][label])
    for layer in range(len(net.blocks)):
        at = f"blocks.{layer}"
        width = len(hs[0])
        heads = net.blocks[layer].heads  # type: ignore[union-attr]
        size = width // heads  # type: ignore[operator]
        qkv = [linear(f"{at}.qkv", norm(f"{at}.norm1", h)) for h in hs]
        after = []
        for i, h in enumerate(hs):
            found = []
            for head in range(heads):  # type: ignore[arg-type]
                part = slice(head * size, (head + 1) * size)
                q = qkv[i][:width][part]
                scores = torch.stack([q @ qkv[j][width : 2 * width][part] / math.sqrt(size) for j in range(i + 1)])
                shares = scores.exp() / scores.exp().sum()
                found.append(sum(shares[j] * qkv[j][2 * width :][part] for j in range(i + 1)))
            h = h + linear(f"{at}.project", torch.cat(found))  # type: ignore[arg-type]
            wide = linear(f"{at}.fc1", norm(f"{at}.norm2", h))
            after.append(h + linear(f"{at}.fc2", torch.where(wide > 0, wide * wide, 0.0)))
        hs = after
    return torch.stack([linear("head", norm("norm", h)) for h in hs])


@torch.no_grad()
def test_that_it_is_what_a_slow_loop_computes():
    net = built(classes=3)
    tokens, y = some(2), torch.tensor([2, 0])
    logits = net(tokens, y)
    for b in range(2):
        assert torch.allclose(logits[b], by_hand(net, tokens[b].tolist(), int(y[b])), atol=1e-10, rtol=0)
    assert torch.allclose(net(tokens[:1])[0], by_hand(net, tokens[0].tolist()), atol=1e-10, rtol=0), "without a class"


def test_that_the_jacobian_is_exactly_zero_where_the_order_forbids_and_full_where_it_allows():
    net, tokens = built(), some(1)
    seen: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1]

    net.inputs.symbol.register_forward_hook(keep)
    logits = net(tokens)
    embedded = seen[0]  # of the symbols at places 0 … T - 2 [1, T - 1, W]
    for i in range(6):
        gradient = torch.autograd.grad(logits[0, i].square().sum(), embedded, retain_graph=True, allow_unused=True)[0]
        reached = torch.zeros(5) if gradient is None else gradient[0].abs().sum(1)
        assert (reached[i:] == 0).all(), f"place {i} is told a symbol at or after itself"
        assert (reached[:i] > 0).all(), f"place {i} does not see all before it"


def test_that_initial_weights_are_small_and_smaller_towards_the_residual_stream():
    net = Transformer(50, (64,), width=64, layers=8, heads=4)
    initialize(net, torch.Generator().manual_seed(0))
    for name, parameter in net.named_parameters():
        if "norm" in name:
            assert torch.equal(parameter, torch.full_like(parameter, float(name.endswith("weight"))))
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            expected = SPREAD / math.sqrt(16) if "project" in name or "fc2" in name else SPREAD
            assert parameter.std().item() == pytest.approx(expected, rel=6 / math.sqrt(2 * parameter.numel())), name


@torch.no_grad()
@pytest.mark.parametrize("classes", [0, 3])
def test_that_the_cache_takes_any_number_of_symbols_at_once_and_tells_the_same(classes: int):
    net = built(places=(12,), classes=classes)
    y = torch.tensor([2, 0, 1]) if classes else None
    tokens = some(3, 12)
    whole = net(tokens, y)
    for pieces in ([0] + [1] * 11, [11], [3, 4, 1, 3], [0, 5, 1, 1, 4], [1, 10]):
        cache, place = net.cache(3, y), 0
        for count in pieces:
            logits = cache.advance(tokens[:, place : place + count])
            place += count
            assert torch.allclose(logits, whole[:, place], atol=1e-12, rtol=0), (pieces, place)


@torch.no_grad()
def test_that_caches_of_one_net_do_not_know_each_other():
    net, tokens = built(), some(2)
    first, second = net.cache(1), net.cache(1)
    first.advance(tokens[:1, :2])
    second.advance(tokens[1:, :3])
    assert torch.allclose(first.advance(tokens[:1, 2:3]), net(tokens[:1])[:, 3], atol=1e-12, rtol=0)


def test_that_random_bytes_are_even_at_every_place_of_a_draw():
    drawn = random_bytes((999, 1001), torch.Generator().manual_seed(0)).flatten()
    for place in range(8):
        counts = torch.bincount(drawn[place::8].long(), minlength=256).double()
        expected = counts.sum() / 256
        assert ((counts - expected).square() / expected).sum() < 255 + 5 * math.sqrt(2 * 255)  # χ² with 255 degrees of freedom


@torch.no_grad()
def test_that_dropout_comes_from_the_generator_and_only_with_one():
    net, tokens = built(dropout=0.5), some(2)
    quiet = net(tokens)
    assert torch.equal(net(tokens), quiet)
    noisy = [net(tokens, None, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert torch.equal(noisy[0], noisy[1]) and not torch.equal(noisy[0], noisy[2]) and not torch.equal(noisy[0], quiet)
    block = net.blocks[0]
    kept = block._dropped(torch.ones(200, 200), torch.Generator().manual_seed(0))  # type: ignore[operator, union-attr]
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert kept.mean().item() == pytest.approx(1, abs=0.02)


def test_that_heads_must_share_the_width():
    with pytest.raises(ValueError, match="cannot be shared"):
        Transformer(5, (4,), width=10, layers=1, heads=4)
