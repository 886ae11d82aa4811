"""Sizes of what a conditional method is told beside classes."""

from __future__ import annotations

MOST_WORDS = 16  # of a caption
PAST_FRAMES = 4  # of a clip, before the frame that is drawn
