"""Images that belong together by what a person said: of one patient, one tile, one photograph. No drawn split parts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.common.counting import is_or_are, number_of
from engine.data.dataset import Source
from engine.data.label_tables import LabelTable
from engine.data.recipe import ImportRecipe

OFFERED = 20  # columns that a note names
SERIES = 5  # folders of a series, of which one can be held out


@dataclass
class Grouping:
    """Which picture is in which group, and where that is from."""

    of: dict[str, str] = field(default_factory=dict)  # picture -> group; one without any stands alone
    found_in: str = "none"  # "folder" | "TABLE:COLUMN" | the name of an array | "none"
    tables: list[str] = field(default_factory=list)  # that were used
    notes: list[str] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)  # table -> columns that could be the group
    likely: str = ""  # "TABLE:COLUMN" that by its name is the group, though nobody asked for it


def grouping_of(pictures: list[str], tables: list[LabelTable], recipe: ImportRecipe, around: Mapping[str, str] | None = None) -> Grouping:
    """The groups that a recipe asks for: by the innermost folder or by the column of a table, “patient” or “meta.csv:patient”.

    Args:
        around: picture -> the folder around its class, where folders of a series (patients) hold those of the classes; it is the group.
    """
    result = Grouping(columns={table.path: columns for table in tables if (columns := table.group_columns())})
    if recipe.group == "folder":
        result.of = dict(around) if around else {path: folder for path in pictures if (folder := path.rpartition("/")[0])}
        result.found_in = "folder"
        if not result.of:
            result.found_in = "none"
            result.notes.append("No image lies in a folder of its own, so folders group none (group folder).")
    elif recipe.group:
        _by_column(recipe.group, tables, result)
    else:
        for table in tables:
            if column := table.likely_group(result.columns.get(table.path, [])):
                result.likely = f"{table.path}:{column}"
                result.notes.append(
                    f"The column “{column}” of {table.path} may say which images belong together; group {column} keeps them in one split."
                )
                break
        if around and not result.likely and len(set(around.values())) >= SERIES:
            result.likely = "folder"
            result.notes.append("Each folder around the classes may be one patient or source; group folder keeps its images in one split.")
    return result


def _by_column(asked: str, tables: list[LabelTable], result: Grouping) -> None:
    place, _, column = asked.rpartition(":")
    linked: dict[str, str] = {}  # group -> one that it is the same as, through an image of both
    for table in tables:
        name = asked if asked in table.headings else column if place in ("", table.path) else ""
        values = table.values(name)
        for picture, cell in values:
            first, other = _root(linked, result.of.setdefault(picture, cell)), _root(linked, cell)
            if first != other:
                linked[max(first, other)] = min(first, other)
        if values:
            result.tables.append(table.path)
            result.found_in = f"{table.path}:{name}"
    result.of = {picture: _root(linked, group) for picture, group in result.of.items()}
    if linked:
        result.notes.append(
            f"{number_of(len(linked), 'group')} {'shares' if len(linked) == 1 else 'share'} an image with another (it has several "
            f"rows), and {is_or_are(len(linked))} one group with it."
        )
    if not result.of:
        offered = [f"“{column}” ({path})" for path, columns in result.columns.items() for column in columns]
        result.notes.append(
            f"No table has a column “{asked}”, so images are not grouped; there are: {', '.join(offered[:OFFERED]) or 'none'}."
        )


def _root(linked: dict[str, str], group: str) -> str:
    """The group that stands for all that a group is linked to; every one on the way is linked to it directly (path compression)."""
    way = []
    while group in linked:
        way.append(group)
        group = linked[group]
    for one in way:
        linked[one] = group
    return group


def number_groups(source: Source, found_in: str, groups: dict[str, list[str]]) -> None:
    """Number the groups of the images of each part [N], and say how many there are; "" stands alone.

    They are not used, and that is said, where every class would be one group: a split would then lack whole classes.
    """
    if found_in == "none" or not groups:
        return
    number = {name: place for place, name in enumerate(sorted({name for names in groups.values() for name in names if name}))}
    free = len(number)
    for split, part in source.parts.items():
        part.groups = np.empty(len(groups[split]), np.int64)
        for place, name in enumerate(groups[split]):
            part.groups[place] = number[name] if name else free
            free += not name
    what = "folder" if found_in == "folder" else f"“{found_in.rpartition(':')[2]}”"
    if _a_class_each(source, len(number)):
        for part in source.parts.values():
            part.groups = None
        source.understood["groups"] = "none"
        source.notes.append(f"Every class is one {what}, so grouping by it would keep whole classes out of training; it was not used.")
        return
    source.grouped_by, source.group_names = what, tuple(number)
    source.understood["group_count"] = free
    alone = free - len(number)
    table = found_in.rpartition(":")[0]
    where = f" of {table}" if table else ""
    rest = f"; {number_of(alone, 'image')} {'has none and stands' if alone == 1 else 'have none and stand'} alone" if alone else ""
    source.notes.append(f"Images of one {what}{where} stay together in one split: {number_of(len(number), 'group')}{rest}.")


def _a_class_each(source: Source, count: int) -> bool:
    """Whether groups 0 … count - 1 say no more than the classes do."""
    if len(source.classes) < 2 or any(part.labels is None for part in source.parts.values()):
        return False
    pairs = {
        pair
        for part in source.parts.values()
        if part.labels is not None and part.groups is not None
        for pair in zip(part.labels.tolist(), part.groups.tolist(), strict=True)
    }
    groups_of: dict[int, set[int]] = {}
    for label, group in pairs:
        groups_of.setdefault(label, set()).add(group)
    return count > 0 and all(len(groups) == 1 for groups in groups_of.values())


def torn_groups(source: Source, kept: Mapping[str, np.ndarray] | None = None, listed: int = 5) -> list[str]:
    """A warning for groups that a source's own splits tear apart, among the images that are `kept` (of each part bool [N]; None: all).

    Only that is said: a split that was given is not changed.
    """
    groups = {name: part.groups for name, part in source.parts.items() if part.groups is not None}
    parts = {name: some if kept is None else some[kept[name]] for name, some in groups.items()}
    parts = {name: some for name, some in parts.items() if len(some)}
    held_out = [name for name in parts if name in ("valid", "test")]
    notes = []
    for name in held_out:
        others = [groups for other, groups in parts.items() if other != name and other != "test"]
        if not others:
            continue
        torn = np.intersect1d(parts[name], np.concatenate(others))
        if not len(torn):
            continue
        images = int(np.isin(parts[name], torn).sum())
        names = _named(source.group_names, torn[:listed].tolist())
        more = ", …" if len(torn) > listed else ""
        what = "test" if name == "test" else "validation"
        of = source.grouped_by or "group"
        notes.append(
            f"Leak: {number_of(images, f'{what} image')} {is_or_are(images)} of one {of} with images of another split "
            f"({number_of(len(torn), 'group')}"
            f"{': ' + names + more if names else ''}); the {what} figures will be too good by these. The splits were left as given."
        )
    return notes


def _named(names: Sequence[str], numbers: list[int]) -> str:
    return ", ".join(names[number] for number in numbers if number < len(names))
