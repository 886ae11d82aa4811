"""Archives, shards and published binary layouts: the same data set as from a folder, or one sentence."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import BadData, DataSet, open_data
from engine.data.recipe import recipe_of, with_recipe
from tests.kit.import_cases import class_folders, save, write_idx

RNG = np.random.default_rng(8)


def opened(path: Path, **decisions: object) -> DataSet:
    """The data set at a path, read as decided."""
    return open_data(with_recipe(str(path), recipe_of(decisions)))


def said(data: DataSet, words: str) -> bool:
    return any(words in note for note in data.report.notes)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_that_an_archive_is_the_data_set_that_its_folder_is(tmp_path: Path, kind: str) -> None:
    class_folders(tmp_path / "set" / "animals", splits=("train", "test"))
    save(tmp_path / "set" / "animals" / "train" / "cats" / "wide.png", RNG.integers(0, 256, (16, 60, 3), np.uint8))
    (tmp_path / "set" / "animals" / "train" / "cats" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "set" / "__MACOSX").mkdir()
    (tmp_path / "set" / "__MACOSX" / "._x.png").write_bytes(b"litter")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "set"))
    data, folder = opened(packed), opened(tmp_path / "set")
    assert data.classes == ("cats", "dogs") and data.shape == folder.shape and data.report.counts == folder.report.counts
    assert sorted(data.splits["test"].names) == sorted(folder.splits["test"].names) and data.report.bad_total == 1
    known = {name: image for split in folder.splits.values() for image, name in zip(split.images, split.names, strict=True)}
    for split in data.splits.values():
        assert all(np.array_equal(image, known[name]) for image, name in zip(split.images, split.names, strict=True))
    assert kind == "gztar" or data.hash == folder.hash
    assert said(data, "“animals”") and said(data, "bad.png") and data.name == "packed"


@pytest.mark.parametrize("damage", ["junk", "cut at an entry", "cut within a header", None])
def test_that_a_tar_that_ends_before_its_end_has_a_line(tmp_path: Path, damage: str | None) -> None:
    """Readers of tars take damage between two files for the end; what was behind it is not missed by anyone."""
    write_tar(tmp_path / "set.tar", {f"{n}.png": png(RNG.integers(0, 256, (9, 9), np.uint8)) for n in range(20)})
    whole = (tmp_path / "set.tar").read_bytes()
    with tarfile.open(tmp_path / "set.tar") as archive:
        place = archive.getmembers()[12].offset
    broken = {"junk": whole[:place] + b"\xff" * 512 + whole[place + 512 :], "cut at an entry": whole[:place]}
    (tmp_path / "set.tar").write_bytes(broken.get(damage or "", whole if damage is None else whole[: place + 100]))
    data = opened(tmp_path / "set.tar")
    assert sum(data.report.counts.values()) == (20 if damage is None else 12)
    assert said(data, "set.tar is cut off or damaged behind 12 files") == (damage in ("junk", "cut within a header"))
    assert said(data, "set.tar ends behind 12 files without an end mark, so more may be missing.") == (damage == "cut at an entry")


def test_that_what_is_missing_behind_a_damaged_shard_is_counted_in_that_shard(tmp_path: Path) -> None:
    for shard in range(3):
        write_tar(tmp_path / f"train-{shard:06}.tar", {f"{shard}{n}.png": png(RNG.integers(0, 256, (9, 9), np.uint8)) for n in range(5)})
    last = tmp_path / "train-000002.tar"
    with tarfile.open(last) as archive:
        place = archive.getmembers()[3].offset
    last.write_bytes(last.read_bytes()[: place + 100])
    assert said(opened(tmp_path), "train-000002.tar is cut off or damaged behind 3 files")


def test_that_a_packed_set_of_16_bits_is_read_anew_by_its_one_scale(tmp_path: Path) -> None:
    values = {f"{n}.png": (RNG.random((16, 16)) * 4000).astype(np.uint16) for n in range(6)}
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, array in values.items():
            archive.writestr(name, png(array))
    data = opened(tmp_path / "set.zip")
    assert data.preprocessing.scale == (0.0, 4095.0)
    for split in data.splits.values():
        for image, name in zip(split.images, split.names, strict=True):
            assert np.abs(image[0] - values[name] / 4095 * 255).max() <= 0.51


@pytest.mark.parametrize("ending", ["cls", "json"])
def test_that_shards_have_the_labels_beside_their_images_and_the_splits_of_their_names(tmp_path: Path, ending: str) -> None:
    for split, shards in (("train", 3), ("val", 1)):
        for shard in range(shards):
            files: dict[str, bytes] = {}
            for n in range(4):
                label = n % 2
                files[f"{shard * 4 + n:06}.png"] = png(np.full((16, 16), 50 + 100 * label + shard + n, np.uint8))
                files[f"{shard * 4 + n:06}.{ending}"] = (
                    str(label).encode() if ending == "cls" else json.dumps({"label": label, "w": 16}).encode()
                )
            write_tar(tmp_path / f"{split}-{shard:06}.tar", files)
    data = opened(tmp_path)
    assert data.classes == ("0", "1") and data.report.counts["valid"] == 4 and sum(data.report.counts.values()) == 16
    for split in data.splits.values():
        assert split.labels is not None
        assert all((image.mean() > 100) == label for image, label in zip(split.images, split.labels, strict=True))
    single = opened(tmp_path / "train-000000.tar")
    assert single.classes == ("0", "1") and sum(single.report.counts.values()) == 4


def test_that_entries_that_lead_outside_are_left_out_and_other_archives_refused(tmp_path: Path) -> None:
    files = {f"a/{n}.png": png(RNG.integers(0, 256, (9, 9), np.uint8)) for n in range(4)}
    write_tar(tmp_path / "out.tar", {**files, "../../evil.png": files["a/0.png"], "/etc/evil.png": files["a/0.png"]})
    with tarfile.open(tmp_path / "out.tar", "a") as archive:
        link = tarfile.TarInfo("a/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    data = opened(tmp_path / "out.tar")
    assert sum(data.report.counts.values()) == 4 and said(data, "3 entries")
    write_tar(tmp_path / "text.tar", {"readme.txt": b"hello"})
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04" + b"x" * 100)
    for name, words in (
        ("text.tar", "holds no images"),
        ("bad.tar", "no archive"),
        ("cut.tar.gz", "cut.tar.gz is damaged"),
        ("bad.zip", "bad.zip"),
    ):
        with pytest.raises(BadData, match=words):
            opened(tmp_path / name)


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_that_archives_in_a_folder_are_one_set_with_the_table_beside_them(tmp_path: Path, ending: str) -> None:
    """As competitions hand them out: train and test packed apart, everything in a folder of the archive's name, a table beside."""
    files = {f"{n:03}.png": png(RNG.integers(0, 256, (16, 16), np.uint8)) for n in range(12)}
    for name, some in (("train", range(8)), ("test1", range(8, 12))):
        folder = tmp_path / "loose" / name
        folder.mkdir(parents=True)
        for n in some:
            (folder / f"{n:03}.png").write_bytes(files[f"{n:03}.png"])
        shutil.make_archive(str(tmp_path / "set" / name), {"zip": "zip", "tar.gz": "gztar"}[ending], tmp_path / "loose", name)
    (tmp_path / "set" / "labels.csv").write_text("id,breed\n" + "".join(f"{n:03},{'ab'[n % 2]}\n" for n in range(12)))
    data = opened(tmp_path / "set")
    assert data.report.counts["test"] == 4 and sum(data.report.counts.values()) == 12 and data.classes == ("a", "b")
    assert {Path(name).name for name in data.splits["test"].names} == {f"{n:03}.png" for n in range(8, 12)}
    for split in data.splits.values():
        for image, label, name in zip(split.images, split.labels, split.names, strict=True):  # type: ignore[arg-type]
            assert label == int(Path(name).stem) % 2
            assert np.array_equal(image[0], np.asarray(Image.open(io.BytesIO(files[Path(name).name]))))


def test_that_one_zip_in_a_folder_is_the_zip(tmp_path: Path) -> None:
    class_folders(tmp_path / "loose" / "outer" / "inner", splits=("train", "test"))
    (tmp_path / "set").mkdir()
    shutil.make_archive(str(tmp_path / "set" / "download"), "zip", tmp_path / "loose")
    (tmp_path / "set" / "README.md").write_text("words")
    data = opened(tmp_path / "set")
    assert data.classes == ("cats", "dogs") and data.report.counts["test"] == 12
    assert data.hash == opened(tmp_path / "set" / "download.zip").hash


def test_that_archives_named_by_their_class_are_classes(tmp_path: Path) -> None:
    for place, wnid in enumerate(("n01440764", "n02102040", "n03000684")):
        write_tar(tmp_path / f"{wnid}.tar", {f"{wnid}_{n}.JPEG": png(np.full((16, 16), 50 * place + n, np.uint8)) for n in range(5)})
    data = opened(tmp_path)
    assert data.classes == ("n01440764", "n02102040", "n03000684") and sum(data.report.counts.values()) == 15
    for split in data.splits.values():
        assert split.labels is not None and (split.images[:, 0, 0, 0] // 50 == split.labels).all()


def test_that_class_folders_in_several_shards_stay_classes_and_nothing_is_lost(tmp_path: Path) -> None:
    for shard in range(3):
        files = {
            f"{name}/{n}.png": png(np.full((16, 16), 10 * shard + n + 100 * (name == "b"), np.uint8)) for name in "ab" for n in range(4)
        }
        write_tar(tmp_path / f"part-{shard:05}.tar", files)
    data = opened(tmp_path)
    assert data.classes == ("a", "b") and sum(data.report.counts.values()) == 24
    seen = sorted(int(image[0, 0, 0]) for split in data.splits.values() for image in split.images)
    assert seen == sorted(10 * shard + n + 100 * b for shard in range(3) for n in range(4) for b in (0, 1))


def test_that_shards_with_running_numbers_are_no_classes(tmp_path: Path) -> None:
    """As img2dataset names them: 00001.tar holds 000010000.jpg."""
    for shard in range(2):
        files = {f"{shard:05}{n:04}.png": png(np.full((16, 16), 10 * shard + n, np.uint8)) for n in range(6)}
        write_tar(tmp_path / f"{shard:05}.tar", files | {name.replace("png", "txt"): b"a caption" for name in files})
    data = opened(tmp_path)
    assert data.classes == () and sum(data.report.counts.values()) == 12


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("ending", ["tif", "gif"])
def test_that_pages_in_an_archive_are_images_where_asked(tmp_path: Path, kind: str, ending: str) -> None:
    pages = [Image.fromarray(np.full((16, 16), 40 * n + 10, np.uint8)) for n in range(5)]
    for name in ("a", "b"):
        path = tmp_path / "set" / name / f"stack.{ending}"
        path.parent.mkdir(parents=True)
        pages[0].save(path, save_all=True, append_images=pages[1:])
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "set"))
    data, folder = opened(packed, pages="all"), opened(tmp_path / "set", pages="all")
    assert sum(data.report.counts.values()) == 10 and (kind == "gztar" or data.hash == folder.hash)
    levels = sorted(round(image.mean()) for split in data.splits.values() for image in split.images)
    assert levels == sorted([40 * n + 10 for n in range(5)] * 2)


# -- published binary layouts --------------------------------------------------------------------------------------------


def test_that_emnist_stands_upright_under_any_prefix_and_counts_from_1(tmp_path: Path) -> None:
    arrays = {}
    for kind, first, classes in (("letters", 1, 26), ("digits", 0, 10)):
        for split, count in (("train", 52), ("test", 26)):
            upright = np.zeros((count, 28, 28), np.uint8)
            upright[:, 4:24, 8] = 200  # a vertical stroke, as it should be seen
            upright[np.arange(count), 2, np.arange(count) % 28] = np.arange(count) + 1
            arrays[kind, split] = upright
            write_idx(tmp_path / f"emnist-{kind}-{split}-images-idx3-ubyte.gz", upright.transpose(0, 2, 1))
            write_idx(tmp_path / f"emnist-{kind}-{split}-labels-idx1-ubyte.gz", np.arange(count) % classes + first)
    data = opened(tmp_path / "emnist-letters-train-images-idx3-ubyte.gz")
    assert data.classes == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ") and data.name == "emnist-letters" and said(data, "emnist-digits")
    assert np.array_equal(data.splits["test"].images[:, 0], arrays["letters", "test"])
    assert data.splits["test"].labels is not None and data.splits["test"].labels.tolist() == [n % 26 for n in range(26)]
    data = opened(tmp_path)
    assert data.name == "emnist-digits" and data.classes == tuple("0123456789") and said(data, "emnist-letters")


def test_that_cifar_100_has_fine_or_coarse_classes(tmp_path: Path) -> None:
    for split, count in (("train", 20), ("test", 6)):
        table = {
            b"data": RNG.integers(0, 256, (count, 3072), np.uint8),
            b"fine_labels": list(range(count)),
            b"coarse_labels": [n % 4 for n in range(count)],
        }
        (tmp_path / split).write_bytes(pickle.dumps(table, protocol=2))
    names = {b"fine_label_names": [b"f%d" % n for n in range(100)], b"coarse_label_names": [b"c%d" % n for n in range(20)]}
    (tmp_path / "meta").write_bytes(pickle.dumps(names, protocol=2))
    data = opened(tmp_path)
    assert len(data.classes) == 100 and data.classes[3] == "f3" and said(data, "labels coarse")
    data = opened(tmp_path, labels="coarse")
    assert len(data.classes) == 20 and data.classes[3] == "c3" and data.splits["test"].labels.tolist() == [0, 1, 2, 3, 0, 1]


def test_that_svhn_is_read_as_scipy_wrote_it_and_ten_is_zero(tmp_path: Path) -> None:
    from scipy.io import savemat

    arrays = {split: RNG.integers(0, 256, (32, 32, 3, count), np.uint8) for split, count in (("train", 30), ("test", 12), ("extra", 40))}
    for split, array in arrays.items():
        y = (np.arange(array.shape[3]) % 10 + 1).astype(np.uint8)[:, None]
        savemat(tmp_path / f"{split}_32x32.mat", {"X": array, "y": y}, do_compression=split != "test")
    data = opened(tmp_path)
    assert data.classes == tuple("0123456789") and data.shape == (3, 32, 32) and said(data, "extra_32x32.mat was left out")
    assert np.array_equal(data.splits["test"].images, arrays["test"].transpose(3, 2, 0, 1))
    assert data.splits["test"].labels is not None and data.splits["test"].labels.tolist() == [(n % 10 + 1) % 10 for n in range(12)]
    train = data.splits["train"]
    assert np.array_equal(train.images, arrays["train"].transpose(3, 2, 0, 1)[train.index])
    assert sum(opened(tmp_path / "extra_32x32.mat").report.counts.values()) == 40


def test_that_other_mat_files_are_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    from scipy.io import savemat

    array = RNG.random((30, 12, 10))
    savemat(tmp_path / "first.mat", {"images": array, "labels": np.arange(30)[None] % 3.0, "info": {"a": 1}, "names": ["x", "yy"]})
    data = opened(tmp_path / "first.mat")
    assert data.shape == (1, 12, 10) and data.classes == ("0", "1", "2") and said(data, "“info”")
    for split in data.splits.values():
        assert np.abs(split.images[:, 0] - array[split.index] * 255).max() <= 0.51
    savemat(tmp_path / "none.mat", {"a": np.zeros((3, 3))})
    (tmp_path / "new.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    (tmp_path / "bad.mat").write_bytes(b"x" * 300)
    for name, words in (("none", "no array of images"), ("new", "no HDF5 file"), ("bad", "no MATLAB file")):
        with pytest.raises(BadData, match=words):
            opened(tmp_path / f"{name}.mat")


def test_that_stl_10_stands_upright_with_its_classes(tmp_path: Path) -> None:
    arrays = {split: RNG.integers(0, 256, (count, 3, 96, 96), np.uint8) for split, count in (("train", 10), ("test", 4), ("unlabeled", 6))}
    for split, array in arrays.items():
        array.transpose(0, 1, 3, 2).tofile(tmp_path / f"{split}_X.bin")
        if split != "unlabeled":
            (np.arange(len(array)) % 2 + 1).astype(np.uint8).tofile(tmp_path / f"{split}_y.bin")
    (tmp_path / "class_names.txt").write_text("airplane\nbird\n")
    data = opened(tmp_path, size=64)
    assert data.classes == ("airplane", "bird") and data.report.counts["test"] == 4 and said(data, "unlabeled_X.bin")
    reference = Image.fromarray(arrays["test"][0].transpose(1, 2, 0)).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(data.splits["test"].images[0].transpose(1, 2, 0), np.asarray(reference))
    assert sum(opened(tmp_path, array="unlabeled").report.counts.values()) == 6
    (tmp_path / "train_X.bin").write_bytes(bytes(100))
    with pytest.raises(BadData, match="cut off"):
        opened(tmp_path)
