"""Files beside pictures that are no pictures: which were read and for what, and which are known descriptions that were not needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from itertools import pairwise

from engine.data.path_words import stem_of
from engine.data.table_text import SUFFIXES

NAMED = 3  # files of one kind, in a sentence
_TEXTS = (*SUFFIXES, ".xml", ".md", ".rst", ".names", ".yaml", ".yml", ".pdf", ".html", ".rtf", ".bib", ".tex", ".md5", ".sha256")
_BARE = re.compile(r"readme|licen[cs]e|changelog|copying|authors|checksums|(md5|sha256)sums", re.IGNORECASE)
_KINDS = (  # of a file by the words of its path, the first that fits
    ("bounding boxes", r"b?box(es)?|bounding ?box(es)?|rois?|detection"),
    ("attributes", r"attr|attributes?|certainties"),
    ("parts and key points", r"parts?|landmarks?|key ?points?|joints|clicks?|locs?"),
    ("outlines", r"segmentations?|masks?|trimaps?|polygons?|panoptic|instances"),
    ("captions", r"captions?|sentences|descriptions"),
    ("names of classes", r"class(es)?|labels?|categor(y|ies)|wnids?|words|synsets?|names|taxonomy|hierarchy"),
    ("checksums", r"md5(sums?)?|sha\d*(sums?)?|checksums?"),
    ("words about the set", r"readme|licen[cs]e|copying|citations?|about|changelog|authors|info|datasheet|card|terms|notes?|sources?"),
)  # fmt: skip

DESCRIPTIONS = ("bounding boxes", "attributes", "parts and key points", "outlines", "captions")  # that say more than a class


def kind_of_text(path: str, stems: Set[str]) -> str:
    """What a file beside pictures describes, by its name; "" for one that is unknown or no text.

    `stems`: the names of the pictures without folder and ending; a text called as one of them is about that one.
    """
    folder, _, name = path.rpartition("/")
    if not (name.lower().endswith(_TEXTS) or _BARE.fullmatch(name)):
        return ""
    if stem_of(name) in stems:
        return "notes on single images"
    for words in (stem_of(name), folder.rpartition("/")[2]):
        found = _parted(words)
        for kind, pattern in _KINDS:
            if any(re.fullmatch(pattern, word) for word in (*found, *map(" ".join, pairwise(found)))):
                return kind
    return ""


def _parted(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()) if word]


@dataclass
class Beside:
    """What files that are no pictures are there for."""

    notes: list[str] = field(default_factory=list)
    kinds: dict[str, list[str]] = field(default_factory=dict)  # of those that were not needed
    unknown: list[str] = field(default_factory=list)


def said_beside(paths: Iterable[str], stems: Set[str], roles: Mapping[str, list[str]], tables: Mapping[str, bool]) -> Beside:
    """Which of the files were read and for what, which describe what was not needed, and which are unknown.

    Args:
        stems: as of `kind_of_text`.
        roles: what tables were read for, in words.
        tables: those that name pictures -> whether they have columns that could be classes.
    """
    told = Beside()
    read: dict[str, list[str]] = {}
    for path in paths:
        if path in roles:
            read.setdefault(" and ".join(roles[path]), []).append(path)
            continue
        kind = kind_of_text(path, stems)
        if path in tables and kind not in DESCRIPTIONS:
            kind = "classes that can be chosen" if tables[path] else "lists of images"
        (told.kinds.setdefault(kind, []) if kind else told.unknown).append(path)
    if read:
        told.notes.append(f"Read beside the images: {', '.join(f'{_listed(some)} for {role}' for role, some in read.items())}.")
    if told.kinds:
        told.notes.append(f"Not needed: {', '.join(f'{kind} ({_listed(some)})' for kind, some in told.kinds.items())}.")
    return told


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more
