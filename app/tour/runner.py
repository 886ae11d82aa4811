"""The tour: the real window, offscreen, trains on built-in data; every pane is visited, used and photographed in both themes.

`priorama tour --out DIR` writes the pictures and prints what each shows; it fails when a pane did, or when Qt complained.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from app.tour.density_scenes import DensityScenes
from app.tour.feature_scenes import FeatureScenes
from app.tour.guide import Tour
from app.tour.measure_scenes import MeasureScenes
from app.tour.out_folder import why_not_writable
from app.tour.own_picture_scenes import OwnPictureScenes
from app.tour.scene import Scene
from app.tour.scenes import WindowScenes


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
    refusal = why_not_writable(options.out)
    if refusal:
        print(refusal, file=sys.stderr)
        return 1
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before Qt is imported
    from app.tour.window_driver import TooLate, WindowDriver
    from engine.worker.engine import Engine

    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="priorama-tour-") as folder, WindowDriver(Engine(Path(folder) / "runs")) as driver:
        tour = Tour(driver, options.out, Path(folder))
        try:
            walk(tour)
        except TooLate as reason:
            tour.failures.append(str(reason))
        tour.failures += driver.faults
        ended = driver.close()
    if not ended:
        tour.failures.append("The engine did not end within its time when the window was closed.")
    failed = [*tour.failures, *(f"{shot.file}: {shot.complaint}" for shot in tour.shots if shot.complaint)]
    print(f"{len(tour.shots)} pictures in {options.out}, {time.perf_counter() - started:.0f} s")
    for reason in failed:
        print(reason, file=sys.stderr)
    return 1 if failed else 0


def walk(tour: Tour) -> None:
    """Every scene in its order; then the panes that none of them has visited, and what lies over the panes."""
    driver, window = tour.driver, tour.window
    driver.wait(lambda: window.state.engine is not None and bool(window.state.data), "the engine was ready", 120)
    first = WindowScenes(tour)
    for scenes in (first, DensityScenes(tour), MeasureScenes(tour), FeatureScenes(tour), OwnPictureScenes(tour)):
        for scene in scenes.scenes():
            tour.visit(scene)
    window.choose_run(first.vae)
    for name, dock in window.docks.docks.items():
        if name not in tour.visited:
            tour.visit(Scene(name.removesuffix("Pane").lower(), name, dock.pane.about, tour.show(name)))
    for scene in first.last_scenes():
        tour.visit(scene)
