"""Text as numbers and back, against Python's own `ord` and `sorted`."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.dataset import BadData
from engine.data.tokens import MOST_SYMBOLS, UNKNOWN, decode, encode, symbols_of, unknown_in

TEXT = "Zwölf Boxkämpfer jagen Viktor – quer über den großen Sylter Deich 😀\n"


def test_that_the_symbols_are_the_characters_in_order():
    assert symbols_of(TEXT.encode(), "characters") == tuple(sorted({ord(character) for character in TEXT} | {UNKNOWN}))
    assert symbols_of(TEXT.encode(), "bytes") == tuple(range(256))


@pytest.mark.parametrize("units", ["characters", "bytes"])
def test_that_a_text_survives_the_way_there_and_back(units: str):
    symbols = symbols_of(TEXT.encode(), units)
    tokens = encode(TEXT.encode(), symbols, units)
    assert tokens.dtype == np.int64 and tokens.min() >= 0 and tokens.max() < len(symbols)
    assert len(tokens) == (len(TEXT) if units == "characters" else len(TEXT.encode()))
    assert decode(tokens, symbols, units) == TEXT


def test_that_an_unknown_character_is_named():
    symbols = symbols_of(b"abc", "characters")
    for strange in ("abd", "ab\u4e2d", "\0"):
        with pytest.raises(BadData, match="not among the 3 characters"):
            encode(strange.encode(), symbols, "characters")


def test_that_what_is_not_in_the_vocabulary_is_the_unknown_symbol_where_there_is_one():
    symbols = symbols_of(b"abc", "characters")
    text = "a中bé".encode()
    assert decode(encode(text, symbols, "characters", strict=False), symbols, "characters") == "a\ufffdb\ufffd"
    assert unknown_in(text, symbols, "characters").tolist() == [False, True, False, True]
    assert not unknown_in(text, symbols_of(text, "bytes"), "bytes").any()
    with pytest.raises(BadData, match="not among the 3 characters"):  # a run of an older version
        encode(text, tuple(map(ord, "abc")), "characters", strict=False)


def test_that_broken_bytes_are_shown_as_such():
    assert decode(encode(b"a\xffb", tuple(range(256)), "bytes"), tuple(range(256)), "bytes") == "a\ufffdb"
    assert "\ufffd" in decode(
        encode(b"a\xffb", symbols_of(b"a\xffb", "characters"), "characters"), symbols_of(b"a\xffb", "characters"), "characters"
    )


def test_that_too_many_characters_lead_to_bytes():
    many = "".join(chr(0x4E00 + i) for i in range(MOST_SYMBOLS + 1)).encode()
    with pytest.raises(BadData, match="bytes"):
        symbols_of(many, "characters")
    assert len(symbols_of(many, "bytes")) == 256
