"""The folder that pictures go to: whether it can be written is found out before anything is computed."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def why_not_writable(folder: Path) -> str:
    """Make the folder and write a trial file into it; one sentence where that fails, else empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".priorama-{uuid.uuid4().hex}"
        handle = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(handle, b"0")  # a full disk refuses this
        finally:
            os.close(handle)
            os.unlink(trial)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"{folder} cannot be written ({why}); choose another folder with --out."
    return ""
