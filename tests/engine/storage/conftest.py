"""What the tests of run folders share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of runs that is not there yet."""
    return tmp_path / "runs"
