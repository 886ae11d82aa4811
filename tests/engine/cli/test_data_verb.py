"""The verb `data`, and the same decisions for `train`: kept with the run, used again, and the same for a dropped picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.cli import main
from engine.storage.manifest import read_manifest
from tests.kit.import_cases import class_folders, flat, save, write_csv


def result(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    """The JSON object of a verb that ends well."""
    assert main([*words, "--json", "--quiet"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The sentence of a verb that is used wrongly."""
    assert main([*words, "--json", "--quiet"]) == 2
    return capsys.readouterr().err


def test_that_a_folder_is_described_as_it_is_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folders(tmp_path / "set" / "animals", splits=("train", "test"))
    save(tmp_path / "set" / "cover.png", np.zeros((16, 16, 3), np.uint8))
    told = result(capsys, "data", str(tmp_path / "set"))
    assert told["classes"] == ["cats", "dogs"] and told["shape"] == [3, 16, 16] and told["splits"] == {"train": 11, "valid": 1, "test": 12}
    assert (
        told["labels"]["from"] == "folders"
        and told["splits_from"] == "folders"
        and told["labels"]["counts"]["test"] == {"cats": 6, "dogs": 6}
    )
    assert told["left_out"] == [{"count": 1, "examples": ["cover.png"], "reason": told["left_out"][0]["reason"], "keep": ["cover.png"]}]
    assert told["recipe"] == {} and told["scale"] is None and told["fit"] == "crop" and told["bad"] == []
    assert main(["data", str(tmp_path / "set"), "--quiet"]) == 0 and "classes from folders" in capsys.readouterr().out
    assert result(capsys, "data", "digits")["splits"] == {"train": 1455, "valid": 162, "test": 180}


def test_that_a_person_reads_lines_and_a_name_cannot_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folders(tmp_path / "se\nt")
    assert main(["data", str(tmp_path / "se\nt"), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("se\\nt: images, 3×16×16") and lines[1].split()[0] == "train" and len(lines) > 8


def test_that_decisions_are_repeatable_from_their_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat(tmp_path / "set", [f"{n}.png" for n in range(12)])
    write_csv(
        tmp_path / "set" / "meta.csv",
        "file,shape,size",
        (f"{n},{'round' if n % 2 else 'long'},{'big' if n % 3 else 'small'}" for n in range(12)),
    )
    told = result(capsys, "data", str(tmp_path / "set"))
    assert told["classes"] == [] and told["labels"]["columns"] == {"meta.csv": ["shape", "size"]}
    told = result(capsys, "data", str(tmp_path / "set"), "--labels", "size", "--leave-out", "1?.png", "--colour", "grey")
    assert told["classes"] == ["big", "small"] and told["shape"] == [1, 16, 16] and sum(told["splits"].values()) == 10
    (tmp_path / "recipe.json").write_text(json.dumps(told["recipe"]))
    again = result(capsys, "data", str(tmp_path / "set"), "--recipe", str(tmp_path / "recipe.json"))
    assert again["hash"] == told["hash"] and again["recipe"] == told["recipe"]
    other = result(capsys, "data", str(tmp_path / "set"), "--recipe", str(tmp_path / "recipe.json"), "--labels", "shape")
    assert other["classes"] == ["long", "round"] and other["shape"] == [1, 16, 16]


def test_that_files_that_a_rule_leaves_out_are_kept_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat(tmp_path / "set", [f"{folder}/{n}{end}.png" for folder in ("cats", "dogs") for n in range(6) for end in ("", "_label")])
    told = result(capsys, "data", str(tmp_path / "set"))
    assert sum(told["splits"].values()) == 12 and told["recipe"] == {}
    (left,) = [some for some in told["left_out"] if "masks" in some["reason"]]
    told = result(capsys, "data", str(tmp_path / "set"), *(word for pattern in left["keep"] for word in ("--keep", pattern)))
    assert sum(told["splits"].values()) == 24 and told["recipe"] == {"keep": left["keep"]} and not told["left_out"]
    told = result(capsys, "data", str(tmp_path / "set"), "--keep", "dogs/0_*", "--leave-out", "cats/*")
    assert sum(told["splits"].values()) == 7
    assert "short patterns" in refusal(capsys, "data", f'{tmp_path}/set?{{"keep": "x"}}')


def test_that_wrong_decisions_are_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat(tmp_path / "set", [f"{n}.png" for n in range(4)])
    assert "comes with the program" in refusal(capsys, "data", "digits", "--fit", "squeeze")
    assert "no scale" in refusal(capsys, "data", str(tmp_path / "set"), "--scale", "9..1")
    assert "cannot be read" in refusal(capsys, "data", str(tmp_path / "set"), "--recipe", str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text('{"form": 1}')
    assert "has no “form”" in refusal(capsys, "data", str(tmp_path / "set"), "--recipe", str(tmp_path / "bad.json"))


def test_that_a_run_keeps_the_decisions_and_a_dropped_picture_meets_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for n in range(12):
        save(tmp_path / "set" / f"{'cat' if n % 2 else 'dog'}.{n}.png", rng.integers(0, 3000, (16, 16)).astype(np.uint16))
    words = [
        "train",
        "pca",
        "--data",
        str(tmp_path / "set"),
        "--labels",
        "none",
        "--scale",
        "0..5000",
        "--runs",
        str(tmp_path / "runs"),
        "--name",
        "p",
    ]
    result(capsys, *words)
    manifest, _ = read_manifest(tmp_path / "runs" / "p")
    assert manifest is not None and manifest.recipe == {"labels": "none", "scale": "0..5000"} and manifest.classes == ()
    assert manifest.preprocessing == {"black": 0.0, "white": 5000.0, "asked": "numbers"}
    told = result(capsys, "score", str(tmp_path / "runs" / "p"), str(tmp_path / "set" / "cat.1.png"))  # opens the run's data by its recipe
    assert "error" not in told["images"][0]

    from engine.messages import PictureRef
    from engine.queries.pictures import read_picture
    from engine.queries.session import QuerySession

    session = QuerySession()
    model = session.model(str(tmp_path / "runs" / "p"), None)
    dropped = read_picture(session, PictureRef("", path=str(tmp_path / "set" / "cat.1.png")), model).pixels
    data = session.run_data(model)
    known = {name: image for split in data.splits.values() for image, name in zip(split.images, split.names, strict=True)}
    assert np.array_equal(dropped[:, :, 0], known["cat.1.png"][0])


def test_that_classes_are_renamed_by_options_and_warnings_and_values_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folders(tmp_path / "set", names=("cats", "dogs", "hens"))
    told = result(capsys, "data", str(tmp_path / "set"), "--rename", "cats=pets", "--rename", "dogs=pets")
    assert told["classes"] == ["pets", "hens"] and told["recipe"] == {"rename": {"cats": "pets", "dogs": "pets"}}
    (tmp_path / "recipe.json").write_text(json.dumps(told["recipe"]))
    again = result(capsys, "data", str(tmp_path / "set"), "--recipe", str(tmp_path / "recipe.json"), "--rename", "hens=birds")
    assert again["classes"] == ["pets", "birds"]
    assert "no OLD=NEW" in refusal(capsys, "data", str(tmp_path / "set"), "--rename", "cats")
    assert [warning["kind"] for warning in result(capsys, "data", str(tmp_path / "set"))["warnings"]] == ["few"]
    assert told["histogram"]["before"] is None and sum(told["histogram"]["after"]["values"]) == 18 * 16 * 16 * 3
    (tmp_path / "deep").mkdir()
    for n in range(6):
        save(tmp_path / "deep" / f"{n}.png", np.full((8, 8), 1000 * n, np.uint16))
    before = result(capsys, "data", str(tmp_path / "deep"))["histogram"]["before"]
    assert (before["low"], before["high"], sum(before["values"])) == (0, 5000, before["counted"])


def test_that_folders_or_words_of_a_column_are_named_as_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folders(tmp_path / "set", splits=("Übung", "Prüfung"))
    told = result(capsys, "data", str(tmp_path / "set"), "--split-names", "Prüfung=test")
    assert told["classes"] == ["cats", "dogs"] and told["splits"] == {"train": 11, "valid": 1, "test": 12}
    assert told["recipe"] == {"split_names": {"Prüfung": "test"}}
    flat(tmp_path / "flat", [f"{n}.png" for n in range(12)])
    write_csv(tmp_path / "flat" / "meta.csv", "file,label,fold", (f"{n},{'ab'[n % 2]},{n % 4}" for n in range(12)))
    told = result(capsys, "data", str(tmp_path / "flat"), "--split", "fold", "--split-names", "3=test")
    assert told["splits"]["test"] == 3 and told["splits_from"] == "meta.csv:fold"
    assert "write it as in Prüfung=test" in refusal(capsys, "data", str(tmp_path / "flat"), "--split-names", "3")
    assert "train, valid or test" in refusal(capsys, "data", str(tmp_path / "flat"), "--split-names", "3=exam")
