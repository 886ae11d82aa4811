"""Decodes many files of pictures in several processes at once and hands the results over in the order of the files."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from engine.data.decoder import clause, exchange
from engine.data.limits import BATCH_FILES, READERS
from engine.data.pixel_facts import Facts
from engine.data.preprocessing import Preprocessing
from engine.data.reader_process import ReaderMissing, ReaderProcess, give_back

WAIT_SECONDS = 0.005  # for an answer, between two yields
REQUEST_BYTES = 16_000  # of names in one question, less than a pipe holds

Size = tuple[int, int, int]  # C, H, W
File = tuple[str, int | None]  # path, and which page of it; None: the first


@dataclass
class DecodedFiles:
    """What became of some files in a row."""

    sizes: list[Size | str] = field(default_factory=list)  # of the picture in its file, or why there is none
    notes: list[list[str]] = field(default_factory=list)  # of the good ones that were changed
    pixels: bytearray = field(default_factory=bytearray)  # of the good ones, one after the other
    facts: list[Facts] = field(default_factory=list)  # of the good ones that were changed
    plain: int = 0  # good ones of 8 bits that were taken as they are
    top: int = -1  # the highest value of these


def decode_files(files: list[File], shape: Size, how: Preprocessing) -> Generator[DecodedFiles | None, None, None]:
    """Yields what became of the next files, in order, brought to `shape`; None while there is nothing new.

    Closing the generator ends the processes and the threads at once.
    """
    batches = list(_batches(files))
    workers = min(READERS, os.cpu_count() or 1, max(1, len(batches)))
    pool = _Pool(batches, shape, how, workers)
    try:
        waiting: dict[int, DecodedFiles] = {}
        for number in range(len(batches)):
            while number not in waiting:
                try:
                    done, result = pool.results.get(timeout=WAIT_SECONDS)
                except Empty:
                    yield None
                    continue
                waiting[done] = result
            yield waiting.pop(number)
            pool.room.release()
    finally:
        pool.close()


def _batches(files: list[File]) -> Iterator[list[File]]:
    batch: list[File] = []
    length = 0
    for path, page in files:
        if batch and (len(batch) == BATCH_FILES or length + len(path) > REQUEST_BYTES):
            yield batch
            batch, length = [], 0
        batch.append((path, page))
        length += len(path)
    if batch:
        yield batch


class _Pool:
    """Threads that each talk to a process of their own and take the next batch when they are done."""

    def __init__(self, batches: list[list[File]], shape: Size, how: Preprocessing, workers: int) -> None:
        self.results: SimpleQueue[tuple[int, DecodedFiles]] = SimpleQueue()
        self.room = threading.Semaphore(4 * workers)  # batches that may be ahead of the one that is awaited
        self._batches, self._shape, self._how = batches, shape, how.changed()
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

    def _decoded(self, process: ReaderProcess, files: list[File]) -> DecodedFiles:
        """A batch; where the process dies or hangs amid of it, its files one by one."""
        found = DecodedFiles()
        together = True
        while len(found.sizes) < len(files) and not self._closed.is_set():
            left = files[len(found.sizes) :]
            try:
                self._ask(process, left if together else left[:1], found)
            except ReaderMissing as error:
                found.sizes.append(clause(error))
            except Exception as error:
                if together and len(left) > 1:
                    together = False
                else:
                    found.sizes.append(clause(error))
        return found

    def _ask(self, process: ReaderProcess, files: list[File], found: DecodedFiles) -> None:
        head, payload = exchange(process, {
            "op": "batch", "paths": [path for path, _ in files], "pages": [page for _, page in files],
            "shape": list(self._shape), "how": self._how,
        })  # fmt: skip
        told = head["files"]
        bad = [about for about in told if isinstance(about, str)]
        changed = [about for about in told if isinstance(about, list)]
        plain, top = told.count(0), int(head["top"])
        sizes: list[Size | str] = [self._shape if about == 0 else about if isinstance(about, str) else _size(about[0]) for about in told]
        good = len(changed) + plain
        if not 0 < len(told) <= len(files) or good + len(bad) != len(told) or len(payload) != good * math.prod(self._shape):
            raise ValueError
        found.sizes += sizes
        found.notes += [[str(note) for note in about[1]] for about in changed]
        found.facts += [dict(about[2]) for about in changed]
        found.plain, found.top = found.plain + plain, max(found.top, top)
        found.pixels += payload


def _size(about: list[int]) -> Size:
    channels, height, width = (int(n) for n in about)
    return channels, height, width
