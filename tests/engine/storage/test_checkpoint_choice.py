"""One rule says which checkpoint is looked at: of a run that is done the best, else the newest, and what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.storage.checkpoint_choice import CheckpointChoice, choose_step, load_chosen
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from tests.kit.runs import assert_holds, new_run, save

WEIGHTS, RESUME = "model.safetensors", "resume.safetensors"


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    """A run with checkpoints at 1, 2, 4 (the best) and 8."""
    with new_run(tmp_path / "runs", name="four") as writer:
        save(writer, 1, keep=True)
        save(writer, 2, keep=True)
        save(writer, 4, keep=True, best=True)
        save(writer, 8, keep=True)
        return writer


def ended(writer: RunWriter, status: str = "done") -> Run:
    with RunWriter.resume(writer.path) as again:
        again.set_status(status)
    return Run.open(writer.path)


def file_of(run: Run, step: int, name: str) -> Path:
    return run.path / "checkpoints" / f"step-{step:08}" / name


@pytest.mark.parametrize("status", ["done", "stopped", "failed"])
def test_a_run_that_has_ended_is_looked_at_where_it_was_best(writer: RunWriter, status: str) -> None:
    assert choose_step(ended(writer, status)) == CheckpointChoice(4, "best on validation")


@pytest.mark.parametrize("status", ["training", "paused", "queued"])
def test_a_run_that_may_go_on_is_looked_at_where_it_came_to(writer: RunWriter, status: str) -> None:
    assert choose_step(ended(writer, status)) == CheckpointChoice(8, "newest")


def test_that_what_is_asked_for_is_taken(writer: RunWriter) -> None:
    run = ended(writer)
    assert choose_step(run, 2) == CheckpointChoice(2, "asked for")
    assert choose_step(run, "newest") == CheckpointChoice(8, "newest")
    assert choose_step(run, "best") == choose_step(run, None) == CheckpointChoice(4, "best on validation")


def test_that_a_step_that_is_not_there_is_named_with_those_that_are(writer: RunWriter) -> None:
    with pytest.raises(BadRun, match=r"four has no checkpoint at step 3; there are 1, 2, 4, 8\."):
        choose_step(ended(writer), 3)
    with pytest.raises(BadRun, match="“latest” names no checkpoint: give a step, “best” or “newest”"):
        choose_step(ended(writer), "latest")


@pytest.mark.parametrize("spoil", ["missing", "shorter", "longer"])
def test_that_a_file_only_resuming_needs_hides_no_checkpoint(writer: RunWriter, spoil: str) -> None:
    run = ended(writer)
    for step in (4, 8):  # the ones whose optimizer is kept
        file = file_of(run, step, RESUME)
        if spoil == "missing":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-1] if spoil == "shorter" else file.read_bytes() + b"0")
    run = Run.open(run.path)
    assert [choose_step(run, wanted).step for wanted in (None, "best", "newest", 8)] == [4, 4, 8, 8]
    for checkpoint in run.info().checkpoints:
        assert checkpoint.fault == "" and (checkpoint.step < 4 or f"from step {checkpoint.step}: its {RESUME}" in checkpoint.note)
    assert [c.step for c in run.checkpoints() if c.resumable] == []  # and none goes on from there
    choice, arrays, state = load_chosen(run, "newest")
    assert choice.step == 8
    assert_holds(8, arrays, state)


def test_that_missing_weights_are_said_where_they_were_asked_for_and_passed_over_where_not(writer: RunWriter) -> None:
    run = ended(writer)
    for step in (4, 8):
        file_of(run, step, WEIGHTS).unlink()
    run = Run.open(run.path)
    assert choose_step(run) == choose_step(run, "newest") == CheckpointChoice(2, "newest that can be read")
    for wanted in ("best", 4):
        with pytest.raises(BadRun, match=r"The checkpoint at step 4 cannot be used: its model\.safetensors is missing"):
            choose_step(run, wanted)


def test_that_damaged_weights_give_way_to_earlier_ones_unless_they_were_asked_for(writer: RunWriter) -> None:
    run = ended(writer)
    file = file_of(run, 4, WEIGHTS)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    run = Run.open(run.path)
    choice, arrays, state = load_chosen(run)
    assert choice == CheckpointChoice(8, "newest")
    assert_holds(8, arrays, state)
    (note,) = run.notes
    assert note.startswith("The checkpoint of “four” at step 4 cannot be used: its model.safetensors was changed since it was saved")
    for wanted in ("best", 4):
        with pytest.raises(BadRun, match="at step 4 cannot be used"):
            load_chosen(run, wanted)


def test_a_run_whose_checkpoints_were_never_judged_has_a_newest_only(tmp_path: Path) -> None:
    with new_run(tmp_path / "runs", name="plain") as writer:
        save(writer, 1, keep=True)
        save(writer, 2)
    run = ended(writer)
    assert choose_step(run) == CheckpointChoice(2, "newest")
    with pytest.raises(BadRun, match="plain has no best checkpoint"):
        choose_step(run, "best")


def test_a_run_without_checkpoints_or_manifest_says_so(tmp_path: Path) -> None:
    with new_run(tmp_path / "runs", name="young") as writer:
        pass
    with pytest.raises(BadRun, match="young has no checkpoint yet; wait for its first step"):
        choose_step(Run.open(writer.path))
    (writer.path / "manifest.json").unlink()
    (writer.path / "metrics.jsonl").write_text("")
    with pytest.raises(BadRun, match="is missing, and no checkpoint is left to rebuild it from"):
        choose_step(Run.open(writer.path))


def test_that_a_checkpoint_replaced_while_it_is_opened_gives_way_to_the_newer_one(writer: RunWriter) -> None:
    with RunWriter.resume(writer.path) as again:
        save(again, 16)
        save(again, 32)
        before = Run.open(writer.path)
        for step in (64, 128, 256):
            save(again, step)
    choice, arrays, state = load_chosen(before, "newest")
    assert choice == CheckpointChoice(256, "newest")
    assert_holds(256, arrays, state)
