"""How a change gets onto the window's undo stack."""

from __future__ import annotations

from PySide6.QtGui import QUndoCommand, QUndoStack


def push(stack: QUndoStack, command: QUndoCommand) -> None:
    """Do a command and keep it on the stack, or let the newest one there take it in where both have an `id` and it can (`mergeWith`).

    As `QUndoStack.push`, but a command that was taken in is forgotten: Qt deletes it within its call, and PySide (6.11) takes hold
    of it afterwards and never lets go, so that each move of a slider would stay in memory.
    """
    index = stack.index()
    newest = stack.command(index - 1) if 0 < index == stack.count() else None  # what was undone is Qt's to drop
    if newest is not None and newest.id() == command.id() != -1 and newest.mergeWith(command):
        command.redo()
    else:
        stack.push(command)
