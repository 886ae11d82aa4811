"""How likely is an image, by which score, and how sure is that: drop images or a folder, compare data sets, drag the threshold.

The pane draws and lets choose; what is asked and in which order is the business of `controller`, what is known of the
images that of `scored_images`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QMenu

from app.panes import Context
from app.panes.likelihood import separation
from app.panes.likelihood.controller import LikelihoodController, PathWanted
from app.panes.likelihood.distribution import OTHER, Sides
from app.panes.likelihood.export import LikelihoodExports
from app.panes.likelihood.image_detail import size_text
from app.panes.likelihood.ood_experiment import OodExperimentPage
from app.panes.likelihood.page import LikelihoodPage
from app.panes.likelihood.path_plot import Path as ScorePath
from app.panes.likelihood.score_table import Row, value_text
from app.panes.likelihood.scored_images import Dropped, Look
from app.shell.formatting import count
from app.shell.latest_query import LatestQuery
from app.shell.run_pane import RunPane
from app.widgets.export import IMAGE_FILTER, ask_which
from app.widgets.parts import restyle
from engine.messages import DetectorInfo, ImageInspected, InspectImage, PictureRef, QueryFailed, RunInfo, StartRun

JUDGES = ("log_prob", "classify", "encode")  # one of these is enough
SETTLE_MS = 120  # after the last move of the time cursor
DRAW_MS = 60  # at most so often while answers pour in
TEST_IMAGES = 16


class LikelihoodPane(RunPane):
    title = "Likelihood"
    order = 70
    wants_run = False
    takes_folders = True
    invites = (
        "Choose a run at the left, or train one: any that learns p(x), classes or features can judge images. "
        "Then drop an image here to learn how likely it is."
    )
    refused = "{title} cannot judge images", "It knows neither p(x) nor classes nor features. Choose another run."
    text_refused = "Images are judged here. Choose a run that was trained on images."
    more_actions = (("The likelihood paradox", "show_paradox"),)
    about = "Drop images to learn how likely each is, by which score, and how sure that is."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.chosen: Dropped | None = None
        self.detector: tuple[str, str] = ("", "")  # run, detector
        self.others: list[str] = []  # runs that judge beside the chosen one
        self.compare = ""  # a data set; empty: the dropped images
        self.thresholds: dict[tuple[str, str], float] = {}
        self.look: ImageInspected | None = None
        self._message = ""
        self._live = False  # whether what is looked at was the newest, and not chosen by hand
        self.inquiry = LikelihoodController(context.bridge, self)
        self.docket = self.inquiry.docket
        self._looker = LatestQuery(context.bridge, "likelihood.look", self._on_look, self._on_no_look)
        self._settling, self._drawing, self._resting = QTimer(self), QTimer(self), QTimer(self)
        for timer, pause, slot in (
            (self._settling, SETTLE_MS, self._settle), (self._drawing, DRAW_MS, self.draw), (self._resting, SETTLE_MS, self._settle),
        ):  # fmt: skip
            timer.setSingleShot(True)
            timer.setInterval(pause)
            timer.timeout.connect(slot)
        self.exports = LikelihoodExports(self)
        self._build()
        self.inquiry.calibrated.connect(self._on_calibrated)
        self.inquiry.judged.connect(self._on_judged)
        self.inquiry.compared.connect(self._draw_soon)
        self.inquiry.corrupted.connect(self._draw_path)
        self.inquiry.said.connect(self._say)
        self.inquiry.idle.connect(self._wait_for_newer)
        state = context.state
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self._runs_changed)
        state.run_replaced.connect(self._run_replaced)
        state.methods_changed.connect(self._runs_changed)
        state.data_changed.connect(self._data_changed)
        state.theme_changed.connect(self._restyle)
        if "run.paradox" not in context.actions:
            context.actions.add(
                "run.paradox",
                "The likelihood paradox",
                self.show_paradox,
                menu="Run",
                help="An experiment: a model of p(x) that finds strangers more likely than its own data",
            )
        self._restyle()
        self._data_changed()
        self._runs_changed()

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self.page = page = LikelihoodPage()
        self.paradox = OodExperimentPage()
        self.hold(page)
        self.stack.addWidget(self.paradox)
        for made, run in (
            (page.open_button, self._choose_images), (page.test_button, self.use_test_images), (page.stop_button, self.inquiry.stop),
            (page.csv_button, self.exports.ask_scores), (page.clear_button, self.clear),
        ):  # fmt: skip
            made.clicked.connect(partial(self._run_action, run))
        page.list.picked.connect(self.choose)
        page.runs_menu.aboutToShow.connect(self.fill_runs_menu)
        page.table.chosen.connect(self.choose_detector)
        page.table.remedy_asked.connect(self._remedy)
        page.right_shown.connect(self._right_shown)
        page.distribution.threshold_moved.connect(self._threshold_moved)
        page.distribution.compare_chosen.connect(self._compare_chosen)
        page.distribution.picked.connect(self._strange_picked)
        page.corruption.kind_chosen.connect(lambda _kind: self._ask_path())
        for chart in (page.distribution.chart, page.corruption.chart):
            chart.saved_asked.connect(self.exports.ask_chart)
        menu = QMenu(self)
        for text, run in (
            ("Copy chart", self.exports.copy_chart), ("Save chart as PNG…", partial(self.exports.ask_chart, "png")),
            ("Save chart as CSV…", partial(self.exports.ask_chart, "csv")), ("Save bits per pixel as PNG…", self.exports.ask_bits),
            ("Save scores as CSV…", self.exports.ask_scores),
        ):  # fmt: skip
            menu.addAction(text).triggered.connect(partial(self._run_action, run))
        page.export_button.setMenu(menu)
        self.paradox.closed.connect(self._leave_paradox)
        self.paradox.open_asked.connect(partial(self.trigger, "data.open"))
        self.paradox.train_asked.connect(self._train)
        self.paradox.compare_asked.connect(self._compare_run)

    def _run_action(self, run: Any, _checked: bool = False) -> None:
        run()

    def _right_shown(self, _index: int) -> None:
        self._ask_path()
        self.draw()

    # ------------------------------------------------------------------------------------------------ what is looked at

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self._settle()

    def deactivate(self) -> None:
        self.shown = False
        self._stop_timers()
        self.inquiry.set_active(False)

    def closeEvent(self, event: Any) -> None:
        self._stop_timers()
        self.inquiry.set_active(False)
        self.inquiry.stop_jobs()
        self._looker.forget()
        super().closeEvent(event)

    def _stop_timers(self) -> None:
        for timer in (self._settling, self._drawing, self._resting):
            timer.stop()

    def check_empty(self) -> None:
        if self.stack.currentWidget() is not self.paradox:
            super().check_empty()

    def can(self, info: RunInfo) -> bool:
        return bool(set(JUDGES) & set(self.capabilities(info)))

    def looks(self) -> tuple[Look, ...]:
        """What is looked at now: a step chosen by hand at once, the newest one of a training when the inquiry is ready for it."""
        newest, now = self.newest_looks(), self.inquiry.wanted
        follows = (self.context.state.cursor is None and self._live) or newest[:1] == now[:1]
        same_runs = [run for run, _ in newest] == [run for run, _ in now]
        return now if newest and same_runs and follows and self.inquiry.patience() else newest

    def newest_looks(self) -> tuple[Look, ...]:
        """The chosen run at the time cursor, and the newest step of those beside it."""
        state = self.context.state
        if not self.able() or state.run is None or state.step is None:
            return ()
        out = [(state.run, state.step)]
        for run in self.others:
            info = state.runs.get(run)
            if run != state.run and info is not None and not self.why_not(info):
                out.append((run, max(checkpoint.step for checkpoint in info.checkpoints if not checkpoint.fault)))
        return tuple(out)

    def fill_runs_menu(self) -> None:
        state = self.context.state
        self.page.runs_menu.clear()
        for run, info in state.runs.items():
            if run == state.run:
                continue
            action = self.page.runs_menu.addAction(f"{info.title or info.method} · {info.data_name}   {info.name}")
            action.setCheckable(True)
            action.setChecked(run in self.others)
            why = self.why_not(info)
            action.setEnabled(why is None)
            action.setToolTip(" – ".join(why or ()))
            action.toggled.connect(partial(self.set_other, run))
        if self.page.runs_menu.isEmpty():
            self.page.runs_menu.addAction("There is no other run").setEnabled(False)

    def set_other(self, run: str, judges: bool) -> None:
        """Let another run judge the same images, or no longer."""
        if judges != (run in self.others):
            self.others = [*self.others, run] if judges else [other for other in self.others if other != run]
            self._settle()

    def _run_changed(self) -> None:
        self.look = None
        self._message = ""
        self.check_empty()
        self._step_changed()

    def _step_changed(self) -> None:
        """Nothing of the old step may stand there as if it were of the new one."""
        self.check_empty()
        if self.inquiry.wanted and self.looks() == self.inquiry.wanted:
            self._wait_for_newer()
            return
        self.inquiry.look_at(())
        self.thresholds.clear()
        self._looker.forget()
        self.look = None
        self.draw()
        if self.shown:
            self._settling.start()

    def _run_replaced(self, run: str) -> None:
        if run in dict(self.inquiry.wanted):
            self.inquiry.look_at(())
            self._runs_changed()

    def _runs_changed(self) -> None:
        state = self.context.state
        self.check_empty()
        self.paradox.set_known(state.data, state.runs, state.methods)
        if self.shown and self.looks() == self.inquiry.wanted:
            self._wait_for_newer()
        elif self.shown and not self._settling.isActive():
            self._settling.start()

    def _wait_for_newer(self) -> None:
        """A newer checkpoint waits until what was found about this one has stood long enough."""
        patience = self.inquiry.patience()
        if self.shown and math.isfinite(patience) and self.newest_looks() != self.inquiry.wanted:
            self._resting.start(SETTLE_MS + round(1000 * patience))

    def _settle(self) -> None:
        """Ask for everything about the runs and steps that are looked at."""
        self._settling.stop()
        self._resting.stop()
        if not self.shown:
            return
        looks = self.looks()
        if looks != self.inquiry.wanted:
            self.look = None
            self._looker.forget()
            self._live = self.context.state.cursor is None
        run, detector = self.detector
        if looks and run not in dict(looks):
            self.detector = (looks[0][0], detector)
        self.inquiry.front = self.chosen
        self.inquiry.set_active(True)
        self.inquiry.look_at(looks)
        self._ask_compare()
        self._ask_look()
        self._ask_path()
        self.draw()
        self._wait_for_newer()

    # ------------------------------------------------------------------------------------------------ images

    def accept_image(self, path: str) -> bool:
        return bool(self.accept_images([path]))

    def accept_images(self, paths: list[str]) -> list[str]:
        """Judge these files; returns those that were taken: all of them, or none without a run that can judge."""
        if not self.able():
            return []
        self.add(PictureRef(label=Path(path).name, path=path) for path in paths)
        return paths

    def add(self, pictures: Iterable[PictureRef]) -> None:
        """Judge more images; the first of them is looked at."""
        added = self.docket.add(pictures)
        if not added:
            return
        self._leave_paradox()
        self.page.list.model_.set_entries(self.docket.entries)
        if len(added) > 1:
            self.page.show_left(1)
        self.choose(added[0])
        self.inquiry.images_came()

    def use_test_images(self) -> None:
        """Take some images of the run's own test split, which no training has seen."""
        info = self.context.state.run_info
        if info is not None and self.able():
            name = info.data_name
            self.add(PictureRef(label=f"{name}, test image {i}", data=info.data, index=i) for i in range(TEST_IMAGES))

    def choose(self, entry: Dropped | None) -> None:
        """Look at one of the images."""
        self.chosen = self.inquiry.front = entry
        self.look = None
        self._message = ""
        self.page.list.choose(entry)
        self.draw()
        self._ask_look()
        self._ask_path()

    def clear(self) -> None:
        self.docket.clear()
        self.page.list.model_.set_entries([])
        self.choose(None)
        self._message = ""
        self._say()

    def _choose_images(self) -> None:
        ask_which(self, "Open images", IMAGE_FILTER, self.accept_images, many=True)

    def _ask_look(self, again: bool = False) -> None:
        entry, step = self.chosen, dict(self.inquiry.wanted).get(self.detector[0])
        if not self.shown or entry is None or entry.error or step is None:
            self._looker.forget()
            return
        if again or self.look is None or (self.look.run, self.look.step) != (self.detector[0], step):
            self._looker.want(InspectImage(run=self.detector[0], step=step, picture=entry.picture))

    def _on_look(self, query: InspectImage, answer: ImageInspected) -> None:
        entry = self.chosen
        if entry is not None and query.picture is entry.picture and not entry.error and (query.run, query.step) in self.inquiry.wanted:
            self.look = answer
            self._draw_image()

    def _on_no_look(self, failure: QueryFailed) -> None:
        self._message = failure.message
        self._say()

    # ------------------------------------------------------------------------------------------------ scores

    def choose_detector(self, run: str, detector: str) -> None:
        """Look at another score; the list, the histograms and the close look follow it."""
        other_run = run != self.detector[0]
        self.detector = (run, detector)
        if other_run:
            self.look = None
            self._ask_look()
            self._ask_compare()
        self._ask_path()
        self.draw()

    def _on_calibrated(self) -> None:
        run, name = self.detector
        looks = dict(self.inquiry.wanted)
        if looks and (run not in looks or self.docket.detectors.get(run)):
            run = run if run in looks else next(iter(looks))
            infos = self.docket.detectors.get(run, ())
            if infos and not any(info.name == name and not info.missing for info in infos):
                name = next((info.name for info in infos if not info.missing), "")
            self.detector = (run, name)
        for key in [key for key in self.thresholds if key[0] not in self.docket.calibrated]:
            del self.thresholds[key]
        if self.look is not None and self.look.nearest_missing and self.docket.calibrated:
            self._ask_look(again=True)
        self._draw_soon()

    def _on_judged(self, entry: Dropped) -> None:
        self.page.list.model_.changed(entry)
        if entry is self.chosen and entry.error:
            self.look = None
            self._looker.forget()
        self._draw_soon()

    def _remedy(self, run: str, remedy: str) -> None:
        self.inquiry.build_background(run, remedy)

    def threshold(self) -> float:
        """Of the chosen score: where the user left it, else where a twentieth of the held-out images is lost."""
        if self.detector not in self.thresholds:
            known = self.docket.known(*self.detector)
            if not len(known):
                return float("nan")
            self.thresholds[self.detector] = separation.first_threshold(known)
        return self.thresholds[self.detector]

    def _threshold_moved(self, value: float) -> None:
        self.thresholds[self.detector] = value

    # ------------------------------------------------------------------------------------------------ comparing

    def _data_changed(self) -> None:
        state = self.context.state
        self.paradox.set_known(state.data, state.runs, state.methods)
        self._name_choices()

    def _name_choices(self) -> None:
        choices = [("vs dropped images", "")]
        choices += [(f"vs {info.name}", data) for data, info in self.context.state.data.items() if info.kind == "images"]
        if self.compare and self.compare not in {data for _, data in choices}:
            choices.append((f"vs {Path(self.compare).name}", self.compare))
        self.page.distribution.set_choices([*choices, ("vs other data…", OTHER)], self.compare)

    def _compare_chosen(self, data: str) -> None:
        if data == OTHER:
            self._name_choices()
            self.trigger("data.open")
        else:
            self.set_compare(data)

    def set_compare(self, data: str) -> None:
        """Compare held-out images with the test images of a data set, or with what was dropped."""
        self.compare = data
        self._name_choices()
        self._ask_compare()
        self.draw()

    def _ask_compare(self) -> None:
        run = self.detector[0]
        step = dict(self.inquiry.wanted).get(run)
        self.inquiry.set_compare((run, step, self.compare) if self.compare and step is not None else None)

    def _strange_picked(self, index: int) -> None:
        """One of the thumbnails: look at that image."""
        comparison = self.inquiry.comparison
        if self.compare and comparison is not None:
            place = int(comparison.indices[index])
            self.add([PictureRef(label=f"{self._data_name()}, test image {place}", data=self.compare, index=place)])
        elif not self.compare:
            entries, _ = self.docket.judged(*self.detector)
            if index < len(entries):
                self.choose(entries[index])

    def _data_name(self) -> str:
        info = self.context.state.data.get(self.compare)
        return info.name if info else Path(self.compare).name

    def strange(self, run: str, detector: str) -> np.ndarray:
        """Scores of the other side, by one detector."""
        if not self.compare:
            return self.docket.judged(run, detector)[1]
        comparison = self.inquiry.comparison
        if comparison is None or comparison.run != run:
            return np.zeros(0)
        return np.asarray(comparison.scores.get(detector, np.zeros(0)), np.float64)

    # ------------------------------------------------------------------------------------------------ the paradox

    def show_paradox(self) -> None:
        """Bring the experiment to the front."""
        self.stack.setCurrentWidget(self.paradox)
        self._data_changed()
        self.paradox.prefer(self.context.state.run)
        if "pane.LikelihoodPane" in self.context.actions:
            self.trigger("pane.LikelihoodPane")

    def _leave_paradox(self) -> None:
        if self.stack.currentWidget() is self.paradox:
            self.stack.setCurrentIndex(0)
            self.check_empty()

    def _train(self, method: str, data: str, minutes: float) -> None:
        bridge = self.context.bridge
        bridge.send(StartRun(job=bridge.new_job("train"), method=method, data=data, minutes=minutes))

    def _compare_run(self, run: str, data: str, classifier: str) -> None:
        self.compare = data
        if classifier and classifier not in self.others:
            self.others.append(classifier)
        self._leave_paradox()
        self.page.show_right(0)
        if run != self.context.state.run:
            self.context.state.set_run(run)
        self._name_choices()
        self._settle()

    # ------------------------------------------------------------------------------------------------ drawing

    def _draw_soon(self) -> None:
        if self.shown and not self._drawing.isActive():
            self._drawing.start()

    def draw(self) -> None:
        """All that depends on scores, once."""
        self._drawing.stop()
        if not self.shown:
            return
        self._draw_table()
        self._draw_image()
        self._draw_distribution()
        self._draw_path()
        self._say()

    def _draw_table(self) -> None:
        state, rows = self.context.state, []
        looks = self.inquiry.wanted or self.looks()
        at = f" AT STEP {count(looks[0][1])}" if len(looks) == 1 else ""
        self.page.table_heading.setText(f"SCORES{at}, AS P-VALUES AGAINST HELD-OUT IMAGES")
        comparing = bool(self.compare) or len(self.docket.judged(*self.detector)[0]) >= separation.FEW
        for run, step in looks:
            info = state.runs.get(run)
            if len(looks) > 1 and info is not None:
                rows.append(Row(run, f"{info.title or info.method} · {info.name} · step {count(step)}"))
            for detector in self.docket.detectors.get(run, ()):
                known, strange = self.docket.known(run, detector.name), self.strange(run, detector.name)
                area = separation.auroc(known, strange) if comparing and len(known) and len(strange) else None
                score = self.chosen.score(run, detector.name) if self.chosen is not None else None
                waiting = self.chosen is not None and not self.chosen.error and run not in self.chosen.scores
                building = (run, detector.remedy) in self.inquiry.building.values()
                rows.append(Row(run, detector.title, detector, score, area, waiting, building))
        self.page.table.set_rows(rows, self.detector, comparing)
        info = self.docket.info(*self.detector)
        score = self.chosen.score(*self.detector) if self.chosen is not None else None
        said = f"{value_text(info, score.value)}. " if info is not None and score is not None and self.page.table.comparing else ""
        self.page.about_line.set_text(f"{said}{info.missing or info.help} {info.source}" if info else "")
        model = self.page.list.model_
        if (model.run, model.detector) != self.detector:
            model.run, model.detector = self.detector
        model.all_changed()
        self.page.say_how_many(len(self.docket.entries))

    def _draw_image(self) -> None:
        entry, look = self.chosen, self.look
        self.page.drop_card.show_entry(entry)
        if entry is None:
            hint = "Its bits per pixel appear here"
        elif entry.error:
            hint = "No bits to show"
        else:
            hint = "This method has no bits per pixel" if look is not None else "…"
        self.page.drop_card.show_look(look, hint)
        self.page.drop_card.size_line.set_text(size_text(entry.png_bytes if entry is not None else 0, look))
        self.page.closer.show_look(look, entry)

    def _draw_distribution(self) -> None:
        if self.page.corrupting:
            return
        run, name = self.detector
        info, known = self.docket.info(run, name), self.docket.known(run, name)
        if info is None or not len(known):
            self.page.distribution.show_sides(None, float("nan"), "The scores of held-out images appear here.")
            return
        calibrated, comparison = self.docket.calibrated[run], self.inquiry.comparison
        strange = self.strange(run, name)
        images, labels, strange_name, mark = [], [], "", None
        if self.compare:
            strange_name = f"{self._data_name()} · {count(len(strange))} test images"
            if comparison is not None and len(strange):
                images = list(comparison.images)
                labels = [f"{self._data_name()}, test image {place}" for place in comparison.indices]
        else:
            entries = self.docket.judged(run, name)[0]
            images = [entry.seen[run] for entry in entries if run in entry.seen]
            labels = [entry.label for entry in entries]
            strange_name = f"dropped · {count(len(strange))} image{'s' if len(strange) != 1 else ''}"
        score = self.chosen.score(run, name) if self.chosen is not None else None
        if score is not None:
            mark = score.score
        sides = Sides(
            known, strange, f"{calibrated.data} · {count(len(known))} held-out images", strange_name, axis_name(info), images, labels
        )
        self.page.distribution.show_sides(sides, self.threshold())
        self.page.distribution.chart.set_mark(mark)

    def _ask_path(self) -> None:
        if not self.shown or not self.page.corrupting:
            return
        entry, run = self.chosen, self.detector[0]
        step = dict(self.inquiry.wanted).get(run)
        wanted = None
        if entry is not None and not entry.error and step is not None:
            wanted = PathWanted(run, step, entry, self.page.corruption.kind.currentText())
        self.inquiry.set_path(wanted)

    def _draw_path(self) -> None:
        if not self.shown or not self.page.corrupting:
            return
        event, paths = self.inquiry.path, []
        run, name = self.detector
        known = self.docket.known(run, name)
        false = separation.rates(known, np.zeros(0), self.threshold())[1] if len(known) else separation.KNOWN_LOST
        # the p-value of a score right at the threshold, and half a held-out image more: what reaches it lies below
        level = (1.5 + false * len(known)) / (len(known) + 1) if len(known) else separation.KNOWN_LOST
        if event is not None:
            for detector in self.docket.detectors.get(event.run, ()):
                scores, held = event.scores.get(detector.name), self.docket.known(event.run, detector.name)
                if scores is not None and len(held):
                    chosen = (event.run, detector.name) == self.detector
                    paths.append(ScorePath(detector.title, event.strengths, separation.p_values(held, scores), chosen))
        hint = "Drop an image or use test images: every score’s path appears here as the image is corrupted."
        self.page.corruption.show_event(event, paths, level, hint if self.chosen is None else "Corrupting it…")

    def tell(self, text: str, level: str = "") -> None:
        """Say something once under the picture."""
        self.page.status.set_text(text, level)

    def _say(self) -> None:
        """The line under the picture: what is wrong with this image, else what is going on."""
        entry = self.chosen
        if entry is not None and entry.error:
            self.page.status.set_text(entry.error if entry.label in entry.error else f"{entry.label}: {entry.error}", "warning")
        elif self._message:
            self.page.status.set_text(self._message, "bad")
        elif self.inquiry.line or self.docket.entries or not self.docket.calibrated:
            self.page.status.set_text(self.inquiry.line, self.inquiry.level)
        else:
            self.page.status.set_text("Drop an image here, or choose a data set to compare with at the right.")
        self.page.stop_button.setVisible(bool(self.inquiry.jobs))

    def _restyle(self) -> None:
        c = restyle(self, self.context.state.theme)
        self.page.set_colors(c)
        self.paradox.set_colors(c)


def axis_name(info: DetectorInfo) -> str:
    """The compared score with its unit."""
    unit = info.score_unit or info.unit
    return f"score by {info.title}, {unit}" if unit else f"score by {info.title}, no unit"
