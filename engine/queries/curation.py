"""Answers about curation: one more decision about some images, and what is in force."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine import messages as m
from engine.data import DataSet
from engine.data.builtin import is_built_in
from engine.data.curating import hash_of, view_of
from engine.data.curation import Curation, Decision, carried_state, decided, file_carried, file_of, keep, names_in, places_of, read
from engine.data.recipe import ImportRecipe, parted_name, with_recipe
from engine.queries.answers import answers
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.file_lock import Held, Lock
from engine.storage.manifest import moved_data

LOCK_SECONDS = 2.0  # another window reads and replaces its file of decisions in less
_WORDS = {"exclude": "leave out", "include": "take in again", "relabel": "give the class", "tag": "tag", "untag": "take off the tag"}


class CurationDesk:
    """Keeps which row each name of the last data set is at, since menus ask often."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._of: tuple[str, str] = ("", "")
        self._rows: dict[str, tuple[str, int]] = {}
        self._signs: dict[str, str] = {}  # channel -> the decision that was asked for on it

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
        if query.act == "look":
            return _told(query, path, recipe, data, *own_curation(path, recipe))
        with _alone(path):
            return _told(query, path, recipe, data, *self._decided(query, path, recipe, data))

    def _decided(self, query: m.Curate, path: str, recipe: ImportRecipe, data: DataSet) -> tuple[Curation, Path]:
        """(The log with one decision more, its file). Raises: as `curate`."""
        curation, file = own_curation(path, recipe)
        if file != file_of(path) and read(file_of(path)).steps:
            raise CannotAnswer(
                f"Here the decisions of “{file.name}” are in force, and others lie beside the data ({file_of(path)}), where this one "
                "would go: open the data without “curation” to go on with those, or move that file away."
            )
        newest = curation.next_undone(query.act) if query.of else None
        if newest is not None and self._signs.get(query.of, query.of) != curation.sign_of_next(query.act):
            moves = "taken back" if query.act == "undo" else "brought back"
            raise CannotAnswer(
                f"Another window has decided since ({in_words(newest)}), so nothing was {moves}; the menu of an image can {query.act} that."
            )
        curation = decided(curation, query.act, self._images(data, query), query.value, view_of(data.shape, data.preprocessing))
        file = keep(path, curation)
        if query.channel:
            self._signs[query.channel] = curation.sign_of_next("redo" if query.act == "undo" else "undo")
        return curation, file

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


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """No other window decides about these data meanwhile. The lock lies in the program's own folder, so that none litters the data's.

    Raises: CannotAnswer: another one does for long.
    """
    own = places_of(path)[1]
    lock, until = None, time.monotonic() + LOCK_SECONDS
    while True:
        try:
            own.parent.mkdir(parents=True, exist_ok=True)
            lock = Lock(own.with_name(f".{own.name}.lock"))
            break
        except Held:
            if time.monotonic() > until:
                raise CannotAnswer("Another window is deciding about these data just now, so nothing was decided; try again.") from None
            time.sleep(0.02)
        except OSError:
            break  # that folder cannot be written: decided as before, without a lock
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def own_curation(path: str, recipe: ImportRecipe) -> tuple[Curation, Path]:
    """(The decisions about a data set as its recipe names them, with those that came later; their file). Raises: BadData.

    The log beside the data goes on with those of a file that the recipe names where it begins with them, as it does once something was
    decided about such a set; where it does not, only the file counts.
    """
    beside = read(file_of(path))
    if recipe.curation:
        state = carried_state(path, recipe.curation)
        if beside.steps[: len(state.steps)] != state.steps:
            return state, file_carried(path, recipe.curation)
    return beside, file_of(path)


def _told(query: m.Curate, path: str, recipe: ImportRecipe, data: DataSet, curation: Curation, file: Path) -> m.Curated:
    carried = curation.carried(None if file == file_of(path) else file)
    known = curation.known()
    tags = Counter(tag for one in known.values() for tag in one.tags)
    plain = replace(recipe, curation="")
    return m.Curated(
        stamp=query.stamp,
        channel=query.channel,
        data=query.data,
        plain=with_recipe(path, plain),
        curated=with_recipe(path, replace(plain, curation=carried)),
        decisions=len(curation.in_force()),
        images=tuple(m.CuratedImage(name, one.excluded, one.label, one.tags) for name, one in known.items()),
        excluded=sum(one.excluded for one in known.values()),
        relabelled=sum(bool(one.label) for one in known.values()),
        tags=tuple(tags.most_common()),
        classes=data.classes,
        undo=in_words(curation.next_undone("undo")),
        redo=in_words(curation.next_undone("redo")),
        undo_sign=curation.sign_of_next("undo"),
        redo_sign=curation.sign_of_next("redo"),
        file=str(file),
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
