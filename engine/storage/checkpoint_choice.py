"""Which checkpoint of a run is looked at: the one rule that every verb and every pane goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run

BEST = "best"
NEWEST = "newest"
# a run of this status goes on only when somebody asks for it: the best checkpoint stands for it, and is the last good one where it failed
ENDED = ("done", "stopped", "failed")


@dataclass(frozen=True)
class CheckpointChoice:
    """A checkpoint and, in words, by which rule it was taken: "best on validation", "newest", "asked for"."""

    step: int
    rule: str


def choose_step(run: Run, wanted: int | str | None = None) -> CheckpointChoice:
    """The checkpoint at a step, or the "best", or the "newest"; None is the best of a run that has ended, else the newest.

    A checkpoint counts when its weights are there: a file that only a resumed training needs hides nothing.

    Raises:
        BadRun: one sentence; the run has no such checkpoint, or its files are missing.
    """
    return _choices(_complete(run), wanted)[0]


def load_chosen(
    run: Run, wanted: int | str | None = None, file: str = "model.safetensors"
) -> tuple[CheckpointChoice, dict[str, np.ndarray], dict[str, Any]]:
    """The same with its arrays [...] by name and its state. Where it was not asked for by name, a damaged one gives way to an earlier one.

    Raises:
        BadRun: one sentence; there is no such checkpoint, or it is damaged.
    """
    run = _complete(run)
    faults: list[str] = []
    choices = _choices(run, wanted)
    while choices:
        choice = choices.pop(0)
        try:
            step, arrays, state = run.load(choice.step, file)
        except BadRun as error:
            newer = _as_it_is_now(run)
            if newer is not run:
                run, choices = newer, _choices(newer, wanted)
                continue
            faults.append(str(error))
        else:
            run.notes.extend(faults[:1])
            return CheckpointChoice(step, choice.rule), arrays, state
    raise BadRun(faults[0])


def _complete(run: Run) -> Run:
    """The run, opened again where files are missing that a training may have replaced since it was opened."""
    return _as_it_is_now(run) if any(checkpoint.fault for checkpoint in run.checkpoints()) else run


def _as_it_is_now(run: Run) -> Run:
    """The run opened again where a training has written to it since: it removes checkpoints that newer ones replace."""
    newer = Run.open(run.path)
    return run if newer.manifest is None or newer.manifest == run.manifest else newer


def _choices(run: Run, wanted: int | str | None) -> list[CheckpointChoice]:
    """What may be taken, the first choice first; never empty."""
    if run.manifest is None:
        raise BadRun(run.fault or f"{run.name} has no readable manifest.")
    every = run.checkpoints()
    usable = [checkpoint.step for checkpoint in every if not checkpoint.fault]
    if not usable:
        raise BadRun(every[-1].fault if every else f"{run.name} has no checkpoint yet; wait for its first step.")
    if isinstance(wanted, str) and wanted not in (BEST, NEWEST):
        raise BadRun(f"“{wanted}” names no checkpoint: give a step, “{BEST}” or “{NEWEST}”.")
    if isinstance(wanted, int):
        fault = next((checkpoint.fault for checkpoint in every if checkpoint.step == wanted), "")
        if wanted not in usable:
            raise BadRun(fault or f"{run.name} has no checkpoint at step {wanted:,}; there are {_listed(usable)}.")
        return [CheckpointChoice(wanted, "asked for")]
    best = [checkpoint for checkpoint in every if checkpoint.best]
    if wanted == BEST:
        if not best:
            raise BadRun(f"{run.name} has no best checkpoint, because none was judged: ask for the newest or for a step.")
        if best[0].fault:
            raise BadRun(best[0].fault)
        return [CheckpointChoice(best[0].step, "best on validation")]
    first = "newest" if usable[-1] == every[-1].step else "newest that can be read"
    newest = [CheckpointChoice(usable[-1], first), *(CheckpointChoice(step, "newest that can be read") for step in reversed(usable[:-1]))]
    if wanted is None and run.status in ENDED and best and not best[0].fault:
        return [CheckpointChoice(best[0].step, "best on validation"), *newest]
    return newest


def _listed(steps: list[int]) -> str:
    """Steps in words; of many the first and the last ones."""
    shown = [f"{step:,}" for step in steps]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:4], "…", *shown[-6:]])
