"""The background model of a likelihood ratio: the run's own method and settings, trained on mutated images (Ren et al. 2019).

It is a run folder of its own, `background` within the run's folder, so it moves and is deleted with it, and the list of runs
does not show it.
"""

from __future__ import annotations

from pathlib import Path

from engine.runs import BadRun, Run, delete_run, is_run
from engine.train import Events, Plan, train

FOLDER = "background"
MUTATION = 0.2  # of all numbers in a batch; the middle of the authors' grid, chosen on no other data


def build_background(run: Path, steps: int | None = None, minutes: float | None = None, job: str = "", device: str = "auto") -> Events:
    """Train it, or go on with one that was left unfinished; events and verbs as in `train`. Without an end: as many steps as the run has.

    Raises:
        BadRun: the run cannot be used. TrainingFailed, BadData: as in `train`.
    """
    owner = Run.open(run)
    if owner.manifest is None:
        raise BadRun(owner.fault)
    manifest = owner.manifest
    if manifest.kind != "images":
        raise BadRun(f"{owner.name} is a model of {manifest.kind}; a background model is built for models of images.")
    if not steps and not minutes:
        steps = max(1, manifest.step)
    path = owner.path / FOLDER
    if is_run(path):
        if Run.open(path).newest_resumable() is not None:
            return (yield from train(Plan("", "", steps=steps, minutes=minutes, device=device), owner.path, job, resume=path))
        delete_run(path)  # it never came to a checkpoint
    plan = Plan(
        method=manifest.method,
        data=manifest.data,
        config=dict(manifest.changed),
        seed=manifest.seed,
        steps=steps,
        minutes=minutes,
        device=device,
        name=FOLDER,
        mutation=MUTATION,
    )
    return (yield from train(plan, owner.path, job))


def find_background(run: Path) -> tuple[Run | None, str, bool]:
    """The finished background model beside a run; or why there is none, in one sentence, and whether `build_background` helps."""
    path = Path(run) / FOLDER
    if not is_run(path):
        return (
            None,
            "It needs a background model, the same method trained on images with random pixels: build it, or use --background.",
            True,
        )
    found = Run.open(path)
    if found.manifest is None:
        return (
            None,
            f"Its background model cannot be read ({found.fault}); delete the folder “{FOLDER}” in the run’s folder and build it again.",
            False,
        )
    if found.status in ("training", "queued"):
        return None, "Its background model is being trained; wait until that has ended.", False
    if found.status not in ("done", "stopped"):
        return None, f"The training of its background model was left at step {found.manifest.step:,}; build it to go on from there.", True
    if not any(checkpoint.step > 0 and not checkpoint.fault for checkpoint in found.checkpoints()):
        return None, "Its background model has no trained checkpoint; build it to go on.", True
    return found, "", False
