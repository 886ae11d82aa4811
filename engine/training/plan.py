"""What a person asked for, and what it means here: `resolve` finds method, settings, device and precision once, `fit` adds what the data
and the runs it builds on decide. Nothing is trained and nothing written here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import device as devices
from engine import precision as precisions
from engine.common.run_length import default_steps
from engine.common.user_folders import person_path
from engine.config import make_config, require_effect
from engine.data import DataSet, lasting
from engine.method import Method
from engine.methods import method_named
from engine.storage.checkpoint_choice import load_chosen
from engine.storage.manifest import place_of
from engine.storage.pretrained_folder import Pretrained, open_pretrained
from engine.storage.run_data import require_same_data
from engine.storage.run_folders import BadRun, is_run
from engine.storage.run_reader import Run
from engine.training.resume_state import checked, unusable

PRECISIONS = ("auto", "fp32", "bf16")


class TrainingFailed(RuntimeError):
    """One sentence: what went wrong, at which step, and what to change."""


class NotFinite(TrainingFailed):
    """One sentence: a number is infinite or none, which with the same settings it would be again."""


@dataclass(frozen=True)
class Plan:
    """A new run. JSON-able."""

    method: str
    data: str
    config: dict[str, Any] = field(default_factory=dict)  # changed settings only
    seed: int = 0
    steps: int | None = None  # in total
    minutes: float | None = None  # of training time, in total
    device: str = "auto"
    precision: str = "auto"
    name: str | None = None
    mutation: float = 0.0  # share of the numbers of every training batch that are replaced by random ones: a background model's data

    def bounded(self, images: int | None, batch_size: int) -> Plan:
        """With an end: where none was named, so many epochs of the training images as `default_steps` says."""
        return self if self.steps or self.minutes else replace(self, steps=default_steps(images, batch_size))


@dataclass(frozen=True)
class ResumePlan:
    """Going on exactly with a run; all else is as it was begun."""

    run: Path
    steps: int | None = None  # in total; None, and no minutes: as it was planned
    minutes: float | None = None  # of training time, in total
    device: str = "auto"  # the one it was begun with


@dataclass(frozen=True)
class Parent:
    """A run that a method builds on: which setting names it, how it was configured, its newest weights."""

    setting: str
    method: str
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class ResolvedPlan:
    """A plan with all it names found on this machine."""

    plan: Plan  # with an end, and with the settings that parents and pretrained weights decide
    method: type[Method]
    config: Any  # all settings
    device: str
    precision: str
    resumed: Run | None = None  # the run to go on with
    parents: tuple[Parent, ...] = ()
    pretrained: Pretrained | None = None

    def with_settings(self, settings: dict[str, Any]) -> ResolvedPlan:
        """The same plan with some settings changed. Raises: BadSetting."""
        if not settings:
            return self
        plan = replace(self.plan, config={**self.plan.config, **settings})
        return replace(self, plan=plan, config=make_config(self.method.Config, plan.config))


def resolve(plan: Plan | ResumePlan) -> ResolvedPlan:
    """Method, settings, device and precision of a plan, or of the run it goes on with; no data are read yet.

    Raises:
        TrainingFailed: the run has no checkpoint to go on from, or has diverged.
        BadRun, BadSetting, UnknownMethod, NoDevice: each one sentence.
    """
    old = None
    if isinstance(plan, ResumePlan):
        old = Run.open(plan.run)
        plan = _plan_of(old, plan)
    else:
        plan = replace(plan, data=lasting(plan.data))
    method = method_named(plan.method)
    device = devices.choose(plan.device)
    config = make_config(method.Config, plan.config)
    resolved = ResolvedPlan(plan, method, config, device, precisions.resolve(plan.precision, device), old)
    if old is not None:
        return resolved
    require_effect(config)
    return resolved.with_settings(method.settings_to_keep(config))


def fit(resolved: ResolvedPlan, data: DataSet, root: Path) -> ResolvedPlan:
    """The plan with the weights it begins with and the settings that these decide. A resumed run has them in its own checkpoint.

    Raises:
        TrainingFailed: data of another kind, or a parent that does not fit.
        BadRun: other data than the resumed run's, or a parent that cannot be read.
        BadSetting, BadBackbone: each one sentence.
    """
    _check_data(resolved, data)
    images = len(data.splits["train"]) if data.kind == "images" else None
    resolved = replace(resolved, plan=resolved.plan.bounded(images, resolved.config.batch_size))
    if resolved.resumed is not None:
        return resolved
    parents = _parents(resolved, root, data)
    for parent in parents:
        resolved = resolved.with_settings(resolved.method.settings_from(parent.setting, parent.method, parent.config))
    setting = resolved.method.pretrained_setting
    folder = getattr(resolved.config, setting) if setting else ""
    pretrained = open_pretrained(folder) if folder else None
    if pretrained is not None:
        resolved = resolved.with_settings(resolved.method.settings_from_pretrained(pretrained))
    return replace(resolved, parents=tuple(parents), pretrained=pretrained)


def _plan_of(old: Run, wish: ResumePlan) -> Plan:
    """The plan a run was started with, with the new end and device."""
    if old.manifest is not None and old.manifest.diverged:
        raise TrainingFailed(f"“{old.name}” diverged, and going on with the same settings would end there again. {old.manifest.message}")
    step = old.newest_resumable()
    if step is None:
        raise TrainingFailed(f"{old.path.name} has no checkpoint that training could go on from; start a new run.")
    assert old.manifest is not None
    stored = checked(old.load(step, "state.json")[2], old.path.name, step).plan
    if stored.method != old.manifest.method:
        raise unusable(old.path.name, step, f"it is of the method {stored.method}, the run of {old.manifest.method}")
    if stored.precision not in PRECISIONS:
        raise unusable(old.path.name, step, f"there is no precision “{stored.precision}”")
    begun: dict[str, Any] = {**vars(stored), "config": dict(old.manifest.config)}  # defaults as they were when it began
    plan = Plan(**begun)
    steps, minutes = (wish.steps, wish.minutes) if wish.steps or wish.minutes else (plan.steps, plan.minutes)
    device = plan.device if wish.device == "auto" else wish.device
    return replace(plan, data=place_of(old.manifest), steps=steps, minutes=minutes, device=device)


def _check_data(resolved: ResolvedPlan, data: DataSet) -> None:
    plan, wanted, old = resolved.plan, resolved.method.accepts, resolved.resumed
    if data.kind != wanted:
        choose = "text" if wanted == "text" else "data set of images"
        raise TrainingFailed(f"{plan.method} learns from {wanted} and {data.name} is {data.kind}; choose a {choose}.")
    if old is not None and old.manifest is not None:
        require_same_data(old.manifest, old.path.name, data.hash, "; put the old files back or start a new run", data.former_hash)


def _parents(resolved: ResolvedPlan, root: Path, data: DataSet) -> list[Parent]:
    """The runs that a method builds on: its settings name them, by a name in `root` (or beside the run that `root` is) or by a folder.

    Raises:
        TrainingFailed: it is no run, one of another method, or of images of another shape.
        BadRun: it cannot be read.
    """
    found = []
    for setting, wanted in resolved.method.parents.items():
        name = getattr(resolved.config, setting)
        if not name:
            continue
        shelf = root.parent if is_run(root) else root  # a background model is a run within a run
        path = next((path for path in (shelf / name, person_path(name)) if is_run(path)), None)
        if path is None:
            kinds = wanted or "a method with an encoder"
            raise TrainingFailed(f"There is no run “{name}” in {shelf}, nor a run's folder “{name}”; name a run of {kinds} as {setting}.")
        run = Run.open(path)
        manifest = run.manifest
        if manifest is None:
            raise BadRun(run.fault)
        if not wanted and "encode" not in manifest.capabilities:
            raise TrainingFailed(f"{path.name} is a run of {manifest.method}, which has no encoder; name another run as {setting}.")
        if wanted and manifest.method != wanted:
            raise TrainingFailed(f"{path.name} is a run of {manifest.method}; name a run of {wanted} as {setting}.")
        if tuple(manifest.shape) != tuple(data.shape):
            theirs, ours = ("×".join(map(str, shape)) for shape in (manifest.shape, data.shape))
            raise TrainingFailed(f"{path.name} takes images of {theirs}, {data.name} has {ours}; name a run of that shape as {setting}.")
        found.append(Parent(setting, manifest.method, dict(manifest.config), load_chosen(run)[1]))
    return found
