"""Two views of a batch of colour images on the CPU, as SimCLR trains on small ones: ours against kornia's.

Both crop and resize, mirror, jitter brightness, contrast, saturation and hue, and take the colours away, with the same strengths
and probabilities. There is no blur in this row: SimCLR leaves it out for small images. kornia draws one order of the colour steps
for each batch; ours has one order. Both sides have the cores that a training has.
"""

from __future__ import annotations

import torch
from torch import nn

from benchmarks import Row, interleave, main, seconds_of
from engine.transforms.augmentation import Recipe, augment

BATCH = 256
SIDE = 32
ROUNDS = 30
RECIPE = Recipe(crop=(0.08, 1.0), flip=0.5, jitter=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey=0.2)


def kornia_views() -> nn.Module:
    """kornia's augmentation with the strengths of `RECIPE`."""
    import kornia.augmentation as K

    return nn.Sequential(
        K.RandomResizedCrop((SIDE, SIDE), scale=RECIPE.crop, ratio=(1 / RECIPE.ratio, RECIPE.ratio)),
        K.RandomHorizontalFlip(p=RECIPE.flip),
        K.ColorJitter(RECIPE.brightness, RECIPE.contrast, RECIPE.saturation, RECIPE.hue, p=RECIPE.jitter),
        K.RandomGrayscale(p=RECIPE.grey),
    )


def measure() -> list[Row]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, 3, SIDE, SIDE, generator=generator)
    theirs = kornia_views()

    def ours() -> None:
        for _ in range(2):
            augment(x, RECIPE, generator)

    def peer() -> None:
        for _ in range(2):
            theirs(x)

    with torch.inference_mode():
        ours()
        peer()
        a, b, ratio = interleave(lambda: seconds_of(ours), lambda: seconds_of(peer), ROUNDS)
    return [
        Row(
            "two views of 256 images, 32 px, CPU, no blur",
            2 * BATCH / a,
            "images/s",
            "kornia",
            2 * BATCH / b,
            1 / ratio,
            "≥ 2.5",
            1 / ratio >= 2.5,
        )
    ]


if __name__ == "__main__":
    main(measure)
