"""The errors of tiny runs as the window and the verb are told them, against the network asked directly and scikit-learn."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize

from engine import messages as m
from engine.cli import main
from engine.data import open_data
from engine.data.curation import pinned
from engine.data.splits import spread
from engine.evaluation.linear_probe import Neighbours
from engine.queries import classifier_errors
from engine.queries.classifier_errors import ClassifierErrors
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan

LIMIT = 120
STEPS = 60


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    made = {
        "classifier": {"width": 4, "batch_size": 32, "learning_rate": 0.01, "warmup": 0, "ema": 0.0, "augmentation": "none"},
        "discriminant": {},
        "simclr": {"width": 4, "batch_size": 32},
        "vae": {"network": "mlp", "width": 8, "latent": 4},
        "pixel_cnn": {"width": 4, "layers": 1},
    }
    for method, settings in made.items():
        steps = STEPS if method == "classifier" else 2
        list(train(Plan(method, "digits", settings, steps=steps, name=method, seed=5, device="cpu"), root))
    return root


@pytest.fixture(autouse=True)
def nothing_on_disk(runs: Path) -> None:
    """What one test kept in a run's folder answers no other."""
    for run in runs.iterdir():
        shutil.rmtree(run / "scores", ignore_errors=True)


def ask(session: QuerySession, path: Path, **of: object) -> tuple[m.ErrorsFound, list[m.Event | None]]:
    work = m.FindErrors(job="e", of=m.AnswersOf(str(path), **{"limit": LIMIT, **of}))  # type: ignore[arg-type]
    events = list(session.work(work))
    return next(event for event in events if isinstance(event, m.ErrorsFound)), events


def browse(session: QuerySession, found: m.ErrorsFound, **changes: object) -> m.ErrorImages:
    page = session.answer(m.BrowseErrors(of=found.of, **changes))  # type: ignore[arg-type]
    assert isinstance(page, m.ErrorImages)
    return page


def held_out() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, images and labels that are asked about."""
    split = open_data("digits").splits["valid"]
    rows = spread(split, LIMIT)
    assert split.labels is not None
    return rows, np.asarray(split.images[rows]), np.asarray(split.labels[rows])


def network_says(path: Path, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits = Model(Run.open(path), None).method.classify(torch.from_numpy(images).float() / 255).double()  # type: ignore[attr-defined]
    return logits.softmax(1).numpy()


def test_that_the_figures_are_those_of_the_network_on_images_spread_over_the_split(runs: Path):
    found, events = ask(QuerySession(), runs / "classifier")
    _, images, labels = held_out()
    p = network_says(runs / "classifier", images)
    assert (found.matrix == confusion_matrix(labels, p.argmax(1), labels=np.arange(10))).all()
    assert found.figures["log_loss"] == pytest.approx(log_loss(labels, p, labels=np.arange(10)), rel=1e-5)
    assert (found.images, found.total) == (LIMIT, len(open_data("digits").splits["valid"]))
    assert (found.of.step, found.of.split, found.of.through) == (STEPS, "valid", "classifier")
    progress = [event for event in events if isinstance(event, m.Progress) and event.unit == "image"]
    assert progress and progress[-1].total == LIMIT
    assert (labels == 9).any() and (labels == 0).any()


def test_that_a_page_holds_the_images_of_its_cell_the_surest_errors_first(runs: Path):
    session = QuerySession()
    found, _ = ask(session, runs / "classifier")
    rows, images, labels = held_out()
    p = network_says(runs / "classifier", images)
    wrong = np.flatnonzero(p.argmax(1) != labels)
    page = browse(session, found, count=7)
    assert page.total == len(wrong) and page.images.shape[0] == min(7, len(wrong)) == len(page.names)
    assert set(page.indices) <= set(rows[wrong]) and (np.diff(page.confidence) <= 1e-9).all()
    assert page.confidence[0] == pytest.approx(p[wrong].max(), rel=1e-5)
    place = {int(row): i for i, row in enumerate(rows)}
    for i, row in enumerate(page.indices):
        at = place[int(row)]
        assert (page.images[i] == images[at]).all() and page.labels[i] == labels[at] and page.answers[i] == p[at].argmax()
        assert page.p_true[i] == pytest.approx(p[at, labels[at]], rel=1e-5)
    second = browse(session, found, count=7, offset=7)
    assert second.confidence.size == 0 or second.confidence[0] <= page.confidence[-1]
    i, j, n = found.pairs[0]
    cell = browse(session, found, kind="cell", true=i, predicted=j)
    assert cell.total == n and set(cell.labels) == {i} and set(cell.answers) == {j}
    unsure = browse(session, found, kind="unsure", pixels=False, count=10_000)
    assert unsure.total + page.total == LIMIT and len(unsure.images) == 0 and (np.diff(unsure.confidence) >= -1e-9).all()


def test_that_what_was_found_is_kept_for_its_weights_split_and_number(runs: Path, monkeypatch: pytest.MonkeyPatch):
    session = QuerySession()
    first, _ = ask(session, runs / "classifier")
    calls: list[int] = []
    model = session.model(str(runs / "classifier"), None)
    asked = model.method.classify  # type: ignore[attr-defined]
    monkeypatch.setattr(model.method, "classify", lambda x: calls.append(len(x)) or asked(x))
    again, events = ask(session, runs / "classifier", step=STEPS)
    assert not calls and (again.matrix == first.matrix).all() and not [e for e in events if isinstance(e, m.Progress)]
    ask(session, runs / "classifier", split="test")
    assert sum(calls) == min(LIMIT, len(open_data("digits").splits["test"]))
    before = len(calls)
    ask(session, runs / "classifier", limit=50)
    assert len(calls) > before
    session.room(ClassifierErrors)._kept.clear()
    with pytest.raises(CannotAnswer, match="not kept any more; find the errors again"):
        browse(session, first)


@contextmanager
def forward_passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every call of a module of any network, by its class."""
    calls: list[str] = []
    real = torch.nn.Module.__call__
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "__call__", lambda self, *a, **k: calls.append(type(self).__name__) or real(self, *a, **k))
        yield calls


def assert_same(first: m.ErrorsFound, again: m.ErrorsFound) -> None:
    """Bit for bit."""
    for field in fields(m.ErrorsFound):
        one, two = getattr(first, field.name), getattr(again, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == two.dtype and one.tobytes() == two.tobytes(), field.name
        else:
            assert repr(one) == repr(two), field.name


@pytest.mark.parametrize(
    "name, through", [("classifier", "classifier"), ("classifier", "probe"), ("discriminant", "bayes"), ("simclr", "probe")]
)
def test_that_a_second_program_computes_nothing_and_answers_bit_for_bit(name: str, through: str, runs: Path, monkeypatch):
    with forward_passes(monkeypatch) as calls:
        session = QuerySession()
        first, _ = ask(session, runs / name, through=through)
        wrong = browse(session, first, count=50)
        assert calls or name == "discriminant"
    with forward_passes(monkeypatch) as calls, monkeypatch.context() as patch:
        for what in ("_log_p", "_probe", "_encoded"):
            patch.setattr(classifier_errors, what, lambda *_: pytest.fail("it is computed again"))
        session = QuerySession()
        again, events = ask(session, runs / name, through=through)
        assert calls == []
    assert_same(first, again)
    page = browse(session, again, count=50)
    assert all(getattr(page, one).tobytes() == getattr(wrong, one).tobytes() for one in ("images", "indices", "confidence", "p_true"))
    assert not [event for event in events if isinstance(event, m.Progress) and event.note.startswith("Asking")]
    with forward_passes(monkeypatch) as calls:
        ask(QuerySession(), runs / name, through=through, limit=LIMIT - 1)
        ask(QuerySession(), runs / name, through=through, split="test")
        assert calls or name == "discriminant"


def test_that_other_weights_or_a_damaged_file_are_asked_anew(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = tmp_path / "classifier"
    shutil.copytree(runs / "classifier", run)
    first, _ = ask(QuerySession(), run)
    (kept,) = (run / "scores").glob("errors-*.npz")
    arrays = dict(np.load(kept))

    def asked() -> bool:
        with forward_passes(monkeypatch) as calls:
            again, _ = ask(QuerySession(), run)
        assert_same(first, again)
        return bool(calls)

    assert not asked()
    for change in ({"labels": arrays["labels"] + 1}, {"predicted": arrays["predicted"] + 10}, {"p_true": arrays["p_true"][1:]}):
        np.savez(kept, **(arrays | change))
        assert asked() and not asked()
    kept.write_bytes(kept.read_bytes()[:-40])
    assert asked() and not asked()
    steps = [checkpoint.step for checkpoint in Run.open(run).checkpoints() if checkpoint.step != STEPS]
    with forward_passes(monkeypatch) as calls:
        ask(QuerySession(), run, step=steps[0])
    assert calls


def test_that_changed_decisions_about_images_are_not_answered_from_an_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also those that leave every pixel and label as it was: which images are one group decides how sure the figures are."""
    folder = tmp_path / "pets"
    digits = open_data("digits").splits["train"]
    assert digits.labels is not None
    for n in range(60):
        (folder / f"{digits.labels[n] % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(digits.images[n, 0])).save(folder / f"{digits.labels[n] % 2}" / f"{n}.png")
    settings = {"width": 4, "batch_size": 32, "augmentation": "none"}
    list(train(Plan("classifier", str(folder), settings, steps=2, name="pets", seed=5, device="cpu"), tmp_path / "runs"))
    run = tmp_path / "runs" / "pets"

    def files() -> int:
        return len(list((run / "scores").glob("errors-*.npz")))

    session = QuerySession()
    model = session.model(str(run), None)
    of = m.AnswersOf(str(run), model.step, "valid", None, "classifier")
    plain = open_data(str(folder))
    told = [classifier_errors._facts(model, plain, of)]
    for recipe in ('{"curation":"1-00000000"}', '{"curation":"2-11111111"}', '{"group":"folder"}'):
        told.append(classifier_errors._facts(model, replace(plain, data=f"{folder}?{recipe}"), of))
    assert len({json.dumps(one, sort_keys=True, default=str) for one in told}) == 4
    ask(session, run)
    assert files() == 1
    ask(QuerySession(), run)
    assert files() == 1
    first = sorted(plain.splits["train"].names)[0]
    assert main(["curate", str(folder), "--exclude", first]) == 0
    curated = open_data(f'{folder}?{{"curation":"{pinned(folder, "beside")}"}}')
    assert classifier_errors._facts(model, curated, of)["data"] != told[0]["data"]


def test_that_bayes_rule_and_a_linear_probe_answer_where_there_is_no_classifier(runs: Path):
    session = QuerySession()
    found, _ = ask(session, runs / "discriminant")
    assert found.of.through == "bayes" and "Bayes" in found.note and found.figures["accuracy"] > 0.5
    found, _ = ask(session, runs / "simclr")
    assert found.of.through == "probe" and "linear probe" in found.note
    train, (_, images, labels) = open_data("digits").splits["train"], held_out()
    method = Model(Run.open(runs / "simclr"), None).method

    def encoded(some: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return method.encode(torch.from_numpy(np.array(some)).float() / 255).double().numpy()  # type: ignore[attr-defined]

    scaler = StandardScaler().fit(encoded(train.images))
    theirs = LogisticRegression(C=1.0, max_iter=3000).fit(scaler.transform(encoded(train.images)), train.labels)
    wanted = theirs.predict_proba(scaler.transform(encoded(images)))
    assert abs(found.matrix - confusion_matrix(labels, wanted.argmax(1), labels=np.arange(10))).sum() <= 4  # solvers differ a little
    assert found.figures["log_loss"] == pytest.approx(log_loss(labels, wanted, labels=np.arange(10)), abs=0.02)


def test_that_the_vote_of_neighbours_answers_as_an_independent_one_does(runs: Path):
    session = QuerySession()
    found, _ = ask(session, runs / "classifier", through="knn")
    train, (_, images, labels) = open_data("digits").splits["train"], held_out()
    method = Model(Run.open(runs / "classifier"), None).method

    def unit(some: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return normalize(method.encode(torch.from_numpy(np.array(some)).float() / 255).double().numpy())  # type: ignore[attr-defined]

    # of unit vectors the cosine is 1 - distance² / 2
    theirs = KNeighborsClassifier(200, weights=lambda apart: np.exp(-(apart**2) / 2 / 0.1), algorithm="brute")
    theirs.fit(unit(train.images), train.labels)
    wanted = theirs.predict_proba(unit(images))  # of all votes; one more, of the mean weight, is spread over the ten classes
    wanted = (wanted + 1 / 200 / 10) / (1 + 1 / 200)
    assert abs(found.matrix - confusion_matrix(labels, wanted.argmax(1), labels=np.arange(10))).sum() <= 2  # ties in float32
    assert found.figures["log_loss"] == pytest.approx(log_loss(labels, wanted, labels=np.arange(10)), abs=1e-3)
    assert "200 nearest" in found.note and found.of.through == "knn"
    page = browse(session, found)
    assert (page.answers != page.labels).all() and len(page.images) == len(page.names) > 0


def test_that_no_training_image_votes_about_itself(runs: Path, monkeypatch: pytest.MonkeyPatch):
    """The features are noise, so that nothing but an image's own vote could know its class."""
    noise: dict[bytes, torch.Tensor] = {}

    def encoded(_: object, images: np.ndarray) -> torch.Tensor:
        for image in images:
            noise.setdefault(image.tobytes(), torch.randn(64, generator=torch.Generator().manual_seed(len(noise))))
        return torch.stack([noise[image.tobytes()] for image in images])

    monkeypatch.setattr(classifier_errors, "_encoded", encoded)
    count = len(open_data("digits").splits["train"])
    for limit in (None, count - 50):
        found, _ = ask(QuerySession(), runs / "simclr", split="train", through="knn", limit=limit)
        assert found.accuracy[0] < 0.2 and "these very images; none has a vote about itself" in found.note


def test_that_a_single_neighbour_that_is_the_image_itself_leaves_all_classes_alike():
    one = Neighbours(torch.ones(1, 4) / 2, torch.zeros(1, dtype=torch.int64), 3)
    assert one.log_p(torch.ones(1, 4), torch.zeros(1, dtype=torch.int64)).exp().tolist() == [pytest.approx([1 / 3] * 3)]


def test_that_kept_answers_rest_on_what_the_vote_and_the_fit_were_set_to(runs: Path, monkeypatch: pytest.MonkeyPatch):
    model, data = Model(Run.open(runs / "simclr"), None), open_data("digits")
    of = m.AnswersOf(str(runs / "simclr"), model.step, "valid", LIMIT, "knn")
    told = [classifier_errors._facts(model, data, of)]
    for name in ("NEIGHBOURS", "TEMPERATURE", "C"):
        with monkeypatch.context() as patch:
            patch.setattr(classifier_errors, name, 7)
            told.append(classifier_errors._facts(model, data, of))
    assert len({json.dumps(one, sort_keys=True, default=str) for one in told}) == 4


def test_that_a_probe_is_not_asked_about_what_it_was_fitted_on_or_says_so(runs: Path, monkeypatch: pytest.MonkeyPatch):
    session = QuerySession()
    everything, _ = ask(session, runs / "simclr", split="train")
    assert "Those are these very images" in everything.note and "was trained on these images" in everything.note
    count = len(open_data("digits").splits["train"])
    monkeypatch.setattr(classifier_errors, "FITTED_ON", count - 40)
    session.room(ClassifierErrors)._kept.clear()
    fitted = set(spread(open_data("digits").splits["train"], count - 40).tolist())
    for limit, wanted in ((None, 40), (17, 17), (4000, 40)):
        found, _ = ask(session, runs / "simclr", split="train", limit=limit)
        asked = [int(i) for kind in ("wrong", "unsure") for i in browse(session, found, kind=kind, count=count, pixels=False).indices]
        assert found.images == wanted == len(set(asked)) and not fitted & set(asked) and "Those are left out here" in found.note
    assert "left out" not in ask(session, runs / "simclr")[0].note


def test_that_figures_on_training_images_say_so(runs: Path):
    session = QuerySession()
    assert "was trained on these images" in ask(session, runs / "classifier", split="train")[0].note
    for split in ("valid", "test"):
        assert ask(session, runs / "classifier", split=split)[0].note == ""


def test_that_a_run_that_tells_no_classes_apart_and_a_wrong_word_get_one_sentence(runs: Path):
    with pytest.raises(CannotAnswer, match="tells no classes apart; choose a classifier"):
        ask(QuerySession(), runs / "pixel_cnn")
    with pytest.raises(CannotAnswer, match="cannot answer through “bayes”; choose one of classifier, probe"):
        ask(QuerySession(), runs / "classifier", through="bayes")


def test_that_a_job_can_be_left_at_any_stretch_and_the_network_runs_beside_the_lane(runs: Path, monkeypatch: pytest.MonkeyPatch):
    session = QuerySession()
    session.data("digits")
    method = session.model(str(runs / "classifier"), None).method
    asked, calls = method.classify, []  # type: ignore[attr-defined]
    monkeypatch.setattr(method, "classify", lambda x: calls.append((threading.get_ident(), len(x))) or asked(x))
    events = list(session.work(m.FindErrors(job="e", of=m.AnswersOf(str(runs / "classifier"), limit=None))))
    assert len(events) > len(calls) > 5 and max(size for _, size in calls) <= 32
    assert threading.get_ident() not in {thread for thread, _ in calls}
    calls.clear()
    left = session.work(m.FindErrors(job="e", of=m.AnswersOf(str(runs / "classifier"), limit=90)))
    while not calls:
        next(left)
    left.close()
    assert len(calls) == 1 and len(session.room(ClassifierErrors)._kept) == 1  # what was left is not kept


def test_that_the_verb_prints_the_windows_numbers_and_writes_what_it_is_told(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    found, _ = ask(QuerySession(), runs / "classifier")
    table, matrix, picture = tmp_path / "e.csv", tmp_path / "m.csv", tmp_path / "e.png"
    words = ["errors", "classifier", "--runs", str(runs), "--limit", str(LIMIT), "--csv", str(table), "--matrix", str(matrix)]
    assert main([*words, "--out", str(picture), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["matrix"] == found.matrix.tolist()
    for name, value in found.figures.items():
        assert told[name] == pytest.approx(value, rel=1e-9), name
    assert told["recall"][3] == (None if np.isnan(found.recall[3, 0]) else pytest.approx(list(found.recall[3])))
    assert (told["split"], told["images"], told["split_images"], told["step"]) == ("valid", LIMIT, found.total, STEPS)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == told["errors"] and all(row["true"] != row["answer"] for row in rows)
    assert list(csv.reader(matrix.read_text(encoding="utf-8").splitlines()))[1][1:] == [str(n) for n in found.matrix[0]]
    with Image.open(picture) as image:
        assert json.loads(image.info["priorama"])["images"] == LIMIT
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"{told['errors']:,} errors on {LIMIT} of {found.total:,} validation images" in said and "calibrated classifier" in said


def test_that_eval_and_errors_agree(runs: Path, capsys: pytest.CaptureFixture[str]):
    outs = []
    for words in (["eval", "classifier", "--split", "valid"], ["errors", "classifier"]):
        assert main([*words, "--runs", str(runs), "--json"]) == 0
        outs.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    for name in ("accuracy", "accuracy_se", "log_loss", "log_loss_se", "calibration", "calibration_se", "calibration_limit"):
        assert outs[0][name] == pytest.approx(outs[1][name], rel=1e-5), name
