"""Plain text, read as bytes: a file, or a folder with one text file and no images."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

from engine.common.file_endings import TEXTS
from engine.data.dataset import BadData, Source, Step
from engine.data.limits import MAX_TEXT_BYTES, MIB
from engine.data.recipe import ImportRecipe

_HEAD = 1 << 16  # bytes looked at to tell text from anything else
_CHUNK = 4 << 20
_LEAST = 100  # bytes


def recognizes(path: Path) -> bool:
    """Whether there is a text file."""
    return _file(path) is not None


def summary(path: Path) -> str:
    """Bytes and kind, as the list of data sets shows them."""
    file = _file(path)
    return f"{0 if file is None else file.stat().st_size:,} bytes · text"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step, None, Source]:
    """The bytes of the text, as they are. Raises BadData when there are too many or hardly any."""
    file = _file(path)
    assert file is not None
    size = file.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise BadData(f"{file.name} has {size / MIB:,.0f} MB and the limit is {MAX_TEXT_BYTES // MIB} MB; use a part of it.")
    if size < _LEAST:
        raise BadData(f"{file.name} has only {size} bytes of text and at least {_LEAST} are needed; choose a longer text.")
    data = bytearray()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            data += chunk
            yield Step(len(data), size, "byte", f"Reading {file.name}")
    text = bytes(data)
    try:
        text.decode("utf-8")
        notes = ["The text is UTF-8 and is read byte by byte."]
    except UnicodeDecodeError as error:
        notes = [f"The text is no UTF-8 (byte {error.start:,} is not allowed there) and is read as plain bytes."]
    name = path.stem if path.is_file() else path.resolve().name
    return Source(name, text=text, notes=notes)


def _file(path: Path) -> Path | None:
    if path.is_file():
        return path if _is_text(path) else None
    found: list[Path] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    found.append(Path(entry.path))
                if len(found) > 1:  # a folder may hold a hundred thousand files
                    return None
    except OSError:
        return None
    return found[0] if found and found[0].is_file() and _is_text(found[0]) else None


def _is_text(path: Path) -> bool:
    if path.suffix.lower() in TEXTS:
        return True
    if path.suffix:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return bool(head) and not any(byte < 9 or 13 < byte < 32 for byte in head) and _decodes(head)


def _decodes(head: bytes) -> bool:
    try:
        head[: len(head) - 3 if len(head) == _HEAD else None].decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == _HEAD and error.start >= len(head) - 6
    return True
