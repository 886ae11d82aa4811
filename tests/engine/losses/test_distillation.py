"""The formulas of self-distillation against closed forms and plain loops, and its diagnosis on collapses that are made on purpose."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.losses.distillation import (
    Answers,
    along_cosine,
    answers_of,
    centred,
    diagnose,
    dino,
    entropy,
    hidden_patches,
    koleo,
    masked_patches,
    moved,
    numbers_of,
    recognized,
    sinkhorn_knopp,
    warmed,
)
from tests.kit.tensors import seeded


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def softmax(logits: list[float], temperature: float) -> list[float]:
    most = max(logits)
    powers = [math.exp((v - most) / temperature) for v in logits]
    return [p / sum(powers) for p in powers]


def slow_dino(teacher: Tensor, student: Tensor, centre: Tensor, hot: float, cold: float) -> tuple[float, int]:
    """Algorithm 1 of the paper with several crops: (loss, number of terms), one number after the other."""
    total, terms = 0.0, 0
    for t in range(len(teacher)):
        for s in range(len(student)):
            if s == t:
                continue
            over_images = 0.0
            for b in range(teacher.shape[1]):
                said = softmax((teacher[t, b] - centre).tolist(), cold)
                own = softmax(student[s, b].tolist(), hot)
                over_images -= sum(q * math.log(p) for q, p in zip(said, own, strict=True))
            total += over_images / teacher.shape[1]
            terms += 1
    return total / terms, terms


# ---------------------------------------------------------------------------------------------------------------------
# DINO
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crops", [2, 3, 10])
def test_that_the_loss_is_the_mean_over_all_pairs_of_different_crops(crops: int):
    teacher, student, centre = random(2, 3, 7), random(crops, 3, 7, seed=1), random(7, seed=2)
    loss, terms = slow_dino(teacher, student, centre, 0.1, 0.4)
    assert terms == 2 * crops - 2
    assert dino(centred(teacher, centre, 0.4), student, 0.1).item() == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize(("prototypes", "loss"), [(65536, 11.090354889), (4096, 8.317766167)])
def test_that_constant_answers_cost_the_logarithm_of_the_prototypes(prototypes: int, loss: float):
    q = centred(torch.full((2, 3, prototypes), 1.3, dtype=torch.float64), torch.zeros(prototypes, dtype=torch.float64), 0.04)
    assert dino(q, torch.full((4, 3, prototypes), -2.0, dtype=torch.float64), 0.1).item() == pytest.approx(loss, abs=1e-9)
    assert entropy(q).item() == pytest.approx(loss, abs=1e-9)


def test_that_a_student_who_says_the_same_pays_the_teachers_entropy_and_any_other_pays_more():
    same = random(1, 5, 9).expand(2, -1, -1)
    q = centred(same, torch.zeros(9, dtype=torch.float64), 0.3)
    assert dino(q, same, 0.3).item() == pytest.approx(entropy(q).item(), rel=1e-12)
    for seed in range(5):
        other = random(4, 5, 9, seed=seed)
        p, each = torch.softmax(other / 0.3, 2), []
        for t in range(2):
            each += [(q[t] * (q[t] / p[s]).log()).sum(1).mean() for s in range(4) if s != t]
        kl = torch.stack(each).mean().item()
        assert dino(q, other, 0.3).item() - entropy(q).item() == pytest.approx(kl, rel=1e-10)
        assert kl > 0


def test_that_a_constant_added_to_all_logits_of_an_image_changes_nothing():
    teacher, student, centre = random(2, 4, 6), random(4, 4, 6, seed=1), random(6, seed=2)
    loss = dino(centred(teacher, centre, 0.2), student, 0.1)
    moved_teacher = teacher + random(2, 4, 1, seed=3)
    moved_student = student + random(4, 4, 1, seed=4)
    assert torch.allclose(dino(centred(moved_teacher, centre, 0.2), student, 0.1), loss, atol=1e-10, rtol=0)
    assert torch.allclose(dino(centred(teacher, centre, 0.2), moved_student, 0.1), loss, atol=1e-10, rtol=0)


def test_that_what_is_added_to_logits_and_centre_alike_is_taken_away_again():
    teacher, centre, v = random(5, 6), random(6, seed=1), random(6, seed=2)
    assert torch.allclose(centred(teacher + v, centre + v, 0.04), centred(teacher, centre, 0.04), atol=1e-12)


def test_that_the_first_centre_is_a_tenth_of_the_mean_and_later_ones_follow_the_closed_form():
    mean, centre = random(6), torch.zeros(6, dtype=torch.float64)
    for n in range(1, 30):
        centre = moved(centre, mean, 0.9)
        assert torch.allclose(centre, (1 - 0.9**n) * mean, atol=1e-12)
        if n == 1:
            assert torch.allclose(centre, 0.1 * mean, atol=1e-15)


# ---------------------------------------------------------------------------------------------------------------------
# Sinkhorn and Knopp
# ---------------------------------------------------------------------------------------------------------------------


def test_that_rows_sum_to_one_and_columns_draw_near_to_equal_shares():
    logits = random(24, 8)
    shares = [sinkhorn_knopp(logits, 0.5, rounds) for rounds in (1, 3, 300)]
    for q in shares:
        assert torch.allclose(q.sum(1), torch.ones(24, dtype=torch.float64), atol=1e-12)
    off = [(q.sum(0) - 24 / 8).abs().max().item() for q in shares]
    assert off[0] > off[1] > off[2] and off[2] < 1e-10


def test_that_it_is_the_scaling_of_the_released_code():
    logits = random(10, 6)
    q = torch.exp(logits / 0.3).T
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / 6
        q = q / q.sum(0, keepdim=True) / 10
    assert torch.allclose(sinkhorn_knopp(logits, 0.3), (q * 10).T, atol=1e-12)


def test_that_uniform_logits_give_uniform_answers_and_huge_ones_finite_answers():
    assert torch.allclose(sinkhorn_knopp(torch.full((5, 4), 2.0), 0.04), torch.full((5, 4), 0.25))
    assert sinkhorn_knopp(random(5, 4).float() * 1e4, 0.04).isfinite().all()


def test_that_constants_of_prototypes_never_matter_and_those_of_images_not_in_the_end():
    logits, own, common = random(12, 5), random(12, 1, seed=1), random(1, 5, seed=2)
    for rounds in (1, 3):  # prototypes are scaled first, so theirs are gone at once
        assert torch.allclose(sinkhorn_knopp(logits + common, 0.5, rounds), sinkhorn_knopp(logits, 0.5, rounds), atol=1e-12)
        assert not torch.allclose(sinkhorn_knopp(logits + own, 0.5, rounds), sinkhorn_knopp(logits, 0.5, rounds), atol=1e-3)
    assert torch.allclose(sinkhorn_knopp(logits + own, 0.5, 500), sinkhorn_knopp(logits, 0.5, 500), atol=1e-10)


# ---------------------------------------------------------------------------------------------------------------------
# KoLeo
# ---------------------------------------------------------------------------------------------------------------------


def test_that_orthonormal_vectors_and_opposite_ones_have_known_values():
    assert koleo(torch.eye(5, dtype=torch.float64)).item() == pytest.approx(-0.346573590, abs=1e-7)
    u = random(1, 6)
    assert koleo(torch.cat([u, -u])).item() == pytest.approx(-0.693147181, abs=1e-7)


def test_that_it_is_the_mean_of_the_logarithms_of_the_nearest_distances():
    h = random(9, 4)
    total = 0.0
    for i in range(9):
        u = h[i] / h[i].norm()
        total -= math.log(min((u - h[j] / h[j].norm()).norm().item() for j in range(9) if j != i))
    assert koleo(h).item() == pytest.approx(total / 9, abs=1e-6)


def test_that_lengths_do_not_matter_and_duplicates_stay_finite():
    h = random(6, 4)
    assert torch.allclose(koleo(h * torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]), koleo(h), atol=1e-12)
    twice = random(1, 4).expand(3, -1).clone().requires_grad_()
    loss = koleo(twice)
    assert 16.5 < loss.item() < 18.5
    loss.backward()
    assert twice.grad is not None and twice.grad.isfinite().all()
    assert koleo(random(1, 4)).item() == 0


# ---------------------------------------------------------------------------------------------------------------------
# Masked patches
# ---------------------------------------------------------------------------------------------------------------------


def test_that_the_masked_loss_is_the_mean_over_an_images_hidden_patches_then_over_images():
    hidden = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
    q, logits = torch.softmax(random(3, 3, 5), 2), random(3, 3, 5, seed=1)
    total = 0.0
    for b in range(3):
        places = [n for n in range(3) if hidden[b, n]]
        for n in places:
            p = softmax(logits[b, n].tolist(), 0.1)
            total -= sum(q[b, n, k].item() * math.log(p[k]) for k in range(5)) / len(places)
    assert masked_patches(q[hidden], logits[hidden], hidden, 0.1).item() == pytest.approx(total / 3, rel=1e-12)


def test_that_without_hidden_patches_the_masked_loss_is_zero():
    assert masked_patches(torch.zeros(0, 5), torch.zeros(0, 5), torch.zeros(3, 4, dtype=torch.bool), 0.1).item() == 0


def test_that_every_second_crop_hides_a_tenth_to_the_largest_share_of_its_patches_anywhere():
    hidden = hidden_patches(4000, 64, 0.5, seeded())
    share = hidden.double().mean(1)
    masked = share > 0
    assert masked.double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert share[masked].min() >= 6 / 64 and share[masked].max() <= 0.5
    assert share[masked].mean().item() == pytest.approx(0.3, abs=0.01)
    assert (hidden.double().mean(0) - 0.15).abs().max() < 0.03
    assert torch.equal(hidden_patches(4000, 64, 0.5, seeded()), hidden)


# ---------------------------------------------------------------------------------------------------------------------
# Schedules and numbers
# ---------------------------------------------------------------------------------------------------------------------


def test_that_schedules_begin_and_end_exactly_where_they_should():
    assert (along_cosine(0.996, 1.0, 0.0), along_cosine(0.996, 1.0, 1.0)) == (0.996, 1.0)
    assert along_cosine(0.996, 1.0, 0.5) == pytest.approx(0.998)
    assert along_cosine(0.9, 1.0, 0.25) == pytest.approx(1 - 0.1 * (math.cos(math.pi / 4) + 1) / 2)
    assert [warmed(0.04, 0.07, 0.3, progress) for progress in (0.0, 0.15, 0.3, 1.0)] == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert warmed(0.04, 0.07, 0.0, 0.0) == 0.07


def test_that_an_image_is_recognized_only_if_its_own_vector_is_nearest():
    u = torch.eye(4)
    assert recognized(u, u).item() == 1
    assert recognized(u + 5, 3 * u - 2).item() == 1, "neither a common part nor lengths matter"
    assert recognized(u, u.roll(1, 0)).item() == 0
    assert recognized(u, u[[0, 1, 3, 2]]).item() == 0.5
    assert recognized(torch.ones(4, 3), torch.ones(4, 3)).item() == 0, "where all are alike nothing is recognized"


def answers(q: Tensor) -> Answers:
    return answers_of(q, q, q.clamp(min=1e-9).log(), 1.0)


def test_that_uniform_and_one_hot_collapse_are_told_apart_from_sharp_answers():
    k, images = 16, 32
    uniform = torch.full((2, images, k), 1 / k)
    one = torch.zeros(2, images, k)
    one[:, :, 3] = 1
    first, second = torch.zeros(2, images, k)
    first[torch.arange(images), torch.arange(images) % k] = 1
    second[torch.arange(images), (torch.arange(images) + 1) % k] = 1
    sharp = torch.stack([first, second])
    assert (diagnose(answers(uniform)).level, diagnose(answers(one)).level, diagnose(answers(sharp)).level) == ("bad", "bad", "good")
    assert "uniform" in diagnose(answers(uniform)).text and "one-hot" in diagnose(answers(one)).text
    numbers = {number.name: number.value for number in numbers_of(answers(uniform))}
    assert numbers["teacher entropy"] == pytest.approx(math.log(k), rel=1e-5) and numbers["KL(teacher ‖ student)"] == pytest.approx(
        0, abs=1e-5
    )
    assert {n.name: n.value for n in numbers_of(answers(sharp))}["prototypes in use"] == pytest.approx(k, rel=1e-5)


def test_that_a_teacher_who_hardly_prefers_anything_is_warned_of():
    vague = torch.softmax(0.9 * random(1, 64, 16), 2).expand(2, -1, -1)
    share = -(vague[0] * vague[0].log()).sum(1).mean().item() / math.log(16)
    told = diagnose(answers_of(vague, vague, random(2, 64, 16), 1.0))
    assert 0.85 < share < 0.98 and told.level == "warning" and "nearly uniform" in told.text


def test_that_a_student_with_nothing_left_to_learn_is_warned_of():
    q = torch.softmax(3 * random(1, 32, 16), 2).expand(2, -1, -1)
    told = diagnose(answers(q))
    assert told.level == "warning" and "nothing is left" in told.text
    assert diagnose(answers_of(q, q, torch.zeros(2, 32, 16, dtype=torch.float64), 1.0)).level == "good"
