"""Verbs in tests say no progress, which a slow machine would put among the sentences that are looked at; test_text looks at progress itself."""

from __future__ import annotations

import math

import pytest

from engine.cli import console


@pytest.fixture(autouse=True)
def no_lines_of_progress(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.module.__name__.endswith("test_text"):
        monkeypatch.setattr(console, "FIRST_LINE_SECONDS", math.inf)
