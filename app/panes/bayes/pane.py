"""Bayes' rule by hand: log p(x|y) of a picture for every class, a prior that can be dragged, and a classifier's answer beside.

The engine is asked for log p(x|y) once per picture; the posterior under another prior follows from it here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QSpinBox, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.bayes.chart import BayesBars
from app.shell.formatting import number
from app.shell.latest_query import LatestQuery
from app.shell.pane_availability import Unavailable
from app.shell.run_pane import RunPane
from app.shell.theme import colors
from app.widgets.export import IMAGE_FILTER, ask_where, ask_which, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from app.widgets.image_view import ImageView
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card, TextLines, button, clear, heading, muted
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
        self.prior = np.ones(0)
        self.sliders: list[LatentSlider] = []
        self.asking = LatestQuery(context.bridge, "bayes", self._answered, self._failed)
        self._build()
        state = context.state
        for signal, slot in (
            (state.run_changed, self._changed), (state.step_changed, self._changed), (state.runs_changed, self.check_empty),
            (state.theme_changed, self._restyle),
        ):  # fmt: skip
            signal.connect(slot)
        self._restyle()
        self.check_empty()

    def _build(self) -> None:
        contents, page = QWidget(), QScrollArea()
        contents.setObjectName("contents")
        page.setWidgetResizable(True)
        page.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        page.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page.setWidget(contents)
        column, row = QVBoxLayout(contents), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self.index = QSpinBox()
        self.index.setRange(0, 999_999)
        self.index.setAccessibleName("Validation image")
        self.index.valueChanged.connect(self.choose_index)
        row.addWidget(muted("Validation image", wrap=False))
        row.addWidget(self.index)
        ask = partial(ask_which, self, "Open an image", IMAGE_FILTER, self.accept_images)
        row.addWidget(button("Open image…", ask, "Any picture, also one of no class."))
        row.addWidget(button("Noise", self.use_noise, "An image of no class: every pixel drawn uniformly."))
        row.addStretch(1)
        column.addLayout(row)
        top, self.seen = QHBoxLayout(), ImageView("What the network sees", "Drop a picture here")
        self.seen.setFixedSize(112, 112)
        self.status = TextLines(6, "What Bayes’ rule says of the picture")
        top.addWidget(self.seen)
        top.addWidget(self.status, 1)
        column.addLayout(top)
        column.addWidget(heading("Each class"))
        card, self.bars = Card(10, 0), BayesBars()
        self.bars.saved_asked.connect(self._ask_chart)
        card.inside.addWidget(self.bars)
        column.addWidget(card)
        row = QHBoxLayout()
        row.addWidget(heading("Prior over classes"))
        row.addStretch(1)
        row.addWidget(button("Uniform prior", partial(self.set_prior, None), "All classes equally likely."))
        self.data_prior = button("Prior of the data", self.use_shares, "The classes’ shares of the training images.")
        row.addWidget(self.data_prior)
        column.addLayout(row)
        self.priors = QVBoxLayout()
        column.addLayout(self.priors)
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
        self._ask()

    def deactivate(self) -> None:
        self.shown = False
        self.asking.forget()

    def closeEvent(self, event: Any) -> None:
        self.asking.forget()
        super().closeEvent(event)

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
        if self.shown and self.able() and state.run is not None:
            beside = self._beside()
            step = state.step_of(beside) if beside else None
            self.asking.want(AskBayes(run=state.run, step=state.step, picture=self.picture, beside=beside, beside_step=step))

    def accept_image(self, path: str) -> bool:
        if not self.able():
            return False
        self._look_at(PictureRef(label=Path(path).name, path=path))
        return True

    def choose_index(self, index: int) -> None:
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
            return
        before = self.answer.classes if self.answer else ()
        self.answer = answer
        if answer.classes != before:
            self._make_sliders(answer.classes)
        self.draw()

    def _failed(self, failure: QueryFailed) -> None:
        self.status.set_text(failure.message, "bad")

    # ------------------------------------------------------------------------------------------------ the prior

    def _make_sliders(self, classes: tuple[str, ...]) -> None:
        clear(self.priors)
        self.prior = np.full(len(classes), 1 / len(classes))
        self.sliders = []
        for label, name in enumerate(classes):
            slider = LatentSlider(0.0, 1.0)
            slider.unit, slider.with_sign = "", False
            slider.describe(name, "", tip=f"p(y = {name}) before the image is seen; the other classes share the rest.")
            slider.moved.connect(partial(self._moved, label))
            slider.reset_asked.connect(partial(self.set_prior, None))
            self.priors.addWidget(slider)
            self.sliders.append(slider)
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
        if answer is None:
            return
        for slider, share in zip(self.sliders, self.prior, strict=True):
            slider.set_exact(float(share))
        self.data_prior.setEnabled(answer.shares is not None)
        rule = posterior(answer.given, self.prior)
        p = np.exp(rule.log_posterior)
        self.bars.set_answer(answer.classes, answer.given - answer.given.max(), p, answer.classifier)
        self.seen.set_pixels(answer.seen)
        self.status.set_text(self._in_words(answer, p, float(rule.log_marginal)), "warning" if answer.beside_fault else "")

    @staticmethod
    def _in_words(answer: BayesAnswered, p: np.ndarray, log_p: float) -> str:
        best, bits = int(p.argmax()), answer.bits[0] - answer.bits[1] * log_p
        sign = "≥" if answer.density == "bound" else "="
        said = f"{answer.label}{f', a {answer.true_class}' if answer.true_class else ''}. "
        said += f"Bayes’ rule: {answer.classes[best]}, {number(100 * float(p[best]), 1, '%')}. "
        if answer.classifier is not None:
            other = int(answer.classifier.argmax())
            said += f"The classifier: {answer.classes[other]}, {number(100 * float(answer.classifier[other]), 1, '%')}. "
        said += f"log p(x) {sign} {number(log_p, 1, 'nat')} ({number(bits, 2, 'bits/dim')}). "
        said += "A posterior adds up to one over the known classes, also for an image of none."
        return " ".join((said, answer.beside_fault, *answer.notes)).strip()

    def _restyle(self) -> None:
        c = colors(self.context.state.theme)
        for part in (self.bars, self.status, self.seen, *self.sliders):
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
