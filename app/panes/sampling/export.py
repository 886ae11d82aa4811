"""Samples out of the window: PNG of what is shown, films, text, clipboard. Every file says how it was made."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QActionGroup, QImage
from PySide6.QtWidgets import QMenu, QWidget

from app.panes.sampling.controller import SamplingController
from app.panes.sampling.rollout import RolloutCard
from app.panes.sampling.samples_view import SamplesView
from app.widgets.animation import OTHER_FILMS, FilmSpeed, film_bytes
from app.widgets.export import ask_where, copy_image, csv_text, file_name, png_bytes, save_file
from engine.common.films import FRAME_MS, LAST_MS

GIF_FRAMES = 48
GIF_SIDE = 320  # px, about


class SamplingExports(QMenu):
    """The menu of the pane's “Export” button; `reported(text, level)` says what became of a file."""

    reported = Signal(str, str)

    def __init__(self, samples: SamplingController, view: SamplesView, rollout: RolloutCard, parent: QWidget) -> None:
        super().__init__(parent)
        self.samples, self.view, self.rollout = samples, view, rollout
        self.scale_factor = 4  # of exported pictures, in screen pixels per pixel
        self.entries: dict[str, QAction] = {}
        for name, text, run in (
            ("copy", "Copy samples", self.copy_picture),
            ("png", "Save samples as PNG…", partial(self._save_dialog, "png")),
            ("gif", "Save growth as GIF, WebP or APNG…", partial(self._save_dialog, "gif")),
            ("rollout", "Save next frames as GIF, WebP or APNG…", partial(self._save_dialog, "rollout")),
            ("txt", "Save text…", partial(self._save_dialog, "txt")),
        ):
            self.entries[name] = self.addAction(text)
            self.entries[name].triggered.connect(run)
        self.addSeparator()
        group = QActionGroup(self)
        for factor in (1, 4, 8, 16):
            action = QAction(f"PNG size {factor}×", self, checkable=True, checked=factor == self.scale_factor)  # type: ignore[call-overload]
            action.triggered.connect(partial(self._set_scale, factor))
            group.addAction(action)
            self.addAction(action)
        self.addSeparator()
        self.speed = FilmSpeed(self)

    def enable(self, *, text: bool) -> None:
        """Offer what can be made of the node that is looked at."""
        node = self.samples.node
        self.entries["rollout"].setEnabled(self.rollout.film is not None)
        for name, action in self.entries.items():
            if name == "rollout":
                continue
            action.setEnabled(node is not None and (name == "txt") == text and not (name == "gif" and not node.has_film))

    def recipe(self) -> dict[str, object]:
        """What an exported file says about itself."""
        state, node = self.samples.context.state, self.samples.node
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama"}
        if info is not None:
            about |= {"run": info.name, "method": info.method, "data": info.data_name, "seed": str(info.seed), "config": info.config}
        if node is not None:
            s, step, position, path = node.settings, node.step, self.samples.film.position, [one.title() for one in node.path()]
            grid = self.view.canvas.grid
            if grid is not None and grid.before is not None:  # the last finished samples are shown, until those asked for are
                s, step, position, path = grid.before.settings, grid.before.step, node.length, [grid.before.settings.summary()]
            about |= {"step": str(step), "sample_seed": s.seed, "samples": s.count, "temperature": s.temperature}
            fields = self.samples.sampler_fields()
            if fields is not None:
                del about["temperature"]
                about["sample_settings"] = {field.name: dict(s.sampler).get(field.name, field.default) for field in fields}
            about |= {"top_k": s.top_k, "top_p": s.top_p, "class": s.label, "caption": s.caption, "place": position}
            if node.iterative:
                about["places"] = node.length
            if self.samples.is_text():
                about |= {"prompt": s.prompt, "length": s.length}
            about["path"] = " > ".join(path)
            about["choices"] = [list(one.change) for one in node.path() if one.change is not None]
            nats = [node.log_likelihood(row) for row in node.display_order()]
            about["log_p_nat"] = [None if value is None else round(value, 4) for value in nats]
        return about

    def image(self) -> QImage:
        """The samples as they are shown, every pixel `scale_factor` pixels wide; null when there are none."""
        return self.view.canvas.picture(self.scale_factor)

    def save_png(self, path: str) -> None:
        image = self.image()
        if image.isNull():
            self.reported.emit("Nothing to save yet: no image has grown.", "bad")
            return
        self._write(path, png_bytes(image, self.recipe()))

    def save_gif(self, path: str) -> None:
        """The film from its beginning to what is shown."""
        node, position = self.samples.node, self.samples.film.position
        last = None if node is None else self.view.grid(node, position)
        if node is None or last is None or not node.has_film or position < node.depth:
            self.reported.emit("Nothing to save yet: no image has grown.", "bad")
            return
        positions = np.unique(np.linspace(0, position // node.depth, GIF_FRAMES).astype(int)) * node.depth
        side = max(self.view.canvas.picture(1, last).width(), 1)
        frames = [self.view.canvas.picture(1, self.view.grid(node, int(at))) for at in positions]
        speed = self.speed.factor
        factor = max(1, GIF_SIDE // side)
        self._write(path, film_bytes(frames, path, self.recipe(), factor, FRAME_MS / speed, LAST_MS / speed))

    def save_rollout(self, path: str) -> None:
        """The true frames beside the drawn ones, as far as they are drawn."""
        card = self.rollout
        if card.film is None:
            self.reported.emit("Nothing to save yet: no frame has been drawn.", "bad")
            return
        frames, speed = card.pictures(), self.speed.factor
        factor = max(1, GIF_SIDE // frames[0].width())
        self._write(path, film_bytes(frames, path, card.recipe() | self._of_run(), factor, card.frame_ms / speed, LAST_MS / speed))

    def _of_run(self) -> dict[str, object]:
        """What a file says of the run and the step of the time cursor."""
        state = self.samples.context.state
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama"}
        if info is not None:
            about |= {"run": info.name, "method": info.method, "data": info.data_name, "step": str(state.step)}
        return about

    def save_text(self, path: str) -> None:
        node = self.samples.node
        if node is None or not any(node.texts):
            self.reported.emit("Nothing to save yet: no text has grown.", "bad")
            return
        texts = (node.texts[row] for row in node.display_order())
        self._write(path, csv_text(self.recipe(), (), ()) + "\n\n".join(["", *texts]).lstrip("\n"))

    def copy_picture(self) -> None:
        image = self.image()
        if not image.isNull():
            copy_image(image)
            self.reported.emit("The samples are on the clipboard.", "")

    def _write(self, path: str, data: bytes | str) -> None:
        self.reported.emit(*save_file(path, data))

    def _save_dialog(self, what: str, _checked: bool = False) -> None:
        info, node = self.samples.context.state.run_info, self.samples.node
        step = None if node is None else node.step
        named = {"gif": "growth", "rollout": "next-frames"}.get(what, "samples")
        suggested = file_name(info.name if info else "samples", named, f"step-{step}")
        saves = {"png": self.save_png, "gif": self.save_gif, "rollout": self.save_rollout, "txt": self.save_text}
        if what in ("gif", "rollout"):
            ask_where(self.view, "Save the film", suggested, "gif", saves[what], OTHER_FILMS)
        else:
            ask_where(self.view, f"Save as {what.upper()}", suggested, what, saves[what])

    def _set_scale(self, factor: int, _checked: bool = False) -> None:
        self.scale_factor = factor
