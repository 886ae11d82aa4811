"""Clips of one's own: animations, and folders of numbered frames. An image is then a frame with the four frames before it.

A folder of frames is understood as if it were one picture, so that whatever names the class or the split of a picture (a folder above
it, its name, a table) does so of a clip. All frames of a clip are of one group, so that no draw parts them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np

from engine.common.conditions import PAST_FRAMES
from engine.common.counting import number_of, was_or_were
from engine.data.dataset import BadData, Chosen, Part, Source, Step
from engine.data.layout import PlacedFile
from engine.data.limits import MAX_FILES
from engine.data.path_words import may_be_a_picture
from engine.data.storage import with_frames_before

ANIMATIONS = (".gif", ".webp", ".tif", ".tiff")
LISTED = 3  # clips that a note names


@dataclass(frozen=True)
class FrameFile:
    """Where a frame is."""

    path: str
    page: int | None = None


Clips = dict[str, list[FrameFile]]  # clip -> its frames, in their order


def find_clips(name: str, paths: list[str], count_frames: Callable[[str], int]) -> Generator[Step, None, Clips]:
    """The clips among the paths of a folder or archive `name`: each animation, and all other pictures of a folder by their numbers.

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
            clips.setdefault(_as_picture(path.rpartition("/")[0] or name), []).append(FrameFile(path))
        total += count
        if total > MAX_FILES:
            raise BadData(f"“{name}” has more than {MAX_FILES:,} frames, the limit; use a part of it.")
        yield Step(done, len(paths), "file", "Looking for clips")
    for frames in clips.values():
        frames.sort(key=lambda frame: (_in_numbers(frame.path), frame.page or 0))
    return clips


def _as_picture(folder: str) -> str:
    """The folder of a clip by a name that a picture may have: one called “walk.txt” is none of labels."""
    return folder if may_be_a_picture(folder.rpartition("/")[2]) else f"{folder}.frames"


def _in_numbers(path: str) -> list[tuple[int, str]]:
    """What sorts “2.png” before “10.png”."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def placed_frames(placed: list[PlacedFile], clips: Clips) -> list[PlacedFile]:
    """The frames of clips that stand where `placed` says, clip after clip."""
    return [replace(clip, path=frame.path, page=frame.page) for clip in placed for frame in clips[clip.path]]


def choose_frames(source: Source, placed: list[PlacedFile], kept: list[PlacedFile], clips: Clips) -> list[PlacedFile]:
    """Say of each part of a source of single frames which are images with the four before them (`Part.past`); the files of those.

    Where a frame could not be read, the clip goes on anew after it.

    Args:
        placed: all frames, clip after clip. kept: those that were read, as the parts hold them, in any order.

    Raises: BadData: every clip is too short.
    """
    place = {(frame.path, frame.page): (clip, n) for clip, frames in clips.items() for n, frame in enumerate(frames)}
    row_of: dict[tuple[str, int], int] = {}
    counted: Counter[str] = Counter()
    for file in kept:
        row_of[place[file.path, file.page]] = counted[file.split]
        counted[file.split] += 1
    later: list[PlacedFile] = []
    rows: dict[str, list[list[int]]] = {split: [] for split in source.parts}
    for file in placed:
        clip, n = place[file.path, file.page]
        last = [row_of.get((clip, at), -1) for at in range(n - PAST_FRAMES, n + 1)]
        if min(last) >= 0:
            rows[file.split].append(last)
            later.append(file)
    used = {place[file.path, file.page][0] for file in later}
    if not used:
        longest = max((len(frames) for frames in clips.values()), default=0)
        raise BadData(
            f"“{source.name}” has no clip of at least {PAST_FRAMES + 1} frames (the longest has {longest}); a frame needs the "
            f"{PAST_FRAMES} before it. Choose a folder of animations, or of folders with numbered frames."
        )
    source.parts = {split: _of_images(part, rows[split]) for split, part in source.parts.items() if rows[split]}
    _say(source, len(used), len(later), sorted({clip for clip, _ in row_of} - used))
    return later


def _of_images(part: Part, rows: list[list[int]]) -> Part:
    past = np.array(rows, np.int64)
    return replace(part, names=Chosen(part.names, past[:, -1]), past=past)


def join_frames(source: Source) -> None:
    """Make of the frames in a source's parts the images that were chosen, with the four frames before each."""
    for split, part in source.parts.items():
        if part.past is not None:
            images, before = with_frames_before(part.images, part.past)
            source.parts[split] = replace(part, images=images, before=before, past=None)


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
