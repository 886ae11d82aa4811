"""Scenes of the window at work: data, the form, the generative methods, the likelihood. Each is yielded when it is its turn."""

from __future__ import annotations

from collections.abc import Iterator

from app.tour.chain_scenes import ChainScenes
from app.tour.guide import Tour
from app.tour.scene import Scene

STEPS = 800  # of the VAE
PIXEL_STEPS = 800  # of the PixelCNN, and as many of its background model
TOKEN_STEPS = 400
TEXT_STEPS = 400
FRAME_STEPS = 400
FILM_PAGE = 3  # of the Sampling pane


class WindowScenes:
    """`scenes` yields what to see; what is between two of them (trainings) happens when the next one is asked for."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.driver, self.window = tour.driver, tour.window
        self.vae = ""

    def scenes(self) -> Iterator[Scene]:
        window, tour = self.window, self.tour
        yield Scene("start", "StartPane", "the start page, before the first run", tour.show("StartPane"))
        yield from ChainScenes(tour).scenes()
        yield Scene("data", "DataPane", "what is in the built-in digits, and the images", self.look_at_data, self.no_images_of_data)
        yield Scene("new-run", "New run", "the form made from the VAE's settings", lambda: window.new_run("vae", "digits"))
        self.vae = vae = tour.train("vae", STEPS, meanwhile=self.watch)
        autoencoder = tour.train("autoencoder", 300)
        window.choose_run(vae)
        yield Scene("curves", "CurvesPane", "every term of the loss, two runs laid over each other", lambda: self.overlay(autoencoder))
        yield Scene("latent", "LatentPane", "two images encoded, a slider dragged, the way from A to B", self.use_latent, self.no_latent)
        yield Scene("latent-prior", "LatentPane", "samples from the prior", lambda: self.show_way(1), self.no_latent)
        yield Scene("latent-grid", "LatentPane", "a plane through the latent space", lambda: self.show_way(2), self.no_latent)
        yield Scene("time-cursor", "LatentPane", "the same images at an early checkpoint", self.go_back, self.no_latent)
        window.state.set_cursor(None)
        yield Scene("latent-autoencoder", "LatentPane", "an autoencoder: no prior to draw from", lambda: self.look_at(autoencoder))
        window.choose_run(tour.train("pixel_cnn", PIXEL_STEPS))
        yield Scene(
            "sampling", "SamplingPane", "samples grown pixel by pixel, one pixel's probabilities", self.use_sampling, self.no_samples
        )
        yield Scene("sampling-branch", "SamplingPane", "another choice grown as a branch; surprise in bits", self.regrow, self.no_samples)
        yield Scene("sampling-completion", "SamplingPane", "an image completed from its upper half", self.complete_image, self.no_samples)
        yield Scene("likelihood", "LikelihoodPane", "own and test images, scored by every detector", self.use_likelihood, self.no_scores)
        yield Scene("likelihood-compare", "LikelihoodPane", "a threshold between two data sets", self.compare, self.no_scores)
        window.choose_run(tour.train("token_transformer", TOKEN_STEPS))
        yield Scene("sampling-tokens", "SamplingPane", "images grown code by code", lambda: self.use_sampling(9), self.no_samples)
        window.choose_run(tour.train("next_frame", FRAME_STEPS, "moving-shapes"))
        yield Scene("sampling-film", "SamplingPane", "the next frames of a clip, beside the true ones", self.roll_out, self.no_film)
        window.choose_run(tour.train("text_transformer", TEXT_STEPS, "pydoc-text"))
        yield Scene("sampling-text", "SamplingPane", "a text grown, one character's probabilities", self.use_text, self.no_samples)
        paradox = self.driver.pane("LikelihoodPane").show_experiment
        yield Scene("likelihood-paradox", "LikelihoodPane", "the likelihood paradox, ready to be run", paradox)

    def last_scenes(self) -> Iterator[Scene]:
        """What lies over the panes."""
        window = self.window
        yield Scene("shortcuts", "Shortcuts", "every action with its keys", window.centre.show_shortcuts)
        window.centre.show_panes()
        yield Scene("palette", "Palette", "actions, runs, panes and data found by a few letters", self.open_palette, self.no_palette)
        window.finder.shut()

    def watch(self, _run: str) -> None:
        scene = Scene("curves-live", "CurvesPane", "the loss falling while the training runs", self.tour.show("CurvesPane"))
        self.tour.visit(scene)

    # -- what a person does ----------------------------------------------------------------------------------------------

    def look_at_data(self) -> None:
        self.driver.show_pane("DataPane")
        self.window.centre.show_data("digits")
        self.driver.settle()

    def overlay(self, other: str) -> None:
        self.driver.show_pane("CurvesPane")
        self.driver.pane("CurvesPane").choose_run(other, True)

    def use_latent(self) -> None:
        """Encode two image files, drag the first slider with the mouse, go half the way from A to B."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        driver = self.driver
        driver.show_pane("LatentPane")
        pane = driver.pane("LatentPane")
        driver.wait(lambda: bool(pane.slider_list.sliders) and pane.decoded_image.decoded is not None, "the latent space opened", 60)
        for number in ("3", "0"):
            before = pane.position
            self.window.take([str(self.tour.picture_of(number))])
            driver.wait(lambda before=before: pane.position is not before, f"the picture of a {number} was encoded", 30)
        driver.settle()
        slider = pane.slider_list.sliders[0]
        middle = slider.height() // 2
        begin, end = (QPoint(round(slider.width() * share), middle) for share in (0.5, 0.7))
        QTest.mousePress(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, begin)
        for step in range(1, 11):
            QTest.mouseMove(slider, begin + (end - begin) * step / 10)
            driver.run_for(0.016)
        QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
        driver.settle()
        pane.interpolation.set_t(0.5)

    def show_way(self, index: int) -> None:
        self.driver.show_pane("LatentPane")
        self.driver.pane("LatentPane").show_tab(index)

    def go_back(self) -> None:
        self.show_way(0)
        steps = [checkpoint.step for checkpoint in self.window.state.checkpoints]
        self.window.state.set_cursor(steps[len(steps) // 2])

    def look_at(self, run: str) -> None:
        self.window.choose_run(run)
        self.show_way(1)

    def use_sampling(self, cell: int = 27) -> None:
        """Watch the samples grow to their end, click a pixel or a code."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.driver.show_pane("SamplingPane")
        pane = self.driver.pane("SamplingPane")
        self.grown()
        QTest.mouseClick(pane.view.canvas, Qt.MouseButton.LeftButton, pos=pane.view.canvas.cell_rect(1, cell).center().toPoint())
        self.driver.wait(lambda: pane.answer is not None, "the pixel's distribution was shown", 30)

    def use_text(self) -> None:
        """Watch a text being written, click one of its characters."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.driver.show_pane("SamplingPane")
        pane = self.driver.pane("SamplingPane")
        self.grown()
        at = pane.view.text.rect_of(0, 40).center().toPoint()
        QTest.mouseClick(pane.view.text.viewport(), Qt.MouseButton.LeftButton, pos=at)
        self.driver.wait(lambda: pane.answer is not None, "the character's distribution was shown", 30)

    def roll_out(self) -> None:
        """Draw the next frames of a held-out clip, and look at the fourth of them."""
        self.driver.show_pane("SamplingPane")
        self.grown()
        pane = self.driver.pane("SamplingPane")
        pane.show_page(FILM_PAGE)
        rollout = pane.rollout
        self.driver.wait(lambda: rollout.film is not None and rollout.job is None, "the next frames were drawn", 120)
        pane.rollout_card.go_to(7)

    def no_film(self) -> str:
        film = self.driver.pane("SamplingPane").rollout.film
        return "" if film is not None and len(film.images) == film.began.frames else "no film was finished"

    def grown(self) -> None:
        pane = self.driver.pane("SamplingPane")
        self.driver.wait(lambda: pane.job is None and pane.node is not None and pane.node.done, "the samples were grown", 120)

    def regrow(self) -> None:
        """Take the third likeliest value at the clicked pixel, and look at the surprise."""
        pane = self.driver.pane("SamplingPane")
        bars = pane.symbol_card.bars
        bars.taken.emit(int(bars.raw.argsort()[-3]))
        self.grown()
        pane.show_page(1)
        pane.view.bits_box.setChecked(True)

    def complete_image(self) -> None:
        pane = self.driver.pane("SamplingPane")
        pane.view.bits_box.setChecked(False)
        self.window.take([str(self.tour.picture_of("3"))])
        self.driver.wait(lambda: pane.completion.read is not None, "the picture was read", 30)
        pane.completing.complete()
        self.grown()

    def use_likelihood(self) -> None:
        """Build the background model, drop two pictures of one's own beside test images, and look at one of them."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.driver.show_pane("LikelihoodPane")
        pane = self.driver.pane("LikelihoodPane")
        self.driver.wait(lambda: pane.page.table.remedy_button("likelihood_ratio") is not None, "a background model was offered", 60)
        QTest.mouseClick(pane.page.table.remedy_button("likelihood_ratio"), Qt.MouseButton.LeftButton)
        self.driver.wait(lambda: not pane.controller.building, "the background model was trained", 900)
        pane.use_test_images()
        self.window.take([str(self.tour.picture_of("7")), str(self.tour.picture_of("0"))])
        self.driver.wait(lambda: not self.no_scores(), "the images were scored", 120)

    def compare(self) -> None:
        pane = self.driver.pane("LikelihoodPane")
        pane.set_compare("shapes")
        self.driver.wait(lambda: pane.controller.comparison is not None, "the shapes were scored", 120)

    def open_palette(self) -> None:
        self.window.find()
        self.window.finder.field.setText("la")

    # -- what would be wrong -----------------------------------------------------------------------------------------------

    def no_images_of_data(self) -> str:
        return "" if self.window.state.selected_data == "digits" else "the digits were not chosen"

    def no_latent(self) -> str:
        pane = self.driver.pane("LatentPane")
        return "" if pane.decoded_image.decoded is not None and pane.slider_list.sliders else "the latent space did not open"

    def no_samples(self) -> str:
        pane = self.driver.pane("SamplingPane")
        drawn = pane.is_text() or pane.view.canvas.drawn
        return "" if pane.node is not None and pane.node.done and drawn else "no sample was finished"

    def no_scores(self) -> str:
        pane = self.driver.pane("LikelihoodPane")
        entries = pane.images.entries
        scored = sum(bool(entry.scores) for entry in entries)
        return "" if entries and scored == len(entries) else f"{scored} of {len(entries)} images were scored"

    def no_palette(self) -> str:
        return "" if self.window.finder.isVisible() and self.window.finder.list.count() > 1 else "the palette found nothing"
