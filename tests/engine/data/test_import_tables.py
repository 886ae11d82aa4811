"""Which column of a table names the files, and what becomes of pictures with several rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.data.test_import_cases import assert_labels_fit_pixels, opened, said
from tests.kit.import_cases import flat, write_csv

FORTY = sorted(f"{n}.png" for n in range(40))  # as text: 0, 1, 10, 11, …


def kind(name: str) -> str:
    return "cats" if int(name.removesuffix(".png")) % 2 else "dogs"


@pytest.mark.parametrize("head", [",file,label", ",what,label", "id,path,label", "label,number,what"])
def test_that_a_running_number_does_not_name_the_files(tmp_path: Path, head: str) -> None:
    flat(tmp_path, FORTY)
    columns = head.split(",")
    rows = ({**dict.fromkeys(columns, str(n)), "label": kind(name)} for n, name in enumerate(FORTY))
    named = next(column for column in columns if column in ("file", "path", "what"))
    lines = [",".join({**row, named: name}[column] for column in columns) for row, name in zip(rows, FORTY, strict=True)]
    write_csv(tmp_path / "labels.csv", head, lines)
    assert_labels_fit_pixels(opened(tmp_path))


def test_that_a_running_number_yields_to_bare_names_in_a_column_called_so(tmp_path: Path) -> None:
    flat(tmp_path, FORTY)
    write_csv(tmp_path / "labels.csv", ",image,label", (f"{n},{name[:-4]},{kind(name)}" for n, name in enumerate(FORTY)))
    assert_labels_fit_pixels(opened(tmp_path))


def test_that_bare_names_alone_name_the_files(tmp_path: Path) -> None:
    flat(tmp_path, FORTY)
    write_csv(tmp_path / "labels.csv", "number,label", (f"{name[:-4]},{kind(name)}" for name in FORTY))
    assert_labels_fit_pixels(opened(tmp_path))


def test_that_pictures_with_two_classes_have_none_and_are_counted(tmp_path: Path) -> None:
    flat(tmp_path, FORTY)
    rows = [f"{name},{kind(name)}" for name in FORTY] + [f"{name},{kind(name)}" for name in FORTY[:5]]
    write_csv(tmp_path / "labels.csv", "file,label", [*rows, "0.png,cats", "3.png,dogs", "7.png,Cats"])
    data = opened(tmp_path)
    assert_labels_fit_pixels(data)
    names = {name for split in data.splits.values() for name in split.names}
    assert names == set(FORTY) - {"0.png", "3.png"} and said(data, "2 images have different values of “label”")
    asked = opened(tmp_path, labels="label")
    assert {name for split in asked.splits.values() for name in split.names} == names and said(asked, "2 images have different values")


def test_that_a_column_that_gives_most_pictures_several_values_is_no_class(tmp_path: Path) -> None:
    flat(tmp_path, FORTY)
    write_csv(tmp_path / "findings.csv", "file,label", [f"{name},{word}" for name in FORTY for word in ("cyst", "nodule")])
    data = opened(tmp_path)
    assert data.classes == () and sum(data.report.counts.values()) == 40 and said(data, "40 images several values in several rows")


def test_that_a_picture_in_two_splits_is_in_none(tmp_path: Path) -> None:
    flat(tmp_path, FORTY)
    rows = [f"{name},{kind(name)},{'test' if n % 4 == 0 else 'train'}" for n, name in enumerate(FORTY)]
    write_csv(tmp_path / "labels.csv", "file,label,split", [*rows, f"{FORTY[0]},{kind(FORTY[0])},train"])
    data = opened(tmp_path)
    assert data.report.counts["test"] == 9 and sum(data.report.counts.values()) == 39
    assert said(data, "One image has different values of “split”")


def test_that_a_table_in_another_encoding_is_read_and_said(tmp_path: Path) -> None:
    flat(tmp_path, FORTY)
    text = "file,label\n" + "".join(f"{name},{'Käse' if kind(name) == 'cats' else 'Köse'}\n" for name in FORTY)
    (tmp_path / "labels.csv").write_bytes(text.encode("cp1252"))
    data = opened(tmp_path)
    assert data.classes == ("Käse", "Köse") and said(data, "labels.csv is no text in UTF-8 and was read as Windows-1252")
