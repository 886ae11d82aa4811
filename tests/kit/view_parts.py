"""A mouse and batches of views for the tests of the parts of the Views pane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from engine import messages as m

BOX = (0, 0, 8, 8)


def move(widget: QWidget, to: QPointF, held: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    """The mouse moves, whatever lies under the real pointer."""
    event = QMouseEvent(QEvent.Type.MouseMove, to, widget.mapToGlobal(to), Qt.MouseButton.NoButton, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(widget, event)


def batch(n: int = 3, locals_: int = 0, roles: tuple[str, str] = ("", ""), **changes) -> m.BatchShown:
    """Two views of n random images (and local crops of half the side), with cosines of random vectors."""
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
    drawn = tuple(m.Drawn((i % 3, 0, 5, 6), flipped=i % 2 == 0, hue=0.04) for i in range(n))
    views = [m.ShownView(f"view {k + 1}", roles[k], rng.random((n, 3, 8, 8), dtype=np.float32), drawn) for k in range(2)]
    views += [m.ShownView(f"local {k + 1}", "student", rng.random((n, 3, 4, 4), dtype=np.float32), drawn) for k in range(locals_)]
    watchers = []
    for place, view in enumerate(views):
        watchers += [m.Watcher(place, role, f"{view.name}, {role}" if role else view.name) for role in view.role.split(" and ")]
    vectors = rng.normal(size=(len(watchers), n, 16))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    rows = (0, 1) if not roles[0] else (0,)
    columns = (0, 1) if not roles[0] else (1,)
    matrix = vectors[list(rows)].reshape(-1, 16) @ vectors[list(columns)].reshape(-1, 16).T
    made = m.BatchShown(
        stamp=0, run="/runs/a", step=4, indices=np.arange(n) + 100, labels=("cat", "dog", "owl")[:n], originals=originals,
        views=tuple(views), watchers=tuple(watchers), cosines=np.einsum("knd,lnd->nkl", vectors, vectors).astype(np.float32), pair=(0, 1),
        before=None, matrix=matrix.astype(np.float32), rows=rows, columns=columns, batch=64, piece=64, exact=True, notes=(),
        compares="projections",
    )  # fmt: skip
    return replace(made, **changes)
