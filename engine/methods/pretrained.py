"""A backbone that others have trained, opened from a local folder: DINOv2 and other vision models in the Hugging Face layout.

Nothing is trained: the run has one checkpoint, the weights as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.classical import ClassicalMethod
from engine.bases.encoder import described, precise
from engine.config import setting
from engine.messages import Diagnosis
from engine.method import CannotLearn, DataSpec, Description, Method, StepContext
from engine.nets.backbone import Backbone, NotInstalled
from engine.nets.backbone_tokens import POOLINGS
from engine.precision import full


@dataclass(frozen=True)
class Config(ClassicalMethod):
    folder: str = setting("", "Folder with the model's config.json and model.safetensors; empty: a tiny one with random weights.")
    side: int = setting(
        0, "Pixels a side that images are brought to, a multiple of its patches; 0: as the model's own processing says.", low=0, high=1024,
        unit="pixels",
    )  # fmt: skip
    pooling: str = setting(
        "default",
        "What of its answer becomes the features: the class token (CLS), the mean of the patches, both in a row, or its own pooler. "
        "Default: the pooler where the folder has one, else CLS, else the mean of the patches. Register tokens are never taken in.",
        choices=POOLINGS,
    )
    architecture: str = setting("", "The model's description.", group="", kept=True)
    processing: str = setting("", "What is done to images before it sees them.", group="", kept=True)
    reading: int = setting(0, "How a folder is read: 0, as versions before 0.3 did; 1, as today.", group="", kept=True)


class PretrainedEncoder(Method):
    """A pretrained vision encoder from a folder of the `transformers` library; nothing is trained."""

    Config = Config
    title = "Pretrained backbone"
    largest_side = 256
    family = "Self-supervision · self-distillation"
    judged_from = 0
    source = "Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023 (arXiv 2304.07193), and others in its layout"
    summary = (
        "A network that somebody else has trained, mostly on many more images than there are here. It is opened as it is and looked at "
        "with the same panes: maps of its features, probes, neighbours."
    )
    formula = "f(x)"
    headline = ("spread", "", True)
    pretrained_setting = "folder"
    units: ClassVar = {}
    valid_examples = 64
    valid_slice = 8

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        try:
            older = bool(config.architecture) and not config.reading  # their features stay what they were
            self.network = Backbone(config.architecture, config.processing, config.side, config.pooling, older)
        except (ValueError, NotInstalled) as error:
            raise CannotLearn(str(error)) from None
        self.requires_grad_(False)

    @classmethod
    def settings_from_pretrained(cls, found: Any) -> dict[str, Any]:
        """What is noted of an opened folder (`engine.storage.pretrained_folder.Pretrained`)."""
        return {"architecture": found.architecture, "processing": found.processing, "reading": 1}

    def load_pretrained(self, arrays: dict[str, Tensor]) -> None:
        """Take over the folder's weights [...] by name.

        Raises:
            CannotLearn: some are missing or of another shape.
        """
        try:
            self.network.model.load_state_dict(arrays)
        except RuntimeError as error:
            why = str(error).splitlines()[-1].strip()
            raise CannotLearn(f"The folder's weights do not fit its description ({why}); copy the model's folder again.") from None

    @property
    def finished(self) -> bool:
        """True: there is nothing to train."""
        return True

    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """Trains nothing; the terms of `loss` for x [B, C, H, W]."""
        return self.loss(x, y, context)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`spread` of the features' directions, 1 at most; `loss`: what is missing to 1. Nothing is done about it. x [B, C, H, W] ->
        scalars [].
        """
        directions = F.normalize(self.encode(x), dim=1)
        spread = directions.var(0, correction=0).sum().sqrt()
        return {"loss": 1 - spread, "spread": spread}

    def headline_words(self, terms: dict[str, float]) -> str:
        """What the list of runs shows."""
        return "as it came"

    def encode(self, x: Tensor) -> Tensor:
        """The library's own summary of an image [B, F]."""
        with full(x.device):
            return precise(self.network(x))

    def blocks(self, x: Tensor) -> dict[str, Tensor]:
        """After each block, the mean over places [B, F]."""
        with full(x.device):
            return self.network.each(x)

    def patch_tokens(self, x: Tensor) -> Tensor:
        """Features of the patches after the last layer [B, h, w, D]. Raises: NoPatches."""
        with full(x.device):
            return precise(self.network.patch_tokens(x))

    @property
    def attention_layers(self) -> int:
        """In how many layers every patch looks at every other one; 0: in none."""
        return self.network.attention_layers

    def attention(self, x: Tensor, layer: int = -1) -> Tensor:
        """Attention weights of one layer between all tokens [B, heads, T, T]. Raises: NoPatches."""
        with full(x.device):
            return precise(self.network.attention(x, layer))

    def cls_attention(self, x: Tensor, layer: int = -1) -> Tensor:
        """How much the class token looks at each patch [B, heads, h, w]. Raises: NoPatches."""
        with full(x.device):
            return precise(self.network.cls_attention(x, layer))

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """How the features of held-out images x [N, C, H, W] are spread."""
        base = described(torch.cat([self.encode(piece) for piece in x[: self.valid_examples].split(self.valid_slice)]))
        if self.config.architecture:
            return base
        return Description(base.numbers, (*base.diagnosis, Diagnosis("warning", "No folder was named: these are random weights.")))
