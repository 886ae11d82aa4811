"""Densities on the plane: log p and its gradient, and mean, deviation and normalizing constant in closed form, to judge chains by.

Each has one shape parameter in [0, 1]: at 0 it is easy to sample, at 1 hard.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

LOG_TAU = math.log(2 * math.pi)


class UnknownTarget(ValueError):
    """One sentence: the name, and the names there are."""


@dataclass(frozen=True)
class Target(ABC):
    """A density on the plane. Positions are float64 [..., 2]."""

    shape: float = 0.5

    name: ClassVar[str]
    formula: ClassVar[str]

    @abstractmethod
    def log_p(self, x: np.ndarray) -> np.ndarray:
        """log p(x), normalized: [..., 2] -> [...]."""

    @abstractmethod
    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∇ log p(x): [..., 2] -> [..., 2]."""

    @abstractmethod
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each coordinate, [2] each, exact."""

    @property
    @abstractmethod
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of what holds nearly all of it."""


class Gaussian(Target):
    """Two correlated standard normal coordinates."""

    name = "gaussian"
    formula = "N(0, [[1, ρ], [ρ, 1]])"

    @property
    def rho(self) -> float:
        """The correlation, 0 to 0.98."""
        return 0.98 * self.shape

    def log_p(self, x: np.ndarray) -> np.ndarray:
        """log p(x): [..., 2] -> [...]."""
        rho = self.rho
        squared = (x[..., 0] ** 2 - 2 * rho * x[..., 0] * x[..., 1] + x[..., 1] ** 2) / (1 - rho**2)
        return -squared / 2 - LOG_TAU - 0.5 * math.log(1 - rho**2)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∇ log p(x): [..., 2] -> [..., 2]."""
        return -(x - self.rho * x[..., ::-1]) / (1 - self.rho**2)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, [2] each."""
        return np.zeros(2), np.ones(2)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Three and a half deviations each way."""
        return -3.5, 3.5, -3.5, 3.5


class Banana(Target):
    """A Gaussian bent along a parabola (Haario et al. 1999): x ~ N(0, 4), y | x ~ N(b (x² - 4), 1/2²)."""

    name = "banana"
    formula = "x ~ N(0, 2²), y | x ~ N(b (x² − 4), 0.5²)"
    WIDE, NARROW = 2.0, 0.5

    @property
    def bend(self) -> float:
        """b, 0 to 0.8."""
        return 0.8 * self.shape

    def _off(self, x: np.ndarray) -> np.ndarray:
        return x[..., 1] - self.bend * (x[..., 0] ** 2 - self.WIDE**2)

    def log_p(self, x: np.ndarray) -> np.ndarray:
        """log p(x): [..., 2] -> [...]."""
        squared = (x[..., 0] / self.WIDE) ** 2 + (self._off(x) / self.NARROW) ** 2
        return -squared / 2 - LOG_TAU - math.log(self.WIDE * self.NARROW)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∇ log p(x): [..., 2] -> [..., 2]."""
        pull = -self._off(x) / self.NARROW**2
        return np.stack([-x[..., 0] / self.WIDE**2 - 2 * self.bend * x[..., 0] * pull, pull], axis=-1)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, [2] each; Var[x²] = 2 σ⁴."""
        return np.zeros(2), np.array([self.WIDE, math.sqrt(self.NARROW**2 + 2 * self.bend**2 * self.WIDE**4)])

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Three deviations of x, and what the parabola reaches there."""
        side = 3.0 * self.WIDE
        return -side, side, -4 * self.bend - 2.0, self.bend * (side**2 - self.WIDE**2) + 2.0


class Ring(Target):
    """All directions alike, the radius near 2: log p = -(r - 2)² / 2w² - log Z."""

    name = "ring"
    formula = "exp(−(|x| − 2)² / 2w²) / Z"
    RADIUS = 2.0

    @property
    def width(self) -> float:
        """w, 0.6 to 0.06."""
        return 0.6 * 0.1**self.shape

    def _radial(self) -> tuple[float, float]:
        """∫ r f(r) dr and ∫ r³ f(r) dr over r > 0, of f(r) = exp(-(r - R)² / 2w²); from r f = R f - w² f'."""
        R, w = self.RADIUS, self.width
        edge = math.exp(-(R**2) / (2 * w**2))
        zeroth = w * math.sqrt(math.pi / 2) * (1 + math.erf(R / (w * math.sqrt(2))))
        first = R * zeroth + w**2 * edge
        second = R * first + w**2 * zeroth
        return first, R * second + 2 * w**2 * first

    def log_p(self, x: np.ndarray) -> np.ndarray:
        """log p(x): [..., 2] -> [...]."""
        r = np.hypot(x[..., 0], x[..., 1])
        return -((r - self.RADIUS) ** 2) / (2 * self.width**2) - LOG_TAU - math.log(self._radial()[0])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∇ log p(x): [..., 2] -> [..., 2]; zero in the very middle, where there is none."""
        r = np.hypot(x[..., 0], x[..., 1])[..., None]
        return -(r - self.RADIUS) / self.width**2 * x / np.maximum(r, 1e-12)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, [2] each; E[x²] = E[r²] / 2."""
        first, third = self._radial()
        return np.zeros(2), np.full(2, math.sqrt(third / first / 2))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The radius and three and a half widths."""
        side = self.RADIUS + max(3.5 * self.width, 0.8)
        return -side, side, -side, side


class Mixture(Target):
    """Three round Gaussians at the corners of a triangle, with shares 1/2, 1/3 and 1/6."""

    name = "mixture"
    formula = "Σ π_k N(μ_k, 0.5² I)"
    SHARES = np.array([1 / 2, 1 / 3, 1 / 6])
    WIDTH = 0.5

    @property
    def centres(self) -> np.ndarray:
        """[3, 2], 0.6 to 3 from the middle."""
        angles = np.pi / 2 + 2 * np.pi / 3 * np.arange(3)
        return (0.6 + 2.4 * self.shape) * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def _log_joint(self, x: np.ndarray) -> np.ndarray:
        squared = ((x[..., None, :] - self.centres) ** 2).sum(-1) / self.WIDTH**2
        return np.log(self.SHARES) - squared / 2 - LOG_TAU - 2 * math.log(self.WIDTH)  # [..., 3]

    def log_p(self, x: np.ndarray) -> np.ndarray:
        """log p(x): [..., 2] -> [...]."""
        joint = self._log_joint(x)
        most = joint.max(-1)
        return most + np.log(np.exp(joint - most[..., None]).sum(-1))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∇ log p(x): [..., 2] -> [..., 2], the components' weighted by what each explains."""
        joint = self._log_joint(x)
        shares = np.exp(joint - joint.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return ((shares[..., None] * (self.centres - x[..., None, :])).sum(-2)) / self.WIDTH**2

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, [2] each."""
        mean = self.SHARES @ self.centres
        return mean, np.sqrt(self.WIDTH**2 + self.SHARES @ self.centres**2 - mean**2)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The outermost centre and three and a half deviations."""
        side = float(np.abs(self.centres).max()) + 3.5 * self.WIDTH
        return -side, side, -side, side


TARGETS: dict[str, type[Target]] = {kind.name: kind for kind in (Gaussian, Banana, Ring, Mixture)}


def target_named(name: str, shape: float = 0.5) -> Target:
    """Raises: UnknownTarget."""
    if name not in TARGETS:
        raise UnknownTarget(f"There is no density “{name}”; there are: {', '.join(TARGETS)}.")
    return TARGETS[name](shape)
