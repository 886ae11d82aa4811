"""The process that reads foreign files: takes requests from stdin, writes pixels to stdout, and may die without harm to the program.

It has little memory, may write no file, use no network and start no process, and knows no torch. The program's side is
reader_process.py.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine.data.confinement import allow_bytes, confine
from engine.data.dataset import BadData, Sampled, SampleWish, Step
from engine.data.errors import Bad
from engine.data.fingerprints import packed_prints
from engine.data.frames import receive, send
from engine.data.limits import BATCH_SECONDS, DECODE_SECONDS, MAX_TABLE_BYTES
from engine.data.pixel_facts import Facts
from engine.data.plain_png import Sheet
from engine.data.preprocessing import Preprocessing, preprocessing_of
from engine.data.recipe import recipe_of
from engine.data.rows import PixelRows, Restart, source_frame

TELL_SECONDS = 0.015  # between two words of progress
READERS = ("arrays", "cifar", "hdf5", "idx", "matlab", "packed", "parquet", "pixel_table", "stl10", "tensors", "text")


_sheets: list[Sheet] = []


def main() -> None:
    """Read files asked for over standard input until it closes; answers go to standard output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what C libraries print must not reach the answers
    requests = sys.stdin.buffer

    from PIL import Image

    import engine.data.decoding
    import engine.data.table_text
    import engine.data.unpickling  # noqa: F401

    for reader in READERS:
        importlib.import_module(f"engine.data.readers.{reader}")
    Image.init()
    confine()
    send(answers, {"ready": True})
    while (frame := receive(requests)) is not None:
        request, data = frame
        if request["op"] == "read":
            _read(request, answers)
        elif request["op"] == "batch":
            send(answers, *_batch(request))
        elif request["op"] == "summary":
            send(answers, *_summary(request))
        elif request["op"] == "table":
            send(answers, *_table(request))
        else:
            _time_limit(DECODE_SECONDS)
            answer = _picture(request, data)
            _time_limit(0)
            send(answers, *answer)


def _time_limit(seconds: float) -> None:
    """This process ends when it computes longer than that from now on; 0: no limit. Where the system has none, the program's remains."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _read(request: dict[str, Any], answers: IO[bytes]) -> None:
    """Frames of steps and rows, then one of the source or of why there is none."""
    try:
        if request["reader"] not in READERS:
            raise BadData(f"There is no reader “{request['reader']}”.")
        reader = importlib.import_module(f"engine.data.readers.{request['reader']}")
        wish = () if request.get("sample") is None else (SampleWish(*request["sample"]),)
        steps = reader.read(Path(request["path"]), recipe_of(request["recipe"]), *wish)
        told = 0.0
        while True:
            item = next(steps)
            if isinstance(item, PixelRows):
                head = {"rows": item.part, "room": list(item.room), "prints": bool(item.prints)}
                send(answers, head, np.ascontiguousarray(item.pixels), item.prints)
            elif isinstance(item, Restart):
                send(answers, {"restart": True})
            elif isinstance(item, Sampled):
                head, payload = source_frame(item.source)
                send(answers, {"sampled": head["source"], "counts": item.counts, "class_counts": item.class_counts}, payload)
            elif isinstance(item, Step) and time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                send(answers, {"step": [item.done, item.total, item.unit, item.note]})
    except StopIteration as end:
        send(answers, *source_frame(end.value))
    except (BadData, OSError, MemoryError, Exception) as error:
        send(answers, {"bad": _sentence(Path(request["path"]).name, error)})
    allow_bytes(0)


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, BadData):
        return str(error)
    if isinstance(error, OSError):
        return f"{name} could not be read ({error.strerror or 'the disk gave no reason'}); check the file and its permissions."
    if isinstance(error, MemoryError):
        return f"{name} was not opened: it needs more memory to be read than any data set of images; use a part of it."
    return f"{name} is damaged in an unforeseen way; save or download it again."


def _picture(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], Any]:
    """One picture, or only its size."""
    from engine.data.decoding import look, read_bytes

    def found() -> tuple[dict[str, Any], Any]:
        content = data if request["path"] is None else read_bytes(request["path"])
        if request["op"] == "look":
            seen = look(content)
            return {"shape": [seen.channels, seen.height, seen.width], "frames": seen.frames}, b""
        pixels, notes, _ = _adapted(content, request["shape"], preprocessing_of(request.get("how")), None)
        return {"shape": list(pixels.shape), "notes": notes}, pixels

    return _caught(found)


def _adapted(
    content: bytes, shape: list[int] | None, how: Preprocessing, page: int | None
) -> tuple[np.ndarray, list[str], tuple[list[int], Facts]]:
    """Pixels, notes, and (C, H, W) of the upright picture in its file with what its values show."""
    from engine.data.decoding import decode
    from engine.data.pictures import Picture, adapt

    pixels, notes, seen = decode(content, how, page)
    if shape is not None:
        pixels, said = adapt(Picture(pixels, (), how), tuple(shape))
        notes += said
    return pixels, notes, ([seen.channels, seen.height, seen.width], seen.facts)


def _summary(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What the list of data sets says of a file; {"bad"} where that cannot be told."""
    if request["reader"] not in READERS:
        return {"bad": "there is no such reader"}, b""
    _time_limit(DECODE_SECONDS)
    try:
        return {"summary": importlib.import_module(f"engine.data.readers.{request['reader']}").summary(Path(request["path"]))}, b""
    except Exception as error:
        return {"bad": _sentence(Path(request["path"]).name, error)}, b""
    finally:
        _time_limit(0)


def _table(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The cells of a table beside pictures as JSON; {"bad"} where it is none."""
    from engine.data.decoding import read_bytes
    from engine.data.table_text import NoTable, parse_table

    def found() -> tuple[dict[str, Any], Any]:
        path = Path(request["path"])
        if path.stat().st_size > MAX_TABLE_BYTES:
            return {"bad": "it is larger than any table of labels"}, b""
        try:
            table = parse_table(path.name, read_bytes(str(path)))
        except NoTable:
            return {"bad": "it is no table"}, b""
        return {"columns": table.columns, "headed": table.headed, "remark": table.remark}, json.dumps(table.rows).encode("ascii")

    return _caught(found)


def _batch(request: dict[str, Any]) -> tuple[dict[str, Any], memoryview, bytes]:
    """As many of the files as a moment allows, in order, at least one: what is to be said of each; the pixels of the good ones, and what
    they are compared by.

    A text says why there is no picture, a list holds [size, notes, facts]; 0: a picture of the asked shape that was taken as it is, of
    which nothing is to be said but the highest value of all these, "top".
    """
    from engine.data.decoding import read_bytes

    until = time.monotonic() + BATCH_SECONDS
    told: list[Any] = []
    names, pages, ordinary = request["names"], request["pages"], bool(request["ordinary"])
    how = preprocessing_of(request["how"])
    as_they_are = not (how.asked or how.of_bytes)
    channels, height, width = request["shape"]
    sheet = _sheet_for(channels, height, width, len(names))
    others: list[tuple[int, np.ndarray]] = []  # (row, image) of those that are not on the sheet

    def found(path: str, page: int | None) -> tuple[dict[str, Any], Any]:
        content = read_bytes(path, ordinary)
        if as_they_are and not page and sheet.take(content):
            return {"file": 0}, None
        image, notes, (size, facts) = _adapted(content, request["shape"], how, page)
        return {"file": [size, notes, facts]}, image

    _time_limit(DECODE_SECONDS + BATCH_SECONDS)  # what the last file has left at least is its own limit
    for place, name in enumerate(names):
        head, image = _caught(partial(found, request["root"] + name, pages[place] if pages else None))
        told.append(head.get("file", head.get("bad")))
        if image is not None and "file" in head:
            others.append((sheet.taken + len(others), image))
        if time.monotonic() > until:
            break
    pixels, top = sheet.pixels(others)
    prints = packed_prints(pixels) if len(pixels) else b""
    _time_limit(0)
    return {"files": told, "top": top}, pixels.data, prints


def _sheet_for(channels: int, height: int, width: int, most: int) -> Sheet:
    """An empty one for `most` files: that of the last batch where it fits, since new memory takes time."""
    if not (_sheets and _sheets[0].fits(channels, height, width, most)):
        _sheets[:] = [Sheet(channels, height, width, most)]
    _sheets[0].clear()
    return _sheets[0]


def _caught(work: Any) -> tuple[dict[str, Any], Any]:
    try:
        return work()
    except Bad as bad:
        return {"bad": str(bad)}, b""
    except MemoryError:
        return {"bad": "decoding it needs more memory than is allowed; scale it down first"}, b""
    except Exception as error:
        return {"bad": f"it could not be decoded ({type(error).__name__}); save it again as PNG"}, b""


if __name__ == "__main__":
    main()
