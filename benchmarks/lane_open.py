"""Training in the app's lane with Curves and Latent open and nobody touching them, against the same step in a bare loop."""

from __future__ import annotations

from benchmarks import Row, main
from benchmarks._lane import beside_bare_loop, show_curves_and_latent


def measure() -> list[Row]:
    return [beside_bare_loop("training with Curves and Latent open", 0.90, show_curves_and_latent)]


if __name__ == "__main__":
    main(measure)
