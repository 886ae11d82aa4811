"""The folders that belong to a user, also where the system knows no home folder for them (a container run under a bare number)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def person_path(text: str) -> Path:
    """A path as a person types it, with ~ for a home folder; where there is no such home, the ~ stays a letter of the name."""
    return Path(os.path.expanduser(text))  # unlike Path.expanduser it raises nothing


def user_folder(kind: Literal["data", "cache", "config"]) -> Path:
    """The system's folder for what Priorama keeps; ./priorama/<kind>, absolute, where the user has no home folder."""
    import platformdirs

    try:
        match kind:
            case "data":
                folder = platformdirs.user_data_path("priorama", appauthor=False)
            case "cache":
                folder = platformdirs.user_cache_path("priorama")
            case _:
                folder = platformdirs.user_config_path("priorama")
    except RuntimeError:  # of newer versions; older ones leave a bare “~”
        folder = Path("~")
    return Path.cwd() / "priorama" / kind if folder.parts[0] == "~" else folder
