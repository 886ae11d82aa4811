"""Messages of the Views pane: the tensors of the next batch, how similar a checkpoint finds them, and its puzzles played by hand.

A *watcher* is a view as one of the method's networks looks at it: a teacher and a student may both see the same view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.messages.base import Answer, PictureRef, Query

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "BatchShown",
    "Drawn",
    "FillMask",
    "InvarianceMeasured",
    "MaskFilled",
    "MeasureInvariance",
    "PosePuzzle",
    "PuzzlePosed",
    "QueueShown",
    "ShowBatch",
    "ShowQueue",
    "ShownView",
    "Transform",
    "Watcher",
]


@dataclass(frozen=True)
class Drawn:
    """What the augmentation did to one image. Boxes are left, top, width, height in whole pixels."""

    box: tuple[int, int, int, int]  # of the crop, in the original
    flipped: bool = False
    angle: float = 0.0  # degrees, counter-clockwise
    brightness: float = 1.0  # factor
    contrast: float = 1.0  # factor
    saturation: float = 1.0  # factor
    hue: float = 0.0  # share of the colour circle
    grey: bool = False
    sigma: float = 0.0  # of the blur, pixels of the view; 0: none
    solarized: bool = False
    hole: tuple[int, int, int, int] = (0, 0, 0, 0)  # of the cut-out, in the view; width 0: none


@dataclass(frozen=True, eq=False)
class ShownView:
    """One view of every image of a batch."""

    name: str  # "view 1", "local 3", "turned by 90°"
    role: str  # "" | "query" | "key" | "student" | "teacher", or two of them joined by " and "
    x: np.ndarray  # float32 [n, C, h, w]: the very numbers that the network is given
    drawn: tuple[Drawn, ...] = ()  # one for each image; empty where nothing was drawn


@dataclass(frozen=True)
class Watcher:
    """A network that compares one of the views."""

    view: int  # place among the views; -1: the unchanged images
    role: str
    name: str  # "view 1", "global 2, teacher"


@dataclass(frozen=True, eq=False, kw_only=True)
class ShowBatch(Query):
    """The batch that a training takes next after this checkpoint, made again -> `BatchShown`.

    With `settings` (those of the group "Augmentation") the same images with the same noise are changed by another recipe.
    """

    run: str
    step: int | None = None
    count: int = 16  # images to show
    settings: dict[str, object] = field(default_factory=dict)
    pair: tuple[int, int] | None = None  # places of the watchers that are compared; None: those that the method compares


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchShown(Answer):
    """The views of a batch."""

    run: str
    step: int
    indices: np.ndarray  # int64 [n]: places in the training split
    labels: tuple[str, ...]  # [n]; empty where there are no classes
    originals: np.ndarray  # uint8 [n, C, H, W]
    views: tuple[ShownView, ...]
    watchers: tuple[Watcher, ...]
    cosines: np.ndarray  # float32 [n, K, K]: of each image, between its watchers
    pair: tuple[int, int]
    before: np.ndarray | None  # float32 [n]: the pair's cosines with the run's own settings; None where these are they
    matrix: np.ndarray  # float32 [R, S]: cosines between all images
    rows: tuple[int, ...]  # watchers along the matrix' rows, n images each
    columns: tuple[int, ...]
    batch: int  # images of a batch
    piece: int  # of those, how many the network is given at once
    exact: bool  # these are the tensors bit for bit
    notes: tuple[str, ...]  # what else there is to say, in sentences
    compares: str  # "projections" (what the loss compares) | "features"
    queue: int = 0  # keys of former batches that are compared with
    puzzle: str = ""  # "rotation" | "jigsaw" | "mask"


@dataclass(frozen=True, eq=False, kw_only=True)
class ShowQueue(Query):
    """-> `QueueShown`"""

    run: str
    step: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class QueueShown(Answer):
    """Keys of former batches, with their ages."""

    run: str
    step: int
    ages: np.ndarray  # int64 [K]: steps since each key was encoded; -1: one of the random vectors of the beginning


@dataclass(frozen=True)
class Transform:
    """One way to change an image, from strength 0, which leaves it as it is, to `most`."""

    name: str  # "hue"
    most: float
    unit: str  # of the strength: "of the colour circle", "degrees", "pixels"
    help: str  # what a strength means: one sentence
    switch: bool = False  # there is nothing between off and on


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasureInvariance(Query):
    """How similar a checkpoint finds an image to itself, the more strongly one transform changes it -> `InvarianceMeasured`."""

    run: str
    step: int | None = None
    picture: PictureRef
    transform: str = ""  # empty: the first there is
    by: str = "projections"  # "projections" | "features"
    count: int = 9  # strengths from 0 to the most
    draws: int = 8  # of the place, where one is drawn
    seed: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class InvarianceMeasured(Answer):
    """Similarity of images to their changed versions."""

    run: str
    step: int
    label: str
    transform: Transform
    transforms: tuple[str, ...]  # all that can be asked for with this image
    strengths: np.ndarray  # float32 [k]
    cosines: np.ndarray  # float32 [k], the mean over the draws
    deviations: np.ndarray  # float32 [k], over the draws
    images: np.ndarray  # uint8 [k, C, H, W]: the first draw
    others: float  # mean cosine between this image and the run's held-out images
    seen: np.ndarray  # uint8 [C, H, W]
    notes: tuple[str, ...]  # how it was adapted, in words
    by: str  # what was compared, "projections" | "features"
    choices: tuple[str, ...]  # what can be compared


@dataclass(frozen=True, eq=False, kw_only=True)
class PosePuzzle(Query):
    """A validation image as a puzzle of the run's method; the same number is the same puzzle at every checkpoint -> `PuzzlePosed`."""

    run: str
    step: int | None = None
    number: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class PuzzlePosed(Answer):
    """A puzzle with the model's answer."""

    run: str
    step: int
    number: int
    kind: str  # "rotation" | "jigsaw" | "mask"
    index: int  # of the validation split
    label: str  # its class; empty where there is none
    original: np.ndarray  # uint8 [C, H, W]
    picture: np.ndarray  # uint8 [C, h, w]: what is shown, turned or shuffled; of a mask the original
    answer: int = -1  # quarter turns counter-clockwise, or the number of the permutation
    probabilities: np.ndarray | None = None  # float32 [A]: of the method's answers
    permutations: np.ndarray | None = None  # int64 [P, n]: the tile at place i of the picture is tile permutations[p, i] of the original
    side: int = 0  # tiles along a side


@dataclass(frozen=True, eq=False, kw_only=True)
class FillMask(Query):
    """-> `MaskFilled`"""

    run: str
    step: int | None = None
    index: int = 0  # of the validation split
    hidden: np.ndarray  # bool [H, W]


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskFilled(Answer):
    """A picture with its hidden part filled in by the model."""

    run: str
    step: int
    index: int
    hidden: np.ndarray  # bool [H, W]
    filled: np.ndarray  # uint8 [C, H, W]
    error: float  # root of the mean square over the hidden values, in steps of 1/255
    plain: float  # the same for a hidden region in the mean colour of what can be seen
