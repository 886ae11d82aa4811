"""manifest.json: what it says, how it is read, and how it is rebuilt from the checkpoints when it is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from engine.common.data_names import name_with, path_and_decisions, split_name
from engine.messages import RunFigure
from engine.storage import atomic_io
from engine.storage.disk import entries, is_link
from engine.storage.final_readings import FinalReading as FinalReading
from engine.storage.final_readings import readings_of
from engine.storage.old_names import VOCABULARY, figures_today, settings_today
from engine.storage.run_files import CHECKPOINTS, MANIFEST, PROBE, RESUME_FILE, STATE

FORMAT = 1
LAST_SECOND = 253_402_300_800  # of the year 9999, the last that a date can be made of
PLACES_KEPT = 16  # where a run's data lay before
LONGEST_PLACE = 8192  # characters: a path and a recipe
_YOUNG_SECONDS = 0.1  # a file changed within a clock tick can look unchanged, so a young one is read again

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=200)]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Side = Annotated[int, Field(ge=1, le=1 << 16)]  # of an image: channels, rows, columns


class FileFact(BaseModel):
    """SHA-256 and size of a file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: str
    bytes: Count
    step: Count | None = None


class CheckpointEntry(BaseModel):
    """What the manifest says of one checkpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    step: Count
    folder: FileName
    resumable: bool
    keep: bool
    best: bool = False
    files: dict[FileName, FileFact]


class RunMetadata(BaseModel):
    """What a training knows of a new run before its first step."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    method: str
    title: str
    config: dict[str, Any]
    changed: dict[str, Any]
    data: str
    data_name: str
    data_hash: str
    counts: dict[str, Count] = {}  # images of each split, of a text bytes; absent before version 0.4
    recipe: dict[str, Any] = {}  # the decisions by which the data are read, as JSON; they stand in `data` too
    preprocessing: dict[str, Any] = {}  # how files became pixels, and dropped images do: what differs from the defaults
    shape: Annotated[tuple[Side, ...], Field(max_length=3)]
    classes: tuple[str, ...] = ()
    kind: Annotated[str, Field(pattern="^(images|text)$")] = "images"
    symbols: tuple[Annotated[int, Field(ge=0, le=0x10FFFF)], ...] = ()
    units: Annotated[str, Field(pattern="^(characters|bytes)$")] = "characters"
    words: tuple[str, ...] = ()  # of captions
    seed: Annotated[int, Field(ge=-(1 << 62), lt=1 << 62)]
    versions: dict[str, str] = {}  # of the libraries that its numbers depend on
    device: str = ""
    precision: str = ""
    capabilities: tuple[str, ...] = ()
    total_steps: Count | None = None
    minutes: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None

    @pydantic.field_validator("config", "changed", mode="before")
    @classmethod
    def _plain(cls, values: Any) -> Any:
        """numpy's numbers as Python's."""
        if not isinstance(values, dict):
            return values
        return {name: atomic_io.plain(v) if isinstance(v, np.generic | np.ndarray) else v for name, v in values.items()}


class Facts(RunMetadata):
    """What a run is. Every checkpoint repeats it, so that a lost manifest can be rebuilt."""

    format: int = FORMAT
    vocabulary: int  # which names stand in it: see `old_names`; absent in version 0.1.0
    name: str
    created: float = Field(ge=0, lt=LAST_SECOND)  # seconds since the epoch

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_names_of_today(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        content = content | figures_today(str(content.get("method")), {key: content[key] for key in ("best", "newest") if key in content})
        if "vocabulary" in content:
            return content
        settings = {key: content[key] for key in ("config", "changed") if isinstance(content.get(key), dict)}
        today = {key: settings_today(str(content.get("method")), values) for key, values in settings.items()}
        return {**content, **today, "vocabulary": VOCABULARY}


class Manifest(Facts):
    """All of manifest.json. Fields of later versions are ignored."""

    status: str
    message: str = ""
    diverged: bool = False  # it failed because its numbers ran away: no training goes on from its checkpoints
    step: Count = 0
    headline: str = ""  # the number of the best checkpoint in words; of the newest in version 0.1.0
    best: RunFigure | None = None  # of the best checkpoint; absent in version 0.1.0, as is the next
    newest: RunFigure | None = None
    files: dict[FileName, FileFact] = {}
    checkpoints: tuple[CheckpointEntry, ...] = ()  # by step
    final_figures: tuple[FinalReading, ...] = ()  # oldest first; absent before version 0.3
    former_places: tuple[str, ...] = ()  # of the data on this machine, as `data` names them now, oldest first; in no bundle

    @pydantic.field_validator("former_places")
    @classmethod
    def _few_places(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        """The newest of them: each is a folder that is read when the data are looked for."""
        return tuple(place for place in places if len(place) <= LONGEST_PLACE)[-PLACES_KEPT:]


_places: dict[tuple[str, str], str] = {}  # (name of a data set, its content) -> its name where it lies now


def place_of(manifest: Manifest) -> str:
    """Under which name a run's data are opened: what the manifest says, or where this process has found them since."""
    name, seen = manifest.data, set[str]()
    while (name, manifest.data_hash) in _places and name not in seen:
        seen.add(name)
        name = _places[name, manifest.data_hash]
    return name


def move_place(manifest: Manifest, name: str) -> None:
    """For this process the run's data are opened as `name`, also where the manifest cannot be written."""
    _places.pop((name, manifest.data_hash), None)
    for old in {manifest.data, place_of(manifest)}:
        move_data(old, manifest.data_hash, name)


def move_data(old: str, data_hash: str, name: str) -> None:
    """For this process a data set of that content is opened as `name`."""
    _places.pop((name, data_hash), None)
    if old != name:
        _places[old, data_hash] = name


def moved_data(data: str) -> str:
    """Where nothing lies at a data set's path any more: its name at the place where this process has found it since; else as it is."""
    path, decisions = path_and_decisions(data)
    now, seen = path, set[str]()
    while now not in seen and not os.path.lexists(now):
        seen.add(now)
        now = next((split_name(new)[0] for (old, _), new in reversed([*_places.items()]) if split_name(old)[0] == now), now)
    return data if now == path else name_with(now, decisions)


def parse_manifest(data: bytes) -> Manifest:
    """Raises: atomic_io.Damaged."""
    content = atomic_io.unseal(data)
    version = content.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise _Newer(f"was written by a newer Priorama (format {version}, this one reads {FORMAT})")
    try:
        return Manifest.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise atomic_io.Damaged(f"does not describe a run ({where}: {first['msg']})") from None


class _Newer(atomic_io.Damaged):
    pass


_manifests: dict[str, tuple[tuple[int, ...], Manifest | None, str]] = {}
_manifests_lock = threading.Lock()


def read_manifest(path: Path) -> tuple[Manifest | None, str]:
    """The manifest and what is wrong with it; read again only when the file is another one."""
    file = path / MANIFEST
    try:
        found = os.lstat(file)
        signature = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)
    except OSError:
        signature = ()
    with _manifests_lock:
        known = _manifests.get(str(path))
    if known and signature and known[0] == signature:
        return known[1], known[2]
    try:
        manifest, fault = parse_manifest(atomic_io.read_file(file, limit=atomic_io.MAX_JSON_BYTES)), ""
    except _Newer as reason:
        return None, f"{MANIFEST} of “{path.name}” {reason}: update Priorama to open it."
    except atomic_io.Damaged as reason:
        return _rebuild(path, str(reason))
    if signature and abs(time.time() - signature[2] / 1e9) > _YOUNG_SECONDS:
        with _manifests_lock:
            _manifests[str(path)] = (signature, manifest, fault)
    return manifest, fault


def forget_manifests(root: Path, there: Collection[str]) -> None:
    """Keep no manifest of a folder in `root` that is not `there` any more, nor of what lay within it."""
    before = os.path.join(os.path.abspath(root), "")
    with _manifests_lock:
        for path in list(_manifests):
            if path.startswith(before) and path[len(before) :].split(os.sep)[0] not in there:
                del _manifests[path]


def _rebuild(path: Path, reason: str) -> tuple[Manifest | None, str]:
    """A manifest from what the checkpoints repeat of it."""
    folders = [] if is_link(path / CHECKPOINTS) else [Path(entry.path) for entry in entries(path / CHECKPOINTS)]
    found = [about for folder in folders if not is_link(folder) and (about := _read_state(folder)) is not None]
    probes = [probe for _, _, probe in found if probe is not None]
    if not found:
        sentence = "and no checkpoint is left to rebuild it from: delete this run or put the file back."
        return None, f"{MANIFEST} of “{path.name}” {reason}, {sentence}"
    by_step = {entry.step: entry for _, entry, _ in found}
    checkpoints = _one_best([by_step[step] for step in sorted(by_step)])
    files = {PROBE: probes[-1]} if probes else {}
    readings, lost = readings_of(path)
    facts = {**vars(found[-1][0]), "status": "training", "step": checkpoints[-1].step, "checkpoints": checkpoints, "files": files}
    sentence = f"it was rebuilt from the checkpoints, without status{'' if probes else ', fixed images'} and best number."
    sentence = f"{MANIFEST} of “{path.name}” {reason}; {sentence}{' ' if lost else ''}{lost}"
    return Manifest(**facts, final_figures=readings), sentence


def _read_state(folder: Path) -> tuple[Facts, CheckpointEntry, FileFact | None] | None:
    """What a checkpoint's folder tells about itself and its run; None when it does not."""
    try:
        data = atomic_io.read_file(folder / STATE, limit=atomic_io.MAX_JSON_BYTES)
        content = atomic_io.unseal(data)
        facts = Facts.model_validate(content["run"])
        entry = CheckpointEntry.model_validate({**content["checkpoint"], "folder": folder.name})
        probe = content.get("probe")  # absent in version 0.2.0
        probe = None if probe is None else FileFact.model_validate(probe)
    except (atomic_io.Damaged, pydantic.ValidationError, KeyError, TypeError):
        return None
    if facts.format > FORMAT:
        return None
    own = atomic_io.fact_of(data)
    files = {**entry.files, STATE: FileFact(sha256=own.sha256, bytes=own.bytes, step=entry.step)}
    if not os.path.lexists(folder / RESUME_FILE):
        files.pop(RESUME_FILE, None)  # removed on purpose when newer ones had come
    return facts, entry.model_copy(update={"files": files, "resumable": entry.resumable and RESUME_FILE in files}), probe


def _one_best(checkpoints: list[CheckpointEntry]) -> tuple[CheckpointEntry, ...]:
    best = max((entry.step for entry in checkpoints if entry.best), default=-1)
    return tuple(entry.model_copy(update={"best": entry.step == best}) for entry in checkpoints)
