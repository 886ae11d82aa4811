"""What leaves the Latent pane: pictures on the clipboard or as PNG, z as CSV, each with run, step and z."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QImage
from PySide6.QtWidgets import QMenu, QWidget

from app.panes.latent.axes import LatentAxes
from app.panes.latent.position import PositionHistory
from app.widgets.animation import OTHER_FILMS, FilmSpeed, film_bytes
from app.widgets.export import ask_where, copy_image, csv_text, file_name, png_bytes, save_file

FILM_FRAME_MS = 200
FILM_SIDE = 256  # px, about


class LatentExportSource(Protocol):
    """A part of the pane that has a picture to save."""

    def export_picture(self, scale: int) -> QImage:
        """Null when nothing has been drawn."""
        ...

    def export_details(self) -> dict[str, object]:
        """What the picture says about itself beside run, step and z."""
        ...


class LatentExport(QObject):
    """`sources` are the parts by name: "picture", "interpolation", "samples", "grid". `report` says what became of it."""

    def __init__(
        self,
        history: PositionHistory,
        sources: Mapping[str, LatentExportSource],
        axes: Callable[[], LatentAxes | None],
        report: Callable[..., None],
        class_asked: Callable[[], int | None],
        walk: Callable[[], list[QImage]],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.window = parent
        self.history, self.state = history, history.state
        self.sources, self.axes, self.report = sources, axes, report
        self.class_asked = class_asked  # that pictures are decoded as; None without classes
        self.walk = walk  # the frames of the way from A to B and back
        self.scale = 2  # of saved pictures
        self.speed: FilmSpeed | None = None  # of saved films, once the menu is there

    def menu(self) -> QMenu:
        """Every export, and the size of saved pictures."""
        menu = QMenu(self.window)
        for text, run in (
            ("Copy picture", self.copy_picture),
            ("Save picture as PNG…", partial(self._ask_png, "picture")),
            ("Save interpolation as PNG…", partial(self._ask_png, "interpolation")),
            ("Save interpolation as GIF, WebP or APNG…", self._ask_film),
            ("Save prior samples as PNG…", partial(self._ask_png, "samples")),
            ("Save 2-D grid as PNG…", partial(self._ask_png, "grid")),
            ("Save z as CSV…", self._ask_csv),
        ):
            action = menu.addAction(text)
            action.triggered.connect(partial(self._run, run))
        menu.addSeparator()
        group = QActionGroup(menu)
        for factor in (1, 2, 3, 4):
            action = QAction(f"PNG size {factor}×", menu, checkable=True, checked=factor == self.scale)  # type: ignore[call-overload]
            action.triggered.connect(partial(self._set_scale, factor))
            group.addAction(action)
            menu.addAction(action)
        menu.addSeparator()
        self.speed = FilmSpeed(menu)
        return menu

    def _run(self, run: Callable[[], object], _checked: bool = False) -> None:
        run()

    def _set_scale(self, factor: int, _checked: bool = False) -> None:
        self.scale = factor

    def recipe(self) -> dict[str, object]:
        """What an exported picture says about itself."""
        state, position = self.state, self.history.current
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama"}
        if info is not None:
            about |= {"run": info.name, "method": info.method, "data": info.data_name, "seed": str(info.seed), "config": info.config}
        if state.step is not None:
            about["step"] = str(state.step)
        if position is not None:
            if self.class_asked() is not None:
                about["class"] = self.class_asked()
            about["z"] = [round(float(value), 6) for value in position.z]
        return about

    def save_png(self, what: str, path: str) -> None:
        image = self.sources[what].export_picture(self.scale)
        if image.isNull():
            self.report("Nothing to save yet: it has not been drawn.", "bad")
            return
        self._write(path, png_bytes(image, self.recipe() | self.sources[what].export_details()))

    def save_film(self, path: str) -> None:
        """The way from A to B and back along the chosen path, again and again."""
        frames = self.walk()
        if not frames:
            self.report("Nothing to save yet: set A and B, and see the way between them.", "bad")
            return
        about = self.recipe() | self.sources["interpolation"].export_details()
        frame_ms = FILM_FRAME_MS / (1.0 if self.speed is None else self.speed.factor)
        self._write(path, film_bytes(frames, path, about, max(1, FILM_SIDE // frames[0].width()), frame_ms, frame_ms))

    def save_csv(self, path: str) -> None:
        """z, one line per dimension."""
        position, axes = self.history.current, self.axes()
        if position is None or axes is None:
            self.report("Nothing to save yet: there is no z.", "bad")
            return
        rows = []
        for rank, dim in enumerate(axes.order):
            kl = "" if axes.kl is None else repr(float(axes.kl[dim]))
            rows.append((rank + 1, dim, repr(float(position.z[dim])), repr(axes.sigmas(position.z, dim)), kl))
        about = {key: value for key, value in self.recipe().items() if key != "z"}
        self._write(path, csv_text(about, ("rank", "dimension", "z", "sigmas", "kl_nat"), rows))

    def copy_picture(self) -> None:
        image = self.sources["picture"].export_picture(self.scale)
        if not image.isNull():
            copy_image(image)
            self.report("The picture is on the clipboard.")

    def _write(self, path: str, data: bytes | str) -> None:
        self.report(*save_file(path, data))

    def _suggested(self, what: str) -> str:
        info = self.state.run_info
        return file_name(info.name if info else "latent", what, f"step-{self.state.step}")

    def _ask_png(self, what: str) -> None:
        ask_where(self.window, "Save as PNG", self._suggested(what), "png", partial(self.save_png, what))

    def _ask_film(self) -> None:
        ask_where(self.window, "Save the film", self._suggested("interpolation"), "gif", self.save_film, OTHER_FILMS)

    def _ask_csv(self) -> None:
        ask_where(self.window, "Save z as CSV", self._suggested("z"), "csv", self.save_csv)
