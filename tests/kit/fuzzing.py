"""One way to fuzz all that reads foreign files: how many mutated inputs are tried, what is mutated in them, and what must hold.

A mutated input is a function of (kind, number), so a failure is found again by its number, which the failure names. A usual run tries
the first `FEW` of each kind and those that once failed (`ONCE_FAILED`). A slow one goes on behind these while a budget of processor time
lasts: a slow or busy machine tries fewer and takes no longer, and none tries others. From outside:

    PRIORAMA_FUZZ=10000    that many of every kind, without a budget, however long it takes
    PRIORAMA_FUZZ_FROM=17  the number to begin with
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil

try:
    import resource
except ImportError:  # Windows: the look at the highest memory is left out
    resource = None

FEW, MANY = 60, 10_000
ALL = int(os.environ.get("PRIORAMA_FUZZ", "0"))  # inputs of every kind, without a budget; 0: as many as the budget allows
CPU_SECONDS = 8.0  # of each kind, in this process and in those that read
LOOK_EVERY = 20  # inputs between two looks at the budget
HANG = 2.0  # seconds of computing for one input
STARTING = 1.5  # more for one that ended the process that reads: the next one's start
MOST_BYTES = 1 << 30  # of memory
GROWTH_BYTES = 300 << 20  # of this process, over all inputs of one kind
OPENED_AT_LEAST = 0.01  # of the mutated inputs, or the seeds are no seeds
TIMEOUT = max(900, 4 * ALL)  # seconds for the tests that are slow

ONCE_FAILED: dict[str, tuple[int, ...]] = {  # kind -> the numbers of inputs that once did
    "bundle": (227,),
    "hdf5": (911,),
    "json": (6619,),
    "mat structs": (4826,),
    "recipe": (85, 113, 2122),
    "zip": (2762,),
}


def cpu_seconds() -> float:
    """Processor time of this process and of all that it has started, the living and the ended."""
    spent = os.times()
    total = spent.user + spent.system + spent.children_user + spent.children_system
    for child in psutil.Process().children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def numbers(kind: str, many: bool) -> Iterator[int]:
    """The numbers of the inputs to try."""
    first = int(os.environ.get("PRIORAMA_FUZZ_FROM", FEW if many and not ALL else 0)) % MANY
    if not ALL:
        yield from dict.fromkeys((*ONCE_FAILED.get(kind, ()), *range(FEW)))
    if not many:
        return
    until = cpu_seconds() + (float("inf") if ALL else CPU_SECONDS)
    for count in range(ALL or MANY):
        if count % LOOK_EVERY == 0 and not ALL and cpu_seconds() >= until:
            return
        yield (first + count) % MANY


def fuzz(kind: str, attempt: Callable[[int], bool], many: bool) -> None:
    """Try inputs, one after the other.

    Args:
        attempt: reads the input of a number and says whether it opened; any exception is a fault.

    Raises:
        AssertionError: an input took longer than `HANG`, or memory grew; any other: what an input raised, with its number.
    """
    before, most = psutil.Process().memory_info().rss, _highest()
    tried, opened, slowest = 0, 0, (0.0, -1)
    for number in numbers(kind, many):
        started = time.perf_counter()
        try:
            opened += attempt(number)
            took = time.perf_counter() - started
            if took > HANG:  # the machine may be busy: again, by what it computes
                started_cpu = cpu_seconds()
                attempt(number)
                took = cpu_seconds() - started_cpu
                assert took <= HANG + STARTING, f"it computes for {took:.1f} s"
        except BaseException as error:
            error.add_note(f"mutated input {number} of “{kind}”; again by PRIORAMA_FUZZ=1 PRIORAMA_FUZZ_FROM={number} and -k many")
            raise
        tried, slowest = tried + 1, max(slowest, (took, number))
    print(f"{kind}: {tried:,} mutated inputs tried, {opened:,} opened, slowest {slowest[0]:.2f} s (number {slowest[1]})")
    assert tried < FEW or opened >= tried * OPENED_AT_LEAST, f"only {opened} of {tried} opened"
    assert psutil.Process().memory_info().rss - before < GROWTH_BYTES
    assert _highest() - most < MOST_BYTES


def _highest() -> int:
    """Bytes that this process had at its highest; 0 where the system does not tell."""
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# -- mutations of bytes --------------------------------------------------------------------------------------------------

NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def generator(kind: str, number: int) -> np.random.Generator:
    """The one of an input."""
    return np.random.default_rng([zlib.crc32(kind.encode()), number])


def mutated(originals: list[bytes], rng: np.random.Generator, number: int) -> bytes:
    """One of them with one to three changes: bits, numbers, cuts, repeats, holes, pieces of others, deep nesting."""
    data = bytearray(originals[number % len(originals)])
    for _ in range(int(rng.integers(1, 4))):
        data = bytearray(changed(data, originals, rng))
    return bytes(data)


def changed(data: bytearray, originals: list[bytes], rng: np.random.Generator) -> bytes:
    """With one change."""
    size = max(1, len(data))
    head = min(size, 200)  # headers are where the meaning is
    place = int(rng.integers(head if rng.random() < 0.6 else size))
    match int(rng.integers(9)):
        case 0:
            data[place : place + 1] = bytes([data[place] ^ (1 << int(rng.integers(8)))]) if data else b""
        case 1:
            data[place : place + 1] = bytes([int(rng.integers(256))])
        case 2:
            value, width = NUMBERS[int(rng.integers(len(NUMBERS)))], int(rng.choice((1, 2, 4, 8)))
            data[place : place + width] = (value & (256**width - 1)).to_bytes(width, "little" if rng.random() < 0.5 else "big")
        case 3:
            del data[place:]
        case 4:
            del data[place : place + int(rng.integers(1, 64))]
        case 5:
            data[place:place] = data[place : place + int(rng.integers(1, 64))] * int(rng.integers(1, 100))
        case 6:
            other = originals[int(rng.integers(len(originals)))]
            start = int(rng.integers(len(other)))
            data[place : place + 64] = other[start : start + 64]
        case 7:
            data[place:place] = bytes(
                rng.choice(list(b"()[]}{.0N\x85\x86\x87eaus(tR2hbq\x81\x93"), int(rng.integers(1, 40))).astype(np.uint8)
            )
        case _:
            data[place:place] = bytes([int(rng.choice(list(b"(]}\x85[-")))]) * int(rng.choice((30, 3_000, 200_000)))
    return bytes(data)


def rezipped(data: bytes, rng: np.random.Generator) -> bytes:
    """The archive with one changed entry, its checksums right: so that what is behind them is reached."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        chosen = int(rng.integers(len(old.infolist())))
        for place, entry in enumerate(old.infolist()):
            content = old.read(entry)
            new.writestr(entry.filename, changed(bytearray(content), [content], rng) if place == chosen else content, entry.compress_type)
    return buffer.getvalue()


def repacked(
    pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes], data: bytes, originals: list[bytes], rng: np.random.Generator
) -> bytes:
    """The packed file with a change in what it holds."""
    return pack(changed(bytearray(unpack(data)), originals, rng))


# -- mutations of trees of files -----------------------------------------------------------------------------------------

Tree = dict[str, bytes]  # path -> content
_NAMES = (
    "train", "val", "test", "Train ", "valid", "images", "masks", "0001", "1.png", "10.png", ".png", "-.png", "a b.png",
    "\u00e9.png", "e\u0301.png",
    "con.png", "x.tar", "x.zip", "labels.csv", "train.txt", "metadata.jsonl", "a" * 200 + ".png", "\n.png", "\u202e.png", "%s.png",
    "{}.png", "*.png", "[x].png", "..png", "~", "__MACOSX", ".DS_Store", "000.cls", "x.mat", "0.gif", "٣.png", "²", "x.dcm",
)  # fmt: skip
_OUTSIDE = ("..", ".", "", "/", "\\", "C:", "\0", "..\\x", "\udcff", "a/../..")  # what only an archive can hold


def mutated_tree(tree: Tree, rng: np.random.Generator, packed: bool) -> Tree:
    """One to three files changed, moved, doubled, cut out or called otherwise; `packed`: also by names that no folder can hold."""
    files = dict(tree)
    for _ in range(int(rng.integers(1, 4))):
        path = list(files)[int(rng.integers(len(files)))]
        content = files[path]
        parts = path.split("/")
        level = int(rng.integers(len(parts)))
        some = _NAMES + (_OUTSIDE if packed else ())
        match int(rng.integers(6)):
            case 0 | 1:
                files[path] = changed(bytearray(content), list(tree.values()), rng)
            case 2:
                parts[level] = some[int(rng.integers(len(some)))]
                files["/".join(parts)] = files.pop(path)
            case 3:
                parts.insert(level, some[int(rng.integers(len(some)))])
                files["/".join(parts)] = content
            case 4 if len(files) > 1:
                del files[path]
            case _:
                files[path] = list(tree.values())[int(rng.integers(len(tree)))]
    return files if packed else _possible(files)


def _possible(files: Tree) -> Tree:
    """What a folder can hold: no file is a folder too."""
    folders = {"/".join(path.split("/")[:level]) for path in files for level in range(1, path.count("/") + 1)}
    return {path: content for path, content in files.items() if path not in folders}


def zipped(files: Tree) -> bytes:
    """An archive of them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), content)
    return buffer.getvalue()


def tarred(files: Tree, mode: str = "w") -> bytes:
    """The same as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


# -- mutations of JSON ---------------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**63), 10**400, 1e308, float("nan"), float("inf"), "", " ", "x" * 5_000, "\ud800", "\0", "\n",
    "é", "..", "/", "none", "0..1", [], {}, [[]], [None], {"": None}, "-1", "1e999..2e999", "٣", "1-00000000", "a" * 16,
)  # fmt: skip


def mutated_json(value: Any, rng: np.random.Generator) -> bytes:
    """Its text with one to three values, names or lists changed."""
    text = json.dumps(value)
    for _ in range(int(rng.integers(1, 4))):
        found = json.loads(text)
        found = _changed_json(found, rng)
        text = json.dumps(found)
    return text.encode("ascii")


def _changed_json(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = list(value)[int(rng.integers(len(value)))]
        if rng.random() < 0.15:
            del value[name]
        elif rng.random() < 0.1:
            value[str(_VALUES[int(rng.integers(len(_VALUES)))])] = value.pop(name)
        else:
            value[name] = _changed_json(value[name], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = int(rng.integers(len(value)))
        if rng.random() < 0.1:
            value += value * int(rng.integers(1, 30))
        elif rng.random() < 0.15:
            del value[place]
        else:
            value[place] = _changed_json(value[place], rng)
        return value
    return _VALUES[int(rng.integers(len(_VALUES)))]
