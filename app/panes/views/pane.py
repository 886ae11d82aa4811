"""What a run learns from and looks at: the views of its next batch, how similar the checkpoint finds them, how invariant it is, its
puzzles, and the patches of a vision transformer.

The pane asks the engine only for the page that is seen; pages draw what has come.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.views.batch_page import BatchPage
from app.panes.views.export import ViewExports, ViewsExportSource
from app.panes.views.formatting import runs_with_patches
from app.panes.views.invariance_curves import InvariancePage
from app.panes.views.pairs_page import PairsPage
from app.panes.views.patches_controller import PatchesController
from app.panes.views.patches_page import PatchesLook, PatchesPage
from app.panes.views.puzzle_page import PuzzlePage, PuzzleScore
from app.panes.views.queue_page import QueuePage
from app.shell import theme
from app.shell.formatting import count
from app.shell.latest_query import LatestQuery
from app.shell.run_pane import RunPane
from app.widgets.export import IMAGE_FILTER, ask_which
from app.widgets.page_stack import PageStack
from app.widgets.parts import TextLines
from app.widgets.shown_step import COMES, FAILED, ShownStep
from engine.messages import (
    BatchShown,
    FillMask,
    InvarianceMeasured,
    MaskFilled,
    MeasureInvariance,
    PictureRef,
    PosePuzzle,
    PuzzlePosed,
    Query,
    QueryFailed,
    QueueShown,
    ShowBatch,
    ShowQueue,
)

PAGES = ("Batch", "Similarity", "Invariance", "Puzzle", "Queue", "Patches")
BATCH, SIMILARITY, INVARIANCE, PUZZLE, QUEUE, PATCHES = range(len(PAGES))
IN_ROWS = 16  # images on the page of the batch
IN_PAIRS = 64  # images in the matrix
NEXT_PUZZLE = "the next is of step {}"
LIVE_SECONDS = 1.0  # a training's newest checkpoint is followed no more often


@dataclass(eq=False)
class RunViews:
    """What belongs to one run while the window is open."""

    settings: dict[str, Any] = field(default_factory=dict)  # of the augmentation, that differ from the run's
    pair: tuple[int, int] | None = None
    image: PictureRef = field(default_factory=lambda: PictureRef("Validation image 0", index=0))
    by: str = "projections"
    score: PuzzleScore = field(default_factory=PuzzleScore)
    patches: PatchesLook = field(default_factory=PatchesLook)


class ViewsPane(RunPane):
    title = "Views"
    order = 35
    needs_one_of = ("views", "patches")
    invites = "Choose a run at the left, or train a method that learns from views of images, such as SimCLR."
    waits = "Choose a run with one, or wait: the first comes within seconds of training."
    refused = (
        "{title} makes no views",
        "Choose a run of a method that learns from views of images, such as SimCLR, or one that may have a vision transformer.",
    )
    about = "The very tensors of the next batch, how similar the checkpoint finds them, its puzzles, and what a transformer looks at."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.page = self.wished = BATCH  # in front; and chosen by hand, which some runs do not have
        self.views_of_runs: dict[str, RunViews] = {}
        self.failure = ""
        self._drawn: dict[int, tuple[Any, ...]] = {}  # page -> what it shows or has asked for
        self._steps: dict[int, int] = {}  # page -> the checkpoint that it shows
        self._asked_at = 0.0
        self._pages_told = "", 0  # the puzzle and the keys in the queue, as the batch told them
        bridge = context.bridge
        self._askers = {
            page: LatestQuery(bridge, f"views.{PAGES[page].lower()}", on_answer, partial(self._on_failure, page))
            for page, on_answer in enumerate((self._on_batch, self._on_batch, self._on_curve, self._on_puzzle, self._on_queue))
        }
        self._filler = LatestQuery(bridge, "views.fill", self._on_filled, partial(self._on_failure, PUZZLE))
        self._live = QTimer(self)
        self._live.setSingleShot(True)
        self._live.timeout.connect(self.refresh)
        self._build()
        state = context.state
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self.check_empty)
        state.run_gone.connect(self._run_gone)
        state.methods_changed.connect(self._step_changed)
        state.theme_changed.connect(self._restyle)
        self._restyle()
        self.check_empty()

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self.exports = ViewExports(self.context.state, self._export_source, lambda: self.run_views.settings, self.fail)
        body = QWidget()
        self.hold(body, margin=16)
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._tabs())
        self.status = TextLines(2, "What is shown", small=True)
        self.shown_step = ShownStep()
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.status, 1)
        row.addWidget(self.shown_step)
        column.addLayout(row)
        self.pairs, self.curves, self.puzzle, self.queue = PairsPage(), InvariancePage(), PuzzlePage(), QueuePage()
        self.patches_page = PatchesPage()
        self.patches = PatchesController(self.context.bridge, self.patches_page, self)
        self.next_batch = BatchPage()
        self.grid, self.settings = self.next_batch.grid, self.next_batch.settings
        self.pages = PageStack()
        for page in (self.next_batch, self.pairs, self.curves, self.puzzle, self.queue, self.patches_page):
            self.pages.addWidget(page)
        column.addWidget(self.pages, 1)
        self._offer("", 0)
        choose = self._choose
        self.grid.picked.connect(self.pairs.choose_image)
        self.settings.changed.connect(lambda settings: choose(settings=settings))
        self.settings.copy_asked.connect(self._copy_settings)
        self.settings.new_run_asked.connect(self._propose_run)
        self.pairs.pair_chosen.connect(lambda a, b: choose(pair=(a, b)))
        self.curves.open_asked.connect(self._choose_image)
        self.curves.another_asked.connect(self._another_image)
        self.curves.by_chosen.connect(lambda by: choose(by=by))
        self.puzzle.next_asked.connect(self._next_puzzle)
        self.puzzle.fill_asked.connect(self._fill)
        self.patches_page.open_asked.connect(self._choose_image)
        self.patches_page.changed.connect(self.refresh)
        self.patches.described.connect(self._on_described)
        self.patches.came.connect(self._on_patches)
        self.patches.outdated.connect(self.refresh)
        self.patches.failed.connect(self.fail)
        self.patches.said.connect(self._say)
        for chart in (self.pairs.map, self.curves.chart, self.queue.chart, self.patches_page.board):
            chart.saved_asked.connect(self.exports.ask)

    def _tabs(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(16)
        self.tabs = QButtonGroup(self)
        self.tabs.setExclusive(True)
        for index, name in enumerate(PAGES):
            tab = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            self.tabs.addButton(tab, index)
            row.addWidget(tab)
        self.tabs.button(BATCH).setChecked(True)
        self.tabs.idClicked.connect(self.show_page)
        row.addStretch(1)
        row.addWidget(self.exports.button())
        return row

    def _export_source(self) -> ViewsExportSource:
        """Of the page in front."""
        pairs, curves, queue = self.pairs.map, self.curves.chart, self.queue.chart
        widgets = (self.grid, pairs, curves, self.puzzle, queue, self.patches_page.board)
        tables = (self.grid.table, pairs.table, curves.table, self.puzzle.table, queue.table, self.patches_page.table)
        return ViewsExportSource(PAGES[self.page], widgets[self.page], tables[self.page])

    def _restyle(self) -> None:
        c = theme.colors(self.context.state.theme)
        for widget in (self.next_batch, self.pairs, self.curves, self.puzzle, self.queue, self.patches_page, self.status, self.shown_step):
            widget.set_colors(c)

    # ------------------------------------------------------------------------------------------------ what is looked at

    @property
    def run_views(self) -> RunViews:
        return self.views_of_runs.setdefault(self.context.state.run or "", RunViews())

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.refresh()

    def deactivate(self) -> None:
        self.shown = False
        self._live.stop()
        self._forget()

    def closeEvent(self, event: Any) -> None:
        self.deactivate()
        super().closeEvent(event)

    def _forget(self) -> None:
        """What was asked for and has not come is asked for again when it is wanted."""
        for page, asker in self._askers.items():
            if asker.in_flight is not None:
                self._drawn.pop(page, None)
            asker.forget()
        self._filler.forget()
        self.patches.forget()

    def _run_gone(self, run: str) -> None:
        self.views_of_runs.pop(run, None)

    def _run_changed(self) -> None:
        self._live.stop()
        self._forget()
        self._drawn.clear()
        self._steps.clear()
        self._asked_at, self.failure = 0.0, ""
        self.grid.set_batch(None)
        self.pairs.set_batch(None)
        self.queue.set_ages(None)
        self.curves.clear()
        self.puzzle.clear()
        self.puzzle.show_score(self.run_views.score)
        self.patches.set_run(self.run_views.patches)
        self._offer("", 0)
        self.check_empty()
        self._front(self._offered(self.wished))

    def _step_changed(self) -> None:
        self.check_empty()
        self._offer(*self._pages_told)
        if not self.shown or not self.able():
            return
        wait = self._asked_at + LIVE_SECONDS - monotonic()
        if self.context.state.cursor is None and wait > 0:
            if not self._live.isActive():
                self._live.start(round(1000 * wait))
            self._say_step()
        else:
            self.refresh()

    def _can(self, capability: str) -> bool:
        method, info = self.context.state.method_info, self.context.state.run_info
        return capability in (method.capabilities if method else info.capabilities if info else ())

    def _offer(self, puzzle: str, queue: int) -> None:
        """Which pages there are for the run's method, and for its network as far as that is known; the one that was chosen comes to the
        front if it is there.
        """
        self._pages_told = puzzle, queue
        patches = self._can("patches")
        there = {PUZZLE: puzzle in self.puzzle.kinds, QUEUE: queue > 0, PATCHES: patches}
        there[BATCH] = there[SIMILARITY] = self._can("views") or not patches
        runs = self.context.state.runs.values()
        having = [run.name for run in runs if "patches" in run.capabilities and run.config.get("encoder") == "vit"]
        self.patches_page.say_empty(self.patches.why_not and f"{self.patches.why_not}\n\n{runs_with_patches(having)}")
        for page, offered in there.items():
            self.tabs.button(page).setVisible(offered)
        if self.page != self._offered(self.wished):
            self._front(self._offered(self.wished))

    def _offered(self, page: int) -> int:
        """The page itself if the run has it, else the first that it has something for."""
        order = (page, BATCH, INVARIANCE) if self.patches.why_not else (page, BATCH, PATCHES, INVARIANCE)
        return next(one for one in order if not self.tabs.button(one).isHidden())

    def show_page(self, page: int) -> None:
        """Bring a page to the front, and ask for what it shows."""
        self.wished = page
        self._front(self._offered(page))

    def _front(self, page: int) -> None:
        self.page = page
        self.tabs.button(page).setChecked(True)
        self.pages.setCurrentIndex(page)
        self.failure = ""
        self._say()
        self.refresh()

    # ------------------------------------------------------------------------------------------------ asking

    def refresh(self) -> None:
        """Ask for what the page in front lacks."""
        if not self.shown or not self.able():
            return
        self._live.stop()
        state, run_views = self.context.state, self.run_views
        at: dict[str, Any] = {"run": state.run, "step": state.step}
        if method := state.method_info:
            info = state.run_info
            grey = info is not None and info.shape[:1] == (1,)
            fields = tuple(field for field in method.fields if field.group == "Augmentation" and not (grey and field.of_colour))
            self.settings.set_fields(fields, info.config if info else {})
            if self.settings.settings() != run_views.settings:
                self.settings.show_settings(run_views.settings)
        if self._can("patches"):
            self.patches.describe(**at)
        batch_wanted = self.page in (BATCH, SIMILARITY) or self.grid.batch is None  # without one nobody knows which pages there are
        if self._can("views") and batch_wanted:
            page = self.page if self.page == SIMILARITY else BATCH
            many = {BATCH: IN_ROWS, SIMILARITY: IN_PAIRS}[page]
            query: Query = ShowBatch(**at, count=many, settings=dict(run_views.settings), pair=run_views.pair)
            self._want(page, query, (*at.values(), repr(sorted(run_views.settings.items())), run_views.pair))
        if self.page == INVARIANCE:
            question = MeasureInvariance(**at, picture=run_views.image, by=run_views.by)
            self._want(INVARIANCE, question, curve_key(question))
        elif self.page == PUZZLE:
            follows = state.cursor, state.follows  # a live puzzle is not changed in the middle
            self._want(PUZZLE, PosePuzzle(**at, number=run_views.score.number), (state.run, follows, run_views.score.number))
        elif self.page == QUEUE:
            self._want(QUEUE, ShowQueue(**at), tuple(at.values()))
        elif self.page == PATCHES:
            self._asked_at = monotonic()
            self.patches.refresh(**at, live=state.cursor is None)
        self._say_step()

    def _want(self, page: int, query: Query, key: tuple[Any, ...]) -> None:
        if self._drawn.get(page) != key:
            self._drawn[page] = key
            self._asked_at = monotonic()
            self._askers[page].want(query)

    def _current(self, query: Any) -> bool:
        """Whether an answer still belongs to the run that is looked at."""
        return query.run == self.context.state.run

    def _on_failure(self, page: int, failure: QueryFailed) -> None:
        self._drawn.pop(page, None)
        self.fail(failure.message)

    def _on_batch(self, query: ShowBatch, shown: BatchShown) -> None:
        if not self._current(query):
            return
        self.failure = ""
        if query.count == IN_ROWS:
            self.grid.set_batch(shown)
        else:
            self.pairs.set_batch(shown)
            self.pairs.choose_image(self.grid.chosen)
        self._steps[BATCH if query.count == IN_ROWS else SIMILARITY] = shown.step
        self._offer(shown.puzzle, shown.queue)
        self._say()

    def _on_described(self) -> None:
        """It is known whether the run's network has patches."""
        self._offer(*self._pages_told)
        self.refresh()

    def _on_patches(self) -> None:
        self.failure = ""
        self._say()

    def _on_queue(self, query: ShowQueue, shown: QueueShown) -> None:
        if self._current(query):
            self.failure = ""
            self.queue.set_ages(shown.ages)
            self._steps[QUEUE] = shown.step
            self._say()

    def _on_curve(self, query: MeasureInvariance, curve: InvarianceMeasured) -> None:
        """Draw it, and ask for the next transform."""
        if self._drawn.get(INVARIANCE) != curve_key(query):
            return  # another image or step is wanted by now
        self.failure = ""
        place = curve.transforms.index(curve.transform.name)
        self.curves.add(curve, first=place == 0)
        self._steps[INVARIANCE] = curve.step
        if place + 1 < len(curve.transforms):
            self._askers[INVARIANCE].want(replace(query, transform=curve.transforms[place + 1]))
        self._say()

    def _on_puzzle(self, query: PosePuzzle, posed: PuzzlePosed) -> None:
        if self._current(query) and query.number == self.run_views.score.number:
            self.failure = ""
            self.puzzle.show_posed(posed)
            self._steps[PUZZLE] = self.puzzle.step_of(posed)
            self._say()

    def _on_filled(self, query: FillMask, filled: MaskFilled) -> None:
        if self._current(query):
            self.failure = ""
            self.puzzle.take(filled)
            self._steps[PUZZLE] = filled.step
            self._say()

    # ------------------------------------------------------------------------------------------------ what the user does

    def _choose(self, **chosen: Any) -> None:
        """Other values of `run_views`."""
        for name, value in chosen.items():
            setattr(self.run_views, name, value)
        self.refresh()

    def _propose_run(self) -> None:
        """The form of a new run, filled in as this one was, with the strengths that are shown."""
        info = self.context.state.run_info
        if info is not None:
            self.context.state.run_proposed.emit(info.method, info.data, {**info.changed, **self.settings.settings()})

    def _copy_settings(self) -> None:
        QGuiApplication.clipboard().setText(self.settings.as_arguments())

    def _another_image(self) -> None:
        index = (self.run_views.image.index or 0) + 1 if self.run_views.image.path is None else 0
        self._choose(image=PictureRef(f"Validation image {index}", index=index))

    def _choose_image(self) -> None:
        ask_which(self, "Open an image", IMAGE_FILTER, lambda paths: self.accept_image(paths[0]))

    def accept_image(self, path: str) -> bool:
        if not self.able():
            return False
        picture = PictureRef(os.path.basename(path), path=path)
        if self.page == PATCHES:
            self.patches_page.choose_picture(picture)
            return True
        self._choose(image=picture)
        self.show_page(INVARIANCE)
        return True

    def _next_puzzle(self) -> None:
        self.run_views.score.number += 1
        self.refresh()

    def _fill(self, hidden: Any) -> None:
        state, posed = self.context.state, self.puzzle.fill.posed
        if posed is not None and self.shown and self.able():
            assert state.run is not None
            self._filler.want(FillMask(run=state.run, step=state.step, index=posed.index, hidden=hidden))

    # ------------------------------------------------------------------------------------------------ words

    def fail(self, sentence: str) -> None:
        self.failure = sentence
        self._say()

    def _say_step(self) -> None:
        """Of which checkpoint the page in front is."""
        front = self.patches.busy if self.page == PATCHES else self._askers[self.page].in_flight is not None
        asked = self._live.isActive() or front or self._filler.in_flight is not None
        then, level = (COMES, "") if asked else (NEXT_PUZZLE, "") if self.page == PUZZLE and not self.failure else (FAILED, "warning")
        step = self.patches_page.shown_step() if self.page == PATCHES else self._steps.get(self.page)
        self.shown_step.show_step(step, self.context.state.step, then, level)

    def _say(self) -> None:
        self._say_step()
        if self.failure:
            self.status.set_text(self.failure, "bad")
            return
        similar = self.pairs.similar
        shown = self.grid.batch if self.page == BATCH else similar.shown if similar is not None else None
        if shown is None or self.page > SIMILARITY:
            line = self.patches.line if self.page == PATCHES else ""
            self.status.set_text(line or SAID[self.page])
            return
        some = (
            f"{count(len(shown.originals))} of the {count(shown.batch)}"
            if len(shown.originals) < shown.batch
            else f"all {count(shown.batch)}"
        )
        exactly = "made again by these settings" if self.run_views.settings else "bit for bit what the network is given"
        exactly = exactly if self.run_views.settings or shown.exact else "made again"
        parts = [f"The batch after step {count(shown.step)}: {some} images, {exactly}. The cosines are of {shown.compares}.", *shown.notes]
        self.status.set_text(" ".join(parts))


def curve_key(query: MeasureInvariance) -> tuple[Any, ...]:
    """What the curves of one image have in common."""
    return query.run, query.step, id(query.picture), query.by


SAID = (
    "The batch that the training takes next is made again.",
    "The similarities of the batch that the training takes next.",
    "How similar the checkpoint finds an image to itself, the more strongly one transform changes it. Drop an image to measure it.",
    "The puzzle that this method learns from, on validation images it was never trained on: play against the model.",
    "Views are told apart from keys of former batches too. This is how long ago each of them was encoded.",
    "A vision transformer cuts an image into patches, each a token with features of its own. Click a patch; drop an image to look at it.",
)
