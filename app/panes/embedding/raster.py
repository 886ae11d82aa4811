"""Points as pixels: the part of a map that is shown, up to a million points as one raster, the cells that find the nearest of them,
and whether points lie within a lasso. Plain numpy, no Qt.

Places on the map are floats with y upwards; pixels are counted from the upper left corner of what is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

MARGIN = 8.0  # logical pixels around the whole map
CHUNK = 65_536  # points at once: their scratch stays in the processor's cache
FURTHEST, NEAREST = 0.5, 4096.0  # how far one can zoom, as a factor of the whole map's scale

# `theme.MARKERS` in the same order, as polygons within a square of side 1, y downwards. The first five are the
# classes of the built-in set of shapes, so that a square on its map is a square.
_TURN = np.pi / 5 * np.arange(10)
_PLUS = np.array([(-1, -4), (1, -4), (1, -1), (4, -1), (4, 1), (1, 1), (1, 4), (-1, 4), (-1, 1), (-4, 1), (-4, -1), (-1, -1)]) / 8
SHAPES: dict[str, np.ndarray] = {
    "square": np.array([(-0.44, -0.44), (0.44, -0.44), (0.44, 0.44), (-0.44, 0.44)]),
    "triangle": np.array([(-0.5, -0.45), (0.5, -0.45), (0.0, 0.5)]),
    "circle": np.stack([np.cos(np.pi / 16 * np.arange(32)), np.sin(np.pi / 16 * np.arange(32))], axis=1) / 2,
    "plus": _PLUS,
    "star": np.stack([np.sin(_TURN), -np.cos(_TURN)], axis=1) * np.where(np.arange(10) % 2, 0.22, 0.54)[:, None],
    "diamond": np.array([(0.0, -0.5), (0.42, 0.0), (0.0, 0.5), (-0.42, 0.0)]),
    "cross": _PLUS @ (np.array([(1, 1), (-1, 1)]) * 0.72),
}


def shape_of(categories: np.ndarray, colors: int = 7) -> np.ndarray:
    """Which of `SHAPES` a category has, uint8. Where the colours begin anew, the shapes are shifted: no two categories look alike."""
    categories = np.asarray(categories, np.int64)
    return ((categories + categories // colors) % len(SHAPES)).astype(np.uint8)


@dataclass(frozen=True)
class MapViewport:
    """The part of a map that is on screen. Both axes have one scale."""

    x: float  # of the map, in the middle of the screen
    y: float
    scale: float  # logical pixels per unit of the map
    width: int  # logical pixels
    height: int
    ratio: float = 1.0  # device pixels per logical pixel

    @staticmethod
    def whole(x: np.ndarray, y: np.ndarray, width: int, height: int, ratio: float = 1.0) -> MapViewport:
        """All finite places, as large as they fit within the margins."""
        ends = []
        for values, room in ((x, width), (y, height)):
            known = values[np.isfinite(values)]
            low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
            ends.append(((low + high) / 2, (max(room - 2 * MARGIN, 1.0) / (high - low)) if high > low else math.inf))
        (middle_x, across), (middle_y, upwards) = ends
        scale = min(across, upwards)
        if not math.isfinite(scale):  # a single place
            scale = min(width, height) / 2
        return MapViewport(middle_x, middle_y, scale, width, height, ratio)

    @property
    def columns(self) -> int:
        """Device pixels, as `rows`."""
        return max(1, round(self.width * self.ratio))

    @property
    def rows(self) -> int:
        return max(1, round(self.height * self.ratio))

    @property
    def left(self) -> int:
        """Device pixels from the map's zero to the first column; whole, so that a moved picture is the same picture."""
        return math.floor(self.x * self.scale * self.ratio - self.columns / 2 + 0.5)

    @property
    def top(self) -> int:
        return math.floor(-self.y * self.scale * self.ratio - self.rows / 2 + 0.5)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top on the map."""
        across, upwards = self.width / 2 / self.scale, self.height / 2 / self.scale
        return self.x - across, self.y - upwards, self.x + across, self.y + upwards

    def to_screen(self, places: np.ndarray) -> np.ndarray:
        """Map [..., 2] -> logical pixels [..., 2], float64."""
        places = np.asarray(places, np.float64)
        middle, factor = np.array([self.x, self.y]), np.array([self.scale, -self.scale])
        return (places - middle) * factor + np.array([self.width, self.height]) / 2

    def to_map(self, points: np.ndarray) -> np.ndarray:
        """Logical pixels [..., 2] -> map [..., 2], float64."""
        points = np.asarray(points, np.float64)
        middle, factor = np.array([self.x, self.y]), np.array([self.scale, -self.scale])
        return (points - np.array([self.width, self.height]) / 2) / factor + middle

    def moved(self, right: float, down: float) -> MapViewport:
        """The map shifted by logical pixels."""
        return replace(self, x=self.x - right / self.scale, y=self.y + down / self.scale)

    def zoomed(self, scale: float, at: tuple[float, float]) -> MapViewport:
        """Another scale; the place under the point `at` stays under it."""
        x, y = self.to_map(np.array(at))
        right, down = at[0] - self.width / 2, at[1] - self.height / 2
        return replace(self, x=float(x) - right / scale, y=float(y) + down / scale, scale=scale)


class Cells:
    """The points sorted into 256 × 256 cells of the map, built once; then a rectangle's points are some slices.

    Places that are not finite belong to no cell. The cells span the middle of the points, so that a few far away do not spoil them;
    what lies beyond belongs to the cells at the edge.
    """

    SIDE = 256  # numbers below 256² fit into 16 bits, which numpy sorts by counting
    SAMPLE = 8192

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        some_absent = len(known) < len(x)
        if some_absent:
            x, y = x[known], y[known]
        self._across, self._upwards = self._span(x), self._span(y)
        cells = self._cell(y, self._upwards)
        cells *= self.SIDE
        cells += self._cell(x, self._across)
        order = np.argsort(cells, kind="stable")
        self._order = known[order] if some_absent else order
        self._x, self._y = x[order], y[order]  # side by side what is asked for together
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=self.SIDE**2))])

    def _span(self, values: np.ndarray) -> tuple[float, float]:
        """Where the cells begin, and how many there are per unit."""
        if not len(values):
            return 0.0, 0.0
        low, high = np.quantile(values[:: max(1, len(values) // self.SAMPLE)].astype(np.float64), (0.005, 0.995))
        return float(low), self.SIDE / float(high - low) if high > low else 0.0

    def _cell(self, values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
        """Column or row of each value, uint16."""
        low, per_unit = span
        place = values.astype(np.float64)
        place -= low
        place *= per_unit
        np.clip(place, 0, self.SIDE - 1, out=place)
        return place.astype(np.uint16)

    def _slices(self, left: float, bottom: float, right: float, top: float) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end within the order, one pair for each row of cells."""
        first, last = (int(c) for c in self._cell(np.array([left, right]), self._across))
        low, high = (int(c) for c in self._cell(np.array([bottom, top]), self._upwards))
        rows = np.arange(low, high + 1) * self.SIDE
        return self._starts[rows + first], self._starts[rows + last + 1]

    def at_most(self, left: float, bottom: float, right: float, top: float) -> int:
        """How many points the cells of a rectangle hold: not fewer than lie within it."""
        begins, ends = self._slices(left, bottom, right, top)
        return int((ends - begins).sum())

    def within(self, left: float, bottom: float, right: float, top: float) -> np.ndarray:
        """The points of a rectangle (its edges belong to it) in their own order, int64."""
        found, _, _ = self._found(left, bottom, right, top)
        return np.sort(found)

    def _found(self, left: float, bottom: float, right: float, top: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points of a rectangle, cell by cell, with their x and y."""
        begins, ends = self._slices(left, bottom, right, top)
        slices = [slice(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True) if a < b] or [slice(0, 0)]
        x, y = (np.concatenate([values[part] for part in slices]) for values in (self._x, self._y))
        # as arrays, because numpy compares float32 with plain numbers in float32
        left_, bottom_, right_, top_ = np.array([left, bottom, right, top], np.float64)
        within = np.flatnonzero((x >= left_) & (x <= right_) & (y >= bottom_) & (y <= top_))
        return np.concatenate([self._order[part] for part in slices])[within], x[within], y[within]

    def nearest(self, x: float, y: float, radius: float) -> int:
        """The point that is nearest to a place, −1 if none is within the radius; of several equally near the last, which lies on top."""
        found, xs, ys = self._found(x - radius, y - radius, x + radius, y + radius)
        if not len(found):
            return -1
        squares = (xs.astype(np.float64) - x) ** 2 + (ys.astype(np.float64) - y) ** 2
        least = squares.min()
        return int(found[squares == least].max()) if least <= radius**2 else -1


def inside(polygon: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether places [N, 2] lie within a closed polygon [M, 2], by the even-odd rule: bool [N].

    With the places sorted by height an edge concerns one slice of them, so a long lasso of short edges costs little more than a short one.
    """
    polygon, places = np.asarray(polygon, np.float64), np.asarray(places, np.float64)
    order = np.argsort(places[:, 1])
    x, y = places[order, 0], places[order, 1]
    odd = np.zeros(len(places), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        first, last = np.searchsorted(y, [min(y1, y2), max(y1, y2)])
        if first < last:  # then y1 is not y2
            odd[first:last] ^= x[first:last] < x1 + (y[first:last] - y1) * (x2 - x1) / (y2 - y1)
    found = np.empty(len(places), bool)
    found[order] = odd
    return found


def packed(red: np.ndarray | int, green: np.ndarray | int, blue: np.ndarray | int) -> np.ndarray:
    """0xffRRGGBB, uint32."""
    return (
        np.uint32(0xFF000000) | np.asarray(red, np.uint32) << np.uint32(16) | np.asarray(green, np.uint32) << np.uint32(8) | np.uint32(blue)
    )


def mixed(ink: np.ndarray, ground: int, share: np.ndarray) -> np.ndarray:
    """Colours [...] over a ground, as much of them as `share` [...] says, 0 to 1: uint32 [...]."""
    parts = []
    for shift in (16, 8, 0):
        below = np.float32(ground >> shift & 255)
        above = (ink >> np.uint32(shift) & np.uint32(255)).astype(np.float32)
        parts.append((below + (above - below) * share + np.float32(0.5)).astype(np.uint32))
    return packed(*parts)


@dataclass(frozen=True, eq=False)
class Stamp:
    """The pixels of a point of each shape, as offsets (column, row). Shapes with fewer pixels than others repeat one."""

    core: np.ndarray  # int64 [shapes, pixels, 2]: wholly covered
    rim: np.ndarray  # int64 [shapes, pixels, 2]: partly covered
    cover: np.ndarray  # float32 [shapes, pixels]: how much of the rim
    reach: int  # no offset is larger


@cache
def stamp(size: int, shaped: bool) -> Stamp:
    """Points of `size` pixels: circles, or with `shaped` all of `SHAPES`."""
    first = -(size // 2)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2)
    if size <= 2:  # a pixel or four, whatever the shape
        cores, rims, covers = [pixels], [pixels[:0]], [np.zeros(0)]
    else:
        fine = 8
        grid = (np.arange(fine) + 0.5) / fine
        samples = pixels[:, None] + np.stack(np.meshgrid(grid, grid), axis=-1).reshape(1, -1, 2)  # [pixels, fine², 2]
        cores, rims, covers = [], [], []
        for outline in [*SHAPES.values()] if shaped else [SHAPES["circle"]]:
            cover = inside(outline * size + size / 2, samples.reshape(-1, 2)).reshape(len(pixels), -1).mean(axis=1)
            full = cover >= min(0.9, cover.max())
            some = (cover > 0.06) & ~full
            cores.append(pixels[full])
            rims.append(np.concatenate([pixels[some], pixels[full][:1]]))  # one more, so that none is empty; its core covers it
            covers.append(np.append(cover[some], 1.0))
    shapes = len(SHAPES) if shaped and len(cores) == 1 else 1
    core, rim = (np.stack([_padded(part, max(map(len, parts))) for part in parts * shapes]) + first for parts in (cores, rims))
    cover = np.stack([_padded(part, max(map(len, covers))) for part in covers * shapes]).astype(np.float32)
    return Stamp(core.astype(np.int64), rim.astype(np.int64), cover, -first)


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """Repeat the last until there are so many."""
    return np.concatenate([values, np.repeat(values[-1:], length - len(values), axis=0)])


class Raster:
    """Draws points in their order, later ones over earlier ones and those `on_top` over the others.

    The picture of a view that was only moved is the last picture shifted, with the strips at its edges drawn anew; it is the same, pixel
    by pixel, as if all had been drawn.
    """

    def __init__(self) -> None:
        self.x = self.y = np.zeros(0, np.float32)
        self.cells: Cells | None = None  # without them every point is looked at
        self.ink = np.zeros(0, np.uint32)
        self.ground = 0xFF000000
        self.on_top: np.ndarray | None = None  # bool [N]
        self.shapes: np.ndarray | None = None  # uint8 [N]
        self.looked_at = 0  # points that the last drawing had to look at
        self._above = np.zeros(0, np.int64)
        self._picture, self._spare = np.zeros((0, 0), np.uint32), np.zeros((0, 0), np.uint32)
        self._drawn: tuple[MapViewport, int, bool] | None = None
        self._paper = np.zeros(0, np.uint32)
        self._scratch = np.empty((2, CHUNK), np.float64), np.empty(CHUNK, np.intp)

    def set_places(self, x: np.ndarray, y: np.ndarray, cells: Cells | None) -> None:
        """Float [N] each; what is not to be drawn has a place of +infinity."""
        self.x, self.y, self.cells = x, y, cells
        self._drawn = None

    def set_ink(self, ink: np.ndarray, ground: int, on_top: np.ndarray | None = None, shapes: np.ndarray | None = None) -> None:
        """Colours uint32 [N] and that of the ground; which points lie on top, bool [N]; which shape each has, uint8 [N]."""
        self.ink, self.ground, self.on_top, self.shapes = ink, ground, on_top, shapes
        self._above = np.zeros(0, np.int64) if on_top is None else np.flatnonzero(on_top)
        self._drawn = None

    def twin(self) -> Raster:
        """The same points with a picture of their own."""
        made = Raster()
        made.set_places(self.x, self.y, self.cells)
        made.set_ink(self.ink, self.ground, self.on_top, self.shapes)
        return made

    def draw(self, view: MapViewport, size: int, shaped: bool = False) -> np.ndarray:
        """uint32 [rows, columns], 0xffRRGGBB; points of `size` device pixels. The next drawing but one writes over it."""
        shaped = shaped and self.shapes is not None
        self.looked_at = 0
        if self._drawn == (view, size, shaped):
            return self._picture
        form = (view.rows, view.columns)
        if self._picture.shape != form:
            self._picture, self._spare, self._drawn = np.empty(form, np.uint32), np.empty(form, np.uint32), None
        before = self._drawn
        right = down = 0
        if before is not None and before[1:] == (size, shaped) and (before[0].scale, before[0].ratio) == (view.scale, view.ratio):
            right, down = before[0].left - view.left, before[0].top - view.top
        else:
            right = view.columns
        self._picture, self._spare = self._spare, self._picture
        if abs(right) < view.columns and abs(down) < view.rows:
            self._shift(view, right, down, stamp(size, shaped))
        else:
            self._picture[:] = self._part(view, 0, 0, view.columns, view.rows, stamp(size, shaped))
        self._drawn = (view, size, shaped)
        return self._picture

    def _shift(self, view: MapViewport, right: int, down: int, points: Stamp) -> None:
        """The last picture, moved; then the strips that it does not cover."""
        rows, columns = view.rows, view.columns
        kept_rows, kept_columns = _kept(down, rows), _kept(right, columns)
        self._picture[kept_rows, kept_columns] = self._spare[_kept(-down, rows), _kept(-right, columns)]
        if right:
            begin, end = _bared(right, columns)
            self._picture[:, begin:end] = self._part(view, begin, 0, end - begin, rows, points)
        if down:
            begin, end = _bared(down, rows)
            width = kept_columns.stop - kept_columns.start
            self._picture[begin:end, kept_columns] = self._part(view, kept_columns.start, begin, width, end - begin, points)

    def _part(self, view: MapViewport, column: int, row: int, columns: int, rows: int, points: Stamp) -> np.ndarray:
        """Some pixels of a view, uint32 [rows, columns]; valid until the next call."""
        left, top = view.left + column, view.top + row
        # Points outside are moved to where their stamps just miss the part, and write into a margin: no test for each pixel.
        margin = 2 * points.reach + 2
        height, width = rows + 2 * margin, columns + 2 * margin
        if len(self._paper) < height * width:
            self._paper = np.empty(height * width, np.uint32)
        paper = self._paper[: height * width]
        paper.fill(self.ground)
        places = _Places(view.scale * view.ratio, left, top, columns, rows, points.reach, margin)
        for chosen in self._layers(places):
            for rim in (True, False) if points.rim.shape[1] else (False,):
                for take, number in _chunks(len(self.x) if chosen is None else len(chosen)):
                    self._press(paper, places, take if chosen is None else chosen[take], number, points, rim)
        return paper.reshape(height, width)[margin : margin + rows, margin : margin + columns]

    def _layers(self, places: _Places) -> Iterator[np.ndarray | None]:
        """Points in the order of drawing; None stands for all of them."""
        bounds = places.bounds()
        # to fetch a point from its cell costs some times as much as to look at one more
        if self.cells is None or 4 * self.cells.at_most(*bounds) > len(self.x):
            chosen, above = None, self._above
        else:
            chosen = self.cells.within(*bounds)
            above = self._above if self.on_top is None else chosen[self.on_top[chosen]]
        yield chosen
        if len(above):
            yield above  # a second time, over all others

    def _press(self, paper: np.ndarray, places: _Places, take: slice | np.ndarray, number: int, points: Stamp, rim: bool) -> None:
        """Write some points: their rims, mixed with the ground, or their cores."""
        self.looked_at += 0 if rim else number
        (across, down), at = self._scratch[0][:, :number], self._scratch[1][:number]
        places.put(self.x[take], self.y[take], across, down, at)
        ink = self.ink[take]
        if len(points.core) == 1 and points.core.shape[1] == 1:
            paper[at] = ink
            return
        kind = self.shapes[take] if self.shapes is not None and len(points.core) > 1 else np.zeros(number, np.uint8)
        offsets = (points.rim if rim else points.core) @ np.array([1, places.stride])  # [shapes, pixels]
        pixels = at[:, None] + offsets[kind]  # [number, pixels]: point by point, so that later ones lie over earlier ones
        if rim:
            paper[pixels] = mixed(ink[:, None], self.ground, points.cover[kind])
        else:
            paper[pixels] = ink[:, None]


@dataclass(frozen=True)
class _Places:
    """From places of the map to pixels of a piece of paper with a margin."""

    scale: float  # device pixels per unit of the map
    left: int  # device pixels from the map's zero
    top: int
    columns: int
    rows: int
    reach: int
    margin: int

    @property
    def stride(self) -> int:
        return self.columns + 2 * self.margin

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top on the map of what may touch the part."""
        more = self.reach + 1
        left, right = (self.left - more) / self.scale, (self.left + self.columns + more) / self.scale
        return left, -(self.top + self.rows + more) / self.scale, right, -(self.top - more) / self.scale

    def put(self, x: np.ndarray, y: np.ndarray, across: np.ndarray, down: np.ndarray, at: np.ndarray) -> None:
        """Write each point's pixel, as a number within the paper, into `at`; `across` and `down` are scratch."""
        more = self.reach + 1
        for values, scale, first, length, out in (
            (x, self.scale, self.left, self.columns, across),
            (y, -self.scale, self.top, self.rows, down),
        ):
            np.multiply(values, scale, out=out, dtype=np.float64)
            out += self.margin - first
            np.clip(out, self.margin - more, self.margin + length - 1 + more, out=out)
            np.floor(out, out=out)
        down *= self.stride
        across += down
        np.copyto(at, across, casting="unsafe")


def _chunks(count: int) -> Iterator[tuple[slice, int]]:
    for first in range(0, count, CHUNK):
        yield slice(first, min(first + CHUNK, count)), min(CHUNK, count - first)


def _kept(shift: int, length: int) -> slice:
    """Where along an axis a picture that was shifted still lies."""
    return slice(max(shift, 0), length + min(shift, 0))


def _bared(shift: int, length: int) -> tuple[int, int]:
    """What the shifted picture no longer covers."""
    return (0, shift) if shift > 0 else (length + shift, length)
