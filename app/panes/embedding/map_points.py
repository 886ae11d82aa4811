"""What is chosen among the points of a map: the card of one, the selected ones, two ends of a direction, and images that were dropped.

The Embedding pane says which map is drawn and by what it is coloured; here is what mouse and keyboard do with its points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QCursor

from app.panes.embedding.controller import EmbeddingController, find, how_far, key
from app.panes.embedding.hover_card import NEAR, Shown
from app.panes.embedding.lasso_page import MOST_TILES, Selected
from app.panes.embedding.map_legend import ColorClasses, ColorScale
from app.panes.embedding.page import EmbeddingPage
from app.panes.embedding.projected_image_page import ProjectedImage
from app.shell.formatting import count, number
from app.widgets.image_view import to_qimage
from app.widgets.parts import short
from engine.messages import Embedded, ImagePlaced, PictureRef


def class_name(label: int, classes: tuple[str, ...]) -> str:
    """Of a class number; the number itself where the classes have no names."""
    return classes[label] if 0 <= label < len(classes) else str(label)


class MapPoints:
    def __init__(
        self, page: EmbeddingPage, controller: EmbeddingController, tell: Callable[[str, str], None], kept: Callable[[], None]
    ) -> None:
        self.page, self.controller, self.tell, self.kept = page, controller, tell, kept
        self.drawn: Embedded | None = None  # the map on screen
        self.colors: ColorClasses | ColorScale | None = None
        self.value_name = "class"  # what the colours stand for
        self.selection: np.ndarray | None = None  # points, int64 in their order
        self.ends: dict[str, np.ndarray] = {}  # "a" and "b": points that were kept
        self.pinned = -1  # the point whose card stays
        self._starts: dict[str, QPointF] = {}  # where a dropped image flies from
        self._new: set[str] = set()  # dropped images that have not landed yet
        page.search.returnPressed.connect(lambda: self.search(page.search.text()))
        page.search.textChanged.connect(lambda text: None if text else self.select(None))
        page.legend.toggled.connect(self._legend_toggled)
        page.map.hovered.connect(self._hovered)
        page.map.clicked.connect(self._clicked)
        page.map.lassoed.connect(lambda points: self.select(np.asarray(points, np.int64)))
        page.map.cleared.connect(self._cleared)
        page.hover_card.closed.connect(lambda: self.pin(-1))
        page.hover_card.picked.connect(self._near_picked)
        page.selection.picked.connect(self._selected_picked)
        page.selection.kept.connect(self.keep)
        page.projected_image.picked.connect(self._projected_image_picked)
        page.projected_image.clear_asked.connect(self.forget_images)
        controller.placed.connect(self._on_placed)

    def forget(self) -> None:
        """Other images: nothing that was chosen among the old ones holds."""
        self.ends.clear()
        self.pinned, self.selection = -1, None
        self._starts.clear()
        self.page.map.clear()
        self.page.selection.show_ends(None, None)

    def values(self) -> list[str] | None:
        """What every point is coloured by, as a file says it."""
        if isinstance(self.colors, ColorScale):
            return [repr(float(value)) for value in self.colors.values]
        if self.colors is not None:
            names = self.colors.names
            return [class_name(value, names) for value in self.colors.values.tolist()]
        return None

    # -- one point -----------------------------------------------------------------------------------------------------------

    def name_of(self, i: int) -> str:
        """A point in a few words: "7 · image 4 711"."""
        event = self.drawn
        assert event is not None
        number_of = f"image {count(int(event.indices[i]))}"
        return number_of if event.labels is None else f"{class_name(int(event.labels[i]), event.classes)} · {number_of}"

    def _hovered(self, index: int, _at: QPointF | None = None) -> None:
        if self.pinned < 0:
            self._show_point(index)

    def _clicked(self, index: int) -> None:
        self.pin(-1 if index == self.pinned else index)

    def pin(self, index: int) -> None:
        """Keep the card of a point; −1 lets it follow the mouse again."""
        self.pinned = index
        self.page.map.set_chosen(index)
        self._show_point(index, pinned=True)

    def _show_point(self, i: int, pinned: bool = False) -> None:
        event, page = self.drawn, self.page
        if event is None or i < 0:
            page.map.set_links(-1)
            page.hover_card.show_point(None)
            return
        near, k = event.neighbours[i], event.neighbours.shape[1]
        page.map.set_links(i, near)
        lines = [event.names[i]] if event.names and event.names[i] else []
        if self.controller.point_colors is not None and self.colors is not None:
            value = self.colors.values[i]
            if isinstance(self.colors, ColorScale):
                lines.append(f"{self.value_name} {short(float(value))} {self.colors.unit}".rstrip())
            else:
                lines.append(f"{self.value_name} {class_name(int(value), self.colors.names)}")
        lines.append(f"neighbours kept: {number(100 * float(event.survived[i]), 0, '%')}")
        words = f"True neighbours, nearest at {short(float(event.distances[i, 0]))}" if k else "It has no neighbours"
        card = Shown(event.images[i], self.name_of(i), tuple(lines), event.images[near[:NEAR]], self._tips(near, event.distances[i]), words)
        page.hover_card.show_point(card, pinned)
        if page.map.view is not None:
            page.put_card(page.map.to_screen(event.places[i]))

    def _tips(self, points: np.ndarray, distances: np.ndarray) -> tuple[str, ...]:
        return tuple(f"{self.name_of(int(i))} · distance {short(float(d))}" for i, d in zip(points, distances, strict=False))

    def look_at_point(self, i: int) -> None:
        """Bring a point into sight and keep its card."""
        self.page.map.reveal(i)
        self.pin(i)

    def _near_picked(self, place: int) -> None:
        if self.drawn is not None and self.pinned >= 0:
            self.look_at_point(int(self.drawn.neighbours[self.pinned, place]))

    # -- several points ------------------------------------------------------------------------------------------------------

    def select(self, points: np.ndarray | None, kinds: frozenset[int] = frozenset(), side: int = 0) -> None:
        """Look at some points: the others are dimmed. None, or no point at all: all are alike. `side`: which page shows it."""
        self.selection = points if points is not None and len(points) and self.drawn is not None else None
        if self.selection is not None:
            self.page.show_side(side)
        self.show_selection(kinds)

    def show_selection(self, kinds: frozenset[int]) -> None:
        event, points, page = self.drawn, self.selection, self.page
        mask = None
        if event is None or points is None:
            page.selection.show_selected(None)
        else:
            mask = np.zeros(len(event.places), bool)
            mask[points] = True
            labels = [] if event.labels is None else [class_name(int(event.labels[i]), event.classes) for i in points]
            shown = points[:MOST_TILES]
            tips = tuple(self.name_of(int(i)) for i in shown)
            page.selection.show_selected(Selected(event.images[shown], tips, len(points), tuple(Counter(labels).most_common())))
        if event is not None:
            page.map.set_selected(mask)
        page.legend.show_selected(mask, kinds)

    def _cleared(self) -> None:
        self.pin(-1)
        self.select(None)

    def _legend_toggled(self, row: int, add: bool) -> None:
        if isinstance(self.colors, ColorClasses):
            before = self.page.legend.chosen
            kinds = before ^ {row} if add else frozenset() if before == {row} else frozenset({row})
            self.select(np.flatnonzero(np.isin(self.colors.values, list(kinds))) if kinds else None, kinds)

    def search(self, text: str) -> None:
        """Select what a text names, and bring it into sight."""
        if self.drawn is None:
            return
        found, words = find(text, self.drawn)
        self.select(found)
        if len(found):
            places = self.drawn.places[found]
            self.page.map.reveal(int(found[np.square(places - np.median(places, axis=0)).sum(axis=1).argmin()]))
        self.pin(int(found[0]) if len(found) == 1 else -1)
        self.tell(words, "" if len(found) else "warning")

    def _selected_picked(self, place: int) -> None:
        if self.selection is not None:
            self.look_at_point(int(self.selection[place]))

    def keep(self, letter: str) -> None:
        """Remember the selected points as one end of a direction."""
        if self.selection is not None:
            self.ends[letter] = self.selection
            self.page.selection.show_ends(*(len(self.ends[end]) if end in self.ends else None for end in ("a", "b")))
            self.kept()

    # -- own images ----------------------------------------------------------------------------------------------------------

    def drop(self, paths: list[str]) -> None:
        """Put images on the map; they fly there from the mouse."""
        at = self.page.map.mapFromGlobal(QCursor.pos())
        start = QPointF(at if self.page.map.rect().contains(at) else self.page.map.rect().center())
        pictures = [PictureRef(label=Path(path).name, path=path) for path in paths]
        self._starts |= {key(picture): start for picture in pictures}
        self._new |= {key(picture) for picture in pictures}
        self.page.show_side(1)
        self.controller.place(pictures)

    def _on_placed(self, picture: PictureRef, answer: ImagePlaced) -> None:
        if self.drawn is not self.controller.map or self.drawn is None or self.page.map.view is None:
            return
        start = self._starts.get(key(picture), QPointF(self.page.map.rect().center()))
        self.page.map.fly(to_qimage(answer.seen), start, answer.place)
        self._starts[key(picture)] = self.page.map.to_screen(answer.place)  # the next map moves it from here
        self.show_image(answer)
        if key(picture) in self._new:
            self._new.discard(key(picture))
            self.pin(-1)
            self.select(np.sort(answer.neighbours.astype(np.int64)), side=1)

    def show_image(self, answer: ImagePlaced | None) -> None:
        event = self.drawn
        if answer is None or event is None:
            self.page.projected_image.show_image(None)
            return
        words, level = how_far(answer)
        near = answer.neighbours
        notes = " ".join(f"{note.rstrip('.')}." for note in answer.notes)
        tips = self._tips(near, answer.distances)
        images = event.images[near]
        self.page.projected_image.show_image(ProjectedImage(answer.label, answer.original, answer.seen, words, level, images, tips, notes))

    def _projected_image_picked(self, place: int) -> None:
        answers = list(self.controller.places.values())
        if answers:
            self.look_at_point(int(answers[-1].neighbours[place]))

    def forget_images(self) -> None:
        self.controller.forget_pictures()
        self._starts.clear()
        self._new.clear()
        self.page.map.remove_flights()
        self.show_image(None)
