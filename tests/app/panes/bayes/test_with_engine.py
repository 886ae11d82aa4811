"""The Bayes pane and its questions on trained runs: against normal distributions of SciPy, Bayes' rule by hand, and broken files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from app.panes.bayes.pane import BayesPane
from engine import messages as m
from engine.common.bayes_rule import posterior
from engine.data import open_data
from engine.data.splits import spread
from engine.queries.arrays import image_tensor
from engine.queries.session import CannotAnswer, QuerySession
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.panes import Kit, run_info
from tests.kit.session_engine import PatientEngine

SHRINKAGE = 0.1
RUNS = {
    "discriminant": ({"shrinkage": SHRINKAGE}, 1),
    "conditional_vae": ({"network": "mlp", "width": 16, "latent": 4, "score_samples": 4}, 60),
    "classifier": ({"width": 8}, 30),
    "vae": ({"network": "mlp", "width": 8, "latent": 4}, 4),
}
DENSITIES = ("discriminant", "conditional_vae")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for method, (settings, steps) in RUNS.items():
        list(train(Plan(method, "digits", settings, steps=steps, name=method, device="cpu"), root))
    return root


@pytest.fixture
def session() -> QuerySession:
    made = QuerySession()
    made.data("digits")
    return made


def ask(session: QuerySession, runs: Path, of: str, beside: str = "", **picture: Any) -> m.BayesAnswered:
    query = m.AskBayes(run=str(runs / of), picture=m.PictureRef("it", **picture), beside=str(runs / beside) if beside else "")
    told = session.answer(query)
    assert isinstance(told, m.BayesAnswered)
    return told


def compared(session: QuerySession, runs: Path, of: str, **more: Any) -> m.ClassifiersCompared:
    told = list(session.work(m.CompareClassifiers(job="j", run=str(runs / of), **more)))
    return next(event for event in told if isinstance(event, m.ClassifiersCompared))


def test_that_the_given_densities_are_normal_distributions_of_each_class(session: QuerySession, runs: Path) -> None:
    data = open_data("digits")
    x, y = data.splits["train"].images.reshape(-1, 64) / 255.0, np.asarray(data.splits["train"].labels)
    means = np.stack([x[y == label].mean(0) for label in range(10)])
    pooled = (x - means[y]).T @ (x - means[y]) / len(x)
    shrunk = (1 - SHRINKAGE) * pooled + SHRINKAGE * np.trace(pooled) / 64 * np.eye(64)
    seen = data.splits["valid"].images[5].reshape(64) / 255.0
    expected = np.array([multivariate_normal(mean, shrunk).logpdf(seen) for mean in means])
    told = ask(session, runs, "discriminant", index=5)
    assert told.given == pytest.approx(expected, abs=1e-3) and told.true_class == str(int(data.splits["valid"].labels[5]))
    assert told.shares == pytest.approx(np.bincount(y) / len(y))
    assert told.density == "exact" and told.bits == pytest.approx((8.0, 1 / (64 * np.log(2))))


@pytest.mark.parametrize("of", DENSITIES)
def test_that_posterior_and_marginal_are_bayes_rule_by_hand(of: str, session: QuerySession, runs: Path) -> None:
    told = ask(session, runs, of, index=3)
    p = np.arange(1.0, 11.0) / 55
    joint = told.given + np.log(p)
    rule = posterior(told.given, p)
    assert np.exp(rule.log_posterior) == pytest.approx(np.exp(joint - joint.max()) / np.exp(joint - joint.max()).sum())
    assert float(rule.log_marginal) == pytest.approx(logsumexp(joint))
    model = session.model(str(runs / of), None)
    x = np.ascontiguousarray(open_data("digits").splits["valid"].images[3:4])
    own = float(model.method.log_prob(image_tensor(x), None, model.generator()))
    assert float(posterior(told.given, np.ones(10)).log_marginal) == pytest.approx(own, abs=1e-3), "the method's own p(x), classes uniform"


@pytest.mark.parametrize("of", DENSITIES)
def test_that_validation_images_get_what_each_of_them_gets_alone(of: str, session: QuerySession, runs: Path) -> None:
    told = compared(session, runs, of, beside=str(runs / "classifier"), limit=23)
    valid = open_data("digits").splits["valid"]
    rows = spread(valid, 23)
    assert told.given.shape == (23, 10) and told.total == len(valid) and np.array_equal(told.labels, valid.labels[rows])
    for place in (0, 17, 22):
        alone = ask(session, runs, of, "classifier", index=int(rows[place]))
        assert told.given[place] == pytest.approx(alone.given, abs=1e-3)
        assert told.classifier is not None and told.classifier[place] == pytest.approx(alone.classifier, abs=1e-4)
        assert alone.classifier is not None and alone.classifier.sum() == pytest.approx(1)


def test_that_the_job_can_be_left_between_any_two_classes(session: QuerySession, runs: Path) -> None:
    told = list(session.work(m.CompareClassifiers(job="j", run=str(runs / "discriminant"), limit=32)))
    assert told.count(None) >= 20 and [event.done for event in told if isinstance(event, m.Progress)] == [16, 32]


def test_that_what_cannot_be_answered_is_one_sentence(session: QuerySession, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotAnswer, match="trained with “conditional”"):
        ask(session, runs, "vae", index=0)
    with pytest.raises(CannotAnswer, match="same classes"):
        compared(session, runs, "discriminant", beside=str(runs / "vae"))
    assert "same classes" in ask(session, runs, "discriminant", "vae", index=0).beside_fault
    list(train(Plan("classifier", "shapes", {"width": 4}, steps=1, name="shapes", device="cpu"), tmp_path))
    foreign = session.answer(
        m.AskBayes(run=str(runs / "discriminant"), picture=m.PictureRef("it", index=0), beside=str(tmp_path / "shapes"))
    )
    assert isinstance(foreign, m.BayesAnswered) and foreign.classifier is None and foreign.beside_fault.endswith(".")


@pytest.fixture
def kit(qapp, session: QuerySession) -> Iterator[Kit]:
    made = Kit()
    made.engine.answering = False
    made.bridge.engine = PatientEngine(session)
    made.state.methods = {
        **made.state.methods,
        **{name: m.MethodInfo(name, name, "", "bound", "direct", True, ("log_prob", "conditional"), "", "", "", ()) for name in DENSITIES},
    }
    yield made
    made.end()


@pytest.mark.parametrize("of", DENSITIES)
def test_that_the_pane_shows_what_the_runs_say_and_follows_the_prior(of: str, kit: Kit, session: QuerySession, runs: Path, tmp_path: Path):
    steps = session.model(str(runs / of), None).step
    classifier = run_info(
        str(runs / "classifier"), "classifier", capabilities=("classify",),
        checkpoints=(m.CheckpointInfo(session.model(str(runs / "classifier"), None).step, False),),
    )  # fmt: skip
    kit.look_at(run_info(str(runs / of), of, config={}, checkpoints=(m.CheckpointInfo(steps, False),)), classifier)
    pane = kit.open(BayesPane)
    assert isinstance(pane, BayesPane)
    kit.pump()
    pane.validation._settle()
    kit.pump()
    told = ask(session, runs, of, "classifier", index=0)
    names, (below, rule, beside) = pane.bars.names, (values for _, values in pane.bars.columns)
    assert names == told.classes == tuple("0123456789")
    assert below == pytest.approx(told.given - told.given.max(), abs=1e-4) and beside == pytest.approx(told.classifier, abs=1e-6)
    assert rule == pytest.approx(np.exp(told.given - logsumexp(told.given)), abs=1e-6)
    valid = compared(session, runs, of, limit=500)
    right = (valid.given.argmax(1) == valid.labels).mean()
    assert pane.comparison.cells[0][1].text().startswith(f"{100 * right:.1f} ± ")
    marginals = logsumexp(valid.given, axis=1) - np.log(10)
    mine = logsumexp(told.given) - np.log(10)
    assert f"p = {(1 + (marginals <= mine + 1e-6).sum()) / (len(marginals) + 1):.3f}" in pane.comparison.cells[0][3].text()

    pane.sliders[7].setValue(91)
    p = np.full(10, 0.01)
    p[7] = 0.91
    joint = told.given + np.log(p)
    assert pane.bars.columns[1][1] == pytest.approx(np.exp(joint - logsumexp(joint)), abs=1e-6)
    assert f"{abs(logsumexp(joint)):.1f}" in pane.status.text

    pane.use_noise()
    kit.pump()
    assert "Noise" in pane.status.text and "p = 0.006" in pane.comparison.cells[0][3].text(), "1 / (161 + 1) or so: less likely than all"
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    Image.fromarray(np.full((40, 30, 3), 200, np.uint8)).save(tmp_path / "wide.png")
    assert pane.accept_image(str(tmp_path / "torn.png"))
    kit.pump()
    assert "torn.png" in pane.busy.text and "Still shown: noise." in pane.busy.text and pane.busy.level == "bad"
    assert pane.accept_image(str(tmp_path / "wide.png"))
    kit.pump()
    assert "wide.png" in pane.status.text and pane.busy.level == ""
