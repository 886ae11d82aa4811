"""The jobs and queries that draw samples: of every method that writes symbols, of a VAE, of diffusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import messages as m
from engine.config import BadSetting, fields_of, make_config, setting
from engine.data.dataset import BadData
from engine.method import DataSpec, Frame, build, capabilities
from engine.methods import all_methods
from engine.queries.autoregressive_sampling import BadSampleSetting, CannotSample, noise_of
from engine.queries.sampling import draw_samples, read_symbols, symbol_distribution
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.symbol_chain import HEIGHT, WIDTH, Chain, N, Room, V, final, run_job, slow_filter


def test_that_a_job_tells_every_row_and_ends_with_everything():
    began, *grown = run_job(Chain(), seed=4)
    assert (began.kind, began.length, began.rows, began.columns, began.depth, began.symbols) == ("pixels", N, HEIGHT, WIDTH, 1, V)
    assert began.values == ("0", "64", "128", "191", "255")
    assert {0, 4, 8, 12} <= {event.place for event in grown}
    last = grown[-1]
    assert last.final and not any(event.final for event in grown[:-1])
    expected = final(Chain(), 2, noise_of(4, (0, 1), N))
    np.testing.assert_array_equal(last.tokens, expected.tokens)
    np.testing.assert_array_equal(last.images, (expected.tokens.reshape(2, 1, HEIGHT, WIDTH) / 4 * 255).round())
    assert last.images.dtype == np.uint8 and last.rate > 0


def test_that_events_keep_what_they_said():
    _, *grown = run_job(Chain())
    assert [(event.tokens >= 0).sum() for event in grown] == [2 * event.place for event in grown]


def test_that_a_job_can_stop_before_a_place_and_go_on():
    whole = run_job(Chain(), seed=1)[-1]
    part = run_job(Chain(), seed=1, until=6)[-1]
    assert part.final and part.place == 6
    again = run_job(Chain(), seed=1, tokens=part.tokens, start=6)[-1]
    np.testing.assert_array_equal(again.tokens, whole.tokens)
    np.testing.assert_allclose(again.log_p, whole.log_p, atol=1e-6)


def test_that_classes_are_kept_or_drawn():
    chain = Chain(classes=3)
    began, *_, last = run_job(chain, label=2, samples=(0, 1, 2))
    assert began.labels == (2, 2, 2) and began.classes == ("0", "1", "2")
    np.testing.assert_allclose(last.log_p, chain.log_probs(torch.from_numpy(last.tokens).long(), torch.tensor([2, 2, 2])), atol=1e-6)
    drawn = run_job(chain, samples=tuple(range(60)))[0].labels
    assert set(drawn) == {0, 1, 2}
    assert run_job(chain, samples=(5,))[0].labels == drawn[5:6]
    with pytest.raises(CannotSample, match="no class 3"):
        run_job(chain, label=3)


def test_that_a_prompt_is_how_a_text_begins():
    chain = Chain("text")
    began, *grown = run_job(chain, prompt="cab")
    assert (began.kind, began.start, began.values) == ("text", 3, ("a", "b", "c", "d", "e"))
    assert all(text.startswith("cab") and len(text) == N for text in grown[-1].texts)
    assert np.isfinite(grown[-1].log_p).all()
    with pytest.raises(BadData, match="not among"):
        run_job(chain, prompt="xyz")
    assert "last 6" in run_job(chain, prompt="ab" * 20)[0].note


def test_that_a_text_may_be_longer_than_what_the_model_sees_and_the_noise_stays():
    chain = Chain("text")
    short, long = run_job(chain, seed=3)[-1], run_job(chain, seed=3, length=3 * N)[-1]
    assert [len(text) for text in long.texts] == [3 * N, 3 * N]
    np.testing.assert_array_equal(long.tokens[:, :N], short.tokens)
    again = run_job(chain, seed=3, tokens=np.where(np.arange(3 * N) < 30, long.tokens, -1), start=30)[-1]
    np.testing.assert_array_equal(again.tokens, long.tokens)
    np.testing.assert_allclose(again.log_p, long.log_p, atol=1e-6)
    with pytest.raises(CannotSample, match="at most 4,096"):
        run_job(chain, length=5000)


def test_that_the_distribution_is_the_chains_row():
    chain = Chain()
    room: Any = Room(chain)
    for tokens, expected in (([], chain.first[0]), ([3, 1, 2], chain.table[0, 2])):
        answer = symbol_distribution(room, m.SymbolDistribution(run="/r", tokens=np.array(tokens, np.int32), top_k=2))
        np.testing.assert_allclose(answer.raw, expected, atol=1e-6)
        np.testing.assert_allclose(answer.filtered, slow_filter(expected.log().tolist(), 1.0, 2, 1.0), atol=1e-6)
    with pytest.raises(CannotSample):
        symbol_distribution(room, m.SymbolDistribution(run="/r", tokens=np.zeros(N, np.int32)))


def test_that_a_picture_is_read_as_symbols():
    image = np.array([[0, 64, 128, 191], [255, 0, 64, 128], [191, 255, 0, 10]], np.uint8)
    chain = Chain()
    answer = read_symbols(Room(chain), m.ReadSymbols(run="/r", picture=m.PictureRef("mine", image=image)))  # type: ignore[arg-type]
    assert answer.tokens.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 0]
    np.testing.assert_allclose(answer.log_p, chain.log_probs(torch.from_numpy(answer.tokens).long()[None])[0])
    assert (answer.rows, answer.columns, answer.depth, answer.kind) == (HEIGHT, WIDTH, 1, "pixels")


WRITERS = [name for name, method in all_methods().items() if "symbols" in capabilities(method)]
SMALL = {"width": 4, "latent": 3, "encoder_blocks": 1, "codes": 12, "code_size": 4, "tokenizer_width": 4, "layers": 1, "heads": 2}


def untrained(name: str, shape: tuple[int, ...], **settings: object) -> Any:
    """A small network of that method with random weights."""
    method = all_methods()[name]
    known = {field.name for field in fields_of(method.Config)}
    config = make_config(method.Config, {key: value for key, value in {**SMALL, "context": 8, **settings}.items() if key in known})
    text = method.accepts == "text"
    made = build(method, config, DataSpec((), (), "text", tuple(range(97, 109))) if text else DataSpec(shape, ("a", "b", "c")), seed=0)
    if text:
        made.init_from_data(torch.randint(0, 12, (8, 8), generator=torch.Generator().manual_seed(1)))
    else:
        made.init_from_data(torch.randint(0, 256, (8, *shape), generator=torch.Generator().manual_seed(1)).float() / 255)
    return made.requires_grad_(False).eval()


@pytest.mark.parametrize("settings", [{}, {"conditional": True, "levels": 8}], ids=["plain", "by class"])
@pytest.mark.parametrize("name", WRITERS)
def test_that_every_method_that_writes_grows(name, settings):
    """Teacher forcing agrees about every symbol's probability; the cache changes nothing; places can be asked one by one."""
    method = untrained(name, (3, 8, 8) if all_methods()[name].symbol_kind == "codes" else (3, 4, 4), **settings)
    began, *_, last = run_job(method, seed=2)
    assert last.tokens.shape == (2, began.length) and began.length == began.rows * began.columns * began.depth
    y = torch.tensor(began.labels) if began.labels else None
    tokens = torch.from_numpy(last.tokens).long()
    np.testing.assert_allclose(last.log_p, method.log_probs(tokens, y), atol=1e-4)
    np.testing.assert_array_equal(run_job(method, seed=2, cached=False)[-1].tokens, last.tokens)
    half = began.length // 2
    again = run_job(method, seed=2, tokens=np.where(np.arange(began.length) < half, last.tokens, -1), start=half)[-1]
    np.testing.assert_array_equal(again.tokens, last.tokens)
    label = began.labels[1] if began.labels else None
    for place in (0, half, began.length - 1):
        query = m.SymbolDistribution(run="/r", tokens=last.tokens[1, :place], label=label)
        answer = symbol_distribution(Room(method), query)  # type: ignore[arg-type]
        assert answer.raw.sum() == pytest.approx(1, abs=1e-4)
        assert math.log(answer.raw[last.tokens[1, place]]) == pytest.approx(float(last.log_p[1, place]), abs=1e-4)
    assert (began.kind == "codes") == (method.symbol_kind == "codes") == (answer.patches is not None)
    if answer.patches is not None:
        assert len(answer.patches) == began.symbols
    if began.kind != "text":
        x = torch.from_numpy(last.images).float() / 255
        picture = m.PictureRef("itself", image=last.images[0].transpose(1, 2, 0))
        read = read_symbols(Room(method), m.ReadSymbols(run="/r", picture=picture, label=label))  # type: ignore[arg-type]
        assert read.tokens.shape == (began.length,) and x.shape[1:] == read.image.shape
        if began.kind == "pixels":
            np.testing.assert_array_equal(read.tokens, last.tokens[0])


@pytest.fixture(scope="module")
def vae(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("runs")
    config = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}
    list(train(Plan("vae", "digits", config, steps=4, name="vae", device="cpu"), root))
    return str(root / "vae")


def test_that_a_method_without_an_order_draws_in_one_go_and_says_so(vae):
    session = QuerySession()
    began, *grown = [e for e in session.work(m.DrawSamples(job="j", run=vae, samples=(0, 1, 2), seed=5)) if e is not None]
    assert isinstance(began, m.SamplingBegan) and began.kind == "whole" and "no order" in began.note
    method = session.model(vae, None).method
    *_, expected = method.sample(3, None, 1.0, torch.Generator().manual_seed(5))  # type: ignore[operator]
    last = grown[-1]
    assert isinstance(last, m.SymbolsDrawn) and last.final and last.images is not None
    np.testing.assert_array_equal(last.images, (expected.x.detach().clamp(0, 1) * 255).round().byte())
    with pytest.raises(CannotSample):
        session.answer(m.SymbolDistribution(run=vae, tokens=np.zeros(0, np.int32)))


class Diffusion:
    """Every sample begins as its own grey and becomes half as bright with each of four steps."""

    title, sampling, conditional = "Diffusion", "iterative", False
    data = DataSpec((1, 2, 2))
    steps = 4

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None) -> Any:
        x = torch.arange(1, n + 1).float()[:, None, None, None].expand(n, 1, 2, 2) / n
        for step in range(self.steps + 1):
            yield Frame(x / 2**step, step, self.steps)


def test_that_an_iterative_sampler_tells_every_frame():
    began, *frames = run_job(Diffusion(), samples=(0, 3))
    assert (began.kind, began.frames, began.length, began.symbols, began.values) == ("steps", 4, 0, 0, ())
    assert "no pixel to choose" in began.note
    assert all(isinstance(frame, m.FrameDrawn) for frame in frames)
    assert [(frame.frame, frame.frames) for frame in frames] == [(i, 4) for i in range(5)]
    assert [frame.final for frame in frames] == [False] * 4 + [True]
    for i, frame in enumerate(frames):
        expected = [round(255 * grey / 2**i) for grey in (0.25, 1)]
        np.testing.assert_array_equal(frame.images, np.broadcast_to(np.array(expected)[:, None, None, None], (2, 1, 2, 2)))
        assert frame.images.dtype == np.uint8 and frame.rate > 0
    assert len({id(frame.images) for frame in frames}) == 5


def test_that_what_a_sampler_says_of_a_frame_comes_with_it():
    class Saying(Diffusion):
        def sample(self, *given: Any) -> Any:
            for frame in super().sample(*given):
                yield Frame(frame.x, frame.step, frame.count, f"σ {frame.count - frame.step}")

    assert [frame.note for frame in run_job(Saying(), samples=(0, 3))[1:]] == ["σ 4", "σ 3", "σ 2", "σ 1", "σ 0"]


def test_that_frames_come_one_by_one_so_that_a_lane_can_stop_between_them():
    asked = []

    class Slow(Diffusion):
        def sample(self, *given: Any) -> Any:
            for frame in super().sample(*given):
                asked.append(frame.step)
                yield frame

    job = draw_samples(Room(Slow()), m.DrawSamples(job="j", run="/r"))  # type: ignore[arg-type]
    events = [next(job), next(job)]
    assert isinstance(events[0], m.SamplingBegan) and isinstance(events[1], m.FrameDrawn) and asked == [0]
    next(job)
    assert asked == [0, 1]
    job.close()
    assert asked == [0, 1]


@dataclass(frozen=True)
class Dimming:
    """Settings of a sampler."""

    times: int = setting(4, "Steps.", low=1, high=9, unit="steps")
    factor: float = setting(2.0, "What is divided by.", low=1.0, high=10.0)


class Dimmer(Diffusion):
    """The same with settings of its own."""

    SampleSettings = Dimming

    def sample_with(self, n: int, y: Tensor | None, settings: Any, generator: torch.Generator | None = None) -> Any:
        x = torch.ones(n, 1, 2, 2)
        for step in range(settings.times + 1):
            yield Frame(x / settings.factor**step, step, settings.times)


def test_that_the_samplers_own_settings_are_taken_checked_and_refused_where_there_are_none():
    _, *frames = run_job(Dimmer(), settings=(("times", 2), ("factor", 3.0)))
    assert [frame.frame for frame in frames] == [0, 1, 2] and int(frames[-1].images.max()) == round(255 / 9)
    assert len(run_job(Dimmer())) == 1 + 5
    with pytest.raises(CannotSample, match="from 1 to 9"):
        run_job(Dimmer(), settings=(("times", 10),))
    with pytest.raises(CannotSample, match="“speed” is no setting of"):
        run_job(Dimmer(), settings=(("speed", 1),))
    with pytest.raises(CannotSample, match=r"“speed” is no setting of .* it has no settings"):
        run_job(Diffusion(), settings=(("speed", 1),))


@pytest.mark.parametrize("late", [False, True])
def test_that_what_a_sampler_itself_refuses_is_a_sentence_that_names_it_at_once_or_as_it_begins(late: bool):
    class Refusing(Dimmer):
        def sample_with(self, n: int, y: Tensor | None, settings: Any, generator: torch.Generator | None = None) -> Any:
            if not late:
                raise BadSetting("Not so dim.")
            return self.refused()

        def refused(self) -> Any:
            raise BadSetting("Not so dim.")
            yield

    with pytest.raises(BadSampleSetting, match=r"sampler: Not so dim\."):
        run_job(Refusing())
