"""The contract of a method: what every one is. What some of them can do is said by the typed protocols of `engine.protocols`.

Every file in `engine/methods/` holds one subclass of `Method`; nothing lists them by hand. A method knows tensors only: no device, no
file, no thread, no global randomness. Training lives in `engine.training`, looking at checkpoints in `engine.queries`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from engine.common.conditions import MOST_WORDS
from engine.config import fields_of
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, MethodInfo, Number
from engine.protocols import CAPABILITIES, implements, provides, sample_settings
from engine.protocols import Frame as Frame  # for those who write methods
from engine.protocols import Latents as Latents
from engine.protocols import View as View

if TYPE_CHECKING:
    from typing_extensions import TypeIs


class CannotLearn(ValueError):
    """One sentence: why a method cannot learn from this data, and which data it can."""


class Diverged(CannotLearn):
    """One sentence: the numbers of a training ran away, which with the same settings they would do again; and what to change."""


@dataclass(frozen=True)
class DataSpec:
    """What a network must know of its data."""

    shape: tuple[int, ...]  # (C, H, W); empty for a text
    classes: tuple[str, ...] = ()
    kind: str = "images"  # "images" | "text"
    symbols: tuple[int, ...] = ()  # of a text: code points or bytes, in ascending order; a token is a place in them
    units: str = "characters"  # of a text: "characters" | "bytes"
    words: tuple[str, ...] = ()  # of the captions, for a method that is told them; token k is words[k - 1], 0 is none

    @property
    def dims(self) -> int:
        """Numbers per image: channels count."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class StepContext:
    """Where in the training a loss is asked for."""

    step: int = 0
    progress: float = 0.0  # 0 at the start, 1 at the end of the planned training
    generator: torch.Generator | None = None  # all randomness of the loss comes from here
    indices: Tensor | None = None  # places of the batch's images in the training split, int64 [B]; None: other images
    phase: str = ""  # the term that is minimized now, of a method with several phases; "": all terms are asked for

    def gather(self, rows: Tensor) -> Tensor:
        """The rows that all devices have made in this step, in the order of the devices: [B, ...] -> [devices * B, ...].

        The same rows where one device trains. What compares or keeps the examples of a batch takes them through this.
        """
        return rows


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that one optimizer moves, and how; where a setting is None, as the training settings of the run say.

    Which optimizer that is, AdamW, SGD or LARS, is a setting of the run. β1 is how long it remembers the direction of its steps: of SGD
    and LARS the momentum; these have no β2.
    """

    parameters: tuple[nn.Parameter, ...]
    learning_rate: float | None = None  # at its highest; warm-up and schedule are the run's
    rate_setting: str = "learning_rate"  # what a person changes to have another one
    weight_decay: float | None = None  # never of biases and norms
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None  # longest gradient; 0: any


@dataclass(frozen=True)
class Phase:
    """A part of a step: `loss` is asked with `context.phase` = `term`, and that term's gradient moves the parameters of one optimizer."""

    term: str = "loss"
    optimizer: str = "all"


@dataclass(frozen=True)
class Description:
    """One checkpoint in numbers and words, on a fixed set of images."""

    numbers: tuple[Number, ...] = ()
    diagnosis: tuple[Diagnosis, ...] = ()
    kl: Tensor | None = None  # nats per latent dimension [D]
    scale: Tensor | None = None  # one slider unit per dimension [D]
    centre: Tensor | None = None  # the sliders' zero [D]
    pictures: Tensor | None = None  # what the weights look like: images in [0, 1], [n, C, H, W]
    captions: tuple[str, ...] = ()  # of the pictures
    active: Tensor | None = None  # which latent dimensions react to the image: bool [D]; see engine.common.active_dimensions
    names: tuple[str, ...] = ()  # of the latent dimensions [D], where they are of several kinds: "z2.1"
    share: Tensor | None = None  # of the variance of decoded images that each latent direction accounts for, to first order [D]
    class_scores: int = 0  # K: the last dimensions of z score the classes, and the largest of them is the class that is decoded


class Method(nn.Module):
    """Base of all methods: a config, the networks, and the loss by named terms.

    What a method can do beside learning is said by the protocols of `engine.protocols` (`Encoder`, `LatentSpace`, `Density`,
    `Sampler`, ...). Defining their functions is all: `capabilities` finds them, and the panes that need them open.

    Images come as float [B, C, H, W] in [0, 1], exactly k/255 for 8-bit k; a text comes as tokens, int64 [B, T]. Networks may run
    under autocast; every loss, density and score must be computed in float32 or better (see `engine.precision.full`).
    """

    Config: ClassVar[type]
    name: ClassVar[str]  # the file's name
    title: ClassVar[str]
    family: ClassVar[str]
    density: ClassVar[str] = "none"
    density_version: ClassVar[int] = 1  # counts up when `log_prob` of the same weights changes, so that kept scores are not taken for new
    sampling: ClassVar[str] = "none"
    conditional: bool = False  # whether a class can be asked for; of an instance: whether its settings say so
    source: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str] = ""
    accepts: ClassVar[str] = "images"  # "images" | "text": the kind of data it learns from
    largest_side: ClassVar[int] = 64  # pixels of an image's longer side
    needs: ClassVar[str] = ""  # "classes" | "frames": what the images must come with, whatever the settings; "": nothing
    headline: ClassVar[tuple[str, str, bool]] = ("loss", "", False)  # (validation term that judges a checkpoint, unit, bigger is better)
    units: ClassVar[dict[str, str]] = {}  # of the terms of `loss` that have one
    batch_splits: ClassVar[bool] = True  # the loss of a batch is the mean over its pieces' losses
    even_slices: ClassVar[bool] = False  # held-out examples are compared with each other, in slices of one size: a remainder is left out

    phases: ClassVar[tuple[Phase, ...]] = (Phase(),)  # of a step, in their order; each names one of `optimizers()`
    puzzle: ClassVar[str] = ""  # "rotation" | "jigsaw" | "mask"
    parents: ClassVar[dict[str, str]] = {}  # settings that may name a run to build on -> the method that run must be of; "": any
    # the setting that may name a folder of weights trained elsewhere: see `settings_from_pretrained` and `load_pretrained`
    pretrained_setting: ClassVar[str] = ""
    full_batch: ClassVar[bool] = False  # a step takes all training images, not a batch
    # buffers that only training needs (persistent=False): kept to go on from, not to look at
    training_only_buffers: ClassVar[tuple[str, ...]] = ()
    # buffers that `init_from_data` measures and older checkpoints may lack: then what is measured anew stands
    measured_buffers: ClassVar[tuple[str, ...]] = ()
    judged_from: ClassVar[int] = 200  # steps before which nothing is said of how well it learns; 0: what is said holds at any step
    forward_passes: float = 1.0  # of an image through an encoder in one step, all views and copies counted; a part of an image is a part
    wants_labels: ClassVar[bool] = False  # `describe` takes the classes as `y` too
    valid_examples: ClassVar[int] = 512  # held-out examples that every checkpoint is judged on
    images_at_once: int = 0  # of a step, where memory wants pieces of the batch and no setting says how large; 0: the whole batch
    valid_slice: ClassVar[int] = 128  # held-out examples looked at between two yields: fewer where a network is slow

    def __init__(self, config: Any, data: DataSpec) -> None:
        """Raises: CannotLearn: the images are too large, or what a subclass says."""
        super().__init__()
        if data.kind == "images" and max(data.shape[1:], default=0) > self.largest_side:
            side, most = max(data.shape[1:]), self.largest_side
            raise CannotLearn(
                f"{self.title} takes images of at most {most}×{most} pixels and these have {side}; import them smaller (size {most})"
                + (", or choose an encoder, which takes 256." if most < 256 else ".")
            )
        self.config = config
        self.data = data

    @classmethod
    def settings_from(cls, setting: str, method: str, config: dict[str, Any]) -> dict[str, Any]:
        """Settings that the run named by `setting` decides, given that run's method and config: networks must have its sizes."""
        return {}

    def init_from_run(self, setting: str, config: dict[str, Any], arrays: dict[str, Tensor]) -> None:
        """Take over the weights of the run named by `setting`, once, before the first step. arrays [...] by name."""

    @classmethod
    def settings_to_keep(cls, config: Any) -> dict[str, Any]:
        """Settings that the program notes of a new run by itself: what older versions did otherwise, so that their runs go on as begun."""
        return {}

    @classmethod
    def settings_from_pretrained(cls, found: Any) -> dict[str, Any]:
        """Settings that a folder of pretrained weights decides (`engine.storage.pretrained_folder.Pretrained`)."""
        return {}

    def load_pretrained(self, arrays: dict[str, Tensor]) -> None:
        """Take over pretrained weights [...], by name, once, before the first step."""

    def init_from_data(self, x: Tensor) -> None:
        """Look once at some training images (float [N, C, H, W]) before the first step, for example for an output bias."""

    def on_train_start(self, images: int, generator: torch.Generator) -> None:
        """There are so many training images. Called once, before the first step or the restoring of a later one."""

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """Named terms, scalars [] already averaged over the batch x [B, ...], y int64 [B] or None; the one called `loss` is minimized.

        A method with several phases is asked once for each, and returns at least the term `context.phase`; all terms where it is empty.
        """
        raise NotImplementedError

    def optimizers(self) -> dict[str, ParameterGroup]:
        """The parameters that learn, by the name of the optimizer that moves them; none is in two. Asked once, before the first step."""
        return {"all": ParameterGroup(tuple(p for p in self.parameters() if p.requires_grad))}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The number in the run list, from validation terms."""
        name, unit, _ = self.headline
        return f"{terms[name]:.2f} {unit}".rstrip()

    def bits_per_dim(self, nats: float) -> float:
        """Bits per dimension, of -log p(x) = `nats` per image."""
        return likelihoods.bits_per_dim(nats, self.data.dims)

    def evaluate_target(self, x: Tensor, generator: Randomness | None) -> Tensor:
        """The image [B, C, H, W] whose probability `log_prob` is: `x` itself, or what is drawn from it or rounded to fewer levels."""
        return x

    @property
    def pixel_levels(self) -> int:
        """How many values a pixel can have in the images whose probability `log_prob` is; 0 where it is none of single values."""
        return 0

    @property
    def comparable_from(self) -> int:
        """The step from which the headline term of checkpoints can be compared; an earlier one is best only until the next comes."""
        return 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to learn, whatever was planned."""
        return False

    @property
    def condition(self) -> str:
        """What y is: "" (nothing is told) | "class": int64 [B] | "caption": words int64 [B, L], 0 is none | "frames": the frames before
        each image, uint8 [B, 4, C, H, W], the oldest first.
        """
        return self.config.conditioned_on

    def require_conditions(self) -> None:
        """Raises: CannotLearn: the data have nothing of what the settings want to condition on."""
        lacking = {"class": ("classes", self.data.classes), "caption": ("captions", self.data.words)}
        if self.condition in lacking and not lacking[self.condition][1]:
            raise CannotLearn(
                f"These data have no {lacking[self.condition][0]} to condition on; set conditional to false or choose a data set with "
                f"{lacking[self.condition][0]}."
            )

    def told(self, y: Tensor | None, n: int, device: torch.device) -> Tensor | None:
        """What a network is told of n images: y [n, ...], or where it is None captions without words, if it is told captions; else None."""
        if y is None and self.condition == "caption":
            return torch.zeros(n, MOST_WORDS, dtype=torch.int64, device=device)
        return y if self.condition else None

    def forget_batch(self) -> None:
        """Memory ran out amid a batch and it begins anew in smaller pieces: undo whatever `loss` has noted of it."""

    def after_step(self, context: StepContext) -> None:
        """Momentum encoders, queues, centres: whatever moves after the optimizer has."""

    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Numbers and diagnosis of these weights on fixed held-out images. x [N, C, H, W], or int64 [N, T] of text."""
        return Description()


class FullBatch(Protocol):
    """A method without gradients and parameters, whose step takes all training images; `loss` judges it."""

    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """One step on images [N, C, H, W]: named terms, averaged over the images."""
        ...


class TwoPartLoss(Protocol):
    """A loss over the whole batch (`batch_splits` False) cut in two, so that it can be computed in pieces with cached gradients."""

    def project(self, x: Tensor, context: StepContext) -> Tensor:
        """[B, V, d], image by image."""
        ...

    def contrast(self, z: Tensor, context: StepContext) -> dict[str, Tensor]:
        """The named terms of `loss`, of all images' [B, V, d]."""
        ...


def judged(method: Method, found: Description, step: int) -> tuple[Diagnosis, ...]:
    """The diagnosis of a checkpoint, or in the first `judged_from` steps that it is too early for one: every network begins collapsed."""
    if step >= method.judged_from or not found.diagnosis:
        return found.diagnosis
    return (Diagnosis("muted", f"Too early to say how well it learns: checkpoints are judged from step {method.judged_from} on."),)


@cache
def capabilities(method: type[Method]) -> tuple[str, ...]:
    """The names of what a method can do, in the order of `CAPABILITIES`."""
    return tuple(name for name, protocol in CAPABILITIES.items() if implements(method, protocol))


def cuts(method: object) -> TypeIs[TwoPartLoss]:
    """Whether its loss of a whole batch can be computed in pieces with cached gradients."""
    return provides(method, TwoPartLoss)


def info(method: type[Method]) -> MethodInfo:
    """What `list` and the window say about a method."""
    return MethodInfo(
        name=method.name,
        title=method.title,
        family=method.family,
        density=method.density,
        sampling=method.sampling,
        conditional=method.conditional,
        capabilities=capabilities(method),
        source=method.source,
        summary=method.summary,
        formula=method.formula,
        accepts=method.accepts,
        needs=method.needs,
        ends_by_itself=method.finished is not Method.finished,
        units=tuple(method.units.items()),
        fields=fields_of(method.Config),
        sample_fields=fields_of(kind) if (kind := sample_settings(method)) else (),
    )


def build(method: type[Method], config: Any, data: DataSpec, seed: int, device: str = "cpu") -> Method:
    """A freshly initialized method. Its weights depend on the seed only, and no global random state is touched."""
    from engine.nets.init import initialize

    with torch.device("meta"):
        made = method(config, data)
    made = made.to_empty(device="cpu")
    initialize(made, torch.Generator().manual_seed(seed))
    return made.to(device)


def skeleton(method: type[Method], config: Any, data: DataSpec) -> Method:
    """A method without weights (on the meta device), ready for `load_state_dict(..., assign=True)`."""
    with torch.device("meta"):
        return method(config, data)
