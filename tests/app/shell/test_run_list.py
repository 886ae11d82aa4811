"""The cards of the runs: which stands first, what is on them, and that none of it is cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from app.shell import formatting
from app.shell.bottom_bar import BottomBar
from app.shell.job_verbs import JobVerbs
from app.shell.left_side import LeftSide
from app.shell.run_list import RunList
from app.shell.run_standing import WAITING, newest_first, waiting_run
from app.shell.state import State
from app.shell.top_bar import TopBar
from engine.messages import DataInfo, JobChanged, RunInfo
from tests.kit.fake_engine import run
from tests.kit.text_fit import listening

LONG = "a name that somebody chose and that is far too long for any list"


@pytest.fixture
def runs(qtbot: QtBot) -> RunList:
    made = RunList()
    qtbot.addWidget(made)
    made.resize(232, 700)
    made.show()
    return made


def painted(runs: RunList, info: RunInfo) -> tuple[list[str], list[str]]:
    """The texts on the card of a run, and those of them that lost something."""
    runs.show_runs({info.run: info}, {}, None)
    QCoreApplication.sendPostedEvents()  # new widgets appear
    with listening() as heard:
        runs.grab()
    for _device, wanted, room, text, _size in heard.texts:
        assert wanted.width() <= room.width() + 1 and wanted.bottom() <= runs.cards[info.run].height(), text
    return [text for *_, text, _size in heard.texts], [text for text, _who in heard.elided]


def test_that_the_newest_run_stands_first_whatever_its_name() -> None:
    made = [replace(run(name), created=at) for name, at in (("b", 20.0), ("a", 10.0), ("z", 0.0), ("c", 30.0), ("y", float("nan")))]
    assert [info.name for info in newest_first({info.run: info for info in made}).values()] == ["c", "b", "a", "z", "y"]


def test_that_a_card_says_name_method_data_settings_state_and_best_number(runs: RunList) -> None:
    texts, lost = painted(runs, run("my first one"))
    assert texts[:2] == ["my first one", "VAE · fashion-mnist"] and not lost
    assert "done" in texts and "3.41 b/dim" in texts
    assert any(text.startswith("latent 16") for text in texts)


def test_that_a_long_name_loses_its_middle_and_stands_whole_in_the_tooltip(runs: RunList) -> None:
    texts, lost = painted(runs, run(LONG))
    assert lost == [LONG]
    assert texts[0].startswith("a name") and texts[0].endswith("any list") and "…" in texts[0]
    assert LONG in runs.cards[f"/runs/{LONG}"].toolTip()


@pytest.mark.parametrize("headline", ["84.5 nat", "inertia 2.56 per image", "7.2 % top-1 retrieval of all images"])
def test_that_the_best_number_is_never_shortened(runs: RunList, headline: str) -> None:
    texts, lost = painted(runs, run("a", headline=headline, changed={name: 0.125 for name in ("learning_rate", "weight_decay", "beta")}))
    assert headline in texts and not lost


def test_that_settings_that_do_not_fit_are_counted() -> None:
    changed = {"latent": 16, "beta": 4.0, "binarize": True}
    assert formatting.settings(changed) == "latent 16 · beta 4 · binarize"
    assert formatting.settings(changed, lambda text: len(text) <= 20) == "latent 16 · 2 more"
    assert formatting.settings(changed, lambda text: len(text) <= 5) == "3 settings changed"
    assert formatting.settings({}, lambda _text: False) == ""


def shown_left(qtbot: QtBot, many: int, height: int) -> LeftSide:
    state = State()
    state.root = "/runs"
    left = LeftSide(state)
    qtbot.addWidget(left)
    state.set_runs(tuple(run(f"run-{place}") for place in range(many)), "/runs")
    left.show_runs()
    left.data_list.show_data(
        {f"d{n}": DataInfo(f"d{n}", f"data {n}", "images", "1,797 · 8×8 grey · built in", True) for n in range(5)}, None
    )
    left.resize(232, height)
    left.show()
    for _ in range(4):
        QCoreApplication.sendPostedEvents()
        left.grab()
    return left


@pytest.mark.parametrize("height", [634, 420])
def test_that_many_runs_leave_the_data_sets_their_share(qtbot: QtBot, height: int) -> None:
    left = shown_left(qtbot, 9, height)
    assert left.data_list.height() >= 0.28 * height and left.run_list.height() >= 100
    assert left.data_list.geometry().bottom() <= height
    assert left.minimumSizeHint().height() <= 340, "the window can be made small again"


def test_that_the_chosen_run_is_scrolled_to_once_and_stays_where_it_is_scrolled_away(qtbot: QtBot) -> None:
    left = shown_left(qtbot, 9, 634)
    order = sorted(left.run_list.cards, key=lambda name: left.run_list.cards[name].y())
    seen = left.run_list.viewport()
    for name in (order[-1], order[0]):
        left.state.set_run(name)
        left.show_runs()
        qtbot.waitUntil(lambda name=name: not left.run_list.cards[name].visibleRegion().isEmpty())
        card = left.run_list.cards[name]
        top = card.mapTo(seen, card.rect().topLeft()).y()
        assert top >= 0 and top + card.height() <= seen.height()
    left.run_list.verticalScrollBar().setValue(left.run_list.verticalScrollBar().maximum())
    left.show_runs()
    qtbot.wait(20)
    assert left.run_list.verticalScrollBar().value() == left.run_list.verticalScrollBar().maximum()


def test_that_few_runs_need_no_bar(qtbot: QtBot) -> None:
    left = shown_left(qtbot, 2, 634)
    assert not left.run_list.verticalScrollBar().isVisible() and not left.data_list.verticalScrollBar().isVisible()


@pytest.mark.parametrize("loaded", [True, False])
def test_that_the_sentence_of_an_empty_list_is_whole(qtbot: QtBot, loaded: bool) -> None:
    state = State()
    state.root = "/runs" if loaded else ""
    left = LeftSide(state)
    qtbot.addWidget(left)
    left.show_runs()
    left.show_data()
    left.resize(232, 634)
    left.show()
    for _ in range(4):
        QCoreApplication.sendPostedEvents()
        left.grab()
    for part in (left.run_list, left.data_list):
        assert part.empty.height() >= part.empty.heightForWidth(part.empty.width())
        assert not part.verticalScrollBar().isVisible() and part.viewport().height() >= part.empty.geometry().bottom()


@pytest.mark.parametrize(("status", "step", "says", "end"), [
    ("done", 18, "done at step 18", 18),
    ("done", 300, "step 300 of 300", 300),
    ("training", 18, "step 18 of 300", 300),
    ("stopped", 18, "step 18 of 300", 300),
])  # fmt: skip
def test_that_a_run_which_ended_by_itself_is_done_and_not_on_its_way(qtbot: QtBot, status: str, step: int, says: str, end: int) -> None:
    state = State()
    info = run("clusters", steps=(0, step), status=status, total_steps=300)
    state.set_runs((info,), "/runs")
    state.set_run(info.run)
    top, bottom = TopBar(state), BottomBar(state)
    for bar in (top, bottom):
        qtbot.addWidget(bar)
        bar.show_time()
    assert top.step.text() == says and bottom.timeline.total == end


# -- those that wait -----------------------------------------------------------------------------------------------------


def queue_of(count: int, state: str = "queued") -> tuple[dict[str, RunInfo], dict[str, JobChanged]]:
    jobs = [JobChanged(f"train-{n}", "train", state, "", "vae · digits", "", n if state == "queued" else -1, n) for n in range(count)]
    waiting = {WAITING + job.job: waiting_run(job, {}, True) for job in jobs}
    return waiting, {WAITING + job.job: job for job in jobs}


def test_that_many_that_wait_are_one_line_which_opens(runs: RunList) -> None:
    waiting, jobs = queue_of(12)
    begun = {"/runs/a": run("a"), "/runs/b": run("b")}
    runs.show_runs({**waiting, **begun}, jobs, "/runs/a")
    shown = [name for name, card in runs.cards.items() if not card.isHidden()]
    assert shown == ["/runs/a", "/runs/b"] and not runs.fold.isHidden() and runs.fold.text() == "12 queued ▸"
    folded = runs.sizeHint().height()
    runs.fold.click()
    assert not any(card.isHidden() for card in runs.cards.values()) and runs.fold.text() == "12 queued ▾"
    assert runs.sizeHint().height() > folded + 10 * 72
    runs.show_runs({**waiting, **begun}, jobs, "/runs/a")
    assert not any(card.isHidden() for card in runs.cards.values())  # it stays open
    runs.fold.click()
    assert all(runs.cards[name].isHidden() for name in waiting)


def test_that_a_few_that_wait_keep_their_cards_and_the_line_goes_with_the_queue(runs: RunList) -> None:
    waiting, jobs = queue_of(2)
    runs.show_runs({**waiting, "/runs/a": run("a")}, jobs, None)
    assert runs.fold.isHidden() and not any(card.isHidden() for card in runs.cards.values())
    waiting, jobs = queue_of(5, "paused")
    runs.show_runs({**waiting, "/runs/a": run("a")}, jobs, None)
    assert runs.fold.text() == "5 waiting ▸"
    runs.show_runs({"/runs/a": run("a")}, {}, None)
    assert runs.fold.isHidden() and list(runs.cards) == ["/runs/a"]


def test_that_the_arrow_keys_skip_what_is_folded(runs: RunList) -> None:
    waiting, jobs = queue_of(4)
    begun = {"/runs/a": run("a"), "/runs/b": run("b")}
    runs.show_runs({**waiting, **begun}, jobs, None)
    chosen: list[str] = []
    runs.chosen.connect(chosen.append)
    runs.walk(runs.cards["/runs/b"], -1)
    runs.walk(runs.cards["/runs/a"], -1)
    assert chosen == ["/runs/a"]


def test_that_a_run_whose_training_has_just_ended_offers_nothing_until_the_list_says_how_it_stands(qtbot: QtBot) -> None:
    verbs = JobVerbs()
    qtbot.addWidget(verbs)
    info, job = run("a", status="training"), JobChanged("train-1", "train", "stopping", "/runs/a")
    verbs.show_run(info, job, None)
    assert "stop" in verbs.verbs
    verbs.show_run(info, None, None)
    assert verbs.verbs == ["", "", ""]
    verbs.show_run(replace(info, status="stopped"), None, None)
    assert verbs.verbs == ["", "continue", "delete"]
    verbs.rest()
