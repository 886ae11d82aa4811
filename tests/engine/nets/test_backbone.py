"""Foreign backbones token by token: what is a patch, what is pooled, where attention goes; against the library and hand-made oracles."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.nets.backbone import Backbone, library, require_vision
from engine.nets.backbone_tokens import NoPatches, NoSuchPooling, TokenLayout, grid_of
from engine.protocols import PatchTokens
from tests.kit.backbones import CLS, KINDS, REGISTERS, SMALL, TRANSFORMERS, backbone, built

pytest.importorskip("transformers", reason="the library transformers is not installed")


def pictures(n: int = 3, side: int = 24) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def side_of(kind: str) -> int:
    return 64 if kind == "convnext" else 24


def theirs(model: Any, kind: str, x: Tensor) -> Any:
    """The library's own pass: all patches of masked autoencoders in order, rows of patches made by a slow loop."""
    if kind == "vit_mae":
        model.config.mask_ratio = 0.0
        return model(x, noise=torch.linspace(0, 1, 16).expand(len(x), 16))
    if kind == "siglip2_vision_model":
        rows = [
            [image[:, r : r + 6, c : c + 6].permute(1, 2, 0).flatten() for r in range(0, 24, 6) for c in range(0, 24, 6)] for image in x
        ]
        flat = torch.stack([torch.stack(row) for row in rows])
        return model(flat, pixel_attention_mask=torch.ones(len(x), 16, dtype=torch.long), spatial_shapes=torch.tensor([[4, 4]] * len(x)))
    return model(x)


@pytest.mark.parametrize("kind", KINDS)
def test_that_patches_and_features_are_the_librarys(kind: str):
    model = built(kind)
    ours, x = backbone(model), pictures(side=side_of(kind))
    with torch.no_grad():
        told = theirs(model, kind, x)
        hidden, features, tokens = told.last_hidden_state, ours(x), ours.patch_features(x)
    pooler = getattr(told, "pooler_output", None)
    expected = pooler.flatten(1) if pooler is not None else hidden[:, 0] if CLS[kind] else hidden.mean(1)
    assert torch.allclose(features, expected, atol=1e-5)
    if hidden.ndim == 4:
        assert torch.allclose(tokens, hidden.permute(0, 2, 3, 1), atol=1e-5)
    else:
        first = CLS[kind] + REGISTERS.get(kind, 0)
        assert tokens.shape[1] == tokens.shape[2] == round((hidden.shape[1] - first) ** 0.5)
        assert torch.allclose(tokens.flatten(1, 2), hidden[:, first:], atol=1e-5)
    if kind == "resnet":
        assert not ours.cuts
        with pytest.raises(NoPatches, match="does not cut images into patches"):
            ours.patch_grid((24, 24))
    else:
        assert ours.patch_grid((x.shape[2], x.shape[3])) == tokens.shape[1:3]


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_that_a_patch_is_where_its_pixels_are(kind: str):
    """Only what one patch shows differs between two images: of all tokens before the first layer only that patch's differs."""
    ours = backbone(built(kind))
    x = pictures(1)
    y = x.clone()
    y[:, :, 6:12, 12:18] = 1 - y[:, :, 6:12, 12:18]  # second row, third column
    before = [ours.outputs(image, every=True).hidden_states[0] for image in (x, y)]
    moved = (before[0] - before[1]).abs().sum(2)[0]
    assert torch.nonzero(ours.layout.of_patches(moved[None, :, None])[0, :, 0] > 1e-6).flatten().tolist() == [1 * 4 + 2]
    assert torch.nonzero(moved > 1e-6).numel() == 1


QUERY, KEY = ("q_proj", "query"), ("k_proj", "key")


@pytest.mark.parametrize("kind", [kind for kind in TRANSFORMERS if kind not in ("dinov3_vit", "beit", "data2vec-vision")])
@pytest.mark.parametrize("layer", [1, 2])
def test_that_attention_is_the_softmax_of_queries_and_keys(kind: str, layer: int):
    """Queries and keys are caught in the library's own pass, which has another attention; weights are a slow softmax in float64."""
    model = built(kind)
    ours, x = backbone(model), pictures()
    caught: dict[str, list[Tensor]] = {"q": [], "k": []}
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        if "head" in name.split("."):
            continue  # the pooling head of SigLIP
        for key, names in (("q", QUERY), ("k", KEY)):
            if last in names and isinstance(module, torch.nn.Linear):
                module.register_forward_hook(lambda _module, _given, told, key=key: caught[key].append(told))
    with torch.no_grad():
        theirs(model, kind, x)
        weights = ours.attention(x, layer)
    q, k = (caught[key][layer - 1].double().unflatten(2, (2, 12)).transpose(1, 2) for key in ("q", "k"))  # [B, 2, T, 12]
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / 12**0.5
    slow = scores.exp() / scores.exp().sum(3, keepdim=True)
    assert weights.shape == slow.shape
    assert torch.allclose(weights.double(), slow, atol=1e-5)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_that_attention_is_a_share_and_leaves_the_network_as_it_was(kind: str):
    ours, x = backbone(built(kind)), pictures()
    before = ours(x)
    for layer in (1, 2):
        weights = ours.attention(x, layer)
        assert torch.allclose(weights.sum(3), torch.ones(()), atol=1e-5)
        assert weights.shape == (3, 2, ours.special + 16, ours.special + 16)
    assert (ours.layers, ours.heads, ours.class_token) == (2, 2, CLS[kind])
    assert ours.special == CLS[kind] + REGISTERS.get(kind, 0)
    assert torch.equal(ours(x), before)
    assert ours.model.config._attn_implementation != "eager"


@pytest.mark.parametrize("kind", ["swin", "convnext", "resnet"])
def test_that_models_without_attention_between_all_patches_say_so(kind: str):
    ours = backbone(built(kind))
    assert (ours.layers, ours.heads) == (0, 0)
    with pytest.raises(NoPatches, match="no attention between all patches"):
        ours.attention(pictures(side=side_of(kind)), 1)
    for layer in (0, 3):
        with pytest.raises(NoPatches, match="layers 1 to 2"):
            backbone(built("vit")).attention(pictures(), layer)


def test_that_attention_is_the_same_for_one_image_and_for_many():
    ours, x = backbone(built("vit")), pictures(7)
    assert torch.allclose(ours.attention(x, 2), torch.cat([ours.attention(one[None], 2) for one in x]), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_that_registers_are_never_pooled(kind: str):
    model = built(kind)
    x = pictures(side=side_of(kind))
    with torch.no_grad():
        hidden = theirs(model, kind, x).last_hidden_state
        mean = hidden[:, CLS[kind] + REGISTERS.get(kind, 0) :].mean(1) if hidden.ndim == 3 else hidden.flatten(2).mean(2)
        assert torch.allclose(backbone(model, pooling="patches")(x), mean, atol=1e-5)
        for way in ("cls", "both"):
            ours = backbone(model, pooling=way)
            if CLS[kind]:
                assert torch.allclose(ours(x), torch.cat([hidden[:, 0], mean], 1) if way == "both" else hidden[:, 0], atol=1e-5)
            else:
                with pytest.raises(NoSuchPooling, match="no class token"):
                    ours(x)
        blocks = backbone(model).each(x)
    assert "stem" in blocks and "features" in blocks


def test_that_a_missing_pooler_is_named():
    with pytest.raises(NoSuchPooling, match=r"no pooler; leave pooling at default, which is the mean of the patches"):
        backbone(built("ijepa"), pooling="pooler")(pictures())


def test_that_a_grid_fits_its_strides():
    assert grid_of(16, (24, 24), [(6, 6)]) == (4, 4)
    assert grid_of(36, (24, 24), [(2, 2), (4, 4)]) == (6, 6)
    assert grid_of(12, (30, 18), [(7, 7)]) is None
    assert grid_of(8, (30, 18), [(7, 7)]) == (4, 2)
    assert grid_of(15, (30, 18), [(7, 7)]) == (5, 3)  # a model that pads
    rows = torch.arange(9)[None, :, None]
    assert TokenLayout(1, 2, 1).of_patches(rows).flatten().tolist() == [3, 4, 5, 6, 7]


def test_that_the_area_of_the_patches_is_told_in_the_images_own_pixels():
    cut = {"do_resize": True, "size": {"shortest_edge": 30}, "do_center_crop": True, "crop_size": {"height": 24, "width": 24}}
    assert backbone(built("vit"), processing=cut).patch_area((60, 120)) == (6.0, 36.0, 48.0, 48.0)
    assert backbone(built("vit")).patch_area((8, 8)) == pytest.approx((0, 0, 8, 8))
    assert backbone(built("dinov2"), side=28).patch_area((56, 56)) == (0, 0, 48, 48)  # four of 28 pixels are no whole patch
    assert backbone(built("swin"), side=30).patch_area((30, 30)) == (0, 0, 32, 32)  # which fills up


def test_that_every_backbone_has_what_the_pane_asks_a_network_with_patches_for():
    asked = {name for name in vars(PatchTokens) if not name.startswith("_")}
    assert {"layers", "heads", "special", "class_token", "patch_grid", "patch_area", "patch_features", "attention"} <= asked
    assert not [name for name in asked if name not in vars(Backbone)]


@pytest.mark.parametrize(("kind", "has"), [("hiera", False), ("poolformer", False), ("convnext", True), ("vit", True), ("resnet", False)])
def test_that_a_grid_that_is_not_as_told_is_none(kind: str, has: bool):
    more = {
        "hiera": {"embed_dim": 12, "depths": [1, 1], "num_heads": [1, 2], "image_size": [32, 32], "masked_unit_size": [4, 4]}
        | {"query_stride": [2, 2], "num_query_pool": 1, "embed_dim_multiplier": 2.0},
        "poolformer": {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]},
    }
    config = library().AutoConfig.for_model(kind, **(more | KINDS)[kind])
    ours = Backbone(json.dumps(config.to_dict()), "", 0 if kind in ("vit", "hiera") else 64)
    ours.reset_all(torch.Generator().manual_seed(0))
    assert ours.eval().has_patches((28, 28)) == has


def test_that_models_whose_library_forgot_to_say_so_see_images_all_the_same():
    require_vision({"model_type": "focalnet"})
    with pytest.raises(ValueError, match="part or a pair of models"):
        require_vision({"model_type": "vision-encoder-decoder"})


WHOSE = {"attn_implementation": "someone/kernel", "_attn_implementation": "someone/kernel", "experts_implementation": "someone/kernel"}


@pytest.mark.parametrize("entry", WHOSE)
@pytest.mark.parametrize("inside", [False, True])
def test_that_a_description_never_says_whose_code_computes(entry: str, inside: bool, monkeypatch: pytest.MonkeyPatch):
    """With the library “kernels” installed, the name of a repository there would be fetched and run."""
    asked: list[object] = []
    kind = library().modeling_utils.PreTrainedModel
    for name in ("_check_and_adjust_attn_implementation", "_check_and_adjust_experts_implementation"):
        whole = getattr(kind, name)

        def noted(self: Any, told: object, *rest: Any, whole: Any = whole, **more: Any) -> Any:
            asked.append(told)
            return whole(self, told, *rest, **more)

        monkeypatch.setattr(kind, name, noted)
    more = {"use_kernels": True, "kernel_config": {"kernel_mapping": {}}}
    if inside:
        part = {**KINDS["clip_vision_model"], entry: WHOSE[entry]}
        require_vision({"model_type": "clip", "vision_config": part, "text_config": {"num_hidden_layers": 1}, **more})
    else:
        require_vision({"model_type": "vit", **SMALL, entry: WHOSE[entry], **more})
    assert asked and not {told for told in asked if told is not None and "/" in str(told)}


def test_that_a_part_that_lies_elsewhere_is_not_looked_for_in_the_net(monkeypatch: pytest.MonkeyPatch):
    sought: list[object] = []

    def sought_for(*where: Any, **_rest: Any) -> Any:
        sought.append(where)
        raise OSError("no net")

    monkeypatch.setattr(socket, "getaddrinfo", sought_for)
    with pytest.raises(ValueError, match="no vision backbone that transformers can build"):
        require_vision({"model_type": "detr", "backbone": "someone/part", "use_timm_backbone": False, "backbone_config": None})
    assert sought == []
