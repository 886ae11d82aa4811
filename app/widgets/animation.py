"""A film of the window's pictures as one file, and the menu of its speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QImage
from PySide6.QtWidgets import QMenu

from engine.common import films
from engine.common.films import FRAME_MS, LAST_MS

OTHER_FILMS = tuple(ending for ending in films.FILMS if ending != "gif")
SPEEDS = {0.5: "½×", 1.0: "1×", 2.0: "2×"}


def film_bytes(
    frames: Sequence[QImage], path: str, about: Mapping[str, object], factor: int = 1, frame_ms: float = FRAME_MS, last_ms: float = LAST_MS
) -> bytes:
    """Frames of one size as the kind of film that the name of the file asks for, a GIF where it asks for none; else as
    `engine.common.films.film_bytes`.
    """
    ending = films.film_ending(path) or "gif"
    return films.film_bytes([pixels(frame) for frame in frames], ending, about, factor, frame_ms, last_ms)


class FilmSpeed(QObject):
    """The speed of saved films, as entries of a menu; 1 is that of the window."""

    def __init__(self, menu: QMenu) -> None:
        super().__init__(menu)
        self.factor = 1.0
        group = QActionGroup(menu)
        for factor, text in SPEEDS.items():
            action = QAction(f"Film speed {text}", menu, checkable=True, checked=factor == self.factor)  # type: ignore[call-overload]
            action.triggered.connect(partial(self._choose, factor))
            group.addAction(action)
            menu.addAction(action)

    def _choose(self, factor: float, _checked: bool = False) -> None:
        self.factor = factor


def pixels(image: QImage) -> np.ndarray:
    """uint8 [H, W, 3]"""
    plain = image.convertToFormat(QImage.Format.Format_RGB888)
    lines = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.bytesPerLine())
    return lines[:, : 3 * plain.width()].reshape(plain.height(), plain.width(), 3).copy()
