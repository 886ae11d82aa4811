"""Backbones in the Hugging Face layout: small ones with random weights, saved by the library itself, must give the library's features."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine import messages as m
from engine.config import make_config
from engine.method import CannotLearn, DataSpec, build
from engine.methods.pretrained import PretrainedEncoder
from engine.nets.backbone import Backbone, library
from engine.nets.backbone_images import Processing, cropped, resized
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.pretrained_folder import BadBackbone, open_pretrained
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.backbones import KINDS, SMALL, built, saved

transformers = pytest.importorskip("transformers", reason="the library transformers is not installed")

FEW = ("dinov2", "vit", "clip_vision_model", "resnet")
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


def opened(folder: Path, root: Path, **settings: Any) -> Model:
    for _ in train(Plan("pretrained", "digits", config={"folder": str(folder), **settings}, name="opened"), root):
        pass
    return Model(Run.open(root / "opened"), None)


@pytest.mark.parametrize("kind", FEW)
def test_that_features_are_the_librarys_on_the_same_pixels(kind: str, tmp_path: Path):
    theirs = saved(tmp_path / "model", kind, PROCESSING)
    ours = opened(tmp_path / "model", tmp_path / "runs")
    x = ours.probe()[:5]
    with torch.no_grad():
        told = theirs(pixel_values=ours.method.network.processed(x), output_hidden_states=True)
        assert torch.allclose(ours.method.encode(x), told.pooler_output.flatten(1), atol=1e-6)
        blocks = ours.method.blocks(x)
    means = [h[:, 1:].mean(1) if h.ndim == 3 else h.mean((2, 3)) for h in told.hidden_states]
    assert [torch.allclose(a, b, atol=1e-6) for a, b in zip(blocks.values(), means, strict=False)] == [True] * len(means)


def test_that_images_are_resized_cropped_and_normalized_as_pillow_does_it(tmp_path: Path):
    saved(tmp_path / "model", "dinov2", PROCESSING)
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
    saved(tmp_path / "model", "dinov2", PROCESSING)
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

    saved(tmp_path / "model", "dinov2", PROCESSING)
    config = (tmp_path / "model" / "config.json").read_text(encoding="utf-8")
    for name, files, words in (
        ("none", None, "no folder"),
        ("empty", {}, "config.json"),
        ("torn", {"config.json": "{"}, "cannot be read"),
        ("nameless", {"config.json": "{}"}, "model_type"),
        ("weightless", {"config.json": config}, "model.safetensors"),
        ("cut", {"config.json": config, "model.safetensors": "short"}, "cut short"),
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
    saved(tmp_path / "model", "dinov2", PROCESSING)
    saved(tmp_path / "other", "vit")
    (tmp_path / "model" / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(BadBackbone, match="do not fit"):
        opened(tmp_path / "model", tmp_path / "runs")


def same(a: Any, b: Any) -> bool:
    return bool(torch.allclose(a, b, atol=1e-5))


@pytest.mark.parametrize("side", [24, 64, 30])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("convnext", "aimv2_vision_model")])
def test_that_other_sizes_are_taken_and_places_interpolated(kind: str, side: int, tmp_path: Path):
    """Or one sentence, before a run is made."""
    saved(tmp_path / "model", kind)
    ours = opened(tmp_path / "model", tmp_path / "runs", side=side)
    x = ours.probe()[:3]
    features = ours.method.encode(x)
    assert features.isfinite().all() and same(features, ours.method.encode(x))
    assert ours.method.network.processed(x).shape[2:] == (side, side)
    network = ours.method.patch_network()
    if kind != "resnet":
        assert network.patch_features(x).shape[1:3] == network.patch_grid(x.shape[2:])


def test_that_places_between_learned_ones_are_bicubic(tmp_path: Path):
    """Patches that all look alike tell the table of places alone: it is interpolated by hand in float64."""
    model = saved(tmp_path / "model", "vit")
    ours = opened(tmp_path / "model", tmp_path / "runs", side=48).method.network
    flat = torch.full((1, 3, 8, 8), 0.5)
    with torch.no_grad():
        told = ours.layout.of_patches(ours.outputs(flat, every=True).hidden_states[0])[0]  # [64, D]
        table = model.embeddings.position_embeddings[0, 1:].double().T.unflatten(1, (4, 4))
        slow = torch.nn.functional.interpolate(table[None], (8, 8), mode="bicubic", align_corners=False)[0].flatten(1).T
        patch = model.embeddings.patch_embeddings(torch.full((1, 3, 24, 24), 0.5))[0, 0].double()
    assert torch.allclose(told.double(), slow + patch, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("convnext", {}, r"cannot take images of .*set side to|set another side"),
        ("vit", {"side": 4}, r"cannot take images of 4×4 px .*its own size is 24×24: set side to 24"),
        ("aimv2_vision_model", {"side": 64}, r"cannot take images of 64×64 px .*its own size is 24×24: set side to 24"),
        ("ijepa", {"pooling": "cls"}, "no class token"),
        ("swin", {"pooling": "both"}, "no class token"),
        ("vit_mae", {"pooling": "pooler"}, "no pooler; leave pooling at default, which is the class token"),
    ],
)
def test_that_what_cannot_be_encoded_is_said_before_a_run_is_made(kind: str, settings: dict[str, Any], words: str, tmp_path: Path):
    saved(tmp_path / "model", kind, {"do_resize": False} if kind == "convnext" else None)
    with pytest.raises(CannotLearn, match=words) as refused:
        opened(tmp_path / "model", tmp_path / "runs", **settings)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_that_a_network_with_two_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "model", "vit_mae")
    unmasked = Backbone._inputs
    monkeypatch.setattr(Backbone, "_inputs", lambda self, pixels: {k: v for k, v in unmasked(self, pixels).items() if k != "noise"})
    opened(tmp_path / "model", tmp_path / "runs")  # patches in another order, all of them seen: the same class token
    with pytest.raises(CannotLearn, match="two different answers"):
        monkeypatch.setattr(Backbone, "outputs", noisy(Backbone.outputs))
        opened(tmp_path / "model", tmp_path / "more")
    assert not (tmp_path / "more").exists() or not list((tmp_path / "more").iterdir())


def noisy(outputs: Any) -> Any:
    def other(self: Backbone, x: Any, every: bool = False) -> Any:
        found = outputs(self, x, every)
        found.last_hidden_state = found.last_hidden_state + 0.1 * torch.randn(found.last_hidden_state.shape)
        return found

    return other


def test_that_a_masked_autoencoder_sees_all_patches_as_a_plain_vit_of_its_weights_does(tmp_path: Path):
    theirs = saved(tmp_path / "model", "vit_mae")
    plain = built("vit")
    weights = theirs.state_dict()
    assert not plain.load_state_dict(weights, strict=False).unexpected_keys
    ours = opened(tmp_path / "model", tmp_path / "runs")
    x = ours.probe()[:4]
    with torch.no_grad():
        told = plain(pixel_values=ours.method.network.processed(x)).last_hidden_state
        torch.manual_seed(1)
        first = ours.method.encode(x)
        torch.manual_seed(2)
        assert torch.equal(first, ours.method.encode(x))
    assert same(first, told[:, 0])
    assert same(ours.method.patch_network().patch_features(x).flatten(1, 2), told[:, 1:])


def test_that_a_vit_without_pooler_is_opened_with_its_class_token(tmp_path: Path):
    library()
    with torch.random.fork_rng():
        model = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, num_labels=3)).eval()  # kept without a pooler
    model.save_pretrained(tmp_path / "model")
    ours = opened(tmp_path / "model", tmp_path / "runs")
    x = ours.probe()[:4]
    with torch.no_grad():
        told = model.vit(pixel_values=ours.method.network.processed(x)).last_hidden_state
    assert same(ours.method.encode(x), told[:, 0])
    assert "CLS" in ours.method.describe(x, torch.Generator()).diagnosis[-1].text


def test_that_a_run_of_an_older_version_has_the_features_it_had(tmp_path: Path):
    """What stood in its manifest: architecture, processing and side; pooler or first token, blocks over all tokens."""
    for kind in ("ijepa", "vit", "dinov2_with_registers", "vit_msn", "resnet"):
        theirs = saved(tmp_path / kind, kind)
        processing = json.dumps({"do_rescale": False, "size": {"height": 24, "width": 24}, "image_mean": [0.1] * 3, "image_std": [0.5] * 3})
        config = make_config(
            PretrainedEncoder.Config, {"architecture": (tmp_path / kind / "config.json").read_text(), "processing": processing}
        )
        ours = build(PretrainedEncoder, config, DataSpec((3, 24, 24)), 0)
        ours.load_pretrained(theirs.state_dict())
        ours.eval()
        x = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            told = theirs(pixel_values=(x - 0.1) / 0.5, output_hidden_states=True)
            first = told.last_hidden_state[:, 0] if getattr(told, "pooler_output", None) is None else told.pooler_output.flatten(1)
            assert same(ours.encode(x), first)
            means = [h.mean(1) if h.ndim == 3 else h.mean((2, 3)) for h in told.hidden_states]
            assert all(same(a, b) for a, b in zip(ours.blocks(x).values(), means, strict=False))


def test_that_what_is_done_to_images_and_its_cost_are_said(tmp_path: Path):
    saved(tmp_path / "told", "vit", PROCESSING)
    saved(tmp_path / "untold", "vit")
    told, untold = (opened(tmp_path / name, tmp_path / f"runs {name}") for name in ("told", "untold"))
    found = told.method.describe(told.probe()[:16], torch.Generator())
    numbers = {number.name: number for number in found.numbers}
    assert numbers["image size"].value == 24 and "24×24" in numbers["image size"].help
    assert numbers["parameters"].value * 1e6 == sum(p.numel() for p in told.method.parameters())
    d, t, inner = 24, 17, 48
    by_hand = 2 * (16 * 108 * d + 2 * (4 * t * d * d + 2 * t * t * d + 2 * t * d * inner) + d * d)  # patches, two layers, pooler
    assert numbers["cost of an image"].value * 1e9 == by_hand
    texts = [one.text for one in found.diagnosis]
    assert any("from 8×8 to 30×30 px, the middle 24×24 of them; normalized by mean 0.485, 0.456, 0.406" in text for text in texts)
    assert any("its own pooler, the default of vit" in text for text in texts)
    warned = [one.text for one in untold.method.describe(untold.probe()[:16], torch.Generator()).diagnosis if one.level == "warning"]
    assert any("does not say how values are normalized" in text for text in warned)


def test_that_a_description_is_of_images_over_the_whole_of_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "model", "vit", PROCESSING)
    method = opened(tmp_path / "model", tmp_path / "runs").method
    x, seen = torch.rand(192, *method.data.shape, generator=torch.Generator().manual_seed(0)), []
    encode = method.encode
    monkeypatch.setattr(method, "encode", lambda images: seen.append(images) or encode(images))
    method.describe(x, torch.Generator())
    assert torch.equal(torch.cat(seen), x[::3])


def test_that_features_do_not_depend_on_how_many_images_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "model", "dinov2", PROCESSING)
    ours = opened(tmp_path / "model", tmp_path / "runs")
    x = ours.probe()[:7]
    whole = ours.method.encode(x)
    sizes: list[int] = []
    outputs = Backbone.outputs
    monkeypatch.setattr(Backbone, "outputs", lambda self, x, every=False: sizes.append(len(x)) or outputs(self, x, every))
    monkeypatch.setattr("engine.nets.backbone.PIXELS_AT_ONCE", 3 * 24 * 24 + 5)
    assert same(ours.method.encode(x), whole) and sizes == [3, 3, 1]


def test_that_values_are_scaled_and_channels_turned_as_told():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert same(Processing({"do_rescale": False, "do_normalize": False}).apply(x), 255 * x)
    assert same(Processing({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}).apply(x), 2 * x - 1)
    assert same(Processing({"do_flip_channel_order": True, "do_normalize": False}).apply(x), x[:, [2, 1, 0]])
    assert same(Processing({}).apply(x), x)


@pytest.mark.parametrize("kind", ["ConvNextImageProcessor", "CLIPImageProcessor", "ViTImageProcessor", "BitImageProcessor"])
@pytest.mark.parametrize("shape", [(40, 60), (61, 37), (24, 24)])
def test_that_processing_is_the_librarys(kind: str, shape: tuple[int, int]):
    library()
    size = {"height": 24, "width": 24} if kind == "ViTImageProcessor" else {"shortest_edge": 24}
    processor = getattr(transformers, f"{kind}Pil")(size=size, crop_size={"height": 20, "width": 20})
    blots = np.random.default_rng(0).integers(40, 216, (5, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(blots).resize(shape[::-1], Image.Resampling.BILINEAR)
    told = torch.from_numpy(np.asarray(processor(picture, return_tensors="np")["pixel_values"]))
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    ours = Processing(processor.to_dict()).apply(x)
    assert ours.shape == told.shape
    assert (ours - told).abs().max() < 2.5 / 255 / 0.22


def test_that_sizes_and_middles_are_pillows():
    x = torch.rand(1, 3, 31, 17, generator=torch.Generator().manual_seed(0))
    picture = Image.fromarray((x[0].permute(1, 2, 0) * 255).round().byte().numpy())
    exact = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
    for way, filter in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        slow = torch.from_numpy(np.asarray(picture.resize((10, 12), filter)).copy()).permute(2, 0, 1) / 255
        assert (resized(exact, (12, 10), way)[0] - slow).abs().max() < 1.6 / 255
    assert torch.equal(cropped(exact, 11, 7)[0], exact[0, :, 10:21, 5:12])
    assert cropped(exact, 40, 40).shape == (1, 3, 40, 40)


@pytest.mark.parametrize(("kind", "special"), [("dinov2_with_registers", 4), ("ijepa", 0), ("siglip2_vision_model", 0), ("swin", 0)])
def test_that_the_patches_of_an_opened_folder_can_be_asked_for(kind: str, special: int, tmp_path: Path):
    saved(tmp_path / "model", kind, PROCESSING if kind != "siglip2_vision_model" else None)
    ours = opened(tmp_path / "model", tmp_path / "runs")
    session, run = QuerySession(), str(tmp_path / "runs" / "opened")
    told = session.answer(m.DescribePatches(run=run))
    x = ours.probe()[:1]
    assert told.why_not == "" and told.layers == (0 if kind == "swin" else 2)
    images = m.PatchImages(run=run, picture=m.PictureRef("first", index=0), others=2)
    (colored,) = [event for event in session.work(m.ColorPatches(job="j", images=images)) if isinstance(event, m.PatchesColored)]
    assert colored is not None
    if kind == "swin":
        with pytest.raises(CannotAnswer, match="no attention between all patches"):
            session.answer(m.ShowAttention(run=run, picture=m.PictureRef("first", index=0)))
        return
    shown = session.answer(m.ShowAttention(run=run, picture=m.PictureRef("first", index=0), layer=1))
    assert shown.maps.shape[1:] == ours.method.patch_network().patch_grid(x.shape[2:]) and len(shown.maps) == 3
    weights = ours.method.patch_network().attention(torch.from_numpy(np.array(shown.seen))[None].float() / 255, 1)[0]
    row = weights[:, 0] if special else weights.mean(1)
    assert torch.allclose(torch.from_numpy(np.array(shown.maps[:2])).flatten(1), row[:, special:], atol=1e-5)


def test_that_a_network_without_patches_says_so(tmp_path: Path):
    saved(tmp_path / "model", "resnet")
    opened(tmp_path / "model", tmp_path / "runs")
    told = QuerySession().answer(m.DescribePatches(run=str(tmp_path / "runs" / "opened")))
    assert "no vision transformer" in told.why_not


def tuned(folder: Path, root: Path, steps: int = 2, **settings: Any) -> Any:
    opened(folder, root)
    plan = Plan("fine_tuning", "digits", {"encoder": "opened", "label_share": 0.2, "batch_size": 16, **settings}, steps=steps, name="tuned")
    for _ in train(plan, root):
        pass
    return Model(Run.open(root / "tuned"), "newest")


@pytest.mark.parametrize("kind", ["vit_mae", "ijepa", "siglip2_vision_model", "resnet"])
def test_that_a_foreign_backbone_is_tuned_in_pieces_that_memory_allows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "model", kind)
    sizes: list[int] = []
    outputs = Backbone.outputs

    def noted(self: Backbone, x: Any, every: bool = False) -> Any:
        if torch.is_grad_enabled() and x.shape[0] > 2:
            sizes.append(len(x))
        return outputs(self, x, every)

    monkeypatch.setattr(Backbone, "outputs", noted)
    monkeypatch.setattr("engine.nets.backbone.PIXELS_AT_ONCE", 6 * (8 * 8 if kind == "resnet" else 24 * 24))
    before = saved(tmp_path / "again", kind).state_dict()
    found = tuned(tmp_path / "model", tmp_path / "runs")
    assert sizes and max(sizes) <= 6
    after = found.method.network.method.network.model.state_dict()
    assert any(not torch.equal(value, after[name]) for name, value in before.items() if name in after)
    assert found.method.classify(found.probe()[:3]).isfinite().all()


def test_that_a_frozen_foreign_backbone_stays_as_it_was(tmp_path: Path):
    before = saved(tmp_path / "model", "vit_msn").state_dict()
    found = tuned(tmp_path / "model", tmp_path / "runs", frozen=True)
    after = found.method.network.method.network.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert found.method.patch_network().layers == 2


def test_that_without_the_library_one_sentence_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "model", "vit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BadBackbone, match=r"need the library transformers: install it with “pip install priorama\[hf\]”"):
        open_pretrained(str(tmp_path / "model"))
    with pytest.raises(CannotLearn, match="need the library transformers"):
        list(train(Plan("pretrained", "digits", name="random"), tmp_path / "runs"))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_that_the_library_is_imported_when_a_backbone_is_and_not_before():
    script = (
        "import sys; import engine.cli, engine.worker, engine.training.loop, engine.storage.pretrained_folder; "
        "from engine.methods import all_methods; assert 'pretrained' in all_methods(); "
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('transformers', 'huggingface_hub')))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3])
    assert answer.stdout.strip() == "[]", answer.stderr
