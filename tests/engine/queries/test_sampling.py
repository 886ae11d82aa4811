"""Growing symbol by symbol, on a Markov chain whose probabilities are known, and through the query lane's door."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from engine import messages as m
from engine.bases.autoregressive import choose
from engine.config import BadSetting, fields_of, make_config, setting
from engine.data.dataset import BadData
from engine.method import DataSpec, Frame, build, capabilities
from engine.methods import all_methods
from engine.queries.autoregressive_sampling import BadSampleSetting, CannotSample, PartialSamples, draw_symbols, filtered, noise_of
from engine.queries.sampling import draw_samples, read_symbols, symbol_distribution
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

V, HEIGHT, WIDTH = 5, 3, 4
N = HEIGHT * WIDTH


class Chain:
    """p(t_i | t_<i) depends on the symbol before only (for a class, on the class too)."""

    title, sampling, conditional = "Chain", "iterative", False
    symbols: int
    length: int
    symbol_kind: str
    layout = (HEIGHT, WIDTH, 1)

    def __init__(self, kind: str = "images", classes: int = 0) -> None:
        rng = np.random.default_rng(0)
        self.first = torch.tensor(rng.dirichlet(np.ones(V), 1 + classes))  # [classes + 1, V]
        self.table = torch.tensor(rng.dirichlet(np.ones(V), (1 + classes, V)))  # [classes + 1, V, V]
        self.symbols, self.length = V, N
        names = tuple(str(c) for c in range(classes))
        self.data = DataSpec((1, HEIGHT, WIDTH), names) if kind == "images" else DataSpec((), (), "text", tuple(range(97, 97 + V)))
        self.config = SimpleNamespace(conditional=classes > 0)
        self.symbol_kind = "text" if kind == "text" else "pixels"
        self.conditional = classes > 0
        self.written = 0

    def _class(self, n: int, y: Tensor | None) -> Tensor:
        return torch.zeros(n, dtype=torch.long) if y is None else y + 1

    def writer(self, n: int, y: Tensor | None = None, prefix: Tensor | None = None, cached: bool = True) -> Pen:
        return Pen(self, self._class(n, y), prefix)

    def log_probs(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        c = self._class(len(tokens), y)
        rest = self.table[c[:, None], tokens[:, :-1], tokens[:, 1:]]
        return torch.cat([self.first[c, tokens[:, 0]][:, None], rest], 1).log().float()

    def to_tokens(self, x: Tensor, generator: object = None) -> Tensor:
        return (x.flatten(1) * (V - 1)).round().long()

    def to_images(self, tokens: Tensor) -> Tensor:
        return (tokens / (V - 1)).reshape(-1, 1, HEIGHT, WIDTH)

    def code_patches(self) -> None:
        return None

    def sample(self) -> None: ...

    def log_prob(self) -> None: ...

    def write_out(self) -> None: ...


class Pen:
    def __init__(self, chain: Chain, c: Tensor, prefix: Tensor | None) -> None:
        self.chain, self.c = chain, c
        self.last = None if prefix is None else prefix[:, -1]
        self.place = 0 if prefix is None else prefix.shape[1]

    def log_probs(self) -> Tensor:
        return (self.chain.first[self.c] if self.last is None else self.chain.table[self.c, self.last]).log().float()

    def write(self, symbols: Tensor) -> None:
        self.chain.written += 1
        self.last = symbols.clone()
        self.place += 1


class Room:
    """An explorer with one model in it."""

    def __init__(self, chain: Any) -> None:
        self.found = SimpleNamespace(method=chain, spec=chain.data, step=7, generator=lambda seed: torch.Generator().manual_seed(seed))

    def model(self, run: str, step: int | None) -> SimpleNamespace:
        return self.found


def final(*arguments, **settings) -> PartialSamples:
    *_, last = draw_symbols(*arguments, **settings)
    return last


def run_job(chain: Any, **settings) -> list:
    settings.setdefault("samples", (0, 1))
    return [e for e in draw_samples(Room(chain), m.DrawSamples(job="j", run="/r", **settings)) if e is not None]  # type: ignore[arg-type]


# -- one symbol ----------------------------------------------------------------------------------------------------------


def slow_filter(log_p: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """The definition, symbol by symbol, in Python's own numbers."""
    weights = [math.exp(value / temperature - max(log_p) / temperature) for value in log_p]
    p = [w / sum(weights) for w in weights]
    ranked = sorted(range(len(p)), key=lambda s: (-p[s], s))
    kept = ranked[: top_k or None]
    whole = sum(p[s] for s in kept)
    nucleus, mass = [], 0.0
    for s in kept:
        nucleus.append(s)
        mass += p[s] / whole
        if mass >= top_p - 1e-12:
            break
    whole = sum(p[s] for s in nucleus)
    return [p[s] / whole if s in nucleus else 0.0 for s in range(len(p))]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 3, 40])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.5, 0.01])
def test_that_the_filtered_distribution_is_its_definition(temperature, top_k, top_p):
    logits = torch.randn(6, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2
    logits[5, 3] = logits[5, 4]  # equally likely ones
    log_p = torch.log_softmax(logits, -1)
    found = filtered(log_p, temperature, top_k, top_p)
    expected = [slow_filter(row.tolist(), temperature, top_k, top_p) for row in log_p]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_that_temperature_zero_leaves_the_most_likely_symbol_alone():
    log_p = torch.log_softmax(torch.randn(50, 9, generator=torch.Generator().manual_seed(2)), -1)
    for temperature in (0.0, 1e-6):
        assert torch.equal(filtered(log_p, temperature), torch.nn.functional.one_hot(log_p.argmax(-1), 9).double())
    assert (filtered(log_p, 0.01).argmax(-1) == log_p.argmax(-1)).all()


def test_that_symbols_are_drawn_as_often_as_their_probability_says():
    p = torch.tensor([[0.05, 0.0, 0.4, 0.25, 0.3, 0.0]], dtype=torch.float64)
    n = 40_000
    noise = torch.rand(n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    counts = torch.bincount(choose(p.expand(n, 6), noise), minlength=6).numpy()
    assert counts[1] == counts[5] == 0
    possible = p[0].numpy() > 0
    assert chisquare(counts[possible], n * p[0].numpy()[possible]).pvalue > 1e-3


def test_that_the_edges_of_the_noise_never_draw_what_is_impossible():
    p = torch.tensor([[0.0, 0.1, 0.2, 0.7 - 1e-17, 0.0]], dtype=torch.float64).expand(3, 5) * 0.9999999
    noise = torch.tensor([0.0, 0.1, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert choose(p, noise).tolist() == [1, 2, 3]
    assert choose(torch.full((1, 4), math.nan), torch.tensor([0.5])).tolist() == [3]  # an answer, and not a place outside
    drawn = torch.rand(20_000, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn[:, 5:] = 0  # whatever the sum is, the greatest noise there is stays before the two impossible ones
    assert (choose(drawn, torch.full((20_000,), np.nextafter(1.0, 0.0), dtype=torch.float64)) <= 4).all()


# -- a whole sample ------------------------------------------------------------------------------------------------------


def test_that_every_symbol_is_the_inverse_distribution_function_at_its_own_noise():
    chain, noise = Chain(), noise_of(4, (0, 1, 2), N)
    found = final(chain, 3, noise)
    for row in range(3):
        last = None
        for place in range(N):
            p = (chain.first[0] if last is None else chain.table[0, last]).numpy()
            last = int(found.tokens[row, place])
            edges = np.cumsum(p)
            assert edges[last] - p[last] <= noise[row, place] + 1e-6 and noise[row, place] <= edges[last] + 1e-6
            assert float(found.log_p[row, place]) == pytest.approx(math.log(p[last]), abs=1e-5)


def test_that_pairs_of_symbols_follow_the_chain():
    chain, n = Chain(), 4000
    noise = torch.rand(n, N, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    tokens = final(chain, n, noise).tokens.numpy()
    for before in range(V):
        after = tokens[:, 1:][tokens[:, :-1] == before]
        expected = chain.table[0, before].numpy()
        assert chisquare(np.bincount(after, minlength=V), len(after) * expected / expected.sum()).pvalue > 1e-4


def test_that_the_same_noise_gives_the_same_sample_whoever_stands_beside_it():
    chain = Chain()
    alone = final(chain, 1, noise_of(9, (2,), N)).tokens
    among = final(chain, 4, noise_of(9, (0, 1, 2, 3), N)).tokens
    assert torch.equal(alone[0], among[2])
    assert torch.equal(final(chain, 4, noise_of(9, (0, 1, 2, 3), N)).tokens, among)
    assert not torch.equal(final(chain, 4, noise_of(10, (0, 1, 2, 3), N)).tokens, among)


def test_that_cold_samples_and_top_one_are_greedy():
    chain = Chain()
    greedy = [int(chain.first[0].argmax())]
    while len(greedy) < N:
        greedy.append(int(chain.table[0, greedy[-1]].argmax()))
    noise = noise_of(0, (0, 1), N)
    for settings in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-9}):
        assert final(chain, 2, noise, **settings).tokens.tolist() == [greedy, greedy]


def test_that_a_little_warmer_is_a_little_different():
    chain, noise = Chain(), noise_of(1, tuple(range(40)), N)
    base, near, far = (final(chain, 40, noise, temperature=t).tokens for t in (1.0, 1.02, 3.0))
    assert (base != near).float().mean() < 0.15 < (base != far).float().mean()


def test_that_regrowing_keeps_the_prefix_and_is_the_growth_with_that_symbol_forced():
    chain, noise, place = Chain(), noise_of(6, (0,), N), 5
    base = final(chain, 1, noise).tokens
    other = (int(base[0, place]) + 1) % V
    fixed = torch.full((1, N), -1)
    fixed[:, :place] = base[:, :place]
    fixed[:, place] = other
    regrown = final(chain, 1, noise, fixed=fixed, start=place + 1)
    only = torch.full((1, N), -1)
    only[:, place] = other
    forced = final(chain, 1, noise, fixed=only)
    assert torch.equal(regrown.tokens[:, :place], base[:, :place]) and int(regrown.tokens[0, place]) == other
    assert torch.equal(regrown.tokens, forced.tokens)
    torch.testing.assert_close(regrown.log_p, forced.log_p)
    assert not torch.equal(regrown.tokens[:, place + 1 :], base[:, place + 1 :])


def test_that_given_symbols_stay_and_only_what_follows_knows_them():
    chain, noise = Chain(), noise_of(2, (0, 1), N)
    base = final(chain, 2, noise).tokens
    fixed = torch.full((2, N), -1)
    others = [(int(base[0, 7]) + 1) % V, (int(base[1, 9]) + 1) % V]
    fixed[0, 7], fixed[1, 9] = others[0], others[1]
    found = final(chain, 2, noise, fixed=fixed)
    assert [int(found.tokens[0, 7]), int(found.tokens[1, 9])] == others
    assert torch.equal(found.tokens[0, :7], base[0, :7]) and torch.equal(found.tokens[1, :9], base[1, :9])
    torch.testing.assert_close(found.log_p, chain.log_probs(found.tokens))


def test_that_a_growth_says_after_every_symbol_how_far_it_is():
    places = [
        (g.place, int((g.tokens >= 0).sum()), int(g.log_p.isfinite().sum())) for g in draw_symbols(Chain(), 2, noise_of(0, (0, 1), N))
    ]
    assert places == [(place, 2 * place, 2 * place) for place in range(N + 1)]


def test_that_stopping_half_way_leaves_a_part_and_the_model_unharmed():
    chain, noise = Chain(), noise_of(3, (0,), N)
    whole = final(chain, 1, noise).tokens
    tables = chain.first.clone(), chain.table.clone()
    half = draw_symbols(chain, 1, noise)
    for _ in range(6):
        part = next(half)
    half.close()  # type: ignore[attr-defined]
    assert part.place == 5
    assert torch.equal(part.tokens[:, :5], whole[:, :5]) and (part.tokens[:, 5:] == -1).all()
    assert torch.equal(chain.first, tables[0]) and torch.equal(chain.table, tables[1])
    assert torch.equal(final(chain, 1, noise).tokens, whole)
    rest = torch.where(part.tokens >= 0, part.tokens, -1)
    assert torch.equal(final(chain, 1, noise, fixed=rest, start=5).tokens, whole)


def test_that_what_does_not_fit_is_said():
    noise = noise_of(0, (0,), N)
    with pytest.raises(CannotSample, match="below 5"):
        final(Chain(), 1, noise, fixed=torch.full((1, N), V))
    with pytest.raises(CannotSample, match="missing before"):
        final(Chain(), 1, noise, start=3)
    with pytest.raises(CannotSample, match="at most 12"):
        final(Chain(), 1, noise_of(0, (0,), N + 1))


# -- jobs and queries ----------------------------------------------------------------------------------------------------


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
