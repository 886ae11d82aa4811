"""What the Latent pane shows, for its tests."""

from __future__ import annotations

import numpy as np

from app.panes.latent.pane import LatentPane


def drawn(pane: LatentPane) -> np.ndarray:
    """The pixels of the picture, uint8 [8, 8]."""
    image = pane.decoded_image.picture.image
    assert image is not None
    return np.array([[image.pixelColor(x, y).red() for x in range(8)] for y in range(8)], np.uint8)


def order_of(pane: LatentPane) -> tuple[int, ...]:
    """Rank of a dimension -> its index in z."""
    assert pane.slider_list.axes is not None
    return pane.slider_list.axes.order
