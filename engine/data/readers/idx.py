"""IDX files, plain or gzipped: MNIST, Fashion-MNIST and their relatives (format: yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from engine.common.counting import number_of
from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.limits import MAX_GZIP_RATIO, MAX_SET_BYTES, MIB
from engine.data.path_words import SPLIT_WORDS
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, promised

_NAME = re.compile(
    r"(?:(?P<prefix>[\w-]{1,60})[-_.])?(?P<split>train|t10k|test|valid|val)[-_.](?P<what>images|labels)[-_.]idx[13][-_]ubyte(?P<gz>\.gz)?",
    re.IGNORECASE,
)
_SPLITS = {**SPLIT_WORDS, "t10k": "test"}
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_EMNIST = {  # names of the classes, in order (Cohen et al. 2017)
    "letters": _UPPER,
    "digits": "0123456789",
    "mnist": "0123456789",
    "byclass": "0123456789" + _UPPER + _LOWER,
    "bymerge": "0123456789" + _UPPER + "abdefghnqrt",
    "balanced": "0123456789" + _UPPER + "abdefghnqrt",
}
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


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """All images and labels of the folder. Raises BadData for a damaged or incomplete set."""
    files = _files(path)
    name = _set_name(path)
    parts: dict[str, Part] = {}
    notes: list[str] = []
    for split in ("train", "valid", "test"):
        image_file = files.get((split, "images"))
        if image_file is None:
            continue
        count, height, width = yield from _images(image_file, split)
        labels = None
        label_file = files.get((split, "labels"))
        if label_file is None:
            notes.append(f"There is no label file beside {image_file.name}, so the {split} images have no classes.")
        else:
            labels = (yield from _labels(label_file)).astype(np.int64)
            if len(labels) != count:
                counts = f"{number_of(len(labels), 'label')} for the {number_of(count, 'image')} of {image_file.name}"
                raise BadData(f"{label_file.name} has {counts}; download both files again.")
        if _is_emnist(image_file):
            height, width = width, height
        parts[split] = Part(promised(count, 1, height, width), labels, Numbered(f"{split} image", np.arange(count)))
    if not parts:
        raise BadData(f"“{path.name}” has IDX labels but no IDX images; add the file train-images-idx3-ubyte.gz.")
    if len({part.images.shape[1:] for part in parts.values()}) > 1:
        raise BadData(f"The training and test images of “{path.name}” differ in size; put files of one data set into the folder.")
    if any(part.labels is None for part in parts.values()):
        for part in parts.values():
            part.labels = None
    if any(_is_emnist(file) for file in files.values()):
        notes.append("EMNIST stores its images lying on their side; they were stood upright.")
    others = sorted(_prefixes(path) - {_prefix(file) for file in files.values()})
    if others:
        notes.append(f"Files of other sets lie beside these and were left out: {', '.join(others)}; name one of their files to open them.")
    if "train" not in parts:
        notes.append("There is no file of training images, so the images to train on were taken from the others.")
    return Source(name, parts, _classes(name, parts, next(iter(files.values()))), notes=notes)


def files(path: Path) -> list[Path]:
    """All files of the set that one of them belongs to."""
    return list(_files(path).values())


def _files(path: Path) -> dict[tuple[str, str], Path]:
    """(split, "images" | "labels") -> file, in the folder, its `raw`, or beside a file that is named itself."""
    if path.is_file():
        return _files_in(path.parent, _prefix(path)) if _NAME.fullmatch(path.name) else {}
    for folder in (path, path / "raw", path / "MNIST" / "raw"):
        prefixes = _prefixes_in(folder)
        if prefixes:
            return _files_in(folder, min(prefixes))
    return {}


def _files_in(folder: Path, prefix: str) -> dict[tuple[str, str], Path]:
    """The files of one set: several lie in one folder where its files are called emnist-letters-train-…, emnist-digits-train-…"""
    found: dict[tuple[str, str], Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return {}
    for file in entries:  # a plain file sorts before its .gz and wins
        match = _NAME.fullmatch(file.name)
        if match and (match["prefix"] or "").lower() == prefix and file.is_file():
            found.setdefault((_SPLITS[match["split"].lower()], match["what"].lower()), file)
    return found


def _prefix(file: Path) -> str:
    """What stands before the split in a file's name, in lower case."""
    match = _NAME.fullmatch(file.name)
    return "" if match is None else (match["prefix"] or "").lower()


def _prefixes_in(folder: Path) -> set[str]:
    try:
        return {_prefix(file) for file in folder.iterdir() if _NAME.fullmatch(file.name) and file.is_file()}
    except OSError:
        return set()


def _prefixes(path: Path) -> set[str]:
    """Of all sets beside the one that is read."""
    folder = next(iter(_files(path).values())).parent
    return _prefixes_in(folder)


def _is_emnist(file: Path) -> bool:
    """Whether a file is of EMNIST (Cohen et al. 2017), whose images are stored column by column."""
    return _prefix(file).startswith("emnist")


def _set_name(path: Path) -> str:
    if prefix := _prefix(next(iter(_files(path).values()))):
        return prefix
    folder = path.parent if path.is_file() else path
    folder = folder.resolve()
    if folder.name.lower() == "raw":
        folder = folder.parent
    return _FRIENDLY.get(re.sub(r"[^a-z]", "", folder.name.lower()), folder.name)


def _classes(name: str, parts: dict[str, Part], file: Path) -> tuple[str, ...]:
    """Names of the classes; labels of a set that counts from 1 are counted from 0 on."""
    labels = [part.labels for part in parts.values() if part.labels is not None and len(part.labels)]
    if not labels:
        return ()
    highest = max(int(some.max()) for some in labels)
    kind = name.removeprefix("emnist-")
    lowest = min(int(some.min()) for some in labels)
    if _is_emnist(file) and kind in _EMNIST and highest - (kind == "letters") < len(_EMNIST[kind]) and lowest >= (kind == "letters"):
        if kind == "letters":
            for part in parts.values():
                part.labels = None if part.labels is None else part.labels - 1
        return tuple(_EMNIST[kind])
    if _prefix(file) and lowest > 0:
        found = np.unique(np.concatenate(labels))
        for part in parts.values():
            part.labels = None if part.labels is None else np.searchsorted(found, part.labels)
        return tuple(str(number) for number in found)
    if name == "fashion-mnist" and highest < len(_FASHION):
        return _FASHION
    return tuple(str(number) for number in range(max(highest + 1, 10)))


def _images(path: Path, split: str) -> Generator[Step | PixelRows, None, tuple[int, int, int]]:
    """Yields the images as they arrive; returns (N, H, W)."""
    shape = (0, 0, 0)
    upright = _is_emnist(path)
    waiting = bytearray()
    for item in _numbers(path, 3):
        if isinstance(item, Step):
            yield item
        elif isinstance(item, tuple):
            shape = (item[0], item[1], item[2])
        else:
            count, height, width = shape
            waiting += item
            whole = len(waiting) // (height * width)
            if whole:
                pixels = np.frombuffer(bytes(waiting[: whole * height * width]), np.uint8)
                pixels = pixels.reshape(whole, 1, height, width)
                if upright:
                    pixels = pixels.transpose(0, 1, 3, 2)
                yield PixelRows(split, (count, 1, *pixels.shape[2:]), pixels)
                del waiting[: whole * height * width]
    return shape


def _labels(path: Path) -> Generator[Step, None, np.ndarray]:
    data = bytearray()
    for item in _numbers(path, 1):
        if isinstance(item, Step):
            yield item
        elif not isinstance(item, tuple):
            data += item
    return np.frombuffer(data, np.uint8)


def _numbers(path: Path, dimensions: int) -> Iterator[Step | tuple[int, ...] | bytes]:
    """First the shape, then the numbers piece by piece, steps in between. Raises: BadData: a header that does not fit what follows."""
    packed = path.suffix.lower() == ".gz"
    most = os.path.getsize(path) * (MAX_GZIP_RATIO if packed else 1) + MIB
    start = 4 + 4 * dimensions
    header = b""
    expected = done = 0
    with path.open("rb") as file:
        for piece in _unpacked(file, path.name) if packed else iter(lambda: file.read(_CHUNK), b""):
            done += len(piece)
            if not expected:
                header += piece
                if len(header) < start:
                    continue
                shape = _shape(header[:start], dimensions, path.name)
                expected = start + math.prod(shape)
                if expected > MAX_SET_BYTES:
                    raise BadData(
                        f"{path.name} announces {expected / 2**30:,.0f} GB, more than can be held; download it again or use a part of it."
                    )
                if expected > most:
                    raise BadData(f"{path.name} announces {expected:,} bytes, far more than a file of its size holds; download it again.")
                yield shape
                piece = header[start:]
            if done > expected:
                raise BadData(f"{path.name} holds more bytes than its header announces; download it again.")
            yield piece
            yield Step(done, expected, "byte", f"Reading {path.name}")
    if not expected or done < expected:
        raise BadData(f"{path.name} ends too early ({done:,} of {expected or start:,} bytes); download it again.")


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
