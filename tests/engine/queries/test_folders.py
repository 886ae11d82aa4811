"""What a form is told of a folder: by real folders on disk, each wrong in its own way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine import messages as m
from engine.method import info
from engine.methods import all_methods, method_named
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan


def told(kind: str, path: object) -> str:
    answer = QuerySession().answer(m.InspectFolder(kind=kind, path=str(path)))
    assert isinstance(answer, m.FolderInspected) and answer.path == str(path)
    return answer.fault


def test_that_a_folder_without_a_model_is_said_to_be_none_in_one_sentence(tmp_path: Path) -> None:
    assert "There is no folder" in told("model", tmp_path / "nowhere")
    assert "is empty" in told("model", tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "has no config.json" in told("model", tmp_path)
    assert "is a file" in told("model", tmp_path / "notes.txt")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    assert "has no model.safetensors" in told("model", tmp_path)
    save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "model.safetensors")
    assert told("model", tmp_path) == ""
    (tmp_path / "config.json").write_text("{")
    assert "config.json" in told("model", tmp_path)


def test_that_a_folder_without_a_run_is_said_to_be_none_and_a_name_is_left_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "There is no folder" in told("run", tmp_path / "nowhere")
    assert "is no run" in told("run", tmp_path)
    assert told("run", "a name") == "" and told("run", "") == "" and told("model", "") == ""
    (tmp_path / "work" / "clusters").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert told("run", "clusters") == "", "a folder of that name here says nothing about the run of that name"
    assert "is no run" in told("run", "../work/clusters") and "is no run" in told("run", tmp_path / "work" / "clusters")
    list(train(Plan("kmeans", "digits", {}, steps=1, name="clusters", device="cpu"), tmp_path))
    assert told("run", tmp_path / "clusters") == ""


@pytest.mark.parametrize("name", sorted(all_methods()))
def test_that_every_setting_whose_help_speaks_of_a_folder_is_known_to_name_one(name: str) -> None:
    for field in info(method_named(name)).fields:
        assert bool(field.folder) == (field.kind == "text" and "folder" in field.help.lower()), field.name
        assert field.folder in ("", "model", "run")
