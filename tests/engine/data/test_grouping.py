"""Images of one patient, tile or photograph: by the column of a table or by the folder, they stay in one split, and a leak is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.common.significance import count_groups
from engine.data import DataSet
from engine.data.grouping import _root, grouping_of
from engine.data.label_tables import LabelTable
from engine.data.recipe import ImportRecipe
from tests.engine.data.test_import_cases import assert_labels_fit_pixels, opened, said
from tests.kit.import_cases import flat, picture, save, write_csv

SIXTY = [f"{n}.png" for n in range(60)]


def patient(name: str) -> str:
    """Every patient has three images that do not follow each other in a list, of both classes."""
    return f"p{int(Path(name).stem) % 20}"


def of_patients(root: Path, head: str = "file,label,patient", some: list[str] | None = None) -> Path:
    """Sixty images with a table of classes and patients."""
    flat(root, some or SIXTY)
    rows = (f"{name},{'cats' if int(name[:-4]) % 2 else 'dogs'},{patient(name)}" for name in some or SIXTY)
    write_csv(root / "meta.csv", head, rows)
    return root


def splits_of(data: DataSet) -> dict[str, set[str]]:
    """patient -> the splits that his images are in."""
    found: dict[str, set[str]] = {}
    for name, split in data.splits.items():
        for image in split.names:
            found.setdefault(patient(image), set()).add(name)
    return found


@pytest.mark.parametrize("asked", ["patient", "meta.csv:patient"])
def test_that_images_of_one_patient_are_in_one_split_and_evidence_is_counted_by_patients(tmp_path: Path, asked: str) -> None:
    data = opened(of_patients(tmp_path), group=asked)
    assert_labels_fit_pixels(data)
    assert len(splits_of(data)) == 20 and all(len(splits) == 1 for splits in splits_of(data).values())
    assert all(len(split) >= 3 for split in data.splits.values()) and data.report.counts["train"] > 40
    for split in data.splits.values():
        assert count_groups(len(split), split.groups) == len({patient(name) for name in split.names})
    assert said(data, "Images of one “patient” of meta.csv stay together in one split: 20 groups.")
    assert said(data, "images of one “patient” together") and data.understood["groups"] == "meta.csv:patient"


def test_that_without_being_asked_images_are_split_as_before_and_the_column_is_offered(tmp_path: Path) -> None:
    of_patients(tmp_path)
    data = opened(tmp_path)
    assert any(len(splits) > 1 for splits in splits_of(data).values()) and all(split.groups is None for split in data.splits.values())
    assert said(data, "“patient” of meta.csv may say which images belong together; group patient")
    assert data.understood["group_columns"] == {"meta.csv": ["patient"]}
    (warning,) = [one for one in data.report.warnings if one.kind == "ungrouped"]
    assert "“patient” (meta.csv)" in warning.text and warning.offer == "Keep together by patient"
    assert warning.decision is not None
    mended = opened(tmp_path, **dict([warning.decision]))
    assert all(len(splits) == 1 for splits in splits_of(mended).values())
    assert not said(mended, "may say which") and not [one for one in mended.report.warnings if one.kind == "ungrouped"]


def test_that_an_archive_is_grouped_as_its_folder_is(tmp_path: Path) -> None:
    folder = opened(of_patients(tmp_path / "set"), group="patient")
    packed = opened(Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "set")), group="patient")
    assert packed.hash == folder.hash != opened(tmp_path / "set").hash
    for name, split in packed.splits.items():
        groups = folder.splits[name].groups
        assert split.groups is not None and groups is not None and np.array_equal(split.groups, groups)


def test_that_a_column_that_tells_nearly_all_images_apart_can_be_the_group(tmp_path: Path) -> None:
    flat(tmp_path, SIXTY)
    rows = (f"{n},{'cats' if n % 2 else 'dogs'},{'HAM_0' if n in (3, 41) else f'HAM_{n}'}" for n in range(60))
    write_csv(tmp_path / "meta.csv", "image_id,dx,lesion_id", rows)
    data = opened(tmp_path, group="lesion_id")
    assert said(data, "58 groups.")
    where = {name: split for split, one in data.splits.items() for name in one.names}
    assert where["0.png"] == where["3.png"] == where["41.png"]


class CountedRow(list[str]):
    """A row of a table that counts how often a cell is read."""

    reads = 0

    def __getitem__(self, place):
        CountedRow.reads += 1
        return super().__getitem__(place)


def test_that_attributes_are_not_offered_as_groups_and_most_cells_of_a_long_table_are_not_read() -> None:
    rng = np.random.default_rng(0)
    count = 30_000
    columns = ["file", *(f"attribute {n}" for n in range(40)), "length", "patient", "lesion", "site id"]
    rare = {7: 20_001}  # of two images far apart
    rows = [
        CountedRow([f"{n}.png", *map(str, rng.choice([-1, 1], 40)), f"{n % 500 / 7:.3f}", f"p{n // 3}", f"L{rare.get(n, n)}", f"s{n % 20}"])
        for n in range(count)
    ]
    table = LabelTable("meta.csv", [], rows=[(row[0], row) for row in rows], headings=columns)
    CountedRow.reads = 0
    assert table.group_columns() == ["patient", "lesion", "site id"]
    assert CountedRow.reads < count * len(columns) / 3
    few = LabelTable("few.csv", [], rows=[(f"{n}.png", [f"{n % 4}", f"{n % 4}"]) for n in range(40)], headings=["age", "location_id"])
    assert few.group_columns() == ["location_id"]


def test_that_the_innermost_folder_can_be_the_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for n in range(60):
        name = "cats" if n % 2 else "dogs"
        save(tmp_path / name / f"home {n // 4}" / f"{n}.png", picture(rng, {"cats": 60, "dogs": 190}[name]))
    data = opened(tmp_path, group="folder")
    assert data.classes == ("cats", "dogs") and said(data, "Images of one folder stay together in one split: 30 groups.")
    homes = [{name.rpartition("/")[0] for name in split.names} for split in data.splits.values()]
    assert sum(map(len, homes)) == 30


def test_that_folders_that_are_the_classes_group_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for n in range(40):
        save(tmp_path / ("cats" if n % 2 else "dogs") / f"{n}.png", picture(rng))
    data = opened(tmp_path, group="folder")
    assert data.understood["groups"] == "none" and said(data, "Every class is one folder")
    assert data.hash == opened(tmp_path).hash


def test_that_given_splits_that_tear_a_patient_apart_are_named_and_left_alone(tmp_path: Path) -> None:
    flat(tmp_path / "train", SIXTY[:40])
    flat(tmp_path / "test", SIXTY[40:])
    rows = (f"{n},{'cats' if n % 2 else 'dogs'},{'only here' if n > 42 else f'p{n % 20}'}" for n in range(60))
    write_csv(tmp_path / "meta.csv", "image,label,patient", rows)
    data = opened(tmp_path, group="patient")
    assert data.report.counts["test"] == 20
    assert said(data, "Leak: 3 test images are of one “patient” with images of another split (3 groups: p0, p1, p2)")
    assert not any("Leak" in note for note in opened(tmp_path).report.notes)
    # the validation images are drawn, and part no patient
    torn = {f"p{int(Path(name).stem) % 20}" for name in data.splits["train"].names} & {
        f"p{int(Path(name).stem) % 20}" for name in data.splits["valid"].names
    }
    assert not torn


class CountedLinks(dict[str, str]):
    """Links between groups that count how often one is followed."""

    followed = 0

    def __getitem__(self, group):
        CountedLinks.followed += 1
        return super().__getitem__(group)


def test_that_a_long_chain_of_groups_is_followed_once() -> None:
    links = CountedLinks({f"{n:05}": f"{n - 1:05}" for n in range(1, 8_000)})
    CountedLinks.followed = 0
    assert {_root(links, f"{n:05}") for n in range(7_999, -1, -1)} == {"00000"} and CountedLinks.followed <= 4 * 8_000
    rows = [(f"{n}.png", [f"{group:05}"]) for n in range(3_000) for group in (n, n + 1)]
    table = LabelTable("meta.csv", [], rows=[*rows[::-1], ("alone.png", ["x"])], headings=["patient"])
    found = grouping_of([], [table], ImportRecipe(group="patient"))
    assert set(found.of.values()) == {"00000", "x"} and len(found.of) == 3_001 and "3,000 groups share an image" in found.notes[0]


def test_that_images_without_a_value_stand_alone_and_a_missing_column_is_said(tmp_path: Path) -> None:
    flat(tmp_path, SIXTY)
    write_csv(
        tmp_path / "meta.csv", "file,label,patient", (f"{n}.png,{'ab'[n % 2]},{'p' + str(n % 5) if n < 20 else ''}" for n in range(60))
    )
    data = opened(tmp_path, group="patient")
    assert said(data, "5 groups; 40 images have none and stand alone")
    missing = opened(tmp_path, group="pateint")
    assert said(missing, "No table has a column “pateint”, so images are not grouped; there are: “patient” (meta.csv).")


def test_that_patients_who_share_an_image_are_one_group(tmp_path: Path) -> None:
    flat(tmp_path, SIXTY)
    rows = [f"{n}.png,{'ab'[n % 2]},p{n // 3}" for n in range(60)]
    write_csv(tmp_path / "meta.csv", "file,label,patient", [*rows, "0.png,a,p7", "21.png,b,p11"])
    data = opened(tmp_path, group="patient")
    where = {name: split for split, one in data.splits.items() for name in one.names}
    assert len({where[f"{n}.png"] for n in (0, 1, 2, 21, 22, 23, 33, 34, 35)}) == 1
    assert said(data, "18 groups.") and said(data, "2 groups share an image with another")
