"""Views: each transform on fixed parameters against kornia, Pillow or a plain loop, and what is drawn for them."""

from __future__ import annotations

import colorsys
import dataclasses
import math

import kornia
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.nn import functional as F

from engine.config import BadSetting, fields_of, make_config
from engine.transforms import augmentation
from engine.transforms.augmentation import Augmented, Draw, Recipe, apply, augment, draw

EXACT = 1e-5  # float32 against the same formula
BYTE = 1.01 / 255  # against Pillow, which cuts every result down to a whole grey value
EVERYTHING = Recipe(
    crop=(0.2, 0.9),
    flip=0.5,
    rotation=30.0,
    jitter=0.7,
    brightness=0.4,
    contrast=0.5,
    saturation=0.6,
    hue=0.2,
    grey=0.3,
    blur=0.4,
    solarize=0.3,
    cutout=0.4,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int, channels: int = 3, height: int = 17, width: int = 23, seed: int = 0) -> Tensor:
    """Whole grey values, so that Pillow's pictures hold the same."""
    return torch.randint(256, (batch, channels, height, width), generator=generator(seed)) / 255


def nothing(x: Tensor, to: tuple[int, int] | None = None, **changes: object) -> Draw:
    """The draw that leaves the images as they are, with some changes."""
    size = (x.shape[2], x.shape[3])
    return dataclasses.replace(draw(Recipe(), len(x), size, to or size, generator()), **changes)  # type: ignore[arg-type]


def colours(x: Tensor, **changes: Tensor) -> Draw:
    return nothing(x, jittered=torch.ones(len(x), dtype=torch.bool), **changes)


def changed(x: Tensor, drawn: Draw) -> Tensor:
    return apply(x, drawn, (x.shape[2], x.shape[3]))


def to_pillow(image: Tensor) -> Image.Image:
    values = (image * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(values[0]) if len(values) == 1 else Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0)))


def from_pillow(picture: Image.Image) -> Tensor:
    values = torch.from_numpy(np.array(picture)) / 255
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def planes(image: Tensor) -> list[Image.Image]:
    """One float picture per channel: Pillow then rounds nothing."""
    return [Image.fromarray(plane.numpy()) for plane in image]


def one(drawn: Draw, i: int) -> Draw:
    return Draw(*(getattr(drawn, field.name)[i : i + 1] for field in dataclasses.fields(Draw)))


# -- colours ----------------------------------------------------------------------------------------------------------


FACTORS = torch.tensor([0.0, 0.3, 0.999, 1.0, 1.4, 2.0])


@pytest.mark.parametrize("channels", [1, 3])
def test_that_brightness_multiplies_as_kornia_and_pillow_do(channels):
    x = pictures(len(FACTORS), channels)
    y = changed(x, colours(x, brightness=FACTORS))
    assert torch.allclose(y, kornia.enhance.adjust_brightness_accumulative(x, FACTORS), atol=EXACT)
    for image, result, factor in zip(x, y, FACTORS.tolist(), strict=True):
        assert torch.allclose(result, from_pillow(ImageEnhance.Brightness(to_pillow(image)).enhance(factor)), atol=BYTE)


@pytest.mark.parametrize("channels", [1, 3])
def test_that_contrast_blends_with_the_mean_of_the_grey_picture(channels):
    x = pictures(len(FACTORS), channels) * 0.7  # not symmetric about the middle of the range
    x = (x * 255).round() / 255
    y = changed(x, colours(x, contrast=FACTORS))
    assert torch.allclose(y, kornia.enhance.adjust_contrast_with_mean_subtraction(x, FACTORS), atol=EXACT)
    for image, result, factor in zip(x, y, FACTORS.tolist(), strict=True):
        theirs = from_pillow(ImageEnhance.Contrast(to_pillow(image)).enhance(factor))  # rounds the mean as well
        assert torch.allclose(result, theirs, atol=2 * BYTE)


def test_that_saturation_blends_with_the_grey_picture():
    x = pictures(len(FACTORS))
    y = changed(x, colours(x, saturation=FACTORS))
    assert torch.allclose(y, kornia.enhance.adjust_saturation_with_gray_subtraction(x, FACTORS), atol=EXACT)
    for image, result, factor in zip(x, y, FACTORS.tolist(), strict=True):
        theirs = from_pillow(ImageEnhance.Color(to_pillow(image)).enhance(factor))  # rounds the grey picture as well
        assert torch.allclose(result, theirs, atol=2 * BYTE)


def test_that_hue_turns_the_colour_circle_as_colorsys_and_kornia_do():
    x = pictures(9, 3, 6, 7)
    x[0, :, 0, :5] = torch.tensor([[0.0, 1, 0.5, 1, 0.2], [0, 1, 0.5, 0, 0.2], [0, 1, 0.5, 0, 0.7]])  # black, white, grey, red, two equal
    turns = torch.tensor([0.5, -0.5, 0.1, -0.1, 1 / 3, -1 / 6, 0.05, 0.49, 0.25])
    y = changed(x, colours(x, hue=turns))
    assert torch.allclose(y, kornia.enhance.adjust_hue(x, turns * 2 * math.pi), atol=EXACT)
    for image, result, turn in zip(x.double(), y, turns.tolist(), strict=True):
        for pixel, found in zip(image.flatten(1).T.tolist(), result.flatten(1).T.tolist(), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            assert found == pytest.approx(colorsys.hsv_to_rgb((h + turn) % 1, s, v), abs=EXACT)


def test_that_colours_change_in_the_order_brightness_contrast_saturation_hue():
    x = pictures(4)
    brightness, contrast = torch.tensor([1.4, 0.6, 1.2, 0.8]), torch.tensor([0.6, 1.4, 1.3, 0.7])
    saturation, turns = torch.tensor([1.4, 1.2, 0.6, 0.7]), torch.tensor([0.1, -0.1, 0.05, -0.2])
    y = kornia.enhance.adjust_contrast_with_mean_subtraction(kornia.enhance.adjust_brightness_accumulative(x, brightness), contrast)
    y = kornia.enhance.adjust_hue(kornia.enhance.adjust_saturation_with_gray_subtraction(y, saturation), turns * 2 * math.pi)
    drawn = colours(x, brightness=brightness, contrast=contrast, saturation=saturation, hue=turns)
    assert torch.allclose(changed(x, drawn), y, atol=EXACT)


def test_that_a_picture_loses_its_colours_by_itu_weights():
    x = pictures(3)
    y = changed(x, nothing(x, grey=torch.tensor([True, False, True])))
    assert torch.allclose(y[0], kornia.color.rgb_to_grayscale(x)[0].expand(3, -1, -1), atol=EXACT)
    assert torch.equal(y[1], x[1])
    assert torch.allclose(y[2], from_pillow(to_pillow(x[2]).convert("L")).expand(3, -1, -1), atol=BYTE)


def test_that_grey_pictures_have_neither_saturation_nor_hue():
    x = pictures(4, 1)
    some = torch.tensor([0.5, 1.5, 0.1, 1.0])
    assert torch.equal(changed(x, colours(x, saturation=some, hue=some - 0.5)), x)
    assert torch.equal(changed(x, nothing(x, grey=torch.ones(4, dtype=torch.bool))), x)


def test_that_no_colour_change_is_drawn_for_grey_pictures_and_that_nothing_else_is_other():
    recipe = Recipe(crop=(0.3, 0.9), jitter=1.0, brightness=0.3, contrast=0.3, saturation=0.8, hue=0.4, grey=0.7, blur=0.5)
    colour = torch.rand(64, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    (_, told), (_, seen) = (augment(x, recipe, torch.Generator().manual_seed(5)) for x in (colour[:, :1], colour))
    assert bool((told.saturation == 1).all()) and bool((told.hue == 0).all()) and not bool(told.grey.any())
    assert bool((seen.saturation != 1).any()) and bool((seen.hue != 0).any()) and bool(seen.grey.any())
    for name in ("box", "flipped", "angle", "jittered", "brightness", "contrast", "sigma", "solarized", "hole"):
        assert torch.equal(getattr(told, name), getattr(seen, name)), name


def test_that_solarizing_inverts_the_bright_half():
    x = torch.arange(256).view(1, 1, 16, 16) / 255
    y = changed(x, nothing(x, solarized=torch.tensor([True])))
    assert torch.allclose(y[0], from_pillow(ImageOps.solarize(to_pillow(x[0]), threshold=128)), atol=EXACT)


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("to", [(17, 23), (30, 11), (8, 9), (40, 40)])
def test_that_a_crop_is_what_pillow_makes_of_its_box(channels, to):
    x = pictures(6, channels)
    recipe = Recipe(crop=(0.05, 1.0), ratio=2.0)
    drawn = draw(recipe, len(x), (17, 23), to, generator(1))
    y = apply(x, drawn, to)
    assert y.shape == (6, channels, *to)
    for image, result, (left, top, width, height) in zip(x, y, drawn.box.int().tolist(), strict=True):
        for plane, found in zip(planes(image), result, strict=True):
            part = plane.crop((left, top, left + width, top + height))
            theirs = np.array(part.resize(to[::-1], Image.Resampling.BILINEAR))
            assert np.allclose(found.numpy(), theirs, atol=EXACT)


def test_that_an_enlarged_crop_is_interpolated_bilinearly():
    x = pictures(1)
    y = apply(x, nothing(x, (16, 20), box=torch.tensor([[4.0, 2.0, 10.0, 8.0]])), (16, 20))
    assert torch.allclose(y, F.interpolate(x[:, :, 2:10, 4:14], (16, 20), mode="bilinear", align_corners=False), atol=EXACT)


def test_that_a_crop_of_one_pixel_is_that_pixel():
    x = pictures(1)
    y = changed(x, nothing(x, box=torch.tensor([[22.0, 16.0, 1.0, 1.0]])))
    assert torch.equal(y, x[:, :, 16:, 22:].expand_as(y))


def test_that_a_flip_mirrors_left_and_right():
    x = pictures(2)
    y = changed(x, nothing(x, flipped=torch.tensor([True, False])))
    assert torch.equal(y[0], from_pillow(ImageOps.mirror(to_pillow(x[0]))))
    assert torch.equal(y[1], x[1])


@pytest.mark.parametrize(("channels", "size"), [(3, (20, 20)), (1, (17, 23))])
def test_that_a_rotation_is_counter_clockwise_as_in_kornia_and_pillow(channels, size):
    x = pictures(4, channels, *size)
    angle = torch.tensor([10.0, -35.0, 45.0, 170.0])
    y = changed(x, nothing(x, angle=angle))
    down, across = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    disc = (down**2 + across**2).sqrt() < min(size) / 2 - 1.5  # never turned out of the picture
    theirs = kornia.geometry.rotate(x, angle, padding_mode="reflection")
    assert torch.allclose(y[:, :, disc], theirs[:, :, disc], atol=1e-4)
    for image, result, degrees in zip(x, y, angle.tolist(), strict=True):
        for plane, found in zip(planes(image), result, strict=True):
            turned = torch.from_numpy(np.array(plane.rotate(degrees, Image.Resampling.BILINEAR)))
            assert torch.allclose(found[disc], turned[disc], atol=1e-4)


def test_that_quarter_turns_lose_nothing():
    x = pictures(3, 3, 16, 16)
    y = changed(x, nothing(x, angle=torch.tensor([90.0, 180.0, -90.0])))
    for image, result, quarters in zip(x, y, (1, 2, -1), strict=True):
        assert torch.allclose(result, torch.rot90(image, quarters, (1, 2)), atol=1e-4)


def test_that_a_rotation_leaves_no_black_corners():
    x = torch.full((5, 1, 12, 15), 0.8)
    assert torch.allclose(changed(x, nothing(x, angle=torch.tensor([10.0, 45, 60, -30, 135]))), x, atol=EXACT)


@pytest.mark.parametrize("channels", [1, 3])
def test_that_blur_is_a_whole_gaussian_with_mirrored_borders(channels):
    x = pictures(4, channels)
    sigma = torch.tensor([0.1, 0.8, 2.0, 5.0])
    theirs = kornia.filters.gaussian_blur2d(x, (33, 45), sigma[:, None].expand(4, 2), "reflect")
    assert torch.allclose(changed(x, nothing(x, sigma=sigma)), theirs, atol=EXACT)


def test_that_a_hole_is_cut_where_it_was_drawn():
    x = pictures(3)
    hole = torch.tensor([[2.0, 3, 5, 4], [0, 0, 23, 17], [7, 7, 0, 0]])
    expected = x.clone()
    for image, (left, top, width, height) in zip(expected, hole.int().tolist(), strict=True):
        for row in range(top, top + height):
            for column in range(left, left + width):
                image[:, row, column] = 0.5
    assert torch.equal(changed(x, nothing(x, hole=hole)), expected)


# -- everything together ----------------------------------------------------------------------------------------------


def test_that_with_everything_off_the_images_come_back_themselves():
    x = pictures(5)
    assert augment(x, Recipe(), generator())[0] is x
    strong = Recipe(brightness=0.4, hue=0.1, sigma=(1.0, 2.0), cutout_side=0.3)  # strengths of what has probability 0
    assert augment(x, strong, generator())[0] is x
    assert augment(x, Recipe(jitter=1.0), generator())[0] is x  # a probability of what has strength 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("to", [None, (16, 16), (9, 31)])
def test_that_views_stay_in_range_and_images_stay_as_they_are(channels, to):
    x = pictures(300, channels)
    before = x.clone()
    y, drawn = augment(x, EVERYTHING, generator(), to)
    assert y.shape == (300, channels, *(to or (17, 23)))
    assert y.dtype == torch.float32
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
    assert torch.equal(x, before)
    assert len(drawn.box) == 300


def test_that_white_stays_within_the_range():
    x = torch.ones(200, 3, 16, 16)
    y, _ = augment(x, dataclasses.replace(EVERYTHING, solarize=0.0), generator())
    assert float(y.max()) <= 1


def test_that_an_image_does_not_see_the_others_of_its_batch(monkeypatch):
    x = pictures(40)
    drawn = draw(EVERYTHING, len(x), (17, 23), (17, 23), generator())
    alone = torch.cat([changed(x[i : i + 1], one(drawn, i)) for i in range(len(x))])
    assert torch.allclose(changed(x, drawn), alone, atol=EXACT)
    monkeypatch.setattr(augmentation, "PIXELS_AT_ONCE", 3 * 17 * 23)  # pieces of three images, the last one smaller
    assert torch.allclose(changed(x, drawn), alone, atol=EXACT)


def test_that_an_image_that_nothing_was_drawn_for_passes_bit_for_bit():
    x = pictures(400)
    y, drawn = augment(x, dataclasses.replace(EVERYTHING, crop=(1.0, 1.0), rotation=0.0), generator())
    same = ~(drawn.flipped | drawn.jittered | drawn.grey | (drawn.sigma > 0) | drawn.solarized | (drawn.hole[:, 2] > 0))
    assert 5 < int(same.sum()) < 100
    assert torch.equal(y[same], x[same])
    assert not (y[~same] == x[~same]).flatten(1).all(1).any()


def test_that_autocast_rounds_nothing():
    x = pictures(64)
    plain, _ = augment(x, EVERYTHING, generator(), (16, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = augment(x, EVERYTHING, generator(), (16, 16))
    assert torch.equal(inside, plain)


# -- what is drawn ----------------------------------------------------------------------------------------------------


def drawn_often(recipe: Recipe, batch: int = 20_000, size: tuple[int, int] = (300, 400), to: tuple[int, int] = (32, 48)) -> Draw:
    return draw(recipe, batch, size, to, generator())


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    """Within the range, and nowhere further from a uniform distribution than chance allows (Kolmogorov and Smirnov, p < 1e-6)."""
    assert low - 1e-6 <= float(values.min()) <= float(values.max()) <= high + 1e-6
    u = ((values.double() - low) / (high - low)).sort().values
    steps = torch.arange(1, len(u) + 1).double() / len(u)
    assert float((u - steps).abs().max()) < 2.7 / math.sqrt(len(u))


def assert_share(chosen: Tensor, probability: float) -> None:
    """Five standard errors."""
    assert abs(float(chosen.double().mean()) - probability) < 5 * math.sqrt(probability * (1 - probability) / len(chosen))


def test_that_crops_keep_a_uniform_share_of_the_area():
    box = drawn_often(Recipe(crop=(0.1, 1.0))).box
    assert torch.equal(box, box.round())
    left, top, width, height = box.unbind(1)
    assert float(left.min()) == float(top.min()) == 0
    assert bool((width >= 1).all() and (height >= 1).all() and (left + width <= 400).all() and (top + height <= 300).all())
    assert_uniform(width * height / (300 * 400), 0.099, 1.0)  # sides are whole pixels


def test_that_small_crops_have_a_log_uniform_ratio_and_any_place():
    box = drawn_often(Recipe(crop=(0.25, 0.25), ratio=2.0)).box
    left, top, width, height = box.unbind(1)
    assert_uniform((width / height).log(), -math.log(2.02), math.log(2.02))
    assert_uniform((left + 0.5) / (400 - width + 1), 0, 1)
    assert_uniform((top + 0.5) / (300 - height + 1), 0, 1)


def test_that_large_crops_take_the_ratio_that_fits():
    box = drawn_often(Recipe(crop=(0.95, 1.0)), size=(32, 32)).box
    assert float((box[:, 2] * box[:, 3]).min()) > 0.92 * 32 * 32  # rejected and drawn again, most of them would be gone
    assert torch.equal(drawn_often(Recipe(crop=(1.0, 1.0), ratio=2.0)).box.unique(dim=0), torch.tensor([[0.0, 0, 400, 300]]))


def test_that_every_strength_is_drawn_from_its_range():
    drawn = drawn_often(EVERYTHING)
    assert_uniform(drawn.angle, -30, 30)
    assert_share(drawn.flipped, 0.5)
    assert_share(drawn.jittered, 0.7)
    for name, centre, most in (("brightness", 1, 0.4), ("contrast", 1, 0.5), ("saturation", 1, 0.6), ("hue", 0, 0.2)):
        values = getattr(drawn, name)
        assert_uniform(values[drawn.jittered], centre - most, centre + most)
        assert bool((values[~drawn.jittered] == centre).all())
    assert_share(drawn.grey, 0.3)
    assert_share(drawn.sigma > 0, 0.4)
    assert_uniform(drawn.sigma[drawn.sigma > 0], 0.1, 2.0)
    assert_share(drawn.solarized, 0.3)
    cut = drawn.hole[drawn.hole[:, 2] > 0]
    assert_share(drawn.hole[:, 2] > 0, 0.4)
    assert cut[:, 2:].unique(dim=0).tolist() == [[24, 16]]  # half of 48 and of 32
    assert cut[:, 0].unique().tolist() == list(range(25))
    assert cut[:, 1].unique().tolist() == list(range(17))


def test_that_probability_one_always_happens():
    drawn = drawn_often(Recipe(flip=1.0, jitter=1.0, grey=1.0, blur=1.0, solarize=1.0, cutout=1.0))
    for chosen in (drawn.flipped, drawn.jittered, drawn.grey, drawn.sigma > 0, drawn.solarized, drawn.hole[:, 2] > 0):
        assert bool(chosen.all())


def test_that_transforms_are_drawn_independently_of_each_other():
    drawn = drawn_often(dataclasses.replace(EVERYTHING, jitter=1.0))
    columns = [drawn.box[:, 0], drawn.box[:, 1], drawn.box[:, 2] * drawn.box[:, 3], drawn.flipped, drawn.angle]
    columns += [drawn.brightness, drawn.contrast, drawn.saturation, drawn.hue, drawn.grey, drawn.sigma > 0, drawn.solarized]
    correlation = torch.corrcoef(torch.stack([column.double() for column in [*columns, drawn.hole[:, 2] > 0]]))
    correlation[:3, :3] = 0  # where a crop lies depends on how large it is
    assert float((correlation - torch.diag(correlation.diag())).abs().max()) < 5 / math.sqrt(20_000)


def test_that_every_image_gets_a_draw_of_its_own():
    drawn = drawn_often(EVERYTHING, 256)
    assert len(drawn.angle.unique()) == 256
    assert len(drawn.box.unique(dim=0)) > 250
    jittered = torch.stack((drawn.brightness, drawn.contrast, drawn.saturation, drawn.hue), 1)[drawn.jittered]
    assert len(jittered.unique(dim=0)) == len(jittered)


def test_that_a_draw_comes_from_its_generator_and_from_nothing_else():
    x = pictures(32)
    before = torch.get_rng_state()
    own = generator(7)
    first, second = augment(x, EVERYTHING, own)[0], augment(x, EVERYTHING, own)[0]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(augment(x, EVERYTHING, generator(7))[0], first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("off", "touched"),
    [
        ({"crop": (1.0, 1.0)}, {"box"}),
        ({"flip": 0.0}, {"flipped"}),
        ({"rotation": 0.0}, {"angle"}),
        ({"jitter": 0.0}, {"jittered", "brightness", "contrast", "saturation", "hue"}),
        ({"brightness": 0.0}, {"brightness"}),
        ({"contrast": 0.0}, {"contrast"}),
        ({"saturation": 0.0}, {"saturation"}),
        ({"hue": 0.0}, {"hue"}),
        ({"grey": 0.0}, {"grey"}),
        ({"blur": 0.0}, {"sigma"}),
        ({"solarize": 0.0}, {"solarized"}),
        ({"cutout": 0.0}, {"hole"}),
    ],
)
def test_that_switching_one_transform_off_leaves_the_other_draws(off, touched):
    own, other = generator(3), generator(3)
    with_it = draw(EVERYTHING, 64, (17, 23), (17, 23), own)
    without = draw(dataclasses.replace(EVERYTHING, **off), 64, (17, 23), (17, 23), other)
    moved = {f.name for f in dataclasses.fields(Draw) if not torch.equal(getattr(with_it, f.name), getattr(without, f.name))}
    assert moved == touched
    assert torch.equal(own.get_state(), other.get_state())  # and the next views


# -- settings ---------------------------------------------------------------------------------------------------------


def test_that_the_settings_make_the_recipe_of_simclr():
    recipe = Augmented().recipe()
    assert recipe == Recipe(crop=(0.2, 1.0), flip=0.5, jitter=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey=0.2)
    assert Augmented().recipe(crop=(0.05, 0.2), blur=0.5) == dataclasses.replace(recipe, crop=(0.05, 0.2), blur=0.5)


def test_that_every_strength_can_be_set_and_reaches_the_recipe():
    names = [info.name for info in fields_of(Augmented) if info.group == "Augmentation"]
    assert len(names) == 13
    for info in fields_of(Augmented):
        if info.group == "Augmentation":
            assert info.help.endswith(".")
            assert info.low is not None and info.high is not None
            value = info.low + 0.37 * (info.high - info.low)
            recipe = make_config(Augmented, {info.name: value}).recipe()
            found = {"crop_least": recipe.crop[0], "crop_most": recipe.crop[1]}.get(info.name, getattr(recipe, info.name, None))
            assert found == value
    with pytest.raises(BadSetting, match="hue"):
        make_config(Augmented, {"hue": 0.6})
