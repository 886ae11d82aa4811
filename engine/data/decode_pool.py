"""Decodes many files of pictures in several processes at once, into one array in the order of the files."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from engine.data.decoder import clause, exchange
from engine.data.fingerprints import PRINT_BYTES, Fingerprints
from engine.data.limits import BATCH_BYTES, BATCH_FILES, FEW_FILES, READERS
from engine.data.pixel_facts import Facts
from engine.data.preprocessing import Preprocessing
from engine.data.reader_process import ReaderMissing, ReaderProcess, give_back

WAIT_SECONDS = 0.005  # for an answer, between two yields
REQUEST_BYTES = 16_000  # of names in one question, less than a pipe holds
FEW = 2_000  # files

Size = tuple[int, int, int]  # C, H, W


@dataclass(frozen=True)
class Files:
    """What is decoded: files below a folder, or stretches of one file."""

    root: str  # comes before every name
    names: Sequence[str]
    pages: Sequence[int | None]  # which page of each; None: the first
    odd: frozenset[str] = frozenset()  # names that are links, pipes or the like

    def request(self, places: range) -> dict[str, Any]:
        """Some of them, as the decoding process is asked for them."""
        names = [self.names[place] for place in places]
        pages = [self.pages[place] for place in places]
        return {
            "root": self.root, "names": names, "pages": pages if any(pages) else None,
            "ordinary": not self.odd or self.odd.isdisjoint(names),
        }  # fmt: skip


@dataclass
class DecodedFiles:
    """What became of some files in a row."""

    sizes: list[Size | str] = field(default_factory=list)  # of the picture in its file, or why there is none
    notes: list[list[str]] = field(default_factory=list)  # of the good ones that were changed
    facts: list[Facts] = field(default_factory=list)  # of the good ones that were changed
    good: int = 0  # how many pictures there are
    plain: int = 0  # good ones of 8 bits that were taken as they are
    top: int = -1  # the highest value of these


def decode_files(files: Files, prints: Fingerprints, how: Preprocessing) -> Generator[DecodedFiles | None, None, None]:
    """Yields what became of the next files, in order; None while there is nothing new.

    The good pictures, brought to the shape of `prints.images` [N, C, H, W], are its first rows, and are compared by the first of
    `prints`. Closing the generator ends the processes and the threads at once.
    """
    batches = list(_batches(files, max(1, math.prod(prints.images.shape[1:]))))
    workers = min(READERS, os.cpu_count() or 1, max(1, len(batches)))
    pool = _Pool(files, batches, prints, how, workers)
    try:
        waiting: dict[int, DecodedFiles] = {}
        row = 0
        for number, batch in enumerate(batches):
            while number not in waiting:
                try:
                    done, result = pool.results.get(timeout=WAIT_SECONDS)
                except Empty:
                    yield None
                    continue
                waiting[done] = result
            found = waiting.pop(number)
            if row != batch.start and found.good:  # a file before them gave no picture
                prints.move(batch.start, found.good, row)
            row += found.good
            yield found
            pool.room.release()
    finally:
        pool.close()


def _batches(files: Files, each: int) -> Iterator[range]:
    """Places of the files of one question; a picture has `each` bytes."""
    most = FEW_FILES if len(files.names) < FEW else BATCH_FILES
    most = max(1, min(most, BATCH_BYTES // each))
    start, length = 0, 0
    for place, name in enumerate(files.names):
        if place > start and (place - start == most or length + len(name) > REQUEST_BYTES):
            yield range(start, place)
            start, length = place, 0
        length += len(name)
    if start < len(files.names):
        yield range(start, len(files.names))


class _Pool:
    """Threads that each talk to a process of their own and take the next batch when they are done."""

    def __init__(self, files: Files, batches: list[range], prints: Fingerprints, how: Preprocessing, workers: int) -> None:
        self.results: SimpleQueue[tuple[int, DecodedFiles]] = SimpleQueue()
        self.room = threading.Semaphore(4 * workers)  # batches that may be ahead of the one that is awaited
        self._files, self._batches, self._prints, self._how = files, batches, prints, how.changed()
        self._shape: Size = (prints.images.shape[1], prints.images.shape[2], prints.images.shape[3])
        self._numbers = iter(range(len(batches)))
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._processes = [ReaderProcess.borrow() for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._work, args=(process,), name="decoding pictures", daemon=True) for process in self._processes
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End what is still at work; keep the processes that are idle."""
        self._closed.set()
        for _ in self._threads:
            self.room.release()
        for process, thread in zip(self._processes, self._threads, strict=True):
            thread.join(0.02 if self.results.empty() else 0)
            while thread.is_alive():
                process.kill()
                thread.join(WAIT_SECONDS)
            give_back(process)

    def _work(self, process: ReaderProcess) -> None:
        while True:
            self.room.acquire()
            with self._lock:
                number = None if self._closed.is_set() else next(self._numbers, None)
            if number is None:
                return
            self.results.put((number, self._decoded(process, self._batches[number])))

    def _decoded(self, process: ReaderProcess, places: range) -> DecodedFiles:
        """A batch; where the process dies or hangs amid of it, its files one by one."""
        found = DecodedFiles()
        together = True
        while len(found.sizes) < len(places) and not self._closed.is_set():
            left = places[len(found.sizes) :]
            try:
                self._ask(process, left if together else left[:1], found, places.start + found.good)
            except ReaderMissing as error:
                found.sizes.append(clause(error))
            except Exception as error:
                if together and len(left) > 1:
                    together = False
                else:
                    found.sizes.append(clause(error))
        return found

    def _ask(self, process: ReaderProcess, places: range, found: DecodedFiles, row: int) -> None:
        """The pictures of some files go into the rows from `row` on. Raises: ValueError: an answer that does not fit the question."""

        def room(head: dict[str, Any]) -> memoryview:
            told = head["files"]
            good = sum(not isinstance(about, str) for about in told)
            if not 0 < len(told) <= len(places) or head["payload"] != good * (math.prod(self._shape) + PRINT_BYTES):
                raise ValueError
            return memoryview(self._prints.images[row : row + good].reshape(-1))

        request = {"op": "batch", "shape": list(self._shape), "how": self._how} | self._files.request(places)
        head, packed = exchange(process, request, room=room)
        told = head["files"]
        changed = [about for about in told if isinstance(about, list)]
        plain, top = told.count(0), int(head["top"])
        sizes: list[Size | str] = [self._shape if about == 0 else about if isinstance(about, str) else _size(about[0]) for about in told]
        notes, facts = [[str(note) for note in about[1]] for about in changed], [dict(about[2]) for about in changed]
        good = plain + len(changed)
        if good:
            self._prints.put(row, good, packed)
        found.sizes += sizes
        found.notes += notes
        found.facts += facts
        found.good += good
        found.plain, found.top = found.plain + plain, max(found.top, top)


def _size(about: list[int]) -> Size:
    channels, height, width = (int(n) for n in about)
    return channels, height, width
