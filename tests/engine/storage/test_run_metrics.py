"""Rows of metrics: followed while they are written, torn, flushed, damaged; a flipped bit costs its row and no other."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage import metrics_file
from engine.storage.atomic_io import NoSpace
from engine.storage.metrics_file import metrics_line, parse_metrics_line, read_metrics
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from tests.kit.quick import quick
from tests.kit.runs import AtCall, FullDisk, new_run, row_at, using


def test_rows_can_be_followed_while_they_are_written(root: Path) -> None:
    with new_run(root) as writer:
        run, offset, seen = Run.open(writer.path), 0, []
        for step in range(5):
            writer.append_metrics(row_at(step))
            rows, offset = run.metrics(offset)
            seen.append(rows)
        assert seen == [[row_at(step)] for step in range(5)]
        assert run.metrics(offset) == ([], offset)


def test_a_torn_last_line_waits_until_it_is_whole(root: Path) -> None:
    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
    path, line = writer.path / "metrics.jsonl", metrics_line(row_at(2))
    whole = path.stat().st_size
    with open(path, "ab") as file:
        file.write(line[:-7])
    run = Run.open(writer.path)
    assert run.metrics() == ([row_at(1)], whole) and run.notes == [] and run.verify() == []
    with open(path, "ab") as file:
        file.write(line[-7:])
    assert run.metrics(whole) == ([row_at(2)], whole + len(line))


def test_a_torn_last_line_is_healed_before_the_next_row(root: Path) -> None:
    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
    with open(writer.path / "metrics.jsonl", "ab") as file:
        file.write(metrics_line(row_at(2))[:-7])
    with RunWriter.resume(writer.path) as writer:
        writer.append_metrics(row_at(3))
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(1), row_at(3)] and run.notes == []


def test_a_row_on_a_full_disk_raises_and_leaves_the_earlier_rows(root: Path) -> None:
    line = metrics_line(row_at(2))
    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
        for room in (0, 1, len(line) // 2, len(line) - 1):
            with using(FullDisk(room)), pytest.raises(NoSpace) as caught:
                writer.append_metrics(row_at(2))
            assert caught.value.needed == len(line)
            assert (writer.path / "metrics.jsonl").read_bytes() == metrics_line(row_at(1))
        writer.append_metrics(row_at(2))
        writer.set_status("training")
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(1), row_at(2)] and run.verify() == []


def test_a_row_torn_by_a_full_disk_that_cannot_even_be_cut_is_healed_later(root: Path) -> None:
    class Stubborn(FullDisk):
        def truncate(self, handle: int, length: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

    with new_run(root) as writer:
        writer.append_metrics(row_at(1))
        with using(Stubborn(10)), pytest.raises(NoSpace):
            writer.append_metrics(row_at(2))
        writer.append_metrics(row_at(3))
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(1), row_at(3)] and run.verify() == []


def test_every_row_is_one_write(root: Path) -> None:
    with new_run(root) as writer:
        layer = AtCall(-1, lambda *_: None, ("write",))
        with using(layer):
            for step in range(10):
                writer.append_metrics({**row_at(step), "steps": list(range(1000))})
        assert layer.calls == 10


def test_metrics_are_flushed_at_most_once_a_second(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(metrics_file.time, "monotonic", lambda: now[0])
    with new_run(root) as writer:
        layer = AtCall(-1, lambda *_: None, ("sync",))
        with using(layer):
            for tick in range(31):
                now[0] = 100 + tick / 10
                writer.append_metrics(row_at(tick))
        assert layer.calls == 3


def test_nan_is_stored_as_null_and_read_as_nan(root: Path) -> None:
    row = {"t": 0.5, "steps": [1, 2, 3], "values": {"loss": np.array([1, np.nan, np.inf], np.float32)}}
    with new_run(root) as writer:
        writer.append_metrics(row)
    text = (writer.path / "metrics.jsonl").read_text(encoding="utf-8")
    assert json.loads(text)["values"]["loss"] == [1.0, None, None]
    np.testing.assert_array_equal(Run.open(writer.path).metrics()[0][0]["values"]["loss"], [1, np.nan, np.nan])


@quick
@given(
    st.fixed_dictionaries(
        {
            "t": st.floats(0, 1e9),
            "steps": st.lists(st.integers(0, 1 << 50), max_size=5),
            "values": st.dictionaries(
                st.text(max_size=8), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5), max_size=3
            ),
        }
    ),
    st.data(),
)
def test_a_row_comes_back_and_any_flipped_bit_costs_it(row: dict, data: st.DataObject) -> None:
    line = metrics_line(row)
    assert line.count(b"\n") == 1 and parse_metrics_line(line[:-1]) == row
    bit = data.draw(st.integers(0, 8 * len(line) - 9))
    changed = bytearray(line[:-1])
    changed[bit // 8] ^= 1 << bit % 8
    assert parse_metrics_line(bytes(changed)) is None


@quick
@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_metrics_without_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    rows, bad, end, _ = read_metrics(tmp_path / "m")
    assert rows == [] and bad == data.count(b"\n") and end == data.rfind(b"\n") + 1


def test_damaged_lines_are_skipped_and_counted(root: Path) -> None:
    with new_run(root) as writer:
        for step in range(4):
            writer.append_metrics(row_at(step))
    path = writer.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"1.0", b"9.0")
    lines[2] = b"\0" * (len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    run = Run.open(writer.path)
    assert run.metrics()[0] == [row_at(0), row_at(3)]
    assert run.notes == ["2 damaged lines of metrics.jsonl were skipped."]
    assert run.verify() == ["metrics.jsonl of “vae-digits-1” has 2 damaged lines; they are left out of the curves."]
