"""Small valid files of every kind that is read: what the fuzz tests mutate."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pillow_heif
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy.io import savemat

from tests.kit.fuzzing import Tree, tarred, zipped

IMAGES = np.random.default_rng(7).integers(0, 256, (12, 8, 8), dtype=np.uint8)
LABELS = np.arange(12) % 3
PHOTO = np.random.default_rng(11).integers(0, 256, (40, 30, 3), dtype=np.uint8)


# -- arrays --------------------------------------------------------------------------------------------------------------


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


def _tensors(legacy: bool) -> list[bytes]:
    images, labels = torch.from_numpy(IMAGES), torch.from_numpy(LABELS)
    return [pt(value, legacy) for value in (images, (images, labels), images.transpose(1, 2))]


def batch(protocol: int) -> bytes:
    table = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3], b"batch_label": b"one", b"more": (1.5, None, {1: [True]})}
    return pickle.dumps(table, protocol)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def mat(compressed: bool) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"X": np.repeat(IMAGES.transpose(1, 2, 0)[:, :, None], 3, 2), "y": LABELS[:, None]}, do_compression=compressed)
    return buffer.getvalue()


def mat_structs(compressed: bool) -> bytes:
    """Annotations as those of Stanford Cars."""
    rows = np.zeros((1, 12), dtype=[("bbox_x1", object), ("class", object), ("fname", object)])
    for n in range(12):
        rows[0, n] = (n, LABELS[n] + 1, f"{n}.png")
    names = np.empty((1, 3), object)
    names[0] = ["AM General", "Acura", "Audi"]
    buffer = io.BytesIO()
    savemat(buffer, {"annotations": rows, "class_names": names}, do_compression=compressed)
    return buffer.getvalue()


def mat_73() -> bytes:
    """HDF5 below the header of MATLAB."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        for name, array, kind in (("X", IMAGES, b"uint8"), ("y", LABELS[None].astype(np.float64), b"double")):
            file.create_dataset(name, data=array).attrs["MATLAB_class"] = np.bytes_(kind)
        cells = file.create_dataset("names", (1, 3), h5py.ref_dtype)
        for n, word in enumerate(("cat", "dog", "owl")):
            text = file.create_dataset(f"#refs#/{n}", data=np.array([[ord(c)] for c in word], np.uint16))
            text.attrs["MATLAB_class"] = np.bytes_(b"char")
            cells[0, n] = text.ref
        cells.attrs["MATLAB_class"] = np.bytes_(b"cell")
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    return head + buffer.getvalue()[128:]


def hdf5(packed: bool) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("x", data=IMAGES, **({"chunks": (5, 8, 8), "compression": "gzip"} if packed else {}))
        file["y"] = LABELS
    return buffer.getvalue()


def hdf5_of_words() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        group = file.create_group("train")
        group.create_dataset("images", data=IMAGES[..., None], chunks=(3, 8, 8, 1), shuffle=True, fletcher32=True)
        group.create_dataset("labels", data=["cat", "dog", "owl"] * 4)
        file["again"] = h5py.SoftLink("/train/images")
    return buffer.getvalue()


def pixels(sign: str = ",") -> bytes:
    """A table as FER2013's."""
    rows = [
        sign.join((str(n % 3), " ".join(map(str, one.reshape(-1))), ("Training", "PrivateTest")[n % 4 == 3]))
        for n, one in enumerate(IMAGES)
    ]
    return "\n".join([sign.join(("emotion", "pixels", "Usage")), *rows]).encode()


# -- pictures ------------------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def pictures() -> list[bytes]:
    """Of the formats that Pillow reads by itself."""
    photo, rng = Image.fromarray(PHOTO), np.random.default_rng(12)
    grey16 = Image.fromarray(rng.integers(0, 65536, (20, 20)).astype(np.uint16))
    alpha = Image.fromarray(rng.integers(0, 256, (20, 20, 4), dtype=np.uint8), "RGBA")
    frames = [Image.new("P", (12, 12), n) for n in range(3)]
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(photo),
        encoded(photo, "JPEG", exif=exif),
        encoded(photo.convert("CMYK"), "JPEG"),
        encoded(photo, "BMP"),
        encoded(photo, "TIFF", compression="tiff_lzw"),
        encoded(grey16),
        encoded(alpha, "WEBP"),
        encoded(photo.quantize(16), "PNG"),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encoded(photo, "JPEG2000"),
        encoded(alpha, "SGI"),
        encoded(Image.new("1", (1, 65500)), "TIFF", compression="group4"),
    ]


def heif() -> list[bytes]:
    pillow_heif.register_heif_opener()
    photo = Image.fromarray(np.repeat(np.repeat(PHOTO, 2, 0), 2, 1))
    return [encoded(photo, "HEIF"), encoded(photo.convert("L"), "HEIF"), encoded(photo.convert("RGBA"), "HEIF", quality=-1)]


def avif() -> list[bytes]:
    photo = Image.fromarray(PHOTO)
    return [encoded(photo, "AVIF"), encoded(photo.convert("RGBA"), "AVIF"), encoded(photo, "AVIF", save_all=True, append_images=[photo])]


def dicom(number: int = 0, frames: int = 1, colour: bool = False) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2", f"1.2.{number}"
    slice_ = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    slice_.Rows, slice_.Columns, slice_.SamplesPerPixel = 8, 8, 3 if colour else 1
    slice_.PhotometricInterpretation = "RGB" if colour else "MONOCHROME1"
    bits, stored = (8, 8) if colour else (16, 12)
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = bits, stored, stored - 1, 0
    if colour:
        slice_.PlanarConfiguration = 0
    else:
        slice_.RescaleSlope, slice_.RescaleIntercept, slice_.WindowCenter, slice_.WindowWidth = "2", "-10", "100", "50"
    if frames > 1:
        slice_.NumberOfFrames = frames
    one = np.repeat(IMAGES[number][..., None], 3, 2) if colour else IMAGES[number].astype(np.uint16)
    slice_.PixelData = one.tobytes() * frames
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, slice_, enforce_file_format=True)
    return buffer.getvalue()


# -- tables of pictures --------------------------------------------------------------------------------------------------


def parquet(compression: str = "snappy", plain: bool = False, change: Callable[[bytes], bytes] = bytes) -> bytes:
    """A table as the Hub keeps them; `change`: what is done to the fourth picture's bytes and to the schema's metadata."""
    files = [encoded(Image.fromarray(image)) for image in IMAGES]
    files[3] = change(files[3])
    images = files if plain else [{"bytes": file, "path": f"{n}.png"} for n, file in enumerate(files)]
    features = {"info": {"features": {"label": {"names": ["a", "b", "c"], "_type": "ClassLabel"}}}}
    table = pa.table({"image": images, "label": LABELS, "word": [str(n) for n in LABELS], "split": ["train", "test"] * 6})
    buffer = io.BytesIO()
    table = table.replace_schema_metadata({"huggingface": change(json.dumps(features).encode())})
    pq.write_table(table, buffer, row_group_size=5, compression=compression)
    return buffer.getvalue()


# -- trees of files ------------------------------------------------------------------------------------------------------

_PNG = [encoded(Image.fromarray(image)) for image in IMAGES]
_GIF = encoded(Image.fromarray(IMAGES[0]), "GIF", save_all=True, append_images=[Image.fromarray(image) for image in IMAGES[1:7]])
_LISTED = "\n".join(f"{n}.png {LABELS[n] + 1}" for n in range(12))
TREES: tuple[Tree, ...] = (
    {"meta.csv": b"file,label\n" + b"".join(b"%d.png,%d\n" % (n, n % 2) for n in range(6))}
    | {f"{'ab'[n % 2]}/{n}.png": _PNG[n] for n in range(6)},
    {f"set/{('train', 'val', 'test')[n % 3]}/{'ab'[n // 3 % 2]}/{n}.png": _PNG[n] for n in range(12)},
    {f"images/{n}.png": _PNG[n] for n in range(12)}
    | {f"masks/{n}.png": _PNG[0] for n in range(3)}
    | {"train.txt": "\n".join(f"{n}.png" for n in range(8)).encode(), "test.txt": "\n".join(f"{n}.png" for n in range(8, 12)).encode()},
    {f"cars/{n}.png": _PNG[n] for n in range(12)} | {"devkit/cars_annos.mat": mat_structs(False), "README.md": b"Cars."},
    {f"data/{n:03}.png": _PNG[n] for n in range(6)} | {f"data/{n:03}.cls": str(LABELS[n]).encode() for n in range(6)},
    {f"{n}.png": _PNG[n] for n in range(12)}
    | {"metadata.jsonl": "\n".join(json.dumps({"file_name": f"{n}.png", "label": "abc"[LABELS[n]]}) for n in range(12)).encode()},
    {f"films/{'ab'[n // 6]}/{n}.png": _PNG[n] for n in range(12)} | {"films/c.gif": _GIF},
    {f"{n}.png": _PNG[n] for n in range(12)} | {"list.txt": _LISTED.encode(), "x/c.dcm": dicom(1, 2)},
)


# -- all files that a reader opens ---------------------------------------------------------------------------------------


def _words() -> list[bytes]:
    words, rows = np.array(["cat", "dog", "owl"])[LABELS], np.eye(3)[LABELS]
    return [npz(x=IMAGES, y=words), npz(x=IMAGES, y=rows), npz(x=IMAGES, y=LABELS - 1.0)]


def _npy() -> list[bytes]:
    return [npy(IMAGES), npy(IMAGES / 255), npy(np.asfortranarray(IMAGES)), npy(IMAGES.astype(np.int8)[..., None])]


def _split_npz() -> bytes:
    return npz(x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:4], y_test=LABELS[:4])


def _stl10() -> Tree:
    rng = np.random.default_rng(1)
    images = {f"{split}_X.bin": rng.integers(0, 256, (4, 3, 96, 96), np.uint8).tobytes() for split in ("train", "test")}
    labels = {f"{split}_y.bin": bytes((1, 2, 1, 2)) for split in ("train", "test")}
    return images | labels | {"class_names.txt": b"airplane\nbird\n"}


SEEDS: dict[str, tuple[str, str, Callable[[], list[bytes]]]] = {  # kind -> (reader, name of the file, valid contents)
    "npy": ("arrays", "a.npy", _npy),
    "npz": ("arrays", "a.npz", lambda: [npz(x=IMAGES, y=LABELS), _split_npz()]),
    "labels": ("arrays", "a.npz", _words),
    "pt": ("tensors", "a.pt", lambda: _tensors(False)),
    "legacy pt": ("tensors", "a.pt", lambda: _tensors(True)),
    "cifar": ("cifar", "data_batch_1", lambda: [batch(protocol) for protocol in (0, 2, 4)]),
    "idx": ("idx", "train-images-idx3-ubyte", lambda: [idx(IMAGES)]),
    "idx.gz": ("idx", "train-images-idx3-ubyte.gz", lambda: [gzip.compress(idx(IMAGES), mtime=0)]),
    "text": ("text", "a.txt", lambda: [b"Some words of a text, \xc3\xa4 and others.\n" * 20]),
    "mat": ("matlab", "a.mat", lambda: [mat(False), mat(True)]),
    "mat 7.3": ("hdf5", "a.mat", lambda: [mat_73()]),
    "hdf5": ("hdf5", "a.h5", lambda: [hdf5(False), hdf5(True), hdf5_of_words()]),
    "pixels": ("pixel_table", "a.csv", lambda: [pixels(), pixels(";")]),
    "parquet": ("parquet", "a.parquet", lambda: [parquet(), parquet("none"), parquet("gzip", True)]),
    "parquet within": ("parquet", "a.parquet", lambda: [parquet()]),
    "zip": ("packed", "a.zip", lambda: [zipped(TREES[0]), zipped(TREES[1])]),
    "tar": ("packed", "a.tar", lambda: [tarred(TREES[0]), tarred(TREES[1])]),
    "tar.gz": ("packed", "a.tar.gz", lambda: [gzip.compress(tarred(TREES[0]), mtime=0)]),
    "tar.xz": ("packed", "a.tar.xz", lambda: [tarred(TREES[0], "w:xz")]),
}  # fmt: skip
STL10 = _stl10()
