"""IDX files, plain or gzipped: MNIST, Fashion-MNIST and their relatives (format: yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Generator
from pathlib import Path

import numpy as np

from engine.data.dataset import BadData, Numbered, Part, Source, Step, Wish
from engine.data.limits import MAX_SET_BYTES

_NAME = re.compile(r"(?P<split>train|t10k|test|valid|val)[-_.](?P<what>images|labels)[-_.]idx[13][-_]ubyte(?P<gz>\.gz)?", re.IGNORECASE)
_SPLITS = {"train": "train", "t10k": "test", "test": "test", "valid": "valid", "val": "valid"}
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_CHUNK = 1 << 20  # bytes unpacked between two steps of progress
_FRIENDLY = {"mnist": "mnist", "fashionmnist": "fashion-mnist", "kmnist": "kmnist", "qmnist": "qmnist"}


def recognizes(path: Path) -> bool:
    """Whether there are IDX files of images."""
    return bool(_files(path))


def summary(path: Path) -> str:
    """Number, size and kind, as the list of data sets shows them."""
    files = _files(path)
    total, size = 0, ""
    for name in ("train", "test", "valid"):
        images = files.get((name, "images"))
        if images is not None:
            with gzip.open(images) if images.suffix.lower() == ".gz" else images.open("rb") as file:
                header = file.read(16)
            if len(header) == 16:
                count, height, width = struct.unpack(">3I", header[4:])
                total, size = total + count, f"{width}×{height} grey"
    return f"{total:,} · {size} · IDX"


def read(path: Path, wish: Wish) -> Generator[Step, None, Source]:
    """All images and labels of the folder. Raises BadData for a damaged or incomplete set."""
    files = _files(path)
    name = _set_name(path)
    parts: dict[str, Part] = {}
    notes: list[str] = []
    for split in ("train", "valid", "test"):
        image_file = files.get((split, "images"))
        if image_file is None:
            continue
        images = yield from _read(image_file, 3)
        labels = None
        label_file = files.get((split, "labels"))
        if label_file is None:
            notes.append(f"There is no label file beside {image_file.name}, so the {split} images have no classes.")
        else:
            labels = (yield from _read(label_file, 1)).astype(np.int64)
            if len(labels) != len(images):
                counts = f"{len(labels):,} labels for the {len(images):,} images of {image_file.name}"
                raise BadData(f"{label_file.name} has {counts}; download both files again.")
        parts[split] = Part(images[:, None], labels, Numbered(f"{split} image", np.arange(len(images))))
    if not parts:
        raise BadData(f"“{path.name}” has IDX labels but no IDX images; add the file train-images-idx3-ubyte.gz.")
    if len({part.images.shape[1:] for part in parts.values()}) > 1:
        raise BadData(f"The training and test images of “{path.name}” differ in size; put files of one data set into the folder.")
    if any(part.labels is None for part in parts.values()):
        for part in parts.values():
            part.labels = None
    if "train" not in parts:
        notes.append("There is no file of training images, so the images to train on were taken from the others.")
    return Source(name, parts, _classes(name, parts), notes=notes)


def _files(path: Path) -> dict[tuple[str, str], Path]:
    """(split, "images" | "labels") -> file, in the folder, its `raw`, or beside a file that is named itself."""
    if path.is_file():
        return _files(path.parent) if _NAME.fullmatch(path.name) else {}
    for folder in (path, path / "raw", path / "MNIST" / "raw"):
        found: dict[tuple[str, str], Path] = {}
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for file in entries:  # a plain file sorts before its .gz and wins
            match = _NAME.fullmatch(file.name)
            if match and file.is_file():
                found.setdefault((_SPLITS[match["split"].lower()], match["what"].lower()), file)
        if found:
            return found
    return {}


def _set_name(path: Path) -> str:
    folder = path.parent if path.is_file() else path
    folder = folder.resolve()
    if folder.name.lower() == "raw":
        folder = folder.parent
    return _FRIENDLY.get(re.sub(r"[^a-z]", "", folder.name.lower()), folder.name)


def _classes(name: str, parts: dict[str, Part]) -> tuple[str, ...]:
    labels = [part.labels for part in parts.values() if part.labels is not None and len(part.labels)]
    if not labels:
        return ()
    highest = max(int(some.max()) for some in labels)
    if name == "fashion-mnist" and highest < len(_FASHION):
        return _FASHION
    return tuple(str(number) for number in range(max(highest + 1, 10)))


def _read(path: Path, dimensions: int) -> Generator[Step, None, np.ndarray]:
    """uint8 array of `dimensions`. Memory is taken only as the bytes really arrive."""
    with path.open("rb") as file:
        stream = _unpacked(file, path.name) if path.suffix.lower() == ".gz" else iter(lambda: file.read(_CHUNK), b"")
        data = bytearray()
        expected: int | None = None
        shape: tuple[int, ...] = ()
        start = 4 + 4 * dimensions
        for chunk in stream:
            data += chunk
            if expected is None and len(data) >= start:
                shape = _shape(bytes(data[:start]), dimensions, path.name)
                expected = start + int(np.prod(shape, dtype=object))
                if expected > MAX_SET_BYTES:
                    raise BadData(
                        f"{path.name} announces {expected / 2**30:,.0f} GB, more than can be held; download it again or use a part of it."
                    )
            if expected is not None and len(data) > expected:
                raise BadData(f"{path.name} holds more bytes than its header announces; download it again.")
            yield Step(len(data), expected, "byte", f"Reading {path.name}")
    if expected is None or len(data) < expected:
        raise BadData(f"{path.name} ends too early ({len(data):,} of {expected or start:,} bytes); download it again.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _shape(header: bytes, dimensions: int, name: str) -> tuple[int, ...]:
    if header[:4] != bytes((0, 0, 8, dimensions)):
        what = "images" if dimensions == 3 else "labels"
        raise BadData(
            f"{name} is no IDX file of {what} (it begins with {header[:4].hex(' ')}, not 00 00 08 0{dimensions}); download it again."
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if 0 in shape:
        raise BadData(f"{name} announces no images; download it again.")
    return shape


def _unpacked(file, name: str) -> Generator[bytes, None, None]:  # type: ignore[no-untyped-def]
    """The bytes of a gzip file in pieces of at most `_CHUNK`."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        while not unpack.eof:
            packed = unpack.unconsumed_tail or file.read(_CHUNK)
            if not packed:
                raise BadData(f"{name} is cut off in the middle; download it again.")
            yield unpack.decompress(packed, _CHUNK)
    except zlib.error:
        raise BadData(f"{name} is damaged (it cannot be unpacked); download it again.") from None
