"""Annotations in .mat files beside pictures, as Stanford Cars comes: files written by SciPy, which shares nothing with our reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from engine.data import close, open_data
from engine.data.table_text import NoTable, parse_table

NAMES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Audi R8 Coupé 2012"]
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _ended():
    yield
    close()


def structs(**fields: list) -> np.ndarray:
    """A struct array [1, N] as MATLAB writes it: every value in an array of its own."""
    count = len(next(iter(fields.values())))
    rows = np.empty((1, count), [(name, object) for name in fields])
    for place in range(count):
        rows[0, place] = tuple(
            values[place] if isinstance(values[place], str) else np.array([[values[place]]]) for values in fields.values()
        )
    return rows


def cells(names: list[str]) -> np.ndarray:
    found = np.empty((1, len(names)), object)
    found[0] = names
    return found


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (12, 12, 3), np.uint8)).save(path)


def labels(data) -> dict[str, str]:
    return {
        split.names[place]: data.classes[int(split.labels[place])] for split in data.splits.values() for place in range(len(split))
    }  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
def test_that_two_annotation_files_name_the_classes_of_two_folders_with_the_same_file_names(tmp_path: Path, packed: bool) -> None:
    wanted: dict[str, str] = {}
    for split, count in (("train", 24), ("test", 12)):
        numbers = (RNG.permutation(count) % 3 + 1).tolist()
        files = [f"{place + 1:05}.png" for place in range(count)]
        for file, number in zip(files, numbers, strict=True):
            picture(tmp_path / f"cars_{split}" / file)
            wanted[f"cars_{split}/{file}"] = NAMES[number - 1]
        (tmp_path / "devkit").mkdir(exist_ok=True)
        annotations = structs(bbox_x1=[np.uint8(3)] * count, **{"class": [np.uint8(n) for n in numbers]}, fname=files)
        savemat(tmp_path / "devkit" / f"cars_{split}_annos.mat", {"annotations": annotations}, do_compression=packed)
    savemat(tmp_path / "devkit" / "cars_meta.mat", {"class_names": cells(NAMES)}, do_compression=packed)
    data = open_data(str(tmp_path))
    assert labels(data) == wanted and sorted(data.classes) == sorted(NAMES)
    assert {name.split("/")[0] for name in data.splits["test"].names} == {"cars_test"}
    assert {name.split("/")[0] for name in (*data.splits["train"].names, *data.splits["valid"].names)} == {"cars_train"}
    assert data.report.understood is not None and data.report.understood.left_out == ()


def test_that_one_annotation_file_names_classes_and_splits(tmp_path: Path) -> None:
    count = 40
    numbers, tested = [place % 3 + 1 for place in range(count)], [int(place % 4 == 0) for place in range(count)]
    files = [f"car_ims/{place + 1:06}.png" for place in range(count)]
    for file in files:
        picture(tmp_path / file)
    annotations = structs(
        relative_im_path=files, bbox_x1=[np.int32(1)] * count, **{"class": [float(n) for n in numbers]}, test=[np.uint8(n) for n in tested]
    )
    savemat(tmp_path / "cars_annos.mat", {"annotations": annotations, "class_names": cells(NAMES)}, do_compression=True)
    data = open_data(str(tmp_path))
    assert labels(data) == {file: NAMES[number - 1] for file, number in zip(files, numbers, strict=True)}
    assert set(data.splits["test"].names) == {file for file, there in zip(files, tested, strict=True) if there}


def test_that_numbers_beyond_the_names_stay_numbers_and_other_arrays_are_no_table(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    annotations = structs(fname=["a.png", "b.png"], **{"class": [1, 9]})
    savemat(file, {"annotations": annotations, "class_names": cells(NAMES)})
    assert parse_table("a.mat", file.read_bytes()).rows == [["a.png", "1"], ["b.png", "9"]]
    savemat(file, {"x": np.zeros((3, 4))})
    with pytest.raises(NoTable):
        parse_table("a.mat", file.read_bytes())


def test_that_damaged_files_are_no_table_and_raise_nothing_else(tmp_path: Path) -> None:
    annotations = structs(fname=["a.png", "b.png", "c.png"], **{"class": [1, 2, 3]})
    for packed in (False, True):
        savemat(tmp_path / "a.mat", {"annotations": annotations, "class_names": cells(NAMES)}, do_compression=packed)
        whole = (tmp_path / "a.mat").read_bytes()
        for number in range(1_500):
            rng = np.random.default_rng(number)
            data = bytearray(whole[: rng.integers(130, len(whole) + 1)])
            for place in rng.integers(128, len(data), rng.integers(0, 4)):
                data[place] = rng.integers(0, 256)
            try:
                table = parse_table("a.mat", bytes(data))
            except NoTable:
                continue
            assert all(len(row) == len(table.columns) for row in table.rows)
