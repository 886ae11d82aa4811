"""What the Likelihood pane and the verbs `score` and `ood` ask: scores of images, of data sets and of ever more corrupted pictures.

One closer look at a single image is in `image_inspection.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from engine import messages as m
from engine.common.counting import number_of, was_or_were
from engine.data import BadData, DataSet, Picture, Split, adapt, lasting, picture_from_array
from engine.data.dataset import JoinedSplits
from engine.data.splits import all_images, spread
from engine.detectors.code_length import png_bytes
from engine.queries.answers import Job, Part, answers
from engine.queries.calibrated_detectors import CALIBRATED_ON, PICTURES_AT_ONCE, CalibratedDetectors, DetectorCache
from engine.queries.pictures import adapted, original_shown, read_picture
from engine.queries.progress import ProgressReporter
from engine.queries.session import Model, QuerySession
from engine.storage.run_folders import BadRun
from engine.transforms.corruptions import corrupt as corrupt_image


@answers(m.Calibrate)
def calibrate(session: QuerySession, work: m.Calibrate) -> Job:
    """Scores [n] of held-out images by every detector of each run.

    Raises:
        CannotAnswer: a run of texts, or without detectors. BadRun, BadData.
    """
    for run, step in work.runs:
        detectors = yield from session.room(DetectorCache).calibrated(run, step, work.job, work.limit, work.samples, work.runs, work.seed)
        model = detectors.model
        known = dict(detectors.known)
        yield m.Calibrated(
            work.job,
            run,
            model.step,
            detectors.weights,
            detectors.infos,
            known,
            model.manifest.data_name,
            detectors.groups,
            CALIBRATED_ON,
            model.manifest.data_hash,
            detectors.uncalibrated,
        )
    return "The held-out images are scored."


@answers(m.ScoreImages)
def score_images(session: QuerySession, work: m.ScoreImages) -> Job:
    """Scores and p-values of pictures, a few at a time; one that cannot be read is told with the reason. Raises: as `calibrate`."""
    calibrated = []
    for run, step in work.runs:
        detectors = yield from session.room(DetectorCache).calibrated(run, step, work.job, work.limit, work.samples, work.runs, work.seed)
        calibrated.append((run, detectors))
    own = calibrated[0][1].model if calibrated else None
    bad = 0
    for start in range(0, len(work.pictures), PICTURES_AT_ONCE):
        asked = work.pictures[start : start + PICTURES_AT_ONCE]
        read: list[Picture | str] = []
        for picture in asked:
            yield from _open_named(session, picture, own, work.job)
            read.append(_picture_or_why(session, picture, own))
            yield None
        for event in (yield from _score_some(work.job, asked, read, calibrated)):
            bad += bool(event.error)
            yield event
    count = len(work.pictures)
    return (
        f"{count - bad:,} of {number_of(count, 'image')} {was_or_were(count - bad)} scored; {bad:,} could not be read."
        if bad
        else f"{number_of(count, 'image')} scored."
    )


def _open_named(session: QuerySession, asked: m.PictureRef, model: Model | None, job: str) -> Part[None]:
    """Open the data set that a picture is an image of, as a part of the job: what is wrong with it is said where the picture is read."""
    if asked.path is None and asked.image is None and (asked.data is not None or model is not None):
        with contextlib.suppress(BadData, BadRun):
            if asked.data is not None:
                yield from session.load_data(lasting(asked.data), job)
            elif model is not None:
                yield from session.load_run_data(model, job)


def _picture_or_why(session: QuerySession, asked: m.PictureRef, model: Model | None) -> Picture | str:
    try:
        return read_picture(session, asked, model)
    except (BadData, BadRun) as error:
        return str(error)


def _score_some(
    job: str, asked: Sequence[m.PictureRef], read: Sequence[Picture | str], calibrated: Sequence[tuple[str, CalibratedDetectors]]
) -> Part[list[m.ImageScored]]:
    """Scores of a few pictures by every detector of every run; `read` has the reason in place of a picture that could not be read."""
    good = {i: picture for i, picture in enumerate(read) if isinstance(picture, Picture)}
    seen: dict[int, dict[str, np.ndarray]] = {i: {} for i in good}
    notes: dict[int, list[str]] = {i: [] for i in good}
    scores: dict[int, tuple[m.DetectorScore, ...]] = {i: () for i in good}
    together: dict[int, tuple[m.CombinedScore, ...]] = {i: () for i in good}
    for run, detectors in calibrated:
        for i, picture in good.items():
            seen[i][run], how = adapt(picture, detectors.shape)
            notes[i] += [note for note in (*picture.notes, *how) if note not in notes[i]]
        if good:
            images = np.stack([seen[i][run] for i in good])
            looks = detectors.subject.batches(images)
            found = yield from detectors.scores(looks, list(detectors.detectors))
            errors = detectors.errors(looks, found)
            for row, i in enumerate(good):
                one, off = ({name: float(values[row]) for name, values in part.items()} for part in (found, errors))
                told, combined = detectors.verdicts(run, one, off)
                scores[i] += told
                together[i] += (combined,)
    scored = []
    for i, (one, picture) in enumerate(zip(asked, read, strict=True)):
        if isinstance(picture, str):
            scored.append(m.ImageScored(job, one.label, one.path, (), {}, None, (), error=picture))
            continue
        size = png_bytes(next(iter(seen[i].values()))) if seen[i] else 0
        shown = original_shown(picture)
        scored.append(m.ImageScored(job, one.label, one.path, scores[i], seen[i], shown, tuple(notes[i]), size, combined=together[i]))
    return scored


@answers(m.ReadTrainingImages)
def read_training_images(session: QuerySession, work: m.ReadTrainingImages) -> Job:
    """Open the data that each run was trained on, with progress, so that short questions find them open. Raises: BadData, BadRun."""
    for run, step in work.runs:
        yield from session.load_run_data(session.model(run, step), work.job)
    return "The training images can be looked at."


@answers(m.ScoreData)
def score_data(session: QuerySession, work: m.ScoreData) -> Job:
    """Scores [n] of a data set's images, spread over a split of it. Detectors are fitted, not calibrated: scores need no p-values here.

    Raises: as `calibrate`.
    """
    cache = session.room(DetectorCache)
    detectors = yield from cache.calibrated(work.run, work.step, work.job, 0, work.samples, work.runs, work.seed)
    model = detectors.model
    named = session.load_data(lasting(work.data), work.job) if work.data else session.load_run_data(model, work.job)
    data = yield from named
    if data.kind != "images":
        raise BadData(f"{data.name} is a text; name a data set of images.")
    own = data.hash == model.manifest.data_hash
    name = work.split or ("test" if own or _has_own_test(data) else "all")
    split = all_images(data) if name == "all" else _split(data, name)
    indices = spread(split, work.limit)
    images = yield from adapted(split.take(indices), detectors.shape)
    progress = ProgressReporter(work.job, work.run, len(images), "image", f"Scoring {data.name}")
    scores = yield from detectors.scores_of_data(images, data.hash, name, work.limit, progress)
    yield m.DataScored(
        job=work.job,
        run=work.run,
        step=model.step,
        data=work.data,
        scores=scores,
        indices=indices,
        images=images,
        split=name,
        total=len(split),
        names=tuple(split.names[int(i)] for i in indices),
        groups=None if split.groups is None else np.asarray(split.groups[indices], np.int64),
        notes=_adaptation(split, detectors.shape),
        data_hash=data.hash,
        name=data.name,
    )
    return f"{number_of(len(images), 'image')} of {data.name} scored."


def _has_own_test(data: DataSet) -> bool:
    """Whether its test images are a part of their own on the disk, and were not drawn from all of them."""
    index = data.splits["test"].index
    return np.array_equal(index, np.arange(len(index)))


def _split(data: DataSet, name: str) -> Split:
    """Raises: BadData: there is no such split, or it is empty."""
    split = data.splits.get(name)
    if split is None or not len(split):
        raise BadData(f"{data.name} has no images in its split “{name}”; choose train, valid or test.")
    return split


def _adaptation(split: Split | JoinedSplits, shape: tuple[int, ...]) -> tuple[str, ...]:
    """How the first image is adapted, in words; the others alike."""
    if not len(split):
        return ()
    return adapt(picture_from_array(np.ascontiguousarray(split.take(np.zeros(1, np.int64))[0].transpose(1, 2, 0))), shape)[1]


@answers(m.Corrupt)
def corrupt(session: QuerySession, work: m.Corrupt) -> Job:
    """Scores of one picture at `count` strengths of a corruption, from 0 to 1. Raises: as `calibrate`; BadCorruption."""
    detectors = yield from session.room(DetectorCache).calibrated(work.run, work.step, work.job, work.limit, work.samples, work.runs)
    yield from _open_named(session, work.picture, detectors.model, work.job)
    image, _ = adapt(read_picture(session, work.picture, detectors.model), detectors.shape)
    strengths = np.linspace(0, 1, max(2, work.count))
    images = np.zeros((0, *image.shape), np.uint8)
    scores: dict[str, np.ndarray] = {name: np.zeros(0) for name in detectors.detectors}
    for i, strength in enumerate(strengths):
        images = np.concatenate([images, corrupt_image(image, work.kind, float(strength), work.seed)[None]])
        found = yield from detectors.scores(detectors.subject.batches(images[-1:]), list(detectors.detectors))
        scores = {name: np.append(scores[name], values) for name, values in found.items()}
        yield m.Corrupted(work.job, work.run, work.kind, strengths[: i + 1].copy(), dict(scores), images.copy())
    return "The path is complete."
