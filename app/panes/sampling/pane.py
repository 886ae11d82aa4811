"""Watch samples arrive, symbol by symbol or step by step; ask what else could have stood at a place; let another choice grow into a branch.

The pane only puts its parts together: `controller` asks the engine for samples, `symbol_controller` for what could stand at a place,
`completion_controller` has a picture read; `film` says which state is seen, `samples_view` draws it, `export` takes it out of the window.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.sampling.branch_tree import BranchTree
from app.panes.sampling.completion_card import CompletionCard
from app.panes.sampling.completion_controller import CompletionController
from app.panes.sampling.controller import SamplingController
from app.panes.sampling.energy_trace import EnergyTrace
from app.panes.sampling.export import SamplingExports
from app.panes.sampling.film_bar import FilmBar
from app.panes.sampling.rollout import RolloutCard, RolloutController
from app.panes.sampling.sample_tree import SampleNode
from app.panes.sampling.samples_view import SamplesView
from app.panes.sampling.settings_card import SamplingSettingsCard
from app.panes.sampling.symbol_card import SymbolCard
from app.panes.sampling.symbol_controller import SymbolController
from app.shell import theme
from app.shell.plain_text import set_tip
from app.shell.run_pane import RunPane
from app.widgets.parts import TextLines, button, heading
from engine.messages import SymbolDistributed

PAGES = ("Distribution", "Branches", "Complete", "Film")
FILM_PAGE = 3


class SamplingPane(RunPane):
    title = "Sampling"
    order = 60
    needs = ("sample",)
    invites = "Choose a run at the left, or train a model of p(x): its samples grow here symbol by symbol."
    refused = "{title} draws no samples", "Choose a run of a generative model, such as a PixelCNN or a VAE."
    about = "Watch samples arrive; choose another value anywhere and let it grow; complete your own image."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.controller = SamplingController(context, lambda: self.shown and self.able(), self)
        self.film = self.controller.film
        self.symbol = SymbolController(self.controller, self)
        self.view = SamplesView()
        self.settings_card, self.symbol_card, self.branches = SamplingSettingsCard(), SymbolCard(), BranchTree()
        self.completion = CompletionCard()
        self.completing = CompletionController(self.controller, self.completion, self)
        self.rollout_card = RolloutCard()
        self.rollout = RolloutController(context, self._rolls_out, self)
        self.exports = SamplingExports(self.controller, self.view, self.rollout_card, self)
        self.bar, self.trace = FilmBar(), EnergyTrace()
        self.status = TextLines(3, "What is being grown")
        self._build()
        self._connect()
        self._restyle()
        self._show_settings()
        self._show_samples()
        self.check_empty()

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        page = QWidget()
        self.hold(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        left, side = QVBoxLayout(), QVBoxLayout()
        left.setSpacing(8)
        side.setSpacing(8)
        side.setContentsMargins(0, 0, 0, 0)
        columns.addLayout(left, 1)
        self.left, self.side = left, side
        holder = QWidget()
        holder.setLayout(side)
        holder.setFixedWidth(296)
        columns.addWidget(holder)
        self._build_left(left)
        self._build_settings(side)
        self._build_pages(side)

    def _build_left(self, left: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(heading("Samples"))
        row.addStretch(1)
        row.addWidget(self.view.legend)
        row.addWidget(self.view.bits_box)
        export_button = QPushButton("Export")
        export_button.setProperty("kind", "link")
        export_button.setAccessibleName("Export")
        set_tip(export_button, "Copy or save the samples as PNG, their growth as a film, or text. Files carry run, step and settings.")
        export_button.setMenu(self.exports)
        row.addWidget(export_button)
        left.addLayout(row)
        left.addWidget(self.view, 1)
        left.addWidget(self.bar)
        left.addWidget(self.status)

    def _build_settings(self, side: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.addWidget(heading("How it is drawn"))
        row.addStretch(1)
        tip = "Grow the same samples from their beginning, with the settings below."
        draw_button = button("Draw anew", self.controller.draw_from_start, tip)
        draw_button.setProperty("kind", "link")
        row.addWidget(draw_button)
        side.addLayout(row)
        side.addWidget(self.settings_card)

    def _build_pages(self, side: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        self.tabs = QButtonGroup(self)
        self.tabs.setExclusive(True)
        for index, name in enumerate(PAGES):
            tab = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            self.tabs.addButton(tab, index)
            row.addWidget(tab)
        row.addStretch(1)
        side.addSpacing(4)
        self.tab_row = QWidget()
        self.tab_row.setLayout(row)
        side.addWidget(self.tab_row)
        self.pages = QStackedWidget()
        for page in (self.symbol_card, self.branches, self.completion, self.rollout_card):
            self.pages.addWidget(page)
        side.addWidget(self.pages, 1)
        side.addWidget(self.trace)
        side.addStretch(0)
        self.show_page(0)

    def _connect(self) -> None:
        state, controller = self.context.state, self.controller
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self.check_empty)
        state.methods_changed.connect(self._step_changed)
        state.methods_changed.connect(self._show_all)
        state.theme_changed.connect(self._restyle)
        controller.node_left.connect(self._clear_symbol)
        controller.node_changed.connect(self._show_all)
        controller.began.connect(self._began)
        controller.progressed.connect(self._show_samples)
        controller.job_changed.connect(self._show_film)
        controller.refreshed.connect(self.completing.refresh)
        controller.ended.connect(self._ended)
        self.bar.play_asked.connect(controller.play)
        self.bar.step_asked.connect(controller.step)
        self.bar.wound.connect(controller.wind)
        self.bar.stop_asked.connect(controller.stop_here)
        self.view.bits_box.toggled.connect(self._show_samples)
        self.view.canvas.picked.connect(self._cell_picked)
        self.view.text.picked.connect(self.symbol.look_at)
        self.settings_card.changed.connect(self._settings_changed)
        self.tabs.idClicked.connect(self.show_page)
        self.symbol.moved.connect(self._symbol_moved)
        self.symbol.changed.connect(self._show_symbol)
        self.symbol.failed.connect(self._say_failure)
        self.symbol_card.regrow_asked.connect(self.symbol.regrow)
        self.symbol_card.channel_asked.connect(self.symbol.choose_channel)
        self.branches.node_chosen.connect(controller.choose)
        self.completing.taken.connect(lambda: self.show_page(2))
        self.completing.failed.connect(self._say_failure)
        self.rollout.changed.connect(self._show_rollout)
        self.rollout.failed.connect(self._say_failure)
        self.rollout_card.asked.connect(self.rollout.ask)
        self.exports.reported.connect(self.status.set_text)

    # ------------------------------------------------------------------------------------------------ which run, which step

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.controller.refresh()
        self.rollout.refresh()

    def deactivate(self) -> None:
        self.controller.hide()
        self.rollout.stop()
        self.rollout_card.stop()
        self.shown = False

    def closeEvent(self, event: Any) -> None:
        self.deactivate()
        self._forget()
        super().closeEvent(event)

    def _forget(self) -> None:
        self.symbol.forget()
        self.completing.forget()

    def _run_changed(self) -> None:
        self.controller.run_changed()
        self._forget()
        self._clear_symbol()
        self.completing.clear()
        self.rollout.clear()
        self._show_all()
        self.check_empty()

    def _step_changed(self) -> None:
        self.check_empty()
        self.controller.step_changed()
        self.rollout.refresh()
        self._show_status()

    def accept_image(self, path: str) -> bool:
        if not self.able() or self.is_text() or not self.controller.draws_symbols():
            return False
        self.completing.take_file(path)
        return True

    # ------------------------------------------------------------------------------------------------ what is seen

    @property
    def node(self) -> SampleNode | None:
        """The samples that are looked at."""
        return self.controller.node

    @property
    def job(self) -> str | None:
        """The draw under way."""
        return self.controller.job

    @property
    def answer(self) -> SymbolDistributed | None:
        """The distribution that is shown."""
        return self.symbol.answer

    def is_text(self) -> bool:
        return self.controller.is_text()

    def show_page(self, index: int) -> None:
        takes_room = QSizePolicy.Policy.Preferred if index == FILM_PAGE else QSizePolicy.Policy.Ignored
        self.rollout_card.setSizePolicy(QSizePolicy.Policy.Preferred, takes_room)  # the other pages are lower
        self.pages.setCurrentIndex(index)
        self.tabs.button(index).setChecked(True)
        self.rollout.refresh()

    def _rolls_out(self) -> bool:
        """Whether the film of next frames is looked at."""
        return self.shown and self.able() and self.rollout.can() and self.pages.currentIndex() == FILM_PAGE

    def _show_rollout(self) -> None:
        self.rollout_card.show_film(self.rollout.film, self.rollout.wish)

    def _show_all(self) -> None:
        self._show_settings()
        branches = self.branches.show_samples(self.controller.samples)
        self.tabs.button(1).setText(f"BRANCHES · {branches}" if branches and not self.rollout.can() else "BRANCHES")
        self._show_samples()
        self._show_symbol()

    def _show_settings(self) -> None:
        node = self.node
        one_row = node is not None and node.kind == "branch"
        began = None if node is None else node.began
        symbols = self.controller.draws_symbols()
        self.settings_card.show_settings(
            self.controller.samples.settings,
            began,
            text=self.is_text(),
            one_row=one_row,
            symbols=symbols,
            fields=self.controller.sampler_fields(),
            guided=self.controller.guided(),
        )
        films = self.rollout.can()
        self.tabs.button(FILM_PAGE).setVisible(films)
        self.tab_row.layout().setSpacing(8 if films else 12)  # type: ignore[union-attr]
        if not films and self.pages.currentIndex() == FILM_PAGE:
            self.show_page(0)
        self._place(beside=not symbols)

    def _place(self, *, beside: bool) -> None:
        """No pixel has a distribution of its own: film and status stand beside the samples then, which have the whole height."""
        self.tab_row.setVisible(not beside)
        self.pages.setVisible(not beside)
        if beside:
            self.show_page(0)
        if beside == (self.side.indexOf(self.bar) >= 0):
            return
        for part in (self.bar, self.status):
            self.left.removeWidget(part)
            self.side.removeWidget(part)
            if beside:
                self.side.insertWidget(self.side.count() - 1, part)
            else:
                self.left.addWidget(part)
        self.side.setStretch(self.side.count() - 1, int(beside))

    def _show_samples(self, *_: object) -> None:
        drawing = self.node is not None and self.node is self.controller.drawing
        self.view.show_samples(self.film, expect_text=self.is_text(), symbols=self.controller.draws_symbols(), drawing=drawing)
        self.exports.enable(text=self.node is not None and self.view.shows_text(self.node, False))
        self._show_film()
        self._show_status()

    def _show_film(self) -> None:
        self.bar.show_film(self.film, drawing=self.job is not None, before=self.controller.shown_before() is not None)
        self.trace.show_node(self.node, self.film.position)

    def _show_status(self) -> None:
        message = self.controller.message
        self.status.set_text(message or self.controller.status(), "bad" if message else "")

    def _say_failure(self, message: str) -> None:
        self.controller.message = message
        self._show_status()

    def _show_symbol(self) -> None:
        self.symbol_card.show_place(self.node, self.symbol.at, self.symbol.answer, symbols=self.controller.draws_symbols())

    def _settings_changed(self, gesture: str) -> None:
        self.controller.change(self.settings_card.value(), gesture)

    def _began(self) -> None:
        self._show_settings()
        self._show_samples()
        self._show_symbol()

    def _ended(self, well: bool) -> None:
        if well and self.symbol.at is not None:
            self.symbol.ask()
        self._show_samples()

    # ------------------------------------------------------------------------------------------------ one symbol

    def _cell_picked(self, shown: int, cell: int) -> None:
        node = self.node
        if node is not None:
            channel = self.symbol_card.channel if node.depth > 1 else 0
            self.symbol.look_at(node.display_order()[shown], cell * node.depth + channel)

    def _symbol_moved(self) -> None:
        self.view.mark(self.node, self.symbol.at)
        self.show_page(0)

    def _clear_symbol(self) -> None:
        self.symbol.clear()
        self.view.mark(None, None)

    def _restyle(self) -> None:
        colors = theme.colors(self.context.state.theme)
        for widget in (self.view, self.trace, self.settings_card, self.symbol_card, self.completion, self.rollout_card, self.status):
            widget.set_colors(colors)
