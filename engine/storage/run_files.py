"""The names that a run's folder is made of. Only what bears one of them, and litter of file managers, is ever removed; all
else in it belongs to somebody else."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from engine.storage import atomic_io
from engine.storage.disk import Linked, entries, folder_held, is_link

MANIFEST = "manifest.json"
METRICS = "metrics.jsonl"
PROBE = "probe.npz"
FINAL_FIGURES = "final_figures.json"
LOCK = "writer.lock"
CHECKPOINTS = "checkpoints"
STATE = "state.json"
MODEL_FILE = "model.safetensors"
RESUME_FILE = "resume.safetensors"  # what only a training that goes on needs
SCORES = "scores"
BESIDE = ("background", "local")  # runs within a run: its background models

DAMAGED = ".damaged-"  # and a date: how a file is called that was kept because it could not be read
_PARTIAL = rf"({re.escape(atomic_io.PARTIAL)}[0-9a-f]+)?"
_NAMED = r"manifest\.json|metrics\.jsonl|probe\.npz|final_figures\.json"
RUN_FILE = re.compile(rf"writer\.lock|({_NAMED})({re.escape(DAMAGED)}[0-9a-f-]+)?{_PARTIAL}")
CHECKPOINT_FOLDER = re.compile(r"step-[0-9]{8,}(-[0-9]+)?")
CHECKPOINT_FILE = re.compile(rf"(model\.safetensors|resume\.safetensors|state\.json){_PARTIAL}")
LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.directory|\.localized", re.IGNORECASE)  # of file managers
SCORES_FILE = re.compile(rf"[A-Za-z0-9_.-]+-[0-9a-f]{{32}}\.npz{_PARTIAL}")


def is_own_file(way: tuple[str, ...]) -> bool:
    """Whether a run writes a file of that name, or a file manager leaves one in every folder that it shows, which nobody misses.

    `way` is its path from the run's folder on, name by name.
    """
    if len(way) > 1 and way[0] in BESIDE:
        return is_own_file(way[1:])
    match way:
        case (*folder, name) if LITTER.fullmatch(name):
            return not folder or is_own_folder(tuple(folder))
        case (name,):
            return RUN_FILE.fullmatch(name) is not None
        case ("scores", name):
            return SCORES_FILE.fullmatch(name) is not None
        case ("checkpoints", folder, name):
            return bool(CHECKPOINT_FOLDER.fullmatch(folder) and CHECKPOINT_FILE.fullmatch(name))
    return False


def is_own_folder(way: tuple[str, ...]) -> bool:
    """Whether a run makes a folder of that name."""
    if len(way) > 1 and way[0] in BESIDE:
        return is_own_folder(way[1:])
    match way:
        case (name,):
            return name in (CHECKPOINTS, SCORES, *BESIDE)
        case ("checkpoints", folder):
            return CHECKPOINT_FOLDER.fullmatch(folder) is not None
    return False


def foreign_in(folder: Path, way: tuple[str, ...] = ()) -> Iterator[str]:
    """What lies in a run's folder and is not the run's, each by its path within. Links are looked at and not followed."""
    for entry in entries(folder):
        inner = (*way, entry.name)
        if entry.is_dir(follow_symlinks=False) and not is_link(entry.path):
            if is_own_folder(inner):
                yield from foreign_in(Path(entry.path), inner)
            else:
                yield "/".join(inner) + "/"
        elif not is_own_file(inner) and not is_own_folder(inner):
            yield "/".join(inner)


def remove_own(folder: Path, at: int | None = None, way: tuple[str, ...] = ()) -> None:
    """Remove what of a folder is a run's own, and the folder itself once it is empty, as far as the system lets us.

    A link that bears one of our names is removed itself; what it leads to is not touched. `at` is the handle of the folder that
    `folder` lies in, `way` what it is within the run.
    """
    with contextlib.suppress(OSError, Linked):
        with folder_held(folder, at) as handle:
            for entry in entries(folder, handle):
                remove_own_entry(folder / entry.name, handle, (*way, entry.name))
        atomic_io.layer.remove_folder(folder, at)


def remove_own_entry(path: Path, at: int | None, way: tuple[str, ...]) -> None:
    """Remove a file, a link or a folder with what is in it, if it is a run's own, as far as the system lets us."""
    with contextlib.suppress(OSError):
        if is_link(path, at):
            if is_own_file(way) or is_own_folder(way):
                _remove_link(path, at)
        elif _is_folder(path, at):
            if is_own_folder(way):
                remove_own(path, at, way)
            elif is_own_file(way):
                atomic_io.layer.remove_folder(path, at)  # one that stood where a file must; only if it is empty
        elif is_own_file(way):
            atomic_io.layer.remove(path, at)


def _remove_link(path: Path, at: int | None) -> None:
    try:
        atomic_io.layer.remove(path, at)
    except PermissionError:
        if os.name != "nt":
            raise
        atomic_io.layer.remove_folder(path, at)  # a junction


def _is_folder(path: Path, at: int | None) -> bool:
    try:
        return (os.lstat(path) if at is None else os.stat(path.name, dir_fd=at, follow_symlinks=False)).st_mode & 0o170000 == 0o040000
    except OSError:
        return False
