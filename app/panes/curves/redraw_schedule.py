"""How often each part of the Curves pane is drawn while points pour in. Times in seconds; nothing is drawn here."""

from __future__ import annotations

BUSY_SHARE = 0.08  # the plot takes at most this share of the time
PARTS: tuple[str, ...] = ("plot", "cards", "diagnosis")
PAUSES = {"cards": 0.5, "diagnosis": 1.0}  # how long a part rests after it was drawn


class RedrawSchedule:
    """Keeps which parts are out of date, when each was drawn last, and what the newest drawing cost."""

    def __init__(self) -> None:
        self.changed = set(PARTS)  # parts that are not up to date
        self.drawn_at = dict.fromkeys(PARTS, 0.0)  # 0: at once
        self.cost = 0.0

    def all_changed(self, *, now: bool = False) -> None:
        """Every part is out of date; `now`: and may be drawn at once."""
        self.changed = set(PARTS)
        if now:
            self.drawn_at = dict.fromkeys(PARTS, 0.0)

    def pause(self, part: str) -> float:
        """How long a part rests after it was drawn."""
        return self.cost / BUSY_SHARE if part == "plot" else PAUSES[part]

    def take_due(self, now: float) -> set[str]:
        """The parts to draw now; they count as drawn."""
        due = {part for part in self.changed if now - self.drawn_at[part] >= self.pause(part)}
        if not due:
            return due
        if all(self.drawn_at[part] for part in due):  # none of them at once: one a tick, so that no frame has to carry them all
            due = {min(due, key=lambda part: self.drawn_at[part] + self.pause(part))}
        self.changed -= due
        self.drawn_at |= dict.fromkeys(due, now)
        return due

    def spent(self, due: set[str], seconds: float) -> None:
        """Drawing the parts took so long."""
        self.cost = seconds if "plot" in due else max(self.cost, seconds)
