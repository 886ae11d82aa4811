"""Rules of the diagnosis against hundreds of simulated draws: where each must speak, and where it must not (5 % of false alarms)."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from engine.bases import autoregressive, denoising, variational
from engine.bases.encoder import described
from engine.common.intervals import difference_margin, margin, share_interval
from engine.losses.distillation import answers_of, diagnose, numbers_of, sinkhorn_knopp
from engine.messages import Diagnosis
from engine.method import Description, judged
from engine.methods import classifier, conditional_vae, energy, gan, inpainting, next_frame, token_transformer, vq_vae
from engine.methods.vae import VAE
from engine.transforms.pretext import answered

DRAWS = 300
ALLOWED = 0.05 + 2 * math.sqrt(0.05 * 0.95 / DRAWS)  # what a rule of exactly 5 % stays below in 97.5 % of such tests


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def said(confidence: torch.Tensor, right: torch.Tensor, smoothed: bool = False) -> Diagnosis:
    ece = classifier.calibration_error(confidence, right)
    limit = classifier.calibration_limit(confidence, seeded(7))
    c = classifier.Calibration(right.double().mean().item(), confidence.double().mean().item(), ece, limit)
    return classifier.diagnose(c, 0.1, len(right), smoothed)[0]


def answers_drawn(low: float, shift: float, images: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Confidences spread over (low, 1), and answers that are right with that probability less `shift`."""
    generator = seeded(seed)
    confidence = low + (1 - low) * torch.rand(images, generator=generator)
    return confidence, torch.rand(images, generator=generator) < confidence - shift


@pytest.mark.parametrize(("low", "images"), [(0.5, 256), (0.3, 256), (0.98, 256), (0.5, 60), (0.3, 1000)])
def test_that_a_calibrated_classifier_is_hardly_ever_called_over_or_under_confident(low: float, images: int):
    alarms = sum(said(*answers_drawn(low, 0, images, seed)).level == "warning" for seed in range(DRAWS))
    assert alarms / DRAWS <= ALLOWED


def test_that_over_and_under_confidence_are_found():
    over = [said(*answers_drawn(0.7, 0.15, 256, seed)) for seed in range(DRAWS)]
    under = [said(*answers_drawn(0.4, -0.2, 256, seed)) for seed in range(DRAWS)]
    assert sum("over-confident" in word.text for word in over) >= 0.9 * DRAWS
    assert sum("under-confident" in word.text for word in under) >= 0.9 * DRAWS


def test_that_less_label_smoothing_is_advised_only_where_there_is_some():
    drawn = answers_drawn(0.4, -0.25, 400, 1)
    assert "label smoothing" not in said(*drawn).text and "Less label smoothing" in said(*drawn, smoothed=True).text


def test_that_calibration_is_not_praised_on_a_handful_of_images():
    levels = {said(*answers_drawn(0.8, 0, 12, seed)).level for seed in range(50)}
    assert "good" not in levels and "muted" in levels


@pytest.mark.parametrize(("choices", "asked"), [(2, 256), (4, 200), (10, 256), (10, 20), (2, 10), (24, 64)])
def test_that_chance_level_is_said_of_chance_and_not_of_knowledge(choices: int, asked: int):
    chance = 1 / choices
    knows = chance + 0.3 * (1 - chance)

    def bad(p: float, seed: int) -> bool:
        return answered("it", (torch.rand(asked, generator=seeded(seed)) < p).double().mean().item(), choices, asked).level == "bad"

    assert sum(bad(knows, seed) for seed in range(DRAWS)) / DRAWS <= 0.05
    if asked >= 200:
        assert sum(bad(chance, seed) for seed in range(DRAWS)) >= 0.9 * DRAWS


def test_that_a_classifier_of_unbalanced_classes_is_compared_with_the_commonest_one():
    c = classifier.Calibration(0.9, 0.9, 0.0, 0.05)
    assert classifier.diagnose(c, 0.9, 256, False)[0].level == "muted" and classifier.diagnose(c, 0.1, 256, False)[0].level == "good"


def test_that_the_interval_of_a_share_holds_it_in_about_95_of_100_samples():
    for p, n in ((0.1, 50), (0.5, 30), (0.9, 200)):
        counts = (torch.rand(2000, n, generator=seeded(n)) < p).sum(1).tolist()
        held = sum(low <= p <= high for low, high in (share_interval(k, n) for k in counts)) / 2000
        assert 0.925 < held < 0.98
    assert share_interval(0, 0) == (0, 1)


# -- collapse ----------------------------------------------------------------------------------------------------------


def test_that_healthy_features_are_not_called_collapsed_and_collapsed_ones_are():
    direction = torch.rand(128, generator=seeded(0)) + 0.5
    healthy = [described(torch.relu(torch.randn(64, 128, generator=seeded(i)) + 1.0)) for i in range(DRAWS)]
    same = [described(direction + 0.02 * torch.randn(64, 128, generator=seeded(i))) for i in range(DRAWS)]
    assert sum(one.diagnosis[0].level != "good" for one in healthy) <= 0.05 * DRAWS
    assert sum("collapsed" in one.diagnosis[0].text for one in same) >= 0.9 * DRAWS


def teacher(used: int, prototypes: int, crops: int, seed: int, noise: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw cosines [2, B, K] of a teacher that knows `used` prototypes only, and what Sinkhorn–Knopp makes of them."""
    generator = seeded(seed)
    raw = noise * torch.rand(2 * crops, prototypes, generator=generator, dtype=torch.float64)
    raw[torch.arange(2 * crops), torch.randint(used, (2 * crops,), generator=generator)] += 0.5
    return raw.unflatten(0, (2, -1)), sinkhorn_knopp(raw, 0.03).unflatten(0, (2, -1))


def test_that_prototypes_in_use_are_counted_before_sinkhorn_makes_all_of_them_even():
    raw, q = teacher(10, 1024, 256, 0)
    student = torch.zeros_like(raw)
    answers = answers_of(q, raw, student, 0.1)
    assert torch.special.entr(q.mean((0, 1))).sum().exp() > 1000  # what the answers themselves would say
    assert {n.name: n.value for n in numbers_of(answers)}["prototypes in use"] == 10


def test_that_one_hot_collapse_is_said_under_sinkhorn_and_not_of_a_teacher_of_several_prototypes():
    levels = {}
    for used in (1, 10):
        spoken = [diagnose(answers_of(q, raw, 0 * raw, 0.1)).text for raw, q in (teacher(used, 64, 64, seed) for seed in range(DRAWS))]
        levels[used] = sum("one-hot" in text for text in spoken) / DRAWS
    assert levels[1] >= 0.9 and levels[10] <= 0.05


def test_that_no_collapse_of_the_posterior_is_told_while_the_weight_of_the_kl_rises():
    assert not any(word.level == "bad" for word in variational.diagnose(0, 16, 0.4, 1.0, 0.1))
    assert any("Posterior collapse" in word.text for word in variational.diagnose(0, 16, 1.0, 1.0, 0.1))


def test_that_nothing_is_judged_in_the_first_steps():
    method, found = object.__new__(VAE), Description((), (Diagnosis("bad", "Posterior collapse"),))
    for step in (0, 8, 60, VAE.judged_from - 1):
        (word,) = judged(method, found, step)
        assert word.level == "muted" and word.text.startswith("Too early")
    assert judged(method, found, VAE.judged_from) == found.diagnosis


def test_that_idle_codes_are_told_from_codes_that_could_not_occur_yet():
    drawn, size = 512, 512
    alike = [torch.randint(size, (drawn,), generator=seeded(i)).unique().numel() for i in range(DRAWS)]
    few = [torch.randint(size // 8, (drawn,), generator=seeded(i)).unique().numel() for i in range(DRAWS)]
    expected = vq_vae.expected_codes(size, drawn)
    assert sum(alike) / DRAWS == pytest.approx(expected, rel=0.01)
    assert not any(vq_vae.diagnose(used, expected, size, used)[0].level == "warning" for used in alike)
    assert all(vq_vae.diagnose(used, expected, size, used)[0].level == "warning" for used in few)


# -- codes and holes ---------------------------------------------------------------------------------------------------


def code_lengths(saving: float, images: int, seed: int) -> str:
    """The level told of a model that saves a share of the marginal entropy of fair coins, image by image."""
    tokens = torch.randint(2, (images, 64), generator=seeded(seed))
    alone = autoregressive.entropy(tokens, 2)
    nats = 64 * (1 - saving) * math.log(2) + 5 * torch.randn(images, generator=seeded(seed + 10_000), dtype=torch.float64)
    reach = margin(autoregressive.saving_error(nats, tokens, 2), images) / 64
    return autoregressive.diagnose(nats.mean().item() / 64, alone, reach, "image")[0].level


def test_that_a_code_is_told_to_be_no_better_than_the_marginal_entropy_only_where_that_is_shown():
    assert sum(code_lengths(0, 1600, seed) == "bad" for seed in range(DRAWS)) >= 0.9 * DRAWS
    for images in (4, 256):
        assert sum(code_lengths(0.15, images, seed) == "bad" for seed in range(DRAWS)) <= 0.05 * DRAWS
        assert sum(code_lengths(0, images, seed) in ("good", "warning") for seed in range(DRAWS)) / DRAWS <= ALLOWED


def test_that_a_hole_is_called_unexplained_only_where_that_is_shown():
    assert inpainting.diagnose(0.01, 0.02).level == "bad" and inpainting.diagnose(0.01, 0.4).level == "muted"
    assert inpainting.diagnose(0.6, 0.1).level == "good" and inpainting.diagnose(-0.3, 0.1).level == "bad"
    x = torch.rand(5, 1, 3, 3, generator=seeded(0))
    assert torch.allclose(inpainting.others_mean(x)[2], torch.cat([x[:2], x[3:]]).mean(0))


def test_that_the_margin_of_a_mean_is_students():
    for n in (2, 3, 10, 31, 32, 60, 256, 5000):
        assert margin(1.0, n) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=1e-3)
    assert margin(1.0, 1) == math.inf


@pytest.mark.parametrize(("a", "n", "b", "m"), [(1.0, 5, 0.01, 128), (0.01, 5, 1.0, 128), (2.0, 256, 2.0, 128), (1.0, 2, 3.0, 128)])
def test_that_the_margin_of_a_difference_is_welchs(a: float, n: int, b: float, m: int):
    """Its degrees of freedom are rounded down, so it is a little wider."""
    p = stats.ttest_ind_from_stats(difference_margin(a, n, b, m), a, n, 0.0, b, m, equal_var=False).pvalue
    assert 0.02 < p <= 0.0501
    assert difference_margin(a, 1, b, m) == difference_margin(a, n, b, 1) == math.inf and difference_margin(0.0, n, 0.0, m) == 0


# -- what is said of a density, a game, a chain: `told(truth, images, seed)` draws what a checkpoint of that truth would show ----------


def frames_told(saving: float, images: int, seed: int) -> str:
    """Of frames whose code of 1.5 bits/dim is shortened by a share of it, with each frame's own deviation."""
    alone = 1.5 + 0.3 * torch.randn(images, generator=seeded(seed), dtype=torch.float64)
    given = alone - 1.5 * saving + 0.2 * torch.randn(images, generator=seeded(seed + 10_000), dtype=torch.float64)
    reach = margin((alone - given).std().item() / math.sqrt(images), images)
    return next_frame.diagnose(given.mean().item(), alone.mean().item(), reach)[0].level


def noise_told(loss: float, images: int, seed: int) -> str:
    """Of a denoiser's weighted loss, image by image, at three levels of noise."""
    each = loss * (1 + 0.25 * torch.randn(3, images, generator=seeded(seed), dtype=torch.float64))
    reach = max(margin(level.std().item() / math.sqrt(images), images) for level in each)
    return denoising.diagnose(each.mean().item(), reach)[0].level


def codes_told(saving: float, images: int, seed: int) -> str:
    """Of a prior that saves a share of the marginal entropy of codes, 16 of 4 kinds that are not equally common."""
    common = torch.tensor([0.55, 0.25, 0.15, 0.05], dtype=torch.float64)
    codes = torch.multinomial(common, images * 16, replacement=True, generator=seeded(seed)).view(images, 16)
    each = -(1 - saving) * common.log()[codes].sum(1) + 1.5 * torch.randn(images, generator=seeded(seed + 10_000), dtype=torch.float64)
    reach = margin(autoregressive.saving_error(each, codes, 4), images)
    alone = 16 * autoregressive.entropy(codes, 4)
    return token_transformer.diagnose(each.mean().item(), alone, 16 * math.log(4), reach)[0].level


def energies_told(apart: float, images: int, seed: int, shuffled: float | None = None) -> str:
    """Of normal energies: noise lies so many deviations above held-out images, and their shuffled pixels likewise or `shuffled`."""
    generator = seeded(seed)
    data, noise, mixed = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (images, energy.NOISE_IMAGES, images))
    noise, mixed = noise + apart, mixed + (apart if shuffled is None else shuffled)
    above = (mixed[None] > data[:, None]).double().mean().item()
    return energy.diagnose(energy.EnergySpread.of(data), energy.EnergySpread.of(noise), above).level


def game_told(apart: float, images: int, seed: int) -> str:
    """Of a discriminator whose logits of held-out images and of samples are normal and lie so many deviations apart."""
    real, fake = torch.randn(2, images, generator=seeded(seed))
    word = gan.balance(gan.ranked_right(real + apart, fake), images)
    return "blind" if "cannot tell" in word.text else word.level


def classes_told(accuracy: float, images: int, seed: int) -> str:
    """Of a conditional model whose likeliest class is the right one, of ten, with this probability."""
    y = torch.randint(10, (images,), generator=seeded(seed))
    right = int((torch.rand(images, generator=seeded(seed + 10_000)) < accuracy).sum())
    commonest = max(0.1, y.bincount().max().item() / images)
    words = conditional_vae.told_of_classes(right, images, commonest)
    return words[0].level if words else "good"


@pytest.mark.parametrize(
    ("told", "truth", "forbidden"),
    [
        (frames_told, 0.0, {"good", "warning"}),  # the frames before do not help: not said to
        (frames_told, 0.2, {"bad"}),  # they do: not said not to
        (noise_told, 1.0, {"good", "warning"}),
        (noise_told, 0.75, {"bad"}),
        (codes_told, 0.0, {"good"}),
        (codes_told, 0.15, {"warning"}),
        (energies_told, 0.0, {"good", "warning"}),  # noise is as likely as images
        (energies_told, 3.0, {"bad", "warning"}),
        (game_told, 0.0, {"good", "warning"}),  # chance
        (game_told, 1.2, {"warning", "blind"}),  # 80 % of the pairs
        (game_told, 1.8, {"warning", "blind"}),  # 90 %
        (game_told, 4.0, {"good", "blind"}),  # 99.8 %
        (classes_told, 0.1, {"good"}),
        (classes_told, 0.5, {"bad"}),
    ],
)
@pytest.mark.parametrize("images", [4, 30, 256])
def test_that_nothing_false_is_said_of_a_checkpoint_more_often_than_in_one_of_twenty(told, truth: float, forbidden: set[str], images: int):
    assert sum(told(truth, images, seed) in forbidden for seed in range(DRAWS)) / DRAWS <= ALLOWED


@pytest.mark.parametrize(
    ("told", "truth", "wanted"),
    [
        (frames_told, 0.0, "bad"),
        (frames_told, 0.3, "warning"),
        (frames_told, 0.8, "good"),
        (noise_told, 1.0, "bad"),
        (noise_told, 0.85, "warning"),
        (noise_told, 0.4, "good"),
        (codes_told, 0.0, "warning"),
        (codes_told, 0.15, "good"),
        (energies_told, 0.0, "bad"),
        (energies_told, 3.0, "good"),
        (game_told, 0.0, "blind"),
        (game_told, 1.2, "good"),
        (game_told, 4.0, "warning"),
        (classes_told, 0.1, "bad"),
        (classes_told, 0.5, "good"),
    ],
)
def test_that_what_is_so_is_said_of_256_held_out_images(told, truth: float, wanted: str):
    assert sum(told(truth, 256, seed) == wanted for seed in range(DRAWS)) >= 0.9 * DRAWS


def test_that_pixels_in_another_order_are_told_from_images_only_where_they_are():
    assert sum(energies_told(3.0, 256, seed, shuffled=0.5) == "warning" for seed in range(DRAWS)) >= 0.9 * DRAWS
    assert sum(energies_told(3.0, 30, seed, shuffled=0.0) == "good" for seed in range(DRAWS)) <= 0.05 * DRAWS
