"""A checkpoint whose state, manifest or tensors say what no training writes: going on from it works, or ends in one sentence."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import BadSetting
from engine.data import BadData
from engine.storage import atomic_io
from engine.storage.manifest import CHECKPOINTS, MANIFEST, STATE
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed

CONFIG = {"network": "mlp", "width": 4, "latent": 2, "batch_size": 64, "warmup": 5}
EVIL: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    10**30,
    1e300,
    -1e300,
    math.nan,
    math.inf,
    "",
    "x",
    "1e999",
    [],
    [1],
    [[1]],
    {},
    {"a": {"b": [1]}},
)
GONE = object()
FEW = (None, -1, 10**30, math.nan, "x", [[1]], {"a": 1}, GONE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    list(train(Plan("vae", "digits", CONFIG, steps=1, name="run", device="cpu", precision="fp32"), root))
    return root / "run"


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field of a JSON object, the nested ones too; of lists the first element."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:1])
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)) and value:
            yield from places(value, (*path, key))


def forged(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    content = copy.deepcopy(content)
    inner: Any = content
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return content


def write_state(run: Path, content: dict[str, Any]) -> None:
    """As a state.json whose checksums are right, here and in the manifest."""
    (folder,) = [f for f in (run / CHECKPOINTS).iterdir() if f.name.endswith("1")]
    data = atomic_io.seal(content)
    (folder / STATE).write_bytes(data)
    manifest = atomic_io.unseal((run / MANIFEST).read_bytes())
    (entry,) = [e for e in manifest["checkpoints"] if e["folder"] == folder.name]
    entry["files"][STATE] |= vars(atomic_io.fact_of(data))
    (run / MANIFEST).write_bytes(atomic_io.seal(manifest))


def state_of(run: Path) -> dict[str, Any]:
    (folder,) = [f for f in (run / CHECKPOINTS).iterdir() if f.name.endswith("1")]
    return atomic_io.unseal((folder / STATE).read_bytes())


def go_on(run: Path) -> str:
    """What came of one step more: "" or the sentence. Anything but a sentence is raised."""
    try:
        found = Run.open(run)
        found.info()
        found.verify()
        events = train(ResumePlan(run, steps=2), run.parent)
        try:
            for event in events:
                if event is not None and getattr(event, "step", 0) == 2:
                    break
        finally:
            events.close()
    except (BadData, BadRun, BadSetting, TrainingFailed) as error:
        assert str(error).endswith(".")
        assert len(str(error)) < 600
        return str(error)
    except ValueError as error:  # NoDevice, UnknownMethod: sentences too
        assert type(error).__module__.startswith("engine."), repr(error)
        return str(error)
    return ""


def forgeries(file: str, whole: Path, values: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    content = state_of(whole) if file == STATE else atomic_io.unseal((whole / MANIFEST).read_bytes())
    for path in places(content):
        yield from ((path, value) for value in values)


def attack(file: str, whole: Path, tmp_path: Path, values: tuple[Any, ...], every: int = 1) -> list[str]:
    run, answers = tmp_path / "run", []
    for number, (path, value) in enumerate(forgeries(file, whole, values)):
        if number % every:
            continue
        shutil.copytree(whole, run)
        if file == STATE:
            write_state(run, forged(state_of(run), path, value))
        else:
            (run / MANIFEST).write_bytes(atomic_io.seal(forged(atomic_io.unseal((run / MANIFEST).read_bytes()), path, value)))
        try:
            answers.append(go_on(run))
        except Exception as error:
            raise AssertionError(f"{file} {path} = {value!r}: {type(error).__name__}: {error}") from error
        finally:
            shutil.rmtree(run)
    return answers


@pytest.mark.parametrize("file", [STATE, MANIFEST])
def test_that_some_forged_fields_end_in_a_sentence(file: str, whole: Path, tmp_path: Path) -> None:
    assert len(attack(file, whole, tmp_path, FEW, every=29)) > 15


@pytest.mark.slow
@pytest.mark.parametrize("file", [STATE, MANIFEST])
def test_that_forged_fields_of_every_kind_end_in_a_sentence(file: str, whole: Path, tmp_path: Path) -> None:
    answers = attack(file, whole, tmp_path, (*EVIL, GONE), every=11)  # of all pairs; every value comes up
    assert sum(map(bool, answers)) > 10
    assert not all(answers)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("state", "seconds"), math.nan),
        (("state", "seconds"), -5.0),
        (("state", "step"), 3),
        (("state", "step"), True),
        (("state", "micro"), 0),
        (("state", "order", "index"), 10**9),
        (("state", "order"), [1, 2]),
        (("state", "best"), "good"),
        (("state", "plan", "mutation"), 7.0),
        (("state", "plan", "method"), "autoencoder"),
        (("state", "plan", "precision"), "fp8"),
        (("state", "plan", "seed"), {"a": 1}),
        (("state", "plan"), GONE),
        (("state",), GONE),
    ],
)
def test_that_a_state_no_training_writes_is_refused_in_a_sentence_that_names_the_run(path, value, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    write_state(run, forged(state_of(run), path, value))
    assert "“run”" in go_on(run)
    assert Run.open(run).load(1)[0] == 1  # it can be looked at all the same


def test_that_what_later_versions_add_is_left_out(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    content = state_of(run)
    content["state"]["mood"] = "good"
    content["state"]["plan"]["colour"] = "blue"
    write_state(run, content)
    assert go_on(run) == ""


@pytest.mark.parametrize("created", [1e300, -1.0, math.nan, math.inf])
def test_that_a_date_beyond_all_calendars_is_made_good_from_the_checkpoints(created: float, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / MANIFEST).write_bytes(atomic_io.seal({**atomic_io.unseal((run / MANIFEST).read_bytes()), "created": created}))
    found = Run.open(run)
    assert found.info().created == Run.open(whole).info().created
    assert "created" in found.fault


def tensors_forged(run: Path, change) -> None:
    """The newest checkpoint again, with other tensors to go on from."""
    old = Run.open(run)
    _, model, _ = old.load(1)
    _, resume, state = old.load(1, "resume.safetensors")
    resume = dict(resume)
    change(resume)
    writer = RunWriter.resume(run)
    writer.save_checkpoint(2, {"model.safetensors": model, "resume.safetensors": resume}, {**state, "step": 2}, resumable=True, keep=True)
    writer.close()


def first(resume: dict[str, np.ndarray], prefix: str) -> str:
    return next(name for name in resume if name.startswith(prefix) and resume[name].ndim > 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.pop(first(r, "weights/")),
        lambda r: r.update({first(r, "weights/"): np.zeros((2, 3), np.float32)}),
        lambda r: r.update({"weights/other": np.zeros(3, np.float32)}),
        lambda r: r.pop(first(r, "optimizer/exp_avg/")),
        lambda r: r.update({first(r, "optimizer/exp_avg/"): np.zeros(3, np.float32)}),
        lambda r: r.update({"optimizer/exp_avg": np.zeros(3, np.float32)}),
        lambda r: r.update({"optimizer/exp_avg/nobody": np.zeros(3, np.float32)}),
        lambda r: r.pop("random/noise"),
        lambda r: r.update({"random/noise": np.zeros_like(r["random/noise"]) + 255}),
    ],
)
def test_that_tensors_of_another_training_end_in_a_sentence(change, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    tensors_forged(run, change)
    with pytest.raises(BadRun, match="Start a new run"):
        list(train(ResumePlan(run, steps=4), run.parent))


def test_that_of_equal_checkpoints_the_later_is_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A term that stays where it is: what has learned longer is shown."""
    from engine.methods.vae import VAE
    from engine.training import recorder

    def same(_self: recorder.RunRecorder, _verb: str | None = None):
        yield None
        return dict.fromkeys(VAE.units, 1.0), None

    monkeypatch.setattr(recorder.RunRecorder, "validate", same)
    plan = Plan("vae", "digits", CONFIG, steps=4, name="run", device="cpu", precision="fp32")
    list(train(replace(plan), tmp_path))
    manifest = Run.open(tmp_path / "run").manifest
    assert manifest is not None
    assert manifest.best is not None
    assert manifest.best.step == 4
    assert [entry.step for entry in manifest.checkpoints if entry.best] == [4]
