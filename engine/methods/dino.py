"""DINO: a student learns to say of every crop of an image what its own moving average says of another one (Caron et al. 2021).

Options of DINOv2 (Oquab et al. 2023): Sinkhorn–Knopp in place of the centre, KoLeo, and the masked-patch loss of iBOT
(Zhou et al. 2022). Losses are in nats, averaged over images and pairs of crops. Features are the teacher's, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, described, precise
from engine.config import setting
from engine.losses.contrastive import follow
from engine.losses.distillation import (
    along_cosine,
    answers_of,
    centred,
    diagnose,
    dino,
    entropy,
    hidden_patches,
    koleo,
    masked_patches,
    moved,
    numbers_of,
    recognized,
    sinkhorn_knopp,
    warmed,
)
from engine.method import CannotLearn, DataSpec, Description, StepContext, View
from engine.nets.encoders import encoder
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment

GLOBALS = 2  # crops that the teacher sees
RARE = 0.1  # how much rarer the second global crop is blurred than the first (Grill et al. 2020, BYOL, table 6)
HALF = 0.5  # likewise the local crops


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    prototypes: int = setting(1024, "Among how many the answers choose.", low=2, high=65536, log=True, unit="prototypes")
    hidden: int = setting(512, "Width of the head's two hidden layers.", low=4, high=4096, unit="units")
    projection: int = setting(64, "Numbers of a unit vector that is compared with the prototypes.", low=2, high=1024, unit="dimensions")
    student_temperature: float = setting(0.1, "Temperature of the student's answers.", low=0.01, high=1.0, log=True, group="Objective")
    teacher_temperature: float = setting(
        0.03,
        "Temperature of the teacher's answers in the beginning: the lower, the sharper. The papers begin with 0.04.",
        low=0.005,
        high=1.0,
        log=True,
        group="Objective",
    )
    later_temperature: float = setting(
        0.03,
        "Temperature of the teacher's answers once it is warmed up; the papers end with 0.04 to 0.07.",
        low=0.005,
        high=1.0,
        log=True,
        label="later teacher temperature",
        group="Objective",
    )
    teacher_warmup: float = setting(
        0.3, "Share of the training over which the teacher's temperature changes.", low=0.0, high=1.0, group="Objective"
    )
    centering: str = setting(
        "sinkhorn",
        "What keeps all images from the same answer: Sinkhorn–Knopp on each batch (DINOv2), or a moving mean that is taken away (DINO), "
        "which takes longer to get going.",
        choices=("sinkhorn", "centre"),
        group="Objective",
    )
    centre_momentum: float = setting(0.9, "Share that the centre keeps of itself at each step.", low=0.0, high=1.0, group="Objective")
    momentum: float = setting(
        0.97,
        "Share that the teacher keeps of itself at each step in the beginning; it rises to 1 along a cosine. Long trainings use 0.996.",
        low=0.0,
        high=1.0,
        group="Objective",
    )
    freeze: float = setting(
        0.02, "Share of the training, at its start, in which the prototypes stay as they are.", low=0.0, high=1.0, group="Objective"
    )
    koleo: float = setting(
        0.0, "Weight of KoLeo, which spreads features evenly; DINOv2 has 0.1.", low=0.0, high=10.0, label="KoLeo", group="Objective"
    )
    masked: float = setting(
        0.0, "Weight of the masked-patch loss, for a ViT; DINOv2 has 1.", low=0.0, high=10.0, label="masked patches", group="Objective"
    )
    mask_ratio: float = setting(
        0.5, "Largest share of hidden patches in the half of the global crops that are masked.", low=0.05, high=0.95, group="Objective"
    )
    local_crops: int = setting(2, "Crops of half the side that only the student sees.", low=0, high=12, unit="crops", group="Augmentation")
    local_least: float = setting(
        0.1, "Smallest share of the picture's area that a local crop keeps.", low=0.01, high=1.0, group="Augmentation"
    )
    local_most: float = setting(
        0.4, "Largest share of the picture's area that a local crop keeps.", low=0.01, high=1.0, group="Augmentation"
    )
    asymmetric: bool = setting(
        True, "The second global crop is blurred a tenth as often as the first and the only one to be solarized; local crops are blurred "
        "half as often. Off: all crops alike.", group="Augmentation",
    )  # fmt: skip
    crop_least: float = setting(
        0.3, "Smallest share of the picture's area that a global crop keeps.", low=0.01, high=1.0, group="Augmentation"
    )
    solarize: float = setting(0.2, "Probability that the bright half of the range is inverted.", low=0.0, high=1.0, group="Augmentation")
    batch_size: int = setting(128, "Images per optimizer step.", low=2, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    clip: float = setting(3.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")
    ema: float = setting(
        0.0,
        "Decay of averaged student weights, beside the teacher who is an average already; 0: none.",
        low=0.0,
        high=0.99999,
        group="Training",
    )


class Prototypes(nn.Module):
    """Unit vectors in K directions, compared by cosine: a weight-normed linear layer whose length is fixed at 1."""

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.empty(count, size))

    def reset(self, generator: torch.Generator) -> None:
        """Draw the prototypes anew from a standard normal."""
        nn.init.normal_(self.directions, generator=generator)

    @property
    def weight(self) -> Tensor:  # [K, d], unit rows
        """The prototypes [K, d], unit rows."""
        return F.normalize(self.directions, dim=1)

    def forward(self, u: Tensor, learns: bool = True) -> Tensor:  # [..., d], unit rows -> [..., K]
        """Unit rows u [..., d] -> cosines with the prototypes [..., K]; `learns`: the prototypes get a gradient."""
        return F.linear(u, self.weight if learns else self.weight.detach())


class Projection(nn.Module):
    """Two hidden layers and a bottleneck of unit length (Caron et al. 2021, appendix C), then the prototypes."""

    def __init__(self, features: int, hidden: int, to: int, prototypes: int) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(features, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, to)
        self.prototypes = Prototypes(to, prototypes)

    def forward(self, h: Tensor) -> Tensor:  # [N, F] -> unit rows [N, d]
        """Features [N, F] -> unit rows [N, d]."""
        return F.normalize(self.third(F.gelu(self.second(F.gelu(self.first(h))))), dim=1)


class DINO(EncoderMethod):
    """Self-distillation with no labels (Caron et al. 2021), with terms of DINOv2 (Oquab et al. 2023)."""

    Config = Config
    title = "DINO"
    family = "Self-supervision · self-distillation"
    source = (
        "Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021 (2104.14294); Oquab et al. 2023 (2304.07193)"
    )
    summary = (
        "A student looks at small and large crops of an image, its teacher at large ones only, and the student must give the teacher's "
        "answer to another crop. The teacher is a moving average of the student. No negatives: centring and sharpening prevent collapse."
    )
    formula = "min −Σ<sub>k</sub> softmax((t − c)/τ<sub>t</sub>)<sub>k</sub> log softmax(s/τ<sub>s</sub>)<sub>k</sub>"
    headline = ("top1_retrieval", "", True)
    units: ClassVar = {"loss": "nat", "teacher entropy": "nat", "KL": "nat"}
    judged_from = 500

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        if config.masked and config.encoder != "vit":
            raise CannotLearn("The masked-patch loss hides patches of a transformer; choose encoder=vit or set masked to 0.")
        self.forward_passes = (
            2.0 * GLOBALS + config.local_crops / 4
        )  # student and teacher see the global crops; local ones have half the side
        self.valid_slice = config.batch_size  # type: ignore[misc]  # Sinkhorn–Knopp and retrieval see as many images as in training
        self.batch_splits = config.centering == "centre" and not config.koleo  # type: ignore[misc]  # the others look at the whole batch
        self.student: Any = encoder(config.encoder, data.shape, config.width, config.blocks, config.norm)  # `network` is the teacher
        self.head, self.student_head = (
            Projection(self.network.features, config.hidden, config.projection, config.prototypes) for _ in range(2)
        )
        self.network.requires_grad_(False)
        self.head.requires_grad_(False)
        self.register_buffer("centre", torch.empty(config.prototypes))
        self.register_buffer("patch_centre", torch.empty(config.prototypes if config.masked else 0))
        self.centre: Tensor
        self.patch_centre: Tensor
        self._noted: dict[str, tuple[Tensor, int]] = {}  # of the step in hand: sums of the teacher's logits, and of how many

    def reset(self, generator: torch.Generator) -> None:
        """Set the centres to zero."""
        self.centre.zero_()
        self.patch_centre.zero_()

    def on_train_start(self, images: int, generator: torch.Generator) -> None:
        """The teacher begins as the student is."""
        self.network.load_state_dict(self.student.state_dict())
        self.head.load_state_dict(self.student_head.state_dict())

    # -- what is seen --------------------------------------------------------------------------------------------------

    def views(self, x: Tensor, generator: torch.Generator) -> tuple[View, ...]:
        """Two global crops, which student and teacher see, then the local ones, of half the side. x [B, C, H, W]."""
        c = self.config
        size = (x.shape[2], x.shape[3])
        small = (max(1, size[0] // 2), max(1, size[1] // 2))
        first, second, local = c.recipe(), c.recipe(), c.recipe(crop=(c.local_least, max(c.local_least, c.local_most)))
        if c.asymmetric:
            first = c.recipe(solarize=0.0)
            second = c.recipe(blur=RARE * c.blur)
            local = c.recipe(crop=local.crop, blur=HALF * c.blur, solarize=0.0)
        large = [View(f"global {i}", *augment(x, recipe, generator), "student and teacher") for i, recipe in enumerate((first, second), 1)]
        return (*large, *(View(f"local {i + 1}", *augment(x, local, generator, small), "student") for i in range(c.local_crops)))

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d] that are compared with the prototypes: the student's with the role "student", else the teacher's."""
        network, head = (self.student, self.student_head) if role == "student" else (self.network, self.head)
        with full(x.device):
            return head(network(x))

    def _seen(self, network: Any, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features [N, F] and, for the masked-patch loss, those of each patch [N, P, F], in float32 or better."""
        if not self.config.masked:
            return precise(network(x)), None
        tokens = precise(network.tokens(x, hidden))
        return tokens[:, 0], tokens[:, 1:]

    # -- the loss ------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: cross-entropy of the teacher's and the student's answers, and what else has a weight. `teacher entropy` and `KL` add
        up to that cross-entropy. `top1_retrieval`: share of global crops that the student sees nearest to where the teacher sees the other
        one of the same image. `koleo` and `masked`: the terms of DINOv2, where they have a weight. x [B, C, H, W] -> scalars [].
        """
        assert context.generator is not None
        views = self.views(x, context.generator)
        large, small = (torch.cat([view.x for view in some]) if some else None for some in (views[:GLOBALS], views[GLOBALS:]))
        assert large is not None
        hidden = None
        if self.config.masked:
            hidden = hidden_patches(len(large), self._places(large), self.config.mask_ratio, context.generator).to(x.device)
        with torch.no_grad():
            theirs, their_patches = self._seen(self.network, large)
        ours, our_patches = self._seen(self.student, large, hidden)
        h = ours if small is None else torch.cat([ours, self._seen(self.student, small)[0]])
        with full(x.device):
            terms = self._compared(h, theirs, context)
            if self.config.koleo:
                terms["koleo"] = sum(
                    (koleo(one) for one in ours.unflatten(0, (GLOBALS, -1))), ours.new_zeros(())
                )  # added up, as DINOv2 does
                terms["loss"] = terms["loss"] + self.config.koleo * terms["koleo"]
            if hidden is not None and our_patches is not None and their_patches is not None:
                terms["masked"] = self._masked(our_patches[hidden], their_patches[hidden], hidden, context)
                terms["loss"] = terms["loss"] + self.config.masked * terms["masked"]
        return terms

    def _compared(self, h: Tensor, theirs: Tensor, context: StepContext) -> dict[str, Tensor]:
        """The terms of DINO from the student's features of all crops [S B, F] and the teacher's of its own [2 B, F]."""
        u = self.student_head(h)
        logits = self._student_logits(u, context).unflatten(0, (-1, len(theirs) // GLOBALS))  # [S, B, K]
        with torch.no_grad():
            v = self.head(theirs)
            teacher_cosines = self.head.prototypes(v)
            self._note("centre", context.gather(teacher_cosines))
            q = self._answers(teacher_cosines, self.centre, context.progress).unflatten(0, (GLOBALS, -1))  # [2, B, K]
            spread = entropy(q)
        loss = dino(q, logits, self.config.student_temperature)
        with torch.no_grad():
            (asking1, asking2), (seen1, seen2) = u[: len(v)].chunk(GLOBALS), v.chunk(GLOBALS)
            found = (recognized(asking1, seen2) + recognized(asking2, seen1)) / 2
        return {"loss": loss, "teacher entropy": spread, "KL": loss.detach() - spread, "top1_retrieval": found}

    def _masked(self, ours: Tensor, theirs: Tensor, hidden: Tensor, context: StepContext) -> Tensor:
        """The masked-patch loss from features of hidden patches [M, F]; the head is the one of whole images (iBOT, section 3.2)."""
        if not len(ours):
            return ours.sum()
        with torch.no_grad():
            teacher_cosines = self.head.prototypes(self.head(theirs))
            self._note("patch_centre", teacher_cosines)
            q = self._answers(teacher_cosines, self.patch_centre, context.progress)
        return masked_patches(q, self._student_logits(self.student_head(ours), context), hidden, self.config.student_temperature)

    def _places(self, x: Tensor) -> int:
        patch = self.student.patch
        return -(-x.shape[2] // patch) * -(-x.shape[3] // patch)

    def _student_logits(self, u: Tensor, context: StepContext) -> Tensor:
        return self.student_head.prototypes(u, learns=context.progress >= self.config.freeze)

    def _answers(self, logits: Tensor, centre: Tensor, progress: float) -> Tensor:
        """The teacher's answers [N, K] as probabilities."""
        c = self.config
        temperature = warmed(c.teacher_temperature, c.later_temperature, c.teacher_warmup, progress)
        return sinkhorn_knopp(logits, temperature) if c.centering == "sinkhorn" else centred(logits, centre, temperature)

    def _note(self, centre: str, logits: Tensor) -> None:
        """The centre moves once the step is done; a batch may come in pieces."""
        if self.training:
            total, count = self._noted.get(centre, (0, 0))
            self._noted[centre] = (total + logits.sum(0), count + len(logits))

    def forget_batch(self) -> None:
        """Drop what was noted of the last batch."""
        self._noted = {}

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """The centre moves to what the teacher said of this batch, and the teacher to the student; its batch statistics are its own, of the
        global crops that it saw."""
        for name, (total, count) in self._noted.items():
            centre = self.get_buffer(name)
            centre.copy_(moved(centre, total / count, self.config.centre_momentum))
        self._noted = {}
        momentum = along_cosine(self.config.momentum, 1.0, context.progress)
        follow(self.student, self.network, momentum)
        follow(self.student_head, self.head, momentum)

    # -- how it is doing -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Whether the answers to two global crops have collapsed, and how the teacher's features of the whole images are spread. x [N,
        C, H, W].
        """
        large = torch.cat([view.x for view in self.views(x, generator)[:GLOBALS]])
        with full(x.device):
            teacher_cosines = self.head.prototypes(self.head(self.network(large)))
            q = self._answers(teacher_cosines, self.centre, progress=1.0).unflatten(0, (GLOBALS, -1))
            logits = self.student_head.prototypes(self.student_head(self.student(large))).unflatten(0, (GLOBALS, -1))
            answers = answers_of(q, teacher_cosines.unflatten(0, (GLOBALS, -1)), logits, self.config.student_temperature)
        features = described(self.encode(x))
        return Description(numbers_of(answers) + features.numbers, (diagnose(answers), *features.diagnosis))
