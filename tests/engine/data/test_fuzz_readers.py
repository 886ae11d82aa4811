"""Mutated files of every kind: each is opened or refused in one sentence, whatever it does to the process that reads it.

The mutations are a function of (reader, number), so a failure is found again by its number. How many are tried: `tests/kit/fuzzing.py`.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pillow_heif
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy.io import savemat

from engine.data.confined import read_file
from engine.data.dataset import BadData, Source
from engine.data.recipe import ImportRecipe
from tests.kit.fuzzing import ALL, numbers
from tests.kit.sentences import look_at

OPENED_AT_LEAST = 0.01  # of the mutated files, or the seeds are no seeds
NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
IMAGES = np.random.default_rng(7).integers(0, 256, (12, 8, 8), dtype=np.uint8)
LABELS = np.arange(12) % 3


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if len(arrays) == 2 else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def pt(value: object, legacy: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def batch(protocol: int) -> bytes:
    table = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3], b"batch_label": b"one", b"more": (1.5, None, {1: [True]})}
    return pickle.dumps(table, protocol)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def packed(kind: str) -> bytes:
    """A few pictures in class folders with a table, in an archive."""
    files: dict[str, bytes] = {"meta.csv": b"file,label\n" + b"".join(b"%d,%d\n" % (n, n % 2) for n in range(6))}
    for n in range(6):
        picture = io.BytesIO()
        Image.fromarray(IMAGES[n]).save(picture, "PNG" if n % 2 else "BMP")
        files[f"set/{'a' if n % 2 else 'b'}/{n}.{'png' if n % 2 else 'bmp'}"] = picture.getvalue()
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def photographs() -> bytes:
    """DICOM and HEIF files in an archive."""
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(3):
            meta = FileMetaDataset()
            meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
                ExplicitVRLittleEndian,
                "1.2",
                f"1.2.{n}",
            )
            slice_ = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
            slice_.Rows, slice_.Columns, slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 8, 8, 1, "MONOCHROME1"
            slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 12, 11, 0
            slice_.RescaleSlope, slice_.RescaleIntercept, slice_.WindowCenter, slice_.WindowWidth = "2", "-10", "100", "50"
            slice_.PixelData = IMAGES[n].astype(np.uint16).tobytes()
            file = io.BytesIO()
            pydicom.dcmwrite(file, slice_, enforce_file_format=True)
            archive.writestr(f"{n}.dcm", file.getvalue())
        file = io.BytesIO()
        Image.fromarray(np.repeat(np.repeat(IMAGES[0], 8, 0), 8, 1)).convert("RGB").save(file, "HEIF")
        archive.writestr("a.heic", file.getvalue())
    return buffer.getvalue()


def mat(compressed: bool) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"X": np.repeat(IMAGES.transpose(1, 2, 0)[:, :, None], 3, 2), "y": LABELS[:, None]}, do_compression=compressed)
    return buffer.getvalue()


def parquet(compression: str) -> bytes:
    pictures = []
    for image in IMAGES:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": None})
    features = {"info": {"features": {"label": {"names": ["a", "b", "c"], "_type": "ClassLabel"}}}}
    table = pa.table({"image": pictures, "label": LABELS, "word": [str(n) for n in LABELS]})
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), buffer, 5, compression=compression)
    return buffer.getvalue()


def hdf5(packed: bool) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("x", data=IMAGES, **({"chunks": (5, 8, 8), "compression": "gzip"} if packed else {}))
        file["y"] = LABELS
    return buffer.getvalue()


def seeds(kind: str) -> tuple[str, str, list[bytes]]:
    """(reader, name of the file, valid contents)"""
    tensors = [torch.from_numpy(IMAGES), (torch.from_numpy(IMAGES), torch.from_numpy(LABELS)), torch.from_numpy(IMAGES).transpose(1, 2)]
    match kind:
        case "npy":
            return (
                "arrays",
                "a.npy",
                [npy(IMAGES), npy(IMAGES / 255), npy(np.asfortranarray(IMAGES)), npy(IMAGES.astype(np.int8)[..., None])],
            )
        case "npz":
            return "arrays", "a.npz", [npz(x=IMAGES, y=LABELS), npz(x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:4], y_test=LABELS[:4])]
        case "pt":
            return "tensors", "a.pt", [pt(tensor, False) for tensor in tensors]
        case "legacy pt":
            return "tensors", "a.pt", [pt(tensor, True) for tensor in tensors]
        case "cifar":
            return "cifar", "data_batch_1", [batch(protocol) for protocol in (0, 2, 4)]
        case "idx":
            return "idx", "train-images-idx3-ubyte", [idx(IMAGES)]
        case "idx.gz":
            return "idx", "train-images-idx3-ubyte.gz", [gzip.compress(idx(IMAGES), mtime=0)]
        case "labels":
            words, rows = np.array(["cat", "dog", "owl"])[LABELS], np.eye(3)[LABELS]
            return "arrays", "a.npz", [npz(x=IMAGES, y=words), npz(x=IMAGES, y=rows), npz(x=IMAGES, y=LABELS - 1.0)]
        case "zip":
            return "packed", "a.zip", [packed("zip")]
        case "tar":
            return "packed", "a.tar", [packed("tar")]
        case "mat":
            return "matlab", "a.mat", [mat(False), mat(True)]
        case "pixels":
            rows = [
                f"{n},{' '.join(map(str, image.reshape(-1)))},{'Training' if n % 3 else 'PrivateTest'}" for n, image in enumerate(IMAGES)
            ]
            return "pixel_table", "a.csv", ["\n".join(["emotion,pixels,Usage", *rows]).encode()]
        case "parquet":
            return "parquet", "a.parquet", [parquet("snappy"), parquet("none")]
        case "dicom":
            return "packed", "a.zip", [photographs()]
        case "hdf5":
            return "hdf5", "a.h5", [hdf5(False), hdf5(True)]
        case _:
            return "text", "a.txt", [b"Some words of a text, \xc3\xa4 and others.\n" * 20]


KINDS = (
    "npy",
    "npz",
    "pt",
    "legacy pt",
    "cifar",
    "idx",
    "idx.gz",
    "text",
    "labels",
    "zip",
    "tar",
    "mat",
    "pixels",
    "parquet",
    "hdf5",
    "dicom",
)


def mutated(originals: list[bytes], kind: str, number: int) -> bytes:
    """One to three changes: bits, numbers, cuts, repeats, holes, pieces of others, deep nesting, and archives written anew around them."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), number])
    data = bytearray(originals[number % len(originals)])
    if kind in ("npz", "pt", "labels", "zip", "dicom") and number % 2:
        return rezipped(bytes(data), rng)
    if kind == "idx.gz" and number % 2:
        return gzip.compress(changed(bytearray(gzip.decompress(bytes(data))), originals, rng), mtime=0)
    for _ in range(int(rng.integers(1, 4))):
        data = bytearray(changed(data, originals, rng))
    return bytes(data)


def rezipped(data: bytes, rng: np.random.Generator) -> bytes:
    """The archive with one changed entry, its checksums right: so that what is behind them is reached."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        chosen = int(rng.integers(len(old.infolist())))
        for place, entry in enumerate(old.infolist()):
            content = old.read(entry)
            new.writestr(entry.filename, changed(bytearray(content), [content], rng) if place == chosen else content, entry.compress_type)
    return buffer.getvalue()


def changed(data: bytearray, originals: list[bytes], rng: np.random.Generator) -> bytes:
    size = max(1, len(data))
    head = min(size, 200)  # headers are where the meaning is
    place = int(rng.integers(head if rng.random() < 0.6 else size))
    match int(rng.integers(9)):
        case 0:
            data[place : place + 1] = bytes([data[place] ^ (1 << int(rng.integers(8)))]) if data else b""
        case 1:
            data[place : place + 1] = bytes([int(rng.integers(256))])
        case 2:
            value, width = NUMBERS[int(rng.integers(len(NUMBERS)))], int(rng.choice((1, 2, 4, 8)))
            data[place : place + width] = (value & (256**width - 1)).to_bytes(width, "little" if rng.random() < 0.5 else "big")
        case 3:
            del data[place:]
        case 4:
            del data[place : place + int(rng.integers(1, 64))]
        case 5:
            data[place:place] = data[place : place + int(rng.integers(1, 64))] * int(rng.integers(1, 100))
        case 6:
            other = originals[int(rng.integers(len(originals)))]
            start = int(rng.integers(len(other)))
            data[place : place + 64] = other[start : start + 64]
        case 7:
            data[place:place] = bytes(
                rng.choice(list(b"()[]}{.0N\x85\x86\x87eaus(tR2hbq\x81\x93"), int(rng.integers(1, 40))).astype(np.uint8)
            )
        case _:
            data[place:place] = bytes([int(rng.choice(list(b"(]}\x85[-")))]) * int(rng.choice((30, 3_000, 200_000)))
    return bytes(data)


def outcome(reader: str, path: Path) -> str:
    """ "" when it was opened, else the sentence."""
    steps = read_file(reader, path, ImportRecipe())
    try:
        while True:
            next(steps)
    except StopIteration as end:
        assert isinstance(end.value, Source)
        return ""
    except BadData as error:
        assert "unforeseen" not in str(error), "an exception that the reader does not know"
        return look_at(str(error))


def fuzz(kind: str, folder: Path, many: bool) -> None:
    reader, name, originals = seeds(kind)
    path = folder / name
    named = folder if reader in ("cifar", "idx") else path
    for original in originals:
        path.write_bytes(original)
        assert outcome(reader, named) == "", "a seed must open"
    before = psutil.Process().memory_info().rss
    opened, tried, slowest = 0, 0, 0.0
    for number in numbers(many):
        path.write_bytes(mutated(originals, kind, number))
        started = time.perf_counter()
        opened += outcome(reader, named) == ""
        slowest = max(slowest, time.perf_counter() - started)
        tried += 1
    print(f"{kind}: {tried} mutated files tried, {opened} opened, slowest {slowest:.2f} s")
    assert opened >= tried * OPENED_AT_LEAST
    assert psutil.Process().memory_info().rss - before < 300 << 20


@pytest.mark.parametrize("kind", KINDS)
def test_that_some_mutated_files_are_opened_or_refused_in_a_sentence(tmp_path, kind):
    fuzz(kind, tmp_path, many=False)


@pytest.mark.slow
@pytest.mark.timeout(max(900, ALL))
@pytest.mark.parametrize("kind", KINDS)
def test_that_many_mutated_files_are_opened_or_refused_in_a_sentence(tmp_path, kind):
    fuzz(kind, tmp_path, many=True)
