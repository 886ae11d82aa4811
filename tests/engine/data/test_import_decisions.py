"""Every decision is followed by every reader, or a note says that it was not; what a file's form leaves open is said."""

from __future__ import annotations

import pickle
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import BadData
from engine.data.decoding import Bad, decode
from engine.data.readers import folders
from engine.data.recipe import ImportRecipe, recipe_of
from tests.engine.data.test_import_values import opened, pixels_by_name, said
from tests.kit.import_cases import class_folders, flat, write_csv, write_idx

RNG = np.random.default_rng(5)


def test_that_every_page_in_an_archive_is_an_image_where_it_is_asked_for(tmp_path: Path) -> None:
    pages = [Image.fromarray(RNG.integers(0, 256, (12, 12), np.uint8)) for _ in range(20)]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for n in range(2):
            pages[10 * n].save(tmp_path / f"{n}.tif", save_all=True, append_images=pages[10 * n + 1 : 10 * n + 10])
            archive.write(tmp_path / f"{n}.tif", f"{n}.tif")
    found = pixels_by_name(opened(tmp_path / "set.zip", pages="all"))
    assert len(found) == 20 and all(
        np.array_equal(found[f"{n // 10}.tif page {n % 10 + 1}"][0], np.asarray(page)) for n, page in enumerate(pages)
    )


def test_that_a_damaged_page_is_named(tmp_path: Path) -> None:
    pages = [Image.fromarray(RNG.integers(0, 256, (40, 40), np.uint8)) for _ in range(6)]
    pages[0].save(tmp_path / "set.tif", save_all=True, append_images=pages[1:])
    data = (tmp_path / "set.tif").read_bytes()
    with pytest.raises(Bad, match="its page 41 is damaged"):
        decode(data, None, 40)
    assert np.array_equal(decode(data, None, 5)[0][:, :, 0], np.asarray(pages[5]))


@pytest.mark.parametrize("kind", ["idx", "cifar", "npz", "stl"])
def test_that_labels_none_is_followed_by_every_reader(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    path = tmp_path / "set.npz" if kind == "npz" else tmp_path
    assert opened(path).classes
    data = opened(path, labels="none")
    assert data.classes == () and all(split.labels is None for split in data.splits.values()) and data.report.class_counts == {}


@pytest.mark.parametrize(
    ("kind", "decisions", "unused"),
    [
        ("idx", {"scale": "0..100"}, "scale"),
        ("cifar", {"scale": "range", "fit": "letterbox"}, "fit, scale"),
        ("npz", {"pages": "all", "split": "none"}, "pages, split"),
        ("cifar", {"labels": "names"}, "labels"),
        ("folder", {"array": "x"}, "array"),
        ("npz", {"scale": "0..100", "size": 8, "colour": "grey"}, ""),
        ("idx", {"labels": "none"}, ""),
    ],
)
def test_that_a_decision_that_was_not_used_is_named(tmp_path: Path, kind: str, decisions: dict[str, object], unused: str) -> None:
    write(tmp_path, kind)
    data = opened(tmp_path / "set.npz" if kind == "npz" else tmp_path, **decisions)
    assert said(data, "not used") == bool(unused) and (not unused or said(data, f"not used for this kind of data: {unused}."))


def write(folder: Path, kind: str) -> None:
    """A small set of one kind."""
    labels = np.arange(20) % 2
    if kind == "idx":
        write_idx(folder / "train-images-idx3-ubyte.gz", RNG.integers(0, 256, (20, 12, 12), np.uint8))
        write_idx(folder / "train-labels-idx1-ubyte.gz", labels)
    elif kind == "cifar":
        table = {b"data": RNG.integers(0, 256, (20, 3072), np.uint8), b"labels": labels.tolist()}
        (folder / "data_batch_1").write_bytes(pickle.dumps(table, protocol=2))
    elif kind == "npz":
        np.savez(folder / "set.npz", x=RNG.integers(0, 256, (20, 12, 12), np.uint8), y=labels)
    elif kind == "stl":
        RNG.integers(0, 256, (20, 3, 96, 96), np.uint8).tofile(folder / "train_X.bin")
        (labels + 1).astype(np.uint8).tofile(folder / "train_y.bin")
    else:
        flat(folder, [f"{n}.png" for n in range(6)])


@pytest.mark.parametrize("first", [0, 1])
def test_that_stl_10_may_count_its_classes_from_0(tmp_path: Path, first: int) -> None:
    RNG.integers(0, 256, (20, 3, 96, 96), np.uint8).tofile(tmp_path / "train_X.bin")
    (np.arange(20) % 4 + first).astype(np.uint8).tofile(tmp_path / "train_y.bin")
    (tmp_path / "class_names.txt").write_text("airplane\nbird\ncar\ncat\n")
    assert opened(tmp_path).classes == ("airplane", "bird", "car", "cat")


@pytest.mark.parametrize(
    ("shape", "labels", "axis"),
    [
        ((20, 12, 30), 20, "first"),
        ((20, 20, 30), 30, "last"),
        ((30, 12, 30), 30, ""),
        ((12, 20, 20), 0, "first"),
        ((20, 20, 12), 0, "last"),
    ],
)
def test_that_labels_or_the_odd_axis_count_the_images_of_a_mat_file(tmp_path: Path, shape: tuple[int, ...], labels: int, axis: str) -> None:
    from scipy.io import savemat

    array = RNG.integers(0, 256, shape, np.uint8)
    savemat(tmp_path / "set.mat", {"images": array, **({"labels": np.arange(labels)[None] % 3.0} if labels else {})})
    data = opened(tmp_path / "set.mat")
    images = array.transpose(2, 0, 1) if axis == "last" or not axis else array
    assert said(data, f"along its {axis or 'last'} axis") and bool(data.classes) == bool(labels)
    for split in data.splits.values():
        if images.shape[1:] == data.shape[1:]:
            assert np.array_equal(split.images[:, 0], images[split.index])
    assert sum(data.report.counts.values()) == len(images)


@pytest.mark.parametrize("channels", [3, 4])
def test_that_one_colour_picture_is_no_pile_of_grey_ones(tmp_path: Path, channels: int) -> None:
    np.save(tmp_path / "photo.npy", RNG.integers(0, 256, (48, 64, channels), np.uint8))
    with pytest.raises(BadData, match=rf"\[48, 64, {channels}\].*one colour picture"):
        opened(tmp_path / "photo.npy")
    assert sum(opened(tmp_path / "photo.npy", array="photo").report.counts.values()) == 48


def test_that_closing_an_import_reads_no_further_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat(tmp_path, [f"{n}.png" for n in range(6)])
    for n in range(5):
        write_csv(tmp_path / f"{n}.csv", "file,label", ["0.png,a", "1.png,b"])
    entered, go_on, read = threading.Event(), threading.Event(), []

    def table(path: str) -> None:
        read.append(path)
        entered.set()
        assert go_on.wait(60)

    monkeypatch.setattr(folders, "read_table", table)
    steps = folders.read(tmp_path, ImportRecipe())
    while not entered.is_set():
        next(steps)
    timer = threading.Timer(0.3, go_on.set)  # while the import is being closed
    timer.start()
    steps.close()
    timer.join()
    assert len(read) == 1 and not [thread for thread in threading.enumerate() if thread.name == "understanding a folder"]


def test_that_a_larger_size_is_taken_where_asked_and_its_cost_is_said(tmp_path: Path) -> None:
    class_folders(tmp_path / "set", count=3)
    data = opened(tmp_path / "set", size=128)
    assert data.shape == (3, 128, 128)
    (note,) = (note for note in data.report.notes if "takes one core" in note)
    assert "48 KB" in note and "128" not in note  # 3 × 128 × 128 bytes
    assert not any("takes one core" in note for note in opened(tmp_path / "set").report.notes)
    with pytest.raises(BadData, match="from 8 to 256"):
        recipe_of({"size": 257})
