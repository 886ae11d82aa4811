"""The figures a run ends with: its best checkpoint on the whole test split, read once and kept in the run's manifest."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.common.intervals import share_error
from engine.evaluation.evaluate import evaluate
from engine.messages import Progress
from engine.queries.probing import report
from engine.queries.session import CannotAnswer
from engine.storage.checkpoint_choice import BEST, NEWEST, choose_step
from engine.storage.manifest import FinalReading
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.recorder import versions

SPLIT = "test"
PROBED = 10_000  # training images of a linear probe, and at most as many that it is asked about


def final_figures(path: Path, k: int = 128, seed: int = 0, job: str = "") -> Generator[Progress, None, tuple[FinalReading, int]]:
    """Score the best checkpoint, or the newest where none was judged, on all test images, and write the figures into the manifest.

    What `evaluate` measures; of an encoder that it has nothing to score of, a linear probe and the vote of neighbours.

    Returns:
        The figures, and how many such readings the run has now: from the second on, something may have been chosen by the first.

    Raises:
        BadRun: a training writes the run, or it cannot be read. BadData. CannotAnswer: nothing of it can be measured. NoSpace, Unwritable.
    """
    run = Run.open(path)
    if run.manifest is None:
        raise BadRun(run.fault)
    if run.writer is not None:
        raise BadRun(f"“{run.name}” is being trained: read its final figures when the training has ended.")
    with RunWriter.resume(path) as writer:  # before the test images are read: what cannot be kept is not read
        judged = any(checkpoint.best and not checkpoint.fault for checkpoint in run.checkpoints())
        choice = choose_step(run, BEST if judged else NEWEST)
        try:
            found = yield from evaluate(path, choice.step, None, k, seed, job, SPLIT)
            images, values = found.images, found.values
            settings: dict[str, Any] = {"k": k, "seed": seed, "limit": None}
        except CannotAnswer:
            told = yield from report(path, step=choice.step, limit=PROBED, split=SPLIT)
            images, settings = told["n_test"], {"limit": PROBED, "n_train": told["n_train"]}
            values = {name: told[name] for name in ("linear", "knn", "random_init_linear", "pixels_linear") if name in told}
            values |= {f"{name}_se": share_error(share, images) for name, share in values.items()}
        date = datetime.now(UTC).isoformat(timespec="seconds")
        reading = FinalReading(
            split=SPLIT,
            step=choice.step,
            step_rule=choice.rule,
            images=images,
            settings=settings,
            values=values,
            date=date,
            versions=versions(),
        )
        writer.add_final_figures(reading)
        return reading, len(writer.manifest.final_figures)
