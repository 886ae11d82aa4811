"""What the Likelihood pane and the verbs `score` and `ood` are told, from tiny runs; against the detectors asked directly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import messages as m
from engine.common import significance
from engine.data import adapt, open_data, picture_from_array
from engine.data.splits import all_images, spread
from engine.detectors.base import ImageBatch, of
from engine.detectors.code_length import png_bytes
from engine.detectors.likelihood import Iwae
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from engine.training.loop import train
from engine.training.plan import Plan
from engine.transforms.corruptions import KINDS, BadCorruption, corrupt
from tests.kit.scoring import HELD_OUT, ODD, SMALL, ask, calibrate, judge, only, train_scored


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return train_scored(tmp_path_factory.mktemp("runs"))


def test_that_calibration_scores_validation_images_that_were_never_trained_on(runs):
    (told,) = calibrate(runs / "vae")
    ready = [info.name for info in told.detectors if not info.missing]
    assert set(told.known) == set(ready) > {"elbo", "iwae", "typicality", "input_complexity", "likelihood_regret", "knn", "mahalanobis"}
    assert all(scores.shape == (HELD_OUT,) and np.isfinite(scores).all() for scores in told.known.values())
    valid = open_data("digits").splits["valid"]
    images = np.asarray(valid.images[spread(valid, HELD_OUT)])
    method = Model(Run.open(runs / "vae"), 8).method
    direct = torch.cat([of(Iwae, method, samples=8).score(ImageBatch(method, image[None], 8)) for image in images])
    assert told.known["iwae"] == pytest.approx(direct.numpy(), rel=1e-5)
    assert told.weights == Run.open(runs / "vae").manifest.checkpoints[-1].files["model.safetensors"].sha256


def test_that_a_second_look_takes_the_kept_scores_and_they_are_the_same_numbers(runs, monkeypatch):
    (first,) = calibrate(runs / "vae")
    monkeypatch.setattr("engine.detectors.base.density_steps", lambda *_: pytest.fail("it computed again"))
    (second,) = calibrate(runs / "vae")
    assert all(np.array_equal(first.known[name], second.known[name]) for name in first.known)


def test_that_a_damaged_kept_score_is_computed_again(runs):
    (first,) = calibrate(runs / "vae")
    files = list((runs / "vae" / "scores").glob("*.npz"))
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    (second,) = calibrate(runs / "vae")
    for name in first.known:
        assert second.known[name] == pytest.approx(first.known[name], rel=1e-6), name
    assert not any("scores" in fault for fault in Run.open(runs / "vae").verify())


def test_that_kept_scores_do_not_disturb_the_run_and_its_folder(runs):
    calibrate(runs / "vae")
    run = Run.open(runs / "vae")
    assert run.verify() == [] and not run.fault
    assert {r.name for r in list_runs(runs)} == {"vae", "twin", "autoencoder"}


def test_that_without_write_permission_all_works_and_nothing_is_kept(runs, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(13, "no")

    monkeypatch.setattr("engine.storage.atomic_io.write_file", refuse)
    (told,) = calibrate(runs / "autoencoder")
    assert told.known


def test_that_a_judgement_says_value_p_value_and_verdict_of_every_ready_detector(runs):
    session = QuerySession()
    (told,) = judge(runs / "vae", ODD, session=session)
    (known,) = calibrate(runs / "vae")
    assert {score.detector for score in told.scores} == set(known.known)
    for score in told.scores:
        assert score.p_value == (1 + (known.known[score.detector] >= score.score).sum()) / (HELD_OUT + 1)
        told_of = significance.verdict(score.p_value, HELD_OUT)
        assert (score.level, score.verdict) == (told_of.level, told_of.words)
        assert (score.calibration_images, score.calibration_groups) == (HELD_OUT, HELD_OUT)
        assert score.p_floor == 1 / (HELD_OUT + 1)
    (combined,) = told.combined
    assert combined.p_value == min(1, len(told.scores) * min(score.p_value for score in told.scores))
    assert combined.level == "none" and f"at least {20 * len(told.scores) - 1} needed" in combined.verdict
    values = {score.detector: score for score in told.scores}
    assert values["iwae"].value == -values["iwae"].score
    seen, notes = adapt(picture_from_array(ODD.image), (1, 8, 8))
    assert np.array_equal(told.seen[str(runs / "vae")], seen)
    assert told.notes == notes
    assert told.png_bytes == png_bytes(seen)


def test_that_a_score_does_not_depend_on_the_pictures_beside_it(runs):
    pictures = [m.PictureRef(label=str(i), index=i, split="test") for i in range(11)]
    together = judge(runs / "vae", *pictures)
    alone = [judge(runs / "vae", picture)[0] for picture in pictures[3:6]]
    for a, b in zip(together[3:6], alone, strict=True):
        for one, other in zip(a.scores, b.scores, strict=True):
            assert one.score == pytest.approx(other.score, rel=2e-3, abs=2e-3), one.detector


def test_that_unreadable_files_are_listed_with_the_reason_and_stop_nothing(runs, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.full((9, 9), 40, np.uint8)).save(tmp_path / "grey.png")
    names = ["text.png", "grey.png", "gone.png"]
    told = judge(runs / "vae", *(m.PictureRef(label=name, path=str(tmp_path / name)) for name in names))
    assert [bool(event.error) for event in told] == [True, False, True]
    assert "text" in told[0].error and told[1].scores and not told[0].scores


def test_that_several_runs_judge_one_picture_and_two_seeds_make_an_ensemble(runs):
    pair = tuple((str(runs / name), None) for name in ("vae", "twin"))
    calibrated = only(ask(m.Calibrate(job="c", runs=pair, limit=HELD_OUT, samples=8)), m.Calibrated)
    help_text = next(info.help for info in calibrated[0].detectors if info.name == "waic")
    assert "2 runs of different seeds: twin" in help_text
    (told,) = only(ask(m.ScoreImages(job="j", runs=pair, pictures=(ODD,), limit=HELD_OUT, samples=8)), m.ImageScored)
    assert {score.run for score in told.scores} == {run for run, _ in pair}


def waic_of(path: Path, *others: Path) -> m.DetectorInfo:
    work = m.Calibrate(job="c", runs=tuple((str(one), None) for one in (path, *others)), limit=12, samples=4)
    return next(info for info in only(ask(work), m.Calibrated)[0].detectors if info.name == "waic")


def test_that_an_ensemble_is_of_runs_that_differ_in_their_seed_alone(tmp_path):
    """Other steps of one run are none, nor are runs of other settings: their log p is of something else."""
    small = SMALL | {"likelihood": "bernoulli"}
    made = {"own": (small, 0), "again": (small, 0), "wider": (small | {"width": 12}, 1), "grey": (SMALL, 2)}
    for name, (settings, seed) in made.items():
        list(train(Plan("vae", "digits", settings, steps=8, seed=seed, name=name, device="cpu"), tmp_path))
    alone = waic_of(tmp_path / "own")
    assert "nothing but their seed" in alone.missing and "repeat ×3" in alone.missing and alone.remedy == "repeat"
    told = waic_of(tmp_path / "own", tmp_path / "again", tmp_path / "wider", tmp_path / "grey")
    assert "again has the same seed." in told.missing and "wider differs in width." in told.missing
    assert "grey differs in likelihood." in told.missing
    list(train(Plan("vae", "digits", small, steps=6, seed=3, name="short", device="cpu"), tmp_path))
    list(train(Plan("vae", "digits", small, steps=8, seed=4, name="left", device="cpu"), tmp_path))
    with RunWriter.resume(tmp_path / "left") as writer:
        writer.set_status("stopped")
    for more in ((), (tmp_path / "short", tmp_path / "left")):  # beside the run, and looked at together
        told = waic_of(tmp_path / "own", *more)
        assert told.missing.count("short was trained for 6 steps, this one for 8 steps.") == 1
        assert told.missing.count("left is not done (stopped).") == 1 and "nothing but their seed" in told.missing
    assert "left itself is not done (stopped)." in waic_of(tmp_path / "left", tmp_path / "own").missing
    list(train(Plan("vae", "digits", small, steps=8, minutes=60, seed=3, name="peer", device="cpu"), tmp_path))
    beside = waic_of(tmp_path / "own")
    assert not beside.missing and "2 runs of different seeds: peer and this one" in beside.help and beside.density == "none"


def test_that_patches_of_one_picture_are_one_piece_of_evidence(tmp_path):
    list(train(Plan("vae", "photo-patches", SMALL, steps=2, name="run", device="cpu"), tmp_path))
    told = judge(tmp_path / "run", ODD)[0]
    valid = open_data("photo-patches").splits["valid"]
    assert valid.groups is not None
    own = valid.groups[spread(valid, HELD_OUT)]
    groups = len(set(own.tolist()))
    assert groups < HELD_OUT
    (known,) = calibrate(tmp_path / "run")
    assert known.groups is not None and known.groups.tolist() == own.tolist()
    for score in told.scores:
        assert score.calibration_groups == groups and score.calibration_images == HELD_OUT and score.p_floor == 1 / (groups + 1)
        shares = [np.mean(known.known[score.detector][own == group] >= score.score) for group in set(own.tolist())]
        assert score.p_value == pytest.approx((1 + sum(shares)) / (groups + 1))
    assert f"{groups} groups (of {HELD_OUT} images), at least" in told.combined[0].verdict
    again = judge(tmp_path / "run", ODD)[0]  # from the disk
    assert again.combined == told.combined


def test_that_all_images_of_a_set_without_test_images_of_its_own_are_scored(runs, tmp_path):
    for i in range(30):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    asked = {"job": "d", "run": str(runs / "autoencoder"), "limit": 2000}
    (whole,) = only(ask(m.ScoreData(data=str(tmp_path), **asked)), m.DataScored)
    assert (whole.split, len(whole.indices), whole.total) == ("all", 30, 30) and len(set(whole.names)) == 30
    (own,) = only(ask(m.ScoreData(**asked)), m.DataScored)
    assert (own.split, own.total) == ("test", len(open_data("digits").splits["test"]))
    (valid,) = only(ask(m.ScoreData(split="valid", **asked)), m.DataScored)
    assert (valid.split, valid.total) == ("valid", len(open_data("digits").splits["valid"]))
    place = m.PictureRef(label="x", data=str(tmp_path), index=int(whole.indices[7]), split="all")
    (dropped,) = judge(runs / "autoencoder", place)
    assert {s.detector: s.score for s in dropped.scores} == pytest.approx({name: v[7] for name, v in whole.scores.items()}, rel=2e-3)


def test_that_a_question_never_waits_for_a_data_set_that_is_not_open(runs, monkeypatch):
    """Opening a folder of many files takes a minute: only a job, which can be stopped, may do that."""
    query = m.InspectImage(run=str(runs / "vae"), picture=ODD)

    def answered(session: QuerySession) -> m.ImageInspected:
        with monkeypatch.context() as closed:
            closed.setattr("engine.queries.session.read_data", lambda *_: pytest.fail("it opened the data within a question"))
            told = session.answer(query)
        assert isinstance(told, m.ImageInspected)
        return told

    session = QuerySession()
    told = answered(session)
    assert told.nearest_pending and "follow" in told.nearest_missing
    judge(runs / "vae", m.PictureRef(label="t", index=2, split="test"), session=session)  # a test image: opened as a part of the job
    session = QuerySession()
    ask(m.ReadTrainingImages(job="r", runs=((str(runs / "vae"), None),)), session)
    told = answered(session)
    assert not told.nearest_pending and len(told.nearest)


def test_that_a_picture_is_read_without_a_score_and_without_opening_a_data_set(runs, tmp_path, monkeypatch):
    session = QuerySession()
    monkeypatch.setattr("engine.queries.session.read_data", lambda *_: pytest.fail("it opened the data within a question"))
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "notes.png").write_text("no image")
    told = [
        session.answer(m.ReadPicture(run=str(runs / "vae"), picture=picture))
        for picture in (
            m.PictureRef(label="a", path=str(tmp_path / "a.png")),
            m.PictureRef(label="notes", path=str(tmp_path / "notes.png")),
            m.PictureRef(label="t", index=2, split="test"),
        )
    ]
    read, refused, later = (one for one in told if isinstance(one, m.PictureRead))
    assert read.original is not None and np.array_equal(read.original, pixels) and not read.error
    assert refused.original is None and "notes.png" in refused.error
    assert later.original is None and not later.error


def test_that_an_encoder_without_a_density_has_its_features_only(runs):
    (told,) = calibrate(runs / "autoencoder")
    assert {info.name for info in told.detectors} == {"mahalanobis", "relative_mahalanobis", "unit_mahalanobis", "knn"}


def test_that_the_lane_is_never_kept_for_long(runs):
    """No stretch between two yields holds a whole data set: there are many more yields than events."""
    session = QuerySession()
    steps = list(session.work(m.ScoreData(job="d", run=str(runs / "vae"), data="digits", limit=30, samples=8)))
    assert steps.count(None) > 30


def test_that_the_judging_of_a_data_set_is_kept_and_adapts_like_a_drop(runs):
    work = m.ScoreData(job="d", run=str(runs / "vae"), data="shapes:40", limit=4, samples=8)
    (told,) = only(ask(work), m.DataScored)
    images = all_images(open_data("shapes:40")).take(np.arange(40))
    expected = [adapt(picture_from_array(images[i].transpose(1, 2, 0)), (1, 8, 8))[0] for i in told.indices]
    assert np.array_equal(told.images, np.stack(expected))
    (dropped,) = judge(runs / "vae", m.PictureRef(label="x", image=images[told.indices[0]].transpose(1, 2, 0)))
    for score in dropped.scores:
        assert told.scores[score.detector][0] == pytest.approx(score.score, rel=2e-3, abs=2e-3)
    (again,) = only(ask(work), m.DataScored)
    assert all(np.array_equal(told.scores[name], again.scores[name]) for name in told.scores)


@pytest.mark.parametrize("kind", KINDS)
def test_that_a_corruption_begins_with_the_image_itself_and_goes_somewhere(kind):
    image = open_data("digits").splits["test"].images[0]
    path = [corrupt(image, kind, s, seed=3) for s in (0.0, 0.1, 0.5, 1.0)]
    assert np.array_equal(path[0], image)
    assert all(step.shape == image.shape and step.dtype == np.uint8 for step in path)
    distances = [float(np.square(step.astype(float) - image).mean()) for step in path]
    if kind == "rotation":
        assert distances[1] > 0 and np.array_equal(path[3], image[:, ::-1, ::-1])
    else:
        assert distances[0] == 0 < distances[1] < distances[2] < distances[3]
    assert np.array_equal(path[2], corrupt(image, kind, 0.5, seed=3))


def test_that_an_unknown_corruption_is_answered_with_the_known_ones():
    with pytest.raises(BadCorruption, match="blur, noise, brightness, rotation"):
        corrupt(np.zeros((1, 8, 8), np.uint8), "rain", 0.5)


def test_that_the_path_of_a_corruption_grows_strength_by_strength(runs):
    work = m.Corrupt(
        job="k",
        run=str(runs / "vae"),
        picture=m.PictureRef(label="t", index=2, split="test"),
        kind="noise",
        count=4,
        limit=HELD_OUT,
        samples=8,
    )
    path = only(ask(work), m.Corrupted)
    assert [len(event.strengths) for event in path] == [1, 2, 3, 4]
    assert path[-1].strengths.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert all(len(values) == 4 for values in path[-1].scores.values())
    (plain,) = judge(runs / "vae", m.PictureRef(label="t", index=2, split="test"))
    for score in plain.scores:
        assert path[-1].scores[score.detector][0] == pytest.approx(score.score, rel=1e-5, abs=1e-5)


def test_that_looking_closer_finds_the_image_itself_among_the_training_images(runs):
    train_split = open_data("digits").splits["train"]
    picture = m.PictureRef(label="own", image=train_split.images[17, 0])
    query = m.InspectImage(run=str(runs / "vae"), picture=picture, nearest=3, stamp=5)
    shutil.rmtree(runs / "vae" / "scores", ignore_errors=True)
    session = QuerySession()
    early = session.answer(query)
    assert isinstance(early, m.ImageInspected) and not len(early.nearest) and "as soon as" in early.nearest_missing
    ask(m.Calibrate(job="c", runs=((query.run, None),), limit=HELD_OUT, samples=8), session)
    told = session.answer(query)
    assert isinstance(told, m.ImageInspected) and not told.nearest_missing
    later = QuerySession()
    ask(m.ReadTrainingImages(job="r", runs=((query.run, None),)), later)
    stored = later.answer(query)  # from the run's folder
    assert isinstance(stored, m.ImageInspected) and np.array_equal(stored.nearest, told.nearest)
    assert (told.stamp, told.nearest_by, told.bits) == (5, "features", None)
    assert np.array_equal(told.nearest[0], train_split.images[17])
    assert told.nearest_distances[0] == pytest.approx(0, abs=1e-5)
    assert (np.diff(told.nearest_distances) >= 0).all()
    assert told.reconstruction is not None and told.difference is not None
    assert np.array_equal(told.difference, np.abs(told.seen.astype(int) - told.reconstruction.astype(int)))


def test_that_pixels_find_neighbours_where_there_are_no_features():
    from engine.queries.image_inspection import nearest_pixels

    images = np.random.default_rng(0).integers(0, 256, (90, 1, 5, 5), dtype=np.uint8)
    seen = np.random.default_rng(1).integers(0, 256, (1, 5, 5), dtype=np.uint8)
    places = np.sort(np.random.default_rng(2).permutation(90)[:60])
    distances, found = nearest_pixels(seen, images, places, 4, chunk=16)
    slow = np.sqrt(((images[places].astype(float) - seen) ** 2).sum((1, 2, 3))) / 255
    assert found[0].tolist() == np.argsort(slow)[:4].tolist()
    assert distances[0].numpy() == pytest.approx(np.sort(slow)[:4])


def test_that_a_model_of_text_is_told_apart(tmp_path):
    list(train(Plan("text_rnn", "pydoc-text", {"width": 8, "context": 16}, steps=1, name="text", device="cpu"), tmp_path))
    with pytest.raises(CannotAnswer, match="model of text"):
        calibrate(tmp_path / "text")


@pytest.mark.parametrize("name", ["pixel_cnn", "classifier"])
def test_that_other_kinds_of_methods_have_their_scores(name, tmp_path):
    list(train(Plan(name, "digits", {"width": 8}, steps=2, name="run", device="cpu"), tmp_path))
    work = m.Calibrate(job="c", runs=((str(tmp_path / "run"), None),), limit=12)
    (told,) = only(ask(work), m.Calibrated)
    wanted = {
        "pixel_cnn": {"log_likelihood", "input_complexity", "typicality"},
        "classifier": {"msp", "max_logit", "energy", "odin"},
    }
    assert wanted[name] <= set(told.known)
    closer = QuerySession().answer(m.InspectImage(run=str(tmp_path / "run"), picture=m.PictureRef(label="t", index=0, split="test")))
    assert isinstance(closer, m.ImageInspected)
    if name == "pixel_cnn":
        (judged,) = judge(tmp_path / "run", m.PictureRef(label="t", index=0, split="test"))
        value = next(score.value for score in judged.scores if score.detector == "log_likelihood")
        assert closer.bits is not None and closer.bits.sum() / 64 == pytest.approx(value, rel=1e-4)
