"""Files made to run code or to exhaust the machine: none runs anything, each is refused in one sentence, quickly and cheaply."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.data.unpickling import Refused, unpickle
from tests.kit.sentences import look_at

ROOT = Path(__file__).parents[3]
SECONDS = 2.0
MEGABYTES = 300

OPEN = """
import json, resource, sys, time
from engine.data import BadData, open_data
def rss(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, started, sentence = rss(), time.process_time(), ""
try:
    open_data(sys.argv[1])
except BadData as error:
    sentence = str(error)
print(json.dumps([sentence, time.process_time() - started, rss() - before]))
"""


def refused_cheaply(path: Path) -> str:
    """The sentence, from a process of its own whose time and memory are measured."""
    answer = subprocess.run([sys.executable, "-c", OPEN, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    sentence, seconds, megabytes = json.loads(answer.stdout)
    assert sentence, "it was opened"
    assert seconds <= SECONDS and megabytes <= MEGABYTES, (seconds, megabytes)
    return look_at(sentence)


class Canary:
    """Runs a command when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def npy(shape: object, descr: str = "'|u1'", body: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def pt(path: Path, table: bytes, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/data.pkl", table)
        for name, data in entries.items():
            archive.writestr(f"set/data/{name}", data)
    return path


def tensor_pickle(count: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A pickled byte tensor, spelled out by hand."""

    def number(n: int) -> bytes:
        return b"\x8a\x08" + n.to_bytes(8, "little", signed=True)

    def numbers(some: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, some)) + b"t"

    storage = b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + number(count) + b"tQ"
    arguments = b"(" + storage + number(offset) + numbers(size) + numbers(stride) + b"\x89ccollections\nOrderedDict\n)Rt"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R."


def test_that_the_tensor_spelled_by_hand_is_a_good_one(tmp_path):
    from engine.data import open_data

    path = pt(tmp_path / "good.pt", tensor_pickle(640, (10, 8, 8), (64, 8, 1)), **{"0": bytes(range(256)) * 2 + bytes(128)})
    assert sum(open_data(str(path)).report.counts.values()) == 10


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("where", ["batch", "pt", "legacy", "npy", "npz", "meta"])
def test_that_pickled_code_never_runs(tmp_path, refusal, where, protocol):
    canary = tmp_path / "canary"
    bomb = pickle.dumps({b"data": Canary(canary), b"labels": [0]}, protocol=protocol)
    if where == "pt":
        path = pt(tmp_path / "a.pt", bomb)
    elif where == "legacy":
        path = tmp_path / "a.pt"
        path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + bomb)
    elif where == "npy":
        path = tmp_path / "a.npy"
        np.save(path, np.array([Canary(canary)], dtype=object), allow_pickle=True)
    elif where == "npz":
        path = tmp_path / "a.npz"
        np.savez(path, images=np.array([Canary(canary)], dtype=object))
    else:
        path = tmp_path
        (path / "data_batch_1").write_bytes(bomb)
        if where == "meta":
            good = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3]}
            (path / "data_batch_1").write_bytes(pickle.dumps(good, protocol=2))
            (path / "batches.meta").write_bytes(bomb)
    refusal(path)
    assert not canary.exists()
    pickle.loads(bomb)  # the bomb is a real one
    assert canary.exists()


def long_pickle() -> bytes:
    return b"\x80\x02" + b"N0" * 3_000_000 + b"N."


HOSTILE = {
    "forged.npy": npy((10**9, 28, 28)),
    "forged_more.npy": npy((2**62, 2**62)),
    "negative.npy": npy((-1, 28, 28)),
    "nested.npy": npy("(" * 5000 + ")" * 5000),
    "objects.npy": npy((1,), "'|O'", b"x" * 99),
    "fields.npy": npy((1,), "[('a', '|O')]", b"x" * 99),
    "long_header.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 99,
    "memo.pt": b"\x80\x02" + b"N" + b"r" + struct.pack("<I", 2**31 - 1) + b".",
    "length.pt": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc",
    "long.pt": long_pickle(),
    "marks.pt": b"\x80\x02" + b"(" * 2_000_000 + b".",
    "deep.pt": b"\x80\x02" + b")" + b"\x85" * 900_000 + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_that_forged_files_cost_nothing(tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    refused_cheaply(tmp_path / name)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((10**9, 28, 28), (784, 28, 1), 0),
        ((10**9, 28, 28), (0, 0, 0), 0),
        ((4, 8, 8), (64, 8, 1), 600),
        ((4, 8, 8), (-64, 8, 1), 0),
        ((4, 8, 8), (2**62, 8, 1), 0),
        ((-4, 8, 8), (64, 8, 1), 0),
        ((4, 8, 8), (64, 8), 0),
    ],
)
def test_that_tensors_that_claim_more_than_there_is_are_refused(tmp_path, refusal, size, stride, offset):
    refusal(pt(tmp_path / "a.pt", tensor_pickle(640, size, stride, offset), **{"0": bytes(640)}))


def test_that_a_storage_that_claims_more_than_there_is_is_refused(tmp_path):
    assert "does not fit" in refused_cheaply(pt(tmp_path / "a.pt", tensor_pickle(2**40, (4, 8, 8), (64, 8, 1)), **{"0": bytes(640)}))


@pytest.mark.parametrize("ending", [".npz", ".pt"])
def test_that_zip_bombs_are_refused_before_they_unpack(tmp_path, ending):
    path = tmp_path / f"bomb{ending}"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("set/data.pkl" if ending == ".pt" else "x.npy", "w") as entry,
    ):
        entry.write(npy((600, 1024, 1024)))
        for _ in range(600):
            entry.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    assert "times its size" in refused_cheaply(path)


@pytest.mark.parametrize("name", ["../evil.npy", "/etc/evil.npy", "a/../../evil.npy", "..\\evil.npy", "C:\\evil.npy"])
def test_that_names_that_leave_the_archive_are_refused(tmp_path, refusal, name):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((5, 8, 8), np.uint8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", buffer.getvalue())
        archive.writestr(name, buffer.getvalue())
    assert "outside the archive" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("ending", [".npz", ".pt"])
def test_that_an_archive_of_200_000_entries_is_refused(tmp_path, ending):
    path = tmp_path / f"many{ending}"
    count = 200_000
    name = b"a/b.npy"
    listed = b"PK\x01\x02" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name
    start = b"PK\x03\x04" + bytes(26)
    wide = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(listed) * count, len(start))
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(start) + len(listed) * count, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(start + listed * count + wide + locator + end)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == count  # it is a real one
    assert "entries" in refused_cheaply(path)


def test_that_a_gzip_bomb_is_not_unpacked_further_than_announced(tmp_path):
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 100, 28, 28)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(head)
        for _ in range(700):
            file.write(bytes(1 << 20))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(buffer.getvalue())
    assert "more bytes" in refused_cheaply(tmp_path)


def test_that_a_batch_larger_than_any_is_not_read(tmp_path):
    with (tmp_path / "data_batch_1").open("wb") as file:
        file.truncate(5 << 30)
    assert "far larger" in refused_cheaply(tmp_path)


def test_that_the_unpickler_reads_what_pickle_wrote():
    for value in (None, True, -5, 2**40, 1.5, "ä", b"b", [1, (2, 3)], {"a": {"b": [b"c"] * 300}}, ("x",) * 5):
        for protocol in (2, 3, 4, 5):
            (found,), _ = unpickle(pickle.dumps(value, protocol))
            assert found == value


@pytest.mark.parametrize("name", ["os system", "builtins eval", "numpy load", "torch load", "posix system", "torch._utils _rebuild"])
def test_that_the_unpickler_knows_no_other_name(name):
    module, _, function = name.partition(" ")
    for code in (
        f"c{module}\n{function}\n.".encode(),
        b"\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(function)]) + function.encode() + b"\x93.",
    ):
        with pytest.raises(Refused, match="asks to run"):
            unpickle(code)


def test_that_several_pickles_are_read_one_after_the_other_and_their_end_is_known():
    data = pickle.dumps(7, 2) + pickle.dumps([1.5, (b"x", None)], 2)
    assert unpickle(data + b"and more", 2) == ([7, [1.5, (b"x", None)]], len(data))


@pytest.mark.parametrize("depth", [100, 20_000, 500_000])
def test_that_a_tuple_within_tuples_as_a_key_ends_in_a_sentence(tmp_path, refusal, depth):
    """Python hashes such a key by recursion, and a deep one ends the process that does it."""
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02})" + b"\x85" * depth + b"K\x01s.")
    refusal(tmp_path)


def test_that_what_an_unpickled_name_stands_for_cannot_be_changed_or_called_otherwise():
    for code in (b"cnumpy\nndarray\n}b.", b"cnumpy\nndarray\n)R.", b"ccollections\nOrderedDict\n(K\x01tR.", b"cnumpy\ndtype\n)\x81."):
        with pytest.raises(Refused):
            unpickle(code)


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", b"X\x01\x00\x00\x00x\x85"), ("stride", b"N"), ("offset", b"G" + bytes(8)), ("storage", b"N"), ("storage", b"}")],
)
def test_that_a_tensor_cannot_be_changed_once_it_was_looked_at(tmp_path, refusal, name, value):
    state = b"}X" + struct.pack("<I", len(name)) + name.encode() + value + b"s"
    changed = tensor_pickle(640, (10, 8, 8), (64, 8, 1)).removesuffix(b".") + state + b"b."
    with pytest.raises(Refused, match="changes an object"):
        unpickle(changed)
    refusal(pt(tmp_path / "a.pt", changed, **{"0": bytes(640)}))


@pytest.mark.parametrize(("name", "value"), [("count", b"N"), ("dtype", b"X\x01\x00\x00\x00O"), ("key", b"N")])
def test_that_a_storage_cannot_be_changed_once_it_was_looked_at(name, value):
    state = b"}X" + struct.pack("<I", len(name)) + name.encode() + value + b"sb"
    with pytest.raises(Refused, match="changes an object"):
        unpickle(tensor_pickle(640, (10, 8, 8), (64, 8, 1)).replace(b"tQ", b"tQ" + state))
