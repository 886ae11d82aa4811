"""Scores of classifiers and encoders, against loops in numpy and identities that hold exactly."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf
from sklearn.neighbors import NearestNeighbors

from engine.detectors.base import ImageBatch, TrainingImages, all_detectors, aside, finish, of
from engine.detectors.classifier import Energy, Gen, MaxLogit, Msp, Odin
from engine.detectors.features import (
    Knn,
    Mahalanobis,
    RelativeMahalanobis,
    UnitMahalanobis,
    Vim,
    class_distances,
    ledoit_wolf,
    nearest,
    tied_gaussian,
)
from engine.detectors.pretext import RotationScore
from tests.kit.detectors import Linear, images


def logits_of(model: Linear, pixels: np.ndarray) -> np.ndarray:
    return (pixels.reshape(len(pixels), -1) / 255) @ model.w.double().numpy()


class Shifted(Linear):
    def classify(self, x):
        return super().classify(x) + 3.0


def test_that_scores_of_logits_are_their_formulas():
    model, pixels = Linear(), images(6)
    look, logits = ImageBatch(model, pixels), logits_of(Linear(), pixels)
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert of(Msp, model).score(look).numpy() == pytest.approx(1 - softmax.max(1), abs=1e-5)
    assert of(MaxLogit, model).score(look).numpy() == pytest.approx(-logits.max(1), abs=1e-5)
    assert of(Energy, model).score(look).numpy() == pytest.approx(-np.log(np.exp(logits).sum(1)), abs=1e-5)
    confidence = [of(Msp, model).value(float(s)) for s in of(Msp, model).score(look)]
    assert all(1 / 3 <= c <= 1 for c in confidence)


def test_that_a_common_shift_of_the_logits_moves_the_energy_and_not_the_softmax():
    pixels = images(6)
    plain, shifted = ImageBatch(Linear(), pixels), ImageBatch(Shifted(), pixels)
    assert torch.allclose(of(Msp, Shifted()).score(shifted), of(Msp, Linear()).score(plain), atol=1e-6)
    assert torch.allclose(of(Energy, Shifted()).score(shifted), of(Energy, Linear()).score(plain) - 3, atol=1e-6)


def test_that_a_very_sure_classifier_can_still_be_ranked():
    class Sure(Linear):
        def classify(self, x):
            return 12 * super().classify(x)

    scores = of(Msp, Sure()).score(ImageBatch(Sure(), images(40)))
    assert len(scores.unique()) > 30


def test_that_odin_at_temperature_one_without_a_push_is_the_softmax_maximum_bit_for_bit():
    model, pixels = Linear(), images(6)
    detector = of(Odin, model)
    detector.temperature, detector.epsilon = 1.0, 0.0
    assert torch.equal(detector.score(ImageBatch(model, pixels)), of(Msp, model).score(ImageBatch(model, pixels)))


def test_that_odin_pushes_every_pixel_towards_a_surer_answer():
    model, pixels = Linear(), images(6)
    detector = of(Odin, model)
    x = pixels.reshape(6, -1) / 255
    w = model.w.double().numpy()
    scores = []
    for row in x:  # the gradient of log softmax_c of a linear classifier: w_c - Σ p_k w_k, divided by T
        p = np.exp(row @ w / 1000) / np.exp(row @ w / 1000).sum()
        pushed = row + 0.0014 * np.sign(w[:, p.argmax()] - w @ p)
        scores.append(1 - (np.exp(pushed @ w / 1000) / np.exp(pushed @ w / 1000).sum()).max())
    with torch.no_grad():  # as in the query lane
        found = detector.score(ImageBatch(model, pixels)).numpy()
    assert found == pytest.approx(scores, abs=1e-8)
    detector.epsilon = 0.0
    assert (found < detector.score(ImageBatch(model, pixels)).numpy()).all()


# ---------------------------------------------------------------------------------------------------------------------


def clouds(count: int = 90, dims: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    centres = 4 * torch.randn(3, dims, generator=generator, dtype=torch.float64)
    return centres[labels] + torch.randn(count, dims, generator=generator, dtype=torch.float64), labels


def test_that_the_shrunk_covariance_is_scikit_learns():
    for count, dims in ((90, 5), (40, 70)):
        features, labels = clouds(count, dims)
        features = features * torch.linspace(0.1, 4, dims, dtype=torch.float64)
        means = torch.stack([features[labels == k].mean(0) for k in range(3)])
        centred = features - means[labels]
        expected, share = sklearn_ledoit_wolf(centred.numpy(), assume_centered=True)
        assert 0 < share < 1
        assert ledoit_wolf(centred).numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        found, inverse = tied_gaussian(features, labels)
        assert torch.allclose(found, means) and inverse.numpy() == pytest.approx(np.linalg.inv(expected), rel=1e-6, abs=1e-9)
    flat = torch.zeros(9, 4, dtype=torch.float64)
    assert torch.isfinite(tied_gaussian(flat, torch.zeros(9).long())[1]).all()


def test_that_the_mahalanobis_distance_turns_with_the_features_and_is_euclidean_for_a_round_cloud():
    features, labels = clouds()
    asked = features[:7] + 1
    plain = class_distances(asked, *tied_gaussian(features, labels))
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    moved = class_distances(3 * asked @ turn + 2, *tied_gaussian(3 * features @ turn + 2, labels))
    assert torch.allclose(plain, moved, rtol=1e-8)
    round_ = class_distances(asked, torch.zeros(1, 5, dtype=torch.float64), torch.eye(5, dtype=torch.float64))
    assert torch.allclose(round_[:, 0], asked.square().sum(1))


def test_that_classes_that_do_not_occur_do_no_harm():
    features, labels = clouds()
    means, inverse = tied_gaussian(features, labels * 5)  # classes 0, 5, 10
    assert means.shape == (3, 5)
    assert torch.allclose(class_distances(features, means, inverse), class_distances(features, *tied_gaussian(features, labels)))


def test_that_the_rounding_of_features_is_not_taken_for_a_direction():
    """Features of float32 networks differ in the last digits alone and in a batch; flat directions would make a distance of that."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64))[0]
    scales = torch.logspace(0, -6.5, 64, dtype=torch.float64)  # many directions are all but flat
    features = (torch.randn(4000, 64, generator=generator, dtype=torch.float64) * scales) @ turn + 1
    labels = torch.arange(4000) % 3
    means, inverse = tied_gaussian(features.float().double(), labels)
    rounded = features * (1 + 3e-7 * torch.randn(features.shape, generator=generator, dtype=torch.float64))
    one, other = (class_distances(x[:200], means, inverse).amin(1) for x in (features.float().double(), rounded.float().double()))
    assert ((one - other).abs() / one).max() < 1e-3
    centred = features.float().double() - means[labels]
    whitened = torch.linalg.pinv(centred.T @ centred / 4000, hermitian=True)
    one, other = (class_distances(x[:200], means, whitened).amin(1) for x in (features.float().double(), rounded.float().double()))
    assert ((one - other).abs() / one).max() > 1e-2, "what pseudo-inverses make of it"


def test_that_mahalanobis_takes_the_nearest_class_of_the_training_images():
    model, pixels = Linear(), images(60)
    labels = np.arange(60) % 3
    detector = of(Mahalanobis, model)
    list(detector.fit(TrainingImages(pixels, labels)))
    features = (pixels.reshape(60, -1) / 255) @ model.f.double().numpy()
    means = np.stack([features[labels == k].mean(0) for k in range(3)])
    centred = features - means[labels]
    inverse = np.linalg.inv(sklearn_ledoit_wolf(centred, assume_centered=True)[0])
    asked = images(4, seed=3)
    rows = (asked.reshape(4, -1) / 255) @ model.f.double().numpy()
    expected = [min((row - mean) @ inverse @ (row - mean) for mean in means) for row in rows]
    assert detector.score(ImageBatch(model, asked)).numpy() == pytest.approx(expected, rel=1e-4)


def test_that_neighbours_are_those_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    bank, rows = torch.randn(500, 6, generator=generator), torch.randn(9, 6, generator=generator)
    peer = NearestNeighbors(n_neighbors=12, algorithm="brute").fit(bank.double().numpy())
    distances, places = peer.kneighbors(rows.double().numpy())
    for chunk in (7, 128, 4096):
        found = nearest(rows, bank, 12, chunk)
        assert found[0].numpy() == pytest.approx(distances, abs=1e-9)
        assert np.array_equal(found[1].numpy(), places)


def test_that_a_training_image_is_its_own_nearest_neighbour():
    model, pixels = Linear(), images(80)
    detector = of(Knn, model)
    detector.k = 1
    list(detector.fit(TrainingImages(pixels, None)))
    assert detector.score(ImageBatch(model, pixels)).max() < 1e-6
    detector.k = 5
    assert detector.score(ImageBatch(model, pixels)).min() > 1e-4


def test_that_a_small_training_set_has_fewer_neighbours():
    model = Linear()
    detector = of(Knn, model)
    list(detector.fit(TrainingImages(images(8), None)))
    assert detector.score(ImageBatch(model, images(2, seed=9))).isfinite().all()


# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", all_detectors())
def test_that_every_detector_says_what_it_is_and_where_it_comes_from(name):
    kind = all_detectors()[name]
    assert kind.name == name and kind.title
    assert kind.density in ("exact", "bound", "exact or bound", "none", "P(y|x)", "features")
    assert any(character.isdigit() for character in kind.source) and len(kind.source) > 20
    assert len(kind.help) > 40 and kind.help.endswith(".")


def test_that_detectors_are_found_by_folder_in_the_order_of_the_table():
    names = list(all_detectors())
    assert [name for name in names if name in ("iwae", "elbo", "log_likelihood")] == ["log_likelihood", "elbo", "iwae"]
    assert {"likelihood_ratio", "input_complexity", "typicality", "waic", "likelihood_regret"} < set(names)
    assert {"msp", "max_logit", "energy", "odin", "mahalanobis", "knn"} < set(names)


def test_that_a_long_call_aside_yields_and_is_not_waited_for_when_given_up():
    gate = threading.Event()
    steps = aside(lambda: gate.wait(20) and "done")
    started = time.perf_counter()
    assert next(steps) is None and next(steps) is None
    steps.close()
    assert time.perf_counter() - started < 5
    gate.set()
    assert finish(aside(lambda: 6 * 7)) == 42
    with pytest.raises(ZeroDivisionError):
        finish(aside(lambda: 1 / 0))


def test_that_the_generalized_entropy_is_its_formula_and_ranks_very_sure_answers():
    model, pixels = Linear(), images(6)
    logits = logits_of(model, pixels)
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert of(Gen, model).score(ImageBatch(model, pixels)).numpy() == pytest.approx(((softmax * (1 - softmax)) ** 0.1).sum(1), rel=1e-4)

    class Sure(Linear):
        def classify(self, x):
            return 12 * super().classify(x)

    scores = of(Gen, Sure()).score(ImageBatch(Sure(), images(40)))
    assert len(scores.unique()) > 30 and scores.isfinite().all()


def fitted(kind, model, training: TrainingImages):
    detector = of(kind, model)
    for _ in detector.fit(training):
        pass
    return detector


def gaussian_distances(rows: np.ndarray, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Squared distances to every class mean by scikit-learn's shrunk covariance of what remains of the features: [B, K]."""
    means = np.stack([features[labels == k].mean(0) for k in np.unique(labels)])
    covariance, _ = sklearn_ledoit_wolf(features - means[labels], assume_centered=True)
    inverse = np.linalg.inv(covariance)
    return np.stack([np.einsum("bi,ij,bj->b", rows - mean, inverse, rows - mean) for mean in means], 1)


def test_that_the_relative_distance_takes_away_that_to_one_gaussian_of_all():
    model, pixels, labels = Linear(), images(90), np.arange(90) % 3
    features, asked = (p.reshape(len(p), -1) / 255 @ model.f.double().numpy() for p in (pixels, images(7, 5)))
    expected = gaussian_distances(asked, features, labels).min(1) - gaussian_distances(asked, features, np.zeros(90, int))[:, 0]
    found = fitted(RelativeMahalanobis, model, TrainingImages(pixels, labels)).score(ImageBatch(model, images(7, 5)))
    assert found.numpy() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_that_the_distance_of_unit_features_does_not_see_how_long_they_were():
    model, pixels, labels = Linear(), images(90), np.arange(90) % 3
    features, asked = (p.reshape(len(p), -1) / 255 @ model.f.double().numpy() for p in (pixels, images(7, 5)))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, features)]
    found = fitted(UnitMahalanobis, model, TrainingImages(pixels, labels)).score(ImageBatch(model, images(7, 5)))
    assert found.numpy() == pytest.approx(gaussian_distances(unit[0], unit[1], labels).min(1), rel=1e-3)


class Stacked(Linear):
    """Logits that are linear in the features, as those of a network are in its last layer."""

    layer = np.random.default_rng(3).normal(size=(5, 3))
    bias = np.array([0.3, -0.2, 0.1])

    def classify(self, x):
        return self.encode(x).double() @ torch.from_numpy(self.layer) + torch.from_numpy(self.bias)


def test_that_vim_is_its_paper_with_the_last_layer_given():
    model, pixels = Stacked(), images(120)
    features, asked = (p.reshape(len(p), -1) / 255 @ model.f.double().numpy() for p in (pixels, images(7, 5)))
    origin = -np.linalg.pinv(model.layer.T) @ model.bias
    moved = features - origin
    values, axes = np.linalg.eigh(moved.T @ moved)
    outside = axes[:, np.argsort(values)[:3]]  # two of five directions are the principal space
    logits = features @ model.layer + model.bias
    alpha = logits.max(1).mean() / np.linalg.norm(moved @ outside, axis=1).mean()
    told = asked @ model.layer + model.bias
    expected = alpha * np.linalg.norm((asked - origin) @ outside, axis=1) - np.log(np.exp(told).sum(1))
    found = fitted(Vim, model, TrainingImages(pixels, None)).score(ImageBatch(model, images(7, 5)))
    assert found.numpy() == pytest.approx(expected, rel=1e-3)


def test_that_the_rotation_score_is_the_cross_entropy_of_the_turns():
    class Turns:
        puzzle = "rotation"

        def answers(self, x):  # always sure that nothing was turned
            return torch.tensor([0.7, 0.1, 0.1, 0.1]).expand(len(x), 4)

    score = of(RotationScore, Turns()).score(ImageBatch(Turns(), images(3)))
    assert score.numpy() == pytest.approx([-(np.log(0.7) + 3 * np.log(0.1)) / 4] * 3)
