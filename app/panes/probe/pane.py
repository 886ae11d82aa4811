"""What are these features worth? Linear probe and kNN of a checkpoint beside a random encoder, raw pixels and supervised runs.

The pane asks when told to and keeps what came. Figures are in `app.panes.probe.results`, the parts in `app.panes.probe.page`.
"""

from __future__ import annotations

import math
import os
from functools import partial
from typing import Any

from PySide6.QtCore import QTimer

from app.panes import Context
from app.panes.probe.bars import Bars
from app.panes.probe.lines import Points
from app.panes.probe.page import ProbePage
from app.panes.probe.results import (
    COLUMNS,
    NAMES,
    OWN,
    PIXELS,
    RANDOM,
    Figures,
    Question,
    Results,
    compared,
    find_fine_tuner,
    measured,
    neighbours,
    not_measured,
    supervised,
    table,
)
from app.shell import theme
from app.shell.formatting import count, number
from app.shell.run_pane import RunPane
from app.widgets.export import ask_where, copy_image, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from app.widgets.parts import set_heading
from engine.messages import Ended, Probe, ProbeFitting, ProbeMeasured, ProbeSubject, Progress, StartRun, StopJob

DRAW_MS = 60  # at most so often while figures come in
MEASURED_NOW, MEASURE_AGAIN = "measuring step {}", "measure again for step {}"
SHARES = (0.01, 0.1)  # of the labels, beside all of them
TUNING_SHARE = 0.01
TUNING_STEPS = 600
WHOLE = {of: ProbeSubject(of) for of in NAMES}


class ProbePane(RunPane):
    title = "Probe"
    order = 47
    needs = ("encode",)
    invites = "Choose a run at the left, or train one: whatever has an encoder can be asked what its features are worth."
    refused = "{title} has no encoder", "There are no features to measure. Choose a run of a method that has one."
    text_refused = "Features of images are measured here. Choose a run that was trained on images."
    about = "What the features are worth: a linear probe and nearest neighbours, beside a random encoder and raw pixels."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.job = ""  # what is under way
        self.asked: Probe | None = None
        self.results = Results()
        self.fits: dict[ProbeSubject, ProbeFitting] = {}  # of the last job
        self.fitting: ProbeSubject | None = None  # what is fitted now
        self._note, self._level = "", ""  # what is going on, or how it ended
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(DRAW_MS)
        self._drawing.timeout.connect(self.draw)
        self._build()
        state, bridge = context.state, context.bridge
        bridge.on(ProbeMeasured, self._on_measured)
        bridge.on(ProbeFitting, self._on_fitting)
        bridge.on(Progress, self._on_progress)
        bridge.on(Ended, self._on_ended)
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._draw_soon)
        state.runs_changed.connect(self._runs_changed)
        state.run_replaced.connect(self._run_replaced)
        state.run_gone.connect(self.results.forget)
        state.methods_changed.connect(self._runs_changed)
        state.data_changed.connect(self._name_data)
        state.theme_changed.connect(self._restyle)
        self._restyle()
        self._run_changed()

    def _build(self) -> None:
        self.page = page = ProbePage()
        self.hold(page)
        for made, run in (
            (page.measure_button, self.measure),
            (page.stop_button, self.stop),
            (page.errors_button, partial(self._show_errors, "probe")),
            (page.knn_errors_button, partial(self._show_errors, "knn")),
            (page.tune_button, partial(self.fine_tune, "run")),
            (page.scratch_button, partial(self.fine_tune, "scratch")),
        ):
            made.clicked.connect(partial(self._run_action, run))
        page.data.activated.connect(self._draw_soon)
        page.limit.activated.connect(self._draw_soon)
        for box in (page.blocks, page.labels):
            box.toggled.connect(self._draw_soon)
        page.split.activated.connect(self._draw_soon)
        charts = {"the bars": page.bars, "the blocks": page.by_block, "the labels": page.by_labels, "the fit": page.by_iteration,
                  "the steps": page.by_step}  # fmt: skip
        for name, chart in charts.items():
            chart.saved_asked.connect(partial(self._ask_chart, chart))
            menu = page.export_menu.addMenu(f"Picture of {name}")
            menu.addAction("Copy").triggered.connect(partial(self._run_action, partial(self._copy, chart)))
            menu.addAction("Save as PNG, SVG or PDF…").triggered.connect(partial(self._run_action, partial(self._ask_chart, chart, "png")))
        page.export_menu.addAction("Save all figures as CSV…").triggered.connect(partial(self._run_action, self._ask_figures))

    def _run_action(self, run: Any, _checked: bool = False) -> None:
        run()

    # ------------------------------------------------------------------------------------------------ what is looked at

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.draw()

    def deactivate(self) -> None:
        """What was asked for goes on; it is drawn when the pane is seen again."""
        self.shown = False
        self._drawing.stop()

    def closeEvent(self, event: Any) -> None:
        self._drawing.stop()
        self.stop()
        super().closeEvent(event)

    def _run_changed(self) -> None:
        self._note, self._level = ("", "") if not self.job else (self._note, self._level)
        self.page.train_line.set_text("")
        self._name_data()
        self.check_empty()
        self._draw_soon()

    def _runs_changed(self) -> None:
        self.check_empty()
        self._draw_soon()

    def _run_replaced(self, run: str) -> None:
        self.results.forget(run)
        self.fits = {subject: event for subject, event in self.fits.items() if event.run != run}
        self._draw_soon()

    def _name_data(self) -> None:
        """The run's own data first, then every other set of images."""
        box, info, state = self.page.data, self.context.state.run_info, self.context.state
        chosen = box.currentData()
        box.clear()
        box.addItem(f"its own: {info.data_name}" if info else "its own", "")
        for data, one in state.data.items():
            if one.kind == "images" and (info is None or data != info.data):
                box.addItem(state.data_title(data), data)
        box.setCurrentIndex(max(0, box.findData(chosen)))

    def has_blocks(self) -> bool:
        """Whether the run's encoder can be asked after each of its blocks; True where that is not known yet."""
        method = self.context.state.method_info
        return method is None or "blocks" in method.capabilities

    def question(self) -> Question | None:
        state = self.context.state
        if state.run is None:
            return None
        return state.run, self.page.data.currentData() or "", self.page.limit.currentData(), self.page.split.currentData()

    # ------------------------------------------------------------------------------------------------ measuring

    def measure(self) -> None:
        """Measure the checkpoint at the time cursor."""
        question, step = self.question(), self.context.state.step
        if question is None or step is None or not self.able():
            return
        self.stop()
        run, data, limit, split = question
        page, bridge = self.page, self.context.bridge
        self.job = bridge.new_job("probe")
        shares = SHARES if page.labels.isChecked() else ()
        blocks = page.blocks.isChecked() and self.has_blocks()
        self.asked = Probe(
            job=self.job, channel="probe", run=run, step=step, data=data, limit=limit, split=split, blocks=blocks,
            shares=shares,
        )  # fmt: skip
        self.fits, self.fitting = {}, None
        self._say(f"Measuring step {count(step)}…")
        bridge.send(self.asked)
        self.draw()

    def stop(self) -> None:
        if self.job:
            self.context.bridge.send(StopJob(self.job))
            self.job, self.fitting = "", None
            self._say("Stopped; the figures that came stay.")
            self._draw_soon()

    def _on_measured(self, event: ProbeMeasured) -> None:
        if event.job == self.job:
            self.results.add(event)
            self._draw_soon()

    def _on_fitting(self, event: ProbeFitting) -> None:
        if event.job == self.job:
            self.fits[event.subject] = event
            self.fitting = event.subject
            self._draw_soon()

    def _on_progress(self, event: Progress) -> None:
        if event.job == self.job:
            parts = f" · figure {count(event.done + 1)} of {count(event.total)}" if event.total else ""
            self._say(f"{event.note or 'Reading the data'}{parts}")

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job:
            return
        self.job, self.fitting = "", None
        self._say("" if event.outcome == "ok" else event.message, "bad" if event.outcome == "failed" else "")
        self._draw_soon()

    def _show_errors(self, through: str) -> None:
        """Have the images shown that the linear probe ("probe") or the vote of neighbours ("knn") gets wrong, of the same split."""
        self.context.state.handed_over.emit("errors", (through, self.page.split.currentData()))

    # ------------------------------------------------------------------------------------------------ fine-tuning

    def fine_tune(self, start: str) -> None:
        """Queue a training with few labels that begins with this run's encoder, or with random weights in the same network."""
        state, bridge = self.context.state, self.context.bridge
        info, method = state.run_info, find_fine_tuner(state.methods)
        if info is None or method is None:
            return
        encoder = info.name if os.path.dirname(info.run) == state.root else info.run
        config: dict[str, object] = {"encoder": encoder, "start": start, "label_share": TUNING_SHARE}
        bridge.send(StartRun(bridge.new_job("train"), method.name, info.data, config, seed=info.seed, steps=TUNING_STEPS))
        words = "Fine-tuning" if start == "run" else "The training from scratch"
        self.page.train_line.set_text(f"{words} is queued; it appears in the list of runs, and above when it is done.")

    # ------------------------------------------------------------------------------------------------ drawing

    def _draw_soon(self, *_: object) -> None:
        if self.shown and not self._drawing.isActive():
            self._drawing.start()

    def draw(self) -> None:
        self._drawing.stop()
        if not self.shown:
            return
        question, page = self.question(), self.page
        found = None if question is None else self.results.shown(question, self.context.state.step)
        figures: Figures = {} if found is None else found[1]
        page.show_offers(self.has_blocks(), not page.data.currentData())
        self._draw_bars(figures)
        self._draw_blocks(figures)
        self._draw_labels(figures)
        self._draw_fit(question)
        self._draw_steps(question)
        at = "" if found is None else f" at step {count(found[0])}"
        set_heading(page.bars_heading, f"What these features are worth{at}")
        for made in (page.tune_button, page.scratch_button):
            made.setEnabled(find_fine_tuner(self.context.state.methods) is not None)
        self._draw_status()

    def _draw_bars(self, figures: Figures) -> None:
        bars = []
        for of in (OWN, RANDOM, PIXELS):
            event = figures.get(WHOLE[of])
            if event is not None:
                linear, error = measured(event, "linear") or (None, math.nan)
                bars.append(Bars(f"{NAMES[of]}, {count(event.features)}-d", linear, event.knn, error, event.knn_se, note=event.note))
            elif figures and self.job:
                bars.append(Bars(NAMES[of], None))
        state = self.context.state
        if figures and state.run_info is not None and not self.page.data.currentData():
            bars += [
                Bars(one.name, one.right, supervised=True) for one in supervised(state.runs, state.run_info.run, state.run_info.data)[:4]
            ]
        classes = next((event.classes for event in figures.values()), 0)
        hint = "Measure: how often a linear layer and a vote of neighbours find the class, given nothing but these features."
        hint = hint if not self.job else "The first figures are on their way…"
        self.page.bars.set_bars(bars, 1 / classes if classes else None, hint, neighbours(figures))

    def _draw_blocks(self, figures: Figures) -> None:
        blocks = list(dict.fromkeys(s.block for s in figures if s.block))
        lines = []
        for of, measure, look, dashed in ((OWN, "linear", 0, False), (OWN, "knn", 1, False), (RANDOM, "linear", 3, True)):
            known = [(i, figures.get(ProbeSubject(of, block))) for i, block in enumerate(blocks)]
            points = [(float(i), *one) for i, e in known if e is not None and (one := measured(e, measure)) is not None]
            lines.append(_points(f"{'kNN' if measure == 'knn' else measure}{', random' * (of == RANDOM)}", points, look, dashed))
        self.page.by_block.set_lines(lines, blocks)

    def _draw_labels(self, figures: Figures) -> None:
        shares = sorted({s.share for s in figures if not s.block})
        names, lines = [], []
        if len(shares) > 1:
            for share in shares:
                event = next(e for s, e in figures.items() if s.share == share and not s.block)
                percent = 100 * event.n_train / max(event.n_split, event.n_train)
                names.append(f"{number(percent, 0 if percent >= 0.95 else 1, '%')} ({count(event.n_train)})")
            for of, look in ((OWN, 0), (RANDOM, 3), (PIXELS, 2)):
                known = [(i, figures.get(ProbeSubject(of, share=share))) for i, share in enumerate(shares)]
                points = [(float(i), *one) for i, e in known if e is not None and (one := measured(e, "linear")) is not None]
                lines.append(_points(NAMES[of].split()[-1 if of != RANDOM else 0], points, look, of != OWN))
        self.page.by_labels.set_lines(lines, names)

    def _draw_fit(self, question: Question | None) -> None:
        """What is fitted now; afterwards the fit of the features themselves."""
        page = self.page
        event = self.fits.get(self.fitting or WHOLE[OWN])
        if event is None or question is None or event.run != question[0]:
            set_heading(page.fit_heading, "Linear probe: loss")
            page.by_iteration.set_lines([])
            return
        subject = event.subject
        words = NAMES[subject.of] + (f", {subject.block}" if subject.block else "")
        found = self.results.shown(question, self.context.state.step)
        words += f", step {count(event.step)}" if found is None or found[0] != event.step else ""
        right = number(100 * float(event.right[-1]), 1, "%")
        set_heading(page.fit_heading, "Linear probe: ", f"{words} · {right} right")
        losses = tuple(map(float, event.losses))
        page.by_iteration.set_lines([Points("mean loss in nat, on training images", tuple(map(float, range(len(losses)))), losses)])

    def _draw_steps(self, question: Question | None) -> None:
        steps = {} if question is None else self.results.steps(question)
        lines = []
        for of, measure, look in ((OWN, "linear", 0), (OWN, "knn", 1)):
            known = [(step, figures.get(WHOLE[of])) for step, figures in steps.items()]
            points = [(float(step), *one) for step, e in known if e is not None and (one := measured(e, measure)) is not None]
            lines.append(_points("kNN" if measure == "knn" else measure, points, look))
        self.page.by_step.set_lines(lines)

    def _draw_status(self) -> None:
        """What is going on; else what is shown. Beside it, of which step that is, and what becomes of the one that the window looks at."""
        page, question, step = self.page, self.question(), self.context.state.step
        page.stop_button.setVisible(bool(self.job))
        found = None if question is None else self.results.shown(question, step)
        asked = None if not self.job or self.asked is None else (self.asked.run, self.asked.step)
        then, level = (MEASURED_NOW, "") if asked == (self.context.state.run, step) else (MEASURE_AGAIN, "warning")
        page.shown_step.show_step(None if found is None else found[0], step, then, level)
        if self.job and self.asked is not None:
            info = self.context.state.runs.get(self.asked.run)
            other = f"{info.name}: " if info is not None and self.asked.run != self.context.state.run else ""
            page.status.set_text(f"{other}{self._note}")
        elif self._note:
            page.status.set_text(self._note, self._level)
        elif found is None:
            page.status.set_text(
                "Nothing measured here yet. The encoder is frozen; a linear layer and 200 nearest neighbours then say "
                "how much its features know of the classes."
            )
        else:
            page.status.set_text(self._in_words(found[1]))

    def _in_words(self, figures: Figures) -> str:
        event = next(iter(figures.values()))
        missing = not_measured(figures, SHARES) if self.page.labels.isChecked() else ""
        return self._gains(figures) + compared(event) + missing

    @staticmethod
    def _gains(figures: Figures) -> str:
        """How far both figures are above or below the baselines, as a sentence; empty where there are none."""
        own = figures.get(WHOLE[OWN])
        others = [(NAMES[of], figures[WHOLE[of]]) for of in (RANDOM, PIXELS) if own is not None and WHOLE[of] in figures]
        told = []
        for measure, name in (("linear", "Linear probe"), ("knn", "neighbours’ vote")):
            mine = getattr(own, measure, None)
            known = [(of, right) for of, other in others if (right := getattr(other, measure)) is not None]
            gains = [(of, 100 * (mine - right)) for of, right in known if mine is not None]
            parts = [f"{number(abs(gain), 1)} points {'above' if gain >= 0 else 'below'} the {of}" for of, gain in gains]
            if parts:
                told.append(f"{name} {' and '.join(parts)}")
        return f"{'; '.join(told)}. " if told else ""

    def _say(self, text: str, level: str = "") -> None:
        self._note, self._level = text, level
        if self.shown:
            self._draw_status()

    def _restyle(self) -> None:
        self.page.set_colors(theme.colors(self.context.state.theme))

    # ------------------------------------------------------------------------------------------------ out of the window

    def about_file(self) -> dict[str, object]:
        """What an exported file says about itself."""
        info, question = self.context.state.run_info, self.question()
        found = None if question is None else self.results.shown(question, self.context.state.step)
        event = next(iter(found[1].values())) if found else None
        return {
            "Software": "Priorama",
            "run": info.name if info else "",
            "step": found[0] if found else "",
            "compared": compared(event) if event else "",
            "kNN": f"k = {neighbours(found[1] if found else {})}, weights exp(cosine / 0.1)",
        }

    def save_figures(self, path: str) -> None:
        """Every figure of the chosen run, data and number of images, of all steps, as CSV."""
        question = self.question()
        rows = [] if question is None else table(self.results.steps(question))
        if rows:
            self._write(path, csv_text(self.about_file(), COLUMNS, rows))
        else:
            self._say("Nothing to save yet: measure first.", "bad")

    def save_chart(self, chart: Any, kind: str, path: str) -> None:
        """One of the charts as "png", or its points as "csv"; the bars' points are all figures."""
        if kind == "png":
            self._write(path, chart.figure().contents(path, self.about_file()))
        elif chart is self.page.bars:
            self.save_figures(path)
        else:
            self._write(path, csv_text(self.about_file(), *chart.table()))

    def _write(self, path: str, data: bytes | str) -> None:
        self._say(*save_file(path, data))

    def _copy(self, chart: Any) -> None:
        copy_image(chart.figure().image())
        self._say("The chart is on the clipboard.")

    def _suggested(self, what: str) -> str:
        info = self.context.state.run_info
        return file_name(info.name if info else "probe", what, f"step-{self.context.state.step}")

    def _ask_chart(self, chart: Any, kind: str) -> None:
        save, also = partial(self.save_chart, chart, kind), DRAWINGS if kind == "png" else ()
        ask_where(self, f"Save the chart as {kind.upper()}", self._suggested("probe"), kind, save, also)

    def _ask_figures(self) -> None:
        ask_where(self, "Save all figures as CSV", self._suggested("probe"), "csv", self.save_figures)


def _points(name: str, points: list[tuple[float, float, float]], look: int, dashed: bool = False) -> Points:
    """A line of (x, share of right answers, its standard error)."""
    xs, ys = tuple(x for x, _, _ in points), tuple(y for _, y, _ in points)
    errors = tuple(error for _, _, error in points)
    return Points(name, xs, ys, look, errors if all(map(math.isfinite, errors)) else (), dashed)
