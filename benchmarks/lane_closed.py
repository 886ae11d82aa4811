"""Training in the app's lane, no pane listening, against the same step in a bare loop."""

from __future__ import annotations

from benchmarks import Row, main
from benchmarks._lane import beside_bare_loop, show_nothing


def measure() -> list[Row]:
    return [beside_bare_loop("training in the app's lane, panes closed", 0.97, show_nothing)]


if __name__ == "__main__":
    main(measure)
