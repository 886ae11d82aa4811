"""The first page: what Priorama is, one click to a falling loss curve, and the latest runs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.panes.start.recent_run_card import LEAST_WIDTH, RecentRunCard
from app.shell import theme
from app.widgets.parts import TextLines, button, clear, heading, muted, offer, plain
from engine.common.run_length import default_steps
from engine.messages import Ended, JobChanged, MethodInfo, RunInfo, StartRun

WHAT = (
    "Priorama trains representation-learning and generative models on images and texts and lets you explore what they learned. "
    "Curves, views, features, latent space, samples and likelihoods stand in one window and always show the same step of the training."
)
NEXT = (
    ("Curves", "watch every term of the loss fall, lay runs over each other, click a curve to move the time cursor."),
    ("Views", "see the pairs that an encoder learns from, and how similar it finds them; play its puzzles by hand."),
    ("Embedding", "watch the classes separate on a map, lasso some points, drop an image and see where it lands."),
    ("Probe", "measure what the features are worth beside a random encoder and raw pixels."),
    ("Latent", "drag the sliders of z, drop two of your own images, walk from one to the other."),
    ("Sampling", "watch a model draw pixel by pixel or write, choose otherwise at any place, complete half an image."),
    ("Likelihood", "drop your own images and learn how likely each is, by which score, and how sure that is."),
    ("Data", "see what is in a set, its classes and its bad files, and what the network will really see."),
)
EXISTS = "Methods in this version: {}."
TRAIN = "Train a {} on digits"
QUICK_NEEDS = {"encode", "decode", "log_prob", "sample"}  # so that the first run has something to show in every pane
QUICK_DATA = "digits"
RECENT = 6
NO_RUNS = "None yet. The first button above trains one in about a minute."


def quick_method(methods: Iterable[MethodInfo]) -> MethodInfo | None:
    """The method of the first run: one that encodes, decodes, scores and draws images in a single pass; of variants the plain one, whose
    name is the shortest. None where there is none.
    """
    fitting = (info for info in methods if info.accepts == "images" and info.sampling == "direct" and not info.conditional)
    return min((info for info in fitting if set(info.capabilities) >= QUICK_NEEDS), key=lambda info: len(info.name), default=None)


class StartPane(Pane):
    title = "Start"
    order = 0
    wants_run = False
    about = "What Priorama is, the latest runs, and what to do first."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False
        self.job = ""  # the training that was started here and is not listed yet
        self._job_run = ""
        self._waits_for_methods = False  # the first training is wanted, and the engine has not told its methods yet
        self.cards: list[RecentRunCard] = []
        self.across = 3  # cards beside each other
        self._listed: list[RunInfo] = []
        self._build()
        state, bridge = context.state, context.bridge
        state.runs_changed.connect(self._runs_changed)
        state.jobs_changed.connect(self._runs_changed)
        state.methods_changed.connect(self._methods_changed)
        state.theme_changed.connect(self._restyle)
        bridge.on(JobChanged, self._job_changed)
        bridge.on(Ended, self._ended)
        self._restyle()
        self._methods_changed()
        self._runs_changed()

    def _build(self) -> None:
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        page = QWidget()
        page.setObjectName("contents")
        scroll.setWidget(page)
        across = QHBoxLayout(page)
        across.setContentsMargins(32, 40, 32, 32)
        column = QVBoxLayout()
        column.setSpacing(12)
        holder = QWidget()
        holder.setLayout(column)
        column.setContentsMargins(0, 0, 0, 0)
        holder.setMaximumWidth(760)
        across.addStretch(1)
        across.addWidget(holder, 20)
        across.addStretch(1)
        title = plain("Learn from images and texts, and look inside", wrap=True)
        title.setProperty("role", "title")
        column.addWidget(title)
        column.addWidget(plain(WHAT, wrap=True))
        row = QHBoxLayout()
        row.setSpacing(8)
        self.train_button = button(
            TRAIN.format("model"),
            self.train_digits,
            "1 797 pictures of 8×8 that come with the program: no download, no GPU, a first curve within seconds.",
            primary=True,
        )
        self.new_button = button("New run…", partial(self._trigger, "run.new"), "Choose method, data and settings yourself.")
        self.data_button = button("Open data…", None, "Look into a folder of images, MNIST, CIFAR-10, .npz or text.")
        offer(self.data_button, (self.context.actions["data.open"], self.context.actions["data.open_file"]))
        for made in (self.train_button, self.new_button, self.data_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addSpacing(4)
        column.addLayout(row)
        self.message = TextLines(1, "What happened")
        column.addWidget(self.message)
        self.recent_heading = heading("Latest runs")
        column.addWidget(self.recent_heading)
        self.recent = QGridLayout()
        self.recent.setSpacing(8)
        column.addLayout(self.recent)
        self.no_runs = muted("Loading your runs…")
        column.addWidget(self.no_runs)
        column.addSpacing(8)
        column.addWidget(heading("What to do next"))
        steps = QGridLayout()
        steps.setHorizontalSpacing(16)
        steps.setVerticalSpacing(8)
        for place, (name, text) in enumerate(NEXT):
            link = button(name, partial(self._show, name), f"Bring “{name}” to the front.")
            link.setProperty("kind", "link")
            link.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            steps.addWidget(link, place, 0, Qt.AlignmentFlag.AlignTop)
            steps.addWidget(plain(text, wrap=True), place, 1)
        steps.setColumnStretch(1, 1)
        column.addLayout(steps)
        column.addSpacing(4)
        self.exists = muted("")
        column.addWidget(self.exists)
        column.addStretch(1)

    def activate(self) -> None:
        self.shown = True
        self._runs_changed()

    def deactivate(self) -> None:
        self.shown = False

    def train_digits(self) -> None:
        """Start a small run on the built-in digits, as soon as the engine has told what it can train."""
        state, bridge = self.context.state, self.context.bridge
        method = quick_method(state.methods.values())
        self._waits_for_methods = method is None
        if method is not None:
            self.job, self._job_run = bridge.new_job("train"), ""
            data = state.data.get(QUICK_DATA)
            batch = next((field.default for field in method.fields if field.name == "batch_size"), 1)
            steps = default_steps(data.training_images if data is not None else None, int(batch))  # and the form's own settings
            bridge.send(StartRun(job=self.job, method=method.name, data=QUICK_DATA, steps=steps))
        ready = state.engine is not None
        self.message.set_text("Starting." if ready else "Starting as soon as the engine is ready: a few seconds.", "good")

    def _job_changed(self, event: JobChanged) -> None:
        if event.job == self.job and event.run:
            self._job_run = event.run
            if event.state == "queued":
                self.message.set_text("In the queue: another training goes first.", "good")
            self._look_at_started()

    def _ended(self, event: Ended) -> None:
        if event.job != self.job:
            return
        if not self._job_run or event.outcome == "failed":
            self.message.set_text(event.message, "bad" if event.outcome == "failed" else "")
        self.job = ""

    def _look_at_started(self) -> None:
        """The run that was started here is listed now: look at it and at its curves."""
        if self.job and self._job_run in self.context.state.runs:
            self.job = ""
            self.message.set_text("")
            self.context.state.set_run(self._job_run)
            self._show("Curves")

    def _runs_changed(self) -> None:
        self._look_at_started()
        if not self.shown:
            return
        runs = sorted(self.context.state.runs.values(), key=lambda info: (info.status == "training", info.created), reverse=True)[:RECENT]
        self.no_runs.setVisible(not runs)
        self.no_runs.setText(NO_RUNS if self.context.state.root else "Loading your runs…")
        if [card.info.run for card in self.cards] != [info.run for info in runs]:
            clear(self.recent)
            self.cards = []
            for info in runs:
                card = RecentRunCard(info)
                card.set_colors(self._colors)
                card.clicked.connect(partial(self._open_run, info.run))
                self.cards.append(card)
            self._lay_out_cards()
        for card, info in zip(self.cards, runs, strict=True):
            card.show_info(info)

    def _fitting(self) -> int:
        """How many cards have room beside each other, three at most; a scroll bar and the page's margins aside."""
        return max(1, min(3, (self.width() - 2 * 32 - 10 + 8) // (LEAST_WIDTH + 8)))

    def _lay_out_cards(self) -> None:
        """As many cards beside each other as have room, three at most."""
        self.across = self._fitting()
        for place, card in enumerate(self.cards):
            self.recent.addWidget(card, place // self.across, place % self.across)
        for column in range(3):
            self.recent.setColumnStretch(column, int(column < self.across))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._fitting() != self.across:
            self._lay_out_cards()

    def _methods_changed(self) -> None:
        methods = self.context.state.methods
        titles = sorted(info.title for info in methods.values())
        self.exists.setText(EXISTS.format(", ".join(titles)) if titles else "")
        method = quick_method(methods.values())
        self.train_button.setText(TRAIN.format(method.title if method is not None else "model"))
        self.train_button.setAccessibleName(self.train_button.text())
        self.train_button.setEnabled(method is not None or not methods)
        if self._waits_for_methods and method is not None:
            self.train_digits()

    def _open_run(self, run: str, _checked: bool = False) -> None:
        self.context.state.set_run(run)
        self._show("Curves")

    def _show(self, title: str) -> None:
        """Bring another pane to the front, through the window's own action."""
        self._trigger(f"pane.{title}Pane")

    def _trigger(self, name: str) -> None:
        self.context.actions[name].trigger()

    def _restyle(self) -> None:
        self._colors = theme.colors(self.context.state.theme)
        self.message.set_colors(self._colors)
        for card in self.cards:
            card.set_colors(self._colors)
