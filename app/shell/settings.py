"""What the window remembers between two starts: layout, theme, the last run.

A file that cannot be read costs the layout, never the start.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from PySide6.QtCore import QSaveFile

from engine.common.user_folders import user_folder

VERSION = 1
RECENT = 10


@dataclass
class Settings:
    theme: str = "system"  # "system" | "dark" | "light"
    geometry: str = ""  # Qt's own bytes, base64
    layout: str = ""
    pane: str = ""
    last_run: str = ""
    left: bool = True  # the columns in a wide window
    right: bool = True
    left_small: bool = False  # and in a small one
    right_small: bool = False
    recent: list[str] = field(default_factory=list)  # folders and files that were opened, newest first

    def remember(self, path: str) -> None:
        self.recent = [path, *(p for p in self.recent if p != path)][:RECENT]


def default_path() -> Path:
    if os.environ.get("PRIORAMA_CONFIG"):
        return Path(os.environ["PRIORAMA_CONFIG"]) / "settings.json"
    return user_folder("config") / "settings.json"


def load(path: Path) -> tuple[Settings, str]:
    """The settings, and a sentence when they had to be left behind (a copy then lies beside them, ending in `.bak`)."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings(), ""
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            set_aside(path)
        return Settings(), f"The settings in {path} cannot be read, so the window starts as new ({error.__class__.__name__})."
    try:
        return _parse(text), ""
    except ValueError as error:
        set_aside(path)
        return (
            Settings(),
            f"The settings in {path} are not usable ({error}), so the window starts as new; the old file is kept as {path.name}.bak.",
        )


def _parse(text: str) -> Settings:
    try:
        known = json.loads(text)
    except json.JSONDecodeError:
        raise ValueError("damaged") from None
    except RecursionError:
        raise ValueError("damaged") from None
    if not isinstance(known, dict) or known.get("version") != VERSION:
        raise ValueError("of another version")
    made = Settings()
    for f in fields(Settings):
        if f.name not in known:
            continue
        value = known[f.name]
        if type(value) is not type(getattr(made, f.name)):
            raise ValueError(f"“{f.name}” has the wrong kind")
        setattr(made, f.name, value)
    if made.theme not in ("system", "dark", "light") or not all(isinstance(p, str) for p in made.recent):
        raise ValueError("damaged")
    return made


def save(settings: Settings, path: Path) -> str:
    """Write all or nothing. Returns a sentence when it could not be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"The layout cannot be kept: {path.parent} is not writable ({error.strerror})."
    file = QSaveFile(str(path))
    text = json.dumps({"version": VERSION, **asdict(settings)}, indent=1)
    if not file.open(QSaveFile.OpenModeFlag.WriteOnly) or file.write(text.encode()) < 0 or not file.commit():
        return f"The layout cannot be kept: {path.parent} is not writable ({file.errorString()})."
    return ""


def set_aside(path: Path) -> None:
    """Rename the file to `.bak`, over an older one. Where that is not possible the file stays."""
    try:
        os.replace(path, path.with_name(path.name + ".bak"))
    except OSError:
        return
