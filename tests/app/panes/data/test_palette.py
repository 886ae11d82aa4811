"""What can be pressed in a pane is found by the palette, in every state of the pane, and nothing that cannot be seen."""

from __future__ import annotations

from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from shiboken6 import delete

from app.panes.data.pane import DataPane
from app.panes.errors.pane import ErrorsPane
from app.panes.views.patches_page import PatchesPage
from app.shell.palette import Item, Palette
from app.shell.palette_items import pane_items
from engine import messages as m
from tests.kit.panes import Kit, report

OFFERED = ("labels", "fit", "rename")


def texts(items: list[Item], enabled: bool = False) -> set[str]:
    return {item.text for item in items if item.enabled or not enabled}


@pytest.fixture
def pane(kit: Kit, tmp_path: Any) -> DataPane:
    made = kit.open(DataPane)
    assert isinstance(made, DataPane)
    kit.state.open_data(str(tmp_path))
    facts = m.ImportFacts(decisions={}, offered=OFFERED, classes_from="folders", splits_from="none", histogram_after=(1,) * 32)
    kit.bridge.tell(report(made.job, data=str(tmp_path), understood=facts))
    kit.pump()
    return made


def test_that_every_verb_of_the_data_pane_is_found_and_done_after_the_pane_came_to_the_front(
    kit: Kit, pane: DataPane, qtbot: QtBot
) -> None:
    shown: list[str] = []
    page = {"Use as data set", "Images", "Undo", "Redo", "Reset to detected", "Copy recipe", "Copy as command"}
    items = pane_items(pane, "Data", lambda: shown.append("Data"))
    assert texts(items) >= {f"Data: {name}" for name in page}
    assert "Data: Undo" not in texts(items, enabled=True) and "Data: Use as data set" in texts(items, enabled=True)
    assert not any("Train on it" in text for text in texts(items))  # not on this page
    next(item for item in items if item.text == "Data: Use as data set").act()
    assert shown == ["Data"] and kit.state.selected_data == pane.data and pane.stack.currentIndex() == 2
    items = pane_items(pane, "Data", lambda: shown.append("Data"))
    assert texts(items) >= {"Data: Train on it…", "Data: How it was read…", "Data: Next", "Data: Export"}
    next(item for item in items if item.text == "Data: How it was read…").act()
    assert pane.stack.currentWidget() is pane.import_page


def test_that_the_verbs_of_errors_and_patches_are_found(kit: Kit, qtbot: QtBot) -> None:
    errors = ErrorsPane(kit.context)
    qtbot.addWidget(errors)
    found = texts(pane_items(errors.page, "Errors", lambda: None))
    assert found >= {"Errors: All errors", "Errors: Right but unsure", "Errors: Show in Embedding", "Errors: Score in Likelihood"}
    assert any(text.startswith("Errors: Export") for text in found)
    patches = PatchesPage()
    qtbot.addWidget(patches)
    found = texts(pane_items(patches, "Views", lambda: None))
    assert "Views: Attention" not in found  # no network that has any is looked at
    assert found >= {"Views: PCA", "Views: Similarity", "Views: Open image…", "Views: Another"}


def test_that_a_verb_whose_button_is_gone_does_no_harm(kit: Kit, pane: DataPane) -> None:
    use = next(item for item in pane_items(pane, "Data", lambda: None) if item.text == "Data: Use as data set")
    delete(pane.import_page.use_button)
    use.act()
    assert not kit.engine.of(m.ListData)


def test_that_other_words_find_an_item_behind_what_is_called_so(qtbot: QtBot) -> None:
    palette = Palette(None)  # type: ignore[arg-type]
    qtbot.addWidget(palette)
    palette.items = [
        Item("Light theme", "action", bool, words="theme dark light"),
        Item("Dark theme", "action", bool, words="theme dark light"),
    ]
    palette._filter("dark")
    assert [palette.list.item(row).text() for row in range(palette.list.count())] == ["Dark theme", "Light theme"]
    palette._filter("zz")
    assert palette.list.count() == 1 and "Nothing is called" in palette.list.item(0).text()
