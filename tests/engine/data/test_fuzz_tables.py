"""Mutated tables of labels, lists of splits, annotations of MATLAB, recipes and decisions about images: read, or known to be none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import cache

import pytest

from engine.data.curation import Curation, decided, parsed, written
from engine.data.dataset import BadData
from engine.data.layout import understand
from engine.data.recipe import ImportRecipe, parsed_recipe, parted_name, with_recipe
from engine.data.table_text import NoTable, RawTable, parse_table
from tests.kit import fuzzing
from tests.kit.fuzz_seeds import LABELS, mat_structs
from tests.kit.fuzzing import TIMEOUT, fuzz, generator, mutated, mutated_json
from tests.kit.sentences import look_at

PICTURES = [f"{n}.png" for n in range(12)]
SPLITS = ("train", "val", "test")
RECIPES = tuple(
    ImportRecipe(labels=labels, group=group) for labels in ("", "label", "names", "file:label") for group in ("", "folder", "patient")
)


def lines(*cells: object, sign: str = ",") -> bytes:
    """A row for each picture."""
    rows = [sign.join(str(cell(n) if callable(cell) else cell) for cell in cells) for n in range(12)]
    return "\n".join(rows).encode()


def word(n: int) -> str:
    return "abc"[LABELS[n]]


OBJECTS = [{"file_name": name, "label": word(n), "patient": f"p{n // 4}", "split": SPLITS[n % 3]} for n, name in enumerate(PICTURES)]
TABLES: dict[str, tuple[str, Callable[[], list[bytes]]]] = {  # kind -> (name of the table, valid contents)
    "csv": (
        "labels.csv",
        lambda: [
            b"file,label,patient,split\n" + lines(lambda n: f"{n}.png", word, lambda n: f"p{n // 4}", lambda n: SPLITS[n % 3]),
            b"image_id;dx\n" + lines(lambda n: n, word, sign=";"),
            b"image,a,b,c\n" + lines(lambda n: n, lambda n: LABELS[n] == 0, lambda n: 1 * (LABELS[n] == 1), lambda n: 1 * (LABELS[n] == 2)),
            b"image_id,partition\n" + lines(lambda n: f"{n}.png", lambda n: n % 3),
        ],
    ),
    "tsv": ("labels.tsv", lambda: [b"file\tlabel\n" + lines(lambda n: f"{n}.png", word, sign="\t")]),
    "list": (
        "train.txt",
        lambda: [
            lines(lambda n: n),
            b"#Image CLASS-ID SPECIES\n" + lines(lambda n: n, lambda n: LABELS[n] + 1, lambda n: 1, sign=" "),
            lines(lambda n: n + 1, lambda n: f"{n}.png", sign=" "),
        ],
    ),
    "jsonl": ("metadata.jsonl", lambda: ["\n".join(map(json.dumps, OBJECTS)).encode()]),
    "json": (
        "dataset.json",
        lambda: [
            json.dumps({"labels": [[name, int(LABELS[n])] for n, name in enumerate(PICTURES)]}).encode(),
            json.dumps({name: word(n) for n, name in enumerate(PICTURES)}).encode(),
            json.dumps(OBJECTS).encode(),
        ],
    ),
    "mat structs": ("cars_annos.mat", lambda: [mat_structs(False), mat_structs(True)]),
}


@cache
def contents(kind: str) -> list[bytes]:
    return TABLES[kind][1]()


def of_table(kind: str, number: int) -> bool:
    """Also what is made of it: the classes and splits of the pictures that it names."""
    name, _ = TABLES[kind]
    rng, original = generator(kind, number), contents(kind)[number % len(contents(kind))]
    content = mutated_json(json.loads(original), rng) if kind == "json" and number % 2 else mutated(contents(kind), rng, number)
    try:
        table = parse_table(name, content)
    except NoTable:
        return False
    assert all(len(row) == len(table.columns) and all(type(cell) is str for cell in row) for row in table.rows)
    lists = {"test.txt": RawTable(["column 1"], [[str(n)] for n in range(8, 12)], False)}
    tables = {name: table} | (lists if kind == "list" else {})
    try:
        layout = understand([*PICTURES, *tables], RECIPES[number // 4 % len(RECIPES)], tables.get)
    except BadData as error:
        look_at(str(error))
        return False
    assert {file.path for file in layout.files} <= set(PICTURES) and len(layout.files) <= len(PICTURES)
    assert all(file.split in ("all", *("train", "valid", "test")) for file in layout.files)
    return True


# -- recipes and decisions -----------------------------------------------------------------------------------------------

RECIPE = ImportRecipe(
    labels="a.csv:dx", class_level=-1, split="folders", group="folder", scale="0..4095", background="grey", fit="letterbox", bands="rgb",
    pages="all", frames="clips", array="x", leave_out=("drafts/*", "?.png"), size=32, colour="grey", rename=(("a", "b"), ("c", "b")),
    curation="3-0123abcd",
)  # fmt: skip


def of_recipe(number: int) -> bool:
    rng, whole = generator("recipe", number), json.dumps(RECIPE.changed())
    text = mutated_json(RECIPE.changed(), rng) if number % 2 else mutated([whole.encode()], rng, number)
    try:
        found = parsed_recipe(text.decode("utf-8", "replace"))
    except BadData as error:
        look_at(str(error))
        return False
    assert parted_name(with_recipe("/some/data", found)) == ("/some/data", found)
    understand(PICTURES, ImportRecipe(leave_out=found.leave_out, class_level=found.class_level), lambda path: None)
    return True


@cache
def log() -> Curation:
    some = Curation()
    for act, value in (("exclude", ""), ("relabel", "cat"), ("tag", "blurred"), ("undo", ""), ("redo", ""), ("untag", "blurred")):
        some = decided(
            some, act, [] if act in ("undo", "redo") else [("a/1.png", "0" * 16), ("2.png", "")], value, "12345678" if value else ""
        )
    return some


def of_curation(number: int) -> bool:
    rng, whole = generator("curation", number), written(log(), "pets")
    try:
        found = parsed(mutated_json(json.loads(whole), rng) if number % 2 else mutated([whole], rng, number), "“pets.curation.json”")
    except BadData as error:
        look_at(str(error))
        return False
    assert parsed(written(found, "pets"), "again") == found
    assert len(found.known()) <= 1_000_000 and isinstance(found.carried(), str)
    for act in ("undo", "redo"):
        assert (found.next_undone(act) is None) == (found.sign_of_next(act) == "")
    return True


KINDS: dict[str, Callable[[int], bool]] = {kind: lambda number, kind=kind: of_table(kind, number) for kind in TABLES}
KINDS |= {"recipe": of_recipe, "curation": of_curation}


@pytest.mark.parametrize("kind", KINDS)
def test_that_some_mutated_tables_are_read_or_known_to_be_none(kind):
    fuzz(kind, KINDS[kind], many=False)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("kind", KINDS)
def test_that_many_mutated_tables_are_read_or_known_to_be_none(kind):
    fuzz(kind, KINDS[kind], many=True)


@pytest.mark.parametrize("kind", TABLES)
def test_that_every_table_is_one_before_it_is_mutated(kind):
    for content in contents(kind):
        parse_table(TABLES[kind][0], content)


# -- the kit -------------------------------------------------------------------------------------------------------------


def test_that_the_same_numbers_are_tried_on_every_day_and_a_failure_is_found_by_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fuzzing, "ALL", 0)
    monkeypatch.delenv("PRIORAMA_FUZZ_FROM", raising=False)
    assert set(range(fuzzing.FEW)) <= set(fuzzing.numbers("recipe", many=False)) >= set(fuzzing.ONCE_FAILED["recipe"])
    tried = []
    for day in (20_000, 20_001):
        ticks = itertools.count()
        monkeypatch.setattr(fuzzing, "cpu_seconds", lambda ticks=ticks: next(ticks))  # so a budget is 8 looks
        monkeypatch.setattr(fuzzing.time, "time", lambda day=day: 86_400.0 * day)
        found = list(fuzzing.numbers("npy", many=True))
        assert fuzzing.FEW < len(found) < fuzzing.FEW + 10 * fuzzing.LOOK_EVERY
        tried.append(found)
    assert tried[0] == tried[1] and tried[0] == list(range(len(tried[0])))
    monkeypatch.setattr(fuzzing, "ALL", 1)
    monkeypatch.setenv("PRIORAMA_FUZZ_FROM", "77")
    assert list(fuzzing.numbers("npy", many=True)) == [77]


def test_that_a_fault_names_its_number_and_a_hang_is_one(monkeypatch: pytest.MonkeyPatch):
    def fails(number: int) -> bool:
        assert number != 7, "it broke"
        return True

    monkeypatch.setattr(fuzzing, "ALL", 0)
    with pytest.raises(AssertionError) as caught:
        fuzzing.fuzz("npy", fails, many=False)
    assert "input 7 of “npy”" in caught.value.__notes__[0]
    monkeypatch.setattr(fuzzing, "HANG", -2.0)
    with pytest.raises(AssertionError, match="it computes for"):
        fuzzing.fuzz("npy", lambda number: True, many=False)
    with pytest.raises(AssertionError, match="only 0 of 60 opened"):
        monkeypatch.setattr(fuzzing, "HANG", 2.0)
        fuzzing.fuzz("npy", lambda number: False, many=False)
