"""What every exact model that writes symbol after symbol must hold. They are found by folder: a new one is tested without a line here.

Weights are drawn wide, so that every distribution is far from uniform; oracles are enumeration and plain loops.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.bases import autoregressive
from engine.bases.autoregressive import Autoregressive, entropy, frequencies, pick
from engine.config import fields_of, make_config
from engine.losses.likelihoods import image_generators
from engine.method import CannotLearn, DataSpec, StepContext, build, skeleton
from engine.methods import all_methods
from tests.kit.tensors import seeded

EXACT = {name: kind for name, kind in all_methods().items() if issubclass(kind, Autoregressive) and kind.density == "exact"}
IMAGES = [name for name, kind in EXACT.items() if kind.accepts == "images"]
TEXTS = [name for name, kind in EXACT.items() if kind.accepts == "text"]
SMALL = {"width": 8, "layers": 2, "heads": 2, "context": 8}
CLASSES = ("a", "b", "c")


def make(name: str, shape: tuple[int, ...] = (1, 3, 3), symbols: int = 4, wide: bool = True, **values: Any) -> Any:
    """In float64, with weights drawn wide, then shrunk together until the logits vary by 2 nats."""
    kind = EXACT[name]
    known = {f.name for f in fields_of(kind.Config)}
    config = make_config(kind.Config, {key: value for key, value in (SMALL | values).items() if key in known})
    text = kind.accepts == "text"
    data = DataSpec((), (), "text", tuple(range(97, 97 + symbols))) if text else DataSpec(shape, CLASSES)
    method: Any = build(kind, config, data, seed=0).double().eval()
    if wide:
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.add_(0.8 * torch.randn(parameter.shape, generator=seeded(1), dtype=torch.float64))
            while method.logits(some(method, 16), None).std() > 2:
                for parameter in method.parameters():
                    parameter.mul_(0.9)
    return method.requires_grad_(False)


def every(symbols: int, length: int) -> Tensor:
    """All sequences [symbols^length, length]."""
    return torch.tensor(list(itertools.product(range(symbols), repeat=length)))


def some(method: Any, count: int, length: int | None = None, seed: int = 3) -> Tensor:
    return torch.randint(method.symbols, (count, length or method.length), generator=seeded(seed))


def of_class(y: int, count: int) -> Tensor:
    return torch.full((count,), y)


def next_log_probs(method: Any, tokens: Tensor, cached: bool, y: Tensor | None = None) -> Tensor:
    """The distributions a writer tells at every place of tokens [n, N] -> [n, N, V]."""
    writer = method.writer(len(tokens), y, cached=cached)
    told = []
    for place in range(tokens.shape[1]):
        assert writer.place == place
        told.append(writer.log_probs())
        writer.write(tokens[:, place])
    return torch.stack(told, 1)


every_image_model = pytest.mark.parametrize("name", IMAGES)
every_class_model = pytest.mark.parametrize("name", [name for name in IMAGES if EXACT[name].conditional])
every_model = pytest.mark.parametrize("name", EXACT)


def test_that_there_are_models_of_images_and_of_texts():
    assert {"pixel_transformer", "pixel_rnn"} <= set(IMAGES)
    assert {"text_transformer", "text_rnn"} <= set(TEXTS)


# ---------------------------------------------------------------------------------------------------------------------
# It is a distribution
# ---------------------------------------------------------------------------------------------------------------------


@every_image_model
@pytest.mark.parametrize("shape, levels", [((1, 3, 3), 2), ((1, 2, 2), 4), ((3, 1, 2), 3)])
def test_that_the_probabilities_of_all_images_sum_to_one(name: str, shape: tuple[int, ...], levels: int):
    method = make(name, shape, levels=levels)
    p = method.log_probs(every(levels, method.length)).sum(1).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-10)
    assert p.max() > 2 * p.min(), "far from uniform"


@every_class_model
def test_that_each_class_has_a_distribution_and_without_a_class_it_is_their_mean(name: str):
    method = make(name, levels=2, conditional=True)
    images = every(2, 9)
    given = torch.stack([method.log_probs(images, of_class(y, len(images))).sum(1).exp() for y in range(len(CLASSES))])
    assert given.sum(1).tolist() == pytest.approx([1, 1, 1], abs=1e-10)
    assert (given[0] - given[1]).abs().max() > 1e-3, "classes differ"
    assert torch.allclose(method.log_probs(images).sum(1).exp(), given.mean(0), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", TEXTS)
def test_that_the_probabilities_of_all_texts_sum_to_one(name: str):
    assert make(name).log_probs(every(4, 4)).sum(1).exp().sum().item() == pytest.approx(1, abs=1e-10)


@every_image_model
def test_that_samples_fall_as_often_as_their_probability_says(name: str):
    method = make(name, (1, 2, 2), levels=2)
    p = method.log_probs(every(2, 4)).sum(1).exp()
    count = 4000
    *_, frame = method.sample(count, generator=seeded(7))
    images = frame.x
    places = (method.to_tokens(images) * torch.tensor([8, 4, 2, 1])).sum(1)
    seen = torch.bincount(places, minlength=16).double()
    chi_square = ((seen - count * p).square() / (count * p)).sum().item()
    assert chi_square < 37.7, "15 degrees of freedom: beyond with a chance of 0.001"
    surprise = -method.log_probs(method.to_tokens(images)).sum(1)
    error = surprise.std().item() / math.sqrt(count)
    assert surprise.mean().item() == pytest.approx(-(p * p.log()).sum().item(), abs=4 * error)


@every_image_model
def test_that_a_sample_without_a_class_comes_from_the_mean_of_the_classes(name: str):
    method = make(name, (1, 2, 2), levels=2, conditional=True)
    p = method.log_probs(every(2, 4)).sum(1).exp()
    count = 4000
    *_, frame = method.sample(count, generator=seeded(7))
    images = frame.x
    seen = torch.bincount((method.to_tokens(images) * torch.tensor([8, 4, 2, 1])).sum(1), minlength=16).double()
    assert ((seen - count * p).square() / (count * p)).sum().item() < 37.7


# ---------------------------------------------------------------------------------------------------------------------
# The order
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, shape", [*((name, shape) for name in IMAGES for shape in ((1, 4, 4), (3, 2, 3))), *((name, ()) for name in TEXTS)]
)
def test_that_a_symbol_is_told_by_those_before_it_only_and_by_the_last_of_them(name: str, shape: tuple[int, ...]):
    method = make(name, shape or (1, 3, 3), levels=4)
    tokens = some(method, 1)
    before = method.logits(tokens, None)
    for place in range(method.length):
        other = tokens.clone()
        other[0, place] = (other[0, place] + 1) % method.symbols
        changed = (method.logits(other, None) != before).any(2)[0]  # [N]
        assert not changed[: place + 1].any(), f"place {place} reaches itself or earlier ones"
        if place + 1 < method.length:
            assert changed[place + 1], f"place {place} does not reach the next"


@every_image_model
def test_that_green_sees_red_and_blue_sees_both(name: str):
    """In pixels: whose log-probability changes when one channel of one pixel does."""
    method = make(name, (3, 2, 2), levels=256)
    x = torch.randint(0, 256, (1, 3, 2, 2), generator=seeded(2)).double() / 255
    for channel in range(3):
        other = x.clone()
        other[0, channel, 0, 1] = 1 - other[0, channel, 0, 1]
        a, b = (method.log_probs(method.to_tokens(image)).view(2, 2, 3)[0] for image in (x, other))
        assert torch.equal(a[0], b[0]), "the pixel before knows nothing of it"
        assert ((a[1] != b[1]) == torch.tensor([i >= channel for i in range(3)])).all()


@every_model
def test_that_a_text_or_image_may_end_early_and_its_last_symbol_has_no_influence(name: str):
    method = make(name, levels=4)
    tokens = some(method, 2)
    whole = method.logits(tokens, None)
    for length in range(1, method.length):
        assert torch.allclose(method.logits(tokens[:, :length], None), whole[:, :length], atol=1e-12, rtol=0)


# ---------------------------------------------------------------------------------------------------------------------
# Caches
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, shape", [*((name, shape) for name in IMAGES for shape in ((1, 4, 3), (3, 2, 3))), *((name, ()) for name in TEXTS)]
)
def test_that_a_cache_tells_at_every_prefix_what_the_whole_network_tells(name: str, shape: tuple[int, ...]):
    method = make(name, shape or (1, 3, 3), levels=4)
    tokens = some(method, 3)
    told = next_log_probs(method, tokens, cached=True)
    assert torch.allclose(told.exp().sum(2), torch.ones(3, method.length, dtype=torch.float64))
    assert torch.allclose(told, next_log_probs(method, tokens, cached=False), atol=1e-12, rtol=0)
    assert torch.allclose(told.gather(2, tokens[..., None])[..., 0], method.log_probs(tokens), atol=1e-12, rtol=0)


@every_model
def test_that_in_single_precision_the_cache_agrees_to_five_digits(name: str):
    method = make(name, (1, 4, 3), levels=4, wide=False).float()
    tokens = some(method, 2)
    assert torch.allclose(next_log_probs(method, tokens, True), next_log_probs(method, tokens, False), atol=1e-5, rtol=0)


@every_model
@pytest.mark.parametrize("cached", [True, False])
def test_that_a_prefix_may_be_given_at_once_or_in_pieces(name: str, cached: bool):
    method = make(name, (1, 4, 3), levels=4)
    tokens = some(method, 3)
    step_by_step = next_log_probs(method, tokens, cached=True)
    for given in (0, 1, 5, method.length - 1):
        writer = method.writer(3, prefix=tokens[:, :given], cached=cached)
        for place in range(given, method.length):
            assert writer.place == place
            if (place - given) % 3 == 0:  # not everybody asks at every place
                assert torch.allclose(writer.log_probs(), step_by_step[:, place], atol=1e-12, rtol=0)
            writer.write(tokens[:, place])


@every_class_model
@pytest.mark.parametrize("cached", [True, False])
def test_that_a_writer_without_a_class_tells_the_mixture_of_the_classes(name: str, cached: bool):
    method = make(name, levels=3, conditional=True)
    tokens = some(method, 4)
    told = next_log_probs(method, tokens, cached).gather(2, tokens[..., None])[..., 0]
    assert torch.allclose(told, method.log_probs(tokens), atol=1e-12, rtol=0)
    writer = method.writer(4, prefix=tokens[:, :5], cached=cached)
    assert torch.allclose(writer.log_probs().gather(1, tokens[:, 5:6])[:, 0], told[:, 5], atol=1e-12, rtol=0)
    y = torch.tensor([0, 1, 2, 1])
    given = next_log_probs(method, tokens, cached, y).gather(2, tokens[..., None])[..., 0]
    assert torch.allclose(given, method.log_probs(tokens, y), atol=1e-12, rtol=0)


@every_model
def test_that_a_half_written_sample_can_be_left_and_the_model_is_unharmed(name: str):
    method = make(name, levels=4)
    tokens, before = some(method, 2), {key: value.clone() for key, value in method.state_dict().items()}
    expected = method.log_probs(tokens)
    growing = method.sample(2, generator=seeded())
    partial = next(growing).x
    growing.close()
    assert len(partial) == 2
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    assert torch.equal(method.log_probs(tokens), expected)
    *_, last = method.sample(2, generator=seeded())
    whole = last.x
    written = partial[:, :, :1] if method.accepts == "images" else partial
    assert torch.equal(whole[:, :, :1] if method.accepts == "images" else whole[:, : written.shape[1]], written)


# ---------------------------------------------------------------------------------------------------------------------
# Images and symbols
# ---------------------------------------------------------------------------------------------------------------------


@every_image_model
def test_that_log_p_is_the_sum_of_its_map_and_of_its_symbols(name: str):
    method = make(name, (3, 4, 5), levels=256)
    x = torch.randint(0, 256, (2, 3, 4, 5), generator=seeded()).double() / 255
    by_pixel = method.log_prob_map(x)
    assert by_pixel.shape == (2, 4, 5)
    told = method.log_probs(method.to_tokens(x))
    slow = [[[sum(told[b, (h * 5 + w) * 3 + c].item() for c in range(3)) for w in range(5)] for h in range(4)] for b in range(2)]
    assert torch.allclose(by_pixel, torch.tensor(slow, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(method.log_prob(x), by_pixel.sum((1, 2)), atol=1e-10)


@every_image_model
def test_that_an_image_scores_the_same_whatever_the_batch_and_its_order(name: str, monkeypatch: pytest.MonkeyPatch):
    method = make(name, (1, 4, 4), levels=2)
    x = torch.rand(5, 1, 4, 4, generator=seeded(), dtype=torch.float64)
    together = method.log_prob(x, generator=seeded(4))
    assert torch.allclose(method.log_prob(x.flip(0), generator=seeded(4)).flip(0), together, atol=1e-12, rtol=0)
    assert method.log_prob(x[2:3], generator=seeded(4)).item() == pytest.approx(together[2].item(), abs=1e-12)
    assert torch.equal(method.log_prob(x, generator=seeded(4)), together)
    assert not torch.equal(method.log_prob(x, generator=seeded(5)), together), "another seed draws other images"
    monkeypatch.setattr("engine.bases.autoregressive.SYMBOLS_AT_ONCE", 16)
    assert torch.allclose(method.log_prob(x, generator=seeded(4)), together, atol=1e-12, rtol=0)


@every_image_model
@pytest.mark.parametrize("levels", [3, 5, 16, 17, 100, 200, 255, 256])
def test_that_levels_are_equal_parts_of_256_and_each_comes_back_from_its_middle(name: str, levels: int):
    method = make(name, (1, 16, 16), levels=levels, wide=False)
    every_value = torch.arange(256).float().view(1, 1, 16, 16) / 255
    assert method.to_tokens(every_value)[0].tolist() == [value * levels // 256 for value in range(256)]
    levels_there = torch.arange(levels).repeat(1, 256 // levels + 1)[:, :256]
    images = method.to_images(levels_there)
    assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(method.to_tokens(images), levels_there)
    if levels == 256:
        assert torch.equal(method.to_images(method.to_tokens(every_value)), every_value)


@every_image_model
def test_that_two_levels_are_drawn_from_the_grey_values_by_the_images_own_noise(name: str):
    method = make(name, (1, 20, 20), levels=2, wide=False)
    x = torch.full((3, 1, 20, 20), 0.3)
    x[0, 0, 0, 0] = 0.5
    tokens = method.to_tokens(x, image_generators(x, 1))
    assert torch.equal(tokens[1], tokens[2]) and not torch.equal(tokens[0], tokens[1])
    assert tokens.double().mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 800))
    assert method.to_tokens(torch.ones(1, 1, 20, 20)).all() and not method.to_tokens(torch.zeros(1, 1, 20, 20)).any()
    assert torch.equal(method.to_images(torch.tensor([[0, 1] * 200])).flatten(), torch.tensor([0.0, 1.0] * 200))


@every_image_model
def test_that_channels_of_a_pixel_follow_each_other(name: str):
    method = make(name, (3, 2, 4), levels=256, wide=False)
    x = torch.randint(0, 256, (2, 3, 2, 4), generator=seeded()).float() / 255
    tokens = method.to_tokens(x)
    for c, h, w in itertools.product(range(3), range(2), range(4)):
        assert torch.equal(tokens[:, (h * 4 + w) * 3 + c], (x[:, c, h, w] * 255).round().long())
    assert torch.equal(method.to_images(tokens), x)


@every_class_model
def test_that_a_class_is_only_asked_of_data_that_have_some(name: str):
    with pytest.raises(CannotLearn, match="no classes"):
        build(EXACT[name], make_config(EXACT[name].Config, {"conditional": True}), DataSpec((1, 8, 8)), 0)


@every_image_model
def test_that_the_loss_is_the_mean_code_length_in_its_units(name: str):
    method = make(name, (1, 4, 4), levels=256)
    x = torch.randint(0, 256, (3, 1, 4, 4), generator=seeded()).double() / 255
    terms = method.loss(x, None, StepContext(generator=seeded()))
    nats = -method.log_prob(x).mean().item()
    assert terms["nats"].item() == pytest.approx(nats)
    assert terms["bits_per_dim"].item() == pytest.approx(nats / 16 / math.log(2))
    assert method.bits_per_dim(nats) == pytest.approx(nats / 16 / math.log(2))
    described = {number.name: number.value for number in method.describe(x, seeded()).numbers}
    assert described["−log p(x)"] == pytest.approx(nats)


@every_image_model
def test_that_a_description_is_of_images_over_the_whole_of_what_it_is_given(name: str, monkeypatch: pytest.MonkeyPatch):
    """Images may lie class by class."""
    method = make(name, (1, 4, 4), levels=256)
    monkeypatch.setattr(autoregressive, "SYMBOLS_DESCRIBED", 3 * method.length)
    x = torch.randint(0, 256, (9, 1, 4, 4), generator=seeded()).double() / 255
    described = {number.name: number.value for number in method.describe(x, seeded()).numbers}
    assert described["−log p(x)"] == pytest.approx(-method.log_prob(x[[0, 3, 6]]).mean().item())


# ---------------------------------------------------------------------------------------------------------------------
# Small functions
# ---------------------------------------------------------------------------------------------------------------------


def test_that_a_symbol_is_where_the_cumulative_distribution_passes_the_noise():
    p = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).expand(6, -1)
    noise = torch.tensor([0.0, 0.1, 0.2499, 0.25, 0.6, 1 - 2**-24])
    assert pick(p.log(), noise).tolist() == [1, 1, 1, 3, 3, 3]
    assert pick(p[:1].log(), torch.tensor([0.2]), temperature=0.25).tolist() == [3], "0.25⁴ : 0.75⁴ is 1 : 81"


def test_that_the_entropy_of_frequencies_has_its_closed_forms():
    assert entropy(torch.arange(8), 8) == pytest.approx(math.log(8))
    assert entropy(torch.zeros(5, dtype=torch.int64), 8) == 0
    assert frequencies(torch.tensor([0, 0, 2]), 3).exp().tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6])


def test_that_the_headline_says_whether_classes_were_given():
    terms = {"bits_per_dim": 3.14159, "nats": 100.0}
    for name in ("pixel_cnn", "token_transformer"):
        for conditional, words in ((False, "3.14 bits/dim"), (True, "3.14 bits/dim given y")):
            kind = all_methods()[name]
            method = skeleton(kind, make_config(kind.Config, {"conditional": conditional}), DataSpec((1, 8, 8), CLASSES))
            assert method.headline_words(terms) == words
