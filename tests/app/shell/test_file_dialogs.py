"""What the file dialogs list: every kind of file that a reader takes, named here by hand and asked of the readers themselves."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from app.shell.drop_handler import DATA_FILTER, is_data_set, kind_of, may_be_image
from app.widgets.export import IMAGE_FILTER
from engine.data.readers import reader_for

SETS = (
    "a.parquet", "a.h5", "a.hdf5", "a.mat", "a.tar", "a.tgz", "a.tar.gz", "a.tar.xz", "a.tbz2", "a.zip", "a.npz", "a.npy", "a.pt", "a.pth",
)  # fmt: skip
PICTURES = ("a.png", "a.JPEG", "a.heic", "a.avif", "a.dcm", "a.jp2", "a.tiff", "a.webp")


def listed(name: str, words: str) -> bool:
    patterns = words.partition("(")[2].partition(")")[0].split()
    return any(fnmatch(name.lower(), pattern) for pattern in patterns)


@pytest.mark.parametrize("name", SETS)
def test_that_each_kind_of_data_is_listed_and_known_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert listed(name, DATA_FILTER) and not listed(name, IMAGE_FILTER)
    assert not reader_for(tmp_path / name).__name__.endswith((".text", ".folders"))
    assert kind_of(str(tmp_path / name)) == "data" and is_data_set(str(tmp_path / name)) and not may_be_image(name)


@pytest.mark.parametrize("name", PICTURES)
def test_that_each_kind_of_picture_is_listed_and_known_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert listed(name, IMAGE_FILTER) and not listed(name, DATA_FILTER)
    assert reader_for(tmp_path / name).__name__.endswith(".folders") and kind_of(str(tmp_path / name)) == "image"
