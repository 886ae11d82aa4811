"""The Data pane: it asks once what is in a set, shows the report and pages of images, and exports its lists."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QTableView

from app.panes.data import class_bars
from app.panes.data.bad_files import BadFilesTable
from app.panes.data.pane import DataPane
from app.shell import theme
from engine import messages as m
from tests.kit.panes import RUN, Kit, digits, report, run_info


@pytest.fixture
def pane(kit: Kit) -> Iterator[DataPane]:
    made = kit.open(DataPane)
    assert isinstance(made, DataPane)
    yield made


def show(kit: Kit, pane: DataPane, **changes: object) -> None:
    kit.state.select_data(str(changes.get("data", "digits")))
    kit.bridge.tell(report(pane.job, **changes))
    kit.bridge.tell(m.Ended(pane.job, "ok", "digits is ready."))
    kit.pump()


def words(pane: DataPane) -> str:
    return "\n".join(label.text() for label in pane.findChildren(QLabel) if label.isVisible())


def test_that_a_chosen_set_is_inspected_once(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    kit.state.select_data(None)
    kit.state.select_data("digits")
    assert [command.data for command in kit.engine.of(m.OpenData)] == ["digits"]
    assert pane.stack.currentIndex() == 2


def test_that_progress_is_shown_and_cancel_stops_the_job(kit: Kit, pane: DataPane) -> None:
    kit.state.select_data("/pictures/cats")
    kit.bridge.tell(m.Progress(pane.job, "", 420, 1800, "image", 900.0, 12.0, ""))
    assert pane.inspection_page.note.text == "420 of 1\u202f800 images · 12 s left"
    assert pane.inspection_page.bar.value() == 420
    job = pane.job
    pane.inspection_page.cancel.click()
    assert [command.job for command in kit.engine.of(m.StopJob)] == [job]
    kit.bridge.tell(m.Ended(job, "stopped", "Stopped."))
    assert pane.empty.isVisible() and "Choose the set again" in pane.empty.text.text()


def test_that_a_set_that_cannot_be_used_says_why(kit: Kit, pane: DataPane) -> None:
    kit.state.select_data("/pictures/none")
    kit.bridge.tell(m.Ended(pane.job, "failed", "“/pictures/none” holds no image. Choose a folder with images."))
    assert pane.empty.text.text() == "“/pictures/none” holds no image. Choose a folder with images."


def test_that_the_report_is_on_the_page(kit: Kit, pane: DataPane) -> None:
    show(kit, pane, duplicates=4, across_splits=2, duplicate_examples=(("/a/1.png", "/a/2.png"),))
    said = words(pane)
    for part in ("1\u202f455 images", "180 images", "8×8 grey", "same in train and test", "17 grey levels, spread to 0–255."):
        assert part in said
    assert pane.report_column.balance.bars.counts == report().class_counts["train"]
    assert "Balanced" in pane.report_column.balance.words.text()


def test_that_bad_files_are_listed_with_reasons_and_exported(kit: Kit, pane: DataPane, tmp_path) -> None:
    bad = tuple(m.BadFile(f"/p/{i}, odd.png", f"Reason “{i}”.") for i in range(40))
    show(kit, pane, bad=bad, bad_total=55)
    assert pane.report_column.bad_files.table.isVisible()
    assert pane.report_column.bad_files.model.rowCount() == 40
    assert pane.report_column.bad_files.model.data(pane.report_column.bad_files.model.index(3, 1)) == "Reason “3”."
    assert pane.report_column.bad_files.heading.text() == "BAD FILES · 55, FIRST 40 LISTED"
    pane.exports.save_bad(str(tmp_path / "bad.csv"))
    lines = [line for line in (tmp_path / "bad.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = list(csv.reader(lines))
    assert rows[0] == ["file", "reason"] and rows[1:] == [[one.path, one.reason] for one in bad]


def test_that_the_class_counts_are_exported(kit: Kit, pane: DataPane, tmp_path) -> None:
    show(kit, pane)
    pane.exports.save_classes(str(tmp_path / "c.csv"))
    rows = list(csv.reader(line for line in (tmp_path / "c.csv").read_text().splitlines() if not line.startswith("#")))
    assert rows[0] == ["class", "train", "valid", "test"]
    assert [int(row[1]) for row in rows[1:]] == list(report().class_counts["train"])


def test_that_next_and_previous_turn_pages(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    size = pane.browser.page_size()
    assert len(pane.browser.grid.images) == size
    pane.browser.next.click()
    kit.pump()
    assert kit.engine.of(m.BrowseData)[-1].offset == size
    first = pane.browser.grid.images[0]
    assert [first.pixelColor(x, 0).red() for x in range(8)] == digits()[0][size, 0, 0].tolist()
    pane.browser.grid.setFocus()
    QTest.keyClick(pane.browser.grid, Qt.Key.Key_PageUp)
    kit.pump()
    assert pane.browser.offset == 0 and not pane.browser.previous.isEnabled()


def test_that_class_and_split_filter(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    pane.browser.turn(1)
    pane.browser.toggle_class(7)
    kit.pump()
    query = kit.engine.of(m.BrowseData)[-1]
    assert (query.label, query.offset, query.split) == (7, 0, "train")
    assert pane.browser.page is not None and set(pane.browser.page.labels) == {"7"}
    pane.browser.split_box.setCurrentIndex(2)
    pane.browser.split_box.activated.emit(2)
    kit.pump()
    assert kit.engine.of(m.BrowseData)[-1].split == "test"
    assert pane.report_column.balance.bars.counts == (18,) * 10


def test_that_what_the_network_sees_is_asked_of_the_run_and_said(kit: Kit, pane: DataPane) -> None:
    assert not pane.browser.network_view.isEnabled()
    kit.look_at()
    show(kit, pane)
    assert pane.browser.network_view.isEnabled()
    pane.browser.network_view.setChecked(True)
    kit.pump()
    assert kit.engine.of(m.BrowseData)[-1].seen_by == RUN
    assert pane.browser.line.text.startswith("As “vae-digits” sees them.")


def test_that_a_text_is_shown_as_text(kit: Kit, pane: DataPane) -> None:
    kit.engine.answering = False
    show(
        kit,
        pane,
        data="pydoc-text",
        name="pydoc-text",
        kind="text",
        shape=(),
        classes=(),
        class_counts={},
        sizes={},
        counts={"train": 690_000},
        text_sample="The assert statement",
    )
    assert pane.browser.text.isVisible() and not pane.browser.grid.isVisible()
    assert pane.browser.text.toPlainText() == "The assert statement"
    assert "690\u202f000 bytes" in words(pane)


def test_that_the_set_of_the_run_is_shown_while_none_is_chosen(kit: Kit, pane: DataPane) -> None:
    assert pane.empty.isVisible()
    kit.look_at(run_info())
    assert [command.data for command in kit.engine.of(m.OpenData)] == ["digits"]


def test_that_a_hidden_pane_inspects_nothing(kit: Kit, pane: DataPane) -> None:
    pane.deactivate()
    kit.state.select_data("digits")
    assert kit.engine.of(m.OpenData) == []
    pane.activate()
    assert len(kit.engine.of(m.OpenData)) == 1


def test_that_a_set_without_labels_is_shown(kit: Kit, pane: DataPane) -> None:
    kit.engine.answering = False
    show(kit, pane, classes=(), class_counts={"train": ()})
    query = kit.engine.open.popleft()
    page = m.DataPage(
        stamp=query.stamp,
        channel=query.channel,
        data="digits",
        split="train",
        offset=0,
        total=3,
        images=digits()[0][:3],
        labels=(),
        names=("a.png", "b.png", "c.png"),
        indices=(0, 1, 2),
    )
    kit.engine.events.append(page)
    kit.bridge.drain()
    assert len(pane.browser.grid.images) == 3 and not pane.browser.class_box.isVisible()
    pane.browser.grid.picked.emit(1)
    assert pane.browser.line.text == "b.png · number 1 of the training part"


def test_that_a_set_that_fails_does_not_cover_the_one_that_is_looked_at_now(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    kit.state.select_data("/pictures/none")
    job = pane.job
    kit.state.select_data("digits")
    kit.bridge.tell(m.Ended(job, "failed", "“/pictures/none” holds no image. Choose a folder with images."))
    assert pane.stack.currentIndex() == 2


def test_that_returning_to_a_set_that_is_being_read_shows_its_progress(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    kit.state.select_data("/pictures/cats")
    job = pane.job
    kit.state.select_data("digits")
    kit.state.select_data("/pictures/cats")
    assert pane.stack.currentIndex() == 1 and "cats" in pane.inspection_page.title.text()
    assert pane.job == job  # the same one goes on
    kit.bridge.tell(report(job, data="/pictures/cats", name="cats"))
    assert pane.stack.currentIndex() == 2 and pane.report_column.heading.text() == "CATS"


def test_that_a_page_that_was_on_its_way_when_the_pane_was_hidden_comes_later(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    kit.engine.answering = False
    pane.browser.turn(1)
    kit.engine.open.clear()
    pane.deactivate()
    kit.engine.answering = True
    pane.activate()
    kit.pump()
    assert pane.browser.page is not None and pane.browser.page.offset == pane.browser.offset == pane.browser.page_size()


def test_that_a_set_that_is_opened_again_is_read_again(kit: Kit, pane: DataPane) -> None:
    show(kit, pane)
    kit.state.open_data("digits")
    assert len(kit.engine.of(m.OpenData)) == 2
    kit.bridge.tell(report(pane.job, name="digits anew"))
    assert pane.report_column.heading.text() == "DIGITS ANEW"


def test_that_the_report_of_a_reading_that_was_broken_off_is_not_shown(kit: Kit, pane: DataPane) -> None:
    kit.state.open_data("/pictures/cats")
    early = pane.job
    kit.state.open_data("/pictures/cats")
    assert [command.job for command in kit.engine.of(m.StopJob)] == [early]
    kit.bridge.tell(report(early, data="/pictures/cats", name="early"))
    assert pane.stack.currentIndex() == 1
    assert len(kit.engine.of(m.StopJob)) == 1  # the new reading goes on


def test_that_a_set_that_left_the_list_is_read_afresh_when_it_comes_back(kit: Kit, pane: DataPane) -> None:
    cats = m.DataInfo("/pictures/cats", "cats", "images", "9")
    kit.state.set_data((cats,))
    show(kit, pane, data="/pictures/cats")
    kit.state.select_data(None)
    kit.state.set_data(())
    kit.state.set_data((cats,))
    kit.state.select_data("/pictures/cats")
    assert [command.data for command in kit.engine.of(m.OpenData)] == ["/pictures/cats"] * 2


def test_that_the_empty_page_offers_a_folder_and_a_file(kit: Kit, pane: DataPane) -> None:
    for action in pane.empty.buttons[0].menu().actions():
        action.trigger()
    assert kit.triggered == ["data.open", "data.open_file"]


def test_that_headings_are_read_out_as_they_are_written(kit: Kit, pane: DataPane) -> None:
    show(kit, pane, bad=(m.BadFile("/p/1.png", "Cut off."),), bad_total=3)
    assert pane.report_column.heading.accessibleName() == "digits"
    assert pane.report_column.bad_files.heading.accessibleName() == "Bad files · 3, first 1 listed"
    assert pane.browser.heading.accessibleName() == "Images"


def test_that_of_65536_classes_only_those_in_sight_are_painted(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = class_bars.ClassBars()
    bars.set_counts(tuple(f"class {i}" for i in range(65_536)), tuple(range(1, 65_537)))
    written: list[int] = []
    monkeypatch.setattr(class_bars, "count", lambda n: written.append(n) or str(n))
    image = QImage(260, 400, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.translate(0, -20_000)
    bars.draw(painter, 260, 20_000, 20_400)
    painter.end()
    assert set(written) == {65_536, *range(1001, 1021)}
    bars.deleteLater()


def test_that_every_reason_of_a_bad_file_is_read_whole_in_a_column_that_was_narrowed(qapp: QApplication) -> None:
    """Painted in a row that is given all room, it is the same."""
    reason = "It begins like a PNG file but its content is damaged or of an unknown variant; save it anew in the program it came from."
    table = BadFilesTable()
    table.setStyleSheet(theme.style_sheet(theme.DARK))
    table.model.set_bad((m.BadFile("a/broken.png", reason), m.BadFile("a/other.png", "Too short.")))
    view = table.table
    view.setColumnWidth(0, 110)
    for width in (900, 300, 420, 284, 250):
        table.resize(width, 400)
        table.grab()
        QApplication.processEvents()
        seen, high = ink_of(view), view.rowHeight(0)
        assert 0 < view.rowHeight(1) < 40 and high < 160
        view.setRowHeight(0, high + 80)
        assert seen == ink_of(view), width
        view.setRowHeight(0, high)


def ink_of(view: QTableView) -> int:
    """How many pixels of the first reason are not of the ground."""
    image = view.viewport().grab(QRect(112, 0, 10_000, view.rowHeight(0))).toImage()
    colours = Counter(image.pixel(x, y) for x in range(image.width()) for y in range(image.height()))
    return colours.total() - colours.most_common(1)[0][1]
