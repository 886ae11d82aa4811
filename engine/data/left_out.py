"""Files of a tree that are not used: how many, which, why, and the patterns that take them back."""

from __future__ import annotations

import fnmatch
import glob
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.data.limits import LEFT_OUT_LISTED
from engine.data.path_words import MASK_ENDINGS, stem_of

MOST_PATTERNS = 20  # that a button takes back


@dataclass(frozen=True)
class LeftOut:
    """Files that are not used, for one reason."""

    count: int
    examples: tuple[str, ...]
    reason: str  # ends the sentence that begins with their number
    keep: tuple[str, ...] = ()  # patterns that take them back; none where nothing could be made of them

    def sentence(self) -> str:
        """The whole of it."""
        more = ", …" if self.count > len(self.examples) else ""
        return f"{self.count:,} {self.reason}: {', '.join(self.examples)}{more}."


def left_out(paths: Iterable[str], one: str, many: str, others: Iterable[str] | None = None) -> LeftOut | None:
    """Files with the reason, as it ends a sentence about one and about many; None where there are none.

    Args:
        others: all pictures, where these can be taken back.
    """
    paths = list(paths)
    if not paths:
        return None
    reason = one if len(paths) == 1 else many
    return LeftOut(len(paths), tuple(paths[:LEFT_OUT_LISTED]), reason, () if others is None else _patterns(paths, others))


def matching(paths: Iterable[str], patterns: tuple[str, ...]) -> set[str]:
    """The paths that one of the patterns fits, as in a shell, with the whole path; one without “/” and wildcards fits a folder's name."""
    if not patterns:
        return set()
    folders = {pattern for pattern in patterns if not any(sign in pattern for sign in "/*?[")}
    return {
        path
        for path in paths
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns) or (folders and not folders.isdisjoint(path.split("/")[:-1]))
    }


def words_of_idle(name: str, paths: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """A sentence for each pattern of a decision that fits none of the pictures."""
    return [
        f"{name} “{pattern}” names no image; a pattern is matched with the whole path, such as */masks/*, or is the name of a folder."
        for pattern in patterns
        if not matching(paths, (pattern,))
    ]


def _patterns(paths: list[str], others: Iterable[str]) -> tuple[str, ...]:
    """What fits these files and few others: the ending of their names, or the folders that hold nothing else."""
    endings = {end for path in paths for end in MASK_ENDINGS if stem_of(path).endswith(end)}
    if endings and all(stem_of(path).endswith(tuple(endings)) for path in paths):
        return tuple(f"*{end}.*" for end in sorted(endings))
    every, mine = _counted(others), _counted(paths)
    found: set[str] = set()
    for path in paths:
        whole = next((folder for folder in parents_of(path) if every[folder] == mine[folder]), None)
        found.add(_escaped(path) if whole is None else f"{_escaped(whole)}/*")
        if len(found) > MOST_PATTERNS:
            return ()
    return tuple(sorted(found))


def _counted(paths: Iterable[str]) -> Counter[str]:
    """How many of the files lie below each folder."""
    counts: Counter[str] = Counter()
    for folder, count in Counter(path.rpartition("/")[0] for path in paths).items():
        for one in parents_of(f"{folder}/"):
            counts[one] += count
    return counts


def parents_of(path: str) -> Iterator[str]:
    """Every folder around a path, the outermost first."""
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def _escaped(path: str) -> str:
    return glob.escape(path).replace(",", "?")  # commas part patterns in a form
