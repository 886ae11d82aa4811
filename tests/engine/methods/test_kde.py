"""The kernel density against scikit-learn's and the closed form of one kernel (oracles 17 and 25)."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity
from torch.utils._python_dispatch import TorchDispatchMode

from engine.bases import dequantized
from engine.config import make_config
from engine.losses.likelihoods import image_generators
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods import kde, method_named
from tests.kit.tensors import seeded

SHAPE = (1, 4, 3)
D = 12


def fitted(x: torch.Tensor, shape: tuple[int, ...] = SHAPE, **settings: object) -> Any:
    kind = method_named("kde")
    method: Any = build(kind, make_config(kind.Config, {"points": 50, **settings}), DataSpec(shape), seed=0).double()
    method.fit_step(x, None, StepContext(generator=seeded(1)))
    return method


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, *SHAPE), generator=seeded(seed)).double() / 255


def noised(x: torch.Tensor) -> np.ndarray:
    """What log_prob looks at, made anew: (k + u) / 256 with the noise of the image's own generator."""
    u = torch.stack([torch.rand(x.shape[1:], generator=own) for own in image_generators(x, 0)]).double()
    return ((255 * x + u) / 256).flatten(1).numpy()


def test_that_it_equals_scikit_learns_density_in_units_of_grey_levels(monkeypatch):
    x, asked = images(40), images(7, seed=1)
    method = fitted(x, bandwidth=0.2)
    theirs = KernelDensity(bandwidth=0.2).fit(((255 * x).round() + 0.5).flatten(1).numpy() / 256).score_samples(noised(asked))
    wanted = theirs - D * math.log(256)
    assert method.log_prob(asked).numpy() == pytest.approx(wanted, rel=1e-9)
    monkeypatch.setattr(kde, "BLOCK", 7)
    assert method.log_prob(asked).numpy() == pytest.approx(wanted, rel=1e-9), "in blocks"


def test_that_a_description_is_of_images_over_the_whole_of_what_it_is_given():
    method, x = fitted(images(40), bandwidth=0.2), images(192, seed=1)
    told = {number.name: number.value for number in method.describe(x, seeded()).numbers}["−log p(x)"]
    assert told == pytest.approx(-method.log_prob(x[::3]).mean().item(), rel=1e-9)


def test_that_one_kernel_at_itself_is_the_peak_of_a_gaussian():
    method = fitted(images(2).mean(0, keepdim=True).repeat(2, 1, 1, 1), bandwidth=0.3)
    centre = (method.points[:1].double() + 0.5) / 256
    assert method.log_density(centre).item() == pytest.approx(-D / 2 * math.log(2 * math.pi * 0.09), abs=1e-10)


def test_that_the_uniform_density_has_eight_bits_per_dimension(monkeypatch):
    method = fitted(images(9))
    monkeypatch.setattr(type(method), "log_density", lambda self, v: torch.zeros(len(v), dtype=torch.float64))
    assert method.bits_per_dim(-method.log_prob(images(1)).item()) == pytest.approx(8.0, abs=1e-12)


def test_that_the_bandwidth_is_the_likeliest_on_images_that_carry_no_kernel_meanwhile():
    """Brute force over a fine grid by scikit-learn, on the same split."""
    x = images(60)
    generator = seeded(1)
    some, others = dequantized.held_out_split(60, 50, generator)
    v = dequantized.dequantized(x[others], generator).numpy()
    centres = ((255 * x[some]).round() + 0.5).flatten(1).numpy() / 256
    best = max(KernelDensity(bandwidth=h).fit(centres).score(v) for h in np.geomspace(0.05, 2, 200))
    ours = KernelDensity(bandwidth=float(fitted(x).width)).fit(centres).score(v)
    assert ours >= best - 1e-3 * abs(best)
    assert not set(some.tolist()) & set(others.tolist())


def test_that_samples_are_training_images_where_no_noise_is_added_and_keep_to_the_bandwidth():
    x = images(5)
    (frame,) = fitted(x, bandwidth=0.05).sample(40, temperature=0.0, generator=seeded())
    known = {tuple(row) for row in (255 * x).round().int().flatten(1).tolist()}
    assert {tuple(row) for row in (255 * frame.x).round().int().flatten(1).tolist()} == known
    grey = torch.full((2, *SHAPE), 0.5).double()
    (frame,) = fitted(grey, bandwidth=0.1).sample(4000, generator=seeded())
    assert float(frame.x.std()) == pytest.approx(0.1, rel=0.02)


def test_that_it_is_done_after_one_step_and_one_image_is_too_few():
    assert fitted(images(3)).finished
    with pytest.raises(CannotLearn, match="at least two"):
        fitted(images(1))


class LiveBytes(TorchDispatchMode):
    """How many bytes the tensors that were made within it hold at most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor) and (key := tensor.untyped_storage()._cdata) not in self.known:
                size = tensor.untyped_storage().nbytes()
                self.known.add(key)
                self.live += size
                self.most = max(self.most, self.live)
                weakref.finalize(tensor.untyped_storage(), self._gone, key, size)
        return made

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def test_that_choosing_the_bandwidth_takes_the_memory_of_the_distances_once(monkeypatch: pytest.MonkeyPatch):
    """Of 100 held-out images to 900 others, in float64; all else is small blocks and what an image has."""
    monkeypatch.setattr(kde, "BLOCK", 32)
    monkeypatch.setattr(kde, "TRIED", 3)
    monkeypatch.setattr(kde, "REFINED", 1)
    kind = method_named("kde")
    method: Any = build(kind, make_config(kind.Config, {"points": 900}), DataSpec(SHAPE), seed=0)
    x = images(1000)
    with LiveBytes() as counted:
        method.fit_step(x, None, StepContext(generator=seeded(1)))
    distances = 100 * 900 * 8
    assert distances <= counted.most < 1.5 * distances


def test_that_kernels_that_share_an_image_are_those_of_the_whole_softmax(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kde, "BLOCK", 7)
    method, x = fitted(images(40), bandwidth=0.4), images(9, seed=2)
    told = {number.name: number.value for number in method.describe(x, seeded()).numbers}["kernels that share an image"]
    centres = (method.points[:40].double() + 0.5) / 256
    squared = (torch.from_numpy(noised(x))[:, None] - centres).square().sum(2)
    shares = torch.distributions.Categorical(logits=-squared / (2 * 0.4**2))
    assert told == pytest.approx(float(shares.entropy().exp().median()), rel=1e-6)


def test_that_of_more_images_than_points_so_many_carry_a_kernel():
    method = fitted(images(80))
    assert int(method.count) == 50
    levels = {tuple(row) for row in (255 * images(80)).round().int().flatten(1).tolist()}
    kept = {tuple(row) for row in method.points.tolist()}
    assert len(kept) == 50 and kept <= levels
