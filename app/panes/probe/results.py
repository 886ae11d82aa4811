"""What was measured of features in this session, which of it is shown, and how sure it is. Numbers only; nothing is drawn here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.shell.formatting import number, things
from engine.messages import MethodInfo, ProbeMeasured, ProbeSubject, RunInfo

OWN, RANDOM, PIXELS = "checkpoint", "random", "pixels"
NAMES = {OWN: "this checkpoint", RANDOM: "random encoder", PIXELS: "raw pixels"}
COLUMNS = (
    "features of", "block", "share of labels", "step", "linear", "linear standard error", "kNN", "kNN standard error", "dimensions",
    "training images", "split", "images asked about", "iterations", "gradient",
)  # fmt: skip

SPLITS = {"valid": "validation", "test": "test"}  # that features can be asked about, in words
NEIGHBOURS = 200  # that vote, where there are as many training images
ACCURACY = "accuracy"  # the term of a classifier's figure: a share

Question = tuple[str, str, int, str]  # run, data ("" is the run's own), images, split that is asked about
Figures = dict[ProbeSubject, ProbeMeasured]


class Results:
    """Figures by question, then by step."""

    def __init__(self) -> None:
        self._found: dict[Question, dict[int, Figures]] = {}

    def add(self, event: ProbeMeasured) -> None:
        steps = self._found.setdefault((event.run, event.data, event.limit, event.split), {})
        figures = steps.pop(event.step, {})  # the newest measured goes to the end
        figures[event.subject] = event
        steps[event.step] = figures

    def forget(self, run: str) -> None:
        self._found = {question: steps for question, steps in self._found.items() if question[0] != run}

    def steps(self, question: Question) -> dict[int, Figures]:
        """All that was measured, by ascending step."""
        return dict(sorted(self._found.get(question, {}).items()))

    def shown(self, question: Question, step: int | None) -> tuple[int, Figures] | None:
        """The figures of a step, or else the newest ones of another step of that run."""
        found = self._found.get(question, {})
        if not found:
            return None
        at = step if step in found else next(reversed(found))
        return at, found[at]


def neighbours(figures: Figures) -> int:
    """k of the neighbours' vote: 200, or all training images where they are fewer."""
    images = [event.n_train for subject, event in figures.items() if subject.share == 1]
    return min([NEIGHBOURS, *images])


@dataclass(frozen=True)
class Supervised:
    """A run that learned from labels of the same data, with its best figure."""

    name: str
    right: float


def supervised(runs: dict[str, RunInfo], chosen: str, data: str) -> list[Supervised]:
    """Runs of classifiers on the same data, with the accuracy of their best checkpoint; none of version 0.1.0, which kept no figures."""
    found = []
    for run, info in runs.items():
        best = info.best
        if run != chosen and best and best.term == ACCURACY and info.data == data and "classify" in info.capabilities and not info.fault:
            share = info.config.get("label_share")
            start = " from scratch" if info.config.get("start") == "scratch" else ""
            labels = f", {100 * share:g} % of labels" if isinstance(share, int | float) else ""
            found.append(Supervised(f"{info.title or info.method}{start}{labels} · {info.name}", best.value))
    return found


def find_fine_tuner(methods: dict[str, MethodInfo]) -> MethodInfo | None:
    """A method of classes that goes on from another run's encoder, or from random weights in the same network, with a share of labels."""
    for method in methods.values():
        fields = {field.name: field for field in method.fields}
        starts = fields["start"].choices if "start" in fields else ()
        if "classify" in method.capabilities and {"encoder", "label_share"} <= set(fields) and {"run", "scratch"} <= set(starts):
            return method
    return None


def figure(right: float, error: float) -> str:
    """0.843, 0.005 -> "84.3 ± 0.5 %"; without a standard error "84.3 %"."""
    if not math.isfinite(error):
        return number(100 * right, 1, "%")
    return f"{number(100 * right, 1)} ± {number(100 * error, 1, '%')}"


def measured(event: ProbeMeasured, measure: str) -> tuple[float, float] | None:
    """The share of right answers by "linear" or "knn" and its standard error; None where it was not measured."""
    if measure == "knn":
        return event.knn, event.knn_se
    if event.linear is None:
        return None
    return event.linear, math.nan if event.linear_se is None else event.linear_se


def compared(event: ProbeMeasured) -> str:
    """What a figure rests on, in words."""
    return (
        f"Frozen encoder, no augmentation: fitted on {things(event.n_train, 'training image')} of {event.data_name}, "
        f"asked about {things(event.n_test, SPLITS[event.split] + ' image')}, {things(event.classes, 'class', 'classes')}."
    )


def not_measured(figures: Figures, shares: tuple[float, ...]) -> str:
    """Which of the shares of labels are no fewer images than all else is fitted to, as a sentence; empty where there are none."""
    whole = figures.get(ProbeSubject(OWN))
    missing = [share for share in shares if whole is not None and share * whole.n_split >= whole.n_train]
    if whole is None or not missing:
        return ""
    words = " and ".join(f"{100 * share:g} %" for share in missing)
    return f" Not with {words} of the labels: those are no fewer than the {things(whole.n_train, 'image')} that all is fitted to."


def table(steps: dict[int, Figures]) -> list[tuple[object, ...]]:
    """Rows of a CSV, columns as COLUMNS."""
    rows: list[tuple[object, ...]] = []
    for figures in steps.values():
        for subject, e in figures.items():
            linear, knn = (("", "") if (one := measured(e, which)) is None else tuple(map(repr, one)) for which in ("linear", "knn"))
            about = (NAMES[subject.of], subject.block, repr(subject.share), e.step if subject.of == OWN else "")
            rows.append((*about, *linear, *knn, e.features, e.n_train, e.split, e.n_test, e.iterations, repr(e.gradient)))
    return rows
