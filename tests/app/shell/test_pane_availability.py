"""Why a pane is empty: what is said for which run, and that the page with the buttons is the one that is seen in the real window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.panes import Pane, find_panes
from app.shell import theme
from app.shell.main_window import Window
from app.shell.pane_availability import CANNOT, why_unavailable
from engine import messages as m
from tests.kit import fake_engine as fake
from tests.kit.fake_engine import VAE, run

ROTATION = replace(VAE, name="rotation", title="Rotation", density="none", sampling="none", capabilities=())
TEXT = replace(VAE, name="text_transformer", title="Text transformer", accepts="text")


class Walks(Pane):
    title = "Walks"
    order = 1
    needs = ("latents", "posterior")
    text_refused = "Choose a run of images."


class Judges(Pane):
    title = "Judges"
    order = 2
    wants_run = False
    needs_one_of = ("log_prob", "encode")
    invites = "Choose a judge."
    refused = "{title} cannot judge", "Take another one than {title}."


class Free(Pane):
    title = "Free"
    order = 3


WALKER = replace(VAE, capabilities=("latents", "posterior"))


@pytest.mark.parametrize(
    ("kind", "info", "method", "heading", "blocks"),
    [
        (Walks, None, None, "No run chosen", True),
        (Judges, None, None, "No run chosen", False),
        (Free, None, None, "No run chosen", True),
        (Walks, run("a", fault="The manifest is damaged."), WALKER, "Something is wrong with this run", True),
        (Walks, run("a"), TEXT, "Text transformer reads text", True),
        (
            Walks,
            run("a"),
            replace(VAE, capabilities=("encode",)),
            "VAE cannot be walked through by its latents and cannot say how sure its latents are",
            True,
        ),
        (Walks, run("a", capabilities=("latents", "posterior")), None, None, None),
        (Walks, run("a", capabilities=()), None, "What VAE can do is not known yet", False),
        (Walks, run("a", capabilities=("encode", "decode")), None, "What VAE can do is not known yet", False),  # written by version 0.1.0
        (Walks, run("a"), WALKER, None, None),
        (Walks, run("a", steps=()), WALKER, "No checkpoint yet", False),
        (Judges, run("a"), replace(VAE, capabilities=("encode",)), None, None),
        (Judges, run("a"), ROTATION, "Rotation cannot judge", False),
        (Free, run("a", fault="damaged", steps=()), ROTATION, None, None),
    ],
)
def test_that_the_reason_follows_from_what_the_pane_declares(
    kind: type[Pane], info: m.RunInfo | None, method: m.MethodInfo | None, heading: str | None, blocks: bool | None
) -> None:
    why = why_unavailable(kind, info, method)
    assert (why.heading if why else None, why.blocks if why else None) == (heading, blocks)
    if why:
        assert why.advice.endswith(".") and "{" not in why.sentence


def test_that_the_advice_of_the_pane_is_given_with_the_name_of_the_method() -> None:
    why = why_unavailable(Judges, run("a"), ROTATION)
    assert why is not None and why.advice == "Take another one than Rotation."
    assert why_unavailable(Judges, None, None).advice == "Choose a judge."  # type: ignore[union-attr]


def test_that_every_capability_that_a_pane_needs_can_be_said_in_words() -> None:
    needed = {need for kind in find_panes() for need in (*kind.needs, *kind.needs_one_of)}
    assert needed and needed <= set(CANNOT)


def buttons(of: QWidget) -> list[str]:
    return [button.text() for button in of.findChildren(QPushButton) if button.isVisible() and button.isEnabled()]


def little() -> tuple[m.Event, ...]:
    able = replace(fake.READY, methods=(*fake.READY.methods, ROTATION))
    return able, m.RunsListed((run("a", method=ROTATION), run("b", steps=())), "/runs")


def test_that_the_page_with_the_buttons_is_seen_in_the_window(real_panes: None, open_window: Callable[..., Window], qtbot: QtBot) -> None:
    window = open_window(little())
    qtbot.waitUntil(lambda: window.state.run == "/runs/a" and window.state.engine is not None)
    checked = []
    for name, dock in window.docks.docks.items():
        why = why_unavailable(dock.pane, window.state.run_info, window.state.method_info)
        if why is None:
            continue
        window.show_pane(name)
        qtbot.waitUntil(lambda dock=dock: window.docks.front is dock)
        texts = [label.text() for label in dock.findChildren(QLabel) if label.isVisible()]
        assert why.heading in texts and why.advice in texts, name
        assert "New run…" in buttons(dock), name
        assert all(words in buttons(dock) for words, _ in dock.pane.more_actions), name
        checked.append(name)
    assert len(checked) >= 6
    front = window.docks.front
    assert front is not None
    next(button for button in front.findChildren(QPushButton) if button.isVisible() and button.text() == "New run…").click()
    assert window.centre.form_is_open()


def test_that_a_pane_opens_by_itself_with_the_first_checkpoint(real_panes: None, open_window: Callable[..., Window], qtbot: QtBot) -> None:
    window = open_window(little())
    qtbot.waitUntil(lambda: window.state.run == "/runs/a" and window.state.engine is not None)
    window.choose_run("/runs/b")
    dock = window.docks.docks["SamplingPane"]
    window.show_pane("SamplingPane")
    qtbot.waitUntil(lambda: window.docks.front is dock)
    assert dock.pane.empty.title.text() == "No checkpoint yet" and dock.pane.empty.isVisible()  # type: ignore[attr-defined]
    assert dock.why == ""
    window.state.checkpoint_saved("/runs/b", 1, True)
    assert not dock.pane.empty.isVisible()  # type: ignore[attr-defined]


def test_that_a_pane_without_a_page_of_its_own_is_covered(window: Window) -> None:
    dock = window.docks.docks["NeedsSampling"]
    window.show_pane("NeedsSampling")
    window.choose_run("/runs/b")
    assert dock.availability.isVisible() and not dock.pane.isVisible()
    assert "New run…" in buttons(dock.availability)
    window.choose_run("/runs/a")
    assert dock.pane.isVisible() and not dock.availability.isVisible()


def test_that_the_tenth_pane_has_ctrl_0_and_the_next_one_says_that_it_has_none(window: Window) -> None:
    there = sum(name.startswith("pane.") for name in window.registry.entries)
    for number in range(there + 1, 12):
        window.registry.add_pane(f"Pane{number}", f"Pane {number}", "It shows things.", lambda: None)
    assert window.registry.entries["pane.Pane9"].keys == "Ctrl+9"
    assert window.registry.entries["pane.Pane10"].keys == "Ctrl+0"
    assert window.registry.entries["pane.Pane11"].keys == ""
    assert "no key of its own" in window.registry["pane.Pane11"].statusTip()
    assert "no key" not in window.registry["pane.Pane10"].statusTip()


def test_that_the_shell_names_no_pane() -> None:
    titles = {kind.title for kind in find_panes()} | {kind.__name__ for kind in find_panes()}
    shell = Path(theme.__file__).parent
    for file in ("main_window", "drop_handler", "drop_target", "centre", "layout", "commands", "pane_availability", "run_actions"):
        text = (shell / f"{file}.py").read_text(encoding="utf-8")
        assert not [title for title in titles if f'"{title}"' in text or f"{title} pane" in text], file
