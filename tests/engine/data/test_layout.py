"""Trees of files as people have them, by their paths alone: which classes and splits, and what is left out and said.

The trees follow the descriptions of well-known public collections. What should come out is written down beside each by hand.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter

import pytest

from engine.data.layout import Layout, understand
from engine.data.path_words import class_in_name, in_order, split_word
from engine.data.recipe import ImportRecipe
from engine.data.table_text import NoTable, RawTable, parse_table


def tree(*patterns: str, count: int = 4) -> list[str]:
    """Paths from patterns such as “train|test/cats|dogs/#.png”: every choice, and # counts."""
    paths: list[str] = []
    for pattern in patterns:
        some = [""]
        for part in pattern.split("/"):
            some = [f"{start}/{choice}".lstrip("/") for start in some for choice in part.split("|")]
        for path in some:
            paths += [path.replace("#", str(n)) for n in range(count)] if "#" in path else [path]
    return paths


def look(paths: list[str], recipe: ImportRecipe | None = None, **tables: str) -> Layout:
    """The layout of a tree; a table is named with “__” for “.” and “___” for “/”."""
    contents = {name.replace("___", "/").replace("__", "."): text for name, text in tables.items()}

    def read_table(path: str) -> RawTable | None:
        try:
            return parse_table(path, contents[path].encode()) if path in contents else None
        except NoTable:
            return None

    return understand([*paths, *contents], recipe or ImportRecipe(), read_table)


def counts(layout: Layout) -> dict[str, dict[str, int]]:
    """Images of each class in each split."""
    found: dict[str, dict[str, int]] = {}
    for (split, label), number in sorted(Counter((file.split, file.label) for file in layout.files).items()):
        found.setdefault(split, {})[label] = number
    return found


FLAT = {"all": {"": 4}}
ALL = {"all": {"cats": 4, "dogs": 4}}
BOTH = {"test": {"cats": 4, "dogs": 4}, "train": {"cats": 4, "dogs": 4}}
THREE = {**BOTH, "valid": {"cats": 4, "dogs": 4}}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["#.png"], FLAT),
        (["photos/#.png"], FLAT),  # one folder is no class
        (["cats|dogs/#.png"], ALL),
        (["animals/cats|dogs/#.png"], ALL),
        (["a/b/c/cats|dogs/#.png"], ALL),
        (["train|test/cats|dogs/#.png"], BOTH),
        (["train|val|test/cats|dogs/#.png"], THREE),
        (["Training|Testing/cats|dogs/#.png"], BOTH),
        (["TRAIN|VALIDATION|TEST/cats|dogs/#.png"], THREE),
        (["training_set|dev|test_set/cats|dogs/#.png"], THREE),
        (["train2017|val2017|test2017/cats|dogs/#.png"], THREE),
        (["seg_train/seg_train/cats|dogs/#.png", "seg_test/seg_test/cats|dogs/#.png"], BOTH),
        (["animals/train|test/cats|dogs/#.png"], BOTH),
        (["a/b/train|test/cats|dogs/#.png"], BOTH),
        (["cats|dogs/train|test/#.png"], BOTH),  # the split within the class
        (["images/train|test/cats|dogs/#.png"], BOTH),
        (["train|test/images/cats|dogs/#.png"], BOTH),
        (["train|test/cats|dogs/images/#.png"], BOTH),
        (["valid|invalid/#.png"], {"all": {"valid": 4, "invalid": 4}}),
        (["test|control/#.png"], {"all": {"test": 4, "control": 4}}),
        (["train|bus|car/#.png"], {"all": {"train": 4, "bus": 4, "car": 4}}),
        (["vehicles/train|bus|car/#.png"], {"all": {"train": 4, "bus": 4, "car": 4}}),
        (["train|test/valid|invalid/#.png"], {"train": {"valid": 4, "invalid": 4}, "test": {"valid": 4, "invalid": 4}}),
        (["train/cats|dogs/#.png"], {"train": {"cats": 4, "dogs": 4}}),
        (["train|test/#.png"], {"train": {"": 4}, "test": {"": 4}}),
        (["train|test/images/#.png"], {"train": {"": 4}, "test": {"": 4}}),  # “images” is no class
        (["images|masks/#.png"], FLAT),
        (["train|test/images|masks/#.png"], {"train": {"": 4}, "test": {"": 4}}),
        (["images/cats|dogs/#.png", "annotations/cats|dogs/#.png"], ALL),
        (["cats|dogs/#.png", "cats|dogs/#_mask.png"], ALL),
        (["HAM10000_images_part_1|HAM10000_images_part_2/#.jpg"], {"all": {"": 8}}),  # pieces are no classes
        (["test/unknown/#.png", "train/cats|dogs/#.png"], {"train": {"cats": 4, "dogs": 4}}),  # nobody knows what is on the test images
    ],
)
def test_that_splits_and_classes_of_a_tree_are_found(patterns: list[str], expected: dict[str, dict[str, int]]) -> None:
    assert counts(look(tree(*patterns))) == expected


def test_that_nothing_is_dropped_without_a_line_that_counts_and_names_it() -> None:
    paths = tree("train|test/cats|dogs/#.png", "extra/cats/#.png", "train/stray.png", "train|test/masks/#.png", "README.md", "cats.zip")
    layout = look(paths)
    not_needed = sum(count for count, _ in layout.not_needed.values())
    assert sum(some.count for some in layout.left_out) + not_needed + len(layout.files) == len(paths) and not_needed == 1
    for some in layout.left_out:
        assert any(f"{some.count:,} {some.reason}" in note and some.examples[0] in note for note in layout.said())


def test_that_strays_are_left_out_and_that_many_are_no_strays() -> None:
    layout = look(["cover.png", *tree("cats|dogs/#.png")])
    assert counts(layout) == ALL and any("cover.png" in note for note in layout.said())
    layout = look(tree("#.png", "cats|dogs/#.png"))
    assert counts(layout) == {"all": {"": 12}} and any("no image has a class" in note for note in layout.notes)
    layout = look(["cover.png", *tree("animals/train|test/cats|dogs/#.png")])
    assert counts(layout) == BOTH and any("cover.png" in note for note in layout.said())


def test_that_a_wrapped_copy_beside_the_splits_is_not_read_twice() -> None:
    """A chest X-ray collection that was packed with itself inside."""
    splits = "train|test/cats|dogs/#.png"
    assert counts(look(tree(f"xray/{splits}", f"xray/xray/{splits}"))) == BOTH


def test_that_one_class_in_several_writings_is_one_class() -> None:
    paths = tree("train/Cat|Dog/#.png", count=5) + tree("test/cat|dog/#.png", count=3)
    layout = look(paths)
    assert counts(layout) == {"train": {"Cat": 5, "Dog": 5}, "test": {"Cat": 3, "Dog": 3}}
    assert any("“Cat” = “cat”" in note for note in layout.notes)
    paths = [
        unicodedata.normalize(form, path) for form, one in (("NFC", "train"), ("NFD", "test")) for path in tree(f"{one}/Äpfel|Birnen/#.png")
    ]
    assert len({file.label for file in look(paths).files}) == 2


def test_that_numbers_stand_in_the_order_of_their_values() -> None:
    assert in_order({"10", "2", "0", "11", "1"}) == ["0", "1", "2", "10", "11"]
    assert in_order({"-1", "3.5", "3"}) == ["-1", "3", "3.5"]
    assert in_order({"b10", "b2"}) == ["b10", "b2"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.12.jpg", "cat"), ("Abyssinian_100.jpg", "Abyssinian"), ("american_pit_bull_terrier_7.jpg", "american_pit_bull_terrier"),
        ("IMG_0001.jpg", ""), ("DSC01234.JPG", ""), ("frame12.png", ""), ("12.png", ""), ("train_5.png", ""), ("cat.jpg", ""),
    ],
)  # fmt: skip
def test_that_a_class_in_a_files_name_is_told_from_a_cameras_numbering(name: str, expected: str) -> None:
    assert class_in_name(name) == expected


def test_that_classes_are_taken_from_names_only_where_nearly_all_have_one() -> None:
    assert counts(look(tree("train/cat.#.jpg|dog.#.jpg"))) == {"train": {"cat": 4, "dog": 4}}
    assert counts(look(tree("Abyssinian_#.jpg|beagle_#.jpg"))) == {"all": {"Abyssinian": 4, "beagle": 4}}
    assert counts(look(tree("cat_#.jpg|IMG_#.jpg"))) == {"all": {"": 8}}
    assert counts(look(tree("cat_#.jpg"))) == FLAT
    assert counts(look([f"{name}_1.jpg" for name in ("ann", "bob", "eve", "joe")])) == FLAT  # a name for every picture groups nothing
    assert counts(look(tree("cat_#.jpg|IMG_#.jpg"), ImportRecipe(labels="names"))) == {"all": {"cat": 4}}
    assert counts(look(tree("cat.#.jpg|dog.#.jpg"), ImportRecipe(labels="none"))) == {"all": {"": 8}}


@pytest.mark.parametrize("word", ["train", "Training", "train_set", "TRAIN-images", "train2017", "trainset"])
def test_that_a_split_is_known_in_its_spellings(word: str) -> None:
    assert split_word(word) == "train"
    assert not split_word(f"{word} station") and not split_word("contest") and not split_word("invalid") and not split_word("train_test")


# -- tables --------------------------------------------------------------------------------------------------------------


def rows(head: str, *lines: str) -> str:
    return "\n".join([head, *lines]) + "\n"


CAT_OR_DOG = ["cat" if n % 2 else "dog" for n in range(8)]
TABLED = {"all": {"cat": 4, "dog": 4}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels__csv", rows("file,label", *(f"{n}.jpg,{c}" for n, c in enumerate(CAT_OR_DOG)))),
        ("labels__csv", rows("label;file", *(f"{c};{n}.jpg" for n, c in enumerate(CAT_OR_DOG)))),
        ("labels__tsv", rows("id\tdx", *(f"{n}\t{c}" for n, c in enumerate(CAT_OR_DOG)))),
        ("labels__csv", rows("lesion,image_id,dx,age", *(f"L{n},{n},{c},{40 + n}.5" for n, c in enumerate(CAT_OR_DOG)))),
        ("metadata__jsonl", "".join(f'{{"file_name": "{n}.jpg", "label": "{c}"}}\n' for n, c in enumerate(CAT_OR_DOG))),
        ("labels__json", "[" + ",".join(f'{{"image": "{n}.jpg", "category": "{c}"}}' for n, c in enumerate(CAT_OR_DOG)) + "]"),
        ("labels__json", "{" + ",".join(f'"{n}.jpg": "{c}"' for n, c in enumerate(CAT_OR_DOG)) + "}"),
        ("dataset__json", '{"labels": [' + ",".join(f'["{n}.jpg", "{c}"]' for n, c in enumerate(CAT_OR_DOG)) + "]}"),
        ("annotations__txt", "\n".join(f"{n}.jpg\t{c}\t0\t0\t62\t57" for n, c in enumerate(CAT_OR_DOG))),
        ("list__txt", "\n".join(f"./{n}.jpg {c}" for n, c in enumerate(CAT_OR_DOG))),
        ("onehot__csv", rows("image,cat,dog", *(f"{n},{1.0 * (c == 'cat')},{1.0 * (c == 'dog')}" for n, c in enumerate(CAT_OR_DOG)))),
    ],
)
def test_that_a_table_beside_pictures_gives_their_classes(name: str, text: str) -> None:
    layout = look([f"{n}.jpg" for n in range(8)], **{name: text})
    assert counts(layout) == TABLED
    assert {file.path: file.label for file in layout.files} == {f"{n}.jpg": c for n, c in enumerate(CAT_OR_DOG)}
    assert any("The classes are the column" in note for note in layout.notes) and not layout.left_out


def test_that_a_table_of_ids_finds_its_pictures_in_folders_of_pieces() -> None:
    paths = [f"HAM_part_{n % 2}/ISIC_{n:04}.jpg" for n in range(8)]
    table = rows("lesion_id,image_id,dx,dx_type,sex", *(f"H{n},ISIC_{n:04},{c},histo{n % 3},m{n % 2}" for n, c in enumerate(CAT_OR_DOG)))
    layout = look(paths, HAM_metadata__csv=table)
    assert counts(layout) == TABLED and layout.tables["HAM_metadata.csv"] == ["dx", "dx_type", "sex"]
    assert {file.label for file in look(paths, ImportRecipe(labels="sex"), HAM_metadata__csv=table).files} == {"m0", "m1"}
    assert {file.label for file in look(paths, ImportRecipe(labels="HAM_metadata.csv:sex"), HAM_metadata__csv=table).files} == {"m0", "m1"}
    layout = look(paths, ImportRecipe(labels="colour"), HAM_metadata__csv=table)
    assert not layout.labelled and any("has a column “colour”" in note for note in layout.notes)


def test_that_a_validation_table_fills_in_what_the_folders_do_not_say() -> None:
    """Tiny ImageNet: train/CLASS/images, val/images with val/val_annotations.txt, test/images without any class."""
    paths = tree("train/n01|n02/images/#.JPEG", "val/images/val_#.JPEG", "test/images/test_#.JPEG")
    table = "\n".join(f"val_{n}.JPEG\t{'n01' if n % 2 else 'n02'}\t0\t32\t44\t62" for n in range(4))
    layout = look(paths, val___val_annotations__txt=table)
    assert counts(layout) == {"train": {"n01": 4, "n02": 4}, "valid": {"n01": 2, "n02": 2}}
    assert any("images of test have no class" in note for note in layout.said())


def test_that_columns_and_lists_of_splits_keep_test_images_apart() -> None:
    table = rows("file,label,split", *(f"{n},{c},{'test' if n < 2 else 'train'}" for n, c in enumerate(CAT_OR_DOG)))
    assert counts(look([f"{n}.jpg" for n in range(8)], meta__csv=table)) == {"test": {"cat": 1, "dog": 1}, "train": {"cat": 3, "dog": 3}}
    paths = tree("images/pie|soup/#.jpg")  # Food-101: images/CLASS/ID.jpg, meta/train.txt and meta/test.txt with CLASS/ID
    lists = {"train": [1, 2, 3], "test": [0]}
    texts = {f"meta___{one}__txt": "\n".join(f"{c}/{n}" for c in ("pie", "soup") for n in ids) for one, ids in lists.items()}
    # the lists stand in a folder of their own, beside the pictures
    assert counts(look(paths, **texts)) == {"test": {"pie": 1, "soup": 1}, "train": {"pie": 3, "soup": 3}}


def test_that_a_table_that_does_not_say_which_column_is_the_class_is_asked_about() -> None:
    table = rows("file,shape,size", *(f"{n},{'round' if n % 2 else 'long'},{'big' if n % 3 else 'small'}" for n in range(8)))
    layout = look([f"{n}.jpg" for n in range(8)], table__csv=table)
    assert not layout.labelled and any("“shape” of table.csv" in note for note in layout.notes)


def test_that_folders_are_classes_also_beside_a_table_and_that_it_can_be_chosen() -> None:
    table = rows("file,label", *(f"{one}/{n}.png,{'x' if n % 2 else 'y'}" for one in ("cats", "dogs") for n in range(4)))
    layout = look(tree("cats|dogs/#.png"), labels__csv=table)
    assert counts(layout) == ALL and any("can be chosen instead" in note for note in layout.notes)
    assert counts(look(tree("cats|dogs/#.png"), ImportRecipe(labels="label"), labels__csv=table)) == {"all": {"x": 4, "y": 4}}


def test_that_decisions_change_what_is_made_of_a_tree() -> None:
    paths = tree("wild|tame/cats|dogs/#.png")
    assert counts(look(paths)) == {"all": {"wild": 8, "tame": 8}}
    assert counts(look(paths, ImportRecipe(class_level=2))) == {"all": {"cats": 8, "dogs": 8}}
    assert counts(look(paths, ImportRecipe(class_level=-1))) == {"all": {"cats": 8, "dogs": 8}}
    layout = look(paths, ImportRecipe(leave_out=("*/dogs/*",)))
    assert counts(layout) == {"all": {"wild": 4, "tame": 4}} and any("as asked for" in note for note in layout.said())
    idle = look(paths, ImportRecipe(leave_out=("*/dogs/*", "birds"), keep=("masks",))).said()
    for name in ("leave_out “birds”", "keep “masks”"):
        words = "a pattern is matched with the whole path, such as */masks/*, or is the name of a folder."
        assert f"{name} names no image; {words}" in idle
    assert not any("leave_out “*/dogs/*”" in note for note in idle)
    named = look(paths, ImportRecipe(leave_out=("dogs",)))  # a folder of that name, wherever it lies
    assert counts(named) == {"all": {"wild": 4, "tame": 4}} and not any("names no image" in note for note in named.said())
    assert counts(look(tree("train|test/#.png"), ImportRecipe(split="none"))) == {"all": {"train": 4, "test": 4}}
    assert counts(look(tree("val|other/#.png"), ImportRecipe(split="folders"))) == {"valid": {"": 4}, "train": {"": 4}}


# -- anything ------------------------------------------------------------------------------------------------------------

NAMES = [
    "train",
    "Test",
    "val",
    "valid",
    "images",
    "masks",
    "cats",
    "Cats",
    "dogs",
    "part_1",
    "part_2",
    "3",
    "10",
    "Ä",
    "A\u0308",
    "x.y",
    " ",
    "\udce9",
]
FILES = ["1.png", "cat.2.jpg", "cat_mask.png", "cat.png", "README", "labels.csv", "train.txt", "a.json", "noending", "b.zip"]
CELLS = ["1", "cat.2", "cat.2.jpg", "cats/1.png", "label", "train", "0", "1.5", "", '"', "\0", "file", "ü" * 400, "[", "{", "null"]


@pytest.mark.parametrize("seed", range(150))
def test_that_every_file_of_any_tree_is_used_or_named(seed: int) -> None:
    rng = random.Random(seed)
    paths = sorted({"/".join([*rng.choices(NAMES, k=rng.randrange(4)), rng.choice(FILES)]) for _ in range(rng.randrange(1, 60))})
    text = "\n".join(rng.choice(",\t; ").join(rng.choices(CELLS, k=rng.randrange(1, 5))) for _ in range(rng.randrange(1, 12)))
    read: set[str] = set()

    def read_table(path: str) -> RawTable | None:
        try:
            table = parse_table(path, text.encode("utf-8", "surrogateescape"))
        except NoTable:
            return None
        read.add(path)
        return table

    recipe = ImportRecipe(
        labels=rng.choice(["", "", "", "folders", "names", "none", "label"]),
        class_level=rng.choice([None, None, 1, 2, -1]),
        split=rng.choice(["", "", "folders", "none"]),
        leave_out=rng.choice([(), (), ("*/cats/*",)]),
        keep=rng.choice([(), (), ("*_mask*",), ("*",)]),
    )
    layout = understand(paths, recipe, read_table)
    used = [file.path for file in layout.files]
    assert len(set(used)) == len(used) and set(used) <= set(paths)
    beside = len(layout.read_for) + sum(count for count, _ in layout.not_needed.values())
    assert len(used) + sum(some.count for some in layout.left_out) + beside == len(paths)
    assert all(file.label for file in layout.files) or not layout.labelled
    assert {file.split for file in layout.files} <= {"all", "train", "valid", "test"}
    assert len({file.split == "all" for file in layout.files}) < 2
    assert all(isinstance(note, str) for note in layout.said())


@pytest.mark.parametrize("seed", range(100))
def test_that_any_bytes_are_a_table_or_none(seed: int) -> None:
    rng = random.Random(seed)
    data = (
        bytes(rng.choices(b'",;\t\n\r {}[]:ab1\xff\0', k=rng.randrange(400)))
        if seed % 2
        else (b"[" * 50_000 + b"\n")[: rng.randrange(50_000)]
    )
    for name in ("a.csv", "a.tsv", "a.json", "a.jsonl", "a.txt"):
        try:
            table = parse_table(name, data)
        except NoTable:
            continue
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
