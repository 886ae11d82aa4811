"""Questions about patches, asked of small trained transformers: against what their own tokens say, with every refusal as a sentence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from engine import messages as m
from engine.data import open_data
from engine.data.splits import spread
from engine.queries import patches
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.run_data import locate
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.import_cases import class_folders

SETTINGS: dict[str, dict[str, Any]] = {
    "mae": {"width": 16, "blocks": 1, "decoder_width": 16, "batch_size": 16},
    "simclr": {"encoder": "convnet", "width": 4, "batch_size": 16},
    "dino": {"encoder": "vit", "width": 16, "blocks": 1, "batch_size": 16, "prototypes": 16},
    "vae": {"network": "mlp", "width": 8, "latent": 2},
}
FIRST = m.PictureRef("Validation image 3", index=3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")

    def run(name: str) -> str:
        if not (root / name).exists():
            list(train(Plan(name, "digits", SETTINGS[name], seed=7, steps=4, name=name, device="cpu"), root))
        return str(root / name)

    return run


@pytest.fixture
def session() -> QuerySession:
    return QuerySession()


def work(session: QuerySession, asked: m.Work) -> Any:
    """The event that a job ends with."""
    return [event for event in session.work(asked) if event is not None][-1]


def colored(session: QuerySession, images: m.PatchImages, foreground: str = "") -> m.PatchesColored:
    return work(session, m.ColorPatches(job="j", images=images, foreground=foreground))


def compared(session: QuerySession, images: m.PatchImages, patch: tuple[int, int] | None = None) -> m.PatchesCompared:
    return work(session, m.CompareToPatch(job="j", images=images, patch=patch))


def tokens(session: QuerySession, run: str, images: np.ndarray, step: int | None = None) -> np.ndarray:
    """All tokens after the last norm, from the network itself, float64 [N, 1 + 16, D]."""
    network: Any = session.model(run, step).method.network
    with torch.no_grad():
        return network.tokens(torch.from_numpy(images / np.float32(255))).double().numpy()


# -- attention ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mae", "dino"])
def test_that_attention_of_a_trained_transformer_is_told_with_what_no_patch_gets(runs, session, name: str) -> None:
    run = runs(name)
    shown = session.answer(m.ShowAttention(run=run, step=4, picture=FIRST))
    model = session.model(run, 4)
    image = open_data("digits").splits["valid"].images[3]
    np.testing.assert_array_equal(shown.seen, image)
    network: Any = model.method.network
    with torch.no_grad():
        weights = network.attention(torch.from_numpy(image[None] / np.float32(255)), 4)[0].double().numpy()
    assert (shown.layer, shown.layers, shown.maps.shape) == (4, 4, (3, 4, 4))  # two heads of 32 channels, and their mean
    np.testing.assert_allclose(shown.maps[:2].reshape(2, 16), weights[:, 0, 1:], atol=1e-6)
    np.testing.assert_allclose(shown.maps[2].ravel(), weights[:, 0, 1:].mean(0), atol=1e-6)
    np.testing.assert_allclose(shown.rest, [*weights[:, 0, 0], weights[:, 0, 0].mean()], atol=1e-6)
    assert shown.query == "the class token" and shown.rest_name == "the class token itself"
    assert shown.area == (0, 0, 8, 8) and shown.step == 4
    assert 0 < shown.entropies.max() <= np.log(16) + 1e-6 and shown.distances.min() > 0 and shown.even_distance > 1


def test_that_a_patch_and_an_earlier_layer_can_be_asked_about(runs, session) -> None:
    run = runs("mae")
    network: Any = session.model(run, None).method.network
    shown = session.answer(m.ShowAttention(run=run, picture=FIRST, layer=2, patch=(1, 3)))
    with torch.no_grad():
        weights = network.attention(torch.from_numpy(shown.seen[None] / np.float32(255)), 2)[0].numpy()
    np.testing.assert_allclose(shown.maps[:2].reshape(2, 16), weights[:, 1 + 1 * 4 + 3, 1:], atol=1e-6)
    assert shown.query == "the patch in row 1, column 3" and shown.rest_name == "the class token"
    assert not np.allclose(shown.maps, session.answer(m.ShowAttention(run=run, picture=FIRST, layer=2)).maps)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layer": 5}, "There is no layer 5: this network has layers 1 to 4"),
        ({"patch": (4, 0)}, "no patch in row 4, column 0: rows go from 0 to 3"),
        ({"patch": (0, -1)}, "no patch in row 0, column -1"),
    ],
)
def test_that_what_is_not_there_is_refused_in_a_sentence(runs, session, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotAnswer, match=sentence):
        session.answer(m.ShowAttention(run=runs("mae"), picture=FIRST, **changes))


@pytest.mark.parametrize(("name", "sentence"), [("simclr", "no vision transformer and has no"), ("vae", "cuts images into patches")])
def test_that_other_networks_say_why_they_have_no_patches(runs, session, name: str, sentence: str) -> None:
    told = session.answer(m.DescribePatches(run=runs(name)))
    assert told.layers == 0 and sentence in told.why_not
    with pytest.raises(CannotAnswer, match=sentence):
        session.answer(m.ShowAttention(run=runs(name), picture=FIRST))
    with pytest.raises(CannotAnswer, match=sentence):
        colored(session, m.PatchImages(runs(name), FIRST))


def test_that_a_transformer_is_described_by_its_layers_and_heads(runs, session) -> None:
    told = session.answer(m.DescribePatches(run=runs("dino")))
    assert (told.layers, told.heads, told.why_not) == (4, 2, "")


def test_that_attention_too_large_for_the_memory_is_refused_before_it_is_computed(runs, session, monkeypatch) -> None:
    monkeypatch.setattr(patches, "ATTENTION_BYTES", 4 * 4 * 2 * 17**2 - 1)
    with pytest.raises(CannotAnswer, match="between 17 tokens in 4 layers"):
        session.answer(m.ShowAttention(run=runs("mae"), picture=FIRST))


def test_that_weights_that_are_no_numbers_are_refused(runs, session) -> None:
    network: Any = session.model(runs("mae"), None).method.network
    with torch.no_grad():
        network.cut.bias.fill_(torch.nan)
    with pytest.raises(CannotAnswer, match="attention weights that are not finite"):
        session.answer(m.ShowAttention(run=runs("mae"), picture=FIRST))
    with pytest.raises(CannotAnswer, match="patch features that are not finite"):
        colored(session, m.PatchImages(runs("mae"), FIRST))


# -- several images ----------------------------------------------------------------------------------------------------


def test_that_the_images_are_the_one_asked_for_and_others_of_the_split_the_same_at_every_step(runs, session) -> None:
    valid = open_data("digits").splits["valid"]
    place = int(spread(valid, 6)[2])
    for step in (1, 4):
        found = colored(session, m.PatchImages(runs("mae"), m.PictureRef("x", index=place), step, others=5))
        assert found.images.step == step and found.images.data == "digits"
        assert found.indices[0] == place and place not in found.indices[1:]
        np.testing.assert_array_equal(found.indices[1:], [i for i in spread(valid, 6) if i != place])
        np.testing.assert_array_equal(found.seen, valid.images[found.indices])
        assert valid.labels is not None and found.labels == ("x", *(str(valid.labels[i]) for i in found.indices[1:]))


@pytest.mark.parametrize("named", ["old", "new", ""])
def test_that_an_image_is_not_beside_itself_where_the_data_were_moved(tmp_path: Path, session: QuerySession, named: str) -> None:
    """The window may still name the picture by the place where the data lay when it was chosen."""
    old, new = class_folders(tmp_path / "old", count=40), tmp_path / "new"
    list(train(Plan("mae", str(old), SETTINGS["mae"], steps=1, name="run", device="cpu"), tmp_path / "runs"))
    asked = m.PatchImages(str(tmp_path / "runs" / "run"), m.PictureRef("x", index=1), 1, others=30)
    colored(session, replace(asked, others=2))
    shutil.move(old, new)
    list(locate(Run.open(tmp_path / "runs" / "run"), str(new)))
    if named:
        asked = replace(asked, picture=replace(asked.picture, data=str(tmp_path / named)))
    found = colored(session, asked)
    assert sorted(found.indices) == list(range(len(found.seen))) and found.indices[0] == 1
    assert len({image.tobytes() for image in found.seen}) == len(found.seen) > 2


def test_that_colours_come_from_the_components_of_all_patches_as_scikit_learn_finds_them(runs, session) -> None:
    found = colored(session, m.PatchImages(runs("mae"), FIRST, others=7))
    rows = tokens(session, runs("mae"), found.seen)[:, 1:].reshape(8 * 16, -1)
    known = PCA(3, svd_solver="full").fit(rows)
    np.testing.assert_allclose(found.explained, known.explained_variance_ratio_, atol=1e-5)
    scores, expected = found.components.reshape(-1, 3), known.transform(rows)
    for component in range(3):
        sign = np.sign(scores[:, component] @ expected[:, component])
        np.testing.assert_allclose(scores[:, component], sign * expected[:, component], atol=2e-4)
    assert found.kept.all() and found.colors.shape == (8, 4, 4, 3) and found.features == rows.shape[1] == 64


def test_that_the_foreground_leaves_patches_out_and_a_wrong_word_is_refused(runs, session) -> None:
    images = m.PatchImages(runs("mae"), FIRST, others=7)
    whole, above, below = (colored(session, images, foreground) for foreground in ("", "above", "below"))
    np.testing.assert_array_equal(above.kept, whole.components[..., 0] > 0)
    np.testing.assert_array_equal(above.kept, ~below.kept)
    assert np.isnan(above.components[~above.kept]).all() and above.first_explained == whole.explained[0]
    with pytest.raises(CannotAnswer, match="no foreground"):
        colored(session, images, "left")


def test_that_cosines_and_matches_are_those_of_numpy(runs, session) -> None:
    found = compared(session, m.PatchImages(runs("dino"), FIRST, others=3), (2, 1))
    rows = tokens(session, runs("dino"), found.seen)[:, 1:]
    unit = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    expected = (unit @ unit[0, 2 * 4 + 1]).reshape(4, 4, 4)
    np.testing.assert_allclose(found.cosines, expected, atol=1e-5)
    assert found.cosines[0, 2, 1] == pytest.approx(1, abs=1e-6)
    best = found.matches[0]
    assert len(found.matches) == 8 and (best.image, best.row, best.column) != (0, 2, 1)
    others = np.delete(expected.ravel(), 2 * 4 + 1)
    np.testing.assert_allclose([match.cosine for match in found.matches], np.sort(others)[::-1][:8], atol=1e-5)
    for match in found.matches:
        assert match.cosine == pytest.approx(expected[match.image, match.row, match.column], abs=1e-5)


def test_that_without_a_patch_the_middle_one_is_compared(runs, session) -> None:
    assert compared(session, m.PatchImages(runs("mae"), FIRST, others=1)).patch == (2, 2)
    with pytest.raises(CannotAnswer, match="no patch in row 9"):
        compared(session, m.PatchImages(runs("mae"), FIRST, others=1), (9, 0))


def test_that_a_dropped_picture_is_compared_as_the_network_sees_it(runs, session, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    found = compared(session, m.PatchImages(runs("mae"), m.PictureRef("grey.png", path=str(tmp_path / "grey.png")), others=2))
    assert found.labels[0] == "grey.png" and found.indices[0] == -1 and found.seen.shape == (3, 1, 8, 8)
    assert any("8×8" in note for note in found.notes) and (found.seen[0] == 200).all()


def test_that_other_data_can_be_compared_and_a_text_cannot(runs, session) -> None:
    images = m.PatchImages(runs("mae"), m.PictureRef("shape", data="shapes:100", index=2), data="shapes:100", others=2)
    found = compared(session, images)
    assert found.seen.shape == (3, 1, 8, 8) and found.images.data == "shapes:100" and found.indices[0] == 2
    assert any(note.startswith("The other images: ") for note in found.notes)
    with pytest.raises(Exception, match="is a text"):
        compared(session, replace(images, data="pydoc-text"))


def test_that_features_are_computed_once_for_the_same_images(runs, session, monkeypatch) -> None:
    calls: list[int] = []
    network: Any = session.model(runs("mae"), None).method.network
    real = network.patch_features
    monkeypatch.setattr(network, "patch_features", lambda x: calls.append(len(x)) or real(x))
    images = m.PatchImages(runs("mae"), FIRST, others=3)
    colored(session, images)
    compared(session, images, (0, 0))
    compared(session, images, (3, 3))
    assert calls == [1, 1, 1, 1]
    compared(session, replace(images, picture=m.PictureRef("Validation image 4", index=4)), (3, 3))
    assert len(calls) == 8


def test_that_no_more_features_are_kept_than_there_is_memory_for_and_it_is_said(runs, session, monkeypatch) -> None:
    monkeypatch.setattr(patches, "FEATURE_BYTES", 3 * 16 * 64 * 4)
    found = compared(session, m.PatchImages(runs("mae"), FIRST, others=7))
    assert len(found.seen) == len(found.cosines) == len(found.labels) == len(found.indices) == 3 and found.images.others == 2
    assert any(note.startswith("3 of 8 images are shown") for note in found.notes)


def test_that_a_job_can_be_given_up_between_two_images(runs, session, monkeypatch) -> None:
    monkeypatch.setattr(patches, "TELL_SECONDS", 0.0)
    job = session.work(m.ColorPatches(job="j", images=m.PatchImages(runs("mae"), FIRST, others=7)))
    for event in job:
        if isinstance(event, m.Progress) and event.unit == "image" and event.note == "patch features":
            assert (event.done, event.total) == (1, 8)
            break
    job.close()
    assert colored(session, m.PatchImages(runs("mae"), FIRST, others=7)).colors.shape[0] == 8
