"""Where batches come from: every example once an epoch, and a place that can be gone back to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.data import BadData, open_data
from engine.training.batches import (
    PREPARE_IMAGES,
    ImageBatches,
    Order,
    TextBatches,
    batches_of,
    first_look,
    held_out,
    spec_of,
    spread_windows,
    tokens_of,
)

CONTEXT = 7


def text_set(folder: Path, length: int = 4000):
    path = folder / "some.txt"
    path.write_text("".join("abcdefghij"[(i * i + i // 7) % 10] for i in range(length)), encoding="utf-8")
    return open_data(str(path))


def test_that_an_epoch_of_windows_has_every_symbol_once():
    batches = TextBatches(torch.arange(1000), CONTEXT, batch=3, seed=4)
    seen = torch.cat([batches.next()[0].flatten() for _ in range(batches.order.count // 3)])
    assert len(seen.unique()) == len(seen)
    assert len(seen) > 1000 - 5 * CONTEXT
    windows = batches.next()[0]
    assert windows.shape == (3, CONTEXT)
    assert (windows[:, 1:] - windows[:, :-1] == 1).all()


def test_that_a_first_look_goes_over_all_of_a_text_and_over_every_class_of_images_that_lie_class_by_class():
    starts = TextBatches(torch.arange(1000), CONTEXT, batch=3, seed=4).first(10)[:, 0]
    assert len(starts) == 10 and starts[0] == 0 and starts[-1] >= 880 and set((starts[1:] - starts[:-1]).tolist()) <= {98, 105}
    assert len(TextBatches(torch.arange(100), CONTEXT, batch=3, seed=4).first(4096)) == 13, "all there are"
    labels = np.repeat(np.arange(10), 1000)
    images = np.broadcast_to(labels[:, None, None, None], (10_000, 1, 2, 2)).astype(np.uint8)
    split = SimpleNamespace(images=images, labels=labels, groups=None)
    data: Any = SimpleNamespace(splits={"train": split}, classes=tuple("abcdefghij"))
    taken = np.bincount(first_look(data)[:, 0, 0, 0])
    assert taken.sum() == PREPARE_IMAGES and taken.max() - taken.min() <= 1
    assert np.array_equal(first_look(data), ImageBatches(data, 8, 0, "cpu").first(PREPARE_IMAGES))


def test_that_epochs_begin_at_different_places():
    batches = TextBatches(torch.arange(1000), CONTEXT, batch=142, seed=0)
    begins = {int(batches.next()[0].min()) for _ in range(12)}
    assert len(begins) > 3 and max(begins) < CONTEXT


def test_that_a_place_is_two_numbers():
    first = TextBatches(torch.arange(500), CONTEXT, batch=4, seed=9)
    for _ in range(30):
        first.next()
    again = TextBatches(torch.arange(500), CONTEXT, batch=4, seed=9)
    again.order.go_to(first.order.epoch, first.order.index)
    assert first.order.epoch > 0
    assert torch.equal(first.next()[0], again.next()[0])


def test_that_an_order_gives_each_example_once_an_epoch():
    order = Order(10, 5, 0)
    assert sorted(torch.cat([order.next(), order.next()]).tolist()) == list(range(10))


def test_that_a_text_is_split_as_its_report_says(tmp_path: Path):
    data = text_set(tmp_path)
    spec = spec_of(data)
    assert spec.kind == "text" and len(spec.symbols) == 10 + 1 and spec.shape == (), "ten characters and the unknown one"
    assert {name: len(tokens_of(data, name, spec)) for name in ("train", "valid", "test")} == data.report.counts
    whole = np.concatenate([tokens_of(data, name, spec) for name in ("train", "valid", "test")])
    assert bytes(np.asarray(spec.symbols)[whole].astype(np.uint8)) == data.text


@pytest.mark.parametrize("length", range(2000, 2012))
def test_that_no_split_cuts_a_character(tmp_path: Path, length: int):
    path = tmp_path / "umlauts.txt"
    path.write_text(("äöü€😀a" * length)[:length], encoding="utf-8")
    data = open_data(str(path))
    spec = spec_of(data)
    assert sum(len(tokens_of(data, name, spec)) for name in data.spans) == length


def test_that_held_out_windows_lie_in_the_validation_part(tmp_path: Path):
    data = text_set(tmp_path)
    spec = spec_of(data)
    windows, labels = held_out(data, spec, CONTEXT, 5, "cpu")
    assert labels is None and windows.shape == (5, CONTEXT)
    valid = tokens_of(data, "valid", spec)
    assert torch.equal(windows[0], torch.from_numpy(valid[:CONTEXT])) and torch.equal(windows[-1], torch.from_numpy(valid[-CONTEXT:]))


def test_that_a_text_that_is_too_short_is_refused(tmp_path: Path):
    data = text_set(tmp_path, 120)
    with pytest.raises(BadData, match="smaller context"):
        batches_of(data, spec_of(data), SimpleNamespace(label_share=1.0, batch_size=4, context=64), 0, "cpu")
    assert spread_windows(np.arange(3), 5, 4).shape == (0, 5)


def test_that_images_of_a_training_come_with_their_labels():
    data = open_data("digits")
    batches = batches_of(data, spec_of(data), SimpleNamespace(label_share=1.0, batch_size=64, conditioned_on=""), 3, "cpu")
    images, labels = batches.next()
    split = data.splits["train"]
    assert labels is not None and images.dtype == torch.uint8
    for image, label in zip(images.numpy(), labels.tolist(), strict=True):
        matches = np.flatnonzero((np.asarray(split.images) == image).all((1, 2, 3)))
        assert label in np.asarray(split.labels)[matches]
