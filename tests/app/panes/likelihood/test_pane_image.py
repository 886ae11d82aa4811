"""The Likelihood pane's image up close and its list of dropped ones, fed with answers of a paper engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from app.panes.likelihood.pane import LikelihoodPane
from app.panes.likelihood.presenter import LikelihoodPresenter
from engine import messages as m
from tests.kit.likelihood_pane import listed, rest, texts
from tests.kit.panes import (
    RUN,
    Kit,
    paper_image,
)


def test_that_bits_reconstruction_nearest_images_and_notes_are_drawn(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    page = pane.page
    seen = paper_image(m.PictureRef("seven.png", "/home/me/seven.png"))
    assert page.drop_card.caption.text() == "seven.png"
    heat = page.drop_card.heat
    assert heat.bits is not None and heat.image is not None
    np.testing.assert_array_equal(heat.bits, seen[0] / np.float32(32))
    bright, dark = np.unravel_index(heat.bits.argmax(), (8, 8)), np.unravel_index(heat.bits.argmin(), (8, 8))
    assert heat.image.pixelColor(int(bright[1]), int(bright[0])).name() == "#fde725"  # viridis ends in yellow
    assert heat.image.pixelColor(int(dark[1]), int(dark[0])).name() == "#440154"
    assert page.drop_card.legend.high == pytest.approx(float(heat.bits.max()))
    assert page.drop_card.size_line.text == f"PNG file 141 bytes · raw 64\nmodel {heat.bits.mean():.2f} bit/pixel"
    assert page.closer.rebuilt.image is not None and page.closer.difference.image is not None
    assert page.closer.captions[1].text() == "reconstruction\nmean of p(x|z)"
    assert len(page.closer.near.images) == 6 and "features" in page.closer.near_line.text
    assert page.closer.near.tips[0] == "0 · distance 0.1000"
    assert page.closer.notes.text == "Scaled from 96×96."
    assert heat.at(heat.rect().center() + QPoint(3, 3)) == (4, 4) and heat.at(QPoint(-5, 3)) is None


def test_that_an_unreadable_file_is_listed_with_its_reason_and_the_others_are_scored(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images(["/p/broken.jpg", "/p/seven.png", "/p/broken.png"])
    rest(kit, pane)
    names = dict(listed(pane))
    assert names["broken.jpg"] == names["broken.png"] == "unreadable" and names["seven.png"].endswith("%")
    assert pane.page.status.text == "broken.jpg: It is cut off. Save it again." and pane.page.status.level == "warning"
    assert texts(pane, 0)[2] == "" and pane.page.drop_card.heat.image is None
    pane.page.list.selectRow(1)
    rest(kit, pane)
    assert pane.selection.image is not None and pane.selection.image.label == "seven.png"
    assert pane.page.status.text == "1 image scored · 2 could not be read"
    model = pane.page.list.model_
    assert "It is cut off" in model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole)


def test_that_a_picture_is_seen_or_refused_before_the_held_out_images_are_scored(kit: Kit) -> None:
    pane = kit.open(LikelihoodPane)
    assert isinstance(pane, LikelihoodPane)
    kit.engine.answering = False
    kit.look_at()
    pane._settle()
    pane.accept_images(["/home/me/broken.png", "/home/me/seven.png"])
    for _ in range(4):  # questions are answered between the pieces of a job
        for query in [one for one in kit.engine.open if isinstance(one, m.ReadPicture)]:
            kit.engine.open.remove(query)
            kit.engine.reply(query)
        kit.bridge.drain()
    assert any(isinstance(work, m.Calibrate) for work in kit.engine.open) and not kit.engine.of(m.ScoreImages)
    refused, seven = pane.images.entries
    pane.draw()
    assert pane.page.drop_card.original.hint == "It is cut off. Save it again." and listed(pane)[0][1] == "unreadable"
    assert seven.original is not None, "the one that nobody looks at was read, too"
    pane.choose(seven)
    shown = pane.page.drop_card.original.image
    assert shown is not None and shown.pixelColor(3, 3).red() == paper_image(seven.picture)[0, 3, 3]
    kit.engine.answering = True
    rest(kit, pane)
    assert [picture.label for work in kit.engine.of(m.ScoreImages) for picture in work.pictures] == ["seven.png"]
    assert seven.scores and refused.error


def test_that_the_list_says_the_combined_p_value_and_names_it(kit: Kit, pane: LikelihoodPane) -> None:
    """Beside a combined verdict, the p-value of the one chosen score would be another one than what is judged."""
    pane.accept_images(["/p/seven.png"])
    rest(kit, pane)
    entry, model = pane.images.entries[0], pane.page.list.model_
    run, detector = pane.selection.detector
    entry.combined[run] = m.CombinedScore(run, 0.034, "warning", "unusual by all scores together", 0.002, 2, 500, 500)
    entry.scores[run][detector] = replace(entry.scores[run][detector], p_value=0.5, level="plain")
    assert listed(pane) == [("seven.png", "3.4\u202f%")]
    assert model.data(model.index(0, 1), Qt.ItemDataRole.ForegroundRole).name() == model.c.warning_text
    head = pane.page.list.horizontalHeader()
    assert not head.isHidden() and [model.headerData(i, Qt.Orientation.Horizontal) for i in (0, 1)] == ["Image", "p (Holm)"]
    tip = model.data(model.index(0, 1), Qt.ItemDataRole.ToolTipRole)
    assert "All 2 scores together (Holm): unusual by all scores together" in tip
    del entry.combined[run]
    assert listed(pane) == [("seven.png", "–")]


def test_that_hundreds_of_files_become_rows_as_they_come_and_are_drawn_a_few_times_only(
    kit: Kit, pane: LikelihoodPane, monkeypatch
) -> None:
    paths = [f"/many/{index:04d}.png" for index in range(700)]
    drawn = []
    monkeypatch.setattr(LikelihoodPresenter, "show_distribution", lambda self: drawn.append(1))
    pane.accept_images(paths)
    assert [row[1] for row in listed(pane)] == ["…"] * 700
    drawn.clear()
    for _ in range(6):
        kit.bridge.drain()  # at most 200 events each in the real engine; here all of a job
    assert len(drawn) <= 3
    pane.draw()
    rows = listed(pane)
    assert len(rows) == 700 and all(p.endswith("%") for _, p in rows)
    works = kit.engine.of(m.ScoreImages)
    assert [len(work.pictures) for work in works] == [256, 256, 188]
    pane.accept_images(paths)  # once more: nothing is taken twice
    rest(kit, pane)
    assert len(listed(pane)) == 700 and len(kit.engine.of(m.ScoreImages)) == 3


def test_that_test_images_of_the_run_are_taken(kit: Kit, pane: LikelihoodPane) -> None:
    pane.page.test_button.click()
    rest(kit, pane)
    pictures = kit.engine.of(m.ScoreImages)[-1].pictures
    assert len(pictures) == 16 and {picture.data for picture in pictures} == {"digits"}
    assert [picture.index for picture in pictures] == list(range(16))
    assert pictures[3].label == "digits, test image 3"


def test_that_clear_forgets_them_all(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images(["/a.png", "/b.png"])
    rest(kit, pane)
    pane.page.clear_button.click()
    rest(kit, pane)
    assert listed(pane) == [] and pane.selection.image is None
    assert pane.page.drop_card.original.image is None and "Drop" in pane.page.drop_card.caption.text()
    assert not pane.page.csv_button.isEnabled()
    assert len(pane.page.distribution.chart.strange) == 0


def test_that_what_goes_on_is_said_before_what_is_wrong_and_clear_forgets_both(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    pane.accept_images(["/p/broken.jpg", "/p/seven.png"])
    job = pane.controller.jobs["score"]
    why = "It is cut off in the middle of its last row of blocks, so the lower half would be grey; save it again from where it came. " * 2
    kit.engine.events.append(m.ImageScored(job, "broken.jpg", "/p/broken.jpg", (), {}, None, (), error=why))
    kit.bridge.drain()
    pane.draw()
    assert pane.page.status.text == "Scoring: 1 image to go" and pane.page.stop_button.isVisible()
    pane.controller.stop()
    assert pane.page.status.text.endswith(why) and pane.page.status.level == "warning"
    status = pane.page.status
    box = status.fontMetrics().boundingRect(0, 0, status.width(), 1000, Qt.TextFlag.TextWordWrap, status.text)
    assert box.height() <= status.height()
    pane.page.clear_button.click()
    kit.bridge.drain()
    assert "cut off" not in pane.page.status.text and pane.page.status.level == "" and not pane.controller.jobs


def test_that_images_unusual_among_all_dropped_ones_are_marked_and_counted(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images([f"/p/{i}.png" for i in range(6)])
    rest(kit, pane)
    entries, run = pane.images.entries, pane.selection.detector[0]
    p = [0.009, 0.3, 0.016, 0.9, 0.026, 0.5]  # 0.016 · 6 / 2 is below 5 %, and so is all before it; 0.026 · 6 / 3 is not
    for entry, value in zip(entries, p, strict=True):
        entry.combined[run] = m.CombinedScore(run, value, "plain", "", 0.002, 1, 500, 500)
    pane.draw()
    assert pane.page.marks_line.text == "● 2 of 6 unusual at a false discovery rate of 5 %"
    assert [said.startswith("●") for _, said in listed(pane)] == [True, False, True, False, False, False]
    for entry, value in zip(entries, p, strict=True):
        entry.combined[run] = m.CombinedScore(run, value, "none", "", 0.08, 8, 99, 99)
    pane.draw()
    assert "Too few held-out images" in pane.page.marks_line.text


def test_that_a_data_set_that_is_dropped_is_compared_with(kit: Kit, pane: LikelihoodPane) -> None:
    assert pane.accept_data("/data/MNIST")
    kit.pump()
    (asked,) = kit.engine.of(m.ScoreData)
    assert asked.data == "/data/MNIST" and asked.run == RUN
    assert pane.page.distribution.compare.currentText() == "vs MNIST"
    assert listed(pane) == []
