"""How numbers are written."""

from __future__ import annotations

import pytest

from app.shell import formatting

T = "\u202f"


@pytest.mark.parametrize(
    ("value", "digits", "unit", "text"),
    [
        (-1893.24, 1, "nat", f"−1{T}893.2 nat"),
        (9, 0, "of 12", "9 of 12"),
        (0.72, 2, "σ", "0.72σ"),
        (-0.0004, 2, "", "0.00"),
        (84.06, 1, "%", f"84.1{T}%"),
        (float("nan"), 2, "nat", "– nat"),
        (1234567.0, 0, "", f"1{T}234{T}567"),
    ],
)
def test_numbers_are_written_with_thin_spaces_and_a_real_minus(value: float, digits: int, unit: str, text: str) -> None:
    assert formatting.number(value, digits, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (134, "2 min 14 s"),
        (3599, "59 min"),
        (3700, "1 h 1 min"),
        (200_000, "2 days"),
        (float("inf"), "a long time"),
    ],
)
def test_times_are_written_in_words(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_changed_settings_read_as_one_line() -> None:
    assert formatting.settings({"latent": 16, "likelihood": "discretized_logistic", "binarize": True, "augment": False}) == (
        "latent 16 · discretized logistic · binarize · no augment"
    )


def test_slow_speeds_keep_a_digit() -> None:
    assert formatting.speed(3130.2) == f"3{T}130 img/s"
    assert formatting.speed(4.26) == "4.3 img/s"


def test_terms_are_words() -> None:
    assert formatting.term("valid energy_distance") == "energy distance · validation"
    assert (formatting.term("top1_retrieval"), formatting.term("loss σ 0.1")) == ("top-1 retrieval", "loss σ 0.1")
