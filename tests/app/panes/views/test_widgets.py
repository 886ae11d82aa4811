"""The parts of the Views pane by themselves: what they say, what a mouse and a keyboard do with them, what they draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.panes.views.augmentation_settings import ViewSettings, neutral
from app.panes.views.formatting import digits_for, pixels, said
from app.panes.views.invariance_curves import InvariancePlot, strength_words
from app.panes.views.pairs_page import agreement
from app.panes.views.puzzle_mask import BLOCKS, BlockPicker, MaskPuzzleBoard
from app.panes.views.puzzle_page import PuzzleScore
from app.panes.views.puzzle_tiles import TileBoard, TilePuzzleBoard, cut, laid, solving
from app.panes.views.puzzle_turn import TurnPuzzleBoard
from app.panes.views.queue_page import AgesChart, binned, told
from app.panes.views.similarity_matrix import Similarities, SimilarityMap
from app.panes.views.view_grid import ViewGrid
from app.shell.theme import DARK, LIGHT
from engine import messages as m

BOX = (0, 0, 8, 8)


@pytest.fixture
def on_screen(qapp) -> Iterator[Callable[..., QWidget]]:
    made: list[QWidget] = []

    def show(widget: QWidget, width: int = 500, height: int = 400) -> QWidget:
        widget.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        widget.resize(width, height)
        widget.show()
        made.append(widget)
        return widget

    yield show
    for widget in made:
        widget.close()
        widget.deleteLater()


def move(widget: QWidget, to: QPointF, held: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    """The mouse moves, whatever lies under the real pointer."""
    event = QMouseEvent(QEvent.Type.MouseMove, to, widget.mapToGlobal(to), Qt.MouseButton.NoButton, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(widget, event)


def batch(n: int = 3, locals_: int = 0, roles: tuple[str, str] = ("", ""), **changes) -> m.BatchShown:
    """Two views of n random images (and local crops of half the side), with cosines of random vectors."""
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
    drawn = tuple(m.Drawn((i % 3, 0, 5, 6), flipped=i % 2 == 0, hue=0.04) for i in range(n))
    views = [m.ShownView(f"view {k + 1}", roles[k], rng.random((n, 3, 8, 8), dtype=np.float32), drawn) for k in range(2)]
    views += [m.ShownView(f"local {k + 1}", "student", rng.random((n, 3, 4, 4), dtype=np.float32), drawn) for k in range(locals_)]
    watchers = []
    for place, view in enumerate(views):
        watchers += [m.Watcher(place, role, f"{view.name}, {role}" if role else view.name) for role in view.role.split(" and ")]
    vectors = rng.normal(size=(len(watchers), n, 16))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    rows = (0, 1) if not roles[0] else (0,)
    columns = (0, 1) if not roles[0] else (1,)
    matrix = vectors[list(rows)].reshape(-1, 16) @ vectors[list(columns)].reshape(-1, 16).T
    made = m.BatchShown(
        stamp=0, run="/runs/a", step=4, indices=np.arange(n) + 100, labels=("cat", "dog", "owl")[:n], originals=originals,
        views=tuple(views), watchers=tuple(watchers), cosines=np.einsum("knd,lnd->nkl", vectors, vectors).astype(np.float32), pair=(0, 1),
        before=None, matrix=matrix.astype(np.float32), rows=rows, columns=columns, batch=64, piece=64, exact=True, notes=(),
        compares="projections",
    )  # fmt: skip
    return replace(made, **changes)


# -- words -------------------------------------------------------------------------------------------------------------


def test_that_a_draw_is_said_in_the_order_in_which_it_was_done() -> None:
    drawn = m.Drawn(
        (1, 2, 5, 6), flipped=True, angle=-12.4, brightness=1.23, hue=0.04, grey=True, sigma=1.25, solarized=True, hole=(0, 0, 4, 4)
    )
    expected = "5×6 of it · turned −12° · mirrored · brightness +23 % · hue +0.04 · grey · blur 1.2 px · solarized · cut-out"
    assert said(drawn, (8, 8)) == expected
    assert said(m.Drawn(BOX), (8, 8)) == "unchanged"
    assert said(m.Drawn((1, 2, 5, 6))) == "unchanged"  # the crop is drawn elsewhere


def test_that_the_networks_numbers_become_pictures_even_beyond_black_and_white() -> None:
    x = np.array([[-0.5, 0, 0.5, 1, 7, np.nan]], np.float32)
    assert pixels(x).tolist() == [[0, 0, 128, 255, 255, 0]]


def test_that_cosines_close_together_get_more_digits() -> None:
    assert [digits_for(np.array(v)) for v in ([0.1, 0.9], [0.95, 0.98], [0.998, 0.9989])] == [2, 3, 4]


# -- the grid ----------------------------------------------------------------------------------------------------------


def test_that_a_row_says_what_it_is_what_was_done_and_how_similar_it_is_found(on_screen) -> None:
    grid = on_screen(ViewGrid())
    shown = batch()
    grid.set_batch(shown)
    assert grid.title(1) == "training image 101 · dog"
    assert grid.similarity(2) == pytest.approx(float(shown.cosines[2, 0, 1]))
    assert grid.words(0, 0) == "5×6 of it · mirrored · hue +0.04"
    assert "training image 100 · cat" in grid.accessibleDescription()
    assert grid.height() == grid.needed() > 3 * grid.tile()


def test_that_views_are_drawn_pixel_for_pixel_and_crops_lie_on_the_original(on_screen) -> None:
    grid = on_screen(ViewGrid(), width=700)
    shown = batch()
    grid.set_batch(shown)
    image = grid.grab().toImage()
    original, view, _ = grid.places(1)
    cell = view.width() / 8
    for row, column in ((2, 2), (5, 4)):  # away from the frame
        at = QPointF(view.left() + (column + 0.5) * cell, view.top() + (row + 0.5) * cell).toPoint()
        assert image.pixelColor(at).getRgb()[:3] == tuple(int(v) for v in pixels(shown.views[0].x[1, :, row, column]))
    left = original.left() + 1 * original.width() / 8  # the box of image 1 begins at its second column
    ink = {image.pixelColor(round(left) + dx, round(original.top() + 2.5 * cell)).name() for dx in (-1, 0, 1, 2)}
    assert ink & {color.name() for color in grid._inks}


def test_that_rows_are_chosen_by_mouse_and_keyboard(on_screen) -> None:
    grid = on_screen(ViewGrid())
    grid.set_batch(batch())
    picked: list[int] = []
    grid.picked.connect(picked.append)
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=QPoint(30, int(grid.top(1) + 5)))
    QTest.keyClick(grid, Qt.Key.Key_Down)
    QTest.keyClick(grid, Qt.Key.Key_Down)
    QTest.keyClick(grid, Qt.Key.Key_Up)
    assert picked == [1, 2, 2, 1] and grid.chosen == 1
    assert "mirrored" not in grid.tip(QPoint(30, int(grid.top(1) + 5))) and "dog" in grid.tip(QPoint(30, int(grid.top(1) + 5)))
    assert grid.tip(grid.places(0)[2].center().toPoint()).startswith("view 2: 5×6 of it · mirrored")


def test_that_local_crops_stand_small_and_say_how_similar_the_teacher_finds_them(on_screen) -> None:
    grid = on_screen(ViewGrid())
    shown = batch(locals_=3, roles=("student and teacher", "student and teacher"))
    grid.set_batch(replace(shown, pair=(1, 2)))
    assert grid.columns() == [[0], [1], [2, 3], [4]]
    places = grid.places(0)
    assert places[3].width() < 0.6 * places[1].width() and places[3].left() == places[4].left() and places[3].bottom() < places[4].top()
    told_ = " · ".join(f"{shown.cosines[0, 1, k]:.2f}".replace("-", "−") for k in (4, 5, 6))
    assert grid.crops_words(0) == f"local crops: {told_}"


def test_that_a_difference_by_other_settings_is_shown_in_both_themes(on_screen) -> None:
    grid = on_screen(ViewGrid())
    grid.set_batch(batch(before=np.array([0.5, 0.5, 0.5], np.float32)))
    for colors in (DARK, LIGHT):
        grid.set_colors(colors)
        assert not grid.grab().isNull()


# -- settings ----------------------------------------------------------------------------------------------------------

FIELDS = (
    m.FieldInfo("crop_least", "crop least", "float", 0.2, "Smallest share.", 0.01, 1.0, group="Augmentation"),
    m.FieldInfo("hue", "hue", "float", 0.1, "Colours are turned.", 0.0, 0.5, group="Augmentation"),
    m.FieldInfo("blur", "blur", "float", 0.0, "Probability.", 0.0, 1.0, group="Augmentation"),
    m.FieldInfo("local_crops", "local crops", "int", 2, "Crops.", 0, 12, "crops", group="Augmentation"),
    m.FieldInfo("asymmetric", "asymmetric", "bool", True, "Not alike.", group="Augmentation"),
)


@pytest.fixture
def settings(on_screen) -> tuple[ViewSettings, list[dict]]:
    made = on_screen(ViewSettings(), 264, 500)
    made.set_fields(FIELDS, {"hue": 0.25})
    heard: list[dict] = []
    made.changed.connect(heard.append)
    return made, heard


def test_that_settings_begin_as_the_run_was_trained(settings) -> None:
    made, heard = settings
    assert made.settings() == {} and heard == []
    assert made.rows["hue"].figure.text() == "0.25" and made.rows["crop_least"].figure.text() == "0.2"
    assert not made.rows["blur"].switch.isChecked() and made.rows["hue"].switch.isChecked()  # type: ignore[union-attr]
    assert not made.reset_button.isEnabled() and "As the run is trained" in made.note.text


def test_that_a_switch_turns_a_transform_off_and_back_to_its_strength(settings) -> None:
    made, heard = settings
    switch = made.rows["hue"].switch
    assert switch is not None
    switch.click()
    assert heard[-1] == {"hue": 0.0} and not made.rows["hue"].slider.isEnabled()
    switch.click()
    assert heard[-1] == {}
    crop = made.rows["crop_least"].switch
    assert crop is not None
    crop.click()
    assert heard[-1] == {"crop_least": 1.0}
    assert neutral(FIELDS[3]) is None  # of a number of crops


def test_that_a_switch_turns_on_what_the_run_has_off(settings) -> None:
    made, heard = settings
    made.rows["blur"].switch.click()  # type: ignore[union-attr]
    assert heard[-1] == {"blur": 0.5}


def test_that_a_slider_and_a_box_change_what_they_name_and_reset_brings_it_back(settings) -> None:
    made, heard = settings
    made.rows["hue"].slider.setValue(200)
    made.rows["local_crops"].slider.setValue(6)
    made.others["asymmetric"].click()
    assert heard[-1] == {"hue": 0.5, "local_crops": 6, "asymmetric": False}
    assert "differ from the run’s" in made.note.text
    assert made.as_arguments() == "--set hue=0.5 --set local_crops=6 --set asymmetric=False"
    made.reset_button.click()
    assert heard[-1] == {} and made.rows["hue"].figure.text() == "0.25" and made.others["asymmetric"].isChecked()  # type: ignore[union-attr]


def test_that_the_position_nearest_to_the_runs_strength_stands_for_it(settings) -> None:
    made, heard = settings
    row = made.rows["crop_least"]  # 0.2 lies between two positions
    at = row.slider.value()
    row.slider.setValue(at + 5)
    row.slider.setValue(at)
    assert heard[-1] == {}


# -- the matrix --------------------------------------------------------------------------------------------------------


def test_that_positives_negatives_and_a_view_itself_are_told_apart() -> None:
    similar = Similarities(batch())
    expected_positive = np.zeros((6, 6), bool)
    for i in range(3):
        expected_positive[i, i + 3] = expected_positive[i + 3, i] = True
    np.testing.assert_array_equal(similar.positive, expected_positive)
    np.testing.assert_array_equal(similar.itself, np.eye(6, dtype=bool))
    assert similar.negative.sum() == 36 - 12
    across = Similarities(batch(roles=("query", "key")))
    np.testing.assert_array_equal(across.positive, np.eye(3, dtype=bool))
    assert not across.itself.any()


def test_that_the_means_and_the_found_partners_are_counted_pair_by_pair() -> None:
    shown = batch()
    similar = Similarities(shown)
    positives, negatives, right = [], [], 0
    for r in range(6):
        others = {c: float(shown.matrix[r, c]) for c in range(6) if c != r}
        positives += [v for c, v in others.items() if c % 3 == r % 3]
        negatives += [v for c, v in others.items() if c % 3 != r % 3]
        right += max(others, key=lambda c: others[c]) % 3 == r % 3
    assert similar.means() == pytest.approx((np.mean(positives), np.mean(negatives)), abs=1e-6)
    assert similar.found() == (right, 6)


def test_that_the_hardest_negatives_are_the_most_similar_other_images_each_once() -> None:
    shown = batch()
    similar = Similarities(shown)
    columns = similar.hardest(4, 6)  # image 1, second view
    assert len(columns) == 2 and {column % 3 for column in columns} == {0, 2}
    best = {image: max(shown.matrix[4, image], shown.matrix[4, image + 3]) for image in (0, 2)}
    assert [shown.matrix[4, column] for column in columns] == sorted(best.values(), reverse=True)


def test_that_a_cell_is_found_by_mouse_and_keyboard_and_said(on_screen) -> None:
    chart = on_screen(SimilarityMap())
    shown = batch()
    chart.set_similar(Similarities(shown))
    picked: list[tuple[int, int]] = []
    looked: list[tuple[int, int]] = []
    chart.picked.connect(lambda r, c: picked.append((r, c)))
    chart.looked_at.connect(lambda r, c: looked.append((r, c)))
    QTest.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.cell(1, 4).center().toPoint())
    QTest.keyClick(chart, Qt.Key.Key_Right)
    QTest.keyClick(chart, Qt.Key.Key_Up)
    move(chart, chart.cell(2, 0).center())
    assert picked == [(1, 4), (1, 5), (0, 5)] and chart.chosen == (0, 5) and looked[-1] == (2, 0)
    value = f"{shown.matrix[1, 4]:.2f}".replace("-", "−")
    assert chart.said(1, 4) == f"image 2, view 1 and image 2, view 2: {value}, the same image"
    assert chart.said(0, 4).endswith("different images") and chart.said(2, 2).endswith("the same view")
    columns, rows = chart.table()
    assert columns[5] == "image 2, view 2" and rows[1][5] == pytest.approx(float(shown.matrix[1, 4]), abs=1e-5)


def test_that_bright_cells_are_the_similar_ones(on_screen) -> None:
    chart = on_screen(SimilarityMap())
    chart.set_similar(Similarities(batch()))
    image = chart.figure().image(1)
    matrix = np.where(np.eye(6, dtype=bool), np.nan, chart.similar.matrix)
    low, high = (np.unravel_index(f(matrix), matrix.shape) for f in (np.nanargmin, np.nanargmax))
    dark, bright = (image.pixelColor(chart.cell(*map(int, cell)).center().toPoint()) for cell in (low, high))
    assert dark.name() == "#440154" and bright.name() == "#fde725"


def test_that_teacher_and_student_agree_by_the_mean_over_other_crops() -> None:
    shown = batch(locals_=1, roles=("student and teacher", "student and teacher"))
    other = np.mean([shown.cosines[:, 1, 2], shown.cosines[:, 3, 0]])
    local = np.mean([shown.cosines[:, 1, 4], shown.cosines[:, 3, 4]])
    expected = f"Teacher and student agree by {other:.2f} on the other global crop and {local:.2f} on local crops."
    assert agreement(shown) == [expected.replace("-", "−")]
    assert agreement(batch()) == []


# -- curves and queue --------------------------------------------------------------------------------------------------


def curve(name: str = "hue", most: float = 0.5, values: tuple[float, ...] = (1.0, 0.8, 0.2), **changes) -> m.InvarianceMeasured:
    k = len(values)
    made = m.InvarianceMeasured(
        stamp=0, run="/runs/a", step=4, label="test image 0", transform=m.Transform(name, most, "of the colour circle", "Turned."),
        transforms=("hue", "flip"), strengths=np.linspace(0, most, k).astype(np.float32), cosines=np.array(values, np.float32),
        deviations=np.zeros(k, np.float32), images=np.zeros((k, 1, 8, 8), np.uint8), others=0.3, seen=np.zeros((1, 8, 8), np.uint8),
        notes=(), by="projections", choices=("projections", "features"),
    )  # fmt: skip
    return replace(made, **changes)


def test_that_the_value_where_the_line_stands_lies_on_the_curve(on_screen) -> None:
    plot = on_screen(InvariancePlot(), 640, 300)
    plot.set_curves([curve()], "hue")
    for share, value in ((0.0, 1.0), (0.25, 0.9), (1.0, 0.2)):
        plot.set_share(share)
        assert plot.value(plot.curves[0]) == pytest.approx(value)
    plot.set_share(0.5)
    assert "hue 0.25 of the colour circle: 0.80" in plot.accessibleDescription()
    columns, rows = plot.table()
    assert columns[2:] == ["strength", "cosine", "deviation"] and rows[1] == ["hue", "of the colour circle", 0.25, 0.8, 0.0]


def test_that_the_line_moves_by_mouse_and_arrows_and_the_legend_chooses_a_transform(on_screen) -> None:
    plot = on_screen(InvariancePlot(), 640, 300)
    flip = curve("flip", 1.0, (1.0, 0.5), transform=m.Transform("flip", 1.0, "", "Mirrored.", switch=True))
    plot.set_curves([curve(), flip], "hue")
    plot.share_moved.connect(plot.set_share)
    chosen: list[str] = []
    plot.transform_chosen.connect(chosen.append)
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(round(plot.to_x(0.25)), 100))
    assert plot.share == pytest.approx(0.25, abs=0.01)
    QTest.keyClick(plot, Qt.Key.Key_Right)
    assert plot.share == pytest.approx(0.375, abs=0.01)
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=plot.legend_row(1).center().toPoint())
    QTest.keyClick(plot, Qt.Key.Key_Down)
    assert chosen == ["flip", "flip"]
    assert [strength_words(flip.transform, share) for share in (0.2, 0.8)] == ["off", "on"]


def test_that_cosines_below_zero_have_room(on_screen) -> None:
    plot = on_screen(InvariancePlot(), 640, 300)
    plot.set_curves([curve(values=(1.0, 0.2, -0.3))], "hue")
    assert plot.bottom == -0.5 and plot.to_y(-0.3) < plot.plot().bottom()
    assert not plot.figure().image().isNull()


def test_that_every_key_is_counted_in_the_bin_of_its_age() -> None:
    ages = np.array([0, 0, 1, 1, 2, -1, -1, -1])
    edges, counts = binned(ages)
    assert edges.tolist() == [0, 1, 2, 3] and counts.tolist() == [2, 2, 1]
    many = np.repeat(np.arange(1000), 3)
    edges, counts = binned(many)
    assert len(counts) <= 120 and counts.sum() == 3000
    assert all(c == sum(lo <= age < hi for age in many) for lo, hi, c in zip(edges[:-1], edges[1:], counts, strict=True))


def test_that_the_queue_is_said_in_words_also_where_it_is_empty_or_new(on_screen) -> None:
    assert "8 keys" in told(np.array([0, 0, 1, 1, 2, -1, -1, -1])) and "38" in told(np.array([0, 0, 1, 1, 2, -1, -1, -1]))
    assert "nothing has been encoded yet" in told(np.full(5, -1))
    assert "empty" in told(np.zeros(0, np.int64))
    chart = on_screen(AgesChart())
    for ages in (None, np.full(5, -1), np.array([0, 0, 1, 1, 2, -1])):
        chart.set_ages(ages)
        assert not chart.grab().isNull()
    assert chart.table()[1] == [[0, 0, 2], [1, 1, 2], [2, 2, 1]]


# -- puzzles -----------------------------------------------------------------------------------------------------------

ORIGINAL = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) * 3


def turned(number: int = 0, turns: int = 1, probabilities: tuple[float, ...] = (0.1, 0.6, 0.2, 0.1)) -> m.PuzzlePosed:
    return m.PuzzlePosed(
        stamp=0, run="/runs/a", step=4, number=number, kind="rotation", index=12, label="cat", original=ORIGINAL,
        picture=np.rot90(ORIGINAL, turns, (1, 2)), answer=turns, probabilities=np.array(probabilities, np.float32),
    )  # fmt: skip


def shuffled(number: int = 0, answer: int = 1) -> m.PuzzlePosed:
    permutations = np.array([[0, 1, 2, 3], [2, 0, 3, 1]])
    picture = laid(cut(ORIGINAL, 2), list(permutations[answer]), 2)
    return replace(
        turned(number), kind="jigsaw", picture=picture, answer=answer, probabilities=np.array([0.2, 0.8], np.float32),
        permutations=permutations, side=2,
    )  # fmt: skip


def test_that_the_models_answer_appears_beside_yours_and_not_before(on_screen) -> None:
    puzzle = on_screen(TurnPuzzleBoard(), 800)
    heard: list[tuple[bool, bool]] = []
    puzzle.answered.connect(lambda you, model: heard.append((you, model)))
    puzzle.show_posed(turned())
    assert puzzle.bars.rows == [] and puzzle.upright.image is None and puzzle.verdict.text == ""
    QTest.keyClick(puzzle, "3")
    assert heard == [(False, True)]
    assert [row[2] for row in puzzle.bars.rows] == ["", "right, model", "you", ""]
    assert "turned by 90°; the model is right, 60" in puzzle.verdict.text and "cat, validation image 12" in puzzle.verdict.text
    puzzle.buttons[1].click()  # only the first answer counts
    assert len(heard) == 1
    puzzle.show_posed(replace(turned(), probabilities=np.array([0.7, 0.1, 0.1, 0.1], np.float32)))  # the same at another checkpoint
    assert puzzle.yours == 2 and "the model is wrong" in puzzle.verdict.text and len(heard) == 1
    puzzle.show_posed(turned(number=1))
    assert puzzle.yours == -1 and puzzle.buttons[0].isEnabled()


def test_that_cutting_laying_and_solving_are_each_others_inverse() -> None:
    permutation = np.array([2, 0, 3, 1])
    tiles = cut(ORIGINAL, 2)
    np.testing.assert_array_equal(laid(tiles, [0, 1, 2, 3], 2), ORIGINAL)
    picture = laid(tiles, list(permutation), 2)
    np.testing.assert_array_equal(laid(cut(picture, 2), solving(permutation), 2), ORIGINAL)


def test_that_tiles_change_places_by_clicks_drags_and_keys(on_screen) -> None:
    board = on_screen(TileBoard(), 300, 300)
    board.set_tiles(cut(ORIGINAL, 2), 2)
    at = [board.place(index).center().toPoint() for index in range(4)]
    QTest.mouseClick(board, Qt.MouseButton.LeftButton, pos=at[0])
    QTest.mouseClick(board, Qt.MouseButton.LeftButton, pos=at[3])
    assert board.order == [3, 1, 2, 0] and board.taken is None
    QTest.mousePress(board, Qt.MouseButton.LeftButton, pos=at[1])
    QTest.mouseRelease(board, Qt.MouseButton.LeftButton, pos=at[2])
    assert board.order == [3, 2, 1, 0]
    board.at = 0
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Right, Qt.Key.Key_Space):
        QTest.keyClick(board, key)
    assert board.order == [2, 3, 1, 0]


def test_that_a_jigsaw_is_right_when_every_tile_is_home_and_the_model_is_scored_by_its_order(on_screen) -> None:
    puzzle = on_screen(TilePuzzleBoard(), 800)
    heard: list[tuple[bool, bool]] = []
    puzzle.answered.connect(lambda you, model: heard.append((you, model)))
    posed = shuffled()
    puzzle.show_posed(posed)
    assert "one of 2 orders; for you there are 24" in puzzle.task.text
    puzzle.check()
    assert heard == [(False, True)] and puzzle.right() == 0  # no tile of [2, 0, 3, 1] lies at home
    puzzle.show_posed(shuffled(number=1))
    wanted = solving(posed.permutations[1])  # type: ignore[index]
    for place in range(4):
        puzzle.board.swap(place, puzzle.board.order.index(wanted[place]))
    assert puzzle.right() == 4
    puzzle.check_button.click()
    assert heard[-1] == (True, True) and not puzzle.board.isEnabled()
    np.testing.assert_array_equal(_gray(puzzle.models.image), ORIGINAL[0])


def test_that_tiles_which_look_alike_may_change_places(on_screen) -> None:
    puzzle = on_screen(TilePuzzleBoard(), 800)
    dark = ORIGINAL.copy()
    dark[:, :4] = 0  # both upper tiles
    permutations = np.array([[1, 0, 2, 3], [0, 1, 2, 3]])
    posed = replace(
        shuffled(), original=dark, picture=dark, permutations=permutations, answer=0, probabilities=np.array([0.3, 0.7], np.float32)
    )
    heard: list[tuple[bool, bool]] = []
    puzzle.answered.connect(lambda you, model: heard.append((you, model)))
    puzzle.show_posed(posed)
    puzzle.check()
    assert heard == [(True, True)] and "The model is right" in puzzle.verdict.text
    puzzle.show_posed(replace(posed, number=1))
    puzzle.board.swap(2, 3)
    puzzle.check()
    assert heard[-1] == (False, True) and "2 of 4" in puzzle.verdict.text


def _gray(image) -> np.ndarray:
    return np.array([[image.pixelColor(x, y).red() for x in range(image.width())] for y in range(image.height())])


def test_that_blocks_are_hidden_by_dragging_and_by_keys(on_screen) -> None:
    picker = on_screen(BlockPicker(), 322, 322)
    picker.set_picture(np.zeros((3, 28, 28), np.uint8))
    place, size = picker.place(), picker.place().width() / BLOCKS
    at = [QPoint(round(place.left() + (c + 0.5) * size), round(place.top() + 0.5 * size)) for c in range(3)]
    QTest.mousePress(picker, Qt.MouseButton.LeftButton, pos=at[0])
    move(picker, QPointF(at[1]), Qt.MouseButton.LeftButton)
    move(picker, QPointF(at[2]), Qt.MouseButton.LeftButton)
    QTest.mouseRelease(picker, Qt.MouseButton.LeftButton, pos=at[2])
    assert np.argwhere(picker.blocks).tolist() == [[0, 0], [0, 1], [0, 2]]
    QTest.keyClick(picker, Qt.Key.Key_Space)
    assert not picker.blocks[0, 2]
    QTest.keyClick(picker, Qt.Key.Key_Down)
    QTest.keyClick(picker, Qt.Key.Key_Space)
    hidden = picker.hidden()
    assert hidden.shape == (28, 28)
    for row in range(28):
        for column in range(28):
            assert hidden[row, column] == picker.blocks[row * 8 // 28, column * 8 // 28]


def test_that_an_answer_counts_once_and_another_checkpoint_fills_anew_without_counting(on_screen) -> None:
    puzzle = on_screen(MaskPuzzleBoard(), 800)
    asked: list[np.ndarray] = []
    counted: list[tuple[float, float]] = []
    puzzle.fill_asked.connect(asked.append)
    puzzle.filled.connect(lambda error, plain: counted.append((error, plain)))
    posed = replace(turned(), kind="mask", picture=ORIGINAL, answer=-1, probabilities=None)
    puzzle.show_posed(posed)
    assert not puzzle.fill_button.isEnabled()
    puzzle.middle_button.click()
    puzzle.fill_button.click()
    assert asked[-1].sum() == 16
    answer = m.MaskFilled(stamp=0, run="/runs/a", step=4, index=12, hidden=asked[-1], filled=ORIGINAL, error=20.0, plain=40.0)
    puzzle.take(answer)
    assert counted == [(20.0, 40.0)] and "off by 20.0 of 255 (root mean square), closer than" in puzzle.verdict.text
    puzzle.show_posed(replace(posed, step=8))
    assert len(asked) == 2
    puzzle.take(replace(answer, step=8, error=50.0))
    assert len(counted) == 1 and "no closer than" in puzzle.verdict.text


def test_that_the_score_is_said_in_words() -> None:
    assert PuzzleScore().words() == "Nothing played yet"
    assert PuzzleScore(played=10, you=7, model=9).words() == "You 7 of 10, the model 9 of 10"
    filled = PuzzleScore(errors=[(10.0, 40.0), (20.0, 50.0)])
    assert filled.words() == "Off by 15.0 of 255 on average over 2 pictures, the mean colour by 45.0"
