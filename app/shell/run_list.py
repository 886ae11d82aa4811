"""The runs, one card each: name, method and data, what was changed, a dot with a word, the best number. Questions are asked in the card."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.final_figures import ACTION
from app.shell.plain_text import PlainLabel, set_tip
from engine.messages import JobChanged, MethodInfo, RunInfo

HEIGHT = 72  # px of a card with three lines
LINE = 18  # px of a further one
EDGE = 11  # px at either side
BUTTONS = {
    "delete": "Delete",
    "discard": "Discard",
    "keep": "Keep",
    "continue": "Continue",
    "first": "Train next",
    "resume": "Resume",
    "remove": "Remove",
}
QUESTIONS = {
    "delete": "Delete this run with all its files? It cannot be brought back.",
    "discard": "Discard this training with all its files? It cannot be brought back.",
}


@dataclass(frozen=True)
class Standing:
    """The state of a run in words: `level` is the colour, `reason` the sentence below the card when there is one."""

    level: str  # "good" | "accent" | "warning" | "bad" | "muted"
    word: str
    reason: str = ""
    can_continue: bool = False


def standing(info: RunInfo, job: JobChanged | None) -> Standing:
    """How a run stands, from its folder and from the job that writes it now, if there is one."""
    if info.fault:
        return Standing("bad", "damaged", info.fault)
    if job is not None:
        if job.state == "queued":
            if job.place < 0:
                return Standing("muted", "starting…", job.message)
            return Standing("muted", "queued, next" if job.place == 0 else f"queued, {ordinal(job.place + 1)}", job.message)
        words_of = {
            "running": ("good", "training"),
            "pausing": ("warning", "pausing…"),
            "paused": ("warning", "paused"),
            "waiting": ("warning", "waiting"),
            "stopping": ("muted", "stopping…"),
            "discarding": ("muted", "discarding…"),
        }
        level, word = words_of.get(job.state, ("good", job.state))
        return Standing(level, word, job.message if job.state in ("waiting", "paused") else "")
    if info.elsewhere:
        return Standing("good", "training elsewhere")
    resumable = any(c.resumable and not c.fault for c in info.checkpoints)
    match info.status:
        case "done":
            return Standing("accent", "done")
        case "paused":
            return Standing("warning", "paused", can_continue=resumable)
        case "stopped":
            return Standing("muted", "stopped")
        case "failed":
            return Standing("bad", "failed", info.message or "It failed without a word; the log may hold more.", can_continue=resumable)
        case "training":
            return Standing("good", "starting…" if info.step == 0 else "training")  # this window writes it, and its job says so in a moment
        case "interrupted":
            return Standing("warning", "interrupted", f"Closed unexpectedly at step {formatting.count(info.step)}.", can_continue=resumable)
        case "queued":
            return Standing("muted", "queued", can_continue=resumable)
        case "damaged":
            return Standing("bad", "damaged", info.message)
    return Standing("muted", info.status)


LOADING = "Loading your runs…"
NO_RUNS = "No runs yet. “New run” starts one on the built-in digits; a run folder can also be dropped here."
WAITING = "job:"  # a job that has no folder yet stands in the list under this and its own name


def waiting_run(job: JobChanged, methods: Mapping[str, MethodInfo], alike: bool = False) -> RunInfo:
    """A line for a job that has not begun, with the seed where another one that waits is `alike` but for it."""
    method, _, data = job.label.partition(" · ")
    title = methods[method].title if method in methods else method
    seed = f", seed {job.seed}" if alike and job.seed is not None else ""
    return RunInfo(WAITING + job.job, job.label, method, title, data, f"{data}{seed}", "queued", 0, None, (), {}, {}, "")


def newest_first(runs: Mapping[str, RunInfo]) -> dict[str, RunInfo]:
    """The runs by the time they were begun; those whose folder does not tell come last, as they stood."""

    def begun(info: RunInfo) -> float:
        return info.created if math.isfinite(info.created) else 0.0

    return {info.run: info for info in sorted(runs.values(), key=begun, reverse=True)}


def ordinal(place: int) -> str:
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


class RunEntry(QWidget):
    """One run. Its lines are painted; a reason or a question stands below them in widgets of its own."""

    def __init__(self, owner: RunList, info: RunInfo) -> None:
        super().__init__()
        self.owner = owner
        self.info = info
        self.job: JobChanged | None = None
        self.standing = standing(info, None)
        self._verbs = ("", "")
        self.selected = False
        self._hovered = False
        self._asking = ""  # "delete" or "discard" while the card asks whether to
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.resize(theme.LEFT_WIDTH - 24, HEIGHT)
        self.column = column = QVBoxLayout(self)
        column.setContentsMargins(EDGE, HEIGHT - 6, 9, 9)
        column.setSpacing(4)
        self.extra = QWidget()
        self.extra.setVisible(False)
        column.addWidget(self.extra)
        inside = QVBoxLayout(self.extra)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        self.reason = theme.role(PlainLabel(), "small")
        self.reason.setWordWrap(True)
        inside.addWidget(self.reason)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        self.yes = QPushButton()
        self.no = QPushButton()
        for button in (self.yes, self.no):
            button.setProperty("kind", "link")
            buttons.addWidget(button)
        buttons.addStretch()
        inside.addLayout(buttons)
        self.yes.clicked.connect(lambda: self._answer(0))
        self.no.clicked.connect(lambda: self._answer(1))
        self.show_run(info, None)

    def show_run(self, info: RunInfo, job: JobChanged | None) -> None:
        self.info, self.job = info, job
        self.standing = standing(info, job)
        if self._asking == ("delete" if job is not None else "discard"):
            self._asking = ""  # the training has begun or ended meanwhile
        self._lay_out()

    @property
    def title(self) -> str:
        """What the run is: method and data."""
        return f"{self.info.title or self.info.method or '?'} · {self.info.data_name or self.info.name}"

    @property
    def name(self) -> str:
        """How the run is called; what waits without a name of its own is called by what it is."""
        return self.info.name if self.info.name and not self.info.run.startswith(WAITING) else self.title

    def _lines(self) -> list[str]:
        """What stands between the name and the state, none wider than the card."""
        metrics, room = QFontMetrics(theme.font(12)), self.width() - 2 * EDGE

        def fits(text: str) -> bool:
            return metrics.horizontalAdvance(text) <= room

        waiting = self.info.run.startswith(WAITING)
        lines = ["has not begun"] if waiting else [] if self.info.fault else [self.title]
        settings = formatting.settings(self.info.changed, fits)
        return [*lines, *([settings] if settings else [])] or [" "]

    def _headline(self) -> str:
        return self.info.headline.replace("-", formatting.MINUS) if self.info.headline.startswith("-") else self.info.headline

    def _headline_below(self) -> int:
        """Height of the best number where it needs lines of its own, below the state; else 0."""
        metrics, room = QFontMetrics(theme.font(12)), self.width() - 2 * EDGE - 15
        if not self._headline() or metrics.horizontalAdvance(f"{self.standing.word}   {self._headline()}") <= room:
            return 0
        around = QRect(0, 0, max(room, 1), 10_000)
        return max(LINE, metrics.boundingRect(around, Qt.TextFlag.TextWordWrap.value, self._headline()).height() + 4)

    def _painted_height(self) -> int:
        return HEIGHT + LINE * (len(self._lines()) - 1) + self._headline_below()

    def _lay_out(self) -> None:
        """The sentence below the three lines and the two buttons that answer it."""
        queued = self.job is not None and self.job.state == "queued"
        self._verbs = ("", "")
        if self._asking:
            sentence = QUESTIONS[self._asking]
            self._verbs = (self._asking, "keep")
        else:
            sentence = self.standing.reason
            if queued and self.job is not None:
                self._verbs = ("first" if self.job.place > 0 else "", "remove")
            elif self.job is not None and self.job.state == "paused" and self.info.run.startswith(WAITING):
                self._verbs = ("resume", "remove")
            elif self.standing.can_continue and sentence:
                self._verbs = ("continue", "")
        self.reason.setText(sentence)
        self.reason.setVisible(bool(sentence))
        for button, verb in zip((self.yes, self.no), self._verbs, strict=True):
            button.setVisible(bool(verb))
            button.setText(BUTTONS.get(verb, ""))
            button.setAccessibleName(f"{BUTTONS.get(verb, 'Answer')}: {self.name}")
        self.extra.setVisible(bool(sentence) or self._verbs != ("", ""))
        self._fit()
        headline = f", {self.info.headline}" if self.info.headline else ""
        called = self.name if self.name == self.title else f"{self.name}, {self.title}"
        self.setAccessibleName(f"Run {called}, {self.standing.word}{headline}")
        tip = [self.name, self.title, formatting.settings(self.info.changed) or "all settings at their defaults", f"seed {self.info.seed}"]
        if self.standing.reason:
            tip.append(self.standing.reason)
        set_tip(self, "\n".join(tip))
        self.updateGeometry()
        self.update()

    def _fit(self) -> None:
        """As high as the sentence below needs at this width."""
        painted = self._painted_height()
        self.column.setContentsMargins(EDGE, painted - 6, 9, 9)
        self.column.activate()
        height = painted if self.extra.isHidden() else max(painted, self.column.totalHeightForWidth(self.width()))
        if height != self.minimumHeight():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def ask(self, verb: str) -> None:
        """Ask inside the card whether to "delete" or to "discard"; the button that keeps it has the focus."""
        self._asking = verb
        self._lay_out()
        self.no.setFocus()

    def remove(self) -> None:
        """Out of the queue. What has a folder already would lose it, so that is asked first."""
        if self.info.run.startswith(WAITING):
            self.owner.verb_chosen.emit(self.info.run, "discard")
        else:
            self.ask("discard")

    def _answer(self, place: int) -> None:
        verb = self._verbs[place]
        if self._asking:
            self._asking = ""
            self._lay_out()
            self.setFocus()
        run = self.info.run
        if verb == "delete":
            self.owner.delete_chosen.emit(run)
        elif verb == "continue":
            self.owner.continue_chosen.emit(run)
        elif verb == "remove":
            self.remove()
        elif verb in ("first", "resume", "discard"):
            self.owner.verb_chosen.emit(run, verb)

    def set_selected(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.owner.chosen.emit(self.info.run)

    def enterEvent(self, event: object) -> None:
        self._hovered = True
        self.update()

    def leaveEvent(self, event: object) -> None:
        self._hovered = False
        self.update()

    def focusInEvent(self, event: object) -> None:
        self.owner.ensureWidgetVisible(self, 0, 8)
        self.update()

    def focusOutEvent(self, event: object) -> None:
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.owner.chosen.emit(self.info.run)
            case Qt.Key.Key_Up:
                self.owner.walk(self, -1)
            case Qt.Key.Key_Down:
                self.owner.walk(self, 1)
            case Qt.Key.Key_Delete:
                if self.job is None and not self.info.elsewhere:
                    self.ask("delete")
            case Qt.Key.Key_Menu:
                self.owner.menu(self, self.mapToGlobal(QPoint(16, HEIGHT - 8)))
            case Qt.Key.Key_Escape if self._asking:
                self._answer(1)
            case _:
                super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.owner.menu(self, event.globalPos())

    def paintEvent(self, event: QPaintEvent) -> None:
        c = self.owner.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.selected or self._hovered or self.hasFocus():
            painter.setBrush(QColor(c.raised if self.selected else c.panel))
            painter.setPen(QPen(QColor(c.accent if self.hasFocus() else c.line), 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        left, right = EDGE, self.width() - EDGE
        bold, small = theme.font(13, bold=True), theme.font(12)
        painter.setFont(bold)
        painter.setPen(QColor(c.text))
        line = QFontMetrics(bold)
        painter.drawText(
            QRectF(left, 9, right - left, 19),
            int(Qt.AlignmentFlag.AlignVCenter),
            line.elidedText(self.name, Qt.TextElideMode.ElideMiddle, right - left),
        )
        painter.setFont(small)
        painter.setPen(QColor(c.muted))
        metrics = QFontMetrics(small)
        top = 28
        for text in self._lines():
            room = QRectF(left, top, right - left, LINE)  # names of data sets are people's own, too
            painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, right - left))
            top += LINE
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(getattr(c, self.standing.level)))
        painter.drawEllipse(QRectF(left, top + 5, 8, 8))
        painter.setPen(QColor(c.muted))
        state = QRectF(left + 15, top, right - left - 15, LINE)
        painter.drawText(state, int(Qt.AlignmentFlag.AlignVCenter), self.standing.word)
        if below := self._headline_below():
            room = QRectF(state.left(), state.bottom(), state.width(), below)
            painter.drawText(room, int((Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap).value), self._headline())
        else:
            painter.drawText(state, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), self._headline())


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
        self.column.addStretch()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.cards: dict[str, RunEntry] = {}

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
                self.column.insertWidget(place + 1, card)
            elif self.column.indexOf(card) != place + 1:
                self.column.removeWidget(card)
                self.column.insertWidget(place + 1, card)
            if card.info is not info or card.job is not job:
                card.show_run(info, job)
            card.set_selected(run == selected)
        self.empty.setVisible(not runs)

    def set_loaded(self, loaded: bool) -> None:
        """Whether the engine has told which runs there are."""
        self.empty.setText(NO_RUNS if loaded else LOADING)

    def sizeHint(self) -> QSize:
        """Enough for all cards without scrolling."""
        return QSize(theme.LEFT_WIDTH - 1, height_of(self.column, theme.LEFT_WIDTH - 1) + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, min(self.sizeHint().height(), 2 * HEIGHT))

    def walk(self, card: RunEntry, by: int) -> None:
        order = sorted(self.cards.values(), key=self.column.indexOf)
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
            go_on.setEnabled(not card.info.elsewhere and resumable)
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
            delete.setEnabled(not card.info.elsewhere)
        menu.popup(at)

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        for card in self.cards.values():
            card.update()
