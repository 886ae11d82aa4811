"""Weights of a run of version 0.1.0 fit the networks as they are now."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from engine.config import make_config
from engine.method import DataSpec, skeleton
from engine.methods import method_named
from engine.nets.renamed import renamed

FROZEN = Path(__file__).parents[2] / "fixtures" / "pixel_transformer-0.1.0"


def test_that_new_names_stay_and_old_ones_are_found_behind_any_prefix():
    assert renamed("net.blocks.0.fc1.weight") == "net.blocks.0.fc1.weight"
    assert renamed("net.blocks.0.widen.weight") == "net.blocks.0.fc1.weight"
    assert renamed("momentum.net.blocks.11.narrow.bias") == "momentum.net.blocks.11.fc2.bias"
    assert renamed("net.widening.weight") == "net.widening.weight"


def test_that_the_weights_of_a_frozen_transformer_all_have_a_place():
    manifest = json.loads((FROZEN / "manifest.json").read_text())
    kind = method_named(manifest["method"])
    known = {name: value for name, value in manifest["config"].items() if name != "piece"}
    method = skeleton(kind, make_config(kind.Config, known), DataSpec(tuple(manifest["shape"]), tuple(manifest["classes"])))
    arrays = load_file(max(FROZEN.glob("**/model.safetensors")))
    assert any("widen" in name for name in arrays)
    method.load_state_dict({renamed(name): value for name, value in arrays.items()}, assign=True)
    x = torch.zeros(1, *manifest["shape"])
    assert method.log_prob(x).isfinite().all()  # type: ignore[operator]
