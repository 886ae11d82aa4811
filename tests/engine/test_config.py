"""Settings: what a range, a type and a misspelt name lead to."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import BadSetting, Training, changed, fields_of, make_config, setting


@dataclass(frozen=True)
class Example(Training):
    depth: int = setting(2, "How deep.", low=1, high=8, unit="layers")
    ratio: float = setting(0.5, "How much.", low=0.0, high=1.0)
    kind: str = setting("plain", "Which.", choices=("plain", "gated"))
    shared: bool = setting(False, "Whether.")
    other: str = setting("", "Another run.")


def test_own_settings_come_before_the_training_ones():
    names = [info.name for info in fields_of(Example)]
    assert names[:5] == ["depth", "ratio", "kind", "shared", "other"]
    assert names[5:] == [info.name for info in fields_of(Training)]


def test_strings_from_the_command_line_become_values_of_the_right_type():
    config = make_config(Example, {"depth": "3", "ratio": "0.25", "kind": "gated", "shared": "yes"})
    assert (config.depth, config.ratio, config.kind, config.shared) == (3, 0.25, "gated", True)
    assert changed(config) == {"depth": 3, "ratio": 0.25, "kind": "gated", "shared": True}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("depth", "9", "from 1 to 8 layers"),
        ("depth", "2.5", "whole number"),
        ("ratio", "nan", "from 0 to 1"),
        ("kind", "odd", "plain, gated"),
        ("shared", "maybe", "true or false"),
        ("other", 5, "a text"),
        ("other", "x" * 1001, "at most 1000 characters"),
        ("dept", "1", "There is no setting “dept”"),
    ],
)
def test_a_bad_setting_is_refused_in_one_sentence(name, value, says):
    with pytest.raises(BadSetting) as error:
        make_config(Example, {name: value})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_text_is_any_words_without_blanks_around_them():
    (info,) = (info for info in fields_of(Example) if info.name == "other")
    assert (info.kind, info.default) == ("text", "")
    assert make_config(Example, {"other": " ../runs/one = two "}).other == "../runs/one = two"


@given(st.integers(1, 8), st.floats(0, 1))
def test_every_value_in_range_is_taken_as_it_is(depth, ratio):
    config = make_config(Example, {"depth": depth, "ratio": repr(ratio)})
    assert (config.depth, config.ratio) == (depth, ratio)
