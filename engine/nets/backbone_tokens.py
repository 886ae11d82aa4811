"""Which of a vision transformer's tokens are patches, and what is made of them: one vector for an image, or a grid of vectors.

Pure functions of tensors: no model is built or run here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

POOLINGS = ("default", "cls", "patches", "both", "pooler")
IN_WORDS = {
    "cls": "the class token (CLS)",
    "patches": "the mean of the patches",
    "both": "the class token (CLS) and the mean of the patches in a row",
    "pooler": "its own pooler",
    "first": "the first patch, as in the version this run was made with",
}
CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")  # what libraries call the parameter
BETWEEN = ("distillation_token", "register_tokens", "register_token")  # between the class token and the patches
AFTER = ("detection_tokens",)  # after the patches


class NoSuchPooling(ValueError):
    """One sentence: what the model has not, and what can be chosen."""


class NoPatches(ValueError):
    """One sentence: why there is no grid of patches, or no attention between them."""


@dataclass(frozen=True)
class TokenLayout:
    """What the rows of [B, T, D] are: class tokens, others that are no patch (registers, distillation), the patches, others again."""

    cls: int  # class tokens, at the beginning
    registers: int  # right after them
    after: int  # at the end

    @property
    def first(self) -> int:
        """Where the patches begin."""
        return self.cls + self.registers

    def of_patches(self, tokens: Tensor) -> Tensor:
        """The rows that are patches: [B, T, D] -> [B, T - others, D]."""
        return tokens[:, self.first : tokens.shape[1] - self.after]


def layout_of(parameters: Iterable[tuple[str, Any]]) -> TokenLayout:
    """Told by the learned vectors, by name and shape, that a model puts beside its patches."""
    counts = {"cls": 0, "between": 0, "after": 0}
    for name, value in parameters:
        last = name.rpartition(".")[2]
        kind = "cls" if last in CLASS_TOKENS else "between" if last in BETWEEN else "after" if last in AFTER else ""
        if kind == "cls" and counts["cls"]:
            continue  # a second one is of another part (a decoder, a neck)
        if kind:
            counts[kind] += value.shape[-2] if value.ndim > 1 else 1
    return TokenLayout(counts["cls"], counts["between"], counts["after"])


def grid_of(count: int, size: tuple[int, int], strides: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Rows and columns of `count` patches of an image of `size` pixels, for the first of the strides they fit; None: for none."""
    for down, across in strides:
        for round_up in (False, True):
            h, w = ((-(-n // s) if round_up else n // s) for n, s in zip(size, (down, across), strict=True))
            if h * w == count and count:
                return h, w
    return None


def strides_of(config: Any) -> list[tuple[int, int]]:
    """Pixels (down, across) between patches, as a model's description may say it: at the first layer and at later, coarser ones."""
    patch = getattr(config, "patch_size", None)
    if patch is None:
        return []
    down, across = (patch[-2], patch[-1]) if isinstance(patch, (list, tuple)) else (patch, patch)
    depths = getattr(config, "depths", None)  # of models that join patches between their stages
    return [(down * 2**i, across * 2**i) for i in range(len(depths) if isinstance(depths, (list, tuple)) else 1)]


def over_places(hidden: Tensor, layout: TokenLayout) -> Tensor:
    """Mean over the patches [B, D] of tokens [B, T, D], or over the places of a map [B, D, h, w]."""
    return hidden.mean((2, 3)) if hidden.ndim == 4 else layout.of_patches(hidden).mean(1)


def default_pooling(pooler: Tensor | None, hidden: Tensor, layout: TokenLayout) -> str:
    """What a model's authors take: its pooler where it has one, else the class token, else the mean of the patches (I-JEPA)."""
    if pooler is not None:
        return "pooler"
    return "cls" if layout.cls and hidden.ndim == 3 else "patches"


def pooled(way: str, pooler: Tensor | None, hidden: Tensor, layout: TokenLayout, kind: str) -> Tensor:
    """One vector for an image [B, D], or [B, 2 D] for both class token and patches.

    Args:
        way: one of POOLINGS.
        pooler: the model's own summary [B, D] or [B, D, 1, 1], where it has one.
        hidden: after the last layer, [B, T, D] or [B, D, h, w].
        kind: the model's name, for the sentence.

    Raises:
        NoSuchPooling
    """
    has_cls = bool(layout.cls) and hidden.ndim == 3
    usual = default_pooling(pooler, hidden, layout)
    way = usual if way == "default" else way
    if way == "pooler":
        if pooler is None:
            raise NoSuchPooling(f"This model ({kind}) has no pooler; leave pooling at default, which is {IN_WORDS[usual]} here.")
        return pooler.flatten(1)
    if way in ("cls", "both") and not has_cls:
        raise NoSuchPooling(f"This model ({kind}) has no class token (CLS); leave pooling at default, which is {IN_WORDS[usual]} here.")
    if way == "cls":
        return hidden[:, 0]
    mean = over_places(hidden, layout)
    return torch.cat([hidden[:, 0], mean], 1) if way == "both" else mean
