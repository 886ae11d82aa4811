"""What the Likelihood pane and the verbs `score` and `ood` ask: scores of images, of data sets and of ever more corrupted pictures.

One closer look at a single image is in `image_inspection.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine import messages as m
from engine.data import BadData, Picture, adapt, lasting
from engine.detectors.code_length import png_bytes
from engine.queries.answers import Job, Part, answers
from engine.queries.calibrated_detectors import PICTURES_AT_ONCE, CalibratedDetectors, DetectorCache
from engine.queries.pictures import adapted, original_shown, read_picture, spread
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
        detectors = yield from session.room(DetectorCache).calibrated(run, step, work.job, work.limit, work.samples, work.runs)
        model = detectors.model
        known = dict(detectors.known)
        yield m.Calibrated(work.job, run, model.step, detectors.weights, detectors.infos, known, model.manifest.data_name)
    return "The held-out images are scored."


@answers(m.ScoreImages)
def score_images(session: QuerySession, work: m.ScoreImages) -> Job:
    """Scores and p-values of pictures, a few at a time; one that cannot be read is told with the reason. Raises: as `calibrate`."""
    calibrated = []
    for run, step in work.runs:
        detectors = yield from session.room(DetectorCache).calibrated(run, step, work.job, work.limit, work.samples, work.runs)
        calibrated.append((run, detectors))
    own = calibrated[0][1].model if calibrated else None
    bad = 0
    for start in range(0, len(work.pictures), PICTURES_AT_ONCE):
        asked = work.pictures[start : start + PICTURES_AT_ONCE]
        read: list[Picture | str] = []
        for picture in asked:
            read.append(_picture_or_why(session, picture, own))
            yield None
        for event in (yield from _score_some(work.job, asked, read, calibrated)):
            bad += bool(event.error)
            yield event
    count = len(work.pictures)
    return f"{count - bad:,} of {count:,} images were scored; {bad:,} could not be read." if bad else f"{_images(count)} scored."


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
    for run, detectors in calibrated:
        for i, picture in good.items():
            seen[i][run], how = adapt(picture, detectors.shape)
            notes[i] += [note for note in (*picture.notes, *how) if note not in notes[i]]
        if good:
            images = np.stack([seen[i][run] for i in good])
            found = yield from detectors.scores(detectors.batches(images), list(detectors.detectors))
            for row, i in enumerate(good):
                scores[i] += detectors.verdicts(run, {name: float(values[row]) for name, values in found.items()})
    scored = []
    for i, (one, picture) in enumerate(zip(asked, read, strict=True)):
        if isinstance(picture, str):
            scored.append(m.ImageScored(job, one.label, one.path, (), {}, None, (), error=picture))
            continue
        size = png_bytes(next(iter(seen[i].values()))) if seen[i] else 0
        scored.append(m.ImageScored(job, one.label, one.path, scores[i], seen[i], original_shown(picture), tuple(notes[i]), size))
    return scored


@answers(m.ScoreData)
def score_data(session: QuerySession, work: m.ScoreData) -> Job:
    """Scores [n] of a data set's test images, spread evenly over them. Raises: as `calibrate`."""
    detectors = yield from session.room(DetectorCache).calibrated(work.run, work.step, work.job, work.held_out, work.samples, work.runs)
    data = yield from session.load_data(lasting(work.data) if work.data else detectors.model.manifest.data, work.job)
    if data.kind != "images":
        raise BadData(f"{data.name} is a text; name a data set of images.")
    split = data.splits["test"]
    indices = spread(len(split), work.limit)
    images = yield from adapted(np.asarray(split.images[indices]), detectors.shape)
    progress = ProgressReporter(work.job, work.run, len(images), "image", f"Scoring {data.name}")
    scores = yield from detectors.scores_of_data(images, data.hash, "test", work.limit, progress)
    yield m.DataScored(work.job, work.run, detectors.model.step, work.data, scores, indices, images)
    return f"{_images(len(images))} of {data.name} scored."


@answers(m.Corrupt)
def corrupt(session: QuerySession, work: m.Corrupt) -> Job:
    """Scores of one picture at `count` strengths of a corruption, from 0 to 1. Raises: as `calibrate`; BadCorruption."""
    detectors = yield from session.room(DetectorCache).calibrated(work.run, work.step, work.job, work.limit, work.samples, work.runs)
    image, _ = adapt(read_picture(session, work.picture, detectors.model), detectors.shape)
    strengths = np.linspace(0, 1, max(2, work.count))
    images = np.zeros((0, *image.shape), np.uint8)
    scores: dict[str, np.ndarray] = {name: np.zeros(0) for name in detectors.detectors}
    for i, strength in enumerate(strengths):
        images = np.concatenate([images, corrupt_image(image, work.kind, float(strength), work.seed)[None]])
        found = yield from detectors.scores(detectors.batches(images[-1:]), list(detectors.detectors))
        scores = {name: np.append(scores[name], values) for name, values in found.items()}
        yield m.Corrupted(work.job, work.run, work.kind, strengths[: i + 1].copy(), dict(scores), images.copy())
    return "The path is complete."


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
