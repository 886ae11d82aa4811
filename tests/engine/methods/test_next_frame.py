"""The next frame given the last four: the order of its pixels, what the frames before say, and the likelihood of what is drawn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cli import main
from engine.config import make_config
from engine.data import open_data
from engine.method import DataSpec, build
from engine.methods import method_named
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.tensors import seeded

KIND = method_named("next_frame")
STEPS = 900  # half a minute of one thread


def make(shape: tuple[int, ...] = (1, 8, 8), **values: Any) -> Any:
    """A small net with random weights everywhere, as if trained, in float64."""
    config = make_config(KIND.Config, {"width": 6, "layers": 2, "encoder_layers": 1, "mixtures": 3, **values})
    method = build(KIND, config, DataSpec(shape), seed=0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=seeded(parameter.numel())), alpha=0.2)
    return method.double().eval()


def frames(n: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 4, *shape), generator=seeded(seed), dtype=torch.uint8)


def images(n: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 5) -> Tensor:
    return torch.randint(0, 256, (n, *shape), generator=seeded(seed)).double() / 255


@pytest.mark.parametrize(("shape", "settings"), [((1, 8, 8), {"output": "logistics"}), ((3, 8, 8), {"levels": 16})])
def test_that_a_pixel_changes_no_log_p_before_it_and_a_frame_before_changes_all(shape, settings):
    method, x, y = make(shape, **settings), images(1, shape), frames(1, shape)
    tokens = method.to_tokens(x)
    before = method.log_probs(tokens, y)[0]
    for place in (0, 5, 23, tokens.shape[1] - 1):
        other = tokens.clone()
        other[0, place] = (other[0, place] + method.symbols // 2) % method.symbols
        now = method.log_probs(other, y)[0]
        assert torch.allclose(now[:place], before[:place], atol=1e-9)
        assert now[place] != before[place]
    for frame in range(4):
        other = y.clone()
        other[0, frame] = 255 - other[0, frame]
        moved = (method.log_probs(tokens, other)[0] - before).abs()
        assert (moved > 1e-9).double().mean() > 0.9, "the kernels reach every place of so small an image"


def test_that_probabilities_of_all_frames_sum_to_one_whatever_came_before():
    method = make((1, 8, 8), levels=2)
    method.height = method.width = 2  # enumerate 2×2 images: the network takes any size
    method.data = DataSpec((1, 2, 2))
    every = torch.tensor(list(itertools.product(range(2), repeat=4)))
    for past in (None, frames(1, (1, 2, 2))):
        told = None if past is None else past.expand(16, -1, -1, -1, -1)
        assert method.log_probs(every, told).sum(1).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("shape", "settings"), [((1, 8, 8), {"output": "logistics"}), ((3, 8, 8), {"levels": 16})])
def test_that_each_value_has_the_chance_of_being_new_and_that_of_every_neighbour_that_has_it(shape, settings):
    """p(v) = p(new) p_new(v) + Σ p(neighbour) [it has v], pixel by pixel in plain loops, for one channel after the other."""
    method, x, y = make(shape, **settings), images(1, shape), frames(1, shape)
    with torch.no_grad():
        tokens = method.to_tokens(x)
        pixels, maps = method._image(tokens), method.conditioning(y)
        features = method.net(method.planes(pixels), maps)
        sources = method.source_logits(torch.cat([features, maps], -1)).softmax(-1)
        last = method.to_tokens(y[:, -1].double() / 255).view(8, 8, shape[0])
        told, every = method.log_probs(tokens, y).view(8, 8, -1), method.logits(tokens, y).log_softmax(-1).view(8, 8, shape[0], -1)
        for row, column in ((0, 0), (3, 4), (7, 7), (0, 6)):
            near = [last[min(max(row + down, 0), 7), min(max(column + right, 0), 7)] for down in range(-2, 3) for right in range(-2, 3)]
            weights = sources[0, row, column].tolist()
            for channel in range(shape[0]):
                before, value = pixels[0, row, column, :channel], int(pixels[0, row, column, channel])
                new = method.head.distribution(features[0, row, column], before).softmax(-1)
                chance = weights[0] * new.clone()
                for weight, neighbour in zip(weights[1:], near, strict=True):
                    chance[int(neighbour[channel])] += weight
                assert chance.sum().item() == pytest.approx(sum(weights))
                chance = chance / sum(weights)
                assert torch.allclose(every[row, column, channel].exp(), chance, atol=1e-9)
                assert told[row, column, channel].exp().item() == pytest.approx(chance[value].item(), rel=1e-6)
                weights[0] *= float(new[value])
                weights[1:] = [weight * (int(one[channel]) == value) for weight, one in zip(weights[1:], near, strict=True)]


def test_that_without_frames_before_it_is_the_same_as_with_missing_ones():
    method, x = make(), images(3)
    missing = torch.full((3, 4, 1, 8, 8), -1.0, dtype=torch.float64)
    assert torch.allclose(method.log_prob(x, missing), method.log_prob(x), atol=1e-9)
    assert not torch.allclose(method.log_prob(x, frames(3)), method.log_prob(x))


def test_that_training_leaves_the_frames_out_as_often_as_set():
    method, y = make(frame_dropout=0.3), frames(4000)
    told = method.dropped(y, seeded(1))
    gone = (told == -1).flatten(1)
    assert (gone.all(1) == gone.any(1)).all(), "all frames or none"
    assert abs(gone.all(1).double().mean().item() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)
    kept = ~gone.all(1)
    assert torch.equal((told[kept] * 255).round().byte(), y[kept])


def test_that_writing_with_memory_and_without_agree_and_sum_to_log_p():
    """The log p of the symbols as they are drawn is that of `log_prob`."""
    method, y = make((1, 8, 8), levels=64, output="categorical"), frames(2)
    sums = []
    for cached in (True, False):
        writer, total = method.writer(2, y, cached=cached), torch.zeros(2, dtype=torch.float64)
        symbols = torch.randint(64, (2, 64), generator=seeded(3))
        for place in range(64):
            total += writer.log_probs().gather(1, symbols[:, place, None])[:, 0]
            writer.write(symbols[:, place])
        sums.append(total)
    assert torch.allclose(sums[0], sums[1], atol=1e-8)
    assert torch.allclose(sums[0], method.log_probs(symbols, y).sum(1), atol=1e-8)


def test_that_the_description_says_what_the_frames_before_save():
    method, x, y = make(), images(6), frames(6)
    described = method.describe(x, seeded(), y)
    given, bits, alone = (number.value for number in described.numbers)
    assert given == pytest.approx(-method.log_prob(x, y).mean().item())
    assert bits == pytest.approx(given / 64 / math.log(2))
    assert alone == pytest.approx(-method.log_prob(x).mean().item() / 64 / math.log(2))


@pytest.mark.parametrize(
    ("saving", "count", "level", "words"),
    [
        (0.0, 64, "bad", "do not shorten the code"),
        (0.2, 64, "warning", "by only 20 %"),
        (0.7, 64, "good", "70 % shorter than alone"),
        (0.01, 2, "muted", "too few to tell"),
        (0.7, 1, "muted", "too few to tell"),
    ],
)
def test_that_the_description_tells_how_much_of_the_motion_is_known(saving: float, count: int, level: str, words: str, monkeypatch):
    method, x, y = make(), images(count), frames(count)
    alone = 80 + torch.arange(count, dtype=torch.float64) % 7
    each = torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0).double()  # frames differ in what the ones before save

    def log_prob(x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return -alone if y is None else -(alone * (1 - saving) + each)

    monkeypatch.setattr(method, "log_prob", log_prob)
    (word,) = method.describe(x, seeded(), y).diagnosis
    assert word.level == level and words in word.text


def test_that_data_without_frames_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(Exception, match=r"no frames of clips.*moving-shapes") as refusal:
        list(train(Plan("next_frame", "digits", {}, steps=2, name="run", device="cpu"), tmp_path))
    assert str(refusal.value).count(".") == 1


def test_that_it_goes_on_bit_for_bit_and_keeps_the_frames_before_of_its_fixed_examples(tmp_path):
    settings = ["--set", "width=4", "--set", "layers=1", "--set", "encoder_layers=1", "--set", "batch_size=8", "--set", "schedule=constant"]
    said = ["train", "next_frame", "--data", "moving-shapes:30", "--quiet", "--device", "cpu", "--precision", "fp32", *settings]
    for name, more in (("whole", ["6"]), ("parts", ["3"]), ("parts", ["6", "--resume"])):
        assert main([*said, "--runs", str(tmp_path), "--name", name, "--steps", *more]) == 0
    whole, parts = (Run.open(tmp_path / name) for name in ("whole", "parts"))
    for file in ("model.safetensors", "resume.safetensors"):
        ours, theirs = whole.load(6, file)[1], parts.load(6, file)[1]
        assert ours.keys() == theirs.keys() and all(np.array_equal(ours[key], theirs[key]) for key in ours)
    kept, split = whole.probe(), open_data("moving-shapes:30").splits["valid"]
    assert np.array_equal(kept["images"], split.images) and split.before is not None and np.array_equal(kept["before"], split.before)
    numbers = Model(whole, None).describe().numbers
    assert len(numbers) == 3 and "four before" in numbers[0].name


@pytest.mark.slow
def test_that_half_a_minute_of_training_tells_the_next_frame_far_better_than_a_frame_alone_and_where_it_moves(tmp_path):
    list(train(Plan("next_frame", "moving-shapes", {}, steps=STEPS, name="run", device="cpu", precision="fp32"), tmp_path))
    method, split = Model(Run.open(tmp_path / "run"), None).method, open_data("moving-shapes").splits["valid"]
    assert split.before is not None
    rows = torch.from_numpy(np.arange(0, len(split), 9))
    x, past = torch.from_numpy(split.images)[rows].float() / 255, torch.from_numpy(split.before)[rows]
    given, alone = (method.bits_per_dim(-method.log_prob(x, told).mean().item()) for told in (past, None))  # type: ignore[operator]
    assert given < 0.2 and given < 0.3 * alone
    clips = np.arange(0, len(split), 16)  # where clips begin
    told, after = torch.from_numpy(split.before[clips]), torch.from_numpy(split.images[clips + 1])
    true = method.log_prob(torch.from_numpy(split.images[clips]).float() / 255, told)  # type: ignore[operator]
    for other, least in ((told[:, -1], 0.9), (told[:, -2], 0.8), (after, 0.7)):  # stands still, goes back, or is one frame ahead
        likelier = true > method.log_prob(other.float() / 255, told)  # type: ignore[operator]
        assert likelier.double().mean() > least, "it knows where the shape moves, not only what it looks like"
