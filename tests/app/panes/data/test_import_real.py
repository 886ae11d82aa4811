"""The page of an import in the real window on the real engine: the handed cases as it shows them, decisions by mouse, and what is used."""

from __future__ import annotations

import runpy
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLabel

from app.panes.data.pane import DataPane
from app.tour.window_driver import WindowDriver
from engine import messages as m
from engine.data import open_data
from engine.worker.engine import Engine
from tests.kit.import_cases import flat, picture, save, write_csv
from tests.kit.text_fit import misfits

pytestmark = pytest.mark.slow

# case -> its classes (None for a set that cannot be read), words that the page must show
CASES: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...]]] = {
    "classes_named_like_splits": (("invalid", "valid"), ("2 from the names of folders", "drawn at random")),
    "class_named_test": (("control", "test"), ("drawn at random",)),
    "wrapped": (("cats", "dogs"), ("“animals”",)),
    "wrapped_split": (("cats", "dogs"), ("from the names of folders", "“animals”")),
    "stray_picture": (("cats", "dogs"), ("cover.png",)),
    "case_differs": (("Cat", "Dog"), ("case or Unicode",)),
    "unicode_forms": (("Birnen", "Äpfel"), ()),
    "labels_csv": (("cat", "dog"), ("the column “label” of labels.csv",)),
    "metadata_jsonl": (("cat", "dog"), ("the column “label” of metadata.jsonl",)),
    "class_in_the_name": (("cat", "dog"), ("the names of files",)),
    "sorted_classes": (tuple(f"class{n}" for n in range(5)), ()),
    "twins": (("a", "b"), ("exact twins",)),
    "name_not_utf8": ((), ("no image has a class",)),
    "labels_float.npz": (tuple("0123"), ("array y",)),
    "labels_onehot.npz": (tuple("0123"), ("array y",)),
    "labels_text.npz": (("cat", "dog"), ("array y",)),
    "labels_minus_one.npz": ((), ("no label (−1)",)),
    "labels_sparse.npz": (("7", "1234"), ("array y",)),
    "train_test_arrays.npz": (tuple("012"), ("train_images", "train_labels")),
    "zero_one.npz": ((), ("0 is black, 1 is white",)),
    "bit16": (("bright", "dim"), ("0 is black",)),
    "float_tiff": (("hi", "lo"), ("for the whole set",)),
    "float_outlier.npy": ((), ("the files hold", " to 3", "beyond the scale")),
    "white_on_transparent": ((), ("black, where an image is transparent",)),
    "four_bands": (None, ("four bands", "bands rgb")),
    "stack": ((), ("pages all",)),
    "wide": ((), ("whole, with borders", "200×50 grey")),
    "lfs_pointers": (None, ("git lfs pull",)),
    "emnist": (tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), ()),
}  # fmt: skip


@pytest.fixture
def driver(tmp_path: Path, qapp: QApplication) -> Iterator[WindowDriver]:
    with WindowDriver(Engine(tmp_path / "runs")) as made:
        made.wait(lambda: made.window.state.engine is not None, "the engine was ready", 120)
        yield made


def opened(driver: WindowDriver, path: Path) -> DataPane:
    """A file or folder as if it were dropped on the window, looked into."""
    driver.window.take([str(path)])
    pane = driver.pane("DataPane")
    assert isinstance(pane, DataPane)
    page = pane.import_page
    driver.wait(
        lambda: pane.stack.currentWidget() is page and str(path) in (page.path, page.failing) and page.sample_of is None,
        f"{path.name} was read",
        120,
    )
    return pane


def told(pane: DataPane) -> str:
    page = pane.import_page
    return "\n".join([page.status.text, *(label.text() for label in page.findChildren(QLabel) if label.isVisibleTo(page))])


def in_tree(pane: DataPane, split: int = 0) -> list[tuple[str, str]]:
    """Name and count of the classes in a split, as the tree shows them."""
    model = pane.import_page.summary.tree.tree_model
    top = model.index(split, 0)
    return [(model.data(model.index(n, 0, top)), model.data(model.index(n, 1, top))) for n in range(model.rowCount(top))]


def same_names(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether they are the same, in whatever order the Unicode forms come."""
    return sorted(unicodedata.normalize("NFC", name) for name in some) == sorted(others)


def choose(driver: WindowDriver, pane: DataPane, name: str, value: str) -> None:
    """In a box of the form, by a key and the mouse."""
    box = pane.import_page.form.editor(name)
    assert isinstance(box, QComboBox)
    pane.import_page.form.ensureWidgetVisible(box)
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_F4)
    view = box.view()
    view.scrollTo(view.model().index(box.findData(value), 0))
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(view.model().index(box.findData(value), 0)).center())


def settled(driver: WindowDriver, pane: DataPane) -> None:
    page = pane.import_page
    driver.wait(lambda: not page.preview.busy and not page._later.isActive(), "it was read again", 120)
    driver.settle()  # new words appear


def test_that_every_handed_case_is_shown_as_it_should_be_understood(
    driver: WindowDriver, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = shared_data.parent / "cases" / "make_import_cases.py"
    if not maker.is_file():
        pytest.skip("needs ../shared/cases/make_import_cases.py, which is not there")
    root = tmp_path / "cases"
    monkeypatch.setattr(sys, "argv", [str(maker), str(root)])
    runpy.run_path(str(maker), run_name="__main__")
    assert {path.name for path in root.iterdir()} - {"expect.json"} == set(CASES)
    for name, (classes, words) in CASES.items():
        pane = opened(driver, root / name)
        said = told(pane)
        for part in words:
            assert part in said, (name, part, said)
        if classes is None:
            assert pane.import_page.report is None and not pane.import_page.use_button.isEnabled()
            continue
        report = pane.import_page.report
        assert report is not None, name
        assert same_names(report.classes, classes), (name, report.classes)
        assert tuple(row[0] for row in in_tree(pane)) == report.classes
        assert [int(row[1]) for row in in_tree(pane)] == list(report.class_counts.get("train", ())), name
        driver.settle()
        driver.window.grab()
        driver.settle()
        assert len(pane.import_page.summary.tree.images_of(("train", -1))) >= min(5, report.counts["train"]), name
        assert sum(pane.import_page.summary.after.counts) > 0


def test_that_four_bands_are_decided_on_the_page(driver: WindowDriver, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    for n in range(6):
        Image.fromarray(rng.integers(0, 256, (16, 16, 4), np.uint8)).save(tmp_path / "set" / f"{n}.tif")
    pane = opened(driver, tmp_path / "set")
    choose(driver, pane, "bands", "rgb")
    settled(driver, pane)
    report = pane.import_page.report
    assert report is not None and report.shape == (3, 16, 16) and sum(report.counts.values()) == 6
    assert "fourth band was left out" in told(pane)


def test_that_the_preview_follows_is_undone_and_is_what_the_engine_reads_when_used(driver: WindowDriver, tmp_path: Path) -> None:
    flat(tmp_path / "set", [f"{n}.png" for n in range(24)])
    write_csv(
        tmp_path / "set" / "meta.csv",
        "file,kind,size",
        (f"{n},{'round' if n % 2 else 'long'},{'big' if n % 3 else 'small'}" for n in range(24)),
    )
    pane = opened(driver, tmp_path / "set")
    page = pane.import_page
    assert in_tree(pane) == []
    choose(driver, pane, "labels", "meta.csv:kind")
    choose(driver, pane, "labels", "meta.csv:size")  # the one before is still being read, or just was
    settled(driver, pane)
    assert [name for name, _ in in_tree(pane)] == ["big", "small"] and "the column “size” of meta.csv" in told(pane)
    choose(driver, pane, "fit", "squeeze")
    choose(driver, pane, "size", "32")
    settled(driver, pane)
    assert page.report is not None and page.report.shape == (3, 32, 32)
    QTest.mouseClick(page.undo_button, Qt.MouseButton.LeftButton)
    settled(driver, pane)
    assert page.report.shape == (3, 16, 16) and page.recipe == {"labels": "meta.csv:size", "fit": "squeeze"}
    assert not any("?{" in name for name in driver.window.state.data)  # what is only tried is not listed
    QTest.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    name = page.report.data
    driver.wait(lambda: name in driver.window.state.data, "it came onto the list", 60)
    assert driver.window.state.selected_data == name and "size" in driver.window.state.data[name].summary
    driver.window.new_run()
    assert driver.window.new_run_page.data_box.currentData() == name
    truth = open_data(name)
    assert truth.hash == page.report.hash and truth.classes == ("big", "small")


def test_that_a_slow_reading_is_cancelled_and_its_answer_never_shown(driver: WindowDriver, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for n in range(400):
        save(tmp_path / "set" / f"{'cat' if n % 2 else 'dog'}.{n}.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    pane = opened(driver, tmp_path / "set")
    page, before = pane.import_page, pane.import_page.report
    reports: list[m.DataReport] = []
    driver.window.bridge.on(m.DataReport, reports.append)
    choose(driver, pane, "size", "32")
    driver.wait(lambda: page.preview.busy and page.cancel.isVisible(), "it was being read", 60)
    QTest.mouseClick(page.cancel, Qt.MouseButton.LeftButton)
    driver.wait(lambda: not page.preview.busy, "it ended", 60)
    sampled = page.report is not None and page.report.sampled > 0
    assert page.report is before or reports or sampled  # the reading may have been over before the click
    if page.report is before:
        assert page.again.isVisible() and not page.use_button.isEnabled()
    for value in ("16", "24", "28", "48"):
        choose(driver, pane, "size", value)
        driver.run_for(0.02)
    settled(driver, pane)
    assert page.report is not None and page.report.shape == (3, 48, 48)
    driver.settle()
    driver.run_for(0.2)
    assert page.report.shape == (3, 48, 48)


def test_that_a_large_folder_is_shown_from_a_sample_before_all_of_it(
    driver: WindowDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.data.sampled.WORTH_SECONDS", 0.0)  # as where reading takes long
    rng = np.random.default_rng(0)
    for n in range(2000):
        save(tmp_path / "set" / ("train" if n % 4 else "test") / "abc"[n % 3] / f"{n}.png", rng.integers(0, 256, (8, 8, 3), np.uint8))
    page = driver.pane("DataPane").import_page
    seen: list[tuple[bool, bool, int]] = []  # whether it can be used, whether the whole is known, images that were shown
    page.preview.sampled.connect(lambda report: seen.append((page.use_button.isEnabled(), page.whole is not None, report.sampled)))
    show = page.show_sample

    def first(report: m.DataReport) -> None:
        show(report)
        driver.settle()
        seen.append((page.use_button.isEnabled(), page.whole is not None, report.sampled))

    monkeypatch.setattr(page, "show_sample", first)
    pane = opened(driver, tmp_path / "set")
    assert seen and seen[0][:2] == (False, False) and 0 < seen[0][2] <= 256
    settled(driver, pane)
    assert page.report is not None and page.report.sampled == 0 and sum(page.report.counts.values()) == 2000 and page.use_button.isEnabled()
    choose(driver, pane, "fit", "squeeze")
    driver.wait(lambda: len(seen) > 1, "the sample by the new decision was shown", 60)
    assert not seen[-1][0]
    settled(driver, pane)
    assert page.report is not None and page.report.sampled == 0 and page.report.counts["test"] == 500


@pytest.mark.parametrize("size", [(1280, 800), (960, 560)], ids=["1280x800", "960x560"])
def test_that_every_text_of_the_page_can_be_read(driver: WindowDriver, tmp_path: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for split, name, count in (("train", "many", 40), ("train", "few", 3), ("test", "many", 4), ("test", "few", 2), ("test", "new", 2)):
        for n in range(count):
            save(tmp_path / "set" / split / name / f"{n}.png", (picture(rng, 128, 16, 1).astype(np.uint16) * 90))
    (tmp_path / "set" / "test" / "many" / "copy.png").write_bytes((tmp_path / "set" / "train" / "many" / "0.png").read_bytes())
    (tmp_path / "set" / "train" / "many" / "bad.png").write_bytes(b"no picture")
    write_csv(tmp_path / "set" / "meta.csv", "file,kind", (f"train/many/{n}.png,{'round' if n % 2 else 'long'}" for n in range(40)))
    window = driver.window
    window.resize(*size)
    pane = opened(driver, tmp_path / "set")
    assert len(pane.import_page.report.warnings) >= 4  # type: ignore[union-attr]
    choose(driver, pane, "scale", "numbers")
    settled(driver, pane)
    for theme in ("dark", "light"):
        window.set_theme(theme)
        bars = [pane.import_page.summary.verticalScrollBar(), pane.import_page.form.verticalScrollBar()]
        for share in (0.0, 0.5, 1.0):
            for bar in bars:
                bar.setValue(round(bar.maximum() * share))
            driver.settle()
            window.grab()
            driver.settle()
            assert misfits(window) == [], (theme, share)
        assert driver.cut_off() == ""
