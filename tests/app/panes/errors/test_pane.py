"""The Errors pane on answers of a paper engine: what it asks, what it paints, and what a click or a key leads to."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget

from app.panes.errors.pane import ErrorsPane
from app.shell import theme
from app.widgets.curation_menu import CurationMenu
from engine import messages as m
from tests.kit.panes import PLAIN, RUN, VAE, Kit, digits, run_info
from tests.kit.text_fit import misfits

NAMES = ("zero", "one", "two")
MATRIX = np.array([[5, 2, 0], [0, 6, 1], [1, 0, 9]])
CLASSIFIER = replace(PLAIN, name="classifier", title="Classifier", capabilities=("classify", "encode"))
BIN = (0.6, 0.667, 0.64, 0.5, 0.2, 0.8, 8.0)


@pytest.fixture
def kit(qapp: object) -> Iterator[Kit]:
    made = Kit()
    made.engine.answering = False
    made.state.methods = {**made.state.methods, "classifier": CLASSIFIER}
    yield made
    made.end()


def open_pane(kit: Kit, **changes: object) -> ErrorsPane:
    kit.look_at(run_info(method="classifier", title="Classifier", capabilities=("classify", "encode"), **changes))
    made = kit.open(ErrorsPane, 832, 760)
    assert isinstance(made, ErrorsPane)
    made.controller._settle()
    return made


def asked(kit: Kit) -> m.FindErrors:
    return kit.engine.of(m.FindErrors)[-1]


def tell(kit: Kit, matrix: np.ndarray = MATRIX, names: tuple[str, ...] = NAMES, **changes: object) -> m.ErrorsFound:
    """What the engine says of the last question, and its end."""
    work, total = asked(kit), int(matrix.sum())
    shares = np.stack([np.diag(matrix) / matrix.sum(1), np.zeros(len(matrix)), np.ones(len(matrix))], 1)
    wrong = [(i, j, int(matrix[i, j])) for i in range(len(matrix)) for j in range(len(matrix)) if i != j and matrix[i, j]]
    names_of = ("accuracy", "log_loss", "brier", "calibration")
    figures = {name: 0.4 for name in names_of} | {f"{name}_se": 0.02 for name in names_of} | {"calibration_limit": 0.06, "confidence": 0.8}
    found = m.ErrorsFound(
        work.job, replace(work.of, through="classifier"), "digits", "digits", names, total, 2 * total, matrix, shares, shares,
        (0.4, 0.3, 0.5), figures, np.array([BIN, (0.933, 1.0, 0.97, 0.9, 0.7, 0.95, 16.0)]), np.array([BIN]),
        tuple(sorted(wrong, key=lambda pair: -pair[2])),
    )  # fmt: skip
    kit.engine.events += [replace(found, **changes), m.Ended(work.job, "ok", "Asked.")]
    kit.pump()
    return found


def show(kit: Kit, total: int = 3, n: int = 3) -> m.BrowseErrors:
    """A page for the last question."""
    query = kit.engine.of(m.BrowseErrors)[-1]
    some = np.arange(n)
    kit.engine.events.append(
        m.ErrorImages(
            stamp=query.stamp, channel=query.channel, of=query.of, kind=query.kind, true=query.true, predicted=query.predicted,
            offset=query.offset, total=total, images=digits()[0][:n], indices=some + 17, labels=some % 3, answers=(some + 1) % 3,
            second=some % 3, confidence=np.linspace(0.9, 0.5, n), p_second=np.full(n, 0.1), p_true=np.full(n, 0.1),
            names=tuple(f"digit {i}" for i in some),
        )
    )  # fmt: skip
    kit.pump()
    return query


def ready(kit: Kit) -> ErrorsPane:
    pane = open_pane(kit)
    tell(kit)
    show(kit)
    return pane


def hover(widget: QWidget, at: QPoint) -> None:
    """QTest moves no mouse over what is on no screen."""
    none = Qt.MouseButton.NoButton
    move = QMouseEvent(QEvent.Type.MouseMove, QPointF(at), QPointF(at), none, none, Qt.KeyboardModifier.NoModifier)
    QCoreApplication.sendEvent(widget, move)


def cell(pane: ErrorsPane, row: int, column: int) -> QPoint:
    return pane.page.matrix.cell(row, column).center().toPoint()


def test_that_it_asks_once_about_the_step_at_the_time_cursor_and_follows_it(kit: Kit) -> None:
    pane = open_pane(kit)
    of = asked(kit).of
    assert (of.run, of.step, of.split, of.limit, of.through) == (RUN, 1024, "valid", 5000, "classifier")
    tell(kit)
    kit.state.set_cursor(512)
    pane.controller._settle()
    assert asked(kit).of.step == 512 and len(kit.engine.of(m.FindErrors)) == 2
    assert "Still step" in pane.page.shown_step.text  # the figures of the step before stand meanwhile, and that is said
    tell(kit)
    assert pane.page.shown_step.text == "Step 512"


def test_that_one_click_on_an_image_chooses_it_and_nothing_moves(kit: Kit) -> None:
    """Long names of classes and files: what is said of an image needs many lines, and takes no room from the images."""
    pane = open_pane(kit)
    names = tuple(f"{word} of " + "a genus, a family, an order, " * 8 for word in NAMES)  # as taxonomies have them
    tell(kit, names=names)
    show(kit, total=4, n=4)
    assert pane.page.widget().width() <= pane.page.viewport().width(), "a long name made the page wider than its place"
    pages, area = len(kit.engine.of(m.BrowseErrors)), pane.page.gallery.geometry()
    first = pane.page.gallery.place(0)
    hover(pane.page.gallery, first.center().toPoint())
    kit.pump()
    QTest.mouseClick(pane.page.gallery, Qt.MouseButton.LeftButton, pos=first.center().toPoint())
    kit.pump()
    assert pane.page.gallery.chosen == 0 and pane.page.curate_button.isEnabled()
    assert len(kit.engine.of(m.BrowseErrors)) == pages, "another page was asked for"
    assert pane.page.gallery.geometry() == area and pane.page.gallery.place(0) == first and pane.page.where.text() == "1–4 of 4"
    line = pane.page.image_line
    assert line.painted().endswith("…") and line.toolTip() and names[0] in line.text  # what has no room is in the tip
    matrix = pane.page.matrix.size()
    hover(pane.page.matrix, cell(pane, 0, 1))
    kit.pump()
    assert pane.page.matrix.size() == matrix


def test_that_the_frame_of_the_chosen_image_touches_neither_its_picture_nor_its_text(kit: Kit) -> None:
    pane = ready(kit)
    gallery = pane.page.gallery
    gallery._text = gallery._muted = QColor("#ff0000")  # ink that nothing else has
    gallery.choose(0)
    image, place = gallery.grab().toImage(), gallery.place(0).toAlignedRect()
    frame = gallery._accent.name()
    for inset in (2, 3):  # pixels just inside the frame: background alone
        ring = place.adjusted(inset, inset, -inset - 1, -inset - 1)
        at = [(x, y) for x in range(ring.left(), ring.right()) for y in (ring.top(), ring.bottom())]
        at += [(x, y) for x in (ring.left(), ring.right()) for y in range(ring.top(), ring.bottom())]
        inks = {image.pixelColor(x, y).name() for x, y in at}
        assert len(inks - {frame}) == 1, (inset, inks)


def test_that_the_cells_are_painted_by_their_share_and_right_and_wrong_ones_differ(kit: Kit) -> None:
    pane = ready(kit)
    pane.page.matrix.show_shares(True)
    for name in ("dark", "light"):
        kit.state.set_theme(name)
        image, aside = pane.page.matrix.grab().toImage(), QPoint(int(pane.page.matrix.side() / 2) - 3, 8)  # beside the figures
        corner = {(i, j): image.pixelColor(cell(pane, i, j) - aside) for i in range(3) for j in range(3)}
        ground = QColor(theme.colors(name).background)
        assert corner[0, 2] == ground and corner[1, 0] == ground  # no image: nothing is painted

        def away(color: QColor, ground: QColor = ground) -> int:
            return sum(abs(a - b) for a, b in zip(color.getRgb()[:3], ground.getRgb()[:3], strict=True))

        assert away(corner[0, 1]) > away(corner[1, 2]) > 0  # 2 of 7 are more than 1 of 7
        assert corner[1, 1].blue() > corner[1, 1].red() and corner[0, 1].red() > corner[0, 1].blue()


def test_that_a_click_shows_the_images_of_the_cell_and_a_name_the_errors_of_its_class(kit: Kit) -> None:
    pane = ready(kit)
    assert (kit.engine.of(m.BrowseErrors)[-1].kind, kit.engine.of(m.BrowseErrors)[-1].true) == ("wrong", None)
    hover(pane.page.matrix, cell(pane, 0, 1))
    assert "zero taken for one: 2 images, 28.6" in pane.page.cell_line.text and "of its 7" in pane.page.cell_line.text
    QTest.mouseClick(pane.page.matrix, Qt.MouseButton.LeftButton, pos=cell(pane, 0, 1))
    query = show(kit, total=2, n=2)
    assert (query.kind, query.true, query.predicted, query.offset) == ("cell", 0, 1, 0)
    assert pane.page.gallery_heading.accessibleName() == "Answers: zero → one" and pane.page.where.text() == "1–2 of 2"
    assert pane.page.gallery.texts[0] == ("zero", "→ one 90\u202f%")
    QTest.mouseClick(pane.page.matrix, Qt.MouseButton.LeftButton, pos=QPoint(3, cell(pane, 2, 0).y()))
    query = show(kit)
    assert (query.kind, query.true, query.predicted) == ("wrong", 2, None)
    QTest.mouseClick(pane.page.unsure, Qt.MouseButton.LeftButton)
    assert kit.engine.of(m.BrowseErrors)[-1].kind == "unsure" and pane.page.matrix.chosen is None


def test_that_the_keyboard_reaches_every_cell_and_enter_chooses(kit: Kit) -> None:
    pane = ready(kit)
    matrix = pane.page.matrix
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        QTest.keyClick(matrix, key)
    assert "one taken for two" in pane.page.cell_line.text and "one taken for two" in matrix.accessibleDescription()
    asked_before = len(kit.engine.of(m.BrowseErrors))
    QTest.keyClick(matrix, Qt.Key.Key_Return)
    assert (show(kit).true, kit.engine.of(m.BrowseErrors)[-1].predicted) == (1, 2) and len(
        kit.engine.of(m.BrowseErrors)
    ) == asked_before + 1
    QTest.keyClick(pane.page.gallery, Qt.Key.Key_Right)
    assert "Image 17" in pane.page.image_line.text and pane.page.score_button.isEnabled()


def test_that_a_chosen_image_is_handed_to_the_panes_that_score_and_mark(kit: Kit) -> None:
    pane = ready(kit)
    assert not pane.page.score_button.isEnabled() and not pane.page.mark_button.isEnabled()
    handed: list[tuple[str, object]] = []
    kit.state.handed_over.connect(lambda purpose, what: handed.append((purpose, what)))
    QTest.mouseClick(pane.page.gallery, Qt.MouseButton.LeftButton, pos=pane.page.gallery.place(1).center().toPoint())
    pane.page.mark_button.click()
    pane.page.score_button.click()
    assert [purpose for purpose, _ in handed] == ["mark", "score"]
    picture = handed[0][1]
    assert isinstance(picture, m.PictureRef)
    assert (picture.data, picture.index, picture.split, picture.label) == ("digits", 18, "valid", "digits, validation image 18")


def test_that_an_image_can_be_given_another_class_or_left_out(kit: Kit) -> None:
    pane = ready(kit)
    assert not pane.page.curate_button.isEnabled()
    QTest.mouseClick(pane.page.gallery, Qt.MouseButton.LeftButton, pos=pane.page.gallery.place(2).center().toPoint())
    pane.page.curate_button.click()
    (menu,) = pane.findChildren(CurationMenu)
    assert (menu.data, menu.names) == ("digits", ("digit 2",))
    menu.decide("relabel", "one", "Give this image the class “one”")
    (decided,) = [query for query in kit.engine.of(m.Curate) if query.act == "relabel"]
    assert (decided.data, decided.names, decided.value) == ("digits", ("digit 2",), "one")
    menu.close()


def tell_decisions(kit: Kit) -> None:
    """What the engine says of each question about curation."""
    for query in [one for one in kit.engine.open if isinstance(one, m.Curate)]:
        kit.engine.open.remove(query)
        kit.engine.reply(query)
    kit.pump()


def test_that_the_pane_says_how_to_decide_and_a_decision_is_seen_at_once_with_its_undo(kit: Kit) -> None:
    pane = open_pane(kit)
    tell(kit, data="/pictures/pets")
    show(kit)
    tell_decisions(kit)
    line, gallery = pane.curation, pane.page.gallery
    assert line.isVisible() and "Right-click an image" in line.words.text and not line.undo_button.isVisible()
    at = gallery.place(1).center().toPoint()
    menu = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, gallery.mapToGlobal(at))
    QCoreApplication.sendEvent(gallery, menu)
    (opened,) = pane.findChildren(CurationMenu)
    assert opened.names == ("digit 1",) and gallery.chosen == 1 and "digit 1" in pane.page.image_line.text  # below it is named which one
    plain = gallery.grab().toImage()
    tell_decisions(kit)
    opened.decide("exclude", "", "Leave this image out")
    opened.close()
    tell_decisions(kit)
    assert gallery.marked == {1: "×"} and gallery.faint == {1}
    marked, inside = gallery.grab().toImage(), gallery.place(1).toRect().adjusted(4, 4, -4, -40)
    row = inside.center().y()
    assert any(plain.pixelColor(x, row) != marked.pixelColor(x, row) for x in range(inside.left(), inside.right()))
    assert "1 left out" in line.words.text and pane.page.image_line.text.startswith("Left out. ")
    QTest.mouseClick(line.undo_button, Qt.MouseButton.LeftButton)
    tell_decisions(kit)
    assert gallery.marked == {} and "Right-click" in line.words.text and "eft out" not in pane.page.image_line.text
    CurationMenu(kit.context, "/pictures/pets", ("digit 2",), pane).decide("relabel", "one", "Give it another class")
    tell_decisions(kit)
    assert gallery.marked == {2: "→"} and gallery.texts[2][0] == "now one" and gallery.texts[1][0] == NAMES[1]
    for split in ("test", "valid"):  # answers on test images are not for relabelling
        box = pane.page.split
        box.setCurrentIndex(box.findData(split))
        box.activated.emit(box.currentIndex())
        pane.controller._settle()
        tell(kit, data="/pictures/pets")
        show(kit)
        tell_decisions(kit)
        assert line.isVisible() == (split == "valid") and bool(gallery.marked) == (split == "valid")


def test_that_another_pane_chooses_what_answers_and_the_split(kit: Kit) -> None:
    pane = open_pane(kit)
    assert pane.take_over("errors", ("knn", "test"))
    pane.controller._settle()
    assert (asked(kit).of.through, asked(kit).of.split) == ("knn", "test")
    assert pane.take_over("errors", "")
    pane.controller._settle()
    assert (asked(kit).of.through, asked(kit).of.split) == ("classifier", "test")


def test_that_test_images_are_looked_at_with_a_warning_that_stays_and_are_not_relabelled(kit: Kit) -> None:
    pane = ready(kit)
    assert not pane.page.test_line.isVisible()
    box = pane.page.split
    for split in ("test", "valid"):
        box.setCurrentIndex(box.findData(split))
        box.activated.emit(box.currentIndex())
        pane.controller._settle()
        assert asked(kit).of.split == split
        tell(kit)
        show(kit)
        QTest.mouseClick(pane.page.gallery, Qt.MouseButton.LeftButton, pos=pane.page.gallery.place(2).center().toPoint())
        assert pane.page.score_button.isEnabled()
        assert pane.page.curate_button.isEnabled() == (split == "valid") == (not pane.page.test_line.isVisible())
        pane.exports.copy(pane.page.matrix)  # another word in the status line
        if split == "test":
            line = pane.page.test_line
            assert line.isVisible() and "look too good" in line.text and "not relabelled" in pane.page.curate_button.toolTip()
            painted, ink = line.grab().toImage(), QColor(theme.colors(kit.state.theme).warning_text)
            assert any(painted.pixelColor(x, y) == ink for x in range(painted.width()) for y in range(painted.height()))
            pane.page.curate_button.click()
            assert not pane.findChildren(CurationMenu)


def test_that_pages_turn_within_what_there_is(kit: Kit) -> None:
    pane = open_pane(kit)
    tell(kit)
    room = pane.controller.count
    show(kit, total=room + 3, n=room)
    assert not pane.page.previous.isEnabled() and pane.page.next.isEnabled()
    pane.page.next.click()
    assert show(kit, total=room + 3, n=3).offset == room
    assert pane.page.previous.isEnabled() and not pane.page.next.isEnabled()
    QTest.keyClick(pane.page.gallery, Qt.Key.Key_PageUp)
    assert kit.engine.of(m.BrowseErrors)[-1].offset == 0


@pytest.mark.parametrize("total", (1, 2, 5, 9, 40))
@pytest.mark.parametrize("names", (NAMES, tuple(f"class_{word}_of_the_second_survey" for word in NAMES)), ids=("short", "long"))
@pytest.mark.parametrize("size", ((700, 400), (860, 560), (1200, 900)), ids=str)
def test_that_the_gallery_is_as_full_as_it_can_be(kit: Kit, size: tuple[int, int], names: tuple[str, ...], total: int) -> None:
    """No further row or column has room at a legible size, all images that have room are shown, and none lies over another."""
    pane = open_pane(kit)
    pane.resize(*size)
    tell(kit, names=names)
    answered, n = 0, 0
    while answered < len(kit.engine.of(m.BrowseErrors)):  # until no other number is asked for
        answered, n = len(kit.engine.of(m.BrowseErrors)), min(kit.engine.of(m.BrowseErrors)[-1].count, total)
        show(kit, total=total, n=n)
        kit.pump()
    gallery = pane.page.gallery
    assert len(gallery.images) == min(total, pane.controller.count) and pane.controller.offset == 0
    places = [gallery.place(k) for k in range(n)]
    room = QRectF(gallery.rect())
    assert all(room.contains(place) for place in places)
    assert not [(a, b) for a in places for b in places if a is not b and a.intersects(b)]
    assert [gallery.at(place.center().toPoint()) for place in places] == list(range(n))
    if n < total:  # neither a third of a tile beside them nor below: what is over is less than a tile of the least size
        right, below = max(place.right() for place in places), max(place.bottom() for place in places)
        assert room.right() - right < 120 and room.bottom() - below < 80
        assert len({place.top() for place in places}) > 1, "more than one row, even where the page is as low as it can be"
    else:
        assert gallery.picture_side() >= 44


def test_that_the_columns_stay_where_they_are_whatever_the_names_of_the_classes(kit: Kit) -> None:
    pane = open_pane(kit)
    tell(kit)
    show(kit, total=4, n=4)
    kit.pump()
    before = pane.page.area.geometry(), pane.page.gallery.geometry()
    names = tuple(f"class_{word}_of_the_second_survey_in_the_north" for word in NAMES)
    kit.state.set_cursor(512)
    pane.controller._settle()
    tell(kit, names=names)
    pane.choose_cell(0, 1)
    show(kit, total=2, n=2)
    kit.pump()
    assert (pane.page.area.geometry(), pane.page.gallery.geometry()) == before
    assert names[0] in pane.page.gallery_heading.toolTip()


def test_that_a_new_step_leaves_the_reader_on_the_page(kit: Kit) -> None:
    """As a training tells one checkpoint after the other; where there are fewer errors now, on the last page."""
    pane = open_pane(kit)
    tell(kit)
    room = pane.controller.count
    show(kit, total=3 * room, n=room)
    for page in (1, 2):
        pane.page.next.click()
        assert show(kit, total=3 * room, n=room).offset == page * room
    for total, offset, words in ((2 * room + 3, 2 * room, f"{2 * room + 1}–{2 * room + 3}"), (room + 2, room, f"{room + 1}–{room + 2}")):
        kit.state.set_cursor(512 if total > 2 * room else 256)
        pane.controller._settle()
        tell(kit)
        if total > 2 * room:
            assert show(kit, total=total, n=3).offset == offset
        else:
            assert show(kit, total=total, n=0).offset == 2 * room  # there is no such page any more
            assert show(kit, total=total, n=2).offset == offset
        assert pane.page.where.text() == f"{words} of {total}" and pane.page.previous.isEnabled() and not pane.page.next.isEnabled()
    kit.state.set_cursor(1024)
    pane.controller._settle()
    tell(kit)
    assert show(kit, total=0, n=0).offset == room and pane.controller.offset == 0 and not pane.page.previous.isEnabled()


def test_that_the_figures_say_what_the_calibration_is_and_lead_to_the_pairs(kit: Kit) -> None:
    pane = ready(kit)
    assert "40.0" in pane.page.figures.cells["accuracy"].text() and "Over-confident" in pane.page.figures.verdict.text
    links = [made for made in pane.page.figures.findChildren(QPushButton) if made.isVisibleTo(pane)]
    assert [made.text() for made in links] == ["zero → one: 2", "one → two: 1", "two → zero: 1"]
    links[0].click()
    assert pane.page.matrix.chosen == (0, 1)
    hover(pane.page.reliability, pane.page.reliability.point(1).toPoint())
    assert "90.0\u202f% of 16 images right" in pane.page.bin_line.text
    pane.page.mass.click()
    assert len(pane.page.reliability.bins) == 1


def test_that_many_classes_begin_with_the_most_confused_and_scroll(kit: Kit) -> None:
    rng = np.random.default_rng(0)
    matrix = np.diag(np.full(120, 9)) + (rng.random((120, 120)) < 0.002) * (1 - np.eye(120, dtype=int))
    matrix[7, 90] = 5
    matrix[50, 7] = 4
    pane = open_pane(kit)
    tell(kit, matrix.astype(np.int64), tuple(f"class {k}" for k in range(120)))
    shown = pane.page.matrix
    assert pane.page.few.isVisible() and len(shown.classes) == 20 and {7, 90, 50} <= set(shown.classes)
    show(kit)
    pane.grab()  # it is laid out now
    places = {int(k): at for at, k in enumerate(shown.classes)}
    QTest.mouseClick(shown, Qt.MouseButton.LeftButton, pos=cell(pane, places[7], places[90]))
    assert (show(kit).true, kit.engine.of(m.BrowseErrors)[-1].predicted) == (7, 90)
    pane.page.few.click()
    pane.grab()
    assert len(shown.classes) == 120 and shown.minimumHeight() > pane.page.area.viewport().height()
    shown.setFocus()
    for _ in range(119):
        QTest.keyClick(shown, Qt.Key.Key_Down)
    assert pane.page.area.verticalScrollBar().value() > 0 and "class 119" in pane.page.cell_line.text


def test_that_answers_that_the_engine_lost_are_found_again_once(kit: Kit) -> None:
    pane = ready(kit)
    pane.page.unsure.click()
    for _ in range(2):
        query = kit.engine.of(m.BrowseErrors)[-1]
        kit.engine.events.append(m.QueryFailed(stamp=query.stamp, channel=query.channel, kind="BrowseErrors", message="Not kept any more."))
        kit.pump()
        assert len(kit.engine.of(m.FindErrors)) == 2
        if pane.controller.jobs:
            tell(kit)
    assert "Not kept any more." in pane.page.status.text


def test_that_a_failure_and_a_run_that_tells_nothing_apart_are_said(kit: Kit) -> None:
    pane = open_pane(kit)
    kit.engine.events.append(m.Ended(asked(kit).job, "failed", "digits is not what it was."))
    kit.pump()
    assert pane.page.status.text == "digits is not what it was." and pane.page.status.level == "bad"
    pane.controller._settle()
    assert len(kit.engine.of(m.FindErrors)) == 1  # it is not tried again by itself
    kit.look_at(run_info("/runs/density", method="pixel_cnn", title="PixelCNN", capabilities=("log_prob", "sample")))
    kit.state.methods = {**kit.state.methods, "pixel_cnn": replace(VAE, name="pixel_cnn", title="PixelCNN", capabilities=("log_prob",))}
    kit.state.methods_changed.emit()
    kit.pump()
    assert pane.stack.currentIndex() == 0 and "tells no classes apart" in pane.empty.title.text()


def test_that_matrix_bins_and_errors_are_saved(kit: Kit, tmp_path: Path) -> None:
    pane = ready(kit)
    exports = pane.exports
    for kind in ("png", "csv"):
        exports.save_chart(pane.page.matrix, kind, str(tmp_path / f"m.{kind}"))
        exports.save_chart(pane.page.reliability, kind, str(tmp_path / f"r.{kind}"))
    exports.save_errors(str(tmp_path / "e.csv"))
    query = kit.engine.of(m.BrowseErrors)[-1]
    assert not query.pixels and query.count == MATRIX.sum()
    show(kit, n=3)
    rows = {
        name: [row for row in csv.reader((tmp_path / f"{name}.csv").read_text("utf-8").splitlines()) if not row[0].startswith("#")]
        for name in "mre"
    }
    assert rows["m"][1:] == [[name, *map(str, row)] for name, row in zip(NAMES, MATRIX, strict=True)]
    assert [float(value) for value in rows["r"][1]] == pytest.approx(BIN)
    assert rows["e"][1][:5] == ["17", "digit 0", "zero", "one", "0.9"] and len(rows["e"]) == 4
    assert (tmp_path / "m.png").stat().st_size > 1000 and "step: 1024" in (tmp_path / "m.csv").read_text("utf-8")


@pytest.mark.parametrize("width", [680, 760, 910])
def test_that_every_text_has_room(kit: Kit, qapp, width: int) -> None:
    theme.apply_theme(qapp, "dark")
    try:
        pane = open_pane(kit)
        pane.resize(width, 620)
        tell(kit)
        show(kit)
        pane.choose_cell(0, 1)
        show(kit)
        pane._say_image(0)
        kit.pump()
        assert misfits(pane) == []
        pane.page.test_line.show()
        kit.pump()
        assert misfits(pane) == []
    finally:
        qapp.setStyleSheet("")
