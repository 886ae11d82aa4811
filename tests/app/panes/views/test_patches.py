"""The page of patches over real small transformers, used by mouse and keys: what is asked, what is painted, what is saved."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from app.panes.views.pane import BATCH, INVARIANCE, PATCHES, SIMILARITY, ViewsPane
from app.panes.views.patch_pictures import attention_measures
from app.panes.views.patches_page import ATTENTION, COMPONENTS, SIMILARITIES
from app.widgets.heat import viridis
from engine import messages as m
from engine.method import info
from engine.methods import method_named
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.panes import ANSWERS, Kit, run_info
from tests.kit.session_engine import PatientEngine

SETTINGS: dict[str, dict[str, Any]] = {
    "mae": {"width": 16, "blocks": 1, "decoder_width": 16, "batch_size": 16},
    "simclr": {"encoder": "convnet", "width": 4, "batch_size": 16},
    "fine_tuning": {"label_share": 0.5},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for name, settings in SETTINGS.items():
        list(train(Plan(name, "digits", settings, seed=3, steps=4, name=name, device="cpu"), root))
    return root


@pytest.fixture(scope="module")
def session() -> QuerySession:
    return QuerySession()


@pytest.fixture
def kit(qapp, session: QuerySession, runs: Path) -> Iterator[Kit]:
    made = Kit()
    made.engine.answering = False
    made.bridge.engine = PatientEngine(session)
    made.state.methods = {name: info(method_named(name)) for name in SETTINGS}
    yield made
    made.end()


def about(runs: Path, name: str) -> m.RunInfo:
    steps = tuple(m.CheckpointInfo(step, False) for step in (1, 2, 4))
    capabilities = info(method_named(name)).capabilities
    return run_info(str(runs / name), name, title=name, config={}, capabilities=capabilities, checkpoints=steps)


def settle(kit: Kit) -> None:
    """Deliver answers until none is to come."""
    kit.pump()
    while kit.bridge.engine.events:  # type: ignore[attr-defined]
        kit.pump()


def opened(kit: Kit, runs: Path, name: str = "mae", page: int = PATCHES, mode: int = ATTENTION) -> ViewsPane:
    kit.look_at(about(runs, name))
    pane = kit.open(ViewsPane, 1000, 640)
    assert isinstance(pane, ViewsPane)
    settle(kit)
    pane.show_page(page)
    settle(kit)
    if mode != ATTENTION:
        click_button(pane, mode)
        settle(kit)
    return pane


def click_button(pane: ViewsPane, mode: int) -> None:
    QTest.mouseClick(pane.patches_page.modes.button(mode), Qt.MouseButton.LeftButton)


def click(pane: ViewsPane, place: QRectF) -> None:
    QTest.mouseClick(pane.patches_page.board, Qt.MouseButton.LeftButton, pos=place.center().toPoint())


def asked(kit: Kit, kind: type) -> list[Any]:
    return kit.bridge.engine.of(kind)  # type: ignore[attr-defined]


def pixel(pane: ViewsPane, place: QRectF) -> tuple[int, ...]:
    """What is painted in the middle of a place."""
    image = pane.patches_page.board.grab().toImage()
    found = image.pixelColor(place.center().toPoint())
    return found.red(), found.green(), found.blue()


def pixels_of(pane: ViewsPane) -> np.ndarray:
    """The board as it is painted, uint8 [h, w, 3]."""
    image = pane.patches_page.board.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


# -- which runs have the page ------------------------------------------------------------------------------------------


def test_that_a_transformer_has_the_page_and_another_network_says_which_runs_have(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs, page=BATCH)
    assert not pane.tabs.button(PATCHES).isHidden() and pane.page == BATCH
    assert asked(kit, m.ShowAttention) == [], "nobody looks at it yet"
    pane.show_page(PATCHES)
    kit.look_at(about(runs, "simclr"))
    settle(kit)
    assert pane.page == PATCHES and not pane.patches_page.side.isVisible() and pane.patches_page.board.picture is None
    hint = pane.patches_page.board.hint
    assert "is no vision transformer" in hint and "encoder=vit" in hint and "No run of the list has patches yet." in hint
    kit.look_at(about(runs, "simclr"), replace(about(runs, "mae"), config={"encoder": "vit"}))
    settle(kit)
    pane._offer(*pane._pages_told)
    assert pane.patches_page.board.hint.endswith("Runs with patches: mae.")
    kit.look_at(about(runs, "mae"))
    settle(kit)
    assert pane.page == PATCHES and pane.patches_page.side.isVisible() and pane.patches_page.board.picture is not None
    assert len(asked(kit, m.DescribePatches)) == 3


def test_that_a_method_without_views_shows_what_its_network_has(kit: Kit, runs: Path, monkeypatch) -> None:
    pane = opened(kit, runs, "fine_tuning", page=BATCH)  # of a classifier: a convolutional network
    assert [page for page in range(6) if not pane.tabs.button(page).isHidden()] == [INVARIANCE, PATCHES]
    assert pane.page == INVARIANCE, "that page has something for it"
    assert asked(kit, m.ShowBatch) == [] and pane.status.level == ""
    described = m.PatchesDescribed(stamp=0, run="", step=4, layers=4, heads=2)
    pane.patches.network = described
    pane.patches.described.emit()
    assert pane.page == PATCHES and pane.tabs.button(SIMILARITY).isHidden()


def test_that_a_run_that_was_opened_before_its_method_is_known_shows_its_page_as_soon_as_it_is(kit: Kit, runs: Path) -> None:
    known, kit.state.methods = kit.state.methods, {}
    kit.look_at(replace(about(runs, "fine_tuning"), capabilities=("encode",)))
    pane = kit.open(ViewsPane)
    assert isinstance(pane, ViewsPane)
    settle(kit)
    assert asked(kit, m.DescribePatches) == []
    kit.state.methods = known
    kit.state.methods_changed.emit()
    settle(kit)
    assert pane.page == INVARIANCE and not pane.tabs.button(pane.page).isHidden() and len(asked(kit, m.DescribePatches)) == 1


def test_that_every_word_of_the_page_is_explained_on_it_and_in_a_tip_with_its_source(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs)
    page = pane.patches_page
    for mode in range(3):
        click_button(pane, mode)
        settle(kit)
        assert len(page.about.text) > 40 and "arXiv" in page.modes.button(mode).toolTip()
    assert "cos(a, b)" in page.modes.button(SIMILARITIES).toolTip() and "softmax" in page.modes.button(ATTENTION).toolTip()
    click_button(pane, ATTENTION)
    settle(kit)
    entropy, distance, rest = page.measures
    assert "low when" in entropy.text and "−Σ p ln p" in entropy.toolTip()
    assert "how far" in distance.text and "2010.11929" in distance.toolTip()
    assert "stands for no patch" in rest.text and "class token" in rest.toolTip()
    for widget in (page.layer, page.head, page.foreground, page.opacity):
        assert len(widget.toolTip()) > 30 and page.names[widget].toolTip() == widget.toolTip()
    click_button(pane, COMPONENTS)
    settle(kit)
    assert not any(line.isVisible() for line in page.measures)


# -- attention ---------------------------------------------------------------------------------------------------------


def test_that_attention_is_painted_as_the_engine_told_it_and_said_with_what_no_patch_gets(kit: Kit, runs: Path, session) -> None:
    pane = opened(kit, runs)
    page, board = pane.patches_page, pane.patches_page.board
    told = session.answer(m.ShowAttention(run=str(runs / "mae"), step=4, picture=m.PictureRef("x", index=0)))
    assert page.attention is not None
    np.testing.assert_array_equal(page.attention.maps, told.maps)
    page.opacity.setValue(100)
    for row, column in ((0, 0), (3, 1)):
        expected = viridis(told.maps[2, row, column] / told.maps[2].max())
        assert np.abs(np.subtract(pixel(pane, board.patch_place(board.place(), row, column)), expected)).max() <= 2
    assert f"{100 * told.rest[2]:.1f}\u202f% goes to the class token itself" in page.measures[2].text
    assert "of at most 2.77 nats" in page.measures[0].text and "layer 4 of 4, mean of 2 heads" in page.words.text
    page.opacity.setValue(0)
    grey = round(float(told.seen[0, 0:2, 0:2].mean()))
    assert abs(pixel(pane, board.patch_place(board.place(), 0, 0))[0] - grey) <= 20 + grey, "the image alone"
    assert pane.shown_step.text == "Step 4"


def test_that_even_attention_is_said_to_point_nowhere(session, runs: Path) -> None:
    told = session.answer(m.ShowAttention(run=str(runs / "mae"), step=4, picture=m.PictureRef("x", index=0)))
    most = np.log(told.maps[0].size)
    for share, even in ((1.0, True), (0.992, True), (0.985, False)):
        shown = replace(told, entropies=np.full(3, share * most, np.float32))
        assert ("points nowhere" in attention_measures(shown, 0)[0][0]) == even


def test_that_a_clicked_patch_is_asked_about_and_the_class_token_comes_back(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs)
    page, board = pane.patches_page, pane.patches_page.board
    assert page.whose.isHidden()
    click(pane, board.patch_place(board.place(), 1, 2))
    settle(kit)
    assert asked(kit, m.ShowAttention)[-1].patch == (1, 2) == board.patch
    assert "The patch in row 2, column 3" in page.words.text
    QTest.keyClick(board, Qt.Key.Key_Right)
    QTest.keyClick(board, Qt.Key.Key_Right)
    QTest.keyClick(board, Qt.Key.Key_Up)
    settle(kit)
    assert board.patch == (0, 3), "the last column is the end"
    QTest.mouseClick(page.whose, Qt.MouseButton.LeftButton)
    settle(kit)
    assert board.patch is None and "The class token" in page.words.text and page.whose.isHidden()
    QTest.keyClick(board, Qt.Key.Key_Down)
    settle(kit)
    assert board.patch == (2, 2)
    QTest.keyClick(board, Qt.Key.Key_Escape)
    settle(kit)
    assert board.patch is None


def test_that_heads_are_chosen_by_tile_by_list_and_by_key(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs)
    page, board = pane.patches_page, pane.patches_page.board
    many = len(asked(kit, m.ShowAttention))
    page.opacity.setValue(100)
    click(pane, board.tile_places()[2])
    assert page.look.head == 1 and page.head.currentText() == "head 2" and board.picture is not None
    assert board.picture.chosen_tile == 2 and page.attention is not None
    shares = page.attention.maps[1]
    assert board.picture.high == f"{100 * shares.max():.1f}\u202f%"
    expected = viridis(shares[2, 0] / shares.max())
    assert np.abs(np.subtract(pixel(pane, board.patch_place(board.place(), 2, 0)), expected)).max() <= 2
    QTest.keyClick(board, Qt.Key.Key_PageUp)
    assert page.look.head == 0
    page.head.setFocus()
    QTest.keyClick(page.head, Qt.Key.Key_Home)
    page.head.activated.emit(page.head.currentIndex())
    assert page.look.head == -1 and "mean of 2 heads" in page.words.text
    assert len(asked(kit, m.ShowAttention)) == many, "all heads came with one answer"


def test_that_layers_and_steps_are_followed_with_the_same_image(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs)
    page = pane.patches_page
    QTest.keyClick(page.layer, Qt.Key.Key_Left)
    settle(kit)
    assert asked(kit, m.ShowAttention)[-1].layer == 3 and page.layer_value.text() == "3 of 4" and "layer 3 of 4" in page.words.text
    kit.state.set_cursor(1)
    settle(kit)
    query = asked(kit, m.ShowAttention)[-1]
    assert (query.step, query.layer, query.picture.index) == (1, 3, 0) and pane.shown_step.text == "Step 1"


# -- several images ----------------------------------------------------------------------------------------------------


def test_that_components_are_painted_as_colours_and_the_foreground_leaves_the_rest_uncoloured(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs, mode=COMPONENTS)
    page, board = pane.patches_page, pane.patches_page.board
    page.opacity.setValue(100)
    shown = page.colors
    assert shown is not None and shown.colors.shape[0] == 12 == len(board.tile_places()) + 1
    for image, row, column in ((0, 1, 1), (5, 2, 3)):
        place = [board.place(), *board.tile_places()][image]
        expected = shown.colors[image, row, column].astype(int)
        assert np.abs(np.subtract(pixel(pane, board.patch_place(place, row, column)), expected)).max() <= 2
    assert f"component 1: {100 * shown.explained[0]:.1f}\u202f%" in board.picture.keys[0][1]  # type: ignore[union-attr]
    page.foreground.setCurrentIndex(1)
    page.foreground.activated.emit(1)
    settle(kit)
    assert asked(kit, m.ColorPatches)[-1].foreground == "above"
    again = page.colors
    assert again is not None and 0 < again.kept.sum() < again.kept.size
    np.testing.assert_array_equal(again.kept, shown.components[..., 0] > 0)
    row, column = map(int, np.argwhere(~again.kept[0])[0])
    page.opacity.setValue(0)
    bare = pixel(pane, board.patch_place(board.place(), row, column))
    page.opacity.setValue(100)
    assert pixel(pane, board.patch_place(board.place(), row, column)) == bare
    assert f"components of {again.kept.sum()} patches" in page.words.text and "above 0" in page.words.text


def test_that_a_clicked_patch_is_compared_and_a_tile_becomes_the_image(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs, mode=SIMILARITIES)
    page, board = pane.patches_page, pane.patches_page.board
    click(pane, board.patch_place(board.place(), 0, 1))
    settle(kit)
    first = page.cosines
    assert first is not None and first.patch == (0, 1) == board.patch and asked(kit, m.CompareToPatch)[-1].patch == (0, 1)
    assert board.picture is not None and len(board.picture.outlined) == 8
    lines = page.matches.text.splitlines()
    best = first.matches[0]
    assert lines[0].endswith(f"({best.row + 1}, {best.column + 1})") and "in row 1, column 2" in page.words.text, "counted from 1"
    assert len(lines) == 8 and lines[0].startswith(f"{first.matches[0].cosine:.3f}"[:4])
    other = int(first.indices[4])
    click(pane, board.patch_place(board.tile_places()[3], 3, 2))
    settle(kit)
    again = page.cosines
    assert again is not None and again.labels[0] == f"Validation image {other}" and again.patch == (3, 2)
    np.testing.assert_array_equal(again.seen[0], first.seen[4])
    QTest.keyClick(board, Qt.Key.Key_PageDown)
    settle(kit)
    assert page.cosines is not None and page.cosines.labels[0] == f"Validation image {other + 1}"


def test_that_outlines_lie_on_the_matches_that_are_named(kit: Kit, runs: Path) -> None:
    pane = opened(kit, runs, mode=SIMILARITIES)
    board = pane.patches_page.board
    assert board.picture is not None
    picture, places = board.picture, [board.place(), *board.tile_places()]
    around = [board.patch_place(places[k], row, column).adjusted(-4, -4, 4, 4) for k, row, column in picture.outlined]
    painted = pixels_of(pane)
    board.set_picture(replace(picture, outlined=()), board.patch)
    changed = np.argwhere((painted != pixels_of(pane)).any(2))
    assert len(changed) > 8 * 20
    assert all(any(place.contains(x, y) for place in around) for y, x in changed), "nothing is outlined beside the matches"
    for place in around:
        inside = painted[max(0, int(place.top())) : int(place.bottom()), max(0, int(place.left())) : int(place.right())]
        assert (inside == 255).all(2).sum() >= 20, "each of them is"


def test_that_a_dropped_picture_is_looked_at_in_every_mode(kit: Kit, runs: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 30, 3), 200, np.uint8)).save(tmp_path / "wide.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    pane = opened(kit, runs)
    assert pane.accept_image(str(tmp_path / "wide.png"))
    settle(kit)
    assert pane.page == PATCHES and asked(kit, m.ShowAttention)[-1].picture.path.endswith("wide.png")
    assert "8×8" in pane.patches_page.words.text
    click_button(pane, COMPONENTS)
    settle(kit)
    shown = pane.patches_page.colors
    assert shown is not None and shown.labels[0] == "wide.png" and shown.indices[0] == -1
    assert pane.accept_image(str(tmp_path / "torn.png"))
    settle(kit)
    assert "torn.png" in pane.status.text and pane.status.level == "bad"
    QTest.mouseClick(pane.patches_page.modes.button(SIMILARITIES), Qt.MouseButton.LeftButton)
    settle(kit)
    assert pane.status.level == "bad", "it is still that picture"
    pane.patches_page.another()
    settle(kit)
    assert pane.status.level == "" and pane.patches_page.cosines is not None


# -- out of the window -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "head", "lines"),
    [
        (ATTENTION, ["layer", "head", "row", "column", "share"], 3 * 17),
        (COMPONENTS, ["image", "row", "column", "component_1", "component_2", "component_3"], 12 * 16),
        (SIMILARITIES, ["image", "row", "column", "cosine", "rank"], 12 * 16),
    ],
)
def test_that_what_is_shown_is_saved_as_table_and_picture(kit: Kit, runs: Path, tmp_path: Path, mode: int, head: list[str], lines: int):
    pane = opened(kit, runs, mode=mode)
    pane.exports.save("csv", str(tmp_path / "a.csv"))
    text = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.reader(line for line in text if not line.startswith("#")))
    assert rows[0] == head and len(rows) == lines + 1
    page = pane.patches_page
    if mode == ATTENTION and page.attention is not None:
        assert rows[1][:4] == ["4", "1", "0", "0"] and float(rows[1][4]) == pytest.approx(page.attention.maps[0, 0, 0], rel=1e-4)
        assert sum(float(row[4]) for row in rows[1:18]) == pytest.approx(1, abs=1e-4)
    if mode == SIMILARITIES and page.cosines is not None:
        best = page.cosines.matches[0]
        (found,) = [row for row in rows[1:] if row[4] == "1"]
        assert float(found[3]) == pytest.approx(best.cosine, rel=1e-4) and found[1:3] == [str(best.row), str(best.column)]
    pane.exports.save("png", str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.size[0] == 3 * pane.patches_page.board.width()


# -- what is under way -------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(qapp, runs: Path, monkeypatch) -> Iterator[Kit]:
    """A window whose engine describes the network and does nothing more."""

    def describe(engine: Any, q: m.DescribePatches) -> m.PatchesDescribed:
        return m.PatchesDescribed(stamp=q.stamp, channel=q.channel, run=q.run, step=4, layers=4, heads=2)

    monkeypatch.setitem(ANSWERS, m.DescribePatches, describe)
    made = Kit()
    made.state.methods = {"fine_tuning": info(method_named("fine_tuning"))}
    yield made
    made.end()


def begun(kit: Kit, runs: Path) -> ViewsPane:
    kit.look_at(about(runs, "fine_tuning"))
    pane = kit.open(ViewsPane)
    assert isinstance(pane, ViewsPane)
    pane.patches_page.set_mode(COMPONENTS)
    kit.pump()
    assert pane.page == PATCHES
    return pane


def test_that_a_job_is_told_stopped_when_nobody_looks_and_begun_again(waiting: Kit, runs: Path) -> None:
    kit, pane = waiting, begun(waiting, runs)
    (work,) = kit.engine.of(m.ColorPatches)
    kit.bridge.tell(m.Progress(work.job, "", 3, 12, "image", 1.0, None, "patch features"))
    assert pane.status.text == "Patch features: image 3 of 12"
    pane.deactivate()
    assert [stop.job for stop in kit.engine.of(m.StopJob)] == [work.job]
    pane.activate()
    assert len(kit.engine.of(m.ColorPatches)) == 2


def test_that_only_the_newest_of_several_clicks_is_waited_for(waiting: Kit, runs: Path) -> None:
    kit, pane = waiting, begun(waiting, runs)
    pane.patches_page.set_mode(SIMILARITIES)
    pane.patches_page.look.patch = (1, 1)
    pane.refresh()
    first, second = kit.engine.of(m.CompareToPatch)
    assert first.job in [stop.job for stop in kit.engine.of(m.StopJob)] and second.patch == (1, 1)
    kit.bridge.tell(m.Ended(first.job, "stopped", "Stopped."))
    assert pane.patches.busy
    kit.bridge.tell(m.Ended(second.job, "failed", "There is no patch in row 1."))
    assert not pane.patches.busy and pane.status.text == "There is no patch in row 1." and pane.status.level == "bad"


def test_that_a_live_training_does_not_begin_a_job_anew_with_every_checkpoint(waiting: Kit, runs: Path) -> None:
    kit, pane = waiting, begun(waiting, runs)
    (work,) = kit.engine.of(m.ColorPatches)
    run = str(runs / "fine_tuning")
    for step in (8, 16):
        kit.state.checkpoint_saved(run, step, True)
        pane._live.stop()
        pane.refresh()
    assert kit.engine.of(m.ColorPatches) == [work]
    kit.bridge.tell(m.Ended(work.job, "ok", "Done."))
    assert [one.images.step for one in kit.engine.of(m.ColorPatches)] == [4, 16]
    kit.state.set_cursor(2)
    assert [one.images.step for one in kit.engine.of(m.ColorPatches)] == [4, 16, 2], "a step that was chosen is not waited with"
