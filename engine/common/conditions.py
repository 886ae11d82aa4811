"""What a conditional method is told beside classes: the words of a caption."""

from __future__ import annotations

from collections.abc import Collection

MOST_WORDS = 16  # of a caption
PAST_FRAMES = 4  # of a clip, before the frame that is drawn
_MARKS = str.maketrans(dict.fromkeys(",.;:!?“”\"'", " "))


def words_of(caption: str) -> list[str]:
    """A caption's words in lower case, without punctuation."""
    return caption.lower().translate(_MARKS).split()


def caption_fault(caption: str, words: Collection[str]) -> str:
    """Why a caption cannot be told to a method that knows these words, in one sentence; "" where it can."""
    found = words_of(caption)
    unknown = [f"“{word}”" for word in dict.fromkeys(found) if word not in words]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        return f"{', '.join(unknown)} {verb} in no caption that this run was trained on; it knows: {', '.join(words)}."
    if len(found) > MOST_WORDS:
        return f"A caption of {len(found)} words is too long; use at most {MOST_WORDS}."
    return ""
