"""How it looks: the two palettes, the fonts, and the one style sheet that is made from them.

Every colour on screen comes from here. Widgets choose a look with the property `role` (labels and frames) or `kind` (buttons).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget


@dataclass(frozen=True)
class Colors:
    background: str  # behind everything, and inside cards
    panel: str
    raised: str  # buttons, fields, the chosen card
    line: str
    text: str
    muted: str
    accent: str
    on_accent: str  # text on the accent
    good: str
    warning: str
    bad: str
    good_text: str  # as text the two have to be a little darker on light grounds
    warning_text: str


DARK = Colors(
    "#101217",
    "#171a21",
    "#1e222b",
    "#2a2f3a",
    "#e7e9ee",
    "#8d95a5",
    "#8aa4ff",
    "#101217",
    "#35c28b",
    "#e5a83b",
    "#ef6a6a",
    "#35c28b",
    "#e5a83b",
)
LIGHT = Colors(
    "#f4f5f8",
    "#ffffff",
    "#f0f2f6",
    "#dfe3ea",
    "#1a1d24",
    "#626b7c",
    "#3f5bd9",
    "#ffffff",
    "#12865a",
    "#a56a00",
    "#c23434",
    "#0f7a50",
    "#955f00",
)

# Okabe and Ito, "Color Universal Design" (2008), without black; the order keeps neighbours apart. A dash or a marker is the second sign.
CATEGORIES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#f0e442")
MARKERS = ("s", "t", "o", "+", "star", "d", "x")  # pyqtgraph's names; colour is never the only sign

FAMILIES = ("Inter", "SF Pro Text", ".AppleSystemUIFont", "Segoe UI Variable Text", "Segoe UI", "Noto Sans", "DejaVu Sans")
MONOSPACE = ("SF Mono", "Cascadia Mono", "Noto Sans Mono", "DejaVu Sans Mono")

ICONS = Path(__file__).resolve().parents[2] / "assets" / "icons"

LEAST_FONT = 12  # px; what is smaller is hard to read

POLISHED, OWN_STYLE, GIVEN_FONT = (
    Qt.WidgetAttribute.WA_WState_Polished,
    Qt.WidgetAttribute.WA_SetStyle,
    Qt.WidgetAttribute.WA_SetFont,
)

TOP_HEIGHT = 44
LEFT_WIDTH = 232
RIGHT_WIDTH = 288
BOTTOM_HEIGHT = 92


def colors(theme: str) -> Colors:
    """The palette of "dark" or "light"."""
    return LIGHT if theme == "light" else DARK


def contrast(a: str, b: str) -> float:
    """Contrast of two colours as WCAG 2.1 defines it, from 1 to 21."""

    def luminance(color: str) -> float:
        parts = []
        for value in QColor(color).getRgbF()[:3]:  # type: ignore[index]
            parts.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def system_theme() -> str:
    """What the desktop asks for now; dark where it does not say."""
    return "light" if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else "dark"


@cache
def family() -> str:
    """The first of our fonts that is installed."""
    installed = set(QFontDatabase.families())
    return next((name for name in FAMILIES if name in installed), QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family())


def font(size: int = 13, *, bold: bool = False, italic: bool = False) -> QFont:
    """A font of `size` pixels, 12 at least, with figures of equal width.

    DejaVu Sans runs a tenth wider than the fonts it stands in for, so it is set a pixel smaller.
    """
    made = QFont(family())
    made.setPixelSize(max(size - 1 if family() == "DejaVu Sans" else size, LEAST_FONT))
    if bold:
        made.setWeight(QFont.Weight.Bold if family() == "DejaVu Sans" else QFont.Weight.DemiBold)
    made.setItalic(italic)
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def role(widget: QWidget, name: str) -> Any:
    """Give a widget its look ("heading", "title", "muted", "card", "error" ...) and return it."""
    widget.setProperty("role", name)
    return widget


def restyle(widget: QWidget) -> None:
    """Look again at a widget's properties after one has changed."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def qt_palette(c: Colors) -> QPalette:
    """The same colours as Qt names them, for everything the style sheet does not reach."""
    palette = QPalette()
    parts = QPalette.ColorRole
    pairs = {
        parts.Window: c.panel,
        parts.WindowText: c.text,
        parts.Base: c.background,
        parts.AlternateBase: c.raised,
        parts.Text: c.text,
        parts.PlaceholderText: c.muted,
        parts.Button: c.raised,
        parts.ButtonText: c.text,
        parts.BrightText: c.bad,
        parts.ToolTipBase: c.raised,
        parts.ToolTipText: c.text,
        parts.Highlight: c.accent,
        parts.HighlightedText: c.on_accent,
        parts.Accent: c.accent,
        parts.Link: c.accent,
        parts.LinkVisited: c.accent,
        parts.Light: c.line,
        parts.Midlight: c.line,
        parts.Mid: c.line,
        parts.Dark: c.line,
        parts.Shadow: c.background,
    }
    for part, color in pairs.items():
        palette.setColor(part, QColor(color))
    for part in (parts.WindowText, parts.Text, parts.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, part, QColor(c.muted))
    return palette


def apply_theme(app: QApplication, theme: str, behind: Iterable[QWidget] = ()) -> None:
    """Put a theme on every window of the program; each widget is styled once, whatever it lies in.

    There is one style sheet for all: with a second one on every pane each widget would be matched and polished twice.
    A sheet that replaces another is matched anew for each widget once for each of its ancestors (`updateObjects` in Qt's
    qstylesheetstyle.cpp walks down from every widget): eleven times here. Taking the old one off first avoids that walk.
    Fonts that widgets were given are put back, since Qt forgets them with the old sheet.

    What is in `behind` is seen by nobody, such as a pane behind the tab of another. It keeps its old looks until `catch_up`.
    """
    sheet = style_sheet(colors(theme))
    if app.styleSheet() == sheet:
        app.setPalette(qt_palette(colors(theme)))
        return
    asleep = [widget for root in behind for widget in within(root)]
    with flagged(asleep, POLISHED, False), flagged(asleep, OWN_STYLE, True):
        every = app.allWidgets()
        fonts = [(w, w.font()) for w in every if w.testAttribute(GIVEN_FONT) and w.testAttribute(POLISHED)]
        with flagged(every, OWN_STYLE, True):  # nobody is told of the moment without a sheet
            app.setStyleSheet("")
        app.setPalette(qt_palette(colors(theme)))
        app.setStyleSheet(sheet)
        put_back(fonts)


def catch_up(root: QWidget) -> None:
    """Style a widget and all in it that lay behind while the theme was changed, as `apply_theme` does with what is seen."""
    late = [widget for widget in within(root) if widget.testAttribute(POLISHED)]  # others are polished when they are first shown
    fonts = [(widget, widget.font()) for widget in late if widget.testAttribute(GIVEN_FONT)]
    for widget in late:
        widget.setPalette(QPalette())  # the colours that the old sheet gave it
    for widget in late:
        widget.style().polish(widget)
    for widget in late:
        QApplication.sendEvent(widget, QEvent(QEvent.Type.StyleChange))
    put_back(fonts)


def within(root: QWidget) -> list[QWidget]:
    """The widget and all that are in it."""
    return [root, *root.findChildren(QWidget)]


def put_back(fonts: list[tuple[QWidget, QFont]]) -> None:
    """Give widgets the fonts again that they had."""
    for widget, given in fonts:
        if widget.font() != given:
            widget.setFont(given)


@contextmanager
def flagged(widgets: list[QWidget], flag: Qt.WidgetAttribute, value: bool) -> Iterator[None]:
    """Set a flag of these widgets for a while: Qt then takes them for never polished, or for having a style of their own.

    When the style of the program changes, Qt restyles none of the first kind, and tells none of the second (`QApplication::setStyle`).
    """
    changed = [widget for widget in widgets if widget.testAttribute(flag) != value]
    for widget in changed:
        widget.setAttribute(flag, value)
    try:
        yield
    finally:
        for widget in changed:
            widget.setAttribute(flag, not value)


def icon(name: str, c: Colors) -> str:
    """The file of a small icon in the colours of a palette, as a style sheet names it."""
    return (ICONS / f"{name}-{'light' if c is LIGHT else 'dark'}.svg").as_posix()


@cache
def style_sheet(c: Colors) -> str:
    small = font(11).pixelSize()
    body = font(13).pixelSize()
    return f"""
QToolTip {{ background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; padding: 4px 6px; }}
QMainWindow {{ background: {c.background}; }}
QMainWindow::separator {{ background: {c.line}; width: 1px; height: 1px; }}
#top, #left, #right, #bottom, #page {{ background: {c.panel}; }}
#top {{ border-bottom: 1px solid {c.line}; }}
#bottom {{ border-top: 1px solid {c.line}; }}
#left {{ border-right: 1px solid {c.line}; }}
#right {{ border-left: 1px solid {c.line}; }}

QLabel {{ background: transparent; }}
QLabel[role="heading"] {{ color: {c.muted}; font-size: {small}px; letter-spacing: 0.6px; }}
QLabel[role="title"] {{ color: {c.text}; font-weight: 600; }}
QLabel[role="muted"] {{ color: {c.muted}; }}
QLabel[role="small"] {{ color: {c.muted}; font-size: {small}px; }}
QLabel[role="error"] {{ color: {c.bad}; font-size: {small}px; }}
QLabel[role="mark"] {{ color: {c.accent}; font-weight: 700; }}
QLabel[role="good"] {{ color: {c.good_text}; }}
QLabel[role="warning"] {{ color: {c.warning_text}; }}
QLabel[role="bad"] {{ color: {c.bad}; }}
QLabel[role="key"] {{ color: {c.muted}; font-size: {small}px; border: 1px solid {c.line}; border-radius: 4px; padding: 1px 5px; }}
QFrame[role="card"] {{ background: {c.background}; border: 1px solid {c.line}; border-radius: 10px; }}
QFrame[role="raised"] {{ background: {c.raised}; border: 1px solid {c.line}; border-radius: 8px; }}
QFrame[role="line"] {{ background: {c.line}; border: none; max-height: 1px; min-height: 1px; }}

QPushButton, QToolButton[kind="button"] {{
    background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; border-radius: 6px; padding: 0 12px;
    min-height: 28px; max-height: 28px; }}
QPushButton:hover, QToolButton[kind="button"]:hover {{ border-color: {c.muted}; }}
QPushButton:pressed {{ background: {c.line}; }}
QPushButton:focus, QToolButton[kind="button"]:focus {{ border-color: {c.accent}; }}
QPushButton:disabled {{ color: {c.muted}; background: {c.panel}; }}
QPushButton:checked {{ border-color: {c.accent}; }}
QPushButton[kind="primary"] {{ background: {c.accent}; color: {c.on_accent}; border-color: {c.accent}; }}
QPushButton[kind="primary"]:hover, QPushButton[kind="primary"]:focus {{ border-color: {c.text}; }}
QPushButton[kind="primary"]:disabled {{ background: {c.raised}; color: {c.muted}; border-color: {c.line}; }}
QPushButton[kind="quiet"] {{ color: {c.muted}; }}
QPushButton[kind="link"] {{
    background: transparent; border: 1px solid transparent; color: {c.accent}; padding: 0; min-height: 20px; max-height: 20px; }}
QPushButton[kind="link"]:focus {{ border-color: {c.accent}; border-radius: 4px; }}
QPushButton[kind="link"]:disabled {{ color: {c.muted}; }}
QPushButton[kind="danger"] {{ color: {c.bad}; border-color: {c.bad}; }}
QPushButton::menu-indicator {{ image: none; width: 0; }}
QToolButton {{ background: transparent; color: {c.muted}; border: 1px solid transparent; border-radius: 4px; padding: 2px 6px; }}
QToolButton:hover {{ color: {c.text}; background: {c.raised}; }}
QToolButton:focus {{ border-color: {c.accent}; }}
QToolButton::menu-indicator {{ image: none; width: 0; }}

QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox {{
    background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; border-radius: 6px; padding: 0 8px;
    min-height: 26px; max-height: 26px;
    selection-background-color: {c.accent}; selection-color: {c.on_accent}; }}
QLineEdit:focus, QComboBox:focus, QSpinBox:focus, QDoubleSpinBox:focus {{ border-color: {c.accent}; }}
QLineEdit[invalid="true"] {{ border-color: {c.bad}; }}
QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled {{ color: {c.muted}; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QComboBox::down-arrow {{ image: url({icon("down", c)}); width: 10px; height: 10px; }}
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{ width: 0; border: none; }}
QComboBox QAbstractItemView {{
    background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; outline: none; padding: 2px;
    selection-background-color: {c.accent}; selection-color: {c.on_accent}; }}
QCheckBox {{ spacing: 8px; background: transparent; }}
QCheckBox::indicator {{ width: 14px; height: 14px; border: 1px solid {c.muted}; border-radius: 4px; background: {c.raised}; }}
QCheckBox::indicator:checked {{ background: {c.accent}; border-color: {c.accent}; image: url({icon("check", c)}); }}
QCheckBox::indicator:focus {{ border-color: {c.accent}; }}
QCheckBox:focus {{ color: {c.accent}; }}
QRadioButton {{ spacing: 8px; background: transparent; }}
QRadioButton::indicator {{ width: 14px; height: 14px; border: 1px solid {c.muted}; border-radius: 8px; background: {c.raised}; }}
QRadioButton::indicator:checked {{ width: 6px; height: 6px; border: 5px solid {c.accent}; background: {c.on_accent}; }}
QRadioButton::indicator:focus {{ border-color: {c.accent}; }}
QRadioButton:focus {{ color: {c.accent}; }}

QPlainTextEdit, QTextEdit, QListView, QTreeView, QTableView {{
    background: {c.background}; color: {c.text}; border: 1px solid {c.line}; border-radius: 8px; outline: none;
    selection-background-color: {c.accent}; selection-color: {c.on_accent}; }}
QListView:focus, QTableView:focus, QTreeView:focus, QPlainTextEdit:focus, QTextEdit:focus {{ border-color: {c.accent}; }}
QHeaderView::section {{
    background: {c.panel}; color: {c.muted}; border: none; border-bottom: 1px solid {c.line}; padding: 4px 8px; font-size: {small}px; }}
QScrollArea {{ background: transparent; border: none; }}
QScrollArea > QWidget > QWidget#contents {{ background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: {c.line}; border-radius: 3px; margin: 2px; min-height: 24px; min-width: 24px; }}
QScrollBar::handle:hover {{ background: {c.muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QSlider {{ background: transparent; min-height: 18px; }}
QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {c.line}; }}
QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: {c.accent}; }}
QSlider::sub-page:horizontal:disabled {{ background: {c.muted}; }}
QSlider::handle:horizontal {{ width: 12px; height: 12px; margin: -4px 0; border-radius: 6px; background: {c.accent}; }}
QSlider::handle:horizontal:focus {{ border: 1px solid {c.text}; width: 10px; height: 10px; }}
QSlider::handle:horizontal:disabled {{ background: {c.muted}; }}
QProgressBar {{
    background: {c.raised}; border: 1px solid {c.line}; border-radius: 4px; min-height: 6px; max-height: 6px; color: transparent; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; }}

QMenuBar {{ background: transparent; color: {c.muted}; border: none; padding: 0; spacing: 0; }}
QMenuBar::item {{ background: transparent; padding: 4px 8px; border-radius: 4px; }}
QMenuBar::item:selected {{ background: {c.raised}; color: {c.text}; }}
QMenu {{ background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; padding: 4px; }}
QMenu::item {{ padding: 5px 24px 5px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {c.accent}; color: {c.on_accent}; }}
QMenu::item:disabled {{ color: {c.muted}; }}
QMenu::separator {{ height: 1px; background: {c.line}; margin: 4px 8px; }}

QDockWidget {{ background: {c.panel}; color: {c.text}; }}
QTabBar {{ background: {c.background}; border: none; }}
QTabBar::tab {{
    background: transparent; border: 1px solid transparent; border-bottom: 1px solid {c.line};
    padding: 0 6px; margin-top: 6px; min-height: 32px; max-height: 32px; font-size: {body}px; }}
QTabBar::tab:first {{ margin-left: 12px; }}
QTabBar::tab:selected {{
    background: {c.panel}; color: {c.text}; font-weight: 600; border: 1px solid {c.line}; border-bottom: 1px solid {c.panel};
    border-top-left-radius: 8px; border-top-right-radius: 8px; }}
QTabBar QToolButton {{ background: {c.raised}; border: 1px solid {c.line}; }}
#dock_title {{ background: {c.background}; border-bottom: 1px solid {c.line}; }}
#page_body, #pane_holder {{ background: {c.panel}; }}
#palette {{ background: {c.panel}; border: 1px solid {c.line}; border-radius: 10px; }}
#palette QListWidget {{ border: none; background: transparent; }}
#palette QListWidget::item {{ padding: 6px 8px; border-radius: 6px; }}
#palette QListWidget::item:selected {{ background: {c.raised}; color: {c.text}; }}
#search {{ background: {c.raised}; border: 1px solid {c.line}; border-radius: 6px; }}
#search:hover, #search:focus {{ border-color: {c.muted}; }}
#drop {{ background: {c.panel}; border: 2px dashed {c.accent}; border-radius: 10px; }}

Pane QLabel[role="title"] {{ font-size: 16px; }}
QPushButton[kind="tab"], QPushButton[kind="path"] {{
    background: transparent; border: none; border-bottom: 1px solid transparent; border-radius: 0;
    padding: 0; color: {c.muted}; text-align: left; min-height: 20px; max-height: 20px; }}
QPushButton[kind="tab"] {{ font-size: {small}px; letter-spacing: 0.6px; }}
QPushButton[kind="tab"]:checked, QPushButton[kind="path"]:checked {{ color: {c.text}; border-bottom: 1px solid {c.accent}; }}
QTableView::item {{ padding: 3px 4px; }}
LatentSlider {{ min-height: 25px; max-height: 25px; }}
QPushButton[kind="tab"]:focus, QPushButton[kind="path"]:focus {{ color: {c.accent}; }}
#play, #theme_button {{ padding: 0; }}
QPushButton[kind="follow_newest"], QPushButton[kind="follow_best"] {{ padding: 0 9px; min-height: 0; color: {c.muted}; }}
QPushButton[kind="follow_newest"] {{ border-top-right-radius: 0; border-bottom-right-radius: 0; border-right: none; }}
QPushButton[kind="follow_best"] {{ border-top-left-radius: 0; border-bottom-left-radius: 0; }}
QPushButton[kind="follow_newest"]:checked, QPushButton[kind="follow_best"]:checked {{ background: {c.raised}; color: {c.accent}; }}
QPushButton[kind="follow_newest"]:focus, QPushButton[kind="follow_best"]:focus {{ border-color: {c.accent}; }}
QTableView[kind="bare"] {{ border: none; background: transparent; }}
QTableView[kind="bare"] QHeaderView {{ background: transparent; }}
QTableView[kind="bare"] QHeaderView::section {{ background: transparent; padding: 4px 8px; border-bottom: 1px solid {c.line}; }}
"""
