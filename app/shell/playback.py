"""Playing through the checkpoints of the chosen run, one after the other."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from app.shell.state import State

PLAY_MS = 500  # one checkpoint


class Playback(QObject):
    """Moves the time cursor of the state. `changed` says that it began or stopped."""

    changed = Signal(bool)

    def __init__(self, state: State, parent: QObject) -> None:
        super().__init__(parent)
        self.state = state
        self.timer = QTimer(self)
        self.timer.setInterval(PLAY_MS)
        self.timer.timeout.connect(self._go_on)

    @property
    def active(self) -> bool:
        return self.timer.isActive()

    def toggle(self) -> None:
        """Walk through the checkpoints, from the first one when the newest is shown."""
        if self.active:
            self.timer.stop()
        elif len(self.state.checkpoints) > 1:
            if self.state.step == self.state.checkpoints[-1].step:
                self.state.set_cursor(self.state.checkpoints[0].step)
            self.timer.start()
        self.changed.emit(self.active)

    def stop(self) -> None:
        self.timer.stop()
        self.changed.emit(False)

    def _go_on(self) -> None:
        steps = [c.step for c in self.state.checkpoints]
        later = [s for s in steps if self.state.step is not None and s > self.state.step]
        if len(later) <= 1:
            self.state.set_follow("newest")
            self.stop()
        else:
            self.state.set_cursor(later[0])
