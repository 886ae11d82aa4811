"""The Curves pane: it follows runs, keeps every point, draws peaks, moves the time cursor, judges, and writes everything out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.panes.curves.pane import CurvesPane
from app.shell.pane_availability import why_unavailable
from engine import messages as m
from tests.kit.panes import OTHER, RUN, Kit, run_info


@pytest.fixture
def pane(kit: Kit) -> Iterator[CurvesPane]:
    made = kit.open(CurvesPane)
    assert isinstance(made, CurvesPane)
    kit.look_at(run_info(), run_info(OTHER))
    yield made


def points(count: int, seed: int = 0, low: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    steps = np.arange(1, count + 1)
    return steps, (low + 400 * np.exp(-steps / 200) + rng.normal(0, 3, count)).astype(np.float32)


def feed(kit: Kit, run: str, history: bool = True, **terms: tuple[np.ndarray, np.ndarray]) -> None:
    kit.bridge.tell(m.Metrics(run, {name.replace("_", " "): value for name, value in terms.items()}, history))


def on_screen(pane: CurvesPane, step: float) -> QPoint:
    """Where a step lies on the plot, in the plot's own pixels."""
    assert pane.plot is not None
    box = pane.plot.box
    y = np.mean(box.viewRange()[1])
    return pane.plot.view.mapFromScene(box.mapViewToScene(QPointF(pane.plot._x(step), float(y))))


def test_that_the_run_is_followed_while_the_pane_is_seen(kit: Kit, pane: CurvesPane) -> None:
    assert [message.run for message in kit.engine.of(m.FollowRun)] == [RUN]
    pane.choose_run(OTHER, True)
    assert [message.run for message in kit.engine.of(m.FollowRun)] == [RUN, OTHER]
    pane.deactivate()
    assert sorted(message.run for message in kit.engine.of(m.UnfollowRun)) == sorted([RUN, OTHER])
    pane.activate()
    assert len(kit.engine.of(m.FollowRun)) == 4


def test_that_history_replaces_and_later_points_append(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(50))
    feed(kit, RUN, loss=points(80))
    feed(kit, RUN, history=False, loss=(np.array([81, 82]), np.array([1.0, 2.0], np.float32)))
    series = pane.followed.data[RUN]["loss"]
    assert series.steps.tolist() == list(range(1, 83))
    assert series.values[-1] == 2.0


def test_that_a_term_has_its_unit_where_all_runs_agree_on_it(kit: Kit, pane: CurvesPane) -> None:
    kit.state.methods["vae"] = replace(kit.state.methods["vae"], units=(("loss", "nat"),))
    kit.look_at(run_info(), run_info(OTHER, method="rotation"))
    feed(kit, RUN, loss=points(50), beta=points(50))
    pane.redraw_now()
    assert pane.plot is not None and pane.plot.value_name == "loss, nat"
    assert (pane.term_cards.cards["loss"].unit, pane.term_cards.cards["beta"].unit) == ("nat", "")
    pane.choose_run(OTHER, True)
    feed(kit, OTHER, loss=points(50))
    pane.redraw_now()
    assert pane.plot.value_name == "loss"


def test_that_every_term_has_a_card_and_a_press_shows_it_large(kit: Kit, pane: CurvesPane) -> None:
    feed(
        kit,
        RUN,
        loss=points(50),
        kl=points(50, low=5),
        reconstruction=points(50),
        valid_loss=(np.array([10, 40]), np.array([300.0, 200.0])),
    )
    pane.redraw_now()
    assert list(pane.term_cards.cards) == ["loss", "kl", "reconstruction"]
    assert pane.plot is not None
    assert [line.name for line in pane.plot.lines] == ["vae-digits", "vae-digits · validation"]
    assert pane.plot.best is not None
    pane.term_cards.cards["kl"].click()
    assert pane.plot.best is None  # a low KL is no merit
    assert [line.key for line in pane.plot.lines] == [f"{RUN} kl"]
    assert pane.plot_card.heading.text() == "KL"


def test_that_runs_differ_by_colour_and_by_marker(kit: Kit, pane: CurvesPane) -> None:
    pane.choose_run(OTHER, True)
    feed(kit, RUN, loss=points(50))
    feed(kit, OTHER, loss=points(50))
    pane.redraw_now()
    assert pane.plot is not None
    first, second = pane.plot.lines
    assert first.color != second.color and first.marker != second.marker
    assert {label.text for _, label in pane.plot.legend.items} == {"vae-digits", "vae-digits-2"}


def test_that_no_peak_is_lost_among_a_million_points(kit: Kit, pane: CurvesPane) -> None:
    steps, values = np.arange(1, 1_000_001), np.ones(1_000_000, np.float32)
    values[777_777], values[123_456] = 9.0, -4.0
    feed(kit, RUN, loss=(steps, values))
    pane.smooth.setValue(0)
    pane.redraw_now()
    assert pane.plot is not None
    main = pane.plot._items[f"{RUN} loss"][1]
    x, y = main.getData()
    assert len(x) < 5000
    assert (y.max(), y.min()) == (9.0, -4.0)
    assert abs(x[y.argmax()] - 777_778) < 2 * 1_000_000 / 500
    assert pane.plot_card.readout.text.endswith("all 1\u202f000\u202f000 points")
    pane.plot.follows = False
    pane.plot.box.setXRange(777_700, 777_900, padding=0)
    x, y = main.getData()
    assert x[y == 9.0].tolist() == [777_778.0]  # the exact step once zoomed in
    assert len(x) == 203


def test_that_smoothing_does_not_depend_on_the_zoom(kit: Kit, pane: CurvesPane) -> None:
    steps, values = points(3000)
    feed(kit, RUN, loss=(steps, values))
    pane.redraw_now()
    assert pane.plot is not None
    thin, main, _ = pane.plot._items[f"{RUN} loss"]
    expected, above, below = [], 0.0, 0.0
    for value in values.astype(float):
        above, below = value + 0.9 * above, 1 + 0.9 * below
        expected.append(above / below)
    pane.plot.follows = False
    pane.plot.box.setXRange(1000, 1100, padding=0)
    x, y = main.getData()
    np.testing.assert_allclose(y, np.array(expected)[x.astype(int) - 1], rtol=1e-9)
    x, y = thin.getData()
    np.testing.assert_array_equal(y, values[x.astype(int) - 1])  # the raw curve stays, thin


def test_that_a_click_on_the_curve_moves_the_time_cursor(kit: Kit, pane: CurvesPane) -> None:
    steps = np.arange(10, 1010, 10)
    feed(kit, RUN, loss=(steps, np.linspace(5, 1, 100).astype(np.float32)))
    pane.redraw_now()
    assert pane.plot is not None
    QTest.mouseClick(pane.plot.view.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(pane, 500))
    assert kit.state.cursor is not None and abs(kit.state.cursor - 500) <= 10 and kit.state.cursor % 10 == 0
    assert pane.plot.cursor_line.isVisible()
    assert pane.plot.cursor_line.value() == kit.state.cursor


def test_that_a_click_near_the_star_goes_to_the_best_step_itself(kit: Kit, pane: CurvesPane) -> None:
    steps, values = np.arange(1, 1001), np.full(1000, 5.0, np.float32)
    feed(kit, RUN, loss=(steps, values), valid_loss=(np.array([100, 500, 1000]), np.array([4.0, 2.0, 3.0], np.float32)))
    pane.redraw_now()
    assert pane.plot is not None and pane.plot.best is not None and pane.plot.best[0] == 500
    for beside in (-3, 0, 3):  # pixels
        moved: list[int] = []
        pane.plot.cursor_moved.connect(moved.append)
        at = on_screen(pane, 500) + QPoint(beside, 0)
        QTest.mouseClick(pane.plot.view.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert moved and set(moved) == {500}, beside
        pane.plot.cursor_moved.disconnect(moved.append)
    far: list[int] = []
    pane.plot.cursor_moved.connect(far.append)
    QTest.mouseClick(pane.plot.view.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(pane, 500) + QPoint(30, 0))
    assert far and far[-1] > 500


def test_that_a_drag_on_the_plot_scrubs(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(1000))
    pane.redraw_now()
    assert pane.plot is not None
    seen: list[int | None] = []
    kit.state.cursor_changed.connect(lambda: seen.append(kit.state.cursor))
    view = pane.plot.view.viewport()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=on_screen(pane, 200))
    for step in range(220, 600, 40):
        QTest.mouseMove(view, on_screen(pane, step), 20)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=on_screen(pane, 600))
    assert len(seen) >= 2 and seen == sorted(seen, key=lambda step: step or 0)
    assert kit.state.cursor is not None and abs(kit.state.cursor - 600) < 5


def test_that_the_arrow_keys_walk_from_point_to_point(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=(np.array([3, 9, 27]), np.array([3.0, 2.0, 1.0], np.float32)))
    pane.redraw_now()
    assert pane.plot is not None
    for key, expected in ((Qt.Key.Key_Left, 9), (Qt.Key.Key_Left, 3), (Qt.Key.Key_Left, 3), (Qt.Key.Key_End, 27)):
        QTest.keyClick(pane.plot.view, key)
        assert kit.state.cursor == expected


def test_that_the_readout_gives_the_exact_value_and_step(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=(np.array([100, 200, 300]), np.array([5.0, 4.125, 3.0], np.float32)))
    pane.redraw_now()
    assert pane.plot is not None
    pane.plot._hover(pane.plot.box.mapViewToScene(QPointF(210.0, float(np.mean(pane.plot.box.viewRange()[1])))))
    assert pane.plot_card.readout.text == "step 200 · vae-digits 4.125"
    pane.plot.leave_hover()
    assert pane.plot_card.readout.text.endswith("all 3 points")


def test_that_the_best_step_is_the_lowest_validation_loss(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(500), valid_loss=(np.array([100, 200, 300, 400]), np.array([9.0, 5.0, 6.0, 7.0], np.float32)))
    pane.redraw_now()
    assert pane.plot is not None and pane.plot.best is not None
    assert pane.plot.best[:2] == (200, 5.0)
    assert pane.plot.best_point.isVisible()
    assert "best 5.000 at step 200" in pane.plot_card.readout.text


def test_that_log_axes_place_points_by_their_logarithm_and_say_what_has_no_place(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=(np.array([1, 10, 100, 1000]), np.array([1000.0, 10.0, -1.0, 0.1], np.float32)))
    pane.smooth.setValue(0)
    pane.log_x.setChecked(True)
    pane.log_y.setChecked(True)
    assert pane.plot is not None
    x, y = pane.plot._items[f"{RUN} loss"][1].getData()
    np.testing.assert_allclose(x, [0, 1, 2, 3])
    np.testing.assert_allclose(y, [3, 1, np.nan, -1], rtol=1e-6)
    assert "1 value ≤ 0 without a place" in pane.plot_card.readout.text


def test_that_a_hidden_pane_draws_nothing(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(100))
    pane.redraw_now()
    assert pane.plot is not None
    pane.deactivate()
    before = pane.plot.redraws
    feed(kit, RUN, loss=points(200))
    pane.tick()
    assert pane.plot.redraws == before
    assert not pane._timer.isActive()


def test_that_nothing_new_means_no_repaint(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(100))
    pane.redraw_now()
    assert pane.plot is not None
    before = pane.plot.redraws
    for _ in range(5):
        pane.schedule.drawn_at = dict.fromkeys(pane.schedule.drawn_at, 0.0)
        pane.tick()
    assert pane.plot.redraws == before


class Paints(QObject):
    """Counts how often a widget is painted."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


def test_that_new_points_paint_the_plot_once_and_leave_the_axes_alone_while_there_is_room(kit: Kit, pane: CurvesPane) -> None:
    steps, values = points(1000)
    feed(kit, RUN, loss=(steps, values))
    kit.pump()
    plot = pane.plot
    paints = Paints(plot.view.viewport())

    def add_one(step: int) -> None:
        feed(kit, RUN, history=False, loss=(np.array([step]), np.array([float(values.mean())], np.float32)))
        pane.schedule.all_changed(now=True)
        pane.tick()
        kit.pump()

    add_one(20_000)  # far outside of the view
    assert paints.count == 1
    right = plot.box.viewRange()[0][1]
    drawn = plot.plot.getAxis("bottom").picture
    assert drawn is not None
    add_one(20_100)
    assert paints.count == 2
    assert plot.box.viewRange()[0][1] == right > 20_100
    assert plot.plot.getAxis("bottom").picture is drawn


def test_that_points_come_many_times_a_second_but_repaints_do_not(kit: Kit, pane: CurvesPane, monkeypatch) -> None:
    from app.panes.curves import pane as curves

    clock = [100.0]
    monkeypatch.setattr(curves.time, "perf_counter", lambda: clock[0])
    pane.schedule.cost = 0.02
    feed(kit, RUN, loss=points(10))
    pane.redraw_now()
    pane.schedule.cost = 0.02
    assert pane.plot is not None
    before = pane.plot.redraws
    for count in range(11, 111):  # 100 batches of points in one second, each with a tick
        clock[0] += 0.01
        feed(kit, RUN, history=False, loss=(np.array([count]), np.array([1.0], np.float32)))
        pane.schedule.cost = 0.02
        pane.tick()
    assert 2 <= pane.plot.redraws - before <= 10


def test_that_the_csv_has_every_point_and_the_recipe(kit: Kit, pane: CurvesPane, tmp_path, qtbot) -> None:
    pane.choose_run(OTHER, True)
    one, two = points(20_000), points(700, 1)
    feed(kit, RUN, loss=one, kl=(np.array([5]), np.array([0.1], np.float32)))
    feed(kit, OTHER, loss=two)
    pane.export.save_csv(str(tmp_path / "c.csv"))
    qtbot.waitUntil((tmp_path / "c.csv").exists)
    lines = (tmp_path / "c.csv").read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert "# run: vae-digits" in head and "# run_2: vae-digits-2" in head and "# step: 1024" in head
    assert any(line.startswith("# config:") and '"latent": 12' in line for line in head)
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert len(rows) == 20_000 + 1 + 700
    first = [row for row in rows if row["run"] == "vae-digits" and row["term"] == "loss"]
    assert [int(row["step"]) for row in first] == one[0].tolist()
    np.testing.assert_array_equal(np.array([row["value"] for row in first], np.float64).astype(np.float32), one[1])


def test_that_the_png_carries_run_and_step(kit: Kit, pane: CurvesPane, tmp_path) -> None:
    feed(kit, RUN, loss=points(100))
    pane.redraw_now()
    pane.export.save_picture(str(tmp_path / "c.png"))
    with Image.open(tmp_path / "c.png") as image:
        text, size = image.text, image.size  # type: ignore[attr-defined]
    assert pane.plot is not None
    assert (text["run"], text["step"], text["term"]) == ("vae-digits", "1024", "loss")
    assert size == (3 * pane.plot.view.width(), 3 * pane.plot.view.height())


def test_that_the_judgement_is_said_with_its_rule(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=(np.arange(1, 101), np.full(100, 7.0, np.float32)))
    pane.redraw_now()
    labels = [pane.diagnosis_card.inside.itemAt(place).widget().text() for place in range(pane.diagnosis_card.inside.count())]
    assert labels[0].startswith("The loss has been flat for")
    assert labels[1].startswith("Flat:")


def test_that_both_themes_colour_the_plot(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(100))
    pane.redraw_now()
    assert pane.plot is not None
    seen = []
    for theme in ("light", "dark"):
        kit.state.set_theme(theme)
        pane.tick()
        seen.append(pane.plot.figure().image(1).pixelColor(3, 3).name())
    assert seen == ["#f4f5f8", "#101217"]


def test_that_the_smoothing_slider_draws_the_plot_only(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(100))
    pane.redraw_now()
    pane.schedule.changed.clear()
    pane.schedule.cost = 1e9  # so that nothing is due yet
    pane.smooth.setValue(50)
    assert pane.schedule.changed == {"plot"}
    assert pane.plot is not None and pane.plot.smoothing == 0.5


def test_that_the_judgement_counts_in_the_cost(kit: Kit, pane: CurvesPane, monkeypatch) -> None:
    from app.panes.curves import pane as curves

    clock = [100.0]
    monkeypatch.setattr(curves.time, "perf_counter", lambda: clock[0])

    def slow() -> list:
        clock[0] += 0.5
        return []

    monkeypatch.setattr(pane, "_diagnose", slow)
    feed(kit, RUN, loss=points(100))
    pane.redraw_now()
    assert pane.schedule.cost >= 0.5


def test_that_a_long_csv_is_written_between_the_events_of_the_window(kit: Kit, pane: CurvesPane, tmp_path, qtbot, monkeypatch) -> None:
    monkeypatch.setattr("app.widgets.export.SLICE_SECONDS", 0.0)  # one part at a time
    one = points(20_000)
    feed(kit, RUN, loss=one)
    path = tmp_path / "long.csv"
    pane.export.save_csv(str(path))
    assert not path.exists() and "Saving long.csv" in pane.plot_card.readout.text
    feed(kit, RUN, loss=points(10))  # the run is read anew meanwhile; what is saved is what was there
    qtbot.waitUntil(path.exists)
    rows = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert len(rows) == 1 + 20_000
    assert pane.plot_card.readout.text == "Saved as long.csv."
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_that_a_pane_that_closes_leaves_no_half_written_csv(kit: Kit, pane: CurvesPane, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("app.widgets.export.SLICE_SECONDS", 0.0)
    feed(kit, RUN, loss=points(20_000))
    pane.export.save_csv(str(tmp_path / "long.csv"))
    assert "Saving long.csv" in pane.plot_card.readout.text  # it is under way
    pane.close()
    assert not list(tmp_path.glob("*long.csv*"))


def test_that_a_csv_that_cannot_be_written_is_said(kit: Kit, pane: CurvesPane, tmp_path) -> None:
    feed(kit, RUN, loss=points(10))
    pane.export.save_csv(str(tmp_path / "missing" / "c.csv"))
    assert "could not be written" in pane.plot_card.readout.text and pane.plot_card.readout.level == "bad"


@pytest.mark.parametrize(("rising", "corner"), [(False, (1, 0)), (True, (0, 0))])
def test_that_the_legend_stands_where_no_curve_is(kit: Kit, pane: CurvesPane, rising: bool, corner: tuple[int, int]) -> None:
    steps = np.arange(1, 1001)
    values = np.linspace(0, 1, 1000).astype(np.float32)
    feed(kit, RUN, loss=(steps, values if rising else values[::-1]))
    kit.pump()
    pane.redraw_now()
    pane.redraw_now()
    plot = pane.plot
    assert plot is not None and plot.legend.corner == corner
    legend = plot.legend.mapRectToItem(plot.box, plot.legend.boundingRect())
    curve = [plot.box.mapFromView(QPointF(float(x), float(y))) for x, y in zip(*plot._items[f"{RUN} loss"][1].getData(), strict=True)]
    assert not any(legend.contains(point) for point in curve)
    assert plot.legend.brush().color().alpha() < 255


def test_that_a_validation_curve_is_dashed_and_its_sign_shows_the_dashes(kit: Kit, pane: CurvesPane) -> None:
    feed(kit, RUN, loss=points(50), valid_loss=(np.array([10, 40]), np.array([300.0, 200.0], np.float32)))
    pane.redraw_now()
    assert pane.plot is not None

    def gaps(sample) -> int:
        """How often the line of a legend's sign begins anew along its length."""
        image = QImage(24, 22, QImage.Format.Format_RGB32)
        image.fill(Qt.GlobalColor.black)
        painter = QPainter(image)
        sample.paint(painter)
        painter.end()
        row = [image.pixelColor(x, 11).lightness() > 60 or image.pixelColor(x, 10).lightness() > 60 for x in range(23)]
        return sum(now and not before for before, now in zip([False, *row], row, strict=False))

    plain, dashed = (sample for sample, _ in pane.plot.legend.items)
    assert gaps(plain) == 1
    assert gaps(dashed) >= 3


def test_that_a_run_without_a_loss_is_judged_by_its_own_term(kit: Kit, pane: CurvesPane) -> None:
    kit.look_at(run_info(newest=m.RunFigure("generator_loss", 0.7, "nat", False, 64)))
    told = {"discriminator_loss": points(400), "generator_loss": points(400, 1)}
    kit.bridge.tell(m.Metrics(RUN, told, True))
    pane.redraw_now()
    assert pane.term == "generator_loss" and pane.followed.terms() == ["generator_loss", "discriminator_loss"]
    assert pane.followed.judged(RUN) == "generator_loss"
    assert pane._diagnose()


def test_that_ticked_runs_stay_where_none_is_chosen(kit: Kit, pane: CurvesPane) -> None:
    pane.choose_run(OTHER, True)
    kit.state.set_run(None)
    assert pane.followed.runs() == [OTHER] and not pane.empty.isVisible()
    assert why_unavailable(pane, None, None) is None  # nothing covers it
    pane.choose_run(OTHER, False)
    assert pane.empty.isVisible() and pane.empty.text.text() == CurvesPane.invites


def test_that_a_long_name_in_the_legend_loses_its_middle_and_stays_within_the_plot(kit: Kit, pane: CurvesPane) -> None:
    name = "a name that somebody chose and that is far too long for the legend of any plot at all, whatever its width may be"
    kit.look_at(run_info(name=name), run_info(OTHER))
    feed(kit, RUN, loss=points(50))
    pane.redraw_now()
    kit.pump()
    assert pane.plot is not None
    legend = pane.plot.legend
    assert legend.names == [name]
    assert legend.isVisible() and "…" in legend.items[0][1].text and legend.items[0][1].text.endswith("may be")
    assert legend.width() <= 0.6 * legend.box.width()
    assert legend.box.boundingRect().contains(legend.mapRectToParent(legend.boundingRect()))


def test_that_a_plot_whose_points_are_on_their_way_says_so(kit: Kit, pane: CurvesPane) -> None:
    pane.redraw_now()
    assert pane.plot_card is not None and pane.plot_card.readout.text == "Loading the points…"
    feed(kit, RUN, loss=points(3))
    pane.redraw_now()
    assert pane.plot_card.readout.text.endswith("all 3 points")
    pane.choose_run(OTHER, True)
    pane.redraw_now()
    assert pane.plot_card.readout.text == "Loading the points…"
    feed(kit, OTHER)
    feed(kit, RUN)
    pane.redraw_now()
    assert pane.plot_card.readout.text == "no points yet"
