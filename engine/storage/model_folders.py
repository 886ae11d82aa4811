"""Which folder is meant where a person names one for a model, and what a folder holds that is none of the transformers library.

Names and first bytes of files are looked at; no weights are read here.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

from engine.common.user_folders import person_path

MOST_NAMES = 10_000  # files of a folder that are looked at
POINTER = b"version https://git-lfs.github.com/spec/"  # how a file of Git LFS begins whose content was not fetched
LONGEST_HEADER = 100_000_000  # bytes, as in the safetensors format
ORIGINAL = (".pth", ".pt", ".ckpt", ".pkl", ".npz")
FOREIGN = {".h5": "TensorFlow", ".pb": "TensorFlow", ".msgpack": "Flax", ".onnx": "ONNX", ".gguf": "GGUF", ".tflite": "TensorFlow Lite"}
SHAPE = "Choose a folder that transformers has written, with config.json and model.safetensors"


class BadBackbone(ValueError):
    """One sentence: what is wrong with the folder, and what to do."""


def model_folder(text: str) -> tuple[Path, str]:
    """The folder with the model's files, and what to call it; the cache of the Hugging Face hub is followed to the version in force.

    Raises: BadBackbone.
    """
    path = person_path(text)
    try:
        if path.is_file():
            raise BadBackbone(
                f"“{path.name}” is a file; name the folder that holds it, with the model's config.json and model.safetensors."
            )
        if not path.is_dir():
            raise BadBackbone(f"There is no folder “{text}”; name the folder that holds the model's config.json and model.safetensors.")
        if path.name == "snapshots" and path.parent.name.startswith("models--"):
            path = path.parent
        if (path / "snapshots").is_dir() and not (path / "config.json").exists():
            return _snapshot(path)
        if path.parent.name == "snapshots" and path.parents[1].name.startswith("models--"):
            return path, _hub_name(path.parents[1])
        cached = [name for name in _names(path) if name.startswith("models--")]
        if cached and not (path / "config.json").exists():
            if len(cached) == 1:
                return _snapshot(path / cached[0])
            some = ", ".join(f"“{name}”" for name in cached[:3])
            raise BadBackbone(f"{path.name or path} holds {len(cached)} models of a cache; name one of them, such as {some}.")
    except OSError as error:
        raise BadBackbone(f"{path.name or path} cannot be read ({error.strerror or error}); check its permissions.") from None
    return path, path.name or path.resolve().name


def _hub_name(path: Path) -> str:
    """`models--org--name` as the hub writes it."""
    return path.name.removeprefix("models--").replace("--", "/")


def _snapshot(cached: Path) -> tuple[Path, str]:
    """The version that a cached model's `refs/main` names; without one the only version there is. Raises: BadBackbone."""
    name, versions = _hub_name(cached), [entry for entry in _names(cached / "snapshots") if (cached / "snapshots" / entry).is_dir()]
    try:
        with (cached / "refs" / "main").open("rb") as file:
            wanted = file.read(200).decode("ascii", "replace").strip()
    except OSError:
        wanted = ""
    if wanted and re.fullmatch(r"[0-9A-Za-z._-]+", wanted) and wanted.strip(".") and (cached / "snapshots" / wanted).is_dir():
        return cached / "snapshots" / wanted, name
    if len(versions) == 1 and not wanted:
        return cached / "snapshots" / versions[0], name
    if not versions:
        raise BadBackbone(f"The cache holds no version of {name}: its download was not finished. Download the model again.")
    if wanted:
        raise BadBackbone(f"The version of {name} that the cache names in refs/main is not there; download the model again.")
    raise BadBackbone(
        f"The cache holds {len(versions)} versions of {name} and does not say which is in force; name one folder in snapshots."
    )


def _names(path: Path) -> list[str]:
    """Sorted names in a folder."""
    return sorted(entry.name for entry in itertools.islice(path.iterdir(), MOST_NAMES))


def require_layout(path: Path, name: str) -> None:
    """Raises: BadBackbone: there is something else in the folder than a description that transformers has written."""
    try:
        names = _names(path)
    except OSError as error:
        raise BadBackbone(f"{name} cannot be read ({error.strerror or error}); check its permissions.") from None
    if not names:
        raise BadBackbone(f"{name} is empty. {SHAPE}.")
    if "model_index.json" in names:
        raise BadBackbone(f"{name} is a pipeline of the library diffusers, which draws images. {SHAPE}.")
    if "config.json" in names:
        return
    if any(n.startswith("open_clip") for n in names):
        raise BadBackbone(f"{name} is in the layout of OpenCLIP. {SHAPE}; many models are on the hub in both.")
    if "adapter_config.json" in names:
        raise BadBackbone(f"{name} holds an adapter only, no whole model. {SHAPE}.")
    inside = [n for n in names if (path / n / "config.json").is_file()]
    if inside:
        raise BadBackbone(f"{name} has no config.json, its folder “{inside[0]}” has one: name that folder.")
    for n in names:
        if Path(n).suffix in ORIGINAL:
            raise BadBackbone(f"{name} holds weights as their authors keep them ({n}), without a description. {SHAPE}.")
        if n.endswith(".safetensors"):
            raise BadBackbone(f"{name} has no config.json beside {n}; copy the whole folder, with its description.")
    raise BadBackbone(f"{name} has no config.json. {SHAPE}.")


def require_transformers(description: dict, name: str) -> None:
    """Raises: BadBackbone: a description that another library has written."""
    kind = description.get("model_type")
    if kind in ("timm_wrapper", "timm_backbone") or (kind is None and ("pretrained_cfg" in description or "architecture" in description)):
        what = description.get("architecture")
        of = f" (“{str(what)[:60]}”)" if isinstance(what, str) else ""
        raise BadBackbone(f"{name} is a model{of} in the layout of the library timm, which is not read here. {SHAPE}.")
    if "_class_name" in description or "_diffusers_version" in description:
        raise BadBackbone(f"{name} is a part of a pipeline of the library diffusers. {SHAPE}.")
    if not isinstance(kind, str) or not kind:
        raise BadBackbone(f"{name}/config.json names no model_type. {SHAPE}.")


def weight_files(path: Path, name: str) -> list[Path]:
    """The files with the model's weights: safetensors, in one piece or several, or one older pickled file.

    Raises: BadBackbone: there are none that can be read.
    """
    index = path / "model.safetensors.index.json"
    if (path / "model.safetensors").exists():
        files = [path / "model.safetensors"]
    elif index.exists():
        files = _parts(index, name)
    elif (path / "pytorch_model.bin").exists():
        files = [path / "pytorch_model.bin"]
    else:
        raise _no_weights(path, name)
    for file in files:
        _require_content(file, name)
    return files


def is_pointer(file: Path) -> bool:
    """Whether a file is what Git leaves where Git LFS has not fetched its content."""
    with file.open("rb") as opened:
        return opened.read(len(POINTER)) == POINTER


def _parts(index: Path, name: str) -> list[Path]:
    """The files that an index names. Raises: BadBackbone: one is missing."""
    try:
        if is_pointer(index):
            raise _pointer(index, name)
        with index.open("rb") as file:
            parts = sorted(set(json.loads(file.read(LONGEST_HEADER))["weight_map"].values()))
        if not parts or not all(isinstance(part, str) and part == Path(part).name and part.endswith(".safetensors") for part in parts):
            raise ValueError("it names no weights beside it")
    except BadBackbone:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadBackbone(f"{name}/{index.name} cannot be read ({error}); copy the model's folder again.") from None
    lacking = [part for part in parts if not (index.parent / part).exists()]
    if lacking:
        raise BadBackbone(f"{name} lacks {len(lacking)} of its {len(parts)} files with weights ({lacking[0]}); copy or download them too.")
    return [index.parent / part for part in parts]


def _no_weights(path: Path, name: str) -> BadBackbone:
    names = _names(path)
    parts = [n for n in names if n == "pytorch_model.bin.index.json" or re.fullmatch(r"pytorch_model-\d+-of-\d+\.bin", n)]
    if parts:
        return BadBackbone(
            f"{name} keeps its weights in several pickled files ({parts[0]}), which are not read here; open it with transformers and save "
            "it anew with save_pretrained, which writes safetensors."
        )
    others = [n for n in names if n.endswith(".safetensors")]
    if others:
        return BadBackbone(f"{name} has no model.safetensors, only {others[0]}; rename it if these are the whole model's weights.")
    for n in names:
        if Path(n).suffix in ORIGINAL:
            return BadBackbone(f"{name} has no model.safetensors but weights as their authors keep them ({n}). {SHAPE}.")
        if Path(n).suffix in FOREIGN:
            return BadBackbone(f"{name} has weights of {FOREIGN[Path(n).suffix]} only ({n}); copy its model.safetensors too.")
    if path.parent.name == "snapshots":
        return BadBackbone(f"The cache holds no weights of {name}: the download was not finished. Download the model again.")
    return BadBackbone(f"{name} has no model.safetensors; copy the model's folder again, with its weights.")


def _pointer(file: Path, name: str) -> BadBackbone:
    return BadBackbone(
        f"{name}/{file.name} is only a pointer of Git LFS, its content was not fetched: run “git lfs pull” in the folder, or download it."
    )


def _require_content(file: Path, name: str) -> None:
    """Raises: BadBackbone: not all of the file is there, or none of it."""
    try:
        if not file.is_file():
            raise BadBackbone(f"{name}/{file.name} is no ordinary file; copy the model's folder again.")
        if is_pointer(file):
            raise _pointer(file, name)
        if file.suffix != ".safetensors":
            return
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(0)
            length = int.from_bytes(opened.read(8), "little")
            if size < 8 or length > size - 8:
                raise BadBackbone(f"{name}/{file.name} is cut short or no safetensors file ({size:,} bytes); copy or download it again.")
            header = json.loads(opened.read(min(length, LONGEST_HEADER)))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        whole = 8 + length + max(ends, default=0)
    except BadBackbone:
        raise
    except OSError as error:
        raise BadBackbone(f"{name}/{file.name} cannot be read ({error.strerror or error}); copy the model's folder again.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise BadBackbone(f"{name}/{file.name} is no safetensors file; copy or download it again.") from None
    if size < whole:
        raise BadBackbone(f"{name}/{file.name} is cut short ({size:,} of {whole:,} bytes); copy or download it again.")
