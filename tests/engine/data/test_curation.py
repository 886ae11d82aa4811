"""Decisions about single images: kept beside the data, repeatable, undone without a trace, and hostile files refused in one sentence."""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine.cli import main
from engine.data import BadData, DataSet, open_data
from engine.data.curation import Curation, Decision, decided, file_of, keep, parsed, places_of, read, written
from engine.queries.session import CannotAnswer, QuerySession
from tests.kit.import_cases import class_folders, picture, save
from tests.kit.sentences import look_at


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty images of two classes; the program's own folder is elsewhere."""
    monkeypatch.setattr("engine.data.curation.user_folder", lambda kind: tmp_path / "own" / kind)
    return class_folders(tmp_path / "set", count=15)


def decide(session: QuerySession, data: str, act: str, *names: str, value: str = "") -> m.Curated:
    told = session.answer(m.Curate(data=data, act=act, names=names, value=value))
    assert isinstance(told, m.Curated)
    return told


def content(data: DataSet) -> dict[str, tuple[str, bytes]]:
    """name -> (class, pixels) of all images."""
    found = {}
    for split in data.splits.values():
        assert split.labels is not None
        for name, label, image in zip(split.names, split.labels, split.images, strict=True):
            found[name] = data.classes[label], np.asarray(image).tobytes()
    return found


def untouched(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_that_a_curated_set_is_the_set_without_what_was_left_out_and_with_the_classes_given(folder: Path) -> None:
    files, before, session = untouched(folder), open_data(str(folder)), QuerySession()
    decide(session, str(folder), "exclude", "cats/3.png", "dogs/4.png")
    decide(session, str(folder), "relabel", "cats/5.png", value="dogs")
    told = decide(session, str(folder), "tag", "cats/6.png", "cats/7.png", value="blurred")
    assert (told.decisions, told.excluded, told.relabelled, told.tags) == (3, 2, 1, (("blurred", 2),))
    after = open_data(told.curated)
    wanted = content(before)
    del wanted["cats/3.png"], wanted["dogs/4.png"]
    wanted["cats/5.png"] = ("dogs", wanted["cats/5.png"][1])
    assert content(after) == wanted and after.hash != before.hash and after.classes == before.classes
    assert after.understood["curation"] == {"steps": 3, "excluded": 2, "relabelled": 1, "tags": {"blurred": 2}}
    assert any(note == "Curated: 2 images were left out; 1 was given another class; tags: blurred (2)." for note in after.report.notes)
    assert untouched(folder) == files and open_data(str(folder)).hash == before.hash
    assert Path(told.file) == folder.with_name("set.curation.json") and json.loads(Path(told.file).read_bytes())["version"] == 1


def splits_of(data: DataSet) -> dict[str, str]:
    """name -> its split."""
    return {name: split for split, some in data.splits.items() for name in some.names}


@pytest.mark.parametrize("also", [{}, {"group": "folder"}, {"size": 16}])
def test_that_every_image_that_is_not_left_out_stays_in_its_split(tmp_path: Path, also: dict[str, Any]) -> None:
    folder = class_folders(tmp_path / "set", ("cats", "dogs", "eels"), count=40)
    for place in range(12):  # copies, so that groups are drawn whole
        (folder / "cats" / f"copy {place}.png").write_bytes((folder / "cats" / f"{place // 3}.png").read_bytes())
    name, session = f"{folder}?{json.dumps(also)}" if also else str(folder), QuerySession()
    before = splits_of(open_data(name))
    held_out = [one for one, split in before.items() if split != "train"]
    out = {"cats/0.png", "dogs/7.png", held_out[0], held_out[-1]}
    decide(session, name, "exclude", *out)
    told = decide(session, name, "relabel", *[one for one in before if one.startswith("dogs") and one not in out][:9], value="eels")
    after = open_data(told.curated)
    assert splits_of(after) == {one: split for one, split in before.items() if one not in out}
    assert all(len(split.index) == len(split) == len(split.names) for split in after.splits.values())


def test_that_a_leak_that_was_left_out_is_not_warned_of_any_more(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "set", splits=("train", "test"), count=20)
    (data / "test" / "cats" / "0.png").write_bytes((data / "train" / "cats" / "3.png").read_bytes())
    patients = {"test/dogs/1.png": "p1", "train/dogs/2.png": "p1", "train/dogs/5.png": "p2", "train/cats/5.png": "p2"}
    (data / "meta.csv").write_text("file,patient\n" + "".join(f"{file},{patient}\n" for file, patient in patients.items()))
    name = f'{data}?{{"group": "patient"}}'
    assert [one.kind for one in open_data(name).report.warnings] == ["leak", "leak"]
    session = QuerySession()
    copy = open_data(decide(session, name, "exclude", "test/cats/0.png").curated)
    assert [one.text[:12] for one in copy.report.warnings] == ["Leak: 1 test"] and copy.report.duplicates == 0
    assert not open_data(decide(session, name, "exclude", "test/dogs/1.png").curated).report.warnings


def test_that_a_split_of_which_nothing_is_left_is_one_sentence_and_is_brought_back(folder: Path) -> None:
    session, names = QuerySession(), splits_of(open_data(str(folder)))
    told = decide(session, str(folder), "exclude", *[name for name, split in names.items() if split == "valid"])
    with pytest.raises(BadData, match="All validation images of “set” were left out") as caught:
        open_data(told.curated)
    look_at(str(caught.value))
    assert open_data(decide(session, str(folder), "undo").curated).hash == open_data(str(folder)).hash


def test_that_undo_and_redo_go_through_all_states_bit_by_bit(folder: Path) -> None:
    session = QuerySession()
    hashes = [open_data(str(folder)).hash]
    for act, name, value in (("exclude", "dogs/1.png", ""), ("relabel", "dogs/2.png", "cats"), ("include", "dogs/1.png", "")):
        hashes.append(open_data(decide(session, str(folder), act, name, value=value).curated).hash)
    assert len(set(hashes)) == 4
    names = []
    for place in (2, 1, 0):
        told = decide(session, str(folder), "undo")
        names.append(told.curated)
        assert open_data(told.curated).hash == hashes[place]
    assert told.curated == str(folder) and told.undo == "" and told.redo == "leave out one image"
    with pytest.raises(BadData, match="nothing to undo"):
        decide(session, str(folder), "undo")
    for place in (1, 2, 3):
        assert open_data(decide(session, str(folder), "redo").curated).hash == hashes[place]
    assert open_data(names[0]).hash == hashes[2], "a state that was used stays what it was"
    decide(session, str(folder), "undo")
    assert decide(session, str(folder), "tag", "dogs/2.png", value="x").redo == ""


def test_that_states_agree_with_a_slow_count_over_random_decisions() -> None:
    rng = random.Random(5)
    curation, stack, undone = Curation(), [], []
    for _ in range(300):
        act = rng.choice(["exclude", "include", "relabel", "tag", "untag", "undo", "redo"])
        value = rng.choice("ab") if act in ("relabel", "tag", "untag") else ""
        images = [(name, "") for name in rng.sample("pqrst", 2)]
        if act in ("undo", "redo"):
            source, target = (stack, undone) if act == "undo" else (undone, stack)
            if not source:
                with pytest.raises(BadData):
                    decided(curation, act)
                continue
            target.append(source.pop())
            curation = decided(curation, act)
        else:
            stack.append((act, [name for name, _ in images], value))
            undone.clear()
            curation = decided(curation, act, images, value)
        for name in "pqrst":
            mine = [(what, said) for what, names, said in stack if name in names]
            left_out = [what for what, _ in mine if what in ("exclude", "include")][-1:] == ["exclude"]
            labels = [said for what, said in mine if what == "relabel"]
            tags = {tag for tag in "ab" if [what for what, said in mine if said == tag and what in ("tag", "untag")][-1:] == ["tag"]}
            one = curation.known().get(name)
            assert (left_out, labels[-1] if labels else "", tags) == (
                (one.excluded, one.label, set(one.tags)) if one else (False, "", set())
            )
        assert parsed(written(curation, "set"), "it").steps == curation.steps


def test_that_renamed_changed_and_missing_images_are_noticed_and_said(folder: Path) -> None:
    session = QuerySession()
    told = decide(session, str(folder), "exclude", "cats/1.png", "cats/2.png", "cats/3.png", "cats/4.png")
    (folder / "cats" / "1.png").rename(folder / "cats" / "one.png")
    save(folder / "cats" / "2.png", picture(np.random.default_rng(99), 60))
    (folder / "cats" / "3.png").unlink()
    after = open_data(told.curated)
    names = set(content(after))
    assert "cats/one.png" not in names and "cats/2.png" in names and "cats/4.png" not in names
    notes = " ".join(after.report.notes)
    assert "1 image has another name than when it was decided about, and is known by its pixels: cats/1.png (now cats/one.png)." in notes
    assert "1 image has changed since it was decided about, so nothing was decided for it: cats/2.png." in notes
    assert "1 image that was decided about is not in the data any more: cats/3.png." in notes


def test_that_decisions_hold_at_another_size(folder: Path) -> None:
    told = decide(QuerySession(), str(folder), "exclude", "cats/1.png")
    carried = told.curated[len(str(folder)) + 1 :]
    other = open_data(f"{folder}?{json.dumps({**json.loads(carried), 'size': 8})}")
    assert "cats/1.png" not in content(other) and other.shape == (3, 8, 8)


def test_that_what_cannot_be_decided_is_one_sentence_and_writes_nothing(folder: Path) -> None:
    session = QuerySession()
    for error, act, names, value in (
        (CannotAnswer, "exclude", ("cats/99.png",), ""), (CannotAnswer, "relabel", ("cats/1.png",), "birds"), (BadData, "undo", (), ""),
        (BadData, "exclude", (), ""), (BadData, "tag", ("cats/1.png",), " "), (BadData, "burn", ("cats/1.png",), ""),
    ):  # fmt: skip
        with pytest.raises(error) as caught:
            decide(session, str(folder), act, *names, value=value)
        look_at(str(caught.value))
    with pytest.raises(CannotAnswer, match="stays as it is"):
        decide(session, "digits", "exclude", "digit 1")
    assert not os.path.lexists(file_of(folder))


def test_that_a_missing_or_other_file_of_decisions_is_one_sentence(folder: Path) -> None:
    told = decide(QuerySession(), str(folder), "exclude", "cats/1.png")
    file = Path(told.file)
    text = file.read_text()
    for now, words in ((None, "are missing"), (text.replace("cats/1", "cats/2"), "is not the file"), (text[:40], "is no JSON")):
        file.unlink() if now is None else file.write_text(now)
        with pytest.raises(BadData, match=words) as caught:
            open_data(told.curated)
        look_at(str(caught.value))


def test_that_data_in_a_folder_that_cannot_be_written_keep_their_decisions_in_the_programs_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, own = places_of(folder)
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    told = decide(QuerySession(), str(folder), "exclude", "cats/1.png")
    assert Path(told.file) == own and own.exists() and not beside.exists()
    assert "cats/1.png" not in content(open_data(told.curated))


def test_that_a_failed_write_leaves_the_decisions_as_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.storage import atomic_io

    first = decide(QuerySession(), str(folder), "exclude", "cats/1.png")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_io.layer, "sync", full)
    with pytest.raises(Exception, match=r"room|space|disk"):
        decide(QuerySession(), str(folder), "exclude", "cats/2.png")
    monkeypatch.undo()
    assert len(read(Path(first.file)).steps) == 1 and [path.name for path in folder.parent.glob("*.json*")] == ["set.curation.json"]


def test_that_undo_takes_back_only_the_decision_that_it_names(folder: Path) -> None:
    one, other, data = QuerySession(), QuerySession(), str(folder)
    mine = one.answer(m.Curate(data=data, act="exclude", names=("cats/1.png",), channel="curation-1"))
    assert isinstance(mine, m.Curated)
    theirs = decide(other, data, "relabel", "dogs/2.png", value="cats")
    kept = file_of(folder).read_bytes()
    for sign in (mine.undo_sign, "curation-1", "curation-2", "0-00000000"):
        with pytest.raises(CannotAnswer, match=r"Another window has decided since \(give one image the class “cats”\)") as caught:
            one.answer(m.Curate(data=data, act="undo", of=sign))
        look_at(str(caught.value))
    assert file_of(folder).read_bytes() == kept
    told = other.answer(m.Curate(data=data, act="undo", of=theirs.undo_sign, channel="curation-1"))
    assert isinstance(told, m.Curated) and (told.redo_sign, told.undo_sign) == (theirs.undo_sign, mine.undo_sign)
    told = one.answer(m.Curate(data=data, act="undo", of="curation-1"))
    assert isinstance(told, m.Curated) and not told.images
    with pytest.raises(CannotAnswer, match="nothing was brought back"):
        other.answer(m.Curate(data=data, act="redo", of="curation-1"))
    assert decide(other, data, "redo").excluded == 1


def test_that_decisions_of_two_windows_at_once_are_all_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.queries import curation as desk

    real = desk.decided

    def slowly(*words: Any) -> Curation:
        time.sleep(0.05)  # between reading the file and replacing it
        return real(*words)

    sessions = [QuerySession(), QuerySession()]
    for session in sessions:
        decide(session, str(folder), "look")
    monkeypatch.setattr(desk, "decided", slowly)
    monkeypatch.setattr(desk, "LOCK_SECONDS", 60.0)
    names = [[f"{kind}/{n}.png" for n in range(4)] for kind in ("cats", "dogs")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: [decide(pair[0], str(folder), "exclude", name) for name in pair[1]], zip(sessions, names, strict=True)))
    assert sorted(read(file_of(folder)).known()) == sorted(name for some in names for name in some)
    assert [path.name for path in folder.parent.iterdir() if path.is_file()] == ["set.curation.json"], "no lock lies beside the data"


def test_that_a_window_that_decides_for_long_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.queries import curation as desk

    monkeypatch.setattr(desk, "LOCK_SECONDS", 0.0)
    with desk._alone(str(folder)), pytest.raises(CannotAnswer, match="Another window is deciding") as caught:
        decide(QuerySession(), str(folder), "exclude", "cats/1.png")
    look_at(str(caught.value))
    assert decide(QuerySession(), str(folder), "exclude", "cats/1.png").excluded == 1


def elsewhere(folder: Path, *names: str) -> tuple[Path, str]:
    """(A file of decisions that leaves some images out and lies elsewhere, the name of the set that is curated by it.)"""
    told = decide(QuerySession(), str(folder), "exclude", *names)
    file = Path(told.file).rename(folder.parent / "mine.json")
    carried = json.loads(told.curated[len(str(folder)) + 1 :])["curation"]
    return file, f"{folder}?{json.dumps({'curation': f'{file}#{carried}'})}"


def test_that_a_set_that_is_curated_by_a_file_elsewhere_is_named_with_it_and_opens(folder: Path) -> None:
    file, name = elsewhere(folder, "cats/1.png", "dogs/2.png")
    told = decide(QuerySession(), name, "look")
    assert (told.curated, told.file, told.excluded, told.decisions) == (name, str(file), 2, 1)
    assert open_data(told.curated).hash == open_data(name).hash != open_data(str(folder)).hash


def test_that_deciding_about_a_set_goes_on_from_the_file_that_it_is_curated_by(folder: Path) -> None:
    file, name = elsewhere(folder, "cats/1.png", "dogs/2.png")
    before = file.read_bytes()
    told = decide(QuerySession(), name, "exclude", "cats/4.png")
    told = decide(QuerySession(), name, "tag", "cats/5.png", value="x")  # the set is still shown by its old name
    assert {one.name for one in told.images if one.excluded} == {"cats/1.png", "dogs/2.png", "cats/4.png"} and told.decisions == 3
    assert Path(told.file) == file_of(folder) and file.read_bytes() == before and decide(QuerySession(), str(folder), "look").excluded == 3
    assert set(content(open_data(str(folder)))) - set(content(open_data(told.curated))) == {"cats/1.png", "dogs/2.png", "cats/4.png"}


def test_that_decisions_of_two_files_are_not_mixed_and_none_is_lost(folder: Path) -> None:
    file, name = elsewhere(folder, "cats/1.png", "dogs/2.png")
    decide(QuerySession(), str(folder), "tag", "dogs/3.png", value="x")
    both = file.read_bytes(), file_of(folder).read_bytes()
    told = decide(QuerySession(), name, "look")
    assert (told.excluded, told.tags, told.curated, told.file) == (2, (), name, str(file))
    for act in ("exclude", "undo"):
        with pytest.raises(CannotAnswer, match="others lie beside the data") as caught:
            decide(QuerySession(), name, act, *(["cats/4.png"] if act == "exclude" else []))
        look_at(str(caught.value))
    assert (file.read_bytes(), file_of(folder).read_bytes()) == both
    assert decide(QuerySession(), str(folder), "exclude", "cats/4.png").tags == (("x", 1),)


BASE = written(
    Curation([Decision("exclude", (("a.png", "0" * 16),), "", "0" * 8), Decision("tag", (("b", ""),), "x"), Decision("undo")]), "set"
)
HOSTILE = [
    b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, BASE[:-20], BASE.replace(b'"version": 1', b'"version": 2'),
    BASE.replace(b'"version": 1', b'"version": true'), BASE.replace(b"exclude", b"delete"), BASE.replace(b'"0000000000000000"', b'"../x"'),
    BASE.replace(b'"a.png"', b"7"), BASE.replace(b'"x"', b'"x\\u0000"'),
    BASE.replace(b'"act": "undo"', b'"act": "undo", "images": [["a", ""]]'),
    BASE.replace(b'"act": "undo"', b'"act": "undo", "more": 1'), BASE.replace(b'"a.png"', b'"' + b"a" * 5_000 + b'"'),
    json.dumps({"format": "priorama curation", "version": 1, "steps": [{"act": "undo"}] * 100_001}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_that_a_hostile_file_is_refused_in_one_sentence(place: int) -> None:
    with pytest.raises(BadData) as caught:
        parsed(HOSTILE[place], "“set.curation.json”")
    look_at(str(caught.value))


def test_that_no_mutated_file_does_anything_but_be_read_or_refused() -> None:
    rng = random.Random(1)
    refused = 0
    for _ in range(10_000):
        data = bytearray(BASE)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[place] = rng.randrange(256)
                case 1:
                    del data[place : place + rng.randint(1, 30)]
                case 2:
                    data[place:place] = data[rng.randrange(len(data)) :][: rng.randint(1, 30)]
                case _:
                    data[place:place] = rng.choice([b"[", b"]", b"{", b"}", b'"', b"null", b"1e999", b"\\ud800", b"-1", b"NaN"])
            data = data or bytearray(b" ")
        try:
            found = parsed(bytes(data), "it")
        except BadData:
            refused += 1
        else:
            found.known()
            assert parsed(written(found, "set"), "it") == found
    assert refused > 5_000


def test_that_the_verb_decides_tells_and_repeats(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def result(*words: str) -> dict[str, Any]:
        assert main([*words, "--json", "--quiet"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.chdir(folder.parent)
    plain = result("data", "set")
    told = result("curate", "set", "--exclude", "cats/1.png", "cats/2.png", "--relabel", "dogs/1.png=cats", "--tag", "dogs/2.png=b")
    assert (told["excluded"], told["relabelled"], told["tags"], told["decisions"]) == (2, 1, {"b": 1}, 3)
    curated = result("data", "set", "--curation", "beside")
    assert sum(curated["splits"].values()) == 28 and curated["hash"] != plain["hash"] and curated["recipe"] == told["recipe"]
    (folder.parent / "copy.json").write_bytes(file_of(folder).read_bytes())
    assert result("data", "set", "--curation", "copy.json")["hash"] == curated["hash"]
    for _ in range(3):
        told = result("curate", "set", "--undo")
    assert told["decisions"] == 0 and told["recipe"] == {} and result("data", "set")["hash"] == plain["hash"]
    assert result("curate", "set")["undo"] == "" and main(["curate", "set", "--relabel", "cats/1.png", "--quiet"]) == 2


def test_that_a_file_with_a_million_images_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.curation.MAX_CURATED", 3)
    curation = decided(Curation(), "exclude", [("a", ""), ("b", "")])
    with pytest.raises(BadData, match="names more than 3 images"):
        decided(curation, "exclude", [("c", ""), ("d", "")])
    with pytest.raises(BadData):
        keep(tmp_path / "set", replace(curation, steps=curation.steps * 2))
    assert not os.path.lexists(file_of(tmp_path / "set"))
