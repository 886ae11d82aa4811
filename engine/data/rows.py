"""What a reader of files hands over piece by piece while it runs in the confined process, and how a whole source crosses over.

A reader yields `PixelRows` for each piece of pixels and returns a `Source` whose parts hold `promised` arrays; the program's side
(confined.py) puts the pieces into room of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.common.conditions import PAST_FRAMES
from engine.data.array_labels import NO_LABEL
from engine.data.dataset import BadData, Numbered, Part, Source
from engine.data.preprocessing import preprocessing_of

Room = tuple[int, int, int, int]  # N, C, H, W


@dataclass(frozen=True, eq=False)
class PixelRows:
    """The next images of a part, in order."""

    part: str  # "train" | "valid" | "test" | "all"
    room: Room  # of the whole part; N may be too large, the returned part says how many there were
    pixels: np.ndarray  # uint8 [n, C, H, W]
    prints: bytes = b""  # what they are compared by, as `packed_prints` gives it; of all pieces of a part, or of none


@dataclass(frozen=True)
class Restart:
    """All rows that were yielded are void: what came after them shows that they should have been read otherwise."""


def promised(count: int, channels: int, height: int, width: int) -> np.ndarray:
    """An array [N, C, H, W] without memory, in place of the rows that were yielded."""
    return np.broadcast_to(np.uint8(0), (count, channels, height, width))


def source_frame(source: Source) -> tuple[dict[str, Any], bytes]:
    """A source as JSON, with labels and text behind it; its pixels have gone before."""
    parts: dict[str, Any] = {}
    payload = bytearray()
    for name, part in source.parts.items():
        names = part.names.prefix if isinstance(part.names, Numbered) else list(part.names)
        parts[name] = {"shape": list(part.images.shape), "labels": part.labels is not None, "names": names}
        parts[name]["groups"] = part.groups is not None
        if part.past is not None:  # the pixels that went before are single frames
            parts[name] |= {"shape": [len(part.past), *part.images.shape[1:]], "frames": len(part.images), "past": part.past.shape[1]}
        if part.labels is not None:
            payload += np.ascontiguousarray(part.labels, "<i8").tobytes()
        if part.groups is not None:
            payload += np.ascontiguousarray(part.groups, "<i8").tobytes()
        if part.past is not None:
            payload += np.ascontiguousarray(part.past, "<i8").tobytes()
        if isinstance(part.names, Numbered):
            payload += np.ascontiguousarray(part.names.numbers, "<i8").tobytes()
    if source.text is not None:
        payload += source.text
    head = {
        "name": source.name, "parts": parts, "classes": list(source.classes), "notes": source.notes, "encoding": source.encoding,
        "text": None if source.text is None else len(source.text), "preprocessing": source.preprocessing.changed(),
        "values": source.values, "understood": source.understood,
        "grouped_by": source.grouped_by, "group_names": list(source.group_names),
        "sizes": source.sizes, "bad": [[bad.path, bad.reason] for bad in source.bad], "bad_total": source.bad_total,
    }  # fmt: skip
    return {"source": head}, bytes(payload)


def source_from_frame(head: dict[str, Any], payload: bytes, rooms: dict[str, np.ndarray], filled: dict[str, int]) -> Source:
    """What `source_frame` wrote down, with the pixels that came. Raises: BadData: an answer that does not fit itself."""
    try:
        source = Source(str(head["name"]), classes=tuple(map(str, head["classes"])), notes=[str(note) for note in head["notes"]])
        source.encoding = str(head["encoding"])
        source.preprocessing, source.values = preprocessing_of(head["preprocessing"]), dict(head["values"])
        source.understood = dict(head["understood"])
        source.grouped_by, source.group_names = str(head["grouped_by"]), tuple(map(str, head["group_names"]))
        source.sizes = {str(words): int(number) for words, number in head["sizes"].items()}
        for path, reason in head["bad"]:
            source.refuse(str(path), str(reason))
        source.bad_total = int(head["bad_total"])
        place = 0
        for name, about in head["parts"].items():
            count, *image = (int(n) for n in about["shape"])
            room = rooms.get(name)
            if room is None and count == 0:
                room = np.zeros((0, *image), np.uint8)
            if ("frames" in about) != ("past" in about):
                raise ValueError
            frames = int(about.get("frames", count))
            if room is None or filled.get(name, 0) != frames or tuple(image) != room.shape[1:]:
                raise ValueError
            labels = None
            if about["labels"]:
                labels = np.frombuffer(payload, "<i8", count, place).astype(np.int64)
                place += 8 * count
                if labels.size and not NO_LABEL <= labels.min() <= labels.max() < len(source.classes):
                    raise ValueError
            groups = None
            if about["groups"]:
                groups = np.frombuffer(payload, "<i8", count, place).astype(np.int64)
                place += 8 * count
            past = None
            if "past" in about:
                if int(about["past"]) != PAST_FRAMES + 1:
                    raise ValueError
                past = np.frombuffer(payload, "<i8", count * int(about["past"]), place).astype(np.int64).reshape(count, -1)
                place += past.nbytes
                if past.size and not 0 <= past.min() <= past.max() < frames:
                    raise ValueError
            if isinstance(about["names"], str):
                names: Sequence[str] = Numbered(about["names"], np.frombuffer(payload, "<i8", count, place).astype(np.int64))
                place += 8 * count
            else:
                names = [str(one) for one in about["names"]]
                if len(names) != count:
                    raise ValueError
            source.parts[name] = Part(room[:frames], labels, names, groups, past=past)
        if head["text"] is not None:
            source.text = payload[place:]
            place += int(head["text"])
        if place != len(payload):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise BadData("The reading process gave a damaged answer; open the data again, or get the file from a place you trust.") from None
    return source
