"""The one application of this process: its name, font, style and icon."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from app.shell import theme


def prepare(app: QApplication) -> None:
    """Name, font and style of the application."""
    app.setApplicationName("priorama")
    app.setApplicationDisplayName("Priorama")
    app.setDesktopFileName("priorama")
    app.setStyle("Fusion")
    app.setFont(theme.font(13))
    icon = Path(__file__).resolve().parents[2] / "assets" / "icons" / "priorama.svg"
    if icon.exists():
        app.setWindowIcon(QIcon(str(icon)))
