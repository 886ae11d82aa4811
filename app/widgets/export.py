"""Pictures and tables out of the window: PNG that carries its recipe, CSV with a header, clipboard. Files appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice, QObject, QSaveFile, QStandardPaths, QTimer
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog, QWidget

from engine.common.file_endings import PICTURES as PICTURE_FILES
from engine.common.file_endings import dialog_filter

SLICE_SECONDS = 0.012  # of writing between two looks at the window's events
PICTURE_ENDINGS = ("png", "svg", "pdf", "gif")  # of what is saved among the user's pictures
PICTURES, DOCUMENTS = QStandardPaths.StandardLocation.PicturesLocation, QStandardPaths.StandardLocation.DocumentsLocation
IMAGE_FILTER = dialog_filter("Images", PICTURE_FILES)


def png_bytes(image: QImage, about: Mapping[str, object]) -> bytes:
    """A PNG that holds `about` as texts; what is not a string is written as JSON."""
    told = image.copy()
    for key, value in about.items():
        told.setText(key, value if isinstance(value, str) else json.dumps(value))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not told.save(buffer, "PNG"):  # type: ignore[call-overload]
        raise ValueError("The picture is empty.")
    return bytes(buffer.data().data())


def csv_text(about: Mapping[str, object], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines `# key: value`, then a header, then the rows."""
    out = io.StringIO()
    for key, value in about.items():
        out.write(f"# {key}: {value if isinstance(value, str) else json.dumps(value)}\n")
    return out.getvalue() + csv_lines([columns, *rows])


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def encoded(text: str) -> bytes:
    """UTF-8; a file name of other letters keeps its own bytes, and what has none is written as \\u…."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def write_file(path: str | Path, data: bytes | str) -> None:
    """Write all or nothing. Raises OSError."""
    file = begin_file(path)
    try:
        put(file, encoded(data) if isinstance(data, str) else data)
    except OSError:
        drop(file)
        raise
    end_file(file)


def save_file(path: str | Path, data: bytes | str) -> tuple[str, str]:
    """Write all or nothing; what to say of it, and its level: "good" or "bad"."""
    try:
        write_file(path, data)
    except OSError as error:
        return told(path, error)
    return told(path, None)


def told(path: str | Path, error: OSError | None) -> tuple[str, str]:
    """What to say of a file that was written, or could not be, and the level of it."""
    name = Path(path).name
    if error is None:
        return f"Saved as {name}.", "good"
    return f"“{name}” could not be written: {error.strerror or error}. Choose another folder.", "bad"


def begin_file(path: str | Path) -> QSaveFile:
    """A file that appears whole at `end_file` or not at all. Raises OSError."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(0, "it is a folder" if os.path.isdir(path) else "it is a device", str(path))
    file = QSaveFile(str(path))
    if not file.open(QIODevice.OpenModeFlag.WriteOnly):
        raise OSError(0, file.errorString(), str(path))
    return file


def put(file: QSaveFile, data: bytes) -> None:
    """Write on. Raises OSError, also for what was handed over before and did not fit on the disk."""
    if file.write(data) != len(data):
        raise OSError(0, file.errorString(), file.fileName())


def drop(file: QSaveFile) -> None:
    """Remove what was begun; an older file of that name stays."""
    file.cancelWriting()
    file.commit()


def end_file(file: QSaveFile) -> None:
    """Put what was written in its place. Raises OSError, also for a write that failed before; the old file stays then."""
    if not file.commit():
        raise OSError(0, file.errorString(), file.fileName())


class PartWriter:
    """Writes a long text part by part between the window's other events; `done` hears None at the end, or what went wrong."""

    def __init__(self, path: str | Path, parts: Iterator[str], done: Callable[[OSError | None], object], parent: QObject) -> None:
        self.path, self.parts, self.done = Path(path), parts, done
        self._file: QSaveFile | None = None
        self._timer = QTimer(parent)
        self._timer.timeout.connect(self._go_on)

    def start(self) -> None:
        """A short text is written before this returns."""
        try:
            self._file = begin_file(self.path)
        except OSError as error:
            self._end(error)
        else:
            self._timer.start(0)
            self._go_on()

    def stop(self) -> None:
        """Nothing more is written; what was begun goes away. To be called once at most."""
        self._timer.stop()
        self._timer.deleteLater()
        if self._file is not None:
            drop(self._file)
            self._file = None

    def _go_on(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        assert self._file is not None
        try:
            for part in self.parts:
                put(self._file, encoded(part))
                if time.perf_counter() > until:
                    return
            done, self._file = self._file, None
            end_file(done)
        except OSError as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        self.stop()
        self.done(error)


def copy_image(image: QImage) -> None:
    QGuiApplication.clipboard().setImage(image)


def file_name(*parts: object) -> str:
    """A tidy file name out of what is shown: "vae-digits-step-2048"."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(str(part) for part in parts if part not in (None, ""))).strip("-").lower() or "priorama"


def ask_where(
    parent: QWidget, title: str, suggested: str, suffix: str, save: Callable[[str], object], also: Sequence[str] = ()
) -> QFileDialog:
    """Ask for a place to save to, without stopping anything meanwhile. `also`: endings that can be chosen in place of `suffix`."""
    start = Path(folder_for(PICTURES if suffix in PICTURE_ENDINGS else DOCUMENTS)) / f"{suggested}.{suffix}"
    dialog = QFileDialog(parent, title, str(start), ";;".join(f"{ending.upper()} (*.{ending})" for ending in (suffix, *also)))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix)
    dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(chosen.partition(" ")[0].lower()))
    dialog.fileSelected.connect(lambda path: _chosen([path], lambda paths: save(paths[0])))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def ask_which(parent: QWidget, title: str, filters: str, take: Callable[[list[str]], object], *, many: bool = False) -> QFileDialog:
    """Ask for a file (or several) to open, without stopping anything meanwhile."""
    dialog = QFileDialog(parent, title, folder_for(DOCUMENTS), filters)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles if many else QFileDialog.FileMode.ExistingFile)
    dialog.filesSelected.connect(lambda paths: _chosen(paths, take))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def ask_folder(parent: QWidget, title: str, take: Callable[[str], object], start: str = "") -> QFileDialog:
    """Ask for a folder, without stopping anything meanwhile."""
    dialog = QFileDialog(parent, title, start or folder_for(DOCUMENTS))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.fileSelected.connect(lambda path: _chosen([path], lambda paths: take(paths[0])))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def _chosen(paths: list[str], take: Callable[[list[str]], object]) -> None:
    """The next dialog begins where something was chosen."""
    if paths:
        remember_folder(os.path.dirname(paths[0]))
    take(paths)


class _LastFolder:
    path = ""  # where a file was chosen last; empty: nowhere yet


def last_folder() -> str:
    return _LastFolder.path


def remember_folder(path: str) -> None:
    _LastFolder.path = path


def folder_for(kind: QStandardPaths.StandardLocation) -> str:
    """Where a file dialog begins: where something was chosen last, else the user's own folder for its kind, else their home."""
    usual = QStandardPaths.writableLocation(kind)
    return next((path for path in (_LastFolder.path, usual) if path and os.path.isdir(path)), os.path.expanduser("~"))
