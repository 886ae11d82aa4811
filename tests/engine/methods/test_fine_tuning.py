"""Fine-tuning: the network of another run is rebuilt and taken over, frozen ones stay as they are, and few labels are few labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.config import BadSetting, make_config
from engine.data import open_data
from engine.method import CannotLearn, DataSpec, StepContext, build, capabilities
from engine.methods import all_methods, method_named
from engine.methods.fine_tuning import FineTuning
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, TrainingFailed, resolve
from engine.training.trainer import Trainer

SMALL = {"width": 4, "batch_size": 32}
SPEC = DataSpec((1, 12, 10), ("a", "b", "c"))
ENCODERS = [name for name, kind in all_methods().items() if "encode" in capabilities(kind) and kind.accepts == "images"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    list(train(Plan("simclr", "digits", SMALL, steps=6, name="simclr", device="cpu"), root))
    return root


def tune(runs: Path, name: str, steps: int = 4, **config) -> Model:
    values = {"encoder": "simclr", "label_share": 0.1, "ema": 0.0, **config}
    list(train(Plan("fine_tuning", "digits", values, steps=steps, name=name, device="cpu"), runs))
    return Model(Run.open(runs / name), None)


def images(count: int, shape: tuple[int, ...] = SPEC.shape) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def of(name: str, **config) -> FineTuning:
    """Around a method with its default settings."""
    kind = method_named(name)
    values = FineTuning.settings_from("encoder", name, vars(make_config(kind.Config, {})))
    made = build(FineTuning, make_config(FineTuning.Config, values | config), SPEC, 0)
    assert isinstance(made, FineTuning)
    made.init_from_data(images(8))
    return made


def step_of(method: FineTuning) -> dict[str, Tensor]:
    """One step down the gradient; what the weights are afterwards."""
    parameters = [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, 0.1)
    method.loss(images(6), torch.arange(6) % 3, StepContext(generator=torch.Generator().manual_seed(0)))["loss"].backward()
    optimizer.step()
    return {name: value.clone() for name, value in method.network.state_dict().items()}


# -- whatever encodes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "fine_tuning"])
def test_that_the_network_of_every_method_that_encodes_can_be_tuned(name: str):
    method = of(name)
    inner = method.network.method
    assert type(inner) is method_named(name)
    method.eval()
    with torch.no_grad():
        assert torch.allclose(method.encode(images(5)), inner.eval().encode(images(5)).flatten(1), atol=1e-6)
    method.train()
    terms = method.loss(images(6), torch.arange(6) % 3, StepContext(generator=torch.Generator().manual_seed(0)))
    terms["loss"].backward()
    learning = {name: p for name, p in method.named_parameters() if p.requires_grad}
    assert {"head.1.weight", "head.1.bias"} <= set(learning)
    assert all(p.grad is not None for p in learning.values()), "what gets no gradient is no parameter of this training"


def test_that_decoders_and_projections_are_left_alone():
    learning = [name for name, p in of("simclr").named_parameters() if p.requires_grad]
    assert any("network.method.network" in name for name in learning)
    assert not any("network.method.head" in name for name in learning)
    assert not any("decoder" in name for name, p in of("vae").named_parameters() if p.requires_grad)


def test_that_a_step_changes_the_encoder_unless_it_is_frozen():
    free, frozen = of("simclr"), of("simclr", frozen=True)
    free.train(), frozen.train()
    before = {name: value.clone() for name, value in free.network.state_dict().items()}
    after = step_of(free)
    assert any(not torch.equal(after[name], before[name]) for name in before)
    before = {name: value.clone() for name, value in frozen.network.state_dict().items()}
    after = step_of(frozen)
    assert all(torch.equal(after[name], before[name]) for name in before), "batch statistics included"
    assert not any(module.training for module in frozen.network.modules()) and frozen.head.training


# -- taking over ---------------------------------------------------------------------------------------------------------


def test_that_the_network_is_rebuilt_as_the_run_had_it_without_naming_its_settings(runs):
    model = tune(runs, "rebuilt")
    inner = model.method.network.method
    assert inner.name == "simclr" and inner.config.width == 4
    settings = json.loads(model.method.config.settings)
    assert "batch_size" not in settings and settings["width"] == 4
    assert {"encode", "classify"} <= set(capabilities(FineTuning))


def test_that_it_begins_with_the_runs_weights_or_from_scratch_with_random_ones(runs):
    trained = Model(Run.open(runs / "simclr"), None).method
    for start, same in (("run", True), ("scratch", False)):
        tune(runs, f"begins-{start}", start=start)
        begun = Model(Run.open(runs / f"begins-{start}"), 0).method
        x = images(4, (1, 8, 8))
        with torch.no_grad():
            assert torch.allclose(begun.encode(x), trained.encode(x), atol=1e-5) is same
            assert begun.encode(x).shape == trained.encode(x).shape


def test_that_a_frozen_run_keeps_the_encoder_bit_for_bit_and_learns_its_head(runs):
    trained = Model(Run.open(runs / "simclr"), None).method.state_dict()
    model = tune(runs, "frozen", steps=30, frozen=True, learning_rate=0.03)
    kept = model.method.network.method.state_dict()
    assert all(torch.equal(kept[name], trained[name]) for name in kept)
    before = Model(Run.open(runs / "frozen"), 0).method
    assert not torch.equal(model.method.head[1].weight, before.head[1].weight)


def test_that_a_tuned_run_can_be_tuned_on(runs):
    first = tune(runs, "first")
    tune(runs, "second", encoder="first", steps=1)
    begun = Model(Run.open(runs / "second"), 0).method
    assert begun.config.base == "simclr"
    x = images(4, (1, 8, 8))
    with torch.no_grad():
        assert torch.allclose(begun.encode(x), first.method.encode(x), atol=1e-5)


def test_that_weights_that_do_not_fit_are_refused_in_a_sentence():
    method = of("simclr")
    other = {name: torch.zeros(3) for name in method.network.method.state_dict()}
    with pytest.raises(CannotLearn, match="do not fit"):
        method.init_from_run("encoder", {}, other)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"base": "nothing"}, "nothing"),
        ({"settings": "{"}, "settings"),
        ({"settings": "[1]"}, "settings"),
        ({"base": "pixel_cnn"}, "encoder"),
    ],
)
def test_that_a_network_that_cannot_be_built_is_said(config, says):
    with pytest.raises(BadSetting, match=says):
        FineTuning(make_config(FineTuning.Config, config), SPEC)


def test_that_an_encoder_that_is_no_run_is_said(runs):
    with pytest.raises(TrainingFailed, match="no run “nobody”"):
        list(train(Plan("fine_tuning", "digits", {"encoder": "nobody"}, steps=1, device="cpu"), runs))
    with pytest.raises(CannotLearn, match="two named classes"):
        FineTuning(make_config(FineTuning.Config, {}), DataSpec((1, 12, 10), ()))


# -- few labels ----------------------------------------------------------------------------------------------------------


def test_that_only_the_share_of_images_is_ever_seen_the_same_for_both_starts(monkeypatch):
    data, seen = open_data("digits"), {}
    for start in ("run", "scratch"):
        trainer = Trainer(resolve(Plan("fine_tuning", "digits", {"start": start, "label_share": 0.02}, steps=8)), data)
        batches = trainer.batches
        seen[start] = {batches.take(trainer.order.next())[0][i].numpy().tobytes() for _ in range(8) for i in range(trainer.batch)}
        assert trainer.batch == trainer.order.count == round(0.02 * len(data.splits["train"].images)), (
            "a batch is no larger than all there is"
        )
    assert seen["run"] == seen["scratch"] and len(seen["run"]) == 29


@pytest.mark.slow
def test_that_a_pretrained_encoder_helps_where_labels_are_few(tmp_path):
    """The same network, the same 29 labelled digits: begun with weights that know digits already, and from scratch."""
    config = {"width": 8, "blocks": 1, "batch_size": 64, "learning_rate": 3e-3, "ema": 0.9}
    list(train(Plan("classifier", "digits", config, steps=60, name="knows", device="cpu"), tmp_path))
    right = {}
    for start in ("run", "scratch"):
        tuned = {"encoder": "knows", "start": start, "label_share": 0.02}
        list(train(Plan("fine_tuning", "digits", tuned, steps=40, name=start, device="cpu"), tmp_path))
        method = Model(Run.open(tmp_path / start), None).method
        test = open_data("digits").splits["test"]
        with torch.no_grad():
            answers = method.classify(torch.from_numpy(test.images).float() / 255).argmax(1)
        right[start] = (answers.numpy() == test.labels).mean()
    assert right["run"] > right["scratch"] + 0.1
