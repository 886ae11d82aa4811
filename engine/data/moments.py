"""What can be measured of an image that shows one coloured shape on the grey of `shapes`: its place, its colour and its form."""

from __future__ import annotations

import numpy as np

from engine.data import shapes

TURNS = (2, 3, 4, 5, 6, 8, 10, 12)  # m of the moments: how often a form looks the same within one turn
POWERS = (1, 2, 3)  # of the distance from the centre
NAMES = ("x", "y", "hue", "area", "extent", *(f"moment {m}, {p}" for m in TURNS for p in POWERS))


def measure(images: np.ndarray) -> np.ndarray:
    """Float64 [N, K], in the order of `NAMES`, of images uint8 [N, 3, H, W].

    A pixel's share of the shape is linear in its brightest channel, since the colours of `shapes` are as bright as can be. From the
    shares: their centre (pixels), the mean colour's hue (degrees), the area (square pixels), the deviation of the distances from the
    centre, and the absolute complex moments |Σ share ρ^p e^{imθ}| / Σ share about the centre with ρ in units of √area, which no turn and
    no size changes (Flusser 2000).
    """
    pixels = images.astype(np.float64) - shapes.BACKGROUND
    share = np.clip(pixels.max(1) / (255 - shapes.BACKGROUND), 0, 1)  # [N, H, W]
    area = share.sum((1, 2)) + 1e-6
    centres_y, centres_x = (np.arange(side) + 0.5 for side in share.shape[1:])
    x = (share * centres_x).sum((1, 2)) / area
    y = (share * centres_y[:, None]).sum((1, 2)) / area
    red, green, blue = ((pixels[:, channel].clip(0)).sum((1, 2)) / area for channel in range(3))
    hue = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360
    along, down = centres_x - x[:, None, None], centres_y[:, None] - y[:, None, None]
    rho = np.sqrt(along**2 + down**2) / np.sqrt(area)[:, None, None]
    turn = np.exp(1j * np.arctan2(down, along))
    extent = np.sqrt((share * rho**2).sum((1, 2)) / area)
    moments = [np.abs((share * rho**p * turn**m).sum((1, 2))) / area for m in TURNS for p in POWERS]
    return np.stack([x, y, hue, area, extent, *moments], 1)
