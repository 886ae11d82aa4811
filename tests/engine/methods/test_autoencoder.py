"""The plain autoencoder: it shares the VAE's networks and has neither prior nor density."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.config import make_config
from engine.method import DataSpec, StepContext, build, capabilities
from engine.methods.autoencoder import Autoencoder, Config
from engine.methods.vae import VAE
from engine.nets.init import initialize


def make(shape: tuple[int, ...] = (1, 8, 8), **settings: object) -> Autoencoder:
    made = build(Autoencoder, make_config(Config, {"latent": 4, "width": 8, "encoder_blocks": 1} | settings), DataSpec(shape), 0)
    assert isinstance(made, Autoencoder)
    return made


def grey(count: int, shape: tuple[int, ...] = (1, 8, 8)) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(1)).float() / 255


def test_that_it_has_codes_and_pictures_but_no_density_and_no_samples():
    assert capabilities(Autoencoder) == ("encode", "decode", "latents", "posterior")
    assert (Autoencoder.density, Autoencoder.sampling) == ("none", "none")


def test_that_it_is_the_vaes_network_and_not_a_copy_of_it():
    ours = make()
    theirs = build(VAE, VAE.Config(latent=4, width=8, likelihood="bernoulli"), DataSpec((1, 8, 8)), 0)
    assert type(ours.encoder) is type(theirs.encoder) and type(ours.decoder) is type(theirs.decoder)
    decoder = {name: value.shape for name, value in ours.decoder.state_dict().items()}
    assert decoder == {name: value.shape for name, value in theirs.decoder.state_dict().items()}


@pytest.mark.parametrize("network", ["conv", "mlp"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 33)])
def test_that_losses_are_finite_and_gradients_reach_everything(shape: tuple[int, ...], network: str):
    model, x = make(shape, network=network), grey(3, shape)
    model.loss(x, None, StepContext())["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_that_the_loss_is_the_squared_error_of_an_image():
    model, x = make().double(), grey(5).double()
    model.init_from_data(x)
    terms = model.loss(x, None, StepContext())
    total = sum(((model.offset(model.decoder(model.encoder(image[None]))) - image) ** 2).sum().item() for image in x)
    assert terms["loss"].item() == pytest.approx(total / 5, abs=1e-10)
    assert terms["error"].item() == pytest.approx(total / 5 / 64, abs=1e-12)


def test_that_a_linear_one_trained_to_its_end_finds_the_principal_subspace():
    """Baldi and Hornik 1989: the best linear autoencoder is PCA; its error is the sum of the discarded eigenvalues."""
    generator = torch.Generator().manual_seed(0)
    deviations = torch.tensor([5.0, 4.0, 3.0, 2.0] + 60 * [0.5])
    x = (0.5 + 0.1 * deviations * torch.randn(200, 64, generator=generator)).double().reshape(-1, 1, 8, 8)
    model = make().double()
    model.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4, dtype=torch.float64))
    model.decoder = nn.Sequential(nn.Linear(4, 64, dtype=torch.float64), nn.Unflatten(1, (1, 8, 8)))  # type: ignore[assignment]
    initialize(model, generator)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=600, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model.loss(x, None, StepContext())["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    flat = x.flatten(1) - x.flatten(1).mean(0)
    discarded = torch.linalg.eigvalsh(flat.T @ flat / 200)[:-4].sum().item()
    assert model.loss(x, None, StepContext())["loss"].item() == pytest.approx(discarded, rel=1e-4)


def test_that_its_posterior_is_a_point():
    model, x = make(), grey(3)
    latents = model.posterior(x)
    assert torch.equal(latents.mean, model.encode(x))
    assert not latents.sigma.any()


def test_that_sliders_are_measured_in_the_codes_own_mean_and_deviation():
    model, x = make(), grey(50)
    described = model.describe(x, torch.Generator())
    z = model.encode(x).detach()
    assert described.scale is not None and described.centre is not None and described.kl is None
    assert torch.allclose(described.scale, ((z - z.mean(0)) ** 2).mean(0).sqrt(), atol=1e-6)
    assert torch.allclose(described.centre, z.mean(0), atol=1e-6)
    (said,) = described.diagnosis
    assert "no prior" in said.text and "not sampling" in said.text
