"""A set as it was curated: without the images that were left out, with the classes they were given. What cannot be followed is said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from engine.common.counting import number_of
from engine.data.curation import Curation, Known, names_in
from engine.data.dataset import BadData, Chosen, Source, Split
from engine.data.fingerprints import chunks
from engine.data.preprocessing import Preprocessing
from engine.data.splits import parts_of_splits

NAMED = 5  # images in a sentence


def hash_of(image: np.ndarray) -> str:
    """What an image uint8 [C, H, W] is known by beside its name."""
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=8).hexdigest()


def view_of(shape: tuple[int, ...], how: Preprocessing) -> str:
    """What the pixels of a set depend on beside its files: hashes of two views cannot be compared."""
    return hashlib.sha256(repr((tuple(shape), sorted(how.changed().items()))).encode()).hexdigest()[:8]


@dataclass
class _Found:
    """The images that decisions are about, and those that they cannot be about."""

    rows: list[tuple[str, int, Known]] = field(default_factory=list)  # (part, row, what is known)
    renamed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass
class KeptImages:
    """What was decided about the images of each part; it is followed once they are split, so that no other image changes its split."""

    kept: dict[str, np.ndarray]  # part -> whether an image stays, bool [N]
    labels: dict[str, np.ndarray]  # part -> int64 [N], with the classes that were given

    def of(self, source: Source, splits: dict[str, Split]) -> dict[str, Split]:
        """The splits without what was left out, with the classes that were given. Raises: BadData: nothing is left of one."""
        result, parts = {}, parts_of_splits(source)
        for name, split in splits.items():
            part = parts[name]
            stays = np.flatnonzero(self.kept[part][split.index])
            if not len(stays):
                what = {"train": "training", "valid": "validation"}.get(name, name)
                raise BadData(f"All {what} images of “{source.name}” were left out, and one is needed at least; take some in again.")
            labels = self.labels[part][split.index] if part in self.labels else split.labels
            split = replace(split, labels=labels)
            result[name] = split if len(stays) == len(split) else _rows(split, stays)
        return result


def curate(source: Source, curation: Curation, shape: tuple[int, ...]) -> KeptImages | None:
    """What the decisions in force say of the images of a source whose pixels are as they will be; None for nothing."""
    known = curation.known()
    if not known:
        return None
    found = _found(source, known, view_of(shape, source.preprocessing))
    labels, strange = _relabelled(source, found)
    kept = {name: np.ones(len(part.images), bool) for name, part in source.parts.items()}
    for part_name, row, one in found.rows:
        kept[part_name][row] = not one.excluded
    left_out = int(sum((~some).sum() for some in kept.values()))
    tags: dict[str, int] = {}
    for _, _, one in found.rows:
        for tag in one.tags:
            tags[tag] = tags.get(tag, 0) + 1
    relabelled = sum(bool(one.label) for _, _, one in found.rows)
    source.understood["curation"] = {"steps": len(curation.steps), "excluded": left_out, "relabelled": relabelled, "tags": tags}
    said = []
    if left_out:
        said.append(f"{left_out:,} {'image was' if left_out == 1 else 'images were'} left out")
    if relabelled - len(strange):
        count = relabelled - len(strange)
        said.append(f"{count:,} {'was' if count == 1 else 'were'} given another class")
    if tags:
        said.append(f"tags: {', '.join(f'{tag} ({count:,})' for tag, count in sorted(tags.items())[:NAMED])}")
    if said:
        source.notes.append(f"Curated: {'; '.join(said)}.")
    if left_out:
        source.notes.append("The splits were drawn before images were left out, so every other image is in the split that it was in.")
    for names, one, many in (
        (
            found.renamed,
            "has another name than when it was decided about, and is known by its pixels",
            "have another name than when they were decided about, and are known by their pixels",
        ),
        (
            found.changed,
            "has changed since it was decided about, so nothing was decided for it",
            "have changed since they were decided about, so nothing was decided for them",
        ),
        (found.gone, "that was decided about is not in the data any more", "that were decided about are not in the data any more"),
        (
            strange,
            "was to get a class that the set does not have, and keeps its own",
            "were to get a class that the set does not have, and keep theirs",
        ),
    ):
        if names:
            more = ", …" if len(names) > NAMED else ""
            source.notes.append(f"{number_of(len(names), 'image')} {one if len(names) == 1 else many}: {', '.join(names[:NAMED])}{more}.")
    return KeptImages(kept, labels)


def _found(source: Source, known: dict[str, Known], view: str) -> _Found:
    result = _Found()
    missing = dict(known)
    for part_name, part in source.parts.items():
        places = names_in(part.names)
        for name, one in known.items():
            row = places.get(name)
            if row is None or name not in missing:
                continue
            del missing[name]
            if one.hash and one.view == view and hash_of(part.images[row]) != one.hash:
                result.changed.append(name)
            else:
                result.rows.append((part_name, row, one))
    by_hash = {one.hash: name for name, one in missing.items() if one.hash and one.view == view}
    taken = {(part, row) for part, row, _ in result.rows}
    if by_hash:
        for part_name, part in source.parts.items():
            start = 0
            for chunk in chunks(part.images):
                for row, image in enumerate(chunk, start):
                    name = by_hash.get(hash_of(image))
                    if name in missing and (part_name, row) not in taken:
                        result.rows.append((part_name, row, missing.pop(name)))
                        result.renamed.append(f"{name} (now {part.names[row]})")
                start += len(chunk)
    result.gone = list(missing)
    return result


def _relabelled(source: Source, found: _Found) -> tuple[dict[str, np.ndarray], list[str]]:
    """(Labels of the parts in which classes were given, the names of images whose class the set does not have)."""
    labels: dict[str, np.ndarray] = {}
    strange = []
    number = {name: place for place, name in enumerate(source.classes)}
    for part_name, row, one in found.rows:
        if not one.label:
            continue
        part = source.parts[part_name]
        if one.label not in number or part.labels is None:
            strange.append(part.names[row])
            continue
        labels.setdefault(part_name, part.labels.copy())[row] = number[one.label]
    return labels, strange


def _rows(split: Split, rows: np.ndarray) -> Split:
    """The rows [n] of a split, whose pixels stay where they are."""
    images = np.broadcast_to(np.uint8(0), (len(rows), *split.images.shape[1:]))
    labels, groups, before = (None if some is None else some[rows] for some in (split.labels, split.groups, split.before))
    return Split(images, labels, Chosen(split.names, rows), split.index[rows], groups, before)
