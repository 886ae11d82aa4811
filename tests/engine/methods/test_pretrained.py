"""Backbones in the Hugging Face layout: small ones with random weights, saved by the library itself, must give the library's features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.nets.backbone import library
from engine.nets.backbone_images import cropped, resized
from engine.queries.session import Model
from engine.storage.pretrained_folder import BadBackbone, open_pretrained
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan

transformers = pytest.importorskip("transformers", reason="the library transformers is not installed")

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 24, "patch_size": 6}
KINDS = {
    "dinov2": {**SMALL, "mlp_ratio": 2},
    "vit": SMALL,
    "clip_vision_model": SMALL,
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
}
PROCESSING = {
    "do_resize": True,
    "size": {"shortest_edge": 30},
    "do_center_crop": True,
    "crop_size": {"height": 24, "width": 24},
    "resample": 3,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def saved(folder: Path, kind: str, processing: dict[str, Any] | None = PROCESSING) -> Any:
    """A model with random weights, as the library writes it."""
    library()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **KINDS[kind])).eval()
    model.save_pretrained(folder)
    if processing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processing), encoding="utf-8")
    return model


def opened(folder: Path, root: Path, **settings: Any) -> Model:
    for _ in train(Plan("pretrained", "digits", config={"folder": str(folder), **settings}, name="opened"), root):
        pass
    return Model(Run.open(root / "opened"), None)


@pytest.mark.parametrize("kind", KINDS)
def test_that_features_are_the_librarys_on_the_same_pixels(kind: str, tmp_path: Path):
    theirs = saved(tmp_path / "model", kind)
    ours = opened(tmp_path / "model", tmp_path / "runs")
    x = ours.probe()[:5]
    with torch.no_grad():
        told = theirs(pixel_values=ours.method.network.processed(x), output_hidden_states=True)
        assert torch.allclose(ours.method.encode(x), told.pooler_output.flatten(1), atol=1e-6)
        blocks = ours.method.blocks(x)
    means = [h[:, 1:].mean(1) if h.ndim == 3 else h.mean((2, 3)) for h in told.hidden_states]
    assert [torch.allclose(a, b, atol=1e-6) for a, b in zip(blocks.values(), means, strict=False)] == [True] * len(means)


def test_that_images_are_resized_cropped_and_normalized_as_pillow_does_it(tmp_path: Path):
    saved(tmp_path / "model", "dinov2")
    ours = opened(tmp_path / "model", tmp_path / "runs")
    blots = np.random.default_rng(0).integers(40, 216, (5, 8, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(blots).resize((60, 40), Image.Resampling.BILINEAR))  # smooth: Pillow cuts overshoots half-way too
    small = Image.fromarray(picture).resize((45, 30), Image.Resampling.BICUBIC).crop((10, 3, 34, 27))
    mean, deviation = np.array(PROCESSING["image_mean"]), np.array(PROCESSING["image_std"])
    slow = (np.asarray(small) / 255 - mean) / deviation
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    fast = ours.method.network.processed(x)[0].permute(1, 2, 0).numpy()
    assert np.abs(fast - slow).max() < 1.5 / 255 / deviation.min()  # Pillow rounds to bytes on the way


def test_that_grey_images_and_another_side_are_taken(tmp_path: Path):
    saved(tmp_path / "model", "dinov2")
    ours = opened(tmp_path / "model", tmp_path / "runs", side=12)
    assert ours.method.network.processed(torch.rand(2, 1, 8, 8)).shape == (2, 3, 12, 12)
    assert ours.method.encode(torch.rand(2, 1, 8, 8)).isfinite().all()


def test_that_several_files_and_older_ones_are_read_too(tmp_path: Path):
    theirs = saved(tmp_path / "model", "vit")
    whole = open_pretrained(str(tmp_path / "model"))
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    parts = open_pretrained(str(tmp_path / "parts"))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_bytes((tmp_path / "model" / "config.json").read_bytes())
    torch.save(theirs.state_dict(), tmp_path / "old" / "pytorch_model.bin")
    old = open_pretrained(str(tmp_path / "old"))
    for other in (parts, old):
        assert other.arrays.keys() == whole.arrays.keys()
        assert all(np.array_equal(other.arrays[name], value) for name, value in whole.arrays.items())


def test_that_a_folder_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    saved(tmp_path / "model", "dinov2")
    config = (tmp_path / "model" / "config.json").read_text(encoding="utf-8")
    for name, files, words in (
        ("none", None, "no folder"),
        ("empty", {}, "config.json"),
        ("torn", {"config.json": "{"}, "cannot be read"),
        ("nameless", {"config.json": "{}"}, "model_type"),
        ("weightless", {"config.json": config}, "model.safetensors"),
        ("cut", {"config.json": config, "model.safetensors": "short"}, "cannot be read as a model"),
    ):
        if files is not None:
            (tmp_path / name).mkdir()
            for file, text in files.items():
                (tmp_path / name / file).write_text(text, encoding="utf-8")
        with pytest.raises(BadBackbone, match=words):
            open_pretrained(str(tmp_path / name))
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "config.json").write_text(config, encoding="utf-8")
    torch.save({"weight": Evil()}, tmp_path / "evil" / "pytorch_model.bin")
    with pytest.raises(BadBackbone, match="safely"):
        open_pretrained(str(tmp_path / "evil"))
    assert not (tmp_path / "touched").exists()


def test_that_weights_of_another_model_are_refused(tmp_path: Path):
    saved(tmp_path / "model", "dinov2")
    saved(tmp_path / "other", "vit")
    (tmp_path / "model" / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(BadBackbone, match="do not fit"):
        opened(tmp_path / "model", tmp_path / "runs")


def test_that_sizes_and_middles_are_pillows():
    x = torch.rand(1, 3, 31, 17, generator=torch.Generator().manual_seed(0))
    picture = Image.fromarray((x[0].permute(1, 2, 0) * 255).round().byte().numpy())
    exact = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
    for way, filter in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        slow = torch.from_numpy(np.asarray(picture.resize((10, 12), filter)).copy()).permute(2, 0, 1) / 255
        assert (resized(exact, (12, 10), way)[0] - slow).abs().max() < 1.6 / 255
    assert torch.equal(cropped(exact, 11, 7)[0], exact[0, :, 10:21, 5:12])
    assert cropped(exact, 40, 40).shape == (1, 3, 40, 40)
