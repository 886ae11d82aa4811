"""How many drawn images show what their caption says, as judged by a classifier that was trained on the true factors of `shapes`.

The judge has a forest for every kind of word, on measurements of the image (`engine.data.moments`). It is trained here, on images that
no run has seen, and its own accuracy on other such images stands beside what it says.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier

from engine.common.intervals import share_interval
from engine.common.pixels import to_uint8
from engine.data import shapes
from engine.data.captions import encode_captions, words_of
from engine.data.moments import measure
from engine.messages import Progress
from engine.protocols import Sampler, provides
from engine.queries.sampling import drawn_frames
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_reader import Run

HEADS: dict[str, tuple[str, ...]] = {
    "size": shapes.SIZES,
    "colour": shapes.COLOURS,
    "shape": shapes.KINDS,
    "row": shapes.ROWS,
    "column": shapes.COLUMNS,
}
JUDGED = {"shape": ("shape",), "colour": ("colour",), "place": ("row", "column"), "size": ("size",)}
RIGHT = ("shape", "colour", "row", "column")  # what an image must have to be right
JUDGE_SEED = 20_261_127  # of the images that the judge learns from: no data set has them
JUDGE_IMAGES, JUDGE_HELD_OUT = 20_000, 4_000
TREES = 8  # of each head
AT_ONCE = 50  # images drawn between two yields


class FactorClassifier:
    """For every kind of word a forest of decision trees on the measurements of an image: thresholds are what words are made by."""

    def __init__(self, measurements: np.ndarray, answers: dict[str, np.ndarray]) -> None:
        """Learn from measurements [N, K] and the places of the true words int64 [N], by head."""
        self.forests = {}
        for name, places in answers.items():
            forest = RandomForestClassifier(TREES, max_features=None, random_state=0)  # type: ignore[arg-type]  # all measurements
            self.forests[name] = forest.fit(measurements, places)

    def __call__(self, measurements: np.ndarray) -> dict[str, np.ndarray]:
        """The likeliest word of each head, int64 [N]."""
        return {name: forest.predict(measurements) for name, forest in self.forests.items()}


def true_answers(captions: Sequence[str]) -> dict[str, np.ndarray]:
    """The places of a caption's words, by head, int64 [N]; each caption has one word of each head."""
    found: dict[str, list[int]] = {name: [] for name in HEADS}
    for caption in captions:
        said = set(words_of(caption))
        for name, words in HEADS.items():
            found[name].append(next(place for place, word in enumerate(words) if word in said))
    return {name: np.array(places) for name, places in found.items()}


def train_judge(images: int = JUDGE_IMAGES) -> Generator[tuple[int, int], None, tuple[FactorClassifier, dict[str, float]]]:
    """A judge and its accuracy on held-out images, "right" for all that counts. Yields (images measured, images)."""
    count = images + JUDGE_HELD_OUT
    measured, captions = [], []
    for start in range(0, count, 1000):
        factors = shapes.factors_of(JUDGE_SEED, np.arange(start, min(start + 1000, count)))
        measured.append(measure(shapes.draw(factors)))
        captions += list(shapes.captions(factors))
        yield len(captions), count
    x, y = np.concatenate(measured), true_answers(captions)
    judge = FactorClassifier(x[:images], {name: places[:images] for name, places in y.items()})
    said = judge(x[images:])
    return judge, _shares({name: said[name] == y[name][images:] for name in HEADS})


def _shares(right: dict[str, np.ndarray]) -> dict[str, float]:
    """The share of the images in which everything of a kind is right, from answers bool [N] by head."""
    kinds = {**JUDGED, "right": RIGHT}
    return {kind: float(np.all([right[name] for name in names], axis=0).mean()) for kind, names in kinds.items()}


def typed_captions(count: int, seed: int) -> list[str]:
    """`count` captions of all that can be said of `shapes`, in an order drawn with a seed: none comes twice before all have come once."""
    every = [
        f"a {size} {colour} {kind} at the {row} {column}"
        for size, colour, kind, row, column in itertools.product(*(HEADS[name] for name in ("size", "colour", "shape", "row", "column")))
    ]
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[place] for place in np.resize(order, count)]


def caption_accuracy(
    path: Path, count: int, step: int | str | None = None, seed: int = 0, settings: Mapping[str, Any] | None = None, job: str = ""
) -> Generator[Progress, None, dict[str, Any]]:
    """Draw one image for each of `count` captions and judge it; yields progress.

    Values: `captions`, `captions_right` (shape, colour and place) with its 95 % interval, the shares of `caption_shape`, `caption_colour`,
    `caption_place`, `caption_size`, and `judge_right` and so on: the judge's own accuracy on held-out images of `shapes`.

    Raises: CannotAnswer: the run was told no captions of `shapes`. BadRun.
    """
    model = Model(Run.open(path), step)
    method = model.method
    if method.condition != "caption" or not provides(method, Sampler):
        raise CannotAnswer(f"{method.title} was told no captions in this run; choose one with conditional = true and condition = caption.")
    if lacking := [word for words in HEADS.values() for word in words if word not in model.spec.words]:
        raise CannotAnswer(f"This run’s captions have no “{lacking[0]}”: only captions of the data set “shapes” can be judged.")
    captions = typed_captions(count, seed)
    judging = train_judge()
    while True:
        try:
            done, of = next(judging)
        except StopIteration as end:
            judge, own = end.value
            break
        yield Progress(job, str(path), done, of, "image", 0.0, None, "Training the judge")
    tokens, generator = torch.from_numpy(encode_captions(captions, model.spec.words)), model.generator(seed)
    images = []
    for some in tokens.split(AT_ONCE):
        with torch.inference_mode():
            frames, _ = drawn_frames(method, len(some), some, 1.0, generator, "mean", settings)
            for frame in frames:
                drawn = frame.x
        images.append(to_uint8(drawn).numpy())
        yield Progress(job, str(path), sum(map(len, images)), count, "image", 0.0, None)
    said, meant = judge(measure(np.concatenate(images))), true_answers(captions)
    shares = _shares({name: said[name] == meant[name] for name in HEADS})
    names = {"right": "captions_right", **{kind: f"caption_{kind}" for kind in JUDGED}}
    values: dict[str, Any] = {"captions": count}
    for kind, name in names.items():
        values[name] = shares[kind]
        values[f"{name}_interval"] = list(share_interval(shares[kind] * count, count))
    return values | {f"judge_{kind}": share for kind, share in own.items()}
