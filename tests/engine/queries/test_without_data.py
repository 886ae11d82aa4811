"""What a run answers whose data folder was deleted: every question that needs no data goes on, each that does says where to give them.

Real runs of five method kinds. A new question must be put on one of the two lists.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import messages as m
from engine.cli import main
from engine.data import BadData
from engine.queries.answers import handlers
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.lane import Lane
from tests.kit.import_cases import class_folders, picture, save

PLANS: dict[str, dict[str, Any]] = {
    "vae": {"network": "mlp", "width": 8, "latent": 2, "batch_size": 8},
    "pixel_cnn": {"width": 4, "layers": 1, "levels": 2, "batch_size": 8},
    "simclr": {"width": 4, "batch_size": 8},
    "classifier": {"width": 4, "batch_size": 8},
    "mae": {"width": 16, "blocks": 1, "batch_size": 8},
    "conditional_vae": {"network": "mlp", "width": 8, "latent": 2, "batch_size": 8},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs whose data are gone."""
    home = tmp_path_factory.mktemp("gone")
    data = f'{class_folders(home / "old", count=24)}?{{"size": 8}}'
    for method, config in PLANS.items():
        list(train(Plan(method, data, config, steps=2, name=method, device="cpu"), home / "runs"))
    shutil.rmtree(home / "old")
    return home / "runs"


@pytest.fixture
def session() -> QuerySession:
    return QuerySession()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(tmp_path_factory.mktemp("one") / "one.png", picture(np.random.default_rng(5), side=8)))


PIXELS = np.full((8, 8, 3), 120, np.uint8)
Asked = Callable[[str, str], m.Query | m.Work]  # (run, a picture's file)


def of(kind: type[Any], **values: Any) -> Asked:
    """A question of one run; “file” among the values stands for the picture."""

    def ask(run: str, file: str) -> Any:
        shown = m.PictureRef(label="one", path=file)
        given = {name: shown if isinstance(value, str) and value == "file" else value for name, value in values.items()}
        return kind(run=run, **given) if issubclass(kind, m.Query) else kind(job="j", run=run, **given)

    return ask


def beside(run: str, file: str) -> m.PatchImages:
    """A picture beside three images of the run's own data."""
    return m.PatchImages(run, m.PictureRef(label="one", path=file), others=3)


PCA = m.MapSettings("pca")
ZEROS = np.zeros((1, 2), np.float32)
NEED_NONE: dict[str, tuple[str, Asked]] = {
    "describe": ("vae", of(m.Describe)),
    "decode": ("vae", of(m.Decode, z=ZEROS)),
    "encode a file": ("vae", lambda run, file: m.Encode(run=run, path=file)),
    "encode pixels": ("vae", of(m.Encode, image=PIXELS)),
    "interpolate": ("vae", of(m.Interpolate, a=ZEROS[0], b=ZEROS[0] + 1)),
    "grid": ("vae", of(m.DecodeGrid, z=ZEROS[0], x=0, y=1)),
    "prior samples": ("vae", of(m.SamplePrior, count=2)),
    "reconstruct the probe": ("vae", of(m.Reconstruct, count=2)),
    "inspect a file": ("pixel_cnn", of(m.InspectImage, picture="file")),
    "read a file": ("vae", of(m.ReadPicture, picture="file")),
    "samples": ("pixel_cnn", of(m.DrawSamples, samples=(0,), seed=1)),
    "Bayes' rule of a file": ("conditional_vae", of(m.AskBayes, picture="file")),
    "where the data are": ("vae", of(m.CheckData)),
    "patches described": ("mae", of(m.DescribePatches)),
    "attention on a file": ("mae", of(m.ShowAttention, picture="file")),
    "a placed file": ("simclr", lambda run, file: m.MeasureInvariance(run=run, picture=m.PictureRef(label="one", path=file))),
}
NEED_DATA: dict[str, tuple[str, Asked]] = {
    "encode a validation image": ("vae", of(m.Encode, index=0)),
    "a batch": ("simclr", of(m.ShowBatch)),
    "final figures of a density": ("vae", of(m.FinalFigures)),
    "final figures": ("classifier", of(m.FinalFigures)),
    "classifiers compared": ("conditional_vae", of(m.CompareClassifiers, limit=4)),
    "a map": ("simclr", lambda run, _: m.Embed(job="j", subset=m.Subset(run, None, "", "valid", 4), settings=PCA, warm=False)),
    "a probe": ("simclr", of(m.Probe, data="", limit=8)),
    "training images": ("vae", lambda run, _: m.ReadTrainingImages(job="j", runs=((run, None),))),
    "scores of its own data": ("vae", of(m.ScoreData, data="", limit=4)),
    "errors": ("classifier", lambda run, _: m.FindErrors(job="j", of=m.AnswersOf(run, limit=8))),
    "images of errors": ("classifier", lambda run, _: m.BrowseErrors(of=m.AnswersOf(run, limit=8))),
    "patches as colours": ("mae", lambda run, file: m.ColorPatches(job="j", images=beside(run, file))),
    "patches compared": ("mae", lambda run, file: m.CompareToPatch(job="j", images=beside(run, file))),
    "locate": ("vae", of(m.LocateData)),
}
ELSEWHERE = {  # asked of other data, of other files or of other kinds of runs: no run's data are meant
    m.BrowseData, m.ExportRun, m.ImportRun, m.RunChains, m.MeasureDisentanglement, m.MeasureRateDistortion, m.RollOut, m.ShowQueue,
    m.PosePuzzle, m.FillMask, m.ColorPoints, m.PlaceImage, m.SymbolDistribution, m.ReadSymbols, m.Corrupt, m.Calibrate, m.ScoreImages,
    m.Curate, m.ClassExamples, m.LocateListed, m.InspectFolder,
}  # fmt: skip


def answered(session: QuerySession, asked: m.Query | m.Work) -> Any:
    return session.answer(asked) if isinstance(asked, m.Query) else list(session.work(asked))


@pytest.mark.parametrize("name", NEED_NONE)
def test_that_it_needs_no_data(name: str, root: Path, session: QuerySession, one: str):
    method, asked = NEED_NONE[name]
    assert answered(session, asked(str(root / method), one))


@pytest.mark.parametrize("name", NEED_DATA)
def test_that_it_says_where_to_give_the_data_that_it_needs(name: str, root: Path, session: QuerySession, one: str):
    method, asked = NEED_DATA[name]
    with pytest.raises(BadData, match=r"any more: give their new place with --data, or with “Locate…”"):
        answered(session, asked(str(root / method), one))


def test_that_every_kind_of_question_is_on_a_list():
    known = {type(asked("run", "file")) for _, asked in (*NEED_NONE.values(), *NEED_DATA.values())}
    assert set(handlers()) - ELSEWHERE <= known


def test_that_the_window_names_its_button_and_no_option_of_a_verb(root: Path, session: QuerySession, one: str):
    method, asked = next(iter(NEED_DATA.values()))
    with pytest.raises(BadData) as caught:
        answered(session, asked(str(root / method), one))
    sentence, _ = Lane("test", print).report(caught.value)
    assert "with “Locate…” in the inspector" in sentence and "--data" not in sentence


@pytest.mark.parametrize("method", ["vae", "pixel_cnn", "classifier"])
def test_that_a_dropped_picture_gets_its_scores_without_p_values_and_the_reason(method: str, root: Path, session: QuerySession, one: str):
    work = m.ScoreImages(job="j", runs=((str(root / method), None),), pictures=(m.PictureRef(label="one", path=one),), limit=8, samples=2)
    (scored,) = [event for event in session.work(work) if isinstance(event, m.ImageScored)]
    assert scored.scores and not scored.error
    assert all(math.isfinite(score.value) and math.isnan(score.p_value) and score.level == "none" for score in scored.scores)
    assert all(score.verdict.startswith("no p-value: The data of") for score in scored.scores)
    (combined,) = scored.combined
    assert math.isnan(combined.p_value) and combined.verdict.startswith("no p-value")
    (told,) = [e for e in session.work(m.Calibrate(job="c", runs=((str(root / method), None),), limit=8)) if isinstance(e, m.Calibrated)]
    assert told.missing and not told.known


def test_that_kept_calibration_still_gives_p_values(tmp_path: Path, session: QuerySession, one: str):
    data = f'{class_folders(tmp_path / "old", count=24)}?{{"size": 8}}'
    list(train(Plan("vae", data, PLANS["vae"], steps=2, name="run", device="cpu"), tmp_path / "runs"))
    run = str(tmp_path / "runs" / "run")
    work = m.ScoreImages(job="j", runs=((run, None),), pictures=(m.PictureRef(label="one", path=one),), limit=8, samples=2)
    (before,) = [event for event in session.work(work) if isinstance(event, m.ImageScored)]
    shutil.rmtree(tmp_path / "old")
    (after,) = [event for event in QuerySession().work(work) if isinstance(event, m.ImageScored)]
    assert [score.p_value for score in after.scores] == [score.p_value for score in before.scores]
    assert not any(math.isnan(score.p_value) for score in after.scores)


VERBS: dict[str, tuple[str, list[str], int]] = {
    "score": ("vae", ["FILE", "--k", "2"], 0),
    "sample": ("pixel_cnn", ["--n", "2", "--out", "OUT.png"], 0),
    "export": ("vae", ["--out", "OUT.zip"], 0),
    "embed with other data": ("simclr", ["--data", "digits", "--map", "pca", "--limit", "20", "--out", "OUT.csv"], 0),
    "probe with other data": ("simclr", ["--data", "digits", "--limit", "20"], 0),
    "eval": ("vae", ["--limit", "4"], 1),
    "errors": ("classifier", ["--limit", "4"], 1),
    "export with data": ("vae", ["--with-data", "--out", "OUT.zip"], 1),
    "embed": ("simclr", ["--map", "pca", "--out", "OUT.csv"], 1),
    "probe": ("simclr", [], 1),
    "ood": ("vae", ["--out", "digits", "--limit", "4", "--k", "2"], 1),
}


@pytest.mark.parametrize("name", VERBS)
def test_which_verbs_need_the_data(name: str, root: Path, tmp_path: Path, one: str, capsys: pytest.CaptureFixture[str]):
    method, words, code = VERBS[name]
    words = [one if word == "FILE" else str(tmp_path / word) if word.startswith("OUT") else word for word in words]
    assert main([name.split()[0], str(root / method), *words, "--quiet"]) == code
    said = capsys.readouterr()
    assert code == 0 or "give their new place with --data" in said.err
    if name == "sample":
        with Image.open(tmp_path / "OUT.png") as image:
            assert image.size
    if name == "score":
        assert "no p-values: The data of “vae” are not at" in said.out and "p   –" in said.out
        assert said.out.count("are not at") == 1 and "left out for the same reason." in said.out  # one sentence, said once
    assert "inspector" not in said.out + said.err  # which a verb has none of
