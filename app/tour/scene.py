"""What the tour is made of: a scene is one thing to see, a shot is one picture of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SIZES = ((1280, 800), (1920, 1080))
THEMES = ("dark", "light")
FEWEST_COLOURS = 24  # a picture with fewer shows next to nothing


@dataclass(frozen=True)
class Scene:
    """One thing to see. `prepare` brings it about; `complaint` says what is wrong with it, empty when nothing is."""

    name: str  # the pictures' name
    pane: str
    shows: str
    prepare: Callable[[], object]
    complaint: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Shot:
    scene: Scene
    theme: str
    size: tuple[int, int]
    file: str
    seconds: float
    complaint: str


def line(shot: Shot) -> str:
    """A row of the table: pane, theme, size, file, seconds, what is shown."""
    size = f"{shot.size[0]}×{shot.size[1]}"
    shown = f"FAILED: {shot.complaint}" if shot.complaint else shot.scene.shows
    return f"{shot.scene.pane.removesuffix('Pane'):<11}{shot.theme:<7}{size:<11}{shot.file:<38}{shot.seconds:>6.1f} s  {shown}"
