"""Samples of a model of captions: the same in the window and for the verb, and what stands at a pixel depends on the caption."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as m
from engine.config import make_config
from engine.data.captions import encode_captions
from engine.evaluation.sample_grid import sample_file
from engine.method import DataSpec, build
from engine.methods import method_named
from engine.queries.autoregressive_sampling import CannotSample
from engine.queries.sampling import symbol_distribution
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

WORDS = ("a", "blue", "red", "star")


def last_images(work: m.DrawSamples) -> np.ndarray:
    *_, frame = (event for event in QuerySession().work(work) if event is not None)
    assert isinstance(frame, m.FrameDrawn)
    return frame.images


def test_that_window_and_verb_draw_the_same_samples_of_a_caption(tmp_path: Path):
    from PIL import Image

    settings = {"width": 4, "batch_size": 8, "conditional": True, "condition": "caption"}
    [*_] = train(Plan("diffusion", "shapes:60", settings, steps=2, name="run"), tmp_path)
    run, out = tmp_path / "run", tmp_path / "out.png"
    drawn = {}
    for caption in ("", "a small red star at the top left"):
        sample_file(run, out, 1, seed=3, caption=caption, settings={"steps": "3"})
        with Image.open(out) as image:
            verb = np.asarray(image.convert("RGB"))
        seen = last_images(m.DrawSamples(job="j", run=str(run), seed=3, caption=caption, settings=(("steps", 3),)))[0]
        top, left = ((side - 32) // 2 for side in verb.shape[:2])
        np.testing.assert_array_equal(verb[top : top + 32, left : left + 32], seen.transpose(1, 2, 0))
        drawn[caption] = seen
    assert len({image.tobytes() for image in drawn.values()}) == 2


def test_that_a_symbols_distribution_is_that_of_the_caption():
    kind = method_named("pixel_transformer")
    settings = {"width": 8, "layers": 1, "heads": 2, "conditional": True, "condition": "caption"}
    method = build(kind, make_config(kind.Config, settings), DataSpec((3, 8, 8), ("x", "y"), words=WORDS), seed=0).eval()
    for parameter in method.parameters():  # what begins at zero says nothing yet
        torch.nn.init.normal_(parameter, 0, 0.3, generator=torch.Generator().manual_seed(1))
    session: Any = SimpleNamespace(model=lambda run, step: SimpleNamespace(method=method, spec=method.data, step=0))
    tokens = np.arange(7)

    def raw(caption: str) -> np.ndarray:
        with torch.inference_mode():
            return symbol_distribution(session, m.SymbolDistribution(stamp=0, channel="", run="r", tokens=tokens, caption=caption)).raw

    full = torch.zeros(1, method.length, dtype=torch.long)  # type: ignore[arg-type]
    full[0, :7] = torch.from_numpy(tokens)
    for caption in ("a red star", "a blue star"):
        y = torch.from_numpy(encode_captions([caption], WORDS))
        full[0, 7] = 5
        with torch.inference_mode():
            expected = method.log_probs(full, y)[0, 7].exp()  # type: ignore[operator]
        assert raw(caption)[5] == pytest.approx(float(expected), rel=1e-4)
    assert np.abs(raw("a red star") / raw("") - 1).max() > 1e-3
    with pytest.raises(CannotSample, match="“green” is in no caption"):
        raw("a green star")
