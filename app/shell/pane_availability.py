"""Why a pane is empty, and what to do about it: decided here alone, from what the pane declares, the run and its method.

The page that says it, with its buttons, is shown by the pane itself (`RunPane`) or in the pane's place (`PaneDock`).
"""

from __future__ import annotations

from dataclasses import dataclass

from app.panes import Pane
from app.shell.actions import Actions
from app.widgets.parts import EmptyState
from engine.messages import MethodInfo, RunInfo

CANNOT = {  # after "cannot", by capability
    "encode": "encode images",
    "blocks": "say what its encoder knows after each block",
    "patches": "show patches of a vision transformer",
    "decode": "decode latents",
    "latents": "be walked through by its latents",
    "posterior": "say how sure its latents are",
    "log_prob": "say how likely an image is",
    "rate": "say what its codes cost",
    "sample": "draw samples",
    "symbols": "draw symbol by symbol",
    "classify": "classify",
    "views": "show its views",
    "queue": "show a queue of keys",
    "puzzle": "pose its puzzle",
    "conditional": "draw what is asked for",
}


@dataclass(frozen=True)
class Unavailable:
    """Why there is nothing to see in a pane now, and what to do."""

    heading: str
    advice: str
    blocks: bool = True  # the pane cannot be used at all: its tab is grey and it asks nothing. False: it opens by itself, or takes images

    @property
    def sentence(self) -> str:
        return f"{self.heading}. {self.advice}"


def why_unavailable(pane: Pane | type[Pane], info: RunInfo | None, method: MethodInfo | None, loading: bool = False) -> Unavailable | None:
    """What keeps a pane from showing a run; None when nothing does.

    Args:
        info: the run that is looked at, None where none is chosen.
        method: the run's method as the engine tells of it, None until it has.
        loading: the engine has not told yet which runs there are.
    """
    blocks = pane.wants_run
    asks = bool(pane.needs or pane.needs_one_of)
    if info is None and loading and (blocks or asks):
        return Unavailable("Loading your runs…", "The engine is starting; this takes a few seconds.", blocks=False)
    if info is None:
        return Unavailable("No run chosen", pane.invites, blocks) if blocks or asks else None
    if not asks:
        return None
    if info.fault:
        return Unavailable("Something is wrong with this run", info.fault, blocks)
    title = method.title if method else info.title or info.method
    if pane.text_refused and method is not None and method.accepts == "text":
        return Unavailable(f"{title} reads text", pane.text_refused, blocks)
    able = method.capabilities if method else info.capabilities
    if method is None and (not able or missing(pane, able)):  # a folder of an older version lacks newer capabilities
        return Unavailable(f"What {title} can do is not known yet", "It is told as soon as the engine has started.", blocks=False)
    lacking = missing(pane, able)
    if lacking:
        heading, advice = pane.refused
        made = f"{title} cannot {lacking}", "This pane needs that. Choose a run of another method."
        return Unavailable(heading.format(title=title) or made[0], advice.format(title=title) or made[1], blocks)
    if not any(not checkpoint.fault for checkpoint in info.checkpoints):
        return Unavailable("No checkpoint yet", pane.waits, blocks=False)
    return None


def missing(pane: Pane | type[Pane], able: tuple[str, ...]) -> str:
    """What a method with these capabilities cannot do though the pane needs it, in words after “cannot”; empty when it can all."""
    words = [CANNOT.get(need, need) for need in pane.needs if need not in able]
    if words:
        return " and cannot ".join(words)
    if pane.needs_one_of and not set(pane.needs_one_of) & set(able):
        return ", nor ".join(CANNOT.get(need, need) for need in pane.needs_one_of)
    return ""


class AvailabilityPage(EmptyState):
    """What is seen in the place of an empty pane: why, what to do, and the buttons for it."""

    def __init__(self, pane: Pane, actions: Actions) -> None:
        own = tuple((words, getattr(pane, name)) for words, name in pane.more_actions)
        super().__init__("", "", (("New run…", lambda: actions["run.new"].trigger()), *own))

    def explain(self, why: Unavailable) -> None:
        self.say(why.heading, why.advice)
