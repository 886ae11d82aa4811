"""A run as one file: `export` packs its folder, and its data where they are asked for, into a ZIP; `import` unpacks and checks it.

    bundle.json        which files there are, each with size and SHA-256, and which of them are the data
    run/...            the run's folder, without its lock and what can be computed anew
    data/NAME...       the data set that it was trained on: a file, or a folder; of a file that others of its folder belong to
                       (labels beside images) that folder with only those
    data/NAME.curation.json    the decisions about single images that its recipe carries, as they lie beside the data

A bundle comes from anywhere: names that lead out of it, files that it does not list, and bytes that are not what it says are refused
before anything stands among the runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
import zipfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Annotated

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from engine.common.run_names import name_fault, next_free
from engine.data.archives import DAMAGE, open_zip
from engine.data.curation import SUFFIX as CURATION
from engine.data.curation import carried_beside
from engine.data.dataset import BadData
from engine.data.limits import MAX_FILES
from engine.data.readers import files_beside
from engine.data.recipe import ImportRecipe, parted_name, with_recipe
from engine.storage import atomic_io
from engine.storage.disk import entries, is_link, require_room, said_plainly
from engine.storage.manifest import Manifest, read_manifest
from engine.storage.run_data import DATA_BESIDE as DATA_FOLDER
from engine.storage.run_data import opened_run_data
from engine.storage.run_files import DAMAGED, LOCK, MANIFEST, RESUME_FILE, SCORES, is_own_file, is_own_folder
from engine.storage.run_folders import BadRun, check_name, make_root
from engine.storage.run_reader import Run

LIST = "bundle.json"
RUN, DATA = "run", "data"
PLAIN, FORMAT = 1, 2  # the second where decisions about single images come with the data
DAY = 86_400.0  # seconds
PIECE = 1 << 20  # bytes read at once
UNFINISHED = ".importing-"  # and a number: a folder of runs that is not yet one
PACKED = {".png", ".jpg", ".jpeg", ".webp", ".gz", ".zip", ".npz", ".safetensors"}  # what a ZIP cannot make smaller


class BadBundle(Exception):
    """One sentence: what is wrong with a bundle, and what to do next."""


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, lt=1 << 50)]


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    name: Annotated[str, Field(max_length=200)]
    data: Annotated[str, Field(max_length=300)] = ""  # “data/NAME”
    inside: Annotated[str, Field(max_length=300)] = ""  # the file in that folder that was named, where it was one of several
    without_resume: bool = False  # what only a training that goes on needs was left out
    files: dict[Annotated[str, Field(max_length=4000)], _File]


@dataclass(frozen=True)
class Exported:
    """What a bundle holds."""

    files: int
    bytes: int  # of the files, before packing
    with_data: bool
    left_out: tuple[str, ...]  # sentences: what could not be packed
    without_resume: bool = False


@dataclass(frozen=True)
class Imported:
    """Where a bundle's run is now."""

    run: Path
    data: Path | None  # where its data are; None when they were not in the bundle
    without_resume: bool = False  # it can be looked at, but not trained further


def size_of(path: Path) -> tuple[int, int]:
    """(bytes of a run's files that a bundle carries, bytes of those among them that only a training that goes on needs)."""
    sizes = [(way[-1], _size(file)) for way, file in _own_files(path)]
    return sum(size for _, size in sizes), sum(size for name, size in sizes if name == RESUME_FILE)


def export_run(path: Path, out: Path, with_data: bool = False, without_resume: bool = False) -> Generator[tuple[int, int], None, Exported]:
    """Pack a run's folder into one file, which appears at `out` when it is whole.

    Args:
        with_data: also the data set, when it is the user's own; one that is built in needs no packing.
        without_resume: leave out what only a training that goes on needs, the optimizer's state and the trained weights beside the
            averaged ones. The run in the bundle says so of its checkpoints.

    Yields: (files packed, files).

    Raises:
        BadRun: the run cannot be read, or its data are not found, or are not what it was trained on. NoSpace.
    """
    run = Run.open(path)
    if run.manifest is None:
        raise BadRun(run.fault)
    manifest = run.manifest
    sources = {f"{RUN}/{'/'.join(way)}": file for way, file in _own_files(run.path)}
    if without_resume:
        sources = {name: file for name, file in sources.items() if file.name != RESUME_FILE}
    left_out = [fault for fault in run.verify() if fault]
    data = inside = ""
    carried: str | None = None
    place, recipe = _data_of(manifest)
    if with_data and place.is_absolute():
        place, recipe = _data_at(run)
        beside = files_beside(place)
        inside = place.name if beside else ""
        data = f"{DATA}/{(place.parent.name or 'data') if beside else place.name}"
        if beside:
            files = {f"{data}/{file.name}": file for file in (place, *beside)}
        else:
            files = {f"{DATA}/{name}": file for name, file in _tree(place, place.name)}
        if not files:
            raise BadRun(f"The data of “{run.name}” lie behind a link ({place}), which is not followed: export without --with-data.")
        if recipe.curation:
            decisions, carried = _decisions_of(run, place, recipe)
            files[f"{data}{f'/{inside}' if inside else ''}{CURATION}"] = decisions
        strange = next((name for name in files if not _allowed(name, data)), "")
        if strange:
            raise BadRun(f"“{ascii(strange)[1:-1]}” is a name that other systems cannot have: rename it, or export without --with-data.")
        sources |= files
    partial = out.with_name(f"{out.name}{atomic_io.PARTIAL}{uuid.uuid4().hex}")
    listed: dict[str, _File] = {}
    try:
        with said_plainly(out.parent, sum(_size(file) for file in sources.values())):
            with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
                for count, (name, file) in enumerate(sources.items()):
                    yield count, len(sources)
                    own = file.name == MANIFEST and name.startswith(f"{RUN}/")
                    fact = _pack_manifest(archive, name, file, without_resume, carried) if own else _pack(archive, name, file)
                    if fact is None:
                        left_out.append(f"“{name}” could not be read, so it is not in the bundle.")
                    else:
                        listed[name] = fact
                kind = FORMAT if f"{data}{CURATION}" in listed else PLAIN
                facts = _List(format=kind, name=run.name, data=data, inside=inside, without_resume=without_resume, files=listed)
                archive.writestr(LIST, facts.model_dump_json(indent=1))
            atomic_io.layer.replace(partial, out)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    return Exported(len(listed), sum(fact.bytes for fact in listed.values()), bool(data), tuple(left_out), without_resume)


def import_run(bundle: Path, root: Path, name: str | None = None) -> Generator[tuple[int, int], None, Imported]:
    """Unpack a bundle into the folder of runs `root`: the run appears there when every file of it was checked.

    Args:
        name: what the run is called; else as it was called, with a number where that is taken. Data go into a folder beside it.

    Yields: (files unpacked, files).

    Raises:
        BadBundle: no bundle, a damaged or a hostile one; nothing is kept of it. BadRun: the name, or the folder of runs. NoSpace.
    """
    if name is not None:
        check_name(name)
    make_root(root)
    try:
        archive = open_zip(bundle, MAX_FILES)
    except BadData as error:
        raise BadBundle(str(error)) from None
    except OSError as error:
        raise BadBundle(f"“{bundle}” cannot be read ({error.strerror or error}): choose a bundle that `export` has written.") from None
    _sweep(root)
    unfinished = root / f"{UNFINISHED}{uuid.uuid4().hex}"
    try:
        with archive:
            listed = _list_of(bundle, archive)
            require_room(root, sum(fact.bytes for fact in listed.files.values()))
            with said_plainly(root, sum(fact.bytes for fact in listed.files.values())):
                atomic_io.layer.make_folder(unfinished)
                for count, (inner, fact) in enumerate(listed.files.items()):
                    yield count, len(listed.files)
                    _unpack(bundle, archive, inner, fact, unfinished / inner)
        return _placed(bundle, unfinished, root, listed, name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


# -- packing -----------------------------------------------------------------------------------------------------------


def _own_files(folder: Path, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Path]]:
    """The files of a run that a bundle carries, by their path within it. Links are left where they are."""
    for entry in sorted(entries(folder), key=lambda entry: entry.name):
        inner = (*way, entry.name)
        if is_link(entry.path):
            continue
        if entry.is_dir(follow_symlinks=False):
            if is_own_folder(inner) and entry.name != SCORES:
                yield from _own_files(Path(entry.path), inner)
        elif _travels(inner):
            yield inner, Path(entry.path)


def _travels(way: tuple[str, ...]) -> bool:
    """Whether a file of that name within a run is packed and unpacked: no lock, no score that can be computed anew, no litter."""
    name = way[-1]
    if name == LOCK or name.startswith(".") or atomic_io.PARTIAL in name or DAMAGED in name or SCORES in way[:-1]:
        return False
    return is_own_file(way) and name.rpartition(".")[2] in ("json", "jsonl", "npz", "safetensors")


def _tree(path: Path, name: str, depth: int = 0) -> Iterator[tuple[str, Path]]:
    """A file, or the files of a folder, by names that begin with `name`. Links are left out."""
    if is_link(path) or depth > 32:
        return
    if path.is_file():
        yield name, path
    for entry in sorted(entries(path), key=lambda entry: entry.name) if path.is_dir() else ():
        yield from _tree(Path(entry.path), f"{name}/{entry.name}", depth + 1)


def _data_of(manifest: Manifest) -> tuple[Path, ImportRecipe]:
    """Where the data lie, and the recipe that they are read by."""
    try:
        place, recipe = parted_name(manifest.data)
    except BadData:
        return Path(), ImportRecipe()
    return Path(place), recipe


def _data_at(run: Run) -> tuple[Path, ImportRecipe]:
    """Where the run's data lie now, and how they are read; they were read and their content checked. Raises: BadRun."""
    try:
        data = opened_run_data(run, "; export without --with-data, or put the old files back")
    except BadData as error:
        raise BadRun(f"The data of “{run.name}” cannot be packed: {error}") from None
    place, recipe = parted_name(data.data)
    return Path(place), recipe


def _decisions_of(run: Run, place: Path, recipe: ImportRecipe) -> tuple[Path, str]:
    """The file of the decisions about single images, and how the bundle's recipe carries them. Raises: BadRun."""
    try:
        return carried_beside(place, recipe.curation)
    except BadData as error:
        raise BadRun(f"The data of “{run.name}” cannot be packed: {error}") from None


def _pack(archive: zipfile.ZipFile, name: str, file: Path) -> _File | None:
    """Write one file into the archive; None when it cannot be read (it was removed in the meantime)."""
    try:
        source = open(file, "rb", opener=atomic_io.no_follow)  # noqa: SIM115  # closed below; only opening may fail quietly
    except OSError:
        return None
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_STORED if file.suffix.lower() in PACKED else zipfile.ZIP_DEFLATED
    with source, archive.open(info, "w", force_zip64=True) as target:
        return _copied(source, target)


def _pack_manifest(archive: zipfile.ZipFile, name: str, file: Path, without_resume: bool, carried: str | None) -> _File | None:
    """Write a manifest that does not tell where on this machine the data lay before; `without_resume`, its checkpoints have no resume
    file; with decisions about images it names them as `carried`. As it is where that changes nothing or it cannot be read.
    """
    manifest, fault = read_manifest(file.parent)
    if manifest is None or fault or not (without_resume or manifest.former_places or carried is not None):
        return _pack(archive, name, file)
    checkpoints = manifest.checkpoints
    if without_resume:
        checkpoints = tuple(
            entry.model_copy(
                update={"resumable": False, "files": {one: fact for one, fact in entry.files.items() if one != RESUME_FILE}},
            )
            for entry in checkpoints
        )
    place, recipe = _data_of(manifest)
    if carried is not None and recipe.curation:
        manifest = manifest.model_copy(update={"data": with_recipe(str(place), replace(recipe, curation=carried))})
    content = atomic_io.seal(manifest.model_copy(update={"checkpoints": checkpoints, "former_places": ()}).model_dump())
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return _File(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _copied(source: IO[bytes], target: IO[bytes], most: int | None = None) -> _File | None:
    """Copy; None when there is more than `most` bytes."""
    digest, count = hashlib.sha256(), 0
    while piece := source.read(PIECE):
        digest.update(piece)
        count += len(piece)
        if most is not None and count > most:
            return None
        target.write(piece)
    return _File(sha256=digest.hexdigest(), bytes=count)


def _size(file: Path) -> int:
    try:
        return os.lstat(file).st_size
    except OSError:
        return 0


# -- unpacking ---------------------------------------------------------------------------------------------------------


def _list_of(bundle: Path, archive: zipfile.ZipFile) -> _List:
    """The list of a bundle, which names every file in it and no other, none of them outside a run or its data. Raises: BadBundle."""
    try:
        info = archive.getinfo(LIST)
    except KeyError:
        raise BadBundle(f"“{bundle.name}” is no bundle of a run (it has no {LIST}): choose a file that `export` has written.") from None
    try:
        if info.file_size > atomic_io.MAX_JSON_BYTES:
            raise atomic_io.Damaged("is too long")
        content = atomic_io.read_json(archive.read(info))
        if isinstance(content.get("format"), int) and content["format"] > FORMAT:
            raise BadBundle(f"“{bundle.name}” was written by a newer Priorama (format {content['format']}): update Priorama to open it.")
        listed = _List.model_validate(content)
    except (atomic_io.Damaged, pydantic.ValidationError, *DAMAGE):
        raise BadBundle(f"The list of “{bundle.name}” is damaged: export the run again, or fetch the file again.") from None
    names = [entry.filename for entry in archive.infolist()]
    if len(set(names)) != len(names) or set(names) != {LIST, *listed.files}:
        raise BadBundle(f"“{bundle.name}” holds other files than its list names, so nothing was unpacked: export the run again.")
    for name in listed.files:
        if any(str(parent) in listed.files for parent in PurePosixPath(name).parents):
            raise BadBundle(f"“{bundle.name}” has “{ascii(name)[1:61]}” below another file, so nothing was unpacked: export it again.")
        if not _allowed(name, listed.data):
            raise BadBundle(f"“{bundle.name}” was not unpacked: “{ascii(name)[1:61]}” is no file of a run; get it from a place you trust.")
        if archive.getinfo(name).file_size != listed.files[name].bytes:
            raise BadBundle(f"“{name}” in “{bundle.name}” is not as long as the list says: export the run again, or fetch it again.")
    if listed.inside and f"{listed.data}/{listed.inside}" not in listed.files:
        raise BadBundle(f"“{bundle.name}” does not hold the file of data that it names, so nothing was unpacked: export the run again.")
    if listed.data and not any(name.startswith(f"{DATA}/") and "/".join(name.split("/")[:2]) == listed.data for name in listed.files):
        raise BadBundle(f"“{bundle.name}” does not hold the data that it names, so nothing was unpacked: export the run again.")
    if f"{RUN}/{MANIFEST}" not in listed.files:
        raise BadBundle(f"“{bundle.name}” has no {MANIFEST}, so it holds no run: export the run again.")
    return listed


def _allowed(name: str, data: str) -> bool:
    """Whether a file of that name may be unpacked: one that a run writes, or one below the data's own name."""
    way = tuple(name.split("/"))
    if any(part in ("", ".", "..") or "\\" in part or ":" in part or not part.isprintable() for part in way) or len(way) > 40:
        return False
    if way[0] == RUN:
        return len(way) > 1 and _travels(way[1:])
    return way[0] == DATA and len(way) > 1 and bool(data) and ("/".join(way[:2]) == data or name == data + CURATION)


def _unpack(bundle: Path, archive: zipfile.ZipFile, name: str, fact: _File, target: Path) -> None:
    """Write one file and check what it is. Raises: BadBundle."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(name) as source, open(target, "xb") as file:
            found = _copied(source, file, fact.bytes)
            file.flush()
            os.fsync(file.fileno())
    except DAMAGE:
        found = None
    if found != fact:
        raise BadBundle(f"“{name}” in “{bundle.name}” is damaged (its SHA-256 differs), so nothing was kept: fetch or export it again.")


def _placed(bundle: Path, unfinished: Path, root: Path, listed: _List, name: str | None) -> Imported:
    """Move what was unpacked to where it stays: data first, then the run, in one step each."""
    folder = unfinished / RUN
    manifest, fault = read_manifest(folder)
    if manifest is None or fault:
        raise BadBundle(f"The run in “{bundle.name}” cannot be read: {fault}")
    taken = {entry.name for entry in entries(root)}
    if name is None:
        name = listed.name if not name_fault(listed.name) else "imported"
        while name in taken or DATA_FOLDER.format(name) in taken:
            name = next_free(name, [*taken, name])
    elif name in taken or (listed.data and DATA_FOLDER.format(name) in taken):
        raise BadRun(f"There is already a run or a folder “{name}” in {root}: choose another name.")
    _forget_places(folder)
    data: Path | None = None
    if listed.data:
        home = root / DATA_FOLDER.format(name)
        data = home / PurePosixPath(listed.data).name / listed.inside
        named = with_recipe(str(data.absolute()), _data_of(manifest)[1])
        manifest = manifest.model_copy(update={"data": named, "former_places": ()})
        atomic_io.write_file(folder / MANIFEST, atomic_io.seal(manifest.model_dump()))
        atomic_io.layer.replace(unfinished / DATA, home)
    try:
        atomic_io.layer.replace(folder, root / name)
    except OSError:
        if listed.data:
            shutil.rmtree(root / DATA_FOLDER.format(name), ignore_errors=True)
        raise
    atomic_io.layer.sync_folder(root)
    return Imported(root / name, data, listed.without_resume)


def _forget_places(folder: Path) -> None:
    """Let no manifest of an unpacked run say where its data lay on another machine: what it names would be read here."""
    for way, _ in list(_own_files(folder)):
        path = folder.joinpath(*way[:-1])
        manifest = read_manifest(path)[0] if way[-1] == MANIFEST else None
        if manifest is not None and manifest.former_places:
            atomic_io.write_file(path / MANIFEST, atomic_io.seal(manifest.model_copy(update={"former_places": ()}).model_dump()))


def _sweep(root: Path) -> None:
    """Remove what an import has left that was ended by force, a day ago or more."""
    for entry in entries(root):
        if entry.name.startswith(UNFINISHED) and not is_link(entry.path) and time.time() - entry.stat().st_mtime > DAY:
            shutil.rmtree(entry.path, ignore_errors=True)
