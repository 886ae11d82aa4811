"""Archives of pictures (.zip, .tar, .tar.gz and others) in any layout of folders, and shards in the layout of WebDataset.

Nothing is unpacked to the disk; pictures are decoded one by one in the confined process.
"""

from __future__ import annotations

import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from engine.common.counting import number_of, was_or_were
from engine.common.file_endings import ARCHIVES, COMPRESSED_TARS
from engine.data.archives import DAMAGE, open_zip
from engine.data.clips import Clips, choose_frames, find_clips, group_by_clip, placed_frames
from engine.data.dataset import BadData, Sampled, SampleWish, Source, Step
from engine.data.decoding import Bad, look
from engine.data.layout import PlacedFile, understand
from engine.data.limits import (
    MAX_FILE_BYTES,
    MAX_GZIP_RATIO,
    MAX_NESTED_BYTES,
    MAX_PACKED_FILES,
    MAX_SET_BYTES,
    MAX_SHARDS,
    MAX_TABLE_BYTES,
    MIB,
    SHAPE_SAMPLE,
)
from engine.data.path_words import is_litter, may_be_a_picture, split_word, stem_of
from engine.data.picture_sets import (
    NO_FILE,
    common_shape,
    every_page,
    is_special,
    name_classes,
    read_in_agreement,
    say_what_is_bad,
    shown,
)
from engine.data.pixel_facts import Size
from engine.data.readers.arrays import read_npz, read_zipped
from engine.data.readers.pixel_table import ENDINGS, PixelFile, looks_like_pixels, read_files
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, Restart
from engine.data.sampled import first_answer
from engine.data.streamed import Content, read_streamed
from engine.data.table_text import NoTable, RawTable, parse_table

_FAULTS = (*DAMAGE, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)
_LABEL_FILES = (".cls", ".json")  # beside every picture of a shard
_LABEL_BYTES = 4_096
_HEAD = 1 << 16
_BESIDE = (".csv", ".tsv", ".jsonl", ".json", ".txt")  # tables beside the archives of a folder


def recognizes(path: Path) -> bool:
    """Whether it is an archive, or a folder of shards."""
    return (path.is_file() and path.name.lower().endswith(ARCHIVES)) or bool(_shards(path))


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "archive of images" if path.is_file() else f"{number_of(len(_shards(path)), 'shard')} of images"


def read(path: Path, recipe: ImportRecipe, wish: SampleWish | None = None) -> Generator[Step | PixelRows | Restart | Sampled, None, Source]:
    """Every picture of the archives at one size, after a sample that is wished for. Raises BadData for a damaged archive, or one without
    pictures.
    """
    name = path.name if path.is_dir() else re.sub(r"\.(zip|tar|tgz|tbz2|txz)(\.\w+)?$", "", path.name, flags=re.IGNORECASE)
    source = Source(name or path.name)
    if path.is_dir():
        with os.scandir(path) as entries:
            for special in sorted(entry.name for entry in entries if is_special(entry)):
                source.refuse(shown(special), NO_FILE)
    try:
        with ExitStack() as stack:
            files = [path] if path.is_file() else _contents(path)
            archives = [file for file in files if file.name.lower().endswith(ARCHIVES)]
            packed = _Packed(stack, archives, [file for file in files if file not in archives])
            yield from packed.listed()
            paths, labels = packed.paths_and_labels()
            clips: Clips = {}
            if recipe.frames == "clips":
                clips = yield from find_clips(source.name, paths, packed.frames_at)
                paths = [one for one in paths if not may_be_a_picture(one.rpartition("/")[2])] + list(clips)
            layout = understand(
                paths, recipe, lambda one: labels if one == packed.label_table else packed.table(one), packed.litter, packed.label_table
            )
            if packed.label_table in layout.tables or labels is not None:
                layout.notes = [note.replace(packed.label_table, "the files beside the images") for note in layout.notes]
            if not layout.files:
                numbers = yield from packed.images_as_numbers(source.name, recipe)
                if numbers is not None:
                    numbers.notes += packed.notes
                    return numbers
                raise BadData(
                    f"{path.name} holds no images; pack image files or one folder per class, or unpack it first if it holds other files."
                )
            if clips:
                layout.files = placed_frames(layout.files, clips)
            if wish is not None and not packed.compressed:
                yield from first_answer(
                    source.name,
                    layout,
                    recipe,
                    wish,
                    partial(_guessed, packed, recipe),
                    lambda some: partial(read_streamed, some, partial(packed.contents, some)),
                    (Restart(),),
                )
            pictures = packed.in_reading_order(layout.files)
            if recipe.pages == "all" and not clips:
                pictures = yield from every_page(path.name, pictures, lambda file: packed.frames_at(file.path))
            attempt = partial(read_streamed, pictures, partial(packed.contents, pictures))
            kept = yield from read_in_agreement(attempt, _guess(packed, pictures, recipe), source, recipe, (Restart(),))
    except tarfile.ReadError:
        raise BadData(f"{path.name} is damaged or no archive; save or download it again.") from None
    except _FAULTS:
        raise BadData(f"{path.name} is damaged (it cannot be unpacked); save or download it again.") from None
    if not kept:
        raise BadData(f"{path.name} holds no image that can be read: {source.bad[0].reason}")
    source.notes += packed.notes
    if clips:
        kept = choose_frames(source, layout.files, kept, clips)
    name_classes(source, layout, kept)
    if clips:
        group_by_clip(source, kept, clips)
    say_what_is_bad(source)
    return source


def _shards(path: Path) -> list[Path]:
    """The archives of a folder that holds nothing else but a few texts."""
    return [file for file in _contents(path) if file.name.lower().endswith(ARCHIVES)]


def _contents(path: Path) -> list[Path]:
    """The archives of a folder and the texts beside them; nothing where there is anything else."""
    found: list[Path] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if is_special(entry):
                    continue  # it is named when the folder is read; opening a pipe would wait for whoever writes into it
                archive = entry.name.lower().endswith(ARCHIVES)
                if len(found) > MAX_SHARDS or entry.is_dir() or not (archive or not may_be_a_picture(entry.name)):
                    return []
                if archive or entry.name.lower().endswith(_BESIDE):
                    found.append(Path(entry.path))
    except OSError:
        return []
    return sorted(found)


@dataclass(slots=True)
class Member:
    """A file in one of the archives."""

    archive: int
    entry: zipfile.ZipInfo | tarfile.TarInfo | int | Path  # an int: where it begins in a tar; a path: a file beside the archives
    size: int
    place: int  # in the order of the archives


class _Slice(io.RawIOBase):
    """Some bytes of a file as a file. Raises: tarfile.ReadError: it ends before them."""

    def __init__(self, file: Any, start: int, size: int) -> None:
        self._file, self._at, self._end = file, start, start + size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes; returns their number."""
        self._file.seek(self._at)
        data = self._file.read(min(len(buffer), self._end - self._at))
        if not data and self._at < self._end:
            raise tarfile.ReadError
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@dataclass
class _Packed:
    """Some archives as one tree of files."""

    stack: ExitStack
    files: list[Path]
    beside: list[Path] = field(default_factory=list)  # tables, as if they lay in the archives
    members: dict[str, Member] = field(default_factory=dict)  # by the path in the tree
    litter: list[str] = field(default_factory=list)  # paths of what is hidden or of a system
    notes: list[str] = field(default_factory=list)
    label_table: str = "labels beside the images.csv"
    _open: dict[int, zipfile.ZipFile | tarfile.TarFile] = field(default_factory=dict)

    def listed(self) -> Generator[Step, None, None]:
        """List all members; names that lead out of the archive, links and devices are left out with a note."""
        odd: list[str] = []
        shards = Counter(_of_shard(file) for file in self.files)
        for number, file in enumerate(self.files):
            total = 0
            most = min(MAX_SET_BYTES, max(64 * MIB, MAX_GZIP_RATIO * file.stat().st_size))
            of_class: bool | None = None  # whether it holds one class
            for path, size, entry in self._entries(number):
                total += size
                if total > most:
                    raise BadData(f"{file.name} was not opened: it unpacks to far more than it is; get it from a place you trust.")
                clean = path.replace("\\", "/")
                parts = tuple(part for part in clean.split("/") if part not in ("", "."))
                if entry is None or clean.startswith("/") or ".." in parts or not parts:
                    odd.append(path)
                elif any(map(is_litter, parts)):
                    place = next(place for place, part in enumerate(parts) if is_litter(part))
                    self.litter.append("/".join(parts[: place + 1]))
                else:
                    if of_class is None:
                        of_class = _named_by(file, parts[-1])
                    tree = "/".join(parts) if len(self.files) == 1 else _in_tree(file, parts, of_class, shards[_of_shard(file)] > 1)
                    if tree in self.members:
                        odd.append(path)
                        continue
                    self.members[tree] = Member(number, entry, size, len(self.members))
                if len(self.members) > MAX_PACKED_FILES:
                    raise BadData(f"{file.name} has more than {MAX_PACKED_FILES:,} files, the limit; use a part of it.")
                if len(self.members) % 256 == 0:
                    yield Step(len(self.members), None, "file", f"Listing {file.name}")
        for file in self.beside:
            self.members.setdefault(file.name, Member(-1, file, file.stat().st_size, len(self.members)))
        if odd:
            names = ", ".join(shown(name)[:60] for name in odd[:5])
            entries = number_of(
                len(odd),
                "entry that is no file, points outside the archive or is there twice",
                "entries that are no files, point outside the archive or are there twice",
            )
            self.notes.append(f"{entries} {was_or_were(len(odd))} left out: {names}.")

    def _entries(self, number: int) -> Iterator[tuple[str, int, zipfile.ZipInfo | tarfile.TarInfo | int | None]]:
        """(name, size, the entry where it is an ordinary file) of every entry that is no folder."""
        archive = self._archive(number)
        if isinstance(archive, zipfile.ZipFile):
            yield from ((entry.filename, entry.file_size, entry) for entry in archive.infolist() if not entry.filename.endswith("/"))
        else:
            files = 0
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # they take a kilobyte each, and are not asked for again
                if not entry.isdir():
                    files += 1
                    where = entry if entry.issparse() else entry.offset_data
                    yield entry.name, max(0, entry.size), where if entry.isreg() else None
            self._check_end(archive, self.files[number], files)

    def _check_end(self, archive: tarfile.TarFile, file: Path, files: int) -> None:
        """Say where a tar does not end with a block of zeros, as POSIX has it: what is behind damage looks as if it were not there. One
        that ends behind a whole entry may be whole, since some who write one leave the zeros out.
        """
        if archive.fileobj is not None:
            archive.fileobj.seek(archive.offset - 1)
            last, behind = archive.fileobj.read(1), archive.fileobj.read(tarfile.BLOCKSIZE)
            if behind == bytes(tarfile.BLOCKSIZE):
                return
            if last and not behind:
                self.notes.append(f"{file.name} ends behind {number_of(files, 'file')} without an end mark, so more may be missing.")
            else:
                self.notes.append(
                    f"{file.name} is cut off or damaged behind {number_of(files, 'file')}, and what may follow is missing; "
                    "save or download it again."
                )

    def _archive(self, number: int) -> zipfile.ZipFile | tarfile.TarFile:
        if number not in self._open:
            file = self.files[number]
            if file.name.lower().endswith(".zip"):
                self._open[number] = self.stack.enter_context(open_zip(file, MAX_PACKED_FILES))
            else:
                self._open[number] = self.stack.enter_context(tarfile.TarFile.open(file, "r:*"))
        return self._open[number]

    def content(self, path: str, most: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a file of the tree. Raises: Bad: too many."""
        member = self.members[path]
        if member.size > most:
            raise Bad(f"it has {member.size / MIB:,.0f} MB and the limit is {most / MIB:g} MB; save it smaller")
        archive = self._archive(member.archive) if member.archive >= 0 else None
        if isinstance(archive, tarfile.TarFile) and isinstance(member.entry, int) and archive.fileobj is not None:
            archive.fileobj.seek(member.entry)
            data = archive.fileobj.read(member.size)
            if len(data) < member.size:
                raise tarfile.ReadError
            return data
        with self._stream(member) as stream:
            return stream.read(most + 1)

    def _stream(self, member: Member) -> IO[bytes]:
        """A file of the tree from its start. Raises: Bad."""
        if isinstance(member.entry, Path):
            return member.entry.open("rb")
        archive, stream = self._archive(member.archive), None
        if isinstance(archive, zipfile.ZipFile) and isinstance(member.entry, zipfile.ZipInfo):
            stream = archive.open(member.entry)
        elif isinstance(archive, tarfile.TarFile) and isinstance(member.entry, int) and archive.fileobj is not None:
            stream = io.BufferedReader(_Slice(archive.fileobj, member.entry, member.size))
        elif isinstance(archive, tarfile.TarFile) and isinstance(member.entry, tarfile.TarInfo):
            stream = archive.extractfile(member.entry)
        if stream is None:
            raise Bad("it is no ordinary file")
        return stream

    def contents(self, files: list[PlacedFile], split: str) -> Iterator[tuple[PlacedFile, Content]]:
        """The bytes of each file of a split, unpacked once for all its pages."""
        last = ""
        data: Content = b""
        for file in files:
            if file.split != split:
                continue
            if file.path != last:
                last = file.path
                try:
                    data = self.content(file.path)
                except Bad as bad:
                    data = bad
            yield file, data

    def frames_at(self, path: str) -> int:
        """How many pages a picture of the tree has."""
        try:
            return look(self.content(path)).frames
        except Bad:
            return 1  # it is refused by name when it is read

    @property
    def compressed(self) -> bool:
        """Whether an archive is packed as a whole, so that going back in it means unpacking all again."""
        return any(file.name.lower().endswith(COMPRESSED_TARS) for file in self.files)

    def in_reading_order(self, files: list[PlacedFile]) -> list[PlacedFile]:
        """By their paths, as a folder is read; by their places where going back means unpacking all again."""
        return sorted(files, key=lambda file: self.members[file.path].place) if self.compressed else files

    def table(self, path: str) -> RawTable | None:
        """The cells of a table of the tree."""
        try:
            return parse_table(path, self.content(path, MAX_TABLE_BYTES)) if path in self.members else None
        except (Bad, NoTable):
            return None

    def images_as_numbers(self, name: str, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source | None]:
        """From tables of pixels, or from arrays of NumPy; None where there are none. Raises: BadData."""
        source = yield from read_files(self.pixel_tables(), name, recipe)
        if source is not None:
            return source
        archive = self._archive(0)
        if isinstance(archive, zipfile.ZipFile) and any(path.lower().endswith(".npy") for path in self.members):
            return (yield from read_zipped(archive, Path(f"{name}.zip"), recipe))
        nested = sorted((path for path in self.members if path.lower().endswith(".npz")), key=lambda path: (path.count("/"), path))
        if not nested:
            return None
        try:
            content = self.content(nested[0], MAX_NESTED_BYTES)
        except Bad as bad:
            raise BadData(f"{nested[0]} in the archive was not opened: {bad}, or unpack it.") from None
        source = yield from read_npz(Path(nested[0]), recipe, content)
        if len(nested) > 1:
            source.notes.append(f"The images are those of {nested[0]}; other arrays in the archive are left out: {', '.join(nested[1:6])}.")
        return source

    def pixel_tables(self) -> list[PixelFile]:
        """The tables whose first bytes may be those of images as numbers."""
        found: list[PixelFile] = []
        for path in self.members:
            if path.lower().endswith(ENDINGS):
                with self._stream(self.members[path]) as stream:
                    if looks_like_pixels(stream.read(_HEAD)):
                        found.append(PixelFile(path, partial(self._stream, self.members[path])))
        return found

    def paths_and_labels(self) -> tuple[list[str], RawTable | None]:
        """All paths; where every picture has a file with its label beside it (000.jpg, 000.cls), a table of these in their place."""
        pictures = {stem_of(path): path for path in self.members if may_be_a_picture(path) and not path.endswith(_LABEL_FILES)}
        for ending in _LABEL_FILES:
            beside = {stem: f"{stem}{ending}" for stem in pictures if f"{stem}{ending}" in self.members}
            if len(beside) < 0.5 * max(1, len(pictures)):
                continue
            rows = [(pictures[stem], self._label(path)) for stem, path in beside.items()]
            table = RawTable(["file", "label"], [[path, label] for path, label in rows if label])
            if table.rows:
                without = set(beside.values())
                return [*(path for path in self.members if path not in without), self.label_table], table
        return list(self.members), None

    def _label(self, path: str) -> str:
        """What a file beside a picture says of its class: its text, or the label in its JSON."""
        try:
            data = self.content(path, _LABEL_BYTES)
        except Bad:
            return ""
        if path.endswith(".cls"):
            return data.decode("utf-8", "replace").strip()[:100]
        try:
            table = parse_table("one.jsonl", data.replace(b"\n", b" ").replace(b"\r", b" "))
        except NoTable:
            return ""
        known = [name for name in ("label", "cls", "class", "category", "target") if name in table.columns]
        return table.rows[0][table.columns.index(known[0])] if known else ""


def _named_by(file: Path, member: str) -> bool:
    """Whether an archive is a class, as ImageNet is packed: n01440764.tar holds n01440764_18.JPEG."""
    stem = _stem(file)
    word = re.search(r"[^\W\d_]", stem) is not None and not split_word(_of_shard(file))
    return word and re.match(rf"{re.escape(stem)}[-_. ]\w", member) is not None


def _in_tree(file: Path, parts: tuple[str, ...], of_class: bool, numbered: bool) -> str:
    """Where a member of one of several archives is in their common tree; no two have the same place."""
    stem = _stem(file)
    if len(parts) > 1 and parts[0].casefold() == stem.casefold():  # train.zip, in which all is in “train”
        parts = parts[1:]
    *folders, name = list(parts)
    name = f"{stem}-{name}" if numbered and not of_class else name
    return "/".join((stem if of_class else _of_shard(file), *folders, name))


def _of_shard(file: Path) -> str:
    """What the shards of one split share: “train” of train-000001.tar and of imagenet-train-{000..146}.tar."""
    return re.sub(r"[-_.]?\d+$", "", _stem(file)) or "shards"


def _stem(file: Path) -> str:
    """“train” of train.tar.gz."""
    return re.sub(
        rf"({'|'.join(re.escape(ending) for ending in sorted(ARCHIVES, key=len, reverse=True))})$", "", file.name, flags=re.IGNORECASE
    )


def _guess(packed: _Packed, files: list[PlacedFile], recipe: ImportRecipe) -> Size:
    """The shape that a few headers, spread over the files, suggest."""
    sizes: list[Size] = []
    for file in files[:: max(1, len(files) // SHAPE_SAMPLE)]:
        try:
            seen = look(packed.content(file.path))
        except Bad:
            continue
        sizes.append((seen.channels, seen.height, seen.width))
    return common_shape(Source(""), sizes, recipe) if sizes else (3, 32, 32)


def _guessed(packed: _Packed, recipe: ImportRecipe, files: list[PlacedFile]) -> Generator[Step, None, Size]:
    yield Step(0, None, "image", "Looking at sizes")
    return _guess(packed, files, recipe)
