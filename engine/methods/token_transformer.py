"""A transformer over the codes of a VQ-VAE (van den Oord et al. 2017, section 3.3; the transformer of Esser et al. 2021).

Short sequences instead of long lines of pixels. The density is a bound: log p(x) ≥ log p(x|z(x)) + log p(z(x)), in nats per
image; the codes' own log p(z) is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.autoregressive import SOME, Autoregressive, Memory, entropy, saving_error
from engine.common.intervals import margin
from engine.config import BadSetting, Training, setting
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Frame, StepContext
from engine.methods import vq_vae
from engine.methods.vq_vae import VQVAE
from engine.nets.quantizer import perplexity
from engine.nets.transformer import Transformer
from engine.precision import full

IMAGES_AT_ONCE = 256  # while scoring
TOKENIZER = {"codes": "codes", "code_size": "code_size", "tokenizer_width": "width", "tokenizer_blocks": "blocks"}  # ours -> a VQ-VAE's


@dataclass(frozen=True)
class Config(Training):
    tokenizer: str = setting(
        "",
        "Name or folder of a VQ-VAE run whose codes are learned, and whose sizes are then taken; empty trains one first.",
        folder="run",
    )
    tokenizer_share: float = setting(
        0.4, "Share of the training that goes to a tokenizer of its own, which is then frozen.", low=0.0, high=1.0, group="Tokenizer"
    )
    codes: int = setting(
        512, "Vectors in the codebook: what a place of the grid can be.", low=2, high=8192, unit="codes", log=True, group="Tokenizer"
    )
    code_size: int = setting(32, "Numbers in each vector of the codebook.", low=1, high=256, unit="numbers", log=True, group="Tokenizer")
    tokenizer_width: int = setting(
        64, "Channels of the tokenizer's networks.", low=4, high=512, unit="channels", log=True, group="Tokenizer"
    )
    tokenizer_blocks: int = setting(
        2, "Residual blocks of its encoder, and as many of its decoder.", low=0, high=16, unit="blocks", group="Tokenizer"
    )
    layers: int = setting(4, "Blocks of attention and plain layers.", low=1, high=48, unit="layers")
    heads: int = setting(4, "Parts that attend separately; the width is shared out among them.", low=1, high=32, unit="heads")
    width: int = setting(128, "Numbers that stand for a code inside the transformer.", low=4, high=2048, unit="numbers", log=True)
    conditional: bool = setting(False, "Learn p(x|y), so that a class can be asked for; without one, p(x) is the mean over classes.")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.99, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class TokenTransformer(Autoregressive):
    """Two trainings in one: first a tokenizer (`trained`, whose average is `kept`), then, on the codes of `kept`, the prior.

    codes(x) -> int64 [B, h, w]; `length` = h w codes in raster order, `symbols` = K of them, as `Autoregressive` has it.
    """

    Config = Config
    title = "Token transformer"
    largest_side = 128
    family = "Explicit density · bound"
    density = "bound"
    conditional = True
    source = "van den Oord, Vinyals and Kavukcuoglu, 2017 (arXiv 1711.00937), with the prior of Esser et al., 2021 (arXiv 2012.09841)"
    summary = (
        "A VQ-VAE turns an image into a small grid of codes; a transformer reads the grid as a line and learns which code comes next. "
        "A few dozen codes take the place of many hundred pixels, so drawing is fast. "
        "The likelihood is a lower bound: it counts the one grid that the encoder chose, and not the others that could give the same image."
    )
    formula = "log p(x) ≥ log p(x|z(x)) + Σ<sub>i</sub> log p(z<sub>i</sub> | z<sub>1</sub> … z<sub>i−1</sub>)"
    headline = ("bits_per_dim", "bits/dim", False)
    units: ClassVar = {"loss": "nat", "bits_per_dim": "bits/dim", "reconstruction": "nat", "prior": "nat", "perplexity": "codes"}
    parents: ClassVar = {"tokenizer": "vq_vae"}
    valid_slice = 64
    symbol_kind: ClassVar = "codes"
    frozen: Tensor  # 1 once the tokenizer has learned all it will

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        if config.width % config.heads:
            raise BadSetting(f"A width of {config.width} cannot be shared by {config.heads} heads; choose a multiple of {config.heads}.")
        inner = vq_vae.Config(**{theirs: getattr(config, ours) for ours, theirs in TOKENIZER.items()})
        self.kept = VQVAE(inner, data).requires_grad_(False)
        self.trained = None if config.tokenizer else VQVAE(inner, data)
        self.grid = self.kept.grid
        self.length, self.symbols = math.prod(self.grid), config.codes
        self.net = Transformer(
            config.codes, self.grid, config.width, config.layers, config.heads, len(data.classes) if self.conditional else 0
        )
        self.register_buffer("frozen", torch.empty(()))
        self._is_frozen = False  # as far as this process knows: spares a look at the device
        self._patches: Tensor | None = None

    def reset(self, generator: torch.Generator) -> None:
        """Set the flag that says whether the tokenizer is frozen."""
        nn.init.constant_(self.frozen, 0.0 if self.trained is not None else 1.0)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from a prior that is uniform, and a tokenizer that knows the mean image. x [N, C, H, W]."""
        nn.init.zeros_(self.net.head.weight)
        nn.init.zeros_(self.net.head.bias)
        if self.trained is not None:
            self.trained.init_from_data(x)
            self.kept.load_state_dict(self.trained.state_dict())

    @classmethod
    def settings_from(cls, setting: str, method: str, config: dict[str, Any]) -> dict[str, Any]:
        """The settings that follow from the run whose tokenizer it takes over."""
        return {ours: config[theirs] for ours, theirs in TOKENIZER.items()}

    def init_from_run(self, setting: str, config: dict[str, Any], arrays: dict[str, Tensor]) -> None:
        """Take over the weights [...] of a VQ-VAE as the tokenizer."""
        self.kept.load_state_dict(arrays)

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def _tokenizer_learns(self, context: StepContext) -> bool:
        if self.trained is None or self._is_frozen or not self.training:
            return False
        self._is_frozen = bool(self.frozen)
        return not self._is_frozen and context.progress < self.config.tokenizer_share

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """First the tokenizer's loss, then -log p(z); whatever is not being learned is added as a constant, so that the curve goes on.
        x [B, C, H, W] -> scalars [].

        `reconstruction`: -log p(x|z). `prior`: -log p(z), uniform while the tokenizer learns. `bits_per_dim` of their sum, the bound.
        `perplexity`: of the batch's codes.
        """
        if self._tokenizer_learns(context):
            assert self.trained is not None
            terms = self.trained.loss(x, y, context)
            with full(x.device):
                prior = torch.full_like(terms["loss"], self.kept.uniform_nats)
                return self._terms(terms["loss"] + prior, terms["reconstruction"], prior, terms["perplexity"])
        with torch.no_grad():
            codes = self.kept.codes(x)
            reconstruction = -self.kept.log_likelihood_map(x, codes).flatten(1).sum(1).mean()
        log_p = self.symbol_log_probs(codes.flatten(1), y if self.conditional else None)
        with full(x.device):
            prior = -log_p.sum(1).mean()
            return self._terms(prior + reconstruction, reconstruction, prior, perplexity(codes, self.symbols).to(prior.dtype))

    def _terms(self, loss: Tensor, reconstruction: Tensor, prior: Tensor, spread: Tensor) -> dict[str, Tensor]:
        bits = (reconstruction + prior) / (self.data.dims * math.log(2))
        return {"loss": loss, "bits_per_dim": bits, "reconstruction": reconstruction, "prior": prior, "perplexity": spread}

    @property
    def pixel_levels(self) -> int:
        """How many values a channel of a pixel has."""
        return 256

    def forget_batch(self) -> None:
        """Drop what was noted of the last batch."""
        if self.trained is not None:
            self.trained.forget_batch()

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """While the tokenizer learns, its average follows; at its time it is frozen for good, also if the training is prolonged."""
        self._patches = None
        if self.trained is None:
            return
        if context.progress >= self.config.tokenizer_share:
            self.frozen.fill_(1.0)
        if not self.trained.quantizer.update(context.generator):
            return
        decay = min(self.config.ema, context.step / (context.step + 10))
        for ours, theirs in zip(self.kept.parameters(), self.trained.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay)
        for ours, theirs in zip(self.kept.buffers(), self.trained.buffers(), strict=True):
            ours.copy_(theirs)

    def headline_words(self, terms: dict[str, float]) -> str:
        """The code length as the list of runs shows it."""
        return f"{terms['bits_per_dim']:.2f} bits/dim" + (" given y" if self.conditional else "")

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def codes(self, x: Tensor) -> Tensor:
        """z(x): int64 [B, h, w]."""
        return self.kept.codes(x)

    def to_tokens(self, x: Tensor, generator: Randomness | None = None) -> Tensor:
        """The codes in raster order, int64 [B, h w]. Nothing is drawn."""
        return self.codes(x).flatten(1)

    def to_images(self, tokens: Tensor) -> Tensor:
        """The mean images of p(x|z) in [0, 1]; a code of -1 is not there yet and leaves its patch black."""
        codes = tokens.unflatten(1, self.grid)
        return self.kept.from_codes(codes.clamp(min=0)) * self._over_pixels((codes >= 0).float())[:, None]

    @property
    def layout(self) -> tuple[int, int, int]:
        """The grid of codes."""
        return *self.grid, 1

    def code_patches(self) -> Tensor:
        """What each code looks like where all around it are the same: the middle patch [K, C, p, p]."""
        if self._patches is None:
            everywhere = torch.arange(self.symbols, device=self._device)[:, None, None].expand(-1, *self.grid)
            p = self.kept.encoder.patch
            top, left = (size // 2 * p for size in ((n - 1) for n in self.grid))
            pieces = [self.kept.from_codes(some)[:, :, top : top + p, left : left + p] for some in everywhere.split(IMAGES_AT_ONCE)]
            self._patches = torch.cat(pieces)
        return self._patches

    def _over_pixels(self, codes: Tensor) -> Tensor:
        """A number for each code [B, h, w] on all pixels of its patch [B, H, W]; a patch that hangs over the edge is cut."""
        p = self.kept.encoder.patch
        return codes.repeat_interleave(p, 1).repeat_interleave(p, 2)[:, : self.data.shape[1], : self.data.shape[2]]

    def logits(self, tokens: Tensor, y: Tensor | None) -> Tensor:
        """tokens int64 [B, T], y int64 [B] or None -> logits [B, T, V]."""
        return self.net(tokens, y)

    def memory(self, y: Tensor | None, n: int, cached: bool) -> Memory:
        """Incremental state for sampling n grids of codes, of the classes y int64 [n] or of none."""
        return self.net.cache(n, y) if cached else super().memory(y, n, cached)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound on log p(x) in nats [B]: log p(x|z(x)) + log p(z(x)); on log p(x|y) where a conditional model is given classes."""
        return self.log_prob_map(x, y).flatten(1).sum(1)

    @torch.no_grad()
    def log_prob_map(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """The bound in nats per pixel [B, H, W], channels summed: log p(x|z) of the pixel and its equal part of its code's log p(z)."""
        shares = 1 / self._places_per_code(x)
        pieces = []
        for start in range(0, len(x), IMAGES_AT_ONCE):
            piece = slice(start, start + IMAGES_AT_ONCE)
            codes = self.codes(x[piece])
            log_p = self.log_probs(codes.flatten(1), None if y is None else y[piece]).view(codes.shape)
            pieces.append(self.kept.log_likelihood_map(x[piece], codes) + self._over_pixels(log_p * shares))
        return torch.cat(pieces)

    def _places_per_code(self, like: Tensor) -> Tensor:
        """Pixels in the patch of each code [h, w]: fewer where it hangs over the edge."""
        _, height, width = self.data.shape
        p = self.kept.encoder.patch
        down, right = (
            F.pad(like.new_ones(height), (0, -height % p)).view(-1, p).sum(1),
            F.pad(like.new_ones(width), (0, -width % p)).view(-1, p).sum(1),
        )
        return down[:, None] * right

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] as they grow, once per row of codes; what has no code yet is black. A class is drawn where none is given."""
        for part in self.write_out(n, y, temperature, generator, self.grid[1]):
            yield Frame(self.to_images(F.pad(part, (0, self.length - part.shape[1]), value=-1)), part.shape[1], self.length)

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Numbers of one checkpoint, and the rules of `diagnose` applied to them. x [N, C, H, W]."""
        codes = self.codes(x)
        reconstruction = -self.kept.log_likelihood_map(x, codes).flatten(1).sum(1).mean().item()
        each = -self.log_probs(codes.flatten(1)).double().sum(1)
        prior = each.mean().item()
        alone = self.length * entropy(codes, self.symbols)
        bits = self.bits_per_dim(reconstruction + prior)
        numbers = (
            Number("reconstruction", reconstruction, "nat", help="−log p(x|z), summed over pixels, averaged over images."),
            Number("codes, with the prior", prior, "nat", help="−log p(z) of the grid that the encoder chose: exact, by the chain rule."),
            Number("codes, all equally likely", self.kept.uniform_nats, "nat", help="The same grid without a prior."),
            Number("codes, marginal entropy", alone, "nat", help="What it would cost if only known how common each code is here."),
            Number("bound", -(reconstruction + prior), "nat", help="Lower bound on log p(x)."),
            Number("bound, bits/dim", bits, "bits/dim", 3, "An upper bound on the code length; 8 would be uniform noise."),
        )
        reach = margin(saving_error(each, codes.flatten(1), self.symbols), len(x))
        return Description(numbers, diagnose(prior, alone, self.kept.uniform_nats, reach))


def diagnose(prior: float, alone: float, uniform: float, reach: float) -> tuple[Diagnosis, ...]:
    """What the cost of the codes means, in nats per image.

    - within 1 % of the uniform prior: it has not begun; nothing to judge.
    - shown to save less than SOME of the marginal entropy: warning. Not told from it on so few: nothing can be said. Else good.

    Args:
        reach: half the width of the 95 % interval of what is saved.
    """
    if prior > 0.99 * uniform:
        return (Diagnosis("muted", "The prior takes all codes as equally likely: the tokenizer comes first, then the transformer learns."),)
    saved = alone - prior
    if saved - reach <= 0:
        if saved + reach < SOME * alone:
            return (Diagnosis("warning", "The prior costs no less than the marginal entropy of the codes: train longer."),)
        return (Diagnosis("muted", "The held-out images are too few to tell the prior's cost from the marginal entropy of the codes."),)
    return (Diagnosis("good", f"Knowing the codes before saves {100 * (1 - prior / alone):.0f} % against the marginal entropy."),)
