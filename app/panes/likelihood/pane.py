"""How likely is an image, by which score, and how sure is that: drop images or a folder, compare data sets, drag the threshold.

The pane wires its parts and lets the user choose. What is asked and in which order is the business of `controller`, which runs score
that of `scoring_runs`, what is selected that of `selection`, and what the page then shows that of `presenter`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QMenu

from app.panes import Context
from app.panes.likelihood.controller import LikelihoodController, PathWanted
from app.panes.likelihood.distribution import OTHER
from app.panes.likelihood.export import LikelihoodExports
from app.panes.likelihood.inspection import ImageInspection
from app.panes.likelihood.ood_experiment import OodExperimentPage
from app.panes.likelihood.page import LikelihoodPage
from app.panes.likelihood.picture_reader import PictureReader
from app.panes.likelihood.presenter import LikelihoodPresenter
from app.panes.likelihood.scored_images import Dropped
from app.panes.likelihood.scoring_runs import ScoringRuns
from app.panes.likelihood.selection import Selection
from app.shell import theme
from app.shell.run_pane import RunPane
from app.widgets.export import IMAGE_FILTER, ask_which
from engine.messages import PictureRef, StartRun

SETTLE_MS = 120  # after the last move of the time cursor
DRAW_MS = 60  # at most so often while answers pour in
TEST_IMAGES = 16


def unchecked(run: Callable[[], object]) -> Callable[..., None]:
    """A slot that leaves out whether a button is checked."""

    def slot(_checked: bool = False) -> None:
        run()

    return slot


class LikelihoodPane(RunPane):
    title = "Likelihood"
    order = 70
    needs_one_of = ("log_prob", "classify", "encode")
    wants_run = False
    takes_folders = True
    takes_data = True
    takes_over = ("score",)
    invites = (
        "Choose a run at the left, or train one: any that learns p(x), classes or features can score images. "
        "Then drop an image here to learn how likely it is."
    )
    refused = "{title} cannot score images", "It knows neither p(x) nor classes nor features. Choose another run."
    text_refused = "Images are scored here. Choose a run that was trained on images."
    more_actions = (("The likelihood paradox", "show_experiment"),)
    about = "Drop images to learn how likely each is, by which score, and how sure that is."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        state = context.state
        self.controller = LikelihoodController(context.bridge, self)
        self.images = self.controller.images
        self.selection = Selection(self.controller, state)
        self.inspection = ImageInspection(context.bridge, self.controller, self.selection, self)
        self.reader = PictureReader(context.bridge, self.controller, self)
        self.runs = ScoringRuns(state, self.controller, self.able, self.why_not, self._settle)
        self._settling, self._drawing, self._resting = QTimer(self), QTimer(self), QTimer(self)
        for timer, pause, slot in (
            (self._settling, SETTLE_MS, self._settle), (self._drawing, DRAW_MS, self.draw), (self._resting, SETTLE_MS, self._settle),
        ):  # fmt: skip
            timer.setSingleShot(True)
            timer.setInterval(pause)
            timer.timeout.connect(slot)
        self._build()
        self.controller.calibrated.connect(self._on_calibrated)
        self.controller.scored.connect(self._on_scored)
        self.reader.read.connect(self._on_scored)  # seen, or refused, long before it is scored
        self.controller.compared.connect(self._draw_soon)
        self.controller.corrupted.connect(self._draw_path)
        self.controller.said.connect(self.presenter.show_status)
        self.controller.idle.connect(self._wait_for_newer)
        self.inspection.changed.connect(self.presenter.show_image)
        self.inspection.changed.connect(self.presenter.show_status)
        self.inspection.changed.connect(self._looked)
        self.controller.near.connect(self._ask_near)
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self._runs_changed)
        state.run_replaced.connect(self._run_replaced)
        state.run_gone.connect(self.images.forget_run)
        state.methods_changed.connect(self._runs_changed)
        state.data_changed.connect(self._data_changed)
        state.theme_changed.connect(self._restyle)
        if "run.paradox" not in context.actions:
            context.actions.add(
                "run.paradox",
                "The likelihood paradox",
                self.show_experiment,
                menu="Run",
                help="An experiment: a model of p(x) that finds strangers more likely than its own data",
            )
        self._restyle()
        self._data_changed()
        self._runs_changed()

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self.page = page = LikelihoodPage()
        self.experiment = OodExperimentPage()
        self.presenter = LikelihoodPresenter(page, self.controller, self.selection, self.inspection, self.context.state)
        self.exports = LikelihoodExports(page, self.controller, self.selection, self.inspection, self.context.state)
        self.hold(page)
        self.stack.addWidget(self.experiment)
        self.stack.currentChanged.connect(lambda index: self.experiment.take_room(self.stack.widget(index) is self.experiment))
        for made, run in (
            (page.open_button, lambda: ask_which(self, "Open images", IMAGE_FILTER, self.accept_images, many=True)),
            (page.test_button, self.use_test_images), (page.stop_button, self.controller.stop),
            (page.csv_button, self.exports.ask_scores), (page.clear_button, self.clear),
        ):  # fmt: skip
            made.clicked.connect(unchecked(run))
        page.list.picked.connect(self.choose)
        page.runs_menu.aboutToShow.connect(partial(self.runs.fill_menu, page.runs_menu))
        page.table.chosen.connect(self.choose_detector)
        page.table.remedy_asked.connect(self.controller.build_background)
        page.table.repeat_asked.connect(partial(self.trigger, "run.repeat"))
        page.right_shown.connect(lambda _index: (self._ask_path(), self.draw()))
        page.distribution.threshold_moved.connect(self.selection.set_threshold)
        page.distribution.compare_chosen.connect(self._compare_chosen)
        page.distribution.picked.connect(self._thumbnail_picked)
        page.corruption.kind_chosen.connect(lambda _kind: self._ask_path())
        for chart in (page.distribution.chart, page.corruption.chart):
            chart.saved_asked.connect(self.exports.ask_chart)
        menu = QMenu(self)
        for text, run in (
            ("Copy chart", self.exports.copy_chart), ("Save chart as PNG, SVG or PDF…", partial(self.exports.ask_chart, "png")),
            ("Save chart as CSV…", partial(self.exports.ask_chart, "csv")), ("Save bits per pixel as PNG…", self.exports.ask_bits),
            ("Save scores as CSV…", self.exports.ask_scores),
        ):  # fmt: skip
            menu.addAction(text).triggered.connect(unchecked(run))
        page.export_button.setMenu(menu)
        self.experiment.closed.connect(self._leave_experiment)
        self.experiment.open_asked.connect(partial(self.trigger, "data.open"))
        self.experiment.train_asked.connect(self._train)
        self.experiment.compare_asked.connect(self._compare_run)

    # ------------------------------------------------------------------------------------------------ what is looked at

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self._settle()

    def deactivate(self) -> None:
        self.shown = False
        self._stop_timers()
        self.reader.forget()
        self.controller.set_active(False)

    def closeEvent(self, event: Any) -> None:
        self._stop_timers()
        self.controller.set_active(False)
        self.controller.stop_jobs()
        self.reader.forget()
        self.inspection.forget()
        super().closeEvent(event)

    def _stop_timers(self) -> None:
        for timer in (self._settling, self._drawing, self._resting):
            timer.stop()

    def check_empty(self) -> None:
        if self.stack.currentWidget() is not self.experiment:
            super().check_empty()

    def _run_changed(self) -> None:
        self.inspection.clear()
        self.check_empty()
        self._step_changed()

    def _step_changed(self) -> None:
        """Nothing of the old step may stand there as if it were of the new one."""
        self.check_empty()
        if self.controller.wanted and self.runs.current() == self.controller.wanted:
            self._wait_for_newer()
            return
        self.controller.look_at(())
        self.selection.thresholds.clear()
        self.inspection.forget()
        self.draw()
        if self.shown:
            self._settling.start()

    def _run_replaced(self, run: str) -> None:
        if run in dict(self.controller.wanted):
            self.controller.look_at(())
            self._runs_changed()

    def _runs_changed(self) -> None:
        state = self.context.state
        self.check_empty()
        self.experiment.set_known(state.data, state.runs, state.methods)
        if self.shown and self.runs.current() == self.controller.wanted:
            self._wait_for_newer()
        elif self.shown and not self._settling.isActive():
            self._settling.start()

    def _wait_for_newer(self) -> None:
        """A newer checkpoint waits until what was found about this one has stood long enough."""
        patience = self.controller.patience()
        if self.shown and math.isfinite(patience) and self.runs.newest() != self.controller.wanted:
            self._resting.start(SETTLE_MS + round(1000 * patience))

    def _settle(self) -> None:
        """Ask for everything about the runs and steps that are looked at."""
        self._settling.stop()
        self._resting.stop()
        if not self.shown:
            return
        steps = self.runs.current()
        if steps != self.controller.wanted:
            self.inspection.forget()
            self.runs.followed = self.context.state.follows
        run, detector = self.selection.detector
        if steps and run not in dict(steps):
            self.selection.detector = (steps[0][0], detector)
        self.controller.front = self.selection.image
        self.controller.set_active(True)
        self.controller.look_at(steps)
        self.reader.go_on()
        self._ask_compare()
        self.inspection.ask()
        self._ask_path()
        self.draw()
        self._wait_for_newer()

    # ------------------------------------------------------------------------------------------------ images

    def accept_image(self, path: str) -> bool:
        return bool(self.accept_images([path]))

    def accept_images(self, paths: list[str]) -> list[str]:
        """Score these files; returns those that were taken: all of them, or none without a run that can score."""
        if not self.able():
            return []
        self.add(PictureRef(label=Path(path).name, path=path) for path in paths)
        return paths

    def take_over(self, purpose: str, what: object) -> bool:
        """Score an image that another pane shows."""
        if not self.able() or not isinstance(what, PictureRef):
            return False
        self.add([what])
        return True

    def accept_data(self, path: str) -> bool:
        """Score a data set and compare it with the held-out images."""
        if not self.able():
            return False
        self._leave_experiment()
        self.page.show_right(0)
        self.set_compare(path)
        return True

    def add(self, pictures: Iterable[PictureRef]) -> None:
        """Score more images; the first of them is looked at."""
        added = self.images.add(pictures)
        if not added:
            return
        self._leave_experiment()
        self.page.list.model_.set_entries(self.images.entries)
        if len(added) > 1:
            self.page.show_left(1)
        self.choose(added[0])
        self.controller.images_came()
        self.reader.go_on()

    def use_test_images(self) -> None:
        """Take some images of the run's own test split, which no training has seen."""
        info = self.context.state.run_info
        if info is not None and self.able():
            name = info.data_name
            self.add(PictureRef(label=f"{name}, test image {i}", data=info.data, index=i, split="test") for i in range(TEST_IMAGES))

    def choose(self, image: Dropped | None) -> None:
        """Look at one of the images."""
        self.selection.image = self.controller.front = image
        self.inspection.clear()
        self.page.list.choose(image)
        self.reader.go_on()
        self.draw()
        self.inspection.ask()
        self._ask_path()

    def clear(self) -> None:
        self.images.clear()
        self.controller.end("score")
        self.reader.forget()
        self.controller.say("")
        self.page.list.model_.set_entries([])
        self.choose(None)
        self.presenter.show_status()

    # ------------------------------------------------------------------------------------------------ scores

    def choose_detector(self, run: str, detector: str) -> None:
        """Look at another score; the list, the histograms and the close look follow it."""
        other_run = run != self.selection.detector[0]
        self.selection.detector = (run, detector)
        if other_run:
            self.inspection.clear()
            self.inspection.ask()
            self._ask_compare()
        self._ask_path()
        self.draw()

    def _on_calibrated(self) -> None:
        self.selection.follow_detectors()
        result = self.inspection.result
        if result is not None and result.nearest_missing and self.images.calibrated:
            self._ask_near()
        self._draw_soon()

    def _looked(self) -> None:
        if self.inspection.result is not None and self.inspection.result.nearest_pending and not self.controller.near_read:
            self.controller.read_near()

    def _ask_near(self) -> None:
        """The nearest training images can be asked for again."""
        if self.selection.image is not None:
            self.inspection.ask(again=True)

    def _on_scored(self, image: Dropped) -> None:
        self.page.list.model_.changed(image)
        if image is self.selection.image and image.error:
            self.inspection.forget()
        self._draw_soon()

    def _ask_path(self) -> None:
        if not self.shown or not self.page.corrupting:
            return
        image, step, wanted = self.selection.image, self.selection.step, None
        if image is not None and not image.error and step is not None:
            wanted = PathWanted(self.selection.detector[0], step, image, self.page.corruption.kind.currentText())
        self.controller.set_path(wanted)

    # ------------------------------------------------------------------------------------------------ comparing

    def _data_changed(self) -> None:
        state = self.context.state
        self.experiment.set_known(state.data, state.runs, state.methods)
        self.presenter.show_choices()

    def _compare_chosen(self, data: str) -> None:
        if data == OTHER:
            self.presenter.show_choices()
            self.trigger("data.open")
        else:
            self.set_compare(data)

    def set_compare(self, data: str) -> None:
        """Compare held-out images with the test images of a data set, or with what was dropped."""
        self.selection.compare = data
        self.presenter.show_choices()
        self._ask_compare()
        self.draw()

    def _ask_compare(self) -> None:
        (run, _), step, data = self.selection.detector, self.selection.step, self.selection.compare
        self.controller.set_compare((run, step, data) if data and step is not None else None)

    def _thumbnail_picked(self, index: int) -> None:
        """One of the images that held-out ones are compared with: look at it."""
        comparison, selection = self.controller.comparison, self.selection
        if selection.compare and comparison is not None:
            place = int(comparison.indices[index])
            split = comparison.split
            label = f"{selection.data_name()}, {'test ' if split == 'test' else ''}image {place}"
            self.add([PictureRef(label=label, data=selection.compare, index=place, split=split)])
        elif not selection.compare:
            entries, _ = self.images.scored(*selection.detector)
            if index < len(entries):
                self.choose(entries[index])

    # ------------------------------------------------------------------------------------------------ the likelihood paradox

    def show_experiment(self) -> None:
        """Bring the experiment to the front."""
        self.stack.setCurrentWidget(self.experiment)
        self._data_changed()
        self.experiment.prefer(self.context.state.run)
        if "pane.LikelihoodPane" in self.context.actions:
            self.trigger("pane.LikelihoodPane")

    def _leave_experiment(self) -> None:
        if self.stack.currentWidget() is self.experiment:
            self.stack.setCurrentIndex(0)
            self.check_empty()

    def _train(self, method: str, data: str, minutes: float) -> None:
        bridge = self.context.bridge
        bridge.send(StartRun(job=bridge.new_job("train"), method=method, data=data, minutes=minutes))

    def _compare_run(self, run: str, data: str, classifier: str) -> None:
        self.selection.compare = data
        if classifier and classifier not in self.runs.added:
            self.runs.added.append(classifier)
        self._leave_experiment()
        self.page.show_right(0)
        if run != self.context.state.run:
            self.context.state.set_run(run)
        self.presenter.show_choices()
        self._settle()

    # ------------------------------------------------------------------------------------------------ drawing

    def _draw_soon(self) -> None:
        if self.shown and not self._drawing.isActive():
            self._drawing.start()

    def draw(self) -> None:
        """All that depends on scores, once."""
        self._drawing.stop()
        if self.shown:
            self.presenter.show_table(self.controller.wanted or self.runs.current())
            self.presenter.show_image()
            self.presenter.show_distribution()
            self.presenter.show_path()
            self.presenter.show_status()

    def _draw_path(self) -> None:
        if self.shown:
            self.presenter.show_path()

    def _restyle(self) -> None:
        c = theme.colors(self.context.state.theme)
        self.page.set_colors(c)
        self.experiment.set_colors(c)
