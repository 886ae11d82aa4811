"""What the Embedding pane and the verb `embed` are told, from tiny runs; the UMAP's process is shared and must be gone at the end."""

from __future__ import annotations

import csv
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from engine import messages as m
from engine.bases.classical import agreement
from engine.cli import main
from engine.data import BadData, adapt, open_data, picture_from_array
from engine.data.splits import spread
from engine.detectors.base import ImageBatch
from engine.queries.embedding import EmbeddingMaps
from engine.queries.feature_cache import BoundedCache
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from engine.umap import projection
from engine.worker.engine import Engine

SMALL = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}
PLANE = m.MapSettings(kind="pca")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(autouse=True)
def compile_once(compiled, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", compiled)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    list(train(Plan("vae", "digits", SMALL, steps=40, name="vae", device="cpu"), root))
    list(train(Plan("autoencoder", "digits", SMALL, steps=4, name="autoencoder", device="cpu"), root))
    list(train(Plan("classifier", "digits", {"width": 8}, steps=30, name="classifier", device="cpu"), root))
    return root


@pytest.fixture(scope="module")
def shared(compiled, runs):
    """One explorer whose helper process lives as long as this file's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", compiled)
        session = QuerySession()
        room = session.room(EmbeddingMaps)
        room.helper.start()
    yield session
    room.close()


def subset(path: Path, limit: int = 80, **more) -> m.Subset:
    return m.Subset(str(path), limit=limit, **more)


def ask(session: QuerySession, work: m.Work) -> list[m.Event]:
    return [event for event in session.work(work) if event is not None]


def drawn(session: QuerySession, which: m.Subset, settings: m.MapSettings = PLANE, warm: bool = True) -> m.Embedded:
    (told,) = [e for e in ask(session, m.Embed(job="e", subset=which, settings=settings, warm=warm)) if isinstance(e, m.Embedded)]
    return told


def coloured(session: QuerySession, which: m.Subset, by: str, **more) -> m.PointsColored:
    (told,) = [e for e in ask(session, m.ColorPoints(job="c", subset=which, by=by, **more)) if isinstance(e, m.PointsColored)]
    return told


def features_of(path: Path, images: np.ndarray, step: int | None = None) -> np.ndarray:
    with torch.no_grad():
        return Model(Run.open(path), step).method.encode(torch.from_numpy(images.copy()).float() / 255).double().numpy()


# -- maps --------------------------------------------------------------------------------------------------------------


def test_that_a_pca_map_is_that_of_scikit_learn_on_the_features_of_the_images_it_names(runs):
    told = drawn(QuerySession(), subset(runs / "vae"))
    split = open_data("digits").splits["valid"]
    assert np.array_equal(told.indices, spread(split, 80))
    assert np.array_equal(told.images, split.images[told.indices]) and np.array_equal(told.labels, split.labels[told.indices])
    assert told.names == tuple(split.names[i] for i in told.indices) and len(told.classes) == 10
    features = features_of(runs / "vae", told.images)
    reference = PCA(2).fit(features)
    places = reference.transform(features)
    assert told.places * np.sign((told.places * places).sum(0)) == pytest.approx(places, abs=1e-4)
    assert told.explained == pytest.approx(reference.explained_variance_ratio_, rel=1e-4)
    assert told.subset == replace(subset(runs / "vae"), step=40, data="digits")
    assert (told.features, told.warm) == (4, False)
    apart = np.linalg.norm(features[:, None] - features, axis=2)
    assert told.distances == pytest.approx(np.sort(apart, 1)[:, 1:16], rel=1e-4)
    assert told.neighbours.dtype == np.int32 and told.neighbours.shape == (80, 15)
    assert 0.1 < told.knn_features <= 1 and 0.1 < told.knn_map <= 1 and 0.5 < told.trustworthiness <= 1
    assert 0 < told.survived.mean() <= 1


def test_that_progress_says_what_is_done(shared, runs):
    work = m.Embed(job="e", subset=subset(runs / "vae", 70), settings=m.MapSettings(seed=9), warm=False)
    notes = {event.note for event in ask(shared, work) if isinstance(event, m.Progress)}
    assert {"encoding", "neighbours"} <= notes
    assert any(note.startswith("map, epoch ") and note.endswith(" of 500") for note in notes)


def test_that_the_same_seed_gives_the_same_umap_in_another_explorer_and_another_seed_another(shared, runs):
    settings = m.MapSettings(seed=3)
    first = drawn(shared, subset(runs / "vae"), settings)
    other = QuerySession()
    room = other.room(EmbeddingMaps)
    second = drawn(other, subset(runs / "vae"), settings)
    room.close()
    assert np.array_equal(first.places, second.places)
    assert not np.array_equal(first.places, drawn(shared, subset(runs / "vae"), m.MapSettings(seed=4)).places)
    assert first.trustworthiness > 0.8


def test_that_a_map_at_another_step_begins_from_the_last_one_and_stays_near_it(shared, runs):
    settings = m.MapSettings(seed=1)
    former = drawn(shared, subset(runs / "vae", 250, step=4), settings)
    warm = drawn(shared, subset(runs / "vae", 250, step=40), settings)
    cold = drawn(shared, subset(runs / "vae", 250, step=40), settings, warm=False)
    assert (former.warm, warm.warm, cold.warm) == (False, True, False)
    from_warm = np.linalg.norm(warm.places - former.places, axis=1).mean()
    from_cold = np.linalg.norm(projection.align(cold.places, former.places) - former.places, axis=1).mean()
    assert from_warm < from_cold
    assert warm.trustworthiness > cold.trustworthiness - 0.05


def test_that_a_map_of_other_images_or_settings_or_of_another_run_is_no_beginning(shared, runs):
    drawn(shared, subset(runs / "vae", 60, step=32), m.MapSettings(seed=1))
    assert not drawn(shared, subset(runs / "vae", 61, step=40), m.MapSettings(seed=1)).warm
    assert not drawn(shared, subset(runs / "vae", 60, step=40), m.MapSettings(seed=2)).warm
    assert not drawn(shared, subset(runs / "autoencoder", 60), m.MapSettings(seed=1)).warm


def test_that_a_second_map_and_a_colour_take_the_kept_features(runs, monkeypatch):
    session = QuerySession()
    first = drawn(session, subset(runs / "vae"))
    monkeypatch.setattr("engine.queries.feature_cache.features_of", lambda *_: pytest.fail("it encoded again"))
    again = drawn(session, subset(runs / "vae"), replace(PLANE, neighbours=5))
    assert np.array_equal(first.places, again.places) and again.neighbours.shape == (80, 5)
    coloured(session, subset(runs / "vae"), "clusters")


def test_that_what_is_kept_is_bounded_by_its_size_too(monkeypatch):
    monkeypatch.setattr("engine.queries.feature_cache.KEPT_BYTES", 100)
    kept = BoundedCache(3, lambda array: [array])
    for size in (10, 20, 30, 40):
        kept.keep(size, np.zeros(size, np.uint8))
    assert list(kept) == [20, 30, 40]
    kept.keep(60, np.zeros(60, np.uint8))
    assert list(kept) == [40, 60]
    kept.keep(500, np.zeros(500, np.uint8))
    assert list(kept) == [500]
    shared = np.zeros(90, np.uint8)
    for name in "abc":
        kept.keep(name, shared)
    assert list(kept) == ["a", "b", "c"], "what all of them hold counts once"


def test_that_a_kept_map_needs_no_helper_process(shared, runs, monkeypatch):
    first = drawn(shared, subset(runs / "vae"), m.MapSettings())
    monkeypatch.setattr("engine.queries.embedding.UmapProcess.start", lambda self: pytest.fail("it was started"))
    assert np.array_equal(drawn(shared, subset(runs / "vae"), m.MapSettings()).places, first.places)


def test_that_what_the_window_does_to_its_map_does_not_reach_the_kept_one(runs):
    session = QuerySession()
    first = drawn(session, subset(runs / "vae"))
    first.places[:] = 0
    assert drawn(session, subset(runs / "vae")).places.any()


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("kind", ["pca", "umap"])
def test_that_few_images_have_a_map_too(shared, runs, kind, count):
    told = drawn(shared, subset(runs / "vae", count), m.MapSettings(kind=kind))
    assert told.places.shape == (count, 2) and np.isfinite(told.places).all()
    assert told.neighbours.shape == told.distances.shape == (count, count - 1)
    assert told.survived.shape == (count,)
    assert np.isnan(told.trustworthiness)  # fifteen neighbours are more than half of all: it is not defined
    assert (told.knn_features is None) == (count == 1)


def test_that_features_that_are_no_numbers_are_one_sentence(runs, monkeypatch):
    session = QuerySession()
    method = session.model(str(runs / "vae"), None).method
    monkeypatch.setattr(method, "encode", lambda x: torch.full((len(x), 4), float("nan")))
    with pytest.raises(CannotAnswer, match=r"^vae at step 40 gives features that are not finite numbers.*; choose an earlier step\.$"):
        drawn(session, subset(runs / "vae"))


def test_that_a_collapsed_encoder_has_a_map_that_says_so(shared, runs, monkeypatch):
    monkeypatch.setattr(shared.model(str(runs / "autoencoder"), None).method, "encode", lambda x: torch.ones(len(x), 4))
    told = drawn(shared, subset(runs / "autoencoder", 50), m.MapSettings())
    assert np.isfinite(told.places).all() and "collapsed" in told.note
    assert told.distances.max() == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"kind": "tsne"}, "choose umap or pca"), ({"neighbours": 0}, "1 to 200"), ({"min_dist": 2.0}, "between 0 and 1")],
)
def test_that_impossible_settings_are_refused_in_one_sentence(runs, settings, says):
    with pytest.raises(CannotAnswer, match=says):
        drawn(QuerySession(), subset(runs / "vae"), replace(PLANE, **settings))


def test_that_a_text_and_a_split_that_is_not_there_are_refused(runs):
    with pytest.raises(BadData, match="is a text"):
        drawn(QuerySession(), subset(runs / "vae", data="pydoc-text"))
    with pytest.raises(BadData, match="no images in its split “later”"):
        drawn(QuerySession(), subset(runs / "vae", split="later"))


def test_that_index_name_and_picture_stay_together_where_files_are_broken_grey_or_coloured(runs, tmp_path):
    """Every image is of one colour that its name says."""
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
    for number in range(12):
        folder, value = tmp_path / ("left", "right")[number % 2], 20 * number
        kind = ("L", "RGB")[number % 3 == 0]
        Image.new(kind, (8, 8), value if kind == "L" else (value, value, value)).save(folder / f"shade-{value:03}.png")
        (folder / f"broken-{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    told = drawn(QuerySession(), subset(runs / "vae", 50, data=str(tmp_path), split="train"))
    split = open_data(str(tmp_path)).splits["train"]
    assert len(told.names) == len(told.places) > 5 and not any("broken" in name for name in told.names)
    for point, name in enumerate(told.names):
        shade = int(Path(name).stem.removeprefix("shade-"))
        assert told.images[point].shape == (1, 8, 8) and np.abs(told.images[point].astype(int) - shade).max() <= 1
        assert split.names[told.indices[point]] == name
        assert told.classes[told.labels[point]] == Path(name).parent.name == ("left", "right")[shade // 20 % 2]


# -- stopping ----------------------------------------------------------------------------------------------------------


def helpers() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "engine.umap.child" in " ".join(child.cmdline())}


def test_that_stopping_amid_a_umap_ends_its_process_within_a_second(runs, monkeypatch):
    monkeypatch.setattr(projection, "epochs_for", lambda count, warm: 10_000_000)
    before = helpers()
    job = QuerySession().work(m.Embed(job="e", subset=subset(runs / "vae"), settings=m.MapSettings()))
    while not getattr(next(job), "note", "").startswith("map, epoch 1"):
        pass
    assert len(helpers() - before) == 1
    started = time.perf_counter()
    job.close()
    assert helpers() == before
    assert time.perf_counter() - started < 1


def test_that_a_run_that_is_changed_or_deleted_amid_the_work_does_no_harm(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs / "vae", copy)
    session = QuerySession()
    job = session.work(m.Embed(job="e", subset=subset(copy), settings=PLANE))
    next(job)
    shutil.rmtree(copy)
    assert len([event for event in job if isinstance(event, m.Embedded)]) == 1
    list(train(Plan("vae", "digits", SMALL, steps=40, seed=5, name="copy", device="cpu"), tmp_path))
    again = drawn(session, subset(copy))
    features = features_of(copy, again.images)
    assert again.distances[:, 0] == pytest.approx(np.sort(np.linalg.norm(features[:, None] - features, axis=2), 1)[:, 1], rel=1e-3)


@pytest.mark.parametrize("amid", [False, True])
def test_that_closing_the_engine_leaves_no_process_behind(runs, monkeypatch, amid):
    if amid:
        monkeypatch.setattr(projection, "epochs_for", lambda count, warm: 10_000_000)
    before = helpers()
    engine = Engine(runs)
    engine.start()
    engine.send(m.Embed(job="e", channel="embedding", subset=subset(runs / "vae"), settings=m.MapSettings()))
    until, found = time.monotonic() + 90, False
    while not found and time.monotonic() < until:
        for event in engine.drain():
            found = found or isinstance(event, m.Embedded) or (amid and getattr(event, "note", "").startswith("map, epoch"))
        time.sleep(0.01)
    assert found and helpers() != before
    engine.close()
    assert helpers() == before
    assert not [thread for thread in threading.enumerate() if thread.name == "query lane"]


# -- colours -----------------------------------------------------------------------------------------------------------


def test_that_predictions_are_the_classifiers_and_its_loss_the_cross_entropy(runs):
    session = QuerySession()
    told = coloured(session, subset(runs / "classifier"), "prediction")
    seen = drawn(session, subset(runs / "classifier"))
    method = Model(Run.open(runs / "classifier"), None).method
    logits = torch.cat([ImageBatch(method, image[None]).logits for image in seen.images]).detach()
    assert np.array_equal(told.values, logits.argmax(1).numpy()) and told.classes == seen.classes
    assert told.note == f"{(told.values == seen.labels).mean():.1%} of the predictions are right."
    loss = coloured(session, subset(runs / "classifier"), "loss")
    slow = [float(row.logsumexp(0) - row[label]) for row, label in zip(logits, seen.labels, strict=True)]
    assert loss.values == pytest.approx(slow, rel=1e-4, abs=1e-6) and loss.unit == "nat" and not loss.classes


def test_that_the_loss_of_a_density_is_its_bound_and_of_an_autoencoder_its_error(runs):
    session = QuerySession()
    bound = coloured(session, subset(runs / "vae", 20), "loss")
    seen = drawn(session, subset(runs / "vae", 20))
    method = Model(Run.open(runs / "vae"), None).method
    assert bound.values == pytest.approx([-float(ImageBatch(method, image[None], 16).elbo) for image in seen.images], rel=1e-5)
    assert bound.unit == "nat" and "ELBO" in bound.note
    error = coloured(session, subset(runs / "autoencoder", 20), "loss")
    method = Model(Run.open(runs / "autoencoder"), None).method
    x = torch.from_numpy(seen.images.copy()).double() / 255
    back = torch.cat([method.decode(method.encode(image[None].float())) for image in x]).double()
    assert error.values == pytest.approx([float((a - b).square().mean()) for a, b in zip(x, back, strict=True)], rel=1e-4)


def test_that_clusters_come_with_nmi_and_accuracy_and_the_same_seed_gives_the_same(shared, runs):
    told = coloured(shared, subset(runs / "vae"), "clusters", clusters=6, seed=2)
    assert set(told.values) == set(range(6)) and told.classes == tuple(f"cluster {i}" for i in range(1, 7))
    labels = drawn(shared, subset(runs / "vae")).labels
    nmi, right = agreement(told.values.astype(int), labels)
    assert f"{nmi:.3f}" in told.note and f"{right:.1%}" in told.note
    assert np.array_equal(told.values, coloured(shared, subset(runs / "vae"), "clusters", clusters=6, seed=2).values)


def test_that_a_detectors_colour_is_the_score_of_the_likelihood_pane(runs):
    session = QuerySession()
    told = coloured(session, subset(runs / "vae", 30), "knn")
    judged = m.ScoreData(job="j", run=str(runs / "vae"), limit=30, split="valid")
    (scores,) = [event for event in session.work(judged) if isinstance(event, m.DataScored)]
    assert told.values == pytest.approx(scores.scores["knn"], rel=1e-5)
    assert "features" in told.note and not told.classes


def test_that_a_direction_runs_from_the_first_lasso_to_the_second_with_pictures_on_the_way(shared, runs):
    seen = drawn(shared, subset(runs / "vae"))
    a, b = np.flatnonzero(seen.labels < 5), np.flatnonzero(seen.labels >= 5)
    told = coloured(shared, subset(runs / "vae"), "direction", a=a, b=b)
    features = features_of(runs / "vae", seen.images)
    start, end = features[a].mean(0), features[b].mean(0)
    slow = [np.dot(f - start, end - start) / np.dot(end - start, end - start) for f in features]
    assert told.values == pytest.approx(slow, rel=1e-3, abs=1e-4)
    outside = []
    for i in range(len(features)):
        rest_a, rest_b = features[a[a != i]].mean(0), features[b[b != i]].mean(0)
        outside.append(np.dot(features[i] - rest_a, rest_b - rest_a) / np.square(rest_b - rest_a).sum())
    area = roc_auc_score(seen.labels >= 5, outside)
    assert f"AUROC {area:.3f}, each point on the line of all others" in told.note
    method = Model(Run.open(runs / "vae"), None).method
    with torch.no_grad():
        middle = method.decode(torch.from_numpy((start + end) / 2).float()[None])[0]
    assert told.images is not None and told.images.shape == (9, 1, 8, 8)
    assert np.abs(told.images[4] - 255 * middle.numpy()).max() <= 1
    assert coloured(shared, subset(runs / "classifier"), "direction", a=a, b=b).images is None
    assert "themselves" in coloured(shared, subset(runs / "vae"), "direction", a=a[:1], b=b).note


@pytest.mark.parametrize(
    ("run", "by", "more", "says"),
    [
        ("vae", "prediction", {}, "cannot classify"),
        ("vae", "beauty", {}, "choose prediction, loss, clusters, direction or "),
        ("vae", "direction", {}, "draw both around some points"),
        ("vae", "direction", {"a": np.array([0]), "b": np.array([500])}, "draw them again"),
        ("vae", "direction", {"a": np.array([3, 4]), "b": np.array([4, 3])}, "the same mean"),
        ("vae", "likelihood_ratio", {}, "is not ready: "),
    ],
)
def test_that_a_colour_that_cannot_be_is_one_sentence(shared, runs, run, by, more, says):
    with pytest.raises(CannotAnswer, match=says) as error:
        coloured(shared, subset(runs / run), by, **more)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_that_the_loss_of_a_classifier_needs_its_classes(shared, runs, tmp_path):
    for number in range(8):
        Image.new("L", (8, 8), 30 * number).save(tmp_path / f"{number}.png")
    with pytest.raises(CannotAnswer, match="colour by prediction"):
        coloured(shared, subset(runs / "classifier", data=str(tmp_path), split="train"), "loss")
    assert coloured(shared, subset(runs / "classifier", data=str(tmp_path), split="train"), "prediction").note == ""


# -- new images --------------------------------------------------------------------------------------------------------


def test_that_an_image_is_projected_exactly_onto_a_pca(shared, runs):
    seen = drawn(shared, subset(runs / "vae"))
    odd = m.PictureRef(label="odd", image=np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8))
    told = shared.answer(m.PlaceImage(stamp=7, subset=subset(runs / "vae"), settings=PLANE, picture=odd))
    shown, _ = adapt(picture_from_array(odd.image), (1, 8, 8))
    assert np.array_equal(told.seen, shown) and told.notes and told.stamp == 7 and told.label == "odd"
    features = features_of(runs / "vae", seen.images)
    row = features_of(runs / "vae", shown[None])
    reference = PCA(2).fit(features)
    flip = np.sign((reference.transform(features) * seen.places).sum(0))
    assert told.place == pytest.approx(reference.transform(row)[0] * flip, abs=1e-3)
    apart = np.linalg.norm(features - row, axis=1)
    assert np.array_equal(told.neighbours, np.argsort(apart)[:15])
    assert told.distances == pytest.approx(np.sort(apart)[:15], rel=1e-4)
    assert told.usual == pytest.approx(np.median(seen.distances[:, 0]))


def test_that_an_image_of_the_map_lies_at_its_own_place_on_a_umap(shared, runs):
    seen = drawn(shared, subset(runs / "vae"), m.MapSettings())
    own = m.PictureRef(label="own", data="digits", index=int(seen.indices[20]))
    told = shared.answer(m.PlaceImage(subset=seen.subset, settings=m.MapSettings(), picture=own))
    assert told.neighbours[0] == 20 and told.distances[0] < 1e-3 * told.usual
    assert np.linalg.norm(told.place - seen.places[20]) < 0.2 * np.ptp(seen.places, axis=0).max()


def test_that_without_its_map_an_image_has_no_place(runs):
    own = m.PictureRef(label="own", index=0)
    with pytest.raises(CannotAnswer, match="run it again"):
        QuerySession().answer(m.PlaceImage(subset=subset(runs / "vae"), settings=PLANE, picture=own))


# -- the verb ----------------------------------------------------------------------------------------------------------


def test_that_the_verb_writes_the_map_of_the_pane(shared, runs, tmp_path, capsys):
    out = tmp_path / "map.csv"
    asked = ["embed", "vae", "--runs", str(runs), "--data", "digits", "--out", str(out), "--limit", "80", "--seed", "3"]
    assert main([*asked, "--split", subset(runs / "vae").split]) == 0
    assert "trustworthiness" in capsys.readouterr().out
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    pane = drawn(shared, subset(runs / "vae"), m.MapSettings(seed=3), warm=False)
    assert list(rows[0]) == ["index", "label", "x", "y", "run", "step", "step_rule", "weights", "data", "split"]
    assert [int(row["index"]) for row in rows] == pane.indices.tolist()
    assert [row["label"] for row in rows] == [pane.classes[label] for label in pane.labels]
    assert np.array_equal(np.array([[float(row["x"]), float(row["y"])] for row in rows], np.float32), pane.places)
