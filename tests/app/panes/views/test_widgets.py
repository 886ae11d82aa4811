"""The parts of the Views pane: words, the grid, settings, the matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from app.panes.views.augmentation_settings import ViewSettings, neutral
from app.panes.views.formatting import digits_for, pixels, said
from app.panes.views.pairs_page import agreement
from app.panes.views.similarity_matrix import Similarities, SimilarityMap
from app.panes.views.view_grid import ViewGrid
from app.shell.theme import DARK, LIGHT
from engine import messages as m
from tests.kit.view_parts import BOX, batch, move

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
