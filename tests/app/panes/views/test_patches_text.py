"""The page of patches in the real window: every text of it can be read, at both sizes and in every mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.panes.views.pane import PATCHES
from app.panes.views.patches_page import MODES
from app.tour.window_driver import WindowDriver
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.text_fit import misfits


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 800), (960, 560)], ids=["1280x800", "960x560"])
def test_that_every_text_of_the_patches_can_be_read(size: tuple[int, int], tmp_path: Path, qapp) -> None:
    settings = {"width": 24, "blocks": 1, "decoder_width": 16, "batch_size": 16}
    list(train(Plan("mae", "digits", settings, seed=3, steps=2, name="mae", device="cpu"), tmp_path))
    with WindowDriver(Engine(tmp_path), size=size) as driver:
        window, pane = driver.window, driver.pane("ViewsPane")
        driver.wait(lambda: window.state.engine is not None and len(window.state.runs) == 1, "the run was listed", 240)
        window.choose_run(str(tmp_path / "mae"))
        driver.show_pane("ViewsPane")
        driver.settle(240)
        pane.show_page(PATCHES)
        for mode, name in enumerate(MODES):
            pane.patches_page.set_mode(mode)
            driver.wait(lambda: not pane.patches.busy and pane.patches_page.board.picture is not None, f"{name} was shown", 240)
            driver.settle(240)
            wrong = misfits(window, sideways=size[0] < 1280)
            assert not wrong, f"{name}: " + "\n".join(map(str, wrong))
        assert not driver.faults
