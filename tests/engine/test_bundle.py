"""Bundles: what comes back is what went, byte for byte; what is hostile or damaged leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import bundle
from engine.bundle import BadBundle, export_run, import_run
from engine.cli import main
from engine.data import open_data
from engine.data.curation import Curation, decided, written
from engine.storage.atomic_io import seal
from engine.storage.manifest import Manifest
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.fuzzing import TIMEOUT, fuzz, generator, mutated, mutated_json, rezipped, zipped
from tests.kit.import_cases import write_idx
from tests.kit.sentences import look_at


def drained(job):
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


def trained(root: Path, data: str = "digits", name: str = "a run") -> Path:
    settings = {"network": "mlp", "width": 4, "latent": 2}
    list(train(Plan("vae", data, settings, steps=4, name=name, device="cpu"), root))
    return root / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "run.zip"
    drained(export_run(run, out))
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("data") / "pets", np.random.default_rng(0)
    for name in ("cats", "dogs"):
        for count in range(6):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / name / f"{count}.png")
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "writer.lock" and "scores" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rewritten(source: Path, target: Path, change) -> Path:
    """A bundle whose files are what `change` makes of {name: bytes}; lists of pairs may repeat a name."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    pairs = change(files)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in pairs.items() if isinstance(pairs, dict) else pairs:
            archive.writestr(name, data)
    return target


def listing_with(files: dict[str, bytes], extra: dict[str, bytes], **more) -> dict[str, bytes]:
    """The files and more of them, with a list that names them all rightly."""
    told = json.loads(files["bundle.json"])
    files = {**files, **extra}
    for name, data in extra.items():
        told["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return {**files, "bundle.json": json.dumps({**told, **more}).encode()}


def test_that_a_run_comes_back_byte_for_byte_and_goes_on_training(run, packed, tmp_path):
    found = drained(import_run(packed, tmp_path / "elsewhere"))
    assert found.run == tmp_path / "elsewhere" / "a run" and found.data is None
    assert contents(found.run) == contents(run)
    assert Run.open(found.run).verify() == []
    go_on = ["train", "vae", "--data", "digits", "--steps", "6", "--name", "a run", "--runs", str(found.run.parent), "--resume", "--quiet"]
    assert main(go_on) == 0
    assert Run.open(found.run).info().step == 6


def test_that_the_verbs_carry_a_run_with_its_own_pictures_to_a_machine_without_them(pictures, tmp_path, capsys):
    here, there, moved = tmp_path / "here", tmp_path / "there", tmp_path / "pets"
    shutil.copytree(pictures, moved)
    trained(here, str(moved), "pets")
    before = contents(moved)
    out = tmp_path / "pets.zip"
    assert main(["export", "pets", "--runs", str(here), "--out", str(out), "--with-data", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["with_data"] and told["left_out"] == []
    shutil.rmtree(moved)
    shutil.rmtree(here)
    assert main(["import", str(out), "--runs", str(there), "--name", "guests", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert contents(Path(told["data"])) == before
    assert main(["eval", "guests", "--runs", str(there), "--split", "valid", "--json"]) == 0
    assert np.isfinite(json.loads(capsys.readouterr().out)["nats"])


def test_that_data_which_changed_since_the_training_are_not_packed(pictures, tmp_path):
    moved = tmp_path / "pets"
    shutil.copytree(pictures, moved)
    path = trained(tmp_path / "runs", str(moved), "pets")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(moved / "cats" / "0.png")
    with pytest.raises(BadRun, match=r"its content changed.*without --with-data"):
        drained(export_run(path, tmp_path / "out.zip", with_data=True))
    assert not list(tmp_path.glob("out.zip*"))


def test_that_a_second_copy_gets_a_name_of_its_own_and_a_taken_one_is_refused(packed, tmp_path):
    names = [drained(import_run(packed, tmp_path)).run.name for _ in range(3)]
    assert names == ["a run", "a run-2", "a run-3"]
    with pytest.raises(BadRun, match="already"):
        drained(import_run(packed, tmp_path, "a run"))
    with pytest.raises(BadRun, match="cannot be a run's name"):
        drained(import_run(packed, tmp_path, "../out"))


@pytest.mark.parametrize(
    "name",
    [
        "../escape.json", "run/../../escape.json", "/escape.json", "run/checkpoints/../../../escape", "data/other/a.png",
        "data/pets/../../x",
        "run\\..\\escape", "C:/escape", "run/writer.lock", "run/.bashrc", "run/checkpoints/step-00000004/run.sh", "escape.json", "run/",
        "data/pets/a\nb", "run/scores/x.npz",
    ],
)  # fmt: skip
def test_that_no_name_leads_out_of_a_run_or_its_data(name, packed, tmp_path):
    evil = rewritten(packed, tmp_path / "evil.zip", lambda files: listing_with(files, {name: b"x"}, data="data/pets"))
    root = tmp_path / "a" / "runs"
    with pytest.raises(BadBundle) as caught:
        drained(import_run(evil, root))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "evil.zip", "runs"]


def cut(files):
    name = "run/metrics.jsonl"
    return {**files, name: files[name][:-5]}


def flipped(files):
    name = next(name for name in files if name.endswith("model.safetensors"))
    data = bytearray(files[name])
    data[-1] ^= 1
    return {**files, name: bytes(data)}


@pytest.mark.parametrize(
    "change",
    [
        cut,
        flipped,
        lambda files: {name: data for name, data in files.items() if name != "run/manifest.json"},
        lambda files: {name: data for name, data in files.items() if name != "bundle.json"},
        lambda files: {**files, "run/probe.npz2": b""},
        lambda files: {**files, "bundle.json": b"[" * 100_000},
        lambda files: {**files, "bundle.json": b'{"format": 2}'},
        lambda files: {**files, "bundle.json": b"{}"},
        lambda files: {},
    ],
)
def test_that_a_damaged_bundle_ends_in_one_sentence_and_leaves_nothing(change, packed, tmp_path):
    bad = rewritten(packed, tmp_path / "bad.zip", change)
    with pytest.raises(BadBundle) as caught:
        drained(import_run(bad, tmp_path / "runs"))
    assert str(caught.value).endswith(".") and str(caught.value).count("\n") == 0
    assert list((tmp_path / "runs").iterdir()) == []


def test_that_what_is_no_archive_or_was_cut_short_is_refused_at_every_length(packed, tmp_path):
    whole = packed.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 40).astype(int):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        with pytest.raises(BadBundle):
            drained(import_run(tmp_path / "cut.zip", tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


def of_bundle(packed: Path, folder: Path, number: int) -> bool:
    """A bundle with changed bytes, or with a changed list or file and its checksums right."""
    whole, rng = packed.read_bytes(), generator("bundle", number)
    match number % 3:
        case 0:
            data = mutated([whole], rng, number)
        case 1:
            data = rezipped(whole, rng)
        case _:
            with zipfile.ZipFile(packed) as archive:
                files = {name: archive.read(name) for name in archive.namelist()}
            if number % 2:
                files["bundle.json"] = mutated_json(json.loads(files["bundle.json"]), rng)
            else:
                manifest = json.loads(mutated_json(json.loads(files["run/manifest.json"]), rng))
                files = listing_with(files, {"run/manifest.json": seal(manifest) if isinstance(manifest, dict) else b"1"})
            data = zipped(files)
    (folder / "m.zip").write_bytes(data)
    try:
        found = drained(import_run(folder / "m.zip", folder / "runs"))
    except BadBundle as error:
        look_at(str(error).replace(":", ";"))
        assert list((folder / "runs").iterdir()) == []
        return False
    assert found.run.parent == folder / "runs"
    assert Run.open(found.run).verify() == [] or number % 3 == 2  # a manifest that was written anew tells of its files otherwise
    assert Run.open(found.run).info().name == found.run.name
    assert {path.name for path in folder.iterdir()} == {"m.zip", "runs"}
    shutil.rmtree(folder / "runs")  # what was changed touched nothing that counts
    return True


def test_that_some_mutated_bundles_open_or_are_refused_in_a_sentence_and_leave_nothing(packed, tmp_path):
    fuzz("bundle", partial(of_bundle, packed, tmp_path), many=False)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
def test_that_many_mutated_bundles_open_or_are_refused_in_a_sentence_and_leave_nothing(packed, tmp_path):
    fuzz("bundle", partial(of_bundle, packed, tmp_path), many=True)


def test_that_a_full_disk_or_an_end_in_the_middle_leaves_nothing(packed, tmp_path, monkeypatch):
    job = import_run(packed, tmp_path / "runs")
    next(job)
    next(job)
    job.close()
    assert list((tmp_path / "runs").iterdir()) == []

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "_copied", full)
    with pytest.raises(OSError, match=r"[Dd]isk|space"):
        drained(import_run(packed, tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_that_links_are_not_followed_out_of_the_run(run, tmp_path):
    copy = tmp_path / "runs" / "linked"
    shutil.copytree(run, copy)
    (tmp_path / "secret.npz").write_bytes(b"secret")
    (copy / "probe.npz").unlink()
    (copy / "probe.npz").symlink_to(tmp_path / "secret.npz")
    done = drained(export_run(copy, tmp_path / "out.zip"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert "run/probe.npz" not in archive.namelist()
        assert all(b"secret" not in archive.read(name) for name in archive.namelist())
    assert done.left_out  # it is said


def test_that_data_read_by_a_recipe_come_back_with_it(pictures, tmp_path, capsys):
    moved = tmp_path / "pets"
    shutil.copytree(pictures, moved)
    path = trained(tmp_path / "here", f'{moved}?{{"labels":"none"}}', "pets")
    done = drained(export_run(path, tmp_path / "pets.zip", with_data=True))
    assert done.with_data and done.left_out == ()
    shutil.rmtree(moved)
    found = drained(import_run(tmp_path / "pets.zip", tmp_path / "there"))
    assert contents(found.data) == contents(pictures)
    assert main(["eval", "pets", "--runs", str(tmp_path / "there"), "--split", "valid", "--quiet"]) == 0


def test_that_a_name_which_the_import_would_refuse_is_refused_by_the_export(pictures, tmp_path):
    moved = tmp_path / "pets"
    shutil.copytree(pictures, moved)
    (moved / "cats" / "0.png").rename(moved / "cats" / "12:30.png")
    path = trained(tmp_path / "here", str(moved), "pets")
    with pytest.raises(BadRun, match=r"12:30.*rename it"):
        drained(export_run(path, tmp_path / "out.zip", with_data=True))
    assert not list(tmp_path.glob("out.zip*"))


def test_that_a_folder_of_data_that_is_there_is_never_written_into(pictures, tmp_path):
    path = trained(tmp_path / "here", str(pictures), "pets")
    drained(export_run(path, tmp_path / "pets.zip", with_data=True))
    (tmp_path / "there" / "z-data").mkdir(parents=True)
    with pytest.raises(BadRun, match="already a run or a folder"):
        drained(import_run(tmp_path / "pets.zip", tmp_path / "there", "z"))
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["z-data"] and not list((tmp_path / "there" / "z-data").iterdir())


def test_that_a_bundle_without_the_resume_state_is_smaller_and_says_so(run, packed, tmp_path, capsys):
    out = tmp_path / "small.zip"
    assert main(["export", str(run), "--out", str(out), "--without-resume", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    resume = sum(path.stat().st_size for path in run.rglob("resume.safetensors"))
    every = sum(path.stat().st_size for path in run.rglob("*") if path.is_file() and path.name != "writer.lock")
    assert (told["run_bytes"], told["resume_bytes"], told["without_resume"]) == (every, resume, True) and resume > 0
    assert told["bytes"] < every - resume + 4096
    with zipfile.ZipFile(out) as archive:
        assert not [name for name in archive.namelist() if name.endswith("resume.safetensors")]
        assert json.loads(archive.read("bundle.json"))["without_resume"] is True
    assert main(["import", str(out), "--runs", str(tmp_path / "there")]) == 0
    assert "it can be looked at, not trained further" in capsys.readouterr().out
    there = Run.open(tmp_path / "there" / "a run")
    assert there.verify() == [] and there.newest_resumable() is None
    assert all(checkpoint.note == checkpoint.fault == "" for checkpoint in there.checkpoints())
    step = there.checkpoints()[-1].step
    for name, value in Run.open(run).load(step)[1].items():
        assert np.array_equal(there.load(step)[1][name], value)
    assert main(["train", "vae", "--data", "digits", "--steps", "9", "--name", "a run", "--runs", str(there.path.parent), "--resume"]) == 1
    assert "no checkpoint that training could go on from" in capsys.readouterr().err


def test_that_the_size_is_said_before_a_run_is_packed(run, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "a.zip"), "--quiet"]) == 0
    first, second = capsys.readouterr().out.strip().splitlines()
    assert "only for going on with the training" in first and "before packing" in second


def carried_away(run: Path, tmp_path: Path, *gone: Path) -> bundle.Imported:
    """Packed with its data, all of it removed here, and unpacked elsewhere."""
    out = tmp_path / "packed.zip"
    done = drained(export_run(run, out, with_data=True))
    assert done.with_data and done.left_out == ()
    shutil.rmtree(run.parent)
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return drained(import_run(out, tmp_path / "there"))


@pytest.mark.parametrize("kept", ["beside", "elsewhere", "whole file"])
def test_that_decisions_about_images_travel_with_the_data_and_the_training_goes_on_bit_for_bit(pictures, tmp_path, kept):
    data, spare = tmp_path / "pets", tmp_path / "decisions.json"
    shutil.copytree(pictures, data)
    log = decided(Curation(), "exclude", [("cats/1.png", "")])
    log = decided(log, "relabel", [("cats/2.png", "")], "dogs")
    carried = log.carried(None if kept == "beside" else spare)
    (Path(f"{data}.curation.json") if kept == "beside" else spare).write_bytes(written(log, "pets"))
    named = f"{data}?" + json.dumps({"curation": str(spare) if kept == "whole file" else carried})
    run = trained(tmp_path / "here", named, "pets")
    shutil.copytree(tmp_path / "here", tmp_path / "here2")
    go_on = ["train", "vae", "--steps", "8", "--name", "pets", "--resume", "--quiet", "--device", "cpu"]
    assert main([*go_on, "--data", named, "--runs", str(tmp_path / "here2")]) == 0
    found = carried_away(run, tmp_path, data, *((Path(f"{data}.curation.json"),) if kept == "beside" else (spare,)))
    assert Path(f"{found.data}.curation.json").read_bytes() == written(log, "pets")
    name = Run.open(found.run).manifest.data
    assert str(tmp_path / "here") not in name and str(spare) not in name
    images = open_data(name)
    assert sum(images.report.counts.values()) == 11 and images.hash == Run.open(found.run).manifest.data_hash
    assert main([*go_on, "--data", name, "--runs", str(found.run.parent)]) == 0
    assert newest_weights(found.run) == newest_weights(tmp_path / "here2" / "pets")


def newest_weights(run: Path) -> tuple[int, dict[str, str]]:
    """(step, SHA-256 of each file of weights and of the state to resume from) of the newest checkpoint."""
    newest = Run.open(run).manifest.checkpoints[-1]
    return newest.step, {name: fact.sha256 for name, fact in newest.files.items() if name.endswith(".safetensors")}


def test_that_the_labels_beside_a_file_of_images_travel_with_it_and_nothing_else_of_its_folder(tmp_path):
    folder, rng = tmp_path / "my digits", np.random.default_rng(0)
    for split, n in (("train", 20), ("t10k", 6)):
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 8, 8)))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", np.arange(n) % 3)
    (folder / "diary.txt").write_text("private", encoding="utf-8")
    data = folder / "train-images-idx3-ubyte.gz"
    before = open_data(str(data))
    found = carried_away(trained(tmp_path / "here", str(data), "own"), tmp_path, folder)
    assert found.data.is_file() and {path.name for path in found.data.parent.iterdir()} == {
        f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    }
    after = open_data(Run.open(found.run).manifest.data)
    assert (after.hash, after.classes, after.report.counts) == (before.hash, before.classes, before.report.counts)


def test_that_decisions_which_are_missing_are_one_sentence(pictures, tmp_path):
    data = tmp_path / "pets"
    shutil.copytree(pictures, data)
    log = decided(Curation(), "exclude", [("cats/1.png", "")])
    file = Path(f"{data}.curation.json")
    file.write_bytes(written(log, "pets"))
    run = trained(tmp_path / "here", f"{data}?" + json.dumps({"curation": log.carried()}), "pets")
    file.unlink()
    with pytest.raises(BadRun, match="decisions about single images are missing"):
        drained(export_run(run, tmp_path / "out.zip", with_data=True))
    assert not (tmp_path / "out.zip").exists()


def with_places(content: bytes, places: tuple[str, ...]) -> bytes:
    """A manifest that says that its data lay there before."""
    return seal(Manifest.model_validate(json.loads(content)).model_copy(update={"former_places": places}).model_dump())


def test_that_no_bundle_tells_where_the_data_lay_before(run, tmp_path):
    copy = Path(shutil.copytree(run, tmp_path / "a run"))
    with RunWriter.resume(copy) as writer:
        for place in ("/home/me/secret/pets", "digits"):
            writer.set_data(place)
    assert Run.open(copy).manifest.former_places == ("/home/me/secret/pets",)
    shutil.copytree(copy, copy / "background")
    for without_resume in (False, True):
        out = tmp_path / f"{without_resume}.zip"
        drained(export_run(copy, out, without_resume=without_resume))
        with zipfile.ZipFile(out) as archive:
            texts = {name: archive.read(name) for name in archive.namelist() if name.endswith("json")}
        assert {"run/manifest.json", "run/background/manifest.json"} < texts.keys()
        assert not [name for name, text in texts.items() if b"secret" in text]
    assert Run.open(copy).manifest.former_places == ("/home/me/secret/pets",)  # the run itself keeps them


@pytest.mark.parametrize("where", ["run/manifest.json", "run/background/manifest.json"])
def test_that_an_imported_run_names_no_folder_of_this_machine_to_be_looked_into(where, packed, tmp_path):
    def named(files):
        return listing_with(files, {where: with_places(files["run/manifest.json"], (str(tmp_path / "private"),))})

    at = drained(import_run(rewritten(packed, tmp_path / "hostile.zip", named), tmp_path / "runs")).run
    manifest = Run.open((at / where.removeprefix("run/")).parent).manifest
    assert manifest is not None and manifest.former_places == () and b"private" not in (at / where.removeprefix("run/")).read_bytes()
    assert Run.open(at).verify() == []


def test_that_a_manifest_names_few_places_and_short_ones(run):
    places = ("x" * 100_000, *(f"/places/{n}" for n in range(500)), "y" * 100_000)
    content = json.loads((run / "manifest.json").read_bytes()) | {"former_places": places}
    assert Manifest.model_validate(content).former_places == tuple(f"/places/{n}" for n in range(484, 500))
