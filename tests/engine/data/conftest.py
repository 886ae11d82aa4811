"""Small foreign files."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, open_data
from tests.kit.sentences import look_at


@pytest.fixture
def refusal() -> Callable[[Path | str], str]:
    """Opens what must be refused and gives the sentence, after a look at its form."""

    def refused(data: Path | str) -> str:
        with pytest.raises(BadData) as caught:
            open_data(str(data))
        return look_at(str(caught.value))

    return refused


@pytest.fixture
def write_idx() -> Callable[..., None]:
    """Writes an IDX file by its definition, gzipped when the name says so."""

    def write(path: Path, array: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)

    return write
