"""Autoregressive sampling, symbol by symbol, of a chain whose probabilities are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from engine.bases.autoregressive import choose
from engine.queries.autoregressive_sampling import CannotSample, draw_symbols, filtered, noise_of
from tests.kit.symbol_chain import Chain, N, V, final, slow_filter

# -- one symbol ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 3, 40])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.5, 0.01])
def test_that_the_filtered_distribution_is_its_definition(temperature, top_k, top_p):
    logits = torch.randn(6, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2
    logits[5, 3] = logits[5, 4]  # equally likely ones
    log_p = torch.log_softmax(logits, -1)
    found = filtered(log_p, temperature, top_k, top_p)
    expected = [slow_filter(row.tolist(), temperature, top_k, top_p) for row in log_p]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_that_temperature_zero_leaves_the_most_likely_symbol_alone():
    log_p = torch.log_softmax(torch.randn(50, 9, generator=torch.Generator().manual_seed(2)), -1)
    for temperature in (0.0, 1e-6):
        assert torch.equal(filtered(log_p, temperature), torch.nn.functional.one_hot(log_p.argmax(-1), 9).double())
    assert (filtered(log_p, 0.01).argmax(-1) == log_p.argmax(-1)).all()


def test_that_symbols_are_drawn_as_often_as_their_probability_says():
    p = torch.tensor([[0.05, 0.0, 0.4, 0.25, 0.3, 0.0]], dtype=torch.float64)
    n = 40_000
    noise = torch.rand(n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    counts = torch.bincount(choose(p.expand(n, 6), noise), minlength=6).numpy()
    assert counts[1] == counts[5] == 0
    possible = p[0].numpy() > 0
    assert chisquare(counts[possible], n * p[0].numpy()[possible]).pvalue > 1e-3


def test_that_the_edges_of_the_noise_never_draw_what_is_impossible():
    p = torch.tensor([[0.0, 0.1, 0.2, 0.7 - 1e-17, 0.0]], dtype=torch.float64).expand(3, 5) * 0.9999999
    noise = torch.tensor([0.0, 0.1, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert choose(p, noise).tolist() == [1, 2, 3]
    assert choose(torch.full((1, 4), math.nan), torch.tensor([0.5])).tolist() == [3]  # an answer, and not a place outside
    drawn = torch.rand(20_000, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn[:, 5:] = 0  # whatever the sum is, the greatest noise there is stays before the two impossible ones
    assert (choose(drawn, torch.full((20_000,), np.nextafter(1.0, 0.0), dtype=torch.float64)) <= 4).all()


# -- a whole sample ------------------------------------------------------------------------------------------------------


def test_that_every_symbol_is_the_inverse_distribution_function_at_its_own_noise():
    chain, noise = Chain(), noise_of(4, (0, 1, 2), N)
    found = final(chain, 3, noise)
    for row in range(3):
        last = None
        for place in range(N):
            p = (chain.first[0] if last is None else chain.table[0, last]).numpy()
            last = int(found.tokens[row, place])
            edges = np.cumsum(p)
            assert edges[last] - p[last] <= noise[row, place] + 1e-6 and noise[row, place] <= edges[last] + 1e-6
            assert float(found.log_p[row, place]) == pytest.approx(math.log(p[last]), abs=1e-5)


def test_that_pairs_of_symbols_follow_the_chain():
    chain, n = Chain(), 4000
    noise = torch.rand(n, N, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    tokens = final(chain, n, noise).tokens.numpy()
    for before in range(V):
        after = tokens[:, 1:][tokens[:, :-1] == before]
        expected = chain.table[0, before].numpy()
        assert chisquare(np.bincount(after, minlength=V), len(after) * expected / expected.sum()).pvalue > 1e-4


def test_that_the_same_noise_gives_the_same_sample_whoever_stands_beside_it():
    chain = Chain()
    alone = final(chain, 1, noise_of(9, (2,), N)).tokens
    among = final(chain, 4, noise_of(9, (0, 1, 2, 3), N)).tokens
    assert torch.equal(alone[0], among[2])
    assert torch.equal(final(chain, 4, noise_of(9, (0, 1, 2, 3), N)).tokens, among)
    assert not torch.equal(final(chain, 4, noise_of(10, (0, 1, 2, 3), N)).tokens, among)


def test_that_cold_samples_and_top_one_are_greedy():
    chain = Chain()
    greedy = [int(chain.first[0].argmax())]
    while len(greedy) < N:
        greedy.append(int(chain.table[0, greedy[-1]].argmax()))
    noise = noise_of(0, (0, 1), N)
    for settings in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-9}):
        assert final(chain, 2, noise, **settings).tokens.tolist() == [greedy, greedy]


def test_that_a_little_warmer_is_a_little_different():
    chain, noise = Chain(), noise_of(1, tuple(range(40)), N)
    base, near, far = (final(chain, 40, noise, temperature=t).tokens for t in (1.0, 1.02, 3.0))
    assert (base != near).float().mean() < 0.15 < (base != far).float().mean()


def test_that_regrowing_keeps_the_prefix_and_is_the_growth_with_that_symbol_forced():
    chain, noise, place = Chain(), noise_of(6, (0,), N), 5
    base = final(chain, 1, noise).tokens
    other = (int(base[0, place]) + 1) % V
    fixed = torch.full((1, N), -1)
    fixed[:, :place] = base[:, :place]
    fixed[:, place] = other
    regrown = final(chain, 1, noise, fixed=fixed, start=place + 1)
    only = torch.full((1, N), -1)
    only[:, place] = other
    forced = final(chain, 1, noise, fixed=only)
    assert torch.equal(regrown.tokens[:, :place], base[:, :place]) and int(regrown.tokens[0, place]) == other
    assert torch.equal(regrown.tokens, forced.tokens)
    torch.testing.assert_close(regrown.log_p, forced.log_p)
    assert not torch.equal(regrown.tokens[:, place + 1 :], base[:, place + 1 :])


def test_that_given_symbols_stay_and_only_what_follows_knows_them():
    chain, noise = Chain(), noise_of(2, (0, 1), N)
    base = final(chain, 2, noise).tokens
    fixed = torch.full((2, N), -1)
    others = [(int(base[0, 7]) + 1) % V, (int(base[1, 9]) + 1) % V]
    fixed[0, 7], fixed[1, 9] = others[0], others[1]
    found = final(chain, 2, noise, fixed=fixed)
    assert [int(found.tokens[0, 7]), int(found.tokens[1, 9])] == others
    assert torch.equal(found.tokens[0, :7], base[0, :7]) and torch.equal(found.tokens[1, :9], base[1, :9])
    torch.testing.assert_close(found.log_p, chain.log_probs(found.tokens))


def test_that_a_growth_says_after_every_symbol_how_far_it_is():
    places = [
        (g.place, int((g.tokens >= 0).sum()), int(g.log_p.isfinite().sum())) for g in draw_symbols(Chain(), 2, noise_of(0, (0, 1), N))
    ]
    assert places == [(place, 2 * place, 2 * place) for place in range(N + 1)]


def test_that_stopping_half_way_leaves_a_part_and_the_model_unharmed():
    chain, noise = Chain(), noise_of(3, (0,), N)
    whole = final(chain, 1, noise).tokens
    tables = chain.first.clone(), chain.table.clone()
    half = draw_symbols(chain, 1, noise)
    for _ in range(6):
        part = next(half)
    half.close()  # type: ignore[attr-defined]
    assert part.place == 5
    assert torch.equal(part.tokens[:, :5], whole[:, :5]) and (part.tokens[:, 5:] == -1).all()
    assert torch.equal(chain.first, tables[0]) and torch.equal(chain.table, tables[1])
    assert torch.equal(final(chain, 1, noise).tokens, whole)
    rest = torch.where(part.tokens >= 0, part.tokens, -1)
    assert torch.equal(final(chain, 1, noise, fixed=rest, start=5).tokens, whole)


def test_that_what_does_not_fit_is_said():
    noise = noise_of(0, (0,), N)
    with pytest.raises(CannotSample, match="below 5"):
        final(Chain(), 1, noise, fixed=torch.full((1, N), V))
    with pytest.raises(CannotSample, match="missing before"):
        final(Chain(), 1, noise, start=3)
    with pytest.raises(CannotSample, match="at most 12"):
        final(Chain(), 1, noise_of(0, (0,), N + 1))
