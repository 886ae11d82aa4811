"""Small data sets as people bring them, one folder or file for each kind, with the pixels told apart by class."""

from __future__ import annotations

import gzip
import json
import struct
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

LEVELS = {"cats": 60, "dogs": 190}  # the mean grey of a class, so that a test can tell by the pixels what a picture was


def picture(rng: np.random.Generator, mean: int = 128, side: int = 16, channels: int = 3) -> np.ndarray:
    """Noise uint8 [side, side, channels] around a grey, no two alike."""
    values = rng.integers(max(0, mean - 40), min(255, mean + 40), (side, side, channels), dtype=np.uint8)
    return values if channels > 1 else values[:, :, 0]


def save(path: Path, pixels: np.ndarray) -> Path:
    """One picture in a format by its ending, with the folders around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(
    root: Path, names: Iterable[str] = ("cats", "dogs"), splits: Iterable[str] = ("",), count: int = 6, form: str = ""
) -> Path:
    """`count` pictures in each SPLIT/CLASS."""
    rng = np.random.default_rng(len(str(root.name)))
    for split in splits:
        for name in names:
            folder = unicodedata.normalize(form, name) if form else name  # type: ignore[arg-type]
            for n in range(count):
                save(root / split / folder / f"{n}.png", picture(rng, LEVELS.get(name.lower(), 128)))
    return root


def flat(root: Path, names: Iterable[str]) -> Path:
    """Pictures of these names in one folder: grey as cats where the name’s number is odd, as dogs where it is even."""
    rng = np.random.default_rng(1)
    for name in names:
        number = int("".join(c for c in Path(name).stem if c.isdigit()) or 0)
        save(root / name, picture(rng, LEVELS["cats" if number % 2 else "dogs"]))
    return root


def write_csv(path: Path, head: str, rows: Iterable[str]) -> None:
    """A table with a head."""
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_idx(path: Path, array: np.ndarray) -> None:
    """An IDX file by its definition, gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + np.ascontiguousarray(array, np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
