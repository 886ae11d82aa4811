"""Watch samples arrive symbol by symbol, ask what else could have stood at a place, and let another choice grow into a branch.

The pane keeps what was grown (`app.panes.sampling.sample_tree`); every symbol comes from the engine, with noise that belongs to the sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QImage, QUndoCommand
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QStackedWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.panes import Context
from app.panes.sampling.animation import gif_bytes
from app.panes.sampling.completion_card import COMPLETIONS, CompletionCard
from app.panes.sampling.draw_settings import DrawSettings
from app.panes.sampling.film_bar import FilmBar
from app.panes.sampling.sample_canvas import SampleCanvas, Sheet
from app.panes.sampling.sample_tree import Node, Settings
from app.panes.sampling.symbol_card import SymbolCard
from app.panes.sampling.text_canvas import TextCanvas, Texts
from app.shell.formatting import count, number
from app.shell.latest_query import LatestQuery
from app.shell.run_pane import RunPane
from app.widgets.export import IMAGE_FILTER, ask_where, ask_which, copy_image, csv_text, file_name, png_bytes, write_file
from app.widgets.heat import HeatLegend
from app.widgets.parts import Card, TextLines, button, heading, muted, restyle
from engine.messages import (
    DrawSamples,
    Ended,
    PictureRef,
    QueryFailed,
    ReadSymbols,
    RunInfo,
    SamplingBegan,
    StopJob,
    SymbolDistributed,
    SymbolDistribution,
    SymbolsDrawn,
    SymbolsRead,
)

SETTLE_MS = 60  # a moving slider starts a new growth at most so often
FILM_MS = 33
FILM_SECONDS = 4.0  # of a whole film
GIF_FRAMES = 48
GIF_SIDE = 320  # px, about
MERGE_SECONDS = 1.0
ROOTS_KEPT = 24
PLURALS = {"pixels": "pixels/s", "codes": "tokens/s", "text": "tokens/s", "whole": "pixels/s"}


@dataclass(eq=False)
class Room:
    """What was grown from one run."""

    settings: Settings = field(default_factory=Settings)
    roots: list[Node] = field(default_factory=list)
    node: Node | None = None
    rates: dict[tuple[bool, int], float] = field(default_factory=dict)  # (with cache, samples at once) -> cells per second


class Turn(QUndoCommand):
    """From one node with its settings to another, or to other settings; the moves of one drag become one."""

    def __init__(self, pane: SamplingPane, run: str, before: tuple[Node, Settings], after: tuple[Node, Settings], text: str, session: str):
        super().__init__(text)
        self.pane, self.run, self.before, self.after, self.session = pane, run, before, after, session

    def id(self) -> int:
        return 5151 if self.session else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, Turn) or other.session != self.session or other.run != self.run or other.pane is not self.pane:
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        self._go(self.after)

    def undo(self) -> None:
        self._go(self.before)

    def _go(self, to: tuple[Node, Settings]) -> None:
        if self.run not in self.pane.context.state.runs:
            self.setObsolete(True)
            return
        self.pane.context.state.set_run(self.run)
        self.pane.go(*to)


class SamplingPane(RunPane):
    title = "Sampling"
    order = 60
    needs = ("sample",)
    invites = "Choose a run at the left, or train a model of p(x): its samples grow here symbol by symbol."
    refused = "{title} draws no samples", "Choose a run of a generative model, such as a PixelCNN or a VAE."
    about = "Watch samples arrive; choose another value anywhere and let it grow; complete your own image."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.rooms: dict[str, Room] = {}
        self.job: str | None = None
        self.growing: Node | None = None
        self._fresh = False
        self._goes_on = False  # once the pane is seen again
        self.film = 0
        self.at: tuple[int, int] | None = None  # row of the node, place
        self.answer: SymbolDistributed | None = None
        self.picture: PictureRef | None = None
        self.scale_factor = 4  # of exported pictures, in screen pixels per pixel
        self._message = ""
        self._session = 0
        self._moved_at = 0.0
        bridge = context.bridge
        self._symbol = LatestQuery(bridge, "sampling.symbol", self._on_distribution, self._on_failure)
        self._settle, self._player = QTimer(self), QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._start_over)
        self._player.setInterval(FILM_MS)
        self._player.timeout.connect(self._next_frame)
        self._build()
        bridge.on(SamplingBegan, self._on_began)
        bridge.on(SymbolsDrawn, self._on_grown)
        bridge.on(Ended, self._on_ended)
        state = context.state
        state.run_changed.connect(self._run_changed)
        state.step_changed.connect(self._step_changed)
        state.runs_changed.connect(self.check_empty)
        state.methods_changed.connect(self._step_changed)
        state.theme_changed.connect(self._restyle)
        self._restyle()
        self._show_settings()
        self._show_node()
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
        self.samples_heading = heading("Samples")
        row.addWidget(self.samples_heading)
        row.addStretch(1)
        self.legend = HeatLegend("Surprise, from dark to bright", "bits")
        row.addWidget(self.legend)
        self.bits_box = QCheckBox("Bits")
        self.bits_box.setAccessibleName("Show the surprise in bits")
        self.bits_box.setToolTip("How much each symbol surprised the model: −log₂ p of what stands there, before any filter.")
        self.bits_box.toggled.connect(self._bits_toggled)
        row.addWidget(self.bits_box)
        self.export_button = QPushButton("Export")
        self.export_button.setProperty("kind", "link")
        self.export_button.setAccessibleName("Export")
        self.export_button.setToolTip("Copy or save the samples as PNG, their growth as GIF, or text. Files carry run, step and settings.")
        self.export_button.setMenu(self._export_menu())
        row.addWidget(self.export_button)
        left.addLayout(row)
        card = Card(12, 0)
        self.canvas = SampleCanvas("Samples; arrow keys move the chosen pixel")
        self.canvas.empty_text = "Samples appear here, one symbol after the other."
        self.canvas.picked.connect(self._cell_picked)
        self.text = TextCanvas("Texts; arrow keys move the chosen character")
        self.text.picked.connect(self._character_picked)
        self.sheets = QStackedWidget()
        self.sheets.addWidget(self.canvas)
        self.sheets.addWidget(self.text)
        card.inside.addWidget(self.sheets)
        left.addWidget(card, 1)
        self.bar = FilmBar()
        self.bar.played.connect(self.play)
        self.bar.stepped.connect(self.step)
        self.bar.wound.connect(self._film_moved)
        left.addWidget(self.bar)
        self.status = TextLines(2, "What is being grown")
        left.addWidget(self.status)

    def _build_settings(self, side: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.addWidget(heading("How it is drawn"))
        row.addStretch(1)
        self.grow_button = button("Draw anew", self._start_over, "Grow the same samples from their beginning, with the settings below.")
        self.grow_button.setProperty("kind", "link")
        row.addWidget(self.grow_button)
        side.addLayout(row)
        self.draws = DrawSettings()
        self.draws.moved.connect(self._settings_moved)
        self.draws.moves_begin.connect(self._new_session)
        side.addWidget(self.draws)

    def _build_pages(self, side: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(12)
        self.tabs = QButtonGroup(self)
        self.tabs.setExclusive(True)
        for index, name in enumerate(("Distribution", "Branches", "Complete")):
            tab = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            self.tabs.addButton(tab, index)
            row.addWidget(tab)
        row.addStretch(1)
        side.addSpacing(4)
        side.addLayout(row)
        self.place_card, branches, self.completion = SymbolCard(), Card(12, 8), CompletionCard()
        self.place_card.regrow_asked.connect(self.regrow)
        self.place_card.channel_asked.connect(self._channel_chosen)
        self._build_tree(branches.inside)
        self.completion.open_asked.connect(self._choose_image)
        self.completion.complete_asked.connect(self.complete)
        self.pages = QStackedWidget()
        for page in (self.place_card, branches, self.completion):
            self.pages.addWidget(page)
        side.addWidget(self.pages, 1)
        self.tabs.button(0).setChecked(True)
        self.tabs.idClicked.connect(self.show_page)

    def _build_tree(self, inside: QVBoxLayout) -> None:
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        self.tree.setAccessibleName("Draws and their branches")
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setIndentation(14)
        self.tree.itemClicked.connect(self._item_chosen)
        self.tree.itemActivated.connect(self._item_chosen)
        inside.addWidget(self.tree, 1)
        note = muted("Choose another value at a pixel and it grows here as a branch. Click one to go back to it.")
        note.setProperty("role", "small")
        inside.addWidget(note)

    def _export_menu(self) -> QMenu:
        menu = QMenu(self)
        self.exports: dict[str, QAction] = {}
        for name, text, run in (
            ("copy", "Copy samples", self.copy_picture),
            ("png", "Save samples as PNG…", partial(self._save_dialog, "png")),
            ("gif", "Save growth as GIF…", partial(self._save_dialog, "gif")),
            ("txt", "Save text…", partial(self._save_dialog, "txt")),
        ):
            self.exports[name] = menu.addAction(text)
            self.exports[name].triggered.connect(partial(self._run_action, run))
        menu.addSeparator()
        group = QActionGroup(menu)
        for factor in (1, 4, 8, 16):
            action = QAction(f"PNG size {factor}×", menu, checkable=True, checked=factor == self.scale_factor)  # type: ignore[call-overload]
            action.triggered.connect(partial(self._set_scale, factor))
            group.addAction(action)
            menu.addAction(action)
        return menu

    # ------------------------------------------------------------------------------------------------ what is looked at

    @property
    def room(self) -> Room:
        run = self.context.state.run or ""
        if run not in self.rooms:
            self.rooms[run] = Room(Settings(count=1) if self.is_text() else Settings())
        return self.rooms[run]

    @property
    def node(self) -> Node | None:
        return self.room.node

    def is_text(self) -> bool:
        method = self.context.state.method_info
        return method is not None and method.accepts == "text"

    def can(self, info: RunInfo) -> bool:
        method = self.context.state.methods.get(info.method)
        return super().can(info) and not (method is not None and method.sampling == "none")

    def activate(self) -> None:
        self.shown = True
        self.check_empty()
        self.refresh()

    def deactivate(self) -> None:
        self._goes_on = self.job is not None
        self.shown = False
        self._settle.stop()
        self._player.stop()
        self.stop()

    def closeEvent(self, event: Any) -> None:
        self.deactivate()
        self._forget()
        super().closeEvent(event)

    def _forget(self) -> None:
        self._symbol.forget()
        self.context.bridge.forget("sampling.read")

    def _run_changed(self) -> None:
        self.stop()
        self._settle.stop()
        self._player.stop()
        self._forget()
        self.at = self.answer = self.picture = None
        self.growing, self._goes_on, self._message = None, False, ""
        self.completion.show_read(None)
        for canvas in (self.canvas, self.text):
            canvas.set_mark(None)
        self.film = self.node.head if self.node is not None else 0
        self._show_settings()
        self._show_tree()
        self._show_node()
        self._show_distribution()
        self.check_empty()

    def _step_changed(self) -> None:
        self._message = ""
        self.check_empty()
        if self.context.state.cursor is not None:
            self.stop()  # a step that was chosen by hand is drawn at once; a live one when the present growth has ended
        self.refresh()
        self._say()

    def refresh(self) -> None:
        """Grow what is on screen at the step of the time cursor, if it is not there yet."""
        if not self.shown or not self.able() or self.job is not None:
            return
        node = self.node
        if node is None:
            self._show_settings()
            self.draw(self.room.settings)
        elif node.stale or node.step != self.context.state.step:
            self._grow(node)
        elif self._goes_on and not node.done:
            self._grow(node, fresh=False)
        self._goes_on = False
        read = self.completion.read
        if self.picture is not None and (read is None or read.step != self.context.state.step):
            self._ask_read()

    # ------------------------------------------------------------------------------------------------ growing

    def draw(self, settings: Settings) -> None:
        """Grow new samples as a root of the tree; one without branches is replaced."""
        room = self.room
        room.settings = settings
        former = room.node.family()[0] if room.node is not None else None
        node = Node("draw", settings, tuple(range(settings.count)))
        if former is not None and former.kind == "draw" and not former.children:
            room.roots.remove(former)
        self._plant(node)

    def _plant(self, root: Node) -> None:
        room = self.room
        room.roots = [*room.roots, root][-ROOTS_KEPT:]
        self._show(root)
        self._grow(root)

    def _show(self, node: Node) -> None:
        """Look at a node of the tree."""
        room = self.room
        self._player.stop()
        if room.node is not node:
            self.stop()
            room.node = node
            self.at = self.answer = None
            self.film = node.head
            for canvas in (self.canvas, self.text):
                canvas.set_mark(None)
        room.settings = node.settings
        self._show_settings()
        self._show_tree()
        self._show_node()
        self._show_distribution()

    def go(self, node: Node, settings: Settings) -> None:
        """Look at a node with given settings: what undo does."""
        root = node.family()[0]
        if root not in self.room.roots:
            self.room.roots.append(root)
        if node.settings != settings:
            node.resize(settings)
        self._show(node)
        if node.stale and self.shown:
            self._settle.start()

    def _grow(self, node: Node, *, fresh: bool = True, until: int | None = None) -> None:
        state = self.context.state
        if not self.shown or not self.able():
            return
        self._settle.stop()
        self._player.stop()
        self._message = ""
        fresh = fresh or node.stale or node.head == 0 or node.step != state.step
        s, rows = node.settings, list(node.rows)
        if fresh:
            given = node.given[rows] if node.given is not None else None
            start = node.start if given is not None else 0
        else:
            given, start = node.going_on(), node.head
        self.job = self.context.bridge.new_job("grow")
        self.growing, self._fresh = node, fresh
        self.context.bridge.send(
            DrawSamples(
                job=self.job,
                channel="sampling",
                run=state.run,  # type: ignore[arg-type]
                step=state.step,
                seed=s.seed,
                samples=tuple(rows),
                temperature=s.temperature,
                top_k=s.top_k,
                top_p=s.top_p,
                label=s.label,
                cached=s.cached,
                tokens=given,
                start=start,
                until=until,
                prompt=s.prompt if given is None else "",
                length=s.length if given is None else 0,
            )
        )
        self._show_film()

    def stop(self) -> None:
        """End the growth where it is; what is there stays."""
        if self.job is not None:
            self.context.bridge.send(StopJob(self.job))
            self.job = None
        self._show_film()

    def _start_over(self) -> None:
        node = self.node
        if node is None:
            self.refresh()
        else:
            self._grow(node)

    def _on_began(self, event: SamplingBegan) -> None:
        node = self.growing
        if event.job != self.job or node is None:
            return
        node.begin(event, self._fresh)
        if self._fresh:
            self.film = 0
        self.room.settings = node.settings
        self._show_settings()
        self._show_node()
        self._show_distribution()

    def _on_grown(self, event: SymbolsDrawn) -> None:
        node = self.growing
        if event.job != self.job or node is None:
            return
        follows = self.film >= node.head
        node.take(event)
        if event.rate > 0:
            self.room.rates[node.settings.cached, len(node.rows)] = event.rate
        if follows:
            self.film = node.head
        if node is self.node:
            self._show_node()

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job:
            return
        self.job = None
        node, self.growing = self.growing, None
        if event.outcome == "failed":
            self._message = event.message
        elif node is not None and node is self.node and self.at is not None:
            self._ask_symbol()
        self._show_node()
        if event.outcome == "ok" and node is not None and node.step != self.context.state.step:
            self.refresh()

    # ------------------------------------------------------------------------------------------------ settings

    def _show_settings(self) -> None:
        node = self.node
        one_row = node is not None and node.kind == "branch"
        self.draws.show_settings(self.room.settings, None if node is None else node.began, text=self.is_text(), one_row=one_row)

    def _new_session(self) -> None:
        self._session += 1

    def _settings_moved(self) -> None:
        now = monotonic()
        if now - self._moved_at > MERGE_SECONDS and not self.draws.held():
            self._new_session()
        self._moved_at = now
        self.change(self.draws.value(), str(self._session))

    def change(self, settings: Settings, session: str = "") -> None:
        """Grow with other settings: the same samples where the noise is the same, others where it is not."""
        node, run = self.node, self.context.state.run
        if node is None or run is None or settings == node.settings:
            return
        root = node.family()[0]
        target = node
        if any(getattr(settings, name) != getattr(node.settings, name) for name in ("seed", "count", "prompt", "length")):
            target = root
            if root.children and root.kind == "draw":
                target = Node("draw", settings, tuple(range(settings.count)))
        before, after = (node, node.settings), (target, settings)
        what = "change of how it is drawn"
        self.context.undo.push(Turn(self, run, before, after, what, session))

    # ------------------------------------------------------------------------------------------------ the film

    def play(self) -> None:
        """Pause what grows, go on with what was paused, or show the film of what is finished."""
        node = self.node
        if self.job is not None:
            self.stop()
        elif self._player.isActive():
            self._player.stop()
        elif node is None:
            self.refresh()
        elif self.film < node.head:
            self._player.start()
        elif not node.done:
            self._grow(node, fresh=False)
        elif not node.whole:
            self.set_film(0)
            self._player.start()
        else:
            self._grow(node)
        self._show_film()

    def step(self, cells: int) -> None:
        """Go on by so many cells, 0: to the end of the row."""
        node = self.node
        if node is None or node.began is None or node.whole:
            return
        self._player.stop()
        if self.job is not None:
            self.stop()
            self._show_film()
            return
        unit = node.depth if cells else node.depth * node.began.columns
        target = min((self.film // unit + 1) * unit, node.length)
        if target <= node.head:
            self.set_film(target)
        else:
            self.set_film(node.head)
            self._grow(node, fresh=False, until=target)

    def set_film(self, place: int) -> None:
        """Look at the samples as they were when so many symbols were there."""
        node = self.node
        if node is None:
            return
        self.film = min(max(place, 0), node.head)
        self._show_node()

    def _film_moved(self, value: int) -> None:
        self._player.stop()
        self.set_film(value)

    def _next_frame(self) -> None:
        node = self.node
        if node is None or not node.length:
            self._player.stop()
            return
        per_frame = max(1, round(node.length / node.depth / (FILM_SECONDS * 1000 / FILM_MS))) * node.depth
        self.set_film(self.film + per_frame)
        if self.film >= node.head:
            self._player.stop()
            if not node.done and self.job is None:
                self._grow(node, fresh=False)
            self._show_film()

    def _show_film(self) -> None:
        self.bar.show_film(self.node, self.film, growing=self.job is not None, playing=self._player.isActive())

    # ------------------------------------------------------------------------------------------------ what is drawn

    def _bits_toggled(self) -> None:
        self._show_node()

    def captions(self, node: Node) -> tuple[str, ...]:
        """Under each sample, in the order they are shown."""
        ranked = node.kind == "completion" and node.done
        out = []
        for place, row in enumerate(node.order()):
            parts = [f"{place + 1}. {node.letter(row)}" if ranked else node.letter(row)]
            if node.began is not None and node.began.classes and row in node.rows and len(node.began.labels) == len(node.rows):
                parts.append(node.began.classes[node.began.labels[node.rows.index(row)]])
            nats = node.nats(row)
            if nats is not None:
                parts.append(number(nats, 1, "nat"))
            out.append(" · ".join(parts))
        return tuple(out)

    def sheet(self, node: Node, film: int) -> Sheet | None:
        """The images as they were at a place of the film."""
        if node.images is None or node.began is None:
            return None
        order = node.order()
        names = tuple(node.letter(row) for row in order)
        if node.whole:
            return Sheet(node.images[order], captions=names, names=names)
        rows, columns = node.began.rows, node.began.columns
        shape = (node.count, rows, columns)
        hidden = ~node.there(film).reshape(shape)[order]
        made = Sheet(node.images[order], rows, columns, hidden, captions=self.captions(node), names=names)
        made.given = node.known().reshape(shape)[order]
        if self.bits_box.isChecked():
            made.bits, made.most = node.bits(film).reshape(shape)[order], self.legend.most
            made.hidden = hidden | np.isnan(made.bits)
        else:
            made.ghost = self._ghost(node, film, order)
        return made

    def _ghost(self, node: Node, film: int, order: list[int]) -> np.ndarray | None:
        """What stood there before shines through while it is grown anew; what was rewound does not."""
        if (
            node.ghost is None
            or node.images is None
            or node.ghost.shape != node.images.shape
            or node is not self.growing
            or film < node.head
        ):
            return None
        return node.ghost[order]

    def _show_node(self) -> None:
        node = self.node
        text = node is not None and node.began is not None and node.began.kind == "text"
        self.sheets.setCurrentWidget(self.text if text or (node is None and self.is_text()) else self.canvas)
        whole = node is not None and node.whole
        self.bits_box.setEnabled(not whole)
        with_bits = self.bits_box.isChecked() and not whole
        self.legend.setVisible(with_bits)
        if node is None or node.tokens is None:
            self.canvas.show_sheet(None)
            self.text.show_texts(None)
        else:
            if with_bits:
                bits = node.bits(node.length)
                finite = bits[np.isfinite(bits)]
                self.legend.set_most(max(1.0, float(finite.max())) if finite.size else 1.0)
            if text:
                places = np.minimum(node.places, self.film)
                bits = node.bits(self.film) if with_bits else None
                captions = self.captions(node) if node.count > 1 or node.done else ()
                assert node.began is not None
                self.text.show_texts(Texts(node.tokens, places, node.began.values, bits, self.legend.most, node.known(), captions))
            else:
                self.canvas.show_sheet(self.sheet(node, self.film))
        for name, action in self.exports.items():
            action.setEnabled(node is not None and (name == "txt") == text and not (name == "gif" and whole))
        self._show_film()
        self._say()

    def _say(self) -> None:
        """The lines under the film."""
        if self._message:
            self.status.set_text(self._message, "bad")
            return
        node, room = self.node, self.room
        if node is None or node.began is None:
            self.status.set_text("")
            return
        parts = [" › ".join(one.title() for one in node.family())]
        unit = PLURALS[node.began.kind]
        cached, at_once = node.settings.cached, len(node.rows)
        rate = room.rates.get((cached, at_once))
        if rate:
            how = "" if node.whole else " with cache" if cached else " without cache"
            parts.append(f"{count(round(rate)) if rate >= 10 else number(rate, 1)} {unit}{how}")
            fast, slow = (room.rates.get((with_cache, at_once)) for with_cache in (True, False))
            if fast and slow:
                parts.append(f"the cache makes it {number(fast / slow, 1)}× as fast")
        if node.note:
            parts.append(node.note)
        if node.step != self.context.state.step and self.job is None:
            parts.append(f"grown at step {count(node.step or 0)}")
        self.status.set_text(" · ".join(parts))

    # ------------------------------------------------------------------------------------------------ one place

    def show_page(self, index: int) -> None:
        self.pages.setCurrentIndex(index)
        self.tabs.button(index).setChecked(True)

    def _cell_picked(self, shown: int, cell: int) -> None:
        node = self.node
        if node is None:
            return
        channel = self.place_card.channel if node.depth > 1 else 0
        self.look_at(node.order()[shown], cell * node.depth + channel)

    def _character_picked(self, sample: int, place: int) -> None:
        self.look_at(sample, place)

    def _channel_chosen(self, channel: int) -> None:
        node = self.node
        if self.at is not None and node is not None and channel < node.depth:
            self.look_at(self.at[0], self.at[1] // node.depth * node.depth + channel)

    def look_at(self, row: int, place: int) -> None:
        """Show what could stand at a place of a sample."""
        node = self.node
        if node is None or node.whole or not 0 <= place < node.length:
            return
        self.at, self.answer = (row, place), None
        self.show_page(0)
        shown = node.order().index(row)
        self.canvas.set_mark((shown, place // node.depth))
        self.text.set_mark((row, place) if place < node.places[row] else None)
        self._ask_symbol()
        self._show_distribution()

    def _ask_symbol(self) -> None:
        node, state = self.node, self.context.state
        if self.at is None or node is None or node.tokens is None or node.began is None or not self.shown:
            return
        row, place = self.at
        if place > node.places[row] or row >= node.count:
            return
        label = self._label_of(node, row)
        s = node.settings
        self._symbol.want(
            SymbolDistribution(
                run=state.run,  # type: ignore[arg-type]
                step=node.step,
                tokens=node.tokens[row, :place].copy(),
                temperature=s.temperature,
                top_k=s.top_k,
                top_p=s.top_p,
                label=label,
            )
        )

    def _label_of(self, node: Node, row: int) -> int | None:
        """The class that a sample was drawn from."""
        for one in reversed(node.family()):
            if one.began is not None and row in one.rows and len(one.began.labels) == len(one.rows):
                return one.began.labels[one.rows.index(row)]
        return node.settings.label

    def _on_distribution(self, query: SymbolDistribution, answer: SymbolDistributed) -> None:
        node = self.node
        if node is None or self.at is None or query.run != self.context.state.run or query.step != node.step or node.tokens is None:
            return
        row, place = self.at
        if not np.array_equal(query.tokens, node.tokens[row, :place]):
            return  # another place, or the samples are growing anew
        self.answer = answer
        self._show_distribution()

    def _show_distribution(self) -> None:
        self.place_card.show_place(self.node, self.at, self.answer)

    def regrow(self, symbol: int) -> None:
        """Put another symbol at the chosen place, and let what follows grow as a branch."""
        node, run = self.node, self.context.state.run
        if node is None or run is None or self.at is None or self.answer is None or not 0 <= symbol < len(self.answer.raw):
            return
        row, place = self.at
        if place > node.places[row] or node.tokens is None:
            return
        branch = node.branch(row, place, symbol)
        node.children.append(branch)
        self.context.undo.push(Turn(self, run, (node, node.settings), (branch, branch.settings), f"branch {branch.name}", ""))
        self.at = (row, place)
        self.canvas.set_mark((branch.order().index(row), place // branch.depth))
        self._grow(branch)

    # ------------------------------------------------------------------------------------------------ the tree

    def _show_tree(self) -> None:
        room = self.room
        self.tree.clear()
        chosen: QTreeWidgetItem | None = None

        def add(node: Node, parent: QTreeWidget | QTreeWidgetItem) -> None:
            nonlocal chosen
            item = QTreeWidgetItem(parent, [node.title()])
            item.setData(0, Qt.ItemDataRole.UserRole, node)
            step = "" if node.step is None else f"\nstep {count(node.step)}"
            item.setToolTip(0, f"{node.title()}\n{node.settings.words()}{step}")
            if node is room.node:
                chosen = item
            for child in node.children:
                add(child, item)

        for root in room.roots:
            add(root, self.tree)
        self.tree.expandAll()
        if chosen is not None:
            self.tree.setCurrentItem(chosen)
        branches = sum(root.descendants() for root in room.roots)
        self.tabs.button(1).setText(f"BRANCHES · {branches}" if branches else "BRANCHES")

    def _item_chosen(self, item: QTreeWidgetItem, _column: int = 0) -> None:
        node, run, before = item.data(0, Qt.ItemDataRole.UserRole), self.context.state.run, self.node
        if node is not None and run is not None and before is not None and node is not before:
            self.context.undo.push(Turn(self, run, (before, before.settings), (node, node.settings), f"choice of {node.title()}", ""))

    # ------------------------------------------------------------------------------------------------ completing an image

    def accept_image(self, path: str) -> bool:
        node = self.node
        if not self.able() or self.is_text() or (node is not None and node.whole):
            return False
        self.take(PictureRef(Path(path).name, path=path))
        return True

    def take(self, picture: PictureRef) -> None:
        """An image to be completed."""
        self.picture = picture
        self.completion.show_read(None)
        self.show_page(2)
        self._ask_read()

    def _ask_read(self) -> None:
        state = self.context.state
        if self.picture is None or not self.able():
            return
        asked = ReadSymbols(run=state.run, step=state.step, picture=self.picture, label=self.room.settings.label)  # type: ignore[arg-type]
        self.context.bridge.ask("sampling.read", asked, partial(self._on_read, asked), self._on_failure)

    def _on_read(self, query: ReadSymbols, answer: SymbolsRead) -> None:
        if query.run == self.context.state.run and self.picture is query.picture:
            self.completion.show_read(answer, keep=self.completion.read is not None)

    def _choose_image(self) -> None:
        ask_which(self, "Complete an image", IMAGE_FILTER, self._take_first)

    def _take_first(self, paths: list[str]) -> None:
        if paths:
            self.take(PictureRef(Path(paths[0]).name, path=paths[0]))

    def complete(self) -> None:
        """Grow what is missing, several times; finished ones are ranked by log-likelihood."""
        given, read = self.completion.given(), self.completion.read
        run, before = self.context.state.run, self.node
        if given is None or read is None or run is None:
            return
        settings = replace(self.room.settings, count=COMPLETIONS)
        node = Node(
            "completion",
            settings,
            tuple(range(COMPLETIONS)),
            f"{read.label} · {self.completion.part()}",
            given=np.repeat(given[None], COMPLETIONS, axis=0),
            start=int(np.argmin(given >= 0)),
        )
        if before is None:
            self._plant(node)
            return
        self.context.undo.push(Turn(self, run, (before, before.settings), (node, settings), f"completion of {read.label}", ""))
        self._grow(node)

    def _on_failure(self, failure: QueryFailed) -> None:
        self._message = failure.message
        self._say()

    # ------------------------------------------------------------------------------------------------ out of the window

    def recipe(self) -> dict[str, object]:
        """What an exported file says about itself."""
        state, node = self.context.state, self.node
        info = state.run_info
        about: dict[str, object] = {"Software": "Priorama"}
        if info is not None:
            about |= {"run": info.name, "method": info.method, "data": info.data_name, "seed": str(info.seed), "config": info.config}
        if node is not None:
            s = node.settings
            about |= {"step": str(node.step), "sample_seed": s.seed, "samples": s.count, "temperature": s.temperature}
            about |= {"top_k": s.top_k, "top_p": s.top_p, "class": s.label, "place": self.film}
            if self.is_text():
                about |= {"prompt": s.prompt, "length": s.length}
            about["path"] = " > ".join(one.title() for one in node.family())
            about["choices"] = [list(one.change) for one in node.family() if one.change is not None]
            nats = [node.nats(row) for row in node.order()]
            about["log_p_nat"] = [None if value is None else round(value, 4) for value in nats]
        return about

    def image(self) -> QImage:
        """The samples as they are shown, every pixel `scale_factor` pixels wide; null when there are none."""
        return self.canvas.picture(self.scale_factor)

    def save_png(self, path: str) -> None:
        image = self.image()
        if image.isNull():
            self._report("Nothing to save yet: no image has grown.", "bad")
            return
        self._write(path, png_bytes(image, self.recipe()))

    def save_gif(self, path: str) -> None:
        """How the samples grew, from the first symbol to what is shown."""
        node = self.node
        if node is None or node.images is None or node.whole or self.film < node.depth:
            self._report("Nothing to save yet: no image has grown.", "bad")
            return
        places = np.unique(np.linspace(0, self.film // node.depth, GIF_FRAMES).astype(int)) * node.depth
        first = self.sheet(node, self.film)
        side = max(self.canvas.picture(1, first).width(), 1)
        frames = [self.canvas.picture(1, self.sheet(node, int(place))) for place in places]
        self._write(path, gif_bytes(frames, max(1, GIF_SIDE // side), self.recipe()))

    def save_text(self, path: str) -> None:
        node = self.node
        if node is None or not any(node.texts):
            self._report("Nothing to save yet: no text has grown.", "bad")
            return
        self._write(path, csv_text(self.recipe(), (), ()) + "\n\n".join(["", *(node.texts[row] for row in node.order())]).lstrip("\n"))

    def copy_picture(self) -> None:
        image = self.image()
        if not image.isNull():
            copy_image(image)
            self._report("The samples are on the clipboard.")

    def _write(self, path: str, data: bytes | str) -> None:
        try:
            write_file(path, data)
        except OSError as error:
            self._report(f"“{Path(path).name}” could not be written: {error.strerror or error}. Choose another folder.", "bad")
        else:
            self._report(f"Saved as {Path(path).name}.")

    def _report(self, text: str, level: str = "") -> None:
        self.status.set_text(text, level)

    def _save_dialog(self, what: str) -> None:
        info, node = self.context.state.run_info, self.node
        step = None if node is None else node.step
        suggested = file_name(info.name if info else "samples", "samples" if what != "gif" else "growth", f"step-{step}")
        saves = {"png": self.save_png, "gif": self.save_gif, "txt": self.save_text}
        ask_where(self, f"Save as {what.upper()}", suggested, what, saves[what])

    def _run_action(self, run: Any, _checked: bool = False) -> None:
        run()

    def _set_scale(self, factor: int, _checked: bool = False) -> None:
        self.scale_factor = factor

    def _restyle(self) -> None:
        self._colors = restyle(self, self.context.state.theme)
        for widget in (self.canvas, self.text, self.legend, self.draws, self.place_card, self.completion):
            widget.set_colors(self._colors)
        for lines in (self.status,):
            lines.set_colors(self._colors)
