"""Vision backbones in the layout of the Hugging Face libraries: built from their own description, given images as they were trained on.

What is done to images stands in `backbone_images`, which tokens are patches and what is pooled in `backbone_tokens`.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from engine.common.importing import IMPORTING
from engine.nets.backbone_images import Processing
from engine.nets.backbone_tokens import NoPatches, TokenLayout, default_pooling, grid_of, layout_of, over_places, pooled, strides_of
from engine.precision import full

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
SPREAD = 0.02  # of random weights
WITHOUT_POOLER = "priorama_without_pooler"  # entry of a description: the folder has no weights for the pooler that its kind has
FETCHING = {"use_kernels", "kernel_config", "distributed_config"}
"""Entries of a description, beside all “…_implementation”, that let the library fetch code or start processes."""
PIXELS_AT_ONCE = 1 << 19  # of the images that go through the network together where nothing is learned: ten of 224×224


class NotInstalled(ImportError):
    """One sentence: what to install."""


def library() -> Any:
    """The transformers library, which reads nothing from the net: a description may name a model of another folder as a part.

    Raises:
        NotInstalled
    """
    try:
        with IMPORTING:
            import transformers
            from huggingface_hub import constants
    except ImportError:
        raise NotInstalled("Pretrained backbones need the library transformers: install it with “pip install priorama[hf]”.") from None
    constants.HF_HUB_OFFLINE = True
    transformers.utils.logging.disable_progress_bar()  # it would write to the console, from a thread of its own
    transformers.utils.logging.set_verbosity_error()  # what it warns of is said here, or of no matter: weights of heads left out
    return transformers


def _without_fetching(told: Any) -> Any:
    """A description or a part of one, without what says by whose code it is computed: that is the library's own, always."""
    if isinstance(told, dict):
        return {k: _without_fetching(v) for k, v in told.items() if not (k in FETCHING or "_implementation" in k)}
    return [_without_fetching(part) for part in told] if isinstance(told, list) else told


def vision_model(description: dict[str, Any], attention: str | None = None) -> Any:
    """The part that sees of the model that a config.json describes, on the device in force.

    Raises:
        ValueError: one sentence: the library knows no such model, cannot build it, or it takes no images.
        NotInstalled
    """
    transformers = library()
    kind = description.get("model_type", "")
    if kind not in transformers.CONFIG_MAPPING:
        own = "comes with code of its own, which is never run here" if "auto_map" in description else "is not known to it"
        raise ValueError(f"the library transformers {transformers.__version__} cannot build “{kind}”, which {own}; choose another model.")
    try:
        config = transformers.AutoConfig.for_model(**_without_fetching(description))
        if hasattr(config, "mask_ratio"):
            config.mask_ratio = 0.0  # of masked autoencoders: they see the whole image
        if type(config) not in transformers.MODEL_MAPPING:
            raise ValueError("it is a part or a pair of models, none that gives features by itself")
        told = {} if attention is None else {"attn_implementation": attention}
        model = transformers.AutoModel.from_config(config, **told)
    except MemoryError:
        raise
    except Exception as error:  # the library raises what it likes
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(f"“{kind}” is no vision backbone that transformers can build from this config.json ({why}).") from None
    model = getattr(model, "vision_model", model)  # of models that see and read, the part that sees
    accepted = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    takes = getattr(model, "input_modalities", ("image",))
    takes = (takes,) if isinstance(takes, str) else tuple(takes)
    if "pixel_values" not in accepted or "input_ids" in accepted or takes == ("video",):
        what = {"text": "texts", "audio": "sounds", "video": "videos"}.get(takes[0], "more than images")
        raise ValueError(f"“{kind}” is a model of {what}, no vision backbone; choose a model whose features are of single images.")
    return model


def require_vision(description: dict[str, Any]) -> None:
    """Raises: ValueError, NotInstalled: as `vision_model`, which is tried without memory for weights."""
    with torch.device("meta"):
        vision_model(description)


class Backbone(nn.Module):
    """Images [B, 1 or 3, H, W] in [0, 1] -> features [B, F].

    Args:
        architecture: the text of the model's config.json.
        processing: the text of its preprocessor_config.json; empty: images are only brought to the model's size.
        side: pixels that images are brought to; 0: as the processing says.
        pooling: what becomes the features, one of `backbone_tokens.POOLINGS`.
        older: features as versions before 0.3 made them: the pooler or the first token; blocks averaged over all tokens.

    Raises:
        ValueError: the description is of no vision model that the library knows: one sentence.
        NotInstalled
    """

    def __init__(self, architecture: str, processing: str, side: int = 0, pooling: str = "default", older: bool = False) -> None:
        super().__init__()
        description: dict[str, Any] = json.loads(architecture) if architecture else dict(RANDOM)
        self.pooler_missing = bool(description.pop(WITHOUT_POOLER, False))
        self.description = description
        self.pooling, self.older = pooling, older
        self.model = self._made()
        self._grids: dict[tuple[int, int], bool] = {}
        self.layout: TokenLayout = layout_of(self.model.named_parameters())
        self.accepted = frozenset(inspect.signature(inspect.unwrap(type(self.model).forward)).parameters)
        own = getattr(self.model.config, "image_size", None)
        self.own_size = None if own is None else (int(own[0]), int(own[-1])) if isinstance(own, (list, tuple)) else (int(own), int(own))
        self.processing = Processing(json.loads(processing) if processing else {}, side, self.own_size, self._any_shape(processing), older)
        self.register_load_state_dict_post_hook(lambda module, _keys: module._complete())

    @property
    def kind(self) -> str:
        """The library's name of this kind of model."""
        return str(self.description.get("model_type", ""))

    def _made(self, attention: str | None = None) -> Any:
        """The model without meaning in its weights, on the device in force. Raises: as `vision_model`."""
        model = vision_model(self.description, attention)
        if self.pooler_missing:
            model.pooler = None
        return model

    def _any_shape(self, processing: str) -> tuple[int, int] | None:
        """(most patches, pixels of one), of models that take images of any shape as a row of patches."""
        if "spatial_shapes" not in self.accepted:
            return None
        told = json.loads(processing).get("max_num_patches") if processing else None
        return int(told or self.model.config.num_patches), int(self.model.config.patch_size)

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

    # -- one pass --------------------------------------------------------------------------------------------------------

    def processed(self, x: Tensor) -> Tensor:
        """Images as the model takes them [B, 3, h, w]: three channels, resized, cropped, normalized as its processing says."""
        return self.processing.apply(x)

    def outputs(self, x: Tensor, every: bool = False) -> Any:
        """The model's outputs for images x [B, C, H, W]; `every`: with the hidden states of all layers."""
        return self.model(**self._inputs(self.processed(x)), output_hidden_states=every)

    def _inputs(self, pixels: Tensor) -> dict[str, Any]:
        """What the model is called with for images [B, 3, h, w] that are `processed`."""
        size = (pixels.shape[2], pixels.shape[3])
        if self.processing.patches is not None:
            patch = self.processing.patches[1]
            h, w = size[0] // patch, size[1] // patch
            rows = pixels[:, :, : h * patch, : w * patch].unflatten(3, (w, patch)).unflatten(2, (h, patch))  # [B, 3, h, p, w, p]
            rows = rows.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # [B, h w, p p 3]
            everywhere = torch.ones(rows.shape[:2], dtype=torch.int64, device=rows.device)
            shapes = torch.tensor([[h, w]], device=rows.device).expand(len(rows), 2)
            return {"pixel_values": rows, "pixel_attention_mask": everywhere, "spatial_shapes": shapes}
        inputs: dict[str, Any] = {"pixel_values": pixels}
        if "interpolate_pos_encoding" in self.accepted and self.own_size is not None and size != self.own_size:
            inputs["interpolate_pos_encoding"] = True  # places learned at one size, told at another
        if "noise" in self.accepted and (strides := strides_of(self.model.config)):
            count = (size[0] // strides[0][0]) * (size[1] // strides[0][1])
            inputs["noise"] = torch.arange(count, device=pixels.device).expand(len(pixels), count)  # no patch is hidden, none moved
        return inputs

    def _pieces(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images in as many pieces as memory wants; where something is learned, whoever trains decides."""
        if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in self.parameters())):
            return (x,)
        return x.split(self.images_at_once(x.shape))

    def images_at_once(self, shape: tuple[int, ...]) -> int:
        """How many images of a shape (..., H, W) go through the network together: fewer, the larger it sees them; two at least."""
        height, width = self.processing.target(shape[-2:])[1]
        return max(2, PIXELS_AT_ONCE // (height * width))

    # -- one vector for an image -----------------------------------------------------------------------------------------

    def pooled(self, outputs: Any) -> Tensor:
        """Features [B, F] of a pass, as `pooling` says. Raises: NoSuchPooling."""
        summary = getattr(outputs, "pooler_output", None)
        hidden = outputs.last_hidden_state
        if self.older and self.pooling == "default" and summary is None:
            return hidden[:, 0] if hidden.ndim == 3 else hidden.mean((2, 3))
        return pooled(self.pooling, summary, hidden, self.layout, self.kind)

    @torch.no_grad()
    def way(self, x: Tensor) -> str:
        """Which pooling the features of images x [B, C, H, W] are: what “default” is for this model, or what was chosen."""
        if self.pooling != "default":
            return self.pooling
        outputs = self.outputs(x[:1])
        if self.older and getattr(outputs, "pooler_output", None) is None:
            return "first" if not self.layout.cls and outputs.last_hidden_state.ndim == 3 else "cls" if self.layout.cls else "patches"
        return default_pooling(getattr(outputs, "pooler_output", None), outputs.last_hidden_state, self.layout)

    @torch.no_grad()
    def operations(self, x: Tensor) -> int:
        """Multiplications and additions of a pass over images x [B, C, H, W], those of matrix products and convolutions."""
        counter = FlopCounterMode(display=False)
        inputs = self._inputs(self.processed(x))
        plain = self._plain()  # whose attention is products that are counted
        with counter:
            plain(**inputs)
        return counter.get_total_flops()

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in 0..1 -> pooled features [B, F]. Raises: NoSuchPooling."""
        return torch.cat([self.pooled(self.outputs(piece)) for piece in self._pieces(x)])

    def each(self, x: Tensor) -> dict[str, Tensor]:
        """Features after the first layer, each block and at the end: the mean over places, without class token and registers, [B, F]
        each.
        """
        parts = [self._each(piece) for piece in self._pieces(x)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _each(self, x: Tensor) -> dict[str, Tensor]:
        outputs = self.outputs(x, every=True)
        found = {}
        for i, h in enumerate(outputs.hidden_states or ()):
            whole = self.older and h.ndim == 3
            found[f"block {i}" if i else "stem"] = h.mean(1) if whole else over_places(h, self.layout)
        return found | {"features": self.pooled(outputs)}

    # -- patches: what `engine.protocols.PatchTokens` asks for -----------------------------------------------------------

    @property
    def cuts(self) -> bool:
        """Whether images are cut into patches that its description names; not so plain convolutions (ResNet)."""
        return bool(strides_of(self.model.config))

    def has_patches(self, size: tuple[int, int]) -> bool:
        """Whether images of this height and width become the grid that `patch_grid` tells: one blank image shows it, once."""
        if size not in self._grids:
            try:
                told = self.patch_features(torch.zeros(1, 3, *size, device=next(self.parameters()).device))
                self._grids[size] = tuple(told.shape[1:3]) == self.patch_grid(size)
            except ValueError:  # NoPatches among them
                self._grids[size] = False
        return self._grids[size]

    @property
    def layers(self) -> int:
        """Layers in which every patch looks at every other one; 0 where none does: convolutions, windows as Swin's."""
        config = self.model.config
        joined = isinstance(getattr(config, "depths", None), (list, tuple))
        if joined or getattr(config, "window_size", 0) or not self.heads or self.layout.after or not self.cuts:
            return 0
        return int(getattr(config, "num_hidden_layers", 0))

    @property
    def heads(self) -> int:
        """Attention heads of each layer; 0: it has no attention, or another number in each layer."""
        told = getattr(self.model.config, "num_attention_heads", 0)
        return told if isinstance(told, int) else 0

    @property
    def special(self) -> int:
        """Tokens before the patches: class token, registers, DeiT's distillation token."""
        return self.layout.first

    @property
    def class_token(self) -> bool:
        """Whether the first token is a class token; I-JEPA and SigLIP have none."""
        return bool(self.layout.cls)

    def patch_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w): rows and columns of patches after the last layer, of images of this height and width.

        Raises: NoPatches: the model's description names no patches.
        """
        height, width = self.processing.target(size)[1]
        down, across = self._stride()
        pads = bool(getattr(self.model.config, "window_size", 0))  # Swin fills up the last window
        return (-(-height // down), -(-width // across)) if pads else (height // down, width // across)

    def patch_area(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(top, left, height, width) of what the patches lie on, in pixels of an image of this size: a centre crop and what is left
        over of a patch are no part of it.

        Raises: NoPatches
        """
        whole, crop = self.processing.target(size)
        scales = [given / n for given, n in zip(size, whole, strict=True)]
        begin = [(n - c) // 2 if n >= c else -((c - n) // 2) for n, c in zip(whole, crop, strict=True)]
        covered = [n * stride for n, stride in zip(self.patch_grid(size), self._stride(), strict=True)]
        return begin[0] * scales[0], begin[1] * scales[1], covered[0] * scales[0], covered[1] * scales[1]

    def _stride(self) -> tuple[int, int]:
        """Pixels between patches after the last layer. Raises: NoPatches."""
        if not self.cuts:
            raise NoPatches(f"This model ({self.kind}) does not cut images into patches; choose a vision transformer.")
        return strides_of(self.model.config)[-1]

    @torch.no_grad()
    def patch_features(self, x: Tensor) -> Tensor:
        """The patches' tokens after the last layer [B, h, w, D] of images x [B, C, H, W], no special ones; of convolutions the channels at
        each place.

        Raises: NoPatches: its answer is no grid of places.
        """
        with full(x.device):
            return torch.cat([self._patch_features(piece) for piece in self._pieces(x)])

    def _patch_features(self, x: Tensor) -> Tensor:
        pixels = self.processed(x)
        hidden = self.model(**self._inputs(pixels)).last_hidden_state
        if hidden.ndim == 4:
            return hidden.permute(0, 2, 3, 1)
        rows = self.layout.of_patches(hidden)
        grid = grid_of(rows.shape[1], (pixels.shape[2], pixels.shape[3]), strides_of(self.model.config))
        if grid is None:
            raise NoPatches(f"The answer of this model ({self.kind}) is no grid of patches; choose a vision transformer.")
        return rows.unflatten(1, grid)

    @torch.no_grad()
    def attention(self, x: Tensor, layer: int) -> Tensor:
        """softmax(QKᵀ/√d) of a layer (1 is the first) [B, heads, T, T], T = special + h w: row i is what token i looks at.

        It is computed in a copy of the network that shares its weights and has the plain attention, whose weights can be looked at.

        Raises: NoPatches: the model has no attention between all patches, or not so many layers.
        """
        if not 1 <= layer <= self.layers:
            none = f"This model ({self.kind}) has no attention between all patches; choose a vision transformer such as DINOv2."
            raise NoPatches(none if not self.layers else f"This model ({self.kind}) has the layers 1 to {self.layers}; choose one of them.")
        plain, found = self._plain(), []
        for piece in x.split(max(1, len(self._pieces(x)[0]) // (2 * self.heads))):  # the weights of all layers are held at once
            with full(x.device):
                weights = plain(**self._inputs(self.processed(piece)), output_attentions=True).attentions
            if not weights or len(weights) != self.layers or weights[layer - 1] is None:
                raise NoPatches(f"The library does not tell the attention of this kind of model ({self.kind}); choose another one.")
            found.append(weights[layer - 1])
        return torch.cat(found)

    def _plain(self) -> Any:
        """The same network on the same weights, with the attention that tells its weights."""
        with torch.device("meta"):
            plain = self._made(attention="eager")
        plain.load_state_dict(self.model.state_dict(), assign=True)
        for name, value in self.model.named_buffers():
            owner, _, last = name.rpartition(".")
            plain.get_submodule(owner)._buffers[last] = value
        return plain.requires_grad_(False).eval()
