"""A codebook that follows what it is shown (van den Oord et al. 2017, appendix A.1), and networks to and from a small grid of codes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import Conv2d
from engine.nets.images import LARGEST, SMALLEST, Residual, enlarge, grid

SMOOTHING = 1e-5  # of the codes' shares, so that none is divided by zero (Laplace; the value is the released code's)


@dataclass(frozen=True)
class Quantized:
    """Encoder vectors after vector quantization."""

    vectors: Tensor  # the nearest codes, with the gradient handed straight to the encoder [..., D]
    codes: Tensor  # their places in the codebook, int64 [...]
    distance: Tensor  # |z - e|² with the code held still [...]


class Quantizer(nn.Module):
    """K vectors of D numbers; each is the moving average of the encoder outputs that were nearest to it.

    `observe` notes a batch, `update` moves the codes, once per step. All that lasts is in buffers.

    Args:
        decay: γ of the moving averages; 0 is one step of k-means on the batch.
        revive: a code used less often than this share of the even use begins anew at an encoder output; 0 never.
    """

    codebook: Tensor  # e [K, D]
    uses: Tensor  # N: averaged number of vectors per step [K]
    sums: Tensor  # m: averaged sum of those vectors [K, D]

    def __init__(self, codes: int, size: int, decay: float = 0.99, revive: float = 0.0) -> None:
        super().__init__()
        self.decay, self.revive = decay, revive
        self.register_buffer("codebook", torch.empty(codes, size))
        self.register_buffer("uses", torch.empty(codes))
        self.register_buffer("sums", torch.empty(codes, size))
        self._seen: list[Tensor] = []  # of this step: counts [K], sums [K, D], the last vectors [N, D]

    def reset(self, generator: torch.Generator) -> None:
        """Draw the codebook anew from a standard normal."""
        nn.init.normal_(self.codebook, generator=generator)
        self._begin_with(self.codebook.clone())

    @torch.no_grad()
    def start_at(self, z: Tensor) -> None:
        """Begin with K of the vectors [N, D], evenly spread over them; repeated when they are fewer."""
        codes = len(self.codebook)
        self._begin_with(z[torch.arange(codes, device=z.device) * max(1, len(z) // codes) % len(z)].to(self.codebook.dtype))

    def _begin_with(self, vectors: Tensor) -> None:
        self.codebook.copy_(vectors)
        self.uses.fill_(1.0)
        self.sums.copy_(vectors)

    def nearest(self, z: Tensor) -> Tensor:
        """argmin_k |z - e_k|² [...] of vectors [..., D]: |z|² is the same for every k and left out."""
        flat = z.flatten(0, -2)
        return (self.codebook.square().sum(1) - 2 * flat @ self.codebook.T).argmin(1).view(z.shape[:-1])

    def lookup(self, codes: Tensor) -> Tensor:
        """[...] -> [..., D]"""
        return self.codebook[codes]

    def forward(self, z: Tensor) -> Quantized:
        """Vectors [..., D] and their nearest codes. dL/dz is dL/dvectors as it is: the straight-through estimator."""
        codes = self.nearest(z.detach())
        e = self.lookup(codes)
        return Quantized(z + (e - z).detach(), codes, (z - e).square().sum(-1))

    @torch.no_grad()
    def observe(self, z: Tensor, codes: Tensor) -> None:
        """Note vectors [..., D] and their codes for the next `update`. A batch may come in pieces."""
        flat, places = z.detach().flatten(0, -2), codes.flatten()
        counts = torch.zeros_like(self.uses).index_add_(0, places, torch.ones_like(flat[:, 0]))
        sums = torch.zeros_like(self.sums).index_add_(0, places, flat)
        if self._seen:
            counts, sums = counts + self._seen[0], sums + self._seen[1]
        self._seen = [counts, sums, flat]

    def forget(self) -> None:
        """Undo what was observed since the last `update`."""
        self._seen = []

    @torch.no_grad()
    def update(self, generator: torch.Generator | None) -> bool:
        """N ← γN + (1 - γ)n, m ← γm + (1 - γ)Σz, e = m / N; then revive the idle ones. Whether anything had been observed.

        A code that has faded to nothing keeps its place. Restarts (Dhariwal et al. 2020, Jukebox, section 3.1) take vectors of
        the last piece of the batch, drawn with the generator.
        """
        if not self._seen:
            return False
        counts, sums, vectors = self._seen
        self._seen = []
        self.uses.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        total, codes = self.uses.sum(), len(self.uses)
        smooth = (self.uses + SMOOTHING) / (total + codes * SMOOTHING) * total
        self.codebook.copy_(torch.where((self.uses > SMOOTHING)[:, None], self.sums / smooth[:, None], self.codebook))
        if self.revive:
            self._revive_idle(vectors, generator)
        return True

    def _revive_idle(self, vectors: Tensor, generator: torch.Generator | None) -> None:
        """Idle codes begin anew with the even use, so that they have time to be found."""
        even = self.uses.mean()
        idle = (self.uses < self.revive * even)[:, None]
        device = generator.device if generator is not None else vectors.device
        drawn = torch.randint(len(vectors), (len(self.uses),), generator=generator, device=device).to(
            vectors.device
        )  # the same many each step
        self.codebook.copy_(torch.where(idle, vectors[drawn].to(self.codebook.dtype), self.codebook))
        self.sums.copy_(torch.where(idle, self.codebook * even, self.sums))
        self.uses.copy_(torch.where(idle[:, 0], even, self.uses))


def perplexity(codes: Tensor, size: int) -> Tensor:
    """exp of the entropy of how often each of `size` codes occurs: `size` when all do equally, 1 when only one does. codes int64 [...]
    -> scalar [].
    """
    p = torch.bincount(codes.flatten(), minlength=size) / codes.numel()
    return torch.special.entr(p).sum().exp()


# ---------------------------------------------------------------------------------------------------------------------
# Between images and the grid
# ---------------------------------------------------------------------------------------------------------------------


def code_grid(shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """The side of a code's patch in pixels, at least 2, and the grid's rows and columns, at most 8 of each: 28×28 -> 7×7, 8×8 -> 4×4.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 128×128.
    """
    if min(shape[1:]) < SMALLEST or max(shape[1:]) > LARGEST:
        raise ValueError(f"These networks take images from 8×8 to 128×128, not {shape[1]}×{shape[2]}.")
    patch = max(2, grid(shape[1], shape[2])[0])
    return patch, (math.ceil(shape[1] / patch), math.ceil(shape[2] / patch))


class GridEncoder(nn.Module):
    """Images [B, C, H, W] -> vectors on the grid [B, h, w, D]: patches, a 3×3 convolution, residual blocks, a 1×1 convolution."""

    def __init__(self, shape: tuple[int, ...], size: int, width: int, blocks: int) -> None:
        super().__init__()
        self.patch, _ = code_grid(shape)
        self.stem = Conv2d(shape[0] * self.patch**2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.out = nn.Conv2d(width, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in 0..1 -> vectors [B, h, w, D]."""
        right, below = -x.shape[3] % self.patch, -x.shape[2] % self.patch
        h = F.pixel_unshuffle(F.pad(x - 0.5, (0, right, 0, below)), self.patch)  # [B, C p², h, w]
        h = self.blocks(self.stem(h.contiguous(memory_format=torch.channels_last)))
        return self.out(F.relu_(h)).permute(0, 2, 3, 1)


class GridDecoder(nn.Module):
    """Vectors [B, h, w, D] -> maps [B, K, H, W]: residual blocks on the grid, then pixels in two steps whose windows overlap."""

    def __init__(self, shape: tuple[int, ...], channels: int, size: int, width: int, blocks: int) -> None:
        super().__init__()
        self.size = tuple(shape[1:])
        patch, _ = code_grid(shape)
        coarse = 2 if patch % 2 == 0 and patch > 2 else 1
        between = max(8, 2 * width // 3)  # fewer channels where there are more places
        self.stem = Conv2d(size, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.coarse = enlarge(width, between, coarse)
        self.fine = enlarge(between, channels, patch // coarse)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors [B, h, w, D] -> maps [B, K, H, W]."""
        h = self.blocks(self.stem(vectors.permute(0, 3, 1, 2)))
        h = self.coarse(F.relu_(h))
        return self.fine(F.relu_(h))[:, :, : self.size[0], : self.size[1]]
