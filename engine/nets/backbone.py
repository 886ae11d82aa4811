"""Vision backbones in the layout of the Hugging Face libraries: built from their own description, given images as they were trained on."""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.common.importing import IMPORTING

RANDOM = {
    "model_type": "dinov2",
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 32,
    "patch_size": 4,
    "mlp_ratio": 2,
}
"""What stands in where no folder was named: a tiny one, with random weights."""
INTERPOLATION = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
SPREAD = 0.02  # of random weights


class NotInstalled(ImportError):
    """One sentence: what to install."""


def library() -> Any:
    """The transformers library.

    Raises:
        NotInstalled
    """
    try:
        with IMPORTING:
            import transformers
    except ImportError:
        raise NotInstalled("Pretrained backbones need the library transformers: install it with “pip install priorama[hf]”.") from None
    transformers.utils.logging.disable_progress_bar()  # it would write to the console, from a thread of its own
    return transformers


class Backbone(nn.Module):
    """Images [B, 1 or 3, H, W] in [0, 1] -> features [B, F].

    Args:
        architecture: the text of the model's config.json.
        processing: the text of its preprocessor_config.json; empty: images are only brought to the model's size.
        side: pixels that images are brought to; 0: as the processing says.

    Raises:
        ValueError: the description is of no vision model that the library knows: one sentence.
        NotInstalled
    """

    def __init__(self, architecture: str, processing: str, side: int = 0) -> None:
        super().__init__()
        description: dict[str, Any] = json.loads(architecture) if architecture else RANDOM
        self.description = description
        self.processing: dict[str, Any] = json.loads(processing) if processing else {}
        self.side = side
        self.model = self._made()
        self.register_load_state_dict_post_hook(lambda module, _keys: module._complete())

    def _made(self) -> Any:
        """The model without meaning in its weights, on the device in force."""
        transformers = library()
        kind = self.description.get("model_type", "")
        try:
            config = transformers.AutoConfig.for_model(**self.description)
            model = transformers.AutoModel.from_config(config)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"“{kind}” is no vision backbone that transformers can build ({str(error).splitlines()[0]}).") from None
        return getattr(model, "vision_model", model)  # of models that see and read, the part that sees

    def reset_all(self, generator: torch.Generator) -> None:
        """Random weights: N(0, 0.02²) for matrices, one for factors, zero for offsets."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, 0.0, SPREAD, generator=generator)
            else:
                nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
        self._complete(everything=True)

    def _complete(self, everything: bool = False) -> None:
        """Fill buffers that no file holds (tables of places) as the library makes them; with `everything`, those of files too."""
        saved = self.state_dict().keys()
        lacking = [n for n, b in self.named_buffers() if everything or (n not in saved and b.is_meta)]
        if not lacking:
            return
        with (
            torch.random.fork_rng(devices=[]),
            torch.device("cpu"),
        ):  # the library draws its weights, which nobody uses, from the global numbers
            fresh = dict(self._made().named_buffers(prefix="model"))
        for name in lacking:
            owner, _, last = name.rpartition(".")
            self.get_submodule(owner)._buffers[last] = fresh[name].clone()

    # -- images ----------------------------------------------------------------------------------------------------------

    def processed(self, x: Tensor) -> Tensor:
        """Images as the model takes them [B, 3, h, w]: three channels, resized, cropped, normalized as its processing says."""
        p = self.processing
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        way = INTERPOLATION.get(p.get("resample", 3), "bicubic")
        height, width = self._size(p.get("size"), x.shape[2:]) if p.get("do_resize", True) else x.shape[2:]
        x = resized(x, (height, width), way)
        if p.get("do_center_crop", False) and not self.side:
            x = cropped(x, *_pair(p.get("crop_size", (height, width))))
        if p.get("do_normalize", bool(p)):
            mean, deviation = (x.new_tensor(p.get(key, [0.5] * 3))[:, None, None] for key in ("image_mean", "image_std"))
            x = (x - mean) / deviation
        return x

    def _size(self, size: Any, given: torch.Size | tuple[int, ...]) -> tuple[int, int]:
        if self.side:
            return self.side, self.side
        if size is None:
            size = self.model.config.image_size if hasattr(self.model.config, "image_size") else given
        if isinstance(size, dict) and "shortest_edge" in size:
            scale = size["shortest_edge"] / min(given)
            return tuple(max(1, int(scale * n)) for n in given)  # type: ignore[return-value]
        return _pair(size)

    def outputs(self, x: Tensor, every: bool = False) -> Any:
        """The model's outputs for images x [B, C, H, W]; `every`: with the hidden states of all layers."""
        return self.model(pixel_values=self.processed(x), output_hidden_states=every)

    @staticmethod
    def pooled(outputs: Any) -> Tensor:
        """The library's own summary [B, F]; where it has none, the first token."""
        summary = getattr(outputs, "pooler_output", None)
        if summary is not None:
            return summary.flatten(1)
        return outputs.last_hidden_state[:, 0] if outputs.last_hidden_state.ndim == 3 else outputs.last_hidden_state.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in 0..1 -> pooled features [B, F]."""
        return self.pooled(self.outputs(x))

    def each(self, x: Tensor) -> dict[str, Tensor]:
        """Features after the first layer, each block and at the end, the mean over places: [B, F] each."""
        outputs = self.outputs(x, every=True)
        found = {}
        for i, h in enumerate(outputs.hidden_states or ()):
            found[f"block {i}" if i else "stem"] = h.mean(1) if h.ndim == 3 else h.mean((2, 3))
        return found | {"features": self.pooled(outputs)}


def _pair(size: Any) -> tuple[int, int]:
    """Height and width, however the description says it."""
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, (list, tuple, torch.Size)):
        return int(size[0]), int(size[1])
    return int(size), int(size)


def resized(x: Tensor, size: tuple[int, int], way: str) -> Tensor:
    """Images [B, C, H, W] resized to `size` (height, width) as Pillow does: antialiased where smaller, clamped to 0..1."""
    if tuple(x.shape[2:]) == size:
        return x
    smooth = {} if way == "nearest" else {"antialias": True, "align_corners": False}
    return F.interpolate(x, size, mode=way, **smooth).clamp(0, 1)


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Centre crop of images [B, C, H, W] to [B, C, height, width], zero-padded where it is larger than the picture."""
    down, across = (max(0, n - m) for n, m in ((height, x.shape[2]), (width, x.shape[3])))
    x = F.pad(x, (across // 2, math.ceil(across / 2), down // 2, math.ceil(down / 2)))
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
