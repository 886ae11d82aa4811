"""The demo: trains a VAE and a PixelCNN on digits, scores strangers, and makes a page of pictures that explains them.

Every number comes from the headless verbs, the pictures of panes from the real window without a screen. Without Qt the page
shows what the verbs alone can draw. `priorama demo [--out DIR]`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.tour.demo_page import DemoPicture, Facts, write_page
from app.tour.guide import draw_sign
from app.tour.out_folder import why_not_writable
from app.tour.scene import THEMES

Verb = Callable[[list[str]], int]  # a headless verb: its words -> exit code

SMALL = ("latent=16", "width=32", "encoder_blocks=1")  # of the VAE: what the start page trains with one click
STEPS = {"vae": 500, "pixel_cnn": 600}  # the VAE would learn its 1,455 images by heart in more
SETTINGS = {"vae": SMALL, "pixel_cnn": ("width=32", "layers=6", "levels=16")}
SAMPLES = 36
STRANGERS = {"seven": "7", "zero": "0", "letter": "K", "ampersand": "&", "nothing": ""}  # file -> what is drawn; empty: a dark page
DATA_SETS = ("shapes", "photo-patches")  # strangers by the hundred
LIMIT = 180  # images on each side of a comparison: all test images of the digits
PATIENCE = 240.0  # seconds for one picture on a busy machine


class DemoFailed(Exception):
    """One sentence: a verb did not do its part, and has said why."""


def main(arguments: list[str], run_verb: Verb, steps: dict[str, int] | None = None) -> int:
    """Returns the exit code: 0 good, 1 failed, 2 wrong usage. `steps` of either training are `STEPS` by default."""
    parser = argparse.ArgumentParser(prog="priorama demo", description="Train two small models and explain them in one page of pictures.")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="where the page and its pictures go; ./demo")
    try:
        out: Path = parser.parse_args(arguments).out
    except SystemExit as end:
        return int(end.code or 0)
    refusal = why_not_writable(out)
    if refusal:
        print(refusal, file=sys.stderr)
        return 1
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is: networks this small only wait for a second thread
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        with tempfile.TemporaryDirectory(prefix="priorama-demo-") as folder:
            page = Demo(out, Path(folder), run_verb, steps or STEPS).run()
    except DemoFailed as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"Open {page} in a browser. The full tour of every pane takes longer: python3 run.py tour --out tour")
    return 0


class Demo:
    """`run` does everything; `facts` holds what the verbs measured, by the name of the verb and of the method."""

    def __init__(self, out: Path, scratch: Path, run_verb: Verb, steps: dict[str, int]) -> None:
        self.out, self.runs, self.run_verb, self.steps = out, scratch / "runs", run_verb, steps
        self.facts: Facts = {"steps": dict(steps)}
        self.pictures: list[DemoPicture] = []
        self.began = time.perf_counter()
        self.done = 0

    def run(self) -> Path:
        """Returns the page. Raises: DemoFailed."""
        for method, title in (("vae", "VAE"), ("pixel_cnn", "PixelCNN")):
            self.tell(f"training a {title} on digits, {self.steps[method]} steps")
            settings = [word for setting in SETTINGS[method] for word in ("--set", setting)]
            words = ["train", method, "--data", "digits", "--steps", str(self.steps[method]), "--name", method, *settings]
            self.measure("train", method, words)
            self.measure("eval", method, ["eval", method])
            file = f"samples-{method}.png"
            self.measure("sample", method, ["sample", method, "--n", str(SAMPLES), "--out", str(self.out / file)])
            self.pictures.append(DemoPicture(f"samples-{method}", (file,), pixelated=True))
        self.tell("comparing digits with strangers")
        self.measure("ood", "pixel_cnn", ["ood", "pixel_cnn", "--out", *DATA_SETS, "--limit", str(LIMIT)])
        files = self.strangers()
        self.measure("score", "pixel_cnn", ["score", "pixel_cnn", *map(str, files)])
        try:
            import PySide6.QtWidgets  # noqa: F401
        except ImportError as error:
            self.facts["no_window"] = f"Qt is missing here ({error}), so the pictures of the window are left out."
        else:
            self.photograph(files)
        self.facts["seconds"] = round(time.perf_counter() - self.began, 1)
        self.facts["cpu_seconds"] = round(time.process_time(), 1)
        (self.out / "demo.json").write_text(json.dumps(self.facts, indent=1), encoding="utf-8")
        self.tell("writing the page")
        return write_page(self.out, self.facts, self.pictures)

    def tell(self, what: str) -> None:
        self.done += 1
        print(f"{time.perf_counter() - self.began:5.0f} s  {self.done}. {what} …", flush=True)

    # -- what is measured ------------------------------------------------------------------------------------------------

    def measure(self, verb: str, method: str, words: list[str]) -> None:
        self.facts.setdefault(verb, {})[method] = self.verb(words)

    def verb(self, words: list[str]) -> dict[str, Any]:
        """What a verb says with --json. Raises: DemoFailed."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = self.run_verb([*words, "--runs", str(self.runs), "--json"])
        if code:
            raise DemoFailed(f"The demo stops here, because “{words[0]}” failed.")
        told = json.loads(said.getvalue().strip().splitlines()[-1])
        if told.get("status", "done") != "done":  # a training that was stopped by hand ends well, but half-trained
            raise DemoFailed(f"The demo stops here, because “{words[0]}” was stopped before its end.")
        return told

    def strangers(self) -> list[Path]:
        """Pictures to be scored: drawn by Qt; where there is none, what the models drew themselves."""
        try:
            from app.tour.window_driver import application
        except ImportError:
            return [self.out / name for picture in self.pictures for name in picture.files]
        application()  # fonts come with it
        return [draw_sign(text, self.out / f"stranger-{name}.png", paper="#000000") for name, text in STRANGERS.items()]

    # -- what is photographed ----------------------------------------------------------------------------------------------

    def photograph(self, files: list[Path]) -> None:
        """Pictures of the window's panes, in both themes. Raises: DemoFailed."""
        from app.tour.window_driver import TooLate, WindowDriver
        from engine.worker.engine import Engine

        self.tell("opening the window, without a screen")
        with WindowDriver(Engine(self.runs), theme=THEMES[0]) as driver:
            try:
                driver.wait(
                    lambda: len(driver.window.state.runs) == 2 and driver.window.state.engine is not None, "the runs were listed", 120
                )
                self.walk(driver, [str(file) for file in files])
            except TooLate as reason:
                raise DemoFailed(str(reason)) from reason
            faults = driver.faults
        if faults:
            raise DemoFailed(faults[0].splitlines()[0])

    def walk(self, driver: Any, strangers: list[str]) -> None:
        window = driver.window
        vae, pixels = str(self.runs / "vae"), str(self.runs / "pixel_cnn")
        window.centre.show_data("digits")
        self.shoot(driver, "data")
        window.choose_run(vae)
        self.shoot(driver, "curves", "CurvesPane")
        driver.show_pane("LatentPane")
        self.rest(driver)
        for file in strangers[:2]:
            window.take([file])
            self.rest(driver)
        self.shoot(driver, "latent", "LatentPane")
        pane = driver.pane("LatentPane")
        pane.show_tab(1)
        self.shoot(driver, "prior")
        pane.show_tab(2)
        self.shoot(driver, "plane")
        pane.show_tab(0)
        steps = [checkpoint.step for checkpoint in window.state.checkpoints]
        window.state.set_cursor(steps[len(steps) // 2])
        self.facts["early_step"] = steps[len(steps) // 2]
        self.shoot(driver, "early")
        window.choose_run(pixels)
        self.shoot(driver, "sampling", "SamplingPane")
        driver.show_pane("LikelihoodPane")
        self.rest(driver)
        window.take(strangers)
        self.shoot(driver, "likelihood")

    def shoot(self, driver: Any, name: str, pane: str = "") -> None:
        """One picture in each theme, after everything has come to rest; the theme stays as it is then."""
        self.tell(f"picture of {name}")
        if pane:
            driver.show_pane(pane)
        self.rest(driver)
        files = {}
        now = driver.window.state.theme
        for theme in (now, *(other for other in THEMES if other != now)):
            driver.window.set_theme(theme)
            driver.settle(PATIENCE)
            files[theme] = f"{name}-{theme}.png"
            driver.window.message_bar.dismiss()
            driver.photograph(self.out / files[theme])
        self.pictures.append(DemoPicture(name, tuple(files[theme] for theme in THEMES)))

    @staticmethod
    def rest(driver: Any) -> None:
        """Wait until no job is under way, every question is answered, and nothing new began for a while."""
        for _ in range(2):
            driver.wait(
                lambda: not driver.window.state.jobs and driver.window.bridge.idle, "the work of the panes came to an end", PATIENCE
            )
            driver.settle(PATIENCE)
