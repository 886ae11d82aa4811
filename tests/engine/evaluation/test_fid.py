"""Fréchet and kernel distances against closed forms, a matrix root of SciPy's, a slow sum, and on a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm

from engine.cli import main
from engine.data import open_data
from engine.data.captions import encode_captions
from engine.evaluation.fid import as_modelled, conditions_like, fidelity, frechet, frechet_distance, kernel_distance
from engine.method import DataSpec, Frame, build
from engine.methods import vae
from engine.methods.pixel_cnn import PixelCNN
from engine.methods.vae import VAE
from engine.queries.autoregressive_sampling import CannotSample
from engine.queries.session import Model
from engine.storage.checkpoint_choice import choose_step
from engine.storage.run_reader import Run
from engine.training.batches import spec_of
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
    assert frechet_distance(normal(40, 1), normal(40, 1)) == pytest.approx(0, abs=1e-9)


def test_that_it_is_the_formula_with_a_matrix_root_and_the_same_both_ways():
    a, b = (m @ m.T for m in RNG.normal(size=(2, D, D)))
    slow = np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real
    ours, theirs = torch.from_numpy(a), torch.from_numpy(b)
    assert frechet(ZERO, ours, ZERO, theirs) == pytest.approx(slow)
    assert frechet(ZERO, theirs, ZERO, ours) == pytest.approx(slow)
    flat = torch.from_numpy(np.diag([1.0, 2.0, 0.0, 0.0, 0.0]))  # fewer images than features
    assert frechet(ZERO, flat, ZERO, EYE) == pytest.approx((1 - 1) ** 2 + (np.sqrt(2) - 1) ** 2 + 3)


def test_that_its_bias_is_positive_and_falls_with_more_images():
    few, many = (np.mean([frechet_distance(normal(n, 2 * i), normal(n, 2 * i + 1)) for i in range(20)]) for n in (30, 300))
    assert few > 5 * many > 0


def test_that_the_kernel_distance_is_unbiased_and_the_slow_sum():
    told = [kernel_distance(normal(30, 2 * i), normal(30, 2 * i + 1)) for i in range(200)]
    assert abs(np.mean(told)) < 4 * np.std(told) / np.sqrt(len(told)) and min(told) < 0 < max(told)
    x, y = normal(6, 1).numpy(), normal(4, 2).numpy() + 1

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / D + 1) ** 3

    slow = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    slow += np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    slow -= 2 * np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(slow)


def finish(job):
    """Run a job to its end and return what it returns."""
    try:
        while True:
            next(job)
    except StopIteration as end:
        return end.value


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
        assert (
            main(["eval", name, "--features", "eye", "--samples", "150", "--split", "test", "--limit", "8", "--runs", str(runs), "--json"])
            == 0
        )
        told[name] = json.loads(capsys.readouterr().out.splitlines()[-1])
    young, trained = told["young"], told["model"]
    assert (
        trained["samples"] == 90
        and trained["split"] == "test"
        and trained["decode"] == "mean"
        and trained["encoder"] == "eye"
        and trained["encoder_step"] == choose_step(Run.open(runs / "eye")).step
    )
    assert young["fd"] > 1.2 * trained["fd"] > 1.2 * trained["fd_real"] > 0
    assert young["kd"] > trained["kd"] > trained["kd_real"]
    for name in ("precision", "recall"):
        assert young[name] < trained[name] <= 1 and young[name] < young[f"{name}_real"] == trained[f"{name}_real"]


@pytest.mark.parametrize(
    ("run", "encoder", "says"),
    [("eye", "eye", "draws no images"), ("model", "large", "takes images of")],
)
def test_that_what_cannot_be_compared_is_one_sentence(run: str, encoder: str, says: str, runs: Path, capsys):
    assert main(["eval", run, "--features", encoder, "--limit", "4", "--runs", str(runs)]) == 1
    assert says in capsys.readouterr().err


def test_that_a_perfect_binary_model_is_as_near_to_real_images_as_they_are_to_each_other(runs: Path, monkeypatch: pytest.MonkeyPatch):
    """Its samples are binary training images: grey test images would lie far from them."""
    list(train(Plan("pixel_cnn", "digits", {"levels": 2, "width": 4, "layers": 1}, steps=1, name="binary", device="cpu"), runs))
    real = open_data("digits").splits["train"].images
    taken = iter(np.random.default_rng(1).permutation(len(real))[:1000].tolist())

    def perfect(self, n, y=None, temperature=1.0, generator=None):
        chosen = np.stack([real[next(taken)] for _ in range(n)])
        yield Frame(torch.from_numpy(as_modelled(self, chosen, 5)) / 255, 1, 1)

    monkeypatch.setattr(PixelCNN, "sample", perfect)
    values = finish(fidelity(runs / "binary", runs / "eye", 90))
    assert values["fd"] < 1.5 * values["fd_real"], values
    assert (
        set(np.unique(as_modelled(Model(Run.open(runs / "binary"), None).method, real[:90], 0))) == {0, 255}
        and len(np.unique(real[:90])) > 2
    )


@pytest.mark.parametrize("copies", [1, 3])
def test_that_no_copy_of_a_real_image_stands_in_both_halves(tmp_path: Path, copies: int, monkeypatch: pytest.MonkeyPatch):
    """Else real images would be nearer to each other than any model can come."""
    noise = np.random.default_rng(0).integers(0, 256, (150, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", np.repeat(noise, copies, axis=0))
    settings = {"network": "mlp", "width": 8, "latent": 4}
    list(train(Plan("vae", str(tmp_path / "images.npy"), settings, steps=1, name="run", device="cpu"), tmp_path / "runs"))
    taken: list[set[bytes]] = []

    def seen(method: object, pixels: np.ndarray, seed: int) -> np.ndarray:
        taken.append({image.tobytes() for image in pixels})
        return pixels

    monkeypatch.setattr("engine.evaluation.fid.as_modelled", seen)
    run = tmp_path / "runs" / "run"
    told = finish(fidelity(run, run, 100))
    test = len(open_data(str(tmp_path / "images.npy")).splits["test"])
    assert told["samples"] <= test // 2 and told["samples"] > test // 2 - copies
    assert len(taken) == 2 and taken[0] and taken[1] and not taken[0] & taken[1]


@pytest.mark.parametrize("likelihood", ["discretized_logistic", "bernoulli", "gaussian"])
def test_that_draws_of_p_x_given_z_have_the_means_that_sampling_shows(likelihood: str):
    model = build(VAE, vae.Config(latent=2, width=8, network="mlp", likelihood=likelihood), DataSpec((1, 8, 8)), 0).eval()
    model.init_from_data(torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        *_, mean = model.sample(3, generator=torch.Generator().manual_seed(0), temperature=0.0)
        *_, drawn = model.sample_observations(20_000, generator=torch.Generator().manual_seed(0), temperature=0.0)
    assert drawn.x.std(0).min() > 0.02 and drawn.x.min() >= 0 and drawn.x.max() <= 1
    slack = 0.02 if likelihood != "gaussian" else 0.15  # its tails are clipped, its shown mean is not
    torch.testing.assert_close(drawn.x.mean(0), mean.x[0], atol=slack, rtol=0)
    if likelihood == "bernoulli":
        assert set(drawn.x.unique().tolist()) == {0.0, 1.0}


def test_that_samples_and_means_are_told_apart_in_the_answer(runs: Path):
    told = [finish(fidelity(runs / "model", runs / "eye", 90, decode=decode)) for decode in ("mean", "sample")]
    assert (
        [one["decode"] for one in told] == ["mean", "sample"]
        and told[0]["fd"] != told[1]["fd"]
        and told[0]["fd_real"] == told[1]["fd_real"]
    )
    assert finish(fidelity(runs / "model", runs / "eye", 90)) == told[0], "means where nobody asks"
    with pytest.raises(CannotSample, match="not as"):
        finish(fidelity(runs / "model", runs / "eye", 90, decode="mode"))


def test_that_the_verbs_draw_means_or_samples_and_say_which(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    where = ["--runs", str(runs), "--json"]

    def say(*words: str) -> tuple[int, dict[str, Any]]:
        code = main([*words, *where])
        out = capsys.readouterr()
        return code, json.loads(out.out.splitlines()[-1]) if code == 0 else {"error": out.err}

    sheets = {}
    for decode in ("mean", "sample"):
        file = tmp_path / f"{decode}.png"
        code, told = say("sample", "model", "--n", "4", "--out", str(file), "--decode", decode)
        assert code == 0 and told["decode"] == decode and told["step_rule"]
        with Image.open(file) as image:
            sheets[decode] = np.asarray(image).astype(int)
            assert json.loads(image.text["priorama"])["decode"] == decode  # type: ignore[attr-defined]
        code, told = say("eval", "model", "--features", "eye", "--samples", "40", "--limit", "4", "--k", "2", "--decode", decode)
        assert code == 0 and told["decode"] == decode and told["samples"] == 40
    rough = {decode: np.abs(np.diff(sheet)).mean() for decode, sheet in sheets.items()}
    assert rough["sample"] > 1.2 * rough["mean"], "means are smoother"
    assert say("sample", "model", "--n", "4", "--out", str(tmp_path / "neither.png"))[1]["decode"] == "mean"
    assert say("eval", "model", "--decode", "mean")[0] == 2
    list(train(Plan("pixel_cnn", "digits", {"width": 4, "layers": 1}, steps=1, name="exact", device="cpu"), runs))
    code, told = say("sample", "exact", "--n", "1", "--out", str(tmp_path / "exact.png"), "--decode", "mean")
    assert code == 1 and "draws x itself" in told["error"] and not (tmp_path / "exact.png").exists()


def of_class(y: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Dark noise of the first class, bright noise of the second."""
    return rng.integers(120 * y, 120 * y + 60, (n, 8, 8), np.uint8)


def test_that_a_conditional_method_is_asked_for_the_classes_as_often_as_they_are_among_the_real_images(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A perfect sampler of p(x|y) is as near as real images are, where one image in ten is of the second class."""
    rng = np.random.default_rng(0)
    labels = (np.arange(1500) % 10 == 0).astype(np.int64)
    np.savez(tmp_path / "unbalanced.npz", images=np.concatenate([of_class(y, 1, rng) for y in labels]), labels=labels)
    settings = {"conditional": True, "width": 4, "layers": 1}
    list(train(Plan("pixel_cnn", str(tmp_path / "unbalanced.npz"), settings, steps=1, name="oracle", device="cpu"), tmp_path))
    told: list[int] = []

    def perfect(self, n, y=None, temperature=1.0, generator=None):
        classes = torch.randint(2, (n,), generator=generator) if y is None else y
        told.extend(classes.tolist())
        yield Frame(torch.from_numpy(np.stack([of_class(int(one), 1, rng) for one in classes])).float() / 255, 1, 1)

    monkeypatch.setattr(PixelCNN, "sample", perfect)
    values = finish(fidelity(tmp_path / "oracle", runs / "eye", 200))
    assert len(told) == values["samples"] > 50 and abs(np.mean(told) - 0.1) < 0.12, np.mean(told)
    assert values["fd"] < 3 * values["fd_real"], values


def test_that_what_captions_are_told_are_those_of_the_real_images():
    data = open_data("shapes:200")
    split = data.splits["train"]
    spec = spec_of(data, "characters", (), "caption")
    method = SimpleNamespace(conditional=False, condition="caption")
    model: Any = SimpleNamespace(method=method, spec=spec, generator=torch.Generator().manual_seed)
    places = np.array([7, 3, 11])
    told = conditions_like(split, places, model, 0)
    assert told is not None and told.shape[0] == 3
    known = encode_captions([split.names[place] for place in places], spec.words).tolist()
    assert all(row in known for row in told.tolist())
    model.method.condition = ""
    assert conditions_like(split, places, model, 0) is None
