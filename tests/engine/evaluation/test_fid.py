"""Fréchet and kernel distances against closed forms, a matrix root of SciPy's, a slow sum, and on a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from engine.cli import main
from engine.evaluation.fid import fid, frechet, kid
from engine.training.loop import train
from engine.training.plan import Plan

D = 5
RNG = np.random.default_rng(0)
EYE = torch.eye(D, dtype=torch.float64)
ZERO = torch.zeros(D, dtype=torch.float64)


def normal(n: int, seed: int, d: int = D) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def test_that_gaussians_have_their_known_distances():
    mean = torch.from_numpy(RNG.normal(size=D))
    assert frechet(ZERO, EYE, mean, EYE) == pytest.approx(float(mean.square().sum()))
    assert frechet(ZERO, EYE, ZERO, 0.3**2 * EYE) == pytest.approx(D * 0.7**2)
    assert fid(normal(40, 1), normal(40, 1)) == pytest.approx(0, abs=1e-9)


def test_that_it_is_the_formula_with_a_matrix_root_and_the_same_both_ways():
    a, b = (m @ m.T for m in RNG.normal(size=(2, D, D)))
    slow = np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real
    ours, theirs = torch.from_numpy(a), torch.from_numpy(b)
    assert frechet(ZERO, ours, ZERO, theirs) == pytest.approx(slow)
    assert frechet(ZERO, theirs, ZERO, ours) == pytest.approx(slow)
    flat = torch.from_numpy(np.diag([1.0, 2.0, 0.0, 0.0, 0.0]))  # fewer images than features
    assert frechet(ZERO, flat, ZERO, EYE) == pytest.approx((1 - 1) ** 2 + (np.sqrt(2) - 1) ** 2 + 3)


def test_that_its_bias_is_positive_and_falls_with_more_images():
    few, many = (np.mean([fid(normal(n, 2 * i), normal(n, 2 * i + 1)) for i in range(20)]) for n in (30, 300))
    assert few > 5 * many > 0


def test_that_the_kernel_distance_is_unbiased_and_the_slow_sum():
    told = [kid(normal(30, 2 * i), normal(30, 2 * i + 1)) for i in range(200)]
    assert abs(np.mean(told)) < 4 * np.std(told) / np.sqrt(len(told)) and min(told) < 0 < max(told)
    x, y = normal(6, 1).numpy(), normal(4, 2).numpy() + 1

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / D + 1) ** 3

    slow = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    slow += np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    slow -= 2 * np.mean([k(a, b) for a in x for b in y])
    assert kid(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(slow)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    small = {"network": "mlp", "width": 8, "latent": 4}
    for name, method, settings, steps in (
        ("model", "vae", small, 400), ("young", "vae", small, 1), ("eye", "classifier", {"width": 8}, 60),
        ("large", "classifier", {"width": 8}, 1)
    ):  # fmt: skip
        data = "shapes:200" if name == "large" else "digits"
        list(train(Plan(method, data, settings, steps=steps, name=name, device="cpu"), root))
    return root


def test_that_samples_of_a_trained_run_are_nearer_than_those_of_a_young_one(runs: Path, capsys):
    told = {}
    for name in ("model", "young"):
        assert main(["eval", name, "--features", "eye", "--samples", "150", "--limit", "8", "--runs", str(runs), "--json"]) == 0
        told[name] = json.loads(capsys.readouterr().out.splitlines()[-1])
    young, trained = told["young"], told["model"]
    assert trained["samples"] == 150 and trained["encoder"] == "eye" and trained["encoder_step"] == 60
    assert young["fid"] > 1.2 * trained["fid"] > 1.2 * trained["fid_of_validation_images"] > 0
    assert young["kid"] > trained["kid"] > trained["kid_of_validation_images"]


@pytest.mark.parametrize(
    ("run", "encoder", "says"),
    [("eye", "eye", "draws no images"), ("model", "large", "takes images of")],
)
def test_that_what_cannot_be_compared_is_one_sentence(run: str, encoder: str, says: str, runs: Path, capsys):
    assert main(["eval", run, "--features", encoder, "--limit", "4", "--runs", str(runs)]) == 1
    assert says in capsys.readouterr().err
