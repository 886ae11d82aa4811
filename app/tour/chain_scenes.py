"""The part of the tour that shows Markov chains in the plane; no run is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from app.tour.guide import Tour
from app.tour.scene import Scene


class ChainScenes:
    """Scenes of the Chains pane."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.driver: Any = tour.driver

    def scenes(self) -> Iterator[Scene]:
        for name, shows, target, sampler, size in (
            ("chains-hmc", "Hamiltonian Monte Carlo on the banana: far moves, nearly independent", "banana", "hmc", 0.15),
            ("chains-langevin", "unadjusted Langevin on the ring: slow, and its R-hat says so", "ring", "ula", 0.15),
            ("chains-mixture", "adjusted Langevin on three hills: a chain seldom leaves its own", "mixture", "mala", 0.4),
        ):
            yield Scene(name, "ChainsPane", shows, self.see(target, sampler, size), self.no_chains)

    def see(self, target: str, sampler: str, size: float) -> Callable[[], None]:
        """Choose them as a person does, and look at the end of the chains."""

        def prepare() -> None:
            self.driver.show_pane("ChainsPane")
            pane = self.driver.pane("ChainsPane")
            card = pane.settings
            for box, value in ((card.target, target), (card.sampler, sampler)):
                box.setCurrentIndex(box.findData(value))
                box.activated.emit(box.currentIndex())
            card.step_size.setValue(round(100 * size))
            wanted = card.value()
            self.driver.wait(partial(self.came, wanted), "the chains walked to their end", 60)
            pane.film.wind(wanted.steps)

        return prepare

    def came(self, wanted: object) -> bool:
        film = self.driver.pane("ChainsPane").film
        return film.settings == wanted and film.asked == wanted and film.job is None and 0 < film.received == film.steps

    def no_chains(self) -> str:
        film = self.driver.pane("ChainsPane").film
        return "" if film.steps and film.position == film.steps and film.figures_now() is not None else "the chains did not come"
