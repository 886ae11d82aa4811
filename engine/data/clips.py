"""Clips of one's own: animations, and folders of numbered frames. An image is then a frame with the four frames before it.

A folder of frames is understood as if it were one picture, so that whatever names the class or the split of a picture (a folder above
it, its name, a table) does so of a clip. All frames of a clip are of one group, so that no draw parts them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.common.conditions import PAST_FRAMES
from engine.common.counting import number_of, was_or_were
from engine.data.dataset import BadData, Chosen, Part, Source, Step
from engine.data.layout import PlacedFile
from engine.data.limits import MAX_FILES
from engine.data.path_words import may_be_a_picture
from engine.data.storage import room_for

ANIMATIONS = (".gif", ".webp", ".tif", ".tiff")
LISTED = 3  # clips that a note names


@dataclass(frozen=True)
class FrameFile:
    """Where a frame is."""

    path: str
    page: int | None = None


Clips = dict[str, list[FrameFile]]  # clip -> its frames, in their order


def find_clips(name: str, paths: list[str], count_frames: Callable[[str], int]) -> Generator[Step, None, Clips]:
    """The clips among the paths of a folder `name`: each animation, and all other pictures of one folder in the order of their numbers.

    Raises: BadData: too many frames.
    """
    clips: Clips = {}
    total = 0
    for done, path in enumerate(paths):
        if not may_be_a_picture(path.rpartition("/")[2]):
            continue
        count = count_frames(path) if path.lower().endswith(ANIMATIONS) else 1
        if count > 1:
            clips[path] = [FrameFile(path, page) for page in range(count)]
        else:
            clips.setdefault(path.rpartition("/")[0] or name, []).append(FrameFile(path))
        total += count
        if total > MAX_FILES:
            raise BadData(f"“{name}” has more than {MAX_FILES:,} frames, the limit; use a part of it.")
        yield Step(done, len(paths), "file", "Looking for clips")
    for frames in clips.values():
        frames.sort(key=lambda frame: (_in_numbers(frame.path), frame.page or 0))
    return clips


def _in_numbers(path: str) -> list[tuple[int, str]]:
    """What sorts “2.png” before “10.png”."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def placed_frames(placed: list[PlacedFile], clips: Clips) -> list[PlacedFile]:
    """The frames of clips that stand where `placed` says, clip after clip."""
    return [replace(clip, path=frame.path, page=frame.page) for clip in placed for frame in clips[clip.path]]


def join_frames(source: Source, kept: list[PlacedFile], clips: Clips) -> list[PlacedFile]:
    """Make of the frames in a source's parts images with the four frames before them; returns the files of those.

    Where a frame could not be read, the clip goes on anew after it.

    Raises: BadData: every clip is too short.
    """
    place = {(frame.path, frame.page): (clip, n) for clip, frames in clips.items() for n, frame in enumerate(frames)}
    later: list[PlacedFile] = []
    used: set[str] = set()
    for split, part in source.parts.items():
        files = [file for file in kept if file.split == split]
        rows = [
            row for first, end in _stretches([place[file.path, file.page] for file in files]) for row in range(first + PAST_FRAMES, end)
        ]
        images = _taken(part.images, np.array(rows, np.int64))
        before = room_for((len(rows), PAST_FRAMES, *part.images.shape[1:]))
        for back in range(PAST_FRAMES):
            for at, row in enumerate(rows):
                before[at, back] = part.images[row - PAST_FRAMES + back]
        source.parts[split] = Part(images, None, Chosen(part.names, np.array(rows, np.int64)), None, before)
        later += [files[row] for row in rows]
        used |= {place[files[row].path, files[row].page][0] for row in rows}
    seen = {place[file.path, file.page][0] for file in kept}
    short = sorted(seen - used)
    if not used:
        longest = max((len(frames) for frames in clips.values()), default=0)
        raise BadData(
            f"“{source.name}” has no clip of at least {PAST_FRAMES + 1} frames (the longest has {longest}); a frame needs the "
            f"{PAST_FRAMES} before it. Choose a folder of animations, or of folders with numbered frames."
        )
    source.parts = {split: part for split, part in source.parts.items() if len(part.images)}
    _say(source, len(used), len(later), short)
    return later


def group_by_clip(source: Source, later: list[PlacedFile], clips: Clips) -> None:
    """Number the clip of each image, unless the images are grouped by something else already."""
    if any(part.groups is not None for part in source.parts.values()):
        return
    clip_of = {(frame.path, frame.page): clip for clip, frames in clips.items() for frame in frames}
    names = sorted({clip_of[file.path, file.page] for file in later})
    number = {name: n for n, name in enumerate(names)}
    for split, part in source.parts.items():
        part.groups = np.array([number[clip_of[file.path, file.page]] for file in later if file.split == split], np.int64)
    source.grouped_by, source.group_names = "clip", tuple(names)


def _stretches(places: list[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """(first row, row after the last) of frames of one clip that follow each other."""
    first = 0
    for row in range(1, len(places) + 1):
        if row == len(places) or places[row] != (places[row - 1][0], places[row - 1][1] + 1):
            yield first, row
            first = row


def _taken(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows [n] of images, in room of their own."""
    taken = room_for((len(rows), *images.shape[1:]))
    for at, row in enumerate(rows.tolist()):
        taken[at] = images[row]
    return taken


def _say(source: Source, clips: int, images: int, short: list[str]) -> None:
    source.notes.append(
        f"{number_of(clips, 'clip')} {was_or_were(clips)} read as {number_of(images, 'image')}: each is a frame with the {PAST_FRAMES} "
        f"before it, so a clip’s first {PAST_FRAMES} are no images of their own. A clip lies whole in one split."
    )
    if short:
        more = f" and {len(short) - LISTED:,} more" if len(short) > LISTED else ""
        source.notes.append(
            f"{number_of(len(short), 'clip')} of fewer than {PAST_FRAMES + 1} frames {was_or_were(len(short))} left out: "
            f"{', '.join(short[:LISTED])}{more}."
        )
    if len(source.sizes) > 1:
        source.notes.append("Frames differ in size and were brought to one, so that motion is not the same in pixels in all clips.")
