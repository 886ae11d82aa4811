"""Which run a verb's words mean."""

from __future__ import annotations

import argparse
from pathlib import Path

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
