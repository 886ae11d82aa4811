"""Bytes on the disk: the order of writing, full disks, and what a damaged or hostile file may do."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st

from engine.storage import atomic_io
from engine.storage.disk import Unwritable, free_bytes
from tests.kit.quick import quick
from tests.kit.runs import AtCall, FullDisk, using

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Recorder(atomic_io.Layer):
    """Writes down what was done to which file, by its name."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.names: dict[int, str] = {}

    def create(self, path: Path, at: int | None = None) -> int:
        handle = super().create(path, at)
        self.names[handle] = path.name
        self.done.append(("create", path.name))
        return handle

    def write(self, handle: int, data: memoryview) -> int:
        self.done.append(("write", self.names[handle]))
        return super().write(handle, data)

    def sync(self, handle: int) -> None:
        self.done.append(("sync", self.names[handle]))
        super().sync(handle)

    def replace(self, source: Path, target: Path, at: int | None = None) -> None:
        self.done.append(("replace", target.name))
        super().replace(source, target, at)

    def sync_folder(self, path: Path, at: int | None = None) -> None:
        self.done.append(("sync folder", path.name))
        super().sync_folder(path, at)


def test_a_file_is_flushed_before_it_takes_its_place_and_the_folder_after(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    recorder = Recorder()
    with using(recorder):
        atomic_io.write_file(folder / "a.bin", b"content")
    assert [verb for verb, _ in recorder.done] == ["create", "write", "sync", "replace", "sync folder"]
    partial = recorder.done[0][1]
    assert partial.startswith("a.bin.partial-")
    assert recorder.done[-2:] == [("replace", "a.bin"), ("sync folder", "here")]


def test_the_fact_is_the_sha256_of_what_is_on_the_disk(tmp_path: Path) -> None:
    import hashlib

    fact = atomic_io.write_file(tmp_path / "a", b"abc")
    assert fact == atomic_io.Fact(hashlib.sha256(b"abc").hexdigest(), 3)
    assert atomic_io.read_file(tmp_path / "a", fact) == b"abc"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_call_that_finds_no_room_leaves_the_old_file_and_no_partial(tmp_path: Path, code: int) -> None:
    atomic_io.write_file(tmp_path / "a", b"old")

    def full(name: str, arguments: tuple) -> None:
        raise OSError(code, os.strerror(code))

    number = 0
    while True:
        layer = AtCall(number, full, ("create", "write", "sync", "replace"))
        with using(layer):
            if not _raises_no_space(tmp_path / "a", b"new content"):
                break
        assert (tmp_path / "a").read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["a"]
        number += 1
    assert number == 4
    assert (tmp_path / "a").read_bytes() == b"new content"


def _raises_no_space(path: Path, data: bytes) -> bool:
    try:
        atomic_io.write_file(path, data, needed=1_000_000)
    except atomic_io.NoSpace as error:
        assert error.needed == 1_000_000
        assert error.free == pytest.approx(free_bytes(path.parent), abs=1 << 30)
        assert "1.0 MB needed" in str(error) and str(path.parent) in str(error)
        return True
    return False


def test_a_disk_that_is_full_after_k_bytes_leaves_the_old_file(tmp_path: Path) -> None:
    new = atomic_io.tensors_to_bytes({"w": np.arange(100, dtype=np.float32)})
    header = 8 + int.from_bytes(new[:8], "little")
    for room in (0, 8, header, len(new) // 2, len(new) - 1):
        atomic_io.write_file(tmp_path / "a", b"old")
        with using(FullDisk(room)), pytest.raises(atomic_io.NoSpace):
            atomic_io.write_file(tmp_path / "a", new)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == {"a": b"old"}
    with using(FullDisk(len(new))):
        atomic_io.write_file(tmp_path / "a", new)
    assert (tmp_path / "a").read_bytes() == new


def test_another_error_of_the_disk_is_not_called_full(tmp_path: Path) -> None:
    def broken(name: str, arguments: tuple) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with using(AtCall(0, broken, ("sync",))), pytest.raises(Unwritable, match=r"reports an error \(Input/output error\)\. Check") as caught:
        atomic_io.write_file(tmp_path / "a", b"new")
    assert caught.value.errno == errno.EIO and str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_replace_that_is_refused_for_a_moment_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals, waits, real = [1, 1, 1], [], os.replace

    def replace(source: Path, target: Path, **_: object) -> None:
        if refusals:
            refusals.pop()
            raise PermissionError(errno.EACCES, "in use")
        real(source, target)

    monkeypatch.setattr(atomic_io.os, "replace", replace)
    monkeypatch.setattr(atomic_io.time, "sleep", waits.append)
    atomic_io.write_file(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x" and waits == [0.05] * 3
    refusals.extend([1] * 6)
    with pytest.raises(Unwritable, match="may not be written"):
        atomic_io.write_file(tmp_path / "a", b"y")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"x"


def test_the_errors_pickle_with_what_they_know() -> None:
    full = pickle.loads(pickle.dumps(atomic_io.NoSpace(3_000_000, 1_000_000, "/runs")))
    assert (full.needed, full.free, full.where) == (3_000_000, 1_000_000, "/runs")
    assert str(full) == "The disk is full in “/runs”: 3.0 MB needed, 1.0 MB free. Make room, then go on."
    assert pickle.loads(pickle.dumps(atomic_io.NonFinite("w"))).name == "w"


# -- reading -----------------------------------------------------------------------------------------------------------


def test_reading_names_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    fact = atomic_io.write_file(tmp_path / "a", b"0123456789")

    def reason(change) -> str:
        path = tmp_path / "a"
        change(path)
        with pytest.raises(atomic_io.Damaged) as caught:
            atomic_io.read_file(path, fact)
        return str(caught.value)

    assert reason(lambda path: path.write_bytes(b"")) == "is empty"
    assert reason(lambda path: path.write_bytes(b"0123")) == "has 4 bytes instead of 10"
    assert "SHA-256" in reason(lambda path: path.write_bytes(b"0123456780"))
    assert reason(lambda path: path.unlink()) == "is missing"
    assert reason(lambda path: path.symlink_to("nowhere")) == "is a link (links within a run are not followed)"
    (tmp_path / "a").unlink()
    assert reason(lambda path: path.mkdir()) == "is not a file"
    (tmp_path / "a").rmdir()
    if hasattr(os, "mkfifo"):
        assert reason(os.mkfifo) == "is not a file"  # and the test does not hang


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(atomic_io.Damaged, match="is larger than"):
        atomic_io.read_file(tmp_path / "a")


@quick
@given(st.dictionaries(st.text().filter(lambda key: key != "check"), JSON))
def test_sealed_json_comes_back(content: dict) -> None:
    assert atomic_io.unseal(atomic_io.seal(content)) == content


@quick
@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4), st.data())
def test_any_flipped_bit_of_sealed_json_is_noticed(content: dict, data: st.DataObject) -> None:
    text = bytearray(atomic_io.seal(content))
    bit = data.draw(st.integers(0, 8 * len(text) - 1))
    text[bit // 8] ^= 1 << bit % 8
    with pytest.raises(atomic_io.Damaged):
        atomic_io.unseal(bytes(text))


@quick
@given(st.binary(max_size=200))
@example(b"")
@example(b'{"check": "' + b"0" * 64 + b'"\n}\n')
@example(b"[" * 100_000)
def test_whatever_is_no_sealed_json_is_refused(data: bytes) -> None:
    with pytest.raises(atomic_io.Damaged):
        atomic_io.unseal(data)


@pytest.mark.parametrize("data", [b"[" * 200_000, b"[1]", b"3", b"\xff\xfe", b"{", b'{"a": NaN'])
def test_json_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(atomic_io.Damaged):
        atomic_io.read_json(data)


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_tensors_come_back_bit_for_bit_and_writable() -> None:
    base = np.arange(24, dtype=np.float64).reshape(4, 6)
    arrays = {"t": base.T, "scalar": np.array(2.5, np.float32), "bytes": np.arange(5, dtype=np.uint8), "none": np.zeros((0, 3), np.float32)}
    back = atomic_io.tensors_from_bytes(atomic_io.tensors_to_bytes(arrays))
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype and back[name].shape == array.shape and back[name].flags.writeable


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "c8", "u8", "i8", "f8", ">f4", ">i8"])
def test_that_the_library_reads_tensors_as_they_were_written(kind: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(kind)
    arrays = {"b": array, "größe": array[:, ::2], "a": np.ones(3, np.uint8), "": array[0, 0].reshape(()), "none": array[:0]}
    data = atomic_io.tensors_to_bytes(arrays)
    assert int.from_bytes(data[:8], "little") % 8 == 0
    back = safetensors.numpy.load(data)
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].shape == array.shape and back[name].dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_tensor_that_is_not_finite_is_named(bad: float) -> None:
    good = np.ones(3, np.float32)
    atomic_io.check_finite({"a": good, "random state": np.array([2**63], np.uint64)})
    with pytest.raises(atomic_io.NonFinite, match="“b”") as caught:
        atomic_io.check_finite({"a": good, "b": np.array([1, bad], np.float32), "c": np.array([bad])})
    assert caught.value.name == "b"


@quick
@given(st.binary(max_size=300))
@example(b"\xff" * 8)
@example((1 << 40).to_bytes(8, "little") + b"{}")
@example((2).to_bytes(8, "little") + b"{}")
def test_bytes_that_are_no_safetensors_are_refused_or_hold_nothing(data: bytes) -> None:
    try:
        arrays = atomic_io.tensors_from_bytes(data)
    except atomic_io.Damaged:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(data)


@quick
@given(st.data())
def test_mutated_safetensors_are_refused_or_no_larger_than_the_file(data: st.DataObject) -> None:
    text = bytearray(atomic_io.tensors_to_bytes({"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.float32)}))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        arrays = atomic_io.tensors_from_bytes(bytes(text))
    except atomic_io.Damaged:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(text)


def test_a_header_with_very_many_tensors_is_refused_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    header = json.dumps({f"t{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(atomic_io.MAX_TENSORS + 1)}).encode()
    monkeypatch.setattr(safetensors.numpy, "load", lambda data: pytest.fail("it was parsed"))
    with pytest.raises(atomic_io.Damaged, match="more tensors"):
        atomic_io.tensors_from_bytes(len(header).to_bytes(8, "little") + header)


def test_a_longer_header_than_any_of_ours_is_refused_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    header = b"{" + b" " * atomic_io.MAX_HEADER_BYTES + b"}"
    monkeypatch.setattr(safetensors.numpy, "load", lambda data: pytest.fail("it was parsed"))
    with pytest.raises(atomic_io.Damaged):
        atomic_io.tensors_from_bytes(len(header).to_bytes(8, "little") + header)


def test_arrays_of_an_archive_come_back() -> None:
    arrays = {
        "images": np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2),
        "noise": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3).T,
        "labels": np.arange(3),
        "number": np.array(4.5),
        "seen": np.array([True, False]),
        "none": np.zeros((0, 3), np.float16),
    }
    back = atomic_io.arrays_from_npz(atomic_io.arrays_to_npz(arrays))
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, strict=True)


class _Canary:
    touched = False

    def __reduce__(self):
        return (setattr, (_Canary, "touched", True))


def _archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _npy(header: str) -> bytes:
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_an_archive_runs_no_code() -> None:
    file = io.BytesIO()
    np.save(file, np.array([_Canary()], dtype=object), allow_pickle=True)
    with pytest.raises(atomic_io.Damaged):
        atomic_io.arrays_from_npz(_archive({"images.npy": file.getvalue()}))
    assert not _Canary.touched


def test_an_archive_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    forged = _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,), }")
    bomb = _archive(
        {"images.npy": _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (50000000,), }") + bytes(50_000_000)}, zipfile.ZIP_DEFLATED
    )
    for data in (_archive({"images.npy": forged}), bomb, _archive({"a.npy": b""}), b"", b"PK\x05\x06"):
        with pytest.raises(atomic_io.Damaged):
            atomic_io.arrays_from_npz(data)


@quick
@given(st.data())
def test_a_mutated_header_inside_an_archive_is_refused_or_fits_the_file(data: st.DataObject) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 1, 2, 2), np.uint8))
    npy = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        npy[data.draw(st.integers(0, 127))] = data.draw(st.sampled_from(b"()[]{}'\",:0123456789<|fuiOV \n\xff"))
    _read_or_refuse(_archive({"images.npy": bytes(npy)}))


@quick
@given(st.data())
def test_a_mutated_archive_is_refused_or_fits_the_file(data: st.DataObject) -> None:
    text = bytearray(atomic_io.arrays_to_npz({"images": np.zeros((2, 1, 2, 2), np.uint8)}))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(text))


def _read_or_refuse(archive: bytes) -> None:
    try:
        arrays = atomic_io.arrays_from_npz(archive)
    except atomic_io.Damaged:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(archive)
