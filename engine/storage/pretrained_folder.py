"""Weights that others have trained, read from a local folder in the layout of the Hugging Face hub. Nothing in it is executed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 2_000_000  # characters of a description
NAMES = ("id2label", "label2id")  # classes of a head that is not looked at; thousands of names, some
SECONDS = 600  # for reading a pickled file

UNPICKLE = """
import sys, torch
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
        text = path.read_text(encoding="utf-8")
        if len(text) > LONGEST:
            raise BadBackbone(f"{path.parent.name}/{path.name} is too long to be a model’s description; copy the model's folder again.")
        content = json.loads(text)
    except FileNotFoundError:
        raise BadBackbone(f"{path.parent.name} has no {path.name}; choose a folder that holds a whole model.") from None
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
        files = str(folder / "pytorch_model.bin"), str(copy / "model.safetensors")
        answer = subprocess.run([sys.executable, "-c", UNPICKLE, *files], capture_output=True, text=True, timeout=SECONDS)
        if answer.returncode:
            why = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BadBackbone(f"{folder.name}/pytorch_model.bin cannot be read safely ({why[:200]}); save the model as safetensors.")
        return _weights(copy)
