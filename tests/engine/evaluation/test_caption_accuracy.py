"""Captions as words, what a method is told of them, and the judge of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.config import make_config
from engine.data import BadData, open_data, shapes
from engine.data.captions import encode_captions, vocabulary
from engine.data.moments import measure
from engine.evaluation.caption_accuracy import RIGHT, train_judge, true_answers, typed_captions
from engine.method import CannotLearn, DataSpec, Method, StepContext, build
from engine.methods import method_named
from engine.nets.text_encoder import fewer_words
from engine.training.batches import held_out, spec_of

WORDS = ("a", "blue", "red", "star")
SMALL = {"diffusion": {"width": 8}, "pixel_transformer": {"width": 8, "layers": 1, "heads": 2}}


def captioned(name: str, **changes: object) -> Method:
    settings = {**SMALL[name], "conditional": True, "condition": "caption", **changes}
    kind = method_named(name)
    return build(kind, make_config(kind.Config, settings), DataSpec((3, 8, 8), ("x", "y"), words=WORDS), seed=0)


def test_that_captions_are_words_in_order_and_an_unknown_one_is_named_with_those_known():
    assert vocabulary(["A red star,", "a blue star"]) == WORDS
    assert encode_captions(["A Blue star!"], WORDS)[0].tolist()[:5] == [1, 2, 4, 0, 0]
    with pytest.raises(BadData, match=r"“green” is in no caption .*; it knows: a, blue, red, star"):
        encode_captions(["a green star"], WORDS)
    with pytest.raises(BadData, match="17 words"):
        encode_captions(["a " * 17], WORDS)
    assert encode_captions(["a green star"], WORDS, strict=False)[0].tolist()[:3] == [1, 4, 0]


def test_that_a_method_of_captions_is_told_those_of_the_held_out_images():
    data = open_data("shapes:60")
    spec = spec_of(data, condition="caption")
    images, told = held_out(data, spec, 0, 4, "cpu", "caption")
    valid = data.splits["valid"]
    assert told is not None
    for image, row in zip(images.numpy(), told.tolist(), strict=True):
        place = int(np.flatnonzero((valid.images == image).all((1, 2, 3)))[0])
        assert " ".join(spec.words[token - 1] for token in row if token) == valid.names[place]
    assert spec_of(data).words == ()


@pytest.mark.parametrize("name", SMALL)
def test_that_data_without_captions_are_refused(name: str):
    kind = method_named(name)
    with pytest.raises(CannotLearn, match="no captions"):
        build(kind, make_config(kind.Config, {**SMALL[name], "conditional": True, "condition": "caption"}), DataSpec((3, 8, 8)), 0)


@pytest.mark.parametrize("name", SMALL)
def test_that_a_caption_reaches_the_loss_and_all_weights_of_its_encoder(name: str):
    method = captioned(name)
    for parameter in method.parameters():  # what begins at zero says nothing yet
        torch.nn.init.normal_(parameter, 0, 0.3, generator=torch.Generator().manual_seed(1))
    x = torch.randint(0, 256, (3, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float() / 255
    red, blue = (torch.from_numpy(encode_captions([caption] * 3, WORDS)) for caption in ("a red star", "a blue star"))
    method.eval()
    told = [method.loss(x, y, StepContext(generator=torch.Generator().manual_seed(2)))["loss"] for y in (red, blue, None, red * 0)]
    assert len({value.item() for value in told[:3]}) == 3
    assert torch.equal(told[2], told[3])  # told nothing is the empty caption
    told[0].backward()
    encoder = [p for n, p in method.named_parameters() if "label" in n or "captions" in n]
    assert encoder and all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in encoder)
    assert method.condition == "caption" and not method.conditional


def test_that_the_cache_of_a_pixel_transformer_knows_the_caption():
    method = captioned("pixel_transformer").eval()
    y = torch.from_numpy(encode_captions(["a red star", "blue"], WORDS))
    tokens = torch.randint(0, 256, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        cached, anew = (method.writer(2, y, tokens, cached).log_probs() for cached in (True, False))  # type: ignore[attr-defined]
        other = method.writer(2, y.flip(0), tokens, True).log_probs()  # type: ignore[attr-defined]
    torch.testing.assert_close(cached, anew, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(cached, other, atol=1e-6)


def test_that_words_left_out_close_up_and_some_captions_are_empty():
    tokens = torch.arange(1, 9).expand(4000, 8)
    fewer = fewer_words(tokens, 0.1, torch.Generator().manual_seed(0))
    count = (fewer > 0).sum(1)
    assert ((fewer == 0).long().diff(dim=1) >= 0).all() and (fewer.diff(dim=1)[fewer[:, 1:] > 0] > 0).all()
    assert 0.66 < (count == 8).float().mean() < 0.74  # 0.9 · (0.75 + 0.25 / 9)
    assert 0.1 < (count == 0).float().mean() < 0.15  # 0.1 + 0.9 · 0.25 / 9


def test_that_measurements_are_those_the_shapes_were_drawn_with():
    factors = shapes.factors_of(5, np.arange(200))
    found = measure(shapes.draw(factors))
    assert np.abs(found[:, 0] - factors["x"]).max() < 0.1 and np.abs(found[:, 1] - factors["y"]).max() < 0.1
    away = np.abs((found[:, 2] - factors["hue"] + 180) % 360 - 180)
    assert away.max() < 1.3  # the angle in the plane of colours is not quite HSV’s hue


def test_that_typed_captions_are_all_different_and_depend_on_the_seed():
    captions = typed_captions(200, 0)
    assert len(set(captions)) == 200 and captions == typed_captions(200, 0) != typed_captions(200, 1)
    assert set(typed_captions(1080, 0)) == set(typed_captions(1080, 1))


@pytest.mark.slow
def test_that_the_judge_is_right_on_images_that_it_was_not_trained_on():
    judging = train_judge()
    while True:
        try:
            next(judging)
        except StopIteration as end:
            judge, own = end.value
            break
    assert own["right"] > 0.99
    factors = shapes.factors_of(99, np.arange(400))
    said, meant = judge(measure(shapes.draw(factors))), true_answers(list(shapes.captions(factors)))
    assert np.mean([np.all([said[name][i] == meant[name][i] for name in RIGHT]) for i in range(400)]) > 0.98
    noise = np.random.default_rng(0).integers(0, 256, (400, 3, 32, 32)).astype(np.uint8)
    lost = judge(measure(noise))
    assert np.mean([np.all([lost[name][i] == meant[name][i] for name in RIGHT]) for i in range(400)]) < 0.1
