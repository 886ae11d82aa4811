"""The five data sets that come with the program's own dependencies: no download, no foreign file."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Generator
from pathlib import Path

import numpy as np

from engine.data import moving_shapes, shapes
from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.limits import MAX_CLIPS, MAX_SHAPES, MIN_IMAGES
from engine.messages import DataInfo

DEFAULT_SHAPES = 10_000
DEFAULT_CLIPS = 1_000
PHOTOGRAPHS = ("china", "flower")
PATCH = 32  # pixels
TILE = 64  # pixels; patches of one tile stay in one split
STRIDE = 4  # pixels between neighbouring patches
TILE_SEED = 7
TILE_SHARE = 0.2  # of the tiles, for validation and for test: fewer than 20 independent tiles could not show a p-value below .05


def built_in() -> tuple[DataInfo, ...]:
    """What can be trained on without any file."""
    return (
        DataInfo("digits", "digits", "images", "1,797 · 8×8 grey · built in", True, 1455, ("classes",), True),
        DataInfo("shapes", "shapes", "images", f"{DEFAULT_SHAPES:,} · 32×32 colour · built in", True, has=("classes", "captions")),
        DataInfo(
            "moving-shapes",
            "moving-shapes",
            "images",
            f"{DEFAULT_CLIPS:,} clips · 16×16 grey · built in",
            True,
            has=("classes", "frames"),
            grey=True,
        ),
        DataInfo("photo-patches", "photo-patches", "images", "9,720 · 32×32 colour · built in", True, has=("classes",)),
        DataInfo("pydoc-text", "pydoc-text", "text", "Python’s own help texts · built in", True, has=()),
    )


def is_built_in(data: str) -> bool:
    """Whether a data set comes with the program."""
    return data.split(":")[0] in {info.data for info in built_in()}


def read(data: str) -> Generator[Step, None, Source]:
    """The source named “digits”, “shapes”, “shapes:50000”, “moving-shapes”, “moving-shapes:2000”, “photo-patches” or “pydoc-text”.

    Raises:
        BadData: a number of images that cannot be had.
    """
    name, _, number = data.partition(":")
    if name == "shapes":
        return (yield from shapes.read(_number(data, number, DEFAULT_SHAPES, MAX_SHAPES, "images")))
    if name == "moving-shapes":
        return (yield from moving_shapes.read(_number(data, number, DEFAULT_CLIPS, MAX_CLIPS, "clips")))
    if number:
        raise BadData(f"“{data}” is no data set: only “shapes” and “moving-shapes” take a number; say “{name}”.")
    return (yield from {"digits": _digits, "photo-patches": _photo_patches, "pydoc-text": _pydoc_text}[name]())


def _number(data: str, number: str, default: int, most: int, what: str) -> int:
    """How many `what` are drawn. Raises: BadData."""
    if not number:
        return default
    if not number.isascii() or not number.isdigit() or not MIN_IMAGES <= int(number) <= most:
        name = data.partition(":")[0]
        raise BadData(f"“{data}” is no data set; give a number of {what} from {MIN_IMAGES} to {most:,}, as in “{name}:{5 * default}”.")
    return int(number)


def _digits() -> Generator[Step, None, Source]:
    """Alpaydin and Kaynak's handwritten digits as in scikit-learn: 8×8, values 0..16."""
    yield Step(0, 1797, "image")
    with gzip.open(_from_sklearn("digits.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)  # [1797, 65], the label last
    images = ((table[:, :64] * 255 + 8) // 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    part = Part(images, table[:, 64].copy(), Numbered("digit", np.arange(len(table))))
    return Source("digits", {"all": part}, tuple("0123456789"), notes=["Values 0..16 were scaled to 0..255."])


def _photo_patches() -> Generator[Step, None, Source]:
    """Patches of scikit-learn's two photographs. A patch lies within one tile, and a tile within one split."""
    from engine.data.decoder import read_image

    found: dict[str, list[Part]] = {"train": [], "valid": [], "test": []}
    tiles = 0
    for label, name in enumerate(PHOTOGRAPHS):
        pixels = read_image(_from_sklearn(f"{name}.jpg")).pixels
        yield Step(label + 1, len(PHOTOGRAPHS), "photograph")
        corners = [(y, x) for y in range(0, pixels.shape[0] - TILE + 1, TILE) for x in range(0, pixels.shape[1] - TILE + 1, TILE)]
        order = np.random.default_rng([TILE_SEED, label]).permutation(len(corners))
        some = max(1, round(len(corners) * TILE_SHARE))
        for place, tile in enumerate(order):
            split = "test" if place < some else "valid" if place < 2 * some else "train"
            y, x = corners[tile]
            windows = np.lib.stride_tricks.sliding_window_view(pixels[y : y + TILE, x : x + TILE], (PATCH, PATCH), axis=(0, 1))
            patches = windows[::STRIDE, ::STRIDE].reshape(-1, 3, PATCH, PATCH)  # [rows, columns, 3, 32, 32] before
            steps = range(0, TILE - PATCH + 1, STRIDE)
            names = [f"{name} at {x + dx}, {y + dy}" for dy in steps for dx in steps]
            labels, groups = (np.full(len(patches), number, np.int64) for number in (label, tiles + place))
            found[split].append(Part(patches, labels, names, groups))
        tiles += len(corners)
    parts = {split: _in_one(some) for split, some in found.items()}
    counts = ", ".join(
        f"{len(found[split])} for {what}" for split, what in (("train", "training"), ("valid", "validation"), ("test", "test"))
    )
    note = (
        f"Both photographs were cut into {tiles} tiles of {TILE}×{TILE} pixels. A tile lies whole in one split, so none overlap across "
        f"splits: {counts}. Patches of one tile overlap, so only so many are independent."
    )
    return Source("photo-patches", parts, PHOTOGRAPHS, notes=[note])


def _in_one(parts: list[Part]) -> Part:
    """The images of several parts that have labels and groups, one after the other."""
    labels, groups = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "groups"))
    return Part(np.concatenate([part.images for part in parts]), labels, [name for part in parts for name in part.names], groups)


def _pydoc_text() -> Generator[Step, None, Source]:
    from pydoc_data.topics import topics

    yield Step(0, len(topics), "topic")
    text = "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"
    note = "The help texts of the Python that is running; another version of Python has other texts."
    return Source("pydoc-text", text=text.encode("utf-8"), notes=[note])


def _from_sklearn(file: str) -> Path:
    """A data file of scikit-learn, found without importing it (which takes a second)."""
    spec = importlib.util.find_spec("sklearn")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    for folder in folders:
        for path in (Path(folder) / "datasets" / "data" / file, Path(folder) / "datasets" / "images" / file):
            if path.is_file():
                return path
    raise BadData(f"scikit-learn’s file {file} is missing; set the program up again with “python3 run.py”.")
