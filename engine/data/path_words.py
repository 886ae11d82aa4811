"""What the names of files and folders say: splits in their spellings, masks, litter of the system, one class in several writings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

_NO_IMAGES = frozenset((
    ".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".html", ".pdf", ".py", ".ipynb", ".db",
    ".ini", ".log", ".sh", ".m", ".mat", ".pkl", ".h5", ".hdf5", ".zip", ".tar", ".gz", ".npz", ".npy", ".pt", ".pth", ".safetensors",
    ".parquet", ".doc", ".docx", ".xls", ".xlsx", ".rtf", ".css", ".js", ".md5", ".sha256", ".bib", ".rst", ".tex", ".arff", ".mp4",
    ".avi", ".mov",
))  # fmt: skip
_NO_IMAGE_NAMES = frozenset((
    "readme", "license", "licence", "changelog", "copying", "authors", "checksums", "md5sums", "sha256sums", "makefile", "dicomdir",
))  # fmt: skip
SPLIT_WORDS = {  # without accents; the other languages are German, French, Spanish, Italian and Portuguese
    "train": "train", "training": "train", "trn": "train", "trainset": "train", "trainingset": "train",
    "test": "test", "testing": "test", "tst": "test", "testset": "test", "eval": "test", "evaluation": "test", "holdout": "test",
    "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid", "valset": "valid", "validset": "valid",
    "trainieren": "train", "trainingsdaten": "train", "testen": "test", "testdaten": "test", "prufung": "test",
    "validierung": "valid", "validierungsdaten": "valid",
    "entrainement": "train", "apprentissage": "train",
    "entrenamiento": "train", "prueba": "test", "pruebas": "test", "validacion": "valid",
    "addestramento": "train", "validazione": "valid", "treino": "train", "treinamento": "train", "teste": "test", "validacao": "valid",
}  # fmt: skip
_BESIDE = frozenset((
    "set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "split", "seg", "labels", "label", "folder", "list",
))  # fmt: skip
_MASKS = frozenset((
    "mask", "masks", "trimaps", "segmentation", "segmentations", "annotation", "annotations", "gt",
    "groundtruth", "labelmaps", "segmentationclass",
))  # fmt: skip
_IMAGES = frozenset((
    "image", "images", "img", "imgs", "picture", "pictures", "photos", "jpegimages", "jpg", "jpeg", "png", "input", "inputs",
))  # fmt: skip
_GENERIC = frozenset((
    "img", "image", "images", "dsc", "dscn", "dscf", "photo", "pic", "picture", "frame", "screenshot", "screen", "shot", "scan",
    "file", "p", "sample", "mvimg", "pxl", "wp", "gopr", "gopro", "vid", "video", "whatsapp", "snapshot", "page", "untitled", "im",
    "i", "x", "n", "id", "no", "s", "data", "item", "tile", "patch", "slice", "crop", "copy", "new", "export", "bild", "foto", "part",
    "batch", "clip", "seq", "view",
))  # fmt: skip
MASK_ENDINGS = ("_mask", "-mask", "_segmentation", "_gt", "_label", "_seg")  # of a file that is called like another but for them
LITTER = ("__MACOSX", "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "$RECYCLE.BIN", "@eaDir")


_OF_PROGRAMS = frozenset((
    ".ds_store", ".trashes", ".spotlight-v100", ".fseventsd", ".documentrevisions-v100", ".temporaryitems", ".apdisk", ".localized",
    ".directory", ".nomedia", ".thumbnails", ".cache", ".picasa.ini", ".git", ".gitattributes", ".gitignore", ".gitkeep", ".keep",
    ".ipynb_checkpoints", ".huggingface", ".idea", ".vscode",
))  # fmt: skip


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, or a system or a program leaves it: .DS_Store, ._x, __MACOSX, Thumbs.db."""
    return name.startswith(".") or name in LITTER


def is_hidden(name: str) -> bool:
    """Whether it is hidden and is not known to be of a system or a program: a person may have hidden it, or may not see it."""
    return name.startswith(".") and not name.startswith("._") and name.lower() not in _OF_PROGRAMS


def _unaccented(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))


@lru_cache(4096)
def split_word(name: str) -> str:
    """ "train", "valid" or "test" where a name means a split, in any of its spellings; "" otherwise."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _unaccented(name))  # TrainImages
    words = [word for word in re.split(r"[^a-z]+", parted.lower()) if word]
    found = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return found.pop() if len(found) == 1 and all(word in SPLIT_WORDS or word in _BESIDE for word in words) else ""


@lru_cache(4096)
def split_and_rest(name: str) -> tuple[str, str]:
    """(split, what else a name says): “cars_train” is a split of “cars”; ("", name) where no one word of it means a split."""
    words = list(re.finditer(r"[^\W_](?:(?!(?<=[a-z])[A-Z])[^\W_])*", name))  # trainA is two
    found = [(SPLIT_WORDS[plain], word) for word in words if (plain := _unaccented(word[0]).lower()) in SPLIT_WORDS]
    if len(found) != 1:
        return "", name
    ((split, word),) = found
    before, after = re.sub(r"[\W_]+$", "", name[: word.start()]), re.sub(r"^[\W_]+", "", name[word.end() :])
    return split, f"{before}_{after}" if before and after else before or after


@lru_cache(4096)
def is_mask_word(name: str) -> bool:
    """Whether a folder of that name holds masks of pictures elsewhere."""
    return re.sub(r"[^a-z]", "", name.lower()) in _MASKS


@lru_cache(4096)
def is_image_word(name: str) -> bool:
    """Whether a folder's name says only that pictures are in it."""
    return re.sub(r"[^a-z]", "", name.lower()) in _IMAGES


def folders_of(path: str) -> tuple[str, ...]:
    """The folders that a file lies in, the outermost first; one tuple for all files of a folder."""
    return _parted(path.rpartition("/")[0])


@lru_cache(65_536)
def _parted(folder: str) -> tuple[str, ...]:
    return tuple(folder.split("/")) if folder else ()


def stem_of(path: str) -> str:
    """A path without the ending of its file; as it is where the ending is none (“12.5”)."""
    head, dot, ending = path.rpartition(".")
    return head if dot and head and "/" not in ending and ending.isalnum() and not ending.isdigit() else path


@lru_cache(4096)
def class_key(name: str) -> str:
    """What is equal for all writings of one class: its case and Unicode form do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).strip().casefold())


def in_order(names: set[str]) -> list[str]:
    """Classes in the order of their numbers where all are numbers, else of their code points."""
    if names and all(re.fullmatch(r"[-+]?\d+(\.\d+)?", name) and name.isascii() for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)


def folder_levels(trails: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
    """How many folders of different names there are at each depth, the outermost first, and a few of the names."""
    levels: list[set[str]] = []
    for trail in set(trails):
        for place, name in enumerate(trail):
            if place == len(levels):
                levels.append(set())
            levels[place].add(name)
    return [{"folders": len(names), "examples": in_order(names)[:3]} for names in levels]


def class_in_name(path: str) -> str:
    """The class that a file's name begins with, before numbers: “cat.12.jpg”, “rain (3).jpg”, “CNV-101-1.jpeg”; "" where it has none.

    Digits at the word are its number, but for those of a WordNet id (n01440764_10).
    """
    stem = re.sub(r"[\W_]+$", "", stem_of(PurePosixPath(path).name))
    stem = re.sub(r"(?<=\d)[\W_]+of[\W_]+(?=\d)", " ", stem)  # 3 of 12
    if match := re.match(r"(n\d{8})(?:[\W_]+\d+)+$", stem):
        return match[1]
    match = re.fullmatch(r"(.*?[^\W\d_])(?:\d+|(?:[\W_]+\d+)+)", stem)
    return match[1] if match and is_plain_name(match[1]) else ""


def is_plain_name(name: str) -> bool:
    """Whether a name says more than that it is an image, a number or a split."""
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word]
    return bool(words) and not any(word in _GENERIC or split_word(word) for word in words)


def looks_like_a_part(names: set[str]) -> bool:
    """Whether folder names differ in a number only (“part_1”, “part_2”): pieces of one collection, no classes."""
    stems = {re.sub(r"[\d_\W]+", "", name.lower()) for name in names}
    return (
        len(names) > 1
        and len(stems) == 1
        and stems != {""}
        and any(word in next(iter(stems)) for word in ("part", "images", "batch", "chunk", "folder"))
    )


def may_be_a_picture(name: str) -> bool:
    """Whether a file of that name is looked at."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" not in _NO_IMAGES if dot and stem else name.lower() not in _NO_IMAGE_NAMES
