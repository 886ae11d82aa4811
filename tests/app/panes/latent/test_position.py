"""A position in a latent space: points between A and B, which end an image becomes; axes in sigma. Numbers only."""

from __future__ import annotations

import numpy as np
import pytest

from app.panes.latent.axes import LatentAxes
from app.panes.latent.position import LatentPosition, interpolate


def test_that_slerp_keeps_the_length_on_the_unit_sphere_and_ends_at_both_ends() -> None:
    rng = np.random.default_rng(1)
    a, b = (x / np.linalg.norm(x) for x in rng.standard_normal((2, 7)))
    for t in np.linspace(0, 1, 11):
        assert np.linalg.norm(interpolate(a, b, float(t), "slerp")) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(interpolate(a, b, 0.0, "slerp"), a, atol=1e-6)
    np.testing.assert_allclose(interpolate(a, b, 1.0, "slerp"), b, atol=1e-6)
    angle = np.arccos(a @ b)
    third = interpolate(a, b, 1 / 3, "slerp")
    assert np.arccos(np.clip(third @ a, -1, 1)) == pytest.approx(angle / 3, abs=1e-5)
    np.testing.assert_allclose(interpolate(a, a, 0.5, "slerp"), a, atol=1e-6)
    assert not interpolate(np.zeros(3), np.zeros(3), 0.5, "slerp").any()


def test_that_images_become_a_then_b_then_the_nearer_end() -> None:
    z = np.arange(3, dtype=np.float32)
    first = LatentPosition(z=z).with_image(z + 1, "one")
    assert (first.a_name, first.b_name, first.t) == ("one", "", 0.0)
    second = first.with_image(z + 2, "two")
    assert (second.a_name, second.b_name, second.t) == ("one", "two", 1.0)
    assert second.interpolated(0.4, "lerp").with_image(z + 3, "three").a_name == "three"
    assert second.interpolated(0.6, "lerp").with_image(z + 3, "three").b_name == "three"


def test_that_a_coordinate_in_sigma_is_counted_from_the_centre() -> None:
    scale, centre = np.array([1.0, 2.0, 0.5], np.float32), np.array([0.0, 1.0, -1.0], np.float32)
    axes = LatentAxes((1, 0, 2), None, scale, centre)
    z = axes.with_sigmas(np.zeros(3, np.float32), 1, 1.5)
    assert z.tolist() == [0.0, 4.0, 0.0]
    assert axes.sigmas(z, 1) == pytest.approx(1.5)
    np.testing.assert_array_equal(axes.middle(), centre)
    assert [axes.label(rank) for rank in range(3)] == ["z01", "z02", "z03"] and axes.labels() == {1: "z01", 0: "z02", 2: "z03"}
