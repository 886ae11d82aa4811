"""Contrastive losses against closed forms and plain loops, queues and banks against lists."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from engine.config import make_config
from engine.losses.contrastive import follow, info_nce, nt_xent
from engine.method import DataSpec, Method, StepContext, build
from engine.methods import method_named
from tests.kit.tensors import seeded

SHAPE = (3, 8, 8)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def make(name: str, **settings) -> Method:
    kind = method_named(name)
    config = make_config(kind.Config, {"width": 8, "projection": 16, **settings})
    method = build(kind, config, DataSpec(SHAPE), 0)
    method.on_train_start(64, seeded(5))
    return method.train()


def images(count: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=seeded(seed))


def dense(z: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent as cross-entropy of the whole similarity matrix with its diagonal struck out."""
    n = len(z)
    u = F.normalize(torch.cat([z[:, 0], z[:, 1]]), dim=1)
    similar = (u @ u.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -math.inf)
    return F.cross_entropy(similar, (torch.arange(2 * n) + n) % (2 * n))


# ---------------------------------------------------------------------------------------------------------------------
# NT-Xent
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "loss"), [(4, 1.945910149), (256, 6.236369590)])
def test_that_equal_features_give_the_logarithm_of_all_others(n: int, loss: float):
    z = torch.ones(n, 2, 5, dtype=torch.float64)
    assert nt_xent(z, 0.5)[0].item() == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize(("n", "temperature", "loss"), [(4, 0.5, 0.594437664), (256, 0.5, 4.248795118), (256, 0.1, 0.022889978)])
def test_that_perfect_pairs_among_orthogonal_ones_have_the_loss_of_the_closed_form(n: int, temperature: float, loss: float):
    z = torch.eye(n, dtype=torch.float64)[:, None].expand(-1, 2, -1)
    assert nt_xent(z, temperature)[0].item() == pytest.approx(loss, abs=1e-9)


def test_that_views_that_are_all_orthogonal_have_the_logarithm_of_all_others():
    z = torch.eye(12, dtype=torch.float64).unflatten(0, (2, 6)).transpose(0, 1)
    assert nt_xent(z, 0.3)[0].item() == pytest.approx(math.log(11), abs=1e-12)


def test_that_one_pair_alone_has_no_loss():
    assert nt_xent(random(1, 2, 4), 0.1)[0].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
def test_that_chunks_of_any_size_have_the_loss_and_the_gradient_of_the_dense_version(chunk: int):
    z = random(7, 2, 5).requires_grad_()
    again = z.detach().clone().requires_grad_()
    loss, found = nt_xent(z, 0.2, chunk)
    loss.backward()
    other = dense(again, 0.2)
    other.backward()
    assert loss.item() == pytest.approx(other.item(), abs=1e-12)
    assert z.grad is not None and again.grad is not None
    assert torch.allclose(z.grad, again.grad, atol=1e-12, rtol=0)
    u = F.normalize(torch.cat([again[:, 0], again[:, 1]]), dim=1)
    similar = (u @ u.T).fill_diagonal_(-2)
    assert found.item() == pytest.approx((similar.argmax(1) == (torch.arange(14) + 7) % 14).double().mean().item())


def test_that_views_pairs_lengths_and_rotations_do_not_matter_and_the_gradient_is_across():
    z = random(6, 2, 5).requires_grad_()
    loss = nt_xent(z, 0.4)[0]
    turn = torch.linalg.qr(random(5, 5, seed=9))[0]
    lengths = torch.rand(6, 2, 1, generator=seeded(4), dtype=torch.float64) + 0.5
    for same in (z.flip(1), z[torch.randperm(6, generator=seeded())], z * lengths, z @ turn):
        assert nt_xent(same, 0.4)[0].item() == pytest.approx(loss.item(), abs=1e-12)
    loss.backward()
    assert z.grad is not None
    assert (z.grad * z).sum(2).abs().max() < 1e-12


def test_that_single_precision_is_near_double_with_many_views():
    z = random(600, 2, 16)
    assert nt_xent(z.float(), 0.1)[0].item() == pytest.approx(dense(z, 0.1).item(), abs=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# InfoNCE, queue, bank, momentum
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "temperature", "loss"), [(4096, 0.1, 0.170550981), (65536, 0.07, 0.040135491)])
def test_that_a_perfect_key_among_orthogonal_negatives_has_the_loss_of_the_closed_form(k: int, temperature: float, loss: float):
    query = torch.eye(1, 4, dtype=torch.float64)
    negatives = torch.eye(4, dtype=torch.float64)[1:2].expand(k, -1)
    assert info_nce(query, query, negatives, temperature)[0].item() == pytest.approx(loss, abs=1e-8)
    same = info_nce(query, query, query.expand(k, -1), temperature)[0].item()
    assert same == pytest.approx(math.log(k + 1), abs=1e-9)


def test_that_negatives_of_ones_own_are_those_of_all_where_they_are_equal():
    query, key, others = (F.normalize(random(n, 6, seed=seed), dim=1) for seed, n in enumerate((3, 3, 10)))
    together = info_nce(query, key, others, 0.3)[0]
    each = info_nce(query, key, others.expand(3, -1, -1), 0.3)[0]
    assert together.item() == pytest.approx(each.item(), abs=1e-12)
    slow = 0.0
    for q, k in zip(query, key, strict=True):
        up = math.exp(float(q @ k) / 0.3)
        slow -= math.log(up / (up + sum(math.exp(float(q @ o) / 0.3) for o in others))) / 3
    assert together.item() == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize(("momentum", "steps", "left"), [(0.99, 100, 0.366032341), (0.996, 1000, 0.018169310)])
def test_that_a_follower_nears_a_resting_leader_by_a_power_of_its_momentum(momentum: float, steps: int, left: float):
    leader, follower = (torch.nn.Linear(1, 1, bias=False).double() for _ in range(2))
    leader.weight.data.fill_(2.0)
    follower.weight.data.fill_(3.0)
    for _ in range(steps):
        follow(leader, follower, momentum)
    assert follower.weight.item() == pytest.approx(2 + left, abs=1e-8)


def test_that_momentum_one_freezes_and_momentum_zero_copies():
    leader, follower = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    before = follower.weight.clone()
    follow(leader, follower, 1.0)
    assert torch.equal(follower.weight, before)
    follow(leader, follower, 0.0)
    assert torch.equal(follower.weight, leader.weight)


def test_that_the_queue_holds_the_newest_keys_in_the_order_in_which_they_came():
    method = make("moco", queue=10)
    kept: list[torch.Tensor] = []
    for step in range(7):
        keys = F.normalize(torch.randn(4, 16, generator=seeded(step)), dim=1)
        method._keys = [keys]
        method.after_step(StepContext(step))
        kept += list(keys)
        pointer = (step + 1) * 4 % 10
        assert method.pointer.item() == pointer
        places = [(pointer - 1 - i) % 10 for i in range(min(10, len(kept)))]
        assert torch.equal(method.queue[places], torch.stack(kept[::-1][: len(places)]))


def test_that_a_batch_larger_than_the_queue_leaves_its_last_keys():
    method = make("moco", queue=3)
    keys = F.normalize(torch.randn(8, 16, generator=seeded()), dim=1)
    method._keys = [keys]
    method.after_step(StepContext())
    assert {tuple(row) for row in method.queue.tolist()} == {tuple(row) for row in keys[-3:].tolist()}


def test_that_a_step_is_told_apart_from_keys_before_it_only_and_the_queue_learns_nothing():
    method = make("moco", queue=8)
    before = method.queue.clone()
    method.loss(images(4), None, StepContext(generator=seeded()))["loss"].backward()
    assert torch.equal(method.queue, before), "the loss came before the keys joined"
    assert not method.queue.requires_grad
    assert all(p.grad is None for p in [*method.key_network.parameters(), *method.key_head.parameters()])
    method.after_step(StepContext())
    assert not torch.equal(method.queue, before)
    assert torch.allclose(method.queue.norm(dim=1), torch.ones(8), atol=1e-6)


def test_that_held_out_images_leave_queue_and_bank_as_they_are():
    for name in ("moco", "memory_bank"):
        method = make(name).eval()
        before = {key: value.clone() for key, value in method.named_buffers()}
        method.loss(images(4), None, StepContext(generator=seeded()))
        method.after_step(StepContext())
        assert all(torch.equal(value, before[key]) for key, value in method.named_buffers()), name


def test_that_the_first_loss_is_near_the_logarithm_of_the_number_of_keys():
    """A random queue: all similarities are near zero, except that of the key to an equal network."""
    method = make("moco", queue=2048, temperature=10.0)
    loss = method.loss(images(16), None, StepContext(generator=seeded()))["loss"].item()
    assert loss == pytest.approx(math.log(2049), abs=0.11)  # cosines of at most 1, divided by 10


def test_that_ages_of_keys_count_steps_and_tell_those_that_never_came():
    method = make("moco", queue=10, batch_size=4)
    for step in range(2):
        method._keys = [F.normalize(torch.randn(4, 16, generator=seeded(step)), dim=1)]
        method.after_step(StepContext(step))
    assert method.queue_ages(2).tolist() == [1, 1, 1, 1, 0, 0, 0, 0, -1, -1]


def test_that_a_slot_moves_towards_what_was_seen_and_others_stay():
    method = make("memory_bank", momentum=0.25)
    before = method.bank.clone()
    x, places = images(3), torch.tensor([5, 9, 2])
    method.loss(x, None, StepContext(generator=seeded(7), indices=places))
    seen = method._seen[0][1].double()
    method.after_step(StepContext())
    for row, place in enumerate(places.tolist()):
        moved = 0.25 * before[place].double() + 0.75 * seen[row]
        assert torch.allclose(method.bank[place].double(), moved / moved.norm(), atol=1e-6)
    others = [i for i in range(64) if i not in places]
    assert torch.equal(method.bank[others], before[others])


@pytest.mark.parametrize("negatives", [0, 7])
def test_that_the_loss_of_the_bank_is_a_softmax_over_slots_in_which_ones_own_counts_once(negatives: int):
    method = make("memory_bank", negatives=negatives, temperature=0.5).double()
    method.bank = method.bank.double()
    x, places = images(3).double(), torch.tensor([5, 9, 2])
    loss = method.loss(x, None, StepContext(generator=seeded(7), indices=places))["loss"].item()
    seen = method._seen[0][1]
    generator = seeded(7)
    method.views(x, generator)  # draws what the loss drew
    numbers = torch.randint(64, (7,), generator=generator).tolist() if negatives else range(64)
    slow = 0.0
    for row, place in enumerate(places.tolist()):
        own = math.exp(float(seen[row] @ method.bank[place]) / 0.5)
        others = sum(math.exp(float(seen[row] @ method.bank[j]) / 0.5) for j in numbers if j != place)
        slow -= math.log(own / (own + others)) / 3
    assert loss == pytest.approx(slow, abs=1e-9)


def test_that_partners_in_one_split_share_no_statistics_with_other_splits():
    """An image's normalization in split batch norm depends on its own eighth only: every eighth image of 16."""
    from engine.nets.resnet import SplitBatchNorm

    norm = SplitBatchNorm(3).train()
    x = torch.randn(16, 3, 4, 4, generator=seeded())
    with torch.no_grad():
        whole = norm(x)
        x[[place for place in range(16) if place % 8 not in (1, 2)]] += 100
        assert torch.equal(norm(x)[[1, 2, 9, 10]], whole[[1, 2, 9, 10]])
        plain = torch.nn.BatchNorm2d(3).train()
        assert torch.allclose(whole[[2, 10]], plain(x[[2, 10]]), atol=1e-5)


def test_that_eval_mode_of_split_batch_norm_is_plain_batch_norm():
    from engine.nets.resnet import SplitBatchNorm

    split, plain = SplitBatchNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(64, 3, 2, 2, generator=seeded()) * 2 + 1
    split.train()(x)
    plain.load_state_dict(split.state_dict())
    assert torch.equal(split.eval()(x), plain.eval()(x))
    mean, var = x.unflatten(0, (8, 8)).mean((0, 3, 4)).mean(0), x.unflatten(0, (8, 8)).var((0, 3, 4)).mean(0)
    assert torch.allclose(split.running_mean, 0.1 * mean, atol=1e-6)
    assert torch.allclose(split.running_var, 0.9 + 0.1 * var, atol=1e-5)


def test_that_keys_share_statistics_with_other_images_than_their_queries_do(monkeypatch):
    """The momentum encoder sees a training batch in another order, and its keys come back in the batch's own; held-out ones as they are."""
    method = make("moco", batch_size=64)
    x = images(64)
    seen = []
    second = method.views(x, seeded(5))[1].x
    monkeypatch.setattr(method.key_network, "forward", lambda x: seen.append(x) or x.mean((1, 2, 3))[:, None])
    method.train()
    keys = method._shuffled(second, seeded(5))
    assert torch.equal(keys[:, 0], second.mean((1, 2, 3)))
    places = [next(i for i in range(64) if torch.equal(second[i], image)) for image in seen[0]]
    assert sorted(places) == list(range(64))
    together = [{place for seat, place in enumerate(places) if seat % 8 == part} for part in range(8)]
    assert max(len({place for place in group if place % 8 == part}) for group in together for part in range(8)) < 6
    method.eval()
    method._shuffled(second, seeded(5))
    assert torch.equal(seen[1], second)


@pytest.mark.parametrize("temperature", [0.2, 0.07, 0.01])
def test_that_a_partner_is_found_in_single_precision_too(temperature: float):
    """Rounding of a cosine divided by a small temperature must not make a partner seem less similar than itself."""
    images = F.normalize(torch.randn(64, 1, 128, generator=seeded()), dim=2)
    z = images + 0.01 * torch.randn(64, 2, 128, generator=seeded(1))
    assert nt_xent(z, temperature)[1].item() == 1.0
