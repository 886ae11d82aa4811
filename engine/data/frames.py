"""What goes over the pipes between the program and its decoding process: 4 bytes length, JSON, then `payload` bytes.

JSON and not pickle, because the process at the other end handles hostile files.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any


def send(stream: IO[bytes], head: dict[str, Any], payload: Any = b"") -> None:
    """One frame."""
    size = memoryview(payload).nbytes
    text = json.dumps({**head, "payload": size}).encode("ascii")
    stream.write(struct.pack(">I", len(text)) + text)
    if size:
        stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, None at the end of the stream."""
    start = stream.read(4)
    if len(start) < 4:
        return None
    text = stream.read(struct.unpack(">I", start)[0])
    try:
        head = json.loads(text)
    except ValueError:
        return None
    payload = stream.read(head["payload"])
    return (head, payload) if len(payload) == head["payload"] else None
