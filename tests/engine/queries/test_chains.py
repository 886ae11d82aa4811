"""Markov chains as the window asks for them, and the same from the verb."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from engine.cli import main
from engine.common.chains import DENSITIES, EXPLAINED, SAMPLER_TITLES
from engine.mcmc.samplers import SAMPLERS, BadChains
from engine.mcmc.targets import TARGETS
from engine.queries.session import QuerySession


def events(**changes: object) -> list[m.Event | None]:
    return list(QuerySession().work(m.RunChains(job="j", **changes)))  # type: ignore[arg-type]


def moves(told: list[m.Event | None]) -> list[m.ChainsMoved]:
    return [event for event in told if isinstance(event, m.ChainsMoved)]


def test_that_chains_begin_go_on_and_end_and_can_be_interrupted_at_every_step():
    told = events(steps=130, chains=3, target="ring")
    began, moved = told[0], moves(told)
    assert isinstance(began, m.ChainsBegan) and began.starts.shape == (3, 2) and began.steps == 130
    assert [event.done for event in moved] == [*range(1, 131)]
    assert all(event.x.shape == (3, 1, 2) and event.figures.steps == event.done for event in moved)
    assert [event.final for event in moved] == [False] * 129 + [True]
    assert told.count(None) >= 130, "a question can come between any two steps"
    left, right, bottom, top = began.extent
    mass = np.exp(began.log_p.astype(float)).mean() * (right - left) * (top - bottom)
    assert mass == pytest.approx(1, abs=0.02)


def test_that_the_verb_makes_the_same_steps_and_figures(tmp_path: Path, capsys):
    told = moves(events(steps=60, chains=2, sampler="mala", step_size=0.2, seed=4))
    file = tmp_path / "chains.csv"
    words = "chains --steps 60 --chains 2 --sampler mala --step-size 0.2 --seed 4 --json --quiet --out"
    assert main([*words.split(), str(file)]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    figures = told[-1].figures
    assert found["acceptance"] == figures.acceptance and found["rhat"] == list(figures.rhat) and found["ess"] == list(figures.ess)
    x = np.concatenate([event.x for event in told], 1)
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == ["chain", "step", "x", "y", "accepted"]
    assert np.array_equal(np.array([row[2:4] for row in rows[1:]], float).reshape(2, 60, 2), x)


@pytest.mark.parametrize("words", ["--target doughnut", "--sampler gibbs", "--steps 99999", "--step-size 0", "--shape 2", "--chains 17"])
def test_that_wrong_words_are_one_sentence_and_wrong_usage(words: str, capsys):
    assert main(["chains", *words.split()]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and not told.out


def test_that_wrong_settings_of_the_window_are_a_sentence():
    with pytest.raises(BadChains, match="chains can be from 1 to 16"):
        events(chains=0)


@pytest.mark.parametrize("steps", ["3", "8", "15"])
def test_that_too_few_steps_are_null_in_json_and_said_in_words(steps: str, capsys):
    assert main(["chains", "--steps", steps, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["rhat"] == told["ess"] == [None, None]
    assert main(["chains", "--steps", steps]) == 0
    words = capsys.readouterr().out
    assert "too few steps for ESS and R-hat, which need 16" in words and "nan" not in words


def test_that_chains_that_never_move_are_not_called_too_short(capsys):
    assert main(["chains", "--target", "ring", "--shape", "1", "--sampler", "hmc", "--step-size", "5", "--steps", "40"]) == 0
    words = capsys.readouterr().out
    assert "does not vary" in words and "nan" not in words and "too few" not in words


def test_that_window_and_engine_know_the_same_densities_and_samplers():
    assert list(DENSITIES) == list(TARGETS)
    assert list(SAMPLER_TITLES) == list(SAMPLERS) == list(EXPLAINED)
