"""Reads a foreign file in the confined process and takes over what it finds: pixels piece by piece, the rest at the end.

A file that makes the process die, hang or ask for too much memory ends in one sentence.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import numpy as np

from engine.data.clips import join_frames
from engine.data.dataset import BadData, Sampled, SampleWish, Source, Step
from engine.data.fingerprints import PRINT_BYTES, Fingerprints
from engine.data.limits import SILENT_SECONDS
from engine.data.reader_process import Frame, ReaderDead, ReaderLate, ReaderMissing, ReaderProcess, borrowed
from engine.data.recipe import ImportRecipe
from engine.data.rows import source_from_frame
from engine.data.sampled import PARTS
from engine.data.storage import room_for

WAIT_SECONDS = 0.005  # for an answer, between two yields
_SUMMARY = 200  # characters
DAMAGED = "The reading process gave a damaged answer; open the data again, or get the file from a place you trust."
AHEAD = 4  # frames of at most 2 MB that wait to be taken over


def read_file(reader: str, path: Path, recipe: ImportRecipe, wish: SampleWish | None = None) -> Generator[Step | Sampled, None, Source]:
    """What the reader of that name makes of a file or folder; a sample before, where one is wished for. Closing the generator ends the
    process at once.

    Raises:
        BadData: one sentence.
    """
    request: dict[str, object] = {"op": "read", "reader": reader, "path": os.path.abspath(path), "recipe": recipe.changed()}
    if wish is not None:
        request["sample"] = [wish.images, wish.seconds]
    with borrowed() as process:
        answers: Queue[Frame | Exception] = Queue(AHEAD)
        given_up = threading.Event()
        thread = threading.Thread(target=_listen, args=(process, request, answers, given_up), name="reading a file", daemon=True)
        thread.start()
        try:
            found = yield from _taken_over(path, answers)
        finally:
            given_up.set()
            _finish(process, thread, answers)
    if isinstance(found, BadData):  # the process has said so itself, and is as good as before
        raise found
    join_frames(found)
    return found


def summary_of(reader: str, path: Path) -> str:
    """What the list of data sets says of a file that must be looked into for that. Raises: BadData: one sentence."""
    try:
        with borrowed() as process:
            head, _ = process.exchange({"op": "summary", "reader": reader, "path": os.path.abspath(path)}, b"", SILENT_SECONDS)
    except (ReaderLate, ReaderDead, ReaderMissing) as error:
        raise BadData(_why(path.name, error)) from None
    if "bad" in head:
        raise BadData(str(head["bad"]))
    return str(head.get("summary", ""))[:_SUMMARY]


def _finish(process: ReaderProcess, thread: threading.Thread, answers: Queue[Frame | Exception]) -> None:
    """The thread ends by itself after the last answer; otherwise its process is ended under it."""
    thread.join(0.1 if answers.empty() else 0)
    while thread.is_alive():
        process.kill()
        while not answers.empty():
            answers.get()
        thread.join(WAIT_SECONDS)


def _listen(process: ReaderProcess, request: dict[str, object], answers: Queue[Frame | Exception], given_up: threading.Event) -> None:
    """In a thread of its own: all frames of the answer, then nothing; an exception in place of what did not come."""
    last: Frame | Exception
    try:
        last = process.exchange(request, b"", SILENT_SECONDS)
        while not given_up.is_set() and "source" not in last[0] and "bad" not in last[0]:
            _put(answers, last, given_up)
            last = process.more(SILENT_SECONDS)
    except Exception as error:
        last = error
    _put(answers, last, given_up)


def _put(answers: Queue[Frame | Exception], answer: Frame | Exception, given_up: threading.Event) -> None:
    while not given_up.is_set():
        try:
            answers.put(answer, timeout=0.05)
            return
        except Full:
            continue


def _taken_over(path: Path, answers: Queue[Frame | Exception]) -> Generator[Step | Sampled, None, Source | BadData]:
    rooms: dict[str, np.ndarray] = {}
    prints: dict[str, Fingerprints] = {}
    filled: dict[str, int] = {}
    step = Step(0, None, "byte", f"Opening {path.name}")
    while True:
        try:
            answer = answers.get(timeout=WAIT_SECONDS)
        except Empty:
            yield step
            continue
        if isinstance(answer, Exception):
            raise BadData(_why(path.name, answer)) from None
        head, payload = answer
        if "source" in head:
            source = source_from_frame(head["source"], payload, rooms, filled)
            for name, some in prints.items():
                if name in source.parts:
                    source.parts[name].prints = replace(some.first(filled[name]), images=source.parts[name].images)
            return source
        if "bad" in head:
            return BadData(str(head["bad"]))
        if "sampled" in head:
            yield _sample(head, payload, rooms, filled)
            continue
        if "rows" in head:
            _place(head, payload, rooms, filled, prints)
        elif "restart" in head:
            rooms.clear()
            prints.clear()
            filled.clear()
        elif "step" in head:
            done, total, unit, note = head["step"]
            step = Step(int(done), None if total is None else int(total), str(unit), str(note))
        yield step


def _sample(head: dict[str, Any], payload: bytes, rooms: dict[str, np.ndarray], filled: dict[str, int]) -> Sampled:
    """Raises: BadData: an answer that does not fit itself."""
    source = source_from_frame(head["sampled"], payload, rooms, filled)
    try:
        counts = {name: int(head["counts"][name]) for name in PARTS}
        class_counts = {str(name): [int(n) for n in some] for name, some in head["class_counts"].items()}
        if class_counts and ({*class_counts} != {*PARTS} or any(len(some) != len(source.classes) for some in class_counts.values())):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise BadData(DAMAGED) from None
    return Sampled(source, counts, class_counts)


def _place(
    head: dict[str, object], payload: bytes, rooms: dict[str, np.ndarray], filled: dict[str, int], prints: dict[str, Fingerprints]
) -> None:
    """Put the next rows of a part where they belong. Raises: BadData: more than was announced, or than can be held."""
    name, room = str(head["rows"]), head["room"]
    damaged = BadData(DAMAGED)
    if name not in rooms:
        if name not in ("train", "valid", "test", "all") or not isinstance(room, list) or len(room) != 4:
            raise damaged
        if not all(type(n) is int and n >= 0 for n in room) or room[1] not in (1, 3):
            raise damaged
        rooms[name], filled[name] = room_for(tuple(room)), 0
        if head.get("prints"):
            prints[name] = Fingerprints.room(rooms[name])
    target = rooms[name]
    pixels = target[0].nbytes if len(target) else 0
    each = pixels + PRINT_BYTES * (name in prints) if pixels else 0
    count = len(payload) // each if each else 0
    done = filled[name]
    if count * each != len(payload) or done + count > len(target):
        raise damaged
    target[done : done + count] = np.frombuffer(payload, np.uint8, count * pixels).reshape(count, *target.shape[1:])
    if name in prints and count:
        prints[name].put(done, count, payload[count * pixels :])
    filled[name] = done + count


def _why(name: str, error: Exception) -> str:
    if isinstance(error, ReaderLate):
        return f"{name} was not opened: reading it takes longer than any data set of images needs; download it again or use a part of it."
    if isinstance(error, ReaderMissing):
        return f"{name} was not opened: {error}."
    return f"{name} was not opened: its content made the reading process end; download it again from a place you trust."
