"""How many there are of something, in words: “1 image”, “2,000 images”."""

from __future__ import annotations

from collections.abc import Callable


def number_of(number: int, noun: str, plural: str = "", written: Callable[[int], str] = "{:,}".format) -> str:
    """The number, as it is `written`, with its noun; `plural` where that is not the noun with an s."""
    return f"{written(number)} {noun if number == 1 else plural or noun + 's'}"


def is_or_are(number: int) -> str:
    """The verb of so many."""
    return "is" if number == 1 else "are"


def was_or_were(number: int) -> str:
    """The verb after so many."""
    return "was" if number == 1 else "were"


def has_or_have(number: int) -> str:
    """The verb after so many."""
    return "has" if number == 1 else "have"
