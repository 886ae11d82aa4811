"""Colours made of others: a category's colour that stands out from the theme's background, and mixtures."""

from __future__ import annotations

from PySide6.QtGui import QColor

from app.shell.theme import Colors, contrast


def shade(color: str, c: Colors) -> QColor:
    """A category colour, made darker or lighter until it stands out from the background (3:1, as WCAG asks of graphics)."""
    made = QColor(color)
    dark = QColor(c.background).lightness() < 128
    while contrast(made.name(), c.background) < 3.0:
        made = made.lighter(108) if dark else made.darker(106)
    return made


def mixed(color: QColor, back: QColor, share: float) -> QColor:
    """`share` of a colour over a background, opaque."""
    parts = (share * a + (1 - share) * b for a, b in zip(color.getRgb()[:3], back.getRgb()[:3], strict=True))  # type: ignore[arg-type]
    return QColor(*(round(part) for part in parts))
