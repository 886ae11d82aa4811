"""The lanes: jobs, queue, and that a query never changes a training."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as m
from engine.storage.atomic_io import NoSpace
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.loop import Plan, train
from engine.worker.query_lane import _renamed
from engine.worker.run_follower import history_points
from tests.kit.import_cases import class_folders
from tests.kit.watched_engine import PATIENCE, SMALL, weights


def test_a_job_goes_through_its_states_and_ends_once(watched, tmp_path):
    w = watched()
    w.start(steps=50)
    assert w.ended().outcome == "ok"
    w.until(lambda e: isinstance(e, m.RunsListed) and any(r.status == "done" for r in e.runs))
    states = [e.state for e in w.of(m.JobChanged)]
    assert states[0] == "queued" and "running" in states
    assert len(w.of(m.Ended)) == 1
    assert w.of(m.Ready)[0].precision in ("fp32", "bf16")
    steps = np.concatenate([e.points["loss"][0] for e in w.of(m.Metrics) if "loss" in e.points])
    assert steps.tolist() == list(range(1, 51))


def test_that_one_who_listens_in_hears_both_lanes(watched):
    w = watched()
    heard: list[m.Event] = []
    publish = w.engine.publish

    def notice(event: m.Event) -> None:
        heard.append(event)
        publish(event)

    w.engine.publish = notice
    w.start(steps=5)
    w.ended()
    w.until(lambda e: isinstance(e, m.RunsListed) and bool(e.runs), "the list of the query lane")
    assert any(isinstance(e, m.Progress) for e in heard) and any(isinstance(e, m.Metrics) for e in heard)
    assert any(isinstance(e, m.RunsListed) and e.runs for e in heard)


def test_that_a_thread_that_takes_fewer_cores_leaves_later_trainings_theirs(watched, tmp_path):
    first = watched(tmp_path / "first")
    first.until(lambda e: isinstance(e, m.Ready))
    other = threading.Thread(target=torch.set_num_threads, args=(1,))
    other.start()
    other.join()
    second = watched(tmp_path / "second")
    second.until(lambda e: isinstance(e, m.Ready))
    assert second.engine.startup.threads == first.engine.startup.threads


@pytest.mark.slow
def test_the_numbers_are_the_same_with_and_without_someone_dragging(watched, tmp_path):
    config = {**SMALL, "network": "conv", "batch_size": 128}
    plan = Plan("vae", "digits", config, steps=120, device="cpu", precision="fp32", name="alone")
    list(train(plan, tmp_path))
    w = watched()
    w.start("a", steps=120, config=config)
    asked = 0
    run = None
    deadline = time.monotonic() + PATIENCE
    while not w.of(m.Ended):
        assert time.monotonic() < deadline
        w.drain()
        run = next((e.run for e in w.of(m.CheckpointSaved)), None)
        if run:
            asked += 1
            z = np.full((1, 4), asked % 7 - 3, np.float32)
            w.engine.send(m.Decode(run=run, z=z, stamp=asked, channel="latent"))
            w.engine.send(m.SamplePrior(run=run, count=16, seed=asked, stamp=asked, channel="latent"))
        threading.Event().wait(0.002)
    assert asked > 10
    assert len(w.of(m.Decoded)) > 3
    assert weights(tmp_path / "alone", 120) == weights(tmp_path / "a", 120)


def test_pause_and_resume_give_the_bits_of_an_undisturbed_training(watched, tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=300, device="cpu", precision="fp32", name="alone"), tmp_path))
    w = watched()
    w.start("a", steps=300)
    w.until(lambda e: isinstance(e, m.CheckpointSaved) and e.step == 16)
    w.engine.send(m.PauseJob("a"))
    w.state("a", "paused")
    assert not w.of(m.Ended)
    paused_at = Run.open(tmp_path / "a").newest_resumable()
    assert 16 <= paused_at < 300
    w.engine.send(m.ResumeJob("a"))
    assert w.ended().outcome == "ok"
    assert weights(tmp_path / "alone", 300) == weights(tmp_path / "a", 300)


def test_stop_keeps_the_run_and_discard_removes_it(watched, tmp_path):
    w = watched()
    for job, verb in (("a", m.StopJob), ("b", m.DiscardJob)):
        w.start(job, steps=1_000_000)
        w.until(lambda e, job=job: isinstance(e, m.CheckpointSaved) and Path(e.run).name == job)
        sent = time.monotonic()
        w.engine.send(verb(job))
        w.until(lambda e, job=job: isinstance(e, m.JobChanged) and e.job == job and e.state in ("stopping", "discarding"))
        assert time.monotonic() - sent < 1.0  # 0.1 s on an idle machine
        assert w.ended(job).outcome == "stopped"
    assert Run.open(tmp_path / "a").manifest.status == "stopped"
    assert not (tmp_path / "b").exists()


def test_what_is_not_the_runs_own_stays_and_is_told(watched, tmp_path):
    w = watched()
    for job in ("a", "b"):
        w.start(job, steps=1_000_000)
        w.until(lambda e, job=job: isinstance(e, m.CheckpointSaved) and Path(e.run).name == job)
        (tmp_path / job / "notes.txt").write_text("mine")
        w.engine.send(m.StopJob(job) if job == "a" else m.DiscardJob(job))
        told = w.ended(job).message
    assert "discarded" in told and "notes.txt" in told and str(tmp_path / "b") in told
    w.engine.send(m.DeleteRun(str(tmp_path / "a")))
    notice = w.until(lambda e: isinstance(e, m.Notice) and "deleted" in e.text)
    assert notice.level == "warning" and "notes.txt" in notice.text
    for job in ("a", "b"):
        assert [path.name for path in (tmp_path / job).iterdir()] == ["notes.txt"]


def test_the_queue_is_worked_off_in_its_order_and_can_be_changed(watched):
    w = watched()
    w.start("a", steps=1_000_000)
    w.until(lambda e: isinstance(e, m.CheckpointSaved))
    for job in ("b", "c", "d"):
        w.start(job, steps=3)
    w.engine.send(m.MoveJob("d", 0))
    w.engine.send(m.StopJob("c"))
    assert w.ended("c").message.startswith("It was taken from the queue")
    w.engine.send(m.StopJob("a"))
    w.ended("b")
    assert [e.job for e in w.of(m.Ended)] == ["c", "a", "d", "b"]


def test_what_waited_when_the_window_was_closed_comes_back_paused(watched, tmp_path):
    first = watched()
    first.start("a", steps=1_000_000)
    first.until(lambda e: isinstance(e, m.CheckpointSaved))
    first.start("b", steps=3)
    first.until(lambda e: isinstance(e, m.JobChanged) and e.job == "b")
    assert first.engine.close(timeout=20)
    first.drain()
    assert sorted(e.job for e in first.of(m.Ended)) == ["a", "b"]
    assert Run.open(tmp_path / "a").manifest.status == "paused"
    second = watched()
    second.until(lambda e: isinstance(e, m.JobChanged) and e.state == "paused")
    assert second.engine.close(timeout=20)  # nobody resumed it: it waits on
    third = watched()
    job = third.until(lambda e: isinstance(e, m.JobChanged) and e.state == "paused").job
    third.engine.send(m.ResumeJob(job))
    assert third.ended(job).outcome == "ok"


def test_a_failure_is_one_sentence_with_the_traceback_beside_it(watched):
    w = watched()
    w.start("a", data="/nowhere/at/all")
    end = w.ended()
    assert end.outcome == "failed"
    assert "/nowhere/at/all" in end.message and "\n" not in end.message
    assert "Traceback" in end.details
    w.start("b", steps=2)
    assert w.ended("b").outcome == "ok"  # the lane lives


def test_only_the_newest_question_of_a_kind_is_answered_last(watched, tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=2, device="cpu", name="a"), tmp_path))
    w = watched()
    w.until(lambda e: isinstance(e, m.Ready))
    for stamp in range(1, 200):
        w.engine.send(m.Decode(run=str(tmp_path / "a"), z=np.zeros((64, 4), np.float32), stamp=stamp, channel="latent"))
    w.until(lambda e: isinstance(e, m.Decoded) and e.stamp == 199)
    stamps = [e.stamp for e in w.of(m.Decoded)]
    assert stamps == sorted(stamps)
    assert len(stamps) < 199


def test_a_bad_question_is_answered_with_a_sentence(watched, tmp_path):
    w = watched()
    w.engine.send(m.Decode(run=str(tmp_path / "none"), z=np.zeros((1, 4), np.float32), stamp=5, channel="latent"))
    failed = w.until(lambda e: isinstance(e, m.QueryFailed))
    assert (failed.stamp, failed.channel, failed.kind) == (5, "latent", "Decode")


@pytest.mark.slow
def test_a_followed_run_loses_no_point_and_repeats_none(watched, tmp_path):
    w = watched()
    w.start("a", steps=1500)
    run = w.until(lambda e: isinstance(e, m.CheckpointSaved)).run
    w.engine.send(m.FollowRun(run))
    w.ended()
    w.until(lambda e: isinstance(e, m.Metrics) and e.points.get("loss", ([-1],))[0][-1] == 1500)
    steps: list[int] = []
    for event in w.of(m.Metrics):
        if event.history:
            steps = []
        if "loss" in event.points:
            steps += event.points["loss"][0].tolist()
    assert steps == list(range(1, 1501))


def test_a_run_that_another_process_writes_is_followed(watched, tmp_path):
    """The other process is played by a generator that no lane owns."""
    events = train(Plan("vae", "digits", SMALL, steps=400, device="cpu", name="other"), tmp_path)
    while not isinstance(next(events), m.CheckpointSaved):
        pass
    w = watched()
    w.engine.send(m.FollowRun(str(tmp_path / "other")))
    w.until(lambda e: isinstance(e, m.Metrics) and e.history)
    for _ in events:
        pass
    w.until(lambda e: isinstance(e, m.Metrics) and "loss" in e.points and e.points["loss"][0][-1] == 400)
    steps = np.concatenate([e.points["loss"][0] for e in w.of(m.Metrics) if "loss" in e.points])
    assert steps.tolist() == list(range(1, 401))


def test_a_full_disk_pauses_the_training_and_room_lets_it_go_on(watched, monkeypatch):
    honest, room = RunWriter.save_checkpoint, threading.Event()

    def crowded(self, step, *args, **kwargs):
        if step >= 8 and not room.is_set():
            raise NoSpace(1_000_000, 10)
        return honest(self, step, *args, **kwargs)

    monkeypatch.setattr(RunWriter, "save_checkpoint", crowded)
    w = watched()
    w.start("a", steps=20)
    assert "disk is full" in w.state("a", "waiting").message
    room.set()
    assert w.ended().outcome == "ok"


def test_closing_while_training_saves_within_three_seconds(watched, tmp_path):
    w = watched()
    w.start("a", steps=1_000_000)
    w.until(lambda e: isinstance(e, m.CheckpointSaved) and e.step >= 4)
    started = time.monotonic()
    assert w.engine.close(timeout=20)
    assert time.monotonic() - started < 3.0
    run = Run.open(tmp_path / "a")
    assert run.manifest.status == "paused"
    assert run.newest_resumable() == run.manifest.step


def test_data_are_inspected_remembered_and_forgotten(watched, tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8))
    w = watched(tmp_path / "runs")
    w.engine.send(m.OpenData("d", str(tmp_path / "noise.npy")))
    report = w.until(lambda e: isinstance(e, m.DataReport))
    assert report.job == "d" and sum(report.counts.values()) == 50
    assert w.ended("d").outcome == "ok"
    w.until(lambda e: isinstance(e, m.DataListed) and any(d.data.endswith("noise.npy") for d in e.data))
    again = watched(tmp_path / "runs")
    again.until(lambda e: isinstance(e, m.DataListed) and any(d.data.endswith("noise.npy") for d in e.data))
    again.engine.send(m.ForgetData(str(tmp_path / "noise.npy")))
    again.until(lambda e: isinstance(e, m.DataListed) and not any(d.data.endswith("noise.npy") for d in e.data))


def test_that_a_list_with_foreign_rows_can_be_renamed_in():
    assert _renamed("a", "b", ["a", ["x"], {"y": 1}, "b", 3]) == ["b", "['x']", "{'y': 1}", "3"]


def test_that_moved_data_stay_on_the_list_and_follow_the_run_that_they_were_located_for(watched, tmp_path):
    old, new, root = str(class_folders(tmp_path / "old", count=12)), str(tmp_path / "new"), tmp_path / "runs"
    name = f'{old}?{{"size": 8}}'
    settings = {"network": "mlp", "width": 8, "latent": 2, "batch_size": 4}
    list(train(Plan("vae", name, settings, steps=1, name="run", device="cpu"), root))
    w = watched(root)
    w.engine.send(m.ListData(name))
    w.until(lambda e: isinstance(e, m.DataListed) and any(d.data == name and not d.lost for d in e.data))
    shutil.move(old, new)
    again = watched(root)
    again.until(lambda e: isinstance(e, m.DataListed) and any(d.data == name and d.lost for d in e.data))
    again.engine.send(m.LocateData(job="l", run=str(root / "run"), place=new))
    moved = f'{new}?{{"size": 8}}'
    listed = again.until(lambda e: isinstance(e, m.DataListed) and any(d.data == moved and not d.lost for d in e.data))
    assert [d.data for d in listed.data if not d.built_in] == [moved]
    again.engine.send(m.Curate(data=name))  # what a pane still holds under the old name
    told = again.until(lambda e: isinstance(e, (m.Curated, m.QueryFailed)))
    assert isinstance(told, m.Curated) and told.file.startswith(new)


def test_that_a_lost_set_of_the_list_is_located_with_every_entry_of_its_folder_and_none_stands_twice(watched, tmp_path):
    old, new, root = str(class_folders(tmp_path / "old", count=12)), str(tmp_path / "new"), tmp_path / "runs"
    small = f'{old}?{{"fit": "crop", "size": 8}}'
    w = watched(root)
    w.engine.send(m.OpenData("d", old))
    w.ended("d")
    w.engine.send(m.ListData(small))
    w.engine.send(m.ListData(f'{old}?{{"size": 8, "fit": "crop"}}'))  # the same by another name
    w.engine.send(m.ListData(f"{old}?{{}}"))
    w.until(lambda e: isinstance(e, m.DataListed) and sum(not d.built_in for d in e.data) == 2)
    shutil.move(old, new)
    again = watched(root)
    listed = again.until(lambda e: isinstance(e, m.DataListed) and any(d.lost for d in e.data))
    assert [d.summary for d in listed.data if d.lost] == ["not found", "not found · fit crop · size 8"]
    held = next(d.data for d in listed.data if d.lost and not d.decided)
    again.engine.send(
        m.LocateListed(job="l", channel="l", data=held, place=str(class_folders(tmp_path / "other", count=15)), root=str(root))
    )
    ended = again.ended("l")
    assert ended.outcome == "failed" and "is another set than “old”" in ended.message
    again.engine.send(m.LocateListed(job="k", channel="l", data=held, place=new, root=str(root)))
    told = again.until(lambda e: isinstance(e, m.ListedLocated))
    assert told.compared and again.ended("k").outcome == "ok"
    listed = [e for e in again.events if isinstance(e, m.DataListed)][-1]
    assert [d.data.partition("?")[0] for d in listed.data if not d.built_in] == [new, new] and not any(d.lost for d in listed.data)


def test_that_data_that_are_only_tried_are_listed_when_they_are_used(watched, tmp_path):
    path = tmp_path / "noise.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8))
    w = watched(tmp_path / "runs")
    w.until(lambda e: isinstance(e, m.DataListed))
    name = f'{path}?{{"labels": "a/b", "size": 16}}'
    w.engine.send(m.OpenData("d", name, listed=False))
    assert w.until(lambda e: isinstance(e, m.DataReport)).shape == (1, 16, 16)
    assert w.until(lambda e: isinstance(e, m.JobChanged) and e.job == "d").label == "noise.npy"
    assert w.ended("d").outcome == "ok"
    assert not any(d.data == name for e in w.events if isinstance(e, m.DataListed) for d in e.data)
    w.engine.send(m.ListData(name))
    listed = w.until(lambda e: isinstance(e, m.DataListed) and any(d.data == name for d in e.data))
    info = next(d for d in listed.data if d.data == name)
    assert info.name == "noise.npy" and "size 16" in info.summary
    again = watched(tmp_path / "runs")
    again.until(lambda e: isinstance(e, m.DataListed) and any(d.data == name for d in e.data))


def test_every_message_of_a_training_can_be_sent_to_another_process(watched):
    w = watched()
    w.start(steps=20)
    w.ended()
    for event in w.events:
        assert type(pickle.loads(pickle.dumps(event))) is type(event)


def test_rows_of_the_file_become_one_array_per_curve():
    rows = [
        {"t": 0.1, "steps": [1, 2], "values": {"loss": [9.0, 8.0]}},
        {"t": 0.1, "steps": [2], "values": {"valid loss": [8.5]}},
        {"t": 0.2, "steps": [3], "values": {"loss": [7.0]}},
    ]
    points = history_points(rows)
    assert [array.tolist() for array in points["loss"]] == [[1, 2, 3], [9.0, 8.0, 7.0]]
    assert [array.tolist() for array in points["valid loss"]] == [[2], [8.5]]


def test_what_lay_past_the_checkpoint_that_a_killed_training_went_on_from_is_left_out():
    rows = [
        {"t": 0.1, "steps": [1, 2, 3], "values": {"loss": [9.0, 8.0, 7.0]}},
        {"t": 0.2, "steps": [4, 5], "values": {"loss": [6.0, 5.0]}},
        {"t": 0.1, "resumed": 2},
        {"t": 0.2, "steps": [3, 4], "values": {"loss": [7.5, 6.5]}},
    ]
    steps, values = history_points(rows)["loss"]
    assert steps.tolist() == [1, 2, 3, 4]
    assert values.tolist() == [9.0, 8.0, 7.5, 6.5]


def test_a_run_that_was_sent_just_before_closing_ends_and_is_not_forgotten(watched, tmp_path):
    first = watched()
    first.start("a", steps=3)
    assert first.engine.close(timeout=300)
    first.drain()
    assert [e.job for e in first.of(m.Ended)] == ["a"]
    second = watched()
    assert second.until(lambda e: isinstance(e, m.JobChanged) and e.state == "paused")


@pytest.mark.parametrize("queue", ['[{"method": "vae", "data": 5}]', "[" * 100_000])
def test_files_of_the_lane_that_hold_nonsense_do_not_stop_it(watched, tmp_path, queue):
    (tmp_path / "data.json").write_text("5")
    (tmp_path / "queue.json").write_text(queue)
    w = watched()
    w.start("a", steps=2)
    assert w.ended().outcome == "ok"


def test_a_queue_of_version_0_1_0_has_settings_of_today_s_names(tmp_path):
    from types import SimpleNamespace

    from engine.worker.training_lane import TrainingLane

    row = {"method": "simclr", "data": "digits", "config": {"piece": 32, "width": 8}, "beside": "", "kind": ""}
    (tmp_path / "queue.json").write_text(json.dumps([row]))
    runs: Any = SimpleNamespace(root=tmp_path)
    lane = TrainingLane(lambda event: None, runs, runs)
    lane._restore_queue()
    assert [job.plan.config for job in lane.paused] == [{"micro_batch_size": 32, "width": 8}]


def test_a_new_run_of_an_old_name_is_another_run(watched, tmp_path):
    w = watched()
    pictures = []
    for seed in (0, 1):
        w.start("a", steps=4, seed=seed)
        w.ended()
        w.events.clear()
        w.engine.send(m.Decode(run=str(tmp_path / "a"), z=np.zeros((1, 4), np.float32), stamp=seed, channel="latent"))
        pictures.append(w.until(lambda e: isinstance(e, m.Decoded)).images)
        w.engine.send(m.DeleteRun(str(tmp_path / "a")))
        w.until(lambda e: isinstance(e, m.Notice) and "deleted" in e.text)
    assert not np.array_equal(*pictures)
