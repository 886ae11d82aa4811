"""The background models of likelihood ratios: second models of a run's data, with which its likelihood is compared.

`mutated` is the run's own method and settings, trained on mutated images (Ren et al. 2019). `local` is a PixelCNN that sees only a
small window before each pixel (Zhang et al. 2021). Each is a run folder of its own within the run's folder, so it moves and is deleted
with it, and the list of runs does not show it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.detectors.base import LOCAL, LOCAL_SIDE, MUTATED, background_kinds
from engine.queries.session import unloaded
from engine.storage.run_data import ready_place
from engine.storage.run_folders import BadRun, delete_run, is_run
from engine.storage.run_reader import Run
from engine.training.loop import Events, train
from engine.training.plan import Plan, ResumePlan

FOLDERS = {MUTATED: "background", LOCAL: "local"}
NEEDS = {
    MUTATED: "It needs a background model, the same method trained on images with random pixels: build it, or use --background.",
    LOCAL: "It needs a local model of the same images, which sees only a small window: build it, or use --background.",
}
MUTATION = 0.2  # of all numbers in a batch; the middle of the authors' grid, chosen on no other data
NEARBY = {"layers": 1, "cell_layers": 0}  # of a PixelCNN: sees 5 rows above, 4 columns to either side and 6 pixels to the left
LOCAL_STEPS = 2000  # the only number that was tried at full size


def build_background(
    run: Path, steps: int | None = None, minutes: float | None = None, job: str = "", device: str = "auto", kind: str = MUTATED
) -> Events:
    """Train it, or go on with one that was left unfinished; events and verbs as in `train`.

    Without an end a mutated one takes as many steps as the run has; a local one never takes more than `steps` or `LOCAL_STEPS`.

    Raises:
        BadRun: the run cannot be used, or the model has diverged. TrainingFailed, BadData: as in `train`.
    """
    owner = Run.open(run)
    if owner.manifest is None:
        raise BadRun(owner.fault)
    manifest = owner.manifest
    if manifest.kind != "images":
        raise BadRun(f"{owner.name} is a model of {manifest.kind}; a background model is built for models of images.")
    if kind == LOCAL:
        steps = steps or LOCAL_STEPS
    elif not steps and not minutes:
        steps = max(1, manifest.step)
    path = owner.path / FOLDERS[kind]
    if is_run(path):
        former = Run.open(path)
        if former.manifest is not None and former.manifest.diverged:
            raise BadRun(_diverged(kind, former.manifest.message))
        if former.newest_resumable() is not None:
            return (yield from train(ResumePlan(path, steps, minutes, device), owner.path, job))
        delete_run(path)  # it never came to a checkpoint
    plan = Plan(
        method=manifest.method,
        data=(yield from ready_place(owner, job)),
        config=dict(manifest.changed),
        seed=manifest.seed,
        steps=steps,
        minutes=minutes,
        device=device,
        name=FOLDERS[kind],
        mutation=MUTATION,
    )
    if kind == LOCAL:
        method = unloaded(manifest)
        if LOCAL not in background_kinds(method):
            raise BadRun(
                f"{owner.name} has no local model to be compared with: its density is not of single pixel values, "
                f"or its images are smaller than {LOCAL_SIDE}×{LOCAL_SIDE}."
            )
        plan = replace(plan, method="pixel_cnn", config={**NEARBY, "levels": method.pixel_levels}, mutation=0.0)
    return (yield from train(plan, owner.path, job))


def find_background(run: Path, kind: str = MUTATED) -> tuple[Run | None, str, bool]:
    """The finished background model beside a run; or why there is none, in one sentence, and whether `build_background` helps."""
    path = Path(run) / FOLDERS[kind]
    if not is_run(path):
        return None, NEEDS[kind], True
    found = Run.open(path)
    name = f"{kind} background model"
    if found.manifest is None:
        return (
            None,
            f"Its {name} cannot be read ({found.fault}); delete the folder “{FOLDERS[kind]}” in the run’s folder and build it again.",
            False,
        )
    if found.status in ("training", "queued"):
        return None, f"Its {name} is being trained; wait until that has ended.", False
    if found.manifest.diverged:
        return None, _diverged(kind, found.manifest.message), False
    if found.status not in ("done", "stopped"):
        return None, f"The training of its {name} was left at step {found.manifest.step:,}; build it to go on from there.", True
    if not any(checkpoint.step > 0 and not checkpoint.fault for checkpoint in found.checkpoints()):
        return None, f"Its {name} has no trained checkpoint; build it to go on.", True
    return found, "", False


def _diverged(kind: str, message: str) -> str:
    """That no training goes on from it, nor from the start: the same settings and seed end there again."""
    return f"Its {kind} background model diverged, and building it with the same settings would end there again. {message}".rstrip()
