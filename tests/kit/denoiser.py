"""An iterative sampler of paper: whole digits come out of noise in a few steps, every step a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine import messages as m
from tests.kit.panes import digits

STEPS = 10
NOTE = "All pixels get better together."


def frame(seed: int, samples: tuple[int, ...], number: int, steps: int = STEPS) -> np.ndarray:
    """The samples after `number` of `steps` steps: uint8 [n, 1, 8, 8], from noise to a digit of the data."""
    share = number / steps
    noise = np.stack([np.random.default_rng((seed, index)).integers(0, 256, (1, 8, 8)) for index in samples])
    clean = np.stack([digits()[0][(7 * seed + index) % 1797] for index in samples])
    return ((1 - share) * noise + share * clean).astype(np.uint8)


def denoise(most: int = STEPS, words: tuple[str, ...] = (), classes: tuple[str, ...] = ()) -> Callable[[Any, m.DrawSamples], list[m.Event]]:
    """What the engine sends when such a sampler is asked, to be put into the kit's `WORKS`; its settings are `steps` and `brightness`.

    `words`: those of its captions; `classes`: sample k of seed s is of class (s + k) mod K where none is asked for.
    """

    def answer(engine: Any, work: m.DrawSamples) -> list[m.Event]:
        step = 1024 if work.step is None else work.step
        asked = dict(work.settings)
        steps, brightness = int(asked.get("steps", most)), float(asked.get("brightness", 1.0))
        any_of = [(work.seed + index) % len(classes) for index in work.samples] if classes else []
        labels = tuple(any_of if work.label is None else [work.label] * len(work.samples)) if classes else ()
        began = m.SamplingBegan(work.job, work.run, step, "steps", 0, 1, 1, 1, 0, (), classes, labels, 0, NOTE, steps, words)
        frames = [
            m.FrameDrawn(
                work.job,
                work.run,
                step,
                number,
                steps,
                (brightness * frame(work.seed, work.samples, number, steps)).astype(np.uint8),
                40.0,
                number == steps,
                f"σ {(steps - number) / 2:.2f}" if asked else "",
            )
            for number in range(steps + 1)
        ]
        return [began, *frames]

    return answer
