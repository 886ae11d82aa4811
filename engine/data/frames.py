"""What goes over the pipes between the program and its decoding process: 4 bytes length, JSON, then `payload` bytes.

JSON and not pickle, because the process at the other end handles hostile files.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import IO, Any

Room = Callable[[dict[str, Any]], memoryview]  # where the beginning of a payload goes, by the head before it: bytes that may be written


def send(stream: IO[bytes], head: dict[str, Any], *payloads: Any) -> None:
    """One frame; its payload may come in several pieces."""
    size = sum(memoryview(payload).nbytes for payload in payloads)
    text = json.dumps({**head, "payload": size}).encode("ascii")
    stream.write(struct.pack(">I", len(text)) + text)
    for payload in payloads:
        if memoryview(payload).nbytes:
            stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes], room: Room | None = None) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, None at the end of the stream. What `room` has taken is missing from its payload.

    Raises: ValueError: it is no frame, or none that fits the room.
    """
    start = stream.read(4)
    if len(start) < 4:
        return None
    text = stream.read(struct.unpack(">I", start)[0])
    try:
        head = json.loads(text)
    except ValueError:
        return None
    left = head["payload"]
    if room is not None:
        place = room(head)
        left -= len(place)
        if left < 0:
            raise ValueError
        if len(place) and stream.readinto(place) < len(place):  # type: ignore[attr-defined]
            return None
    payload = stream.read(left)
    return (head, payload) if len(payload) == left else None
