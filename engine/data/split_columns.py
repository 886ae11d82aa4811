"""Columns of tables that say which split an image is in: by words, by numbers as in CelebA, or by yes and no (“is_test”)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.data.path_words import class_key, split_word

_NAMES = ("split", "set", "subset", "partition", "fold", "datasplit", "phase", "usage", "traintest", "datasettype")
_SURE = re.compile(r"split|partition|fold|traintest|trainvaltest")  # in a name that is meant for nothing else
_FLAG = re.compile(r"(is|in|for)?(train(?:ing)?|test(?:ing)?|val(?:id)?|validation|holdout|heldout)(set|split|image|img|sample|data)?")
_TRUE, _FALSE = frozenset(("1", "1.0", "true", "yes", "y", "t")), frozenset(("0", "0.0", "false", "no", "n", "f"))
_NUMBERS = ({"0": "train", "1": "valid", "2": "test"}, {"1": "train", "2": "valid", "3": "test"})
_OF_CONTESTS = {"publictest": "valid", "privatetest": "test"}  # the part its competitors could measure themselves by, and the other
_MOST_WORDS = 50  # different ones, in a column of splits
_MOST_VALID = 0.5  # of the images are validation ones; “is_valid” of more means that they are good


@dataclass(frozen=True)
class SplitReading:
    """What the words of a column mean."""

    words: dict[str, str] = field(default_factory=dict)  # word -> split
    unknown: tuple[str, ...] = ()  # words that mean no split here, the most frequent first
    rank: int = 0  # 3 all words are known, 2 yes or no, 1 numbers or some words, 0 none: it may be a column of splits
    flag: str = ""  # the split of those that are “true”, where the column holds only that
    plain: bool = True  # whether every word says itself what it means


def squeezed(name: str) -> str:
    """The letters of a name: “imageid” of “Image ID”."""
    return re.sub(r"[^a-z]", "", name.lower())


def split_reading(name: str, counts: Mapping[str, int], said: Mapping[str, str], asked: bool = False) -> SplitReading | None:
    """What a column of that name and these words says of splits; None where it is none.

    Args:
        counts: word -> how often it stands there; without empty cells.
        said: what a person said of words: `class_key` of each -> split.
        asked: whether a person said that it is the column of splits.
    """
    if not counts or (len(counts) > _MOST_WORDS and not asked):
        return None
    told = squeezed(name)
    named = asked or told in _NAMES or _SURE.search(told) is not None
    by_frequency = [word for word, _ in Counter(counts).most_common()]
    words = {word: split for word in by_frequency if (split := said.get(class_key(word), "") or word_for_split(word))}
    unknown = tuple(word for word in by_frequency if word not in words)
    kinds = set(words.values())
    if words and not unknown and (named or (len(kinds) > 1 and "train" in kinds)):
        return SplitReading(words, rank=3, plain=all(map(split_word, words)))
    if (found := _flagged(name, counts, asked)) is not None:
        return found
    if not named:
        return None
    if not words:
        return _numbered(told, counts, asked) or (SplitReading(unknown=unknown) if asked or _SURE.search(told) else None)
    known = sum(counts[word] for word in words)
    if not asked and not said and len(kinds) < 2 and len(unknown) > 1 and 2 * known < sum(counts.values()):
        return None  # “train” among other classes of a column that is called “set”
    if "train" not in kinds:
        more = len(unknown) if any(class_key(word) in said for word in words) else 1  # who names the test images trains on the others
        words, unknown = words | dict.fromkeys(unknown[:more], "train"), unknown[more:]
    return SplitReading(words, unknown, rank=1, plain=all(map(split_word, words)))


def word_for_split(word: str) -> str:
    """The split that a word in a column means; "" for none."""
    return _OF_CONTESTS.get(squeezed(word), "") or split_word(word)


def _flagged(name: str, counts: Mapping[str, int], asked: bool) -> SplitReading | None:
    """Yes or no: CUB-200's “train_test_split”, “is_test_set”, fast.ai's “is_valid”."""
    told = squeezed(name)
    match = _FLAG.fullmatch(told)
    if told != "traintestsplit" and (match is None or (match[2] == "valid" and not match[1])):
        return None
    true = {word for word in counts if word.lower() in _TRUE}
    if not true or len(true) == len(counts) or any(word.lower() not in _TRUE | _FALSE for word in counts):
        return None
    kind = "train" if match is None else {"t": "train" if "train" in match[2] else "test", "v": "valid"}.get(match[2][0], "test")
    if kind == "valid" and not asked and sum(counts[word] for word in true) > _MOST_VALID * sum(counts.values()):
        return SplitReading(unknown=tuple(counts))
    other = "test" if kind == "train" else "train"
    return SplitReading({word: kind if word in true else other for word in counts}, rank=2, flag=kind, plain=False)


def _numbered(told: str, counts: Mapping[str, int], asked: bool) -> SplitReading | None:
    """0, 1 and 2 are training, validation and test; of 0 and 1 the more frequent is training. The numbers of folds are none."""
    if "fold" in told and not asked:
        return None
    for numbers in _NUMBERS:
        if counts.keys() == numbers.keys():
            return SplitReading(dict(numbers), rank=1, plain=False)
    if counts.keys() == {"0", "1"}:
        first = "0" if counts["0"] >= counts["1"] else "1"
        return SplitReading({word: "train" if word == first else "test" for word in ("0", "1")}, rank=1, plain=False)
    return None


def split_by_flags(flags: Mapping[str, bool]) -> str:
    """The split of an image by all its columns of yes and no; "" where none says yes and one might.

    Args:
        flags: split -> whether its column says so.
    """
    for split in ("test", "valid", "train"):
        if flags.get(split):
            return split
    if "train" not in flags:
        return "train"
    return "" if "test" in flags else "test"
