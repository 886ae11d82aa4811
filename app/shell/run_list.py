"""The runs, one card each, and what a person can do with one. Those that wait for their turn fold into one line."""

from __future__ import annotations

import os

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QMenu, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.final_figures import ACTION
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.run_card import HEIGHT, RunEntry
from app.shell.run_standing import WAITING
from engine.messages import JobChanged, RunInfo

FOLDED_FROM = 3  # trainings that wait: fewer keep their cards
CARDS_FROM = 2  # place in the column: above them the sentence of an empty list, and the line of those that wait
LOADING = "Loading your runs…"
NO_RUNS = "No runs yet. “New run” starts one on the built-in digits; a run folder can also be dropped here."


def waits(job: JobChanged | None) -> bool:
    """Whether a training has not begun: it is in the queue, or was when the window was closed."""
    return job is not None and (job.state == "queued" or (job.state == "paused" and not job.run))


def height_of(column: QVBoxLayout, width: int) -> int:
    """What a list needs at its width: a sentence that wraps needs more there than by itself."""
    return column.totalHeightForWidth(width) if column.hasHeightForWidth() else column.sizeHint().height()


class Contents(QWidget):
    """The inside of a list; tells the list when it needs another height."""

    def __init__(self, owner: QScrollArea) -> None:
        super().__init__()
        self.setObjectName("contents")
        self.owner = owner

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self.owner.updateGeometry()
        return done


class RunList(QScrollArea):
    """All runs. Emits what the person wants; does nothing itself."""

    chosen = Signal(str)
    continue_chosen = Signal(str)
    delete_chosen = Signal(str)
    export_chosen = Signal(str, bool, bool)  # with its data, without what resuming needs
    verb_chosen = Signal(str, str)  # run, "pause" | "resume" | "stop" | "discard" | "first" | "earlier" | "later"
    repeat_chosen = Signal(str)
    final_chosen = Signal(str)
    start_again_chosen = Signal(str)
    open_folder_chosen = Signal(str)
    copy_path_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Runs")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.colors = theme.DARK
        body = Contents(self)
        self.setWidget(body)
        self.column = QVBoxLayout(body)
        self.column.setContentsMargins(12, 0, 12, 0)
        self.column.setSpacing(4)
        self.empty = theme.role(PlainLabel(LOADING), "muted")
        self.empty.setWordWrap(True)
        self.empty.setContentsMargins(4, 0, 4, 0)
        self.column.addWidget(self.empty)
        self.fold = QPushButton()  # the trainings that wait, as one line
        self.fold.setProperty("kind", "link")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self._show_waiting)
        self.fold.hide()
        self.column.addWidget(self.fold, 0, Qt.AlignmentFlag.AlignLeft)
        self.column.addStretch()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.cards: dict[str, RunEntry] = {}
        self._waiting: list[str] = []  # runs that the line stands for
        self._led_to: str | None = None  # the chosen run that was scrolled to

    def show_runs(self, runs: dict[str, RunInfo], jobs: dict[str, JobChanged], selected: str | None) -> None:
        """`jobs` by run. New cards are made, gone ones removed, the rest shown afresh; order is that of `runs`."""
        for gone in [run for run in self.cards if run not in runs]:
            card = self.cards.pop(gone)
            self.column.removeWidget(card)
            card.hide()
            card.deleteLater()
        for place, (run, info) in enumerate(runs.items()):
            card = self.cards.get(run)
            job = jobs.get(run)
            if card is None:
                card = self.cards[run] = RunEntry(self, info)
                self.column.insertWidget(place + CARDS_FROM, card)
            elif self.column.indexOf(card) != place + CARDS_FROM:
                self.column.removeWidget(card)
                self.column.insertWidget(place + CARDS_FROM, card)
            if card.info is not info or card.job is not job:
                card.show_run(info, job)
            card.set_selected(run == selected)
        self.empty.setVisible(not runs)
        waiting = [run for run in runs if run != selected and waits(jobs.get(run))]
        self._waiting = waiting if len(waiting) >= FOLDED_FROM else []
        self._show_waiting()
        if selected != self._led_to:
            self._led_to = selected
            QTimer.singleShot(0, self, self.lead_to_chosen)  # when all cards have their places

    def lead_to_chosen(self) -> None:
        """Scroll to the chosen run, which a start or another place of the window may have chosen."""
        card = self.cards.get(self._led_to or "")
        if card is not None and not card.isHidden():
            self.ensureWidgetVisible(card, 0, 8)

    def _show_waiting(self) -> None:
        """The trainings that wait: one line, and below it their cards once it was opened."""
        opened = self.fold.isChecked()
        states = {card.job.state for run in self._waiting if (card := self.cards[run]).job is not None}
        text = f"{len(self._waiting)} {'queued' if states == {'queued'} else 'waiting'}"
        self.fold.setText(f"{text} {'▾' if opened else '▸'}")
        self.fold.setAccessibleName(f"{text}, {'shown below' if opened else 'not shown'}")
        set_tip(self.fold, "Hide those that wait" if opened else "Show those that wait, each with its place in the queue")
        self.fold.setVisible(bool(self._waiting))
        for run, card in self.cards.items():
            card.setVisible(opened or run not in self._waiting)
        self.updateGeometry()

    def set_loaded(self, loaded: bool) -> None:
        """Whether the engine has told which runs there are."""
        self.empty.setText(NO_RUNS if loaded else LOADING)

    def sizeHint(self) -> QSize:
        """Enough for all cards without scrolling."""
        return QSize(theme.LEFT_WIDTH - 1, height_of(self.column, theme.LEFT_WIDTH - 1) + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, min(self.sizeHint().height(), 2 * HEIGHT))

    def walk(self, card: RunEntry, by: int) -> None:
        order = sorted((one for one in self.cards.values() if not one.isHidden()), key=self.column.indexOf)
        place = order.index(card) + by
        if 0 <= place < len(order):
            order[place].setFocus()
            self.chosen.emit(order[place].info.run)

    def menu(self, card: RunEntry, at: QPoint) -> None:
        """The verbs that apply to a run now."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        run, job = card.info.run, card.job
        if job is not None:
            if job.state in ("running", "waiting"):
                menu.addAction("Pause", lambda: self.verb_chosen.emit(run, "pause"))
            if job.state == "paused":
                menu.addAction("Resume", lambda: self.verb_chosen.emit(run, "resume"))
            if job.state == "queued":
                menu.addAction("Train next", lambda: self.verb_chosen.emit(run, "first"))
                menu.addAction("Earlier in the queue", lambda: self.verb_chosen.emit(run, "earlier"))
                menu.addAction("Later in the queue", lambda: self.verb_chosen.emit(run, "later"))
            if not run.startswith(WAITING):
                menu.addAction("Stop && keep", lambda: self.verb_chosen.emit(run, "stop"))
            menu.addAction("Remove from the queue" if run.startswith(WAITING) else "Discard…", card.remove)
        else:
            go_on = menu.addAction("Continue…", lambda: self.continue_chosen.emit(run))
            resumable = any(c.resumable and not c.fault for c in card.info.checkpoints)
            go_on.setEnabled(not card.info.elsewhere and resumable and card.info.status != "training")
            if card.info.method and not card.info.checkpoints and not card.info.elsewhere:
                menu.addAction("Start again", lambda: self.start_again_chosen.emit(run))
        if card.info.method and not run.startswith(WAITING):
            menu.addAction("Repeat ×3: two more seeds", lambda: self.repeat_chosen.emit(run))
        if job is None and card.info.checkpoints:
            final = menu.addAction(ACTION, lambda: self.final_chosen.emit(run))
            final.setEnabled(not card.info.elsewhere)
        if run.startswith(WAITING):
            menu.popup(at)
            return
        menu.addSeparator()
        size, resume = card.info.bytes, card.info.resume_bytes
        menu.addAction(f"Export{formatting.in_brackets(size)}…", lambda: self.export_chosen.emit(run, False, False))
        if resume:
            small = f"Export without the resume state{formatting.in_brackets(size - resume)}…"
            menu.addAction(small, lambda: self.export_chosen.emit(run, False, True))
        if os.path.isabs(card.info.data):
            menu.addAction("Export with its data…", lambda: self.export_chosen.emit(run, True, False))
        menu.addAction("Open folder", lambda: self.open_folder_chosen.emit(run))
        menu.addAction("Copy path", lambda: self.copy_path_chosen.emit(run))
        if job is None:
            menu.addSeparator()
            delete = menu.addAction("Delete…", lambda: card.ask("delete"))
            delete.setEnabled(not card.info.elsewhere and card.info.status != "training")  # whose job has only just ended
        menu.popup(at)

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        for card in self.cards.values():
            card.update()
