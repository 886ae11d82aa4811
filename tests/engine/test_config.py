"""Settings: what a range, a type and a misspelt name lead to."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli import main
from engine.config import BadSetting, Training, changed, fields_of, make_config, require_effect, setting
from engine.methods import all_methods


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


@pytest.mark.parametrize("name", ["diffusion", "pixel_transformer"])
def test_that_a_setting_whose_switch_is_off_is_refused_before_it_trains_for_nothing(name: str, tmp_path, capsys):
    words = ["train", name, "--data", "shapes:64", "--steps", "1", "--runs", str(tmp_path), "--set", "condition=caption"]
    assert main(words) == 2
    assert "“condition” has no effect while “conditional” is off: set conditional=true too" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_that_every_switch_is_one_that_the_method_has():
    for kind in all_methods().values():
        fields = {field.name: field for field in fields_of(kind.Config)}
        for field in fields.values():
            assert not field.needs or fields[field.needs].kind == "bool"
        require_effect(kind.Config())
