"""How similar a method finds images: unit vectors of what its loss compares, or of its features."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from engine.method import Method
from engine.protocols import Compared, Encoder, provides
from engine.queries.session import CannotAnswer


def comparable(method: Method) -> tuple[str, ...]:
    """What of a method can be compared: "projections", "features", the loss's own first."""
    found = (("projections", provides(method, Compared)), ("features", provides(method, Encoder)))
    return tuple(name for name, there in found if there)


def unit_vectors(method: Method, x: Tensor, role: str, by: str = "projections") -> Tensor:
    """Unit vectors [B, d] of images [B, C, H, W]: what the loss compares where the method has it, else features.

    Args:
        role: which network sees it, as in `View.role`.

    Raises:
        CannotAnswer: the method has neither.
    """
    if by == "projections" and provides(method, Compared):
        return F.normalize(method.compared(x, role).flatten(1), dim=1)
    if provides(method, Encoder):
        return F.normalize(method.encode(x).flatten(1), dim=1)
    raise CannotAnswer(f"{method.title} neither encodes nor compares images, so it cannot say how similar they are.")
