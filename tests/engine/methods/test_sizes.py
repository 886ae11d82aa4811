"""Images larger than 64×64: one step of what takes them, one sentence of what does not."""

from __future__ import annotations

import pytest
import torch

from engine.config import make_config
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods import all_methods, method_named
from tests.kit.sentences import look_at

OF_IMAGES = sorted(name for name, method in all_methods().items() if method.accepts == "images")


def step(name: str, side: int) -> None:
    """The loss of two images and its gradients are finite."""
    method = method_named(name)
    made = build(method, make_config(method.Config, {}), DataSpec((1, side, side), ("a", "b")), seed=0)
    x = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255
    context = StepContext(generator=torch.Generator().manual_seed(2), indices=torch.arange(2), phase=method.phases[0].term)
    terms = made.loss(x, torch.tensor([0, 1]), context)
    terms[method.phases[0].term].backward()
    slopes = [parameter.grad for parameter in made.parameters() if parameter.grad is not None]
    assert slopes and all(slope.isfinite().all() for slope in slopes)


@pytest.mark.parametrize(("name", "side"), [("classifier", 128), ("simclr", 128), ("vae", 128), ("classifier", 256), ("simclr", 256)])
def test_that_a_step_is_made_at_a_larger_size(name: str, side: int) -> None:
    step(name, side)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dino", "mae", "byol", "vicreg", "rotation", "jigsaw"])
def test_that_encoders_make_a_step_at_256(name: str) -> None:
    step(name, 256)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gan", "diffusion", "vq_vae", "autoencoder", "hierarchical_vae", "inpainting"])
def test_that_models_of_pixels_make_a_step_at_128(name: str) -> None:
    step(name, 128)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_that_a_method_refuses_what_is_too_large_in_a_sentence(name: str) -> None:
    method = method_named(name)
    assert method.largest_side in (64, 128, 256)
    side = method.largest_side + 4
    with pytest.raises(CannotLearn) as caught:
        build(method, make_config(method.Config, {}), DataSpec((1, side, side), ("a", "b")), seed=0)
    assert "smaller" in look_at(str(caught.value))
