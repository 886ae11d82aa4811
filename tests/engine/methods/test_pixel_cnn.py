"""PixelCNN against enumeration, slow formulas and its own writer: the mixture, the order of the channels, the rows that are kept."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import make_config
from engine.method import DataSpec, StepContext, build
from engine.methods import method_named
from engine.methods.pixel_cnn import LogisticMixture, all_log_probs, log_masses, mixture_log_probs
from tests.kit.tensors import seeded

F64 = torch.float64
KIND = method_named("pixel_cnn")
CLASSES = ("a", "b", "c")


def make(shape: tuple[int, ...], *, trained: bool = True, **values: Any) -> Any:
    """A small net with random weights everywhere, as if trained, in float64."""
    output = "logistics" if values.get("levels", 256) >= 64 else "categorical"
    config = make_config(KIND.Config, {"width": 6, "layers": 3, "cell_layers": 1, "mixtures": 3, "output": output, **values})
    method = build(KIND, config, DataSpec(shape, CLASSES), seed=0)
    if trained:
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=seeded(parameter.numel())), alpha=0.2)
    return method.double().eval()


def every_image(pixels: int, levels: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(levels), repeat=pixels)))


def tokens(method: Any, n: int, seed: int = 0) -> Tensor:
    return torch.randint(method.symbols, (n, method.length), generator=seeded(seed))


def mixture(n: int, channels: int, k: int, seed: int = 0, spread: float = 1.0) -> LogisticMixture:
    g = seeded(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(n, *size, dtype=F64, generator=g)

    pairs = channels * (channels - 1) // 2
    return LogisticMixture(draw(k).log_softmax(-1), spread * draw(channels, k), -3 + 2 * draw(channels, k), draw(pairs, k).tanh())


# -- the mixture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 5, 64, 256])
@pytest.mark.parametrize("seed", range(3))
def test_that_the_masses_of_all_values_sum_to_one(levels: int, seed: int):
    mix = mixture(50, 1, 7, seed, spread=3.0)
    values = torch.arange(levels)[:, None]
    alone = log_masses(values, mix.means, mix.log_scales, levels)  # [50, V, K]
    assert (alone.exp().sum(1) - 1).abs().max() < 1e-12
    whole = all_log_probs(mix, torch.zeros(50, 0, dtype=torch.int64), levels)
    assert (whole.exp().sum(-1) - 1).abs().max() < 1e-12


def test_that_every_channel_sums_to_one_given_those_before_it():
    mix, before = mixture(40, 3, 5), torch.randint(256, (40, 3), generator=seeded(1))
    for channel in range(3):
        told = all_log_probs(mix, before[:, :channel], 256)
        assert told.shape == (40, 256)
        assert (told.exp().sum(-1) - 1).abs().max() < 1e-12
        assert torch.allclose(
            told.gather(1, before[:, channel : channel + 1])[:, 0], mixture_log_probs(mix, before, 256)[:, channel], atol=1e-12
        )


def test_that_a_pixel_is_a_mixture_of_products_of_coupled_logistics():
    """p(r, g, b) = Σ_k π_k Π_c [F(edge above) - F(edge below)], each g and b mean moved by the channels before (PixelCNN++, eq. 3)."""
    mix = mixture(6, 3, 4, seed=3)
    pixels = torch.tensor([[0, 128, 255], [255, 0, 1], [7, 8, 9], [100, 90, 110], [254, 255, 0], [0, 0, 0]])
    told = mixture_log_probs(mix, pixels, 256).sum(-1)

    def below(v: float, mean: float, log_scale: float) -> float:
        return 0.5 * (1 + math.tanh((v - mean) / (2 * math.exp(log_scale))))

    for row, (r, g, b) in enumerate(pixels.tolist()):
        x = [2 * value / 255 - 1 for value in (r, g, b)]
        total = 0.0
        for k in range(4):
            a = mix.couplings[row, :, k].tolist()
            m = mix.means[row, :, k].tolist()
            means = [m[0], m[1] + a[0] * x[0], m[2] + a[1] * x[0] + a[2] * x[1]]
            product = math.exp(mix.log_weights[row, k])
            for c, value in enumerate((r, g, b)):
                log_scale = float(mix.log_scales[row, c, k])
                top = 1.0 if value == 255 else below(x[c] + 1 / 255, means[c], log_scale)
                bottom = 0.0 if value == 0 else below(x[c] - 1 / 255, means[c], log_scale)
                product *= top - bottom
            total += product
        if total > 1e-9:  # the loop cancels below
            assert told[row].item() == pytest.approx(math.log(total), rel=1e-5)


def test_known_masses_of_one_logistic():
    def p(value: int, mean: float, scale: float) -> float:
        return log_masses(torch.tensor(value), torch.tensor(mean, dtype=F64), torch.tensor(math.log(scale), dtype=F64), 256).exp().item()

    assert p(128, 0.0, 0.1) == pytest.approx(0.0195979, abs=2e-7)
    assert p(0, 0.0, 50.0) == p(255, 0.0, 50.0) == pytest.approx(0.49502, abs=5e-6)
    assert p(200, 2 * 200 / 255 - 1, 1e-4) == pytest.approx(1.0)


def test_that_far_values_have_finite_masses_and_gradients():
    mean = torch.tensor([-1.0, 1.0, 0.0], requires_grad=True)
    log_scale = torch.full((3,), -7.0, requires_grad=True)
    told = log_masses(torch.tensor([255, 0, 255]), mean, log_scale, 256)
    told.sum().backward()
    assert told.isfinite().all() and (told < -500).all()
    assert mean.grad is not None and mean.grad.isfinite().all() and (mean.grad != 0).all()
    assert log_scale.grad is not None and log_scale.grad.isfinite().all()


# -- p(x) -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["categorical", "logistics"])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("shape", "levels"), [((1, 3, 3), 2), ((1, 2, 2), 4), ((3, 1, 2), 3), ((3, 1, 1), 6)])
def test_that_the_probabilities_of_all_images_sum_to_one(shape: tuple[int, ...], levels: int, conditional: bool, output: str):
    method = make(shape, levels=levels, conditional=conditional, output=output)
    images = every_image(method.length, levels)
    with torch.no_grad():
        for y in [torch.full((len(images),), c) for c in range(3)] if conditional else [None]:
            assert method.log_probs(images, y).sum(1).exp().sum().item() == pytest.approx(1, abs=1e-12)
        if conditional:
            assert method.log_probs(images).sum(1).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_that_random_weights_make_unequal_images_and_classes_unequal():
    """So that the sums above say something."""
    method = make((1, 3, 3), levels=2, conditional=True)
    images = every_image(9, 2)
    with torch.no_grad():
        given = torch.stack([method.log_probs(images, torch.full((512,), c)).sum(1) for c in range(3)])
    assert given.std(1).min() > 0.5 and (given[0] - given[1]).std() > 0.1


def test_that_an_untrained_net_knows_the_number_of_levels_and_no_more():
    for levels in (2, 27, 256):
        method = make((1, 4, 4), trained=False, levels=levels, output="categorical")
        with torch.no_grad():
            told = method.log_probs(tokens(method, 3))
        assert torch.allclose(told, torch.full_like(told, -math.log(levels)), atol=1e-12)


def test_that_auto_takes_logistics_for_many_levels_of_many_pixels_only():
    heads = {
        (side, levels): type(make((1, side, side), trained=False, levels=levels, output="auto").head).__name__
        for side in (8, 16)
        for levels in (8, 256)
    }
    assert heads[16, 256] == "LogisticsHead" and set(heads.values()) == {"LogisticsHead", "CategoricalHead"}
    assert [heads[key] for key in ((8, 8), (8, 256), (16, 8))] == ["CategoricalHead"] * 3


@pytest.mark.parametrize(("levels", "output"), [(256, "logistics"), (8, "categorical")])
def test_that_a_symbol_depends_on_those_before_it_only_and_on_the_channels_in_turn(levels: int, output: str):
    """Each symbol is changed in turn: exactly those after it may move, and G moves with R, B with R and G of the same pixel."""
    method = make((3, 4, 3), levels=levels, output=output)
    x = tokens(method, 1)
    with torch.no_grad():
        before = method.logits(x, None)[0]
        for place in range(method.length):
            other = x.clone()
            other[0, place] = (other[0, place] + levels // 2) % levels
            moved = (method.logits(other, None)[0] != before).any(-1)
            assert not moved[: place + 1].any()
            rest_of_pixel = range(place + 1, place - place % 3 + 3)
            assert all(moved[later] for later in rest_of_pixel)
            assert moved[place + 1 :].any() or place == method.length - 1


@pytest.mark.parametrize("levels", [256, 4])
def test_that_the_logits_gradient_is_exactly_zero_where_the_order_forbids(levels: int):
    """Through the net itself: d log p_i / d planes of pixel j, for every pixel j from i on."""
    method = make((1, 5, 4), levels=levels)
    seen: list[Tensor] = []
    plain = method.planes
    method.planes = lambda pixels: seen.append(plain(pixels).requires_grad_()) or seen[-1]
    logits = method.logits(tokens(method, 1), None)[0]
    weights = torch.randn(logits.shape[1], dtype=F64, generator=seeded(5))
    reach = []
    for place in range(20):
        gradient = torch.autograd.grad((logits[place].softmax(-1) * weights).sum(), seen[0], retain_graph=True)[0]
        reach.append(gradient.abs().sum((0, 3)).flatten())
    felt = torch.stack(reach)
    assert (felt.triu() == 0).all()
    assert torch.equal(felt > 0, torch.ones(20, 20).tril(-1) > 0)  # all earlier pixels of so small an image


def test_that_the_log_probs_are_the_logits_of_what_is_there():
    for values in ({"levels": 256}, {"levels": 4}, {"levels": 256, "output": "categorical"}):
        method = make((3, 3, 4), **values)
        x = tokens(method, 2)
        with torch.no_grad():
            told = method.logits(x, None).log_softmax(-1).gather(2, x[..., None])[..., 0]
            assert torch.allclose(method.log_probs(x), told, atol=1e-12)


def test_that_an_image_has_the_same_value_in_any_company():
    for levels in (2, 256):
        method, x = make((1, 9, 8), levels=levels), torch.rand(5, 1, 9, 8, generator=seeded()).double()
        together = method.log_prob(x)
        assert torch.allclose(method.log_prob(x[3:4]), together[3:4], atol=1e-10)
        assert torch.allclose(method.log_prob(x.flip(0)).flip(0), together, atol=1e-10)
        assert torch.equal(method.log_prob(x), together)


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{"levels": 2}, {"levels": 256}, {"levels": 5, "conditional": True}])
@pytest.mark.parametrize("shape", [(1, 9, 6), (3, 5, 3)])
def test_that_the_writer_says_the_same_with_and_without_its_rows_at_every_place(shape: tuple[int, ...], values: dict[str, Any]):
    method = make(shape, **values)
    x, y = tokens(method, 3), torch.tensor([0, 2, 1])
    with torch.no_grad():
        whole = method.logits(x, y if method.conditional else None).log_softmax(-1)
        cached, plain = method.writer(3, y), method.writer(3, y, cached=False)
        for place in range(method.length):
            told = cached.log_probs()
            assert told.shape == (3, method.symbols)
            assert torch.allclose(told, whole[:, place], atol=1e-12, rtol=1e-12)
            assert torch.allclose(plain.log_probs(), told, atol=1e-12, rtol=1e-12)
            cached.write(x[:, place])
            plain.write(x[:, place])
        assert cached.place == method.length


@pytest.mark.parametrize("given", [1, 2, 3, 4, 17, 18, 19, 36, 53])
@pytest.mark.parametrize("shape", [(1, 9, 6), (3, 3, 6)])
def test_that_a_given_beginning_is_taken_in_at_once_and_gone_on_with(given: int, shape: tuple[int, ...]):
    method = make(shape, levels=256)
    x = tokens(method, 2)
    passes = []
    method.net.run = lambda *a, plain=method.net.run: passes.append(1) or plain(*a)
    with torch.no_grad():
        writer = method.writer(2, prefix=x[:, :given])
        first = writer.log_probs()
        assert len(passes) <= 1
        whole = method.logits(x, None).log_softmax(-1)
        passes.clear()
        assert torch.allclose(first, whole[:, given], atol=1e-12, rtol=1e-12)
        for place in range(given, method.length):
            assert torch.allclose(writer.log_probs(), whole[:, place], atol=1e-12, rtol=1e-12)
            writer.write(x[:, place])
    assert not passes  # never the whole net for one symbol


def test_that_in_float32_the_writer_agrees_to_five_digits():
    method = make((1, 8, 8), levels=256).float()
    x = tokens(method, 2)
    with torch.no_grad():
        whole, writer = method.logits(x, None).log_softmax(-1), method.writer(2)
        for place in range(method.length):
            told = writer.log_probs()
            assert told.dtype == torch.float32
            assert torch.allclose(told, whole[:, place], atol=1e-5, rtol=1e-5)
            writer.write(x[:, place])


def test_that_samples_come_as_often_as_their_probability_says():
    """Chi-square of 4,000 samples of 2×2 images with 3 levels (81 images) against the enumerated p; the 1e-4 quantile."""
    method = make((1, 2, 2), levels=3)
    images = every_image(4, 3)
    with torch.no_grad():
        p = method.log_probs(images).sum(1).exp()
        *_, last = method.sample(4000, generator=seeded(2))
    written = (last.x[:, 0] * 255 / 85).floor().clamp(max=2).long().flatten(1)  # [n, 4], the three levels again
    number = (written * torch.tensor([27, 9, 3, 1])).sum(1)
    counts = torch.bincount(number, minlength=81).double()
    order = p.argsort()
    rare = order[p[order].cumsum(0) * 4000 < 20]  # pooled, so that every cell expects enough
    keep = torch.ones(81, dtype=torch.bool)
    keep[rare] = False
    expected = torch.cat([4000 * p[keep], 4000 * p[~keep].sum()[None]])
    found = torch.cat([counts[keep], counts[~keep].sum()[None]])
    expected, found = expected[expected > 0], found[expected > 0]
    degrees = len(expected) - 1
    chi = ((found - expected).square() / expected).sum().item()
    assert degrees > 10
    # Wilson and Hilferty's cube root: 3.72 standard deviations above the mean
    assert chi < degrees * (1 - 2 / (9 * degrees) + 3.72 * math.sqrt(2 / (9 * degrees))) ** 3


def test_that_a_class_is_written_as_it_is_scored():
    """Over all 3-pixel binary images of one class, the product of the writer's numbers is log p(x|y)."""
    method = make((1, 1, 3), levels=2, conditional=True)
    images, y = every_image(3, 2), torch.full((8,), 2)
    with torch.no_grad():
        writer, total = method.writer(8, y), torch.zeros(8, dtype=F64)
        for place in range(3):
            total += writer.log_probs().gather(1, images[:, place : place + 1])[:, 0]
            writer.write(images[:, place])
        assert torch.allclose(total, method.log_probs(images, y).sum(1), atol=1e-12)


# -- learning ---------------------------------------------------------------------------------------------------------


def test_that_it_starts_from_how_often_values_occur():
    x = torch.zeros(64, 1, 6, 6)
    x[:, :, ::3] = 1.0
    for values in ({"levels": 4}, {"levels": 256}):
        method = make((1, 6, 6), trained=False, **values)
        before = method.log_prob(x.double()).mean()
        method.init_from_data(x)
        assert method.log_prob(x.double()).mean() > before


@pytest.mark.parametrize("levels", [4, 256])
def test_that_it_learns_a_pattern_that_only_the_row_above_tells(levels: int):
    """Each row is the row above, upside down in brightness; the first is noise. Only its entropy remains."""
    method = make((1, 6, 6), trained=False, levels=levels, width=16, layers=2).float().train()
    generator, optimizer = seeded(), torch.optim.Adam(method.parameters(), 0.01)
    for _ in range(120):
        first = torch.randint(2, (32, 1, 1, 6), generator=generator).float()
        x = torch.cat([first if row % 2 == 0 else 1 - first for row in range(6)], 2)
        loss = method.loss(x, None, StepContext(generator=generator))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    entropy = math.log(2) / 6  # nats per pixel
    assert entropy - 0.01 < loss.item() < entropy + 0.05
