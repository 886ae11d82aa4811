"""Pictures and tables out of the window: PNG that carries its recipe, CSV with a header, clipboard. Files appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog, QWidget


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
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def write_file(path: str | Path, data: bytes | str) -> None:
    """Write through a partial file beside the target. Raises OSError."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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


def ask_which(parent: QWidget, title: str, filters: str, take: Callable[[str], object]) -> QFileDialog:
    """Ask for a file to open, without stopping anything meanwhile."""
    dialog = QFileDialog(parent, title, "", filters)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.fileSelected.connect(take)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
