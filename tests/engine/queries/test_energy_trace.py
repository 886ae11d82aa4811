"""The energies that go with the frames of Langevin chains are those of the images of the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine import messages as m
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan


def test_that_every_frame_of_a_chain_tells_the_energy_of_its_own_image(tmp_path: Path):
    [*_] = train(Plan("energy", "digits", {"batch_size": 8, "width": 8}, steps=2, name="run"), tmp_path)
    session = QuerySession()
    work = m.DrawSamples(job="j", run=str(tmp_path / "run"), seed=1, samples=(0, 2), settings=(("steps", 4),))
    _, *frames = (event for event in session.work(work) if event is not None)
    method = session.model(work.run, None).method
    energies = []
    for frame in frames:
        assert isinstance(frame, m.FrameDrawn) and frame.energy is not None and frame.energy.shape == (2,)
        with torch.inference_mode():
            expected = method.network(torch.from_numpy(frame.images).float() / 255)  # type: ignore[operator]
        np.testing.assert_allclose(frame.energy, expected.numpy(), atol=0.02, rtol=0.02)  # images are rounded to 256 levels
        energies.append(frame.energy)
    assert len(energies) == 4 and np.ptp(np.stack(energies), axis=0).min() > 0
