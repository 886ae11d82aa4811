"""The Views pane's answers: against a real trainer that has got to the same step, and against slow loops in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from engine import messages as m
from engine.config import Training, fields_of
from engine.data import open_data
from engine.method import DataSpec, Method, capabilities
from engine.methods import all_methods
from engine.queries import invariance, views
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, resolve
from engine.training.trainer import Trainer
from engine.transforms.augmentation import Draw

SMALL: dict[str, Any] = {"width": 4, "batch_size": 12, "encoder": "convnet", "prototypes": 16, "projection": 16, "decoder_width": 4}
STEPS = 3
VIEWED = [name for name, kind in all_methods().items() if "views" in capabilities(kind) and kind.accepts == "images"]


def settings_of(name: str, **more: Any) -> dict[str, Any]:
    """Small settings, as far as the method has them."""
    known = {field.name for field in fields_of(all_methods()[name].Config)}
    return {key: value for key, value in {**SMALL, **more}.items() if key in known}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One tiny run of every method that has views, trained when a test first asks for it."""
    root = tmp_path_factory.mktemp("runs")

    def run(name: str, label: str = "", data: str = "digits", **more: Any) -> Run:
        folder = root / (label or name)
        if not folder.exists():
            plan = Plan(name, data, settings_of(name, **more), seed=7, steps=STEPS, name=label or name, device="cpu")
            list(train(plan, root))
        return Run.open(folder)

    return run


@pytest.fixture
def session() -> QuerySession:
    return QuerySession()


Pictures = set[tuple[tuple[int, ...], bytes]]  # shape and bytes of each


def fed(run: Run, step: int) -> tuple[np.ndarray, Pictures]:
    """Indices of the batch that a trainer takes after `step` steps, and every picture that its networks are then given."""
    assert run.manifest is not None
    plan = Plan(run.manifest.method, "digits", dict(run.manifest.changed), seed=run.manifest.seed, steps=STEPS, device="cpu")
    trainer = Trainer(resolve(plan), open_data("digits"))
    for _ in range(step):
        trainer.step()
    given: Pictures = set()

    def look(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs[0].ndim == 4:
            given.update((tuple(picture.shape), picture.detach().numpy().tobytes()) for picture in inputs[0])

    for network in (child for child in trainer.method.children() if hasattr(child, "features")):  # encoders
        network.register_forward_pre_hook(look)
    indices = replace(trainer.order).next()
    trainer.step()
    return indices.numpy(), given


def pictures_of(shown: m.BatchShown, given: Pictures) -> Pictures:
    """Every picture of the views, cut into tiles where the network is given tiles."""
    shapes = {shape for shape, _ in given}
    found: Pictures = set()
    for picture in (picture for view in shown.views for picture in view.x):
        if picture.shape in shapes:
            found.add((picture.shape, picture.tobytes()))
            continue
        ((_, height, width),) = shapes
        for row in range(0, picture.shape[1], height):
            for column in range(0, picture.shape[2], width):
                tile = picture[:, row : row + height, column : column + width]
                found.add((tile.shape, tile.tobytes()))
    return found


# a masked autoencoder's network never gets a picture, but the patches of it that are left: see its own tests
@pytest.mark.parametrize("name", [name for name in VIEWED if name != "mae"])
def test_that_the_tensors_shown_are_those_that_the_training_gives_to_the_network(runs, session, name):
    run = runs(name)
    for step in (0, 2):
        shown = session.answer(m.ShowBatch(run=str(run.path), step=step, count=64))
        indices, given = fed(run, step)
        assert shown.exact and shown.batch == len(indices) == 12
        np.testing.assert_array_equal(shown.indices, indices)
        np.testing.assert_array_equal(shown.originals, open_data("digits").splits["train"].images[indices])
        assert all(view.x.dtype == np.float32 and len(view.x) == 12 for view in shown.views)
        assert pictures_of(shown, given) == given


def test_that_a_batch_learned_from_in_pieces_shows_its_first_piece_and_says_so(runs, session):
    run = runs("simclr", "pieces", micro_batch_size=5)
    shown = session.answer(m.ShowBatch(run=str(run.path), step=2, count=64))
    indices, given = fed(run, 2)
    assert (shown.batch, shown.piece) == (12, 4) and len(shown.indices) == 4  # three even pieces
    np.testing.assert_array_equal(shown.indices, indices[:4])
    assert len(pictures_of(shown, given)) == 8 and pictures_of(shown, given) < given
    assert any("first, 4 of 12" in note for note in shown.notes)


def test_that_only_so_many_images_are_shown_as_were_asked_for(runs, session):
    run = runs("simclr")
    few = session.answer(m.ShowBatch(run=str(run.path), step=2, count=3))
    all_of_them = session.answer(m.ShowBatch(run=str(run.path), step=2, count=64))
    assert len(few.originals) == len(few.labels) == len(few.views[0].drawn) == 3
    np.testing.assert_array_equal(few.views[1].x, all_of_them.views[1].x[:3])


def test_that_a_run_of_another_device_is_said_to_have_other_noise(runs, session, monkeypatch):
    monkeypatch.setattr(views.devices, "describe", lambda device: "another CPU")
    shown = session.answer(m.ShowBatch(run=str(runs("simclr").path), step=2))
    assert not shown.exact
    assert any("trained on CPU" in note and "other noise" in note for note in shown.notes)


def test_that_data_which_changed_are_refused_with_a_sentence(runs, session):
    data = open_data("digits")
    session.keep_data(replace(data, hash="0" * 64))
    with pytest.raises(BadRun, match="its content changed"):
        session.answer(m.ShowBatch(run=str(runs("simclr").path), step=2))


def test_that_a_method_without_views_is_refused_with_a_sentence(tmp_path, session):
    list(train(Plan("autoencoder", "digits", {"network": "mlp", "width": 8, "latent": 2}, steps=1, name="a", device="cpu"), tmp_path))
    with pytest.raises(CannotAnswer, match="makes no views"):
        session.answer(m.ShowBatch(run=str(tmp_path / "a")))
    with pytest.raises(CannotAnswer, match="keeps no keys"):
        session.answer(m.ShowQueue(run=str(tmp_path / "a")))


# -- what is compared --------------------------------------------------------------------------------------------------


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """In float64, number by number."""
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(y) ** 2 for y in b))


def plain_vectors(x: np.ndarray, role: str = "") -> np.ndarray:
    """What a method would compare that is easily told: random sums of the pixels, others for each role [B, 8]."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    random = np.random.default_rng([flat.shape[1], *map(ord, role)])
    return flat @ random.normal(size=(flat.shape[1], 8)) + 5


@pytest.fixture
def plainly(session, monkeypatch):
    """Let a checkpoint compare by `plain_vectors`, and have features of its own: a network that has hardly learned finds all alike."""

    def look(run: Run, step: int) -> None:
        method = session.model(str(run.path), step).method

        def compared(x: torch.Tensor, role: str = "") -> torch.Tensor:
            return torch.from_numpy(plain_vectors(x.numpy(), role)).float()

        monkeypatch.setattr(method, "compared", compared, raising=False)
        monkeypatch.setattr(method, "encode", lambda x: compared(x, "features"))

    return look


def test_that_the_matrix_holds_the_cosines_of_all_views_row_by_row(runs, session, plainly):
    run = runs("simclr")
    plainly(run, 2)
    shown = session.answer(m.ShowBatch(run=str(run.path), step=2, count=4))
    assert shown.rows == shown.columns == (0, 1) and shown.matrix.shape == (8, 8) and shown.compares == "projections"
    vectors = np.concatenate([plain_vectors(view.x) for view in shown.views])
    expected = [[cosine(a, b) for b in vectors] for a in vectors]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(shown.matrix, expected, atol=1e-5)
    np.testing.assert_allclose(shown.cosines[:, 0, 1], [expected[i][i + 4] for i in range(4)], atol=1e-5)
    assert shown.before is None


def test_that_it_is_the_checkpoints_own_projections_that_are_compared(runs, session):
    run = runs("simclr")
    shown = session.answer(m.ShowBatch(run=str(run.path), step=2, count=4))
    method: Any = Model(run, 2).method
    with torch.no_grad():
        first, second = (method.compared(torch.from_numpy(view.x.copy())).numpy() for view in shown.views)
    np.testing.assert_allclose(shown.cosines[:, 0, 1], [cosine(a, b) for a, b in zip(first, second, strict=True)], atol=2e-6)


def test_that_a_query_is_compared_with_keys_of_the_other_network(runs, session, plainly):
    run = runs("moco", "queue", queue=24)
    plainly(run, STEPS)
    shown = session.answer(m.ShowBatch(run=str(run.path), step=STEPS, count=3))
    assert [watcher.role for watcher in shown.watchers] == ["query", "key"]
    queries, keys = (plain_vectors(view.x, role) for view, role in zip(shown.views, ("query", "key"), strict=True))
    np.testing.assert_allclose(shown.matrix, [[cosine(q, k) for k in keys] for q in queries], atol=1e-5)


def test_that_teacher_and_student_both_look_at_the_global_crops(runs, session, plainly):
    run = runs("dino")
    plainly(run, 2)
    shown = session.answer(m.ShowBatch(run=str(run.path), step=2, count=3))
    assert [(w.view, w.role) for w in shown.watchers] == [
        (0, "student"), (0, "teacher"), (1, "student"), (1, "teacher"), (2, "student"), (3, "student"),
    ]  # fmt: skip
    a, b = (shown.watchers[place] for place in shown.pair)
    assert (a.role, b.role) == ("teacher", "student") and a.view != b.view
    teacher, student = plain_vectors(shown.views[1].x, "teacher"), plain_vectors(shown.views[2].x, "student")
    np.testing.assert_allclose(shown.cosines[:, 3, 4], [cosine(t, s) for t, s in zip(teacher, student, strict=True)], atol=1e-5)


def test_that_the_queue_says_how_many_steps_old_its_keys_are(runs, session):
    run = runs("moco", "queue", queue=24)
    ages = session.answer(m.ShowQueue(run=str(run.path), step=1)).ages
    assert sorted(ages.tolist()) == [-1] * 12 + [0] * 12  # one batch of twelve has joined
    shown = session.answer(m.ShowBatch(run=str(run.path), step=1))
    assert shown.queue == 24
    assert sorted(session.answer(m.ShowQueue(run=str(run.path), step=STEPS)).ages.tolist()) == [0] * 12 + [1] * 12


def test_that_another_pair_can_be_compared(runs, session):
    run = runs("simclr")
    shown = session.answer(m.ShowBatch(run=str(run.path), step=2, count=3, pair=(1, 1)))
    assert shown.pair == (1, 1) and shown.matrix.shape == (3, 3)
    np.testing.assert_allclose(np.diag(shown.matrix), 1, atol=1e-6)


# -- other settings ----------------------------------------------------------------------------------------------------


def test_that_a_changed_strength_leaves_all_other_draws_and_the_run_as_they_were(runs, session):
    run = runs("simclr", "colour", data="shapes:400")
    asked = {"run": str(run.path), "step": 2, "count": 8}
    before = session.answer(m.ShowBatch(**asked))
    manifest = (run.path / "manifest.json").read_bytes()
    after = session.answer(m.ShowBatch(**asked, settings={"hue": 0.5, "grey": 0.0}))
    for view, same in zip(after.views, before.views, strict=True):
        for drawn, former in zip(view.drawn, same.drawn, strict=True):
            assert replace(drawn, hue=0.0, grey=False) == replace(former, hue=0.0, grey=False)
            assert drawn.hue == pytest.approx(5 * former.hue, rel=1e-5) and not drawn.grey
    assert after.before is not None
    np.testing.assert_array_equal(after.before, before.cosines[:, 0, 1])
    assert not np.array_equal(after.cosines[:, 0, 1], after.before)
    again = session.answer(m.ShowBatch(**asked))
    np.testing.assert_array_equal(again.views[0].x, before.views[0].x)
    assert (run.path / "manifest.json").read_bytes() == manifest
    fresh = QuerySession().answer(m.ShowBatch(**asked, settings={"hue": 0.5}))  # nobody had asked before
    np.testing.assert_allclose(fresh.before, after.before, atol=1e-6)


def test_that_all_switched_off_leaves_the_originals(runs, session):
    off = {"crop_least": 1.0, "crop_most": 1.0, "flip": 0.0, "jitter": 0.0, "grey": 0.0}
    shown = session.answer(m.ShowBatch(run=str(runs("simclr").path), step=2, settings=off))
    for view in shown.views:
        np.testing.assert_array_equal(view.x, shown.originals.astype(np.float32) / 255)
    np.testing.assert_allclose(shown.cosines[:, 0, 1], 1, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"width": 8}, "no setting of how SimCLR makes its views"), ({"hue": 3.0}, "from 0 to 0.5"), ({"nothing": 1}, "no setting")],
)
def test_that_settings_which_are_none_of_the_augmentation_are_refused(runs, session, settings, words):
    with pytest.raises(CannotAnswer, match=words):
        session.answer(m.ShowBatch(run=str(runs("simclr").path), step=2, settings=settings))


def test_that_a_draw_is_told_in_plain_numbers():
    n = 2
    values = {"flipped": torch.tensor([True, False]), "grey": torch.tensor([False, True]), "jittered": torch.tensor([True, True])}
    floats = {name: torch.tensor([0.5, 2.0]) for name in ("angle", "brightness", "contrast", "saturation", "hue", "sigma")}
    boxes = {"box": torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]), "hole": torch.zeros(2, 4)}
    first, second = views.draws_in_numbers(Draw(**values, **floats, **boxes, solarized=torch.tensor([False, False])), n)
    assert (first.box, first.flipped, first.grey, first.hue) == ((1, 2, 3, 4), True, False, 0.5)
    assert (second.box, second.flipped, second.sigma, second.hole) == ((5, 6, 7, 8), False, 2.0, (0, 0, 0, 0))
    assert type(first.flipped) is bool and type(first.box[0]) is int


# -- invariance --------------------------------------------------------------------------------------------------------


def test_that_strength_nothing_is_the_image_itself_for_every_transform(runs, session):
    run = runs("simclr", "colour", data="shapes:400")
    asked = {"run": str(run.path), "step": 2, "picture": m.PictureRef("test image 3", index=3)}
    first = session.answer(m.MeasureInvariance(**asked))
    assert first.transform.name == "brightness" and len(first.transforms) == 11
    for name in first.transforms:
        told = session.answer(m.MeasureInvariance(**asked, transform=name, count=5))
        assert told.strengths[0] == 0 and told.strengths[-1] == np.float32(told.transform.most)
        assert len(told.strengths) == (2 if told.transform.switch else 5)
        assert told.cosines[0] == pytest.approx(1, abs=1e-5) and told.deviations[0] == pytest.approx(0, abs=1e-5)
        np.testing.assert_array_equal(told.images[0], told.seen)
        assert not np.array_equal(told.images[-1], told.seen)


def test_that_the_curve_is_the_mean_over_both_ways(runs, session, plainly):
    run = runs("simclr")
    plainly(run, 2)
    told = session.answer(
        m.MeasureInvariance(run=str(run.path), step=2, picture=m.PictureRef("", index=5), transform="brightness", count=3)
    )
    x = open_data("digits").splits["valid"].images[5].astype(np.float64) / 255
    own, *changed = plain_vectors(np.stack([x, np.clip(0.5 * x, 0, 1), np.clip(1.5 * x, 0, 1)]))
    both = [cosine(own, vector) for vector in changed]
    assert told.cosines[1] == pytest.approx(np.mean(both), abs=1e-5)
    assert told.deviations[1] == pytest.approx(np.std(both), abs=1e-5) and told.deviations[1] > 1e-4
    probe = run.probe()["images"]
    held_out = plain_vectors(probe[[place * len(probe) // 64 for place in range(64)]] / 255)
    assert told.others == pytest.approx(np.mean([cosine(own, other) for other in held_out]), abs=1e-5)


def test_that_features_can_be_compared_in_place_of_projections(runs, session, plainly):
    run = runs("simclr")
    plainly(run, 2)
    asked = {"run": str(run.path), "step": 2, "picture": m.PictureRef("", index=5), "transform": "flip"}
    x = open_data("digits").splits["valid"].images[5][None] / 255
    for by, role in (("projections", ""), ("features", "features")):
        told = session.answer(m.MeasureInvariance(**asked, by=by))
        assert told.by == by and told.choices == ("projections", "features")
        own, mirrored = (plain_vectors(one, role)[0] for one in (x, x[..., ::-1]))
        assert told.cosines[1] == pytest.approx(cosine(own, mirrored), abs=1e-5)


def test_that_each_transform_does_what_its_name_says():
    x = torch.from_numpy(np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32))
    assert torch.equal(invariance.stronger(x, "flip", 1.0, 4, 0)[0], x[0].flip(2))
    assert torch.equal(invariance.stronger(x, "solarize", 1.0, 4, 0)[0], torch.where(x > 0.5, 1 - x, x)[0])
    grey = invariance.stronger(x, "grey", 1.0, 4, 0)[0]
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[1], grey[2])
    turned = invariance.stronger(x, "rotation", 90.0, 4, 0)
    assert torch.allclose(turned[1], torch.rot90(x[0], 1, (1, 2)), atol=1e-5)
    assert torch.allclose(turned[0], torch.rot90(x[0], -1, (1, 2)), atol=1e-5)
    holes = invariance.stronger(x, "cut-out", 0.5, 5, 0)
    assert len(holes) == 5 and ((holes == 0.5).all(1).sum((1, 2)) == 64).all()
    crops = invariance.stronger(x, "crop", 0.75, 5, 0)  # a quarter of the area: 8 × 8 pixels somewhere
    assert len({crop.numpy().tobytes() for crop in crops}) > 1
    assert torch.allclose(invariance.stronger(x, "hue", 1 / 3, 1, 0)[1], x[0][[2, 0, 1]], atol=1e-5)  # red becomes green
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(invariance.stronger(flat, "blur", 2.0, 1, 0), flat)


def test_that_grey_images_are_not_asked_about_their_colours(runs, session):
    told = session.answer(m.MeasureInvariance(run=str(runs("simclr").path), picture=m.PictureRef("", index=0)))
    assert not {"saturation", "hue", "grey"} & set(told.transforms) and len(told.transforms) == 8


def test_that_a_dropped_file_is_adapted_and_says_how(runs, session, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    told = session.answer(
        m.MeasureInvariance(run=str(runs("simclr").path), picture=m.PictureRef("photo", path=str(tmp_path / "photo.png")))
    )
    assert told.seen.shape == (1, 8, 8) and told.notes and told.label == "photo"


# -- riddles -----------------------------------------------------------------------------------------------------------


class Riddle(Method):
    """Answers from the pictures themselves: no training needed."""

    Config = Training
    name, title, family, source, summary = "riddle", "Riddle", "", "", ""
    permutations: ClassVar = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])
    side = 2

    def __init__(self, config: Any = None, data: DataSpec | None = None) -> None:
        super().__init__(config or Training(), data or DataSpec((1, 8, 8)))
        self.weight = nn.Parameter(torch.zeros(1))

    def shuffled(self, x: torch.Tensor, p: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        parts = [x[:, :, r : r + 4, c : c + 4] for r in (0, 4) for c in (0, 4)]
        put = [parts[int(i)] for i in self.permutations[int(p)]]
        return torch.cat([torch.cat(put[:2], 3), torch.cat(put[2:], 3)], 2)

    def answers(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.softmax(picture.flatten(1)[:, : 4 if self.puzzle == "rotation" else 3], 1)

    def fill(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return torch.where(hidden, torch.full_like(x, 0.5), x)


@pytest.fixture
def riddle(runs, session, monkeypatch):
    """A run whose checkpoint is looked at through a method of riddles of some kind."""

    def of(kind: str) -> Riddle:
        model = session.model(str(runs("simclr").path), 2)
        method = type("Riddle", (Riddle,), {"puzzle": kind})()
        monkeypatch.setattr(model, "method", method)
        return method

    return of


def pose(session: QuerySession, runs: Any, number: int = 0) -> m.PuzzlePosed:
    return session.answer(m.PosePuzzle(run=str(runs("simclr").path), step=2, number=number))


def test_that_a_turned_validation_image_is_a_riddle_with_the_methods_answer(runs, session, riddle):
    method = riddle("rotation")
    held_out = open_data("digits").splits["valid"]
    posed = [pose(session, runs, number) for number in range(12)]
    assert {one.answer for one in posed} == {0, 1, 2, 3} and len({one.index for one in posed}) > 6
    for one in posed:
        np.testing.assert_array_equal(one.original, held_out.images[one.index])
        np.testing.assert_array_equal(one.picture, np.rot90(one.original, one.answer, (1, 2)))
        assert one.label == str(held_out.labels[one.index])
        np.testing.assert_allclose(
            one.probabilities, method.answers(torch.from_numpy(one.picture.copy())[None].float() / 255)[0], atol=1e-6
        )
    again = QuerySession()
    model = again.model(str(runs("simclr").path), 0)  # at another checkpoint
    model.method = method
    same = again.answer(m.PosePuzzle(run=str(runs("simclr").path), step=0, number=3))
    assert (same.index, same.answer) == (posed[3].index, posed[3].answer)


def test_that_tiles_lie_as_the_permutation_says(runs, session, riddle):
    method = riddle("jigsaw")
    one = next(one for one in (pose(session, runs, number) for number in range(20)) if one.answer == 2)
    assert one.side == 2 and one.permutations.tolist() == method.permutations.tolist()
    for place, tile in enumerate(one.permutations[one.answer]):
        row, column = divmod(place, 2)
        from_row, from_column = divmod(int(tile), 2)
        np.testing.assert_array_equal(
            one.picture[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4],
            one.original[:, 4 * from_row : 4 * from_row + 4, 4 * from_column : 4 * from_column + 4],
        )


def test_that_what_is_filled_in_is_compared_with_the_truth_where_it_was_hidden(runs, session, riddle):
    riddle("mask")
    assert pose(session, runs).kind == "mask"
    hidden = np.zeros((8, 8), bool)
    hidden[2:5, 3:6] = True
    told = session.answer(m.FillMask(run=str(runs("simclr").path), step=2, index=4, hidden=hidden))
    truth = open_data("digits").splits["valid"].images[4][0].astype(float)
    seen = [truth[r, c] for r in range(8) for c in range(8) if not hidden[r, c]]
    missed = [(128 - truth[r, c]) ** 2 for r in range(8) for c in range(8) if hidden[r, c]]
    plain = [(np.mean(seen) - truth[r, c]) ** 2 for r in range(8) for c in range(8) if hidden[r, c]]
    assert told.error == pytest.approx(math.sqrt(np.mean(missed)))
    assert told.plain == pytest.approx(math.sqrt(np.mean(plain)))
    np.testing.assert_array_equal(told.filled[0][~hidden], truth[~hidden])


@pytest.mark.parametrize("hidden", [np.zeros((8, 8), bool), np.ones((8, 8), bool), np.ones((4, 4), bool)])
def test_that_nothing_everything_and_another_shape_cannot_be_hidden(runs, session, riddle, hidden):
    riddle("mask")
    with pytest.raises(CannotAnswer, match="mark some blocks"):
        session.answer(m.FillMask(run=str(runs("simclr").path), step=2, hidden=hidden))


def test_that_a_method_without_a_riddle_says_so(runs, session):
    with pytest.raises(CannotAnswer, match="no puzzle"):
        session.answer(m.PosePuzzle(run=str(runs("simclr").path), step=2))


@pytest.mark.parametrize("name", [name for name in VIEWED if all_methods()[name].puzzle])
def test_that_every_method_with_a_riddle_answers_it(runs, session, name):
    run = runs(name)
    posed = session.answer(m.PosePuzzle(run=str(run.path), step=2))
    assert posed.kind == all_methods()[name].puzzle
    if posed.kind == "mask":
        hidden = np.zeros((8, 8), bool)
        hidden[:4, :4] = True
        told = session.answer(m.FillMask(run=str(run.path), step=2, index=posed.index, hidden=hidden))
        np.testing.assert_array_equal(told.filled[:, ~hidden], posed.original[:, ~hidden])
        return
    assert posed.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert 0 <= posed.answer < len(posed.probabilities)
    if posed.kind == "jigsaw":
        assert len(posed.permutations) == len(posed.probabilities)
        assert posed.picture.shape[1] % posed.side == 0
        assert all(sorted(row) == list(range(posed.side**2)) for row in posed.permutations.tolist())
