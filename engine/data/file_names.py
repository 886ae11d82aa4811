"""Classes and splits that the names of picture files say: “cat.12.jpg”, “rain (3).jpg”, “12_frog.png”, “train_cat_1.jpg”."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial

from engine.data.path_words import class_in_name, class_key, is_plain_name, split_and_rest, stem_of

MOST_NAMED = 0.95  # of the pictures to train on must have a class in their name
_PAIRED = 0.2  # of the numbers may stand before several words; more, and the words are views of one thing (10_left, 10_right)


def classes_in_names(pictures: list[str], splits: dict[str, str], asked: bool) -> dict[str, str]:
    """path -> class, where nearly all files to train on bear one of a few words before or behind a number.

    Test images often bear a number alone, so they are not asked; what only they are called is no class.
    """
    taught = [path for path in pictures if splits.get(path, "train") == "train"] or pictures
    for named in (partial(_before_numbers, pictures, splits), partial(_behind_numbers, pictures)):
        labels = named()
        mine = [labels[path] for path in taught if path in labels]
        found = {class_key(name) for name in mine}
        if asked and labels:
            return labels
        if mine and len(mine) >= MOST_NAMED * len(taught) and 2 <= len(found) <= len(mine) / 2:
            return {path: name for path, name in labels.items() if class_key(name) in found}
    return {}


def _before_numbers(pictures: list[str], splits: dict[str, str]) -> dict[str, str]:
    return {path: name for path in pictures if (name := class_in_name(_unsplit(path, splits.get(path, ""))))}


def _behind_numbers(pictures: list[str]) -> dict[str, str]:
    """Of names such as “12_frog.png”; none where the same numbers stand before several words, as of the left and the right eye."""
    found: dict[str, str] = {}
    words: dict[tuple[str, str], set[str]] = defaultdict(set)  # folder and number -> what stands behind it
    for path in pictures:
        match = re.fullmatch(r"(\d+)[\W_]+([^\W\d_].*?)(?:[\W_]*\d+)*", stem_of(path.rpartition("/")[2]))
        if match and is_plain_name(match[2]):
            found[path] = match[2]
            words[path.rpartition("/")[0], match[1]].add(class_key(match[2]))
    several = sum(len(some) > 1 for some in words.values())
    return {} if several > _PAIRED * len(words) else found


def splits_in_names(pictures: list[str]) -> dict[str, str]:
    """path -> split, where nearly all files are called “train_…” or “test_…” and else alike; nothing otherwise."""
    found: dict[str, str] = {}
    rests: dict[str, set[str]] = defaultdict(set)
    others = 0
    for path in pictures:
        split, rest = split_and_rest(stem_of(path.rpartition("/")[2]))
        if split:
            found[path] = split
            rests[split].add(class_key(re.sub(r"[\W\d_]+", " ", rest)))
        elif (others := others + 1) > (1 - MOST_NAMED) * len(pictures):
            return {}
    train = rests.get("train", set())
    if len(rests) < 2 or len(found) < MOST_NAMED * len(pictures) or any(not some & train for some in rests.values()):
        return {}
    return found


def _unsplit(path: str, split: str) -> str:
    """A file's name without its split in it."""
    name = path.rpartition("/")[2]
    stem = stem_of(name)
    named, rest = split_and_rest(stem)
    return rest + name[len(stem) :] if named and named == split and re.search(r"[^\W\d_]", rest) else name
