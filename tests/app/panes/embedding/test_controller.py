"""What is asked for a map, in which order, and which answers are dropped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from app.panes.embedding.controller import EmbeddingController, MapPlan, PointColoring, find, how_far
from engine import messages as m
from tests.kit import paper_map
from tests.kit.panes import ANSWERS, OTHER, RUN, WORKS, Kit

LOOK = (RUN, 64)
UMAP = MapPlan(limit=80)
PCA = MapPlan(limit=80, settings=m.MapSettings("pca", 15))


@pytest.fixture
def kit(qapp, monkeypatch) -> Iterator[Kit]:
    for kind, answer in ((m.Embed, paper_map.embed), (m.ColorPoints, paper_map.colour), (m.Calibrate, paper_map.calibrate)):
        monkeypatch.setitem(WORKS, kind, answer)
    monkeypatch.setitem(ANSWERS, m.PlaceImage, paper_map.place)
    made = Kit()
    yield made
    made.end()


@pytest.fixture
def controller(kit: Kit) -> EmbeddingController:
    made = EmbeddingController(kit.bridge, kit)
    made.plan = UMAP
    made.set_active(True)
    return made


def picture(name: str) -> m.PictureRef:
    return m.PictureRef(label=name, path=f"/home/me/{name}")


def kinds(kit: Kit) -> list[str]:
    return [work.settings.kind for work in kit.engine.of(m.Embed)]


def test_that_the_first_map_is_preceded_by_one_that_costs_next_to_nothing(kit: Kit, controller: EmbeddingController) -> None:
    controller.look_at(LOOK)
    kit.pump()
    assert kinds(kit) == ["pca", "umap"]
    assert controller.map is not None and controller.map.settings.kind == "umap" and controller.shows == controller.wanted
    assert {work.subset for work in kit.engine.of(m.Embed)} == {m.Subset(RUN, 64, "", "valid", 80)}
    assert {work.channel for work in kit.engine.of(m.Embed)} == {"embedding"}
    controller.look_at((RUN, 128))
    kit.pump()
    assert kinds(kit) == ["pca", "umap", "umap"] and kit.engine.of(m.Embed)[-1].warm
    assert controller.map.subset.step == 128 and controller.map.warm


def test_that_another_run_in_the_folder_of_a_former_one_is_drawn_anew(kit: Kit, controller: EmbeddingController) -> None:
    controller.look_at(LOOK)
    kit.pump()
    controller.detectors[RUN] = ()
    controller.forget_run(OTHER)
    assert controller.map is not None and RUN in controller.detectors
    before = len(kinds(kit))
    controller.forget_run(RUN)
    assert controller.map is None and not controller.detectors
    kit.pump()
    assert controller.map is not None and kinds(kit)[before:] == ["pca", "umap"]
    assert not kit.engine.of(m.Embed)[before].warm, "the former run's maps are no beginning"


def test_that_every_stop_is_told_even_where_the_words_stay(kit: Kit, controller: EmbeddingController) -> None:
    kit.engine.answering = False
    controller.look_at(LOOK)
    controller.stop()
    told: list[str] = []
    controller.said.connect(lambda: told.append(controller.line))
    controller.begin("detectors", lambda job: m.Calibrate(job=job, channel="embedding.known", runs=(LOOK,)))
    told.clear()
    controller.stop()
    assert not controller.jobs and told and told[-1].startswith("Stopped.")


def test_that_a_map_by_components_needs_no_other_one_before_it(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.look_at(LOOK)
    kit.pump()
    assert kinds(kit) == ["pca"]


def test_that_a_map_that_goes_on_from_another_is_finished_and_then_the_newest_step_follows(
    kit: Kit, controller: EmbeddingController
) -> None:
    """Each overtaken one would cost its helper process."""
    controller.look_at(LOOK)
    kit.pump()
    kit.engine.answering = False
    for step in (128, 256, 512):
        controller.look_at((RUN, step))
    assert [work.subset.step for work in kit.engine.of(m.Embed)][-1] == 128
    assert not kit.engine.of(m.StopJob)
    kit.engine.answering = True
    for work in kit.engine.open:
        kit.engine.reply(work)
    kit.pump()
    assert [work.subset.step for work in kit.engine.of(m.Embed)][-2:] == [128, 512]
    assert controller.map is not None and controller.map.subset.step == 512 and not controller.jobs


def test_that_a_first_map_gives_way_to_the_newest_step_and_comes_too_late(kit: Kit, controller: EmbeddingController) -> None:
    kit.engine.answering = False
    controller.look_at(LOOK)
    (late,) = kit.engine.of(m.Embed)
    controller.look_at((RUN, 128))
    kit.engine.events += [*paper_map.embed(kit.engine, late), m.Ended(late.job, "stopped", "Stopped.")]
    kit.bridge.drain()
    assert controller.map is None and set(controller.jobs) == {"map"}
    assert [work.subset.step for work in kit.engine.of(m.Embed)] == [64, 128]


def test_that_another_run_stops_all_work_and_forgets_the_map(kit: Kit, controller: EmbeddingController) -> None:
    controller.look_at(LOOK)
    kit.pump()
    controller.place([picture("seven.png")])
    kit.pump()
    kit.engine.answering = False
    controller.look_at((RUN, 128))
    controller.color_by(PointColoring("loss"))
    late = kit.engine.of(m.Embed)[-1]
    kit.engine.open.clear()
    controller.look_at((OTHER, 64))
    assert controller.map is None and not controller.places
    assert late.job in {sent.job for sent in kit.engine.of(m.StopJob)}
    kit.engine.events += [*paper_map.embed(kit.engine, late), m.Ended(late.job, "ok", "Done.")]
    kit.bridge.drain()
    assert controller.map is None
    kit.engine.answering = True
    kit.pump()
    assert controller.map is not None and controller.map.subset.run == OTHER
    assert list(controller.places) == ["/home/me/seven.png"], "the image is placed on the new map, too"


def test_that_stop_ends_it_and_nothing_is_begun_again_by_itself(kit: Kit, controller: EmbeddingController) -> None:
    kit.engine.answering = False
    controller.look_at(LOOK)
    (work,) = kit.engine.of(m.Embed)
    controller.stop()
    assert [sent.job for sent in kit.engine.of(m.StopJob)] == [work.job] and not controller.jobs
    controller.look_at(LOOK)
    kit.bridge.drain()
    assert len(kit.engine.of(m.Embed)) == 1 and controller.patience() == math.inf
    controller.draw(UMAP)
    assert len(kit.engine.of(m.Embed)) == 2 and controller.line == ""


def test_that_a_map_that_fails_says_why_and_is_not_asked_for_again_and_again(kit: Kit, controller: EmbeddingController) -> None:
    kit.engine.answering = False
    controller.look_at(LOOK)
    kit.engine.open.clear()
    kit.engine.events.append(m.Ended(kit.engine.of(m.Embed)[0].job, "failed", "There are 3 images, and 16 are needed. Choose more."))
    kit.bridge.drain()
    controller.go_on()
    assert len(kit.engine.of(m.Embed)) == 1 and not controller.jobs
    assert (controller.line, controller.level) == ("There are 3 images, and 16 are needed. Choose more.", "bad")
    controller.draw(replace(UMAP, limit=90))
    assert len(kit.engine.of(m.Embed)) == 2


def test_that_work_that_says_nothing_is_not_asked_for_for_ever(kit: Kit, controller: EmbeddingController, monkeypatch) -> None:
    monkeypatch.setitem(WORKS, m.Embed, lambda engine, work: [])
    controller.look_at(LOOK)
    kit.pump()
    assert len(kit.engine.of(m.Embed)) == 1


def test_that_the_button_draws_from_nothing_and_the_cursor_goes_on_from_there(kit: Kit, controller: EmbeddingController) -> None:
    controller.look_at(LOOK)
    kit.pump()
    controller.draw(replace(UMAP, settings=m.MapSettings("umap", 15, 0.5, 7)))
    kit.pump()
    work = kit.engine.of(m.Embed)[-1]
    assert not work.warm and (work.settings.min_dist, work.settings.seed) == (0.5, 7)
    controller.draw(controller.plan)  # the same again: the same map
    kit.pump()
    assert len(kit.engine.of(m.Embed)) == 4 and not kit.engine.of(m.Embed)[-1].warm
    controller.look_at((RUN, 128))
    kit.pump()
    assert kit.engine.of(m.Embed)[-1].warm


def test_that_a_hidden_pane_asks_nothing(kit: Kit, controller: EmbeddingController) -> None:
    controller.set_active(False)
    controller.look_at(LOOK)
    controller.color_by(PointColoring("loss"))
    controller.place([picture("seven.png")])
    assert not kit.engine.sent
    controller.set_active(True)
    kit.pump()
    assert controller.map is not None and controller.point_colors is not None and controller.places


def test_that_a_map_stands_as_long_as_it_took(kit: Kit, controller: EmbeddingController, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("app.shell.job_controller.monotonic", lambda: clock[0])
    kit.engine.answering = False
    controller.plan = PCA
    controller.look_at(LOOK)
    assert controller.patience() == math.inf
    clock[0] += 9
    kit.engine.reply(kit.engine.open.popleft())
    kit.bridge.drain()
    assert controller.patience() == pytest.approx(9)
    clock[0] += 5
    assert controller.patience() == pytest.approx(4)
    clock[0] += 5
    assert controller.patience() == 0


def test_that_colours_belong_to_the_map_that_is_shown(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.look_at(LOOK)
    kit.pump()
    assert not kit.engine.of(m.ColorPoints), "labels came with the map"
    controller.color_by(PointColoring("clusters", 4))
    kit.pump()
    (work,) = kit.engine.of(m.ColorPoints)
    assert controller.map is not None and work.subset == controller.map.subset and (work.by, work.clusters) == ("clusters", 4)
    assert controller.point_colors is not None and len(controller.point_colors.classes) == 4
    kit.engine.answering = False
    controller.look_at((RUN, 128))
    assert len(kit.engine.of(m.ColorPoints)) == 1, "not before its map is there"
    kit.engine.answering = True
    kit.pump()
    assert kit.engine.of(m.ColorPoints)[-1].subset.step == 128 and controller.point_colors.subset.step == 128
    controller.color_by(PointColoring("class"))
    assert controller.point_colors is None
    controller.go_on()
    kit.pump()
    assert len(kit.engine.of(m.ColorPoints)) == 2


def test_that_colours_of_a_step_that_was_left_are_dropped(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.look_at(LOOK)
    kit.pump()
    kit.engine.answering = False
    controller.color_by(PointColoring("loss"))
    late = kit.engine.open.popleft()
    controller.look_at((RUN, 128))
    kit.engine.reply(kit.engine.open.popleft())
    kit.bridge.drain()
    assert late.job in {sent.job for sent in kit.engine.of(m.StopJob)}
    kit.engine.reply(late)
    kit.bridge.drain()
    assert controller.point_colors is None


def test_that_a_direction_between_points_of_other_images_is_given_up(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.look_at(LOOK)
    kit.pump()
    controller.color_by(PointColoring("direction", a=np.arange(5), b=np.arange(5, 9)))
    kit.pump()
    assert controller.point_colors is not None and controller.point_colors.by == "direction"
    controller.look_at((RUN, 128))
    kit.pump()
    assert controller.point_colors.subset.step == 128, "the same images: the direction holds at other steps"
    controller.draw(replace(PCA, limit=60))
    kit.pump()
    assert controller.coloring.by == "class" and controller.point_colors is None


def test_that_scores_become_known_when_they_are_looked_up_or_when_another_pane_did(kit: Kit, controller: EmbeddingController) -> None:
    controller.look_at(LOOK)
    kit.pump()
    controller.ask_detectors()
    kit.pump()
    assert [work.runs for work in kit.engine.of(m.Calibrate)] == [(LOOK,)]
    assert [one.name for one in controller.detectors[RUN]] == ["knn", "ratio"] and not controller.jobs
    kit.bridge.tell(m.Calibrated("likelihood-9", OTHER, 64, "", paper_map.DETECTORS[:1], {}, "digits"))
    assert [one.name for one in controller.detectors[OTHER]] == ["knn"]


def test_that_dropped_images_are_placed_one_after_the_other_and_again_on_every_map(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.place([picture("seven.png"), picture("broken.png"), picture("boot.png")])
    assert not kit.engine.sent
    controller.look_at(LOOK)
    kit.pump()
    assert [query.picture.label for query in kit.engine.of(m.PlaceImage)] == ["seven.png", "broken.png", "boot.png"]
    assert set(controller.places) == {"/home/me/seven.png", "/home/me/boot.png"}
    assert (controller.line, controller.level) == ("broken.png is cut off. Save it again.", "bad")
    controller.look_at((RUN, 128))
    kit.pump()
    assert [query.subset.step for query in kit.engine.of(m.PlaceImage)[3:]] == [128, 128]
    assert {answer.subset.step for answer in controller.places.values()} == {128}
    controller.forget_pictures()
    controller.look_at((RUN, 256))
    kit.pump()
    assert len(kit.engine.of(m.PlaceImage)) == 5


def test_that_a_place_on_a_map_that_went_is_dropped(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.look_at(LOOK)
    kit.pump()
    kit.engine.answering = False
    controller.place([picture("seven.png")])
    late = kit.engine.open.popleft()
    controller.look_at((RUN, 128))
    kit.engine.reply(kit.engine.open.popleft())
    kit.bridge.drain()
    kit.engine.reply(late)
    kit.bridge.drain()
    assert not controller.places
    kit.engine.answering = True
    kit.pump()
    assert [answer.subset.step for answer in controller.places.values()] == [128]


def test_that_closing_leaves_nothing_under_way(kit: Kit, controller: EmbeddingController) -> None:
    controller.plan = PCA
    controller.look_at(LOOK)
    kit.pump()
    kit.engine.answering = False
    controller.place([picture("seven.png")])
    controller.look_at((RUN, 128))
    job = kit.engine.of(m.Embed)[-1].job
    controller.close()
    assert job in {sent.job for sent in kit.engine.of(m.StopJob)}
    assert not kit.bridge._waiting and not controller.jobs


def test_that_progress_is_told_in_words(kit: Kit, controller: EmbeddingController) -> None:
    kit.engine.answering = False
    controller.look_at(LOOK)
    job = kit.engine.of(m.Embed)[0].job
    kit.bridge.tell(m.Progress(job, RUN, 1200, 2000, "image", 900.0, 1.0, "Encoding"))
    assert controller.line == "Encoding: image 1\u202f200 of 2\u202f000"
    kit.bridge.tell(m.Progress(job, RUN, 3, None, "step", 1.0, None))
    assert controller.line == "Drawing the map: step 3"
    kit.bridge.tell(m.Progress(job, RUN, 30, 200, "epoch", 1.0, None, "map, epoch 30 of 200"))
    assert controller.line == "Map, epoch 30 of 200", "a number is told once"
    kit.bridge.tell(m.Progress(job, RUN, 3, None, "step", 1.0, None))
    kit.bridge.tell(m.Progress("another", RUN, 3, None, "step", 1.0, None, "Judging"))
    assert controller.line == "Drawing the map: step 3"


def test_that_images_are_found_by_number_class_and_file_name() -> None:
    event = paper_map.embedded("", m.Subset(RUN, 64, limit=60), m.MapSettings())
    found, words = find("digit-0027", event)
    assert found.tolist() == [9] and words == "1 found · file name: 1"
    found, words = find(" #27 ", event)
    assert found.tolist() == [9] and words == "1 found · image 27"
    found, words = find("6", event)
    labels = event.labels
    assert labels is not None
    assert found.tolist() == sorted({2, *np.flatnonzero(labels == 6).tolist()})
    assert words == f"{len(found)} found · image 6 · class 6: {(labels == 6).sum()}"
    named = replace(event, classes=("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"))
    assert set(labels[find("shirt", named)[0]].tolist()) == {0, 6}
    assert find("coat", named)[1] == f"{(labels == 4).sum()} found · class Coat: {(labels == 4).sum()}"
    nothing, words = find("zebra", named)
    assert not len(nothing) and words.startswith("Nothing found for “zebra”.")
    assert find("  ", event)[1] == ""
    assert not len(find("7", replace(event, labels=None, classes=(), names=()))[0])


def test_that_the_distance_of_an_image_is_told_beside_the_usual_one(kit: Kit) -> None:
    query = m.PlaceImage(subset=m.Subset(RUN, 64, limit=60), picture=picture("seven.png"))
    near = paper_map.place(kit.engine, query)
    told = [how_far(replace(near, distances=np.array([times * near.usual], np.float32))) for times in (0.9, 1.6, 3.1)]
    assert [level for _, level in told] == ["good", "warning", "bad"]
    assert told[1][0] == "Farther than usual: 1.6 times the usual distance."
    assert told[2][0] == "Far from everything: 3.1 times the usual distance."
    assert how_far(replace(near, usual=0.0))[1] == ""
