"""Light or dark: as the system has it until one is chosen."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from app.shell import theme
from app.shell.settings import Settings
from app.shell.state import State


class ThemeSwitch(QObject):
    """Sets the state's theme and remembers the choice in the settings."""

    def __init__(self, settings: Settings, state: State, parent: QObject) -> None:
        super().__init__(parent)
        self.settings, self.state = settings, state
        state.theme = theme.system_theme() if settings.theme == "system" else settings.theme
        QGuiApplication.styleHints().colorSchemeChanged.connect(self.system_changed)

    def choose(self, name: str) -> None:
        """ "dark", "light" or "system"."""
        self.settings.theme = name
        self.state.set_theme(theme.system_theme() if name == "system" else name)

    def toggle(self) -> None:
        self.choose("light" if self.state.theme == "dark" else "dark")

    def system_changed(self) -> None:
        if self.settings.theme == "system":
            self.state.set_theme(theme.system_theme())

    def stop(self) -> None:
        """The window closes: the system is not listened to any more."""
        QGuiApplication.styleHints().colorSchemeChanged.disconnect(self.system_changed)
