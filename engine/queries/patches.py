"""What the patches of a vision transformer are asked: attention maps of one image, and patch features of several, as colours or cosines.

The mathematics is in `engine.evaluation.patch_analysis`, the networks' part in `engine.protocols.PatchTokens`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common.counting import is_or_are, number_of
from engine.data import adapt, lasting
from engine.detectors.base import aside
from engine.evaluation.patch_analysis import (
    apart,
    best_patches,
    component_colors,
    patch_components,
    patch_cosines,
    summarize_attention,
)
from engine.precision import full
from engine.protocols import PatchEncoder, PatchTokens, provides
from engine.queries.answers import Job, Part, answers
from engine.queries.arrays import array, image_tensor
from engine.queries.feature_cache import TELL_SECONDS, FeatureCache
from engine.queries.pictures import read_picture, require_images
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, Model, QuerySession, answer_head

MOST_OTHERS = 63  # images beside the one that is looked at
FEATURE_BYTES = 1 << 28  # of the patch features that are kept
ATTENTION_BYTES = 1 << 30  # of the attention weights of one image, all layers: some networks hold them together
NO_TEXT = " and has no patches; choose a run that was trained on images."


def patch_network_of(model: Model) -> PatchTokens:
    """The vision transformer of a checkpoint. Raises: CannotAnswer: its network is another one, or it reads text."""
    require_images(model, NO_TEXT)
    method = model.method
    if not provides(method, PatchEncoder):
        raise CannotAnswer(f"{method.title} has no encoder that cuts images into patches; choose a run with a vision transformer.")
    network = method.patch_network()
    if network is None:
        raise CannotAnswer(
            f"The network of {model.run.path.name} is no vision transformer and has no patches; train with encoder=vit or open a "
            "pretrained one."
        )
    return network


@answers(m.DescribePatches)
def describe_patches(session: QuerySession, query: m.DescribePatches) -> m.PatchesDescribed:
    """Layers and heads of a run's transformer, or why there is none. Raises: BadRun."""
    model = session.model(query.run, query.step)
    try:
        network = patch_network_of(model)
        network.patch_grid(size_of(model))
    except (CannotAnswer, ValueError) as error:
        return m.PatchesDescribed(**answer_head(query, model), why_not=str(error))
    return m.PatchesDescribed(**answer_head(query, model), layers=network.layers, heads=network.heads)


def size_of(model: Model) -> tuple[int, int]:
    """Height and width of the images that the run's networks are given."""
    return model.spec.shape[1], model.spec.shape[2]


def require_patch(patch: tuple[int, int] | None, grid: tuple[int, int]) -> None:
    """Raises: CannotAnswer: there is no such patch."""
    if patch is not None and not (0 <= patch[0] < grid[0] and 0 <= patch[1] < grid[1]):
        raise CannotAnswer(
            f"There is no patch in row {patch[0]}, column {patch[1]}: rows go from 0 to {grid[0] - 1}, columns from 0 to {grid[1] - 1}."
        )


# ---------------------------------------------------------------------------------------------------------------------
# Attention
# ---------------------------------------------------------------------------------------------------------------------


@answers(m.ShowAttention)
def show_attention(session: QuerySession, query: m.ShowAttention) -> m.AttentionShown:
    """What each head of a layer looks at in an image, as maps [heads + 1, h, w] with entropies and mean attention distances.

    Raises:
        CannotAnswer: no transformer, no such layer or patch, or weights too large for the memory. BadRun, BadData.
    """
    model = session.model(query.run, query.step)
    network = patch_network_of(model)
    if network.layers == 0:
        raise CannotAnswer(f"The network of {model.run.path.name} has no attention between all patches; look at its patch features.")
    layer = query.layer or network.layers
    if not 1 <= layer <= network.layers:
        raise CannotAnswer(f"There is no layer {layer}: this network has layers 1 to {network.layers}.")
    size = size_of(model)
    grid = network.patch_grid(size)
    require_patch(query.patch, grid)
    tokens = network.special + grid[0] * grid[1]
    needed = 4 * network.layers * network.heads * tokens**2
    if needed > ATTENTION_BYTES:
        raise CannotAnswer(
            f"Attention between {tokens:,} tokens in {network.layers} layers takes {needed / 2**30:.1f} GB, more than the "
            f"{ATTENTION_BYTES / 2**30:.0f} GB there is for it; open the backbone with a smaller side."
        )
    picture = read_picture(session, query.picture, model)
    seen, notes = adapt(picture, model.spec.shape)
    x = image_tensor(seen[None])
    with full(x.device):
        try:
            weights = network.attention(x, layer)[0]
        except ValueError as error:
            raise CannotAnswer(str(error)) from None
    if not bool(weights.isfinite().all()):
        raise CannotAnswer(_not_finite(model, "attention weights"))
    place = _query_token(network, query.patch, grid)
    found = summarize_attention(weights, grid, place)
    return m.AttentionShown(
        **answer_head(query, model),
        label=query.picture.label,
        seen=seen,
        area=network.patch_area(size),
        layer=layer,
        layers=network.layers,
        patch=query.patch,
        query=_query_words(network, query.patch),
        maps=array(found.maps),
        rest=array(found.rest),
        rest_name=_rest_words(network, query.patch),
        entropies=array(found.entropies),
        distances=array(found.distances),
        even_distance=float(apart(grid).mean()),
        notes=(*picture.notes, *notes),
    )


def _query_token(network: PatchTokens, patch: tuple[int, int] | None, grid: tuple[int, int]) -> int | None:
    if patch is not None:
        return network.special + patch[0] * grid[1] + patch[1]
    return 0 if network.class_token else None


def _query_words(network: PatchTokens, patch: tuple[int, int] | None) -> str:
    if patch is not None:
        return f"the patch in row {patch[0]}, column {patch[1]}"
    return "the class token" if network.class_token else "all patches on average, as there is no class token"


def _rest_words(network: PatchTokens, patch: tuple[int, int] | None) -> str:
    """“the class token itself and 4 other special tokens” (registers, DeiT's distillation token)"""
    names = []
    if network.class_token:
        names.append("the class token itself" if patch is None else "the class token")
    if others := network.special - network.class_token:
        names.append(f"{others} other special token{'s' * (others > 1)}")
    return " and ".join(names)


def _not_finite(model: Model, what: str) -> str:
    return f"{model.run.path.name} at step {model.step:,} gives {what} that are not finite numbers; choose an earlier step."


# ---------------------------------------------------------------------------------------------------------------------
# Patch features of several images
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ComparedImages:
    """Several images with their patch features; the first is the one that is looked at."""

    key: tuple[object, ...]
    asked: m.PatchImages  # with the step and the data that were looked at
    seen: np.ndarray  # uint8 [N, C, H, W]
    labels: tuple[str, ...]
    indices: np.ndarray  # int64 [N]
    area: tuple[float, float, float, float]
    features: list[Tensor]  # float32 [h, w, D] of each
    notes: tuple[str, ...]


class PatchComparisons:
    """Answers about the patch features of several images; keeps those of the newest ones."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._kept: ComparedImages | None = None

    @answers(m.ColorPatches)
    def color(self, work: m.ColorPatches) -> Job:
        """Three principal components of patch features as colours.

        Raises:
            CannotAnswer: no transformer, or too few patches in the foreground. BadRun, BadData.
        """
        if work.foreground not in ("", "above", "below"):
            raise CannotAnswer(f"“{work.foreground}” is no foreground; choose above, below or none.")
        found = yield from self._images(work.images, work.job)
        try:
            components = yield from aside(lambda: patch_components(found.features, work.foreground))
        except ValueError as error:
            raise CannotAnswer(str(error)) from None
        yield m.PatchesColored(
            job=work.job,
            images=found.asked,
            foreground=work.foreground,
            seen=found.seen.copy(),
            area=found.area,
            labels=found.labels,
            indices=found.indices.copy(),
            colors=array(component_colors(components)),
            kept=array(torch.stack(components.kept)),
            components=array(torch.stack(components.scores)),
            explained=components.explained,
            first_explained=components.first_explained,
            features=found.features[0].shape[2],
            notes=found.notes,
        )
        return f"Patch features of {number_of(len(found.seen), 'image')} are shown as colours."

    @answers(m.CompareToPatch)
    def compare(self, work: m.CompareToPatch) -> Job:
        """Cosine similarities of one patch to all others. Raises: CannotAnswer: no transformer, no such patch. BadRun, BadData."""
        found = yield from self._images(work.images, work.job)
        rows, columns, size = found.features[0].shape
        patch = work.patch or (rows // 2, columns // 2)
        require_patch(patch, (rows, columns))
        cosines = yield from aside(lambda: patch_cosines(found.features, patch))
        matches = best_patches(cosines, patch, work.best)
        yield m.PatchesCompared(
            job=work.job,
            images=found.asked,
            patch=patch,
            seen=found.seen.copy(),
            area=found.area,
            labels=found.labels,
            indices=found.indices.copy(),
            cosines=array(cosines),
            matches=tuple(m.PatchMatch(*place, float(cosines[place])) for place in matches),
            features=size,
            notes=found.notes,
        )
        return f"Patches of {number_of(len(found.seen), 'image')} are compared."

    def _images(self, asked: m.PatchImages, job: str) -> Part[ComparedImages]:
        """The images with their features, kept while the same ones of the same checkpoint are asked about."""
        model = self.session.model(asked.run, asked.step)
        network = patch_network_of(model)
        others = max(0, min(asked.others, MOST_OTHERS))
        subset = m.Subset(asked.run, asked.step, asked.data, asked.split, others + 1)
        named, images = yield from self.session.room(FeatureCache).images(model, subset, job)
        picture = read_picture(self.session, asked.picture, model)
        seen, notes = adapt(picture, model.spec.shape)
        key = (model.weights, str(model.run.path), model.step, images.key, others, asked.picture.label, seen.tobytes())
        if self._kept is not None and self._kept.key == key:
            return self._kept
        self._kept = None  # its memory is free for the new ones
        place = self._place_in(asked.picture, named, model)
        rows = [row for row, index in enumerate(images.indices) if index != place][:others]
        every = np.concatenate([seen[None], images.images[rows]])
        features = yield from self._features(model, network, every, job)
        labels = [_label(images.labels, images.classes, images.names, row) for row in rows[: len(features) - 1]]
        more = [f"The other images: {images.note}"] if images.note else []
        if len(features) < len(every):
            more.append(
                f"{len(features)} of {number_of(len(every), 'image')} {is_or_are(len(features))} shown: "
                "the patch features of more take too much memory."
            )
        self._kept = ComparedImages(
            key=key,
            asked=replace(asked, step=model.step, data=named.data, others=len(features) - 1),
            seen=every[: len(features)],
            labels=(asked.picture.label, *labels),
            indices=np.array([-1 if place is None else place, *images.indices[rows[: len(labels)]]], np.int64),
            area=network.patch_area(size_of(model)),
            features=features,
            notes=(*picture.notes, *notes, *more),
        )
        return self._kept

    def _place_in(self, picture: m.PictureRef, named: m.Subset, model: Model) -> int | None:
        """Which image of the split the picture is; None: none of it."""
        if picture.path is not None or picture.image is not None or picture.split != named.split:
            return None
        shown = self.session.data(named.data)
        own = self.session.run_data(model) if picture.data is None else self.session.data(lasting(picture.data))
        if own.hash != shown.hash:  # data that were moved have several names
            return None
        return (picture.index or 0) % len(shown.splits[named.split])

    def _features(self, model: Model, network: PatchTokens, images: np.ndarray, job: str) -> Part[list[Tensor]]:
        """Patch features [h, w, D] of each image [N, C, H, W], one after the other; of fewer where they fill the memory."""
        found: list[Tensor] = []
        progress = ProgressReporter(job, str(model.run.path), len(images), "image", "patch features", every=TELL_SECONDS)
        for image in images:
            x = image_tensor(image[None])
            with full(x.device):
                try:
                    features = network.patch_features(x)[0].float()
                except ValueError as error:
                    raise CannotAnswer(str(error)) from None
            if not bool(features.isfinite().all()):
                raise CannotAnswer(_not_finite(model, "patch features"))
            found.append(features.contiguous())
            if (len(found) + 1) * features.nbytes > FEATURE_BYTES:
                break
            yield progress.add(1)
        return found


def _label(labels: np.ndarray | None, classes: tuple[str, ...], names: tuple[str, ...], row: int) -> str:
    return names[row] if labels is None or not classes else classes[int(labels[row])]
