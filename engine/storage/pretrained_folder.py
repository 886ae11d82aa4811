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

LONGEST = 2_000_000  # characters of a description
NAMES = ("id2label", "label2id")  # classes of a head that is not looked at; thousands of names, some
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


class BadBackbone(ValueError):
    """One sentence: what is wrong with the folder, and what to do."""


@dataclass(frozen=True)
class Pretrained:
    """What is in the folder."""

    architecture: str  # config.json
    processing: str  # preprocessor_config.json; empty where there is none
    arrays: dict[str, np.ndarray]  # the weights by the library's names


def open_pretrained(folder: str) -> Pretrained:
    """Raises: BadBackbone."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise BadBackbone(f"There is no folder “{folder}”; name the folder that holds the model's config.json and model.safetensors.")
    description = _description(path / "config.json")
    if not isinstance(description.get("model_type"), str):
        raise BadBackbone(f"{path.name}/config.json names no model_type; choose a folder that the transformers library has written.")
    description = {name: value for name, value in description.items() if name not in NAMES}
    processing = _description(path / "preprocessor_config.json") if (path / "preprocessor_config.json").exists() else {}
    return Pretrained(json.dumps(description), json.dumps(processing) if processing else "", _weights(path))


def _description(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() and path.exists():
            raise BadBackbone(f"{path.parent.name}/{path.name} is no ordinary file; copy the model's folder again.")
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
        if len(raw) > LONGEST:
            raise BadBackbone(f"{path.parent.name}/{path.name} is too long to be a model’s description; copy the model's folder again.")
        content = json.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        raise BadBackbone(f"{path.parent.name} has no {path.name}; choose a folder that holds a whole model.") from None
    except BadBackbone:
        raise
    except RecursionError:
        raise BadBackbone(
            f"{path.parent.name}/{path.name} is nested too deeply for a description; copy the model's folder again."
        ) from None
    except (OSError, ValueError) as error:
        raise BadBackbone(f"{path.parent.name}/{path.name} cannot be read ({error}); copy the model's folder again.") from None
    if not isinstance(content, dict):
        raise BadBackbone(f"{path.parent.name}/{path.name} is no description of a model; copy the model's folder again.")
    return content


def _weights(folder: Path) -> dict[str, np.ndarray]:
    """All tensors, by the names that the library gives them today. Raises: BadBackbone."""
    if (folder / "pytorch_model.bin").exists() and not any(folder.glob("*.safetensors")):
        return _unpickled(folder)
    if not any(folder.glob("*.safetensors")):
        raise BadBackbone(f"{folder.name} has no model.safetensors; copy the model's folder again, with its weights.")
    with tempfile.TemporaryDirectory() as scratch:
        return _loaded(_copied(folder, Path(scratch) / folder.name))


def _copied(folder: Path, copy: Path) -> Path:
    """The files that are needed, in a place where nobody changes them: the library maps them, and a mapped file that is cut short
    meanwhile would end the program. Raises: BadBackbone.
    """
    try:
        copy.mkdir()
        for file in (folder / "config.json", folder / "model.safetensors.index.json", *folder.glob("*.safetensors")):
            if file.is_file():
                shutil.copyfile(file, copy / file.name)
    except (OSError, shutil.Error) as error:
        why = getattr(error, "strerror", None) or "its files cannot be copied"
        raise BadBackbone(f"{folder.name} cannot be read ({why}); check its permissions and the room for temporary files.") from None
    return copy


def _loaded(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a folder of ours. Raises: BadBackbone."""
    import torch

    from engine.nets.backbone import library

    transformers = library()
    former = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        with torch.random.fork_rng(devices=[]):
            model, report = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # the library raises what it likes: files, shapes, names of models
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadBackbone(f"{folder.name} cannot be read as a model ({why[:200]}); copy the model's folder again.") from None
    finally:
        transformers.utils.logging.set_verbosity(former)
    lacking = [*report.get("missing_keys", ()), *(str(key) for key in report.get("mismatched_keys", ()))]
    part = getattr(model, "vision_model", model)
    own = set(part.state_dict())
    lacking = [name for name in lacking if str(name).removeprefix("vision_model.") in own]
    if lacking:
        raise BadBackbone(
            f"The weights in {folder.name} do not fit its description: “{sorted(map(str, lacking))[0]}” is missing or has another shape; "
            "copy the model's folder again."
        )
    return {name: value.numpy() for name, value in part.state_dict().items()}


def _unpickled(folder: Path) -> dict[str, np.ndarray]:
    """Older models come as pickles: a process of its own reads nothing but tensors from it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / folder.name
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
            raise BadBackbone(f"{folder.name}/pytorch_model.bin takes too long to be read; save the model as safetensors.") from None
        if answer.returncode:
            said = answer.stderr.strip().splitlines() or ["its content made the reading process end"]
            raise BadBackbone(f"{folder.name}/pytorch_model.bin cannot be read safely ({said[-1][:200]}); save the model as safetensors.")
        return _loaded(copy)
