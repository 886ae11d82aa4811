"""Where is a classifier wrong? Confusion matrix, the images of each cell, and whether its confidence can be believed.

The pane lets choose and draws; what is asked and in which order is `controller`, how the parts are laid out `page`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, QSignalBlocker

from app.panes import Context
from app.panes.errors.controller import AnswerChoice, ErrorsController
from app.panes.errors.export import ErrorsExports
from app.panes.errors.matrix import MOST_SHOWN, Confusion
from app.panes.errors.page import CURATE, NO_CURATE, SPLITS, WAYS, ErrorsPage
from app.shell import theme
from app.shell.formatting import count, number, things
from app.shell.pane_availability import Unavailable
from app.shell.plain_text import set_tip
from app.shell.run_pane import RunPane
from app.widgets.curation_line import CurationLine
from app.widgets.curation_menu import CurationMenu
from app.widgets.parts import set_heading
from app.widgets.shown_step import COMES, FAILED
from engine.messages import AnswersOf, PictureRef, RunInfo

CURATE_HINT = "Right-click an image to relabel, leave out or tag it."
MANY = 24  # classes from which on only the most confused are shown first


class ErrorsPane(RunPane):
    title = "Errors"
    order = 73
    needs_one_of = ("classify", "encode", "log_prob")
    takes_over = ("errors",)
    invites = "Choose a run at the left, or train one: a classifier, a density p(x|y), or whatever has an encoder."
    refused = "{title} tells no classes apart", "Choose a run of a classifier, of a density given y, or of a method with an encoder."
    text_refused = "Answers about images are shown here. Choose a run that was trained on images."
    about = "Where a classifier is wrong: confusion matrix, the images of each cell, and its calibration."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.page = page = ErrorsPage()
        self.hold(page)
        self.controller = controller = ErrorsController(context.bridge, self)
        self.curation = CurationLine(context, "errors-curation", CURATE_HINT, brief=True)
        page.hold_curation(self.curation)
        self.exports = ErrorsExports(self, page, controller, context.state, context.bridge)
        self._connect()
        controller.found_changed.connect(self._draw)
        controller.page_changed.connect(self._draw_page)
        controller.said.connect(self._say)
        state = context.state
        for signal, slot in (
            (state.run_changed, self._run_changed), (state.step_changed, self._changed), (state.runs_changed, self._changed),
            (state.methods_changed, self._run_changed), (state.theme_changed, self._restyle),
        ):  # fmt: skip
            signal.connect(slot)
        state.run_replaced.connect(self._run_replaced)
        self._restyle()
        self._run_changed()
        self._draw()

    def _connect(self) -> None:
        page, controller = self.page, self.controller
        for box in (page.through, page.split, page.limit):
            box.activated.connect(self._changed)
        page.few.toggled.connect(page.matrix.show_few)
        page.shares.toggled.connect(page.matrix.show_shares)
        page.mass.toggled.connect(self._draw_bins)
        page.matrix.picked.connect(self.choose_cell)
        page.matrix.looked_at.connect(self._say_cell)
        page.figures.picked.connect(self.choose_cell)
        page.reliability.looked_at.connect(self._say_bin)
        page.gallery.picked.connect(self._say_image)
        page.gallery.looked_at.connect(self._say_image)
        page.gallery.page_asked.connect(controller.turn)
        page.gallery.menu_asked.connect(self._open_menu)
        self.curation.changed.connect(self._mark_curated)
        page.gallery.resized.connect(self._fit_gallery)
        for made, run in (
            (page.stop_button, controller.stop), (page.previous, partial(controller.turn, -1)), (page.next, partial(controller.turn, 1)),
            (page.wrong, partial(self.choose, AnswerChoice())), (page.unsure, partial(self.choose, AnswerChoice("unsure"))),
            (page.mark_button, partial(self._hand_over, "mark")), (page.score_button, partial(self._hand_over, "score")),
            (page.curate_button, self._curate),
        ):  # fmt: skip
            made.clicked.connect(partial(self._do, run))

    @staticmethod
    def _do(run: Any, _checked: bool = False) -> None:
        run()

    # ------------------------------------------------------------------------------------------------ what is looked at

    def why_not(self, info: RunInfo | None) -> Unavailable | None:
        """A density of x alone tells no classes apart, though it can score."""
        why = super().why_not(info)
        if why is not None or info is None or self._ways(info):
            return why
        heading, advice = self.refused
        return Unavailable(heading.format(title=info.title or info.method), advice)

    def _ways(self, info: RunInfo | None) -> list[str]:
        """By what a run tells classes apart, the best first."""
        if info is None:
            return []
        method = self.context.state.methods.get(info.method)
        able = method.capabilities if method else info.capabilities
        conditional = {"log_prob", "conditional"} <= set(able) and bool(info.config.get("conditional", True))
        can = {"classifier": "classify" in able, "bayes": conditional, "probe": "encode" in able, "knn": "encode" in able}
        return [way for way, has in can.items() if has]

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.controller.set_active(True)
        self._changed()
        self._fit_gallery()

    def deactivate(self) -> None:
        self.shown = False
        self.controller.set_active(False)

    def closeEvent(self, event: Any) -> None:
        self.controller.set_active(False)
        self.exports.close()
        super().closeEvent(event)

    def take_over(self, purpose: str, what: object) -> bool:
        """`what`: by what the classes are told apart, or that and a split; empty or unknown: the first that the run has."""
        if not self.able():
            return False
        through, split = what if isinstance(what, tuple) else (what, "")
        self.page.through.setCurrentIndex(max(self.page.through.findData(through), 0))
        if split in SPLITS:
            self.page.split.setCurrentIndex(self.page.split.findData(split))
        self._changed()
        return True

    def _run_changed(self) -> None:
        """The choices of this run."""
        box, ways = self.page.through, self._ways(self.context.state.run_info)
        if ways != [box.itemData(i) for i in range(box.count())]:
            with QSignalBlocker(box):
                box.clear()
                for way in ways:
                    box.addItem(WAYS[way], way)
        box.setEnabled(len(ways) > 1)
        self._changed()

    def _changed(self, _index: int = 0) -> None:
        self.check_empty()
        state, page = self.context.state, self.page
        page.test_line.setVisible(page.split.currentData() == "test")
        if not self.able() or state.run is None or state.step is None:
            self.controller.want(None)
            return
        wanted = AnswersOf(state.run, state.step, page.split.currentData(), page.limit.currentData(), page.through.currentData() or "")
        self.controller.want(wanted, by_hand=state.cursor is not None)
        self._say()

    def _run_replaced(self, run: str) -> None:
        if run == self.context.state.run:
            self.controller.forget()

    # ------------------------------------------------------------------------------------------------ choosing

    def choose_cell(self, true: int, answer: int) -> None:
        """Show the images of a cell; −1 stands for all classes, and of a row or a column only the errors are shown."""
        kind = "cell" if true >= 0 and answer >= 0 else "wrong"
        self.choose(AnswerChoice(kind, true if true >= 0 else None, answer if answer >= 0 else None))

    def choose(self, choice: AnswerChoice) -> None:
        self.controller.choose(choice)
        self._show_choice()

    def _show_choice(self) -> None:
        choice, page = self.controller.choice, self.controller.page
        cell = None if choice.true is None and choice.predicted is None else (choice.true, choice.predicted)
        self.page.matrix.choose(None if cell is None else (-1 if cell[0] is None else cell[0], -1 if cell[1] is None else cell[1]))
        self._say_cell("")
        self._say_heading(None if page is None else page.total)

    def _say_heading(self, total: int | None) -> None:
        choice, found = self.controller.choice, self.controller.found
        tail = ""
        if found is not None:
            true, answer = (None if k is None else found.classes[k] for k in (choice.true, choice.predicted))
            if true is not None and answer is not None:
                tail = f": {true} → {answer}"
            elif true is not None or answer is not None:
                tail = f": {true} → all" if answer is None else f": all → {answer}"
        offset, images, where = self.controller.offset, self.controller.page, ""
        if total and images is not None:
            where = f"{count(offset + 1)}–{count(min(offset + len(images.images), total))} of {count(total)}"
        self.page.where.setText(where)
        name = {"unsure": "Right but unsure", "cell": "Answers", "wrong": "Errors"}[choice.kind]
        set_heading(self.page.gallery_heading, name, tail)
        set_tip(self.page.gallery_heading, name + tail)

    def _hand_over(self, purpose: str) -> None:
        """Have another pane show the chosen image."""
        picture = self.picture()
        if picture is not None:
            self.context.state.handed_over.emit(purpose, picture)

    def _curate(self) -> None:
        made = self.page.curate_button
        self._open_menu(self.page.gallery.chosen, made.mapToGlobal(made.rect().bottomLeft()))

    def _open_menu(self, index: int, place: QPoint) -> None:
        """Decide about an image; of test images only where they are looked at as data."""
        found, images = self.controller.found, self.controller.page
        if found is not None and found.of.split != "test" and images is not None and 0 <= index < len(images.names):
            own = found.classes[int(images.labels[index])]
            CurationMenu(self.context, found.data, (images.names[index],), self, (own,)).open_at(place)

    def _mark_curated(self) -> None:
        """What was decided about the images that are shown."""
        images, gallery = self.controller.page, self.page.gallery
        if images is not None and len(images.names) == len(gallery.images):
            self.curation.mark(gallery, images.names)
            known = {place: one for place, name in enumerate(images.names) if (one := self.curation.known(name)) is not None}
            gallery.show_given({place: one.label for place, one in known.items() if one.label})
            if gallery.chosen >= 0:
                self._say_image(gallery.chosen)

    def picture(self) -> PictureRef | None:
        """The chosen image of the gallery; None where none is chosen."""
        found, page, chosen = self.controller.found, self.controller.page, self.page.gallery.chosen
        if found is None or page is None or not 0 <= chosen < len(page.indices):
            return None
        index, split = int(page.indices[chosen]), found.of.split
        return PictureRef(label=f"{found.data_name}, {SPLITS[split]} image {index}", data=found.data, index=index, split=split)

    # ------------------------------------------------------------------------------------------------ drawing

    def _draw(self) -> None:
        """All that depends on the figures."""
        found, page = self.controller.found, self.page
        page.matrix.hint = page.reliability.hint = "" if found is not None else "It appears here when the images have been asked about."
        many = found is not None and len(found.classes) > MANY
        if page.few.isHidden() == many:  # another number of classes: all of them, or where those are too many the most confused
            page.few.setVisible(many)
            page.few.setChecked(many)
        page.few.setText(f"{MOST_SHOWN} most confused")
        page.matrix.set_confusion(None if found is None else Confusion(found.matrix, found.classes))
        if found is not None:
            page.gallery.fit_classes(found.classes)
        page.figures.show_figures(found)
        self._draw_bins()
        data = "" if found is None or found.of.split == "test" else found.data
        if data != self.curation.data:
            self.curation.show_data(data)
        self._show_choice()
        if found is None:
            self._draw_page()
        self._fit_gallery()
        self._say()

    def _draw_bins(self, _on: bool = False) -> None:
        found = self.controller.found
        self.page.reliability.set_bins(None if found is None else found.mass_bins if self.page.mass.isChecked() else found.bins)
        self._say_bin("")

    def _draw_page(self) -> None:
        found, images, page = self.controller.found, self.controller.page, self.page
        page.gallery.empty_text = "" if images is None else "No image here: choose another cell of the matrix."
        page.gallery.show_page(images if found is not None else None, () if found is None else found.classes)
        first = self.controller.offset == 0
        last = images is None or self.controller.offset + len(images.images) >= images.total
        page.previous.setEnabled(not first)
        page.next.setEnabled(not last)
        self._show_choice()
        self._mark_curated()
        self._say_image(-1)
        self._fit_gallery()

    def _fit_gallery(self) -> None:
        """As many images as have room, all of them from the first where they fit on one page."""
        controller, images, room = self.controller, self.controller.page, self.page.gallery.capacity()
        if not self.shown or room == controller.count:
            return
        controller.count = room
        if images is None:
            return
        if images.total <= room:
            controller.offset = 0
        shown = len(images.images)
        if controller.offset != images.offset or shown > room or (shown < room and images.offset + shown < images.total):
            controller.browse(room)

    # ------------------------------------------------------------------------------------------------ words

    def _say_cell(self, text: str) -> None:
        """What the mouse is over, else what is chosen, else what to do."""
        page, matrix = self.page, self.page.matrix
        if not text and matrix.chosen is not None and matrix.confusion is not None:
            text = matrix.said_of(matrix.chosen)
        page.cell_line.set_text(text or ("" if matrix.confusion is None else "Choose a cell, or the name of a class, to see its images."))

    def _say_bin(self, text: str) -> None:
        words = "Above the dashes it is right more often than it is sure; whiskers: 95 % intervals."
        self.page.bin_line.set_text(text or ("" if self.controller.found is None else words))

    def _say_image(self, index: int) -> None:
        found, images, page = self.controller.found, self.controller.page, self.page
        chosen = found is not None and images is not None and 0 <= index < len(images.indices)
        on_test = found is not None and found.of.split == "test"
        set_tip(page.curate_button, NO_CURATE if on_test else CURATE)
        page.curate_button.setEnabled(chosen and not on_test)
        for made in (page.mark_button, page.score_button):
            made.setEnabled(chosen)
        if not chosen or found is None or images is None:
            page.image_line.set_text("" if images is None or not len(images.images) else "Choose an image to read more of it.")
            return
        true, answer, second = (found.classes[int(one[index])] for one in (images.labels, images.answers, images.second))
        sure, other, right = (number(100 * float(one[index]), 1, "%") for one in (images.confidence, images.p_second, images.p_true))
        told = f"p({answer}) = {sure}, next {second} {other}; true class {true}, p = {right}."
        decided = self.curation.words_of(images.names[index])
        about = f"Image {count(int(images.indices[index]))}, {images.names[index]}"
        page.image_line.set_text(f"{decided[0].upper()}{decided[1:]}. {about}. {told}" if decided else f"{told} {about}")

    def _say(self) -> None:
        """What is going on, else what was asked about."""
        controller, page, found = self.controller, self.page, self.controller.found
        shown, step = None if found is None else found.of.step, self.context.state.step
        comes = not controller.stopped and controller.level != "bad"
        page.shown_step.show_step(shown, step, COMES if comes else FAILED, "" if comes else "warning")
        page.stop_button.setVisible(bool(controller.jobs))
        if controller.line:
            page.status.set_text(controller.line, controller.level)
        elif found is not None:
            wrong = int(found.matrix.sum() - found.matrix.trace())
            of = ("the" if found.total == 1 else "all") if found.images == found.total else f"{count(found.images)} of"
            images = f"{of} {things(found.total, f'{SPLITS[found.of.split]} image')} of {found.data_name}"
            page.status.set_text(f"{things(wrong, 'error')} on {images}. {found.note}".strip())
        else:
            page.status.set_text("")

    def _restyle(self) -> None:
        self.page.set_colors(theme.colors(self.context.state.theme))
        self.curation.set_colors(theme.colors(self.context.state.theme))
