"""Bayes' rule by hand: log p(x|y) of a picture for every class, a prior that can be dragged, and a classifier's answer beside.

The engine is asked for log p(x|y) once per picture, and once for validation images; what follows from another prior is found here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QVBoxLayout

from app.panes import Context
from app.panes.bayes.chart import HEAD, BayesBars
from app.panes.bayes.comparison_card import ComparisonCard
from app.panes.bayes.validation import ComparedSteps, ValidationImages
from app.shell.formatting import count, number
from app.shell.latest_query import LatestQuery
from app.shell.pane_availability import Unavailable
from app.shell.plain_text import set_tip
from app.shell.run_pane import RunPane
from app.shell.theme import colors
from app.widgets.export import IMAGE_FILTER, ask_where, ask_which, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from app.widgets.image_view import ImageView
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card, Elided, TextLines, button, clear, heading, muted, set_heading
from app.widgets.scrolled_column import ScrolledColumn
from engine.common.bayes_rule import posterior, with_share
from engine.messages import AskBayes, BayesAnswered, PictureRef, QueryFailed, RunInfo


class BayesPane(RunPane):
    title = "Bayes"
    order = 72
    needs = ("log_prob", "conditional")
    invites = "Choose a run at the left that learned p(x|y), or train one: a conditional VAE, or discriminant analysis."
    refused = (
        "{title} has no density p(x|y)",
        "Choose a run of a conditional VAE, discriminant analysis, or a density given y.",
    )
    text_refused = "Bayes’ rule is shown for images. Choose a run that was trained on images."
    about = "Bayes’ rule: p(x|y) for each class, a prior to drag, the posterior beside a classifier’s answer."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.picture = PictureRef(label="validation image 0", index=0)
        self.answer: BayesAnswered | None = None
        self.fault = ""  # why there is no answer about the last picture or step
        self.prior = np.ones(0)
        self.sliders: list[LatentSlider] = []
        self._good = self.picture  # the one that the answer is about
        self._query: AskBayes | None = None  # the last one
        self._classes: tuple[str, ...] = ()  # that the prior is over
        self.asking = LatestQuery(context.bridge, "bayes", self._answered, self._failed)
        self.validation = ValidationImages(context.bridge, self)
        self._build()
        self.validation.changed.connect(self.draw)
        self.validation.said.connect(self._say)
        state = context.state
        for signal, slot in (
            (state.run_changed, self._run_changed), (state.step_changed, self._changed), (state.runs_changed, self._changed),
            (state.theme_changed, self._restyle),
        ):  # fmt: skip
            signal.connect(slot)
        self._restyle()
        self.check_empty()

    def _build(self) -> None:
        page = ScrolledColumn()
        column, row = QVBoxLayout(page.contents), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self.index = QSpinBox()
        self.index.setRange(-1, 999_999)
        self.index.setSpecialValueText("–")  # something else is seen
        self.index.setAccessibleName("Validation image")
        self.index.valueChanged.connect(self.choose_index)
        row.addWidget(muted("Validation image", wrap=False))
        row.addWidget(self.index)
        ask = partial(ask_which, self, "Open an image", IMAGE_FILTER, self.accept_images)
        row.addWidget(button("Open image…", ask, "Any picture, also one of no class."))
        row.addWidget(button("Noise", self.use_noise, "An image of no class: every pixel drawn uniformly."))
        self.source = Elided("")  # what is seen where it is no validation image
        row.addWidget(self.source, 1)
        column.addLayout(row)
        top, self.seen = QHBoxLayout(), ImageView("What the network sees", "Drop a picture here")
        self.seen.setFixedSize(84, 84)
        self.status = TextLines(3, "What Bayes’ rule says of the picture")
        self.busy = TextLines(1, "What is being done, or went wrong", small=True)
        top.setSpacing(16)
        top.addWidget(self.seen, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.addWidget(self.status)
        words.addWidget(self.busy)
        words.addStretch(1)
        top.addLayout(words, 1)
        column.addLayout(top)
        row = QHBoxLayout()
        row.addWidget(heading("Each class"))
        row.addStretch(1)
        row.addWidget(button("Uniform prior", partial(self.set_prior, None), "All classes equally likely."))
        self.data_prior = button("Prior of the data", self.use_shares, "The classes’ shares of the training images.")
        row.addWidget(self.data_prior)
        column.addLayout(row)
        card, self.bars, beside = Card(10, 0), BayesBars(), QHBoxLayout()
        self.bars.saved_asked.connect(self._ask_chart)
        self.prior_heading = muted("prior p(y): drag it", wrap=False)
        self.prior_heading.setFixedHeight(HEAD)
        self.priors, sliders = QVBoxLayout(), QVBoxLayout()
        self.priors.setSpacing(0)
        sliders.setSpacing(0)
        sliders.addWidget(self.prior_heading)
        sliders.addLayout(self.priors)
        sliders.addStretch(1)
        beside.setSpacing(16)
        beside.addWidget(self.bars, 3)
        beside.addLayout(sliders, 1)
        card.inside.addLayout(beside)
        column.addWidget(card)
        self.compared_heading = heading("On validation images")
        column.addWidget(self.compared_heading)
        self.comparison = ComparisonCard()
        column.addWidget(self.comparison)
        column.addStretch(1)
        self.hold(page, 16)

    # ------------------------------------------------------------------------------------------------ what is looked at

    def why_not(self, info: RunInfo | None) -> Unavailable | None:
        if (why := super().why_not(info)) is not None or info is None or info.config.get("conditional", True):
            return why
        return Unavailable("Trained without classes", "Its density is p(x). Train it again with “conditional”, or choose another run.")

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.validation.set_active(True)
        self._ask()

    def deactivate(self) -> None:
        self.shown, self._query = False, None
        self.asking.forget()
        self.validation.set_active(False)

    def closeEvent(self, event: Any) -> None:
        self.asking.forget()
        self.validation.set_active(False)
        super().closeEvent(event)

    def _run_changed(self) -> None:
        """Nothing that is shown is about this run."""
        self.answer, self.fault, self._query = None, "", None
        self.bars.clear()
        self.seen.set_pixels(None)
        self.status.set_text("")
        self._changed()

    def _changed(self) -> None:
        self.check_empty()
        self._ask()

    def _beside(self) -> str:
        """A classifier's run on the same data; the one that did best."""
        state, info = self.context.state, self.context.state.run_info
        same = [one for one in state.runs.values() if info and one.data == info.data and "classify" in one.capabilities and not one.fault]
        same = [one for one in same if one.run != state.run and state.step_of(one.run) is not None]
        return max(same, key=lambda one: one.best.value if one.best and one.best.term == "accuracy" else -1).run if same else ""

    def _ask(self) -> None:
        state = self.context.state
        if not self.able() or state.run is None or state.step is None:
            self.validation.want(None)
            return
        beside = self._beside()
        wanted = ComparedSteps(state.run, state.step, beside, state.step_of(beside) if beside else None)
        self.validation.want(wanted, by_hand=state.cursor is not None)
        query = AskBayes(**wanted._asdict(), picture=self.picture)
        if self.shown and not self._same(query, self._query):
            self._query = query
            self.asking.want(query)
        self._say()

    @staticmethod
    def _same(one: AskBayes, other: AskBayes | None) -> bool:
        names = ("run", "step", "beside", "beside_step", "picture")
        return other is not None and all(getattr(one, name) == getattr(other, name) for name in names)

    def accept_image(self, path: str) -> bool:
        if not self.able():
            return False
        self._look_at(PictureRef(label=Path(path).name, path=path))
        return True

    def choose_index(self, index: int) -> None:
        if index < 0:  # stepped down from the first
            self.index.setValue(0)
        else:
            self._look_at(PictureRef(label=f"validation image {index}", index=index))

    def use_noise(self) -> None:
        info = self.context.state.run_info
        if info is not None and len(info.shape) == 3:
            channels, height, width = info.shape
            size = (height, width) if channels == 1 else (height, width, channels)
            self._look_at(PictureRef(label="noise", image=np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)))

    def _look_at(self, picture: PictureRef) -> None:
        self.picture = picture
        self._ask()

    def _answered(self, query: AskBayes, answer: BayesAnswered) -> None:
        state = self.context.state
        if (query.run, query.step) != (state.run, state.step) or query.picture is not self.picture:
            self._say()
            return
        self.answer, self.fault = answer, ""
        if answer.classes != self._classes:
            self._make_sliders(answer.classes)
        self._good = self.picture
        self.draw()

    def _failed(self, failure: QueryFailed) -> None:
        """What was seen before stays, and that is said."""
        self.fault = failure.message
        if self.answer is not None and self._good is not self.picture:
            self.fault += f" Still shown: {self._good.label}."
            self.picture = self._good
            self._query = None if self._query is None else replace(self._query, picture=self._good)
        self._say()

    def _say(self) -> None:
        """What is seen, what is under way, what went wrong, or which step is still seen."""
        self._name_source()
        answer, step = self.answer, self.context.state.step
        waiting = self.asking.in_flight is not None
        if self.fault and not waiting:
            self.busy.set_text(self.fault, "bad")
        elif waiting and (answer is None or self._good is not self.picture):
            self.busy.set_text(f"Finding log p(x|y) of {self.picture.label} for every class…")
        elif answer is not None and step is not None and answer.step != step:
            self.busy.set_text(f"Still step {count(answer.step)}; step {count(step)} is being loaded.")
        else:
            self.busy.set_text(self.validation.line, self.validation.level)

    def _name_source(self) -> None:
        """The number of a validation image in its box, or the name of what is seen in its place."""
        index = self.picture.index
        with QSignalBlocker(self.index):
            self.index.setValue(-1 if index is None else index)
        self.source.setText("" if index is not None else f"Seen: {self.picture.label}")
        set_tip(self.source, "" if index is not None else self.picture.path or self.picture.label)

    # ------------------------------------------------------------------------------------------------ the prior

    def _make_sliders(self, classes: tuple[str, ...]) -> None:
        clear(self.priors)
        self._classes, self.prior = classes, np.full(len(classes), 1 / len(classes))
        self.sliders = []
        for label, name in enumerate(classes):
            slider = LatentSlider(0.0, 1.0, label_width=10, value_width=44)
            slider.unit, slider.with_sign, slider.digits = "", False, 3
            slider.moved.connect(partial(self._moved, label))
            slider.reset_asked.connect(partial(self.set_prior, None))
            self.priors.addWidget(slider)
            self.sliders.append(slider)
            slider.describe("", "", tip=f"p(y = {name}) before the picture is seen; the other classes share the rest.")
            slider.setAccessibleName(f"Prior of {name}")
        self._restyle()

    def _moved(self, label: int, share: float) -> None:
        self.set_prior(with_share(self.prior, label, share))

    def use_shares(self) -> None:
        if self.answer is not None and self.answer.shares is not None:
            self.set_prior(self.answer.shares)

    def set_prior(self, prior: np.ndarray | None) -> None:
        """p(y) [K]; None: uniform."""
        self.prior = np.full(len(self.prior), 1 / max(len(self.prior), 1)) if prior is None else np.asarray(prior, np.float64)
        self.draw()

    # ------------------------------------------------------------------------------------------------ drawing

    def draw(self) -> None:
        answer = self.answer
        if answer is not None:
            for slider, share in zip(self.sliders, self.prior, strict=True):
                slider.set_exact(float(share))
            self.data_prior.setEnabled(answer.shares is not None)
            rule = posterior(answer.given, self.prior)
            p = np.exp(rule.log_posterior)
            self.bars.set_answer(answer.classes, answer.given, p, answer.classifier, answer.errors)
            self.seen.set_pixels(answer.seen)
            self.status.set_text(self._in_words(answer, p, float(rule.log_marginal)), "warning" if answer.beside_fault else "")
        self._draw_comparison()
        self._say()

    def _draw_comparison(self) -> None:
        """Both on validation images, under the prior as it is."""
        found, asked, answer = self.validation.found, self.validation.found_for, self.answer
        if found is None or asked is None or found.told.given.shape[1] != len(self.prior):
            set_heading(self.compared_heading, "On validation images")
            self.comparison.clear_row(0)
            self.comparison.clear_row(1)
            return
        images, total = found.told.given.shape[0], found.told.total
        shown = f"{count(images)} of {count(total)}" if images < total else count(images)
        step = f" · step {count(asked.step)}" if asked.step != self.context.state.step else ""
        set_heading(self.compared_heading, f"On {shown} validation images{step}")
        marginal = None if answer is None else found.marginal(answer, self.prior)
        score = "" if answer is None or marginal is None else f"log p(x) {self._sign(answer)} {number(marginal.score, 1, 'nat')}"
        self.comparison.set_row(0, found.bayes(self.prior), marginal, score)
        if found.classifier is None:
            self.comparison.clear_row(1, "Train a classifier on the same data to see it beside Bayes’ rule.")
            return
        sure = None if answer is None else found.confidence(answer)
        words = "" if sure is None else f"confidence {number(100 * sure.score, 1, '%')}"
        self.comparison.set_row(1, found.classifier, sure, words)

    @staticmethod
    def _sign(answer: BayesAnswered) -> str:
        return "≥" if answer.density == "bound" else "="

    def _in_words(self, answer: BayesAnswered, p: np.ndarray, log_p: float) -> str:
        best, bits = int(p.argmax()), answer.bits[0] - answer.bits[1] * log_p
        name = answer.label if self._good.path else answer.label[:1].upper() + answer.label[1:]
        said = f"{name}{f', class {answer.true_class}' if answer.true_class else ''}. "
        said += f"Bayes’ rule: {answer.classes[best]}, {number(100 * float(p[best]), 1, '%')}. "
        if answer.classifier is not None:
            other = int(answer.classifier.argmax())
            said += f"The classifier: {answer.classes[other]}, {number(100 * float(answer.classifier[other]), 1, '%')}. "
        off = "" if answer.errors is None else f" ± {number(float((p * answer.errors).sum()), 1)}"
        said += f"log p(x) {self._sign(answer)} {number(log_p, 1)}{off} nat ({number(bits, 2, 'bits/dim')}). "
        said += "A posterior adds up to one over the known classes, also for a picture of none; only p(x) can tell."
        return " ".join((said, answer.beside_fault, *answer.notes)).strip()

    def _restyle(self) -> None:
        c = colors(self.context.state.theme)
        for part in (self.bars, self.status, self.busy, self.seen, *self.sliders):
            part.set_colors(c)

    # ------------------------------------------------------------------------------------------------ out of the window

    def _ask_chart(self, kind: str) -> None:
        info = self.context.state.run_info
        suggested = file_name(info.name if info else "bayes", "bayes", f"step-{self.context.state.step}")
        ask_where(self, "Save Bayes’ rule", suggested, kind, partial(self.save, kind), DRAWINGS if kind == "png" else ())

    def save(self, kind: str, path: str) -> None:
        info = self.context.state.run_info
        about = {"Software": "Priorama", "run": info.name if info else "", "image": self.picture.label, "prior": [*map(float, self.prior)]}
        data = self.bars.figure().contents(path, about) if kind == "png" else csv_text(about, *self.bars.table())
        self.status.set_text(*save_file(path, data))
