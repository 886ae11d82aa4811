"""Walk through a latent space: sliders in units of sigma, own images as starting points, the way from A to B, prior samples, a plane.

The pane holds z and draws what the decoder makes of it at the step of the time cursor; all pictures come from the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QImage, QIntValidator, QPainter, QUndoCommand
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.panes import Context
from app.shell.formatting import number
from app.shell.latest_query import LatestQuery
from app.shell.run_pane import RunPane
from app.widgets.export import IMAGE_FILTER, ask_where, ask_which, copy_image, csv_text, file_name, png_bytes, write_file
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView, chw_to_qimage, enlarged, to_qimage
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card, Elided, TextLines, button, heading, muted, restyle, set_heading
from engine.messages import (
    Decode,
    Decoded,
    DecodeGrid,
    Describe,
    Described,
    Encode,
    Encoded,
    GridDecoded,
    Interpolate,
    Interpolated,
    PriorSampled,
    QueryFailed,
    Reconstruct,
    Reconstructed,
    SamplePrior,
)

DEAD = 0.01  # nat; below this a dimension carries nothing
STRIP = 9
PRIOR_COUNT = 32
GRID = 9
SPAN = 3.0
MERGE_SECONDS = 1.0  # moves by keyboard that follow each other within this time are one change to undo


@dataclass(frozen=True, eq=False)
class Place:
    """Where in the latent space of one run the pane stands. Undo goes from one to another."""

    z: np.ndarray  # [D]
    name: str = "the middle of the space"
    a: np.ndarray | None = None
    b: np.ndarray | None = None
    a_name: str = ""
    b_name: str = ""
    t: float = 0.5
    path: str = "lerp"

    def ends(self) -> list[tuple[str, str]]:
        """The letters that are set, with what they are."""
        both = (("A", self.a, self.a_name), ("B", self.b, self.b_name))
        return [(letter, name) for letter, z, name in both if z is not None]


class Move(QUndoCommand):
    """From one place to another; the moves of one drag become one."""

    def __init__(self, pane: LatentPane, run: str, before: Place, after: Place, text: str, session: str) -> None:
        super().__init__(text)
        self.pane, self.run, self.before, self.after, self.session = pane, run, before, after, session

    def id(self) -> int:
        return 5150 if self.session else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, Move) or other.session != self.session or other.run != self.run or other.pane is not self.pane:
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        self._stand_at(self.after)

    def undo(self) -> None:
        self._stand_at(self.before)

    def _stand_at(self, place: Place) -> None:
        """Nothing changes unseen: the run of the move is looked at first, and without it there is nothing to go back to."""
        if self.pane.look_at(self.run):
            self.pane.go(self.run, place)
        else:
            self.setObsolete(True)


def on_the_way(a: np.ndarray, b: np.ndarray, t: float, path: str) -> np.ndarray:
    """The point t of the way from a to b: "lerp" on the straight line, "slerp" on the arc (Shoemake 1985), its length going evenly.

    Where a or b is zero, or they point the same or opposite ways, there is no single arc, and the line is taken.
    """
    length_a, length_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if path == "slerp" and min(length_a, length_b) > 1e-6:
        u, v = a / length_a, b / length_b
        angle = float(np.arccos(np.clip(np.dot(u, v), -1.0, 1.0)))
        if 1e-4 < angle < np.pi - 1e-4:
            direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
            return (direction * ((1 - t) * length_a + t * length_b)).astype(np.float32)
    return ((1 - t) * a + t * b).astype(np.float32)


class LatentPane(RunPane):
    title = "Latent"
    order = 50
    needs = ("encode", "decode")
    invites = "Choose a run at the left, or train a VAE: its latent space opens here with the first checkpoint."
    refused = "{title} has no latent space to walk in", "Choose a run that encodes and decodes, such as a VAE."
    about = "Move through the latent space: sliders, your own images, the way from one to another."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.places: dict[str, Place] = {}
        self.described: Described | None = None
        self.rank: list[int] = []  # rank -> dimension of z
        self.sliders: list[LatentSlider] = []
        self.decoded: Decoded | None = None
        self.encoded: Encoded | None = None
        self._encoded_query: Encode | None = None
        self.strips: Interpolated | None = None
        self.prior: PriorSampled | None = None
        self.reconstructed: Reconstructed | None = None
        self._grid_at: tuple[np.ndarray, int, int] | None = None
        self._waiting_images: list[Encode] = []
        self._session = 0
        self._moved_at = 0.0  # when a slider was moved last
        self._asked_at: tuple[str | None, int | None] | None = None  # run and step that everything was asked for
        self._axes_chosen = False  # by the user; until then the grid shows the first two
        self.way = 0  # 0 interpolation, 1 prior samples, 2 grid
        self._one_seed = 0
        self.scale_factor = 2  # of exported pictures
        self._message = ""
        bridge = context.bridge
        self._decoder = LatestQuery(bridge, "latent", self._on_decoded, self._on_failure)
        self._way = LatestQuery(bridge, "latent.way", self._on_interpolated, self._on_failure)
        self._plane = LatestQuery(bridge, "latent.plane", self._on_grid, self._on_failure)
        self._grid_timer = QTimer(self)
        self._grid_timer.setSingleShot(True)
        self._grid_timer.setInterval(160)
        self._grid_timer.timeout.connect(self._ask_grid)
        self._build()
        state = context.state
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self.check_empty)
        state.methods_changed.connect(self._step_changed)
        state.theme_changed.connect(self._restyle)
        context.undo.canUndoChanged.connect(self._can_undo)
        context.undo.undoTextChanged.connect(self._undo_named)
        self._restyle()
        self._can_undo(context.undo.canUndo())
        self._undo_named(context.undo.undoText())
        self.check_empty()

    # ------------------------------------------------------------------------------------------------ widgets

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
        self._build_left(left)
        self._build_sliders(right)
        self._build_ways(right)

    def _build_left(self, left: QVBoxLayout) -> None:
        card = Card()
        self.picture = SquareView("Decoded image", "The picture of z appears here.")
        card.inside.addWidget(self.picture)
        left.addWidget(card)
        left.addSpacing(4)
        self.encode_button = button("Encode image…", self._choose_image, "Encode an image file and go to its z. Files can be dropped, too.")
        self.prior_button = button("Prior sample", self.draw_one, "Draw z at random from the prior p(z).")
        self.undo_button = button("Undo", self.context.undo.undo)
        row = QHBoxLayout()
        row.setSpacing(6)
        for made in (self.encode_button, self.prior_button, self.undo_button):
            row.addWidget(made)
        row.addStretch(1)
        left.addLayout(row)
        self.status = TextLines(3, "What is decoded")
        left.addWidget(self.status)
        self.image_heading = heading("Your image")
        self.image_card = Card(8, 4)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        self.original, self.seen, self.rebuilt = (ImageView(name) for name in ("Original image", "What the network sees", "Reconstruction"))
        for column, (view, name) in enumerate(((self.original, "original"), (self.seen, "network sees"), (self.rebuilt, "reconstruction"))):
            view.setFixedHeight(64)
            grid.addWidget(view, 0, column)
            label = muted(name, wrap=False)
            label.setProperty("role", "small")
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(label, 1, column)
        self.image_card.inside.addLayout(grid)
        self.image_notes = TextLines(2, "How the image was adapted", small=True)
        self.image_card.inside.addWidget(self.image_notes)
        left.addSpacing(4)
        left.addWidget(self.image_heading)
        left.addWidget(self.image_card)
        self.probe_heading = heading("Held-out images, reconstructed")
        self.probe_heading.setToolTip("Images that were never trained on, above what encoding and decoding leave of them.")
        self.probe_card = Card(8, 4)
        self.probe_top = ImageStrip("Held-out images; choose one to encode it", columns=8, rows=1, most=64)
        self.probe_bottom = ImageStrip("Their reconstructions", columns=8, rows=1, most=64)
        self.probe_bottom.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for strip in (self.probe_top, self.probe_bottom):
            strip.setToolTip("Choose one to encode it.")
            strip.picked.connect(self.encode_probe)
            self.probe_card.inside.addWidget(strip)
        left.addSpacing(4)
        left.addWidget(self.probe_heading)
        left.addWidget(self.probe_card)
        left.addStretch(1)
        self.image_heading.hide()
        self.image_card.hide()
        self.probe_heading.hide()
        self.probe_card.hide()

    def _build_sliders(self, right: QVBoxLayout) -> None:
        row = QHBoxLayout()
        self.sliders_heading = heading("Latent dimensions, ordered by KL")
        self.active_label = Elided("")
        self.active_label.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.active_label.setProperty("role", "small")
        row.addWidget(self.sliders_heading)
        row.addWidget(self.active_label, 1)
        self.reset_button = button("Reset", self.reset, "Put every slider back to 0 σ.")
        self.reset_button.setProperty("kind", "link")
        row.addWidget(self.reset_button)
        right.addLayout(row)
        self.sliders_card = Card(0, 0)
        self.sliders_card.inside.setContentsMargins(1, 8, 1, 8)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        contents = QWidget()
        contents.setObjectName("contents")
        self.rows = QVBoxLayout(contents)
        self.rows.setContentsMargins(12, 4, 12, 4)
        self.rows.setSpacing(0)
        scroll.setWidget(contents)
        self.sliders_card.inside.addWidget(scroll)
        self.sliders_card.setMinimumHeight(120)
        right.addWidget(self.sliders_card, 1)

    def _build_ways(self, right: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.tabs = QButtonGroup(self)
        self.tabs.setExclusive(True)
        for index, name in enumerate(("Interpolation A → B", "Prior samples", "2-D grid")):
            tab = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            self.tabs.addButton(tab, index)
            row.addWidget(tab)
        row.addStretch(1)
        self.export_button = QPushButton("Export")
        self.export_button.setProperty("kind", "link")
        self.export_button.setAccessibleName("Export")
        self.export_button.setToolTip("Copy the picture, save pictures as PNG or z as CSV. Saved pictures carry run, step and z.")
        self.export_button.setMenu(self._export_menu())
        row.addWidget(self.export_button)
        right.addSpacing(4)
        right.addLayout(row)
        self.ways = [self._interpolation(), self._prior_samples(), self._grid()]
        for index, way in enumerate(self.ways):
            right.addWidget(way)
            way.setVisible(index == 0)
        self.tabs.button(0).setChecked(True)
        self.tabs.idClicked.connect(self.show_way)

    def _interpolation(self) -> QWidget:
        card = Card(12, 8)
        self.paths = QButtonGroup(self)
        self.paths.setExclusive(True)
        self.lerp, self.slerp = (
            ImageStrip(f"The way from A to B, {name}", columns=STRIP, rows=1, most=80, gap=1)
            for name in ("on the straight line", "on the sphere")
        )
        tips = {
            "lerp": "Straight line from A to B. In many dimensions its middle lies nearer to 0 than samples of the prior do.",
            "slerp": "Along the sphere from A to B: keeps the distance from 0 that samples of the prior have.",
        }
        for number_of, (name, strip) in enumerate((("lerp", self.lerp), ("slerp", self.slerp))):
            row = QHBoxLayout()
            row.setSpacing(4)
            path = QPushButton(name)
            path.setProperty("kind", "path")
            path.setCheckable(True)
            path.setFixedWidth(46)
            path.setToolTip(f"{tips[name]} Choose it to let t walk this way.")
            path.setAccessibleName(f"t walks along {name}")
            self.paths.addButton(path, number_of)
            row.addWidget(path)
            strip.empty_text = "" if number_of else "Drop two images, or set A and B, to see the way between them."
            strip.picked.connect(partial(self.take_step, name))
            strip.looked_at.connect(partial(self.take_step, name))
            row.addWidget(strip, 1)
            card.inside.addLayout(row)
        self.paths.button(0).setChecked(True)
        self.paths.idClicked.connect(self._path_chosen)
        self.t_slider = LatentSlider(0.0, 1.0, label_width=50, value_width=44)
        self.t_slider.with_sign, self.t_slider.unit = False, ""
        self.t_slider.describe("t", "", tip="Where on the way z is: 0 is A, 1 is B.")
        self.t_slider.setAccessibleName("t, from A to B")
        self.t_slider.set_exact(0.5)
        self.t_slider.moved.connect(self._t_moved)
        self.t_slider.sliderPressed.connect(self._new_session)
        self.t_slider.sliderReleased.connect(self._new_session)
        card.inside.addWidget(self.t_slider)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.set_a = button("Set A", partial(self.set_end, "a"), "Make the present z the beginning of the way.")
        self.set_b = button("Set B", partial(self.set_end, "b"), "Make the present z the end of the way.")
        self.ends_label = TextLines(1, "What A and B are")
        row.addWidget(self.set_a)
        row.addWidget(self.set_b)
        row.addSpacing(6)
        row.addWidget(self.ends_label, 1)
        card.inside.addLayout(row)
        return card

    def _prior_samples(self) -> QWidget:
        card = Card(12, 8)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(muted("Seed", wrap=False))
        self.seed = QLineEdit("0")
        self.seed.setValidator(QIntValidator(0, 999_999, self))
        self.seed.setFixedWidth(72)
        self.seed.setAccessibleName("Seed of the prior samples")
        self.seed.textChanged.connect(self._ask_prior)
        row.addWidget(self.seed)
        row.addWidget(button("Next seed", self._next_seed, "Draw other samples."))
        self.prior_note = TextLines(2, "About the samples", centred=True)
        row.addStretch(1)
        card.inside.addLayout(row)
        card.inside.addWidget(self.prior_note)
        self.samples = ImageStrip("Samples of the prior; choose one to go to its z", columns=PRIOR_COUNT // 4, most=88)
        self.samples.picked.connect(self.take_sample)
        card.inside.addWidget(self.samples, 1)
        return card

    def _grid(self) -> QWidget:
        card = Card(12, 8)
        row = QHBoxLayout()
        row.setSpacing(16)
        self.plane = ImageStrip("A plane through z; choose a picture to go there", columns=GRID, most=44, gap=1)
        self.plane.picked.connect(self.take_cell)
        row.addWidget(self.plane, 1)
        side = QVBoxLayout()
        side.setSpacing(6)
        self.axis_x, self.axis_y = QComboBox(), QComboBox()
        for box, name in ((self.axis_x, "Across"), (self.axis_y, "Upwards")):
            box.setAccessibleName(f"{name}: latent dimension")
            box.setMinimumWidth(132)
            side.addWidget(muted(name, wrap=False))
            side.addWidget(box)
            box.activated.connect(self._axis_chosen)
        self.grid_note = muted(f"Each from −{SPAN:.0f} to +{SPAN:.0f} σ; the others stay. Click a picture to go there.")
        self.grid_note.setProperty("role", "small")
        self.grid_note.setFixedWidth(132)
        side.addWidget(self.grid_note)
        side.addStretch(1)
        row.addLayout(side)
        card.inside.addLayout(row)
        return card

    def _export_menu(self) -> QMenu:
        menu = QMenu(self)
        for text, run in (
            ("Copy picture", self.copy_picture),
            ("Save picture as PNG…", partial(self._save_png_dialog, "picture")),
            ("Save interpolation as PNG…", partial(self._save_png_dialog, "interpolation")),
            ("Save prior samples as PNG…", partial(self._save_png_dialog, "samples")),
            ("Save 2-D grid as PNG…", partial(self._save_png_dialog, "grid")),
            ("Save z as CSV…", self._save_csv_dialog),
        ):
            action = menu.addAction(text)
            action.triggered.connect(partial(self._run_action, run))
        menu.addSeparator()
        group = QActionGroup(menu)
        for factor in (1, 2, 3, 4):
            action = QAction(f"PNG size {factor}×", menu, checkable=True, checked=factor == self.scale_factor)  # type: ignore[call-overload]
            action.triggered.connect(partial(self._set_scale, factor))
            group.addAction(action)
            menu.addAction(action)
        return menu

    # ------------------------------------------------------------------------------------------------ what is looked at

    @property
    def place(self) -> Place | None:
        return self.places.get(self.context.state.run or "")

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.refresh()

    def deactivate(self) -> None:
        self.shown = False
        self._grid_timer.stop()

    def closeEvent(self, event: Any) -> None:
        self._grid_timer.stop()
        for channel in ("latent", "latent.way", "latent.plane", "latent.sample", "latent.prior", "latent.image", "latent.again"):
            self.context.bridge.forget(channel)
        super().closeEvent(event)

    def _run_changed(self) -> None:
        self.described = self.decoded = self.encoded = self.strips = self.prior = self.reconstructed = None
        self._encoded_query = self._grid_at = self._asked_at = None
        self.rank = []  # the sliders do nothing until the new run has said what they stand for
        for slider in self.sliders:
            slider.setSliderDown(False)
            slider.setEnabled(False)
        self._waiting_images.clear()
        self._message = ""
        for asker in (self._decoder, self._way, self._plane):
            asker.forget()
        for channel in ("latent.sample", "latent.prior", "latent.image", "latent.again"):
            self.context.bridge.forget(channel)
        self.picture.set_pixels(None)
        for strip in (self.lerp, self.slerp, self.samples, self.plane, self.probe_top, self.probe_bottom):
            strip.set_pixels(None)
        for widget in (self.image_heading, self.image_card, self.probe_heading, self.probe_card):
            widget.hide()
        self.check_empty()

    def _step_changed(self) -> None:
        self._message = ""  # it was about another step
        self.check_empty()
        self.refresh()
        self._say()

    def refresh(self) -> None:
        """Ask for everything that is on screen, at the step of the time cursor. z stays what it was."""
        state = self.context.state
        if not self.shown or not self.able():
            return
        if self.described is None or (self.described.run, self.described.step) != (state.run, state.step):
            asked = Describe(run=state.run, step=state.step)  # type: ignore[arg-type]
            self.context.bridge.ask("latent", asked, partial(self._on_described, asked), self._on_failure)
        if self.place is not None and self.described is not None:
            self._ask_all()

    def _ask_all(self) -> None:
        state = self.context.state
        self._asked_at = (state.run, state.step)
        self._ask_decode()
        self._ask_way()
        if self.reconstructed is None or (self.reconstructed.run, self.reconstructed.step) != (state.run, state.step):
            asked = Reconstruct(run=state.run, step=state.step)  # type: ignore[arg-type]
            self.context.bridge.ask("latent", asked, partial(self._on_reconstructed, asked), self._on_failure)
        if self._encoded_query is not None and self.encoded is not None and self.encoded.step != state.step:
            again = replace(self._encoded_query, step=state.step)
            self.context.bridge.ask("latent.again", again, partial(self._on_encoded_again, again), self._on_failure)
        if self.way == 1:
            self._ask_prior()
        elif self.way == 2:
            self._grid_timer.start()

    def _current(self, query: Any) -> bool:
        """Whether an answer to this query is still about what the window looks at."""
        state = self.context.state
        return query.run == state.run and query.step == state.step

    def _on_failure(self, failure: QueryFailed) -> None:
        self._message = failure.message
        self._say()

    # ------------------------------------------------------------------------------------------------ sliders

    def _on_described(self, query: Describe, answer: Described) -> None:
        if not self._current(query):
            return
        self.described = answer
        place = self.place
        if answer.latent <= 0:
            self._message = "This checkpoint has no latent space."
            self._say()
            return
        if place is None or len(place.z) != answer.latent:
            middle = np.zeros(answer.latent, np.float32) if answer.centre is None else np.asarray(answer.centre, np.float32)
            self.places[answer.run] = Place(z=middle)
            self._asked_at = None
        axes = self.axis_x.currentData(), self.axis_y.currentData()
        self._order()
        self._show_place()
        if self._asked_at != (query.run, query.step):
            self._ask_all()
        elif self.way == 2 and axes != (self.axis_x.currentData(), self.axis_y.currentData()):
            self._grid_timer.start()  # another two dimensions lead at this step

    def _order(self) -> None:
        """Rank the dimensions; never under a held knob."""
        described = self.described
        if described is None or any(slider.isSliderDown() for slider in self.sliders):
            return
        kl, scale = described.kl, described.scale
        weight = kl if kl is not None else scale if scale is not None else np.zeros(described.latent)
        self.rank = [int(index) for index in np.argsort(-np.asarray(weight), kind="stable")]
        while len(self.sliders) < described.latent:
            self._add_slider()
        while len(self.sliders) > described.latent:
            gone = self.sliders.pop()
            gone.hide()
            gone.deleteLater()
        digits = max(2, len(str(described.latent)))
        for place, (slider, dim) in enumerate(zip(self.sliders, self.rank, strict=True)):
            slider.setEnabled(True)
            label = f"z{place + 1:0{digits}d}"
            where = f"{label} is dimension {dim} of z."
            if kl is None:
                spread = float(scale[dim]) if scale is not None else 1.0
                slider.describe(label, "", tip=f"{where} One σ is {spread:.3g}: the deviation over the data.")
                continue
            nats = float(kl[dim])
            dead = nats < DEAD
            tail = "– does nothing: the decoder has no information about it." if dead else "of information about the image on average."
            slider.describe(label, f"{nats:.2f} nat", dead=dead, tip=f"{where} {nats:.2f} nat {tail}")
        if kl is None:
            set_heading(self.sliders_heading, "Latent dimensions, ordered by spread")
            self.active_label.setText("no prior to draw from")
        else:
            set_heading(self.sliders_heading, "Latent dimensions, ordered by KL")
            active = int(np.sum(np.asarray(kl) >= DEAD))
            self.active_label.setText(f"{active} above {DEAD} nat · {number(float(np.sum(kl)), 1, 'nat')} in all")
        self._name_axes()

    def _add_slider(self) -> None:
        slider = LatentSlider(-SPAN, SPAN)
        slider.set_colors(self._colors)
        index = len(self.sliders)
        slider.moved.connect(partial(self._slider_moved, index))
        slider.reset_asked.connect(partial(self._slider_reset, index))
        slider.sliderPressed.connect(self._new_session)
        slider.sliderReleased.connect(self._slider_released)
        self.sliders.append(slider)
        self.rows.addWidget(slider)

    def _new_session(self) -> None:
        self._session += 1

    def _slider_released(self) -> None:
        self._new_session()
        self._order()
        self._show_place()

    def _units(self, dim: int) -> tuple[float, float]:
        """Zero and one sigma of a slider, in z."""
        described = self.described
        zero = float(described.centre[dim]) if described is not None and described.centre is not None else 0.0
        one = float(described.scale[dim]) if described is not None and described.scale is not None else 1.0
        return zero, one or 1.0

    def _session_of(self, slider: LatentSlider, name: str) -> str:
        """Moves of one session are one change to undo: a drag from press to release, or keys in quick succession."""
        now = monotonic()
        if not slider.isSliderDown() and now - self._moved_at > MERGE_SECONDS:
            self._new_session()
        self._moved_at = now
        return f"{self._session}-{name}"

    def _slider_moved(self, index: int, value: float) -> None:
        self.set_dimension(index, value, session=self._session_of(self.sliders[index], str(index)))

    def _t_moved(self, t: float) -> None:
        self.set_t(t, session=self._session_of(self.t_slider, "t"))

    def _slider_reset(self, index: int) -> None:
        self._new_session()
        self.set_dimension(index, 0.0)

    def set_dimension(self, rank: int, sigmas: float, session: str = "") -> None:
        """Move one coordinate, named by its rank, to a value in units of sigma."""
        place = self.place
        if place is None or self.described is None or rank >= len(self.rank):
            return  # what the sliders stand for is not known yet
        dim = self.rank[rank]
        zero, one = self._units(dim)
        z = place.z.copy()
        z[dim] = zero + one * sigmas
        self._move(replace(place, z=z, name=""), f"move of {self.sliders[rank].label}", session)

    def reset(self) -> None:
        """Every slider back to 0 sigma."""
        if self.place is None or self.described is None:
            return
        centre = self.described.centre
        z = np.zeros_like(self.place.z) if centre is None else np.asarray(centre, np.float32).copy()
        self._move(replace(self.place, z=z, name="the middle of the space"), "reset of z")

    # ------------------------------------------------------------------------------------------------ moving

    def _move(self, after: Place, text: str, session: str = "") -> None:
        run, before = self.context.state.run, self.place
        if run is None or before is None:
            return
        self.context.undo.push(Move(self, run, before, after, text, session))

    def look_at(self, run: str) -> bool:
        """Have the window look at a run; False when there is no such run any more."""
        state = self.context.state
        if run not in state.runs:
            return False
        state.set_run(run)
        return True

    def go(self, run: str, place: Place) -> None:
        """Stand at a place of a run; draws it when that run is looked at."""
        before = self.places.get(run)
        self.places[run] = place
        if run != self.context.state.run:
            return
        self._message = ""
        self._show_place()
        if not self.shown or self.described is None or not self.able():
            return  # everything is asked for when the pane is seen and the checkpoint is described
        self._ask_decode()
        if before is None or before.a is not place.a or before.b is not place.b:
            self._ask_way()
        if self.way == 2:
            self._grid_timer.start()

    def _show_place(self) -> None:
        place = self.place
        if place is None or self.described is None:
            return
        if len(self.rank) != len(place.z):
            return
        for slider, dim in zip(self.sliders, self.rank, strict=True):
            zero, one = self._units(dim)
            slider.set_exact((float(place.z[dim]) - zero) / one)
        self.t_slider.set_exact(place.t)
        self.paths.button(0 if place.path == "lerp" else 1).setChecked(True)
        ends = [f"{letter} is {name}" for letter, name in place.ends()]
        self.ends_label.set_text(" · ".join(ends) or "A and B are not set.")
        self.t_slider.setEnabled(place.a is not None and place.b is not None)
        self._say()

    def _can_undo(self, can: bool) -> None:
        self.undo_button.setEnabled(can)

    def _undo_named(self, text: str) -> None:
        self.undo_button.setToolTip(f"Undo the {text}" if text else "Nothing to undo")

    # ------------------------------------------------------------------------------------------------ the picture

    def _ask_decode(self) -> None:
        if not self.shown or self.place is None:
            return
        state = self.context.state
        self._decoder.want(Decode(run=state.run, step=state.step, z=self.place.z[None].astype(np.float32)))  # type: ignore[arg-type]

    def _on_decoded(self, query: Decode, answer: Decoded) -> None:
        if not self._current(query):
            return
        self.decoded = answer
        self.picture.set_pixels(answer.images[0])
        self._say()

    def _say(self) -> None:
        """The line under the picture."""
        if self._message:
            self.status.set_text(self._message, "bad")
            return
        parts = []
        if self.decoded is not None:
            parts.append(f"Decoded in {number(self.decoded.milliseconds, 1)} ms")
            if self.decoded.log_prior is not None:
                parts.append(f"log p(z) {number(float(self.decoded.log_prior[0]), 1, 'nat')}")
        place = self.place
        if place is not None:
            ends = [f"{name} is {letter}" for letter, name in place.ends()]
            if ends:
                parts += ends
            elif place.name:
                parts.append(place.name)
        self.status.set_text(" · ".join(parts))

    # ------------------------------------------------------------------------------------------------ images

    def accept_image(self, path: str) -> bool:
        if not self.able():
            return False
        state = self.context.state
        self.encode(Encode(run=state.run, step=state.step, path=path, label=Path(path).name))  # type: ignore[arg-type]
        return True

    def _choose_image(self) -> None:
        ask_which(self, "Encode images", IMAGE_FILTER, self._take_images, many=True)

    def _take_images(self, paths: list[str]) -> None:
        for path in paths:
            self.accept_image(path)

    def encode_probe(self, index: int) -> None:
        """Encode one of the held-out images."""
        state = self.context.state
        if self.reconstructed is None or not self.able():
            return
        image = self.reconstructed.originals[index]
        pixels = image[0] if image.shape[0] == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        self.probe_top.choose(index)
        self.encode(Encode(run=state.run, step=state.step, image=pixels, label=f"held-out image {index + 1}"))  # type: ignore[arg-type]

    def encode(self, query: Encode) -> None:
        """Encode one image after the other, in the order they came."""
        self._waiting_images.append(query)
        if len(self._waiting_images) == 1:
            self._next_image()

    def _next_image(self) -> None:
        query = self._waiting_images[0]
        self.context.bridge.ask("latent.image", query, partial(self._on_encoded, query), partial(self._on_not_encoded, query))

    def _image_done(self, query: Encode) -> None:
        if query in self._waiting_images:
            self._waiting_images.remove(query)
        if self._waiting_images:
            self._next_image()

    def _on_not_encoded(self, query: Encode, failure: QueryFailed) -> None:
        self._on_failure(failure)
        self._image_done(query)

    def _standing(self, z: np.ndarray, name: str) -> Place:
        """The place in the chosen run. One that was never opened here, or whose z has another length now, begins at `z`."""
        place = self.place
        if place is None or len(place.z) != len(z):
            place = self.places[self.context.state.run or ""] = Place(z=z, name=name)
        return place

    def _on_encoded(self, query: Encode, answer: Encoded) -> None:
        if query.run == self.context.state.run:
            self._encoded_query = query
            self._show_encoded(answer)
            mean, name = np.asarray(answer.mean, np.float32), answer.label or query.label
            place = self._standing(mean, name)
            if place.a is None:
                after = replace(place, z=mean, name=name, a=mean, a_name=name, t=0.0)
            elif place.b is None or place.t >= 0.5:
                after = replace(place, z=mean, name=name, b=mean, b_name=name, t=1.0)
            else:
                after = replace(place, z=mean, name=name, a=mean, a_name=name, t=0.0)
            self._move(after, f"encoding of {name}")
        self._image_done(query)

    def _on_encoded_again(self, query: Encode, answer: Encoded) -> None:
        if self._current(query):
            self._show_encoded(answer)

    def _show_encoded(self, answer: Encoded) -> None:
        self.encoded = answer
        self.original.set_image(to_qimage(answer.original))
        self.seen.set_pixels(answer.seen)
        self.rebuilt.set_pixels(answer.reconstruction)
        nats = f" · −ELBO {number(answer.nats, 1, 'nat')}" if answer.nats is not None else ""
        set_heading(self.image_heading, answer.label, nats)
        self.image_heading.setToolTip("−ELBO: a code built from this network needs at most so much for this image." if nats else "")
        self.image_notes.setVisible(bool(answer.notes))
        self.image_notes.set_text(" ".join(f"{note.rstrip('.')}." for note in answer.notes))
        self.image_heading.show()
        self.image_card.show()
        self._say()

    def _on_reconstructed(self, query: Reconstruct, answer: Reconstructed) -> None:
        if not self._current(query):
            return
        self.reconstructed = answer
        self.probe_top.set_pixels(answer.originals)
        self.probe_bottom.set_pixels(answer.reconstructions)
        self.probe_heading.show()
        self.probe_card.show()

    # ------------------------------------------------------------------------------------------------ from A to B

    def set_end(self, which: str) -> None:
        """Make the present z A or B."""
        place = self.place
        if place is None:
            return
        name = place.name or f"z at step {number(self.context.state.step or 0, 0)}"
        after = replace(place, a=place.z, a_name=name, t=0.0) if which == "a" else replace(place, b=place.z, b_name=name, t=1.0)
        self._move(after, f"choice of {which.upper()}")

    def set_t(self, t: float, session: str = "") -> None:
        """Go to the point t of the way, along the chosen path."""
        place = self.place
        if place is None or place.a is None or place.b is None:
            return
        z = on_the_way(place.a, place.b, t, place.path)
        self._move(replace(place, z=z, t=t, name=""), "walk from A to B", session)

    def _path_chosen(self, index: int) -> None:
        place = self.place
        if place is None:
            return
        path = ("lerp", "slerp")[index]
        after = replace(place, path=path)
        if place.a is not None and place.b is not None:
            after = replace(after, z=on_the_way(place.a, place.b, place.t, path), name="")
        self._new_session()
        self._move(after, f"choice of {path}")

    def take_step(self, path: str, index: int) -> None:
        """A picture of a strip was chosen: go to its z."""
        place = self.place
        if place is None or self.strips is None:
            return
        z = (self.strips.lerp_z if path == "lerp" else self.strips.slerp_z)[index]
        t = index / max(len(self.strips.lerp_z) - 1, 1)
        self._new_session()
        self._move(replace(place, z=np.asarray(z, np.float32), t=t, path=path, name=""), "step from A to B")

    def _ask_way(self) -> None:
        place, state = self.place, self.context.state
        if not self.shown or place is None:
            return
        if place.a is None or place.b is None:
            self.strips = None
            self.lerp.set_pixels(None)
            self.slerp.set_pixels(None)
            return
        self._way.want(Interpolate(run=state.run, step=state.step, a=place.a, b=place.b, count=STRIP))  # type: ignore[arg-type]

    def _on_interpolated(self, query: Interpolate, answer: Interpolated) -> None:
        place = self.place
        if not self._current(query) or place is None or place.a is not query.a or place.b is not query.b:
            return
        self.strips = answer
        for strip, images, log_prior in (
            (self.lerp, answer.lerp, answer.lerp_log_prior),
            (self.slerp, answer.slerp, answer.slerp_log_prior),
        ):
            count = len(images)
            tips = [f"t = {index / max(count - 1, 1):.2f}" for index in range(count)]
            if log_prior is not None:
                tips = [f"{tip} · log p(z) {number(float(value), 1, 'nat')}" for tip, value in zip(tips, log_prior, strict=True)]
            strip.set_pixels(images, tips)

    # ------------------------------------------------------------------------------------------------ prior samples and plane

    def show_way(self, index: int) -> None:
        self.way = index
        for place, way in enumerate(self.ways):
            way.setVisible(place == index)
        self.tabs.button(index).setChecked(True)
        if index == 1:
            self._ask_prior()
        elif index == 2:
            self._ask_grid()

    def draw_one(self) -> None:
        """Go to a z drawn from the prior."""
        state = self.context.state
        if not self.able():
            return
        self._one_seed += 1
        asked = SamplePrior(run=state.run, step=state.step, count=1, seed=self._one_seed)  # type: ignore[arg-type]
        self.context.bridge.ask("latent.sample", asked, partial(self._on_one, asked), self._on_failure)

    def _on_one(self, query: SamplePrior, answer: PriorSampled) -> None:
        if query.run != self.context.state.run:
            return
        self._new_session()
        z, name = np.asarray(answer.z[0], np.float32), f"prior sample, seed {query.seed}"
        self._move(replace(self._standing(z, name), z=z, name=name), "prior sample")

    def seed_value(self) -> int:
        return int(self.seed.text() or 0)

    def _next_seed(self) -> None:
        self.seed.setText(str(self.seed_value() + 1))

    def _ask_prior(self, *_: object) -> None:
        state = self.context.state
        if not self.shown or not self.able():
            return
        asked = SamplePrior(run=state.run, step=state.step, count=PRIOR_COUNT, seed=self.seed_value())  # type: ignore[arg-type]
        self.context.bridge.ask("latent.prior", asked, partial(self._on_prior, asked), self._on_failure)

    def _on_prior(self, query: SamplePrior, answer: PriorSampled) -> None:
        if not self._current(query):
            return
        self.prior = answer
        self.samples.set_pixels(answer.images, [f"sample {index + 1} of seed {query.seed}" for index in range(len(answer.images))])
        self.samples.choose(-1)
        self.prior_note.set_text(answer.note or "Drawn from p(z). Click one to go there.", "warning" if answer.note else "")

    def take_sample(self, index: int) -> None:
        """Go to the z of one of the prior samples."""
        if self.prior is None or self.place is None:
            return
        self._new_session()
        name = f"prior sample {index + 1}, seed {self.seed_value()}"
        self._move(replace(self.place, z=np.asarray(self.prior.z[index], np.float32), name=name), "prior sample")

    def _axis_chosen(self, _index: int) -> None:
        self._axes_chosen = True
        self._ask_grid()

    def _name_axes(self) -> None:
        chosen = [box.currentData() if self._axes_chosen else None for box in (self.axis_x, self.axis_y)]
        for number_of, box in enumerate((self.axis_x, self.axis_y)):
            box.clear()
            for slider, dim in zip(self.sliders, self.rank, strict=True):
                box.addItem(f"{slider.label}  {slider.note}".strip(), dim)
            known = chosen[number_of]
            box.setCurrentIndex(self.rank.index(known) if known in self.rank else min(number_of, len(self.rank) - 1))

    def _ask_grid(self, *_: object) -> None:
        place, state = self.place, self.context.state
        if not self.shown or place is None or self.described is None or self.way != 2 or not self.rank or not self.able():
            return
        x, y = int(self.axis_x.currentData()), int(self.axis_y.currentData())
        self._plane.want(DecodeGrid(run=state.run, step=state.step, z=place.z, x=x, y=y, span=SPAN, count=GRID))  # type: ignore[arg-type]

    def _on_grid(self, query: DecodeGrid, answer: GridDecoded) -> None:
        if not self._current(query):
            return
        self._grid_at = (query.z, query.x, query.y)
        walk = np.linspace(-SPAN, SPAN, answer.count)
        names = {dim: slider.label for slider, dim in zip(self.sliders, self.rank, strict=True)}
        x, y = names.get(query.x, "x"), names.get(query.y, "y")
        tips = [
            f"{x} {number(walk[column], 2, 'σ')} · {y} {number(walk[answer.count - 1 - row], 2, 'σ')}"
            for row in range(answer.count)
            for column in range(answer.count)
        ]
        self.plane.set_pixels(answer.images, tips)
        at = []
        for dim in (query.x, query.y):
            zero, one = self._units(dim)
            at.append(int(np.argmin(np.abs(walk - (float(query.z[dim]) - zero) / one))))
        self.plane.choose((answer.count - 1 - at[1]) * answer.count + at[0])

    def cell_z(self, index: int) -> np.ndarray | None:
        """The z of a picture of the plane."""
        if self._grid_at is None:
            return None
        z, x, y = self._grid_at
        walk = np.linspace(-SPAN, SPAN, GRID)
        z = z.copy()
        for dim, value in ((y, walk[GRID - 1 - index // GRID]), (x, walk[index % GRID])):
            zero, one = self._units(dim)
            z[dim] = zero + one * value
        return z

    def take_cell(self, index: int) -> None:
        z = self.cell_z(index)
        if z is None or self.place is None:
            return
        self._new_session()
        self._move(replace(self.place, z=z, name=""), "choice on the grid")

    # ------------------------------------------------------------------------------------------------ out of the window

    def recipe(self) -> dict[str, object]:
        """What an exported picture says about itself."""
        state, place = self.context.state, self.place
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama"}
        if info is not None:
            about |= {"run": info.name, "method": info.method, "data": info.data_name, "seed": str(info.seed), "config": info.config}
        if state.step is not None:
            about["step"] = str(state.step)
        if place is not None:
            about["z"] = [round(float(value), 6) for value in place.z]
        return about

    def image_of(self, what: str) -> QImage:
        """ "picture", "interpolation", "samples" or "grid" as an image of `scale_factor`; null when there is none."""
        if what == "picture":
            if self.decoded is None:
                return QImage()
            image = chw_to_qimage(self.decoded.images[0])
            return enlarged(image, max(1, 256 // max(image.width(), image.height())) * self.scale_factor)
        if what == "interpolation":
            return stacked([strip.picture(self._tile(strip)) for strip in (self.lerp, self.slerp)])
        strip = self.samples if what == "samples" else self.plane
        return strip.picture(self._tile(strip))

    def _tile(self, strip: ImageStrip) -> int | None:
        if not strip.images:
            return None
        own = strip.images[0].width()
        return own * max(1, 64 // own) * self.scale_factor

    def save_png(self, what: str, path: str) -> None:
        image = self.image_of(what)
        if image.isNull():
            self._report("Nothing to save yet: it has not been drawn.", "bad")
            return
        about = self.recipe()
        place = self.place
        if what == "interpolation" and place is not None and place.a is not None and place.b is not None:
            about |= {"a": place.a.tolist(), "b": place.b.tolist(), "a_name": place.a_name, "b_name": place.b_name}
        if what == "samples":
            about["prior_seed"] = str(self.seed_value())
        if what == "grid" and self._grid_at is not None:
            about |= {"grid_dimensions": list(self._grid_at[1:]), "grid_span": SPAN}
        self._write(path, png_bytes(image, about))

    def save_csv(self, path: str) -> None:
        """z, one line per dimension."""
        place, described = self.place, self.described
        if place is None or described is None:
            self._report("Nothing to save yet: there is no z.", "bad")
            return
        rows = []
        for rank, dim in enumerate(self.rank):
            zero, one = self._units(dim)
            kl = "" if described.kl is None else repr(float(described.kl[dim]))
            rows.append((rank + 1, dim, repr(float(place.z[dim])), repr((float(place.z[dim]) - zero) / one), kl))
        about = {key: value for key, value in self.recipe().items() if key != "z"}
        self._write(path, csv_text(about, ("rank", "dimension", "z", "sigmas", "kl_nat"), rows))

    def copy_picture(self) -> None:
        image = self.image_of("picture")
        if not image.isNull():
            copy_image(image)
            self._report("The picture is on the clipboard.")

    def _write(self, path: str, data: bytes | str) -> None:
        try:
            write_file(path, data)
        except OSError as error:
            self._report(f"“{Path(path).name}” could not be written: {error.strerror or error}. Choose another folder.", "bad")
        else:
            self._report(f"Saved as {Path(path).name}.")

    def _report(self, text: str, level: str = "") -> None:
        self.status.set_text(text, level)

    def _suggested(self, what: str) -> str:
        info = self.context.state.run_info
        return file_name(info.name if info else "latent", what, f"step-{self.context.state.step}")

    def _save_png_dialog(self, what: str) -> None:
        ask_where(self, "Save as PNG", self._suggested(what), "png", partial(self.save_png, what))

    def _save_csv_dialog(self) -> None:
        ask_where(self, "Save z as CSV", self._suggested("z"), "csv", self.save_csv)

    def _run_action(self, run: Any, _checked: bool = False) -> None:
        run()

    def _set_scale(self, factor: int, _checked: bool = False) -> None:
        self.scale_factor = factor

    def _restyle(self) -> None:
        self._colors = restyle(self, self.context.state.theme)
        for widget in (self.picture, self.original, self.seen, self.rebuilt, self.t_slider, *self.sliders):
            widget.set_colors(self._colors)
        for strip in (self.lerp, self.slerp, self.samples, self.plane, self.probe_top, self.probe_bottom):
            strip.set_colors(self._colors)
        for lines in (self.status, self.ends_label, self.prior_note, self.image_notes):
            lines.set_colors(self._colors)


class SquareView(ImageView):
    """A picture whose place is a square."""

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return width


def stacked(images: list[QImage], gap: int = 4) -> QImage:
    """Images under each other; null when none has pixels."""
    images = [image for image in images if not image.isNull()]
    if not images:
        return QImage()
    out = QImage(max(image.width() for image in images), sum(image.height() + gap for image in images) - gap, QImage.Format.Format_RGB32)
    out.fill(Qt.GlobalColor.black)
    painter = QPainter(out)
    top = 0
    for image in images:
        painter.drawImage(QRectF(0, top, image.width(), image.height()), image)
        top += image.height() + gap
    painter.end()
    return out
