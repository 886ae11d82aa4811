"""What a disk refuses, as one sentence each; and folders that are held open, so that no link can lead what is done in them elsewhere.

A run folder may come from anybody. Within it no link is followed: a folder is opened without following links and what is in it is then
reached through its handle, so that it stays the same folder whatever is renamed or linked meanwhile. Where the system has no such
handles (Windows) every path is looked at just before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

HAS_HANDLES = {os.open, os.mkdir, os.unlink, os.rmdir, os.rename, os.stat} <= os.supports_dir_fd and os.scandir in os.supports_fd
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
IS_A_LINK = "is a link (links within a run are not followed)"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REPARSE_LINKS = (0xA000000C, 0xA0000003)  # Windows: symbolic links and junctions; placeholders of cloud drives are files


class DiskRefuses(OSError):
    """The disk refuses now; nothing that was there before is touched, and the same can be asked again later.

    `cause` and `remedy` are what the sentence is made of, so that whoever waits can end it otherwise.
    """

    def __init__(self, number: int, cause: str, remedy: str) -> None:
        super().__init__(number, "")
        self.cause = cause
        self.remedy = remedy

    def sentence(self, end: str) -> str:
        """Cause, remedy and what happens then."""
        return f"{self.cause}. {self.remedy[:1].upper()}{self.remedy[1:]}, {end}."

    def __str__(self) -> str:
        return self.sentence("then go on")


class NoSpace(DiskRefuses):
    """The disk is full; nothing that was there before is touched."""

    def __init__(self, needed: int, free: int, where: str = "") -> None:
        place = f" in “{where}”" if where else ""
        if free > needed:
            cause = f"The system allows no more data{place} ({megabytes(needed)} needed)"
            super().__init__(errno.ENOSPC, cause, "make room or raise the quota")
        else:
            cause = f"The disk is full{place}: {megabytes(needed)} needed, {megabytes(free)} free"
            super().__init__(errno.ENOSPC, cause, "make room")
        self.needed = needed
        self.free = free
        self.where = where

    def __reduce__(self) -> tuple[type, tuple[int, int, str]]:
        return type(self), (self.needed, self.free, self.where)


class Unwritable(DiskRefuses):
    """The disk refuses for another reason than room: permissions, a defect, a network folder that is gone."""

    def __init__(self, number: int, where: str) -> None:
        what = os.strerror(number) if number else "no reason given"
        match number:
            case errno.EACCES | errno.EPERM:
                cause, remedy = f"“{where}” may not be written ({what})", "change its permissions"
            case errno.EROFS:
                cause, remedy = f"The disk of “{where}” can only be read now ({what})", "make it writable again"
            case errno.ESTALE | errno.ENOTCONN | errno.ETIMEDOUT | errno.EHOSTDOWN:
                cause, remedy = f"The network folder of “{where}” does not answer ({what})", "connect it again"
            case errno.ENOENT | errno.ENOTDIR:
                cause, remedy = f"“{where}” is not there any more ({what})", "put it back"
            case errno.EMFILE | errno.ENFILE:
                cause, remedy = f"“{where}” cannot be written, for too many files are open ({what})", "close other programs"
            case _:
                cause, remedy = f"The disk of “{where}” reports an error ({what})", "check the disk"
        super().__init__(number, cause, remedy)
        self.where = where

    def __reduce__(self) -> tuple[type, tuple[int, str]]:
        return type(self), (self.errno or 0, self.where)


class Linked(OSError):
    """A link, a pipe or a file with several names stands where a plain one of a run must; nothing was touched."""

    def __init__(self, path: Path, what: str = "is a link") -> None:
        super().__init__(errno.ELOOP, "")
        self.path = path
        self.what = what

    def __str__(self) -> str:
        return (
            f"“{self.path}” {self.what}, and what it leads to lies outside the run's own folder, so nothing was changed: "
            f"remove it, or put the real one in its place."
        )

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        return type(self), (self.path, self.what)


@contextlib.contextmanager
def said_plainly(folder: Path, needed: int) -> Iterator[None]:
    """Turn what the system says while `folder` is written into a sentence; `needed` bytes are still to be written.

    Raises:
        NoSpace: the disk is full. Unwritable: it refuses for another reason. Linked.
    """
    try:
        yield
    except (DiskRefuses, Linked, FileExistsError):
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoSpace(needed, free_bytes(folder), str(folder)) from error
        raise Unwritable(error.errno or 0, str(folder)) from error


def require_room(folder: Path, needed: int) -> None:
    """Raises: NoSpace: before anything is written. Where free space cannot be asked for, the writing itself decides."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < needed:
        raise NoSpace(needed, free, str(folder))


def free_bytes(folder: Path) -> int:
    """Free bytes on the folder's disk; 0 where that cannot be asked."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def megabytes(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e6:,.1f} MB"


# ---------------------------------------------------------------------------------------------------------------------
# Links, and folders held open
# ---------------------------------------------------------------------------------------------------------------------


def is_link(path: Path | str, at: int | None = None) -> bool:
    """Whether a path is itself a symbolic link or, on Windows, a junction; `at` is the handle of the folder it is a name in."""
    try:
        found = os.lstat(path) if at is None else os.stat(os.path.basename(path), dir_fd=at, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) in _REPARSE_LINKS


def lexists(path: Path, at: int | None = None) -> bool:
    """Whether there is anything of that name, a link that leads nowhere too; `at` as in `is_link`."""
    try:
        os.stat(path if at is None else path.name, dir_fd=at, follow_symlinks=False)
    except OSError:
        return False
    return True


def open_folder(path: Path, at: int | None = None) -> int | None:
    """A handle of a folder that is no link, None where the system has none; `at` is the handle of the folder it lies in.

    Raises:
        Linked: it is a link. OSError: there is no such folder.
    """
    if is_link(path, at):
        raise Linked(path)
    if not HAS_HANDLES:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return None
    try:
        return os.open(path if at is None else path.name, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) or is_link(path, at):  # it has become one in between
            raise Linked(path) from None
        raise


@contextlib.contextmanager
def folder_held(path: Path, at: int | None = None) -> Iterator[int | None]:
    """`open_folder`, closed at the end."""
    handle = open_folder(path, at)
    try:
        yield handle
    finally:
        close_folder(handle)


def close_folder(handle: int | None) -> None:
    """Close what `open_folder` gave."""
    if handle is not None:
        with contextlib.suppress(OSError):
            os.close(handle)


def is_still_at(path: Path, handle: int | None) -> bool:
    """Whether a path leads to the folder of that handle as before."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # nobody can tell
    if handle is None:
        return stat.S_ISDIR(found.st_mode)
    held = os.fstat(handle)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def is_removed(handle: int) -> bool:
    """Whether the file or folder of a handle has no name any more."""
    try:
        return os.fstat(handle).st_nlink == 0
    except OSError:
        return False


def require_own_file(handle: int, path: Path) -> None:
    """Check that an open file is a plain one with one name. Raises: Linked."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise Linked(path, "is no plain file")
    if found.st_nlink > 1:
        raise Linked(path, "has a second name elsewhere (a hard link)")


def entries(folder: Path, handle: int | None = None) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; nothing when it cannot be read. With `handle` the `path` of an entry is only its name."""
    try:
        with os.scandir(folder if handle is None else handle) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
