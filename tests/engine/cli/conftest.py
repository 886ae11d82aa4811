"""Verbs in tests tell no progress, which on a slow machine would stand among the sentences looked at; test_text has its own."""

from __future__ import annotations

import math

import pytest

from engine.cli import console


@pytest.fixture(autouse=True)
def no_lines_of_progress(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.module.__name__.endswith("test_text"):
        monkeypatch.setattr(console, "FIRST_LINE_SECONDS", math.inf)
