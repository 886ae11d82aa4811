"""The likelihood paradox as an experiment that is ready to run: what it is, which two data sets, train, compare."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QHBoxLayout, QRadioButton, QSizePolicy, QVBoxLayout, QWidget

from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.parts import Card, TextLines, button, heading, muted, plain
from engine.messages import DataInfo, MethodInfo, RunInfo

WHAT = (
    "A model of p(x) ought to find strange images unlikely, yet one trained on pictures full of detail may find plainer ones it has "
    "never seen more likely than its own. A classifier is fooled in another way: it must choose one of its classes, and is often sure "
    "of it. Scores that subtract what any image costs, such as the likelihood ratio and input complexity, can set that right."
)


@dataclass(frozen=True)
class Pair:
    """Two data sets: trained on the one, compared with the other. The words are looked for in the sets' names."""

    title: str
    known: tuple[str, ...]
    strange: tuple[str, ...]
    minutes: float
    why: str
    classes: bool = True  # whether the first set has any


PAIRS = (
    Pair("Fashion-MNIST, then MNIST digits", ("fashion",), ("mnist",), 10, "The classic: clothes are learned, digits are compared."),
    Pair("Photographs, then shapes", ("photo-patches",), ("shapes",), 5, "Built in, no download: photographs are learned.", classes=False),
    Pair("Digits, then shapes", ("digits",), ("shapes",), 1, "Built in, no download, learned within a minute."),
)
BY_HAND, FALLBACK = 0, 1  # the pair whose files one has to fetch, and the one that is there without a download
NEW = "new"
CLASSIFIER_MINUTES = 3.0
WHERE = (
    "This window does not know them yet. They come as four files each (github.com/zalandoresearch/fashion-mnist lists addresses, MNIST's "
    "files have the same names): put them into a folder FashionMNIST and a folder MNIST, and open both."
)


def plain_name(info: DataInfo) -> str:
    return info.name.lower().replace("_", "-")


def find(data: dict[str, DataInfo], words: tuple[str, ...], but: DataInfo | None = None) -> DataInfo | None:
    """The first set of images whose name holds one of the words; not `but`, and no set whose name holds that one's word."""
    for info in data.values():
        if info.kind != "images" or info is but or (but is not None and "fashion" in plain_name(info)):
            continue
        if any(word in plain_name(info) for word in words):
            return info
    return None


def learns_density(method: MethodInfo) -> bool:
    """Whether it learns p(x) of images."""
    return method.accepts == "images" and method.density in ("exact", "bound") and "log_prob" in method.capabilities


def learns_classes(method: MethodInfo) -> bool:
    return method.accepts == "images" and "classify" in method.capabilities


def find_classifier(methods: dict[str, MethodInfo]) -> MethodInfo | None:
    """The first method that learns classes from images and their labels alone: it has no setting that names another run or a folder."""
    fit = (method for method in methods.values() if learns_classes(method))
    return next((method for method in fit if not any(field.kind in ("text", "name") for field in method.fields)), None)


class OodExperimentPage(QWidget):
    """`train_asked(method, data, minutes)`, `compare_asked(run, data, classifier or "")`; the pane keeps `set_known` up to date."""

    train_asked = Signal(str, str, float)
    compare_asked = Signal(str, str, str)
    open_asked = Signal()
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.take_room(False)
        self.preferred: str | None = None
        self._classifiers = 0
        self.data: dict[str, DataInfo] = {}
        self.runs: dict[str, RunInfo] = {}
        self.methods: dict[str, MethodInfo] = {}
        outer = QHBoxLayout(self)
        outer.setContentsMargins(32, 24, 32, 24)
        holder = QWidget()
        holder.setMaximumWidth(640)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        outer.addStretch(1)
        outer.addWidget(holder, 20)
        outer.addStretch(1)
        title = plain("The likelihood paradox")
        title.setProperty("role", "title")
        column.addWidget(title)
        column.addWidget(plain(WHAT, wrap=True))
        column.addSpacing(4)
        column.addWidget(heading("Which images"))
        self.choice = QButtonGroup(self)
        for place, pair in enumerate(PAIRS):
            radio = QRadioButton(pair.title)
            set_tip(radio, pair.why)
            radio.setAccessibleName(pair.title)
            self.choice.addButton(radio, place)
            column.addWidget(radio)
        self.why = muted("")
        column.addWidget(self.why)
        self.open_button = button("Open a data folder…", self.open_asked.emit, "Fashion-MNIST and MNIST are read from their folders.")
        column.addWidget(self.open_button)
        card = Card(12, 8)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        self.method = QComboBox()
        self.method.setAccessibleName("Method")
        self.method.activated.connect(self._show)
        self.train = button("Train", self._train, "", primary=True)
        self.contrast = QComboBox()
        self.contrast.setAccessibleName("Classifier")
        self.contrast.activated.connect(self._show)
        self.teach = button("Train", self._teach, "", primary=True)
        self.run = QComboBox()
        self.run.setAccessibleName("Run to compare")
        self.run.activated.connect(self._show)
        self.compare = button(
            "Compare",
            self._compare,
            "Score validation images of the run’s data and images of the other set with every detector of this run.",
        )
        self.train_line, self.teach_line, self.compare_line = (TextLines(2, name) for name in ("Training", "Classifier", "Comparison"))
        for row, (name, box, press, line) in enumerate(
            (
                ("1  p(x)", self.method, self.train, self.train_line),
                ("2  P(y|x)", self.contrast, self.teach, self.teach_line),
                ("3  Compare", self.run, self.compare, self.compare_line),
            )
        ):
            grid.addWidget(plain(name), 2 * row, 0)
            grid.addWidget(box, 2 * row, 1)
            grid.addWidget(press, 2 * row, 2)
            grid.addWidget(line, 2 * row + 1, 1, 1, 2)
        grid.setColumnStretch(1, 1)
        card.inside.addLayout(grid)
        column.addWidget(card)
        self.back = button("Back", self.closed.emit)
        row_ = QHBoxLayout()
        row_.addWidget(self.back)
        row_.addStretch(1)
        column.addLayout(row_)
        column.addStretch(1)
        self.choice.button(FALLBACK).setChecked(True)
        self.choice.idClicked.connect(self._show)

    def set_colors(self, c: Colors) -> None:
        for line in (self.train_line, self.teach_line, self.compare_line):
            line.set_colors(c)

    def take_room(self, seen: bool) -> None:
        """The page above which it lies need not be as high as this one while it is not seen."""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred if seen else QSizePolicy.Policy.Ignored)

    def set_known(self, data: dict[str, DataInfo], runs: dict[str, RunInfo], methods: dict[str, MethodInfo]) -> None:
        """What the window knows now."""
        first = not self.data and bool(data)
        self.data, self.runs, self.methods = data, runs, methods
        names = [(info.title, name) for name, info in methods.items() if learns_density(info)]
        if [(self.method.itemText(i), self.method.itemData(i)) for i in range(self.method.count())] != names:
            chosen = self.method.currentData()
            self.method.clear()
            for title, name in names:
                self.method.addItem(title, name)
            exact = next((i for i, (_, name) in enumerate(names) if methods[name].density == "exact"), 0)
            place = self.method.findData(chosen) if chosen else exact
            self.method.setCurrentIndex(max(place, 0))
        if first:
            self.prefer(self.preferred)
        else:
            self._show()

    def prefer(self, run: str | None) -> None:
        """The pair that this run has learned the first half of, with the run; else the classic one where its images are known."""
        self.preferred = run
        info = self.runs.get(run or "")
        learned = [i for i in range(len(PAIRS)) if info is not None and (first := self.sets(i)[0]) is not None and first.data == info.data]
        complete = [i for i in range(len(PAIRS)) if None not in self.sets(i)]
        self.choice.button(next(iter([*learned, *complete]), FALLBACK)).setChecked(True)
        self._show()
        if (place := self.run.findData(run)) >= 0:
            self.run.setCurrentIndex(place)

    def sets(self, place: int | None = None) -> tuple[DataInfo | None, DataInfo | None]:
        """The two data sets of a pair, as far as the window knows them."""
        pair = PAIRS[self.choice.checkedId() if place is None else place]
        known = find(self.data, pair.known)
        return known, find(self.data, pair.strange, but=known)

    def candidates(self, classifiers: bool = False) -> list[RunInfo]:
        """Runs that learned p(x) of the first set, or its classes; the newest first."""
        known, _ = self.sets()
        if known is None:
            return []
        learned = [info for info in self.runs.values() if info.data == known.data and not info.fault and info.checkpoints]
        wanted = learns_classes if classifiers else learns_density
        fit = [info for info in learned if info.method in self.methods and wanted(self.methods[info.method])]
        return sorted(fit, key=lambda info: info.created, reverse=True)

    def _show(self, *_: object) -> None:
        pair = PAIRS[self.choice.checkedId()]
        known, strange = self.sets()
        lacking = [words[0] for words, info in ((pair.known, known), (pair.strange, strange)) if info is None]
        by_hand = bool(lacking) and self.choice.checkedId() == BY_HAND
        self.why.setText(f"{pair.why} {WHERE}" if by_hand else pair.why)
        self.open_button.setVisible(by_hand)
        runs, classifiers = self.candidates(), self.candidates(classifiers=True)
        _fill(self.run, [_named(info) for info in runs])
        if len(classifiers) > self._classifiers and self.contrast.currentData() == NEW:
            self.contrast.clear()  # the one that was just begun is meant
        self._classifiers = len(classifiers)
        _fill(self.contrast, [*(_named(info) for info in classifiers), ("a new classifier", NEW), ("none", "")])
        classifier = find_classifier(self.methods)
        for press, line, ready, words in (
            (self.train, self.train_line, self.method.count() > 0, _learning(known, pair.minutes)),
            (self.teach, self.teach_line, classifier is not None, _learning(known, min(pair.minutes, CLASSIFIER_MINUTES))),
        ):
            press.setEnabled(known is not None and ready)
            line.set_text(words if ready else "Wait until the methods are here.")
        self.contrast.setEnabled(pair.classes)
        if not pair.classes:
            self.teach.setEnabled(False)
            self.teach_line.set_text("These images have no classes, so there is nothing to be sure of.")
        elif self.contrast.currentData() != NEW:
            self.teach.setEnabled(False)
            beside = "Answers beside the model of p(x): how sure of a class it is, even of what has none."
            self.teach_line.set_text(beside if self.contrast.currentData() else "The model of p(x) answers alone.")
        self.compare.setEnabled(bool(runs) and strange is not None)
        if not runs:
            self.compare_line.set_text("No run has learned these images yet: train one first.")
        elif strange is not None:
            self.compare_line.set_text(
                f"Its held-out images against the test images of {strange.name} (all, where it has no test split): AUROC for every score."
            )
        else:
            self.compare_line.set_text("Needs the second data set.")

    def _train(self) -> None:
        known, _ = self.sets()
        if known is not None and self.method.currentData():
            self.train_asked.emit(self.method.currentData(), known.data, PAIRS[self.choice.checkedId()].minutes)
            self.train_line.set_text("Queued. Compare as soon as the run is listed below; the figures get better while it learns.", "good")

    def _teach(self) -> None:
        (known, _), classifier = self.sets(), find_classifier(self.methods)
        if known is not None and classifier is not None:
            minutes = min(PAIRS[self.choice.checkedId()].minutes, CLASSIFIER_MINUTES)
            self.train_asked.emit(classifier.name, known.data, minutes)
            self.teach_line.set_text("Queued. It answers beside the model of p(x) as soon as it is listed here.", "good")

    def _compare(self) -> None:
        _, strange = self.sets()
        if strange is not None and self.run.currentData():
            classifier = self.contrast.currentData()
            self.compare_asked.emit(self.run.currentData(), strange.data, "" if classifier == NEW else classifier)


def _named(info: RunInfo) -> tuple[str, str]:
    return f"{info.title or info.method} · {info.name} · {info.status}", info.run


def _fill(box: QComboBox, wanted: list[tuple[str, str]]) -> None:
    """Offer these (text, value); what was chosen stays chosen where it can."""
    if [(box.itemText(i), box.itemData(i)) for i in range(box.count())] != wanted:
        chosen = box.currentData()
        box.clear()
        for text, value in wanted:
            box.addItem(text, value)
        box.setCurrentIndex(max(box.findData(chosen), 0) if wanted else -1)


def _learning(known: DataInfo | None, minutes: float) -> str:
    if known is None:
        return "Needs the data set above."
    return f"Learns {known.name} for {minutes:g} {'minute' if minutes == 1 else 'minutes'}; the run appears at the left."
