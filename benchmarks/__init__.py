"""One file here is one row (or two) of the README's speed table: ours and a peer, measured side by side in one run.

`priorama bench [NAME…]` runs each file in a process of its own; `python -m benchmarks.NAME` runs one alone. They are
found by folder: there is no list to edit. A file has `measure() -> list[Row]`.
"""

from __future__ import annotations

import json
import os
import pkgutil
import platform
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.worker.startup import share_the_cores

share_the_cores()  # for both sides of every row, before torch is imported
ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
LIMIT_SECONDS = 600
LONGER = {"soak": 3600}  # seconds, where a row is about a long time


class BadBenchmark(Exception):
    """One sentence: which benchmark, and what is wrong."""


class UnknownBenchmark(BadBenchmark):
    """One sentence that names the benchmarks there are."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is how many times better than the peer we are, or our value over a fixed limit's."""

    name: str
    value: float
    unit: str
    peer: str  # what it is compared with
    peer_value: float | None
    ratio: float | None
    target: str  # in words: "≥ 0.97"
    holds: bool


def names() -> list[str]:
    """Every benchmark there is."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))


def run(wanted: Iterable[str] = (), save: bool = False, tell: Callable[[str], object] | None = None) -> list[dict[str, Any]]:
    """Measure the named rows (all without a name), one after the other; `tell` hears each line of the table.

    Raises:
        UnknownBenchmark: there is none of that name.
        BadBenchmark: one failed, or what was saved today cannot be read.
    """
    chosen = _chosen(wanted)
    if save and _today().exists():
        _saved(_today())  # before anything is measured
    say = tell or (lambda _text: None)
    say(machine())
    rows = []
    for name in chosen:
        found = _run_one(name)
        for row in found:
            rows.append(row)
            say(line(Row(**row)))
        if save:
            say(f"Kept in {_save(name, found)}.")  # after each: what is measured stays when a later one fails or is stopped
    return rows


def about() -> dict[str, str]:
    """What the figures hold for: date, machine, system, and the versions of Python and of this program."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "hardware": hardware(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "version": version(),
    }


def machine() -> str:
    """The same as one line."""
    return " · ".join(f"{name} {value}" if name in ("python", "version") else value for name, value in about().items())


def version() -> str:
    """Of the program: as the clone's own file says, with the commit where there is one."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    asked = (
        subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True) if shutil.which("git") else None
    )
    return f"{found} ({asked.stdout.strip()})" if asked is not None and asked.returncode == 0 else found


def line(row: Row) -> str:
    """A row as one line of text."""
    figure = f"{_short(row.value)} {row.unit}".strip()
    beside = row.peer if row.peer_value is None else f"{row.peer}: {_short(row.peer_value)}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}×"
    return f"{row.name:<58}{figure:>20}  {ratio:>8}  target {row.target:<22}{'holds' if row.holds else 'MISSED':<8}{beside}"


def _chosen(wanted: Iterable[str]) -> list[str]:
    """The benchmarks of these names, all without a name. Raises: UnknownBenchmark."""
    chosen = list(wanted) or names()
    for name in chosen:
        if name not in names():
            raise UnknownBenchmark(f"There is no benchmark “{name}”; there are: {', '.join(names())}.")
    return chosen


def markdown(wanted: Iterable[str] = ()) -> str:
    """The README's table: the newest saved rows of the named benchmarks (all without a name), below a line for each machine, day and
    version they are of.

    Raises:
        UnknownBenchmark: there is none of that name.
        BadBenchmark: nothing was saved, or a file of results cannot be read.
    """
    chosen = _chosen(wanted)
    newest: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        of_day: dict[str, list[dict[str, Any]]] = {}
        for row in _saved(path):
            if "bench" in row:  # rows of version 0.1.0 do not say where they are from
                of_day.setdefault(row["bench"], []).append(row)
        newest |= of_day
    rows = [row for name in chosen for row in newest.get(name, [])]
    if not rows:
        raise BadBenchmark("No measured rows are kept yet: measure them with `bench --save`.")
    conditions: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        measured = conditions.setdefault(tuple(row[key][:10] if key == "date" else row[key] for key in ("date", "hardware", "version")), [])
        if row["bench"] not in measured:
            measured.append(row["bench"])
    lines = []
    for (day, machine_of, version_of), measured in conditions.items():
        which = "" if len(conditions) == 1 else ": " + ", ".join(f"`{name}`" for name in measured)
        lines.append(f"Measured on {day}, {machine_of}, version {version_of}{which}.  ")
    lines += ["", "| `bench` | row | ours | beside | ratio | target | holds |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_table_line, rows)])


def _table_line(row: dict[str, Any]) -> str:
    beside = row["peer"] if row["peer_value"] is None else f"{row['peer']} {_short(row['peer_value'])}"
    cells = (
        f"`{row['bench']}`",
        row["name"],
        f"{_short(row['value'])} {row['unit']}".strip(),
        beside,
        "" if row["ratio"] is None else f"{_short(row['ratio']) if row['ratio'] >= 10 else format(row['ratio'], '.2f')}×",
        row["target"],
        "yes" if row["holds"] else "**no**",
    )
    return f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |"


def main(measure: Callable[[], list[Row]]) -> None:
    """What a benchmark does when it is run alone: a table, or with --json its rows."""
    rows = measure()
    if "--json" in sys.argv:
        print(json.dumps([asdict(row) for row in rows], ensure_ascii=False), flush=True)
    else:
        print(machine(), flush=True)
        for row in rows:
            print(line(row), flush=True)


def interleave(ours: Callable[[], float], peer: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Medians of ours, of the peer's, and of ours over the peer's within a round; who begins alternates."""
    a: list[float] = []
    b: list[float] = []
    for number in range(rounds):
        for values, measured in ((a, ours), (b, peer))[:: 1 if number % 2 == 0 else -1]:
            values.append(measured())
    return statistics.median(a), statistics.median(b), statistics.median(x / y for x, y in zip(a, b, strict=True))


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def hardware() -> str:
    """The processor and how many of its cores we may use."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"


def _run_one(name: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    try:
        answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGER.get(name, LIMIT_SECONDS))
    except subprocess.TimeoutExpired:
        raise BadBenchmark(f"The benchmark {name} did not end within {LONGER.get(name, LIMIT_SECONDS)} s.") from None
    if answer.returncode:
        last = answer.stderr.strip().splitlines() or ["it said nothing"]
        raise BadBenchmark(f"The benchmark {name} failed: {last[-1]}")
    return json.loads(answer.stdout.strip().splitlines()[-1])


def _save(name: str, rows: list[dict[str, Any]]) -> Path:
    """Put the rows of one benchmark into the file of the day, in the place of its former ones. Each says what it holds for."""
    RESULTS.mkdir(exist_ok=True)
    path = _today()
    others = [row for row in (_saved(path) if path.exists() else []) if row.get("bench") != name]
    now = about()
    kept = {"rows": [*others, *({**row, "bench": name, **now} for row in rows)]}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def _today() -> Path:
    return RESULTS / f"{time.strftime('%Y-%m-%d')}.json"


def _saved(path: Path) -> list[dict[str, Any]]:
    """The rows in a file of results. Raises: BadBenchmark: it cannot be read."""
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadBenchmark(f"{path.name} in benchmarks/results cannot be read ({error}): put it back or delete it.") from None


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
