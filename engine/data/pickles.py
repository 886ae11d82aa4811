"""Pickled arrays and tensors of foreign files, as the program gets them from the decoding process (unpickling.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

UNCHANGEABLE = "changes an object that is neither an array nor a tensor"


class Refused(Exception):
    """What in the pickle is not allowed, as the end of a sentence that begins “it ”."""


@dataclass
class Storage:
    """A run of numbers kept elsewhere in the file, as torch writes it."""

    key: str
    dtype: np.dtype
    count: int

    def __setstate__(self, state: Any) -> None:
        raise Refused(UNCHANGEABLE)


@dataclass
class Tensor:
    """A view of a storage; sizes and strides in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __setstate__(self, state: Any) -> None:
        raise Refused(UNCHANGEABLE)

    def view(self, data: bytes | memoryview | np.ndarray) -> np.ndarray:
        """The numbers, an array of shape [*size], once the storage's bytes are known.

        Raises:
            Refused: sizes that reach outside the storage, or count a number more than once.
        """
        count = math.prod(self.size)
        numbers = np.frombuffer(data, self.storage.dtype)
        if min((self.offset, *self.size, *self.stride), default=0) < 0 or len(self.size) != len(self.stride):
            raise Refused("has a tensor with negative or missing sizes")
        if count == 0:
            return np.zeros(self.size, self.storage.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if last >= len(numbers) or count > len(numbers):
            raise Refused("has a tensor that claims more numbers than the file holds")
        strides = tuple(s * numbers.itemsize for s in self.stride)
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides, writeable=False)


def load(source: str | bytes, count: int = 1) -> tuple[list[Any], int]:
    """The first `count` pickles of a file (a path or its bytes), and the byte where they end.

    Raises:
        Refused: a name, an instruction or a layout that is not allowed, or a damaged file.
    """
    from engine.data.decoder import Undecodable, the_decoder

    try:
        answer, numbers = the_decoder().unpickle(source, count)
    except Undecodable as why:
        raise Refused(str(why)) from None
    return [_value(plain, numbers) for plain in answer["values"]], answer["end"]


def _value(plain: Any, numbers: bytes) -> Any:
    """What unpickling.py wrote down, as values again."""
    if not isinstance(plain, dict):
        return plain
    ((kind, inside),) = plain.items()
    match kind:
        case "bytes":
            return inside.encode("latin1")
        case "list":
            return [_value(item, numbers) for item in inside]
        case "tuple":
            return tuple(_value(item, numbers) for item in inside)
        case "dict":
            return {_hashable(_value(key, numbers)): _value(item, numbers) for key, item in inside}
        case "array":
            dtype, shape, place = inside
            return np.frombuffer(numbers, dtype, math.prod(shape), place).reshape(shape)
        case _:
            key, dtype, total, offset, size, stride = inside
            if not isinstance(key, str) or not all(type(n) is int for n in (total, offset, *size, *stride)):
                raise Refused("has a tensor of an unknown layout")
            return Tensor(Storage(key, np.dtype(dtype), total), offset, tuple(size), tuple(stride))


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except TypeError:
        raise Refused("is damaged") from None
    return key
