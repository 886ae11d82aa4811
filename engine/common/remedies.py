"""The next step where a run's data are missing, in the words of whoever reads it: a verb has an option for it, the window a button."""

from __future__ import annotations

LOCATE = "give their new place with --data, or with “Locate…” in the inspector"  # in sentences that either may show
VERBS_LOCATE = "give their new place with --data"
WINDOW_LOCATE = "give their new place with “Locate…” in the inspector"
BUTTON_LOCATE = "give their new place with “Locate…”"  # the button stands beside it


def for_verbs(text: str) -> str:
    """What a verb prints."""
    return text.replace(LOCATE, VERBS_LOCATE)


def for_window(text: str) -> str:
    """What the window shows."""
    return text.replace(LOCATE, WINDOW_LOCATE)
