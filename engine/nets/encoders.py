"""Encoders by name, for every method that learns features: image -> vector, and what each block on the way knows."""

from __future__ import annotations

from torch import nn

from engine.nets.resnet import ConvNet, ResNet
from engine.nets.vit import ViT

KINDS = ("resnet", "convnet", "vit")


def encoder(kind: str, shape: tuple[int, ...], width: int, blocks: int, norm: str = "batch", stages: int = 4) -> nn.Module:
    """A network [B, C, H, W] -> [B, features], with `features` and `each(x)`, the features after every block by name.

    Args:
        width: channels of the first stage of a ResNet or convnet; a ViT is four times as wide.
        blocks: in each of the stages; a ViT has as many blocks as all stages together.
        norm: of ResNet and convnet: "batch", "split" (batch norm over each eighth of the batch) or "group"; a ViT has layer norm.

    Raises:
        ValueError: the images are too small or too large for it.
    """
    if kind == "vit":
        return ViT(shape, 4 * width, stages * blocks)
    return {"resnet": ResNet, "convnet": ConvNet}[kind](shape, width, blocks, stages, norm)
