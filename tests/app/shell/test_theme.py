"""The palettes can be read, and the style sheet reaches every look that widgets ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtGui import QColor

from app.shell import theme

THEMES = [theme.DARK, theme.LIGHT]
APP = Path(theme.__file__).parents[1]


@pytest.mark.parametrize("c", THEMES, ids=["dark", "light"])
@pytest.mark.parametrize("ground", ["background", "panel", "raised"])
@pytest.mark.parametrize("ink", ["text", "muted", "accent", "good_text", "warning_text", "bad"])
def test_text_can_be_read_on_every_ground(c: theme.Colors, ground: str, ink: str) -> None:
    # Warnings and the accent are also text: links, error sentences, verdicts.
    assert theme.contrast(getattr(c, ink), getattr(c, ground)) >= 4.5


@pytest.mark.parametrize("c", THEMES, ids=["dark", "light"])
def test_dots_stand_out_from_every_ground(c: theme.Colors) -> None:
    # WCAG 1.4.11 asks 3:1 of signs that are no text.
    assert (
        min(
            theme.contrast(getattr(c, dot), ground)
            for dot in ("good", "warning", "bad", "accent", "muted")
            for ground in (c.background, c.panel, c.raised)
        )
        >= 3
    )


@pytest.mark.parametrize("c", THEMES, ids=["dark", "light"])
def test_text_on_the_accent_can_be_read(c: theme.Colors) -> None:
    assert theme.contrast(c.on_accent, c.accent) >= 4.5


def test_contrast_is_that_of_the_standard() -> None:
    # Published examples: WebAIM gives 21 for black on white, 4.54 for #767676 and 3.95 for #808080 on white.
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert theme.contrast("#808080", "#ffffff") == pytest.approx(3.95, abs=0.01)


def test_the_palettes_are_those_of_the_design() -> None:
    assert [theme.DARK.background, theme.DARK.panel, theme.DARK.raised, theme.DARK.line] == ["#101217", "#171a21", "#1e222b", "#2a2f3a"]
    assert [theme.LIGHT.background, theme.LIGHT.panel, theme.LIGHT.raised, theme.LIGHT.line] == ["#f4f5f8", "#ffffff", "#f0f2f6", "#dfe3ea"]


def test_no_two_categories_look_alike() -> None:
    colors = [QColor(c) for c in theme.CATEGORIES]
    for i, a in enumerate(colors):
        for b in colors[i + 1 :]:
            assert abs(a.red() - b.red()) + abs(a.green() - b.green()) + abs(a.blue() - b.blue()) > 80


def test_every_look_that_widgets_ask_for_is_in_the_style_sheet(qapp: object) -> None:
    sheet = theme.style_sheet(theme.DARK)
    shell = [*(APP / "shell").glob("*.py"), *(APP / "widgets").glob("*.py")]
    asked = {name for path in shell for name in re.findall(r'role\(.*, "(\w+)"', path.read_text(encoding="utf-8"))}
    assert "heading" in asked
    missing = {name for name in asked if f'role="{name}"' not in sheet}
    assert not missing


def test_every_picture_of_the_style_sheet_is_there(qapp: object) -> None:
    for c in THEMES:
        for path in re.findall(r"url\((.*?)\)", theme.style_sheet(c)):
            assert Path(path).is_file(), path


def test_figures_have_equal_width(qapp: object) -> None:
    from PySide6.QtGui import QFontMetricsF

    metrics = QFontMetricsF(theme.font(13))
    assert len({round(metrics.horizontalAdvance(digit), 3) for digit in "0123456789"}) == 1


@pytest.mark.parametrize("c", THEMES, ids=["dark", "light"])
def test_lines_of_text_are_painted_in_inks_that_can_be_read(c: theme.Colors, qapp: object) -> None:
    from app.widgets.parts import TextLines

    lines = TextLines(1, "A line")
    lines.set_colors(c)
    for level, ink in lines._inks.items():
        for ground in (c.background, c.panel, c.raised):
            assert theme.contrast(ink.name(), ground) >= 4.5, level
