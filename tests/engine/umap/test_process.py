"""The process that lays out UMAPs: the same bits for the same seed, and its end in every case."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from engine.detectors.base import finish
from engine.umap import projection
from engine.umap.process import NoLayout, UmapProcess, compiled_folder

ROOT = Path(__file__).resolve().parents[3]
CURVE = projection.curve(0.1)
FOREVER = 10_000_000  # epochs


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(autouse=True)
def compile_once(compiled, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", compiled)


@pytest.fixture(scope="module")
def process(compiled):
    """One for all tests that let it live."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", compiled)
        process = UmapProcess()
        process.start()
    yield process
    process.close()


def groups(count: int = 150) -> tuple[torch.Tensor, projection.Graph, np.ndarray]:
    """Features in four groups, their graph, and where a fresh layout begins."""
    generator = torch.Generator().manual_seed(0)
    features = (4 * torch.randn(4, 8, generator=generator))[torch.arange(count) % 4] + torch.randn(count, 8, generator=generator)
    places, distances = finish(projection.neighbours(features, 14))
    graph = projection.graph(places.numpy(), distances.numpy())
    return features, graph, projection.beginning(projection.pca(features).project(features.numpy()), 0)


def lay_out(process: UmapProcess, graph, begin, epochs=100, alpha=1.0, seed=0) -> np.ndarray:
    return finish(process.lay_out(graph, begin, CURVE, epochs, alpha, seed))


def until_it_computes(process: UmapProcess, graph, begin):
    """A layout without end, in the middle of its epochs."""
    layout = process.lay_out(graph, begin, CURVE, FOREVER, 1.0, 0)
    while next(layout) == 0:
        pass
    return layout


def gone(pid: int) -> bool:
    """Ended and reaped: not even a zombie."""
    return not psutil.pid_exists(pid)


def test_that_the_same_seed_gives_the_same_bits_and_another_seed_another_map(process):
    _, graph, begin = groups()
    first = lay_out(process, graph, begin)
    assert first.dtype == np.float32 and first.shape == (150, 2) and np.isfinite(first).all()
    assert np.array_equal(first, lay_out(process, graph, begin))
    assert not np.array_equal(first, lay_out(process, graph, begin, seed=1))


def test_that_a_layout_shows_the_neighbours_better_than_where_it_began(process):
    features, graph, begin = groups()

    def trust(places):
        return finish(projection.trustworthiness(features, projection.neighbours_on_map(places, 10), np.arange(150)))

    found = trust(lay_out(process, graph, begin, 300))
    assert found > 0.93 and found > trust(begin) + 0.02


def test_that_a_few_epochs_from_a_former_map_stay_nearer_to_it_than_a_fresh_one(process):
    _, graph, begin = groups()
    former = lay_out(process, graph, begin, 300, seed=5)
    warm = projection.align(lay_out(process, graph, former, projection.epochs_for(150, True), projection.WARM_ALPHA), former)
    fresh = projection.align(lay_out(process, graph, begin, 300), former)
    assert np.linalg.norm(warm - former, axis=1).mean() < 0.5 * np.linalg.norm(fresh - former, axis=1).mean()


def test_that_the_process_is_kept_and_tells_its_epochs(process):
    _, graph, begin = groups()
    pid = process.pid
    layout = process.lay_out(graph, begin, CURVE, 4000, 1.0, 0)
    told = []
    while True:
        try:
            told.append(next(layout))
        except StopIteration:
            break
    assert process.pid == pid
    assert told == sorted(told) and 0 < told[-1] <= 4000


def test_that_stopping_in_the_middle_ends_the_process_at_once_and_the_next_map_starts_another():
    _, graph, begin = groups()
    process = UmapProcess()
    layout = until_it_computes(process, graph, begin)
    pid = process.pid
    assert pid is not None
    started = time.perf_counter()
    layout.close()
    assert gone(pid) and process.pid is None
    assert time.perf_counter() - started < 1
    assert lay_out(process, graph, begin, 10).shape == (150, 2)
    process.close()


def test_that_stopping_while_it_still_imports_ends_it_too():
    _, graph, begin = groups()
    process, before = UmapProcess(), set(threading.enumerate())
    layout = process.lay_out(graph, begin, CURVE, 10, 1.0, 0)
    next(layout)
    pid = process.pid
    layout.close()
    assert pid is not None and gone(pid)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_that_a_process_that_dies_is_one_sentence():
    _, graph, begin = groups()
    process = UmapProcess()
    layout = until_it_computes(process, graph, begin)
    psutil.Process(process.pid).kill()
    with pytest.raises(NoLayout, match=r"ended by itself.*draw fewer images\.$"):
        finish(layout)
    assert process.pid is None


def test_that_a_system_that_starts_no_more_processes_is_said_in_a_sentence(monkeypatch):
    def refused(*_arguments, **_more):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("engine.common.helper_process.subprocess.Popen", refused)
    with pytest.raises(NoLayout, match=r"cannot be started \(Too many open files\); close other programs"):
        UmapProcess().start()


def test_that_a_program_that_cannot_start_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    _, graph, begin = groups()
    with pytest.raises(NoLayout, match="does not start"):
        lay_out(UmapProcess(), graph, begin, 10)


def test_that_it_ends_with_the_object_and_with_the_thread_that_owned_it():
    process = UmapProcess()
    process.start()
    pid = process.pid
    del process
    gc.collect()
    assert pid is not None and gone(pid)
    own, seen = threading.local(), []

    def lane() -> None:
        own.process = UmapProcess()
        own.process.start()
        seen.append(own.process.pid)

    thread = threading.Thread(target=lane)
    thread.start()
    thread.join()
    assert gone(seen[0])


@pytest.mark.parametrize("killed", [False, True])
def test_that_it_ends_with_the_program_also_when_that_is_killed(killed, tmp_path):
    script = """
import sys
from engine.umap.process import UmapProcess
process = UmapProcess()
process.start()
print(process.pid, flush=True)
sys.stdin.read()
"""
    program = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert program.stdin is not None and program.stdout is not None
    pid = int(program.stdout.readline())
    child = psutil.Process(pid)
    program.kill() if killed else program.stdin.close()
    program.wait()
    program.stdout.close()
    program.stdin.close()
    until = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.02)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE  # an orphan is reaped by the system


def test_that_the_process_knows_neither_torch_nor_qt():
    script = (
        "import sys, engine.umap.child as child\nchild._layouts()\n"
        "print([name for name in ('torch', 'PySide6', 'pynndescent', 'tensorflow') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_that_compiled_code_is_kept_where_one_may_write(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("PRIORAMA_CACHE", str(tmp_path / "cache"))
    assert compiled_folder() == tmp_path / "cache" / "compiled" and compiled_folder().is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRIORAMA_CACHE", str(tmp_path / "file"))
    assert compiled_folder().is_dir() and tmp_path not in compiled_folder().parents


@pytest.mark.slow
@pytest.mark.timeout(600)  # where umap-learn is new, its first import compiles for half a minute
def test_that_graph_and_layout_are_those_of_umap_learn_itself(process, tmp_path):
    """Its own functions, in a process of their own: the same numbers but for rounding in the graph, the same bits in the layout."""
    features, graph, begin = groups()
    np.savez(tmp_path / "asked.npz", features=features.numpy(), begin=begin, **vars(graph))
    script = """
import sys, numpy as np, scipy.sparse
from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding
folder = sys.argv[1]
asked = np.load(folder + "/asked.npz")
x = asked["features"].astype(np.float64)
apart = np.linalg.norm(x[:, None] - x, axis=2)
order = apart.argsort(1, kind="stable")[:, :15]
near = np.take_along_axis(apart, order, 1).astype(np.float32)
theirs, _, _ = fuzzy_simplicial_set(x, 15, None, "euclidean", {}, order.astype(np.int32), near)

class State:
    def randint(self, low, high, size):
        return np.random.default_rng(0).integers(low, high, size)

ours = scipy.sparse.coo_matrix((asked["weight"], (asked["head"], asked["tail"])), theirs.shape)
begin = asked["begin"]
for _ in range(9):  # what it does to where a layout begins changes nothing any more
    begin = (10.0 * (begin - begin.min(0)) / (begin.max(0) - begin.min(0))).astype(np.float32)
a, b = find_ab_params(1.0, 0.1)
places, _ = simplicial_set_embedding(None, ours, 2, 1.0, a, b, 1.0, 5, 50, begin, State(), "euclidean", {}, False, {}, False)
np.savez(folder + "/told.npz", weights=theirs.toarray(), begin=begin, places=places)
"""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(tmp_path)], check=True, env=environment)
    with np.load(tmp_path / "told.npz") as told:
        weights = np.zeros((150, 150))
        weights[graph.head, graph.tail] = graph.weight
        assert weights == pytest.approx(told["weights"], abs=1e-4)
        assert np.array_equal(lay_out(process, graph, told["begin"], 50), told["places"])
