"""The way from A to B: its pictures on the straight line and on the arc, and where on it z is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton

from app.panes.latent.position import LatentPosition, PositionHistory
from app.panes.latent.tiles import stacked, strip_picture
from app.shell.formatting import decoded_as, number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import chw_to_qimage
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import Interpolated

STEPS = 9  # pictures of a way, the ends among them
PATHS = ("lerp", "slerp")
TIPS = {
    "lerp": "Straight line from A to B. In many dimensions its middle lies nearer to 0 than samples of the prior do.",
    "slerp": "Along the sphere from A to B: keeps the distance from 0 that samples of the prior have.",
}
INVITATION = "Drop two images, or set A and B, to see the way between them."
INVITATION_WITHOUT_ENCODER = "Set A and B to see the way between them."


class InterpolationCard(Card):
    """Strips of both paths, a slider for t, buttons that make the present z an end."""

    def __init__(self, history: PositionHistory) -> None:
        super().__init__(12, 8)
        self.history = history
        self.interpolated: Interpolated | None = None
        self.paths = QButtonGroup(self)
        self.paths.setExclusive(True)
        self.lerp, self.slerp = (
            ImageStrip(f"The way from A to B, {name}", columns=STEPS, rows=1, most=80, gap=1)
            for name in ("on the straight line", "on the sphere")
        )
        for index, (name, strip) in enumerate(zip(PATHS, (self.lerp, self.slerp), strict=True)):
            row = QHBoxLayout()
            row.setSpacing(4)
            path = QPushButton(name)
            path.setProperty("kind", "path")
            path.setCheckable(True)
            path.setFixedWidth(46)
            set_tip(path, f"{TIPS[name]} Choose it to let t walk this way.")
            path.setAccessibleName(f"t walks along {name}")
            self.paths.addButton(path, index)
            row.addWidget(path)
            strip.picked.connect(partial(self.take_step, name))
            strip.looked_at.connect(partial(self.take_step, name))
            row.addWidget(strip, 1)
            self.inside.addLayout(row)
        self.lerp.empty_text = INVITATION
        self.paths.button(0).setChecked(True)
        self.paths.idClicked.connect(self._path_chosen)
        self.t_slider = LatentSlider(0.0, 1.0, label_width=50, value_width=44)
        self.t_slider.with_sign, self.t_slider.unit = False, ""
        self.t_slider.describe("t", "", tip="Where on the way z is: 0 is A, 1 is B.")
        self.t_slider.setAccessibleName("t, from A to B")
        self.t_slider.set_exact(0.5)
        self.t_slider.moved.connect(self._t_moved)
        self.t_slider.sliderPressed.connect(history.end_gesture)
        self.t_slider.sliderReleased.connect(history.end_gesture)
        self.inside.addWidget(self.t_slider)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.set_a = button("Set A", partial(self.set_end, "a"), "Make the present z the beginning of the way.")
        self.set_b = button("Set B", partial(self.set_end, "b"), "Make the present z the end of the way.")
        self.ends_label = TextLines(1, "What A and B are")
        row.addWidget(self.set_a)
        row.addWidget(self.set_b)
        row.addSpacing(6)
        row.addWidget(self.ends_label, 1)
        self.kind = muted("", wrap=False)
        self.kind.setProperty("role", "small")
        self.kind.hide()
        row.addWidget(self.kind)
        self.inside.addLayout(row)

    def offer_encoder(self, why_not: str) -> None:
        """Whether images may be dropped for A and B."""
        self.lerp.empty_text = INVITATION_WITHOUT_ENCODER if why_not else INVITATION
        self.lerp.update()

    def forget(self) -> None:
        """Another run is looked at, or A or B is not set any more."""
        self.interpolated = None
        self.kind.hide()
        self.lerp.set_pixels(None)
        self.slerp.set_pixels(None)

    def set_end(self, end: str) -> None:
        """Make the present z end "a" or "b"."""
        position = self.history.current
        if position is not None:
            name = position.name or f"z at step {number(self.history.state.step or 0, 0)}"
            self.history.move(position.with_end(end, name), f"choice of {end.upper()}")

    def set_t(self, t: float, gesture: str = "") -> None:
        """Go to the point t of the way, along the chosen path."""
        position = self.history.current
        if position is not None and position.a is not None and position.b is not None:
            self.history.move(position.interpolated(t, position.path), "walk from A to B", gesture)

    def _t_moved(self, t: float) -> None:
        self.set_t(t, self.history.gesture("t", self.t_slider.isSliderDown()))

    def _path_chosen(self, index: int) -> None:
        position = self.history.current
        if position is not None:
            self.history.move(position.interpolated(position.t, PATHS[index]), f"choice of {PATHS[index]}")

    def take_step(self, path: str, index: int) -> None:
        """A picture of a strip was chosen: go to its z."""
        position, answer = self.history.current, self.interpolated
        if position is None or answer is None:
            return
        steps = answer.lerp_z if path == "lerp" else answer.slerp_z
        after = replace(position, t=index / max(len(steps) - 1, 1), path=path)
        self.history.move(after.moved_to(steps[index]), "step from A to B")

    def show_interpolated(self, answer: Interpolated) -> None:
        self.interpolated = answer
        self.kind.setText(decoded_as(answer.decode, many=True))
        self.kind.setVisible(bool(answer.decode))
        for strip, images, log_prior in (
            (self.lerp, answer.lerp, answer.lerp_log_prior),
            (self.slerp, answer.slerp, answer.slerp_log_prior),
        ):
            count = len(images)
            tips = [f"t = {index / max(count - 1, 1):.2f}" for index in range(count)]
            if log_prior is not None:
                tips = [f"{tip} · log p(z) {number(float(value), 1, 'nat')}" for tip, value in zip(tips, log_prior, strict=True)]
            strip.set_pixels(images, tips)

    def show_position(self, position: LatentPosition) -> None:
        whole = position.a is not None and position.b is not None
        if not whole and self.interpolated is not None:
            self.forget()
        self.t_slider.set_exact(position.t)
        self.paths.button(PATHS.index(position.path)).setChecked(True)
        ends = [f"{letter} is {name}" for letter, name in position.ends()]
        self.ends_label.set_text(" · ".join(ends) or "A and B are not set.")
        self.t_slider.setEnabled(whole)

    def export_picture(self, scale: int) -> QImage:
        """Both strips under each other; null when there is none."""
        return stacked([strip_picture(strip, scale) for strip in (self.lerp, self.slerp)])

    def film(self) -> list[QImage]:
        """The way along the chosen path, from A to B and back again; empty when there is none."""
        answer, position = self.interpolated, self.history.current
        if answer is None or position is None:
            return []
        images = [chw_to_qimage(image) for image in (answer.lerp if position.path == "lerp" else answer.slerp)]
        return [*images, *images[-2:0:-1]]

    def export_details(self) -> dict[str, object]:
        """A and B, for the text that an exported picture carries."""
        position = self.history.current
        if position is None or position.a is None or position.b is None:
            return {}
        ends: dict[str, object] = {"a": position.a.tolist(), "b": position.b.tolist(), "a_name": position.a_name, "b_name": position.b_name}
        return ends | ({} if self.interpolated is None else {"decode": self.interpolated.decode})

    def set_colors(self, c: Colors) -> None:
        for part in (self.lerp, self.slerp, self.t_slider, self.ends_label):
            part.set_colors(c)
