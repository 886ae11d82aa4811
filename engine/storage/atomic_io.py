"""Files that survive a crash, a full disk and a flipped bit: how bytes get onto the disk, and how they are checked on the way back.

Every file is written beside its target, flushed, hashed, put in place with `os.replace`, and the folder flushed.
Nothing here knows what a run is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import time
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from engine.storage.disk import IS_A_LINK, NO_FOLLOW, Linked, is_link, megabytes, require_own_file, said_plainly
from engine.storage.disk import NoSpace as NoSpace  # what writing raises

PARTIAL = ".partial-"
MAX_FILE_BYTES = 4 << 30
MAX_JSON_BYTES = 16 << 20
MAX_HEADER_BYTES = 8 << 20
MAX_TENSORS = 20_000
MISSING = "is missing"
MAX_MEMBERS = 1_000  # of an archive of arrays


class NonFinite(ValueError):
    """A tensor to be saved holds NaN or infinity; nothing was written. `name` is the tensor's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"“{name}” holds NaN or infinite numbers, so this checkpoint was not saved.")
        self.name = name

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.name,)


class Damaged(ValueError):
    """What is wrong with a file, as the end of a sentence: “is empty”, “is missing”."""


@dataclass(frozen=True)
class Fact:
    """What a file must be to be believed."""

    sha256: str
    bytes: int


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------


class Layer:
    """Every call that changes the disk goes through here, so that tests can record, delay or fail it.

    `at` is the handle of the folder that a path lies in: with it only the path's last name counts, and no link on the way.
    """

    def make_folder(self, path: Path, at: int | None = None) -> None:
        """`os.mkdir`."""
        os.mkdir(_name(path, at), dir_fd=at)

    def create(self, path: Path, at: int | None = None) -> int:
        """Open a new file for writing; it must not exist yet."""
        return os.open(_name(path, at), os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666, dir_fd=at)

    def open_append(self, path: Path, at: int | None = None) -> int:
        """Open a plain file for appending; it is created when there is none. Raises: Linked."""
        return self._open_own(path, at, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def open_lock(self, path: Path, at: int | None = None) -> int:
        """Open a plain file for reading and writing; it is created when there is none. Raises: Linked."""
        return self._open_own(path, at, os.O_RDWR | os.O_CREAT)

    def _open_own(self, path: Path, at: int | None, flags: int) -> int:
        if is_link(path, at):
            raise Linked(path)
        try:
            handle = os.open(_name(path, at), flags | NO_FOLLOW, 0o666, dir_fd=at)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Linked(path) from None
            raise
        try:
            require_own_file(handle, path)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def write(self, handle: int, data: memoryview) -> int:
        """Write bytes and return how many were written."""
        return os.write(handle, data)

    def truncate(self, handle: int, length: int) -> None:
        """Cut a file to a length in bytes."""
        os.ftruncate(handle, length)

    def sync(self, handle: int) -> None:
        """Wait until a file's bytes are on the disk (`os.fsync`)."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Close a file handle."""
        os.close(handle)

    def replace(self, source: Path, target: Path, at: int | None = None) -> None:
        """Put `source` in the place of `target` (`os.replace`), tried again where Windows refuses. A link there is replaced itself."""
        # Windows refuses while a virus scanner or another reader holds the file for a moment.
        for last in (False,) * 5 + (True,):
            try:
                os.replace(_name(source, at), _name(target, at), src_dir_fd=at, dst_dir_fd=at)
                return
            except PermissionError:
                if last:
                    raise
                time.sleep(0.05)

    def remove(self, path: Path, at: int | None = None) -> None:
        """Delete a file, or a link and not what it leads to."""
        os.unlink(_name(path, at), dir_fd=at)

    def remove_folder(self, path: Path, at: int | None = None) -> None:
        """Delete an empty folder."""
        os.rmdir(_name(path, at), dir_fd=at)

    def sync_folder(self, path: Path, at: int | None = None) -> None:
        """Where the system can flush a folder (POSIX); elsewhere nothing. `at` is here the folder's own handle."""
        try:
            handle = os.open(path, os.O_RDONLY) if at is None else os.dup(at)
        except PermissionError:
            return
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOTSUP):
                raise
        finally:
            os.close(handle)


layer = Layer()


def _name(path: Path, at: int | None) -> Path | str:
    return path if at is None else path.name


def write_file(path: Path, data: bytes, *, at: int | None = None, needed: int | None = None, sync_folder: bool = True) -> Fact:
    """Put `data` at `path`: after a crash at any moment there is the old file or the new one, never a mixture.

    `at` is the handle of the folder `path` lies in, where it must not be left by a link. `needed` is what the whole save still has to
    write, for the message when there is no room. With `sync_folder=False` the caller flushes the folder once for several files.

    Raises:
        NoSpace: no room. The partial file is removed and what was at `path` is as before.
        Unwritable: the disk refuses for another reason; the same holds.
    """
    partial = path.with_name(f"{path.name}{PARTIAL}{uuid.uuid4().hex}")
    try:
        with said_plainly(path.parent, len(data) if needed is None else needed):
            handle = layer.create(partial, at)
            try:
                write_all(handle, data)
                layer.sync(handle)
            finally:
                layer.close(handle)
            fact = fact_of(data)
            layer.replace(partial, path, at)
            if sync_folder:
                layer.sync_folder(path.parent, at)
    except BaseException:
        with contextlib.suppress(OSError):
            layer.remove(partial, at)
        raise
    return fact


def write_all(handle: int, data: bytes) -> None:
    """Write all of the bytes, in pieces of at most 64 MiB."""
    rest = memoryview(data)
    while rest:
        # Linux writes at most 2 GiB at once; smaller pieces also keep other threads served.
        rest = rest[layer.write(handle, rest[: 64 << 20]) :]


def fact_of(data: bytes) -> Fact:
    """SHA-256 and size of some bytes."""
    return Fact(hashlib.sha256(data).hexdigest(), len(data))


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def fault_of(path: Path | str, size: int | None, at_least: bool = False) -> str:
    """What a glance at a file's entry shows to be wrong with it, "" when nothing is. Does not read it."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if stat.S_ISLNK(found.st_mode):
        return IS_A_LINK
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    if not found.st_mode & 0o444:
        return "may not be read (its permissions forbid it)"
    if size is None or found.st_size == size or (at_least and found.st_size > size):
        return ""
    if found.st_size == 0:
        return "is empty"
    return f"has {found.st_size:,} bytes instead of {size:,}"


def no_follow(path: str, flags: int) -> int:
    """An `opener` for `open`: no link is followed, and no pipe waited for."""
    return os.open(path, flags | NO_FOLLOW)


def read_file(path: Path, fact: Fact | None = None, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file, only if they are what `fact` says. Never reads more than `limit`.

    Raises:
        Damaged: missing, no file, cut short, changed, too large.
    """
    fault = fault_of(path, fact.bytes if fact else None)
    if fault:
        raise Damaged(fault)
    try:
        with open(path, "rb", opener=no_follow) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise Damaged(f"is larger than {megabytes(limit)}")
            data = file.read(size)
    except OSError as error:
        raise Damaged(IS_A_LINK if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})") from None
    except MemoryError:
        raise Damaged("does not fit into memory") from None
    if fact and hashlib.sha256(data).hexdigest() != fact.sha256:
        raise Damaged("was changed since it was saved (its SHA-256 differs)")
    return data


# ---------------------------------------------------------------------------------------------------------------------
# JSON that carries its own checksum
# ---------------------------------------------------------------------------------------------------------------------

_BLANK = b"0" * 64
_TAIL = b'"\n}\n'


def seal(content: dict[str, Any]) -> bytes:
    """Readable JSON whose last key, `check`, is the SHA-256 of the text with the check set to zeros."""
    content = {key: value for key, value in content.items() if key != "check"}
    text = json.dumps({**content, "check": _BLANK.decode()}, indent=1, default=plain).encode() + b"\n"
    check = hashlib.sha256(text).hexdigest().encode()
    return text[: -len(_BLANK + _TAIL)] + check + _TAIL


def unseal(data: bytes) -> dict[str, Any]:
    """Raises: Damaged: a single changed bit anywhere is noticed."""
    if not data:
        raise Damaged("is empty")
    start = len(data) - len(_BLANK + _TAIL)
    check = data[start : start + len(_BLANK)]
    blank = data[: max(start, 0)] + _BLANK + data[start + len(_BLANK) :]
    if start < 0 or hashlib.sha256(blank).hexdigest().encode() != check:
        raise Damaged("was cut short or changed (its checksum differs)")
    content = read_json(data)
    del content["check"]
    return content


def read_json(data: bytes) -> dict[str, Any]:
    """Raises: Damaged."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise Damaged("is no JSON") from None
    if not isinstance(content, dict):
        raise Damaged("is no JSON object")
    return content


def plain(value: Any) -> Any:
    """Numpy numbers and arrays as JSON knows them. Raises: TypeError: anything else."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


# ---------------------------------------------------------------------------------------------------------------------
# Arrays
# ---------------------------------------------------------------------------------------------------------------------


def check_finite(arrays: dict[str, np.ndarray]) -> None:
    """Check that arrays [...] hold neither NaN nor infinity. Raises: NonFinite: names the first one that does."""
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise NonFinite(name)


_DTYPES = {
    "b1": "BOOL", "u1": "U8", "i1": "I8", "u2": "U16", "i2": "I16", "f2": "F16", "u4": "U32", "i4": "I32", "f4": "F32", "c8": "C64",
    "u8": "U64", "i8": "I64", "f8": "F64",
}  # fmt: skip


def tensors_to_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays [...] by name as a safetensors file. Raises: MemoryError (the library's own writer ends the whole process then)."""
    header: dict[str, Any] = {}
    pieces: list[Any] = []
    start = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):  # so that every array begins aligned
        array = np.ascontiguousarray(arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False))
        kind = _DTYPES[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(arrays[name].shape), "data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
        pieces.append(array.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, *pieces))


def tensors_from_bytes(data: bytes) -> dict[str, np.ndarray]:
    """Arrays [...] by name of a safetensors file, writable. The header is bounded before it is parsed.

    Raises:
        Damaged: no safetensors, or one that no training of ours would write.
    """
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > len(data) - 8:
        raise Damaged("is no safetensors file")
    if header > MAX_HEADER_BYTES or data.count(b'"data_offsets"', 8, 8 + header) > MAX_TENSORS:
        raise Damaged("lists more tensors than any model here has")
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise Damaged(f"is no safetensors file ({error})") from None
    return {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}


def arrays_to_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays [...] by name as an .npz file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def arrays_from_npz(data: bytes) -> dict[str, np.ndarray]:
    """Arrays [...] by name: plain numbers only, and all together no larger than the bytes that are really there.

    Raises:
        Damaged
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS or sum(info.file_size for info in members) > len(data):  # they may overlap
                raise ValueError("sizes that do not add up")
            return {info.filename.removesuffix(".npy"): _read_npy(archive, info) for info in members}
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, NotImplementedError, RuntimeError, MemoryError) as error:
        raise Damaged(f"is no archive of arrays ({error})") from None


# numpy's own reader of this header evaluates it as Python and fails in many ways when it is forged.
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|](?:b1|[iu][1248]|f[248]))', "
    rb"'fortran_order': (True|False), 'shape': \(([0-9, ]{0,200})\), \} *\n",
    re.DOTALL,
)


def _read_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("packed data")
    content = archive.read(info)
    header = _NPY.match(content)
    if not header:
        raise ValueError("not plain numbers")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(size) for size in header[3].split(b",") if size.strip())
    if math.prod(shape) * dtype.itemsize != len(content) - header.end():
        raise ValueError("sizes that do not add up")
    return np.frombuffer(content, dtype, offset=header.end()).reshape(shape, order="F" if header[2] == b"True" else "C").copy()
