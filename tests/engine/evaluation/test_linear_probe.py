"""Linear probe and nearest neighbours against scikit-learn and slow loops; features that leave the encoder's every bit as it was."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from engine.config import make_config
from engine.detectors.base import finish
from engine.evaluation.linear_probe import CONVERGED, IMAGES_AT_ONCE, C, Fitted, features_of, fit, knn, untrained
from engine.method import DataSpec, Method, build
from engine.methods import method_named
from tests.kit.tensors import seeded

CLASSES = 4


def clouds(n: int, dims: int, apart: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian classes around random centres, with dimensions of very different sizes, float32 [n, dims] and int64 [n]."""
    centres = torch.randn(CLASSES, dims, generator=seeded(99)) * apart
    labels = torch.randint(0, CLASSES, (n,), generator=seeded(seed))
    noise = torch.randn(n, dims, generator=seeded(seed + 1)) @ torch.randn(dims, dims, generator=seeded(98)) / math.sqrt(dims)
    sizes = torch.logspace(-2, 2, dims)
    return (centres[labels] + noise) * sizes + 3 * sizes, labels


def last(features: Tensor, labels: Tensor, c: float = C) -> Fitted:
    *_, end = fit(features, labels, CLASSES, c)
    return end


def small(name: str = "simclr", **settings) -> Method:
    kind = method_named(name)
    method = build(kind, make_config(kind.Config, {"width": 4, **settings}), DataSpec((1, 12, 10), ("a", "b")), seed=1)
    return method.eval()


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 12, 10), dtype=np.uint8)


# -- the linear probe ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "dims"), [(300, 12), (40, 60)])
def test_that_the_fit_is_scikit_learns_with_the_same_objective(n, dims):
    x, y = clouds(n, dims, apart=0.6)
    end = last(x, y, 3.0)
    z = x.double().numpy()
    z = (z - z.mean(0)) / z.std(0)
    peer = LogisticRegression(C=3.0, tol=1e-10, max_iter=20_000).fit(z, y.numpy())
    assert end.converged and end.gradient <= CONVERGED
    assert end.linear.weight.numpy() == pytest.approx(peer.coef_, abs=2e-3 * np.abs(peer.coef_).max())
    assert end.linear.logits(x).softmax(1).numpy() == pytest.approx(peer.predict_proba(z), abs=1e-3)
    more, labels = clouds(400, dims, apart=0.6, seed=7)
    peers = peer.predict((more.double().numpy() - x.double().numpy().mean(0)) / x.double().numpy().std(0))
    assert (end.linear.logits(more).argmax(1).numpy() == peers).mean() > 0.99
    assert end.linear.right(more, labels).mean() == pytest.approx((peers == labels.numpy()).mean(), abs=0.01)


def test_that_loss_and_gradient_are_those_of_the_objective():
    """Against autograd on the plain formula, at the end and in the middle of the fit."""
    x, y = clouds(120, 9)
    z = (x.double() - x.double().mean(0)) / x.double().std(0, correction=0)
    for state in list(fit(x, y, CLASSES, 0.5))[::4]:
        weight, bias = state.linear.weight.clone().requires_grad_(), state.linear.bias.clone().requires_grad_()
        loss = F.cross_entropy(z @ weight.T + bias, y) + weight.square().sum() / (2 * 0.5 * 120)
        loss.backward()
        assert weight.grad is not None and bias.grad is not None
        assert state.loss == pytest.approx(loss.item(), abs=1e-10)
        assert state.gradient == pytest.approx(math.hypot(weight.grad.norm().item(), bias.grad.norm().item()), abs=1e-8)


def test_that_the_loss_begins_at_ln_of_the_classes_and_only_falls():
    losses = [state.loss for state in fit(*clouds(200, 10), CLASSES)]
    assert losses[0] == pytest.approx(math.log(CLASSES))
    assert all(later < before for before, later in pairwise(losses))


def test_that_separable_classes_are_all_told_apart_with_more_and_with_fewer_images_than_features():
    for n, dims in ((200, 6), (12, 50)):
        x, y = clouds(n, dims, apart=30.0)
        assert last(x, y).linear.right(x, y).mean() == 1.0


def test_that_scale_and_shift_of_a_feature_change_nothing_and_a_constant_one_counts_nothing():
    x, y = clouds(200, 8)
    moved = torch.cat([(x + 17 * x.std(0)) * torch.logspace(-3, 3, 8), torch.full((200, 1), 0.3)], 1)
    a, b = last(x, y), last(moved, y)
    assert torch.allclose(a.linear.logits(x), b.linear.logits(moved), atol=1e-3)
    assert (b.linear.weight[:, -1] == 0).all()
    other = moved.clone()
    other[:, -1] = 5.0
    assert torch.equal(b.linear.logits(other), b.linear.logits(moved))


def test_that_features_that_say_nothing_give_the_frequencies_of_the_classes():
    y = torch.tensor([0] * 10 + [1] * 20 + [2] * 5 + [3] * 5)
    end = last(torch.ones(40, 3), y)
    assert end.linear.logits(torch.ones(1, 3)).softmax(1)[0].tolist() == pytest.approx([0.25, 0.5, 0.125, 0.125], abs=1e-5)


# -- nearest neighbours --------------------------------------------------------------------------------------------------


def test_that_the_vote_is_that_of_a_slow_loop():
    (bank, labels), (queries, _) = clouds(150, 7), clouds(230, 7, seed=5)
    found = finish(knn(bank, labels, queries, CLASSES, k=20, temperature=0.1))
    unit = [row / np.linalg.norm(row) for row in bank.double().numpy()]
    for query, answer in zip(queries.double().numpy(), found.tolist(), strict=True):
        cosines = [float(row @ query / np.linalg.norm(query)) for row in unit]
        votes = [0.0] * CLASSES
        for place in sorted(range(len(unit)), key=lambda i: -cosines[i])[:20]:
            votes[int(labels[place])] += math.exp(cosines[place] / 0.1)
        assert max(range(CLASSES), key=votes.__getitem__) == answer


def test_that_one_neighbour_among_the_images_themselves_is_always_right_and_left_out_it_is_not():
    x, _ = clouds(250, 6)
    y = torch.randint(0, CLASSES, (250,), generator=seeded(3))  # no class can be seen in them
    assert (finish(knn(x, y, x, CLASSES, k=1)) == y).all()
    left_out = (finish(knn(x, y, x, CLASSES, k=1, own=torch.arange(len(x)))) == y).double().mean()
    assert 0.1 < left_out < 0.4
    bank = F.normalize(x, dim=1)
    cosines = (bank @ bank.T).fill_diagonal_(-2)
    assert torch.equal(finish(knn(x, y, x, CLASSES, k=1, own=torch.arange(len(x)))), y[cosines.argmax(1)])


def test_that_more_neighbours_than_images_are_all_images():
    x, y = clouds(30, 5)
    assert torch.equal(finish(knn(x, y, x, CLASSES, k=200)), finish(knn(x, y, x, CLASSES, k=30)))
    assert len(finish(knn(x, y, x, CLASSES, own=torch.arange(len(x))))) == 30


# -- features ------------------------------------------------------------------------------------------------------------


def digest(method: Method) -> str:
    hashed = hashlib.sha256()
    for name, tensor in method.state_dict().items():
        hashed.update(name.encode() + tensor.numpy().tobytes())
    return hashed.hexdigest()


def test_that_a_probe_leaves_every_bit_of_the_encoder_as_it_was():
    method = small()
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1, generator=seeded())  # type: ignore[union-attr]
    before = digest(method)
    told = finish(features_of(method, images(70), blocks=True))
    y = torch.arange(70) % CLASSES
    last(told[""], y)
    finish(knn(told[""], y, told[""], CLASSES))
    assert digest(method) == before and not method.training
    assert all(parameter.grad is None for parameter in method.parameters())


def test_that_kept_features_are_those_of_single_images():
    method, x = small(), images(IMAGES_AT_ONCE + 3)
    told = finish(features_of(method, x, blocks=True))
    assert set(told) > {"", "stem", "block 1", "features"}
    with torch.no_grad():
        for place in (0, IMAGES_AT_ONCE, len(x) - 1):
            one = torch.from_numpy(x[place : place + 1]).float() / 255
            assert torch.allclose(told[""][place], method.encode(one)[0], atol=1e-5)
            assert all(torch.allclose(told[name][place], row[0], atol=1e-5) for name, row in method.blocks(one).items())
    assert torch.equal(told["features"], told[""])


def test_that_a_method_without_blocks_has_its_features_alone():
    assert list(finish(features_of(small("classifier"), images(5), blocks=True))) == [""]


def test_that_the_random_encoder_is_the_fresh_network_of_that_seed():
    method = small()
    again = untrained(type(method), method.config, method.data, 1, images(9))
    assert digest(again) == digest(method) and not again.training
    other = untrained(type(method), method.config, method.data, 2, images(9))
    assert digest(other) != digest(method)
