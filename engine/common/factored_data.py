"""Which data sets come with the true factors that their images were drawn from."""

from __future__ import annotations

FACTORED = ("shapes",)


def has_factors(data: str) -> bool:
    """Whether a data set, as a run names it (“shapes:50000”), has true factors."""
    return data.partition(":")[0] in FACTORED
