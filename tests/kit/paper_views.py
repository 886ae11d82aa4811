"""An engine of paper that makes views of the real digits, curves, puzzles and a queue; and a run of a method that has them all."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import messages as m
from tests.kit.panes import digits, run_info

FIELDS = (
    m.FieldInfo("temperature", "temperature", "float", 0.2, "What cosines are divided by.", 0.01, 10.0, group="Objective"),
    m.FieldInfo("brightness", "brightness", "float", 0.4, "Brightness is multiplied.", 0.0, 1.0, group="Augmentation"),
    m.FieldInfo("flip", "flip", "float", 0.5, "Probability of a mirror image.", 0.0, 1.0, group="Augmentation"),
)
PAPER = m.MethodInfo("paper", "Paper", "Self-supervision", "none", "none", False, ("encode", "views"), "Paper 2020", "", "", FIELDS)
RUN, OTHER = "/runs/paper-digits", "/runs/paper-digits-2"
TRANSFORMS = ("brightness", "blur", "flip")


def paper_views(images: np.ndarray, settings: dict[str, object]) -> list[np.ndarray]:
    """Two views: a brighter one, and a mirror image where the settings say so."""
    x = images.astype(np.float32) / 255
    brighter = np.clip(x * (1 + float(settings.get("brightness", 0.4))), 0, 1).astype(np.float32)  # type: ignore[arg-type]
    return [brighter, x[..., ::-1].copy() if settings.get("flip", 0.5) else x]


def unit(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1).astype(np.float64)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def _show_batch(engine: Any, q: m.ShowBatch) -> m.BatchShown:
    images = digits()[0][: q.count]
    views = paper_views(images, q.settings)
    vectors = [unit(view) for view in views]
    drawn = tuple(m.Drawn((0, 0, 8, 8), flipped=k % 2 == 0) for k in range(len(images)))
    both = np.concatenate(vectors)
    pair = q.pair or (0, 1)
    before = [unit(view) for view in paper_views(images, {})]
    step = 1024 if q.step is None else q.step
    labels = tuple(str(n) for n in digits()[1][: q.count])
    return m.BatchShown(
        stamp=q.stamp, channel=q.channel, run=q.run, step=step, indices=np.arange(len(images)), labels=labels,
        originals=images, views=tuple(m.ShownView(f"view {k + 1}", "", view, drawn) for k, view in enumerate(views)),
        watchers=(m.Watcher(0, "", "view 1"), m.Watcher(1, "", "view 2")),
        cosines=np.einsum("knd,lnd->nkl", vectors, vectors).astype(np.float32), pair=pair,
        before=(before[0] * before[1]).sum(1).astype(np.float32) if q.settings else None,
        matrix=(both @ both.T).astype(np.float32), rows=(0, 1), columns=(0, 1), batch=128, piece=128, exact=True, notes=engine.notes,
        compares="projections", queue=32 if q.run == RUN else 0, puzzle=engine.puzzle,
    )  # fmt: skip


def _curve(engine: Any, q: m.MeasureInvariance) -> m.InvarianceMeasured:
    name = q.transform or TRANSFORMS[0]
    image = np.full((1, 8, 8), 9, np.uint8) if q.picture.path else digits()[0][q.picture.index or 0]
    step = 1024 if q.step is None else q.step
    transform = m.Transform(name, 1.0, "", "What it does.")
    return m.InvarianceMeasured(
        stamp=q.stamp, channel=q.channel, run=q.run, step=step, label=q.picture.label, transform=transform,
        transforms=TRANSFORMS, strengths=np.linspace(0, 1, 9).astype(np.float32), cosines=np.linspace(1, 0.4, 9).astype(np.float32),
        deviations=np.zeros(9, np.float32), images=np.repeat(image[None], 9, 0), others=0.2, seen=image,
        notes=("Scaled from 40×60.",) if q.picture.path else (), by=q.by, choices=("projections", "features"),
    )  # fmt: skip


def _pose(engine: Any, q: m.PosePuzzle) -> m.PuzzlePosed:
    image = digits()[0][q.number]
    turns = q.number % 4
    likely = np.full(4, 0.1, np.float32)
    likely[turns] = 0.7
    return m.PuzzlePosed(
        stamp=q.stamp, channel=q.channel, run=q.run, step=1024 if q.step is None else q.step, number=q.number, kind=engine.puzzle,
        index=q.number, label=str(digits()[1][q.number]), original=image, picture=np.rot90(image, turns, (1, 2)), answer=turns,
        probabilities=likely,
    )  # fmt: skip


def _fill(engine: Any, q: m.FillMask) -> m.MaskFilled:
    return m.MaskFilled(
        stamp=q.stamp, channel=q.channel, run=q.run, step=1024 if q.step is None else q.step, index=q.index, hidden=q.hidden,
        filled=np.where(q.hidden, 128, digits()[0][q.index]).astype(np.uint8), error=30.0, plain=60.0,
    )  # fmt: skip


def _queue(engine: Any, q: m.ShowQueue) -> m.QueueShown:
    return m.QueueShown(stamp=q.stamp, channel=q.channel, run=q.run, step=1024 if q.step is None else q.step, ages=np.arange(32) // 8)


def paper_run(run: str = RUN, **changes: Any) -> m.RunInfo:
    return run_info(
        run, method="paper", title="Paper", config={"brightness": 0.4, "flip": 0.5}, capabilities=("encode", "views"), **changes
    )


ANSWERS_OF_VIEWS = {m.ShowBatch: _show_batch, m.MeasureInvariance: _curve, m.PosePuzzle: _pose, m.FillMask: _fill, m.ShowQueue: _queue}
