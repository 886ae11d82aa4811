"""With one class p(x) = p(x|y): every method that knows classes must give the same answers whether the only one is named or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.bases.denoising import DenoisingSampler
from engine.config import make_config
from engine.method import DataSpec, StepContext, build
from engine.methods import all_methods
from tests.kit.tensors import seeded

SHAPE = (1, 8, 8)
SMALL = {
    "conditional_vae": {"width": 8, "latent": 3},
    "diffusion": {"width": 8},
    "discriminant": {},
    "gan": {"width": 4, "latent": 3},
    "pixel_cnn": {"width": 4, "layers": 1, "levels": 4},
    "pixel_rnn": {"width": 8, "levels": 4},
    "pixel_transformer": {"width": 8, "layers": 1, "heads": 2, "levels": 4},
    "token_transformer": {"width": 8, "layers": 1, "heads": 2, "codes": 6},
}
MIXED = [name for name in SMALL if name != "diffusion"]  # its p(x) is learned beside p(x|y); that of all others is the mean over classes


def images(n: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *SHAPE), generator=seeded(seed)).float() / 255


def made(name: str) -> Any:
    """Of one class, with weights away from their start, so that the class would have an effect."""
    kind = all_methods()[name]
    known = {setting for setting in kind.Config.__dataclass_fields__}
    config = {"conditional": True} | SMALL[name]
    method: Any = build(
        kind, make_config(kind.Config, {key: v for key, v in config.items() if key in known}), DataSpec(SHAPE, ("only",)), 0
    )
    with torch.no_grad():
        method.init_from_data(images(64))
        if name == "discriminant":
            method.fit_step(images(200), torch.zeros(200, dtype=torch.int64), StepContext(generator=seeded()))
        for i, p in enumerate(method.parameters()):
            p.add_(0.3 * torch.randn(p.shape, generator=seeded(i)) / max(1, p[0].numel() if p.ndim else 1) ** 0.5)
    return method.eval().requires_grad_(False)


def test_that_no_method_of_classes_is_left_out():
    assert set(SMALL) == {name for name, kind in all_methods().items() if kind.conditional}


@pytest.mark.parametrize("name", [name for name in MIXED if all_methods()[name].density != "none"])
def test_that_the_density_is_that_of_the_only_class(name: str):
    method, x = made(name), images(3)
    alone, told = (method.log_prob(x, y, generator=seeded(1)) for y in (None, torch.zeros(3, dtype=torch.int64)))
    assert torch.allclose(alone.double(), told.double(), rtol=1e-6, atol=1e-4) and alone.isfinite().all()


@pytest.mark.parametrize("name", MIXED)
def test_that_samples_of_a_seed_are_those_of_the_only_class(name: str):
    method = made(name)
    *_, alone = method.sample(3, generator=seeded(2))
    *_, told = method.sample(3, torch.zeros(3, dtype=torch.int64), generator=seeded(2))
    assert torch.allclose(alone.x, told.x, atol=1e-6) and alone.x.std() > 0


def test_that_a_diffusion_model_to_which_its_class_is_nothing_new_answers_alike_at_any_guidance():
    method, x, y = made("diffusion"), images(2), torch.zeros(2, dtype=torch.int64)
    method.classes.weight.copy_(method.classes.weight[:1].expand(2, -1))  # that the class is told and that none is told come to the same
    assert torch.allclose(method.log_prob(x, y, generator=seeded(1)), method.log_prob(x, generator=seeded(1)), atol=1e-3)
    wanted = [*method.sample_with(2, None, DenoisingSampler(steps=4), seeded())][-1].x
    for guidance in (0.0, 1.0, 3.0):
        drawn = [*method.sample_with(2, y, DenoisingSampler(steps=4, guidance=guidance), seeded())][-1].x
        assert torch.allclose(drawn, wanted, atol=1e-4), guidance
