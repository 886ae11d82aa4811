"""Weights that others have trained, read from a local folder in the layout of the Hugging Face hub. Nothing in it is executed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.common.isolated_python import isolated_environment, isolated_script
from engine.nets.backbone_images import BadProcessing, Processing
from engine.storage.model_folders import BadBackbone, is_pointer, model_folder, require_layout, require_transformers, weight_files

__all__ = ["BadBackbone", "Pretrained", "inspect_folder", "open_pretrained"]

LONGEST = 2_000_000  # characters of a description
NAMES = ("id2label", "label2id")  # classes of a head that is not looked at; thousands of names, some
MOST_LAYERS = 1000
MASK_TOKEN = "mask_token"  # stands in for hidden patches while such models are trained
PROCESSING_ENTRIES = (
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct", "do_rescale", "rescale_factor", "rescale_offset",
    "do_normalize", "image_mean", "image_std", "do_flip_channel_order", "max_num_patches",
)  # fmt: skip
SECONDS = 600  # for reading a pickled file
UNPICKLE_BYTES = 16 << 30  # address space for torch's libraries, of which little is ever used

UNPICKLE = """
import sys
try:
    import resource
    most = int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
import torch
from safetensors.torch import save_file
weights = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
tensors = {name: value.clone().contiguous() for name, value in weights.items() if isinstance(value, torch.Tensor)}
save_file(tensors, sys.argv[2], metadata={"format": "pt"})
"""


@dataclass(frozen=True)
class Pretrained:
    """What is in the folder."""

    architecture: str  # config.json
    processing: str  # what is done to images first, every entry told; empty where the folder does not say
    arrays: dict[str, np.ndarray]  # the weights by the library's names


def open_pretrained(folder: str) -> Pretrained:
    """Raises: BadBackbone."""
    from engine.nets.backbone import WITHOUT_POOLER, NotInstalled, require_vision

    path, name = model_folder(folder)
    require_layout(path, name)
    description = _description(path / "config.json", name)
    require_transformers(description, name)
    description = {key: value for key, value in description.items() if key not in NAMES}
    if _deepest(description) > MOST_LAYERS:
        raise BadBackbone(f"{name}/config.json describes more than {MOST_LAYERS:,} layers, which cannot be right; copy the folder again.")
    try:
        require_vision(description)
    except NotInstalled as error:
        raise BadBackbone(str(error)) from None
    except ValueError as error:
        raise BadBackbone(f"{name} cannot be opened: {error}") from None
    processing = _processing(path, name, description)
    arrays, complete = _weights(path, name)
    if not complete:
        description[WITHOUT_POOLER] = True
    return Pretrained(json.dumps(description), json.dumps(processing) if processing else "", arrays)


def inspect_folder(folder: str) -> None:
    """What names, the description and first bytes of files tell, before anything is opened. Raises: BadBackbone."""
    path, name = model_folder(folder)
    require_layout(path, name)
    require_transformers(_description(path / "config.json", name), name)
    weight_files(path, name)


def _deepest(description: dict[str, Any]) -> int:
    """The most layers that a description or one of its parts speaks of."""
    told = [value for key, value in description.items() if "layers" in key and isinstance(value, int)]
    return max([0, *told, *(_deepest(part) for part in description.values() if isinstance(part, dict))])


def _processing(path: Path, name: str, description: dict[str, Any]) -> dict[str, Any]:
    """Every entry of what is done to images first, those that the folder leaves out as the library fills them in; {} where it says nothing.

    Newer folders have it within processor_config.json, which counts first, as it does for the library.

    Raises: BadBackbone.
    """
    told: dict[str, Any] = {}
    file = ""
    for file in ("processor_config.json", "preprocessor_config.json"):
        if not (path / file).exists():
            continue
        content = _description(path / file, name)
        told = content if file.startswith("pre") else content.get("image_processor")  # type: ignore[assignment]
        if isinstance(told, dict) and told:
            break
    if not isinstance(told, dict) or not told:
        return {}
    entries = _filled({key: value for key, value in told.items() if key != "auto_map"}, description)
    entries = {key: value for key, value in entries.items() if key in PROCESSING_ENTRIES and value is not None}
    try:
        Processing(entries).check()
    except BadProcessing as error:
        raise BadBackbone(f"{name}/{file} {error}; mend it or copy the model's folder again.") from None
    return entries


def _filled(told: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    """The entries with those that are left out, by the library's class for them; as they are where it knows none."""
    from engine.nets.backbone import library

    transformers = library()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "config.json").write_text(json.dumps({"model_type": description["model_type"]}), encoding="utf-8")
        (Path(scratch) / "preprocessor_config.json").write_text(json.dumps(told), encoding="utf-8")
        try:
            processor = transformers.AutoImageProcessor.from_pretrained(scratch, local_files_only=True, trust_remote_code=False)
            return dict(processor.to_dict())
        except Exception:  # the library raises what it likes: names it does not know, other libraries that it wants
            return told


def _description(path: Path, name: str) -> dict[str, Any]:
    try:
        if not path.is_file() and path.exists():
            raise BadBackbone(f"{name}/{path.name} is no ordinary file; copy the model's folder again.")
        if is_pointer(path):
            raise BadBackbone(f"{name}/{path.name} is only a pointer of Git LFS: run “git lfs pull” in the folder, or download it.")
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
        if len(raw) > LONGEST:
            raise BadBackbone(f"{name}/{path.name} is too long to be a model’s description; copy the model's folder again.")
        content = json.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        raise BadBackbone(f"{name} has no {path.name}; choose a folder that holds a whole model.") from None
    except BadBackbone:
        raise
    except RecursionError:
        raise BadBackbone(f"{name}/{path.name} is nested too deeply for a description; copy the model's folder again.") from None
    except (OSError, ValueError) as error:
        raise BadBackbone(f"{name}/{path.name} cannot be read ({error}); copy the model's folder again.") from None
    if not isinstance(content, dict):
        raise BadBackbone(f"{name}/{path.name} is no description of a model; copy the model's folder again.")
    return content


def _weights(folder: Path, name: str) -> tuple[dict[str, np.ndarray], bool]:
    """All tensors, by the names that the library gives them today, and whether those of the pooler are among them.

    Raises: BadBackbone.
    """
    files = weight_files(folder, name)
    if files[0].suffix == ".bin":
        return _unpickled(folder, name)
    with tempfile.TemporaryDirectory() as scratch:
        return _loaded(_copied(folder, files, Path(scratch) / "model", name), name)


def _copied(folder: Path, files: list[Path], copy: Path, name: str) -> Path:
    """The files that are needed, in a place where nobody changes them: the library maps them, and a mapped file that is cut short
    meanwhile would end the program. Raises: BadBackbone.
    """
    try:
        copy.mkdir()
        for file in (folder / "config.json", folder / "model.safetensors.index.json", *files):
            if file.is_file():
                shutil.copyfile(file, copy / file.name)
    except (OSError, shutil.Error) as error:
        why = getattr(error, "strerror", None) or "its files cannot be copied"
        raise BadBackbone(f"{name} cannot be read ({why}); check its permissions and the room for temporary files.") from None
    return copy


def _loaded(folder: Path, name: str) -> tuple[dict[str, np.ndarray], bool]:
    """All tensors of a folder of ours, called `name`, and whether those of the pooler are among them. Raises: BadBackbone."""
    import torch

    from engine.nets.backbone import library

    transformers = library()
    try:
        with torch.random.fork_rng(devices=[]):
            model, report = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # the library raises what it likes: files, shapes, names of models
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].replace(str(folder), name)
        raise BadBackbone(f"{name} cannot be read as a model ({why[:200]}); copy the model's folder again.") from None
    part = getattr(model, "vision_model", model)
    own = set(part.state_dict())
    named = (*report.get("missing_keys", ()), *(key[0] if isinstance(key, tuple) else key for key in report.get("mismatched_keys", ())))
    lacking = {str(key).removeprefix("vision_model.") for key in named} & own
    lacking = {key for key in lacking if not key.endswith(MASK_TOKEN)}  # nothing is masked here
    pooler = {key for key in lacking if key.startswith("pooler.")}  # models are often trained and kept without it
    if lacking - pooler:
        raise BadBackbone(
            f"The weights in {name} do not fit its description: “{min(lacking - pooler)}” is missing or has another shape; "
            "copy the model's folder again."
        )
    arrays = {key: value.numpy() for key, value in part.state_dict().items() if not (pooler and key.startswith("pooler."))}
    return arrays, not pooler


def _unpickled(folder: Path, name: str) -> tuple[dict[str, np.ndarray], bool]:
    """Older models come as pickles: a process of its own reads nothing but tensors from it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model"
        copy.mkdir()
        (copy / "config.json").write_bytes((folder / "config.json").read_bytes())
        pickled, arrays = (folder / "pytorch_model.bin").absolute(), copy / "model.safetensors"
        most = UNPICKLE_BYTES + 4 * pickled.stat().st_size  # read, cloned, written
        command = isolated_script(UNPICKLE, str(pickled), str(arrays), str(most))
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=SECONDS, cwd=scratch, env=isolated_environment()
            )
        except subprocess.TimeoutExpired:
            raise BadBackbone(f"{name}/pytorch_model.bin takes too long to be read; save the model as safetensors.") from None
        if answer.returncode:
            said = answer.stderr.strip().splitlines() or ["its content made the reading process end"]
            raise BadBackbone(f"{name}/pytorch_model.bin cannot be read safely ({said[-1][:200]}); save the model as safetensors.")
        return _loaded(copy, name)
