"""What the README says is true: its examples run, its commands exist, its pictures are there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example(heading: str) -> str:
    """The first Python block below a heading."""
    found = re.search(rf"^### {heading}$.*?```python\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no example below “{heading}”"
    return found.group(1)


@pytest.fixture
def small_gan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The README's method, lying in the folder of methods."""
    from engine import methods

    (tmp_path / "small_gan.py").write_text(example("Add a method"), encoding="utf-8")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    methods.all_methods.cache_clear()
    yield
    methods.all_methods.cache_clear()
    sys.modules.pop("engine.methods.small_gan", None)


def test_that_the_readmes_method_is_found_and_learns(small_gan, tmp_path):
    from engine import messages as m
    from engine.data import open_data
    from engine.method import info
    from engine.methods import method_named
    from engine.queries.session import QuerySession
    from engine.training.loop import train
    from engine.training.plan import Plan

    assert info(method_named("small_gan")).capabilities == ("decode", "latents", "sample")
    settings = {"warmup": 0, "schedule": "constant", "ema": 0.0, "learning_rate": 1e-3}
    plan = Plan("small_gan", "digits", config=settings, steps=300, name="example", precision="fp32")
    events = list(train(plan, tmp_path / "runs"))
    terms = {name for event in events if isinstance(event, m.Metrics) for name in event.points}
    assert terms >= {"discriminator_loss", "generator_loss", "valid generator_loss"}
    session = QuerySession()
    run = str(tmp_path / "runs" / "example")
    assert session.answer(m.Describe(run=run)).latent == 8
    assert session.answer(m.Decode(run=run, z=np.zeros((2, 8), np.float32))).images.shape == (2, 1, 8, 8)
    mean = np.asarray(open_data("digits").splits["train"].images, np.float32).mean(0)
    errors = [np.abs(session.answer(m.SamplePrior(run=run, step=step, count=64)).images.mean(0) - mean).mean() for step in (0, 300)]
    assert errors[1] < 0.5 * errors[0]  # what it draws has the digits' average, which it had not before
    with pytest.raises(Exception, match="Small GAN"):
        session.answer(m.Encode(run=run, index=0))


def test_that_samples_of_a_method_without_a_density_are_compared_in_the_features_of_another(small_gan, tmp_path, capsys):
    from engine.cli import main

    for method in ("small_gan", "autoencoder"):
        assert main(["train", method, "--data", "digits", "--steps", "2", "--runs", str(tmp_path), "--name", method, "--json"]) == 0
    capsys.readouterr()
    asked = ["eval", "small_gan", "--runs", str(tmp_path), "--step", "newest", "--json"]
    assert main(asked) == 1
    assert "no density" in capsys.readouterr().err
    assert main([*asked, "--features", "autoencoder", "--samples", "20"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["step"] == 2 and told["samples"] == 20 and {"fd", "kd", "fd_real", "kd_real", "encoder"} <= set(told)


def test_that_the_readmes_method_is_about_fifty_lines():
    assert len([line for line in example("Add a method").splitlines() if line.strip()]) <= 55


def test_that_the_readmes_pane_draws(qtbot, tmp_path, monkeypatch):
    from app import panes
    from engine.messages import Metrics
    from tests.kit.panes import Kit, run_info

    (tmp_path / "large.py").write_text(example("Add a pane"), encoding="utf-8")
    monkeypatch.setattr(panes, "__path__", [*panes.__path__, str(tmp_path)])
    kind = next(kind for kind in panes.find_panes() if kind.title == "Large")
    kit = Kit()
    kit.look_at()
    pane = kind(kit.context)
    qtbot.addWidget(pane)
    kit.bridge.tell(Metrics(run_info().run, {"loss": (np.array([1, 2]), np.array([9.0, 7.25]))}))
    assert pane.figure.text() == "7.2"
    sys.modules.pop("app.panes.large", None)


def test_that_every_verb_in_the_examples_exists():
    from app.__main__ import VERBS

    used = set(re.findall(r"^python3 run\.py (\w+)", README, re.MULTILINE))
    assert used >= {"test", "list", "train", "eval", "sample", "tour", "bench"}
    assert used <= {*VERBS, "tour", "demo"}


def test_that_the_window_knows_every_verb_of_the_engine():
    from app.__main__ import VERBS
    from engine.cli import VERBS as FILES
    from engine.cli import VerbParsers

    verbs = VerbParsers()
    for file in FILES:
        file.add(verbs)
    assert set(verbs.names) == set(VERBS)


def test_that_every_benchmark_is_in_the_table():
    from benchmarks import names

    table = README.split("## Figures")[1].split("\n### ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) - {"bench"} == set(names())


def test_that_the_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) >= 4
    for picture in pictures:
        assert (ROOT / picture).stat().st_size <= 150_000, picture


def test_that_every_folder_and_file_of_the_plan_exists():
    plan = README.split("```\nrun.py ")[1].split("```")[0]
    for name in re.findall(r"\b[a-z]+\.py\b", plan):
        assert [*ROOT.glob(name), *ROOT.glob(f"app/{name}"), *ROOT.glob(f"engine/{name}"), *ROOT.glob(f"tests/{name}")], name
