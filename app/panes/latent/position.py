"""A position in a latent space, with the two ends of an interpolation; and the positions of all runs with their undo history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from app.shell.state import State
from app.shell.undo import push
from engine.common.interpolation import lerp, slerp

MERGE_SECONDS = 1.0  # moves by keyboard that follow each other within this time are one change to undo
CENTRE_NAME = "the middle of the space"


@dataclass(frozen=True, eq=False)
class LatentPosition:
    """A latent vector z [D] of one run and the ends A and B [D] of its interpolation, each float32. Undo goes from one to another."""

    z: np.ndarray
    name: str = CENTRE_NAME  # where z comes from; empty after a slider has moved it
    a: np.ndarray | None = None
    b: np.ndarray | None = None
    a_name: str = ""
    b_name: str = ""
    t: float = 0.5  # 0 is A, 1 is B
    path: str = "lerp"  # "lerp" | "slerp"
    label: int = 0  # the class that z is decoded as, where the decoder knows classes

    def moved_to(self, z: np.ndarray, name: str = "") -> LatentPosition:
        """The same with another z [D]."""
        return replace(self, z=np.asarray(z, np.float32), name=name)

    def with_end(self, end: str, name: str) -> LatentPosition:
        """The same with the present z as end "a" or "b"."""
        return replace(self, a=self.z, a_name=name, t=0.0) if end == "a" else replace(self, b=self.z, b_name=name, t=1.0)

    def with_image(self, z: np.ndarray, name: str, end: str = "") -> LatentPosition:
        """At the z [D] of an encoded image, which becomes `end`; without one: the first A, the second B, a later one the nearer end."""
        free = "a" if self.a is None or (self.b is not None and self.t < 0.5) else "b"
        return self.moved_to(z, name).with_end(end or free, name)

    def interpolated(self, t: float, path: str) -> LatentPosition:
        """The point t of the way from A to B; where one of them is missing only t and the path change."""
        after = replace(self, t=t, path=path)
        return after if self.a is None or self.b is None else after.moved_to(interpolate(self.a, self.b, t, path))

    def ends(self) -> list[tuple[str, str]]:
        """The letters that are set, with what they are."""
        both = (("A", self.a, self.a_name), ("B", self.b, self.b_name))
        return [(letter, name) for letter, z, name in both if z is not None]


def interpolate(a: np.ndarray, b: np.ndarray, t: float, path: str) -> np.ndarray:
    """The point t in [0, 1] between a and b on the straight line ("lerp") or the arc ("slerp"): [D], [D] -> float32 [D]."""
    between = slerp if path == "slerp" else lerp
    return between(a, b, np.array([t]))[0].astype(np.float32)


class PositionHistory(QObject):
    """The position in every run's latent space. It is only changed through the window's undo stack, except where it begins.

    A gesture is what one undo takes back: a drag from press to release, or keys in quick succession.
    """

    moved = Signal(object, object)  # LatentPosition before (or None) and after, of the run that is looked at

    def __init__(self, state: State, undo: QUndoStack, parent: QObject) -> None:
        super().__init__(parent)
        self.state, self.undo = state, undo
        self.positions: dict[str, LatentPosition] = {}  # run -> where it stands
        state.run_gone.connect(self._run_gone)
        self._gesture = 0
        self._moved_at = 0.0  # seconds; when the last gesture moved

    def _run_gone(self, run: str) -> None:
        self.positions.pop(run, None)

    @property
    def current(self) -> LatentPosition | None:
        """Of the run that is looked at."""
        return self.positions.get(self.state.run or "")

    def start_at(self, run: str, z: np.ndarray, name: str = CENTRE_NAME) -> LatentPosition:
        """Begin in a run's space anew, with nothing to undo."""
        position = self.positions[run] = LatentPosition(z=np.asarray(z, np.float32), name=name)
        return position

    def standing(self, z: np.ndarray, name: str) -> LatentPosition:
        """The position in the chosen run. One that was never opened here, or whose z has another length now, begins at `z`."""
        position = self.current
        return self.start_at(self.state.run or "", z, name) if position is None or len(position.z) != len(z) else position

    def end_gesture(self) -> None:
        """What comes now is another change to undo."""
        self._gesture += 1

    def gesture(self, name: str, held: bool) -> str:
        """A word for the moves of the slider `name` that are one change to undo; `held` while the mouse holds its knob."""
        now = monotonic()
        if not held and now - self._moved_at > MERGE_SECONDS:
            self.end_gesture()
        self._moved_at = now
        return f"{self._gesture}-{name}"

    def move(self, after: LatentPosition, text: str, gesture: str = "") -> None:
        """Go to a position of the chosen run; `text` says what undo takes back. Moves of one gesture become one."""
        run, before = self.state.run, self.current
        if run is None or before is None:
            return
        if not gesture:
            self.end_gesture()
        push(self.undo, MoveCommand(self, run, before, after, text, gesture))

    def go(self, run: str, position: LatentPosition) -> None:
        """Stand at a position of a run, without a trace in the undo stack."""
        before = self.positions.get(run)
        self.positions[run] = position
        if run == self.state.run:
            self.moved.emit(before, position)

    def look_at(self, run: str) -> bool:
        """Have the window look at a run; False when there is no such run any more."""
        if run not in self.state.runs:
            return False
        self.state.set_run(run)
        return True


class MoveCommand(QUndoCommand):
    """From one position to another; the moves of one gesture become one."""

    def __init__(self, history: PositionHistory, run: str, before: LatentPosition, after: LatentPosition, text: str, gesture: str) -> None:
        super().__init__(text)
        self.history, self.run, self.before, self.after, self.gesture = history, run, before, after, gesture

    def id(self) -> int:
        return 5150 if self.gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, MoveCommand) or other.history is not self.history:
            return False
        if (other.gesture, other.run) != (self.gesture, self.run):
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        self._go(self.after)

    def undo(self) -> None:
        self._go(self.before)

    def _go(self, position: LatentPosition) -> None:
        """Nothing changes unseen: the run of the move is looked at first, and without it there is nothing to go back to."""
        if self.history.look_at(self.run):
            self.history.go(self.run, position)
        else:
            self.setObsolete(True)
