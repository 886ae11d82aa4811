"""The start page: its buttons do what they say, and a training that was begun here comes to the front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.panes.start.pane import NEXT, StartPane, quick_method
from engine import messages as m
from tests.kit.panes import GAN, PLAIN, RUN, VAE, Kit, run_info


@pytest.fixture
def pane(kit: Kit) -> Iterator[StartPane]:
    made = kit.open(StartPane)
    assert isinstance(made, StartPane)
    yield made


def test_that_one_click_trains_a_vae_on_digits(kit: Kit, pane: StartPane) -> None:
    pane.train_button.click()
    (command,) = kit.engine.of(m.StartRun)
    assert (command.method, command.data) == ("vae", "digits")
    assert command.steps and command.job == pane.job


def test_that_the_started_run_comes_to_the_front_with_its_curves(kit: Kit, pane: StartPane) -> None:
    pane.train_button.click()
    kit.bridge.tell(m.JobChanged(pane.job, "train", "running", RUN))
    assert kit.state.run is None
    kit.state.set_runs((run_info(),), "/runs")
    assert kit.state.run == RUN
    assert kit.triggered == ["pane.CurvesPane"]


def test_that_a_failed_start_is_said(kit: Kit, pane: StartPane) -> None:
    pane.train_button.click()
    kit.bridge.tell(m.Ended(pane.job, "failed", "The disk is full: 3 MB are missing. Free some space."))
    assert pane.message.text == "The disk is full: 3 MB are missing. Free some space."


def test_that_the_other_buttons_lead_on(kit: Kit, pane: StartPane) -> None:
    pane.new_button.click()
    for action in pane.data_button.menu().actions():
        action.trigger()
    assert kit.triggered == ["run.new", "data.open", "data.open_file"]


def test_that_every_next_step_leads_to_its_pane(kit: Kit, pane: StartPane) -> None:
    for title, _ in NEXT:
        pane._show(title)
    assert kit.triggered == [
        f"pane.{name}Pane" for name in ("Curves", "Views", "Embedding", "Probe", "Latent", "Sampling", "Likelihood", "Data")
    ]


def test_that_the_newest_runs_are_cards_and_a_click_looks_at_one(kit: Kit, pane: StartPane) -> None:
    runs = [run_info(f"/runs/r{i}", created=float(i), status="done") for i in range(9)]
    kit.state.set_runs(tuple(runs), "/runs")
    assert [card.info.name for card in pane.cards] == ["r8", "r7", "r6", "r5", "r4", "r3"]
    pane.cards[2].click()
    assert kit.state.run == "/runs/r6"
    assert not pane.no_runs.isVisible()


def test_that_the_page_names_only_methods_that_exist(kit: Kit, pane: StartPane) -> None:
    kit.state.set_engine(m.Ready(tuple(kit.state.methods.values()), "CPU", ("cpu",), 2, "fp32", {}, 1.0))
    assert "Rotation, VAE" in pane.exists.text()


def test_that_the_first_run_is_of_a_method_that_serves_every_pane_whatever_its_name(kit: Kit, pane: StartPane) -> None:
    methods = (replace(VAE, name="other", title="Second VAE"), PLAIN, GAN, replace(VAE, name="text", accepts="text"))
    kit.state.set_engine(m.Ready(methods[::-1], "CPU", ("cpu",), 2, "fp32", {}, 1.0))
    assert pane.train_button.text() == "Train a Second VAE on digits"
    pane.train_button.click()
    assert [command.method for command in kit.engine.of(m.StartRun)] == ["other"]


def test_that_a_training_wanted_before_the_engine_is_ready_starts_with_it_and_once(kit: Kit) -> None:
    kit.state.methods = {}
    pane = kit.open(StartPane)
    assert isinstance(pane, StartPane)
    pane.train_button.click()
    assert not kit.engine.of(m.StartRun)
    assert pane.message.text.startswith("Starting as soon as")
    for _ in range(2):
        kit.state.set_engine(m.Ready((PLAIN, VAE), "CPU", ("cpu",), 2, "fp32", {}, 1.0))
    assert [(command.method, command.job) for command in kit.engine.of(m.StartRun)] == [("vae", pane.job)]
    assert pane.train_button.text() == "Train a VAE on digits"


def test_that_nothing_is_offered_to_train_where_no_method_serves(kit: Kit, pane: StartPane) -> None:
    kit.state.set_engine(m.Ready((PLAIN, GAN), "CPU", ("cpu",), 2, "fp32", {}, 1.0))
    assert not pane.train_button.isEnabled() and pane.new_button.isEnabled()


def test_that_the_first_run_is_of_the_plain_method_and_not_of_a_variant_that_is_listed_before_it() -> None:
    variant = replace(VAE, name="ladder_vae", title="Ladder VAE")
    assert quick_method([variant, VAE]) is VAE and quick_method([VAE, variant]) is VAE
    assert quick_method([PLAIN]) is None
