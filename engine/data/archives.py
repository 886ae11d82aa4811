"""Opening foreign ZIP archives (.npz, .pt) without paying for a forged one: counts and sizes are checked before anything is unpacked."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from engine.data.dataset import BadData
from engine.data.limits import MAX_SET_BYTES, MAX_ZIP_DIRECTORY_BYTES, MAX_ZIP_ENTRIES, MAX_ZIP_RATIO, MIB

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, struct.error, UnicodeDecodeError, RuntimeError)
"""What `zipfile` raises while a damaged entry is read."""
_END = b"PK\x05\x06"
_SMALL = MIB  # bytes; what unpacks to less is harmless at any ratio


def open_zip(path: Path, most: int = MAX_ZIP_ENTRIES, content: bytes | None = None) -> zipfile.ZipFile:
    """The archive, to be used in a `with`; it has at most `most` entries. `content`: its bytes, where it lies within another archive.

    Raises:
        BadData: not an archive, too many entries, names that leave the archive, or contents that unpack to far more than they are.
    """
    with path.open("rb") if content is None else BytesIO(content) as file:
        _check_directory(file, path, most)
    try:
        archive = zipfile.ZipFile(path if content is None else BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, struct.error):
        raise BadData(f"{path.name} is damaged (its table of contents cannot be read); save or download it again.") from None
    try:
        for entry in archive.infolist():
            _check_entry(path, entry)
        _check_overlaps(path, archive)
        if sum(entry.file_size for entry in archive.infolist()) > MAX_SET_BYTES:
            raise BadData(f"{path.name} unpacks to more than {MAX_SET_BYTES >> 30} GB, the limit; use a part of it.")
    except BadData:
        archive.close()
        raise
    return archive


def _check_directory(file: IO[bytes], path: Path, most: int) -> None:
    """The number of entries and the length of the table of contents, from the last bytes of the file."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 65_557))  # the end record and the longest comment
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) < place + 22:
        raise BadData(f"{path.name} is cut off or no archive; save or download it again.")
    _, _, _, entries, length, _ = struct.unpack("<HHHHII", tail[place + 4 : place + 20])
    wide = tail.rfind(b"PK\x06\x06", 0, place)
    if wide >= 0 and len(tail) >= wide + 56 and 0xFFFF in (entries, length & 0xFFFF):
        entries, length = struct.unpack("<QQ", tail[wide + 32 : wide + 48])
    if entries > most or length > MAX_ZIP_DIRECTORY_BYTES * max(1, most // MAX_ZIP_ENTRIES):
        raise BadData(f"{path.name} was not opened: it lists {entries:,} entries and the limit is {most:,}; save fewer arrays in one file.")


def _check_overlaps(path: Path, archive: zipfile.ZipFile) -> None:
    """No byte of the file belongs to two entries, or a few megabytes could be listed as gigabytes."""
    border = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < border:
            raise BadData(f"{path.name} was not opened: two of its entries share the same bytes; get it from a place you trust.")
        border = entry.header_offset + 30 + entry.compress_size
    if border > archive.start_dir:
        raise BadData(f"{path.name} is damaged (an entry is longer than the archive); save or download it again.")


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
        raise BadData(f"{path.name} was not opened: it has an entry that points outside the archive; get it from a place you trust.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadData(f"{path.name} is packed in a way that is not read; pack it again with the usual compression (deflate).")
    if entry.flag_bits & 1:
        raise BadData(f"{path.name} is locked with a password; save it without one.")
    if entry.file_size > _SMALL and entry.file_size > MAX_ZIP_RATIO * max(1, entry.compress_size):
        growth = f"unpacks to {entry.file_size / max(1, entry.compress_size):,.0f} times its size and the limit is {MAX_ZIP_RATIO} times"
        shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in name.name[:40])
        raise BadData(f"{path.name} was not opened: “{shown}” {growth}; save it uncompressed.")
