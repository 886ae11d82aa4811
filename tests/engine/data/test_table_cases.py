"""Tables beside pictures as people and programs write them: every case has the rows that it was written from as its oracle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO

import numpy as np
import pytest
from scipy.io import savemat

from engine.data.layout import Layout, understand
from engine.data.recipe import ImportRecipe
from engine.data.table_text import NoTable, RawTable, parse_table

FILES = [f"{n}.png" for n in range(12)]


def look(paths: list[str], tables: Mapping[str, bytes | str], **decisions: object) -> Layout:
    """The layout of these pictures and tables."""

    def read_table(path: str) -> RawTable | None:
        if path not in tables:
            return None
        text = tables[path]
        try:
            return parse_table(path, text.encode() if isinstance(text, str) else text)
        except NoTable:
            return None

    return understand([*paths, *tables], ImportRecipe(**decisions), read_table)  # type: ignore[arg-type]


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def labels(layout: Layout) -> dict[str, str]:
    return {file.path: file.label for file in layout.files if file.label}


def splits(layout: Layout) -> dict[str, str]:
    return {file.path: file.split for file in layout.files}


def said(layout: Layout, text: str) -> bool:
    return any(text in note for note in layout.said())


# -- words of splits -----------------------------------------------------------------------------------------------------


def split_table(words: list[str], name: str = "split") -> tuple[dict[str, bytes | str], list[str]]:
    """A table in which the n-th file has the n-th word, over and over, and the word of each file."""
    of = [words[n % len(words)] for n in range(12)]
    rows = [f"{file},{'hk'[n // 3 % 2]},{word}" for n, (file, word) in enumerate(zip(FILES, of, strict=True))]
    return {"labels.csv": lines(f"file,label,{name}", *rows)}, of


@pytest.mark.parametrize(
    ("name", "words", "meaning"),
    [
        ("split", ["train", "train", "test", "exclude"], {"train": "train", "test": "test"}),
        ("split", ["train", "test", "extra"], {"train": "train", "test": "test"}),
        ("split", ["train", "train", "unused"], {"train": "train"}),
        ("split", ["train", "train", "holdout"], {"train": "train", "holdout": "test"}),
        ("split", ["learn", "learn", "test"], {"learn": "train", "test": "test"}),
        ("split", ["0", "1", "2"], {"0": "train", "1": "valid", "2": "test"}),
        ("partition", ["1", "1", "2", "3"], {"1": "train", "2": "valid", "3": "test"}),
        ("split", ["0", "1", "1"], {"1": "train", "0": "test"}),
        ("is_test_set", ["False", "False", "True"], {"False": "train", "True": "test"}),
        ("is_valid", ["False", "False", "True"], {"False": "train", "True": "valid"}),
        ("isval", ["0", "0", "1"], {"0": "train", "1": "valid"}),
        ("for training", ["yes", "yes", "no"], {"yes": "train", "no": "test"}),
        ("anything", ["train", "val", "test"], {"train": "train", "val": "valid", "test": "test"}),
        ("usage", ["Training", "PublicTest", "PrivateTest"], {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}),
    ],
)
def test_that_known_words_are_splits_and_images_of_others_are_left_out_by_name(
    name: str, words: list[str], meaning: dict[str, str]
) -> None:
    tables, of = split_table(words, name)
    layout = look(FILES, tables)
    assert splits(layout) == {file: meaning[word] for file, word in zip(FILES, of, strict=True) if word in meaning}
    assert len(labels(layout)) == len(layout.files)
    for word in {*words} - {*meaning}:
        assert said(layout, f"“{word}”") and said(layout, f"--split-names {word}=test") and said(layout, "in no split")


def test_that_what_may_be_splits_and_is_not_known_is_said_and_no_class() -> None:
    for name, words in (("split", ["A", "B"]), ("fold", ["0", "1", "2", "3"])):
        tables, _ = split_table(words, name)
        layout = look(FILES, tables)
        assert layout.splits_from == "none" and said(layout, f"The column “{name}” of labels.csv may be the splits")
        assert labels(layout) == {file: "hk"[n // 3 % 2] for n, file in enumerate(FILES)}
    tables = {"a.csv": lines("file,split", *(f"{file},{'AB'[n % 2]}" for n, file in enumerate(FILES)))}
    assert not look(FILES, tables).labelled
    tables, _ = split_table(["True", "True", "False"], "is_valid")  # most are valid: they are good ones
    assert look(FILES, tables).splits_from == "none"
    tables, _ = split_table(["train", "bus", "car", "plane"], "set")  # vehicles
    assert look(FILES, tables).splits_from == "none"


def test_that_several_columns_of_yes_and_no_count_together() -> None:
    flags = [("1", "0", "0"), ("0", "1", "0"), ("0", "0", "1")] * 4
    rows = [f"{file},{'hk'[n % 2]},{','.join(flags[n])}" for n, file in enumerate(FILES)]
    tables = {"labels.csv": lines("file,label,is_train,is_valid,is_test", *rows)}
    assert splits(look(FILES, tables)) == {file: ("train", "valid", "test")[n % 3] for n, file in enumerate(FILES)}
    tables = {"labels.csv": lines("file,label,is_valid,is_test", *(row.replace(",1,0,0", ",0,0").replace(",0,1,0", ",1,0").replace(
        ",0,0,1", ",0,1") for row in rows))}  # fmt: skip
    assert splits(look(FILES, tables)) == {file: ("train", "valid", "test")[n % 3] for n, file in enumerate(FILES)}


def test_that_zeros_and_ones_of_the_list_of_a_split_are_classes() -> None:
    lists: dict[str, bytes | str] = {
        f"{one}.txt": lines(*(f"{file} {n // 2 % 2}" for n, file in enumerate(FILES) if (n < 8) == (one == "train")))
        for one in ("train", "test")
    }
    layout = look(FILES, lists)
    assert labels(layout) == {file: str(n // 2 % 2) for n, file in enumerate(FILES)}
    assert splits(layout) == {file: "train" if n < 8 else "test" for n, file in enumerate(FILES)}


def test_that_tables_of_one_split_each_are_splits_together() -> None:
    halves = {
        one: lines("file,label,split", *(f"{file},{'hk'[n % 2]},{one}" for n, file in enumerate(FILES) if (n < 8) == (one == "train")))
        for one in ("train", "test")
    }
    layout = look(FILES, {f"{'ab'[one == 'train']}.csv": text for one, text in halves.items()})
    assert splits(layout) == {file: "train" if n < 8 else "test" for n, file in enumerate(FILES)}


def test_that_a_column_or_list_of_splits_and_their_words_can_be_chosen() -> None:
    tables, of = split_table(["0", "1", "2", "3"], "fold")
    layout = look(FILES, tables, split="fold", split_names=(("3", "test"),))
    assert splits(layout) == {file: "test" if word == "3" else "train" for file, word in zip(FILES, of, strict=True)}
    rows = [f"{file},{'hk'[n % 2]},{'train' if n % 3 else 'test'},{'test' if n > 8 else 'train'}" for n, file in enumerate(FILES)]
    tables = {"labels.csv": lines("file,label,first split,second split", *rows)}
    wanted = {file: "test" if n > 8 else "train" for n, file in enumerate(FILES)}
    assert splits(look(FILES, tables, split="second split")) == splits(look(FILES, tables, split="labels.csv:second split")) == wanted
    layout = look(FILES, tables, split="third")
    assert layout.splits_from == "none" and said(layout, "No table has a column of splits “third”")
    lists: dict[str, bytes | str] = {
        f"{one}{number}.txt": lines(*(file for n, file in enumerate(FILES) if (n % 4 == number) == (one == "test")))
        for one in ("train", "test")
        for number in (1, 2)
    }
    for number, asked in ((1, ""), (2, "test2.txt"), (2, "train2.txt")):
        layout = look(FILES, lists, split=asked)
        assert splits(layout) == {file: "test" if n % 4 == number else "train" for n, file in enumerate(FILES)}
    layout = look(FILES, {"held.txt": lines(*FILES[:3])}, split="held.txt", split_names=(("held", "test"),))
    assert splits(layout) == {file: "test" if n < 3 else "train" for n, file in enumerate(FILES)}


def test_that_a_column_can_be_chosen_over_the_folders_and_these_are_still_no_classes() -> None:
    paths = [f"{split}/{kind}/{n}.png" for split in ("train", "test") for kind in ("cat", "dog") for n in range(3)]
    tables = {"meta.csv": lines("file,split", *(f"{path},{'test' if path.endswith('0.png') else 'train'}" for path in paths))}
    layout = look(paths, tables, split="split")
    assert splits(layout) == {path: "test" if path.endswith("0.png") else "train" for path in paths}
    assert labels(layout) == {path: path.split("/")[1] for path in paths}


@pytest.mark.parametrize("others", [["Übung"], ["cats", "dogs"]])
def test_that_folders_can_be_named_as_splits(others: list[str]) -> None:
    deep = len(others) == 1
    paths = [f"{name}/{kind}/{n}.png" for name in ("Prüfung", *others) for kind in ("cat", "dog") for n in range(3)] if deep else [
        f"{name}/{n}.png" for name in ("Prüfung", *others) for n in range(3)]  # fmt: skip
    layout = look(paths, {}, split_names=(("prüfung", "test"),))
    assert splits(layout) == {path: "test" if path.startswith("Prüfung") else "train" for path in paths} or not deep
    assert all(file.split != "train" for file in layout.files if file.path.startswith("Prüfung"))
    if deep:
        assert labels(layout) == {path: path.split("/")[1] for path in paths}


# -- encodings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8", ["Käse", "Köse"]), ("utf-8-sig", ["Käse", "Köse"]), ("cp1252", ["Käse", "Köse"]), ("cp1251", ["кот", "пес"]),
        ("utf-16", ["кот", "пес"]), ("utf-16-le", ["cat", "Köse"]), ("utf-16-be", ["cat", "dog"]), ("utf-32", ["猫", "犬"]),
    ],
)  # fmt: skip
def test_that_classes_keep_their_letters_in_any_usual_encoding(encoding: str, words: list[str]) -> None:
    text = lines("file,label", *(f"{file},{words[n % 2]}" for n, file in enumerate(FILES)))
    for name in ("labels.csv", "labels.tsv"):
        layout = look(FILES, {name: text.replace(",", "\t" if name.endswith("tsv") else ",").encode(encoding)})
        assert labels(layout) == {file: words[n % 2] for n, file in enumerate(FILES)}
        assert said(layout, "is no text in UTF-8") == encoding.startswith("cp")
    layout = look(
        FILES, {"labels.json": json.dumps({file: words[n % 2] for n, file in enumerate(FILES)}, ensure_ascii=False).encode(encoding)}
    )
    assert labels(layout) == {file: words[n % 2] for n, file in enumerate(FILES)}


def test_that_no_bytes_make_one_class_of_two_and_that_lost_letters_are_said() -> None:
    words = [bytes((0x80 + n, 0xE0)) for n in range(12)] * 2
    files = [f"{n}.png" for n in range(24)]
    table = b"file,label\n" + b"".join(f"{file},".encode() + word + b"\n" for file, word in zip(files, words, strict=True))
    assert len(set(labels(look(files, {"labels.csv": table})).values())) == 12
    lost = "K\ufffdse"
    text = lines("file,label", *(f"{file},{lost if n % 2 else 'Brot'}" for n, file in enumerate(FILES)))
    assert said(look(FILES, {"labels.csv": text}), "letters were lost")


def test_that_names_of_files_are_found_in_another_encoding_and_unicode_form() -> None:
    files = [f"Bär{n}.png" for n in range(12)]
    text = lines("file;label", *(f"{file};{'äö'[n % 2]}" for n, file in enumerate(files)))
    assert labels(look(files, {"labels.csv": text.encode("cp1252")})) == {file: "äö"[n % 2] for n, file in enumerate(files)}
    apart = [file.replace("ä", "a\u0308") for file in files]
    assert labels(look(apart, {"labels.csv": text})) == {file: "äö"[n % 2] for n, file in enumerate(apart)}


# -- lists parted by spaces ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["Boeing 707", "Boeing 717", "Airbus A318"], ["Boeing 707", "A300", "DHC 8 100"], ["Golden Retriever0", "Golden Retriever1"]]
)
@pytest.mark.parametrize("ending", ["", ".png"])
def test_that_a_class_of_several_words_is_one(words: list[str], ending: str) -> None:
    files = [f"{1000000 + n}.png" for n in range(12)]
    wanted = {file: words[n % len(words)] for n, file in enumerate(files)}
    text = lines(*(f"{file.removesuffix('.png')}{ending} {word}" for file, word in wanted.items()))
    assert labels(look(files, {"list.txt": text})) == wanted


def test_that_columns_of_a_list_stay_columns() -> None:
    rows = [f"{file} {'cat' if n % 2 else 'dog'} {n % 3} {'test' if n > 8 else 'train'}" for n, file in enumerate(FILES)]
    layout = look(FILES, {"list.txt": lines(*rows)})
    assert labels(layout) == {file: "cat" if n % 2 else "dog" for n, file in enumerate(FILES)}
    assert splits(layout) == {file: "test" if n > 8 else "train" for n, file in enumerate(FILES)}
    rows = [f"{file} {'cat' if n % 2 else 'dog'} {n} {n * 7} 62 57" for n, file in enumerate(FILES)]  # boxes
    assert set(labels(look(FILES, {"list.txt": lines(*rows)})).values()) == {"cat", "dog"}


def test_that_spaces_in_names_of_files_and_commas_in_classes_are_no_signs_between_cells() -> None:
    files = [f"my pic {n}.png" if n % 2 else f"pic {n}.png" for n in range(12)]
    wanted = {file: "ab"[n // 2 % 2] for n, file in enumerate(files)}
    assert labels(look(files, {"list.txt": lines(*(f"{file} {label}" for file, label in wanted.items()))})) == wanted
    words = ["Boeing, 707", "Boeing, 717", "A300"]
    text = lines("file,label", *(f"{file},{words[n % 3]}" for n, file in enumerate(FILES)))
    assert labels(look(FILES, {"labels.csv": text})) == {file: words[n % 3] for n, file in enumerate(FILES)}


@pytest.mark.parametrize("kinds", [("family", "variant"), ("variant", "family")])
def test_that_lists_of_families_and_of_variants_are_not_mixed_and_are_splits(kinds: tuple[str, str]) -> None:
    """FGVC-Aircraft (Maji et al. 2013): images_family_train.txt, images_variant_train.txt and so on, each with a file and a class."""
    of = {"family": ["Boeing 707", "Airbus A3"], "variant": ["707-320", "A3 10", "A3 11"]}
    parts = {"train": range(12), "val": range(12, 18), "test": range(18, 24)}
    tables: dict[str, bytes | str] = {
        f"data/images_{kind}_{part}.txt": lines(*(f"{n} {of[kind][n % len(of[kind])]}" for n in numbers))
        for kind in kinds
        for part, numbers in parts.items()
    }
    files = [f"data/images/{n}.png" for n in range(24)]
    layout = look(files, tables)
    assert labels(layout) == {file: of["family"][n % 2] for n, file in enumerate(files)} and said(layout, "images_variant_test.txt:")
    assert splits(layout) == {file: "train" if n < 12 else "valid" if n < 18 else "test" for n, file in enumerate(files)}
    asked = next(f"{path}:{column}" for path, columns in layout.tables.items() for column in columns if "variant" in path)
    assert labels(look(files, tables, labels=asked)) == {file: of["variant"][n % 3] for n, file in enumerate(files)}


def test_that_headings_are_found_below_notes_and_without_that_of_the_files() -> None:
    rows = [f"{file},{'ab'[n % 2]}" for n, file in enumerate(FILES)]
    wanted = {file: "ab"[n % 2] for n, file in enumerate(FILES)}
    for head in (["# made by X, in 2020", "# v2", "file,label"], ["# file,label"], ["#file,label"]):
        layout = look(FILES, {"labels.csv": lines(*head, *rows)})
        assert labels(layout) == wanted and layout.labels_from == "labels.csv:label"
    names = ["Bald", "Male", "Young"]  # CelebA (Liu et al. 2015): how many, the names of the attributes, then a file and these
    cells = [[" 1" if (n >> place) & 1 else "-1" for place in range(3)] for n in range(12)]
    text = lines("12", " ".join(names) + " ", *(f"{file}  {'  '.join(cells[n])}" for n, file in enumerate(FILES)))
    for place, name in enumerate(names):
        layout = look(FILES, {"list_attr_celeba.txt": text}, labels=name)
        assert labels(layout) == {file: cells[n][place].strip() for n, file in enumerate(FILES)}


# -- which picture a cell means ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "cell"),
    [
        ("{n}.png", "D:\\data\\set\\{n}.png"), ("{n}.png", "/home/eva/set/{n}.png"), ("{n}.png", "../set/{n}.png"),
        ("bilder/{n}.png", "C:\\Users\\Eva\\bilder\\{n}.png"), ("{n}.png", "{n}.jpg"), ("{n:04}.png", "{n}"), ("{n:04}.png", "{n}.0"),
        ("{n}.png", "https://x.org/a/{n}.png?dl=1"), ("a b {n}.png", "https://x.org/a%20b%20{n}.png"), ("image_{n:05}.jpg", "{n}"),
        ("{n}.png", "/elsewhere/{n}.jpeg"),
    ],
)  # fmt: skip
def test_that_a_picture_is_found_by_another_path_ending_or_number(file: str, cell: str) -> None:
    files = [file.format(n=n) for n in range(12)]
    text = lines("id,label", *(f"{cell.format(n=n)},{'ab'[n // 2 % 2]}" for n in range(12)))
    layout = look(files, {"labels.csv": text})
    assert labels(layout) == {one: "ab"[n // 2 % 2] for n, one in enumerate(files)} and not layout.left_out


def test_that_no_picture_gets_the_class_of_another() -> None:
    """Paths that lead elsewhere to the same names, other splits, running numbers, measures."""
    text = lines("path,label", *(f"/x/{kind}/{n}.png,{kind}" for kind in ("a", "b") for n in range(12)))
    assert not look(FILES, {"labels.csv": text}).labelled
    text = lines("path,label", *(f"/x/train/{n}.png,{'ab'[n % 2]}" for n in range(12)))
    assert not look([f"test/{file}" for file in FILES], {"labels.csv": text}).labelled
    numbered = [f"IMG_{n:04}.png" for n in range(60)]
    text = lines("who,age,label", *(f"p{n},{n * 7 % 60},{'ab'[n % 2]}" for n in range(60)))
    assert not look(numbered, {"labels.csv": text}).labelled
    text = lines(",path,label", *(f"{n},D:\\set\\{(n * 5) % 12}.png,{'ab'[n * 5 % 12 % 2]}" for n in range(12)))
    assert labels(look(FILES, {"labels.csv": text})) == {file: "ab"[n % 2] for n, file in enumerate(FILES)}


def test_that_a_table_that_names_no_image_is_shown_with_its_first_row() -> None:
    layout = look(FILES, {"labels.csv": lines("file,label", *(f"pic-{n},a" for n in range(12))), "notes.txt": "some words\nand more\n"})
    assert said(layout, "labels.csv") and said(layout, "none of its columns names an image here (its first row is “pic-0”, “a”)")
    assert [some.examples for some in layout.left_out] == [("labels.csv",)]


def test_that_a_table_that_names_images_and_is_not_used_is_no_file_that_is_no_image() -> None:
    layout = look(FILES, {"a.csv": lines("file,one,two", *(f"{file},{n % 2},{n % 3}" for n, file in enumerate(FILES)))})
    assert layout.not_needed == {"classes that can be chosen": (1, ("a.csv",))} and not layout.left_out


# -- cells ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["nan", "NA", "?", "NaN", "N/A", "null", ""])
def test_that_a_missing_value_is_no_class(word: str) -> None:
    of = ["yes" if n % 3 == 0 else "no" if n % 3 == 1 else word for n in range(12)]
    layout = look(FILES, {"labels.csv": lines("file,label", *(f"{file},{one}" for file, one in zip(FILES, of, strict=True)))})
    assert labels(layout) == {file: one for file, one in zip(FILES, of, strict=True) if one != word}
    assert said(layout, "4 cells of “label” in labels.csv were read as empty") == bool(word)


def test_that_na_among_codes_of_countries_is_one() -> None:
    of = [("NA", "DE", "FR")[n % 3] for n in range(12)]
    layout = look(FILES, {"labels.csv": lines("file,label", *(f"{file},{one}" for file, one in zip(FILES, of, strict=True)))})
    assert labels(layout) == dict(zip(FILES, of, strict=True))


@pytest.mark.parametrize("words", [["cyst|mass", "cyst", "mass"], ["haze primary", "clear", "clear primary"], ["a;b", "a", "b"]])
def test_that_several_classes_in_a_cell_are_said(words: list[str]) -> None:
    rows = [f"{file},{words[n % 3]}" for n, file in enumerate(FILES)]
    for decisions in ({}, {"labels": "tags"}):
        assert said(look(FILES, {"labels.csv": lines("file,tags", *rows)}, **decisions), "may hold several classes")
    plain = [f"{file},{('Boeing 707', 'Boeing 717')[n % 2]}" for n, file in enumerate(FILES)]
    assert not said(look(FILES, {"labels.csv": lines("file,tags", *plain)}), "may hold several classes")


# -- other forms ---------------------------------------------------------------------------------------------------------

KINDS = ["cat" if n % 3 else "dog" for n in range(12)]
PAIRS = list(zip(FILES, KINDS, strict=True))


@pytest.mark.parametrize(
    "value",
    [
        {"images": [{"file": file, "label": kind} for file, kind in PAIRS]},
        {"info": "x", "images": [{"file": file, "label": {"id": 3, "name": kind}} for file, kind in PAIRS]},
        {kind: [file for file, one in PAIRS if one == kind] for kind in ("cat", "dog")},
        {file: [kind] for file, kind in PAIRS},
        [{"file": file, "labels": [kind], "box": [1, 2, n, 4]} for n, (file, kind) in enumerate(PAIRS)],
        {
            "images": [{"id": n + 5, "file_name": file, "width": 9} for n, file in enumerate(FILES)],
            "annotations": [{"image_id": n + 5, "category_id": 1 + (kind == "cat")} for n, kind in enumerate(KINDS)],
            "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        },
    ],
)  # fmt: skip
def test_that_classes_are_found_in_json_of_other_forms(value: object) -> None:
    assert labels(look(FILES, {"labels.json": json.dumps(value)})) == dict(PAIRS)


def test_that_a_list_of_one_class_for_each_image_is_in_their_order_where_that_is_plain() -> None:
    files = [f"{n:02}.png" for n in range(12)]
    layout = look(files, {"labels.txt": lines(*KINDS)})
    assert labels(layout) == dict(zip(files, KINDS, strict=True)) and said(layout, "in the order of their names")
    for other in (FILES, files[:-1]):  # 1, 10, 2 or 1, 2, 10; one too few
        assert not look(other, {"labels.txt": lines(*KINDS)}).labelled


def test_that_vectors_of_matlab_are_classes_and_splits() -> None:
    """Oxford-102 (Nilsback and Zisserman 2008): imagelabels.mat and setid.mat beside jpg/image_00001.jpg."""
    files = [f"jpg/image_{n + 1:05}.jpg" for n in range(12)]
    numbers = [n % 3 + 1 for n in range(12)]
    parts = {"trnid": [3, 1, 5, 7, 9, 11], "valid": [2, 4, 6], "tstid": [8, 10, 12]}

    def mat(**arrays: list[int]) -> bytes:
        stream = BytesIO()
        savemat(stream, {name: np.array([values], np.uint16) for name, values in arrays.items()}, do_compression=True)
        return stream.getvalue()

    layout = look(files, {"imagelabels.mat": mat(labels=numbers), "setid.mat": mat(**parts)})
    assert labels(layout) == {file: str(number) for file, number in zip(files, numbers, strict=True)}
    names = {"trnid": "train", "valid": "valid", "tstid": "test"}
    assert splits(layout) == {files[number - 1]: names[part] for part, some in parts.items() for number in some}


def test_that_a_list_for_an_evaluation_tells_splits_and_no_classes() -> None:
    """CelebA (Liu et al. 2015): list_eval_partition.txt without headings."""
    of = {file: ("train", "valid", "test")[max(0, n - 9)] for n, file in enumerate(FILES)}
    rows = lines(*(f"{file} {max(0, n - 9)}" for n, file in enumerate(FILES)))
    layout = look(FILES, {"list_eval_partition.txt": rows})
    assert splits(layout) == of and not layout.labelled and "list_eval_partition.txt" not in layout.split_columns
    assert labels(look(FILES, {"eval.txt": rows, "train.txt": lines("x y")}))  # a list of what is to be tested has classes


def test_that_lists_of_where_one_class_is_are_no_classes() -> None:
    """Pascal VOC (Everingham et al. 2010): cat_train.txt has each image of the part, with 1 for a cat and -1 for none."""
    files = [f"JPEGImages/2007_{n:06}.jpg" for n in range(12)]
    parts = {"train": files[:6], "val": files[6:]}
    tables: dict[str, bytes | str] = {}
    for part, some in parts.items():
        names = [file.removeprefix("JPEGImages/").removesuffix(".jpg") for file in some]
        tables[f"ImageSets/Main/{part}.txt"] = lines(*names)
        for place, kind in enumerate(("cat", "dog")):
            tables[f"ImageSets/Main/{kind}_{part}.txt"] = lines(*(f"{name} {1 if n % 3 == place else -1}" for n, name in enumerate(names)))
    layout = look(files, tables)
    assert not layout.labelled and said(layout, "No column of a table is plainly the class")
    assert splits(layout) == {file: {"val": "valid"}.get(part, part) for part, some in parts.items() for file in some}
    asked = next(f"{path}:{column}" for path, columns in layout.tables.items() for column in columns if "cat_train" in path)
    assert {file for file, label in labels(look(files, tables, labels=asked)).items() if label == "1"} == {*files[:6:3], *files[6::3]}
