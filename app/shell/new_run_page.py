"""The page on which a new run is described. It fills a draft from the form and hands out one `StartRun`; nothing modal."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent, QUndoStack
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.plain_text import PlainLabel, set_tip
from app.widgets.forms import Choice, Draft, Group, Row, groups_of
from engine.common.data_names import path_and_decisions, split_name
from engine.common.run_length import MOST_STEPS, default_steps
from engine.common.run_names import name_fault, next_free
from engine.messages import DataInfo, DataReport, FieldInfo, MethodInfo, Ready, StartRun

DEFAULT_STEPS = MOST_STEPS
STEPS_OF = "steps of "  # and a method: the scope in the draft of how long its runs are


def run_fields(ready: Ready | None, steps: int = DEFAULT_STEPS) -> tuple[FieldInfo, ...]:
    """What every run has, whatever its method; `steps` is the length where none is chosen."""
    devices = ("auto", *(ready.devices if ready else ("cpu",)))
    auto = f"{ready.device}, {ready.precision}" if ready else "what this machine has"
    return (
        FieldInfo(
            "length",
            "train for",
            "choice",
            "steps",
            "Whether the training ends after a number of steps or after some minutes.",
            choices=("steps", "minutes"),
        ),
        FieldInfo("steps", "steps", "int", steps, "Optimizer steps in total; it can be stopped sooner and continued later.", 1, 10_000_000),
        FieldInfo("minutes", "minutes", "float", 5.0, "Time of training; pauses do not count.", 0.01, 100_000),
        FieldInfo("seed", "seed", "int", 0, "Start of all random numbers: same seed, same machine, same numbers.", 0, 2**31 - 1),
        FieldInfo("device", "device", "choice", "auto", f"Where it trains; auto is {auto}.", choices=devices),
        FieldInfo(
            "precision",
            "precision",
            "choice",
            "auto",
            "Number format of the networks; losses and scores are always fp32.",
            choices=("auto", "fp32", "bf16"),
        ),
        FieldInfo("name", "name", "name", "", "Name of the run’s folder; without one it is made from method and data."),
    )


class NewRunPage(QWidget):
    """Emits `started(StartRun)` with an empty job, `cancelled`, `wanted` when a setting was undone and should be seen, and
    `folder_named(kind, path)` when a folder should be looked into.
    """

    started = Signal(object)
    cancelled = Signal()
    wanted = Signal()
    method_changed = Signal(str)
    folder_named = Signal(str, str)

    def __init__(self, undo: QUndoStack, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.draft = Draft(undo, self)
        self.methods: dict[str, MethodInfo] = {}
        self.data: dict[str, DataInfo] = {}
        self.ready: Ready | None = None
        self.taken: frozenset[str] = frozenset()  # names of the runs that are there or wait
        self._used: set[str] = set()  # names that were given here and may not be listed yet
        self.groups: list[Group] = []
        self.sides: list[QVBoxLayout] = []
        self._steps = DEFAULT_STEPS  # the length that the form offers for these data
        self._classes: dict[str, bool] = {}  # data -> whether an inspection found classes
        self._awaited = ""  # data that were to be chosen before the engine had them on the list
        self._grey: dict[str, bool] = {}  # data -> whether an inspection found one channel
        self.wished_data = ""  # what the user chose here, or opened, since he chose a run
        self._stale = True  # the cards are not those of the chosen method

        title = theme.role(PlainLabel("New run"), "title")
        title.setFont(theme.font(16, bold=True))
        self.method = Choice()
        self.method.setAccessibleName("Method")
        set_tip(self.method, "How it learns")
        self.method.setMinimumWidth(200)
        self.method.activated.connect(lambda _i: self._choose_method())
        self.data_box = Choice()
        self.data_box.setAccessibleName("Data")
        set_tip(self.data_box, "What it learns from")
        self.data_box.setMinimumWidth(220)
        self.data_box.activated.connect(lambda _i: self._choose_data())
        self.other = QPushButton("Other data…")
        self.other.setAccessibleName("Open other data")
        set_tip(self.other, "A folder of images, an IDX, npz or text file; it is inspected before anything is trained on it")
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(title)
        head.addSpacing(16)
        head.addWidget(self.method)
        head.addWidget(theme.role(PlainLabel("on"), "muted"))
        head.addWidget(self.data_box)
        head.addWidget(self.other)
        head.addStretch()

        self.body = QWidget()
        self.body.setObjectName("contents")
        self.columns = QHBoxLayout(self.body)
        self.columns.setContentsMargins(0, 0, 8, 0)
        self.columns.setSpacing(16)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setAccessibleName("Settings of the new run")
        self.area.setWidget(self.body)

        self.summary = theme.role(PlainLabel(), "muted")
        self.summary.setWordWrap(True)
        self.start = QPushButton("Start")
        self.start.setProperty("kind", "primary")
        self.start.setAccessibleName("Start the run")
        set_tip(self.start, "Queue the run and look at it (Ctrl+Enter)")
        self.start.clicked.connect(self._start)
        self.cancel = QPushButton("Cancel")
        self.cancel.setAccessibleName("Close without starting")
        set_tip(self.cancel, "Back to the panes; what was entered stays here")
        self.cancel.clicked.connect(self.cancelled)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self.summary, 1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.start)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(16)
        column.addLayout(head)
        column.addWidget(self.area, 1)
        column.addLayout(foot)
        self.draft.changed.connect(lambda _scope, _name: self._check())
        self.draft.called_back.connect(self._called_back)
        self._rebuild()

    # What there is to choose from -----------------------------------------------------------------------------------

    def set_engine(self, methods: dict[str, MethodInfo], ready: Ready | None) -> None:
        chosen = self.method.currentData()
        self.methods, self.ready = methods, ready
        self.method.clear()
        for name, info in methods.items():
            self.method.addItem(info.title, name)
        # The first choice is one with something to explore: a density and a decoder.
        fitting = [name for name, info in methods.items() if info.density != "none" and "decode" in info.capabilities]
        self.choose_method(chosen if chosen in methods else next(iter(fitting or methods), ""))

    def set_data(self, data: dict[str, DataInfo]) -> None:
        chosen = self._awaited if self._awaited in data else self.data_box.currentData()
        self.data = data
        self.data_box.clear()
        for name, info in data.items():
            self.data_box.addItem(f"{info.name}   {info.summary}", name)
        self.choose_data(chosen if chosen in data else ("digits" if "digits" in data else next(iter(data), "")))

    def note_report(self, report: DataReport) -> None:
        """What an inspection found in a data set."""
        self._classes[report.data] = bool(report.classes)
        self._grey[report.data] = report.shape[:1] == (1,)
        self._check()

    def set_names(self, taken: frozenset[str]) -> None:
        """The names that a new run cannot have."""
        if taken != self.taken:
            self.taken = taken
            self._check()

    @property
    def _name(self) -> str:
        return self.draft.values.get(("run", "name"), "")

    def _propose_name(self) -> None:
        """After a start: the form offers the next free name, not the one that was just taken."""
        if self._name:
            self._used.add(self._name)
            field = next(field for field in run_fields(self.ready, self._steps) if field.name == "name")
            self.draft.put("run", field, next_free(self._name, self.taken | self._used))

    def choose_method(self, name: str) -> None:
        at = self.method.findData(name)
        if at >= 0:
            self.method.setCurrentIndex(at)
        self._rebuild()

    def choose_data(self, data: str) -> None:
        at = self.data_box.findData(data)
        self._awaited = data if at < 0 else ""
        if at >= 0:
            self.data_box.setCurrentIndex(at)
        self._offer_length()

    def _choose_data(self) -> None:
        self.wished_data, self._awaited = self.data_box.currentData() or "", ""
        self._offer_length()

    def wish_data(self, data: str) -> None:
        """The data that the form starts with next, until another run is chosen; empty: those of the run."""
        self.wished_data = data

    def _offer_length(self) -> None:
        """Other data or another method: the form is made again where another length fits them."""
        if self._fitting_steps() != self._steps:
            self._rebuild()
        else:
            self._check()

    def _fitting_steps(self) -> int:
        """The length by the rule of the first page: from the training images, where their number is known, and the batch as it is."""
        info, data = self.method_info, self.data.get(self.data_box.currentData() or "")
        batch = next((field for field in info.fields if field.name == "batch_size"), None) if info is not None else None
        if info is None or data is None or batch is None:
            return DEFAULT_STEPS
        return default_steps(data.training_images, int(batch.default))

    def _choose_fitting_data(self) -> None:
        """A method of texts is not left with images, nor the other way round, where something fits."""
        info, chosen = self.method_info, self.data.get(self.data_box.currentData() or "")
        if info is None or (chosen is not None and chosen.kind == info.accepts):
            return
        fitting = [name for name, one in self.data.items() if one.kind == info.accepts]
        if fitting:
            self.data_box.setCurrentIndex(self.data_box.findData(fitting[0]))

    @property
    def method_info(self) -> MethodInfo | None:
        return self.methods.get(self.method.currentData() or "")

    def _choose_method(self) -> None:
        self._choose_fitting_data()
        self._rebuild()
        self.method_changed.emit(self.method.currentData() or "")

    def _called_back(self, scope: str) -> None:
        """A setting was undone or redone: the form of its method is what should be seen."""
        method = scope.removeprefix(STEPS_OF)
        if method in self.methods and method != self.method.currentData():
            self.choose_method(method)
            self.method_changed.emit(method)
        self.wanted.emit()

    def _scope(self, name: str) -> str:
        """Where the draft keeps a setting of every run: the steps with their method, whose length they are, all others with the run."""
        return f"{STEPS_OF}{self.method.currentData() or ''}" if name == "steps" else "run"

    # The form -------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._rebuild()

    def _rebuild(self) -> None:
        """Make the cards of the chosen method, once somebody looks; the draft keeps the values of the others."""
        self._steps = self._fitting_steps()
        self._stale = not self.isVisible()
        if self._stale:
            self._check()
            return
        for side in self.sides:
            self.columns.removeItem(side)
            side.deleteLater()
        for group in self.groups:
            group.hide()
            group.deleteLater()
        self.groups = []
        info = self.method_info
        if info is not None:
            run = Group("Run", "run", (), self.draft)
            for field in run_fields(self.ready, self._steps):
                run.add(Row(self._scope(field.name), field, self.draft, run))
            self.groups = [run, *groups_of(info.name, info.fields, self.draft)]
        self.sides = [QVBoxLayout(), QVBoxLayout()]
        for side in self.sides:
            side.setSpacing(16)
            self.columns.addLayout(side, 1)
        heights = [0, 0]
        for group in self.groups:
            group.validity_changed.connect(self._check)
            group.folder_named.connect(self.folder_named)
            shorter = 0 if heights[0] <= heights[1] else 1
            heights[shorter] += len(group.rows) + 1
            self.sides[shorter].addWidget(group)
        for side in self.sides:
            side.addStretch()
        for row in self._rows():
            row.look_into_folder()
        self._check()

    def _rows(self) -> list[Row]:
        return [row for group in self.groups for row in group.rows.values()]

    def note_folder(self, path: str, fault: str) -> None:
        """What was found in a folder that a field names."""
        for row in self._rows():
            row.note_folder(path, fault)

    @property
    def errors(self) -> list[str]:
        return [error for group in self.groups for error in group.errors]

    def _check(self) -> None:
        """Which length counts, and whether it can start."""
        length = self.draft.values.get(("run", "length"), "steps")
        if self.groups:
            self.groups[0].rows["steps"].set_visible(length == "steps")
            self.groups[0].rows["minutes"].set_visible(length == "minutes")
        info = self.method_info
        for row in self._rows():
            if row.field.needs or row.field.of_colour:
                row.set_visible(self._has_effect(row.field.name))
        if info is None:
            why = "The methods appear once the engine is ready, in a moment."
        elif not self.data_box.currentData():
            why = "Choose a data set first."
        elif self.data[self.data_box.currentData()].kind != info.accepts:
            chosen = self.data[self.data_box.currentData()]
            what = "a text" if info.accepts == "text" else "a data set of images"
            why = f"{info.title} learns from {info.accepts} and {chosen.name} is {chosen.kind}; choose {what}."
        elif lacking := self._lacking(info):
            chosen = self.data[self.data_box.currentData()].name
            conditional = "" if info.needs else " where it is conditional"
            advice = (
                f"choose data with {lacking}"
                if lacking != "frames"
                else "choose “moving-shapes”, or open clips of your own (frames: clips)"
            )
            why = f"{info.title} needs {lacking}{conditional}, and {chosen} has none; {advice}."
        elif self.errors:
            why = "One setting is not usable: " + self.errors[0]
        elif self._name and (fault := name_fault(self._name, sorted(self.taken | self._used))):
            why = fault
        else:
            why = ""
        self.start.setEnabled(not why)
        if why:
            self.summary.setText(why)
        elif info is not None:
            differing = {**self._changed(info), **self.draft.differing("run"), **self.draft.differing(self._scope("steps"))}
            differing.pop("length", None)
            differing.pop("steps" if length == "minutes" else "minutes", None)
            if length == "minutes":
                differing.setdefault("minutes", 5.0)
            changed = formatting.settings(differing)
            self.summary.setText(
                f"{info.title} on {self.data[self.data_box.currentData()].name}"
                + (f" · {changed}" if changed else " · all settings at their defaults")
            )

    def _lacking(self, info: MethodInfo) -> str:
        """What the method needs with these settings beside the images: "classes", "captions" or "frames", where the data are known to
        have none; else empty.
        """
        fields = {field.name: field for field in info.fields}
        needs = info.needs
        if not needs and info.conditional and "conditional" in fields and self.draft.get(info.name, fields["conditional"]):
            told = str(self.draft.get(info.name, fields["condition"])) if "condition" in fields else "class"
            needs = {"class": "classes", "caption": "captions"}.get(told, "")
        chosen = self.data[self.data_box.currentData()]
        has = chosen.has
        if has is None:
            classes = self._classes.get(chosen.data)
            clips = '"frames"' in split_name(chosen.data)[1]  # of files only those that are read as clips
            return needs if (needs == "frames" and not clips) or (needs == "classes" and classes is False) else ""
        return "" if needs in has else needs

    def _has_effect(self, name: str) -> bool:
        """Whether the switch that a setting of the method needs is on, and the images are not known to lack the colours that it changes."""
        info = self.method_info
        fields = {} if info is None else {field.name: field for field in info.fields}
        if name in fields and fields[name].of_colour and self._is_grey():
            return False
        needed = fields[name].needs if name in fields else ""
        return info is None or not needed or bool(self.draft.get(info.name, fields[needed]))

    def _is_grey(self) -> bool:
        """Whether the chosen images are known to have one channel."""
        chosen = self.data.get(self.data_box.currentData() or "")
        if chosen is None:
            return False
        asked = path_and_decisions(chosen.data)[1].get("colour")
        return asked == "grey" or self._grey.get(chosen.data, chosen.grey is True)

    def _changed(self, info: MethodInfo) -> dict[str, object]:
        """The settings of the method that were changed and have an effect."""
        return {name: value for name, value in self.draft.differing(info.name).items() if self._has_effect(name)}

    def request(self) -> StartRun:
        """The run as it is described now; the job's name is still empty."""
        info = self.method_info
        assert info is not None
        run = {field.name: self.draft.get(self._scope(field.name), field) for field in run_fields(self.ready, self._steps)}
        by_steps = run["length"] == "steps"
        return StartRun(
            job="",
            method=info.name,
            data=self.data_box.currentData(),
            config=self._changed(info),
            seed=run["seed"],
            steps=run["steps"] if by_steps else None,
            minutes=None if by_steps else run["minutes"],
            name=run["name"] or None,
            device=run["device"],
            precision=run["precision"],
        )

    def _start(self) -> None:
        focused = self.focusWidget()
        if focused is not None:
            focused.clearFocus()  # what was typed last counts
        if self.start.isEnabled():
            self.started.emit(self.request())
            self._propose_name()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._start()
        else:
            super().keyPressEvent(event)
