"""The Embedding pane, fed with maps of real digits: what it asks, what it draws, what it says and what it writes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QGuiApplication
from PySide6.QtTest import QTest

from app.panes.embedding.lasso_page import EMPTY, LassoPage
from app.panes.embedding.map_controls import CHANGED
from app.panes.embedding.map_controls import OTHER as OTHER_DATA
from app.panes.embedding.map_legend import ColorClasses, ColorScale, class_color, look_of
from app.panes.embedding.pane import SCORES, EmbeddingPane
from app.shell import theme
from app.shell.application import prepare
from app.shell.formatting import count
from app.widgets.curation_menu import CurationMenu
from engine import messages as m
from tests.kit import paper_map
from tests.kit.panes import ANSWERS, OTHER, PLAIN, RUN, WORKS, Kit, digits, run_info
from tests.kit.text_fit import exceeds, listening, overlaps

SETS = (
    m.DataInfo("digits", "digits", "images", "1 797", True),
    m.DataInfo("shapes", "shapes", "images", "10 000", True),
    m.DataInfo("pydoc-text", "pydoc-text", "text", "bytes", True),
)
N = 120


@pytest.fixture
def kit(qapp, monkeypatch) -> Iterator[Kit]:
    monkeypatch.setattr(paper_map, "MOST", N)
    for kind, answer in ((m.Embed, paper_map.embed), (m.ColorPoints, paper_map.colour), (m.Calibrate, paper_map.calibrate)):
        monkeypatch.setitem(WORKS, kind, answer)
    monkeypatch.setitem(ANSWERS, m.PlaceImage, paper_map.place)
    made = Kit()
    made.state.set_data(SETS)
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> EmbeddingPane:
    made = kit.open(EmbeddingPane)
    assert isinstance(made, EmbeddingPane)
    kit.look_at(run_info(), run_info(OTHER))
    rest(kit, made)
    return made


def rest(kit: Kit, pane: EmbeddingPane) -> None:
    """What the timers would do by and by."""
    if pane._settling.isActive():
        pane._settle()
    kit.pump()
    pane.page.map.arrive()
    kit.pump()


def asked(kit: Kit) -> list[tuple[str, int | None]]:
    return [(work.settings.kind, work.subset.step) for work in kit.engine.of(m.Embed)]


def at_point(pane: EmbeddingPane, i: int) -> QPoint:
    assert pane.points.drawn is not None
    return pane.page.map.to_screen(pane.points.drawn.places[i]).toPoint()


# -- what is asked -------------------------------------------------------------------------------------------------------


def test_that_the_map_of_2000_validation_images_is_drawn_by_itself(kit: Kit, pane: EmbeddingPane) -> None:
    assert asked(kit) == [("pca", 1024), ("umap", 1024)]
    work = kit.engine.of(m.Embed)[-1]
    assert (work.subset.data, work.subset.split, work.subset.limit) == ("", "valid", 2000)
    event = pane.points.drawn
    assert event is not None and np.array_equal(pane.page.map.places, event.places)
    assert not pane.page.stop_button.isVisible() and pane.page.status.text.startswith(f"{N} validation images.")


def test_that_changed_settings_wait_until_they_are_drawn_by_hand(kit: Kit, pane: EmbeddingPane) -> None:
    before, controls = len(asked(kit)), pane.page.controls
    controls.neighbours.setFocus()
    controls.neighbours.selectAll()
    QTest.keyClicks(controls.neighbours, "7")
    controls.split.setCurrentIndex(2)
    controls.split.activated.emit(2)
    assert controls.notice.text() == CHANGED == "Settings changed – run again"
    rest(kit, pane)
    assert len(asked(kit)) == before and pane.points.drawn is not None
    QTest.mouseClick(controls.draw_button, Qt.MouseButton.LeftButton)
    assert controls.notice.text() == ""
    rest(kit, pane)
    work = kit.engine.of(m.Embed)[-1]
    assert (work.settings.neighbours, work.subset.split, work.warm) == (7, "train", False)
    assert pane.points.drawn.neighbours.shape[1] == 7
    QTest.keyClicks(controls.neighbours, "7")
    QTest.keyClick(controls.neighbours, Qt.Key.Key_Backspace)
    assert controls.notice.text() == "", "what was changed back is not changed"


def test_that_every_setting_reaches_the_engine(kit: Kit, pane: EmbeddingPane) -> None:
    controls = pane.page.controls
    assert [controls.data.itemText(i) for i in range(controls.data.count())] == ["its own: digits", "digits", "shapes", "other data…"]
    for box, data in ((controls.data, "shapes"), (controls.split, "test"), (controls.limit, 500), (controls.kind, "pca")):
        box.setCurrentIndex(box.findData(data))
        box.activated.emit(box.currentIndex())
    assert not controls.min_dist.isEnabled() and not controls.seed.isEnabled(), "those are UMAP’s"
    controls.kind.setCurrentIndex(0)
    controls.kind.activated.emit(0)
    for field, text in ((controls.neighbours, "9"), (controls.min_dist, "0.35"), (controls.seed, "12")):
        field.selectAll()
        QTest.keyClicks(field, text)
    QTest.keyClick(controls.seed, Qt.Key.Key_Return)
    work = kit.engine.of(m.Embed)[-1]
    assert work.subset == m.Subset(RUN, 1024, "shapes", "test", 500)
    assert work.settings == m.MapSettings("umap", 9, 0.35, 12)


def test_that_half_typed_numbers_are_taken_for_the_least_ones(kit: Kit, pane: EmbeddingPane) -> None:
    controls = pane.page.controls
    for field in (controls.neighbours, controls.min_dist, controls.seed):
        field.clear()
    assert controls.value().settings == m.MapSettings("umap", 2, 0.0, 0)
    controls.min_dist.setText("0,25")
    assert controls.value().settings.min_dist == 0.25


def test_that_other_data_can_be_opened_from_the_list(kit: Kit, pane: EmbeddingPane) -> None:
    box = pane.page.controls.data
    box.setCurrentIndex(box.findData(OTHER_DATA))
    box.activated.emit(box.currentIndex())
    assert kit.triggered == ["data.open"] and box.currentData() == ""


def test_that_the_time_cursor_morphs_the_map_once_it_rests(kit: Kit, pane: EmbeddingPane, monkeypatch) -> None:
    moved = []
    monkeypatch.setattr(pane.page.map, "move_to", lambda places, milliseconds=400: moved.append(places))
    before = len(asked(kit))
    for step in (4, 8, 64):
        kit.state.set_cursor(step)
    assert len(asked(kit)) == before and pane.points.drawn is not None
    rest(kit, pane)
    assert asked(kit)[before:] == [("umap", 64)] and kit.engine.of(m.Embed)[-1].warm
    assert len(moved) == 1 and np.array_equal(moved[0], pane.points.drawn.places)
    assert f"step {count(64)}" in " ".join(pane.page.words.lines) and "continued from the map before" in " ".join(pane.page.words.lines)


def test_that_the_map_ends_at_the_newest_step_whatever_was_passed_on_the_way(kit: Kit, pane: EmbeddingPane) -> None:
    kit.engine.answering = False
    for step in (8, 16, 64):
        kit.state.set_cursor(step)
        pane._settle()
    assert [work.subset.step for work in kit.engine.of(m.Embed)][-1] == 8
    kit.engine.answering = True
    kit.engine.reply(kit.engine.open.pop())
    kit.pump()
    assert pane.points.drawn is not None and pane.points.drawn.subset.step == 64
    assert 16 not in [work.subset.step for work in kit.engine.of(m.Embed)]


def test_that_a_live_run_is_followed_with_patience(kit: Kit, pane: EmbeddingPane, monkeypatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("app.shell.job_controller.monotonic", lambda: clock[0])
    kit.engine.answering = False
    pane.controller._rests_until = 0.0
    kit.state.checkpoint_saved(RUN, 1500, True)
    pane._settle()
    slow = kit.engine.of(m.Embed)[-1]
    assert slow.subset.step == 1500
    for step in (1600, 1700):  # while it is under way
        clock[0] += 10
        kit.state.checkpoint_saved(RUN, step, True)
        assert not pane._settling.isActive()
    assert kit.engine.of(m.Embed)[-1] is slow
    kit.engine.answering = True
    kit.pump()
    assert pane._resting.isActive() and 19_000 < pane._resting.interval() < 21_000, "as long as it took"
    clock[0] += 21
    pane._settle()  # what the timer does
    rest(kit, pane)
    assert asked(kit)[-1] == ("umap", 1700)
    kit.state.set_cursor(64)  # by hand: at once
    rest(kit, pane)
    assert asked(kit)[-1] == ("umap", 64)


def test_that_stop_ends_it_at_once_and_the_map_stays(kit: Kit, pane: EmbeddingPane) -> None:
    kit.engine.answering = False
    pane.page.controls.seed.setText("5")
    pane.draw()
    job = kit.engine.of(m.Embed)[-1].job
    assert pane.page.controls.notice.text() == ""
    kit.bridge.tell(m.Progress(job, RUN, 120, 300, "epoch", 90.0, 2.0, "Laying out"))
    assert pane.page.status.text == "Laying out: epoch 120 of 300" and pane.page.stop_button.isVisible()
    QTest.mouseClick(pane.page.stop_button, Qt.MouseButton.LeftButton)
    assert [sent.job for sent in kit.engine.of(m.StopJob)] == [job]
    assert not pane.page.stop_button.isVisible() and pane.page.status.text.startswith("Stopped.")
    assert pane.points.drawn is not None and len(pane.page.map.places) == N
    assert pane.page.controls.notice.text() == CHANGED, "the map on screen still has the old seed"
    asked_for = len(asked(kit))
    kit.state.checkpoint_saved(RUN, 1500, True)
    rest(kit, pane)
    assert len(asked(kit)) == asked_for, "also for the checkpoints to come"


def test_that_a_hidden_pane_asks_and_draws_nothing(kit: Kit, pane: EmbeddingPane) -> None:
    pane.deactivate()
    before, shown = len(asked(kit)), pane.points.drawn
    kit.state.set_cursor(4)
    pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    assert len(asked(kit)) == before and pane.points.drawn is shown and not kit.engine.of(m.PlaceImage)
    pane.activate()
    rest(kit, pane)
    assert asked(kit)[-1] == ("umap", 4) and pane.points.drawn.subset.step == 4 and pane.page.map.flights.all


def test_that_another_run_in_the_middle_ends_the_work_and_drops_late_maps(kit: Kit, pane: EmbeddingPane) -> None:
    kit.engine.answering = False
    pane.points.select(np.arange(5))
    pane.draw()
    late = kit.engine.open.pop()
    kit.state.set_run(OTHER)
    assert late.job in {sent.job for sent in kit.engine.of(m.StopJob)}
    assert pane.points.drawn is None and not len(pane.page.map.places) and pane.points.selection is None
    assert not pane.page.words.isVisible() and not pane.page.legend_card.isVisible()
    kit.engine.reply(late)
    kit.bridge.drain()
    assert pane.points.drawn is None
    kit.engine.answering = True
    rest(kit, pane)
    assert pane.points.drawn is not None and pane.points.drawn.subset.run == OTHER


def test_that_closing_in_the_middle_leaves_no_job_and_no_timer(kit: Kit, pane: EmbeddingPane) -> None:
    kit.engine.answering = False
    pane.accept_image("/home/me/seven.png")
    pane.draw()
    kit.state.set_cursor(8)
    job = kit.engine.of(m.Embed)[-1].job
    kit.close(pane)
    assert job in {sent.job for sent in kit.engine.of(m.StopJob)} and not kit.bridge._waiting
    assert not any(timer.isActive() for timer in (pane._settling, pane._resting, pane.page.map._timer))
    kit.engine.events.append(m.Ended(job, "stopped", "Stopped."))
    kit.bridge.drain()


def test_that_what_cannot_be_drawn_says_why_and_what_to_do(kit: Kit) -> None:
    pane = kit.open(EmbeddingPane)
    assert isinstance(pane, EmbeddingPane)
    assert pane.empty.title.text() == "No run chosen" and "Choose a run" in pane.empty.text.text()
    assert not pane.accept_image("/home/me/seven.png")
    kit.state.methods["text"] = m.MethodInfo("text", "Text net", "", "exact", "iterative", False, ("encode",), "", "", "", (), "text")
    kit.state.methods["gan"] = replace(PLAIN, name="gan", title="GAN", capabilities=("sample",))
    for info, words in (
        (run_info("/runs/t", method="text"), "reads text"),
        (run_info("/runs/g", method="gan"), "cannot encode images"),
        (run_info("/runs/n", checkpoints=()), "The map appears by itself"),
        (run_info("/runs/f", fault="Its weights are damaged. Train it again."), "Its weights are damaged."),
    ):
        kit.look_at(info)
        rest(kit, pane)
        assert words in f"{pane.empty.title.text()}. {pane.empty.text.text()}" and pane.stack.currentWidget() is pane.empty
    assert not asked(kit)


def test_that_too_few_images_are_told_where_the_map_would_be(kit: Kit, monkeypatch) -> None:
    pane = kit.open(EmbeddingPane)
    assert isinstance(pane, EmbeddingPane)
    kit.engine.answering = False
    kit.look_at()
    pane._settle()
    words = "The split holds 4 images, and a map needs 16. Choose another split."
    kit.engine.events.append(m.Ended(kit.engine.of(m.Embed)[-1].job, "failed", words))
    kit.bridge.drain()
    assert (pane.page.status.text, pane.page.status.level) == (words, "bad") and pane.page.map.hint == words
    assert not pane.page.stop_button.isVisible() and pane.page.controls.draw_button.isEnabled()


# -- what is drawn -------------------------------------------------------------------------------------------------------


def test_that_the_legend_counts_the_classes_and_a_click_dims_the_others(kit: Kit, pane: EmbeddingPane) -> None:
    legend, labels = pane.page.legend, digits()[1][:N]
    assert legend.counts.tolist() == np.bincount(labels).tolist()
    assert f"3: {(labels == 3).sum()}" in legend.accessibleDescription()
    colors = [legend.grab().toImage().pixelColor(10, round(21 * (row + 0.5))).name() for row in range(3)]
    assert colors == [class_color(row, theme.DARK).name() for row in range(3)]
    QTest.mouseClick(legend, Qt.MouseButton.LeftButton, pos=QPoint(60, 21 * 3 + 8))
    assert np.array_equal(pane.page.map.point_style.selected, labels == 3)
    QTest.mouseClick(legend, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, QPoint(60, 21 * 5 + 8))
    assert np.array_equal(pane.page.map.point_style.selected, (labels == 3) | (labels == 5))
    assert legend.inside is not None and legend.inside[5] == (labels == 5).sum() and legend.inside[0] == 0
    for _ in range(2):
        QTest.mouseClick(legend, Qt.MouseButton.LeftButton, pos=QPoint(60, 21 * 3 + 8))
    assert pane.page.map.point_style.selected is None and not legend.chosen
    legend.setFocus()
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Space):
        QTest.keyClick(legend, key)
    assert np.array_equal(pane.page.map.point_style.selected, labels == 2)


def test_that_points_have_the_colours_and_shapes_of_the_legend(kit: Kit, pane: EmbeddingPane) -> None:
    labels = digits()[1][:N]
    inks, markers = pane.page.map.point_style.inks, pane.page.map.point_style.markers
    assert inks is not None and markers is not None and np.array_equal(markers, labels)
    for i in (0, 5, 9):
        color = class_color(int(labels[i]), theme.DARK)
        assert inks[i].tolist() == [color.red(), color.green(), color.blue()]


def test_that_quantities_have_a_scale_with_its_unit(kit: Kit, pane: EmbeddingPane) -> None:
    pane.color_by("loss")
    rest(kit, pane)
    scale = pane.page.legend.colors
    assert isinstance(scale, ColorScale) and scale.unit == "nat" and pane.page.map.point_style.markers is None
    assert scale.low == pytest.approx(np.percentile(np.linspace(0.1, 3.4, N), 1), rel=1e-5)
    assert pane.page.legend_heading.text() == f"LOSS · STEP {count(1024)}"
    assert pane.page.legend.accessibleDescription().endswith("nat")
    rgb = look_of(ColorScale("", np.array([0.0, 1.0, np.nan])), theme.DARK)[0]
    assert rgb.tolist() == [[68, 1, 84], [253, 231, 37], list(QColor(theme.DARK.muted).getRgb()[:3])]  # type: ignore[index]


def test_that_points_without_classes_have_one_colour(kit: Kit, pane: EmbeddingPane, monkeypatch) -> None:
    bare = {"labels": None, "classes": (), "names": (), "knn_features": None, "knn_map": None}
    monkeypatch.setitem(WORKS, m.Embed, lambda engine, work: [paper_map.embedded(work.job, work.subset, work.settings, **bare)])
    kit.state.set_run(OTHER)
    rest(kit, pane)
    assert pane.page.map.point_style.inks is None and not pane.page.legend_card.isVisible() and pane.page.title == "no classes"
    assert not any("kNN" in line for line in pane.page.words.lines)
    pane.points.pin(4)
    assert pane.page.hover_card.title.text() == "image 12"


def test_that_one_can_colour_by_whatever_the_run_has(kit: Kit, pane: EmbeddingPane) -> None:
    box = pane.page.colored_by

    def choices() -> list[str]:
        return [box.itemText(i) for i in range(box.count())]

    assert choices() == ["by class", "by clusters", "by loss", "by scores…"]
    box.setCurrentIndex(box.findData(SCORES))
    box.activated.emit(box.currentIndex())
    rest(kit, pane)
    assert choices() == ["by class", "by clusters", "by loss", "by kNN feature distance"], "what lacks its background is left out"
    assert box.currentData() == "class" and "choose one to colour by" in pane.page.status.text
    pane.color_by("knn")
    rest(kit, pane)
    assert kit.engine.of(m.ColorPoints)[-1].by == "knn" and pane.page.title == f"kNN feature distance · step {count(1024)}"
    kit.state.methods["classifier"] = replace(PLAIN, name="classifier", title="Classifier", capabilities=("encode", "classify"))
    kit.look_at(run_info("/runs/c", method="classifier"))
    rest(kit, pane)
    assert choices()[2] == "by prediction"
    kit.look_at(run_info("/runs/r", method="rotation"))
    assert "by loss" not in choices(), "its loss belongs to a batch"


def test_that_clusters_are_counted_and_told_in_words(kit: Kit, pane: EmbeddingPane) -> None:
    pane.color_by("clusters")
    rest(kit, pane)
    assert pane.page.clusters.isVisible() and kit.engine.of(m.ColorPoints)[-1].clusters == 10
    pane.page.clusters.setText("3")
    QTest.keyClick(pane.page.clusters, Qt.Key.Key_Return)
    rest(kit, pane)
    kinds = pane.page.legend.colors
    assert isinstance(kinds, ColorClasses) and kinds.names == ("cluster 1", "cluster 2", "cluster 3")
    assert pane.page.legend_note.text == "NMI with the classes 0.74."
    pane.color_by("class")
    assert not pane.page.clusters.isVisible() and not pane.page.legend_note.isVisible()


def test_that_colours_say_of_which_step_they_are_and_follow_the_cursor(kit: Kit, pane: EmbeddingPane) -> None:
    pane.color_by("loss")
    rest(kit, pane)
    kit.state.set_cursor(64)
    rest(kit, pane)
    assert kit.engine.of(m.ColorPoints)[-1].subset.step == 64 and pane.page.title == "loss · step 64"


def test_that_trust_shows_how_many_neighbours_survived(kit: Kit, pane: EmbeddingPane) -> None:
    assert pane.page.map.point_style.opacity is None and pane.points.drawn is not None
    pane.page.trust.click()
    assert np.array_equal(pane.page.map.point_style.opacity, pane.points.drawn.survived)
    kit.state.set_cursor(64)
    rest(kit, pane)
    assert np.array_equal(pane.page.map.point_style.opacity, pane.points.drawn.survived)
    pane.page.trust.click()
    assert pane.page.map.point_style.opacity is None


def test_that_the_map_says_how_far_it_is_to_be_trusted(kit: Kit, pane: EmbeddingPane) -> None:
    event, words = pane.points.drawn, pane.page.words
    assert event is not None
    kept = round(100 * float(event.survived.mean()))
    assert words.lines == (
        f"trustworthiness {event.trustworthiness:.3f}",
        f"{kept}\u202f% of each point’s 15 true neighbours are neighbours here, on average",
        "kNN finds the class of 94.2\u202f% by features (119 votes), 91.0\u202f% on the map (15 votes)",
        f"UMAP · 12 features · step {count(1024)}",
        "seed 0 · 2.3 s · begun afresh",
    )
    assert words.shown() == (f"▸ {words.lines[0]}",) and words.height() < 40, "it hides few points until somebody asks"
    QTest.mouseClick(words, Qt.MouseButton.LeftButton)
    assert words.shown() == (f"▾ {words.lines[0]}", *words.lines[1:])
    pane.draw()
    rest(kit, pane)
    assert not words.folded, "the choice stays for the next map"
    QTest.keyClick(words, Qt.Key.Key_Space)
    assert words.folded and words.height() < 40
    controls = pane.page.controls
    controls.kind.setCurrentIndex(1)
    pane.draw()
    rest(kit, pane)
    first, second = (round(100 * share, 1) for share in pane.points.drawn.explained)
    assert f"the two axes hold {first}\u202f% + {second}\u202f% of the variance" in words.lines


def test_that_the_words_lie_where_they_hide_few_points(kit: Kit, pane: EmbeddingPane) -> None:
    event = pane.points.drawn
    assert event is not None
    places = np.full((N, 2), 0.9, np.float32)
    places[: N // 2] = (0.0, 0.05)
    places[0], places[1], places[2] = (0, 0), (1, 1), (1, 0.3)
    pane.page.put_words(replace(event, places=places))
    assert pane.page.words.right and not pane.page.words.top
    assert pane.page.words.geometry().right() <= pane.page.map.width()


def test_that_the_card_shows_a_point_with_its_true_neighbours_and_links(kit: Kit, pane: EmbeddingPane) -> None:
    event, card, drawn = pane.points.drawn, pane.page.hover_card, pane.page.map
    assert event is not None
    drawn.hovered.emit(7, QPointF(at_point(pane, 7)))
    assert card.isVisible() and not card.pinned and card.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    assert card.title.text() == f"{digits()[1][7]} · image 21" and card.lines.text.splitlines()[0] == "digit-0021.png"
    assert card.near.tips[0].startswith(f"{digits()[1][event.neighbours[7, 0]]} · image {3 * event.neighbours[7, 0]} · distance")
    assert len(card.near.images) == 8
    index, links = drawn.links
    assert index == 7 and np.array_equal(links, event.neighbours[7])
    assert drawn.rect().contains(card.geometry()) and not card.geometry().contains(at_point(pane, 7))
    drawn.hovered.emit(-1, QPointF())
    assert not card.isVisible() and drawn.links[0] == -1


def test_that_the_thumbnail_is_the_image_of_the_point(kit: Kit, pane: EmbeddingPane) -> None:
    images = digits()[0]
    event = pane.points.drawn
    assert event is not None
    for i in (0, 31, 119):
        pane.points.pin(i)
        image = pane.page.hover_card.image.image
        assert image is not None
        assert [image.pixelColor(x, 3).red() for x in range(8)] == images[i, 0, 3].tolist()
        for near, shown in zip(event.neighbours[i, :8], pane.page.hover_card.near.images, strict=True):
            assert [shown.pixelColor(x, 3).red() for x in range(8)] == images[near, 0, 3].tolist()


def test_that_the_card_says_what_the_point_is_coloured_by(kit: Kit, pane: EmbeddingPane) -> None:
    pane.color_by("loss")
    rest(kit, pane)
    pane.points.pin(0)
    assert "loss 0.1000 nat" in pane.page.hover_card.lines.text
    pane.color_by("prediction")
    rest(kit, pane)
    pane.points.pin(0)
    assert "prediction 1" in pane.page.hover_card.lines.text, "where it is wrong, too"


def test_that_a_click_pins_the_card_and_escape_lets_it_go(kit: Kit, pane: EmbeddingPane) -> None:
    card, drawn = pane.page.hover_card, pane.page.map
    QTest.mouseClick(drawn, Qt.MouseButton.LeftButton, pos=at_point(pane, 40))
    pinned = pane.points.pinned
    assert pinned >= 0 and card.pinned and drawn.chosen == pinned
    drawn.hovered.emit(3, QPointF())
    drawn.hovered.emit(-1, QPointF())
    assert card.isVisible() and drawn.links[0] == pinned
    event = pane.points.drawn
    assert event is not None
    card.near.picked.emit(2)
    assert pane.points.pinned == event.neighbours[pinned, 2]
    QTest.mouseClick(card.close_button, Qt.MouseButton.LeftButton)
    assert not card.isVisible() and pane.points.pinned == -1
    drawn.clicked.emit(5)
    drawn.clicked.emit(5)
    assert pane.points.pinned == -1, "the same again"
    drawn.clicked.emit(5)
    drawn.setFocus()
    QTest.keyClick(drawn, Qt.Key.Key_Escape)
    assert pane.points.pinned == -1 and not card.isVisible()


def test_that_a_pinned_point_stays_pinned_while_scrubbing(kit: Kit, pane: EmbeddingPane) -> None:
    pane.points.pin(12)
    pane.points.select(np.arange(4, 9))
    kit.state.set_cursor(64)
    rest(kit, pane)
    assert pane.points.pinned == 12 and pane.page.hover_card.isVisible()
    assert pane.points.selection is not None and pane.points.selection.tolist() == [4, 5, 6, 7, 8]
    pane.page.controls.limit.setCurrentIndex(0)
    pane.controller.draw(replace(pane.controller.plan, limit=60))  # other images
    rest(kit, pane)
    assert pane.points.pinned == -1 and pane.points.selection is None


# -- selecting -------------------------------------------------------------------------------------------------------------


def test_that_a_lasso_opens_the_page_of_its_images(kit: Kit, pane: EmbeddingPane) -> None:
    labels = digits()[1][:N]
    drawn, page = pane.page.map, pane.page.selection
    QTest.mouseClick(pane.page.lasso, Qt.MouseButton.LeftButton)
    assert drawn.lasso_mode
    box = drawn.rect().adjusted(3, 3, -3, -3)
    drawn._lasso = []
    QTest.mousePress(drawn, Qt.MouseButton.LeftButton, pos=box.topLeft())
    for corner in (box.topRight(), box.bottomRight(), box.bottomLeft()):
        QTest.mouseMove(drawn, corner)
    QTest.mouseRelease(drawn, Qt.MouseButton.LeftButton, pos=box.bottomLeft())
    assert pane.points.selection is not None and len(pane.points.selection) == N
    assert len(page.images.images) == N and page.words.text.startswith(f"{N} images")
    drawn.lassoed.emit(np.flatnonzero(labels < 2))
    zeros, ones = (labels == 0).sum(), (labels == 1).sum()
    most = f"0: {zeros} · 1: {ones}" if zeros >= ones else f"1: {ones} · 0: {zeros}"
    assert page.words.text == f"{zeros + ones} images\n{most}"
    page.images.picked.emit(3)
    assert pane.points.pinned == np.flatnonzero(labels < 2)[3]
    drawn.lassoed.emit(np.zeros(0, np.int64))
    assert pane.points.selection is None and drawn.point_style.selected is None and page.words.text == EMPTY
    assert not page.a_button.isEnabled() and not page.csv_button.isEnabled()


def test_that_a_direction_from_one_lasso_to_another_colours_and_decodes(kit: Kit, pane: EmbeddingPane) -> None:
    labels, page = digits()[1][:N], pane.page.selection
    a, b = np.flatnonzero(labels == 3), np.flatnonzero(labels == 5)
    assert not page.direction_button.isEnabled() and "Keep some points as A" in page.direction_button.toolTip()
    for points, made in ((a, page.a_button), (b, page.b_button)):
        pane.page.map.lassoed.emit(points)
        QTest.mouseClick(made, Qt.MouseButton.LeftButton)
    assert page.ends.text == f"A: {len(a)} images · B: {len(b)} images"
    assert "by direction A → B" in [pane.page.colored_by.itemText(i) for i in range(pane.page.colored_by.count())]
    QTest.mouseClick(page.direction_button, Qt.MouseButton.LeftButton)
    rest(kit, pane)
    work = kit.engine.of(m.ColorPoints)[-1]
    assert work.by == "direction" and np.array_equal(work.a, a) and np.array_equal(work.b, b)
    assert page.note.text == "It tells A from B in 97 % of their images." and len(page.way.images) == 6
    assert page.way.isVisible() and not pane.page.legend_note.isVisible()
    assert pane.page.map.point_style.selected is None, "all points are to be seen on the way"
    assert pane.page.title == f"direction A → B · step {count(1024)}"
    pane.color_by("class")
    assert not page.way.isVisible() and not page.note.isVisible()


def test_that_the_search_selects_and_says_how_many(kit: Kit, pane: EmbeddingPane) -> None:
    labels, field = digits()[1][:N], pane.page.search
    QTest.keyClicks(field, "digit-0099")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert pane.points.selection is not None and pane.points.selection.tolist() == [33] and pane.points.pinned == 33
    assert pane.page.status.text == "1 found · file name: 1"
    assert pane.page.map.rect().contains(at_point(pane, 33))
    field.setText("8")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert pane.points.selection.tolist() == np.flatnonzero(labels == 8).tolist() and pane.points.pinned == -1
    assert pane.page.status.text == f"{(labels == 8).sum()} found · class 8: {(labels == 8).sum()}"
    field.setText("zebra")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert pane.points.selection is None and pane.page.status.level == "warning"
    pane.points.search("8")
    field.clear()
    assert pane.points.selection is None


def test_that_what_is_found_comes_into_sight(kit: Kit, pane: EmbeddingPane) -> None:
    drawn = pane.page.map
    drawn.zoom(30, QPointF(4, 4))
    far = max(range(N), key=lambda i: (at_point(pane, i) - QPoint(4, 4)).manhattanLength())
    assert not drawn.rect().contains(at_point(pane, far))
    pane.points.search(f"digit-{3 * far:04d}")
    assert drawn.rect().contains(at_point(pane, far))


# -- own images --------------------------------------------------------------------------------------------------------------


def test_that_a_dropped_image_flies_to_its_place_and_shows_its_neighbours(kit: Kit, pane: EmbeddingPane) -> None:
    assert pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    (query,) = kit.engine.of(m.PlaceImage)
    event, page = pane.points.drawn, pane.page.projected_image
    assert event is not None and query.subset == event.subset and query.settings == event.settings
    assert query.picture.path == "/home/me/seven.png"
    (flight,) = pane.page.map.flights.all
    assert np.allclose(flight.place, event.places[17] + 0.2)
    assert page.isVisible() and page.name.text() == "seven.png" and page.notes.text == "Scaled from 96×96."
    assert (page.words.text, page.words.level) == ("As near to its nearest neighbour as the images of the map are to theirs.", "good")
    assert len(page.near.images) == 15 and sorted(event.neighbours[17]) == pane.points.selection.tolist()  # type: ignore[union-attr]
    page.near.picked.emit(1)
    assert pane.points.pinned == event.neighbours[17, 1]


def test_that_a_strange_image_is_told_to_be_far_from_everything(kit: Kit, pane: EmbeddingPane) -> None:
    pane.accept_image("/home/me/strange.png")
    rest(kit, pane)
    page = pane.page.projected_image
    assert (page.words.text, page.words.level) == ("Far from everything: 3.1 times the usual distance.", "bad")


def test_that_an_image_that_cannot_be_read_says_why(kit: Kit, pane: EmbeddingPane) -> None:
    pane.accept_images(["/home/me/broken.png", "/home/me/seven.png"])
    rest(kit, pane)
    assert (pane.page.status.text, pane.page.status.level) == ("broken.png is cut off. Save it again.", "bad")
    assert len(pane.page.map.flights.all) == 1


def test_that_dropped_images_move_with_the_map_until_they_are_taken_off(kit: Kit, pane: EmbeddingPane) -> None:
    pane.accept_images(["/home/me/seven.png", "/home/me/boot.png"])
    rest(kit, pane)
    pane.points.select(np.arange(3))
    kit.state.set_cursor(64)
    rest(kit, pane)
    assert len(pane.page.map.flights.all) == 2 and pane.page.projected_image.name.text() == "boot.png"
    assert pane.points.selection is not None and len(pane.points.selection) == 3, "what is selected stays"
    QTest.mouseClick(pane.page.tabs.button(1), Qt.MouseButton.LeftButton)
    QTest.mouseClick(pane.page.projected_image.clear_button, Qt.MouseButton.LeftButton)
    kit.state.set_cursor(128)
    rest(kit, pane)
    assert not pane.page.map.flights.all and len(kit.engine.of(m.PlaceImage)) == 4
    assert pane.page.projected_image.words.text.startswith("Drop an image on the map")


# -- out of the window -------------------------------------------------------------------------------------------------------


def table(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    lines = text.splitlines()
    about = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return about, list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("# ")))))


def test_that_all_points_are_saved_with_their_recipe(kit: Kit, pane: EmbeddingPane, tmp_path: Path) -> None:
    pane.color_by("loss")
    rest(kit, pane)
    path = tmp_path / "map.csv"
    pane.exports.save_csv(str(path))
    about, rows = table(path.read_text())
    assert (about["run"], about["step"], about["data"], about["split"], about["seed"]) == ("vae-digits", "1024", "digits", "valid", "0")
    assert (about["map"], about["value"], about["unit"]) == ("umap", "loss", "nat")
    event = pane.points.drawn
    assert event is not None and len(rows) == N and list(rows[0])[:6] == ["index", "name", "label", "x", "y", "value"]
    for i in (0, 77):
        assert (int(rows[i]["index"]), rows[i]["name"], rows[i]["label"]) == (3 * i, f"digit-{3 * i:04d}.png", str(digits()[1][i]))
        assert (float(rows[i]["x"]), float(rows[i]["y"])) == tuple(event.places[i].tolist())
        assert float(rows[i]["value"]) == pytest.approx(np.linspace(0.1, 3.4, N)[i], rel=1e-6)
    assert pane.page.status.text == "Saved as map.csv."


def test_that_only_the_selected_points_are_saved_from_the_selection(kit: Kit, pane: EmbeddingPane, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    pane.exports.save_csv(str(path), selected=True)
    assert not path.exists() and pane.page.status.level == "bad"
    pane.points.select(np.array([3, 9, 30]))
    pane.exports.save_csv(str(path), selected=True)
    _, rows = table(path.read_text())
    assert [row["index"] for row in rows] == ["9", "27", "90"] and [row["value"] for row in rows] == [row["label"] for row in rows]


def test_that_the_picture_carries_legend_words_and_recipe(kit: Kit, pane: EmbeddingPane, tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    pane.exports.save_png(str(path))
    with Image.open(path) as image:
        assert image.text["step"] == "1024" and image.text["map"] == "umap"  # type: ignore[attr-defined]
        assert image.width == 3 * (pane.page.map.width() + 260)
        beside = np.asarray(image.convert("RGB"))[:, 2 * pane.page.map.width() :]
    first = class_color(0, theme.DARK)
    assert (beside == (first.red(), first.green(), first.blue())).all(axis=2).any(), "the first class’s marker"
    pane.exports.save_png(str(tmp_path / "nowhere" / "map.png"))
    assert pane.page.status.level == "bad" and "Choose another folder" in pane.page.status.text
    pane.exports.copy()
    assert QGuiApplication.clipboard().image().width() == image.width


def test_that_exports_say_so_where_there_is_no_map(kit: Kit, tmp_path: Path) -> None:
    pane = kit.open(EmbeddingPane)
    assert isinstance(pane, EmbeddingPane)
    pane.exports.save_png(str(tmp_path / "a.png"))
    pane.exports.save_csv(str(tmp_path / "a.csv"))
    assert not list(tmp_path.iterdir()) and pane.page.status.text == "Nothing to save yet: there is no map."
    assert json.dumps(pane.exports.about()) == '{"Software": "Priorama"}'


# -- how it looks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(760, 620), (1400, 900)])
def test_that_everything_fits_at_both_sizes(kit: Kit, qapp, size: tuple[int, int]) -> None:
    prepare(qapp)
    theme.apply_theme(qapp, "dark")
    pane = kit.open(EmbeddingPane, *size)
    assert isinstance(pane, EmbeddingPane)
    kit.look_at()
    rest(kit, pane)
    for by in ("clusters", "direction", "loss"):
        for letter, points in (("a", np.arange(40)), ("b", np.arange(30, 90))):
            pane.points.select(points)
            pane.points.keep(letter)
        pane.color_by(by)
        rest(kit, pane)
        pane.accept_image("/home/me/strange.png")
        rest(kit, pane)
        assert (pane.width(), pane.height()) == size
        needed = pane.minimumSizeHint()
        assert needed.width() <= size[0] and needed.height() <= size[1], by
        for card in (pane.page.words, pane.page.legend_card):
            assert card.isVisible()
    pane.resize(700, 560)
    rest(kit, pane)
    assert pane.height() <= 600, "the legend gives way"
    qapp.setStyleSheet("")


def test_that_both_themes_reach_map_and_legend(kit: Kit, pane: EmbeddingPane, qapp) -> None:
    theme.apply_theme(qapp, "light")
    kit.state.set_theme("light")
    rest(kit, pane)
    light = class_color(0, theme.LIGHT)
    first = int(np.flatnonzero(digits()[1][:N] == 0)[0])
    inks = pane.page.map.point_style.inks
    assert inks is not None and inks[first].tolist() == [
        light.red(),
        light.green(),
        light.blue(),
    ]
    assert pane.page.legend.grab().toImage().pixelColor(10, 10).name() == light.name()
    qapp.setStyleSheet("")


@pytest.mark.parametrize("width", [200, 236, 300])
def test_that_the_sentence_how_to_select_is_whole(qapp, width: int) -> None:
    page = LassoPage()
    page.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    page.resize(width, 360)
    page.show()
    with listening() as heard:
        page.grab()
    (sizes,) = [(wanted, room) for _, wanted, room, text, _ in heard.texts if text == EMPTY]
    assert not exceeds(*sizes) and page.words.isVisible()
    page.close()
    page.deleteLater()


def test_that_one_of_the_selected_images_is_decided_about_and_marked(kit: Kit, pane: EmbeddingPane) -> None:
    assert pane.points.drawn is not None
    pane.points.drawn = replace(pane.points.drawn, subset=replace(pane.points.drawn.subset, data="/pictures/pets"))
    assert not pane.curation.isVisible()
    pane.points.select(np.array([3, 9, 30]))
    kit.pump()
    assert pane.curation.isVisible() and "Right-click an image" in pane.curation.words.text
    strip = pane.page.selection.images
    at = strip.place(1).center().toPoint()
    QGuiApplication.sendEvent(strip, QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, strip.mapToGlobal(at)))
    kit.pump()
    (menu,) = pane.findChildren(CurationMenu)
    assert menu.names == (pane.points.drawn.names[9],) and pane.points.pinned == 9  # whose card says which image it is
    menu.decide("tag", "blurred", "Tag this image")
    menu.close()
    kit.pump()
    assert strip.marked == {1: "#"} and "1 tagged" in pane.curation.words.text
    pane.points.select(None)
    kit.pump()
    assert not pane.curation.isVisible()


@pytest.mark.parametrize(
    "name", ("scan.png", "class_3_of_the_second_survey/scan_2024-11-00744_left_camera_corrected.png", "three words and more " * 4)
)
@pytest.mark.parametrize("before", ("", "scan.png"), ids=("first", "after-a-short-one"))
def test_that_the_card_of_a_point_is_as_high_as_its_texts(kit: Kit, pane: EmbeddingPane, name: str, before: str) -> None:
    """At the first card no text has a width yet, and whoever learns its width late needs more lines than it thought."""
    event, card = pane.points.drawn, pane.page.hover_card
    assert event is not None
    if before:
        pane.points.drawn = replace(event, names=(before,) * len(event.places))
        pane.points.pin(3)
        kit.pump()
    pane.points.drawn = replace(event, names=(name,) * len(event.places))
    pane.points.pin(3)
    kit.pump()
    assert overlaps(card) == []
    with listening() as heard:
        card.grab()
    assert name.split("_")[0].split()[0] in "".join(text for *_, text, _size in heard.texts).replace("\u200b", "")
    assert not [text for _, wanted, room, text, _ in heard.texts if exceeds(wanted, room)]
    assert pane.page.map.rect().contains(card.geometry())
    assert card.image.y() + card.image.height() <= card.near_words.y()
    assert card.lines.mapTo(card, card.lines.rect().bottomLeft()).y() < card.near_words.y() < card.near.y()
