"""What the Latent pane asks and when, fed with answers of a paper engine; what a run or a step that changes does to it."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.latent.pane import LatentPane
from app.panes.latent.position import LatentPosition
from engine import messages as m
from tests.kit.latent_pane import drawn, order_of
from tests.kit.panes import KL, LATENT, OTHER, Kit, decoded, digits, encoded, run_info


def test_that_a_hidden_pane_asks_nothing(kit: Kit, pane: LatentPane) -> None:
    pane.deactivate()
    kit.engine.sent.clear()
    kit.state.set_cursor(4)
    pane.history.go(run_info().run, pane.history.positions[run_info().run])
    assert kit.engine.sent == []
    pane.activate()
    kit.pump()
    assert {query.step for query in kit.engine.of(m.Decode)} == {4}


def test_that_without_a_checkpoint_nothing_is_asked_and_the_page_says_why(qapp, kit: Kit) -> None:
    pane = kit.open(LatentPane)
    assert isinstance(pane, LatentPane)
    assert pane.empty.title.text() == "No run chosen"
    kit.look_at(run_info(checkpoints=(), step=0))
    assert "No checkpoint" in pane.empty.title.text()
    assert not [message for message in kit.engine.sent if isinstance(message, m.Query)]
    kit.state.checkpoint_saved(run_info().run, 0, False)
    kit.pump()
    assert pane.stack.currentIndex() == 1
    assert pane.decoded_image.picture.image is not None


def test_that_a_move_lays_nothing_out_anew(kit: Kit, pane: LatentPane, qtbot) -> None:
    from PySide6.QtCore import QEvent, QObject

    class Ear(QObject):
        heard = 0

        def eventFilter(self, watched, event) -> bool:
            self.heard += event.type() == QEvent.Type.LayoutRequest
            return False

    pane.slider_list.set_dimension(0, 1.0)
    kit.pump()
    for _ in range(20):  # the first layout works its way up, one widget per round
        qtbot.wait(1)
    ear = Ear()
    for widget in (pane, *pane.findChildren(type(pane.encoded_image.card))):
        widget.installEventFilter(ear)
    for step in range(5):
        pane.slider_list.set_dimension(0, step / 10)
        kit.pump()
        qtbot.wait(1)
    assert ear.heard == 0


def test_that_images_dropped_before_the_pane_was_ever_shown_become_a_and_b(qapp, kit: Kit) -> None:
    pane = LatentPane(kit.context)  # a tab that nobody has looked at yet
    kit.look_at()
    assert pane.accept_image("/home/me/seven.png")
    assert pane.accept_image("/home/me/two.png")
    kit.pump()
    place = pane.position
    assert place is not None and (place.a_name, place.b_name) == ("seven.png", "two.png")
    np.testing.assert_array_equal(place.z, encoded(digits()[0][17, 0]))
    pane.close()
    pane.deleteLater()


def test_that_an_image_becomes_a_although_the_checkpoint_is_not_described_yet(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    kit.engine.answering = False
    kit.state.set_run(OTHER)
    pane.accept_image("/home/me/seven.png")
    kit.engine.open.rotate(1)  # the answer about the image comes first
    kit.engine.reply(kit.engine.open.popleft())
    kit.bridge.drain()
    assert pane.position is not None and pane.position.a_name == "seven.png"
    kit.engine.answering = True
    kit.pump()
    np.testing.assert_array_equal(drawn(pane), decoded(pane.position.z[None])[0, 0])


def test_that_an_image_of_a_space_of_another_size_begins_anew(kit: Kit, pane: LatentPane) -> None:
    run = run_info().run
    pane.history.positions[run] = LatentPosition(z=np.zeros(3, np.float32))
    pane.accept_image("/home/me/seven.png")
    kit.pump()
    assert pane.position is not None and len(pane.position.z) == LATENT and pane.position.a_name == "seven.png"


def test_that_sliders_rest_until_the_new_run_has_said_what_they_stand_for(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    kit.state.set_run(OTHER)
    kit.pump()
    kit.state.set_run(run_info().run)
    kit.pump()
    kit.engine.answering = False
    kit.state.set_run(OTHER)
    assert not any(slider.isEnabled() for slider in pane.slider_list.sliders)
    pane.slider_list.sliders[0].setValue(150)
    pane.slider_list.set_dimension(0, 1.0)
    assert pane.position is not None and not pane.position.z.any()
    kit.engine.answering = True
    kit.pump()
    assert all(slider.isEnabled() for slider in pane.slider_list.sliders)
    pane.slider_list.set_dimension(0, 1.0)
    assert pane.position.z[int(np.argmax(KL))] == 1.0


def test_that_everything_is_asked_once_per_step(kit: Kit, pane: LatentPane) -> None:
    pane.accept_image("/a.png")
    pane.accept_image("/b.png")
    pane.show_tab(1)
    kit.pump()
    kit.engine.sent.clear()
    kit.state.set_cursor(64)
    kit.pump()
    counts = {
        kind.__name__: len(kit.engine.of(kind)) for kind in (m.Describe, m.Decode, m.Interpolate, m.Reconstruct, m.SamplePrior, m.Encode)
    }
    assert set(counts.values()) == {1}, counts


def test_that_the_fault_of_a_step_goes_away_with_it(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    kit.state.set_cursor(8)
    for query in list(kit.engine.open):
        kit.engine.fail(query, "Step 8 is damaged. Choose another one.")
    kit.engine.open.clear()
    kit.bridge.drain()
    assert "damaged" in pane.decoded_image.status.text
    kit.state.set_cursor(64)
    assert "damaged" not in pane.decoded_image.status.text


def test_that_a_failure_that_was_overtaken_is_not_said(kit: Kit, pane: LatentPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    pane.slider_list.set_dimension(0, 1.0)
    late = kit.engine.open.popleft()
    kit.state.set_cursor(8)
    kit.engine.fail(late, "Step 1024 is damaged.")
    kit.bridge.drain()
    assert "damaged" not in pane.decoded_image.status.text


def test_that_undoing_a_move_of_another_run_looks_at_that_run(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    pane.slider_list.set_dimension(0, 1.0)
    kit.state.set_run(OTHER)
    kit.pump()
    kit.undo.undo()
    kit.pump()
    assert kit.state.run == run_info().run
    assert pane.position is not None and not pane.position.z.any()
    np.testing.assert_array_equal(drawn(pane), decoded(pane.position.z[None])[0, 0])


def test_that_a_move_of_a_run_that_is_gone_leaves_the_undo_list(kit: Kit, pane: LatentPane) -> None:
    kit.state.set_runs((run_info(), run_info(OTHER)), "/runs")
    pane.slider_list.set_dimension(0, 1.0)
    kit.state.set_run(OTHER)
    kit.state.set_runs((run_info(OTHER),), "/runs")
    kit.undo.undo()
    assert kit.undo.count() == 0
    assert kit.state.run == OTHER


def test_that_keys_in_quick_succession_are_one_step_to_undo_and_later_ones_another(kit: Kit, pane: LatentPane, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("app.panes.latent.position.monotonic", lambda: clock[0])
    for pause in (0.2, 0.9, 0.9, 1.1, 0.3):
        clock[0] += pause
        QTest.keyClick(pane.slider_list.sliders[0], Qt.Key.Key_Right)
    assert kit.undo.count() == 2
    kit.undo.undo()
    assert pane.position is not None
    assert pane.position.z[order_of(pane)[0]] == pytest.approx(0.15)
