"""The page of an import: what was understood, every decision of it, and what becomes of another one, read again in the background.

What is shown first is told from a sample; the whole replaces it, and only the whole can be used as a data set.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.data.decisions import FIELDS, PATTERNS, command_for, joined_patterns, put_recipe, recipe_from, renamed
from app.panes.data.import_form import ImportForm
from app.panes.data.import_preview import ImportPreview
from app.panes.data.import_summary import ImportSummary
from app.panes.data.split_tree import Row
from app.panes.data.value_chart import ValueChart
from app.shell import theme
from app.shell.formatting import count, number, things
from app.widgets.export import ask_where, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from app.widgets.forms import Draft
from app.widgets.parts import Elided, TextLines, button, muted
from engine.common.data_names import name_with, path_and_decisions, short_name
from engine.messages import ClassExamples, ClassExamplesFound, DataReport, Progress, QueryFailed

SCOPE = "import of "  # and a path: what the draft keeps its decisions under
NOTHING = "No image could be read yet. Change a decision at the left, or mend the files and read them again."
EXAMPLES = "data examples"  # the channel of the tree's images


class ImportPage(QWidget):
    """`show_report` a set that was read, or `show_failure` of one that could not be. `used(name, report)` when it is taken as it stands."""

    images_asked = Signal()
    used = Signal(DataReport)
    wanted = Signal(str)  # a decision about the set at this path was undone or made again: it should be seen

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.active = False
        self.path = ""
        self.report: DataReport | None = None  # what is shown, perhaps from a sample; None where nothing could be read yet
        self.whole: DataReport | None = None  # the last one of this set that was not from a sample
        self.shown: DataReport | None = None  # the set as the list has it
        self.failing: str | None = None  # the set that could not be read as the list has it
        self.sample_of: str | None = None  # the set that a sample was shown of before the list has it
        self.draft = Draft(context.undo, self)
        self.preview = ImportPreview(context, self)
        self._beside: dict[str, Any] = {}  # what the set's name carries and no row of the form decides: the state of its curation
        self._decided: dict[str, Any] = {}  # what the shown report, or the failure, came of
        self._asked: dict[str, Any] = {}  # what is being read
        self._failed = False
        self._loading = False
        self._later = QTimer(self)  # several decisions at once, as a reset makes, are read once
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._read_again)
        self.form = ImportForm(self.draft)
        self.summary = ImportSummary()
        self._build()
        self._connect()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.title = Elided("")
        self.title.setProperty("role", "title")
        row.addWidget(self.title, 1)
        undo = self.context.undo
        self.undo_button = button("Undo", undo.undo, "Take the last decision back.")
        self.redo_button = button("Redo", undo.redo, "Decide again what was taken back.")
        self.reset_button = button("Reset to detected", self.reset, "Take all decisions back.")
        self.images_button = button("Images", self.images_asked.emit, "Look at the images, one page after the other.")
        self.use_button = button("Use as data set", self._use, "Put the set on the list as it is read here, for new runs.", primary=True)
        self.decision_buttons = (self.undo_button, self.redo_button, self.reset_button)
        for one in (*self.decision_buttons, self.images_button, self.use_button):
            row.addWidget(one)
        column.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.status = TextLines(1, "What is being read, or went wrong")
        row.addWidget(self.status, 1)
        self.cancel = button("Cancel", self.preview.cancel, "Stop reading; the decisions stay as they are.")
        self.again = button("Read again", self._read_again, "Read the set by the decisions as they are.")
        for one in (self.cancel, self.again):
            policy = one.sizePolicy()
            policy.setRetainSizeWhenHidden(one is self.cancel)
            one.setSizePolicy(policy)
            one.hide()
            row.addWidget(one)
        column.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(self.form)
        self.nothing = muted(NOTHING)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.summary, 1)
        row.addWidget(self.nothing, 1)
        self.nothing.hide()
        column.addLayout(row, 1)

    def _connect(self) -> None:
        self.draft.changed.connect(self._changed)
        self.draft.called_back.connect(self._called_back)
        self.context.undo.indexChanged.connect(self._show_verbs)
        self.preview.progressed.connect(self._show_progress)
        self.preview.sampled.connect(self._show)
        self.preview.reported.connect(self._on_report)
        self.preview.failed.connect(self._on_failure)
        self.preview.stopped.connect(self._on_stopped)
        self.form.copy_asked.connect(self._copy)
        self.summary.tree.tree_model.rename_asked.connect(self._rename)
        self.summary.decision_asked.connect(self._offered)
        self.summary.tree.examples_wanted.connect(self._ask_examples)
        for chart in (self.summary.before, self.summary.after):
            chart.saved_asked.connect(partial(self._ask_chart, chart))

    def set_colors(self, c: theme.Colors) -> None:
        self.status.set_colors(c)
        self.summary.set_colors(c)

    @property
    def scope(self) -> str:
        return SCOPE + self.path

    @property
    def recipe(self) -> dict[str, Any]:
        """The decisions as they stand in the form, and those about single images, which it does not show."""
        return recipe_from(self.draft, self.scope) | self._beside

    # ------------------------------------------------------------------------------------------------ what is shown

    def show_report(self, report: DataReport, *, keep: bool = False) -> None:
        """A set that was read as the list has it; with `keep` the decisions of the form stay, and it is read again by them."""
        if report.job == self.preview.job:
            self.preview.let_go()  # it has ended
        keep = keep or (self.sample_of == report.data and self.recipe != self._decided)  # decided while its end was on the way
        self._begin(report.data, keep)
        self.shown = report
        self._show(report)
        if keep:
            self._later.start()

    def show_failure(self, data: str, message: str) -> None:
        """A set that could not be read: its decisions can be made all the same."""
        self._begin(data)
        self.failing = data
        self.report = None
        self._on_failure(message)
        self.form.show_set(self.scope, None)
        self.form.point_at(message)
        self._show_verbs()

    def show_sample(self, report: DataReport) -> None:
        """A set that is being read for the first time, as far as it is known; who began to read it will show the whole."""
        self._begin(report.data)
        self.sample_of, self._asked = report.data, self._decided
        self.preview.follow(report.job)
        self._show(report)

    def keeps(self, data: str) -> bool:
        """Whether this page is about a set that the list has no report of."""
        return data in (self.failing, self.sample_of)

    def decided_otherwise(self, report: DataReport) -> bool:
        """Whether decisions were changed since this set was shown here, and the set that they make is not on the list."""
        if self.shown is not report or report.understood is None or self.recipe == report.understood.decisions:
            return False
        return name_with(self.path, self.recipe) not in self.context.state.data

    def forget(self) -> None:
        """The set is opened anew: what is known of it is out of date."""
        self.failing = self.sample_of = None

    def leave(self) -> None:
        """Another set is looked at: what is still being read by new decisions is given up."""
        if self.preview.following:
            self.preview.let_go()
            self.sample_of = None
        if self.preview.busy or self._later.isActive():
            self.preview.give_up()
            self._later.stop()
            self._on_stopped()

    def hide_page(self) -> None:
        """Nobody looks."""
        self.active = False
        self.context.bridge.forget(EXAMPLES)

    def _begin(self, data: str, keep: bool = False) -> None:
        self.leave()
        before, (self.path, recipe) = self.path, path_and_decisions(data)
        if self.path != before:
            for column in (self.form, self.summary):
                column.verticalScrollBar().setValue(0)
            self.summary.tree.verticalScrollBar().setValue(0)
            self._beside = {}
        self._failed, self.shown, self.whole = False, None, None
        self.forget()
        if not keep:
            self._load(recipe)
        self._decided = recipe
        self.title.setText(short_name(data))
        self._say_rest()

    def _load(self, recipe: dict[str, Any]) -> None:
        self._loading = True
        self._beside = {name: value for name, value in recipe.items() if name not in FIELDS}
        put_recipe(self.draft, self.scope, recipe)
        self._loading = False

    def _show(self, report: DataReport) -> None:
        facts = report.understood
        assert facts is not None
        self.report, self._failed, self._decided = report, False, dict(facts.decisions)
        if not report.sampled:
            self.whole = report
        self.summary.show()
        self.nothing.hide()
        self.form.setVisible(bool(facts.offered))
        self.form.show_set(self.scope, report)
        self.form.point_at("")
        self.summary.show_report(report, facts)
        for one in (*self.decision_buttons, self.use_button):
            one.setVisible(bool(facts.offered))
        self._say_rest()
        self._show_verbs()

    def _show_verbs(self, *_: object) -> None:
        """What can be pressed now."""
        undo = self.context.undo
        mine = f"{self.scope}"
        self.undo_button.setEnabled(undo.canUndo() and self._is_mine(undo.index() - 1))
        self.redo_button.setEnabled(undo.canRedo() and self._is_mine(undo.index()))
        self.reset_button.setEnabled(bool(self.draft.differing(mine)))
        settled = not self.preview.busy and not self._later.isActive() and self.recipe == self._decided
        part = self.report is not None and self.report.sampled > 0
        self.use_button.setEnabled(self.report is not None and settled and not self._failed and not part)
        self.images_button.setEnabled(self.report is not None and self.sample_of is None)
        self.cancel.setVisible(self.preview.busy)
        idle = not self.preview.busy and not self._later.isActive()
        self.again.setVisible(idle and (self._failed or part or self.recipe != self._decided))
        self.form.show_recipe(self.recipe)
        self.form.show_values()

    def _is_mine(self, place: int) -> bool:
        """Whether a command of the undo stack is a decision of this set."""
        command: Any = self.context.undo.command(place)
        while command is not None and command.childCount():
            command = command.child(0)
        return getattr(command, "scope", "") == self.scope

    # ------------------------------------------------------------------------------------------------ decisions

    def decide(self, name: str, value: str) -> None:
        """Make a decision; it can be undone."""
        self.draft.set(self.scope, FIELDS[name], value)

    def _offered(self, name: str, value: str) -> None:
        """A decision that a button offers; patterns come behind those there are."""
        self.decide(name, joined_patterns(self.draft.get(self.scope, FIELDS[name]), value) if name in PATTERNS else value)

    def reset(self) -> None:
        """Take all decisions back, as one step."""
        self.context.undo.beginMacro("reset to detected")
        for name in list(self.draft.differing(self.scope)):
            self.decide(name, str(FIELDS[name].default))
        self.context.undo.endMacro()

    def _rename(self, shown: str, new: str) -> None:
        if self.report is not None and self.report.understood is not None:
            names = renamed(self.report.understood, shown, new)
            self.decide("rename", json.dumps(names, ensure_ascii=False) if names else "")

    def _changed(self, scope: str, _name: str) -> None:
        if scope == self.scope and not self._loading:
            self._later.start()
            self._show_verbs()

    def _called_back(self, scope: str) -> None:
        self.wanted.emit(scope.removeprefix(SCOPE))

    def _read_again(self) -> None:
        recipe = self.recipe
        whole = self.whole
        if whole is not None and whole.understood is not None and recipe == whole.understood.decisions and not self._failed:
            self.preview.give_up()  # back at what is known
            if self.report is not whole:
                self._show(whole)
            self._say_rest()
        elif recipe != self._asked or not self.preview.busy:
            self._asked = recipe
            self.status.set_text("Reading it again by these decisions.")
            self.preview.ask(name_with(self.path, recipe))
        self._show_verbs()

    # ------------------------------------------------------------------------------------------------ what comes of them

    def _show_progress(self, event: Progress) -> None:
        left = f" · {number(event.seconds_left, 0, 's')} left" if event.seconds_left and event.seconds_left > 1 else ""
        whole = "Reading all of it" if self._from_sample() else "Reading it again"
        done = f"{count(event.done)} of {things(event.total, event.unit)}" if event.total else things(event.done, event.unit)
        self.status.set_text(f"{whole}: {done}{left}. {self._what_is_shown()}")

    def _from_sample(self) -> bool:
        """Whether a sample by the decisions as they are is shown."""
        return self.report is not None and self.report.sampled > 0 and self._decided == self.recipe

    def _what_is_shown(self) -> str:
        if self.report is not None and self._from_sample():
            before = ", before the decisions about single images" if self._beside.get("curation") else ""
            return f"What is shown is from a sample of {things(self.report.sampled, 'image')}{before}."
        return "What is shown is of the decisions before." if self.report is not None else ""

    def _on_report(self, report: DataReport) -> None:
        if report.understood is None:
            self._on_failure("It is a text now; take the last decision back.")
        else:
            self._show(report)

    def _on_failure(self, message: str) -> None:
        self._failed = True
        self._decided = self.recipe
        self.summary.setVisible(self.report is not None)
        self.nothing.setVisible(self.report is None)
        self.status.set_text(message, "bad")
        self.form.point_at(message)
        self._show_verbs()

    def _on_stopped(self) -> None:
        self.status.set_text(f"Stopped. {self._what_is_shown()}", "warning")
        self._show_verbs()

    def _say_rest(self) -> None:
        report = self.report
        if report is not None and report.sampled:
            self.status.set_text(f"{self._what_is_shown()} All of it is being read." if self.preview.busy else self._what_is_shown())
        elif report is not None:
            images = sum(report.counts.values())
            classes = f" · {things(len(report.classes), 'class', 'classes')}" if report.classes else ""
            curated = " · as curated" if self._beside.get("curation") else ""
            self.status.set_text(f"{things(images, 'image')}{classes}{curated}, all of them read in {number(report.seconds, 1, 's')}.")
        else:
            self.status.set_text("")

    def _use(self) -> None:
        if self.report is not None:
            self.used.emit(self.report)

    # ------------------------------------------------------------------------------------------------ images of the tree

    def _ask_examples(self, rows: tuple[Row, ...]) -> None:
        if self.report is not None:
            query = ClassExamples(data=self.report.data, rows=rows, sample=self.report.sampled > 0)
            self.context.bridge.ask(EXAMPLES, query, self._on_examples, self._on_no_examples)

    def _on_examples(self, found: ClassExamplesFound) -> None:
        if self.report is not None and found.data == self.report.data:
            self.summary.tree.show_examples(found)

    def _on_no_examples(self, failure: QueryFailed) -> None:
        self.status.set_text(failure.message, "bad")

    # ------------------------------------------------------------------------------------------------ out of the window

    def _copy(self, what: str) -> None:
        recipe = self.recipe
        if what == "recipe":
            text = json.dumps(recipe, ensure_ascii=False)
        else:
            chosen = self.context.state.method_info
            text = command_for(self.path, recipe, chosen.name if chosen is not None and chosen.accepts == "images" else "vae")
        QGuiApplication.clipboard().setText(text)
        self.status.set_text("The recipe is on the clipboard." if what == "recipe" else f"On the clipboard: {text}")

    def _ask_chart(self, chart: ValueChart, kind: str) -> None:
        suggested = file_name(short_name(self.path), chart.name)
        ask_where(self, "Save values", suggested, kind, partial(self.save_chart, chart, kind), DRAWINGS if kind == "png" else ())

    def save_chart(self, chart: ValueChart, kind: str, path: str) -> None:
        about = {"Software": "Priorama", "data": self.path, "recipe": self._decided, "content": self.report.hash if self.report else ""}
        data = chart.figure().contents(path, about) if kind == "png" else csv_text(about, *chart.table())
        self.status.set_text(*save_file(path, data))
