"""What the README says is true: its examples run, its commands exist, its pictures are there."""

from __future__ import annotations

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
def linear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The README's method, lying in the folder of methods."""
    from engine import methods

    (tmp_path / "linear.py").write_text(example("Add a method"), encoding="utf-8")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    methods.all_methods.cache_clear()
    yield
    methods.all_methods.cache_clear()
    sys.modules.pop("engine.methods.linear", None)


def test_that_the_readmes_method_is_found_and_learns(linear, tmp_path):
    from engine import messages as m
    from engine.method import info
    from engine.methods import method_named
    from engine.queries.session import QuerySession
    from engine.training.loop import train
    from engine.training.plan import Plan

    assert info(method_named("linear")).capabilities == ("encode", "decode")
    events = list(
        train(
            Plan("linear", "digits", config={"latent": 4, "warmup": 0, "learning_rate": 0.01}, steps=60, name="example"), tmp_path / "runs"
        )
    )
    losses = np.concatenate([event.points["loss"][1] for event in events if isinstance(event, m.Metrics) and "loss" in event.points])
    assert len(losses) == 60
    assert losses[-10:].mean() < 0.7 * losses[:10].mean()
    session = QuerySession()
    run = str(tmp_path / "runs" / "example")
    assert session.answer(m.Describe(run=run)).latent == 4
    decoded = session.answer(m.Decode(run=run, z=np.zeros((2, 4), np.float32)))
    assert decoded.images.shape == (2, 1, 8, 8)
    assert session.answer(m.Encode(run=run, index=0)).mean.shape == (4,)


def test_that_the_readmes_method_is_about_forty_lines():
    assert len([line for line in example("Add a method").splitlines() if line.strip()]) <= 40


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
    assert used <= {*VERBS, "tour"}


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
