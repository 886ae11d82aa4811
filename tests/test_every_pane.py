"""What every pane must do, whichever it is: they are found by folder."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QAbstractButton, QAbstractScrollArea, QLabel, QWidget

from app.panes import Context, Pane, find_panes
from app.shell import theme
from app.shell.state import State
from tests.kit.panes import OTHER, PLAIN, RUN, Kit, report, run_info

PANES = find_panes()
THIRD = "/runs/vae-digits-3"


@pytest.fixture(params=PANES, ids=lambda pane: pane.__name__)
def kind(request) -> type[Pane]:
    return request.param


def said(pane: QWidget) -> str:
    texts = [label.text() for label in pane.findChildren(QLabel) if label.isVisible()]
    return "\n".join(texts + [button.text() for button in pane.findChildren(QAbstractButton) if button.isVisible()])


def colors_of(pane: QWidget) -> set[str]:
    image = pane.grab().toImage()
    return {image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)}


def test_that_the_panes_have_their_own_title_and_place() -> None:
    assert len(PANES) >= 4
    assert len({pane.title for pane in PANES}) == len({pane.order for pane in PANES}) == len(PANES)
    assert all(pane.about for pane in PANES)


def test_that_it_opens_without_a_run_and_says_what_to_do(kit: Kit, kind: type[Pane]) -> None:
    pane = kit.open(kind)
    kit.pump()
    assert not pane.grab().isNull()
    words = said(pane).lower()
    assert any(verb in words for verb in ("choose", "train", "open"))
    assert any(button.isVisible() and button.isEnabled() for button in pane.findChildren(QAbstractButton))


def test_that_it_bears_a_run_that_can_do_little(kit: Kit, kind: type[Pane]) -> None:
    kit.look_at(run_info(method="rotation", capabilities=()))
    pane = kit.open(kind)
    kit.pump()
    if set(kind.needs) - set(PLAIN.capabilities):
        assert not [query for query in kit.engine.sent if type(query).__name__ in ("Describe", "Decode", "Encode", "SamplePrior")]
        assert "Choose a run" in said(pane)
    assert not pane.grab().isNull()


def kept_for(run: str, thing: object, seen: set[int], at: str = "") -> list[str]:
    """Where, in what a pane is made of, something is kept under a run's name."""
    if id(thing) in seen or isinstance(thing, (str, bytes, State, Context)):
        return []
    seen.add(id(thing))
    if isinstance(thing, dict):
        own = [f"{at}[{key!r}]" for key in thing if key == run or (isinstance(key, tuple) and run in key)]
        return own + [place for value in thing.values() for place in kept_for(run, value, seen, at)]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [place for value in thing for place in kept_for(run, value, seen, at)]
    if not type(thing).__module__.startswith("app."):
        return []
    return [place for name, value in vars(thing).items() for place in kept_for(run, value, seen, f"{at}.{name}")]


def test_that_it_never_says_of_a_run_with_checkpoints_that_it_has_none(kit: Kit, kind: type[Pane]) -> None:
    """Standing on the pane, another run is chosen at the left; the first checkpoint of a run that trains lands."""
    able = ("encode", "decode", "latents", "posterior", "log_prob", "sample", "views", "classify")
    waits = run_info(THIRD, capabilities=able, checkpoints=())
    kit.look_at(run_info(capabilities=able, status="done"), run_info(OTHER, capabilities=able, status="done"), waits)
    pane = kit.open(kind)
    kit.engine.answering = False  # what is asked for comes later
    for run in (OTHER, RUN):
        kit.state.set_run(run)
        kit.pump()
        assert "No checkpoint yet" not in said(pane), run
    kit.state.set_run(THIRD)
    kit.pump()
    kit.state.checkpoint_saved(THIRD, 16, False)
    kit.pump()
    assert "No checkpoint yet" not in said(pane)


def test_that_it_keeps_nothing_of_a_run_that_is_gone(kit: Kit, kind: type[Pane]) -> None:
    info, other = run_info(capabilities=("encode", "decode", "latents", "posterior", "log_prob", "sample", "views")), run_info(OTHER)
    kit.look_at(info, other)
    pane = kit.open(kind)
    kit.engine.answering = kind.__name__ not in ("EmbeddingPane", "ProbePane", "CurvesPane")  # paper cannot answer these
    kit.pump()
    getattr(pane, "run_views", None)  # begins to exist when it is first looked at
    if kind.__name__ in ("ViewsPane", "LatentPane", "SamplingPane", "LikelihoodPane"):
        assert kept_for(RUN, pane, set()), "it kept nothing to begin with"
    kit.state.set_runs((other,), "/runs")
    kit.pump()
    kit.state.set_run(OTHER)
    kit.pump()
    assert kept_for(RUN, pane, set()) == []


def test_that_it_follows_both_themes_while_open(kit: Kit, kind: type[Pane], qapp) -> None:
    theme.apply_theme(qapp, "dark")
    kit.look_at()
    pane = kit.open(kind)
    if kit.engine.sent and kind.title == "Data":
        kit.bridge.tell(report(pane.job))  # type: ignore[attr-defined]
    kit.pump()
    dark = colors_of(pane)
    theme.apply_theme(qapp, "light")
    kit.state.set_theme("light")
    kit.pump()
    light = colors_of(pane)
    assert theme.DARK.background in dark and theme.LIGHT.background not in dark
    assert theme.LIGHT.background in light and theme.DARK.background not in light
    qapp.setStyleSheet("")


def test_that_it_has_no_style_sheet_of_its_own(kit: Kit, kind: type[Pane]) -> None:
    """A second sheet has every widget below it matched and polished twice when the theme changes."""
    kit.look_at()
    pane = kit.open(kind)
    kit.pump()
    kit.state.set_theme("light")
    assert pane.styleSheet() == ""
    assert not [widget for widget in pane.findChildren(QWidget) if widget.styleSheet()]


@pytest.mark.parametrize("with_run", [False, True])
def test_that_every_widget_that_takes_the_keyboard_has_a_name(kit: Kit, kind: type[Pane], with_run: bool) -> None:
    if with_run:
        kit.look_at()
    pane = kit.open(kind)
    if with_run and kind.title == "Data":
        kit.bridge.tell(report(pane.job, bad_total=0))  # type: ignore[attr-defined]
    kit.pump()
    nameless = []
    for widget in pane.findChildren(QWidget):
        if widget.window() is not pane:
            continue  # the list that a combo box opens
        takes = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        inner = isinstance(widget.parentWidget(), QAbstractScrollArea) or widget.objectName().startswith("qt_")
        if takes and not inner and not widget.accessibleName() and not getattr(widget, "text", lambda: "")():
            nameless.append(widget)
    assert nameless == []


def test_that_closing_leaves_no_timer_and_no_awaited_answer(kit: Kit, kind: type[Pane]) -> None:
    kit.engine.answering = False
    kit.look_at()
    pane = kit.open(kind)
    timers = pane.findChildren(QTimer)
    pane.deactivate()
    pane.close()
    assert not [timer for timer in timers if timer.isActive()]
    assert not kit.bridge._waiting


def test_that_it_outlives_a_run_that_goes_away(kit: Kit, kind: type[Pane]) -> None:
    kit.look_at()
    pane = kit.open(kind)
    kit.pump()
    kit.state.set_runs((), "/runs")
    kit.pump()
    assert kit.state.run is None
    assert not pane.grab().isNull()
    kit.look_at(run_info(RUN))
    kit.pump()
