"""Separation, p-values and code lengths, against scikit-learn, counting by hand and files written by others."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from engine.common import ood_metrics


def some(seed: int, count: int, ties: bool, shift: float = 0.0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(shift, 1, count)
    return np.round(values * 2) / 2 if ties else values


def both(known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([0, 1], [len(known), len(unknown)]), np.concatenate([known, unknown])


def test_auroc_of_the_textbook_example():
    assert ood_metrics.auroc(np.array([0.1, 0.4]), np.array([0.35, 0.8])) == 0.75


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m"), [(300, 200), (7, 50), (1, 1)])
def test_that_the_numbers_are_those_of_scikit_learn(ties, n, m):
    known, unknown = some(0, n, ties), some(1, m, ties, 0.8)
    labels, scores = both(known, unknown)
    assert ood_metrics.auroc(known, unknown) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert ood_metrics.average_precision(known, unknown) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert ood_metrics.fpr_at(known, unknown) == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)


def test_that_auroc_is_the_mann_whitney_count():
    known, unknown = some(2, 40, True), some(3, 30, True)
    wins = sum((u > k) + 0.5 * (u == k) for k in known for u in unknown)
    assert ood_metrics.auroc(known, unknown) == pytest.approx(wins / (40 * 30), abs=1e-12)


def test_that_auroc_is_never_flipped_and_only_order_counts():
    known, unknown = some(4, 100, False), some(5, 100, False, -1.0)
    area = ood_metrics.auroc(known, unknown)
    assert area < 0.5
    assert ood_metrics.auroc(-known, -unknown) == pytest.approx(1 - area, abs=1e-12)
    assert ood_metrics.auroc(unknown, known) == pytest.approx(1 - area, abs=1e-12)
    assert ood_metrics.auroc(np.exp(known), np.exp(unknown)) == area
    assert ood_metrics.auroc(np.zeros(5), np.zeros(9)) == 0.5
    assert (ood_metrics.auroc(np.zeros(5), np.ones(9)), ood_metrics.fpr_at(np.zeros(5), np.ones(9))) == (1.0, 0.0)


def test_that_a_score_that_is_no_number_counts_as_the_highest():
    assert ood_metrics.auroc(np.zeros(3), np.array([math.nan])) == 1.0
    assert ood_metrics.p_values(np.arange(9.0), np.array([math.nan]))[0] == pytest.approx(0.1)
    with pytest.raises(ood_metrics.BadScores, match="no scores"):
        ood_metrics.auroc(np.zeros(0), np.zeros(3))


def test_that_a_p_value_counts_held_out_scores_that_are_at_least_as_high():
    known = np.array([3.0, 1.0, 2.0, 2.0])
    asked = np.array([0.0, 1.0, 1.5, 2.0, 3.0, 3.1])
    expected = [(1 + sum(k >= s for k in known)) / 5 for s in asked]
    assert ood_metrics.p_values(known, asked) == pytest.approx(expected)


def test_that_known_images_get_small_p_values_as_rarely_as_promised():
    scores = np.random.default_rng(0).normal(size=2000)
    p = np.array([ood_metrics.p_values(np.delete(scores[:200], 0), scores[i : i + 1])[0] for i in range(200, 2000)])
    for alpha in (0.01, 0.05, 0.2):
        assert (p <= alpha).mean() == pytest.approx(alpha, abs=0.04)


@pytest.mark.parametrize(
    ("p", "level"), [(1.0, "good"), (0.05, "good"), (0.0499, "warning"), (0.01, "warning"), (0.0099, "bad"), (1e-4, "bad")]
)
def test_that_a_verdict_follows_from_the_p_value(p, level):
    assert ood_metrics.verdict(p)[0] == level


# ---------------------------------------------------------------------------------------------------------------------


def constant(channels: int = 1) -> np.ndarray:
    return np.full((channels, 28, 28), 77, np.uint8)


def noise(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (channels, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_that_a_constant_image_is_far_shorter_than_noise_and_noise_cannot_be_shortened(channels):
    short, long = ood_metrics.code_bits(np.stack([constant(channels), noise(channels)]))
    assert short < long / 40
    assert long >= 8 * 784 * channels


@pytest.mark.parametrize("channels", [1, 3])
def test_that_lengths_are_those_of_the_files_without_what_every_file_carries(channels):
    for image in (constant(channels), noise(channels)):
        rows = image.transpose(1, 2, 0)
        picture = Image.fromarray(rows[:, :, 0] if channels == 1 else np.ascontiguousarray(rows))
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        data = file.getvalue()
        content, place = 0, 8
        while place < len(data):  # chunk by chunk: length, kind, content, checksum
            length = int.from_bytes(data[place : place + 4], "big")
            content += length if data[place + 4 : place + 8] == b"IDAT" else 0
            place += 12 + length
        found = ood_metrics.lengths(image)
        assert found["PNG"] == content - 6
        assert ood_metrics.png_bytes(image) == len(data)
        file = io.BytesIO()
        picture.convert("RGB").save(file, "WEBP", lossless=True, quality=100, method=ood_metrics.WEBP_EFFORT, exact=True)
        assert found["WebP"] == len(file.getvalue()) - 25


def test_that_the_filters_can_be_undone():
    """What is filtered must still hold the image: each filter is inverted pixel by pixel, as the PNG specification says."""
    image = noise()[0, :9, :7]

    def paeth(a, b, c):
        p = a + b - c
        return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]

    ways = {"left": lambda a, b, c: a, "above": lambda a, b, c: b, "average": lambda a, b, c: (a + b) // 2, "Paeth": paeth}
    for name, filtered in ood_metrics._filtered(image[:, :, None]).items():
        back = np.zeros((10, 8), int)
        for y in range(9):
            for x in range(7):
                a, b, c = back[y + 1, x], back[y, x + 1], back[y, x]
                back[y + 1, x + 1] = (int(filtered[y, x, 0]) + ways[name](a, b, c)) % 256
        assert np.array_equal(back[1:, 1:], image), name


# ---------------------------------------------------------------------------------------------------------------------
# As the window draws them
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["normal", "ties", "reversed", "few"])
def sides(request) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    if request.param == "ties":
        return rng.integers(0, 6, 300).astype(float), rng.integers(2, 9, 211).astype(float)
    if request.param == "reversed":
        return rng.normal(2, 1, 400), rng.normal(0, 1, 300)
    if request.param == "few":
        return rng.normal(0, 1, 9), rng.normal(0.5, 1, 3)
    return rng.normal(0, 1, 500), rng.normal(1.5, 2, 700)


def joined(sides: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    known, strange = sides
    return np.concatenate([np.zeros(len(known)), np.ones(len(strange))]), np.concatenate([known, strange])


def test_that_auroc_is_that_of_scikit_learn(sides) -> None:
    assert ood_metrics.auroc(*sides) == pytest.approx(roc_auc_score(*joined(sides)), abs=1e-12)


def test_that_an_area_below_one_half_stays_below() -> None:
    known, strange = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    assert ood_metrics.auroc(known, strange) == 0.0
    assert ood_metrics.auroc(strange, known) == 1.0
    assert ood_metrics.auroc(np.ones(5), np.ones(7)) == 0.5
    assert ood_metrics.auroc(np.array([0.1, 0.4]), np.array([0.35, 0.8])) == 0.75


def test_that_fpr_at_95_is_that_of_scikit_learns_curve(sides) -> None:
    false, true, _ = roc_curve(*joined(sides), drop_intermediate=False)
    assert ood_metrics.fpr_at(*sides) == pytest.approx(false[true >= 0.95 - 1e-12].min(), abs=1e-12)


def test_that_p_values_count_held_out_scores_that_are_as_high() -> None:
    rng = np.random.default_rng(1)
    known, scores = rng.integers(0, 20, 99).astype(float), rng.integers(-2, 25, 30).astype(float)
    slow = [(1 + sum(1 for k in known if k >= value)) / (len(known) + 1) for value in scores]
    np.testing.assert_allclose(ood_metrics.p_values(known, scores), slow)
    assert ood_metrics.p_values(known, np.array([1e9]))[0] == 0.01


def test_that_an_empty_side_is_refused_and_a_score_that_is_no_number_is_the_highest() -> None:
    empty, known, odd = np.array([]), np.array([1.0, 2.0, 3.0]), np.array([np.nan])
    for measure in (ood_metrics.auroc, ood_metrics.fpr_at):
        for pair in ((empty, known), (known, empty)):
            with pytest.raises(ood_metrics.BadScores):
                measure(*pair)
    assert ood_metrics.p_values(known, odd)[0] == 0.25 and ood_metrics.auroc(known, odd) == 1.0
