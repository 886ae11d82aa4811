"""The Latent pane: a walk through a latent space. Sliders, own images, the way from A to B, prior samples, a plane.

Here its parts are laid out and joined. They change the position through the undo history, the controller asks the engine, the
parts draw the answers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.latent.axes import LatentAxes
from app.panes.latent.controller import LatentController, LatentTab
from app.panes.latent.decoded_image import DecodedImageCard
from app.panes.latent.encoded_image import EncodedImageCard, HeldOutCard
from app.panes.latent.export import LatentExport
from app.panes.latent.interpolation import InterpolationCard
from app.panes.latent.plane import LatentPlaneCard
from app.panes.latent.position import LatentPosition, PositionHistory
from app.panes.latent.prior_samples import PriorSamplesCard
from app.panes.latent.rate_distortion import RateDistortionCard
from app.panes.latent.slider_list import SliderList
from app.shell import theme
from app.shell.plain_text import set_tip
from app.shell.run_pane import RunPane
from app.widgets.export import IMAGE_FILTER, ask_which
from app.widgets.parts import muted
from engine.messages import Encode, Encoded, Notice

TAB_NAMES = {  # what stands on a tab, and its whole name
    LatentTab.INTERPOLATION: ("A → B", "Interpolation A → B"),
    LatentTab.PRIOR: ("Prior", "Prior samples"),
    LatentTab.PLANE: ("2-D grid", "2-D grid of decoded images"),
    LatentTab.RATES: ("Rates", "Rate–distortion of the runs of these data"),
}
NO_ENCODER = "{title} has no encoder: an image has no z here. Move the sliders, draw from the prior, set A and B from samples."


class LatentPane(RunPane):
    title = "Latent"
    order = 50
    needs = ("latents",)
    invites = "Choose a run at the left, or train a VAE: its latent space opens here with the first checkpoint."
    refused = "{title} has no latent space to walk in", "Choose a run that decodes a latent vector, such as a VAE."
    most_images = 2
    about = "Move through the latent space: sliders, your own images, the way from one to another."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        state = context.state
        self._ends: dict[str, str] = {}  # "a" or "b" for the files of a drop of two, until they are encoded
        self.history = PositionHistory(state, context.undo, self)
        self.controller = LatentController(context, self.history, self.able, self.run_capabilities, self)
        self.decoded_image = DecodedImageCard(context.undo, self._choose_image, self.controller.draw_sample)
        self.no_encoder = muted("")
        self.encoded_image = EncodedImageCard()
        self.held_out = HeldOutCard()
        self.slider_list = SliderList(self.history, theme.colors(state.theme))
        self.interpolation = InterpolationCard(self.history)
        self.prior_samples = PriorSamplesCard(self.history)
        self.plane = LatentPlaneCard(self.history)
        self.rates = RateDistortionCard(state, context.bridge)
        sources = {
            "picture": self.decoded_image,
            "interpolation": self.interpolation,
            "samples": self.prior_samples,
            "grid": self.plane,
        }
        report, label, walk = self.decoded_image.report, self.controller.label, self.interpolation.film
        self.export = LatentExport(self.history, sources, self._axes, report, label, walk, self)
        self._build()
        self._wire()
        self._restyle()
        self._offer_encoder()
        self.check_empty()

    # -- layout

    def _build(self) -> None:
        page = QWidget()
        self.hold(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        left, right = QVBoxLayout(), QVBoxLayout()
        for column in (left, right):
            column.setSpacing(8)
        columns.addLayout(left, 39)
        columns.addLayout(right, 61)
        left.addWidget(self.decoded_image)
        left.addWidget(self.no_encoder)
        left.addSpacing(4)
        left.addWidget(self.encoded_image)
        left.addSpacing(4)
        left.addWidget(self.held_out)
        left.addStretch(1)
        right.addWidget(self.slider_list, 1)
        right.addSpacing(4)
        right.addLayout(self._tab_row())
        self.tab_cards = {
            LatentTab.INTERPOLATION: self.interpolation,
            LatentTab.PRIOR: self.prior_samples,
            LatentTab.PLANE: self.plane,
            LatentTab.RATES: self.rates,
        }
        for tab, card in self.tab_cards.items():
            right.addWidget(card)
            card.setVisible(tab is LatentTab.INTERPOLATION)

    def _tab_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.tab_buttons = QButtonGroup(self)
        self.tab_buttons.setExclusive(True)
        for tab, (word, name) in TAB_NAMES.items():
            made = QPushButton(word.upper())
            made.setProperty("kind", "tab")
            made.setCheckable(True)
            made.setAccessibleName(name)
            set_tip(made, name)
            self.tab_buttons.addButton(made, tab)
            row.addWidget(made)
        self.tab_buttons.button(LatentTab.INTERPOLATION).setChecked(True)
        self.tab_buttons.idClicked.connect(self.show_tab)
        row.addStretch(1)
        export_button = QPushButton("Export")
        export_button.setProperty("kind", "link")
        export_button.setAccessibleName("Export")
        set_tip(export_button, "Copy the picture, save pictures as PNG or z as CSV. Saved pictures carry run, step and z.")
        export_button.setMenu(self.export.menu())
        row.addWidget(export_button)
        return row

    def _wire(self) -> None:
        state, controller = self.context.state, self.controller
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self._runs_changed)
        state.methods_changed.connect(self._methods_changed)
        state.theme_changed.connect(self._restyle)
        self.history.moved.connect(self._moved)
        controller.described.connect(self._described)
        self.decoded_image.class_chosen.connect(self._class_chosen)
        controller.decoded.connect(self._decoded)
        controller.failed.connect(self.decoded_image.fail)
        controller.interpolated.connect(self.interpolation.show_interpolated)
        controller.reconstructed.connect(self.held_out.show_reconstructed)
        controller.prior_sampled.connect(self.prior_samples.show_sampled)
        controller.sample_drawn.connect(self.prior_samples.take_drawn)
        controller.plane_decoded.connect(self.plane.show_plane)
        controller.encoder.encoded.connect(self._encoded)
        controller.encoder.encoded_again.connect(self._encoded_again)
        self.slider_list.reordered.connect(self._reordered)
        self.prior_samples.seed_changed.connect(self._seed_changed)
        self.plane.axis_chosen.connect(self._axis_chosen)
        self.held_out.chosen.connect(controller.encode_image)

    # -- what is looked at

    @property
    def position(self) -> LatentPosition | None:
        """Where the pane stands in the space of the chosen run."""
        return self.history.current

    def run_capabilities(self) -> tuple[str, ...]:
        """Of the chosen run's method."""
        info, method = self.context.state.run_info, self.context.state.method_info
        return method.capabilities if method is not None else info.capabilities if info is not None else ()

    def show_tab(self, tab: int) -> None:
        for other, card in self.tab_cards.items():
            card.setVisible(other == tab)
        self.tab_buttons.button(tab).setChecked(True)
        self.controller.show_tab(LatentTab(tab))
        self.rates.set_active(self.shown and tab == LatentTab.RATES)

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.controller.activate()
        self.rates.set_active(self.controller.tab is LatentTab.RATES)

    def deactivate(self) -> None:
        self.shown = False
        self.rates.set_active(False)
        self.controller.deactivate()

    def closeEvent(self, event: Any) -> None:
        self.controller.close()
        self.rates.set_active(False)
        self.rates.controller.stop_jobs()
        super().closeEvent(event)

    def _run_changed(self) -> None:
        self.controller.forget()
        for part in (self.slider_list, self.decoded_image, self.interpolation, self.prior_samples, self.plane, self.held_out):
            part.forget()
        self.encoded_image.hide()
        self._offer_encoder()
        self.check_empty()

    def _step_changed(self) -> None:
        self.decoded_image.clear_fault()
        self.decoded_image.look_at_step(self.context.state.step)
        self.check_empty()
        self.controller.refresh()
        self.decoded_image.describe(self.position)

    def _runs_changed(self) -> None:
        self._offer_encoder()
        self.check_empty()

    def _methods_changed(self) -> None:
        self._offer_encoder()
        self._step_changed()

    def _offer_encoder(self) -> None:
        """Offer what needs an encoder where the method has one; say what is missing otherwise."""
        info, method = self.context.state.run_info, self.context.state.method_info
        why_not = ""
        if info is not None and set(self.needs) <= set(self.run_capabilities()) and not self.controller.encodes():
            why_not = NO_ENCODER.format(title=method.title if method is not None else info.title or info.method)
        self.no_encoder.setText(why_not)
        self.no_encoder.setVisible(bool(why_not))
        self.decoded_image.offer_encoder(why_not)
        self.interpolation.offer_encoder(why_not)

    # -- answers and moves

    def _axes(self) -> LatentAxes | None:
        return self.slider_list.axes

    def _class_chosen(self, label: int) -> None:
        position = self.position
        axes = self.slider_list.axes
        if position is None:
            return
        if axes is not None and axes.class_names:
            if len(position.z) == len(axes.order) and label != axes.class_of(position.z):
                self.history.move(position.moved_to(axes.with_class(position.z, label), position.name), "choice of a class")
        elif label != position.label:
            self.history.move(replace(position, label=label), "choice of a class")

    def _described(self, axes: LatentAxes) -> None:
        classes = self.controller.description.classes if self.controller.description is not None else ()
        self.decoded_image.offer_classes(classes, axes.class_of)
        self.prior_samples.axes = axes
        held = self.slider_list.is_held()
        self.slider_list.describe(axes)
        if held:
            self._show_position()
        else:
            self._reordered()

    def _reordered(self) -> None:
        """The dimensions have another order: the plane names them anew."""
        if self.slider_list.axes is not None:
            self.plane.set_axes(self.slider_list.axes)
            self.controller.plane_dimensions = self.plane.dimensions()
        self._show_position()

    def _show_position(self) -> None:
        position, axes = self.position, self.slider_list.axes
        if position is None or axes is None or len(axes.order) != len(position.z):
            return
        self.slider_list.show_position(position)
        self.interpolation.show_position(position)
        self.decoded_image.describe(position)

    def _moved(self, before: LatentPosition | None, after: LatentPosition) -> None:
        self.decoded_image.clear_fault()
        self._show_position()
        self.controller.position_changed(before, after)

    def _decoded(self, answer: Any) -> None:
        self.decoded_image.show_decoded(answer, self.position)

    def _seed_changed(self) -> None:
        self.controller.seed = self.prior_samples.seed
        self.controller.ask_prior()

    def _axis_chosen(self) -> None:
        self.controller.plane_dimensions = self.plane.dimensions()
        self.controller.ask_plane()

    # -- images

    def accept_image(self, path: str) -> bool:
        self._ends.pop(path, None)
        return self.controller.encode_file(path)

    def accept_images(self, paths: list[str]) -> list[str]:
        """Two images at once are A and B, whatever stood there; a single one goes where there is room, or to the nearer end."""
        taken = super().accept_images(paths)
        if len(taken) == 2:
            self._ends = dict(zip(taken, ("a", "b"), strict=True))
        return taken

    def _choose_image(self) -> None:
        ask_which(self, "Encode images", IMAGE_FILTER, self._take_images, many=True)

    def _take_images(self, paths: list[str]) -> None:
        taken = self.accept_images(paths)
        if taken and len(taken) < len(paths):
            names = " and ".join(Path(path).name for path in taken)
            self.context.bridge.tell(Notice("warning", f"{names} are A and B now; there is no room for more images. Choose two at a time."))

    def _encoded(self, query: Encode, answer: Encoded) -> None:
        self.encoded_image.show_encoded(answer)
        name = answer.label or query.label
        position = self.history.standing(answer.mean, name)
        end = self._ends.pop(query.path or "", "")
        self.history.move(position.with_image(answer.mean, name, end), f"encoding of {name}")

    def _encoded_again(self, answer: Encoded) -> None:
        self.encoded_image.show_encoded(answer)
        self.decoded_image.describe(self.position)

    def _restyle(self) -> None:
        colors = theme.colors(self.context.state.theme)
        for part in (self.decoded_image, self.encoded_image, self.held_out, self.slider_list):
            part.set_colors(colors)
        for part in (self.interpolation, self.prior_samples, self.plane, self.rates):
            part.set_colors(colors)
