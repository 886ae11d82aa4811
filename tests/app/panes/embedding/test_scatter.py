"""The map of points: what is drawn in which colour, how mouse and keyboard move it, what a lasso holds, what moves by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPolygonF, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.panes.embedding import scatter as scatter_module
from app.panes.embedding.point_style import DIMMED, FAINTEST
from app.panes.embedding.raster import SHAPES
from app.panes.embedding.scatter import LARGEST, MARKER_SIZE, Scatter
from app.panes.embedding.thumbnails import FEW
from app.shell.theme import DARK, LIGHT, Colors
from app.widgets.animation import pixels

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 60), (40, 70, 230)
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
PLAIN, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def show(qapp: QApplication) -> Iterator[Callable[..., Scatter]]:
    made: list[Scatter] = []

    def show_one(places: object = None, width: int = 400, height: int = 300) -> Scatter:
        widget = Scatter(hint="Choose a run to see its map.")
        widget.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        widget.resize(width, height)
        widget.show()
        if places is not None:
            widget.set_points(np.asarray(places))
        made.append(widget)
        return widget

    yield show_one
    for widget in made:
        widget.close()
        widget.deleteLater()


def cloud(points: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(points, 2)).astype(np.float32)


def seen(widget: Scatter) -> np.ndarray:
    """uint8 [H, W, 3]"""
    return pixels(widget.grab().toImage())


def color_at(widget: Scatter, place: np.ndarray) -> tuple[int, ...]:
    at = widget.to_screen(place)
    return tuple(int(part) for part in seen(widget)[int(at.y()), int(at.x())])


def ground(c: Colors) -> np.ndarray:
    return np.array(QColor(c.background).getRgb()[:3])  # type: ignore[index]


def mouse(
    widget: Scatter, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = PLAIN, held: bool = True
) -> None:
    buttons = button if held else NONE
    event = QMouseEvent(kind, at, widget.mapToGlobal(at), NONE if kind == QEvent.Type.MouseMove else button, buttons, keys)
    QApplication.sendEvent(widget, event)


def press(widget: Scatter, at: QPointF, keys: Qt.KeyboardModifier = PLAIN) -> None:
    mouse(widget, QEvent.Type.MouseButtonPress, at, keys=keys)


def drag(widget: Scatter, at: QPointF) -> None:
    mouse(widget, QEvent.Type.MouseMove, at)


def let_go(widget: Scatter, at: QPointF) -> None:
    mouse(widget, QEvent.Type.MouseButtonRelease, at, held=False)


def over(widget: Scatter, at: QPointF) -> None:
    mouse(widget, QEvent.Type.MouseMove, at, NONE, held=False)


def wheel(widget: Scatter, at: QPointF, notches: float) -> None:
    turned = QPoint(0, round(120 * notches))
    event = QWheelEvent(at, widget.mapToGlobal(at), QPoint(), turned, NONE, PLAIN, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(widget, event)


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


# thumbnails


def images(points: int) -> np.ndarray:
    """Every image is one grey."""
    grey = (np.arange(points) * 7 % 200 + 50).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (points, 1, 8, 8)).copy()


def test_that_few_points_are_drawn_as_their_images_in_a_frame_of_their_colour(show) -> None:
    widget = show([(0, 0), (4, 3), (4, 0)])
    widget.set_inks(np.array([RED, GREEN, BLUE]))
    widget.set_thumbnails(images(3))
    widget.zoom(0.7)
    picture = seen(widget)
    assert sorted(index for index, _ in widget.thumbnails.shown) == [0, 1, 2]
    for index, place in widget.thumbnails.shown:
        middle = place.center().toPoint()
        assert picture[middle.y(), middle.x()].tolist() == [index * 7 % 200 + 50] * 3
        assert tuple(picture[middle.y(), round(place.left()) - 1]) == (RED, GREEN, BLUE)[index]
        assert widget.pick(place.topLeft() + QPointF(1, 1)) == index
    widget.set_thumbnails(None)
    assert not widget.thumbnails.shown
    assert color_at(widget, widget.places[0]) == RED


def test_that_many_points_stay_points_until_zoomed_in(show) -> None:
    widget = show(cloud(4000))
    widget.set_thumbnails(images(4000))
    seen(widget)
    assert not widget.thumbnails.shown
    widget.zoom(25)
    seen(widget)
    assert 0 < len(widget.thumbnails.shown) <= FEW
    left, bottom, right, top = widget.view.bounds
    x, y = widget.places[:, 0], widget.places[:, 1]
    expected = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    assert [index for index, _ in widget.thumbnails.shown] == expected.tolist()


def test_that_an_image_that_is_not_there_yet_is_asked_for_again(show) -> None:
    widget = show([(0, 0), (4, 3)])
    asked: list[int] = []
    there = QImage(8, 8, QImage.Format.Format_RGB32)
    there.fill(QColor("#123456"))

    def image_of(index: int) -> QImage | None:
        asked.append(index)
        return there if index == 1 or len(asked) > 2 else None

    widget.set_thumbnails(image_of)
    seen(widget)
    assert [index for index, _ in widget.thumbnails.shown] == [1]
    seen(widget)
    assert [index for index, _ in widget.thumbnails.shown] == [0, 1]
    seen(widget)
    assert asked == [0, 1, 0]


def test_that_images_of_selected_points_lie_on_top_and_the_others_are_dimmed(show) -> None:
    widget = show([(0, 0), (0, 0), (4, 3)])
    widget.set_thumbnails(images(3))
    widget.set_selected(np.array([True, False, False]))
    picture = seen(widget)
    assert [index for index, _ in widget.thumbnails.shown] == [1, 2, 0]
    at = widget.to_screen(widget.places[2])
    expected = ground(DARK) + DIMMED * (64 - ground(DARK))
    assert np.abs(picture[int(at.y()), int(at.x())] - expected).max() <= 2


# what moves by itself


def test_that_points_travel_to_their_new_places_and_the_timer_stops(show, qtbot: QtBot) -> None:
    widget = show(cloud(500))
    old, new = widget.places, cloud(500, seed=1) * 3
    between: list[np.ndarray] = []
    widget.move_to(new, 120)
    assert widget._timer.isActive()
    widget._timer.timeout.connect(lambda: between.append(widget.places))
    qtbot.waitUntil(lambda: not widget._timer.isActive(), timeout=5000)
    assert np.array_equal(widget.places, new)
    other = show(new)
    assert widget.view == other.view, "the whole map is still shown"
    assert np.array_equal(seen(widget), seen(other))
    assert widget.pick(widget.to_screen(new[3])) == other.pick(other.to_screen(new[3])) >= 0
    for places in between[:-1]:
        share = (places[0, 0] - old[0, 0]) / (new[0, 0] - old[0, 0])
        assert np.allclose(places, old + share * (new - old), atol=1e-4), "all go the same share of their way"


def test_that_hidden_and_absent_points_survive_the_journey(show, qtbot: QtBot) -> None:
    old, new = cloud(50), cloud(50, seed=1)
    old[3] = np.nan
    new[4] = np.inf
    widget = show(old)
    widget.set_hidden(np.arange(50) == 5)
    widget.move_to(new, 40)
    seen(widget)
    qtbot.waitUntil(lambda: not widget._timer.isActive(), timeout=5000)
    assert widget.missing == 1
    widget.set_hidden(None)
    assert widget.within(QPolygonF(QRectF(widget.rect()).adjusted(-9, -9, 9, 9)).toList()).tolist() == [i for i in range(50) if i != 4]


def test_that_a_map_that_was_zoomed_keeps_its_view_on_the_way(show, qtbot: QtBot) -> None:
    widget = show(cloud(500))
    widget.zoom(3)
    view = widget.view
    widget.move_to(cloud(500, seed=1), 30)
    qtbot.waitUntil(lambda: not widget._timer.isActive(), timeout=5000)
    assert widget.view == view


@pytest.mark.parametrize("how", ["hide", "press", "key", "resize", "points"])
def test_that_a_journey_that_is_cut_short_is_at_its_end(show, how: str) -> None:
    widget = show(cloud(500))
    new = cloud(500, seed=1)
    widget.move_to(new, 60_000)
    widget._go_on()
    match how:
        case "hide":
            widget.hide()
        case "press":
            press(widget, QPointF(100, 100)), let_go(widget, QPointF(100, 100))
        case "key":
            QTest.keyClick(widget, Qt.Key.Key_Plus)
        case "resize":
            widget.resize(350, 250)
        case "points":
            widget.set_points(new)
            widget._go_on()
    assert not widget._timer.isActive()
    assert np.array_equal(widget.places, new)
    seen(widget)


def test_that_a_journey_can_turn_halfway(show, qtbot: QtBot) -> None:
    widget = show(cloud(500))
    widget.move_to(cloud(500, seed=1), 60_000)
    widget._go_on()
    new = cloud(500, seed=2)
    widget.move_to(new, 30)
    qtbot.waitUntil(lambda: not widget._timer.isActive(), timeout=5000)
    assert np.array_equal(widget.places, new)


def test_that_too_many_points_jump_and_so_do_hidden_maps(show, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = show(cloud(500))
    monkeypatch.setattr(scatter_module, "MORPH_POINTS", 499)
    for places in (cloud(500, seed=1), cloud(500, seed=2)):
        widget.move_to(places)
        assert not widget._timer.isActive()
        assert np.array_equal(widget.places, places)
        monkeypatch.setattr(scatter_module, "MORPH_POINTS", 500)
        widget.hide()


def test_that_an_image_flies_to_its_place_and_stays(show, qtbot: QtBot) -> None:
    widget = show([(0, 0), (4, 3)])
    empty = seen(widget)
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    image.fill(QColor(*RED))
    place = np.array([2.0, 1.5])
    widget.fly(image, QPointF(30, 40), place)
    assert tuple(seen(widget)[40, 30]) == RED
    qtbot.waitUntil(lambda: not widget._timer.isActive(), timeout=5000)
    assert color_at(widget, place) == RED
    assert (seen(widget)[40, 30] == empty[40, 30]).all()
    accent = QColor(DARK.accent).getRgb()[:3]  # type: ignore[index]
    assert (np.abs(seen(widget).astype(int) - accent).max(axis=2) <= 8).sum() > 40, "a ring"
    widget.pan(20, 0)
    assert color_at(widget, place) == RED
    widget.remove_flights()
    widget.show_whole()
    assert np.array_equal(seen(widget), empty)


def test_that_a_flight_ends_with_the_widget(show) -> None:
    widget = show([(0, 0), (4, 3)])
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    image.fill(QColor(*RED))
    widget.fly(image, QPointF(30, 40), np.zeros(2))
    widget.remove_flights()
    widget._go_on()
    assert not widget._timer.isActive()
    widget.fly(image, QPointF(30, 40), np.zeros(2))
    widget.hide()
    assert not widget._timer.isActive()
    widget.fly(image, QPointF(30, 40), np.zeros(2))
    assert not widget._timer.isActive()
    assert [flight.share for flight in widget.flights.all] == [1.0, 1.0]


# out of the window


def test_that_the_picture_is_finer_and_shows_what_stands_but_not_the_mouse(show) -> None:
    widget = show(cloud(300))
    widget.set_inks(np.tile(np.array(GREEN, np.uint8), (300, 1)))
    plain = pixels(widget.figure().image())
    assert plain.shape == (900, 1200, 3)
    over(widget, widget.to_screen(widget.places[5]))
    assert widget.under_mouse == 5
    assert np.array_equal(pixels(widget.figure().image()), plain)
    widget.set_chosen(5)
    assert not np.array_equal(pixels(widget.figure().image()), plain)
    at = 3 * widget.to_screen(widget.places[9])
    assert tuple(plain[int(at.y()), int(at.x())]) == GREEN
    assert widget.figure(1).image(1).size() == widget.size()


def test_that_the_map_can_be_reached_and_has_a_name(show) -> None:
    widget = show(cloud(30))
    assert widget.accessibleName() == "Map of the points"
    assert widget.focusPolicy() == Qt.FocusPolicy.StrongFocus
    assert widget.accessibleDescription() == "30 points"
