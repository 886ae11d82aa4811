"""Samples side by side as they are to be drawn, at any position of their film: images, what is still open, surprisal, captions.

A cell is what one choice of the model decides: a pixel with its channels, or the patch of a code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.panes.sampling.sample_tree import FinishedSamples, SampleNode
from app.shell.formatting import number


@dataclass(eq=False)
class SampleGrid:
    """What is to be drawn."""

    images: np.ndarray  # uint8 [n, C, H, W]
    rows: int = 0  # of cells; 0: the images have no cells
    columns: int = 0
    hidden: np.ndarray | None = None  # bool [n, rows, columns]
    previous: np.ndarray | None = None  # uint8 [n, C, H, W]: what stood there before
    bits: np.ndarray | None = None  # [n, rows, columns], NaN where unknown: drawn instead of the picture
    max_bits: float = 1.0  # that are the brightest
    given: np.ndarray | None = None  # bool [n, rows, columns]: cells that were not drawn by the model
    captions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the samples, for tooltips and screen readers
    before: FinishedSamples | None = None  # what is shown until the samples are finished


def sample_grid(
    node: SampleNode, position: int, max_bits: float | None = None, *, drawing: bool = False, follows: bool = True
) -> SampleGrid | None:
    """The images when the film stands at a position; None without images.

    `max_bits`: as surprisal, with so many bits the brightest. `drawing`: what stood there before shines through what is still to be drawn,
    or, of an iterative sampler whose film `follows`, stands there until it is finished.
    """
    order = node.display_order()
    names = tuple(node.letter(row) for row in order)
    before = node.samples_before() if drawing and follows else None
    if before is not None:  # one set of samples becomes the other, without noise between
        under = tuple(" · ".join(filter(None, pair)) for pair in zip(names, before.told or ("",) * len(names), strict=True))
        return SampleGrid(before.images[order], captions=under, names=names, before=before)
    images = node.images_at(position)
    if images is None or node.began is None:
        return None
    if not node.has_symbols:
        return SampleGrid(images[order], captions=captions(node), names=names)
    rows, columns = node.began.rows, node.began.columns
    shape = (node.count, rows, columns)
    hidden = ~node.drawn_cells(position).reshape(shape)[order]
    grid = SampleGrid(images[order], rows, columns, hidden, captions=captions(node), names=names)
    grid.given = node.given_cells().reshape(shape)[order]
    if max_bits is not None:
        grid.bits, grid.max_bits = node.surprisal(position).reshape(shape)[order], max_bits
        grid.hidden = hidden | np.isnan(grid.bits)
    elif drawing and position >= node.reached and node.previous is not None and node.previous.shape == images.shape:
        grid.previous = node.previous[order]
    return grid


def captions(node: SampleNode) -> tuple[str, ...]:
    """Under each sample, in the order they are shown: its letter, its class or caption, its log-likelihood."""
    ranked = node.kind == "completion" and node.done
    out = []
    for place, row in enumerate(node.display_order()):
        parts = [f"{place + 1}. {node.letter(row)}" if ranked else node.letter(row)]
        if told := node.told_of(row):
            parts.append(told)
        nats = node.log_likelihood(row)
        if nats is not None:
            parts.append(number(nats, 1, "nat"))
        out.append(" · ".join(parts))
    return tuple(out)


def max_surprisal(node: SampleNode) -> float:
    """The largest −log₂ p of a cell that is there, in bits; at least 1."""
    bits = node.surprisal(node.length)
    finite = bits[np.isfinite(bits)]
    return max(1.0, float(finite.max())) if finite.size else 1.0
