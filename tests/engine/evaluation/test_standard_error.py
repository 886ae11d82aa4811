"""Standard errors beside figures, against simulation."""

from __future__ import annotations

import numpy as np

from engine.common.intervals import standard_error


def test_that_it_is_the_spread_of_means_over_many_draws() -> None:
    generator = np.random.default_rng(0)
    draws = generator.gamma(2.0, 3.0, (2000, 400))
    assert np.isclose(np.mean([standard_error(draw) for draw in draws]), draws.mean(1).std(), rtol=0.06)


def test_that_of_a_share_it_is_binomial() -> None:
    assert np.isclose(standard_error(np.array([1.0] * 30 + [0.0] * 70)), (0.3 * 0.7 / 100) ** 0.5)


def test_that_images_of_one_group_count_as_one_piece_of_evidence() -> None:
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 25)
    draws = [np.repeat(generator.normal(size=40), 25) + 0.1 * generator.normal(size=1000) for _ in range(1000)]
    told = np.mean([standard_error(draw, groups) for draw in draws])
    assert np.isclose(told, np.std([draw.mean() for draw in draws]), rtol=0.08)
    assert told > 4 * np.mean([standard_error(draw) for draw in draws])
