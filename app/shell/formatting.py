"""Numbers as the window writes them: narrow spaces between thousands, a real minus, units, times in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from engine.common.counting import number_of

THIN = "\u202f"  # a narrow space that does not break
MINUS = "\u2212"


def count(value: int) -> str:
    """12000 -> "12 000"."""
    return f"{value:,}".replace(",", THIN).replace("-", MINUS)


def things(number: int, noun: str, plural: str = "") -> str:
    """12000, "image" -> "12 000 images", and "1 image", as `number_of` says it with numbers as the window writes them."""
    return number_of(number, noun, plural, count)


def number(value: float, digits: int = 2, unit: str = "") -> str:
    """-1893.24, 1, "nat" -> "−1 893.2 nat". Numbers that are none are written as a dash."""
    if not math.isfinite(value):
        text = "–"
    else:
        text = f"{value:,.{digits}f}".replace(",", THIN).replace("-", MINUS)
        if float(f"{value:.{digits}f}") == 0:
            text = text.lstrip(MINUS)
    if not unit:
        return text
    return f"{text}{unit}" if unit == "σ" else f"{text}{THIN if unit == '%' else ' '}{unit}"


def size(bytes: int) -> str:
    """140000000 -> "140 MB"."""
    for unit, worth in (("GB", 1e9), ("MB", 1e6)):
        if bytes >= worth:
            return number(bytes / worth, 0 if bytes >= 10 * worth else 1, unit)
    return number(max(1, bytes / 1e3) if bytes else 0, 0, "kB")


def in_brackets(bytes: int) -> str:
    """ " (140 MB)" as the end of a phrase; nothing where the size is not known."""
    return f" ({size(bytes)})" if bytes else ""


def duration(seconds: float) -> str:
    """134 -> "2 min 14 s"."""
    if not math.isfinite(seconds):
        return "a long time"
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours >= 48:
        return things(hours // 24, "day")
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {left} s" if minutes < 10 else f"{minutes} min"
    return f"{left} s"


def speed(per_second: float) -> str:
    """3130.2 -> "3 130 img/s"."""
    return f"{count(round(per_second)) if per_second >= 10 else number(per_second, 1)} img/s"


def term(name: str) -> str:
    """A term of a loss as it is read: "energy distance · validation" of "valid energy_distance"."""
    own = name.removeprefix("valid ")
    return own.replace("_", " ").replace("top1 ", "top-1 ") + (" · validation" if own != name else "")


DECODED = {"mean": ("mean of p(x|z)", "means of p(x|z)"), "sample": ("sample of p(x|z)", "samples of p(x|z)")}


def decoded_as(decode: str, many: bool = False) -> str:
    """What an answer's decoded images are, by its `decode`: "mean of p(x|z)"; empty where the decoder is a plain function."""
    return DECODED[decode][many] if decode else ""


def settings(changed: Mapping[str, object], fits: Callable[[str], bool] = lambda _text: True) -> str:
    """The changed settings on one line, as the run list shows them: "latent 16 · discretized logistic".

    Of more than what `fits`, the first ones and how many there are besides: "latent 16 · 2 more".
    """
    parts = _changes(changed)
    for kept in range(len(parts), 0, -1):
        rest = len(parts) - kept
        text = " · ".join([*parts[:kept], *([f"{rest} more"] if rest else [])])
        if fits(text):
            return text
    return f"{len(parts)} settings changed" if len(parts) > 1 else "1 setting changed" if parts else ""


def _changes(changed: Mapping[str, object]) -> list[str]:
    parts = []
    for name, value in changed.items():
        words = name.replace("_", " ")
        if isinstance(value, bool):
            parts.append(words if value else f"no {words}")
        elif isinstance(value, str):
            parts.append(value.replace("_", " "))
        else:
            parts.append(f"{words} {value:g}" if isinstance(value, int | float) else f"{words} {value}")
    return parts
