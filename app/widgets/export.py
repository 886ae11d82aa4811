"""Pictures and tables out of the window: PNG that carries its recipe, CSV with a header, clipboard. Files appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from PySide6.QtCore import QBuffer, QIODevice, QObject, QTimer
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog, QWidget

SLICE_SECONDS = 0.012  # of writing between two looks at the window's events
# What can be opened as an image; the engine reads them with Pillow.
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".ico")
IMAGE_FILTER = f"Images ({' '.join(f'*{ending}' for ending in IMAGES)});;All files (*)"


def png_bytes(image: QImage, about: Mapping[str, object]) -> bytes:
    """A PNG whose tEXt chunks hold `about`; what is not a string is written as JSON."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not image.save(buffer, "PNG"):  # type: ignore[call-overload]
        raise ValueError("The picture is empty.")
    raw = bytes(buffer.data().data())
    after_header = 8 + 25  # signature, then IHDR: length, type, 13 bytes, checksum
    chunks = b"".join(_text_chunk(key, value if isinstance(value, str) else json.dumps(value)) for key, value in about.items())
    return raw[:after_header] + chunks + raw[after_header:]


def _text_chunk(key: str, text: str) -> bytes:
    if not text.isascii():
        text = json.dumps(text)[1:-1]  # tEXt holds Latin-1 only
    body = b"tEXt" + key.encode("latin-1")[:79] + b"\0" + text.encode("latin-1")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


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
    """Write through a partial file beside the target. Raises OSError."""
    path = Path(path)
    partial = _partial(path)
    try:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


class PartWriter:
    """Writes a long text part by part between the window's other events; `done` hears None at the end, or what went wrong."""

    def __init__(self, path: str | Path, parts: Iterator[str], done: Callable[[OSError | None], object], parent: QObject) -> None:
        self.path, self.parts, self.done = Path(path), parts, done
        self._file: IO[bytes] | None = None
        self._timer = QTimer(parent)
        self._timer.timeout.connect(self._go_on)

    def start(self) -> None:
        """A short text is written before this returns."""
        try:
            self._file = open(_partial(self.path), "wb")  # noqa: SIM115
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
            self._file.close()
            self._file = None
            _partial(self.path).unlink(missing_ok=True)

    def _go_on(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        assert self._file is not None
        try:
            for part in self.parts:
                self._file.write(part.encode())
                if time.perf_counter() > until:
                    return
            self._file.close()
            os.replace(_partial(self.path), self.path)
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
