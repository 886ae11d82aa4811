"""Pictures that come as bytes one after the other, from an archive or a table: decoded in the confined process, handed over in pieces."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.data.dataset import Part, Source, Step
from engine.data.decoding import Bad, decode
from engine.data.fingerprints import packed_prints
from engine.data.layout import PlacedFile
from engine.data.limits import MIB
from engine.data.picture_sets import kind_of, sentence_of, shown
from engine.data.pictures import Picture, adapt
from engine.data.pixel_facts import PixelFacts, Size
from engine.data.plain_png import Sheet
from engine.data.preprocessing import Preprocessing
from engine.data.rows import PixelRows, Restart, promised

_AT_ONCE = 2 * MIB  # pixels that are handed over at once

Content = bytes | Bad  # of a file, or why there is none


@dataclass
class StreamedPictures:
    """One attempt to read all pictures at one shape by one set of decisions."""

    shape: Size
    how: Preprocessing
    source: Source
    facts: PixelFacts
    counts: Counter[str]
    total: int  # pictures of all parts
    kept: list[PlacedFile] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)  # of the good ones in their files
    done: int = 0

    def part(self, split: str, count: int, items: Iterable[tuple[PlacedFile, Content]]) -> Generator[Step | PixelRows, None, None]:
        """Yields the pixels of a split of at most `count` pictures; its names go into the source."""
        names: list[str] = []
        room = (count, *self.shape)
        most = max(1, _AT_ONCE // math.prod(self.shape))
        sheet = Sheet(*self.shape, min(most, max(1, count)))
        others: list[tuple[int, np.ndarray]] = []  # (row, image) of those that are not on the sheet
        as_they_are = not (self.how.asked or self.how.of_bytes)

        def piece() -> PixelRows:
            pixels, top = sheet.pixels(others)
            self.facts.add_plain(sheet.taken, top)
            sheet.clear()
            others.clear()
            return PixelRows(split, room, pixels, packed_prints(pixels))

        for file, content in items:
            self.done += 1
            try:
                if isinstance(content, Bad):
                    raise content
                size = self.shape
                if not (as_they_are and not file.page and sheet.take(content)):
                    image, size = self._decoded(content, file.page)
                    others.append((sheet.taken + len(others), image))
            except Bad as bad:
                self.source.refuse(shown(file.name), sentence_of(str(bad)))
            else:
                self.kept.append(file)
                names.append(shown(file.name))
                self.sizes.append(size)
            if sheet.taken + len(others) >= most:
                yield piece()
            yield Step(self.done, self.total, "file", "Reading images")
        if sheet.taken + len(others):
            yield piece()
        if count:
            self.source.parts[split] = Part(promised(len(names), *self.shape), None, names)

    def _decoded(self, content: bytes, page: int | None) -> tuple[np.ndarray, Size]:
        """A picture of any kind uint8 [C, H, W], and the size it has in its file. Raises: Bad."""
        pixels, notes, seen = decode(content, self.how, page)
        image, said = adapt(Picture(pixels, (), self.how), self.shape)
        self.facts.add(seen.facts)
        self.counts.update(kind_of(note) for note in (*notes, *said))
        return image, (seen.channels, seen.height, seen.width)


def read_streamed(
    files: Collection[PlacedFile],
    contents: Callable[[str], Iterable[tuple[PlacedFile, Content]]],
    shape: Size,
    how: Preprocessing,
    source: Source,
    found: PixelFacts,
    counts: Counter[str],
) -> Generator[Step | PixelRows | Restart, None, tuple[list[PlacedFile], list[Size]]]:
    """One attempt (`picture_sets.Attempt`) to read all files, split after split; `contents` gives those of a split with their bytes."""
    pictures = StreamedPictures(shape, how, source, found, counts, len(files))
    for split in ("all", "train", "valid", "test"):
        count = sum(file.split == split for file in files)
        yield from pictures.part(split, count, contents(split) if count else ())
    return pictures.kept, pictures.sizes
