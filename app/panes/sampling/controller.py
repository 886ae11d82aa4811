"""Which samples are asked of the engine and what becomes of them: a tree of draws for every run, one node of which is looked at.

No widget: the pane shows `samples`, `node` and `film` when a signal says that they have changed.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoCommand

from app.panes import Context
from app.panes.sampling.film import SampleFilm
from app.panes.sampling.frames import FilmMemory
from app.panes.sampling.sample_tree import FinishedSamples, RunSamples, SampleNode, SamplingSettings
from app.shell.formatting import count, number
from app.shell.undo import push
from engine.messages import DrawSamples, Ended, FieldInfo, FrameDrawn, SamplingBegan, StopJob, SymbolsDrawn

SETTLE_MS = 60  # a moving slider starts a new draw at most so often
ROOTS_KEPT = 24
RATE_UNITS = {"pixels": "pixels/s", "codes": "tokens/s", "text": "tokens/s", "whole": "pixels/s", "steps": "steps/s"}


class ShowSamplesCommand(QUndoCommand):
    """From one node with its settings to another, or to other settings; the moves of one drag (one `gesture`) become one."""

    def __init__(
        self,
        controller: SamplingController,
        before: tuple[SampleNode, SamplingSettings],
        after: tuple[SampleNode, SamplingSettings],
        text: str,
        gesture: str,
    ) -> None:
        super().__init__(text)
        self.controller, self.before, self.after, self.gesture = controller, before, after, gesture
        self.run = controller.context.state.run

    def id(self) -> int:
        return 5151 if self.gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, ShowSamplesCommand) or other.gesture != self.gesture or other.run != self.run:
            return False
        if other.controller is not self.controller:
            return False
        self.after = other.after
        return True

    def redo(self) -> None:
        self._show(self.after)

    def undo(self) -> None:
        self._show(self.before)

    def _show(self, to: tuple[SampleNode, SamplingSettings]) -> None:
        state = self.controller.context.state
        if self.run not in state.runs:
            self.setObsolete(True)
            return
        state.set_run(self.run)
        self.controller.show_with(*to)


class SamplingController(QObject):
    """One draw at a time: asks for it, takes in what arrives, and goes on when the time cursor or the settings have changed."""

    node_left = Signal()  # another node is going to be looked at
    node_changed = Signal()  # another node, or the same one with other settings
    began = Signal()  # the engine has said what the samples will be
    progressed = Signal()  # more of the samples is there, or another state of the film is to be seen
    job_changed = Signal()  # a draw was asked for or stopped, the film starts or halts
    refreshed = Signal()  # what is on screen belongs to the step of the time cursor, or will
    ended = Signal(bool)  # whether what was drawn may be looked into

    def __init__(self, context: Context, able: Callable[[], bool], parent: QObject) -> None:
        """`able`: whether the pane is seen and the chosen run can be sampled from."""
        super().__init__(parent)
        self.context, self.able = context, able
        self.runs: dict[str, RunSamples] = {}
        self.film = SampleFilm(self)
        self.job: str | None = None
        self.drawing: SampleNode | None = None  # by the job
        self.message = ""  # what went wrong
        self._fresh = False
        self._goes_on = False  # once the pane is seen again
        self._memory = FilmMemory()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self.draw_anew)
        self.film.moved.connect(self.progressed)
        self.film.ended.connect(self._film_ended)
        context.state.run_gone.connect(self._run_gone)
        bridge = context.bridge
        bridge.on(SamplingBegan, self._on_began)
        bridge.on(SymbolsDrawn, self._on_drawn)
        bridge.on(FrameDrawn, self._on_drawn)
        bridge.on(Ended, self._on_ended)

    # what is looked at

    @property
    def samples(self) -> RunSamples:
        """What was drawn from the chosen run."""
        run = self.context.state.run or ""
        if run not in self.runs:
            self.runs[run] = RunSamples(SamplingSettings(count=1) if self.is_text() else SamplingSettings())
        return self.runs[run]

    @property
    def node(self) -> SampleNode | None:
        return self.samples.node

    def is_text(self) -> bool:
        method = self.context.state.method_info
        return method is not None and method.accepts == "text"

    def draws_symbols(self) -> bool:
        """Whether samples are drawn symbol by symbol: as the samples here are, else as the method says; True where neither is known."""
        if self.node is not None and self.node.began is not None:
            return self.node.has_symbols
        method = self.context.state.method_info
        return method is None or "symbols" in method.capabilities

    def sampler_fields(self) -> tuple[FieldInfo, ...] | None:
        """The settings of the chosen run's sampler that it has a use for; None of a sampler without any."""
        state = self.context.state
        fields = () if state.method_info is None else state.method_info.sample_fields
        if not fields:
            return None
        guided = self.guided()
        return tuple(field for field in fields if guided or field.name != "guidance")

    def guided(self) -> bool:
        """Whether guidance, where the sampler has it, can lead samples to a class or a caption; True where that is not known yet."""
        state = self.context.state
        method, info = state.method_info, state.run_info
        if method is None or all(field.name != "guidance" for field in method.sample_fields):
            return True
        began = None if self.node is None else self.node.began
        if began is not None:
            return bool(began.classes or began.words)
        return info is None or bool(info.config.get("conditional", True))

    def hide(self) -> None:
        """Nobody looks: nothing is drawn until `refresh`."""
        self._goes_on = self.job is not None
        self._halt()

    def run_changed(self) -> None:
        """Look at what was drawn from the run that is chosen now."""
        self._halt()
        self.drawing, self._goes_on, self.message = None, False, ""
        self.film.load(self.node)

    def _run_gone(self, run: str) -> None:
        self.runs.pop(run, None)

    def _halt(self) -> None:
        self._settle.stop()
        self.film.stop()
        self.stop()

    def step_changed(self) -> None:
        """A step that was chosen by hand is drawn at once; a live one when the present draw has ended."""
        self.message = ""
        if self.context.state.cursor is not None:
            self.stop()
        self.refresh()

    def refresh(self) -> None:
        """Draw what is on screen at the step of the time cursor, if it is not there yet."""
        if not self.able() or self.job is not None:
            return
        node = self.node
        if node is None:
            self.draw_root(SampleNode("draw", self.samples.settings, tuple(range(self.samples.settings.count))))
        elif node.stale or node.step != self.context.state.step:
            self._draw(node)
        elif self._goes_on and not node.done:
            self._draw(node, fresh=False)
        self._goes_on = False
        self.refreshed.emit()

    def show(self, node: SampleNode) -> None:
        """Look at a node of the tree."""
        samples = self.samples
        self.film.stop()
        if samples.node is not node:
            self.stop()
            samples.node = node
            self.film.load(node)
            self.node_left.emit()
        samples.settings = node.settings
        self.node_changed.emit()

    def show_with(self, node: SampleNode, settings: SamplingSettings) -> None:
        """Look at a node with given settings: what undo does."""
        root = node.path()[0]
        if root not in self.samples.roots:
            self.samples.roots.append(root)
        if node.settings != settings:
            node.resize(settings)
        self.show(node)
        at_once = node.began is not None and node.began.kind == "whole"  # so that they follow a slider while it moves
        if node.stale and self.able() and not (at_once and self._settle.isActive()):
            self._settle.start()

    def choose(self, node: SampleNode) -> None:
        """Look at a node that was drawn before, so that it can be undone."""
        if self.node is not None and node is not self.node:
            self._push(node, node.settings, f"choice of {node.title()}")

    def change(self, settings: SamplingSettings, gesture: str = "") -> None:
        """Draw with other settings: the same samples where the noise is the same, others where it is not."""
        node = self.node
        if node is None or settings == node.settings:
            return
        target = node
        if not settings.same_noise(node.settings):
            target = node.path()[0]
            if target.children and target.kind == "draw":
                target = SampleNode("draw", settings, tuple(range(settings.count)))
        self._push(target, settings, "change of how it is drawn", gesture)

    def _push(self, node: SampleNode, settings: SamplingSettings, text: str, gesture: str = "") -> None:
        before = self.node
        if before is not None and self.context.state.run is not None:
            push(self.context.undo, ShowSamplesCommand(self, (before, before.settings), (node, settings), text, gesture))

    # what is asked of the engine

    def draw_root(self, root: SampleNode) -> None:
        """Draw samples as a new root of the tree."""
        samples = self.samples
        samples.roots = [*samples.roots, root][-ROOTS_KEPT:]
        self.show(root)
        self._draw(root)

    def draw_branch(self, row: int, place: int, symbol: int) -> SampleNode | None:
        """Put another symbol at a place of a sample, and let what follows be drawn as a branch; None where none can be put."""
        node = self.node
        if node is None or node.tokens is None or place > node.places[row]:
            return None
        branch = node.branch(row, place, symbol)
        node.children.append(branch)
        self._push(branch, branch.settings, f"branch {branch.name}")
        self._draw(branch)
        return branch

    def draw_completion(self, node: SampleNode, label: str) -> None:
        """Draw what is missing of a picture."""
        if self.node is None:
            self.draw_root(node)
        else:
            self._push(node, node.settings, f"completion of {label}")
            self._draw(node)

    def draw_anew(self) -> None:
        """The same samples from their beginning."""
        if self.node is None:
            self.refresh()
        else:
            self._draw(self.node)

    def draw_from_start(self) -> None:
        """The same samples once more, to see how they come about."""
        if self.node is not None:
            self.node.finished = None
        self.draw_anew()

    def _draw(self, node: SampleNode, *, fresh: bool = True, until: int | None = None) -> None:
        state = self.context.state
        if not self.able():
            return
        self._settle.stop()
        self.film.stop()
        self.message = ""
        fresh = fresh or node.stale or node.reached == 0 or node.step != state.step or not node.has_symbols
        s, rows = node.settings, list(node.rows)
        if fresh:
            given = node.given[rows] if node.given is not None else None
            start = node.start if given is not None else 0
        else:
            given, start = node.prefix(), node.reached
        node.drawn_with = s
        self.job = self.context.bridge.new_job("sample")
        self.drawing, self._fresh = node, fresh
        self.context.bridge.send(
            DrawSamples(
                job=self.job,
                channel="sampling",
                run=state.run,  # type: ignore[arg-type]
                step=state.step,
                seed=s.seed,
                samples=tuple(rows),
                temperature=1.0 if self.sampler_fields() is not None else s.temperature,
                top_k=s.top_k,
                top_p=s.top_p,
                label=s.label,
                caption=s.caption,
                cached=s.cached,
                decode=s.decode,
                settings=s.sampler,
                tokens=given,
                start=start,
                until=until,
                prompt=s.prompt if given is None else "",
                length=s.length if given is None else 0,
            )
        )
        self.job_changed.emit()

    def stop(self) -> None:
        """End the draw where it is; what is there stays."""
        if self.job is not None:
            self.context.bridge.send(StopJob(self.job))
            self.job = None
        self.job_changed.emit()

    def stop_here(self) -> None:
        """End the draw, and look at what is there."""
        self.stop()
        self.drawing = None
        self.film.follow()
        self.progressed.emit()

    # what the engine sends

    def _on_began(self, event: SamplingBegan) -> None:
        node = self.drawing
        if event.job != self.job or node is None:
            return
        node.begin(event, self._fresh)
        if self._fresh:
            self.film.rewind()
        self.samples.settings = node.settings
        self.began.emit()

    def _on_drawn(self, event: SymbolsDrawn | FrameDrawn) -> None:
        node = self.drawing
        if event.job != self.job or node is None:
            return
        follows = self.film.follows
        if isinstance(event, FrameDrawn):
            node.add_frame(event)
            self._memory.touch(node.frames)
        else:
            node.add_symbols(event)
        if event.rate > 0:
            self.samples.rates[node.settings.cached, len(node.rows)] = event.rate
        if follows:
            self.film.follow()
        if node is self.node:
            self.progressed.emit()

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job:
            return
        self.job = None
        node, self.drawing = self.drawing, None
        if event.outcome == "failed":
            self.message = event.message
        self.ended.emit(event.outcome != "failed" and node is not None and node is self.node)
        if event.outcome == "ok" and node is not None and node.step != self.context.state.step:
            self.refresh()

    # the film

    def play(self) -> None:
        """Pause what is drawn, go on with what was paused, or show the film of what is finished."""
        node, film = self.node, self.film
        if film.playing:
            self._pause_film()
        elif self.job is not None and node is not None and node.iterative:
            if not film.held:
                film.hold()  # the sampler goes on: its steps could not be taken up again
                self.progressed.emit()
            elif film.position < node.reached:
                film.play()
            else:
                film.follow()
        elif self.job is not None:
            self.stop()
        elif node is None:
            self.refresh()
        elif film.position < node.reached:
            film.play()
        elif not node.done:
            self._draw(node, fresh=False)
        elif node.has_film:
            film.wind(0)
            film.play()
        else:
            node.finished = None  # they are drawn for their film
            self._draw(node)
        self.job_changed.emit()

    def _pause_film(self) -> None:
        if self.node is not None and self.node.iterative:
            self.film.hold()
        else:
            self.film.stop()

    def step(self, cells: int) -> None:
        """Go on by so many cells or denoising steps, 0: to the end of the row; then stay."""
        node, film = self.node, self.film
        if node is None or node.began is None or not node.has_film:
            return
        film.stop()
        if node.iterative:
            if self.job is None or film.held:
                film.wind(film.position + cells)
            film.hold()
            self.job_changed.emit()
        elif self.job is not None:
            self.stop()
        else:
            unit = node.depth if cells else node.depth * node.began.columns
            target = min((film.position // unit + 1) * unit, node.length)
            if target <= node.reached:
                film.wind(target)
            else:
                film.wind(node.reached)
                self._draw(node, fresh=False, until=target)

    def wind(self, position: int) -> None:
        """Look at the samples as they were when so many symbols or steps were there."""
        self.film.stop()
        self.film.wind(position)

    def _film_ended(self) -> None:
        node = self.node
        if node is not None and not node.done and self.job is None and node.has_symbols:
            self._draw(node, fresh=False)
        self.job_changed.emit()

    # in words

    def shown_before(self) -> FinishedSamples | None:
        """The last finished samples, where they are shown until those that are being drawn are finished."""
        node, film = self.node, self.film
        return node.samples_before() if node is not None and node is self.drawing and not film.held and not film.playing else None

    def status(self) -> str:
        """What is shown and how fast it was drawn; empty before anything is there."""
        node, rates = self.node, self.samples.rates
        if node is None or node.began is None:
            return ""
        parts = [" › ".join(one.title() for one in node.path())]
        cached, at_once = node.settings.cached, len(node.rows)
        rate = rates.get((cached, at_once))
        if rate:
            how = "" if not node.has_symbols else " with cache" if cached else " without cache"
            parts.append(f"{count(round(rate)) if rate >= 10 else number(rate, 1)} {RATE_UNITS[node.began.kind]}{how}")
            fast, slow = (rates.get((with_cache, at_once)) for with_cache in (True, False))
            if fast and slow:
                parts.append(f"the cache makes it {number(fast / slow, 1)}× as fast")
        if node.note:
            parts.append(node.note)
        before = self.shown_before()
        step = node.seen_step if before is None else before.step
        if before is not None:
            parts.append(f"shown until these are drawn: {before.settings.summary()}")
        if step is not None and step != self.context.state.step:
            parts.append(f"drawn at step {count(step)}")
        return " · ".join(parts)
