"""What goes out of the Likelihood pane: scores and charts as CSV, charts and the map of bits as PNG, each with its recipe."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.widgets.export import ask_where, copy_image, csv_text, file_name, png_bytes, write_file
from app.widgets.image_view import enlarged

if TYPE_CHECKING:
    from app.panes.likelihood.pane import LikelihoodPane

BITS_PIXELS = 512  # at least so wide is the map of bits as a PNG


class LikelihoodExports:
    def __init__(self, pane: LikelihoodPane) -> None:
        self.pane = pane

    def about(self) -> dict[str, object]:
        """What an exported file says about itself."""
        pane = self.pane
        runs, looks = pane.context.state.runs, pane.inquiry.wanted
        names = {run: runs[run].name for run, _ in looks if run in runs}
        return {
            "Software": "Priorama",
            "runs": [f"{names.get(run, run)}, step {step}" for run, step in looks],
            "weights_sha256": {names.get(run, run): known.weights for run, known in pane.docket.calibrated.items()},
            "held_out": {names.get(run, run): known.data for run, known in pane.docket.calibrated.items()},
        }

    def save_scores(self, path: str) -> None:
        """One line for each image and run: values and p-values of all detectors."""
        docket = self.pane.docket
        if not docket.entries:
            self.pane.tell("Nothing to save yet: no image was dropped.", "bad")
            return
        names = {run: info.name for run, info in self.pane.context.state.runs.items()}
        self._write(path, csv_text(self.about(), *docket.table(names)))

    def save_chart(self, kind: str, path: str) -> None:
        """The chart in front, as "png" or "csv"."""
        pane, page = self.pane, self.pane.page
        about = self.about() | {"detector": pane.detector[1], "threshold": str(pane.threshold())}
        if page.corrupting:
            about |= {"corruption": page.corruption.chart.kind, "image": pane.chosen.label if pane.chosen else ""}
        else:
            about["compared_with"] = pane.compare or "dropped images"
        if kind == "png":
            self._write(path, png_bytes(page.chart.picture(), about))
        else:
            card = page.corruption if page.corrupting else page.distribution
            self._write(path, csv_text(about, *card.table()))

    def save_bits(self, path: str) -> None:
        pane = self.pane
        image = pane.page.drop_card.heat.image
        if image is None or pane.look is None or pane.look.bits is None or pane.chosen is None:
            pane.tell("Nothing to save yet: there is no map of bits.", "bad")
            return
        about = self.about() | {"image": pane.chosen.label, "bits": str(float(pane.look.bits.sum()))}
        self._write(path, png_bytes(enlarged(image, max(1, BITS_PIXELS // max(image.width(), image.height()))), about))

    def copy_chart(self) -> None:
        copy_image(self.pane.page.chart.picture())
        self.pane.tell("The chart is on the clipboard.")

    def _write(self, path: str, data: bytes | str) -> None:
        try:
            write_file(path, data)
        except OSError as error:
            self.pane.tell(f"“{Path(path).name}” could not be written: {error.strerror or error}. Choose another folder.", "bad")
        else:
            self.pane.tell(f"Saved as {Path(path).name}.")

    # -- asking for the place --------------------------------------------------------------------------------------------

    def _suggested(self, what: str) -> str:
        state = self.pane.context.state
        return file_name(state.run_info.name if state.run_info else "likelihood", what, f"step-{state.step}")

    def ask_scores(self) -> None:
        ask_where(self.pane, "Save scores as CSV", self._suggested("scores"), "csv", self.save_scores)

    def ask_chart(self, kind: str) -> None:
        what = "corruption" if self.pane.page.corrupting else "distribution"
        ask_where(self.pane, f"Save the chart as {kind.upper()}", self._suggested(what), kind, partial(self.save_chart, kind))

    def ask_bits(self) -> None:
        ask_where(self.pane, "Save bits per pixel as PNG", self._suggested("bits"), "png", self.save_bits)
