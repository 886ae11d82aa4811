"""What comes in from outside: files that are opened, dropped or pasted. Images go to a pane, folders become data, run folders open."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.shell.bridge import Bridge
from app.shell.centre import Centre
from app.shell.formatting import count
from app.shell.layout import PaneDock
from app.shell.settings import Settings
from app.shell.state import State
from app.widgets.export import IMAGE_FILTER, ask_folder, ask_which
from engine import messages as m
from engine.common.data_names import split_name
from engine.common.file_endings import DATA, IMAGE_SETS, PICTURES, dialog_filter

BUNDLE_TAIL = 1024  # bytes
MOST_DROPPED = 64
MOST_OF_A_BATCH = 2000  # files that a pane for batches is given at once
CIFAR = ("data_batch_1", "test_batch", "train", "test")  # files without an ending
BUNDLE_FILTER = "Exported runs (*.zip);;All files (*)"
DATA_FILTER = dialog_filter("Data files", DATA)


def kind_of(path: str) -> str:
    """ "run", "bundle" (a run in one file), "data", "image" or "" for what is not there. Looks at names only; the engine reads."""
    if os.path.isdir(path):
        return "run" if os.path.isfile(os.path.join(path, "manifest.json")) else "data"
    if not os.path.exists(path):
        return ""
    if path.lower().endswith(".zip") and is_bundle(path):
        return "bundle"
    return "image" if os.path.splitext(path)[1].lower() in PICTURES else "data"


def is_bundle(path: str) -> bool:
    """Whether the last name in an archive's table of contents is the one that `export` writes last."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - BUNDLE_TAIL))
            return b"bundle.json" in file.read(BUNDLE_TAIL)
    except OSError:
        return False


def files_in(folder: str, most: int = MOST_OF_A_BATCH) -> list[str]:
    """Files in a folder and the folders in it, by name, hidden ones left out: which of them are images the engine says, file by file."""
    found: list[str] = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(where, name) for name in sorted(files) if not name.startswith(".")]
        if len(found) > most:
            break
    return found


def is_data_set(path: str) -> bool:
    """Whether the names of the files in a folder, or of a file, say that it is a data set and no pictures to look at one by one."""
    if not os.path.isdir(path):
        return path.lower().endswith(IMAGE_SETS)
    found = files_in(path)
    images = any(os.path.splitext(name)[1].lower() in PICTURES for name in found)
    return not images and any(name.lower().endswith(IMAGE_SETS) or os.path.basename(name) in CIFAR for name in found)


def may_be_image(path: str) -> bool:
    """Whether a file that is dropped by itself on a pane for batches goes to it; what it really is says the engine."""
    return not path.lower().endswith((*DATA, ".gz"))


class DropHandler:
    """The door of one window. `open_run` has a run folder listed and looks at it then, `import_run` unpacks a bundle.

    `parent` is what file dialogs stand before.
    """

    def __init__(
        self,
        centre: Centre,
        state: State,
        bridge: Bridge,
        settings: Settings,
        open_run: Callable[[str], object],
        import_run: Callable[[str], object],
        parent: QWidget,
    ) -> None:
        self.centre, self.state, self.bridge, self.settings = centre, state, bridge, settings
        self.open_run, self.import_run, self.parent = open_run, import_run, parent
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

    def ask_run(self) -> None:
        ask_folder(self.parent, "Open a run folder", lambda path: self.take([path], wanted="run"), self.state.root)

    def ask_bundle(self) -> None:
        ask_which(self.parent, "Import a run", BUNDLE_FILTER, lambda paths: self.take(paths, wanted="bundle"))

    def ask_data(self) -> None:
        ask_folder(self.parent, "Open a folder as a data set", lambda path: self.take([path], wanted="data"))

    def ask_data_file(self) -> None:
        ask_which(self.parent, "Open a file as a data set", DATA_FILTER, lambda paths: self.take(paths, wanted="data"))

    def ask_image(self) -> None:
        ask_which(self.parent, "Open images", IMAGE_FILTER, lambda paths: self.take(paths, wanted="image"), many=True)

    def take(self, paths: list[str], wanted: str = "", dock: PaneDock | None = None) -> None:
        """Open whatever was dropped (on `dock`), pasted or chosen: images go to a pane, run folders and data sets open."""
        if not paths:
            self.centre.say("info", "Only files and folders on this machine can be opened. Save it to a file first, and drop that.")
            return
        images, data, runs = [], [], []
        onto = dock or (self.centre.docks.front if wanted == "image" or all(kind_of(path) == "image" for path in paths) else None)
        if onto is not None and not onto.why and onto.pane.takes_folders and wanted in ("", "image"):
            paths = self._give_batch(paths, onto)
        for path in paths[:MOST_DROPPED]:
            kind = wanted or kind_of(path)
            if kind == "image":
                images.append(path)
            elif kind in ("run", "bundle"):
                if kind == "run":
                    self.settings.remember(path)
                runs.append((kind, path))
            elif kind == "data":
                self.settings.remember(path)
                data.append(os.path.abspath(path))
            else:
                self.centre.say("warning", f"{path} is not there any more.")
        if data:
            self.open_data_sets(data)
        if images:
            self.give_images(images, dock)
        for kind, path in runs:  # last: where the data and the images lead is no turning away from them
            (self.open_run if kind == "run" else self.import_run)(path)
        if len(paths) > MOST_DROPPED:
            left = f"The first {MOST_DROPPED} of {count(len(paths))} files were taken."
            self.centre.say("warning", f"{left} To use all of them as a data set, drop the folder they lie in.")

    def _give_batch(self, paths: list[str], dock: PaneDock) -> list[str]:
        """Give images, and what lies in folders, to a pane for batches; returns what is not for it."""
        batch: list[str] = []
        left: list[str] = []
        taken = False
        for path in paths:
            kind = kind_of(path)
            if self._is_data_set(path, kind):
                if dock.pane.accept_data(os.path.abspath(path)):
                    taken = True
                else:
                    left.append(path)
            elif kind == "data" and os.path.isdir(path):
                batch += files_in(path)
            elif kind == "image" or (kind == "data" and may_be_image(path)):
                batch.append(path)
            else:
                left.append(path)
        if batch:
            if not dock.pane.accept_images(batch[:MOST_OF_A_BATCH]):
                return left if taken else paths
            self.centre.show_pane(type(dock.pane).__name__)
            if len(batch) <= MOST_OF_A_BATCH:
                self._say_taken(batch, batch, dock.pane.title)
            else:
                left_out = "Compare with the folder as a data set to judge more."
                self.centre.say("warning", f"The first {count(MOST_OF_A_BATCH)} files were taken. {left_out}")
        elif taken:
            self.centre.show_pane(type(dock.pane).__name__)
        elif not left:
            self.centre.say("warning", f"There is no image in {os.path.basename(paths[0].rstrip('/')) or paths[0]}.")
        return left

    def _is_data_set(self, path: str, kind: str) -> bool:
        """Whether it is a data set by its names, or known as one: listed, or what a run was trained on."""
        known = {split_name(data)[0] for data in (*self.state.data, *(run.data for run in self.state.runs.values()))}
        return kind == "data" and (os.path.abspath(path) in known or is_data_set(path))

    def open_data_sets(self, paths: list[str]) -> None:
        """Inspect data sets; the page of data looks into the last one by itself, and its report appears there."""
        pane = self.centre.docks.data_page()
        for path in paths[:-1] if pane else paths:
            self.bridge.send(m.OpenData(self.bridge.new_job("data"), path))
        self.state.open_data(paths[-1])

    def takers(self, dock: PaneDock | None) -> list[PaneDock]:
        """The panes that may take an image: the one it was dropped on, then the front one, then the others."""
        docks = self.centre.docks
        order = sorted(docks.in_order(), key=lambda one: one is not dock)
        return [one for one in order if not one.why and (one is docks.front or one.pane.takes_images())]

    def give_images(self, paths: list[str], on: PaneDock | None = None) -> None:
        """Offer images to the pane they were dropped on, then to the others that can take them."""
        self.centre.show_panes()
        for dock in self.takers(on):
            taken = dock.pane.accept_images(paths)
            if taken:
                self.centre.show_pane(type(dock.pane).__name__)
                self._say_taken(paths, taken, dock.pane.title)
                return
        front = self.centre.docks.front
        why = front.why if front is not None and front.why else f"Choose a run that can look at images first.{self._who_takes_images()}"
        self.centre.say("warning", f"No pane can take {os.path.basename(paths[0])} now. {why}")

    def _say_taken(self, paths: list[str], taken: list[str], title: str) -> None:
        """Where the images went, which a pane that waits for the engine does not show yet; and those it had no room for."""
        left = len(paths) - len(taken)
        few = " and ".join(os.path.basename(path) for path in taken)
        names = few if len(taken) < 3 else f"{count(len(taken))} images"
        if left > 0:
            others = f"the other {count(left)} images were" if left > 1 else "the other image was"
            self.centre.say(
                "warning", f"{title} took {names}; {others} not taken, there is no room for more. Drop them one after the other."
            )
        else:
            self.centre.say("info", f"{title} took {names}.")

    def _who_takes_images(self) -> str:
        titles = [dock.pane.title for dock in self.centre.docks.docks.values() if dock.pane.takes_images()]
        return f" These panes take images: {', '.join(titles)}." if titles else ""

    def paste(self) -> None:
        """The clipboard's files or image; an image is written to a temporary file first."""
        clipboard = QGuiApplication.clipboard().mimeData()
        if clipboard is not None and clipboard.hasUrls():
            self.take(self.paths_of(clipboard), dock=self.centre.docks.front)
        elif clipboard is not None and clipboard.hasImage():
            image = QGuiApplication.clipboard().image()
            path = os.path.join(self._scratch(), f"pasted-{next(self._pasted)}.png")
            if image.isNull() or not image.save(path):
                self.centre.say("warning", "The image on the clipboard cannot be read.")
            else:
                self.give_images([path])
        else:
            self.centre.say("info", "There is no image on the clipboard. Copy one, or drop a file on the window.")

    def _scratch(self) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="priorama-")
        return self._folder.name

    def foretell(self, paths: list[str], dock: PaneDock | None = None) -> str:
        """What will happen when these are let go on `dock`."""
        kinds = [kind_of(path) for path in paths[:MOST_DROPPED]]
        name = os.path.basename(paths[0].rstrip("/")) or paths[0]
        if dock is not None and not dock.why and dock.pane.takes_folders:
            if dock.pane.takes_data and self._is_data_set(paths[0], kinds[0]):
                return f"{name} as a data set → {dock.pane.title}"
            if "data" in kinds and os.path.isdir(paths[kinds.index("data")]):
                return f"Every image in {os.path.basename(paths[kinds.index('data')].rstrip('/'))} → {dock.pane.title}"
            if len(paths) > 1 and "run" not in kinds:
                return f"{count(len(paths))} files → {dock.pane.title}"
        if "image" in kinds:
            takers = [one for one in self.takers(dock) if one.pane.takes_images()]
            if not takers:
                return f"No pane can take {name} now: choose a run that can look at images first."
            room = len(paths) if takers[0].pane.takes_folders else takers[0].pane.most_images
            what = name if len(paths) == 1 else f"{len(paths)} images" if room >= len(paths) else f"The first {room} of {len(paths)} images"
            return f"{what} → {takers[0].pane.title}"
        return {"run": f"Open the run {name}", "bundle": f"Import the run in {name}", "data": f"Inspect {name} as a data set"}.get(
            kinds[0], f"{name} cannot be opened"
        )
