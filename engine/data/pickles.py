"""A machine for pickled arrays and tensors that never calls anything a file names.

Python's own unpickler imports and runs what a file asks for; torch's `weights_only=True` narrows that to a list. This one knows a
few opcodes and builds containers, numbers, strings and two kinds of description: where an array's bytes lie and how they are laid
out. Everything else is refused. Opcodes: CPython's Lib/pickletools.py.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.limits import MAX_PICKLE_STEPS


class Refused(Exception):
    """What in the pickle is not allowed, as the end of a sentence that begins “it ”."""


@dataclass
class Storage:
    """A run of numbers kept elsewhere in the file, as torch writes it."""

    key: str
    dtype: np.dtype
    count: int


@dataclass
class Tensor:
    """A view of a storage; sizes and strides in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def view(self, data: bytes | memoryview | np.ndarray) -> np.ndarray:
        """The numbers, once the storage's bytes are known.

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


class _Name(str):
    """A global that the file mentions; only compared, never looked up."""


class _Array:
    """numpy's empty array, waiting for its state."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        match state:
            case (int(), tuple() as shape, _Dtype() as dtype, bool() | int() as fortran, bytes() | memoryview() as data):
                count = _count(shape)
                if count * dtype.value.itemsize != len(data):
                    raise Refused("has an array whose shape does not fit its bytes")
                self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if fortran else "C")
            case _:
                raise Refused("has an array of an unknown layout")


class _Dtype:
    def __init__(self, code: Any) -> None:
        text = bytes(code).decode("ascii", "replace") if isinstance(code, bytes | memoryview) else code
        if not isinstance(text, str) or text not in _DTYPES:
            raise Refused("has an array of something other than numbers")
        self.value = np.dtype(text)

    def set_state(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) >= 2 else "|"
        order = bytes(order).decode("ascii", "replace") if isinstance(order, bytes | memoryview) else order
        if order in ("<", ">"):
            self.value = self.value.newbyteorder(order)


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
_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_TENSORS = {"torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2"}
_ALLOWED = (
    _RECONSTRUCT
    | _TENSORS
    | {"numpy ndarray", "numpy dtype", "_codecs encode", "collections OrderedDict"}
    | {f"torch {name}" for name in _STORAGES}
)


def _count(shape: tuple[Any, ...]) -> int:
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Refused("has an array with an impossible shape")
    return math.prod(shape)


def _call(function: Any, arguments: Any) -> Any:
    """What a REDUCE of an allowed name stands for."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise Refused("calls something that is not a name")
    if function in _RECONSTRUCT:
        return _Array()
    if function == "numpy dtype" and arguments:
        return _Dtype(arguments[0])
    if function == "_codecs encode" and len(arguments) == 2 and arguments[1] == "latin1" and isinstance(arguments[0], str):
        return arguments[0].encode("latin1")
    if function == "collections OrderedDict" and arguments == ():
        return {}
    if function in _TENSORS and len(arguments) >= 4:
        storage, offset, size, stride = arguments[:4]
        numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
        if isinstance(storage, Storage) and all(isinstance(n, int) for n in numbers):
            return Tensor(storage, offset, size, stride)
    raise Refused(f"uses {function.replace(' ', '.')} in an unknown way")


def _storage(reference: Any) -> Storage:
    """torch's persistent id: ("storage", type, key, device, count[, view])."""
    match reference:
        case ("storage", _Name() as kind, str() as key, str(), int() as count, *view) if kind.startswith("torch "):
            if count < 0 or view not in ([], [None]):
                raise Refused("has a storage of an unknown layout")
            return Storage(key, np.dtype(_STORAGES[kind.removeprefix("torch ")]), count)
    raise Refused("refers to something outside the file")


class Machine:
    """Reads one pickle after the other from bytes."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        self.place = 0
        self.steps = 0

    def load(self) -> Any:
        """The object of the next pickle.

        Raises:
            Refused: an opcode, a name or a layout that is not allowed, or a damaged file.
        """
        try:
            return self._load()
        except (IndexError, KeyError, TypeError, ValueError, struct.error, UnicodeError, OverflowError, RecursionError):
            raise Refused("is damaged") from None

    def take(self, count: int) -> memoryview:
        """The next bytes as they are."""
        if count < 0 or self.place + count > len(self.data):
            raise Refused("ends too early")
        piece = self.data[self.place : self.place + count]
        self.place += count
        return piece

    def _number(self, layout: str) -> int:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        end = bytes(self.data[self.place : self.place + 512]).find(b"\n")
        if end < 0:
            raise Refused("is damaged")
        line = bytes(self.take(end + 1))[:-1]
        return line.decode("ascii")

    def _name(self, module: Any, name: Any) -> _Name:
        full = _Name(f"{module} {name}")
        if full not in _ALLOWED:
            shown = "".join(c for c in str(full).replace(" ", ".")[:60] if c.isprintable())
            raise Refused(f"asks to run “{shown}”, which is neither an array nor a tensor")
        return full

    def _load(self) -> Any:
        stack: list[Any] = []
        marks: list[int] = []
        memo: dict[int, Any] = {}

        def since_mark() -> list[Any]:
            start = marks.pop()
            items = stack[start:]
            del stack[start:]
            return items

        while True:
            self.steps += 1
            if self.steps > MAX_PICKLE_STEPS:
                raise Refused("is far longer than any table of images")
            code = self.take(1)[0]
            match code:
                case 0x4B:  # BININT1
                    stack.append(self.take(1)[0])
                case 0x4D:  # BININT2
                    stack.append(self._number("<H"))
                case 0x4A:  # BININT
                    stack.append(self._number("<i"))
                case 0x8A:  # LONG1
                    stack.append(int.from_bytes(self.take(self.take(1)[0]), "little", signed=True))
                case 0x49:  # INT
                    line = self._line()
                    stack.append({"00": False, "01": True}.get(line) if line in ("00", "01") else int(line))
                case 0x47:  # BINFLOAT
                    stack.append(struct.unpack(">d", self.take(8))[0])
                case 0x4E:  # NONE
                    stack.append(None)
                case 0x88:  # NEWTRUE
                    stack.append(True)
                case 0x89:  # NEWFALSE
                    stack.append(False)
                case 0x55:  # SHORT_BINSTRING
                    stack.append(bytes(self.take(self.take(1)[0])))
                case 0x54:  # BINSTRING
                    stack.append(self._bytes(self._number("<i")))
                case 0x43:  # SHORT_BINBYTES
                    stack.append(bytes(self.take(self.take(1)[0])))
                case 0x42:  # BINBYTES
                    stack.append(self._bytes(self._number("<I")))
                case 0x8E:  # BINBYTES8
                    stack.append(self._bytes(self._number("<Q")))
                case 0x58:  # BINUNICODE
                    stack.append(str(self.take(self._number("<I")), "utf-8", "surrogatepass"))
                case 0x8C:  # SHORT_BINUNICODE
                    stack.append(str(self.take(self.take(1)[0]), "utf-8", "surrogatepass"))
                case 0x28:  # MARK
                    marks.append(len(stack))
                case 0x5D:  # EMPTY_LIST
                    stack.append([])
                case 0x7D:  # EMPTY_DICT
                    stack.append({})
                case 0x29:  # EMPTY_TUPLE
                    stack.append(())
                case 0x6C:  # LIST
                    stack.append(since_mark())
                case 0x74:  # TUPLE
                    stack.append(tuple(since_mark()))
                case 0x64:  # DICT
                    items = since_mark()
                    stack.append(dict(zip(items[::2], items[1::2], strict=True)))
                case 0x85 | 0x86 | 0x87:  # TUPLE1, TUPLE2, TUPLE3
                    items = tuple(stack[-(code - 0x84) :])
                    del stack[-(code - 0x84) :]
                    stack.append(items)
                case 0x61:  # APPEND
                    item = stack.pop()
                    _list(stack[-1]).append(item)
                case 0x65:  # APPENDS
                    items = since_mark()
                    _list(stack[-1]).extend(items)
                case 0x73:  # SETITEM
                    value, key = stack.pop(), stack.pop()
                    _dict(stack[-1])[key] = value
                case 0x75:  # SETITEMS
                    items = since_mark()
                    _dict(stack[-1]).update(zip(items[::2], items[1::2], strict=True))
                case 0x71:  # BINPUT
                    memo[self.take(1)[0]] = stack[-1]
                case 0x72:  # LONG_BINPUT
                    memo[self._number("<I")] = stack[-1]
                case 0x94:  # MEMOIZE
                    memo[len(memo)] = stack[-1]
                case 0x68:  # BINGET
                    stack.append(memo[self.take(1)[0]])
                case 0x6A:  # LONG_BINGET
                    stack.append(memo[self._number("<I")])
                case 0x63:  # GLOBAL
                    module = self._line()
                    stack.append(self._name(module, self._line()))
                case 0x93:  # STACK_GLOBAL
                    name, module = stack.pop(), stack.pop()
                    stack.append(self._name(module, name))
                case 0x52:  # REDUCE
                    arguments = stack.pop()
                    stack.append(_call(stack.pop(), arguments))
                case 0x62:  # BUILD
                    state = stack.pop()
                    if not isinstance(stack[-1], _Array | _Dtype):
                        raise Refused("changes an object that is neither an array nor a tensor")
                    stack[-1].set_state(state)
                case 0x51:  # BINPERSID
                    stack.append(_storage(stack.pop()))
                case 0x80:  # PROTO
                    self.take(1)
                case 0x95:  # FRAME
                    self.take(8)
                case 0x2E:  # STOP
                    return stack.pop()
                case _:
                    raise Refused("holds instructions that no table of images needs")

    def _bytes(self, count: int) -> bytes | memoryview:
        """Short ones as bytes, so that they can be keys; long ones stay where they are."""
        piece = self.take(count)
        return bytes(piece) if count <= 4096 else piece


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Refused("is damaged")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise Refused("is damaged")
    return value


def array_of(value: Any) -> np.ndarray | None:
    """The array that a loaded value stands for, or None."""
    return value.value if isinstance(value, _Array) else None
