"""What every method must hold. The methods are found by folder: a new file is tested without a line here."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.common.conditions import PAST_FRAMES
from engine.config import BadSetting, changed, fields_of, make_config
from engine.method import CannotLearn, DataSpec, FullBatch, Method, StepContext, build, capabilities, info, skeleton
from engine.methods import UnknownMethod, all_methods, method_named
from engine.precision import autocast, best
from engine.protocols import (
    CAPABILITIES,
    ConfigurableSampler,
    FillPuzzle,
    JigsawPuzzle,
    ObservationSampler,
    RotationPuzzle,
    implements,
)
from engine.training.optimizers import optimizers_of
from engine.training.step import EagerStep
from tests.kit.tensors import seeded
from tests.test_readme import example


def readme_method() -> type[Method]:
    """The example of the README, which is no part of the program."""
    module = ModuleType("small_gan")
    sys.modules[module.__name__] = module  # where dataclasses look for it
    exec(example("Add a method"), vars(module))
    kind = vars(module)["SmallGan"]
    kind.name = module.__name__
    return kind


SHAPE = (1, 12, 10)
CLASSES = ("a", "b", "c")
METHODS = all_methods() | {"small_gan": readme_method()}
SYMBOLS = tuple(range(97, 109))  # of the texts
SMALL = {
    "width": 4,
    "latent": 3,
    "clusters": 3,
    "components": 3,
    "encoder_blocks": 1,
    "codes": 12,
    "code_size": 4,
    "tokenizer_width": 4,
    "layers": 1,
    "heads": 2,
}
"""Where a method has such a setting."""

every_method = pytest.mark.parametrize("name", METHODS)


def config_of(name: str, **values: Any) -> Any:
    known = {f.name for f in fields_of(METHODS[name].Config)}
    return make_config(METHODS[name].Config, {key: value for key, value in (SMALL | values).items() if key in known})


def make(name: str, shape: tuple[int, ...] = SHAPE, **values: Any) -> Any:
    """For images of that shape; for texts in windows as long as such an image is high."""
    data = DataSpec((), (), "text", SYMBOLS) if reads(name) else DataSpec(shape, CLASSES)
    method = build(METHODS[name], config_of(name, **{"context": shape[1]} | values), data, seed=0)
    method.init_from_data(examples(name, 16, shape))
    return method


def reads(name: str) -> bool:
    return METHODS[name].accepts == "text"


def learns_alone(name: str) -> bool:
    """Without gradients."""
    return implements(METHODS[name], FullBatch)


def examples(name: str, count: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    """What the method learns from: images, or tokens of a text."""
    if reads(name):
        return torch.randint(0, len(SYMBOLS), (count, shape[1]), generator=seeded(seed))
    return images(count, shape, seed)


def in_double(x: Tensor) -> Tensor:
    """Tokens have no precision to change."""
    return x.double() if x.is_floating_point() else x


def images(count: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=seeded(seed)).float() / 255


def labels(count: int) -> Tensor:
    return torch.arange(count) % len(CLASSES)


def told(name: str, count: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """What a method is told of its examples: the frames before them, else their classes."""
    if METHODS[name].Config().conditioned_on == "frames":
        return torch.randint(0, 256, (count, PAST_FRAMES, *shape), generator=seeded(9), dtype=torch.uint8)
    return labels(count)


def descended(method: Any, terms: dict[str, Tensor]) -> Tensor:
    """The sum of the terms that the method's phases go down."""
    return torch.stack([terms[phase.term] for phase in method.phases]).sum()


def needs(name: str, capability: str) -> None:
    if capability not in capabilities(METHODS[name]):
        pytest.skip(f"{name} cannot {capability}")


def test_that_methods_are_found_by_folder_and_an_unknown_name_is_answered_with_the_known_ones():
    assert {"vae", "autoencoder"} <= set(METHODS)
    with pytest.raises(UnknownMethod, match=r"autoencoder, .*vae"):
        method_named("vea")


@every_method
def test_that_units_are_of_terms_it_has(name: str):
    method = make(name)
    terms = method.loss(examples(name, 4), None if reads(name) else told(name, 4), StepContext(generator=seeded()))
    assert set(method.units) <= set(terms)
    assert {phase.term for phase in method.phases} <= set(method.units) or method.density == "none"


@every_method
def test_that_it_says_what_it_is_and_where_it_comes_from(name: str):
    told = info(METHODS[name])
    assert told.name == name
    assert told.title and told.family
    assert len(told.source) > 20 and any(character.isdigit() for character in told.source), "the paper, with its year"
    assert len(told.summary) > 60 and told.summary.endswith(".")
    assert told.density in ("exact", "bound", "none")
    assert told.sampling in ("direct", "iterative", "none")
    assert ("log_prob" in told.capabilities) == (told.density != "none")
    assert ("sample" in told.capabilities) == (told.sampling != "none")
    assert set(told.capabilities) <= set(CAPABILITIES)
    assert METHODS[name].__doc__ or __import__(METHODS[name].__module__, fromlist=["_"]).__doc__


@every_method
def test_that_every_setting_has_a_sentence_a_range_and_a_default_inside_it(name: str):
    fields = fields_of(METHODS[name].Config)
    assert {"batch_size", "learning_rate", "ema"} <= {f.name for f in fields} or learns_alone(name)
    for f in fields:
        assert len(f.help) > 15 and f.help.endswith("."), f.name
        if f.kind == "choice":
            assert f.default in f.choices
        elif f.kind in ("int", "float"):
            assert f.low is not None and f.high is not None and f.low <= f.default <= f.high, f.name  # type: ignore[operator]
            with pytest.raises(BadSetting, match=f.name):
                make_config(METHODS[name].Config, {f.name: f.high * 2 + 1})
        if f.log:
            assert f.low is not None and f.low > 0, f.name
    assert changed(METHODS[name].Config()) == {}


@every_method
def test_that_every_choice_of_every_setting_gives_a_finite_loss(name: str):
    x, y = examples(name, 4), told(name, 4)
    for f in fields_of(METHODS[name].Config):
        for choice in f.choices if f.kind == "choice" else ():
            terms = make(name, **{f.name: choice}).loss(x, y, StepContext(1, 0.5, seeded()))
            assert all(value.isfinite() for value in terms.values()), (f.name, choice)


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if not implements(kind, FullBatch)])
def test_that_a_single_image_is_learned_from_or_answered_with_a_sentence(name: str):
    """In training, where batch norm wants two; and held out, where the mean over pieces may have one of a single image."""
    method = make(name, (1, 8, 8))  # the last maps have one place: nothing but the batch to take statistics over
    x, y = examples(name, 1, (1, 8, 8)), None if reads(name) else told(name, 1, (1, 8, 8))
    optimizers = optimizers_of(method, method.config, "cpu")
    stepper = EagerStep(method, optimizers, "cpu", "fp32", 1, 1)
    pixels = x if reads(name) else (255 * x).to(torch.uint8)

    for look in (
        lambda: stepper.take(pixels, y, StepContext(1, 0.5, seeded()), lambda peak: 1e-4 * peak),
        lambda: method.eval().loss(x, y, StepContext(1, 0.5, seeded())),
    ):
        try:
            terms = look()
        except CannotLearn as error:
            assert re.search(r"batch.*(add|raise) .*\.$", str(error)) and str(error).count(".") == 1, error
        else:
            assert all(torch.as_tensor(value).isfinite().all() for value in terms.values()), terms
    assert all(p.isfinite().all() for p in method.parameters())


@every_method
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 13, 21)])
def test_that_the_loss_is_finite_named_and_averaged(name: str, shape: tuple[int, ...]):
    method = make(name, shape)
    terms = method.loss(examples(name, 4, shape), told(name, 4, shape), StepContext(0, 0.0, seeded()))
    assert {phase.term for phase in method.phases} <= set(terms)
    assert METHODS[name].headline[0] in terms
    for value in terms.values():
        assert value.shape == () and value.isfinite()
    assert learns_alone(name) or all(terms[phase.term].requires_grad for phase in method.phases)


@every_method
def test_that_a_step_lowers_the_loss(name: str):
    if learns_alone(name):
        method, x = make(name), examples(name, 40)
        if method.finished:
            pytest.skip(f"{name} has nothing to learn")
        before = method.loss(x, told(name, 40), StepContext())["loss"]
        method.fit_step(x, told(name, 40), StepContext(generator=seeded()))
        assert method.loss(x, told(name, 40), StepContext())["loss"] < before
        return
    method, x, y = make(name).double(), in_double(examples(name, 16)), told(name, 16)  # so that the smallest step down shows
    groups = method.optimizers()
    for phase in method.phases:
        parameters = groups[phase.optimizer].parameters if len(method.phases) > 1 else tuple(method.parameters())
        optimizer = torch.optim.SGD(parameters, 1e-5)
        losses = []
        for _ in range(3):
            loss = method.loss(x, y, StepContext(0, 1.0, seeded(), phase=phase.term))[phase.term]
            optimizer.zero_grad()
            loss.backward(inputs=None if len(method.phases) == 1 else list(parameters))
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]


@every_method
def test_that_no_global_random_state_is_touched_and_the_generator_decides_everything(name: str):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    results = []
    for _ in range(2):
        method, x, y = make(name), examples(name, 6), told(name, 6)
        numbers = list(method.loss(x, y, StepContext(1, 0.5, seeded(3))).values())
        method.after_step(StepContext(1, 0.5, seeded(3)))
        if "sample" in capabilities(METHODS[name]):
            numbers.append(list(method.sample(2, generator=seeded(3)))[-1].x)
        if "log_prob" in capabilities(METHODS[name]):
            numbers.append(method.log_prob(x, y, generator=seeded(3)))
        if "views" in capabilities(METHODS[name]):
            method.views(x, seeded(3))
        method.describe(x, seeded(3))
        results.append([*numbers, *method.state_dict().values()])
        torch.rand(7)  # elsewhere in the program
        torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@every_method
def test_that_weights_load_into_a_skeleton_and_give_the_same_answers(name: str):
    method, x = make(name), examples(name, 3)
    copy = skeleton(METHODS[name], method.config, method.data)
    copy.load_state_dict({key: value.clone() for key, value in method.state_dict().items()}, assign=True)
    first = method.loss(x, told(name, 3), StepContext(1, 0.5, seeded()))
    again = copy.loss(x, told(name, 3), StepContext(1, 0.5, seeded()))
    assert all(torch.equal(again[phase.term], first[phase.term]) for phase in method.phases)


@every_method
def test_that_losses_are_in_full_precision_under_autocast(name: str):
    method = make(name)
    with torch.autocast("cpu", torch.bfloat16):
        terms = method.loss(examples(name, 4), told(name, 4), StepContext(0, 0.0, seeded()))
    assert {value.dtype for value in terms.values()} == {torch.float32}
    if not learns_alone(name):
        descended(method, terms).backward()


@every_method
@pytest.mark.skipif(best("cpu") != "bf16", reason="this processor trains in fp32")
def test_that_the_gradient_in_bf16_is_that_in_full_precision_but_for_rounding(name: str):
    """On small images, where the last maps are smaller than the kernels; the memory was full of NaN before."""
    if learns_alone(name):
        pytest.skip(f"{name} learns without gradients")
    shape, found = (1, 8, 8), []
    for precision in ("fp32", "bf16"):
        method = make(name, shape, width=32)
        spoiled = [torch.full_like(p, torch.nan, dtype=kind) for p in method.parameters() for kind in (torch.bfloat16, torch.float32) * 5]
        with autocast(precision, "cpu"):
            terms = method.loss(examples(name, 32, shape), None if reads(name) else told(name, 32, shape), StepContext(0, 0.0, seeded()))
            loss = descended(method, terms)
        spoiled.clear()  # to whom asks for memory next
        loss.backward()
        found.append({key: p.grad for key, p in method.named_parameters() if p.grad is not None})
    exact, ours = found
    assert exact.keys() == ours.keys()
    whole = torch.cat([wanted.flatten() for wanted in exact.values()]).norm()
    for key, wanted in exact.items():
        assert (ours[key] - wanted).norm() < 0.4 * wanted.norm() + 0.02 * whole, key  # NaN is not; a bias before batch norm has none


@every_method
def test_that_features_are_one_row_per_image_whatever_the_batch(name: str):
    needs(name, "encode")
    method, x = make(name).double().eval(), images(5).double()
    with torch.no_grad():
        features = method.encode(x)
        assert features.ndim == 2 and len(features) == 5
        assert torch.allclose(method.encode(x[3:4])[0], features[3], atol=1e-10)
        assert torch.allclose(method.encode(x.flip(0)).flip(0), features, atol=1e-10)


@every_method
def test_that_codes_become_images_between_black_and_white(name: str):
    needs(name, "decode")
    method = make(name)
    with torch.no_grad():
        encodes = "encode" in capabilities(METHODS[name])
        z = method.encode(images(3)) if encodes else torch.randn(3, method.latent_size, generator=seeded())
        for codes in (z, 50 * z, torch.zeros_like(z)):
            decoded = method.decode(codes)
            assert decoded.shape == (3, *SHAPE)
            assert decoded.min() >= 0 and decoded.max() <= 1


@every_method
def test_that_log_p_is_per_image_and_independent_of_batch_mates(name: str):
    needs(name, "log_prob")
    method, x, y = make(name).double().eval(), in_double(examples(name, 5)), told(name, 5)
    together = method.log_prob(x, y, generator=seeded(2))
    assert together.shape == (5,) and together.dtype == torch.float64 and together.isfinite().all()
    for place in range(5):
        alone = method.log_prob(x[place : place + 1], y[place : place + 1], generator=seeded(2))
        assert alone.item() == pytest.approx(together[place].item(), abs=1e-8)
    assert torch.equal(method.log_prob(x, y, generator=seeded(2)), together)


@every_method
def test_that_strange_images_have_finite_scores(name: str):
    needs(name, "log_prob")
    usual = examples(name, 1)[0]
    most = len(SYMBOLS) - 1 if reads(name) else 1
    strange = torch.stack([torch.zeros_like(usual), torch.full_like(usual, most), most * (usual > usual.double().mean()).to(usual.dtype)])
    assert make(name).eval().log_prob(strange, told(name, 3)).isfinite().all()


@every_method
def test_that_samples_are_images_or_texts_and_the_last_partial_result_is_final(name: str):
    needs(name, "sample")
    method = make(name).eval()
    y = told(name, 3) if METHODS[name].conditional else None
    with torch.no_grad():
        frames = list(method.sample(3, y, temperature=0.7, generator=seeded()))
    steps = [frame.step for frame in frames]
    assert steps == sorted(set(steps)) and steps[0] > 0 and {frame.count for frame in frames} == {steps[-1]}
    assert len(frames) == 1 or METHODS[name].sampling == "iterative"
    results = [frame.x for frame in frames]
    if reads(name):
        assert results[-1].shape == (3, SHAPE[1]) and results[-1].dtype == torch.int64
        assert results[-1].min() >= 0 and results[-1].max() < len(SYMBOLS)
        assert all(torch.equal(part, results[-1][:, : part.shape[1]]) for part in results), "what is written stays"
        return
    assert results[-1].shape == (3, *SHAPE)
    assert results[-1].min() >= 0 and results[-1].max() <= 1


@pytest.mark.parametrize("told", [False, True], ids=["", "classes drawn"])
@pytest.mark.parametrize("name", METHODS)
def test_that_a_sample_is_the_same_however_many_are_drawn_beside_it(name: str, told: bool):
    """Rows of one big draw are not: they depend on how many there are, as `torch.randn` fills blocks of 16."""
    needs(name, "sample")
    method = fitted(name, conditional=told)
    for draw in drawings(method):
        with torch.no_grad():
            few, many = ([*draw(n, seeded(3))][-1].x for n in (3, 8))
        assert not torch.equal(many[0], many[1]), "samples differ from each other"
        assert torch.allclose(few.double(), many[:3].double(), atol=1e-4), draw


def fitted(name: str, **values: Any) -> Any:
    """In eval mode, after its first step where a step is all it learns by."""
    method = make(name, **values)
    for step in range(50 if learns_alone(name) else 0):
        if not method.finished:
            method.fit_step(examples(name, 40), labels(40), StepContext(step, generator=seeded(step)))
    return method.eval()


def drawings(method: Any) -> list[Callable[[int, torch.Generator], Any]]:
    """All ways to draw n samples by a generator."""
    kind = type(method)
    ways: list[Callable[[int, torch.Generator], Any]] = [lambda n, g: method.sample(n, generator=g)]
    if implements(kind, ObservationSampler):
        ways.append(lambda n, g: method.sample_observations(n, generator=g))
    if implements(kind, ConfigurableSampler):
        for f in fields_of(kind.SampleSettings):
            for choice in f.choices if f.kind == "choice" else ():
                chosen = make_config(kind.SampleSettings, {f.name: choice})
                ways.append(lambda n, g, chosen=chosen: method.sample_with(n, None, chosen, g))
    return ways


@every_method
def test_that_classes_get_one_logit_each(name: str):
    needs(name, "classify")
    assert make(name).eval().classify(images(4)).shape == (4, len(CLASSES))


@every_method
def test_that_a_latent_space_comes_with_its_measure(name: str):
    needs(name, "latents")
    method, x = make(name), images(9)
    dims = method.latent_size
    described = method.describe(x, seeded())
    for measure in (described.scale, described.centre):
        assert measure is not None and measure.shape == (dims,) and measure.isfinite().all()
    with torch.no_grad():
        assert method.decode(described.centre[None]).shape == (1, *SHAPE)
    if "posterior" in capabilities(METHODS[name]):
        latents = method.posterior(x)
        assert latents.mean.shape == latents.sigma.shape == (9, dims) and (latents.sigma >= 0).all()
        assert torch.equal(latents.mean, method.encode(x))
    assert described.kl is None or (described.kl.shape == (dims,) and (described.kl > -1e-6).all())


@every_method
def test_that_its_description_is_words_and_finite_numbers(name: str):
    described = make(name).describe(examples(name, 9), seeded())
    for number in described.numbers:
        assert number.name and math.isfinite(number.value)
    for word in described.diagnosis:
        assert word.level in ("good", "muted", "warning", "bad") and word.text.endswith(".")


LATENT = {"autoencoder", "pca", "vae"}  # of those that come with the program
PUZZLES = {"rotation": RotationPuzzle, "jigsaw": JigsawPuzzle, "mask": FillPuzzle}


@every_method
def test_that_a_latent_space_is_what_gives_a_measure_and_decodes(name: str):
    described = make(name).describe(examples(name, 9), seeded())
    assert ("latents" in capabilities(METHODS[name])) == (described.scale is not None) == (described.centre is not None)


def test_that_k_means_and_vq_vae_decode_but_have_no_latent_space():
    assert {name for name, kind in METHODS.items() if "latents" in capabilities(kind)} >= LATENT
    for name in ("kmeans", "vq_vae"):
        caps = capabilities(METHODS[name])
        assert {"encode", "decode"} <= set(caps) and not {"latents", "posterior"} & set(caps)


@every_method
def test_that_a_sequence_of_symbols_has_a_layout_that_holds_them_all(name: str):
    needs(name, "symbols")
    method, x = make(name), examples(name, 2)
    assert method.symbol_kind in ("pixels", "codes", "text")
    assert math.prod(method.layout) == method.length
    tokens = method.to_tokens(x, seeded())
    assert tokens.dtype == torch.int64 and tokens.min() >= 0 and tokens.max() < method.symbols
    patches = method.code_patches()
    assert (patches is None) == (method.symbol_kind != "codes")
    assert patches is None or len(patches) == method.symbols


@every_method
def test_that_a_puzzle_is_answered_by_the_protocol_of_its_name(name: str):
    needs(name, "puzzle")
    assert implements(METHODS[name], PUZZLES[METHODS[name].puzzle])


@every_method
def test_that_a_queue_knows_the_age_of_every_key(name: str):
    needs(name, "queue")
    method = make(name)
    assert method.queue_ages(0).shape == (len(method.queue),)


@every_method
def test_that_evaluation_does_not_depend_on_training_mode(name: str):
    """After a step in training mode, eval mode takes no statistics, draws no noise, and looks at each image by itself."""
    method, x = make(name).double(), in_double(examples(name, 4))
    if not learns_alone(name):
        method.train()
        method.loss(x, told(name, 4), StepContext(generator=seeded()))
        method.forget_batch()
    method.eval()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    for capability in {"encode", "classify", "log_prob"} & set(capabilities(METHODS[name])):
        ask = getattr(method, capability)
        with torch.no_grad():
            together = ask(x)
            assert torch.equal(ask(x), together)
            assert torch.allclose(ask(x[:1]), together[:1], atol=1e-9), capability
    assert all(torch.equal(before[key], value) for key, value in method.state_dict().items())
