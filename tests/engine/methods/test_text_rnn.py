"""The recurrent network over text: its state is all of the past, however long."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.config import make_config
from engine.method import DataSpec, StepContext, build
from engine.methods.text_rnn import Config, TextRNN


def make(symbols: int = 4, **settings: Any) -> TextRNN:
    config = make_config(Config, {"width": 16, "layers": 2, "context": 8} | settings)
    made = build(TextRNN, config, DataSpec((), (), "text", tuple(range(97, 97 + symbols))), 0)
    assert isinstance(made, TextRNN)
    return made


@torch.no_grad()
def test_that_the_state_carried_on_is_the_network_unrolled_past_the_context():
    method = make().double().eval()
    for parameter in method.parameters():
        parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    tokens = torch.randint(4, (3, 40), generator=torch.Generator().manual_seed(2))
    weights = dict(method.net.named_parameters())
    told = method.log_probs(tokens)
    writer = method.writer(3, prefix=tokens[:, :11])
    for place in range(11, 40):
        assert torch.allclose(writer.log_probs().gather(1, tokens[:, place : place + 1])[:, 0], told[:, place], atol=1e-12, rtol=0)
        writer.write(tokens[:, place])
    plain = torch.nn.LSTM(16, 16, 2, batch_first=True).double()  # torch's own, from the same weights
    plain.load_state_dict({name.removeprefix("lstm."): value for name, value in weights.items() if name.startswith("lstm.")})
    inputs = torch.cat([weights["start.weight"].expand(3, 1, -1), weights["symbol.weight"][tokens[:, :-1]]], 1)
    logits = plain(inputs)[0] @ weights["head.weight"].T + weights["head.bias"]
    assert torch.allclose(logits.log_softmax(-1).gather(2, tokens[..., None])[..., 0], told, atol=1e-12, rtol=0)
    other = tokens.clone()
    other[:, 0] = (other[:, 0] + 1) % 4
    assert (method.log_probs(other)[:, 30] != told[:, 30]).all(), "its memory has no fixed length"


@torch.no_grad()
def test_that_a_head_of_zeros_costs_the_logarithm_of_the_symbols():
    method = make(65)
    method.net.head.weight.zero_()
    method.net.head.bias.zero_()
    loss = method.loss(torch.randint(65, (3, 8), generator=torch.Generator().manual_seed(0)), None, StepContext())["loss"]
    assert loss.item() == pytest.approx(4.174387270, abs=1e-6)


def test_that_a_periodic_text_costs_only_its_beginning():
    method = make()
    optimizer = torch.optim.Adam(method.parameters(), 1e-2)
    loss = torch.zeros(())
    for step in range(200):
        starts = torch.arange(4)[:, None] + step
        loss = method.loss((starts + torch.arange(8)) % 4, None, StepContext())["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(math.log(4) / 8, abs=0.02)
