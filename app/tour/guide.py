"""The hands and the camera of the tour: fills in the form, waits for trainings, brings scenes about and photographs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.tour.scene import FEWEST_COLOURS, SIZES, THEMES, Scene, Shot, line


class Tour:
    """Uses one window (`driver` is its `WindowDriver`) as a person would; pictures go to `out`, files that are dropped to `scratch`."""

    def __init__(self, driver: Any, out: Path, scratch: Path) -> None:
        self.driver = driver
        self.window = driver.window
        self.out = out
        self.scratch = scratch
        self.shots: list[Shot] = []
        self.failures: list[str] = []
        self.visited: set[str] = set()

    def visit(self, scene: Scene) -> None:
        """Bring a scene about and photograph it in every size and theme."""
        started = time.perf_counter()
        scene.prepare()
        self.visited.add(scene.pane)
        for size in SIZES:
            self.window.resize(*size)
            for theme in THEMES:
                self.window.set_theme(theme)
                self.driver.settle()
                file = f"{scene.name}-{theme}-{size[0]}x{size[1]}.png"
                colours, _ = self.driver.photograph(self.out / file)
                empty = "next to nothing is to be seen" if colours < FEWEST_COLOURS else ""
                complaint = scene.complaint() or empty or self.driver.cut_off()
                shot = Shot(scene, theme, size, file, time.perf_counter() - started, complaint)
                self.shots.append(shot)
                print(line(shot), flush=True)
                started = time.perf_counter()
        self.window.resize(*SIZES[0])

    # -- what a person does ----------------------------------------------------------------------------------------------

    def show(self, name: str) -> Callable[[], None]:
        return lambda: self.driver.show_pane(name)

    def train(
        self,
        method: str,
        steps: int,
        data: str = "digits",
        meanwhile: Callable[[str], object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> str:
        """Fill in the form and press Start; returns the run's folder when it has ended.

        `meanwhile` is given the folder when the training has made its first steps; `settings` are the method's own, by name.
        """
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        window, page = self.window, self.window.new_run_page
        known = set(window.state.runs)
        window.new_run(method, data)
        field = next(field for field in page.groups[0].rows.values() if field.field.name == "steps")
        page.draft.set(field.scope, field.field, steps)
        for own in window.state.methods[method].fields:
            if settings and own.name in settings:
                page.draft.set(method, own, settings[own.name])
        self.driver.run_for(0.05)
        QTest.mouseClick(page.start, Qt.MouseButton.LeftButton)
        self.driver.wait(lambda: window.state.run not in (None, *known), f"the run of the {method} appeared", 60)
        run: str = window.state.run
        if meanwhile is not None:
            self.driver.wait(lambda: window.state.runs[run].step >= 64, "the training took its first steps", 60)
            meanwhile(run)
        self.driver.wait(
            lambda: window.state.job_of(run) is None and window.state.runs[run].status == "done", f"the {method} was trained", 900
        )
        self.driver.settle()
        return run

    def picture_of(self, text: str) -> Path:
        """An image file of a sign, to be dropped."""
        return draw_sign(text, self.scratch / f"{text}.png")


def draw_sign(text: str, file: Path, paper: str = "#101217") -> Path:
    """An image such as a person might have: a light sign that fills a dark page, in colour, of no special size. Empty: a dark page."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath

    from app.shell import theme

    image = QImage(96, 96, QImage.Format.Format_RGB32)
    image.fill(QColor(paper))
    path = QPainterPath()
    path.addText(0, 0, theme.font(90), text)
    bounds = path.boundingRect()
    painter = QPainter(image)
    if text:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(48, 48)
        painter.scale(56 / bounds.width(), 90 / bounds.height())
        painter.translate(-bounds.center())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#f4f5f8"))
        painter.drawPath(path)
    painter.end()
    image.save(str(file))
    return file
