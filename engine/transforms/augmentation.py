"""Views of images, batched on the device: a different draw for every image, all of it from the generator that is passed in.

`draw` decides what happens to each image, `apply` does it, and the order is fixed: crop and resize, rotation, mirror image,
brightness, contrast, saturation, hue, grey, blur, solarize, cut-out. Images are float32 in [0, 1], [B, 1 or 3, H, W]; grey ones
have neither saturation nor hue. Formulas follow Pillow and torchvision: crops are resized with Pillow's bilinear filter (a
triangle, widened where the picture shrinks), brightness multiplies, contrast blends with the mean of the grey picture,
saturation with the grey picture (ITU-R 601), hue turns the colour circle of HSV; every step ends within [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import Training, setting
from engine.precision import full

GREY = (0.299, 0.587, 0.114)  # ITU-R 601: how bright red, green and blue look
HOLE = 0.5  # what a cut-out shows: the middle of the range
LEAST_CHROMA = 1e-12  # below it a pixel is grey and its hue is 0
PIXELS_AT_ONCE = 2**17  # on a CPU
NOISE = (  # rows of uniform noise: always all of them in this order, so that no transform moves another one's draw
    *("area", "ratio", "left", "top", "flip", "angle", "jitter", "brightness", "contrast", "saturation", "hue"),
    *("grey", "blur", "sigma", "solarize", "cutout", "hole_left", "hole_top"),
)


@dataclass(frozen=True)
class Recipe:
    """How strongly images are changed. A probability or a strength of 0 switches a transform off: it then costs nothing."""

    crop: tuple[float, float] = (1.0, 1.0)  # share of the area that is kept, least and most
    ratio: float = 4 / 3  # of width to height of a crop: from 1 / ratio to ratio
    flip: float = 0.0  # probability of a mirror image (left to right)
    rotation: float = 0.0  # degrees, up to so many either way
    jitter: float = 0.0  # probability that brightness, contrast, saturation and hue are changed
    brightness: float = 0.0  # factor from 1 - b to 1 + b
    contrast: float = 0.0  # likewise
    saturation: float = 0.0  # likewise
    hue: float = 0.0  # share of the colour circle, up to so much either way, at most 0.5
    grey: float = 0.0  # probability
    blur: float = 0.0  # probability
    sigma: tuple[float, float] = (0.1, 2.0)  # of the blur, least and most, pixels of the result
    solarize: float = 0.0  # probability that what is above 0.5 is inverted
    cutout: float = 0.0  # probability
    cutout_side: float = 0.5  # of the hole, as a share of the picture's side


@dataclass(frozen=True)
class Draw:
    """What was drawn for every image; on the generator's device."""

    box: Tensor  # [B, 4] left, top, width, height of the crop: whole pixels of the original
    flipped: Tensor  # [B] bool
    angle: Tensor  # [B] degrees, counter-clockwise
    jittered: Tensor  # [B] bool; where it is false the four below are neutral
    brightness: Tensor  # [B] factor
    contrast: Tensor  # [B] factor
    saturation: Tensor  # [B] factor
    hue: Tensor  # [B] share of the colour circle
    grey: Tensor  # [B] bool
    sigma: Tensor  # [B] of the blur, pixels of the result; 0: none
    solarized: Tensor  # [B] bool
    hole: Tensor  # [B, 4] left, top, width, height of the cut-out: whole pixels of the result; width 0: none


@dataclass(frozen=True)
class Augmented(Training):
    """What the configuration of every method that learns from views has; the defaults are SimCLR's for small images."""

    crop_least: float = setting(0.2, "Smallest share of the picture's area that a crop keeps.", low=0.01, high=1.0, group="Augmentation")
    crop_most: float = setting(
        1.0,
        "Largest share of the picture's area that a crop keeps; with the smallest at 1, too, nothing is cropped.",
        low=0.01,
        high=1.0,
        group="Augmentation",
    )
    flip: float = setting(0.5, "Probability of a mirror image, left to right.", low=0.0, high=1.0, group="Augmentation")
    rotation: float = setting(
        0.0, "Pictures are turned by up to so much either way.", low=0.0, high=180.0, unit="degrees", group="Augmentation"
    )
    jitter: float = setting(
        0.8,
        "Probability that brightness and contrast are changed, of pictures in colour also saturation and hue.",
        low=0.0,
        high=1.0,
        group="Augmentation",
    )
    brightness: float = setting(0.4, "Brightness is multiplied by 1 plus or minus up to this.", low=0.0, high=1.0, group="Augmentation")
    contrast: float = setting(0.4, "Contrast is multiplied by 1 plus or minus up to this.", low=0.0, high=1.0, group="Augmentation")
    saturation: float = setting(
        0.4, "Saturation is multiplied by 1 plus or minus up to this.", low=0.0, high=1.0, group="Augmentation", of_colour=True
    )
    hue: float = setting(
        0.1,
        "Colours are turned by up to this share of the colour circle either way.",
        low=0.0,
        high=0.5,
        group="Augmentation",
        of_colour=True,
    )
    grey: float = setting(0.2, "Probability that a picture loses its colours.", low=0.0, high=1.0, group="Augmentation", of_colour=True)
    blur: float = setting(0.0, "Probability of a Gaussian blur of 0.1 to 2 pixels.", low=0.0, high=1.0, group="Augmentation")
    solarize: float = setting(0.0, "Probability that the bright half of the range is inverted.", low=0.0, high=1.0, group="Augmentation")
    cutout: float = setting(
        0.0, "Probability that a hole of half the picture's side is cut out.", low=0.0, high=1.0, label="cut-out", group="Augmentation"
    )

    def recipe(self, **changes: Any) -> Recipe:
        """The recipe of these settings, with whatever a view of its own kind changes."""
        same = ("flip", "rotation", "jitter", "brightness", "contrast", "saturation", "hue", "grey", "blur", "solarize", "cutout")
        recipe = Recipe(crop=(self.crop_least, self.crop_most), **{name: getattr(self, name) for name in same})
        return replace(recipe, **changes)


def augment(x: Tensor, recipe: Recipe, generator: torch.Generator | None, to: tuple[int, int] | None = None) -> tuple[Tensor, Draw]:
    """One view of every image [B, C, h, w], in its own size if none is given, and what was drawn for it.

    With everything off it is `x` itself.
    """
    size = (x.shape[2], x.shape[3])
    drawn = draw(recipe, len(x), size, to or size, generator)
    drawn = drawn if x.shape[1] == 3 else without_colour(drawn)
    return apply(x, drawn, to or size), drawn


def draw(recipe: Recipe, batch: int, size: tuple[int, int], to: tuple[int, int], generator: torch.Generator | None) -> Draw:
    """What happens to each of `batch` images of `size` (height, width) that become `to`.

    The same noise is taken whatever is on, so a transform that is switched off or made stronger leaves the draws of the others as
    they were. `Recipe()` gives the draw that changes nothing.
    """
    noise = torch.rand(len(NOISE), batch, generator=generator, device=None if generator is None else generator.device)
    u = dict(zip(NOISE, noise, strict=True))

    def either_way(name: str, most: float) -> Tensor:
        return (2 * u[name] - 1) * most

    def factor(name: str, most: float) -> Tensor:
        return torch.where(jittered, 1 + either_way(name, most), 1.0).clamp(min=0)

    jittered = u["jitter"] < recipe.jitter
    least, most = recipe.sigma
    side = torch.tensor([max(1, round(recipe.cutout_side * n)) for n in to], device=noise.device).expand(batch, 2)
    return Draw(
        box=_crop(u, recipe, size),
        flipped=u["flip"] < recipe.flip,
        angle=either_way("angle", recipe.rotation),
        jittered=jittered,
        brightness=factor("brightness", recipe.brightness),
        contrast=factor("contrast", recipe.contrast),
        saturation=factor("saturation", recipe.saturation),
        hue=torch.where(jittered, either_way("hue", recipe.hue), 0.0),
        grey=u["grey"] < recipe.grey,
        sigma=torch.where(u["blur"] < recipe.blur, least + u["sigma"] * (most - least), 0.0),
        solarized=u["solarize"] < recipe.solarize,
        hole=_box(u["hole_left"], u["hole_top"], side, to) * (u["cutout"] < recipe.cutout)[:, None],
    )


def without_colour(drawn: Draw) -> Draw:
    """The same of grey images, to which nothing is done that only colours show."""
    neutral = torch.ones_like(drawn.saturation)
    return replace(drawn, saturation=neutral, hue=torch.zeros_like(drawn.hue), grey=torch.zeros_like(drawn.grey))


def _crop(u: dict[str, Tensor], recipe: Recipe, size: tuple[int, int]) -> Tensor:
    """Boxes [B, 4]: the area is uniform, the ratio of width to height log-uniform and then clamped to what fits into the image.

    torchvision and kornia draw both again until the box fits (ten times at most). That makes large areas rarer, since only few
    ratios let them fit; here every area keeps its probability, and large boxes take the ratio of the image.
    """
    height, width = size
    least, most = recipe.crop
    area = (least + u["area"] * (most - least)) * height * width
    ratio = torch.exp((2 * u["ratio"] - 1) * math.log(recipe.ratio))
    ratio = torch.minimum(torch.maximum(ratio, area / height**2), width**2 / area)
    wide = (area * ratio).sqrt().round().clamp(1, width)
    high = (area / ratio).sqrt().round().clamp(1, height)
    return _box(u["left"], u["top"], torch.stack((high, wide), 1), size)


def _box(across: Tensor, down: Tensor, side: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [B, 4] of `side` [B, 2] (height, width) anywhere inside `size`, at whole pixels, every place as likely."""
    high, wide = side.unbind(1)
    left = (across * (size[1] - wide + 1)).floor()
    top = (down * (size[0] - high + 1)).floor()
    return torch.stack((left, top, wide.to(left), high.to(left)), 1)


def apply(x: Tensor, draw: Draw, to: tuple[int, int]) -> Tensor:
    """The images [B, C, H, W] as they were drawn, [B, C, *to]; an image that a step leaves out passes it bit for bit."""
    with full(x.device):
        y = _cropped(x, draw.box, to)

        def some(chosen: Tensor, change: Callable[..., Tensor], *drawn: Tensor) -> None:
            """`change(copies, what was drawn for them)` takes the place of the chosen images."""
            nonlocal y
            if chosen.any():
                y = y.clone() if y is x else y
                for index in chosen.nonzero().squeeze(1).split(_at_once(y)):
                    here = index.to(x.device)
                    y.index_copy_(0, here, change(y[here], *(values[index].to(x.device) for values in drawn)))

        some(draw.angle != 0, rotated, draw.angle)
        some(draw.flipped, lambda images: images.flip(3))
        colours = (draw.brightness, draw.contrast, draw.saturation, draw.hue)
        neutral = (draw.brightness == 1) & (draw.contrast == 1) & (draw.saturation == 1) & (draw.hue == 0)
        some(draw.jittered & ~neutral, jitter_, *colours)
        if x.shape[1] == 3:
            some(draw.grey, lambda images: grey_of(images).expand_as(images))
        some(draw.sigma > 0, blurred, draw.sigma)
        some(draw.solarized, lambda images: torch.minimum(images, 1 - images))
        some(draw.hole[:, 2] > 0, with_hole, draw.hole)
        return y


def _cropped(x: Tensor, box: Tensor, to: tuple[int, int]) -> Tensor:
    height, width = x.shape[2:]
    if to == (height, width) and bool((box == box.new_tensor([0, 0, width, height])).all()):
        return x
    y = x.new_empty(*x.shape[:2], *to)
    at_once = _at_once(y)
    for some, result, (left, top, wide, high) in zip(x.split(at_once), y.split(at_once), box.to(x.device).T.split(at_once, 1), strict=True):
        result.copy_(_separable(some, resizing(top, high, height, to[0]), resizing(left, wide, width, to[1])))
    return y


def _at_once(x: Tensor) -> int:
    """Images per piece. On a CPU smaller pieces would wait more often for the other threads, and larger ones need so much room
    that the C library gives it back to the system each time and gets it anew, which takes longer than the arithmetic."""
    return max(1, PIXELS_AT_ONCE // (x.shape[2] * x.shape[3])) if x.device.type == "cpu" else max(1, len(x))


def _separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows · x · columnsᵀ for every image and channel: x [B, C, H, W], rows [B, h, H], columns [B, w, W] -> [B, C, h, w].

    For pictures of some tens of pixels two small dense products are much quicker than looking up neighbours.
    """
    batch, channels, height, width = x.shape
    rows, columns = rows.to(x), columns.to(x)
    y = torch.bmm(x.reshape(batch, channels * height, width), columns.mT)
    return torch.matmul(rows[:, None], y.view(batch, channels, height, -1)).clamp_(0, 1)


def resizing(start: Tensor, length: Tensor, size: int, to: int) -> Tensor:
    """Weights [B, to, size] with which the pixels start … start + length - 1 of a line become `to` pixels.

    Pillow's bilinear filter: a triangle as wide as one pixel either way, or one pixel of the result where the line shrinks;
    what lies outside the crop has no weight.
    """
    scale = (length / to)[:, None, None]
    pixel = torch.arange(size, device=start.device) + 0.5
    place = start[:, None, None] + (torch.arange(to, device=start.device)[:, None] + 0.5) * scale  # [B, to, 1]
    weights = (pixel - place).abs_().mul_(-1 / scale.clamp(min=1)).add_(1).clamp_(min=0)
    inside = (pixel > start[:, None]) & (pixel < (start + length)[:, None])  # [B, size]
    weights *= inside[:, None].to(weights)
    return weights.div_(weights.sum(2, keepdim=True))


def blurring(sigma: Tensor, size: int) -> Tensor:
    """Weights [B, size, size] of a Gaussian along a line that is mirrored at the centres of its end pixels.

    The kernel reaches as far as the line is long, so nothing is cut off that a picture could show.
    """
    at = torch.arange(size, device=sigma.device)
    reach = torch.arange(1 - size, size, device=sigma.device)
    kernel = torch.softmax(-0.5 * (reach / sigma[:, None]) ** 2, 1)  # [B, 2 size - 1]
    weights = torch.zeros(len(sigma), size, size, device=sigma.device)
    last = size - 1
    source = last - (last - (at[:, None] + reach).abs()).abs()  # [size, 2 size - 1], mirrored at 0 and at the last
    return weights.scatter_add_(2, source.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, size, -1))


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of images [B, C, H, W], sigma [B] in pixels."""
    return _separable(x, blurring(sigma, x.shape[2]), blurring(sigma, x.shape[3]))


def rotated(x: Tensor, degrees: Tensor) -> Tensor:
    """Turned counter-clockwise about the centre; the corners mirror the picture, so that no black edge tells the angle. x [B, C, H, W],
    degrees [B].
    """
    height, width = x.shape[2:]
    angle = torch.deg2rad(degrees)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    where = torch.stack((cos, -sin * height / width, none, sin * width / height, cos, none), 1).view(-1, 2, 3)
    grid = F.affine_grid(where.to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False).clamp_(0, 1)


def jitter_(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue in this order, in place; each is left out where no image asks for it. x [B, C, H, W],
    the others [B].
    """
    colored = x.shape[1] == 3
    if (brightness != 1).any():
        brightness_(x, brightness)
    if (contrast != 1).any():
        contrast_(x, contrast)
    if colored and (saturation != 1).any():
        saturation_(x, saturation)
    if colored and (hue != 0).any():
        hue_(x, hue)
    return x


def brightness_(x: Tensor, factor: Tensor) -> Tensor:
    """Images x [B, C, H, W] times factor [B], clamped to 0..1, in place."""
    return x.mul_(_each(factor)).clamp_(0, 1)


def contrast_(x: Tensor, factor: Tensor) -> Tensor:
    """Blended with the mean of the grey picture, which Pillow rounds to a whole grey value and torchvision, as here, does not. x [B, C,
    H, W], factor [B].
    """
    mean = x.mean((2, 3), keepdim=True)  # [B, C, 1, 1]
    return x.mul_(_each(factor)).add_((mean if x.shape[1] == 1 else grey_of(mean)) * (1 - _each(factor))).clamp_(0, 1)


def saturation_(x: Tensor, factor: Tensor) -> Tensor:
    """Images x [B, 3, H, W] blended with their grey version by factor [B], clamped to 0..1, in place."""
    grey = grey_of(x)
    return x.mul_(_each(factor)).add_(grey.mul_(1 - _each(factor))).clamp_(0, 1)


def grey_of(x: Tensor) -> Tensor:
    """How bright each pixel looks, [B, 1, H, W]."""
    red, green, blue = x.split(1, 1)
    return (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2]).clamp_(0, 1)


def hue_(x: Tensor, turns: Tensor) -> Tensor:
    """The colour circle of HSV turned by a share of it; value and saturation of each pixel stay. x [B, 3, H, W], turns [B].

    In sixths of the circle a channel is least + chroma · clamp(2 - d, 0, 1), where d is the distance from the pixel's hue to the
    channel's own place (red 0, green 2, blue 4). Solved for the distance from red, without telling the six sectors apart:
    chroma · d = most - 2 least - red + green + blue, on green's side of the circle where green > blue.
    """
    red, green, blue = x.unbind(1)
    most = torch.maximum(green, blue).clamp_(min=red)
    least = torch.minimum(green, blue).clamp_(max=red)
    chroma = most - least
    hue = most.sub_(red).add_(green).add_(blue).sub_(least, alpha=2).copysign_(green - blue)
    hue.div_(chroma.clamp(min=LEAST_CHROMA).mul_(6)).add_(turns[:, None, None] + 1).frac_()  # 0 to 1: red, green, blue, red
    # clamp(2 - 6 |hue - place|) for green and blue; for red, which lies on both ends, 3 minus the distance from the opposite place
    place, slope, offset = x.new_tensor(((1 / 2, 1 / 3, 2 / 3), (6, -6, -6), (-1, 2, 2))).view(3, 3, 1, 1)
    torch.sub(hue[:, None], place, out=x)
    return x.abs_().mul_(slope).add_(offset).clamp_(0, 1).mul_(chroma[:, None]).add_(least[:, None]).clamp_(0, 1)


def with_hole(x: Tensor, hole: Tensor) -> Tensor:
    """`HOLE` in the box left, top, width, height of each image. x [B, C, H, W], hole int64 [B, 4] in pixels."""
    left, top, wide, high = hole[:, :, None].unbind(1)
    across = torch.arange(x.shape[3], device=x.device)
    down = torch.arange(x.shape[2], device=x.device)
    columns, rows = (across >= left) & (across < left + wide), (down >= top) & (down < top + high)
    return x.masked_fill((rows[:, :, None] & columns[:, None])[:, None], HOLE)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]
