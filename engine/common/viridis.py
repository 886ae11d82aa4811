"""Values as colours: the viridis map (Smith and van der Walt 2015, CC0)."""

from __future__ import annotations

import numpy as np

# Seventeen of its colours, evenly spaced; between them the map is as good as straight.
ANCHORS = (
    "440154", "481769", "472c7a", "423f85", "3b518b", "33628d", "2c718e", "26818e", "21908c",
    "1f9f88", "27ad80", "3dbc73", "5cc862", "81d34c", "aadc31", "d5e219", "fde725",
)  # fmt: skip
TABLE = np.array([[int(color[i : i + 2], 16) for i in (0, 2, 4)] for color in ANCHORS], np.float64)  # [17, 3]


def viridis(share: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] -> uint8 [..., 3]; what lies outside is taken to the nearer end."""
    share = np.clip(np.nan_to_num(np.asarray(share, np.float64)), 0, 1)
    places = np.linspace(0, 1, len(TABLE))
    return np.stack([np.interp(share, places, TABLE[:, channel]) for channel in range(3)], axis=-1).round().astype(np.uint8)
