"""Where the data of a run are: whether a data set is still the one that it was trained on, by content and not by name, and where that
content lies now. Nothing of how a data set is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.common.counting import number_of
from engine.common.remedies import LOCATE
from engine.common.user_folders import person_path
from engine.data import BadData, DataSet, inspect, lasting
from engine.data.builtin import is_built_in
from engine.data.curation import carried_at
from engine.data.recipe import parted_name, with_recipe
from engine.messages import Event, Notice, Progress
from engine.storage.disk import DiskRefuses
from engine.storage.list_file import ListFile
from engine.storage.manifest import Manifest, move_place, place_of
from engine.storage.run_files import BESIDE
from engine.storage.run_folders import BadRun, is_run
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter

REMEDY = "; put the old files back"
PLACES = "data_places.json"  # in the folder of runs: which content was seen where
PLACES_KEPT = 300
OPENED = "data.json"  # in the folder of runs: the data sets that were opened there
DATA_BESIDE = "{}-data"  # the folder beside an imported run that its data lie in, by the run's name
HASH_SHOWN = 8  # hexadecimal digits of a content in a sentence

Reading = Generator[Event, Any, DataSet]
Reader = Callable[[str, str], Reading]  # (name of a data set, job) -> how far it is, and the set

_refuted: set[tuple[str, str]] = set()  # (name of a data set, content that it was looked into for in vain)


class DataMissing(BadData):
    """The data of a run are not where they were, and their content is at no place that is known."""


# -- content -----------------------------------------------------------------------------------------------------------


def require_same_data(
    manifest: Manifest, run: str, data_hash: str, remedy: str = REMEDY, former_hash: str = "", *, place: str = "", counts: str = ""
) -> None:
    """Check the content hash of the data that the manifest names.

    Args:
        run: the run's name, for the sentence.
        remedy: how the sentence ends.
        former_hash: what the hash would be had version 0.2 split the same data; empty where that makes no difference.
        place: what was read, where that is another place than the manifest's.
        counts: how much was read, in words.

    Raises:
        BadRun: the content is another one, or it is divided differently into training, validation and test images.
    """
    if data_hash == manifest.data_hash:
        return
    place = place or path_of(manifest.data)
    if manifest.data == "photo-patches" or (former_hash and former_hash == manifest.data_hash):
        raise BadRun(
            f"{place} was divided differently into training, validation and test images when {run} was trained, so that some "
            "of what is now held out was trained on; train a new run."
        )
    theirs, ours = _content(data_hash, counts), _content(manifest.data_hash, counted(dict(manifest.counts), manifest.kind))
    other_reading = "" if is_built_in(manifest.data) else ", or this version finds other classes or splits in it"
    raise BadRun(f"{place} is not what {run} was trained on (its content changed{other_reading}: {theirs}, the run's {ours}){remedy}.")


def counted(counts: dict[str, int], kind: str) -> str:
    """“1,797 images”, of a text in bytes; empty where nothing was counted."""
    total = sum(counts.values())
    return number_of(total, "byte" if kind == "text" else "image") if counts else ""


def _content(data_hash: str, counts: str) -> str:
    return f"SHA-256 {data_hash[:HASH_SHOWN]}…{f' of {counts}' if counts else ''}"


def _require(manifest: Manifest, run: str, data: DataSet, remedy: str, place: str = "") -> None:
    counts = counted(dict(data.report.counts), data.kind)
    require_same_data(manifest, run, data.hash, remedy, data.former_hash, place=place, counts=counts)


# -- places ------------------------------------------------------------------------------------------------------------


def path_of(data: str) -> str:
    """The path in a data set's name, without the recipe that it is read by; a built-in name as it is."""
    try:
        return parted_name(data)[0]
    except BadData:
        return data


def why_unreachable(data: str, run: str) -> str:
    """One sentence where a run's data are not there or cannot be entered, as far as that is seen without reading them; "" else."""
    path = path_of(data)
    if is_built_in(data):
        return ""
    place = person_path(path)
    try:
        found = os.stat(place)
    except FileNotFoundError:
        if os.path.islink(place):
            leads = f"which leads to “{os.readlink(place)}”, and that is not there"
            return f"The data of “{run}” lie behind the link “{path}”, {leads}: {LOCATE}."
        if not os.path.lexists(place.parent):
            drive = f"nor is the folder “{place.parent}”, so connect the drive if they lie on one, or {LOCATE}"
            return f"The data of “{run}” are not at “{path}” any more, {drive}."
        return f"The data of “{run}” are not at “{path}” any more: {LOCATE}."
    except PermissionError:
        return f"The data of “{run}” at “{path}” may not be read (a folder above them is closed to you): change its permissions."
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return f"The data of “{run}” at “{path}” cannot be reached ({why}): connect the drive that they lie on, or {LOCATE}."
    folder = os.path.isdir(place)
    if not os.access(place, os.R_OK | (os.X_OK if folder else 0)):
        right = f"the right to read that {'folder' if folder else 'file'} (its mode is {found.st_mode & 0o777:o})"
        return f"The data of “{run}” at “{path}” may not be read: give yourself {right}."
    return ""


def remember_place(root: Path, data: str, data_hash: str) -> None:
    """Note in the folder of runs that this content was seen there, so that runs whose data were moved find them. Never raises."""
    _refuted.difference_update([one for one in _refuted if one[0] == data])
    if is_built_in(data):
        return

    def edit(rows: list[object]) -> list[object]:
        others = [row for row in rows if isinstance(row, dict) and row.get("data") != data]
        return [*others, {"data": data, "hash": data_hash}][-PLACES_KEPT:]

    file = ListFile(lambda: root, PLACES)
    try:
        if {"data": data, "hash": data_hash} not in file.read():
            file.change(edit, [])
    except (OSError, ValueError):
        file.change(edit, [])


def forget_refuted(manifest: Manifest) -> None:
    """Let a run's data be looked for again at every place where they were looked for in vain: what lies there may have been mended."""
    _refuted.difference_update([one for one in _refuted if one[1] == manifest.data_hash])


def known_places(run: Run) -> Iterator[str]:
    """Names under which a run's data may be found, likeliest first: where their content was seen, where they lay before, where other
    runs of the same content have them, and sets of the same file name that were opened.
    """
    manifest, root = run.manifest, _root_of(run)
    assert manifest is not None
    rows = _rows(root, PLACES)
    seen = {row["data"]: row.get("hash") for row in rows if isinstance(row, dict) and isinstance(row.get("data"), str)}
    yield from (data for data in reversed(seen) if seen[data] == manifest.data_hash)
    yield from reversed(manifest.former_places)
    name = os.path.basename(path_of(manifest.data))
    yield str(root / DATA_BESIDE.format(run.name) / name)  # the folder of runs was moved, and they with it
    for other in list_runs(root):
        if other.manifest is not None and other.manifest.data_hash == manifest.data_hash:
            yield place_of(other.manifest)
            yield from reversed(other.manifest.former_places)
    opened = [str(data) for data in _rows(root, OPENED) if data not in seen]
    yield from (data for data in reversed(opened) if os.path.basename(path_of(data)) == name)


def _root_of(run: Run) -> Path:
    """The folder of runs that a run lies in; of a background model the one that its owner lies in."""
    within = run.path.name in BESIDE and is_run(run.path.parent)
    return run.path.parent.parent if within else run.path.parent


def _rows(root: Path, name: str) -> list[object]:
    try:
        return ListFile(lambda: root, name).read()
    except (OSError, ValueError):
        return []


# -- finding -----------------------------------------------------------------------------------------------------------


def read_data(data: str, job: str = "") -> Reading:
    """The data set of that name. Raises: BadData."""
    for item in inspect(data, job):
        if isinstance(item, DataSet):
            return item
        if isinstance(item, Event):  # no first answer, which was not wished for
            yield item
    raise AssertionError("inspect ends with a data set")


def open_run_data(run: Run, job: str = "", remedy: str = REMEDY, read: Reader = read_data) -> Reading:
    """What a run was trained on: from its place, else from wherever its content is known to lie. Where it was found is a `Notice`, and the
    run's manifest takes it.

    Args:
        remedy: how the sentence ends that its content changed.
        read: how a data set is read; a session keeps what it has read.

    Raises:
        BadRun: the content is another one. DataMissing: there is none. BadData: it cannot be read.
    """
    manifest = run.manifest
    if manifest is None:
        raise BadRun(run.fault)
    name = place_of(manifest)
    try:
        if why := why_unreachable(name, run.name):
            raise DataMissing(why)
        data = yield from read(name, job)
        _require(manifest, run.name, data, remedy, path_of(name))
        return data
    except (BadData, BadRun) as error:
        found = None if is_built_in(name) else (yield from _search(run, manifest, name, job, read))
        if found is None:
            raise error from None
    note_place(run, found.data)
    yield Notice("info", f"The data of “{run.name}” were found by their content: they lie in “{path_of(found.data)}” now.")
    return found


def opened_run_data(run: Run, remedy: str = REMEDY) -> DataSet:
    """The same at once. Raises as `open_run_data`."""
    steps = open_run_data(run, "", remedy)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def ready_place(run: Run, job: str = "") -> Generator[Event, Any, str]:
    """Under which name a run's data can be opened; where they are not at their place they are looked for. Raises: as `open_run_data`."""
    assert run.manifest is not None
    if why_unreachable(place_of(run.manifest), run.name):
        return (yield from open_run_data(run, job)).data
    return place_of(run.manifest)


def locate(run: Run, data: str, job: str = "", read: Reader = read_data) -> Reading:
    """Check that a run's data lie there, or in a folder of their old name there, and note it in the run.

    `data` may carry a recipe of its own; without one they are read by the run's.

    Raises:
        BadData: it cannot be read. BadRun: it holds another content; the sentence says which.
    """
    manifest = run.manifest
    if manifest is None:
        raise BadRun(run.fault)
    given = lasting(data)
    places = [given]
    if not is_built_in(given) and not parted_name(given)[1].changed():
        within = os.path.join(given, os.path.basename(path_of(manifest.data)))
        places = [name_at(manifest, place) for place in (within, given) if place == given or os.path.exists(place)]
    faults: list[BadData | BadRun] = []
    for place in places:
        try:
            found = yield from read(place, job)
            _require(manifest, run.name, found, "; choose the files that it was trained on, or train a new run", path_of(place))
        except (BadData, BadRun) as error:
            faults.append(error)
        else:
            note_place(run, found.data)
            return found
    raise faults[-1]


def name_at(manifest: Manifest, place: str) -> str:
    """What a run’s data are called at another place: of the same recipe and the same decisions, which may have stayed behind."""
    recipe = parted_name(manifest.data)[1]
    if recipe.curation:
        formerly = [path_of(name) for name in (place_of(manifest), manifest.data, *reversed(manifest.former_places))]
        recipe = replace(recipe, curation=carried_at(place, recipe.curation, formerly))
    return with_recipe(place, recipe)


def note_place(run: Run, name: str) -> None:
    """Let a run's data be opened as `name` from now on, and its manifest say so where it can be written."""
    manifest = run.manifest
    assert manifest is not None
    move_place(manifest, name)
    remember_place(_root_of(run), name, manifest.data_hash)
    if name == manifest.data or run.fault:
        return
    try:
        with RunWriter.resume(run.path) as writer:
            writer.set_data(name)
    except (BadRun, DiskRefuses, OSError):
        return  # being trained, or not ours to write: it is found again the same way


def _search(run: Run, manifest: Manifest, tried: str, job: str, read: Reader) -> Generator[Event, Any, DataSet | None]:
    """The run's data at one of the places that are known; None where they are at none."""
    names = {tried}
    for known in known_places(run):
        name = name_at(manifest, path_of(known))
        if name in names or is_built_in(name):
            continue
        names.add(name)
        if (name, manifest.data_hash) in _refuted or why_unreachable(name, run.name):
            continue
        yield Progress(job, str(run.path), 0, None, "image", 0.0, None, f"Looking for its data in {path_of(name)}")
        try:
            found = yield from read(name, job)
        except BadData:
            found = None
        if found is not None and found.hash == manifest.data_hash:
            return found
        _refuted.add((name, manifest.data_hash))
    return None
