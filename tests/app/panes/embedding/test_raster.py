"""Points as pixels against slow loops: where each lands, in what order, what a lasso holds, who is nearest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from app.panes.embedding.raster import MARGIN, SHAPES, Cells, MapViewport, Raster, Stamp, inside, mixed, packed, shape_of, stamp
from app.shell.theme import CATEGORIES, MARKERS

GROUND = 0xFF101217


def cloud(points: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(3, 2, points).astype(np.float32), rng.normal(-1, 1, points).astype(np.float32)


def inks(points: int, seed: int = 1) -> np.ndarray:
    red, green, blue = np.random.default_rng(seed).integers(0, 256, (3, points))
    return packed(red, green, blue)


def raster(x: np.ndarray, y: np.ndarray, cells: bool = True, **more: np.ndarray) -> Raster:
    made = Raster()
    made.set_places(x, y, Cells(x, y) if cells else None)
    made.set_ink(inks(len(x)), GROUND, **more)
    return made


def blended(ink: int, cover: float) -> int:
    parts = []
    for shift in (16, 8, 0):
        below, above = GROUND >> shift & 255, int(ink) >> shift & 255
        parts.append(math.floor(float(np.float32(below) + np.float32(above - below) * np.float32(cover) + np.float32(0.5))))
    return 0xFF000000 | parts[0] << 16 | parts[1] << 8 | parts[2]


def drawn_slowly(
    view: MapViewport, x: np.ndarray, y: np.ndarray, form: Stamp, on_top: np.ndarray | None = None, shapes: np.ndarray | None = None
) -> np.ndarray:
    """Point by point and pixel by pixel; a layer's rims first, then its cores."""
    picture = np.full((view.rows, view.columns), GROUND, np.uint32)
    ink = inks(len(x))
    everyone = range(len(x))
    layers = [everyone] if on_top is None else [[i for i in everyone if not on_top[i]], [i for i in everyone if on_top[i]]]

    def put(point: int, right: int, down: int, color: int) -> None:
        column = math.floor(float(x[point]) * view.scale * view.ratio) - view.left + right
        row = math.floor(-float(y[point]) * view.scale * view.ratio) - view.top + down
        if 0 <= column < view.columns and 0 <= row < view.rows:
            picture[row, column] = color

    for layer in layers:
        for point in layer:
            kind = 0 if shapes is None else int(shapes[point])
            for (right, down), cover in zip(form.rim[kind], form.cover[kind], strict=False):
                put(point, right, down, blended(int(ink[point]), float(cover)))
        for point in layer:
            for right, down in form.core[0 if shapes is None else int(shapes[point])]:
                put(point, right, down, int(ink[point]))
    return picture


# a view


def test_that_the_whole_map_fits_within_the_margins_with_one_scale_for_both_axes():
    x, y = np.array([-2.0, 8.0, 3.0]), np.array([5.0, 6.0, 5.5])
    view = MapViewport.whole(x, y, 400, 300)
    places = view.to_screen(np.stack([x, y], axis=1))
    assert np.isclose(places[:, 0].min(), MARGIN)
    assert np.isclose(places[:, 0].max(), 400 - MARGIN)
    assert np.isclose(places[:, 1].mean(), 150)
    assert places[1, 1] < places[0, 1], "y goes upwards"
    across, upwards = view.to_screen(np.array([1.0, 1.0])) - view.to_screen(np.array([0.0, 0.0]))
    assert np.isclose(across, -upwards)


def test_that_a_single_place_is_in_the_middle_and_places_that_are_none_count_for_nothing():
    view = MapViewport.whole(np.array([7.0, np.nan]), np.array([2.0, np.inf]), 200, 100)
    assert view.to_screen(np.array([7.0, 2.0])).tolist() == [100, 50]
    assert math.isfinite(view.scale)


def test_that_screen_and_map_are_inverse():
    view = MapViewport(1234.5, -0.25, 37.5, 301, 203, 1.25)
    points = np.random.default_rng(0).uniform(0, 300, (50, 2))
    assert np.allclose(view.to_screen(view.to_map(points)), points)


def test_that_zooming_keeps_the_place_under_the_mouse():
    view, at = MapViewport(1.0, 2.0, 50.0, 640, 480), (37.0, 400.0)
    place = view.to_map(np.array(at))
    for factor in (1.25, 1.25, 3.0, 0.1, 7.0):
        view = view.zoomed(view.scale * factor, at)
        assert np.allclose(view.to_screen(place), at)


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_that_a_move_by_whole_pixels_moves_the_columns_by_as_many(ratio: float):
    view = MapViewport(0.123, 4.56, 71.0, 640, 480, ratio)
    moved = view.moved(17, -5)
    assert view.left - moved.left == 17 * ratio
    assert view.top - moved.top == -5 * ratio


# drawing


@pytest.mark.parametrize("cells", [True, False])
@pytest.mark.parametrize("scale", [9.0, 30.0, 800.0])
def test_that_every_point_lands_in_its_pixel_and_later_ones_lie_over_earlier_ones(scale: float, cells: bool):
    x, y = cloud(3000)
    view = MapViewport(3.4, -1.2, scale, 61, 43)
    expected = drawn_slowly(view, x, y, stamp(1, False))
    assert (expected != GROUND).any()
    assert np.array_equal(raster(x, y, cells).draw(view, 1), expected)


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_that_larger_points_are_written_in_their_order_and_clipped_at_the_edges(size: int):
    x, y = cloud(400)
    view = MapViewport(3.0, -1.0, 12.0, 57, 39, 1.5)
    assert np.array_equal(raster(x, y).draw(view, size), drawn_slowly(view, x, y, stamp(size, False)))


def test_that_selected_points_lie_on_top_and_shapes_are_drawn():
    x, y = cloud(200)
    on_top = np.random.default_rng(2).random(200) < 0.2
    shapes = (np.arange(200) % len(SHAPES)).astype(np.uint8)
    for scale in (10.0, 60.0):  # every point is looked at; only those of some cells
        view = MapViewport(3.0, -1.0, scale, 90, 70)
        expected = drawn_slowly(view, x, y, stamp(8, True), on_top, shapes)
        assert np.array_equal(raster(x, y, on_top=on_top, shapes=shapes).draw(view, 8, shaped=True), expected)


def test_that_more_points_than_one_chunk_are_all_drawn():
    points = 150_000
    x, y = cloud(points)
    view = MapViewport(3.0, -1.0, 20.0, 160, 120)
    columns = np.floor(x.astype(np.float64) * 20).astype(int) - view.left
    rows = np.floor(-y.astype(np.float64) * 20).astype(int) - view.top
    last = {(row, column): ink for row, column, ink in zip(rows.tolist(), columns.tolist(), inks(points).tolist(), strict=True)}
    picture = raster(x, y).draw(view, 1)
    for row in range(120):
        for column in range(160):
            assert picture[row, column] == last.get((row, column), GROUND)


def test_that_a_place_that_is_none_is_not_drawn():
    x, y = cloud(300)
    absent = np.arange(300) % 3 == 0
    with_gaps = np.where(absent, np.float32(np.inf), x), np.where(absent, np.float32(np.inf), y)
    view = MapViewport(3.0, -1.0, 12.0, 60, 40)
    expected = Raster()
    expected.set_places(x[~absent], y[~absent], None)
    expected.set_ink(inks(300)[~absent], GROUND)
    for cells in (True, False):
        assert np.array_equal(raster(*with_gaps, cells).draw(view, 4), expected.draw(view, 4))


@pytest.mark.parametrize(("size", "shaped"), [(1, False), (3, False), (8, True)])
def test_that_a_moved_picture_is_the_same_as_one_drawn_anew(size: int, shaped: bool):
    x, y = cloud(4000)
    more = {"on_top": np.arange(4000) % 7 == 0, "shapes": shape_of(np.arange(4000) % 11)}
    moving, view = raster(x, y, **more), MapViewport(3.0, -1.0, 40.0, 131, 97)
    moving.draw(view, size, shaped)
    looked_at = []
    for right, down in [(1, 0), (0, -1), (-13, 29), (5, 5), (0, 0), (40, -60), (-130, 96), (131, 0), (500, 500), (-500, -500), (0.4, 0.7)]:
        view = view.moved(right, down)
        picture = moving.draw(view, size, shaped)
        looked_at.append(moving.looked_at)
        assert np.array_equal(picture, raster(x, y, cells=False, **more).draw(view, size, shaped)), f"moved by {right}, {down}"
    assert looked_at[0] < 400, "one column is not worth a look at all points"


def test_that_what_is_changed_is_drawn_anew():
    x, y = cloud(200)
    made, view = raster(x, y), MapViewport(3.0, -1.0, 12.0, 60, 40)
    before = made.draw(view, 1).copy()
    made.draw(view, 1)
    assert made.looked_at == 0, "nothing had changed"
    made.set_ink(inks(200, seed=5), GROUND)
    changed = made.draw(view, 1).copy()
    assert not np.array_equal(changed, before)
    made.set_places(x + 1, y, None)
    assert not np.array_equal(made.draw(view, 1), changed)
    twin = made.twin()
    assert np.array_equal(twin.draw(view, 3), made.draw(view, 3))


def test_that_colours_are_mixed_with_the_ground():
    ink = inks(200)
    share = np.random.default_rng(3).random(200).astype(np.float32)
    assert mixed(ink, GROUND, share).tolist() == [blended(int(one), float(part)) for one, part in zip(ink, share, strict=True)]
    assert mixed(ink, GROUND, np.ones(200, np.float32)).tolist() == ink.tolist()
    assert set(mixed(ink, GROUND, np.zeros(200, np.float32)).tolist()) == {GROUND}


# the pixels of a point


@pytest.mark.parametrize("size", [3, 5, 6, 9])
def test_that_a_round_point_covers_the_area_of_its_circle(size: int):
    form = stamp(size, False)
    area = len(np.unique(form.core[0], axis=0)) + form.cover[0, :-1].sum()  # the rim's last pixel lies under the core
    assert area == pytest.approx(math.pi / 4 * size**2, rel=0.06)
    assert np.abs(form.core).max() <= form.reach
    assert np.abs(form.rim).max() <= form.reach


def test_that_small_points_are_a_pixel_and_four():
    assert stamp(1, False).core.tolist() == [[[0, 0]]]
    assert sorted(stamp(2, True).core[3].tolist()) == [[-1, -1], [-1, 0], [0, -1], [0, 0]]


def test_that_the_shapes_are_the_markers_of_the_plots_and_differ():
    names = {"o": "circle", "t": "triangle", "s": "square", "d": "diamond", "star": "star", "+": "plus", "x": "cross"}
    assert [names[marker] for marker in MARKERS] == list(SHAPES)
    form = stamp(8, True)
    assert len({frozenset(map(tuple, pixels.tolist())) for pixels in form.core}) == len(SHAPES)


def test_that_no_two_of_many_categories_have_the_same_colour_and_shape():
    looks = {(category % len(CATEGORIES), int(shape)) for category, shape in enumerate(shape_of(np.arange(40), len(CATEGORIES)))}
    assert len(looks) == 40


# the cells


def hard_places() -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = cloud(3000)
    far = x.copy()
    far[:5] = [1e6, -1e6, 1e9, 5e5, 0]
    gaps = np.where(np.arange(3000) % 5 == 0, np.float32(np.inf), x)
    same = np.full(3000, 0.1, np.float32)
    return [(x, y), (far, y), (gaps, y), (same, y), (same, same), (x[:1], y[:1]), (x[:0], y[:0])]


@pytest.mark.parametrize("places", hard_places(), ids=["cloud", "far", "gaps", "line", "heap", "one", "none"])
def test_that_a_rectangle_holds_what_a_look_at_every_point_finds(places: tuple[np.ndarray, np.ndarray]):
    x, y = places
    cells, rng = Cells(x, y), np.random.default_rng(4)
    for _ in range(20):
        left, bottom = rng.normal(2, 3), rng.normal(-1, 2)
        right, top = left + rng.exponential(2), bottom + rng.exponential(1)
        expected = [i for i in range(len(x)) if left <= float(x[i]) <= right and bottom <= float(y[i]) <= top and np.isfinite(x[i])]
        found = cells.within(left, bottom, right, top)
        assert found.tolist() == expected
        assert cells.at_most(left, bottom, right, top) >= len(expected)
    assert cells.within(-1e12, -1e12, 1e12, 1e12).tolist() == np.flatnonzero(np.isfinite(x)).tolist()


@pytest.mark.parametrize("places", hard_places(), ids=["cloud", "far", "gaps", "line", "heap", "one", "none"])
def test_that_the_nearest_point_is_the_one_that_a_look_at_every_point_finds(places: tuple[np.ndarray, np.ndarray]):
    x, y = places
    cells, rng, hits = Cells(x, y), np.random.default_rng(5), 0
    for radius in (0.02, 0.3, 4.0):
        for _ in range(40):
            at = rng.normal(3, 2), rng.normal(-1, 1)
            squares = (x.astype(np.float64) - at[0]) ** 2 + (y.astype(np.float64) - at[1]) ** 2
            best = int(np.flatnonzero(squares == squares.min())[-1]) if len(x) else -1
            expected = best if best >= 0 and squares[best] <= radius**2 else -1
            hits += expected >= 0
            assert cells.nearest(*at, radius) == expected
    assert hits or not len(x)


def test_that_of_points_at_one_place_the_topmost_is_found():
    same = np.zeros(4, np.float32)
    assert Cells(same, same).nearest(0.01, 0, 1) == 3


# the lasso


def holds(polygon: Sequence[Sequence[float]], x: float, y: float) -> bool:
    """The crossing number of a ray to the right."""
    odd = False
    for number, (x1, y1) in enumerate(polygon):
        x2, y2 = polygon[number - 1]
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            odd = not odd
    return odd


LASSOS = {
    "triangle": [(0, 0), (10, 1), (4, 9)],
    "hollow": [(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)],
    "crossing": [(0, 0), (10, 10), (10, 0), (0, 10)],
    "line": [(1, 1), (5, 5)],
    "freehand": [(5 + (4 + math.sin(7 * a)) * math.cos(a), 5 + (4 + math.cos(5 * a)) * math.sin(a)) for a in np.linspace(0, 6.2, 150)],
}


@pytest.mark.parametrize("name", LASSOS)
def test_that_a_lasso_holds_what_a_slow_ray_finds(name: str):
    places = np.random.default_rng(6).uniform(-1, 11, (800, 2))
    expected = [holds(LASSOS[name], x, y) for x, y in places]
    assert inside(np.array(LASSOS[name], float), places).tolist() == expected
    assert name == "line" or any(expected)


def test_that_a_point_on_a_common_edge_belongs_to_one_of_two_neighbours():
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    left, right = np.array([(1, 1), (4, 1), (4, 7), (1, 7)]), np.array([(4, 1), (8, 1), (8, 7), (4, 7)])
    both = np.array([(1, 1), (8, 1), (8, 7), (1, 7)])
    first, second = inside(left, grid), inside(right, grid)
    assert not (first & second).any()
    assert np.array_equal(first | second, inside(both, grid))


def test_that_places_without_numbers_lie_in_no_lasso():
    places = np.array([(5, 5), (np.nan, np.nan), (np.inf, 5)])
    assert inside(np.array(LASSOS["freehand"]), places).tolist() == [True, False, False]
