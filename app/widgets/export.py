"""Pictures and tables out of the window: PNG that carries its recipe, CSV with a header, clipboard. Files appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice, QObject, QSaveFile, QTimer
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog, QWidget

SLICE_SECONDS = 0.012  # of writing between two looks at the window's events
# What can be opened as an image; the engine reads them with Pillow.
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".ico")
IMAGE_FILTER = f"Images ({' '.join(f'*{ending}' for ending in IMAGES)});;All files (*)"


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


def write_file(path: str | Path, data: bytes | str) -> None:
    """Write all or nothing. Raises OSError."""
    file = begin_file(path)
    file.write(data.encode() if isinstance(data, str) else data)
    end_file(file)


def begin_file(path: str | Path) -> QSaveFile:
    """A file that appears whole at `end_file` or not at all. Raises OSError."""
    file = QSaveFile(str(path))
    if not file.open(QIODevice.OpenModeFlag.WriteOnly):
        raise OSError(0, file.errorString(), str(path))
    return file


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
            self._file.cancelWriting()
            self._file.commit()  # which removes what was begun
            self._file = None

    def _go_on(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        assert self._file is not None
        try:
            for part in self.parts:
                self._file.write(part.encode())
                if time.perf_counter() > until:
                    return
            done, self._file = self._file, None
            end_file(done)
        except OSError as error:
            self._end(error)
        except ValueError as error:  # a name that no file can hold as text: a half-read one from a disk of other letters
            self._end(OSError(f"a part of it is no text ({error})"))
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


def ask_where(parent: QWidget, title: str, suggested: str, suffix: str, save: Callable[[str], object]) -> QFileDialog:
    """Ask for a place to save to, without stopping anything meanwhile."""
    dialog = QFileDialog(parent, title, str(Path.home() / f"{suggested}.{suffix}"), f"{suffix.upper()} (*.{suffix})")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix)
    dialog.fileSelected.connect(save)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def ask_which(parent: QWidget, title: str, filters: str, take: Callable[[list[str]], object], *, many: bool = False) -> QFileDialog:
    """Ask for a file (or several) to open, without stopping anything meanwhile."""
    dialog = QFileDialog(parent, title, "", filters)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles if many else QFileDialog.FileMode.ExistingFile)
    dialog.filesSelected.connect(take)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def ask_folder(parent: QWidget, title: str, take: Callable[[str], object], start: str = "") -> QFileDialog:
    """Ask for a folder, without stopping anything meanwhile."""
    dialog = QFileDialog(parent, title, start)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.fileSelected.connect(take)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
