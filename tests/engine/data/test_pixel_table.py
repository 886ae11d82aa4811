"""Images that are numbers in a column of a table, as FER2013 comes: written by the csv module, compared with what was written."""

from __future__ import annotations

import csv
import zipfile
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


# -- a column for each pixel ---------------------------------------------------------------------------------------------


def wide(
    file: Path, images: np.ndarray, labels: list[object] | None, name: str = "pixel{}", *, head: bool = True, last: bool = False
) -> Path:
    """A row for each image [N, H, W] or [N, H, W, 3], with its label before or behind its pixels."""
    flat = images.reshape(len(images), -1).tolist()
    names: list[object] = [name.format(place + 1) for place in range(len(flat[0]))]
    rows = [names, *flat]
    if labels is not None:
        rows = [[*row, one] if last else [one, *row] for row, one in zip(rows, ["label", *labels], strict=True)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows if head else rows[1:])
    return file


def labelled_images(data) -> dict[str, list[tuple[bytes, str]]]:
    """split -> (pixels, class) of each image, in order."""
    return {
        name: sorted((split.images[place].tobytes(), data.classes[int(split.labels[place])]) for place in range(len(split)))
        for name, split in data.splits.items()
    }


def rows_of(images: np.ndarray, labels: list[object], places: range) -> list[tuple[bytes, str]]:
    return sorted((np.ascontiguousarray(images[place]).tobytes(), str(labels[place])) for place in places)


@pytest.mark.parametrize("name", ["pixel{}", "pixel {}", "p{}"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_that_a_column_for_each_pixel_makes_images(tmp_path: Path, name: str, last: bool, colour: bool) -> None:
    images = RNG.integers(0, 256, (60, 12, 12, 3) if colour else (60, 12, 12), np.uint8)
    data = open_data(str(wide(tmp_path / "digits.csv", images, [*EMOTIONS], name, last=last)))
    assert data.shape == ((3 if colour else 1), 12, 12) and data.classes == ("0", "1", "2", "3", "4")
    found = sorted(pair for some in labelled_images(data).values() for pair in some)
    assert found == rows_of(images.transpose(0, 3, 1, 2) if colour else images, [*EMOTIONS], range(60))


@pytest.mark.parametrize("last", [False, True])
def test_that_such_a_table_needs_no_headings(tmp_path: Path, last: bool) -> None:
    images = IMAGES.copy()
    images[:, 0, 0] = images[:, -1, -1] = 0  # corners are empty, as of digits
    data = open_data(str(wide(tmp_path / "mnist_test.csv", images, [*EMOTIONS], head=False, last=last)))
    assert sorted(pair for some in labelled_images(data).values() for pair in some) == rows_of(images, [*EMOTIONS], range(60))
    bare = open_data(str(wide(tmp_path / "bare.csv", images, None, head=False)))
    assert bare.classes == () and bare.shape == (1, 12, 12)


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_that_tables_of_splits_are_read_together_from_a_folder_or_archive(tmp_path: Path, as_zip: bool, deep: bool) -> None:
    """As Kaggle gives Sign Language MNIST, with a picture beside the tables."""
    root = tmp_path / "sign"
    wide(root / ("sign_mnist_train" if deep else "") / "sign_mnist_train.csv", IMAGES[:40], [*EMOTIONS[:40]])
    wide(root / ("sign_mnist_test" if deep else "") / "sign_mnist_test.csv", IMAGES[40:], [*EMOTIONS[40:]])
    (root / "readme.txt").write_text("about")
    path = root
    if as_zip:
        path = tmp_path / "sign.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(root.rglob("*.*")):
                archive.write(file, file.relative_to(root))
    data = open_data(str(path))
    found = labelled_images(data)
    assert found["test"] == rows_of(IMAGES, [*EMOTIONS], range(40, 60))
    assert sorted(found["train"] + found["valid"]) == rows_of(IMAGES, [*EMOTIONS], range(40))


def test_that_a_test_table_without_labels_is_left_out_with_a_line(tmp_path: Path) -> None:
    """As Kaggle gives its digits: train.csv with labels, test.csv without."""
    wide(tmp_path / "train.csv", IMAGES[:40], [*EMOTIONS[:40]])
    wide(tmp_path / "test.csv", IMAGES[40:], None)
    data = open_data(str(tmp_path))
    found = labelled_images(data)
    assert sorted(pair for some in found.values() for pair in some) == rows_of(IMAGES, [*EMOTIONS], range(40))
    assert any("test.csv has no column “label”" in note for note in data.report.notes)
    without = open_data(with_recipe(str(tmp_path), ImportRecipe(labels="none")))
    assert sum(without.report.counts.values()) == 60 and without.report.counts["test"] == 20


def test_that_unknown_words_of_a_usage_are_left_out_and_two_classes_stay_two_in_any_encoding(tmp_path: Path) -> None:
    usages = ["train" if place < 40 else "spare" if place < 50 else "test" for place in range(60)]
    file = write(
        tmp_path / "a.csv", ("kind", "pixels", "split"), [("Käse", "Köse")[place % 2] for place in range(60)], numbers(IMAGES), usages
    )
    file.write_bytes(file.read_text(encoding="utf-8").encode("cp1252"))
    data = open_data(with_recipe(str(file), ImportRecipe(labels="kind")))
    assert len(data.classes) == 2 and data.report.counts["test"] == 10 and sum(data.report.counts.values()) == 50
    assert any("10 rows of “spare” were left out" in note for note in data.report.notes)
    mended = open_data(with_recipe(str(file), ImportRecipe(labels="kind", split_names=(("spare", "test"),))))
    assert mended.report.counts["test"] == 20


def test_that_a_table_of_measures_is_no_table_of_pixels(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow([f"feature{place}" for place in range(64)])
        table.writerows(RNG.normal(size=(30, 64)).round(3).tolist())
    assert open_data(str(tmp_path / "a.csv")).kind == "text"
