"""A training on a disk that refuses: it waits or ends with one sentence, and the checkpoint before is intact."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.messages import Stalled
from engine.storage.disk import NoSpace, Unwritable
from engine.storage.run_folders import RunGone
from engine.storage.run_reader import Run, list_runs
from engine.training.loop import Outcome, train
from engine.training.plan import Plan, ResumePlan
from tests.kit.runs import CHANGING, AtCall, using

FAULTS = ("EIO", "EACCES", "EROFS", "ENOSPC", "EDQUOT", "ESTALE")
STEPS = 3


def plan(**changes: Any) -> Plan:
    settings = {"latent": 2, "width": 16, "batch_size": 32}
    return Plan(method="vae", data="digits", config=settings, steps=STEPS, device="cpu", name="run", **changes)


def finish(events: Any, patience: int = 10_000) -> tuple[Outcome | Exception, list[Stalled]]:
    """How it ended; after so many waits without an end it is asked to stop."""
    stalls: list[Stalled] = []
    try:
        event = next(events)
        while True:
            if isinstance(event, Stalled):
                stalls.append(event)
            event = events.send("stop" if len(stalls) > patience else None)
    except StopIteration as end:
        return end.value, stalls
    except Exception as error:
        return error, stalls


def assert_plain(sentence: str) -> None:
    assert sentence.endswith(".") and "Errno" not in sentence and "Traceback" not in sentence and "\n" not in sentence, sentence


def assert_said_plainly(ending: Outcome | Exception, stalls: list[Stalled]) -> None:
    for stall in stalls:
        assert_plain(stall.message)
    if isinstance(ending, Exception):
        assert type(ending).__module__.startswith("engine."), repr(ending)
        assert_plain(str(ending))


def failing(name: str) -> Any:
    number = getattr(errno, name)

    def fail(call: str, arguments: tuple) -> None:
        if call == "close":
            os.close(arguments[0])  # Linux closes the file whatever it reports
        raise OSError(number, os.strerror(number))

    return fail


def small_run(root: Path) -> None:
    finish(train(plan(), root))
    assert Run.open(root / "run").newest_resumable() == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("in_a_row", [1, 6])
def test_a_fault_at_each_call_to_the_disk_ends_in_a_sentence_and_keeps_the_checkpoint(tmp_path: Path, fault: str, in_a_row: int) -> None:
    small_run(tmp_path / "kept")
    number, stride = 0, 1 if in_a_row == 1 else 4
    while True:
        root = tmp_path / f"at-{number}"
        shutil.copytree(tmp_path / "kept", root)
        layer = AtCall(number, failing(fault), CHANGING, in_a_row)
        with using(layer):
            ending, stalls = finish(train(ResumePlan(root / "run", STEPS + 2), root))
        assert_said_plainly(ending, stalls)
        (run,) = list_runs(root)
        assert (run.newest_resumable() or 0) >= STEPS, (number, run.verify())
        if isinstance(ending, Outcome):
            assert ending.status == "done" and run.newest_resumable() == STEPS + 2
        shutil.rmtree(root)
        if not layer.reached:
            break
        number += stride
    assert number > 20


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_can_be_left_by_stopping(tmp_path: Path, fault: str) -> None:
    small_run(tmp_path)
    calls = ("create", "write", "replace")
    with using(AtCall(6, failing(fault), calls, in_a_row=1 << 30)):
        ending, stalls = finish(train(ResumePlan(tmp_path / "run", STEPS + 2), tmp_path), patience=3)
    assert_said_plainly(ending, stalls)
    assert 3 < len(stalls) < 10 and isinstance(ending, Outcome) and ending.status == "stopped"
    assert Run.open(tmp_path / "run").newest_resumable() == STEPS


def advance_to(events: Any, step: int, run: Path) -> None:
    while (Run.open(run).newest_resumable() or 0) < step if run.exists() else True:
        next(events)


@pytest.mark.skipif(sys.platform == "win32", reason="an open folder cannot be renamed there")
def test_a_run_that_is_renamed_while_it_is_trained_keeps_all_and_says_where_it_is(tmp_path: Path) -> None:
    events = train(plan(), tmp_path)
    advance_to(events, 1, tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "photo.jpg").write_bytes(b"of somebody else")
    ending, stalls = finish(events)
    assert isinstance(ending, RunGone) and "was moved or renamed" in str(ending) and stalls == []
    assert_plain(str(ending))
    run = Run.open(tmp_path / "elsewhere")
    assert (run.newest_resumable() or 0) >= 2 and run.verify() == [] and run.status == "failed"
    assert os.listdir(tmp_path / "run") == ["photo.jpg"]
    ending, _ = finish(train(ResumePlan(tmp_path / "elsewhere"), tmp_path))
    assert isinstance(ending, Outcome) and ending.status == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="an open folder cannot be removed there")
@pytest.mark.parametrize("verb", ["go on", "stop", "pause", "discard"])
def test_a_run_that_is_removed_while_it_is_trained_ends_with_what_happened(tmp_path: Path, verb: str) -> None:
    events = train(plan(), tmp_path)
    advance_to(events, 1, tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RunGone, match="was moved or removed") as caught:
        while True:
            events.send(None if verb == "go on" else verb)
    assert_plain(str(caught.value))
    assert os.listdir(tmp_path) == []


def test_what_the_disk_says_is_one_sentence_for_every_number() -> None:
    for number in errno.errorcode:
        assert_plain(str(Unwritable(number, "/runs")))
    assert_plain(str(NoSpace(10, 5, "/runs")))
