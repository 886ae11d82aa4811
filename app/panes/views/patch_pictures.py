"""What the engine says of patches as pictures for the board, as sentences, and as the rows of a CSV."""

from __future__ import annotations

import math

import numpy as np

from app.panes.views.formatting import cosine, digits_for
from app.panes.views.patch_board import PatchPicture, heat_colors
from app.shell.formatting import count, number, things
from engine.messages import AttentionShown, PatchesColored, PatchesCompared

RGB = (("#ff0000", "red"), ("#00c000", "green"), ("#0000ff", "blue"))
NEARLY = 0.99  # of the largest entropy, from which attention is called even
Table = tuple[list[str], list[list[object]]]


def percent(share: float) -> str:
    """0.1234 -> "12.3 %"."""
    return number(100 * share, 1, "%")


def head_names(heads: int) -> list[str]:
    """The choices of a head: the mean over all first."""
    return [f"mean of {heads} heads", *(f"head {head + 1}" for head in range(heads))]


# -- attention -----------------------------------------------------------------------------------------------------------


def place_words(patch: tuple[int, int]) -> str:
    """Where a patch is, counted from 1 as layers and heads are."""
    return f"the patch in row {patch[0] + 1}, column {patch[1] + 1}"


def map_of(head: int, heads: int) -> int:
    """Where among the maps of an answer a head stands: -1 is the mean over heads, which comes last."""
    return heads if head < 0 or head >= heads else head


def attention_picture(shown: AttentionShown, head: int) -> PatchPicture:
    """The map of one head, or of their mean (-1), over the image, and a tile for each: every map from 0 to its own largest share."""
    heads = len(shown.maps) - 1
    chosen = map_of(head, heads)
    order = [chosen, heads, *range(heads)]
    names = {heads: "mean", **{place: str(place + 1) for place in range(heads)}}
    tips = [f"{head_names(heads)[place + 1 if place < heads else 0]}: at most {percent(shown.maps[place].max())}" for place in order]
    return PatchPicture(
        images=[shown.seen] * len(order),
        colors=[heat_colors(shown.maps[place], 0.0, float(shown.maps[place].max())) for place in order],
        area=shown.area,
        marks=[names[place] for place in order[1:]],
        tips=[f"{shown.label}, {tips[0]}", *tips[1:]],
        chosen_tile=0 if chosen == heads else chosen + 1,
        low="0 %",
        high=percent(shown.maps[chosen].max()),
        legend="share of the attention; each small map from 0 to its own largest",
    )


def attention_words(shown: AttentionShown, head: int) -> str:
    """Whose attention the chosen map is, of which layer and head."""
    heads = len(shown.maps) - 1
    place = map_of(head, heads)
    name = head_names(heads)[0 if place == heads else place + 1]
    query = shown.query if shown.patch is None else place_words(shown.patch)
    whose = f"{query[:1].upper()}{query[1:]}"
    return " ".join([f"{whose}, layer {shown.layer} of {shown.layers}, {name}.", *shown.notes])


def attention_measures(shown: AttentionShown, head: int) -> tuple[tuple[str, str], ...]:
    """The chosen map in numbers: (what is said with its meaning, formula and source) each."""
    heads = len(shown.maps) - 1
    place = map_of(head, heads)
    most = math.log(shown.maps[0].size)
    even = " Attention is even: it points nowhere." if 0 < NEARLY * most <= shown.entropies[place] else ""
    said = [
        (
            f"Attention entropy {number(shown.entropies[place])} of at most {number(most)} nats: low when few patches get the attention, "
            f"high when all get alike.{even}",
            "H = −Σ p ln p over the patches, p the shares of the patches, scaled to sum to 1; at most ln(number of patches).",
        ),
        (
            f"Mean attention distance {number(shown.distances[place], 1)} patches: how far patches of this layer look. Even attention: "
            f"{number(shown.even_distance, 1)}.",
            "Mean over patches i of Σ p(i, j) · |place i − place j|, in patches. Dosovitskiy et al. 2021, section 4.5 (arXiv 2010.11929).",
        ),
    ]
    if shown.rest_name:
        said.append(
            (
                f"{percent(shown.rest[place])} goes to {shown.rest_name}: a token that stands for no patch, so the picture lacks it.",
                "A transformer adds tokens to those of the patches: the class token, which gathers the whole image, and in some networks "
                "registers (Darcet et al. 2024, arXiv 2309.16588). The attention of one token sums to 100\u202f% over all tokens.",
            )
        )
    return tuple(said)


def attention_table(shown: AttentionShown) -> Table:
    """A line for each patch of each head, and one for what goes to no patch."""
    heads = len(shown.maps) - 1
    rows: list[list[object]] = []
    for place, name in enumerate([*range(1, heads + 1), "mean"]):
        for (row, column), share in np.ndenumerate(shown.maps[place]):
            rows.append([shown.layer, name, row, column, float(f"{share:.6g}")])
        if shown.rest_name:
            rows.append([shown.layer, name, shown.rest_name, "", float(f"{shown.rest[place]:.6g}")])
    return ["layer", "head", "row", "column", "share"], rows


# -- several images ------------------------------------------------------------------------------------------------------


def image_names(event: PatchesColored | PatchesCompared) -> list[str]:
    """What each image is called: the one that is looked at by its own name, the others by place and class or file."""
    where = {"valid": "validation", "train": "training"}.get(event.images.split, event.images.split)
    others = zip(event.indices[1:], event.labels[1:], strict=True)
    return [event.labels[0], *(f"{where} image {index}, {label}" for index, label in others)]


def color_picture(event: PatchesColored) -> PatchPicture:
    """Components 1, 2 and 3 as red, green and blue over every image; what is no foreground stays uncoloured."""
    alpha = np.where(event.kept, 255, 0).astype(np.uint8)[..., None]
    names = image_names(event)
    shares = zip(RGB, event.explained, strict=True)
    return PatchPicture(
        images=list(event.seen),
        colors=list(np.concatenate([event.colors, alpha], 3)),
        area=event.area,
        marks=[""] * (len(names) - 1),
        tips=names,
        keys=tuple((color, f"component {k}: {percent(share)}") for k, ((color, _), share) in enumerate(shares, 1)),
    )


def color_words(event: PatchesColored, patch: tuple[int, int] | None) -> str:
    """How much the components say, and of what; with a patch its own scores."""
    kept, total = int(event.kept.sum()), event.kept.size
    patches = f"{things(kept, 'patch', 'patches')} of {things(len(event.seen), 'image')}"
    told = [f"Principal components of {patches}, {things(event.features, 'feature')} each:"]
    shares = [percent(share) for share in event.explained]
    told.append(f"the first three hold {shares[0]}, {shares[1]} and {shares[2]} of the variance.")
    if event.foreground:
        side = {"above": "above", "below": "below"}[event.foreground]
        told.append(
            f"Foreground: patches {side} 0 on the first component of all {count(total)}, which holds {percent(event.first_explained)}."
        )
    if patch is not None:
        scores = event.components[(0, *patch)]
        what = "is left out" if np.isnan(scores).any() else f"scores {number(scores[0])}, {number(scores[1])}, {number(scores[2])}"
        told.append(f"T{place_words(patch)[1:]} {what}.")
    return " ".join([*told, *event.notes])


def color_table(event: PatchesColored) -> Table:
    """A line for each patch of each image."""
    rows: list[list[object]] = []
    for place, name in enumerate(image_names(event)):
        for (row, column), kept in np.ndenumerate(event.kept[place]):
            scores = [float(f"{value:.6g}") if kept else "" for value in event.components[place, row, column]]
            rows.append([name, row, column, *scores])
    return ["image", "row", "column", "component_1", "component_2", "component_3"], rows


def cosine_picture(event: PatchesCompared) -> PatchPicture:
    """Cosines to the chosen patch over every image, on one scale without the patch itself; the best matches are outlined."""
    names = image_names(event)
    others = event.cosines.copy()
    others[(0, *event.patch)] = np.nan
    low, high = float(np.nanmin(others)), float(np.nanmax(others))
    digits = digits_for(others)
    return PatchPicture(
        images=list(event.seen),
        colors=[heat_colors(values, low, high) for values in event.cosines],
        area=event.area,
        marks=[""] * (len(names) - 1),
        tips=[f"{name}: at most {cosine(np.nanmax(values), digits)}" for name, values in zip(names, others, strict=True)],
        outlined=tuple((match.image, match.row, match.column) for match in event.matches),
        low=cosine(low, digits),
        high=cosine(high, digits),
        legend=f"cosine similarity; white: the {len(event.matches)} most similar",
    )


def cosine_words(event: PatchesCompared) -> str:
    """The patch, and the images' notes."""
    told = f"T{place_words(event.patch)[1:]} of {event.labels[0]}, compared with all patches of {things(len(event.seen), 'image')}"
    return " ".join([f"{told} by {things(event.features, 'feature')} each.", *event.notes])


def match_lines(event: PatchesCompared) -> list[str]:
    """The most similar patches, a line each: cosine, image, and (row, column), counted from 1."""
    digits = digits_for(np.array([match.cosine for match in event.matches]))
    others = [f"image {index}, {label}" for index, label in zip(event.indices[1:], event.labels[1:], strict=True)]
    where = ["this image", *others]
    return [f"{cosine(match.cosine, digits)}  {where[match.image]} ({match.row + 1}, {match.column + 1})" for match in event.matches]


def cosine_table(event: PatchesCompared) -> Table:
    """A line for each patch of each image; `rank` counts the best matches from 1."""
    ranks = {(match.image, match.row, match.column): rank for rank, match in enumerate(event.matches, 1)}
    rows: list[list[object]] = []
    for place, name in enumerate(image_names(event)):
        for (row, column), value in np.ndenumerate(event.cosines[place]):
            rows.append([name, row, column, float(f"{value:.6g}"), ranks.get((place, row, column), "")])
    return ["image", "row", "column", "cosine", "rank"], rows
