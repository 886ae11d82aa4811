"""What a run may be called: the same rules for the form of a new run and for the folder that is made."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_NAME = 120  # bytes
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def name_fault(name: str, taken: Iterable[str] = ()) -> str:
    """Why a run cannot have this name, in one sentence; empty where it can.

    Args:
        taken: names of runs that are there or wait. On some systems two names that differ by their capitals are one folder.
    """
    if not name.strip():
        return "A run needs a name: type one, or leave it out to get one."
    if len(name.encode(errors="replace")) > LONGEST_NAME:
        return f"The name “{name[:40]}…” is too long: use at most {LONGEST_NAME} plain letters."
    if name.startswith((".", " ", "-")) or name.endswith((".", " ")):
        return f"“{name}” cannot be a run's name: it must not begin with a dot, blank or dash, nor end with a dot or blank."
    bad = sorted({character for character in name if character in '/\\:*?"<>|' or not character.isprintable()})
    if bad:
        return f"“{name}” cannot be a run's name: leave out {' '.join(repr(character)[1:-1] for character in bad)}."
    if name.split(".")[0].lower() in _RESERVED:
        return f"“{name}” cannot be a run's name: Windows keeps it for itself."
    twin = next((other for other in taken if other.casefold() == name.casefold()), None)
    if twin is not None:
        return f"There is already a run “{twin}”: choose another name, for example “{next_free(name, taken)}”."
    return ""


def next_free(name: str, taken: Iterable[str]) -> str:
    """The name itself where it is free, else with the first free number behind it: "a", "a-2", "a-3"; "a-7" becomes "a-8"."""
    used = {other.casefold() for other in taken}
    if name.casefold() not in used:
        return name
    stem, dash, tail = name.rpartition("-")
    stem, count = (stem, int(tail) + 1) if dash and tail.isascii() and tail.isdigit() and len(tail) < 10 else (name, 2)
    while f"{stem}-{count}".casefold() in used:
        count += 1
    return f"{stem}-{count}"
