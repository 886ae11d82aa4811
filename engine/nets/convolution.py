"""Convolutions with padding whose gradients are right in bf16 too, on maps however small."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv2d(nn.Conv2d):
    """PyTorch's, padded with zeros, with `sure` gradients."""

    def forward(self, input: Tensor) -> Tensor:
        """2-D convolution, [B, C, H, W] -> [B, K, H', W']."""
        assert isinstance(self.padding, tuple)
        weight = sure(self.weight, input.shape[2:], self.stride, self.padding)
        return F.conv2d(input, weight, self.bias, self.stride, self.padding, groups=self.groups)


class ConvTranspose2d(nn.ConvTranspose2d):
    """PyTorch's, with `sure` gradients: what a convolution of the larger maps hands back to them."""

    def forward(self, input: Tensor) -> Tensor:
        """2-D transposed convolution, [B, C, H, W] -> [B, K, H', W']."""
        assert isinstance(self.padding, tuple)
        sides = zip(input.shape[2:], self.kernel_size, self.stride, self.padding, strict=True)
        larger = [(side - 1) * stride + kernel - 2 * padding for side, kernel, stride, padding in sides]
        weight = sure(self.weight, larger, self.stride, self.padding)
        return F.conv_transpose2d(input, weight, self.bias, self.stride, self.padding, groups=self.groups)


def sure(weight: Tensor, size: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """The weights [..., h, w] of a convolution of maps of `size`, made safe to learn from in bf16 on a CPU; in fp32 they are not touched.

    Where a weight meets nothing but padding, wherever the kernel lies, its gradient is zero. oneDNN's kernel for bf16 without AMX
    (`jit_bf16:avx512_core_bf16`, torch 2.13) leaves it unwritten instead, if a stride or a small map lets it skip such weights: what lay
    in that memory, NaN or 1e17, is then taken for the gradient. So no gradient reaches these weights.
    """
    if weight.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return weight
    rows, columns = (_beside(*each) for each in zip(weight.shape[2:], size, stride, padding, strict=True))
    if not any(rows) and not any(columns):
        return weight
    return weight.masked_fill(torch.tensor(rows)[:, None] | torch.tensor(columns), 0)


@cache
def _beside(kernel: int, side: int, stride: int, padding: int) -> tuple[bool, ...]:
    """For each place in a kernel along one axis, whether it never meets the map."""
    starts = range(-padding, side + padding - kernel + 1, stride)
    return tuple(not any(0 <= start + place < side for start in starts) for place in range(kernel))
