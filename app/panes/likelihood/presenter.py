"""What is known of the selection, put into the parts of the page: scores, image, distribution, path of corruption, status."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.panes.likelihood import separation
from app.panes.likelihood.controller import LikelihoodController
from app.panes.likelihood.corruption_plot import ScorePath
from app.panes.likelihood.distribution import OTHER, Sides
from app.panes.likelihood.dropped_list import MARK, MARKED
from app.panes.likelihood.image_detail import NO_BITS, NO_MAP, size_text
from app.panes.likelihood.inspection import ImageInspection
from app.panes.likelihood.page import LikelihoodPage
from app.panes.likelihood.score_table import ScoreRow, is_unnormalized, p_text, short_verdict, value_text
from app.panes.likelihood.scored_images import RunStep
from app.panes.likelihood.selection import Selection
from app.shell.formatting import count, things
from app.shell.plain_text import set_tip
from app.shell.state import State
from engine.common import ood_metrics, significance
from engine.messages import DetectorInfo


class LikelihoodPresenter:
    def __init__(
        self, page: LikelihoodPage, controller: LikelihoodController, selection: Selection, inspection: ImageInspection, state: State
    ) -> None:
        self._page, self._controller, self._images = page, controller, controller.images
        self._selection, self._inspection, self._state = selection, inspection, state

    def show_table(self, steps: tuple[RunStep, ...]) -> None:
        """Every score of these runs for the selected image, and its AUROC where there is something to compare with."""
        selection, images, page, rows = self._selection, self._images, self._page, []
        at = f" AT STEP {count(steps[0][1])}" if len(steps) == 1 else ""
        cursor = self._state.step
        if len(steps) == 1 and cursor is not None and steps[0] != (self._state.run, cursor):
            at += f" (THE CURSOR IS AT {count(cursor)})"
        together = selection.image.combined.get(selection.detector[0]) if selection.image is not None else None
        if together is None:
            page.table_heading.setText(f"SCORES{at}, AS P-VALUES AGAINST HELD-OUT IMAGES")
        else:
            p = p_text(together.p_value, together.p_floor)
            page.table_heading.setText(f"SCORES{at} · ALL {together.scores} TOGETHER (HOLM): {p}, {short_verdict(together).upper()}")
            set_tip(page.table_heading, f"{together.verdict}\nAgainst {things(together.calibration_images, 'held-out image')}.")
        comparing = bool(selection.compare) or len(images.scored(*selection.detector)[0]) >= separation.FEW
        image = selection.image
        for run, step in steps:
            info = self._state.runs.get(run)
            if len(steps) > 1 and info is not None:
                rows.append(ScoreRow(run, f"{info.title or info.method} · {info.name} · step {count(step)}"))
            for detector in images.detectors.get(run, ()):
                known, ood = images.known(run, detector.name), selection.ood_scores(run, detector.name)
                area = ood_metrics.auroc(known, ood) if comparing and len(known) and len(ood) else None
                score = image.score(run, detector.name) if image is not None else None
                waiting = image is not None and not image.error and run not in image.scores
                building = (run, detector.remedy) in self._controller.building.values()
                rows.append(ScoreRow(run, detector.title, detector, score, area, waiting, building))
        page.table.repeatable = self._state.run or ""
        page.table.set_rows(rows, selection.detector, comparing)
        info, score = images.info(*selection.detector), selection.score
        said = f"{value_text(info, score.value)}. " if info is not None and score is not None and page.table.comparing else ""
        page.about_line.set_text(f"{said}{info.missing or info.help} {info.source}" if info else "")
        model = page.list.model_
        model.run, model.detector = selection.detector
        model.marked, sentence = images.marks(selection.detector[0])
        page.marks_line.setVisible(bool(sentence))
        page.marks_line.set_text(f"{MARK} {sentence}" if sentence else "")
        set_tip(page.marks_line, f"{MARKED} On average at most 5 % of the marks are false.")
        page.batch_line.show_batch(images, selection.detector[0])
        model.all_changed()
        page.say_how_many(len(images.entries))

    def show_image(self) -> None:
        image, result, page = self._selection.image, self._inspection.result, self._page
        page.drop_card.show_entry(image)
        if image is None:
            hint = "Its bits per pixel appear here"
        elif image.error:
            hint = "No bits to show"
        else:
            hint = "This method has no bits per pixel" if result is not None else "…"
        page.drop_card.show_look(result, hint)
        detectors = self._images.detectors.get(self._selection.detector[0], ())
        no_bits = NO_BITS if any(map(is_unnormalized, detectors)) else NO_MAP
        page.drop_card.size_line.set_text(size_text(image.png_bytes if image is not None else 0, result, no_bits))
        page.closer.show_look(result, image)

    def show_distribution(self) -> None:
        """The selected score of held-out images beside that of what they are compared with."""
        page, selection = self._page, self._selection
        if page.corrupting:
            return
        run, name = selection.detector
        info, known = self._images.info(run, name), self._images.known(run, name)
        if info is None or not len(known):
            page.distribution.show_sides(None, float("nan"), "The scores of held-out images appear here.")
            return
        comparison, ood = self._controller.comparison, selection.ood_scores(run, name)
        images, labels = [], []
        if selection.compare:
            kind = "test " if comparison is None or comparison.split == "test" else ""
            of = f" of {count(comparison.total)}" if comparison is not None and comparison.total > len(ood) else ""
            ood_name = f"{selection.data_name()} · {count(len(ood))}{of} {kind}images"
            if comparison is not None and len(ood):
                images = list(comparison.images)
                labels = [f"{selection.data_name()}, {kind}image {place}" for place in comparison.indices]
        else:
            entries = self._images.scored(run, name)[0]
            images = [entry.seen[run] for entry in entries if run in entry.seen]
            labels = [entry.label for entry in entries]
            ood_name = f"dropped · {things(len(ood), 'image')}"
        known_name = f"{self._images.calibrated[run].data} · {things(len(known), 'held-out image')}"
        page.distribution.show_sides(Sides(known, ood, known_name, ood_name, axis_name(info), images, labels), selection.threshold())
        page.distribution.chart.set_mark(None if selection.score is None else selection.score.score)

    def show_choices(self) -> None:
        """What held-out images can be compared with."""
        compare = self._selection.compare
        choices = [("vs dropped images", "")]
        choices += [(f"vs {self._state.data_title(data)}", data) for data, info in self._state.data.items() if info.kind == "images"]
        if compare and compare not in {data for _, data in choices}:
            choices.append((f"vs {Path(compare).name}", compare))
        self._page.distribution.set_choices([*choices, ("vs other data…", OTHER)], compare)

    def show_path(self) -> None:
        """The p-value of every score of the selected image as it is corrupted."""
        page, selection = self._page, self._selection
        if not page.corrupting:
            return
        event, paths = self._controller.path, []
        known = self._images.known(*selection.detector)
        false = ood_metrics.rates_at(known, np.zeros(0), selection.threshold())[1] if len(known) else separation.KNOWN_LOST
        # the p-value of a score right at the threshold, and half a held-out image more: what reaches it lies below
        level = (1.5 + false * len(known)) / (len(known) + 1) if len(known) else separation.KNOWN_LOST
        if event is not None:
            for detector in self._images.detectors.get(event.run, ()):
                scores, held_out = event.scores.get(detector.name), self._images.known(event.run, detector.name)
                if scores is not None and len(held_out):
                    selected = (event.run, detector.name) == selection.detector
                    p = significance.p_values(held_out, scores, self._images.groups(event.run))
                    paths.append(ScorePath(detector.title, event.strengths, p, selected))
        hint = "Drop an image or use test images: every score’s path appears here as the image is corrupted."
        page.corruption.show_event(event, paths, level, hint if selection.image is None else "Corrupting it…")

    def show_status(self) -> None:
        """The line under the picture: what is wrong with this image, else what is going on."""
        image, page, controller = self._selection.image, self._page, self._controller
        if controller.jobs and controller.line:  # what is going on comes first: the reasons wait in the list
            page.say_status(controller.line, controller.level)
        elif image is not None and image.error:
            page.say_status(image.error if image.label in image.error else f"{image.label}: {image.error}", "warning")
        elif self._inspection.error:
            page.say_status(self._inspection.error, "bad")
        elif controller.line or self._images.entries or not self._images.calibrated:
            page.say_status(controller.line, controller.level)
        else:
            page.say_status("Drop an image here, or choose a data set to compare with at the right.")
        page.stop_button.setVisible(bool(controller.jobs))


def axis_name(info: DetectorInfo) -> str:
    """The compared score with its unit."""
    unit = info.score_unit or info.unit
    return f"score by {info.title}, {unit}" if unit else f"score by {info.title}, no unit"
