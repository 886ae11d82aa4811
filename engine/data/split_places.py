"""Where the splits of a folder of pictures are said: in the names of folders, in a column of a table, in lists of files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from engine.data.file_names import splits_in_names
from engine.data.label_tables import LabelTable
from engine.data.path_words import class_key, split_and_rest, split_word, stem_of
from engine.data.recipe import ImportRecipe

FEW = 0.2  # of the pictures: so many without a class or a split are strays; more of them, and the folders are none

Trail = tuple[str, ...]  # the folders that a picture lies in, the outermost first


@dataclass
class FoundSplits:
    """The split of each picture that has one."""

    trails: dict[str, Trail]  # the folders of each picture, without those that name splits
    of: dict[str, str] = field(default_factory=dict)
    found_in: str = "none"  # "folders" | "TABLE:COLUMN" | "LIST, LIST" | "names"
    tables: set[str] = field(default_factory=set)  # that were used
    notes: list[str] = field(default_factory=list)


def splits_of(pictures: list[str], trails: dict[str, Trail], tables: list[LabelTable], recipe: ImportRecipe) -> FoundSplits:
    """The splits as they are said; folders come before columns, columns before lists, and those before the names of files."""
    found = FoundSplits(trails)
    if recipe.split == "none":
        return found
    trails, two_in_one = _plain_words(trails)
    level = _split_level(Counter(trails.values()), recipe.split == "folders")
    if level is not None:
        splits = {path: word for path, trail in trails.items() if len(trail) > level and (word := split_word(trail[level]))}
        without = {trail: _without(level, trail) for trail in set(trails.values())}
        inner = {path: without[trail] if path in splits else found.trails[path] for path, trail in trails.items()}
        at = level if level <= two_in_one else level - 1
        spelled = {found.trails[path][at] for path in splits}
        if nested := _within_train(level, splits, inner):
            found.notes.append(f"The folders to train on hold the splits {listed_words(sorted(nested))} themselves.")
        if level > 0 or any(name.lower() not in ("train", "valid", "val", "test") for name in spelled):
            both = " (and their classes)" if level == two_in_one else ""
            found.notes.append(f"The splits{both} are the folders {listed_words(sorted(spelled))}.")
        return replace(found, trails=inner, of=splits, found_in="folders")
    for table in tables:
        if table.split_column and len(set(table.splits.values())) > 1:
            found.notes.append(f"The splits are the column “{table.split_column}” of {table.path}{table.split_meaning}.")
            if words := words_of_doubt(table, table.split_column, "split"):
                found.notes.append(words)
            return replace(found, of=table.splits, found_in=f"{table.path}:{table.split_column}", tables={table.path})
    found = _listed(pictures, tables, found)
    if not found.of and (named := splits_in_names(pictures)):
        found.notes.append("The splits are words in the files’ names.")
        return replace(found, of=named, found_in="names")
    return found


def _without(level: int, trail: Trail) -> Trail:
    return trail[:level] + trail[level + 1 :]


def _plain_words(trails: dict[str, Trail]) -> tuple[dict[str, Trail], int]:
    """Folders that differ in a split word only (cars_train, cars_test) named by that word alone; where they name a class besides
    (train_cats, train_dogs, test_cats), as two folders, the split and the class in it.

    Returns: the trails, and the level at which one folder became two; beyond all where none did.
    """
    names: dict[int, set[str]] = defaultdict(set)
    for trail in set(trails.values()):
        for level, name in enumerate(trail):
            names[level].add(name)
    plain: dict[int, dict[str, Trail]] = {}
    two_in_one = len(names)
    for level, some in sorted(names.items()):
        parted = _parted(some)
        if any(len(pair) > 1 for pair in parted.values()):
            if two_in_one < len(names):
                continue
            two_in_one = level
        plain[level] = parted
    if not any(plain.values()):
        return trails, two_in_one
    renamed = {trail: _renamed(plain, trail) for trail in set(trails.values())}
    return {path: renamed[trail] for path, trail in trails.items()}, two_in_one


def _renamed(plain: dict[int, dict[str, Trail]], trail: Trail) -> Trail:
    return tuple(one for level, name in enumerate(trail) for one in plain.get(level, {}).get(name, (name,)))


def _parted(names: set[str]) -> dict[str, Trail]:
    """name -> (split,) where all of them say the same besides it, else (split, class); for those that name a split and something else.

    None where a split has nothing in common with what is trained on: a train_station and a test_tube are classes.
    """
    parted = {name: (split, rest) for name in names for split, rest in [split_and_rest(name)] if split}
    rests: dict[str, set[str]] = defaultdict(set)
    for split, rest in parted.values():
        rests[split].add(re.sub(r"[\W_]+", " ", class_key(rest)))
    train = rests.get("train", set())
    if len(rests) < 2 or any(not some & train or "" in some for some in rests.values()):
        return {}
    one = len(set().union(*rests.values())) == 1
    return {name: (split,) if one else (split, rest) for name, (split, rest) in parted.items()}


def _split_level(trails: Counter[Trail], asked: bool) -> int | None:
    """Which folder names the split: the outermost level at which there are two splits, train among them or nothing else.

    However many images lie elsewhere, folders for training and for testing side by side are splits: read as classes, they would let
    test images be trained on.
    """
    total = sum(trails.values())
    for level in range(max((len(trail) for trail in trails), default=0)):
        names = {trail[level] for trail in trails if len(trail) > level}
        kinds = {word for name in names if (word := split_word(name))}
        others = {name for name in names if not split_word(name)}
        covered = sum(count for trail, count in trails.items() if len(trail) > level and split_word(trail[level]))
        most = covered >= (1 - FEW) * total
        if len(kinds) > 1 and ("train" in kinds or not others) and (level == 0 or most or _side_by_side(trails, level)):
            return level
        if kinds and asked:
            return level
        if kinds and not others and most:
            return level
        if kinds == {"train"} and level == 0:  # “train” among other folders: a class (a railway), unless it has classes within
            inner = {trail[1] for trail in trails if len(trail) > 1 and split_word(trail[0])}
            if len(inner) > 1 or not any(len(trail) > 0 and not split_word(trail[0]) for trail in trails):
                return level
    return None


def _side_by_side(trails: Iterable[Trail], level: int) -> bool:
    """Whether one folder holds both one to train on and another split."""
    within: dict[Trail, set[str]] = defaultdict(set)
    for trail in trails:
        if len(trail) > level and (word := split_word(trail[level])):
            within[trail[:level]].add(word)
    return any("train" in kinds and len(kinds) > 1 for kinds in within.values())


def _within_train(level: int, splits: dict[str, str], inner: dict[str, Trail]) -> set[str]:
    """Parts the images to train on further where their folders are splits once more (train/train, train/val); returns their names."""
    mine = [path for path, split in splits.items() if split == "train" and len(inner[path]) > level]
    names = {inner[path][level] for path in mine}
    words = {split_word(name) for name in names}
    if len(words) < 2 or "" in words or "train" not in words:
        return set()
    for path in mine:
        splits[path] = split_word(inner[path][level])
        inner[path] = _without(level, inner[path])
    return names


@dataclass(frozen=True)
class _SplitList:
    path: str
    split: str
    pictures: frozenset[str]


def _listed(pictures: list[str], tables: list[LabelTable], found: FoundSplits) -> FoundSplits:
    """By lists of files: train.txt and test.txt; trainval.txt where there is no train.txt; the first of train1.txt, train2.txt."""
    groups: dict[str, list[_SplitList]] = defaultdict(list)
    whole: dict[str, list[_SplitList]] = defaultdict(list)
    for table in tables:
        stem = stem_of(table.path.rpartition("/")[2])
        number = match[0] if (match := re.search(r"\d+$", stem)) else ""
        joined = re.sub(r"[^a-z]", "", stem.lower()) in ("trainval", "trainvalid", "trainvallist", "trainandval")
        split = "train" if joined else split_word(stem)
        if split and table.listed:
            (whole if joined else groups)[number].append(_SplitList(table.path, split, frozenset(table.listed)))
    for number, some in whole.items():
        if not any(one.split == "train" for one in groups[number]):
            groups[number].append(some[0])
    for number in sorted(groups, key=lambda number: (len(number), number)):
        lists = groups[number]
        known = {one.split for one in lists}
        every = [picture for one in lists for picture in one.pictures]
        if not lists or len(every) != len(set(every)):
            if len(known) > 1:
                found.notes.append(
                    f"The lists {listed_words(sorted(one.path for one in lists))} name some images twice, so they are not used as splits."
                )
            continue
        rest = len(pictures) - len(every)
        if "train" in known and len(known) > 1:
            words = f"The splits are the lists {listed_words(sorted(one.path for one in lists))}."
        elif "train" not in known and rest > len(every):
            named = listed_words(sorted(one.path for one in lists))
            words = f"{named} lists the images of {' and '.join(sorted(known))}; the others are trained on."
        else:
            continue
        others = sorted(other for other in groups if other != number and len(groups[other]) > 1)
        if others:
            words += " Lists of other numbers beside them are not used."
        found.notes.append(words)
        of = {picture: one.split for one in lists for picture in one.pictures}
        if "train" not in known:
            of = {picture: of.get(picture, "train") for picture in pictures}
        return replace(found, of=of, found_in=", ".join(sorted(one.path for one in lists)), tables={one.path for one in lists})
    return found


def words_of_doubt(table: LabelTable, column: str, what: str) -> str:
    """A sentence on the pictures whose rows disagree; "" where none do."""
    count = table.doubtful.get(column, 0)
    images = "One image has" if count == 1 else f"{count:,} images have"
    return f"{images} different values of “{column}” in several rows of {table.path}, and so no {what}." if count else ""


def listed_words(names: Iterable[str]) -> str:
    """Names in quotes, the first ten of them."""
    names = list(names)
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return ", ".join(f"“{name}”" for name in names[:10]) + more
