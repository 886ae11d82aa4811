"""A vision transformer (Dosovitskiy et al. 2021) for small images of any size: places learned on one grid are interpolated on others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.resnet import LARGEST, SMALLEST
from engine.nets.transformer import SPREAD, NormalLinear

HEAD = 32  # channels of an attention head
LAYER_SCALE = 0.1  # of each branch in the beginning (Touvron et al. 2021); with few blocks a smaller one only slows learning


class Learned(nn.Module):
    """Numbers of any shape that begin as N(0, spread²)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.empty(shape))

    def reset(self, generator: torch.Generator) -> None:
        """Draw the values anew: normal with deviation `SPREAD`."""
        nn.init.normal_(self.value, 0.0, SPREAD, generator=generator)


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.empty(channels))

    def reset(self, generator: torch.Generator) -> None:
        """Set every scale to `LAYER_SCALE`."""
        nn.init.constant_(self.value, LAYER_SCALE)

    def forward(self, h: Tensor) -> Tensor:
        """h [B, T, W] times a learned scale per channel."""
        return h * self.value


class ViTBlock(nn.Module):
    """h + γ₁ attention(norm h), then h + γ₂ mlp(norm h); every place sees every other one."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = NormalLinear(width, 3 * width), NormalLinear(width, width)
        self.fc1, self.fc2 = NormalLinear(width, 4 * width), NormalLinear(4 * width, width)
        self.scale1, self.scale2 = LayerScale(width), LayerScale(width)

    def projected(self, h: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of tokens [B, T, W], each [B, heads, T, W / heads]."""
        return self.qkv(self.norm1(h)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def attention(self, h: Tensor) -> Tensor:
        """softmax(QKᵀ/√d) of tokens [B, T, W]: [B, heads, T, T], each row what one token looks at."""
        q, k, _ = self.projected(h)
        return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)

    def forward(self, h: Tensor) -> Tensor:  # [B, T, W] -> the same
        """Pre-norm block with self-attention, [B, T, W] -> the same."""
        q, k, v = self.projected(h)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = h + self.scale1(self.project(attended))
        return h + self.scale2(self.fc2(F.gelu(self.fc1(self.norm2(h)))))


class ViT(nn.Module):
    """Images [B, C, H, W] -> features [B, width]: the class token after the last norm.

    Args:
        shape: of the images whose grid of places is learned; others' places are interpolated from it.
        width: a multiple of 32 is divided into heads of 32 channels; any other has one head.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 64×64.
    """

    def __init__(self, shape: tuple[int, ...], width: int, blocks: int) -> None:
        super().__init__()
        if min(shape[1:]) < SMALLEST or max(shape[1:]) > LARGEST:
            raise ValueError(f"This network takes images from 8×8 to 64×64, not {shape[1]}×{shape[2]}.")
        self.patch = 2 if max(shape[1:]) < 16 else 4 if max(shape[1:]) <= 32 else 8
        self.grid = tuple(math.ceil(size / self.patch) for size in shape[1:])
        self.cut = nn.Conv2d(shape[0], width, self.patch, self.patch)
        self.first, self.places, self.hidden = Learned(1, 1, width), Learned(1, width, *self.grid), Learned(width)
        self.blocks = nn.ModuleList(ViTBlock(width, width // HEAD if width % HEAD == 0 else 1) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.features = width

    def begun(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Tokens [B, 1 + h w, W]: the class token, then the patches in raster order.

        Args:
            hidden: bool [B, h w]: patches that are replaced by a learned vector.
        """
        right, below = -x.shape[3] % self.patch, -x.shape[2] % self.patch
        h = self.cut(F.pad(x - 0.5, (0, right, 0, below)))  # [B, W, h, w]
        grid = h.shape[2:]
        tokens = h.flatten(2).mT
        if hidden is not None:
            tokens = torch.where(hidden[:, :, None], self.hidden.value.to(tokens.dtype), tokens)
        tokens = tokens + self.places_of(grid).flatten(2).mT
        return torch.cat([self.first.value.expand(len(x), -1, -1), tokens], 1)

    def places_of(self, grid: torch.Size | tuple[int, ...]) -> Tensor:
        """What each place of a grid is told [1, W, h, w]: learned, or between what was learned (bicubic)."""
        if tuple(grid) == self.grid:
            return self.places.value
        return F.interpolate(self.places.value, tuple(grid), mode="bicubic", align_corners=False)

    def tokens(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """All tokens after the last norm [B, 1 + h w, W]."""
        h = self.begun(x, hidden)
        for block in self.blocks:
            h = block(h)
        return self.norm(h)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, W]
        """Images [B, C, H, W] -> features of the class token [B, W]."""
        return self.tokens(x)[:, 0]

    # -- patches: what `engine.protocols.PatchTokens` asks for -----------------------------------------------------------

    special, class_token = 1, True

    @property
    def layers(self) -> int:
        """Blocks."""
        return len(self.blocks)

    @property
    def heads(self) -> int:
        """Attention heads of each block."""
        return self.blocks[0].heads  # type: ignore[return-value]

    def patch_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of images of this height and width."""
        return math.ceil(size[0] / self.patch), math.ceil(size[1] / self.patch)

    def patch_area(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(top, left, height, width) of the grid in pixels: the last patches may reach beyond the image."""
        rows, columns = self.patch_grid(size)
        return 0.0, 0.0, float(rows * self.patch), float(columns * self.patch)

    def patch_features(self, x: Tensor) -> Tensor:
        """The patches' tokens after the last norm [B, h, w, W] of images [B, C, H, W]."""
        return self.tokens(x)[:, 1:].unflatten(1, self.patch_grid((x.shape[2], x.shape[3])))

    def attention(self, x: Tensor, layer: int) -> Tensor:
        """softmax(QKᵀ/√d) of a block (1 is the first) for images [B, C, H, W]: [B, heads, 1 + h w, 1 + h w], the class token first."""
        h = self.begun(x)
        for block in self.blocks[: layer - 1]:
            h = block(h)
        return self.blocks[layer - 1].attention(h)  # type: ignore[operator]

    def each(self, x: Tensor) -> dict[str, Tensor]:
        """The mean of the patches' tokens after each block, and the features: [B, W] each."""
        h = self.begun(x)
        found = {"stem": h[:, 1:].mean(1)}
        for i, block in enumerate(self.blocks, 1):
            h = block(h)
            found[f"block {i}"] = h[:, 1:].mean(1)
        return found | {"features": self.norm(h)[:, 0]}
