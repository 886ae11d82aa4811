"""Work in threads: the order stays, an error comes through, and no thread is left behind."""

from __future__ import annotations

import threading

import pytest

from engine.common.threads import in_threads


def test_that_results_come_in_the_order_of_the_pieces_from_other_threads() -> None:
    asked = threading.get_ident()
    found = list(in_threads(lambda piece: (piece * piece, threading.get_ident() == asked), range(50)))
    assert found == [(piece * piece, False) for piece in range(50)]


def test_that_an_error_comes_through_and_no_thread_survives_it_or_an_early_end() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda piece: 1 // piece, [1, 2, 0, 3]))
    some = in_threads(lambda piece: piece, range(1_000))
    assert next(some) == 0
    some.close()
    assert threading.active_count() == before
