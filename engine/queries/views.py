"""What the Views pane asks of a batch: the next one of a training made again, and how similar a checkpoint finds its views.

A batch follows from (seed, step) alone, so the one that comes after any checkpoint can be made without those before it.
Views are made as in training; what is compared comes from the checkpoint in full precision and eval mode.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import device as devices
from engine import messages as m
from engine.common.counting import number_of
from engine.config import BadSetting, fields_of, make_config
from engine.data import DataSet
from engine.method import Method, View, skeleton
from engine.protocols import Queue, Viewed, provides
from engine.queries.answers import answers
from engine.queries.arrays import array, image_array
from engine.queries.pictures import require_images
from engine.queries.session import CannotAnswer, Model, QuerySession, answer_head
from engine.queries.similarity import comparable, unit_vectors
from engine.training.batches import as_input, batches_of, mutated, noise_seed
from engine.training.step import piece_lengths
from engine.transforms.augmentation import Draw

MOST_SHOWN = 64  # images of a batch
BATCH_REMEDY = ", so its batches cannot be made again; put the old files back"


# ---------------------------------------------------------------------------------------------------------------------
# The next batch
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NextBatch:
    """The first piece of a batch, as the network is given it."""

    indices: Tensor  # int64 [b]: places in the training split
    labels: Tensor | None  # int64 [b]
    x: Tensor  # [b, C, H, W]: the images before anything is drawn
    views: tuple[View, ...]
    size: int  # images of the whole batch


def next_batch(model: Model, data: DataSet, method: Method | None = None) -> NextBatch:
    """What the training takes next after this checkpoint, as `Trainer.step` makes it; `method` makes the views in place of the model's.

    A batch that is learned from in pieces is cut as it was in this training, where little memory may have made them smaller.
    """
    manifest, method = model.manifest, method or with_settings(model, {})  # a copy: others look through the model itself
    state = model.run.load(model.step, "state.json")[2]
    batches = batches_of(data, model.spec, method.config, manifest.seed, "cpu", method.full_batch)
    indices = batches.order.at(model.step)
    examples, labels = batches.take(indices)
    noise = torch.Generator().manual_seed(noise_seed(manifest.seed, model.step))
    if mutation := state.get("plan", {}).get("mutation"):
        examples = mutated(examples, mutation, 256, noise)
    most = state.get("micro") or method.config.micro_batch_size or len(examples)
    piece = piece_lengths(len(examples), most)[0]
    x = as_input(examples[:piece])
    assert provides(method, Viewed)
    method.train()  # some methods make other views of held-out images
    try:
        views = method.views(x, noise)
    finally:
        method.eval()
    return NextBatch(indices[:piece], None if labels is None else labels[:piece], x, views, len(indices))


def with_settings(model: Model, settings: dict[str, object]) -> Method:
    """The checkpoint under other settings of its augmentation.

    Raises:
        CannotAnswer: one of them is no setting of the augmentation, or out of range, or changes the network.
    """
    kind = type(model.method)
    own = [info.name for info in fields_of(kind.Config) if info.group == "Augmentation"]
    if others := [name for name in settings if name not in own]:
        raise CannotAnswer(f"“{others[0]}” is no setting of how {kind.title} makes its views; there are: {', '.join(own) or 'none'}.")
    try:
        config = make_config(kind.Config, {**asdict(model.method.config), **settings})
        method = skeleton(kind, config, model.spec)
        method.load_state_dict(model.method.state_dict(), assign=True)
    except (BadSetting, ValueError) as error:
        raise CannotAnswer(str(error)) from None
    except RuntimeError:
        raise CannotAnswer(f"With {', '.join(settings)} changed the network is another one; start a new run with it.") from None
    return method.requires_grad_(False).eval()


def watchers_of(views: tuple[View, ...]) -> tuple[m.Watcher, ...]:
    """Each view once for every network that looks at it; a view that is alone is compared with the unchanged image."""
    found = []
    for place, view in enumerate(views):
        for role in view.role.split(" and "):
            found.append(m.Watcher(place, role, f"{view.name}, {role}" if role else view.name))
    return tuple(found) if len(views) > 1 else (m.Watcher(-1, "", "original"), *found)


def default_pair(watchers: tuple[m.Watcher, ...]) -> tuple[int, int]:
    """What the method compares: a teacher's view with a student's other one, a query with a key, or the first two."""
    for one, other in (("teacher", "student"), ("query", "key")):
        for a, first in enumerate(watchers):
            for b, second in enumerate(watchers):
                if (first.role, second.role) == (one, other) and first.view != second.view:
                    return a, b
    return (0, 1) if len(watchers) > 1 else (0, 0)


def image_model(session: QuerySession, run: str, step: int | None) -> Model:
    """Raises: CannotAnswer: a model of text. BadRun."""
    model = session.model(run, step)
    require_images(model, " and has no views; choose a run that was trained on images.")
    return model


def batch_data(session: QuerySession, model: Model) -> DataSet:
    """What the run was trained on. Raises: BadRun: it is not that any more. BadData."""
    return session.run_data(model, BATCH_REMEDY)


# ---------------------------------------------------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------------------------------------------------


class BatchViews:
    """The next batch; keeps the newest one's similarities under the run's own settings, to set others beside them."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._before: tuple[tuple[Any, ...], np.ndarray] | None = None

    @answers(m.ShowBatch)
    def show_batch(self, query: m.ShowBatch) -> m.BatchShown:
        """The views of the next batch's first n images and the cosines [n, K, K] of their unit vectors, K watchers each.

        Raises:
            CannotAnswer: no views, or settings that are none of the augmentation. BadRun, BadData.
        """
        model = image_model(self.session, query.run, query.step)
        if not provides(model.method, Viewed):
            raise CannotAnswer(f"{model.method.title} makes no views of its images; choose a run of a method that does, such as SimCLR.")
        data = batch_data(self.session, model)
        method = with_settings(model, query.settings) if query.settings else model.method
        made = next_batch(model, data, method)
        n = min(query.count, MOST_SHOWN, len(made.x))
        watchers = watchers_of(made.views)
        pair = query.pair if query.pair and all(0 <= place < len(watchers) for place in query.pair) else default_pair(watchers)
        vectors = torch.stack([_vectors(method, made, watcher, n) for watcher in watchers])  # [K, n, d]
        cosines = torch.einsum("knd,lnd->nkl", vectors, vectors)
        rows, columns = sides(watchers, pair)
        key = (query.run, model.step, model.weights, n, pair)
        if not query.settings:
            self._before = key, array(cosines[:, pair[0], pair[1]])
        named = made.labels is not None and bool(data.classes)
        return m.BatchShown(
            **answer_head(query, model),
            indices=array(made.indices[:n]),
            labels=tuple(data.classes[int(label)] for label in made.labels[:n]) if named and made.labels is not None else (),
            originals=image_array(made.x[:n]),
            views=tuple(_shown(view, n) for view in made.views),
            watchers=watchers,
            cosines=array(cosines),
            pair=pair,
            before=self._as_trained(key, model, data, watchers) if query.settings else None,
            matrix=array(vectors[list(rows)].flatten(0, 1) @ vectors[list(columns)].flatten(0, 1).T),
            rows=rows,
            columns=columns,
            batch=made.size,
            piece=len(made.x),
            exact=trained_here(model),
            notes=_notes(model, made),
            compares=comparable(model.method)[0],
            queue=len(model.method.queue) if provides(model.method, Queue) else 0,
            puzzle=model.method.puzzle,
        )

    def _as_trained(self, key: tuple[Any, ...], model: Model, data: DataSet, watchers: tuple[m.Watcher, ...]) -> np.ndarray:
        """Cosines [n] of the pair in the same images with the run's own settings."""
        if self._before is None or self._before[0] != key:
            *_, n, pair = key
            made = next_batch(model, data)
            a, b = (_vectors(model.method, made, watchers[place], n) for place in pair)
            self._before = key, array((a * b).sum(1))
        return self._before[1]


@answers(m.ShowQueue)
def show_queue(session: QuerySession, query: m.ShowQueue) -> m.QueueShown:
    """How many steps ago each key of the queue was encoded, int64 [K]. Raises: CannotAnswer: the method keeps no queue."""
    model = image_model(session, query.run, query.step)
    if not provides(model.method, Queue):
        raise CannotAnswer(f"{model.method.title} keeps no keys of former batches; choose a run of a method that does, such as MoCo.")
    return m.QueueShown(**answer_head(query, model), ages=array(model.method.queue_ages(model.step)).astype(np.int64))


def trained_here(model: Model) -> bool:
    """Whether the run's noise can be made here: a generator of another kind of device gives other numbers for the same seed."""
    return model.manifest.device == devices.describe("cpu")


def sides(watchers: tuple[m.Watcher, ...], pair: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The watchers along the rows and the columns of the matrix: both along both where one network sees both views."""
    a, b = pair
    together = a != b and watchers[a].role == watchers[b].role and -1 not in (watchers[a].view, watchers[b].view)
    return (pair, pair) if together else ((a,), (b,))


def _vectors(method: Method, made: NextBatch, watcher: m.Watcher, n: int) -> Tensor:
    """[n, d]"""
    x = made.x if watcher.view < 0 else made.views[watcher.view].x
    return unit_vectors(method, x[:n], watcher.role)


def _notes(model: Model, made: NextBatch) -> tuple[str, ...]:
    notes = []
    if not trained_here(model):
        notes.append(
            f"This run was trained on {model.manifest.device}, which draws other numbers from the same seed: these are its next images "
            "by its own recipe, with other noise."
        )
    if len(made.x) < made.size:
        notes.append(f"The batch is learned from in pieces; this is the first, {len(made.x):,} of {number_of(made.size, 'image')}.")
    return tuple(notes)


def _shown(view: View, n: int) -> m.ShownView:
    return m.ShownView(view.name, view.role, array(view.x[:n]), () if view.draw is None else draws_in_numbers(view.draw, n))


def draws_in_numbers(drawn: Draw, n: int) -> tuple[m.Drawn, ...]:
    """A draw in plain numbers, image by image."""
    values: dict[str, list[Any]] = {one.name: getattr(drawn, one.name)[:n].tolist() for one in fields(m.Drawn)}
    for name in ("box", "hole"):
        values[name] = [tuple(map(round, box)) for box in values[name]]
    return tuple(m.Drawn(**dict(zip(values, one, strict=True))) for one in zip(*values.values(), strict=True))
