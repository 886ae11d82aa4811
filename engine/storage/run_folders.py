"""Folders of runs: where they live, what they may be called, how one is made, locked and removed. Not what is in them."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from pathlib import Path

from engine.common.run_names import name_fault, next_free
from engine.common.user_folders import user_folder
from engine.storage import atomic_io
from engine.storage.disk import DiskRefuses, Linked, NoSpace, entries, is_link, said_plainly
from engine.storage.file_lock import Held, Lock
from engine.storage.run_files import (
    BESIDE,
    CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    CHECKPOINTS,
    FINAL_FIGURES,
    LOCK,
    MANIFEST,
    METRICS,
    PROBE,
    foreign_in,
    remove_own,
)

NAMED = 3  # files that a sentence names
SLACK_BYTES = 64 << 10  # what a save needs beside its files: manifest, folder entries, rounding up to blocks
HUSK_SECONDS = 60.0  # a run has its manifest much sooner
_GONE = ".removed-"
_GONE_FOLDER = re.compile(re.escape(_GONE) + "[0-9a-f]+")


class BadRun(Exception):
    """One sentence: which file, what is wrong, what to do next."""


class InUse(BadRun):
    """Another process writes this run now."""


class RunGone(BadRun):
    """The folder of a run that is being written was moved or removed."""


def default_root() -> Path:
    """Where runs live: `$PRIORAMA_RUNS`, or the user's data folder."""
    named = os.environ.get("PRIORAMA_RUNS")
    return Path(named).absolute() if named else user_folder("data") / "runs"


def is_run(path: Path) -> bool:
    """Whether a folder holds anything of a run. One with nothing but a lock never became one; one with other files was deleted."""
    if any(os.path.lexists(os.path.join(path, name)) for name in (MANIFEST, METRICS, PROBE, FINAL_FIGURES)):
        return True
    checkpoints = os.path.join(path, CHECKPOINTS)
    folders = [entry.path for entry in entries(Path(checkpoints)) if CHECKPOINT_FOLDER.fullmatch(entry.name)]
    files = (file.name for folder in folders for file in entries(Path(folder)))
    return is_link(checkpoints) or any(CHECKPOINT_FILE.fullmatch(name) for name in files)


def run_named(root: Path, name: str) -> Path:
    """The folder of the run of that name in `root`. Raises: BadRun: the name would lead out of `root`."""
    check_name(name)
    return Path(os.path.abspath(root)) / name


def delete_run(path: Path) -> tuple[str, ...]:
    """Remove a run's folder; of one that is a link, only the link.

    Returns:
        What is not the run's own; it stays, with the folder.

    Raises:
        BadRun: it is no run folder, or it cannot be removed.
        InUse: a process writes it now.
    """
    path = Path(os.path.abspath(path))
    if not path.is_dir() or not is_run(path):
        raise BadRun(f"“{path}” is no run folder, so nothing was removed.")
    if path.name in BESIDE and is_link(path.parent):
        raise BadRun(f"“{path.parent}” is a link, so nothing behind it was removed: open the folder it leads to.")
    try:
        if is_link(path):
            atomic_io.layer.remove(path)
            return ()
        for folder in (path, *(path / name for name in BESIDE if is_run(path / name))):  # and what is trained beside it
            if not is_link(folder) and not is_link(folder / LOCK):
                take_lock(folder).release()
        return remove_folder(path)
    except OSError as error:
        raise BadRun(f"“{path}” cannot be removed ({_why(error)}): change the folder's permissions.") from None


def what_stays(path: Path, foreign: tuple[str, ...]) -> str:
    """A sentence about what a removal has left, with a space before it; "" when it left nothing."""
    if not foreign:
        return ""
    named = ", ".join(foreign[:NAMED]) + (f" and {len(foreign) - NAMED:,} more" if len(foreign) > NAMED else "")
    return f" What is not the run's own stays in “{path}”: {named}; move or remove it there, until then no other run can have its name."


def take_lock(path: Path, at: int | None = None) -> Lock:
    """The lock of a run's folder, held by this process until it is released; `at` is the handle of the folder.

    Raises:
        InUse: another process holds it. NoSpace. BadRun: the folder cannot be written.
    """
    try:
        return Lock(path / LOCK, at)
    except Held as error:
        raise InUse(str(error)) from None
    except NoSpace:
        raise
    except Linked as error:
        raise BadRun(str(error)) from None
    except OSError as error:
        raise BadRun(f"“{path}” cannot be written ({_why(error)}): change the folder's permissions or copy the run elsewhere.") from None


def remove_folder(path: Path) -> tuple[str, ...]:
    """Remove a run's folder: first out of sight in one step, then file by file, so that a crash leaves no half run in the list.

    Returns:
        What is not the run's own; then the folder stays where it is, with only that in it.

    Raises:
        OSError: the folder cannot be moved out of sight; nothing was removed.
    """
    foreign = tuple(foreign_in(path))
    if foreign:
        remove_own(path)
        return foreign
    hidden = path.with_name(f"{_GONE}{uuid.uuid4().hex}")
    atomic_io.layer.replace(path, hidden)
    with contextlib.suppress(OSError):
        atomic_io.layer.sync_folder(path.parent)
    remove_own(hidden)
    return ()


def sweep(root: Path) -> None:
    """Remove what an interrupted removal has left in the folder of runs; never a link, and nothing but a run's own files."""
    for entry in entries(root):
        if _GONE_FOLDER.fullmatch(entry.name) and not is_link(entry.path):
            remove_own(Path(entry.path))


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
        path = root / name
        if not _make_run_folder(path):
            if is_run(path) or is_link(path):
                raise BadRun(f"There is already a run “{name}”: choose another name, or go on with that run.")
            if not (_is_husk(path) and _remake(path)):
                other = next_free(name, [entry.name for entry in entries(root)])
                raise BadRun(f"“{path}” is there already and is no run: choose another name, for example “{other}”, or move it away.")
        return path
    count = 1
    while not _make_run_folder(root / f"{stem}-{count}"):
        count += 1
    return root / f"{stem}-{count}"


def make_root(root: Path) -> None:
    """Make the folder of runs where there is none yet. Raises: BadRun: it cannot be made. NoSpace."""
    try:
        with said_plainly(root.parent, SLACK_BYTES):
            root.mkdir(parents=True, exist_ok=True)
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"Runs cannot be kept in “{root}” ({_why(error)}): choose another folder with --runs or PRIORAMA_RUNS.") from None


def _is_husk(path: Path) -> bool:
    """Whether a folder is what a run has left that was ended before it had a manifest, and not one that is being made right now."""
    with contextlib.suppress(OSError):
        return path.is_dir() and not any(foreign_in(path)) and time.time() - path.stat().st_mtime > HUSK_SECONDS
    return False


def _remake(path: Path) -> bool:
    with contextlib.suppress(InUse, BadRun, DiskRefuses):
        take_lock(path).release()
        remove_own(path)
        return _make_run_folder(path)
    return False


def _make_run_folder(path: Path) -> bool:
    try:
        with said_plainly(path.parent, SLACK_BYTES):
            atomic_io.layer.make_folder(path)
    except FileExistsError:
        return False
    except NoSpace:
        raise
    except OSError as error:
        raise BadRun(f"The folder “{path}” cannot be made ({_why(error)}): choose another name or another folder for runs.") from None
    return True


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
