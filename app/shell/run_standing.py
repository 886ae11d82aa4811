"""How runs stand, in words, and in which order they are listed. Nothing here draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from app.shell import formatting
from engine.messages import JobChanged, MethodInfo, RunInfo

WAITING = "job:"  # a job that has no folder yet stands in the list under this and its own name


@dataclass(frozen=True)
class Standing:
    """The state of a run in words: `level` is the colour, `reason` the sentence below the card when there is one."""

    level: str  # "good" | "accent" | "warning" | "bad" | "muted"
    word: str
    reason: str = ""
    can_continue: bool = False


def standing(info: RunInfo, job: JobChanged | None) -> Standing:
    """How a run stands, from its folder and from the job that writes it now, if there is one."""
    if info.fault:
        return Standing("bad", "damaged", info.fault)
    if job is not None:
        if job.state == "queued":
            if job.place < 0:
                return Standing("muted", "starting…", job.message)
            return Standing("muted", "queued, next" if job.place == 0 else f"queued, {ordinal(job.place + 1)}", job.message)
        words_of = {
            "running": ("good", "training"),
            "pausing": ("warning", "pausing…"),
            "paused": ("warning", "paused"),
            "waiting": ("warning", "waiting"),
            "stopping": ("muted", "stopping…"),
            "discarding": ("muted", "discarding…"),
        }
        level, word = words_of.get(job.state, ("good", job.state))
        return Standing(level, word, job.message if job.state in ("waiting", "paused") else "")
    if info.elsewhere:
        return Standing("good", "training elsewhere")
    resumable = any(c.resumable and not c.fault for c in info.checkpoints)
    match info.status:
        case "done":
            return Standing("accent", "done")
        case "paused":
            return Standing("warning", "paused", can_continue=resumable)
        case "stopped":
            return Standing("muted", "stopped")
        case "failed":
            return Standing("bad", "failed", info.message or "It failed without a word; the log may hold more.", can_continue=resumable)
        case "training":
            return Standing("good", "starting…" if info.step == 0 else "training")  # this window writes it, and its job says so in a moment
        case "interrupted":
            return Standing("warning", "interrupted", f"Closed unexpectedly at step {formatting.count(info.step)}.", can_continue=resumable)
        case "queued":
            return Standing("muted", "queued", can_continue=resumable)
        case "damaged":
            return Standing("bad", "damaged", info.message)
    return Standing("muted", info.status)


def waiting_run(job: JobChanged, methods: Mapping[str, MethodInfo], alike: bool = False) -> RunInfo:
    """A line for a job that has not begun, with the seed where another one that waits is `alike` but for it."""
    method, _, data = job.label.partition(" · ")
    title = methods[method].title if method in methods else method
    seed = f", seed {job.seed}" if alike and job.seed is not None else ""
    return RunInfo(WAITING + job.job, job.label, method, title, data, f"{data}{seed}", "queued", 0, None, (), {}, {}, "")


def newest_first(runs: Mapping[str, RunInfo]) -> dict[str, RunInfo]:
    """The runs by the time they were begun; those whose folder does not tell come last, as they stood."""

    def begun(info: RunInfo) -> float:
        return info.created if math.isfinite(info.created) else 0.0

    return {info.run: info for info in sorted(runs.values(), key=begun, reverse=True)}


def ordinal(place: int) -> str:
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
