"""The recurrent network over pixels: against torch's LSTM cell in a plain loop, and what its memory carries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.config import make_config
from engine.method import DataSpec, StepContext, build
from engine.methods.pixel_rnn import Config, PixelRNN


def make(shape: tuple[int, ...] = (1, 4, 4), classes: tuple[str, ...] = (), **settings: Any) -> PixelRNN:
    made = build(PixelRNN, make_config(Config, {"width": 16, "layers": 2} | settings), DataSpec(shape, classes), 0)
    assert isinstance(made, PixelRNN)
    return made


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 2, 3)])
def test_that_it_is_a_stack_of_cells_told_the_last_symbol_the_one_above_the_place_and_the_class(shape: tuple[int, ...]):
    c, h, w = shape
    method = make(shape, ("a", "b", "c"), levels=5, conditional=True).double()
    net, weights = method.net, dict(method.net.named_parameters())
    tokens, y = torch.randint(5, (2, c * h * w), generator=torch.Generator().manual_seed(1)), torch.tensor([2, 1])
    logits = method.logits(tokens, y)
    cells = []
    for layer in range(2):
        cell = torch.nn.LSTMCell(16, 16).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).copy_(weights[f"lstm.{name}_l{layer}"])
        cells.append(cell)
    for b in range(2):
        states: list[Any] = [None, None]
        for place in range(c * h * w):
            row, column, channel = place // (w * c), place // c % w, place % c
            x = weights["start.weight"][0] if place == 0 else weights["symbol.weight"][tokens[b, place - 1]]
            above = tokens[b, ((row - 1) * w + column) * c + channel] if row else 5
            assert net.above is not None and net.label is not None
            x = x + net.above.weight[above] + net.label.weight[y[b]]
            for axis, at in enumerate((row, column, channel)):
                x = x + weights[f"places.{axis}.weight"][at]
            out = x[None]
            for layer, cell in enumerate(cells):
                states[layer] = cell(out, states[layer])
                out = states[layer][0]
            assert torch.allclose(logits[b, place], weights["head.weight"] @ out[0] + weights["head.bias"], atol=1e-12, rtol=0)


def test_that_the_forget_gate_begins_open():
    net = make().net
    for layer in range(2):
        bias = getattr(net.lstm, f"bias_ih_l{layer}") + getattr(net.lstm, f"bias_hh_l{layer}")
        assert torch.equal(bias.detach(), torch.tensor([0.0] * 16 + [1.0] * 16 + [0.0] * 32))


def test_that_it_remembers_the_first_pixel_to_the_last():
    """Two pictures that differ in the first and the last pixel only: the last costs nothing once the first is known."""
    pictures = torch.zeros(2, 1, 2, 3)
    pictures[1, 0, 0, 0] = pictures[1, 0, 1, 2] = 1
    method = make((1, 2, 3), levels=4, layers=1)
    optimizer = torch.optim.Adam(method.parameters(), 2e-2)
    for _ in range(200):
        optimizer.zero_grad()
        method.loss(pictures, None, StepContext())["loss"].backward()
        optimizer.step()
    nats = -method.log_prob_map(pictures)
    assert nats[:, 0, 0].tolist() == pytest.approx([0.693] * 2, abs=0.1)
    assert nats[:, 1, 2].max() < 0.1
