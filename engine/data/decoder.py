"""Single foreign pictures, decoded outside this process."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import reader_process
from engine.data.dataset import BadData
from engine.data.frames import Room
from engine.data.limits import DECODE_SECONDS, LONGEST_SIDE, MAX_FILE_BYTES, MIB, SILENT_SECONDS, WAIT_FACTOR
from engine.data.pictures import Picture
from engine.data.preprocessing import Preprocessing
from engine.data.reader_process import Frame, ReaderDead, ReaderLate, ReaderMissing, ReaderProcess, borrowed
from engine.data.table_text import RawTable


class Undecodable(Exception):
    """Why a file gives no picture: a clause with cause and next step, without the file's name."""


def decode(source: str | bytes, how: Preprocessing) -> Picture:
    """The first frame of a file (a path or its bytes), by the decisions of a set.

    Raises:
        Undecodable: no picture, and why.
    """
    answer, payload = _ask("decode", source, how)
    size = answer["shape"]
    if math.prod(size) != len(payload) or len(size) != 3 or max(size) > LONGEST_SIDE:
        raise Undecodable("the decoder gave a damaged answer for it; save it again as PNG")
    return Picture(np.frombuffer(payload, np.uint8).reshape(size), tuple(answer["notes"]), how)


def look(source: str | bytes) -> tuple[int, int, int]:
    """(C, H, W) of the upright picture as its header says.

    Raises:
        Undecodable: no picture, and why.
    """
    channels, height, width = _ask("look", source)[0]["shape"]
    return channels, height, width


def frames_of(source: str) -> int:
    """How many pages or frames a file has; 1 where it has none.

    Raises:
        Undecodable: no picture, and why.
    """
    return int(_ask("look", source)[0]["frames"])


def _ask(op: str, source: str | bytes, how: Preprocessing | None = None) -> Frame:
    data = source if isinstance(source, bytes) else b""
    if len(data) > MAX_FILE_BYTES:
        raise Undecodable(f"it has {len(data) / MIB:,.0f} MB and the limit is {MAX_FILE_BYTES // MIB} MB; save it smaller")
    path = None if isinstance(source, bytes) else os.path.abspath(source)
    try:
        with borrowed() as process:
            answer = exchange(process, {"op": op, "path": path, "shape": None, "how": {} if how is None else how.changed()}, data)
    except (ReaderLate, ReaderDead, ReaderMissing) as error:
        raise Undecodable(clause(error)) from None
    if "bad" in answer[0]:
        raise Undecodable(answer[0]["bad"])
    return answer


def read_table(path: str) -> RawTable | None:
    """The cells of a table of labels, read outside this process; None where it is none."""
    try:
        with borrowed() as process:
            head, payload = process.exchange({"op": "table", "path": os.path.abspath(path)}, b"", SILENT_SECONDS)
        if "bad" in head:
            return None
        columns, rows = [str(name) for name in head["columns"]], json.loads(payload)
    except (ReaderLate, ReaderDead, ReaderMissing, ValueError, KeyError, TypeError):
        return None
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        return None
    return RawTable(
        columns, [[str(cell) for cell in row] for row in rows], bool(head.get("headed", True)), remark=str(head.get("remark", ""))
    )


def exchange(process: ReaderProcess, request: dict[str, Any], data: bytes = b"", room: Room | None = None) -> Frame:
    """One question about pictures; `room` takes the beginning of the payload. Raises: ReaderLate, ReaderDead, ReaderMissing."""
    return process.exchange(request, data, DECODE_SECONDS * WAIT_FACTOR, room)


def clause(error: Exception) -> str:
    """Why a process gave no picture, without the file's name."""
    if isinstance(error, ReaderLate):
        return f"decoding it took longer than {DECODE_SECONDS:g} seconds; save it again as a smaller PNG"
    if isinstance(error, ReaderMissing):
        return str(error)
    return "its content made the decoder end; save it again as PNG"


def close() -> None:
    """End the idle reading processes now; the next picture starts a new one."""
    reader_process.close()


def read_image(source: str | Path | bytes, name: str = "", how: Preprocessing | None = None) -> Picture:
    """A picture from a file of any common kind, or from the bytes of one; decoded outside this process.

    Pixels are uint8 [H, W, 1 or 3], upright, at most 1024 pixels a side, the first frame of an animation, transparency on white; or by
    the decisions `how` of the set that a run was trained on. `notes` says what was changed.

    Raises:
        BadData: one sentence that names the file, the cause and the next step.
    """
    name = name or ("The dropped image" if isinstance(source, bytes) else f"“{Path(source).name}”")
    try:
        return decode(source if isinstance(source, bytes) else str(source), how or Preprocessing())
    except Undecodable as why:
        raise BadData(f"{name} cannot be shown: {why}.") from None
