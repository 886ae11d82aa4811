"""The frame of the benchmarks: found by folder, told as a table, kept as JSON. The measuring itself is `bench`'s business."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace

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
    assert kept["rows"] == [{**vars(ROW), "bench": "slider_latency", **benchmarks.about()} | {"date": kept["rows"][0]["date"]}]


def test_that_a_second_measurement_of_a_row_replaces_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    for value in (1.0, 2.0):
        monkeypatch.setattr(benchmarks, "_run_one", lambda name, value=value: [{**vars(ROW), "value": value}])
        benchmarks.run(["slider_latency"], save=True)
    assert [row["value"] for row in json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))["rows"]] == [2.0]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Where results are kept; `keep(day, bench, row, **about)` puts a row there as if it had been measured then."""
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    conditions = {"date": "2026-01-02 10:00", "hardware": "Chip, 2 cores", "system": "Linux", "python": "3.11.7", "version": "1.0 (abc)"}

    def keep(day: str, bench: str, row: Row, **changes: str) -> None:
        monkeypatch.setattr(benchmarks, "about", lambda: conditions | {"date": f"{day} 10:00"} | changes)
        monkeypatch.setattr(benchmarks.time, "strftime", lambda form: day)
        benchmarks._save(bench, [vars(row)])

    return keep


def test_that_the_table_is_made_of_the_newest_rows_and_says_where_they_are_from(results):
    missed = Row("memory", 1234.5, "MB", "no peer | at all", None, None, "≤ 1 GB", False)
    results("2026-01-01", "slider_latency", replace(ROW, name="a row that is measured no more"))
    results("2026-01-02", "slider_latency", replace(ROW, ratio=31.06))
    results("2026-01-02", "memory", missed)
    assert benchmarks.markdown() == "\n".join(
        (
            "Measured on 2026-01-02, Chip, 2 cores, version 1.0 (abc).  ",
            "",
            "| `bench` | row | ours | beside | ratio | target | holds |",
            "|---|---|---|---|---|---|---|",
            "| `memory` | memory | 1,234 MB | no peer ∣ at all |  | ≤ 1 GB | **no** |",
            "| `slider_latency` | slider to picture | 4.25 ms | one frame 16.7 | 31.1× | ≤ 16 ms | yes |",
        )
    )
    results("2026-01-03", "memory", missed, hardware="Other, 4 cores")
    head = benchmarks.markdown().split("\n\n", 1)[0]
    assert head.splitlines() == [
        "Measured on 2026-01-03, Other, 4 cores, version 1.0 (abc): `memory`.  ",
        "Measured on 2026-01-02, Chip, 2 cores, version 1.0 (abc): `slider_latency`.  ",
    ]
    assert "memory" not in benchmarks.markdown(["slider_latency"])


def test_that_a_table_of_nothing_and_a_damaged_file_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    (tmp_path / "2025-01-01.json").write_text(json.dumps({"rows": [vars(ROW)]}))  # does not say which benchmark it is of
    with pytest.raises(BadBenchmark, match="bench --save"):
        benchmarks.markdown()
    damaged = tmp_path / "2026-01-01.json"
    damaged.write_text("{")
    with pytest.raises(BadBenchmark, match=r"2026-01-01\.json .* cannot be read"):
        benchmarks.markdown()
    monkeypatch.setattr(benchmarks.time, "strftime", lambda form: "2026-01-01")
    with pytest.raises(BadBenchmark, match="cannot be read"):
        benchmarks._save("memory", [vars(ROW)])
    monkeypatch.setattr(benchmarks, "_run_one", lambda name: pytest.fail("it measured"))
    with pytest.raises(BadBenchmark, match="cannot be read"):
        benchmarks.run(["memory"], save=True)
    assert damaged.read_text() == "{"


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
