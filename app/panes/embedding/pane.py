"""A map of the features of many images: which lie together, how far that is to be trusted, and what the points have in common.

The pane draws and lets choose; what is asked and in which order is `controller`, how the parts are laid out `page`.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, QTimer
from PySide6.QtWidgets import QMenu

from app.panes import Context
from app.panes.embedding.controller import EmbeddingController, PointColoring, same_points
from app.panes.embedding.export import EmbeddingExports
from app.panes.embedding.map_controls import OTHER, SPLIT_NAMES
from app.panes.embedding.map_legend import ColorClasses, ColorScale, look_of
from app.panes.embedding.map_points import MapPoints
from app.panes.embedding.page import HINT, EmbeddingPage
from app.shell import theme
from app.shell.formatting import count, things
from app.shell.run_pane import RunPane
from app.widgets.curation_line import CurationLine
from app.widgets.curation_menu import CurationMenu
from app.widgets.export import IMAGE_FILTER, ask_which
from app.widgets.shown_step import COMES, FAILED
from engine.messages import Embedded, PictureRef

CURATE_HINT = "Right-click an image to relabel, leave out or tag it; “Curate…” takes all."
SETTLE_MS = 160  # after the last move of the time cursor: a map that is overtaken at once would be for nothing
OF_EACH_IMAGE = ("log_prob", "classify", "decode")  # with one of these the loss is one of each image, and not of a batch
SCORES = "\0scores"  # the entry that looks up which scores the run has


class EmbeddingPane(RunPane):
    title = "Embedding"
    order = 45
    most_images = 64
    takes_over = ("mark",)
    needs = ("encode",)
    invites = "Choose a run at the left, or train one: what its network makes of many images is drawn here as a map."
    waits = "The first one comes within seconds of training. The map appears by itself."
    refused = "{title} cannot encode images", "There are no features to draw. Choose a run of another method."
    text_refused = "Images are drawn here. Choose a run that was trained on images."
    about = "A live map of the features: which images the network finds alike, and how far the map is to be trusted."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._followed = ""  # what was followed when it came to what is looked at; "" where that was chosen by hand
        self._to_mark: PictureRef | None = None  # handed over by another pane, until there is a map
        self._c = theme.colors(context.state.theme)
        self.controller = controller = EmbeddingController(context.bridge, self)
        self._settling, self._resting = QTimer(self), QTimer(self)
        for timer in (self._settling, self._resting):
            timer.setSingleShot(True)
            timer.setInterval(SETTLE_MS)
            timer.timeout.connect(self._settle)
        self._build()
        controller.mapped.connect(self._draw_map)
        controller.colored.connect(self._draw_colors)
        controller.detectors_came.connect(self._name_colors)
        controller.said.connect(self._say)
        controller.idle.connect(self._wait_for_newer)
        state = context.state
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self.check_empty)
        state.run_replaced.connect(self._run_replaced)
        state.run_gone.connect(self._run_gone)
        state.methods_changed.connect(self._step_changed)
        state.data_changed.connect(self._name_data)
        state.theme_changed.connect(self._restyle)
        self._restyle()
        self._name_data()
        self._name_colors()
        self.check_empty()

    def _build(self) -> None:
        self.page = page = EmbeddingPage()
        self.hold(page)
        self.points = MapPoints(page, self.controller, self.tell, self._name_colors)
        self.exports = EmbeddingExports(page, self.controller, self.points, self.context.state)
        page.controls.changed.connect(self._settings_changed)
        page.controls.draw_asked.connect(self.draw)
        page.controls.other_asked.connect(partial(self.trigger, "data.open"))
        page.stop_button.clicked.connect(lambda _checked=False: self.controller.stop())
        page.colored_by.activated.connect(lambda _index: self.color_by(page.colored_by.currentData()))
        page.clusters.returnPressed.connect(lambda: self.color_by("clusters"))
        page.trust.toggled.connect(self._show_trust)
        page.map.saved_asked.connect(self.exports.ask)
        page.selection.csv_asked.connect(partial(self.exports.ask, "selection"))
        self.curation = CurationLine(self.context, "embedding-curation", CURATE_HINT, brief=True)
        self.curation.changed.connect(self._mark_curated)
        page.selection.hold_curation(self.curation)
        page.selection.selection_shown.connect(self._show_curation)
        page.selection.images.menu_asked.connect(self._curate_one)
        page.selection.curate_asked.connect(self._curate)
        page.selection.direction_asked.connect(lambda: self.color_by("direction"))
        page.projected_image.open_asked.connect(lambda: ask_which(self, "Open images", IMAGE_FILTER, self.accept_images, many=True))
        menu = QMenu(self)
        for text, run in (
            ("Copy map", self.exports.copy), ("Save map as PNG, SVG or PDF…", partial(self.exports.ask, "png")),
            ("Save all points as CSV…", partial(self.exports.ask, "csv")),
            ("Save selected points as CSV…", partial(self.exports.ask, "selection")),
        ):  # fmt: skip
            menu.addAction(text).triggered.connect(lambda _checked=False, run=run: run())
        page.export_button.setMenu(menu)

    def _curate(self) -> None:
        """Decide about the selected images."""
        event, selected, button = self.points.drawn, self.points.selection, self.page.selection.curate_button
        if event is not None and selected is not None:
            names = [event.names[int(point)] for point in selected]
            CurationMenu(self.context, event.subset.data, names, self).open_at(button.mapToGlobal(button.rect().bottomLeft()))

    def _curate_one(self, index: int, place: QPoint) -> None:
        """Decide about one of them; its card says which one it is."""
        event, selected = self.points.drawn, self.points.selection
        if event is not None and selected is not None and index < len(selected):
            self.points.look_at_point(int(selected[index]))
            CurationMenu(self.context, event.subset.data, (event.names[int(selected[index])],), self).open_at(place)

    def _show_curation(self) -> None:
        """What was decided about images of the set, while some are selected."""
        event, selected = self.points.drawn, self.points.selection
        data = "" if event is None or selected is None else event.subset.data
        if data != self.curation.data:
            self.curation.show_data(data)
        self._mark_curated()

    def _mark_curated(self) -> None:
        event, selected, strip = self.points.drawn, self.points.selection, self.page.selection.images
        if event is not None and selected is not None and event.names:
            self.curation.mark(strip, [event.names[int(point)] for point in selected[: len(strip.images)]])

    # ------------------------------------------------------------------------------------------------ what is looked at

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self._draw_map()
        self._mark()
        self._settle()

    def deactivate(self) -> None:
        self.shown = False
        self._settling.stop()
        self._resting.stop()
        self.controller.set_active(False)

    def closeEvent(self, event: Any) -> None:
        self._settling.stop()
        self._resting.stop()
        self.controller.close()
        self.exports.close()
        super().closeEvent(event)

    def newest(self) -> tuple[str, int] | None:
        """The chosen run at the time cursor."""
        state = self.context.state
        return (state.run, state.step) if self.able() and state.run is not None and state.step is not None else None

    def look(self) -> tuple[str, int] | None:
        """What is drawn now: a step chosen by hand at once, the newest one of a training when the map has stood long enough."""
        newest, now = self.newest(), self.controller.look
        follows = self._followed != "" and self.context.state.follows == self._followed
        return now if newest and now and newest[0] == now[0] and follows and self.controller.patience() else newest

    def _run_changed(self) -> None:
        self.controller.look_at(None)
        self._name_data()
        self._name_colors()
        self._step_changed()

    def _run_gone(self, run: str) -> None:
        self.controller.detectors.pop(run, None)

    def _run_replaced(self, run: str) -> None:
        self.controller.forget_run(run)
        self._name_colors()

    def _step_changed(self) -> None:
        self.check_empty()
        if self.controller.look is not None and self.look() == self.controller.look:
            self._wait_for_newer()
        elif self.shown:
            self._settling.start()
        self._say_step()

    def _wait_for_newer(self) -> None:
        """A newer checkpoint waits until the map of this one has stood as long as it took."""
        patience = self.controller.patience()
        if self.shown and math.isfinite(patience) and self.newest() != self.controller.look:
            self._resting.start(SETTLE_MS + round(1000 * patience))

    def _settle(self) -> None:
        self._settling.stop()
        self._resting.stop()
        if not self.shown:
            return
        look = self.look()
        if look != self.controller.look:
            self._followed = self.context.state.follows
        self.controller.set_active(True)
        self.controller.look_at(look)
        self._say()
        self._wait_for_newer()

    # ------------------------------------------------------------------------------------------------ settings

    def _name_data(self) -> None:
        info = self.context.state.run_info
        own = f"its own: {info.data_name}" if info else "its own"
        sets = [(self.context.state.data_title(data), data) for data, one in self.context.state.data.items() if one.kind == "images"]
        chosen = self.page.controls.value().data
        if chosen and chosen not in {data for _, data in sets}:
            sets.append((Path(chosen).name, chosen))
        self.page.controls.set_data([(own, ""), *sets, ("other data…", OTHER)])

    def _settings_changed(self) -> None:
        self.page.controls.say_changed(self.page.controls.value() != self.controller.drawn_plan)

    def draw(self) -> None:
        """Draw by what the controls say."""
        self.controller.draw(self.page.controls.value())
        self.page.controls.show_plan(self.controller.plan)
        self._say()

    def _name_colors(self) -> None:
        state = self.context.state
        info, method = state.run_info, state.method_info
        able = method.capabilities if method else info.capabilities if info else ()
        names = [("by class", "class"), ("by clusters", "clusters")]
        if "classify" in able:
            names.append(("by prediction", "prediction"))
        if set(OF_EACH_IMAGE) & set(able):
            names.append(("by loss", "loss"))
        detectors = self.controller.detectors.get(state.run or "")
        names += [("by scores…", SCORES)] if detectors is None else [(f"by {one.title}", one.name) for one in detectors if not one.missing]
        if len(self.points.ends) == 2:
            names.append(("by direction A → B", "direction"))
        box = self.page.colored_by
        if names != [(box.itemText(i), box.itemData(i)) for i in range(box.count())]:
            box.clear()
            for text, by in names:
                box.addItem(text, by)
            box.view().setMinimumWidth(box.view().sizeHintForColumn(0) + 12)
        self._show_color_choice()

    def _show_color_choice(self) -> None:
        by = self.controller.coloring.by
        self.page.colored_by.setCurrentIndex(max(0, self.page.colored_by.findData(by)))
        self.page.clusters.setVisible(by == "clusters")

    def color_by(self, by: str) -> None:
        if by == SCORES:
            self.controller.ask_detectors()
        elif by == "direction":
            self.points.select(None)  # all are to be seen on the way
            self.controller.color_by(PointColoring(by, a=self.points.ends["a"], b=self.points.ends["b"]))
        else:
            self.controller.color_by(PointColoring(by, max(2, int(self.page.clusters.text() or 2))))
        self._show_color_choice()
        self._say()

    # ------------------------------------------------------------------------------------------------ drawing

    def _draw_map(self) -> None:
        event, before, page = self.controller.map, self.points.drawn, self.page
        if not self.shown or (event is before and event is not None):
            return
        self.points.drawn = event
        page.map.remove_flights()
        if event is not None and before is not None and same_points(before, event):
            page.map.move_to(event.places)
        else:
            self.points.forget()
            page.map.set_points(np.zeros((0, 2), np.float32) if event is None else event.places)
        page.map.set_thumbnails(None if event is None else event.images)
        page.words.show_map(event)
        if before is None or event is None or before.settings != event.settings:  # while scrubbing they stay where they are
            page.put_words(event)
        self.points.show_image(None)
        self._draw_colors()
        self._show_trust()
        self._say_step()
        self.points.pin(self.points.pinned)
        self._mark()

    def colors(self, event: Embedded) -> ColorClasses | ColorScale | None:
        """What the points of a map are coloured by, as far as it is known."""
        point_colors = self.controller.point_colors
        if point_colors is None:
            if event.labels is None:
                return None
            return ColorClasses("class", event.labels, event.classes or tuple(str(i) for i in range(int(event.labels.max(initial=-1)) + 1)))
        title = f"{self.color_name()} · step {count(point_colors.subset.step or 0)}"
        if point_colors.classes:
            return ColorClasses(title, np.nan_to_num(point_colors.values, nan=-1).astype(np.int64), point_colors.classes)
        return ColorScale(title, np.asarray(point_colors.values, np.float64), point_colors.unit)

    def _draw_colors(self) -> None:
        event, point_colors, page, points = self.points.drawn, self.controller.point_colors, self.page, self.points
        if not self.shown:
            return
        drawn = points.colors = None if event is None else self.colors(event)
        points.value_name = self.color_name()
        if event is not None:
            inks, markers = (None, None) if drawn is None else look_of(drawn, self._c)
            page.map.set_inks(inks)
            page.map.set_markers(markers)
        by_direction = point_colors is not None and point_colors.by == "direction"
        note = "" if point_colors is None else point_colors.note
        title = "legend" if event is None else "no classes" if drawn is None else drawn.title
        page.show_legend(drawn, title, "" if by_direction else note)
        page.selection.show_way(note if by_direction else "", point_colors.images if by_direction and point_colors is not None else None)
        self._name_colors()
        points.show_selection(frozenset())

    def _show_trust(self, _on: bool = False) -> None:
        drawn = self.points.drawn
        if drawn is not None:
            self.page.map.set_opacity(drawn.survived if self.page.trust.isChecked() else None)

    def color_name(self) -> str:
        """What the colours that are shown stand for."""
        by = self.controller.point_colors.by if self.controller.point_colors is not None else "class"
        infos = self.controller.detectors.get(self.context.state.run or "", ())
        return "direction A → B" if by == "direction" else next((info.title for info in infos if info.name == by), by)

    def tell(self, text: str, level: str = "") -> None:
        """Say something once."""
        self.page.status.set_text(text, level)

    def _say(self) -> None:
        controller = self.controller
        rest = ""
        if controller.map is not None:
            shown = things(len(controller.map.places), f"{SPLIT_NAMES[controller.map.subset.split]} image")
            rest = f"{shown}. Click a point to keep its card; drag with Shift to select; the wheel zooms."
        waits = "Drawing…" if "map" in controller.jobs else rest
        self.tell(controller.line or waits, controller.level)
        self.page.stop_button.setVisible(bool(controller.jobs))
        self._settings_changed()
        self._say_step()
        self.page.map.hint = (controller.line if controller.level == "bad" else "") or HINT
        if controller.map is None:
            self.page.map.update()

    def _say_step(self) -> None:
        """Of which checkpoint the map is that is seen."""
        drawn = self.points.drawn
        comes = self._settling.isActive() or self._resting.isActive() or self.controller.map_comes
        then, level = (COMES, "") if comes else (FAILED, "warning")
        self.page.shown_step.show_step(None if drawn is None else drawn.subset.step, self.context.state.step, then, level)

    def accept_image(self, path: str) -> bool:
        return bool(self.accept_images([path]))

    def accept_images(self, paths: list[str]) -> list[str]:
        """Put images on the map; returns those that were taken: all of them, or none without a run that encodes."""
        if not self.able():
            return []
        self.points.drop(paths)
        return paths

    def take_over(self, purpose: str, what: object) -> bool:
        """Mark an image that another pane shows, as soon as there is a map."""
        if not self.able() or not isinstance(what, PictureRef):
            return False
        self._to_mark = what
        if self.shown:
            self._mark()
        return True

    def _mark(self) -> None:
        """Pin its point; an image that is none of the map's is placed on it as a dropped one."""
        picture, event = self._to_mark, self.points.drawn
        if picture is None or event is None or event is not self.controller.map:
            return
        self._to_mark = None
        same = (event.subset.data, event.subset.split) == (picture.data, picture.split)
        found = np.flatnonzero(event.indices == picture.index) if same else np.zeros(0, np.int64)
        if len(found):
            self.points.pin(int(found[0]))
        else:
            self.controller.place([picture])

    def _restyle(self) -> None:
        self._c = theme.colors(self.context.state.theme)
        self.page.set_colors(self._c)
        self.curation.set_colors(self._c)
        self._draw_colors()
