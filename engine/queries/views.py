"""What the Views pane asks: the next batch of a training made again, how similar a checkpoint finds its views, and its riddles.

A batch follows from (seed, step) alone, so the one that comes after any checkpoint can be made without those before it.
Views are made as in training; what is compared comes from the checkpoint in full precision and eval mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine import device as devices
from engine import messages as m
from engine.config import BadSetting, fields_of, make_config
from engine.data import DataSet, Picture, adapt, picture_from_array, read_image
from engine.method import Method, View, skeleton
from engine.queries.session import CannotAnswer, Model, QuerySession, _array, _bytes, _float, _head, identity
from engine.storage.run_reader import BadRun
from engine.training.batches import batches_of, noise_seed, seeded
from engine.training.loop import as_input, mutated
from engine.transforms.augmentation import Draw, Recipe, apply, draw
from engine.transforms.pretext import square

MOST_SHOWN = 64  # images of a batch
OTHERS = 64  # held-out images that an image is compared with
BLUR_SHARE = 1 / 8  # of the side: the strongest blur of an invariance curve
TURNS = 4


def install(session: QuerySession) -> Viewing:
    """Teach the explorer to answer the Views pane."""
    viewing = Viewing(session)
    session._answers |= {
        m.ShowBatch: viewing.show_batch,
        m.ShowQueue: viewing.show_queue,
        m.MeasureInvariance: viewing.measure_invariance,
        m.PosePuzzle: viewing.pose_puzzle,
        m.FillMask: viewing.fill_mask,
    }
    return viewing


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
    manifest, method = manifest_of(model), method or with_settings(model, {})  # a copy: others look through the model itself
    state = model.run.load(model.step, "state.json")[2]
    batches = batches_of(data, model.spec, method.config, manifest.seed, "cpu", method.full_batch)
    indices = batches.order.at(model.step)
    examples, labels = batches.take(indices)
    noise = torch.Generator().manual_seed(noise_seed(manifest.seed, model.step))
    if mutation := state.get("plan", {}).get("mutation"):
        examples = mutated(examples, mutation, 256, noise)
    piece = state.get("micro") or getattr(method.config, "micro_batch_size", 0) or len(examples)
    x = as_input(examples[:piece])
    method.train()  # some methods make other views of held-out images
    try:
        views = method.views(x, noise)  # type: ignore[attr-defined]
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


def looks_at(method: Method, x: Tensor, role: str, by: str = "projections") -> Tensor:
    """Unit vectors [B, d]: what the loss compares where the method has it, else features."""
    compared: Callable[..., Tensor] | None = getattr(method, "compared", None)
    if compared is not None and by == "projections":
        return F.normalize(compared(x, role).flatten(1), dim=1)
    encode: Callable[..., Tensor] | None = getattr(method, "encode", None)
    if encode is None:
        raise CannotAnswer(f"{method.title} neither encodes nor compares images, so it cannot say how similar they are.")
    return F.normalize(encode(x).flatten(1), dim=1)


def compares(method: Method) -> tuple[str, ...]:
    """What of a method can be compared, the loss's own first."""
    found = (("projections", "compared"), ("features", "encode"))
    return tuple(name for name, function in found if callable(getattr(method, function, None)))


class Viewing:
    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._before: tuple[tuple[Any, ...], np.ndarray] | None = None  # the newest batch's cosines with the run's own settings
        self._held_out: tuple[tuple[Any, ...], Tensor] | None = None

    # -- the next batch ------------------------------------------------------------------------------------------------

    def show_batch(self, query: m.ShowBatch) -> m.BatchShown:
        model = self._model(query.run, query.step)
        if not callable(getattr(model.method, "views", None)):
            raise CannotAnswer(f"{model.method.title} makes no views of its images; choose a run of a method that does, such as SimCLR.")
        data = self._data(model)
        method = with_settings(model, query.settings) if query.settings else model.method
        made = next_batch(model, data, method)
        n = min(query.count, MOST_SHOWN, len(made.x))
        watchers = watchers_of(made.views)
        pair = query.pair if query.pair and all(0 <= place < len(watchers) for place in query.pair) else default_pair(watchers)
        vectors = torch.stack([_vectors(method, made, watcher, n) for watcher in watchers])  # [K, n, d]
        cosines = torch.einsum("knd,lnd->nkl", vectors, vectors)
        rows, columns = sides(watchers, pair)
        key = (query.run, model.step, identity(model.run, model.step), n, pair)
        if not query.settings:
            self._before = key, _array(cosines[:, pair[0], pair[1]])
        named = made.labels is not None and bool(data.classes)
        return m.BatchShown(
            **_head(query, model),
            indices=_array(made.indices[:n]),
            labels=tuple(data.classes[int(label)] for label in made.labels[:n]) if named and made.labels is not None else (),
            originals=_bytes(made.x[:n]),
            views=tuple(_shown(view, n) for view in made.views),
            watchers=watchers,
            cosines=_array(cosines),
            pair=pair,
            before=self._as_trained(key, model, data, watchers) if query.settings else None,
            matrix=_array(vectors[list(rows)].flatten(0, 1) @ vectors[list(columns)].flatten(0, 1).T),
            rows=rows,
            columns=columns,
            batch=made.size,
            piece=len(made.x),
            exact=trained_here(model),
            notes=_notes(model, made),
            compares=compares(model.method)[0],
            queue=len(model.method.queue) if callable(getattr(model.method, "queue_ages", None)) else 0,  # type: ignore[arg-type]
            puzzle=model.method.puzzle,
        )

    def _as_trained(self, key: tuple[Any, ...], model: Model, data: DataSet, watchers: tuple[m.Watcher, ...]) -> np.ndarray:
        """Cosines [n] of the pair in the same images with the run's own settings."""
        if self._before is None or self._before[0] != key:
            *_, n, pair = key
            made = next_batch(model, data)
            a, b = (_vectors(model.method, made, watchers[place], n) for place in pair)
            self._before = key, _array((a * b).sum(1))
        return self._before[1]

    def show_queue(self, query: m.ShowQueue) -> m.QueueShown:
        model = self._model(query.run, query.step)
        ages: Callable[[int], Tensor] | None = getattr(model.method, "queue_ages", None)
        if ages is None:
            raise CannotAnswer(f"{model.method.title} keeps no keys of former batches; choose a run of a method that does, such as MoCo.")
        return m.QueueShown(**_head(query, model), ages=_array(ages(model.step)).astype(np.int64))

    # -- invariance ----------------------------------------------------------------------------------------------------

    def measure_invariance(self, query: m.MeasureInvariance) -> m.InvarianceMeasured:
        model = self._model(query.run, query.step)
        choices = compares(model.method)
        by = query.by if query.by in choices else (choices or ("features",))[0]
        picture = self._picture(query.picture, model)
        seen, notes = adapt(picture, model.spec.shape)
        x = _float(seen[None])
        size = (x.shape[2], x.shape[3])
        transforms = transforms_for(x.shape[1], size)
        name = query.transform if query.transform in transforms else next(iter(transforms))
        about = transforms[name]
        strengths = [0.0, about.most] if about.switch else [about.most * k / (query.count - 1) for k in range(query.count)]
        altered = [stronger(x, name, strength, query.draws, query.seed) for strength in strengths]  # [r, C, H, W] each
        vectors = looks_at(model.method, torch.cat([x, *altered]), "", by)
        cosines = vectors[1:].matmul(vectors[0]).unflatten(0, (len(strengths), -1))  # [k, r]
        return m.InvarianceMeasured(
            **_head(query, model),
            label=query.picture.label,
            transform=about,
            transforms=tuple(transforms),
            strengths=np.array(strengths, np.float32),
            cosines=_array(cosines.mean(1)),
            deviations=_array(cosines.std(1, correction=0)),
            images=_bytes(torch.stack([images[0] for images in altered])),
            others=float(self._others(model, by).matmul(vectors[0]).mean()),
            seen=seen,
            notes=(*picture.notes, *notes),
            by=by,
            choices=choices,
        )

    def _others(self, model: Model, by: str) -> Tensor:
        """Vectors of held-out images [n, d]; kept while the curves of one checkpoint are measured."""
        key = (str(model.run.path), model.step, identity(model.run, model.step), by)
        if self._held_out is None or self._held_out[0] != key:
            self._held_out = key, looks_at(model.method, model.probe()[:OTHERS], "", by)
        return self._held_out[1]

    # -- riddles -------------------------------------------------------------------------------------------------------

    def pose_puzzle(self, query: m.PosePuzzle) -> m.PuzzlePosed:
        model = self._model(query.run, query.step)
        method: Any = model.method
        if not method.puzzle:
            raise CannotAnswer(f"{method.title} learns from no riddle; choose a run of rotation, jigsaw or inpainting.")
        split = self._data(model).splits["test"]
        generator = model.generator(seeded(manifest_of(model).seed, query.number))
        index = int(torch.randint(len(split), (), generator=generator))
        original = np.asarray(split.images[index])
        x = _float(original[None])
        shown: dict[str, Any] = {"picture": original}
        if method.puzzle == "rotation":
            turns = int(torch.randint(TURNS, (), generator=generator))
            x = square(x)
            original, picture = _bytes(x)[0], torch.rot90(x, turns, (2, 3))
            shown = {"picture": _bytes(picture)[0], "answer": turns, "probabilities": _array(method.answers(picture)[0])}
        elif method.puzzle == "jigsaw":
            answer = torch.randint(len(method.permutations), (1,), generator=generator)
            picture = method.shuffled(x, answer, generator)
            shown = {
                "picture": _bytes(picture)[0],
                "answer": int(answer),
                "probabilities": _array(method.answers(picture)[0]),
                "permutations": _array(method.permutations).astype(np.int64),
                "side": int(method.side),
            }
        return m.PuzzlePosed(
            **_head(query, model),
            number=query.number,
            kind=method.puzzle,
            index=index,
            label=self._class_of(model, index),
            original=original,
            **shown,
        )

    def _class_of(self, model: Model, index: int) -> str:
        data = self._data(model)
        labels = data.splits["test"].labels
        return "" if labels is None or not data.classes else data.classes[int(labels[index])]

    def fill_mask(self, query: m.FillMask) -> m.MaskFilled:
        model = self._model(query.run, query.step)
        images = self._data(model).splits["test"].images
        original = np.asarray(images[query.index % len(images)])
        if query.hidden.shape != original.shape[1:] or not query.hidden.any() or query.hidden.all():
            height, width = original.shape[1:]
            raise CannotAnswer(f"A part of the {width}×{height} pixels must be hidden, not all and not none; mark some blocks.")
        hidden = torch.from_numpy(np.ascontiguousarray(query.hidden, bool))[None, None]
        filled = _bytes(model.can("fill")(_float(original[None]), hidden))[0]
        where = np.broadcast_to(query.hidden, original.shape)
        mean = np.where(query.hidden, 0.0, original).sum((1, 2), keepdims=True) / (~query.hidden).sum()
        return m.MaskFilled(
            **_head(query, model),
            index=query.index,
            hidden=query.hidden,
            filled=filled,
            error=_root_mean_square((filled.astype(np.float64) - original)[where]),
            plain=_root_mean_square((mean - original)[where]),
        )

    # -- what they need ------------------------------------------------------------------------------------------------

    def _model(self, run: str, step: int | None) -> Model:
        model = self.session.model(run, step)
        if model.spec.kind != "images":
            raise CannotAnswer(f"{model.run.path.name} is a model of text and has no views; choose a run that was trained on images.")
        return model

    def _data(self, model: Model) -> DataSet:
        """What the run was trained on.

        Raises:
            BadRun: it is not that any more.
        """
        manifest = manifest_of(model)
        data = self.session.data(manifest.data)
        if data.hash != manifest.data_hash:
            raise BadRun(
                f"{manifest.data} is not what {model.run.path.name} was trained on (its content changed), so its batches cannot be made "
                "again; put the old files back."
            )
        return data

    def _picture(self, picture: m.PictureRef, model: Model) -> Picture:
        if picture.path is not None:
            return read_image(picture.path)
        if picture.image is not None:
            return picture_from_array(picture.image)
        images = self._data(model).splits["test"].images
        return picture_from_array(np.asarray(images[(picture.index or 0) % len(images)]).transpose(1, 2, 0))


# ---------------------------------------------------------------------------------------------------------------------
# One transform by itself
# ---------------------------------------------------------------------------------------------------------------------


def transforms_for(channels: int, size: tuple[int, int]) -> dict[str, m.Transform]:
    """What can be done to images of this kind, by name."""
    blur = max(1.0, round(BLUR_SHARE * min(size), 1))
    found = [
        m.Transform("brightness", 1.0, "", "All values are multiplied by 1 plus the strength, and by 1 minus it."),
        m.Transform("contrast", 1.0, "", "Distances from the mean grey value are multiplied by 1 plus the strength, and by 1 minus it."),
        m.Transform("saturation", 1.0, "", "Distances from the grey picture are multiplied by 1 plus the strength, and by 1 minus it."),
        m.Transform("hue", 0.5, "of the colour circle", "Colours are turned by the strength, either way."),
        m.Transform("grey", 1.0, "", "The colours are taken away.", switch=True),
        m.Transform("blur", blur, "pixels", "Gaussian blur; the strength is its standard deviation."),
        m.Transform("rotation", 180.0, "degrees", "Turned by the strength, either way; the corners mirror the picture."),
        m.Transform("crop", 0.95, "of the area cut away", "What is left, at places drawn at random, is enlarged to the whole."),
        m.Transform("cut-out", 0.75, "of the side", "A grey square of this side covers the picture at places drawn at random."),
        m.Transform("solarize", 1.0, "", "The bright half of the range is inverted.", switch=True),
        m.Transform("flip", 1.0, "", "A mirror image, left to right.", switch=True),
    ]
    needs_colour = ("saturation", "hue", "grey")
    return {transform.name: transform for transform in found if channels == 3 or transform.name not in needs_colour}


def stronger(x: Tensor, name: str, strength: float, draws: int, seed: int) -> Tensor:
    """One image [1, C, H, W] under one transform of some strength, in every way it is drawn: [r, C, H, W].

    Both ways where it has a sign, `draws` places where it has one (the same for every strength), once otherwise.
    """
    size = (x.shape[2], x.shape[3])
    u = torch.rand(2, draws, generator=torch.Generator().manual_seed(seed))
    ways = {"crop": draws, "cut-out": draws, "grey": 1, "solarize": 1, "flip": 1, "blur": 1}.get(name, 2)
    nothing = draw(Recipe(), ways, size, size, torch.Generator().manual_seed(seed))
    both = torch.tensor([-strength, strength])
    on = torch.full((ways,), strength > 0)
    changes: dict[str, Callable[[], dict[str, Tensor]]] = {
        "brightness": lambda: {"brightness": 1 + both, "jittered": on},
        "contrast": lambda: {"contrast": 1 + both, "jittered": on},
        "saturation": lambda: {"saturation": 1 + both, "jittered": on},
        "hue": lambda: {"hue": both, "jittered": on},
        "grey": lambda: {"grey": on},
        "blur": lambda: {"sigma": torch.full((1,), strength)},
        "rotation": lambda: {"angle": both},
        "crop": lambda: {"box": _somewhere(u, (1 - strength) ** 0.5, size)},
        "cut-out": lambda: {"hole": _somewhere(u, strength, size)},
        "solarize": lambda: {"solarized": on},
        "flip": lambda: {"flipped": on},
    }
    drawn = replace(nothing, **changes[name]())
    return apply(x.expand(ways, -1, -1, -1), drawn, size)


def _somewhere(u: Tensor, share: float, size: tuple[int, int]) -> Tensor:
    """Boxes [r, 4] whose sides are a share of the picture's, at whole pixels; u in [0, 1), [2, r], says where."""
    high, wide = (round(share * side) for side in size)
    left, top = (u[0] * (size[1] - wide + 1)).floor(), (u[1] * (size[0] - high + 1)).floor()
    return torch.stack((left, top, torch.full_like(left, wide), torch.full_like(top, high)), 1)


# ---------------------------------------------------------------------------------------------------------------------


def manifest_of(model: Model) -> Any:
    assert model.run.manifest is not None
    return model.run.manifest


def trained_here(model: Model) -> bool:
    """Whether the run's noise can be made here: a generator of another kind of device gives other numbers for the same seed."""
    return manifest_of(model).device == devices.describe("cpu")


def sides(watchers: tuple[m.Watcher, ...], pair: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The watchers along the rows and the columns of the matrix: both along both where one network sees both views."""
    a, b = pair
    together = a != b and watchers[a].role == watchers[b].role and -1 not in (watchers[a].view, watchers[b].view)
    return (pair, pair) if together else ((a,), (b,))


def _vectors(method: Method, made: NextBatch, watcher: m.Watcher, n: int) -> Tensor:
    """[n, d]"""
    x = made.x if watcher.view < 0 else made.views[watcher.view].x
    return looks_at(method, x[:n], watcher.role)


def _notes(model: Model, made: NextBatch) -> tuple[str, ...]:
    notes = []
    if not trained_here(model):
        notes.append(
            f"This run was trained on {manifest_of(model).device}, which draws other numbers from the same seed: these are its next images "
            "by its own recipe, with other noise."
        )
    if len(made.x) < made.size:
        notes.append(f"The batch is learned from in pieces; this is the first, {len(made.x):,} of {made.size:,} images.")
    return tuple(notes)


def _shown(view: View, n: int) -> m.ShownView:
    return m.ShownView(view.name, view.role, _array(view.x[:n]), () if view.draw is None else told(view.draw, n))


def told(drawn: Draw, n: int) -> tuple[m.Drawn, ...]:
    """A draw in plain numbers, image by image."""
    values: dict[str, list[Any]] = {one.name: getattr(drawn, one.name)[:n].tolist() for one in fields(m.Drawn)}
    for name in ("box", "hole"):
        values[name] = [tuple(map(round, box)) for box in values[name]]
    return tuple(m.Drawn(**dict(zip(values, one, strict=True))) for one in zip(*values.values(), strict=True))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
