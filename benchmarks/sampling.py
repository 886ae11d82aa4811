"""An image of 784 pixels written symbol by symbol at batch 1: with the key/value cache, against the same net without one.

The peer runs the whole network over all pixels so far for every new one, and no more than those. Ours writes the whole
image; the peer is timed at places spread evenly over it (its cost rises with the place), and scaled to all 784.
Both sides run on one thread, which is what the app's sampling has.
"""

from __future__ import annotations

import torch

from benchmarks import Row, interleave, main, seconds_of
from engine.bases.autoregressive import Autoregressive, pick
from engine.config import make_config
from engine.method import DataSpec, build
from engine.methods import method_named

PIXELS = 784
EVERY = 28  # the peer is asked at each 28th place, from the middle of the first 28 on: one place in every row
ROUNDS = 5


def measure() -> list[Row]:
    torch.set_num_threads(1)  # as the lane that samples has it
    kind = method_named("pixel_transformer")
    method = build(kind, make_config(kind.Config, {}), DataSpec((1, 28, 28)), seed=0).eval().requires_grad_(False)
    assert isinstance(method, Autoregressive) and method.length == PIXELS
    noise = torch.rand(PIXELS, 1, generator=torch.Generator().manual_seed(0))
    written = torch.empty(1, 0, dtype=torch.int64)
    places = range(EVERY // 2, PIXELS, EVERY)
    told: dict[str, torch.Tensor] = {}

    def ours() -> None:
        nonlocal written
        writer, symbols = method.writer(1), []
        for place in range(PIXELS):
            log_probs = writer.log_probs()
            symbols.append(pick(log_probs, noise[place]))
            writer.write(symbols[-1])
            if place == places[-1]:
                told["ours"] = log_probs
        written = torch.stack(symbols, 1)

    def peer() -> None:
        for place in places:
            writer = method.writer(1, prefix=written[:, :place], cached=False)
            told["peer"] = writer.log_probs()
            pick(told["peer"], noise[place])

    with torch.inference_mode():
        ours()
        peer()
        assert torch.allclose(told["ours"], told["peer"], atol=1e-4), "the two ways tell different distributions"
        a, b, ratio = interleave(lambda: seconds_of(ours), lambda: seconds_of(peer) * PIXELS / len(places), ROUNDS)
    return [
        Row(
            "sampling 784 pixels, transformer, batch 1",
            a,
            "s",
            "the same net without cache (each 28th pixel)",
            b,
            1 / ratio,
            "≥ 30",
            1 / ratio >= 30,
        ),
        Row("the same in symbols", PIXELS / a, "tokens/s", "without cache", PIXELS / b, None, "none", True),
    ]


if __name__ == "__main__":
    main(measure)
