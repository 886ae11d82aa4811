"""How far a mean or a share that was measured on a sample can be believed."""

from __future__ import annotations

import math

import numpy as np

Z95 = 1.96  # standard normal: 95 % lie within
T95 = (  # Student's t of 1, 2, … 30 degrees of freedom: 95 % lie within
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def margin(error: float, n: int) -> float:
    """Half the width of the 95 % interval of a mean of `n` values with a standard error (Student 1908); infinite for a single one."""
    if n < 2:
        return math.inf
    return error * (T95[n - 2] if n - 2 < len(T95) else Z95 + 2.42 / (n - 1))  # the next term of the quantile's expansion in 1 / n


def difference_margin(a: float, n: int, b: float, m: int) -> float:
    """Half the width of the 95 % interval of a difference of means, of `n` values with deviation `a` (ddof 1) and of `m` with `b` (Welch
    1947), its degrees of freedom rounded down; infinite where one is of a single value.
    """
    if min(n, m) < 2:
        return math.inf
    first, second = a * a / n, b * b / m
    if first + second == 0:
        return 0.0
    freedom = (first + second) ** 2 / (first * first / (n - 1) + second * second / (m - 1))
    return margin(math.sqrt(first + second), 1 + int(freedom))


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


def standard_error(values: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Standard error of the mean of values [N]; of a share of right answers (0 or 1) the binomial one.

    With groups [N] the cluster-robust one (Liang and Zeger 1986): values of one group may depend on each other. NaN for one value or group,
    and where a value is infinite: -log p of what a prior of zero rules out.
    """
    count = len(values)
    if not np.isfinite(values).all():
        return math.nan
    if groups is None or len(np.unique(groups)) == count:
        if count > 1 and np.isin(values, (0.0, 1.0)).all():
            return share_error(float(values.mean()), count)
        return float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    _, number = np.unique(groups, return_inverse=True)
    apart = np.bincount(number.reshape(-1), weights=values - values.mean())  # summed within each group
    return float(np.sqrt((apart**2).sum() * len(apart) / (len(apart) - 1)) / count) if len(apart) > 1 else float("nan")
