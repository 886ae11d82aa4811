"""Small vision models of the transformers library with random weights, one of each kind that people bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.nets.backbone import Backbone, library

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 24, "patch_size": 6}
STAGES = {"hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1], "image_size": 64}
WINDOWS = {"embed_dim": 12, "depths": [1, 1], "num_heads": [2, 2], "window_size": 3, "image_size": 24, "patch_size": 2}
DECODER = {
    "decoder_hidden_size": 16,
    "decoder_num_attention_heads": 2,
    "decoder_num_hidden_layers": 1,
    "decoder_intermediate_size": 16,
}
KINDS: dict[str, dict[str, Any]] = {
    "vit": SMALL,
    "deit": SMALL,
    "dinov2": {**SMALL, "mlp_ratio": 2},
    "dinov2_with_registers": {**SMALL, "mlp_ratio": 2, "num_register_tokens": 3},
    "dinov3_vit": {**SMALL, "num_register_tokens": 3},
    "vit_mae": {**SMALL, **DECODER},
    "ijepa": SMALL,
    "clip_vision_model": SMALL,
    "siglip_vision_model": SMALL,
    "siglip2_vision_model": {**SMALL, "num_patches": 16},
    "vit_msn": SMALL,
    "beit": SMALL,
    "data2vec-vision": SMALL,
    "swin": WINDOWS,
    "convnext": STAGES,
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
}
TRANSFORMERS = [name for name in KINDS if name not in ("swin", "convnext", "resnet")]
CLS = {name: name not in ("ijepa", "siglip_vision_model", "siglip2_vision_model", "swin", "convnext", "resnet") for name in KINDS}
REGISTERS = {"dinov2_with_registers": 3, "dinov3_vit": 3, "deit": 1}  # of DeiT the distillation token


def built(kind: str, **changes: Any) -> Any:
    """The library's model, every weight drawn anew: some kinds begin with zeros, which would hide a fault."""
    transformers = library()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **{**KINDS[kind], **changes})).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or "norm" not in name:
                torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model.requires_grad_(False)


def backbone(model: Any, side: int = 0, pooling: str = "default", processing: dict[str, Any] | None = None) -> Backbone:
    """Ours, with the weights of the library's model."""
    told = json.dumps(processing) if processing else ""
    ours = Backbone(json.dumps(model.config.to_dict()), told, side, pooling)
    ours.model.load_state_dict(model.state_dict())
    return ours.requires_grad_(False).eval()


def saved(folder: Path, kind: str, processing: dict[str, Any] | None = None, **changes: Any) -> Any:
    """A model with random weights, as the library writes it."""
    model = built(kind, **changes)
    model.save_pretrained(folder)
    if processing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processing), encoding="utf-8")
    return model
