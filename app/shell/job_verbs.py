"""What can be done with the chosen run now: Pause, Stop & keep, Discard while it trains here; Continue and Delete otherwise."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.plain_text import PlainLabel, set_tip
from engine.messages import JobChanged, Progress, RunInfo

ASKING_MS = 5000
PATIENCE_MS = 3000  # then a button can be pressed again, whether the engine has answered or not

CONSEQUENCES = {
    "pause": "Saves a checkpoint, frees the device, and goes on exactly here with “Resume”.",
    "resume": "Goes on exactly where it was paused.",
    "stop": "Stops after this batch and keeps the run with everything it has learned; it can be continued later.",
    "discard": "Stops and removes the run’s folder with all its checkpoints. This cannot be undone.",
    "first": "Puts this run at the head of the queue.",
    "continue": "Trains this run further from its newest checkpoint.",
    "delete": "Removes the run’s folder with all its checkpoints. This cannot be undone.",
}
SAYS = {
    "pause": "Pausing…",
    "resume": "Resuming…",
    "stop": "Stopping…",
    "discard": "Discarding…",
    "delete": "Deleting…",
    "first": "Moving…",
}


def steps_left(run: RunInfo) -> int:
    """Steps that a run lacks to those that were planned; 0 where none were or none are left."""
    return max(0, (run.total_steps or 0) - run.step)


def note_on_continuing(run: RunInfo) -> str:
    """What going on means for the learning rate of a run that has come to the end of its schedule."""
    if run.config.get("schedule", "constant") != "cosine" or steps_left(run) or not run.total_steps:
        return ""
    return "Its learning rate had fallen to zero; for more steps it jumps up again, and the loss with it at first."


class JobVerbs(QWidget):
    """Emits `chosen(verb)` and `continue_to(total steps)`. A press is answered on the button at once; the engine's word follows."""

    chosen = Signal(str)
    continue_to = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run: RunInfo | None = None
        self.job: JobChanged | None = None
        self._said: tuple[str, str, int] | None = None  # verb, the job's state and its place in the queue when it was pressed
        self._asked = ""  # the verb that waits for a second press
        self.status = theme.role(PlainLabel(), "muted")
        self.status.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.buttons = [QPushButton() for _ in range(3)]
        self.verbs = ["", "", ""]
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addStretch()
        for i, button in enumerate(self.buttons):
            row.addWidget(button)
            button.clicked.connect(lambda _checked=False, i=i: self._press(i))
        self.more = QSpinBox()
        self.more.setRange(1, 10_000_000)
        self.more.setValue(4000)
        self.more.setSingleStep(1000)
        self.more.setGroupSeparatorShown(False)
        self.more.setSuffix(" more steps")
        line = self.more.lineEdit()
        assert line is not None
        line.returnPressed.connect(self._go)
        self.more.setAccessibleName("More steps to train")
        self.go = QPushButton("Continue")
        self.go.setProperty("kind", "primary")
        self.go.setAccessibleName("Continue the training")
        self.back = QPushButton("Cancel")
        self.back.setAccessibleName("Do not continue")
        self.go.clicked.connect(self._go)
        self.back.clicked.connect(lambda: self._open(False))
        for widget in (self.more, self.go, self.back):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 16, 16, 14)
        column.setSpacing(4)
        column.addWidget(self.status, 1)
        column.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(ASKING_MS)
        self._timer.timeout.connect(self._calm)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._give_up)
        self.ends_by_itself = False  # of the run's method: what was planned says nothing of how long it takes
        self._opened = False
        self._began_at = 0  # the step of the run when its job was first seen: beyond it the training has started
        self.show_run(None, None, None)

    def rest(self) -> None:
        """The window closes: no timer goes on."""
        self._timer.stop()
        self._patience.stop()

    def show_run(self, run: RunInfo | None, job: JobChanged | None, progress: Progress | None) -> None:
        """The verbs that apply now, and how fast it goes."""
        if (run.run if run else None) != (self.run.run if self.run else None):
            self._said, self._asked, self._opened = None, "", False
        if run is not None and job is not None and (self.job is None or self.job.job != job.job):
            self._began_at = run.step
        self.run, self.job = run, job
        if self._said is not None and self._standing() != self._said[1:]:
            self._said = None
        if self._said is None:
            self._patience.stop()
        if job is not None:
            self._opened = False
        self.verbs = self._which()
        self._draw()
        self.show_progress(progress)

    def _standing(self) -> tuple[str, int]:
        """What changes when the engine has heard a verb."""
        return (self.job.state, self.job.place) if self.job else ("", -1)

    def _which(self) -> list[str]:
        if self.run is None:
            return ["", "", ""]
        if self.job is None and self.run.status == "training" and not self.run.elsewhere and not self.run.fault:
            return ["", "", ""]  # its job has just ended or is about to be told: the list says in a moment how it stands
        if self.job is None:
            resumable = any(c.resumable and not c.fault for c in self.run.checkpoints)
            return ["", "continue" if resumable and not self.run.elsewhere else "", "" if self.run.elsewhere else "delete"]
        if self.job.state == "queued":
            return ["first" if self.job.place > 0 else "", "", "discard"]
        if self.job.state == "paused":
            return ["resume", "stop", "discard"]
        return ["pause", "stop", "discard"]

    def show_progress(self, progress: Progress | None) -> None:
        if self._opened:
            return  # the line says what continuing means
        self.status.setText(self._status(progress))

    def _status(self, progress: Progress | None) -> str:
        if self.run is None:
            return ""
        if self.job is None:
            if self.run.elsewhere:
                return "Another process trains this run; here it is only watched."
            if self.run.status == "training" and not self.run.fault:
                return f"at step {formatting.count(self.run.step)}" if self.run.step else "starting…"
            return f"{self.run.status} at step {formatting.count(self.run.step)}" if not self.run.fault else "damaged"
        if self.job.state == "queued":
            if self.job.place < 0:
                return "starting…"
            return "next in the queue" if self.job.place == 0 else f"{self.job.place} before it in the queue"
        if self.job.state in ("running", "waiting") and self.job.message:
            return self.job.message
        if self.job.state != "running":
            return {"paused": "paused; the device is free"}.get(self.job.state, f"{self.job.state}…")
        if progress is None or progress.rate <= 0 or (progress.unit == "step" and not progress.done):
            began = self.run.step > self._began_at or (progress is not None and progress.unit == "step" and progress.done > self._began_at)
            return (progress.note if progress is not None else "") or ("training" if began else "starting…")
        left = f" · {formatting.duration(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        if self.ends_by_itself:
            left = " · ends by itself"
        return formatting.speed(progress.rate) + left

    def _draw(self) -> None:
        texts = {
            "pause": "Pause",
            "resume": "Resume",
            "stop": "Stop && keep",
            "discard": "Discard" if self.job is None or self.job.state != "queued" else "Remove",
            "first": "Train next",
            "continue": "Continue…",
            "delete": "Delete",
        }
        busy = self._said is not None or (self.job is not None and self.job.state in ("pausing", "stopping", "discarding"))
        for button, verb in zip(self.buttons, self.verbs, strict=True):
            button.setVisible(bool(verb) and not self._opened)
            if not verb:
                continue
            said = self._said is not None and self._said[0] == verb
            asked = self._asked == verb
            text = SAYS.get(verb, "") if said else ("Really discard?" if verb == "discard" else "Really delete?") if asked else texts[verb]
            button.setText(text)
            button.setAccessibleName(f"{text.replace('&&', 'and')} this run")
            set_tip(button, CONSEQUENCES[verb])
            button.setEnabled(not busy)
            kind = "danger" if asked else ""
            if button.property("kind") != kind:
                button.setProperty("kind", kind)
                theme.restyle(button)
        for widget in (self.more, self.go, self.back):
            widget.setVisible(self._opened)

    def press(self, verb: str) -> None:
        """As if its button was pressed, where it applies now."""
        if verb in self.verbs:
            self._press(self.verbs.index(verb))

    def _press(self, i: int) -> None:
        verb = self.verbs[i]
        if verb in ("discard", "delete") and self._asked != verb:
            self._asked = verb
            self._timer.start()
            self._draw()
            return
        self._asked = ""
        self._timer.stop()
        if verb == "continue":
            self._open(True)
            return
        self.acknowledge(verb)
        self.chosen.emit(verb)

    def acknowledge(self, verb: str) -> None:
        """Show that a verb was heard, until the engine answers."""
        if verb in self.verbs:
            self._said = (verb, *self._standing())
            self._patience.start()
            self._draw()

    def ask_continue(self) -> None:
        """Open the small form for more steps, where that is possible."""
        if "continue" in self.verbs:
            self._open(True)

    def _open(self, opened: bool) -> None:
        if opened and not self._opened and self.run is not None:
            self.more.setValue(steps_left(self.run) or 4000)
        self._opened = opened
        self._draw()
        self.status.setText(note_on_continuing(self.run) if opened and self.run is not None else self._status(None))
        if opened:
            self.more.setFocus()
            self.more.selectAll()

    def _go(self) -> None:
        if not self._opened:
            return
        self.more.interpretText()  # what was typed last counts
        self._opened = False
        start = self.run.step if self.run else 0
        self._draw()
        self.continue_to.emit(start + self.more.value())

    def _calm(self) -> None:
        self._asked = ""
        self._draw()

    def _give_up(self) -> None:
        """The engine has not answered; the verb may be pressed again."""
        self._said = None
        self._draw()
