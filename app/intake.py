"""What comes in from outside: files that are opened, dropped or pasted. Images go to a pane, folders become data, run folders open."""

from __future__ import annotations

import itertools
import os
import tempfile
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from app.panes import Pane
from engine import messages as m

if TYPE_CHECKING:
    from app.window import Window

IMAGES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".ico"))
MOST_DROPPED = 64


def kind_of(path: str) -> str:
    """ "run", "data", "image" or "" for what is not there. Looks at names only; the engine reads."""
    if os.path.isdir(path):
        return "run" if os.path.isfile(os.path.join(path, "manifest.json")) else "data"
    if not os.path.exists(path):
        return ""
    return "image" if os.path.splitext(path)[1].lower() in IMAGES else "data"


class Intake:
    """The door of one window."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.awaited = ""  # a run folder that is looked at as soon as it is listed
        self._pasted = itertools.count(1)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Remove what was pasted."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @staticmethod
    def paths_of(data: QMimeData) -> list[str]:
        """The files and folders on this machine that are dragged or copied."""
        return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]

    def open_run(self) -> None:
        path = QFileDialog.getExistingDirectory(self.window, "Open a run folder", self.window.state.root)
        if path:
            self.take([path], wanted="run")

    def open_data(self) -> None:
        path = QFileDialog.getExistingDirectory(self.window, "Open a folder as a data set")
        if path:
            self.take([path], wanted="data")

    def open_data_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self.window, "Open a file as a data set", "", "Data (*.npz *.npy *.gz *-ubyte *.bin *.txt);;All files (*)"
        )
        if path:
            self.take([path], wanted="data")

    def open_image(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self.window, "Open images", "", "Images (" + " ".join(f"*{e}" for e in sorted(IMAGES)) + ");;All files (*)"
        )
        if paths:
            self.take(paths, wanted="image")

    def take(self, paths: list[str], wanted: str = "") -> None:
        """Open whatever was dropped, pasted or chosen: images go to the pane in front, run folders and data sets open."""
        images, data = [], []
        for path in paths[:MOST_DROPPED]:
            kind = wanted or kind_of(path)
            if kind == "image":
                images.append(path)
            elif kind == "run":
                self.window.settings.remember(path)
                self.awaited = os.path.abspath(path)
                self.window.bridge.send(m.OpenRun(self.awaited))
            elif kind == "data":
                self.window.settings.remember(path)
                data.append(os.path.abspath(path))
            else:
                self.window.say("warning", f"{path} is not there any more.")
        if data:
            self.open_data_sets(data)
        if images:
            self.give_images(images)

    def open_data_sets(self, paths: list[str]) -> None:
        """Inspect data sets; the Data pane looks into the last one by itself, and its report appears there."""
        self.window.show_panes()
        pane = self.window.docks.named("Data")
        for path in paths[:-1] if pane else paths:
            self.window.bridge.send(m.OpenData(self.window.bridge.new_job("data"), path))
        self.window.state.select_data(paths[-1])
        self.window.docks.show_pane(pane)

    def give_images(self, paths: list[str]) -> None:
        """Offer images to the front pane first, then to the others that can take them."""
        self.window.show_panes()
        for dock in self.window.docks.in_order():
            if not dock.why and (dock is self.window.docks.front or type(dock.pane).accept_image is not Pane.accept_image):
                taken = [path for path in paths if dock.pane.accept_image(path)]
                if taken:
                    self.window.docks.show_pane(type(dock.pane).__name__)
                    return
        front = self.window.docks.front
        why = (
            front.why if front is not None and front.why else "Choose a run that can look at images first, then drop it on its Latent pane."
        )
        self.window.say("warning", f"No pane can take {os.path.basename(paths[0])} now. {why}")

    def paste(self) -> None:
        """The clipboard's files or image; an image is written to a temporary file first."""
        clipboard = QGuiApplication.clipboard().mimeData()
        if clipboard is not None and clipboard.hasUrls():
            self.take(self.paths_of(clipboard))
        elif clipboard is not None and clipboard.hasImage():
            image = QGuiApplication.clipboard().image()
            path = os.path.join(self._scratch(), f"pasted-{next(self._pasted)}.png")
            if image.isNull() or not image.save(path):
                self.window.say("warning", "The image on the clipboard cannot be read.")
            else:
                self.give_images([path])
        else:
            self.window.say("info", "There is no image on the clipboard. Copy one, or drop a file on the window.")

    def _scratch(self) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="priorama-")
        return self._folder.name

    def foretell(self, paths: list[str]) -> str:
        """What will happen when these are let go."""
        kinds = [kind_of(path) for path in paths[:MOST_DROPPED]]
        name = os.path.basename(paths[0].rstrip("/")) or paths[0]
        if "image" in kinds:
            takers = [
                dock for dock in self.window.docks.in_order() if not dock.why and type(dock.pane).accept_image is not Pane.accept_image
            ]
            if not takers:
                return f"No pane can take {name} now: choose a run that can look at images first."
            what = name if len(paths) == 1 else f"{len(paths)} images"
            return f"{what} → {takers[0].pane.title}"
        return {"run": f"Open the run {name}", "data": f"Inspect {name} as a data set"}.get(kinds[0], f"{name} cannot be opened")
