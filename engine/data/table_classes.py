"""The class of each picture by the tables beside it: by the column that was asked for, or by the ones that are plainly it."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.common.counting import has_or_have, number_of, was_or_were
from engine.data.label_tables import LabelTable
from engine.data.path_words import class_key
from engine.data.split_places import words_of_doubt

_MOST_BARE = 0.5  # of the pictures may have no class in the tables; with more, they say nothing
_OFFERED = 20  # columns that a note names


@dataclass
class TableClasses:
    """What tables say of classes."""

    labels: dict[str, str] = field(default_factory=dict)  # picture -> class
    found_in: str = ""  # "TABLE:COLUMN"; "" where the folders are the classes, or nothing is
    tables: set[str] = field(default_factory=set)  # that were used
    notes: list[str] = field(default_factory=list)


def classes_of_column(asked: str, tables: list[LabelTable], offered: dict[str, list[str]]) -> TableClasses:
    """By the column of a table that was asked for: “dx”, or “meta.csv:dx”. Of lists without headings by all of the same kind.

    Args:
        offered: table -> its columns that could be classes.
    """
    result = TableClasses()
    path, _, column = asked.rpartition(":")
    kinds = {table.path: table.kind for table in tables if asked in table.labels or column in table.labels}
    kind = kinds.get(path, next(iter(kinds.values()), ""))
    for table in tables:
        here = path in ("", table.path) or (table.kind == kind != "" and path in kinds)
        name = asked if asked in table.labels else column if column in table.labels and here else ""
        if name and (table.kind == kind or not _contradicts(table.labels[name], result.labels)):
            result.labels |= table.labels[name]
            result.tables.add(table.path)
            result.found_in = f"{table.path}:{name}"
            result.notes += _remarks(table, name)
    if not result.labels:
        columns = [f"“{column}” ({path})" for path, columns in offered.items() for column in columns]
        result.notes.append(
            f"No table has a column “{asked}” of classes, so no image has a class; there are: {', '.join(columns[:_OFFERED]) or 'none'}."
        )
    return result


def classes_of_tables(tables: list[LabelTable], folders: dict[str, str], pictures: list[str]) -> TableClasses:
    """By the tables' columns of classes. Where folders are classes, only what they do not say.

    Args:
        folders: picture -> class by its folder.
    """
    result = TableClasses()
    chosen = [table for table in tables if table.chosen]
    offered = [(table.path, column) for table in tables for column in table.columns if column != table.chosen]
    if not chosen:
        if offered and not folders:
            words = ", ".join(f"“{column}” of {path}" for path, column in offered[:_OFFERED])
            result.notes.append(f"No column of a table is plainly the class; choose one to have classes: {words}.")
        return result
    first = chosen[0].chosen
    labels: dict[str, str] = {}
    for table in list(chosen):
        if table.kind != chosen[0].kind and _contradicts(table.labels[table.chosen], labels):
            chosen.remove(table)  # families of aircraft in some lists, variants in others
            offered.append((table.path, table.chosen))
        elif table.chosen == first or not folders:
            for picture, label in table.labels[table.chosen].items():
                labels.setdefault(picture, label)
    names = {class_key(name) for name in folders.values()}
    if folders:
        missing = {picture: label for picture, label in labels.items() if picture not in folders and class_key(label) in names}
        if not missing:
            result.notes.append(f"The classes are the folders; {chosen[0].path} has the column “{first}”, which can be chosen instead.")
            return result
        result.tables.update(table.path for table in chosen)
        result.notes.append(
            f"{number_of(len(missing), 'image')} outside the class folders {has_or_have(len(missing))} a class from {chosen[0].path}."
        )
        result.labels = {**folders, **missing}
        return result
    if len(labels) < _MOST_BARE * len(pictures):
        result.notes.append(
            f"{chosen[0].path} gives a class to {len(labels):,} of {number_of(len(pictures), 'image')} only, so it was not used."
        )
        return result
    result.labels = labels
    result.tables.update(table.path for table in chosen)
    result.found_in = f"{chosen[0].path}:{first}"
    others = ", ".join(list(dict.fromkeys(_column(path, column, result.tables) for path, column in offered))[:10])
    result.notes.append(
        f"The classes are the column “{first}” of {', '.join(table.path for table in chosen[:3])}."
        f"{f' Other columns: {others}.' if others else ''}"
    )
    for table in chosen:
        result.notes += _remarks(table, table.chosen)
    if rows := sum(table.unmatched for table in chosen):
        result.notes.append(f"In {chosen[0].path} {number_of(rows, 'row names', 'rows name')} no image that is here.")
    return result


def _column(path: str, column: str, used: set[str]) -> str:
    return f"“{column}”" if path in used else f"“{path}:{column}”"


def _contradicts(some: dict[str, str], others: dict[str, str]) -> bool:
    """Whether an image has two classes by them."""
    return any(class_key(others.get(picture, label)) != class_key(label) for picture, label in some.items())


def _remarks(table: LabelTable, column: str) -> list[str]:
    """What is to be said of the cells of a column of classes."""
    notes = [words] if (words := words_of_doubt(table, column, "class")) else []
    if count := table.missing.get(column, 0):
        notes.append(
            f"{number_of(count, 'cell')} of “{column}” in {table.path} {was_or_were(count)} read as empty (NA, nan, ? and the like)."
        )
    if cell := table.several.get(column, ""):
        notes.append(
            f"A cell of “{column}” in {table.path} may hold several classes (“{cell}”): an image has one class here, so each such "
            "combination is one of its own."
        )
    return notes
