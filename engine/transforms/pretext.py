"""Puzzles made of pictures: quarter turns, tiles in another order, hidden places. Plain functions of tensors; no network here.

Pictures are [B, C, H, W]. Tiles and places are counted row by row from the top left.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from engine.common.intervals import share_interval
from engine.messages import Diagnosis

GREY = 0.5  # what is seen where something is hidden: the middle of the range
LEAST_DEVIATION = 0.02  # of a tile: below it what is seen is noise, and is not made stronger
MASKS = ("block", "blocks", "patches")
SOLVED = 0.995  # accuracy beyond which there is nothing left to learn
KNOWS = 0.2  # share of the way from chance to 1 below which an accuracy is at the level of chance
PATCHES = 8  # per side, where patches are hidden
BLOCKS = 4  # where several blocks are hidden


# ---------------------------------------------------------------------------------------------------------------------
# Quarter turns
# ---------------------------------------------------------------------------------------------------------------------


def square(x: Tensor) -> Tensor:
    """Centre crop of images [B, C, H, W] to their shorter side. Padding would not do: the bars would tell by which turn they came to
    lie or stand.
    """
    height, width = x.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return x[:, :, top : top + side, left : left + side]


def quarter_turns(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Square images [B, C, S, S] as they are and turned by 90°, 180° and 270° counter-clockwise; pixels only move, none is computed
    anew.
    """
    return x, torch.rot90(x, 1, (2, 3)), torch.rot90(x, 2, (2, 3)), torch.rot90(x, 3, (2, 3))


# ---------------------------------------------------------------------------------------------------------------------
# Tiles
# ---------------------------------------------------------------------------------------------------------------------


def cells(x: Tensor, side: int) -> Tensor:
    """The side² equal parts of each picture [B, side², C, h, w]; pixels that are left over at the edges belong to none."""
    height, width = x.shape[2] // side, x.shape[3] // side
    top, left = (x.shape[2] - side * height) // 2, (x.shape[3] - side * width) // 2
    x = x[:, :, top : top + side * height, left : left + side * width]
    parts = x.unflatten(3, (side, width)).unflatten(2, (side, height))  # [B, C, rows, h, columns, w]
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def joined(tiles: Tensor) -> Tensor:
    """Pictures [B, C, side h, side w] from their tiles [B, side², C, h, w]: what `cells` takes apart."""
    side = math.isqrt(tiles.shape[1])
    return tiles.unflatten(1, (side, side)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def shuffled(tiles: Tensor, order: Tensor) -> Tensor:
    """At place i of the result is tile order[i] of what is given. tiles: [B, n, ...]; order: int64 [B, n]."""
    return tiles[torch.arange(len(tiles), device=tiles.device)[:, None], order]


def cut(parts: Tensor, size: tuple[int, int], generator: torch.Generator | None) -> Tensor:
    """A piece of `size` from each part [B, n, C, h, w], at a random place that leaves at least one pixel free on each side."""
    batch, count, channels, height, width = parts.shape
    device = parts.device if generator is None else generator.device

    def places(length: int, whole: int) -> Tensor:  # [B, n, length]
        first = torch.randint(1, whole - length, (batch, count, 1), generator=generator, device=device)
        return first.to(parts.device) + torch.arange(length, device=parts.device)

    rows, columns = places(size[0], height), places(size[1], width)
    picked = parts.gather(3, rows[:, :, None, :, None].expand(-1, -1, channels, -1, width))
    return picked.gather(4, columns[:, :, None, None, :].expand(-1, -1, channels, size[0], -1))


def evened(tiles: Tensor) -> Tensor:
    """Every tile [B, n, C, h, w] with the mean and the deviation that all tiles of its picture have together, in each channel.

    So brightness and contrast, which change slowly over a picture, do not tell a tile's place (Noroozi and Favaro 2016, section 4.2).
    A nearly flat tile stays nearly flat.
    """
    deviation, mean = torch.std_mean(tiles, (3, 4), correction=0, keepdim=True)
    of_all, centre = torch.std_mean(tiles, (1, 3, 4), correction=0, keepdim=True)
    return ((tiles - mean) / deviation.clamp(min=LEAST_DEVIATION) * of_all + centre).clamp(0, 1)


def sizes(size: tuple[int, int], side: int, gap: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the tiles of a picture of `size`, and of the enlarged picture that they are cut from.

    Its cells are so much larger than a tile that a share `gap` of a cell's side is not seen, and at least two pixels; so the tiles
    together make a picture of the old size.
    """
    tile = (size[0] // side, size[1] // side)
    whole = tuple(side * max(length + 2, round(length / (1 - gap))) for length in tile)
    return tile, (whole[0], whole[1])


def permutations(count: int, tiles: int) -> Tensor:
    """`count` orders of so many tiles, int64 [P, tiles], the first as it is; all of them where there are no more.

    Each next one is as far as can be from the nearest one before, in Hamming distance, then from all before together; among
    equals, the first in the alphabet (Noroozi and Favaro 2016, algorithm 1, with the least in place of the mean distance).
    """
    every = alphabet(tiles)
    if count >= len(every):
        return every.long()
    places = every.T.contiguous()
    nearest = torch.full((len(every),), tiles, dtype=torch.uint8)
    together = torch.zeros(len(every), dtype=torch.int32)
    chosen = [0]
    while len(chosen) < count:
        distance = torch.zeros_like(nearest)
        for place, tile in zip(places, every[chosen[-1]], strict=True):
            distance += place != tile
        nearest, together = torch.minimum(nearest, distance), together + distance
        chosen.append(int((nearest.int() * (tiles * count + 1) + together).argmax()))
    return every[chosen].long()


def alphabet(tiles: int) -> Tensor:
    """All orders of so many tiles as a dictionary would list them, uint8 [tiles!, tiles]."""
    if tiles == 1:
        return torch.zeros(1, 1, dtype=torch.uint8)
    rest = alphabet(tiles - 1)
    return torch.cat([torch.cat([torch.full_like(rest[:, :1], first), rest + (rest >= first)], 1) for first in range(tiles)])


class Permutations(nn.Module):
    """A fixed set of orders, kept with the weights that were taught to tell them."""

    table: Tensor  # int64 [P, tiles]

    def __init__(self, count: int, tiles: int) -> None:
        super().__init__()
        self.asked, self.tiles = count, tiles
        self.register_buffer("table", torch.empty(min(count, math.factorial(tiles)), tiles, dtype=torch.int64))

    def reset(self, generator: torch.Generator) -> None:
        """Compute the table of permutations anew."""
        self.table.copy_(permutations(self.asked, self.tiles))


# ---------------------------------------------------------------------------------------------------------------------
# Hidden places
# ---------------------------------------------------------------------------------------------------------------------


def mask(kind: str, share: float, batch: int, size: tuple[int, int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """What is hidden, bool [B, 1, H, W].

    Args:
        kind: "block": a rectangle of the picture's shape in its middle. "blocks": four smaller ones anywhere, which may overlap and are
            so large that `share` is hidden on average. "patches": of a grid of at most 8×8 patches, as many as `share` says.
        share: of the area, between 0 and 1.
        size: height and width.
    """
    if kind == "block":
        hidden = torch.zeros(size, dtype=torch.bool, device=device)
        top, left = (max(1, round(length * (1 - math.sqrt(share)) / 2)) for length in size)
        hidden[top : size[0] - top, left : size[1] - left] = True
        return hidden.expand(batch, 1, -1, -1)
    where = device if generator is None else generator.device
    if kind == "blocks":
        high, wide = block_size(share, size)
        top = torch.randint(size[0] - high + 1, (batch, BLOCKS, 1), generator=generator, device=where).to(device)
        left = torch.randint(size[1] - wide + 1, (batch, BLOCKS, 1), generator=generator, device=where).to(device)
        down, across = torch.arange(size[0], device=device), torch.arange(size[1], device=device)
        rows, columns = (down >= top) & (down < top + high), (across >= left) & (across < left + wide)
        each = rows[..., :, None] & columns[..., None, :]  # [B, BLOCKS, H, W]
        hidden = each.any(1, keepdim=True)
        return torch.where(hidden.all(3, keepdim=True).all(2, keepdim=True), each[:, :1], hidden)  # something is always seen
    patch = math.ceil(max(size) / PATCHES)
    rows, columns = (math.ceil(length / patch) for length in size)
    count = min(rows * columns - 1, max(1, round(share * rows * columns)))
    noise = torch.rand(batch, rows * columns, generator=generator, device=where).to(device)
    hidden = torch.zeros(batch, rows * columns, dtype=torch.bool, device=device).scatter_(1, noise.argsort(1)[:, :count], True)
    large = hidden.view(batch, 1, rows, columns).repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    return large[:, :, : size[0], : size[1]]


@cache
def block_size(share: float, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of each of the `BLOCKS` equal blocks, about of the picture's shape, that hide `share` of a picture (H, W) on
    average, overlaps counted once.
    """

    def covered(length: int, side: int) -> np.ndarray:
        """The probability that a block at random covers each place [length]."""
        places = length - side + 1
        return np.convolve(np.full(places, 1 / places), np.ones(side))

    def apart(high: int, wide: int) -> float:
        one = np.outer(covered(size[0], high), covered(size[1], wide))  # that one block hides a pixel [H, W]
        return abs(1 - float(((1 - one) ** BLOCKS).mean()) - share)

    best, found = math.inf, (1, 1)
    for high in range(1, max(2, size[0])):
        near = round(high * size[1] / size[0])
        for wide in sorted({min(max(1, near + more), max(1, size[1] - 1)) for more in (0, -1, 1)}, key=lambda w: abs(w - near)):
            if (distance := apart(high, wide)) < best - 1e-12:
                best, found = distance, (high, wide)
    return found


def without(x: Tensor, hidden: Tensor) -> Tensor:
    """Pictures in which what is hidden [B, 1, H, W] is grey."""
    return x.masked_fill(hidden, GREY)


def hidden_error(predicted: Tensor, x: Tensor, hidden: Tensor) -> Tensor:
    """Squared error of each picture, averaged over its hidden numbers only [B]."""
    error = ((predicted - x).square() * hidden).flatten(1).sum(1)
    return error / (hidden.flatten(1).sum(1) * x.shape[1])


# ---------------------------------------------------------------------------------------------------------------------
# In words
# ---------------------------------------------------------------------------------------------------------------------


def answered(what: str, right: float, choices: int, asked: int) -> Diagnosis:
    """What the accuracy among so many choices means, of so many independent pictures.

    - not told from chance: bad where it is shown to be near it, else nothing can be said of so few. - at least SOLVED: warning, nothing
      is left to learn. - else good.
    """
    chance = 1 / choices
    low, high = share_interval(right * asked, asked)
    said = f"It finds {what} of {100 * right:.1f} % of the pictures (chance level {100 * chance:.0f} %)"
    if low <= chance:
        if high < chance + KNOWS * (1 - chance):
            return Diagnosis("bad", f"{said}: it is at the level of chance. Train longer.")
        return Diagnosis("muted", f"{said}: {asked} held-out pictures are too few to tell it from chance.")
    if right >= SOLVED:
        return Diagnosis("warning", f"{said}: the puzzle is solved, maybe by a shortcut, and teaches nothing more. Make it harder.")
    return Diagnosis("good", f"{said}.")
