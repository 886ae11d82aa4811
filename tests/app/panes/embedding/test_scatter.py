"""The map of points: what is drawn in which colour, how mouse and keyboard move it, what a lasso holds."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QPolygonF
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.panes.embedding.point_style import DIMMED, FAINTEST
from app.panes.embedding.raster import SHAPES
from app.panes.embedding.scatter import LARGEST, MARKER_SIZE
from app.shell.theme import DARK, LIGHT, Colors
from tests.kit.scatter import BLUE, GREEN, LEFT, RED, SHIFT, cloud, color_at, drag, ground, let_go, over, press, seen, wheel

# the points


@pytest.mark.parametrize("c", [DARK, LIGHT])
def test_that_points_have_their_colours_on_the_ground_of_the_theme(show, c: Colors) -> None:
    widget = show([(0, 0), (2, 1), (-1, 2)])
    widget.set_colors(c)
    widget.set_inks(np.array([RED, GREEN, BLUE]))
    for place, color in zip(widget.places, (RED, GREEN, BLUE), strict=True):
        assert color_at(widget, place) == color
    assert (seen(widget)[150, 5] == ground(c)).all()


def test_that_a_change_of_theme_changes_the_picture(show) -> None:
    widget = show(cloud(500))
    widget.set_opacity(np.full(500, 0.3))
    dark = seen(widget)
    widget.set_colors(LIGHT)
    light = seen(widget)
    assert (dark != light).any(axis=2).mean() > 0.9
    widget.set_colors(DARK)
    assert np.array_equal(seen(widget), dark)


def test_that_points_that_are_not_selected_are_dimmed_and_lie_below(show) -> None:
    widget = show([(0, 0), (4, 3), (0, 0)])
    widget.set_inks(np.array([RED, GREEN, BLUE]))
    assert color_at(widget, widget.places[0]) == BLUE
    widget.set_selected(np.array([True, False, False]))
    assert color_at(widget, widget.places[0]) == RED
    expected = ground(DARK) + DIMMED * (np.array(GREEN) - ground(DARK))
    assert np.abs(color_at(widget, widget.places[1]) - expected).max() <= 1
    assert "1 selected" in widget.accessibleDescription()
    widget.set_selected(None)
    assert color_at(widget, widget.places[0]) == BLUE


def test_that_opacity_mixes_with_the_ground_and_leaves_a_trace(show) -> None:
    widget = show([(0, 0), (1, 0), (2, 0), (3, 0)])
    widget.set_inks(np.array([GREEN] * 4))
    widget.set_opacity(np.array([1.0, 0.5, 0.0, np.nan]))
    for place, opacity in zip(widget.places, (1.0, 0.5, 0.0, 0.0), strict=True):
        share = FAINTEST + (1 - FAINTEST) * opacity
        expected = ground(DARK) + share * (np.array(GREEN) - ground(DARK))
        assert np.abs(color_at(widget, place) - expected).max() <= 1
        assert color_at(widget, place) != tuple(ground(DARK))


def test_that_hidden_points_are_neither_drawn_nor_found(show) -> None:
    widget = show([(0, 0), (2, 1), (4, 0)])
    widget.set_inks(np.array([RED, GREEN, BLUE]))
    view = widget.view
    widget.set_hidden(np.array([False, True, False]))
    assert widget.view == view
    at = widget.to_screen(widget.places[1])
    assert color_at(widget, widget.places[1]) == tuple(ground(DARK))
    assert widget.pick(at) == -1
    everything = QPolygonF(QRectF(widget.rect())).toList()
    assert widget.within(everything).tolist() == [0, 2]
    widget.set_hidden(None)
    assert widget.pick(at) == 1


def test_that_points_without_a_place_are_left_out_and_counted(show) -> None:
    widget = show([(0, 0), (np.nan, 1), (3, np.inf), (4, 1), (1e300, 0)])
    assert widget.missing == 3
    assert "3 without a place" in widget.accessibleDescription()
    assert widget.within(QPolygonF(QRectF(widget.rect())).toList()).tolist() == [0, 3]
    widget.set_chosen(1)
    widget.set_links(1, [0, 3])
    widget.set_links(0, [2, 3])
    widget.reveal(1)
    seen(widget)
    widget.set_points(np.full((5, 2), np.nan))
    assert widget.view is None
    seen(widget)


def test_that_wrong_shapes_are_refused_in_a_sentence(show) -> None:
    widget = show(cloud(10))
    with pytest.raises(ValueError, match=r"must be an array \[N, 2\], not \[10, 3\]"):
        widget.set_points(np.zeros((10, 3)))
    with pytest.raises(ValueError, match=r"There are 10 points, so the colours must be an array \[10, 3\]"):
        widget.set_inks(np.zeros((9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"so the opacities must be an array \[10\]"):
        widget.set_opacity(np.zeros(11))
    for set_one in (widget.set_selected, widget.set_hidden, widget.set_markers, lambda v: widget.move_to(np.zeros((len(v), 2)))):
        with pytest.raises(ValueError, match="There are 10 points"):
            set_one(np.zeros(3))


def test_that_other_points_forget_what_was_known_of_the_old(show) -> None:
    widget = show(cloud(10))
    widget.set_selected(np.ones(10, bool))
    widget.set_chosen(9)
    widget.set_links(9, [8])
    widget.set_points(cloud(10, seed=1))
    assert widget.point_style.selected is not None
    widget.set_points(cloud(5))
    assert widget.point_style.selected is None
    assert (widget.chosen, widget.links[0]) == (-1, -1)
    seen(widget)


def test_that_the_empty_map_says_what_to_do_and_bears_every_touch(show) -> None:
    widget = show()
    assert (seen(widget) != seen(widget)[0, 0]).any(), "the hint is written"
    assert widget.accessibleDescription() == "Choose a run to see its map."
    middle = QPointF(200, 150)
    press(widget, middle), drag(widget, middle * 0.5), let_go(widget, middle)
    wheel(widget, middle, 1)
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Plus, Qt.Key.Key_Home, Qt.Key.Key_Escape):
        QTest.keyClick(widget, key)
    QTest.mouseDClick(widget, LEFT)
    widget.move_to(np.zeros((0, 2)))
    widget.set_points(np.zeros((0, 2)))
    assert widget.pick(middle) == -1
    assert not len(widget.within([middle, QPointF(0, 0), QPointF(10, 0)]))
    assert widget.figure().image().width() == 3 * 400


def test_that_one_point_is_in_the_middle(show) -> None:
    widget = show([(1e6, -3)])
    assert widget.to_screen(widget.places[0]) == QPointF(200, 150)
    assert widget.pick(QPointF(203, 148)) == 0
    assert widget.size_of_points == LARGEST


def test_that_many_points_are_small_and_few_are_large(show) -> None:
    sizes = []
    for points in (200_000, 20_000, 500):
        widget = show(cloud(points))
        sizes.append(widget.size_of_points)
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == LARGEST
    widget = show(cloud(20_000))
    before = widget.size_of_points
    widget.pan(60, 10)
    assert widget.size_of_points == before, "moving changes no size"
    widget.zoom(30)
    assert widget.size_of_points > before


def test_that_few_points_get_the_shapes_of_their_categories(show) -> None:
    widget = show([(k, k % 2) for k in range(len(SHAPES))])
    widget.set_inks(np.array([GREEN] * len(SHAPES)))
    widget.set_markers(np.arange(len(SHAPES)))
    picture, half = seen(widget), MARKER_SIZE // 2 + 1
    forms = set()
    for place in widget.places:
        at = widget.to_screen(place)
        row, column = int(at.y()), int(at.x())
        forms.add((picture[row - half : row + half, column - half : column + half] != ground(DARK)).any(axis=2).tobytes())
    assert len(forms) == len(SHAPES)
    crowd = show(cloud(5000))
    crowd.set_markers(np.arange(5000))
    assert not crowd.shaped
    crowd.zoom(12)
    assert crowd.shaped


# moving and zooming


def test_that_dragging_moves_the_map_with_the_mouse(show) -> None:
    widget = show(cloud(300))
    place = widget.to_map(QPointF(100, 100))
    hovered: list[int] = []
    widget.hovered.connect(lambda index, _at: hovered.append(index))
    clicked: list[int] = []
    widget.clicked.connect(clicked.append)
    over(widget, widget.to_screen(widget.places[7]))
    press(widget, QPointF(100, 100))
    for step in range(1, 11):
        drag(widget, QPointF(100 + 5 * step, 100 - 2 * step))
    let_go(widget, QPointF(150, 80))
    at = widget.to_screen(place)
    assert (at.x(), at.y()) == pytest.approx((150, 80))
    assert hovered[-1] == -1
    assert not clicked
    drag_over = widget.view
    over(widget, QPointF(10, 10))
    assert widget.view == drag_over, "let go is let go"


@pytest.mark.parametrize("notches", [1, 6, 0.25, -1])
def test_that_the_wheel_zooms_at_the_mouse(show, notches: float) -> None:
    widget, at = show(cloud(300)), QPointF(321, 45)
    assert widget.view is not None
    place, scale = widget.to_map(at), widget.view.scale
    wheel(widget, at, notches)
    assert widget.view.scale == pytest.approx(scale * 1.25**notches)
    now = widget.to_screen(place)
    assert (now.x(), now.y()) == pytest.approx((at.x(), at.y()))


def test_that_zooming_ends_somewhere(show) -> None:
    widget = show(cloud(300))
    assert widget.view is not None
    full = widget.view.scale
    wheel(widget, QPointF(50, 50), 500)
    nearest = widget.view.scale
    wheel(widget, QPointF(50, 50), 1)
    assert widget.view.scale == nearest
    assert seen(widget).shape == (300, 400, 3)
    wheel(widget, QPointF(50, 50), -500)
    assert full / 3 < widget.view.scale < full


def test_that_keys_move_zoom_and_show_all(show) -> None:
    widget = show(cloud(300))
    whole = widget.view
    assert whole is not None
    place = widget.to_map(QPointF(200, 150))
    for key, way in ((Qt.Key.Key_Left, (50, 0)), (Qt.Key.Key_Right, (-50, 0)), (Qt.Key.Key_Up, (0, 37.5)), (Qt.Key.Key_Down, (0, -37.5))):
        widget.show_whole()
        QTest.keyClick(widget, key)
        at = widget.to_screen(place)
        assert (at.x() - 200, at.y() - 150) == pytest.approx(way)
    QTest.keyClick(widget, Qt.Key.Key_Home)
    assert widget.view == whole
    QTest.keyClick(widget, Qt.Key.Key_Plus)
    assert widget.view.scale == pytest.approx(1.25 * whole.scale)
    QTest.keyClick(widget, Qt.Key.Key_Minus)
    assert widget.view.scale == pytest.approx(whole.scale)
    widget.zoom(9)
    QTest.mouseDClick(widget, LEFT)
    assert widget.view == whole


def test_that_the_whole_map_stays_whole_when_the_size_changes_and_a_part_keeps_its_middle(show) -> None:
    widget = show(cloud(300))
    widget.resize(700, 500)
    assert widget.view is not None
    assert (widget.view.width, widget.view.height) == (700, 500)
    at = [widget.to_screen(place) for place in widget.places]
    assert min(one.y() for one in at) == pytest.approx(8, abs=0.01) or min(one.x() for one in at) == pytest.approx(8, abs=0.01)
    widget.zoom(4, QPointF(100, 100))
    middle, scale = widget.to_map(QPointF(350, 250)), widget.view.scale
    widget.resize(300, 320)
    assert widget.to_map(QPointF(150, 160)) == pytest.approx(middle)
    assert widget.view.scale == scale
    assert seen(widget).shape == (320, 300, 3)


def test_that_new_points_can_keep_the_view(show) -> None:
    widget = show(cloud(300))
    widget.zoom(3)
    view = widget.view
    widget.set_points(cloud(300, seed=1), keep_view=True)
    assert widget.view == view
    widget.set_points(cloud(300, seed=1))
    assert widget.view != view


def test_that_a_point_off_the_screen_can_be_brought_into_it(show) -> None:
    widget = show(cloud(300))
    widget.zoom(40, QPointF(200, 150))
    far = int(np.argmax(widget.places[:, 0]))
    widget.reveal(far)
    at = widget.to_screen(widget.places[far])
    assert (at.x(), at.y()) == pytest.approx((200, 150))
    view = widget.view
    widget.reveal(far)
    assert widget.view == view


def test_that_a_moved_map_looks_as_if_drawn_anew(show) -> None:
    widget, other = show(cloud(20_000)), show(cloud(20_000))
    seen(widget)
    for right, down in ((13, 7), (-40, 22), (5, -90)):
        widget.pan(right, down)
        moved = seen(widget)
    other.zoom(1)
    other.look(widget.view)
    other.size_of_points = widget.size_of_points
    assert np.array_equal(moved, seen(other))


def test_that_an_unchanged_map_is_not_drawn_again(show) -> None:
    widget = show(cloud(5000))
    seen(widget)
    for change, drawn in ((lambda: None, False), (lambda: widget.set_chosen(3), False), (lambda: widget.zoom(1.5), True)):
        change()
        seen(widget)
        assert (widget._raster.looked_at > 0) == drawn


# finding points


def test_that_the_mouse_finds_the_nearest_point_within_its_radius(show) -> None:
    widget = show(cloud(2000))
    at_screen = np.array([(at.x(), at.y()) for at in map(widget.to_screen, widget.places)])
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        x, y = rng.uniform(0, 400), rng.uniform(0, 300)
        far = np.hypot(at_screen[:, 0] - x, at_screen[:, 1] - y)
        expected = int(far.argmin()) if far.min() <= 10 else -1
        hits += expected >= 0
        assert widget.pick(QPointF(x, y)) == expected
    assert 0 < hits < 200


def test_that_hovering_is_told_once_for_each_point(show) -> None:
    widget = show([(0, 0), (4, 3)])
    heard: list[tuple[int, QPointF]] = []
    widget.hovered.connect(lambda index, at: heard.append((index, at)))
    first, second = (widget.to_screen(place) for place in widget.places)
    for at in (QPointF(200, 150), first, first + QPointF(1, 1), second, second, QPointF(200, 150)):
        over(widget, at)
    assert [index for index, _ in heard] == [0, 1, -1]
    assert heard[0][1] == first
    over(widget, first)
    QApplication.sendEvent(widget, QEvent(QEvent.Type.Leave))
    assert [index for index, _ in heard[3:]] == [0, -1]
    over(widget, first)
    widget.hide()
    assert heard[-1][0] == -1
    assert not widget.toolTip()


def test_that_a_click_chooses_a_point_and_draws_a_ring(show) -> None:
    widget = show([(0, 0), (4, 3)])
    clicked: list[int] = []
    widget.clicked.connect(clicked.append)
    before = seen(widget)
    at = widget.to_screen(widget.places[1])
    press(widget, at), let_go(widget, at)
    press(widget, QPointF(200, 150)), let_go(widget, QPointF(200, 150))
    assert clicked == [1]
    assert widget.chosen == 1
    rows, columns = np.nonzero((seen(widget) != before).any(axis=2))
    assert len(rows)
    assert np.hypot(columns + 0.5 - at.x(), rows + 0.5 - at.y()).max() < 16


def test_that_a_lasso_with_shift_holds_what_lies_within(show) -> None:
    widget = show(cloud(2000))
    heard: list[np.ndarray] = []
    widget.lassoed.connect(heard.append)
    view = widget.view
    angles = np.linspace(0, 6.2, 60)
    corners = [QPointF(200 + (70 + 30 * np.sin(5 * a)) * np.cos(a), 150 + 80 * np.sin(a)) for a in angles]
    press(widget, corners[0], SHIFT)
    plain = seen(widget)
    for corner in corners[1:]:
        drag(widget, corner)
    assert (seen(widget) != plain).any()
    let_go(widget, corners[-1])
    assert np.array_equal(seen(widget), plain), "the line is gone"
    polygon = QPolygonF(corners)
    expected = [
        index for index, place in enumerate(widget.places) if polygon.containsPoint(widget.to_screen(place), Qt.FillRule.OddEvenFill)
    ]
    assert 100 < len(expected) < 1900
    assert heard[0].dtype == np.int64
    assert heard[0].tolist() == expected
    assert widget.view == view


def test_that_in_lasso_mode_no_shift_is_needed_and_escape_gives_up(show) -> None:
    widget = show(cloud(100))
    heard: list[np.ndarray] = []
    cleared: list[bool] = []
    widget.lassoed.connect(heard.append)
    widget.cleared.connect(lambda: cleared.append(True))
    widget.set_lasso(True)
    corners = [QPointF(0, 0), QPointF(400, 0), QPointF(400, 300), QPointF(0, 300)]
    press(widget, corners[0])
    for corner in corners[1:]:
        drag(widget, corner)
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    let_go(widget, corners[-1])
    assert not heard
    assert not cleared
    press(widget, corners[0])
    for corner in corners[1:]:
        drag(widget, corner)
    let_go(widget, corners[-1])
    assert heard[0].tolist() == list(range(100))
    widget.set_lasso(False)
    press(widget, corners[0]), drag(widget, corners[2]), let_go(widget, corners[2])
    assert len(heard) == 1


def test_that_escape_clears(show) -> None:
    widget = show(cloud(10))
    cleared: list[bool] = []
    widget.cleared.connect(lambda: cleared.append(True))
    widget.set_selected(np.arange(10) < 3)
    widget.set_chosen(4)
    widget.set_links(4, [1, 2])
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    assert cleared == [True]
    assert widget.point_style.selected is None
    assert (widget.chosen, widget.links[0]) == (-1, -1)


def test_that_links_are_drawn_to_the_neighbours(show) -> None:
    widget = show([(0, 0), (4, 0), (4, 3), (0, 3)])
    before = seen(widget)
    widget.set_links(0, [1, 3])
    changed = (seen(widget) != before).any(axis=2)
    places = [widget.to_screen(place) for place in widget.places]
    for one, drawn in ((1, True), (2, False), (3, True)):
        middle = (places[0] + places[one]) / 2
        row, column = round(middle.y()), round(middle.x())
        assert changed[row - 2 : row + 3, column - 2 : column + 3].any() == drawn
    widget.set_links(-1)
    assert np.array_equal(seen(widget), before)
