"""The tour: the real window, offscreen, trains on built-in data; every pane is visited, used and photographed in both themes.

`priorama tour --out DIR` writes the pictures and prints what each shows; it fails when a pane did, or when Qt complained.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZES = ((1280, 800), (1920, 1080))
THEMES = ("dark", "light")
STEPS = 800  # of the VAE
PIXEL_STEPS = 800  # of the PixelCNN, and as many of its background model
TOKEN_STEPS = 400
TEXT_STEPS = 400
FEWEST_COLOURS = 24  # a picture with fewer shows next to nothing


@dataclass(frozen=True)
class Scene:
    """One thing to see. `prepare` brings it about; `complaint` says what is wrong with it, empty when nothing is."""

    name: str  # the pictures' name
    pane: str
    shows: str
    prepare: Callable[[], object]
    complaint: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Shot:
    scene: Scene
    theme: str
    size: tuple[int, int]
    file: str
    seconds: float
    complaint: str


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 good, 1 a pane failed or Qt complained, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="priorama tour", description="Photograph every pane of the window, without a screen.", exit_on_error=False
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where the pictures go")
    try:
        options, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        options, unknown = argparse.Namespace(out=None), []
    if options.out is None or unknown:
        print("The tour needs a folder for its pictures and nothing else: priorama tour --out DIR.", file=sys.stderr)
        return 2
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"{options.out} cannot be written ({error.strerror}); choose another folder with --out.", file=sys.stderr)
        return 1
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before Qt is imported
    from app.tour.window_driver import TooLate, WindowDriver
    from engine.worker.engine import Engine

    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="priorama-tour-") as folder, WindowDriver(Engine(Path(folder) / "runs")) as stage:
        tour = Tour(stage, options.out, Path(folder))
        try:
            tour.walk()
        except TooLate as reason:
            tour.failures.append(str(reason))
        tour.failures += stage.faults
        ended = stage.close()
    if not ended:
        tour.failures.append("The engine did not end within its time when the window was closed.")
    failed = [*tour.failures, *(f"{shot.file}: {shot.complaint}" for shot in tour.shots if shot.complaint)]
    print(f"{len(tour.shots)} pictures in {options.out}, {time.perf_counter() - started:.0f} s")
    for reason in failed:
        print(reason, file=sys.stderr)
    return 1 if failed else 0


class Tour:
    """Walks through the window as a person would."""

    def __init__(self, stage: Any, out: Path, scratch: Path) -> None:
        self.stage = stage
        self.window = stage.window
        self.out = out
        self.scratch = scratch
        self.shots: list[Shot] = []
        self.failures: list[str] = []
        self.visited: set[str] = set()

    def walk(self) -> None:
        stage, window = self.stage, self.window
        stage.wait(lambda: window.state.engine is not None and bool(window.state.data), "the engine was ready", 120)
        self.visit(Scene("start", "StartPane", "the start page, before the first run", self.show("StartPane")))
        self.visit(Scene("data", "DataPane", "what is in the built-in digits, and the images", self.look_at_data, self.no_images_of_data))
        self.visit(Scene("new-run", "New run", "the form made from the VAE's settings", lambda: window.new_run("vae", "digits")))
        vae = self.train("vae", STEPS, watch=True)
        autoencoder = self.train("autoencoder", 300)
        window.choose_run(vae)
        self.visit(
            Scene("curves", "CurvesPane", "every term of the loss, two runs laid over each other", lambda: self.overlay(autoencoder))
        )
        self.visit(
            Scene("latent", "LatentPane", "two images encoded, a slider dragged, the way from A to B", self.use_latent, self.no_latent)
        )
        self.visit(Scene("latent-prior", "LatentPane", "samples from the prior", lambda: self.show_way(1), self.no_latent))
        self.visit(Scene("latent-grid", "LatentPane", "a plane through the latent space", lambda: self.show_way(2), self.no_latent))
        self.visit(Scene("time-cursor", "LatentPane", "the same images at an early checkpoint", self.go_back, self.no_latent))
        window.state.set_cursor(None)
        self.visit(Scene("latent-autoencoder", "LatentPane", "an autoencoder: no prior to draw from", lambda: self.look_at(autoencoder)))
        window.choose_run(self.train("pixel_cnn", PIXEL_STEPS))
        self.visit(Scene("sampling", "SamplingPane", "samples grown pixel by pixel, one pixel's odds", self.use_sampling, self.no_samples))
        self.visit(
            Scene("sampling-branch", "SamplingPane", "another choice grown as a branch; surprise in bits", self.regrow, self.no_samples)
        )
        self.visit(
            Scene("sampling-completion", "SamplingPane", "an image completed from its upper half", self.complete_image, self.no_samples)
        )
        self.visit(
            Scene("likelihood", "LikelihoodPane", "own and test images, scored by every detector", self.use_likelihood, self.no_scores)
        )
        self.visit(Scene("likelihood-compare", "LikelihoodPane", "a threshold between two data sets", self.compare, self.no_scores))
        window.choose_run(self.train("token_transformer", TOKEN_STEPS))
        self.visit(Scene("sampling-tokens", "SamplingPane", "images grown code by code", lambda: self.use_sampling(9), self.no_samples))
        window.choose_run(self.train("text_transformer", TEXT_STEPS, "pydoc-text"))
        self.visit(Scene("sampling-text", "SamplingPane", "a text grown, one character's odds", self.use_text, self.no_samples))
        paradox = self.stage.pane("LikelihoodPane").show_paradox
        self.visit(Scene("likelihood-paradox", "LikelihoodPane", "the likelihood paradox, ready to be run", paradox))
        from app.tour.feature_scenes import FeaturesTour

        FeaturesTour(self).walk()
        window.choose_run(vae)
        for name in window.docks.docks:
            if name not in self.visited:
                self.visit(Scene(name.removesuffix("Pane").lower(), name, window.docks.docks[name].pane.about, self.show(name)))
        self.visit(Scene("shortcuts", "Shortcuts", "every action with its keys", window.show_shortcuts))
        window.show_panes()
        self.visit(Scene("palette", "Palette", "actions, runs, panes and data found by a few letters", self.open_palette, self.no_palette))
        window.finder.shut()

    def visit(self, scene: Scene) -> None:
        """Bring a scene about and photograph it in every size and theme."""
        started = time.perf_counter()
        scene.prepare()
        self.visited.add(scene.pane)
        for size in SIZES:
            self.window.resize(*size)
            for theme in THEMES:
                self.window.set_theme(theme)
                self.stage.settle()
                file = f"{scene.name}-{theme}-{size[0]}x{size[1]}.png"
                colours, _ = self.stage.photograph(self.out / file)
                empty = "next to nothing is to be seen" if colours < FEWEST_COLOURS else ""
                complaint = scene.complaint() or empty or self.stage.cut_off()
                shot = Shot(scene, theme, size, file, time.perf_counter() - started, complaint)
                self.shots.append(shot)
                print(line(shot), flush=True)
                started = time.perf_counter()
        self.window.resize(*SIZES[0])

    # -- what a person does ----------------------------------------------------------------------------------------------

    def show(self, name: str) -> Callable[[], None]:
        return lambda: self.stage.show_pane(name)

    def look_at_data(self) -> None:
        self.stage.show_pane("DataPane")
        self.window.choose_data("digits")
        self.stage.settle()

    def train(self, method: str, steps: int, data: str = "digits", watch: bool = False) -> str:
        """Fill in the form and press Start; returns the run's folder when it has ended."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        window, page = self.window, self.window.new_run_page
        known = set(window.state.runs)
        window.new_run(method, data)
        field = next(field for field in page.groups[0].rows.values() if field.field.name == "steps")
        page.draft.set("run", field.field, steps)
        self.stage.run_for(0.05)
        QTest.mouseClick(page.start, Qt.MouseButton.LeftButton)
        self.stage.wait(lambda: window.state.run not in (None, *known), f"the run of the {method} appeared", 60)
        run: str = window.state.run
        if watch:
            self.stage.wait(lambda: window.state.runs[run].step >= 64, "the training took its first steps", 60)
            self.visit(Scene("curves-live", "CurvesPane", "the loss falling while the training runs", self.show("CurvesPane")))
        self.stage.wait(
            lambda: window.state.job_of(run) is None and window.state.runs[run].status == "done", f"the {method} was trained", 300
        )
        self.stage.settle()
        return run

    def overlay(self, other: str) -> None:
        self.stage.show_pane("CurvesPane")
        self.stage.pane("CurvesPane").choose_run(other, True)

    def use_latent(self) -> None:
        """Encode two image files, drag the first slider with the mouse, go half the way from A to B."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        stage = self.stage
        stage.show_pane("LatentPane")
        pane = stage.pane("LatentPane")
        stage.wait(lambda: bool(pane.slider_list.sliders) and pane.decoded_image.decoded is not None, "the latent space opened", 60)
        for number in ("3", "0"):
            before = pane.position
            self.window.take([str(self.picture_of(number))])
            stage.wait(lambda before=before: pane.position is not before, f"the picture of a {number} was encoded", 30)
        stage.settle()
        slider = pane.slider_list.sliders[0]
        middle = slider.height() // 2
        begin, end = (QPoint(round(slider.width() * share), middle) for share in (0.5, 0.7))
        QTest.mousePress(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, begin)
        for step in range(1, 11):
            QTest.mouseMove(slider, begin + (end - begin) * step / 10)
            stage.run_for(0.016)
        QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
        stage.settle()
        pane.interpolation.set_t(0.5)

    def picture_of(self, text: str) -> Path:
        """An image file such as a person might have: a light sign that fills a dark page, in colour, of no special size."""
        from PySide6.QtCore import Qt
        from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath

        from app.shell import theme

        image = QImage(96, 96, QImage.Format.Format_RGB32)
        image.fill(QColor("#101217"))
        path = QPainterPath()
        path.addText(0, 0, theme.font(90), text)
        bounds = path.boundingRect()
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(48, 48)
        painter.scale(56 / bounds.width(), 90 / bounds.height())
        painter.translate(-bounds.center())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#f4f5f8"))
        painter.drawPath(path)
        painter.end()
        file = self.scratch / f"{text}.png"
        image.save(str(file))
        return file

    def show_way(self, index: int) -> None:
        self.stage.show_pane("LatentPane")
        self.stage.pane("LatentPane").show_tab(index)

    def go_back(self) -> None:
        self.show_way(0)
        steps = [checkpoint.step for checkpoint in self.window.state.checkpoints]
        self.window.state.set_cursor(steps[len(steps) // 2])

    def look_at(self, run: str) -> None:
        self.window.choose_run(run)
        self.show_way(1)

    def use_sampling(self, cell: int = 27) -> None:
        """Watch the samples grow to their end, click a pixel or a code."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.stage.show_pane("SamplingPane")
        pane = self.stage.pane("SamplingPane")
        self.grown()
        QTest.mouseClick(pane.view.canvas, Qt.MouseButton.LeftButton, pos=pane.view.canvas.cell_rect(1, cell).center().toPoint())
        self.stage.wait(lambda: pane.answer is not None, "the pixel's distribution was shown", 30)

    def use_text(self) -> None:
        """Watch a text being written, click one of its characters."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.stage.show_pane("SamplingPane")
        pane = self.stage.pane("SamplingPane")
        self.grown()
        at = pane.view.text.rect_of(0, 40).center().toPoint()
        QTest.mouseClick(pane.view.text.viewport(), Qt.MouseButton.LeftButton, pos=at)
        self.stage.wait(lambda: pane.answer is not None, "the character's distribution was shown", 30)

    def grown(self) -> None:
        pane = self.stage.pane("SamplingPane")
        self.stage.wait(lambda: pane.job is None and pane.node is not None and pane.node.done, "the samples were grown", 120)

    def regrow(self) -> None:
        """Take the third likeliest value at the clicked pixel, and look at the surprise."""
        pane = self.stage.pane("SamplingPane")
        bars = pane.symbol_card.bars
        bars.taken.emit(int(bars.raw.argsort()[-3]))
        self.grown()
        pane.show_page(1)
        pane.view.bits_box.setChecked(True)

    def complete_image(self) -> None:
        pane = self.stage.pane("SamplingPane")
        pane.view.bits_box.setChecked(False)
        self.window.take([str(self.picture_of("3"))])
        self.stage.wait(lambda: pane.completion.read is not None, "the picture was read", 30)
        pane.completing.complete()
        self.grown()

    def use_likelihood(self) -> None:
        """Build the background model, drop two pictures of one's own beside test images, and look at one of them."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.stage.show_pane("LikelihoodPane")
        pane = self.stage.pane("LikelihoodPane")
        self.stage.wait(lambda: pane.page.table.remedy_button("likelihood_ratio") is not None, "a background model was offered", 60)
        QTest.mouseClick(pane.page.table.remedy_button("likelihood_ratio"), Qt.MouseButton.LeftButton)
        self.stage.wait(lambda: not pane.inquiry.building, "the background model was trained", 300)
        pane.use_test_images()
        self.window.take([str(self.picture_of("7")), str(self.picture_of("0"))])
        self.stage.wait(lambda: not self.no_scores(), "the images were scored", 120)

    def compare(self) -> None:
        pane = self.stage.pane("LikelihoodPane")
        pane.set_compare("shapes")
        self.stage.wait(lambda: pane.inquiry.comparison is not None, "the shapes were scored", 120)

    def open_palette(self) -> None:
        self.window.find()
        self.window.finder.field.setText("la")

    # -- what would be wrong -----------------------------------------------------------------------------------------------

    def no_images_of_data(self) -> str:
        return "" if self.window.state.selected_data == "digits" else "the digits were not chosen"

    def no_latent(self) -> str:
        pane = self.stage.pane("LatentPane")
        return "" if pane.decoded_image.decoded is not None and pane.slider_list.sliders else "the latent space did not open"

    def no_samples(self) -> str:
        pane = self.stage.pane("SamplingPane")
        drawn = pane.is_text() or pane.view.canvas.drawn
        return "" if pane.node is not None and pane.node.done and drawn else "no sample was finished"

    def no_scores(self) -> str:
        pane = self.stage.pane("LikelihoodPane")
        entries = pane.docket.entries
        judged = sum(bool(entry.scores) for entry in entries)
        return "" if entries and judged == len(entries) else f"{judged} of {len(entries)} images were scored"

    def no_palette(self) -> str:
        return "" if self.window.finder.isVisible() and self.window.finder.list.count() > 1 else "the palette found nothing"


def line(shot: Shot) -> str:
    """A row of the table: pane, theme, size, file, seconds, what is shown."""
    size = f"{shot.size[0]}×{shot.size[1]}"
    shown = f"FAILED: {shot.complaint}" if shot.complaint else shot.scene.shows
    return f"{shot.scene.pane.removesuffix('Pane'):<11}{shot.theme:<7}{size:<11}{shot.file:<38}{shot.seconds:>6.1f} s  {shown}"
