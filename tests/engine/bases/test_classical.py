"""k-means and PCA against plain loops and scikit-learn's own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from engine.bases.classical import agreement
from engine.config import BadSetting, make_config
from engine.method import DataSpec, Method, StepContext, build
from engine.methods import method_named
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan
from tests.kit.tensors import seeded

SHAPE = (1, 6, 5)


def make(name: str, **settings) -> Method:
    kind = method_named(name)
    return build(kind, make_config(kind.Config, settings), DataSpec(SHAPE, ("a", "b", "c")), 0)


def images(count: int, seed: int = 1) -> torch.Tensor:
    """Three blobs of grey pictures."""
    centres = torch.rand(3, *SHAPE, generator=seeded(seed))
    return (centres[torch.arange(count) % 3] + 0.15 * torch.randn(count, *SHAPE, generator=seeded(seed + 1))).clamp(0, 1)


def test_that_the_inertia_never_rises_and_ends_where_scikit_learn_does_from_the_same_start():
    method, x = make("kmeans", clusters=5), images(90)
    inertias = [method.fit_step(x, None, StepContext(generator=seeded()))["inertia"].item()]
    first = make("kmeans", clusters=5)
    first.reset(seeded())
    from sklearn.cluster import kmeans_plusplus

    seed = int(torch.randint(2**31 - 1, (), generator=seeded()))
    start = kmeans_plusplus(x.flatten(1).numpy(), 5, random_state=seed)[0]
    while not method.finished:
        inertias.append(method.fit_step(x, None, StepContext(generator=seeded()))["inertia"].item())
        assert len(inertias) < 60
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(inertias))
    whole = KMeans(5, init=start, n_init=1, algorithm="lloyd", tol=0).fit(x.flatten(1).numpy())
    assert method.loss(x, None, StepContext())["inertia"].item() == pytest.approx(whole.inertia_ / len(x), rel=1e-4)
    assert np.allclose(method.centroids.numpy(), whole.cluster_centers_, atol=1e-3)


def test_that_distances_and_centroids_are_what_a_loop_finds():
    method, x = make("kmeans", clusters=4), images(30)
    method.fit_step(x, None, StepContext(generator=seeded()))
    distances = method.encode(x)
    for i in range(5):
        for k in range(4):
            slow = (x[i].flatten().double() - method.centroids[k].double()).square().sum().sqrt()
            assert distances[i, k].item() == pytest.approx(slow.item(), abs=1e-4)
    nearest = distances.argmin(1)
    assert torch.equal(method.decode(distances), method.centroids[nearest].clamp(0, 1).view(30, *SHAPE))


def test_that_agreement_is_one_for_the_same_division_under_other_names_and_low_for_another():
    labels = torch.arange(60) % 3
    assert agreement((labels + 1) % 3, labels) == pytest.approx((1.0, 1.0))
    information, accuracy = agreement(torch.arange(60) // 30, labels)
    assert information < 0.05
    assert accuracy == pytest.approx(20 / 60)


@pytest.mark.parametrize("count", [80, 20])
def test_that_components_are_scikit_learns_up_to_their_sign_and_orthonormal(count: int):
    method, x = make("pca", components=6), images(count)
    told = method.fit_step(x, None, StepContext(generator=seeded()))
    own = PCA(6, svd_solver="full").fit(x.flatten(1).double().numpy())
    likeness = np.abs((method.components.double().numpy() * own.components_).sum(1))
    assert np.allclose(likeness, 1, atol=1e-4)
    assert torch.allclose(method.components @ method.components.T, torch.eye(6), atol=1e-5)
    assert np.allclose(method.variance.numpy(), own.explained_variance_, rtol=1e-4)
    every = np.linalg.eigvalsh(np.cov(x.flatten(1).double().numpy().T))[::-1]
    left = told["loss"].item() * count / (count - 1)
    assert left == pytest.approx(every[6:].sum(), rel=1e-4), "the error is the sum of the eigenvalues left out"


def test_that_a_large_image_is_fitted_too_and_no_linear_code_is_better():
    kind = method_named("pca")
    method = build(kind, make_config(kind.Config, {"components": 3}), DataSpec((3, 20, 20)), 0)
    basis = torch.linalg.qr(torch.randn(1200, 3, generator=seeded()))[0].T
    x = (0.5 + (torch.randn(60, 3, generator=seeded(1)) * torch.tensor([3.0, 2.0, 1.0])) @ basis / 10).view(60, 3, 20, 20)
    assert method.fit_step(x, None, StepContext(generator=seeded()))["error"].item() < 1e-6
    assert torch.allclose((method.components @ basis.T).abs(), torch.eye(3), atol=0.4)


def test_that_fewer_images_than_components_or_clusters_are_no_trouble():
    for name, settings in (("pca", {"components": 20}), ("kmeans", {"clusters": 20})):
        method, x = make(name, **settings), images(7)
        terms = method.fit_step(x, None, StepContext(generator=seeded()))
        assert all(value.isfinite() for value in terms.values())
        assert method.encode(x).isfinite().all()
        assert method.decode(method.encode(x)).isfinite().all()


def test_that_nothing_about_an_optimizer_can_be_set():
    with pytest.raises(BadSetting, match="clusters"):
        make_config(method_named("kmeans").Config, {"learning_rate": 0.1})


@pytest.mark.parametrize("name", ["pca", "kmeans"])
def test_that_a_training_ends_by_itself_and_a_stopped_one_goes_on_as_if_it_had_not_been(name: str, tmp_path):
    def finish(events):
        while True:
            try:
                next(events)
            except StopIteration as end:
                return end.value

    whole = finish(train(Plan(name, "digits", name="whole"), tmp_path))
    assert whole.status == "done" and 1 <= whole.step < 200
    first = finish(train(Plan(name, "digits", name="half", steps=1), tmp_path))
    assert first.step == 1
    second = finish(train(ResumePlan(tmp_path / "half", steps=4000), tmp_path))
    from engine.storage.run_reader import Run

    a, b = (Run.open(tmp_path / n).load()[1] for n in ("whole", "half"))
    assert second.step == whole.step
    assert all(np.array_equal(a[key], b[key]) for key in a)
