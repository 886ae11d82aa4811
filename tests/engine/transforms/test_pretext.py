"""Puzzles made of pictures against slow loops and closed forms, and the three methods that learn from them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import fields_of, make_config
from engine.method import DataSpec, Method, StepContext, build
from engine.methods.inpainting import Inpainting
from engine.methods.inpainting import diagnose as diagnose_holes
from engine.methods.jigsaw import Jigsaw
from engine.methods.rotation import Rotation
from engine.transforms import pretext
from tests.kit.tensors import seeded

SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 13, 21)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def images(count: int, shape: tuple[int, ...] = (3, 16, 16), seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=seeded(seed)).float() / 255


def make(method: type[Method], shape: Any = (3, 16, 16), **settings: Any) -> Any:
    return build(method, make_config(method.Config, {"width": 4} | settings), DataSpec(shape), 0)


def without_head(model: Any) -> Any:
    """As if it had learned nothing: every answer is as likely."""
    with torch.no_grad():
        model.head.second.weight.zero_()
        model.head.second.bias.zero_()
    return model


# -- quarter turns ----------------------------------------------------------------------------------------------------


def test_that_a_turn_moves_every_pixel_counter_clockwise():
    x = images(2, (3, 5, 5))
    first, quarter, half, three = pretext.quarter_turns(x)
    assert torch.equal(first, x)
    for row, column in itertools.product(range(5), repeat=2):
        assert torch.equal(quarter[:, :, 4 - column, row], x[:, :, row, column])
        assert torch.equal(half[:, :, 4 - row, 4 - column], x[:, :, row, column])
        assert torch.equal(three[:, :, column, 4 - row], x[:, :, row, column])


def test_that_four_quarter_turns_are_none():
    x = images(2, (3, 9, 9))
    turned = x
    for _ in range(4):
        turned = pretext.quarter_turns(turned)[1]
    assert torch.equal(turned, x)


def test_that_the_square_is_the_middle_of_the_picture():
    x = images(1, (1, 6, 10))
    assert torch.equal(pretext.square(x), x[:, :, :, 2:8])
    assert torch.equal(pretext.square(x.mT), x.mT[:, :, 2:8])
    assert torch.equal(pretext.square(images(1)), images(1))


# -- tiles ------------------------------------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("side", [2, 3])
def test_that_cells_are_the_parts_of_the_picture_in_reading_order(shape: tuple[int, ...], side: int):
    x = images(2, shape)
    cells = pretext.cells(x, side)
    high, wide = shape[1] // side, shape[2] // side
    top, left = (shape[1] - side * high) // 2, (shape[2] - side * wide) // 2
    for place in range(side**2):
        row, column = top + place // side * high, left + place % side * wide
        assert torch.equal(cells[:, place], x[:, :, row : row + high, column : column + wide])
    assert torch.equal(pretext.joined(cells), x[:, :, top : top + side * high, left : left + side * wide])


def test_that_place_i_shows_tile_order_i_and_sorting_it_back_gives_the_picture():
    x = images(24, (3, 8, 8))
    order = pretext.permutations(24, 4)
    tiles = pretext.cells(x, 2)
    mixed = pretext.shuffled(tiles, order)
    for image, place in itertools.product(range(24), range(4)):
        assert torch.equal(mixed[image, place], tiles[image, order[image, place]])
    assert torch.equal(pretext.joined(pretext.shuffled(mixed, order.argsort(1))), x)


@pytest.mark.parametrize(("size", "tile"), [((20, 20), (16, 16)), ((10, 9), (8, 6)), ((12, 7), (4, 5))])
def test_that_no_tile_touches_the_border_of_its_cell_and_all_other_places_occur(size: tuple[int, int], tile: tuple[int, int]):
    high, wide = size
    place = torch.arange(high * wide, dtype=torch.float32).view(1, 1, 1, high, wide).expand(400, 4, 1, -1, -1)
    cut = pretext.cut(place, tile, seeded())
    first = cut[..., 0, 0]
    rows, columns = (first // wide).long(), (first % wide).long()
    assert set(rows.unique().tolist()) == set(range(1, high - tile[0]))
    assert set(columns.unique().tolist()) == set(range(1, wide - tile[1]))
    expected = first[..., None, None] + torch.arange(tile[0])[:, None] * wide + torch.arange(tile[1])
    assert torch.equal(cut, expected)
    free = (high - tile[0] - 1) * (wide - tile[1] - 1)  # places that a tile can be cut from
    assert len((1000 * rows + columns).unique()) == free
    assert len((1000 * rows + columns).flatten(1).unique(dim=0)) >= min(100, free**4), "each is cut by itself"


@every_shape
@pytest.mark.parametrize(("side", "gap"), [(2, 0.0), (2, 0.2), (3, 0.5)])
def test_that_tiles_make_a_picture_of_the_old_size_and_are_cut_from_larger_cells(shape: tuple[int, ...], side: int, gap: float):
    tile, whole = pretext.sizes((shape[1], shape[2]), side, gap)
    for length, small, large in zip(shape[1:], tile, whole, strict=True):
        cell = large / side
        assert length - side < small * side <= length
        assert cell == int(cell) and cell >= small + 2
        assert abs((cell - small) - max(2, gap * cell)) <= 0.5


def test_that_evened_tiles_have_the_mean_and_deviation_of_all_tiles_of_their_picture():
    tiles = 0.4 + 0.02 * torch.randn(3, 4, 2, 5, 6, generator=seeded(), dtype=torch.float64)
    tiles = tiles * torch.tensor([1.0, 0.7, 1.2, 1.4], dtype=torch.float64).view(4, 1, 1, 1)
    evened = pretext.evened(tiles)
    slow = torch.empty_like(tiles)
    for image, channel in itertools.product(range(3), range(2)):
        everything = [float(v) for v in tiles[image, :, channel].flatten()]
        centre = sum(everything) / len(everything)
        spread = math.sqrt(sum((v - centre) ** 2 for v in everything) / len(everything))
        for tile in range(4):
            values = [float(v) for v in tiles[image, tile, channel].flatten()]
            mean = sum(values) / len(values)
            deviation = max(0.02, math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)))
            slow[image, tile, channel] = (tiles[image, tile, channel] - mean) / deviation * spread + centre
    assert slow.min() > 0 and slow.max() < 1, "so that nothing is clipped"
    assert torch.allclose(evened, slow, atol=1e-12)
    light = 0.9 * tiles + torch.tensor([0.0, 0.02, 0.05, 0.01], dtype=torch.float64).view(4, 1, 1, 1)
    assert (pretext.evened(light).mean((3, 4)).std(1) < 1e-12).all(), "light and shade are gone"


def test_that_flat_tiles_stay_flat_and_finite():
    tiles = torch.full((1, 4, 1, 4, 4), 0.3)
    tiles[:, 1:] += 0.3 * torch.rand(1, 3, 1, 4, 4, generator=seeded())
    evened = pretext.evened(tiles)
    assert evened.isfinite().all() and evened[0, 0].std() < 1e-6


def test_that_four_tiles_have_all_24_orders():
    table = pretext.permutations(24, 4)
    assert sorted(map(tuple, table.tolist())) == sorted(itertools.permutations(range(4)))
    assert torch.equal(pretext.permutations(1000, 4), table)


@pytest.mark.parametrize(("count", "tiles", "least"), [(4, 4, 4), (12, 4, 3), (9, 9, 9), (24, 9, 7), (64, 9, 7)])
def test_that_chosen_orders_are_far_apart(count: int, tiles: int, least: int):
    table = pretext.permutations(count, tiles).tolist()
    assert table[0] == list(range(tiles))
    assert all(sorted(row) == list(range(tiles)) for row in table)
    distances = [sum(a != b for a, b in zip(p, q, strict=True)) for p, q in itertools.combinations(table, 2)]
    assert min(distances) == least


def test_that_each_next_order_is_the_farthest_from_the_nearest_before():
    every, table = list(itertools.permutations(range(4))), pretext.permutations(7, 4).tolist()

    def distances(p: Any, chosen: Any) -> tuple[int, int]:
        apart = [sum(a != b for a, b in zip(p, q, strict=True)) for q in chosen]
        return min(apart), sum(apart)

    for known in range(1, 7):
        best = max(distances(p, table[:known]) for p in every)
        assert tuple(table[known]) == next(p for p in every if distances(p, table[:known]) == best)


# -- hidden places ----------------------------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("kind", pretext.MASKS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_that_something_is_hidden_and_something_is_seen(kind: str, share: float, shape: tuple[int, ...]):
    hidden = pretext.mask(kind, share, 40, (shape[1], shape[2]), seeded(), torch.device("cpu"))
    assert hidden.shape == (40, 1, *shape[1:]) and hidden.dtype == torch.bool
    per_image = hidden.flatten(1).double().mean(1)
    assert per_image.min() > 0 and per_image.max() < 1
    if kind == "block":
        rows, columns = hidden[0, 0].any(1), hidden[0, 0].any(0)
        assert torch.equal(hidden[0, 0], rows[:, None] & columns) and torch.equal(hidden, hidden.flip(2, 3)), "a rectangle in the middle"
        for line, length in ((rows, shape[1]), (columns, shape[2])):
            assert abs(int(line.sum()) - length * math.sqrt(share)) <= 2
        assert torch.equal(hidden[0], hidden[1])
    elif kind == "patches":
        assert per_image.mean().item() == pytest.approx(share, abs=0.08)
    else:
        assert len(hidden.flatten(1).unique(dim=0)) > 1, "each picture has its own"


def test_that_patches_are_whole_and_of_the_asked_number():
    hidden = pretext.mask("patches", 0.25, 20, (32, 32), seeded(), torch.device("cpu"))
    patches = hidden.float().unflatten(3, (8, 4)).unflatten(2, (8, 4)).mean((3, 5))
    assert set(patches.unique().tolist()) == {0.0, 1.0}
    assert (patches.flatten(1).sum(1) == 16).all()
    assert hidden.float().mean(0).min() > 0, "no place is always seen"


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("size", [(28, 28), (32, 32), (16, 12), (8, 8)])
def test_that_overlapping_blocks_hide_the_asked_share_on_average(share: float, size: tuple[int, int]):
    """Four blocks of a quarter each would hide 36 % in place of 50."""
    hidden = pretext.mask("blocks", share, 4000, size, seeded(), torch.device("cpu"))
    assert hidden.float().mean().item() == pytest.approx(share, abs=0.012 if min(size) > 20 else 0.03)


def test_that_blocks_are_unions_of_four_equal_rectangles_anywhere():
    hidden = pretext.mask("blocks", 0.25, 400, (16, 12), seeded(), torch.device("cpu"))
    high, wide = pretext.block_size(0.25, (16, 12))
    assert abs(high * 12 - wide * 16) <= 16, "about of the picture's shape"
    for image in hidden[:20, 0]:
        boxes = [
            (i, j)
            for i, j in itertools.product(range(16 - high + 1), range(12 - wide + 1))
            if image[i : i + high, j : j + wide].all()
        ]  # fmt: skip
        union = torch.zeros(16, 12, dtype=torch.bool)
        for i, j in boxes:
            union[i : i + high, j : j + wide] = True
        assert torch.equal(union, image) and len(boxes) >= 1 and image.sum() <= 4 * high * wide
    assert hidden.any(0).all(), "corners can be hidden, too"


def test_that_only_hidden_pixels_count_and_each_as_much():
    predicted, x = images(5, (3, 7, 6), 2).double(), images(5, (3, 7, 6)).double()
    hidden = torch.rand(5, 1, 7, 6, generator=seeded()) < torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]).view(5, 1, 1, 1)
    hidden[:, :, 0, 0] = True
    error = pretext.hidden_error(predicted, x, hidden)
    for image in range(5):
        squares = [
            float(predicted[image, c, i, j] - x[image, c, i, j]) ** 2
            for c, i, j in itertools.product(range(3), range(7), range(6))
            if hidden[image, 0, i, j]
        ]
        assert error[image].item() == pytest.approx(sum(squares) / len(squares), abs=1e-12)


def test_that_the_truth_costs_nothing_and_what_is_seen_has_no_gradient():
    x = images(4).double()
    hidden = pretext.mask("blocks", 0.3, 4, (16, 16), seeded(), x.device)
    assert (pretext.hidden_error(x, x, hidden) == 0).all()
    assert (pretext.hidden_error(torch.where(hidden, x, 9.0), x, hidden) == 0).all()
    predicted = images(4, seed=3).double().requires_grad_()
    pretext.hidden_error(predicted, x, hidden).sum().backward()
    assert predicted.grad is not None
    assert ((predicted.grad != 0) == (hidden & (predicted != x))).all()


# -- in words ---------------------------------------------------------------------------------------------------------


def test_that_right_answers_are_put_into_words():
    assert [pretext.answered("the turn", right, 4, 1000).level for right in (0.26, 0.4, 0.9, 1.0)] == ["bad", "good", "good", "warning"]
    assert "level of chance" in pretext.answered("the turn", 0.26, 4, 1000).text
    assert pretext.answered("the order", 0.26, 24, 1000).level == "good"
    assert [diagnose_holes(share, 0.05).level for share in (-0.5, 0.1, 0.6)] == ["bad", "warning", "good"]


# -- rotation ---------------------------------------------------------------------------------------------------------


def test_that_who_knows_nothing_of_turns_has_ln_4():
    model = without_head(make(Rotation))
    terms = model.loss(images(8), None, StepContext(generator=seeded()))
    assert terms["loss"].item() == pytest.approx(math.log(4), abs=1e-6)
    assert torch.allclose(model.answers(images(8)), torch.full((8, 4), 0.25))
    assert make(Rotation).loss(images(8), None, StepContext(generator=seeded()))["loss"].item() == pytest.approx(math.log(4), abs=0.1)


def test_that_the_rotation_loss_is_that_of_the_views_as_they_are_shown():
    model, x = make(Rotation).eval(), images(6)
    views = model.views(x, seeded(5))
    assert [view.name for view in views] == ["as it is", "turned by 90°", "turned by 180°", "turned by 270°"]
    nats = right = 0.0
    for turn, view in enumerate(views):
        assert torch.equal(view.x, torch.rot90(views[0].x, turn, (2, 3)))
        p = model.answers(view.x)
        assert torch.allclose(p.sum(1), torch.ones(6))
        nats -= p[:, turn].double().log().mean().item() / 4
        right += (p.argmax(1) == turn).double().mean().item() / 4
    terms = model.loss(x, None, StepContext(generator=seeded(5)))
    assert terms["loss"].item() == pytest.approx(nats, abs=1e-5)
    assert terms["accuracy"].item() == pytest.approx(right, abs=1e-6)


def test_that_no_turning_by_other_angles_is_offered_with_rotation():
    assert "rotation" not in {f.name for f in fields_of(Rotation.Config)}
    assert make(Rotation).config.recipe().rotation == 0.0


def test_that_pictures_that_are_not_square_are_turned_in_their_middle():
    model = make(Rotation, (1, 12, 20))
    views = model.views(images(3, (1, 12, 20)), seeded())
    assert {view.x.shape for view in views} == {(3, 1, 12, 12)}
    assert model.answers(images(3, (1, 12, 20))).shape == (3, 4)


# -- jigsaw -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "orders"), [({}, 24), ({"permutations": 10}, 10), ({"side": 3, "permutations": 30}, 30)])
def test_that_who_knows_nothing_of_orders_has_the_logarithm_of_their_number(settings: dict[str, int], orders: int):
    model = without_head(make(Jigsaw, **settings))
    terms = model.loss(images(8), None, StepContext(generator=seeded()))
    assert terms["loss"].item() == pytest.approx(math.log(orders), abs=1e-5)
    assert torch.allclose(model.answers(images(8)), torch.full((8, orders), 1 / orders))
    assert model.permutations.shape == (orders, model.side**2)


def test_that_the_network_is_given_the_tiles_in_the_order_that_is_asked_for():
    model, x = make(Jigsaw, even=0.0), images(24)
    picture = model.shuffled(x, torch.arange(24), seeded())
    assert picture.shape == x.shape
    large = torch.nn.functional.interpolate(x, (20, 20), mode="bilinear", align_corners=False)
    cells, shown = pretext.cells(large, 2), pretext.cells(picture, 2)
    for image, place in itertools.product(range(24), range(4)):
        cell, tile = cells[image, model.permutations[image, place]], shown[image, place]
        places = itertools.product(range(3), repeat=2)
        fits = [(i, j) for i, j in places if torch.allclose(cell[:, i : i + 8, j : j + 8], tile, atol=1e-6)]
        assert fits == [(1, 1)], "a tile of 8×8 that touches no border of its 10×10 cell"


def test_that_about_as_many_pictures_are_evened_as_is_asked_for():
    x, order = images(200), torch.zeros(200, dtype=torch.int64)
    never, always, often = (make(Jigsaw, even=share).shuffled(x, order, seeded()) for share in (0.0, 1.0, 0.7))
    as_cut, evened = (often == never).flatten(1).all(1), (often == always).flatten(1).all(1)
    assert (as_cut ^ evened).all() and 120 < evened.sum() < 160
    assert torch.equal(always, pretext.joined(pretext.evened(pretext.cells(never, 2))))


def test_that_a_tile_is_looked_at_without_its_neighbours():
    model, x = make(Jigsaw).eval(), images(3)
    picture = model.shuffled(x, torch.tensor([0, 5, 23]), seeded())
    tiles = [picture[:, :, :8, :8], picture[:, :, :8, 8:], picture[:, :, 8:, :8], picture[:, :, 8:, 8:]]
    together = torch.cat([model.network(tile) for tile in tiles], 1)
    assert torch.allclose(model.head(together).softmax(1), model.answers(picture), atol=1e-6)


@pytest.mark.parametrize("side", [2, 3])
def test_that_a_picture_has_the_mean_features_of_its_overlapping_tiles(side: int):
    model, x = make(Jigsaw, side=side).eval(), images(3)
    tile, large = {2: (8, 20), 3: (5, 21)}[side]
    enlarged = torch.nn.functional.interpolate(x, (large, large), mode="bilinear", align_corners=False)
    starts = {2: (0, 4, 8, 12), 3: (0, 3, 6, 10, 13, 16)}[side]
    tiles = [enlarged[:, :, top : top + tile, left : left + tile] for top in starts for left in starts]
    with torch.no_grad():
        assert torch.allclose(model.encode(x), sum(map(model.network, tiles)) / len(tiles), atol=1e-5)
        told = model.blocks(x)
        assert torch.allclose(told["block 1"], sum(model.network.each(one)["block 1"] for one in tiles) / len(tiles), atol=1e-5)
    assert torch.equal(told["features"], model.encode(x))


def test_that_the_jigsaw_loss_is_that_of_the_picture_as_it_is_shown():
    model, x = make(Jigsaw).eval(), images(6)
    (view,) = model.views(x, seeded(5))
    seen, order, _ = model._posed(x, seeded(5))
    assert view.name == "shuffled" and torch.equal(view.x, seen)
    p = model.answers(view.x)
    assert torch.allclose(p.sum(1), torch.ones(6))
    terms = model.loss(x, None, StepContext(generator=seeded(5)))
    assert terms["loss"].item() == pytest.approx(-p[torch.arange(6), order].double().log().mean().item(), abs=1e-5)
    assert terms["accuracy"].item() == pytest.approx((p.argmax(1) == order).double().mean().item(), abs=1e-6)


def test_that_the_orders_are_the_same_for_every_seed_and_kept_with_the_weights():
    first, second = (build(Jigsaw, make_config(Jigsaw.Config, {"width": 4}), DataSpec((3, 16, 16)), seed) for seed in (0, 1))
    assert torch.equal(first.permutations, second.permutations)  # type: ignore[arg-type]
    assert any(torch.equal(value, first.permutations) for value in first.state_dict().values() if value.dtype == torch.int64 and value.ndim)  # type: ignore[arg-type]


# -- inpainting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["resnet", "vit"])
def test_that_the_encoder_cannot_see_what_is_hidden(encoder: str):
    model, x, other = make(Inpainting, encoder=encoder).eval(), images(4), images(4, seed=7)
    hidden = model.masked(x, seeded())
    changed = torch.where(hidden, other, x)
    assert not torch.equal(changed, x)
    assert torch.equal(model._painted(pretext.without(changed, hidden)), model._painted(pretext.without(x, hidden)))
    assert torch.equal(pretext.without(x, hidden)[hidden.expand_as(x)], torch.full((int(hidden.sum()) * 3,), 0.5))


def test_that_filling_keeps_what_is_seen_bit_for_bit():
    model, x = make(Inpainting), images(4)
    hidden = torch.zeros(4, 1, 16, 16, dtype=torch.bool)
    hidden[:, :, 3:9, 5:12] = True
    filled = model.fill(x, hidden)
    seen = ~hidden.expand_as(x)
    assert torch.equal(filled[seen], x[seen]) and not torch.equal(filled, x)
    assert filled.min() >= 0 and filled.max() <= 1
    assert torch.equal(model.fill(x, torch.zeros_like(hidden)), x)


def test_that_the_inpainting_loss_is_the_error_of_the_masked_view():
    model, x = make(Inpainting, crop_least=1.0).double().eval(), images(6).double()
    (view,) = model.views(x, seeded(5))
    seen, hidden, _ = model._posed(x, seeded(5))
    assert view.name == "masked" and torch.equal(view.x, torch.where(hidden, 0.5, seen))
    terms = model.loss(x, None, StepContext(generator=seeded(5)))
    error = ((model._painted(view.x) - seen) ** 2)[hidden.expand_as(seen)].view(6, -1)  # as many hidden in each picture
    assert terms["loss"].item() == pytest.approx(error.mean().item(), abs=1e-12)
    assert terms["rmse"].item() == pytest.approx(error.mean(1).sqrt().mean().item(), abs=1e-12)


def test_that_an_untrained_network_paints_about_the_mean_picture():
    model, x = make(Inpainting), 0.2 + 0.1 * images(64)
    model.init_from_data(x)
    hidden = model.masked(x, seeded())
    error = pretext.hidden_error(model.fill(x, hidden), x, hidden).mean().sqrt()
    assert error < 0.15


# -- all three --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Rotation, Inpainting])
def test_that_features_come_before_the_head_and_after_every_block(method: type[Method]):
    model, x = make(method).eval(), images(3)
    assert torch.equal(model.encode(x), model.network(x))
    blocks = model.blocks(x)
    assert len(blocks) > 3 and all(len(told) == 3 for told in blocks.values())


@pytest.mark.parametrize(("method", "settings"), [(Rotation, {}), (Jigsaw, {"even": 0.0}), (Inpainting, {})])
def test_that_it_learns_what_up_and_down_are(method: type[Method], settings: dict[str, Any]):
    """Pictures whose brightness falls from the top left to the bottom right."""
    model = make(method, (1, 16, 16), crop_least=0.8, flip=0.0, **settings)
    slope = torch.linspace(0.9, 0.1, 16)
    noise = 0.05 * torch.randn(16, 1, 16, 16, generator=seeded())
    x = (0.7 * slope[:, None] + 0.3 * slope + noise).clamp(0, 1)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    generator, losses = seeded(), []
    for _ in range(40):
        terms = model.loss(x, None, StepContext(generator=generator))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
