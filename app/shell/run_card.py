"""One run as a card: name, method and data, what was changed, a dot with a word, the best number. Questions are asked in it."""

from __future__ import annotations

from typing import Any, Protocol

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.list_row import ListRow, RowOwner
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.run_standing import WAITING, standing
from engine.messages import JobChanged, RunInfo

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


class CardOwner(RowOwner, Protocol):
    """The list that a card stands in: its signals."""

    chosen: Any
    continue_chosen: Any
    delete_chosen: Any
    verb_chosen: Any


class RunEntry(ListRow):
    """One run. Its lines are painted; a reason or a question stands below them in widgets of its own."""

    def __init__(self, owner: CardOwner, info: RunInfo) -> None:
        super().__init__(owner, HEIGHT)
        self.owner = owner
        self.info = info
        self.job: JobChanged | None = None
        self.standing = standing(info, None)
        self._verbs = ("", "")
        self._asking = ""  # "delete" or "discard" while the card asks whether to
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

    def pick(self) -> None:
        self.owner.chosen.emit(self.info.run)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Delete:
                if self.job is None and not self.info.elsewhere:
                    self.ask("delete")
            case Qt.Key.Key_Escape if self._asking:
                self._answer(1)
            case _:
                super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = self.owner.colors
        painter = self.begin_painting()
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
