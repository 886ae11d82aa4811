"""Arrays within archives, and what the list of data sets says of a file: both are read in the confined process."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, close, open_data
from engine.data.inspecting import describe_data
from engine.data.readers import arrays, idx

RNG = np.random.default_rng(3)
IMAGES, LABELS = RNG.integers(0, 256, (40, 12, 12), np.uint8), np.arange(40) % 4


@pytest.fixture(autouse=True)
def _ended():
    yield
    close()


def npz(**some: np.ndarray) -> bytes:
    stream = BytesIO()
    np.savez_compressed(stream, **some)
    return stream.getvalue()


def write(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as packed:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                packed.addfile(entry, BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz"])
def test_that_arrays_within_an_archive_are_read(tmp_path: Path, name: str) -> None:
    files = {"mnist/readme.txt": b"about", "mnist/mnist.npz": npz(x=IMAGES, y=LABELS)}
    data = open_data(str(write(tmp_path / name, files)))
    found = {
        split.images[place].tobytes(): data.classes[int(split.labels[place])]
        for split in data.splits.values()
        if split.labels is not None
        for place in range(len(split))
    }
    assert found == {image.tobytes(): str(label) for image, label in zip(IMAGES, LABELS, strict=True)}


def test_that_bare_arrays_within_a_zip_are_read_and_a_forged_or_damaged_one_is_refused(tmp_path: Path) -> None:
    def npy(array: np.ndarray) -> bytes:
        stream = BytesIO()
        np.save(stream, array)
        return stream.getvalue()

    data = open_data(str(write(tmp_path / "a.zip", {"images.npy": npy(IMAGES), "labels.npy": npy(LABELS)})))
    assert sum(data.report.counts.values()) == 40 and data.classes == ("0", "1", "2", "3")
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(np.zeros((300, 200, 200), np.uint8)))
    for content, words in ((npz(x=IMAGES)[:-40], "cut off or no archive|damaged"), (bomb.getvalue(), "times its size")):
        with pytest.raises(BadData, match=words):
            open_data(str(write(tmp_path / "b.zip", {"x.npz": content})))


def test_that_summaries_of_packed_and_binary_files_are_told_by_the_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">4I", 2051, 40, 12, 12) + IMAGES.tobytes())
    np.save(tmp_path / "a.npy", IMAGES)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(30))

    def not_here(*_: object) -> str:
        raise AssertionError("parsed in the program itself")

    monkeypatch.setattr(idx, "summary", not_here)
    monkeypatch.setattr(arrays, "summary", not_here)
    assert describe_data(str(tmp_path)).summary == "40 · 12×12 grey · IDX"
    assert describe_data(str(tmp_path / "a.npy")).summary == "40 × 12 × 12 · NumPy array"
    assert "cannot be read" in describe_data(str(tmp_path / "damaged")).summary
