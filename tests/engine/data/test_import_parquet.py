"""Parquet tables as the Hugging Face Hub keeps image data sets: written by pyarrow itself, read by the confined reader."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from engine.data import BadData, DataSet, open_data
from engine.data.readers import parquet, reader_for
from engine.data.recipe import recipe_of, with_recipe
from tests.kit.sentences import look_at

NAMES = ["zebra", "ant", "cow"]  # in no order of the alphabet


def opened(path: Path, **decisions: object) -> DataSet:
    return open_data(with_recipe(str(path), recipe_of(decisions)))


def said(data: DataSet, words: str) -> bool:
    return any(words in note for note in data.report.notes)


def png(label: int, number: int, side: int = 16) -> bytes:
    """A picture whose grey tells its class and its number."""
    pixels = np.full((side, side), 60 * label, np.uint8)
    pixels[0] = np.frombuffer(number.to_bytes(side, "little"), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(path: Path, labels: list[Any], start: int = 0, image: str = "image", plain: bool = False, **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [png(label if isinstance(label, int) and label >= 0 else 0, start + n) for n, label in enumerate(labels)]
    table: dict[str, Any] = {image: pictures if plain else [{"bytes": one, "path": f"{n}.png"} for n, one in enumerate(pictures)]}
    table |= {"label": labels} if "label" not in columns and labels is not None else {}
    made = pa.table(table | columns)
    names = {"label": NAMES, "fine_label": [f"fine {n}" for n in range(9)], "coarse_label": NAMES}
    features = {name: {"_type": "ClassLabel", "names": names[name]} for name in made.column_names if name in names}
    pq.write_table(made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path, row_group_size=5)


def test_that_shards_are_splits_and_numbers_have_the_names_of_the_metadata(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    labels = [n % 3 for n in range(24)]
    write(tmp_path / "data" / "train-00000-of-00002.parquet", labels)
    write(tmp_path / "data" / "train-00001-of-00002-6c3b0b3f0a8b4f0e.parquet", labels, 24)
    write(tmp_path / "data" / "test-00000-of-00001.parquet", labels[:9], 48)
    data = opened(tmp_path)
    assert reader_for(tmp_path) is parquet and data.classes == ("zebra", "ant", "cow") and data.shape == (1, 16, 16)
    assert data.report.counts["test"] == 9 and sum(data.report.counts.values()) == 57 and data.report.bad_total == 0
    for name, split in data.splits.items():
        assert split.labels is not None
        assert (split.images[:, 0, 5, 5] == 60 * split.labels).all()
        numbers = [int.from_bytes(image[0, 0].tobytes(), "little") for image in split.images]
        assert all((number >= 48) == (name == "test") for number in numbers) and len(set(numbers)) == len(numbers)


def test_that_one_file_of_plain_bytes_and_words_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [None] * 12, plain=True, image="img", label=["cat", "dog"] * 6)
    data = opened(tmp_path / "a.parquet")
    assert data.classes == ("cat", "dog") and sum(data.report.counts.values()) == 12


def test_that_of_fine_and_coarse_classes_the_fine_ones_are_taken_and_said(tmp_path: Path) -> None:
    fine = [n % 9 for n in range(36)]
    write(tmp_path / "train.parquet", [n % 3 for n in fine], label=[""] * 36, fine_label=fine, coarse_label=[n % 3 for n in fine])
    data = opened(tmp_path)
    assert data.classes == tuple(f"fine {n}" for n in range(9)) and said(data, "coarse_label")
    assert opened(tmp_path, labels="coarse_label").classes == tuple(NAMES)


def test_that_images_without_label_are_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001.parquet", [0, 1, 2, -1] * 6)
    data = opened(tmp_path)
    assert data.classes == tuple(NAMES) and sum(data.report.counts.values()) == 18 and said(data, "6 images")
    assert sum(opened(tmp_path, labels="none").report.counts.values()) == 24


def test_that_a_split_without_labels_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1, 2] * 6)
    write(tmp_path / "test.parquet", [-1] * 6)
    data = opened(tmp_path)
    assert data.classes == tuple(NAMES) and sum(data.report.counts.values()) == 18 and said(data, "6 images of test")


def test_that_a_column_may_name_the_splits(tmp_path: Path) -> None:
    write(tmp_path / "all.parquet", [0, 1] * 10, split=["train"] * 14 + ["test"] * 6)
    data = opened(tmp_path / "all.parquet")
    assert data.report.counts["test"] == 6 and data.classes == ("zebra", "ant")
    numbers = {int.from_bytes(image[0, 0].tobytes(), "little") for image in data.splits["test"].images}
    assert numbers == set(range(14, 20))


def test_that_a_row_without_a_picture_is_listed(tmp_path: Path) -> None:
    good = [{"bytes": png(0, n), "path": None} for n in range(6)]
    table = pa.table({"image": [*good, {"bytes": None, "path": "x.png"}, {"bytes": b"none", "path": None}, None], "label": [0, 1, 0] * 3})
    pq.write_table(table, tmp_path / "a.parquet")
    data = opened(tmp_path / "a.parquet")
    assert data.report.bad_total == 3 and sum(data.report.counts.values()) == 6
    assert {bad.path for bad in data.report.bad} == {"0000006", "0000007", "0000008"}


def test_that_several_versions_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path / "fine" / "train-00000-of-00001.parquet", [0, 1] * 6)
    write(tmp_path / "raw" / "train-00000-of-00001.parquet", [0, 1] * 6, 50)
    data = opened(tmp_path)
    assert sum(data.report.counts.values()) == 12 and said(data, "“raw”")


def test_that_pictures_of_a_table_beside_pictures_in_a_folder_are_no_tables(tmp_path: Path) -> None:
    write(tmp_path / "meta.parquet", [0, 1])
    (tmp_path / "a.png").write_bytes(png(0, 0))
    assert reader_for(tmp_path) is not parquet


@pytest.mark.parametrize(
    "table", [pa.table({"x": [1, 2, 3]}), pa.table({"image": [[1, 2], [3, 4]]}), pa.table({"image": pa.array([], pa.binary())})]
)
def test_that_a_table_without_pictures_is_refused_in_a_sentence(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(BadData) as caught:
        opened(tmp_path / "a.parquet")
    look_at(str(caught.value))


def test_that_a_missing_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", [0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadData) as caught:
        next(parquet.read(tmp_path / "a.parquet", recipe_of({})))
    assert "pip install pyarrow" in look_at(str(caught.value))


@pytest.mark.slow
def test_that_a_large_row_group_is_read_and_a_larger_one_refused_in_a_sentence(tmp_path: Path) -> None:
    """One row group of 480 MB is read, in a process that may have little more than that."""
    noise = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    rows = [png(n % 2, n) + noise for n in range(6)]
    schema = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()})
    with pq.ParquetWriter(tmp_path / "a.parquet", schema, compression="none", use_dictionary=False) as writer:
        batch = pa.table({"image": [{"bytes": row, "path": None} for row in rows] * 80, "label": [0, 1, 0, 1, 0, 1] * 80}, schema)
        writer.write_table(batch, row_group_size=480)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 1
    data = opened(tmp_path / "a.parquet")
    assert sum(data.report.counts.values()) == 480
    with pq.ParquetWriter(tmp_path / "b.parquet", schema, compression="none", use_dictionary=False) as writer:
        writer.write_table(pa.concat_tables([batch, batch]), row_group_size=960)
    with pytest.raises(BadData) as caught:
        opened(tmp_path / "b.parquet")
    assert "smaller" in look_at(str(caught.value))
