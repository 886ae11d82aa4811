"""Images that are numbers in a column of a table, as FER2013 comes: written by the csv module, compared with what was written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, close, open_data
from engine.data.recipe import ImportRecipe, with_recipe

RNG = np.random.default_rng(8)
IMAGES = RNG.integers(0, 256, (60, 12, 12), np.uint8)
EMOTIONS = [place * 7 % 5 for place in range(60)]
USAGES = ["Training"] * 40 + ["PublicTest"] * 8 + ["PrivateTest"] * 12


@pytest.fixture(autouse=True)
def _ended():
    yield
    close()


def write(file: Path, heads: tuple[str, ...], *columns: list) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(heads)
        table.writerows(zip(*columns, strict=True))
    return file


def numbers(images: np.ndarray) -> list[str]:
    return [" ".join(map(str, image.reshape(-1).tolist())) for image in images]


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize("heads", [("emotion", "pixels", "Usage"), ("emotion", " Usage", " pixels")])
def test_that_pixels_classes_and_usage_are_those_of_the_rows(tmp_path: Path, as_folder: bool, heads: tuple[str, ...]) -> None:
    columns = {"emotion": EMOTIONS, "pixels": numbers(IMAGES), "Usage": USAGES}
    write(tmp_path / "fer2013.csv", heads, *(columns[head.strip()] for head in heads))
    data = open_data(str(tmp_path if as_folder else tmp_path / "fer2013.csv"))
    assert data.classes == ("0", "1", "2", "3", "4") and data.shape == (1, 12, 12) and data.report.bad_total == 0
    for split, rows in (("train", range(40)), ("valid", range(40, 48)), ("test", range(48, 60))):
        assert list(data.splits[split].names) == [f"row {row + 2}" for row in rows]
        assert np.array_equal(data.splits[split].images[:, 0], IMAGES[list(rows)])
        labels = data.splits[split].labels
        assert labels is not None and [data.classes[label] for label in labels.tolist()] == [str(EMOTIONS[row]) for row in rows]
    assert any("PublicTest: validation, PrivateTest: test" in note for note in data.report.notes)


def test_that_bad_rows_are_named_and_the_others_stay(tmp_path: Path) -> None:
    cells = numbers(IMAGES)
    cells[3] = cells[3].replace(" ", " 256 ", 1).rsplit(" ", 1)[0]
    cells[5] = cells[5].rsplit(" ", 1)[0]
    cells[7] = ""
    data = open_data(str(write(tmp_path / "a.csv", ("pixels", "y"), cells, EMOTIONS)))
    assert [bad.path for bad in data.report.bad] == ["row 5", "row 7", "row 9"]
    found = {name: split.images[place, 0] for split in data.splits.values() for place, name in enumerate(split.names)}
    assert found.keys() == {f"row {row + 2}" for row in range(60) if row not in (3, 5, 7)}
    assert all(np.array_equal(found[f"row {row + 2}"], IMAGES[row]) for row in range(60) if row not in (3, 5, 7))


def test_that_another_column_can_be_the_class_and_what_is_no_class_is_none(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", ("id", "kind", "pixels"), list(range(60)), ["ab"[place % 2] for place in range(60)], numbers(IMAGES))
    assert open_data(str(file)).classes == ()
    assert open_data(with_recipe(str(file), ImportRecipe(labels="kind"))).classes == ("a", "b")
    with pytest.raises(BadData, match="has no column “other”; it has id, kind"):
        open_data(with_recipe(str(file), ImportRecipe(labels="other")))


def test_that_numbers_that_make_no_square_are_refused_and_other_tables_stay_texts(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="143 numbers a row under “pixels”, which is no square"):
        open_data(str(write(tmp_path / "a.csv", ("pixels", "y"), [cell.rsplit(" ", 1)[0] for cell in numbers(IMAGES)], EMOTIONS)))
    assert open_data(str(write(tmp_path / "b.csv", ("pixels", "y"), ["many"] * 60, EMOTIONS))).kind == "text"


def test_that_images_of_a_longer_row_than_the_csv_module_takes_are_read(tmp_path: Path) -> None:
    images = RNG.integers(100, 256, (6, 200, 200), np.uint8)
    data = open_data(str(write(tmp_path / "a.csv", ("pixels", "y"), numbers(images), EMOTIONS[:6])) + '?{"size":200}')
    assert data.shape == (1, 200, 200) and data.report.bad_total == 0
    found = {name: split.images[place, 0] for split in data.splits.values() for place, name in enumerate(split.names)}
    assert all(np.array_equal(found[f"row {n + 2}"], images[n]) for n in range(6))
