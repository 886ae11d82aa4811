"""What a folder or an archive of pictures is: where its splits are, what names the classes, what is left out, and why. No pixel is read.

`understand` works on paths alone, and on the tables beside them. Whatever is decided without being asked is said in a note; whatever is
left out is counted and named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.common.counting import number_of
from engine.data.beside import said_beside
from engine.data.class_folders import classes_of_folders
from engine.data.companions import companions_of
from engine.data.file_names import classes_in_names
from engine.data.grouping import Grouping, grouping_of
from engine.data.label_tables import LabelTable, joined_by_number, match_table, named_by_lists
from engine.data.left_out import LeftOut, left_out, matching, words_of_idle
from engine.data.limits import LEFT_OUT_LISTED, MAX_TABLES
from engine.data.overlooked import words_of_bare_folders, words_of_litter
from engine.data.path_words import (
    class_key,
    folder_levels,
    folders_of,
    in_order,
    may_be_a_picture,
    split_word,
    stem_of,
)
from engine.data.recipe import ImportRecipe
from engine.data.split_places import FEW, Trail, is_split_list, listed_words, splits_of
from engine.data.table_classes import TableClasses, classes_of_column, classes_of_tables
from engine.data.table_text import SUFFIXES as TABLES
from engine.data.table_text import RawTable, is_picture

_SURELY_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")  # others may be any text
_ROWS_LOOKED_AT, _CELLS_SHOWN = 20, 4


@dataclass(slots=True)
class PlacedFile:
    """A file that may be a picture, and what its place says of it."""

    path: str  # below the root, with “/”
    split: str = "all"  # "all" where there are no splits
    label: str = ""  # the class; "" for none
    group: str = ""  # of images that belong together; "": it stands alone
    page: int | None = None  # of a file with several; None: the first

    @property
    def name(self) -> str:
        """What the image is called."""
        return self.path if self.page is None else f"{self.path} page {self.page + 1}"


@dataclass
class Layout:
    """What a tree of files is, with the evidence in words."""

    files: list[PlacedFile] = field(default_factory=list)
    labelled: bool = False
    labels_from: str = "none"  # "folders" | "names" | "TABLE:COLUMN" | "none"
    splits_from: str = "none"  # "folders" | "TABLE:COLUMN" | "none"
    tables: dict[str, list[str]] = field(default_factory=dict)  # table -> columns that could be the class
    split_columns: list[str] = field(default_factory=list)  # "TABLE:COLUMN" that could be the splits, and lists of files
    grouping: Grouping = field(default_factory=Grouping)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    around: dict[str, str] = field(default_factory=dict)  # picture -> the folder of a series around its class (a patient's)
    class_level: int | None = None  # which of them names the class: 1 the outermost, −1 the innermost
    read_for: dict[str, list[str]] = field(default_factory=dict)  # table -> what it was read for, in words
    not_needed: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # kind of description -> files, and some of them
    levels: list[dict[str, Any]] = field(default_factory=list)  # of folders that could be classes, the outermost first
    doubts: list[tuple[str, ...]] = field(default_factory=list)  # (a sentence, the decision for the other reading, its value, words)

    def leave_out(self, paths: Iterable[str], one: str, many: str, others: Iterable[str] | None = None) -> None:
        """Count files that are not used, and name the first; the reason as the end of a sentence about one and about many.

        Args:
            others: all pictures, where these can be taken back.
        """
        if (some := left_out(paths, one, many, others)) is not None:
            self.left_out.append(some)

    def read(self, paths: Iterable[str], what: str) -> None:
        """Note what tables were read for."""
        for path in paths:
            if what not in (roles := self.read_for.setdefault(path, [])):
                roles.append(what)

    def as_json(self) -> dict[str, Any]:
        """What is a source's `understood`."""
        left_out = [
            {"count": some.count, "examples": list(some.examples), "reason": some.reason, "keep": list(some.keep)} for some in self.left_out
        ]
        return {
            "labels": self.labels_from, "splits": self.splits_from, "groups": self.grouping.found_in, "left_out": left_out,
            "columns": self.tables, "group_columns": self.grouping.columns, "split_columns": self.split_columns,
            "class_level": self.class_level, "likely_group": self.grouping.likely,
            "doubts": [list(doubt) for doubt in self.doubts], "read_for": self.read_for,
            "not_needed": [{"kind": kind, "count": n, "examples": list(some)} for kind, (n, some) in self.not_needed.items()],
        }  # fmt: skip

    def said(self) -> list[str]:
        """All notes, those of what was left out at the end."""
        return [*self.notes, *(some.sentence() for some in self.left_out)]


def understand(
    paths: list[str],
    recipe: ImportRecipe,
    read_table: Callable[[str], RawTable | None],
    litter: Sequence[str] = (),
    made: str = "",
    empty: Sequence[str] = (),
) -> Layout:
    """What the files of a tree are.

    Args:
        paths: below the root, with “/”, without the litter.
        read_table: gives the cells of a file, or None where it is no table.
        litter: hidden files and folders and those of the system; nothing in these folders is looked at.
        made: a table among the paths that is no file but was made by the reader.
        empty: folders without a file.
    """
    layout = Layout()
    every, others = _pictures(paths, recipe, layout)
    kept = matching(every, recipe.keep)
    pictures = _without_companions(every, kept, layout)
    foreign: set[str] = set()
    tables = _tables(paths, pictures, read_table, recipe, layout, foreign)
    _place(pictures, kept, tables, recipe, layout)
    layout.notes += [f"{table.path} {table.remark}." for table in tables if table.remark and table.path in layout.read_for]
    texts = [path for path in others if path != made]
    others = [path for path in texts if path not in foreign]
    stems = {stem_of(path).rpartition("/")[2] for path in pictures} if others else set()
    beside = said_beside(others, stems, layout.read_for, {table.path: bool(table.columns) for table in tables})
    layout.not_needed = {kind: (len(some), tuple(some[:LEFT_OUT_LISTED])) for kind, some in beside.kinds.items()}
    layout.notes += beside.notes
    few = "file that is no image by its name was left out", "files that are no images by their name were left out"
    layout.leave_out(beside.unknown, *few)
    layout.notes += words_of_litter(litter)
    if layout.labels_from == "folders":
        layout.notes += words_of_bare_folders(every, [*texts, *(f"{folder}/" for folder in empty)], {file.label for file in layout.files})
    return layout


def _pictures(paths: list[str], recipe: ImportRecipe, layout: Layout) -> tuple[list[str], list[str]]:
    """(What is taken for pictures, in the order of their paths, what is none by its name)."""
    pictures: list[str] = []
    others: list[str] = []
    for path in paths:
        (pictures if may_be_a_picture(path.rpartition("/")[2]) else others).append(path)
    layout.notes += words_of_idle("leave_out", pictures, recipe.leave_out) + words_of_idle("keep", pictures, recipe.keep)
    if recipe.leave_out:
        without = matching(pictures, recipe.leave_out)
        asked = [path for path in pictures if path in without]
        layout.leave_out(asked, "image was left out, as asked for", "images were left out, as asked for")
        pictures = [path for path in pictures if path not in without]
    return sorted(pictures), others


def _without_companions(every: list[str], kept: set[str], layout: Layout) -> list[str]:
    """Without masks and whatever else belongs to other pictures, but for what a person wants to keep."""
    companions = companions_of(every)
    without: set[str] = set()
    for paths, one, many in companions.found:
        paths = [path for path in paths if path not in kept]
        layout.leave_out(paths, one, many, every)
        without.update(paths)
    layout.doubts += [(words, "leave_out", pattern, f"Leave out {pattern}") for words, pattern in companions.doubts]
    return [path for path in every if path not in without]


def _tables(
    paths: list[str],
    pictures: list[str],
    read_table: Callable[[str], RawTable | None],
    recipe: ImportRecipe,
    layout: Layout,
    foreign: set[str],
) -> list[LabelTable]:
    """The tables that name pictures, the nearest to the root first. Notes those that only name classes as read, and adds those of which no
    column names a picture to `foreign`.
    """
    candidates = [path for path in paths if path.lower().endswith(TABLES)]
    if len(candidates) > MAX_TABLES:  # one text beside every picture is no table of them
        stems = {stem_of(path).rpartition("/")[2] for path in pictures}
        candidates = [path for path in candidates if stem_of(path).rpartition("/")[2] not in stems]
        candidates = sorted(candidates, key=lambda path: (path.count("/"), path))[:MAX_TABLES]
    found: list[LabelTable] = []
    others: dict[str, RawTable] = {}  # that name no picture, perhaps by its number
    read = {path: read_table(path) for path in sorted(candidates, key=lambda path: (path.count("/"), path))}
    raws = {path: raw for path, raw in read.items() if raw is not None}
    layout.read(sorted(named_by_lists(raws)), "the names of the classes")
    for path, raw in raws.items():
        table = match_table(path, raw, pictures, recipe)
        if table is not None:
            found.append(table)
        else:
            others[path] = raw
    for path, raw in joined_by_number(found, others).items():
        if (table := match_table(path, raw, pictures, recipe)) is not None:
            table.numbered_by = raw.numbered_by
            found.append(table)
    _say_what_names_no_image({path: raw for path, raw in others.items() if path not in {table.path for table in found}}, layout, foreign)
    for table in found:
        layout.split_columns += [f"{table.path}:{column}" for column in table.split_columns]
        layout.split_columns += [table.path] if is_split_list(table) else []
        if table.columns:
            layout.tables[table.path] = table.columns
        for column, count in table.doubtful.items():
            if column not in table.columns and not (column == table.split_column and table.splits):
                layout.notes.append(
                    f"The column “{column}” of {table.path} gives {number_of(count, 'image')} several values in several rows, "
                    "so it was not used."
                )
    return found


def _say_what_names_no_image(tables: dict[str, RawTable], layout: Layout, foreign: set[str]) -> None:
    """Name the tables that were understood but whose cells are no pictures here, and show how they call them."""
    for path, raw in tables.items():
        head = [cell for row in raw.rows[:_ROWS_LOOKED_AT] for cell in row]
        if path in layout.read_for or not (path.lower().endswith(_SURELY_TABLES) or any(map(is_picture, head))):
            continue
        cells = ", ".join(f"“{cell[:40]}”" for cell in raw.rows[0][:_CELLS_SHOWN]) if raw.rows else ""
        reason = f"table was left out, since none of its columns names an image here (its first row is {cells})"
        layout.leave_out([path], reason, reason)
        foreign.add(path)


def _place(pictures: list[str], kept: set[str], tables: list[LabelTable], recipe: ImportRecipe, layout: Layout) -> None:
    """Fill the layout's files, and note which tables were read for what."""
    trails = _without_wrappers({path: folders_of(path) for path in pictures}, layout)
    found = splits_of(pictures, trails, tables, recipe)
    splits, trails = found.of, found.trails
    layout.splits_from = found.found_in
    layout.notes += found.notes
    layout.read(sorted(found.tables), "the splits")
    labels = _labels(pictures, trails, splits, kept, tables, recipe, layout)
    groups = layout.grouping = grouping_of(pictures, tables, recipe, layout.around)
    layout.notes += groups.notes
    layout.read(groups.tables, "the groups")
    files = [PlacedFile(path, splits.get(path, "all"), labels.get(path, ""), groups.of.get(path, "")) for path in pictures]
    if any(file.split != "all" for file in files):
        files = _within_splits(files, kept, layout)
    if layout.labels_from != "none":
        files = _with_classes(files, layout, layout.labels_from == "folders")
    if layout.labels_from == "none":
        files = [replace(file, label="") for file in files]
    else:
        _same_class(files, layout)
    layout.labelled = layout.labels_from != "none"
    layout.files = files
    numbered = {table.numbered_by for table in tables if table.numbered_by and table.path in layout.read_for}
    layout.read(sorted(numbered), "the numbers of the images")


def _without_wrappers(trails: dict[str, Trail], layout: Layout) -> dict[str, Trail]:
    """Without the folders that are around all pictures but a few strays; they are no classes."""
    wrappers: list[str] = []
    while True:
        heads = Counter(trail[0] for trail in trails.values() if trail)
        inside = sum(heads.values())
        if len(heads) != 1 or split_word(head := next(iter(heads))) or inside < (1 - FEW) * len(trails):
            break
        wrappers.append(head)
        trails = {path: trail[1:] for path, trail in trails.items()}
    if wrappers:
        around = "/".join(wrappers)
        layout.notes.append(f"All images lie in the folder “{around}”, which is no class.")
    return trails


def _labels(
    pictures: list[str],
    trails: dict[str, Trail],
    splits: dict[str, str],
    kept: set[str],
    tables: list[LabelTable],
    recipe: ImportRecipe,
    layout: Layout,
) -> dict[str, str]:
    """The class of each picture that has one."""
    layout.levels = folder_levels(trails.values())
    asked = recipe.labels
    if asked == "none":
        return {}
    if asked == "names":
        return _from_names(pictures, splits, layout, asked=True)
    if asked not in ("", "folders"):
        return _taken(classes_of_column(asked, tables, layout.tables), layout)
    labels = _from_folders(pictures, trails, splits, kept, recipe, layout)
    tabled = {} if asked == "folders" else _taken(classes_of_tables(tables, labels, pictures), layout)
    if tabled:
        return tabled
    return labels or ({} if asked == "folders" else _from_names(pictures, splits, layout))


def _taken(found: TableClasses, layout: Layout) -> dict[str, str]:
    layout.notes += found.notes
    layout.read(sorted(found.tables), "the classes")
    if found.found_in:
        layout.labels_from = found.found_in
    return found.labels


def _from_folders(
    pictures: list[str], trails: dict[str, Trail], splits: dict[str, str], kept: set[str], recipe: ImportRecipe, layout: Layout
) -> dict[str, str]:
    found = classes_of_folders(pictures, trails, splits, recipe)
    layout.notes += found.notes
    if found.of:
        layout.labels_from, layout.class_level, layout.around = "folders", found.level, found.around
        if found.doubt:
            layout.doubts.append((found.doubt, "class_level", "2", "Take the inner folders"))
        if splits:
            found.of.update(_classes_beside({path: folders_of(path) for path in kept if path not in splits}, set(found.of.values())))
    return found.of


def _classes_beside(trails: dict[str, Trail], classes: set[str]) -> dict[str, str]:
    """Of images that a person takes from beside the splits: the innermost of their folders that is a class, else the innermost."""
    keys = set(map(class_key, classes))
    known = {path: next((name for name in reversed(trail) if class_key(name) in keys), "") for path, trail in trails.items()}
    return {path: name for path, trail in trails.items() if (name := known[path] or "".join(trail[-1:]))}


def _from_names(pictures: list[str], splits: dict[str, str], layout: Layout, asked: bool = False) -> dict[str, str]:
    """By what a file's name says, where nearly all to train on bear one of a few words before or behind a number."""
    labels = classes_in_names(pictures, splits, asked)
    if labels:
        layout.labels_from = "names"
        layout.notes.append(f"The classes are words in the files’ names: {listed_words(in_order(set(labels.values())))}.")
    return labels


def _within_splits(files: list[PlacedFile], kept: set[str], layout: Layout) -> list[PlacedFile]:
    """Images beside the splits are trained on when nothing else is, or where a person wants them; else they are left out.

    Test images never become others.
    """
    every = [file.path for file in files]
    beside = [file for file in files if file.split == "all"]
    if any(file.split == "train" for file in files):
        outside = [file.path for file in beside if file.path not in kept]
        in_folders = layout.splits_from == "folders"
        one = "lies beside the train and test folders" if in_folders else "is in no split"
        many = "lie beside the train and test folders" if in_folders else "are in no split"
        layout.leave_out(outside, f"image that {one} was left out", f"images that {many} were left out", every)
        if len(outside) > FEW * len(files):
            layout.notes.append(
                f"{len(outside) / len(files):.0%} of all images are in no split and not used; keep, with a pattern of their paths, trains "
                "on them, and split none takes all images as one set."
            )
        without = set(outside)
        files = [file for file in files if file.path not in without]
    elif not beside:
        only = listed_words(sorted({file.split for file in files}))
        layout.notes.append(f"There are only images for {only} here, so those to train on were drawn from them.")
    return [replace(file, split="train") if file.split == "all" else file for file in files]


def _with_classes(files: list[PlacedFile], layout: Layout, folders: bool) -> list[PlacedFile]:
    """Only images with a class, where few have none or a whole split has none; otherwise no image has one."""
    bare = [file for file in files if not file.label]
    if not bare:
        return files
    for split in ("test", "valid"):
        mine = [file for file in files if file.split == split]
        if mine and not any(file.label for file in mine):
            layout.leave_out(
                (file.path for file in mine),
                f"image of {split} has no class and was left out; {split} is drawn from the others",
                f"images of {split} have no class and were left out; {split} is drawn from the others",
            )
            files = [file for file in files if file.split != split]
    bare = [file for file in files if not file.label]
    if len(bare) <= FEW * len(files) or not folders:
        one = "image lies in no class folder" if folders else "image has no class"
        many = "images lie in no class folder" if folders else "images have no class"
        layout.leave_out((file.path for file in bare), f"{one} and was left out", f"{many} and were left out")
        return [file for file in files if file.label]
    layout.labels_from = "none"
    layout.notes.append("Some images lie in no class folder, so no image has a class.")
    return files


def _same_class(files: list[PlacedFile], layout: Layout) -> None:
    """One writing for the classes that differ in case or Unicode form: the most frequent one."""
    counted = Counter(file.label for file in files)
    writings: dict[str, list[str]] = defaultdict(list)
    for name, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        writings[class_key(name)].append(name)
    pairs = [" = ".join(f"“{name}”" for name in names) for names in writings.values() if len(names) > 1]
    if pairs:
        layout.notes.append(f"Classes that differ in case or Unicode form only are one class: {', '.join(pairs[:20])}.")
    for file in files:
        file.label = writings[class_key(file.label)][0]
