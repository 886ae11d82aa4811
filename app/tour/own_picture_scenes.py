"""The part of the tour that shows a person's own pictures: import, curation, a classifier's errors, moved data; and patches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.tour.guide import Tour
from app.tour.scene import Scene

CLASSIFIER_STEPS = 60
CLASSIFIER = {"width": 8, "batch_size": 32, "learning_rate": 0.01, "warmup": 0, "ema": 0.0}  # so that it learns something in so few steps
MAE_STEPS = 24
MAE = {"width": 16, "blocks": 2, "decoder_width": 16, "batch_size": 32}
LETTERS = {"Circle": "O", "circle": "o", "Cross": "X", "Square": "D", "Wedge": "V"}  # folder -> its sign; two differ in case only
EACH = {"train": 24, "test": 8}  # pictures of a class
SIDE = 32  # pixels
PATCHES_PAGE = 5  # of Views


class OwnPictureScenes:
    """Scenes of a folder as people have them, made in the tour's own folder: splits below a wrapper, litter, a stray and a broken file."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.driver: Any = tour.driver
        self.window: Any = tour.window
        self.folder = tour.scratch / "signs"
        self.run = ""

    def scenes(self) -> Iterator[Scene]:
        draw_signs(self.folder / "signs-v2")
        yield Scene("data-import", "DataPane", "how a folder was understood, and what can be decided", self.drop_folder, self.no_import)
        yield Scene("data-curated", "DataPane", "images left out and tagged; the files stay as they are", self.curate, self.no_curation)
        self.run = self.tour.train("classifier", CLASSIFIER_STEPS, self.use_curated(), settings=CLASSIFIER)
        self.window.choose_run(self.run)
        yield Scene("errors", "ErrorsPane", "a classifier's confusion matrix, the images of a cell", self.see_errors, self.no_errors)
        yield Scene("errors-calibration", "ErrorsPane", "whether its confidence can be believed", self.see_calibration, self.no_errors)
        yield Scene("data-not-found", "CurvesPane", "data that were moved away: “Locate…” finds them by content", self.move, self.no_card)
        self.move_back()
        self.window.choose_run(self.tour.train("mae", MAE_STEPS, "shapes", settings=MAE))
        for mode, shows in enumerate(("what each head attends to", "principal components of patches as colours", "patches that are alike")):
            name = ("attention", "components", "similarity")[mode]
            yield Scene(f"views-patches-{name}", "ViewsPane", shows, self.see_patches(mode), self.no_patches)

    # -- what a person does ----------------------------------------------------------------------------------------------

    def drop_folder(self) -> None:
        driver, pane = self.driver, self.driver.pane("DataPane")
        self.window.take([str(self.folder)])
        driver.wait(lambda: not self.no_import(), "the folder was understood", 120)
        driver.wait(lambda: not pane.import_page.preview.busy, "its pictures were read", 120)

    def curate(self) -> None:
        """Use the set as it was understood, leave two images out and tag two more."""
        from app.widgets.curation_menu import CurationMenu

        driver, pane = self.driver, self.driver.pane("DataPane")
        pane.import_page.use_button.click()
        pane.show_images()
        browser = pane.browser
        driver.wait(lambda: browser.page is not None and len(browser.page.names) > 4, "the images were shown", 60)
        names = browser.page.names
        for decided, (some, act, value) in enumerate(((names[1:3], "exclude", ""), (names[3:5], "tag", "look again")), 1):
            CurationMenu(browser.context, browser.report.data, some).decide(act, value, f"{act} two images")
            driver.wait(lambda decided=decided: browser.curation.told.decisions == decided, "the decision was kept", 60)
        browser.grid.choose(1)
        browser._say_image(1)

    def use_curated(self) -> str:
        """The name of the set without what was left out."""
        pane = self.driver.pane("DataPane")
        pane.browser.curation.use_button.click()
        page = pane.import_page
        self.driver.wait(lambda: page.isVisible() and "curation" in page.report.data, "the curated set was read", 120)
        self.driver.settle()
        page.use_button.click()
        name: str = page.report.data
        self.driver.wait(lambda: name in self.window.state.data, "it came onto the list", 60)
        return name

    def see_errors(self) -> None:
        self.driver.show_pane("ErrorsPane")
        pane = self.driver.pane("ErrorsPane")
        pane.page.split.setCurrentIndex(pane.page.split.findData("test"))
        pane.page.split.activated.emit(pane.page.split.currentIndex())
        self.driver.wait(
            lambda: pane.controller.found is not None and pane.controller.found.of.split == "test", "the errors were found", 120
        )
        self.driver.settle()
        pane.choose_cell(*pane.controller.found.pairs[0][:2])
        self.driver.settle()
        pane.page.gallery.choose(0)
        pane._say_image(0)

    def see_calibration(self) -> None:
        pane = self.driver.pane("ErrorsPane")
        pane.page.shares.setChecked(True)
        pane.page.verticalScrollBar().setValue(pane.page.verticalScrollBar().maximum())

    def move(self) -> None:
        """The folder is put elsewhere, as when a drive is taken away, and the window looks again."""
        self.driver.show_pane("CurvesPane")
        self.folder.rename(self.away)
        self.window.inspection.data_place.check()
        self.driver.wait(lambda: not self.no_card(), "the data were missed", 60)

    def move_back(self) -> None:
        self.away.rename(self.folder)
        self.window.inspection.data_place.check()
        self.driver.wait(lambda: bool(self.no_card()), "the data were there again", 60)

    def see_patches(self, mode: int) -> Callable[[], None]:
        def prepare() -> None:

            self.driver.show_pane("ViewsPane")
            self.driver.settle()
            pane = self.driver.pane("ViewsPane")
            pane.show_page(PATCHES_PAGE)
            page = pane.patches_page
            page.set_mode(mode)
            self.driver.settle(120)
            self.driver.wait(lambda: page.shown_step() is not None and not pane.patches.busy, "the patches were shown", 120)
            if mode:
                page._picked(0, 3, 3)
                self.driver.settle(120)

        return prepare

    @property
    def away(self) -> Path:
        return self.folder.with_name("signs on another drive")

    # -- what would be wrong -----------------------------------------------------------------------------------------------

    def no_import(self) -> str:
        pane = self.driver.pane("DataPane")
        page = pane.import_page
        shown = pane.stack.currentWidget() is page and page.whole is not None and page.path == str(self.folder)
        return "" if shown else "the page of the import did not open"

    def no_curation(self) -> str:
        told = self.driver.pane("DataPane").browser.curation.told
        return "" if told is not None and told.excluded == 2 else "no image was left out"

    def no_errors(self) -> str:
        controller = self.driver.pane("ErrorsPane").controller
        return "" if controller.found is not None and controller.page is not None and len(controller.page.images) else "no error was found"

    def no_card(self) -> str:
        card = self.window.inspector.data_place
        return "" if card.isVisible() and card.locate.isVisible() else "the inspector does not say that the data are missing"

    def no_patches(self) -> str:
        return "" if self.driver.pane("ViewsPane").patches_page.shown_step() is not None else "no patch was shown"


def draw_signs(folder: Path) -> None:
    """Signs, each a little turned, moved and dimmed, in FOLDER/SPLIT/CLASS; with what lies about in folders of people beside them."""
    for split, each in EACH.items():
        for kind, (name, sign) in enumerate(LETTERS.items()):
            for number in range(each):
                draw_sign_at(sign, 97 * kind + number + (1000 if split == "test" else 0), folder / split / name / f"{name}_{number:03}.png")
    first = folder / "train" / "Cross" / "Cross_000.png"
    (folder / "test" / "Cross" / "copy of Cross_000.png").write_bytes(first.read_bytes())  # it would be trained on and tested with
    (folder / "train" / "Wedge" / "broken.png").write_bytes(first.read_bytes()[:40])
    (folder / "cover.png").write_bytes(first.read_bytes())
    (folder / "notes.txt").write_text("Drawn for the tour.\n", encoding="utf-8")
    (folder / ".DS_Store").write_bytes(b"\0")


def draw_sign_at(sign: str, number: int, file: Path) -> None:
    from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath

    from app.shell import theme

    image = QImage(SIDE, SIDE, QImage.Format.Format_RGB32)
    image.fill(QColor.fromHsv(number * 37 % 360, 90, 70))
    path = QPainterPath()
    path.addText(0, 0, theme.font(22), sign)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(SIDE / 2 + 3 * math.sin(number), SIDE / 2 + 3 * math.cos(1.7 * number))
    painter.rotate(number * 23 % 60 - 30)
    painter.translate(-path.boundingRect().center())
    painter.fillPath(path, QColor.fromHsv(number * 71 % 360, 60, 170 + number * 13 % 80))
    painter.end()
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(str(file))
