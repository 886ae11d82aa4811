"""Small lists that survive a restart, though several windows use one folder: the queue, the data sets that were opened."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.storage.file_lock import Lock

Rows = list[Any]
LOCK_SECONDS = 1.0  # another window replaces its list in less
MOST_WINDOWS = 9


class ListFile:
    """A JSON list in a file that all windows share. `folder` is asked for when it is needed, so that making one imports nothing."""

    def __init__(self, folder: Callable[[], Path], name: str) -> None:
        self.name = name
        self._folder = folder

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._folder() / self.name

    def read(self) -> Rows:
        """Empty where there is no file. Raises: OSError; ValueError where it holds something else than a list: it is kept as `.bak`."""
        return _rows(self.path)

    def change(self, edit: Callable[[Rows], Rows], known: Rows) -> Rows:
        """What `edit` makes of the rows that are in the file now, written back while no other window writes.

        Where the file cannot be read or written it stays, and the answer is what `edit` makes of the `known` rows.
        """
        try:
            path = self.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path):
                try:
                    rows = _rows(path)
                except ValueError:
                    rows = known
                rows = edit(list(rows))
                _replace(path, rows)
                return rows
        except OSError:
            return edit(list(known))


class OwnedList:
    """A JSON list that belongs to one window at a time, from `read` to `release`.

    Rows are JSON objects, each with an `id` that no other has. The first window has `name`.json, another one at the same time
    `name`-2.json and so on. A window takes over the lists of those that have ended, so none is lost and none is held twice.
    """

    def __init__(self, folder: Callable[[], Path], name: str) -> None:
        self.name = f"{name}.json"
        self._folder = folder
        self._names = (self.name, *(f"{name}-{number}.json" for number in range(2, MOST_WINDOWS + 1)))
        self._lock: Lock | None = None
        self._path: Path | None = None
        self.fault = ""  # one clause on what could not be read and where it is kept

    def read(self) -> Rows:
        """The rows that no other window holds; `fault` says which lists of ended windows stay where they are. Raises: OSError."""
        folder = self._folder()
        if not folder.is_dir():
            return []
        rows: Rows = []
        refused: OSError | None = None
        for name in self._names:
            path = folder / name
            if self._path is not None and not path.exists():
                continue
            try:
                rows = self._joined(rows, path)
            except OSError as error:
                refused = refused or error
                self.fault = f"{name} was left as it is: {error.strerror or error}"
        if self._path is None and refused is not None:
            raise refused
        return rows

    def _joined(self, rows: Rows, path: Path) -> Rows:
        """The rows and those of one more list, which becomes this window's, or is taken over into it and removed.

        A crash between the two leaves rows in both lists; by their ids the next start knows them for the same.

        Raises:
            OSError: the list is not touched and anybody's.
        """
        lock = _try_lock(path)
        if lock is None:
            return rows
        mine = False
        try:
            try:
                both = _united(rows, _rows(path, with_ids=True))
            except ValueError as error:
                self.fault = str(error)
                both = rows
            if self._path is None:
                self._lock, self._path, mine = lock, path, True
                return both
            _replace(self._path, both)  # before the other one goes
            try:
                _replace(path, [])
            except OSError:
                with contextlib.suppress(OSError):
                    _replace(self._path, rows)
                raise
            return both
        finally:
            if not mine:
                lock.release()

    def write(self, rows: Rows) -> None:
        """Replace the list; a disk that refuses is not complained of. Nothing is written where no list could be made this window's."""
        with contextlib.suppress(OSError):
            if self._path is None and rows:
                self._claim_empty()
            if self._path is not None:
                _replace(self._path, rows)

    def _claim_empty(self) -> None:
        """There was no folder to read from: take the first name that nobody holds or has left a list under. Raises: OSError."""
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            lock = _try_lock(folder / name)
            if lock is not None and (folder / name).exists():
                lock.release()  # of a window that has ended meanwhile: the next start takes it over
            elif lock is not None:
                self._lock, self._path = lock, folder / name
                return

    def keep_copy(self) -> str:
        """Keep the file as it is beside itself, because a part of it cannot be used -> the copy's name; empty where there is none."""
        with contextlib.suppress(OSError):
            if self._path is not None and self._path.exists():
                copy = _free(self._path)
                shutil.copyfile(self._path, copy)
                return copy.name
        return ""

    def release(self) -> None:
        """Another window may take the list over."""
        if self._lock is not None:
            self._lock.release()
        self._lock = self._path = None


def _rows(path: Path, with_ids: bool = False) -> Rows:
    """The list in a file; with ids, a row that is an object and has none gets one that is the same whenever the file is.

    Raises: OSError; ValueError: it holds no list, and what it holds is kept as `.bak`.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        rows = json.loads(data.decode("utf-8"))
        if isinstance(rows, list):
            stem = f"{path.name}-{hashlib.sha256(data).hexdigest()[:16]}" if with_ids else ""
            return [{"id": f"{stem}-{place}", **row} if stem and isinstance(row, dict) else row for place, row in enumerate(rows)]
    except (ValueError, RecursionError):
        pass
    kept = _free(path)
    path.replace(kept)
    raise ValueError(f"{path.name} holds no list; it is kept as {kept.name}")


def _united(rows: Rows, others: Rows) -> Rows:
    """All rows in order, of those with the same id the first."""
    by_id: dict[Any, Any] = {}
    for place, row in enumerate((*rows, *others)):
        name = row.get("id") if isinstance(row, dict) else None
        by_id.setdefault(name if isinstance(name, str) and name else place, row)
    return list(by_id.values())


def _free(path: Path) -> Path:
    """A name for a copy that no earlier one has."""
    names = (path.with_name(f"{path.name}{number}.bak") for number in ("", *(f".{n}" for n in range(2, 100))))
    return next((name for name in names if not name.exists()), path.with_name(f"{path.name}.bak"))


def _replace(path: Path, rows: Rows) -> None:
    """Raises: OSError."""
    from engine.storage import atomic_io

    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_io.write_file(path, json.dumps(rows).encode("utf-8"))
    else:
        with contextlib.suppress(FileNotFoundError):
            atomic_io.layer.remove(path)


def _try_lock(path: Path) -> Lock | None:
    """The lock of a list, None where another window holds it. Raises: OSError."""
    from engine.storage.file_lock import Held, Lock

    try:
        return Lock(path.with_name(f".{path.stem}.lock"))
    except Held:
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else changes the list meanwhile. Raises: OSError: somebody held it too long."""
    until = time.monotonic() + LOCK_SECONDS
    while (lock := _try_lock(path)) is None:
        if time.monotonic() > until:
            raise OSError(f"{path.name} is being written by another window")
    try:
        yield
    finally:
        lock.release()
