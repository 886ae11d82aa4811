"""Which folder names the class of a picture: the outer, the inner, or none of them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

from engine.data.path_words import class_key, in_order, is_image_word, looks_like_a_part
from engine.data.recipe import ImportRecipe
from engine.data.split_places import Trail, listed_words

CROSSED = 0.8  # of all pairs of an outer and an inner folder exist, where one of the two is no class
_GENERIC = frozenset((
    "image", "images", "img", "imgs", "picture", "pictures", "photos", "data", "dataset", "set", "subset", "part", "batch",
))  # fmt: skip
_CLASS_STEMS = frozenset(("class", "cls", "c", "label", "category", "cat", "type", "kind", "species"))


@dataclass
class FolderClasses:
    """The class of each picture that lies in a class folder, and how it was told."""

    of: dict[str, str] = field(default_factory=dict)
    level: int | None = None  # 1 the outermost, −1 the innermost; None: folders are no classes
    notes: list[str] = field(default_factory=list)
    doubt: str = ""  # a sentence where the other reading (class level 2) is as likely
    around: dict[str, str] = field(default_factory=dict)  # picture -> the folder of a series around its class (a patient's)


def classes_of_folders(pictures: list[str], trails: dict[str, Trail], splits: dict[str, str], recipe: ImportRecipe) -> FolderClasses:
    """By the names of folders. None, where there is only one name, or pieces of one collection."""
    result = FolderClasses()
    groups: dict[str, list[str]] = defaultdict(list)
    for path in pictures:
        if not splits or path in splits:
            groups[splits.get(path, "all")].append(path)
    inner = _bared({split: {path: trails[path] for path in mine} for split, mine in groups.items()}, recipe.class_level is None)
    level = recipe.class_level or _level(inner, recipe, result)
    labels: dict[str, str] = {}
    deeper = False
    for found in inner.values():
        for path, trail in found.items():
            if len(trail) >= abs(level):
                labels[path] = trail[level - 1 if level > 0 else level]
                deeper |= level == 1 and len(trail) > 1
    names = set(labels.values())
    if recipe.class_level is None and (len({class_key(name) for name in names}) < 2 or looks_like_a_part(names)):
        if len(names) > 1:
            result.notes.append(
                f"The folders {listed_words(in_order(names))} differ in a number only and were taken for pieces, not for classes."
            )
        result.doubt = ""
        return result
    for split, found in inner.items():  # the only folder of a test split is no class that nobody has seen: test/unknown
        mine = {labels[path] for path in found if path in labels}
        theirs = {class_key(labels[path]) for path in labels if path not in found}
        if split in ("test", "valid") and len(mine) == 1 and theirs and class_key(next(iter(mine))) not in theirs:
            result.notes.append(f"The folder {listed_words(mine)} occurs in {split} only and was taken for no class.")
            for path in found:
                labels.pop(path, None)
    if recipe.class_level is None and len(names) > 1 and len(set(map(class_key, labels.values()))) < 2:
        result.doubt = ""
        return result  # one folder to train on
    if labels:
        result.of, result.level = labels, level
        if background := [name for name in names if "background" in name.lower().split("_")]:
            result.notes.append(f"{listed_words(background)} may be no class but what is around them; it can be left out (leave_out).")
        if deeper:
            result.notes.append("Folders within the class folders are no classes of their own (class level −1 takes the innermost).")
    return result


def _level(inner: dict[str, dict[str, Trail]], recipe: ImportRecipe, result: FolderClasses) -> int:
    """Which folder names the class where folders lie in folders.

    The inner one does where each outer folder holds the same, more numerous inner ones (photo|sketch/dog|horse|house), where the outer
    ones are a series (fold1|fold2, the numbers of patients), or are called images_… one and all. Where outer and inner folders are
    crossed and nothing tells which is the class, the outer is, and `result` has a doubt.
    """
    trails = {trail for found in inner.values() for trail in found.values()}
    pairs = {trail[:2] for trail in trails}
    if not pairs or any(len(pair) < 2 for pair in pairs):
        return 1
    outer, names = {first for first, _ in pairs}, {second for _, second in pairs}
    if len(outer) < 2 or len(names) < 2:
        return 1
    each = len(pairs) / len(names)  # outer folders that hold one inner name, on average
    crossed = len(pairs) >= CROSSED * len(outer) * len(names) and not looks_like_a_part(names)
    series = _is_series(outer) and not _is_series(names) and each >= len(outer) / 2 and each > 1
    if crossed and len(outer) < len(names) and recipe.group != "folder":
        result.notes.append(
            f"The folders {listed_words(in_order(outer))} hold the same folders, so the inner ones are the classes "
            "(class level 1 takes the outer)."
        )
        return 2
    if series:
        result.notes.append(
            f"The folders {listed_words(in_order(outer))} are a series and hold the same folders, so the inner ones, "
            f"{listed_words(in_order(names))}, are the classes (class level 1 takes the outer)."
        )
        result.around = {path: trail[0] for found in inner.values() for path, trail in found.items()}
        return 2
    if _share_a_generic_word(outer):
        result.notes.append(
            f"The folders {listed_words(in_order(outer))} say only that images are in them, so the folders in them are the classes "
            "(class level 1 takes the outer)."
        )
        return 2
    if crossed and recipe.group != "folder":
        result.doubt = (
            f"All of {listed_words(in_order(outer))} hold the folders {listed_words(in_order(names))}. The outer ones were taken for the "
            "classes; if they are several sets, sizes or sources of the same classes, take the inner ones."
        )
    return 1


def _is_series(names: set[str]) -> bool:
    """Whether names differ in a number only (fold1, fold2), or are numbers that do not count from 0 or 1 as classes do (patients)."""
    if any(not re.search(r"\d", name) for name in names):
        return False
    stems = {re.sub(r"[\d_\W]+", "", name.casefold()) for name in names}
    if len(stems) != 1 or stems <= _CLASS_STEMS or all(re.fullmatch(r"n\d{8}", name) for name in names):
        return False
    if stems != {""}:
        return True
    numbers = sorted(int(found) for name in names if (found := re.sub(r"\D", "", name)) and len(found) < 19)
    return not numbers or numbers[0] > 1 or numbers[-1] > numbers[0] + len(numbers) - 1


def _share_a_generic_word(names: set[str]) -> bool:
    """Whether all begin, or all end, with one word that says nothing: images_background, images_evaluation."""
    words = [[word for word in re.split(r"[\W\d_]+", name.casefold()) if word] for name in names]
    if any(len(some) < 2 for some in words):
        return False
    return any(len({some[place] for some in words}) == 1 and words[0][place] in _GENERIC for place in (0, -1))


def _bared(splits: dict[str, dict[str, Trail]], strip: bool) -> dict[str, dict[str, Trail]]:
    """The folders of all splits without those that say nothing. One that stands beside others in another split says something."""
    bare = {split: _bare(mine, strip, set()) for split, mine in splits.items()}
    heads = [{trail[0] for trail in mine.values() if trail} for mine in bare.values()]
    known = {name for some in heads if len(some) > 1 for name in some}
    return {split: _bare(mine, strip, known) for split, mine in splits.items()} if known and len(splits) > 1 else bare


def _bare(trails: dict[str, Trail], strip: bool, known: set[str]) -> dict[str, Trail]:
    """The folders of one split without those that say nothing: around everything (and not `known`), or called “images” with none beside."""
    while strip:
        heads = {trail[0] for trail in trails.values() if trail}
        deep = all(len(trail) > 1 for trail in trails.values()) and not heads <= known
        if not heads or (len(heads) > 1 and not (deep and looks_like_a_part(heads))) or (len(heads) == 1 and not deep):
            break
        trails = {path: trail[1:] for path, trail in trails.items()}
    beside: dict[Trail, set[str]] = defaultdict(set)
    for trail in set(trails.values()):
        for place, name in enumerate(trail):
            beside[trail[:place]].add(name)
    direct = set(trails.values())

    @cache
    def kept(trail: Trail) -> Trail:
        def says_nothing(place: int) -> bool:
            return trail[:place] not in direct and all(map(is_image_word, beside[trail[:place]]))

        return tuple(name for place, name in enumerate(trail) if not says_nothing(place))

    return {path: kept(trail) for path, trail in trails.items()} if strip else trails
