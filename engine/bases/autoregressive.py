"""Exact models that write x symbol after symbol: p(x) = Π p(t_i | t_1 … t_{i-1}), and what all of them share.

Here: images and texts as symbols, likelihoods from teacher forcing, and writers that ask for one symbol after the other.
Not here: any network. A model supplies `logits` and, where it has a cache, `memory`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.common.intervals import margin
from engine.common.spacing import evenly
from engine.config import Training, setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Frame, Method, StepContext
from engine.precision import full

SYMBOLS_AT_ONCE = 2**17  # symbols in one pass while scoring: bounds the memory of the logits
SYMBOLS_DESCRIBED = 50_000  # of the held-out images in a checkpoint's description
SOME, MUCH = 0.02, 0.1  # shares of the marginal entropy: a saving below is none, or a beginning


@dataclass(frozen=True)
class PixelSettings(Training):
    """What every model of pixels has."""

    levels: int = setting(
        256,
        "Values a pixel can take; with 2 every image is drawn anew as black or white from its grey values (dynamic binarization).",
        low=2,
        high=256,
        unit="levels",
        log=True,
    )
    conditional: bool = setting(False, "Learn p(x|y), so that a class can be asked for; without one, p(x) is the mean over classes.")


class Memory(Protocol):
    """What a network remembers of the symbols written so far."""

    def advance(self, symbols: Tensor) -> Tensor:
        """Take in the next m symbols int64 [n, m] in one pass -> logits of the symbol after them [n, V].

        m may be zero the first time only: nothing has been written yet.
        """
        ...


class Writer:
    """Writes n sequences symbol after symbol. Symbols wait until a distribution is asked for, and are then taken in together."""

    def __init__(self, memory: Memory, n: int, device: torch.device) -> None:
        self.place = 0  # symbols written so far
        self._memory = memory
        self._waiting: list[Tensor] = [torch.empty(n, 0, dtype=torch.int64, device=device)]
        self._log_probs: Tensor | None = None

    @torch.inference_mode()  # cheaper calls than without gradients only, and at batch 1 the calls are the cost
    def log_probs(self) -> Tensor:
        """Normalized log-probabilities of the next symbol [n, V], float32 or better."""
        if self._log_probs is None:
            new = self._waiting[0] if len(self._waiting) == 1 else torch.cat(self._waiting, 1)
            if torch.is_autocast_enabled(new.device.type):
                with full(new.device):
                    logits = self._memory.advance(new)
            else:  # nothing to switch off: a context for each symbol is not free
                logits = self._memory.advance(new)
            self._log_probs = at_least_float32(logits).log_softmax(-1)
            self._waiting = []
        return self._log_probs

    def write(self, symbols: Tensor) -> None:
        """Append one symbol to each sequence: int64 [n]; or several, [n, m]."""
        new = symbols[:, None] if symbols.ndim == 1 else symbols
        self._waiting.append(new)
        self._log_probs = None
        self.place += new.shape[1]


class Recompute:
    """No memory at all: the whole network runs again for every symbol. What a cache must agree with, and is measured against."""

    def __init__(self, method: Autoregressive, n: int, y: Tensor | None, device: torch.device) -> None:
        self._method, self._y = method, y
        self._tokens = torch.empty(n, 0, dtype=torch.int64, device=device)

    def advance(self, symbols: Tensor) -> Tensor:
        """Append symbols int64 [n, m] and return the logits [n, V] of the next one."""
        self._tokens = torch.cat([self._tokens, symbols], 1)
        return self._method.logits(F.pad(self._tokens, (0, 1)), self._y)[:, -1]  # the last symbol is never looked at


class ClassMixture:
    """A class-conditional model whose class is unknown: p(t_i | t_<i) = Σ_y p(y | t_<i) p(t_i | t_<i, y), with p(y) uniform.

    Every sequence is carried once per class, and each symbol moves the classes' weights by Bayes' rule.
    """

    def __init__(self, method: Autoregressive, n: int, classes: int, cached: bool, device: torch.device) -> None:
        self._method, self._n, self._classes = method, n, classes
        self._y = torch.arange(classes, device=device).repeat_interleave(n)  # [K n], classes outermost
        self._memory = method.memory(self._y, len(self._y), cached)
        self._tokens = torch.empty(n, 0, dtype=torch.int64, device=device)
        self._weights: Tensor | None = None  # log p(t_<i | y) [K, n, 1]
        self._last: Tensor | None = None  # log p(t_i | t_<i, y) of the next symbol [K, n, V]

    def advance(self, symbols: Tensor) -> Tensor:
        """Append symbols int64 [n, m] and return log p [n, V] of the next one, mixed over the classes by their posterior."""
        copies = symbols.repeat(self._classes, 1)  # [K n, m]
        before = self._tokens.shape[1]
        self._tokens = torch.cat([self._tokens, symbols], 1)
        if symbols.shape[1] == 1 and self._last is not None:
            log_p = self._last.gather(2, symbols.expand(self._classes, -1, -1))  # [K, n, 1]
        elif symbols.shape[1]:
            whole = self._method.symbol_log_probs(self._tokens.repeat(self._classes, 1), self._y)
            log_p = whole[:, before:].sum(1).view(self._classes, self._n, 1)
        else:
            log_p = torch.zeros((), device=symbols.device)
        self._weights = log_p if self._weights is None else self._weights + log_p
        self._last = at_least_float32(self._memory.advance(copies)).log_softmax(-1).view(self._classes, self._n, -1)
        return (self._last + self._weights).logsumexp(0)  # [n, V]; the writer normalizes


class Autoregressive(Method):
    """Base of the exact models. A subclass supplies

        logits(tokens [B, T], y [B] or None) -> [B, T, V]: of every symbol given those before it, for T up to `length`
        memory(y, n, cached) -> Memory: with a cache of its own where `cached`, else what is inherited

    and may override `symbol_log_probs` where the probability of one symbol is cheaper than all V logits.
    """

    density = "exact"
    sampling = "iterative"
    headline = ("bits_per_dim", "bits/dim", False)
    units: ClassVar = {"loss": "nat/symbol", "bits_per_dim": "bits/dim", "nats": "nat"}
    valid_examples = 128  # each has hundreds of symbols
    valid_slice = 8
    symbol_kind: ClassVar[str] = "pixels"
    length: int
    symbols: int

    def __init__(self, config: Any, data: DataSpec) -> None:
        super().__init__(config, data)
        self.length = data.dims  # symbols of one x
        self.symbols = config.levels if isinstance(config, PixelSettings) else len(data.symbols)  # V: what a symbol can be
        self.conditional = self.condition == "class"
        self.require_conditions()

    @property
    def pixel_levels(self) -> int:
        """How many values a channel of a pixel has."""
        return self.symbols

    @property
    def layout(self) -> tuple[int, int, int]:
        """(rows, columns, channels)."""
        channels, height, width = self.data.shape
        return height, width, channels

    def code_patches(self) -> Tensor | None:
        """What each code looks like [V, C, p, p]; None, as here, where a symbol is a pixel's value."""
        return None

    # -- symbols -------------------------------------------------------------------------------------------------------

    def to_tokens(self, x: Tensor, generator: Randomness | None = None) -> Tensor:
        """Images in [0, 1] as symbols int64 [B, N] in raster order, the channels of a pixel one after the other.

        256 levels are the 8-bit values themselves, fewer are equal parts of them, and 2 are drawn: white with the grey
        value's probability. Without a generator the draw depends on the image's content alone.
        """
        if self.symbols == 2:
            generator = likelihoods.image_generators(x, 0) if generator is None else generator
            values = likelihoods.binarize(x, generator)
        else:
            values = (x * 255).round()
            if self.symbols < 256:
                values = values.mul(self.symbols).div(256, rounding_mode="floor")
        return values.long().permute(0, 2, 3, 1).flatten(1)

    def to_images(self, tokens: Tensor) -> Tensor:
        """Symbols [B, N] as images [B, C, H, W] in [0, 1]: the middle of each level; of two levels black and white."""
        levels = torch.arange(self.symbols + 1, device=tokens.device)
        first = (256 * levels + self.symbols - 1).div(self.symbols, rounding_mode="floor")  # 8-bit value a level begins with
        middle = (first[:-1] + first[1:] - 1) / 510 if self.symbols > 2 else levels[:2].float()
        c, h, w = self.data.shape
        return middle[tokens].unflatten(1, (h, w, c)).permute(0, 3, 1, 2)

    def evaluate_target(self, x: Tensor, generator: Randomness | None) -> Tensor:
        """The images [B, C, H, W] that the likelihood is of: x itself, or x quantized (binarized with `generator`) to the method's
        levels.
        """
        if self.data.kind != "images" or self.pixel_levels == 256:
            return x
        return self.to_images(self.to_tokens(x, generator))

    # -- likelihood ----------------------------------------------------------------------------------------------------

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """Of every symbol given those before it [B, T, V]; `tokens` [B, T] may end early, and its last column has no influence."""
        raise NotImplementedError

    def symbol_log_probs(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """log p(t_i | t_<i, y) [B, T]; the network in the precision around it, the rest in full."""
        logits = self.logits(tokens, y)
        with full(tokens.device):
            return -F.cross_entropy(at_least_float32(logits).flatten(0, 1), tokens.flatten(), reduction="none").view(tokens.shape)

    def dropped(self, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """The conditions [B, ...] that a training step tells the network; some are left out where p(x) is learned beside p(x|y)."""
        return y

    def log_probs(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(t_i | t_<i, y) in nats [B, T]. Without a class a conditional model answers for p(t_i | t_<i), classes uniform."""
        with full(tokens.device):
            if not self.conditional or y is not None:
                return self.symbol_log_probs(tokens, self.told(y, len(tokens), tokens.device))
            classes = torch.arange(len(self.data.classes), device=tokens.device)
            given = torch.stack([self.symbol_log_probs(tokens, label.expand(len(tokens))) for label in classes])  # [K, B, T]
            log_p = given.cumsum(2).logsumexp(0) - math.log(len(classes))  # of the first i symbols
            return log_p.diff(dim=1, prepend=torch.zeros_like(log_p[:, :1]))

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: nats per symbol. `bits_per_dim` of an image, and its `nats` in total. x [B, C, H, W], y int64 [B] or None -> scalars
        [].
        """
        tokens = self.to_tokens(x, context.generator)
        y = self.told(y, len(tokens), tokens.device)
        if self.training and y is not None:
            y = self.dropped(y, context.generator)
        log_p = self.symbol_log_probs(tokens, y)
        with full(x.device):
            loss = -log_p.mean()
            return {"loss": loss, "bits_per_dim": loss / math.log(2), "nats": loss * self.length}

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x) in nats [B], exact; of p(x|y) where a conditional model is given classes.

        What is drawn (2 levels) depends on the image's content and the generator's seed, not on its batch mates.
        """
        return self._scored(x, y, generator).sum(1)

    @torch.no_grad()
    def log_prob_map(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p of every pixel given those before it, in nats [B, H, W]; channels are summed, and the sum over pixels is `log_prob`."""
        c, h, w = self.data.shape
        return self._scored(x, y, generator).view(len(x), h, w, c).sum(3)

    def _scored(self, x: Tensor, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        own = None
        if self.symbols == 2 and self.data.kind == "images":
            own = likelihoods.image_generators(x, 0 if generator is None else generator.initial_seed())
        tokens = self.to_tokens(x, own)
        at_once = max(1, SYMBOLS_AT_ONCE // tokens.shape[1])
        pieces = [slice(start, start + at_once) for start in range(0, len(tokens), at_once)]
        return torch.cat([self.log_probs(tokens[piece], None if y is None else y[piece]) for piece in pieces])

    def headline_words(self, terms: dict[str, float]) -> str:
        """Bits per dimension; nats of binary images. Of p(x|y) where classes are given, which is another number than that of p(x)."""
        text = f"{terms['nats']:.1f} nat" if self.symbols == 2 else f"{terms['bits_per_dim']:.2f} bits/dim"
        return f"{text} given y" if self.condition else text

    # -- writing -------------------------------------------------------------------------------------------------------

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n sequences, of the classes y int64 [n] or of none."""
        return Recompute(self, n, y, self._device)

    def writer(self, n: int, y: Tensor | None = None, prefix: Tensor | None = None, cached: bool = True) -> Writer:
        """Ready to write n sequences, the first P symbols of which are given: `prefix` int64 [n, P].

        Args:
            y: classes [n]; without them a conditional model writes from the mixture of its classes.
            cached: remember what was computed; otherwise the whole network runs again for every symbol.
        """
        if self.conditional and y is None:
            memory: Memory = ClassMixture(self, n, len(self.data.classes), cached, self._device)
        else:
            memory = self.memory(self.told(y, n, self._device), n, cached)
        writer = Writer(memory, n, self._device)
        if prefix is not None and prefix.shape[1]:
            writer.write(prefix)
        return writer

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] as they grow, once per row; what is not written yet is black. A class is drawn where none is given."""
        c, _, w = self.data.shape
        for part in self.write_out(n, y, temperature, generator, c * w):
            yield Frame(self.to_images(F.pad(part, (0, self.length - part.shape[1]))), part.shape[1], self.length)

    def write_out(
        self, n: int, y: Tensor | None, temperature: float, generator: torch.Generator | None, every: int, prefix: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The symbols written so far [n, i], after every so many and at the end. One uniform number per symbol, drawn beforehand."""
        own = likelihoods.sample_generators(n, torch.Generator().manual_seed(0) if generator is None else generator)
        noise = likelihoods.uniform(torch.empty(n, self.length, device=self._device), own)
        if self.conditional and y is None:
            y = likelihoods.integers(len(self.data.classes), n, own, self._device)
        given = 0 if prefix is None else prefix.shape[1]
        tokens = F.pad(prefix if prefix is not None else noise.new_empty(n, 0, dtype=torch.int64), (0, self.length))  # [n, P + N]
        writer = self.writer(n, y, prefix)
        for place in range(self.length):
            symbols = pick(writer.log_probs(), noise[:, place], temperature)
            tokens[:, given + place] = symbols
            writer.write(symbols)
            if (place + 1) % every == 0 or place + 1 == self.length:
                yield tokens[:, : given + place + 1].clone()

    # -- looking at a checkpoint ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Code lengths of some held-out images, beside their marginal entropy. x [N, C, H, W]."""
        x = x[torch.from_numpy(evenly(len(x), max(1, SYMBOLS_DESCRIBED // self.length))).to(x.device)]
        tokens = self.to_tokens(x, generator)
        each = -self.log_probs(tokens).double().sum(1)  # [N]
        nats = each.mean().item()
        bits, alone = self.bits_per_dim(nats), entropy(tokens, self.symbols) / math.log(2)
        uniform = math.log2(self.symbols)
        help = f"Code length of {len(x)} held-out images; {uniform:.3g} would be uniform noise."
        if self.symbols == 2:
            help += " Of black-or-white pixels drawn from the grey values; not comparable with 8-bit images."
        elif self.symbols < 256:
            help += f" Of {self.symbols} levels; not comparable with 8-bit images."
        numbers = (
            Number("−log p(x)", nats, "nat", 1, "Exact, per image: the chain rule over all its symbols."),
            Number("−log p(x), bits/dim", bits, "bits/dim", 3, help),
            Number(
                "marginal entropy",
                alone,
                "bits/dim",
                3,
                "Code length of the same images where every pixel only knows how common each value is.",
            ),
        )
        reach = self.bits_per_dim(margin(saving_error(each, tokens, self.symbols), len(each)))
        return Description(numbers, diagnose(bits, alone, reach, "image"))


def diagnose(bits: float, alone: float, reach: float, what: str) -> tuple[Diagnosis, ...]:
    """What a code length means beside the marginal entropy of its symbols, both per symbol.

    - shown to save less than SOME of it: nothing of the order is used; bad. Not told from it on so few: nothing can be said.
    - a saving below MUCH: warning. More: good.

    Args:
        reach: half the width of the 95 % interval of the difference.
    """
    before = "pixels" if what == "image" else "symbols"
    saved = alone - bits
    if saved - reach <= 0:
        if saved + reach < SOME * alone:
            return (Diagnosis("bad", f"No shorter than the marginal entropy: the {before} before do not help it yet. Train longer."),)
        return (Diagnosis("muted", "The held-out examples are too few to tell its code length from the marginal entropy."),)
    share = 100 * saved / alone
    if saved < MUCH * alone:
        return (
            Diagnosis("warning", f"The {before} before shorten the code by only {share:.0f} %: it has just begun to learn. Train longer."),
        )
    return (Diagnosis("good", f"Knowing the {before} before, the code is {share:.0f} % shorter than the marginal entropy."),)


def saving_error(nats: Tensor, tokens: Tensor, symbols: int) -> float:
    """Standard error in nats of the mean difference of a code length [N] and the marginal one of the same tokens [N, T]."""
    if len(nats) < 2:
        return math.inf
    log_p = (torch.bincount(tokens.flatten(), minlength=symbols).double() / tokens.numel()).log()
    return ((nats + log_p[tokens].sum(1)).std() / math.sqrt(len(nats))).item()


# ---------------------------------------------------------------------------------------------------------------------


def pick(log_probs: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
    """The symbols [n] where the cumulative distribution of log_probs / temperature [n, V] passes the uniform numbers `noise` [n].

    In symbol order, so equal noise at another temperature moves to a neighbouring value; never a symbol of probability zero.
    """
    return choose((log_probs if temperature == 1 else log_probs / temperature).softmax(-1, dtype=torch.float64), noise)


def choose(p: Tensor, noise: Tensor) -> Tensor:
    """The inverse distribution function in the order of the symbols: p [n, V], uniforms in [0, 1) [n] -> symbols int64 [n].

    The symbol s with F(s-1) <= noise < F(s), so one of probability 0 is never chosen.
    """
    cumulative = p.double().cumsum(-1)
    symbols = torch.searchsorted(cumulative, noise.double()[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return symbols.clamp_(max=p.shape[-1] - 1)  # beyond them all only where a probability is not a number


def frequencies(tokens: Tensor, symbols: int) -> Tensor:
    """log of how often each symbol occurs [V], every one counted once more than it does."""
    return ((torch.bincount(tokens.flatten(), minlength=symbols) + 1).double() / (tokens.numel() + symbols)).log()


def entropy(tokens: Tensor, symbols: int) -> float:
    """Entropy in nats of the frequencies of `symbols` symbols in tokens int64 [...]."""
    p = torch.bincount(tokens.flatten(), minlength=symbols).double() / tokens.numel()
    return -torch.special.xlogy(p, p).sum().item()


def at_least_float32(x: Tensor) -> Tensor:
    """x [...] in float32 where it is float16 or bfloat16, else unchanged."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
