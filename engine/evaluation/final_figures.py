"""The figures a run ends with: its best checkpoint on the whole test split, read once and kept in the run's manifest."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.evaluation.evaluate import evaluate
from engine.messages import Event
from engine.queries.probing import report
from engine.queries.session import CannotAnswer
from engine.storage.checkpoint_choice import BEST, NEWEST, choose_step
from engine.storage.manifest import FinalReading
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.recorder import versions

SPLIT = "test"
PROBED = 10_000  # training images that a linear probe is fitted on, where nobody says how many

Figures = tuple[int, dict[str, Any], dict[str, Any]]  # images, settings, values
Measure = Callable[[int], Generator[Event, None, Figures]]


def final_figures(path: Path, k: int = 128, seed: int = 0, job: str = "") -> Generator[Event, None, tuple[FinalReading, int]]:
    """Score the best checkpoint, or the newest where none was judged, on all test images, and write the figures into the manifest.

    What `evaluate` measures; of an encoder that it has nothing to score of, what `final_probe` does.

    Returns:
        The figures, and how many such readings the run has now: from the second on, something may have been chosen by the first.

    Raises:
        BadRun: a training writes the run, or it cannot be read. BadData. CannotAnswer: nothing of it can be measured. NoSpace, Unwritable.
    """

    def measure(step: int) -> Generator[Event, None, Figures]:
        try:
            found = yield from evaluate(path, step, None, k, seed, job, SPLIT)
        except CannotAnswer:
            return (yield from _probed(path, step, PROBED, False, (), job))
        return found.images, {"k": k, "seed": seed, "limit": None}, found.values

    return (yield from _read(path, measure))


def final_probe(
    path: Path, limit: int = PROBED, blocks: bool = False, shares: tuple[float, ...] = (), job: str = ""
) -> Generator[Event, None, tuple[FinalReading, int]]:
    """Fit probes to features of the best checkpoint on `limit` training images, ask all test images, and write it into the manifest.

    Returns and raises what `final_figures` does.
    """
    return (yield from _read(path, lambda step: _probed(path, step, limit, blocks, shares, job)))


def _probed(path: Path, step: int, limit: int, blocks: bool, shares: tuple[float, ...], job: str) -> Generator[Event, None, Figures]:
    told = yield from report(path, "", step, limit, SPLIT, blocks, shares, whole_split=True, job=job)
    settings = {"limit": None, "train_limit": limit, "blocks": blocks, "labels": list(shares)}
    return told["n_test"], settings, {name: value for name, value in told.items() if name not in ("step", "step_rule", "split")}


def _read(path: Path, measure: Measure) -> Generator[Event, None, tuple[FinalReading, int]]:
    run = Run.open(path)
    if run.manifest is None:
        raise BadRun(run.fault)
    if run.writer is not None:
        raise BadRun(f"“{run.name}” is being trained: read its final figures when the training has ended.")
    with RunWriter.resume(path) as writer:  # before the test images are read: what cannot be kept is not read
        judged = any(checkpoint.best and not checkpoint.fault for checkpoint in run.checkpoints())
        choice = choose_step(run, BEST if judged else NEWEST)
        images, settings, values = yield from measure(choice.step)
        reading = FinalReading(
            split=SPLIT,
            step=choice.step,
            step_rule=choice.rule,
            images=images,
            settings=settings,
            values=values,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
        )
        writer.add_final_figures(reading)
        return reading, len(writer.manifest.final_figures)
