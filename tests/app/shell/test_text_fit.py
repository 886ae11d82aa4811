"""The real window over the real engine, with runs: every text of every pane can be read at 1280×800, and reached at 960×560."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QWidget

from app.tour.window_driver import WindowDriver
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.text_fit import Misfit, misfits

pytestmark = pytest.mark.slow

MINE = "a name that somebody chose and that is far too long for any list of runs"  # only such names may be shortened
SETTINGS: dict[str, dict[str, Any]] = {
    "vae": {"network": "mlp", "width": 8, "latent": 12},
    "pixel_cnn": {"width": 8, "layers": 1, "cell_layers": 0},
    "classifier": {"width": 8},
    "simclr": {"width": 4, "blocks": 1, "projection": 16, "batch_size": 32},
    "kmeans": {},
}
VIEWED: dict[str, dict[str, Any]] = {  # for the Views pane, whose pages depend on the method
    "moco": {"width": 4, "blocks": 1, "projection": 16, "batch_size": 32},
    "rotation": {"width": 4, "blocks": 1},
    "dino": {"width": 4, "blocks": 1},
}
NEVER_SIDEWAYS = ("ViewsPane", "EmbeddingPane", "ProbePane", "DataPane", "ErrorsPane")  # these shrink, and at most scroll down


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for method, settings in SETTINGS.items():
        steps = 128 if method == "vae" else 8
        list(train(Plan(method, "digits", settings, steps=steps, name=method, device="cpu"), root))
    for method, settings in VIEWED.items():
        list(train(Plan(method, "digits", settings, steps=2, name=method, device="cpu"), root))
    list(train(Plan("vae", "digits", {"network": "mlp", "width": 4, "beta": 0.5}, steps=8, name=MINE, device="cpu"), root))
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("files")
    made = {"noise.png": rng.integers(0, 256, (20, 31, 3)), f"{MINE}.png": np.arange(64).reshape(8, 8) * 4}
    for name, pixels in made.items():
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return [str(folder / name) for name in made]


def scenes(driver: WindowDriver, runs: Path, files: list[str]) -> Iterator[str]:
    """Brings about what there is to see, and tells its name."""
    window = driver.window

    def show(name: str) -> Any:
        window.show_pane(name)
        driver.settle(120)
        return driver.pane(name)

    def look_at(method: str) -> None:
        window.choose_run(str(runs / method))
        driver.settle(120)

    driver.wait(lambda: window.state.engine is not None and bool(window.state.data), "the engine was ready", 120)
    if not window.state.runs:
        for name in window.docks.docks:
            show(name)
            yield f"{name} without a run"
        return
    for method in SETTINGS:
        look_at(method)
        for name in window.docks.docks:
            show(name)
            yield f"{name} of the {method}"
    look_at("vae")
    show("CurvesPane")
    for run in window.state.runs:
        driver.pane("CurvesPane").choose_run(run, True)
    driver.settle()
    yield "CurvesPane with many runs"
    pane = show("LatentPane")
    for path in files:
        before = pane.position
        window.take([path])
        driver.wait(lambda before=before: pane.position is not before, "the image was encoded", 60)
    for index in range(3):
        pane.show_tab(index)
        driver.settle()
        yield f"LatentPane, page {index}"
    pane = show("LikelihoodPane")
    pane.use_test_images()
    window.take(files)
    driver.wait(lambda: pane.images.entries and all(entry.scores or entry.error for entry in pane.images.entries), "all were scored", 120)
    for index in (0, 1):
        pane.page.show_left(index)
        driver.settle()
        yield f"LikelihoodPane with images, left page {index}"
    pane.set_compare("shapes")
    driver.wait(lambda: pane.controller.comparison is not None, "the shapes were scored", 120)
    driver.settle()
    yield "LikelihoodPane with a comparison"
    pane.page.show_right(1)
    driver.settle(120)
    yield "LikelihoodPane with a corruption"
    pane.show_experiment()
    driver.settle()
    yield "LikelihoodPane, the paradox"
    look_at("simclr")
    pane = show("ProbePane")
    limits = [pane.page.limit.itemData(i) for i in range(pane.page.limit.count())]
    pane.page.limit.setCurrentIndex(limits.index(min(limits)))
    pane.measure()
    driver.wait(lambda: not pane.job, "the features were measured", 240)
    driver.settle()
    yield "ProbePane with figures"
    for method in ("simclr", "classifier"):
        look_at(method)
        pane = show("ErrorsPane")
        driver.wait(lambda pane=pane: pane.controller.page is not None, "the errors were found", 120)
        pane.choose_cell(*pane.controller.found.pairs[0][:2])
        driver.settle()
        yield f"ErrorsPane of {method}"
    look_at("simclr")
    pane = show("ViewsPane")
    for index in range(3):
        pane.show_page(index)
        driver.settle(120)
        yield f"ViewsPane, page {index}"
    for method in VIEWED:
        look_at(method)
        pane = show("ViewsPane")
        driver.wait(lambda pane=pane: pane.grid.batch is not None, "the batch was made", 60)
        for index in range(5):
            if not pane.tabs.button(index).isHidden():
                pane.show_page(index)
                driver.settle(120)
                yield f"ViewsPane of {method}, page {index}"
    for method in ("vae", "pixel_cnn", "simclr", "kmeans"):
        window.new_run(method, "digits")
        driver.settle()
        yield f"the form of {method}"
    window.centre.show_shortcuts()
    driver.settle()
    yield "the shortcuts"
    window.centre.show_panes()
    window.centre.toggle_log()
    driver.settle()
    yield "the log"
    window.centre.toggle_log()
    window.say("warning", "The disk is full, so the training waits. Make room, then press Resume.", "details")
    driver.settle()
    yield "a message"


def walk(driver: WindowDriver, runs: Path, files: list[str], themes: tuple[str, ...], sideways: bool) -> dict[str, list[Misfit]]:
    """What is wrong, by scene and theme; each misfit once."""
    known: set[Misfit] = set()
    wrong: dict[str, list[Misfit]] = {}
    for scene in scenes(driver, runs, files):
        for theme in themes:
            if driver.window.state.theme != theme:
                driver.window.set_theme(theme)
                driver.settle()
            aside = sideways and not scene.startswith(NEVER_SIDEWAYS)
            found = [one for one in misfits(driver.window, (MINE,), sideways=aside) if one not in known]
            if found:  # rows that were made a moment ago are laid out with the next events: a misfit is what stays
                driver.settle()
                found = [one for one in misfits(driver.window, (MINE,), sideways=aside) if one in found]
            known.update(found)
            if found:
                wrong[f"{scene}, {theme}"] = found
    return wrong


def told(wrong: dict[str, list[Misfit]]) -> str:
    return "\n".join(f"{scene}\n" + "\n".join(f"    {one}" for one in found) for scene, found in wrong.items())


@pytest.mark.parametrize("size", [(1280, 800), (960, 560)], ids=["1280x800", "960x560"])
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "with-runs"])
def test_that_every_text_can_be_read(
    size: tuple[int, int], empty: bool, runs: Path, files: list[str], tmp_path: Path, qapp: QWidget
) -> None:
    """At 1280×800 nothing is shortened and nothing needs scrolling to the side; at 960×560 everything can be scrolled to."""
    small = size[0] < 1280
    root = tmp_path / "none" if empty else runs
    with WindowDriver(Engine(root), size=size) as driver:
        themes = ("dark",) if small else ("dark", "light")
        wrong = walk(driver, root, files, themes, sideways=small)
        assert not wrong, told(wrong)
        assert not driver.faults
