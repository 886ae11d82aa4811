"""The commonest PNG files (8 bits, grey or red-green-blue, not interlaced, nothing said of transparency or orientation), decoded by the
shortest way: Pillow's decoder of their pixels, without its reading of the file, which takes longer where pictures are small.

Source: PNG Specification, third edition, W3C 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_KINDS = {0: ("L", 1), 2: ("RGB", 3)}  # colour type -> mode, channels
_HARMLESS = frozenset((b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"bKGD", b"sBIT", b"iCCP"))
_HEADER = struct.Struct(">IIBBBBBI")
_LENGTH = struct.Struct(">I")
_END = b"\0\0\0\0IEND\xaeB`\x82"
MOST_BYTES = 1 << 20  # of larger files the reading is no great part


def decode_plain(data: bytes) -> np.ndarray | None:
    """Pixels uint8 [H, W, 1 or 3]; None where the file is anything else, or damaged, or large, and is to be read in full."""
    shape = plain_header(data)
    if shape is None:
        return None
    height, width, channels = shape
    sheet = Sheet(channels, height, width, 1)
    return np.ascontiguousarray(sheet.pixels(())[0][0].transpose(1, 2, 0)) if sheet.take(data) else None


def plain_header(data: bytes) -> tuple[int, int, int] | None:
    """(H, W, C) of a common PNG file; None as of `decode_plain`."""
    if not (data.startswith(_SIGNATURE) and data.endswith(_END) and len(data) <= MOST_BYTES):
        return None
    width, height, bits, kind, packing, filters, interlaced, checksum = _HEADER.unpack_from(data, 16)
    if bits != 8 or kind not in _KINDS or packing or filters or interlaced or not (0 < width <= 1024 and 0 < height <= 1024):
        return None
    return None if zlib.crc32(data[12:29]) != checksum else (height, width, _KINDS[kind][1])


class Sheet:
    """Common PNG files of one size, decoded one below the other into one tall image: so they become an array at once, channel by channel.

    A thousand small files take a fifth less time than one by one.
    """

    def __init__(self, channels: int, height: int, width: int, most: int) -> None:
        self.taken = 0  # files that are on it
        self._shape, self._most = (height, width, channels), most
        self._mode = "L" if channels == 1 else "RGB"
        self._image: Any = None

    def take(self, data: bytes) -> bool:
        """Whether the file is a common one of this size, which is on the sheet then."""
        if self.taken == self._most or plain_header(data) != self._shape:
            return False
        pieces = _pieces(data)
        if not pieces:
            return False
        height, width, _ = self._shape
        if self._image is None:
            core: Any = Image.core
            self._image = core.new(self._mode, (width, height * self._most))
        top = self.taken * height
        if not _decoded(self._image, self._mode, (0, top, width, top + height), pieces):
            return False
        self.taken += 1
        return True

    def fits(self, channels: int, height: int, width: int, most: int) -> bool:
        """Whether it can be used again for `most` files of a size."""
        return self._shape == (height, width, channels) and self._most >= most

    def clear(self) -> None:
        """Begin anew, in the memory that it has."""
        self.taken = 0

    def pixels(self, others: Sequence[tuple[int, np.ndarray]]) -> tuple[np.ndarray, int]:
        """(What was taken, in order, as uint8 [N, C, H, W], with images [C, H, W] in between: (row, image); the highest value of what was
        taken, −1 where that is nothing).
        """
        height, width, channels = self._shape
        found = np.empty((self.taken + len(others), channels, height, width), np.uint8)
        own = found
        if others:
            rows = np.ones(len(found), bool)
            for row, image in others:
                found[row], rows[row] = image, False
            own = np.empty((self.taken, *found.shape[1:]), np.uint8)
        if self.taken:
            core: Any = Image.core
            for channel, band in enumerate(self._mode):
                encoder = core.raw_encoder(self._mode, band)
                encoder.setimage(self._image, (0, 0, width, height * self.taken))
                plane = encoder.encode(width * height * self.taken)[2]
                own[:, channel] = np.frombuffer(plane, np.uint8).reshape(self.taken, height, width)
        if others:
            found[rows] = own
        return found, int(own.max()) if self.taken else -1


def _decoded(image: Any, mode: str, box: tuple[int, int, int, int], pieces: list[bytes]) -> bool:
    """Whether the packed pixels of a file are now in that box of an image: what `Image.frombytes(…, "zip", …)` does, without its checks,
    which take a fifth of the time.
    """
    core: Any = Image.core
    try:
        decoder = core.zip_decoder(mode, mode, 0)
        decoder.setimage(image, box)
        used, fault = decoder.decode(pieces[0] if len(pieces) == 1 else b"".join(pieces))
    except MemoryError:
        raise
    except Exception:
        return False
    return used < 0 and not fault  # else it wants more, or is damaged


def _pieces(data: bytes) -> list[bytes]:
    """What all IDAT chunks hold; nothing where another chunk may change the picture, or one is damaged."""
    pieces: list[bytes] = []
    place, end = 33, len(data) - len(_END)
    while place < end:
        (length,) = _LENGTH.unpack_from(data, place)
        name, after = data[place + 4 : place + 8], place + 8 + length
        if after + 4 > end:
            return []
        if name == b"IDAT":
            if zlib.crc32(data[place + 4 : after]).to_bytes(4, "big") != data[after : after + 4]:
                return []
            pieces.append(data[place + 8 : after])
        elif name not in _HARMLESS:
            return []
        place = after + 4
    return pieces
