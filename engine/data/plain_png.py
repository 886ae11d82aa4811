"""The commonest PNG files (8 bits, grey or red-green-blue, not interlaced, nothing said of transparency or orientation), decoded by the
shortest way: Pillow's decoder of their pixels, without its reading of the file, which takes longer where pictures are small.

Source: PNG Specification, third edition, W3C 2025.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_KINDS = {0: ("L", 1), 2: ("RGB", 3)}  # colour type -> mode, channels
_HARMLESS = frozenset((b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"bKGD", b"sBIT", b"iCCP"))
_END = b"\0\0\0\0IEND\xaeB`\x82"
MOST_BYTES = 1 << 20  # of larger files the reading is no great part


def decode_plain(data: bytes) -> np.ndarray | None:
    """Pixels uint8 [H, W, 1 or 3]; None where the file is anything else, or damaged, or large, and is to be read in full."""
    found = plain_pixels(data)
    return None if found is None else np.frombuffer(found[1], np.uint8).reshape(found[0])


def plain_pixels(data: bytes, wanted: tuple[int, int, int] | None = None) -> tuple[tuple[int, int, int], bytes] | None:
    """(H, W, C) and the pixels in that order, one byte each; None as of `decode_plain`, and where another shape is wanted."""
    if not (data.startswith(_SIGNATURE) and data.endswith(_END) and len(data) <= MOST_BYTES):
        return None
    width, height, bits, kind, packing, filters, interlaced, checksum = struct.unpack_from(">IIBBBBBI", data, 16)
    if bits != 8 or kind not in _KINDS or packing or filters or interlaced or not (0 < width <= 1024 and 0 < height <= 1024):
        return None
    mode, channels = _KINDS[kind]
    if wanted is not None and wanted != (height, width, channels):
        return None
    if zlib.crc32(data[12:29]) != checksum:
        return None
    pieces = _pieces(data)
    if not pieces:
        return None
    try:
        pixels = _unfiltered(mode, width, height, pieces[0] if len(pieces) == 1 else b"".join(pieces))
    except MemoryError:
        raise
    except Exception:
        return None
    return None if len(pixels) != height * width * channels else ((height, width, channels), pixels)


def _unfiltered(mode: str, width: int, height: int, packed: bytes) -> bytes:
    """What `Image.frombytes(…, "zip", …).tobytes()` gives, without its checks, which take a fifth of the time; nothing where it fails."""
    core: Any = Image.core
    image, box = core.new(mode, (width, height)), (0, 0, width, height)
    decoder = core.zip_decoder(mode, mode, 0)
    decoder.setimage(image, box)
    used, fault = decoder.decode(packed)
    if used >= 0 or fault:  # it wants more
        return b""
    encoder = core.raw_encoder(mode, mode)
    encoder.setimage(image, box)
    return encoder.encode(width * height * len(mode))[2]


def _pieces(data: bytes) -> list[bytes]:
    """What all IDAT chunks hold; nothing where another chunk may change the picture, or one is damaged."""
    pieces: list[bytes] = []
    place, end = 33, len(data) - len(_END)
    while place < end:
        (length,) = struct.unpack_from(">I", data, place)
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
