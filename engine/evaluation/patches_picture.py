"""The verb `patches`: what the Views pane shows of a vision transformer's patches, as one picture and in numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from engine import messages as m
from engine.common.viridis import viridis
from engine.evaluation.sample_grid import GAP, CannotWrite
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.atomic_io import write_file

MODES = ("attention", "pca", "similarity")
SHOWN_SIDE = 128  # pixels of an image in the file, at least
OPACITY = 0.7  # of what lies over an image
ACROSS = 6  # images in a row
WHITE, GREY = 255, 128


@dataclass(frozen=True)
class PatchesWanted:
    """What to draw of which run."""

    run: str
    step: int | str | None
    mode: str  # one of MODES
    picture: m.PictureRef
    data: str = ""  # of the other images; empty: the run's own
    split: str = "valid"
    others: int = 11
    patch: tuple[int, int] | None = None
    layer: int = 0  # of attention, from 1; 0: the last
    foreground: str = ""  # of pca


def patches_file(wanted: PatchesWanted, out: Path, follow: Callable[[Any], Iterable[Any]] = iter) -> dict[str, Any]:
    """Write the picture and return its numbers, the same that the window shows.

    Args:
        follow: runs a job and hands on its events.

    Raises:
        BadRun, BadData, CannotAnswer, CannotWrite: one sentence each.
    """
    if out.suffix.lower() != ".png":
        raise CannotAnswer(f"Patches are drawn as .png, and {out.name} is none; name a file such as patches.png.")
    session = QuerySession()
    model = session.model(wanted.run, wanted.step)
    values: dict[str, Any] = {"step": model.step, "step_rule": model.step_rule, "mode": wanted.mode}
    if wanted.mode == "attention":
        shown = session.answer(
            m.ShowAttention(run=wanted.run, step=model.step, picture=wanted.picture, layer=wanted.layer, patch=wanted.patch)
        )
        assert isinstance(shown, m.AttentionShown)
        values |= _attention_values(shown)
        maps = (shown.maps[-1], *shown.maps[:-1])  # the mean comes first
        sheet = _sheet([picture_of(shown.seen), *(_over(shown.seen, _heat(one, 0, one.max()), shown.area) for one in maps)])
    else:
        images = m.PatchImages(wanted.run, wanted.picture, model.step, wanted.data, wanted.split, wanted.others)
        work: m.Work = m.ColorPatches(job="", images=images, foreground=wanted.foreground)
        if wanted.mode == "similarity":
            work = m.CompareToPatch(job="", images=images, patch=wanted.patch)
        kinds = (m.PatchesColored, m.PatchesCompared)
        found = next((event for event in follow(session.work(work)) if isinstance(event, kinds)), None)
        if found is None:
            raise KeyboardInterrupt("It was stopped before the patches were drawn.")
        values |= _colored_values(found) if isinstance(found, m.PatchesColored) else _compared_values(found)
        sheet = _colored_sheet(found) if isinstance(found, m.PatchesColored) else _compared_sheet(found)
    recipe = {"run": Path(wanted.run).name, "image": wanted.picture.label, **{name: values[name] for name in ("step", "mode")}}
    try:
        write_file(out.absolute(), _png(sheet, json.dumps(recipe)))
    except OSError as error:
        raise CannotWrite(f"{out} could not be written ({error.strerror or error}); choose another place.") from None
    return {"file": str(out), **values}


# -- in numbers ----------------------------------------------------------------------------------------------------------


def _attention_values(shown: m.AttentionShown) -> dict[str, Any]:
    heads = len(shown.maps) - 1
    names = [*(str(head + 1) for head in range(heads)), "mean"]
    rows = zip(names, shown.rest, shown.entropies, shown.distances, shown.maps, strict=True)
    return {
        "image": shown.label,
        "layer": shown.layer,
        "layers": shown.layers,
        "query": shown.query,
        "grid": list(shown.maps.shape[1:]),
        "no_patch": shown.rest_name,
        "max_entropy": float(np.log(shown.maps[0].size)),
        "even_distance": shown.even_distance,
        "heads": [
            {"head": name, "no_patch": float(rest), "entropy": float(entropy), "distance": float(distance), "map": one.tolist()}
            for name, rest, entropy, distance, one in rows
        ],
        "notes": list(shown.notes),
    }


def _images_of(found: m.PatchesColored | m.PatchesCompared) -> dict[str, Any]:
    rows = zip(found.indices, found.labels, strict=True)
    return {
        "data": found.images.data,
        "split": found.images.split,
        "images": [{"index": None if index < 0 else int(index), "label": label} for index, label in rows],
        "features": found.features,
        "notes": list(found.notes),
    }


def _colored_values(found: m.PatchesColored) -> dict[str, Any]:
    return {
        **_images_of(found),
        "grid": list(found.kept.shape[1:]),
        "foreground": found.foreground,
        "patches": found.kept.size,
        "kept": int(found.kept.sum()),
        "explained": list(found.explained),
        "first_explained": found.first_explained,
    }


def _compared_values(found: m.PatchesCompared) -> dict[str, Any]:
    matches = [
        {"image": match.image, "row": match.row, "column": match.column, "cosine": match.cosine, "label": found.labels[match.image]}
        for match in found.matches
    ]
    return {**_images_of(found), "grid": list(found.cosines.shape[1:]), "patch": list(found.patch), "matches": matches}


# -- as a picture --------------------------------------------------------------------------------------------------------


def picture_of(seen: np.ndarray) -> np.ndarray:
    """An image uint8 [C, H, W] in colour, enlarged by a whole number to at least 128 pixels: [H', W', 3]."""
    times = max(1, -(-SHOWN_SIDE // seen.shape[1]))
    colored = np.broadcast_to(seen.transpose(1, 2, 0), (*seen.shape[1:], 3))
    return colored.repeat(times, 0).repeat(times, 1)


def patch_rows(
    size: tuple[int, int], seen: tuple[int, ...], grid: tuple[int, ...], area: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Which row and which column of patches each pixel of a picture lies in, int64 [H'] and [W']; outside the grid -1.

    Args:
        size: of the picture.
        seen: height and width of the image, in whose pixels `area` (top, left, height, width) is.
    """
    found = []
    for axis in range(2):
        places = (np.arange(size[axis]) + 0.5) * seen[axis] / size[axis]
        cells = np.floor((places - area[axis]) / area[2 + axis] * grid[axis]).astype(np.int64)
        found.append(np.where((cells >= 0) & (cells < grid[axis]), cells, -1))
    return found[0], found[1]


def _over(seen: np.ndarray, colors: np.ndarray, area: tuple[float, ...], kept: np.ndarray | None = None) -> np.ndarray:
    """An image with the colours of its patches uint8 [h, w, 3] over it."""
    picture = picture_of(seen).astype(np.float64)
    rows, columns = patch_rows((picture.shape[0], picture.shape[1]), seen.shape[1:], colors.shape[:2], area)
    covered = (rows >= 0)[:, None] & (columns >= 0)[None]
    if kept is not None:
        covered &= kept[np.ix_(rows, columns)]
    mixed = (1 - OPACITY) * picture + OPACITY * colors[np.ix_(rows, columns)]
    return np.where(covered[..., None], mixed, picture).round().astype(np.uint8)


def _heat(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return viridis((values - low) / (high - low if high > low else 1.0))


def _colored_sheet(found: m.PatchesColored) -> np.ndarray:
    rows = zip(found.seen, found.colors, found.kept, strict=True)
    return _sheet([_over(seen, colors, found.area, kept) for seen, colors, kept in rows])


def _compared_sheet(found: m.PatchesCompared) -> np.ndarray:
    """Cosines over each image, the patch itself and the best matches outlined in white."""
    others = found.cosines.copy()
    others[(0, *found.patch)] = np.nan
    low, high = float(np.nanmin(others)), float(np.nanmax(others))
    tiles = [_over(seen, _heat(values, low, high), found.area) for seen, values in zip(found.seen, found.cosines, strict=True)]
    outlined = [(0, *found.patch), *((match.image, match.row, match.column) for match in found.matches)]
    for image, row, column in outlined:
        tile = tiles[image]
        rows, columns = patch_rows((tile.shape[0], tile.shape[1]), found.seen.shape[2:], found.cosines.shape[1:], found.area)
        down, across = np.flatnonzero(rows == row), np.flatnonzero(columns == column)
        if len(down) and len(across):
            tile[np.ix_(down[[0, -1]], across)] = WHITE
            tile[np.ix_(down, across[[0, -1]])] = WHITE
    return _sheet(tiles)


def _sheet(tiles: list[np.ndarray]) -> np.ndarray:
    """Pictures [H', W', 3] of one size side by side, in rows, with gaps."""
    high, wide = tiles[0].shape[:2]
    across = min(ACROSS, len(tiles))
    rows = -(-len(tiles) // across)
    sheet = np.full((rows * (high + GAP) - GAP, across * (wide + GAP) - GAP, 3), GREY, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // across * (high + GAP), place % across * (wide + GAP)
        sheet[top : top + high, left : left + wide] = tile
    return sheet


def _png(sheet: np.ndarray, recipe: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("priorama", recipe)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, format="PNG", pnginfo=info)
    return file.getvalue()
