"""What the Views pane asks of one image: how much a checkpoint's vector of it turns under ever stronger transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.data import adapt
from engine.queries.answers import answers
from engine.queries.arrays import array, image_array, image_tensor
from engine.queries.pictures import read_picture, some_of
from engine.queries.session import Model, QuerySession, answer_head
from engine.queries.similarity import comparable, unit_vectors
from engine.queries.views import BATCH_REMEDY, image_model
from engine.transforms.augmentation import Recipe, apply, draw

OTHERS = 64  # held-out images that an image is compared with
BLUR_SHARE = 1 / 8  # of the side: the strongest blur of an invariance curve


class InvarianceCurves:
    """Cosines along a transform's strengths; keeps the vectors of held-out images while one checkpoint is measured."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._held_out: tuple[tuple[Any, ...], Tensor] | None = None

    @answers(m.MeasureInvariance)
    def measure_invariance(self, query: m.MeasureInvariance) -> m.InvarianceMeasured:
        """Cosines of an image's unit vector with those of the image transformed, by strength: mean and deviation over draws [k].

        Raises:
            CannotAnswer: a run of texts, or a method that neither encodes nor compares. BadRun, BadData.
        """
        model = image_model(self.session, query.run, query.step)
        choices = comparable(model.method)
        by = query.by if query.by in choices else (choices or ("features",))[0]
        picture = read_picture(self.session, query.picture, model, BATCH_REMEDY)
        seen, notes = adapt(picture, model.spec.shape)
        x = image_tensor(seen[None])
        size = (x.shape[2], x.shape[3])
        transforms = transforms_for(x.shape[1], size)
        name = query.transform if query.transform in transforms else next(iter(transforms))
        about = transforms[name]
        strengths = [0.0, about.most] if about.switch else [about.most * k / (query.count - 1) for k in range(query.count)]
        altered = [stronger(x, name, strength, query.draws, query.seed) for strength in strengths]  # [r, C, H, W] each
        vectors = unit_vectors(model.method, torch.cat([x, *altered]), "", by)
        cosines = vectors[1:].matmul(vectors[0]).unflatten(0, (len(strengths), -1))  # [k, r]
        return m.InvarianceMeasured(
            **answer_head(query, model),
            label=query.picture.label,
            transform=about,
            transforms=tuple(transforms),
            strengths=np.array(strengths, np.float32),
            cosines=array(cosines.mean(1)),
            deviations=array(cosines.std(1, correction=0)),
            images=image_array(torch.stack([images[0] for images in altered])),
            others=float(self._others(model, by).matmul(vectors[0]).mean()),
            seen=seen,
            notes=(*picture.notes, *notes),
            by=by,
            choices=choices,
        )

    def _others(self, model: Model, by: str) -> Tensor:
        """Vectors of held-out images [n, d]; kept while the curves of one checkpoint are measured."""
        key = (str(model.run.path), model.step, model.weights, by)
        if self._held_out is None or self._held_out[0] != key:
            self._held_out = key, unit_vectors(model.method, some_of(model.probe(), OTHERS), "", by)
        return self._held_out[1]


# ---------------------------------------------------------------------------------------------------------------------
# One transform by itself
# ---------------------------------------------------------------------------------------------------------------------


def transforms_for(channels: int, size: tuple[int, int]) -> dict[str, m.Transform]:
    """What can be done to images of this kind, by name."""
    blur = max(1.0, round(BLUR_SHARE * min(size), 1))
    found = [
        m.Transform("brightness", 1.0, "", "All values are multiplied by 1 plus the strength, and by 1 minus it."),
        m.Transform("contrast", 1.0, "", "Distances from the mean grey value are multiplied by 1 plus the strength, and by 1 minus it."),
        m.Transform("saturation", 1.0, "", "Distances from the grey picture are multiplied by 1 plus the strength, and by 1 minus it."),
        m.Transform("hue", 0.5, "of the colour circle", "Colours are turned by the strength, either way."),
        m.Transform("grey", 1.0, "", "The colours are taken away.", switch=True),
        m.Transform("blur", blur, "pixels", "Gaussian blur; the strength is its standard deviation."),
        m.Transform("rotation", 180.0, "degrees", "Turned by the strength, either way; the corners mirror the picture."),
        m.Transform("crop", 0.95, "of the area cut away", "What is left, at places drawn at random, is enlarged to the whole."),
        m.Transform("cut-out", 0.75, "of the side", "A grey square of this side covers the picture at places drawn at random."),
        m.Transform("solarize", 1.0, "", "The bright half of the range is inverted.", switch=True),
        m.Transform("flip", 1.0, "", "A mirror image, left to right.", switch=True),
    ]
    needs_colour = ("saturation", "hue", "grey")
    return {transform.name: transform for transform in found if channels == 3 or transform.name not in needs_colour}


def stronger(x: Tensor, name: str, strength: float, draws: int, seed: int) -> Tensor:
    """One image [1, C, H, W] under one transform of some strength, in every way it is drawn: [r, C, H, W].

    Both ways where it has a sign, `draws` places where it has one (the same for every strength), once otherwise.
    """
    size = (x.shape[2], x.shape[3])
    u = torch.rand(2, draws, generator=torch.Generator().manual_seed(seed))
    ways = {"crop": draws, "cut-out": draws, "grey": 1, "solarize": 1, "flip": 1, "blur": 1}.get(name, 2)
    nothing = draw(Recipe(), ways, size, size, torch.Generator().manual_seed(seed))
    both = torch.tensor([-strength, strength])
    on = torch.full((ways,), strength > 0)
    changes: dict[str, Callable[[], dict[str, Tensor]]] = {
        "brightness": lambda: {"brightness": 1 + both, "jittered": on},
        "contrast": lambda: {"contrast": 1 + both, "jittered": on},
        "saturation": lambda: {"saturation": 1 + both, "jittered": on},
        "hue": lambda: {"hue": both, "jittered": on},
        "grey": lambda: {"grey": on},
        "blur": lambda: {"sigma": torch.full((1,), strength)},
        "rotation": lambda: {"angle": both},
        "crop": lambda: {"box": _somewhere(u, (1 - strength) ** 0.5, size)},
        "cut-out": lambda: {"hole": _somewhere(u, strength, size)},
        "solarize": lambda: {"solarized": on},
        "flip": lambda: {"flipped": on},
    }
    drawn = replace(nothing, **changes[name]())
    return apply(x.expand(ways, -1, -1, -1), drawn, size)


def _somewhere(u: Tensor, share: float, size: tuple[int, int]) -> Tensor:
    """Boxes [r, 4] whose sides are a share of the picture's, at whole pixels; u in [0, 1), [2, r], says where."""
    high, wide = (round(share * side) for side in size)
    left, top = (u[0] * (size[1] - wide + 1)).floor(), (u[1] * (size[0] - high + 1)).floor()
    return torch.stack((left, top, torch.full_like(left, wide), torch.full_like(top, high)), 1)
