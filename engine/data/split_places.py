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
    if recipe.split not in ("", "none", "folders"):
        bare = splits_of(pictures, trails, [], replace(recipe, split="")).trails
        return _chosen(pictures, tables, recipe, replace(found, trails=bare))
    if (as_said := _as_said(trails, recipe)) is not trails:
        trails, recipe = as_said, replace(recipe, split=recipe.split or "folders")
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
    for table in _with_splits(tables, found):
        if table.split_column and (len(set(table.splits.values())) > 1 or table.split_unknown):
            found.notes.append(f"The splits are the column “{table.split_column}” of {table.path}{table.split_meaning}.")
            found.notes += _unknown_words(table)
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


def _as_said(trails: dict[str, Trail], recipe: ImportRecipe) -> dict[str, Trail]:
    """The folders that a person named as splits by the names of these; a single one beside them is trained on where none is said to be."""
    said = {class_key(word): split for word, split in recipe.split_names}
    names: dict[int, set[str]] = defaultdict(set)
    for trail in set(trails.values()):
        for level, name in enumerate(trail):
            names[level].add(name)
    for level, some in sorted(names.items()):
        plain = {name: said[class_key(name)] for name in some if class_key(name) in said}
        if not plain:
            continue
        others = [name for name in some if name not in plain]
        if "train" not in {*plain.values(), *map(split_word, others)} and len(others) == 1 and not split_word(others[0]):
            plain[others[0]] = "train"
        renamed = {
            trail: (*trail[:level], plain.get(trail[level], trail[level]), *trail[level + 1 :]) if len(trail) > level else trail
            for trail in set(trails.values())
        }
        return {path: renamed[trail] for path, trail in trails.items()}
    return trails


def _with_splits(tables: list[LabelTable], found: FoundSplits) -> list[LabelTable]:
    """The first table with a column of splits, with what the others say in a column of the same name. Columns that may be of splits are
    named in a note.
    """
    for table in tables:
        for column, words in table.perhaps_splits.items():
            found.notes.append(
                f"The column “{column}” of {table.path} may be the splits, but none of its words is known as one ({listed_words(words)}); "
                f"say which they are (split names), for instance --split-names {words[-1]}=test."
            )
    told = [table for table in tables if table.split_column]
    if not told:
        return []
    same = [table for table in told if table.split_column == told[0].split_column]
    splits = {picture: split for table in reversed(same) for picture, split in table.splits.items()}
    unknown = tuple(dict.fromkeys(word for table in same for word in table.split_unknown))
    return [replace(told[0], splits=splits, split_unknown=unknown)]


def _unknown_words(table: LabelTable) -> list[str]:
    if not table.split_unknown:
        return []
    return [
        f"The words {listed_words(table.split_unknown)} of “{table.split_column}” mean no split, so their images are left out; say "
        f"what they are (split names), for instance --split-names {table.split_unknown[0]}=test."
    ]


def _chosen(pictures: list[str], tables: list[LabelTable], recipe: ImportRecipe, found: FoundSplits) -> FoundSplits:
    """By the column or the list that was asked for."""
    path, _, column = recipe.split.rpartition(":")
    said = {class_key(word): split for word, split in recipe.split_names}
    mine = [table for table in tables if recipe.split == table.split_column or (column == table.split_column and path in ("", table.path))]
    if mine:
        table = _with_splits(mine, FoundSplits({}))[0]
        found.notes += [f"The splits are the column “{table.split_column}” of {table.path}{table.split_meaning}.", *_unknown_words(table)]
        if words := words_of_doubt(table, table.split_column, "split"):
            found.notes.append(words)
        return replace(found, of=table.splits, found_in=f"{table.path}:{table.split_column}", tables={one.path for one in mine})
    lists = [table for table in tables if table.listed and recipe.split in (table.path, table.path.rpartition("/")[2])]
    for table in lists:
        stem = stem_of(table.path.rpartition("/")[2])
        if split := said.get(class_key(stem)) or said.get(class_key(table.path.rpartition("/")[2])):
            rest = "train" if split != "train" else "test"
            listed = set(table.listed)
            found.notes.append(f"{table.path} lists the images of {split}; the others are {rest}.")
            of = {picture: split if picture in listed else rest for picture in pictures}
            return replace(found, of=of, found_in=table.path, tables={table.path})
        if (by_list := _listed(pictures, tables, found, _key_of(table)[0])).of:
            return by_list
    for table in tables:
        if words := table.perhaps_splits.get(recipe.split) or table.perhaps_splits.get(column if path in ("", table.path) else ""):
            found.notes.append(
                f"No word of “{column}” in {table.path} is known as a split ({listed_words(words)}), so it was not used; say which "
                f"they are (split names), for instance --split-names {words[-1]}=test."
            )
            return found
    columns = [f"“{name}” ({table.path})" for table in tables for name in table.headings[:20]]
    found.notes.append(
        f"No table has a column of splits “{recipe.split}”, and no list is called so; there are: {', '.join(columns[:20]) or 'none'}."
    )
    return found


@dataclass(frozen=True)
class _SplitList:
    path: str
    split: str
    pictures: frozenset[str]


def _key_of(table: LabelTable) -> tuple[tuple[str, str], str]:
    """((number, what else the name says), split) of a list: ("1", "") of train1.txt, ("", "images family") of images_family_test.txt;
    “trainval” is a split here, and "" none.
    """
    stem = stem_of(table.path.rpartition("/")[2])
    number = match[0] if (match := re.search(r"\d+$", stem)) else ""
    plain, joined = re.subn(r"train[-_ ]?(?:and[-_ ]?)?val(?:id)?(?![a-z])", "train", stem.lower())
    if split := split_word(plain if joined else stem):
        return (number, ""), "trainval" if joined else split
    split, rest = split_and_rest(plain if joined else stem)
    return (number, rest), "trainval" if joined and split else split


def is_split_list(table: LabelTable) -> bool:
    """Whether a table is called after a split and names images, and does not tell their splits itself."""
    return bool(table.listed and not table.split_column and _key_of(table)[1])


def _listed(pictures: list[str], tables: list[LabelTable], found: FoundSplits, asked: tuple[str, str] | None = None) -> FoundSplits:
    """By lists of files: train.txt and test.txt; trainval.txt where there is no train.txt; the first of train1.txt, train2.txt.

    Lists of other names, as images_family_train.txt and images_family_test.txt, count together as far as they agree.
    """
    groups: dict[tuple[str, str], list[_SplitList]] = defaultdict(list)
    whole: dict[tuple[str, str], list[_SplitList]] = defaultdict(list)
    for table in tables:
        key, split = _key_of(table)
        if split and table.listed:
            of_key = whole if split == "trainval" else groups
            of_key[key].append(_SplitList(table.path, "train" if split == "trainval" else split, frozenset(table.listed)))
    for key, some in whole.items():
        if not any(one.split == "train" for one in groups[key]):
            groups[key].append(some[0])
    used: list[_SplitList] = []
    used_number = ""
    of: dict[str, str] = {}
    contradict: list[str] = []
    order = sorted(groups, key=lambda key: (len(key[0]), key))
    for key in order:
        lists = groups[key]
        known = {one.split for one in lists}
        every: dict[str, str] = {}
        agree = all(every.setdefault(picture, one.split) == one.split for one in lists for picture in one.pictures)
        if asked not in (None, key) or (used and key[0] != used_number):
            continue
        if not lists or not agree:
            if len(known) > 1:
                found.notes.append(
                    f"The lists {listed_words(sorted(one.path for one in lists))} name some images for two splits, "
                    "so they are not used as splits."
                )
            continue
        if "train" in known and len(known) > 1:
            if any(of.get(picture, split) != split for picture, split in every.items()):
                contradict += [one.path for one in lists]
                continue
        elif "train" not in known and not used and (asked or (not key[1] and len(pictures) - len(every) > len(every))):
            named = listed_words(sorted(one.path for one in lists))
            found.notes.append(f"{named} lists the images of {' and '.join(sorted(known))}; the others are trained on.")
            of = {picture: every.get(picture, "train") for picture in pictures}
            return replace(found, of=of, found_in=", ".join(sorted(one.path for one in lists)), tables={one.path for one in lists})
        else:
            continue
        used += lists
        used_number = key[0]
        of |= every
    if not used:
        return found
    words = f"The splits are the lists {listed_words(sorted(one.path for one in used))}."
    if any(key[0] != used_number and len(groups[key]) > 1 for key in order):
        words += " Lists of other numbers beside them are not used."
    if contradict:
        words += f" Other lists say something else and are not used: {listed_words(contradict)}."
    found.notes.append(words)
    return replace(found, of=of, found_in=", ".join(sorted(one.path for one in used)), tables={one.path for one in used})


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
