"""What a table that stands beside pictures says of them: which column names the file, the class, the split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.data.known_pictures import KnownPictures
from engine.data.mat_structs import name_numbers
from engine.data.path_words import class_key, split_and_rest, stem_of
from engine.data.recipe import ImportRecipe
from engine.data.split_columns import SplitReading, split_by_flags, split_reading, squeezed
from engine.data.table_text import RawTable

CLASS_NAMES = (
    "label", "labels", "class", "classname", "classlabel", "classid", "labelname", "category", "categories", "target", "targets", "y",
    "dx", "diagnosis", "species", "breed", "finding", "disease", "type", "classification", "level", "grade", "articletype",
    "groundtruth", "answer",
)  # fmt: skip
_FILE_NAMES = (
    "file", "filename", "fname", "filepath", "image", "images", "imagename", "imagefile", "imagefilename", "imagepath", "imageid",
    "img", "imgname", "imgpath", "imgid", "path", "picture", "photo",
)  # fmt: skip
_ID_NAMES = ("id", "number", "nr", "no")  # of columns whose numbers may be those in the files' names
_LISTS_OF_CLASSES = ("label", "class", "target", "annot", "categor")  # in the name of a list that has one for each picture
_GROUP_NAMES = (
    "patient", "patientid", "patientnumber", "subject", "subjectid", "participant", "participantid", "person", "personid", "lesionid",
    "caseid", "studyid", "slide", "slideid", "wsi", "tile", "tileid", "scene", "sceneid", "sequence", "sequenceid", "video", "videoid",
    "clip", "clipid", "group", "groupid", "animalid", "individual", "individualid", "specimen", "specimenid", "locationid", "wellid",
    "plateid", "photo", "photograph", "photographid", "original", "source", "sourceimage",
)  # fmt: skip
_GROUPS_LOOKED_AT = 100  # columns
_GROUP_ROWS = 5_000  # of a table, from all over it, tell whether a column groups
_FEWEST_GROUPS = 10  # of which a tenth can be held out
_LEAST_MATCHED = 0.5  # of the rows or of the pictures, for a column to name files
_MOST_DOUBTFUL = 0.5  # of the pictures may have two values in a column; more of them, and it says nothing of a picture
_MOST_CLASSES = 0.5  # distinct values per picture; beyond that a column tells pictures apart and does not group them
_MOST_SPLITS = 5  # values of a column that is offered as that of the splits
_MISSING = frozenset(("nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "?"))  # as programs write an empty cell
_OF_AN_EVALUATION = re.compile(r"eval(uation)?(partition|split)")  # in the name of a list of all splits, not of what is to be tested
_ONE_HOT = "the column that is 1"


@dataclass
class LabelTable:
    """What a table says of the pictures under its folder."""

    path: str
    columns: list[str]  # that could be classes
    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # column -> picture -> cell
    chosen: str = ""  # the column of classes; "" where none stands out
    splits: dict[str, str] = field(default_factory=dict)  # picture -> split
    split_column: str = ""
    split_meaning: str = ""  # of numbers, as the end of a phrase: “ (1 train, 0 test)”
    split_unknown: tuple[str, ...] = ()  # words of that column that mean no split here; their images are in none
    perhaps_splits: dict[str, tuple[str, ...]] = field(default_factory=dict)  # column whose words may be splits -> its words
    split_columns: list[str] = field(default_factory=list)  # that could be the splits
    doubtful: dict[str, int] = field(default_factory=dict)  # column -> pictures whose rows say different things; they have no value
    missing: dict[str, int] = field(default_factory=dict)  # column -> cells such as “nan”, which are read as empty
    several: dict[str, str] = field(default_factory=dict)  # column -> a cell that holds several classes
    remark: str = ""  # on its text or its rows, as the end of a sentence that begins with its path
    kind: str = ""  # of a list without headings: its name without the split; lists of one kind say the same of other pictures
    unmatched: int = 0  # rows that name no picture
    listed: list[str] = field(default_factory=list)  # the pictures that it names
    rows: list[tuple[str, list[str]]] = field(default_factory=list)  # (picture, the cells of its row) of every row that names one
    headings: list[str] = field(default_factory=list)  # of all cells
    numbered_by: str = ""  # as of a `RawTable`

    def values(self, column: str) -> list[tuple[str, str]]:
        """(picture, cell) of every row whose cell is not empty; nothing where there is no such column."""
        if column not in self.headings:
            return []
        place = self.headings.index(column)
        return [(picture, row[place]) for picture, row in self.rows if row[place]]

    def group_columns(self) -> list[str]:
        """The columns that could say which pictures belong together: some values stand at several of them, and not one at all.

        Told from some of the rows, or from all while no value has come twice. A column of so few values that no tenth can be drawn of
        them is an attribute or a class, unless its name says otherwise; and the one of the classes groups nothing.
        """
        stride = max(1, len(self.rows) // _GROUP_ROWS)
        return [
            column
            for place, column in enumerate(self.headings[:_GROUPS_LOOKED_AT])
            if column != self.chosen and self._groups(place, stride, 2 if is_group_name(column) else _FEWEST_GROUPS)
        ]

    def _groups(self, place: int, stride: int, fewest: int) -> bool:
        first: dict[str, str] = {}  # cell -> the first picture that it stands at
        again = False
        for picture, row in self.rows[::stride]:
            if cell := row[place]:
                again |= first.setdefault(cell, picture) != picture
        if not again and stride > 1:
            again = any(first.setdefault(row[place], picture) != picture for picture, row in self.rows if row[place])
        return again and len(first) >= fewest and not _is_measure(set(first))

    def likely_group(self, columns: list[str]) -> str:
        """The one of the columns that by its name says which patient, place or picture an image is of; "" for none."""
        return next((name for name in columns if is_group_name(name) and name != self.chosen), "")


def is_group_name(name: str) -> bool:
    """Whether a column or an array says by its name which patient, place or picture an image is of."""
    words = squeezed(name)
    return words in _GROUP_NAMES or words.removesuffix("s") in _GROUP_NAMES


def named_by_lists(tables: dict[str, RawTable]) -> set[str]:
    """Gives the tables of .mat files the names of classes that another .mat file in the same folder lists; returns those lists."""
    found = {path: table for path, table in tables.items() if path.lower().endswith(".mat")}
    used: set[str] = set()
    for path, names in found.items():
        if len(names.columns) != 1:
            continue
        for other, table in found.items():
            if len(table.columns) > 1 and other.rpartition("/")[0] == path.rpartition("/")[0]:
                _, rows = name_numbers(table.columns, table.rows, names.column(0))
                if rows is not table.rows:
                    table.rows = rows
                    used.add(path)
    return used


def match_table(path: str, table: RawTable, pictures: list[str], recipe: ImportRecipe) -> LabelTable | None:
    """What a table says of the pictures in and below its folder, or of those elsewhere; None where no column names them.

    Where pictures of several splits have the same names, a table that is called after one of the splits is about that one's. A list of
    as many classes as there are pictures is in the order of their names.
    """
    folder = path.rpartition("/")[0]
    mine = [picture for picture in pictures if picture.startswith(folder + "/")] if folder else pictures
    found = _matched(path, table, mine, folder, recipe)
    if found is None and folder:
        found = _matched(path, table, pictures, "", recipe)
    split = split_and_rest(stem_of(path.rpartition("/")[2]))[0]
    if split and (found is None or found.unmatched):
        of_its_split = [picture for picture in pictures if any(split_and_rest(name)[0] == split for name in picture.split("/")[:-1])]
        of_split = _matched(path, table, of_its_split, "", recipe)
        if of_split is not None and (found is None or len(of_split.listed) > len(found.listed)):
            found = of_split
    return found or _by_order(path, table, mine or pictures)


def _matched(path: str, table: RawTable, mine: list[str], folder: str, recipe: ImportRecipe) -> LabelTable | None:
    if not mine or not table.rows:
        return None
    known = KnownPictures(mine, folder)
    least = max(1, _LEAST_MATCHED * min(len(table.rows), len(mine)))
    naming: list[tuple[tuple[int, ...], int, list[str | None]]] = []
    for place, name in enumerate(table.columns):
        cells = table.column(place)
        found, exact = known.named(cells), True
        if sum(one is not None for one in found) < least:
            id_like = squeezed(name) in (*_FILE_NAMES, *_ID_NAMES) if table.headed else place == 0
            found, exact = known.meant(cells, id_like, table.headed), False
        matched = [cell for cell, one in zip(cells, found, strict=True) if one is not None]
        if len(matched) >= least:
            naming.append((_trust(name, matched, exact), place, found))
    if not naming:
        return None
    _, place, found = max(naming, key=lambda some: (some[0], -some[1]))
    matched = sum(one is not None for one in found)
    result = LabelTable(path, [], unmatched=len(table.rows) - matched, listed=[one for one in found if one is not None])
    result.remark = table.remark
    if not table.headed:
        result.kind = _split_and_kind(path)[1]
    _columns(result, table, place, found, recipe)
    return result


def _split_and_kind(path: str) -> tuple[str, str]:
    """(split, what else the name of a list says): (“train”, “cat”) of cat_trainval.txt."""
    return split_and_rest(re.sub(r"train[-_]?(and[-_]?)?val(id)?", "train", stem_of(path.rpartition("/")[2]).lower()))


def _trust(name: str, matched: list[str], exact: bool) -> tuple[int, ...]:
    """How much speaks for a column to name the files. Names with an ending come before bare ones, which a running number may be; of those
    a column that is called so.
    """
    named = squeezed(name) in _FILE_NAMES
    with_ending = sum(stem_of(cell) != cell for cell in matched) > len(matched) / 2
    return (1, len(matched), named, exact) if with_ending else (0, exact, named, len(matched))


def _by_order(path: str, table: RawTable, mine: list[str]) -> LabelTable | None:
    """A list of classes without names of files, one for each picture, where their order is the same by letters and by numbers."""
    if len(table.columns) != 1 or len(table.rows) != len(mine) or not all(table.rows):
        return None
    cells = table.column(0)
    values = {cell for cell in cells if cell}
    told = squeezed(stem_of(path.rpartition("/")[2]) + table.columns[0])
    if not any(word in told for word in _LISTS_OF_CLASSES):
        return None
    if not 2 <= len(values) <= max(2, _MOST_CLASSES * len(cells)) or _is_measure(values) or sorted(mine, key=_by_number) != sorted(mine):
        return None
    name = table.columns[0]
    result = LabelTable(path, [name], chosen=name, headings=table.columns)
    result.rows = list(zip(sorted(mine), table.rows, strict=True))
    result.labels[name] = {picture: row[0] for picture, row in result.rows if row[0]}
    result.remark = table.remark or "names no file; it has a class for each image, which were taken in the order of their names"
    return result


def _by_number(path: str) -> list[tuple[int, str]]:
    """What sorts “2.png” before “10.png”."""
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in re.split(r"(\d{1,18})", path)]


def _columns(result: LabelTable, table: RawTable, file: int, found: list[str | None], recipe: ImportRecipe) -> None:
    """Which of the other columns are classes or splits."""
    all_rows = [(picture, row) for picture, row in zip(found, table.rows, strict=True) if picture is not None]
    rows = result.rows = [(picture, ["" if cell in _MISSING else cell for cell in row]) for picture, row in all_rows]
    result.headings = table.columns
    others = [place for place in range(len(table.columns)) if place != file]
    counted = {place: Counter(row[place] for _, row in rows if row[place]) for place in others}
    taken = _split_columns(result, table, counted, recipe)
    for place in others:
        name = table.columns[place]
        values = set(counted[place])
        if place not in taken and 2 <= len(values) <= max(2, _MOST_CLASSES * len(rows)) and not _is_measure(values):
            short = all(len(value) == 2 and value.isupper() for value in values)  # codes of countries, of which NA is one
            cells = ((picture, row[place]) for picture, row in (all_rows if short else rows) if row[place])
            result.labels[name] = _agreed(result, name, cells)
            if not short and (count := sum(row[place] in _MISSING for _, row in all_rows)):
                result.missing[name] = count
            if several := _several(values):
                result.several[name] = several
    if one_hot := _one_hot([table.columns[place] for place in others], [[row[place] for place in others] for _, row in rows]):
        labels = _agreed(result, _ONE_HOT, ((picture, label) for (picture, _), label in zip(rows, one_hot, strict=True)))
        result.labels = {_ONE_HOT: labels}
    result.labels = {name: labels for name, labels in result.labels.items() if labels}
    result.columns = list(result.labels)
    few = [name for name in result.columns if len({*result.labels[name].values()}) <= _MOST_SPLITS and name != _ONE_HOT]
    result.split_columns = [table.columns[place] for place in sorted(taken)] + few
    plausible = [name for name in result.columns if name not in result.perhaps_splits and not _is_presence(result, name)]
    named = sorted((name for name in plausible if squeezed(name) in CLASS_NAMES), key=lambda name: CLASS_NAMES.index(squeezed(name)))
    if named:
        result.chosen = named[0]
    elif len(plausible) == 1 and (not table.headed or len(others) == 1 or one_hot):
        result.chosen = plausible[0]
    elif not table.headed and plausible:
        result.chosen = plausible[0] if not _all_numbers(result.labels[plausible[0]]) else ""


def _split_columns(result: LabelTable, table: RawTable, counted: dict[int, Counter[str]], recipe: ImportRecipe) -> set[int]:
    """Find the splits that columns tell; returns the columns that are none of classes."""
    said = {class_key(word): split for word, split in recipe.split_names}
    stem = stem_of(result.path.rpartition("/")[2])  # of a list of two columns tells what the second is: “train_test_split”
    a_list = split_and_rest(stem)[0] and not _OF_AN_EVALUATION.search(squeezed(stem))  # test.txt has classes, 0 and 1 too
    of_stem = not table.headed and len(counted) == 1 and not a_list
    readings: dict[int, SplitReading] = {}
    asked = -1
    for place, counts in counted.items():
        name = table.columns[place]
        told = stem if of_stem else name
        wanted = recipe.split in (name, f"{result.path}:{name}")
        if (reading := split_reading(told, counts, said, wanted)) is not None:
            readings[place] = reading
            asked = place if wanted else asked
            if not reading.words:
                result.perhaps_splits[name] = reading.unknown
    used = {place: reading for place, reading in readings.items() if reading.words and (asked < 0 or place == asked)}
    if not used:
        return set()
    first = max(used, key=lambda place: (used[place].rank, -place))
    if used[first].flag:
        flags = {reading.flag: place for place, reading in used.items() if reading.flag}
        cells = [
            (picture, split_by_flags({flag: used[place].words[row[place]] == flag for flag, place in flags.items()}))
            for picture, row in result.rows
            if all(row[place] for place in flags.values())
        ]
        result.split_column = ", ".join(table.columns[place] for place in flags.values())
    else:
        cells = [(picture, used[first].words.get(row[first], "")) for picture, row in result.rows if row[first]]
        result.split_column = table.columns[first]
    result.splits = {
        picture: split for picture, split in _agreed(result, result.split_column, cells).items() if split
    }  # an image of an unknown word is in none
    result.split_unknown = used[first].unknown
    if not used[first].plain:
        words = used[first].words
        result.split_meaning = f" ({', '.join(f'{word} {words[word]}' for word in sorted(words))})"
    return {place for place, reading in readings.items() if reading.words}


def _agreed(result: LabelTable, column: str, cells: Iterable[tuple[str, str]]) -> dict[str, str]:
    """picture -> the one value of its rows. Those with several are counted; nothing where they are most."""
    found: dict[str, str] = {}
    doubtful: set[str] = set()
    for picture, cell in cells:
        if class_key(found.setdefault(picture, cell)) != class_key(cell):
            doubtful.add(picture)
    if doubtful:
        result.doubtful[column] = len(doubtful)
    if len(doubtful) > _MOST_DOUBTFUL * len(found):
        return {}
    return {picture: cell for picture, cell in found.items() if picture not in doubtful}


def _several(values: set[str]) -> str:
    """A cell that holds several classes: with “|” or “;” in it, or with spaces or commas between words that stand alone elsewhere."""
    for value in sorted(values):
        if len([part for part in re.split(r"[|;]", value) if part.strip()]) > 1:
            return value
        parts = [part for part in re.split(r"[\s,]+", value) if part]
        if len(parts) > 1 and any(part in values for part in parts):
            return value
    return ""


def joined_by_number(tables: list[LabelTable], others: dict[str, RawTable]) -> dict[str, RawTable]:
    """Tables that name pictures by a number, with their files in its place, as CUB-200 comes: images.txt says which file is number 7.

    The column of what a table says is called like the table, since such tables have no headings.
    """
    files: dict[str, str] = {}
    numbers = ""
    for table in tables:
        numbers = table.path
        for place in range(len(table.headings)):
            pairs = [(row[place], picture) for picture, row in table.rows]
            if len(table.headings) == 2 and len({cell for cell, _ in pairs}) == len(pairs) > 1 and all(cell.isdigit() for cell, _ in pairs):
                files = dict(pairs)
        if files:
            break
    joined: dict[str, RawTable] = {}
    for path, raw in others.items():
        if not files or len(raw.columns) != 2 or raw.headed:
            continue
        known = sum(row[0] in files for row in raw.rows)
        if known == len({row[0] for row in raw.rows}) == len(raw.rows) >= _LEAST_MATCHED * len(files):
            columns = ["file", stem_of(path.rpartition("/")[2])]
            joined[path] = RawTable(columns, [[files[number], value] for number, value in raw.rows], numbered_by=numbers)
    return joined


def _one_hot(names: list[str], rows: list[list[str]]) -> list[str] | None:
    """The name of the column that is 1, for each row; None where the columns are no one-hot table."""
    if len(names) < 2 or not rows:
        return None
    labels = []
    for row in rows:
        ones = [name for name, cell in zip(names, row, strict=True) if cell in ("1", "1.0")]
        if len(ones) != 1 or any(cell not in ("0", "0.0", "1", "1.0") for cell in row):
            return None
        labels.append(ones[0])
    return labels if len(set(labels)) > 1 else None


def _is_measure(values: set[str]) -> bool:
    """Whether the values are numbers with decimals: a measurement, no class."""
    return all(re.fullmatch(r"[-+]?\d+\.\d+(e[-+]?\d+)?", value) for value in values) and any(not value.endswith(".0") for value in values)


def _is_presence(table: LabelTable, column: str) -> bool:
    """Whether a list such as cat_train.txt of Pascal VOC says of one class in which images it is (1), and in which not (−1)."""
    split, kind = _split_and_kind(table.path)
    return bool(table.kind == kind and split and kind) and {"-1"} < {*table.labels[column].values()} <= {"-1", "0", "1"}


def _all_numbers(cells: dict[str, str]) -> bool:
    return all(re.fullmatch(r"[-+]?\d+(\.\d+)?", cell) for cell in cells.values())
