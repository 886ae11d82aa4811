"""What a run may be called, and what it is called where its name is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.common.run_names import name_fault, next_free
from engine.storage.run_folders import BadRun, check_name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "needs a name"),
        ("a/b", "leave out /"),
        ("tab\t", "leave out"),
        (".hidden", "must not begin"),
        ("end.", "nor end"),
        ("x" * 121, "too long"),
        ("CON", "Windows"),
        ("first", "There is already a run “first”"),
        ("FIRST", "There is already a run “first”: choose another name, for example “FIRST-2”"),
    ],
)
def test_that_a_name_that_cannot_be_is_told_with_the_reason(name: str, says: str) -> None:
    assert says in name_fault(name, ["first", "other"])


def test_that_usual_names_are_free() -> None:
    for name in ("a", "vae digits 3", "größe", "run.v2", "first-2"):
        assert name_fault(name, ["first"]) == ""


@pytest.mark.parametrize(
    ("name", "taken", "free"),
    [("a", [], "a"), ("a", ["A"], "a-2"), ("a", ["a", "a-2"], "a-3"), ("a-7", ["a-7"], "a-8"), ("a-9", ["a-9", "a-10"], "a-11")],
)
def test_the_next_free_name_counts_on(name: str, taken: list[str], free: str) -> None:
    assert next_free(name, taken) == free


@given(st.text(max_size=20))
def test_the_form_and_the_folder_agree_on_every_name(name: str) -> None:
    try:
        check_name(name)
    except BadRun as error:
        assert name_fault(name) == str(error)
    else:
        assert name_fault(name) == "" and Path(name).name == name
