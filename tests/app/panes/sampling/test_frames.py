"""Frames of an iterative sampler are kept within a bounded memory."""

from __future__ import annotations

import gc

import numpy as np

from app.panes.sampling.frames import FilmMemory, FrameFilm


def frame(number: int) -> np.ndarray:
    return np.full((1, 1, 4, 4), number, np.uint8)  # 16 bytes


def numbers(film: FrameFilm) -> list[int]:
    assert [int(one[0, 0, 0, 0]) for one in film.frames] == film.numbers  # each frame stands under its own number
    return film.numbers


def test_that_a_short_film_is_kept_whole() -> None:
    film = FrameFilm(16 * 20)
    for number in range(20):
        film.add(number, frame(number))
    assert numbers(film) == list(range(20))


def test_that_a_long_film_keeps_its_first_and_last_frame_and_evenly_chosen_ones_between() -> None:
    film = FrameFilm(16 * 20)
    for number in range(101):
        film.add(number, frame(number))
        assert film.nbytes <= film.max_bytes
        assert film.numbers[0] == 0 and film.numbers[-1] == number
    assert numbers(film) == [*range(0, 97, 8), 100]


def test_that_a_number_without_a_frame_shows_the_one_before_it() -> None:
    film = FrameFilm()
    assert film.at(3) is None
    for number in (2, 4, 8):
        film.add(number, frame(number))
    assert [int(film.at(number)[0, 0, 0, 0]) for number in (0, 2, 3, 4, 7, 8, 99)] == [2, 2, 2, 4, 4, 8, 8]  # type: ignore[index]


def test_that_the_films_added_to_least_recently_are_released_first() -> None:
    memory = FilmMemory(16 * 25)
    films = [FrameFilm() for _ in range(3)]
    for film in films:
        for number in range(10):
            film.add(number, frame(number))
            memory.touch(film)
    assert [numbers(film) for film in films] == [[9], list(range(10)), list(range(10))]
    memory.touch(films[1])
    films[0].add(10, frame(10))
    for number in range(11, 20):
        films[0].add(number, frame(number))
        memory.touch(films[0])
    assert [len(film) for film in films] == [11, 10, 1]


def test_that_a_film_that_is_gone_takes_no_memory() -> None:
    memory = FilmMemory(16 * 25)
    gone, kept = FrameFilm(), FrameFilm()
    for film in (gone, kept):
        for number in range(10):
            film.add(number, frame(number))
            memory.touch(film)
    del gone, film
    gc.collect()
    newest = FrameFilm()
    for number in range(10):
        newest.add(number, frame(number))
        memory.touch(newest)
    assert len(kept) == 10
