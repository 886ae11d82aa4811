"""Which methods have a vision transformer whose patches can be looked at, and which runs of them."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import torch

from engine.bases.encoder import EncoderMethod
from engine.config import make_config
from engine.method import DataSpec, build, capabilities
from engine.methods import all_methods, method_named
from engine.nets.vit import ViT
from engine.protocols import PatchEncoder, provides

CLASSES = tuple("0123456789")
WITH_ENCODER = [name for name, kind in all_methods().items() if issubclass(kind, EncoderMethod)]


def made(name: str, **settings: object):
    kind = method_named(name)
    known = {field.name for field in fields(kind.Config)}
    small = {name: value for name, value in {"width": 8, "blocks": 1, "decoder_width": 8, **settings}.items() if name in known}
    return build(kind, make_config(kind.Config, small), DataSpec((1, 8, 8), CLASSES), 0)


@pytest.mark.parametrize("name", WITH_ENCODER)
def test_that_a_run_with_a_transformer_shows_its_patches_and_one_without_has_none(name: str) -> None:
    assert "patches" in capabilities(method_named(name))
    method = made(name, encoder="vit")
    assert provides(method, PatchEncoder)
    network = method.patch_network()
    assert isinstance(network, ViT) and network is method.network
    assert network.patch_features(torch.rand(2, 1, 8, 8)).shape == (2, 4, 4, 32)
    if name != "mae":  # always a transformer
        other = made(name, encoder="convnet")
        assert provides(other, PatchEncoder) and other.patch_network() is None


@pytest.mark.parametrize(("base", "settings"), [("simclr", {"encoder": "vit"}), ("classifier", {}), ("simclr", {"encoder": "resnet"})])
def test_that_fine_tuning_shows_the_transformer_that_learns_on(base: str, settings: dict[str, object]) -> None:
    method = made("fine_tuning", base=base, settings=json.dumps({"width": 8, **settings}))
    assert provides(method, PatchEncoder)
    assert (method.patch_network() is not None) == (settings.get("encoder") == "vit")


def test_that_methods_without_an_encoder_of_choice_have_no_patches() -> None:
    assert [name for name in ("vae", "pca", "classifier", "text_rnn") if "patches" in capabilities(method_named(name))] == []
