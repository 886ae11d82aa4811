"""The short way through common PNG files: the same pixels as Pillow's own reader gives, and nothing that is not wholly common or whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from engine.data.plain_png import decode_plain

RNG = np.random.default_rng(4)


def png(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (31, 17), (300, 200), (1, 1, 3), (8, 8, 3), (31, 17, 3), (300, 200, 3)])
@pytest.mark.parametrize("noisy", [True, False])
def test_that_it_gives_what_pillow_gives(shape: tuple[int, ...], noisy: bool) -> None:
    pixels = (
        RNG.integers(0, 256, shape, np.uint8)
        if noisy
        else np.broadcast_to(np.arange(shape[1], dtype=np.uint8)[(..., None)[: len(shape) - 1]], shape)
    )
    found = decode_plain(png(np.ascontiguousarray(pixels)))
    assert found is not None and np.array_equal(found, pixels.reshape(*shape[:2], -1))


def test_that_what_is_uncommon_is_left_to_the_whole_reader() -> None:
    pixels = RNG.integers(0, 256, (9, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "x")
    files = {
        "alpha": png(pixels, "RGBA"), "grey and alpha": png(pixels, "LA"), "palette": png(pixels, "P"), "bits": png(pixels, "1"),
        "turned": png(pixels, exif=exif), "text": png(pixels, pnginfo=text), "clear": png(pixels, transparency=(1, 2, 3)),
        "deep": png(pixels[:, :, 0].astype(np.uint16)), "large": png(RNG.integers(0, 256, (1025, 2), np.uint8)),
        "cut": png(pixels)[:-1], "empty": b"", "moving": moving(),
    }  # fmt: skip
    assert {name for name, data in files.items() if decode_plain(data) is not None} == set()


def moving() -> bytes:
    file = io.BytesIO()
    frames = [Image.fromarray(RNG.integers(0, 256, (9, 9), np.uint8)) for _ in range(3)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


def test_that_a_changed_file_is_never_read_otherwise_than_by_pillow() -> None:
    data = png(RNG.integers(0, 256, (12, 10, 3), np.uint8))
    for number in range(2_000):
        rng = np.random.default_rng(number)
        changed = bytearray(data)
        for place in rng.integers(8, len(data), rng.integers(1, 3)):
            changed[place] = rng.integers(256)
        found = decode_plain(bytes(changed))
        if found is not None:
            assert np.array_equal(found, np.asarray(Image.open(io.BytesIO(changed))).reshape(found.shape))
