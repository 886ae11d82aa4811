"""A batch whose loss needs all of it, computed in pieces: the same gradients, with one piece's activations at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.data import open_data
from engine.method import Phase, StepContext, View
from engine.training.plan import Plan, resolve
from engine.training.step import piece_lengths
from engine.training.trainer import Trainer

STILL = {"crop_least": 1.0, "flip": 0.0, "jitter": 0.0, "grey": 0.0}


@pytest.fixture(scope="module")
def digits():
    return open_data("digits")


def trainer(digits: Any, **settings: Any) -> Trainer:
    config = {"width": 8, "batch_size": 12, "learning_rate": 1e-3, "norm": "group", **STILL, **settings}
    return Trainer(resolve(Plan("simclr", "digits", config=config)), digits)


def two_sides(x: torch.Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
    """Views without chance, so that pieces and the whole see the same."""
    return View("view 1", x), View("view 2", x.flip(3))


def gradients_of_a_step(made: Trainer) -> dict[str, torch.Tensor]:
    made.method.views = two_sides  # type: ignore[method-assign, assignment]
    made.method.double()
    indices = made.order.next()
    examples, labels = made.batches.take(indices)
    seen: list[int] = []
    network = made.method.network
    network.register_forward_hook(lambda _module, given, _told: seen.append(len(given[0])))  # type: ignore[operator]
    made.method.zero_grad()
    terms = made.stepper.gradients(Phase(), examples.double() / 255, labels, made.context(indices))
    assert terms is not None
    grads = {name: p.grad.clone() for name, p in made.method.named_parameters() if p.grad is not None}
    return {**grads, "loss": terms["loss"], "largest": torch.tensor(max(seen))}


@pytest.mark.parametrize(("piece", "largest"), [(1, 1), (3, 3), (5, 4)])  # 12 images are three pieces of 4, not 5, 5 and 2
def test_that_pieces_of_any_size_have_the_gradients_of_the_whole_batch(digits, piece: int, largest: int):
    whole, pieces = gradients_of_a_step(trainer(digits)), gradients_of_a_step(trainer(digits, micro_batch_size=piece))
    assert int(whole.pop("largest")) == 24 and int(pieces.pop("largest")) == 2 * largest
    assert whole.keys() == pieces.keys() and len(whole) > 8
    for name, value in whole.items():
        assert torch.allclose(pieces[name], value, atol=1e-10), name


def test_that_batch_norm_sees_pieces_and_so_the_gradients_differ(digits):
    whole, pieces = (gradients_of_a_step(trainer(digits, norm="batch", micro_batch_size=piece)) for piece in (0, 3))
    assert not torch.allclose(whole["network.stem.weight"], pieces["network.stem.weight"], atol=1e-6)


def test_that_both_passes_over_a_piece_see_the_same_views(digits):
    made = trainer(digits, micro_batch_size=4, crop_least=0.3, flip=0.5, jitter=0.8)
    seen: list[torch.Tensor] = []
    views = type(made.method).views

    def listened(x: torch.Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        told = views(made.method, x, generator)  # type: ignore[arg-type]
        seen.append(torch.cat([view.x for view in told]))
        return told

    made.method.views = listened  # type: ignore[method-assign, assignment]
    made.step()
    assert len(seen) == 6
    assert all(torch.equal(a, b) for a, b in zip(seen[:3], seen[3:], strict=True))
    assert not torch.equal(seen[0], seen[1])


def test_that_too_little_memory_leads_to_pieces_and_not_to_a_failure(digits):
    made = trainer(digits)
    project = made.method.project
    most: list[int] = []

    def tight(x: torch.Tensor, context: StepContext) -> torch.Tensor:
        if len(x) > 6:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        most.append(len(x))
        return project(x, context)

    made.method.project = tight  # type: ignore[method-assign, assignment]
    terms = made.step()
    assert terms["loss"].isfinite() and made.stepper.micro_batch_size == 6 and set(most) == {6}


@pytest.mark.parametrize(("count", "most"), [(8, 8), (8, 3), (129, 128), (7, 2), (1, 4), (5, 1)])
def test_that_pieces_are_few_even_and_hold_every_image(count: int, most: int):
    lengths = piece_lengths(count, most)
    assert sum(lengths) == count and max(lengths) <= most and len(lengths) == math.ceil(count / most)
    assert max(lengths) - min(lengths) <= 1
