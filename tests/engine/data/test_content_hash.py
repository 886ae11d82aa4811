"""The content hash of a set, by which runs find their data again: the same as it has always been, however an import is computed."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import DataSet, close, open_data
from engine.data.recipe import recipe_of, with_recipe
from tests.kit.import_cases import save


@pytest.fixture(autouse=True)
def _ended():
    yield
    close()


def smooth(rng: np.random.Generator, side: int = 24) -> np.ndarray:
    """An image uint8 [side, side, 3] of soft spots, by sums that every machine computes alike."""
    coarse = rng.integers(0, 200, (5, 5, 3))
    places = np.arange(side) * 4 * 64 // side
    cell, rest = places // 64, places % 64
    columns = coarse[:, cell] * (64 - rest)[None, :, None] + coarse[:, np.minimum(cell + 1, 4)] * rest[None, :, None]
    rows = columns[cell] * (64 - rest)[:, None, None] + columns[np.minimum(cell + 1, 4)] * rest[:, None, None]
    return (rows // 4096).astype(np.uint8)


def mixed(root: Path) -> Path:
    """Classes with exact copies, brighter ones, grey and black-and-white files, broken files and a text: nothing that is scaled."""
    rng = np.random.default_rng(20)
    for number in range(240):
        pixels = smooth(rng)
        place = root / ("ants", "bees", "cats")[number % 3]
        save(place / f"{number:03}.png", pixels)
        if number % 11 == 0:
            save(place / f"{number:03} copy.png", pixels)
        if number % 13 == 0:
            save(place / f"{number:03} brighter.bmp", (pixels + 20).astype(np.uint8))
        if number % 17 == 0:
            save(place / f"{number:03} grey.png", pixels[:, :, 0])
        if number % 19 == 0:
            (place / f"{number:03} cut.png").write_bytes((place / f"{number:03}.png").read_bytes()[:-50])
        if number % 23 == 0:
            Image.fromarray(pixels[:, :, 1] > 90).save(place / f"{number:03} two.png")
    (root / "notes.txt").write_text("about them")
    return root


def told(data: DataSet) -> dict[str, object]:
    """What of a report does not depend on the time it took."""
    report = data.report
    return {
        "hash": data.hash[:16], "former": data.former_hash[:16], "counts": report.counts,
        "copies": (report.duplicates, report.across_splits),
        "near": (report.near_duplicates, report.near_across_splits), "bad": (report.bad_total, [bad.path for bad in report.bad]),
    }  # fmt: skip


def packed(folder: Path) -> list[Path]:
    """The folder as a tar, a packed tar and two kinds of zip."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = []
    for ending in (".tar", ".tar.gz"):
        found.append(folder.parent / f"mixed{ending}")
        with tarfile.open(found[-1], "w:gz" if ending.endswith("gz") else "w") as tar:
            for path in files:
                tar.add(path, path.relative_to(folder))
    for name, how in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        found.append(folder.parent / f"{name}.zip")
        with zipfile.ZipFile(found[-1], "w", how) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
    return found


WHOLE = {
    "hash": "1cbaa0c4923e3717", "former": "ca0a7249d673a019", "counts": {"train": 254, "valid": 26, "test": 27},
    "copies": (22, 0), "near": (19, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ({}, WHOLE),
        (
            {"labels": "none"},
            {"hash": "6f0f31b8e98115a3", "former": "d58dd59d0ae49b42", "counts": {"train": 255, "valid": 26, "test": 26}},
        ),
        ({"leave_out": ["*copy*"]}, {"hash": "3fc72fc843ab2cfa", "former": "", "counts": {"train": 241, "valid": 22, "test": 22}}),
    ],
    ids=["whole", "no labels", "some left out"],
)
def test_that_a_folder_has_the_hash_and_the_report_it_has_always_had(
    tmp_path: Path, decisions: dict[str, object], expected: dict[str, object]
) -> None:
    found = told(open_data(with_recipe(str(mixed(tmp_path / "mixed")), recipe_of(decisions))))
    assert {name: found[name] for name in expected} == expected
    assert found["bad"] == (13, [f"{place}/{number:03} cut.png" for place, number in sorted(_cut())])


def test_that_archives_of_any_kind_have_the_hash_of_their_folder(tmp_path: Path) -> None:
    for path in packed(mixed(tmp_path / "mixed")):
        found = told(open_data(str(path)))
        assert {name: found[name] for name in WHOLE} == WHOLE, path.name
        assert found["bad"] == (13, [f"{place}/{number:03} cut.png" for place, number in sorted(_cut())])


def test_that_every_image_keeps_its_name_and_label_where_its_split_lies_in_the_memory_of_all(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "mixed")
    data = open_data(str(folder))
    for split in data.splits.values():
        assert split.labels is not None
        for place, name in enumerate(split.names):
            pixels = np.asarray(Image.open(folder / name).convert("RGB")).transpose(2, 0, 1)
            assert np.array_equal(split.images[place], pixels) and name.startswith(data.classes[split.labels[place]])


def _cut() -> list[tuple[str, int]]:
    return [(("ants", "bees", "cats")[number % 3], number) for number in range(0, 240, 19)]
