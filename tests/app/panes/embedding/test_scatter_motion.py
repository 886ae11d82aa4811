"""The map of points: thumbnails, what moves by itself, what goes out of the window."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPolygonF
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.panes.embedding import scatter as scatter_module
from app.panes.embedding.point_style import DIMMED
from app.panes.embedding.thumbnails import FEW
from app.shell.theme import DARK
from app.widgets.animation import pixels
from tests.kit.scatter import BLUE, GREEN, RED, cloud, color_at, ground, let_go, over, press, seen


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
