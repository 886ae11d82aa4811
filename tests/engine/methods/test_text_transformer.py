"""The transformer over text: untrained and learnable code lengths, windows beyond the context, dropout."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import BadSetting, make_config
from engine.method import DataSpec, StepContext, build
from engine.methods.text_transformer import Config, TextTransformer


def make(symbols: int = 4, **settings: Any) -> TextTransformer:
    config = make_config(Config, {"width": 16, "layers": 1, "heads": 2, "context": 8} | settings)
    made = build(TextTransformer, config, DataSpec((), (), "text", tuple(range(97, 97 + symbols))), 0)
    assert isinstance(made, TextTransformer)
    return made


def wide(symbols: int = 4, **settings: Any) -> TextTransformer:
    method = make(symbols, **settings).double().eval().requires_grad_(False)
    for parameter in method.parameters():
        parameter.add_(0.7 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    return method


def learned(method: TextTransformer, text: Tensor, steps: int, batch: int = 32) -> float:
    """Trains on random windows of `text`; the mean loss of the last tenth of the steps, in nats per symbol."""
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.Adam(method.parameters(), 1e-2)
    context, losses = method.length, []
    for _ in range(steps):
        starts = torch.randint(len(text) - context, (batch,), generator=generator)
        loss = method.loss(text[starts[:, None] + torch.arange(context)], None, StepContext())["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses[-steps // 10 :]) / (steps // 10)


@torch.no_grad()
@pytest.mark.parametrize("symbols, nats", [(65, 4.174387270), (27, 3.295836866)])
def test_that_a_head_of_zeros_costs_the_logarithm_of_the_symbols(symbols: int, nats: float):
    method = make(symbols)
    method.net.head.weight.zero_()
    terms = method.loss(torch.randint(symbols, (3, 8), generator=torch.Generator().manual_seed(0)), None, StepContext())
    assert terms["loss"].item() == pytest.approx(nats, abs=1e-6)
    assert terms["bits_per_token"].item() == pytest.approx(nats / math.log(2), abs=1e-6)
    assert method.headline_words({"loss": 1.7249}) == "1.72 nat/character"


def test_that_a_periodic_text_costs_only_its_beginning():
    """Of period 4 the first symbol of a window costs ln 4 and every later one nothing."""
    assert learned(make(), torch.arange(400) % 4, 150) == pytest.approx(math.log(4) / 8, abs=0.02)


def test_that_noise_never_costs_less_than_the_logarithm_of_its_symbols():
    noise = torch.randint(4, (20_000,), generator=torch.Generator().manual_seed(3))
    method = make()
    learned(method, noise[:10_000], 150)
    held_out = method.loss(noise[10_000:].view(-1, 8), None, StepContext())["loss"].item()
    assert math.log(4) - 0.002 < held_out < math.log(4) + 0.03


def test_that_a_markov_chain_is_learned_to_its_entropy_rate():
    """Stay with 0.9: the first symbol costs ln 2, each later one -0.9 ln 0.9 - 0.1 ln 0.1 = 0.3251 nats."""
    moves = (torch.rand(30_000, generator=torch.Generator().manual_seed(4)) < 0.1).long()
    expected = (math.log(2) + 7 * 0.325083) / 8
    assert learned(make(2), moves.cumsum(0) % 2, 200) == pytest.approx(expected, abs=0.015)


# ---------------------------------------------------------------------------------------------------------------------
# Beyond the context
# ---------------------------------------------------------------------------------------------------------------------


def in_one_window(method: TextTransformer, tokens: Tensor) -> Tensor:
    """log p of the last of T ≤ context symbols given those before it, alone in one window."""
    return method.net(tokens[None]).log_softmax(-1)[0, -1, tokens[-1]]


@pytest.mark.parametrize("context", [8, 9])
@pytest.mark.parametrize("length", [8, 9, 12, 13, 20, 31])
def test_that_every_symbol_beyond_the_context_has_half_of_it_to_all_of_it_before(context: int, length: int):
    """The oracle goes symbol by symbol: a full window is replaced by its second half."""
    method = wide(context=context)
    tokens = torch.randint(4, (length,), generator=torch.Generator().manual_seed(5))
    window: list[int] = []
    expected, before = [], []
    for symbol in tokens.tolist():
        if len(window) == context:
            window = window[context - context // 2 :]
        before.append(len(window))
        window.append(symbol)
        expected.append(in_one_window(method, torch.tensor(window)))
    assert before[:context] == list(range(min(context, length)))
    assert all(context // 2 <= count < context for count in before[context:])
    assert torch.allclose(method.log_probs(tokens[None])[0], torch.stack(expected), atol=1e-12, rtol=0)
    assert method.log_prob(tokens[None]).item() == pytest.approx(sum(expected).item(), abs=1e-10)  # type: ignore[union-attr]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("given", [0, 5, 8, 11, 12, 27])
def test_that_writing_beyond_the_context_follows_the_same_rule(cached: bool, given: int):
    method = wide()
    tokens = torch.randint(4, (2, 33), generator=torch.Generator().manual_seed(6))
    expected = method.log_probs(tokens)
    writer = method.writer(2, prefix=tokens[:, :given], cached=cached)
    for place in range(given, 33):
        told = writer.log_probs().gather(1, tokens[:, place : place + 1])[:, 0]
        assert torch.allclose(told, expected[:, place], atol=1e-12, rtol=0), place
        writer.write(tokens[:, place])


def test_that_a_prompt_is_kept_and_the_text_goes_on_past_the_context():
    method = wide()
    prompt = torch.tensor([[0, 1, 2, 3, 3, 2]]).expand(2, -1)
    parts = list(method.write_out(2, None, 1.0, torch.Generator().manual_seed(0), 3, prompt))
    assert [part.shape for part in parts] == [(2, 9), (2, 12), (2, 14)]
    assert torch.equal(parts[-1][:, :6], prompt) and torch.equal(parts[-1][:, :12], parts[1])


# ---------------------------------------------------------------------------------------------------------------------


def test_that_dropout_is_noise_of_the_training_only():
    method = make(dropout=0.5)
    x = torch.randint(4, (4, 8), generator=torch.Generator().manual_seed(0))

    def loss(seed: int) -> float:
        return method.loss(x, None, StepContext(generator=torch.Generator().manual_seed(seed)))["loss"].item()

    assert loss(1) == loss(1) != loss(2)
    assert torch.equal(method.log_prob(x), method.log_prob(x))
    method.eval()
    assert loss(1) == loss(2) == pytest.approx(-method.log_prob(x).mean().item() / 8, abs=1e-6)


def test_that_a_width_must_be_shared_by_the_heads():
    with pytest.raises(BadSetting, match="choose a multiple of 4"):
        make(width=18, heads=4)
