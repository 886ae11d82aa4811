"""What is done to images before a foreign backbone sees them: size, crop, values, as its own processing says (Hugging Face's keys)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

INTERPOLATION = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
CROPPED_BELOW = 384  # pixels: where `crop_pct` is told, smaller sizes are cut from larger ones (Liu et al. 2022, ConvNeXt)
KNOWN_SIZES = ({"height", "width"}, {"shortest_edge"}, {"longest_edge"}, {"shortest_edge", "longest_edge"})


class BadProcessing(ValueError):
    """One sentence: which entry of a model's processing makes no sense."""


@dataclass(frozen=True)
class Processing:
    """How images in [0, 1] become what a model was trained on.

    Args:
        entries: of preprocessor_config.json; empty: images are only brought to `own_size`.
        side: pixels a side that images are brought to, whatever the entries say; 0: as they say.
        own_size: (height, width) of the model's description, where it has one.
        patches: (most patches, pixels of one) of models that take images of any shape; their size follows from it.
        older: as versions before 0.3 did it, which looked at sizes, crop and normalization only.
    """

    entries: dict[str, Any]
    side: int = 0
    own_size: tuple[int, int] | None = None
    patches: tuple[int, int] | None = None
    older: bool = False

    @property
    def normalizes(self) -> bool:
        """Whether mean and deviation are known and used."""
        return bool(self.entries.get("do_normalize", bool(self.entries)))

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of the three channels, [3] each."""
        return tuple(_three(self.entries.get(key) or [0.5] * 3) for key in ("image_mean", "image_std"))  # type: ignore[return-value]

    def target(self, given: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """(height, width) that images of `given` size are resized to, and of the centre that is then cut out."""
        e = self.entries
        given = (int(given[0]), int(given[1]))
        if self.side:
            return (self.side, self.side), (self.side, self.side)
        if not e.get("do_resize", True):
            size = given
        elif self.patches is not None:
            size = _of_patches(given, *self.patches)
        else:
            size = self._size(e.get("size"), given)
        crop_share, edge = (None, 0) if self.older else (e.get("crop_pct"), e.get("size"))
        if crop_share and isinstance(edge, dict) and "shortest_edge" in edge and e.get("do_resize", True):
            edge = int(edge["shortest_edge"])
            if edge >= CROPPED_BELOW:
                return (edge, edge), (edge, edge)
            return shortest_edge(given, int(edge / crop_share)), (edge, edge)
        if e.get("do_center_crop", False):
            return size, _pair(e.get("crop_size", size))
        return size, size

    def _size(self, size: Any, given: tuple[int, int]) -> tuple[int, int]:
        if size is None:
            return self.own_size or given
        if isinstance(size, dict):
            size = {name: value for name, value in size.items() if value is not None}
            if "shortest_edge" in size and self.older:  # it rounded so
                return tuple(max(1, int(size["shortest_edge"] / min(given) * n)) for n in given)  # type: ignore[return-value]
            if "shortest_edge" in size:
                return shortest_edge(given, int(size["shortest_edge"]), int(size.get("longest_edge", 0)))
            if "longest_edge" in size:
                return longest_edge(given, int(size["longest_edge"]))
        return _pair(size)

    def apply(self, x: Tensor) -> Tensor:
        """Images [B, 1 or 3, H, W] in [0, 1] -> [B, 3, h, w]: three channels, resized, cropped, scaled, normalized."""
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        size, crop = self.target(x.shape[2:])
        x = cropped(resized(x, size, INTERPOLATION.get(self.entries.get("resample", 3), "bicubic")), *crop)
        return self._values(x)

    def _values(self, x: Tensor) -> Tensor:
        e = self.entries
        if e and not self.older:
            scale = 255 * float(e.get("rescale_factor", 1 / 255)) if e.get("do_rescale", True) else 255.0
            x = x * scale if abs(scale - 1) > 1e-6 else x
            if e.get("do_rescale", True) and e.get("rescale_offset", False):
                x = x - 1
            if e.get("do_flip_channel_order", False):
                x = x.flip(1)  # blue, green, red
        if self.normalizes:
            mean, deviation = (x.new_tensor(values)[:, None, None] for values in self.statistics())
            x = (x - mean) / deviation
        return x

    def check(self) -> None:
        """Raises: BadProcessing: an entry that nothing can be made of."""
        e = self.entries
        for key in ("size", "crop_size"):
            value = e.get(key)
            if isinstance(value, dict):
                told = {name for name, number in value.items() if number is not None}
                if told not in KNOWN_SIZES:
                    raise BadProcessing(f"says of “{key}” {sorted(told)}, which is not known here")
                numbers = [value[name] for name in told]
            else:
                numbers = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
            if not all(isinstance(n, (int, float)) and 1 <= n <= 1 << 14 for n in numbers):
                raise BadProcessing(f"says of “{key}” {value}, which is no size in pixels")
        for key in ("image_mean", "image_std"):
            value = e.get(key)
            numbers = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
            if len(numbers) not in (0, 1, 3) or not all(_finite(n) and (key == "image_mean" or n > 0) for n in numbers):
                raise BadProcessing(f"says of “{key}” {value}, which are no numbers of three channels")
        for key in ("rescale_factor", "crop_pct"):
            value = e.get(key)
            if value is not None and not (_finite(value) and value > 0):
                raise BadProcessing(f"says of “{key}” {value}, which is no factor")

    def in_words(self, given: Sequence[int]) -> str:
        """One sentence: what images of `given` size become."""
        size, crop = self.target(given)
        cut = "" if size == crop else f", the middle {crop[0]}×{crop[1]} of them"
        sizes = f"Images are brought from {given[0]}×{given[1]} to {size[0]}×{size[1]} px{cut}"
        if not self.normalizes:
            return f"{sizes}; values stay as they are."
        mean, deviation = (", ".join(f"{v:.3g}" for v in values) for values in self.statistics())
        return f"{sizes}; normalized by mean {mean} and deviation {deviation}."


def shortest_edge(given: tuple[int, int], edge: int, most: int = 0) -> tuple[int, int]:
    """(height, width) with the shorter side `edge` and the same shape; the longer one at most `most`, where that is not 0."""
    height, width = given
    short, long = min(given), max(given)
    if most and edge * long > most * short:
        edge = max(1, most * short // long)
    other = edge * long // short
    return (edge, other) if height <= width else (other, edge)


def longest_edge(given: tuple[int, int], edge: int) -> tuple[int, int]:
    """(height, width) with the longer side `edge` and the same shape."""
    long = max(given)
    return max(1, edge * given[0] // long), max(1, edge * given[1] // long)


def _of_patches(given: tuple[int, int], most: int, patch: int) -> tuple[int, int]:
    """(height, width) of the same shape, in whole patches, as many as are allowed (Tschannen et al. 2025, NaFlex)."""
    down = max(1, min(most, int(math.sqrt(most * given[0] / given[1]) + 1e-9)))
    return down * patch, max(1, min(most // down, round(down * given[1] / given[0]))) * patch


def _three(values: Any) -> list[float]:
    numbers = [float(v) for v in values] if isinstance(values, (list, tuple)) else [float(values)]
    return numbers * 3 if len(numbers) == 1 else numbers


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _pair(size: Any) -> tuple[int, int]:
    """Height and width, however the description says it."""
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, (list, tuple, torch.Size)):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def resized(x: Tensor, size: tuple[int, int], way: str) -> Tensor:
    """Images [B, C, H, W] resized to `size` (height, width) as Pillow does: antialiased where smaller, clamped to 0..1."""
    if tuple(x.shape[2:]) == size:
        return x
    smooth = {} if way == "nearest" else {"antialias": True, "align_corners": False}
    return F.interpolate(x, size, mode=way, **smooth).clamp(0, 1)


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Centre crop of images [B, C, H, W] to [B, C, height, width], zero-padded where it is larger than the picture."""
    down, across = (max(0, n - m) for n, m in ((height, x.shape[2]), (width, x.shape[3])))
    x = F.pad(x, (across // 2, math.ceil(across / 2), down // 2, math.ceil(down / 2)))
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
