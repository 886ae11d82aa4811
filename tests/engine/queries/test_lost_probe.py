"""A run whose fixed images are lost or damaged: everything else answers, and one sentence says what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine.data import open_data
from engine.queries.session import QuerySession
from engine.storage import atomic_io
from engine.storage.manifest import MANIFEST
from engine.storage.run_folders import PROBE
from engine.training.loop import train
from engine.training.plan import Plan

CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for method in ("vae", "autoencoder"):
        list(train(Plan(method, "digits", CONFIG, steps=2, name=method, device="cpu"), root))
    return root


def ask(session: QuerySession, query: m.Query) -> Any:
    return session.answer(query)


def lose(run: Path) -> None:
    (run / PROBE).unlink()


def damage(run: Path) -> None:
    data = bytearray((run / PROBE).read_bytes())
    data[len(data) // 2] ^= 1
    (run / PROBE).write_bytes(data)


def unlist(run: Path) -> None:
    content = atomic_io.unseal((run / MANIFEST).read_bytes())
    del content["files"][PROBE]
    (run / MANIFEST).write_bytes(atomic_io.seal(content))


def exchange(run: Path) -> None:
    """Whole and listed, but not what this run was trained on."""
    data = atomic_io.arrays_to_npz({"images": np.zeros((4, 3, 5, 5), np.uint8), "noise": np.zeros((4, 4), np.float32)})
    (run / PROBE).write_bytes(data)
    content = atomic_io.unseal((run / MANIFEST).read_bytes())
    content["files"][PROBE] = vars(atomic_io.fact_of(data))
    (run / MANIFEST).write_bytes(atomic_io.seal(content))


@pytest.mark.parametrize("method", ["vae", "autoencoder"])
@pytest.mark.parametrize("harm", [lose, damage, unlist, exchange])
def test_that_without_its_fixed_images_a_run_still_answers_from_its_data(runs: Path, tmp_path: Path, method: str, harm) -> None:
    whole, run = str(runs / method), tmp_path / method
    shutil.copytree(whole, run)
    harm(run)
    session = QuerySession()
    before, after = ask(session, m.Describe(run=whole)), ask(session, m.Describe(run=str(run)))
    assert [(n.name, n.value) for n in after.numbers] == [(n.name, n.value) for n in before.numbers]
    assert np.array_equal(after.scale, before.scale)
    assert [d.text for d in after.diagnosis if "fixed images" in d.text and "from the data" in d.text]
    assert not any("from the data" in d.text for d in before.diagnosis)
    held_out = open_data("digits").splits["valid"].images
    pair = ask(session, m.Reconstruct(run=str(run), count=3))
    assert any(np.array_equal(pair.originals[0], image) for image in held_out)
    z = np.zeros((1, 4), np.float32)
    at = str(run)
    for query in (
        m.Decode(run=at, z=z),
        m.SamplePrior(run=at, count=2),
        m.DecodeGrid(run=at, z=z[0], count=3),
        m.Interpolate(run=at, a=z[0], b=z[0] + 1),
        m.Encode(run=at, index=0),
    ):
        ask(session, query)


def test_that_without_fixed_images_and_data_the_sliders_move_all_the_same(runs: Path, tmp_path: Path, monkeypatch) -> None:
    run = tmp_path / "vae"
    shutil.copytree(runs / "vae", run)
    lose(run)
    content = atomic_io.unseal((run / MANIFEST).read_bytes())
    content["data"] = str(tmp_path / "gone.npz")
    (run / MANIFEST).write_bytes(atomic_io.seal(content))
    session = QuerySession()
    described = ask(session, m.Describe(run=str(run)))
    assert described.numbers == ()
    assert np.array_equal(described.scale, np.ones(4))
    assert np.array_equal(described.centre, np.zeros(4))
    assert len([d for d in described.diagnosis if "fixed images" in d.text]) == 1
    z = np.zeros((1, 4), np.float32)
    assert ask(session, m.DecodeGrid(run=str(run), z=z[0], count=3)).images.shape == (9, 1, 8, 8)
    assert ask(session, m.SamplePrior(run=str(run), count=2)).images.shape == (2, 1, 8, 8)
