"""The dimensions of a latent space as sliders show them: in which order, from which zero, in which unit. Numbers only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from app.shell.formatting import number
from engine.common.active_dimensions import DEFINITION
from engine.messages import Described

CLASS_SCORE = 2.0  # of the class that is chosen; the others have 0
SPAN = 3.0  # sigma; how far sliders and the plane go to both sides


@dataclass(frozen=True, eq=False)
class LatentAxes:
    """`order` leads from the rank of a dimension to its index in z; kl (nat), scale, centre, active and share are [D] in the order of z.

    One sigma is the deviation of the prior, or of the data where there is no prior. There is no KL without a posterior. Where there are
    `class_names`, the last dimensions of z score these classes, and the largest is the class that is decoded; they come last.
    """

    order: tuple[int, ...]
    kl: np.ndarray | None
    scale: np.ndarray | None
    centre: np.ndarray | None
    has_prior: bool = True
    active: np.ndarray | None = None  # bool: whether it reacts to the image, as `engine.common.active_dimensions` defines that
    share: np.ndarray | None = None  # of the variance of decoded images
    class_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the dimensions, where they are of several kinds, as in `Described`

    @classmethod
    def of(cls, described: Described, has_prior: bool) -> LatentAxes:
        """Ranked by KL where there is one, else by share of the variance or by deviation; ties in the order of z, classes last. Of several
        kinds one kind after the other.
        """
        known = [weight for weight in (described.kl, described.share, described.scale) if weight is not None]
        weight = np.asarray(known[0] if known else np.zeros(described.latent))
        free = described.latent - described.class_scores
        order = (*(int(dim) for dim in np.argsort(-weight[:free], kind="stable")), *range(free, described.latent))
        if described.names:
            kinds = list(dict.fromkeys(_kind(name) for name in described.names))
            order = tuple(sorted(order, key=lambda dim: kinds.index(_kind(described.names[dim]))))
        names = described.classes if described.class_scores else ()
        scale, centre = described.scale, described.centre
        return cls(order, described.kl, scale, centre, has_prior, described.active, described.share, names, described.names)

    @property
    def free(self) -> int:
        """How many dimensions are no scores of classes."""
        return len(self.order) - len(self.class_names)

    def class_of(self, z: np.ndarray) -> int | None:
        """The class that a z [D] is decoded as; None where its dimensions do not say."""
        return int(np.argmax(z[self.free :])) if self.class_names else None

    def with_class(self, z: np.ndarray, label: int) -> np.ndarray:
        """A copy of z [D] that is decoded as another class."""
        z = z.copy()
        z[self.free :] = 0
        z[self.free + label] = CLASS_SCORE
        return z

    def reordered(self, order: tuple[int, ...]) -> LatentAxes:
        return replace(self, order=order)

    def unit(self, dim: int) -> tuple[float, float]:
        """Zero and one sigma of a slider, in z."""
        zero = float(self.centre[dim]) if self.centre is not None else 0.0
        one = float(self.scale[dim]) if self.scale is not None else 1.0
        return zero, one or 1.0

    def sigmas(self, z: np.ndarray, dim: int) -> float:
        """A coordinate of z [D] in sigma."""
        zero, one = self.unit(dim)
        return (float(z[dim]) - zero) / one

    def with_sigmas(self, z: np.ndarray, dim: int, sigmas: float) -> np.ndarray:
        """A copy of z [D] with one coordinate at a value in sigma."""
        zero, one = self.unit(dim)
        z = z.copy()
        z[dim] = zero + one * sigmas
        return z

    def middle(self) -> np.ndarray:
        """Where every slider is at zero: float32 [D]."""
        return np.zeros(len(self.order), np.float32) if self.centre is None else np.array(self.centre, np.float32)

    def label(self, rank: int) -> str:
        """The name of a dimension: its own, or one by its rank, of which the first is "z01"; of a class's score "class 3"."""
        if self.names:
            return self.names[self.order[rank]]
        if rank >= self.free:
            return f"class {self.class_names[rank - self.free]}"
        return f"z{rank + 1:0{max(2, len(str(len(self.order))))}d}"

    def labels(self) -> dict[int, str]:
        """Index in z -> name."""
        return {dim: self.label(rank) for rank, dim in enumerate(self.order)}

    def note(self, rank: int) -> str:
        """Its KL or its share of the variance; empty where there is neither."""
        if rank >= self.free:
            return ""
        if self.kl is None:
            return "" if self.share is None else number(100 * float(self.share[self.order[rank]]), 1, "%")
        return f"{float(self.kl[self.order[rank]]):.2f} nat"

    def is_dead(self, rank: int) -> bool:
        """Whether it does not react to the image."""
        return self.active is not None and not self.active[self.order[rank]]

    def explanation(self, rank: int) -> str:
        """Which coordinate of z it is and what it is worth, for a tooltip."""
        dim = self.order[rank]
        if rank >= self.free:
            return f"The score of {self.label(rank)}, dimension {dim} of z: the class with the largest score is decoded."
        if self.share is not None:
            part = number(100 * float(self.share[dim]), 1, "%")
            return f"{self.label(rank)} is a principal direction of z: it accounts for {part} of the variance of the image, to first order."
        where = f"{self.label(rank)} is dimension {dim} of z."
        if self.kl is None:
            spread = float(self.scale[dim]) if self.scale is not None else 1.0
            return f"{where} One σ is {spread:.3g}: the deviation {'of the prior' if self.has_prior else 'over the data'}."
        tail = (
            f"of KL – not active: it hardly reacts to the image. {DEFINITION}"
            if self.is_dead(rank)
            else "of KL: at most so much information about the image, on average."
        )
        return f"{where} {float(self.kl[dim]):.2f} nat {tail}"


def _kind(name: str) -> str:
    """“z2” of “z2.13”."""
    return name.partition(".")[0]
