"""Straight lines and arcs, against geometry."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from engine.common.interpolation import lerp, slerp


def test_slerp_turns_at_constant_speed_and_its_length_goes_evenly():
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    t = np.linspace(0, 1, 9)
    path = slerp(a, b, t)
    angles = [math.acos(float(p @ q / (np.linalg.norm(p) * np.linalg.norm(q)))) for p, q in itertools.pairwise(path)]
    assert angles == pytest.approx([angles[0]] * 8)
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    assert np.linalg.norm(path, axis=1) == pytest.approx(length_a + (length_b - length_a) * t)
    assert lerp(a, b, t)[4] == pytest.approx((a + b) / 2)


@pytest.mark.parametrize("b", [[0.0, 0.0], [2.0, 0.0], [-1.0, 0.0]], ids=["zero", "same direction", "opposite"])
def test_slerp_without_an_arc_is_the_straight_line(b):
    a, b = np.array([1.0, 0.0], np.float32), np.array(b, np.float32)
    t = np.linspace(0, 1, 5)
    assert slerp(a, b, t) == pytest.approx(lerp(a, b, t), abs=1e-6)


def test_that_ways_have_the_precision_of_their_ends():
    a, b = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert lerp(a, b, np.linspace(0, 1, 4)).dtype == slerp(a, b, np.linspace(0, 1, 4)).dtype == np.float32
