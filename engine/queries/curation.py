"""Answers about curation: one more decision about some images, and what is in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine import messages as m
from engine.data import DataSet
from engine.data.builtin import is_built_in
from engine.data.curating import hash_of, view_of
from engine.data.curation import Curation, Decision, carried_state, decided, file_of, keep, names_in, read
from engine.data.recipe import ImportRecipe, parted_name, with_recipe
from engine.queries.answers import answers
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.manifest import moved_data

_WORDS = {"exclude": "leave out", "include": "take in again", "relabel": "give the class", "tag": "tag", "untag": "take off the tag"}


class CurationDesk:
    """Keeps which row each name of the last data set is at, since menus ask often."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._of: tuple[str, str] = ("", "")
        self._rows: dict[str, tuple[str, int]] = {}

    @answers(m.Curate)
    def curate(self, query: m.Curate) -> m.Curated:
        """Follow a decision and tell what is in force. Raises: BadData, CannotAnswer, DiskRefuses."""
        name = moved_data(query.data)
        path, recipe = parted_name(name)
        if is_built_in(path):
            raise CannotAnswer(f"“{path}” comes with the program and stays as it is; curate data of your own.")
        data = self.session.data(name)
        if data.kind != "images":
            raise CannotAnswer(f"“{data.name}” is text and has no images to decide about.")
        curation = own_curation(path, recipe)
        if query.act != "look":
            curation = decided(curation, query.act, self._images(data, query), query.value, view_of(data.shape, data.preprocessing))
            keep(path, curation)
        return _told(query, path, recipe, data, curation)

    def _images(self, data: DataSet, query: m.Curate) -> list[tuple[str, str]]:
        """(name, hash of the pixels). Raises: CannotAnswer: an image or a class that there is not."""
        if query.act == "relabel" and query.value.strip() not in data.classes:
            some = ", ".join(data.classes[:10]) or "none"
            raise CannotAnswer(f"“{query.value.strip()[:60]}” is no class of this data set; its classes are {some}.")
        if self._of != (data.data, data.hash):
            self._rows = {name: (split, row) for split, one in data.splits.items() for name, row in names_in(one.names).items()}
            self._of = (data.data, data.hash)
        images = []
        for name in query.names:
            if name in self._rows:
                split, row = self._rows[name]
                images.append((name, hash_of(np.asarray(data.splits[split].images[row]))))
            elif query.act in ("include", "untag", "tag", "relabel"):
                images.append((name, ""))  # it may be left out of what is shown
            else:
                raise CannotAnswer(f"There is no image “{name[:100]}” in this data set; check its name.")
        return images


def own_curation(path: str, recipe: ImportRecipe) -> Curation:
    """The decisions beside a data set, or those of the file that its recipe names. Raises: BadData."""
    beside = read(file_of(path))
    if recipe.curation and not beside.steps:
        return carried_state(path, recipe.curation)
    return beside


def _told(query: m.Curate, path: str, recipe: ImportRecipe, data: DataSet, curation: Curation) -> m.Curated:
    known = curation.known()
    tags = Counter(tag for one in known.values() for tag in one.tags)
    plain = replace(recipe, curation="")
    return m.Curated(
        stamp=query.stamp,
        channel=query.channel,
        data=query.data,
        plain=with_recipe(path, plain),
        curated=with_recipe(path, replace(plain, curation=curation.carried())),
        decisions=len(curation.in_force()),
        images=tuple(m.CuratedImage(name, one.excluded, one.label, one.tags) for name, one in known.items()),
        excluded=sum(one.excluded for one in known.values()),
        relabelled=sum(bool(one.label) for one in known.values()),
        tags=tuple(tags.most_common()),
        classes=data.classes,
        undo=in_words(curation.next_undone("undo")),
        redo=in_words(curation.next_undone("redo")),
        file=str(file_of(Path(path))),
    )


def in_words(step: Decision | None) -> str:
    """A decision for a menu: “leave out 3 images”."""
    if step is None:
        return ""
    images = "one image" if len(step.images) == 1 else f"{len(step.images):,} images"
    match step.act:
        case "relabel":
            return f"give {images} the class “{step.value}”"
        case "tag":
            return f"tag {images} “{step.value}”"
        case "untag":
            return f"take the tag “{step.value}” off {images}"
    return f"{_WORDS[step.act]} {images}"
