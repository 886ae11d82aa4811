"""Folders of image files: one folder per class, or flat, optionally below train, valid and test folders."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Generator
from functools import partial
from pathlib import Path

from engine.common.file_endings import PICTURES
from engine.data.clips import Clips, choose_frames, find_clips, group_by_clip, join_frames, placed_frames
from engine.data.dataset import BadData, Part, Sampled, SampleWish, Source, Step
from engine.data.decode_pool import FEW, WAIT_SECONDS, DecodedFiles, Files, decode_files
from engine.data.decoder import Undecodable, frames_of, look, read_table
from engine.data.fingerprints import Fingerprints
from engine.data.layout import Layout, PlacedFile, understand
from engine.data.limits import MAX_DEPTH, MAX_FILES, READERS, SHAPE_SAMPLE
from engine.data.path_words import is_litter, may_be_a_picture
from engine.data.picture_sets import (
    NO_FILE,
    common_shape,
    every_page,
    is_special,
    kind_of,
    name_classes,
    read_in_agreement,
    say_what_is_bad,
    sentence_of,
    shown,
)
from engine.data.pixel_facts import PixelFacts, Size
from engine.data.preprocessing import Preprocessing
from engine.data.reader_process import made_ready
from engine.data.recipe import ImportRecipe
from engine.data.sampled import first_answer
from engine.data.storage import room_for
from engine.data.table_text import RawTable


def recognizes(path: Path) -> bool:
    """Whether it is a folder or an image file."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() in PICTURES)


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "folder of images"


def read(path: Path, recipe: ImportRecipe, wish: SampleWish | None = None) -> Generator[Step | Sampled, None, Source]:
    """Every image of the folder at one size; what cannot be read is listed with the reason. Raises BadData when nothing is left.

    A sample that is wished for is yielded first.
    """
    if path.is_file():
        try:
            look(str(path))
        except Undecodable as bad:
            raise BadData(f"“{path.name}” cannot be read: {bad}.") from None
        raise BadData(f"“{path.name}” is a single picture; drop it onto a pane, or choose the folder it lies in.")
    source = Source(path.resolve().name)
    paths, litter, empty, odd = yield from _walk(path, source)
    clips: Clips = {}
    if recipe.frames == "clips":
        clips = yield from find_clips(path.name, paths, partial(_frames_at, path))
        paths = [one for one in paths if not may_be_a_picture(one.rpartition("/")[2])] + list(clips)
    with made_ready(min(READERS, os.cpu_count() or 1) if len(paths) >= FEW else 0) as started:
        layout = yield from _understood(path, sorted(paths), litter, empty, recipe)
        while not started(WAIT_SECONDS):
            yield Step(len(paths), None, "file", "Looking at names and tables")
    if not layout.files and not source.bad_total:
        raise BadData(f"“{path.name}” holds no images; choose a folder with image files or one folder per class.")
    if wish is not None:
        yield from first_answer(
            source.name, layout, recipe, wish, lambda files: _guess(path, files, recipe), lambda files: partial(_decoded, path, files, odd)
        )
    if clips:
        layout.files = placed_frames(layout.files, clips)
    elif recipe.pages == "all":
        layout.files = yield from every_page(path.name, layout.files, partial(_frames, path))
    shape = yield from _guess(path, layout.files, recipe)
    kept = yield from read_in_agreement(partial(_decoded, path, layout.files, odd), shape, source, recipe)
    if not kept:
        raise BadData(f"“{path.name}” holds no image that can be read: {source.bad[0].reason}")
    if clips:
        kept = choose_frames(source, layout.files, kept, clips)
        join_frames(source)
    name_classes(source, layout, kept)
    if clips:
        group_by_clip(source, kept, clips)
    say_what_is_bad(source)
    return source


def _understood(root: Path, paths: list[str], litter: list[str], empty: list[str], recipe: ImportRecipe) -> Generator[Step, None, Layout]:
    found: list[Layout | BaseException] = []
    given_up = threading.Event()

    def table(path: str) -> RawTable | None:
        if given_up.is_set():
            raise GeneratorExit  # nobody waits for the rest
        return read_table(os.path.join(root, path))

    def work() -> None:
        try:
            found.append(understand(paths, recipe, table, litter, empty=empty))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work, name="understanding a folder", daemon=True)
    thread.start()  # a hundred thousand paths take a second, in which the window goes on
    try:
        while thread.is_alive():
            thread.join(WAIT_SECONDS)
            yield Step(len(paths), None, "file", "Looking at names and tables")
    finally:
        given_up.set()
        thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _walk(root: Path, source: Source) -> Generator[Step, None, tuple[list[str], list[str], list[str], frozenset[str]]]:
    """(the paths of all files below the root, those of what is hidden or of the system, those of empty folders, those of files that are
    no ordinary ones by their entry).

    A folder that was visited (a link that leads back) is not entered again; linked folders come last, so that a folder is known by
    its own name.
    """
    found: list[str] = []
    odd: set[str] = set()
    visited: set[tuple[int, int]] = set()
    litter: list[str] = []
    empty: list[str] = []
    waiting: list[tuple[str, str]] = [(str(root), "")]
    linked: list[tuple[str, str]] = []
    while waiting or linked:
        folder, trail = waiting.pop() if waiting else linked.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                source.refuse(shown(_below(root, folder)), "The folder was read already under another name; this link to it is left out.")
                continue
            visited.add((status.st_dev, status.st_ino))
            if trail.count("/") > MAX_DEPTH:
                source.refuse(shown(_below(root, folder)), f"The folder lies more than {MAX_DEPTH} folders deep; move it up.")
                continue
            with os.scandir(folder) as entries:
                place = -1
                for place, entry in enumerate(entries):
                    if is_litter(entry.name):
                        litter.append(trail + entry.name)
                    elif _is_folder(entry):
                        (linked if entry.is_symlink() else waiting).append((entry.path, f"{trail}{entry.name}/"))
                    elif is_special(entry):
                        source.refuse(shown(_below(root, entry.path)), NO_FILE)
                    else:
                        found.append(trail + entry.name)
                        if not _is_ordinary(entry):
                            odd.add(found[-1])
                        if len(found) > MAX_FILES:
                            raise BadData(f"“{root.name}” has more than {MAX_FILES:,} files, the limit; use a part of it.")
                    if place % 256 == 0:
                        yield Step(len(found), None, "file", "Looking for images")
                if place < 0 and trail:
                    empty.append(trail[:-1])
        except OSError as error:
            source.refuse(shown(_below(root, folder)), f"The folder cannot be opened ({error.strerror}); check its permissions.")
    found.sort()
    return found, litter, empty, frozenset(odd)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads round in a circle


def _is_ordinary(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _frames(root: Path, file: PlacedFile) -> int:
    return _frames_at(root, file.path)


def _frames_at(root: Path, path: str) -> int:
    try:
        return frames_of(os.path.join(root, path))
    except Undecodable:
        return 1  # it is refused by name when it is read


def _guess(root: Path, files: list[PlacedFile], recipe: ImportRecipe) -> Generator[Step, None, Size]:
    """The shape that a few headers, spread over the files, suggest."""
    shapes: list[Size] = []
    step = max(1, len(files) // SHAPE_SAMPLE)
    for file in files[::step]:
        try:
            shapes.append(look(os.path.join(root, file.path)))
        except Undecodable:
            continue
        yield Step(0, len(files), "file", "Looking at sizes")
    return common_shape(Source(""), shapes, recipe) if shapes else (3, 32, 32)


def _decoded(
    root: Path,
    files: list[PlacedFile],
    odd: frozenset[str],
    shape: Size,
    how: Preprocessing,
    source: Source,
    found: PixelFacts,
    counts: Counter[str],
) -> Generator[Step, None, tuple[list[PlacedFile], list[Size]]]:
    kept: list[PlacedFile] = []
    shapes: list[Size] = []
    done = 0
    above = os.path.join(os.path.abspath(root), "")
    for split in ("all", "train", "valid", "test"):
        mine = [file for file in files if file.split == split]
        if not mine:
            continue
        prints = Fingerprints.room(room_for((len(mine), *shape)))
        names: list[str] = []
        place = 0
        asked = Files(above, [file.path for file in mine], [file.page for file in mine], odd)
        for batch in decode_files(asked, prints, how):
            if batch is not None:
                good = _good(mine[place : place + len(batch.sizes)], batch, source)
                kept += good
                names += [shown(file.name) for file in good]
                found.add_plain(batch.plain, batch.top)
                for facts in batch.facts:
                    found.add(facts)
                shapes += [size for size in batch.sizes if not isinstance(size, str)]
                counts.update(kind_of(note) for notes in batch.notes for note in notes)
                place += len(batch.sizes)
            yield Step(done + place, len(files), "file", "Reading images")
        done += len(mine)
        prints = prints.first(len(names))
        source.parts[split] = Part(prints.images, None, names, prints=prints)
    return kept, shapes


def _good(files: list[PlacedFile], batch: DecodedFiles, source: Source) -> list[PlacedFile]:
    """Those of a batch that are pictures; the source keeps why the others are none."""
    if batch.good == len(files):
        return files
    good: list[PlacedFile] = []
    for file, size in zip(files, batch.sizes, strict=True):
        if isinstance(size, str):
            source.refuse(shown(file.path), sentence_of(size))
        else:
            good.append(file)
    return good


def _below(root: Path, path: str) -> str:
    return os.path.relpath(path, root)
