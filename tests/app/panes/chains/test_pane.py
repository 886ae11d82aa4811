"""The Chains pane, fed with chains of the engine: what it asks, what it draws, what stays when a slider moves, what it writes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QColor, QFontMetrics
from PySide6.QtWidgets import QScrollArea

from app.panes.chains.figures_card import verdict, written
from app.panes.chains.pane import ChainsPane
from app.panes.chains.plots import MASSES, BandKey, band_image, band_levels
from app.panes.chains.settings import ChainSettings
from app.shell.theme import CATEGORIES, DARK, LIGHT, contrast
from app.widgets.colors import shade
from engine import messages as m
from engine.queries.session import QuerySession
from tests.kit.panes import Kit
from tests.kit.text_fit import exceeds, listening

SESSION = QuerySession()


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> Any:
    made: Any = kit.open(ChainsPane)
    made.film._tick.stop()  # the tests move the film themselves
    return made


def asked(kit: Kit) -> m.RunChains:
    return kit.engine.of(m.RunChains)[-1]


def answer(kit: Kit, count: int | None = None, work: m.RunChains | None = None) -> list[Any]:
    """Tell the first events of the newest work, or all and its end."""
    work = work or asked(kit)
    events = [event for event in SESSION.work(replace(work, steps=work.steps)) if event is not None]
    for event in events[:count]:
        kit.bridge.tell(event)
    if count is None:
        kit.bridge.tell(m.Ended(work.job, "ok", ""))
    return events


def change(kit: Kit, pane: Any, **values: Any) -> None:
    """As a person moves the controls."""
    pane.film.change(replace(pane.film.settings, **values), soon=False)


def ticks(pane: Any, count: int) -> None:
    for _ in range(count):
        pane.film._advance()


def test_that_it_runs_chains_when_it_is_seen_and_needs_no_run(kit: Kit, pane: Any):
    assert kit.state.run is None
    work = asked(kit)
    assert {name: getattr(work, name) for name in asdict(ChainSettings())} == asdict(ChainSettings())
    pane.deactivate()
    pane.activate()
    assert len(kit.engine.of(m.RunChains)) == 1, "what is there is not asked for again"


def test_that_the_chains_walk_tick_by_tick_as_far_as_they_have_come(kit: Kit, pane: Any):
    change(kit, pane, steps=200)
    events = answer(kit, 4)  # the beginning and three times two steps
    assert pane.film.received == 6 and pane.film.position == 0
    ticks(pane, 2)
    assert pane.film.position == 4
    assert np.array_equal(pane.plane.walks[:, 1:5], np.concatenate([event.x for event in events[1:3]], 1))
    ticks(pane, 9)
    assert pane.film.position == 6 and pane.film.playing, "it waits for what is to come"
    answer(kit)
    ticks(pane, 300)
    assert pane.film.position == 200 and not pane.film.playing
    assert pane.play_button.text() == "Again"


def test_that_figures_are_of_the_steps_that_are_seen(kit: Kit, pane: Any):
    events = [event for event in answer(kit) if isinstance(event, m.ChainsMoved)]
    pane.film.wind(305)
    figures = next(event.figures for event in events if event.done == 300)
    texts = pane.figures.texts()
    assert texts["rhat", 0] == written("rhat", figures.rhat[0]) and texts["ess", 1] == written("ess", figures.ess[1])
    assert texts["mean_exact", 0] == "0.00" and texts["deviation_exact", 0] == "2.00"
    assert pane.figures.acceptance.text().startswith(f"{100 * figures.acceptance:.1f}")
    assert "After 300 steps" in pane.status.text
    pane.film.wind(0)
    assert pane.figures.texts()["rhat", 0] == "–" and "Choose a density" in pane.status.text


def test_that_a_slider_keeps_the_noise_and_the_place_and_old_answers_are_dropped(kit: Kit, pane: Any):
    first = asked(kit)
    answer(kit)
    pane.film.wind(120)
    pane.settings.step_size.setValue(20)
    assert pane.film._ask.isActive(), "soon, not at every pixel of the slider"
    pane.film.ask()
    work = asked(kit)
    assert (work.step_size, work.seed, work.target) == (0.2, first.seed, first.target) and work.job != first.job
    assert work.channel == first.channel, "so that the older one ends"
    before = pane.film.x.copy()
    answer(kit)
    found = pane.film.x.copy()
    assert pane.film.position == 120 and not np.array_equal(found, before)
    answer(kit, None, first)  # late
    assert np.array_equal(pane.film.x, found) and pane.film.began.job == work.job
    pane.settings.take_next_seed()
    assert pane.film.settings.seed == first.seed + 1 and pane.film.wanted == 0, "other chains begin at their beginning"


def test_that_play_pause_step_and_wind_do_what_they_say(kit: Kit, pane: Any):
    answer(kit)
    pane.play_button.click()
    assert not pane.film.playing and pane.play_button.text() == "Play"
    pane.step_button.click()
    pane.step_button.click()
    assert pane.film.position == 2 and pane.label.text() == "2 of 1\u202f000"
    pane.slider.setValue(700)
    assert pane.film.position == 700 and not pane.film.playing
    pane.play_button.click()
    pane.film._tick.stop()
    ticks(pane, 1)
    assert pane.film.position == 702
    pane.film.wind(1000)
    pane.play_button.click()
    assert pane.film.position == 0 and pane.film.playing, "again from the beginning"


def test_that_every_chain_has_its_colour_and_the_density_its_bands(kit: Kit, pane: Any):
    answer(kit)
    pane.film.wind(400)
    image = pane.plane.figure().image(1)
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert {shade(color, DARK).name() for color in CATEGORIES[:4]} <= seen
    pane.film.x[:] = 1e9  # nothing of the chains is within
    pane.draw()
    image = pane.plane.figure().image(1)
    place = pane.plane.plot()
    middle = image.pixelColor(round(pane.plane.to_x(0)), round(pane.plane.to_y(-1.6)))
    corner = image.pixelColor(round(place.left() + 4), round(place.bottom() - 4))
    assert middle.name() != corner.name() and abs(QColor(DARK.accent).hue() - middle.hue()) < 15


def test_that_bands_hold_the_shares_of_probability_that_they_say():
    """Of a standard normal in the plane the region of share m ends where log p is ln(1 - m) below its peak."""
    side = np.linspace(-5, 5, 401)
    x, y = np.meshgrid(side, side)
    wanted = [math.log1p(-share) for share in MASSES]
    assert band_levels(-(x**2 + y**2) / 2) == pytest.approx(wanted, abs=0.02)


def test_that_words_follow_from_figures():
    good = m.ChainFigures(500, 0.8, (900.0, 800.0), (1.001, 1.002), (0.0, 0.0), (1.0, 1.0))
    hmc, ula = ChainSettings(), ChainSettings(sampler="ula")
    assert verdict(good, hmc)[1] == "good" and "800" in verdict(good, hmc)[0]
    assert "larger" in verdict(replace(good, acceptance=0.999), hmc)[0]
    assert "wider" in verdict(replace(good, acceptance=1.0), ula)[0]
    assert "disagree" in verdict(replace(good, rhat=(1.2, 1.0)), hmc)[0]
    assert "only 90" in verdict(replace(good, ess=(90.0, 800.0)), hmc)[0]
    assert "smaller" in verdict(replace(good, acceptance=0.01), hmc)[0]
    assert "runs away" in verdict(replace(good, acceptance=0.5), ula)[0]
    unknown = replace(good, rhat=(math.nan, math.nan))
    assert "too few" in verdict(replace(unknown, steps=15), hmc)[0] and "does not vary" in verdict(unknown, hmc)[0]


def test_that_a_failure_is_said_where_the_chains_are(kit: Kit, pane: Any):
    kit.bridge.tell(m.Ended(asked(kit).job, "failed", "The chains of chains can be from 1 to 16, not 99."))
    assert (pane.status.level, "from 1 to 16" in pane.status.text) == ("bad", True)
    change(kit, pane, chains=2)
    pane._settings_changed()
    answer(kit)
    assert pane.status.level != "bad"


def test_that_what_is_seen_can_be_saved_as_picture_and_table(kit: Kit, pane: Any, tmp_path):
    events = answer(kit)
    pane.film.wind(50)
    pane.save(str(tmp_path / "chains.csv"))
    text = (tmp_path / "chains.csv").read_text(encoding="utf-8")
    assert "# sampler: hmc" in text and "# step: 50" in text
    rows = list(csv.reader(io.StringIO("".join(line for line in text.splitlines(keepends=True) if not line.startswith("#")))))
    assert rows[0] == ["chain", "step", "x", "y"] and len(rows) == 1 + 4 * 51
    x = np.concatenate([event.x for event in events if isinstance(event, m.ChainsMoved)], 1)
    assert [float(value) for value in rows[51][2:]] == x[0, 49].tolist()
    pane.save(str(tmp_path / "chains.png"))
    with Image.open(tmp_path / "chains.png") as picture:
        assert picture.info["target"] == "banana" and picture.width == 3 * pane.left.width()
    pane.save(str(tmp_path / "nowhere" / "chains.svg"))
    assert pane.status.level == "bad"


def test_that_closing_ends_the_work(kit: Kit, pane: Any):
    kit.engine.answering = False
    work = asked(kit)
    kit.close(pane)
    assert [stop.job for stop in kit.engine.of(m.StopJob)] == [work.job]
    assert not pane.film._tick.isActive() and not pane.film._ask.isActive()


@pytest.mark.parametrize("colors", [DARK, LIGHT])
def test_that_each_band_is_told_from_the_next_in_both_themes(colors: Any):
    side = np.linspace(-5, 5, 201)
    x, y = np.meshgrid(side, side)
    image = band_image(-(x**2 + y**2) / 2, colors)
    row = [image.pixelColor(place, 100).name() for place in range(101)]  # from outside to the peak
    met = list(dict.fromkeys(row))
    assert len(met) == 1 + len(MASSES) and met[0] == QColor(colors.background).name()
    assert all(contrast(a, b) > 1.2 for a, b in pairwise(met))


@pytest.mark.parametrize(
    ("target", "width", "height"), [("banana", 760, 640), ("ring", 760, 640), ("banana", 900, 356), ("ring", 900, 356)]
)
def test_that_the_charts_fill_their_column_and_nothing_scrolls(kit: Kit, target: str, width: int, height: int):
    pane: Any = kit.open(ChainsPane)
    pane.film._tick.stop()
    change(kit, pane, target=target)
    answer(kit)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(pane)
    area.resize(width, height)
    area.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    area.show()
    try:
        for _ in range(4):
            QCoreApplication.sendPostedEvents()
            pane.grab()
        pane.draw()
        assert area.verticalScrollBar().maximum() == 0, "it shrinks before it scrolls"
        canvas = pane.left
        parts = [part.geometry() for part in (pane.plane, *pane.traces)]
        assert all(canvas.rect().contains(part) for part in parts)
        for trace in pane.traces:
            (_, first), (end, last) = below = trace.names_below(QFontMetrics(trace._small))
            assert first + QFontMetrics(trace._small).horizontalAdvance(below[0][0]) < last and end == "to 1\u202f000"
        assert not any(a.intersects(b) for i, a in enumerate(parts) for b in parts[:i])
        used = sum(part.width() * part.height() for part in parts) / (canvas.width() * canvas.height())
        plot = pane.plane.plot()
        frame = pane.plane.frame()
        taken = (plot.width() + frame.width()) * (plot.height() + frame.height()) / (pane.plane.width() * pane.plane.height())
        assert used > 0.93 and taken > 0.5
        assert plot.width() / plot.height() == pytest.approx((pane.plane.high - pane.plane.low) / (pane.plane.top - pane.plane.bottom))
    finally:
        area.takeWidget()
        area.close()
        area.deleteLater()


@pytest.mark.parametrize("width", [150, 240, 300, 600])
def test_that_every_word_of_the_key_is_seen_however_narrow_it_is(qapp, width: int) -> None:
    key = BandKey()
    key.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    key.resize(width, 18)
    key.show()
    with listening() as heard:
        key.grab()
    assert [text for _, _, _, text, _ in heard.texts] == ["bands hold", *(f"{100 * share:.0f} %" for share in MASSES)]
    for _, wanted, room, text, _ in heard.texts:
        assert not exceeds(wanted, room) and room.right() <= width + 1 and room.bottom() <= key.height(), text
    assert (key.height() == 18) is (width == 600)
    key.close()
    key.deleteLater()


def test_that_the_chains_are_saved_as_a_film_from_their_starts_to_what_is_seen(kit: Kit, pane: Any, tmp_path):
    pane.save_film(str(tmp_path / "early.gif"))
    assert "Nothing to save" in pane.status.text and not (tmp_path / "early.gif").exists()
    answer(kit)
    pane.film.wind(40)
    pane.save_film(str(tmp_path / "chains.gif"))
    assert pane.film.position == 40 and "Saved as chains.gif" in pane.status.text
    with Image.open(tmp_path / "chains.gif") as film:
        count, told = getattr(film, "n_frames", 1), json.loads(film.info["comment"])
        first = np.asarray(film.convert("RGB"))
        film.seek(count - 1)
        last = np.asarray(film.convert("RGB"))
    assert 10 < count <= 48 and film.info["loop"] == 0 and told["step"] == 40
    assert first.shape == last.shape and (first != last).any()
