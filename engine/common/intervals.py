"""How far a share that was counted in a sample can be believed."""

from __future__ import annotations

import math

Z95 = 1.96  # standard normal: 95 % lie within


def share_interval(count: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval (1927) of a probability of which `count` of `n` independent trials came true; (0, 1) where n is 0."""
    if n <= 0:
        return 0.0, 1.0
    p = count / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def share_error(share: float, n: int) -> float:
    """Standard error √(p (1 - p) / n) of a share p of `n` independent trials; NaN where n is 0."""
    return math.sqrt(max(share * (1 - share), 0.0) / n) if n else math.nan
