"""A small transformer that makes a vector of a caption, as CLIP's text encoder does (Radford et al. 2021, section 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.losses import likelihoods
from engine.nets.transformer import NormalEmbedding, NormalLinear, PositionEmbedding, TransformerBlock

SPREAD = 0.3  # of the words' first embeddings: told apart from the first step on
FEWER_WORDS = 0.25  # share of the captions of a training that lose some of their words


class TextEncoder(nn.Module):
    """Words int64 [B, L], 0 for none at the end -> vectors [B, E]; each word sees those before it, and the end sees them all.

    Args:
        words: V; tokens are 1 … V.
        length: L, the most words.
        outputs: E.
    """

    def __init__(self, words: int, length: int, outputs: int, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.words = NormalEmbedding(words + 1, width, SPREAD)  # 0 is the end
        self.places = PositionEmbedding((length + 1,), width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, layers, 0.0) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = NormalLinear(width, outputs, width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """The encoding at the caption's end, through a linear layer [B, E]."""
        h = self.words(F.pad(tokens, (0, 1))) + self.places()
        for block in self.blocks:
            h = block(h, None)
        end = (tokens != 0).sum(1)
        return self.out(self.norm(h[torch.arange(len(h), device=h.device), end]))


def fewer_words(tokens: Tensor, none: float, generator: torch.Generator | None) -> Tensor:
    """Captions int64 [B, L] as a training tells them: a share `none` of them without words, from which p(x) is learned, and
    `FEWER_WORDS` of them with each word left out by a chance that is drawn uniformly, so that less than all can be asked for.
    """
    like = torch.empty(len(tokens), tokens.shape[1] + 3, device=tokens.device)
    chance = likelihoods.uniform(like, generator)
    loss = torch.where(chance[:, :1] < FEWER_WORDS, chance[:, 1:2], 0.0)
    loss = torch.where(chance[:, 2:3] < none, 1.0, loss)
    kept = torch.where(chance[:, 3:] < loss, 0, tokens)
    return kept.gather(1, (kept == 0).long().argsort(dim=1, stable=True))  # words move up where some are left out
