"""What the Embedding pane asks of the engine, in which order, and what becomes of the answers. Nothing is drawn here.

First a map by principal components where there is none yet, which costs next to nothing and is something to look at; then the
map that is wanted; then the colours of its points, and the places of images that were dropped. A map is begun anew for a newer
step only: other settings wait until they are drawn by hand. While a training goes on, a map stands as long as it took to draw,
and then gives way to the newest checkpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.shell.bridge import Bridge
from app.shell.formatting import count, number
from app.shell.job_controller import JobController
from engine.messages import (
    Calibrate,
    Calibrated,
    ColorPoints,
    DetectorInfo,
    Embed,
    Embedded,
    Ended,
    ImagePlaced,
    MapSettings,
    PictureRef,
    PlaceImage,
    PointsColored,
    Progress,
    QueryFailed,
    Subset,
)

NEAR, FAR = 1.25, 2.0  # times the usual distance to the nearest neighbour
PLACES = "embedding.place"


@dataclass(frozen=True)
class MapPlan:
    """Which images are drawn, and how; of whichever run and step is looked at."""

    data: str = ""  # empty: the run's own
    split: str = "valid"
    limit: int = 2000
    settings: MapSettings = field(default_factory=MapSettings)


@dataclass(frozen=True)
class Wanted:
    """One map."""

    run: str
    step: int
    plan: MapPlan

    def subset(self) -> Subset:
        return Subset(self.run, self.step, self.plan.data, self.plan.split, self.plan.limit)


@dataclass(frozen=True, eq=False)
class PointColoring:
    """What the points are coloured by; `a` and `b` are points, for "direction"."""

    by: str = "class"
    clusters: int = 10
    a: np.ndarray | None = None
    b: np.ndarray | None = None


class EmbeddingController(JobController):
    name = "embedding"
    resume = "Draw the map or choose another step to go on."

    mapped = Signal()  # a map has come, or it went
    colored = Signal()
    placed = Signal(object, object)  # Picture, ImagePlaced
    detectors_came = Signal()

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(bridge, parent)
        self.plan = MapPlan()
        self.look: tuple[str, int] | None = None  # run and step
        self.map: Embedded | None = None
        self.shows: Wanted | None = None  # what `map` was asked as
        self.coloring = PointColoring()
        self.point_colors: PointsColored | None = None
        self.detectors: dict[str, tuple[DetectorInfo, ...]] = {}  # run -> all that it can have, as it said last
        self.pictures: list[PictureRef] = []  # dropped, oldest first
        self.places: dict[str, ImagePlaced] = {}  # key of a picture -> where it lies on `map`
        self._drawing: Wanted | None = None  # what the job under way will be
        self._fresh = False  # the next map begins from nothing
        self._colored_for: tuple[PointColoring, Subset] | None = None
        self._queue: deque[PictureRef] = deque()
        self._placing: PictureRef | None = None
        bridge.on(Embedded, self._embedded)
        bridge.on(PointsColored, self._on_colored)
        bridge.on(Calibrated, self._calibrated)
        bridge.on(Progress, self._progress)
        bridge.on(Ended, self._ended)

    # -- what is wanted --------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> Wanted | None:
        return None if self.look is None else Wanted(*self.look, self.plan)

    @property
    def drawn_plan(self) -> MapPlan:
        """How the map is drawn that is on screen, or that is under way."""
        return self.plan if self.shows is None or "map" in self.jobs else self.shows.plan

    @property
    def map_comes(self) -> bool:
        """Whether the map that is wanted comes by itself: nobody stopped it, and it did not fail."""
        return not self._stopped and "map" not in self._given_up

    def look_at(self, look: tuple[str, int] | None) -> None:
        """Draw this run at this step. The map of another step of the same run stays until the new one is there."""
        if look == self.look:
            self.go_on()
            return
        same_run = look is not None and self.look is not None and look[0] == self.look[0]
        self.look = look
        self.renew()
        if not same_run:
            self.stop_jobs()
            self._forget_map()
        self.go_on()

    def draw(self, plan: MapPlan) -> None:
        """Draw by these settings, from nothing: the same settings and seed give the same map."""
        other = (plan.data, plan.split, plan.limit) != (self.plan.data, self.plan.split, self.plan.limit)
        self.plan, self._fresh = plan, True
        self.renew()
        self.end("map")
        if other:
            self.end("color")
        self.go_on()

    def _forget_map(self) -> None:
        self.map = self.shows = self.point_colors = self._colored_for = None
        if self.coloring.by == "direction":
            self.coloring = PointColoring()
        self._forget_places()
        self.mapped.emit()

    def color_by(self, coloring: PointColoring) -> None:
        self.end("color")
        self._given_up.discard("color")
        self.coloring = coloring
        if coloring.by == "class":
            self.point_colors = self._colored_for = None
            self.colored.emit()
        self.go_on()

    def forget_run(self, run: str) -> None:
        """Another run has its folder: neither its scores nor its map are those of the former one."""
        self.detectors.pop(run, None)
        self._fresh = self._fresh or (self.look is not None and self.look[0] == run)
        if self.look is not None and self.look[0] == run:
            look = self.look
            self.look_at(None)
            self.look_at(look)

    def ask_detectors(self) -> None:
        """Learn which scores the run has; kept ones are read, missing ones are computed of held-out images."""
        if self.look is not None:
            look = self.look
            self._given_up.discard("detectors")
            self.begin("detectors", lambda job: Calibrate(job=job, channel="embedding.known", runs=(look,)))

    def place(self, pictures: Iterable[PictureRef]) -> None:
        """Put these images on the map, and on those to come."""
        for picture in pictures:
            self.pictures = [other for other in self.pictures if key(other) != key(picture)] + [picture]
            self.places.pop(key(picture), None)
            self._queue.append(picture)
        self._place_next()

    def forget_pictures(self) -> None:
        self.pictures.clear()
        self._forget_places()

    def stop_jobs(self) -> None:
        super().stop_jobs()
        self._drawing = None

    def close(self) -> None:
        """Nothing goes on, nothing more is listened to."""
        self.active = False
        self.stop_jobs()
        self._queue.clear()
        self._placing = None
        self.bridge.forget(PLACES)

    def end(self, purpose: str) -> None:
        if purpose == "map":
            self._drawing = None
        super().end(purpose)

    # -- asking ----------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Begin whatever is to be done next; nothing while the pane is hidden."""
        wanted = self.wanted
        if not self.active or wanted is None:
            return
        if self._fresh or self.shows != wanted:
            self._ask_map(wanted)
        if self.map is not None and self.shows is not None and (self.shows.run, self.shows.step) == self.look:
            self._ask_colors(self.map.subset)
        self._place_next()

    def _ask_map(self, wanted: Wanted) -> None:
        settings = wanted.plan.settings
        if self.map is None and settings.kind != "pca":
            settings = replace(settings, kind="pca")
        wanted = replace(wanted, plan=replace(wanted.plan, settings=settings))
        if self._drawing is not None and self._drawing != wanted:
            continues = self.shows is not None and not self._fresh and self.shows.plan == wanted.plan
            if continues and replace(self._drawing, step=wanted.step) == wanted:
                return  # it goes on from the map before and is soon there; to end its helper process would cost more
            self.jobs.pop("map", None)  # the new work ends it, on the same channel
        fresh = self._fresh
        if self.begin("map", lambda job: Embed(job=job, channel="embedding", subset=wanted.subset(), settings=settings, warm=not fresh)):
            self._drawing = wanted

    def _ask_colors(self, subset: Subset) -> None:
        coloring = self.coloring
        if coloring.by == "class" or self._colored_for == (coloring, subset):
            return
        self.begin(
            "color",
            lambda job: ColorPoints(
                job=job, channel="embedding.color", subset=subset, by=coloring.by, clusters=coloring.clusters,
                seed=self.plan.settings.seed, a=coloring.a, b=coloring.b,
            ),
        )  # fmt: skip

    def _place_next(self) -> None:
        if not self.active or self.map is None or self._placing is not None or not self._queue:
            return
        self._placing = self._queue.popleft()
        query = PlaceImage(subset=self.map.subset, settings=self.map.settings, picture=self._placing)
        self.bridge.ask(PLACES, query, self._on_placed, self._on_not_placed)

    def _forget_places(self) -> None:
        """Where the dropped images lie is void; they are asked for again."""
        self.places.clear()
        self._queue = deque(self.pictures)
        self._placing = None
        self.bridge.forget(PLACES)

    # -- answers -----------------------------------------------------------------------------------------------------------

    def _embedded(self, event: Embedded) -> None:
        if self.purpose_of(event.job) != "map":
            return
        before = self.map
        self.map, self.shows = event, self._drawing
        if before is not None and before.subset != event.subset:
            self.end("color")  # those would be colours of another step
        if self.shows == self.wanted:
            self._fresh = False
        if before is None or not same_points(before, event):
            self.point_colors = self._colored_for = None
            if self.coloring.by == "direction":  # its two ends were points of the other map
                self.coloring = PointColoring()
        self.say("")
        self._forget_places()
        self.mapped.emit()
        self.go_on()

    def _on_colored(self, event: PointsColored) -> None:
        if self.purpose_of(event.job) == "color" and self.map is not None and len(event.values) == len(self.map.places):
            self.point_colors, self._colored_for = event, (self.coloring, self.map.subset)
            if self.level != "bad":
                self.say("")
            self.colored.emit()

    def _calibrated(self, event: Calibrated) -> None:
        """Whoever has asked."""
        if self.detectors.get(event.run) != event.detectors:
            self.detectors[event.run] = event.detectors
            self.detectors_came.emit()

    def _on_placed(self, answer: ImagePlaced) -> None:
        picture, self._placing = self._placing, None
        if picture is not None and self.map is not None:
            self.places[key(picture)] = answer
            self.placed.emit(picture, answer)
        self._place_next()

    def _on_not_placed(self, failure: QueryFailed) -> None:
        picture, self._placing = self._placing, None
        self.pictures = [other for other in self.pictures if other is not picture]
        self.say(failure.message, "bad")
        self._place_next()

    def _progress(self, event: Progress) -> None:
        purpose = self.purpose_of(event.job)
        if purpose:
            total = "" if event.total is None else f" of {count(event.total)}"
            note = event.note or {"map": "drawing the map", "color": "colouring", "detectors": "looking up the scores"}[purpose]
            told = f"{note[:1].upper()}{note[1:]}"
            self.say(told if f"{event.unit} " in told else f"{told}: {event.unit} {count(event.done)}{total}")

    def _ended(self, event: Ended) -> None:
        purpose = self.purpose_of(event.job)
        if not purpose:
            return
        del self.jobs[purpose]
        drawn = self._drawing
        if purpose == "map":
            self._drawing = None
        if event.outcome == "ok":
            lacking = {"map": self.shows != drawn, "color": self._colored_for is None, "detectors": False}
            if lacking[purpose]:
                self._given_up.add(purpose)  # it said nothing: asking again would say nothing again
            if purpose == "detectors":
                self.say("The run’s scores are in the list: choose one to colour by.")
        else:
            self._given_up.add(purpose)
            self.say(event.message, "bad" if event.outcome == "failed" else "")
        self.settled()


def key(picture: PictureRef) -> str:
    """What tells a dropped image from another one."""
    return picture.path or picture.label


def same_points(a: Embedded, b: Embedded) -> bool:
    """Whether point i shows the same image on both maps."""
    return (a.subset.data, a.subset.split) == (b.subset.data, b.subset.split) and np.array_equal(a.indices, b.indices)


def find(text: str, event: Embedded) -> tuple[np.ndarray, str]:
    """Points that a text names, by their place in the split, their class or their file's name; and how many, in words."""
    wanted = text.strip().lower().lstrip("#")
    if not wanted:
        return np.zeros(0, np.int64), ""
    figure = wanted.isdecimal()
    by_index = np.flatnonzero(event.indices == int(wanted)) if figure and len(wanted) < 18 else np.zeros(0, np.int64)
    classes = [place for place, name in enumerate(event.classes) if name.lower() == wanted or (not figure and wanted in name.lower())]
    by_class = np.flatnonzero(np.isin(event.labels, classes)) if event.labels is not None and classes else np.zeros(0, np.int64)
    names = [PurePath(name).stem.lower() if figure else name.lower() for name in event.names]
    by_name = np.array([i for i, name in enumerate(names) if (name == wanted if figure else wanted in name)], np.int64)
    found = np.unique(np.concatenate([by_index, by_class, by_name]))
    parts = [f"image {wanted}"] if len(by_index) else []
    parts += [f"class {', '.join(event.classes[place] for place in classes)}: {count(len(by_class))}"] if len(by_class) else []
    parts += [f"file name: {count(len(by_name))}"] if len(by_name) else []
    if not len(found):
        return found, f"Nothing found for “{text.strip()}”. Type an image’s number, a class or a part of a file’s name."
    return found, f"{count(len(found))} found · {' · '.join(parts)}"


def how_far(answer: ImagePlaced) -> tuple[str, str]:
    """How far an image lies beside the map's own, in words, and the level of that."""
    if not len(answer.distances) or not answer.usual > 0:
        return "There is nothing to compare its distance with.", ""
    times = float(answer.distances[0]) / answer.usual
    if times <= NEAR:
        return "As near to its nearest neighbour as the images of the map are to theirs.", "good"
    words = f"{number(times, 1)} times the usual distance"
    return (f"Farther than usual: {words}.", "warning") if times <= FAR else (f"Far from everything: {words}.", "bad")
