"""That test images were read is not forgotten, whatever becomes of the manifest; and what was damaged stays beside what replaces it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.storage.atomic_io import NoSpace
from engine.storage.run_folders import BadRun, delete_run
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from tests.kit.runs import FullDisk, new_run, reading_at, save, using


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with new_run(tmp_path / "runs", "mine") as writer:
        for step in (1, 2):
            save(writer, step, keep=True, best=step == 1)
        writer.set_status("done")
        writer.add_final_figures(reading_at(1))
        writer.add_final_figures(reading_at(2, math.nan))
    return writer.path


def damages(data: bytes) -> Iterator[tuple[str, bytes | None]]:
    chance = random.Random(3)
    yield "removed", None
    for length in [0, 1, len(data) - 1, *(chance.randrange(len(data)) for _ in range(25))]:
        yield f"cut to {length}", data[:length]
    for _ in range(40):
        bit = chance.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(changed)
    yield "zeros", bytes(len(data))
    yield "of something else", b"{}"


def told(path: Path) -> list[tuple[int, str]]:
    return [(figure.step, figure.date) for figure in Run.open(path).info().final_figures]


def aside(path: Path, name: str) -> list[bytes]:
    return [found.read_bytes() for found in path.glob(f"{name}.damaged-2*")]


BOTH = [(1, "2026-01-01T10:00:00+00:00"), (2, "2026-01-02T10:00:00+00:00")]


def test_that_a_damaged_manifest_costs_no_final_figures_and_is_kept(run: Path) -> None:
    file = run / "manifest.json"
    whole = file.read_bytes()
    for what, data in damages(whole):
        if data is None:
            file.unlink()
        else:
            file.write_bytes(data)
        assert told(run) == BOTH, what
        assert Run.open(run).fault, what
        with RunWriter.resume(run) as writer:
            assert bool([note for note in writer.notes if "is kept as" in note]) == (data is not None), what
        assert aside(run, "manifest.json") == ([] if data is None else [data]), what
        again = Run.open(run)
        assert again.fault == "" and again.verify() == [] and told(run) == BOTH, what
        for kept in run.glob("manifest.json.damaged-*"):
            kept.unlink()
        file.write_bytes(whole)
    assert Run.open(run).verify() == []


def test_that_a_damaged_copy_is_named_kept_and_written_again(run: Path) -> None:
    file = run / "final_figures.json"
    whole = file.read_bytes()
    for what, data in damages(whole):
        if data is None:
            file.unlink()
        else:
            file.write_bytes(data)
        assert told(run) == BOTH and Run.open(run).fault == "", what
        faults = Run.open(run).verify()
        assert len(faults) == (data is not None) and all("final_figures.json" in fault for fault in faults), what
        RunWriter.resume(run).close()
        assert file.read_bytes() == whole, what
        assert aside(run, "final_figures.json") == ([] if data is None else [data]), what
        for kept in run.glob("final_figures.json.damaged-*"):
            kept.unlink()


def test_that_two_damaged_files_say_that_nobody_knows(run: Path) -> None:
    for name in ("manifest.json", "final_figures.json"):
        (run / name).write_bytes((run / name).read_bytes()[:-40])
    fault = Run.open(run).fault
    assert told(run) == [] and "whether final figures were read" in fault and fault.endswith(".")
    RunWriter.resume(run).close()
    assert [len(aside(run, name)) for name in ("manifest.json", "final_figures.json")] == [1, 1]
    assert Run.open(run).verify() == []


def test_that_a_run_without_any_manifest_still_says_it(run: Path) -> None:
    (run / "manifest.json").unlink()
    for found in (run / "checkpoints").rglob("state.json"):
        found.unlink()
    assert Run.open(run).manifest is None and told(run) == BOTH


def test_that_a_manifest_of_before_gets_its_copy_with_the_next_writing(run: Path) -> None:
    (run / "final_figures.json").unlink()
    assert Run.open(run).verify() == []
    with RunWriter.resume(run) as writer:
        assert writer.notes == []
    (run / "manifest.json").unlink()
    assert told(run) == BOTH


def test_that_a_full_disk_loses_no_earlier_reading_and_the_same_can_be_asked_again(run: Path) -> None:
    with RunWriter.resume(run) as writer:
        for room in (0, 100, 2000):
            with using(FullDisk(room)), pytest.raises(NoSpace):
                writer.add_final_figures(reading_at(3))
            assert told(run) == BOTH
        writer.add_final_figures(reading_at(3))
    assert [step for step, _ in told(run)] == [1, 2, 3] and Run.open(run).verify() == []


def test_that_a_refused_writer_moves_nothing(run: Path) -> None:
    (run / "manifest.json").write_bytes(b"{")
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to("elsewhere")
    with pytest.raises(BadRun):
        RunWriter.resume(run)
    assert (run / "manifest.json").read_bytes() == b"{" and aside(run, "manifest.json") == []


def test_that_everything_goes_with_the_run(run: Path) -> None:
    (run / "manifest.json").write_bytes(b"{")
    (run / "final_figures.json").write_bytes(json.dumps({}).encode())
    RunWriter.resume(run).close()
    assert delete_run(run) == () and not run.exists()
