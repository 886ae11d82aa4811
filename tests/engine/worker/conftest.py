"""An engine of a test's own."""

from __future__ import annotations

import pytest

from tests.kit.watched_engine import Watched


@pytest.fixture
def watched(tmp_path):
    made = []

    def make(root=tmp_path):
        made.append(Watched(root))
        return made[-1]

    yield make
    for one in made:
        assert one.engine.close(timeout=20)
