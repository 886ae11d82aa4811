"""The decoding process: reads requests from stdin, writes pixels to stdout, and may die without harm to the program.

It has little memory, may write no file and knows no torch. The program's side is decoder.py.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from engine.data.frames import receive, send
from engine.data.limits import DECODE_BYTES


def main() -> None:
    """Decode files asked for over standard input until it closes; answers go to standard output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what C libraries print must not reach the answers
    requests = sys.stdin.buffer

    from PIL import Image

    from engine.data import decoding, pictures, unpickling  # noqa: F401  (loaded before memory gets scarce)

    Image.init()
    _confine()
    send(answers, {"ready": True})
    while (frame := receive(requests)) is not None:
        request, data = frame
        send(answers, *_answer(request, data))


def _confine() -> None:
    """Little memory, no files, no core dumps. Where the system cannot (Windows), the parent's time limit remains."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in ((resource.RLIMIT_AS, DECODE_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            continue  # a stricter limit is set already, or the system has none


def _answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], Any]:
    from engine.data.decoding import Bad, decode, look, read_bytes
    from engine.data.pickles import Refused
    from engine.data.pictures import Picture, adapt
    from engine.data.unpickling import unpickle

    try:
        if request["op"] == "unpickle":
            return unpickle(data if request["path"] is None else request["path"], request["count"])
        if request["path"] is not None:
            data = read_bytes(request["path"])
        if request["op"] == "look":
            seen = look(data)
            return {"shape": [seen.channels, seen.height, seen.width]}, b""
        pixels, notes = decode(data)
        if request["shape"] is not None:
            pixels, how = adapt(Picture(pixels), tuple(request["shape"]))
            notes += how
        return {"shape": list(pixels.shape), "notes": notes}, pixels
    except (Bad, Refused) as bad:
        return {"bad": str(bad)}, b""
    except MemoryError:
        if request["op"] == "unpickle":
            return {"bad": "needs more memory to be read than any table of images"}, b""
        return {"bad": "decoding it needs more memory than is allowed; scale it down first"}, b""
    except Exception as error:
        return {"bad": f"it could not be decoded ({type(error).__name__}); save it again as PNG"}, b""


if __name__ == "__main__":
    main()
