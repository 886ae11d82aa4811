"""Folders of models as people have them: opened, or one true sentence before anything is made of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.nets.backbone import library
from engine.storage.pretrained_folder import BadBackbone, open_pretrained
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.backbones import KINDS, built, saved

transformers = pytest.importorskip("transformers", reason="the library transformers is not installed")

POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole ViT; nobody writes into it."""
    folder = tmp_path_factory.mktemp("models") / "vit"
    saved(folder, "vit", {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]})
    return folder


def files(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")


def config(kind: str, **changes: Any) -> str:
    return json.dumps({"model_type": kind, **changes})


def bert(folder: Path) -> None:
    small = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 30}
    with torch.random.fork_rng():
        library().AutoModel.from_config(transformers.AutoConfig.for_model("bert", **small)).save_pretrained(folder)


def lfs(folder: Path) -> None:
    files(folder, config__json=config("vit", **KINDS["vit"]), model__safetensors=POINTER)


def lfs_pickle(folder: Path) -> None:
    files(folder, config__json=config("vit", **KINDS["vit"]), pytorch_model__bin=POINTER)


def lfs_config(folder: Path) -> None:
    files(folder, config__json=POINTER, model__safetensors=POINTER)


def timm(folder: Path) -> None:
    files(folder, config__json=json.dumps({"architecture": "vit_base_patch16_224", "num_classes": 1000, "pretrained_cfg": {"tag": "a"}}))
    (folder / "model.safetensors").write_bytes(b"")


def original(folder: Path) -> None:
    folder.mkdir()
    torch.save({"cls_token": torch.zeros(1, 1, 8)}, folder / "mae_pretrain_vit_base.pth")


def original_beside_config(folder: Path) -> None:
    original(folder)
    files(folder, config__json=config("vit", **KINDS["vit"]))


def sharded_pickles(folder: Path) -> None:
    files(folder, config__json=config("vit", **KINDS["vit"]), pytorch_model__bin__index__json="{}")
    for i in (1, 2):
        torch.save({}, folder / f"pytorch_model-0000{i}-of-00002.bin")


def diffusers(folder: Path) -> None:
    files(folder, model_index__json=json.dumps({"_class_name": "StableDiffusionPipeline"}))
    files(folder / "unet", config__json=json.dumps({"_class_name": "UNet2DConditionModel"}))


def part_of_diffusers(folder: Path) -> None:
    files(folder, config__json=json.dumps({"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30.0"}))


def empty(folder: Path) -> None:
    folder.mkdir()


def one_below(folder: Path) -> None:
    files(folder / "vit", config__json=config("vit"))


def wrong_type(folder: Path) -> None:
    saved(folder, "vit")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "model_type": "dinov2"}))


def unknown_type(folder: Path) -> None:
    files(folder, config__json=config("vit_of_tomorrow"))


def code_of_its_own(folder: Path) -> None:
    files(folder, config__json=config("my_vit", auto_map={"AutoModel": "evil.Model"}), evil__py="raise SystemExit(3)")


def deep(folder: Path) -> None:
    files(folder, config__json=config("vit", num_hidden_layers=10**9))


def senseless(folder: Path) -> None:
    files(folder, config__json=config("vit", hidden_size="wide"))


def divided_by_nothing(folder: Path) -> None:
    files(folder, config__json=config("vit", patch_size=0))


def tensorflow(folder: Path) -> None:
    files(folder, config__json=config("vit", **KINDS["vit"]), tf_model__h5="x")


def half_copied(folder: Path) -> None:
    built("vit").save_pretrained(folder, max_shard_size="20KB")
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def cut_short(folder: Path) -> None:
    saved(folder, "vit")
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size // 2)


def leading_out(folder: Path) -> None:
    files(folder, config__json=config("vit"), model__safetensors__index__json=json.dumps({"weight_map": {"a": "../x.safetensors"}}))


def no_deviation(folder: Path) -> None:
    saved(folder, "vit", {"image_mean": [0.5] * 3, "image_std": [0.5, 0.0, 0.5]})


def no_size(folder: Path) -> None:
    saved(folder, "vit", {"size": {"height": 224, "width": -1}})


def open_clip(folder: Path) -> None:
    files(folder, open_clip_config__json="{}", open_clip_model__safetensors="x")


def adapter(folder: Path) -> None:
    files(folder, adapter_config__json="{}", adapter_model__safetensors="x")


def videos(folder: Path) -> None:
    files(folder, config__json=config("videomae"))


def sounds(folder: Path) -> None:
    files(folder, config__json=config("wav2vec2"))


REFUSED: dict[Callable[[Path], None], str] = {
    bert: "“bert” is a model of texts",
    lfs: "model.safetensors is only a pointer of Git LFS.*git lfs pull",
    lfs_pickle: "pytorch_model.bin is only a pointer of Git LFS",
    lfs_config: "config.json is only a pointer of Git LFS",
    timm: "“vit_base_patch16_224”.*timm",
    original: "as their authors keep them.*mae_pretrain_vit_base.pth",
    original_beside_config: "no model.safetensors but weights as their authors keep them",
    sharded_pickles: "several pickled files.*save_pretrained",
    diffusers: "pipeline of the library diffusers",
    part_of_diffusers: "part of a pipeline of the library diffusers",
    empty: "is empty",
    one_below: "its folder “vit” has one: name that folder",
    wrong_type: "do not fit its description",
    unknown_type: "cannot build “vit_of_tomorrow”, which is not known to it",
    code_of_its_own: "code of its own, which is never run here",
    deep: "more than 1,000 layers",
    senseless: "no vision backbone that transformers can build",
    divided_by_nothing: "no vision backbone that transformers can build",
    tensorflow: "weights of TensorFlow only",
    half_copied: "lacks 1 of its .* files with weights",
    cut_short: "is cut short .* of .* bytes",
    leading_out: "names no weights beside it",
    no_deviation: "preprocessor_config.json says of “image_std”",
    no_size: "preprocessor_config.json says of “size”",
    open_clip: "layout of OpenCLIP",
    adapter: "an adapter only",
    videos: "“videomae” is a model of videos",
    sounds: "“wav2vec2” is a model of sounds",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_that_other_folders_are_refused_in_one_true_sentence_before_a_run_is_made(make: Callable[[Path], None], tmp_path: Path):
    make(tmp_path / "model")
    with pytest.raises(BadBackbone, match=REFUSED[make]) as refused:
        list(train(Plan("pretrained", "digits", config={"folder": str(tmp_path / "model")}), tmp_path / "runs"))
    said = str(refused.value)
    assert "\n" not in said and said.endswith((".", "”")) and len(said) < 400 and str(tmp_path) not in said
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_that_a_file_is_no_folder(vit: Path):
    with pytest.raises(BadBackbone, match=r"“model.safetensors” is a file; name the folder"):
        open_pretrained(str(vit / "model.safetensors"))


def cache(root: Path, source: Path, *versions: str, main: str = "") -> Path:
    """A model as the hub keeps it: blobs, and links to them for each version."""
    cached = root / "models--some--vit-tiny"
    (cached / "blobs").mkdir(parents=True)
    for version in versions:
        (cached / "snapshots" / version).mkdir(parents=True)
        for file in source.iterdir():
            blob = cached / "blobs" / f"{file.stem}{version}"
            blob.write_bytes(file.read_bytes())
            (cached / "snapshots" / version / file.name).symlink_to(blob)
    if main:
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text(main)
    return cached


def test_that_the_hubs_cache_is_followed_to_the_version_in_force(vit: Path, tmp_path: Path):
    whole = open_pretrained(str(vit))
    cached = cache(tmp_path, vit, "aa11", "bb22", main="bb22")
    (cached / "snapshots" / "aa11" / "config.json").unlink()  # the other version is of no use
    for named in (cached, cached / "snapshots", cached / "snapshots" / "bb22", tmp_path):
        found = open_pretrained(str(named))
        assert found.architecture == whole.architecture and found.processing == whole.processing
        assert all(np.array_equal(found.arrays[name], value) for name, value in whole.arrays.items())


def test_that_a_cache_without_a_version_says_so(vit: Path, tmp_path: Path):
    assert open_pretrained(str(cache(tmp_path / "one", vit, "aa11"))).arrays
    for folder, made, words in (
        ("two", {"versions": ("aa11", "bb22")}, "2 versions of some/vit-tiny"),
        ("gone", {"versions": ("aa11",), "main": "cc33"}, "refs/main is not there"),
        ("out", {"versions": ("aa11",), "main": "../../.."}, "refs/main is not there"),
        ("none", {"versions": ()}, None),
    ):
        cached = cache(tmp_path / folder, vit, *made["versions"], main=made.get("main", ""))
        if words is None:
            (cached / "snapshots").mkdir()
            words = "download was not finished"
        with pytest.raises(BadBackbone, match=words):
            open_pretrained(str(cached))
    (tmp_path / "cut").mkdir()
    cached = cache(tmp_path / "cut", vit, "aa11", main="aa11")
    (cached / "snapshots" / "aa11" / "model.safetensors").unlink()
    with pytest.raises(BadBackbone, match="no weights of some/vit-tiny: the download was not finished"):
        open_pretrained(str(cached))
    cache(tmp_path / "cut" / "x", vit, "aa11")
    (tmp_path / "cut" / "models--other--one").mkdir()
    with pytest.raises(BadBackbone, match="holds 2 models of a cache; name one of them, such as “models--other--one”"):
        open_pretrained(str(tmp_path / "cut"))


def test_that_processing_is_found_in_both_files_and_filled_as_the_library_does(vit: Path, tmp_path: Path):
    told = {"image_processor_type": "ViTImageProcessor", "size": 30, "image_mean": [0.1, 0.2, 0.3]}
    for name, content in (
        ("preprocessor_config.json", told),
        ("processor_config.json", {"processor_class": "CLIPProcessor", "image_processor": told}),
    ):
        folder = tmp_path / name.partition("_")[0]
        folder.mkdir()
        for file in ("config.json", "model.safetensors"):
            (folder / file).write_bytes((vit / file).read_bytes())
        (folder / name).write_text(json.dumps(content))
        found = json.loads(open_pretrained(str(folder)).processing)
        assert found["size"] == {"height": 30, "width": 30}
        assert found["image_mean"] == [0.1, 0.2, 0.3] and found["image_std"] == [0.5, 0.5, 0.5]
        assert found["do_normalize"] is True and found["resample"] == 2
    (folder / "preprocessor_config.json").write_text(json.dumps({**told, "image_mean": [0.9] * 3}))  # an older copy beside it
    assert json.loads(open_pretrained(str(folder)).processing)["image_mean"] == [0.1, 0.2, 0.3]


def test_that_a_processor_without_images_is_none(vit: Path, tmp_path: Path):
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).write_bytes((vit / file).read_bytes())
    (tmp_path / "processor_config.json").write_text('{"processor_class": "SomeProcessor"}')
    assert open_pretrained(str(tmp_path)).processing == ""
    (tmp_path / "preprocessor_config.json").write_text('{"size": 24, "image_processor_type": "NobodyKnowsThis"}')
    assert json.loads(open_pretrained(str(tmp_path)).processing)["size"] in (24, {"height": 24, "width": 24})
