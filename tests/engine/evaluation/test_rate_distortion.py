"""Rate and distortion against a linear-Gaussian model, whose R and D are known in closed form, and of runs through the verb."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.cli import main
from engine.config import make_config
from engine.data.dataset import Numbered, Split
from engine.evaluation.rate_distortion import rate_point
from engine.method import DataSpec, build
from engine.methods.vae import VAE, Config
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.tensors import seeded

SIGMA, SIDE, LATENT = 0.3, 8, 3


class LinearEncoder(nn.Module):
    """q(z|x) = N(A x, diag(s²)), as the raw outputs that a VAE's softplus brings back to s."""

    def __init__(self, a: Tensor, s: Tensor) -> None:
        super().__init__()
        self.a, self.s = a, s

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1).double() @ self.a.T, torch.log(torch.expm1(self.s - 1e-4)).expand(len(x), -1)], 1)


class LinearDecoder(nn.Module):
    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.w.T).unflatten(1, (1, SIDE, SIDE))


def principal_axes() -> Tensor:
    """W [64, 3] of probabilistic PCA with orthogonal columns, so that the exact posterior is diagonal."""
    return (
        torch.linalg.qr(torch.randn(SIDE**2, LATENT, generator=seeded(3), dtype=torch.float64)).Q * torch.tensor([2.0, 1.0, 0.2]).double()
    )


def pca_model(wider: float = 1.0) -> tuple[VAE, Tensor, Tensor, Tensor]:
    """The VAE with its exact posterior, whose deviations are `wider` times as large; W, A and s."""
    config = make_config(Config, {"latent": LATENT, "width": 4, "likelihood": "gaussian", "sigma": "fixed", "sigma_value": SIGMA})
    model = build(VAE, config, DataSpec((1, SIDE, SIDE)), 0)
    assert isinstance(model, VAE)
    w = principal_axes()
    m = (w * w).sum(0) + SIGMA**2
    a, s = (w / m).T, wider * SIGMA / m.sqrt()
    model = model.double().eval()
    model.encoder, model.decoder = LinearEncoder(a, s), LinearDecoder(w)  # type: ignore[assignment]
    return model, w, a, s


class FoundModel:
    """What `rate_point` asks a checkpoint for."""

    def __init__(self, method: VAE) -> None:
        self.method: Any = method


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("wider", [1.0, 2.5])
def test_that_a_linear_gaussian_model_has_the_rate_and_distortion_of_its_closed_form(wider: float):
    model, w, a, s = pca_model(wider)
    images = torch.randint(0, 256, (40, 1, SIDE, SIDE), generator=seeded(1)).to(torch.uint8).numpy()
    x = torch.from_numpy(images).double().flatten(1) / 255
    mean = x @ a.T
    rate = 0.5 * (mean**2 + s**2 - 1 - 2 * s.log()).sum(1)
    # E|x - W z|² = |x - W E[z]|² + Σ_j s_j² |w_j|²
    squares = ((x - mean @ w.T) ** 2).sum(1) + (s**2 * (w**2).sum(0)).sum()
    distortion = squares / (2 * SIGMA**2) + SIDE**2 * math.log(SIGMA * math.sqrt(2 * math.pi))
    split = Split(images, None, Numbered("image", np.arange(40)), np.arange(40))
    found = finished(rate_point(FoundModel(model), split, None, 0))  # type: ignore[arg-type]
    assert found.rate == pytest.approx(rate.mean().item(), rel=1e-6)
    assert found.rate_se == pytest.approx(rate.std().item() / math.sqrt(40), rel=1e-6)
    noise = 1.0 if wider == 1.0 else 0.03 * distortion.mean().abs().item()
    assert found.distortion == pytest.approx(distortion.mean().item(), abs=noise)
    assert found.elbo == pytest.approx(-(found.rate + found.distortion))
    if wider == 1.0:  # the bound is tight: R + D = -log p(x)
        covariance = w @ w.T + SIGMA**2 * torch.eye(SIDE**2).double()
        exact = torch.distributions.MultivariateNormal(torch.zeros(SIDE**2).double(), covariance).log_prob(x)
        assert found.elbo == pytest.approx(exact.mean().item(), rel=1e-4)
        bits = found.distortion / (SIDE**2 * math.log(2)) + 8
        assert found.distortion_bits_per_dim == pytest.approx(bits)


def test_that_the_mean_rate_over_the_models_own_images_is_the_mutual_information_of_x_and_z():
    """E[KL(p(z|x) ∥ p(z))] = I(x; z) = ½ Σ log(1 + |w_j|²/σ²)."""
    model, w, _, _ = pca_model()
    z = torch.randn(4000, LATENT, generator=seeded(7), dtype=torch.float64)
    x = (z @ w.T + SIGMA * torch.randn(4000, SIDE**2, generator=seeded(8), dtype=torch.float64)).view(-1, 1, SIDE, SIDE)
    rate = model.rate(x)
    information = 0.5 * torch.log1p((w**2).sum(0) / SIGMA**2).sum().item()
    assert rate.mean().item() == pytest.approx(information, abs=4 * rate.std().item() / math.sqrt(4000))


def test_that_the_rate_to_a_vampprior_is_the_mean_of_log_q_minus_log_p():
    config = make_config(Config, {"latent": 2, "width": 4, "network": "mlp", "prior": "vamp", "pseudo_inputs": 3})
    model = build(VAE, config, DataSpec((1, SIDE, SIDE)), 0).double()
    assert isinstance(model, VAE)
    x = torch.rand(4, 1, SIDE, SIDE, generator=seeded(2), dtype=torch.float64)
    q, parts = model.posterior(x), model.posterior(model.pseudo_logits.sigmoid())  # type: ignore[union-attr]
    z = q.mean[:, None] + q.sigma[:, None] * torch.randn(4, 20_000, 2, generator=seeded(3), dtype=torch.float64)
    normal = torch.distributions.Normal
    log_q = normal(q.mean[:, None], q.sigma[:, None]).log_prob(z).sum(-1)
    each = torch.stack([normal(parts.mean[j], parts.sigma[j]).log_prob(z).sum(-1) for j in range(3)])
    found = model.rate(x, seeded(4), 20_000)
    assert torch.allclose(found, (log_q - each.logsumexp(0) + math.log(3)).mean(1), atol=0.05)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    small = {"network": "mlp", "width": 8, "latent": 3}
    for name, settings in (("plain", {}), ("dear", {"beta": 30.0}), ("binary", {"likelihood": "bernoulli"})):
        list(train(Plan("vae", "digits", small | settings, steps=120, name=name, device="cpu"), root))
    list(train(Plan("vae", "shapes:200", small, steps=1, name="shapes", device="cpu"), root))
    list(train(Plan("autoencoder", "digits", small, steps=1, name="autoencoder", device="cpu"), root))
    return root


def test_that_the_verb_lays_runs_of_other_beta_on_one_curve(runs, capsys):
    assert main(["eval", "plain", "--rate-distortion", "dear", "--limit", "100", "--runs", str(runs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    dear, plain = told["rate_distortion"]
    assert (dear["run"], dear["beta"], plain["run"], plain["beta"]) == ("dear", 30.0, "plain", 1.0)
    assert dear["rate"] < plain["rate"] and dear["distortion"] > plain["distortion"]  # dearer codes say less
    assert told["split"] == "valid" and told["images"] == 100
    for one in (dear, plain):
        assert one["elbo"] == pytest.approx(-(one["rate"] + one["distortion"])) and one["rate_se"] > 0 and one["distortion_se"] > 0
    assert main(["eval", "plain", "--rate-distortion", "dear", "--limit", "100", "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "beta" in said and "dear" in said and "distortion, nat" in said


def test_that_eval_splits_its_bound_in_two(runs, capsys):
    assert main(["eval", "plain", "--k", "8", "--limit", "60", "--runs", str(runs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["rate_nats"] + told["distortion_nats"] == pytest.approx(told["elbo_nats"], rel=1e-6)
    assert told["rate_nats_se"] > 0 and told["distortion_nats_se"] > 0
    assert told["distortion_bits_per_dim"] == pytest.approx(told["distortion_nats"] / (64 * math.log(2)))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["binary"], "another likelihood"),
        (["shapes"], "other data"),
        (["autoencoder"], "no rate and no distortion"),
        (["--disentanglement"], "a measurement of its own"),
    ],
)
def test_that_what_cannot_be_compared_is_one_sentence(runs, capsys, words, says):
    assert main(["eval", "plain", "--rate-distortion", *words, "--limit", "20", "--runs", str(runs)]) in (1, 2)
    assert says in capsys.readouterr().err.strip().splitlines()[-1]
