"""Lengths of lossless codes of an image: the best of PNG, WebP and deflate. Not here: any model or score."""

from __future__ import annotations

import io
import math
import zlib

import numpy as np

PNG_FRAME = 57 + 6  # bytes: signature 8, IHDR 25, IDAT around its data 12, IEND 12; then zlib's own header and checksum
WEBP_FRAME = 20 + 5  # bytes: RIFF 12, chunk 8; then VP8L's signature and size
WEBP_EFFORT = 4  # 6 takes thirty times as long for 2 % less on 28×28 pixels


def code_bits(images: np.ndarray, levels: int = 256) -> np.ndarray:
    """Bits of the shortest lossless code of each image [N], uint8 [N, C, H, W]: the best of PNG, WebP and deflate.

    Deflate is tried on the raw pixels and on rows under each of PNG's five filters. What every file of a format carries whatever
    its content (headers, checksums) is subtracted: a decoder that knows the size does not need it, and on small images it would
    decide which format wins. An image of few levels is packed into 1, 2 or 4 bits a value first, and no code is longer than the
    values as they are: somebody who knows that an image is black and white spends at most one bit on each of them.

    Args:
        levels: how many values there are; all are below it.
    """
    dims = math.prod(images.shape[1:])
    plain = math.ceil(dims * math.log2(levels)) if levels > 1 else 0
    return np.array([min(plain, 8 * min(lengths(image, levels).values())) for image in images], np.float64)


def lengths(image: np.ndarray, levels: int = 256) -> dict[str, int]:
    """Bytes of one image [C, H, W] in each format, without constant headers; values are below `levels`."""
    rows = np.ascontiguousarray(image.transpose(1, 2, 0))  # [H, W, C]: channels of a pixel beside each other
    deflated = {f"deflate, {name}": _deflated(filtered) for name, filtered in _filtered(rows).items()}
    found = {"PNG": _png(rows), "WebP": _webp(rows), "deflate": _deflated(rows), **deflated}
    depth = next((bits for bits in (1, 2, 4) if levels <= 2**bits), 8)
    if depth < 8:
        packed = {"pixels": _packed(rows, depth), "planes": _packed(image, depth)}
        packed["columns"] = _packed(image.transpose(0, 2, 1), depth)
        found |= {f"packed deflate, {name}": _deflated(values) for name, values in packed.items()}
        if rows.shape[2] == 1:
            found["packed PNG"] = _packed_png(rows[:, :, 0], depth)
    return found


def png_bytes(image: np.ndarray) -> int:
    """Size of the image [C, H, W] as a whole PNG file, headers and all."""
    return _png(np.ascontiguousarray(image.transpose(1, 2, 0))) + PNG_FRAME


def _png(rows: np.ndarray) -> int:
    return _pillow(rows, "PNG", optimize=True) - PNG_FRAME


def _packed(values: np.ndarray, depth: int) -> np.ndarray:
    """Values as `depth` bits each, row by row (each row begins with a byte): uint8 [..., bytes of a row]."""
    lines = values.reshape(len(values), -1)
    bits = np.unpackbits(lines[:, :, None], axis=2)[:, :, 8 - depth :]
    return np.packbits(bits.reshape(len(lines), -1), axis=1)


def _packed_png(values: np.ndarray, depth: int) -> int:
    """Bytes of a grey image [H, W] as a PNG of so many bits a pixel, without constant headers."""
    from PIL import Image

    file = io.BytesIO()
    if depth == 1:
        Image.fromarray(values * 255).convert("1", dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        return file.tell() - PNG_FRAME
    image = Image.fromarray(values).convert("P")
    image.putpalette(range(3 * 2**depth))
    image.save(file, "PNG", optimize=True, bits=depth)
    return file.tell() - PNG_FRAME - (12 + 3 * 2**depth)  # the palette's own chunk


def _webp(rows: np.ndarray) -> int:
    colour = np.repeat(rows, 3, axis=2) if rows.shape[2] == 1 else rows  # WebP knows no grey; equal channels cost it next to nothing
    return _pillow(colour, "WEBP", lossless=True, quality=100, method=WEBP_EFFORT, exact=True) - WEBP_FRAME


def _pillow(rows: np.ndarray, kind: str, **options: object) -> int:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(rows[:, :, 0] if rows.shape[2] == 1 else rows).save(file, kind, **options)
    return file.tell()


def _deflated(rows: np.ndarray) -> int:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)  # -15: without header and checksum
    return len(packer.compress(rows.tobytes())) + len(packer.flush())


def _filtered(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Differences from what is to the left, above and both, modulo 256 (PNG specification, section 9)."""
    x = rows.astype(np.int16)
    left, above, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    left[:, 1:], above[1:], corner[1:, 1:] = x[:, :-1], x[:-1], x[:-1, :-1]
    guess = left + above - corner
    to_left, to_above, to_corner = (np.abs(guess - other) for other in (left, above, corner))
    paeth = np.where((to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner))
    guesses = {"left": left, "above": above, "average": (left + above) // 2, "Paeth": paeth}
    return {name: (x - guess).astype(np.uint8) for name, guess in guesses.items()}
