"""Code lengths, against files written by others."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engine.detectors import code_length


def constant(channels: int = 1) -> np.ndarray:
    return np.full((channels, 28, 28), 77, np.uint8)


def noise(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (channels, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_that_a_constant_image_is_far_shorter_than_noise_and_noise_cannot_be_shortened(channels):
    short, long = code_length.code_bits(np.stack([constant(channels), noise(channels)]))
    assert short < long / 40
    assert long >= 8 * 784 * channels


@pytest.mark.parametrize("channels", [1, 3])
def test_that_lengths_are_those_of_the_files_without_what_every_file_carries(channels):
    for image in (constant(channels), noise(channels)):
        rows = image.transpose(1, 2, 0)
        picture = Image.fromarray(rows[:, :, 0] if channels == 1 else np.ascontiguousarray(rows))
        file = io.BytesIO()
        picture.save(file, "PNG", optimize=True)
        data = file.getvalue()
        content, place = 0, 8
        while place < len(data):  # chunk by chunk: length, kind, content, checksum
            length = int.from_bytes(data[place : place + 4], "big")
            content += length if data[place + 4 : place + 8] == b"IDAT" else 0
            place += 12 + length
        found = code_length.lengths(image)
        assert found["PNG"] == content - 6
        assert code_length.png_bytes(image) == len(data)
        file = io.BytesIO()
        picture.convert("RGB").save(file, "WEBP", lossless=True, quality=100, method=code_length.WEBP_EFFORT, exact=True)
        assert found["WebP"] == len(file.getvalue()) - 25


def test_that_the_filters_can_be_undone():
    """What is filtered must still hold the image: each filter is inverted pixel by pixel, as the PNG specification says."""
    image = noise()[0, :9, :7]

    def paeth(a, b, c):
        p = a + b - c
        return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]

    ways = {"left": lambda a, b, c: a, "above": lambda a, b, c: b, "average": lambda a, b, c: (a + b) // 2, "Paeth": paeth}
    for name, filtered in code_length._filtered(image[:, :, None]).items():
        back = np.zeros((10, 8), int)
        for y in range(9):
            for x in range(7):
                a, b, c = back[y + 1, x], back[y, x + 1], back[y, x]
                back[y + 1, x + 1] = (int(filtered[y, x, 0]) + ways[name](a, b, c)) % 256
        assert np.array_equal(back[1:, 1:], image), name
