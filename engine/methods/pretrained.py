"""A backbone that others have trained, opened from a local folder: DINOv2 and other vision models in the Hugging Face layout.

Nothing is trained: the run has one checkpoint, the weights as they came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.classical import ClassicalMethod
from engine.bases.encoder import described, precise
from engine.common.spacing import evenly
from engine.config import setting
from engine.device import out_of_memory
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Method, StepContext
from engine.nets.backbone import Backbone, NotInstalled
from engine.nets.backbone_tokens import IN_WORDS, POOLINGS, NoSuchPooling
from engine.precision import full


@dataclass(frozen=True)
class Config(ClassicalMethod):
    folder: str = setting(
        "", "Folder with the model's config.json and model.safetensors; empty: a tiny one with random weights.", folder="model"
    )
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
        self.images_at_once = self.network.images_at_once(data.shape)

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
        self._try_out()

    @torch.no_grad()
    def _try_out(self) -> None:
        """Encode an image of noise twice. Raises: CannotLearn: it cannot be encoded, or has two answers."""
        device = next(self.parameters()).device
        x = torch.rand(1, *self.data.shape, generator=torch.Generator().manual_seed(0)).to(device)
        training = self.training
        self.eval()
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                answers = [self._tried(x, seed) for seed in (1, 2)]
        finally:
            self.train(training)
        if not all(bool(answer.isfinite().all()) for answer in answers):
            raise CannotLearn("This model gives features that are not finite numbers; copy its folder again or choose another model.")
        if not torch.allclose(*answers, rtol=1e-3, atol=1e-5):
            raise CannotLearn(
                f"This model ({self.network.kind}) gives one image two different answers, so nothing could be said of its features; "
                "choose a model that draws nothing at random."
            )

    def _tried(self, x: Tensor, seed: int) -> Tensor:
        """Features [1, F] with the global numbers at `seed`, which a network should not use. Raises: CannotLearn."""
        torch.manual_seed(seed)
        try:
            return self.encode(x)
        except NoSuchPooling as error:
            raise CannotLearn(str(error)) from None
        except Exception as error:  # the library raises what it likes
            if out_of_memory(error):
                raise
            height, width = self.network.processing.target(x.shape[2:])[1]
            why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
            own = self.network.own_size
            remedy = f"its own size is {own[0]}×{own[1]}: set side to {own[0]}" if own and own != (height, width) else "set another side"
            raise CannotLearn(
                f"This model ({self.network.kind}) cannot take images of {height}×{width} px ({why}); {remedy} or choose another model."
            ) from None

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

    def patch_network(self) -> Backbone | None:
        """The network, where it cuts images into patches."""
        return self.network if self.network.has_patches((self.data.shape[1], self.data.shape[2])) else None

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """How the features of held-out images x [N, C, H, W] are spread, what the network sees of them, and what it costs."""
        some = x[torch.from_numpy(evenly(len(x), self.valid_examples)).to(x.device)]
        base = described(torch.cat([self.encode(piece) for piece in some.split(self.valid_slice)]))
        told = Description((*base.numbers, *self._costs(x[:1])), base.diagnosis)
        if self.config.architecture:
            return Description(told.numbers, (*told.diagnosis, *self._notes(x[:1])))
        return Description(told.numbers, (*told.diagnosis, Diagnosis("warning", "No folder was named: these are random weights.")))

    def _costs(self, x: Tensor) -> tuple[Number, ...]:
        """Sizes of the network and what one image x [1, C, H, W] costs."""
        count = sum(p.numel() for p in self.network.parameters())
        height, width = self.network.processing.target(x.shape[2:])[1]
        with full(x.device):
            work = self.network.operations(x)
        return (
            Number("parameters", count / 1e6, "million", 1, f"{4 * count / 1e6:,.0f} MB in memory; none of them is trained."),
            Number("image size", math.sqrt(height * width), "px", 0, f"Every image is brought to {height}×{width} px first."),
            Number("cost of an image", work / 1e9, "GFLOP", 2, "Multiplications and additions of one pass, in thousands of millions."),
        )

    def _notes(self, x: Tensor) -> tuple[Diagnosis, ...]:
        """What is done to images x [1, C, H, W] and what the features are, in words."""
        network = self.network
        words = network.processing.in_words(x.shape[2:])
        if network.processing.entries:
            seen = Diagnosis("muted", words)
        else:
            lacking = "The model's folder does not say how values are normalized, so they are not; copy its preprocessor_config.json too."
            seen = Diagnosis("warning", f"{words} {lacking}")
        return (seen, Diagnosis("muted", f"Features are {IN_WORDS[network.way(x)]}{self._chosen()}."))

    def _chosen(self) -> str:
        return f", the default of {self.network.kind}" if self.config.pooling == "default" else ""
