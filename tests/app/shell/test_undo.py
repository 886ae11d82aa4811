"""Commands on the undo stack: what one undo takes back is what Qt's own stack takes back, and what was merged is let go."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
from PySide6.QtGui import QUndoCommand, QUndoStack

from app.shell.undo import push

pytestmark = pytest.mark.usefixtures("qapp")


class Put(QUndoCommand):
    """Sets a number; those of one gesture become one."""

    def __init__(self, held: list[int], value: int, gesture: int) -> None:
        super().__init__(f"to {value}")
        self.held, self.before, self.after, self.gesture = held, held[0], value, gesture

    def id(self) -> int:
        return 7 if self.gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, Put) or other.gesture != self.gesture:
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        self.held[0] = self.after

    def undo(self) -> None:
        self.held[0] = self.before


def test_that_it_does_what_qts_own_push_does():
    rng = random.Random(0)
    ours, theirs, mine, qts = QUndoStack(), QUndoStack(), [0], [0]
    for stack in (ours, theirs):
        stack.setUndoLimit(8)
    for number in range(300):
        what = rng.choice(("put", "put", "put", "undo", "redo"))
        gesture = rng.randrange(3)
        if what == "put":
            push(ours, Put(mine, number, gesture))
            theirs.push(Put(qts, number, gesture))
        else:
            getattr(ours, what)()
            getattr(theirs, what)()
        assert mine == qts
        told = [(stack.count(), stack.index(), stack.undoText(), stack.redoText(), stack.canRedo()) for stack in (ours, theirs)]
        assert told[0] == told[1]


def test_that_what_was_merged_is_not_kept():
    stack, held = QUndoStack(), [0]
    first = Put(held, 1, 1)
    push(stack, first)
    kept = []
    for value in range(2, 50):
        command = Put(held, value, 1)
        kept.append(weakref.ref(command))
        push(stack, command)
    del command
    gc.collect()
    assert held == [49] and stack.count() == 1
    assert [ref for ref in kept if ref() is not None] == []
    stack.undo()
    assert held == [0]
