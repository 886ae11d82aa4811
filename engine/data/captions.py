"""Captions as tokens: token k is the k-th word that the captions of a data set have, in alphabetical order; 0 stands for no word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from engine.common.conditions import MOST_WORDS, caption_fault, words_of
from engine.data.dataset import BadData


def vocabulary(captions: Iterable[str]) -> tuple[str, ...]:
    """All words of some captions, in alphabetical order."""
    return tuple(sorted({word for caption in captions for word in words_of(caption)}))


def encode_captions(captions: Sequence[str], words: Sequence[str], strict: bool = True) -> np.ndarray:
    """Captions as tokens int64 [N, 16], filled up with 0 at the end; if not `strict`, other words and those beyond 16 are left out.

    Raises:
        BadData: a word that is not of `words`, or too many of them; one sentence.
    """
    token = {word: place for place, word in enumerate(words, 1)}
    tokens = np.zeros((len(captions), MOST_WORDS), np.int64)
    for row, caption in zip(tokens, captions, strict=True):
        found = words_of(caption)
        if not strict:
            found = [word for word in found if word in token][:MOST_WORDS]
        elif fault := caption_fault(caption, token):
            raise BadData(fault)
        row[: len(found)] = [token[word] for word in found]
    return tokens
