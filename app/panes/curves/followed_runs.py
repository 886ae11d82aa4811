"""The runs whose curves are drawn, with every point of every term that the engine has sent of them. Nothing is drawn here."""

from __future__ import annotations

import numpy as np

from app.panes.curves.series import Series
from app.shell import theme
from app.shell.bridge import Bridge
from app.shell.formatting import count
from app.shell.state import VALID, State, judged_terms
from app.widgets.parts import short
from engine.common.training_metrics import UNITS, is_training_metric, of_phase
from engine.messages import FollowRun, Metrics, UnfollowRun

LOSSES, TRAINING = "Losses", "Training"  # groups of terms
FALLING = ("loss", "reconstruction", "error", "nll", "bits")  # terms whose lowest point is the best one


class FollowedRuns:
    """The run that is looked at, then the ticked ones; each keeps its colour and its marker while it is drawn."""

    def __init__(self, state: State, bridge: Bridge) -> None:
        self.state, self.bridge = state, bridge
        self.data: dict[str, dict[str, Series]] = {}  # run -> term -> points
        self.chosen: list[str] = []  # runs that were ticked, in their order
        self.followed: set[str] = set()  # runs whose points the engine sends
        self.heard: set[str] = set()  # of those, the runs whose points up to now have come
        self._slots: dict[str, int] = {}  # run -> its place among the colours

    def runs(self) -> list[str]:
        """The runs that are drawn."""
        state = self.state
        wanted = ([state.run] if state.run else []) + [run for run in self.chosen if run != state.run]
        return [run for run in wanted if run in state.runs]

    def choose(self, run: str, on: bool) -> None:
        """Tick a run, or take its tick away."""
        if on and run not in self.chosen:
            self.chosen.append(run)
        elif not on and run in self.chosen:
            self.chosen.remove(run)

    def forget_missing(self) -> None:
        """Some runs may be gone."""
        self.chosen = [run for run in self.chosen if run in self.state.runs]

    def follow(self, shown: bool) -> None:
        """Tell the engine whose points to send; a hidden pane follows nobody."""
        wanted = set(self.runs()) if shown else set()
        for run in self.followed - wanted:
            self.bridge.send(UnfollowRun(run))
            self.data.pop(run, None)
            self.heard.discard(run)
        for run in wanted - self.followed:
            self.bridge.send(FollowRun(run))
        self.followed = wanted
        for run in [run for run in self._slots if run not in self.runs()]:
            del self._slots[run]
        for run in self.runs():
            if run not in self._slots:
                taken = set(self._slots.values())
                self._slots[run] = next(place for place in range(len(taken) + 1) if place not in taken)

    def add(self, event: Metrics) -> bool:
        """Keep the points of a followed run; False when it is none."""
        if event.run not in self.followed:
            return False
        terms = self.data.setdefault(event.run, {})
        if event.history:
            self.heard.add(event.run)
            for series in terms.values():
                series.clear()
        for name, (steps, values) in event.points.items():
            terms.setdefault(name, Series()).append(steps, values)
        return True

    def loading(self) -> bool:
        """Whether points of a run that has been trained are still on their way."""
        return any(run not in self.heard and self.state.runs[run].checkpoints for run in self.runs())

    def series(self, run: str, term: str) -> Series:
        """The points of a term, empty where there are none."""
        return self.data.setdefault(run, {}).setdefault(term, Series())

    def curves(self, term: str) -> list[tuple[str, Series]]:
        """Run and points of the runs that have the term."""
        return [(run, self.series(run, term)) for run in self.runs() if len(self.series(run, term))]

    def judged(self, run: str) -> str:
        """The term that tells how well a run does: the first one of them that it has points of."""
        terms = judged_terms(self.state.runs.get(run))
        return next((term for term in terms if not term.startswith(VALID) and len(self.series(run, term))), "loss")

    def terms(self) -> list[str]:
        """Terms of the shown runs, the loss or what judges them first; a validation term goes with its own."""
        names = dict.fromkeys(("loss", *(self.judged(run) for run in self.runs())))
        for run in self.runs():
            for name in self.data.get(run, {}):
                names.setdefault(name, None)
        known = [name for name in names if any(len(self.data.get(run, {}).get(name, ())) for run in self.runs())]
        return [name for name in known if not (name.startswith(VALID) and name[len(VALID) :] in known)]

    def groups(self) -> dict[str, list[str]]:
        """The terms of `terms`: what is learned, and how the training goes; a group without terms is left out."""
        terms = self.terms()
        split = {LOSSES: [t for t in terms if not is_training_metric(t)], TRAINING: [t for t in terms if is_training_metric(t)]}
        return {name: found for name, found in split.items() if found}

    def together(self, term: str) -> list[tuple[str, str]]:
        """The terms that stand on one plot with a term, and what each is called there; the term alone where several runs are drawn.

        The losses of several networks (“discriminator_loss”, “generator_loss”), one loss at several levels (“loss σ 0.1”, “loss σ 1”).
        """
        family = _family(term)
        found = [(other, _family(other)) for other in self.terms() if self.unit(other) == self.unit(term)]
        members = [(other, one[1]) for other, one in found if family is not None and one is not None and one[0] == family[0]]
        return members if len(self.runs()) == 1 and len(members) > 1 else [(term, "")]

    def unit(self, term: str) -> str:
        """Of a term, where all runs that are drawn agree on it."""
        if is_training_metric(term):
            return UNITS.get(term, "")
        methods = [self.state.methods.get(self.state.runs[run].method) for run, _ in self.curves(term)]
        units = {"" if method is None else method.unit_of(term) for method in methods}
        return units.pop() if len(units) == 1 else ""

    def is_drawn(self, run: str) -> bool:
        return run in self._slots

    def category_of(self, run: str) -> str:
        """The colour of a run among the categories of the theme, as "#rrggbb"."""
        return theme.CATEGORIES[self._slots.get(run, 0) % len(theme.CATEGORIES)]

    def marker_of(self, run: str) -> str:
        return theme.MARKERS[self._slots.get(run, 0) % len(theme.MARKERS)]

    def best(self, term: str, smoothing: float) -> tuple[int, float, str] | None:
        """The step with the lowest validation value of the run that is looked at, its value, and both in words.

        Where nothing is validated it is the step with the lowest smoothed value; None for terms that need not fall.
        """
        run = self.state.run
        if run is None or not any(word in term for word in FALLING):
            return None
        valid, train = self.series(run, VALID + term), self.series(run, term)
        if len(valid) and np.isfinite(valid.values).any():
            index = int(np.nanargmin(valid.values))
            step, value, rule = int(valid.steps[index]), float(valid.values[index]), "lowest validation value"
        elif len(train) > 1 and np.isfinite(train.values).any():
            sparse = term.startswith(VALID)  # a term of checkpoints alone is drawn as it was measured
            drawn = train.values if sparse else train.smoothed(smoothing)
            index = int(np.nanargmin(drawn))
            step, value = int(train.steps[index]), float(drawn[index])
            rule = "lowest validation value" if sparse else "lowest smoothed value"
        else:
            return None
        return step, value, f"★ best {short(value)} at step {count(step)} ({rule})"


def _family(term: str) -> tuple[str, str] | None:
    """What a term has in common with others that belong on its plot, and what is its own; None where it stands alone."""
    if (measured := of_phase(term)) is not None:
        return measured
    head, found, own = term.partition(" σ ")
    if found:
        return head + found, f"σ {own}"
    if term.endswith("_loss"):
        return "_loss", term.removesuffix("_loss").removeprefix(VALID)
    return None


def family_title(term: str) -> str:
    """The heading of a plot of all terms of a term's family."""
    family = _family(term)
    if family is None:
        return term
    head = family[0].removeprefix(VALID)
    return "losses" if head == "_loss" else head.replace(" σ ", " by σ")
