"""HDF5 files written by h5py: as Python writes them, and laid out as MATLAB 7.3 does, with arrays the other way round."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from engine.data import BadData, DataSet, open_data
from engine.data.readers import hdf5, reader_for
from engine.data.recipe import recipe_of, with_recipe
from tests.kit.sentences import look_at

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (20, 12, 10, 3), np.uint8)
LABELS = np.arange(20) % 3


def opened(path: Path, **decisions: object) -> DataSet:
    return open_data(with_recipe(str(path), recipe_of(decisions)))


def said(data: DataSet, words: str) -> bool:
    return any(words in note for note in data.report.notes)


def same_pictures(data: DataSet, images: np.ndarray, labels: np.ndarray | None = None) -> bool:
    """Whether every image of the set is the one at its place of [N, H, W, C], with its label."""
    places = [int(name.rpartition(" ")[2]) for split in data.splits.values() for name in split.names]
    pixels = np.concatenate([split.images for split in data.splits.values()])
    good = np.array_equal(pixels, images[places].transpose(0, 3, 1, 2)) and sorted(places) == list(range(len(images)))
    if labels is None:
        return good
    found = np.concatenate([split.labels for split in data.splits.values() if split.labels is not None])
    return good and np.array_equal(found, labels[places])


def test_that_arrays_as_python_writes_them_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=IMAGES, chunks=(7, 12, 10, 3), compression="gzip", shuffle=True)
        file["ans"] = LABELS
        file["meta/version"] = "one"
    data = opened(tmp_path / "a.h5")
    assert data.classes == ("0", "1", "2") and same_pictures(data, IMAGES, LABELS)


def test_that_labels_may_be_words(tmp_path: Path) -> None:
    words = np.array(["ant", "bee", "cow"], object)[LABELS]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["x"] = IMAGES
        file.create_dataset("label", data=words, dtype=h5py.string_dtype())
    assert opened(tmp_path / "a.hdf5").classes == ("ant", "bee", "cow")


def test_that_files_of_one_array_each_are_one_set_with_splits(tmp_path: Path) -> None:
    """As PatchCamelyon comes: one file for each split and role, labels [N, 1, 1, 1]."""
    for split, count in (("train", 12), ("valid", 4), ("test", 4)):
        for what, array in (("x", IMAGES[:count]), ("y", (LABELS[:count] % 2).reshape(-1, 1, 1, 1).astype(np.uint8))):
            with h5py.File(tmp_path / f"camelyonpatch_level_2_split_{split}_{what}.h5", "w") as file:
                file[what] = array
    (tmp_path / "camelyonpatch_level_2_split_test_meta.csv").write_text("tumor,x\nTrue,1\n")
    data = opened(tmp_path)
    assert data.report.counts == {"train": 12, "valid": 4, "test": 4} and data.classes == ("0", "1")
    assert np.array_equal(data.splits["test"].images, IMAGES[:4].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("images_last", [True, False])
def test_that_matlab_73_files_are_read_the_right_way_round(tmp_path: Path, images_last: bool) -> None:
    matlab = IMAGES.transpose(1, 2, 3, 0) if images_last else IMAGES  # as MATLAB counts its axes
    path = tmp_path / "set.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (("X", matlab), ("y", (LABELS + 1.0)[:, None])):
            stored = file.create_dataset(name, data=np.ascontiguousarray(array.T))
            stored.attrs["MATLAB_class"] = np.bytes_(b"uint8" if name == "X" else b"double")
        stored = file.create_dataset("title", data=np.frombuffer("set".encode("utf-16-le"), np.uint16)[:, None])
        stored.attrs["MATLAB_class"] = np.bytes_(b"char")
        file["#refs#/a"] = np.zeros(3)
    with path.open("r+b") as block:
        block.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    assert reader_for(path) is hdf5
    data = opened(path)
    assert data.classes == ("1", "2", "3") and same_pictures(data, IMAGES, LABELS) and said(data, "“title”")


def test_that_what_lies_in_other_files_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(IMAGES.size))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = IMAGES
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        file["soft"] = h5py.SoftLink("/x")
        file.create_dataset("outside", IMAGES.shape, np.uint8, external=[(str(tmp_path / "secret"), 0, IMAGES.size)])
        layout = h5py.VirtualLayout(IMAGES.shape, np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", IMAGES.shape)
        file.create_virtual_dataset("virtual", layout)
        file["x"] = IMAGES
    data = opened(tmp_path / "a.h5")
    assert same_pictures(data, IMAGES) and all(said(data, f"“{name}”") for name in ("linked", "soft", "outside", "virtual"))


def test_that_an_array_that_is_only_announced_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (100_000, 64, 64), np.uint8, chunks=(1, 64, 64))
    with pytest.raises(BadData, match="announces"):
        opened(tmp_path / "a.h5")


class Counted:
    """An array as h5py shows one, without a cache: every read unpacks each chunk that it touches."""

    def __init__(self, values: np.ndarray, chunks: tuple[int, ...] | None, filters: int) -> None:
        self.values, self.chunks, self.shape, self.dtype = values, chunks, values.shape, values.dtype
        self.unpacked: Counter[int] = Counter()  # by the place of the chunk along the first axis
        self.most = 0  # rows of one read
        self.id = SimpleNamespace(get_create_plist=lambda: SimpleNamespace(get_nfilters=lambda: filters))

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, end, _ = rows.indices(len(self.values))
        self.most = max(self.most, end - first)
        if self.chunks:
            self.unpacked.update(range(first // self.chunks[0], -(-end // self.chunks[0])))
        return self.values[rows]


@pytest.mark.parametrize("chunk", [1, 7, 40, 64, 100])
@pytest.mark.parametrize("width", [8, 2])
def test_that_every_chunk_is_unpacked_once_however_large(monkeypatch: pytest.MonkeyPatch, chunk: int, width: int) -> None:
    """Chunks larger than the library's cache, and such that are small but lie beside many others of the same rows."""
    monkeypatch.setattr(hdf5, "_CHUNK_BYTES", 512)
    monkeypatch.setattr(hdf5, "_UNPACK_BYTES", 64_000)
    stored = Counted(RNG.integers(0, 256, (100, 8, 8), np.uint8), (chunk, 8, width), 1)
    pieces = list(hdf5._in_rows(stored, (100, 8, 8), "“x” of a.h5")(10))
    assert np.array_equal(np.concatenate(pieces), stored.values) and max(map(len, pieces)) == 10
    assert set(stored.unpacked.values()) == {1}


def test_that_rows_of_chunks_that_do_not_fit_are_read_within_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_UNPACK_BYTES", 4_000)
    stored = Counted(RNG.integers(0, 256, (100, 8, 8), np.uint8), (100, 1, 8), 1)  # 800 bytes each, eight side by side
    pieces = list(hdf5._in_rows(stored, (100, 8, 8), "“x” of a.h5")(10))
    assert np.array_equal(np.concatenate(pieces), stored.values)
    assert 2 * stored.most * 64 + 2 * 800 <= 4_000 and stored.unpacked[0] <= 6


def test_that_what_is_not_packed_is_read_row_by_row_whatever_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_CHUNK_BYTES", 512)
    monkeypatch.setattr(hdf5, "_UNPACK_BYTES", 1_000)
    stored = Counted(RNG.integers(0, 256, (100, 8, 8), np.uint8), (100, 8, 8), 0)
    assert np.array_equal(np.concatenate(list(hdf5._in_rows(stored, (100, 8, 8), "“x” of a.h5")(10))), stored.values)
    assert stored.most == 10


def test_that_a_chunk_beyond_the_memory_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=IMAGES, chunks=IMAGES.shape, compression="gzip")
    monkeypatch.setattr(hdf5, "_UNPACK_BYTES", 4 * IMAGES.nbytes - 1)
    with pytest.raises(BadData) as caught:
        list(hdf5.read(tmp_path / "a.h5", recipe_of({})))
    assert "“images” of a.h5 is stored in chunks of" in look_at(str(caught.value))
    monkeypatch.setattr(hdf5, "_UNPACK_BYTES", 4 * IMAGES.nbytes)
    assert sum(1 for _ in hdf5.read(tmp_path / "a.h5", recipe_of({})))


def test_that_a_missing_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = IMAGES
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(BadData) as caught:
        next(hdf5.read(tmp_path / "a.h5", recipe_of({})))
    assert "pip install h5py" in look_at(str(caught.value))
