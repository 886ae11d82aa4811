"""Which checkpoint a pane shows is always said: the former one until the answer of the newer has come, and that it has not.

What is read is what a person reads: the texts that are painted, and those of labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from app.panes import Pane, find_panes
from app.panes.embedding.pane import EmbeddingPane
from app.panes.latent.pane import LatentPane
from app.panes.probe.pane import ProbePane
from app.panes.views.pane import BATCH, INVARIANCE, PUZZLE, QUEUE, SIMILARITY, ViewsPane
from app.shell.theme import DARK, LIGHT
from app.widgets.shown_step import FAILED, ShownStep
from engine import messages as m
from tests.kit import paper_map, paper_probe, paper_views
from tests.kit.panes import ANSWERS, VAE, WORKS, Kit, run_info
from tests.kit.text_fit import listening

FORMER, CHOSEN = 1024, 64
OF_NO_CHECKPOINT = {
    "StartPane": "it offers what one can begin with",
    "DataPane": "it shows data",
    "CurvesPane": "it shows all steps",
    "ChainsPane": "it walks on densities without a run",
}
SAYS_OTHERWISE = {
    "LikelihoodPane": "it empties itself; its own tests look at that",
    "SamplingPane": "samples carry the step they were drawn at; its own tests look at that",
    "BayesPane": "its own tests look at that",
    "ErrorsPane": "its own tests look at that",
}


@dataclass(frozen=True)
class Case:
    """A pane, what brings it to show something, and what asks for another step where it does not do so by itself."""

    pane: type[Pane]
    run: m.RunInfo
    begin: Callable[[Kit, Any], None] = lambda kit, pane: None
    ask: Callable[[Kit, Any], None] = lambda kit, pane: None
    silent: bool = False  # it says its step only where that is not the chosen one


def page(number: int) -> Callable[[Kit, ViewsPane], None]:
    return lambda kit, pane: pane.show_page(number)


def measure(kit: Kit, pane: ProbePane) -> None:
    pane.page.measure_button.click()


CASES = {
    "views, batch": Case(ViewsPane, paper_views.paper_run(), page(BATCH)),
    "views, similarity": Case(ViewsPane, paper_views.paper_run(), page(SIMILARITY)),
    "views, invariance": Case(ViewsPane, paper_views.paper_run(), page(INVARIANCE)),
    "views, puzzle": Case(ViewsPane, paper_views.paper_run(), page(PUZZLE)),
    "views, queue": Case(ViewsPane, paper_views.paper_run(), page(QUEUE)),
    "embedding": Case(EmbeddingPane, run_info()),
    "probe": Case(ProbePane, run_info(), measure, measure),
    "latent": Case(LatentPane, run_info(), silent=True),
}


@pytest.fixture
def kit(qapp: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    monkeypatch.setattr(paper_map, "MOST", 120)
    for kind, work in ((m.Embed, paper_map.embed), (m.ColorPoints, paper_map.colour)):
        monkeypatch.setitem(WORKS, kind, work)
    monkeypatch.setitem(WORKS, m.Probe, lambda engine, asked: [e for e in paper_probe.everything(asked) if not isinstance(e, m.Ended)])
    for kind, answer in paper_views.ANSWERS_OF_VIEWS.items():
        monkeypatch.setitem(ANSWERS, kind, answer)
    made = Kit()
    made.engine.puzzle, made.engine.notes = "rotation", ()  # type: ignore[attr-defined]
    made.state.methods = {**made.state.methods, "paper": paper_views.PAPER, "vae": replace(VAE, capabilities=(*VAE.capabilities, "blocks"))}
    yield made
    made.end()


def steps_said(pane: Pane) -> set[int]:
    """Every step that a reader of the pane is told of."""
    with listening() as heard:
        pane.grab()
    texts = [text for *_, text, _ in heard.texts]
    texts += [label.text() for label in pane.findChildren(QLabel) if label.isVisible()]
    found = re.findall(r"(?:step|cursor is at) ((?:\d|\u202f)+)", "\n".join(texts), re.IGNORECASE)
    return {int(number.replace("\u202f", "")) for number in found}


def until(kit: Kit, pane: Pane, wanted: Callable[[set[int]], bool]) -> set[int]:
    """Let answers and timers do their work until a reader is told what is wanted; what is said then."""
    for _ in range(500):
        kit.pump()
        said = steps_said(pane)
        if wanted(said):
            return said
        QTest.qWait(10)
    raise AssertionError(f"after five seconds the pane tells of the steps {sorted(said)}")


@pytest.mark.parametrize("name", CASES)
def test_that_the_former_step_is_said_until_the_answer_of_the_newer_has_come(kit: Kit, name: str) -> None:
    case = CASES[name]
    kit.look_at(case.run)
    pane = kit.open(case.pane)
    kit.pump()
    case.begin(kit, pane)
    until(kit, pane, lambda said: said == (set() if case.silent else {FORMER}))
    kit.engine.answering = False
    kit.state.set_cursor(CHOSEN)
    for _ in range(25):  # while its timers run, and when it has asked
        kit.pump()
        assert FORMER in steps_said(pane)
        QTest.qWait(10)
    assert steps_said(pane) == {FORMER, CHOSEN}, "it says what it shows, and that this is not what was chosen"
    kit.engine.answering = True
    case.ask(kit, pane)
    until(kit, pane, lambda said: said == (set() if case.silent else {CHOSEN}))


def test_that_every_pane_is_asked() -> None:
    asked = {case.pane.__name__ for case in CASES.values()}
    assert {pane.__name__ for pane in find_panes()} <= asked | set(OF_NO_CHECKPOINT) | set(SAYS_OTHERWISE)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("views", "embedding"))])
def test_that_a_step_that_failed_is_not_said_to_come(kit: Kit, name: str) -> None:
    case = CASES[name]
    kit.look_at(case.run)
    pane = kit.open(case.pane)
    kit.pump()
    case.begin(kit, pane)
    until(kit, pane, lambda said: said == {FORMER})
    said = pane.findChild(ShownStep)
    assert isinstance(said, ShownStep)
    kit.engine.answering = False
    kit.state.set_cursor(CHOSEN)
    for _ in range(100):
        kit.pump()
        if kit.engine.open:
            break
        QTest.qWait(10)
    assert "is on its way" in said.text
    for question in kit.engine.open:
        if isinstance(question, m.Query):
            kit.engine.fail(question, "The checkpoint cannot be read.")
        else:
            kit.engine.events.append(m.Ended(question.job, "failed", "The checkpoint cannot be read."))
    kit.engine.open.clear()
    kit.pump()
    assert said.text == f"Still step 1\u202f024;\n{FAILED.format(CHOSEN)}" and said.level == "warning"


def test_that_a_live_puzzle_says_that_only_the_next_one_is_of_the_newer_step(kit: Kit) -> None:
    case = CASES["views, puzzle"]
    kit.look_at(case.run)
    pane = kit.open(ViewsPane)
    kit.pump()
    pane.show_page(PUZZLE)  # type: ignore[attr-defined]
    until(kit, pane, lambda said: said == {FORMER})
    kit.state.checkpoint_saved(case.run.run, 2048, False)
    said = pane.findChild(ShownStep)
    assert isinstance(said, ShownStep)
    for _ in range(300):
        kit.pump()
        if "on its way" not in said.text:
            break
        QTest.qWait(10)
    assert said.text == "Still step 1\u202f024;\nthe next is of step 2\u202f048"
    pane.puzzle.next_button.click()  # type: ignore[attr-defined]
    kit.pump()
    assert said.text == "Step 2\u202f048"


def test_that_the_widget_follows_the_theme_and_says_its_words_to_screen_readers(qapp: object) -> None:
    said = ShownStep()
    heights = set()
    for colors in (DARK, LIGHT):
        said.set_colors(colors)
        for shown, wanted in ((None, 8), (8, 8), (8, 16), (888_888, 888_888)):
            said.show_step(shown, wanted)
            assert said.accessibleDescription() == said.text
            heights.add(said.height())
    assert len(heights) == 1, "it moves nothing"
    said.deleteLater()
