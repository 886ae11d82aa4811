"""Data sets of one name told apart: by their parent folders where they lie in several, else by the decisions they are read by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath

from engine.common.data_names import split_name
from engine.messages import DataInfo


def told_apart(infos: Iterable[DataInfo]) -> tuple[list[DataInfo], dict[str, str]]:
    """(The sets, those of one name in several folders with “in FOLDER” in their summary; a title for each that no other has)."""
    infos = list(infos)
    places = {info.data: "" if info.built_in else split_name(info.data)[0] for info in infos}
    named: dict[str, list[DataInfo]] = defaultdict(list)
    for info in infos:
        named[info.name].append(info)
    made, titles = [], {}
    for info in infos:
        alike = named[info.name]
        own = places[info.data]
        others = {places[one.data] for one in alike} - {own}
        folder = f"in {_folder(own, others)}" if own and others else ""
        same_place = sum(places[one.data] == own for one in alike) > 1
        titles[info.data] = " · ".join(filter(None, (info.name, folder, info.decided if same_place else "")))
        made.append(replace(info, summary=f"{folder} · {info.summary}") if folder else info)
    return made, titles


def _folder(path: str, others: Iterable[str]) -> str:
    """As many of the last folders above a path as no other path has above it."""
    parts = PurePath(path).parts[:-1]
    tails = [PurePath(other).parts[:-1] for other in others if other]
    for count in range(1, len(parts) + 1):
        if all(parts[-count:] != other[-count:] for other in tails):
            return "/".join(parts[-count:]).replace("//", "/")
    return str(PurePath(*parts))
