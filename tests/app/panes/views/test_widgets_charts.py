"""The parts of the Views pane that draw curves, the queue and puzzles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from app.panes.views.invariance_curves import InvariancePlot, strength_words
from app.panes.views.puzzle_mask import BLOCKS, BlockPicker, MaskPuzzleBoard
from app.panes.views.puzzle_page import PuzzleScore
from app.panes.views.puzzle_tiles import TileBoard, TilePuzzleBoard, cut, laid, solving
from app.panes.views.puzzle_turn import TurnPuzzleBoard
from app.panes.views.queue_page import AgesChart, binned, told
from engine import messages as m
from tests.kit.view_parts import move


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
