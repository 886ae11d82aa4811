"""The process that lays out UMAPs: reads graphs from stdin, writes how far it is and then the places to stdout. The program's side
is `process.py`.

It knows neither torch nor Qt, and ends as soon as stdin does: with the program, however that ended.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from types import ModuleType
from typing import IO, Any

from engine.data.frames import receive, send

TELL_SECONDS = 0.1
NEGATIVES = 5  # points that each point is pushed away from, for each that it is drawn to; umap-learn's default


def main() -> None:
    """Serve layouts over standard input and output until the program closes them."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not reach the answers
    requests: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()
    threading.Thread(target=_read_requests, args=(sys.stdin.buffer, requests), name="requests", daemon=True).start()
    layouts = _layouts()
    send(answers, {"ready": True})
    while True:
        head, payload = requests.get()
        places = _lay_out(layouts, head, payload, answers)
        send(answers, {"done": True}, places)


def _read_requests(stream: IO[bytes], requests: SimpleQueue[tuple[dict[str, Any], bytes]]) -> None:
    """Also during a long epoch or import: without the program there is nobody to compute for."""
    while (frame := receive(stream)) is not None:
        requests.put(frame)
    os._exit(0)


def _layouts() -> ModuleType:
    """umap-learn's own layout, compiled once and kept in numba's cache.

    Importing the whole package would compile its search for neighbours, which is not used here: 17 s more at the first start.
    So its modules are imported from their folder, without what its __init__ imports.
    """
    import numba

    spec = importlib.util.find_spec("umap")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("umap-learn is not installed")
    package = ModuleType("umap")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["umap"] = package
    layouts: Any = importlib.import_module("umap.layouts")
    one_epoch = layouts._optimize_layout_euclidean_single_epoch
    layouts._nb_optimize_layout_euclidean_single_epoch = numba.njit(one_epoch, fastmath=True, cache=True)
    return layouts


def _lay_out(layouts: Any, head: dict[str, Any], payload: bytes, answers: IO[bytes]) -> Any:
    """Places float32 [N, 2]: the stochastic gradient descent of umap-learn, by one thread, so that a seed decides every bit."""
    import numpy as np

    count, edges, epochs = head["count"], head["edges"], head["epochs"]
    ends = np.frombuffer(payload, np.int32, 2 * edges).reshape(2, edges)
    weight = np.frombuffer(payload, np.float32, edges, offset=8 * edges)
    places = np.frombuffer(payload, np.float32, 2 * count, offset=12 * edges).reshape(count, 2).copy()
    drawn = weight >= weight.max() / epochs  # a weaker edge would not be drawn once
    state = np.random.default_rng(head["seed"]).integers(-(2**31) + 1, 2**31 - 2, 3)

    def counted(steps: range, **_options: Any) -> Iterator[int]:
        """In place of umap-learn's progress bar."""
        sent_at = time.monotonic()
        for step in steps:
            yield step
            if time.monotonic() - sent_at >= TELL_SECONDS:
                sent_at = time.monotonic()
                send(answers, {"epochs": step + 1})

    layouts.tqdm = counted
    layouts.optimize_layout_euclidean(
        places,
        places,
        ends[0][drawn],
        ends[1][drawn],
        epochs,
        count,
        epochs / (epochs * (weight[drawn] / weight.max())).astype(np.float64),  # epochs between two draws of an edge
        head["a"],
        head["b"],
        state,
        gamma=1.0,
        initial_alpha=head["alpha"],
        negative_sample_rate=NEGATIVES,
        parallel=False,
        move_other=True,
    )
    return places


if __name__ == "__main__":
    main()
