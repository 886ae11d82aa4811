"""The Probe pane, fed with answers of a paper engine: what it asks, what it draws, what it says and what it writes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from app.panes.probe.pane import TUNING_SHARE, ProbePane
from app.panes.probe.results import figure, supervised
from engine import messages as m
from tests.kit.panes import OTHER, RUN, VAE, Kit, run_info
from tests.kit.paper_probe import BLOCKS, RIGHT, error_of, everything, fitting, worth

SETS = (
    m.DataInfo("digits", "digits", "images", "1 797", True),
    m.DataInfo("shapes", "shapes", "images", "10 000", True),
    m.DataInfo("pydoc-text", "pydoc-text", "text", "bytes", True),
)
TUNING = replace(
    VAE,
    name="learn_on",
    title="Fine-tuning",
    capabilities=("encode", "classify"),
    fields=(
        m.FieldInfo("encoder", "encoder", "text", "", "The run."),
        m.FieldInfo("start", "start", "choice", "run", "The weights.", choices=("run", "scratch")),
        m.FieldInfo("label_share", "label share", "float", 0.01, "The labels.", 0.001, 1.0),
    ),
)


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    made.engine.answering = False
    made.state.methods = {**made.state.methods, "learn_on": TUNING}
    made.state.set_data(SETS)
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> ProbePane:
    made = kit.open(ProbePane)
    assert isinstance(made, ProbePane)
    kit.state.methods["vae"] = replace(VAE, capabilities=(*VAE.capabilities, "blocks"))
    kit.look_at(run_info(), run_info(OTHER))
    rest(kit, made)
    return made


def rest(kit: Kit, pane: ProbePane) -> None:
    kit.pump()
    pane.draw()


def ask(kit: Kit, pane: ProbePane) -> m.Probe:
    pane.page.measure_button.click()
    return kit.engine.of(m.Probe)[-1]


def answer(kit: Kit, pane: ProbePane) -> m.Probe:
    work = ask(kit, pane)
    kit.engine.events += everything(work)
    rest(kit, pane)
    return work


# -- what is asked -------------------------------------------------------------------------------------------------------


def test_that_nothing_is_measured_until_it_is_asked_for(kit: Kit, pane: ProbePane) -> None:
    kit.state.set_cursor(64)
    rest(kit, pane)
    assert not kit.engine.sent
    assert pane.page.status.text.startswith("Nothing measured here yet")
    assert pane.page.stop_button.isHidden()


def test_that_it_asks_for_the_checkpoint_at_the_time_cursor_with_what_is_ticked(kit: Kit, pane: ProbePane) -> None:
    kit.state.set_cursor(64)
    pane.page.data.setCurrentIndex(pane.page.data.findData("shapes"))
    pane.page.limit.setCurrentIndex(0)
    pane.page.blocks.setChecked(False)
    work = ask(kit, pane)
    assert (work.run, work.step, work.data, work.limit) == (RUN, 64, "shapes", 2000)
    assert not work.blocks and work.shares == (0.01, 0.1) and work.split == "valid"
    assert not pane.page.stop_button.isHidden()


def test_that_texts_and_the_runs_own_data_are_not_offered_twice(kit: Kit, pane: ProbePane) -> None:
    box = pane.page.data
    assert [box.itemData(i) for i in range(box.count())] == ["", "shapes"]
    assert "digits" in box.itemText(0)


def test_that_blocks_are_offered_only_of_an_encoder_that_has_them(kit: Kit, pane: ProbePane) -> None:
    assert not pane.page.blocks.isHidden() and pane.page.by_block.hint == "Measure, and it appears here."
    pane.page.blocks.setChecked(False)
    rest(kit, pane)
    assert pane.page.by_block.hint == "Tick “every block” and measure."
    pane.page.blocks.setChecked(True)
    kit.state.methods["vae"] = VAE  # encodes, but tells nothing between its blocks
    kit.state.methods_changed.emit()
    rest(kit, pane)
    assert pane.page.blocks.isHidden() and "Tick" not in pane.page.by_block.hint
    assert "cannot be asked after each block" in pane.page.by_block.hint
    assert not ask(kit, pane).blocks


# -- what is drawn -------------------------------------------------------------------------------------------------------


def test_that_every_figure_stands_beside_the_baselines_with_its_standard_error(kit: Kit, pane: ProbePane) -> None:
    answer(kit, pane)
    bars = pane.page.bars.bars
    assert [(bar.linear, bar.knn) for bar in bars] == list(RIGHT.values())
    assert pane.page.bars.chance == pytest.approx(0.1)
    assert "84.9" in pane.page.bars.accessibleDescription()
    assert [bar.linear_error for bar in bars] == pytest.approx([error_of(linear) for linear, _ in RIGHT.values()])  # the engine's
    assert figure(0.849, 0.0072) == "84.9 ± 0.7\u202f%" and figure(0.849, math.nan) == "84.9\u202f%"
    told = pane.page.status.text
    assert "5.9 points above the random encoder" in told and "4.7 points above the raw pixels" in told
    assert "neighbours’ vote 11.1 points above the random encoder and 0.2 points above the raw pixels. Frozen" in told
    assert "1\u202f000 training images" in told and "2\u202f500 validation images" in told
    assert pane.page.stop_button.isHidden()


def test_that_blocks_labels_and_the_fit_have_their_lines(kit: Kit, pane: ProbePane) -> None:
    answer(kit, pane)
    page = pane.page
    assert page.by_block.places == BLOCKS
    assert {line.name for line in page.by_block.lines} == {"linear", "kNN", "linear, random"}
    assert page.by_labels.places == ("0.2\u202f% (10)", "2\u202f% (100)", "20\u202f% (1\u202f000)")
    assert [len(line.ys) for line in page.by_labels.lines] == [3, 3, 3]
    (fit,) = page.by_iteration.lines
    assert len(fit.ys) == 30 and fit.ys[0] == pytest.approx(2.3)
    assert "84.9" in page.fit_heading.text()


def test_that_the_fit_is_seen_while_it_goes_on(kit: Kit, pane: ProbePane) -> None:
    work = ask(kit, pane)
    for iterations in (3, 9):
        kit.engine.events.append(fitting(work, m.ProbeSubject("random", "block 2"), iterations))
        rest(kit, pane)
        assert len(pane.page.by_iteration.lines[0].ys) == iterations
    assert "random encoder, block 2" in pane.page.fit_heading.text()


def test_that_figures_of_another_step_say_so_and_nothing_is_measured_by_itself(kit: Kit, pane: ProbePane) -> None:
    answer(kit, pane)
    kit.state.set_cursor(64)
    rest(kit, pane)
    again = "Still step 1\u202f024;\nmeasure again for step 64"
    assert (pane.page.shown_step.text, pane.page.shown_step.level) == (again, "warning")
    assert len(kit.engine.of(m.Probe)) == 1
    work = ask(kit, pane)
    assert pane.page.shown_step.text == "Still step 1\u202f024;\nmeasuring step 64"
    kit.engine.events += everything(work)
    rest(kit, pane)
    assert pane.page.shown_step.text == "Step 64"
    assert [line.xs for line in pane.page.by_step.lines] == [(64.0, 1024.0)] * 2
    kit.state.set_cursor(None)
    rest(kit, pane)
    assert pane.page.shown_step.text == "Step 1\u202f024", "the first figures are still known"


def test_that_another_run_data_set_or_size_has_its_own_figures(kit: Kit, pane: ProbePane) -> None:
    answer(kit, pane)
    pane.page.limit.setCurrentIndex(2)
    rest(kit, pane)
    assert pane.page.bars.bars == []
    pane.page.limit.setCurrentIndex(1)
    pane.page.split.setCurrentIndex(pane.page.split.findData("test"))
    rest(kit, pane)
    assert pane.page.bars.bars == [], "figures of validation images are none of test images"
    answer(kit, pane)
    assert kit.engine.of(m.Probe)[-1].split == "test" and "500 test images" in pane.page.status.text
    pane.page.split.setCurrentIndex(0)
    kit.state.set_run(OTHER)
    rest(kit, pane)
    assert pane.page.bars.bars == [] and pane.page.by_iteration.lines == []
    kit.state.set_run(RUN)
    rest(kit, pane)
    assert len(pane.page.bars.bars) == 3


def test_that_runs_with_labels_stand_beside_by_the_accuracy_of_their_best_checkpoint(kit: Kit, pane: ProbePane) -> None:
    best = m.RunFigure("accuracy", 0.931, "", True, 512)
    classifier = run_info("/runs/classifier", best=best, headline="12.0 % right", title="Classifier", capabilities=("encode", "classify"))
    tuned = replace(classifier, run="/runs/tuned", config={"label_share": 0.01, "start": "scratch"}, best=replace(best, value=0.715))
    elsewhere = replace(classifier, run="/runs/elsewhere", data="shapes")
    old = replace(classifier, run="/runs/old", best=None)  # as version 0.1.0 kept it: in words alone
    other_term = replace(classifier, run="/runs/other", best=replace(best, term="loss"))
    found = supervised({one.run: one for one in (classifier, tuned, elsewhere, old, other_term, run_info())}, RUN, "digits")
    assert [one.right for one in found] == [pytest.approx(0.931), pytest.approx(0.715)]
    assert "from scratch, 1 % of labels" in found[1].name
    kit.look_at(run_info(), classifier)
    answer(kit, pane)
    assert pane.page.bars.bars[-1].supervised and pane.page.bars.bars[-1].linear == pytest.approx(0.931)


def test_that_features_too_many_for_a_fit_say_why(kit: Kit, pane: ProbePane) -> None:
    work = ask(kit, pane)
    kit.engine.events += [worth(work, "pixels", linear=None, features=3072, note="No linear probe: too many.")]
    rest(kit, pane)
    (bar,) = (bar for bar in pane.page.bars.bars if "pixels" in bar.name)
    assert bar.linear is None and bar.note == "No linear probe: too many."
    assert not pane.grab().isNull()


# -- stopping and failing ------------------------------------------------------------------------------------------------


def test_that_stop_ends_the_job_and_keeps_what_came(kit: Kit, pane: ProbePane) -> None:
    work = ask(kit, pane)
    kit.engine.events.append(worth(work, "checkpoint"))
    rest(kit, pane)
    pane.page.stop_button.click()
    kit.engine.events.append(worth(work, "random"))  # was on its way
    rest(kit, pane)
    assert [stop.job for stop in kit.engine.of(m.StopJob)] == [work.job]
    assert len(pane.page.bars.bars) == 1 and pane.page.status.text.startswith("Stopped")


def test_that_a_failure_is_said_in_the_pane(kit: Kit, pane: ProbePane) -> None:
    work = ask(kit, pane)
    kit.engine.events.append(m.Ended(work.job, "failed", "digits has no classes that a probe could tell apart."))
    rest(kit, pane)
    assert pane.page.status.text.startswith("digits has no classes") and pane.page.status.level == "bad"
    assert pane.page.stop_button.isHidden()


def test_that_closing_amid_a_measurement_stops_it(kit: Kit, pane: ProbePane) -> None:
    work = ask(kit, pane)
    kit.close(pane)
    assert [stop.job for stop in kit.engine.of(m.StopJob)] == [work.job]


def test_that_a_hidden_pane_draws_nothing_and_shows_all_when_it_is_seen_again(kit: Kit, pane: ProbePane) -> None:
    work = ask(kit, pane)
    pane.deactivate()
    kit.engine.events += everything(work)
    kit.pump()
    assert pane.page.bars.bars == [] and not pane._drawing.isActive()
    pane.activate()
    assert len(pane.page.bars.bars) == 3


# -- fine-tuning ---------------------------------------------------------------------------------------------------------


def test_that_fine_tuning_and_its_counterpart_differ_in_the_start_alone(kit: Kit, pane: ProbePane) -> None:
    pane.page.tune_button.click()
    pane.page.scratch_button.click()
    tuned, scratch = kit.engine.of(m.StartRun)
    assert tuned.method == "learn_on" and tuned.data == "digits"
    assert tuned.config == {"encoder": "vae-digits", "start": "run", "label_share": TUNING_SHARE}
    assert scratch.config == tuned.config | {"start": "scratch"}
    assert (scratch.seed, scratch.steps) == (tuned.seed, tuned.steps) and tuned.seed == run_info().seed
    assert "queued" in pane.page.train_line.text


def test_that_a_run_from_elsewhere_is_named_by_its_folder(kit: Kit, pane: ProbePane) -> None:
    kit.look_at(run_info("/elsewhere/mine"))
    pane.page.tune_button.click()
    assert kit.engine.of(m.StartRun)[0].config["encoder"] == "/elsewhere/mine"


def test_that_without_the_method_there_is_no_button_to_press(kit: Kit, pane: ProbePane) -> None:
    kit.state.methods = {"vae": VAE}
    pane.draw()
    assert not pane.page.tune_button.isEnabled() and not pane.page.scratch_button.isEnabled()


def test_that_shares_of_labels_that_are_not_measured_are_named(kit: Kit, pane: ProbePane) -> None:
    pane.page.labels.setChecked(True)
    work = ask(kit, pane)
    kit.engine.events += [worth(work, of, n_split=20_000) for of in RIGHT] + [m.Ended(work.job, "ok", "Measured.")]
    rest(kit, pane)
    images = pane.page.status.text.partition("Not with 10 % of the labels: those are no fewer than the ")[2]
    assert images.replace("\u202f", " ") == "1 000 images that all is fitted to."
    pane.page.labels.setChecked(False)
    pane.draw()
    assert "Not with" not in pane.page.status.text


def test_that_figures_of_a_run_do_not_become_those_of_another_one_in_its_folder(kit: Kit, pane: ProbePane) -> None:
    begun = replace(run_info(), created=100.0)
    kit.look_at(begun, run_info(OTHER))
    answer(kit, pane)
    kit.look_at(replace(begun, created=200.0), run_info(OTHER))
    rest(kit, pane)
    assert pane.results.shown((RUN, "", pane.page.limit.currentData(), "valid"), None) is None
    assert pane.page.status.text.startswith("Nothing measured here yet")


def test_that_figures_of_a_run_that_is_gone_are_let_go(kit: Kit, pane: ProbePane) -> None:
    begun = replace(run_info(), created=100.0)
    kit.look_at(begun, run_info(OTHER))
    answer(kit, pane)
    asked = (RUN, "", pane.page.limit.currentData(), "valid")
    assert pane.results.shown(asked, None) is not None
    kit.state.set_runs((run_info(OTHER),), "/runs")
    assert pane.results.shown(asked, None) is None


# -- out of the window ---------------------------------------------------------------------------------------------------


def test_that_k_is_the_number_of_training_images_where_there_are_fewer_than_200(kit: Kit, pane: ProbePane) -> None:
    answer(kit, pane)
    assert pane.page.bars._legend_names()[1] == "kNN, k = 200"
    for event in everything(ask(kit, pane)):
        kit.bridge.tell(replace(event, n_train=139) if isinstance(event, m.ProbeMeasured) else event)
    rest(kit, pane)
    assert pane.page.bars._legend_names()[1] == "kNN, k = 139" and pane.about_file()["kNN"].startswith("k = 139,")  # type: ignore[attr-defined]


def test_that_the_csv_holds_every_figure_and_what_was_compared(kit: Kit, pane: ProbePane, tmp_path) -> None:
    pane.save_figures(str(tmp_path / "none.csv"))
    assert pane.page.status.level == "bad" and not (tmp_path / "none.csv").exists()
    answer(kit, pane)
    pane.save_figures(str(tmp_path / "all.csv"))
    text = (tmp_path / "all.csv").read_text()
    assert "# step: 1024" in text and "frozen" in text.lower()
    rows = list(csv.DictReader(io.StringIO("".join(line + "\n" for line in text.splitlines() if not line.startswith("#")))))
    assert len(rows) == 3 + 6 + 8
    assert float(rows[0]["linear"]) == 0.849 and rows[0]["features of"] == "this checkpoint" and rows[0]["step"] == "1024"


def test_that_every_chart_becomes_a_picture_and_a_table(kit: Kit, pane: ProbePane, tmp_path) -> None:
    answer(kit, pane)
    for place, chart in enumerate((pane.page.bars, *pane.page.charts)):
        pane.save_chart(chart, "png", str(tmp_path / f"{place}.png"))
        with Image.open(tmp_path / f"{place}.png") as image:
            assert image.text["run"] == "vae-digits"  # type: ignore[attr-defined]
        pane.save_chart(chart, "csv", str(tmp_path / f"{place}.csv"))
        assert len((tmp_path / f"{place}.csv").read_text().splitlines()) > 7
    pane._copy(pane.page.by_block)
    assert not QGuiApplication.clipboard().image().isNull()
    QGuiApplication.clipboard().clear()


def test_that_one_click_leads_to_the_images_that_either_probe_gets_wrong(kit: Kit, pane: ProbePane) -> None:
    handed: list[tuple[str, object]] = []
    kit.state.handed_over.connect(lambda purpose, what: handed.append((purpose, what)))
    page = pane.page
    assert "up to 5\u202f000 training images" in page.errors_button.toolTip()
    QTest.mouseClick(page.errors_button, Qt.MouseButton.LeftButton)
    page.split.setCurrentIndex(page.split.findData("test"))
    QTest.mouseClick(page.knn_errors_button, Qt.MouseButton.LeftButton)
    assert handed == [("errors", ("probe", "valid")), ("errors", ("knn", "test"))]
    page.data.setCurrentIndex(page.data.findData("shapes"))  # whose images Errors does not show
    pane.draw()
    for made in (page.errors_button, page.knn_errors_button):
        assert not made.isEnabled() and "its own" in made.toolTip()
