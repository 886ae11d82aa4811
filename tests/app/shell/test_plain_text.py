"""Names and manifests full of markup are shown as they stand, in every pane: nothing is loaded, nothing is drawn from elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex
from PySide6.QtGui import QAction, QImage, Qt, QTextDocument
from PySide6.QtWidgets import QAbstractItemView, QApplication, QGraphicsTextItem, QGraphicsView, QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from app.shell.plain_text import PlainLabel, set_tip, without_markup
from engine import messages as m
from tests.kit import fake_engine
from tests.kit.panes import report

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = (
    "<img src='file:///canary.png'>",
    '<a href="file:///canary">x</a>',
    "&lt;b&gt;<table background='file:///canary.png'><tr><td>x</td></tr></table>",
    "1 < 2 <b>bold</b>",
    "  \n <!DOCTYPE html><html><body>x</body></html>",
    "<?xml version='1.0'?><b>x</b>",
    "a\n<qt>b</qt>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_that_qt_finds_no_markup_and_a_person_sees_the_same_text(text: str) -> None:
    safe = without_markup(text)
    assert not Qt.mightBeRichText(safe)
    assert safe.replace("\u200c", "") == text


def test_that_an_innocent_text_stays_the_same_bytes() -> None:
    assert without_markup("β = 4 & γ > 2, 12 µs") == "β = 4 & γ > 2, 12 µs"


def test_that_a_plain_label_draws_a_tag_as_letters(qtbot: QtBot, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    image = QImage(64, 64, QImage.Format.Format_RGB32)
    image.fill(0xFF0000)
    assert image.save(str(picture))
    tag = f"<img src='{picture.as_uri()}'>"

    def reds(label: QLabel) -> int:
        qtbot.addWidget(label)
        label.resize(800, 80)
        drawn = label.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        pixels = np.frombuffer(drawn.constBits(), np.uint32).reshape(drawn.height(), -1) & 0xFFFFFF
        return int((pixels == 0xFF0000).sum())

    assert reds(QLabel(tag)) > 1_000  # Qt's own label loads it: the danger is real
    assert reds(PlainLabel(tag)) == 0


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_that_no_file_of_the_window_makes_a_label_or_a_tooltip_in_another_way() -> None:
    found = []
    for path in sorted((ROOT / "app").rglob("*.py")):
        if path.name == "plain_text.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in calls(tree):
            f = call.func
            if isinstance(f, ast.Name) and f.id in ("QLabel", "QTextBrowser", "QMessageBox"):
                found.append(f"{path.name}:{call.lineno} makes a {f.id}; use PlainLabel")
            if isinstance(f, ast.Attribute) and f.attr == "setToolTip" and len(call.args) == 1 and not is_tip_of_super(f):
                found.append(f"{path.name}:{call.lineno} calls setToolTip; use set_tip")
            if isinstance(f, ast.Attribute) and f.attr == "showText" and isinstance(f.value, ast.Name) and f.value.id == "QToolTip":
                found.append(f"{path.name}:{call.lineno} calls QToolTip.showText; use show_tip")
    assert found == []


def is_tip_of_super(f: ast.Attribute) -> bool:
    return isinstance(f.value, ast.Call) and isinstance(f.value.func, ast.Name) and f.value.func.id == "super"


def hostile_events(tag: str) -> tuple[m.Event, ...]:
    """Everything that a file can put into the window's words."""
    steps = np.arange(1, 50)
    made = replace(
        fake_engine.run("a"),
        name=tag,
        title=tag,
        data=f"/data/{tag}",
        data_name=tag,
        status="failed",
        headline=tag,
        message=tag,
        fault=tag,
        device=tag,
        precision=tag,
        config={tag: tag},
        changed={tag: tag, "likelihood": tag},
    )
    unknown = replace(made, run="/runs/u", method=tag)
    return (
        fake_engine.READY,
        m.DataListed((*fake_engine.DATA, m.DataInfo(f"/data/{tag}", tag, "images", tag))),
        m.RunsListed((made, unknown), "/runs"),
        m.JobChanged("train-1", "train", "running", "/runs/a", tag),
        m.Metrics("/runs/a", {tag: (steps, np.ones(len(steps), np.float32)), "loss": (steps, np.ones(len(steps), np.float32))}),
        report("inspect-1", name=tag, classes=(tag, "b"), notes=(tag,), bad=(m.BadFile(f"/x/{tag}", tag),), bad_total=1),
        m.Notice("bad", tag, tag),
    )


def rich_texts(root: QWidget) -> Iterator[str]:
    """Every text below a widget that Qt would read as HTML: labels, tooltips, items of lists, texts in plots."""
    for widget in [root, *root.findChildren(QWidget)]:
        tips = [widget.toolTip(), widget.statusTip(), widget.whatsThis()]
        yield from (tip for tip in tips if Qt.mightBeRichText(tip))
        if isinstance(widget, QLabel):
            rich = widget.textFormat() == Qt.TextFormat.RichText
            if rich or (widget.textFormat() == Qt.TextFormat.AutoText and Qt.mightBeRichText(widget.text())):
                yield widget.text()
        if isinstance(widget, QGraphicsView) and widget.scene() is not None:
            yield from (item.toHtml() for item in widget.scene().items() if isinstance(item, QGraphicsTextItem))
        if isinstance(widget, QAbstractItemView) and widget.model() is not None:
            yield from (tip for tip in item_tips(widget.model()) if Qt.mightBeRichText(tip))
    for action in root.findChildren(QAction):
        yield from (tip for tip in (action.toolTip(), action.statusTip()) if Qt.mightBeRichText(tip))


def item_tips(model: QAbstractItemModel) -> Iterator[str]:
    for row in range(min(model.rowCount(), 200)):
        for column in range(model.columnCount()):
            yield str(model.data(model.index(row, column, QModelIndex()), Qt.ItemDataRole.ToolTipRole) or "")


def loads(html: str) -> bool:
    """Whether a document of this text would ask for something outside it."""
    asked = []

    class Watching(QTextDocument):
        def loadResource(self, kind: int, name: object) -> object:
            asked.append(name)
            return None

    page = Watching()
    page.setHtml(html)
    page.setTextWidth(300)
    page.size()
    return bool(asked) or ("canary" in page.toHtml() and "<a href" in page.toHtml())


def test_that_the_watching_document_notices_a_picture() -> None:
    assert loads("<p>x <img src='file:///canary.png'></p>")
    assert not loads("<p>x &lt;img src='file:///canary.png'&gt;</p>")


@pytest.mark.parametrize("tag", HOSTILE[:3])
def test_that_no_pane_reads_a_name_as_markup(
    real_panes: None, open_window: Callable[..., Window], qtbot: QtBot, tmp_path: Path, tag: str
) -> None:
    window = open_window(hostile_events(tag))
    qtbot.waitUntil(lambda: window.state.run is not None)
    for run in ("/runs/u", "/runs/a"):
        window.choose_run(run)
        for pane in list(window.centre.docks.docks):
            window.show_pane(pane)
            QApplication.processEvents()
            assert [text for text in rich_texts(window) if loads(text)] == []


def test_that_tips_of_widgets_and_actions_are_plain(qtbot: QtBot) -> None:
    widget, action = QWidget(), QAction("a")
    qtbot.addWidget(widget)
    set_tip(widget, HOSTILE[0])
    set_tip(action, HOSTILE[0])
    assert not Qt.mightBeRichText(widget.toolTip()) and not Qt.mightBeRichText(action.toolTip())
