"""Markov chains on a density in the plane, for learning and teaching how Langevin, MALA and HMC walk. No run is needed.

`film` has them run and says what is seen, `plots` draws it, `settings` and `figures_card` stand beside it.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QMenu, QPushButton, QScrollArea, QSlider, QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.panes.chains.figures_card import ChainFiguresCard, verdict
from app.panes.chains.film import ChainFilm
from app.panes.chains.plots import BandKey, ChainCanvas, ChainPlane, ChainTraces
from app.panes.chains.settings import ChainSettingsCard
from app.shell import theme
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.widgets.animation import OTHER_FILMS, FilmSpeed, film_bytes
from app.widgets.export import ask_where, copy_image, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS, Figure, figure_of
from app.widgets.parts import ShrinkingPages, TextLines, button, heading, muted
from engine.common.films import FRAME_MS, LAST_MS

FILM_FRAMES = 48  # of a saved film, at most
SPEEDS = {1: "slow", 2: "steady", 10: "fast", 100: "very fast"}  # steps of a tick


class ChainsPane(Pane):
    title = "Chains"
    order = 75
    about = "Langevin, MALA and HMC walk on a density in the plane: what is accepted, and whether to trust the chains."
    wants_run = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.film = ChainFilm(context.bridge, self)
        self.plane = ChainPlane()
        self.traces = (ChainTraces(0, "x"), ChainTraces(1, "y"))
        self.settings, self.figures = ChainSettingsCard(), ChainFiguresCard()
        self.status = TextLines(2, "What the chains are worth")
        self._failure, self._note = "", ("", "")
        self._ours = False
        self._build()
        self.settings.changed.connect(self._settings_changed)
        self.film.changed.connect(self.draw)
        self.film.failed.connect(self._failed)
        context.state.theme_changed.connect(self._restyle)
        self._restyle()
        self.draw()

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        pages, page = ShrinkingPages(), QWidget()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(pages)
        pages.addWidget(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        self.left = ChainCanvas(self.plane, self.traces)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addLayout(self._top())
        self.key = BandKey()
        column.addWidget(self.key)
        column.addWidget(self.left, 1)
        column.addLayout(self._bar())
        column.addWidget(self.status)
        columns.addLayout(column, 1)
        columns.addWidget(self._side())
        for chart in (self.plane, *self.traces):
            chart.saved_asked.connect(self._ask)

    def _top(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(heading("Chains on their density"))
        row.addStretch(1)
        export = QPushButton("Export")
        export.setProperty("kind", "link")
        export.setAccessibleName("Export")
        set_tip(export, "Copy or save what is seen as picture, or the steps as CSV. Files carry the settings.")
        menu = QMenu(export)
        menu.addAction("Copy picture").triggered.connect(self.copy_picture)
        menu.addAction("Save as PNG, SVG or PDF…").triggered.connect(partial(self._ask_action, "png"))
        menu.addAction("Save film as GIF, WebP or APNG…").triggered.connect(self._ask_film)
        menu.addAction("Save steps as CSV…").triggered.connect(partial(self._ask_action, "csv"))
        menu.addSeparator()
        self.film_speed = FilmSpeed(menu)
        export.setMenu(menu)
        row.addWidget(export)
        return row

    def _bar(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.play_button = button("Pause", self.film.play)
        self.play_button.setFixedWidth(64)
        self.step_button = button("+1", self.film.step, "One step further, then stay.")
        self.step_button.setAccessibleName("One step further")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Steps that are seen")
        set_tip(self.slider, "Wind back and forth through the chains.")
        self.slider.valueChanged.connect(self._wound)
        self.label = muted("", wrap=False)
        self.label.setFixedWidth(96)
        self.label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.speed = QComboBox()
        self.speed.setAccessibleName("Speed of the film")
        for steps, words in SPEEDS.items():
            self.speed.addItem(words, steps)
        self.speed.setCurrentIndex(self.speed.findData(self.film.speed))
        self.speed.activated.connect(self._speed_changed)
        for part in (self.play_button, self.step_button):
            row.addWidget(part)
        row.addWidget(self.slider, 1)
        row.addWidget(self.label)
        row.addWidget(self.speed)
        return row

    def _side(self) -> QWidget:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        column.addWidget(heading("How they walk"))
        column.addWidget(muted("Choose a density and a sampler; no run is needed."))
        column.addWidget(self.settings)
        column.addWidget(heading("What they are worth"))
        column.addWidget(self.figures)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFixedWidth(304)
        area.setAccessibleName("Settings and figures of the chains")
        return area

    # ------------------------------------------------------------------------------------------------ what is looked at

    def activate(self) -> None:
        self.film.show()
        self.draw()

    def deactivate(self) -> None:
        self.film.hide()

    def closeEvent(self, event: Any) -> None:
        self.film.close()
        super().closeEvent(event)

    def _settings_changed(self) -> None:
        self._failure, self._note = "", ("", "")
        self.film.change(self.settings.value())

    def _wound(self, position: int) -> None:
        if not self._ours:
            self.film.wind(position)

    def _speed_changed(self, _index: int) -> None:
        self.film.speed = int(self.speed.currentData())

    def _failed(self, message: str) -> None:
        self._failure = message
        self.draw()

    def draw(self) -> None:
        film = self.film
        figures = film.figures_now()
        self.plane.set_density(film.began)
        self.left.arrange()
        self.plane.set_chains(film.seen)
        for trace in self.traces:
            trace.set_traces(film.seen, film.began)
        self.figures.show_figures(figures, film.began)
        self._ours = True
        self.slider.setRange(0, max(film.steps, 1))
        self.slider.setValue(film.position)
        self._ours = False
        at_the_end = bool(film.steps) and film.position >= film.steps
        self.play_button.setText("Pause" if film.playing else "Again" if at_the_end else "Play")
        self.step_button.setEnabled(not at_the_end)
        self.label.setText(f"{count(film.position)} of {count(film.steps)}" if film.steps else "")
        text, level = (self._failure, "bad") if self._failure else self._note if self._note[0] else verdict(figures, film.settings)
        self.status.set_text(text, level)

    def _restyle(self) -> None:
        colors = theme.colors(self.context.state.theme)
        for part in (self.plane, *self.traces, self.key, self.settings, self.status):
            part.set_colors(colors)

    # ------------------------------------------------------------------------------------------------ out of the window

    def about_file(self) -> dict[str, object]:
        """What an exported file says about itself."""
        figures = self.film.figures_now()
        told: dict[str, object] = {"Software": "Priorama", **asdict(self.film.settings), "step": self.film.position}
        if figures is None:
            return told
        return told | {name: repr(value) if isinstance(value, float) else str(value) for name, value in asdict(figures).items()}

    def figure(self) -> Figure:
        """Density and traces as they stand."""
        return figure_of(self.left, theme.colors(self.context.state.theme).background)

    def copy_picture(self, _checked: bool = False) -> None:
        copy_image(self.figure().image())
        self._say("The picture is on the clipboard.")

    def save(self, path: str) -> None:
        """As a table where the name ends in .csv, else as a picture."""
        if path.lower().endswith(".csv"):
            columns, rows = self.plane.table()
            self._say(*save_file(path, csv_text(self.about_file(), columns, rows)))
        else:
            self._say(*save_file(path, self.figure().contents(path, self.about_file())))

    def save_film(self, path: str) -> None:
        """The chains from their starts to the step that is seen, as they stand in the window."""
        film, end, played = self.film, self.film.position, self.film.playing
        if not end:
            self._say("Nothing to save yet: no step has been taken.", "bad")
            return
        frames = []
        for position in np.unique(np.linspace(0, end, FILM_FRAMES).astype(int)).tolist():
            film.wind(position)
            frames.append(self.left.grab().toImage())
        film.wind(end)
        if played:
            film.play()
        speed = self.film_speed.factor
        self._say(*save_file(path, film_bytes(frames, path, self.about_file(), 1, FRAME_MS / speed, LAST_MS / speed)))

    def _ask_film(self, _checked: bool = False) -> None:
        settings = self.film.settings
        suggested = file_name("chains", settings.target, settings.sampler, f"step-{self.film.position}")
        ask_where(self, "Save the film", suggested, "gif", self.save_film, OTHER_FILMS)

    def _say(self, text: str, level: str = "") -> None:
        self._note = (text, level)
        self.draw()

    def _ask_action(self, kind: str, _checked: bool = False) -> None:
        self._ask(kind)

    def _ask(self, kind: str) -> None:
        settings = self.film.settings
        suggested = file_name("chains", settings.target, settings.sampler, f"step-{self.film.position}")
        ask_where(self, f"Save the chains as {kind.upper()}", suggested, kind, self.save, DRAWINGS if kind == "png" else ())
