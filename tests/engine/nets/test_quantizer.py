"""The codebook against slow loops, closed forms and k-means; and the networks to and from its grid."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.nets.init import initialize
from engine.nets.quantizer import GridDecoder, GridEncoder, Quantizer, code_grid, perplexity
from tests.kit.tensors import seeded


def quantizer(codes: int = 6, size: int = 3, **settings: float) -> Quantizer:
    made = Quantizer(codes, size, **settings)  # type: ignore[arg-type]
    initialize(made, seeded())
    return made.double()


def vectors(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, 3, generator=seeded(seed), dtype=torch.float64)


def test_that_every_vector_gets_the_code_that_a_slow_search_finds():
    q, z = quantizer(), vectors(4, 5, 2)
    found = q(z)
    assert found.codes.shape == (4, 5, 2)
    for place in [(b, i, j) for b in range(4) for i in range(5) for j in range(2)]:
        distances = [sum((float(a) - float(b)) ** 2 for a, b in zip(z[place], code, strict=True)) for code in q.codebook]
        assert int(found.codes[place]) == distances.index(min(distances))
        assert found.distance[place].item() == pytest.approx(min(distances), abs=1e-10)
        assert any(torch.allclose(found.vectors[place], code, atol=1e-12) for code in q.codebook)


def test_that_the_gradient_goes_straight_through():
    q, z = quantizer(), vectors(7).requires_grad_()
    weights = vectors(7, seed=5)
    out = q(z).vectors
    (out.square() * weights).sum().backward()
    assert z.grad is not None
    assert torch.allclose(z.grad, 2 * out.detach() * weights, atol=1e-12)  # dL/dz_e = dL/dz_q, although z_q is not z_e


def test_that_the_commitment_moves_the_encoder_and_not_the_codebook():
    q, z = quantizer(), vectors(7).requires_grad_()
    found = q(z)
    found.distance.sum().backward()
    assert z.grad is not None and torch.allclose(z.grad, 2 * (z - q.lookup(found.codes)).detach(), atol=1e-12)
    assert not q.codebook.requires_grad


def test_that_codes_are_found_again_from_their_vectors():
    q = quantizer(codes=40)
    ids = torch.randint(40, (5, 4, 4), generator=seeded())
    assert torch.equal(q.nearest(q.lookup(ids)), ids)


def test_that_without_memory_an_update_is_a_step_of_k_means():
    q, z = quantizer(decay=0.0), vectors(50)
    before = q.codebook.clone()
    codes = q.nearest(z)
    q.observe(z, codes)
    assert q.update(None)
    for k in range(6):
        mine = [row for row, code in zip(z, codes, strict=True) if int(code) == k]
        wanted = torch.stack(mine).mean(0) if mine else before[k]  # a code that nobody chose stays
        assert torch.allclose(q.codebook[k], wanted, atol=1e-4)  # 1e-4: Laplace smoothing of the shares
    assert len(set(codes.tolist())) > 1


def test_that_the_moving_averages_are_those_of_the_paper():
    q = quantizer(decay=0.9)
    uses, sums = q.uses.clone(), q.sums.clone()
    for step in range(4):
        z = vectors(30, seed=step)
        codes = q.nearest(z)
        q.observe(z, codes)
        q.update(None)
        for k in range(6):
            mine = [row for row, code in zip(z, codes, strict=True) if int(code) == k]
            uses[k] = 0.9 * uses[k] + 0.1 * len(mine)
            sums[k] = 0.9 * sums[k] + 0.1 * sum(mine, torch.zeros(3, dtype=torch.float64))
        assert torch.allclose(q.uses, uses, atol=1e-10) and torch.allclose(q.sums, sums, atol=1e-10)
        assert torch.allclose(q.codebook, sums / uses[:, None], atol=1e-4)


def test_that_a_batch_in_pieces_counts_as_one():
    whole, pieces, z = quantizer(), quantizer(), vectors(40)
    whole.observe(z, whole.nearest(z))
    for part in (z[:7], z[7:]):
        pieces.observe(part, pieces.nearest(part))
    assert whole.update(None) and pieces.update(None)
    assert torch.allclose(whole.codebook, pieces.codebook, atol=1e-12)
    assert not whole.update(None)  # nothing new was seen


def test_that_idle_codes_begin_anew_at_vectors_of_the_batch_drawn_with_the_generator():
    def after(seed: int) -> Quantizer:
        q = quantizer(decay=0.0, revive=0.05)
        with torch.no_grad():
            q.codebook[2:] += 1000  # nobody will choose these
        z = vectors(30)
        q.observe(z, q.nearest(z))
        q.update(seeded(seed))
        return q

    q, z = after(0), vectors(30)
    for code in q.codebook[2:]:
        assert any(torch.equal(code, row) for row in z)
    assert torch.allclose(q.uses[2:], torch.full((4,), 30 / 6, dtype=torch.float64))  # the even use: time to be found
    assert torch.equal(after(0).codebook, q.codebook)
    assert not torch.equal(after(1).codebook, q.codebook)
    assert torch.equal(after(1).codebook[:2], q.codebook[:2])


def test_that_the_codebook_can_begin_at_given_vectors_also_when_they_are_few():
    q, z = quantizer(), vectors(4)
    q.start_at(z)
    assert torch.equal(q.codebook[:4], z) and torch.equal(q.codebook[4:], z[:2])
    many = vectors(600)
    q.start_at(many)
    assert torch.equal(q.codebook, many[::100])


def test_that_perplexity_counts_equally_used_codes():
    assert perplexity(torch.arange(12).repeat(5), 12).item() == pytest.approx(12, rel=1e-5)
    assert perplexity(torch.full((40,), 3), 12).item() == pytest.approx(1, abs=1e-6)
    assert perplexity(torch.tensor([0, 0, 0, 1]), 12).item() == pytest.approx(
        math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)), rel=1e-5
    )


@pytest.mark.parametrize(
    ("shape", "grid"), [((1, 28, 28), (7, 7)), ((1, 8, 8), (4, 4)), ((3, 32, 32), (8, 8)), ((3, 64, 64), (8, 8)), ((3, 13, 21), (5, 7))]
)
def test_that_grids_are_small_and_images_come_back_in_their_size(shape: tuple[int, ...], grid: tuple[int, int]):
    assert code_grid(shape)[1] == grid
    encoder, decoder = GridEncoder(shape, 3, 8, 1), GridDecoder(shape, 2, 3, 8, 1)
    initialize(encoder, seeded())
    initialize(decoder, seeded())
    z = encoder(torch.rand(2, *shape, generator=seeded()))
    assert z.shape == (2, *grid, 3)
    assert decoder(z).shape == (2, 2, *shape[1:])


def test_that_sizes_it_cannot_take_are_refused():
    with pytest.raises(ValueError, match="8×8 to 128×128"):
        code_grid((1, 7, 28))
