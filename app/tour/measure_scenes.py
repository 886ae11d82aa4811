"""The part of the tour that shows what a latent space is worth: rate and distortion of two runs, and how it parts true factors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.tour.guide import Tour
from app.tour.scene import Scene

STEPS = 60
RATES_TAB = 3


class MeasureScenes:
    """Scenes of the Latent pane's rates and of the inspector's disentanglement card, on two VAEs of the shapes."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.driver: Any = tour.driver
        self.window: Any = tour.window

    def scenes(self) -> Iterator[Scene]:
        for beta in (1.0, 4.0):
            self.window.choose_run(self.tour.train("vae", STEPS, "shapes", settings={"beta": beta}))
        yield Scene("latent-rates", "LatentPane", "rate against distortion of two runs", self.see_rates, self.no_rates)
        yield Scene("disentanglement", "LatentPane", "MIG and DCI of the true factors, in the inspector", self.measure, self.no_figures)

    def see_rates(self) -> None:
        self.driver.show_pane("LatentPane")
        self.driver.pane("LatentPane").show_tab(RATES_TAB)
        self.driver.wait(lambda: self.no_rates() == "", "rate and distortion of both runs were measured", 180)

    def measure(self) -> None:
        self.driver.pane("LatentPane").show_tab(0)
        self.driver.wait(lambda: not self.card.isHidden(), "the data were known to have factors", 30)
        self.card.measure_button.click()
        self.driver.wait(lambda: self.no_figures() == "", "MIG and DCI were measured", 180)
        self.driver.settle()
        scroll = self.window.inspector.verticalScrollBar()
        scroll.setValue(scroll.maximum())  # the card stands at the end

    @property
    def card(self) -> Any:
        return self.window.inspector.disentanglement

    # -- what would be wrong -----------------------------------------------------------------------------------------------

    def no_rates(self) -> str:
        points = self.driver.pane("LatentPane").rates.controller.points()
        return "" if len(points) > 1 else f"{len(points)} of 2 runs have a rate"

    def no_figures(self) -> str:
        return "" if self.card.figures.text() else "MIG and DCI were not measured"
