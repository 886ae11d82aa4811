"""The generated data set: one coloured shape per image, drawn without jaggies from known factors.

Image i depends on (seed, i) only, so any number of images can be had and the first thousand are always the same.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from engine.common.counting import number_of, was_or_were
from engine.data.dataset import Part, Source, Step

SIDE = 32  # pixels
KINDS = ("square", "triangle", "ellipse", "cross", "star")
TURNS = {"square": 90.0, "triangle": 120.0, "ellipse": 180.0, "cross": 90.0, "star": 72.0}  # degrees until a shape looks the same again
SMALLEST, LARGEST = 4.0, 8.0  # pixels from the centre to the farthest point
MARGIN = 8.5  # pixels between a centre and the border, so that every shape is whole
BACKGROUND = 24.0  # grey level
CHUNK = 250  # images drawn between two steps of progress
COLOURS = ("red", "orange", "yellow", "green", "turquoise", "blue", "violet", "pink")
_HUES = np.array([0.0, 32.0, 58.0, 120.0, 175.0, 235.0, 280.0, 325.0])  # degrees, of the words above

SIZES, ROWS, COLUMNS = ("small", "medium", "large"), ("top", "middle", "bottom"), ("left", "centre", "right")  # thirds of each range


def factors_of(seed: int, index: np.ndarray) -> dict[str, np.ndarray]:
    """The true factors, each [N], of images `index` int64 [N]: shape (0..4), hue and angle in degrees, size, x and y in pixels (y
    downwards).
    """
    kind = (uniform(seed, index, 0) * len(KINDS)).astype(np.int64)
    turns = np.array([TURNS[name] for name in KINDS])[kind]
    return {
        "shape": kind,
        "hue": uniform(seed, index, 1) * 360.0,
        "size": SMALLEST + uniform(seed, index, 2) * (LARGEST - SMALLEST),
        "x": MARGIN + uniform(seed, index, 3) * (SIDE - 2 * MARGIN),
        "y": MARGIN + uniform(seed, index, 4) * (SIDE - 2 * MARGIN),
        "angle": uniform(seed, index, 5) * turns,
    }


def draw(factors: dict[str, np.ndarray]) -> np.ndarray:
    """uint8 [N, 3, 32, 32]: the shape in its colour on grey."""
    share = coverage(factors, SIDE)[:, None]  # [N, 1, 32, 32]
    colors = _rgb(factors["hue"])[:, :, None, None]
    return np.rint(BACKGROUND + share * (colors - BACKGROUND)).astype(np.uint8)


def coverage(factors: dict[str, np.ndarray], side: int) -> np.ndarray:
    """How much of each pixel lies in the shape, float32 [N, side, side] in [0, 1], from the pixel's distance to the shape's edge.

    factors [N]: shape, size, angle, x and y, as in `factors_of`.
    """
    count = len(factors["shape"])
    centres = np.arange(side, dtype=np.float32) + 0.5
    x = centres[None, None, :] - factors["x"].astype(np.float32)[:, None, None]  # [N, 1, side]
    y = factors["y"].astype(np.float32)[:, None, None] - centres[None, :, None]  # [N, side, 1], upwards
    angle = np.radians(factors["angle"]).astype(np.float32)[:, None, None]
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    distance = np.empty((count, side, side), np.float32)
    for number, name in enumerate(KINDS):
        chosen = factors["shape"] == number
        if chosen.any():
            size = factors["size"][chosen].astype(np.float32)[:, None, None]
            distance[chosen] = _DISTANCES[name](u[chosen], v[chosen], size)
    return np.clip(0.5 - distance, 0, 1)


def captions(factors: dict[str, np.ndarray]) -> Sequence[str]:
    """“a small red square at the top left”, one per image. factors: [N] each."""
    return Captions(factors)


class Captions(Sequence[str]):
    """Captions made when asked for."""

    def __init__(self, factors: dict[str, np.ndarray]) -> None:
        self.factors = factors

    def __len__(self) -> int:
        return len(self.factors["shape"])

    def __getitem__(self, place):  # type: ignore[no-untyped-def, override]
        if isinstance(place, slice):
            return Captions({name: values[place] for name, values in self.factors.items()})
        one = {name: float(values[place]) for name, values in self.factors.items()}
        away = np.abs((one["hue"] - _HUES + 180) % 360 - 180)
        third = (LARGEST - SMALLEST) / 3
        size = SIZES[min(2, int((one["size"] - SMALLEST) / third))]
        cell = (SIDE - 2 * MARGIN) / 3
        row, column = (min(2, int((one[axis] - MARGIN) / cell)) for axis in ("y", "x"))
        return f"a {size} {COLOURS[int(away.argmin())]} {KINDS[int(one['shape'])]} at the {ROWS[row]} {COLUMNS[column]}"


def read(count: int, seed: int = 0) -> Generator[Step, None, Source]:
    """`count` images as a source with factors, captions as names and the shape as label."""
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    factors = factors_of(seed, np.arange(count))
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        images[part] = draw({name: values[part] for name, values in factors.items()})
        yield Step(min(start + CHUNK, count), count, "image")
    note = f"{number_of(count, 'image')} {was_or_were(count)} drawn by the program; x, y and size are in pixels, hue and angle in degrees."
    part = Part(images, factors["shape"], captions(factors))
    return Source("shapes", {"all": part}, KINDS, notes=[note], factors=factors, captioned=True)


def uniform(seed: int, index: np.ndarray, stream: int) -> np.ndarray:
    """Numbers in [0, 1) that depend on (seed, index, stream) only: the finalizer of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        state = np.asarray(index, np.uint64) * np.uint64(8) + np.uint64(stream)
        for step in (np.uint64(seed % 2**64), np.uint64(0)):
            state = (state + step + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)) * 2.0**-53


def _rgb(hue: np.ndarray) -> np.ndarray:
    """Bright colours of a hue in degrees: HSV with saturation 0.85 and value 1, [N, 3] in 0..255."""
    position = (hue[:, None] / 60.0 + np.array([0.0, 4.0, 2.0])) % 6
    return (255 * (1 - 0.85 * (1 - np.clip(np.abs(position - 3) - 1, 0, 1)))).astype(np.float32)


def _polygon(angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    radians = np.radians(angles)
    return np.stack([radii * np.cos(radians), radii * np.sin(radians)], axis=1).astype(np.float32)


def _to_polygon(corners: np.ndarray):  # type: ignore[no-untyped-def]
    """The signed distance in pixels to a polygon with corners [K, 2] scaled by `size`, negative inside."""

    def distance(u: np.ndarray, v: np.ndarray, size: np.ndarray) -> np.ndarray:
        nearest = np.full(u.shape, np.inf, np.float32)
        inside = np.zeros(u.shape, bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            ex, ey = bx - ax, by - ay
            px, py = u - ax * size, v - ay * size
            along = np.clip((px * ex + py * ey) / (size * (ex * ex + ey * ey)), 0, 1)
            nearest = np.minimum(nearest, (px - along * ex * size) ** 2 + (py - along * ey * size) ** 2)
            if ey != 0:
                crossing = (py >= 0) != (v >= by * size)
                inside ^= crossing & (px < py * (ex / ey))
        return np.where(inside, -1, 1) * np.sqrt(nearest)

    return distance


def _to_ellipse(u: np.ndarray, v: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The distance to an ellipse with half axes size and size / 2, exact to first order at its edge."""
    p, q = u / size, v / (0.5 * size)
    level = p * p + q * q
    slope = 2 * np.sqrt((p / size) ** 2 + (q / (0.5 * size)) ** 2) + 1e-6
    return (level - 1) / slope


_ARM = 0.32  # half the width of the cross's arms, for a tip at distance 1
_TIP = (1 - _ARM**2) ** 0.5
_CROSS = np.array(
    [
        *((_TIP, -_ARM), (_TIP, _ARM), (_ARM, _ARM), (_ARM, _TIP), (-_ARM, _TIP), (-_ARM, _ARM)),
        *((-_TIP, _ARM), (-_TIP, -_ARM), (-_ARM, -_ARM), (-_ARM, -_TIP), (_ARM, -_TIP), (_ARM, -_ARM)),
    ],
    np.float32,
)
_DISTANCES = {
    "square": _to_polygon(_polygon(np.arange(4) * 90.0 + 45, np.ones(4))),
    "triangle": _to_polygon(_polygon(np.arange(3) * 120.0 + 90, np.ones(3))),
    "ellipse": _to_ellipse,
    "cross": _to_polygon(_CROSS),
    "star": _to_polygon(_polygon(np.arange(10) * 36.0 + 90, np.where(np.arange(10) % 2 == 0, 1.0, 0.45))),
}
