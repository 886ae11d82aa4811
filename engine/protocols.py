"""What methods can do, as typed protocols: the only things that queries, detectors and panes ask a method for.

A class has a protocol when it defines, or annotates, all its members; `provides` asks. A new capability that panes ask for by name
gets a line in `CAPABILITIES`. What every method is stands in `engine.method`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

import torch
from torch import Tensor

from engine.losses.likelihoods import Randomness

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from engine.transforms.augmentation import Draw


@dataclass(frozen=True)
class View:
    """What a network is given of a batch of images."""

    name: str  # "view 1", "local 3", "turned by 90°"
    x: Tensor  # [B, C, h, w]
    draw: Draw | None = None  # what the augmentation did, where one did
    role: str = ""  # which network sees it: "query" | "key" | "student" | "teacher" | "student and teacher"


@dataclass(frozen=True)
class Latents:
    """A batch of posteriors: q(z|x) = N(mean, sigma^2); a deterministic encoder has sigma = 0."""

    mean: Tensor  # [B, D]
    sigma: Tensor  # [B, D]


@dataclass(frozen=True)
class Frame:
    """A partial result of drawing samples: direct samplers give one, iterative ones several, and the last is the finished one."""

    x: Tensor  # images in [0, 1] [n, C, H, W], or tokens int64 [n, i] of a text
    step: int  # steps done: symbols written, or denoising steps taken
    count: int  # steps there are in all; `step == count` is the end
    note: str = ""  # what is to be said of it, short: "σ 2.30"
    energy: Tensor | None = None  # of each sample as it is here [n], where chains walk down one


class FlowDensity(NamedTuple):
    """log p of a probability flow, in nats."""

    log_p: Tensor  # [B], float64
    probe_error: Tensor  # [B]: standard error that random probes of the divergence leave; 0 where it is exact
    solver_error: Tensor  # [B]: how far a solver of infinitely many steps may be from it; NaN of a single step

    @property
    def error(self) -> Tensor:
        """Both together [B]: as independent errors add up."""
        return (self.probe_error.square() + self.solver_error.square()).sqrt()


class Encoder(Protocol):
    """Features of images."""

    def encode(self, x: Tensor) -> Tensor:
        """Features [B, D] of images [B, C, H, W]; each row depends on its own image only (in eval mode)."""
        ...


class BlockEncoder(Encoder, Protocol):
    """An encoder that also tells what is known after each of its blocks."""

    def blocks(self, x: Tensor) -> dict[str, Tensor]:
        """Features [B, F] after each block by its name, in order, averaged over places."""
        ...


class PatchTokens(Protocol):
    """A vision transformer (Dosovitskiy et al. 2021): an image is a grid of h × w patches, each of them a token, that come in raster order
    after `special` tokens: the class token, and registers (Darcet et al. 2024).
    """

    @property
    def layers(self) -> int:
        """Blocks with self-attention."""
        ...

    @property
    def heads(self) -> int:
        """Attention heads of each layer."""
        ...

    @property
    def special(self) -> int:
        """Tokens before the patches."""
        ...

    @property
    def class_token(self) -> bool:
        """Whether the first token is a class token."""
        ...

    def patch_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w): rows and columns of patches of an image of this height and width."""
        ...

    def patch_area(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(top, left, height, width) of what the grid covers, in pixels of an image of this size: less where the network sees a crop of
        it, more where the last patches are padded.
        """
        ...

    def patch_features(self, x: Tensor) -> Tensor:
        """The patches' tokens of images [B, C, H, W] after the last layer and the final norm, float32 [B, h, w, D]; no special ones."""
        ...

    def attention(self, x: Tensor, layer: int) -> Tensor:
        """softmax(QKᵀ/√d) of a layer (1 is the first), float32 [B, heads, T, T], T = special + h w: row i is what token i looks at, and
        sums to 1.
        """
        ...


class PatchEncoder(Protocol):
    """A method whose encoder may be a vision transformer."""

    def patch_network(self) -> PatchTokens | None:
        """The transformer, or None where this run's network is another one."""
        ...


class Decoder(Protocol):
    """Images from vectors."""

    def decode(self, z: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] of any vectors [B, D]: the mean of p(x|z) where there is one."""
        ...


class ConditionalDecoder(Decoder, Protocol):
    """A decoder that knows classes, where the run is conditional; `decode` is then of one class."""

    def decode_class(self, z: Tensor, y: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] of vectors [B, D] and classes int64 [B]."""
        ...


class LatentSpace(Decoder, Protocol):
    """A continuous latent space that can be walked: N(centre, diag(scale²)) is the prior, or stands in for it.

    `describe` gives `centre` and `scale` [D] in the units of z. No encoder is asked for.
    """

    @property
    def latent_size(self) -> int:
        """D: the dimensions of z."""
        ...


class LatentPrior(LatentSpace, Protocol):
    """A latent space whose prior p(z) may be another one than N(0, I)."""

    def sample_prior(self, n: int, temperature: float = 1.0, generator: Randomness | None = None) -> Tensor:
        """z [n, D] drawn from p(z), the noise times the temperature."""
        ...

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z) in nats: [N, D] -> [N]."""
        ...


class LatentVariable(LatentSpace, Encoder, Protocol):
    """A latent space that images can be placed in."""

    def posterior(self, x: Tensor) -> Latents:
        """q(z|x) of images [B, C, H, W]: mean and sigma [B, D]; `encode` is its mean."""
        ...


class Density(Protocol):
    """log p(x), or a lower bound on it: `Method.density` says which. `Method.bits_per_dim` and `evaluate_target` go with it."""

    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x) in total nats per example [B], float32 or better; of p(x|y) where a conditional method is given classes y [B].

        Noise comes from the example's own content and the generator's seed: batch mates change nothing.
        """
        ...


class EnergyFunction(Protocol):
    """An unnormalized density exp(-E(x)): energies rank images, and have no bits, as nobody knows the normalizing constant."""

    def energy(self, x: Tensor) -> Tensor:
        """E(x) in unnormalized nats [B] of images [B, C, H, W], float32 or better; independent of batch mates."""
        ...


class DensityMap(Density, Protocol):
    """A density that says which places the nats are spent on."""

    def log_prob_map(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p in nats of every pixel, channels summed [B, H, W], or of every symbol [B, T]; their sum is `log_prob`."""
        ...


class DequantizedPixels(Density, Protocol):
    """A density of pixels with uniform noise added within their grey level: on average a lower bound on log p of the 8-bit image."""

    def log_density(self, v: Tensor) -> Tensor:
        """log p(v) in nats [B] of dequantized pixels v, float64 [B, D]."""
        ...


class ProbabilityFlow(Density, Protocol):
    """A density by an ordinary differential equation (Song et al. 2021): many passes of a network for an image, so it comes in steps."""

    def log_prob_steps(
        self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None, steps: int = 0, probes: int | None = None
    ) -> Generator[None, None, FlowDensity]:
        """`log_prob` with its error, with a yield between passes; `steps` of the solver and `probes` of the divergence as one likes."""
        ...


class ImportanceWeighted(Density, Protocol):
    """A latent variable model p(x|z) p(z) whose density is estimated by importance sampling (Burda et al. 2016).

    x is always what `evaluate_target` returned, [B, C, H, W].
    """

    def posterior(self, x: Tensor) -> Latents:
        """q(z|x): mean and sigma [B, D]."""
        ...

    def log_weights(self, x: Tensor, posterior: Latents, k: int, generator: Randomness | None) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x) in nats of k samples z per image [k, B]."""
        ...

    def log_likelihoods(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats [B, k] at k codes per image z [B, k, D]."""
        ...

    def elbo(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """The evidence lower bound in nats [B], averaged over `samples`."""
        ...


class RateDistortion(ImportanceWeighted, Protocol):
    """A bound of two parts (Alemi et al. 2018): -ELBO = rate + distortion, the distortion being E[-log p(x|z)]."""

    def rate(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """KL(q(z|x) ∥ p(z)) in nats [B] of x as `evaluate_target` returned it, over `samples` codes where there is no closed form."""
        ...


class Sampler(Protocol):
    """New examples. `Method.sampling` says whether in one step ("direct") or many ("iterative")."""

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """n examples as they come about, the last frame finished; the same generator gives the same ones.

        Example k is the same however many are drawn beside it: its noise comes from a generator of its own
        (`likelihoods.sample_generators`).

        Args:
            y: classes int64 [n] for a conditional method; drawn where None.
            temperature: 1 draws from the model itself, lower values nearer to what is likeliest.
        """
        ...


class ObservationSampler(Sampler, Protocol):
    """A model whose `sample` gives means of p(x|z): smoother than its data, and no samples of p(x). This one draws x too."""

    def sample_observations(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """x ~ p(x|z) of the same z that `sample` draws with this generator, whose means it gives."""
        ...


class ConfigurableSampler(Sampler, Protocol):
    """A sampler with settings of its own: denoising steps, guidance, truncation. They are declared as those of a training are."""

    SampleSettings: ClassVar[type]  # a frozen dataclass of `engine.config.setting` fields

    def sample_with(self, n: int, y: Tensor | None, settings: Any, generator: torch.Generator | None = None) -> Iterator[Frame]:
        """As `sample`, drawn as `settings`, an instance of `SampleSettings`, says; `sample` is this with the defaults.

        The noise of a sample depends on the generator alone, so that a setting that moves changes samples, not which ones they are.
        """
        ...


class SymbolWriter(Protocol):
    """Writes n sequences symbol after symbol."""

    place: int  # symbols written so far

    def log_probs(self) -> Tensor:
        """Normalized log-probabilities of the next symbol [n, V], float32 or better."""
        ...

    def write(self, symbols: Tensor) -> None:
        """Append one symbol to each sequence, int64 [n]; or several, [n, m]."""
        ...


class SymbolSequence(Sampler, Density, Protocol):
    """An autoregressive model: x is a sequence of symbols, and p(x) the product of p(t_i | t_1 ... t_{i-1})."""

    length: int  # N: symbols of one x; of a text the context
    symbols: int  # V: what a symbol can be
    symbol_kind: ClassVar[str]  # "pixels" | "codes" | "text"

    @property
    def layout(self) -> tuple[int, int, int]:
        """(rows, columns, symbols at each place), in raster order; their product is `length`."""
        ...

    def to_tokens(self, x: Tensor, generator: Randomness | None = None) -> Tensor:
        """Examples as symbols int64 [B, N]; what is drawn comes from the generator, or without one from each image's content."""
        ...

    def to_images(self, tokens: Tensor) -> Tensor:
        """Symbols [B, N] as images [B, C, H, W] in [0, 1]. Not of a text."""
        ...

    def log_probs(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(t_i | t_<i) in nats [B, T], T up to `length` (a text: any)."""
        ...

    def writer(self, n: int, y: Tensor | None = None, prefix: Tensor | None = None, cached: bool = True) -> SymbolWriter:
        """Ready to write n sequences after `prefix` int64 [n, P]; `cached` remembers what was computed."""
        ...

    def write_out(
        self, n: int, y: Tensor | None, temperature: float, generator: torch.Generator | None, every: int, prefix: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The symbols written so far int64 [n, P + i], after every so many and at the end."""
        ...

    def code_patches(self) -> Tensor | None:
        """What each code looks like, [V, C, p, p] in [0, 1]; None where symbols are no codes."""
        ...


class FramePredictor(SymbolSequence, Protocol):
    """p(frame | frames before): y of `log_prob`, `log_probs` and `writer` are the frames before, uint8 [B, 4, C, H, W], the oldest first;
    None: nothing is told.
    """

    past_frames: ClassVar[int]  # how many it is told


class Classifier(Protocol):
    """P(y|x)."""

    def classify(self, x: Tensor) -> Tensor:
        """Logits [B, K] of images [B, C, H, W], K = `len(data.classes)`."""
        ...


class Viewed(Protocol):
    """A loss that looks at views of the images: augmented, cut or masked ones."""

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """What the networks are given of images [B, C, H, W]: B rows in each view."""
        ...


class Compared(Viewed, Protocol):
    """A loss that compares vectors of views."""

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d] of images [B, C, h, w]: what the loss compares, as the network of that `View.role` sees them."""
        ...


class Queue(Viewed, Protocol):
    """A loss with keys of former batches as negatives."""

    queue: Tensor  # unit rows [K, d]; K may be 0

    def queue_ages(self, step: int) -> Tensor:
        """At this step: how many steps ago each key was encoded, int64 [K]; 0 is the newest, -1 a random first vector."""
        ...


class Puzzle(Protocol):
    """A pretext task that a person can try too. `Method.puzzle` names it, and the protocol of that name answers it."""

    puzzle: ClassVar[str]  # "rotation" | "jigsaw" | "mask"


class RotationPuzzle(Puzzle, Protocol):
    """A method that tells by which quarter turn an image was turned."""

    def answers(self, x: Tensor) -> Tensor:
        """Probabilities [B, 4] that images [B, C, H, W] are turned by 0°, 90°, 180°, 270° counter-clockwise."""
        ...


class JigsawPuzzle(Puzzle, Protocol):
    """A method that tells the order of an image's tiles."""

    @property
    def permutations(self) -> Tensor:
        """The P orders of the n tiles, int64 [P, n]."""
        ...

    def shuffled(self, x: Tensor, p: Tensor, generator: torch.Generator | None) -> Tensor:
        """Images [B, C, H, W] with their tiles in the orders `p` int64 [B]."""
        ...

    def answers(self, picture: Tensor) -> Tensor:
        """Probabilities [B, P] of the orders of shuffled pictures."""
        ...


class FillPuzzle(Puzzle, Protocol):
    """A method that fills in what is hidden of an image."""

    def fill(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] from what `hidden`, bool [B, 1, H, W], leaves of them."""
        ...


class Conditional(Protocol):
    """A method that can be asked for a class: `y` int64 [B] of `data.classes` in `log_prob` and `sample`."""

    conditional: bool  # of the class: whether it can be; of an instance: whether its settings say so


CAPABILITIES: dict[str, type] = {  # what panes ask for by name -> the protocol behind it
    "encode": Encoder,
    "blocks": BlockEncoder,
    "patches": PatchEncoder,
    "decode": Decoder,
    "latents": LatentSpace,
    "posterior": LatentVariable,
    "log_prob": Density,
    "rate": RateDistortion,
    "sample": Sampler,
    "symbols": SymbolSequence,
    "next_frame": FramePredictor,
    "classify": Classifier,
    "views": Viewed,
    "queue": Queue,
    "puzzle": Puzzle,
    "conditional": Conditional,
}
NAMED = {"puzzle", "conditional"}  # members that every method has, and that count where they are not empty or false

P = TypeVar("P")


@cache
def implements(kind: type, protocol: type) -> bool:
    """Whether a class defines or annotates all members of a protocol; looked up once for each pair."""
    return all(_has(kind, member) for member in _members(protocol))


def provides(method: object, protocol: type[P]) -> TypeIs[P]:
    """Whether a method can do what a protocol says: the one way to ask, for people and for the type checker."""
    return implements(type(method), protocol)


def sample_settings(kind: type) -> type | None:
    """The settings of a method's sampler, as a dataclass; None where it has none."""
    return cast("type[ConfigurableSampler]", kind).SampleSettings if implements(kind, ConfigurableSampler) else None


def _members(protocol: type) -> frozenset[str]:
    """What a protocol and those it is built on ask for."""
    own = (base for base in protocol.__mro__ if base not in (Protocol, Generic, object))
    return frozenset(name for base in own for name in (*vars(base), *get_annotations(base)) if not name.startswith("_"))


def _has(kind: type, member: str) -> bool:
    if member in NAMED:
        return bool(getattr(kind, member, None))
    return any(member in vars(base) or member in get_annotations(base) for base in kind.__mro__)
