"""How long a training lasts where nobody says: one rule for the first page and the form."""

from __future__ import annotations

EPOCHS = 45  # a VAE on the digits still gains on held-out images there; from some 55 epochs on it loses
FEWEST_STEPS, MOST_STEPS = 500, 4000


def default_steps(images: int | None, batch_size: int) -> int:
    """Optimizer steps of `EPOCHS` epochs of so many training images, at least `FEWEST_STEPS`, at most `MOST_STEPS`; the most where the
    number is not known.
    """
    if images is None:
        return MOST_STEPS
    return min(MOST_STEPS, max(FEWEST_STEPS, round(EPOCHS * images / max(1, batch_size))))
