"""The prior over codes: probabilities that sum to one, one order, one bound; and two trainings in one that go on exactly."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.config import BadSetting, make_config
from engine.data import open_data
from engine.evaluation.evaluate import evaluate
from engine.method import DataSpec, StepContext, build
from engine.methods.token_transformer import Config, TokenTransformer, diagnose
from engine.nets.transformer import Transformer
from engine.queries import autoregressive_sampling, sampling
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed, resolve
from engine.training.trainer import Trainer
from tests.kit.tensors import seeded

SHAPE = (1, 8, 8)  # a grid of 4 × 4 codes
TINY = {"codes": 3, "code_size": 3, "tokenizer_width": 4, "tokenizer_blocks": 1, "width": 8, "layers": 2, "heads": 2}
CLASSES = ("a", "b")


def images(count: int, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=seeded(seed)).double() / 255


def make(shape: tuple[int, ...] = SHAPE, **settings: Any) -> TokenTransformer:
    """With a prior far from uniform."""
    made = build(TokenTransformer, make_config(Config, TINY | settings), DataSpec(shape, CLASSES), 0)
    assert isinstance(made, TokenTransformer)
    made = made.double()
    made.init_from_data(images(20, shape))
    with torch.no_grad():
        for parameter in made.net.parameters():
            parameter.normal_(0, 0.6, generator=seeded(4))
    return made.eval()


def every_sequence(symbols: int, length: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(symbols), repeat=length)))


def narrowed(**settings: Any) -> TokenTransformer:
    """On a grid of 2 × 3 codes, so that every sequence can be asked: a 4 × 4 grid of 3 codes has 43 million."""
    model = make(**settings)
    model.grid, model.length = (2, 3), 6
    model.net = Transformer(3, (2, 3), 8, 2, 2, 2 if model.conditional else 0).double()
    with torch.no_grad():
        for parameter in model.net.parameters():
            parameter.normal_(0, 0.6, generator=seeded(4))
    return model


@pytest.mark.parametrize("conditional", [False, True])
def test_that_the_probabilities_of_all_sequences_sum_to_one(conditional: bool):
    model, tokens = narrowed(conditional=conditional), every_sequence(3, 6)
    with torch.no_grad():
        log_p = model.log_probs(tokens).sum(1)
        assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-10)
        assert log_p.exp().max() > 3 * log_p.exp().mean()  # not the uniform one
        if conditional:
            each = [model.log_probs(tokens, torch.full((len(tokens),), label)).sum(1).exp() for label in (0, 1)]
            assert all(p.sum().item() == pytest.approx(1, abs=1e-10) for p in each)
            assert torch.allclose((each[0] + each[1]) / 2, log_p.exp(), atol=1e-12) and not torch.allclose(each[0], each[1])


@pytest.mark.parametrize("conditional", [False, True])
def test_that_cached_and_uncached_writers_agree_at_every_place_and_with_the_forward_pass(conditional: bool):
    model = make(conditional=conditional)
    tokens = torch.randint(3, (4, 16), generator=seeded())
    y = torch.tensor([0, 1, 1, 0]) if conditional else None
    with torch.no_grad():
        told = model.log_probs(tokens, y)
        for given in (0, 5):
            prefix = tokens[:, :given]
            cached, plain = (model.writer(4, y, prefix, cached=way) for way in (True, False))
            for place in range(given, 16):
                assert cached.place == plain.place == place
                assert torch.allclose(cached.log_probs(), plain.log_probs(), atol=1e-9)
                assert torch.allclose(cached.log_probs().gather(1, tokens[:, place : place + 1])[:, 0], told[:, place], atol=1e-9)
                for writer in (cached, plain):
                    writer.write(tokens[:, place])


def test_that_a_code_changes_nothing_before_it():
    model, tokens = make(), torch.randint(3, (2, 16), generator=seeded())
    with torch.no_grad():
        before = model.logits(tokens, None)
        for place in range(16):
            other = tokens.clone()
            other[:, place] = (other[:, place] + 1) % 3
            after = model.logits(other, None)
            assert torch.equal(after[:, : place + 1], before[:, : place + 1])
            assert place == 15 or not torch.allclose(after[:, place + 1], before[:, place + 1])


@pytest.mark.parametrize("shape", [SHAPE, (3, 13, 21)])
def test_that_the_bound_is_the_codes_and_the_pixels_given_them(shape: tuple[int, ...]):
    model, x = make(shape), images(3, shape)
    with torch.no_grad():
        codes = model.codes(x)
        pixels = model.kept.log_prob(x) + math.prod(model.grid) * math.log(3)  # log p(x|z), its own uniform prior taken away
        prior = torch.stack([model.log_probs(tokens[None]).sum() for tokens in codes.flatten(1)])
        assert torch.allclose(model.log_prob(x), pixels + prior, atol=1e-9)
        placed = model.log_prob_map(x)
        assert placed.shape == (3, *shape[1:])
        assert torch.allclose(placed.sum((1, 2)), model.log_prob(x), atol=1e-9)
        told = model.loss(x, None, StepContext(progress=1.0))
        assert told["bits_per_dim"].item() == pytest.approx(-model.log_prob(x).mean().item() / math.prod(shape) / math.log(2), rel=1e-9)
        assert model.bits_per_dim(-model.log_prob(x).mean().item()) == pytest.approx(told["bits_per_dim"].item(), rel=1e-9)


def test_that_the_class_unknown_is_the_mean_over_classes():
    model, x = make(conditional=True), images(5)
    each = torch.stack([model.log_prob(x, torch.full((5,), label)) for label in (0, 1)])
    assert torch.allclose(model.log_prob(x), each.logsumexp(0) - math.log(2), atol=1e-9)


def test_that_scores_do_not_depend_on_batch_mates():
    model, x = make(), images(6)
    together = model.log_prob(x)
    for place in range(6):
        assert model.log_prob(x[place : place + 1])[0].item() == pytest.approx(together[place].item(), abs=1e-9)


def test_that_samples_arrive_row_by_row_of_codes_and_follow_the_prior():
    model = make()
    partial = [frame.x for frame in model.sample(2, generator=seeded())]
    assert len(partial) == 4 and all(image.shape == (2, *SHAPE) for image in partial)
    for rows, image in enumerate(partial, 1):
        assert not image[:, :, 2 * rows :].any() and image[:, :, : 2 * rows].any()
    small = narrowed()
    (tokens,) = small.write_out(4000, None, 1.0, seeded(), every=6)
    numbers = (tokens * 3 ** torch.arange(5, -1, -1)).sum(1)
    seen = torch.bincount(numbers, minlength=3**6) / 4000
    with torch.no_grad():
        wanted = small.log_probs(every_sequence(3, 6)).sum(1).exp()
    assert (seen - wanted).abs().sum() / 2 < 0.2  # total variation; 4,000 draws from the prior itself are about 0.12 away
    assert (seen - 3.0**-6).abs().sum() / 2 > 0.4


def test_that_tokens_become_images_and_what_is_not_written_stays_black():
    model, x = make((3, 13, 21)), images(2, (3, 13, 21))
    tokens = model.to_tokens(x)
    assert tokens.shape == (2, 35) and torch.equal(tokens, model.codes(x).flatten(1))
    whole = model.to_images(tokens)
    assert torch.equal(whole, model.kept.from_codes(model.codes(x)))
    tokens[:, 8:] = -1  # one row of seven, and one code more
    part = model.to_images(tokens)
    assert part[:, :, :3].any() and part[:, :, 3:6, :3].any()
    assert not part[:, :, 3:6, 3:].any() and not part[:, :, 6:].any()


def test_that_every_code_has_a_picture_and_that_growing_takes_the_model_as_it_is():
    model = make().float()
    assert model.code_patches().shape == (3, 1, 2, 2)
    assert torch.equal(model.code_patches()[1], model.kept.from_codes(torch.ones(1, 4, 4, dtype=torch.int64))[0, :, 2:4, 2:4])
    shape = sampling.layout_of(model, model.data)
    assert (shape.kind, shape.rows, shape.columns, shape.length) == ("codes", 4, 4, 16)
    *_, last = autoregressive_sampling.draw_symbols(model, 2, autoregressive_sampling.noise_of(0, (0, 1), 16))
    assert int(last.tokens.min()) >= 0
    with torch.no_grad():
        assert torch.allclose(last.log_p, model.log_probs(last.tokens), atol=1e-5)


def test_that_a_width_the_heads_cannot_share_is_refused():
    with pytest.raises(BadSetting, match="multiple of 3"):
        make(heads=3)


def test_that_it_says_where_the_prior_stands():
    assert [diagnose(prior, 80, 100, 2)[0].level for prior in (99.9, 85, 50)] == ["muted", "warning", "good"]
    assert diagnose(75, 80, 100, 8)[0].level == "muted"


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------

SMALL = {"codes": 16, "code_size": 4, "tokenizer_width": 8, "tokenizer_blocks": 1, "width": 16, "layers": 1, "heads": 2, "warmup": 2}
SMALL |= {"batch_size": 32, "learning_rate": 5e-3}


def plan(**changes: Any) -> Plan:
    return replace(Plan("token_transformer", "digits", SMALL, steps=20, device="cpu", precision="fp32", name="run"), **changes)


def finish(events: Any, stop_at: int | None = None) -> Any:
    """To the end, or a pause once so many steps were told."""
    try:
        event = next(events)
        while True:
            done = getattr(event, "done", 0) if getattr(event, "unit", "") == "step" else 0
            event = events.send("pause" if stop_at is not None and done >= stop_at else None)
    except StopIteration as end:
        return end.value


def saved(path: Path, step: int | None, file: str = "model.safetensors") -> dict[str, np.ndarray]:
    return Run.open(path).load(step, file)[1]


def different(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> set[str]:
    assert a.keys() == b.keys()
    return {name for name in a if a[name].tobytes() != b[name].tobytes()}


def test_that_the_tokenizer_learns_first_and_is_then_frozen_for_good():
    trainer = Trainer(resolve(plan(steps=10)), open_data("digits"))
    method = trainer.method
    assert isinstance(method, TokenTransformer)
    moved = []
    for _ in range(10):
        before = {name: value.clone() for name, value in method.state_dict().items()}
        trainer.step()
        changed = {name.split(".")[0] for name, value in method.state_dict().items() if not torch.equal(before[name], value)}
        moved.append(changed - {"frozen"})
    assert moved == 4 * [{"trained", "kept"}] + 6 * [{"net"}]
    assert isinstance(trainer.ema, TokenTransformer)
    for name, value in trainer.ema.kept.state_dict().items():
        assert torch.equal(value, method.kept.state_dict()[name]), name  # what is frozen is not averaged
    trainer.plan = replace(trainer.plan, steps=1000)  # prolonged: back at 1 % of the way
    before = {name: value.clone() for name, value in method.kept.state_dict().items()}
    trainer.step()
    assert all(torch.equal(before[name], value) for name, value in method.kept.state_dict().items())


def test_that_the_kept_tokenizer_is_the_average_of_the_trained_one():
    trainer = Trainer(resolve(plan()), open_data("digits"))
    method: Any = trainer.method
    average = {name: value.clone() for name, value in method.trained.named_parameters()}
    for step in range(1, 6):
        trainer.step()
        decay = min(0.99, step / (step + 10))
        average = {name: decay * average[name] + (1 - decay) * value for name, value in method.trained.named_parameters()}
    for name, value in method.kept.named_parameters():
        assert torch.allclose(value, average[name], atol=1e-6)
    assert torch.equal(method.kept.quantizer.codebook, method.trained.quantizer.codebook)


@pytest.mark.parametrize("stop", [4, 12], ids=["before the freeze", "after it"])
def test_that_a_training_goes_on_bit_for_bit_across_the_freeze(tmp_path: Path, stop: int):
    finish(train(plan(name="whole"), tmp_path))
    finish(train(plan(name="parts"), tmp_path), stop_at=stop)
    step = Run.open(tmp_path / "parts").newest_resumable()
    assert step is not None and (step < 8 if stop < 8 else 8 < step < 20)
    finish(train(ResumePlan(tmp_path / "parts", steps=20), tmp_path))
    for file in ("model.safetensors", "resume.safetensors"):
        assert different(saved(tmp_path / "whole", 20, file), saved(tmp_path / "parts", 20, file)) == set()


def vq_run(root: Path, **changes: Any) -> dict[str, np.ndarray]:
    config = {"codes": 20, "code_size": 5, "width": 8, "blocks": 0, "batch_size": 32, "warmup": 2}
    finish(train(replace(Plan("vq_vae", "digits", config, steps=6, device="cpu", precision="fp32", name="tokens"), **changes), root))
    return saved(root / (changes.get("name") or "tokens"), None)


@pytest.mark.parametrize("by", ["name", "folder"])
def test_that_a_named_run_is_the_tokenizer_from_the_first_step_to_the_last(tmp_path: Path, by: str):
    theirs = vq_run(tmp_path)
    root, given = (tmp_path, "tokens") if by == "name" else (tmp_path / "elsewhere", str(tmp_path / "tokens"))
    finish(train(plan(config={**SMALL, "tokenizer": given}), root), stop_at=8)
    if by == "name":
        finish(train(ResumePlan(root / "run", steps=20), root))  # also after the tokenizer's run is gone from the plan of the day
    run = Run.open(root / "run")
    for checkpoint in run.checkpoints():
        ours = saved(run.path, checkpoint.step)
        assert different({name.removeprefix("kept."): value for name, value in ours.items() if name.startswith("kept.")}, theirs) == set()
        assert not any(name.startswith("trained.") for name in ours)
    assert run.manifest is not None
    config = run.manifest.config
    assert (config["codes"], config["code_size"], config["tokenizer_width"], config["tokenizer_blocks"]) == (20, 5, 8, 0)
    assert Model(run, None).describe().numbers


def test_that_what_is_no_tokenizer_for_these_images_is_refused_in_a_sentence(tmp_path: Path):
    vq_run(tmp_path)
    finish(train(Plan("vae", "digits", {"width": 8, "latent": 2}, steps=1, device="cpu", name="other"), tmp_path))
    np.save(tmp_path / "wide.npy", np.arange(60 * 96, dtype=np.uint32).astype(np.uint8).reshape(60, 8, 12))
    refusals = [
        ("digits", "nowhere", "no run"),
        ("digits", "other", "a run of vae"),
        (str(tmp_path / "wide.npy"), "tokens", "1×8×8.*1×8×12"),
    ]
    for data, name, why in refusals:
        with pytest.raises(TrainingFailed, match=rf"{why}.*name a run.*\.$"):
            finish(train(plan(data=data, name="refused", config={**SMALL, "tokenizer": name}), tmp_path))
    assert not (tmp_path / "refused").exists()


def test_that_the_prior_learns_and_its_bound_is_what_eval_reports(tmp_path: Path):
    finish(train(plan(steps=120, config={**SMALL, "ema": 0.9, "tokenizer_share": 0.5}), tmp_path))
    run = Run.open(tmp_path / "run")
    first, middle, last = (run.load(step, "state.json")[2]["valid"] for step in (0, 32, 120))
    assert first["prior"] == pytest.approx(16 * math.log(16), rel=1e-5) == middle["prior"]  # uniform until its time has come
    assert last["prior"] < 0.9 * first["prior"]
    assert last["reconstruction"] < first["reconstruction"]
    scored = finish(evaluate(tmp_path / "run", limit=200)).values
    assert scored["density"] == "bound"
    assert scored["bits_per_dim"] == pytest.approx(scored["nats"] / 64 / math.log(2), rel=1e-6)
    assert scored["bits_per_dim"] == pytest.approx(last["bits_per_dim"], rel=0.1)
