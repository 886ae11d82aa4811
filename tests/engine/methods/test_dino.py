"""DINO as a whole: its loss against the paper's algorithm written out, who learns and who follows, what a checkpoint keeps, its words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.config import make_config
from engine.data import DataSet, inspect
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods.dino import DINO, Config
from engine.training.batches import as_input
from engine.training.plan import Plan, resolve
from engine.training.resume_state import checked
from engine.training.trainer import Trainer
from tests.kit.tensors import seeded

SHAPE = (3, 16, 16)
SMALL = {"width": 4, "prototypes": 16, "hidden": 12, "projection": 8}


def images(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, *SHAPE, generator=seeded(seed))


def make(**settings) -> DINO:
    made = build(DINO, make_config(Config, SMALL | settings), DataSpec(SHAPE), 0)
    assert isinstance(made, DINO)
    made.on_train_start(64, seeded(5))
    return made.train()


def apart(method: DINO, seed: int = 9) -> DINO:
    """With a teacher, a centre and a student that differ, as they do amid a training."""
    with torch.no_grad():
        for parameter in (*method.network.parameters(), *method.head.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(seed)))
        method.centre.copy_(0.1 * torch.randn(method.centre.shape, generator=seeded(seed)))
    return method


def step(method: DINO, optimizer: torch.optim.Optimizer, seed: int, progress: float = 0.5) -> dict[str, Tensor]:
    terms = method.loss(images(8, seed), None, StepContext(seed, progress, seeded(seed)))
    optimizer.zero_grad()
    terms["loss"].backward()
    optimizer.step()
    method.after_step(StepContext(seed + 1, progress, seeded(seed)))
    return terms


def sgd(method: DINO) -> torch.optim.SGD:
    return torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1)


# ---------------------------------------------------------------------------------------------------------------------
# The loss
# ---------------------------------------------------------------------------------------------------------------------


def softmax(logits: Tensor, temperature: float) -> list[float]:
    most = logits.max().item()
    powers = [math.exp((v - most) / temperature) for v in logits.tolist()]
    return [p / sum(powers) for p in powers]


@pytest.mark.parametrize("encoder", ["resnet", "vit"])
@pytest.mark.parametrize("local_crops", [0, 3])
def test_that_the_loss_is_the_papers_algorithm_written_out(encoder: str, local_crops: int, monkeypatch):
    settings = {"centering": "centre", "teacher_temperature": 0.04, "later_temperature": 0.07, "norm": "group"}
    method = apart(make(encoder=encoder, local_crops=local_crops, **settings))
    views = [replace(view, x=view.x.double()) for view in method.views(images(3), seeded(4))]
    assert [view.name for view in views] == ["global 1", "global 2", *(f"local {i + 1}" for i in range(local_crops))]
    method.double()
    monkeypatch.setattr(method, "views", lambda x, generator: tuple(views))
    total, terms = 0.0, 0
    for t in range(2):
        for s, view in enumerate(views):
            if s == t:
                continue
            for b in range(3):
                seen, asked = views[t].x[b : b + 1], view.x[b : b + 1]
                v, u = method.head(method.network(seen))[0], method.student_head(method.student(asked))[0]
                theirs, ours = method.head.prototypes.directions, method.student_head.prototypes.directions
                told = torch.stack([v @ (w / w.norm()) for w in theirs]) - method.centre
                own = torch.stack([u @ (w / w.norm()) for w in ours])
                q, p = softmax(told, 0.055), softmax(own, 0.1)  # halfway through its warm-up
                total -= sum(a * math.log(c) for a, c in zip(q, p, strict=True)) / 3
            terms += 1
    assert terms == 2 * len(views) - 2
    got = method.loss(images(3), None, StepContext(0, 0.15, seeded(4)))
    assert got["loss"].item() == pytest.approx(total / terms, rel=1e-9)
    assert (got["teacher entropy"] + got["KL"]).item() == pytest.approx(got["loss"].item(), rel=1e-12)
    assert got["KL"] > 0


def test_that_alike_teacher_and_student_without_locals_agree_with_themselves_on_equal_crops():
    still = {"crop_least": 1.0, "flip": 0.0, "jitter": 0.0, "grey": 0.0, "solarize": 0.0, "local_crops": 0}
    method = make(centering="centre", teacher_temperature=0.1, later_temperature=0.1, **still).eval()
    terms = method.loss(images(4), None, StepContext(0, 0.5, seeded()))
    assert terms["KL"].item() == pytest.approx(0, abs=1e-5)
    assert terms["top1_retrieval"].item() == 1


def test_that_every_crop_size_goes_through_a_network_once_and_the_teacher_sees_large_ones_only():
    method, seen = make(local_crops=3), []
    for name, network in (("teacher", method.network), ("student", method.student)):
        network.register_forward_pre_hook(lambda _, inputs, name=name: seen.append((name, *inputs[0].shape)))
    method.loss(images(4), None, StepContext(0, 0.5, seeded()))
    assert sorted(seen) == [("student", 8, 3, 16, 16), ("student", 12, 3, 8, 8), ("teacher", 8, 3, 16, 16)]


def test_that_views_say_who_sees_them_and_what_was_drawn():
    views = make(local_crops=2, solarize=1.0, blur=1.0).views(images(64), seeded())
    assert [view.role for view in views] == ["student and teacher"] * 2 + ["student"] * 2
    assert [tuple(view.x.shape[2:]) for view in views] == [(16, 16), (16, 16), (8, 8), (8, 8)]
    first, second, local, _ = (view.draw for view in views)
    assert first is not None and second is not None and local is not None
    assert not first.solarized.any() and second.solarized.all() and not local.solarized.any()
    blurs = [(draw.sigma > 0).float().mean().item() for draw in (first, second, local)]
    assert blurs[0] == 1 and blurs[1] < 0.3 < blurs[2] < 0.7
    area = local.box[:, 2] * local.box[:, 3] / 256
    assert area.mean() < 0.4 < (first.box[:, 2] * first.box[:, 3] / 256).mean()
    alike = make(asymmetric=False, solarize=1.0).views(images(8), seeded())
    assert all(view.draw is not None and view.draw.solarized.all() for view in alike)


def test_that_compared_vectors_are_the_ones_before_the_prototypes_of_who_is_asked():
    method, x = apart(make()).eval(), images(5)
    for role in ("", "teacher", "student and teacher"):
        assert torch.equal(method.compared(x, role), method.head(method.network(x)))
    student = method.compared(x, "student")
    assert torch.equal(student, method.student_head(method.student(x)))
    assert torch.allclose(student.norm(dim=1), torch.ones(5)) and not torch.allclose(student, method.compared(x))


# ---------------------------------------------------------------------------------------------------------------------
# Who learns and who follows
# ---------------------------------------------------------------------------------------------------------------------


def test_that_no_gradient_reaches_the_teacher_and_no_optimizer_would_move_it():
    method = make(encoder="vit", masked=1.0, koleo=0.1)
    method.loss(images(4), None, StepContext(0, 0.5, seeded()))["loss"].backward()
    for module in (method.network, method.head):
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    assert all(p.grad is not None for p in (*method.student.parameters(), *method.student_head.parameters()))


def test_that_the_teacher_begins_as_the_student_and_draws_near_to_a_resting_one_as_the_closed_form_says():
    method = make(momentum=0.99)
    teacher, student = method.network.stem.weight, method.student.stem.weight
    assert torch.equal(teacher, student)
    with torch.no_grad():
        teacher.add_(1.0)
    begun = (teacher - student).mean().item()
    for _ in range(100):
        method.after_step(StepContext(1, 0.0))
    assert (teacher - student).mean().item() / begun == pytest.approx(0.366032341, rel=1e-4)


@pytest.mark.parametrize(("momentum", "progress"), [(0.5, 1.0), (1.0, 0.0)])
def test_that_a_momentum_of_one_freezes_the_teacher_as_it_does_at_the_end_of_every_training(momentum: float, progress: float):
    method = apart(make(momentum=momentum))
    before = [p.clone() for p in method.network.parameters()]
    method.after_step(StepContext(1, progress))
    assert all(torch.equal(a, b) for a, b in zip(before, method.network.parameters(), strict=True))


def test_that_a_momentum_of_zero_copies_the_student():
    method = apart(make(momentum=0.0))
    method.after_step(StepContext(1, 0.0))
    for theirs, ours in ((method.student, method.network), (method.student_head, method.head)):
        assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), ours.parameters(), strict=True))


def test_that_prototypes_have_unit_length_whatever_was_learned_and_rest_in_the_beginning():
    method = make(freeze=0.1)
    optimizer, before = sgd(method), method.student_head.prototypes.directions.clone()
    step(method, optimizer, 0, progress=0.05)
    assert torch.equal(method.student_head.prototypes.directions, before)
    assert not torch.equal(method.student_head.first.weight, method.head.first.weight), "all else learns"
    step(method, optimizer, 1, progress=0.1)
    assert not torch.equal(method.student_head.prototypes.directions, before)
    for head in (method.student_head, method.head):
        assert torch.allclose(head.prototypes.weight.norm(dim=1), torch.ones(16), atol=1e-6)


def test_that_features_are_the_teachers_of_the_whole_image():
    method, x = apart(make()).eval(), images(3)
    assert torch.equal(method.encode(x), method.network(x))
    assert torch.equal(method.blocks(x)["features"], method.network(x))


# ---------------------------------------------------------------------------------------------------------------------
# The centre
# ---------------------------------------------------------------------------------------------------------------------


def teacher_logits(method: DINO, x: Tensor, seed: int) -> Tensor:
    large = torch.cat([view.x for view in method.views(x, seeded(seed))[:2]])
    return method.head.prototypes(method.head(method.network(large))).detach()


def test_that_the_centre_moves_after_the_loss_by_the_mean_of_the_teachers_logits():
    method, x = make(centering="centre", norm="group"), images(6)
    logits = teacher_logits(method, x, 2)
    method.loss(x, None, StepContext(0, 0.5, seeded(2)))
    assert not method.centre.any(), "the loss itself saw the old one"
    method.after_step(StepContext(1, 0.5))
    assert torch.allclose(method.centre, 0.1 * logits.mean(0), atol=1e-7)


def test_that_a_batch_in_pieces_moves_the_centre_as_a_whole_one_and_a_forgotten_piece_leaves_no_trace():
    method, x = make(centering="centre", norm="group"), images(6)
    pieces = [(x[:4], 2), (x[4:], 3)]
    expected = torch.cat([teacher_logits(method, piece, seed) for piece, seed in pieces]).mean(0)
    method.loss(images(6, seed=8), None, StepContext(0, 0.5, seeded(7)))
    method.forget_batch()
    for piece, seed in pieces:
        method.loss(piece, None, StepContext(0, 0.5, seeded(seed)))
    method.after_step(StepContext(1, 0.5))
    assert torch.allclose(method.centre, 0.1 * expected, atol=1e-7)


def test_that_held_out_images_and_descriptions_do_not_move_the_centre():
    method = make().eval()
    method.loss(images(6), None, StepContext(0, 0.5, seeded()))
    method.train()
    method.describe(images(6), seeded())
    method.after_step(StepContext(1, 0.5))
    assert not method.centre.any()


def test_that_only_losses_that_are_means_over_images_are_taken_in_pieces():
    assert make(centering="centre").batch_splits
    assert not make(centering="sinkhorn").batch_splits and not make(centering="centre", koleo=0.1).batch_splits


# ---------------------------------------------------------------------------------------------------------------------
# Options of DINOv2
# ---------------------------------------------------------------------------------------------------------------------


def test_that_options_add_their_weighted_terms_and_nothing_without_a_weight():
    x, context = images(6), lambda: StepContext(0, 0.5, seeded(3))
    plain = make(encoder="vit").eval()
    assert set(plain.loss(x, None, context())) == {"loss", "teacher entropy", "KL", "top1_retrieval"}
    terms = make(encoder="vit", koleo=0.1).eval().loss(x, None, context())
    assert terms["loss"].item() == pytest.approx((terms["teacher entropy"] + terms["KL"] + 0.1 * terms["koleo"]).item(), rel=1e-5)
    terms = make(encoder="vit", masked=2.0).eval().loss(x, None, context())
    assert terms["loss"].item() == pytest.approx((terms["teacher entropy"] + terms["KL"] + 2.0 * terms["masked"]).item(), rel=1e-5)
    assert terms["masked"] > 0


def test_that_the_masked_loss_hears_of_hidden_patches_only_and_the_teacher_sees_them_all(monkeypatch):
    method = make(encoder="vit", masked=1.0).eval()
    tokens, hiding = method.student.tokens, []

    def noisy(where: str):
        def spoken(x: Tensor, hidden: Tensor | None = None) -> Tensor:
            told = tokens(x, hidden)
            if hidden is None:
                return told
            hiding.append(hidden)
            chosen = {"nowhere": torch.zeros_like(hidden), "elsewhere": ~hidden, "hidden": hidden}[where]
            noise = torch.randn(told[:, 1:].shape, generator=seeded()) * chosen[:, :, None]
            return torch.cat([told[:, :1], told[:, 1:] + noise], 1)

        return spoken

    asked = []
    theirs = method.network.tokens
    monkeypatch.setattr(method.network, "tokens", lambda x, hidden=None: asked.append(hidden) or theirs(x, hidden))
    heard = {}
    for where in ("nowhere", "elsewhere", "hidden"):
        monkeypatch.setattr(method.student, "tokens", noisy(where))
        heard[where] = method.loss(images(6), None, StepContext(0, 0.5, seeded(3)))["masked"].item()
    assert heard["elsewhere"] == heard["nowhere"] != heard["hidden"]
    assert asked == [None] * 3 and 0 < hiding[0].float().mean() < 0.5


def test_that_the_masked_loss_is_refused_in_words_without_a_transformer():
    with pytest.raises(CannotLearn, match="choose encoder=vit or set masked to 0"):
        make(masked=1.0)


def test_that_sinkhorn_answers_use_all_prototypes_alike():
    method = apart(make(centering="sinkhorn", prototypes=4)).eval()
    q = method._answers(teacher_logits(method, images(64), 0), method.centre, 0.5)
    assert torch.allclose(q.sum(1), torch.ones(128), atol=1e-5)
    assert (q.sum(0) / 32 - 1).abs().max() < 0.3


# ---------------------------------------------------------------------------------------------------------------------
# A training, and words about it
# ---------------------------------------------------------------------------------------------------------------------


def digits() -> DataSet:
    return next(item for item in inspect("digits", "job") if isinstance(item, DataSet))


@pytest.mark.parametrize("settings", [{}, {"encoder": "vit", "masked": 1.0, "koleo": 0.1, "centering": "sinkhorn"}])
def test_that_a_training_that_was_saved_goes_on_bit_for_bit(settings: dict):
    plan = Plan("dino", "digits", SMALL | {"batch_size": 16, "warmup": 2} | settings, steps=6, device="cpu")
    data = digits()
    through, first, second = (Trainer(resolve(plan), data) for _ in range(3))
    for _ in range(6):
        through.step()
    for _ in range(3):
        first.step()
    second.restore(first.ema_arrays(), first.resume_arrays(), checked(first.numbers(), "run", first.step_number))
    for _ in range(3):
        second.step()
    theirs, ours = through.method.state_dict(), second.method.state_dict()
    assert {"centre", "network.norm.weight", "student.norm.weight"} <= set(theirs)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert theirs["centre"].any() and not torch.equal(theirs["network.norm.weight"], theirs["student.norm.weight"])


@pytest.mark.slow
def test_that_a_short_training_finds_more_and_is_described_as_sound():
    easy = {"flip": 0.0, "jitter": 0.0, "solarize": 0.0, "crop_least": 0.7, "local_crops": 0, "batch_size": 64, "momentum": 0.9}
    sizes = {"width": 8, "prototypes": 64, "hidden": 64, "projection": 32, "centering": "sinkhorn"}
    trainer = Trainer(
        resolve(Plan("dino", "digits", easy | sizes | {"warmup": 5, "learning_rate": 3e-3}, steps=60, device="cpu")), digits()
    )
    found = [trainer.step()["top1_retrieval"].item() for _ in range(60)]
    assert sum(found[-10:]) > 1.5 * sum(found[:10]) > 1.5 * 10 / 64, "by chance one in 64"
    method = trainer.method.eval()
    told = method.describe(as_input(trainer.batches.first(128)), seeded())
    assert {"teacher entropy", "prototypes in use", "KL(teacher ‖ student)", "feature spread", "effective rank"} == {
        number.name for number in told.numbers
    }
    assert [word.level for word in told.diagnosis] == ["good", "good"], told


@pytest.mark.parametrize(("balanced", "words"), [(True, "same weight"), (False, "same first choice")])
def test_that_collapses_made_on_purpose_are_called_what_they_are(balanced: bool, words: str):
    method = make(centering="centre", later_temperature=0.005).eval()
    with torch.no_grad():  # every image gets the same vector; the centre takes it away or does not
        for head in (method.head, method.student_head):
            head.third.weight.zero_()
        if balanced:
            method.centre.copy_(method.head.prototypes(method.compared(images(1)))[0])
    told = method.describe(images(32), seeded()).diagnosis[0]
    assert told.level == "bad" and words in told.text
