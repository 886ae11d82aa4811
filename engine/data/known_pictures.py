"""Which picture a cell of a table names: by its path, an end of it, its name; by a path of another computer, a web address, a number."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from urllib.parse import unquote

from engine.data.limits import MAX_DEPTH
from engine.data.path_words import split_word, stem_of

_LOOKED_AT = 200  # cells tell what a column holds
_SAMPLE = 2_000  # cells tell how many folders of their paths lead here
_PATH = re.compile(r"[/\\]|\.\w{2,5}$")


class KnownPictures:
    """The pictures below a folder by what a cell may call them; by no name that two of them share."""

    def __init__(self, pictures: list[str], folder: str) -> None:
        self._by_name = _names(pictures, folder)
        self._pictures = pictures

    def named(self, cells: list[str]) -> list[str | None]:
        """The picture whose path, end of its path or name each cell is, with or without ending."""
        return [self._by_name.get(plain(cell)) for cell in cells]

    def meant(self, cells: list[str], id_like: bool, headed: bool) -> list[str | None]:
        """The picture that each cell names in another way, where none names two: a path that begins elsewhere or a web address, with any
        ending, or the number in its name.

        Args:
            id_like: whether the column may hold numbers of files.
            headed: whether it is called so, and not only first.
        """
        given = [cell for cell in cells if cell][:_LOOKED_AT]
        if 2 * sum(_PATH.search(cell) is not None for cell in given) > len(given):
            return self._by_tail(cells)
        if given and id_like and all(_number(cell) is not None for cell in given):
            return self._by_number(cells, headed)
        return [None] * len(cells)

    def _by_tail(self, cells: list[str]) -> list[str | None]:
        """With the fewest folders taken off all cells with which most are found."""
        paths = [_local(cell).split("/") for cell in cells]
        sample = paths[:: max(1, len(paths) // _SAMPLE)]
        counts = {
            off: sum(self._tail(parts, off) is not None for parts in sample)
            for off in range(min(MAX_DEPTH, max(map(len, sample), default=0)))
        }
        best = max(counts, key=lambda off: (counts[off], -off), default=0)
        return _of_one_cell([self._tail(parts, best) for parts in paths], ["/".join(parts) for parts in paths])

    def _tail(self, parts: list[str], off: int) -> str | None:
        """The picture that is called as a path is without its outer folders; none whose folder is another split."""
        if len(parts) <= off:
            return None
        end = "/".join(parts[off:])
        found = self._by_name.get(end) or self._by_name.get(stem_of(end))
        if found is None or not off:
            return found
        theirs = {split for part in parts[:off] if (split := split_word(part))}
        ours = {split for part in found.split("/")[:-1] if (split := split_word(part))}
        return None if theirs and ours and not theirs & ours else found

    def _by_number(self, cells: list[str], headed: bool) -> list[str | None]:
        """By the number that a name is, whatever zeros are before it; or the one behind what nearly all names begin with."""
        parted = [(match, picture) for picture in self._pictures if (match := re.fullmatch(r"(.*?)(\d{1,18})", _stem(picture)))]
        starts = Counter(match[1] for match, _ in parted)
        start = starts.most_common(1)[0][0] if starts else ""
        if starts[start] < 0.9 * len(self._pictures) or (start and not headed):
            return [None] * len(cells)
        numbers: dict[int, str] = {}
        doubtful: set[int] = set()
        for match, picture in parted:
            if match[1] == start and numbers.setdefault(int(match[2]), picture) != picture:
                doubtful.add(int(match[2]))
        if len({cell for cell in cells if cell}) < 0.9 * len(cells):
            return [None] * len(cells)  # a measure or a class
        found = [None if (number := _number(cell)) is None or number in doubtful else numbers.get(number) for cell in cells]
        return _of_one_cell(found, cells)


def plain(name: str) -> str:
    """What is equal for all writings of a path: its case, Unicode form and signs between folders do not matter."""
    name = name.strip().replace("\\", "/")
    name = name.casefold() if name.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return name.removeprefix("./").lstrip("/")


def _names(pictures: list[str], folder: str) -> dict[str, str]:
    """What a cell may call a picture -> its path: its path, the end of it, its name, with and without ending. None that two share."""
    known: dict[str, str] = {}
    doubtful: set[str] = set()
    for picture in pictures:
        parts = picture[len(folder) + 1 if folder else 0 :].split("/")
        for start in range(len(parts)):
            whole = "/".join(parts[start:])
            for name in {plain(whole), plain(stem_of(whole))}:
                if known.setdefault(name, picture) != picture:
                    doubtful.add(name)
    for name in doubtful:
        del known[name]
    return known


def _of_one_cell(found: list[str | None], cells: list[str]) -> list[str | None]:
    """Without the pictures that different cells name."""
    named_by: dict[str, str] = {}
    several = {one for one, cell in zip(found, cells, strict=True) if one is not None and named_by.setdefault(one, cell) != cell}
    return [None if one in several else one for one in found]


def _local(cell: str) -> str:
    """A path or a web address as a path below some folder."""
    if "://" in cell:
        cell = unquote(re.split(r"[?#]", cell)[0])
    return "/".join(part for part in plain(cell).split("/") if part not in ("", ".", ".."))


def _stem(picture: str) -> str:
    return stem_of(picture.rpartition("/")[2])


def _number(cell: str) -> int | None:
    match = re.fullmatch(r"(\d{1,18})(?:\.0)?", cell.strip(), re.ASCII)
    return int(match[1]) if match else None
