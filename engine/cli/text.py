"""Text from files and people as it may go to a terminal or into JSON: nothing lost, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

from engine.common.remedies import for_verbs

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories: controls, formats such as a change of direction, lone surrogates, line ends
JOINERS = "\u200c\u200d"  # harmless, and part of words and of emoji


def visible(text: str) -> str:
    r"""Every character that would not be seen as itself as a backslash escape: a control, a line end, a byte that is no UTF-8 (`\xff`)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in HIDDEN and c not in JOINERS else c for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of a byte that it could not decode (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode() if not 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def all_visible(value: Any) -> Any:
    """The same numbers, lists and dictionaries with every string in them `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {all_visible(key): all_visible(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_visible(one) for one in value]
    return value


def json_line(value: Any) -> str:
    """One line of ASCII that every JSON reader takes: what is no finite number becomes null."""
    return json.dumps(_finite(value), ensure_ascii=True, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return for_verbs(value)
    return value if value is None or isinstance(value, (int, float)) else _finite(value.tolist())  # of numpy
