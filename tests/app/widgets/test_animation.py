"""Saved films: as another program reads them, frame by frame, with their speed, their repetition and their recipe."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QMenu

from app.widgets.animation import FilmSpeed, film_bytes
from app.widgets.image_view import chw_to_qimage
from engine.common.films import film_ending, some_of

ABOUT = {"run": "späte Reise", "step": "12", "z": [0.5, -1.0]}


def frames(count: int = 5) -> np.ndarray:
    """Pictures uint8 [count, 3, 6, 8], each of other colours."""
    return np.random.default_rng(1).integers(0, 256, (count, 3, 6, 8), dtype=np.uint8)


def recipe_of(film: Image.Image) -> dict[str, object]:
    kind = film.format
    text = film.info["comment"] if kind == "GIF" else film.getexif()[0x010E] if kind == "WEBP" else film.info["priorama"]
    return json.loads(text)


@pytest.mark.parametrize(("ending", "kind"), [("gif", "GIF"), ("webp", "WEBP"), ("apng", "PNG")])
def test_that_a_film_holds_every_frame_repeats_and_says_how_it_was_made(qapp, ending: str, kind: str):
    pictures: list[QImage] = [chw_to_qimage(one) for one in frames()]
    data = film_bytes(pictures, f"a film.{ending}", ABOUT, factor=3, frame_ms=120, last_ms=900)
    with Image.open(io.BytesIO(data)) as film:
        assert film.format == kind and getattr(film, "n_frames", 1) == 5 and film.size == (24, 18)
        assert film.info["loop"] == 0 and recipe_of(film) == ABOUT
        stays = []
        for place, wanted in enumerate(frames()):
            film.seek(place)
            film.load()
            stays.append(round(film.info["duration"]))
            shown = np.asarray(film.convert("RGB"))
            assert np.array_equal(shown, wanted.transpose(1, 2, 0).repeat(3, 0).repeat(3, 1)), place
    assert stays == [120] * 4 + [900]


def test_that_a_name_says_what_kind_of_film_it_is():
    assert [film_ending(name) for name in ("a.gif", "b.WebP", "/x.y/c.apng", "noending")] == ["gif", "webp", "apng", ""]


def test_that_the_speed_of_films_is_chosen_in_the_menu(qapp):
    menu = QMenu()
    speed = FilmSpeed(menu)
    assert [action.text() for action in menu.actions()] == ["Film speed ½×", "Film speed 1×", "Film speed 2×"]
    assert speed.factor == 1 and menu.actions()[1].isChecked()
    menu.actions()[2].trigger()
    assert speed.factor == 2


def test_that_some_frames_of_many_are_spread_evenly_with_the_first_and_the_last():
    assert some_of(5, 64) == [0, 1, 2, 3, 4] and some_of(1) == [0]
    places = some_of(1000, 11)
    assert places[0] == 0 and places[-1] == 999 and len(places) == 11 and max(np.diff(places)) - min(np.diff(places)) <= 1
