"""The verb `train`, and how a training is driven: its progress, its notices, its end by a signal."""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.import_options import add_import_options, data_named
from engine.cli.parser import VerbParsers, pairs, positive, positive_int, seed
from engine.cli.runs import locate_data, runs_root

PAUSE_SECONDS = 0.1  # between two looks for a signal while the disk is full


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add("train", train_method, "Train a method on a data set.")
    sub.add_argument("method", metavar="METHOD")
    sub.add_argument("--data", required=True, metavar="D", help="a built-in name or a path")
    sub.add_argument("--steps", type=positive_int, help="optimizer steps in total, also with --resume; else 45 epochs: 500 to 4,000")
    sub.add_argument("--minutes", type=positive, help="minutes of training in total")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method")
    sub.add_argument("--seed", type=seed, help="seed of weights, order and noise; 0 when left out")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    sub.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="number format of the networks")
    sub.add_argument("--runs", metavar="DIR", help="where runs are kept")
    sub.add_argument("--name", help="name of the run's folder")
    sub.add_argument("--resume", action="store_true", help="go on with the run of that name; --data may be the new place of its data")
    add_import_options(sub)


def train_method(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"run", "step", "images_per_second", "metrics", "status"}; a signal stops it and keeps what it learned."""
    settings: dict[str, Any] = dict(pairs(options.set))
    if options.resume and not options.name:
        raise Usage("--resume needs --name, the name of the run to go on with.")
    from engine.config import make_config
    from engine.methods import method_named
    from engine.storage.run_folders import BadRun, run_named
    from engine.training.loop import train
    from engine.training.plan import Plan, ResumePlan

    settings = {name: value for name, value in vars(make_config(method_named(options.method).Config, settings)).items() if name in settings}
    plan = Plan(
        method=options.method,
        data=data_named(options.data, options),
        config=settings,
        seed=options.seed or 0,
        steps=options.steps,
        minutes=options.minutes,
        device=options.device,
        precision=options.precision,
        name=options.name,
    )
    root, going_on = runs_root(options), None
    if options.resume:
        path = run_named(root, options.name)
        _require_same_run(path, plan, options.seed)
        try:
            locate_data(path, plan.data, console)
        except BadRun as error:
            raise Usage(str(error)) from None
        going_on = ResumePlan(path, plan.steps, plan.minutes, plan.device)
    outcome, latest = drive(train(going_on or plan, root), console)
    return {
        "run": outcome.run,
        "step": outcome.step,
        "images_per_second": round(outcome.images_per_second, 1),
        "metrics": latest,
        "status": outcome.status,
    }


def _require_same_run(path: Path, plan: Any, seed: int | None) -> None:
    """A run goes on as it was begun; what was asked for must not differ. Raises: Usage, BadRun."""
    from engine.storage.run_reader import Run

    manifest = Run.open(path).manifest
    if manifest is None:
        return  # train says what is wrong with it
    differing = [f"{name} {manifest.config.get(name)}" for name, value in plan.config.items() if manifest.config.get(name) != value]
    if plan.method != manifest.method:
        differing.append(f"method {manifest.method}")
    if seed is not None and seed != manifest.seed:
        differing.append(f"seed {manifest.seed}")
    if differing:
        raise Usage(f"{path.name} was begun with {', '.join(differing)} and goes on as it was; name the same, or start a new run.")


def drive(events: Generator[Any, Any, Any], console: Console) -> tuple[Any, dict[str, float]]:
    """Advance a training to its end; a signal stops it and keeps what there is. Returns its outcome and the last numbers."""
    from engine import messages as m

    latest: dict[str, float] = {}
    with console.signals.gently():
        try:
            event = next(events)
            while True:
                match event:
                    case m.Metrics():
                        latest |= {name: float(values[-1]) for name, (_, values) in event.points.items()}
                    case m.Stalled():
                        console.note(event.message)
                        _wait(event.retry_seconds, console)
                    case m.Notice():
                        console.note(event.text)
                    case m.Progress():
                        rate = f"{event.rate:,.0f} images/s" if event.unit == "step" else ""
                        loss = f"loss {latest['loss']:.4g}" if "loss" in latest else ""
                        console.show(event, " · ".join(part for part in (rate, loss) if part))
                event = events.send("stop" if console.stopped else None)
        except StopIteration as end:
            console.say(f"{end.value.message} {end.value.run}")
            return end.value, latest


def _wait(seconds: float, console: Console) -> None:
    until = time.monotonic() + seconds
    while not console.stopped and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
