"""Folders of runs: where they live, what they may be called, how one is made, locked and removed. Not what is in them."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

from engine.common.run_names import name_fault
from engine.storage import atomic_io
from engine.storage.atomic_io import NoSpace
from engine.storage.file_lock import Held, Lock
from engine.storage.manifest import CHECKPOINTS, MANIFEST
from engine.storage.metrics_file import METRICS

PROBE = "probe.npz"
LOCK = "writer.lock"
SLACK_BYTES = 64 << 10  # what a save needs beside its files: manifest, folder entries, rounding up to blocks
_GONE = ".removed-"


class BadRun(Exception):
    """One sentence: which file, what is wrong, what to do next."""


class InUse(BadRun):
    """Another process writes this run now."""


def default_root() -> Path:
    """Where runs live: `$PRIORAMA_RUNS`, or the user's data folder."""
    import platformdirs

    named = os.environ.get("PRIORAMA_RUNS")
    return Path(named).absolute() if named else platformdirs.user_data_path("priorama", appauthor=False) / "runs"


def is_run(path: Path) -> bool:
    """Whether a folder holds anything of a run. A folder with nothing but a lock never became one."""
    return any(os.path.lexists(os.path.join(path, name)) for name in (MANIFEST, CHECKPOINTS, METRICS, PROBE))


def delete_run(path: Path) -> None:
    """Remove a run's folder.

    Raises:
        BadRun: it is no run folder.
        InUse: a process writes it now.
    """
    path = Path(path).absolute()
    if not path.is_dir() or not is_run(path):
        raise BadRun(f"“{path}” is no run folder, so nothing was removed.")
    for folder in (
        path,
        *(Path(entry.path) for entry in atomic_io.entries(path) if is_run(Path(entry.path))),
    ):  # and what is trained beside it
        take_lock(folder).release()
    remove_folder(path)


def take_lock(path: Path) -> Lock:
    """The lock of a run's folder, held by this process until it is released.

    Raises:
        InUse: another process holds it. NoSpace. BadRun: the folder cannot be written.
    """
    try:
        return Lock(path / LOCK)
    except Held as error:
        raise InUse(str(error)) from None
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"“{path}” cannot be written ({error.strerror}): change the folder's permissions or copy the run elsewhere.") from None


def remove_folder(path: Path) -> None:
    """First out of sight in one step, then file by file: a crash in between leaves no half run in the list."""
    hidden = path.with_name(f"{_GONE}{uuid.uuid4().hex}")
    atomic_io.layer.replace(path, hidden)
    atomic_io.layer.sync_folder(path.parent)
    atomic_io.remove_tree(hidden)


def sweep(root: Path) -> None:
    """Remove what an interrupted removal has left in the folder of runs."""
    for entry in atomic_io.entries(root):
        if entry.name.startswith(_GONE):
            atomic_io.remove_tree(Path(entry.path))


def check_name(name: str) -> None:
    """Raises: BadRun: the name cannot be a folder's on every system."""
    fault = name_fault(name)
    if fault:
        raise BadRun(fault)


def safe_name(text: str) -> str:
    """Any text as a piece of a run's name."""
    return re.sub(r"[^\w.-]+", "-", text.replace("_", "-")).encode()[:40].decode(errors="ignore").strip("-.") or "data"


def new_folder(root: Path, name: str | None, stem: str) -> Path:
    """An empty folder of that name in `root`; without a name the first free one of `<stem>-<n>`.

    Raises:
        BadRun: the name cannot be a folder's or is taken, or `root` cannot be written. NoSpace.
    """
    if name is not None:
        check_name(name)
        if not _make_run_folder(root / name):
            raise BadRun(f"There is already a run “{name}”: choose another name, or go on with that run.")
        return root / name
    count = 1
    while not _make_run_folder(root / f"{stem}-{count}"):
        count += 1
    return root / f"{stem}-{count}"


def make_root(root: Path) -> None:
    """Make the folder of runs where there is none yet. Raises: BadRun: it cannot be made. NoSpace."""
    try:
        with atomic_io.no_space(root.parent, SLACK_BYTES):
            root.mkdir(parents=True, exist_ok=True)
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"Runs cannot be kept in “{root}” ({error.strerror}): choose another folder with --runs or PRIORAMA_RUNS.") from None


def _make_run_folder(path: Path) -> bool:
    try:
        with atomic_io.no_space(path.parent, SLACK_BYTES):
            atomic_io.layer.make_folder(path)
    except FileExistsError:
        return False
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"The folder “{path}” cannot be made ({error.strerror}): choose another name or another folder for runs.") from None
    return True
