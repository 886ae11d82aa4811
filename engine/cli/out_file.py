"""A file that a verb will write: whether it can be is found out before anything is computed."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

from engine.cli.errors import Failed
from engine.common.user_folders import person_path


def writable(text: str, option: str) -> Path:
    """The path of a file to be written, after a trial beside it; a link is followed to the file it stands for.

    Raises:
        Failed: one sentence.
    """
    path = Path(os.path.realpath(person_path(text)))

    def failed(why: str) -> Failed:
        return Failed(f"“{text}” could not be written ({why}); name another file with {option}.")

    try:
        mode = os.stat(path).st_mode if os.path.lexists(path) else stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise failed("it is a folder")
        if not stat.S_ISREG(mode):
            raise failed("it is no ordinary file")
        if path.exists() and not os.access(path, os.W_OK):
            raise failed("it is write-protected")
        trial = path.with_name(f".priorama-{uuid.uuid4().hex}")  # short, as the file that is written first is not; see write_file
        handle = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(handle, b"0")  # a full disk refuses this
        finally:
            os.close(handle)
            os.unlink(trial)
    except OSError as error:
        raise failed(error.strerror or str(error)) from None
    except ValueError as error:  # a name that no file can have
        raise failed(str(error)) from None
    return path
