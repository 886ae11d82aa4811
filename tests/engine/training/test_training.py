"""Training as a generator: exact resume, verbs, and what happens when numbers, memory or the disk fail."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.data import open_data
from engine.messages import CheckpointSaved, Metrics, Progress, Stalled
from engine.method import Phase
from engine.storage.atomic_io import NoSpace
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training import recorder
from engine.training.batches import Order
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed, resolve
from engine.training.resume_state import checked
from engine.training.trainer import Trainer

SMALL = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64, "warmup": 5}


def plan(steps=12, **changes) -> Plan:
    return replace(Plan(method="vae", data="digits", config=SMALL, steps=steps, device="cpu", precision="fp32", name="run"), **changes)


def finish(events, verb_at=None, verb="stop"):
    """Advance a training to its end: (outcome, events). The verb is sent at the n-th yield."""
    seen, n = [], 0
    try:
        event = next(events)
        while True:
            if event is not None:
                seen.append(event)
            event = events.send(verb if verb_at is not None and n >= verb_at else None)
            n += 1
    except StopIteration as end:
        return end.value, seen


def arrays(path: Path, step: int) -> dict[str, np.ndarray]:
    run = Run.open(path)
    return {**run.load(step)[1], **run.load(step, "resume.safetensors")[1]}


def state(path: Path, step: int) -> dict:
    return Run.open(path).load(step, "state.json")[2]


def assert_same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    different = [name for name in a if a[name].tobytes() != b[name].tobytes()]
    assert not different


@pytest.mark.slow
def test_twenty_steps_are_ten_a_new_process_and_ten_bit_for_bit(tmp_path):
    settings = [word for name, value in {**SMALL, "schedule": "constant"}.items() for word in ("--set", f"{name}={value}")]
    verb = [sys.executable, "-m", "engine", "train", "vae", "--data", "digits", "--precision", "fp32", *settings, "--name", "run", "--json"]
    for root, more in (("whole", ["--steps", "20"]), ("parts", ["--steps", "10"]), ("parts", ["--steps", "20", "--resume"])):
        child = subprocess.run([*verb, *more, "--runs", str(tmp_path / root)], capture_output=True, text=True, check=True)
        assert json.loads(child.stdout.splitlines()[-1])["step"] == int(more[1])
    assert_same_bits(arrays(tmp_path / "whole" / "run", 20), arrays(tmp_path / "parts" / "run", 20))
    whole, resumed = state(tmp_path / "whole" / "run", 20), state(tmp_path / "parts" / "run", 20)
    assert whole["order"] == resumed["order"]  # the next batch is the same one
    assert whole["valid"] == resumed["valid"]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        finish(train(plan(name=name, seed=seed), tmp_path))
    assert_same_bits(arrays(tmp_path / "a", 12), arrays(tmp_path / "b", 12))
    assert any(arrays(tmp_path / "a", 12)[n].tobytes() != arrays(tmp_path / "c", 12)[n].tobytes() for n in arrays(tmp_path / "a", 12))


def test_no_global_random_state_is_touched(tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    finish(train(plan(3), tmp_path))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_every_step_has_its_point_in_the_file_and_in_the_events(tmp_path):
    _, events = finish(train(plan(12), tmp_path))
    from engine.worker.run_follower import history_points

    file_points = history_points(Run.open(tmp_path / "run").metrics()[0])
    steps, values = file_points["loss"]
    assert steps.tolist() == list(range(1, 13))
    told = [event.points["loss"] for event in events if isinstance(event, Metrics) and "loss" in event.points]
    assert np.concatenate([s for s, _ in told]).tolist() == steps.tolist()
    assert np.concatenate([v for _, v in told]) == pytest.approx(values, rel=1e-6)
    assert {"reconstruction", "kl", "valid loss", "gradient norm"} <= file_points.keys()


def test_checkpoints_fall_on_powers_of_two_and_the_end(tmp_path):
    _, events = finish(train(plan(12), tmp_path))
    assert [event.step for event in events if isinstance(event, CheckpointSaved)] == [0, 1, 2, 4, 8, 12]
    assert [c.step for c in Run.open(tmp_path / "run").checkpoints()] == [0, 1, 2, 4, 8, 12]


def test_the_manifest_says_how_it_was_trained(tmp_path):
    finish(train(plan(2), tmp_path))
    manifest = Run.open(tmp_path / "run").manifest
    assert (manifest.method, manifest.data, manifest.precision, manifest.status) == ("vae", "digits", "fp32", "done")
    assert manifest.changed == {**SMALL}
    assert manifest.config["beta"] == 1.0
    assert manifest.data_hash == open_data("digits").hash
    assert "torch" in manifest.versions


@pytest.mark.parametrize(("verb", "status"), [("stop", "stopped"), ("pause", "paused")])
def test_a_verb_ends_the_training_after_the_step_in_hand_with_a_checkpoint_there(tmp_path, verb, status):
    outcome, _ = finish(train(plan(10_000), tmp_path), verb_at=60, verb=verb)
    assert outcome.status == status
    assert 0 < outcome.step < 10_000
    assert Run.open(tmp_path / "run").newest_resumable() == outcome.step
    assert Run.open(tmp_path / "run").manifest.status == status


def test_discard_removes_the_folder(tmp_path):
    outcome, _ = finish(train(plan(10_000), tmp_path), verb_at=40, verb="discard")
    assert outcome.status == "discarded"
    assert not (tmp_path / "run").exists()


def test_a_generator_that_is_dropped_leaves_an_interrupted_run(tmp_path):
    events = train(plan(10_000), tmp_path)
    for _ in range(40):
        next(events)
    events.close()
    run = Run.open(tmp_path / "run")
    assert run.manifest.status == "interrupted"
    outcome, _ = finish(train(ResumePlan(tmp_path / "run", steps=70), tmp_path))
    assert (outcome.status, outcome.step) == ("done", 70)


def test_numbers_that_are_not_finite_stop_the_training_before_a_checkpoint_holds_them(tmp_path, monkeypatch):
    from engine.methods.vae import VAE

    honest = VAE.loss

    def poisoned(self, x, y, context):
        terms = honest(self, x, y, context)
        return {name: value * math.nan for name, value in terms.items()} if context.step == 6 and self.training else terms

    monkeypatch.setattr(VAE, "loss", poisoned)
    with pytest.raises(TrainingFailed, match=r"at step 7.*encoder.*learning_rate"):
        finish(train(plan(100), tmp_path))
    run = Run.open(tmp_path / "run")
    assert run.manifest.status == "failed"
    assert "step 7" in run.manifest.message
    assert [c.step for c in run.checkpoints()] == [0, 1, 2, 4]
    for step in (0, 1, 2, 4):
        assert all(np.isfinite(value).all() for value in run.load(step)[1].values())
    with pytest.raises(TrainingFailed, match=r"“run” diverged, and going on with the same settings would end there again.*at step 7"):
        finish(train(ResumePlan(tmp_path / "run", steps=8), tmp_path))


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "mps", "cpu", "python"])
def test_too_little_memory_leads_to_smaller_pieces_of_the_same_batch(monkeypatch, error):
    from engine.methods.vae import VAE

    data = open_data("digits")
    config = {**SMALL, "likelihood": "bernoulli"}
    whole = Trainer(resolve(plan(config=config)), data)
    pieces = Trainer(resolve(plan(config=config)), data)
    honest = VAE.loss

    def hungry(self, x, y, context):
        if len(x) > 16:
            raise error
        return honest(self, x, y, context)

    monkeypatch.setattr(VAE, "loss", hungry)
    terms = pieces.step()
    assert pieces.stepper.micro_batch_size == 16
    assert math.isfinite(terms["loss"])
    monkeypatch.setattr(VAE, "loss", honest)

    # an oracle without noise: a quadratic loss whose gradient is the same in pieces and in one
    taken: list[int] = []

    def quadratic(self, x, y, context):
        taken.append(len(x))
        return {"loss": (self.decode(self.encode(x)) - x).square().sum((1, 2, 3)).mean()}

    monkeypatch.setattr(VAE, "loss", quadratic)
    images, labels = whole.batches.first(64), None
    whole.stepper.micro_batch_size = len(images)
    for trainer in (whole, pieces):
        trainer.method.load_state_dict(whole.method.state_dict())
        trainer.stepper.gradients(Phase(), images, labels, trainer.context(torch.arange(len(images))))
    assert taken == [64, 16, 16, 16, 16]  # what `pieces` found the memory to be enough for is what it still takes
    for a, b in zip(whole.method.parameters(), pieces.method.parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_no_memory_at_all_is_a_clear_stop_that_names_the_setting(monkeypatch):
    from engine.methods.vae import VAE

    def hungry(self, x, y, context):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    trainer = Trainer(resolve(plan()), open_data("digits"))
    monkeypatch.setattr(VAE, "loss", hungry)
    with pytest.raises(TrainingFailed, match="batch_size"):
        trainer.step()


def test_another_error_is_not_taken_for_missing_memory(monkeypatch):
    from engine.methods.vae import VAE

    def broken(self, x, y, context):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    trainer = Trainer(resolve(plan()), open_data("digits"))
    monkeypatch.setattr(VAE, "loss", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        trainer.step()
    assert trainer.stepper.micro_batch_size == trainer.batch


@pytest.mark.parametrize("what", ["save_checkpoint", "append_metrics"])
def test_a_full_disk_makes_it_wait_and_go_on_with_the_same_numbers(tmp_path, monkeypatch, what):
    finish(train(plan(name="calm"), tmp_path))
    honest, refusals = getattr(RunWriter, what), iter([False, False, True, True])

    def crowded(self, *args, **kwargs):
        if next(refusals, False):
            raise NoSpace(10_000_000, 4096)
        return honest(self, *args, **kwargs)

    monkeypatch.setattr(RunWriter, what, crowded)
    outcome, events = finish(train(plan(), tmp_path))
    stalls = [event for event in events if isinstance(event, Stalled)]
    assert len(stalls) == 2
    assert "disk is full" in stalls[0].message
    assert outcome.status == "done"
    assert_same_bits(arrays(tmp_path / "calm", 12), arrays(tmp_path / "run", 12))


def test_a_verb_ends_the_waiting_for_room_and_nothing_is_claimed_that_was_not_saved(tmp_path, monkeypatch):
    honest = RunWriter.save_checkpoint

    def full(self, step, *args, **kwargs):
        if step >= 4:
            monkeypatch.setattr(RunWriter, "set_status", refuse)  # the whole disk is full, not only for large files
            raise NoSpace(10_000_000, 4096)
        return honest(self, step, *args, **kwargs)

    def refuse(self, *args, **kwargs):
        raise NoSpace(10_000, 0)

    monkeypatch.setattr(RunWriter, "save_checkpoint", full)
    events = train(plan(), tmp_path)
    seen = [next(events)]
    while not isinstance(seen[-1], Stalled):
        seen.append(next(events))
    outcome = None
    try:
        for _ in range(50):
            seen.append(events.send("pause"))
    except StopIteration as end:
        outcome = end.value
    assert outcome is not None and outcome.status == "paused"
    assert "newest checkpoint is of step 2" in outcome.message
    assert [event.step for event in seen if isinstance(event, CheckpointSaved)] == [0, 1, 2]


def test_waiting_for_room_is_no_training_time(tmp_path, monkeypatch):
    honest, refusals = RunWriter.save_checkpoint, iter([False, False, True])

    def crowded(self, *args, **kwargs):
        if next(refusals, False):
            raise NoSpace(10_000_000, 4096)
        return honest(self, *args, **kwargs)

    monkeypatch.setattr(RunWriter, "save_checkpoint", crowded)
    clock = recorder.time.perf_counter
    away = [0.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: clock() + away[0])
    events = train(plan(), tmp_path)
    for event in events:
        if isinstance(event, Stalled):
            away[0] += 1000.0  # a night without room
    assert state(tmp_path / "run", 12)["seconds"] < 500


def test_a_disk_that_is_full_at_the_start_leaves_neither_a_folder_nor_a_lock(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise NoSpace(10_000_000, 4096)

    honest = RunWriter.save_probe
    monkeypatch.setattr(RunWriter, "save_probe", full)
    events = train(plan(), tmp_path)
    while not isinstance(next(events), Stalled):
        pass
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(RunWriter, "save_probe", honest)
    outcome, _ = finish(events_from(events))
    assert outcome.status == "done"


def events_from(events):
    """A generator that has begun, as one that `finish` can advance."""
    return (yield from events)


@pytest.mark.parametrize(("verb", "status"), [("stop", "stopped"), ("pause", "paused"), ("discard", "discarded")])
def test_a_verb_is_heeded_while_data_are_read(tmp_path, monkeypatch, verb, status):
    def slow(data, job):
        for done in range(10_000):
            yield Progress(job, "", done, 10_000, "file", 0.0, None)
        raise AssertionError("it was read to the end")

    monkeypatch.setattr("engine.storage.run_data.inspect", slow)
    events = train(plan(), tmp_path)
    next(events)
    with pytest.raises(StopIteration) as end:
        events.send(verb)
    assert end.value.value.status == status
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_other_noise_where_its_generator_is_of_another_kind():
    trainer = Trainer(resolve(plan()), open_data("digits"))
    trainer.step()
    arrays_, numbers = trainer.resume_arrays(), trainer.numbers()
    arrays_["random/noise"] = np.zeros(16, np.uint8)  # as a CUDA generator writes it
    other = Trainer(resolve(plan()), open_data("digits"))
    other.restore(trainer.ema_arrays(), arrays_, checked(numbers, "run", 1))
    assert not other.exact and other.step_number == 1
    assert math.isfinite(other.step()["loss"])


def test_a_path_is_kept_so_that_it_is_found_from_any_folder(tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    finish(train(plan(1, data="images.npy"), tmp_path / "runs"))
    assert Run.open(tmp_path / "runs" / "run").manifest.data == str(tmp_path / "images.npy")


def test_seeds_of_any_size_are_taken(tmp_path):
    assert finish(train(plan(2, seed=1_700_000_000_000_000_000), tmp_path))[0].status == "done"


def test_changed_data_is_not_trained_on_further(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (300, 12, 12), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    finish(train(plan(4, data=str(tmp_path / "images.npy")), tmp_path / "runs"))
    np.save(tmp_path / "images.npy", images[::-1])
    with pytest.raises(BadRun, match="content changed"):
        finish(train(ResumePlan(tmp_path / "runs" / "run", steps=8), tmp_path / "runs"))


def test_text_is_refused_by_a_method_for_images(tmp_path):
    with pytest.raises(TrainingFailed, match="text"):
        finish(train(plan(data="pydoc-text"), tmp_path))


def test_an_epoch_is_a_permutation_and_a_place_in_it_can_be_found_again():
    order = Order(count=100, batch=20, seed=3)
    epoch = torch.cat([order.next() for _ in range(5)])
    assert sorted(epoch.tolist()) == list(range(100))
    order.next()
    again = Order(count=100, batch=20, seed=3, epoch=order.epoch, index=order.index)
    assert again.next().tolist() == order.next().tolist()
    assert epoch.tolist() != torch.cat([Order(100, 20, 4).next() for _ in range(1)]).tolist()


def test_the_averaged_weights_are_the_running_average_in_closed_form():
    trainer = Trainer(resolve(plan(config={**SMALL, "ema": 0.5})), open_data("digits"))
    weights = next(trainer.method.parameters())
    averaged = next(trainer.ema.parameters())
    with torch.no_grad():
        weights.fill_(1.0)
        averaged.fill_(3.0)
    for trainer.step_number in (1000, 1001, 1002):
        trainer.update_ema()
    torch.testing.assert_close(averaged, torch.full_like(averaged, 1 + 2 * 0.5**3))


def test_the_learning_rate_rises_over_the_warm_up_and_falls_along_a_cosine():
    trainer = Trainer(resolve(plan(steps=100, config={**SMALL, "learning_rate": 0.01, "warmup": 10})), open_data("digits"))
    rates = []
    for trainer.step_number in (0, 50, 75, 100):
        rates.append(trainer.learning_rate())
    assert rates == pytest.approx([0.001, 0.005, 0.01 * 0.5 * (1 - math.sqrt(0.5)), 0.0], abs=1e-12)


def test_minutes_end_a_training_and_the_progress_counts_down(tmp_path):
    outcome, events = finish(train(plan(steps=None, minutes=0.02), tmp_path))
    assert outcome.status == "done"
    lefts = [event.seconds_left for event in events if isinstance(event, Progress) and event.unit == "step"]
    assert lefts and lefts[-1] <= lefts[0] <= 1.3
    assert Run.open(tmp_path / "run").manifest.minutes == 0.02
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "done"


@pytest.mark.slow
def test_a_small_vae_learns_the_digits(tmp_path):
    outcome, _ = finish(train(plan(1500, config={"likelihood": "bernoulli", "width": 16, "latent": 8}), tmp_path))
    valid = state(tmp_path / "run", outcome.step)["valid"]
    assert valid["elbo"] > -24.5  # 64 dynamically binarized pixels; independent pixels with the right means reach about -33
