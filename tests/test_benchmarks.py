"""The frame of the benchmarks: found by folder, told as a table, kept as JSON. The measuring itself is `bench`'s business."""

from __future__ import annotations

import importlib
import json

import pytest

import benchmarks
from benchmarks import BadBenchmark, Row, UnknownBenchmark

ROW = Row("slider to picture", 4.25, "ms", "one frame", 16.7, 4.25 / 16.7, "≤ 16 ms", True)


def test_that_every_benchmark_can_be_measured():
    assert "iwae" in benchmarks.names()
    for name in benchmarks.names():
        assert callable(importlib.import_module(f"benchmarks.{name}").measure)


def test_that_parts_shared_by_benchmarks_are_none():
    assert not any(name.startswith("_") for name in benchmarks.names())


def test_that_an_unknown_name_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(benchmarks, "_run_one", lambda name: pytest.fail("it measured"))
    with pytest.raises(UnknownBenchmark, match=r"There is no benchmark “speed”; there are: .*iwae"):
        benchmarks.run(["iwae", "speed"])


def test_that_rows_are_told_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    monkeypatch.setattr(benchmarks, "_run_one", lambda name: [vars(ROW)])
    said: list[str] = []
    assert benchmarks.run(["slider_latency"], save=True, tell=said.append) == [vars(ROW)]
    assert benchmarks.hardware() in said[0] and "version " in said[0]
    assert "4.25 ms" in said[1] and "holds" in said[1]
    kept = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert kept["rows"] == [vars(ROW)]
    assert kept["hardware"]


def test_that_a_second_measurement_of_a_row_replaces_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    for value in (1.0, 2.0):
        monkeypatch.setattr(benchmarks, "_run_one", lambda name, value=value: [{**vars(ROW), "value": value}])
        benchmarks.run(["slider_latency"], save=True)
    assert [row["value"] for row in json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))["rows"]] == [2.0]


def test_that_a_failing_benchmark_is_one_sentence(monkeypatch):
    monkeypatch.setattr(benchmarks, "ROOT", benchmarks.ROOT)
    with pytest.raises(BadBenchmark, match=r"^The benchmark no_such_file failed: .*No module named"):
        benchmarks._run_one("no_such_file")


def test_that_both_sides_are_measured_in_turns():
    order: list[str] = []

    def side(name: str, value: float) -> float:
        order.append(name)
        return value

    assert benchmarks.interleave(lambda: side("a", 6.0), lambda: side("b", 3.0), rounds=3) == (6.0, 3.0, 2.0)
    assert order == ["a", "b", "b", "a", "a", "b"]
