"""Data sets of the window's list that were moved: taken at their new place when the content is the same, with the decisions about single
images that lay beside them, and for the runs that were trained on them.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.common.data_names import short_name
from engine.data import BadData, lasting
from engine.data.curation import carried_at, file_of, keep, places_of, read
from engine.data.recipe import parted_name, with_recipe
from engine.messages import Event
from engine.storage.disk import DiskRefuses
from engine.storage.list_file import ListFile
from engine.storage.manifest import move_data, place_of
from engine.storage.run_data import HASH_SHOWN, PLACES, Reader, counted, name_at, note_place, path_of, read_data, remember_place
from engine.storage.run_reader import list_runs


def content_of(root: Path, data: str) -> str:
    """The hash of a data set's content when it was read last, here or by a run in that folder of runs; "" where nobody knows it."""
    try:
        rows = ListFile(lambda: root, PLACES).read()
    except (OSError, ValueError):
        rows = []
    seen = [row.get("hash") for row in rows if isinstance(row, dict) and row.get("data") == data]
    if seen and isinstance(seen[-1], str):
        return seen[-1]
    manifests = [run.manifest for run in list_runs(root) if run.manifest is not None]
    return next((one.data_hash for one in manifests if data in (one.data, place_of(one))), "")


def locate_listed(root: Path, data: str, place: str, job: str = "", reader: Reader = read_data) -> Generator[Event, Any, tuple[str, bool]]:
    """(the name of a listed set whose files lie at a place now, or in a folder of their old name there; whether its content was compared).

    Raises:
        BadData: it cannot be read there, or is another set; one sentence.
    """
    old = path_of(data)
    expected = content_of(root, data)
    given = lasting(place)
    within = os.path.join(given, os.path.basename(old))
    faults: list[BadData] = []
    for now in ([within] if os.path.exists(within) else []) + [given]:
        try:
            found = yield from reader(_name_at(data, now), job)
            if expected and expected not in (found.hash, found.former_hash):
                of = f" of {counts}" if (counts := counted(dict(found.report.counts), found.kind)) else ""
                raise BadData(
                    f"“{now}” is another set than “{short_name(data)}” (its content is SHA-256 {found.hash[:HASH_SHOWN]}…{of}, that of the "
                    f"listed one {expected[:HASH_SHOWN]}…); choose where its files lie now, or open this one as a set of its own."
                )
        except BadData as error:
            faults.append(error)
            continue
        _bring_decisions(old, now)
        name = _name_at(data, now)
        hashes = {found.hash, found.former_hash} - {""}
        runs = [(run, run.manifest) for run in list_runs(root) if run.manifest is not None]
        for run, manifest in runs:
            if manifest.data_hash in hashes and path_of(place_of(manifest)) == old:
                note_place(run, name_at(manifest, now))
        move_data(data, found.hash, name)
        remember_place(root, name, found.hash)
        return name, bool(expected)
    raise faults[-1]


def _name_at(data: str, place: str) -> str:
    """What a data set is called at another place: of the same decisions, whose file may have stayed behind."""
    old, recipe = parted_name(data)
    if recipe.curation:
        recipe = replace(recipe, curation=carried_at(place, recipe.curation, [old]))
    return with_recipe(place, recipe)


def _bring_decisions(old: str, now: str) -> None:
    """Keep the decisions about single images beside the data where they lie now, unless some lie there; the old file stays."""
    with suppress(BadData, DiskRefuses, OSError):
        log = next((log for file in places_of(old) if (log := read(file)).steps), None)
        if log is not None and not read(file_of(now)).steps:
            keep(now, log)
