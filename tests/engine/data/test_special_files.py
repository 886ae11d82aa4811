"""Pipes among the files of a data set: they are named and left out, and nobody waits for whoever would write into them."""

from __future__ import annotations

import os
import socket
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import open_data

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")


def pictures(root: Path) -> None:
    """Two classes of twelve images."""
    noise = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(root / name / f"{number}.png")


def read(path: Path):
    """The report, and the seconds of the clock that it took; a reader that waits is ended after twenty."""
    started = time.monotonic()
    report = open_data(str(path)).report
    return report, time.monotonic() - started


@pytest.mark.parametrize("name", ["labels.csv", "metadata.jsonl", "train.txt", "notes", "pipe.png"])
def test_that_a_pipe_beside_pictures_is_named_and_not_waited_for(tmp_path: Path, name: str) -> None:
    root = tmp_path / "set"
    pictures(root)
    os.mkfifo(root / name)
    (root / f"linked_{name}").symlink_to(root / name)
    report, seconds = read(root)
    assert report.classes == ("cat", "dog") and sum(report.counts.values()) == 24
    assert {(bad.path, "pipe" in bad.reason) for bad in report.bad} == {(name, True), (f"linked_{name}", True)}
    assert seconds < 18


def test_that_a_pipe_among_archives_is_named_and_not_waited_for(tmp_path: Path) -> None:
    pictures(tmp_path / "set")
    for number in (1, 2):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            for file in sorted((tmp_path / "set").rglob("*.png"))[number - 1 :: 2]:
                archive.write(file, file.relative_to(tmp_path / "set"))
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in (1, 2):
        (tmp_path / f"{number}.zip").rename(shards / f"{number}.zip")
    os.mkfifo(shards / "3.zip")
    report, _ = read(shards)
    assert sum(report.counts.values()) == 24 and report.classes == ("cat", "dog")
    assert [(bad.path, "pipe" in bad.reason) for bad in report.bad] == [("3.zip", True)]


def test_that_a_socket_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "set")
    monkeypatch.chdir(tmp_path / "set")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("labels.tsv")
        report, _ = read(tmp_path / "set")
    assert [(bad.path, "socket" in bad.reason) for bad in report.bad] == [("labels.tsv", True)]
