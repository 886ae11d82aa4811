"""What goes out of the Likelihood pane: scores and charts as CSV, charts and the map of bits as PNG, each with its recipe."""

from __future__ import annotations

from functools import partial

from app.panes.likelihood.controller import LikelihoodController
from app.panes.likelihood.inspection import ImageInspection
from app.panes.likelihood.page import LikelihoodPage
from app.panes.likelihood.selection import Selection
from app.shell.state import State
from app.widgets.export import ask_where, copy_image, csv_text, file_name, png_bytes, save_file
from app.widgets.figure import DRAWINGS
from app.widgets.image_view import enlarged

BITS_PIXELS = 512  # at least so wide is the map of bits as a PNG


class LikelihoodExports:
    """Of what the page shows; how it went is said in the page's status line."""

    def __init__(
        self, page: LikelihoodPage, controller: LikelihoodController, selection: Selection, inspection: ImageInspection, state: State
    ) -> None:
        self._page, self._controller, self._images = page, controller, controller.images
        self._selection, self._inspection, self._state = selection, inspection, state

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        runs, steps = self._state.runs, self._controller.wanted
        names = {run: runs[run].name for run, _ in steps if run in runs}
        return {
            "Software": "Priorama",
            "runs": [f"{names.get(run, run)}, step {step}" for run, step in steps],
            "weights_sha256": {names.get(run, run): known.weights for run, known in self._images.calibrated.items()},
            "held_out": {names.get(run, run): known.data for run, known in self._images.calibrated.items()},
        }

    def save_scores(self, path: str) -> None:
        """One line for each image and run: values and p-values of all detectors."""
        if not self._images.entries:
            self._tell("Nothing to save yet: no image was dropped.", "bad")
            return
        names = {run: info.name for run, info in self._state.runs.items()}
        self._write(path, csv_text(self.about(), *self._images.table(names)))

    def save_chart(self, kind: str, path: str) -> None:
        """The chart in front, as "png" (any picture, by the file's ending) or "csv"."""
        page, selection = self._page, self._selection
        about = self.about() | {"detector": selection.detector[1], "threshold": str(selection.threshold())}
        if page.corrupting:
            about |= {"corruption": page.corruption.chart.kind, "image": selection.image.label if selection.image else ""}
        else:
            about["compared_with"] = selection.compare or "dropped images"
        if kind == "png":
            self._write(path, page.chart.figure().contents(path, about))
        else:
            card = page.corruption if page.corrupting else page.distribution
            self._write(path, csv_text(about, *card.table()))

    def save_bits(self, path: str) -> None:
        picture, result, image = self._page.drop_card.heat.image, self._inspection.result, self._selection.image
        if picture is None or result is None or result.bits is None or image is None:
            self._tell("Nothing to save yet: there is no map of bits.", "bad")
            return
        about = self.about() | {"image": image.label, "bits": str(float(result.bits.sum()))}
        self._write(path, png_bytes(enlarged(picture, max(1, BITS_PIXELS // max(picture.width(), picture.height()))), about))

    def copy_chart(self) -> None:
        copy_image(self._page.chart.figure().image())
        self._tell("The chart is on the clipboard.")

    def _tell(self, text: str, level: str = "") -> None:
        self._page.status.set_text(text, level)

    def _write(self, path: str, data: bytes | str) -> None:
        self._tell(*save_file(path, data))

    # -- asking for the place --------------------------------------------------------------------------------------------

    def _suggested(self, what: str) -> str:
        info = self._state.run_info
        return file_name(info.name if info else "likelihood", what, f"step-{self._state.step}")

    def ask_scores(self) -> None:
        ask_where(self._page, "Save scores as CSV", self._suggested("scores"), "csv", self.save_scores)

    def ask_chart(self, kind: str) -> None:
        what = "corruption" if self._page.corrupting else "distribution"
        ask_where(
            self._page,
            f"Save the chart as {kind.upper()}",
            self._suggested(what),
            kind,
            partial(self.save_chart, kind),
            DRAWINGS if kind == "png" else (),
        )

    def ask_bits(self) -> None:
        ask_where(self._page, "Save bits per pixel as PNG", self._suggested("bits"), "png", self.save_bits)
