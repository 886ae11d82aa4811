"""The part of the tour that shows other densities: implicit and classical ones, p(x|y) and Bayes' rule. Small trainings on digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.tour.guide import Tour, draw_sign
from app.tour.scene import Scene

GAN_STEPS = 300
DIFFUSION_STEPS = 150
ENERGY_STEPS = 60
CONDITIONAL_STEPS = 400
CLASSIFIER_STEPS = 60


class DensityScenes:
    """Scenes of a GAN, a diffusion model, an energy, KDE, a Gaussian mixture, a conditional VAE and discriminant analysis."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.driver: Any = tour.driver
        self.window: Any = tour.window

    def scenes(self) -> Iterator[Scene]:
        self.train("gan", GAN_STEPS)
        yield Scene("curves-gan", "CurvesPane", "both losses of a GAN", self.see_losses)
        yield Scene("latent-gan", "LatentPane", "a GAN: its principal directions as sliders", self.see_samples, self.no_latent)
        self.train("diffusion", DIFFUSION_STEPS, width=16, conditional=True)
        yield Scene("sampling-diffusion", "SamplingPane", "a diffusion model halfway from noise to images", self.see_half, self.no_samples)
        self.train("energy", ENERGY_STEPS)
        yield Scene("sampling-energy", "SamplingPane", "Langevin chains on a learned energy", self.see_half, self.no_samples)
        yield Scene("likelihood-energy", "LikelihoodPane", "an energy ranks images and has no bits", self.score, self.no_scores)
        for method, steps, shows in (
            ("kde", 1, "a kernel density estimate scores images"),
            ("gmm", 60, "a Gaussian mixture scores images"),
        ):
            self.train(method, steps, **({"components": 10, "select": False} if method == "gmm" else {}))
            yield Scene(f"likelihood-{method}", "LikelihoodPane", shows, self.score, self.no_scores)
        self.train("classifier", CLASSIFIER_STEPS)
        self.train("conditional_vae", CONDITIONAL_STEPS)
        yield Scene("latent-class", "LatentPane", "a conditional VAE: the same z as another class", self.see_class, self.no_latent)
        yield Scene("bayes", "BayesPane", "p(x|y) of every class, Bayes’ rule and a classifier beside it", self.see_bayes, self.no_bayes)
        self.train("discriminant", 1)
        yield Scene("bayes-prior", "BayesPane", "noise, an image of no class, under a dragged prior", self.drag_prior, self.no_bayes)

    def train(self, method: str, steps: int, **settings: object) -> None:
        self.window.choose_run(self.tour.train(method, steps, settings=settings))

    # -- what a person does ----------------------------------------------------------------------------------------------

    def see_losses(self) -> None:
        self.driver.show_pane("CurvesPane")
        pane = self.driver.pane("CurvesPane")
        self.driver.wait(lambda: "generator_loss" in pane.followed.terms(), "the curves came", 60)
        pane.show_term("generator_loss")

    def see_samples(self) -> None:
        """Prior samples, and the first direction dragged."""
        self.driver.show_pane("LatentPane")
        pane = self.driver.pane("LatentPane")
        self.driver.wait(lambda: self.no_latent() == "", "the latent space opened", 60)
        pane.show_tab(1)
        pane.slider_list.set_dimension(0, 1.5)

    def see_class(self) -> None:
        """Encode a picture of a 3, and decode its z as an 8."""
        self.driver.show_pane("LatentPane")
        pane = self.driver.pane("LatentPane")
        self.driver.wait(lambda: self.no_latent() == "", "the latent space opened", 60)
        before = pane.position
        self.window.take([str(self.tour.picture_of("3"))])
        self.driver.wait(lambda: pane.position is not before, "the picture of a 3 was encoded", 30)
        box = pane.decoded_image.classes
        box.setCurrentIndex(8)
        box.activated.emit(8)
        pane.show_tab(1)

    def see_half(self) -> None:
        """Watch the samples come, and wind back to the middle."""
        self.driver.show_pane("SamplingPane")
        controller = self.driver.pane("SamplingPane").controller
        self.driver.wait(lambda: self.no_samples() == "", "the samples were drawn", 120)
        controller.wind(round(0.7 * controller.film.node.length))

    def score(self) -> None:
        """Test images, two pictures of one's own and an empty page."""
        self.driver.show_pane("LikelihoodPane")
        pane = self.driver.pane("LikelihoodPane")
        pane.clear()
        pane.set_compare("")
        pane.use_test_images()
        empty = draw_sign("", self.tour.scratch / "empty.png")
        self.window.take([str(self.tour.picture_of("7")), str(empty)])
        self.driver.wait(lambda: self.no_scores() == "", "the images were scored", 180)

    def see_bayes(self) -> None:
        self.driver.show_pane("BayesPane")
        self.driver.wait(lambda: self.no_bayes() == "", "Bayes’ rule was answered", 120)

    def drag_prior(self) -> None:
        """An image of no class, and a prior that favours one of the classes."""
        self.driver.show_pane("BayesPane")
        pane = self.driver.pane("BayesPane")
        pane.use_noise()
        self.driver.wait(lambda: pane.answer is not None and self.no_bayes() == "", "Bayes’ rule was answered", 120)
        pane.sliders[3].setValue(80)

    # -- what would be wrong -----------------------------------------------------------------------------------------------

    def no_latent(self) -> str:
        pane = self.driver.pane("LatentPane")
        return "" if pane.decoded_image.decoded is not None and pane.slider_list.sliders else "the latent space did not open"

    def no_samples(self) -> str:
        controller = self.driver.pane("SamplingPane").controller
        node = controller.film.node
        return "" if controller.job is None and node is not None and node.done else "no sample was finished"

    def no_scores(self) -> str:
        entries = self.driver.pane("LikelihoodPane").images.entries
        scored = sum(bool(entry.scores) for entry in entries)
        return "" if entries and scored == len(entries) else f"{scored} of {len(entries)} images were scored"

    def no_bayes(self) -> str:
        pane = self.driver.pane("BayesPane")
        state = self.window.state
        asked = pane.validation.found_for
        told = pane.answer is not None and (pane.answer.run, pane.answer.step) == (state.run, state.step)
        return "" if told and asked is not None and (asked.run, asked.step) == (state.run, state.step) else "Bayes’ rule was not answered"
