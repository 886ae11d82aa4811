"""What is easily overlooked in a tree of pictures, in sentences: hidden files, litter of the system, folders without an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.common.counting import number_of, was_or_were
from engine.data.left_out import parents_of
from engine.data.limits import LEFT_OUT_LISTED
from engine.data.path_words import class_key, is_hidden
from engine.data.split_places import listed_words


def words_of_litter(litter: Sequence[str]) -> list[str]:
    """How many hidden files and folders, and how many of the system, were left out, and the names of some."""
    notes: list[str] = []
    every = set(litter)
    hidden = sorted(path for path in every if is_hidden(path.rpartition("/")[2]))
    ours = len(every) - len(hidden)
    if ours:
        names = sorted({path.rpartition("/")[2] for path in every.difference(hidden)})
        more = ", …" if len(names) > LEFT_OUT_LISTED else ""
        notes.append(
            f"{number_of(ours, 'file or folder', 'files or folders')} of the system {was_or_were(ours)} left out: "
            f"{', '.join(names[:LEFT_OUT_LISTED])}{more}."
        )
    if hidden:
        more = ", …" if len(hidden) > LEFT_OUT_LISTED else ""
        notes.append(
            f"{number_of(len(hidden), 'hidden file or folder', 'hidden files or folders')} {was_or_were(len(hidden))} left out, with what "
            f"is in {'it' if len(hidden) == 1 else 'them'}: {', '.join(hidden[:LEFT_OUT_LISTED])}{more}. Without the dot before its name "
            "it is used."
        )
    return notes


def words_of_bare_folders(pictures: Iterable[str], others: Iterable[str], labels: Iterable[str]) -> list[str]:
    """Name the folders without a picture that stand beside those of the classes; `others`: paths in them, a folder's own ends with “/”."""
    known, beyond = _folders_around(pictures), _folders_around(others)
    classes = set(map(class_key, labels))
    beside = {folder.rpartition("/")[0] for folder in known if class_key(folder.rpartition("/")[2]) in classes}
    bare = sorted(one for one in beyond - known if one.rpartition("/")[0] in beside)
    if not bare:
        return []
    return [f"No image lies in {listed_words(bare)} beside the class folders, so no class is made of {'it' if len(bare) == 1 else 'them'}."]


def _folders_around(paths: Iterable[str]) -> set[str]:
    return {one for folder in {path.rpartition("/")[0] for path in paths} for one in parents_of(f"{folder}/") if one}
