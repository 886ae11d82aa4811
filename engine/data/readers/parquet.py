"""Parquet tables with a column of encoded pictures, as the Hugging Face Hub keeps image data sets; format: Apache Parquet.

A picture is a struct of `bytes` and `path`, or the bytes alone; a class is a number with its name in the schema's metadata, or a text.
Tables are read in pieces of their row groups and never as a whole.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from engine.common.file_endings import PARQUET
from engine.data.confinement import allow_bytes
from engine.data.dataset import BadData, Source, Step
from engine.data.decoding import Bad, look
from engine.data.extras import how_to_get, library
from engine.data.layout import Layout, PlacedFile, understand
from engine.data.limits import MAX_FILE_BYTES, MAX_PACKED_FILES, MAX_SHARDS, MAX_TABLE_CELL, MAX_TABLE_PIECE_BYTES, MIB, SHAPE_SAMPLE
from engine.data.path_words import is_litter, may_be_a_picture, split_word
from engine.data.picture_sets import common_shape, name_classes, read_in_agreement, say_what_is_bad, shown
from engine.data.pixel_facts import Size
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, Restart
from engine.data.streamed import Content, read_streamed
from engine.data.table_text import RawTable

_COLUMNS = "columns.csv"  # what the columns that are no pictures are called as a table
_IMAGE_NAMES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "images", "pixels")
_PIECE_BYTES = 8 * MIB  # of pictures that are in memory at once
_LONG_TEXT = 200  # bytes a row: captions, no classes
_MOST_COLUMNS = 24  # that are looked at for classes
_DEEPEST = 3  # folders above a shard
_METADATA_BYTES = 8 * MIB
_NUMBERING = re.compile(r"[-_.]?\d+([-_]of[-_]\d+)?([-_.][0-9a-f]{8,})?$")  # train-00000-of-00002-1a2b3c4d5e6f


def recognizes(path: Path) -> bool:
    """Whether it is a Parquet file, or a folder with some and no pictures beside them."""
    return (path.is_file() and path.name.lower().endswith(PARQUET)) or (path.is_dir() and bool(_shards(path)))


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    count = 1 if path.is_file() else len(_shards(path))
    return "Parquet table of images" if count == 1 else f"{count:,} Parquet tables of images"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows | Restart, None, Source]:
    """Every picture of the tables at one size. Raises BadData for a damaged table, or one without pictures."""
    parquet = library("pyarrow.parquet")
    if parquet is None:
        raise BadData(f"{path.name} is a Parquet table, which needs the package pyarrow; {how_to_get('pyarrow')}.")
    source = Source(path.stem if path.is_file() else path.resolve().name)
    tables = _Tables(parquet, recipe)
    try:
        yield from tables.opened(path, [path] if path.is_file() else _shards(path))
        layout, order = yield from tables.understood(recipe)
        if not layout.files:
            raise BadData(f"{path.name} holds no images; choose a table with a column of pictures.")
        files = {file.path: file for file in layout.files}
        attempt = partial(read_streamed, layout.files, partial(tables.contents, files))
        kept = yield from read_in_agreement(attempt, tables.guess(recipe), source, recipe, (Restart(),))
    except (BadData, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # of the disk, and not pyarrow's own
            raise
        raise BadData(f"{path.name} is damaged or no Parquet table; save or download it again.") from None
    except (library("pyarrow").lib.ArrowException, ValueError, KeyError, IndexError, OverflowError, NotImplementedError):
        raise BadData(f"{path.name} is damaged or no Parquet table; save or download it again.") from None
    if not kept:
        raise BadData(f"{path.name} holds no image that can be read: {source.bad[0].reason}")
    source.notes += tables.notes
    name_classes(source, layout, kept, order)
    say_what_is_bad(source)
    return source


def _shards(path: Path) -> list[Path]:
    """The Parquet files in and below a folder that holds no pictures."""
    found: list[Path] = []
    waiting = [(str(path), 0)]
    try:
        while waiting:
            folder, depth = waiting.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_litter(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if depth < _DEEPEST:
                            waiting.append((entry.path, depth + 1))
                    elif entry.name.lower().endswith(PARQUET):
                        found.append(Path(entry.path))
                    elif may_be_a_picture(entry.name) or len(found) > MAX_SHARDS:
                        return []
    except OSError:
        return []
    return sorted(found)


@dataclass
class _Shard:
    """One table and where its rows are in the tree of names."""

    path: Path
    folder: str  # “train”, or "" where no shard names a split
    rows: int
    first: int = 0  # of its rows among those of its folder

    def name(self, row: int) -> str:
        """What the picture in a row is called."""
        return f"{self.folder}/{self.first + row:07}".lstrip("/")

    def names(self) -> Iterator[str]:
        """Those of all rows."""
        return map(self.name, range(self.rows))


@dataclass
class _Tables:
    """Some tables with the same columns."""

    parquet: Any  # pyarrow.parquet
    recipe: ImportRecipe
    shards: list[_Shard] = field(default_factory=list)
    image: str = ""  # the column of pictures
    plain: bool = False  # whether it holds bytes and no struct
    others: list[str] = field(default_factory=list)  # columns that could be classes or splits
    names: dict[str, list[str]] = field(default_factory=dict)  # column -> names of the numbers in it
    row_bytes: int = 1
    largest: int = 0  # bytes of pictures in one row group
    notes: list[str] = field(default_factory=list)

    def opened(self, root: Path, files: list[Path]) -> Generator[Step, None, None]:
        """Look at the columns and rows of all tables. Raises: BadData: none holds pictures."""
        first: list[str] | None = None
        unlike: list[str] = []
        taken: list[tuple[Path, int]] = []
        for done, file in enumerate(files):
            table = self._table(file)
            columns = [str(name) for name in table.schema_arrow.names]
            if first is None:
                self._choose(file, table)
                first = columns
            if self.image not in columns or self._kind(table.schema_arrow.field(self.image).type) != ("bytes" if self.plain else "struct"):
                unlike.append(file.name)
            else:
                taken.append((file, int(table.metadata.num_rows)))
                self._allow(file, table.metadata)
            self.others = [name for name in self.others if name in columns]
            yield Step(done, len(files), "file", "Looking at the tables")
        if unlike:
            self.notes.append(f"Tables without the column “{self.image}” were left out: {', '.join(map(shown, unlike[:10]))}.")
        self._place(root, taken)
        if (count := sum(shard.rows for shard in self.shards)) > MAX_PACKED_FILES:
            raise BadData(f"{root.name} has {count:,} rows and the limit is {MAX_PACKED_FILES:,}; use some of its files.")

    def _place(self, root: Path, taken: list[tuple[Path, int]]) -> None:
        """Name the splits by the files or folders. Of several versions of one data set (folders) the first is used."""
        versions: dict[str, list[_Shard]] = defaultdict(list)
        for file, rows in taken:
            *above, _ = file.relative_to(root).parts if root.is_dir() else (file.name,)
            stem = _NUMBERING.sub("", file.stem)
            split = stem if split_word(stem) else next((name for name in above if split_word(name)), stem)
            version = "/".join(name for name in above if not split_word(name) and name.lower() != "data")
            versions[version].append(_Shard(file, split, rows))
        chosen = min(versions)
        if len(versions) > 1:
            others = ", ".join(f"“{shown(name)}”" for name in sorted(versions)[1:10])
            self.notes.append(f"Of the tables in several folders those in “{shown(chosen)}” were used; open {others} to use others.")
        self.shards = versions[chosen]
        split = any(split_word(shard.folder) for shard in self.shards)
        taken_rows: Counter[str] = Counter()
        for shard in self.shards:
            shard.folder = shard.folder if split else ""
            shard.first = taken_rows[shard.folder]
            taken_rows[shard.folder] += shard.rows

    def _allow(self, file: Path, metadata: Any) -> None:
        """Memory for the largest row group, by what the table states and no more than its file can hold. Raises: BadData: too large."""
        most = 0
        for group in range(min(int(metadata.num_row_groups), 10_000)):
            about = metadata.row_group(group)
            columns = [about.column(place) for place in range(about.num_columns)]
            most = max(most, *(int(one.total_uncompressed_size) for one in columns if one.path_in_schema.split(".")[0] == self.image), 0)
        if most > MAX_TABLE_PIECE_BYTES:
            raise BadData(
                f"{file.name} keeps {most / MIB:,.0f} MB of pictures in one row group and the limit is {MAX_TABLE_PIECE_BYTES // MIB} MB; "
                "save it in smaller ones (row_group_size=100)."
            )
        self.largest = max(self.largest, min(most, 4 * file.stat().st_size))
        allow_bytes(2 * self.largest)

    def _choose(self, file: Path, table: Any) -> None:
        """The column of pictures and those that could be classes, by the schema of one table. Raises: BadData: there are no pictures."""
        schema = table.schema_arrow
        fields = {str(one.name): one.type for one in schema}
        pictures = [name for name, kind in fields.items() if self._kind(kind)]
        if self.recipe.array:
            pictures = [name for name in pictures if name == self.recipe.array]
        if not pictures:
            words = ", ".join(map(shown, list(fields)[:10]))
            wanted = f"no column of pictures called “{self.recipe.array}”" if self.recipe.array else "no column of pictures"
            raise BadData(f"{file.name} has {wanted} (it has {words}); a picture must be stored as the bytes of its file.")
        pictures.sort(key=lambda name: _IMAGE_NAMES.index(name.lower()) if name.lower() in _IMAGE_NAMES else len(_IMAGE_NAMES))
        self.image = pictures[0]
        self.plain = self._kind(fields[self.image]) == "bytes"
        if len(pictures) > 1:
            more = ", ".join(map(shown, pictures[1:10]))
            self.notes.append(f"The images are the column {shown(self.image)}; {more} can be chosen instead (array).")
        self.names = _class_names(schema.metadata)
        sizes = _bytes_of_columns(table.metadata)
        self.row_bytes = max(1, sum(size for name, size in sizes.items() if name.split(".")[0] == self.image))
        long = []
        for name, kind in fields.items():
            text = str(kind)
            if name == self.image or name == "file" or "." in name:
                continue
            if re.fullmatch(r"u?int\d+|bool", text):
                self.others.append(name)
            elif text in ("string", "large_string") or text.startswith("dictionary<values=string"):
                (long if sizes.get(name, 0) > _LONG_TEXT else self.others).append(name)
        self.others = self.others[:_MOST_COLUMNS]
        if long:
            self.notes.append(f"Columns of long texts are no classes: {', '.join(map(shown, long[:10]))}.")

    def _kind(self, kind: Any) -> str:
        """ "struct", "bytes" or "": how a column holds pictures."""
        text = str(kind)
        if text in ("binary", "large_binary"):
            return "bytes"
        return "struct" if text.startswith("struct<") and re.search(r"\bbytes: (large_)?binary\b", text) else ""

    def _table(self, file: Path) -> Any:
        return self.parquet.ParquetFile(file, pre_buffer=False, buffer_size=MIB, thrift_string_size_limit=64 * MIB)

    def understood(self, recipe: ImportRecipe) -> Generator[Step, None, tuple[Layout, list[str]]]:
        """(what the rows are, the names of the classes in their order)."""
        paths: list[str] = []
        cells: list[list[str]] = []
        for shard in self.shards:
            start = len(paths)
            paths += [shard.name(row) for row in range(shard.rows)]
            if self.others:
                columns: list[list[str]] = [[] for _ in self.others]
                for batch in self._table(shard.path).iter_batches(1 << 14, columns=self.others, use_threads=False):
                    for place, name in enumerate(self.others):
                        columns[place] += self._texts(name, batch.column(batch.schema.get_field_index(name)))
                    yield Step(start + len(columns[0]), None, "file", "Looking at the classes")
                cells += [list(row) for row in zip(*columns, strict=True)][: shard.rows]
            del paths[max(start, len(cells)) if self.others else len(paths) :]
        for place in range(len(self.others)):
            values = {row[place] for row in cells}
            if "-1" in values and len(values) > 2:  # no label
                for row in cells:
                    row[place] = "" if row[place] == "-1" else row[place]
        table = RawTable(["file", *self.others], [[path, *row] for path, row in zip(paths, cells, strict=True)]) if self.others else None
        named = [name for name in self.others if name in self.names]
        layout = understand([*paths, _COLUMNS], recipe, lambda one: table, (), _COLUMNS)
        if layout.labels_from == "none" and not recipe.labels and named:
            best = max(named, key=lambda name: len(self.names[name]))
            layout = understand([*paths, _COLUMNS], replace(recipe, labels=best), lambda one: table, (), _COLUMNS)
            if others := [name for name in named if name != best]:
                self.notes.append(f"The classes are the column “{best}”, the finest; {', '.join(others)} can be chosen instead.")
        layout.notes = [note.replace(f" of {_COLUMNS}", " of the table").replace(_COLUMNS, "the table") for note in layout.notes]
        column = layout.labels_from.rpartition(":")[2]
        return layout, self.names.get(column, [])

    def _texts(self, name: str, column: Any) -> list[str]:
        names = self.names.get(name)
        values = column.to_pylist()
        if names is None:
            return ["" if value is None else str(value)[:MAX_TABLE_CELL] for value in values]
        words = dict(enumerate(names))
        return [value[:MAX_TABLE_CELL] if isinstance(value, str) else words.get(value, "") for value in values]

    def pictures(self, shard: _Shard, most: int | None = None) -> Iterator[tuple[int, Content]]:
        """(row, bytes of its picture or why there are none) of a table, in order."""
        column = self.image if self.plain else f"{self.image}.bytes"
        piece = max(1, min(256, _PIECE_BYTES // self.row_bytes))
        row = 0
        for batch in self._table(shard.path).iter_batches(piece, columns=[column], use_threads=False):
            values = batch.column(0) if self.plain else batch.column(0).flatten()[0]
            for value in values:
                if row >= (shard.rows if most is None else min(most, shard.rows)):
                    return
                yield row, _content(value)
                row += 1

    def contents(self, files: dict[str, PlacedFile], split: str) -> Iterator[tuple[PlacedFile, Content]]:
        """The bytes of each picture of a split; tables without any of it are not read."""
        for shard in self.shards:
            mine = [file if file is not None and file.split == split else None for file in map(files.get, shard.names())]
            if any(file is not None for file in mine):
                for row, content in self.pictures(shard):
                    if (file := mine[row]) is not None:
                        yield file, content

    def guess(self, recipe: ImportRecipe) -> Size:
        """The shape that the first pictures of some tables suggest."""
        sizes: list[Size] = []
        some = self.shards[:: max(1, len(self.shards) // 4)]
        for shard in some:
            for _, content in self.pictures(shard, SHAPE_SAMPLE // len(some) + 1):
                try:
                    if not isinstance(content, Bad):
                        seen = look(content)
                        sizes.append((seen.channels, seen.height, seen.width))
                except Bad:
                    continue
        return common_shape(Source(""), sizes, recipe) if sizes else (3, 32, 32)


def _content(value: Any) -> Content:
    if not value.is_valid:
        return Bad("its row names a file and holds no picture; get the data with the pictures in the table")
    held = value.as_buffer()
    if held.size > MAX_FILE_BYTES:
        return Bad(f"it has {held.size / MIB:,.0f} MB and the limit is {MAX_FILE_BYTES // MIB} MB; save it smaller")
    return held.to_pybytes()


def _class_names(metadata: Any) -> dict[str, list[str]]:
    """column -> names, from what the library “datasets” writes into the schema: {"info": {"features": {"label": {"names": …}}}}."""
    raw = (metadata or {}).get(b"huggingface", b"")
    try:
        features = json.loads(raw)["info"]["features"] if len(raw) <= _METADATA_BYTES else {}
        found = {str(name): about.get("names") for name, about in features.items() if isinstance(about, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: [str(one)[:MAX_TABLE_CELL] for one in names] for name, names in found.items() if isinstance(names, list) and names}


def _bytes_of_columns(metadata: Any) -> dict[str, int]:
    """Bytes a row of each column, by what the row groups state."""
    total: Counter[str] = Counter()
    for group in range(min(int(metadata.num_row_groups), 8)):
        about = metadata.row_group(group)
        for place in range(about.num_columns):
            column = about.column(place)
            total[column.path_in_schema] += max(0, int(column.total_uncompressed_size))
    rows = sum(max(0, int(metadata.row_group(group).num_rows)) for group in range(min(int(metadata.num_row_groups), 8)))
    return {name: size // max(1, rows) for name, size in total.items()}
