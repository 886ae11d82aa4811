"""A metrics file of any length and content is read in bounded memory, and what is wrong in it is counted."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.storage import atomic_io, metrics_file
from engine.storage.metrics_file import metrics_line, read_metrics
from engine.storage.run_reader import Run
from tests.kit.runs import new_run, row_at

ROWS = [
    {"values": []},
    {"values": [[]], "steps": [1]},
    {"steps": "abc", "values": {"loss": [1.0]}},
    {"steps": [1], "values": {"loss": ["1"]}},
    {"steps": [1], "values": {"loss": [[1.0]]}},
    {"steps": [1], "values": {"loss": [1e300]}},
    {"steps": [1], "values": {"loss": [1 << 2000]}},
    {"steps": [1 << 80], "values": {"loss": [1.0]}},
    {"steps": [-1], "values": {"loss": [1.0]}},
    {"steps": [], "values": {"loss": [1.0]}},
    {"resumed": "x"},
    {"resumed": None},
    {},
]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_that_is_whole_but_none_of_ours_is_left_out_and_counted(tmp_path: Path, row: dict) -> None:
    (tmp_path / "m").write_bytes(metrics_line(row_at(1)) + metrics_line(row) + metrics_line(row_at(2)))
    found = read_metrics(tmp_path / "m")
    assert found.rows == [row_at(1), row_at(2)] and found.damaged == 1
    assert read_metrics(tmp_path / "m", found.end) == ([], 0, found.end, 1)  # counted once


def test_a_long_file_is_thinned_out_evenly_and_keeps_what_is_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "WHOLE_BYTES", 4000)
    with new_run(tmp_path / "runs") as writer:
        for step in range(1000):
            writer.append_metrics(row_at(step))
            if step % 100 == 99:
                writer.append_metrics({"t": 1.0, "steps": [step], "values": {"valid loss": [0.5]}})
        writer.append_metrics({"t": 1.0, "resumed": 990})
    run = Run.open(writer.path)
    rows, end = run.metrics()
    dense = [row["steps"][0] for row in rows if "loss" in row.get("values", {})]
    every = dense[1] - dense[0]
    assert every > 10 and dense == list(range(0, 1000, every))
    assert [row["steps"][0] for row in rows if "valid loss" in row.get("values", {})] == list(range(99, 1000, 100))
    assert rows[-1]["resumed"] == 990 and end == (writer.path / "metrics.jsonl").stat().st_size
    assert run.notes and f"every {every}th row" in run.notes[0]
    assert run.verify() == []


def test_a_line_without_end_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "LONGEST_LINE", 1000)
    (tmp_path / "m").write_bytes(metrics_line(row_at(1)) + b"x" * 5000 + b"\n" + metrics_line(row_at(2)) + b"y" * 5000)
    found = read_metrics(tmp_path / "m")
    assert found.rows == [row_at(1), row_at(2)] and found.damaged == 2 and found.end == (tmp_path / "m").stat().st_size


MEASURED = """
import resource, sys
from pathlib import Path
from engine.storage.metrics_file import read_metrics
read_metrics(Path(sys.argv[1]).parent / "none")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = read_metrics(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(found.rows), found.damaged)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kilobytes there")
def test_a_file_of_hundreds_of_megabytes_is_read_in_bounded_memory(tmp_path: Path) -> None:
    line = metrics_line({"t": 1.0, "steps": list(range(100)), "values": {name: [0.1234567] * 100 for name in ("loss", "kl", "nll")}})
    with open(tmp_path / "m", "wb") as file:
        for _ in range((300 << 20) // len(line) // 1000):
            file.write(line * 1000)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path / "m")], capture_output=True, text=True, check=True)
    grown, rows, damaged = map(int, done.stdout.split())
    assert grown < 200_000 and rows > 1000 and damaged == 0


def test_an_archive_whose_members_overlap_is_refused() -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(10_000, np.uint8))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", content.getvalue())
        (info,) = archive.infolist()
        for number in range(20):  # the same bytes under other names
            again = zipfile.ZipInfo(f"b{number}.npy")
            again.header_offset, again.file_size, again.compress_size, again.CRC = 0, info.file_size, info.compress_size, info.CRC
            archive.filelist.append(again)
    with pytest.raises(atomic_io.Damaged, match="do not add up"):
        atomic_io.arrays_from_npz(file.getvalue())


@pytest.mark.parametrize("created", [1e300, -1.0, float("nan"), float("inf")])
def test_a_time_that_no_calendar_has_is_none_of_a_run(tmp_path: Path, created: float) -> None:
    with new_run(tmp_path / "runs") as writer:
        pass
    path = writer.path / "manifest.json"
    path.write_bytes(atomic_io.seal({**atomic_io.unseal(path.read_bytes()), "created": created}))
    assert "created" in Run.open(writer.path).fault
