"""MIG and DCI against codes made by hand, closed forms and slow loops."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from engine.cli import main
from engine.data.shapes import factors_of
from engine.evaluation import disentanglement as measured
from engine.evaluation.disentanglement import (
    completeness_of,
    dependence,
    disentanglement_of,
    equal_width_bins,
    gaps,
    measure,
    mutual_information,
    true_factors,
)
from engine.training.loop import train
from engine.training.plan import Plan

COUNT = 500


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def factors() -> dict[str, np.ndarray]:
    return factors_of(0, np.arange(COUNT))


def perfect(factors: dict[str, np.ndarray]) -> np.ndarray:
    """One code for each factor, on a scale of its own, monotone but not linear."""
    turns = np.array([90.0, 120.0, 180.0, 90.0, 72.0])[factors["shape"]]
    columns = [factors["shape"], factors["hue"] / 360, factors["size"] / 8, factors["x"] / 32, factors["y"] / 32, factors["angle"] / turns]
    return np.stack(columns, 1) * np.array([1.0, -3.0, 2.0, 10.0, -0.1, 5.0])


def test_that_a_code_for_each_factor_is_disentangled_its_rotation_is_not_and_noise_is_nothing(factors, monkeypatch):
    monkeypatch.setattr(measured, "TREES", 24)
    monkeypatch.setattr(measured, "FOLDS", 2)
    rng = np.random.default_rng(0)
    code = perfect(factors)
    code = (code - code.mean(0)) / code.std(0)
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    right, rotated, noise = (
        finished(measure(one, true_factors(factors))).values for one in (code, code @ turn, rng.standard_normal((COUNT, 6)))
    )
    assert right["mig"] > 0.85  # of 20 and 10 bins the counts alone tell each of the others about 0.04
    assert right["dci_disentanglement"] > 0.97 and right["dci_completeness"] > 0.97 and right["dci_informativeness"] > 0.95
    assert rotated["mig"] < 0.15 and rotated["dci_disentanglement"] < 0.4 and rotated["dci_completeness"] < 0.4
    assert abs(noise["mig"]) < 0.03 and noise["dci_disentanglement"] < 0.15 and noise["dci_informativeness"] < 0.05
    assert [one["code"] for one in right["factors"].values()] == list(range(6))
    for name in ("mig", "dci_disentanglement", "dci_completeness", "dci_informativeness"):
        assert 0 <= right[f"{name}_se"] < 0.1


def test_that_what_only_tells_the_clip_tells_none_of_its_factors(monkeypatch):
    monkeypatch.setattr(measured, "TREES", 24)
    clips = np.repeat(np.arange(50), 10)
    of_clips = factors_of(0, np.arange(50))
    told = true_factors({name: values[clips] for name, values in of_clips.items()})
    codes = np.random.default_rng(1).standard_normal((50, 4))[clips]
    together, apart = (finished(measure(codes, told, groups=groups)).values["dci_informativeness"] for groups in (clips, None))
    assert together < 0.05 and apart > 0.8


def test_that_mutual_information_is_scikit_learns_and_the_gap_is_a_loop():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, 300), rng.integers(0, 7, 300)
    b = np.where(rng.random(300) < 0.5, a, b)
    assert mutual_information(a, b) == pytest.approx(mutual_info_score(a, b), abs=1e-12)
    information = rng.random((4, 3))
    entropies = np.array([1.0, 2.0, 3.0])
    by_hand = []
    for k in range(3):
        first, second = sorted((information[j, k] for j in range(4)), reverse=True)[:2]
        by_hand.append((first - second) / entropies[k])
    np.testing.assert_allclose(gaps(information, entropies), by_hand)
    np.testing.assert_allclose(gaps(information[:1], entropies), information[0] / entropies)  # a single code has nothing beside it


def test_that_dci_of_known_importances_is_that_of_the_paper():
    assert disentanglement_of(np.eye(4)) == 1.0 and completeness_of(np.eye(4)).tolist() == [1.0] * 4
    assert disentanglement_of(np.ones((4, 4))) == pytest.approx(0.0) and completeness_of(np.ones((4, 4))) == pytest.approx([0.0] * 4)
    copies = np.repeat(np.eye(3), 2, 0)  # two codes for each factor: disentangled, but not complete
    assert disentanglement_of(copies) == 1.0
    assert completeness_of(copies) == pytest.approx([1 - math.log(2) / math.log(6)] * 3)
    shared = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])  # one code for two factors of equal weight, one of its own
    assert disentanglement_of(shared) == pytest.approx(0.5 * (1 - math.log(2) / math.log(3)) + 0.5)
    assert completeness_of(shared) == pytest.approx([1.0, 1.0, 1.0])
    assert disentanglement_of(np.zeros((2, 3))) == 0.0 and completeness_of(np.zeros((2, 3))).tolist() == [0.0] * 3
    dead = np.concatenate([np.eye(3), np.zeros((5, 3))])
    assert disentanglement_of(dead) == 1.0 and completeness_of(dead) == pytest.approx([1.0] * 3)


def test_that_bins_are_of_equal_width_and_a_constant_has_one():
    assert equal_width_bins(np.array([0.0, 0.1, 0.49, 0.51, 1.0]), 2).tolist() == [0, 0, 0, 1, 1]
    assert set(equal_width_bins(np.full(5, 3.0), 20).tolist()) == {0}


def test_that_the_factors_of_shapes_are_independent_as_measured_and_an_angle_in_degrees_is_not(factors):
    many = factors_of(3, np.arange(4000))
    assert dependence(true_factors(many)) < 0.01
    in_degrees = {"shape": many["shape"], "turn": many["angle"]}
    assert dependence(true_factors(in_degrees)) > 0.04


def test_that_a_factor_that_goes_round_is_told_across_its_end():
    """A code of cosine and sine has no edge at 360°; neither has what is asked of it."""
    angle = np.random.default_rng(2).random(COUNT) * 360
    code = np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))], 1)
    other = np.random.default_rng(3).random(COUNT)
    told = finished(measure(np.concatenate([code, other[:, None]], 1), true_factors({"hue": angle, "x": other}))).values
    assert told["factors"]["hue"]["informativeness"] > 0.95 and told["factors"]["x"]["informativeness"] > 0.95
    assert told["factors"]["x"]["completeness"] > 0.9 > told["factors"]["hue"]["completeness"]


def test_that_a_dead_code_is_nothing():
    values = np.random.default_rng(4).random(200)
    told = finished(measure(np.zeros((200, 3)), true_factors({"x": values, "y": values[::-1].copy()}))).values
    assert told["mig"] == told["dci_disentanglement"] == told["dci_completeness"] == 0.0
    assert told["dci_informativeness"] < 0.01 and np.isfinite(told["mig_se"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    small = {"network": "mlp", "width": 8, "latent": 3}
    list(train(Plan("vae", "shapes:1500", small, steps=3, name="shapes", device="cpu"), root))
    list(train(Plan("vae", "digits", small, steps=3, name="digits", device="cpu"), root))
    list(train(Plan("diffusion", "digits", {"width": 8}, steps=1, name="diffusion", device="cpu"), root))
    return root


def test_that_the_verb_measures_validation_images(runs, capsys, monkeypatch):
    monkeypatch.setattr(measured, "TREES", 4)
    assert main(["eval", "shapes", "--disentanglement", "--runs", str(runs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["split"] == "valid" and told["images"] == 135 and told["codes"] == 3 and "nats" not in told
    assert set(told["factors"]) == {"shape", "hue", "size", "x", "y", "angle"}
    assert 0 <= told["mig"] <= 1 and 0 <= told["dci_disentanglement"] <= 1 and (told["code_bins"], told["factor_bins"]) == (20, 10)
    assert main(["eval", "shapes", "--disentanglement", "--runs", str(runs), "--limit", "120"]) == 0
    said = capsys.readouterr().out
    assert "MIG" in said and "DCI disentanglement" in said and "hue" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["digits"], "digits comes without true factors"),
        (["diffusion"], "no latents and no embeddings"),
        (["shapes", "--limit", "20"], "at least 100 images"),
        (["shapes", "--final"], "--disentanglement"),
    ],
)
def test_that_what_cannot_be_measured_is_one_sentence(runs, capsys, arguments, says):
    assert main(["eval", *arguments, "--disentanglement", "--runs", str(runs)]) in (1, 2)
    assert says in capsys.readouterr().err.strip().splitlines()[-1]
