"""The part of the tour that shows encoders learning: views and puzzles, the map of features, what they are worth, the classical methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.tour.guide import Tour
from app.tour.scene import Scene

SIMCLR_STEPS = 120
SHORT_STEPS = 40  # of runs that only have something of their own to show


class FeatureScenes:
    """Scenes of encoders, walked through with the tour's own hands."""

    def __init__(self, tour: Tour) -> None:
        self.tour = tour
        self.driver: Any = tour.driver
        self.window: Any = tour.window

    def scenes(self) -> Iterator[Scene]:
        simclr = self.tour.train("simclr", SIMCLR_STEPS, "shapes")
        yield Scene("views", "ViewsPane", "the next batch: crops on the originals, pairs and their similarity", self.see_page(0))
        yield Scene("views-similarity", "ViewsPane", "every view against every other, the pairs marked", self.see_page(1))
        yield Scene("views-invariance", "ViewsPane", "similarity of an image with itself, changed ever more", self.see_invariance)
        yield Scene("embedding", "EmbeddingPane", "a map of test images, one point and its true neighbours", self.see_map)
        yield Scene("embedding-direction", "EmbeddingPane", "the direction from one group of points to another", self.see_direction)
        yield Scene("embedding-dropped", "EmbeddingPane", "where a dropped image belongs; trust as opacity", self.drop_on_map)
        yield Scene("probe", "ProbePane", "what the features are worth, beside untrained ones and raw pixels", self.see_probe)
        for method, page, shows in (
            ("jigsaw", 3, "a jigsaw by hand, against the model"),
            ("inpainting", 3, "a hidden region, filled in by the model"),
            ("moco", 4, "the queue of keys by their age"),
            ("dino", 0, "global and local crops, teacher and student"),
        ):
            self.window.choose_run(self.tour.train(method, SHORT_STEPS, "shapes"))
            yield Scene(f"views-{method}", "ViewsPane", shows, self.see_page(page))
        self.window.choose_run(self.tour.train("kmeans", 200, "digits"))
        yield Scene("kmeans", "CurvesPane", "k-means: the inertia, and the centroids as images", self.tour.show("CurvesPane"))
        self.window.choose_run(simclr)

    def see_page(self, page: int) -> Any:
        def prepare() -> None:
            self.driver.show_pane("ViewsPane")
            self.driver.settle()
            pane = self.driver.pane("ViewsPane")
            pane.show_page(page)
            self.driver.settle()
            if pane.page != page:
                self.tour.failures.append(f"The Views pane has no page {page} for this run.")

        return prepare

    def see_invariance(self) -> None:
        self.see_page(2)()
        self.driver.settle(120)

    def see_map(self) -> None:
        self.driver.show_pane("EmbeddingPane")
        pane = self.driver.pane("EmbeddingPane")
        self.driver.wait(lambda: pane.points.drawn is not None and not pane.controller.jobs, "the map was drawn", 240)
        pane.points.pin(5)
        self.driver.run_for(1)

    def see_direction(self) -> None:
        import numpy as np

        pane = self.driver.pane("EmbeddingPane")
        labels = pane.points.drawn.labels
        for end, kind in (("a", 0), ("b", 1)):
            pane.points.select(np.flatnonzero(labels == kind))
            pane.points.keep(end)
        pane.color_by("direction")
        self.driver.wait(lambda: not pane.controller.jobs, "the direction was found", 60)
        self.driver.run_for(0.5)

    def drop_on_map(self) -> None:
        pane = self.driver.pane("EmbeddingPane")
        pane.color_by("class")
        pane.page.trust.setChecked(True)
        self.window.take([str(self.tour.picture_of("7"))])
        self.driver.wait(lambda: bool(pane.controller.places), "the picture was placed on the map", 60)
        self.driver.run_for(1)

    def see_probe(self) -> None:
        self.driver.show_pane("ProbePane")
        pane = self.driver.pane("ProbePane")
        limits = [pane.page.limit.itemData(i) for i in range(pane.page.limit.count())]
        pane.page.limit.setCurrentIndex(limits.index(min(limits)))
        pane.measure()
        self.driver.wait(lambda: not pane.job, "the features were measured", 240)
        self.driver.run_for(0.5)
