"""What every conversation between window and engine is made of: commands and queries go in, events come out.

Frozen dataclasses of numbers, strings and numpy arrays only, so every message pickles and the engine could live in
another process. No behaviour here, and nothing heavy is imported.

Words: a *run* is named by the absolute path of its folder; a *step* of `None` means the newest checkpoint;
images are uint8 `[N, C, H, W]`; latents are float32 `[N, D]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Answer", "Command", "DecodedAnswer", "Event", "Notice", "PictureRef", "Query", "QueryFailed", "Work"]


@dataclass(frozen=True)
class Command:
    """What the window asks the engine to do; no answer carries a stamp."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Work(Command):
    """A long piece of work for the query lane -> its own events, then one `Ended`. `StopJob` ends it early.

    New work on a channel ends what was still going on there; `channel` is the pane's own name.
    """

    job: str
    channel: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    """A short question of a pane; of one kind and channel only the newest counts."""

    stamp: int = 0
    channel: str = ""


@dataclass(frozen=True, eq=False)
class Event:
    """What the engine tells the window."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(Event):
    """The answer to the query with the same stamp and channel."""

    stamp: int
    channel: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodedAnswer(Answer):
    """An answer with images that were decoded from codes z."""

    decode: str = ""  # what they are: the "mean" of p(x|z) or a "sample" of it; "" of a decoder without p(x|z)


@dataclass(frozen=True, eq=False, kw_only=True)
class QueryFailed(Answer):
    """A query that could not be answered, with a sentence that says why."""

    kind: str  # the query's type
    message: str
    details: str = ""


@dataclass(frozen=True, eq=False)
class Notice(Event):
    """A sentence for the message bar."""

    level: str  # "info" | "good" | "warning" | "bad"
    text: str
    details: str = ""


@dataclass(frozen=True, eq=False)
class PictureRef:
    """An image to be looked at: give one of `path`, `image`, `index`."""

    label: str
    path: str | None = None
    image: np.ndarray | None = None  # uint8 [H, W] | [H, W, 3]
    data: str | None = None  # with `index`: an image of this data set
    index: int | None = None
    split: str = "valid"  # of the data that `index` counts in; "all": every image
