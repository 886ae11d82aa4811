"""Which run a verb's words mean, and where its data are."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.console import Console
from engine.cli.errors import Failed
from engine.common.user_folders import person_path


def runs_root(options: argparse.Namespace) -> Path:
    """The folder of runs: --runs, or the usual one."""
    from engine.storage.run_folders import default_root

    return person_path(options.runs) if options.runs else default_root()


def run_path(options: argparse.Namespace, name: str | None = None) -> Path:
    """A run by folder or by name; the verb's own when no name is given. Raises: Failed."""
    wanted = options.run if name is None else name
    for path in (person_path(wanted), runs_root(options) / wanted):
        if (path / "manifest.json").exists() or (path / "checkpoints").is_dir():
            return path
    raise Failed(f"There is no run “{wanted}” here or in {runs_root(options)}; name its folder, or use --runs.")


def add_place_of_data(sub: argparse.ArgumentParser) -> None:
    """The option that says where a run's data are now."""
    sub.add_argument("--data", default="", metavar="D", help="where the run's own data are now, if they were moved or renamed")


def located_run_path(options: argparse.Namespace, console: Console) -> Path:
    """The verb's run, after its data were looked for where `--data` says. Raises: Failed. BadRun: other content. BadData."""
    path = run_path(options)
    if options.data:
        locate_data(path, options.data, console)
    return path


def locate_data(run: Path, data: str, console: Console) -> None:
    """Note in a run where its data are now, and say so; nothing where they lie there as it is. Raises: BadRun: other content. BadData."""
    from engine.data import lasting
    from engine.storage.manifest import place_of
    from engine.storage.run_data import locate, path_of
    from engine.storage.run_reader import Run

    opened = Run.open(run)
    if opened.manifest is not None and lasting(data) in (place_of(opened.manifest), path_of(place_of(opened.manifest))):
        return
    found = console.run(locate(opened, data))
    console.note(f"The data of “{opened.name}” lie in “{path_of(found.data)}” now: their content is the same.")
