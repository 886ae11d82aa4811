"""The tour: wrong usage, what counts as a failed picture, and (slow) the whole walk through the real window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.tour.guide import Tour
from app.tour.runner import main
from app.tour.scene import SIZES, THEMES, Scene, line

ROOT = Path(__file__).resolve().parents[3]


class PaperDriver:
    """Takes pictures of nothing: `colours` says how much there is to see."""

    def __init__(self, colours: int, cut_off: str = "") -> None:
        self.colours = colours
        self.cut_off = lambda: cut_off
        self.done: list[object] = []
        self.window = SimpleNamespace(resize=lambda *size: self.done.append(size), set_theme=self.done.append)

    def settle(self) -> None:
        self.done.append("settled")

    def photograph(self, path: Path) -> tuple[int, int]:
        self.done.append(path.name)
        return self.colours, 1000


@pytest.mark.parametrize("arguments", [[], ["--out"], ["--to", "x"], ["--out", "x", "y"]])
def test_that_wrong_usage_ends_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err == "The tour needs a folder for its pictures and nothing else: priorama tour --out DIR.\n"


def test_that_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["--out", str(tmp_path / "file" / "pictures")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "choose another folder with --out" in said


def test_that_a_scene_is_shown_in_every_size_and_theme_after_it_came_to_rest(tmp_path, capsys):
    driver = PaperDriver(colours=500)
    tour = Tour(driver, tmp_path, tmp_path)
    tour.visit(Scene("curves", "CurvesPane", "the loss", lambda: driver.done.append("prepared")))
    assert driver.done[:4] == ["prepared", (1280, 800), "dark", "settled"]
    assert [shot.file for shot in tour.shots] == [f"curves-{theme}-{w}x{h}.png" for w, h in SIZES for theme in THEMES]
    assert not any(shot.complaint for shot in tour.shots)
    assert "Curves" in capsys.readouterr().out


def test_that_a_nearly_empty_picture_fails(tmp_path):
    tour = Tour(PaperDriver(colours=3), tmp_path, tmp_path)
    tour.visit(Scene("curves", "CurvesPane", "the loss", lambda: None))
    assert all("FAILED: next to nothing is to be seen" in line(shot) for shot in tour.shots)


def test_that_a_scene_that_complains_fails(tmp_path):
    tour = Tour(PaperDriver(colours=500), tmp_path, tmp_path)
    tour.visit(Scene("latent", "LatentPane", "sliders", lambda: None, lambda: "the latent space did not open"))
    assert all(shot.complaint == "the latent space did not open" for shot in tour.shots)


def test_that_a_picture_with_something_cut_off_fails(tmp_path):
    tour = Tour(PaperDriver(colours=500, cut_off="“Settings” is cut off by 15 px at the right"), tmp_path, tmp_path)
    tour.visit(Scene("new-run", "New run", "the form", lambda: None))
    assert all("FAILED: “Settings” is cut off" in line(shot) for shot in tour.shots)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_that_the_whole_tour_succeeds(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", "tour", "--out", str(tmp_path / "tour")]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1780)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    pictures = list((tmp_path / "tour").glob("*.png"))
    assert len(pictures) >= 40
    for pane in ("start", "data", "curves", "latent", "views", "embedding", "probe"):
        assert (tmp_path / "tour" / f"{pane}-light-1920x1080.png").exists()
