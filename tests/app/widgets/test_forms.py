"""From settings to a form and back."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QKeySequence, QUndoStack
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QComboBox, QFileDialog, QLabel, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.panes.views.augmentation_settings import ViewSettings
from app.shell.new_run_page import DEFAULT_STEPS, NewRunPage
from app.widgets.forms import BadValue, Draft, Group, allowed, groups_of, parse, shown
from app.widgets.parts import TextLines
from engine.messages import DataInfo, FieldInfo, StartRun
from engine.method import info
from engine.methods import all_methods
from tests.kit.fake_engine import AUTOENCODER, DATA, FIELDS, READY, VAE

LATENT, NETWORK, LIKELIHOOD, BETA, BINARIZE, BATCH, RATE = FIELDS
FREE = FieldInfo("free", "free", "float", 0.0, "Any number at all.")


@pytest.fixture
def page(qtbot: QtBot) -> NewRunPage:
    made = NewRunPage(QUndoStack())
    made.draft.undo.setParent(made)
    qtbot.addWidget(made)
    made.set_engine({"autoencoder": AUTOENCODER, "vae": VAE}, READY)
    made.set_data({info.data: info for info in DATA})
    made.resize(760, 640)
    made.show()
    return made


def row(page: NewRunPage, name: str):
    return next(group.rows[name] for group in page.groups if name in group.rows)


def type_into(page: NewRunPage, name: str, text: str) -> None:
    line = row(page, name).editor
    assert isinstance(line, QLineEdit)
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (LATENT, "32", 32),
        (LATENT, " 1\u202f00 ", 100),
        (LATENT, "1e2", 100),
        (RATE, "3e-4", 3e-4),
        (RATE, "0,01", 0.01),
        (BETA, "0", 0.0),
        (BATCH, "10,000", 10_000),
        (BATCH, "1,024", 1024),
        (BETA, "1,5", 1.5),
        (BETA, "1,500", 1.5),
        (FREE, "1,234.5", 1234.5),
        (FREE, "1,000,000", 1e6),
    ],
)
def test_numbers_are_understood_as_people_write_them(field: FieldInfo, text: str, value: float) -> None:
    assert parse(field, text) == value
    assert type(parse(field, text)) is (int if field.kind == "int" else float)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (LATENT, "0"),
        (LATENT, "2.5"),
        (LATENT, "x"),
        (LATENT, ""),
        (RATE, "2"),
        (RATE, "nan"),
        (BETA, "inf"),
        (BETA, "-1"),
        (LATENT, "1,5"),
        (BATCH, "10,00,000"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_range(field: FieldInfo, text: str) -> None:
    with pytest.raises(BadValue) as wrong:
        parse(field, text)
    assert allowed(field) in str(wrong.value)
    assert str(wrong.value).endswith(".")


def test_a_name_that_is_no_folder_is_refused() -> None:
    name = FieldInfo("name", "name", "name", "", "")
    assert parse(name, " first try ") == "first try"
    for text in ("a/b", "..", "c:\\x", "*"):
        with pytest.raises(BadValue):
            parse(name, text)


def test_that_a_text_is_taken_as_it_is_typed(qtbot: QtBot) -> None:
    other = FieldInfo("tokenizer", "tokenizer", "text", "", "Name or folder of another run.")
    assert parse(other, " ../runs/first try ") == "../runs/first try"
    draft = Draft(QUndoStack())
    group = Group("model", "token_transformer", [other], draft)
    qtbot.addWidget(group)
    line = group.rows["tokenizer"].editor
    assert isinstance(line, QLineEdit)
    QTest.keyClicks(line, "/runs/a:b")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert draft.differing("token_transformer") == {"tokenizer": "/runs/a:b"} and not group.errors
    draft.undo.undo()
    assert line.text() == "" and draft.differing("token_transformer") == {}


def test_that_the_undo_key_takes_back_typing_and_then_the_setting_though_the_field_keeps_the_keyboard(qtbot: QtBot) -> None:
    draft = Draft(QUndoStack())
    window = QWidget()
    undo, redo = QAction("Undo", window), QAction("Redo", window)
    for action, key, slot in (
        (undo, QKeySequence.StandardKey.Undo, draft.undo.undo),
        (redo, QKeySequence.StandardKey.Redo, draft.undo.redo),
    ):
        action.setShortcut(key)
        action.triggered.connect(slot)
        window.addAction(action)
    qtbot.addWidget(window)
    group = Group("model", "m", [FieldInfo("leave_out", "leave out", "text", "", "Files.")], draft)
    QVBoxLayout(window).addWidget(group)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    line = group.rows["leave_out"].editor
    assert isinstance(line, QLineEdit)
    line.setFocus()
    qtbot.waitUntil(line.hasFocus)
    QTest.keyClicks(line, "*_1*")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert draft.differing("m") == {"leave_out": "*_1*"}
    QTest.keyClicks(line, "typed")
    QTest.keySequence(line, QKeySequence.StandardKey.Undo)  # of what is being typed
    assert draft.differing("m") == {"leave_out": "*_1*"} and "typed" not in line.text()
    line.setText("*_1*")
    QTest.keySequence(line, QKeySequence.StandardKey.Undo)
    assert draft.differing("m") == {} and line.text() == "" and line.hasFocus()
    QTest.keySequence(line, QKeySequence.StandardKey.Redo)
    assert draft.differing("m") == {"leave_out": "*_1*"} and line.text() == "*_1*"


@given(st.floats(1e-6, 1.0))
def test_every_number_survives_being_shown(value: float) -> None:
    assert parse(RATE, shown(RATE, value)) == pytest.approx(value, rel=1e-11)


def test_undoing_random_edits_brings_back_every_setting(page: NewRunPage) -> None:
    rng = random.Random(0)
    choices = {
        LATENT: lambda: rng.randint(1, 512),
        NETWORK: lambda: rng.choice(NETWORK.choices),
        BETA: lambda: rng.choice([0.0, 0.5, 4.0]),
        BINARIZE: lambda: rng.random() < 0.5,
        RATE: lambda: rng.choice([1e-4, 1e-3, 1e-2]),
    }
    seen = [page.draft.differing("vae")]
    for _ in range(50):
        field = rng.choice(list(choices))
        before = dict(page.draft.values)
        page.draft.set("vae", field, choices[field]())
        if page.draft.values != before:
            seen.append(page.draft.differing("vae"))
    for expected in reversed(seen[:-1]):
        page.draft.undo.undo()
        assert page.draft.differing("vae") == expected
    assert page.draft.values == {}
    for expected in seen[1:]:
        page.draft.undo.redo()
        assert page.draft.differing("vae") == expected


def test_a_start_carries_only_what_was_changed(page: NewRunPage, qtbot: QtBot) -> None:
    type_into(page, "latent", "32")
    type_into(page, "seed", "7")
    with qtbot.waitSignal(page.started) as heard:
        page.start.click()
    assert heard.args == [StartRun("", "vae", "digits", {"latent": 32}, 7, DEFAULT_STEPS, None, None, "auto", "auto")]


def test_minutes_take_the_place_of_steps(page: NewRunPage) -> None:
    box = row(page, "length").editor
    assert isinstance(box, QComboBox)
    box.setCurrentIndex(1)
    box.activated.emit(1)
    assert row(page, "steps").editor.isHidden()
    type_into(page, "minutes", "2.5")
    request = page.request()
    assert (request.steps, request.minutes) == (None, 2.5)


def test_a_wrong_value_is_named_in_its_row_and_nothing_starts(page: NewRunPage) -> None:
    type_into(page, "latent", "zero")
    assert "from 1 to 512" in row(page, "latent").hint.text()
    assert not page.start.isEnabled()
    assert "latent" in page.summary.text()
    assert page.draft.values == {}
    type_into(page, "latent", "8")
    assert page.start.isEnabled()
    assert row(page, "latent").hint.text() == LATENT.help


def test_a_changed_setting_is_marked_and_can_be_reset(page: NewRunPage) -> None:
    type_into(page, "latent", "8")
    assert row(page, "latent").mark.text()
    row(page, "latent").reset.click()
    assert not row(page, "latent").mark.text()
    editor = row(page, "latent").editor
    assert isinstance(editor, QLineEdit) and editor.text() == "16"
    page.draft.undo.undo()
    assert editor.text() == "8"


def test_each_method_keeps_its_own_settings(page: NewRunPage) -> None:
    type_into(page, "latent", "8")
    page.choose_method("autoencoder")
    assert page.request().config == {}
    page.choose_method("vae")
    assert page.request().config == {"latent": 8}


def test_what_is_typed_last_counts_without_leaving_the_field(page: NewRunPage, qtbot: QtBot) -> None:
    line = row(page, "latent").editor
    assert isinstance(line, QLineEdit)
    page.activateWindow()
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, "24")
    with qtbot.waitSignal(page.started) as heard:
        QTest.keyClick(line, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert heard.args is not None and heard.args[0].config == {"latent": 24}


def test_undo_shows_the_form_of_the_method_it_concerns(page: NewRunPage, qtbot: QtBot) -> None:
    type_into(page, "latent", "8")
    page.choose_method("autoencoder")
    with qtbot.waitSignal(page.wanted, timeout=0):
        page.draft.undo.undo()
    assert page.method.currentData() == "vae"
    with qtbot.waitSignal(page.wanted, timeout=0):
        page.draft.undo.redo()


def test_setting_a_value_does_not_call_for_the_form(page: NewRunPage, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(page.wanted):
        type_into(page, "latent", "8")


def test_a_draft_forgets_defaults() -> None:
    draft = Draft(QUndoStack())
    draft.set("vae", LATENT, 32)
    draft.set("vae", LATENT, 16)
    assert draft.values == {}


def test_without_methods_it_says_to_wait(qtbot: QtBot) -> None:
    page = NewRunPage(QUndoStack())
    page.draft.undo.setParent(page)
    qtbot.addWidget(page)
    assert not page.start.isEnabled()
    assert "engine" in page.summary.text()


def test_that_the_form_offers_the_length_that_fits_the_data_and_keeps_a_chosen_one(page: NewRunPage) -> None:
    infos = {"few": DataInfo("few", "few", "images", "1 000", training_images=1455), "many": DataInfo("many", "many", "images", "x")}
    page.set_data(infos)
    page.choose_data("few")
    assert page.request().steps == round(45 * 1455 / 128)
    page.choose_data("many")
    assert page.request().steps == DEFAULT_STEPS
    type_into(page, "steps", "77")
    page.choose_data("few")
    assert page.request().steps == 77


def test_that_typed_steps_stay_with_their_method_and_another_one_has_its_own_default(page: NewRunPage) -> None:
    first, other = list(page.methods)[:2]
    page.choose_method(first)
    own = page.request().steps
    type_into(page, "steps", "77")
    type_into(page, "seed", "5")
    page.choose_method(other)
    request = page.request()
    assert request.steps == row(page, "steps").field.default and str(row(page, "steps").editor.text()) != "77"
    assert request.seed == 5, "what is of no method stays"
    type_into(page, "steps", "88")
    page.choose_method(first)
    assert page.request().steps == 77 and "steps 77" in page.summary.text()
    page.draft.undo.undo()
    assert page.method.currentData() == other and page.request().steps != 88
    page.draft.undo.undo()
    page.draft.undo.undo()
    assert page.method.currentData() == first and page.request().steps == own


def words_of(widget: QWidget) -> list[str]:
    """All that a person can read of a widget and what is in it: texts, choices, tooltips, and what screen readers say."""
    told: list[str] = []
    for part in (widget, *widget.findChildren(QWidget)):
        told += [part.toolTip(), part.accessibleName(), part.accessibleDescription(), part.whatsThis()]
        if isinstance(part, QLabel | QAbstractButton):
            told.append(part.text())
        elif isinstance(part, QLineEdit):
            told += [part.text(), part.placeholderText()]
        elif isinstance(part, QComboBox):
            told += [part.itemText(index) for index in range(part.count())]
        elif isinstance(part, TextLines):
            told.append(part.text)
    return told


CODED = re.compile(r"[A-Za-z0-9]_[A-Za-z0-9]")


@pytest.mark.parametrize("name", all_methods())
def test_that_the_form_and_the_strengths_of_every_method_are_in_words(qtbot: QtBot, name: str) -> None:
    """No name of the code, with its underscores, is to be read anywhere; values go to the engine as they are called there."""
    method = info(all_methods()[name])
    owner = QObject()
    draft = Draft(QUndoStack(owner), owner)
    groups = groups_of(name, method.fields, draft)
    settings = ViewSettings()
    for part in (*groups, settings):
        qtbot.addWidget(part)
    settings.set_fields(method.fields, {})
    told = [text for part in (*groups, settings) for text in words_of(part)]
    told += [re.sub("<[^>]*>", "", text) for text in (method.title, method.summary, method.formula, method.source, method.family)]
    assert [text for text in told if CODED.search(text)] == []
    for field in method.fields:
        if field.kind == "choice":
            box = settings.others[field.name]
            assert isinstance(box, QComboBox)
            for choice in field.choices:
                settings.show_settings({field.name: choice})
                assert box.currentData() == choice and settings.settings().get(field.name, field.default) == choice


def test_that_a_setting_is_offered_and_sent_only_while_its_switch_is_on(page: NewRunPage) -> None:
    switch = FieldInfo("conditional", "conditional", "bool", False, "Whether.")
    told = FieldInfo("condition", "condition", "choice", "class", "What.", choices=("class", "caption"), needs="conditional")
    page.set_engine({"vae": replace(VAE, fields=(switch, told, *VAE.fields))}, READY)
    page.choose_method("vae")
    assert row(page, "condition").editor.isHidden()
    page.draft.set("vae", switch, True)
    assert not row(page, "condition").editor.isHidden()
    page.draft.set("vae", told, "caption")
    assert page.request().config == {"conditional": True, "condition": "caption"}
    page.draft.set("vae", switch, False)
    assert row(page, "condition").editor.isHidden() and page.request().config == {}


FOLDER = FieldInfo("folder", "folder", "text", "", "Folder with a model.", folder="model")
FAULT = "clouds has no config.json. Choose another folder."


@pytest.fixture
def folder_form(page: NewRunPage) -> tuple[NewRunPage, list[tuple[str, str]]]:
    """The form of a method that opens a folder, and what it wants looked into."""
    page.set_engine({"pretrained": replace(VAE, name="pretrained", title="Pretrained", fields=(FOLDER,))}, READY)
    asked: list[tuple[str, str]] = []
    page.folder_named.connect(lambda kind, path: asked.append((kind, path)))
    return page, asked


def dragged(path: str) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path)])
    return data


def drop(line: QWidget, data: QMimeData) -> bool:
    """Drag over a field and let go; whether it takes that."""
    at, action, button = QPoint(4, 4), Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(at, action, data, button, Qt.KeyboardModifier.NoModifier)
    QCoreApplication.sendEvent(line, enter)
    if enter.isAccepted():
        QCoreApplication.sendEvent(line, QDropEvent(QPointF(at), action, data, button, Qt.KeyboardModifier.NoModifier))
    return enter.isAccepted()


def test_that_a_folder_can_be_browsed_for_and_dropped_and_typed(folder_form, tmp_path) -> None:
    page, asked = folder_form
    one = row(page, "folder")
    line = one.editor
    assert drop(line, dragged(str(tmp_path)))
    assert line.text() == one.value == str(tmp_path) and asked == [("model", str(tmp_path))]
    one.unit.click()
    (dialog,) = line.findChildren(QFileDialog)
    assert dialog.fileMode() == QFileDialog.FileMode.Directory
    dialog.fileSelected.emit(str(tmp_path.parent))
    dialog.close()
    assert one.value == str(tmp_path.parent) and asked[-1] == ("model", str(tmp_path.parent))
    type_into(page, "folder", "/else where")
    assert one.value == "/else where" and asked[-1] == ("model", "/else where")
    page.draft.undo.undo()
    assert one.value == line.text() == str(tmp_path.parent)


def test_that_a_folder_without_a_model_is_said_at_once_and_nothing_starts_until_another_is_named(folder_form) -> None:
    page, _ = folder_form
    one = row(page, "folder")
    assert page.start.isEnabled()
    one.take_folder("/data/clouds")
    page.note_folder("/data/of another question", "It is no folder.")
    assert page.start.isEnabled(), "that was not asked about this folder"
    page.note_folder("/data/clouds", FAULT)
    assert one.hint.text() == FAULT and FAULT in page.summary.text() and not page.start.isEnabled()
    assert one.editor.text() == "/data/clouds", "it can be mended"
    one.editor.setFocus()
    QTest.keyClick(one.editor, Qt.Key.Key_Return)
    assert one.hint.text() == FAULT, "the same folder is as wrong as before"
    one.take_folder("/data/dinov2")
    page.note_folder("/data/dinov2", "")
    assert one.hint.text() == FOLDER.help and page.start.isEnabled()
    page.draft.undo.undo()
    assert one.hint.text() == FAULT and not page.start.isEnabled()
    one.reset.click()
    assert one.hint.text() == FOLDER.help and page.start.isEnabled()


def test_that_a_folder_field_made_anew_is_looked_into_again(folder_form) -> None:
    page, asked = folder_form
    row(page, "folder").take_folder("/data/clouds")
    asked.clear()
    page._rebuild()
    assert asked == [("model", "/data/clouds")]


@pytest.mark.parametrize("name", sorted(all_methods()))
def test_that_every_field_of_a_folder_has_a_button_to_browse(qtbot: QtBot, name: str) -> None:
    for field in info(all_methods()[name]).fields:
        undo = QUndoStack()
        group = Group("Model", name, (field,), Draft(undo))
        qtbot.addWidget(group)
        names = {button.accessibleName() for button in group.findChildren(QAbstractButton)}
        assert (f"Browse for {field.label}" in names) == bool(field.folder)
        if "folder" in field.help.lower() and field.kind == "text":
            assert field.folder
