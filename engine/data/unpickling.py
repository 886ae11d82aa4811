"""Pickled arrays and tensors, read by an `Unpickler` that knows a dozen names and calls nothing that a file brings along.

Runs in the confined process only (reader_child.py), which has little memory and may write no file: a pickle that makes Python
end takes nothing with it.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.limits import MAX_PICKLE_DEPTH, MAX_PICKLE_VALUES

_UNCHANGEABLE = "changes an object that is neither an array nor a tensor"
_DTYPES = {"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"}
_STORAGES = {
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "HalfStorage": "<f2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "BoolStorage": "?",
}
_DAMAGE = (
    pickle.UnpicklingError,
    AttributeError,
    ImportError,
    LookupError,
    OverflowError,
    RecursionError,
    struct.error,
    TypeError,
    ValueError,
)


class Refused(Exception):
    """What in the pickle is not allowed, as the end of a sentence that begins “it ”."""


@dataclass
class Storage:
    """A run of numbers kept elsewhere in the file, as torch writes it."""

    key: str
    dtype: np.dtype
    count: int

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers."""
        return self.count * self.dtype.itemsize

    def __setstate__(self, state: Any) -> None:
        raise Refused(_UNCHANGEABLE)


@dataclass
class Tensor:
    """A view of a storage; sizes and strides in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __setstate__(self, state: Any) -> None:
        raise Refused(_UNCHANGEABLE)

    def check(self) -> None:
        """Raises: Refused: sizes that reach outside the storage, or count a number more than once."""
        if min((self.offset, *self.size, *self.stride), default=0) < 0 or len(self.size) != len(self.stride) or len(self.size) > 8:
            raise Refused("has a tensor with negative or missing sizes")
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        count = math.prod(self.size)
        if count and (last >= self.storage.count or count > self.storage.count):
            raise Refused("has a tensor that claims more numbers than the file holds")

    @property
    def contiguous(self) -> bool:
        """Whether its numbers stand one after the other, the last axis fastest."""
        expected = 1
        for size, stride in zip(reversed(self.size), reversed(self.stride), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


class _Known:
    """A name that a file may mention; called with what stands in the file it builds a description, and it cannot be changed."""

    __slots__ = ("_build", "name")

    def __init__(self, name: str, build: Callable[..., Any] | None = None) -> None:
        self.name, self._build = name, build

    def __call__(self, *arguments: Any) -> Any:
        if self._build is None:
            raise Refused(f"uses {self.name} in an unknown way")
        return self._build(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise Refused(_UNCHANGEABLE)


class _Array:
    """numpy's empty array, waiting for its state."""

    __slots__ = ("value",)

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        match state:
            case (int(), tuple() as shape, _Dtype() as dtype, bool() | int() as fortran, bytes() as data):
                if not all(type(n) is int and n >= 0 for n in shape):
                    raise Refused("has an array with an impossible shape")
                if math.prod(shape) * dtype.value.itemsize != len(data):
                    raise Refused("has an array whose shape does not fit its bytes")
                self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if fortran else "C")
            case _:
                raise Refused("has an array of an unknown layout")


class _Dtype:
    __slots__ = ("value",)

    def __init__(self, code: Any = None, *_: Any) -> None:
        text = code.decode("ascii", "replace") if isinstance(code, bytes) else code
        if not isinstance(text, str) or text not in _DTYPES:
            raise Refused("has an array of something other than numbers")
        self.value = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) >= 2 else "|"
        order = order.decode("ascii", "replace") if isinstance(order, bytes) else order
        if order in ("<", ">"):
            self.value = self.value.newbyteorder(order)


def _latin1(text: Any = None, encoding: Any = None) -> bytes:
    """How Python 3 writes bytes for Python 2: a text, and that each of its letters is a byte."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("uses _codecs.encode in an unknown way")
    return text.encode("latin1")


def _empty_dict(*arguments: Any) -> dict[Any, Any]:
    if arguments:
        raise Refused("uses collections.OrderedDict in an unknown way")
    return {}


def _tensor(storage: Any = None, offset: Any = None, size: Any = None, stride: Any = None, *_: Any) -> Tensor:
    numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise Refused("has a tensor of an unknown layout")
    if not all(type(n) is int for n in numbers):
        raise Refused("has a tensor of an unknown layout")
    return Tensor(storage, offset, size, stride)


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _Known("numpy.core.multiarray._reconstruct", _Array),
    ("numpy._core.multiarray", "_reconstruct"): _Known("numpy._core.multiarray._reconstruct", _Array),
    ("numpy", "ndarray"): _Known("numpy.ndarray"),
    ("numpy", "dtype"): _Known("numpy.dtype", _Dtype),
    ("_codecs", "encode"): _Known("_codecs.encode", _latin1),
    ("collections", "OrderedDict"): _Known("collections.OrderedDict", _empty_dict),
    ("torch._utils", "_rebuild_tensor"): _Known("torch._utils._rebuild_tensor", _tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Known("torch._utils._rebuild_tensor_v2", _tensor),
    **{("torch", kind): _Known(f"torch.{kind}") for kind in _STORAGES},
}


class ListedUnpickler(pickle.Unpickler):
    """Builds containers, numbers, strings, and what `_KNOWN` lists; every other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """The function or class of the list. Raises: Refused: any other."""
        known = _KNOWN.get((module, name))
        if known is None:
            shown = "".join(c for c in f"{module}.{name}"[:60] if c.isprintable())
            raise Refused(f"asks to run “{shown}”, which is neither an array nor a tensor")
        return known

    def persistent_load(self, pid: Any) -> Storage:
        """torch's reference to numbers elsewhere in the file: ("storage", type, key, device, count[, view]). Raises: Refused: any other
        reference.
        """
        match pid:
            case ("storage", _Known() as kind, str() as key, str(), int() as count, *view) if kind.name.removeprefix("torch.") in _STORAGES:
                if type(count) is not int or count < 0 or view not in ([], [None]):
                    raise Refused("has a storage of an unknown layout")
                return Storage(key, np.dtype(_STORAGES[kind.name.removeprefix("torch.")]), count)
        raise Refused("refers to something outside the file")


def unpickle(source: str | bytes, count: int = 1) -> tuple[list[Any], int]:
    """The first `count` pickles of a file (a path or its bytes), and the byte where they end.

    Raises:
        Refused: a name, an instruction, a layout or a value that no table of images needs, or a damaged file.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
            values = [ListedUnpickler(file, encoding="bytes").load() for _ in range(count)]
            end = file.tell()
        left = [MAX_PICKLE_VALUES]
        return [_plain(value, left) for value in values], end
    except EOFError:
        raise Refused("ends too early") from None
    except _DAMAGE:
        raise Refused("is damaged") from None


def _plain(value: Any, left: list[int], depth: int = 0) -> Any:
    """Containers, numbers, texts, arrays and tensors, each counted; a list that holds itself ends here."""
    left[0] -= 1
    if left[0] < 0 or depth > MAX_PICKLE_DEPTH:
        raise Refused("is far longer or deeper than any table of images")
    match value:
        case None | bool() | int() | float() | str() | bytes() | Tensor():
            return value
        case list():
            return [_plain(item, left, depth + 1) for item in value]
        case tuple():
            return tuple(_plain(item, left, depth + 1) for item in value)
        case dict():
            return {_plain(key, left, depth + 1): _plain(item, left, depth + 1) for key, item in value.items()}
        case _Array(value=np.ndarray() as array):
            return array
    raise Refused("holds something that is neither an array nor a tensor")
