"""Messages of curation: decisions about single images of a data set, which are kept beside it; its files are never touched."""

from __future__ import annotations

from dataclasses import dataclass

from engine.messages.base import Answer, Event, Query

__all__ = ["Curate", "Curated", "CuratedImage", "CurationChanged"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Curate(Query):
    """Decide about some images of a data set -> `Curated`. "look" only asks.

    Every decision is asked on a channel of its own, so that none is dropped for a newer one.
    """

    data: str  # as it is shown, with or without its curation
    act: str = "look"  # "exclude" | "include" | "relabel" | "tag" | "untag" | "undo" | "redo" | "look"
    names: tuple[str, ...] = ()  # of the images, as in the set
    value: str = ""  # the class or the tag
    of: str = ""  # which decision to undo or redo: its sign, or the channel that it was asked on; "": the newest, whoever made it


@dataclass(frozen=True)
class CuratedImage:
    """What was decided about one image."""

    name: str
    excluded: bool = False
    label: str = ""  # its class; "": as the data say
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Curated(Answer):
    """The decisions that are in force about a data set."""

    data: str  # as it was asked
    plain: str  # its name without the decisions
    curated: str  # its name with them; the same as `plain` where there are none
    decisions: int  # steps in force
    images: tuple[CuratedImage, ...]  # all that something is in force about
    excluded: int
    relabelled: int
    tags: tuple[tuple[str, int], ...]  # (tag, images), the most frequent first
    classes: tuple[str, ...]  # that an image can be given
    undo: str = ""  # what an undo would take back, in words; "" for nothing
    redo: str = ""
    undo_sign: str = ""  # of that decision
    redo_sign: str = ""
    file: str = ""  # where they are kept


@dataclass(frozen=True, eq=False)
class CurationChanged(Event):
    """Decisions about a data set have changed in this window: told to all that show its images."""

    told: Curated
