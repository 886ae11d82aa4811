"""Arrays of which only some have labels, and arrays that may be turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engine.data.test_import_cases import noise, opened, said


@pytest.mark.parametrize("bare", [("test",), ("val",), ("val", "test")])
def test_that_labels_of_training_are_kept_where_others_have_none(tmp_path: Path, bare: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    many = {"train": 40, "val": 12, "test": 16}
    images = {f"{split}_images": rng.integers(0, 256, (count, 12, 12), np.uint8) for split, count in many.items()}
    labels = {f"{split}_labels": np.arange(len(images[f"{split}_images"])) % 4 for split in ("train", "val", "test") if split not in bare}
    np.savez(tmp_path / "set.npz", **images, **labels)
    data = opened(tmp_path / "set.npz")
    assert data.classes == ("0", "1", "2", "3")
    used = {"train", "val", "test"} - set(bare)
    shown = {image.tobytes() for split in data.splits.values() for image in split.images}
    for split in ("train", "val", "test"):
        mine = {image[None].tobytes() for image in images[f"{split}_images"]}
        assert (mine <= shown) == (split in used) and bool(mine & shown) == (split in used)
    for split in bare:
        assert said(data, f"({split}_images) have no class and were left out")
    plain = opened(tmp_path / "set.npz", labels="none")
    assert plain.classes == () and sum(plain.report.counts.values()) == 68


def test_that_without_labels_to_train_on_no_image_has_a_class(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x_train=noise(40), x_test=noise(16), y_test=np.arange(16) % 4)
    data = opened(tmp_path / "set.npz")
    assert data.classes == () and sum(data.report.counts.values()) == 56 and said(data, "There are no labels for train")


def test_that_an_array_that_may_be_turned_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "hwn.npy", noise(12, 12, 50))
    assert said(opened(tmp_path / "hwn.npy"), "if it holds 50 images of 12×12")
    np.save(tmp_path / "nhw.npy", noise(40, 12, 12))
    assert not said(opened(tmp_path / "nhw.npy"), "put their number first")
    np.save(tmp_path / "cube.npy", noise(12, 12, 12))
    assert not said(opened(tmp_path / "cube.npy"), "put their number first")
