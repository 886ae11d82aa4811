"""IDX, CIFAR, arrays, tensors and text: good files against what was written, damaged ones against one sentence."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.data import describe_data, open_data

RNG = np.random.default_rng(3)


def images(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


def by_index(data, split: str, array: np.ndarray) -> np.ndarray:
    """What the split should hold of the source's array."""
    return array[data.splits[split].index]


# -- IDX -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mnist(tmp_path: Path, write_idx):
    """A small set in the layout of MNIST."""
    raw = tmp_path / "FashionMNIST" / "raw"
    arrays = {"train": (images(50, 12, 10), np.arange(50) % 10), "t10k": (images(20, 12, 10), np.arange(20) % 10)}
    for split, (pixels, labels) in arrays.items():
        write_idx(raw / f"{split}-images-idx3-ubyte.gz", pixels)
        write_idx(raw / f"{split}-labels-idx1-ubyte.gz", labels)
    return raw, arrays


@pytest.mark.parametrize("where", ["raw", "parent", "file"])
def test_that_idx_is_read_from_the_folder_its_parent_and_a_file(mnist, where):
    raw, arrays = mnist
    data = open_data(str({"raw": raw, "parent": raw.parent, "file": raw / "train-images-idx3-ubyte.gz"}[where]))
    assert data.name == "fashion-mnist" and data.classes[9] == "Ankle boot" and data.shape == (1, 12, 10)
    assert np.array_equal(data.splits["test"].images[:, 0], arrays["t10k"][0])
    assert np.array_equal(data.splits["train"].images[:, 0], by_index(data, "train", arrays["train"][0]))
    assert np.array_equal(data.splits["valid"].labels, by_index(data, "valid", arrays["train"][1]))
    assert data.report.counts == {"train": 45, "valid": 5, "test": 20}
    assert "70" in describe_data(str(raw)).summary


def test_that_plain_idx_files_are_read_too(mnist):
    raw, arrays = mnist
    for file in list(raw.iterdir()):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert np.array_equal(open_data(str(raw)).splits["test"].images[:, 0], arrays["t10k"][0])


def test_that_idx_without_labels_or_test_files_says_so(mnist):
    raw, _ = mnist
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (raw / name).unlink()
    data = open_data(str(raw))
    assert data.classes == () and data.splits["train"].labels is None
    assert any("no label file" in note for note in data.report.notes)
    assert data.report.counts == {"train": 41, "valid": 4, "test": 5}


def test_that_damaged_idx_files_are_refused(mnist, refusal, write_idx):
    raw, _ = mnist
    file = raw / "train-images-idx3-ubyte.gz"
    good = file.read_bytes()
    plain = gzip.decompress(good)
    file.write_bytes(good[: len(good) // 2])
    assert "cut off" in refusal(raw)
    file.write_bytes(good[:40] + bytes(8) + good[48:])
    refusal(raw)
    file.write_bytes(gzip.compress(b"\0\0\x0d\x03" + plain[4:]))
    assert "no IDX file" in refusal(raw)
    file.write_bytes(gzip.compress(plain[:-5]))
    assert "too early" in refusal(raw)
    file.write_bytes(gzip.compress(plain + b"x"))
    assert "more bytes" in refusal(raw)
    file.write_bytes(b"")
    refusal(raw)
    file.write_bytes(gzip.compress(plain[:4] + b"\xff" * 12 + plain[16:]))
    assert "more than can be held" in refusal(raw)
    file.write_bytes(good)
    write_idx(raw / "train-labels-idx1-ubyte.gz", np.zeros(49))
    assert "49 labels" in refusal(raw) and "50 images" in refusal(raw)


# -- CIFAR ---------------------------------------------------------------------------------------------------------------


def write_batch(path: Path, pixels: np.ndarray, labels: list[int], key: bytes = b"labels") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps({b"data": pixels.reshape(len(pixels), -1), key: labels, b"batch_label": b"x"}, protocol=2))


def test_that_cifar_batches_are_read_and_the_missing_ones_counted(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    train, test = images(30, 3, 32, 32), images(10, 3, 32, 32)
    write_batch(folder / "data_batch_2", train, [n % 10 for n in range(30)])
    write_batch(folder / "test_batch", test, [n % 10 for n in range(10)])
    data = open_data(str(folder))
    assert data.name == "cifar-10" and data.classes[2] == "bird" and data.shape == (3, 32, 32)
    assert np.array_equal(data.splits["test"].images, test)
    assert np.array_equal(data.splits["train"].images, by_index(data, "train", train))
    assert any("30 of 50,000 training images" in note for note in data.report.notes)


def test_that_cifar_100_takes_its_fine_labels_and_names(tmp_path):
    folder = tmp_path / "cifar-100-python"
    write_batch(folder / "train", images(20, 3, 32, 32), list(range(20)), b"fine_labels")
    write_batch(folder / "test", images(5, 3, 32, 32), list(range(5)), b"fine_labels")
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [f"thing {n}".encode() for n in range(100)]}, protocol=2))
    data = open_data(str(folder))
    assert data.name == "cifar-100" and data.classes[7] == "thing 7" and len(data.classes) == 100


def test_that_binary_cifar_is_read(tmp_path):
    pixels, labels = images(20, 3, 32, 32), np.arange(20, dtype=np.uint8) % 10
    records = np.concatenate([labels[:, None], pixels.reshape(20, -1)], axis=1)
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes())
    (tmp_path / "test_batch.bin").write_bytes(records[:8].tobytes())
    data = open_data(str(tmp_path))
    assert np.array_equal(data.splits["test"].images, pixels[:8]) and np.array_equal(data.splits["test"].labels, labels[:8])


def test_that_damaged_cifar_batches_are_refused(tmp_path, refusal):
    file = tmp_path / "data_batch_1"
    write_batch(file, images(6, 3, 32, 32), [0] * 5)
    assert "5 labels for 6 images" in refusal(tmp_path)
    write_batch(file, images(6, 3, 32, 32), [0] * 6)
    good = file.read_bytes()
    for cut in (0, 1, 50, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:cut])
        refusal(tmp_path)
    write_batch(file, images(6, 1, 32, 32), [0] * 6)
    refusal(tmp_path)
    write_batch(file, images(6, 3, 32, 32), [0, 1, 2, 3, 4, -1])
    refusal(tmp_path)
    file.unlink()
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073 * 4 - 1))
    assert "no whole number" in refusal(tmp_path)


# -- NumPy ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 1), (12, 10, 3), (1, 12, 10), (3, 12, 10)])
@pytest.mark.parametrize("ending", [".npy", ".npz", "packed", "fortran"])
def test_that_arrays_of_every_layout_are_read(tmp_path, shape, ending):
    array = images(40, *shape)
    path = tmp_path / ("set.npy" if ending in (".npy", "fortran") else "set.npz")
    if ending == "packed":
        np.savez_compressed(path, array)
    elif ending == ".npz":
        np.savez(path, images=array)
    else:
        np.save(path, np.asfortranarray(array) if ending == "fortran" else array)
    data = open_data(str(path))
    expected = array[:, None] if array.ndim == 3 else array if shape[0] in (1, 3) else array.transpose(0, 3, 1, 2)
    for name, split in data.splits.items():
        assert np.array_equal(split.images, by_index(data, name, expected))


@pytest.mark.parametrize(
    ("low", "high", "says"), [(0.0, 1.0, "0..1"), (-1.0, 1.0, "−1..1"), (0.0, 255.0, "whole numbers"), (-3.0, 9.0, "from -3 to 9")]
)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_that_float_arrays_are_scaled_by_their_range(tmp_path, low, high, says, kind):
    wanted = images(30, 9, 9).astype(np.float64)
    wanted[0, 0, :2] = 0, 255
    array = (low + wanted / 255 * (high - low)).astype(kind)
    np.save(tmp_path / "set.npy", array)
    data = open_data(str(tmp_path / "set.npy"))
    close = 1 if kind is np.float16 else 0
    assert np.abs(data.splits["train"].images[:, 0].astype(int) - by_index(data, "train", wanted)).max() <= close
    assert any(says in note for note in data.report.notes)


def test_that_values_that_are_no_numbers_become_black_and_are_counted(tmp_path):
    array = np.full((30, 9, 9), 0.5, np.float32)
    array[:, 3, 3] = np.nan
    array[:, 4, 4] = np.inf
    np.save(tmp_path / "set.npy", array)
    data = open_data(str(tmp_path / "set.npy"))
    pixels = data.splits["train"].images[:, 0]
    assert (pixels[:, 3, 3] == 0).all() and (pixels[:, 4, 4] == 0).all() and (pixels[:, 0, 0] == 128).all()
    assert any("60 values" in note for note in data.report.notes)


def test_that_labels_and_splits_of_an_archive_are_found_by_name(tmp_path):
    train, test = images(20, 8, 8), images(10, 8, 8)
    np.savez(tmp_path / "set.npz", y_test=np.arange(10) % 3, x_test=test, y_train=np.arange(20) % 3, x_train=train)
    data = open_data(str(tmp_path / "set.npz"))
    assert np.array_equal(data.splits["test"].images[:, 0], test) and data.classes == ("0", "1", "2")
    assert np.array_equal(data.splits["train"].labels, by_index(data, "train", np.arange(20) % 3))


def test_that_large_arrays_are_scaled_to_a_square_and_say_so(tmp_path):
    np.save(tmp_path / "set.npy", images(6, 100, 150, 3))
    data = open_data(str(tmp_path / "set.npy"))
    assert data.shape == (3, 64, 64) and data.report.sizes == {"150×100 colour": 6}
    assert any("Scaled from 150×100 to 64×64" in note for note in data.report.notes)
    assert open_data(str(tmp_path / "set.npy"), size=24, colour="grey").shape == (1, 24, 24)


def test_that_bad_archives_are_refused(tmp_path, refusal):
    path = tmp_path / "set.npz"
    np.savez(path, images=images(10, 8, 8), labels=np.arange(9))
    assert "9 labels" in refusal(path)
    np.savez(path, table=np.zeros((5, 5)))
    assert "no array of images" in refusal(path)
    np.savez(path, images=images(10, 8, 8))
    good = path.read_bytes()
    for cut in (0, 10, len(good) // 2, len(good) - 5):
        path.write_bytes(good[:cut])
        refusal(path)
    path.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    assert "damaged" in refusal(path)
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8), np.uint8))
    refusal(tmp_path / "none.npy")
    (tmp_path / "wrong.npy").write_bytes(b"hello, this is no array")
    refusal(tmp_path / "wrong.npy")
    with pytest.raises(Exception, match="cannot be trained on"):
        open_data("digits", size=500)


# -- torch ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_that_tensors_are_read_as_torch_wrote_them(tmp_path, zipped):
    import torch

    pixels, labels = torch.from_numpy(images(30, 14, 9)), torch.arange(30) % 4
    torch.save((pixels.transpose(1, 2), labels), tmp_path / "set.pt", _use_new_zipfile_serialization=zipped)
    data = open_data(str(tmp_path / "set.pt"))
    train = data.splits["train"]
    assert data.shape == (1, 9, 14)
    assert np.array_equal(train.images[:, 0], pixels.numpy().transpose(0, 2, 1)[train.index])
    assert np.array_equal(train.labels, labels.numpy()[train.index])


def test_that_named_float_tensors_and_processed_folders_are_read(tmp_path):
    import torch

    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    pixels = torch.rand(25, 3, 8, 8)
    torch.save((pixels, torch.zeros(25, dtype=torch.int64)), folder / "training.pt")
    torch.save((pixels[:6].clone(), torch.zeros(6, dtype=torch.int64)), folder / "test.pt")
    data = open_data(str(folder.parent))
    assert np.array_equal(data.splits["test"].images, np.rint(pixels[:6].numpy() * 255))
    torch.save({"test_images": pixels, "train_images": pixels}, tmp_path / "named.pth")
    assert open_data(str(tmp_path / "named.pth")).report.counts["test"] == 25


def test_that_other_torch_files_are_refused(tmp_path, refusal):
    import torch

    torch.save({"weight": torch.zeros(3, 3)}, tmp_path / "weights.pt")
    assert "no array of images" in refusal(tmp_path / "weights.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert "asks to run" in refusal(tmp_path / "module.pt")
    torch.save(torch.zeros(9, 8, 8, dtype=torch.uint8), tmp_path / "set.pt")
    good = (tmp_path / "set.pt").read_bytes()
    for cut in (0, 3, 100, len(good) // 2, len(good) - 1):
        (tmp_path / "set.pt").write_bytes(good[:cut])
        refusal(tmp_path / "set.pt")
    with zipfile.ZipFile(tmp_path / "empty.pt", "w") as archive:
        archive.writestr("a/b", "c")
    refusal(tmp_path / "empty.pt")


# -- text ----------------------------------------------------------------------------------------------------------------


def test_that_a_text_is_read_byte_by_byte_and_its_encoding_said(tmp_path, refusal):
    text = "Füße, ἀρχή, 画像. " * 50
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    data = open_data(str(tmp_path / "a.txt"))
    assert data.text == text.encode("utf-8") and data.name == "a" and data.kind == "text"
    assert open_data(str(tmp_path)).text == data.text
    (tmp_path / "b.txt").write_bytes(text.encode("utf-16"))
    assert any("no UTF-8" in note for note in open_data(str(tmp_path / "b.txt")).report.notes)
    (tmp_path / "c.txt").write_text("too short")
    refusal(tmp_path / "c.txt")


def test_that_a_file_of_no_known_kind_is_refused(tmp_path, refusal):
    (tmp_path / "thing.bin").write_bytes(bytes(range(256)))
    assert "no data set" in refusal(tmp_path / "thing.bin")


# -- the real ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "mean", "name"), [("MNIST", 33.318, "mnist"), ("FashionMNIST/raw", 72.940, "fashion-mnist")])
def test_that_the_published_idx_sets_have_their_published_mean(shared_data, folder, mean, name):
    data = open_data(str(shared_data / folder))
    total = sum(float(data.splits[split].images.sum(dtype=np.int64)) for split in ("train", "valid"))
    assert data.name == name and total / (60_000 * 784) == pytest.approx(mean, abs=1e-3)
    assert data.report.counts == {"train": 58_000, "valid": 2_000, "test": 10_000}


def test_that_the_partial_cifar_equals_what_pickle_reads(shared_data):
    folder = shared_data / "cifar-10-batches-py"
    data = open_data(str(folder))
    with (folder / "test_batch").open("rb") as file:  # the files' checksums are the published ones
        batch = pickle.load(file, encoding="bytes")
    assert np.array_equal(data.splits["test"].images, batch[b"data"].reshape(-1, 3, 32, 32))
    assert data.splits["test"].labels is not None and data.splits["test"].labels.tolist() == batch[b"labels"]
    assert any("20,000 of 50,000 training images" in note for note in data.report.notes)


@pytest.mark.parametrize("value", [-(2**63), -3.0, -1e300, 1e300])
def test_that_images_of_one_value_are_scaled(tmp_path, value):
    np.save(tmp_path / "a.npy", np.full((4, 8, 8), value, np.int64 if isinstance(value, int) else np.float64))
    assert open_data(str(tmp_path / "a.npy")).shape == (1, 8, 8)


def test_that_values_of_the_widest_span_are_scaled(tmp_path):
    values = np.zeros((4, 8, 8))
    values[:, 0, 0], values[:, 1, 1] = -1.7e308, 1.7e308
    np.save(tmp_path / "a.npy", values)
    image = np.asarray(open_data(str(tmp_path / "a.npy")).splits["train"].images[0, 0])
    assert image[0, 0] == 0 and image[1, 1] == 255 and image[2, 2] in (127, 128)
