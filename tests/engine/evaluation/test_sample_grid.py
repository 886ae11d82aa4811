"""Samples as a file: the same ones as in the window, drawn with the sampler's own settings, and told in the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import messages as m
from engine import methods
from engine.cli import main
from engine.evaluation.sample_grid import sheet
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

METHOD = '''
"""A sampler with settings of its own: noise, and the class as a grey level, brought towards the mean image step by step."""

from dataclasses import dataclass

import torch
from torch import nn

from engine.config import Training, setting
from engine.method import Frame, Method


@dataclass(frozen=True)
class Config(Training):
    conditional: bool = setting(True, "Know classes.")


@dataclass(frozen=True)
class Blending:
    steps: int = setting(4, "Steps.", low=1, high=100, unit="steps", log=True)
    guidance: float = setting(1.0, "How much.", low=0.0, high=5.0)
    sampler: str = setting("plain", "How.", choices=("plain", "inverted"))


class Blender(Method):
    Config = Config
    SampleSettings = Blending
    title, family, source, summary, sampling = "Blender", "Implicit density · iterative", "", "", "iterative"
    conditional = True

    def __init__(self, config, data):
        super().__init__(config, data)
        self.conditional = config.conditional
        self.mean = nn.Parameter(torch.zeros(data.shape))

    def reset(self, generator):
        nn.init.zeros_(self.mean)

    def loss(self, x, y, context):
        return {"loss": (x - self.mean).square().mean()}

    def sample(self, n, y=None, temperature=1.0, generator=None):
        return self.sample_with(n, y, Blending(), generator)

    def sample_with(self, n, y, settings, generator=None):
        x = torch.rand(n, *self.data.shape, generator=generator)
        level = torch.zeros(n) if y is None else y / 9
        for step in range(settings.steps + 1):
            share = settings.guidance * step / settings.steps / 5
            shown = (1 - share) * x + share * level[:, None, None, None]
            yield Frame(1 - shown if settings.sampler == "inverted" else shown, step, settings.steps)
'''


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of `blender`, unconditional and conditional, of a VAE, a PixelCNN of classes, and a classifier."""
    root = tmp_path_factory.mktemp("runs")
    folder = tmp_path_factory.mktemp("methods")
    (folder / "blender.py").write_text(METHOD, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "__path__", [*methods.__path__, str(folder)])
        methods.all_methods.cache_clear()
        for name, method, settings in (
            ("blender", "blender", {}),
            ("plain", "blender", {"conditional": False}),
            ("vae", "vae", {"network": "mlp", "width": 8, "latent": 4}),
            ("pixels", "pixel_cnn", {"width": 4, "layers": 1, "conditional": True, "levels": 4}),
            ("eye", "classifier", {"width": 8}),
            ("gan", "gan", {"width": 4, "latent": 4}),
            ("diffusion", "diffusion", {"width": 4, "conditional": True}),
            ("energy", "energy", {"width": 4, "langevin_steps": 2, "replay": 64}),
        ):
            list(train(Plan(method, "digits", settings, steps=2, name=name, device="cpu"), root))
        yield root
    methods.all_methods.cache_clear()
    sys.modules.pop("engine.methods.blender", None)


def in_the_window(run: Path, **asked: object) -> np.ndarray:
    """What the Sampling pane ends with, uint8 [4, C, H, W]."""
    *_, last = (e for e in QuerySession().work(m.DrawSamples(job="j", run=str(run), samples=(0, 1, 2, 3), **asked)) if e is not None)  # type: ignore[arg-type]
    assert isinstance(last, (m.SymbolsDrawn, m.FrameDrawn)) and last.final and last.images is not None
    return last.images


@pytest.mark.parametrize(
    ("run", "words", "asked"),
    [
        ("blender", [], {}),
        ("blender", ["--class", "7", "--steps", "9", "--guidance", "2.5"], {"label": 7, "settings": (("steps", 9), ("guidance", 2.5))}),
        ("blender", ["--set", "sampler=inverted", "--set", "steps=3"], {"settings": (("sampler", "inverted"), ("steps", 3))}),
        ("plain", ["--steps", "2"], {"settings": (("steps", 2),)}),
        ("vae", ["--temperature", "0.5"], {"temperature": 0.5}),
        ("vae", ["--decode", "sample"], {"decode": "sample"}),
        ("pixels", ["--temperature", "0.7"], {"temperature": 0.7}),
        ("pixels", ["--class", "3"], {"label": 3}),
        ("pixels", ["--top-k", "2"], {"top_k": 2}),
        ("pixels", ["--top-p", "0.6", "--temperature", "2"], {"top_p": 0.6, "temperature": 2.0}),
        ("gan", ["--truncation", "0.5"], {"settings": (("truncation", 0.5),)}),
        ("diffusion", ["--steps", "3", "--guidance", "2", "--class", "4"], {"label": 4, "settings": (("steps", 3), ("guidance", 2.0))}),
        ("energy", ["--steps", "3"], {"settings": (("steps", 3),)}),
    ],
)
def test_that_the_verb_draws_what_the_window_draws(runs: Path, tmp_path: Path, run: str, words: list[str], asked: dict[str, object]):
    out = tmp_path / "samples.png"
    assert main(["sample", run, "--runs", str(runs), "--n", "4", "--seed", "5", "--out", str(out), *words]) == 0
    with Image.open(out) as image:
        np.testing.assert_array_equal(np.asarray(image), sheet(in_the_window(runs / run, seed=5, **asked)))


@pytest.mark.parametrize("ending", ["gif", "webp", "apng"])
@pytest.mark.parametrize(("run", "frames"), [("diffusion", 4), ("energy", 4)])
def test_that_a_film_shows_the_frames_of_the_window(runs: Path, tmp_path: Path, run: str, frames: int, ending: str):
    out = tmp_path / f"film.{ending}"
    assert main(["sample", run, "--runs", str(runs), "--n", "4", "--seed", "5", "--steps", str(frames), "--out", str(out)]) == 0
    work = m.DrawSamples(job="j", run=str(runs / run), samples=(0, 1, 2, 3), seed=5, settings=(("steps", frames),))
    shown = [event.images for event in QuerySession().work(work) if isinstance(event, m.FrameDrawn)]
    with Image.open(out) as film:
        count = getattr(film, "n_frames", 1)
        assert film.format == {"gif": "GIF", "webp": "WEBP", "apng": "PNG"}[ending] and count == len(shown) > frames - 1
        for place, images in enumerate(shown):
            film.seek(place)
            large = sheet(images)  # type: ignore[arg-type]
            times = film.size[0] // large.shape[1]
            seen = np.asarray(film.convert("RGB"))[::times, ::times, 0].astype(int)
            assert np.abs(seen - large).max() <= (2 if ending == "gif" else 0), place


def test_that_a_film_of_pixels_ends_with_the_samples_and_has_their_recipe(runs: Path, tmp_path: Path):
    film, still = tmp_path / "a.webp", tmp_path / "a.png"
    for out in (film, still):
        assert main(["sample", "pixels", "--runs", str(runs), "--n", "4", "--top-k", "2", "--out", str(out)]) == 0
    with Image.open(film) as moving, Image.open(still) as plain:
        told = json.loads(plain.text["priorama"])  # type: ignore[attr-defined]
        assert json.loads(moving.getexif()[0x010E]) == told and told["top_k"] == 2
        assert moving.n_frames == 1 + 8  # type: ignore[attr-defined]  # digits have 8 rows, and before the first there is none
        moving.seek(moving.n_frames - 1)  # type: ignore[attr-defined]
        times = moving.size[0] // plain.size[0]
        assert np.array_equal(np.asarray(moving.convert("RGB"))[::times, ::times, 0], np.asarray(plain))


def test_that_the_settings_of_the_sampler_are_in_the_answer_and_in_the_picture(runs: Path, tmp_path: Path, capsys):
    out = tmp_path / "samples.png"
    words = ["sample", "blender", "--runs", str(runs), "--n", "4", "--out", str(out), "--json"]
    assert main([*words, "--guidance", "2", "--class", "1"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["sample_settings"] == {"steps": 4, "guidance": 2.0, "sampler": "plain"} and told["class"] == 1
    with Image.open(out) as image:
        recipe = json.loads(image.text["priorama"])  # type: ignore[attr-defined]
    assert recipe["sample_settings"] == told["sample_settings"] and recipe["class"] == 1


def test_that_distances_are_of_samples_drawn_with_the_settings(runs: Path, capsys):
    told = []
    for value in ("0", "5"):
        words = ["eval", "plain", "--runs", str(runs), "--features", "eye", "--samples", "60", "--set", f"guidance={value}", "--json"]
        assert main(words) == 0
        told.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert [one["sample_settings"]["guidance"] for one in told] == [0.0, 5.0] and told[0]["fd"] != told[1]["fd"]
    assert told[0]["fd_real"] == told[1]["fd_real"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["sample", "vae", "--steps", "5"], 2, "“steps” is no setting of VAE’s sampler; it has no settings."),
        (["sample", "pixels", "--guidance", "2"], 2, "“guidance” is no setting of"),
        (
            ["sample", "blender", "--truncation", "0.7"],
            2,
            "is no setting of Blender’s sampler; it has steps, guidance, sampler.",
        ),
        (["sample", "blender", "--steps", "0"], 2, "“0” is no value for steps: a whole number from 1 to 100 steps."),
        (["sample", "blender", "--set", "sampler=best"], 2, "one of plain, inverted"),
        (["sample", "blender", "--temperature", "0.5"], 2, "no temperature; it has steps, guidance, sampler."),
        (["sample", "vae", "--top-k", "3"], 1, "leave out --top-k and --top-p."),
        (["sample", "pixels", "--top-p", "1.5"], 2, "“1.5” is a share above 1"),
        (["sample", "blender", "--steps", "5", "--set", "steps=6"], 2, "--steps 5 and --set steps=6 differ"),
        (["sample", "blender", "--set", "steps"], 2, "has no “=”"),
        (["eval", "vae", "--set", "steps=5"], 2, "--features"),
        (["eval", "vae", "--features", "eye", "--set", "steps=5"], 2, "“steps” is no setting of VAE’s sampler; it has no settings."),
    ],
)
def test_that_a_setting_the_sampler_has_not_is_refused_in_one_sentence(
    runs: Path, tmp_path: Path, capsys, words: list[str], code: int, says: str
):
    verb, run, *more = words
    out = ["--out", str(tmp_path / "a.png")] if verb == "sample" else []
    assert main([verb, run, "--runs", str(runs), *out, *more]) == code
    said = capsys.readouterr().err
    assert says in said and len(said.strip().splitlines()) == 1, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("run", "name", "says"),
    [
        ("vae", "a.gif", "VAE makes no film of its samples; name a file that ends in .png."),
        ("gan", "a.webp", "makes no film of its samples"),
        ("blender", "a.jpg", "written as .png, or as films .gif, .webp or .apng, not as a.jpg"),
    ],
)
def test_that_a_file_is_never_written_under_the_name_of_another_kind(runs: Path, tmp_path: Path, capsys, run: str, name: str, says: str):
    assert main(["sample", run, "--runs", str(runs), "--out", str(tmp_path / name)]) == 1
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())
