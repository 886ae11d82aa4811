"""The form of a new run: data that a method cannot learn from are refused with the reason, and the data are those that were meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from engine import messages as m
from engine.data.builtin import built_in
from engine.data.inspecting import describe_data
from engine.method import info
from engine.methods import method_named
from tests.kit.fake_engine import READY, FakeEngine, run
from tests.kit.panes import report

NAMES = ("classifier", "conditional_vae", "diffusion", "discriminant", "fine_tuning", "next_frame", "simclr", "vae")
METHODS = tuple(info(method_named(name)) for name in NAMES)
DATA = (*built_in(), m.DataInfo("/data/plain", "plain", "images", "folder of images"))
OpenWindow = Callable[..., Window]


@pytest.fixture
def form(open_window: OpenWindow, qtbot: QtBot) -> Window:
    runs = tuple(run(name, data=name) for name in ("digits", "shapes"))
    made = open_window((replace(READY, methods=METHODS), m.DataListed(DATA), m.RunsListed(runs, "/runs")))
    qtbot.waitUntil(lambda: made.state.run is not None and made.state.data != {})
    return made


def test_that_only_frames_are_data_for_the_next_frame(form: Window) -> None:
    page = form.new_run_page
    for data in ("digits", "shapes", "photo-patches", "/data/plain"):
        form.new_run("next_frame", data)
        assert not page.start.isEnabled()
        advice = "choose “moving-shapes”, or open clips of your own (frames: clips)."
        assert page.summary.text() == f"Next frame needs frames, and {form.state.data[data].name} has none; {advice}"
    form.new_run("next_frame", "moving-shapes")
    assert page.start.isEnabled()


@pytest.mark.parametrize("method", [one.name for one in METHODS if one.needs == "classes"])
def test_that_images_without_classes_are_refused_where_they_are_known(form: Window, qtbot: QtBot, method: str) -> None:
    page, engine = form.new_run_page, form.bridge.engine
    assert isinstance(engine, FakeEngine)
    form.new_run(method, "/data/plain")
    assert page.start.isEnabled(), "nobody has looked into them"
    engine.say(replace(report(), data="/data/plain", classes=(), class_counts={}))
    qtbot.waitUntil(lambda: not page.start.isEnabled())
    assert page.summary.text() == f"{form.state.methods[method].title} needs classes, and plain has none; choose data with classes."
    form.new_run("vae", "/data/plain")
    assert page.start.isEnabled()


def test_that_captions_and_classes_are_needed_only_where_they_are_asked_for(form: Window) -> None:
    page = form.new_run_page
    form.new_run("diffusion", "digits", {"conditional": True, "condition": "caption"})
    assert page.summary.text() == "Diffusion needs captions where it is conditional, and digits has none; choose data with captions."
    assert not page.start.isEnabled()
    form.new_run("diffusion", "digits", {"conditional": True, "condition": "class"})
    assert page.start.isEnabled()


def test_that_the_built_in_data_have_what_is_said_of_them() -> None:
    assert describe_data("moving-shapes:50").has == describe_data("moving-shapes").has
    assert [one.data for one in built_in() if "frames" in (one.has or ())] == ["moving-shapes"]


def test_that_the_form_starts_with_the_data_of_the_run_or_those_chosen_in_it(form: Window) -> None:
    page = form.new_run_page
    form.choose_run("/runs/shapes")
    form.centre.show_data("photo-patches")
    form.new_run()
    assert page.data_box.currentData() == "shapes", "the page of data was only looked at"
    page.data_box.setCurrentIndex(page.data_box.findData("digits"))
    page.data_box.activated.emit(page.data_box.currentIndex())
    form.centre.show_panes()
    form.new_run()
    assert page.data_box.currentData() == "digits"
    form.choose_run("/runs/digits")
    form.choose_run("/runs/shapes")
    form.new_run()
    assert page.data_box.currentData() == "shapes"
    form.state.open_data("/data/plain")
    form.new_run()
    assert page.data_box.currentData() == "/data/plain"


def test_that_a_set_that_was_just_used_is_the_one_of_the_form_though_the_list_has_it_later(form: Window, qtbot: QtBot) -> None:
    page, engine = form.new_run_page, form.bridge.engine
    assert isinstance(engine, FakeEngine)
    form.new_run("vae", "digits")
    form.centre.show_panes()
    form.state.data_used.emit("/data/fresh")
    form.new_run()
    engine.say(m.DataListed((*DATA, m.DataInfo("/data/fresh", "fresh", "images", "folder of images"))))
    qtbot.waitUntil(lambda: page.data_box.currentData() == "/data/fresh")
    form.new_run("vae", "/data/none")  # and what was chosen by hand meanwhile stays
    page.data_box.setCurrentIndex(page.data_box.findData("shapes"))
    page.data_box.activated.emit(page.data_box.currentIndex())
    engine.say(m.DataListed((*DATA, m.DataInfo("/data/none", "none", "images", "folder of images"))))
    qtbot.waitUntil(lambda: "/data/none" in form.state.data)
    assert page.data_box.currentData() == "shapes"


def test_that_settings_of_colour_are_offered_for_images_in_colour_only(form: Window, qtbot: QtBot) -> None:
    page, engine = form.new_run_page, form.bridge.engine
    assert isinstance(engine, FakeEngine)

    def offered() -> set[str]:
        return {name for group in page.groups for name, row in group.rows.items() if row.field.of_colour and not row.editor.isHidden()}

    all_of_them = {"saturation", "hue", "grey"}
    for data, grey in (("shapes", False), ("digits", True), ("photo-patches", False), ("moving-shapes", True), ("/data/plain", False)):
        form.new_run("simclr", data)
        assert offered() == (set() if grey else all_of_them), data
    form.new_run("simclr", "/data/plain", {"hue": 0.3})
    assert page.request().config == {"hue": 0.3}
    engine.say(replace(report(), data="/data/plain"))  # it has one channel
    qtbot.waitUntil(lambda: offered() == set())
    assert page.request().config == {}
    engine.say(replace(report(), data="/data/plain", shape=(3, 8, 8)))
    qtbot.waitUntil(lambda: offered() == all_of_them)
    grey_name = '/data/plain?{"colour": "grey"}'
    engine.say(m.DataListed((*DATA, m.DataInfo(grey_name, "plain", "images", "folder of images"))))
    qtbot.waitUntil(lambda: grey_name in form.state.data)
    form.new_run("simclr", grey_name)
    assert offered() == set()
